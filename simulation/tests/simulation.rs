//! A few seeds, the same twice, and broken ones that are caught.

#![allow(clippy::unwrap_used)] // Every function here is a test's.

use simulation::{Sabotage, run};

/// Seeds within which anything broken must be noticed.
const WITHIN: u64 = 20;

// cites: RET-003, RET-004, RET-006, RET-008, RET-009, RET-012, REDACT-001, REDACT-009, REDACT-016, PIN-006, PIN-007
// cites: LOG-001, LOG-002, LOG-011, MSG-002, MSG-004, IDEM-001, PUSH-001, PUSH-003, PUSH-004, PUSH-009, MARK-001, SUM-005, CONT-015
#[test]
fn whatever_goes_wrong_everyone_ends_with_the_same() {
    for seed in 1..=4 {
        let report = run(seed, None, false).unwrap();
        assert_eq!(report.broken, None, "cargo run -p simulation -- --seed {seed} --trace");
        assert!(report.count > 700, "{} events", report.count);
    }
}

#[test]
fn a_seed_is_a_run() {
    let (one, again, other) =
        (run(7, None, true).unwrap(), run(7, None, true).unwrap(), run(8, None, true).unwrap());
    assert_eq!(one.events, again.events);
    assert_eq!(one.hash, again.hash, "all the bytes too");
    assert_ne!(one.hash, other.hash);
}

#[test]
fn what_is_broken_is_noticed() {
    for sabotage in Sabotage::ALL {
        let caught =
            (1..=WITHIN).any(|seed| run(seed, Some(sabotage), false).unwrap().broken.is_some());
        assert!(caught, "{sabotage:?} goes unnoticed for {WITHIN} seeds");
    }
}
