//! What devices of one account say to each other: it goes through the hub, and nowhere else.

use aside_proto::{
    id::DeviceId,
    v1::{self, server_frame::Body},
};
use bytes::Bytes;

use crate::app::{Answer, App, Identity};

impl App {
    /// RELAY-001 to RELAY-003.
    pub(crate) fn relay(&self, who: Identity, to: Option<DeviceId>, payload: Bytes) -> Answer {
        let connections = self.hub.relay(who.user, who.device, to, payload);
        Ok(Body::Relayed(v1::Relayed { connections }))
    }
}
