//! What can go wrong, whose fault it is, and what to do about it.

use std::{io, time::Duration};

use aside_crypto::{EntryError, PinBreach};
use aside_proto::{
    error::{Retry, info, retry_of},
    id::{DeviceId, IdLengthError},
    v1,
};
use aside_session::client::{
    CloseReason, LoginError, PayloadDiffers, RequestError, Violation, approval::ApprovalEnd,
};

use crate::{StateError, TlsError, private::GoalError, words};

/// Anything that keeps the client from doing what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address has no handle.
    #[error("the address names no account")]
    HandleMissing,
    /// The token is of another account than the one in the address, or that one has another handle by now.
    #[error("the token is of the account {of}, not of {named}")]
    OtherAccount {
        /// The handle in the address.
        named: String,
        /// That of the token's account.
        of: String,
    },
    /// The account that is kept here under this handle has another by now, or was given another when it was made.
    #[error("the account that is kept here as {from} is called {now}")]
    HandleChanged {
        /// What the address says.
        from: String,
        /// The account's handle.
        now: String,
    },
    /// There is no place for the state.
    #[error("this system names no directory for the data of programs")]
    NoDataDir,
    /// The local state can't be used.
    #[error(transparent)]
    State(StateError),
    /// There is no TLS connection to the server that was meant.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The WebSocket can't be opened.
    #[error("the server does not open a WebSocket: {0}")]
    WebSocket(io::Error),
    /// The server took too long.
    #[error("the server does not answer")]
    Unanswered,
    /// A log-in by password is needed, and no password was given.
    #[error("the password is needed: {0}")]
    PasswordNeeded(PasswordReason),
    /// The log-in can't be sent.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// What was to be done in a private conversation can't be.
    #[error(transparent)]
    Goal(GoalError),
    /// The server refused a request.
    #[error("{}", .0.sentence())]
    Refused(Refusal),
    /// The connection ended while the client was connecting.
    #[error(transparent)]
    Closed(CloseReason),
    /// The request can't be sent.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The server broke the protocol.
    #[error("the server breaks the protocol: {0}")]
    Violation(#[from] Violation),
    /// The server acknowledged another text than the one sent (MSG-009).
    #[error(transparent)]
    PayloadDiffers(#[from] PayloadDiffers),
    /// The device that signed the message was revoked before the server acknowledged it.
    #[error("the device that signed it was revoked before the server acknowledged it")]
    DeviceReplaced,
    /// The conversation's log was tampered with; it is not trusted any more.
    #[error("the history of this conversation was tampered with")]
    Tampered,
    /// The device log that the server gives is not what was seen of it before, which stays (TRUST-003, TRUST-004).
    #[error(transparent)]
    DeviceLog(#[from] PinBreach),
    /// What the server gives for a device log is none.
    #[error("the server gives a device log that is none: entry {position}: {error}")]
    DeviceLogInvalid {
        /// The first entry that is wrong.
        position: u32,
        /// What is wrong with it.
        error: EntryError,
    },
    /// The change to the device log can't be made.
    #[error("the device log can't be changed so: {0}")]
    LogEntry(EntryError),
    /// There is no device log: of this client's user, or of the other.
    #[error("there is no device log yet: no recovery phrase was made")]
    NoIdentity,
    /// The user has a device log.
    #[error("this account has a recovery phrase already")]
    IdentityExists,
    /// The recovery phrase is not that of the user's device log.
    #[error("this is the recovery phrase of another account, or of an earlier device log")]
    WrongPhrase,
    /// This device is not one of the device log's, so it approves none.
    #[error("this device is not approved itself")]
    NotApproved,
    /// This device is one of the device log's.
    #[error("this device is approved already")]
    AlreadyApproved,
    /// No entry of the device log is about this device.
    #[error("the device {0} was never in the device log")]
    UnknownDevice(DeviceId),
    /// The device does not ask, or asks no longer.
    #[error("this device does not ask to be approved, or asks no longer")]
    NobodyAsks,
    /// The approval came to nothing: the digits differ, or either device ended it.
    #[error(transparent)]
    ApprovalEnded(#[from] ApprovalEnd),
    /// The user of this device said that the digits differ.
    #[error("the digits differ: nothing was approved")]
    DigitsDiffer,
    /// The other device is not connected any more, or this one was not, when something had to be said.
    #[error("the connection to the other device was lost during the approval")]
    ApprovalLost,
    /// Too many approvals in a row came to nothing (APPROVE-010).
    #[error("three approvals in a row came to nothing: there is none for another {}", hours(*wait))]
    ApprovalPaused {
        /// How long.
        wait: Duration,
    },
    /// There is no safety number of a user alone.
    #[error("a safety number is that of two users")]
    SameUser,
    /// The conversation is not one that the user is a member of.
    #[error("you are not a member of this room")]
    NotFollowed,
    /// The private conversation does not go on by a device of that user, or by one whom this device knew there (MLS-049).
    #[error("nobody was named by whom the conversation goes on, or it is somebody else")]
    NotTheLeader,
    /// The message is longer than the server takes.
    #[error("the message is {bytes} bytes long; the server takes {limit}")]
    MessageTooLong {
        /// Its length, encoded.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A reaction is 1 to 32 bytes long, without control characters (CONT-008).
    #[error("this is no reaction: 1 to 32 bytes without control characters are")]
    NotAnEmoji,
    /// Nobody said anything in that entry that can be answered, or this client can't tell (CONT-002).
    #[error("[{0}] is no message, or none that can be meant")]
    NoSuchMessage(u64),
    /// A message is edited by who said it, no one else (CONT-012).
    #[error("message [{0}] is not yours to edit")]
    NotYours(u64),
    /// Only what will not be sent is sent anew, and only that or what was not sent yet is discarded.
    #[error("this message was sent by now, or is not there any more")]
    NotInOutbox,
    /// A connection may have carried the message: it can't be taken back.
    #[error("this message is on its way, and may have arrived")]
    MayHaveArrived,
    /// The message was taken back before it was sent.
    #[error("the message was taken back before it was sent")]
    Withdrawn,
    /// This account has not logged in here, so nothing of it is kept.
    #[error("nothing of this account is kept here")]
    NothingKept,
    /// What to search for is at most 256 bytes and 16 words long.
    #[error("this is too much to search for: 256 bytes and 16 words are the most")]
    QueryTooLong,
    /// Too many messages wait for their acknowledgement.
    #[error("too many messages wait to be sent")]
    OutboxFull,
    /// The client was closed.
    #[error("the client is closed")]
    Gone,
}

/// Why a password is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordReason {
    /// This device has not logged in to this account yet.
    #[error("this device is new to the account")]
    NewDevice,
    /// The device was not used for too long.
    #[error("this device was not used for long")]
    Expired,
    /// The device was revoked; it becomes a new one.
    #[error("this device was revoked")]
    Revoked,
    /// The server does not know the device.
    #[error("the server does not know this device")]
    Unknown,
}

/// An error the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its number, which may be one that this version does not know.
    pub code: i32,
    /// One sentence for people. To be neutralised before it is displayed.
    pub message: String,
    /// The field at fault, if the server names one.
    pub field: String,
    /// When to try again, if the server names a time.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Whether it is this code.
    #[must_use]
    pub fn is(&self, code: v1::ErrorCode) -> bool {
        self.code == code as i32
    }

    /// What it says, in a user's words where the server says no more than the registry does.
    fn sentence(&self) -> &str {
        let code = v1::ErrorCode::try_from(self.code).unwrap_or_default();
        let general = code == v1::ErrorCode::Unspecified
            || self.message.is_empty()
            || self.message == info(code).trigger;
        words::refused(code).filter(|_| general).unwrap_or(&self.message)
    }

    /// The code's name, such as `HANDLE_TAKEN`, or its number.
    #[must_use]
    pub fn code_name(&self) -> String {
        match v1::ErrorCode::try_from(self.code) {
            Ok(code) => code.as_str_name().trim_start_matches("ERROR_CODE_").to_owned(),
            Err(_) => self.code.to_string(),
        }
    }
}

impl From<v1::Error> for Refusal {
    fn from(error: v1::Error) -> Self {
        let after = retry_of(error.code) == Retry::After && error.retry_after_ms > 0;
        Self {
            code: error.code,
            retry_after: after.then(|| Duration::from_millis(error.retry_after_ms)),
            message: error.message,
            field: error.field,
        }
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Closed => Self::Gone,
            error => Self::State(error),
        }
    }
}

impl From<v1::Error> for Error {
    fn from(error: v1::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<IdLengthError> for Error {
    fn from(error: IdLengthError) -> Self {
        Self::Violation(error.into())
    }
}

impl From<CloseReason> for Error {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Refused(error) => (*error).into(),
            CloseReason::Violation(violation) => violation.into(),
            CloseReason::Unresponsive => Self::Unanswered,
            CloseReason::Requested => Self::Gone,
            CloseReason::Ended { .. } => Self::Closed(reason),
        }
    }
}

impl Error {
    /// Whether the server sent this code.
    #[must_use]
    pub fn is_refusal(&self, code: v1::ErrorCode) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is(code))
    }

    /// What the user can do about it, as a sentence.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let remedy = match self {
            Self::HandleMissing => "Write it before the host: aside://alice@chat.example.",
            Self::OtherAccount { .. } => {
                "Name that account in the address, or none: aside://chat.example. Or give no token, and log in by yourself."
            }
            Self::HandleChanged { now, .. } => {
                return Some(format!("Use the address with {now} before the @."));
            }
            Self::NoDataDir => "Set ASIDE_DATA_DIR to one.",
            Self::State(StateError::InUse(_) | StateError::Copy) => {
                "Close the other one, or give this one a directory of its own with --data-dir."
            }
            Self::State(StateError::PassphraseNeeded(_)) => {
                "Give it with --passphrase-file, or name that file in ASIDE_PASSPHRASE_FILE; on a terminal it is asked for."
            }
            Self::State(StateError::WrongPassphrase(dir)) => {
                return Some(format!(
                    "Try again. Without it nothing opens what is kept there: if it is lost, move {} away, and log in as a new device.",
                    dir.display()
                ));
            }
            Self::State(StateError::PassphraseTooShort) => "Take some words.",
            Self::State(StateError::KeyFileMissing(path) | StateError::WrongKeyFile(path)) => {
                let dir = path.parent().unwrap_or(path);
                return Some(format!(
                    "Put it back, together with the database it was beside. If it is lost, move {} away, and log in as a new device.",
                    dir.display()
                ));
            }
            Self::State(StateError::Keyring(_)) => {
                "Log in to the desktop session whose keyring has it, and see that it is unlocked."
            }
            Self::State(StateError::Damaged(_)) => {
                "Put the whole directory back from a backup, or move it away and log in as a new device."
            }
            Self::State(_) => "Look at the permissions and the free space there.",
            Self::Tls(error) => return Some(tls_remedy(error)),
            Self::Unanswered | Self::Closed(_) | Self::WebSocket(_) => {
                "Try again later; if it stays, ask the server's operator."
            }
            Self::PasswordNeeded(PasswordReason::Revoked) => BEGINS_ANEW,
            Self::PasswordNeeded(_) => "Log in with the password.",
            Self::Login(LoginError::BindingNotOffered) => {
                "Connect with aside:// instead of wss://."
            }
            Self::Goal(GoalError::NoDevice(_)) => {
                "Whoever has no device that is approved makes a recovery phrase: aside recovery new."
            }
            Self::Goal(GoalError::Device(_)) => {
                "Have them connect with a device of theirs, which leaves new keys, and try again."
            }
            Self::Goal(GoalError::Oneself) => "Leave it: /group leave.",
            Self::Goal(GoalError::Stranger) => "/health says who it is, and what to do.",
            Self::Goal(GoalError::Direct) => "Begin a group with whom you want in it: /group new.",
            Self::Goal(GoalError::NotInGroup) => "Wait until this device is in it, or see /health.",
            Self::Goal(GoalError::Refused(error)) => {
                return refusal_remedy(&Refusal::from((**error).clone()));
            }
            Self::Refused(refusal) => return refusal_remedy(refusal),
            Self::Violation(_) => {
                "Tell the server's operator. If its log key changed, ask what happened before you trust it again."
            }
            Self::PayloadDiffers(_) | Self::Tampered => {
                "Tell the other members by another way, and ask the server's operator what happened."
            }
            Self::DeviceLog(PinBreach::IdentityChanged) => {
                "Whoever lost all devices and the phrase begins anew, and so does an impostor: ask them by another way, and compare safety numbers."
            }
            Self::DeviceLog(_) | Self::DeviceLogInvalid { .. } => {
                "Nothing was changed by it. Ask the server's operator what happened."
            }
            Self::NoIdentity => {
                "Whoever has none yet makes one: aside recovery new, or /recovery new in a chat."
            }
            Self::IdentityExists => {
                "A device that is not approved is so by it: aside recovery use."
            }
            Self::WrongPhrase => "Look for the one that was made for this account.",
            Self::NotApproved => "Approve it first: by another device, or by aside recovery use.",
            Self::NobodyAsks => "On the new device: aside devices ask.",
            Self::DigitsDiffer
            | Self::ApprovalEnded(
                ApprovalEnd::Different
                | ApprovalEnd::TwoAnswers
                | ApprovalEnd::Reveal(_)
                | ApprovalEnd::OtherDevice
                | ApprovalEnd::Invalid,
            ) => {
                "Somebody may stand between your devices. Begin anew; if it stays so, approve the device by aside recovery use, and ask the server's operator."
            }
            Self::ApprovalEnded(ApprovalEnd::Left) | Self::ApprovalLost => "Begin anew, on both.",
            Self::ApprovalPaused { .. } => {
                "The recovery phrase approves a device at once: aside recovery use."
            }
            Self::DeviceReplaced => "Look whether it is there before you send it again.",
            Self::NotFollowed => "Join it first.",
            Self::NotTheLeader => "/health says who it is.",
            Self::MessageTooLong { .. } => "Split it.",
            Self::NotAnEmoji => "Send it as a reply.",
            Self::NoSuchMessage(_) | Self::NotYours(_) => "Look for its number in the history.",
            Self::NothingKept => "Connect once, or name the directory with --data-dir.",
            Self::QueryTooLong => "Search for less.",
            Self::OutboxFull => {
                "Wait until some were sent, and discard or send anew those that failed."
            }
            Self::MayHaveArrived => "Wait until it is there, and delete it then.",
            Self::Login(_)
            | Self::LogEntry(_)
            | Self::SameUser
            | Self::AlreadyApproved
            | Self::UnknownDevice(_)
            | Self::ApprovalEnded(ApprovalEnd::Active)
            | Self::Request(_)
            | Self::NotInOutbox
            | Self::Withdrawn
            | Self::Gone => return None,
        };
        Some(remedy.to_owned())
    }

    /// Whether trying again later may help, without a change.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Tls(TlsError::Unreachable { .. } | TlsError::Handshake { .. })
            | Self::WebSocket(_)
            | Self::Unanswered
            | Self::Closed(_) => true,
            Self::Violation(violation) => !violation.is_of_greeted(),
            Self::Refused(refusal) => retry_of(refusal.code) != Retry::No,
            _ => false,
        }
    }

    /// How long the server asked to wait.
    pub(crate) fn retry_after(&self) -> Duration {
        match self {
            Self::Refused(refusal) => refusal.retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }
}

/// What a user does whose device was revoked.
const BEGINS_ANEW: &str = "Log in with the password: it is a new device then, which another one of yours approves for private conversations \
     (aside devices ask), or the recovery phrase (aside recovery use). What it keeps from before stays readable: aside tail --offline.";

/// A time in hours and minutes, rounded up.
fn hours(wait: Duration) -> String {
    let minutes = wait.as_secs().div_ceil(60);
    format!("{} h {} min", minutes / 60, minutes % 60)
}

fn tls_remedy(error: &TlsError) -> String {
    match error {
        TlsError::Unreachable { .. } => "Check the address, and that the server runs.".into(),
        TlsError::FingerprintChanged { .. } => {
            "Ask the server's operator whether the certificate was replaced; only if so, give the new fingerprint with --fingerprint."
                .into()
        }
        TlsError::Untrusted { found, .. } => format!(
            "If the server's operator gave you this very fingerprint, add --fingerprint {found}; or give the authority's file with --ca."
        ),
        TlsError::Handshake { .. } => "Check the port; an Aside server has 7423 by default.".into(),
        TlsError::CaFile { .. } => "Give a PEM file with at least one certificate.".into(),
        TlsError::NoRoots => "Give an authority's file with --ca, or a --fingerprint.".into(),
    }
}

fn refusal_remedy(refusal: &Refusal) -> Option<String> {
    let code = v1::ErrorCode::try_from(refusal.code).ok()?;
    match (code, refusal.retry_after) {
        (v1::ErrorCode::Unspecified, _) => None,
        // LIM-007: not sooner.
        (_, Some(wait)) => Some(format!("Try again in {} s.", wait.as_millis().div_ceil(1000))),
        (v1::ErrorCode::DeviceNotApproved, None) => Some(
            "Have it approved by one that is (aside devices ask, or /devices ask in a chat), or by the recovery phrase (aside recovery use). \
             Who has none yet makes one: aside recovery new, or /recovery new in a chat."
                .to_owned(),
        ),
        (v1::ErrorCode::DeviceIsRevoked, None) => Some(format!("{BEGINS_ANEW} A bot needs another token.")),
        (code, None) => Some(info(code).remedy.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_said_in_a_users_words_unless_the_server_has_better_ones() {
        let said = |code: v1::ErrorCode, message: &str| {
            let message = message.to_owned();
            Error::from(v1::Error { code: code.into(), message, ..Default::default() }).to_string()
        };
        let code = v1::ErrorCode::NotPermitted;
        assert!(said(code, info(code).trigger).starts_with("only an owner"));
        assert_eq!(said(code, "Not on Sundays."), "Not on Sundays.");
        assert!(said(code, "").starts_with("only an owner"));
        let code = v1::ErrorCode::FrameEmpty;
        assert_eq!(said(code, info(code).trigger), info(code).trigger);
    }

    #[test]
    fn who_was_revoked_or_is_not_approved_is_told_what_helps() {
        let remedy = |code: v1::ErrorCode| {
            let refused = v1::Error { code: code.into(), ..Default::default() };
            Error::from(refused).remedy().unwrap()
        };
        let unapproved = remedy(v1::ErrorCode::DeviceNotApproved);
        assert!(unapproved.find("recovery use") < unapproved.find("recovery new"), "{unapproved}");
        let revoked = remedy(v1::ErrorCode::DeviceIsRevoked);
        let needed = Error::PasswordNeeded(PasswordReason::Revoked).remedy().unwrap();
        for said in [revoked, needed] {
            assert!(said.contains("a new device") && said.contains("recovery use"), "{said}");
        }
    }

    // cites: LIM-007
    #[test]
    fn a_wait_is_rounded_up() {
        let remedy = |retry_after_ms| {
            let code = v1::ErrorCode::RateLimited.into();
            Error::from(v1::Error { code, retry_after_ms, ..Default::default() }).remedy()
        };
        assert_eq!(remedy(1).as_deref(), Some("Try again in 1 s."));
        assert_eq!(remedy(2000).as_deref(), Some("Try again in 2 s."));
        assert_eq!(remedy(2001).as_deref(), Some("Try again in 3 s."));
    }
}
