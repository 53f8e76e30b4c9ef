//! What private messages said, gone through one by one: an index of their words would be another copy of them (STORE-011).

use std::collections::{BTreeMap, VecDeque};

use aside_proto::id::ConversationId;

use crate::{
    StateError,
    store::{Followed, Sought, Store},
};

/// Readings fetched at once: few at first, since many conversations may have none that is new.
const FIRST: u32 = 4;
const MOST: u32 = 64;

/// The messages of private conversations, the newest first.
pub(super) struct Readings<'a> {
    store: &'a Store,
    all: Vec<Told>,
}

/// Those of one conversation.
struct Told {
    conversation: ConversationId,
    /// Of those below this none was gone through.
    before: u64,
    waiting: VecDeque<Sought>,
    fetch: u32,
    is_done: bool,
}

impl<'a> Readings<'a> {
    /// Those of private conversations among these, each from where an earlier page ended.
    pub(super) fn of(
        store: &'a Store,
        conversations: &[Followed],
        before: &BTreeMap<ConversationId, u64>,
    ) -> Self {
        let told = |known: &Followed| Told {
            conversation: known.conversation,
            before: before.get(&known.conversation).copied().unwrap_or(u64::MAX),
            waiting: VecDeque::new(),
            fetch: FIRST,
            is_done: false,
        };
        let private = conversations.iter().filter(|known| known.kind.is_private());
        Self { store, all: private.map(told).collect() }
    }

    /// When the next was said.
    pub(super) async fn next_at(&mut self) -> Result<Option<u64>, StateError> {
        for told in &mut self.all {
            told.fill(self.store).await?;
        }
        Ok(self.all.iter().filter_map(Told::at).max())
    }

    /// The next, as [`next_at`](Self::next_at) has said it.
    pub(super) fn next(&mut self) -> Option<(ConversationId, Sought)> {
        let told =
            self.all.iter_mut().filter(|told| told.at().is_some()).max_by_key(|told| told.at())?;
        let sought = told.waiting.pop_front()?;
        told.before = sought.seq;
        Some((told.conversation, sought))
    }

    /// Where each goes on.
    pub(super) fn place(&self) -> BTreeMap<ConversationId, u64> {
        self.all.iter().map(|told| (told.conversation, told.before)).collect()
    }
}

impl Told {
    fn at(&self) -> Option<u64> {
        Some(self.waiting.front()?.time_ms)
    }

    async fn fill(&mut self, store: &Store) -> Result<(), StateError> {
        if self.is_done || !self.waiting.is_empty() {
            return Ok(());
        }
        self.waiting = store.said_before(self.conversation, self.before, self.fetch).await?.into();
        self.is_done = self.waiting.len() < self.fetch as usize;
        self.fetch = (self.fetch * 4).min(MOST);
        Ok(())
    }
}
