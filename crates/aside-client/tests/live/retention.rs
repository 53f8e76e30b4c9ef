//! What the server no longer keeps, as those see it who come late, were away or read back.

use aside_client::{
    Content, ConversationId, Event, Reply, Retention, Room, RoomChange, What, v1::ErrorCode,
};

use crate::world::{Person, World, numbered, registering, verified_text};

impl Person {
    /// Keeps no more than the last `max_entries` entries of a room.
    async fn keep(&self, room: ConversationId, max_entries: u64) -> Room {
        let retention = Some(Retention { max_age_s: 0, max_entries });
        let change = RoomChange { retention, ..RoomChange::default() };
        self.client.update_room(room, change).await.expect("the owner may")
    }

    /// The seqs of the entries before one, or of the last ones.
    async fn read(&self, room: ConversationId, before: Option<u64>, count: u32) -> Vec<u64> {
        let entries = self.client.history(room, before, count).await.expect("no error");
        entries.iter().map(|entry| entry.seq).collect()
    }
}

// cites: RET-012, RET-001
#[tokio::test]
async fn who_comes_late_reads_what_is_kept_and_meets_no_error() {
    let world = World::new().await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let den = alice.client.create_room("den").await.unwrap().conversation;
    alice.say(den, &numbered("line", 1..31)).await;
    let room = alice.keep(den, 11).await;
    assert_eq!((room.first_seq, room.head_seq), (23, 33));
    let shown = bob.client.room("den").await.unwrap().unwrap();
    assert_eq!(shown.retention, Retention { max_age_s: 0, max_entries: 11 }, "before joining");
    bob.join("den").await;
    bob.client.catch_up(den).await.unwrap();
    assert_eq!(bob.read(den, None, 100).await, (23..=34).collect::<Vec<_>>());
    assert_eq!(bob.client.first_kept(den).await.unwrap(), 23);
    assert!(bob.read(den, Some(23), 100).await.is_empty());
    assert_eq!(bob.client.unread(den).await.unwrap(), Some(0));
    let last = bob.client.history(den, Some(33), 1).await.unwrap();
    assert_eq!(last.first().and_then(verified_text).as_deref(), Some("line 30"));
    let refused = bob.client.update_room(
        den,
        RoomChange { retention: Some(Retention::default()), ..RoomChange::default() },
    );
    assert!(refused.await.unwrap_err().is_refusal(ErrorCode::NotPermitted));
}

// cites: RET-012, ROOM-029
#[tokio::test]
async fn who_was_away_is_told_what_is_gone_and_goes_on() {
    let world = World::new().await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let den = alice.client.create_room("den").await.unwrap().conversation;
    bob.join("den").await;
    alice.say(den, &numbered("line", 1..6)).await;
    bob.client.catch_up(den).await.unwrap();
    let known = bob.read(den, None, 100).await;
    let from = known.last().unwrap() + 1;
    bob.client.close().await;

    alice.say(den, &numbered("line", 6..41)).await;
    alice.client.catch_up(den).await.unwrap();
    let old = alice.client.message(den, 20).await.unwrap();
    alice
        .client
        .reply(den, old.as_message().unwrap(), "to what is gone")
        .await
        .unwrap()
        .receipt()
        .await
        .unwrap();
    alice.keep(den, 6).await;

    let mut bob = world.come_back("bob").await.unwrap();
    let gone = bob
        .until(|event| match event {
            Event::Trimmed { room, from_seq, first_seq } => Some((room, from_seq, first_seq)),
            _ => None,
        })
        .await;
    let head = alice.client.room("den").await.unwrap().unwrap().head_seq;
    assert_eq!(gone, ("den".to_owned(), from, head - 5));
    let (_, reply) = bob
        .until(|event| match event {
            Event::Entry(entry) => match (verified_text(&entry), entry.what) {
                (Some(text), What::Message { content: Content::Text { reply, .. }, .. }) => {
                    Some((text, reply)).filter(|(text, _)| text == "to what is gone")
                }
                _ => None,
            },
            _ => None,
        })
        .await;
    assert_eq!(reply, Some(Reply { to: 20, there: false, redacted: false }));
    let limits = bob
        .until(|event| match event {
            Event::Entry(entry) => match entry.what {
                What::RoomUpdated { now, .. } => Some(now.retention),
                _ => None,
            },
            _ => None,
        })
        .await;
    assert_eq!(limits, Retention { max_age_s: 0, max_entries: 6 });
    bob.client.catch_up(den).await.unwrap();
    // What it had itself it still has; between lies what is gone.
    let all = [known, (head - 5..=head).collect()].concat();
    assert_eq!(bob.read(den, None, 100).await, all);
    assert_eq!(bob.client.first_kept(den).await.unwrap(), head - 5);
    assert_eq!(bob.client.unread(den).await.unwrap(), Some(10), "five that it has, five that came");
    bob.client.mark_read(den, head).await.unwrap();
    assert_eq!(bob.client.unread(den).await.unwrap(), Some(0));
    // And it talks on.
    let receipt = bob.client.send(den, "back").await.unwrap();
    assert_eq!(receipt.seq, head + 1);
}

// cites: RET-012, FETCH-007
#[tokio::test]
async fn reading_back_ends_where_the_log_begins() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let den = alice.client.create_room("den").await.unwrap().conversation;
    alice.say(den, &numbered("line", 1..61)).await;
    // One that begins with little.
    let mut options = world.options("bob", "bob", registering());
    options.history = 5;
    let bob = Person::connect(options).await.unwrap();
    bob.join("den").await;
    bob.client.catch_up(den).await.unwrap();
    let room = alice.keep(den, 31).await;
    assert_eq!((room.first_seq, room.head_seq), (34, 64));
    bob.client.catch_up(den).await.unwrap();
    assert_eq!(bob.client.first_kept(den).await.unwrap(), 34);
    assert_eq!(bob.read(den, None, 100).await, (34..=64).collect::<Vec<_>>());
    assert!(bob.read(den, Some(34), 10).await.is_empty());
    // It knows still when it comes back.
    bob.client.close().await;
    let bob = world.come_back("bob").await.unwrap();
    assert_eq!(bob.client.first_kept(den).await.unwrap(), 34);
    assert_eq!(bob.read(den, None, 100).await.len(), 31);
}
