//! Franking: what lets a reader of an encrypted message show others, later, what it said (FRANK-001, FRANK-002).

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::label;

/// Bytes of a franking key.
pub const FRANKING_KEY_BYTES: usize = 32;

/// A tag does not belong to this content and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the franking tag does not belong to this content")]
pub struct TagInvalid;

/// The key of one message's tag, which travels beside the content inside the encryption. Wiped when dropped.
#[derive(Clone)]
pub struct FrankingKey(Zeroizing<[u8; FRANKING_KEY_BYTES]>);

impl FrankingKey {
    /// A new key, for one message. `random` fills a slice from a cryptographic random source.
    pub fn generate(random: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; FRANKING_KEY_BYTES]);
        random(&mut *bytes);
        Self(bytes)
    }

    /// The key of a message that was received, or reported.
    #[must_use]
    pub fn from_bytes(bytes: [u8; FRANKING_KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The 32 bytes, for the message and for a report.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; FRANKING_KEY_BYTES] {
        &self.0
    }

    /// The tag of a content, which stands in the clear header (FRANK-001).
    #[must_use]
    pub fn tag(&self, content: &[u8]) -> [u8; 32] {
        self.mac(content).finalize().into_bytes().into()
    }

    /// Whether a tag belongs to a content; takes as long whether it does or not (FRANK-002).
    ///
    /// # Errors
    /// If it does not, or is not 32 bytes.
    pub fn verify(&self, content: &[u8], tag: &[u8]) -> Result<(), TagInvalid> {
        self.mac(content).verify_slice(tag).map_err(|_| TagInvalid)
    }

    fn mac(&self, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes any key");
        mac.update(&label::labeled(label::FRANKING, &[content]));
        mac
    }
}

impl fmt::Debug for FrankingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrankingKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        insta::assert_snapshot!(format!("{:?}", FrankingKey::from_bytes([7; 32])), @"FrankingKey(..)");
    }

    // cites: FRANK-001, FRANK-002
    #[test]
    fn a_tag_belongs_to_one_key_and_content() {
        let key = FrankingKey::generate(&mut |out| out.fill(7));
        let tag = key.tag(b"content");
        assert_eq!(key.verify(b"content", &tag), Ok(()));
        let mut flipped = tag;
        flipped[31] ^= 0x80;
        let wrong = [
            key.verify(b"Content", &tag),
            key.verify(b"content", &flipped),
            key.verify(b"content", &tag[..31]),
            key.verify(b"content", b""),
            FrankingKey::from_bytes([8; 32]).verify(b"content", &tag),
        ];
        assert_eq!(wrong, [Err(TagInvalid); 5]);
    }
}
