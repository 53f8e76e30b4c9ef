//! How long to wait before connecting again: twice as long each time, and never at the same moment as everybody else. And before a
//! request is sent again.

use std::time::Duration;

use aside_proto::v1::{self, ErrorCode};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(20);
/// A server may ask for no longer a wait than this to have a request sent again by itself, milliseconds.
const LONGEST_WISH_MS: u64 = 60_000;
/// How long to wait after the server failed at a request, milliseconds.
const FAILURE_WAIT_MS: u64 = 1000;

/// Waits that grow while attempts fail.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The connection stood: begin anew.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next wait: from half of the step to the whole of it, by `random`, and at least what the server asked for.
    pub(crate) fn next(&mut self, random: u32, at_least: Duration) -> Duration {
        let step = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures += 1;
        let jitter = (step / 2).mul_f64(f64::from(random) / f64::from(u32::MAX));
        // What the server asked for is spread as well, or all clients of a server that was stopped come at once.
        (step / 2).max(at_least) + jitter
    }
}

/// How long to wait before the same request is sent again, if that is worth it without asking anybody (LIM-007).
pub(crate) fn retry_after(error: &v1::Error) -> Option<Duration> {
    retry_after_ms(error).map(Duration::from_millis)
}

/// As [`retry_after`], in milliseconds.
pub(crate) fn retry_after_ms(error: &v1::Error) -> Option<u64> {
    let wait = error.retry_after_ms.max(1);
    match error.code() {
        ErrorCode::RateLimited | ErrorCode::ServerBusy => (wait <= LONGEST_WISH_MS).then_some(wait),
        ErrorCode::Internal => Some(FAILURE_WAIT_MS),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.next(u32::MAX, Duration::ZERO)).collect();
        assert_eq!(waits[0], FIRST);
        assert_eq!(waits[1], FIRST * 2);
        assert_eq!(waits[7], LONGEST);
        assert!(waits.is_sorted());
        backoff.reset();
        assert_eq!(backoff.next(0, Duration::ZERO), FIRST / 2);
    }

    #[test]
    fn the_servers_wish_is_kept_and_spread() {
        let mut backoff = Backoff::default();
        let wish = Duration::from_secs(5);
        assert_eq!(backoff.next(0, wish), wish);
        assert!(backoff.next(u32::MAX, wish) > wish);
    }
}
