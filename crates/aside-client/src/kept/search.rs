//! Searching what is kept. What is found is what is shown: a text as an edit left it, and nothing that was redacted.

use std::collections::BTreeMap;

use aside_proto::{id::ConversationId, v1};
use aside_session::client::timeline::Body;
use prost::Message as _;

use super::Kept;
use crate::{
    Content, Entry, Error, StateError, What,
    store::{HitAt, Searchable, Unsearched},
    view,
};

/// Longest query, in bytes.
const MAX_QUERY_BYTES: usize = 256;
/// Most words in one.
const MAX_WORDS: usize = 16;
/// Entries on a page.
const PAGE: usize = 50;
/// Hits looked at for a page; more wait for the next.
const MAX_LOOKS: usize = 1000;
/// Entries made findable in one transaction.
const BATCH: u32 = 500;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits {
    /// Messages, the newest first.
    pub entries: Vec<Entry>,
    /// Where to go on; none if that was all.
    pub next: Option<SearchPage>,
}

/// Where a search goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchPage(HitAt);

impl Kept {
    /// The messages whose text, as it is shown now, has all words of `query`, of the last any that begins so; the newest first.
    /// Case and accents do not count. In one conversation, or in all that are kept. The first search goes through all that is
    /// kept, later ones through what has come since.
    ///
    /// # Errors
    /// [`Error::QueryTooLong`], [`Error::State`].
    pub async fn search(
        &self,
        query: &str,
        conversation: Option<ConversationId>,
        page: Option<SearchPage>,
    ) -> Result<Hits, Error> {
        let Some(words) = words(query)? else {
            return Ok(Hits { entries: Vec::new(), next: None });
        };
        for known in self.store.conversations().await? {
            if conversation.is_none_or(|conversation| conversation == known.conversation) {
                self.index(known.conversation, &known.name).await?;
            }
        }
        let mut entries = Vec::new();
        let mut after = page.map(|page| page.0);
        let mut looks = 0;
        while looks < MAX_LOOKS {
            let hits = self.store.hits(&words, conversation, after, PAGE as u32).await?;
            for hit in &hits {
                looks += 1;
                after = Some(hit.at);
                entries.extend(self.shown(hit.conversation, hit.seq).await?);
                if entries.len() == PAGE {
                    return Ok(Hits { entries, next: after.map(SearchPage) });
                }
            }
            if hits.len() < PAGE {
                return Ok(Hits { entries, next: None });
            }
        }
        Ok(Hits { entries, next: after.map(SearchPage) })
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

/// A query as FTS5 takes it: each word for itself, the last as the beginning of one. None if there is nothing to look for.
fn words(query: &str) -> Result<Option<String>, Error> {
    let words: Vec<_> = query.split_whitespace().collect();
    if query.len() > MAX_QUERY_BYTES || words.len() > MAX_WORDS {
        return Err(Error::QueryTooLong);
    }
    let quoted: Vec<_> =
        words.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
    let any = query.contains(char::is_alphanumeric);
    Ok(any.then(|| format!("{} *", quoted.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_words_and_nothing_else() {
        let words = |query| words(query).unwrap();
        assert_eq!(words("tea AND text:x").as_deref(), Some("\"tea\" \"AND\" \"text:x\" *"));
        assert_eq!(words("say \"tea\"").as_deref(), Some("\"say\" \"\"\"tea\"\"\" *"));
        assert_eq!(words("  "), None);
        assert_eq!(words("*"), None);
        assert!(super::words(&"x".repeat(257)).is_err());
        assert!(super::words(&"x ".repeat(17)).is_err());
    }
}
