//! mls.json.

use aside_crypto::label;
use aside_proto::v1;
use prost::Message as _;
use serde_json::Value;

use super::{
    file::{File, Vector},
    material::{counting, id},
};

const DESCRIPTION: &str = "What the profile of MLS adds to it. group_id: of a conversation in a generation. header: the \
    authenticated_data of what comes under a clear header. bucket: how long the application_data of an Envelope of so many bytes is; \
    an Envelope may be too long. padded: application_data as a reader judges it, and the content in it. Invalid vectors of the first two \
    are mistakes to check against. Reasons: group_id, authenticated_data, too-long, padding.";

pub(super) fn file() -> File {
    let vectors = [group_ids(), headers(), buckets(), padded(), not_padded()];
    File::new("mls", DESCRIPTION, vectors.concat())
}

fn conversation() -> [u8; 16] {
    id(3, 0xc0)
}

fn group_ids() -> Vec<Value> {
    let vector = |name: &str, generation: u32, parts: &[&[u8]]| {
        Vector::new(name, &["MLS-002"])
            .with("kind", "group_id")
            .bytes("conversation_id", conversation())
            .with("generation", generation)
            .bytes("group_id", [&conversation()[..], &parts.concat()].concat())
    };
    let wrong = |vector: Vector| vector.invalid("group_id");
    vec![
        vector("first-generation", 1, &[&[0, 0, 0, 1]]).valid(),
        vector("later-generation", 0x0102_0304, &[&[1, 2, 3, 4]]).valid(),
        wrong(vector("generation-little-endian", 1, &[&[1, 0, 0, 0]])),
        wrong(vector("generation-in-eight-bytes", 1, &[&[0, 0, 0, 0], &[0, 0, 0, 1]])),
        wrong(vector("without-generation", 1, &[])),
        wrong(vector("of-the-generation-before", 2, &[&[0, 0, 0, 1]])),
    ]
}

fn headers() -> Vec<Value> {
    let message = v1::PrivateHeader {
        conversation_id: conversation().to_vec().into(),
        generation: 1,
        epoch: 5,
        franking_tag: counting::<32>(0x10).to_vec().into(),
        message_id: id(4, 0x0e).to_vec().into(),
        head_seq: 41,
        chain: counting::<32>(0x90).to_vec().into(),
    }
    .encode_to_vec();
    let leaf = |user, device| v1::Leaf {
        user_id: id(1, user).to_vec().into(),
        device_id: id(1, device).to_vec().into(),
    };
    let commit = v1::CommitHeader {
        conversation_id: conversation().to_vec().into(),
        message_id: id(5, 0x0f).to_vec().into(),
        generation: 1,
        epoch: 5,
        added: vec![leaf(0xc3, 0xd3)],
        removed: vec![leaf(0xb2, 0xd2)],
        is_external: false,
        head_seq: 41,
        chain: counting::<32>(0x90).to_vec().into(),
    }
    .encode_to_vec();
    let vector = |name: &str, header: &[u8], data: [u8; 32]| {
        Vector::new(name, &["MLS-014"])
            .with("kind", "header")
            .bytes("header", header)
            .bytes("authenticated_data", data)
    };
    let hashed = |label: &str, header: &[u8]| label::hash(label, &[header]);
    let right =
        |name: &str, header: &[u8]| vector(name, header, hashed(label::MLS_HEADER, header)).valid();
    let wrong =
        |name: &str, header: &[u8], data| vector(name, header, data).invalid("authenticated_data");
    // A field that no schema has: the bytes count, as they travel.
    let later = [&message[..], b"\xd2\x3e\x05later"].concat();
    vec![
        right("header-of-a-message", &message),
        right("header-of-a-commit", &commit),
        right("header-with-a-field-of-later", &later),
        wrong("without-that-field", &later, hashed(label::MLS_HEADER, &message)),
        wrong("in-two-fields", &message, {
            label::hash(label::MLS_HEADER, &[&message[..18], &message[18..]])
        }),
        wrong("another-label", &message, hashed(label::MESSAGE, &message)),
        wrong("another-header", &message, hashed(label::MLS_HEADER, &commit)),
    ]
}

fn buckets() -> Vec<Value> {
    let vector = |bytes: u32, name: String| {
        Vector::new(&name, &["MLS-020", "MLS-021"]).with("kind", "bucket").with("bytes", bytes)
    };
    let of = |(bytes, padded): (u32, u32)| {
        vector(bytes, format!("bucket-of-{bytes}")).with("padded_bytes", padded).valid()
    };
    let sizes = [
        (0, 128),
        (127, 128),
        (128, 256),
        (255, 256),
        (256, 512),
        (1023, 1024),
        (1024, 2048),
        (4095, 4096),
        (4096, 8192),
        (8191, 8192),
        (8192, 12_288),
        (65_536, 69_632),
        (262_143, 262_144),
    ];
    let too_long = vector(262_144, "too-long".into()).invalid("too-long");
    sizes.into_iter().map(of).chain([too_long]).collect()
}

/// Content ‖ 80 ‖ 00 …
fn pad(content: &[u8], to: usize) -> Vec<u8> {
    let mut bytes = [content, &[0x80]].concat();
    bytes.resize(to, 0);
    bytes
}

fn padded() -> Vec<Value> {
    let of = |name: &str, content: &[u8], to: usize| {
        Vector::new(name, &["MLS-020", "MLS-021", "MLS-022"])
            .with("kind", "padded")
            .bytes("application_data", pad(content, to))
            .bytes("content", content)
            .valid()
    };
    vec![
        of("short", b"hello", 128),
        of("nothing", b"", 128),
        of("ends-in-zeros", &[1, 0, 0], 128),
        of("ends-as-padding-does", &[1, 0x80, 0, 0], 128),
        of("full-bucket", &counting::<127>(1), 128),
        of("one-byte-more", &counting::<128>(1), 256),
    ]
}

fn not_padded() -> Vec<Value> {
    let of = |name: &str, bytes: &[u8]| {
        Vector::new(name, &["MLS-022"])
            .with("kind", "padded")
            .bytes("application_data", bytes)
            .invalid("padding")
    };
    let sound = pad(b"hello", 128);
    let ends_in = |byte: u8| [&sound[..127], &[byte]].concat();
    vec![
        of("no-bytes", b""),
        of("not-padded", b"hello"),
        of("zeros-alone", &[0; 128]),
        of("without-80", &[b"hello", &[0; 123][..]].concat()),
        of("one-byte-short", &sound[..127]),
        of("one-byte-long", &pad(b"hello", 129)),
        of("a-larger-bucket", &pad(b"hello", 256)),
        of("no-bucket-holds-it", &pad(&counting::<128>(1), 129)),
        of("something-after-it", &ends_in(1)),
    ]
}
