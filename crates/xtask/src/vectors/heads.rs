//! heads.json.

use aside_crypto::{PublicKey, Rotation, Signature, SigningKey, sign_head, sign_rotation};
use aside_proto::v1;
use prost::{Message as _, bytes::Bytes};
use serde_json::{Value, json};

use super::{
    file::{File, Vector, hex},
    material::{TIME_MS, alice_key, counting, flipped, id, key, log_key, other_s},
};

const DESCRIPTION: &str = "Three kinds. head: a SignedHead under the log key. pair: two statements of one server, seen one after the \
    other; reasons: shorter, fork (HEAD-005), form, anchor, back (HEAD-008: one that can't be true; another anchor for one first_seq; a \
    smaller first_seq). rotations: whether a client that remembers pinned may accept current; reasons: \
    signature, broken (an old_key is not the new_key before it), end (the last new_key is not current), unrelated (pinned is \
    not on the path). Where private_key is given, signature is the one of RFC 6979.";

pub(super) fn file() -> File {
    let vectors = heads()
        .into_iter()
        .chain(refused_heads())
        .chain(pairs())
        .chain(beginnings())
        .chain(rotations())
        .chain(refused_rotations());
    File::new("heads", DESCRIPTION, vectors.collect())
}

fn statement() -> v1::HeadStatement {
    v1::HeadStatement {
        conversation_id: id(0, 0xc1).to_vec().into(),
        first_seq: 1,
        anchor: counting::<32>(0x00).to_vec().into(),
        head_seq: 7,
        chain: counting::<32>(0x30).to_vec().into(),
        time_ms: TIME_MS,
    }
}

/// The statement's fields in another order, and one of a later version: valid Protobuf, though no encoder here makes it.
fn reordered() -> Vec<u8> {
    let part = |statement: v1::HeadStatement| statement.encode_to_vec();
    let whole = statement();
    let tail = v1::HeadStatement {
        head_seq: 7,
        chain: whole.chain.clone(),
        time_ms: TIME_MS,
        ..Default::default()
    };
    let front = v1::HeadStatement { head_seq: 0, chain: Vec::new().into(), time_ms: 0, ..whole };
    [part(tail), part(front), b"\xfa\x01\x05later".to_vec()].concat()
}

fn head(id: &str, requirements: &[&str], key: &PublicKey, statement: &[u8]) -> Vector {
    Vector::new(id, requirements)
        .with("kind", "head")
        .bytes("log_key", key.as_bytes())
        .bytes("statement", statement)
}

fn heads() -> Vec<Value> {
    let signed = |id: &str, requirements: &[&str], statement: &[u8]| {
        head(id, requirements, &log_key().public_key(), statement)
            .bytes("private_key", *log_key().to_bytes())
            .bytes("signature", sign_head(&log_key(), statement).as_bytes())
            .valid()
    };
    let usual = statement().encode_to_vec();
    let trimmed = v1::HeadStatement { first_seq: 5, ..statement() }.encode_to_vec();
    vec![
        signed("head", &["HEAD-001", "HEAD-002"], &usual),
        signed("head-of-trimmed-log", &["HEAD-001"], &trimmed),
        signed("head-encoded-otherwise", &["CONV-004"], &reordered()),
        head("head-other-s", &["CONV-005"], &log_key().public_key(), &usual)
            .bytes("signature", other_s(&sign_head(&log_key(), &usual)))
            .valid(),
    ]
}

fn refused_heads() -> Vec<Value> {
    let log = log_key().public_key();
    let usual = statement().encode_to_vec();
    let signature = sign_head(&log_key(), &usual);
    let refuse =
        |id: &str, requirement: &str, key: &PublicKey, statement: &[u8], signature: Signature| {
            head(id, &[requirement], key, statement)
                .bytes("signature", signature.as_bytes())
                .invalid("signature")
        };
    let longer = v1::HeadStatement { head_seq: 8, ..statement() }.encode_to_vec();
    vec![
        refuse("head-changed", "HEAD-001", &log, &longer, signature),
        refuse("head-bit-flipped", "HEAD-001", &log, &flipped(&usual, 40), signature),
        refuse("head-by-a-device", "HEAD-001", &log, &usual, sign_head(&alice_key(), &usual)),
        refuse("head-under-another-key", "HEAD-001", &key(0x61).public_key(), &usual, signature),
        refuse("head-encoded-again", "CONV-004", &log, &usual, sign_head(&log_key(), &reordered())),
    ]
}

fn pairs() -> Vec<Value> {
    let pair = |id: &str, now: v1::HeadStatement| {
        Vector::new(id, &["HEAD-005", "HEAD-006"])
            .with("kind", "pair")
            .bytes("seen", statement().encode_to_vec())
            .bytes("now", now.encode_to_vec())
    };
    let other_chain: Bytes = counting::<32>(0x31).to_vec().into();
    let later = v1::HeadStatement { time_ms: TIME_MS + 1, ..statement() };
    let longer = v1::HeadStatement { head_seq: 8, chain: other_chain.clone(), ..later.clone() };
    let shorter = v1::HeadStatement { head_seq: 6, chain: other_chain.clone(), ..later.clone() };
    let fork = v1::HeadStatement { chain: other_chain, ..later.clone() };
    let elsewhere =
        v1::HeadStatement { conversation_id: id(0, 0xc2).to_vec().into(), ..shorter.clone() };
    vec![
        pair("pair-same-log", later).valid(),
        pair("pair-longer-log", longer).valid(),
        pair("pair-of-two-conversations", elsewhere).valid(),
        pair("pair-shorter-log", shorter).invalid("shorter"),
        pair("pair-fork", fork).invalid("fork"),
    ]
}

/// Second statements that are judged by the beginning of the log they state.
fn beginnings() -> Vec<Value> {
    let pair = |id: &str, first_seq: u64, anchor: Vec<u8>| {
        let seen = v1::HeadStatement { first_seq: 3, ..statement() };
        let now = v1::HeadStatement { first_seq, anchor: anchor.into(), ..seen.clone() };
        Vector::new(id, &["HEAD-008"])
            .with("kind", "pair")
            .bytes("seen", seen.encode_to_vec())
            .bytes("now", now.encode_to_vec())
    };
    let anchor = counting::<32>(0x00).to_vec();
    let other = counting::<32>(0x01).to_vec();
    let chain = statement().chain.to_vec();
    vec![
        pair("pair-same-beginning", 3, anchor.clone()).valid(),
        pair("pair-trimmed-since", 4, other.clone()).valid(),
        pair("pair-nothing-left", 8, chain).valid(),
        pair("pair-entries-come-back", 2, other.clone()).invalid("back"),
        pair("pair-another-anchor", 3, other.clone()).invalid("anchor"),
        pair("pair-nothing-left-with-another-chain", 8, other.clone()).invalid("form"),
        pair("pair-begins-beyond-its-end", 9, other).invalid("form"),
        pair("pair-begins-at-0", 0, anchor.clone()).invalid("form"),
        pair("pair-short-anchor", 3, anchor[..31].to_vec()).invalid("form"),
    ]
}

/// Log keys in the order in which they were in use.
fn nth(n: u8) -> SigningKey {
    key([0x41, 0x61, 0x81][usize::from(n) - 1])
}

fn rotation(old: u8, new: u8) -> Rotation {
    sign_rotation(&nth(old), &nth(new).public_key())
}

fn path(id: &str, pinned: &SigningKey, current: &SigningKey, rotations: &[Rotation]) -> Vector {
    let rotations: Vec<_> = rotations
        .iter()
        .map(|r| {
            json!({
                "old_key": hex(r.old.as_bytes()),
                "new_key": hex(r.new.as_bytes()),
                "signature": hex(r.signature.as_bytes()),
            })
        })
        .collect();
    Vector::new(id, &["HEAD-004", "HEAD-007"])
        .with("kind", "rotations")
        .bytes("pinned", pinned.public_key().as_bytes())
        .bytes("current", current.public_key().as_bytes())
        .with("rotations", rotations)
}

fn rotations() -> Vec<Value> {
    let both = [rotation(1, 2), rotation(2, 3)];
    vec![
        path("rotations-none", &nth(1), &nth(1), &[]).valid(),
        path("rotations-one", &nth(1), &nth(2), &both[..1]).valid(),
        path("rotations-two", &nth(1), &nth(3), &both).valid(),
        path("rotations-pinned-in-the-middle", &nth(2), &nth(3), &both).valid(),
        path("rotations-pinned-is-current", &nth(3), &nth(3), &both).valid(),
    ]
}

fn refused_rotations() -> Vec<Value> {
    let by_new = Rotation {
        signature: sign_rotation(&nth(2), &nth(1).public_key()).signature,
        ..rotation(1, 2)
    };
    let by_device =
        Rotation { old: nth(1).public_key(), ..sign_rotation(&alice_key(), &nth(2).public_key()) };
    let redirected = Rotation { new: nth(3).public_key(), ..rotation(1, 2) };
    vec![
        path("rotations-missing", &nth(1), &nth(2), &[]).invalid("unrelated"),
        path("rotations-from-elsewhere", &alice_key(), &nth(3), &[rotation(1, 2), rotation(2, 3)])
            .invalid("unrelated"),
        path("rotations-first-left-out", &nth(1), &nth(3), &[rotation(2, 3)]).invalid("unrelated"),
        path("rotations-last-left-out", &nth(1), &nth(3), &[rotation(1, 2)]).invalid("end"),
        path("rotations-pinned-but-lead-away", &nth(1), &nth(1), &[rotation(1, 2)]).invalid("end"),
        path("rotations-out-of-order", &nth(1), &nth(3), &[rotation(2, 3), rotation(1, 2)])
            .invalid("broken"),
        path("rotations-signed-by-the-new-key", &nth(1), &nth(2), &[by_new]).invalid("signature"),
        path("rotations-signed-by-a-device", &nth(1), &nth(2), &[by_device]).invalid("signature"),
        path("rotations-redirected", &nth(1), &nth(3), &[redirected]).invalid("signature"),
    ]
}
