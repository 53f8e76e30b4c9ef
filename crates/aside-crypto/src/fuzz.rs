//! The bodies of the fuzz targets: each takes any bytes and panics if an invariant does not hold.
//!
//! They are here, and not with the targets, so that corpora are replayed and random inputs tried by `cargo test`.

mod log_model;

pub use log_model::device_log;

use aside_proto::id::UserId;

use crate::{Certificate, DeviceLog, Identity, RecoveryPhrase, Scanned, compare_qr, qr_payload};

/// What is read from strangers and from keyboards, by the first byte: a certificate, a genesis, a phrase, a QR code.
///
/// # Panics
/// If what was read is not the same when it is written and read again.
pub fn identity_decoding(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 4 {
        0 => {
            if let Ok(certificate) = Certificate::decode(data) {
                assert_eq!(certificate.as_bytes(), data);
                assert_eq!(Certificate::decode(certificate.as_bytes()), Ok(certificate));
            }
        }
        1 => {
            let user = UserId::new(log_model::USER);
            if let Ok(log) = DeviceLog::begin(user, data) {
                assert_eq!((log.head().position, log.active().count()), (0, 1));
                assert_eq!(log.hash_at(0), Some(&log.identity().genesis));
            }
        }
        2 => {
            let text = String::from_utf8_lossy(data);
            if let Ok(phrase) = RecoveryPhrase::parse(&text) {
                assert_eq!(RecoveryPhrase::parse(&phrase.reveal()), Ok(phrase));
            }
        }
        _ => {
            let identity = |n| Identity { user: UserId::new([n; 16]), genesis: [n; 32] };
            let (scanner, shower) = (identity(1), identity(2));
            let matches = compare_qr(data, &scanner, &shower) == Scanned::Match;
            assert_eq!(matches, data == qr_payload(&shower, &scanner));
        }
    }
}

/// Takes bytes off the input; 0 once there are none.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// As many bytes as are asked for, or as there are.
    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One operation, most of them such as are accepted: what is tried, who signs (6 is the account key), and what of.
    fn operation() -> impl Strategy<Value = Vec<u8>> {
        let tried = prop_oneof![12 => Just(0x80), 1 => (0_u8..4).prop_map(|kind| kind << 5)];
        let signer = prop_oneof![4 => Just(0), 4 => 1_u8..4, 2 => 0_u8..6, 3 => Just(6)];
        let add = (signer.clone(), 0_u8..6).prop_map(|(by, device)| vec![0, by, device]);
        let revoke =
            (signer, 0_u8..4, 0_u8..9).prop_map(|(by, device, from)| vec![2, by, device, from]);
        let whole = (0_u8..64).prop_map(|devices| vec![3, 6, devices]);
        let renew = (0_u8..4, 0_u8..3).prop_map(|(device, with)| vec![4, device, device, with]);
        (tried, prop_oneof![6 => add, 3 => revoke, 1 => renew, 1 => whole]).prop_map(
            |(tried, mut bytes)| {
                bytes[0] |= tried;
                bytes
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        // cites: DLOG-003, DLOG-005, DLOG-006, DLOG-007, DLOG-008, DLOG-010, DLOG-014, DLOG-017, DLOG-018, DLOG-020, TRUST-002
        #[test]
        fn a_log_is_what_its_history_says(operations in prop::collection::vec(operation(), 8..20)) {
            device_log(&operations.concat());
        }

        #[test]
        fn strange_bytes_are_refused(data in prop::collection::vec(any::<u8>(), 0..200)) {
            identity_decoding(&data);
        }
    }

    #[test]
    fn a_code_that_matches_does_so_in_the_body_too() {
        let identity = |n| Identity { user: UserId::new([n; 16]), genesis: [n; 32] };
        identity_decoding(&[&[3][..], &qr_payload(&identity(2), &identity(1))].concat());
    }
}
