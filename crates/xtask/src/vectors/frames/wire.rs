//! Protobuf's wire format, by hand: these vectors need encodings that no encoder makes.

use aside_proto::frame::HEADER_BYTES;

/// A frame of this body.
pub(super) fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("bodies of vectors are short");
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.extend(length.to_be_bytes());
    frame.extend(body);
    frame
}

/// The shortest varint of a number.
pub(super) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// The tag of a field.
pub(super) fn tag(field: u32, wire_type: u8) -> Vec<u8> {
    varint(u64::from(field) << 3 | u64::from(wire_type))
}

/// A field of wire type 0.
pub(super) fn varint_field(field: u32, number: u64) -> Vec<u8> {
    [tag(field, 0), varint(number)].concat()
}

/// A field of wire type 2: bytes, a string, a message.
pub(super) fn bytes_field(field: u32, bytes: &[u8]) -> Vec<u8> {
    [&tag(field, 2)[..], &varint(bytes.len() as u64), bytes].concat()
}
