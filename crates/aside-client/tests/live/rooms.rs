//! Rooms and their history.

use aside_client::{Content, Error, Event, Reply, Role, What, v1::ErrorCode};

use crate::world::{Person, World, numbered, registering, verified_text};

#[tokio::test]
async fn rooms_are_made_joined_listed_and_left() {
    let world = World::new().await;
    let (mut alice, bob) = (world.register("alice").await, world.register("bob").await);
    let garden = alice.client.create_room("Garden").await.unwrap();
    assert_eq!((garden.name.as_str(), garden.role), ("garden", Some(Role::Owner)));
    assert!(garden.server_readable);
    let taken = bob.client.create_room("garden").await.unwrap_err();
    assert!(taken.is_refusal(ErrorCode::RoomNameTaken));
    assert_eq!(bob.client.rooms(true).await.unwrap(), []);
    let nameless = bob.client.room("").await.unwrap();
    assert_eq!(nameless, None, "not the first there is");
    bob.join("garden").await;
    let members = alice.client.members(garden.conversation, true).await.unwrap();
    let handles: Vec<_> = members.iter().map(|member| member.handle.as_str()).collect();
    assert_eq!(handles, ["alice", "bob"]);

    bob.client.leave(garden.conversation).await.unwrap();
    let not_member = bob.client.send(garden.conversation, "still here").await.unwrap_err();
    assert!(not_member.is_refusal(ErrorCode::NotAMember));
    let left = alice.until(|event| match event {
        Event::Entry(entry) => match entry.what {
            What::Left { who } => Some(who.to_string()),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(left.await, "bob");
    bob.join("garden").await;
    bob.client.send(garden.conversation, "back").await.unwrap();
    assert_eq!(alice.message().await.1, "back");
}

#[tokio::test]
async fn another_device_of_the_user_follows_what_this_one_joins() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let password = crate::world::with_password(crate::world::PASSWORD);
    let phone = world.options("alice", "phone", password);
    let mut phone = Person::connect(phone).await.unwrap();
    let garden = alice.client.create_room("garden").await.unwrap();
    alice.client.send(garden.conversation, "planted").await.unwrap();
    assert_eq!(phone.message().await.1, "planted");
}

// cites: LOG-011, MSG-008
#[tokio::test]
async fn history_is_read_back_as_far_as_is_asked_for() {
    let world = World::with(|config| config.limits.max_fetch_entries = 7).await;
    let alice = world.register("alice").await;
    let lobby = alice.join("lobby").await;
    alice.say(lobby, &numbered("text", 0..40)).await;

    let mut options = world.options("bob", "bob", registering());
    options.history = 5;
    let mut bob = Person::connect(options).await.unwrap();
    bob.join("lobby").await;
    // Bob's own MEMBER_JOINED is one of the five at the most.
    let first = bob.message().await.1;
    assert!(numbered("text", 35..37).contains(&first), "{first}");
    bob.client.catch_up(lobby).await.unwrap();

    let texts = |entries: Vec<aside_client::Entry>| {
        entries.iter().filter_map(verified_text).collect::<Vec<_>>()
    };
    let last = bob.client.history(lobby, None, 21).await.unwrap();
    assert_eq!(texts(last.clone()), numbered("text", 20..40));
    let earlier = bob.client.history(lobby, Some(last[0].seq), 10).await.unwrap();
    assert_eq!(texts(earlier), numbered("text", 10..20));
    let all = bob.client.history(lobby, None, 1000).await.unwrap();
    assert_eq!(
        all.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        (1..=all.len() as u64).collect::<Vec<_>>()
    );
    assert!(all.iter().filter_map(|entry| entry.by.as_ref()).all(|by| by.handle.is_some()));

    let elsewhere = aside_client::ConversationId::new([7; 16]);
    assert!(matches!(bob.client.history(elsewhere, None, 1).await, Err(Error::NotFollowed)));
    assert!(matches!(bob.client.catch_up(elsewhere).await, Err(Error::NotFollowed)));
}

// cites: PUSH-009
#[tokio::test]
async fn a_program_that_does_not_read_its_events_loses_none() {
    let world = World::new().await;
    let (alice, mut bob) = (world.register("alice").await, world.register("bob").await);
    let lobby = alice.join("lobby").await;
    bob.join("lobby").await;
    // More than the channel of events holds.
    let texts = numbered("text", 0..700);
    alice.say(lobby, &texts).await;
    bob.client.catch_up(lobby).await.unwrap();
    assert_eq!(bob.messages(texts.len()).await, texts);
}

// cites: MSG-005
#[tokio::test]
async fn what_is_too_long_is_not_sent() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let lobby = alice.join("lobby").await;
    let long = "x".repeat(alice.client.limits().max_payload_bytes as usize);
    let refused = alice.client.send(lobby, &long).await;
    assert!(matches!(refused, Err(Error::MessageTooLong { .. })), "{refused:?}");
    alice.client.send(lobby, &long[..60_000]).await.unwrap();
}

#[tokio::test]
async fn a_room_that_is_forgotten_is_taken_up_anew() {
    let world = World::new().await;
    let mut alice = world.register("alice").await;
    let lobby = alice.join("lobby").await;
    alice.say(lobby, &numbered("text", 0..3)).await;
    assert_eq!(alice.messages(3).await, numbered("text", 0..3));
    alice.client.forget(lobby).await.unwrap();
    assert_eq!(alice.messages(3).await, numbered("text", 0..3), "told again");
    alice.client.catch_up(lobby).await.unwrap();
}

// cites: CONT-006, CONT-010, CONT-011, CONT-012
#[tokio::test]
async fn what_is_said_about_a_message_shows_at_it() {
    let world = World::new().await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let garden = alice.client.create_room("garden").await.unwrap().conversation;
    bob.join("garden").await;
    let seq = alice.client.send(garden, "Tee?").await.unwrap().seq;
    bob.client.catch_up(garden).await.unwrap();
    let to = bob.client.message(garden, seq).await.unwrap().as_message().unwrap();
    for (emoji, remove) in [("+1", false), ("-1", false), ("-1", true)] {
        let reaction = bob.client.react(garden, to, emoji, remove).await.unwrap();
        reaction.receipt().await.unwrap();
    }
    bob.client.edit(garden, to, "Coffee?").await.unwrap().receipt().await.unwrap();
    let edit = alice.client.edit(garden, to, "Tea?").await.unwrap().receipt().await.unwrap();
    let reply = bob.client.reply(garden, to, "Gladly").await.unwrap().receipt().await.unwrap();
    let refused = bob.client.react(garden, to, "", false).await;
    assert!(matches!(refused, Err(Error::NotAnEmoji)));

    for person in [&alice, &bob] {
        person.client.catch_up(garden).await.unwrap();
        let message = person.client.message(garden, seq).await.unwrap();
        assert_eq!(verified_text(&message).as_deref(), Some("Tea?"));
        let What::Message { content, .. } = message.what else { panic!("it is a message") };
        let Content::Text { edited, reactions, .. } = content else { panic!("it has a text") };
        assert_eq!(edited, Some(edit.seq));
        assert_eq!((reactions.len(), reactions[0].emoji.as_str()), (1, "+1"));
        assert_eq!(reactions[0].by[0].to_string(), "bob");
        let answer = person.client.message(garden, reply.seq).await.unwrap();
        let What::Message { content, .. } = answer.what else { panic!("it is a message") };
        let expected = Some(Reply { to: seq, there: true, redacted: false });
        assert!(matches!(content, Content::Text { reply, .. } if reply == expected));
        let nothing = person.client.message(garden, edit.seq).await.unwrap_err();
        assert!(matches!(nothing, Error::NoSuchMessage(_)), "an edit is not referred to");
    }
}
