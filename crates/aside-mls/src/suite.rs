//! Cipher suites, and who computes them.

use std::fmt;

use mls_rs::{CipherSuite, CipherSuiteProvider as _, CryptoProvider};
use mls_rs_core::crypto::SignatureSecretKey;
use zeroize::Zeroizing;

/// A cipher suite of RFC 9420 that Aside uses (MLS-001).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// `MLS_128_DHKEMP256_AES128GCM_SHA256_P256`, 0x0002: every client has it.
    P256Aes128,
    /// `MLS_256_DHKEMP384_AES256GCM_SHA384_P384`, 0x0007: three to four times as slow.
    P384Aes256,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 2] = [Self::P256Aes128, Self::P384Aes256];

    /// Its number in the registry of RFC 9420.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::P256Aes128 => 0x0002,
            Self::P384Aes256 => 0x0007,
        }
    }

    /// The suite with this number; none if Aside does not use it.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.number() == number)
    }

    /// Length of a signature key: an uncompressed point, 04 ‖ x ‖ y (MLS-004).
    #[must_use]
    pub const fn signature_key_bytes(self) -> usize {
        match self {
            Self::P256Aes128 => 65,
            Self::P384Aes256 => 97,
        }
    }

    pub(crate) fn mls(self) -> CipherSuite {
        CipherSuite::from(self.number())
    }

    pub(crate) fn of(suite: CipherSuite) -> Option<Self> {
        Self::from_number(suite.into())
    }
}

/// Where the cryptography comes from: AWS-LC or RustCrypto, whose devices understand each other.
pub trait Crypto: CryptoProvider + Clone {
    /// The provider, with the suites of [`Suite::ALL`] and no other.
    fn provider() -> Self;
}

/// AWS-LC, which is C: three to five times as fast.
#[cfg(feature = "awslc")]
pub type AwsLc = mls_rs_crypto_awslc::AwsLcCryptoProvider;

/// RustCrypto: nothing but Rust, for browsers too.
#[cfg(feature = "rustcrypto")]
pub type RustCrypto = mls_rs_crypto_rustcrypto::RustCryptoProvider;

/// The fastest provider there is: [`AwsLc`] with feature `awslc`.
#[cfg(feature = "awslc")]
pub type DefaultCrypto = AwsLc;
/// The fastest provider there is: [`RustCrypto`] without feature `awslc`.
#[cfg(all(feature = "rustcrypto", not(feature = "awslc")))]
pub type DefaultCrypto = RustCrypto;

#[cfg(not(any(feature = "awslc", feature = "rustcrypto")))]
compile_error!("aside-mls needs a source of cryptography: feature `awslc` or `rustcrypto`");

#[cfg(feature = "awslc")]
impl Crypto for AwsLc {
    fn provider() -> Self {
        Self::with_enabled_cipher_suites(Suite::ALL.map(Suite::mls).to_vec())
    }
}

#[cfg(feature = "rustcrypto")]
impl Crypto for RustCrypto {
    fn provider() -> Self {
        Self::with_enabled_cipher_suites(Suite::ALL.map(Suite::mls).to_vec())
    }
}

/// A device's signature key for one suite; its public half stands in the device's certificate.
#[derive(Clone)]
pub struct SigningKey {
    pub(crate) suite: Suite,
    pub(crate) secret: SignatureSecretKey,
    public: Vec<u8>,
}

/// The bytes are not a signature key of the suite, or the system gave no randomness for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signature key of the suite")]
pub struct SigningKeyError;

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    pub fn generate<P: Crypto>(suite: Suite) -> Result<Self, SigningKeyError> {
        let provider = P::provider().cipher_suite_provider(suite.mls()).ok_or(SigningKeyError)?;
        let (secret, public) = provider.signature_key_generate().map_err(|_| SigningKeyError)?;
        Ok(Self { suite, secret, public: public.to_vec() })
    }

    /// The key that [`Self::to_bytes`] gave, with whichever provider.
    ///
    /// # Errors
    /// If it is not a key of the suite.
    pub fn from_bytes<P: Crypto>(suite: Suite, bytes: &[u8]) -> Result<Self, SigningKeyError> {
        let provider = P::provider().cipher_suite_provider(suite.mls()).ok_or(SigningKeyError)?;
        let secret = SignatureSecretKey::new(bytes.to_vec());
        let public = provider.signature_key_derive_public(&secret).map_err(|_| SigningKeyError)?;
        Ok(Self { suite, secret, public: public.to_vec() })
    }

    /// The secret scalar, big-endian, for the client's store.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.secret.as_bytes().to_vec())
    }

    /// The suite it is for.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The public half, [`Suite::signature_key_bytes`] long.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("suite", &self.suite).finish_non_exhaustive()
    }
}
