//! A log in pages: in whichever order they come, the same is shown in the end.

use aside_proto::{
    id::{DeviceId, IdempotencyKey, UserId},
    v1::{self, content},
};
use prost::Message as _;

use super::Reader;
use crate::client::timeline::{MAX_GROUP_NAME_BYTES, Said, Shown, Timeline, is_emoji};

const MAX_LOG: u8 = 32;
/// Bytes that no log of this fuzzer fills.
const ROOMY: usize = 16 * 255;
const EMOJI: [&str; 6] =
    ["\u{1f44d}", "\u{2764}\u{fe0f}", "+1", "", "\u{7}", "a-longer-one-than-a-reaction-may-be"];
const TEXTS: [&str; 4] =
    ["", "hi bob", "na\u{ef}ve \u{2615}", "a text of some length, to fill what may be kept"];

/// Limits, a log, then pages of it: a place, and a length whose highest bit says that it is read backwards. A log with room for all
/// its bytes is followed by what is redacted of it, which both hear of: one before it reads, the other after.
///
/// # Panics
/// If what is shown depends on the pages, if a change is not told, or if a text's mentions can't be cut out of it.
pub fn timeline(data: &[u8]) {
    let mut reader = Reader(data);
    let limits = (usize::from(reader.byte()), 16 * usize::from(reader.byte()));
    let length = 1 + reader.byte() % MAX_LOG;
    let log: Vec<_> = (1..=length).map(|seq| said(&mut reader, seq.into())).collect();

    // With less room it matters when a text goes that made others go.
    let redacted: Vec<u64> = match limits.1 {
        ROOMY => (0..reader.byte() % 8).map(|_| (reader.byte() % MAX_LOG).into()).collect(),
        _ => Vec::new(),
    };

    let mut whole = Checked::new(limits, length);
    log.iter().for_each(|said| whole.insert(said));
    redacted.iter().for_each(|seq| whole.redact(*seq));
    let mut paged = Checked::new(limits, length);
    redacted.iter().rev().for_each(|seq| paged.redact(*seq));
    while !reader.is_empty() {
        let (from, count) = (usize::from(reader.byte()) % log.len(), reader.byte());
        let page = log[from..].iter().take(usize::from(count & 0x7f));
        let page: Vec<_> = if count & 0x80 == 0 { page.collect() } else { page.rev().collect() };
        page.into_iter().for_each(|said| paged.insert(said));
    }
    log.iter().rev().for_each(|said| paged.insert(said));

    assert_eq!(whole.shown, paged.shown);
    assert_eq!(whole.timeline.floor(), paged.timeline.floor());
    assert!(whole.timeline.seqs().eq(paged.timeline.seqs()));
    whole.shown.iter().flatten().for_each(check);
}

/// A timeline that is asked after each entry for all it shows.
struct Checked {
    timeline: Timeline,
    shown: Vec<Option<Shown>>,
}

impl Checked {
    fn new((max_entries, max_bytes): (usize, usize), length: u8) -> Self {
        let shown = vec![None; usize::from(length) + 1];
        Self { timeline: Timeline::with_limits(max_entries, max_bytes), shown }
    }

    fn insert(&mut self, said: &Said) {
        let changed = self.timeline.insert(said.clone());
        self.check(&changed);
    }

    fn redact(&mut self, seq: u64) {
        let changed = self.timeline.redact(seq);
        self.check(&changed);
    }

    fn check(&mut self, changed: &[u64]) {
        for (seq, before) in (0..).zip(&mut self.shown) {
            let now = self.timeline.shown(seq);
            assert!(*before == now || changed.contains(&seq), "a change of {seq} is not told");
            *before = now;
        }
    }
}

/// One entry: what it is, who says it under which id, and what it refers to.
fn said(reader: &mut Reader<'_>, seq: u64) -> Said {
    let [kind, who, id] = [reader.byte(), reader.byte(), reader.byte()];
    let (user, device) = (UserId::new([who % 3; 16]), DeviceId::new([who % 5; 16]));
    // Now and then one that is there already.
    let id = if id & 0xc0 == 0 { id % 8 } else { 64 + seq as u8 };
    let sender = (user, device, IdempotencyKey::new([id; 16]));
    let text = |reader: &mut Reader<'_>| v1::Text {
        body: TEXTS[usize::from(reader.byte()) % TEXTS.len()].into(),
        mentions: (0..reader.byte() % 4).map(|_| mention(reader)).collect(),
    };
    let to = |reader: &mut Reader<'_>| {
        let [seq, id] = [reader.byte() % MAX_LOG, reader.byte()];
        let id = if id & 0xc0 == 0 { id % 8 } else { 64 + seq };
        v1::MessageRef { seq: seq.into(), message_id: vec![id; 16].into() }
    };
    let (body, reply_to) = match kind % 8 {
        0 => return Said::new(seq, sender, None),
        1 => {
            let length = reader.byte() % 32;
            return Said::new(seq, sender, Some(reader.bytes(length.into())));
        }
        2 => (content::Body::Text(text(reader)), None),
        3 => (content::Body::Text(text(reader)), Some(to(reader))),
        4 | 5 if kind & 0x40 != 0 => {
            let name = text(reader).body;
            (content::Body::Profile(v1::GroupProfile { name, color: 0 }), None)
        }
        4 | 5 => (edit(to(reader), text(reader)), None),
        _ => {
            let emoji = EMOJI[usize::from(reader.byte()) % EMOJI.len()].into();
            let reaction = v1::Reaction { to: Some(to(reader)), emoji, remove: kind & 0x80 != 0 };
            (content::Body::Reaction(reaction), None)
        }
    };
    let payload = v1::Content { body: Some(body), reply_to }.encode_to_vec();
    Said::new(seq, sender, Some(&payload))
}

fn edit(to: v1::MessageRef, text: v1::Text) -> content::Body {
    content::Body::Edit(v1::Edit { to: Some(to), text: Some(text) })
}

fn mention(reader: &mut Reader<'_>) -> v1::Mention {
    let [start, length] = [reader.byte() % 16, reader.byte() % 16];
    v1::Mention { user_id: vec![start; 16].into(), start: start.into(), length: length.into() }
}

/// What a user interface may rely on.
fn check(shown: &Shown) {
    match shown {
        Shown::Message(message) => {
            let text = &message.text;
            let mut after = 0;
            for mention in &text.mentions {
                assert!(
                    mention.range.start >= after && !text.body[mention.range.clone()].is_empty()
                );
                after = mention.range.end;
            }
            for reaction in &message.reactions {
                assert!(is_emoji(&reaction.emoji) && !reaction.users.is_empty());
            }
        }
        Shown::Reaction { emoji, .. } => assert!(is_emoji(emoji)),
        Shown::Profile(profile) => {
            assert!((1..=MAX_GROUP_NAME_BYTES).contains(&profile.name().len()));
        }
        _ => {}
    }
}
