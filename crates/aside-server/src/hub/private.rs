//! What the hub knows of private conversations: which connection is a leaf's, and which device is approved.
//!
//! A user's connections all count as present in a conversation that the user is a member of, as in a room; but only those of its
//! leaves are pushed what is appended (PRIV-008), and only an approved device may ask about it (PRIV-002).

use std::collections::HashSet;

use aside_proto::{
    id::{ConversationId, DeviceId, UserId},
    private::Epoch,
    v1::{self, server_frame::Body},
};
use aside_store::{AttachedPrivate, Seat};
use bytes::Bytes;

use super::{Hub, State, Subscribers, frames::event_frame, subscribe, unsubscribe};

/// What one connection has to do with private conversations.
#[derive(Debug, Default)]
pub(super) struct Private {
    /// Whether its device is approved.
    pub(super) is_approved: bool,
    /// Those that its user is a member of.
    pub(super) conversations: HashSet<ConversationId>,
}

impl Hub {
    /// Whether a connection is an approved device's: as of the last batch that the store has written, since the hub is told of
    /// each before any of it is answered. So whoever reads by an approval that has just ended reads nothing that came after.
    pub(crate) fn is_approved(&self, id: u64) -> bool {
        let state = self.lock();
        let attached = state.connections.get(&id).and_then(|c| c.attached.as_ref());
        attached.is_some_and(|attached| attached.private.is_approved)
    }
}

impl State {
    /// Seats a connection that was just attached, and tells it of its KeyPackages.
    pub(super) fn seat(&mut self, id: u64, private: &AttachedPrivate) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(attached) = &mut connection.attached else { return };
        attached.private.is_approved = private.is_approved;
        for Seat { conversation, .. } in &private.conversations {
            attached.conversations.insert(*conversation);
            attached.private.conversations.insert(*conversation);
        }
        for Seat { conversation, members, is_leaf } in &private.conversations {
            let conversation = (*conversation, *members);
            match *is_leaf && connection.private {
                true => subscribe(&mut self.subscribers, id, connection, conversation),
                false => attend(&mut self.subscribers, id, conversation),
            }
        }
        if connection.private {
            for (suite, available) in &private.key_packages_low {
                connection.queue.hint(&key_packages_low(*suite, *available));
            }
        }
    }

    /// A user is a member of a private conversation from here on.
    pub(super) fn join_private(
        &mut self,
        user: UserId,
        conversation: ConversationId,
        members: u64,
    ) {
        for id in self.attached_by_user.get(&user).into_iter().flatten() {
            let attached = self.connections.get_mut(id).and_then(|c| c.attached.as_mut());
            if let Some(attached) = attached {
                attached.conversations.insert(conversation);
                attached.private.conversations.insert(conversation);
                attend(&mut self.subscribers, *id, (conversation, members));
            }
        }
        self.count(conversation, members);
        if let Some(conversations) = self.people.conversations_of(user) {
            conversations.insert(conversation);
        }
    }

    /// A device is pushed what is appended to a conversation from here on.
    pub(super) fn add_leaf(
        &mut self,
        device: DeviceId,
        conversation: ConversationId,
        members: u64,
    ) {
        for id in self.attached_by_device.get(&device).into_iter().flatten() {
            let connection = self.connections.get_mut(id).filter(|connection| connection.private);
            if let Some(connection) = connection {
                subscribe(&mut self.subscribers, *id, connection, (conversation, members));
            }
        }
    }

    /// A device is pushed nothing more of a conversation.
    pub(super) fn remove_leaf(&mut self, device: DeviceId, conversation: ConversationId) {
        let subscribers = &mut self.subscribers;
        for id in self.attached_by_device.get(&device).into_iter().flatten() {
            let Some(connection) = self.connections.get(id) else { continue };
            let members = subscribers.get(&conversation).map_or(0, |room| room.members);
            unsubscribe(subscribers, *id, &conversation);
            let attached = connection.attached.as_ref();
            if attached.is_some_and(|a| a.private.conversations.contains(&conversation)) {
                attend(subscribers, *id, (conversation, members));
            }
        }
    }

    /// Notes who is approved now, and tells the user's own connections and those of whoever shares a private conversation with
    /// the user (DEVLOG-009).
    pub(super) fn change_device_log(&mut self, user: UserId, length: u32, approved: &[DeviceId]) {
        let (mut told, mut shared) = (HashSet::new(), HashSet::new());
        for id in self.attached_by_user.get(&user).into_iter().flatten() {
            let attached = self.connections.get_mut(id).and_then(|c| c.attached.as_mut());
            if let Some(attached) = attached {
                attached.private.is_approved = approved.contains(&attached.device);
                shared.extend(&attached.private.conversations);
                told.insert(*id);
            }
        }
        for room in shared.iter().filter_map(|conversation| self.subscribers.get(conversation)) {
            told.extend(room.queues.keys());
        }
        let event = v1::DeviceLogChanged { user_id: user.to_bytes(), length };
        let frame = event_frame(Body::DeviceLogChanged(event));
        for connection in told.iter().filter_map(|id| self.connections.get(id)) {
            if connection.private {
                connection.queue.hint(&frame);
            }
        }
    }

    /// Tells the connections of a device.
    pub(super) fn tell_device(&mut self, device: DeviceId, event: Body) {
        let frame = event_frame(event);
        let ids = self.attached_by_device.get(&device).into_iter().flatten();
        for connection in ids.filter_map(|id| self.connections.get(id)) {
            if connection.private {
                connection.queue.hint(&frame);
            }
        }
    }

    /// Tells the leaves of a conversation that they do not agree (FORK-003).
    pub(super) fn tell_mismatch(&self, conversation: ConversationId, epoch: Epoch) {
        let event = v1::ForkCheckMismatch {
            conversation_id: conversation.to_bytes(),
            generation: epoch.generation,
            epoch: epoch.epoch,
        };
        let frame = event_frame(Body::ForkCheckMismatch(event));
        let rooms = self.subscribers.get(&conversation).into_iter();
        for queue in rooms.flat_map(|room| room.queues.values()) {
            queue.hint(&frame);
        }
    }
}

/// Counts a connection as there, though it is pushed nothing.
fn attend(subscribers: &mut Subscribers, id: u64, (conversation, members): (ConversationId, u64)) {
    let room = subscribers.entry(conversation).or_default();
    room.members = members;
    room.silent.insert(id);
}

/// The event that tells a device that it has few KeyPackages.
pub(super) fn low_event(suite: u16, available: u32) -> Body {
    Body::KeyPackagesLow(v1::KeyPackagesLow { suite: suite.into(), available })
}

fn key_packages_low(suite: u16, available: u32) -> Bytes {
    event_frame(low_event(suite, available))
}

#[cfg(test)]
mod tests;
