//! The suite's own framing and wire encoder. It encodes what it is told, valid or not: unknown fields, bytes that are
//! not UTF-8 in a string, numbers no enum has.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::value::Val;

/// The greatest frame body taken from a server (FRAME-010).
pub(crate) const MAX_BODY: usize = 16 * 1024 * 1024;

/// A body with its length before it (FRAME-001).
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("scripts make no bodies of 4 GiB");
    [&length.to_be_bytes()[..], body].concat()
}

/// Why bytes from a server are not a frame.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameFault {
    #[error("a frame of length 0")]
    Empty,
    #[error("a frame of length {0}, above 16 MiB")]
    TooLarge(usize),
}

/// Takes the first whole frame's body off the front of what was received.
pub(crate) fn split(received: &mut Vec<u8>) -> Result<Option<Vec<u8>>, FrameFault> {
    let Some((length, _)) = received.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    match length {
        0 => Err(FrameFault::Empty),
        too_large if too_large > MAX_BODY => Err(FrameFault::TooLarge(too_large)),
        _ if received.len() < 4 + length => Ok(None),
        _ => {
            let rest = received.split_off(4 + length);
            let whole = std::mem::replace(received, rest);
            Ok(Some(whole[4..].to_vec()))
        }
    }
}

/// What can't be encoded, and so is the script's fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct EncodeError(String);

/// Encodes a record as a message. `$unknown` appends fields that the schema lacks, or raw bytes.
pub(crate) fn encode(descriptor: &MessageDescriptor, value: &Val) -> Result<Vec<u8>, EncodeError> {
    let Val::Map(fields) = value else {
        return Err(EncodeError(format!(
            "{} is made of fields, not of {}",
            descriptor.name(),
            value.kind()
        )));
    };
    let mut out = Vec::new();
    for (name, value) in fields {
        if name == "$unknown" {
            unknown(value, &mut out)?;
            continue;
        }
        let field = descriptor
            .get_field_by_name(name)
            .ok_or_else(|| EncodeError(format!("{} has no field {name}", descriptor.name())))?;
        put_field(&field, value, &mut out)?;
    }
    Ok(out)
}

fn put_field(field: &FieldDescriptor, value: &Val, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match value {
        Val::Null => Ok(()),
        Val::List(items) if field.is_list() && field.is_packed() => {
            let mut packed = Vec::new();
            for item in items {
                put_varint(number(field, item)?, &mut packed);
            }
            if !packed.is_empty() {
                put_bytes(field.number(), &packed, out);
            }
            Ok(())
        }
        Val::List(items) if field.is_list() => {
            items.iter().try_for_each(|item| put_one(field, item, out))
        }
        _ if field.is_list() => Err(EncodeError(format!("{} takes a list", field.name()))),
        // As every encoder does, a scalar with its default is left out; not so in a oneof, where presence says which.
        value if value.is_default() && field.containing_oneof().is_none() => {
            check(field, value)?;
            Ok(())
        }
        value => put_one(field, value, out),
    }
}

/// Defaults are not written, but a wrong kind of default is still a mistake.
fn check(field: &FieldDescriptor, value: &Val) -> Result<(), EncodeError> {
    put_one(field, value, &mut Vec::new())
}

fn put_one(field: &FieldDescriptor, value: &Val, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let wrong = || EncodeError(format!("{} can't be {}", field.name(), value.kind()));
    match field.kind() {
        Kind::Message(inner) => put_bytes(field.number(), &encode(&inner, value)?, out),
        Kind::String | Kind::Bytes => {
            put_bytes(field.number(), value.as_bytes().ok_or_else(wrong)?, out);
        }
        _ => {
            put_varint(u64::from(field.number()) << 3, out);
            put_varint(number(field, value)?, out);
        }
    }
    Ok(())
}

/// The varint of a number, boolean or enum value.
fn number(field: &FieldDescriptor, value: &Val) -> Result<u64, EncodeError> {
    let wrong = || EncodeError(format!("{} can't be {value}", field.name()));
    match (value, field.kind()) {
        (Val::Bool(value), Kind::Bool) => Ok(u64::from(*value)),
        (Val::Text(name), Kind::Enum(descriptor)) => {
            let number = crate::proto::enum_number(&descriptor, name).ok_or_else(wrong)?;
            Ok(i64::from(number).cast_unsigned())
        }
        (
            Val::Int(_) | Val::Enum(..),
            Kind::Enum(_) | Kind::Uint32 | Kind::Uint64 | Kind::Int32 | Kind::Int64,
        ) => {
            let number = value.as_int().ok_or_else(wrong)?;
            u64::try_from(number)
                .or_else(|_| i64::try_from(number).map(i64::cast_unsigned))
                .map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

/// Fields by number, or bytes as they are.
fn unknown(value: &Val, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if let Some(raw) = value.as_bytes() {
        out.extend_from_slice(raw);
        return Ok(());
    }
    let wrong = || {
        EncodeError(
            "$unknown takes bytes or a list of {field, varint | bytes | fixed32 | fixed64}".into(),
        )
    };
    for item in value.as_list().ok_or_else(wrong)? {
        let field = item.field("field").and_then(Val::as_int).ok_or_else(wrong)?;
        let field = u32::try_from(field).map_err(|_| wrong())?;
        let integer = |name| item.field(name).and_then(Val::as_int);
        if let Some(bytes) = item.field("bytes").and_then(Val::as_bytes) {
            put_bytes(field, bytes, out);
        } else if let Some(number) = integer("varint") {
            put_varint(u64::from(field) << 3, out);
            put_varint(u64::try_from(number).map_err(|_| wrong())?, out);
        } else if let Some(number) = integer("fixed64") {
            put_varint(u64::from(field) << 3 | 1, out);
            out.extend_from_slice(&u64::try_from(number).map_err(|_| wrong())?.to_le_bytes());
        } else if let Some(number) = integer("fixed32") {
            put_varint(u64::from(field) << 3 | 5, out);
            out.extend_from_slice(&u32::try_from(number).map_err(|_| wrong())?.to_le_bytes());
        } else {
            return Err(wrong());
        }
    }
    Ok(())
}

fn put_bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3 | 2, out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use aside_proto::v1;
    use prost::Message as _;

    use super::*;
    use crate::{proto, value::record};

    // cites: FRAME-001, FRAME-010
    #[test]
    fn frames_are_taken_off_whole() {
        let mut received = [frame(b"ab"), frame(b"c")].concat();
        received.pop();
        assert_eq!(split(&mut received), Ok(Some(b"ab".to_vec())));
        assert_eq!(split(&mut received), Ok(None));
        received.push(b'c');
        assert_eq!(split(&mut received), Ok(Some(b"c".to_vec())));
        assert_eq!(split(&mut vec![0; 4]), Err(FrameFault::Empty));
        assert_eq!(split(&mut vec![1, 0, 0, 1]), Err(FrameFault::TooLarge(0x0100_0001)));
    }

    #[test]
    fn the_encoder_agrees_with_prost() {
        let hello = record([
            ("versions", Val::List(vec![Val::Int(1), Val::Int(300)])),
            ("capabilities", Val::List(vec!["talk".into(), "".into()])),
            ("client_nonce", Val::Bytes(vec![7; 32])),
            ("server_name", "localhost".into()),
            ("user_agent", "".into()),
        ]);
        let request = record([("request_id", Val::Int(u64::MAX.into())), ("hello", hello)]);
        let expected = v1::ClientFrame {
            request_id: u64::MAX,
            body: Some(v1::client_frame::Body::Hello(v1::Hello {
                versions: vec![1, 300],
                capabilities: vec!["talk".into(), String::new()],
                client_nonce: vec![7; 32].into(),
                server_name: "localhost".into(),
                user_agent: String::new(),
            })),
            ..Default::default()
        };
        let encoded = encode(&proto::message("ClientFrame"), &request).unwrap();
        assert_eq!(v1::ClientFrame::decode(&encoded[..]).unwrap(), expected);
        assert_eq!(encoded, expected.encode_to_vec());
    }

    #[test]
    fn what_is_not_valid_is_encoded_as_told() {
        let unknown = Val::List(vec![
            record([("field", Val::Int(50001)), ("varint", Val::Int(7))]),
            record([("field", Val::Int(5)), ("fixed32", Val::Int(1))]),
            record([("field", Val::Int(6)), ("bytes", "x".into())]),
        ]);
        let rename = record([
            ("handle", Val::Bytes(vec![0xff])),
            ("on_conflict", Val::Int(99)),
            ("$unknown", unknown),
        ]);
        let encoded = encode(&proto::message("Rename"), &rename).unwrap();
        assert_eq!(
            hex::encode(encoded),
            "0a01ff1063".to_owned() + "88b51807" + "2d01000000" + "320178"
        );
    }

    #[test]
    fn mistakes_of_scripts_are_named() {
        let rename = proto::message("Rename");
        let error = |value| encode(&rename, &value).unwrap_err().to_string();
        assert_eq!(error(record([("handel", "x".into())])), "Rename has no field handel");
        assert_eq!(error(record([("handle", Val::Int(0))])), "handle can't be a number");
        assert_eq!(
            error(record([("on_conflict", "MAYBE".into())])),
            "on_conflict can't be \"MAYBE\""
        );
    }
}
