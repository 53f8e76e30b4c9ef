//! The compiled schema, as far as registries are compared with it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

/// The messages and enums of `aside.v1`.
#[derive(Debug)]
pub(super) struct Schema {
    messages: Vec<DescriptorProto>,
    enums: Vec<EnumDescriptorProto>,
}

impl Schema {
    /// The schema that aside-proto was built from.
    ///
    /// # Errors
    /// If the descriptors can't be decoded.
    pub(super) fn compiled() -> Result<Self> {
        let set = FileDescriptorSet::decode(aside_proto::FILE_DESCRIPTOR_SET)
            .context("decoding the compiled schema")?;
        let files = || set.file.iter().filter(|file| file.package() == "aside.v1");
        Ok(Self {
            messages: files().flat_map(|file| file.message_type.clone()).collect(),
            enums: files().flat_map(|file| file.enum_type.clone()).collect(),
        })
    }

    /// Number and name of the values of an enum; none if there is no such enum.
    pub(super) fn enum_values(&self, name: &str) -> impl Iterator<Item = (i32, String)> {
        let found = self.enums.iter().find(|e| e.name() == name);
        found.into_iter().flat_map(|e| &e.value).map(|v| (v.number(), v.name().to_owned()))
    }

    /// Number and name of the fields of a message's oneof; none if there is no such oneof.
    pub(super) fn oneof_fields(
        &self,
        message: &str,
        oneof: &str,
    ) -> impl Iterator<Item = (i32, String)> {
        let found = self.messages.iter().find(|m| m.name() == message);
        found.into_iter().flat_map(move |m| {
            let index = m.oneof_decl.iter().position(|o| o.name() == oneof).map(|i| i as i32);
            let of_it = move |f: &&FieldDescriptorProto| index.is_some() && f.oneof_index == index;
            m.field.iter().filter(of_it).map(|f| (f.number(), f.name().to_owned()))
        })
    }

    /// Every number in use: by the name of its message or enum, what it means, such as `repeated uint32 versions`.
    pub(super) fn meanings(&self) -> BTreeMap<String, BTreeMap<i32, String>> {
        let messages = self.messages.iter().map(|m| {
            let fields = m.field.iter().map(|f| (f.number(), field_meaning(f)));
            (m.name().to_owned(), fields.collect())
        });
        let enums = self.enums.iter().map(|e| {
            let values = e.value.iter().map(|v| (v.number(), v.name().to_owned()));
            (e.name().to_owned(), values.collect())
        });
        messages.chain(enums).collect()
    }

    /// Whether a number is reserved in a message or enum, and so may have lost its meaning.
    pub(super) fn is_reserved(&self, owner: &str, number: i32) -> bool {
        // Ranges of messages end before their end, those of enums at it.
        let in_message = self
            .messages
            .iter()
            .filter(|m| m.name() == owner)
            .any(|m| m.reserved_range.iter().any(|r| (r.start()..r.end()).contains(&number)));
        let in_enum = self
            .enums
            .iter()
            .filter(|e| e.name() == owner)
            .any(|e| e.reserved_range.iter().any(|r| (r.start()..=r.end()).contains(&number)));
        in_message || in_enum
    }
}

fn field_meaning(field: &FieldDescriptorProto) -> String {
    let kind = match field.r#type() {
        Type::Message | Type::Enum => {
            field.type_name().rsplit('.').next().unwrap_or_default().to_owned()
        }
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    let repeated = if field.label() == Label::Repeated { "repeated " } else { "" };
    format!("{repeated}{kind} {}", field.name())
}

/// `snake_case` or `UPPER_CASE` as `CamelCase`: what prost names variants.
pub(super) fn camel_case(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_uppercase() + &rest.to_lowercase()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings_are_those_of_the_schema() {
        let schema = Schema::compiled().unwrap();
        let meanings = schema.meanings();
        assert_eq!(meanings["Hello"][&1], "repeated uint32 versions");
        assert_eq!(meanings["ClientFrame"][&14], "Ping ping");
        assert_eq!(meanings["RegistrationMode"][&2], "REGISTRATION_MODE_CLOSED");
        assert!(schema.is_reserved("ClientFrame", 59999));
        assert!(!schema.is_reserved("ClientFrame", 60000));
    }

    #[test]
    fn names_are_cased_as_prost_does() {
        assert_eq!(camel_case("FRAME_TOO_LARGE"), "FrameTooLarge");
        assert_eq!(camel_case("get_head"), "GetHead");
    }
}
