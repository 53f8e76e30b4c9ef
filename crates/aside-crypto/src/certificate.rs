//! Device certificates: which keys are a device's (CERT-001 to CERT-006).

use aside_proto::{
    id::{DeviceId, UserId},
    v1,
};
use prost::{Message as _, bytes::Bytes};

use crate::{
    Signature, SigningKey, canonical,
    key::{KeyError, PublicKey},
    label,
};

/// CERT-005: bytes of a whole certificate. With the two suites of today one has about 350; there is room for keys and signatures
/// that withstand quantum computers.
pub const MAX_CERTIFICATE_BYTES: usize = 4096;
/// CERT-005.
pub const MAX_MLS_KEYS: usize = 8;

/// MLS_128_DHKEMP256_AES128GCM_SHA256_P256: every device knows it.
pub const SUITE_P256: u16 = 0x0002;
/// MLS_256_DHKEMP384_AES256GCM_SHA384_P384.
pub const SUITE_P384: u16 = 0x0007;

/// The first byte of an uncompressed point.
const UNCOMPRESSED: u8 = 0x04;

/// Why bytes are no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// CERT-005.
    #[error("a certificate is at most {MAX_CERTIFICATE_BYTES} bytes, not {0}")]
    TooLong(usize),
    /// CERT-001, CERT-006: certificate or statement is no such message, or not canonical.
    #[error(
        "the certificate is no canonical DeviceCertificate, or its statement no such DeviceStatement"
    )]
    Malformed,
    /// CERT-002.
    #[error("a user_id and a device_id are 16 bytes each")]
    Id,
    /// CERT-002.
    #[error("the login key: {0}")]
    LoginKey(#[from] KeyError),
    /// CERT-004.
    #[error("{0}")]
    MlsKeys(&'static str),
    /// CERT-003.
    #[error("the certificate is not signed by its own login key")]
    Signature,
}

/// The key by which a device signs in MLS groups of one cipher suite.
///
/// Its length and first byte are judged for the suites of this specification, its being a point is not: that, and that the device
/// has the private key, shows in MLS itself, where each leaf that holds a certificate is signed by the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MlsKey {
    /// The number of the cipher suite.
    pub suite: u16,
    /// As MLS encodes it.
    pub public_key: Vec<u8>,
}

/// A certificate whose signature verifies: the device says that these are its keys. Whether it is a device that its user approved
/// is for the [`DeviceLog`](crate::DeviceLog) to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    bytes: Bytes,
    user: UserId,
    device: DeviceId,
    login_key: PublicKey,
    mls_keys: Vec<MlsKey>,
}

impl Certificate {
    /// The certificate of a device of this side.
    ///
    /// # Errors
    /// If nobody would take it: [`CertificateError::MlsKeys`] or [`CertificateError::TooLong`].
    pub fn issue(
        user: UserId,
        device: DeviceId,
        login_key: &SigningKey,
        mls_keys: &[MlsKey],
    ) -> Result<Self, CertificateError> {
        let key = |key: &MlsKey| v1::MlsSignatureKey {
            suite: key.suite.into(),
            public_key: key.public_key.clone().into(),
        };
        let statement = v1::DeviceStatement {
            user_id: user.to_bytes(),
            device_id: device.to_bytes(),
            login_key: Bytes::copy_from_slice(login_key.public_key().as_bytes()),
            mls_keys: mls_keys.iter().map(key).collect(),
        };
        let statement = statement.encode_to_vec();
        let signature = login_key.sign(label::DEVICE_CERTIFICATE, &[&statement]);
        let certificate = v1::DeviceCertificate {
            statement: statement.into(),
            signature: Bytes::copy_from_slice(signature.as_bytes()),
        };
        Self::decode(&certificate.encode_to_vec())
    }

    /// Reads a certificate and verifies its signature.
    ///
    /// # Errors
    /// [`CertificateError`]: what is wrong first.
    pub fn decode(bytes: &[u8]) -> Result<Self, CertificateError> {
        if bytes.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLong(bytes.len()));
        }
        let bytes = Bytes::copy_from_slice(bytes);
        let certificate: v1::DeviceCertificate =
            canonical::decode(&bytes).ok_or(CertificateError::Malformed)?;
        let statement: v1::DeviceStatement =
            canonical::decode(&certificate.statement).ok_or(CertificateError::Malformed)?;
        let login_key = PublicKey::from_bytes(&statement.login_key)?;
        let decoded = Self {
            bytes,
            user: UserId::try_from(&statement.user_id[..]).map_err(|_| CertificateError::Id)?,
            device: DeviceId::try_from(&statement.device_id[..])
                .map_err(|_| CertificateError::Id)?,
            login_key,
            mls_keys: mls_keys(&statement.mls_keys)?,
        };
        let signature = Signature::try_from(&certificate.signature[..])
            .map_err(|_| CertificateError::Signature)?;
        login_key
            .verify(label::DEVICE_CERTIFICATE, &[&certificate.statement], &signature)
            .map_err(|_| CertificateError::Signature)?;
        Ok(decoded)
    }

    /// The bytes it was read from: a DeviceCertificate.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whose device it says it is.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// Which device.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// The key by which the device logs in, and signs in rooms and in the device log.
    #[must_use]
    pub const fn login_key(&self) -> &PublicKey {
        &self.login_key
    }

    /// The MLS signature key for a cipher suite, as MLS encodes it; none if the device does not know the suite.
    #[must_use]
    pub fn mls_key(&self, suite: u16) -> Option<&[u8]> {
        self.mls_keys.iter().find(|key| key.suite == suite).map(|key| &key.public_key[..])
    }

    /// All MLS signature keys, those of suites that this crate does not know among them.
    #[must_use]
    pub fn mls_keys(&self) -> &[MlsKey] {
        &self.mls_keys
    }
}

/// CERT-004, CERT-005.
fn mls_keys(stated: &[v1::MlsSignatureKey]) -> Result<Vec<MlsKey>, CertificateError> {
    if stated.len() > MAX_MLS_KEYS {
        return Err(CertificateError::MlsKeys("a certificate has at most 8 MLS keys"));
    }
    let mut keys: Vec<MlsKey> = Vec::with_capacity(stated.len());
    for key in stated {
        let suite = u16::try_from(key.suite)
            .ok()
            .filter(|suite| *suite != 0)
            .ok_or(CertificateError::MlsKeys("a cipher suite is a number from 1 to 65535"))?;
        if keys.iter().any(|other| other.suite == suite) {
            return Err(CertificateError::MlsKeys("a cipher suite has two keys"));
        }
        if !has_form(suite, &key.public_key) {
            return Err(CertificateError::MlsKeys("an MLS key is not of its suite's form"));
        }
        keys.push(MlsKey { suite, public_key: key.public_key.to_vec() });
    }
    if !keys.iter().any(|key| key.suite == SUITE_P256) {
        return Err(CertificateError::MlsKeys("cipher suite 0x0002 has no key"));
    }
    Ok(keys)
}

fn has_form(suite: u16, key: &[u8]) -> bool {
    match suite {
        SUITE_P256 => key.len() == 65 && key[0] == UNCOMPRESSED,
        SUITE_P384 => key.len() == 97 && key[0] == UNCOMPRESSED,
        _ => !key.is_empty(),
    }
}
