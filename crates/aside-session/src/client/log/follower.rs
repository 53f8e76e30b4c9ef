//! The cursor of one conversation.

use std::collections::VecDeque;

use aside_crypto::{Hash, PublicKey, chain_start};
use aside_proto::{id::ConversationId, v1};
use prost::Message as _;

use super::{
    Accepted, Tampering,
    head::{MAX_SEQ, Stated},
    redaction::{Missing, Unexplained, redacted_by},
};
use crate::Now;

/// After so many entries taken in without meeting a signed head, the next is asked for (HEAD-009 allows 1,000).
pub const ENTRIES_BETWEEN_HEADS: u32 = 256;
/// After so long with entries that met no signed head, the next is asked for (HEAD-009 allows an hour).
pub const HEAD_INTERVAL_MS: u64 = 50 * 60 * 1000;
/// Chain values kept while a fetch is under way, to hold its signed head against; a head below them is not compared.
const RECENT: usize = 1024;

/// A place in a log: an entry, and the chain value after it. Seq 0 is the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The entry's seq.
    pub seq: u64,
    /// The chain value after it.
    pub chain: Hash,
}

/// Where a follower begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Before the first entry.
    Beginning,
    /// After an entry taken in earlier.
    After(Place),
    /// At this entry, at least 1, whatever came before.
    At(u64),
}

/// What a client keeps of a conversation between its runs, all of it written together with the entries taken in.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// The last entry taken in, with its chain value.
    pub place: Place,
    /// That entry's time, milliseconds since 1970: the next has none before it (LOG-004).
    pub time_ms: u64,
    /// The last signed head that was accepted: what later ones are held against, and evidence (HEAD-005).
    pub head: Option<v1::SignedHead>,
    /// Entries taken in without payload, whose redaction was not met yet.
    pub missing: Vec<Missing>,
    /// The entry before the first that is still there, if any is gone, as a head or TRIMMED last stated (HEAD-008).
    pub anchor: Option<Place>,
}

/// A fetch to make: `from_seq` and `signed_head` of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// The first entry wanted.
    pub from_seq: u64,
    /// Whether a signed head is wanted.
    pub signed_head: bool,
}

/// What a refused fetch means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Entries are gone for good, by retention; following goes on after them.
    Trimmed {
        /// The first that is gone and was not taken in.
        from_seq: u64,
        /// The first that is still there.
        first_seq: u64,
    },
    /// The error says nothing of the log.
    Other,
}

/// Follows one conversation. See [the module](super).
///
/// `poll_fetch` says what to fetch; its outcome goes to [`handle_fetched`](Self::handle_fetched),
/// [`handle_refused`](Self::handle_refused) or, with the connection lost, [`handle_disconnected`](Self::handle_disconnected).
/// After [`Tampering`] a follower takes nothing in any more.
#[derive(Debug, Clone)]
pub struct Follower {
    conversation: ConversationId,
    cursor: Cursor,
    time_ms: u64,
    /// The greatest seq known to be there.
    wanted: u64,
    fetching: Option<Fetching>,
    /// Where the chain will have to be: a signed head above the cursor.
    expected: Option<Place>,
    /// Chain values from where the fetch under way began.
    recent: VecDeque<Place>,
    /// The entry before the first that is still there, as last stated: entries never come back, nor does this place.
    anchor: Place,
    /// The last signed head that was accepted.
    head: Option<v1::SignedHead>,
    missing: Unexplained,
    /// Entries since the last signed head that agreed.
    unvouched: u32,
    /// When there were such entries first, on the monotonic clock.
    unvouched_since_ms: Option<u64>,
    head_due: bool,
    /// A head is due for no other reason than that the connection is another.
    resuming: bool,
    /// It may wait for the next entry.
    resting: bool,
    tampered: bool,
}

#[derive(Debug, Clone, Copy)]
enum Cursor {
    After(Place),
    /// The chain value before this entry is not known yet.
    At(u64),
}

#[derive(Debug, Clone, Copy)]
struct Fetching {
    fetch: Fetch,
    /// The last entry known of when it was asked.
    floor: u64,
    /// The last entry known to be gone when it was asked.
    gone: u64,
}

impl Follower {
    /// Follows from `start`. A signed head is asked for at once.
    #[must_use]
    pub fn new(conversation: ConversationId, start: Start) -> Self {
        let beginning = Place { seq: 0, chain: chain_start(conversation) };
        let cursor = match start {
            Start::Beginning | Start::At(0..=1) => Cursor::After(beginning),
            Start::After(place) => Cursor::After(place),
            Start::At(seq) => Cursor::At(seq),
        };
        let mut follower = Self {
            conversation,
            cursor,
            time_ms: 0,
            wanted: 0,
            fetching: None,
            expected: None,
            recent: VecDeque::new(),
            anchor: beginning,
            head: None,
            missing: Unexplained::default(),
            unvouched: 0,
            unvouched_since_ms: None,
            head_due: true,
            resuming: false,
            resting: false,
            tampered: false,
        };
        follower.wanted = follower.cursor.seq();
        follower
    }

    /// A follower that expects to come by `place`, and asks for no signed head: to read back from entries taken in earlier.
    #[must_use]
    pub fn until(conversation: ConversationId, start: Start, place: Place) -> Self {
        let mut follower = Self::new(conversation, start);
        follower.expected = Some(place);
        follower.head_due = false;
        follower.wanted = place.seq;
        follower
    }

    /// Follows on from what was kept.
    #[must_use]
    pub fn resume(conversation: ConversationId, remembered: Remembered) -> Self {
        let Remembered { place, time_ms, head, missing, anchor } = remembered;
        let mut follower = Self::new(conversation, Start::After(place));
        follower.time_ms = time_ms;
        missing.into_iter().for_each(|missing| follower.note_missing(missing));
        if let Some(Ok(stated)) = head.as_ref().map(|head| Stated::read(conversation, head)) {
            follower.anchor = stated.anchor;
            follower.wanted = follower.wanted.max(stated.head.seq);
            follower.expected = Some(stated.head).filter(|head| head.seq > place.seq);
        }
        follower.resuming = true;
        if let Some(anchor) = anchor.filter(|anchor| anchor.seq > follower.anchor.seq) {
            follower.anchor = anchor;
        }
        follower.head = head;
        follower
    }

    /// What is to be kept; none while nothing is known of the chain.
    #[must_use]
    pub fn remembered(&self) -> Option<Remembered> {
        let place = self.place()?;
        let (head, missing) = (self.head.clone(), self.missing.all());
        let anchor = Some(self.anchor).filter(|anchor| anchor.seq > 0);
        Some(Remembered { place, time_ms: self.time_ms, head, missing, anchor })
    }

    /// The conversation.
    #[must_use]
    pub fn conversation(&self) -> ConversationId {
        self.conversation
    }

    /// The last entry taken in, with its chain value; none while nothing is known of the chain.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        match self.cursor {
            Cursor::After(place) => Some(place),
            Cursor::At(_) => None,
        }
    }

    /// The entry before the first that is still there, as a signed head or TRIMMED last stated it; seq 0 if none is gone.
    #[must_use]
    pub fn anchor(&self) -> Place {
        self.anchor
    }

    /// Whether every entry known to be there was taken in.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.cursor.seq() >= self.wanted
    }

    /// Whether the chain met a signed head since the last entry, and none is asked for.
    #[must_use]
    pub fn is_vouched_for(&self) -> bool {
        !self.tampered && !self.head_due && self.unvouched == 0 && self.expected.is_none()
    }

    /// Takes a pushed entry. `None` if it is at or below the cursor, or above the next (PUSH-009), or without payload: only a
    /// fetch says by when that is explained (REDACT-014).
    ///
    /// # Errors
    /// [`Tampering`].
    pub fn handle_pushed(&mut self, entry: &v1::Entry) -> Result<Option<Accepted>, Tampering> {
        if self.tampered {
            return Ok(None);
        }
        let seq = v1::EntryHeader::decode(&entry.header[..]).map_or(0, |header| header.seq);
        match self.cursor {
            Cursor::After(place) if seq == place.seq + 1 && !entry.salt.is_empty() => {
                let result = self.take(&place, std::slice::from_ref(entry), seq);
                let accepted = self.tampering_ends(result)?;
                self.handle_seq(seq);
                Ok(accepted.into_iter().next())
            }
            _ => {
                self.handle_seq(seq);
                Ok(None)
            }
        }
    }

    /// Takes a Gap, or any other word of how far the log goes, such as that of a Room.
    pub fn handle_head_seq(&mut self, head_seq: u64) {
        self.handle_seq(head_seq);
        // It may be old; a signed head says (HEAD-005).
        if head_seq < self.cursor.seq() {
            self.request_head();
        }
    }

    /// Takes any word of an entry that is there, such as that of a watermark: so far the log is followed, or the server has lied.
    pub fn handle_seq(&mut self, seq: u64) {
        self.wanted = self.wanted.max(seq.min(MAX_SEQ));
    }

    /// The log goes as far as the cursor, the server says. Then what a signed head vouched for before the connection was made needs
    /// no other until something is added to it, unless one was asked for.
    pub fn rest(&mut self) {
        let stated = self.head.as_ref().map(|head| Stated::read(self.conversation, head));
        let at_head = |stated: Stated| Some(stated.head) == self.place();
        let vouched_for = stated.and_then(Result::ok).is_some_and(at_head);
        if self.resuming && self.is_caught_up() && vouched_for {
            (self.head_due, self.resuming, self.resting) = (false, false, true);
        }
    }

    /// What was read back without payload, and nothing that was taken in redacts: it is explained by an entry to come.
    ///
    /// # Errors
    /// [`Tampering`], if the cursor is beyond where that would have been.
    pub fn handle_missing(&mut self, missing: &[Missing]) -> Result<(), Tampering> {
        missing.iter().for_each(|missing| self.note_missing(*missing));
        let result = self.missing.check(self.cursor.seq());
        self.tampering_ends(result)
    }

    /// The log goes as far as where the redaction has to be, the server said: so far it is followed, or the server has lied.
    fn note_missing(&mut self, missing: Missing) {
        self.handle_seq(missing.head_seq);
        self.missing.note(missing);
    }

    /// Asks for a signed head with the next fetch, as when a connection resumes or the user wants to be sure.
    pub fn request_head(&mut self) {
        (self.head_due, self.resuming) = (true, false);
    }

    /// Tells the time, some minutes apart: a head is asked for once entries went without one for long (HEAD-009).
    pub fn handle_time(&mut self, now: Now) {
        if self.unvouched == 0 {
            self.unvouched_since_ms = None;
            return;
        }
        let since_ms = *self.unvouched_since_ms.get_or_insert(now.monotonic_ms);
        if now.monotonic_ms.saturating_sub(since_ms) >= HEAD_INTERVAL_MS {
            self.unvouched_since_ms = Some(now.monotonic_ms);
            self.head_due = true;
        }
    }

    /// The fetch to make now, if any; at most one is under way.
    pub fn poll_fetch(&mut self) -> Option<Fetch> {
        let may_ask = self.expected.is_none();
        let nothing_due = self.is_caught_up() && !(self.head_due && may_ask);
        if self.tampered || self.fetching.is_some() || nothing_due {
            return None;
        }
        let signed_head = may_ask && (self.head_due || self.resting);
        let fetch = Fetch { from_seq: self.cursor.seq() + 1, signed_head };
        self.fetching = Some(Fetching { fetch, floor: self.wanted, gone: self.anchor.seq });
        self.recent.clear();
        self.recent.extend(self.place());
        Some(fetch)
    }

    /// Takes what was fetched, and lets through the entries after the cursor. `log_key` is the server's.
    ///
    /// # Errors
    /// [`Tampering`]; then nothing of it was taken in.
    pub fn handle_fetched(
        &mut self,
        log_key: &PublicKey,
        fetched: &v1::Fetched,
    ) -> Result<Vec<Accepted>, Tampering> {
        let Some(fetching) = self.fetching.take().filter(|_| !self.tampered) else {
            return Ok(Vec::new());
        };
        // On a copy: entries that their own head contradicts must not move the cursor.
        let mut advanced = self.clone();
        let result = advanced.check_fetched(log_key, fetching, fetched);
        if result.is_ok() {
            *self = advanced;
        }
        self.recent.clear();
        self.tampering_ends(result)
    }

    /// Takes the error that a fetch failed with.
    ///
    /// # Errors
    /// [`Tampering`], if the error says that the log is not what it was.
    pub fn handle_refused(&mut self, error: &v1::Error) -> Result<Refusal, Tampering> {
        let Some(fetching) = self.fetching.take().filter(|_| !self.tampered) else {
            return Ok(Refusal::Other);
        };
        let result = match error.code() {
            v1::ErrorCode::SeqOutOfRange => {
                Err(Tampering::Shorter { head: error.head_seq, seen: fetching.floor })
            }
            v1::ErrorCode::Trimmed => self.trimmed(fetching, error),
            _ => Ok(Refusal::Other),
        };
        self.tampering_ends(result)
    }

    /// Notes that the log begins after a place, as TRIMMED told elsewhere, say where it was read back (HEAD-008).
    ///
    /// # Errors
    /// [`Tampering`], if it can't begin there.
    pub fn handle_anchor(&mut self, anchor: Place) -> Result<(), Tampering> {
        // One that was told earlier says nothing against what was stated since.
        let result = self.meet_anchor(anchor, 0);
        self.tampering_ends(result)
    }

    /// The connection is lost, and with it any fetch under way. When the next resumes, a signed head is asked for.
    pub fn handle_disconnected(&mut self) {
        self.fetching = None;
        self.recent.clear();
        self.resuming |= !self.head_due;
        self.head_due = true;
    }

    fn tampering_ends<T>(&mut self, result: Result<T, Tampering>) -> Result<T, Tampering> {
        self.tampered |= result.is_err();
        result
    }

    fn check_fetched(
        &mut self,
        log_key: &PublicKey,
        Fetching { fetch, floor, gone }: Fetching,
        fetched: &v1::Fetched,
    ) -> Result<Vec<Accepted>, Tampering> {
        let from_seq = fetch.from_seq;
        let chain = fetched.prev_chain[..].try_into();
        let before = Place {
            seq: from_seq - 1,
            chain: chain.map_err(|_| Tampering::Chain { seq: from_seq - 1 })?,
        };
        self.compare(&before)?;
        if fetched.head_seq > MAX_SEQ {
            return Err(Tampering::Head("it is said to be longer than any log is"));
        }
        if fetched.head_seq < floor {
            return Err(Tampering::Shorter { head: fetched.head_seq, seen: floor });
        }
        if fetched.entries.is_empty() && fetched.head_seq >= from_seq {
            return Err(Tampering::Withheld { seq: from_seq });
        }
        let last = from_seq - 1 + fetched.entries.len() as u64;
        let head = match &fetched.signed_head {
            _ if !fetch.signed_head => None,
            Some(head) => {
                let stated = Stated::open(log_key, self.conversation, head)?;
                let seen = floor.max(last);
                if stated.head.seq < seen {
                    return Err(Tampering::Shorter { head: stated.head.seq, seen });
                }
                Some(stated)
            }
            None => return Err(Tampering::Head("no signed head came")),
        };
        let accepted = self.take(&before, &fetched.entries, fetched.head_seq)?;
        self.wanted = self.wanted.max(fetched.head_seq);
        if let Some(stated) = head {
            (self.head_due, self.resuming, self.resting) = (false, false, false);
            self.meet(stated, gone)?;
            self.head.clone_from(&fetched.signed_head);
        }
        Ok(accepted)
    }

    /// Checks `entries` as those after `before`, of a log that ended at `head_seq`, and moves the cursor past those that are new.
    /// Nothing changes on error.
    fn take(
        &mut self,
        before: &Place,
        entries: &[v1::Entry],
        head_seq: u64,
    ) -> Result<Vec<Accepted>, Tampering> {
        let cursor = self.cursor.seq();
        let mut place = *before;
        let mut time_ms = if before.seq == cursor { self.time_ms } else { 0 };
        let mut accepted = Vec::with_capacity(entries.len());
        for entry in entries {
            let entry = Accepted::check(self.conversation, &place, time_ms, entry)?;
            place = Place { seq: entry.seq, chain: entry.chain };
            time_ms = entry.header.time_ms;
            self.compare(&place)?;
            if entry.seq > cursor {
                accepted.push(entry);
            }
        }
        let mut missing = self.missing.clone();
        for entry in &accepted {
            if entry.is_redacted() {
                missing.note(Missing { seq: entry.seq, head_seq });
            }
            missing.explain(entry.seq, &redacted_by(&entry.header, &entry.entry.payload));
        }
        missing.check(cursor.max(place.seq))?;
        self.missing = missing;
        if place.seq >= cursor {
            self.cursor = Cursor::After(place);
            self.time_ms = time_ms;
        }
        self.remember(&accepted);
        Ok(accepted)
    }

    fn remember(&mut self, accepted: &[Accepted]) {
        if self.fetching.is_some() {
            let places = accepted.iter().map(|entry| Place { seq: entry.seq, chain: entry.chain });
            self.recent.extend(places);
            let excess = self.recent.len().saturating_sub(RECENT);
            self.recent.drain(..excess);
        }
        let count = u32::try_from(accepted.len()).unwrap_or(u32::MAX);
        self.unvouched = self.unvouched.saturating_add(count);
        self.head_due |= self.unvouched >= ENTRIES_BETWEEN_HEADS || (self.resting && count > 0);
        let reached = self.expected.is_some_and(|place| place.seq <= self.cursor.seq());
        if let Some(place) = self.expected.take_if(|_| reached) {
            self.unvouched = u32::try_from(self.cursor.seq() - place.seq).unwrap_or(u32::MAX);
        }
    }

    /// LOG-011, HEAD-005: holds a place against all that are known.
    fn compare(&self, place: &Place) -> Result<(), Tampering> {
        let known = [Some(self.anchor), self.place(), self.expected].into_iter().flatten();
        let known = known.chain(self.recent.iter().copied());
        let mut same = known.filter(|known| known.seq == place.seq);
        match same.all(|known| known.chain == place.chain) {
            true => Ok(()),
            false => Err(Tampering::Chain { seq: place.seq }),
        }
    }

    /// Holds a signed head against the chain: now, or when the cursor gets there. `gone` is the last entry that was known to be gone
    /// when it was asked for.
    fn meet(&mut self, Stated { head, anchor }: Stated, gone: u64) -> Result<(), Tampering> {
        self.compare(&head)?;
        self.meet_anchor(anchor, gone)?;
        self.wanted = self.wanted.max(head.seq);
        let cursor = self.cursor.seq();
        if head.seq > cursor {
            self.expected = Some(head);
        } else {
            self.unvouched = u32::try_from(cursor - head.seq).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    /// HEAD-008, FETCH-007: what is before the first entry that is still there.
    fn meet_anchor(&mut self, anchor: Place, gone: u64) -> Result<(), Tampering> {
        if anchor.seq < gone {
            return Err(Tampering::Trimmed { first_seq: anchor.seq + 1 });
        }
        self.compare(&anchor)?;
        if anchor.seq > self.anchor.seq {
            self.anchor = anchor;
        }
        Ok(())
    }

    fn trimmed(
        &mut self,
        Fetching { fetch: Fetch { from_seq, .. }, gone, .. }: Fetching,
        error: &v1::Error,
    ) -> Result<Refusal, Tampering> {
        let first_seq = error.first_seq;
        let chain = <Hash>::try_from(&error.anchor[..]);
        let (Ok(chain), true) = (chain, (from_seq + 1..=MAX_SEQ).contains(&first_seq)) else {
            return Err(Tampering::Trimmed { first_seq });
        };
        let anchor = Place { seq: first_seq - 1, chain };
        self.meet_anchor(anchor, gone)?;
        // Entries that were pushed meanwhile may have led further than that already.
        if anchor.seq > self.cursor.seq() {
            self.cursor = Cursor::After(anchor);
            self.missing.clear();
        }
        self.wanted = self.wanted.max(anchor.seq);
        self.head_due = true;
        self.expected = self.expected.filter(|place| place.seq >= first_seq);
        Ok(Refusal::Trimmed { from_seq, first_seq })
    }
}

impl Cursor {
    /// The last entry that is not wanted any more.
    fn seq(self) -> u64 {
        match self {
            Self::After(place) => place.seq,
            Self::At(seq) => seq - 1,
        }
    }
}
