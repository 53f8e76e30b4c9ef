//! A session's deadlines: one table.

/// What a deadline is for. Where two have passed, the first of these counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// The connection must be authenticated by then (LIM-001).
    Handshake,
    /// A whole frame must have come by then (LIM-002).
    Idle,
    /// The token that logged in ends then (TOKEN-009).
    Token,
}

const ALL: [Timer; 3] = [Timer::Handshake, Timer::Idle, Timer::Token];

/// Deadlines by timer, in milliseconds of the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Timers([Option<u64>; ALL.len()]);

impl Timers {
    pub(super) fn arm(&mut self, timer: Timer, from_ms: u64, after_ms: u64) {
        self.0[timer as usize] = Some(from_ms.saturating_add(after_ms));
    }

    pub(super) fn disarm(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<u64> {
        self.0.iter().flatten().min().copied()
    }

    /// A timer whose deadline has come.
    pub(super) fn expired(&self, now_ms: u64) -> Option<Timer> {
        ALL.into_iter().find(|&timer| self.0[timer as usize].is_some_and(|at| at <= now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_is_next_and_expires_at_its_time() {
        let mut timers = Timers::default();
        assert_eq!((timers.next(), timers.expired(u64::MAX)), (None, None));
        timers.arm(Timer::Idle, 5, 20);
        timers.arm(Timer::Handshake, 0, 30);
        assert_eq!(timers.next(), Some(25));
        assert_eq!((timers.expired(24), timers.expired(25)), (None, Some(Timer::Idle)));
        assert_eq!(timers.expired(30), Some(Timer::Handshake));
        timers.disarm(Timer::Handshake);
        timers.arm(Timer::Idle, u64::MAX, 1);
        assert_eq!(timers.next(), Some(u64::MAX));
    }
}
