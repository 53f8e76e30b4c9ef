//! What redaction, done here by hand, and retention do to the index for search.

use std::ops::RangeInclusive;

use sqlx::{Connection as _, Executor as _};

use super::Fixture;
use crate::{
    db::{Columns as _, Connection},
    journal::Surroundings,
    suite::search::{Den, edit, text},
    write::Context,
};

/// Does something to the log of the room "den", and tells the index of it in the same transaction.
async fn forget(fixture: &Fixture, sql: &'static str, seqs: RangeInclusive<u64>) {
    let surroundings = Surroundings {
        limits: aside_proto::limits::DEFAULT,
        retention: aside_proto::retention::NONE,
        clock: std::sync::Arc::new(|| 0),
        entropy: std::sync::Arc::new(|bytes| bytes.fill(5)),
    };
    let mut effects = Vec::new();
    let mut connection = Connection::connect(&fixture.lab.url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute(sql).await.unwrap();
    let row = sqlx::query("SELECT id FROM conversations WHERE name = 'den'")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    let mut context = Context::new(&surroundings, 0, &mut transaction, &mut effects);
    context.forget_indexed(row.key(0).unwrap(), seqs).await.unwrap();
    transaction.commit().await.unwrap();
    connection.close().await.unwrap();
}

const REDACT_3: &str = "UPDATE entries SET salt = NULL, payload = NULL WHERE seq = 3";

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
    forget(&fixture, REDACT_3, 3..=3).await;
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
    let redact = "UPDATE entries SET salt = NULL, payload = NULL WHERE seq = 5";
    forget(&fixture, redact, 5..=5).await;
    assert_eq!(den.find(alice.user, "third").await, []);
    assert_eq!(den.find(alice.user, "second").await, [(3, 4)]);
    let redact = "UPDATE entries SET salt = NULL, payload = NULL WHERE seq = 4";
    forget(&fixture, redact, 4..=4).await;
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
    let message = den.say(alice, text("old word")).await;
    let of = (message.0, &message.1);
    den.say(alice, edit(of, "new word")).await;
    den.say(alice, edit(of, "newest word")).await;
    den.say(alice, text("last word")).await;
    assert_eq!(den.find(alice.user, "word").await, [(6, 0), (3, 5)]);
    fixture.sql("UPDATE conversations SET max_entries = 2 WHERE name = 'den'").await;
    assert!(!lab.store.trim().await.unwrap());
    assert_eq!(den.find(alice.user, "word").await, [(6, 0), (5, 0)]);
    assert_eq!(den.find(alice.user, "old").await, []);
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
    forget(&fixture, REDACT_3, 3..=3).await;
    assert_eq!(den.find(alice.user, "word").await, [(5, 0)]);
}
