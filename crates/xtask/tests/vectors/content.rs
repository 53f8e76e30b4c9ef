//! content.json.

use aside_proto::id::{DeviceId, IdempotencyKey, UserId};
use aside_session::client::timeline::{Body, Message, Naming, Said, Shown, Text, Timeline};
use serde_json::{Value, json};

use super::{array, bytes, check, ensure, number};

// cites: MSG-011, CONT-001, CONT-008, CONT-018
#[test]
fn payloads() {
    check("content", Some("payload"), |vector| {
        ensure(Body::read(&bytes(&vector["payload"])).is_some(), "unknown")
    });
}

// cites: CONT-002, CONT-003, CONT-004, CONT-005, CONT-006, CONT-007, CONT-009, CONT-010, CONT-011, CONT-012, CONT-013, CONT-014
// cites: CONT-015, CONT-016, MSG-013
#[test]
fn logs_look_the_same_whatever_is_loaded_first() {
    let file = super::read("content");
    let logs = file["vectors"].as_array().unwrap().iter().filter(|v| v["kind"] == "log");
    let mut judged = 0;
    for vector in logs {
        let entries = vector["entries"].as_array().unwrap();
        let verified = entries.iter().filter(|entry| entry["verifies"] != false);
        let said: Vec<_> = verified.map(said).collect();
        for first in 0..said.len() {
            let (early, late) = said.split_at(first);
            for redactions_first in [false, true] {
                let view = |said: &[&Said]| view(said, vector, redactions_first);
                let mut said: Vec<_> = late.iter().chain(early).collect();
                assert_eq!(view(&said), vector["view"], "{}", vector["id"]);
                said.reverse();
                assert_eq!(view(&said), vector["view"], "{}", vector["id"]);
            }
        }
        judged += 1;
    }
    assert!(judged > 20, "{judged} logs");
}

// cites: PRIV-017
#[test]
fn the_name_of_a_group_is_the_same_whatever_is_loaded_first() {
    let file = super::read("content");
    let namings = file["vectors"].as_array().unwrap().iter().filter(|v| v["kind"] == "naming");
    let mut judged = 0;
    for vector in namings {
        let mut entries: Vec<_> = vector["entries"].as_array().unwrap().iter().collect();
        for _ in 0..entries.len() {
            entries.rotate_left(1);
            let mut naming = Naming::default();
            for entry in &entries {
                let role = i32::try_from(number(&entry["role"])).unwrap().try_into().unwrap();
                let Some(body) = Body::read(&bytes(&entry["payload"])) else { continue };
                naming.insert(number(&entry["seq"]), role, &body);
            }
            let profile = naming.current().map(|(seq, profile)| {
                json!({"seq": seq, "name": profile.name(), "color": profile.color()})
            });
            assert_eq!(json!(profile), vector["profile"], "{}", vector["id"]);
        }
        judged += 1;
    }
    assert!(judged > 5, "{judged} namings");
}

fn said(entry: &Value) -> Said {
    let user = UserId::new(array(&entry["user_id"]));
    let device = DeviceId::new(array(&entry["device_id"]));
    let message_id = IdempotencyKey::new(array(&entry["message_id"]));
    let payload = entry["payload"].as_str().map(|hex| hex::decode(hex).unwrap());
    Said::new(number(&entry["seq"]), (user, device, message_id), payload.as_deref())
}

/// What is shown once these were loaded, in this order, and what the vector says is redacted, before or after.
fn view(entries: &[&Said], vector: &Value, redactions_first: bool) -> Value {
    let mut timeline = Timeline::new();
    let redacts = vector["redacts"].as_array().into_iter().flatten();
    let redact = |timeline: &mut Timeline| {
        redacts.for_each(|seq| drop(timeline.redact(number(seq))));
    };
    if redactions_first {
        redact(&mut timeline);
        entries.iter().for_each(|&said| drop(timeline.insert(said.clone())));
    } else {
        entries.iter().for_each(|&said| drop(timeline.insert(said.clone())));
        redact(&mut timeline);
    }
    let shown = timeline.seqs().map(|seq| {
        let mut value = as_json(timeline.shown(seq).unwrap());
        value["seq"] = seq.into();
        value
    });
    shown.collect::<Vec<_>>().into()
}

fn as_json(shown: Shown) -> Value {
    let mut value = match shown {
        Shown::Message(it) => message(it),
        Shown::Reaction { to, emoji, remove } => {
            let remove = remove.then_some(true);
            json!({"as": "reaction", "to": to, "emoji": emoji, "remove": remove})
        }
        Shown::Edit { of, .. } => json!({"as": "edit", "of": of}),
        Shown::StrayEdit { of, text } => with_text(json!({"as": "stray-edit", "of": of}), text),
        Shown::EditOfRedacted { of } => json!({"as": "edit-of-redacted", "of": of}),
        Shown::Profile(it) => json!({"as": "profile", "name": it.name(), "color": it.color()}),
        Shown::Unknown => json!({"as": "unknown"}),
        Shown::Redacted => json!({"as": "redacted"}),
        Shown::Repetition { of } => json!({"as": "repetition", "of": of}),
    };
    // What there is nothing of is absent.
    let members = value.as_object_mut().unwrap();
    members
        .retain(|_, member| !member.is_null() && member.as_array().is_none_or(|a| !a.is_empty()));
    value
}

fn message(message: Message) -> Value {
    let reply = message.reply.map(|reply| json!({"to": reply.to, "there": reply.there}));
    let reactions = message.reactions.into_iter().map(|reaction| {
        let users: Vec<_> =
            reaction.users.iter().map(|user| hex::encode(user.as_bytes())).collect();
        json!({"emoji": reaction.emoji, "users": users})
    });
    let reactions = Value::from(reactions.collect::<Vec<_>>());
    let value =
        json!({"as": "message", "edited": message.edited, "reply": reply, "reactions": reactions});
    with_text(value, message.text)
}

fn with_text(mut value: Value, text: Text) -> Value {
    let mentions = text.mentions.iter().map(|mention| {
        let user_id = hex::encode(mention.user.as_bytes());
        json!({"user_id": user_id, "start": mention.range.start, "length": mention.range.len()})
    });
    value["mentions"] = mentions.collect::<Vec<_>>().into();
    value["text"] = text.body.into();
    value
}
