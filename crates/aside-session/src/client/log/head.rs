//! Signed heads: what one states, if it can be believed.

use aside_crypto::{PublicKey, Signature, verify_head};
use aside_proto::{id::ConversationId, v1};
use prost::Message as _;

use super::{Tampering, follower::Place};

/// No log comes near it; what is said to lie beyond is no seq, and could not be counted on from.
pub const MAX_SEQ: u64 = 1 << 62;

/// What a signed head states.
pub(super) struct Stated {
    /// Where the log ends.
    pub(super) head: Place,
    /// What is before the first entry that is still there.
    pub(super) anchor: Place,
}

impl Stated {
    /// Opens a head of this conversation, if the log key signed it.
    pub(super) fn open(
        log_key: &PublicKey,
        conversation: ConversationId,
        head: &v1::SignedHead,
    ) -> Result<Self, Tampering> {
        let signature = Signature::try_from(&head.signature[..])
            .map_err(|_| Tampering::Head("the signature of its head is malformed"))?;
        verify_head(log_key, &head.statement, &signature)
            .map_err(|_| Tampering::Head("its head is not signed by the log key"))?;
        Self::read(conversation, head)
    }

    /// As [`open`](Self::open), for a head that was opened before: a statement that can be true of the log (HEAD-008).
    pub(super) fn read(
        conversation: ConversationId,
        head: &v1::SignedHead,
    ) -> Result<Self, Tampering> {
        let malformed = || Tampering::Head("its head is malformed");
        let statement = v1::HeadStatement::decode(&head.statement[..]).map_err(|_| malformed())?;
        if statement.conversation_id[..] != conversation.as_bytes()[..] {
            return Err(Tampering::Head("its head is another conversation's"));
        }
        let v1::HeadStatement { first_seq, head_seq, .. } = statement;
        if head_seq > MAX_SEQ || !(1..=head_seq + 1).contains(&first_seq) {
            return Err(malformed());
        }
        let chain = statement.chain[..].try_into().map_err(|_| malformed())?;
        let anchor = statement.anchor[..].try_into().map_err(|_| malformed())?;
        if first_seq == head_seq + 1 && anchor != chain {
            return Err(malformed());
        }
        Ok(Self {
            head: Place { seq: head_seq, chain },
            anchor: Place { seq: first_seq - 1, chain: anchor },
        })
    }
}
