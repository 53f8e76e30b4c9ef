//! Holds the reference implementation to `spec/vectors/*.json` as they stand in the repository.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod client;
mod content;
mod crypto;
mod identity;
mod mls;
mod private_conversation;
mod replay;
mod rooms;
mod server;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// `spec/vectors/{name}.json`.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../spec/vectors/{name}.json"))
}

/// What is in it.
fn read(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

/// Judges every vector of a file, or of one kind in it: `judge` says why it refuses one.
fn check(name: &str, kind: Option<&str>, judge: impl Fn(&Value) -> Result<(), String>) {
    check_all(name, &read(name), kind, judge);
}

fn check_all(
    name: &str,
    file: &Value,
    kind: Option<&str>,
    judge: impl Fn(&Value) -> Result<(), String>,
) {
    let vectors = file["vectors"].as_array().unwrap();
    let mut judged = [0, 0];
    for vector in vectors.iter().filter(|v| kind.is_none_or(|kind| v["kind"] == kind)) {
        let found = judge(vector);
        let expected = match text(&vector["result"]) {
            "valid" => Ok(()),
            _ => Err(text(&vector["error"]).to_owned()),
        };
        let alternative = found.as_ref().is_err_and(|error| {
            vector["alternatives"].as_array().is_some_and(|a| a.contains(&error.as_str().into()))
        });
        assert!(alternative || found == expected, "{name} {}: {found:?}", vector["id"]);
        judged[usize::from(expected.is_err())] += 1;
    }
    assert!(judged.iter().all(|count| *count > 0), "{name}: {judged:?} valid and invalid ones");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number, not {value}"))
}

/// Bytes in hex; none for an absent member.
fn bytes(value: &Value) -> Vec<u8> {
    value.as_str().map(|hex| hex::decode(hex).unwrap()).unwrap_or_default()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

/// Fails with a reason unless a condition holds.
fn ensure(holds: bool, reason: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason.into()) }
}
