//! A few seeds of members of private conversations, the same twice, and broken ones that are caught.

#![allow(clippy::unwrap_used)] // Every function here is a test's.

use simulation::{PrivateSabotage, run_private};

/// Seeds within which anything broken must be noticed.
const WITHIN: u64 = 40;

// cites: DS-011, DS-013, DS-019, DS-020, DS-022, DS-023, DS-024, DS-032, INBOX-001, INBOX-008, PRIV-008, PRIV-013, PRIV-014
// cites: MLS-009, MLS-012, MLS-015, MLS-039, MLS-018, MLS-019, MLS-023, MLS-026, MLS-027, MLS-036, TRUST-001, TRUST-002, TRUST-004
#[test]
fn whatever_goes_wrong_members_end_in_one_state_and_have_read_all_that_was_said_to_them() {
    for seed in 1..=12 {
        let report = run_private(seed, None, false).unwrap();
        let again = "cargo run -p simulation -- --world private --trace --seed";
        assert_eq!(report.broken, None, "{again} {seed}");
        assert!(report.count > 700, "{} events", report.count);
    }
}

/// What MLS draws from the operating system decides nothing.
#[test]
fn a_seed_is_a_run() {
    let run = |seed| run_private(seed, None, true).unwrap();
    let (one, again, other) = (run(7), run(7), run(8));
    assert_eq!(one.events, again.events);
    assert_eq!(one.hash, again.hash);
    assert_ne!(one.hash, other.hash);
}

#[test]
fn what_is_broken_is_noticed() {
    for sabotage in PrivateSabotage::ALL {
        let is_broken = |seed| run_private(seed, Some(sabotage), false).unwrap().broken.is_some();
        assert!((1..=WITHIN).any(is_broken), "{sabotage:?} goes unnoticed for {WITHIN} seeds");
    }
}

#[test]
fn what_who_was_removed_can_open_is_noticed_as_that() {
    let sabotage = Some(PrivateSabotage::KeysOfBefore);
    let is_noticed = |seed| {
        let broken = run_private(seed, sabotage, false).unwrap().broken;
        broken.is_some_and(|why| why.contains("is opened by who was removed"))
    };
    assert!((1..=WITHIN).any(is_noticed));
}
