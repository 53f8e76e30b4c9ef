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
    store::{StateError, Store, StoredSignature},
    view,
};

/// Events that are not entries and wait for room; the oldest are dropped beyond.
const MAX_NOTICES: usize = 256;
/// Entries read from the store at once.
const CHUNK: u32 = 64;

/// The producing end of [`Events`](crate::Events).
#[derive(Debug)]
pub(super) struct Outlet {
    sender: mpsc::Sender<Event>,
    store: Arc<Store>,
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
        let (notices, next, fresh) = Default::default();
        Self { sender, store, notices, next, fresh }
    }

    /// Tells the entries of a conversation from `seq` on, those that are kept already too.
    pub(super) fn follow(&mut self, conversation: ConversationId, room: &str, seq: u64) {
        let room = room.to_owned();
        let next = self.next.entry(conversation).or_insert(Next { seq, room: String::new() });
        next.room = room;
        self.fresh.insert(conversation);
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
        if let Event::Connection(_) = event {
            self.notices.retain(|notice| !matches!(notice, Event::Connection(_)));
        }
        if self.notices.len() == MAX_NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(event);
    }

    /// Whether something waits for room.
    pub(super) fn is_waiting(&self) -> bool {
        let waits = !self.notices.is_empty() || !self.fresh.is_empty();
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
            while !self.notices.is_empty() {
                let Ok(permit) = self.sender.try_reserve() else { return Ok(()) };
                if let Some(notice) = self.notices.pop_front() {
                    permit.send(notice);
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
                if kept.signature == StoredSignature::Pending {
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
    pub(super) async fn finish(mut self, last: Option<Event>) {
        while let Some(notice) = self.notices.pop_front() {
            let _ = self.sender.try_send(notice);
        }
        if let Some(event) = last {
            let _ = self.sender.send(event).await;
        }
    }
}
