//! What stands in a room's window: entries, messages on their way, and what the program has said.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use aside_client::{Content, Entry, IdempotencyKey, Outgoing, Watermark, What};
use zeroize::Zeroizing;

use crate::{
    output::earlier::{is_missed, profile},
    retention::NO_OLDER,
};

/// Items that a window keeps; while somebody reads far back it may have as many as [`MAX_READ_BACK`].
const MAX_ITEMS: usize = 2_000;
const MAX_READ_BACK: usize = 20_000;

/// Messages on their way stand after all entries.
const PENDING: u64 = u64::MAX;

/// An item's place: the entry it is, or the one it stands after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) seq: u64,
    minor: u32,
}

impl Key {
    pub(super) fn entry(seq: u64) -> Self {
        Self { seq, minor: 0 }
    }
}

/// One thing in the window.
#[derive(Debug)]
pub(super) enum Item {
    Entry(Box<Entry>),
    /// A message of the user's that is not in the log yet, or will never be.
    Pending(Box<Outgoing>),
    /// What the program says.
    Notice {
        text: String,
        warning: bool,
    },
}

/// How far a window is scrolled up: its last row is one of this item, below which so many of the item's rows are hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) key: Key,
    pub(super) hidden: usize,
}

/// The window of a room.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    items: BTreeMap<Key, Item>,
    /// From this entry on everything is here; none before any came.
    from: Option<u64>,
    /// The last entry that came.
    last: u64,
    next_minor: u32,
    /// The furthest that any other member has got.
    reached: Option<Watermark>,
    /// The first entry that the server still keeps, as far as is known; 0 if nothing is.
    first_kept: u64,
    /// Whether earlier entries are being fetched.
    pub(super) loading: bool,
    /// Whether there are none, or none that can be had now.
    pub(super) complete: bool,
    /// None: it follows what comes.
    pub(super) anchor: Option<Anchor>,
    /// The message that is chosen, to be answered for instance.
    pub(super) chosen: Option<Key>,
    /// What comes after this entry was unread when the window was turned to.
    pub(super) divider: Option<u64>,
    /// The entry by which somebody let the user in; 0 if none has come.
    joined: u64,
    /// The last of the messages that came before that, and how many they are: it stands for all.
    earlier: Option<(Key, usize)>,
    /// What was said, and is to be taken away again.
    secret: Option<Key>,
}

impl Timeline {
    /// All that is shown, in order.
    pub(super) fn items(&self) -> impl DoubleEndedIterator<Item = (Key, &Item)> {
        self.items
            .iter()
            .filter(|(key, item)| self.counts(**key, item))
            .map(|(key, item)| (*key, item))
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn get(&self, key: Key) -> Option<&Item> {
        self.items.get(&key)
    }

    pub(super) fn entry(&self, key: Key) -> Option<&Entry> {
        match self.items.get(&key) {
            Some(Item::Entry(entry)) => Some(entry),
            _ => None,
        }
    }

    /// The items before one, the nearest first.
    pub(super) fn before(&self, key: Key) -> impl Iterator<Item = (Key, &Item)> {
        let items = self.items.range(..key).rev();
        items.filter(|(key, item)| self.counts(**key, item)).map(|(key, item)| (*key, item))
    }

    /// The items after one, the nearest first.
    pub(super) fn after(&self, key: Key) -> impl Iterator<Item = (Key, &Item)> {
        let until = Key { seq: u64::MAX, minor: u32::MAX };
        let from = Key { minor: key.minor.saturating_add(1), ..key }.min(until);
        let items = self.items.range(from..=until);
        items.filter(|(key, item)| !self.is_folded(**key, item)).map(|(key, item)| (*key, item))
    }

    /// Somebody has let the user in by this entry: of what came before, one line tells.
    pub(super) fn join(&mut self, seq: u64) {
        self.joined = self.joined.max(seq);
        self.count_earlier();
    }

    /// How many messages an item stands for that came before the user did.
    pub(super) fn earlier(&self, key: Key) -> Option<usize> {
        self.earlier.filter(|(last, _)| *last == key).map(|(_, count)| count)
    }

    fn count_earlier(&mut self) {
        let before = self.items.range(..Key::entry(self.joined));
        let missed =
            before.filter(|(_, item)| matches!(item, Item::Entry(entry) if is_missed(entry)));
        self.earlier = missed.fold(None, |earlier, (key, _)| {
            Some((*key, earlier.map_or(1, |(_, count)| count + 1)))
        });
    }

    /// Whether another item stands for this one, too.
    fn is_folded(&self, key: Key, item: &Item) -> bool {
        let Item::Entry(entry) = item else { return false };
        let is_earlier = key.seq < self.joined && is_missed(entry);
        is_earlier && self.earlier(key).is_none()
            || is_missed(entry) && self.missed_next(key)
            || self.is_said_again(key, entry)
    }

    /// Whether the item right after one is a message that this device has missed, as that is.
    fn missed_next(&self, key: Key) -> bool {
        let next = self.items.range((Bound::Excluded(key), Bound::Unbounded)).next();
        key.seq >= self.joined && matches!(next, Some((_, Item::Entry(it))) if is_missed(it))
    }

    /// How many messages an item stands for that this device has missed: those right before it, and itself.
    pub(super) fn missed(&self, key: Key) -> Option<usize> {
        let is_one = |(key, item): &(&Key, &Item)| {
            key.seq >= self.joined && matches!(item, Item::Entry(entry) if is_missed(entry))
        };
        let count = self.items.range(..=key).rev().take_while(is_one).count();
        (count > 0).then_some(count)
    }

    /// Whether it only says what the group was called before.
    fn is_said_again(&self, key: Key, entry: &Entry) -> bool {
        let Some(called) = profile(entry) else { return false };
        let before = self.items.range(..key).rev().find_map(|(_, item)| match item {
            Item::Entry(entry) => profile(entry),
            _ => None,
        });
        before == Some(called)
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.last
    }

    /// Takes in an entry that came.
    pub(super) fn take(&mut self, entry: Entry) {
        self.from.get_or_insert(entry.seq);
        self.last = self.last.max(entry.seq);
        if let What::Message { message_id, .. } = entry.what {
            // It is not on its way any more.
            self.discard(message_id);
        }
        if let What::Redacted { seqs } = &entry.what {
            seqs.iter().for_each(|seq| self.redact(*seq));
        }
        if let Some(changed) = changed_by(&entry) {
            self.change(changed);
        } else if is_shown(&entry) {
            self.put(entry);
            self.prune();
        }
    }

    /// The server keeps nothing before this entry.
    pub(super) fn begins(&mut self, first_kept: u64) {
        self.first_kept = self.first_kept.max(first_kept);
    }

    /// What stands before an entry when there was more (RET-012): `before` is the one that is shown before it, if any is.
    pub(super) fn cut(&self, seq: u64, before: Option<u64>) -> Option<&'static str> {
        let are_all = self.complete && self.from.is_some_and(|from| from <= self.first_kept);
        match before {
            None => (are_all && seq > 1 && self.first_kept > 1).then_some(NO_OLDER),
            Some(before) => (before < self.first_kept && self.first_kept <= seq)
                .then_some("the server no longer keeps what is above"),
        }
    }

    /// Takes in earlier entries, oldest first, that were asked for.
    pub(super) fn take_page(&mut self, entries: Vec<Entry>) {
        self.loading = false;
        match entries.first() {
            Some(first) => {
                self.from = Some(self.from.map_or(first.seq, |from| from.min(first.seq)));
                self.complete = first.seq == 1;
            }
            None => self.complete = true,
        }
        self.last = self.last.max(entries.last().map_or(0, |last| last.seq));
        for entry in entries {
            if changed_by(&entry).is_none() && is_shown(&entry) {
                // What stands there already is as new or newer: it came as an event.
                if !self.items.contains_key(&Key::entry(entry.seq)) {
                    self.put(entry);
                }
            }
        }
    }

    /// Earlier entries can't be had now.
    pub(super) fn give_up(&mut self) {
        self.loading = false;
        self.complete = true;
    }

    /// Earlier entries may be had again.
    pub(super) fn retry(&mut self) {
        self.complete &= self.from.is_none_or(|from| from == 1);
    }

    /// Before which entry the next page ends, if one is to be asked for.
    pub(super) fn wants_page(&self) -> Option<u64> {
        let may = !self.loading && !self.complete && self.items.len() < MAX_READ_BACK;
        self.from.filter(|from| may && *from > 1)
    }

    /// The program says something, after all that has come so far.
    pub(super) fn say(&mut self, text: String, warning: bool) {
        self.next_minor = self.next_minor.saturating_add(1);
        let key = Key { seq: self.last, minor: self.next_minor };
        self.items.insert(key, Item::Notice { text, warning });
        self.prune();
    }

    /// The program says what is to be taken away again.
    pub(super) fn say_secret(&mut self, text: String) {
        self.unsay_secret();
        self.say(text, false);
        self.secret = Some(Key { seq: self.last, minor: self.next_minor });
    }

    /// Takes that away, and wipes it.
    pub(super) fn unsay_secret(&mut self) {
        if let Some(Item::Notice { text, .. }) =
            self.secret.take().and_then(|key| self.items.remove(&key))
        {
            drop(Zeroizing::new(text));
        }
    }

    /// How a message stands that is not in the log, as far as is known.
    pub(super) fn outgoing(&mut self, outgoing: Outgoing) {
        let known = self.pending(outgoing.message_id);
        let came = |seq| self.from.is_some() && seq <= self.last;
        match (known, outgoing.seq) {
            // The entry came first.
            (known, Some(seq)) if came(seq) => {
                known.map(|key| self.items.remove(&key));
            }
            (Some(key), _) => drop(self.items.insert(key, Item::Pending(Box::new(outgoing)))),
            (None, _) => {
                self.next_minor = self.next_minor.saturating_add(1);
                let key = Key { seq: PENDING, minor: self.next_minor };
                self.items.insert(key, Item::Pending(Box::new(outgoing)));
            }
        }
    }

    /// A message is not to be sent any more, or was sent anew.
    pub(super) fn discard(&mut self, id: IdempotencyKey) {
        if let Some(key) = self.pending(id) {
            self.items.remove(&key);
        }
    }

    /// A member has got so far.
    pub(super) fn moved(&mut self, watermark: Watermark) {
        for item in self.items.values_mut() {
            if let Item::Entry(entry) = item {
                entry.advance(&watermark);
            }
        }
        let reached = self.reached.get_or_insert_with(|| watermark.clone());
        reached.delivered = reached.delivered.max(watermark.delivered);
        reached.read = reached.read.max(watermark.read);
    }

    /// Where a message on its way stands.
    fn pending(&self, id: IdempotencyKey) -> Option<Key> {
        let from = Key { seq: PENDING, minor: 0 };
        self.items.range(from..).find_map(|(key, item)| match item {
            Item::Pending(outgoing) if outgoing.message_id == id => Some(*key),
            _ => None,
        })
    }

    /// Puts an entry in its place, in the state that is known by now.
    fn put(&mut self, mut entry: Entry) {
        if let Some(reached) = &self.reached {
            entry.advance(reached);
        }
        let is_earlier = entry.seq < self.joined && is_missed(&entry);
        self.items.insert(Key::entry(entry.seq), Item::Entry(Box::new(entry)));
        if is_earlier {
            self.count_earlier();
        }
    }

    /// Whether an item is part of what is shown, not one that came alone before its page.
    fn counts(&self, key: Key, item: &Item) -> bool {
        let is_here =
            !matches!(item, Item::Entry(_)) || self.from.is_none_or(|from| key.seq >= from);
        is_here && !self.is_folded(key, item)
    }

    /// A message is something else now.
    fn change(&mut self, message: Arc<Entry>) {
        // A page on its way may show it as it was before; what no page has brought yet will be as it is by then.
        if self.loading || self.from.is_some_and(|from| message.seq >= from) {
            self.put(Arc::unwrap_or_clone(message));
        }
    }

    /// What a message said is gone.
    fn redact(&mut self, seq: u64) {
        if let Some(Item::Entry(entry)) = self.items.get_mut(&Key::entry(seq))
            && let What::Message { text, content, .. } = &mut entry.what
        {
            (*text, *content) = (None, Content::Redacted);
        }
    }

    /// Forgets the oldest, unless somebody may be reading them.
    fn prune(&mut self) {
        let most = if self.anchor.is_some() { MAX_READ_BACK } else { MAX_ITEMS };
        while self.items.len() > most {
            let Some((key, item)) = self.items.pop_first() else { return };
            if let Item::Entry(_) = item {
                self.from = Some(self.from.map_or(key.seq + 1, |from| from.max(key.seq + 1)));
                self.complete = false;
            }
        }
    }
}

/// The message as it is now that an entry changes, at which it is shown.
fn changed_by(entry: &Entry) -> Option<Arc<Entry>> {
    let What::Message { verified: true, content, .. } = &entry.what else { return None };
    match content {
        Content::Reaction { to: Some(message), .. }
        | Content::Edit { message: Some(message), .. } => Some(Arc::clone(message)),
        _ => None,
    }
}

/// Whether there is anything to show of an entry by itself.
fn is_shown(entry: &Entry) -> bool {
    let nothing =
        |content: &Content| matches!(content, Content::Reaction { to: None, .. } | Content::Hidden);
    !matches!(&entry.what, What::Message { verified: true, content, .. } if nothing(content))
}

/// Whether an entry is something that somebody said, to be read.
pub(super) fn is_said(entry: &Entry) -> bool {
    let said = |content: &Content| matches!(content, Content::Text { .. } | Content::Unknown);
    match &entry.what {
        What::Message { content, .. } => said(content),
        What::Unreadable { .. } => true,
        _ => false,
    }
}
