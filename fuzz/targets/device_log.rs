//! A device log under operations of its devices, strangers and servers, beside a model of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aside_crypto::fuzz::device_log(data));
