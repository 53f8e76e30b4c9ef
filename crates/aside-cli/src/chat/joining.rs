//! `/join` and `/leave`: which room is talked in.

use anyhow::{Result, bail};
use aside_client::{
    Client, ConversationId, Entry, Error, Kind, Member, Overview, Person, Role, Room, UserId, What,
    display::neutralise_line, v1,
};

use super::{
    Current, progress,
    screen::APPROVE,
    worker::{Done, GIVEN_UP, Worker},
};
use crate::{
    devices,
    named::{self, Named},
    output, retention, rooms,
};

impl Worker {
    /// Talks in the first room that is followed, or says how to get into one.
    pub(super) async fn begin(&mut self) -> Result<()> {
        if let Some(first) = self.first_followed().await? {
            self.set_current(Some(first)).await;
            return Ok(());
        }
        let rooms = self.client.rooms(false).await?;
        if let Some(room) = rooms.iter().find(|room| room.role.is_some()) {
            self.enter(room).await;
            return Ok(());
        }
        let lines: Vec<_> = rooms.iter().map(|room| rooms::show(room, self.style)).collect();
        let default = rooms.iter().find(|room| room.is_default).map(|room| self.name(room));
        let hint = format!("/join {} to begin, /help for more", default.unwrap_or("ROOM".into()));
        self.say(format!("{}\n{hint}", lines.join("\n"))).await;
        Ok(())
    }

    /// ROOM-001: says what kind of room it is before it joins.
    pub(super) async fn join(&mut self, name: &str) -> Result<()> {
        if !self.client.is_online() && self.enter_kept(name).await? {
            return Ok(());
        }
        let left = left_called(&self.client, name).await?;
        let found = match named::look_for_room(&self.client, name).await {
            // No room is called so, but a group was.
            Err(error) if left.is_some() && is_no_room_name(&error) => None,
            found => found?,
        };
        let room = match (found, left) {
            (Some(room), Some(left)) if room.role.is_none() && left.kind.is_private() => {
                let private = output::title(left.kind, &left.name);
                let public = neutralise_line(&room.name);
                bail!(
                    "you are in the private conversation {private} no longer: /join #{public} joins the public room of that name"
                );
            }
            (Some(room), _) => room,
            (None, Some(left)) => return self.enter_left(left).await,
            (None, None) => {
                let named = Named::read(name)?;
                let why = named::why_not(&self.client, named).await?;
                return Err(why.unwrap_or(named.is_not_there()));
            }
        };
        if room.role.is_some() {
            self.enter(&room).await;
            return Ok(());
        }
        if room.server_readable {
            self.say(format!("{} is a public room: the server can read it", self.name(&room)))
                .await;
        }
        // RET-011
        if let Some(kept) = retention::words(&room.retention) {
            self.say(format!("of what is said in {}: {kept}", self.name(&room))).await;
        }
        let room = self.client.join(room.conversation).await?;
        // What is said next may name those who are there. What is wrong with the room an event says.
        let _ = self.client.catch_up(room.conversation).await;
        self.enter(&room).await;
        Ok(())
    }

    /// Turns to a room that is kept here while the server is away; whether there is one. Whoever can't wait is told that there is none.
    async fn enter_kept(&mut self, name: &str) -> Result<bool> {
        if let Some(Overview { conversation, name, kind, .. }) =
            Named::read(name)?.one_of(self.client.overview().await?)?
        {
            self.set_current(Some(Current { conversation, name, kind })).await;
            return Ok(true);
        }
        if let Some(left) = left_called(&self.client, name).await? {
            self.enter_left(left).await?;
            return Ok(true);
        }
        match self.away {
            Some(_) => bail!("nothing of {} is kept here: {GIVEN_UP}", neutralise_line(name)),
            None => Ok(false),
        }
    }

    /// Turns to what is kept of one that the user is out of: to be read, and nothing else.
    async fn enter_left(&mut self, left: Overview) -> Result<()> {
        let Overview { conversation, name, kind, .. } = left;
        let shown = self.style.bold(self.style.place(kind, &name));
        let why = match kind.is_private() && devices::is_unapproved(&self.client).await {
            true => format!("{shown} is here again once this device is approved: {APPROVE}"),
            false => {
                let out = Out::of(&self.client, conversation).await?.words();
                format!("you are in {shown} no longer: {out}")
            }
        };
        let left = Current { conversation, name, kind };
        self.current = Some(left.clone());
        self.tell(Done::Kept(left)).await;
        self.say(format!(
            "{why}. What this device has read of it stays readable: /history; nothing can be said in it"
        ))
        .await;
        Ok(())
    }

    /// Says that private conversations are not shown, where they are not for this device.
    pub(super) async fn say_if_unapproved(&self) {
        if devices::is_unapproved(&self.client).await {
            self.say(format!(
                "private conversations are not shown: this device is not approved; {APPROVE}"
            ))
            .await;
        }
    }

    /// Whether the user is in it, as far as is known here.
    pub(super) async fn is_in(&self, conversation: ConversationId) -> Result<bool> {
        let followed = self.client.followed().await?;
        Ok(followed.iter().any(|(followed, _)| *followed == conversation))
    }

    /// Refuses what would be said or changed where the user is no longer.
    pub(super) async fn check_is_in(&self, here: &Current) -> Result<()> {
        if self.is_in(here.conversation).await? {
            return Ok(());
        }
        bail!(
            "you are in {} no longer, and nothing can be said or changed in it: /join goes elsewhere, /history shows what was read of it",
            here.title()
        )
    }

    /// Leaves a room, or the one that is talked in. Its only owner is told first what that comes to.
    pub(super) async fn leave(&mut self, name: Option<String>, sure: bool) -> Result<()> {
        let (left, is_in) = match name {
            Some(name) => {
                let room = named::find_room(&self.client, &name).await?;
                (Current::from(&room), room.role.is_some())
            }
            None => (self.here()?.clone(), true),
        };
        if left.kind == Kind::Direct {
            bail!(
                "a private conversation with somebody is not left: it is between you two for ever. /join goes elsewhere"
            );
        }
        if is_in && !sure && self.leaves_others_without_owner(left.conversation).await? {
            self.say(only_owner(&left)).await;
            return Ok(());
        }
        self.client.leave(left.conversation).await?;
        self.say(format!("you left {}", left.title())).await;
        if self.current.as_ref() == Some(&left) {
            // What is typed next is meant for those who were there.
            self.set_current(None).await;
            self.say(
                "you are in no room now: /join ROOM goes elsewhere, /rooms lists them".to_owned(),
            )
            .await;
        }
        Ok(())
    }

    /// Whether there are others in it, and the user is its only owner.
    async fn leaves_others_without_owner(&self, conversation: ConversationId) -> Result<bool> {
        let (me, members) =
            (self.client.identity().user, self.client.members(conversation, false).await?);
        let is_owner = |member: &&Member| member.role == Role::Owner;
        let mut owners = members.iter().filter(is_owner);
        let is_only =
            owners.next().is_some_and(|owner| owner.user == me) && owners.next().is_none();
        Ok(is_only && members.len() > 1)
    }

    /// The first room that is followed.
    async fn first_followed(&self) -> Result<Option<Current>> {
        let first = self.client.followed().await?.into_iter().next();
        let Some((conversation, name)) = first else { return Ok(None) };
        let kind = self.client.kind(conversation).await?;
        Ok(Some(Current { conversation, name, kind }))
    }

    pub(super) async fn enter(&mut self, room: &Room) {
        self.set_current(Some(room.into())).await;
    }

    async fn set_current(&mut self, current: Option<Current>) {
        self.current.clone_from(&current);
        let unseen = match &current {
            Some(room) => progress::unseen(&self.client, room.conversation).await,
            None => None,
        };
        self.tell(Done::Room(current)).await;
        if let Some(hint) = unseen {
            self.say(self.style.dim(hint)).await;
        }
    }

    /// The user wanted to be elsewhere, and is not there: what is said is for no room until one is entered.
    pub(super) async fn turn_away(&self, left: &Current) {
        self.tell(Done::Room(None)).await;
        let sign = if left.kind == Kind::PublicRoom { "#" } else { "" };
        let back = left.title();
        self.say(format!("you are in no room now: /join {sign}{back} goes back to where you were"))
            .await;
    }

    pub(super) fn here(&self) -> Result<&Current> {
        match &self.current {
            Some(current) => Ok(current),
            None => bail!(
                "you are in no room; /rooms lists them, /join ROOM enters one, and so does --join ROOM at the start"
            ),
        }
    }

    pub(super) fn name(&self, room: &Room) -> String {
        self.style.bold(output::title(room.kind, &room.name))
    }
}

/// What it comes to when its only owner leaves a room.
fn only_owner(left: &Current) -> String {
    let name = left.title();
    let (comes_to, sign) = match left.kind {
        // PRIV-011
        Kind::Group | Kind::Direct => (
            "the server makes another member the owner then, an admin if there is one; /group promote HANDLE owner chooses who it is",
            "",
        ),
        // ROOM-015
        Kind::PublicRoom => (
            "nobody owns it after that, not even who comes back: its settings stay as they are, and where only those join who are invited, \
             nobody can be invited any more",
            "#",
        ),
    };
    format!("you are the only owner of {name}: {comes_to}\n/leave {sign}{name} yes leaves it")
}

fn is_no_room_name(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<Error>();
    error.is_some_and(|error| error.is_refusal(v1::ErrorCode::RoomNameInvalid))
}

/// The one that is called so of those that the user is out of; the last that something was said in, if they are several.
async fn left_called(client: &Client, name: &str) -> Result<Option<Overview>> {
    let named = Named::read(name)?;
    let left = client.kept().left().await?.into_iter();
    let called = left.filter(|room| named.is(room));
    Ok(called.max_by_key(|room| room.last.as_ref().map(|last| last.time_ms)))
}

/// How somebody has come out of a conversation, as far as what is kept of its log tells.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Out {
    /// Somebody has removed them.
    Removed(Person),
    /// They have left, on any of their devices.
    Left,
    Unknown,
}

impl Out {
    async fn of(client: &Client, conversation: ConversationId) -> Result<Self, Error> {
        // What came after it is not for this device: it is the last that is kept.
        let last = client.kept().entries(conversation, None, 1).await?.pop();
        Ok(last.map_or(Self::Unknown, |last| Self::by(&last, client.identity().user)))
    }

    fn by(last: &Entry, me: UserId) -> Self {
        match (&last.what, &last.by) {
            (What::MembersChanged { removed, .. }, Some(by))
                if by.user != me && removed.iter().any(|it| it.user == me) =>
            {
                Self::Removed(by.clone())
            }
            (What::RemovalPending { who, left: true } | What::Left { who }, _)
                if who.user == me =>
            {
                Self::Left
            }
            _ => Self::Unknown,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Removed(by) => {
                let by = by.to_string();
                let by = neutralise_line(&by);
                format!("{by} has removed you, and can add you again")
            }
            Self::Left => "you left it".to_owned(),
            Self::Unknown => {
                "you left it, or were removed: what this device has of its log does not tell which, nor by whom".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(number: u8) -> Person {
        let handle = Some(["alice", "bob"][usize::from(number)].to_owned());
        Person { user: UserId::new([number; 16]), handle }
    }

    #[test]
    fn the_log_tells_how_one_came_out_of_it_or_does_not() {
        let (alice, bob) = (person(0), person(1));
        let out = |by: &Person, what: What| {
            let entry = Entry {
                conversation: ConversationId::new([1; 16]),
                kind: Kind::Group,
                room: "Tea".to_owned(),
                seq: 9,
                time_ms: 0,
                by: Some(by.clone()),
                what,
                state: None,
            };
            Out::by(&entry, bob.user)
        };
        let changed = |removed: &[&Person]| What::MembersChanged {
            added: vec![],
            removed: removed.iter().map(|it| (*it).clone()).collect(),
            cut_off: vec![],
            external: false,
        };
        assert_eq!(out(&alice, changed(&[&bob])), Out::Removed(alice.clone()));
        assert_eq!(out(&bob, changed(&[&bob])), Out::Unknown, "a device of one's own");
        assert_eq!(out(&bob, changed(&[&alice])), Out::Unknown);
        assert_eq!(out(&bob, What::RemovalPending { who: bob.clone(), left: true }), Out::Left);
        assert_eq!(out(&alice, What::RoomCreated), Out::Unknown);
        assert!(Out::Removed(alice).words().starts_with("alice has removed you"));
        assert!(Out::Unknown.words().contains("does not tell"));
    }
}
