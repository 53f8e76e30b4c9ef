//! A log in pages: in whichever order they come, the same is shown in the end.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aside_session::fuzz::timeline(data));
