//! One method a request: ask the store, shape the reply.

mod accounts;
mod device_log;
mod log;
mod login;
mod presence;
mod private;
mod redaction;
mod relay;
mod room_settings;
mod rooms;
mod search;
mod sync;
mod tokens;

use aside_proto::v1::{self, ErrorCode};
use aside_session::server::{OnConflict, Refusal};
use aside_store::{Refused, StoreError};

use crate::app::App;

/// How long a client waits when the server has too much to do.
const BUSY_RETRY_MS: u64 = 1_000;
/// What a frame adds to the reply in it, at most: the number of the request, field keys and lengths.
const FRAME_OVERHEAD_BYTES: usize = 64;

impl App {
    /// The greatest reply that fits into a frame.
    pub(crate) fn max_reply_bytes(&self) -> usize {
        self.config.limits.max_frame_bytes as usize - FRAME_OVERHEAD_BYTES
    }
}

/// The one map from what the store refuses to what the wire says. `request` is the request's name, for fields.
fn refusal(refused: Refused, request: Request) -> Refusal {
    let code = match refused {
        Refused::Failed(error) => return failed(&error),
        Refused::SeqOutOfRange { head_seq } => return Refusal::seq_out_of_range(head_seq),
        Refused::Trimmed { first_seq, anchor } => return Refusal::trimmed(first_seq, &anchor),
        Refused::RenameTooSoon { retry_after_ms } => {
            return Refusal::after(ErrorCode::RenameTooSoon, retry_after_ms);
        }
        Refused::TooManyNewcomers { retry_after_ms } => {
            metrics::counter!("aside_rate_limited_total").increment(1);
            return Refusal::after(ErrorCode::RateLimited, retry_after_ms);
        }
        Refused::Busy => return Refusal::after(ErrorCode::ServerBusy, BUSY_RETRY_MS),
        Refused::PublicKeyBound => {
            return Refusal::invalid_argument(
                request.public_key,
                "This public key is bound already.",
            );
        }
        Refused::PageTokenInvalid => {
            return Refusal::invalid_argument(
                request.page_token,
                "This server made no such page token.",
            );
        }
        Refused::QueryEmpty => {
            return Refusal::invalid_argument("search.query", "There is no word in the query.");
        }
        Refused::QueryTooLong => {
            return Refusal::invalid_argument(
                "search.query",
                "There are more than 16 words in the query.",
            );
        }
        Refused::Oneself => {
            return Refusal::invalid_argument("open_direct", "Nobody has a DIRECT with itself.");
        }
        Refused::WrongEpoch { at, head_seq } => {
            return Refusal::epoch(ErrorCode::WrongEpoch, at, head_seq);
        }
        Refused::StaleEpoch { at, head_seq } => {
            return Refusal::epoch(ErrorCode::StaleEpoch, at, head_seq);
        }
        Refused::RemovalPending { devices } => {
            return Refusal::devices(ErrorCode::RemovalPending, devices);
        }
        Refused::DeviceNotApproved { devices } => {
            return Refusal::devices(ErrorCode::DeviceNotApproved, devices);
        }
        Refused::DeviceLogConflict { length } => return Refusal::device_log_conflict(length),
        Refused::PasswordChanged => return Refusal::authentication_failed(),
        Refused::HandleTaken => ErrorCode::HandleTaken,
        Refused::TooManyDevices => ErrorCode::TooManyDevices,
        Refused::NoSuchDevice => ErrorCode::NoSuchDevice,
        Refused::TooManyTokens => ErrorCode::TooManyTokens,
        Refused::TokenNameTaken => ErrorCode::TokenNameTaken,
        Refused::NoSuchToken => ErrorCode::NoSuchToken,
        Refused::DeviceRevoked => ErrorCode::DeviceIsRevoked,
        Refused::NoSuchConversation => ErrorCode::NoSuchConversation,
        Refused::NotAMember => ErrorCode::NotAMember,
        Refused::RoomNameTaken => ErrorCode::RoomNameTaken,
        Refused::TooManyRooms => ErrorCode::TooManyRooms,
        Refused::NotPermitted => ErrorCode::NotPermitted,
        Refused::InviteRequired => ErrorCode::InviteRequired,
        Refused::NoSuchUser => ErrorCode::NoSuchUser,
        Refused::TooManyInvitations => ErrorCode::TooManyInvitations,
        Refused::NoSuchEntry => ErrorCode::NoSuchEntry,
        Refused::TooManyPins => ErrorCode::TooManyPins,
        Refused::WrongConversationKind => ErrorCode::WrongConversationKind,
        Refused::NotInGroup => ErrorCode::NotInGroup,
        Refused::RosterMismatch => ErrorCode::RosterMismatch,
        Refused::TooManyLeaves => ErrorCode::TooManyLeaves,
        Refused::ResetNotAllowed => ErrorCode::ResetNotAllowed,
        Refused::TooManyKeyPackages => ErrorCode::TooManyKeyPackages,
        Refused::KeyReused => ErrorCode::IdempotencyKeyReused,
        // No request of a client leads here.
        Refused::LogKeyUnexpected => ErrorCode::Internal,
    };
    Refusal::of(code)
}

/// The paths of a request's fields that the store may refuse (ERR-006).
#[derive(Debug, Clone, Copy, Default)]
struct Request {
    public_key: &'static str,
    page_token: &'static str,
}

/// For requests without such fields.
const PLAIN: Request = Request { public_key: "", page_token: "" };

/// The database failed. The client learns that, the operator learns why.
fn failed(error: &StoreError) -> Refusal {
    tracing::error!(%error, "the store failed");
    metrics::counter!("aside_store_failures_total").increment(1);
    Refusal::of(ErrorCode::Internal)
}

fn on_conflict(choice: OnConflict) -> v1::OnConflict {
    match choice {
        OnConflict::Reject => v1::OnConflict::Reject,
        OnConflict::Suffix => v1::OnConflict::Suffix,
    }
}
