//! Following a conversation's log: one cursor, one chain, and no entry taken in that does not belong (LOG-011, PUSH-009).
//!
//! Entries come pushed or fetched; both go through [`Follower`], which lets each through once, in order, or says what is to be
//! fetched, or that the log was tampered with. [`Accepted`] is the proof that an entry passed: only a follower makes it.
//!
//! Whether the chain is the *server's* chain shows when it meets a signed head. So a follower asks for one with the fetch that
//! resumes it, and again after [`ENTRIES_BETWEEN_HEADS`] entries or [`HEAD_INTERVAL_MS`] (HEAD-009).
//!
//! An entry that comes without payload was redacted, or tampered with. The entry that redacts it may be on a later page, so a
//! follower keeps what is [`Missing`] until it has come to where the log ended when that was fetched (LOG-013).
//!
//! A follower that begins in the middle of a log takes the chain value before its first entry on the server's word; the first
//! signed head it meets then proves that too, since no other value leads to the same head.

mod entry;
mod follower;
mod head;
mod redaction;

pub use entry::{Accepted, Membership, Sender};
pub use follower::{
    ENTRIES_BETWEEN_HEADS, Fetch, Follower, HEAD_INTERVAL_MS, Place, Refusal, Remembered, Start,
};
pub use head::MAX_SEQ;
pub use redaction::{MAX_MISSING, Missing, redacted_by};

/// A log is not what it was or not what it must be: the user is to be warned, and the conversation no longer trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Tampering {
    /// LOG-011: the chain differs from one computed here, or from a signed head.
    #[error("history up to entry {seq} was changed: its hash chain is not the one known")]
    Chain {
        /// Where the two chain values stand against each other.
        seq: u64,
    },
    /// LOG-004, LOG-012: an entry is of the wrong form or stands in the wrong place.
    #[error("entry {seq} is not what its place in the log asks for: {what}")]
    Entry {
        /// The place.
        seq: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// LOG-013: nothing in the log says that it was redacted.
    #[error("the text of entry {seq} is missing, and nothing says that it was redacted")]
    PayloadMissing {
        /// The entry.
        seq: u64,
    },
    /// HEAD-005, LOG-002: the log is shorter than it was.
    #[error("the log ends at entry {head}, but had {seen} before")]
    Shorter {
        /// The last entry, as the server says now.
        head: u64,
        /// The last entry known of.
        seen: u64,
    },
    /// FETCH-001: entries that are there are not given.
    #[error("the server says that entry {seq} is there and does not give it")]
    Withheld {
        /// The entry.
        seq: u64,
    },
    /// HEAD-001, HEAD-003, HEAD-008: a signed head is missing, malformed, or not signed by the log key.
    #[error("the server does not vouch for the log: {0}")]
    Head(&'static str),
    /// MSG-015: what was acknowledged is not what stands there.
    #[error("entry {seq} is not the message that the server acknowledged as that entry")]
    Acknowledged {
        /// The entry.
        seq: u64,
    },
    /// FETCH-007, HEAD-008: what is said to be trimmed is not, or was and is said to be there again.
    #[error(
        "the server says that history begins at entry {first_seq}, against what it said before"
    )]
    Trimmed {
        /// The first entry still there, as the server says.
        first_seq: u64,
    },
}

#[cfg(test)]
mod tests;
