//! `/recovery` and `/passphrase`: the phrase that stands for the account's identity, and what guards what is kept here.

use std::fmt;

use anyhow::{Result, anyhow, bail};
use aside_client::{Error, Strength, display::neutralise_line, new_recovery_phrase};
use zeroize::Zeroizing;

use super::{
    command::Command,
    worker::{Done, Worker},
};
use crate::{
    failure,
    recovery::{NOT_KNOWN, WRITE_IT_DOWN, is_last_group},
};

/// What /recovery is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recovery {
    Status,
    /// Make a phrase, and show it; in place of one that was shown and does not count yet, for who is sure.
    New(bool),
    /// It is written down, as its last group shows.
    Written(Group),
    /// Say how to use it.
    Use,
}

/// A part of a phrase.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Group(String);

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Group(..)")
    }
}

impl Recovery {
    /// Reads a command about the phrase; `None` if it is none.
    pub(super) fn parse(command: &str) -> Option<Result<Command, String>> {
        let mut words = command.split_whitespace();
        words.next().filter(|name| *name == "recovery")?;
        let parsed = match (words.next(), words.next(), words.next()) {
            (None, ..) => Ok(Self::Status),
            (Some("new"), None, _) => Ok(Self::New(false)),
            (Some("new"), Some("yes"), None) => Ok(Self::New(true)),
            (Some("use"), None, _) => Ok(Self::Use),
            (Some("written"), Some(group), None) => Ok(Self::Written(Group(group.to_owned()))),
            (Some("written"), None, _) => {
                Err("/recovery written needs the last group of the phrase".to_owned())
            }
            (Some("use" | "written"), ..) => {
                Err("no phrase belongs into a chat: /recovery use says how to use it".to_owned())
            }
            _ => Err("/recovery takes new or use: see /help".to_owned()),
        };
        Some(parsed.map(Command::Recovery))
    }
}

impl Worker {
    pub(super) async fn recovery(&mut self, asked: Recovery) -> Result<()> {
        match asked {
            Recovery::Status => {
                let standing = self.standing().await?;
                self.say(standing).await;
                Ok(())
            }
            Recovery::New(sure) => self.new_phrase(sure).await,
            Recovery::Written(Group(typed)) => self.begin_identity(&typed).await,
            Recovery::Use => {
                let me = self.address();
                self.say(format!(
                    "no phrase belongs into a chat. End this one by /quit, and then: aside recovery use {me}\n\
                     It asks for the phrase, and shows nothing of it. Beside a device that is approved it needs none: /devices ask"
                ))
                .await;
                Ok(())
            }
        }
    }

    async fn standing(&self) -> Result<String> {
        let Some(log) = self.client.own_device_log().await? else {
            return Ok("you have no recovery phrase yet, and so no approved device: /recovery new makes it".to_owned());
        };
        let me = self.client.identity().device;
        let is_approved = log.active().any(|certificate| certificate.device() == me);
        let standing = match is_approved {
            true => "this device is approved",
            false => "this device is not approved: /recovery use, or /devices ask",
        };
        Ok(format!("you have a recovery phrase, which is not shown again; {standing}"))
    }

    /// It counts only once its user says that it is written down.
    async fn new_phrase(&mut self, sure: bool) -> Result<()> {
        if self.client.own_device_log().await?.is_some() {
            bail!("{}", self.standing().await?);
        }
        if self.unwritten.is_some() && !sure {
            bail!(
                "a phrase was shown before, and waits for its last group: /recovery written GROUP. Another one makes that void: \
                 /recovery new yes shows it"
            );
        }
        let before = match self.unwritten {
            Some(_) => {
                "the phrase that was shown before is void: cross it out. This is the one that may count:\n"
            }
            None => "",
        };
        let phrase = new_recovery_phrase(Strength::Bits128);
        let shown = Zeroizing::new(format!(
            "{before}{}\n{WRITE_IT_DOWN}\nIt counts once you have typed its last group: /recovery written GROUP",
            *phrase.reveal()
        ));
        self.tell(Done::Phrase(shown)).await;
        self.unwritten = Some(phrase);
        Ok(())
    }

    async fn begin_identity(&mut self, typed: &str) -> Result<()> {
        let Some(phrase) = &self.unwritten else {
            bail!("no phrase waits to be written down; /recovery new makes one");
        };
        if !is_last_group(&phrase.reveal(), typed) {
            bail!(
                "this is not its last group: look at what you have written, or /recovery new yes makes another phrase"
            );
        }
        match self.client.begin_identity(phrase).await {
            Ok(_) => {}
            Err(error @ Error::IdentityExists) => return Err(error.into()),
            Err(error) => return Err(anyhow!("{NOT_KNOWN}: {}", failure::line(&error))),
        }
        self.unwritten = None;
        self.tell(Done::Written).await;
        self.say(
            "this device is approved, and the phrase counts; it is not shown again".to_owned(),
        )
        .await;
        Ok(())
    }

    /// What guards what is kept is changed while nobody uses it.
    pub(super) async fn passphrase(&self) {
        let me = self.address();
        self.say(format!(
            "a passphrase is set or changed while no chat is open. End this one by /quit, and then: aside passphrase set {me}\n\
             aside passphrase status {me} says what guards the keys and private messages that are kept on this device"
        ))
        .await;
    }

    /// As it is given to commands, but for the server's name.
    fn address(&self) -> String {
        format!("aside://{}@…", neutralise_line(&self.client.identity().handle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_about_the_phrase_are_read() {
        let parse = |line: &str| Command::parse(line).map(Option::unwrap);
        assert_eq!(parse("/recovery"), Ok(Command::Recovery(Recovery::Status)));
        assert_eq!(parse("/recovery new"), Ok(Command::Recovery(Recovery::New(false))));
        assert_eq!(parse("/recovery new yes"), Ok(Command::Recovery(Recovery::New(true))));
        assert_eq!(parse("/recovery use"), Ok(Command::Recovery(Recovery::Use)));
        let written = Recovery::Written(Group("ab12".to_owned()));
        assert_eq!(parse("/recovery written ab12"), Ok(Command::Recovery(written.clone())));
        assert!(!format!("{written:?}").contains("ab12"));
        for wrong in ["/recovery old", "/recovery new now", "/recovery written"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        for whole in ["/recovery use ab12-cd34", "/recovery written ab12 cd34"] {
            assert!(parse(whole).unwrap_err().contains("no phrase belongs into a chat"), "{whole}");
        }
    }
}
