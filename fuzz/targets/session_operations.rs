//! Operations of peer and driver on a server's session: replies in order, memory bounded, the last frame last.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aside_session::fuzz::session_operations(data));
