//! franking.json.

use aside_crypto::{Envelope, FrankingKey, LogHead};
use aside_proto::v1;
use prost::Message as _;
use serde_json::Value;

use super::{
    file::{File, Vector},
    material::{counting, flipped},
};

const DESCRIPTION: &str = "tag: franking tags as whoever receives or is shown a message judges them; content is the bytes of a \
    Content. envelope: what was decrypted, and the tag of the clear header, as a reader judges them; content, key, and position and hash \
    of the sender's device log are in it. Reasons: malformed, tag.";

pub(super) const CONTENT: &[u8] = b"\x0a\x0d\x0a\x0bHello, Bob!";

pub(super) fn file() -> File {
    File::new(
        "franking",
        DESCRIPTION,
        valid().into_iter().chain(invalid()).chain(envelopes()).collect(),
    )
}

pub(super) fn key() -> FrankingKey {
    FrankingKey::from_bytes(counting(0x30))
}

fn vector(id: &str, requirements: &[&str], key: &[u8], content: &[u8], tag: &[u8]) -> Vector {
    Vector::new(id, requirements)
        .with("kind", "tag")
        .bytes("key", key)
        .bytes("content", content)
        .bytes("tag", tag)
}

fn valid() -> Vec<Value> {
    let of = |id: &str, key: [u8; 32], content: &[u8]| {
        let tag = FrankingKey::from_bytes(key).tag(content);
        vector(id, &["FRANK-001", "CONV-007"], &key, content, &tag).valid()
    };
    vec![
        of("text", counting(0x30), CONTENT),
        of("key-of-zeros", [0; 32], CONTENT),
        of("content-of-one-byte", counting(0x30), &[0]),
        of("long-content", counting(0x30), &counting::<256>(0).repeat(4)),
    ]
}

fn invalid() -> Vec<Value> {
    let tag = key().tag(CONTENT);
    let refuse = |id: &str, key: &[u8; 32], content: &[u8], tag: &[u8]| {
        vector(id, &["FRANK-002"], key, content, tag).invalid("tag")
    };
    let usual = |id: &str, tag: &[u8]| refuse(id, key().as_bytes(), CONTENT, tag);
    vec![
        refuse("another-content", key().as_bytes(), b"\x0a\x0d\x0a\x0bHello, Eve!", &tag),
        refuse("content-longer", key().as_bytes(), &[CONTENT, &[0]].concat(), &tag),
        refuse("another-key", &counting(0x31), CONTENT, &tag),
        usual("first-bit-flipped", &flipped(&tag, 0)),
        usual("last-byte-flipped", &flipped(&tag, 31)),
        usual("tag-cut", &tag[..16]),
        usual("no-tag", b""),
        usual("tag-longer", &[&tag[..], &[0]].concat()),
    ]
}

fn envelopes() -> Vec<Value> {
    let vector = |id: &str, requirement: &str, envelope: &[u8], tag: &[u8]| {
        Vector::new(id, &[requirement])
            .with("kind", "envelope")
            .bytes("envelope", envelope)
            .bytes("tag", tag)
    };
    let valid = |id: &str, position: u32, content: &[u8]| {
        let head = LogHead { position, hash: counting(0x70) };
        let random = &mut |out: &mut [u8]| out.copy_from_slice(key().as_bytes());
        let (envelope, tag, _) = Envelope::seal(content, head, random);
        vector(id, "FRANK-003", &envelope, &tag)
            .bytes("content", content)
            .bytes("key", key().as_bytes())
            .with("position", position)
            .bytes("hash", head.hash)
            .valid()
    };
    let tag = key().tag(CONTENT);
    let good = v1::Envelope {
        content: CONTENT.to_vec().into(),
        franking_key: key().as_bytes().to_vec().into(),
        log_position: 3,
        log_hash: counting::<32>(0x70).to_vec().into(),
    };
    let refuse = |id: &str, envelope: &v1::Envelope, tag: &[u8], reason: &str| {
        vector(id, "FRANK-004", &envelope.encode_to_vec(), tag).invalid(reason)
    };
    let other = v1::Envelope { content: b"\x0a\x02\x0a\x00".to_vec().into(), ..good.clone() };
    let short_key = v1::Envelope { franking_key: vec![7; 31].into(), ..good.clone() };
    let no_head = v1::Envelope { log_position: 0, log_hash: Vec::new().into(), ..good.clone() };
    vec![
        valid("envelope", 3, CONTENT),
        valid("envelope-at-the-genesis", 0, CONTENT),
        valid("envelope-with-a-content-of-nothing", 3, b""),
        refuse("envelope-with-another-content", &other, &tag, "tag"),
        refuse("envelope-under-another-tag", &good, &flipped(&tag, 31), "tag"),
        refuse("envelope-without-a-tag", &good, b"", "tag"),
        refuse("envelope-with-a-key-of-31-bytes", &short_key, &tag, "malformed"),
        refuse("envelope-without-a-head", &no_head, &tag, "malformed"),
        vector("no-envelope", "FRANK-003", b"\xff\xff", &tag).invalid("malformed"),
    ]
}
