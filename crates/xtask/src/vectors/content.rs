//! content.json.

use aside_proto::v1::{self, content::Body};
use prost::Message as _;
use serde_json::{Value, json};

use super::{
    file::{File, Vector, hex},
    material::id,
};

const DESCRIPTION: &str = "Kind payload: an encoded Content that a client can show, or can't (error unknown, MSG-011). Kind log: entries of \
    kind MESSAGE, and what is shown of each once all of them are loaded, in whatever order; one without payload is redacted, one with \
    verifies false has no valid signature and is not in the view. as: message (with its text now; edited is the seq of the edit, reply \
    what it answers and whether that is there, reactions in the order in which they are shown), profile (name and color, of a GROUP), reaction (to is its message, absent if \
    it leads nowhere), edit (shown at the message of), stray-edit (CONT-013), edit-of-redacted (CONT-014, CONT-016), unknown (MSG-011), redacted, \
    repetition (MSG-013). Entries of other kinds, and those that are not loaded, are not listed; redacts has the seqs that loaded entries of \
    kind REDACTED name (CONT-016). Kind naming: entries of a GROUP that were read, each with the role that its sender's user had there \
    (a number of Role), and the profile that counts once all of them are loaded, in whatever order; null if none does (PRIV-017).";

const THUMB: &str = "\u{1f44d}";
const HEART: &str = "\u{2764}\u{fe0f}";

pub(super) fn file() -> File {
    let logs = [replies(), mentions(), reactions(), edits(), references(), absences(), profiles()];
    File::new("content", DESCRIPTION, [payloads(), logs.concat(), namings()].concat())
}

fn alice() -> [u8; 16] {
    id(1, 0xa1)
}

fn bob() -> [u8; 16] {
    id(2, 0xa2)
}

/// The message_id of the entry at `seq`, unless it is stated.
fn message_id(seq: u64) -> [u8; 16] {
    id(1000 * seq, 0xe1)
}

fn reference(seq: u64) -> v1::MessageRef {
    v1::MessageRef { seq, message_id: message_id(seq).to_vec().into() }
}

fn text(body: &str) -> v1::Text {
    v1::Text { body: body.into(), mentions: Vec::new() }
}

fn encode(body: Body, reply_to: Option<v1::MessageRef>) -> Vec<u8> {
    v1::Content { body: Some(body), reply_to }.encode_to_vec()
}

fn says(body: &str) -> Vec<u8> {
    encode(Body::Text(text(body)), None)
}

fn answers(to: v1::MessageRef, body: &str) -> Vec<u8> {
    encode(Body::Text(text(body)), Some(to))
}

fn reacts(to: v1::MessageRef, emoji: &str) -> Vec<u8> {
    encode(Body::Reaction(v1::Reaction { to: Some(to), emoji: emoji.into(), remove: false }), None)
}

fn takes_back(to: v1::MessageRef, emoji: &str) -> Vec<u8> {
    encode(Body::Reaction(v1::Reaction { to: Some(to), emoji: emoji.into(), remove: true }), None)
}

fn corrects(to: v1::MessageRef, body: &str) -> Vec<u8> {
    encode(Body::Edit(v1::Edit { to: Some(to), text: Some(text(body)) }), None)
}

fn names(name: &str, color: u32) -> Vec<u8> {
    encode(Body::Profile(v1::GroupProfile { name: name.into(), color }), None)
}

/// An entry; without payload if it is redacted.
fn entry(seq: u64, user: [u8; 16], payload: Option<Vec<u8>>) -> Value {
    let device = id(0, user[15]);
    let mut entry = json!({
        "seq": seq,
        "user_id": hex(user),
        "device_id": hex(device),
        "message_id": hex(message_id(seq)),
    });
    if let Some(payload) = payload {
        entry["payload"] = hex(payload);
    }
    entry
}

fn log(name: &str, requirements: &[&str], entries: Vec<Value>, view: Value) -> Value {
    let vector = Vector::new(name, requirements).with("kind", "log");
    vector.with("entries", entries).with("view", view).valid()
}

fn payloads() -> Vec<Value> {
    let vector = |name: &str, requirements: &[&str], payload: Vec<u8>| {
        Vector::new(name, requirements).with("kind", "payload").bytes("payload", payload)
    };
    let emoji = |emoji: &str| reacts(reference(3), emoji);
    let families = "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}";
    let longest = format!("{families}{THUMB}!!!");
    let without_text = Body::Edit(v1::Edit { to: Some(reference(3)), text: None });
    let shown = [
        ("text", says("hi")),
        ("empty-text", says("")),
        ("emoji-of-32-bytes", emoji(&longest)),
        (
            "reaction-to-nothing",
            encode(Body::Reaction(v1::Reaction { emoji: "+1".into(), ..Default::default() }), None),
        ),
        ("profile", names("tea & cake", 0xff_80_00)),
        ("profile-of-64-bytes", names(&format!("{}!!!!", HEART.repeat(10)), 0)),
        ("profile-of-the-greatest-color", names("x", 0xff_ff_ff)),
        // Readers don't normalise.
        ("profile-not-normalised", names("Jose\u{301}", 0)),
        ("unknown-field-beside", [says("hi"), vec![0x9a, 0xb5, 0x18, 1, b'x']].concat()),
    ];
    let not_shown = [
        ("no-body", Vec::new()),
        ("reply-alone", v1::Content { body: None, reply_to: Some(reference(3)) }.encode_to_vec()),
        ("unknown-body", vec![0x2a, 0x02, b'h', b'i']),
        ("does-not-decode", vec![0xff; 4]),
        ("cut", says("hi")[..3].to_vec()),
        ("text-that-is-not-utf8", vec![0x0a, 0x03, 0x0a, 0x01, 0xff]),
        ("emoji-empty", emoji("")),
        ("emoji-of-33-bytes", emoji(&format!("{longest}!"))),
        ("emoji-with-line-feed", emoji("a\nb")),
        ("emoji-with-c1-control", emoji("\u{9b}")),
        ("edit-without-text", encode(without_text, None)),
        ("profile-without-name", names("", 0xff_80_00)),
        ("profile-of-65-bytes", names(&format!("{}?", "n".repeat(64)), 0)),
        ("profile-with-line-feed", names("a\nb", 0)),
        ("profile-with-c1-control", names("a\u{9b}", 0)),
        ("profile-of-too-great-a-color", names("x", 0x100_0000)),
    ];
    let requirements: &[&str] = &["MSG-011", "CONT-001", "CONT-008", "CONT-018"];
    shown
        .into_iter()
        .map(|(name, payload)| vector(name, requirements, payload).valid())
        .chain(
            not_shown
                .into_iter()
                .map(|(name, payload)| vector(name, requirements, payload).invalid("unknown")),
        )
        .collect()
}

fn replies() -> Vec<Value> {
    let entries = vec![
        entry(3, alice(), Some(says("Tea?"))),
        entry(4, bob(), Some(answers(reference(3), "Gladly"))),
        entry(5, alice(), Some(answers(reference(2), "As I said"))),
        entry(6, alice(), Some(answers(v1::MessageRef { seq: 3, ..Default::default() }, "No id"))),
    ];
    let view = json!([
        {"seq": 3, "as": "message", "text": "Tea?"},
        {"seq": 4, "as": "message", "text": "Gladly", "reply": {"to": 3, "there": true}},
        {"seq": 5, "as": "message", "text": "As I said", "reply": {"to": 2, "there": false}},
        {"seq": 6, "as": "message", "text": "No id", "reply": {"to": 3, "there": false}},
    ]);
    vec![log("replies", &["CONT-002", "CONT-004", "CONT-006", "CONT-007"], entries, view)]
}

fn mentions() -> Vec<Value> {
    let mention = |start, length| v1::Mention { user_id: bob().to_vec().into(), start, length };
    let said =
        |body: &str, mentions| encode(Body::Text(v1::Text { body: body.into(), mentions }), None);
    let nobody = v1::Mention { user_id: vec![1; 15].into(), start: 0, length: 1 };
    let shown = |start, length| json!({"user_id": hex(bob()), "start": start, "length": length});
    // Bytes: n 0, a 1, i with diaeresis 2-3, v 4, e 5, space 6, b 7, o 8, b 9.
    let one = |name: &str, given: Vec<v1::Mention>, taken: Vec<Value>| {
        let entries = vec![entry(3, alice(), Some(said("na\u{ef}ve bob", given)))];
        let mut message = json!({"seq": 3, "as": "message", "text": "na\u{ef}ve bob"});
        if !taken.is_empty() {
            message["mentions"] = taken.into();
        }
        log(&format!("mentions-{name}"), &["CONT-005"], entries, json!([message]))
    };
    let many = (0..66).map(|_| mention(7, 0)).collect::<Vec<_>>();
    let last_that_counts = [&many[..63], &[mention(7, 3)]].concat();
    let one_too_late = [&many[..64], &[mention(7, 3)]].concat();
    vec![
        one("one", vec![mention(7, 3)], vec![shown(7, 3)]),
        one("two-that-touch", vec![mention(0, 6), mention(6, 4)], vec![shown(0, 6), shown(6, 4)]),
        one("of-nobody", vec![nobody, mention(7, 3)], vec![shown(7, 3)]),
        one("empty", vec![mention(7, 0)], vec![]),
        one("begins-within-a-character", vec![mention(3, 2)], vec![]),
        one("ends-within-a-character", vec![mention(0, 3)], vec![]),
        one("beyond-the-text", vec![mention(7, 4), mention(10, 1)], vec![]),
        one("end-that-overflows", vec![mention(7, u32::MAX)], vec![]),
        one(
            "overlapping",
            vec![mention(0, 5), mention(4, 2), mention(7, 3)],
            vec![shown(0, 5), shown(7, 3)],
        ),
        one("descending", vec![mention(7, 3), mention(0, 2)], vec![shown(7, 3)]),
        one("ignored-one-overlaps", vec![mention(0, 3), mention(0, 2)], vec![shown(0, 2)]),
        one("the-64th", last_that_counts, vec![shown(7, 3)]),
        one("the-65th", one_too_late, vec![]),
    ]
}

fn reactions() -> Vec<Value> {
    let to = || reference(3);
    let entries = vec![
        entry(3, alice(), Some(says("Tea?"))),
        entry(4, bob(), Some(reacts(to(), HEART))),
        entry(5, alice(), Some(reacts(to(), THUMB))),
        entry(6, bob(), Some(reacts(to(), THUMB))),
        entry(7, alice(), Some(reacts(to(), HEART))),
        entry(8, bob(), Some(takes_back(to(), HEART))),
    ];
    let users = |emoji: &str, users: &[[u8; 16]]| json!({"emoji": emoji, "users": users.iter().map(hex).collect::<Vec<_>>()});
    let reaction =
        |seq: u64, emoji: &str| json!({"seq": seq, "as": "reaction", "to": 3, "emoji": emoji});
    let view = |now: Value, last: Vec<Value>| {
        let first =
            [now, reaction(4, HEART), reaction(5, THUMB), reaction(6, THUMB), reaction(7, HEART)];
        let back = json!({"seq": 8, "as": "reaction", "to": 3, "emoji": HEART, "remove": true});
        Value::from([first.to_vec(), vec![back], last].concat())
    };
    let now = |reactions: &[Value]| json!({"seq": 3, "as": "message", "text": "Tea?", "reactions": reactions});
    let taken_back = now(&[users(THUMB, &[alice(), bob()]), users(HEART, &[alice()])]);
    let mut again = entries.clone();
    again.push(entry(9, bob(), Some(reacts(to(), HEART))));
    again.push(entry(10, alice(), Some(reacts(to(), THUMB))));
    let set_again = now(&[users(THUMB, &[bob(), alice()]), users(HEART, &[alice(), bob()])]);
    let last = vec![reaction(9, HEART), reaction(10, THUMB)];
    vec![
        log("reactions-taken-back", &["CONT-010"], entries, view(taken_back, vec![])),
        log("reactions-set-again", &["CONT-010"], again, view(set_again, last)),
    ]
}

fn edits() -> Vec<Value> {
    let entries = vec![
        entry(3, alice(), Some(says("Tee?"))),
        entry(4, bob(), Some(corrects(reference(3), "Never!"))),
        entry(5, alice(), Some(corrects(reference(3), "Tea?"))),
        entry(6, alice(), Some(corrects(reference(5), "Coffee?"))),
        entry(7, bob(), Some(answers(reference(3), "Gladly"))),
        entry(8, alice(), Some(corrects(reference(3), "Tea, Bob?"))),
    ];
    let view = json!([
        {"seq": 3, "as": "message", "text": "Tea, Bob?", "edited": 8},
        {"seq": 4, "as": "stray-edit", "of": 3, "text": "Never!"},
        {"seq": 5, "as": "edit", "of": 3},
        {"seq": 6, "as": "stray-edit", "of": 5, "text": "Coffee?"},
        {"seq": 7, "as": "message", "text": "Gladly", "reply": {"to": 3, "there": true}},
        {"seq": 8, "as": "edit", "of": 3},
    ]);
    let mut other_device = entry(4, alice(), Some(corrects(reference(3), "Tea?")));
    other_device["device_id"] = hex(id(9, 0xd9));
    let by_phone = vec![entry(3, alice(), Some(says("Tee?"))), other_device];
    let same_user = json!([
        {"seq": 3, "as": "message", "text": "Tea?", "edited": 4},
        {"seq": 4, "as": "edit", "of": 3},
    ]);
    let requirements = &["CONT-002", "CONT-011", "CONT-012", "CONT-013"];
    vec![
        log("edits", requirements, entries, view),
        log("edit-on-another-device", &["CONT-011"], by_phone, same_user),
    ]
}

fn references() -> Vec<Value> {
    let wrong_id = v1::MessageRef { seq: 3, ..reference(4) };
    let entries = vec![
        entry(3, alice(), Some(says("Tea?"))),
        entry(4, bob(), Some(reacts(wrong_id.clone(), THUMB))),
        entry(5, alice(), Some(corrects(wrong_id.clone(), "Coffee?"))),
        entry(6, bob(), Some(answers(wrong_id, "Gladly"))),
        entry(7, bob(), Some(reacts(reference(4), THUMB))),
        entry(8, bob(), Some(answers(reference(8), "To myself"))),
        entry(9, alice(), Some(reacts(reference(10), THUMB))),
        entry(10, alice(), Some(says("Not said yet"))),
        entry(11, bob(), Some(vec![0xff])),
        entry(12, alice(), Some(reacts(reference(11), THUMB))),
    ];
    let nowhere = |seq: u64| json!({"seq": seq, "as": "reaction", "emoji": THUMB});
    let view = json!([
        {"seq": 3, "as": "message", "text": "Tea?"},
        nowhere(4),
        {"seq": 5, "as": "stray-edit", "of": 3, "text": "Coffee?"},
        {"seq": 6, "as": "message", "text": "Gladly", "reply": {"to": 3, "there": false}},
        nowhere(7),
        {"seq": 8, "as": "message", "text": "To myself", "reply": {"to": 8, "there": false}},
        nowhere(9),
        {"seq": 10, "as": "message", "text": "Not said yet"},
        {"seq": 11, "as": "unknown"},
        nowhere(12),
    ]);
    vec![log("references-that-lead-nowhere", &["CONT-002", "CONT-009", "CONT-013"], entries, view)]
}

/// They refer to nothing, and nothing to them.
fn profiles() -> Vec<Value> {
    let entries = vec![
        entry(3, alice(), Some(names("Tea", 0x80_00_00))),
        entry(4, bob(), Some(reacts(reference(3), THUMB))),
        entry(5, alice(), Some(corrects(reference(3), "Coffee"))),
        entry(6, bob(), Some(answers(reference(3), "Gladly"))),
        entry(7, alice(), Some(names("Jose\u{301}", 0))),
    ];
    let view = json!([
        {"seq": 3, "as": "profile", "name": "Tea", "color": 0x80_00_00},
        {"seq": 4, "as": "reaction", "emoji": THUMB},
        {"seq": 5, "as": "stray-edit", "of": 3, "text": "Coffee"},
        {"seq": 6, "as": "message", "text": "Gladly", "reply": {"to": 3, "there": false}},
        {"seq": 7, "as": "profile", "name": "Jose\u{301}", "color": 0},
    ]);
    vec![log("profiles", &["CONT-002", "CONT-018"], entries, view)]
}

/// Which of several profiles counts.
fn namings() -> Vec<Value> {
    let said = |seq: u64, role: v1::Role, payload: Vec<u8>| {
        let user = if role == v1::Role::Owner { alice() } else { bob() };
        let mut entry = entry(seq, user, Some(payload));
        entry["role"] = i32::from(role).into();
        entry
    };
    let (owner, admin, member) = (v1::Role::Owner, v1::Role::Admin, v1::Role::Member);
    let one = |name: &str, entries: Vec<Value>, profile: Value| {
        let vector = Vector::new(name, &["PRIV-017"]).with("kind", "naming");
        vector.with("entries", entries).with("profile", profile).valid()
    };
    let is = |seq: u64, name: &str, color: u32| json!({"seq": seq, "name": name, "color": color});
    let first = || said(3, owner, names("Tea", 1));
    vec![
        one("naming-by-an-owner", vec![first()], is(3, "Tea", 1)),
        one(
            "naming-by-an-admin",
            vec![first(), said(4, admin, names("Coffee", 2))],
            is(4, "Coffee", 2),
        ),
        one(
            "naming-by-a-member",
            vec![first(), said(4, member, names("Mine", 2))],
            is(3, "Tea", 1),
        ),
        one("naming-by-a-member-alone", vec![said(3, member, names("Mine", 2))], Value::Null),
        // What counts is the role at the entry, whatever it is later.
        one(
            "naming-before-and-after-a-promotion",
            vec![
                said(3, member, names("Early", 1)),
                said(5, admin, names("Late", 2)),
                said(7, member, names("Later", 3)),
            ],
            is(5, "Late", 2),
        ),
        one(
            "naming-that-is-not-understood",
            vec![first(), said(4, owner, names("", 2)), said(5, owner, says("Coffee"))],
            is(3, "Tea", 1),
        ),
    ]
}

/// What is not loaded, redacted, not verified, or said twice.
fn absences() -> Vec<Value> {
    let reaction = |seq: u64| json!({"seq": seq, "as": "reaction", "emoji": THUMB});
    let about_three = |first: Option<Value>| {
        let mut entries: Vec<_> = first.into_iter().collect();
        entries.push(entry(4, alice(), Some(corrects(reference(3), "Tea?"))));
        entries.push(entry(5, bob(), Some(reacts(reference(3), THUMB))));
        entries.push(entry(6, bob(), Some(answers(reference(3), "Gladly"))));
        entries
    };
    let reply =
        json!({"seq": 6, "as": "message", "text": "Gladly", "reply": {"to": 3, "there": false}});
    let stray = json!({"seq": 4, "as": "stray-edit", "of": 3, "text": "Tea?"});
    let not_there = json!([stray, reaction(5), reply]);
    let hidden = json!({"seq": 4, "as": "edit-of-redacted", "of": 3});
    let redacted = json!([{"seq": 3, "as": "redacted"}, hidden, reaction(5), reply]);
    let mut unverified = entry(3, alice(), Some(says("Tee?")));
    unverified["verifies"] = false.into();
    let mut bad_edit = entry(4, alice(), Some(corrects(reference(3), "Coffee?")));
    bad_edit["verifies"] = false.into();
    let unmoved = json!([{"seq": 3, "as": "message", "text": "Tea?"}]);
    vec![
        log(
            "not-loaded",
            &["CONT-004", "CONT-007", "CONT-009", "CONT-013"],
            about_three(None),
            not_there.clone(),
        ),
        log(
            "redacted",
            &["CONT-014", "CONT-007"],
            about_three(Some(entry(3, alice(), None))),
            redacted,
        ),
        log(
            "original-that-does-not-verify",
            &["CONT-003"],
            about_three(Some(unverified)),
            not_there,
        ),
        log(
            "edit-that-does-not-verify",
            &["CONT-003"],
            vec![entry(3, alice(), Some(says("Tea?"))), bad_edit],
            unmoved,
        ),
        repetition(),
        redacted_and_trimmed(),
    ]
}

/// Of a message that is not there it is known that it was redacted.
fn redacted_and_trimmed() -> Value {
    let entries = vec![
        entry(4, alice(), Some(corrects(reference(3), "Tea?"))),
        entry(5, bob(), Some(corrects(v1::MessageRef { seq: 3, ..reference(4) }, "Coffee?"))),
        entry(6, bob(), Some(answers(reference(3), "Gladly"))),
        entry(7, alice(), Some(corrects(reference(2), "Milk?"))),
        entry(8, alice(), Some(corrects(reference(9), "Too early"))),
    ];
    let view = json!([
        {"seq": 4, "as": "edit-of-redacted", "of": 3},
        {"seq": 5, "as": "edit-of-redacted", "of": 3},
        {"seq": 6, "as": "message", "text": "Gladly", "reply": {"to": 3, "there": false}},
        {"seq": 7, "as": "stray-edit", "of": 2, "text": "Milk?"},
        {"seq": 8, "as": "stray-edit", "of": 9, "text": "Too early"},
    ]);
    let vector =
        Vector::new("redacted-and-not-there", &["CONT-016", "CONT-013"]).with("kind", "log");
    vector.with("entries", entries).with("redacts", json!([3, 9])).with("view", view).valid()
}

/// An edit that the server shows again, after another.
fn repetition() -> Value {
    let mut repeated = entry(6, alice(), Some(corrects(reference(3), "Coffee?")));
    repeated["message_id"] = hex(message_id(4));
    let entries = vec![
        entry(3, alice(), Some(says("Tee?"))),
        entry(4, alice(), Some(corrects(reference(3), "Coffee?"))),
        entry(5, alice(), Some(corrects(reference(3), "Tea?"))),
        repeated,
    ];
    let view = json!([
        {"seq": 3, "as": "message", "text": "Tea?", "edited": 5},
        {"seq": 4, "as": "edit", "of": 3},
        {"seq": 5, "as": "edit", "of": 3},
        {"seq": 6, "as": "repetition", "of": 4},
    ]);
    log("repetition-of-an-edit", &["CONT-003", "MSG-013"], entries, view)
}
