//! The store of private conversations by itself, for benches.

use std::{collections::BTreeMap, path::Path};

use aside_mls::Secret;
use aside_proto::id::ConversationId;

use crate::{
    StateError, Unlock,
    private::{Stored, Writes},
    store::Store,
};

/// A state of which only what is private is used.
#[derive(Debug)]
pub struct PrivateStore(Store);

impl PrivateStore {
    /// Opens or makes the state in a directory.
    ///
    /// # Errors
    /// As [`StateError`] says; so do those below.
    pub async fn open(dir: &Path) -> Result<Self, StateError> {
        Ok(Self(Store::open(dir, &Unlock::Unattended).await?))
    }

    /// Keeps all of this, or nothing; it is on the disk when this returns.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn keep(&self, writes: &Writes) -> Result<(), StateError> {
        self.0.keep_private(writes).await
    }

    /// All that was kept, but for the readings.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn stored(&self) -> Result<Stored, StateError> {
        self.0.private().await
    }

    /// What the entries from one seq to another, both included, turned out to say.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn readings(
        &self,
        conversation: ConversationId,
        from_seq: u64,
        to_seq: u64,
    ) -> Result<BTreeMap<u64, Secret>, StateError> {
        self.0.readings(conversation, from_seq, to_seq).await
    }

    /// Forgets a conversation.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn forget(&self, conversation: ConversationId) -> Result<(), StateError> {
        self.0.forget_private(conversation).await
    }

    /// Lets the next one in.
    pub async fn close(self) {
        self.0.close().await;
    }
}
