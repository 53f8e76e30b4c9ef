//! The one place that draws randomness.

use aside_mls::{DefaultCrypto, SigningKey, Suite};
use aside_proto::id::{IdempotencyKey, uuid_v7};

/// Fills from the system's cryptographic random source.
pub(crate) fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("a system without a random source can't run a secure chat");
}

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// The keys by which a device signs in MLS groups, one for each cipher suite.
pub(crate) fn mls_keys() -> [SigningKey; 2] {
    Suite::ALL.map(|suite| {
        SigningKey::generate::<DefaultCrypto>(suite)
            .expect("a system without a random source can't run a secure chat")
    })
}

/// A key for one intended effect (IDEM-001).
pub(crate) fn idempotency_key(unix_ms: u64) -> IdempotencyKey {
    IdempotencyKey::new(uuid_v7(unix_ms, bytes()))
}
