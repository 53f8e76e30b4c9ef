//! Bodies that are no encoding of ClientFrame, and odd ones that are.

use serde_json::Value;

use super::{
    EXPERIMENT, HELLO, PING, REGISTER, hello, messages, ping, request, vector,
    wire::{bytes_field, frame, tag, varint_field},
};

pub(super) fn vectors() -> Vec<Value> {
    broken().into_iter().chain(not_utf8()).chain(odd_but_valid()).collect()
}

fn refuse(id: &str, phase: &str, body: &[u8]) -> Value {
    let vector = vector(&format!("malformed-{id}"), &["FRAME-006"], phase, &frame(body));
    messages(vector, &[]).invalid("FRAME_MALFORMED")
}

fn broken() -> Vec<Value> {
    let behind_ping = |more: &[u8]| [&ping(), more].concat();
    let experiment =
        |wire_type: u8, value: &[u8]| behind_ping(&[&tag(EXPERIMENT, wire_type), value].concat());
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("one-byte-ff", vec![0xff]),
        ("text", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("tag-alone", vec![0x08]),
        ("tag-cut", vec![0x80]),
        ("varint-cut", vec![0x08, 0x80]),
        ("varint-of-11-bytes", [&[0x08][..], &[0x80; 10], &[0x01]].concat()),
        ("field-number-0", behind_ping(&[0x00, 0x01])),
        ("wire-type-6", experiment(6, &[0x01])),
        ("wire-type-7", experiment(7, &[0x01])),
        ("group-without-end", experiment(3, &[])),
        ("end-of-group-alone", experiment(4, &[])),
        ("end-of-another-group", experiment(3, &tag(EXPERIMENT + 1, 4))),
        ("fixed32-cut", experiment(5, &[1, 2, 3])),
        ("fixed64-cut", experiment(1, &[1, 2, 3, 4, 5, 6, 7])),
        ("unknown-length-beyond-the-end", experiment(2, &[2, 1])),
        ("length-beyond-the-end", [varint_field(1, 1), tag(PING, 2), vec![1]].concat()),
        ("length-missing", [varint_field(1, 1), tag(PING, 2)].concat()),
        (
            "length-of-4-gib",
            [varint_field(1, 1), tag(PING, 2), vec![0xff, 0xff, 0xff, 0xff, 0x0f]].concat(),
        ),
        ("inner-length-beyond-its-message", request(PING, &[0x0a, 0x03, b'h'])),
        ("inner-tag-alone", request(PING, &[0x0a])),
    ];
    let mut vectors: Vec<_> = cases.iter().map(|(id, body)| refuse(id, "greeted", body)).collect();
    vectors.push(refuse("before-hello", "connected", &[0xff]));
    vectors.push(refuse("after-log-in", "authenticated", &[0xff]));
    vectors
}

fn not_utf8() -> Vec<Value> {
    let cases: [(&str, &[u8]); 7] = [
        ("byte-ff", b"\xff"),
        ("sequence-cut", b"caf\xc3"),
        ("continuation-alone", b"\x80"),
        ("overlong-nul", b"\xc0\x80"),
        ("overlong-slash", b"\xe0\x80\xaf"),
        ("surrogate", b"\xed\xa0\x80"),
        ("beyond-unicode", b"\xf4\x90\x80\x80"),
    ];
    let mut vectors: Vec<_> = cases
        .iter()
        .map(|(id, handle)| {
            refuse(&format!("utf8-{id}"), "greeted", &request(REGISTER, &bytes_field(1, handle)))
        })
        .collect();
    let device = bytes_field(4, &bytes_field(2, b"\xff"));
    vectors.push(refuse("utf8-deep", "greeted", &request(REGISTER, &device)));
    vectors.push(refuse("utf8-in-a-list", "connected", &request(HELLO, &bytes_field(2, b"\xff"))));
    vectors
}

/// Encodings that Protobuf allows and encoders seldom make: the same messages as the usual ones.
fn odd_but_valid() -> Vec<Value> {
    let data = bytes_field(1, b"hi");
    let another = bytes_field(PING, &bytes_field(1, b"ho"));
    let cases: [(&str, Vec<u8>); 6] = [
        ("body-before-request-id", [bytes_field(PING, &data), varint_field(1, 1)].concat()),
        ("varint-not-the-shortest", [&[0x08, 0x81, 0x00][..], &bytes_field(PING, &data)].concat()),
        (
            "length-not-the-shortest",
            [&varint_field(1, 1)[..], &tag(PING, 2), &[0x84, 0x00], &data].concat(),
        ),
        ("request-id-twice", [varint_field(1, 9), ping()].concat()),
        ("empty-field-present", [ping(), bytes_field(2, b"")].concat()),
        ("request-twice", [ping(), another].concat()),
    ];
    let mut vectors: Vec<_> = cases
        .iter()
        .map(|(id, body)| {
            let vector = vector(&format!("odd-{id}"), &["FRAME-006"], "greeted", &frame(body));
            messages(vector, &[(1, Some("ping"))]).valid()
        })
        .collect();
    let unpacked = vector(
        "odd-versions-not-packed",
        &["FRAME-006"],
        "connected",
        &frame(&hello::not_packed()),
    );
    vectors.push(messages(unpacked, &[(1, Some("hello"))]).valid());
    let two_requests = [bytes_field(PING, &data), hello::usual()].concat();
    let last_counts = vector(
        "odd-two-requests-the-last-counts",
        &["FRAME-006"],
        "connected",
        &frame(&two_requests),
    );
    vectors.push(messages(last_counts, &[(1, Some("hello"))]).valid());
    vectors
}
