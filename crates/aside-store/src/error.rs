//! What goes wrong: the database ([`StoreError`]), or a request that the rules refuse ([`Refused`]).

use std::{error::Error, fmt, io, path::PathBuf, sync::Arc};

use aside_crypto::Hash;
use aside_proto::private::{Epoch, Leaf};

/// The database can't be opened, or failed. The requests at hand took no effect, unless the failure hid a success:
/// a client that sends them again finds out (IDEM-006).
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The URL names no database that this build can open.
    #[error("{0:?} is not a database this server can open: use sqlite:///path/to/file")]
    Url(String),
    /// Another process, or another [`Store`](crate::Store) of this one, has the data open.
    #[error("{} is in use by another server; stop that one first", .0.display())]
    InUse(PathBuf),
    /// A newer release has migrated the data; this one would damage it.
    #[error("the data has schema {found}, this server knows up to {known}: run the newer server")]
    NewerSchema {
        /// The greatest migration found in the database.
        found: i64,
        /// The greatest that this build knows.
        known: i64,
    },
    /// A file beside the database can't be used.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// The store was closed, or its writer is gone.
    #[error("the store is closed")]
    Closed,
    /// The database said no.
    #[error("the database failed: {0}")]
    Database(DatabaseError),
}

/// What the database said, without the types of whatever speaks to it.
#[derive(Clone)]
pub struct DatabaseError(Arc<dyn Error + Send + Sync>);

impl fmt::Debug for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StoreError {
    pub(crate) fn database(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Database(DatabaseError(Arc::from(error.into())))
    }

    /// Of a connection that reads: they are closed with the store.
    pub(crate) fn read(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolClosed => Self::Closed,
            error => Self::database(error),
        }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, error: io::Error) -> Self {
        Self::File { path: path.into(), error: Arc::new(error) }
    }
}

/// Why a request had no effect. Each variant has one error code of the protocol.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    /// HANDLE_TAKEN (AUTH-012, AUTH-014, ACCT-003).
    #[error("the handle is taken")]
    HandleTaken,
    /// INVALID_ARGUMENT, `device.public_key` (AUTH-015): bound to another account, or to a revoked device.
    #[error("the public key is bound already")]
    PublicKeyBound,
    /// TOO_MANY_DEVICES (AUTH-024).
    #[error("the account has as many devices as it may")]
    TooManyDevices,
    /// AUTHENTICATION_FAILED: the password was changed after the one given had been verified (PASS-005).
    #[error("the password was changed meanwhile")]
    PasswordChanged,
    /// NO_SUCH_DEVICE (DEV-006).
    #[error("not an active device of the account")]
    NoSuchDevice,
    /// DEVICE_IS_REVOKED: the device that asks is no active device of the account.
    #[error("the device that asks is revoked")]
    DeviceRevoked,
    /// TOO_MANY_TOKENS (TOKEN-011).
    #[error("the account has as many tokens as it may")]
    TooManyTokens,
    /// TOKEN_NAME_TAKEN (TOKEN-020).
    #[error("another token of the account has the name")]
    TokenNameTaken,
    /// NO_SUCH_TOKEN (TOKEN-013).
    #[error("not a token of the account")]
    NoSuchToken,
    /// INVALID_ARGUMENT, `query` (SEARCH-002): there is no word in it.
    #[error("no word to search for")]
    QueryEmpty,
    /// INVALID_ARGUMENT, `query` (SEARCH-017): there are too many words in it.
    #[error("too many words to search for")]
    QueryTooLong,
    /// RENAME_TOO_SOON (ACCT-004).
    #[error("renamed too recently")]
    RenameTooSoon {
        /// How long until the next rename is allowed, milliseconds; at least 1.
        retry_after_ms: u64,
    },
    /// NO_SUCH_CONVERSATION (ROOM-012).
    #[error("no such conversation")]
    NoSuchConversation,
    /// NOT_A_MEMBER (ROOM-010).
    #[error("not a member")]
    NotAMember,
    /// ROOM_NAME_TAKEN (ROOM-003).
    #[error("the room's name is taken")]
    RoomNameTaken,
    /// TOO_MANY_ROOMS (ROOM-013, PRIV-019).
    #[error("the account is in as many rooms or groups as it may")]
    TooManyRooms,
    /// RATE_LIMITED (PRIV-020).
    #[error("the account has made many others members of late")]
    TooManyNewcomers {
        /// How long until that many may be made members, milliseconds; at least 1.
        retry_after_ms: u64,
    },
    /// INVITE_REQUIRED (INV-001).
    #[error("only who is invited may join")]
    InviteRequired,
    /// NO_SUCH_USER (INV-003).
    #[error("no account has the handle")]
    NoSuchUser,
    /// TOO_MANY_INVITATIONS (INV-007).
    #[error("as many invitations are open as may be")]
    TooManyInvitations,
    /// TOO_MANY_PINS (PIN-003).
    #[error("as many messages are pinned as may be")]
    TooManyPins,
    /// NO_SUCH_ENTRY (PIN-002, REDACT-004).
    #[error("no such entry")]
    NoSuchEntry,
    /// NOT_PERMITTED (ROOM-022, INV-002, PIN-001, REDACT-005).
    #[error("the member's role does not allow it")]
    NotPermitted,
    /// DEVICE_NOT_APPROVED (PRIV-002, DS-014).
    #[error("not active in the user's device log")]
    DeviceNotApproved {
        /// Those that the request would make leaves; none if it is the device that asks.
        devices: Vec<Leaf>,
    },
    /// WRONG_CONVERSATION_KIND (PRIV-005).
    #[error("the request is not for conversations of this kind")]
    WrongConversationKind,
    /// INVALID_ARGUMENT, the field that names the peer (PRIV-004).
    #[error("a user has no DIRECT with itself")]
    Oneself,
    /// WRONG_EPOCH (DS-004, DS-011).
    #[error("the group is at {at:?}, and the log ends at {head_seq}")]
    WrongEpoch {
        /// Where the group is.
        at: Epoch,
        /// The last entry.
        head_seq: u64,
    },
    /// STALE_EPOCH (DS-032).
    #[error("the group is at {at:?}, and the log ends at {head_seq}")]
    StaleEpoch {
        /// Where the group is.
        at: Epoch,
        /// The last entry.
        head_seq: u64,
    },
    /// REMOVAL_PENDING (DS-013, DS-033).
    #[error("leaves are to be removed first")]
    RemovalPending {
        /// All of them.
        devices: Vec<Leaf>,
    },
    /// NOT_IN_GROUP (DS-012).
    #[error("the device is no leaf of the group")]
    NotInGroup,
    /// ROSTER_MISMATCH (DS-005, DS-015).
    #[error("the leaves do not fit the group")]
    RosterMismatch,
    /// TOO_MANY_LEAVES (DS-017).
    #[error("the group would have more leaves than it may")]
    TooManyLeaves,
    /// RESET_NOT_ALLOWED (DS-022).
    #[error("nothing permits to put another group in the place of this one")]
    ResetNotAllowed,
    /// TOO_MANY_KEY_PACKAGES (KP-003).
    #[error("the device would have more KeyPackages than it may")]
    TooManyKeyPackages,
    /// DEVICE_LOG_CONFLICT (DEVLOG-002).
    #[error("the device log has {length} entries")]
    DeviceLogConflict {
        /// How many.
        length: u32,
    },
    /// IDEMPOTENCY_KEY_REUSED (IDEM-007, IDEM-010).
    #[error("the idempotency key was used for something else")]
    KeyReused,
    /// SEQ_OUT_OF_RANGE (FETCH-004).
    #[error("the log ends at {head_seq}")]
    SeqOutOfRange {
        /// The last entry.
        head_seq: u64,
    },
    /// TRIMMED (FETCH-005).
    #[error("the log begins at {first_seq}")]
    Trimmed {
        /// The first entry that is still there.
        first_seq: u64,
        /// The chain value before it.
        anchor: Hash,
    },
    /// INVALID_ARGUMENT, `page_token` (ROOM-019).
    #[error("not a page token of this list")]
    PageTokenInvalid,
    /// The log key given neither is the first nor follows the one in use. No client can cause it.
    #[error("the log key does not follow the one in use")]
    LogKeyUnexpected,
    /// SERVER_BUSY: more is waiting to be written than the journal holds, or a search took too long (SEARCH-018).
    #[error("too much is waiting to be done")]
    Busy,
    /// INTERNAL: nothing of the request took effect, or all of it did.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

/// How an operation ends early inside this crate: the same as [`Refused`], with the driver's error as it came.
pub(crate) enum Stop {
    Refused(Refused),
    Database(sqlx::Error),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Refused(Refused::Failed(error))
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Stop> for Refused {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(refused) => refused,
            Stop::Database(error) => Self::Failed(StoreError::read(error)),
        }
    }
}
