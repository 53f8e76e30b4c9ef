//! Signed heads, and how one log key takes the place of another (HEAD-001, HEAD-004, HEAD-007).

use crate::{
    key::{PublicKey, Signature, SignatureInvalid, SigningKey},
    label,
};

/// Signs the bytes of a HeadStatement with the log key.
#[must_use]
pub fn sign_head(key: &SigningKey, statement: &[u8]) -> Signature {
    key.sign(label::HEAD, &[statement])
}

/// Verifies a signed head over the bytes that were received (CONV-004).
///
/// # Errors
/// If it was not signed by this key.
pub fn verify_head(
    key: &PublicKey,
    statement: &[u8],
    signature: &Signature,
) -> Result<(), SignatureInvalid> {
    key.verify(label::HEAD, &[statement], signature)
}

/// One change of the log key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The key that was in use, and that signs.
    pub old: PublicKey,
    /// The key that took its place.
    pub new: PublicKey,
    /// By `old`, over both.
    pub signature: Signature,
}

/// Why a log key can't be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// A rotation does not verify under its old key.
    #[error("rotation {0} of the log key is not signed by the key it replaces")]
    SignatureInvalid(usize),
    /// A rotation's old key is not the new key of the one before.
    #[error("rotation {0} of the log key does not begin where the one before ends")]
    Broken(usize),
    /// The last rotation leads to another key than the one in use.
    #[error("the rotations of the log key do not lead to the key in use")]
    WrongEnd,
    /// The remembered key is neither the one in use nor one it was rotated from.
    #[error("the log key is not the one remembered, and was not rotated from it")]
    Unrelated,
}

/// Replaces the log key `old` by `new`.
#[must_use]
pub fn sign_rotation(old: &SigningKey, new: &PublicKey) -> Rotation {
    let signature =
        old.sign(label::LOG_KEY_ROTATION, &[old.public_key().as_bytes(), new.as_bytes()]);
    Rotation { old: old.public_key(), new: *new, signature }
}

/// Whether a client that remembers `pinned` may accept `current`: all rotations hold together and lead to `current`
/// (HEAD-007), and `pinned` is on that path (HEAD-004). At first contact, `pinned` is `current`.
///
/// # Errors
/// What is wrong first, with the index of the rotation at fault.
pub fn follow_rotations(
    pinned: &PublicKey,
    current: &PublicKey,
    rotations: &[Rotation],
) -> Result<(), RotationError> {
    let mut before: Option<&PublicKey> = None;
    for (index, rotation) in rotations.iter().enumerate() {
        if before.is_some_and(|key| *key != rotation.old) {
            return Err(RotationError::Broken(index));
        }
        rotation.verify().map_err(|SignatureInvalid| RotationError::SignatureInvalid(index))?;
        before = Some(&rotation.new);
    }
    if before.is_some_and(|key| key != current) {
        return Err(RotationError::WrongEnd);
    }
    let known = pinned == current || rotations.iter().any(|rotation| rotation.old == *pinned);
    if known { Ok(()) } else { Err(RotationError::Unrelated) }
}

impl Rotation {
    fn verify(&self) -> Result<(), SignatureInvalid> {
        let fields: [&[u8]; 2] = [self.old.as_bytes(), self.new.as_bytes()];
        self.old.verify(label::LOG_KEY_ROTATION, &fields, &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn public(byte: u8) -> PublicKey {
        key(byte).public_key()
    }

    fn rotation(old: u8, new: u8) -> Rotation {
        sign_rotation(&key(old), &public(new))
    }

    // cites: HEAD-001
    #[test]
    fn a_head_verifies_under_the_log_key_over_its_bytes_alone() {
        let signature = sign_head(&key(1), b"statement");
        assert_eq!(verify_head(&public(1), b"statement", &signature), Ok(()));
        assert_eq!(verify_head(&public(1), b"Statement", &signature), Err(SignatureInvalid));
        assert_eq!(verify_head(&public(2), b"statement", &signature), Err(SignatureInvalid));
    }

    // cites: HEAD-004, HEAD-007
    #[test]
    fn a_key_is_followed_from_anywhere_on_the_path() {
        let path = [rotation(1, 2), rotation(2, 3)];
        for pinned in 1..=3 {
            assert_eq!(follow_rotations(&public(pinned), &public(3), &path), Ok(()), "{pinned}");
        }
        assert_eq!(follow_rotations(&public(1), &public(1), &[]), Ok(()));
    }

    // cites: HEAD-004, HEAD-007
    #[test]
    fn every_gap_in_the_path_is_refused() {
        use RotationError::{Broken, SignatureInvalid, Unrelated, WrongEnd};
        let forged = Rotation { old: public(1), ..rotation(9, 2) };
        let cases: [(&[Rotation], RotationError); 6] = [
            (&[], Unrelated),
            (&[rotation(8, 2)], Unrelated),
            (&[forged], SignatureInvalid(0)),
            (&[rotation(1, 3), forged], Broken(1)),
            (&[rotation(1, 3), Rotation { new: public(2), ..rotation(3, 4) }], SignatureInvalid(1)),
            (&[rotation(1, 3)], WrongEnd),
        ];
        for (rotations, expected) in cases {
            assert_eq!(follow_rotations(&public(1), &public(2), rotations), Err(expected));
        }
        assert_eq!(follow_rotations(&public(1), &public(1), &[rotation(1, 2)]), Err(WrongEnd));
    }
}
