//! ecdsa.json.

use aside_crypto::{Signature, label, sign_head};
use serde_json::Value;

use super::{
    file::{File, Vector, hex},
    material::{ORDER, bob_key, flipped, is_high, log_key, other_s},
};

const DESCRIPTION: &str = "Signatures over Label(label, fields) as a verifier takes or refuses them. Where private_key is given, \
    signature is the one of RFC 6979; a signer may make another.";

const STATEMENT: &[u8] = b"statement";

pub(super) fn file() -> File {
    File::new("ecdsa", DESCRIPTION, valid().into_iter().chain(invalid()).collect())
}

fn valid() -> Vec<Value> {
    let signature = sign_head(&log_key(), STATEMENT);
    let other = other_s(&signature);
    let (low, high) = if is_high(&other) {
        (*signature.as_bytes(), other)
    } else {
        (other, *signature.as_bytes())
    };
    let short = |id: &str, first: usize| {
        let (statement, signature) = with_zero_at(first);
        vector(id, &[&statement])
            .bytes("private_key", *log_key().to_bytes())
            .bytes("signature", signature.as_bytes())
            .valid()
    };
    vec![
        vector("deterministic", &[STATEMENT])
            .bytes("private_key", *log_key().to_bytes())
            .bytes("signature", signature.as_bytes())
            .valid(),
        vector("low-s", &[STATEMENT]).bytes("signature", low).valid(),
        vector("high-s", &[STATEMENT]).bytes("signature", high).valid(),
        short("r-begins-with-zero", 0),
        short("s-begins-with-zero", 32),
    ]
}

/// A statement whose signature has a zero at `at`: whoever strips or forgets leading zeros fails there.
fn with_zero_at(at: usize) -> (Vec<u8>, Signature) {
    let tries = (0_u32..).map(|n| format!("statement {n}").into_bytes());
    let mut signed = tries.map(|statement| {
        let signature = sign_head(&log_key(), &statement);
        (statement, signature)
    });
    signed.find(|(_, s)| s.as_bytes()[at] == 0).expect("one in 256 has a zero there")
}

fn invalid() -> Vec<Value> {
    let good = *sign_head(&log_key(), STATEMENT).as_bytes();
    let halves = |r: &[u8], s: &[u8]| [r, s].concat();
    let (r, s) = good.split_at(32);
    let (zero, max) = ([0; 32], [0xff; 32]);
    let signatures: Vec<(&str, Vec<u8>)> = vec![
        ("r-is-0", halves(&zero, s)),
        ("s-is-0", halves(r, &zero)),
        ("both-are-0", halves(&zero, &zero)),
        ("r-is-n", halves(&ORDER, s)),
        ("s-is-n", halves(r, &ORDER)),
        ("r-is-the-greatest-number", halves(&max, s)),
        ("s-is-the-greatest-number", halves(r, &max)),
        ("r-and-s-swapped", halves(s, r)),
        ("bit-of-r-flipped", flipped(&good, 31)),
        ("bit-of-s-flipped", flipped(&good, 63)),
    ];
    let mut vectors: Vec<_> = signatures
        .iter()
        .map(|(id, bytes)| vector(id, &[STATEMENT]).bytes("signature", bytes).invalid("signature"))
        .collect();
    let claims = [
        vector("another-statement", &[b"Statement"]),
        vector("another-split", &[b"state", b"ment"]),
        vector("one-field-more", &[STATEMENT, b""]),
        vector("another-label", &[STATEMENT]).with("label", label::CHAIN),
        vector("another-key", &[STATEMENT]).bytes("public_key", bob_key().public_key().as_bytes()),
    ];
    vectors.extend(claims.map(|claim| claim.bytes("signature", good).invalid("signature")));
    vectors.extend(wrong_lengths(&good));
    vectors
}

fn wrong_lengths(good: &[u8; 64]) -> impl Iterator<Item = Value> {
    let der = [&[0x30, 0x44, 0x02, 0x20], &good[..32], &[0x02, 0x20], &good[32..]].concat();
    let cases = [
        ("empty", vec![]),
        ("63-bytes", good[1..].to_vec()),
        ("65-bytes", [&good[..], &[0]].concat()),
        ("der", der),
    ];
    cases.into_iter().map(|(id, bytes)| {
        vector(id, &[STATEMENT])
            .with("requirements", vec!["CONV-001"])
            .bytes("signature", bytes)
            .invalid("INVALID_ARGUMENT")
    })
}

fn vector(id: &str, fields: &[&[u8]]) -> Vector {
    Vector::new(id, &["CONV-003", "CONV-005"])
        .with("label", label::HEAD)
        .with("fields", fields.iter().map(hex).collect::<Vec<_>>())
        .bytes("public_key", log_key().public_key().as_bytes())
}
