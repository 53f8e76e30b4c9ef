//! keys.json.

use aside_crypto::SigningKey;
use serde_json::Value;

use super::{
    file::{File, Vector},
    material::{ORDER, alice_key, counting, unhex},
};

const DESCRIPTION: &str = "Public keys as a server takes or refuses them; where private_key is given, public_key belongs to it.";

/// p, the order of P-256's field.
const FIELD: &str = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
/// The y of the points with x = 0 and x = 5.
const Y_OF_0: &str = "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4";
const Y_OF_5: &str = "459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc";
/// The generator of secp256k1.
const SECP256K1: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
    483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";

pub(super) fn file() -> File {
    File::new("keys", DESCRIPTION, valid().into_iter().chain(invalid()).collect())
}

fn valid() -> Vec<Value> {
    let one = with_last_byte([0; 32], 1);
    let greatest = with_last_byte(ORDER, ORDER[31] - 1);
    let pair = |id: &str, private: [u8; 32]| {
        let key = SigningKey::from_bytes(&private).expect("in range");
        Vector::new(id, &["CONV-002"])
            .bytes("private_key", private)
            .bytes("public_key", key.public_key().as_bytes())
            .valid()
    };
    let point = |id: &str, x, y| vector(id, &uncompressed(x, y)).valid();
    vec![
        pair("private-key-1", one),
        pair("private-key-n-minus-1", greatest),
        pair("alice", counting(0x01)),
        pair("bob", counting(0x21)),
        pair("log-key", counting(0x41)),
        point("x-is-0", [0; 32], unhex(Y_OF_0)),
        point("x-is-5", with_last_byte([0; 32], 5), unhex(Y_OF_5)),
    ]
}

fn invalid() -> Vec<Value> {
    let good = *alice_key().public_key().as_bytes();
    let sign = good[64] & 1;
    let with_form = |form: u8| [&[form], &good[1..]].concat();
    let mut off_curve = good;
    off_curve[64] ^= 1;
    let swapped = [&[4], &good[33..], &good[1..33]].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("infinity", vec![0]),
        ("zeros", uncompressed([0; 32], [0; 32]).to_vec()),
        ("too-short", good[..64].to_vec()),
        ("too-long", [&good[..], &[0]].concat()),
        ("without-form", good[1..].to_vec()),
        ("compressed", [&[2 | sign], &good[1..33]].concat()),
        ("compressed-form-with-y", with_form(2 | sign)),
        ("compact-form", with_form(5)),
        ("hybrid", with_form(6 | sign)),
        ("hybrid-wrong-parity", with_form(7 ^ sign)),
        ("form-0", with_form(0)),
        ("off-curve", off_curve.to_vec()),
        ("x-and-y-swapped", swapped),
        ("x-not-reduced", uncompressed(unhex(FIELD), unhex(Y_OF_0)).to_vec()),
        ("y-not-reduced", uncompressed([0; 32], [0xff; 32]).to_vec()),
        ("another-curve", [&[4], &unhex::<64>(SECP256K1)[..]].concat()),
    ];
    cases.iter().map(|(id, bytes)| vector(id, bytes).invalid("INVALID_ARGUMENT")).collect()
}

/// CONV-001 where the length is wrong, else CONV-002.
fn vector(id: &str, public_key: &[u8]) -> Vector {
    let requirement = if public_key.len() == 65 { "CONV-002" } else { "CONV-001" };
    Vector::new(id, &[requirement]).bytes("public_key", public_key)
}

fn uncompressed(x: [u8; 32], y: [u8; 32]) -> [u8; 65] {
    let mut bytes = [4; 65];
    bytes[1..33].copy_from_slice(&x);
    bytes[33..].copy_from_slice(&y);
    bytes
}

fn with_last_byte(mut bytes: [u8; 32], last: u8) -> [u8; 32] {
    bytes[31] = last;
    bytes
}
