//! From when on: a duration ago, a time, or an entry.

use std::str::FromStr;

use aside_client::Entry;
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

/// What a user may write.
pub(crate) const FORMS: &str = "so long ago (30s, 90m, 2h, 1d, 2w), a time (2026-11-25, 2026-11-25T14:00) or an entry's number";

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// With this entry.
    Seq(u64),
    /// With the first entry from then on, milliseconds since 1970.
    Time(u64),
    /// So many milliseconds ago.
    Ago(u64),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seq) = text.trim_start_matches('#').parse() {
            return Ok(Self::Seq(seq));
        }
        if let Some(days) = days(text) {
            return Ok(Self::Ago(days.saturating_mul(MS_PER_DAY)));
        }
        if let Ok(ago) = text.parse::<SignedDuration>() {
            return match u64::try_from(ago.as_millis()) {
                Ok(ago) => Ok(Self::Ago(ago)),
                Err(_) => Err("that is in the future".to_owned()),
            };
        }
        let local = || {
            let time = text.parse::<civil::DateTime>().ok()?;
            Some(time.to_zoned(TimeZone::system()).ok()?.timestamp())
        };
        let time = text.parse::<Timestamp>().ok().or_else(local);
        time.and_then(|time| u64::try_from(time.as_millisecond()).ok())
            .map(Self::Time)
            .ok_or_else(|| format!("it is {FORMS}"))
    }
}

/// Days and weeks, which have no fixed length by the calendar, and have here.
fn days(text: &str) -> Option<u64> {
    let (count, days) = match text.strip_suffix('d') {
        Some(count) => (count, 1),
        None => (text.strip_suffix('w')?, 7),
    };
    count.trim().parse::<u64>().ok()?.checked_mul(days)
}

impl Since {
    /// The same, seen at this time: a duration begins at a time.
    pub(crate) fn fixed(self, now_ms: u64) -> Self {
        match self {
            Self::Ago(ago) => Self::Time(now_ms.saturating_sub(ago)),
            fixed => fixed,
        }
    }

    /// Whether an entry is from then on.
    pub(crate) fn includes(self, entry: &Entry) -> bool {
        match self {
            Self::Seq(seq) => entry.seq >= seq,
            Self::Time(ms) => entry.time_ms >= ms,
            Self::Ago(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_times_and_numbers_are_told_apart() {
        let since = |text: &str| text.parse::<Since>();
        assert_eq!(since("120"), Ok(Since::Seq(120)));
        assert_eq!(since("#120"), Ok(Since::Seq(120)));
        assert_eq!(since("90m"), Ok(Since::Ago(90 * 60_000)));
        assert_eq!(since("2h"), Ok(Since::Ago(7_200_000)));
        assert_eq!(since("1h 30m"), since("90m"));
        assert_eq!(since("30s"), Ok(Since::Ago(30_000)));
        assert_eq!(since("1d"), since("24h"));
        assert_eq!(since("2w"), since("14d"));
        assert_eq!(since("1970-01-01T00:00:02Z"), Ok(Since::Time(2000)));
        let day = civil::date(2026, 11, 25).to_zoned(TimeZone::system()).unwrap();
        let day = u64::try_from(day.timestamp().as_millisecond()).unwrap();
        assert_eq!(since("2026-11-25"), Ok(Since::Time(day)));
        assert_eq!(since("2026-11-25T00:00"), Ok(Since::Time(day)));
        for wrong in ["", "d", "-1d", "1 week", "yesterday", "-2h", "2026-13-01"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Since::Ago(500).fixed(2000), Since::Time(1500));
        assert_eq!(Since::Ago(5000).fixed(2000), Since::Time(0));
    }
}
