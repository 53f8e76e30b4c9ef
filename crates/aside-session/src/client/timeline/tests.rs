use aside_proto::v1::{self, content};
use prost::Message as _;

use super::*;

const ALICE: UserId = UserId::new([0xa; 16]);
const BOB: UserId = UserId::new([0xb; 16]);

fn id(byte: u8) -> IdempotencyKey {
    IdempotencyKey::new([byte; 16])
}

fn text(body: &str) -> v1::Text {
    v1::Text { body: body.into(), mentions: Vec::new() }
}

/// An entry whose message has its seq as its id.
fn said(seq: u8, user: UserId, content: &v1::Content) -> Said {
    let device = DeviceId::new(*user.as_bytes());
    Said::new(seq.into(), (user, device, id(seq)), Some(&content.encode_to_vec()))
}

fn content(body: content::Body) -> v1::Content {
    v1::Content { body: Some(body), reply_to: None }
}

fn says(body: &str) -> v1::Content {
    content(content::Body::Text(text(body)))
}

fn to(seq: u8) -> Option<v1::MessageRef> {
    Some(v1::MessageRef { seq: seq.into(), message_id: id(seq).to_bytes() })
}

fn edits(seq: u8, body: &str) -> v1::Content {
    content(content::Body::Edit(v1::Edit { to: to(seq), text: Some(text(body)) }))
}

fn reacts(seq: u8, emoji: &str, remove: bool) -> v1::Content {
    content(content::Body::Reaction(v1::Reaction { to: to(seq), emoji: emoji.into(), remove }))
}

fn timeline(entries: impl IntoIterator<Item = Said>) -> Timeline {
    let mut timeline = Timeline::new();
    for said in entries {
        timeline.insert(said);
    }
    timeline
}

fn message(timeline: &Timeline, seq: u64) -> Message {
    match timeline.shown(seq) {
        Some(Shown::Message(message)) => message,
        other => panic!("a message, not {other:?}"),
    }
}

// cites: CONT-008
#[test]
fn an_emoji_is_one_to_thirty_two_bytes_that_are_seen() {
    assert!(is_emoji("\u{1f44d}") && is_emoji(&"x".repeat(MAX_EMOJI_BYTES)));
    for emoji in ["", &"x".repeat(MAX_EMOJI_BYTES + 1), "a\n", "\u{9b}"] {
        assert!(!is_emoji(emoji), "{emoji:?}");
    }
}

// cites: CONT-005
#[test]
fn only_so_many_mentions_are_looked_at() {
    let mention = |start| v1::Mention { user_id: vec![1; 16].into(), start, length: 1 };
    let body = "x".repeat(2 * MAX_MENTIONS);
    let mut text = v1::Text { body, mentions: (0..2 * MAX_MENTIONS as u32).map(mention).collect() };
    assert_eq!(Text::from(text.clone()).mentions.len(), MAX_MENTIONS);
    text.mentions[0].length = u32::MAX;
    assert_eq!(Text::from(text).mentions.len(), MAX_MENTIONS - 1, "the ignored one is counted");
}

// cites: CONT-009, CONT-013
#[test]
fn what_is_not_loaded_is_waited_for() {
    let mut timeline =
        timeline([said(5, ALICE, &edits(3, "late")), said(6, BOB, &reacts(3, "+1", false))]);
    let stray = Shown::StrayEdit { of: 3, text: text("late").into() };
    assert_eq!(timeline.shown(5), Some(stray));
    assert!(matches!(timeline.shown(6), Some(Shown::Reaction { to: None, .. })));
    assert_eq!(timeline.insert(said(3, ALICE, &says("early"))), [3, 5, 6]);
    let message = message(&timeline, 3);
    assert_eq!((message.text.body.as_str(), message.edited), ("late", Some(5)));
    assert_eq!(message.reactions, [Reaction { emoji: "+1".into(), users: vec![BOB] }]);
    assert!(matches!(timeline.shown(5), Some(Shown::Edit { of: 3, .. })));
    assert!(matches!(timeline.shown(6), Some(Shown::Reaction { to: Some(3), .. })));
}

// cites: CONT-014
#[test]
fn of_a_redacted_message_nothing_is_left() {
    let mut timeline = timeline([
        said(1, ALICE, &says("secret")),
        said(2, ALICE, &edits(1, "secret!")),
        said(3, BOB, &reacts(1, "+1", false)),
    ]);
    let redacted = Said::new(1, (ALICE, DeviceId::new([0xa; 16]), id(1)), None);
    assert_eq!(timeline.insert(redacted.clone()), [1, 2, 3]);
    assert_eq!(timeline.shown(1), Some(Shown::Redacted));
    assert_eq!(timeline.shown(2), Some(Shown::EditOfRedacted { of: 1 }));
    assert!(matches!(timeline.shown(3), Some(Shown::Reaction { to: None, .. })));
    assert_eq!(timeline.insert(redacted), [], "told once");
    assert_eq!(timeline.insert(said(1, ALICE, &says("secret"))), [], "nor does it come back");
}

// cites: MSG-013
#[test]
fn a_repetition_has_no_effect_wherever_it_is_loaded() {
    let repeated = |seq: u64, content: &v1::Content| {
        let sender = (BOB, DeviceId::new([0xb; 16]), id(9));
        Said::new(seq, sender, Some(&content.encode_to_vec()))
    };
    let mut timeline = timeline([
        said(1, ALICE, &says("hi")),
        repeated(4, &reacts(1, "+1", false)),
        said(3, BOB, &reacts(1, "+1", true)),
    ]);
    assert_eq!(message(&timeline, 1).reactions.len(), 1);
    assert_eq!(timeline.insert(repeated(2, &reacts(1, "+1", false))), [1, 2, 4]);
    assert_eq!(message(&timeline, 1).reactions, [], "what was said at 2 was taken back at 3");
    assert_eq!(timeline.shown(4), Some(Shown::Repetition { of: 2 }));
}

#[test]
fn the_oldest_make_room() {
    let mut timeline = Timeline::with_limits(2, 8);
    timeline.insert(said(5, ALICE, &edits(2, "five")));
    timeline.insert(said(2, ALICE, &says("two")));
    assert_eq!(message(&timeline, 2).edited, Some(5));
    assert_eq!(timeline.insert(said(6, BOB, &reacts(5, "+1", false))), [2, 5, 6]);
    assert_eq!((timeline.floor(), timeline.seqs().collect::<Vec<_>>()), (3, vec![5, 6]));
    assert!(matches!(timeline.shown(5), Some(Shown::StrayEdit { of: 2, .. })));
    assert_eq!(timeline.insert(said(1, ALICE, &says("one"))), [], "below what is whole");
    timeline.insert(said(7, ALICE, &says("seven")));
    assert_eq!(timeline.seqs().collect::<Vec<_>>(), [6, 7], "nine bytes would be too many");
}

// cites: CONT-014, CONT-015, REDACT-017
#[test]
fn a_redaction_holds_whenever_its_message_is_loaded() {
    let reply = v1::Content { reply_to: to(1), ..says("indeed") };
    let entries = [said(1, ALICE, &says("secret")), said(2, BOB, &reply)];
    let mut before = Timeline::new();
    assert_eq!(before.redact(1), []);
    entries.iter().for_each(|said| drop(before.insert(said.clone())));
    let mut after = timeline(entries);
    assert_eq!(message(&after, 2).reply, Some(Reply { to: 1, there: true, redacted: false }));
    assert_eq!(after.redact(1), [1, 2]);
    assert_eq!(after.redact(1), [], "told once");
    for timeline in [before, after] {
        assert_eq!(timeline.shown(1), Some(Shown::Redacted));
        let reply = message(&timeline, 2).reply;
        assert_eq!(reply, Some(Reply { to: 1, there: false, redacted: true }));
    }
}

/// As when the message is no longer kept.
// cites: CONT-016, CONT-015
#[test]
fn edits_of_what_is_said_to_be_redacted_are_not_shown() {
    let entries = [said(4, ALICE, &edits(1, "secret")), said(5, BOB, &edits(1, "forged"))];
    let mut before = Timeline::with_limits(2, 99);
    assert_eq!(before.redact(1), []);
    entries.iter().for_each(|said| drop(before.insert(said.clone())));
    let mut after = Timeline::with_limits(2, 99);
    entries.iter().for_each(|said| drop(after.insert(said.clone())));
    assert!(matches!(after.shown(4), Some(Shown::StrayEdit { of: 1, .. })));
    assert_eq!(after.redact(1), [4, 5]);
    for mut timeline in [before, after] {
        for seq in [4, 5] {
            assert_eq!(timeline.shown(seq), Some(Shown::EditOfRedacted { of: 1 }));
        }
        // What is dropped to make room is to it as if it had not been loaded.
        assert_eq!(timeline.redact(2), []);
        assert_eq!(timeline.redact(3), [4, 5]);
        assert!(matches!(timeline.shown(4), Some(Shown::StrayEdit { of: 1, .. })));
    }
}

// cites: CONT-016
#[test]
fn an_edit_of_what_comes_later_is_shown_whatever_becomes_of_that() {
    let mut timeline = timeline([said(4, ALICE, &edits(9, "ahead"))]);
    assert_eq!(timeline.redact(9), []);
    assert!(matches!(timeline.shown(4), Some(Shown::StrayEdit { of: 9, .. })));
}

#[test]
fn redactions_make_room_like_entries() {
    let mut timeline = Timeline::with_limits(2, 99);
    for seq in [3, 1, 2] {
        timeline.redact(seq);
    }
    assert_eq!(timeline.floor(), 2);
    assert_eq!(timeline.insert(said(1, ALICE, &says("old"))), []);
    timeline.insert(said(2, ALICE, &says("secret")));
    assert_eq!(timeline.shown(2), Some(Shown::Redacted));
}
