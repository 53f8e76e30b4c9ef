//! What is unread, who has read what, and what became of a message.

#![allow(clippy::unwrap_used)] // Every function here is a test's.

use aside_client::{
    Content, ConversationId, Entry, Event, LogIn, Mention, Outgoing, State, Watermark, What,
};

use crate::world::{PASSWORD, Person, World, numbered, with_password};

impl Person {
    /// Waits until a member is said to have got so far.
    async fn until_moved(&mut self, handle: &str, reaches: impl Fn(&Watermark) -> bool) -> u64 {
        self.until(|event| match event {
            Event::WatermarkMoved { watermark, .. }
                if watermark.who.to_string() == handle && reaches(&watermark) =>
            {
                Some(watermark.read)
            }
            _ => None,
        })
        .await
    }

    async fn state(&self, room: ConversationId, seq: u64) -> Option<State> {
        self.client.catch_up(room).await.unwrap();
        self.client.message(room, seq).await.unwrap().state
    }

    async fn unread(&self, room: ConversationId) -> Option<u32> {
        self.client.catch_up(room).await.unwrap();
        self.client.unread(room).await.unwrap()
    }
}

async fn second_device(world: &World, handle: &str) -> Person {
    Person::connect(world.options(handle, "phone", with_password(PASSWORD))).await.unwrap()
}

// cites: MARK-001, MARK-008
#[tokio::test]
async fn what_one_device_has_read_is_not_unread_on_another() {
    let world = World::new().await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let lobby = alice.join("lobby").await;
    bob.join("lobby").await;
    let mut phone = second_device(&world, "bob").await;
    alice.say(lobby, &numbered("text", 0..3)).await;
    bob.client.send(lobby, "mine").await.unwrap();
    assert_eq!(bob.unread(lobby).await, Some(3), "what bob said is not unread");
    assert_eq!(phone.unread(lobby).await, Some(3));
    let rooms = phone.client.rooms(false).await.unwrap();
    assert_eq!(rooms[0].unread, Some(3));

    let last = bob.client.overview().await.unwrap()[0].head;
    bob.client.mark_read(lobby, last - 1).await.unwrap();
    assert_eq!(bob.client.unread(lobby).await.unwrap(), Some(0), "at once");
    phone.until_moved("bob", |bob| bob.read == last - 1).await;
    assert_eq!(phone.unread(lobby).await, Some(0));
    let rooms = phone.client.rooms(true).await.unwrap();
    assert_eq!((rooms.len(), rooms[0].unread), (1, Some(0)));
    // It never falls.
    phone.client.mark_read(lobby, 1).await.unwrap();
    assert_eq!(phone.client.overview().await.unwrap()[0].read, last - 1);
}

// cites: MARK-002
#[tokio::test]
async fn what_was_said_before_joining_is_not_unread() {
    let world = World::new().await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let lobby = alice.join("lobby").await;
    alice.say(lobby, &numbered("text", 0..3)).await;
    bob.join("lobby").await;
    assert_eq!(bob.unread(lobby).await, Some(0));
    alice.client.send(lobby, "news").await.unwrap();
    assert_eq!(bob.unread(lobby).await, Some(1));
}

// cites: MARK-003, MARK-012
#[tokio::test]
async fn a_message_is_sent_then_delivered_then_read() {
    let world = World::new().await;
    let (mut alice, bob) = (world.register("alice").await, world.register("bob").await);
    let lobby = alice.join("lobby").await;
    bob.join("lobby").await;
    let World { home, server, address } = world;
    bob.client.close().await;
    let queued = alice.client.queue(lobby, "hello").await.unwrap();
    let id = queued.message_id();
    let outgoing = |event| match event {
        Event::Outgoing(outgoing) if outgoing.message_id == id => Some(outgoing),
        _ => None,
    };
    let first = alice.until(outgoing).await;
    assert_eq!((first.text.as_deref(), first.conversation), (Some("hello"), lobby));
    let seq = queued.receipt().await.unwrap().seq;
    let sent = match first.state {
        State::Sent => first,
        _ => alice.until(outgoing).await,
    };
    assert_eq!((sent.state, sent.seq), (State::Sent, Some(seq)));
    assert_eq!(alice.state(lobby, seq).await, Some(State::Sent));
    assert_eq!(alice.client.outbox().await.unwrap(), [], "seen in the log");

    let world = World { home, server, address };
    let bob = world.come_back("bob").await.unwrap();
    alice.until_moved("bob", |bob| bob.delivered >= seq).await;
    assert_eq!(alice.state(lobby, seq).await, Some(State::Delivered));
    bob.client.catch_up(lobby).await.unwrap();
    bob.client.mark_read(lobby, u64::MAX).await.unwrap();
    alice.until_moved("bob", |bob| bob.read >= seq).await;
    let mut entry = bob.client.message(lobby, seq).await.unwrap();
    assert_eq!(entry.state, None, "it is not bob's");
    entry = alice.client.message(lobby, seq).await.unwrap();
    assert_eq!(entry.state, Some(State::Read));
    let watermarks = alice.client.watermarks(lobby).await.unwrap();
    let bobs = watermarks.iter().find(|it| it.who.to_string() == "bob").unwrap();
    assert_eq!((bobs.delivered, bobs.read), (seq, seq));
}

// cites: MARK-012
#[tokio::test]
async fn what_was_read_while_its_sender_was_away_is_known_once_that_is_back() {
    let world = World::new().await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let lobby = alice.join("lobby").await;
    bob.join("lobby").await;
    let seq = alice.client.send(lobby, "hello").await.unwrap().seq;
    alice.client.catch_up(lobby).await.unwrap();
    alice.client.close().await;
    bob.client.catch_up(lobby).await.unwrap();
    let mut phone = second_device(&world, "bob").await;
    bob.client.mark_read(lobby, seq).await.unwrap();
    phone.until_moved("bob", |bob| bob.read >= seq).await;

    let mut alice = world.come_back("alice").await.unwrap();
    alice.until_moved("bob", |bob| bob.read >= seq).await;
    assert_eq!(alice.state(lobby, seq).await, Some(State::Read));
    // The same on a device that has not said it, and begins with it.
    let mut tablet = second_device(&world, "alice").await;
    tablet.until_moved("bob", |bob| bob.read >= seq).await;
    assert_eq!(tablet.state(lobby, seq).await, Some(State::Read));
}

// cites: MARK-001, MARK-014
#[tokio::test]
async fn a_mark_made_offline_is_sent_by_the_next_run() {
    let world = World::new().await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let lobby = alice.join("lobby").await;
    bob.join("lobby").await;
    alice.say(lobby, &numbered("text", 0..3)).await;
    bob.client.catch_up(lobby).await.unwrap();
    bob.client.close().await;
    alice.client.close().await;
    let mut options = world.options("bob", "bob", LogIn::Remembered);
    let World { home, server, address } = world;
    server.stop().await;

    options.offline = true;
    let bob = Person::connect(options).await.unwrap();
    assert_eq!(bob.client.unread(lobby).await.unwrap(), Some(3));
    bob.client.mark_read(lobby, u64::MAX).await.unwrap();
    assert_eq!(bob.client.unread(lobby).await.unwrap(), Some(0));
    bob.client.close().await;

    let world = World::start_at(home, address, |_| {}).await;
    let mut phone = second_device(&world, "bob").await;
    let read = world.come_back("bob").await.unwrap();
    let head = read.client.overview().await.unwrap()[0].head;
    phone.until_moved("bob", |bob| bob.read >= head).await;
    assert_eq!(phone.unread(lobby).await, Some(0));
}

// cites: MARK-010
#[tokio::test]
async fn where_many_are_members_a_message_is_only_sent() {
    let world = World::with(|config| config.limits.max_live_members = 1).await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let lobby = alice.join("lobby").await;
    bob.join("lobby").await;
    let seq = alice.client.send(lobby, "hello").await.unwrap().seq;
    bob.client.catch_up(lobby).await.unwrap();
    bob.client.mark_read(lobby, seq).await.unwrap();
    // Bob's other device hears of it, alice does not.
    let mut phone = second_device(&world, "bob").await;
    while phone.unread(lobby).await != Some(0) {
        phone.until_moved("bob", |_| true).await;
    }
    assert_eq!(alice.state(lobby, seq).await, Some(State::Sent));
    assert_eq!(alice.client.watermarks(lobby).await.unwrap().len(), 1, "asked for, it is told");
    assert_eq!(alice.state(lobby, seq).await, Some(State::Sent));
}

// cites: CONT-005
#[tokio::test]
async fn members_are_mentioned_by_their_handles() {
    let world = World::new().await;
    let (alice, mut bob) = (world.register("alice").await, world.register("bob").await);
    let _carol = world.register("carol").await;
    let lobby = alice.join("lobby").await;
    bob.join("lobby").await;
    alice.client.catch_up(lobby).await.unwrap();
    let text = alice.client.addressed(lobby, "@Bob, ask @carol").await.unwrap();
    alice.client.send(lobby, text).await.unwrap();
    let mentions = async |person: &mut Person| {
        let mentions = person.until(|event| match event {
            Event::Entry(Entry {
                what: What::Message { content: Content::Text { mentions, .. }, .. },
                ..
            }) => Some(mentions),
            _ => None,
        });
        let named = |mention: Mention| (mention.who.handle.unwrap(), mention.range);
        mentions.await.into_iter().map(named).collect::<Vec<_>>()
    };
    assert_eq!(mentions(&mut bob).await, [("bob".to_owned(), 0..4)], "carol is not there");

    // Whoever comes to a room in the middle is told who is there; who has left is not meant.
    let mut phone = second_device(&world, "bob").await;
    phone.client.catch_up(lobby).await.unwrap();
    let text = phone.client.addressed(lobby, "@alice @bob").await.unwrap();
    assert_eq!(text.mentions.len(), 2);
    alice.client.leave(lobby).await.unwrap();
    phone
        .until(|event| match event {
            Event::Entry(Entry { what: What::Left { .. }, .. }) => Some(()),
            _ => None,
        })
        .await;
    let text = phone.client.addressed(lobby, "@alice @bob").await.unwrap();
    assert_eq!(text.mentions.len(), 1);
}

#[tokio::test]
async fn what_is_not_sent_stays_in_the_outbox_with_the_reason() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let lobby = alice.join("lobby").await;
    alice.client.leave(lobby).await.unwrap();
    let queued = alice.client.queue(lobby, "still here?").await.unwrap();
    let id = queued.message_id();
    queued.receipt().await.unwrap_err();
    let outbox = alice.client.outbox().await.unwrap();
    let [Outgoing { message_id, text, state: State::Failed { reason, remedy }, .. }] = &outbox[..]
    else {
        panic!("{outbox:?}")
    };
    assert_eq!((*message_id, text.as_deref()), (id, Some("still here?")));
    assert!(!reason.is_empty() && remedy.is_some(), "{reason} {remedy:?}");

    alice.join("lobby").await;
    alice.client.retry(id).await.unwrap().receipt().await.unwrap();
    alice.client.catch_up(lobby).await.unwrap();
    assert_eq!(alice.client.outbox().await.unwrap(), []);
    assert!(alice.client.discard(id).await.is_err(), "it is not there any more");
    alice.client.leave(lobby).await.unwrap();
    alice.client.send(lobby, "no").await.unwrap_err();
    assert_eq!(alice.client.outbox().await.unwrap(), [], "whoever waited was told");
}
