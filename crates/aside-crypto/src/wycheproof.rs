//! Wycheproof's vectors for the primitives, by the parameters with which this crate uses them.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use wycheproof::{TestResult, ecdsa, hkdf as hkdf_vectors, mac};

use crate::{PublicKey, Signature};

/// Signatures of r and s, 32 bytes each, over SHA-256.
// cites: CONV-001, CONV-005
#[test]
fn ecdsa_p256() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut judged = [0, 0];
    for group in set.test_groups {
        let key = PublicKey::from_bytes(&group.key.key).unwrap();
        for test in group.tests {
            let hash = Sha256::digest(&test.msg).into();
            let signature = Signature::try_from(&test.sig[..]).ok();
            let verifies = signature.is_some_and(|it| key.verify_hash(&hash, &it).is_ok());
            let by_p256 = signature.is_some_and(|it| key.verify_by_p256(&hash, &it).is_ok());
            assert_eq!(verifies, by_p256, "wherever Aside runs, {}", test.tc_id);
            assert_eq!(verifies, test.result == TestResult::Valid, "{}", test.tc_id);
            judged[usize::from(verifies)] += 1;
        }
    }
    assert!(judged.iter().all(|count| *count > 20), "{judged:?}");
}

#[test]
fn hkdf_sha256() {
    let set = hkdf_vectors::TestSet::load(hkdf_vectors::TestName::HkdfSha256).unwrap();
    let mut judged = [0, 0];
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let mut derived = vec![0; test.size];
        let expanded =
            Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut derived);
        let holds = expanded.is_ok() && derived == test.okm[..];
        assert_eq!(holds, test.result == TestResult::Valid, "{}", test.tc_id);
        judged[usize::from(holds)] += 1;
    }
    assert!(judged.iter().all(|count| *count > 0), "{judged:?}");
}

#[test]
fn hmac_sha256() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let mut judged = [0, 0];
    for group in set.test_groups {
        // Aside never cuts a tag.
        for test in group.tests.into_iter().filter(|_| group.tag_size == 256) {
            let mut mac = Hmac::<Sha256>::new_from_slice(&test.key).unwrap();
            mac.update(&test.msg);
            let holds = mac.verify_slice(&test.tag).is_ok();
            assert_eq!(holds, test.result == TestResult::Valid, "{}", test.tc_id);
            judged[usize::from(holds)] += 1;
        }
    }
    assert!(judged.iter().all(|count| *count > 20), "{judged:?}");
}
