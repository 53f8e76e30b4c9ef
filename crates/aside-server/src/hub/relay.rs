//! What one device of a user says to others that are connected (RELAY-001).

use aside_proto::{
    id::{DeviceId, UserId},
    v1::{self, server_frame::Body},
};
use bytes::Bytes;

use super::{Attached, Hub, frames::event_frame};

impl Hub {
    /// Passes something on to the connections of another device of the user, or of all that are approved; gives how many took it.
    pub(crate) fn relay(
        &self,
        user: UserId,
        from: DeviceId,
        to: Option<DeviceId>,
        payload: Bytes,
    ) -> u32 {
        let said = v1::RelayReceived { device_id: from.to_bytes(), payload };
        let frame = event_frame(Body::RelayReceived(said));
        let hears = |attached: &Attached| {
            attached.device != from
                && to.map_or(attached.private.is_approved, |device| attached.device == device)
        };
        let state = self.lock();
        let ids = state.attached_by_user.get(&user).into_iter().flatten();
        let connections = ids.filter_map(|id| state.connections.get(id));
        let hearing =
            connections.filter(|it| it.private && it.attached.as_ref().is_some_and(hears));
        hearing.filter(|connection| connection.queue.hint(&frame)).count() as u32
    }
}
