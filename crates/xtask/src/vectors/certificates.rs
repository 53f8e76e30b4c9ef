//! certificates.json.

use aside_crypto::{
    Certificate, MAX_CERTIFICATE_BYTES, MlsKey, SUITE_P256, SUITE_P384, Signature, SigningKey,
    label,
};
use aside_proto::{
    id::{DeviceId, UserId},
    v1,
};
use prost::Message as _;
use serde_json::Value;

use super::{
    file::{File, Vector},
    material::{alice_key, bob_key, counting, flipped, id, key, other_s, sign_labeled},
};

const DESCRIPTION: &str = "Device certificates as any reader judges them. Reasons, checked in this order: long, malformed, key (of \
    log-in), id, mls-keys, signature. Where private_key is given, the signature is the one of RFC 6979.";

pub(super) fn file() -> File {
    File::new(
        "certificates",
        DESCRIPTION,
        valid().into_iter().chain(invalid()).chain(not_canonical()).collect(),
    )
}

/// Alice's user id.
pub(super) fn user() -> UserId {
    UserId::new(id(1, 0xa1))
}

/// The keys of a device for both suites: points that belong to nobody, since only MLS would ask.
pub(super) fn mls_keys(first: u8) -> Vec<MlsKey> {
    let of = |suite, public_key| MlsKey { suite, public_key };
    let p384 = [&[4][..], &counting::<96>(first)].concat();
    vec![of(SUITE_P256, key(first).public_key().as_bytes().to_vec()), of(SUITE_P384, p384)]
}

fn device() -> DeviceId {
    DeviceId::new(id(1, 0xd1))
}

fn usual() -> Certificate {
    Certificate::issue(user(), device(), &alice_key(), &mls_keys(0x61)).expect("it is complete")
}

fn statement() -> v1::DeviceStatement {
    let parts =
        v1::DeviceCertificate::decode(usual().as_bytes().clone()).expect("it was made here");
    v1::DeviceStatement::decode(parts.statement).expect("it was made here")
}

/// A statement of any bytes, signed by the key as a certificate's is.
fn signed(statement: Vec<u8>, key: &SigningKey) -> Vec<u8> {
    let signature = sign(&statement, key);
    with_signature(statement, &signature)
}

/// The signature that Certificate::issue makes, for statements that it would refuse.
fn sign(statement: &[u8], key: &SigningKey) -> Vec<u8> {
    sign_labeled(key, label::DEVICE_CERTIFICATE, &[statement])
}

fn with_signature(statement: Vec<u8>, signature: &[u8]) -> Vec<u8> {
    let signature = signature.to_vec().into();
    v1::DeviceCertificate { statement: statement.into(), signature }.encode_to_vec()
}

fn vector(id: &str, requirements: &[&str], certificate: &[u8]) -> Vector {
    Vector::new(id, requirements).bytes("certificate", certificate)
}

fn valid() -> Vec<Value> {
    let accept = |id: &str, requirements: &[&str], certificate: &[u8]| {
        let read = Certificate::decode(certificate).expect("the vector is valid");
        let suites: Vec<_> = read.mls_keys().iter().map(|key| key.suite).collect();
        vector(id, requirements, certificate)
            .bytes("private_key", *alice_key().to_bytes())
            .bytes("user_id", read.user().as_bytes())
            .bytes("device_id", read.device().as_bytes())
            .bytes("login_key", read.login_key().as_bytes())
            .with("suites", suites)
            .valid()
    };
    let one = Certificate::issue(user(), device(), &alice_key(), &mls_keys(0x61)[..1]);
    let later = MlsKey { suite: 0x00f0, public_key: vec![7; 1952] };
    let three = [mls_keys(0x61), vec![later]].concat();
    let three = Certificate::issue(user(), device(), &alice_key(), &three);
    let [one, three] = [one, three].map(|made| made.expect("it is complete"));
    let high = {
        let bytes = statement().encode_to_vec();
        let signature = Signature::try_from(&sign(&bytes, &alice_key())[..]).expect("64 bytes");
        with_signature(bytes, &other_s(&signature))
    };
    let read = Certificate::decode(&high).expect("CONV-005");
    vec![
        accept("both-suites", &["CERT-001", "CERT-002", "CERT-003"], usual().as_bytes()),
        accept("one-suite", &["CERT-004"], one.as_bytes()),
        accept("a-suite-of-later", &["CERT-004"], three.as_bytes()),
        vector("other-s", &["CONV-005"], &high)
            .bytes("user_id", read.user().as_bytes())
            .bytes("device_id", read.device().as_bytes())
            .bytes("login_key", read.login_key().as_bytes())
            .with("suites", [SUITE_P256, SUITE_P384].as_slice())
            .valid(),
    ]
}

/// What some decoders of Protobuf read, and read in different ways.
fn not_canonical() -> Vec<Value> {
    let statement = statement().encode_to_vec();
    let certificate = usual().as_bytes().to_vec();
    // user_id and device_id are 18 bytes each with key and length, login_key is 67; the first MLS key begins at 103 with `22 47 08 02`.
    let (ids, keys) = (&statement[..36], &statement[36..]);
    let (before_suite, after_suite) = (&statement[..105], &statement[107..]);
    let refuse = |id: &str, certificate: &[u8]| {
        vector(id, &["CERT-006", "CONV-008"], certificate).invalid("malformed")
    };
    let stated = |id: &str, parts: &[&[u8]]| refuse(id, &signed(parts.concat(), &alice_key()));
    // With the length of the MLS key around it.
    let suite = |id: &str, suite: &[u8]| {
        let length = 0x45 + suite.len() as u8;
        let before = [&before_suite[..104], &[length]].concat();
        stated(id, &[&before, suite, after_suite])
    };
    vec![
        stated("a-field-of-later", &[&statement, b"\xa2\x01\x05later"]),
        stated("a-field-twice", &[&ids[..18], &statement]),
        stated("fields-out-of-order", &[&ids[18..], &ids[..18], keys]),
        stated("a-field-of-another-wire-type", &[&statement[..18], &[0x10, 1], &statement[18..]]),
        suite("suite-of-another-wire-type", &[0x0d, 2, 0, 0, 0]),
        suite("suite-beyond-32-bits", &[0x08, 0x82, 0x80, 0x80, 0x80, 0x10]),
        suite("suite-in-two-bytes", &[0x08, 0x82, 0x00]),
        suite("suite-twice", &[0x08, 0x02, 0x08, 0x02]),
        stated("a-key-of-two-bytes", &[&[0x8a, 0x00], &statement[1..]]),
        refuse("statement-twice", &[&certificate[..certificate.len() - 66], &certificate].concat()),
        refuse("a-field-of-later-around-it", &[&certificate[..], b"\x1a\x05later"].concat()),
    ]
}

fn invalid() -> Vec<Value> {
    let refuse = |id: &str, requirement: &str, certificate: &[u8], reason: &str| {
        vector(id, &[requirement], certificate).invalid(reason)
    };
    let stated = |id: &str, requirement: &str, statement: v1::DeviceStatement, reason: &str| {
        refuse(id, requirement, &signed(statement.encode_to_vec(), &alice_key()), reason)
    };
    let mls = |id: &str, change: &dyn Fn(&mut Vec<v1::MlsSignatureKey>)| {
        let mut statement = statement();
        change(&mut statement.mls_keys);
        let requirement = if id == "nine-suites" { "CERT-005" } else { "CERT-004" };
        stated(id, requirement, statement, "mls-keys")
    };
    let bytes = statement().encode_to_vec();
    let good = sign(&bytes, &alice_key());
    let of_suite = |suite: u32, length: usize| v1::MlsSignatureKey {
        suite,
        public_key: vec![4; length].into(),
    };
    let long = v1::DeviceStatement {
        mls_keys: [statement().mls_keys, vec![of_suite(0x00f0, MAX_CERTIFICATE_BYTES)]].concat(),
        ..statement()
    };
    let mut off_curve = statement().login_key.to_vec();
    off_curve[64] ^= 1;
    vec![
        refuse("empty", "CERT-001", b"", "key"),
        refuse("no-protobuf", "CERT-001", b"\xff\xff", "malformed"),
        refuse(
            "statement-cut",
            "CERT-001",
            &with_signature(bytes[..bytes.len() - 1].to_vec(), &good),
            "malformed",
        ),
        stated("too-long", "CERT-005", long, "long"),
        stated(
            "user-id-of-15-bytes",
            "CERT-002",
            v1::DeviceStatement { user_id: vec![1; 15].into(), ..statement() },
            "id",
        ),
        stated(
            "no-device-id",
            "CERT-002",
            v1::DeviceStatement { device_id: Vec::new().into(), ..statement() },
            "id",
        ),
        stated(
            "login-key-off-curve",
            "CERT-002",
            v1::DeviceStatement { login_key: off_curve.into(), ..statement() },
            "key",
        ),
        mls("no-suites", &|keys| keys.clear()),
        mls("without-0x0002", &|keys| drop(keys.remove(0))),
        mls("a-suite-twice", &|keys| keys.push(keys[1].clone())),
        mls("suite-0", &|keys| keys.push(of_suite(0, 65))),
        mls("suite-65536", &|keys| keys.push(of_suite(65_536, 65))),
        mls("key-of-64-bytes", &|keys| keys[0] = of_suite(2, 64)),
        mls("p384-key-of-65-bytes", &|keys| keys[1] = of_suite(7, 65)),
        mls("compressed-key", &|keys| keys[0].public_key = [&[2][..], &[4; 64]].concat().into()),
        mls("empty-key-of-a-suite-of-later", &|keys| keys.push(of_suite(0x00f0, 0))),
        mls("nine-suites", &|keys| keys.extend((0xf0..0xf7).map(|suite| of_suite(suite, 1)))),
        refuse("signed-by-another", "CERT-003", &signed(bytes.clone(), &bob_key()), "signature"),
        refuse(
            "bit-flipped",
            "CERT-003",
            &with_signature(bytes.clone(), &flipped(&good, 40)),
            "signature",
        ),
        refuse(
            "signature-of-63-bytes",
            "CERT-003",
            &with_signature(bytes.clone(), &good[..63]),
            "signature",
        ),
        refuse("no-signature", "CERT-003", &with_signature(bytes.clone(), b""), "signature"),
        refuse(
            "signed-as-something-else",
            "CERT-003",
            &with_signature(
                bytes.clone(),
                &sign_labeled(&alice_key(), label::DEVICE_LOG_ENTRY, &[&bytes]),
            ),
            "signature",
        ),
    ]
}
