//! Franking: what lets a reader of an encrypted message show others, later, what it said (FRANK-001, FRANK-002); and the envelope
//! in which content, franking key and the sender's device log travel (FRANK-003 to FRANK-005).

use std::fmt;

use aside_proto::v1;
use hmac::{Hmac, KeyInit as _, Mac as _};
use prost::{Message as _, bytes::Bytes};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{HASH_BYTES, LogHead, label};

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

/// What is encrypted of a message of a private conversation: what it says, and how far its sender's device log goes.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The bytes of a Content.
    pub content: Bytes,
    /// For a report.
    pub key: FrankingKey,
    /// The head of the sender's device log, as the sender has it; to be held against that log (DLOG-016, TRUST-006).
    pub head: LogHead,
}

/// Why a message is not shown (FRANK-004).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// FRANK-003.
    #[error("what was encrypted is no Envelope")]
    Malformed,
    /// FRANK-002.
    #[error(transparent)]
    Tag(#[from] TagInvalid),
}

impl Envelope {
    /// The bytes to encrypt, the tag for the clear header, and the new franking key of both. `random` fills a slice from a
    /// cryptographic random source.
    #[must_use]
    pub fn seal(
        content: &[u8],
        head: LogHead,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> (Vec<u8>, [u8; 32], FrankingKey) {
        let key = FrankingKey::generate(random);
        let envelope = v1::Envelope {
            content: Bytes::copy_from_slice(content),
            franking_key: Bytes::copy_from_slice(key.as_bytes()),
            log_position: head.position,
            log_hash: Bytes::copy_from_slice(&head.hash),
        };
        (envelope.encode_to_vec(), key.tag(content), key)
    }

    /// Reads what was decrypted, with the tag of the clear header. Without an error nothing of it is known.
    ///
    /// # Errors
    /// [`EnvelopeError`]: the message is shown as damaged, and nothing of what it says.
    pub fn open(bytes: &[u8], tag: &[u8]) -> Result<Self, EnvelopeError> {
        let read = v1::Envelope::decode(bytes).map_err(|_| EnvelopeError::Malformed)?;
        let array = |bytes: &[u8]| {
            <[u8; HASH_BYTES]>::try_from(bytes).map_err(|_| EnvelopeError::Malformed)
        };
        let key = FrankingKey::from_bytes(array(&read.franking_key)?);
        let head = LogHead { position: read.log_position, hash: array(&read.log_hash)? };
        key.verify(&read.content, tag)?;
        Ok(Self { content: read.content, key, head })
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

    // cites: FRANK-005
    #[test]
    fn each_envelope_has_a_key_of_its_own() {
        let head = LogHead { position: 3, hash: [5; 32] };
        let mut count = 0;
        let mut random = |out: &mut [u8]| {
            count += 1;
            out.fill(count);
        };
        let [one, other] = [(); 2].map(|()| Envelope::seal(b"content", head, &mut random));
        for (n, (sealed, tag, key)) in [(1, one), (2, other)] {
            assert_eq!(key.as_bytes(), &[n; 32]);
            assert_eq!(Envelope::open(&sealed, &tag).unwrap().key.as_bytes(), &[n; 32]);
        }
    }

    // cites: FRANK-003, FRANK-004
    #[test]
    fn an_envelope_opens_under_its_tag_alone() {
        let head = LogHead { position: 3, hash: [5; 32] };
        let (sealed, tag, _) = Envelope::seal(b"content", head, &mut |out| out.fill(7));
        let opened = Envelope::open(&sealed, &tag).unwrap();
        assert_eq!((&opened.content[..], opened.head), (&b"content"[..], head));
        let refused =
            |bytes: &[u8], tag: &[u8]| Envelope::open(bytes, tag).map(|_| ()).unwrap_err();
        assert_eq!(refused(&sealed, &[0; 32]), EnvelopeError::Tag(TagInvalid));
        assert_eq!(refused(&sealed[..sealed.len() - 1], &tag), EnvelopeError::Malformed);
        assert_eq!(refused(b"", &tag), EnvelopeError::Malformed);
    }
}
