//! Devices for tests, benches and fuzzing: their certificates hold by themselves, and anyone may revoke them.

mod fuzz;
mod keys;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aside_proto::id::{DeviceId, UserId};

use crate::{CredentialRefused, Crypto, Device, Error, Judge, Leaf, Owner, SigningKey, Suite};

pub use fuzz::mls_message;
pub use keys::KeyPackageKeys;

/// The authenticated data of what comes under a clear header (MLS-014).
#[must_use]
pub fn authenticated_data(header: &[u8]) -> [u8; 32] {
    crate::group::header_hash(header)
}

/// The application data of a content (MLS-020, MLS-021); none if it is too long.
#[must_use]
pub fn pad(content: &[u8]) -> Option<Vec<u8>> {
    crate::padding::pad(content)
}

/// The content of application data; none if it is padded otherwise (MLS-022).
#[must_use]
pub fn unpad(application_data: Vec<u8>) -> Option<Vec<u8>> {
    crate::padding::unpad(application_data)
}

/// All who may play: a judge that knows, as if from their device logs, the certificates of those who were enrolled, and who
/// was revoked. Certificates made by anyone else are refused.
#[derive(Clone, Default)]
pub struct Cast(Arc<Everyone>);

#[derive(Default)]
struct Everyone {
    logs: Mutex<Logs>,
}

#[derive(Default)]
struct Logs {
    certificates: BTreeSet<Vec<u8>>,
    revoked: BTreeSet<Owner>,
}

/// A device's user id and device id, then its keys in the order of [`Suite::ALL`]. It counts once it is enrolled.
#[must_use]
pub fn certificate(owner: Owner, keys: &[SigningKey]) -> Vec<u8> {
    let mut bytes = [*owner.user.as_bytes(), *owner.device.as_bytes()].concat();
    keys.iter().for_each(|key| bytes.extend_from_slice(key.public()));
    bytes
}

/// The device with this number, of the user with this number.
#[must_use]
pub fn owner(user: u16, device: u16) -> Owner {
    let id = |n: u16| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        id
    };
    Owner { user: UserId::new(id(user)), device: DeviceId::new(id(device)) }
}

impl Cast {
    /// A new device with keys for all suites.
    ///
    /// # Errors
    /// If there is no randomness for keys.
    pub fn device<P: Crypto>(&self, user: u16, device: u16) -> Result<Device<P>, Error> {
        let keys: Result<Vec<_>, _> =
            Suite::ALL.into_iter().map(SigningKey::generate::<P>).collect();
        let keys = keys.map_err(|_| Error::NoKey)?;
        let certificate = certificate(owner(user, device), &keys);
        self.enrol(certificate.clone());
        Device::new(certificate, keys, self.judge(), [])
    }

    /// The judge.
    #[must_use]
    pub fn judge(&self) -> Arc<dyn Judge> {
        let judge: Arc<Everyone> = Arc::clone(&self.0);
        judge
    }

    /// From now on the certificate is one of its device's, as if its user's device log held it.
    pub fn enrol(&self, certificate: Vec<u8>) {
        self.0.lock().certificates.insert(certificate);
    }

    /// From now on the device may neither come in nor commit, and nothing is encrypted to it.
    pub fn revoke(&self, device: Owner) {
        self.0.lock().revoked.insert(device);
    }
}

impl Everyone {
    fn lock(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Judge for Everyone {
    fn owner(&self, leaf: Leaf<'_>) -> Result<Owner, CredentialRefused> {
        if !self.lock().certificates.contains(leaf.certificate) {
            return Err(CredentialRefused);
        }
        let (user, rest) = leaf.certificate.split_first_chunk().ok_or(CredentialRefused)?;
        let (device, keys) = rest.split_first_chunk().ok_or(CredentialRefused)?;
        let length = leaf.suite.signature_key_bytes();
        let key = match leaf.suite {
            Suite::P256Aes128 => keys.get(..length),
            Suite::P384Aes256 => keys.get(keys.len().saturating_sub(length)..),
        };
        if key != Some(leaf.signature_key) {
            return Err(CredentialRefused);
        }
        Ok(Owner { user: UserId::new(*user), device: DeviceId::new(*device) })
    }

    fn admit(&self, _: Leaf<'_>, owner: Owner) -> Result<(), CredentialRefused> {
        if self.lock().revoked.contains(&owner) { Err(CredentialRefused) } else { Ok(()) }
    }
}
