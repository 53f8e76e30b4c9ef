//! Simulated time.

use std::sync::atomic::{AtomicU64, Ordering};

use aside_session::Now;

/// When every run begins: an instant in 2025.
const ORIGIN_UNIX_MS: u64 = 1_750_000_000_000;

/// The time, the same for all.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    /// What it is.
    pub(crate) fn now(&self) -> Now {
        let monotonic_ms = self.0.load(Ordering::Relaxed);
        Now { monotonic_ms, unix_ms: ORIGIN_UNIX_MS + monotonic_ms }
    }

    /// Lets some pass.
    pub(crate) fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}
