//! labels.json.

use aside_crypto::label::{self, TOKEN, hash, labeled};
use serde_json::Value;

use super::{
    file::{File, Vector, hex},
    material::{SERVER_NAME, alice_key, counting, id, key, log_key},
};

const DESCRIPTION: &str = "Label(label, fields) and its SHA-256. Fields and results are hex. \
    An invalid vector shows an encoding that is not Label(label, fields): a mistake to check against.";

const REQUIREMENTS: &[&str] = &["CONV-003"];
const OF_A_TOKEN: &[&str] = &["CONV-003", "TOKEN-002"];

pub(super) fn file() -> File {
    File::new("labels", DESCRIPTION, valid().chain(mistakes()).collect())
}

fn valid() -> impl Iterator<Item = Value> {
    let (server_nonce, client_nonce, hashed) =
        (counting::<32>(0x50), counting::<32>(0xc0), counting::<32>(0x80));
    let (alice, log, next) =
        (alice_key().public_key(), log_key().public_key(), key(0x61).public_key());
    let binding = counting::<32>(0x90);
    let name = SERVER_NAME.as_bytes();
    let ids: Vec<[u8; 16]> = (1..=4).map(|n| id(0, n)).collect();
    let cases: Vec<(&str, &str, Vec<&[u8]>)> = vec![
        ("no-fields", label::HEAD, vec![]),
        ("empty-field", label::HEAD, vec![b""]),
        (
            "device-bind",
            label::DEVICE_BIND,
            vec![&[2], &binding, name, &server_nonce, &client_nonce, alice.as_bytes()],
        ),
        (
            "device-login-without-binding",
            label::DEVICE_LOGIN,
            vec![&[3], b"", name, &server_nonce, &client_nonce, &ids[0]],
        ),
        ("payload", label::PAYLOAD, vec![&hashed, b"\x0a\x04\x0a\x02hi"]),
        ("message", label::MESSAGE, vec![&ids[0], &ids[1], &ids[2], &ids[3], &hashed]),
        ("chain-start", label::CHAIN_START, vec![&ids[0]]),
        ("chain", label::CHAIN, vec![&hashed, b"header", &server_nonce]),
        ("head", label::HEAD, vec![b"statement"]),
        ("log-key-rotation", label::LOG_KEY_ROTATION, vec![log.as_bytes(), next.as_bytes()]),
        ("token", TOKEN, vec![&hashed]),
        ("token-of-zeros", TOKEN, vec![&[0; 32]]),
        ("account-key", label::ACCOUNT_KEY, vec![]),
        ("recovery-check", label::RECOVERY_CHECK, vec![&ids[0]]),
        ("device-certificate", label::DEVICE_CERTIFICATE, vec![b"statement"]),
        ("device-log-entry", label::DEVICE_LOG_ENTRY, vec![b"statement"]),
        ("device-log", label::DEVICE_LOG, vec![b"statement"]),
        (
            "safety-number",
            label::SAFETY_NUMBER,
            vec![&[1], &ids[0], &hashed, &ids[1], &server_nonce],
        ),
        ("safety-number-round", label::SAFETY_NUMBER_ROUND, vec![&hashed]),
        ("safety-number-digits", label::SAFETY_NUMBER_DIGITS, vec![]),
        (
            "approval-commitment",
            label::APPROVAL_COMMITMENT,
            vec![&ids[0], b"certificate", &client_nonce],
        ),
        (
            "approval-code",
            label::APPROVAL_CODE,
            vec![
                &ids[0],
                b"certificate",
                &client_nonce,
                &server_nonce,
                &hashed,
                &[0, 0, 0, 2],
                &binding,
            ],
        ),
        ("direct", label::DIRECT, vec![&ids[0], &ids[1]]),
        ("franking", label::FRANKING, vec![b"\x0a\x04\x0a\x02hi"]),
    ];
    let vectors: Vec<_> = cases
        .iter()
        .map(|(name, label, fields)| {
            vector(name, label, fields)
                .bytes("labeled", labeled(label, fields))
                .bytes("sha256", hash(label, fields))
                .valid()
        })
        .collect();
    vectors.into_iter()
}

/// Label("head", 01 02, 03), encoded wrongly.
fn mistakes() -> impl Iterator<Item = Value> {
    let cases: [(&str, &[u8]); 7] = [
        ("lengths-little-endian", b"\x0caside/1 head\x02\0\0\0\x01\x02\x01\0\0\0\x03"),
        ("lengths-of-two-bytes", b"\x0caside/1 head\0\x02\x01\x02\0\x01\x03"),
        ("no-lengths", b"\x0caside/1 head\x01\x02\x03"),
        ("no-length-of-label", b"aside/1 head\0\0\0\x02\x01\x02\0\0\0\x01\x03"),
        ("length-of-label-without-prefix", b"\x04aside/1 head\0\0\0\x02\x01\x02\0\0\0\x01\x03"),
        ("no-prefix", b"\x04head\0\0\0\x02\x01\x02\0\0\0\x01\x03"),
        ("fields-run-together", b"\x0caside/1 head\0\0\0\x03\x01\x02\x03"),
    ];
    cases.into_iter().map(|(name, wrong)| {
        vector(name, label::HEAD, &[&[1, 2], &[3]]).bytes("labeled", wrong).invalid("encoding")
    })
}

fn vector(name: &str, label: &str, fields: &[&[u8]]) -> Vector {
    let fields: Vec<Value> = fields.iter().map(hex).collect();
    let requirements = if label == TOKEN { OF_A_TOKEN } else { REQUIREMENTS };
    Vector::new(name, requirements).with("label", label).with("fields", fields)
}
