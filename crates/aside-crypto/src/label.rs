//! Labels: what every hash and every signature begins with (CONV-003).
//!
//! ```text
//! Label(label, f1, … fn) =  u8(n1) ‖ "aside/1 " ‖ label ‖ u32(len f1) ‖ f1 ‖ … ‖ u32(len fn) ‖ fn
//! ```
//!
//! `n1` is the length of `"aside/1 " ‖ label`; the lengths of fields are big-endian.

use sha2::{Digest as _, Sha256};

use crate::Hash;

/// Signed by the device key: binding type, binding, server name, server nonce, client nonce, public key.
pub const DEVICE_BIND: &str = "device-bind";
/// Signed by the device key: binding type, binding, server name, server nonce, client nonce, device id.
pub const DEVICE_LOGIN: &str = "device-login";
/// Hashed: salt, payload.
pub const PAYLOAD: &str = "payload";
/// Signed by the device key: conversation id, message id, user id, device id, payload hash.
pub const MESSAGE: &str = "message";
/// Hashed: conversation id.
pub const CHAIN_START: &str = "chain-start";
/// Hashed: chain value before, header, payload hash.
pub const CHAIN: &str = "chain";
/// Signed by the log key: statement.
pub const HEAD: &str = "head";
/// Signed by the old log key: old key, new key.
pub const LOG_KEY_ROTATION: &str = "log-key-rotation";
/// Hashed: a token's secret.
pub const TOKEN: &str = "token";
/// Info of HKDF, the secret being the entropy: no fields.
pub const ACCOUNT_KEY: &str = "account-key";
/// Hashed: the entropy of a recovery phrase.
pub const RECOVERY_CHECK: &str = "recovery-check";
/// Signed by the device key: statement.
pub const DEVICE_CERTIFICATE: &str = "device-certificate";
/// Signed by a device key or the account key: statement.
pub const DEVICE_LOG_ENTRY: &str = "device-log-entry";
/// Hashed: statement.
pub const DEVICE_LOG: &str = "device-log";
/// Hashed: version, the user id and genesis hash of one user, and those of the other.
pub const SAFETY_NUMBER: &str = "safety-number";
/// Hashed: the hash before.
pub const SAFETY_NUMBER_ROUND: &str = "safety-number-round";
/// Info of HKDF, the secret being the last hash: no fields.
pub const SAFETY_NUMBER_DIGITS: &str = "safety-number-digits";
/// Hashed: user id, certificate, nonce.
pub const APPROVAL_COMMITMENT: &str = "approval-commitment";
/// Hashed: user id, certificate, both nonces, genesis hash, position, hash at that position.
pub const APPROVAL_CODE: &str = "approval-code";
/// Message of HMAC: content.
pub const FRANKING: &str = "franking";
/// Hashed: an MLS message's clear header.
pub const MLS_HEADER: &str = "mls-header";

/// Associated data of a value that a client seals in its store: table, conversation id or nothing, key of the row.
pub const STORE_VALUE: &str = "store-value";
/// Associated data of the sealed data key of a client's store: guard, salt, cost.
pub const STORE_KEY: &str = "store-key";
/// Message of HMAC, the key being a client's data key: no fields. It gives the key of pseudonyms for what messages refer to.
pub const STORE_REFERENCE: &str = "store-reference";

/// Hashed: the lower user id, the higher one.
pub const DIRECT: &str = "direct";

const PREFIX: &str = "aside/1 ";

/// The bytes of `Label(label, fields…)`, for whoever shows or checks them; [`hash`] needs no copy.
///
/// # Panics
/// If the label is above 247 bytes or a field above 4 GiB: labels are constants, and frames bound the fields.
#[must_use]
pub fn labeled(label: &str, fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    feed(label, fields, |part| bytes.extend_from_slice(part));
    bytes
}

/// SHA-256 over `Label(label, fields…)`.
///
/// # Panics
/// As [`labeled`].
#[must_use]
pub fn hash(label: &str, fields: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    feed(label, fields, |part| hasher.update(part));
    hasher.finalize().into()
}

fn feed(label: &str, fields: &[&[u8]], mut sink: impl FnMut(&[u8])) {
    let length = u8::try_from(PREFIX.len() + label.len()).expect("labels are short constants");
    sink(&[length]);
    sink(PREFIX.as_bytes());
    sink(label.as_bytes());
    for field in fields {
        let length = u32::try_from(field.len()).expect("frames bound fields far below 4 GiB");
        sink(&length.to_be_bytes());
        sink(field);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // cites: CONV-003
    #[test]
    fn the_encoding_is_that_of_the_specification() {
        assert_eq!(
            labeled("chain", &[b"ab", b""]),
            b"\x0daside/1 chain\x00\x00\x00\x02ab\x00\x00\x00\x00"
        );
        assert_eq!(labeled("head", &[]), b"\x0caside/1 head");
    }

    fn fields() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..4)
    }

    proptest! {
        // cites: CONV-003
        #[test]
        fn different_inputs_have_different_encodings(
            one in ("[a-c]{1,3}", fields()),
            two in ("[a-c]{1,3}", fields()),
        ) {
            let encode = |(label, fields): &(String, Vec<Vec<u8>>)| {
                labeled(label, &fields.iter().map(Vec::as_slice).collect::<Vec<_>>())
            };
            prop_assert_eq!(encode(&one) == encode(&two), one == two);
        }

        #[test]
        fn hashing_streams_the_same_bytes(label in "[a-z-]{1,20}", fields in fields()) {
            let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            let expected: Hash = Sha256::digest(labeled(&label, &fields)).into();
            prop_assert_eq!(hash(&label, &fields), expected);
        }
    }
}
