//! safety.json.

use aside_crypto::{Identity, SafetyNumber, qr_payload};
use aside_proto::id::UserId;
use serde_json::{Value, json};

use super::{
    file::{File, Vector, hex},
    material::{counting, id},
};

const DESCRIPTION: &str = "Two kinds. number: the safety number of two users, in whichever order; reason: user (they are one). qr: what \
    scanner, who means to verify shower, makes of the bytes of a QR code; valid is a match. Reasons: mismatch, user (a code of others), \
    version, form (no such code).";

pub(super) fn file() -> File {
    File::new("safety", DESCRIPTION, numbers().into_iter().chain(codes()).collect())
}

fn identity(user: u8, genesis: u8) -> Identity {
    Identity { user: UserId::new(id(1, user)), genesis: counting(genesis) }
}

pub(super) fn alice() -> Identity {
    identity(0xa1, 0x10)
}

pub(super) fn bob() -> Identity {
    identity(0xa2, 0x40)
}

fn json(identity: &Identity) -> Value {
    json!({"user_id": hex(identity.user.as_bytes()), "genesis": hex(identity.genesis)})
}

fn pair(id: &str, requirement: &str, one: &Identity, other: &Identity) -> Vector {
    Vector::new(id, &[requirement])
        .with("kind", "number")
        .with("one", json(one))
        .with("other", json(other))
}

fn numbers() -> Vec<Value> {
    let number = |id: &str, one: &Identity, other: &Identity| {
        let number = SafetyNumber::of(one, other).expect("they are two");
        let requirement = if id == "leading-zeros" { "SAFETY-002" } else { "SAFETY-001" };
        pair(id, requirement, one, other).with("number", number.to_string()).valid()
    };
    // The first pair whose number has a group with leading zeros: they are shown.
    let zeros = (0..=u8::MAX)
        .map(|genesis| identity(0xa2, genesis))
        .find(|bob| {
            let number = SafetyNumber::of(&alice(), bob).expect("they are two");
            number.groups().iter().any(|group| *group < 1000)
        })
        .expect("an eighth of all numbers have one");
    vec![
        number("alice-and-bob", &alice(), &bob()),
        number("bob-and-alice", &bob(), &alice()),
        number("bob-with-another-log", &alice(), &identity(0xa2, 0x41)),
        number("logs-exchanged", &identity(0xa1, 0x40), &identity(0xa2, 0x10)),
        number("one-log-twice", &alice(), &identity(0xa2, 0x10)),
        number("leading-zeros", &alice(), &zeros),
        pair("one-user", "SAFETY-001", &alice(), &identity(0xa1, 0x40)).invalid("user"),
    ]
}

fn codes() -> Vec<Value> {
    // Bob scans, and means to verify Alice.
    let scan = |id: &str, payload: &[u8]| {
        Vector::new(id, &["SAFETY-003", "SAFETY-004"])
            .with("kind", "qr")
            .with("scanner", json(&bob()))
            .with("shower", json(&alice()))
            .bytes("payload", payload)
    };
    let good = qr_payload(&alice(), &bob());
    let mut version_2 = good.clone();
    version_2[12] = 2;
    vec![
        scan("qr-match", &good).valid(),
        scan("qr-shower-has-another-log", &qr_payload(&identity(0xa1, 0x11), &bob()))
            .invalid("mismatch"),
        scan("qr-scanner-is-shown-with-another-log", &qr_payload(&alice(), &identity(0xa2, 0x41)))
            .invalid("mismatch"),
        scan("qr-of-another-user", &qr_payload(&identity(0xa3, 0x10), &bob())).invalid("user"),
        scan("qr-for-another-user", &qr_payload(&alice(), &identity(0xa3, 0x40))).invalid("user"),
        scan("qr-ones-own", &qr_payload(&bob(), &alice())).invalid("user"),
        scan("qr-other-version", &version_2).invalid("version"),
        scan("qr-other-version-of-another-length", &version_2[..20]).invalid("version"),
        scan("qr-cut", &good[..good.len() - 1]).invalid("form"),
        scan("qr-longer", &[&good[..], &[0]].concat()).invalid("form"),
        scan("qr-prefix-alone", &good[..12]).invalid("form"),
        scan("qr-of-something-else", b"https://chat.example/alice").invalid("form"),
        scan("qr-empty", b"").invalid("form"),
    ]
}
