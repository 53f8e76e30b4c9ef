//! Events on their way to the program. The queue is bounded; entries that find it full wait in the store, where they are
//! anyway, so that a slow program loses nothing and holds up nothing.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use aside_proto::id::ConversationId;
use tokio::sync::mpsc;

use crate::{
    Event,
    store::{StateError, Store},
    view,
};

/// Events that are neither entries nor warnings and wait for room; the oldest are dropped beyond.
const MAX_NOTICES: usize = 256;
/// Warnings that wait for room: nothing but a newer warning takes their place. More than a conversation each, and an outbox full
/// of messages that failed.
const MAX_WARNINGS: usize = 4096;
/// Entries read from the store at once.
const CHUNK: u32 = 64;

/// The producing end of [`Events`](crate::Events).
#[derive(Debug)]
pub(super) struct Outlet {
    sender: mpsc::Sender<Event>,
    store: Arc<Store>,
    warnings: VecDeque<Event>,
    notices: VecDeque<Event>,
    /// Of each conversation, the next entry to be told.
    next: BTreeMap<ConversationId, Next>,
    /// Those that may have something to tell.
    fresh: BTreeSet<ConversationId>,
}

#[derive(Debug)]
struct Next {
    seq: u64,
    room: String,
}

impl Outlet {
    pub(super) fn new(sender: mpsc::Sender<Event>, store: Arc<Store>) -> Self {
        let (warnings, notices, next, fresh) = Default::default();
        Self { sender, store, warnings, notices, next, fresh }
    }

    /// Tells the entries of a conversation from `seq` on, those that are kept already too.
    pub(super) fn follow(&mut self, conversation: ConversationId, room: &str, seq: u64) {
        let room = room.to_owned();
        let next = self.next.entry(conversation).or_insert(Next { seq, room: String::new() });
        next.room = room;
        self.fresh.insert(conversation);
    }

    /// A conversation has another name from now on.
    pub(super) fn rename(&mut self, conversation: ConversationId, room: &str) {
        if let Some(next) = self.next.get_mut(&conversation) {
            room.clone_into(&mut next.room);
        }
    }

    /// Tells nothing more of a conversation.
    pub(super) fn forget(&mut self, conversation: ConversationId) {
        self.next.remove(&conversation);
        self.fresh.remove(&conversation);
    }

    /// Entries were kept, or signatures settled.
    pub(super) fn refresh(&mut self, conversation: ConversationId) {
        self.fresh.insert(conversation);
    }

    /// Tells anything but an entry.
    pub(super) fn tell(&mut self, event: Event) {
        let (queue, limit) = match is_warning(&event) {
            true => (&mut self.warnings, MAX_WARNINGS),
            false => (&mut self.notices, MAX_NOTICES),
        };
        // From the end: what it says anew was said last, if at all.
        if let Some(at) = queue.iter().rposition(|earlier| makes_up_for(&event, earlier)) {
            queue.remove(at);
        }
        if queue.len() == limit {
            queue.pop_front();
        }
        queue.push_back(event);
    }

    /// Whether something waits for room.
    pub(super) fn is_waiting(&self) -> bool {
        let told = self.warnings.is_empty() && self.notices.is_empty() && self.fresh.is_empty();
        let waits = !told;
        waits && !self.sender.is_closed()
    }

    /// Waits for room.
    pub(super) async fn ready(&self) {
        // An error means that nobody listens any more: `is_waiting` says so from now on.
        let _ = self.sender.reserve().await;
    }

    /// Hands over as much as there is room for.
    pub(super) async fn pump(&mut self) -> Result<(), StateError> {
        loop {
            while !(self.warnings.is_empty() && self.notices.is_empty()) {
                let Ok(permit) = self.sender.try_reserve() else { return Ok(()) };
                if let Some(event) = self.warnings.pop_front().or_else(|| self.notices.pop_front())
                {
                    permit.send(event);
                }
            }
            let Some(conversation) = self.fresh.first().copied() else { return Ok(()) };
            if !self.tell_entries(conversation).await? {
                return Ok(());
            }
            self.fresh.remove(&conversation);
        }
    }

    /// Tells entries until there are no more, or none whose signature is settled; `false` if there is no room.
    async fn tell_entries(&mut self, conversation: ConversationId) -> Result<bool, StateError> {
        let Some(next) = self.next.get_mut(&conversation) else { return Ok(true) };
        loop {
            let entries = self.store.entries_from(conversation, next.seq, CHUNK).await?;
            if entries.is_empty() {
                return Ok(true);
            }
            for kept in entries {
                if !kept.signature.is_settled() {
                    return Ok(true);
                }
                let Ok(permit) = self.sender.try_reserve() else { return Ok(false) };
                let seq = kept.seq;
                permit.send(Event::Entry(view::entry(&self.store, &next.room, kept).await?));
                next.seq = seq + 1;
            }
        }
    }

    /// The last words: waits until the program has taken everything, or went away.
    pub(super) async fn finish(self, last: Option<Event>) {
        for warning in self.warnings {
            let _ = self.sender.send(warning).await;
        }
        for notice in self.notices {
            let _ = self.sender.try_send(notice);
        }
        if let Some(event) = last {
            let _ = self.sender.send(event).await;
        }
    }
}

/// Whether the user must not miss it.
fn is_warning(event: &Event) -> bool {
    match event {
        Event::Tampering { .. }
        | Event::DeviceKeyChanged { .. }
        | Event::DeviceLogRefused { .. }
        | Event::MessageFailed { .. }
        | Event::Unfollowed { .. }
        | Event::Private { .. }
        | Event::Ended(_) => true,
        Event::Connection(_)
        | Event::Entry(_)
        | Event::GapRepaired { .. }
        | Event::Trimmed { .. }
        | Event::DeviceLogChanged { .. }
        | Event::DeviceAsks { .. }
        | Event::Invited { .. }
        | Event::Throttled { .. }
        | Event::Outgoing(_)
        | Event::Discarded { .. }
        | Event::WatermarkMoved { .. }
        | Event::Presence(_)
        | Event::PresenceSettings(_)
        | Event::Typing { .. }
        | Event::Notice(_) => false,
    }
}

/// Whether nobody needs to be told of `earlier` who is told of `event`.
fn makes_up_for(event: &Event, earlier: &Event) -> bool {
    match (event, earlier) {
        (Event::Connection(_), Event::Connection(_))
        | (Event::Throttled { .. }, Event::Throttled { .. })
        | (Event::PresenceSettings(_), Event::PresenceSettings(_)) => true,
        (Event::Presence(presence), Event::Presence(other)) => presence.who.user == other.who.user,
        (
            Event::Typing { conversation, who, .. },
            Event::Typing { conversation: other, who: somebody, .. },
        ) => conversation == other && who.user == somebody.user,
        (Event::Tampering { conversation, .. }, Event::Tampering { conversation: other, .. }) => {
            conversation == other
        }
        (Event::DeviceKeyChanged { device, .. }, Event::DeviceKeyChanged { device: other, .. }) => {
            device == other
        }
        (Event::DeviceAsks { device }, Event::DeviceAsks { device: other }) => device == other,
        (Event::DeviceLogChanged { who }, Event::DeviceLogChanged { who: other })
        | (Event::DeviceLogRefused { who, .. }, Event::DeviceLogRefused { who: other, .. }) => {
            who.user == other.user
        }
        (Event::Outgoing(outgoing), Event::Outgoing(other)) => {
            outgoing.message_id == other.message_id
        }
        (Event::Discarded { message_id, .. }, Event::Outgoing(outgoing)) => {
            *message_id == outgoing.message_id
        }
        (Event::Unfollowed { conversation, .. }, Event::Unfollowed { conversation: other, .. }) => {
            conversation == other
        }
        (
            Event::WatermarkMoved { conversation, watermark },
            Event::WatermarkMoved { conversation: of, watermark: other },
        ) => conversation == of && watermark.who.user == other.who.user,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
