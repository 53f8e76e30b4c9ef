//! What a user interface shows: rooms, people, devices, entries, and what happens.

mod entry;
mod event;
mod room;

use std::fmt;

use aside_proto::{
    id::{DeviceId, IdLengthError, UserId},
    v1,
};

pub use self::{
    entry::{Content, Entry, Mention, MessageRef, Pin, Reaction, Receipt, What},
    event::{Connection, Event},
    room::{Kind, Member, Role, Room, RoomChange, unnamed},
};
pub(crate) use room::{is_named, is_private};

/// A device of the user's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id, for ever.
    pub id: DeviceId,
    /// The name it was bound with. To be neutralised before it is displayed.
    pub name: String,
    /// When it was bound, milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last seen, milliseconds since 1970.
    pub last_seen_ms: u64,
    /// Whether it is this one.
    pub current: bool,
    /// Whether it is connected.
    pub online: bool,
}

/// Someone who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who, for ever.
    pub user: UserId,
    /// The handle last heard of; none if the user left before this client came.
    pub handle: Option<String>,
}

impl fmt::Display for Person {
    /// The handle, or what stands for it. To be neutralised before it is displayed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.handle {
            Some(handle) => f.write_str(handle),
            None => {
                let id = self.user.to_string();
                write!(f, "user-{}", &id[id.len() - 6..])
            }
        }
    }
}

impl TryFrom<v1::Device> for Device {
    type Error = IdLengthError;

    fn try_from(device: v1::Device) -> Result<Self, IdLengthError> {
        Ok(Self {
            id: device.device_id[..].try_into()?,
            name: device.name,
            created_ms: device.created_ms,
            last_seen_ms: device.last_seen_ms,
            current: device.current,
            online: device.online,
        })
    }
}
