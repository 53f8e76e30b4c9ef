//! What commands write: plain for pipes, coloured for terminals, JSON for programs. All that others made is neutralised, but
//! for JSON, whose strings can't act.

mod changes;
pub(crate) mod earlier;
pub(crate) mod messages;
pub(crate) mod private;
pub(crate) mod standing;

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

pub(crate) use messages::indent;

use aside_client::{
    Content, Entry, Kind, Person, Role, RoomSettings, State, UserId, What, display::neutralise_line,
};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use crate::retention;

/// Speakers' colours: those that read well on dark and on light.
const SPEAKERS: [u8; 10] = [31, 32, 33, 34, 35, 36, 91, 92, 94, 95];
const BOLD: u8 = 1;
const DIM: u8 = 2;
const WARNING: u8 = 31;
/// Before the name of a private conversation.
pub(crate) const LOCK: &str = "\u{1f512}";
/// So many deleted messages are named.
const MAX_NAMED: usize = 8;

/// What a conversation is called, in a line: a private one with somebody is always `@handle`, and nothing else is. A group's name is
/// its members' to choose: one that looks as if it were a handle or a room's stands behind a backslash.
pub(crate) fn title(kind: Kind, name: &str) -> String {
    let name = neutralise_line(name);
    match kind {
        Kind::Direct => format!("@{name}"),
        Kind::Group if is_signed(&name) => format!("\\{name}"),
        Kind::Group | Kind::PublicRoom => name.into_owned(),
    }
}

/// Whether a name looks as if it began with a sign for what a conversation is.
pub(crate) fn is_signed(name: &str) -> bool {
    name.trim_start_matches(is_blank).starts_with([
        '@',
        '#',
        '\u{ff20}',
        '\u{ff03}',
        '\u{fe6b}',
        '\u{fe5f}',
        '\u{1f512}',
    ])
}

/// White space, and what is not seen.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fffd}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// How text is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    colour: bool,
    /// Whether signs beyond letters are shown as such.
    signs: bool,
}

impl Style {
    /// With colour if stdout is a terminal and NO_COLOR is not set.
    pub(crate) fn of_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        Self { colour: terminal && !no_colour(), signs: terminal && is_utf8() }
    }

    /// Without colour.
    pub(crate) fn plain() -> Self {
        Self { colour: false, signs: false }
    }

    /// Whether signs beyond letters are shown as such.
    pub(crate) fn shows_signs(self) -> bool {
        self.signs
    }

    /// What a conversation is called, marked as a room's or as a private one's.
    pub(crate) fn place(self, kind: Kind, name: &str) -> String {
        let name = title(kind, name);
        match (kind.is_private(), self.signs) {
            (false, _) => format!("#{name}"),
            (true, true) => format!("{LOCK}{name}"),
            (true, false) => format!("private {name}"),
        }
    }

    /// What somebody did to a room or its messages, after the name; nothing for what is no such thing.
    pub(crate) fn change(self, what: &What) -> String {
        match what {
            What::RoomUpdated { now, before } => changes::updated(self, now, before.as_ref()),
            What::Invited { who } => format!("{} {}", self.dim("invited"), self.person(who)),
            What::Pinned { seq, pinned, message } => {
                changes::pinned(self, *seq, *pinned, message.as_deref())
            }
            What::Redacted { seqs } => self.dim(deletes(seqs)),
            what => private::change(self, what),
        }
    }

    fn paint(self, code: u8, text: impl Display) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    pub(crate) fn bold(self, text: impl Display) -> String {
        self.paint(BOLD, text)
    }

    pub(crate) fn dim(self, text: impl Display) -> String {
        self.paint(DIM, text)
    }

    /// Something the user must not overlook.
    pub(crate) fn warning(self, text: impl Display) -> String {
        self.paint(WARNING, text)
    }

    /// A name, in the colour of the account: the same whatever it calls itself.
    pub(crate) fn person(self, person: &Person) -> String {
        let colour = SPEAKERS[number_of(person.user, SPEAKERS.len())];
        self.paint(colour, neutralise_line(&person.to_string()))
    }

    /// One entry, without its room, as news; `None` if nothing of it is to be shown.
    pub(crate) fn entry(self, entry: &Entry) -> Option<String> {
        let by = entry.by.as_ref().map(|person| self.person(person));
        let by = by.unwrap_or_else(|| self.dim("the server"));
        Some(match &entry.what {
            What::Message { text, verified, content, .. } => {
                let doubt = messages::doubt(entry).map(|doubt| format!(" {}", self.warning(doubt)));
                let doubt = doubt.unwrap_or_default();
                // What does not verify is shown as such, even if it would change nothing.
                if *verified && !is_shown(content) {
                    return None;
                }
                let said = (text.as_deref(), content);
                messages::show(self, &format!("{by}{doubt}"), entry, said)
            }
            What::RoomCreated if entry.kind.is_private() => {
                format!("{by} {}", self.dim("began this private conversation"))
            }
            What::RoomCreated => format!("{by} {}", self.dim("made the room")),
            What::Joined { who } => format!("{} {}", self.person(who), self.dim("joined")),
            What::Left { who } => format!("{} {}", self.person(who), self.dim("left")),
            What::Renamed { from, to } => format!(
                "{} {} {}",
                neutralise_line(from),
                self.dim("is now called"),
                self.bold(neutralise_line(to))
            ),
            What::RoomUpdated { .. }
            | What::Invited { .. }
            | What::Pinned { .. }
            | What::Redacted { .. }
            | What::GroupBegun { .. }
            | What::MembersChanged { .. }
            | What::RemovalPending { .. }
            | What::RoleChanged { .. }
            | What::CommitRejected { .. } => format!("{by} {}", self.change(&entry.what)),
            What::Unreadable { why, .. } => {
                let whose = entry.by.as_ref().map_or("its sender".into(), ToString::to_string);
                format!(
                    "{by} {}",
                    self.warning(private::unreadable(*why, &neutralise_line(&whose)))
                )
            }
            What::Unknown => self.dim("something happened that this version can't show"),
        })
    }

    /// One entry of a history: what is shown at its message, as a reaction is, is not shown by itself.
    pub(crate) fn past_entry(self, entry: &Entry) -> Option<String> {
        match &entry.what {
            What::Message {
                content:
                    Content::Reaction { to: Some(_), .. } | Content::Edit { message: Some(_), .. },
                ..
            }
            | What::Redacted { .. } => None,
            _ => self.entry(entry),
        }
    }
}

/// Whether there is anything to show of it: not of a reaction to nothing (CONT-009), nor of an edit of what was redacted (CONT-014).
fn is_shown(content: &Content) -> bool {
    !matches!(content, Content::Reaction { to: None, .. } | Content::Hidden)
}

/// Which messages were taken away.
fn deletes(seqs: &[u64]) -> String {
    let shown: Vec<_> = seqs.iter().take(MAX_NAMED).map(|seq| format!("[{seq}]")).collect();
    let more = seqs.len() - shown.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("deletes {}{more}", shown.join(" "))
}

/// Whether what is written is UTF-8, by what the environment says.
pub(crate) fn is_utf8() -> bool {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let locale = locale.to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// What a member is, in a word.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member => "member",
    }
}

/// What a conversation is, in a word.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::PublicRoom => "public_room",
        Kind::Group => "group",
        Kind::Direct => "direct",
    }
}

/// Whether the user wants no colours anywhere (NO_COLOR).
pub(crate) fn no_colour() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// A number below `count` that is always the same for an account: its colour among so many.
pub(crate) fn number_of(user: UserId, count: usize) -> usize {
    let sum =
        user.as_bytes().iter().fold(0_usize, |sum, byte| sum * 31 % 9973 + usize::from(*byte));
    sum % count.max(1)
}

/// What became of a message of the user's, in a word.
pub(crate) fn state_name(state: &State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Sent => "sent",
        State::Delivered => "delivered",
        State::Read => "read",
        State::Failed { .. } => "failed",
    }
}

/// Hours and minutes, here.
pub(crate) fn clock(time_ms: u64) -> String {
    local(time_ms, "%H:%M")
}

/// Day, hours and minutes, here.
pub(crate) fn day_and_clock(time_ms: u64) -> String {
    local(time_ms, "%Y-%m-%d %H:%M")
}

fn local(time_ms: u64, format: &str) -> String {
    time_in(&TimeZone::system(), time_ms, format)
}

/// A time, somewhere.
pub(crate) fn time_in(zone: &TimeZone, time_ms: u64, format: &str) -> String {
    match timestamp(time_ms) {
        Some(time) => time.to_zoned(zone.clone()).strftime(format).to_string(),
        None => "?".to_owned(),
    }
}

fn timestamp(time_ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(time_ms).ok()?).ok()
}

/// One entry, for programs.
pub(crate) fn entry_json(entry: &Entry) -> Value {
    let mut value = json!({
        "conversation_id": entry.conversation.to_string(),
        "room": entry.room,
        "conversation_kind": kind_name(entry.kind),
        "seq": entry.seq,
        "time_ms": entry.time_ms,
        "time": timestamp(entry.time_ms).map(|time| time.to_string()),
        "by": entry.by.as_ref().map(person),
        "state": entry.state.as_ref().map(state_name),
    });
    let what = match &entry.what {
        What::Message { message_id, text, verified, repeats, content } => json!({
            "kind": "message",
            "message_id": message_id.to_string(),
            "text": text,
            "verified": verified,
            "repeats": repeats,
            "content": messages::as_json(content),
        }),
        What::RoomCreated => json!({"kind": "room_created"}),
        What::Joined { who } => json!({"kind": "joined", "who": person(who)}),
        What::Left { who } => json!({"kind": "left", "who": person(who)}),
        What::Renamed { from, to } => json!({"kind": "renamed", "from": from, "to": to}),
        What::RoomUpdated { now, before } => json!({
            "kind": "room_updated",
            "now": settings(now),
            "before": before.as_ref().map(settings),
        }),
        What::Invited { who } => json!({"kind": "invited", "who": person(who)}),
        What::Pinned { seq, pinned, message } => json!({
            "kind": "pinned",
            "of": seq,
            "pinned": pinned,
            "message": message.as_deref().map(entry_json),
        }),
        What::Redacted { seqs } => json!({"kind": "redacted", "seqs": seqs}),
        What::Unknown => json!({"kind": "unknown"}),
        what => private::as_json(what),
    };
    if let (Value::Object(value), Value::Object(what)) = (&mut value, what) {
        value.extend(what);
    }
    value
}

/// What is said of a room, for programs.
fn settings(settings: &RoomSettings) -> Value {
    json!({
        "name": settings.name,
        "topic": settings.topic,
        "description": settings.description,
        "invite_only": settings.invite_only,
        "retention": retention::to_json(&settings.retention),
    })
}

/// A person, for programs.
pub(crate) fn person(person: &Person) -> Value {
    json!({"user_id": person.user.to_string(), "handle": person.handle})
}

/// Writes one line to stdout.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes one line to stderr: what is not the command's result.
pub(crate) fn note(text: impl Display) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{text}")
}

#[cfg(test)]
mod tests;
