//! What commands write: plain for pipes, coloured for terminals, JSON for programs. All that others made is neutralised, but
//! for JSON, whose strings can't act.

mod messages;

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

use aside_client::{Content, Entry, Person, UserId, What, display::neutralise_line};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

/// Speakers' colours: those that read well on dark and on light.
const SPEAKERS: [u8; 10] = [31, 32, 33, 34, 35, 36, 91, 92, 94, 95];
const BOLD: u8 = 1;
const DIM: u8 = 2;
const WARNING: u8 = 31;

/// How text is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    colour: bool,
}

impl Style {
    /// With colour if stdout is a terminal and NO_COLOR is not set.
    pub(crate) fn of_stdout() -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: io::stdout().is_terminal() && !refused }
    }

    /// Without colour.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { colour: false }
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
        self.paint(colour_of(person.user), neutralise_line(&person.to_string()))
    }

    /// One entry, without its room, as news; `None` if nothing of it is to be shown.
    pub(crate) fn entry(self, entry: &Entry) -> Option<String> {
        let by = entry.by.as_ref().map(|person| self.person(person));
        let by = by.unwrap_or_else(|| self.dim("the server"));
        Some(match &entry.what {
            What::Message { text, verified, repeats, content, .. } => {
                let doubt = self.doubt(*verified, *repeats);
                // What does not verify is shown as such, even if it would change nothing.
                if *verified && !is_shown(content) {
                    return None;
                }
                messages::show(self, &format!("{by}{doubt}"), text.as_deref(), content)
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
            } => None,
            _ => self.entry(entry),
        }
    }

    fn doubt(self, verified: bool, repeats: Option<u64>) -> String {
        let doubt = match (verified, repeats) {
            (true, _) => return String::new(),
            // MSG-013
            (false, Some(seq)) => format!("(REPEATED by the server: said once, as entry {seq})"),
            // MSG-008
            (false, None) => "(NOT VERIFIED: not signed by the sender's device)".to_owned(),
        };
        format!(" {}", self.warning(doubt))
    }
}

/// Whether there is anything to show of it: not of a reaction to nothing (CONT-009), nor of an edit of what was redacted (CONT-014).
fn is_shown(content: &Content) -> bool {
    !matches!(content, Content::Reaction { to: None, .. } | Content::Hidden)
}

fn colour_of(user: UserId) -> u8 {
    let sum =
        user.as_bytes().iter().fold(0_usize, |sum, byte| sum * 31 % 9973 + usize::from(*byte));
    SPEAKERS[sum % SPEAKERS.len()]
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
    match timestamp(time_ms) {
        Some(time) => time.to_zoned(TimeZone::system()).strftime(format).to_string(),
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
        "seq": entry.seq,
        "time_ms": entry.time_ms,
        "time": timestamp(entry.time_ms).map(|time| time.to_string()),
        "by": entry.by.as_ref().map(person),
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
        What::Unknown => json!({"kind": "unknown"}),
    };
    if let (Value::Object(value), Value::Object(what)) = (&mut value, what) {
        value.extend(what);
    }
    value
}

/// A person, for programs.
fn person(person: &Person) -> Value {
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
