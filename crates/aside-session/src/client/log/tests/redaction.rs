//! Entries without payload: explained in time, or tampered with.

use super::*;

impl Log {
    /// Takes the payloads of these away, and appends the entry that says so; `named` is what that says.
    fn redact(&mut self, seqs: &[u64], named: &[u64]) {
        for seq in seqs {
            self.take_away(*seq);
        }
        self.append_with(|header| {
            header.kind = v1::EntryKind::Redacted.into();
            header.signature = Bytes::new();
        });
        let payload = v1::RedactedPayload { seqs: named.to_vec() }.encode_to_vec();
        // No payload is empty; a field that nobody knows is enough.
        let payload = if payload.is_empty() { vec![0x10, 1] } else { payload };
        self.entries.last_mut().unwrap().payload = payload.into();
    }

    fn take_away(&mut self, seq: u64) {
        let entry = &mut self.entries[seq as usize - 1];
        if let Ok(salt) = <[u8; 32]>::try_from(&entry.salt[..]) {
            entry.payload_hash = payload_hash(&salt, &entry.payload).to_vec().into();
            (entry.salt, entry.payload) = Default::default();
        }
    }
}

/// Fetches one page, as after a restart.
fn page(follower: &mut Follower, log: &Log, count: usize) -> Result<Vec<u64>, Tampering> {
    if let Some(remembered) = follower.remembered() {
        *follower = Follower::resume(ROOM, remembered);
    }
    follower.handle_head_seq(log.head());
    let fetch = follower.poll_fetch().unwrap();
    let accepted = follower.handle_fetched(&log_key(), &log.fetch(fetch, count))?;
    Ok(accepted.iter().map(|entry| entry.seq).collect())
}

fn missing(follower: &Follower) -> Vec<(u64, u64)> {
    let missing = follower.remembered().unwrap().missing;
    missing.iter().map(|missing| (missing.seq, missing.head_seq)).collect()
}

// cites: LOG-013, REDACT-012
#[test]
fn what_is_missing_waits_for_the_head_that_came_with_it() {
    let mut log = Log::of(5);
    log.redact(&[2, 4], &[2, 4]);
    let mut follower = Follower::new(ROOM, Start::Beginning);
    assert_eq!(page(&mut follower, &log, 3), Ok(vec![1, 2, 3]));
    assert_eq!(missing(&follower), [(2, 6)]);
    log.append();
    assert_eq!(page(&mut follower, &log, 2), Ok(vec![4, 5]));
    assert_eq!(missing(&follower), [(2, 6), (4, 7)]);
    assert_eq!(page(&mut follower, &log, 1), Ok(vec![6]));
    assert_eq!(missing(&follower), []);
}

// cites: LOG-013, REDACT-012
#[test]
fn a_redaction_that_was_made_up_later_comes_too_late() {
    let mut log = Log::of(5);
    log.take_away(2);
    let mut follower = Follower::new(ROOM, Start::Beginning);
    assert_eq!(page(&mut follower, &log, 3), Ok(vec![1, 2, 3]));
    log.redact(&[], &[2]);
    let late = follower.clone();
    let tampering = Err(Tampering::PayloadMissing { seq: 2 });
    assert_eq!(page(&mut follower, &log, 2), tampering, "the head is reached");
    assert_eq!(page(&mut late.clone(), &log, 9), tampering, "and passed by one page");
}

// cites: REDACT-014
#[test]
fn a_push_without_payload_is_fetched_for() {
    let mut log = Log::of(3);
    let mut follower = following(&log);
    (0..2).for_each(|_| log.append());
    log.redact(&[4], &[4]);
    assert_eq!(follower.handle_pushed(log.entry(4)), Ok(None));
    assert!(!follower.is_caught_up());
    assert_eq!(catch_up(&mut follower, &log), Ok(vec![4, 5, 6]));
    assert_eq!(missing(&follower), []);
}

// cites: REDACT-012
#[test]
fn a_push_can_be_what_was_waited_for_or_too_late() {
    let mut log = Log::of(3);
    log.redact(&[2], &[2]);
    let mut follower = Follower::new(ROOM, Start::Beginning);
    page(&mut follower, &log, 3).unwrap();
    assert!(follower.handle_pushed(log.entry(4)).unwrap().is_some());
    assert_eq!(missing(&follower), []);

    let mut log = Log::of(4);
    log.take_away(2);
    let mut follower = Follower::new(ROOM, Start::Beginning);
    page(&mut follower, &log, 3).unwrap();
    let late = follower.handle_pushed(log.entry(4));
    assert_eq!(late, Err(Tampering::PayloadMissing { seq: 2 }));
    assert_eq!(follower.place(), Some(log.place(3)), "nothing of it was taken in");
}

// cites: REDACT-011, REDACT-013
#[test]
fn only_messages_before_it_are_redacted() {
    let mut log = Log::of(2);
    log.redact(&[], &[2, 1, 2, 0, 3, 9]);
    let header = v1::EntryHeader::decode(&log.entry(3).header[..]).unwrap();
    assert_eq!(redacted_by(&header, &log.entry(3).payload), [1, 2]);
    let other = v1::EntryHeader { kind: v1::EntryKind::Message.into(), ..header };
    assert_eq!(redacted_by(&other, &log.entry(3).payload), [] as [u64; 0]);

    log.redact(&[3], &[3]);
    let outcome = catch_up(&mut Follower::new(ROOM, Start::Beginning), &log);
    assert_eq!(outcome, Err(Tampering::Entry { seq: 3, what: "its missing payload" }));
}

// cites: REDACT-012, FETCH-007
#[test]
fn what_is_trimmed_explains_nothing_any_more() {
    let mut log = Log::of(9);
    log.redact(&[2], &[2]);
    let mut follower = Follower::new(ROOM, Start::Beginning);
    page(&mut follower, &log, 3).unwrap();
    log.append();
    log.trimmed = 10;
    follower.poll_fetch().unwrap();
    let refusal = follower.handle_refused(&log.trimmed_error());
    assert_eq!(refusal, Ok(Refusal::Trimmed { from_seq: 4, first_seq: 11 }));
    assert_eq!(missing(&follower), []);
    assert_eq!(catch_up(&mut follower, &log), Ok(vec![11]));
}

// cites: REDACT-012
#[test]
fn what_was_read_back_is_explained_by_what_was_taken_in_or_comes() {
    let mut log = Log::of(6);
    log.redact(&[2, 3], &[2, 3]);
    let mut past = Follower::until(ROOM, Start::At(2), log.place(4));
    let fetch = past.poll_fetch().unwrap();
    past.handle_fetched(&log_key(), &log.fetch(fetch, 3)).unwrap();
    let found = past.remembered().unwrap().missing;
    assert_eq!(found, [2, 3].map(|seq| Missing { seq, head_seq: 7 }));

    let mut follower = Follower::resume(
        ROOM,
        Remembered {
            place: log.place(6),
            time_ms: 0,
            head: None,
            missing: Vec::new(),
            anchor: None,
        },
    );
    assert_eq!(follower.handle_missing(&found), Ok(()));
    assert_eq!(catch_up(&mut follower, &log), Ok(vec![7]));
    assert_eq!(missing(&follower), []);
    let overdue = follower.handle_missing(&found);
    assert_eq!(overdue, Err(Tampering::PayloadMissing { seq: 2 }));
}

// cites: REDACT-015
#[test]
fn so_much_is_kept_of_what_is_missing_and_no_more() {
    let mut follower = following(&Log::of(1));
    let all: Vec<_> =
        (2..=MAX_MISSING as u64 + 2).map(|seq| Missing { seq, head_seq: u64::MAX }).collect();
    assert_eq!(follower.handle_missing(&all), Ok(()));
    let kept = follower.remembered().unwrap().missing;
    assert_eq!((kept.len(), kept[0].seq), (MAX_MISSING, 3));
}

/// What a server and its clients do, one after another.
#[derive(Debug, Clone)]
enum Step {
    Append,
    Redact(Vec<prop::sample::Index>),
    Fetch(usize),
    Push,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Append),
        3 => prop::collection::vec(any::<prop::sample::Index>(), 1..4).prop_map(Step::Redact),
        4 => (1..6_usize).prop_map(Step::Fetch),
        1 => Just(Step::Push),
        1 => Just(Step::Restart),
    ]
}

/// Plays the steps against a server that leaves out the `forgotten`th seq it should name, and fetches to the end.
fn play(steps: &[Step], mut forgotten: Option<usize>) -> (Result<(), Tampering>, Log) {
    let mut log = Log::of(1);
    let mut follower = Follower::new(ROOM, Start::Beginning);
    let outcome = (|| {
        for step in steps {
            match step {
                Step::Append => log.append(),
                Step::Redact(picks) => {
                    let seqs = picks.iter().map(|pick| pick.index(log.entries.len()) as u64 + 1);
                    let whole = |seq: &u64| {
                        let entry = log.entry(*seq);
                        let header = v1::EntryHeader::decode(&entry.header[..]).unwrap();
                        !entry.salt.is_empty() && header.kind() == v1::EntryKind::Message
                    };
                    let mut seqs: Vec<_> = seqs.filter(whole).collect();
                    seqs.sort_unstable();
                    seqs.dedup();
                    let mut named = seqs.clone();
                    named.retain(|_| {
                        let is_forgotten = forgotten == Some(0);
                        forgotten = forgotten.and_then(|count| count.checked_sub(1));
                        !is_forgotten
                    });
                    if !seqs.is_empty() {
                        log.redact(&seqs, &named);
                    }
                }
                Step::Fetch(count) => {
                    follower.handle_head_seq(log.head());
                    if let Some(fetch) = follower.poll_fetch() {
                        follower.handle_fetched(&log_key(), &log.fetch(fetch, *count))?;
                    }
                }
                Step::Push => drop(follower.handle_pushed(log.entry(log.head()))?),
                Step::Restart => {
                    follower = Follower::resume(ROOM, follower.remembered().unwrap());
                }
            }
        }
        follower.handle_head_seq(log.head());
        catch_up(&mut follower, &log).map(drop)
    })();
    (outcome, log)
}

proptest! {
    // cites: LOG-013, REDACT-012
    #[test]
    fn an_honest_server_is_never_accused(steps in prop::collection::vec(step(), 1..40)) {
        prop_assert_eq!(play(&steps, None).0, Ok(()));
    }

    // cites: LOG-013, REDACT-012
    #[test]
    fn a_client_that_comes_late_finds_whatever_was_left_out(
        steps in prop::collection::vec(step(), 1..40),
        forgotten in 0..6_usize,
        count in 1..6_usize,
    ) {
        let (_, log) = play(&steps, Some(forgotten));
        let named: Vec<_> = log.entries.iter().flat_map(|entry| {
            let header = v1::EntryHeader::decode(&entry.header[..]).unwrap();
            redacted_by(&header, &entry.payload)
        }).collect();
        let left_out = (1..=log.head()).any(|seq| {
            log.entry(seq).salt.is_empty() && !named.contains(&seq)
        });
        let mut follower = Follower::new(ROOM, Start::Beginning);
        let mut outcome = Ok(Vec::new());
        while outcome.is_ok() && follower.place().unwrap().seq < log.head() {
            outcome = page(&mut follower, &log, count);
        }
        prop_assert_eq!(matches!(outcome, Err(Tampering::PayloadMissing { .. })), left_out);
    }
}
