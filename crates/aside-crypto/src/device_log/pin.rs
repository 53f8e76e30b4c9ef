//! What a client remembers of a user's device log, so that no other is put in its place (TRUST-001 to TRUST-005).

use aside_proto::id::UserId;

use super::{DeviceLog, LogHead};
use crate::Hash;

/// The log of a user of a server, as far as this client has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The server's name, as dialled and verified.
    pub server: String,
    /// Whose log.
    pub user: UserId,
    /// The hash of its first entry: with server and user, what is pinned.
    pub genesis: Hash,
    /// How far it was seen.
    pub seen: LogHead,
    /// Whether this client's user compared the safety number; of the user's own log, the digits of an approval.
    pub verified: bool,
}

/// Why a log is not taken for the pinned one. What the client has stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinBreach {
    /// It is of another user: the caller asked for the wrong one, or the server answered with it.
    #[error("the device log is of another user")]
    OtherUser,
    /// TRUST-004: another identity, which the client's user has to hear of.
    #[error("the user's identity has changed: the device log begins with another entry")]
    IdentityChanged,
    /// TRUST-003.
    #[error("the device log ends before position {0}, which was seen")]
    Shorter(u32),
    /// TRUST-003.
    #[error("the device log has another entry at position {0} than was seen")]
    Diverged(u32),
}

impl Pin {
    /// At first contact: nothing is verified.
    #[must_use]
    pub fn first(server: &str, log: &DeviceLog) -> Self {
        Self {
            server: server.to_owned(),
            user: log.user(),
            genesis: log.identity().genesis,
            seen: log.head(),
            verified: false,
        }
    }

    /// Takes a log that goes on from what was seen, and remembers how far it goes (TRUST-002).
    ///
    /// # Errors
    /// [`PinBreach`]: the pin is as it was.
    pub fn follow(&mut self, log: &DeviceLog) -> Result<(), PinBreach> {
        if log.user() != self.user {
            return Err(PinBreach::OtherUser);
        }
        if log.identity().genesis != self.genesis {
            return Err(PinBreach::IdentityChanged);
        }
        let hash = log.hash_at(self.seen.position).ok_or(PinBreach::Shorter(self.seen.position))?;
        if *hash != self.seen.hash {
            return Err(PinBreach::Diverged(self.seen.position));
        }
        self.seen = log.head();
        Ok(())
    }

    /// Pins another identity of the same user, once the client's user has seen that it changed. It is no longer verified
    /// (TRUST-005).
    ///
    /// # Errors
    /// [`PinBreach::OtherUser`] if the log is of another user; the breach, if the log is of the same identity but no continuation.
    pub fn accept_change(&mut self, log: &DeviceLog) -> Result<(), PinBreach> {
        match self.follow(log) {
            Err(PinBreach::IdentityChanged) => {
                *self = Self::first(&self.server, log);
                Ok(())
            }
            other => other,
        }
    }
}
