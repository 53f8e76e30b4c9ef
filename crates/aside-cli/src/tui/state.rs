//! Everything that the screen is drawn from.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use aside_client::{ConversationId, Kind, Member, Person, Pin, PresenceSettings, Typists, UserId};
use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use super::{
    composer::{Composer, Sent},
    theme::Theme,
    timeline::Timeline,
};
use crate::{
    chat::Current,
    named::{Nameable, Named},
    output::{self, LOCK},
};

/// The whole.
pub(super) struct State {
    /// The user's account.
    pub(super) me: UserId,
    pub(super) handle: String,
    /// The server, as it was dialled.
    pub(super) server: String,
    pub(super) theme: Theme,
    pub(super) zone: TimeZone,
    /// Columns and rows.
    pub(super) size: (u16, u16),
    /// Whether the user looks, as far as the terminal says.
    pub(super) focused: bool,
    pub(super) link: Link,
    pub(super) rooms: BTreeMap<ConversationId, Room>,
    /// What those who are online have to say.
    pub(super) statuses: HashMap<UserId, String>,
    /// What others may see of the user, once that is known.
    pub(super) settings: Option<PresenceSettings>,
    /// Who writes where, as far as was told.
    pub(super) typists: Typists,
    /// The monotonic time that was told last, in milliseconds.
    pub(super) now_ms: u64,
    pub(super) current: Option<ConversationId>,
    /// The window of no room.
    pub(super) console: Timeline,
    pub(super) composer: Composer,
    pub(super) sent: Sent,
    pub(super) overlay: Option<Overlay>,
    /// What must be seen; it goes with Esc, or when something else was sent.
    pub(super) alert: Option<String>,
    /// What may be overlooked; it goes with the next key.
    pub(super) hint: Option<String>,
    pub(super) panes: Panes,
    /// The room that was asked for at the start, until it is entered: no other is chosen meanwhile.
    pub(super) entering: Option<String>,
    /// The user has left the room that was turned to: no other is chosen for them.
    pub(super) nowhere: bool,
}

/// How it stands with the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    Connecting,
    Online,
    /// And why.
    Offline(String),
}

/// Which panes the user has asked for or sent away; otherwise it depends on the space there is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Panes {
    pub(super) rooms: Option<bool>,
    pub(super) members: Option<bool>,
}

/// What lies over the rest.
pub(super) enum Overlay {
    /// All keys and commands, from this line on.
    Help {
        from: usize,
    },
    /// A room is looked for by a part of its name.
    Switcher {
        query: Composer,
        at: usize,
    },
    /// What is pinned in the room, and which of it is chosen.
    Pins {
        at: usize,
    },
    Password(Passwords),
}

/// The passwords that are asked for to change it: the one so far, the new one, and that again.
#[derive(Default)]
pub(super) struct Passwords {
    pub(super) fields: [Zeroizing<String>; 3],
    pub(super) at: usize,
}

/// A room, whether the user is in it or not.
pub(super) struct Room {
    pub(super) conversation: ConversationId,
    pub(super) name: String,
    pub(super) joined: bool,
    /// Whether somebody has asked the user to join it.
    pub(super) invited: bool,
    pub(super) kind: Kind,
    /// ROOM-001.
    pub(super) server_readable: bool,
    pub(super) is_default: bool,
    pub(super) member_count: u32,
    /// What the room is about.
    pub(super) topic: Option<String>,
    /// How much of it is kept, in words; none if all is (RET-011).
    pub(super) kept: Option<String>,
    pub(super) timeline: Timeline,
    /// How many messages the user has not read on any device; none if the server does not count.
    pub(super) unread: Option<u32>,
    pub(super) counted: Asked,
    /// Whether something was said that was not shown yet.
    pub(super) news: bool,
    /// How far the user has read, on any device, as far as is known.
    pub(super) read_to: u64,
    /// The last entry at the time the rooms were listed: what comes after it is news. None before.
    pub(super) head: Option<u64>,
    /// Those who are in it, as last heard.
    pub(super) members: Vec<Member>,
    pub(super) asked: Asked,
    /// What is pinned, the last first, as last heard.
    pub(super) pins: Vec<Pin>,
    pub(super) pins_asked: Asked,
    /// Those who are writing.
    pub(super) typing: Vec<Person>,
    pub(super) tampered: bool,
    /// What was being written when another room was turned to.
    pub(super) draft: Composer,
}

/// A row of the list of rooms.
pub(super) enum Row<'a> {
    Heading(&'static str),
    Room(&'a Room),
}

/// How it stands with what is asked for: who is in a room, how much of it is unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It was not asked for, or has changed since.
    No,
    Waiting,
    /// It has changed since it was asked for.
    Stale,
    Known,
}

impl Asked {
    /// It has changed.
    pub(super) fn change(&mut self) {
        *self = match self {
            Self::No | Self::Known => Self::No,
            Self::Waiting | Self::Stale => Self::Stale,
        };
    }

    /// Whether to ask now; then it was asked for.
    pub(super) fn ask(&mut self) -> bool {
        let due = *self == Self::No;
        if due {
            *self = Self::Waiting;
        }
        due
    }

    /// The answer has come; it may have changed since.
    pub(super) fn answered(&mut self) {
        *self = if *self == Self::Stale { Self::No } else { Self::Known };
    }
}

impl Nameable for &Room {
    fn place(&self) -> (ConversationId, Kind, &str) {
        (self.conversation, self.kind, &self.name)
    }
}

impl Room {
    pub(super) fn new(conversation: ConversationId, name: String) -> Self {
        Self {
            conversation,
            name,
            joined: true,
            invited: false,
            // What is not known to be private is not private.
            kind: Kind::PublicRoom,
            server_readable: true,
            is_default: false,
            member_count: 0,
            topic: None,
            kept: None,
            timeline: Timeline::default(),
            unread: None,
            counted: Asked::No,
            news: false,
            read_to: 0,
            head: None,
            members: Vec::new(),
            asked: Asked::No,
            pins: Vec::new(),
            pins_asked: Asked::No,
            typing: Vec::new(),
            tampered: false,
            draft: Composer::default(),
        }
    }

    /// It is this.
    pub(super) fn is(&mut self, kind: Kind) {
        (self.kind, self.server_readable) = (kind, !kind.is_private());
    }

    /// Its name behind what it is.
    pub(super) fn place(&self) -> String {
        let sign = if self.kind.is_private() { LOCK } else { "#" };
        format!("{sign}{}", self.title())
    }

    /// Its name, in a line.
    pub(super) fn title(&self) -> String {
        output::title(self.kind, &self.name)
    }

    /// Whether there is something to be read.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.map_or(self.news, |unread| unread > 0)
    }
}

impl State {
    pub(super) fn new(me: UserId, handle: String, server: String, theme: Theme) -> Self {
        Self {
            me,
            handle,
            server,
            theme,
            zone: TimeZone::system(),
            size: (80, 24),
            focused: true,
            link: Link::Connecting,
            rooms: BTreeMap::new(),
            statuses: HashMap::new(),
            settings: None,
            typists: Typists::default(),
            now_ms: 0,
            current: None,
            console: Timeline::default(),
            composer: Composer::default(),
            sent: Sent::default(),
            overlay: None,
            alert: None,
            hint: None,
            panes: Panes::default(),
            entering: None,
            nowhere: false,
        }
    }

    pub(super) fn room(&self) -> Option<&Room> {
        self.rooms.get(&self.current?)
    }

    pub(super) fn room_mut(&mut self) -> Option<&mut Room> {
        self.rooms.get_mut(&self.current?)
    }

    /// The room that is talked in, as commands know it.
    pub(super) fn here(&self) -> Option<Current> {
        self.room().map(|room| Current {
            conversation: room.conversation,
            name: room.name.clone(),
            kind: room.kind,
        })
    }

    /// The one conversation that the user is in and means by a name; none if that is not certain.
    pub(super) fn called(&self, name: &str) -> Option<ConversationId> {
        let named = Named::read(name).ok()?;
        let joined = self.rooms.values().filter(|room| room.joined);
        named.one_of(joined).ok().flatten().map(|room| room.conversation)
    }

    /// The window that is shown.
    pub(super) fn timeline(&self) -> &Timeline {
        self.room().map_or(&self.console, |room| &room.timeline)
    }

    pub(super) fn timeline_mut(&mut self) -> &mut Timeline {
        match self.current.and_then(|current| self.rooms.get_mut(&current)) {
            Some(room) => &mut room.timeline,
            None => &mut self.console,
        }
    }

    /// The rooms as they are listed: private conversations first, then the rooms the user is in, then those somebody has asked the user
    /// into, then by name.
    pub(super) fn listed(&self) -> Vec<&Room> {
        let mut rooms: Vec<_> = self.rooms.values().collect();
        rooms.sort_by_cached_key(|room| {
            let place = (Reverse(room.kind.is_private()), Reverse(room.joined));
            (place, Reverse(room.invited), room.name.to_lowercase())
        });
        rooms
    }

    /// The rows of the list of rooms: with headings, if private ones are among them.
    pub(super) fn list_rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        let mut part = false;
        for room in self.listed() {
            let private = room.kind.is_private();
            if rows.is_empty() && private {
                rows.push(Row::Heading("private"));
            } else if part && !private {
                rows.push(Row::Heading("public"));
            }
            part = private;
            rows.push(Row::Room(room));
        }
        rows
    }

    /// Whether messages show their numbers: while one is chosen, or a command is written that takes one.
    pub(super) fn shows_numbers(&self) -> bool {
        const TAKE_ONE: [&str; 7] =
            ["/reply ", "/react ", "/unreact ", "/edit ", "/delete ", "/pin ", "/unpin "];
        let written = self.composer.text();
        self.timeline().chosen.is_some() || TAKE_ONE.iter().any(|it| written.starts_with(it))
    }

    /// Whether what comes in this room is read as it comes.
    pub(super) fn is_reading(&self, conversation: ConversationId) -> bool {
        self.focused && self.current == Some(conversation) && self.timeline().anchor.is_none()
    }

    /// The program says something in the window that is shown.
    pub(super) fn say(&mut self, text: String, warning: bool) {
        self.timeline_mut().say(text, warning);
    }

    /// Takes away what is to be seen no longer, wherever it was said.
    pub(super) fn unsay_secrets(&mut self) {
        let rooms = self.rooms.values_mut().map(|room| &mut room.timeline);
        rooms.chain([&mut self.console]).for_each(Timeline::unsay_secret);
    }
}
