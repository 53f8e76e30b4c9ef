//! Devices whose connections ended, until that is noted: while one write is being made durable, the next gather.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aside_proto::id::DeviceId;
use tokio::sync::Notify;

/// Devices that are to be noted as seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pending: Mutex<HashSet<DeviceId>>,
    added: Notify,
}

impl Seen {
    /// Its connection ended now.
    pub(crate) fn add(&self, device: DeviceId) {
        self.lock().insert(device);
        self.added.notify_one();
    }

    /// Whether it is not noted yet.
    pub(crate) fn is_pending(&self, device: DeviceId) -> bool {
        self.lock().contains(&device)
    }

    /// Waits until there are some.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    /// All that are to be noted.
    pub(crate) fn all(&self) -> Vec<DeviceId> {
        self.lock().iter().copied().collect()
    }

    /// These have been.
    pub(crate) fn noted(&self, devices: &[DeviceId]) {
        let mut pending = self.lock();
        for device in devices {
            pending.remove(device);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<DeviceId>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
