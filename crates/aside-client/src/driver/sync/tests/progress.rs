//! Marks, and what was acknowledged.

use aside_session::client::log::Place;

use super::*;
use crate::{State, store::Posting};

const PHONE: (UserId, DeviceId) = (ME, DeviceId::new([11; 16]));

async fn counted() -> Client {
    let mut client = Client::new().await;
    client.sync.in_force = true;
    client
}

fn log(texts: &[&str]) -> Log {
    let mut log = Log::default();
    texts.iter().for_each(|text| log.say(text, &key(2)));
    log
}

// cites: MARK-014
#[tokio::test]
async fn any_number_of_moves_costs_one_mark() {
    let mut log = log(&["one", "two", "three"]);
    let mut client = counted().await;
    let begun = Instant::now();
    client.run_at(begun, &log).await;
    assert_eq!(client.marks, [(3, 0)], "once for all that came together");

    for text in ["four", "five", "six"] {
        log.say(text, &key(2));
        client.push(&log, log.head()).await;
        client.run_at(begun, &log).await;
    }
    client.sync.mark_read(ROOM, 5).await.unwrap();
    client.run_at(begun, &log).await;
    assert_eq!(client.marks, [(3, 0)], "not so soon");
    let due = client.sync.mark_at().unwrap();
    assert_eq!(due, begun + Duration::from_millis(500));
    client.run_at(due, &log).await;
    assert_eq!(client.marks, [(3, 0), (6, 5)]);
}

// cites: MARK-014
#[tokio::test]
async fn no_mark_is_sent_while_another_is_unanswered() {
    let mut log = log(&["one"]);
    let mut client = counted().await;
    let now = Instant::now();
    client.run_at(now, &log).await;
    log.say("two", &key(2));
    client.push(&log, 2).await;
    let later = now + Duration::from_secs(1);
    let asked = client.sync.poll(later);
    assert!(matches!(asked, Some((Asked::Mark(ROOM), _))), "{asked:?}");
    client.sync.mark_read(ROOM, 2).await.unwrap();
    let much_later = later + Duration::from_secs(1);
    assert!(client.sync.poll(much_later).is_none());
    // A connection that is lost takes the answer with it.
    client.sync.disconnected();
    client.run_at(much_later, &log).await;
    assert_eq!(client.marks.last(), Some(&(2, 2)));
}

// cites: MARK-001
#[tokio::test]
async fn a_read_mark_outlives_the_run_and_counts_no_further_than_what_was_taken_in() {
    let log = log(&["one", "two"]);
    let mut client = counted().await;
    client.run(&log).await;
    client.sync.disconnected();
    client.sync.mark_read(ROOM, 99).await.unwrap();
    client.sync.mark_read(ROOM, 1).await.unwrap();
    assert_eq!(client.sync.store.unread(ROOM).await.unwrap(), Some(0));

    let watermark = client.watermark.clone();
    let mut client = client.restart(0).await;
    (client.sync.in_force, client.watermark) = (true, watermark);
    client.run(&log).await;
    assert_eq!(client.marks, [(2, 2)]);
}

// cites: MARK-010
#[tokio::test]
async fn where_nobody_is_told_marks_are_rare() {
    let mut log = log(&["one"]);
    let mut client = counted().await;
    client.sync.limits.max_live_members = 1;
    let now = Instant::now();
    client.run_at(now, &log).await;
    client.sync.rooms.get_mut(&ROOM).unwrap().live = false;
    log.say("two", &key(2));
    client.push(&log, 2).await;
    client.run_at(now + Duration::from_secs(59), &log).await;
    assert_eq!(client.marks, [(1, 0)]);
    client.run_at(now + Duration::from_secs(60), &log).await;
    assert_eq!(client.marks, [(1, 0), (2, 0)]);
}

#[tokio::test]
async fn a_server_without_sync_is_sent_no_marks() {
    let log = log(&["one"]);
    let mut client = Client::new().await;
    client.run(&log).await;
    client.sync.mark_read(ROOM, 1).await.unwrap();
    client.run(&log).await;
    assert_eq!(client.marks, []);
    assert_eq!(client.sync.store.unread(ROOM).await.unwrap(), None);
}

// cites: MARK-008
#[tokio::test]
async fn what_another_device_has_read_is_not_unread() {
    let log = log(&["one", "two"]);
    let mut client = counted().await;
    client.run(&log).await;
    assert_eq!(client.sync.store.unread(ROOM).await.unwrap(), Some(2));
    let at = |read_seq| aside_session::client::Watermark {
        user: ME,
        at: Watermarks { delivered_seq: 2, read_seq },
    };
    client.sync.moved(ROOM, at(1), &mut client.out).await.unwrap();
    assert_eq!(client.sync.store.unread(ROOM).await.unwrap(), Some(1));
    let told = client.told().await;
    assert!(matches!(told[..], [Event::WatermarkMoved { .. }]), "{told:?}");
    client.sync.moved(ROOM, at(0), &mut client.out).await.unwrap();
    assert_eq!(client.sync.store.unread(ROOM).await.unwrap(), Some(1), "it never falls");
}

// cites: MARK-008
#[tokio::test]
async fn how_far_others_have_got_is_gathered_and_told_once() {
    let log = log(&["one", "two"]);
    let mut client = counted().await;
    client.run(&log).await;
    let carol = UserId::new([3; 16]);
    for (user, delivered_seq, read_seq) in [(BOB.0, 1, 0), (carol, 2, 2), (BOB.0, 2, 1)] {
        let at = Watermarks { delivered_seq, read_seq };
        let watermark = aside_session::client::Watermark { user, at };
        client.sync.moved(ROOM, watermark, &mut client.out).await.unwrap();
    }
    let (before, due) = (Instant::now(), client.sync.moves_at.unwrap());
    assert!(before < due && client.sync.wake_at().unwrap() <= due);
    client.sync.tell_moves(before, &mut client.out).await.unwrap();
    assert!(client.told().await.is_empty(), "they are gathered");

    client.sync.tell_moves(due, &mut client.out).await.unwrap();
    let told = client.told().await;
    let told = told.iter().map(|event| match event {
        Event::WatermarkMoved { watermark, .. } => {
            (watermark.who.user, watermark.delivered, watermark.read)
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(told.collect::<Vec<_>>(), [(BOB.0, 2, 1), (carol, 2, 2)]);
    assert_eq!(client.sync.store.watermarks(ROOM).await.unwrap().len(), 2);
    client.sync.tell_all_moves(&mut client.out).await.unwrap();
    assert!(client.told().await.is_empty(), "and told once");
}

// cites: MARK-001
#[tokio::test]
async fn a_device_begins_with_what_no_other_has() {
    let texts: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let log = log(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut client = counted().await;
    client.sync.history = 2;
    (client.watermark.delivered_seq, client.watermark.read_seq) = (15, 10);
    client.run(&log).await;
    let kept = client.sync.store.entries_from(ROOM, 0, 99).await.unwrap();
    assert_eq!(kept.first().map(|kept| kept.seq), Some(11));
    assert_eq!(client.sync.store.unread(ROOM).await.unwrap(), Some(10));
}

/// Says something, and hears that it is entry `seq`; whether that is believed.
async fn acknowledged(client: &mut Client, draft: &Draft, seq: u64) -> bool {
    let after = client.sync.known_to(ROOM);
    acknowledged_after(client, draft, after, seq).await
}

/// The same of what was written when the entry `after` was the last known.
async fn acknowledged_after(
    client: &mut Client,
    draft: &Draft,
    after: Option<u64>,
    seq: u64,
) -> bool {
    let posting = Posting { draft: draft.clone(), after, carried: true };
    assert!(client.sync.store.add_to_outbox(&posting).await.unwrap());
    let believed = client.sync.sent(&posting, seq, &mut client.out).await.unwrap();
    assert_eq!(believed, !client.sync.is_tampered(ROOM));
    believed
}

/// How what was said stands.
async fn outgoing(client: &Client) -> Vec<State> {
    let filed = client.sync.store.outgoing().await.unwrap();
    filed.into_iter().map(|filed| filed.state).collect()
}

// cites: MSG-015
#[tokio::test]
async fn what_was_acknowledged_stands_there() {
    let mut log = log(&["one"]);
    let mut client = Client::new().await;
    client.run(&log).await;
    let (mine, next) = (draft(PHONE, "mine", &key(1), 7), draft(PHONE, "next", &key(1), 8));
    log.append(PHONE, &mine);
    log.append(PHONE, &next);
    // Before it is pushed, then after.
    assert!(acknowledged(&mut client, &mine, 2).await);
    assert_eq!(client.sync.store.outgoing().await.unwrap().len(), 1, "until it was seen");
    let written = client.sync.known_to(ROOM);
    client.push(&log, 2).await;
    client.push(&log, 3).await;
    assert!(acknowledged_after(&mut client, &next, written, 3).await);
    assert_eq!(client.sync.store.outgoing().await.unwrap(), []);
    assert!(!client.sync.is_tampered(ROOM));
}

// cites: MSG-015
#[tokio::test]
async fn another_entry_than_the_one_acknowledged_is_tampering() {
    let mine = draft(PHONE, "mine", &key(1), 7);
    let others = [
        draft(PHONE, "not mine", &key(1), 7),
        draft(PHONE, "mine", &key(1), 8),
        draft(PHONE, "mine", &key(3), 7),
    ];
    for other in &others {
        for (pushed_first, restarts) in [(true, false), (false, false), (false, true)] {
            let mut log = log(&["one"]);
            let mut client = Client::new().await;
            client.run(&log).await;
            log.append(PHONE, other);
            if pushed_first {
                client.push(&log, 2).await;
                assert!(!acknowledged_after(&mut client, &mine, Some(1), 2).await);
            } else {
                assert!(acknowledged(&mut client, &mine, 2).await, "not there yet");
            }
            if restarts {
                client = client.restart(0).await;
            }
            client.run(&log).await;
            client.push(&log, 2).await;
            assert!(client.sync.is_tampered(ROOM), "{other:?}");
            let states = outgoing(&client).await;
            assert!(matches!(states[..], [State::Failed { .. }]), "it is not lost: {states:?}");
        }
    }
}

// cites: MSG-016
#[tokio::test]
async fn a_message_is_not_where_it_can_not_be() {
    let log = log(&["one", "two", "three"]);
    let mine = draft(PHONE, "mine", &key(1), 7);
    // Nowhere, before it was written, and beyond all.
    for seq in [0, 1, 3, u64::MAX] {
        let mut client = Client::new().await;
        client.run(&log).await;
        assert!(!acknowledged(&mut client, &mine, seq).await, "{seq}");
    }
    // Where another is.
    let mut client = Client::new().await;
    client.run(&log).await;
    assert!(acknowledged(&mut client, &draft(PHONE, "other", &key(1), 8), 4).await);
    assert!(!acknowledged(&mut client, &mine, 4).await);
}

// cites: MSG-016
#[tokio::test]
async fn where_nothing_is_kept_only_retention_explains_it() {
    let mine = draft(PHONE, "mine", &key(1), 7);
    let forgotten = None;
    for (after, trimmed, believed) in
        [(Some(1), false, false), (forgotten, false, true), (Some(1), true, true)]
    {
        let (log, mut client) = from_the_fourth().await;
        if trimmed {
            let anchor = Place { seq: 3, chain: log.chain(3) };
            client.sync.rooms.get_mut(&ROOM).unwrap().follower.handle_anchor(anchor).unwrap();
        }
        assert_eq!(acknowledged_after(&mut client, &mine, after, 2).await, believed);
    }
}

/// A client that took a log up at its fourth entry.
async fn from_the_fourth() -> (Log, Client) {
    let log = log(&["one", "two", "three", "four", "five"]);
    let mut client = Client::new().await;
    client.sync.history = 2;
    client.run(&log).await;
    assert_eq!(client.sync.store.entries_from(ROOM, 0, 9).await.unwrap().len(), 2);
    (log, client)
}

fn tampering(told: &[Event]) -> bool {
    told.iter().any(|event| matches!(event, Event::Tampering { .. }))
}

// cites: HEAD-005, MARK-004
#[tokio::test]
async fn whoever_names_an_entry_has_to_show_it() {
    let log = log(&["one", "two"]);
    for what in 0..3 {
        let mut client = counted().await;
        client.run(&log).await;
        let far = if what == 0 { 3 } else { u64::MAX };
        match what {
            0 | 1 => {
                let room = v1::Room { head_seq: far, topic: "lies".into(), ..log.room() };
                client.sync.settings(&room, &mut client.out).await.unwrap();
            }
            _ => {
                let at = Watermarks { delivered_seq: 2, read_seq: far };
                let watermark = aside_session::client::Watermark { user: BOB.0, at };
                client.sync.moved(ROOM, watermark, &mut client.out).await.unwrap();
            }
        }
        let told = client.run(&log).await;
        assert!(tampering(&told), "{what}: {told:?}");
    }
}

/// Asks for so many of the entries before the fourth.
fn read_back(log: &Log, client: &mut Client, count: u32) -> oneshot::Receiver<Result<(), Error>> {
    let (waiter, outcome) = oneshot::channel();
    let until = Place { seq: 3, chain: log.chain(3) };
    client.sync.read_back(ROOM, until, count, waiter);
    outcome
}

async fn refuse_as_trimmed(client: &mut Client, first_seq: u64, anchor: [u8; 32]) {
    let (asked, _) = client.sync.poll(Instant::now()).unwrap();
    assert!(matches!(asked, Asked::ReadBack(_)), "{asked:?}");
    let code = v1::ErrorCode::Trimmed.into();
    let anchor = anchor.to_vec().into();
    let trimmed = v1::Error { code, first_seq, anchor, ..Default::default() };
    client.sync.refused(asked, trimmed, Instant::now(), &mut client.out).await.unwrap();
}

// cites: FETCH-007
#[tokio::test]
async fn what_is_left_of_the_past_is_read_and_what_is_gone_is_held_against_what_is_known() {
    let (log, mut client) = from_the_fourth().await;
    let mut outcome = read_back(&log, &mut client, 3);
    refuse_as_trimmed(&mut client, 3, log.chain(2)).await;
    let asked = client.sync.poll(Instant::now());
    let Some((Asked::ReadBack(id), Body::Fetch(fetch))) = asked else { panic!("{asked:?}") };
    assert_eq!((fetch.from_seq, fetch.max_entries), (3, 1));
    client.sync.read_page(id, &log.fetch(&fetch), &mut client.out).await.unwrap();
    client.run(&log).await;
    assert!(matches!(outcome.try_recv(), Ok(Ok(()))));
    let first = client.sync.store.entries_from(ROOM, 0, 1).await.unwrap();
    assert_eq!(first[0].seq, 3);

    // What was gone does not come back, and the chain there is the one that was known.
    for (first_seq, anchor) in [(2, log.chain(1)), (3, [1; 32]), (6, [1; 32])] {
        let (log, mut client) = from_the_fourth().await;
        let mut outcome = read_back(&log, &mut client, 3);
        refuse_as_trimmed(&mut client, 3, log.chain(2)).await;
        drop(client.sync.read_backs.drain(..));
        assert!(outcome.try_recv().is_err());
        let mut outcome = read_back(&log, &mut client, 3);
        refuse_as_trimmed(&mut client, first_seq, anchor).await;
        assert!(tampering(&client.told().await), "{first_seq}");
        assert!(matches!(outcome.try_recv(), Ok(Err(Error::Tampered))));
    }
}

// cites: LOG-013
#[tokio::test]
async fn what_is_to_be_explained_of_the_past_is_kept_with_it() {
    let (log, mut client) = from_the_fourth().await;
    let _outcome = read_back(&log, &mut client, 1);
    let asked = client.sync.poll(Instant::now());
    let Some((Asked::ReadBack(id), Body::Fetch(fetch))) = asked else { panic!("{asked:?}") };
    // The third came without its text; the entry that explains it is the sixth.
    let mut fetched = log.fetch(&fetch);
    fetched.entries.truncate(1);
    let entry = &mut fetched.entries[0];
    entry.payload_hash = payload_hash(&[7; 32], &entry.payload).to_vec().into();
    (entry.payload, entry.salt) = Default::default();
    fetched.head_seq = 6;
    client.sync.read_page(id, &fetched, &mut client.out).await.unwrap();
    let known = client.sync.store.conversation(ROOM).await.unwrap().unwrap();
    let missing = known.cursor.unwrap().missing;
    assert_eq!(missing.iter().map(|it| (it.seq, it.head_seq)).collect::<Vec<_>>(), [(3, 6)]);
}

// cites: MSG-015
#[tokio::test]
async fn what_was_acknowledged_and_does_not_come_is_asked_for() {
    let log = log(&["one"]);
    let mut client = Client::new().await;
    client.run(&log).await;
    assert!(acknowledged(&mut client, &draft(PHONE, "mine", &key(1), 7), 2).await);
    let now = client.sync.wake_at().unwrap();
    client.sync.tick(now);
    let asked = client.sync.poll(now);
    assert!(matches!(asked, Some((Asked::Fetch(ROOM), _))), "{asked:?}");
}

// cites: HEAD-008
#[tokio::test]
async fn what_was_said_to_be_trimmed_stays_so_after_a_restart() {
    let log = log(&["one", "two", "three", "four"]);
    let mut client = Client::new().await;
    client.sync.history = 4;
    let (asked, _) = client.sync.poll(Instant::now()).unwrap();
    assert!(matches!(asked, Asked::Rooms));
    let rooms = v1::Rooms { rooms: vec![log.room()], ..Default::default() };
    client.sync.rooms(&rooms, &mut client.out).await.unwrap();
    let (asked, _) = client.sync.poll(Instant::now()).unwrap();
    let trimmed = v1::Error {
        code: v1::ErrorCode::Trimmed.into(),
        first_seq: 3,
        anchor: log.chain(2).to_vec().into(),
        ..Default::default()
    };
    client.sync.refused(asked, trimmed, Instant::now(), &mut client.out).await.unwrap();
    client.told().await;

    // The head that comes next says that all is there.
    let mut client = client.restart(0).await;
    let told = client.run(&log).await;
    assert!(told.iter().any(|event| matches!(event, Event::Tampering { .. })), "{told:?}");
}

// cites: HEAD-009, LOG-011
#[tokio::test]
async fn what_is_up_to_date_is_not_fetched_until_something_is_added() {
    let mut log = log(&["one", "two"]);
    let mut client = counted().await;
    client.run(&log).await;
    let fetches = client.fetches;
    client.sync.disconnected();
    client.run(&log).await;
    let (watermark, mut client) = (client.watermark.clone(), client.restart(0).await);
    (client.sync.in_force, client.watermark) = (true, watermark);
    client.run(&log).await;
    assert_eq!((fetches, client.fetches), (1, 0));

    // The server has another past by now: the next entry brings it out.
    log.entries[0].payload = crate::content::text("another", None);
    log.say("three", &key(2));
    client.push(&log, 3).await;
    let told = client.run(&log).await;
    assert!(told.iter().any(|event| matches!(event, Event::Tampering { .. })), "{told:?}");

    // Whoever wants to be sure is.
    let mut client = client.restart(0).await;
    client.sync.forget(ROOM, &mut client.out).await.unwrap();
    client.sync.in_force = true;
    client.run(&log).await;
    client.sync.disconnected();
    let (waiter, mut outcome) = oneshot::channel();
    client.sync.wait_for(ROOM, waiter);
    client.run(&log).await;
    assert!(matches!(outcome.try_recv(), Ok(Ok(()))));
    assert_eq!(client.fetches, 2);
}
