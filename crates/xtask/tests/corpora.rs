//! Every input of the committed fuzz corpora, through the body of its target.

use std::fs;

use aside_crypto::fuzz as crypto;
use aside_session::fuzz;
use xtask::workspace::{files_below, read, root};

type Body = fn(&[u8]);

/// The targets, as in `fuzz/targets`.
const TARGETS: [(&str, Body); 8] = [
    ("client_session", fuzz::client_session),
    ("device_log", crypto::device_log),
    ("frame_decoder", fuzz::frame_decoding),
    ("identity_decoding", crypto::identity_decoding),
    ("mls_message", aside_mls::testing::mls_message),
    ("request_decoding", fuzz::request_decoding),
    ("session_operations", fuzz::session_operations),
    ("timeline", fuzz::timeline),
];

#[test]
fn every_committed_input_holds() {
    for (target, body) in TARGETS {
        let inputs = files_below(&root().join("fuzz/corpus").join(target), "").unwrap();
        assert!(inputs.len() >= 10, "{target} has {} inputs", inputs.len());
        for input in inputs {
            let outcome = std::panic::catch_unwind(|| body(&fs::read(&input).unwrap()));
            assert!(outcome.is_ok(), "{target} fails for {}", input.display());
        }
    }
}

#[test]
fn every_target_is_replayed() {
    let mut files = files_below(&root().join("fuzz/targets"), "rs").unwrap();
    files.retain(|file| !TARGETS.iter().any(|(target, _)| file.file_stem().unwrap() == *target));
    assert_eq!(files, Vec::<std::path::PathBuf>::new(), "a target that is not replayed here");
    for (target, _) in TARGETS {
        let path = root().join("fuzz/targets").join(target).with_extension("rs");
        assert!(read(&path).unwrap().contains("fuzz_target!"), "{target}");
    }
}
