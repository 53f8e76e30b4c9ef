//! The fixed keys, ids, nonces and times of the vectors: bytes that count up, so that they are recognised in hex.

use aside_crypto::{Signature, SigningKey, label::labeled};
use aside_proto::id::uuid_v7;
use p256::ecdsa::{self, signature::Signer as _};

/// 2026-01-01T00:00:00Z.
pub(super) const TIME_MS: u64 = 1_767_225_600_000;

/// The name that was dialled.
pub(super) const SERVER_NAME: &str = "chat.example";

/// `first`, `first` + 1, …, modulo 256.
pub(super) const fn counting<const N: usize>(first: u8) -> [u8; N] {
    let mut bytes = [first; N];
    let mut i = 1;
    while i < N {
        bytes[i] = bytes[i - 1].wrapping_add(1);
        i += 1;
    }
    bytes
}

/// The private key whose bytes are `counting(first)`.
pub(super) fn key(first: u8) -> SigningKey {
    SigningKey::from_bytes(&counting(first)).expect("only a first byte of 0xff could reach n")
}

/// Alice's device key.
pub(super) fn alice_key() -> SigningKey {
    key(0x01)
}

/// The key of Bob's device.
pub(super) fn bob_key() -> SigningKey {
    key(0x21)
}

/// The server's log key.
pub(super) fn log_key() -> SigningKey {
    key(0x41)
}

/// A UUIDv7 made `after_ms` after [`TIME_MS`], its random part all `fill`.
pub(super) fn id(after_ms: u64, fill: u8) -> [u8; 16] {
    uuid_v7(TIME_MS + after_ms, [fill; 10])
}

/// n, the order of P-256.
pub(super) const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The signature with n - s for s: as good as the one given (CONV-005), and high where that one is low.
pub(super) fn other_s(signature: &Signature) -> [u8; 64] {
    let mut other = *signature.as_bytes();
    let mut borrow = 0;
    for i in (0..32).rev() {
        let digit = i16::from(ORDER[i]) - i16::from(other[32 + i]) - borrow;
        borrow = i16::from(digit < 0);
        other[32 + i] = digit.rem_euclid(256) as u8;
    }
    other
}

/// A signature over `Label(label, fields…)` for vectors that aside-crypto would not make (RFC 6979).
pub(super) fn sign_labeled(key: &SigningKey, label: &str, fields: &[&[u8]]) -> Vec<u8> {
    let key = ecdsa::SigningKey::from_slice(&*key.to_bytes()).expect("it is a key already");
    let signature: ecdsa::Signature = key.sign(&labeled(label, fields));
    signature.to_bytes().to_vec()
}

/// The bytes of a constant in hex.
pub(super) fn unhex<const N: usize>(constant: &str) -> [u8; N] {
    let mut bytes = [0; N];
    hex::decode_to_slice(constant, &mut bytes).expect("the constant is hex of that length");
    bytes
}

/// Whether s is above n / 2.
pub(super) fn is_high(signature: &[u8; 64]) -> bool {
    let other = Signature::try_from(&signature[..]).map(|s| other_s(&s));
    other.is_ok_and(|other| signature[32..] > other[32..])
}

/// The bytes with one bit of byte `at` flipped.
pub(super) fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}
