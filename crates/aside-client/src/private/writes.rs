//! What has to be kept of private conversations, and what was.

use std::collections::BTreeMap;

use aside_mls::Secret;
use aside_proto::id::{ConversationId, IdempotencyKey};

/// What has to be durable, all of it in one transaction, before anything that waits for it is sent or told. A value is put, none is
/// deleted; all of it is secret.
#[derive(Debug, Default)]
pub struct Writes {
    /// What is kept of this device: its KeyPackages' count and the like. Absent: unchanged.
    pub device: Option<Secret>,
    /// Secrets of KeyPackages by KeyPackageRef.
    pub key_packages: BTreeMap<Vec<u8>, Option<Secret>>,
    /// What changes in conversations.
    pub conversations: BTreeMap<ConversationId, ConversationWrites>,
}

/// What has to be kept of one conversation.
#[derive(Debug, Default)]
pub struct ConversationWrites {
    /// What is known of it: its cursor among entries, leaves, roles, what is under way. Absent: unchanged.
    pub record: Option<Secret>,
    /// States of its MLS groups, by generation.
    pub groups: BTreeMap<u32, Option<Secret>>,
    /// What entries turned out to say, by seq: an encoded reading, put in place of an earlier one.
    pub readings: BTreeMap<u64, Secret>,
    /// Messages that were opened, and whose senders can't be judged yet, by seq.
    pub doubted: BTreeMap<u64, Option<Secret>>,
    /// Messages of this device that wait, or whose entry does, by id.
    pub outgoing: BTreeMap<IdempotencyKey, Option<Secret>>,
}

/// What was kept, to go on from.
#[derive(Debug, Default)]
pub struct Stored {
    /// Of [`Writes::device`]; none if this device has no private conversations yet.
    pub device: Option<Secret>,
    /// Secrets of KeyPackages by KeyPackageRef.
    pub key_packages: Vec<(Vec<u8>, Secret)>,
    /// Its conversations.
    pub conversations: BTreeMap<ConversationId, StoredConversation>,
}

/// What was kept of one conversation.
#[derive(Debug, Default)]
pub struct StoredConversation {
    /// Of [`ConversationWrites::record`].
    pub record: Option<Secret>,
    /// States of its MLS groups, by generation.
    pub groups: BTreeMap<u32, Secret>,
    /// Of [`ConversationWrites::doubted`].
    pub doubted: Vec<(u64, Secret)>,
    /// Messages that wait, in the order in which they were first put.
    pub outgoing: Vec<(IdempotencyKey, Secret)>,
}
