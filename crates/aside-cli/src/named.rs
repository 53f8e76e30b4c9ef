//! Which room or private conversation is meant by what its user calls it.

use anyhow::{Result, anyhow};
use aside_client::{Client, Kind, Room, v1};

use crate::failure;

/// What is said where a conversation has to be named, and nothing is.
const NAMELESS: &str = "name a room, or somebody: #NAME, @HANDLE, or NAME alone";

/// A conversation as its user names it: `#name` is the public room, `@handle` the private conversation with somebody, and a name alone
/// any that is called so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    sign: Option<char>,
    name: &'a str,
}

impl<'a> Named<'a> {
    /// What a text names.
    ///
    /// # Errors
    /// It names nothing, which is wrong usage: the server would take it for all rooms.
    pub(crate) fn read(text: &'a str) -> Result<Self> {
        let text = text.trim();
        let named = match text.strip_prefix(['#', '@']) {
            Some(name) => Self { sign: text.chars().next(), name },
            None => Self { sign: None, name: text },
        };
        match named.name.trim().is_empty() {
            true => Err(failure::usage(NAMELESS)),
            false => Ok(named),
        }
    }

    /// Whether it may be this one.
    pub(crate) fn is(self, kind: Kind, name: &str) -> bool {
        let may_be = match self.sign {
            Some('#') => kind == Kind::PublicRoom,
            Some(_) => kind == Kind::Direct,
            None => true,
        };
        may_be && name.to_lowercase() == self.name.to_lowercase()
    }

    /// That there is none.
    pub(crate) fn is_not_there(self) -> anyhow::Error {
        let name = self.name;
        match self.sign {
            Some('@') => {
                anyhow!("there is no private conversation with {name}; /dm {name} begins one")
            }
            _ => anyhow!("there is no room {name}; `aside rooms` lists those there are"),
        }
    }

    /// That it may be several.
    pub(crate) fn is_of_several(self) -> anyhow::Error {
        let name = self.name;
        anyhow!(
            "{name} is the name of several: #{name} is the public room, @{name} the private conversation with {name}; a group \
             can be given another name"
        )
    }
}

/// Finds a room or a private conversation by name. What is meant for few is never said to all: a name that both have is refused, unless
/// `#name` says that the room is meant, or `@handle` the private conversation with somebody.
pub(crate) async fn find_room(client: &Client, name: &str) -> Result<Room> {
    let found = look_for_room(client, name).await?;
    match found {
        Some(room) => Ok(room),
        None => Err(Named::read(name)?.is_not_there()),
    }
}

/// As [`find_room`], if there is one.
pub(crate) async fn look_for_room(client: &Client, name: &str) -> Result<Option<Room>> {
    let named = Named::read(name)?;
    let Named { sign, name } = named;
    let mut found = Vec::new();
    let wanted = |room: &Room| room.kind.is_private() && named.is(room.kind, &room.name);
    if sign != Some('#') {
        found.extend(client.rooms(true).await?.into_iter().filter(wanted));
    }
    if sign != Some('@') {
        match client.room(name).await {
            Ok(room) => found.extend(room),
            // No room is called so, but a group may be.
            Err(error)
                if error.is_refusal(v1::ErrorCode::RoomNameInvalid)
                    && (!found.is_empty() || name.contains(' ')) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if found.is_empty() && sign != Some('#') {
        // What a group is called by now is said in it.
        for room in client.rooms(true).await?.into_iter().filter(|room| room.kind.is_private()) {
            client.catch_up(room.conversation).await?;
        }
        found.extend(client.rooms(true).await?.into_iter().filter(wanted));
    }
    match found.len() {
        0 | 1 => Ok(found.pop()),
        _ => Err(named.is_of_several()),
    }
}

/// For the command line: whether a conversation is named at all.
pub(crate) fn parse_room(text: &str) -> Result<String, String> {
    Named::read(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}
