//! What limits how much of a log is kept, and when an entry exceeds it.

use crate::v1;

/// RET-002: the greatest value of either limit.
pub const MAX_LIMIT: u64 = u32::MAX as u64;

/// All is kept.
pub const NONE: v1::Retention = v1::Retention { max_age_s: 0, max_entries: 0 };

/// Whether both limits are ones that there are (RET-002).
#[must_use]
pub fn is_valid(retention: &v1::Retention) -> bool {
    retention.max_age_s <= MAX_LIMIT && retention.max_entries <= MAX_LIMIT
}

/// Limits as they are announced: none at all if they limit nothing.
#[must_use]
pub fn announced(retention: v1::Retention) -> Option<v1::Retention> {
    (retention != NONE).then_some(retention)
}

/// What is in force where two have a say: of each limit the one that keeps less (RET-001).
///
/// ```
/// use aside_proto::{retention, v1::Retention};
///
/// let owner = Retention { max_age_s: 0, max_entries: 1000 };
/// let server = Retention { max_age_s: 86_400, max_entries: 5000 };
/// let in_force = retention::stricter(owner, server);
/// assert_eq!(in_force, Retention { max_age_s: 86_400, max_entries: 1000 });
/// ```
#[must_use]
pub fn stricter(one: v1::Retention, other: v1::Retention) -> v1::Retention {
    let less = |a: u64, b: u64| if a == 0 || b == 0 { a.max(b) } else { a.min(b) };
    v1::Retention {
        max_age_s: less(one.max_age_s, other.max_age_s),
        max_entries: less(one.max_entries, other.max_entries),
    }
}

/// Whether an entry, which is `age_ms` old and has `later` entries after it, is one that these limits do not keep (RET-003).
/// The last entry of a log is always kept.
#[must_use]
pub fn exceeds(retention: &v1::Retention, age_ms: u64, later: u64) -> bool {
    let is_old = retention.max_age_s > 0 && age_ms > retention.max_age_s.saturating_mul(1000);
    let is_beyond = retention.max_entries > 0 && later >= retention.max_entries;
    later > 0 && (is_old || is_beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: RET-001
    #[test]
    fn the_stricter_of_each_limit_is_in_force() {
        let limits = |max_age_s, max_entries| v1::Retention { max_age_s, max_entries };
        for (one, other, expected) in [
            (limits(0, 0), limits(0, 0), limits(0, 0)),
            (limits(5, 0), limits(0, 7), limits(5, 7)),
            (limits(5, 9), limits(6, 7), limits(5, 7)),
        ] {
            assert_eq!((stricter(one, other), stricter(other, one)), (expected, expected));
        }
        assert_eq!((announced(limits(0, 0)), announced(limits(0, 1))), (None, Some(limits(0, 1))));
    }

    // cites: RET-003
    #[test]
    fn what_exceeds_a_limit_may_go_but_for_the_last() {
        let limits = v1::Retention { max_age_s: 10, max_entries: 3 };
        for (age_ms, later, expected) in [
            (0, 2, false),
            (0, 3, true),
            (10_000, 2, false),
            (10_001, 2, true),
            (10_001, 0, false),
            (u64::MAX, 1, true),
        ] {
            assert_eq!(exceeds(&limits, age_ms, later), expected, "{age_ms} ms, {later} later");
        }
        assert!(!exceeds(&NONE, u64::MAX, u64::MAX));
        assert!(!exceeds(&v1::Retention { max_age_s: 0, max_entries: 1 }, u64::MAX, 0));
        assert!(exceeds(&v1::Retention { max_age_s: MAX_LIMIT, max_entries: 0 }, u64::MAX, 1));
    }
}
