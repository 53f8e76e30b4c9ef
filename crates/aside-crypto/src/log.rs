//! The log's chain, and the signature of a message (LOG-010, LOG-011, MSG-008).

use aside_proto::id::{ConversationId, DeviceId, IdempotencyKey, UserId};

use crate::{
    Hash,
    key::{PublicKey, Signature, SignatureInvalid, SigningKey},
    label,
};

/// The hash that stands for a payload. The salt keeps a redacted short text from being guessed from it.
#[must_use]
pub fn payload_hash(salt: &[u8; 32], payload: &[u8]) -> Hash {
    label::hash(label::PAYLOAD, &[salt, payload])
}

/// chain(0): the chain value before the first entry.
#[must_use]
pub fn chain_start(conversation: ConversationId) -> Hash {
    label::hash(label::CHAIN_START, &[conversation.as_bytes()])
}

/// chain(n), from chain(n-1) and the entry's header bytes and payload hash.
#[must_use]
pub fn chain_next(previous: &Hash, header: &[u8], payload_hash: &Hash) -> Hash {
    label::hash(label::CHAIN, &[previous, header, payload_hash])
}

/// What a message's signature is made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageContext {
    /// Where it is said.
    pub conversation: ConversationId,
    /// The idempotency key of SendMessage.
    pub message_id: IdempotencyKey,
    /// Who says it.
    pub user: UserId,
    /// On which device.
    pub device: DeviceId,
    /// What is said: see [`payload_hash`].
    pub payload_hash: Hash,
}

impl MessageContext {
    /// Signs with the device's key.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Signature {
        key.sign(label::MESSAGE, &self.fields())
    }

    /// Verifies under the device's key (MSG-008).
    ///
    /// # Errors
    /// If the signature was not made by this key over this context.
    pub fn verify(&self, key: &PublicKey, signature: &Signature) -> Result<(), SignatureInvalid> {
        key.verify(label::MESSAGE, &self.fields(), signature)
    }

    fn fields(&self) -> [&[u8]; 5] {
        [
            self.conversation.as_bytes(),
            self.message_id.as_bytes(),
            self.user.as_bytes(),
            self.device.as_bytes(),
            &self.payload_hash,
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Entry = (Vec<u8>, [u8; 32], Vec<u8>);

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let bytes = || prop::collection::vec(any::<u8>(), 1..40);
        prop::collection::vec((bytes(), any::<[u8; 32]>(), bytes()), 1..8)
    }

    fn chain(conversation: ConversationId, entries: &[Entry]) -> Hash {
        entries.iter().fold(chain_start(conversation), |chain, (header, salt, payload)| {
            chain_next(&chain, header, &payload_hash(salt, payload))
        })
    }

    proptest! {
        // cites: LOG-010, LOG-011
        #[test]
        fn any_change_of_a_log_changes_its_chain(
            entries in entries(),
            pick in any::<prop::sample::Index>(),
            part in 0..3,
        ) {
            let conversation = ConversationId::new([1; 16]);
            let whole = chain(conversation, &entries);
            let at = pick.index(entries.len());

            let mut changed = entries.clone();
            match part {
                0 => changed[at].0[0] ^= 1,
                1 => changed[at].1[31] ^= 0x80,
                _ => changed[at].2.push(0),
            }
            prop_assert_ne!(chain(conversation, &changed), whole);

            let mut shorter = entries.clone();
            shorter.remove(at);
            prop_assert_ne!(chain(conversation, &shorter), whole);
            prop_assert_ne!(chain(ConversationId::new([2; 16]), &entries), whole);
        }
    }

    // cites: MSG-008
    #[test]
    fn a_message_signature_holds_for_its_context_alone() {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let context = MessageContext {
            conversation: ConversationId::new([1; 16]),
            message_id: IdempotencyKey::new([2; 16]),
            user: UserId::new([3; 16]),
            device: DeviceId::new([4; 16]),
            payload_hash: payload_hash(&[5; 32], b"hi"),
        };
        let signature = context.sign(&key);
        assert_eq!(context.verify(&key.public_key(), &signature), Ok(()));
        let others = [
            MessageContext { conversation: ConversationId::new([9; 16]), ..context },
            MessageContext { message_id: IdempotencyKey::new([9; 16]), ..context },
            MessageContext { user: UserId::new([9; 16]), ..context },
            MessageContext { device: DeviceId::new([9; 16]), ..context },
            MessageContext { payload_hash: payload_hash(&[5; 32], b"ho"), ..context },
        ];
        for other in others {
            assert_eq!(other.verify(&key.public_key(), &signature), Err(SignatureInvalid));
        }
    }
}
