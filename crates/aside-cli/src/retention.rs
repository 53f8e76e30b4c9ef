//! How much is kept of a room: as it is typed, and as it is said.

use std::str::FromStr;

use aside_client::Retention;
use serde_json::{Value, json};

/// What is said before anything is removed (RET-005).
pub(crate) const FOR_EVER: &str =
    "what is beyond that is removed from the server for ever, for everyone";

/// What stands where a room begins of which more was said (RET-012).
pub(crate) const NO_OLDER: &str = "older messages are no longer kept here";

/// The units of an age: as they are typed, in seconds, and as they are said.
const UNITS: [(char, u64, &str); 6] = [
    ('y', 365 * 86_400, ""),
    ('w', 7 * 86_400, ""),
    ('d', 86_400, "day"),
    ('h', 3600, "hour"),
    ('m', 60, "minute"),
    ('s', 1, "second"),
];
/// RET-002.
const MAX: u64 = u32::MAX as u64;

/// What may stand between, and says nothing.
const FILLERS: [&str; 4] = ["", "and", "entries", "entry"];

/// Limits as they are typed: `30d`, `1000 entries`, `30d, 1000` or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits(pub(crate) Retention);

impl FromStr for Limits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "an age (30d, 12h, 2w), a number of entries (1000), both, or none".to_owned();
        if text.trim() == "none" {
            return Ok(Self(Retention::default()));
        }
        let mut limits = Retention::default();
        let words = text.split([' ', '\t', ',']).filter(|word| !FILLERS.contains(word));
        for word in words {
            let unit = UNITS
                .iter()
                .find_map(|(unit, seconds, _)| Some((word.strip_suffix(*unit)?, seconds)));
            let (slot, number, factor) = match unit {
                Some((number, seconds)) => (&mut limits.max_age_s, number, *seconds),
                None => (&mut limits.max_entries, word, 1),
            };
            let number: u64 = number.parse().map_err(|_| wrong())?;
            let value = number.checked_mul(factor).filter(|value| (1..=MAX).contains(value));
            if std::mem::replace(slot, value.ok_or_else(wrong)?) != 0 {
                return Err(wrong());
            }
        }
        match limits == Retention::default() {
            true => Err(wrong()),
            false => Ok(Self(limits)),
        }
    }
}

/// What is kept, in a few words; none if all is.
pub(crate) fn words(retention: &Retention) -> Option<String> {
    let age = |seconds: u64| {
        let unit =
            UNITS.iter().find(|(_, unit, name)| !name.is_empty() && seconds.is_multiple_of(*unit));
        let (_, unit, name) = unit.unwrap_or(&UNITS[UNITS.len() - 1]);
        match seconds / unit {
            1 => format!("1 {name}"),
            count => format!("{count} {name}s"),
        }
    };
    let entries = |count: u64| match count {
        1 => "last entry".to_owned(),
        count => format!("last {count} entries"),
    };
    match *retention {
        Retention { max_age_s: 0, max_entries: 0 } => None,
        Retention { max_age_s, max_entries: 0 } => Some(format!("kept for {}", age(max_age_s))),
        Retention { max_age_s: 0, max_entries } => Some(format!("{} kept", entries(max_entries))),
        Retention { max_age_s, max_entries } => {
            Some(format!("{} kept for {}", entries(max_entries), age(max_age_s)))
        }
    }
}

/// The same for programs; null if all is kept.
pub(crate) fn to_json(retention: &Retention) -> Value {
    match *retention == Retention::default() {
        true => Value::Null,
        false => json!({"max_age_s": retention.max_age_s, "max_entries": retention.max_entries}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_age_s: u64, max_entries: u64) -> Retention {
        Retention { max_age_s, max_entries }
    }

    #[test]
    fn limits_are_read() {
        for (text, expected) in [
            ("none", limits(0, 0)),
            ("30d", limits(30 * 86_400, 0)),
            ("1000", limits(0, 1000)),
            ("2w 50", limits(14 * 86_400, 50)),
            ("50 12h", limits(12 * 3600, 50)),
            ("1000 entries, and 30d", limits(30 * 86_400, 1000)),
            ("4294967295s 4294967295", limits(MAX, MAX)),
        ] {
            assert_eq!(text.parse(), Ok(Limits(expected)), "{text}");
        }
        for wrong in [
            "",
            "entries",
            "0",
            "0d",
            "d",
            "30d 2w",
            "1 2",
            "-3",
            "4294967296",
            "200y",
            "all",
            "3 none",
        ] {
            assert!(wrong.parse::<Limits>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_are_said() {
        for (retention, expected) in [
            (limits(0, 0), None),
            (limits(86_400, 0), Some("kept for 1 day")),
            (limits(14 * 86_400, 0), Some("kept for 14 days")),
            (limits(5400, 0), Some("kept for 90 minutes")),
            (limits(61, 1), Some("last entry kept for 61 seconds")),
            (limits(0, 1000), Some("last 1000 entries kept")),
        ] {
            assert_eq!(words(&retention).as_deref(), expected);
        }
        assert_eq!(to_json(&limits(0, 0)), Value::Null);
        assert_eq!(to_json(&limits(5, 0)), json!({"max_age_s": 5, "max_entries": 0}));
    }
}
