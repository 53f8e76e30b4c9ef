//! How a frame is shown to patterns and to people: every field, defaults too, and the messages inside bytes decoded.

use prost_reflect::{
    DynamicMessage, EnumDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value,
};

use crate::{proto, value::Val};

/// Decodes a frame from a server. The error is Protobuf's.
pub(crate) fn server_frame(body: &[u8]) -> Result<Val, prost::DecodeError> {
    decode(&proto::message("ServerFrame"), body)
}

/// Decodes a message.
pub(crate) fn decode(
    descriptor: &MessageDescriptor,
    bytes: &[u8],
) -> Result<Val, prost::DecodeError> {
    Ok(show(&DynamicMessage::decode(descriptor.clone(), bytes)?))
}

fn show(message: &DynamicMessage) -> Val {
    let descriptor = message.descriptor();
    let mut fields = Vec::new();
    for field in descriptor.fields() {
        let absent = field.supports_presence() && !message.has_field(&field);
        if absent && field.containing_oneof().is_some() {
            continue;
        }
        let value = if absent {
            Val::Null
        } else {
            let enumeration = match field.kind() {
                Kind::Enum(descriptor) => Some(descriptor),
                _ => None,
            };
            from_value(&message.get_field(&field), enumeration.as_ref())
        };
        fields.push((field.name().to_owned(), value));
    }
    if let Some((name, inner)) = proto::decoded_inside(&descriptor) {
        show_inside(&mut fields, name, &inner);
    }
    Val::Map(fields)
}

/// Adds the fields of a message that travels inside a bytes field, and, for an entry, its payload decoded.
fn show_inside(fields: &mut Vec<(String, Val)>, name: &str, inner: &MessageDescriptor) {
    let bytes_of = |fields: &[(String, Val)], name: &str| {
        fields
            .iter()
            .find_map(
                |(key, value)| {
                    if key == name { value.as_bytes().map(<[u8]>::to_vec) } else { None }
                },
            )
            .unwrap_or_default()
    };
    let Ok(Val::Map(decoded)) = decode(inner, &bytes_of(fields, name)) else { return };
    let is_entry = inner.name() == "EntryHeader";
    fields.extend(decoded.into_iter().filter(|(key, _)| !is_entry || key != "header"));
    if !is_entry {
        return;
    }
    let kind = fields
        .iter()
        .find(|(key, _)| key == "kind")
        .and_then(|(_, kind)| kind.as_int())
        .unwrap_or(0);
    let descriptor = i32::try_from(kind).ok().and_then(proto::payload_of);
    let payload = bytes_of(fields, "payload");
    if let Some(body) = descriptor.and_then(|descriptor| decode(&descriptor, &payload).ok()) {
        let text = body.field("text").and_then(|text| text.field("body")).cloned();
        fields.push(("body".to_owned(), body));
        fields.extend(text.map(|text| ("text".to_owned(), text)));
    }
}

fn from_value(value: &Value, enumeration: Option<&EnumDescriptor>) -> Val {
    match value {
        Value::Bool(value) => Val::Bool(*value),
        Value::I32(number) => Val::Int((*number).into()),
        Value::I64(number) => Val::Int((*number).into()),
        Value::U32(number) => Val::Int((*number).into()),
        Value::U64(number) => Val::Int((*number).into()),
        Value::String(text) => Val::Text(text.clone()),
        Value::Bytes(bytes) => Val::Bytes(bytes.to_vec()),
        Value::EnumNumber(number) => match enumeration {
            Some(descriptor) => Val::Enum(*number, descriptor.clone()),
            None => Val::Int((*number).into()),
        },
        Value::Message(message) => show(message),
        Value::List(items) => {
            Val::List(items.iter().map(|item| from_value(item, enumeration)).collect())
        }
        // The schema has neither floats nor maps.
        Value::F32(_) | Value::F64(_) | Value::Map(_) => Val::Null,
    }
}

#[cfg(test)]
mod tests {
    use aside_proto::v1;
    use prost::Message as _;

    use super::*;

    #[test]
    fn entries_show_what_is_inside_them() {
        let content = v1::Content {
            body: Some(v1::content::Body::Text(v1::Text { body: "hi".into(), mentions: vec![] })),
            reply_to: None,
        };
        let header = v1::EntryHeader { seq: 3, kind: 1, ..Default::default() };
        let entry = v1::Entry {
            header: header.encode_to_vec().into(),
            payload: content.encode_to_vec().into(),
            ..Default::default()
        };
        let view = decode(&proto::message("Entry"), &entry.encode_to_vec()).unwrap();
        assert_eq!(view.field("text"), Some(&Val::from("hi")));
        assert_eq!(view.field("seq"), Some(&Val::Int(3)));
        assert_eq!(view.field("kind"), Some(&Val::from("MESSAGE")));
        assert_eq!(view.field("salt"), Some(&Val::Bytes(Vec::new())));
    }

    #[test]
    fn a_oneof_shows_only_what_is_there() {
        let frame =
            v1::ServerFrame { reply_to: 4, body: Some(v1::server_frame::Body::Left(v1::Left {})) };
        let view = server_frame(&frame.encode_to_vec()).unwrap();
        assert_eq!(view.to_string(), "{reply_to: 4, left: {}}");
        assert_eq!(view.field("sent"), None);
    }
}
