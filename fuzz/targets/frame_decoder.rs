//! Frames off a stream: the same bytes give the same bodies and the same error however they are cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aside_session::fuzz::frame_decoding(data));
