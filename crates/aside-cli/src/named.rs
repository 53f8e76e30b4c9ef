//! Which room or private conversation is meant by what its user calls it, and what it is called where people read it.

use anyhow::{Result, anyhow, bail};
use aside_client::{
    Client, ConversationId, Kind, Overview, Room, display::neutralise_line, unnamed, v1,
};

use crate::{
    devices, failure,
    output::{is_signed, title},
};

/// What is said where a conversation has to be named, and nothing is.
const NAMELESS: &str = "name a room, or somebody: #NAME, @HANDLE, or NAME alone";

/// What may be meant by a name.
pub(crate) trait Nameable {
    /// Its id, what it is, and what it is called.
    fn place(&self) -> (ConversationId, Kind, &str);
}

impl Nameable for Room {
    fn place(&self) -> (ConversationId, Kind, &str) {
        (self.conversation, self.kind, &self.name)
    }
}

impl Nameable for Overview {
    fn place(&self) -> (ConversationId, Kind, &str) {
        (self.conversation, self.kind, &self.name)
    }
}

/// A conversation as its user names it: `#name` is the public room, `@handle` the private conversation with somebody, and a name alone
/// any that is called so; its id is that one, and so is what is shown of the id.
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
            // As a group that is called so is shown.
            None => {
                let unmarked = text.strip_prefix('\\').filter(|name| is_signed(name));
                Self { sign: None, name: unmarked.unwrap_or(text) }
            }
        };
        match named.name.trim().is_empty() {
            true => Err(failure::usage(NAMELESS)),
            false => Ok(named),
        }
    }

    /// Whether it may be this one.
    pub(crate) fn is(self, it: &impl Nameable) -> bool {
        let (conversation, kind, name) = it.place();
        let may_be = match self.sign {
            Some('#') => kind == Kind::PublicRoom,
            Some(_) => kind == Kind::Direct,
            None => true,
        };
        let is_short =
            || kind.is_private() && self.name.eq_ignore_ascii_case(&unnamed(conversation, kind));
        may_be && name.to_lowercase() == self.name.to_lowercase()
            || self.sign.is_none() && (self.is_id(conversation) || is_short())
    }

    /// Whether it is its id, which is nobody's to choose.
    fn is_id(self, conversation: ConversationId) -> bool {
        self.sign.is_none() && self.name.eq_ignore_ascii_case(&conversation.to_string())
    }

    /// The one that is meant of these, if one is.
    ///
    /// # Errors
    /// Several may be.
    pub(crate) fn one_of<T: Nameable>(self, all: impl IntoIterator<Item = T>) -> Result<Option<T>> {
        self.only(all.into_iter().filter(|it| self.is(it)).collect())
    }

    /// As [`one_of`](Self::one_of), of those that may be.
    fn only<T: Nameable>(self, mut found: Vec<T>) -> Result<Option<T>> {
        if let Some(at) = found.iter().position(|it| self.is_id(it.place().0)) {
            return Ok(Some(found.swap_remove(at)));
        }
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => Err(self.is_of_several(&found)),
        }
    }

    /// That there is none.
    pub(crate) fn is_not_there(self) -> anyhow::Error {
        let name = self.name;
        match self.sign {
            Some('@') => anyhow!(
                "there is no private conversation with {name}; `aside dm`, or /dm {name} in a chat, begins one"
            ),
            _ => anyhow!("there is no room {name}; `aside rooms` lists those there are"),
        }
    }

    /// That there is none that is shown.
    fn not_shown(self) -> String {
        let name = neutralise_line(self.name);
        match self.sign {
            Some('@') => {
                format!("the private conversation with {name}, if there is one, is not shown here")
            }
            _ => format!("there is no public room {name}, and what is private is not shown here"),
        }
    }

    /// That it may be several, and how to name each.
    fn is_of_several(self, found: &[impl Nameable]) -> anyhow::Error {
        let label = |(_, kind, name): (ConversationId, Kind, &str)| match kind {
            Kind::PublicRoom => Some(format!("#{name}")),
            Kind::Direct => Some(format!("@{name}")),
            Kind::Group => None,
        };
        let labels = || found.iter().filter_map(|it| label(it.place()));
        let shown: Vec<_> = found
            .iter()
            .map(|it| {
                let place @ (conversation, kind, _) = it.place();
                let short = unnamed(conversation, kind);
                let alone = |label: &String| labels().filter(|other| other == label).count() == 1;
                let called = match label(place).filter(alone) {
                    Some(label) => label,
                    // It is what another is called, too.
                    None if short.eq_ignore_ascii_case(self.name) => conversation.to_string(),
                    None => short,
                };
                format!("{called} ({})", what(kind))
            })
            .collect();
        anyhow!("{} is the name of several; say which: {}", self.name, shown.join(", "))
    }
}

fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::PublicRoom => "a public room",
        Kind::Group => "a private group",
        Kind::Direct => "private, of two",
    }
}

/// Finds a room or a private conversation by name. What is meant for few is never said to all: a name that both have is refused, unless
/// `#name` says that the room is meant, or `@handle` the private conversation with somebody.
pub(crate) async fn find_room(client: &Client, name: &str) -> Result<Room> {
    let error = match look_for_room(client, name).await {
        Ok(Some(room)) => return Ok(room),
        Ok(None) => Named::read(name)?.is_not_there(),
        Err(error) => error,
    };
    Err(why_not(client, Named::read(name)?).await?.unwrap_or(error))
}

/// Why a conversation that is named is not to be had, if there is more to say than that: the user is out of it, or this device is not
/// let in.
pub(crate) async fn why_not(client: &Client, named: Named<'_>) -> Result<Option<anyhow::Error>> {
    let left = client.kept().left().await?;
    let left = left.iter().find(|room| room.kind.is_private() && named.is(*room));
    if named.sign != Some('#') && devices::is_unapproved(client).await {
        return Ok(Some(anyhow!("{}; {}", named.not_shown(), devices::APPROVE_IT)));
    }
    Ok(left.map(|room| {
        let name = title(room.kind, &room.name);
        anyhow!("you are in {name} no longer; `aside tail --offline` shows what this device has read of it")
    }))
}

/// As [`find_room`], if there is one.
pub(crate) async fn look_for_room(client: &Client, name: &str) -> Result<Option<Room>> {
    let named = Named::read(name)?;
    let Named { sign, name } = named;
    let (mut found, mut refused) = (Vec::new(), None);
    let wanted = |room: &Room| room.kind.is_private() && named.is(room);
    if sign != Some('#') {
        found.extend(client.rooms(true).await?.into_iter().filter(wanted));
    }
    if sign != Some('@') {
        match client.room(name).await {
            Ok(room) => found.extend(room),
            // No room is called so, but a group may be.
            Err(error) if error.is_refusal(v1::ErrorCode::RoomNameInvalid) => {
                refused = Some(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if found.is_empty() && sign != Some('#') {
        // What a group is called by now is said in it.
        for room in client.rooms(true).await?.into_iter().filter(|room| room.kind.is_private()) {
            client.catch_up(room.conversation).await?;
        }
        // And what is no name may be the id of a room.
        found.extend(client.rooms(false).await?.into_iter().filter(|room| named.is(room)));
    }
    match (named.only(found)?, refused) {
        (None, Some(refused)) if !name.contains(' ') => Err(refused.into()),
        (found, _) => Ok(found),
    }
}

/// There is no private conversation with oneself.
pub(crate) fn check_is_other(client: &Client, handle: &str) -> Result<()> {
    match client.identity().handle.to_lowercase() == handle.to_lowercase() {
        true => bail!(
            "that is you: a private conversation is with somebody else; /group new makes one of you alone"
        ),
        false => Ok(()),
    }
}

/// For the command line: whether a conversation is named at all.
pub(crate) fn parse_room(text: &str) -> Result<String, String> {
    Named::read(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Nameable for (u8, Kind, &str) {
        fn place(&self) -> (ConversationId, Kind, &str) {
            (ConversationId::new([self.0; 16]), self.1, self.2)
        }
    }

    const ALL: [(u8, Kind, &str); 7] = [
        (1, Kind::PublicRoom, "tea"),
        (2, Kind::Direct, "tea"),
        (3, Kind::Group, "Tea"),
        (4, Kind::Group, "Tea"),
        (5, Kind::Group, "cake"),
        (6, Kind::Group, "group-050505"),
        (7, Kind::Group, "@bob"),
    ];

    fn meant(text: &str) -> Result<Option<u8>, String> {
        let one = Named::read(text).and_then(|named| named.one_of(ALL));
        one.map(|one| one.map(|it| it.0)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_an_id_or_what_is_shown_of_it_names_one() {
        let id = |number: u8| ConversationId::new([number; 16]).to_string();
        assert_eq!(
            (meant("#tea"), meant("@tea"), meant("cake")),
            (Ok(Some(1)), Ok(Some(2)), Ok(Some(5)))
        );
        assert_eq!((meant("group-030303"), meant("GROUP-040404")), (Ok(Some(3)), Ok(Some(4))));
        assert_eq!((meant(&id(1)), meant(&id(4))), (Ok(Some(1)), Ok(Some(4))));
        assert_eq!((meant("jam"), meant("#cake"), meant("@cake")), (Ok(None), Ok(None), Ok(None)));
        assert_eq!(meant("@group-030303"), Ok(None), "that is no handle");
        assert_eq!((meant("@bob"), meant("\\@bob")), (Ok(None), Ok(Some(7))), "as it is shown");
    }

    #[test]
    fn of_several_each_is_named() {
        assert_eq!(
            meant("tea").unwrap_err(),
            "tea is the name of several; say which: #tea (a public room), @tea (private, of two), group-030303 (a private group), \
             group-040404 (a private group)"
        );
        // Who calls a group as another is shown takes nothing from it.
        let id = ConversationId::new([5; 16]);
        let said = meant("group-050505").unwrap_err();
        assert!(
            said.ends_with(&format!("{id} (a private group), group-060606 (a private group)")),
            "{said}"
        );
        assert_eq!(meant(&id.to_string()), Ok(Some(5)));
    }

    #[test]
    fn nothing_names_nothing() {
        for nothing in ["", " ", "#", "@ "] {
            assert!(Named::read(nothing).is_err(), "{nothing:?}");
        }
    }
}
