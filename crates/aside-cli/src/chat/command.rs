//! What a typed line asks for.

use super::{Current, approving::Devices, private::Private, recovery::Recovery, rooming::Rooming};
use crate::recovery::check_may_be_said;

/// What /help says.
pub(crate) const HELP: &str = "\
/join ROOM        join a room, and talk in it; it says first whether the server can read it; #NAME is a room, @NAME what is private with somebody
/leave [ROOM]     leave a room; its only owner is asked first
/dm HANDLE TEXT   say something to somebody privately: the server can't read it; without TEXT, only go there
/group new NAME   make a private group; invite HANDLE and remove HANDLE say who is in it
/group name NAME  give this group another name, which the server does not know
/group promote HANDLE admin
                  (or owner) let somebody invite and remove others, or own the group too; /group demote HANDLE takes that back
/group leave      leave this group
/health           show how this private conversation stands, with the number to compare
/rejoin [NAME]    come into this private conversation anew, with new keys, if nothing else helps; or go on with NAME, who was warned of
/create ROOM      make a public room
/rooms            list the rooms
/users [ROOM]     list who is in a room, online first, with their status; /who does the same
/history [COUNT]  show what was said before (20 entries), each with its number: [N]
/search WORDS     find messages in your rooms: all WORDS, \"as they stand\", begin*; where it is private, what this device keeps of it
/reply N TEXT     answer message N of this room
/react N EMOJI    react to it
/unreact N EMOJI  take that back
/edit N TEXT      give your message N another text; what it said before stays in the log
/topic [TEXT]     show what this room is about, or say it; - takes it away
/describe TEXT    say what this room is for; - takes it away
/rename NAME      give this room another name
/invite-only on   let only those join who are invited; off lets anyone
/retention 30d    keep no more than 30d (or 12h, 2w), 1000 entries, or both; none keeps all; alone it shows what is kept;
                  what is beyond that is removed from the server for ever, for everyone
/invite HANDLE    invite somebody to this room
/uninvite HANDLE  withdraw an invitation
/pin N            pin message N of this room; /unpin N takes the pin off
/pins             list what is pinned
/delete N         delete message N: its text goes, that it was there stays
/unread           list the rooms in which something is unread
/read [ROOM]      mark a room as read; what is shown of the room you are in is marked by itself
/outbox           list your messages that are on their way, and those that were not sent, with the reason
/retry N          say once more what was not sent: number N of /outbox
/discard N        take back what failed, or was not sent yet
/nick HANDLE      change your handle
/status [TEXT]    say what you are up to, to those who see you online; nothing without TEXT
/hide             be offline to all others
/show             be seen again
/receipts on|off  let others see how far you have read, or not
/devices          list your devices, and which are approved for private conversations
/devices approve  let in the device that asks; both show six digits: /devices same if they are, or /devices differ
/devices ask      ask your other devices to let this one in
/verify HANDLE    show the safety number with somebody, to be compared by another way
/verified         remember that the last one shown was compared, and is the same
/revoke NUMBER    revoke one of them: it can never log in again; it says first what that comes to
/recovery         show how it stands with your recovery phrase: the only thing that approves a device when all others are lost
/recovery new     make it, and show it once; it counts when you have written it down, and say so
/recovery use     show how to approve this device by it
/passphrase       show how to have a passphrase guard what is kept on this device
/passwd           change your password, and revoke your other devices
/forget           forget what is kept of this room, and take it up anew; it is asked first where it is private
/help             show this
/quit             end (Ctrl-D does too)
@HANDLE           in a text asks for a member's attention; \\@HANDLE does not
//TEXT            say /TEXT";

/// How many entries /history shows unasked.
const HISTORY: u32 = 20;

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Say(String),
    /// The user turned to this room by other means than a command. No line asks for it.
    Enter(Current),
    /// Something about the message with this number.
    About(u64, About),
    /// Something with the room that is talked in.
    Rooming(Rooming),
    /// Something with private conversations.
    Private(Private),
    Help,
    Rooms,
    Users(Option<String>),
    Create(String),
    Join(String),
    /// A room, or the one that is talked in; for who was told what that comes to, and is sure.
    Leave(Option<String>, bool),
    Nick(String),
    Status(String),
    /// Whether to be offline to all others.
    Hide(bool),
    /// Whether others may see how far the user has read.
    Receipts(bool),
    History(u32),
    /// The message with this number, or the last of one's own.
    Delete(Option<u64>),
    Unread,
    Read(Option<String>),
    Search(String),
    Outbox,
    Retry(usize),
    Discard(usize),
    Devices(Devices),
    Verify(String),
    /// The safety number that was shown last is the same for both.
    Verified,
    /// The device with this number, for who was told what that comes to, and is sure.
    Revoke(usize, bool),
    Recovery(Recovery),
    Passphrase,
    Passwd,
    /// For who was told what that comes to, and is sure.
    Forget(bool),
    Quit,
}

/// What is to be said about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum About {
    Reply(String),
    React(String),
    Unreact(String),
    Edit(String),
}

impl About {
    /// Reads a command that takes a number and the rest of the line; `None` if it is none of these.
    fn parse(command: &str) -> Option<Result<Command, String>> {
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let about = match name {
            "reply" => Self::Reply,
            "react" => Self::React,
            "unreact" => Self::Unreact,
            "edit" => Self::Edit,
            _ => return None,
        };
        let (number, said) = rest.trim().split_once(char::is_whitespace).unwrap_or_default();
        let number = number.trim_matches(|c| matches!(c, '[' | ']')).parse();
        Some(match number {
            Ok(number) if !said.trim().is_empty() => {
                Ok(Command::About(number, about(said.trim().to_owned())))
            }
            _ => Err(format!("/{name} needs a message's number, and what to say: see /help")),
        })
    }
}

impl Command {
    /// Whether it can be done without the server, from what is kept; what can be done better with it is.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Say(_)
            | Self::Enter(_)
            | Self::About(..)
            | Self::Rooming(Rooming::Topic(None) | Rooming::Pins)
            | Self::Help
            | Self::Rooms
            | Self::History(_)
            | Self::Unread
            | Self::Read(None)
            | Self::Search(_)
            | Self::Outbox
            | Self::Retry(_)
            | Self::Discard(_)
            | Self::Passphrase
            | Self::Forget(_)
            | Self::Quit => true,
            Self::Private(_)
            | Self::Rooming(_)
            | Self::Users(_)
            | Self::Create(_)
            | Self::Join(_)
            | Self::Leave(..)
            | Self::Nick(_)
            | Self::Status(_)
            | Self::Hide(_)
            | Self::Receipts(_)
            | Self::Delete(_)
            | Self::Read(Some(_))
            | Self::Devices(_)
            | Self::Verify(_)
            | Self::Verified
            | Self::Revoke(..)
            | Self::Recovery(_)
            | Self::Passwd => false,
        }
    }

    /// Whether what is said after it is meant for another room than that before.
    pub(crate) fn goes_elsewhere(&self) -> bool {
        matches!(
            self,
            Self::Join(_)
                | Self::Create(_)
                | Self::Private(Private::Direct(..) | Private::Create(_))
        )
    }

    /// Reads a line; `None` if it asks for nothing.
    ///
    /// # Errors
    /// What is wrong with it, for the user.
    pub(crate) fn parse(line: &str) -> Result<Option<Self>, String> {
        // Whatever is done with it: most of it is told to the server, or to others.
        check_may_be_said(line).map_err(|error| error.to_string())?;
        let Some(command) = line.strip_prefix('/') else {
            return Ok((!line.trim().is_empty()).then(|| Self::Say(line.to_owned())));
        };
        if command.starts_with('/') {
            return Ok(Some(Self::Say(command.to_owned())));
        }
        if let Some(about) = About::parse(command) {
            return about.map(Some);
        }
        if let Some(rooming) = Rooming::parse(command) {
            return rooming.map(Some);
        }
        if let Some(private) = Private::parse(command) {
            return private.map(Some);
        }
        if let Some(recovery) = Recovery::parse(command) {
            return recovery.map(Some);
        }
        if let Some(status) = command.strip_prefix("status")
            && !status.starts_with(|c: char| !c.is_whitespace())
        {
            return Ok(Some(Self::Status(status.trim().to_owned())));
        }
        if let Some(query) = command.strip_prefix("search").filter(|rest| rest.starts_with(' ')) {
            return Ok(Some(Self::Search(query.trim().to_owned())));
        }
        // A group's name may have spaces.
        if let Some(name) = command.strip_prefix("join ").map(str::trim)
            && name.contains(char::is_whitespace)
        {
            return Ok(Some(Self::Join(name.to_owned())));
        }
        if let Some(name) = ["leave ", "part "].iter().find_map(|it| command.strip_prefix(it)) {
            let (name, sure) = match name.trim().strip_suffix(" yes") {
                Some(name) => (name.trim_end(), true),
                None => (name.trim(), false),
            };
            let name = Some(name.to_owned()).filter(|name| !name.is_empty());
            return Ok(Some(Self::Leave(name, sure)));
        }
        let mut words = command.split_whitespace();
        let (name, argument) = (words.next().unwrap_or_default(), words.next());
        let more = words.next();
        let sure = name == "revoke" && more == Some("yes");
        if words.next().or(more.filter(|_| !sure)).is_some() {
            return Err(format!("/{name} takes one word at most; //{command} says it instead"));
        }
        let needed = |what: &str| match argument {
            Some(word) => Ok(word.to_owned()),
            None => Err(format!("/{name} needs {what}: see /help")),
        };
        let number = |list: &str| -> Result<usize, String> {
            let number = needed(&format!("a number from {list}"))?;
            number.parse().map_err(|_| format!("/{name} takes a number from {list}"))
        };
        let room = argument.map(str::to_owned);
        Ok(Some(match name {
            "help" | "h" | "?" => Self::Help,
            "rooms" => Self::Rooms,
            "users" | "who" => Self::Users(room),
            "create" => Self::Create(needed("a room's name")?.trim_start_matches('#').to_owned()),
            "join" | "j" => Self::Join(needed("a room's name")?),
            "leave" | "part" => Self::Leave(None, false),
            "nick" => Self::Nick(needed("a handle")?),
            "history" => Self::History(argument.map_or(Ok(HISTORY), |word| {
                word.parse().map_err(|_| "/history takes a number: see /help".to_owned())
            })?),
            "delete" => Self::Delete(match argument {
                Some(word) => {
                    let number = word.trim_matches(|c| matches!(c, '[' | ']')).parse();
                    Some(number.map_err(|_| "/delete takes a message's number".to_owned())?)
                }
                None => None,
            }),
            "hide" => Self::Hide(true),
            "show" => Self::Hide(false),
            "receipts" => match argument {
                Some("on") => Self::Receipts(true),
                Some("off") => Self::Receipts(false),
                _ => return Err("/receipts is on or off: see /help".to_owned()),
            },
            "search" => return Err("/search needs words: see /help".to_owned()),
            "unread" => Self::Unread,
            "read" => Self::Read(room),
            "outbox" => Self::Outbox,
            "retry" => Self::Retry(number("/outbox")?),
            "discard" => Self::Discard(number("/outbox")?),
            "devices" => Self::Devices(Devices::parse(argument)?),
            "verify" => Self::Verify(needed("a handle")?),
            "verified" => Self::Verified,
            "revoke" => Self::Revoke(number("/devices")?, sure),
            "passphrase" if argument.is_none() => Self::Passphrase,
            "passphrase" => return Err("/passphrase takes no word behind it".to_owned()),
            "passwd" => Self::Passwd,
            "forget" => {
                match argument {
                    None => Self::Forget(false),
                    Some("yes") => Self::Forget(true),
                    Some(_) => return Err(
                        "/forget takes no word behind it but yes: it is about the room you are in"
                            .to_owned(),
                    ),
                }
            }
            "quit" | "q" | "exit" => Self::Quit,
            _ => return Err(format!("there is no /{name}; /help lists what there is")),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Command {
        Command::parse(line).unwrap().unwrap()
    }

    #[test]
    fn lines_are_said_and_commands_are_done() {
        assert_eq!(parse("hello /join"), Command::Say("hello /join".into()));
        assert_eq!(parse("//etc/passwd is a file"), Command::Say("/etc/passwd is a file".into()));
        assert_eq!(parse("/join #lobby"), Command::Join("#lobby".into()));
        assert_eq!(parse("/create #den"), Command::Create("den".into()));
        assert_eq!(parse("/join tea & cake "), Command::Join("tea & cake".into()));
        assert_eq!(parse("/users"), Command::Users(None));
        assert_eq!(parse("/leave"), Command::Leave(None, false));
        let tea = || Some("tea & cake".to_owned());
        assert_eq!(parse("/leave tea & cake"), Command::Leave(tea(), false));
        assert_eq!(parse("/leave tea & cake yes"), Command::Leave(tea(), true));
        assert_eq!(parse("/leave yes"), Command::Leave(Some("yes".into()), false));
        assert_eq!(parse("/history"), Command::History(20));
        assert_eq!(parse("/history 5"), Command::History(5));
        assert_eq!(parse("/delete"), Command::Delete(None));
        assert_eq!(parse("/delete [7]"), Command::Delete(Some(7)));
        assert_eq!(parse("/revoke 2"), Command::Revoke(2, false));
        assert_eq!(parse("/revoke 2 yes"), Command::Revoke(2, true));
        assert_eq!(parse("/devices"), Command::Devices(Devices::List));
        assert_eq!(parse("/devices approve"), Command::Devices(Devices::Approve));
        assert_eq!(parse("/devices differ"), Command::Devices(Devices::Differ));
        assert_eq!(parse("/verify bob"), Command::Verify("bob".into()));
        assert_eq!(parse("/verified"), Command::Verified);
        assert_eq!(parse("/status out for  lunch "), Command::Status("out for  lunch".into()));
        assert_eq!(parse("/status"), Command::Status(String::new()));
        assert_eq!((parse("/hide"), parse("/show")), (Command::Hide(true), Command::Hide(false)));
        assert_eq!(parse("/receipts off"), Command::Receipts(false));
        assert_eq!(parse("/search \"green tea\" po*"), Command::Search("\"green tea\" po*".into()));
        assert_eq!(parse("/search tea and cake"), Command::Search("tea and cake".into()));
        assert_eq!(parse("/read"), Command::Read(None));
        assert_eq!(parse("/discard 2"), Command::Discard(2));
        assert_eq!(parse("/forget"), Command::Forget(false));
        assert_eq!(parse("/forget yes"), Command::Forget(true));
        assert_eq!(Command::parse("  "), Ok(None));
        assert_eq!(parse("/reply 3 me  too"), Command::About(3, About::Reply("me  too".into())));
        assert_eq!(parse("/react [12] +1"), Command::About(12, About::React("+1".into())));
        assert_eq!(parse("/unreact 12 +1"), Command::About(12, About::Unreact("+1".into())));
        assert_eq!(parse("/edit 3 /me"), Command::About(3, About::Edit("/me".into())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for line in [
            "/join",
            "/jump",
            "/",
            "/revoke x",
            "/revoke 2 no",
            "/revoke 2 yes yes",
            "/rooms x yes",
            "/passphrase set",
            "/history -1",
            "/delete x",
            "/nick",
            "/edit",
            "/react 3",
            "/reply x y",
            "/statuses x",
            "/receipts",
            "/verify",
            "/devices alike",
            "/receipts maybe",
            "/search",
            "/retry all",
            "/forget lobby",
        ] {
            assert!(Command::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn no_phrase_is_said() {
        let phrase = aside_client::new_recovery_phrase(aside_client::Strength::Bits128).reveal();
        let spaced = phrase.replace('-', " ").to_lowercase();
        let groups: Vec<_> = phrase.split('-').collect();
        for line in [
            phrase.to_string(),
            format!("  {}", *phrase),
            format!("//{spaced}"),
            format!(" /recovery use {}", *phrase),
            format!("/recovery use {spaced}"),
            format!("is it {spaced} that I type"),
            format!("/dm @bob my phrase is {}", *phrase),
            format!("/reply 3 {spaced}"),
            format!("/edit 3 {}", *phrase),
            format!("/topic {}", *phrase),
            format!("/group new {spaced}"),
        ] {
            let refused = Command::parse(&line).unwrap_err();
            assert!(refused.contains("NOT SAID"), "{refused}");
            assert!(!refused.contains(groups[2]), "{refused}");
        }
        let part = groups[..7].join("-");
        assert_eq!(parse(&part), Command::Say(part.clone()));
        assert!(matches!(
            parse(&format!("/recovery written {}", groups[7])),
            Command::Recovery(Recovery::Written(_))
        ));
        let long = "so we are here and there, all that day long - and then some more ".repeat(40);
        assert_eq!(parse(&long), Command::Say(long.clone()));
    }

    // cites: RET-005
    #[test]
    fn help_says_what_limits_remove() {
        assert!(HELP.contains(crate::retention::FOR_EVER));
    }

    #[test]
    fn help_names_every_command() {
        for line in HELP.lines().filter(|it| it.starts_with('/') && !it.starts_with("//")) {
            let name = line.split_whitespace().next().unwrap();
            let known = ["", " 1", " 1 x", " on", " leave"]
                .map(|rest| Command::parse(&format!("{name}{rest}")));
            assert!(known.iter().any(Result::is_ok), "{name}");
        }
    }
}
