//! What is read from strangers and keyboards: certificates, first entries, phrases, QR codes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aside_crypto::fuzz::identity_decoding(data));
