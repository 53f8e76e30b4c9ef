//! Safety numbers: by comparing one, two users find out whether each sees the other's true device log (SAFETY-001 to SAFETY-004).

use std::{cmp::Ordering, fmt};

use aside_proto::id::UserId;

use crate::{Hash, derive::derive, label};

/// The form of number and QR payload that is described here.
const VERSION: u8 = 1;
/// How often the hash is hashed again: whoever looks for devices whose number is alike in the digits that people compare pays that
/// for each attempt.
const ROUNDS: u32 = 8192;
/// Groups of five digits.
const GROUPS: usize = 12;
/// What a QR payload begins with, before its version.
const QR_PREFIX: &[u8] = b"aside-safety";
/// Prefix, version, two user ids and two hashes.
const QR_BYTES: usize = QR_PREFIX.len() + 1 + 2 * (16 + 32);

/// A user, and the device log that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Whose.
    pub user: UserId,
    /// The hash of the log's first entry.
    pub genesis: Hash,
}

/// A safety number was asked of a user and itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a safety number is that of two users")]
pub struct SameUser;

/// The number of a pair of users: the same for both, and for all their devices. 60 digits, 199 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SafetyNumber([u32; GROUPS]);

impl SafetyNumber {
    /// The number of two users, in whichever order (SAFETY-001).
    ///
    /// # Errors
    /// If they are one.
    pub fn of(one: &Identity, other: &Identity) -> Result<Self, SameUser> {
        let (first, second) = match one.user.cmp(&other.user) {
            Ordering::Less => (one, other),
            Ordering::Equal => return Err(SameUser),
            Ordering::Greater => (other, one),
        };
        let mut hash = label::hash(
            label::SAFETY_NUMBER,
            &[
                &[VERSION],
                first.user.as_bytes(),
                &first.genesis,
                second.user.as_bytes(),
                &second.genesis,
            ],
        );
        for _ in 0..ROUNDS {
            hash = label::hash(label::SAFETY_NUMBER_ROUND, &[&hash]);
        }
        let digits = derive::<{ GROUPS * 5 }>(&hash, label::SAFETY_NUMBER_DIGITS, &[]);
        let mut groups = [0; GROUPS];
        for (group, bytes) in groups.iter_mut().zip(digits.chunks(5)) {
            let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            *group = (number % 100_000) as u32;
        }
        Ok(Self(groups))
    }

    /// The twelve groups, each below 100,000.
    #[must_use]
    pub const fn groups(&self) -> &[u32; GROUPS] {
        &self.0
    }
}

impl fmt::Display for SafetyNumber {
    /// Groups of five digits with spaces between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{group:05}")?;
        }
        Ok(())
    }
}

/// The bytes of the QR code that `shower` shows to `scanner`: who it is, and whom it sees (SAFETY-003).
#[must_use]
pub fn qr_payload(shower: &Identity, scanner: &Identity) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(QR_BYTES);
    bytes.extend_from_slice(QR_PREFIX);
    bytes.push(VERSION);
    for identity in [shower, scanner] {
        bytes.extend_from_slice(identity.user.as_bytes());
        bytes.extend_from_slice(&identity.genesis);
    }
    bytes
}

/// What came of scanning a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    /// Each sees the other's true log.
    Match,
    /// The right users, but one of them is shown a false log.
    Mismatch,
    /// A code of two other users, or this user's own.
    WrongUser,
    /// A code of a form that is not known here.
    OtherVersion(u8),
    /// No safety code at all.
    NotOurs,
}

/// Compares the bytes of a scanned code with what the scanner knows: itself, and whom it means to verify (SAFETY-004).
#[must_use]
pub fn compare_qr(payload: &[u8], scanner: &Identity, shower: &Identity) -> Scanned {
    let Some((version, _)) = payload.strip_prefix(QR_PREFIX).and_then(<[u8]>::split_first) else {
        return Scanned::NotOurs;
    };
    if *version != VERSION {
        return Scanned::OtherVersion(*version);
    }
    if payload.len() != QR_BYTES {
        return Scanned::NotOurs;
    }
    let expected = qr_payload(shower, scanner);
    let users = [QR_PREFIX.len() + 1, QR_PREFIX.len() + 1 + 48];
    if users.iter().any(|at| payload[*at..at + 16] != expected[*at..at + 16]) {
        return Scanned::WrongUser;
    }
    if payload == expected { Scanned::Match } else { Scanned::Mismatch }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(user: u8, genesis: u8) -> Identity {
        Identity { user: UserId::new([user; 16]), genesis: [genesis; 32] }
    }

    // cites: SAFETY-001
    #[test]
    fn both_see_the_same_number_and_any_other_log_changes_it() {
        let (alice, bob) = (identity(1, 2), identity(3, 4));
        let number = SafetyNumber::of(&alice, &bob).unwrap();
        assert_eq!(SafetyNumber::of(&bob, &alice), Ok(number));
        for (one, other) in
            [(identity(1, 5), bob), (alice, identity(3, 5)), (identity(1, 4), identity(3, 2))]
        {
            let changed = SafetyNumber::of(&one, &other).unwrap();
            let alike = changed.groups().iter().zip(number.groups()).filter(|(a, b)| a == b);
            assert_eq!(alike.count(), 0, "every group hangs on both logs");
        }
        assert_eq!(SafetyNumber::of(&alice, &identity(1, 9)), Err(SameUser));
    }

    // cites: SAFETY-002
    #[test]
    fn small_groups_have_five_digits_too() {
        let mut groups = [99_999; GROUPS];
        groups[0] = 7;
        let shown = SafetyNumber(groups).to_string();
        assert!(shown.starts_with("00007 99999 "), "{shown}");
        assert_eq!(shown.len(), 60 + 11);
    }

    // cites: SAFETY-003, SAFETY-004
    #[test]
    fn a_scan_has_one_of_five_outcomes() {
        let (alice, bob) = (identity(1, 2), identity(3, 4));
        let code = qr_payload(&alice, &bob);
        assert_eq!(compare_qr(&code, &bob, &alice), Scanned::Match);
        assert_eq!(compare_qr(&code, &identity(3, 9), &alice), Scanned::Mismatch);
        assert_eq!(compare_qr(&code, &bob, &identity(1, 9)), Scanned::Mismatch);
        assert_eq!(compare_qr(&code, &alice, &bob), Scanned::WrongUser, "one's own code");
        assert_eq!(compare_qr(&code, &bob, &identity(5, 2)), Scanned::WrongUser);
        assert_eq!(compare_qr(&code, &identity(5, 4), &alice), Scanned::WrongUser);
        assert_eq!(compare_qr(b"aside-safety\x02more", &bob, &alice), Scanned::OtherVersion(2));
        let longer = [&code[..], &[0]].concat();
        for strange in [&b""[..], b"aside-safety", b"https://example", &code[..108], &longer] {
            assert_eq!(compare_qr(strange, &bob, &alice), Scanned::NotOurs);
        }
    }
}
