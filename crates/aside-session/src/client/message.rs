//! Messages: what the sender signs, and what a reader makes of it.

use aside_crypto::{Hash, KeyError, MessageContext, PublicKey, Signature, SigningKey};
use aside_proto::{
    id::{ConversationId, DeviceId, IdLengthError, IdempotencyKey, UserId},
    v1,
};
use bytes::Bytes;

use super::log::{Accepted, Sender};

/// A message before it is accepted: all of it is kept until then, so that a retry is the same to the bit (IDEM-001).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Where it goes.
    pub conversation: ConversationId,
    /// The request's idempotency key.
    pub message_id: IdempotencyKey,
    /// An encoded Content.
    pub payload: Bytes,
    /// 32 random bytes, fresh for each message.
    pub salt: [u8; 32],
    /// By the device's key.
    pub signature: Signature,
}

/// A server acknowledged another message than the one sent: it has one of the same id, or it lies (MSG-009).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server acknowledged another text than the one sent")]
pub struct PayloadDiffers;

/// What tells the entry that a message became from every other (MSG-015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The message's id.
    pub message_id: IdempotencyKey,
    payload_hash: Hash,
    signature: Signature,
}

impl Stamp {
    /// Whether an entry carries it. `payload_hash`: none if that is not known any more.
    #[must_use]
    pub fn is_on(&self, header: &v1::EntryHeader, payload_hash: Option<Hash>) -> bool {
        header.message_id[..] == self.message_id.as_bytes()[..]
            && header.signature[..] == self.signature.as_bytes()[..]
            && payload_hash.is_none_or(|hash| hash == self.payload_hash)
    }
}

impl Draft {
    /// What its entry has to carry: the signature is over the sender too.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        let payload_hash = aside_crypto::payload_hash(&self.salt, &self.payload);
        Stamp { message_id: self.message_id, payload_hash, signature: self.signature }
    }

    /// Signs a message as `user` on `device`.
    #[must_use]
    pub fn sign(
        (user, device): (UserId, DeviceId),
        key: &SigningKey,
        (conversation, message_id): (ConversationId, IdempotencyKey),
        salt: [u8; 32],
        payload: Bytes,
    ) -> Self {
        let payload_hash = aside_crypto::payload_hash(&salt, &payload);
        let context = MessageContext { conversation, message_id, user, device, payload_hash };
        Self { conversation, message_id, payload, salt, signature: context.sign(key) }
    }

    /// Whether this device signed it.
    #[must_use]
    pub fn is_signed_by(&self, device: &DeviceKey) -> bool {
        let context = MessageContext {
            conversation: self.conversation,
            message_id: self.message_id,
            user: device.user,
            device: device.device,
            payload_hash: aside_crypto::payload_hash(&self.salt, &self.payload),
        };
        context.verify(&device.public_key, &self.signature).is_ok()
    }

    /// The request that sends it, the same each time.
    #[must_use]
    pub fn request(&self) -> v1::SendMessage {
        v1::SendMessage {
            conversation_id: self.conversation.to_bytes(),
            payload: self.payload.clone(),
            salt: Bytes::copy_from_slice(&self.salt),
            signature: Bytes::copy_from_slice(self.signature.as_bytes()),
        }
    }

    /// Compares what the server accepted with what was sent (MSG-009).
    ///
    /// # Errors
    /// If they differ; the user is to be told.
    pub fn check(&self, sent: &v1::Sent) -> Result<(), PayloadDiffers> {
        let own = aside_crypto::payload_hash(&self.salt, &self.payload);
        if sent.payload_hash[..] == own { Ok(()) } else { Err(PayloadDiffers) }
    }
}

/// A device's key and account as they were first seen (DEV-010, DEV-011).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceKey {
    /// The device.
    pub device: DeviceId,
    /// The account it belongs to.
    pub user: UserId,
    /// Its public key.
    pub public_key: PublicKey,
    /// When it was revoked, milliseconds since 1970; 0 if it was not, as far as is known.
    pub revoked_ms: u64,
}

/// What a key that a server names means for the one remembered (DEV-010, DEV-011).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinning {
    /// First contact: remember it.
    New,
    /// As remembered, though it may have been revoked since.
    Same,
    /// Another key or another account: keep the remembered one, and warn the user.
    Changed,
}

/// A server's DeviceKey is not one: wrong lengths, or no point on the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceKeyError {
    /// CONV-001.
    #[error(transparent)]
    Id(#[from] IdLengthError),
    /// CONV-002.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl TryFrom<&v1::DeviceKey> for DeviceKey {
    type Error = DeviceKeyError;

    fn try_from(key: &v1::DeviceKey) -> Result<Self, DeviceKeyError> {
        Ok(Self {
            device: key.device_id[..].try_into()?,
            user: key.user_id[..].try_into()?,
            public_key: PublicKey::from_bytes(&key.public_key)?,
            revoked_ms: key.revoked_ms,
        })
    }
}

impl DeviceKey {
    /// Judges the key a server names by the one remembered for the same device, if any.
    #[must_use]
    pub fn judge(&self, remembered: Option<&Self>) -> Pinning {
        match remembered {
            None => Pinning::New,
            Some(key) if (key.user, key.public_key) == (self.user, self.public_key) => {
                Pinning::Same
            }
            Some(_) => Pinning::Changed,
        }
    }
}

/// What the signature of an entry is worth (MSG-008, MSG-012, MSG-014). Whether the message was there before is another matter
/// (MSG-013).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureStatus {
    /// Not a message: nothing is signed.
    Unsigned,
    /// Made by a device of the sender that was not revoked by then.
    Verified,
    /// Not made by such a device: to be shown as such.
    Invalid,
    /// The sender's device is not known yet: look it up, then check again.
    KeyUnknown,
}

impl SignatureStatus {
    /// Checks the signature of an entry under the key remembered for its sender's device.
    #[must_use]
    pub fn of(entry: &Accepted, key: Option<&DeviceKey>) -> Self {
        Self::check(entry.conversation, &entry.header, entry.payload_hash, key)
    }

    /// As [`of`](Self::of), for the parts of an entry that was accepted earlier.
    #[must_use]
    pub fn check(
        conversation: ConversationId,
        header: &v1::EntryHeader,
        payload_hash: Hash,
        key: Option<&DeviceKey>,
    ) -> Self {
        if header.kind != v1::EntryKind::Message as i32 {
            return Self::Unsigned;
        }
        let Some(Sender { user, device, message_id }) = Sender::of(header).flatten() else {
            return Self::Invalid;
        };
        let Some(key) = key.filter(|key| key.device == device) else {
            return Self::KeyUnknown;
        };
        let Ok(signature) = Signature::try_from(&header.signature[..]) else {
            return Self::Invalid;
        };
        let context = MessageContext { conversation, message_id, user, device, payload_hash };
        // A device may sign under any user_id; that the account is its own is for the reader to see (MSG-012).
        let holds = key.user == user
            && !(1..header.time_ms).contains(&key.revoked_ms)
            && context.verify(&key.public_key, &signature).is_ok();
        if holds { Self::Verified } else { Self::Invalid }
    }
}

/// The hash a payload is known by; for whoever only has an entry's parts.
pub(super) fn payload_hash(entry: &v1::Entry) -> Option<Hash> {
    let salt = <[u8; 32]>::try_from(&entry.salt[..]);
    let hash = <[u8; 32]>::try_from(&entry.payload_hash[..]);
    match (salt, hash) {
        (Ok(salt), _) if entry.payload_hash.is_empty() && !entry.payload.is_empty() => {
            Some(aside_crypto::payload_hash(&salt, &entry.payload))
        }
        (_, Ok(hash)) if entry.salt.is_empty() && entry.payload.is_empty() => Some(hash),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn draft() -> Draft {
        Draft::sign(
            (UserId::new([1; 16]), DeviceId::new([2; 16])),
            &key(7),
            (ConversationId::new([3; 16]), IdempotencyKey::new([4; 16])),
            [5; 32],
            Bytes::from_static(b"hi"),
        )
    }

    fn accepted(draft: &Draft) -> Accepted {
        let header = v1::EntryHeader {
            kind: v1::EntryKind::Message.into(),
            sender_user_id: vec![1; 16].into(),
            sender_device_id: vec![2; 16].into(),
            message_id: vec![4; 16].into(),
            signature: draft.request().signature,
            ..Default::default()
        };
        let entry = v1::Entry {
            salt: vec![5; 32].into(),
            payload: draft.payload.clone(),
            ..Default::default()
        };
        Accepted::for_tests(draft.conversation, header, entry)
    }

    fn device(device: u8, user: u8, key_byte: u8) -> DeviceKey {
        DeviceKey {
            device: DeviceId::new([device; 16]),
            user: UserId::new([user; 16]),
            public_key: key(key_byte).public_key(),
            revoked_ms: 0,
        }
    }

    // cites: MSG-008, MSG-012
    #[test]
    fn a_message_is_its_senders_only_if_the_senders_key_says_so() {
        use SignatureStatus::{Invalid, KeyUnknown, Unsigned, Verified};
        let entry = accepted(&draft());
        assert_eq!(SignatureStatus::of(&entry, Some(&device(2, 1, 7))), Verified);
        assert_eq!(SignatureStatus::of(&entry, Some(&device(2, 1, 8))), Invalid, "another key");
        assert_eq!(SignatureStatus::of(&entry, Some(&device(2, 9, 7))), Invalid, "another account");
        assert_eq!(SignatureStatus::of(&entry, Some(&device(9, 1, 7))), KeyUnknown);
        assert_eq!(SignatureStatus::of(&entry, None), KeyUnknown);

        let mut unsigned = entry.clone();
        unsigned.header.signature = Bytes::new();
        assert_eq!(SignatureStatus::of(&unsigned, Some(&device(2, 1, 7))), Invalid);
        let mut other_text = entry.clone();
        other_text.payload_hash = [0; 32];
        assert_eq!(SignatureStatus::of(&other_text, Some(&device(2, 1, 7))), Invalid);
        let mut joined = entry;
        joined.header.kind = v1::EntryKind::MemberJoined.into();
        assert_eq!(SignatureStatus::of(&joined, None), Unsigned);
    }

    // cites: MSG-014
    #[test]
    fn a_device_says_nothing_once_it_is_revoked() {
        let revoked = |revoked_ms| DeviceKey { revoked_ms, ..device(2, 1, 7) };
        let mut entry = accepted(&draft());
        entry.header.time_ms = 1000;
        let status = |key: DeviceKey| SignatureStatus::of(&entry, Some(&key));
        assert_eq!(status(revoked(1001)), SignatureStatus::Verified);
        assert_eq!(status(revoked(1000)), SignatureStatus::Verified, "in the same millisecond");
        assert_eq!(status(revoked(999)), SignatureStatus::Invalid);
        assert_eq!(status(revoked(1)), SignatureStatus::Invalid);
    }

    // cites: MSG-009
    #[test]
    fn an_acknowledgement_of_another_text_is_noticed() {
        let draft = draft();
        let payload_hash = aside_crypto::payload_hash(&draft.salt, &draft.payload);
        let sent = v1::Sent { seq: 1, time_ms: 1, payload_hash: payload_hash.to_vec().into() };
        assert_eq!(draft.check(&sent), Ok(()));
        let other = aside_crypto::payload_hash(&draft.salt, b"ho").to_vec().into();
        assert_eq!(draft.check(&v1::Sent { payload_hash: other, ..sent }), Err(PayloadDiffers));
        assert_eq!(draft.check(&v1::Sent::default()), Err(PayloadDiffers));
    }

    // cites: IDEM-001
    #[test]
    fn a_retry_is_the_same_to_the_bit() {
        assert_eq!(draft().request(), draft().request());
    }

    // cites: DEV-010, DEV-011
    #[test]
    fn the_first_key_and_account_of_a_device_stay() {
        let first = device(2, 1, 7);
        assert_eq!(first.judge(None), Pinning::New);
        assert_eq!(first.judge(Some(&first)), Pinning::Same);
        assert_eq!(device(2, 1, 8).judge(Some(&first)), Pinning::Changed);
        assert_eq!(device(2, 9, 7).judge(Some(&first)), Pinning::Changed);
        let revoked = DeviceKey { revoked_ms: 5, ..first };
        assert_eq!(revoked.judge(Some(&first)), Pinning::Same);
    }

    // cites: CONV-001, CONV-002
    #[test]
    fn a_key_that_is_none_is_refused() {
        let good = v1::DeviceKey {
            device_id: vec![2; 16].into(),
            user_id: vec![1; 16].into(),
            public_key: key(7).public_key().as_bytes().to_vec().into(),
            revoked_ms: 0,
        };
        assert_eq!(DeviceKey::try_from(&good), Ok(device(2, 1, 7)));
        let short = v1::DeviceKey { device_id: vec![2; 15].into(), ..good.clone() };
        assert!(matches!(DeviceKey::try_from(&short), Err(DeviceKeyError::Id(_))));
        let off_curve = v1::DeviceKey { public_key: vec![4; 65].into(), ..good };
        assert!(matches!(DeviceKey::try_from(&off_curve), Err(DeviceKeyError::Key(_))));
    }
}
