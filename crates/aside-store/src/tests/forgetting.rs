//! What redaction and retention do to the index for search.

use sqlx::Connection as _;

use super::Fixture;
use crate::{
    Refused,
    db::{Columns as _, Connection},
    journal::Surroundings,
    search::Behind,
    suite::search::{Den, edit, text},
    write::{Context, Index, Of, Part},
};

fn surroundings() -> Surroundings {
    Surroundings {
        limits: aside_proto::limits::DEFAULT,
        retention: aside_proto::retention::NONE,
        clock: std::sync::Arc::new(|| 0),
        entropy: std::sync::Arc::new(|bytes| bytes.fill(5)),
        newcomers: std::sync::Arc::new(|_, _| Ok(())),
    }
}

/// How many blocks of the index have these bytes. Words that begin alike share their beginning there: ask for the end of one.
async fn blocks_with(fixture: &Fixture, end: &str) -> u64 {
    let mut connection = Connection::connect(&fixture.lab.url).await.unwrap();
    let sql = "SELECT (SELECT COUNT(*) FROM texts_data WHERE INSTR(block, CAST(?1 AS BLOB)))
                   + (SELECT COUNT(*) FROM texts_content WHERE INSTR(c1, ?1))
                   + (SELECT COUNT(*) FROM texts_idx WHERE INSTR(term, CAST(?1 AS BLOB)))";
    let row = sqlx::query(sql).bind(end).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    row.number(0).unwrap()
}

// cites: SEARCH-012
#[tokio::test]
async fn a_redacted_message_is_found_no_more_nor_are_its_edits() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let den = Den::new(lab, alice).await;
    let message = den.say(alice, text("one word")).await;
    let of = (message.0, &message.1);
    den.say(alice, edit(of, "another word")).await;
    lab.store.join(lab.joining(bob, den.room)).await.unwrap();
    let forged = den.say(bob, edit(of, "forged word")).await;
    assert_eq!(den.find(alice.user, "word").await, [(forged.0, 0), (3, 4)]);
    lab.store.redact(lab.redacting(alice, den.room, &[3])).await.unwrap();
    assert_eq!(den.find(alice.user, "word").await, []);
    // Nor one that comes later.
    den.say(alice, edit(of, "late word")).await;
    assert_eq!(den.find(alice.user, "word").await, []);
}

// cites: SEARCH-011, SEARCH-012
#[tokio::test]
async fn without_its_edit_a_message_is_found_by_what_it_said_before() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let alice = lab.register("alice").await;
    let den = Den::new(lab, alice).await;
    let message = den.say(alice, text("first")).await;
    for words in ["second", "third"] {
        den.say(alice, edit((message.0, &message.1), words)).await;
    }
    assert_eq!(den.find(alice.user, "third").await, [(3, 5)]);
    lab.store.redact(lab.redacting(alice, den.room, &[5])).await.unwrap();
    assert_eq!(den.find(alice.user, "third").await, []);
    assert_eq!(den.find(alice.user, "second").await, [(3, 4)]);
    lab.store.redact(lab.redacting(alice, den.room, &[4])).await.unwrap();
    assert_eq!(den.find(alice.user, "second").await, []);
    assert_eq!(den.find(alice.user, "first").await, [(3, 0)]);
}

// cites: SEARCH-012
#[tokio::test]
async fn what_was_trimmed_is_found_no_more_and_its_edits_are_messages() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let alice = lab.register("alice").await;
    let den = Den::new(lab, alice).await;
    den.say(alice, text("a xylophone")).await;
    let message = den.say(alice, text("old word")).await;
    let of = (message.0, &message.1);
    den.say(alice, edit(of, "new word")).await;
    den.say(alice, edit(of, "newest word")).await;
    den.say(alice, text("last word")).await;
    assert_eq!(den.find(alice.user, "word").await, [(7, 0), (4, 6)]);
    assert!(blocks_with(&fixture, "lophone").await > 0);
    fixture.sql("UPDATE conversations SET max_entries = 2 WHERE name = 'den'").await;
    assert!(!lab.store.trim().await.unwrap());
    assert_eq!(den.find(alice.user, "word").await, [(7, 0), (6, 0)]);
    assert_eq!(blocks_with(&fixture, "lophone").await, 0);
    assert_eq!(den.find(alice.user, "old").await, []);
}

/// Nor when all that the log kept of the message is gone, whether the index had come to the edit or not.
// cites: SEARCH-012
#[tokio::test]
async fn edits_of_what_was_redacted_and_trimmed_are_not_found() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let den = Den::new(lab, alice).await;
    lab.store.join(lab.joining(bob, den.room)).await.unwrap();
    let message = den.say(alice, text("one word")).await;
    let of = (message.0, &message.1);
    den.say(alice, edit(of, "another word")).await;
    den.say(bob, edit(of, "forged word")).await;
    assert_eq!(den.find(alice.user, "word").await, [(6, 0), (4, 5)]);
    den.say(alice, edit(of, "word not looked at")).await;
    lab.store.redact(lab.redacting(alice, den.room, &[4])).await.unwrap();
    fixture.sql("UPDATE conversations SET max_entries = 4 WHERE name = 'den'").await;
    assert!(!lab.store.trim().await.unwrap());
    assert_eq!(den.find(alice.user, "word").await, []);
    den.say(alice, edit(of, "late word")).await;
    assert_eq!(den.find(alice.user, "word").await, []);
    assert!(!lab.store.index().await.unwrap());
    assert_eq!(blocks_with(&fixture, "another").await, 0);
}

/// Entries that the index has not come to yet.
// cites: SEARCH-012
#[tokio::test]
async fn what_is_gone_before_it_was_indexed_is_never_found() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let alice = lab.register("alice").await;
    let den = Den::new(lab, alice).await;
    let message = den.say(alice, text("one word")).await;
    den.say(alice, edit((message.0, &message.1), "another word")).await;
    den.say(alice, text("a third word")).await;
    lab.store.redact(lab.redacting(alice, den.room, &[3])).await.unwrap();
    assert_eq!(den.find(alice.user, "word").await, [(5, 0)]);
}

/// The words of a message that was found are in the index: they go with it, and with an edit, when these are redacted.
// cites: REDACT-001
#[tokio::test]
async fn no_word_of_what_was_redacted_stays_behind() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let alice = lab.register("alice").await;
    let den = Den::new(lab, alice).await;
    // Enough around it that the index has more than one part.
    for number in 0..300 {
        den.say(alice, text(&format!("common word{number}"))).await;
    }
    let message = den.say(alice, text("common xylophone")).await;
    let edited = den.say(alice, edit((message.0, &message.1), "common quagmire")).await;
    den.say(alice, text("common zucchini")).await;
    assert_eq!(den.find(alice.user, "quagmire").await, [(message.0, edited.0)]);
    assert_eq!(blocks_with(&fixture, "lophone").await, 0, "what was edited is not found");
    assert!(blocks_with(&fixture, "agmire").await > 0);

    lab.store.redact(lab.redacting(alice, den.room, &[edited.0])).await.unwrap();
    assert_eq!(den.find(alice.user, "xylophone").await, [(message.0, 0)]);
    assert_eq!(blocks_with(&fixture, "agmire").await, 0);
    assert!(blocks_with(&fixture, "lophone").await > 0);
    lab.store.redact(lab.redacting(alice, den.room, &[message.0])).await.unwrap();
    assert_eq!(blocks_with(&fixture, "lophone").await, 0);
    assert!(blocks_with(&fixture, "cchini").await > 0);

    lab.store.close().await;
    let file = std::fs::read(fixture.folder.path().join("aside.db")).unwrap();
    let holds = |word: &[u8]| file.windows(word.len()).any(|window| window == word);
    assert_eq!(
        ["agmire", "lophone", "cchini"].map(|end| holds(end.as_bytes())),
        [false, false, true]
    );
}

/// More than the writer can be kept from messages for: it is found no more at once, and taken out of the index in parts.
// cites: REDACT-001, SEARCH-012
#[tokio::test]
async fn much_that_was_redacted_goes_in_parts() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let alice = lab.register("alice").await;
    let den = Den::new(lab, alice).await;
    den.say(alice, text("common")).await;
    let mut seqs = Vec::new();
    for number in 0..5 {
        let words: Vec<_> = (0..5000).map(|word| format!("{word}x{number}")).collect();
        seqs.push(den.say(alice, text(&format!("common {}", words.join(" ")))).await.0);
    }
    assert_eq!(den.find(alice.user, "common").await.len(), 6);
    lab.store.redact(lab.redacting(alice, den.room, &seqs)).await.unwrap();
    let left = blocks_with(&fixture, "4999x4").await;
    assert!(left > 0, "or this shows nothing");
    assert!(!lab.store.index().await.unwrap(), "no more to do");
    assert_eq!(blocks_with(&fixture, "4999x4").await, 0);
    assert_eq!(den.find(alice.user, "common").await, [(3, 0)]);
}

/// However many say so in one transaction, which everybody else waits for.
// cites: REDACT-001, SEARCH-012
#[tokio::test]
async fn many_redactions_at_once_clean_no_more_than_one() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let alice = lab.register("alice").await;
    let den = Den::new(lab, alice).await;
    let mut seqs = Vec::new();
    for number in 0..5 {
        let words: Vec<_> = (0..5000).map(|word| format!("{word}x{number}")).collect();
        seqs.push(den.say(alice, text(&format!("common {}", words.join(" ")))).await.0);
    }
    assert_eq!(den.find(alice.user, "common").await.len(), 5);
    let redactions: Vec<_> =
        seqs.iter().map(|&seq| lab.store.redact(lab.redacting(alice, den.room, &[seq]))).collect();
    for redaction in redactions {
        redaction.await.unwrap();
    }
    assert_eq!(blocks_with(&fixture, "4999x0").await, 0, "what fits is cleaned at once");
    assert!(blocks_with(&fixture, "4999x4").await > 0, "what does not is left");
    assert_eq!(den.find(alice.user, "common").await, []);
    assert!(blocks_with(&fixture, "4999x4").await > 0, "a search does not wait for it");
    assert!(!lab.store.index().await.unwrap(), "no more to do");
    assert_eq!(blocks_with(&fixture, "4999x4").await, 0);
}

/// However many there are: one that trims must not pay for all of them.
// cites: SEARCH-001, SEARCH-012
#[tokio::test]
async fn edits_that_lost_their_message_become_messages_in_parts() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let alice = lab.register("alice").await;
    let den = Den::new(lab, alice).await;
    let message = den.say(alice, text("old word")).await;
    for number in 0..300 {
        den.say(alice, edit((message.0, &message.1), &format!("word {number}"))).await;
    }
    assert_eq!(den.find(alice.user, "word").await, [(3, 303)]);
    fixture.sql("UPDATE conversations SET max_entries = 300 WHERE name = 'den'").await;
    assert!(!lab.store.trim().await.unwrap());
    assert_eq!(messages(&fixture).await, 0, "trimming makes none");
    assert_eq!(den.find(alice.user, "\"word 0\"").await, [(4, 0)]);
    assert_eq!(messages(&fixture).await, 300);
    assert_eq!(den.find(alice.user, "old").await, []);
}

/// How many edits are found as messages.
async fn messages(fixture: &Fixture) -> u64 {
    let mut connection = Connection::connect(&fixture.lab.url).await.unwrap();
    let sql = "SELECT COUNT(*) FROM indexed WHERE edit_of IS NOT NULL AND changes = 0";
    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    row.number(0).unwrap()
}

/// However few entries these are.
#[tokio::test]
async fn a_part_is_bounded() {
    let fixture = Fixture::new().await;
    let lab = &fixture.lab;
    let alice = lab.register("alice").await;
    let den = Den::new(lab, alice).await;
    for _ in 0..4 {
        den.say(alice, text(&"word ".repeat(12_000))).await;
    }
    let surroundings = surroundings();
    let mut effects = Vec::new();
    let mut connection = Connection::connect(&lab.url).await.unwrap();
    let row = sqlx::query("SELECT id FROM conversations WHERE name = 'den'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let log = Behind { conversation: row.key(0).unwrap(), head_seq: 6 };
    let mut behind = vec![log];
    let mut parts = 0;
    while !behind.is_empty() {
        let mut part = Part::default();
        let mut context = Context::new(&surroundings, 0, &mut connection, &mut effects, &mut part);
        behind =
            context.index(&Index { behind, of: Of::Found }).await.map_err(Refused::from).unwrap();
        parts += 1;
    }
    assert_eq!(parts, 2);
    connection.close().await.unwrap();
}
