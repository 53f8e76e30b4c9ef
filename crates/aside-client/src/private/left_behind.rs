//! How often this device came in anew, or began the group anew, because of commits that it could not follow, by who made them: a
//! member who makes them so on purpose does not keep it at that for ever (MLS-044).

use std::collections::BTreeMap;

use aside_mls::Owner;

/// As often it comes in at once.
pub(super) const AT_ONCE: u32 = 3;
/// How long it waits then, twice as long each time.
pub(super) const FIRST_WAIT_MS: u64 = 60_000;
/// The longest that it waits.
pub(super) const LONGEST_WAIT_MS: u64 = 3_600_000;
/// After so long without, what was is forgotten.
const FORGOTTEN_MS: u64 = 24 * 3_600_000;

/// Who left this device behind, and how often.
#[derive(Debug, Default)]
pub(super) struct LeftBehind(BTreeMap<Owner, Times>);

#[derive(Debug, Default)]
struct Times {
    count: u32,
    /// When it came in last.
    at_ms: u64,
    /// Whether the wait since then was told.
    is_told: bool,
}

/// Until when this device does not go on by itself.
pub(super) struct Wait {
    pub(super) until_ms: u64,
    /// Whether it was not asked for before.
    pub(super) is_new: bool,
}

impl LeftBehind {
    /// This device came in or began anew, after a commit of this maker's that it could not follow.
    pub(super) fn came(&mut self, maker: Owner, at_ms: u64) {
        let times = self.0.entry(maker).or_default();
        *times = Times { count: times.count.saturating_add(1), at_ms, is_told: false };
    }

    /// How often, by this maker's commits.
    pub(super) fn times(&self, maker: Owner) -> u32 {
        self.0.get(&maker).map_or(0, |times| times.count)
    }

    /// As it is kept: who, how often, and when last.
    pub(super) fn kept(&self) -> impl Iterator<Item = (Owner, u32, u64)> {
        self.0.iter().map(|(maker, times)| (*maker, times.count, times.at_ms))
    }

    /// What was kept.
    pub(super) fn restore(&mut self, maker: Owner, count: u32, at_ms: u64) {
        self.0.insert(maker, Times { count, at_ms, is_told: false });
    }

    /// What is long over counts no more.
    pub(super) fn forget(&mut self, now_ms: u64) {
        self.0.retain(|_, times| now_ms < times.at_ms.saturating_add(FORGOTTEN_MS));
    }

    /// How long to wait before going on after another such commit, if at all.
    pub(super) fn wait(&mut self, maker: Owner, now_ms: u64) -> Option<Wait> {
        let times = self.0.get_mut(&maker).filter(|times| times.count >= AT_ONCE)?;
        // The time is the server's, which may have been ahead.
        times.at_ms = times.at_ms.min(now_ms);
        let doubled = 1_u64.checked_shl(times.count - AT_ONCE).unwrap_or(u64::MAX);
        let wait = FIRST_WAIT_MS.saturating_mul(doubled).min(LONGEST_WAIT_MS);
        let until_ms = times.at_ms.saturating_add(wait);
        let is_new = !std::mem::replace(&mut times.is_told, true);
        (now_ms < until_ms).then_some(Wait { until_ms, is_new })
    }

    /// Who did so too often, and how often.
    pub(super) fn culprit(&self) -> Option<(Owner, u32)> {
        let worst = self.0.iter().max_by_key(|(_, times)| times.count)?;
        (worst.1.count >= AT_ONCE).then_some((*worst.0, worst.1.count))
    }
}

#[cfg(test)]
mod tests {
    use aside_proto::id::{DeviceId, UserId};

    use super::*;

    #[test]
    fn waits_double_to_a_bound_and_are_each_makers_own() {
        let maker =
            |number| Owner { user: UserId::new([number; 16]), device: DeviceId::new([number; 16]) };
        let mut left_behind = LeftBehind::default();
        let mut waits = Vec::new();
        for now_ms in 1..=12 {
            left_behind.came(maker(1), now_ms);
            waits.extend(left_behind.wait(maker(1), now_ms).map(|wait| wait.until_ms - now_ms));
        }
        assert_eq!(waits[..3], [60_000, 120_000, 240_000], "twice as long from the third on");
        assert_eq!((waits.len(), waits.last()), (10, Some(&LONGEST_WAIT_MS)));
        assert!(left_behind.wait(maker(1), 12).is_some_and(|wait| !wait.is_new));
        assert!(left_behind.wait(maker(1), 12 + LONGEST_WAIT_MS).is_none());
        assert!(left_behind.wait(maker(2), 12).is_none());
        assert_eq!(left_behind.culprit(), Some((maker(1), 12)));
        left_behind.forget(12 + FORGOTTEN_MS);
        assert_eq!(left_behind.culprit(), None);
    }
}
