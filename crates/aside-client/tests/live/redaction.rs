//! What is taken back, as those see it who have it already, get it live, or come later.

#![allow(clippy::unwrap_used, clippy::panic)] // Every function here is a test's.

use aside_client::{
    Content, ConversationId, Entry, Error, Event, MessageRef, Reply, What, v1::ErrorCode,
};

use crate::world::{Person, World, numbered, registering};

fn content(entry: Entry) -> Content {
    match entry.what {
        What::Message { content, verified, text, .. } => {
            assert!(verified, "the hash that is left is enough to verify: {content:?}");
            assert_eq!(text.is_some(), matches!(content, Content::Text { .. }));
            content
        }
        other => panic!("a message, not {other:?}"),
    }
}

impl Person {
    async fn at(&self, room: ConversationId, seq: u64) -> Content {
        self.client.catch_up(room).await.unwrap();
        content(self.client.history(room, Some(seq + 1), 1).await.unwrap().pop().unwrap())
    }

    async fn said(&self, room: ConversationId, text: &str) -> MessageRef {
        let receipt = self.client.send(room, text).await.unwrap();
        MessageRef { seq: receipt.seq, message_id: receipt.message_id }
    }

    /// Waits for an entry that redacts.
    async fn until_redacted(&mut self) -> Vec<u64> {
        self.until(|event| match event {
            Event::Entry(Entry { what: What::Redacted { seqs }, .. }) => Some(seqs),
            _ => None,
        })
        .await
    }
}

/// Whether any file of somebody's state holds a text.
fn holds(world: &World, computer: &str, text: &str) -> bool {
    let mut dirs = vec![world.computer(computer)];
    while let Some(dir) = dirs.pop() {
        for file in std::fs::read_dir(dir).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if let Ok(bytes) = std::fs::read(&path)
                && bytes.windows(text.len()).any(|window| window == text.as_bytes())
            {
                return true;
            }
        }
    }
    false
}

// cites: REDACT-010, REDACT-016, REDACT-017, CONT-014
#[tokio::test]
async fn a_message_goes_with_its_edits_and_from_every_state() {
    let world = World::new().await;
    let (alice, mut bob) = (world.register("alice").await, world.register("bob").await);
    let garden = alice.client.create_room("garden").await.unwrap().conversation;
    bob.join("garden").await;
    let message = alice.said(garden, "the first secret").await;
    let edit = alice.client.edit(garden, message, "the second secret").await.unwrap();
    let edit = edit.receipt().await.unwrap().seq;
    bob.client.catch_up(garden).await.unwrap();
    let reply = bob.client.reply(garden, message, "really?").await.unwrap();
    let reply = reply.receipt().await.unwrap().seq;
    assert!(matches!(bob.at(garden, message.seq).await, Content::Text { edited: Some(_), .. }));
    // So that the words are in the index, too: the end of one, since words that begin alike share their beginning there.
    assert_eq!(bob.client.search_local("second", None, None).await.unwrap().entries.len(), 1);

    alice.client.catch_up(garden).await.unwrap();
    alice.client.redact(garden, message).await.unwrap();
    assert_eq!(bob.until_redacted().await, [message.seq, edit]);
    for person in [&alice, &bob] {
        assert_eq!(person.at(garden, message.seq).await, Content::Redacted);
        assert_eq!(person.at(garden, edit).await, Content::Redacted);
        let Content::Text { reply, .. } = person.at(garden, reply).await else { panic!("a text") };
        assert_eq!(reply, Some(Reply { to: message.seq, there: false, redacted: true }));
        let gone = person.client.message(garden, message.seq).await.unwrap_err();
        assert!(matches!(gone, Error::NoSuchMessage(_)));
    }
    // Whoever comes later sees the same.
    let carol = world.register("carol").await;
    carol.join("garden").await;
    assert_eq!(carol.at(garden, message.seq).await, Content::Redacted);
    bob.client.close().await;
    assert!(holds(&world, "bob", "really?"));
    assert!(
        !holds(&world, "bob", "the first secret") && !holds(&world, "bob", "the second secret")
    );
    assert!(!holds(&world, "bob", "econd") && !holds(&world, "bob", "ecret"));
    let bob = world.come_back("bob").await.unwrap();
    assert_eq!(bob.at(garden, message.seq).await, Content::Redacted);
}

// cites: REDACT-005
#[tokio::test]
async fn only_the_own_messages_unless_one_owns_the_room() {
    let world = World::new().await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let garden = alice.client.create_room("garden").await.unwrap().conversation;
    bob.join("garden").await;
    let of_alice = alice.said(garden, "mine").await;
    let of_bob = bob.said(garden, "also mine").await;
    let refused = bob.client.redact(garden, of_alice).await.unwrap_err();
    assert!(refused.is_refusal(ErrorCode::NotPermitted));
    alice.client.redact(garden, of_bob).await.unwrap();
    assert_eq!(bob.at(garden, of_bob.seq).await, Content::Redacted);
    let last = alice.client.own_last(garden).await.unwrap().and_then(|entry| entry.as_message());
    assert_eq!(last, Some(of_alice));
    assert_eq!(bob.client.own_last(garden).await.unwrap(), None);
}

// cites: LOG-013, REDACT-012
#[tokio::test]
async fn what_was_redacted_while_away_is_explained_across_a_restart() {
    let world = World::with(|config| config.limits.max_fetch_entries = 3).await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let garden = alice.client.create_room("garden").await.unwrap().conversation;
    bob.join("garden").await;
    bob.client.catch_up(garden).await.unwrap();
    bob.client.close().await;
    let secret = alice.said(garden, "secret").await;
    alice.say(garden, &numbered("text", 0..10)).await;
    alice.client.redact(garden, secret).await.unwrap();
    let bob = world.come_back("bob").await.unwrap();
    assert_eq!(bob.at(garden, secret.seq).await, Content::Redacted);
    bob.client.close().await;
    let bob = world.come_back("bob").await.unwrap();
    bob.client.catch_up(garden).await.unwrap();
}

// cites: LOG-013, REDACT-012
#[tokio::test]
async fn what_is_read_back_is_explained_by_what_was_taken_in_before() {
    let world = World::with(|config| config.limits.max_fetch_entries = 3).await;
    let alice = world.register("alice").await;
    let garden = alice.client.create_room("garden").await.unwrap().conversation;
    let secret = alice.said(garden, "secret").await;
    alice.say(garden, &numbered("text", 0..10)).await;
    let mut options = world.options("bob", "bob", registering());
    options.history = 2;
    let mut bob = Person::connect(options).await.unwrap();
    bob.join("garden").await;
    bob.client.catch_up(garden).await.unwrap();
    alice.client.redact(garden, secret).await.unwrap();
    bob.until_redacted().await;
    assert_eq!(bob.at(garden, secret.seq).await, Content::Redacted);
    let all = bob.client.history(garden, None, 99).await.unwrap();
    assert_eq!(all.len(), 15);
    bob.client.catch_up(garden).await.unwrap();
}
