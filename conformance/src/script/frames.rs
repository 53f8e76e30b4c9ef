//! The frames in scripts: requests that are sent and frames that are expected, held against the schema when a script is
//! loaded, and described for editors.

use std::borrow::Cow;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value as Json, json};

use crate::proto;

use super::{
    expr::{Expr, MESSAGE_KEYS},
    pattern::Pattern,
};

/// A ClientFrame to send.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Fields of ClientFrame, `as` excepted.
    pub(crate) fields: Vec<(String, Expr)>,
    /// The variable that keeps what was sent.
    pub(crate) name: Option<String>,
}

impl Request {
    /// Compiles a YAML value.
    pub(crate) fn compile(source: &Json) -> Result<Self, String> {
        let Json::Object(fields) = source else {
            return Err("a request is a mapping, such as {ping: {}}".into());
        };
        let mut fields = fields.clone();
        let name = match fields.remove("as") {
            None => None,
            Some(Json::String(name)) => Some(name),
            Some(_) => return Err("as: takes a name".into()),
        };
        check_value(&proto::message("ClientFrame"), &Json::Object(fields.clone()))?;
        let compiled = fields.iter().map(|(key, value)| Ok((key.clone(), Expr::compile(value)?)));
        Ok(Self { fields: compiled.collect::<Result<_, String>>()?, name })
    }
}

/// A ServerFrame that is expected, short forms spelled out.
#[derive(Debug, Clone)]
pub(crate) struct FramePattern {
    pub(crate) pattern: Pattern,
    /// Whether it is for an event.
    pub(crate) is_event: bool,
    /// As it stands in the script.
    pub(crate) source: String,
}

impl FramePattern {
    /// Compiles a YAML value.
    pub(crate) fn compile(source: &Json) -> Result<Self, String> {
        let text = source.to_string();
        let (is_event, source) = match source {
            Json::Object(fields) if fields.len() == 1 && fields.contains_key("event") => {
                (true, &fields["event"])
            }
            other => (false, other),
        };
        let spelled = spell_out(source.clone());
        check_pattern(&proto::message("ServerFrame"), &spelled)?;
        Ok(Self { pattern: Pattern::compile(&spelled)?, is_event, source: text })
    }
}

/// `{error: CODE}` and `{entry: …}` in full.
fn spell_out(source: Json) -> Json {
    let Json::Object(mut fields) = source else { return source };
    match fields.get("error") {
        // A code, or an error that was saved whole: which of them shows when it is compared.
        Some(Json::String(saved)) if saved.starts_with('$') => {
            let saved = fields["error"].take();
            fields["error"] = json!({ "$one_of": [saved, { "code": saved }] });
        }
        Some(Json::String(_) | Json::Number(_)) => {
            let code = fields["error"].take();
            fields["error"] = json!({ "code": code });
        }
        _ => {}
    }
    if let Some(entry) = fields.remove("entry") {
        fields.insert("entry_appended".into(), json!({ "entry": entry }));
    }
    Json::Object(fields)
}

/// Field names, enum names and the shape of what is to be encoded.
fn check_value(descriptor: &MessageDescriptor, value: &Json) -> Result<(), String> {
    let Json::Object(fields) = value else {
        return if is_expression(value) || value.is_null() {
            Ok(())
        } else {
            Err(format!("{} is made of fields", descriptor.name()))
        };
    };
    for (key, value) in fields {
        if MESSAGE_KEYS.contains(&key.as_str()) || key.starts_with('$') {
            continue;
        }
        let field = descriptor.get_field_by_name(key).ok_or_else(|| no_field(descriptor, key))?;
        let items = match value {
            Json::Array(items) => &items[..],
            one => std::slice::from_ref(one),
        };
        for item in items {
            match field.kind() {
                Kind::Message(inner) => check_value(&inner, item)?,
                Kind::Enum(descriptor) => check_enum(&descriptor, item)?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// Field names and enum names of what is expected.
fn check_pattern(descriptor: &MessageDescriptor, pattern: &Json) -> Result<(), String> {
    let Json::Object(fields) = pattern else {
        return if is_expression(pattern) {
            Ok(())
        } else {
            Err(format!("a pattern for {} is a mapping", descriptor.name()))
        };
    };
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("$not" | "$contains" | "$excludes" | "$each", inner) => {
                check_pattern(descriptor, inner)?
            }
            ("$one_of" | "$all_of", Json::Array(items)) => {
                items.iter().try_for_each(|item| check_pattern(descriptor, item))?;
            }
            (key, _) if key.starts_with('$') => {}
            _ => check_pattern_field(descriptor, key, value)?,
        }
    }
    Ok(())
}

fn check_pattern_field(
    descriptor: &MessageDescriptor,
    key: &str,
    value: &Json,
) -> Result<(), String> {
    let field = match field_shown(descriptor, key) {
        Some(field) => field,
        // What these hold hangs on the kind of the entry.
        None if descriptor.name() == "Entry" && (key == "body" || key == "text") => return Ok(()),
        None => return Err(no_field(descriptor, key)),
    };
    let items = match value {
        Json::Array(items) => &items[..],
        one => std::slice::from_ref(one),
    };
    for item in items {
        match field.kind() {
            Kind::Message(inner) => check_pattern(&inner, item)?,
            Kind::Enum(descriptor) => check_enum(&descriptor, item)?,
            _ => {}
        }
    }
    Ok(())
}

/// A field of a message, or of the message that is shown decoded inside it.
fn field_shown(descriptor: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    descriptor
        .get_field_by_name(name)
        .or_else(|| proto::decoded_inside(descriptor)?.1.get_field_by_name(name))
}

fn check_enum(descriptor: &EnumDescriptor, value: &Json) -> Result<(), String> {
    match value {
        Json::String(name)
            if !name.starts_with('$') && proto::enum_number(descriptor, name).is_none() =>
        {
            Err(format!("{} has no value {name}", descriptor.name()))
        }
        _ => Ok(()),
    }
}

fn no_field(descriptor: &MessageDescriptor, name: &str) -> String {
    let fields: Vec<_> = descriptor.fields().map(|field| field.name().to_owned()).collect();
    format!("{} has no field {name:?}; it has {}", descriptor.name(), fields.join(", "))
}

/// Whether it stands for a value that is known only when the script runs.
fn is_expression(value: &Json) -> bool {
    match value {
        Json::String(text) => text.starts_with('$'),
        Json::Object(fields) => fields.keys().any(|key| key.starts_with('$')),
        _ => false,
    }
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::compile(&Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for FramePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::compile(&Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Request {
    fn schema_name() -> Cow<'static, str> {
        "Request".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = fields_schema(&proto::message("ClientFrame"), false, generator);
        schema["properties"]["as"] =
            json!({ "type": "string", "description": "Keeps what is sent under this name." });
        Schema::try_from(schema).unwrap_or_default()
    }
}

impl JsonSchema for FramePattern {
    fn schema_name() -> Cow<'static, str> {
        "FramePattern".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let frame = proto::message("ServerFrame");
        let mut event = fields_schema(&frame, true, generator);
        event["properties"]["entry"] = message_ref(&proto::message("Entry"), true, generator);
        event["properties"]["error"] = error_schema(generator);
        let mut schema = fields_schema(&frame, true, generator);
        schema["properties"]["error"] = error_schema(generator);
        schema["properties"]["event"] =
            json!({ "anyOf": [event, { "type": "string", "pattern": "^\\$" }] });
        json_schema!({ "anyOf": [schema, { "type": "string", "pattern": "^\\$" }] })
    }
}

/// An error's code alone, or a pattern for the whole.
fn error_schema(generator: &mut SchemaGenerator) -> Json {
    let codes = enum_schema(&proto::enumeration("ErrorCode"));
    json!({ "anyOf": [codes, message_ref(&proto::message("Error"), true, generator)] })
}

/// The schema of a message's fields.
fn fields_schema(
    descriptor: &MessageDescriptor,
    pattern: bool,
    generator: &mut SchemaGenerator,
) -> Json {
    let mut properties = Map::new();
    let inner = proto::decoded_inside(descriptor).filter(|_| pattern).map(|(_, inner)| inner);
    let shown = inner.iter().flat_map(MessageDescriptor::fields);
    for field in shown.chain(descriptor.fields()).collect::<Vec<_>>() {
        properties.insert(field.name().to_owned(), field_schema(&field, pattern, generator));
    }
    if pattern && descriptor.name() == "Entry" {
        properties.insert("body".into(), json!(true));
        properties.insert("text".into(), json!(true));
    }
    json!({
        "type": "object",
        "properties": properties,
        "patternProperties": { "^\\$": true },
        "additionalProperties": false,
    })
}

fn field_schema(field: &FieldDescriptor, pattern: bool, generator: &mut SchemaGenerator) -> Json {
    let one = match field.kind() {
        Kind::Message(inner) => message_ref(&inner, pattern, generator),
        Kind::Enum(descriptor) => enum_schema(&descriptor),
        _ => json!(true),
    };
    if field.is_list() && one != json!(true) {
        return json!({ "anyOf": [{ "type": "array", "items": one }, { "$ref": "#/$defs/Expression" }] });
    }
    one
}

/// A reference to a message's schema, which is added to the definitions at its first use.
fn message_ref(
    descriptor: &MessageDescriptor,
    pattern: bool,
    generator: &mut SchemaGenerator,
) -> Json {
    let name = format!("{}{}", descriptor.name(), if pattern { "Pattern" } else { "" });
    generator.definitions_mut().entry("Expression".to_owned()).or_insert_with(|| {
        json!({
            "anyOf": [
                { "type": "string", "pattern": "^\\$" },
                { "type": "object", "patternProperties": { "^\\$": true }, "additionalProperties": false },
            ]
        })
    });
    if !generator.definitions().contains_key(&name) {
        generator.definitions_mut().insert(name.clone(), json!(true));
        let schema = fields_schema(descriptor, pattern, generator);
        generator.definitions_mut().insert(name.clone(), schema);
    }
    json!({ "anyOf": [{ "$ref": format!("#/$defs/{name}") }, { "$ref": "#/$defs/Expression" }] })
}

fn enum_schema(descriptor: &EnumDescriptor) -> Json {
    let names: Vec<_> = descriptor
        .values()
        .flat_map(|value| {
            let short = proto::short_name(descriptor, value.name()).to_owned();
            [short, value.name().to_owned()]
        })
        .collect();
    json!({
        "anyOf": [
            { "enum": names },
            { "type": "integer" },
            { "$ref": "#/$defs/Expression" },
        ]
    })
}
