//! One request: whatever it is, it comes to one reply or one command, in every phase.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aside_session::fuzz::request_decoding(data));
