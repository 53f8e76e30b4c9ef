//! One entry, checked against its place.

use aside_crypto::{Hash, chain_next};
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    limits::SIGNATURE_BYTES,
    v1,
};
use prost::Message as _;

use super::{Tampering, follower::Place, redaction::is_redactable};
use crate::client::message;

/// An entry that passed every check a chain allows; its signature is another matter:
/// see [`SignatureStatus`](crate::client::SignatureStatus).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Accepted {
    /// The conversation it belongs to.
    pub conversation: ConversationId,
    /// Its place.
    pub seq: u64,
    /// Its header, decoded.
    pub header: v1::EntryHeader,
    /// Whose request made it; none if the server made it by itself.
    pub sender: Option<Sender>,
    /// The hash that the chain has for its payload.
    pub payload_hash: Hash,
    /// The chain value before it.
    pub chain_before: Hash,
    /// The chain value after it.
    pub chain: Hash,
    /// As it travelled: to be kept as these bytes.
    pub entry: v1::Entry,
}

/// Whose request made an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// The account.
    pub user: UserId,
    /// Its device.
    pub device: DeviceId,
    /// The request's idempotency key.
    pub message_id: IdempotencyKey,
}

impl Sender {
    /// The sender in a header: three ids or none (LOG-005, LOG-006). The outer `None` is a header with something else.
    #[must_use]
    #[allow(clippy::option_option, reason = "the outer one is the check, the inner one its result")]
    pub fn of(header: &v1::EntryHeader) -> Option<Option<Self>> {
        let ids = [&header.sender_user_id, &header.sender_device_id, &header.message_id];
        if ids.iter().all(|id| id.is_empty()) {
            return Some(None);
        }
        Some(Some(Self {
            user: header.sender_user_id[..].try_into().ok()?,
            device: header.sender_device_id[..].try_into().ok()?,
            message_id: header.message_id[..].try_into().ok()?,
        }))
    }
}

/// What an entry says of who is a member, and under which handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// Somebody joined.
    Joined {
        /// Who.
        user: UserId,
        /// The handle at that time.
        handle: String,
    },
    /// Somebody left.
    Left {
        /// Who.
        user: UserId,
    },
    /// Somebody changed the handle.
    Renamed {
        /// Who.
        user: UserId,
        /// The handle before.
        old: String,
        /// The handle since.
        new: String,
    },
}

impl Membership {
    /// What an entry of one of these kinds says; none if it is of another, or about somebody else than whose request made it
    /// (LOG-015).
    #[must_use]
    pub fn of(header: &v1::EntryHeader, payload: &[u8]) -> Option<Self> {
        let own = |user: &[u8]| {
            let sender = UserId::try_from(&header.sender_user_id[..]).ok()?;
            (user == sender.as_bytes()).then_some(sender)
        };
        Some(match header.kind() {
            v1::EntryKind::MemberJoined => {
                let joined = v1::MemberJoinedPayload::decode(payload).ok()?;
                Self::Joined { user: own(&joined.user_id)?, handle: joined.handle }
            }
            v1::EntryKind::MemberLeft => {
                let left = v1::MemberLeftPayload::decode(payload).ok()?;
                Self::Left { user: own(&left.user_id)? }
            }
            v1::EntryKind::MemberRenamed => {
                let renamed = v1::MemberRenamedPayload::decode(payload).ok()?;
                let (old, new) = (renamed.old_handle, renamed.new_handle);
                Self::Renamed { user: own(&renamed.user_id)?, old, new }
            }
            v1::EntryKind::Unspecified
            | v1::EntryKind::Message
            | v1::EntryKind::RoomCreated
            | v1::EntryKind::RoomUpdated
            | v1::EntryKind::MemberInvited
            | v1::EntryKind::MessagePinned => return None,
            v1::EntryKind::Redacted => return None,
            // Who is in a private conversation, its commits say.
            v1::EntryKind::ConversationCreated
            | v1::EntryKind::PrivateMessage
            | v1::EntryKind::GroupEstablished
            | v1::EntryKind::Commit
            | v1::EntryKind::RemovalPending
            | v1::EntryKind::RoleChanged
            | v1::EntryKind::CommitRejected => return None,
        })
    }
}

impl Accepted {
    /// Checks an entry as the one after `before`, where the entry before it is from `time_ms`.
    pub(super) fn check(
        conversation: ConversationId,
        before: &Place,
        time_ms: u64,
        entry: &v1::Entry,
    ) -> Result<Self, Tampering> {
        let seq = before.seq + 1;
        let wrong = |what| Tampering::Entry { seq, what };
        let header = v1::EntryHeader::decode(&entry.header[..]).map_err(|_| wrong("its header"))?;
        if header.conversation_id[..] != conversation.as_bytes()[..] {
            return Err(wrong("its conversation"));
        }
        if header.seq != seq {
            return Err(wrong("its number"));
        }
        if header.time_ms < time_ms {
            return Err(wrong("its time"));
        }
        let sender = Sender::of(&header).ok_or_else(|| wrong("its sender"))?;
        check_signed(&header, sender.as_ref()).map_err(wrong)?;
        let payload_hash = message::payload_hash(entry).ok_or_else(|| wrong("its payload"))?;
        // Whether a later entry redacts a message is for the follower to see; of what it knows, nothing else can be redacted.
        if entry.salt.is_empty() && !is_redactable(&header) {
            return Err(wrong("its missing payload"));
        }
        let chain = chain_next(&before.chain, &entry.header, &payload_hash);
        Ok(Self {
            conversation,
            seq,
            header,
            sender,
            payload_hash,
            chain_before: before.chain,
            chain,
            entry: entry.clone(),
        })
    }

    /// What the entry records; `Unspecified` for kinds this version does not know (LOG-009).
    #[must_use]
    pub fn kind(&self) -> v1::EntryKind {
        self.header.kind()
    }

    /// Whether salt and payload are gone.
    #[must_use]
    pub fn is_redacted(&self) -> bool {
        self.entry.salt.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn for_tests(
        conversation: ConversationId,
        header: v1::EntryHeader,
        entry: v1::Entry,
    ) -> Self {
        Self {
            conversation,
            seq: header.seq,
            sender: Sender::of(&header).flatten(),
            payload_hash: message::payload_hash(&entry).unwrap(),
            chain_before: [0; 32],
            chain: [0; 32],
            header,
            entry,
        }
    }
}

/// CONV-006: a message has a sender and a signature; of the other kinds, those that are known have none.
fn check_signed(header: &v1::EntryHeader, sender: Option<&Sender>) -> Result<(), &'static str> {
    match v1::EntryKind::try_from(header.kind) {
        Err(_) => Ok(()),
        Ok(v1::EntryKind::Message) if sender.is_none() => Err("its sender"),
        Ok(v1::EntryKind::Message) if header.signature.len() == SIGNATURE_BYTES => Ok(()),
        Ok(kind) if kind != v1::EntryKind::Message && header.signature.is_empty() => Ok(()),
        Ok(_) => Err("its signature"),
    }
}
