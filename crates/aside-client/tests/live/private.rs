//! Private conversations, between clients and a real server.

#![allow(clippy::unwrap_used, clippy::panic)] // Every function here is a test's.

use aside_client::{
    Connection, Content, ConversationId, DeviceId, Entry, Error, Event, GroupProfile,
    IdempotencyKey, Kind, LogIn, Outgoing, RecoveryPhrase, Role, State, Strength, UserId, What,
    new_recovery_phrase, private,
    v1::{self, client_frame::Body},
};

use crate::world::{PASSWORD, Person, World, registering, verified_text, with_password};

/// A user with a device log, on a computer of the same name.
async fn user(world: &World, handle: &str) -> (Person, RecoveryPhrase) {
    let person = world.register(handle).await;
    let phrase = new_recovery_phrase(Strength::Bits128);
    person.client.begin_identity(&phrase).await.expect("the log begins");
    (person, phrase)
}

/// Another device of a user's, approved.
async fn another(world: &World, handle: &str, computer: &str, phrase: &RecoveryPhrase) -> Person {
    let options = world.options(handle, computer, with_password(PASSWORD));
    let person = Person::connect(options).await.expect("logs in");
    person.client.approve_by_phrase(phrase).await.expect("is approved");
    person
}

fn me(person: &Person) -> UserId {
    person.client.identity().user
}

fn device(person: &Person) -> DeviceId {
    person.client.identity().device
}

/// Waits until this device is in a private conversation's group.
async fn joined(person: &mut Person) -> ConversationId {
    person
        .until(|event| match event {
            Event::Private { conversation, what: private::Event::Joined { .. }, .. } => {
                Some(conversation)
            }
            _ => None,
        })
        .await
}

async fn leaves(person: &Person, conversation: ConversationId) -> usize {
    person.client.health(conversation).await.expect("is followed").leaves.len()
}

async fn texts(person: &Person, conversation: ConversationId) -> Vec<String> {
    let kept: Vec<Entry> =
        person.client.history(conversation, None, 100).await.expect("is followed");
    kept.iter().filter_map(verified_text).collect()
}

#[tokio::test]
async fn two_users_talk_in_a_direct_that_both_open() {
    let world = World::new().await;
    let ((mut alice, _), (mut bob, _)) = (user(&world, "alice").await, user(&world, "bob").await);
    let hers = alice.client.open_direct("bob").await.unwrap();
    assert_eq!((hers.kind, hers.server_readable), (Kind::Direct, false));
    let sent = alice.client.send(hers.conversation, "psst").await.unwrap();
    assert_eq!(bob.message().await, (sent.seq, "psst".to_owned()));
    let his = bob.client.open_direct("alice").await.unwrap();
    assert_eq!(his.conversation, hers.conversation, "there is one for the two");
    bob.client.send(his.conversation, "here").await.unwrap();
    // Her own comes first: she follows her own log, too.
    assert_eq!(alice.messages(2).await, ["psst", "here"]);
    let health = alice.client.health(hers.conversation).await.unwrap();
    let his_health = bob.client.health(hers.conversation).await.unwrap();
    assert_eq!(health.at, Some((1, 1)));
    assert_eq!(health.fork_check, his_health.fork_check);
    assert_eq!(health.leaves, his_health.leaves);
    assert_eq!(health.waiting, 0);
}

// cites: MLS-001
#[tokio::test]
async fn who_prefers_the_other_suite_begins_by_it_and_others_come_in() {
    let world = World::new().await;
    let mut options = world.options("alice", "alice", registering());
    options.suite = private::Suite::P384Aes256;
    let mut alice = Person::connect(options).await.unwrap();
    let phrase = new_recovery_phrase(Strength::Bits128);
    alice.client.begin_identity(&phrase).await.unwrap();
    let (mut bob, phrase) = user(&world, "bob").await;
    let room = alice.client.create_group().await.unwrap().conversation;
    alice.client.add_member(room, me(&bob)).await.unwrap();
    assert_eq!(joined(&mut bob).await, room);
    let mut phone = another(&world, "bob", "phone", &phrase).await;
    assert_eq!(joined(&mut phone).await, room, "from outside");
    bob.client.send(room, "by the other suite").await.unwrap();
    for person in [&mut alice, &mut phone] {
        assert_eq!(person.message().await.1, "by the other suite");
        let health = person.client.health(room).await.unwrap();
        assert_eq!((health.suite, health.leaves.len()), (Some(7), 3));
    }
}

#[tokio::test]
async fn whoever_is_away_is_added_and_reads_when_back() {
    let world = World::new().await;
    let ((alice, _), (bob, _)) = (user(&world, "alice").await, user(&world, "bob").await);
    // His KeyPackages are with the server once it has answered something that he asked after.
    bob.client.rooms(true).await.unwrap();
    bob.client.close().await;
    let direct = alice.client.open_direct("bob").await.unwrap();
    for text in ["one", "two", "three"] {
        alice.client.send(direct.conversation, text).await.unwrap();
    }
    let mut bob = world.come_back("bob").await.unwrap();
    assert_eq!(bob.messages(3).await, ["one", "two", "three"]);
}

#[tokio::test]
async fn a_group_adds_removes_and_goes_on() {
    let world = World::new().await;
    let (mut alice, _) = user(&world, "alice").await;
    let (mut bob, _) = user(&world, "bob").await;
    let (mut carol, _) = user(&world, "carol").await;
    let group = alice.client.create_group().await.unwrap();
    let room = group.conversation;
    assert_eq!((group.kind, group.role), (Kind::Group, Some(Role::Owner)));
    alice.client.send(room, "before anybody").await.unwrap();
    alice.client.add_member(room, me(&bob)).await.unwrap();
    alice.client.add_member(room, me(&carol)).await.unwrap();
    assert_eq!((joined(&mut bob).await, joined(&mut carol).await), (room, room));
    alice.client.send(room, "welcome").await.unwrap();
    assert_eq!(bob.message().await.1, "welcome", "and nothing of before");
    assert_eq!(carol.message().await.1, "welcome");
    bob.client.send(room, "hello").await.unwrap();
    assert_eq!(carol.message().await.1, "hello");

    let refused = bob.client.remove_member(room, me(&carol)).await.unwrap_err();
    assert!(refused.to_string().contains("not"), "{refused}");
    alice.client.remove_member(room, me(&carol)).await.unwrap();
    alice.client.send(room, "without carol").await.unwrap();
    assert_eq!(bob.messages(2).await, ["hello", "without carol"]);
    assert_eq!(leaves(&bob, room).await, 2);
    alice.client.add_member(room, me(&carol)).await.unwrap();
    alice.client.send(room, "with carol again").await.unwrap();
    assert_eq!(carol.message().await.1, "with carol again");
    assert_eq!(
        alice.messages(5).await,
        ["before anybody", "welcome", "hello", "without carol", "with carol again"]
    );
    assert_eq!(texts(&carol, room).await, ["welcome", "hello", "with carol again"]);

    alice.client.set_role(room, me(&bob), Role::Owner).await.unwrap();
    alice.client.leave(room).await.unwrap();
    bob.client.send(room, "she left").await.unwrap();
    assert_eq!(carol.message().await.1, "she left");
    assert_eq!(leaves(&bob, room).await, 2);
}

/// Its log is read anew, and says that this device was out once.
#[tokio::test]
async fn who_left_and_is_let_in_again_is_not_told_to_be_out() {
    let world = World::new().await;
    let (mut alice, _) = user(&world, "alice").await;
    let (mut carol, _) = user(&world, "carol").await;
    let room = alice.client.create_group().await.unwrap().conversation;
    alice.client.add_member(room, me(&carol)).await.unwrap();
    assert_eq!(joined(&mut carol).await, room);
    for text in ["once", "and again"] {
        carol.client.leave(room).await.unwrap();
        // As long as she does not know it, there is nobody to be added.
        alice
            .until(|event| match event {
                Event::Entry(Entry { what: What::MembersChanged { removed, .. }, .. }) => {
                    removed.first().map(drop)
                }
                _ => None,
            })
            .await;
        alice.client.add_member(room, me(&carol)).await.unwrap();
        assert_eq!(joined(&mut carol).await, room);
        // What is told of it comes with the next list at the latest.
        carol.client.rooms(true).await.unwrap();
        alice.client.send(room, text).await.unwrap();
        let mut is_out = false;
        carol
            .until(|event| {
                let what = |event: &Event| match event {
                    Event::Private { what, .. } => Some(what.clone()),
                    _ => None,
                };
                is_out |= matches!(what(&event), Some(private::Event::Removed { .. }));
                match event {
                    Event::Entry(entry) => verified_text(&entry).filter(|said| said == text),
                    _ => None,
                }
            })
            .await;
        assert!(!is_out, "it is in");
    }
}

#[tokio::test]
async fn a_new_device_comes_in_and_a_revoked_one_goes() {
    let world = World::new().await;
    let ((alice, _), (bob, phrase)) = (user(&world, "alice").await, user(&world, "bob").await);
    let direct = alice.client.open_direct("bob").await.unwrap().conversation;
    alice.client.send(direct, "to the first").await.unwrap();
    let mut phone = another(&world, "bob", "phone", &phrase).await;
    assert_eq!(joined(&mut phone).await, direct);
    alice.client.send(direct, "to both").await.unwrap();
    assert_eq!(phone.message().await.1, "to both");
    let kept = phone.client.history(direct, None, 100).await.unwrap();
    let unreadable = kept.iter().find_map(|entry| match entry.what {
        What::Unreadable { why, .. } => Some(why),
        _ => None,
    });
    assert_eq!(unreadable, Some(private::Unreadable::NotHere), "what came before");
    assert_eq!(leaves(&phone, direct).await, 3);

    bob.client.revoke_device(device(&phone)).await.unwrap();
    alice.client.send(direct, "to the first alone").await.unwrap();
    assert_eq!(leaves(&bob, direct).await, 2);
    let said = texts(&bob, direct).await;
    assert_eq!(said, ["to the first", "to both", "to the first alone"]);
}

#[tokio::test]
async fn what_waits_is_sent_by_the_next_run_and_a_store_put_back_joins_anew() {
    let world = World::new().await;
    let ((alice, _), (mut bob, _)) = (user(&world, "alice").await, user(&world, "bob").await);
    let direct = alice.client.open_direct("bob").await.unwrap().conversation;
    alice.client.send(direct, "one").await.unwrap();
    alice.client.close().await;
    let (home, backup) = (world.computer("alice"), world.computer("backup"));
    copy(&home, &backup);
    let alice = world.come_back("alice").await.unwrap();
    alice.client.send(direct, "two").await.unwrap();
    alice.client.close().await;
    std::fs::remove_dir_all(&home).unwrap();
    copy(&backup, &home);
    let mut alice = world.come_back("alice").await.unwrap();
    // Its store lacks what it said: it may not use the keys of then once more.
    let how = alice.until(|event| match event {
        Event::Private { what: private::Event::Joined { how }, .. } => Some(how),
        _ => None,
    });
    assert_eq!(how.await, private::How::Came(private::Repair::StateLost));
    alice.client.send(direct, "three").await.unwrap();
    assert_eq!(bob.messages(3).await, ["one", "two", "three"]);
    let health = alice.client.health(direct).await.unwrap();
    assert_eq!(health.last_repair.map(|(why, _)| why), Some(private::Repair::StateLost));
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        match item.file_type().unwrap().is_dir() {
            true => copy(&item.path(), &target),
            false => drop(std::fs::copy(item.path(), target).unwrap()),
        }
    }
}

#[tokio::test]
async fn the_server_holds_no_word_of_it() {
    let world = World::new().await;
    let ((alice, _), (mut bob, _)) = (user(&world, "alice").await, user(&world, "bob").await);
    let direct = alice.client.open_direct("bob").await.unwrap().conversation;
    alice.client.send(direct, "xylophone-rhubarb").await.unwrap();
    assert_eq!(bob.message().await.1, "xylophone-rhubarb");
    let entry = alice.client.message(direct, 3).await.unwrap();
    let to = entry.as_message().unwrap();
    bob.client.react(direct, to, "🎺", false).await.unwrap().receipt().await.unwrap();
    let edit = alice.client.edit(direct, to, "xylophone-lettuce").await.unwrap();
    let edit = edit.receipt().await.unwrap().seq;
    bob.until(|event| matches!(event, Event::Entry(entry) if entry.seq == edit).then_some(()))
        .await;
    let shown = bob.client.message(direct, 3).await.unwrap();
    assert_eq!(verified_text(&shown).as_deref(), Some("xylophone-lettuce"));
    // What a public room says is there to be found: the search can find something.
    let lobby = alice.join("lobby").await;
    alice.client.send(lobby, "gooseberry-public").await.unwrap();
    let server = world.computer("server");
    drop((alice, bob));
    world.server.stop().await;
    let held = contents(&server);
    assert!(finds(&held, b"gooseberry-public"));
    for word in ["xylophone", "rhubarb", "lettuce", "🎺"] {
        assert!(!finds(&held, word.as_bytes()), "{word} is at the server");
    }
}

fn contents(dir: &std::path::Path) -> Vec<u8> {
    let mut held = Vec::new();
    for item in std::fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        match path.is_dir() {
            true => held.extend(contents(&path)),
            false => held.extend(std::fs::read(path).unwrap()),
        }
    }
    held
}

fn finds(held: &[u8], word: &[u8]) -> bool {
    held.windows(word.len()).any(|window| window == word)
}

/// An unapproved device has no private conversation.
#[tokio::test]
async fn a_device_that_is_not_approved_sees_none_of_it() {
    let world = World::new().await;
    let ((alice, _), (bob, _)) = (user(&world, "alice").await, user(&world, "bob").await);
    let direct = alice.client.open_direct("bob").await.unwrap().conversation;
    alice.client.send(direct, "psst").await.unwrap();
    let options = world.options("bob", "cafe", LogIn::Password(PASSWORD.to_owned().into()));
    let cafe = Person::connect(options).await.unwrap();
    assert!(cafe.client.followed().await.unwrap().is_empty());
    let refused = cafe.client.open_direct("alice").await.unwrap_err();
    assert!(refused.is_refusal(v1::ErrorCode::DeviceNotApproved), "{refused}");
    let fetch = v1::Fetch { conversation_id: direct.to_bytes(), from_seq: 1, ..Default::default() };
    let refused = cafe.client.call(Body::Fetch(fetch)).await.unwrap_err();
    assert!(refused.is_refusal(v1::ErrorCode::DeviceNotApproved), "{refused}");
    drop(bob);
}

/// The texts that wait or will not be sent, and whether they will not.
async fn waiting(person: &Person) -> Vec<(String, bool)> {
    let outbox = person.client.outbox().await.expect("it is kept");
    let of = |it: Outgoing| (it.text.unwrap_or_default(), matches!(it.state, State::Failed { .. }));
    outbox.into_iter().map(of).collect()
}

/// The next message that will not be sent.
async fn failed(person: &mut Person) -> IdempotencyKey {
    person
        .until(|event| match event {
            Event::MessageFailed { message_id, .. } => Some(message_id),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn what_waits_is_in_the_outbox_and_what_fails_stays_there() {
    let world = World::new().await;
    let ((alice, _), (mut bob, _)) = (user(&world, "alice").await, user(&world, "bob").await);
    let his = me(&bob);
    let room = alice.client.create_group().await.unwrap().conversation;
    alice.client.add_member(room, his).await.unwrap();
    assert_eq!(joined(&mut bob).await, room);
    alice.client.send(room, "hello").await.unwrap();
    assert_eq!(bob.message().await.1, "hello");
    alice.client.close().await;
    let World { home, server, address } = world;
    server.stop().await;
    bob.until(|event| matches!(event, Event::Connection(Connection::Offline { .. })).then_some(()))
        .await;
    for text in ["quince one", "quince two", "quince three"] {
        drop(bob.client.queue(room, text).await.unwrap());
    }
    let is = |texts: &[(&str, bool)]| -> Vec<_> {
        texts.iter().map(|(text, failed)| ((*text).to_owned(), *failed)).collect()
    };
    let [one, two, three] = ["quince one", "quince two", "quince three"];
    assert_eq!(waiting(&bob).await, is(&[(one, false), (two, false), (three, false)]));
    let second = bob.client.outbox().await.unwrap()[1].message_id;
    bob.client.discard(second).await.unwrap();
    assert!(matches!(bob.client.discard(second).await, Err(Error::NotInOutbox)));
    assert!(matches!(bob.client.retry(second).await, Err(Error::NotInOutbox)));
    bob.client.close().await;

    // While he is away, he is put out.
    let world = World::start_at(home, address, |_| {}).await;
    let alice = world.come_back("alice").await.unwrap();
    alice.client.remove_member(room, his).await.unwrap();
    let mut bob = world.come_back("bob").await.unwrap();
    let first = failed(&mut bob).await;
    let third = failed(&mut bob).await;
    assert_eq!(waiting(&bob).await, is(&[(one, true), (three, true)]));
    assert!(matches!(bob.client.retry(third).await, Err(Error::NotFollowed)), "it stays");
    bob.client.discard(first).await.unwrap();
    bob.client.close().await;
    assert!(!finds(&contents(&world.computer("bob")), b"quince"), "it is sealed as before");
    let mut bob = world.come_back("bob").await.unwrap();
    assert_eq!(waiting(&bob).await, is(&[(three, true)]));

    alice.client.add_member(room, his).await.unwrap();
    assert_eq!(joined(&mut bob).await, room);
    bob.client.retry(third).await.unwrap().receipt().await.unwrap();
    bob.client.catch_up(room).await.unwrap();
    assert_eq!(waiting(&bob).await, []);
    assert_eq!(texts(&bob, room).await, ["hello", three]);
}

/// Nothing is said in plain sight where all was private, not even by one who is there no more.
#[tokio::test]
async fn what_was_private_is_not_spoken_to_in_plain_sight() {
    let world = World::new().await;
    let ((alice, _), (mut bob, _)) = (user(&world, "alice").await, user(&world, "bob").await);
    let room = alice.client.create_group().await.unwrap().conversation;
    alice.client.add_member(room, me(&bob)).await.unwrap();
    assert_eq!(joined(&mut bob).await, room);
    bob.client.leave(room).await.unwrap();
    let refused = bob.client.send(room, "rhubarb").await.unwrap_err();
    assert!(matches!(refused, Error::NotFollowed), "{refused}");
    drop(alice);
    bob.client.close().await;
    assert!(!finds(&contents(&world.computer("bob")), b"rhubarb"));
}

/// The name that a conversation has in a user's list.
async fn called(person: &Person, conversation: ConversationId) -> String {
    let rooms = person.client.rooms(true).await.expect("is connected");
    let room = rooms.into_iter().find(|room| room.conversation == conversation);
    room.expect("is listed").name
}

/// Waits until a profile that is this name came; whether it counts.
async fn named(person: &mut Person, name: &str) -> bool {
    person
        .until(|event| match event {
            Event::Entry(Entry {
                what: What::Message { content: Content::Profile { profile, counts }, .. },
                ..
            }) if profile.name() == name => Some(counts),
            _ => None,
        })
        .await
}

// cites: PRIV-017, PRIV-018
#[tokio::test]
async fn a_group_is_called_as_those_say_who_may_and_who_comes_is_told() {
    let world = World::new().await;
    let (alice, _) = user(&world, "alice").await;
    let (mut bob, phrase) = user(&world, "bob").await;
    let (mut carol, _) = user(&world, "carol").await;
    let room = alice.client.create_group().await.unwrap().conversation;
    let name = async |by: &Person, name: &str| {
        let profile = GroupProfile::new(name, 0x80_00_00).unwrap();
        by.client.set_group_profile(room, &profile).await.unwrap().receipt().await.unwrap();
    };
    name(&alice, "Tea").await;
    assert_eq!(called(&alice, room).await, "Tea");
    alice.client.add_member(room, me(&bob)).await.unwrap();
    assert!(named(&mut bob, "Tea").await, "said again by alice, who added him");
    assert_eq!(called(&bob, room).await, "Tea");

    name(&bob, "Bob's").await;
    assert!(!named(&mut bob, "Bob's").await, "he may not");
    assert_eq!(
        (called(&alice, room).await, called(&bob, room).await),
        ("Tea".into(), "Tea".into())
    );
    alice.client.set_role(room, me(&bob), Role::Admin).await.unwrap();
    name(&bob, "Coffee").await;
    assert!(named(&mut bob, "Coffee").await);

    // Who comes in by itself is told by the device that said it.
    let mut phone = another(&world, "bob", "phone", &phrase).await;
    assert_eq!(joined(&mut phone).await, room);
    assert!(named(&mut phone, "Coffee").await);
    assert_eq!(called(&phone, room).await, "Coffee");
    bob.client.add_member(room, me(&carol)).await.unwrap();
    assert!(named(&mut carol, "Coffee").await);
    assert_eq!(called(&carol, room).await, "Coffee");
}

// cites: MLS-009, MLS-027
#[tokio::test]
async fn a_device_that_came_and_went_while_another_was_away_leaves_nothing_unread() {
    let world = World::new().await;
    let ((alice, phrase), (bob, _)) = (user(&world, "alice").await, user(&world, "bob").await);
    let direct = alice.client.open_direct("bob").await.unwrap().conversation;
    alice.client.send(direct, "one").await.unwrap();
    bob.client.catch_up(direct).await.ok();
    bob.client.close().await;
    let mut phone = another(&world, "alice", "phone", &phrase).await;
    assert_eq!(joined(&mut phone).await, direct);
    phone.client.send(direct, "from the phone").await.unwrap();
    alice.client.revoke_device(device(&phone)).await.unwrap();
    alice.client.send(direct, "the phone is lost").await.unwrap();
    let mut bob = world.come_back("bob").await.unwrap();
    let said = bob
        .until(|event| match event {
            Event::Private { what: private::Event::CommitRefused { by, reason, .. }, .. } => {
                panic!("{reason} of {by:?}")
            }
            Event::Entry(entry) => match entry.what {
                What::Message { text: Some(text), .. } if text == "the phone is lost" => Some(text),
                _ => None,
            },
            _ => None,
        })
        .await;
    assert_eq!(said, "the phone is lost");
    bob.client.send(direct, "a pity").await.unwrap();
    assert_eq!(leaves(&bob, direct).await, 2);
}

#[tokio::test]
async fn who_is_put_out_is_told_once_and_by_whom() {
    let world = World::new().await;
    let ((alice, _), (mut bob, _)) = (user(&world, "alice").await, user(&world, "bob").await);
    let room = alice.client.create_group().await.unwrap().conversation;
    alice.client.add_member(room, me(&bob)).await.unwrap();
    assert_eq!(joined(&mut bob).await, room);
    alice.client.remove_member(room, me(&bob)).await.unwrap();
    let by = bob
        .until(|event| match event {
            Event::Private { what: private::Event::Removed { .. }, .. } => {
                panic!("it is told twice")
            }
            Event::Unfollowed { conversation, by, reason: None, .. } if conversation == room => {
                Some(by)
            }
            _ => None,
        })
        .await;
    assert_eq!(by.map(|by| by.user), Some(me(&alice)));
}

// cites: PRIV-006
#[tokio::test]
async fn who_comes_as_a_new_device_is_told_that_it_is_not_approved() {
    let world = World::new().await;
    let ((alice, _), (bob, phrase)) = (user(&world, "alice").await, user(&world, "bob").await);
    let direct = alice.client.open_direct("bob").await.unwrap().conversation;
    alice.client.send(direct, "psst").await.unwrap();
    bob.client.catch_up(direct).await.unwrap();
    let phone = another(&world, "bob", "phone", &phrase).await;
    let revoked = device(&bob);
    bob.client.close().await;
    phone.client.revoke_device(revoked).await.unwrap();
    let needed = world.come_back("bob").await.err();
    assert!(
        matches!(needed, Some(Error::PasswordNeeded(aside_client::PasswordReason::Revoked))),
        "{needed:?}"
    );
    let options = world.options("bob", "bob", with_password(PASSWORD));
    let mut bob = Person::connect(options).await.unwrap();
    let reason = bob
        .until(|event| match event {
            Event::Unfollowed { conversation, reason, .. } if conversation == direct => {
                Some(reason)
            }
            _ => None,
        })
        .await;
    assert!(reason.is_some_and(|it| it.is_refusal(v1::ErrorCode::DeviceNotApproved)));
    bob.client.approve_by_phrase(&phrase).await.unwrap();
    assert_eq!(joined(&mut bob).await, direct, "and is in it again");
}

#[tokio::test]
async fn who_makes_a_phrase_while_another_waits_hears_of_it() {
    let world = World::new().await;
    let (alice, _) = user(&world, "alice").await;
    let mut bob = world.register("bob").await;
    let direct = alice.client.open_direct("bob").await.unwrap().conversation;
    let waiting = alice.client.queue(direct, "are you there?").await.unwrap();
    bob.client.begin_identity(&new_recovery_phrase(Strength::Bits128)).await.unwrap();
    assert_eq!(bob.message().await.1, "are you there?");
    waiting.receipt().await.unwrap();
}
