//! What a private message turned out to say, or why nobody here can tell.

use aside_crypto::FRANKING_KEY_BYTES;
use aside_mls::{Reason, Secret};
use aside_proto::v1;
use bytes::Bytes;
use prost::Message as _;

use crate::StateError;

/// What there is to know of a PRIVATE_MESSAGE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It was read.
    Said(Said),
    /// It can't be.
    Unreadable(Unreadable),
}

/// A message that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Said {
    /// The bytes of a Content.
    pub content: Bytes,
    /// For a report (FRANK-001).
    pub franking_key: [u8; FRANKING_KEY_BYTES],
    /// The position of the sender's device log at which the sender is judged (DLOG-016).
    pub position: u32,
    /// Whether the device was one of its user's there. If not, it was revoked by the time this was read.
    pub approved: bool,
    /// What the sender's user was in the conversation then.
    pub role: v1::Role,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Said")
            .field("position", &self.position)
            .field("approved", &self.approved)
            .finish_non_exhaustive()
    }
}

/// Why a message can't be read. The list is closed; each has its repair, which is made by itself where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It was sent when this device was not in the conversation. *Repair:* none; another device of the user's may have it.
    #[error("it was sent when this device was not in the conversation")]
    NotHere,
    /// It was sent by this device, in a state that it lost since: its store was put back from a copy. *Repair:* the device
    /// joins anew before it sends anything.
    #[error("this device sent it, and has lost what it knew then")]
    Lost,
    /// MLS refuses it. *Repair:* as the [`Reason`] says.
    #[error("{0}")]
    Refused(Reason),
    /// What was encrypted is no Envelope, or not what its franking tag says (FRANK-003, FRANK-004). *Repair:* none.
    #[error("it is damaged")]
    Damaged,
    /// Its sender sees another device log of its own than this client does (TRUST-006). *Repair:* none: one of the two is shown
    /// a false log.
    #[error("its sender's device log is another than the one seen here")]
    LogDiverges,
    /// Its sender's device log goes on, its sender says, and the server does not hand it out (TRUST-006). *Repair:* none.
    #[error("the server holds back the device log of its sender")]
    LogHeldBack,
}

impl Unreadable {
    /// Its number in what is kept.
    fn code(self) -> u32 {
        match self {
            Self::NotHere => 1,
            Self::Lost => 2,
            Self::Damaged => 3,
            Self::LogDiverges => 4,
            Self::LogHeldBack => 5,
            Self::Refused(reason) => 100 + reason_code(reason),
        }
    }

    fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::NotHere,
            2 => Self::Lost,
            3 => Self::Damaged,
            4 => Self::LogDiverges,
            5 => Self::LogHeldBack,
            _ => Self::Refused(*REASONS.get(usize::try_from(code.checked_sub(100)?).ok()?)?),
        })
    }
}

/// The reasons of MLS, by their number in what is kept: a new one goes to the end.
const REASONS: [Reason; 24] = [
    Reason::Malformed,
    Reason::WrongKind,
    Reason::WrongGroup,
    Reason::WrongSuite,
    Reason::StaleEpoch,
    Reason::FutureEpoch,
    Reason::NotAMember,
    Reason::Replayed,
    Reason::TooFarAhead,
    Reason::Own,
    Reason::Tampered,
    Reason::Unauthentic,
    Reason::SenderMismatch,
    Reason::HeaderMismatch,
    Reason::ClaimMismatch,
    Reason::CredentialRefused,
    Reason::ExternalCommitRefused,
    Reason::ForbiddenProposal,
    Reason::NoPath,
    Reason::TooLarge,
    Reason::Invalid,
    Reason::WrongProfile,
    Reason::BadPadding,
    Reason::Stranger,
];

/// A reason's number in what is kept. Those that are of no message are kept as `Invalid`.
pub(super) fn reason_code(reason: Reason) -> u32 {
    let at = |wanted| REASONS.iter().position(|it| *it == wanted);
    let at = at(reason).or_else(|| at(Reason::Invalid)).unwrap_or_default();
    u32::try_from(at).unwrap_or_default()
}

pub(super) fn reason_of(code: u32) -> Reason {
    let reason = usize::try_from(code).ok().and_then(|at| REASONS.get(at));
    reason.copied().unwrap_or(Reason::Invalid)
}

/// As it is kept.
#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(uint32, tag = "1")]
    unreadable: u32,
    #[prost(bytes = "bytes", tag = "2")]
    content: Bytes,
    #[prost(bytes = "vec", tag = "3")]
    franking_key: Vec<u8>,
    #[prost(uint32, tag = "4")]
    position: u32,
    #[prost(bool, tag = "5")]
    approved: bool,
    #[prost(enumeration = "v1::Role", tag = "6")]
    role: i32,
}

impl Reading {
    /// The bytes to keep.
    #[must_use]
    pub fn encode(&self) -> Secret {
        let record = match self {
            Self::Unreadable(why) => Record { unreadable: why.code(), ..Record::default() },
            Self::Said(said) => Record {
                unreadable: 0,
                content: said.content.clone(),
                franking_key: said.franking_key.to_vec(),
                position: said.position,
                approved: said.approved,
                role: said.role.into(),
            },
        };
        Secret::new(record.encode_to_vec())
    }

    /// What was kept.
    ///
    /// # Errors
    /// [`StateError::Damaged`] if no version of this program wrote it.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        const DAMAGED: StateError = StateError::Damaged("what a private message says");
        let record = Record::decode(bytes).map_err(|_| DAMAGED)?;
        if record.unreadable > 0 {
            return Unreadable::from_code(record.unreadable).map(Self::Unreadable).ok_or(DAMAGED);
        }
        let franking_key = record.franking_key[..].try_into().map_err(|_| DAMAGED)?;
        let role = record.role();
        let Record { content, position, approved, .. } = record;
        Ok(Self::Said(Said { content, franking_key, position, approved, role }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_again() {
        let said = Said {
            content: Bytes::from_static(b"hi"),
            franking_key: [7; 32],
            position: 3,
            approved: true,
            role: v1::Role::Admin,
        };
        let mut readings = vec![
            Reading::Said(said),
            Reading::Unreadable(Unreadable::NotHere),
            Reading::Unreadable(Unreadable::Lost),
            Reading::Unreadable(Unreadable::Damaged),
            Reading::Unreadable(Unreadable::LogDiverges),
            Reading::Unreadable(Unreadable::LogHeldBack),
        ];
        readings.extend(REASONS.map(|reason| Reading::Unreadable(Unreadable::Refused(reason))));
        for reading in readings {
            assert_eq!(Reading::decode(&reading.encode()).unwrap(), reading);
        }
        assert!(
            Reading::decode(&Record { unreadable: 99, ..Record::default() }.encode_to_vec())
                .is_err()
        );
    }
}
