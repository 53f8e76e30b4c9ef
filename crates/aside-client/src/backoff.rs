//! How long to wait before connecting again: twice as long each time, and never at the same moment as everybody else.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(20);

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
