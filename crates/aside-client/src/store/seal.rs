//! What is secret is sealed before it is written: AES-256-GCM under the store's data key, bound to the row that it is for, so that
//! it opens there and nowhere else (STORE-007).
//!
//! ```text
//! sealed = u8(1) ‖ nonce (12) ‖ ciphertext ‖ tag (16)      associated data: Label("store-value", table, conversation, key of the row)
//! ```
//!
//! What has to be found without being opened, which message another one refers to, stands there under a pseudonym (STORE-006):
//!
//! ```text
//! reference = the first 8 bytes of HMAC-SHA256(key, conversation ‖ u64(seq)), the highest bit set
//! key       = HMAC-SHA256(data key, Label("store-reference"))
//! ```
//!
//! Nonces are random. Among 2^32 values under one key the chance that any two share one is 2^-33, below what SP 800-38D (8.3)
//! allows; that many are a hundred values a second for sixteen months, and one store has one device's. A counter would begin again
//! where a backup was put back, so it is no better.

use std::{borrow::Cow, fmt};

use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce, Tag, aead::AeadInOut as _};
use aside_crypto::label::{self, labeled};
use aside_mls::Secret;
use aside_proto::id::{ConversationId, IdempotencyKey};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::StateError;
use crate::random;

/// The form of what is sealed.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const HEAD_BYTES: usize = 1 + NONCE_BYTES;
const TAG_BYTES: usize = 16;

/// A key of AES-256.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// Seals and opens under one key.
pub(super) struct Sealer {
    values: Box<Aes256Gcm>,
    references: Key,
}

impl Sealer {
    pub(super) fn new(key: &Key) -> Self {
        let references = Key::new(hmac(key, &[&labeled(label::STORE_REFERENCE, &[])]));
        Self { values: Box::new(Aes256Gcm::new((&**key).into())), references }
    }

    /// What stands for a message of a private conversation where others refer to it. It is below zero, which no seq is.
    pub(super) fn reference(&self, conversation: ConversationId, seq: u64) -> i64 {
        let mac = hmac(&self.references, &[conversation.as_bytes(), &seq.to_be_bytes()]);
        let (first, _) = mac.split_first_chunk().expect("32 bytes are more than 8");
        i64::from_be_bytes(*first) | i64::MIN
    }

    /// Seals what is to stand at this place.
    pub(super) fn seal(&self, place: Place<'_>, value: &[u8]) -> Vec<u8> {
        self.seal_for(&place.associated_data(), value)
    }

    /// Opens what stands at this place, if it was sealed for it.
    pub(super) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Secret, StateError> {
        let opened = self.open_for(&place.associated_data(), sealed);
        opened.ok_or_else(|| StateError::Damaged(place.what()))
    }

    pub(super) fn seal_for(&self, associated_data: &[u8], value: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = random::bytes();
        let mut sealed = Vec::with_capacity(HEAD_BYTES + value.len() + TAG_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let tag = self
            .values
            .encrypt_inout_detached(
                &Nonce::from(nonce),
                associated_data,
                (&mut sealed[HEAD_BYTES..]).into(),
            )
            .expect("SQLite holds no value near the limit of 64 GiB");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// None if it was sealed under another key or for something else, or was changed since.
    pub(super) fn open_for(&self, associated_data: &[u8], sealed: &[u8]) -> Option<Secret> {
        let (head, rest) = sealed.split_at_checked(HEAD_BYTES)?;
        let (&VERSION, nonce) = head.split_first()? else { return None };
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        let mut value = Zeroizing::new(ciphertext.to_vec());
        let opened = self.values.decrypt_inout_detached(
            &Nonce::from(nonce),
            associated_data,
            value.as_mut_slice().into(),
            &Tag::from(*tag),
        );
        opened.is_ok().then_some(value)
    }
}

fn hmac(key: &Key, message: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key[..]).expect("HMAC takes keys of any length");
    message.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

/// Where a sealed value stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    DeviceKey,
    /// By the number of its suite.
    MlsKey(u16),
    Device,
    /// By its KeyPackageRef.
    KeyPackage(&'a [u8]),
    Conversation(ConversationId),
    /// What a private conversation is called.
    Name(ConversationId),
    Group(ConversationId, u32),
    Reading(ConversationId, u64),
    Doubted(ConversationId, u64),
    Outgoing(ConversationId, IdempotencyKey),
}

impl Place<'_> {
    fn associated_data(self) -> Vec<u8> {
        let none: (Option<ConversationId>, Cow<'_, [u8]>) = (None, Cow::Borrowed(&[]));
        let (table, (conversation, key)) = match self {
            Self::DeviceKey => ("account", none),
            Self::MlsKey(suite) => ("mls_keys", (None, suite.to_be_bytes().to_vec().into())),
            Self::Device => ("private_device", none),
            Self::KeyPackage(reference) => ("private_key_packages", (None, reference.into())),
            Self::Conversation(id) => ("private_conversations", (Some(id), none.1)),
            Self::Name(id) => ("conversations", (Some(id), none.1)),
            Self::Group(id, generation) => {
                ("private_groups", (Some(id), generation.to_be_bytes().to_vec().into()))
            }
            Self::Reading(id, seq) => {
                ("private_readings", (Some(id), seq.to_be_bytes().to_vec().into()))
            }
            Self::Doubted(id, seq) => {
                ("private_doubted", (Some(id), seq.to_be_bytes().to_vec().into()))
            }
            Self::Outgoing(id, message) => {
                ("private_outgoing", (Some(id), message.as_bytes().to_vec().into()))
            }
        };
        let conversation = conversation.as_ref().map_or(&[][..], |id| &id.as_bytes()[..]);
        labeled(label::STORE_VALUE, &[table.as_bytes(), conversation, &key])
    }

    /// What it is, for whoever is told that it can't be read.
    fn what(self) -> &'static str {
        match self {
            Self::DeviceKey => "the device key",
            Self::MlsKey(_) => "an MLS key",
            Self::Device => "the record of this device",
            Self::KeyPackage(_) => "the secrets of a KeyPackage",
            Self::Conversation(_) => "the record of a private conversation",
            Self::Name(_) => "the name of a private conversation",
            Self::Group(..) => "the state of a group",
            Self::Reading(..) => "a private message",
            Self::Doubted(..) => "a private message of a sender in doubt",
            Self::Outgoing(..) => "a private message to be sent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: ConversationId = ConversationId::new([1; 16]);
    const THERE: ConversationId = ConversationId::new([2; 16]);

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&Key::new([byte; 32]))
    }

    // cites: STORE-007
    #[test]
    fn a_value_opens_under_its_key_at_its_place_and_nowhere_else() {
        let message = IdempotencyKey::new([1; 16]);
        let places = [
            Place::DeviceKey,
            Place::Device,
            Place::MlsKey(2),
            Place::MlsKey(7),
            Place::KeyPackage(&[1; 16]),
            Place::KeyPackage(&[1; 32]),
            Place::Conversation(HERE),
            Place::Conversation(THERE),
            Place::Name(HERE),
            Place::Group(HERE, 1),
            Place::Group(HERE, 2),
            Place::Group(THERE, 1),
            Place::Reading(HERE, 1),
            Place::Reading(HERE, 2),
            Place::Reading(THERE, 1),
            Place::Outgoing(HERE, message),
            Place::Outgoing(THERE, message),
            Place::Outgoing(HERE, IdempotencyKey::new([2; 16])),
        ];
        for (number, place) in places.into_iter().enumerate() {
            let sealed = sealer(1).seal(place, b"secret");
            for (other, elsewhere) in places.into_iter().enumerate() {
                let opened = sealer(1).open(elsewhere, &sealed);
                assert_eq!(opened.is_ok(), number == other, "{place:?} at {elsewhere:?}");
            }
            assert!(sealer(2).open(place, &sealed).is_err());
        }
    }

    // cites: STORE-007
    #[test]
    fn what_was_changed_or_cut_does_not_open() {
        let (sealer, place) = (sealer(1), Place::Reading(HERE, 1));
        for value in [&b""[..], b"x", &[7; 1000]] {
            let sealed = sealer.seal(place, value);
            assert_eq!(**sealer.open(place, &sealed).unwrap(), *value);
            assert_ne!(sealed, sealer.seal(place, value), "another nonce");
            for length in 0..sealed.len() {
                assert!(sealer.open(place, &sealed[..length]).is_err(), "{length}");
            }
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(sealer.open(place, &changed).is_err(), "{at}");
            }
            assert!(sealer.open(place, &[&sealed[..], &[0]].concat()).is_err());
        }
    }

    // cites: STORE-006
    #[test]
    fn a_reference_tells_messages_apart_and_needs_the_key() {
        let all = [(1, HERE, 1), (1, HERE, 2), (1, THERE, 1), (2, HERE, 1)];
        let references =
            all.map(|(key, conversation, seq)| sealer(key).reference(conversation, seq));
        assert!(references.iter().all(|reference| *reference < 0));
        let distinct: std::collections::BTreeSet<_> = references.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(sealer(1).reference(HERE, 1), references[0]);
    }

    #[test]
    fn no_key_is_printed() {
        assert_eq!(format!("{:?}", sealer(1)), "Sealer(..)");
    }
}
