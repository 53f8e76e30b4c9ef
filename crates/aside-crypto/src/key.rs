//! P-256 keys and ECDSA signatures. Local and remote keys are different types.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use aside_proto::limits::{PUBLIC_KEY_BYTES, SIGNATURE_BYTES};
use p256::{
    NistP256,
    ecdsa::{self, signature::hazmat::PrehashSigner as _},
    elliptic_curve::{
        Curve as _,
        bigint::{NonZero, U256, U384},
    },
};
use zeroize::Zeroizing;

use crate::label;

/// The first byte of an uncompressed point.
const UNCOMPRESSED: u8 = 0x04;

/// Bytes that are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A private key is a number from 1 to n-1.
    #[error("a private key is a number from 1 to n-1")]
    PrivateOutOfRange,
    /// CONV-001.
    #[error("a public key is 65 bytes, not {0}")]
    PublicLength(usize),
    /// CONV-002: another form, such as a hybrid one.
    #[error("a public key is an uncompressed point: its first byte is 0x04")]
    PublicForm,
    /// CONV-002.
    #[error("a public key is a point on P-256")]
    NotOnCurve,
}

/// A signature is not 64 bytes (CONV-001).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signature is 64 bytes, not {0}")]
pub struct SignatureLengthError(pub usize);

/// A signature does not verify. Why is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct SignatureInvalid;

/// A private key of this side: a device's, the account key, or the server's log key. Wiped when dropped.
#[derive(Clone)]
pub struct SigningKey(ecdsa::SigningKey);

impl SigningKey {
    /// The key of 32 bytes, big-endian.
    ///
    /// # Errors
    /// [`KeyError::PrivateOutOfRange`] if they are 0, or n or above.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        ecdsa::SigningKey::from_slice(bytes).map(Self).map_err(|_| KeyError::PrivateOutOfRange)
    }

    /// A new key. `random` fills a slice from a cryptographic random source; it is asked again in the one of 2³² cases
    /// where what it gave is no key.
    pub fn generate(random: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            random(&mut *bytes);
            if let Ok(key) = Self::from_bytes(&bytes) {
                return key;
            }
        }
    }

    /// The key of 48 bytes that nobody can guess: as a number, modulo n-1, and 1 added (FIPS 186-5, A.2.1). The 128 bits above the
    /// order's own length leave no key noticeably likelier than another.
    pub(crate) fn from_wide(bytes: &[u8; 48]) -> Self {
        const ORDER_LESS_ONE: NonZero<U256> =
            NonZero::<U256>::new_unwrap(NistP256::ORDER.as_ref().wrapping_sub(&U256::ONE));
        let wide = Zeroizing::new(U384::from_be_slice(bytes));
        let scalar = Zeroizing::new(wide.rem(&ORDER_LESS_ONE).wrapping_add(&U256::ONE));
        let bytes = Zeroizing::new(<[u8; 32]>::from(scalar.to_be_bytes()));
        Self::from_bytes(&bytes).expect("it is from 1 to n-1")
    }

    /// The 32 bytes, big-endian, wiped when dropped: for the store alone.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        let scalar = Zeroizing::new(self.0.to_bytes());
        Zeroizing::new((*scalar).into())
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_point(self.0.verifying_key())
    }

    /// Signs `Label(label, fields…)`, deterministically (RFC 6979).
    pub(crate) fn sign(&self, label: &str, fields: &[&[u8]]) -> Signature {
        let signature: ecdsa::Signature = self
            .0
            .sign_prehash(&label::hash(label, fields))
            .expect("RFC 6979 finds a nonce for every key and hash");
        Signature(signature.to_bytes().into())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// A public key: a point on P-256 other than the one at infinity (CONV-002).
#[derive(Clone, Copy)]
pub struct PublicKey {
    bytes: [u8; PUBLIC_KEY_BYTES],
}

impl PublicKey {
    /// The key of an uncompressed point: `0x04`, x, y.
    ///
    /// # Errors
    /// [`KeyError`] for another length, another form, or bytes that are no point on the curve.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: [u8; PUBLIC_KEY_BYTES] =
            bytes.try_into().map_err(|_| KeyError::PublicLength(bytes.len()))?;
        if bytes[0] != UNCOMPRESSED {
            return Err(KeyError::PublicForm);
        }
        ecdsa::VerifyingKey::from_sec1_bytes(&bytes).map_err(|_| KeyError::NotOnCurve)?;
        Ok(Self { bytes })
    }

    /// The 65 bytes: `0x04`, x, y.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.bytes
    }

    fn from_point(point: &ecdsa::VerifyingKey) -> Self {
        let encoded = point.to_sec1_point(false);
        let bytes = encoded.as_bytes().try_into().expect("an uncompressed point is 65 bytes");
        Self { bytes }
    }

    /// Verifies over `Label(label, fields…)`: every r and s in 1 … n-1 that satisfy the equation, high s too (CONV-005).
    pub(crate) fn verify(
        &self,
        label: &str,
        fields: &[&[u8]],
        signature: &Signature,
    ) -> Result<(), SignatureInvalid> {
        self.verify_hash(&label::hash(label, fields), signature)
    }

    pub(crate) fn verify_hash(
        &self,
        hash: &crate::Hash,
        signature: &Signature,
    ) -> Result<(), SignatureInvalid> {
        #[cfg(feature = "awslc")]
        return self.verify_by_awslc(hash, signature);
        #[cfg(not(feature = "awslc"))]
        self.verify_by_p256(hash, signature)
    }

    #[cfg(any(test, not(feature = "awslc")))]
    pub(crate) fn verify_by_p256(
        &self,
        hash: &crate::Hash,
        signature: &Signature,
    ) -> Result<(), SignatureInvalid> {
        use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
        let signature = ecdsa::Signature::from_slice(&signature.0).map_err(|_| SignatureInvalid)?;
        let key = ecdsa::VerifyingKey::from_sec1_bytes(&self.bytes);
        let key = key.map_err(|_| SignatureInvalid)?;
        key.verify_prehash(hash, &signature).map_err(|_| SignatureInvalid)
    }

    #[cfg(feature = "awslc")]
    fn verify_by_awslc(
        &self,
        hash: &crate::Hash,
        signature: &Signature,
    ) -> Result<(), SignatureInvalid> {
        use aws_lc_rs::{digest, signature as awslc};
        let hash = digest::Digest::import_less_safe(hash, &digest::SHA256);
        let hash = hash.map_err(|_| SignatureInvalid)?;
        awslc::UnparsedPublicKey::new(&awslc::ECDSA_P256_SHA256_FIXED, self.bytes)
            .verify_digest(&hash, &signature.0)
            .map_err(|_| SignatureInvalid)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    /// The first bytes of x: enough to tell keys apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, a, b, c, d, ..] = self.bytes;
        write!(f, "PublicKey({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

/// A signature as it travels: r then s, 32 bytes each, big-endian. Whether they are in range shows when it is verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_BYTES]);

impl Signature {
    /// The 64 bytes: r, then s.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Signature {
    type Error = SignatureLengthError;

    /// CONV-001: exactly 64 bytes.
    fn try_from(bytes: &[u8]) -> Result<Self, SignatureLengthError> {
        bytes.try_into().map(Self).map_err(|_| SignatureLengthError(bytes.len()))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Signature({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

#[cfg(test)]
mod tests;
