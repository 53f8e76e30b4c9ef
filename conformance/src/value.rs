//! The values that scripts compute with, and that frames are shown as.

use std::{fmt, sync::Arc};

use prost_reflect::EnumDescriptor;

use crate::truth::Key;

/// A value of a script.
#[derive(Clone)]
pub(crate) enum Val {
    /// Not there: a message field that is not set.
    Null,
    Bool(bool),
    Int(i128),
    Text(String),
    Bytes(Vec<u8>),
    /// A number of an enum; compared by number.
    Enum(i32, EnumDescriptor),
    List(Vec<Val>),
    /// A message or any other record, in the order it was written.
    Map(Vec<(String, Val)>),
    Key(Arc<Key>),
}

impl Val {
    /// Whether it is what a field has that was not set.
    pub(crate) fn is_default(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) | Self::Int(0) | Self::Enum(0, _) => true,
            Self::Text(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::List(items) => items.is_empty(),
            _ => false,
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            Self::Key(_) => None,
            _ => None,
        }
    }

    /// An element by index; from the end if negative.
    pub(crate) fn item(&self, index: i64) -> Option<&Self> {
        let Self::List(items) = self else { return None };
        let index = if index < 0 { items.len() as i64 + index } else { index };
        usize::try_from(index).ok().and_then(|index| items.get(index))
    }

    pub(crate) fn as_int(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Enum(number, _) => Some(i128::from(*number)),
            _ => None,
        }
    }

    /// Bytes; of a text its UTF-8.
    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Text(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// What kind of value it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "a number",
            Self::Text(_) => "a text",
            Self::Bytes(_) => "bytes",
            Self::Enum(..) => "an enum value",
            Self::List(_) => "a list",
            Self::Map(_) => "a message",
            Self::Key(_) => "a key",
        }
    }
}

impl PartialEq for Val {
    /// Enums equal their numbers and names, texts the bytes of their UTF-8, and whatever is not set its default.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Enum(number, descriptor), Self::Text(name))
            | (Self::Text(name), Self::Enum(number, descriptor)) => {
                crate::proto::enum_number(descriptor, name) == Some(*number)
            }
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => {
                a.len() == b.len() && a.iter().all(|(key, value)| other.field(key) == Some(value))
            }
            (Self::Key(a), Self::Key(b)) => a.public_key() == b.public_key(),
            (Self::Null, value) | (value, Self::Null) => value.is_default(),
            _ => match (self.as_int(), other.as_int()) {
                (Some(a), Some(b)) => a == b,
                _ => self.as_bytes().is_some() && self.as_bytes() == other.as_bytes(),
            },
        }
    }
}

/// Fields whose values are never shown.
const SECRET: [&str; 3] = ["password", "old_password", "new_password"];
/// Bytes shown of values longer than an id.
const SHOWN: usize = 8;

impl fmt::Display for Val {
    /// On one line, without fields that have their defaults, secrets redacted, long bytes cut.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("(not set)"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) if text.chars().count() > 160 => {
                let start: String = text.chars().take(24).collect();
                write!(f, "{start:?}… ({} characters)", text.chars().count())
            }
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) if bytes.len() > 2 * SHOWN => {
                write!(f, "{}…({})", hex::encode(&bytes[..SHOWN]), bytes.len())
            }
            Self::Bytes(bytes) if bytes.is_empty() => f.write_str("\"\""),
            Self::Bytes(bytes) => f.write_str(&hex::encode(bytes)),
            Self::Enum(number, descriptor) => match descriptor.get_value(*number) {
                Some(value) => f.write_str(crate::proto::short_name(descriptor, value.name())),
                None => write!(f, "{number}"),
            },
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Map(fields) => {
                f.write_str("{")?;
                let shown = fields.iter().filter(|(_, value)| !value.is_default());
                for (index, (key, value)) in shown.enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    if SECRET.contains(&key.as_str()) {
                        write!(f, "{key}: (redacted)")?;
                    } else {
                        write!(f, "{key}: {value}")?;
                    }
                }
                f.write_str("}")
            }
            Self::Key(key) => write!(f, "key({}…)", hex::encode(&key.public_key()[1..5])),
        }
    }
}

impl fmt::Debug for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&str> for Val {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&[u8]> for Val {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

/// A record of these fields.
pub(crate) fn record<const N: usize>(fields: [(&str, Val); N]) -> Val {
    Val::Map(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}
