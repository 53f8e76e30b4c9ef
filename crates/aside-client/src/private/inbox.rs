//! The device's inbox: Welcomes that came, until the entries that they came with were taken in.

use std::collections::BTreeMap;

use aside_proto::{id::ConversationId, v1};
use bytes::Bytes;

/// What is known of the inbox.
#[derive(Debug)]
pub(super) struct Inbox {
    /// By conversation and the entry that each came with.
    items: BTreeMap<(ConversationId, u64), (u64, Bytes)>,
    /// The last position that was fetched.
    after: u64,
    /// The position up to which the server was told to forget.
    acked: u64,
    pub(super) is_due: bool,
    pub(super) is_asked: bool,
    /// Whether it was, or is being, read since new conversations were listed.
    pub(super) is_read_for_list: bool,
    /// Whether it was fetched to its end on this connection.
    pub(super) is_known: bool,
    pub(super) ack_in_flight: Option<u64>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            items: BTreeMap::new(),
            after: 0,
            acked: 0,
            is_due: true,
            is_asked: false,
            is_read_for_list: false,
            is_known: false,
            ack_in_flight: None,
        }
    }
}

impl Inbox {
    /// The connection is lost.
    pub(super) fn disconnected(&mut self) {
        (self.is_due, self.is_asked, self.is_known) = (true, false, false);
        (self.is_read_for_list, self.ack_in_flight) = (false, None);
    }

    pub(super) fn request(&self) -> v1::FetchInbox {
        v1::FetchInbox { after: self.after, max_items: 0 }
    }

    /// A page came.
    pub(super) fn fetched(&mut self, page: v1::Inbox) {
        self.is_asked = false;
        let is_empty = page.items.is_empty();
        for item in page.items {
            self.after = self.after.max(item.position);
            if let Ok(conversation) = ConversationId::try_from(&item.conversation_id[..]) {
                self.items.insert((conversation, item.seq), (item.position, item.welcome));
            }
        }
        if page.more && !is_empty {
            self.is_due = true;
        } else {
            self.is_known = true;
        }
    }

    /// The Welcome that came with an entry.
    pub(super) fn welcome(&self, conversation: ConversationId, seq: u64) -> Option<Bytes> {
        self.items.get(&(conversation, seq)).map(|(_, welcome)| welcome.clone())
    }

    /// The first entry that a Welcome to a conversation came with.
    pub(super) fn first(&self, conversation: ConversationId) -> Option<u64> {
        let of = (conversation, 0)..=(conversation, u64::MAX);
        self.items.range(of).next().map(|((_, seq), _)| *seq)
    }

    /// Where they lead.
    pub(super) fn conversations(&self) -> impl Iterator<Item = ConversationId> {
        self.items.keys().map(|(conversation, _)| *conversation)
    }

    /// What came with entries that were taken in is of no more use.
    pub(super) fn taken_in(&mut self, conversation: ConversationId, cursor: u64) {
        self.items.retain(|(of, seq), _| *of != conversation || *seq > cursor);
    }

    /// Whether it was read to its end, and nothing of it waits.
    pub(super) fn is_empty(&self) -> bool {
        self.is_known && self.items.is_empty()
    }

    /// What leads to no conversation that is followed is of no use.
    pub(super) fn keep(&mut self, is_followed: impl Fn(&ConversationId) -> bool) {
        self.items.retain(|(of, _), _| is_followed(of));
    }

    /// How far the server may forget what it holds, if that is further than it was told.
    pub(super) fn ack(&self) -> Option<u64> {
        if self.ack_in_flight.is_some() || !self.is_known {
            return None;
        }
        let waiting = self.items.values().map(|(position, _)| *position).min();
        let up_to = waiting.map_or(self.after, |first| first.saturating_sub(1));
        (up_to > self.acked).then_some(up_to)
    }

    pub(super) fn acked(&mut self) {
        if let Some(up_to) = self.ack_in_flight.take() {
            self.acked = up_to;
        }
    }
}
