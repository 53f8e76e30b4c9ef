//! What is done with a room: its settings, invitations and pins.

use anyhow::{Result, bail};
use aside_client::{Kind, Pin, Retention, RoomChange, display::neutralise_line};

use super::{command::Command, worker::Worker};
use crate::{
    named, output,
    retention::{self, Limits},
    rooms,
};

/// What takes a setting away.
const NOTHING: &str = "-";

/// What is to be done with the room that is talked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rooming {
    /// Without a text: to show it.
    Topic(Option<String>),
    Describe(String),
    Rename(String),
    InviteOnly(bool),
    /// Without limits: to show them. What removes something is done only for who was told so, and is sure.
    Retention(Option<Limits>, bool),
    Invite(String),
    Uninvite(String),
    SetPin(u64, bool),
    Pins,
}

impl Rooming {
    /// Reads a command about the room; `None` if it is none of these.
    pub(super) fn parse(command: &str) -> Option<Result<Command, String>> {
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        let parsed = match (name, rest) {
            ("topic", "") => Some(Self::Topic(None)),
            ("topic", text) => Some(Self::Topic(Some(text.to_owned()))),
            ("describe", text) if !text.is_empty() => Some(Self::Describe(text.to_owned())),
            ("rename", name) if is_word(name) => Some(Self::Rename(name.to_owned())),
            ("invite-only", "on") => Some(Self::InviteOnly(true)),
            ("invite-only", "off") => Some(Self::InviteOnly(false)),
            ("retention", "") => Some(Self::Retention(None, false)),
            ("retention", text) => {
                let sure = text.strip_suffix(" yes");
                let limits = sure.unwrap_or(text).parse().ok();
                limits.map(|limits| Self::Retention(Some(limits), sure.is_some()))
            }
            ("invite", handle) if is_word(handle) => Some(Self::Invite(handle.to_owned())),
            ("uninvite", handle) if is_word(handle) => Some(Self::Uninvite(handle.to_owned())),
            ("pin", number) => parse_number(number).map(|seq| Self::SetPin(seq, true)),
            ("unpin", number) => parse_number(number).map(|seq| Self::SetPin(seq, false)),
            ("pins", "") => Some(Self::Pins),
            ("describe" | "rename" | "invite-only" | "invite" | "uninvite" | "pins", _) => None,
            _ => return None,
        };
        let wrong = || format!("/{name} is used another way: see /help");
        Some(parsed.map(Command::Rooming).ok_or_else(wrong))
    }
}

impl Rooming {
    /// Why it is nothing for a private conversation, and what is there instead.
    fn not_in(&self, kind: Kind) -> Option<&'static str> {
        let is_group = match kind {
            Kind::PublicRoom => return None,
            Kind::Group => true,
            Kind::Direct => false,
        };
        Some(match self {
            Self::Rename(_) if is_group => "a private group gets its name by /group name",
            Self::Rename(_) => "a private conversation with somebody is called as they are",
            Self::Invite(_) if is_group => "/group invite adds somebody to a private group",
            Self::Invite(_) => "this is between two for ever: /group new begins a group",
            Self::Uninvite(_) => {
                "nobody is invited to a private conversation: who is in it, is in it"
            }
            Self::Topic(_) | Self::Describe(_) => {
                "a private conversation has neither topic nor description: the server would know them"
            }
            Self::InviteOnly(_) => "a private conversation is never open to others",
            Self::Retention(..) => {
                "such limits are for public rooms; what is private stays on its members' devices"
            }
            Self::SetPin(..) | Self::Pins => "messages are pinned in public rooms only",
        })
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}

fn parse_number(text: &str) -> Option<u64> {
    text.trim_matches(|c| matches!(c, '[' | ']')).parse().ok()
}

impl Worker {
    pub(super) async fn rooming(&mut self, asked: Rooming) -> Result<()> {
        let here = self.here()?;
        if let Some(why) = asked.not_in(here.kind) {
            bail!("{why}");
        }
        let room = here.conversation;
        let text = |text: String| Some(if text == NOTHING { String::new() } else { text });
        match asked {
            Rooming::Topic(None) => {
                let topic = self.client.topic(room).await?;
                let topic =
                    if topic.is_empty() { "no topic".into() } else { neutralise_line(&topic) };
                self.say(topic.into_owned()).await;
            }
            Rooming::Topic(Some(topic)) => {
                self.change(RoomChange { topic: text(topic), ..RoomChange::default() }).await?;
            }
            Rooming::Describe(description) => {
                let description = text(description);
                self.change(RoomChange { description, ..RoomChange::default() }).await?;
            }
            Rooming::Rename(name) => {
                let name = Some(name.trim_start_matches('#').to_owned());
                self.change(RoomChange { name, ..RoomChange::default() }).await?;
            }
            Rooming::InviteOnly(on) => {
                let invite_only = Some(on);
                self.change(RoomChange { invite_only, ..RoomChange::default() }).await?;
            }
            Rooming::Retention(None, _) => {
                let room = named::find_room(&self.client, &self.here()?.name).await?;
                let kept = retention::words(&room.retention);
                self.say(kept.unwrap_or("all that is said here is kept".to_owned())).await;
            }
            Rooming::Retention(Some(Limits(limits)), sure) => self.retain(limits, sure).await?,
            Rooming::Invite(handle) => {
                self.say(rooms::invite(&self.client, room, &handle).await?).await;
            }
            Rooming::Uninvite(handle) => {
                self.client.uninvite(room, &handle).await?;
                self.say(format!("{} is not invited", neutralise_line(&handle))).await;
            }
            Rooming::SetPin(seq, pinned) => self.client.set_pin(room, seq, pinned).await?,
            Rooming::Pins => {
                let pins = self.client.pins(room).await?;
                let lines: Vec<_> = pins.iter().map(|pin| self.pin(pin)).collect();
                let none = "nothing is pinned".to_owned();
                self.say(if lines.is_empty() { none } else { lines.join("\n") }).await;
            }
        }
        Ok(())
    }

    /// Says who has asked the user to join what, if anybody has.
    pub(super) async fn list_invitations(&self) -> Result<()> {
        for room in self.client.invitations().await? {
            self.say(rooms::invitation(&room, None, self.style)).await;
        }
        Ok(())
    }

    /// RET-005: says what will be gone before anything is, and does it for who is sure.
    async fn retain(&mut self, limits: Retention, sure: bool) -> Result<()> {
        if let Some(kept) = retention::words(&limits) {
            let told = format!("{kept}: {}", retention::FOR_EVER);
            if !sure {
                self.say(format!("{told}; the same with \"yes\" behind it does it")).await;
                return Ok(());
            }
            self.say(told).await;
        }
        let retention = Some(limits);
        self.change(RoomChange { retention, ..RoomChange::default() }).await
    }

    /// What is changed is shown when its entry comes.
    async fn change(&self, change: RoomChange) -> Result<()> {
        self.client.update_room(self.here()?.conversation, change).await?;
        Ok(())
    }

    fn pin(&self, pin: &Pin) -> String {
        let number = self.style.dim(format!("[{}]", pin.seq));
        let shown = pin.message.as_ref().and_then(|entry| {
            let time = self.style.dim(output::day_and_clock(entry.time_ms));
            Some(format!("{time} {number} {}", self.style.entry(entry)?))
        });
        shown.unwrap_or_else(|| {
            format!("{number} {}", self.style.dim("a message that is not at hand"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Rooming> {
        match Command::parse(line) {
            Ok(Some(Command::Rooming(asked))) => Some(asked),
            _ => None,
        }
    }

    #[test]
    fn commands_about_the_room_are_read() {
        assert_eq!(parse("/topic"), Some(Rooming::Topic(None)));
        assert_eq!(parse("/topic tea and jam"), Some(Rooming::Topic(Some("tea and jam".into()))));
        assert_eq!(parse("/describe -"), Some(Rooming::Describe("-".into())));
        assert_eq!(parse("/rename cellar"), Some(Rooming::Rename("cellar".into())));
        assert_eq!(parse("/invite-only off"), Some(Rooming::InviteOnly(false)));
        assert_eq!(parse("/retention"), Some(Rooming::Retention(None, false)));
        let limits = Retention { max_age_s: 30 * 86_400, max_entries: 1000 };
        let asked = |sure| Some(Rooming::Retention(Some(Limits(limits)), sure));
        assert_eq!(parse("/retention 30d 1000"), asked(false));
        assert_eq!(parse("/retention 30d 1000 yes"), asked(true));
        assert_eq!(parse("/invite bob"), Some(Rooming::Invite("bob".into())));
        assert_eq!(parse("/uninvite bob"), Some(Rooming::Uninvite("bob".into())));
        assert_eq!(parse("/pin [12]"), Some(Rooming::SetPin(12, true)));
        assert_eq!(parse("/unpin 12"), Some(Rooming::SetPin(12, false)));
        assert_eq!(parse("/pins"), Some(Rooming::Pins));
        for wrong in [
            "/describe",
            "/rename a b",
            "/invite-only",
            "/invite",
            "/pin x",
            "/pins 3",
            "/retention soon",
            "/retention yes",
        ] {
            assert!(Command::parse(wrong).is_err(), "{wrong}");
        }
    }
}
