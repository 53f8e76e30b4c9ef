//! An MLS group to which messages and commits come changed, again, out of order and out of place.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aside_mls::testing::mls_message(data));
