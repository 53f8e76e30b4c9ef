//! What a connection tells its driver.

use aside_proto::{
    id::{ConversationId, DeviceId, UserId},
    v1::{self, server_frame},
};

use super::{
    greeting::{Greeting, Violation},
    live::Live,
    watermark::Watermark,
};

/// A request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// What happened on a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Hello was answered: log in now.
    Greeted(Box<Greeting>),
    /// The log-in succeeded: requests are welcome, events come.
    Authenticated {
        /// The account.
        user_id: UserId,
        /// This device.
        device_id: DeviceId,
        /// The account's handle as it is now.
        handle: String,
    },
    /// The log-in failed; another may be tried.
    LoginRefused(v1::Error),
    /// A request was answered.
    Reply {
        /// Which.
        id: RequestId,
        /// The reply, of the kind that answers the request; or why it failed.
        result: Result<server_frame::Body, v1::Error>,
    },
    /// An entry was appended to a conversation: for its [`Follower`](super::log::Follower).
    Pushed(v1::Entry),
    /// Entries were not pushed: for the conversation's [`Follower`](super::log::Follower).
    Gap {
        /// The conversation.
        conversation: ConversationId,
        /// Its last entry.
        head_seq: u64,
    },
    /// How far a member has got in a conversation, the user too, by another device.
    WatermarkMoved {
        /// The conversation.
        conversation: ConversationId,
        /// The watermarks as they are now.
        watermark: Watermark,
    },
    /// The device log of the user, or of one with whom the user shares a private conversation, has changed (DEVLOG-009).
    DeviceLogChanged {
        /// Whose.
        user: UserId,
        /// How many entries it has now.
        length: u32,
    },
    /// A Welcome came into this device's inbox.
    InboxItem {
        /// Where it leads.
        conversation: ConversationId,
    },
    /// Few of this device's KeyPackages are left.
    KeyPackagesLow {
        /// Of which MLS cipher suite.
        suite: u32,
    },
    /// Two leaves of a private conversation computed different values for one epoch (FORK-003).
    ForkCheckMismatch {
        /// The conversation.
        conversation: ConversationId,
        /// The generation of its group.
        generation: u64,
        /// The epoch.
        epoch: u64,
    },
    /// Somebody invited the user to a room.
    Invited {
        /// The room, as the user sees it.
        room: Box<v1::Room>,
        /// Who.
        inviter: UserId,
        /// The inviter's handle.
        handle: String,
    },
    /// Something that is told to whoever is connected, and not kept.
    Live(Live),
    /// The connection is over. Requests without reply may or may not have had their effect (CLOSE-003).
    Closed(CloseReason),
}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CloseReason {
    /// The server ended it, with an error of scope connection, or refused Hello.
    #[error("the server closed the connection: {}", .0.message)]
    Refused(Box<v1::Error>),
    /// The server broke the protocol.
    #[error("the server breaks the protocol: {0}")]
    Violation(#[from] Violation),
    /// The stream ended.
    #[error("the connection ended")]
    Ended {
        /// Whether it ended with close_notify or a Close frame; else it was cut.
        clean: bool,
    },
    /// A request went unanswered for too long.
    #[error("the server does not answer")]
    Unresponsive,
    /// This side closed it.
    #[error("closed")]
    Requested,
}

/// A request can't be sent. The caller is at fault, or too early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The connection is in another phase.
    #[error("the connection is not in the phase for this request")]
    Phase,
    /// As many requests as the server works on are in flight: see [`may_request`](super::Session::may_request).
    #[error("too many requests are in flight")]
    InFlight,
    /// HELLO-013.
    #[error("the request is {bytes} bytes long; the server takes {limit}")]
    TooLarge {
        /// Bytes of the frame's body.
        bytes: usize,
        /// The limit in force.
        limit: usize,
    },
    /// IDEM-001, IDEM-009: exactly the mutating requests have a key.
    #[error("{0} has an idempotency key if, and only if, it is mutating")]
    Key(&'static str),
}
