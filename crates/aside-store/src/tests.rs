//! What is particular to SQLite: files, settings, failures.

mod forgetting;

use std::{fs, path::Path, sync::Arc, time::Duration};

use aside_crypto::{chain_next, payload_hash};
use aside_proto::{
    id::{ConversationId, UserId},
    limits,
    name::Name,
    v1::OnConflict,
};
use sqlx::{Connection as _, Executor as _};
use tempfile::TempDir;

use crate::{
    HeadState, ListRooms, Options, Refused, Register, SetPin, Store, StoreError, UpdateRoom,
    accounts,
    db::{Connection, Database},
    logs, pins, private, recall, retention, rooms, search,
    suite::{
        Actor, Lab,
        search::{Den, searching, text},
    },
    summaries, tokens, write,
};

struct Fixture {
    folder: TempDir,
    lab: Lab,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::new(url(folder.path())).await;
        Self { folder, lab }
    }

    /// Does something behind the store's back.
    async fn sql(&self, sql: &'static str) {
        let mut connection = Connection::connect(&self.lab.url).await.unwrap();
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
    }
}

fn url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("aside.db").display())
}

async fn open(url: &str) -> Result<Store, StoreError> {
    let options = Options {
        limits: limits::DEFAULT,
        retention: aside_proto::retention::NONE,
        clock: Arc::new(|| 1_700_000_000_000),
        entropy: Arc::new(|bytes| bytes.fill(5)),
        default_room: Name::new("lobby", 32).unwrap(),
        newcomers: Arc::new(|_, _| Ok(())),
        observer: Arc::new(()),
    };
    Store::open(url, options).await
}

// cites: MSG-002
#[tokio::test]
async fn the_writer_syncs_every_commit() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&url(folder.path())).await.unwrap();
    let mut writer = database.writer().await.unwrap();
    let mut setting = async |sql: &'static str| {
        let row = sqlx::query(sql).fetch_one(&mut writer).await.unwrap();
        sqlx::Row::try_get::<i64, _>(&row, 0).unwrap()
    };
    assert_eq!(setting("PRAGMA synchronous").await, 2, "FULL");
    assert_eq!(setting("PRAGMA foreign_keys").await, 1);
    assert_eq!(setting("PRAGMA secure_delete").await, 1, "ON");
    assert_eq!(setting("SELECT journal_mode = 'wal' FROM pragma_journal_mode").await, 1);
}

/// What a `kill -9` leaves behind at any acknowledgement: the files as they are.
// cites: MSG-002, AUTH-011
#[tokio::test]
async fn what_is_acknowledged_is_in_the_files() {
    let Fixture { folder, lab } = Fixture::new().await;
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    for number in 0..5 {
        let sent = lab.send(alice, room, &format!("message {number}")).await;
        let copy = tempfile::tempdir().unwrap();
        for file in ["aside.db", "aside.db-wal"] {
            fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
        }
        let store = open(&url(copy.path())).await.unwrap();
        let fetched = store.fetch(alice.user, room, sent.seq, 10, usize::MAX).await.unwrap();
        assert_eq!((fetched.head_seq, fetched.entries.len()), (sent.seq, 1));
        assert_eq!(fetched.entries[0], lab.log(alice.user, room).await[number + 2].entry);
        store.close().await;
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let fixture = Fixture::new().await;
    fixture.lab.store.close().await;
    fixture
        .sql(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'of tomorrow', TRUE, x'00', 0)",
        )
        .await;
    let error = open(&fixture.lab.url).await.err().expect("refused");
    assert!(matches!(error, StoreError::NewerSchema { found: 9999, known: 12 }), "{error}");
    // Refused, but not harmed or held.
    fixture.sql("DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    open(&fixture.lab.url).await.unwrap().close().await;
}

#[tokio::test]
async fn what_is_no_sqlite_file_is_refused() {
    for url in
        ["postgres://localhost/aside", "sqlite::memory:", "sqlite://x?mode=memory", "", "sqlite://"]
    {
        let error = open(url).await.err().expect("refused");
        assert!(matches!(error, StoreError::Url(_)), "{url}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = open(&url(&folder.path().join("missing"))).await.err().expect("refused");
    assert!(matches!(error, StoreError::File { .. }), "{error}");
    fs::write(folder.path().join("aside.db"), "not a database, but long enough to be one").unwrap();
    let error = open(&url(folder.path())).await.err().expect("refused");
    assert!(matches!(error, StoreError::Database(_)), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let Fixture { folder, lab } = Fixture::new().await;
    lab.register("alice").await;
    let mut files = 0;
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?}", file.path());
        files += 1;
    }
    assert_eq!(files, 4, "the database, its log, its index, the lock");
}

/// So that it can be copied, or looked into, as one file.
#[tokio::test]
async fn a_database_that_was_closed_is_one_file() {
    let Fixture { folder, lab } = Fixture::new().await;
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.log(alice.user, room).await;
    lab.store.close().await;
    let mut files: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["aside.db", "aside.db.lock"]);
}

/// A COMMIT that fails fails everyone in the batch, and leaves nothing of it.
// cites: REQ-011, IDEM-008, LOG-001
#[tokio::test]
async fn a_failed_commit_fails_the_whole_batch() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    // Deferred: what the trigger does wrong comes to light when the transaction is committed.
    fixture
        .sql(
            "CREATE TABLE poison (of INTEGER REFERENCES entries (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER poisoned AFTER INSERT ON entries WHEN NEW.payload = x'00'
             BEGIN INSERT INTO poison VALUES (-1); END",
        )
        .await;
    let good = lab.message(alice, room, "good");
    let bob = lab.joining(alice, lab.create(alice, "other").await);
    lab.effects();
    let replies = (
        lab.store.append(good.clone()),
        lab.store.join(bob.clone()),
        lab.store.append(lab.message(alice, room, "\0")),
    );
    let (appended, joined) = (replies.0.await, replies.1.await);
    assert!(matches!(appended, Err(Refused::Failed(StoreError::Database(_)))), "{appended:?}");
    assert!(matches!(joined, Err(Refused::Failed(StoreError::Database(_)))), "{joined:?}");
    assert!(replies.2.await.is_err());
    assert_eq!(lab.effects(), [], "nobody is told of what did not happen");
    assert_eq!(lab.log(alice.user, room).await.len(), 2);
    // The journal goes on, and the same requests are made again.
    assert_eq!(lab.store.append(good).await.unwrap().seq, 3);
    lab.store.join(bob).await.unwrap();
    assert_eq!(lab.log(alice.user, room).await.len(), 3);
}

/// A failure of one operation is its own: what it did is taken back, its neighbours go on.
// cites: REQ-011, IDEM-008
#[tokio::test]
async fn a_failed_operation_leaves_no_trace() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    // After the member and the entry were inserted.
    fixture
        .sql(
            "CREATE TRIGGER refused BEFORE INSERT ON requests WHEN NEW.kind = 32
             BEGIN SELECT RAISE(ABORT, 'no joining today'); END",
        )
        .await;
    lab.effects();
    let joining = lab.joining(bob, room);
    let (first, joined, second) = (
        lab.store.append(lab.message(alice, room, "first")),
        lab.store.join(joining.clone()),
        lab.store.append(lab.message(alice, room, "second")),
    );
    assert_eq!(first.await.unwrap().seq, 3);
    let joined = joined.await;
    assert!(matches!(joined, Err(Refused::Failed(StoreError::Database(_)))), "{joined:?}");
    assert_eq!(second.await.unwrap().seq, 4);
    assert_eq!(lab.effects().len(), 2, "of the two messages alone");
    let members = lab.store.list_members(alice.user, room, None, 10).await.unwrap();
    assert_eq!(members.members.len(), 1);
    assert_eq!(lab.log(alice.user, room).await.len(), 4);
    fixture.sql("DROP TRIGGER refused").await;
    let room = lab.store.join(joining).await.unwrap().room.unwrap();
    assert_eq!((room.member_count, room.head_seq), (2, 5));
}

/// Whatever took all of a log away, its next entry follows what was there.
// cites: LOG-001, LOG-010, HEAD-002, FETCH-006
#[tokio::test]
async fn a_log_trimmed_to_nothing_goes_on_where_it_was_cut() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    let trim = "UPDATE conversations SET (first_seq, anchor) = (
                    SELECT seq + 1, chain FROM entries e
                    WHERE e.conversation = conversations.id ORDER BY seq DESC LIMIT 1)
                WHERE name = 'den';
                DELETE FROM entries WHERE conversation = (
                    SELECT id FROM conversations WHERE name = 'den')";
    lab.send(alice, room, "forgotten").await;
    let anchor = lab.store.head(alice.user, room).await.unwrap().chain;
    fixture.sql(trim).await;
    let head = lab.store.head(alice.user, room).await.unwrap();
    let expected = HeadState { first_seq: 4, anchor, head_seq: 3, chain: anchor };
    assert_eq!(head, expected);

    // By a message, then by what the server appends.
    assert_eq!(lab.send(alice, room, "on").await.seq, 4);
    let sent = follows(lab, alice.user, room, &expected).await;
    fixture.sql(trim).await;
    let joined = lab.store.join(lab.joining(bob, room)).await.unwrap().room.unwrap();
    assert_eq!((joined.first_seq, joined.head_seq), (5, 5));
    let joined = follows(lab, alice.user, room, &sent).await;
    fixture.sql(trim).await;
    lab.store.rename(lab.renaming(bob, "bobby")).await.unwrap();
    follows(lab, alice.user, room, &joined).await;
}

/// Checks that a log is one entry after a head, and returns where it ends.
async fn follows(lab: &Lab, user: UserId, room: ConversationId, before: &HeadState) -> HeadState {
    let seq = before.head_seq + 1;
    let fetched = lab.store.fetch(user, room, seq, 10, usize::MAX).await.unwrap();
    assert_eq!((&fetched.prev_chain[..], fetched.head_seq), (&before.chain[..], seq));
    let [entry] = &fetched.entries[..] else { unreachable!("one entry, not {fetched:?}") };
    let hash = payload_hash(&entry.salt[..].try_into().unwrap(), &entry.payload);
    let head = lab.store.head(user, room).await.unwrap();
    assert_eq!((head.head_seq, head.chain), (seq, chain_next(&before.chain, &entry.header, &hash)));
    HeadState { first_seq: seq, anchor: before.chain, ..head }
}

/// Not only that nobody is shown it: once the store is closed, no file holds what was said, wherever in it that was.
// cites: REDACT-001
#[tokio::test]
async fn what_was_redacted_is_in_no_file() {
    let Fixture { folder, lab } = Fixture::new().await;
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    // One that stands within a page, and one that takes pages of its own.
    let (short, long) = ("the short secret".to_owned(), "the long secret ".repeat(4000));
    for text in [&short, &long] {
        lab.send(alice, room, text).await;
    }
    let holds = |text: &str| {
        let files = fs::read_dir(folder.path()).unwrap();
        files
            .filter(|file| {
                let bytes = fs::read(file.as_ref().unwrap().path()).unwrap();
                bytes.windows(text.len()).any(|window| window == text.as_bytes())
            })
            .count()
    };
    assert!(holds("the short secret") > 0 && holds("the long secret ") > 0);
    let redacted = lab.store.redact(lab.redacting(alice, room, &[3, 4])).await.unwrap();
    assert_eq!(redacted.seq, 5);
    lab.store.close().await;
    assert_eq!((holds("the short secret"), holds("the long secret ")), (0, 0));
}

/// A search that takes too long is ended, and the next one is not.
// cites: SEARCH-018
#[tokio::test]
async fn a_search_takes_no_longer_than_it_may() {
    let Fixture { lab, .. } = &Fixture::new().await;
    let alice = lab.register("alice").await;
    let den = Den::new(lab, alice).await;
    for number in 0..50 {
        den.say(alice, text(&format!("word {number}"))).await;
    }
    let search = searching(Some(den.room), "wo*");
    let ended = lab.store.search_within(alice.user, &search, Duration::ZERO).await;
    assert!(matches!(ended, Err(Refused::Busy)), "{ended:?}");
    assert_eq!(lab.store.search(alice.user, &search).await.unwrap().results.len(), 50);
}

/// Nor is what was removed, nor a word of it in the index.
// cites: RET-004
#[tokio::test]
async fn what_is_no_longer_kept_is_in_no_file() {
    let Fixture { folder, lab } = Fixture::new().await;
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let (short, long) = ("the short secret".to_owned(), "the long secret ".repeat(4000));
    for text in [&short, &long] {
        lab.send(alice, room, text).await;
    }
    let limits = aside_proto::v1::Retention { max_age_s: 0, max_entries: 1 };
    let update = UpdateRoom { retention: Some(limits), ..lab.updating(alice, room) };
    lab.store.update_room(update).await.unwrap();
    lab.store.close().await;
    for file in fs::read_dir(folder.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        for secret in ["the short secret", "the long secret "] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }
}

/// Disks decay: a log whose first entry can't be read keeps no other from being trimmed.
// cites: RET-007
#[tokio::test]
async fn a_log_that_cannot_be_trimmed_stops_no_other() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let alice = lab.register("alice").await;
    let rooms = ["first", "middle", "last"];
    let mut ids = Vec::new();
    for room in rooms {
        ids.push(lab.create(alice, room).await);
    }
    fixture
        .sql(
            "UPDATE conversations SET max_entries = 1;
             UPDATE entries SET header = x'ff' WHERE seq = 1 AND conversation = (
                 SELECT id FROM conversations WHERE name = 'first')",
        )
        .await;
    assert!(!lab.store.trim().await.unwrap());
    let mut first_seqs = Vec::new();
    for id in ids {
        first_seqs.push(lab.store.head(alice.user, id).await.unwrap().first_seq);
    }
    assert_eq!(first_seqs, [1, 2, 2]);
}

/// Redaction takes salts and payloads away, and disks decay: whoever needs such a row fails alone.
// cites: REQ-011, IDEM-008
#[tokio::test]
async fn a_row_that_cannot_be_read_fails_nobody_else() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let alice = lab.register("alice").await;
    let (den, broken) = (lab.create(alice, "den").await, lab.create(alice, "broken").await);
    let stored = ["redacted", "half"].map(|text| lab.message(alice, den, text));
    for append in &stored {
        lab.store.append(append.clone()).await.unwrap();
    }
    fixture
        .sql(
            "UPDATE entries SET salt = NULL, payload = NULL WHERE payload = CAST('redacted' AS BLOB);
             UPDATE entries SET payload = NULL WHERE payload = CAST('half' AS BLOB);
             UPDATE entries SET header = x'ff' WHERE seq = 2 AND conversation = (
                 SELECT id FROM conversations WHERE name = 'broken')",
        )
        .await;
    lab.effects();
    // One batch, in this order.
    let first = lab.store.append(lab.message(alice, den, "first"));
    let retries = stored.map(|append| lab.store.append(append));
    let unchained = lab.store.append(lab.message(alice, broken, "after what?"));
    let second = lab.store.append(lab.message(alice, den, "second"));
    assert_eq!((first.await.unwrap().seq, second.await.unwrap().seq), (5, 6));
    for failed in retries.into_iter().chain([unchained]) {
        let failed = failed.await;
        assert!(matches!(failed, Err(Refused::Failed(StoreError::Database(_)))), "{failed:?}");
    }
    assert_eq!(lab.effects().len(), 2);
    let renamed = lab.store.rename(lab.renaming(alice, "alicia")).await;
    assert!(matches!(renamed, Err(Refused::Failed(_))), "a room it must be told to: {renamed:?}");
}

/// Each number is counted once, when it is taken: had the second registration tried them all again, it would have found
/// the one that is taken away here, as nothing but this test does.
// cites: AUTH-013
#[tokio::test]
async fn suffixes_are_not_tried_again() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    for taken in ["alice", "alice-2", "alice-3", "alice-4", "alice-6"] {
        lab.register(taken).await;
    }
    fixture.sql("DELETE FROM handles WHERE handle = 'alice-3'").await;
    let suffixed = async || {
        let registration = lab.registration("alice");
        let registration = Register { on_conflict: OnConflict::Suffix, ..registration };
        let actor = lab.store.register(registration).await.unwrap();
        lab.store.attach(actor.user, actor.device, 1).await.unwrap().to_string()
    };
    assert_eq!(suffixed().await, "alice-5");
    assert_eq!(suffixed().await, "alice-7");
    // As a database is that was made before they were counted.
    fixture
        .sql("INSERT INTO handles SELECT 'alice-3', user_id FROM handles WHERE handle = 'alice-2'; DELETE FROM suffixes")
        .await;
    assert_eq!(suffixed().await, "alice-8");
    fixture.sql("DELETE FROM handles WHERE handle = 'alice-3'").await;
    assert_eq!(suffixed().await, "alice-9");
}

/// Rows are looked up by index, without sorting: logs and tables grow, and payloads pass through one at a time.
#[tokio::test]
async fn the_paths_that_are_hot_use_indexes() {
    let fixture = Fixture::new().await;
    let mut connection = Connection::connect(&fixture.lab.url).await.unwrap();
    let listings = [
        (&write::ASK, "entries_by_message (message_id=? AND device=?)"),
        (&write::ASK, "m USING PRIMARY KEY (conversation=? AND user_id=?)"),
        (&write::ASK, "r USING PRIMARY KEY (key=? AND device=?)"),
        (&write::ASK, "t USING PRIMARY KEY (message_id=? AND device=?)"),
        (&write::ASK_PRIVATE, "entries_by_message (message_id=? AND device=?)"),
        (&write::ASK_PRIVATE, "a USING INTEGER PRIMARY KEY (rowid=?)"),
        (&write::ASK_PRIVATE, "g USING INTEGER PRIMARY KEY (rowid=?)"),
        (&write::ASK_PRIVATE, "l USING PRIMARY KEY (conversation=? AND device=?)"),
        (&write::ASK_PRIVATE, "p USING COVERING INDEX pending_removals (conversation=?)"),
        (&write::APPROVED, "a USING INTEGER PRIMARY KEY (rowid=?)"),
        (&write::ASK_MARKS, "m USING PRIMARY KEY (conversation=? AND user_id=?)"),
        (&write::ASK_MARKS, "d USING INDEX"),
        (&write::ASK_MARKS, "a USING INTEGER PRIMARY KEY (rowid=?)"),
        (&write::ASK_MARKS, "p USING PRIMARY KEY (user_id=?)"),
        (&write::HEADS, "e USING INDEX entries_by_seq (conversation=? AND seq=?)"),
        (&write::ASK_MESSAGES, "e USING INDEX entries_by_seq (conversation=? AND seq=?)"),
        (&write::ASK_MESSAGES, "d USING INTEGER PRIMARY KEY (rowid=?)"),
        (&write::TOUCH, "(device_id=?)"),
        (&accounts::DEVICE_KEYS, "(device_id=?)"),
        (&rooms::MEMBERS_AMONG, "m USING PRIMARY KEY (conversation=? AND user_id=?)"),
    ];
    for (listing, expected) in listings {
        for length in [1, 2, 256] {
            let (sql, _) = listing.at_least(length);
            assert_looks_up(&mut connection, &sql.0, expected).await;
        }
    }
    let statements = [
        (logs::FETCH, "(conversation=? AND seq>? AND seq<?)"),
        (logs::HEAD, "e USING INDEX entries_by_seq (conversation=? AND seq=?)"),
        (recall::USE, "requests USING PRIMARY KEY (key=? AND device=?)"),
        (recall::USE, "entries_by_message (message_id=? AND device=?)"),
        (recall::USE, "trimmed USING PRIMARY KEY (message_id=? AND device=?)"),
        (write::COUNT_MEMBERSHIPS, "members_by_user (user_id=?)"),
        (write::COUNT_MEMBERSHIPS, "c USING INTEGER PRIMARY KEY (rowid=?)"),
        (write::MEMBERSHIPS, "members_by_user (user_id=?)"),
        (write::SEATS, "members_by_user (user_id=?)"),
        (write::SEATS, "l USING PRIMARY KEY (conversation=? AND device=?)"),
        (write::DEVICES, "d USING INDEX devices_of_user (user_id=?)"),
        (write::COMMITTERS, "r USING"),
        (write::WAITING, "inbox USING PRIMARY KEY (device=? AND position<?)"),
        (write::SUPERSEDED, "i USING PRIMARY KEY (device=?)"),
        (write::FORGET_WELCOME, "inbox USING COVERING INDEX inbox_by_welcome (welcome=?)"),
        (
            write::NEXT_PACKAGE,
            "key_packages USING INDEX key_packages_of_device (device=? AND suite=?)",
        ),
        (write::LAST_RESORT, "key_packages_of_device (device=? AND suite=?)"),
        (write::AVAILABLE, "key_packages_of_device (device=? AND suite=? AND last_resort=?)"),
        (write::APPROVED_OF, "d USING INDEX devices_of_user (user_id=?)"),
        (write::SUITES, "s USING PRIMARY KEY (device=?)"),
        (write::COMMIT, "entries USING INDEX entries_by_seq (conversation=? AND seq=?)"),
        (write::OTHERS, "f USING PRIMARY KEY (conversation=?)"),
        (write::LEAF_OF, "l USING INDEX leaves_by_device (device=?)"),
        (write::LEAVES_OF_USER, "USING"),
        (private::MEMBERSHIP, "l USING PRIMARY KEY (conversation=? AND device=?)"),
        (private::LEAVES, "l USING PRIMARY KEY (conversation=?)"),
        (private::INBOX, "i USING PRIMARY KEY (device=? AND position>?)"),
        (private::DEVICE_LOG, "(user_id=? AND position>?)"),
        (private::DEVICE_LOG_LENGTH, "(user_id=?)"),
        (write::OWN, "handles_of_user (user_id=?)"),
        (write::UNUSED, "USING PRIMARY KEY (handle=?)"),
        (write::FORGET, "entries USING INDEX entries_by_seq (conversation=? AND seq=?)"),
        (write::MOVE, "USING PRIMARY KEY (conversation=? AND user_id=?)"),
        (write::SETTINGS, "USING PRIMARY KEY (user_id=?)"),
        (summaries::WATERMARKS, "m USING PRIMARY KEY (conversation=? AND user_id>?)"),
        (summaries::WATERMARKS, "p USING PRIMARY KEY (user_id=?)"),
        (&summaries::SUMMARY, "e USING COVERING INDEX messages_by_seq (conversation=? AND seq>?)"),
        (&summaries::SUMMARY, "l USING INDEX entries_by_seq (conversation=? AND seq=?)"),
        (&summaries::SUMMARY, "e USING COVERING INDEX messages_by_seq (conversation=?)"),
        (
            &summaries::SUMMARY,
            "i USING COVERING INDEX invitations_to_room (conversation=? AND user_id=?)",
        ),
        (write::OF_USER, "invitations USING PRIMARY KEY (user_id=?)"),
        (write::OF_ROOM, "invitations USING COVERING INDEX invitations_to_room (conversation=?)"),
        (write::PINNABLE, "entries USING INDEX entries_by_seq (conversation=? AND seq=?)"),
        (write::PINNED, "pins USING"),
        (pins::PINS, "p USING COVERING INDEX pins_in_order (conversation=? AND pin_seq<?)"),
        (pins::PINS, "e USING INDEX entries_by_seq (conversation=? AND seq=?)"),
        (tokens::FIND, "t USING INTEGER PRIMARY KEY (rowid=?)"),
        (tokens::LIST, "d USING INDEX devices_of_user (user_id=?)"),
        (write::COUNT_TOKENS, "d USING INDEX devices_of_user (user_id=?)"),
        (write::NAMED_TOKEN, "d USING INDEX devices_of_user (user_id=?)"),
        (write::SIZES, "e USING INDEX entries_by_seq (conversation=? AND seq>?)"),
        (write::NEXT, "e USING INDEX entries_by_seq (conversation=? AND seq>? AND seq<?)"),
        (write::ENTRY, "e USING INDEX entries_by_seq (conversation=? AND seq=?)"),
        (write::INDEXED, "indexed USING INDEX indexed_by_seq (conversation=? AND seq=?)"),
        (write::INDEXED_ENTRY, "i USING INTEGER PRIMARY KEY (rowid=?)"),
        (write::LAST_EDIT, "x USING COVERING INDEX indexed_edits (conversation=? AND edit_of=?)"),
        (write::LAST_EDIT, "e USING INDEX entries_by_seq (conversation=? AND seq=?)"),
        (write::STALE, "stale USING COVERING INDEX stale_in_order (conversation=? AND gone<?)"),
        (write::LEFT, "x USING COVERING INDEX indexed_edits (conversation=? AND edit_of<?)"),
        (write::REDACTED, "redacted USING PRIMARY KEY (conversation=? AND seq=?)"),
        (write::OLDEST, "e USING INDEX entries_by_seq (conversation=?)"),
        (write::YOUNG, "(conversation=? AND seq<?)"),
        (retention::LOGS, "c USING INTEGER PRIMARY KEY (rowid>?)"),
        (retention::LOGS, "e USING INDEX entries_by_seq (conversation=? AND seq=?)"),
        (search::ROOMS, "members_by_user (user_id=?)"),
        (search::BEHIND_OF_USER, "members_by_user (user_id=?)"),
        (search::BEHIND_OF_USER, "entries_by_seq (conversation=?)"),
        (search::BEHIND_OF_USER, "stale_in_order (conversation=? AND gone=?)"),
        (search::BEHIND_OF_USER, "indexed_edits (conversation=? AND edit_of<?)"),
        (search::MESSAGE, "e USING INTEGER PRIMARY KEY (rowid=?)"),
        (search::EDIT, "x USING COVERING INDEX indexed_edits (conversation=? AND edit_of=?)"),
        (search::PLACE, "entries_by_seq (conversation=? AND seq=?)"),
    ];
    for (sql, expected) in statements {
        assert_looks_up(&mut connection, sql, expected).await;
    }
    // A virtual table is always scanned; by what, its number tells: M is MATCH, and the order is its own.
    let plan = plan(&mut connection, search::index::FIND).await;
    assert!(plan[0].contains("VIRTUAL TABLE INDEX") && plan[0].contains(":M"), "{plan:?}");
    let is_looked_up = |detail: &String| detail.contains("SEARCH") || detail.contains("SUBQUERY");
    assert!(plan[1..].iter().all(is_looked_up), "{plan:?}");
}

/// However many rooms there are, a user's invitations are read by the user.
#[tokio::test]
async fn invitations_are_looked_up_by_user() {
    let fixture = Fixture::new().await;
    let mut connection = Connection::connect(&fixture.lab.url).await.unwrap();
    let sql = rooms::listing(&ListRooms { invited_only: true, ..ListRooms::default() });
    let plan = plan(&mut connection, &sql).await;
    assert!(
        plan.iter().any(|detail| detail.contains("i USING PRIMARY KEY (user_id=?)")),
        "{plan:#?}"
    );
    assert!(!plan.iter().any(|detail| detail.contains("SCAN")), "{plan:#?}");
}

/// Whatever took the payload away.
// cites: PIN-002
#[tokio::test]
async fn what_was_redacted_is_not_pinned() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "three").await;
    fixture.sql("UPDATE entries SET salt = NULL, payload = NULL WHERE seq = 3").await;
    let (key, Actor { user, device }) = (lab.message(alice, room, "").message_id, alice);
    let set = SetPin { key, user, device, conversation: room, seq: 3, pinned: true };
    let refused = lab.store.set_pin(set).await;
    assert!(matches!(refused, Err(Refused::NoSuchEntry)), "{refused:?}");
}

/// Checks that a statement does this look-up, and that it reads through nothing but what it was given or has made.
async fn assert_looks_up(connection: &mut Connection, sql: &str, expected: &str) {
    let plan = plan(connection, sql).await;
    for detail in &plan {
        let is_own = ["SCAN w", "SCAN n"].iter().any(|own| detail.starts_with(own))
            || detail.contains("CONSTANT ROW");
        let is_through = detail.contains("SCAN") || detail.contains("TEMP B-TREE");
        assert!(is_own || !is_through, "{detail}");
    }
    assert!(plan.iter().any(|detail| detail.contains(expected)), "{expected} is not in {plan:#?}");
}

/// How a statement is carried out.
async fn plan(connection: &mut Connection, sql: &str) -> Vec<String> {
    let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = sqlx::query(sql).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| sqlx::Row::try_get(row, 3).unwrap()).collect()
}
