//! What members do with a room: settings, invitations, pins.

use std::sync::Arc;

use aside_proto::v1::server_frame::Body;
use aside_store::{Invite, ListPins, SetPin, UpdateRoom};

use super::{PLAIN, Request, refusal};
use crate::app::{Answer, App, Identity};

const LIST_PINS: Request = Request { page_token: "list_pins.page_token", ..PLAIN };

impl App {
    pub(crate) async fn update_room(self: Arc<Self>, update: UpdateRoom) -> Answer {
        let updated = self.store.update_room(update).await;
        updated.map(Body::RoomUpdated).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn invite(self: Arc<Self>, invite: Invite) -> Answer {
        let invited = self.store.invite(invite).await;
        invited.map(Body::Invited).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn set_pin(self: Arc<Self>, set: SetPin) -> Answer {
        self.store.set_pin(set).await.map(Body::PinSet).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn list_pins(self: Arc<Self>, who: Identity, list: ListPins) -> Answer {
        let pins = self.store.list_pins(who.user, &list).await;
        pins.map(Body::Pins).map_err(|r| refusal(r, LIST_PINS))
    }
}
