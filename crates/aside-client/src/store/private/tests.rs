use std::{future::poll_fn, path::Path, pin::pin, task::Poll};

use aside_mls::{
    DefaultCrypto, Device, Group, GroupId, Reason, Suite,
    testing::{Cast, owner},
};
use aside_proto::v1;
use aside_session::client::log::{Accepted, Follower, Start};
use prost::Message as _;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::*;
use crate::{
    Content, Kind, Unlock, What,
    private::Said,
    store::{NewEntry, StoredSignature},
};

const HERE: ConversationId = ConversationId::new([1; 16]);
const THERE: ConversationId = ConversationId::new([2; 16]);

/// What every secret here begins with.
const PLAIN: &str = "in plain sight: ";

fn secret(text: &str) -> Secret {
    Zeroizing::new(format!("{PLAIN}{text}").into_bytes())
}

/// A reading that says so.
fn said(text: &str) -> Secret {
    content(&secret(text), true)
}

/// A reading with this content.
fn content(content: &[u8], approved: bool) -> Secret {
    let content = Bytes::copy_from_slice(content);
    let (franking_key, role) = ([7; 32], v1::Role::Member);
    Reading::Said(Said { content, franking_key, position: 1, approved, role }).encode()
}

fn id(byte: u8) -> IdempotencyKey {
    IdempotencyKey::new([byte; 16])
}

async fn open(dir: &Path) -> Store {
    Store::open(dir, &Unlock::Unattended).await.unwrap()
}

async fn new_store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    (dir, store)
}

/// Everything there is, once in each of two conversations.
fn everything() -> Writes {
    let of = |name: &str| ConversationWrites {
        record: Some(secret(&format!("record {name}"))),
        groups: [(0, Some(secret(&format!("group 0 {name}")))), (1, Some(secret("group 1")))]
            .into(),
        readings: (1..=3).map(|seq| (seq, said(&format!("reading {seq} {name}")))).collect(),
        doubted: [(1, Some(secret("doubted 1"))), (3, Some(secret("doubted 3")))].into(),
        outgoing: [(id(7), Some(secret("said first"))), (id(9), Some(secret("said then")))].into(),
    };
    Writes {
        device: Some(secret("device record")),
        key_packages: [
            (vec![5; 32], Some(secret("package 5"))),
            (vec![6; 32], Some(secret("package 6"))),
        ]
        .into(),
        conversations: [(HERE, of("here")), (THERE, of("there"))].into(),
    }
}

fn in_conversation(id: ConversationId, writes: ConversationWrites) -> Writes {
    Writes { conversations: [(id, writes)].into(), ..Writes::default() }
}

fn readings_of(seqs: impl IntoIterator<Item = u64>) -> Writes {
    let readings: BTreeMap<_, _> =
        seqs.into_iter().map(|seq| (seq, said(&format!("reading {seq}")))).collect();
    let doubted = readings.keys().map(|seq| (*seq, Some(secret("doubted")))).collect();
    let writes = ConversationWrites { readings, doubted, ..ConversationWrites::default() };
    in_conversation(HERE, writes)
}

async fn kept_readings(store: &Store) -> Vec<u64> {
    store.readings(HERE, 0, u64::MAX).await.unwrap().into_keys().collect()
}

async fn kept_doubted(store: &Store) -> Vec<u64> {
    let stored = store.private().await.unwrap();
    stored.conversations[&HERE].doubted.iter().map(|(seq, _)| *seq).collect()
}

// cites: STORE-001
#[tokio::test]
async fn what_was_kept_is_given_back() {
    let (dir, store) = new_store().await;
    let nothing = store.private().await.unwrap();
    assert!(nothing.device.is_none() && nothing.conversations.is_empty());
    store.keep_private(&everything()).await.unwrap();
    // What is not named stays; what is put again stays in its place; what is deleted is gone.
    let then = ConversationWrites {
        groups: [(1, None), (2, Some(secret("group 2")))].into(),
        readings: [(2, said("reading 2 anew"))].into(),
        // The one is settled, and of the other there is no reading any more.
        doubted: [(1, None), (4, Some(secret("doubted 4")))].into(),
        outgoing: [
            (id(7), Some(secret("said anew"))),
            (id(3), Some(secret("said last"))),
            (id(9), None),
        ]
        .into(),
        ..ConversationWrites::default()
    };
    let key_packages = [(vec![5; 32], None)].into();
    store.keep_private(&Writes { key_packages, ..in_conversation(HERE, then) }).await.unwrap();
    store.close().await;

    let store = open(dir.path()).await;
    let stored = store.private().await.unwrap();
    assert_eq!(stored.device, Some(secret("device record")));
    assert_eq!(stored.key_packages, [(vec![6; 32], secret("package 6"))]);
    let here = &stored.conversations[&HERE];
    assert_eq!(here.record, Some(secret("record here")));
    assert_eq!(here.groups, [(0, secret("group 0 here")), (2, secret("group 2"))].into());
    assert_eq!(here.outgoing, [(id(7), secret("said anew")), (id(3), secret("said last"))]);
    assert_eq!(here.doubted, [(3, secret("doubted 3"))]);
    let there = &stored.conversations[&THERE];
    assert_eq!(there.outgoing, [(id(7), secret("said first")), (id(9), secret("said then"))]);
    let readings = store.readings(HERE, 2, 3).await.unwrap();
    assert_eq!(readings, [(2, said("reading 2 anew")), (3, said("reading 3 here"))].into());

    store.forget_private(HERE).await.unwrap();
    assert_eq!(kept_readings(&store).await, [0_u64; 0]);
    let left = store.private().await.unwrap();
    assert_eq!(left.conversations.into_keys().collect::<Vec<_>>(), [THERE]);
    let rows = "SELECT (SELECT count(*) FROM private_groups) + (SELECT count(*) FROM private_readings) \
                + (SELECT count(*) FROM private_doubted) + (SELECT count(*) FROM private_outgoing)";
    let rows: i64 = sqlx::query_scalar(rows).fetch_one(&store.pool).await.unwrap();
    assert_eq!(rows, 2 + 3 + 2 + 2, "those of the other");
}

// cites: STORE-001
#[tokio::test]
async fn a_write_that_is_cut_off_leaves_all_of_it_or_nothing() {
    let (_dir, store) = new_store().await;
    let mut cut = 0;
    for steps in 1.. {
        let whole = everything();
        let mut keep = pin!(store.keep_private(&whole));
        let mut polls = 0;
        let done = poll_fn(|context| {
            polls += 1;
            if polls > steps {
                return Poll::Ready(None);
            }
            keep.as_mut().poll(context).map(Some)
        });
        if let Some(kept) = done.await {
            kept.unwrap();
            break;
        }
        cut += 1;
        let stored = store.private().await.unwrap();
        if stored.device.is_some() {
            // Cut after the commit.
            break;
        }
        assert!(stored.key_packages.is_empty() && stored.conversations.is_empty(), "{steps}");
        assert_eq!(kept_readings(&store).await, [0_u64; 0]);
    }
    assert!(cut > 0);
    let stored = store.private().await.unwrap();
    assert_eq!((stored.key_packages.len(), stored.conversations.len()), (2, 2));
    assert_eq!(stored.conversations[&THERE].outgoing.len(), 2);
}

// cites: STORE-001
#[tokio::test]
async fn a_write_that_fails_changes_nothing_wherever_it_does() {
    let (_dir, store) = new_store().await;
    store.keep_private(&readings_of([1])).await.unwrap();
    for (table, last) in [
        ("private_device", "1"),
        ("private_key_packages", "new.reference = x'06'"),
        ("private_groups", "new.generation = 1"),
        ("private_readings", "new.seq = 3"),
        ("private_doubted", "new.seq = 3"),
        ("private_outgoing", "new.conversation = 2"),
    ] {
        let last = last.replace("x'06'", &format!("x'{}'", "06".repeat(32)));
        let refuse = format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON {table} WHEN {last} BEGIN SELECT raise(ABORT, 'full'); END"
        );
        sqlx::query(AssertSqlSafe(refuse)).execute(&store.pool).await.unwrap();
        let refused = store.keep_private(&everything()).await;
        assert!(matches!(refused, Err(StateError::Database(_))), "{table}");
        sqlx::query("DROP TRIGGER refuse").execute(&store.pool).await.unwrap();
        let stored = store.private().await.unwrap();
        assert!(stored.device.is_none() && stored.key_packages.is_empty(), "{table}");
        assert_eq!(stored.conversations.len(), 1, "{table}");
        assert!(stored.conversations[&HERE].outgoing.is_empty(), "{table}");
        assert_eq!(store.readings(HERE, 1, 9).await.unwrap(), [(1, said("reading 1"))].into());
    }
    store.keep_private(&everything()).await.unwrap();
}

// cites: STORE-002
#[tokio::test]
async fn commits_of_what_encrypts_wait_for_the_disk() {
    let (_dir, store) = new_store().await;
    let level = async |pool| -> i64 {
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await.unwrap()
    };
    let (normal, full) = (1, 2);
    assert_eq!((level(&store.pool).await, level(&store.durable).await), (normal, full));
}

// cites: STORE-003
#[tokio::test]
async fn one_process_encrypts_and_another_reads() {
    let (dir, store) = new_store().await;
    store.keep_private(&everything()).await.unwrap();
    let again = Store::open(dir.path(), &Unlock::Unattended).await;
    assert!(matches!(again, Err(StateError::InUse(_))));
    let copy = Store::open_shared(dir.path(), &Unlock::Unattended).await.unwrap();
    let read = copy.private().await.unwrap();
    assert_eq!(read.conversations[&HERE].record, Some(secret("record here")));
    assert_eq!(copy.readings(HERE, 1, 1).await.unwrap(), [(1, said("reading 1 here"))].into());
    assert!(matches!(copy.keep_private(&readings_of([4])).await, Err(StateError::Copy)));
    copy.close().await;
    store.keep_private(&readings_of([4])).await.unwrap();
}

/// A seq that nothing else in a file looks like.
const REFERRED: u64 = 0x1C6E_5B0A_93D7_42F8;

/// Whether any file of the state holds these bytes.
fn holds(dir: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|file| {
        let file = std::fs::read(file.unwrap().path()).unwrap();
        file.windows(bytes.len()).any(|window| window == bytes)
    })
}

// cites: STORE-006
#[tokio::test]
async fn no_file_holds_what_is_secret() {
    let (dir, store) = new_store().await;
    let device_key = store.account().await.unwrap().device_key.to_bytes();
    store.keep_private(&everything()).await.unwrap();
    store.set_private_conversation(HERE, PLAIN, Kind::Group).await.unwrap();
    store.rename_conversation(HERE, &format!("{PLAIN}tea")).await.unwrap();
    let answer = v1::Content {
        body: Some(v1::content::Body::Text(v1::Text {
            body: PLAIN.to_owned(),
            ..Default::default()
        })),
        reply_to: Some(v1::MessageRef { seq: REFERRED, message_id: vec![1; 16].into() }),
    };
    let readings = [(2, content(&answer.encode_to_vec(), true))].into();
    let writes = ConversationWrites { readings, ..ConversationWrites::default() };
    store.keep_private(&in_conversation(HERE, writes)).await.unwrap();
    store.keep(HERE, &entries(3, vec![3]), None, &[]).await.unwrap();
    let check = || {
        assert!(holds(dir.path(), HERE.as_bytes()), "what tells the rows is there");
        assert!(!holds(dir.path(), PLAIN.as_bytes()) && !holds(dir.path(), &device_key[..]));
        assert!(!holds(dir.path(), &REFERRED.to_be_bytes()), "nor what is answered");
    };
    check();
    store.close().await;
    check();
    let store = open(dir.path()).await;
    let about = store.entries_about(HERE, REFERRED).await.unwrap();
    assert_eq!(about.iter().map(|kept| kept.seq).collect::<Vec<_>>(), [2], "it is found");
    // As an earlier version kept it.
    let sql = "UPDATE entries SET refers = ? WHERE refers IS NOT NULL";
    sqlx::query(sql).bind(REFERRED as i64).execute(&store.pool).await.unwrap();
    assert!(holds(dir.path(), &REFERRED.to_be_bytes()));
    store.close().await;
    let store = open(dir.path()).await;
    check();
    assert_eq!(store.entries_about(HERE, REFERRED).await.unwrap(), about);
    // As it is listed again.
    store.set_private_conversation(HERE, "another", Kind::Group).await.unwrap();
    let known = store.conversation(HERE).await.unwrap().unwrap();
    assert_eq!((known.name, known.kind), (format!("{PLAIN}tea"), Kind::Group));
}

// cites: STORE-007
#[tokio::test]
async fn values_that_were_moved_or_cut_are_damage() {
    let (_dir, store) = new_store().await;
    let damage = [
        "UPDATE private_readings SET reading = (SELECT reading FROM private_readings WHERE seq = 2 LIMIT 1) WHERE seq = 1",
        "UPDATE private_readings AS r SET reading = (SELECT reading FROM private_readings o \
         WHERE o.seq = r.seq AND o.conversation <> r.conversation)",
        "UPDATE private_readings SET reading = substr(reading, 1, length(reading) - 1)",
        "UPDATE private_readings SET reading = x''",
        "UPDATE private_groups SET state = (SELECT state FROM private_groups WHERE generation = 1 LIMIT 1)",
        "UPDATE private_groups SET generation = generation + 1000",
        "UPDATE private_conversations SET conversation_id = zeroblob(16) WHERE id = 1",
        "UPDATE private_device SET record = (SELECT record FROM private_conversations LIMIT 1)",
        "UPDATE private_key_packages SET key_package = (SELECT min(key_package) FROM private_key_packages)",
        "UPDATE private_doubted SET message = (SELECT min(message) FROM private_doubted)",
        "UPDATE private_outgoing SET message = (SELECT min(message) FROM private_outgoing)",
    ];
    for sql in damage {
        store.keep_private(&everything()).await.unwrap();
        sqlx::query(sql).execute(&store.pool).await.unwrap();
        let (all, readings) = (store.private().await, store.readings(HERE, 0, 9).await);
        let damaged = [all.err(), readings.err()].into_iter().flatten().next();
        assert!(matches!(damaged, Some(StateError::Damaged(_))), "{sql}: {damaged:?}");
        for id in [HERE, THERE, ConversationId::new([0; 16])] {
            store.forget_private(id).await.unwrap();
        }
    }
}

/// Entries as a follower lets them through: private messages, after them one that redacts some.
fn entries(messages: u64, redacted: Vec<u64>) -> Vec<NewEntry> {
    let mut follower = Follower::new(HERE, Start::Beginning);
    let mut entry = |seq, kind: v1::EntryKind, payload: Vec<u8>| {
        let header = v1::EntryHeader {
            conversation_id: HERE.to_bytes(),
            seq,
            kind: kind.into(),
            sender_user_id: vec![1; 16].into(),
            sender_device_id: vec![2; 16].into(),
            message_id: vec![seq as u8; 16].into(),
            ..Default::default()
        };
        let entry = v1::Entry {
            header: header.encode_to_vec().into(),
            salt: vec![7; 32].into(),
            payload: payload.into(),
            ..Default::default()
        };
        let accepted: Accepted = follower.handle_pushed(&entry).unwrap().unwrap();
        NewEntry { accepted, signature: StoredSignature::Unsigned }
    };
    let mut all: Vec<_> = (1..=messages)
        .map(|seq| entry(seq, v1::EntryKind::PrivateMessage, format!("ciphertext {seq}").into()))
        .collect();
    all.push(entry(messages + 1, v1::EntryKind::Commit, b"commit".to_vec()));
    let redacted = v1::RedactedPayload { seqs: redacted };
    all.push(entry(messages + 2, v1::EntryKind::Redacted, redacted.encode_to_vec()));
    all
}

// cites: REDACT-016, STORE-010
#[tokio::test]
async fn a_reading_goes_with_its_message_in_whatever_order_they_came() {
    // The commit, which is no message, is named by whoever breaks the protocol.
    let redacting = || entries(4, vec![1, 2, 5]);
    for (name, first) in [("reading", true), ("entry", false)] {
        let (dir, store) = new_store().await;
        store.set_conversation(HERE, "", true).await.unwrap();
        let mut entries = redacting();
        let last = entries.split_off(5);
        if first {
            store.keep_private(&readings_of(1..=5)).await.unwrap();
            store.keep(HERE, &entries, None, &[]).await.unwrap();
        } else {
            store.keep(HERE, &entries, None, &[]).await.unwrap();
            store.keep_private(&readings_of(1..=5)).await.unwrap();
        }
        assert_eq!(kept_readings(&store).await, [1, 2, 3, 4, 5], "{name}");
        store.keep(HERE, &last, None, &[]).await.unwrap();
        assert_eq!(kept_readings(&store).await, [3, 4, 5], "{name}");
        // It does not come back, and what is left can be read.
        store.keep_private(&readings_of(1..=5)).await.unwrap();
        assert_eq!(store.readings(HERE, 0, 9).await.unwrap().len(), 3);
        assert_eq!(kept_doubted(&store).await, [3, 4, 5], "{name}");
        let left = store.entries_from(HERE, 1, 2).await.unwrap();
        assert!(left.iter().all(|kept| kept.payload.is_empty() && kept.payload_hash.is_some()));
        store.close().await;
        assert!(!holds(dir.path(), b"ciphertext 1") && holds(dir.path(), b"ciphertext 3"));
    }
}

// cites: REDACT-016, STORE-010
#[tokio::test]
async fn a_reading_goes_before_its_entry_is_there() {
    let (_dir, store) = new_store().await;
    store.set_conversation(HERE, "", true).await.unwrap();
    let mut entries = entries(4, vec![1, 2]);
    let last = entries.split_off(5);
    store.keep_private(&readings_of([1, 3])).await.unwrap();
    store.keep(HERE, &last, None, &[]).await.unwrap();
    store.keep_private(&readings_of([2, 4])).await.unwrap();
    assert_eq!(kept_readings(&store).await, [3, 4]);
    store.keep(HERE, &entries, None, &[]).await.unwrap();
    assert_eq!(kept_readings(&store).await, [3, 4]);
    assert_eq!(kept_doubted(&store).await, [3, 4]);
}

#[tokio::test]
async fn readings_outlive_a_log_that_is_read_anew() {
    let (_dir, store) = new_store().await;
    store.set_conversation(HERE, "", true).await.unwrap();
    store.keep_private(&readings_of([1])).await.unwrap();
    store.forget(HERE).await.unwrap();
    assert_eq!(kept_readings(&store).await, [1], "it can't be decrypted a second time");
}

/// Whichever comes first, the entry tells whether its sender is who it says, and what it refers to.
#[tokio::test]
async fn an_entry_knows_what_it_turned_out_to_be_whichever_came_first() {
    let edit = v1::Edit {
        to: Some(v1::MessageRef { seq: 1, message_id: vec![1; 16].into() }),
        text: Some(v1::Text { body: "anew".to_owned(), ..Default::default() }),
    };
    let body = Some(v1::content::Body::Edit(edit));
    let edit = v1::Content { body, ..Default::default() }.encode_to_vec();
    let readings = [(1, content(b"", true)), (2, content(&edit, true)), (3, content(&edit, false))];
    let readings = readings.into();
    let readings =
        in_conversation(HERE, ConversationWrites { readings, ..ConversationWrites::default() });
    for first in ["reading", "entry"] {
        let (_dir, store) = new_store().await;
        store.set_conversation(HERE, "", true).await.unwrap();
        let entries = entries(3, vec![4]);
        if first == "reading" {
            store.keep_private(&readings).await.unwrap();
            store.keep(HERE, &entries, None, &[]).await.unwrap();
        } else {
            store.keep(HERE, &entries, None, &[]).await.unwrap();
            store.keep_private(&readings).await.unwrap();
        }
        let about = store.entries_about(HERE, 1).await.unwrap();
        let mut known: Vec<_> = about.iter().map(|kept| (kept.seq, kept.signature)).collect();
        known.sort_by_key(|(seq, _)| *seq);
        let expected = [
            (1, StoredSignature::Verified),
            (2, StoredSignature::Verified),
            (3, StoredSignature::Invalid),
        ];
        assert_eq!(known, expected, "the {first} came first");
        let said = store.said_before(HERE, u64::MAX, 9).await.unwrap();
        let referred: Vec<_> = said.iter().map(|sought| (sought.seq, sought.referred)).collect();
        assert_eq!(referred, [(3, false), (2, false), (1, true)], "the {first} came first");
    }
}

#[tokio::test]
async fn the_last_that_was_said_may_be_an_answer_and_is_no_reaction() {
    let to = || Some(v1::MessageRef { seq: 1, message_id: vec![1; 16].into() });
    let body = |body| v1::Content { body: Some(body), ..Default::default() };
    let text =
        body(v1::content::Body::Text(v1::Text { body: "tea?".to_owned(), ..Default::default() }));
    let answer = v1::Content { reply_to: to(), ..text.clone() };
    let reaction = v1::Reaction { to: to(), emoji: "+".to_owned(), remove: false };
    let reaction = body(v1::content::Body::Reaction(reaction));
    let all = [&text, &answer].into_iter().chain([&reaction; 40]);
    let readings = (1..).zip(all.map(|it| content(&it.encode_to_vec(), true))).collect();
    let (_dir, store) = new_store().await;
    store.set_conversation(HERE, "", true).await.unwrap();
    let writes = ConversationWrites { readings, ..ConversationWrites::default() };
    store.keep_private(&in_conversation(HERE, writes)).await.unwrap();
    store.keep(HERE, &entries(42, vec![1]), None, &[]).await.unwrap();
    assert_eq!(store.last_said(HERE).await.unwrap().map(|kept| kept.seq), Some(2));
}

// cites: FRANK-003, MSG-011
#[tokio::test]
async fn an_empty_content_is_one_that_is_not_understood_and_no_redacted_one() {
    let (_dir, store) = new_store().await;
    store.set_conversation(HERE, "", true).await.unwrap();
    let of_field_1000 = [0xC0, 0x3E, 1];
    let readings = [(1, content(b"", true)), (2, content(&of_field_1000, true))];
    let readings = readings.into_iter().chain([(3, content(b"", true))]).collect();
    let writes = ConversationWrites { readings, ..ConversationWrites::default() };
    store.keep_private(&in_conversation(HERE, writes)).await.unwrap();
    store.keep(HERE, &entries(3, vec![3]), None, &[]).await.unwrap();
    let kept = store.entries_from(HERE, 1, 3).await.unwrap();
    let shown = crate::view::entries(&store, "", kept).await.unwrap();
    let contents: Vec<_> = shown
        .into_iter()
        .map(|entry| match entry.what {
            What::Message { content, .. } => content,
            what => panic!("{what:?}"),
        })
        .collect();
    assert_eq!(contents, [Content::Unknown, Content::Unknown, Content::Redacted]);
}

#[tokio::test]
async fn another_device_begins_with_nothing_of_the_one_before_or_is_not_made() {
    let (_dir, store) = new_store().await;
    let before = store.account().await.unwrap().device_key.to_bytes();
    store.keep_private(&everything()).await.unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE DELETE ON private_outgoing BEGIN SELECT raise(ABORT, 'full'); END";
    sqlx::query(refuse).execute(&store.pool).await.unwrap();
    let refused = store.new_device_key().await.err();
    assert!(matches!(refused, Some(StateError::Database(_))), "{refused:?}");
    assert_eq!(store.account().await.unwrap().device_key.to_bytes(), before);
    assert!(store.private().await.unwrap().device.is_some());
    sqlx::query("DROP TRIGGER refuse").execute(&store.pool).await.unwrap();
    let account = store.new_device_key().await.unwrap();
    assert_ne!(account.device_key.to_bytes(), before);
    let stored = store.private().await.unwrap();
    assert!(stored.device.is_none() && stored.key_packages.is_empty());
    let of = &stored.conversations[&HERE];
    assert!(of.record.is_none() && of.groups.is_empty() && of.outgoing.is_empty());
    assert_eq!(kept_readings(&store).await, [1, 2, 3], "what was read stays");
}

async fn keep_group(store: &Store, device: &Device, group: &mut Group) {
    group.save().unwrap();
    let groups = device.take_changes().groups.into_iter();
    let groups = groups.map(|(id, state)| (id.generation, state)).collect();
    let writes = ConversationWrites { groups, ..ConversationWrites::default() };
    store.keep_private(&in_conversation(HERE, writes)).await.unwrap();
}

async fn kept_group(store: &Store, device: &Device) -> Group {
    let stored = store.private().await.unwrap();
    device.load(&stored.conversations[&HERE].groups[&0]).unwrap()
}

// cites: STORE-004
#[tokio::test]
async fn a_state_that_was_put_back_is_told_by_what_it_sent_since() {
    let (dir, store) = new_store().await;
    let alice = Cast::default().device::<DefaultCrypto>(1, 1).unwrap();
    let id = GroupId { conversation: HERE, generation: 0 };
    let mut group = alice.create(Suite::P256Aes128, id, 1_800_000_000).unwrap();
    let before = group.encrypt(b"before", b"").unwrap();
    keep_group(&store, &alice, &mut group).await;
    store.close().await;
    let (database, backup) = (dir.path().join("state.db"), dir.path().join("backup"));
    std::fs::copy(&database, &backup).unwrap();

    let store = open(dir.path()).await;
    let mut group = kept_group(&store, &alice).await;
    let since = group.encrypt(b"since", b"").unwrap();
    keep_group(&store, &alice, &mut group).await;
    store.close().await;
    std::fs::copy(&backup, &database).unwrap();

    // The log has both. That one of them is not among what was sent says that the state is not the last one.
    let store = open(dir.path()).await;
    let mut group = kept_group(&store, &alice).await;
    for message in [before, since] {
        assert_eq!(group.decrypt(&message, b"", owner(1, 1)), Err(Reason::Own));
    }
}
