//! What the engine has to keep, as a store would keep it.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use aside_client::private::{Reading, Stored, StoredConversation, Unreadable, Writes};
use aside_mls::Secret;
use aside_proto::id::{ConversationId, IdempotencyKey};

/// What is on a disk of it.
#[derive(Clone, Default)]
pub(crate) struct Vault {
    device: Option<Secret>,
    pub(crate) key_packages: BTreeMap<Vec<u8>, Secret>,
    pub(crate) conversations: BTreeMap<ConversationId, Kept>,
}

/// Of one conversation.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    record: Option<Secret>,
    pub(crate) groups: BTreeMap<u32, Secret>,
    pub(crate) outgoing: BTreeMap<IdempotencyKey, Secret>,
    doubted: BTreeMap<u64, Secret>,
    /// Whether its log may be read anew: it was followed no longer, and is again.
    pub(crate) may_be_read_anew: bool,
    pub(crate) readings: BTreeMap<u64, Reading>,
}

impl Vault {
    /// One transaction.
    pub(crate) fn write(&mut self, writes: Writes) -> Result<()> {
        self.device = writes.device.or(self.device.take());
        put(&mut self.key_packages, writes.key_packages);
        for (id, writes) in writes.conversations {
            let kept = self.conversations.entry(id).or_default();
            kept.record = writes.record.or(kept.record.take());
            put(&mut kept.groups, writes.groups);
            put(&mut kept.outgoing, writes.outgoing);
            for (seq, reading) in writes.readings {
                let reading = Reading::decode(&reading)?;
                let before = kept.readings.get(&seq);
                // A doubted one is settled once.
                let is_settled =
                    matches!(before, Some(Reading::Unreadable(Unreadable::LogHeldBack)))
                        && kept.doubted.contains_key(&seq)
                        && matches!(writes.doubted.get(&seq), Some(None));
                let may_be = kept.may_be_read_anew || is_settled;
                ensure!(
                    before.is_none() || may_be,
                    "entry {seq} is read twice, and was {before:?}"
                );
                // What could be read once is not forgotten.
                if !matches!((before, &reading), (Some(Reading::Said(_)), Reading::Unreadable(_))) {
                    kept.readings.insert(seq, reading);
                }
            }
            put(&mut kept.doubted, writes.doubted);
        }
        Ok(())
    }

    /// What an engine goes on from.
    pub(crate) fn stored(&self) -> Stored {
        let conversation = |kept: &Kept| StoredConversation {
            record: kept.record.clone(),
            groups: kept.groups.clone(),
            doubted: kept.doubted.clone().into_iter().collect(),
            outgoing: kept.outgoing.clone().into_iter().collect(),
        };
        Stored {
            device: self.device.clone(),
            key_packages: self.key_packages.clone().into_iter().collect(),
            conversations: self
                .conversations
                .iter()
                .filter(|(_, kept)| kept.record.is_some())
                .map(|(id, kept)| (*id, conversation(kept)))
                .collect(),
        }
    }

    /// The state of the group of a conversation that is the latest.
    pub(crate) fn group(&self, id: ConversationId) -> Option<&Secret> {
        self.conversations.get(&id)?.groups.last_key_value().map(|(_, state)| state)
    }
}

fn put<K: Ord>(into: &mut BTreeMap<K, Secret>, writes: BTreeMap<K, Option<Secret>>) {
    for (key, value) in writes {
        match value {
            Some(value) => into.insert(key, value),
            None => into.remove(&key),
        };
    }
}
