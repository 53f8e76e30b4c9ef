//! Against a server that need not be honest.

use aside_crypto::{SigningKey, chain_next, chain_start, payload_hash, sign_head};
use aside_proto::id::IdempotencyKey;
use aside_session::client::Draft;
use prost::Message as _;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::{Entry, What};

const ROOM: ConversationId = ConversationId::new([9; 16]);
const ME: UserId = UserId::new([1; 16]);
const BOB: (UserId, DeviceId) = (UserId::new([2; 16]), DeviceId::new([22; 16]));

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

fn draft(by: (UserId, DeviceId), text: &str, key: &SigningKey, id: u8) -> Draft {
    let id = IdempotencyKey::new([id; 16]);
    Draft::sign(by, key, (ROOM, id), [7; 32], crate::content::text(text, None))
}

/// A room's log, in which bob talks.
#[derive(Clone, Default)]
struct Log {
    entries: Vec<v1::Entry>,
}

impl Log {
    /// Bob says something, signed with this key.
    fn say(&mut self, text: &str, key: &SigningKey) {
        self.say_as(text, key, self.entries.len() as u8 + 1);
    }

    /// The server appends what was said once more.
    fn repeat(&mut self, seq: usize) {
        let mut entry = self.entries[seq - 1].clone();
        let mut header = v1::EntryHeader::decode(&entry.header[..]).unwrap();
        header.seq = self.head() + 1;
        header.time_ms = header.seq;
        entry.header = header.encode_to_vec().into();
        self.entries.push(entry);
    }

    /// The server says that bob did something.
    fn record(&mut self, kind: v1::EntryKind, payload: &impl prost::Message) {
        self.say("", &key(2));
        let entry = self.entries.last_mut().unwrap();
        let mut header = v1::EntryHeader::decode(&entry.header[..]).unwrap();
        header.kind = kind.into();
        header.signature.clear();
        entry.header = header.encode_to_vec().into();
        entry.payload = payload.encode_to_vec().into();
    }

    /// As [`say`](Self::say), with a message id of these bytes.
    fn say_as(&mut self, text: &str, key: &SigningKey, id: u8) {
        self.append(BOB, &draft(BOB, text, key, id));
    }

    /// The server appends what somebody sent.
    fn append(&mut self, (user, device): (UserId, DeviceId), draft: &Draft) {
        let seq = self.entries.len() as u64 + 1;
        let header = v1::EntryHeader {
            conversation_id: ROOM.to_bytes(),
            seq,
            kind: v1::EntryKind::Message.into(),
            sender_user_id: user.to_bytes(),
            sender_device_id: device.to_bytes(),
            message_id: draft.message_id.to_bytes(),
            time_ms: seq,
            signature: draft.request().signature,
        };
        self.entries.push(v1::Entry {
            header: header.encode_to_vec().into(),
            salt: vec![7; 32].into(),
            payload: draft.payload.clone(),
            payload_hash: Bytes::new(),
        });
    }

    fn chain(&self, seq: usize) -> [u8; 32] {
        self.entries[..seq].iter().fold(chain_start(ROOM), |chain, entry| {
            chain_next(&chain, &entry.header, &payload_hash(&[7; 32], &entry.payload))
        })
    }

    fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    fn fetch(&self, fetch: &v1::Fetch) -> v1::Fetched {
        let before = fetch.from_seq as usize - 1;
        let statement = v1::HeadStatement {
            conversation_id: ROOM.to_bytes(),
            first_seq: 1,
            anchor: chain_start(ROOM).to_vec().into(),
            head_seq: self.head(),
            chain: self.chain(self.entries.len()).to_vec().into(),
            time_ms: 1,
        };
        let statement = statement.encode_to_vec();
        let signature = sign_head(&key(99), &statement).as_bytes().to_vec().into();
        v1::Fetched {
            entries: self.entries[before..].to_vec(),
            prev_chain: self.chain(before).to_vec().into(),
            first_seq: 1,
            head_seq: self.head(),
            signed_head: Some(v1::SignedHead { statement: statement.into(), signature }),
        }
    }

    fn room(&self) -> v1::Room {
        v1::Room {
            conversation_id: ROOM.to_bytes(),
            name: "garden".into(),
            first_seq: 1,
            head_seq: self.head(),
            ..Default::default()
        }
    }
}

/// One client's view of it.
struct Client {
    dir: TempDir,
    sync: Sync,
    out: Outlet,
    events: mpsc::Receiver<Event>,
    /// What the server says bob's device key is; none: it does not know the device.
    bobs_key: Option<u8>,
    /// Whose it says the device is, and when it was revoked.
    bobs: (UserId, u64),
    /// How often it was asked.
    looked_up: usize,
    /// The user's watermarks, as the server has them.
    watermark: v1::Watermark,
    /// What it was sent: delivered, then read.
    marks: Vec<(u64, u64)>,
    /// How often entries were fetched.
    fetches: usize,
}

impl Client {
    async fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap(), 0).await
    }

    async fn open(dir: TempDir, replay: u32) -> Self {
        let store = Arc::new(Store::open(dir.path(), &crate::Unlock::default()).await.unwrap());
        store.account().await.unwrap();
        let (sender, events) = mpsc::channel(256);
        let mut out = Outlet::new(sender, Arc::clone(&store));
        let mut sync = Sync::restore(store, ME, (200, replay), &mut out).await.unwrap();
        sync.log_key = Some(key(99).public_key());
        let watermark = v1::Watermark { user_id: ME.to_bytes(), ..Default::default() };
        let (bobs_key, bobs, marks) = (Some(2), (BOB.0, 0), Vec::new());
        Self { dir, sync, out, events, bobs_key, bobs, looked_up: 0, watermark, marks, fetches: 0 }
    }

    async fn restart(self, replay: u32) -> Self {
        self.sync.store.close().await;
        Self::open(self.dir, replay).await
    }

    /// Answers requests until there are none; gives what was told.
    async fn run(&mut self, log: &Log) -> Vec<Event> {
        self.run_at(Instant::now(), log).await
    }

    async fn run_at(&mut self, now: Instant, log: &Log) -> Vec<Event> {
        while let Some((asked, body)) = self.sync.poll(now) {
            let (sync, out) = (&mut self.sync, &mut self.out);
            match (asked, body) {
                (Asked::Summaries, _) => {
                    let watermark = Some(self.watermark.clone());
                    let room = Some(log.room());
                    let summary = v1::Summary { room, watermark, ..Default::default() };
                    let summaries =
                        v1::Summaries { summaries: vec![summary], ..Default::default() };
                    sync.summaries(&summaries, out).await.unwrap();
                }
                (Asked::Members(room), _) => {
                    sync.members(room, v1::Members::default(), out).await.unwrap();
                }
                (Asked::Mark(room), Body::Mark(mark)) => {
                    self.marks.push((mark.delivered_seq, mark.read_seq));
                    self.watermark.delivered_seq = mark.delivered_seq;
                    self.watermark.read_seq = mark.read_seq;
                    let marked = v1::Marked { watermark: Some(self.watermark.clone()) };
                    sync.marked(room, marked, out).await.unwrap();
                }
                (Asked::Rooms, _) => {
                    let rooms = v1::Rooms { rooms: vec![log.room()], ..Default::default() };
                    sync.rooms(&rooms, out).await.unwrap();
                }
                (Asked::Fetch(room), Body::Fetch(fetch)) => {
                    self.fetches += 1;
                    sync.fetched(room, &log.fetch(&fetch), out).await.unwrap();
                }
                (Asked::Devices(asked), _) => {
                    self.looked_up += 1;
                    let (user, revoked_ms) = self.bobs;
                    let named = |byte| v1::DeviceKey {
                        device_id: BOB.1.to_bytes(),
                        user_id: user.to_bytes(),
                        public_key: key(byte).public_key().as_bytes().to_vec().into(),
                        revoked_ms,
                    };
                    let keys =
                        v1::DeviceKeys { keys: self.bobs_key.map(named).into_iter().collect() };
                    sync.device_keys(&asked, &keys, out).await.unwrap();
                }
                (asked, body) => panic!("{asked:?} {body:?}"),
            }
            self.sync.flush(&mut self.out).await.unwrap();
        }
        self.told().await
    }

    async fn told(&mut self) -> Vec<Event> {
        self.sync.flush(&mut self.out).await.unwrap();
        self.out.pump().await.unwrap();
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    async fn push(&mut self, log: &Log, seq: u64) {
        let entry = &log.entries[seq as usize - 1];
        self.sync.pushed(entry, &mut self.out).await.unwrap();
        self.sync.flush(&mut self.out).await.unwrap();
    }
}

mod back;
mod progress;

/// The messages among events: text, and whether it is verified.
fn messages(events: &[Event]) -> Vec<(&str, bool)> {
    let message = |event| match event {
        &Event::Entry(Entry {
            what: What::Message { text: Some(ref text), verified, .. }, ..
        }) => Some((text.as_str(), verified)),
        _ => None,
    };
    events.iter().filter_map(message).collect()
}

/// The messages among events: seq, and the entry that it repeats.
fn repetitions(events: &[Event]) -> Vec<(u64, Option<u64>)> {
    let message = |event| match event {
        &Event::Entry(Entry { seq, what: What::Message { repeats, .. }, .. }) => {
            Some((seq, repeats))
        }
        _ => None,
    };
    events.iter().filter_map(message).collect()
}

// cites: MSG-008
#[tokio::test]
async fn a_message_is_told_when_its_senders_key_is_known_and_for_what_it_is() {
    let mut log = Log::default();
    log.say("mine", &key(2));
    log.say("forged", &key(3));
    let mut client = Client::new().await;
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("mine", true), ("forged", false)]);

    log.say("mine too", &key(2));
    client.push(&log, 3).await;
    let told = client.told().await;
    assert_eq!(messages(&told), [("mine too", true)], "the key is remembered");
}

// cites: MSG-008
#[tokio::test]
async fn a_message_from_a_device_that_nobody_knows_is_not_verified() {
    let mut log = Log::default();
    log.say("who am I", &key(2));
    let mut client = Client::new().await;
    client.bobs_key = None;
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("who am I", false)]);
}

// cites: MSG-008
#[tokio::test]
async fn a_look_up_that_a_restart_cut_off_is_made_again() {
    let mut log = Log::default();
    log.say("mine", &key(2));
    let mut client = Client::new().await;
    client.sync.follow(&log.room(), None, &mut client.out).await.unwrap();
    client.push(&log, 1).await;
    assert_eq!(messages(&client.told().await), [], "it waits for the key");
    let mut client = client.restart(9).await;
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("mine", true)]);
}

// cites: MSG-008
#[tokio::test]
async fn a_look_up_that_went_with_its_connection_is_made_again() {
    let mut log = Log::default();
    log.say("mine", &key(2));
    let mut client = Client::new().await;
    client.sync.follow(&log.room(), None, &mut client.out).await.unwrap();
    client.push(&log, 1).await;
    client.sync.listing = Listing::Done;
    let asked = client.sync.poll(Instant::now());
    assert!(matches!(asked, Some((Asked::Devices(_), _))), "{asked:?}");
    client.sync.disconnected();
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("mine", true)]);
}

/// Whatever is known of the entry that was redacted: here it is none that could be edited.
// cites: CONT-016
#[tokio::test]
async fn an_edit_of_what_is_said_to_be_redacted_is_not_shown() {
    let redacts = |seqs| v1::RedactedPayload { seqs };
    let mut log = Log::default();
    log.record(v1::EntryKind::Redacted, &redacts(vec![9]));
    let of = crate::MessageRef { seq: 1, message_id: IdempotencyKey::new([1; 16]) };
    let edit = crate::content::edit(of, "secret".into());
    let id = IdempotencyKey::new([2; 16]);
    log.append(BOB, &Draft::sign(BOB, &key(2), (ROOM, id), [7; 32], edit));
    let told = Client::new().await.run(&log).await;
    assert_eq!(messages(&told), [("secret", true)], "nobody has said so");
    log.record(v1::EntryKind::Redacted, &redacts(vec![1]));
    let told = Client::new().await.run(&log).await;
    assert_eq!(messages(&told), []);
}

#[tokio::test]
async fn a_room_that_is_lost_is_told_of() {
    let mut log = Log::default();
    log.say("one", &key(2));
    let unfollowed = |told: &[Event]| {
        told.iter().find_map(|event| match event {
            Event::Unfollowed { conversation: ROOM, reason, .. } => Some(reason.is_some()),
            _ => None,
        })
    };
    // The server refuses to give more of it.
    let mut client = Client::new().await;
    client.run(&log).await;
    client.sync.gap(ROOM, 2);
    let (asked, _) = client.sync.poll(Instant::now()).unwrap();
    let refusal = v1::Error { code: v1::ErrorCode::NotAMember.into(), ..Default::default() };
    client.sync.refused(asked, refusal, Instant::now(), &mut client.out).await.unwrap();
    assert_eq!(unfollowed(&client.told().await), Some(true));
    // The server leaves it out of the list.
    let mut client = Client::new().await;
    client.run(&log).await;
    client.sync.disconnected();
    client.sync.poll(Instant::now()).unwrap();
    client.sync.rooms(&v1::Rooms::default(), &mut client.out).await.unwrap();
    assert_eq!(unfollowed(&client.told().await), Some(false));
}

// Another device of the user has joined it, and the queue of this one's connection was full.
#[tokio::test]
async fn a_room_of_which_only_a_gap_tells_is_found() {
    let mut client = Client::new().await;
    assert!(matches!(client.sync.poll(Instant::now()), Some((Asked::Rooms, _))));
    client.sync.rooms(&v1::Rooms::default(), &mut client.out).await.unwrap();
    assert!(client.sync.poll(Instant::now()).is_none());
    let mut log = Log::default();
    log.say("here", &key(2));
    client.sync.gap(ROOM, log.head());
    assert_eq!(messages(&client.run(&log).await), [("here", true)]);
}

// cites: DEV-010
#[tokio::test]
async fn another_key_for_a_known_device_is_warned_of_and_not_taken() {
    let mut log = Log::default();
    log.say("mine", &key(2));
    let mut client = Client::new().await;
    client.run(&log).await;

    // The server puts words into bob's mouth, with a key of its own.
    client.bobs_key = Some(3);
    log.say("not mine", &key(3));
    client.push(&log, 2).await;
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("not mine", false)]);
    let warned =
        |event: &Event| matches!(event, Event::DeviceKeyChanged { device, .. } if *device == BOB.1);
    assert!(told.iter().any(warned), "{told:?}");
    log.say("still mine", &key(2));
    client.push(&log, 3).await;
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("still mine", true)], "the first key is kept");
}

// cites: DEV-011, MSG-012
#[tokio::test]
async fn a_device_speaks_for_its_own_account_alone() {
    let mut log = Log::default();
    log.say("I am bob", &key(2));
    let mut client = Client::new().await;
    client.bobs.0 = UserId::new([3; 16]);
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("I am bob", false)], "it is somebody else's device");

    // Bob's it is, the server says later: that is not believed, and warned of.
    client.sync.disconnected();
    client.bobs.0 = BOB.0;
    log.say("I am bob after all", &key(2));
    client.push(&log, 2).await;
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("I am bob after all", false)]);
    assert!(told.iter().any(|event| matches!(event, Event::DeviceKeyChanged { .. })), "{told:?}");
}

// cites: DEV-012, MSG-014
#[tokio::test]
async fn a_device_is_looked_up_once_a_connection() {
    let mut log = Log::default();
    log.say("one", &key(2));
    log.say("two", &key(2));
    let mut client = Client::new().await;
    client.run(&log).await;
    log.say("three", &key(2));
    client.push(&log, 3).await;
    client.run(&log).await;
    assert_eq!(client.looked_up, 1);

    client.sync.disconnected();
    log.say("four", &key(2));
    client.push(&log, 4).await;
    client.bobs.1 = 4;
    let told = client.run(&log).await;
    assert_eq!((messages(&told), client.looked_up), (vec![("four", true)], 2));
    log.say("from the grave", &key(2));
    client.push(&log, 5).await;
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("from the grave", false)]);
    assert_eq!(client.looked_up, 3, "once more, since it does not verify");

    // What was heard of it is remembered.
    let mut client = client.restart(0).await;
    log.say("and again", &key(2));
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("and again", false)]);
}

// cites: MSG-013
#[tokio::test]
async fn a_message_that_is_shown_again_is_a_repetition() {
    let mut log = Log::default();
    log.say("pay him", &key(2));
    log.say("no more", &key(2));
    let mut client = Client::new().await;
    client.run(&log).await;
    let mut client = client.restart(0).await;
    log.repeat(1);
    log.repeat(1);
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("pay him", false), ("pay him", false)]);
    assert_eq!(repetitions(&told), [(3, Some(1)), (4, Some(1))]);
}

// cites: MSG-013
#[tokio::test]
async fn a_forgery_does_not_make_a_repetition_of_the_true_message() {
    let mut log = Log::default();
    log.say("forged", &key(3));
    log.say_as("true", &key(2), 1);
    let mut client = Client::new().await;
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("forged", false), ("true", true)]);
    assert_eq!(repetitions(&told), [(1, None), (2, None)]);
}

/// Who is in a private conversation say MLS and REMOVAL_PENDING: an entry of rooms puts nobody out of it.
// cites: MLS-043
#[tokio::test]
async fn nobody_leaves_a_private_conversation_by_an_entry_of_rooms() {
    for (kind, is_followed) in [(Kind::PublicRoom, false), (Kind::Group, true)] {
        let mut log = Log::default();
        log.record(v1::EntryKind::MemberLeft, &v1::MemberLeftPayload { user_id: ME.to_bytes() });
        let entry = log.entries.last_mut().unwrap();
        let mut header = v1::EntryHeader::decode(&entry.header[..]).unwrap();
        header.sender_user_id = ME.to_bytes();
        entry.header = header.encode_to_vec().into();
        let mut client = Client::new().await;
        client.sync.follow(&log.room(), None, &mut client.out).await.unwrap();
        client.sync.rooms.get_mut(&ROOM).unwrap().kind = kind;
        client.push(&log, 1).await;
        assert_eq!(client.sync.rooms.contains_key(&ROOM), is_followed);
        assert_eq!(client.sync.poll_left().is_empty(), is_followed);
    }
}

// cites: LOG-015
#[tokio::test]
async fn only_a_member_itself_leaves_or_is_renamed() {
    let mut log = Log::default();
    log.record(v1::EntryKind::MemberLeft, &v1::MemberLeftPayload { user_id: ME.to_bytes() });
    let renamed = v1::MemberRenamedPayload {
        user_id: ME.to_bytes(),
        old_handle: "me".into(),
        new_handle: "you".into(),
    };
    log.record(v1::EntryKind::MemberRenamed, &renamed);
    let mut client = Client::new().await;
    let told = client.run(&log).await;
    let unknown = |event: &&Event| matches!(event, Event::Entry(Entry { what: What::Unknown, .. }));
    assert_eq!(told.iter().filter(unknown).count(), 2, "{told:?}");
    assert_eq!(client.sync.poll_my_handle(), None);
    assert_eq!(client.sync.store.handle_of(ME).await.unwrap(), None);
    assert!(client.sync.rooms.contains_key(&ROOM), "still followed");
}

// cites: CONV-001
#[tokio::test]
async fn a_key_of_a_wrong_length_ends_the_connection() {
    let mut client = Client::new().await;
    let key = v1::DeviceKey { device_id: BOB.1.to_bytes(), ..Default::default() };
    let keys = v1::DeviceKeys { keys: vec![key] };
    let outcome = client.sync.device_keys(&[BOB.1], &keys, &mut client.out).await;
    assert!(matches!(outcome, Err(Error::Violation(_))), "{outcome:?}");
}

// cites: HEAD-005
#[tokio::test]
async fn a_signed_head_is_remembered() {
    let mut log = Log::default();
    log.say("one", &key(2));
    let mut client = Client::new().await;
    client.run(&log).await;
    log.say("two", &key(2));
    client.push(&log, 2).await;
    client.told().await;
    // The head of two entries comes with a fetch that brings none.
    client.sync.disconnected();
    client.run(&log).await;
    let client = client.restart(0).await;
    let known = client.sync.store.conversation(ROOM).await.unwrap().unwrap().cursor.unwrap();
    let fetched = log.fetch(&v1::Fetch { from_seq: 3, ..Default::default() });
    assert_eq!((known.place.seq, known.time_ms, known.head), (2, 2, fetched.signed_head));
}

// cites: HEAD-009
#[tokio::test]
async fn a_head_is_asked_for_within_the_hour() {
    let mut log = Log::default();
    log.say("one", &key(2));
    let mut client = Client::new().await;
    client.run(&log).await;
    log.say("two", &key(2));
    client.push(&log, 2).await;
    client.run(&log).await;
    let begun = Instant::now();
    client.sync.tick(begun);
    assert!(client.sync.poll(begun).is_none());
    let later = client.sync.wake_at().unwrap() + Duration::from_secs(50 * 60);
    client.sync.tick(later);
    assert!(later - begun < Duration::from_secs(3600));
    let asked = client.sync.poll(later);
    let Some((Asked::Fetch(ROOM), Body::Fetch(fetch))) = asked else { panic!("{asked:?}") };
    assert!(fetch.signed_head);
}

// cites: PUSH-009
#[tokio::test]
async fn a_gap_is_fetched_and_told_once() {
    let mut log = Log::default();
    log.say("one", &key(2));
    let mut client = Client::new().await;
    client.run(&log).await;
    for text in ["two", "three", "four"] {
        log.say(text, &key(2));
    }
    client.push(&log, 4).await;
    client.sync.gap(ROOM, 4);
    let told = client.run(&log).await;
    assert_eq!(messages(&told), [("two", true), ("three", true), ("four", true)]);
    let repaired = told.iter().filter_map(|event| match event {
        Event::GapRepaired { from_seq, to_seq, .. } => Some((*from_seq, *to_seq)),
        _ => None,
    });
    assert_eq!(repaired.collect::<Vec<_>>(), [(2, 4)]);
}

// cites: LOG-011
#[tokio::test]
async fn tampering_is_warned_of_for_good() {
    let mut log = Log::default();
    log.say("one", &key(2));
    let mut client = Client::new().await;
    client.run(&log).await;

    let mut changed = log.clone();
    changed.entries[0].payload = crate::content::text("another", None);
    changed.say("two", &key(2));
    client.sync.disconnected();
    let told = client.run(&changed).await;
    let tampering = |event: &Event| matches!(event, Event::Tampering { conversation: ROOM, .. });
    assert_eq!(told.iter().filter(|event| tampering(event)).count(), 1, "{told:?}");
    assert_eq!(messages(&told), [], "nothing of it is told");
    assert_eq!(client.sync.poll_tampered(), Some(ROOM));

    let mut client = client.restart(0).await;
    assert!(client.sync.is_tampered(ROOM));
    let told = client.run(&changed).await;
    assert_eq!(told.iter().filter(|event| tampering(event)).count(), 1, "warned again");
    let (waiter, mut outcome) = oneshot::channel();
    client.sync.wait_for(ROOM, waiter);
    assert!(matches!(outcome.try_recv(), Ok(Err(Error::Tampered))));

    // The user knows why, and takes it up anew.
    client.sync.forget(ROOM, &mut client.out).await.unwrap();
    let told = client.run(&changed).await;
    assert_eq!(messages(&told), [("another", false), ("two", true)]);
}

// cites: HEAD-005
#[tokio::test]
async fn a_log_that_got_shorter_is_warned_of() {
    let mut log = Log::default();
    for text in ["one", "two"] {
        log.say(text, &key(2));
    }
    let mut client = Client::new().await;
    client.run(&log).await;
    log.entries.pop();
    let mut client = client.restart(0).await;
    // The room says so itself; the fetch from behind its end is refused.
    let (asked, _) = client.sync.poll(Instant::now()).unwrap();
    assert!(matches!(asked, Asked::Rooms));
    let rooms = v1::Rooms { rooms: vec![log.room()], ..Default::default() };
    client.sync.rooms(&rooms, &mut client.out).await.unwrap();
    // Who is there was not kept: no entry says it.
    assert!(matches!(client.sync.poll(Instant::now()), Some((Asked::Members(ROOM), _))));
    client.sync.members(ROOM, v1::Members::default(), &mut client.out).await.unwrap();
    let (asked, _) = client.sync.poll(Instant::now()).unwrap();
    let refusal =
        v1::Error { code: v1::ErrorCode::SeqOutOfRange.into(), head_seq: 1, ..Default::default() };
    client.sync.refused(asked, refusal, Instant::now(), &mut client.out).await.unwrap();
    let told = client.told().await;
    assert!(told.iter().any(|event| matches!(event, Event::Tampering { .. })), "{told:?}");
}
