//! rooms.json.

use aside_proto::v1;
use aside_session::client::room::{Board, PinChange};
use serde_json::{Value, json};

use super::{bytes, number};

// cites: ROOM-025, ROOM-029, PIN-008
#[test]
fn rooms_look_the_same_whatever_is_loaded_first() {
    let file = super::read("rooms");
    let vectors = file["vectors"].as_array().unwrap();
    for vector in vectors {
        let entries = vector["entries"].as_array().unwrap();
        for first in 0..entries.len() {
            let (early, late) = entries.split_at(first);
            let order: Vec<_> = late.iter().chain(early).collect();
            assert_eq!(view(&order), vector["view"], "{}", vector["id"]);
            let backwards: Vec<_> = order.into_iter().rev().collect();
            assert_eq!(view(&backwards), vector["view"], "{}", vector["id"]);
        }
    }
    assert!(vectors.len() > 10, "{} logs", vectors.len());
}

fn view(entries: &[&Value]) -> Value {
    let mut board = Board::default();
    for entry in entries {
        let kind = number(&entry["kind"]) as i32;
        let header = v1::EntryHeader { seq: number(&entry["seq"]), kind, ..Default::default() };
        board.insert(&header, &bytes(&entry["payload"]));
    }
    let is_other = |pin: &PinChange| {
        let entry = entries.iter().find(|entry| number(&entry["seq"]) == pin.message);
        entry.is_some_and(|entry| {
            entry["payload"].is_null() || bytes(&entry["message_id"]) != pin.message_id.as_bytes()
        })
    };
    let pins = board.pins(is_other);
    let pins: Vec<_> =
        pins.iter().map(|pin| json!({"seq": pin.message, "pin_seq": pin.seq})).collect();
    let mut view = json!({"pins": pins});
    if let Some(settings) = board.settings() {
        view["settings"] = json!({
            "name": settings.name,
            "topic": settings.topic,
            "description": settings.description,
            "invite_only": settings.invite_only,
            "retention": {
                "max_age_s": settings.retention.max_age_s,
                "max_entries": settings.retention.max_entries,
            },
        });
    }
    view
}
