//! The private keys of KeyPackages, as other implementations have them.

use mls_rs::{
    mls_rs_codec::{MlsDecode as _, MlsEncode as _},
    storage_provider::KeyPackageData,
};
use zeroize::Zeroizing;

use crate::{Crypto, Error, Reason, Secret, Suite, device::parse};

/// The private keys of a KeyPackage, as RFC 9180 serializes them: scalars, big-endian, of 32 bytes on P-256 and 48 on P-384.
pub struct KeyPackageKeys {
    /// Of its `init_key`.
    pub init: Secret,
    /// Of its leaf's `encryption_key`.
    pub encryption: Secret,
}

impl KeyPackageKeys {
    /// Those in what [`Changes::key_packages`](crate::Changes::key_packages) says to keep.
    ///
    /// # Errors
    /// [`Error::State`] if it is something else.
    pub fn from_stored(stored: &Secret) -> Result<Self, Error> {
        let data = KeyPackageData::mls_decode(&mut &***stored).map_err(|_| Error::State)?;
        let secret = |key: &[u8]| Zeroizing::new(key.to_vec());
        Ok(Self { init: secret(&data.init_key), encryption: secret(&data.leaf_node_key) })
    }

    /// What [`Device::new`](crate::Device::new) takes: the KeyPackageRef of this KeyPackage, an MLSMessage, and what is stored of it.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is no KeyPackage of a suite of the profile.
    pub fn to_stored<P: Crypto>(&self, key_package: &[u8]) -> Result<(Vec<u8>, Secret), Error> {
        let refused = |error| Error::from(Reason::of(&error, Reason::Invalid));
        let message = parse(key_package)?;
        let read = message.as_key_package().ok_or(Reason::WrongKind)?;
        let suite = Suite::of(read.cipher_suite()).ok_or(Reason::WrongSuite)?;
        let provider = P::provider().cipher_suite_provider(suite.mls()).ok_or(Error::NoKey)?;
        let id = read.to_reference(&provider).map_err(refused)?.to_vec();
        let data = KeyPackageData::new(
            read.mls_encode_to_vec().map_err(|_| Error::State)?,
            self.init.to_vec().into(),
            self.encryption.to_vec().into(),
            read.expiration().map_err(refused)?.seconds_since_epoch(),
        );
        let stored = data.mls_encode_to_vec().map_err(|_| Error::State)?;
        Ok((id, Zeroizing::new(stored)))
    }
}
