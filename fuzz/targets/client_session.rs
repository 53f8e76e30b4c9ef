//! A client against a hostile server: it believes nothing that it must not.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aside_session::fuzz::client_session(data));
