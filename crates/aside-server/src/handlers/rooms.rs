//! Rooms and their members.

use std::sync::Arc;

use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    name::Name,
    v1::{self, server_frame::Body},
};
use aside_session::server::Refusal;
use aside_store::{
    CreateRoom, Join, Leave, ListRooms, Reader, Refused,
    page::{self, List},
};
use bytes::Bytes;

use super::{PLAIN, Request, refusal};
use crate::app::{Answer, App, Identity};

const LIST_ROOMS: Request = Request { page_token: "list_rooms.page_token", ..PLAIN };
const LIST_MEMBERS: Request = Request { page_token: "list_members.page_token", ..PLAIN };

impl App {
    pub(crate) async fn create_room(
        self: Arc<Self>,
        who: Identity,
        key: IdempotencyKey,
        name: Name,
    ) -> Answer {
        let create = CreateRoom { key, user: who.user, device: who.device, name };
        self.store.create_room(create).await.map(Body::RoomCreated).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn list_rooms(self: Arc<Self>, who: Identity, list: ListRooms) -> Answer {
        let rooms = self.store.list_rooms(who.user, &list).await;
        rooms.map(Body::Rooms).map_err(|r| refusal(r, LIST_ROOMS))
    }

    pub(crate) async fn join(
        self: Arc<Self>,
        who: Identity,
        key: IdempotencyKey,
        conversation: ConversationId,
    ) -> Answer {
        let join = Join { key, user: who.user, device: who.device, conversation };
        self.store.join(join).await.map(Body::Joined).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn leave(
        self: Arc<Self>,
        who: Identity,
        key: IdempotencyKey,
        conversation: ConversationId,
    ) -> Answer {
        let leave = Leave { key, user: who.user, device: who.device, conversation };
        self.store.leave(leave).await.map(Body::Left).map_err(|r| refusal(r, PLAIN))
    }

    /// A page of members. Who is online is known here, not in the store.
    pub(crate) async fn list_members(
        self: Arc<Self>,
        reader: Reader,
        conversation: ConversationId,
        online_only: bool,
        page_token: Bytes,
        page_size: u32,
    ) -> Answer {
        let after = page::after(List::Members, &page_token)
            .map_err(|_| refusal(Refused::PageTokenInvalid, LIST_MEMBERS))?
            .map(UserId::new);
        let (mut members, last) = if online_only {
            self.online_members(reader, conversation, after, page_size as usize).await?
        } else {
            let page = self.store.list_members(reader, conversation, after, page_size).await;
            let page = page.map_err(|r| refusal(r, LIST_MEMBERS))?;
            let last = page.members.last().and_then(user_of).filter(|_| page.more);
            (page.members, last)
        };
        for member in &mut members {
            member.online =
                user_of(member).is_some_and(|user| self.hub.appears_online(reader.user, user));
        }
        let next_page_token =
            last.map_or(Bytes::new(), |user| page::token(List::Members, user.as_bytes()));
        Ok(Body::Members(v1::Members { members, next_page_token }))
    }

    /// Those that are online, and the last of them if there are more.
    async fn online_members(
        &self,
        reader: Reader,
        conversation: ConversationId,
        after: Option<UserId>,
        page_size: usize,
    ) -> Result<(Vec<v1::Member>, Option<UserId>), Refusal> {
        let mut online = self.hub.online_members(reader.user, conversation, after, page_size + 1);
        let more = online.len() > page_size;
        online.truncate(page_size);
        let members = self.store.members_among(reader, conversation, &online).await;
        let members = members.map_err(|r| refusal(r, LIST_MEMBERS))?;
        Ok((members, online.last().copied().filter(|_| more)))
    }
}

fn user_of(member: &v1::Member) -> Option<UserId> {
    UserId::try_from(&member.user_id[..]).ok()
}
