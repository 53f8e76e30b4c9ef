//! rooms.json.

use aside_proto::v1::{self, EntryKind};
use prost::Message;
use serde_json::{Value, json};

use super::{
    file::{File, Vector, hex},
    material::id,
};

const DESCRIPTION: &str = "Entries of a room's log, and what the room is once all of them are loaded, in whatever order: its settings \
    (absent if no entry tells them), and its pins, the last first, each with the seq of the message and of the entry that pinned it. A \
    MESSAGE without payload is redacted. Entries of other kinds, and those that are not loaded, are not listed.";

pub(super) fn file() -> File {
    let vectors = [settings(), pins()].concat();
    File::new("rooms", DESCRIPTION, vectors)
}

/// The message_id of the entry at `seq`, unless it is stated.
fn message_id(seq: u64) -> [u8; 16] {
    id(1000 * seq, 0xe1)
}

fn entry(seq: u64, kind: EntryKind, payload: &impl Message) -> Value {
    json!({"seq": seq, "kind": i32::from(kind), "payload": hex(payload.encode_to_vec())})
}

fn created(name: &str) -> Value {
    let payload = v1::RoomCreatedPayload { name: name.into(), ..Default::default() };
    entry(1, EntryKind::RoomCreated, &payload)
}

fn updated(seq: u64, name: &str, topic: &str, description: &str, invite_only: bool) -> Value {
    let payload = v1::RoomUpdatedPayload {
        name: name.into(),
        topic: topic.into(),
        description: description.into(),
        invite_only,
        retention: None,
    };
    entry(seq, EntryKind::RoomUpdated, &payload)
}

/// The owner has set limits to what is kept.
fn retained(seq: u64, max_age_s: u64, max_entries: u64) -> Value {
    let retention = Some(v1::Retention { max_age_s, max_entries });
    let payload = v1::RoomUpdatedPayload { name: "den".into(), retention, ..Default::default() };
    entry(seq, EntryKind::RoomUpdated, &payload)
}

/// What a room named "den" is when nothing else was said of it, but for the limits to what is kept.
fn plain_den(max_age_s: u64, max_entries: u64) -> Value {
    json!({
        "name": "den",
        "topic": "",
        "description": "",
        "invite_only": false,
        "retention": {"max_age_s": max_age_s, "max_entries": max_entries},
    })
}

fn message(seq: u64) -> Value {
    let text = v1::Text { body: "hi".into(), mentions: Vec::new() };
    let body = Some(v1::content::Body::Text(text));
    let mut message = entry(seq, EntryKind::Message, &v1::Content { body, reply_to: None });
    message["message_id"] = hex(message_id(seq));
    message
}

fn pinned(seq: u64, of: u64, pinned: bool) -> Value {
    let message_id = message_id(of).to_vec().into();
    let payload = v1::MessagePinnedPayload { seq: of, message_id, pinned };
    entry(seq, EntryKind::MessagePinned, &payload)
}

fn log(name: &str, requirements: &[&str], entries: Vec<Value>, view: Value) -> Value {
    Vector::new(name, requirements).with("entries", entries).with("view", view).valid()
}

fn settings() -> Vec<Value> {
    let as_made = plain_den(0, 0);
    let as_told = json!({
        "name": "cellar",
        "topic": "tea",
        "description": "a\nb",
        "invite_only": true,
        "retention": {"max_age_s": 0, "max_entries": 0},
    });
    let is = |settings: &Value| json!({"settings": settings, "pins": []});
    let last = || updated(9, "cellar", "tea", "a\nb", true);
    vec![
        log("as-made", &["ROOM-029"], vec![created("den"), message(3)], is(&as_made)),
        log(
            "updated",
            &["ROOM-025", "ROOM-029"],
            vec![created("den"), updated(4, "den", "jam", "", false), last()],
            is(&as_told),
        ),
        log(
            "from-the-middle-on",
            &["ROOM-025", "ROOM-029"],
            vec![message(8), last()],
            is(&as_told),
        ),
        log(
            "updated-back",
            &["ROOM-029"],
            vec![created("den"), last(), updated(12, "den", "", "", false)],
            is(&as_made),
        ),
        log(
            "retention-set",
            &["ROOM-025", "ROOM-029"],
            vec![created("den"), retained(4, 86_400, 0), retained(5, 4_294_967_295, 1000)],
            is(&plain_den(4_294_967_295, 1000)),
        ),
        log(
            "retention-taken-away",
            &["ROOM-025", "ROOM-029"],
            vec![retained(41, 0, 30), updated(44, "den", "", "", false)],
            is(&as_made),
        ),
        log("nothing-told", &["ROOM-029"], vec![message(3)], json!({"pins": []})),
    ]
}

fn pins() -> Vec<Value> {
    let pin = |seq: u64, pin_seq: u64| json!({"seq": seq, "pin_seq": pin_seq});
    let are = |pins: Vec<Value>| json!({"pins": pins});
    let messages = || vec![message(3), message(4), message(5)];
    let with = |entries: Vec<Value>| [messages(), entries].concat();
    let mut redacted = message(3);
    redacted.as_object_mut().map(|entry| entry.remove("payload"));
    let mut another = message(3);
    another["message_id"] = hex(message_id(7));
    vec![
        log(
            "pinned",
            &["PIN-008"],
            with(vec![pinned(6, 4, true), pinned(7, 3, true), pinned(8, 5, true)]),
            are(vec![pin(5, 8), pin(3, 7), pin(4, 6)]),
        ),
        log(
            "unpinned",
            &["PIN-008"],
            with(vec![pinned(6, 4, true), pinned(7, 3, true), pinned(8, 4, false)]),
            are(vec![pin(3, 7)]),
        ),
        log(
            "pinned-again",
            &["PIN-008"],
            with(vec![
                pinned(6, 4, true),
                pinned(7, 3, true),
                pinned(8, 4, false),
                pinned(9, 4, true),
            ]),
            are(vec![pin(4, 9), pin(3, 7)]),
        ),
        log("message-not-loaded", &["PIN-008"], vec![pinned(6, 4, true)], are(vec![pin(4, 6)])),
        log(
            "redacted",
            &["PIN-008"],
            vec![redacted, message(4), pinned(6, 3, true), pinned(7, 4, true)],
            are(vec![pin(4, 7)]),
        ),
        log(
            "another-message",
            &["PIN-008"],
            vec![another, message(4), pinned(6, 3, true), pinned(7, 4, true)],
            are(vec![pin(4, 7)]),
        ),
        log(
            "no-message",
            &["PIN-008"],
            vec![updated(3, "den", "", "", false), pinned(6, 3, true)],
            json!({"settings": plain_den(0, 0), "pins": []}),
        ),
    ]
}
