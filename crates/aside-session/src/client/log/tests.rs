use aside_crypto::{PublicKey, SigningKey, chain_next, chain_start, payload_hash, sign_head};
use aside_proto::{
    id::{ConversationId, UserId},
    v1,
};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::Now;

mod redaction;

const ROOM: ConversationId = ConversationId::new([9; 16]);

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32]).unwrap()
}

fn log_key() -> PublicKey {
    key().public_key()
}

/// A server's log, honest unless a test makes it otherwise.
#[derive(Clone, Default)]
struct Log {
    entries: Vec<v1::Entry>,
    /// How many of them, oldest first, are gone.
    trimmed: u64,
}

impl Log {
    fn of(count: u64) -> Self {
        let mut log = Self::default();
        (0..count).for_each(|_| log.append());
        log
    }

    fn append(&mut self) {
        // Every third entry is of a kind that no one knows.
        let kind = if self.head() % 3 == 2 { 77 } else { v1::EntryKind::Message as i32 };
        self.append_with(|header| header.kind = kind);
    }

    fn append_with(&mut self, change: impl FnOnce(&mut v1::EntryHeader)) {
        let seq = self.head() + 1;
        let mut header = v1::EntryHeader {
            conversation_id: ROOM.to_bytes(),
            seq,
            kind: v1::EntryKind::Message.into(),
            sender_user_id: vec![1; 16].into(),
            sender_device_id: vec![2; 16].into(),
            message_id: vec![seq as u8; 16].into(),
            time_ms: 1000 + seq / 2,
            signature: vec![3; 64].into(),
        };
        change(&mut header);
        self.entries.push(v1::Entry {
            header: header.encode_to_vec().into(),
            salt: vec![seq as u8; 32].into(),
            payload: format!("text {seq}").into(),
            payload_hash: Default::default(),
        });
    }

    fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    fn entry(&self, seq: u64) -> &v1::Entry {
        &self.entries[seq as usize - 1]
    }

    fn chain(&self, seq: u64) -> [u8; 32] {
        self.entries[..seq as usize].iter().fold(chain_start(ROOM), |chain, entry| {
            let hash = match <[u8; 32]>::try_from(&entry.salt[..]) {
                Ok(salt) => payload_hash(&salt, &entry.payload),
                Err(_) => entry.payload_hash[..].try_into().unwrap(),
            };
            chain_next(&chain, &entry.header, &hash)
        })
    }

    fn place(&self, seq: u64) -> Place {
        Place { seq, chain: self.chain(seq) }
    }

    fn signed_head(&self) -> v1::SignedHead {
        let statement = v1::HeadStatement {
            conversation_id: ROOM.to_bytes(),
            first_seq: self.trimmed + 1,
            anchor: self.chain(self.trimmed).to_vec().into(),
            head_seq: self.head(),
            chain: self.chain(self.head()).to_vec().into(),
            time_ms: 5,
        };
        signed(&statement)
    }

    /// The answer to a fetch of what is gone.
    fn trimmed_error(&self) -> v1::Error {
        v1::Error {
            code: v1::ErrorCode::Trimmed.into(),
            first_seq: self.trimmed + 1,
            anchor: self.chain(self.trimmed).to_vec().into(),
            ..Default::default()
        }
    }

    fn fetch(&self, fetch: Fetch, max: usize) -> v1::Fetched {
        let skipped = fetch.from_seq as usize - 1;
        v1::Fetched {
            entries: self.entries.iter().skip(skipped).take(max).cloned().collect(),
            prev_chain: self.chain(fetch.from_seq - 1).to_vec().into(),
            first_seq: 1,
            head_seq: self.head(),
            signed_head: fetch.signed_head.then(|| self.signed_head()),
        }
    }
}

fn signed(statement: &v1::HeadStatement) -> v1::SignedHead {
    let statement = statement.encode_to_vec();
    let signature = sign_head(&key(), &statement).as_bytes().to_vec().into();
    v1::SignedHead { statement: statement.into(), signature }
}

/// Fetches until there is nothing to fetch.
fn catch_up(follower: &mut Follower, log: &Log) -> Result<Vec<u64>, Tampering> {
    let mut taken = Vec::new();
    while let Some(fetch) = follower.poll_fetch() {
        let accepted = follower.handle_fetched(&log_key(), &log.fetch(fetch, 4))?;
        taken.extend(accepted.iter().map(|entry| entry.seq));
    }
    Ok(taken)
}

fn following(log: &Log) -> Follower {
    let mut follower = Follower::new(ROOM, Start::Beginning);
    catch_up(&mut follower, log).unwrap();
    follower
}

// cites: PUSH-009
#[test]
fn a_pushed_entry_is_taken_ignored_or_fetched_for() {
    let mut log = Log::of(3);
    let mut follower = following(&log);
    assert_eq!(follower.place(), Some(log.place(3)));
    (0..4).for_each(|_| log.append());

    let taken = follower.handle_pushed(log.entry(4)).unwrap().map(|entry| entry.seq);
    assert_eq!(taken, Some(4), "cursor + 1 is taken");
    assert_eq!(follower.handle_pushed(log.entry(4)), Ok(None), "at the cursor");
    assert_eq!(follower.handle_pushed(log.entry(1)), Ok(None), "below the cursor");
    assert_eq!(follower.poll_fetch(), None);

    assert_eq!(follower.handle_pushed(log.entry(6)), Ok(None), "above cursor + 1");
    let fetch = follower.poll_fetch();
    assert_eq!(fetch, Some(Fetch { from_seq: 5, signed_head: false }));
    assert_eq!(follower.poll_fetch(), None, "one at a time");

    // What is pushed meanwhile is not let through twice.
    follower.handle_pushed(log.entry(5)).unwrap().unwrap();
    let accepted = follower.handle_fetched(&log_key(), &log.fetch(fetch.unwrap(), 9)).unwrap();
    assert_eq!(accepted.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [6, 7]);
    assert!(follower.is_caught_up());
}

// cites: PUSH-009
#[test]
fn a_gap_is_fetched_from_the_cursor() {
    let mut log = Log::of(2);
    let mut follower = following(&log);
    (0..9).for_each(|_| log.append());
    follower.handle_head_seq(log.head());
    assert!(!follower.is_caught_up());
    assert_eq!(catch_up(&mut follower, &log), Ok((3..=11).collect()));
    follower.handle_head_seq(4);
    let asks = Some(Fetch { from_seq: 12, signed_head: true });
    assert_eq!(follower.poll_fetch(), asks, "old news, or a shorter log: a signed head says");
}

// cites: LOG-009
#[test]
fn entries_of_unknown_kinds_keep_their_place_in_the_chain() {
    let mut log = Log::of(6);
    let mut follower = following(&log);
    log.append_with(|header| header.kind = 4711);
    let entry = follower.handle_pushed(log.entry(7)).unwrap().unwrap();
    assert_eq!((entry.kind(), entry.header.kind), (v1::EntryKind::Unspecified, 4711));
    assert_eq!(follower.place(), Some(log.place(7)));
    follower.request_head();
    assert_eq!(catch_up(&mut follower, &log), Ok(vec![]));
    assert!(follower.is_vouched_for());
}

// cites: LOG-011
#[test]
fn history_that_was_changed_behind_the_cursor_is_noticed_on_resuming() {
    let log = Log::of(5);
    let mut follower = following(&log);
    follower.handle_disconnected();
    assert!(!follower.is_vouched_for());

    let mut changed = log.clone();
    changed.entries[1].payload = "something else".into();
    assert_eq!(catch_up(&mut follower, &changed), Err(Tampering::Chain { seq: 5 }));
    assert_eq!(follower.poll_fetch(), None, "nothing more is taken in");
    assert_eq!(follower.handle_pushed(log.entry(5)), Ok(None));
    assert!(!follower.is_vouched_for());
}

// cites: HEAD-009, LOG-011
#[test]
fn what_was_vouched_for_may_rest_until_something_is_added() {
    let mut log = Log::of(5);
    let mut follower = following(&log);
    follower.handle_disconnected();
    follower.rest();
    assert_eq!(follower.poll_fetch(), None);
    follower
        .handle_pushed(&{
            log.append();
            log.entry(6).clone()
        })
        .unwrap();
    assert_eq!(follower.poll_fetch(), Some(Fetch { from_seq: 7, signed_head: true }));

    // Not what no head vouched for, nor what a head was asked for of.
    let mut follower = following(&log);
    log.append();
    follower.handle_pushed(log.entry(7)).unwrap();
    follower.handle_disconnected();
    follower.rest();
    assert_eq!(follower.poll_fetch(), Some(Fetch { from_seq: 8, signed_head: true }));
    let mut follower = following(&log);
    follower.request_head();
    follower.handle_disconnected();
    follower.rest();
    assert!(follower.poll_fetch().is_some());
    let mut follower = following(&log);
    follower.handle_disconnected();
    follower.handle_head_seq(6);
    follower.rest();
    assert!(follower.poll_fetch().is_some(), "it may be shorter");
}

// cites: LOG-011
#[test]
fn a_changed_text_contradicts_the_head_that_was_signed_before() {
    let log = Log::of(5);
    let mut changed = log.clone();
    changed.entries[3].payload = "something else".into();
    for start in [Start::Beginning, Start::After(log.place(2)), Start::At(3)] {
        let mut follower = Follower::new(ROOM, start);
        let fetch = follower.poll_fetch().unwrap();
        let mut fetched = changed.fetch(fetch, 9);
        fetched.signed_head = Some(log.signed_head());
        let before = follower.place();
        let outcome = follower.handle_fetched(&log_key(), &fetched);
        assert_eq!(outcome, Err(Tampering::Chain { seq: 5 }), "{start:?}");
        assert_eq!(follower.place(), before, "nothing of it was taken in");
    }
}

// cites: LOG-010, LOG-011
#[test]
fn a_wrong_chain_value_before_the_entries_is_noticed() {
    let log = Log::of(5);
    let mut follower = Follower::new(ROOM, Start::After(log.place(2)));
    let fetch = follower.poll_fetch().unwrap();
    let fetched = v1::Fetched { prev_chain: vec![1; 32].into(), ..log.fetch(fetch, 9) };
    let outcome = follower.handle_fetched(&log_key(), &fetched);
    assert_eq!(outcome, Err(Tampering::Chain { seq: 2 }));

    // One that begins in the middle can't compare it; the signed head does.
    let mut follower = Follower::new(ROOM, Start::At(3));
    let fetch = follower.poll_fetch().unwrap();
    let fetched = v1::Fetched { prev_chain: vec![1; 32].into(), ..log.fetch(fetch, 9) };
    let outcome = follower.handle_fetched(&log_key(), &fetched);
    assert_eq!(outcome, Err(Tampering::Chain { seq: 5 }));
}

// cites: LOG-013, LOG-012
#[test]
fn a_missing_payload_that_nothing_redacts_is_tampering() {
    let mut log = Log::of(3);
    let entry = &mut log.entries[1];
    entry.payload_hash =
        payload_hash(entry.salt[..].try_into().unwrap(), &entry.payload).to_vec().into();
    let both = log.clone();
    let entry = &mut log.entries[1];
    (entry.salt, entry.payload) = Default::default();
    let mut neither = log.clone();
    neither.entries[1].payload_hash = Default::default();
    let mut empty = neither.clone();
    empty.entries[1].salt = vec![2; 32].into();

    let mut follower = Follower::new(ROOM, Start::Beginning);
    assert_eq!(catch_up(&mut follower, &log), Err(Tampering::PayloadMissing { seq: 2 }));
    for log in [both, neither, empty] {
        let mut follower = Follower::new(ROOM, Start::Beginning);
        let fetch = follower.poll_fetch().unwrap();
        let fetched =
            v1::Fetched { signed_head: Some(Log::of(3).signed_head()), ..fetched(&log, fetch) };
        let outcome = follower.handle_fetched(&log_key(), &fetched);
        assert_eq!(outcome, Err(Tampering::Entry { seq: 2, what: "its payload" }));
    }
}

/// As [`Log::fetch`], for logs without a chain.
fn fetched(log: &Log, fetch: Fetch) -> v1::Fetched {
    let prev_chain = log.chain(fetch.from_seq - 1).to_vec().into();
    v1::Fetched {
        entries: log.entries.clone(),
        prev_chain,
        first_seq: 1,
        head_seq: log.head(),
        ..Default::default()
    }
}

// cites: LOG-004, LOG-005, LOG-006, CONV-006
#[test]
fn an_entry_must_fit_its_place() {
    type Change = fn(&mut v1::EntryHeader);
    let cases: [(Change, &str); 8] = [
        (|header| header.conversation_id = vec![1; 16].into(), "its conversation"),
        (|header| header.seq = 2, "its number"),
        (|header| header.time_ms = 1, "its time"),
        (|header| header.sender_user_id.clear(), "its sender"),
        (|header| header.sender_device_id.truncate(15), "its sender"),
        (clear_sender, "its sender"),
        (|header| header.signature.truncate(63), "its signature"),
        (|header| header.kind = v1::EntryKind::MemberLeft.into(), "its signature"),
    ];
    for (change, what) in cases {
        let mut log = Log::of(3);
        log.append_with(change);
        let mut follower = Follower::new(ROOM, Start::Beginning);
        let outcome = catch_up(&mut follower, &log);
        assert_eq!(outcome, Err(Tampering::Entry { seq: 4, what }));
    }
}

fn clear_sender(header: &mut v1::EntryHeader) {
    header.sender_user_id.clear();
    header.sender_device_id.clear();
    header.message_id.clear();
}

// cites: HEAD-005
#[test]
fn a_log_that_got_shorter_is_noticed_however_it_is_said() {
    let log = Log::of(5);
    let shorter = Log::of(4);
    let resumed = || {
        let mut follower = following(&log);
        follower.handle_disconnected();
        let fetch = follower.poll_fetch().unwrap();
        (follower, fetch)
    };
    let expected = Tampering::Shorter { head: 4, seen: 5 };

    let (mut follower, fetch) = resumed();
    let by_head = v1::Fetched { signed_head: Some(shorter.signed_head()), ..log.fetch(fetch, 9) };
    assert_eq!(follower.handle_fetched(&log_key(), &by_head), Err(expected.clone()));

    let (mut follower, fetch) = resumed();
    let by_word = v1::Fetched { head_seq: 4, ..log.fetch(fetch, 9) };
    assert_eq!(follower.handle_fetched(&log_key(), &by_word), Err(expected.clone()));

    // No log is so long: whoever says so could not be held to it.
    let (mut follower, fetch) = resumed();
    let beyond = v1::Fetched { head_seq: MAX_SEQ + 1, ..log.fetch(fetch, 9) };
    let outcome = follower.handle_fetched(&log_key(), &beyond);
    assert!(matches!(outcome, Err(Tampering::Head(_))), "{outcome:?}");

    let (mut follower, _) = resumed();
    let by_error =
        v1::Error { code: v1::ErrorCode::SeqOutOfRange.into(), head_seq: 4, ..Default::default() };
    assert_eq!(follower.handle_refused(&by_error), Err(expected));
    assert_eq!(follower.poll_fetch(), None);
}

// cites: HEAD-005
#[test]
fn a_second_history_is_noticed_when_the_chain_reaches_its_head() {
    let log = Log::of(9);
    let mut other = log.clone();
    other.entries[7].payload = "another history".into();
    let mut follower = Follower::new(ROOM, Start::Beginning);
    let fetch = follower.poll_fetch().unwrap();
    let first = v1::Fetched { signed_head: Some(log.signed_head()), ..other.fetch(fetch, 4) };
    assert_eq!(follower.handle_fetched(&log_key(), &first).map(|taken| taken.len()), Ok(4));
    assert!(!follower.is_vouched_for());
    assert_eq!(catch_up(&mut follower, &other), Err(Tampering::Chain { seq: 9 }));
}

// cites: HEAD-001, HEAD-003
#[test]
fn a_head_must_be_signed_by_the_log_key_about_this_log() {
    let log = Log::of(3);
    let judge = |change: &dyn Fn(&mut v1::Fetched)| {
        let mut follower = Follower::new(ROOM, Start::Beginning);
        let mut fetched = log.fetch(follower.poll_fetch().unwrap(), 9);
        change(&mut fetched);
        follower.handle_fetched(&log_key(), &fetched).unwrap_err()
    };
    let signed_by = |statement: Vec<u8>, byte: u8| {
        let key = SigningKey::from_bytes(&[byte; 32]).unwrap();
        let signature = sign_head(&key, &statement).as_bytes().to_vec().into();
        Some(v1::SignedHead { statement: statement.into(), signature })
    };
    let statement = log.signed_head().statement.to_vec();
    let mut elsewhere = v1::HeadStatement::decode(&statement[..]).unwrap();
    elsewhere.conversation_id = vec![1; 16].into();
    let elsewhere = elsewhere.encode_to_vec();

    assert_eq!(judge(&|f| f.signed_head = None), Tampering::Head("no signed head came"));
    assert_eq!(
        judge(&|f| f.signed_head = signed_by(statement.clone(), 8)),
        Tampering::Head("its head is not signed by the log key")
    );
    assert_eq!(
        judge(&|f| f.signed_head = signed_by(elsewhere.clone(), 7)),
        Tampering::Head("its head is another conversation's")
    );
    assert_eq!(
        judge(&|f| f.signed_head = signed_by(vec![0xff], 7)),
        Tampering::Head("its head is malformed")
    );
    assert_eq!(
        judge(&|f| f.signed_head = Some(Log::of(2).signed_head())),
        Tampering::Shorter { head: 2, seen: 3 }
    );
}

// cites: HEAD-001
#[test]
fn a_head_older_than_entries_pushed_meanwhile_is_held_against_them() {
    let mut log = Log::of(3);
    let mut follower = following(&log);
    follower.request_head();
    let fetch = follower.poll_fetch().unwrap();
    log.append();
    let fetched = log.fetch(fetch, 9);
    log.append();
    for seq in [4, 5] {
        follower.handle_pushed(log.entry(seq)).unwrap().unwrap();
    }
    assert_eq!(follower.clone().handle_fetched(&log_key(), &fetched), Ok(vec![]));

    let mut other = Log::of(3);
    other.append_with(|header| header.kind = 4);
    let lie = v1::Fetched { signed_head: Some(other.signed_head()), ..fetched };
    let outcome = follower.handle_fetched(&log_key(), &lie);
    assert_eq!(outcome, Err(Tampering::Chain { seq: 4 }));
}

// cites: FETCH-001
#[test]
fn entries_that_are_there_can_not_be_withheld_for_ever() {
    let log = Log::of(3);
    let mut follower = Follower::new(ROOM, Start::Beginning);
    let fetch = follower.poll_fetch().unwrap();
    let outcome = follower.handle_fetched(&log_key(), &log.fetch(fetch, 0));
    assert_eq!(outcome, Err(Tampering::Withheld { seq: 1 }));
}

// cites: FETCH-005
#[test]
fn following_goes_on_after_what_was_trimmed() {
    let log = Log { trimmed: 5, ..Log::of(9) };
    let mut follower = Follower::new(ROOM, Start::After(log.place(2)));
    follower.poll_fetch().unwrap();
    let outcome = follower.handle_refused(&log.trimmed_error());
    assert_eq!(outcome, Ok(Refusal::Trimmed { from_seq: 3, first_seq: 6 }));
    assert_eq!(catch_up(&mut follower, &log), Ok(vec![6, 7, 8, 9]));
    assert!(follower.is_vouched_for());

    let mut follower = Follower::new(ROOM, Start::Beginning);
    follower.poll_fetch().unwrap();
    assert_eq!(follower.handle_refused(&v1::Error::default()), Ok(Refusal::Other));
    assert!(follower.poll_fetch().is_some(), "another error says nothing of the log");
}

// cites: FETCH-007
#[test]
fn trimming_is_no_way_back() {
    let log = Log::of(9);
    let refused = |error: &v1::Error| {
        let mut follower = Follower::new(ROOM, Start::After(log.place(4)));
        follower.poll_fetch().unwrap();
        let outcome = follower.handle_refused(error);
        assert!(outcome.is_ok() || follower.poll_fetch().is_none(), "it takes in nothing more");
        outcome.map(|_| follower.place())
    };
    let trimmed = |trimmed| Log { trimmed, ..log.clone() }.trimmed_error();
    assert_eq!(refused(&trimmed(5)), Ok(Some(log.place(5))));
    for (trimmed_to, what) in [(4, "nothing was missing"), (1, "back to the past")] {
        let expected = Err(Tampering::Trimmed { first_seq: trimmed_to + 1 });
        assert_eq!(refused(&trimmed(trimmed_to)), expected, "{what}");
    }
    for first_seq in [0, u64::MAX] {
        let error = v1::Error { first_seq, ..trimmed(5) };
        assert_eq!(refused(&error), Err(Tampering::Trimmed { first_seq }), "no seq at all");
    }
    let short = v1::Error { anchor: vec![1; 31].into(), ..trimmed(5) };
    assert_eq!(refused(&short), Err(Tampering::Trimmed { first_seq: 6 }), "no anchor");
}

// cites: FETCH-007
#[test]
fn trimming_must_not_contradict_what_was_pushed_meanwhile() {
    let log = Log::of(9);
    let after = |error: &v1::Error| {
        let mut follower = Follower::new(ROOM, Start::After(log.place(4)));
        follower.poll_fetch().unwrap();
        for seq in 5..=7 {
            follower.handle_pushed(log.entry(seq)).unwrap().unwrap();
        }
        follower.handle_refused(error).map(|_| follower.place())
    };
    let trimmed = Log { trimmed: 6, ..log.clone() }.trimmed_error();
    assert_eq!(after(&trimmed), Ok(Some(log.place(7))), "the cursor stays where it is");
    let lie = v1::Error { anchor: vec![1; 32].into(), ..trimmed };
    assert_eq!(after(&lie), Err(Tampering::Chain { seq: 6 }));
}

// cites: FETCH-007, HEAD-008
#[test]
fn trimming_must_be_signed_for() {
    let log = Log { trimmed: 5, ..Log::of(9) };
    let judge = |served: &Log| {
        let mut follower = Follower::new(ROOM, Start::After(log.place(2)));
        follower.poll_fetch().unwrap();
        follower.handle_refused(&log.trimmed_error()).unwrap();
        catch_up(&mut follower, served)
    };
    let untrimmed = Log { trimmed: 0, ..log.clone() };
    assert_eq!(judge(&untrimmed), Err(Tampering::Trimmed { first_seq: 1 }));
    let more = Log { trimmed: 6, ..log.clone() };
    assert_eq!(judge(&more), Ok(vec![6, 7, 8, 9]), "trimmed further meanwhile");
}

/// The cursor never gets to where such a head is: another has to be asked for.
// cites: HEAD-009, FETCH-007
#[test]
fn a_head_that_was_trimmed_is_not_waited_for() {
    let log = Log::of(9);
    let trimmed = |last| {
        let remembered = Remembered {
            place: log.place(2),
            time_ms: 0,
            head: Some(Log::of(5).signed_head()),
            missing: Vec::new(),
            anchor: None,
        };
        let mut follower = Follower::resume(ROOM, remembered);
        let fetch = follower.poll_fetch().unwrap();
        assert_eq!(
            fetch,
            Fetch { from_seq: 3, signed_head: false },
            "it waits for the head it has"
        );
        let log = Log { trimmed: last, ..log.clone() };
        (
            follower.handle_refused(&log.trimmed_error()).map(|_| follower.poll_fetch()),
            follower,
            log,
        )
    };
    for last in [5, 7] {
        let (fetch, mut follower, log) = trimmed(last);
        assert_eq!(fetch, Ok(Some(Fetch { from_seq: last + 1, signed_head: true })));
        follower.handle_disconnected();
        assert_eq!(catch_up(&mut follower, &log), Ok((last + 1..=9).collect()));
        assert!(follower.is_vouched_for());
    }
    let (fetch, ..) = trimmed(4);
    assert_eq!(fetch, Ok(Some(Fetch { from_seq: 5, signed_head: false })), "it is still there");
}

/// Requests that are under way at once may be answered from different moments.
// cites: HEAD-008
#[test]
fn a_head_is_held_against_what_was_known_when_it_was_asked_for() {
    let log = Log { trimmed: 1, ..Log::of(9) };
    let mut follower = Follower::new(ROOM, Start::After(log.place(9)));
    let fetch = follower.poll_fetch().unwrap();
    follower.handle_anchor(log.place(4)).unwrap();
    assert_eq!(follower.handle_fetched(&log_key(), &log.fetch(fetch, 9)), Ok(vec![]));
    assert_eq!(follower.anchor(), log.place(4), "what is gone does not come back");
    follower.request_head();
    let fetch = follower.poll_fetch().unwrap();
    let outcome = follower.handle_fetched(&log_key(), &log.fetch(fetch, 9));
    assert_eq!(outcome, Err(Tampering::Trimmed { first_seq: 2 }));
}

// cites: HEAD-008
#[test]
fn a_head_must_be_able_to_be_true() {
    let log = Log::of(3);
    let judge = |change: &dyn Fn(&mut v1::HeadStatement)| {
        let mut follower = Follower::new(ROOM, Start::After(log.place(1)));
        let mut fetched = log.fetch(follower.poll_fetch().unwrap(), 9);
        let mut statement = v1::HeadStatement::decode(&log.signed_head().statement[..]).unwrap();
        change(&mut statement);
        fetched.signed_head = Some(signed(&statement));
        follower.handle_fetched(&log_key(), &fetched).map(|taken| taken.len())
    };
    let malformed = Err(Tampering::Head("its head is malformed"));
    assert_eq!(judge(&|_| ()), Ok(2));
    assert_eq!(judge(&|s| s.first_seq = 0), malformed);
    assert_eq!(judge(&|s| s.first_seq = 5), malformed, "beyond the end");
    assert_eq!(judge(&|s| s.first_seq = 4), malformed, "nothing left, with two chain values");
    assert_eq!(judge(&|s| s.anchor = vec![0; 31].into()), malformed);
    assert_eq!(judge(&|s| s.chain = vec![0; 33].into()), malformed);
    assert_eq!(judge(&|s| s.head_seq = u64::MAX), malformed);
    let other = |s: &mut v1::HeadStatement| s.anchor = vec![1; 32].into();
    assert_eq!(judge(&other), Err(Tampering::Chain { seq: 0 }), "not the beginning of this log");
    let trimmed = |s: &mut v1::HeadStatement| (s.first_seq, s.anchor) = (2, vec![1; 32].into());
    assert_eq!(judge(&trimmed), Err(Tampering::Chain { seq: 1 }), "not what is known");
    let right = |s: &mut v1::HeadStatement| {
        (s.first_seq, s.anchor) = (2, log.chain(1).to_vec().into());
    };
    assert_eq!(judge(&right), Ok(2));
}

// cites: HEAD-005, LOG-004
#[test]
fn what_is_remembered_is_held_against_what_comes() {
    let log = Log::of(9);
    let mut follower = Follower::new(ROOM, Start::Beginning);
    let fetch = follower.poll_fetch().unwrap();
    follower.handle_fetched(&log_key(), &log.fetch(fetch, 4)).unwrap();
    let remembered = follower.remembered().unwrap();
    assert_eq!(remembered.place, log.place(4));
    assert_eq!((remembered.time_ms, &remembered.head), (1002, &Some(log.signed_head())));
    let resume = |served: &Log| {
        let mut follower = Follower::resume(ROOM, remembered.clone());
        let fetch = follower.poll_fetch().unwrap();
        follower.handle_fetched(&log_key(), &served.fetch(fetch, 99)).map(|taken| taken.len())
    };
    assert_eq!(resume(&log), Ok(5));
    let shorter = Log { entries: log.entries[..8].to_vec(), ..log.clone() };
    assert_eq!(resume(&shorter), Err(Tampering::Shorter { head: 8, seen: 9 }));
    let mut other = log.clone();
    other.entries[8].payload = "another history".into();
    assert_eq!(resume(&other), Err(Tampering::Chain { seq: 9 }));

    let earlier = Remembered { time_ms: 2000, head: None, ..remembered.clone() };
    let mut follower = Follower::resume(ROOM, earlier);
    let outcome = follower.handle_pushed(log.entry(5));
    assert_eq!(outcome, Err(Tampering::Entry { seq: 5, what: "its time" }));
    assert_eq!(Follower::new(ROOM, Start::At(3)).remembered(), None);
}

// cites: LOG-011
#[test]
fn reading_back_must_lead_to_what_is_known() {
    let log = Log::of(9);
    let read_back = |served: &Log| {
        let mut follower = Follower::until(ROOM, Start::At(3), log.place(7));
        let taken = catch_up(&mut follower, served)?;
        assert!(follower.place() == Some(log.place(7)) || taken.contains(&8));
        Ok(taken)
    };
    assert_eq!(read_back(&log).map(|taken| taken[..5].to_vec()), Ok(vec![3, 4, 5, 6, 7]));
    let mut changed = log.clone();
    changed.entries[3].salt = vec![0; 32].into();
    assert_eq!(read_back(&changed), Err(Tampering::Chain { seq: 7 }));
}

// cites: HEAD-009
#[test]
fn a_signed_head_is_asked_for_every_so_often() {
    let mut log = Log::of(1);
    let mut follower = following(&log);
    for seq in 2..=1 + u64::from(ENTRIES_BETWEEN_HEADS) {
        assert_eq!(follower.poll_fetch(), None);
        log.append();
        follower.handle_pushed(log.entry(seq)).unwrap().unwrap();
    }
    let fetch = follower.poll_fetch().unwrap();
    assert!(fetch.signed_head && fetch.from_seq == log.head() + 1);
    assert_eq!(follower.handle_fetched(&log_key(), &log.fetch(fetch, 4)), Ok(vec![]));
    assert!(follower.is_vouched_for());
}

// cites: HEAD-009
#[test]
fn a_signed_head_is_asked_for_within_the_hour_in_which_entries_came() {
    const HOUR_MS: u64 = 60 * 60 * 1000;
    let mut log = Log::of(3);
    let mut follower = following(&log);
    let tell = |follower: &mut Follower, monotonic_ms| {
        follower.handle_time(Now { monotonic_ms, unix_ms: 0 })
    };
    tell(&mut follower, 0);
    tell(&mut follower, 9 * HOUR_MS);
    assert_eq!(follower.poll_fetch(), None, "nothing came");

    log.append();
    follower.handle_pushed(log.entry(4)).unwrap().unwrap();
    tell(&mut follower, 10 * HOUR_MS);
    assert_eq!(follower.poll_fetch(), None);
    tell(&mut follower, 10 * HOUR_MS + HEAD_INTERVAL_MS - 1);
    assert_eq!(follower.poll_fetch(), None);
    tell(&mut follower, 10 * HOUR_MS + HEAD_INTERVAL_MS);
    let fetch = follower.poll_fetch().unwrap();
    assert_eq!(fetch, Fetch { from_seq: 5, signed_head: true });
    follower.handle_fetched(&log_key(), &log.fetch(fetch, 9)).unwrap();
    tell(&mut follower, 20 * HOUR_MS);
    assert_eq!(follower.poll_fetch(), None, "it is vouched for");
}

// cites: LOG-015
#[test]
fn nobody_joins_leaves_or_is_renamed_by_another() {
    let alice = UserId::new([1; 16]);
    let judge = |kind: v1::EntryKind, user: u8, payload: &dyn Fn(Bytes) -> Vec<u8>| {
        let header = v1::EntryHeader {
            kind: kind.into(),
            sender_user_id: alice.to_bytes(),
            ..Default::default()
        };
        Membership::of(&header, &payload(vec![user; 16].into()))
    };
    let joined =
        |user_id| v1::MemberJoinedPayload { user_id, handle: "a".into(), role: 1 }.encode_to_vec();
    let left = |user_id| v1::MemberLeftPayload { user_id }.encode_to_vec();
    let renamed = |user_id| {
        let (old_handle, new_handle) = ("a".into(), "b".into());
        v1::MemberRenamedPayload { user_id, old_handle, new_handle }.encode_to_vec()
    };
    let (old, new) = ("a".to_owned(), "b".to_owned());
    let cases: [(_, &dyn Fn(Bytes) -> Vec<u8>, _); 3] = [
        (
            v1::EntryKind::MemberJoined,
            &joined,
            Membership::Joined { user: alice, handle: "a".into() },
        ),
        (v1::EntryKind::MemberLeft, &left, Membership::Left { user: alice }),
        (v1::EntryKind::MemberRenamed, &renamed, Membership::Renamed { user: alice, old, new }),
    ];
    for (kind, payload, expected) in cases {
        assert_eq!(judge(kind, 1, payload), Some(expected));
        assert_eq!(judge(kind, 2, payload), None, "about somebody else");
        assert_eq!(judge(v1::EntryKind::Message, 1, payload), None);
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Appends; the entry is pushed if the flag says so.
    Append(bool),
    /// An entry is pushed again, or late.
    Push(prop::sample::Index),
    Gap,
    /// Makes a fetch and answers it with at most so many entries …
    Fetch(usize),
    /// … or appends and pushes between the two.
    SlowFetch(usize),
    Disconnect,
    Head,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<bool>().prop_map(Step::Append),
        1 => any::<prop::sample::Index>().prop_map(Step::Push),
        1 => Just(Step::Gap),
        2 => (1_usize..5).prop_map(Step::Fetch),
        1 => (1_usize..5).prop_map(Step::SlowFetch),
        1 => Just(Step::Disconnect),
        1 => Just(Step::Head),
    ];
    prop::collection::vec(step, 0..60)
}

/// One follower and one log, and what the follower let through.
struct Simulation {
    log: Log,
    follower: Follower,
    taken: Vec<u64>,
}

impl Simulation {
    fn push(&mut self, seq: u64) {
        let entry = self.follower.handle_pushed(self.log.entry(seq)).unwrap();
        self.taken.extend(entry.map(|entry| entry.seq));
    }

    fn fetch(&mut self, max: usize, meanwhile: bool) {
        let Some(fetch) = self.follower.poll_fetch() else { return };
        let fetched = self.log.fetch(fetch, max);
        if meanwhile {
            self.step(&Step::Append(true));
        }
        let accepted = self.follower.handle_fetched(&log_key(), &fetched).unwrap();
        self.taken.extend(accepted.iter().map(|entry| entry.seq));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(pushed) => {
                self.log.append();
                if *pushed {
                    self.push(self.log.head());
                }
            }
            Step::Push(index) => self.push(index.index(self.log.entries.len()) as u64 + 1),
            Step::Gap => self.follower.handle_head_seq(self.log.head()),
            Step::Fetch(max) => self.fetch(*max, false),
            Step::SlowFetch(max) => self.fetch(*max, true),
            Step::Disconnect => self.follower.handle_disconnected(),
            Step::Head => self.follower.request_head(),
        }
    }
}

proptest! {
    // cites: PUSH-009, LOG-001
    #[test]
    fn every_entry_is_let_through_once_in_order(steps in steps(), start in 1_u64..4) {
        let log = Log::of(3);
        let follower = Follower::new(ROOM, Start::At(start));
        let mut simulation = Simulation { log, follower, taken: Vec::new() };
        steps.iter().for_each(|step| simulation.step(step));
        simulation.follower.handle_head_seq(simulation.log.head());
        simulation.follower.request_head();
        while !(simulation.follower.is_caught_up() && simulation.follower.is_vouched_for()) {
            simulation.fetch(3, false);
        }
        let head = simulation.log.head();
        prop_assert_eq!(simulation.taken, (start..=head).collect::<Vec<_>>());
        prop_assert_eq!(simulation.follower.place(), Some(simulation.log.place(head)));
    }

    // cites: LOG-011
    #[test]
    fn no_change_of_history_survives_a_signed_head(
        length in 1_u64..12,
        kept in 0_u64..12,
        at in any::<prop::sample::Index>(),
        part in 0..3,
        bit in 0_u8..8,
    ) {
        let log = Log::of(length);
        let mut changed = log.clone();
        let entry = &mut changed.entries[at.index(length as usize)];
        let field = match part {
            0 => &mut entry.header,
            1 => &mut entry.salt,
            _ => &mut entry.payload,
        };
        let mut bytes = field.to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1 << bit;
        *field = bytes.into();

        // A client that has some of it resumes against the changed log, with the head that was signed before …
        let mut follower = Follower::new(ROOM, Start::After(log.place(kept.min(length))));
        let fetch = follower.poll_fetch().unwrap();
        let mut fetched = changed.fetch(fetch, 99);
        fetched.signed_head = Some(log.signed_head());
        let seen_again = kept.min(length) <= at.index(length as usize) as u64;
        let outcome = follower.handle_fetched(&log_key(), &fetched);
        prop_assert!(outcome.is_err(), "{seen_again}");
        // … or with one that was signed anew.
        if kept > 0 && !seen_again {
            let mut follower = Follower::new(ROOM, Start::After(log.place(kept.min(length))));
            let fetch = follower.poll_fetch().unwrap();
            prop_assert!(follower.handle_fetched(&log_key(), &changed.fetch(fetch, 99)).is_err());
        }
    }
}
