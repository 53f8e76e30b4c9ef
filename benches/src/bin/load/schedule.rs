//! When messages are due, whatever became of those before: an open loop.

use std::time::{Duration, Instant};

/// One speaker's share of a fixed rate. The speakers take turns, so that all of them together are evenly spaced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// When the first speaker's first message is due.
    pub(crate) start: Instant,
    /// Messages a second, of all speakers together; not 0.
    pub(crate) rate: u32,
    /// How many speakers share it.
    pub(crate) speakers: u32,
    /// Which of them this is, from 0.
    pub(crate) speaker: u32,
}

impl Schedule {
    /// When this speaker's message is due: counted from the start, so that nothing adds up.
    pub(crate) fn due(&self, number: u32) -> Instant {
        let turn = u64::from(number) * u64::from(self.speakers) + u64::from(self.speaker);
        let rate = u64::from(self.rate);
        let nanos = turn % rate * 1_000_000_000 / rate;
        self.start + Duration::from_secs(turn / rate) + Duration::from_nanos(nanos)
    }

    /// How many messages this speaker has in so many seconds, at least 1.
    pub(crate) fn count(&self, seconds: u32) -> u32 {
        let all = u64::from(self.rate) * u64::from(seconds);
        let mine = all.saturating_sub(self.speaker.into()).div_ceil(self.speakers.into());
        u32::try_from(mine).unwrap_or(u32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker(start: Instant, speaker: u32) -> Schedule {
        Schedule { start, rate: 7, speakers: 3, speaker }
    }

    #[test]
    fn speakers_together_are_evenly_spaced_and_nothing_drifts() {
        let start = Instant::now();
        let mut due: Vec<_> =
            (0..3).flat_map(|s| (0..7).map(move |n| speaker(start, s).due(n) - start)).collect();
        due.sort_unstable();
        let even: Vec<_> =
            (0..21_u64).map(|turn| Duration::from_nanos(turn * 1_000_000_000 / 7)).collect();
        assert_eq!(due, even);
        assert_eq!(speaker(start, 0).due(7_000_000) - start, Duration::from_secs(3_000_000));
    }

    #[test]
    fn shares_add_up_to_the_rate() {
        let start = Instant::now();
        let shares: Vec<_> = (0..3).map(|s| speaker(start, s).count(10)).collect();
        assert_eq!(shares, [24, 23, 23]);
        assert_eq!(Schedule { rate: 1, speakers: 50, ..speaker(start, 49) }.count(1), 1);
    }
}
