//! What the user sees.

use std::collections::HashMap;

use anyhow::Result;
use aside_client::{
    Connection, Content, ConversationId, Entry, Error, Event, IdempotencyKey, Kind, Person, UserId,
    What, display::neutralise_line, v1,
};

use super::{Current, input::Printer};
use crate::{
    devices, failure,
    output::{
        self, Style,
        earlier::{self, Held, Passed},
        private::{self, Told},
        title,
    },
    presence, rooms,
};

/// How a device comes to private conversations.
pub(super) const APPROVE: &str = "/devices ask, or aside recovery use";

/// That a conversation is not followed any more, though nobody here has left it; `by` is who has put the user out, if that is known.
pub(crate) fn unfollowed(
    (room, kind): (&str, Kind),
    by: Option<&Person>,
    reason: Option<&Error>,
) -> String {
    if reason.is_some_and(|reason| reason.is_refusal(v1::ErrorCode::DeviceNotApproved)) {
        return format!(
            "{} is here again once this device is approved: {APPROVE}",
            title(kind, room)
        );
    }
    if kind == Kind::Group {
        return put_out(room, by);
    }
    let why = match reason {
        Some(reason) => failure::line(reason),
        None => "the server no longer lists it among yours".to_owned(),
    };
    format!(
        "{} is no longer followed: {why}. If you did not leave it yourself, ask the server's operator",
        title(kind, room)
    )
}

/// That the user is out of a group, and what is left of it.
fn put_out(group: &str, by: Option<&Person>) -> String {
    let group = title(Kind::Group, group);
    let (how, back) = match by {
        Some(by) => {
            let by = by.to_string();
            let by = neutralise_line(&by).into_owned();
            (format!("{by} has removed you"), format!("{by} can add you again"))
        }
        None => (
            "you left it on another device, or somebody has removed you, and what this device has of its log does not tell who"
                .to_owned(),
            "an admin of it can add you again".to_owned(),
        ),
    };
    format!(
        "you are in {group} no longer: {how}. What is said there from now on is not for you, and what this device has read before stays \
         readable on it: /join, /history, aside tail --offline, aside search --local. If it is a mistake, {back}"
    )
}

/// What a room or a group is called since this entry, if that is what it says.
fn new_name(entry: &Entry) -> Option<&str> {
    match &entry.what {
        What::RoomUpdated { now, .. } => Some(&now.name),
        What::Message { content: Content::Profile { profile, counts: true }, .. } => {
            Some(profile.name())
        }
        _ => None,
    }
}

/// The user's screen.
pub(super) struct Screen {
    style: Style,
    printer: Printer,
    current: Option<Current>,
    /// Messages that stand there already, since they were typed there.
    typed_here: HashMap<IdempotencyKey, (ConversationId, String)>,
    me: UserId,
    held: Held,
    offline: bool,
}

impl Screen {
    pub(super) fn new(style: Style, printer: Printer, me: UserId) -> Self {
        let (typed_here, held) = Default::default();
        Self { style, printer, current: None, typed_here, me, held, offline: false }
    }

    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// Another room is talked in. Of that which was, and of that which is, nothing is held back any more.
    pub(super) fn set_room(&mut self, room: Option<Current>) -> Result<()> {
        let of = |room: &Current| room.conversation;
        let (before, now) = (self.current.as_ref().map(of), room.as_ref().map(of));
        // A script may turn to one before all of it has come that there is at the start; and so does --join.
        let now = now.filter(|_| before.is_some() && matches!(self.printer, Printer::Terminal(_)));
        if before != room.as_ref().map(of) {
            for conversation in before.into_iter().chain(now) {
                if let Some(held) = self.held.release(conversation) {
                    self.show_held(held)?;
                }
            }
        }
        self.current = room;
        Ok(())
    }

    /// Shows what was held back: nothing more comes.
    pub(super) fn end(&mut self) -> Result<()> {
        for held in self.held.release_all() {
            self.show_held(held)?;
        }
        Ok(())
    }

    /// Shows what was held back of one conversation.
    fn show_held(&mut self, held: Passed) -> Result<()> {
        let room = match &held {
            Passed::Entry(entry) | Passed::Missed(_, entry) => self.place(entry),
            Passed::Earlier(_) => String::new(),
        };
        self.pass(vec![held], &room)
    }

    /// A message was typed on this screen: it is not to be shown again, unless it comes back as something else.
    pub(super) fn typed_here(&mut self, id: IdempotencyKey, to: ConversationId, text: String) {
        self.typed_here.insert(id, (to, text));
    }

    pub(super) fn prompt(&self) -> String {
        match &self.current {
            Some(room) if room.kind.is_private() => {
                format!("{}> ", self.style.place(room.kind, &room.name))
            }
            Some(room) => format!("{}> ", neutralise_line(&room.name)),
            None => "> ".to_owned(),
        }
    }

    /// Prints what the program says.
    pub(super) fn say(&mut self, text: &str) -> Result<()> {
        self.printer.print(text)
    }

    /// Prints what happened, if it is worth it.
    pub(super) fn event(&mut self, event: &Event) -> Result<()> {
        let style = self.style;
        let text = match event {
            Event::Entry(entry) => return self.entry(entry),
            Event::Connection(connection) => match self.connection(connection) {
                Some(text) => style.dim(text),
                None => return Ok(()),
            },
            Event::GapRepaired { room, kind, from_seq, to_seq } => {
                let count = to_seq - from_seq + 1;
                let entries = if count == 1 { "entry" } else { "entries" };
                style.dim(format!("caught up in {}: {count} {entries}", title(*kind, room)))
            }
            Event::Trimmed { room, from_seq, first_seq } => style.dim(format!(
                "{}: the server no longer keeps entries {from_seq} to {}",
                neutralise_line(room),
                first_seq - 1
            )),
            Event::Tampering { room, kind, what, .. } => style.warning(format!(
                "WARNING: the history of {} was tampered with: {what}.\n\
                 Nothing more of it is shown or sent. Ask the others by another way what was said, and the server's operator \
                 what happened; /forget takes the room up anew.",
                title(*kind, room)
            )),
            Event::DeviceKeyChanged { user, .. } => style.warning(format!(
                "WARNING: the server names another key for a device of {} than before; the first is kept",
                neutralise_line(&user.to_string())
            )),
            Event::DeviceLogRefused { who, why } => {
                style.warning(format!("WARNING: {}: {why}", neutralise_line(&who.to_string())))
            }
            Event::DeviceAsks { .. } => style.bold(devices::approving::ASKS),
            Event::DeviceLogChanged { who } => style.dim(format!(
                "the devices of {} have changed",
                neutralise_line(&who.to_string())
            )),
            Event::Unfollowed { room, kind, by, reason, .. } => {
                style.warning(unfollowed((room, *kind), by.as_ref(), reason.as_ref()))
            }
            Event::Invited { room, by } => rooms::invitation(room, Some(by), style),
            Event::Throttled { wait } => {
                style.dim(format!("the server asks to slow down: sending goes on in {} ms", wait.as_millis()))
            }
            Event::MessageFailed { error, .. } => {
                style.warning(format!("a message was not sent: {}", failure::line(error)))
            }
            Event::Private { room, kind, what, people, left_behind, .. } => {
                match private::told((*kind, room), what, people, left_behind.as_ref()) {
                    Some(Told { text, warning: true }) => style.warning(text),
                    Some(Told { text, warning: false }) => style.dim(text),
                    None => return Ok(()),
                }
            }
            Event::Notice(notice) => presence::notice(notice, style),
            Event::PresenceSettings(settings) => {
                style.dim(format!("on another device: {}", presence::settings(settings)))
            }
            _ => return Ok(()),
        };
        self.printer.print(&text)
    }

    fn connection(&mut self, connection: &Connection) -> Option<String> {
        match connection {
            Connection::Online { handle } => {
                self.offline = false;
                Some(format!("connected as {}", neutralise_line(handle)))
            }
            // Said once, not at each attempt.
            Connection::Offline { .. } if self.offline => None,
            Connection::Offline { reason, .. } => {
                self.offline = true;
                let reason = neutralise_line(reason.trim_end_matches('.'));
                Some(format!("offline: {reason}; what you type is sent when the server is back"))
            }
        }
    }

    fn entry(&mut self, entry: &Entry) -> Result<()> {
        if self.stands_here(entry) {
            // It has a number now, by which it is edited or deleted.
            let (time, number) = (output::clock(entry.time_ms), entry.seq);
            return self.printer.print(&self.style.dim(format!("{time} [{number}] sent")));
        }
        if let (Some(name), Some(room)) = (new_name(entry), &mut self.current)
            && room.conversation == entry.conversation
        {
            name.clone_into(&mut room.name);
        }
        let shown = self.held.pass(entry, self.me);
        let room = self.place(entry);
        self.pass(shown, &room)
    }

    /// Of which room an entry is, if it is not of that which is talked in.
    fn place(&self, entry: &Entry) -> String {
        match self.is_here(entry) {
            true => String::new(),
            false => format!("{} ", self.style.dim(self.style.place(entry.kind, &entry.room))),
        }
    }

    fn pass(&mut self, shown: Vec<Passed>, room: &str) -> Result<()> {
        for shown in shown {
            let words = match shown {
                Passed::Entry(entry) => {
                    self.shows(&entry, room)?;
                    continue;
                }
                Passed::Earlier(count) => earlier::words(count),
                Passed::Missed(count, _) => earlier::missed_words(count),
            };
            self.printer.print(&format!("{room}{}", self.style.dim(words)))?;
        }
        Ok(())
    }

    fn shows(&mut self, entry: &Entry, room: &str) -> Result<()> {
        let time = self.style.dim(output::clock(entry.time_ms));
        let number = self.style.dim(format!("[{}]", entry.seq));
        match self.style.entry(entry) {
            Some(text) => self.printer.print(&format!("{time} {room}{number} {text}")),
            None => Ok(()),
        }
    }

    /// Whether an entry is of the room that is talked in.
    pub(super) fn is_here(&self, entry: &Entry) -> bool {
        self.current.as_ref().is_some_and(|room| room.conversation == entry.conversation)
    }

    /// Whether an entry is what was typed on this screen: by a device of this user it verifies, and says that there.
    fn stands_here(&mut self, entry: &Entry) -> bool {
        let What::Message { message_id, text: Some(text), verified: true, repeats: None, .. } =
            &entry.what
        else {
            return false;
        };
        let is_it =
            |(to, typed): &(ConversationId, String)| *to == entry.conversation && typed == text;
        self.typed_here.get(message_id).is_some_and(is_it)
            && self.typed_here.remove(message_id).is_some()
    }
}
