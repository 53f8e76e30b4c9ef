//! What is to be kept, gathered until the client writes it in a transaction of its own.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mls_rs::{
    GroupStateStorage, KeyPackageStorage,
    error::IntoAnyError,
    mls_rs_codec::{MlsDecode as _, MlsEncode as _},
    storage_provider::KeyPackageData,
};
use mls_rs_core::group::{EpochRecord, GroupState};
use zeroize::Zeroizing;

use crate::{Error, GroupId, Suite, notes::Notes};

/// Bytes that hold secrets, and are erased when they are dropped.
pub type Secret = Zeroizing<Vec<u8>>;

/// The layout of a group's stored state.
const STATE_VERSION: u8 = 2;
/// Version, suite, group id.
const STATE_HEAD_BYTES: usize = 1 + 2 + GroupId::BYTES;

/// What is to be written, in one transaction with the plaintexts and cursors that belong to it: a value to put, or none to
/// delete. All of it is secret.
///
/// If the transaction fails, the groups in memory are ahead of the store: drop them and the [`Device`](crate::Device), and
/// load both again.
#[derive(Default)]
pub struct Changes {
    /// States of groups, for [`Device::load`](crate::Device::load).
    pub groups: BTreeMap<GroupId, Option<Secret>>,
    /// Secrets of KeyPackages by KeyPackageRef, for [`Device::new`](crate::Device::new).
    pub key_packages: BTreeMap<Vec<u8>, Option<Secret>>,
}

impl Changes {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.key_packages.is_empty()
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("groups", &self.groups.len())
            .field("key_packages", &self.key_packages.len())
            .finish()
    }
}

/// The storage that MLS writes to, for groups of one suite.
#[derive(Clone)]
pub(crate) struct Store {
    shared: Arc<Mutex<Shared>>,
    suite: Suite,
}

#[derive(Default)]
struct Shared {
    key_packages: HashMap<Vec<u8>, KeyPackageData>,
    changes: Changes,
    /// The states of groups that are just being loaded, by MLS group id.
    loading: HashMap<Vec<u8>, Secret>,
    /// The notes of groups that are just being saved.
    saving: HashMap<GroupId, Vec<u8>>,
}

/// What MLS asked for is not what this crate makes.
#[derive(Debug, thiserror::Error)]
#[error("not a group of this profile")]
pub(crate) struct StorageError;

impl IntoAnyError for StorageError {
    fn into_dyn_error(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self> {
        Ok(self.into())
    }
}

impl Store {
    /// A store that holds the secrets of these KeyPackages.
    pub(crate) fn new(
        key_packages: impl IntoIterator<Item = (Vec<u8>, Secret)>,
    ) -> Result<Self, Error> {
        let decode = |(id, bytes): (Vec<u8>, Secret)| {
            let data = KeyPackageData::mls_decode(&mut &**bytes).map_err(|_| Error::State)?;
            Ok((id, data))
        };
        let key_packages = key_packages.into_iter().map(decode).collect::<Result<_, Error>>()?;
        let shared = Shared { key_packages, ..Shared::default() };
        Ok(Self { shared: Arc::new(Mutex::new(shared)), suite: Suite::P256Aes128 })
    }

    /// The same store, for groups of this suite.
    pub(crate) fn of(&self, suite: Suite) -> Self {
        Self { shared: Arc::clone(&self.shared), suite }
    }

    pub(crate) fn take_changes(&self) -> Changes {
        mem::take(&mut self.lock().changes)
    }

    pub(crate) fn delete_group(&self, id: GroupId) {
        self.lock().changes.groups.insert(id, None);
    }

    /// Deletes the secrets of KeyPackages that expired before this time, in seconds since 1970.
    pub(crate) fn forget_expired(&self, before: u64) {
        let mut shared = self.lock();
        let expired: Vec<_> = shared
            .key_packages
            .iter()
            .filter(|(_, data)| data.expiration < before)
            .map(|(id, _)| id.clone())
            .collect();
        for id in expired {
            shared.delete_key_package(&id);
        }
    }

    /// Lets `load` ask for this state of a group.
    pub(crate) fn while_loading<T>(
        &self,
        id: GroupId,
        state: &[u8],
        load: impl FnOnce() -> T,
    ) -> T {
        self.lock().loading.insert(id.to_bytes().to_vec(), Zeroizing::new(state.to_vec()));
        let loaded = load();
        self.lock().loading.remove(&id.to_bytes()[..]);
        loaded
    }

    /// Lets MLS write the group's state, with these notes.
    pub(crate) fn while_saving<T>(
        &self,
        id: GroupId,
        notes: &Notes,
        save: impl FnOnce() -> T,
    ) -> T {
        self.lock().saving.insert(id, notes.to_bytes());
        let saved = save();
        self.lock().saving.remove(&id);
        saved
    }

    /// Nothing is left half-changed by a panic elsewhere, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn delete_key_package(&mut self, id: &[u8]) {
        if self.key_packages.remove(id).is_some() {
            self.changes.key_packages.insert(id.to_vec(), None);
        }
    }
}

/// A stored state.
pub(crate) struct Stored<'a> {
    pub(crate) suite: Suite,
    pub(crate) id: GroupId,
    pub(crate) notes: Notes,
    /// What MLS wrote.
    pub(crate) mls: &'a [u8],
}

pub(crate) fn split_state(bytes: &[u8]) -> Option<Stored<'_>> {
    let (head, rest) = bytes.split_at_checked(STATE_HEAD_BYTES)?;
    let (&version, head) = head.split_first()?;
    let (suite, id) = head.split_first_chunk()?;
    let suite = Suite::from_number(u16::from_be_bytes(*suite))?;
    let id = GroupId::from_bytes(id)?;
    let (notes, mls) = Notes::split_from(rest)?;
    (version == STATE_VERSION).then_some(Stored { suite, id, notes, mls })
}

impl GroupStateStorage for Store {
    type Error = StorageError;

    fn state(&self, id: &[u8]) -> Result<Option<Secret>, StorageError> {
        Ok(self.lock().loading.remove(id))
    }

    /// No past epoch is kept (MLS-018), nor written.
    fn epoch(&self, _: &[u8], _: u64) -> Result<Option<Secret>, StorageError> {
        Ok(None)
    }

    fn write(
        &mut self,
        state: GroupState,
        _: Vec<EpochRecord>,
        _: Vec<EpochRecord>,
    ) -> Result<(), StorageError> {
        let id = GroupId::from_bytes(&state.id).ok_or(StorageError)?;
        let mut shared = self.lock();
        let notes = shared.saving.remove(&id).ok_or(StorageError)?;
        let length = STATE_HEAD_BYTES + notes.len() + state.data.len();
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        bytes.push(STATE_VERSION);
        bytes.extend_from_slice(&self.suite.number().to_be_bytes());
        bytes.extend_from_slice(&state.id);
        bytes.extend_from_slice(&notes);
        bytes.extend_from_slice(&state.data);
        shared.changes.groups.insert(id, Some(bytes));
        Ok(())
    }

    fn max_epoch_id(&self, _: &[u8]) -> Result<Option<u64>, StorageError> {
        Ok(None)
    }
}

impl KeyPackageStorage for Store {
    type Error = StorageError;

    fn delete(&mut self, id: &[u8]) -> Result<(), StorageError> {
        self.lock().delete_key_package(id);
        Ok(())
    }

    fn insert(&mut self, id: Vec<u8>, data: KeyPackageData) -> Result<(), StorageError> {
        let bytes = Zeroizing::new(data.mls_encode_to_vec().map_err(|_| StorageError)?);
        let mut shared = self.lock();
        shared.changes.key_packages.insert(id.clone(), Some(bytes));
        shared.key_packages.insert(id, data);
        Ok(())
    }

    fn get(&self, id: &[u8]) -> Result<Option<KeyPackageData>, StorageError> {
        Ok(self.lock().key_packages.get(id).cloned())
    }
}
