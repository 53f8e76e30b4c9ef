//! The cryptography of the specification, written anew over bare SHA-256 and ECDSA, so that a mistake of the subject's
//! code can't hide here.

use std::fmt;

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    },
};

pub(crate) type Hash = [u8; 32];

/// `Label(label, f1, … fn)` (CONV-003).
pub(crate) fn label(label: &str, fields: &[&[u8]]) -> Vec<u8> {
    let text = format!("aside/1 {label}");
    let mut out = vec![u8::try_from(text.len()).expect("labels are short")];
    out.extend_from_slice(text.as_bytes());
    for field in fields {
        let length = u32::try_from(field.len()).expect("fields are below 4 GiB");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(field);
    }
    out
}

pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

pub(crate) fn hash(name: &str, fields: &[&[u8]]) -> Hash {
    sha256(&label(name, fields))
}

pub(crate) fn payload_hash(salt: &[u8], payload: &[u8]) -> Hash {
    hash("payload", &[salt, payload])
}

/// Whether a signature verifies under a public key over a label and fields.
pub(crate) fn verifies(public_key: &[u8], name: &str, fields: &[&[u8]], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public_key)
        .verify(&label(name, fields), signature)
        .is_ok()
}

/// A device's key pair.
pub(crate) struct Key(EcdsaKeyPair);

impl Key {
    pub(crate) fn generate() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self(pair.expect("the system gives random bytes"))
    }

    /// 65 bytes.
    pub(crate) fn public_key(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// 64 bytes, r then s.
    pub(crate) fn sign(&self, name: &str, fields: &[&[u8]]) -> Vec<u8> {
        let signature = self.0.sign(&SystemRandom::new(), &label(name, fields));
        signature.expect("the system gives random bytes").as_ref().to_vec()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}…)", hex::encode(&self.public_key()[1..5]))
    }
}

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// (r, n - s): verifies as well, and exactly one of the two has a high s (CONV-005). None if not 64 bytes.
pub(crate) fn other_s(signature: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = signature.split_at_checked(32)?;
    let s: &[u8; 32] = s.try_into().ok()?;
    let mut out = [0; 32];
    let mut borrow = 0;
    for index in (0..32).rev() {
        let difference = i16::from(ORDER[index]) - i16::from(s[index]) - borrow;
        borrow = i16::from(difference < 0);
        out[index] = (difference + 256 * borrow) as u8;
    }
    Some([r, &out].concat())
}

/// Fills bytes from the system's random source.
pub(crate) fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: CONV-003
    #[test]
    fn labels_are_as_the_specification_says() {
        let expected = [&b"\x0faside/1 payload\0\0\0\x01a\0\0\0\0"[..]].concat();
        assert_eq!(label("payload", &[b"a", b""]), expected);
    }

    // cites: CONV-005
    #[test]
    fn both_forms_of_a_signature_verify() {
        let key = Key::generate();
        let signature = key.sign("message", &[b"x"]);
        let other = other_s(&signature).unwrap();
        assert_ne!(signature, other);
        for signature in [&signature, &other] {
            assert!(verifies(key.public_key(), "message", &[b"x"], signature));
            assert!(!verifies(key.public_key(), "message", &[b"y"], signature));
        }
        assert_eq!(other_s(&other), Some(signature));
        assert_eq!(other_s(&[0; 63]), None);
    }
}
