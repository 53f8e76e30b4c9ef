//! Users, and what they know of each other's devices outside of the protocol: a certificate that is shown to be approved.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aside_crypto::{Certificate, SigningKey};
use aside_mls::{CredentialRefused, Judge, Leaf, Owner};
use aside_proto::id::{DeviceId, UserId};

/// A user.
pub(crate) struct User {
    pub(crate) handle: String,
    /// Kept on paper.
    pub(crate) account_key: SigningKey,
    pub(crate) id: Option<UserId>,
    pub(crate) is_evil: bool,
}

/// All certificates that were ever made, good or not: a judge that refuses nobody of them.
#[derive(Default)]
pub(crate) struct Everyone(Mutex<Certificates>);

#[derive(Default)]
struct Certificates {
    owners: BTreeMap<Vec<u8>, Owner>,
    /// Those that nobody is ever shown.
    ghosts: BTreeSet<DeviceId>,
}

impl Everyone {
    /// A device has made its certificate.
    pub(crate) fn note(&self, certificate: &Certificate) {
        let owner = Owner { user: certificate.user(), device: certificate.device() };
        self.lock().owners.insert(certificate.as_bytes().to_vec(), owner);
    }

    /// Somebody has made one for a device that is none.
    pub(crate) fn note_ghost(&self, certificate: &Certificate) {
        self.note(certificate);
        self.lock().ghosts.insert(certificate.device());
    }

    /// As MLS wants it.
    pub(crate) fn judge(this: &Arc<Self>) -> Arc<dyn Judge> {
        let judge: Arc<Self> = Arc::clone(this);
        judge
    }

    /// The certificates of a user's devices.
    pub(crate) fn of(&self, user: UserId) -> Vec<Certificate> {
        let known = self.lock();
        let shown = |owner: &Owner| owner.user == user && !known.ghosts.contains(&owner.device);
        let theirs = known.owners.iter().filter(|(_, owner)| shown(owner));
        let mut theirs: Vec<_> =
            theirs.filter_map(|(bytes, _)| Certificate::decode(bytes).ok()).collect();
        // By what the seed decides.
        theirs.sort_by_key(Certificate::device);
        theirs
    }

    fn lock(&self) -> MutexGuard<'_, Certificates> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Judge for Everyone {
    fn owner(&self, leaf: Leaf<'_>) -> Result<Owner, CredentialRefused> {
        self.lock().owners.get(leaf.certificate).copied().ok_or(CredentialRefused)
    }

    fn admit(&self, _: Leaf<'_>, _: Owner) -> Result<(), CredentialRefused> {
        Ok(())
    }
}
