//! Devices for tests, benches and fuzzing: their certificates hold by themselves, and anyone may revoke them.

mod fuzz;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use aside_proto::id::{DeviceId, UserId};

use crate::{CredentialRefused, Crypto, Device, Error, Judge, Leaf, Owner, SigningKey, Suite};

pub use fuzz::mls_message;

/// All who may play: a judge that believes every certificate made here, and knows who was revoked.
#[derive(Clone, Default)]
pub struct Cast(Arc<Everyone>);

#[derive(Default)]
struct Everyone {
    revoked: Mutex<BTreeSet<DeviceId>>,
}

/// A device's user id and device id, then its keys in the order of [`Suite::ALL`].
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
        Device::new(certificate(owner(user, device), &keys), keys, self.judge(), [])
    }

    /// The judge.
    #[must_use]
    pub fn judge(&self) -> Arc<dyn Judge> {
        let judge: Arc<Everyone> = Arc::clone(&self.0);
        judge
    }

    /// From now on the device may neither come in nor commit.
    pub fn revoke(&self, device: DeviceId) {
        self.0.revoked.lock().unwrap_or_else(PoisonError::into_inner).insert(device);
    }
}

impl Judge for Everyone {
    fn owner(&self, leaf: Leaf<'_>) -> Result<Owner, CredentialRefused> {
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
        let revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        if revoked.contains(&owner.device) { Err(CredentialRefused) } else { Ok(()) }
    }
}
