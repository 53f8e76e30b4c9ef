//! Refusals, and the one place where they become Error frames.

use std::borrow::Cow;

use aside_proto::{
    error::{self, Retry},
    frame,
    limits::MAX_ERROR_MESSAGE_BYTES,
    private::{Epoch, Leaf},
    v1,
};
use bytes::Bytes;

/// How long a client stays away after too many failed log-ins on a connection.
const ATTEMPTS_RETRY_AFTER_MS: u64 = 5_000;

/// Why a request was not done; [`v1::Error`] before it is encoded. The code's scope says whether the connection goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What went wrong.
    pub code: v1::ErrorCode,
    /// A sentence for people, without secrets; cut at 256 bytes (ERR-005).
    pub message: Cow<'static, str>,
    /// The path of the field at fault (ERR-006), or empty.
    pub field: &'static str,
    /// When to try again; raised to 1 for codes that must carry it (ERR-004), else 0.
    pub retry_after_ms: u64,
    /// With TRIMMED: the first entry that is still there.
    pub first_seq: u64,
    /// With TRIMMED: the chain value before it, 32 bytes.
    pub anchor: Bytes,
    /// With SEQ_OUT_OF_RANGE, WRONG_EPOCH and STALE_EPOCH: the last entry.
    pub head_seq: u64,
    /// What goes with the codes of private conversations; none with others.
    pub private: Option<Box<Private>>,
}

/// What goes with the codes of private conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Private {
    /// With WRONG_EPOCH and STALE_EPOCH: where the group is.
    pub at: Epoch,
    /// With REMOVAL_PENDING and DEVICE_NOT_APPROVED: the leaves at fault.
    pub devices: Vec<Leaf>,
    /// With DEVICE_LOG_CONFLICT: how many entries the log has.
    pub length: u32,
}

impl Refusal {
    /// A refusal that says what the registry says of the code.
    #[must_use]
    pub fn of(code: v1::ErrorCode) -> Self {
        Self::new(code, error::info(code).trigger)
    }

    /// A refusal with a sentence of its own.
    pub fn new(code: v1::ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            field: "",
            retry_after_ms: 0,
            first_seq: 0,
            anchor: Bytes::new(),
            head_seq: 0,
            private: None,
        }
    }

    /// INVALID_ARGUMENT for the field at this path from ClientFrame down (ERR-006).
    pub fn invalid_argument(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { field, ..Self::new(v1::ErrorCode::InvalidArgument, message) }
    }

    /// A refusal that holds for `retry_after_ms`: RATE_LIMITED, SERVER_BUSY, RENAME_TOO_SOON.
    #[must_use]
    pub fn after(code: v1::ErrorCode, retry_after_ms: u64) -> Self {
        Self { retry_after_ms, ..Self::of(code) }
    }

    /// AUTHENTICATION_FAILED in the one wording it has, whatever the reason (AUTH-020, AUTH-030).
    #[must_use]
    pub fn authentication_failed() -> Self {
        Self::new(
            v1::ErrorCode::AuthenticationFailed,
            "The account or device is unknown, or the password or signature is wrong.",
        )
    }

    /// SEQ_OUT_OF_RANGE with the last entry's seq (FETCH-004).
    #[must_use]
    pub fn seq_out_of_range(head_seq: u64) -> Self {
        Self { head_seq, ..Self::of(v1::ErrorCode::SeqOutOfRange) }
    }

    /// TRIMMED with the first entry that is left and the chain value before it (FETCH-005).
    #[must_use]
    pub fn trimmed(first_seq: u64, anchor: &[u8; 32]) -> Self {
        let anchor = Bytes::copy_from_slice(anchor);
        Self { first_seq, anchor, ..Self::of(v1::ErrorCode::Trimmed) }
    }

    /// WRONG_EPOCH or STALE_EPOCH, with where the group is, and where the log ends (DS-004, DS-032).
    #[must_use]
    pub fn epoch(code: v1::ErrorCode, at: Epoch, head_seq: u64) -> Self {
        Self { head_seq, ..Self::with(code, Private { at, ..Private::default() }) }
    }

    /// REMOVAL_PENDING or DEVICE_NOT_APPROVED, with the leaves at fault (DS-013, DS-014).
    #[must_use]
    pub fn devices(code: v1::ErrorCode, devices: Vec<Leaf>) -> Self {
        Self::with(code, Private { devices, ..Private::default() })
    }

    /// DEVICE_LOG_CONFLICT, with how many entries the log has (DEVLOG-002).
    #[must_use]
    pub fn device_log_conflict(length: u32) -> Self {
        let private = Private { length, ..Private::default() };
        Self::with(v1::ErrorCode::DeviceLogConflict, private)
    }

    fn with(code: v1::ErrorCode, private: Private) -> Self {
        Self { private: Some(Box::new(private)), ..Self::of(code) }
    }

    /// TOO_MANY_ATTEMPTS (AUTH-040).
    pub(super) fn too_many_attempts() -> Self {
        Self::after(v1::ErrorCode::TooManyAttempts, ATTEMPTS_RETRY_AFTER_MS)
    }

    /// The frame that says so; `reply_to` is the request at fault, or 0.
    pub(super) fn into_frame(self, reply_to: u64) -> Bytes {
        let Private { at, devices, length } = self.private.map(|boxed| *boxed).unwrap_or_default();
        let error = v1::Error {
            code: self.code.into(),
            message: shorten(self.message),
            field: self.field.to_owned(),
            retry_after_ms: match error::info(self.code).retry {
                Retry::After => self.retry_after_ms.max(1),
                Retry::No | Retry::Yes => 0,
            },
            first_seq: self.first_seq,
            anchor: self.anchor,
            head_seq: self.head_seq,
            generation: at.generation,
            epoch: at.epoch,
            devices: devices.into_iter().map(v1::Leaf::from).collect(),
            length,
        };
        let body = Some(v1::server_frame::Body::Error(error));
        frame::encode(&v1::ServerFrame { reply_to, body })
    }
}

/// ERR-005.
fn shorten(message: Cow<'static, str>) -> String {
    let mut message = message.into_owned();
    message.truncate(message.floor_char_boundary(MAX_ERROR_MESSAGE_BYTES));
    message
}

#[cfg(test)]
mod tests {
    use aside_proto::id::{DeviceId, UserId};

    use super::*;

    fn error(refusal: Refusal) -> v1::Error {
        let frame = frame::decode::<v1::ServerFrame>(frame::body(&refusal.into_frame(7))).unwrap();
        assert_eq!(frame.reply_to, 7);
        match frame.body {
            Some(v1::server_frame::Body::Error(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    // cites: ERR-004
    #[test]
    fn codes_that_say_when_always_say_when() {
        let hurried = Refusal::after(v1::ErrorCode::RateLimited, 0);
        assert_eq!(error(hurried).retry_after_ms, 1);
        let waiting = Refusal::after(v1::ErrorCode::RateLimited, 250);
        assert_eq!(error(waiting).retry_after_ms, 250);
        let for_good = Refusal { retry_after_ms: 9, ..Refusal::of(v1::ErrorCode::HandleTaken) };
        assert_eq!(error(for_good).retry_after_ms, 0);
    }

    // cites: ERR-005
    #[test]
    fn messages_are_cut_between_characters() {
        let long = Refusal::new(v1::ErrorCode::Internal, "\u{e9}".repeat(200));
        assert_eq!(error(long).message, "\u{e9}".repeat(128));
        let odd = Refusal::new(v1::ErrorCode::Internal, format!("a{}", "\u{e9}".repeat(200)));
        assert_eq!(error(odd).message.len(), 255);
    }

    // cites: ERR-005
    #[test]
    fn every_sentence_of_the_registry_fits() {
        for code in (1..1000).filter_map(|n| v1::ErrorCode::try_from(n).ok()) {
            let said = error(Refusal::of(code)).message;
            assert!(!said.is_empty() && said == error::info(code).trigger, "{code:?}");
        }
    }

    // cites: FETCH-004, FETCH-005
    #[test]
    fn refusals_of_ranges_say_what_is_there() {
        assert_eq!(error(Refusal::seq_out_of_range(9)).head_seq, 9);
        let trimmed = error(Refusal::trimmed(5, &[3; 32]));
        assert_eq!((trimmed.first_seq, &trimmed.anchor[..]), (5, &[3; 32][..]));
    }

    // cites: DS-004, DS-013, DEVLOG-002
    #[test]
    fn refusals_of_epochs_and_logs_say_what_is_there() {
        let at = Epoch { generation: 2, epoch: 7 };
        let stale = error(Refusal::epoch(v1::ErrorCode::StaleEpoch, at, 9));
        assert_eq!((stale.generation, stale.epoch, stale.head_seq), (2, 7, 9));
        let leaf = Leaf { user: UserId::new([1; 16]), device: DeviceId::new([2; 16]) };
        let pending = error(Refusal::devices(v1::ErrorCode::RemovalPending, vec![leaf]));
        assert_eq!(pending.devices, [v1::Leaf::from(leaf)]);
        assert_eq!(error(Refusal::device_log_conflict(3)).length, 3);
    }
}
