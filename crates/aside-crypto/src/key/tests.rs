use proptest::prelude::*;

use super::*;

/// n, the order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

/// a - b, for a >= b.
fn subtract(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    let mut difference = [0; 32];
    let mut borrow = 0;
    for i in (0..32).rev() {
        let digit = i16::from(a[i]) - i16::from(b[i]) - borrow;
        borrow = i16::from(digit < 0);
        difference[i] = digit.rem_euclid(256) as u8;
    }
    difference
}

#[test]
fn debug_shows_no_secret() {
    insta::assert_snapshot!(format!("{:?}", key(0x42)), @"SigningKey(..)");
}

// cites: CONV-002
#[test]
fn only_uncompressed_points_on_the_curve_are_public_keys() {
    let good = *key(1).public_key().as_bytes();
    assert_eq!(PublicKey::from_bytes(&good).map(|k| *k.as_bytes()), Ok(good));

    let with_form = |form: u8| {
        let mut bytes = good;
        bytes[0] = form;
        PublicKey::from_bytes(&bytes)
    };
    for form in [0, 2, 3, 5, 6, 7] {
        assert_eq!(with_form(form), Err(KeyError::PublicForm), "{form:#04x}");
    }
    let mut off_curve = good;
    off_curve[64] ^= 1;
    assert_eq!(PublicKey::from_bytes(&off_curve), Err(KeyError::NotOnCurve));
    let mut beyond_field = [0xff; 65];
    beyond_field[0] = UNCOMPRESSED;
    assert_eq!(PublicKey::from_bytes(&beyond_field), Err(KeyError::NotOnCurve));
    let mut zeros = [0; 65];
    zeros[0] = UNCOMPRESSED;
    assert_eq!(PublicKey::from_bytes(&zeros), Err(KeyError::NotOnCurve));

    let mut compressed = good[..33].to_vec();
    compressed[0] = 2 | good[64] & 1;
    assert_eq!(PublicKey::from_bytes(&compressed), Err(KeyError::PublicLength(33)));
    assert_eq!(PublicKey::from_bytes(&[0]), Err(KeyError::PublicLength(1)), "infinity");
}

#[test]
fn private_keys_are_numbers_in_range() {
    let refused = Err(KeyError::PrivateOutOfRange);
    assert_eq!(SigningKey::from_bytes(&[0; 32]).map(|_| ()), refused);
    assert_eq!(SigningKey::from_bytes(&ORDER).map(|_| ()), refused);
    assert_eq!(*key(5).to_bytes(), [5; 32]);
}

#[test]
fn generating_asks_again_for_what_is_no_key() {
    let mut draws = [[0xff; 32], [0; 32], [9; 32]].into_iter();
    let generated = SigningKey::generate(&mut |out| out.copy_from_slice(&draws.next().unwrap()));
    assert_eq!(*generated.to_bytes(), [9; 32]);
}

// cites: CONV-005
#[test]
fn r_and_s_out_of_range_are_refused() {
    let signature = key(1).sign("head", &[b"x"]);
    for (half, name) in [(0..32, "r"), (32..64, "s")] {
        for value in [[0; 32], ORDER, [0xff; 32]] {
            let mut broken = signature;
            broken.0[half.clone()].copy_from_slice(&value);
            let result = key(1).public_key().verify("head", &[b"x"], &broken);
            assert_eq!(result, Err(SignatureInvalid), "{name}");
        }
    }
}

// cites: CONV-001
#[test]
fn a_signature_is_64_bytes() {
    for length in [0, 63, 65, 72] {
        assert_eq!(Signature::try_from(&vec![1; length][..]), Err(SignatureLengthError(length)));
    }
}

// cites: CONV-003, CONV-005
#[test]
fn signatures_are_judged_as_the_vectors_say() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/ecdsa.json");
    let file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let bytes = |value: &serde_json::Value| hex::decode(value.as_str().unwrap()).unwrap();
    for vector in file["vectors"].as_array().unwrap() {
        let fields: Vec<_> = vector["fields"].as_array().unwrap().iter().map(bytes).collect();
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let label = vector["label"].as_str().unwrap();
        let signature = Signature::try_from(&bytes(&vector["signature"])[..]);
        if let Some(private) = vector.get("private_key") {
            let key = SigningKey::from_bytes(&bytes(private).try_into().unwrap()).unwrap();
            assert_eq!(Ok(key.sign(label, &fields)), signature, "{}: RFC 6979", vector["id"]);
        }
        let public = PublicKey::from_bytes(&bytes(&vector["public_key"])).unwrap();
        let error = match signature {
            Err(SignatureLengthError(_)) => Some("INVALID_ARGUMENT"),
            Ok(signature) => {
                public.verify(label, &fields, &signature).err().map(|SignatureInvalid| "signature")
            }
        };
        assert_eq!(error, vector["error"].as_str(), "{}", vector["id"]);
    }
}

proptest! {
    // cites: CONV-003, CONV-005
    #[test]
    fn a_signature_verifies_for_its_key_label_and_fields_alone(
        secret in 1_u8..=0xfe,
        message in prop::collection::vec(any::<u8>(), 0..100),
        bit in 0_usize..512,
    ) {
        let (signer, public) = (key(secret), key(secret).public_key());
        let signature = signer.sign("head", &[&message]);
        prop_assert_eq!(signer.sign("head", &[&message]), signature, "deterministic");
        prop_assert_eq!(public.verify("head", &[&message], &signature), Ok(()));

        let mut other_s = signature;
        let s = signature.0[32..].try_into().unwrap();
        other_s.0[32..].copy_from_slice(&subtract(ORDER, s));
        prop_assert_eq!(public.verify("head", &[&message], &other_s), Ok(()), "n - s");

        let mut flipped = signature;
        flipped.0[bit / 8] ^= 1 << (bit % 8);
        let wrong = [
            public.verify("head", &[&message], &flipped),
            public.verify("chain", &[&message], &signature),
            public.verify("head", &[&message, b""], &signature),
            key(0xff - secret).public_key().verify("head", &[&message], &signature),
        ];
        prop_assert_eq!(wrong, [Err(SignatureInvalid); 4]);
    }
}
