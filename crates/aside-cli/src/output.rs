//! What commands write: plain for pipes, coloured for terminals, JSON for programs. All that others made is neutralised, but
//! for JSON, whose strings can't act.

use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
};

use aside_client::{
    Entry, Person, UserId, What,
    display::{neutralise, neutralise_line},
};
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

    /// One entry, without its room.
    pub(crate) fn entry(self, entry: &Entry) -> String {
        let by = entry.by.as_ref().map(|person| self.person(person));
        let by = by.unwrap_or_else(|| self.dim("the server"));
        match &entry.what {
            What::Message { text, verified, repeats, .. } => {
                let doubt = match (verified, repeats) {
                    (true, _) => String::new(),
                    // MSG-013
                    (false, Some(seq)) => {
                        let doubt = format!("(REPEATED by the server: said once, as entry {seq})");
                        format!(" {}", self.warning(doubt))
                    }
                    // MSG-008
                    (false, None) => format!(
                        " {}",
                        self.warning("(NOT VERIFIED: not signed by the sender's device)")
                    ),
                };
                match text {
                    Some(text) => format!("{by}{doubt}: {}", indent(&neutralise(text))),
                    // MSG-011
                    None => format!(
                        "{by}{doubt} {}",
                        self.dim("sent a message that this version can't show")
                    ),
                }
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
        }
    }
}

/// Lines after the first stand under it, so that nobody can make a text look like somebody else's.
fn indent(text: &str) -> String {
    text.replace('\n', "\n    ")
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
    let person =
        |person: &Person| json!({"user_id": person.user.to_string(), "handle": person.handle});
    let mut value = json!({
        "conversation_id": entry.conversation.to_string(),
        "room": entry.room,
        "seq": entry.seq,
        "time_ms": entry.time_ms,
        "time": timestamp(entry.time_ms).map(|time| time.to_string()),
        "by": entry.by.as_ref().map(person),
    });
    let what = match &entry.what {
        What::Message { message_id, text, verified, repeats } => json!({
            "kind": "message",
            "message_id": message_id.to_string(),
            "text": text,
            "verified": verified,
            "repeats": repeats,
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

/// Writes one line to stdout.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes one line to stderr: what is not the command's result.
pub(crate) fn note(text: impl Display) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{text}")
}

#[cfg(test)]
mod tests {
    use aside_client::{ConversationId, IdempotencyKey};

    use super::*;

    fn entry(what: What) -> Entry {
        let handle = Some("al\u{202e}ice".to_owned());
        Entry {
            conversation: ConversationId::new([1; 16]),
            room: "lobby".into(),
            seq: 5,
            time_ms: 0,
            by: Some(Person { user: UserId::new([2; 16]), handle }),
            what,
        }
    }

    fn message(text: Option<&str>, verified: bool) -> Entry {
        let message_id = IdempotencyKey::new([3; 16]);
        let text = text.map(str::to_owned);
        entry(What::Message { message_id, text, verified, repeats: None })
    }

    // cites: MSG-008, MSG-010, MSG-011, MSG-013
    #[test]
    fn messages_are_shown_for_what_they_are() {
        let show = |entry: &Entry| Style::plain().entry(entry);
        assert_eq!(show(&message(Some("hi\x1b[2J"), true)), "al\u{fffd}ice: hi\u{fffd}[2J");
        assert_eq!(
            show(&message(Some("one\nbob: two"), true)),
            "al\u{fffd}ice: one\n    bob: two",
            "a line of a text does not look like a message"
        );
        assert!(show(&message(Some("hi"), false)).contains("NOT VERIFIED"));
        let mut repeated = message(Some("hi"), false);
        if let What::Message { repeats, .. } = &mut repeated.what {
            *repeats = Some(3);
        }
        assert!(show(&repeated).contains("REPEATED by the server: said once, as entry 3"));
        assert!(show(&message(None, true)).contains("can't show"));
    }

    #[test]
    fn colour_is_only_for_those_who_want_it() {
        let person = Person { user: UserId::new([2; 16]), handle: Some("bob".into()) };
        assert_eq!(Style::plain().person(&person), "bob");
        assert!(Style { colour: true }.person(&person).starts_with("\x1b["));
        let renamed = Person { handle: Some("bobby".into()), ..person.clone() };
        let colour = |person| Style { colour: true }.person(person)[..5].to_owned();
        assert_eq!(colour(&renamed), colour(&person));
    }

    #[test]
    fn programs_get_the_whole_entry() {
        let value = entry_json(&message(Some("hi"), true));
        assert_eq!(value["kind"], "message");
        assert_eq!(value["text"], "hi");
        assert_eq!(value["time"], "1970-01-01T00:00:00Z");
        assert_eq!(value["seq"], 5);
    }
}
