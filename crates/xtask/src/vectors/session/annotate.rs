//! Names every byte of a frame, by the compiled schema.

use std::collections::BTreeMap;

use aside_proto::frame::HEADER_BYTES;
use prost::{
    Message as _,
    encoding::{WireType, decode_key, decode_varint},
};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use serde_json::{Value, json};

use crate::vectors::file::hex;

/// One field of a frame. The rows of a frame, put together, are its bytes.
pub(in crate::vectors) struct Row {
    /// Where it begins in the frame.
    pub(in crate::vectors) at: usize,
    /// The tag, with the length if there is one; or the length of the frame.
    pub(in crate::vectors) tag: Vec<u8>,
    /// The value; empty for a message whose fields follow.
    pub(in crate::vectors) value: Vec<u8>,
    /// The path from the frame down: `register.device.name`.
    pub(in crate::vectors) field: String,
    /// What the value says.
    pub(in crate::vectors) meaning: String,
}

impl Row {
    pub(super) fn json(&self) -> Value {
        json!({
            "at": self.at,
            "tag": hex(&self.tag),
            "value": hex(&self.value),
            "field": self.field,
            "meaning": self.meaning,
        })
    }
}

/// The messages and enums of `aside.v1`, by name.
pub(in crate::vectors) struct Schema {
    messages: BTreeMap<String, DescriptorProto>,
    enums: BTreeMap<String, EnumDescriptorProto>,
}

impl Schema {
    /// The schema that aside-proto was built from.
    pub(in crate::vectors) fn compiled() -> Self {
        let set = FileDescriptorSet::decode(aside_proto::FILE_DESCRIPTOR_SET)
            .expect("the build wrote it from the same type");
        let (messages, enums) = set.file.into_iter().map(|f| (f.message_type, f.enum_type)).unzip();
        let (messages, enums): (Vec<Vec<DescriptorProto>>, Vec<Vec<EnumDescriptorProto>>) =
            (messages, enums);
        Self {
            messages: messages.into_iter().flatten().map(|m| (m.name().to_owned(), m)).collect(),
            enums: enums.into_iter().flatten().map(|e| (e.name().to_owned(), e)).collect(),
        }
    }

    /// The rows of a frame that holds a message of this name. `name_of` knows the names of values.
    pub(super) fn annotate_frame(
        &self,
        message: &str,
        frame: &[u8],
        name_of: &dyn Fn(&[u8]) -> Option<String>,
    ) -> Vec<Row> {
        let (length, body) = frame.split_at(HEADER_BYTES);
        let mut walk = Walk { schema: self, name_of, entry_kind: String::new(), rows: Vec::new() };
        walk.rows.push(Row {
            at: 0,
            tag: length.to_vec(),
            value: Vec::new(),
            field: "length".into(),
            meaning: holds(body.len(), message),
        });
        walk.message(message, "", HEADER_BYTES, body);
        walk.rows
    }

    /// The rows of a message of this name that stands in no frame.
    pub(in crate::vectors) fn annotate(
        &self,
        message: &str,
        bytes: &[u8],
        name_of: &dyn Fn(&[u8]) -> Option<String>,
    ) -> Vec<Row> {
        let mut walk = Walk { schema: self, name_of, entry_kind: String::new(), rows: Vec::new() };
        walk.message(message, "", 0, bytes);
        walk.rows
    }

    fn field(&self, message: &str, number: u32) -> &FieldDescriptorProto {
        let fields = &self.messages[message].field;
        let found = fields.iter().find(|f| f.number() == number as i32);
        found.expect("the frames of the session hold assigned fields only")
    }
}

/// A walk through one frame. It trusts the bytes: they were encoded a moment ago.
struct Walk<'a> {
    schema: &'a Schema,
    name_of: &'a dyn Fn(&[u8]) -> Option<String>,
    /// The kind in the last EntryHeader: it says what the payload is.
    entry_kind: String,
    rows: Vec<Row>,
}

impl Walk<'_> {
    /// Names the fields of a message of this name, whose bytes begin at `at`.
    fn message(&mut self, name: &str, path: &str, at: usize, bytes: &[u8]) {
        let mut rest = bytes;
        let mut seen = BTreeMap::<u32, usize>::new();
        while !rest.is_empty() {
            let start = bytes.len() - rest.len();
            let (number, wire_type) = decode_key(&mut rest).expect("encoded a moment ago");
            let length = match wire_type {
                WireType::LengthDelimited => decode_varint(&mut rest).expect("as above") as usize,
                _ => 1 + rest.iter().take_while(|byte| **byte >= 0x80).count(),
            };
            let (value, behind) = rest.split_at(length);
            let tag = bytes[start..bytes.len() - rest.len()].to_vec();
            rest = behind;
            let descriptor = self.schema.field(name, number).clone();
            let index = seen.entry(number).or_default();
            let field = match descriptor.label() {
                Label::Repeated if !is_packed(&descriptor) => {
                    format!("{path}{}[{index}]", descriptor.name())
                }
                _ => format!("{path}{}", descriptor.name()),
            };
            *index += 1;
            self.field(name, &descriptor, field, at + start, tag, value);
        }
    }

    fn field(
        &mut self,
        message: &str,
        descriptor: &FieldDescriptorProto,
        field: String,
        at: usize,
        tag: Vec<u8>,
        value: &[u8],
    ) {
        let inner = match descriptor.r#type() {
            Type::Message => Some(type_name(descriptor).to_owned()),
            _ => self.message_in_bytes(message, descriptor.name()),
        };
        let Some(inner) = inner else {
            let meaning = self.meaning(descriptor, value);
            if (message, descriptor.name()) == ("EntryHeader", "kind") {
                self.entry_kind.clone_from(&meaning);
            }
            return self.rows.push(Row { at, tag, value: value.to_vec(), field, meaning });
        };
        let meaning = holds(value.len(), &inner);
        let inner_at = at + tag.len();
        let path = format!("{field}.");
        self.rows.push(Row { at, tag, value: Vec::new(), field, meaning });
        self.message(&inner, &path, inner_at, value);
    }

    /// The message that a field of type bytes holds, encoded.
    fn message_in_bytes(&self, message: &str, field: &str) -> Option<String> {
        let name = match (message, field) {
            ("Entry", "header") => "EntryHeader",
            ("SignedHead", "statement") => "HeadStatement",
            ("SendMessage", "payload") => "Content",
            ("DeviceCertificate", "statement") => "DeviceStatement",
            ("DeviceLogEntry", "statement") => "DeviceLogStatement",
            ("DeviceLogGenesis" | "DeviceLogAdd", "certificate") => "DeviceCertificate",
            ("Entry", "payload") => match &self.entry_kind[..] {
                "ENTRY_KIND_ROOM_CREATED" => "RoomCreatedPayload",
                "ENTRY_KIND_MEMBER_JOINED" => "MemberJoinedPayload",
                _ => "Content",
            },
            _ => return None,
        };
        Some(name.into())
    }

    fn meaning(&self, descriptor: &FieldDescriptorProto, value: &[u8]) -> String {
        let number = |mut bytes: &[u8]| decode_varint(&mut bytes).expect("encoded a moment ago");
        match descriptor.r#type() {
            Type::String => format!("\"{}\"", String::from_utf8_lossy(value)),
            Type::Bytes => {
                (self.name_of)(value).unwrap_or_else(|| format!("{} bytes", value.len()))
            }
            Type::Bool => (number(value) != 0).to_string(),
            Type::Enum | Type::Uint32 | Type::Uint64 if is_packed(descriptor) => {
                let mut rest = value;
                let mut items = Vec::new();
                while !rest.is_empty() {
                    items
                        .push(self.scalar(descriptor, decode_varint(&mut rest).expect("as above")));
                }
                format!("[{}]", items.join(", "))
            }
            _ => self.scalar(descriptor, number(value)),
        }
    }

    fn scalar(&self, descriptor: &FieldDescriptorProto, number: u64) -> String {
        if descriptor.r#type() != Type::Enum {
            return number.to_string();
        }
        let values = &self.schema.enums[type_name(descriptor)].value;
        let found = values.iter().find(|v| v.number() as u64 == number);
        found.expect("the session holds assigned values only").name().to_owned()
    }
}

/// `70 bytes, a Hello`.
fn holds(length: usize, message: &str) -> String {
    let article = if message.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    format!("{length} bytes, {article} {message}")
}

/// Whether values of this field come packed: repeated numbers.
fn is_packed(descriptor: &FieldDescriptorProto) -> bool {
    let number = !matches!(descriptor.r#type(), Type::Message | Type::String | Type::Bytes);
    number && descriptor.label() == Label::Repeated
}

fn type_name(descriptor: &FieldDescriptorProto) -> &str {
    descriptor.type_name().trim_start_matches(".aside.v1.")
}
