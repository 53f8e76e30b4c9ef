//! What members do with a room: settings, invitations, pins.

use aside_client::{ConversationId, Event, LogIn, Pin, Room, RoomChange, What, v1::ErrorCode};

use crate::world::{Person, World, verified_text};

impl Person {
    /// Waits for an entry that is no message.
    async fn until_what<T>(&mut self, pick: impl Fn(What) -> Option<T>) -> T {
        self.until(|event| match event {
            Event::Entry(entry) => pick(entry.what),
            _ => None,
        })
        .await
    }

    async fn update(&self, room: ConversationId, change: RoomChange) -> Room {
        self.client.update_room(room, change).await.expect("the owner may")
    }

    async fn pinned(&self, room: ConversationId) -> Vec<(u64, Option<String>)> {
        let pins = self.client.pins(room).await.expect("a member may ask");
        let shown = |pin: &Pin| (pin.seq, pin.message.as_ref().and_then(verified_text));
        pins.iter().map(shown).collect()
    }
}

fn topic(topic: &str) -> RoomChange {
    RoomChange { topic: Some(topic.to_owned()), ..RoomChange::default() }
}

// cites: ROOM-029
#[tokio::test]
async fn a_rooms_name_and_topic_are_kept_as_they_are_now() {
    let world = World::new().await;
    let (alice, mut bob) = (world.register("alice").await, world.register("bob").await);
    let den = alice.client.create_room("den").await.unwrap().conversation;
    bob.join("den").await;
    alice.update(den, topic("tea")).await;
    let change =
        RoomChange { name: Some("cellar".into()), invite_only: Some(true), ..topic("jam") };
    let room = alice.update(den, change).await;
    assert_eq!(
        (room.name.as_str(), room.topic.as_str(), room.invite_only),
        ("cellar", "jam", true)
    );

    let told = |what| match what {
        What::RoomUpdated { now, before } => Some((now, before)),
        _ => None,
    };
    let (first, _) = bob.until_what(told).await;
    assert_eq!((first.name.as_str(), first.topic.as_str()), ("den", "tea"));
    let (now, before) = bob.until_what(told).await;
    assert_eq!((now.name.as_str(), now.topic.as_str(), now.invite_only), ("cellar", "jam", true));
    assert_eq!(before, Some(first));
    assert_eq!(bob.client.topic(den).await.unwrap(), "jam");
    assert_eq!(bob.client.followed().await.unwrap(), [(den, "cellar".to_owned())]);
    // The owner's own device too, and whoever comes back.
    alice.client.catch_up(den).await.unwrap();
    assert_eq!(alice.client.topic(den).await.unwrap(), "jam");
    bob.client.close().await;
    alice.update(den, topic("")).await;
    let bob = world.come_back("bob").await.unwrap();
    bob.client.catch_up(den).await.unwrap();
    assert_eq!(bob.client.topic(den).await.unwrap(), "");
    let refused = bob.client.update_room(den, topic("mine")).await.unwrap_err();
    assert!(refused.is_refusal(ErrorCode::NotPermitted), "{refused}");
}

// cites: INV-001, INV-005, INV-006, INV-008
#[tokio::test]
async fn invitations_are_told_listed_used_and_turned_down() {
    let world = World::new().await;
    let (mut alice, mut bob) = (world.register("alice").await, world.register("bob").await);
    let den = alice.client.create_room("den").await.unwrap().conversation;
    let closed = RoomChange { invite_only: Some(true), ..RoomChange::default() };
    alice.update(den, closed).await;
    let refused = bob.client.join(den).await.unwrap_err();
    assert!(refused.is_refusal(ErrorCode::InviteRequired), "{refused}");

    alice.client.invite(den, "bob").await.unwrap();
    let invited = |event| match event {
        Event::Invited { room, by } => Some((room, by.to_string())),
        _ => None,
    };
    let (room, by) = bob.until(invited).await;
    assert!(room.invited && room.invite_only && room.conversation == den && by == "alice");
    let who = alice
        .until_what(|what| match what {
            What::Invited { who } => Some(who.to_string()),
            _ => None,
        })
        .await;
    assert_eq!(who, "bob");
    assert_eq!(bob.client.invitations().await.unwrap(), [room]);
    bob.client.leave(den).await.unwrap();
    assert_eq!(bob.client.invitations().await.unwrap(), []);

    // Who is away finds it after coming back.
    bob.client.close().await;
    alice.client.invite(den, "bob").await.unwrap();
    let bob = world.come_back("bob").await.unwrap();
    assert_eq!(bob.client.invitations().await.unwrap().len(), 1);
    assert!(!bob.client.join(den).await.unwrap().invited);
    assert_eq!(bob.client.invitations().await.unwrap(), []);
    let refused = alice.client.invite(den, "nobody").await.unwrap_err();
    assert!(refused.is_refusal(ErrorCode::NoSuchUser), "{refused}");
}

// cites: PIN-006, PIN-008
#[tokio::test]
async fn pins_are_shown_by_the_log_with_and_without_a_server() {
    let world = World::new().await;
    let (alice, mut bob) = (world.register("alice").await, world.register("bob").await);
    let den = alice.client.create_room("den").await.unwrap().conversation;
    bob.join("den").await;
    let one = bob.client.send(den, "one").await.unwrap().seq;
    let two = bob.client.send(den, "two").await.unwrap().seq;
    for seq in [two, one] {
        alice.client.set_pin(den, seq, true).await.unwrap();
    }
    let pinned = |what| match what {
        What::Pinned { seq, pinned, message } => {
            Some((seq, pinned, message.and_then(|entry| verified_text(&entry))))
        }
        _ => None,
    };
    assert_eq!(bob.until_what(pinned).await, (two, true, Some("two".into())));
    assert_eq!(bob.until_what(pinned).await, (one, true, Some("one".into())));
    let both = [(one, Some("one".to_owned())), (two, Some("two".to_owned()))];
    assert_eq!(bob.pinned(den).await, both);
    alice.client.set_pin(den, one, false).await.unwrap();
    assert_eq!(bob.until_what(pinned).await, (one, false, Some("one".into())));

    bob.client.close().await;
    let mut options = world.options("bob", "bob", LogIn::Remembered);
    options.offline = true;
    world.server.stop().await;
    let bob = Person::connect(options).await.unwrap();
    assert_eq!(bob.pinned(den).await, [(two, Some("two".to_owned()))]);
}
