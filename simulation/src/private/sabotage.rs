//! Ways to break a device of private conversations, each of which an invariant must notice.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use aside_client::private::Writes;
use aside_crypto::payload_hash;
use aside_mls::Secret;
use aside_proto::{
    id::{ConversationId, IdempotencyKey},
    v1,
};
use bytes::Bytes;
use prost::Message as _;

use super::{device::Device, people::Everyone};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PrivateSabotage {
    /// Now and then what has to be durable before something is sent is not written.
    ForgetToSave,
    /// A commit is merged when it is sent, and not when the server has accepted it.
    MergeEarly,
    /// A device whose disk was put back is not shown what it sent since.
    HideOwn,
    /// Now and then a message is said to be sent that was not.
    AckUnsent,
    /// Now and then a commit is not shown to the engine.
    SkipCommit,
    /// What was encrypted for an epoch that is over is sent again instead of being encrypted anew.
    ResendStale,
    /// A device log is believed without being held against what was pinned, and so a device that the server put into it.
    BelieveAnyLog,
    /// What was read is read again.
    ReadTwice,
    /// What is said after a removal is encrypted by the keys of before it.
    KeysOfBefore,
}

impl PrivateSabotage {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ForgetToSave,
        Self::MergeEarly,
        Self::HideOwn,
        Self::AckUnsent,
        Self::SkipCommit,
        Self::ResendStale,
        Self::BelieveAnyLog,
        Self::ReadTwice,
        Self::KeysOfBefore,
    ];
}

/// What [`PrivateSabotage::KeysOfBefore`] needs.
#[derive(Default)]
pub(crate) struct Former {
    /// The state of each group before the last removal.
    states: BTreeMap<ConversationId, Secret>,
    /// What is sent instead of what was made.
    sent: BTreeMap<IdempotencyKey, (Bytes, Bytes)>,
    /// By the payload hash of what is sent, that of what was made.
    hashes: BTreeMap<Bytes, Bytes>,
}

impl Device {
    /// Before these are written.
    pub(super) fn keep_former(&mut self, writes: &Writes, everyone: &Arc<Everyone>) -> Result<()> {
        let device = self.mls(everyone)?;
        let members = |state: &Secret| {
            let group = device.load(state).ok()?;
            Some((group.id(), group.members().ok()?.into_iter().map(|it| it.owner).collect()))
        };
        for (id, writes) in &writes.conversations {
            let old = self.disk.vault.group(*id);
            let new = writes.groups.values().rev().flatten().next();
            let (Some(old), Some(new)) = (old, new) else { continue };
            let (Some((of, before)), Some((now, after))) = (members(old), members(new)) else {
                continue;
            };
            let (before, after): (Vec<_>, Vec<_>) = (before, after);
            if of != now {
                self.former.states.remove(id);
            } else if before.iter().any(|leaf| !after.contains(leaf)) {
                self.former.states.insert(*id, old.clone());
            }
        }
        Ok(())
    }

    /// The same message, by the keys of before.
    pub(super) fn encrypt_by_former(
        &mut self,
        send: &mut v1::SendPrivate,
        everyone: &Arc<Everyone>,
    ) -> Result<()> {
        let mut payload = v1::PrivatePayload::decode(&send.payload[..])?;
        let header = v1::PrivateHeader::decode(&payload.header[..])?;
        let key = header.message_id[..].try_into()?;
        if let Some((made, instead)) = self.former.sent.get(&key)
            && *made == send.payload
        {
            send.payload = instead.clone();
            return Ok(());
        }
        let id = header.conversation_id[..].try_into()?;
        let Some(state) = self.former.states.get(&id) else { return Ok(()) };
        let Ok(mut group) = self.mls(everyone)?.load(state) else { return Ok(()) };
        if group.has_pending() {
            group.clear_pending();
        }
        if let Ok(ciphertext) = group.encrypt(b"as before", &payload.header) {
            payload.ciphertext = ciphertext.into();
            let instead = Bytes::from(payload.encode_to_vec());
            let made = std::mem::replace(&mut send.payload, instead.clone());
            let salt = send.salt[..].try_into()?;
            let hash = |payload: &Bytes| Bytes::copy_from_slice(&payload_hash(&salt, payload));
            self.former.hashes.insert(hash(&instead), hash(&made));
            self.former.sent.insert(key, (made, instead));
        }
        Ok(())
    }
}

impl Former {
    /// What the engine is shown of an entry: it sees nothing of it.
    pub(super) fn shown(&self, payload: &Bytes) -> Bytes {
        let mut sent = self.sent.values();
        let made = sent.find(|(_, instead)| instead == payload).map(|(made, _)| made);
        made.unwrap_or(payload).clone()
    }

    /// What the engine is told of what the server has: the same.
    pub(super) fn acknowledged(&self, hash: &Bytes) -> Bytes {
        self.hashes.get(hash).unwrap_or(hash).clone()
    }
}
