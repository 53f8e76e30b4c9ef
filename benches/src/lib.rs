//! What the benches share. `README.md` says how to run and read them.

use std::time::Duration;

use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce, Tag, aead::AeadInOut};
use criterion::Criterion;

/// Criterion with short times: a whole run takes about two minutes. The command line can ask for more.
#[must_use]
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args()
}

/// AES-256-GCM by RustCrypto, as a sender uses it: one key, a counter for a nonce, the buffer sealed in place.
pub struct Sealer {
    cipher: Aes256Gcm,
    counter: u64,
}

impl Sealer {
    /// A sealer with this key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { cipher: Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key)), counter: 0 }
    }

    /// Seals the buffer under the next nonce.
    pub fn seal(&mut self, buffer: &mut [u8]) -> Tag {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.counter.to_be_bytes());
        self.counter += 1;
        self.cipher
            .encrypt_inout_detached(&Nonce::from(nonce), b"", buffer.into())
            .expect("the buffer is far below the limit of 64 GiB")
    }
}
