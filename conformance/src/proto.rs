//! The schema by reflection, and the registries of requests and errors.

use std::{collections::BTreeMap, sync::LazyLock};

use prost_reflect::{DescriptorPool, EnumDescriptor, MessageDescriptor};
use serde::Deserialize;

/// Everything of `proto/aside/v1`.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(aside_proto::FILE_DESCRIPTOR_SET)
        .expect("the schema was compiled when this program was")
});

static REQUESTS: LazyLock<BTreeMap<String, RequestRule>> = LazyLock::new(|| {
    let file: RequestFile = toml::from_str(include_str!("../../spec/registry/requests.toml"))
        .expect("the registry is checked by xtask");
    file.request.into_iter().map(|rule| (rule.name.clone(), rule)).collect()
});

static ERRORS: LazyLock<BTreeMap<i32, ErrorRule>> = LazyLock::new(|| {
    let file: ErrorFile = toml::from_str(include_str!("../../spec/registry/errors.toml"))
        .expect("the registry is checked by xtask");
    file.error.into_iter().map(|rule| (rule.code, rule)).collect()
});

/// What the registry says of a request.
#[derive(Deserialize)]
pub(crate) struct RequestRule {
    pub(crate) name: String,
    /// The field of ServerFrame that answers it.
    pub(crate) reply: String,
    /// Whether it carries an idempotency key.
    pub(crate) mutating: bool,
}

/// What the registry says of an error.
#[derive(Deserialize)]
pub(crate) struct ErrorRule {
    pub(crate) code: i32,
    pub(crate) name: String,
    /// "no", "yes" or "after".
    pub(crate) retryable: String,
}

#[derive(Deserialize)]
struct RequestFile {
    request: Vec<RequestRule>,
}

#[derive(Deserialize)]
struct ErrorFile {
    error: Vec<ErrorRule>,
}

/// A message of package `aside.v1`, if there is one of that name.
pub(crate) fn find_message(name: &str) -> Option<MessageDescriptor> {
    POOL.get_message_by_name(&format!("aside.v1.{name}"))
}

/// A message of package `aside.v1`.
pub(crate) fn message(name: &str) -> MessageDescriptor {
    find_message(name).expect("callers name messages of the schema")
}

/// An enum of package `aside.v1`.
pub(crate) fn enumeration(name: &str) -> EnumDescriptor {
    POOL.get_enum_by_name(&format!("aside.v1.{name}")).expect("callers name enums of the schema")
}

pub(crate) fn request(name: &str) -> Option<&'static RequestRule> {
    REQUESTS.get(name)
}

pub(crate) fn error(code: i32) -> Option<&'static ErrorRule> {
    ERRORS.get(&code)
}

/// The code of an error by its name, with or without prefix.
pub(crate) fn error_code(name: &str) -> Option<i32> {
    enum_number(&enumeration("ErrorCode"), name)
}

/// An error as it is spoken of: `NOT_A_MEMBER (141)`.
pub(crate) fn error_name(code: i32) -> String {
    error(code)
        .map_or_else(|| format!("unassigned code {code}"), |rule| format!("{} ({code})", rule.name))
}

/// The number of an enum value by its name, with or without the enum's prefix.
pub(crate) fn enum_number(descriptor: &EnumDescriptor, name: &str) -> Option<i32> {
    descriptor
        .values()
        .find(|value| value.name() == name || short_name(descriptor, value.name()) == name)
        .map(|value| value.number())
}

/// An enum value's name without the enum's prefix: `MEMBER` of `ROLE_MEMBER`.
pub(crate) fn short_name<'a>(descriptor: &EnumDescriptor, name: &'a str) -> &'a str {
    let mut prefix = String::new();
    for character in descriptor.name().chars() {
        if character.is_ascii_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(character.to_ascii_uppercase());
    }
    prefix.push('_');
    name.strip_prefix(&prefix).unwrap_or(name)
}

/// Fields that are shown of a message besides its own, since one of its bytes fields holds an encoded message.
pub(crate) fn decoded_inside(
    descriptor: &MessageDescriptor,
) -> Option<(&'static str, MessageDescriptor)> {
    match descriptor.full_name() {
        "aside.v1.Entry" => Some(("header", message("EntryHeader"))),
        "aside.v1.SignedHead" => Some(("statement", message("HeadStatement"))),
        _ => None,
    }
}

/// The message that the payload of an entry of this kind is.
pub(crate) fn payload_of(kind: i32) -> Option<MessageDescriptor> {
    let name = match kind {
        1 => "Content",
        2 => "RoomCreatedPayload",
        3 => "MemberJoinedPayload",
        4 => "MemberLeftPayload",
        5 => "MemberRenamedPayload",
        6 => "RoomUpdatedPayload",
        7 => "MemberInvitedPayload",
        9 => "MessagePinnedPayload",
        8 => "RedactedPayload",
        10 => "ConversationCreatedPayload",
        11 => "PrivatePayload",
        12 => "EstablishHeader",
        13 => "CommitPayload",
        14 => "RemovalPendingPayload",
        15 => "RoleChangedPayload",
        16 => "CommitRejectedPayload",
        _ => return None,
    };
    Some(message(name))
}
