//! Searching what is kept. What is found is what is shown: a text as an edit left it, and nothing that was redacted. Rooms have an
//! index; private conversations have none, and are gone through.

mod query;
mod readings;

use std::collections::{BTreeMap, VecDeque};

use aside_proto::{id::ConversationId, v1};
use aside_session::client::timeline::Body;
use prost::Message as _;

use self::{query::Query, readings::Readings};
use super::Kept;
use crate::{
    Content, Entry, Error, StateError, What,
    store::{Followed, Hit, HitAt, Searchable, Sought, Store, Unsearched},
    view,
};

/// Entries on a page.
const PAGE: usize = 50;
/// What a page may cost, so that whoever waits for it is not kept waiting: a private message that is read costs 1.
const MAX_COST: u32 = 4000;
/// And one that has to be put together from what refers to it.
const COST_OF_VIEW: u32 = 4;
/// Entries made findable in one transaction.
const BATCH: u32 = 500;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits {
    /// Messages, the newest first. Of many that were gone through, none may be among them, and yet more be to come.
    pub entries: Vec<Entry>,
    /// Where to go on; none if that was all.
    pub next: Option<SearchPage>,
}

/// Where a search goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPage {
    /// Among what the index finds.
    rooms: Option<HitAt>,
    /// Of private conversations, those before which entry are still to be gone through.
    private: BTreeMap<ConversationId, u64>,
}

/// What the index finds, the newest first.
struct Found<'a> {
    store: &'a Store,
    query: &'a Query,
    conversation: Option<ConversationId>,
    after: Option<HitAt>,
    waiting: VecDeque<Hit>,
    is_done: bool,
}

impl Kept {
    /// The messages whose text, as it is shown now, has all words of `query`, of the last any that begins so; the newest first.
    /// Case and accents do not count. In one conversation, or in all that are kept. The first search goes through all that is
    /// kept of rooms, later ones through what has come since; what is private each search reads anew.
    ///
    /// # Errors
    /// [`Error::QueryTooLong`], [`Error::State`].
    pub async fn search(
        &self,
        query: &str,
        conversation: Option<ConversationId>,
        page: Option<SearchPage>,
    ) -> Result<Hits, Error> {
        let Some(query) = Query::read(query)? else {
            return Ok(Hits { entries: Vec::new(), next: None });
        };
        let mut conversations = self.store.conversations().await?;
        conversations.retain(|known| conversation.is_none_or(|it| it == known.conversation));
        for Followed { conversation, name, kind, .. } in &conversations {
            if !kind.is_private() {
                self.index(*conversation, name).await?;
            }
        }
        let (after, before) = page.map(|page| (page.rooms, page.private)).unwrap_or_default();
        let mut readings = Readings::of(&self.store, &conversations, &before);
        let mut found = Found {
            store: &self.store,
            query: &query,
            conversation,
            after,
            waiting: VecDeque::new(),
            is_done: false,
        };
        let (mut entries, mut cost) = (Vec::new(), 0);
        while entries.len() < PAGE && cost < MAX_COST {
            match (found.next_at().await?, readings.next_at().await?) {
                (None, None) => return Ok(Hits { entries, next: None }),
                (Some(indexed), private) if private.is_none_or(|private| indexed >= private) => {
                    let Some(hit) = found.next() else { break };
                    cost += COST_OF_VIEW;
                    entries.extend(self.shown(hit.conversation, hit.seq).await?);
                }
                _ => {
                    let Some((conversation, sought)) = readings.next() else { break };
                    cost += 1;
                    if may_meet(&query, &sought)? {
                        cost += COST_OF_VIEW;
                        let entry = self.shown(conversation, sought.seq).await?;
                        let is_met = |entry: &Entry| {
                            shown_text(entry).is_some_and(|text| query.is_met_by(text))
                        };
                        entries.extend(entry.filter(is_met));
                    }
                }
            }
        }
        let next = SearchPage { rooms: found.after, private: readings.place() };
        Ok(Hits { entries, next: Some(next) })
    }

    /// A message, if it is shown by itself.
    async fn shown(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<Entry>, StateError> {
        let Some(known) = self.store.conversation(conversation).await? else { return Ok(None) };
        let kept = self.store.entries_from(conversation, seq, 1).await?.into_iter().next();
        let Some(kept) = kept.filter(|kept| kept.seq == seq) else { return Ok(None) };
        let entry = view::entry(&self.store, &known.name, kept).await?;
        Ok(Some(entry).filter(|entry| shown_text(entry).is_some()))
    }

    /// Makes findable what no search has been through.
    async fn index(&self, conversation: ConversationId, name: &str) -> Result<(), StateError> {
        loop {
            let batch = self.store.unsearched(conversation, BATCH).await?;
            let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(()) };
            let range = (first.kept.seq, last.kept.seq);
            let mut texts = BTreeMap::new();
            for Unsearched { kept, referred } in batch {
                let header = v1::EntryHeader::decode(&kept.header[..]).unwrap_or_default();
                if header.kind() != v1::EntryKind::Message {
                    continue;
                }
                let (seq, time_ms) = (kept.seq, header.time_ms);
                let body = Body::read(&kept.payload);
                if let Some(Body::Edit { to, .. }) = &body {
                    texts.extend(self.as_shown(conversation, name, to.seq).await?);
                }
                let searchable = match (referred, body) {
                    (true, Some(_)) => self.as_shown(conversation, name, seq).await?,
                    (false, Some(Body::Text { text, .. } | Body::Edit { text, .. })) => {
                        Some((seq, Searchable { seq, time_ms, text: Some(text.body) }))
                    }
                    _ => None,
                };
                texts.extend(searchable);
            }
            let texts: Vec<_> = texts.into_values().collect();
            self.store.index(conversation, &texts, range).await?;
        }
    }

    /// A message that others refer to, with the text that it has by now.
    async fn as_shown(
        &self,
        conversation: ConversationId,
        name: &str,
        seq: u64,
    ) -> Result<Option<(u64, Searchable)>, StateError> {
        let kept = self.store.entries_from(conversation, seq, 1).await?.into_iter().next();
        let Some(kept) = kept.filter(|kept| kept.seq == seq) else { return Ok(None) };
        let entry = view::entry(&self.store, name, kept).await?;
        let text = shown_text(&entry).map(str::to_owned);
        Ok(Some((seq, Searchable { seq, time_ms: entry.time_ms, text })))
    }
}

/// What is shown of an entry by itself.
fn shown_text(entry: &Entry) -> Option<&str> {
    match &entry.what {
        What::Message {
            text: Some(text),
            content: Content::Text { .. } | Content::Edit { message: None, .. },
            ..
        } => Some(text),
        _ => None,
    }
}

/// Whether a private message may be found: by what it says itself, or by what others made of it.
fn may_meet(query: &Query, sought: &Sought) -> Result<bool, StateError> {
    let body = sought.said()?.and_then(|said| Body::read(&said.content));
    Ok(match body {
        Some(Body::Text { text, .. } | Body::Edit { text, .. }) => {
            sought.referred || query.is_met_by(&text.body)
        }
        _ => false,
    })
}

impl Found<'_> {
    /// When the next was said.
    async fn next_at(&mut self) -> Result<Option<u64>, StateError> {
        if self.waiting.is_empty() && !self.is_done {
            let (query, most) = (&self.query.fts, PAGE as u32);
            let hits = self.store.hits(query, self.conversation, self.after, most).await?;
            self.is_done = hits.len() < PAGE;
            self.waiting = hits.into();
        }
        Ok(self.waiting.front().map(|hit| hit.at.time_ms))
    }

    /// The next, as [`next_at`](Self::next_at) has said it.
    fn next(&mut self) -> Option<Hit> {
        let hit = self.waiting.pop_front()?;
        self.after = Some(hit.at);
        Some(hit)
    }
}
