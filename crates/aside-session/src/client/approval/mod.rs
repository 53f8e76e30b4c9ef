//! Approving a device, as it goes from one device of a user to the other (APPROVE-011 to APPROVE-017).
//!
//! What is heard is given to `handle` with the device that the server says it is from; what comes of it is a [`Step`]. What is to be
//! relayed is a [`Said`].
//!
//! ```text
//! new device    Asking::begin ── answer ──► Comparing ── the user: the same ──► the pin of the device log
//! approving     Answering::begin ── reveal ──► Deciding ── the user: the same ──► the certificate
//! ```
//!
//! Before a step that is [`Step::Goes`] is acted on, the attempt is noted durably as one that failed (APPROVE-010): whatever ends
//! the program counts then.

mod approver;
mod message;
mod new_device;

pub use approver::{Answering, Deciding};
pub use message::{ApprovalId, ApprovalMessage, ApprovalStep, Said};
pub use new_device::{Asking, Comparing, Joining};

use aside_crypto::ApprovalError;
use aside_proto::v1::ApprovalEndReason;

/// What comes of something that was heard.
#[derive(Debug)]
pub enum Step<S, T> {
    /// The approval stays where it is; perhaps something is to be said.
    Stays(S, Option<Said>),
    /// There are digits to compare; perhaps something is to be said first.
    Goes(T, Option<Said>),
    /// It is over; perhaps the other device is to be told.
    Ends(ApprovalEnd, Option<Said>),
}

/// Why an approval is over, and perhaps something to be said.
pub type Ended = (ApprovalEnd, Option<Said>);

/// Why an approval came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalEnd {
    /// The other device says that its user found other digits there.
    #[error("on the other device, the digits were said to differ")]
    Different,
    /// The other device gave it up.
    #[error("the other device gave the approval up")]
    Left,
    /// The other device says that something does not fit.
    #[error("the other device found that what this one sent does not fit")]
    Invalid,
    /// APPROVE-002.
    #[error("two answers came, where one device was to answer")]
    TwoAnswers,
    /// APPROVE-003.
    #[error(transparent)]
    Reveal(#[from] ApprovalError),
    /// APPROVE-015.
    #[error("what the new device reveals names another device than the one that asked")]
    OtherDevice,
    /// APPROVE-015, DLOG-006.
    #[error("the device that asks is approved already")]
    Active,
}

impl From<ApprovalEndReason> for ApprovalEnd {
    fn from(reason: ApprovalEndReason) -> Self {
        match reason {
            ApprovalEndReason::Different => Self::Different,
            ApprovalEndReason::Invalid => Self::Invalid,
            ApprovalEndReason::Left | ApprovalEndReason::Unspecified => Self::Left,
        }
    }
}

#[cfg(test)]
mod tests;
