//! Connections that are lost, and servers that are away.

use aside_client::{Connection, Error, Event, LogIn, Options};

use crate::world::{Person, World, numbered};

fn offline(event: Event) -> Option<()> {
    matches!(event, Event::Connection(Connection::Offline { .. })).then_some(())
}

// cites: IDEM-001, IDEM-006, PUSH-009
#[tokio::test]
async fn a_restart_of_the_server_loses_and_doubles_nothing() {
    let world = World::new().await;
    let (mut alice, mut bob) = (world.register("alice").await, world.register("bob").await);
    let lobby = alice.join("lobby").await;
    bob.join("lobby").await;
    let before = numbered("before", 0..5);
    alice.say(lobby, &before).await;
    assert_eq!(bob.messages(5).await, before);

    let World { home, server, address } = world;
    server.stop().await;
    alice.until(offline).await;
    // Said while nobody listens, by callers that don't wait.
    let mut queued = Vec::new();
    for text in numbered("meanwhile", 0..5) {
        queued.push(alice.client.queue(lobby, &text).await.unwrap());
    }
    let world = World::start_at(home, address, |_| {}).await;
    let mut seqs = Vec::new();
    for queued in queued {
        seqs.push(queued.receipt().await.unwrap().seq);
    }
    assert!(seqs.is_sorted(), "{seqs:?}");
    assert_eq!(bob.messages(5).await, numbered("meanwhile", 0..5));
    let history = bob.client.history(lobby, None, 100).await.unwrap();
    let seqs: Vec<_> = history.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "dense, each once");
    world.server.stop().await;
}

#[tokio::test]
async fn what_was_not_sent_is_sent_by_the_next_run() {
    let world = World::new().await;
    let mut alice = world.register("alice").await;
    let mut bob = world.register("bob").await;
    let lobby = alice.join("lobby").await;
    bob.join("lobby").await;
    let World { home, server, address } = world;
    server.stop().await;
    alice.until(offline).await;
    let queued = alice.client.queue(lobby, "later").await.unwrap();
    // The message is kept by the time the next command was taken.
    alice.client.forget(aside_client::ConversationId::new([7; 16])).await.unwrap();
    alice.client.close().await;
    assert!(matches!(queued.receipt().await, Err(Error::Gone)));

    let world = World::start_at(home, address, |_| {}).await;
    let _alice = world.come_back("alice").await.unwrap();
    assert_eq!(bob.messages(1).await, ["later"]);
}

#[tokio::test]
async fn what_no_connection_has_carried_is_taken_back() {
    let world = World::new().await;
    let mut alice = world.register("alice").await;
    let mut bob = world.register("bob").await;
    let lobby = alice.join("lobby").await;
    bob.join("lobby").await;
    let World { home, server, address } = world;
    server.stop().await;
    alice.until(offline).await;
    let queue = async |text: &str| alice.client.queue(lobby, text).await.unwrap();
    let (first, second, third) = (queue("one").await, queue("two").await, queue("three").await);
    alice.client.discard(first.message_id()).await.unwrap();
    assert!(matches!(first.receipt().await, Err(Error::Withdrawn)));
    alice.client.close().await;
    assert!(matches!(second.receipt().await, Err(Error::Gone)));

    // The next run begins without a server, too.
    let mut options =
        Options::new(format!("aside://alice@127.0.0.1:{}", address.port()).parse().unwrap());
    options.trust = None;
    options.data_dir = Some(home.path().join("alice"));
    options.offline = true;
    let alice = Person::connect(options).await.unwrap();
    alice.client.discard(third.message_id()).await.unwrap();
    let again = alice.client.discard(third.message_id()).await;
    assert!(matches!(again, Err(Error::NotInOutbox)), "{again:?}");
    let _world = World::start_at(home, address, |_| {}).await;
    assert_eq!(bob.messages(1).await, ["two"]);
    alice.client.catch_up(lobby).await.unwrap();
    assert_eq!(alice.client.outbox().await.unwrap(), []);
}

#[tokio::test]
async fn history_is_read_and_messages_are_written_while_the_server_is_away() {
    let world = World::new().await;
    let mut alice = world.register("alice").await;
    let lobby = alice.join("lobby").await;
    alice.say(lobby, &numbered("text", 0..5)).await;
    alice.messages(5).await;
    alice.client.close().await;
    let mut options = world.options("alice", "alice", LogIn::Remembered);
    let World { home, server, address } = world;
    server.stop().await;

    let unreachable = Person::connect(options.clone()).await.map(|_| ());
    assert!(matches!(unreachable, Err(Error::Tls(_))), "{unreachable:?}");
    options.offline = true;
    options.replay = 3;
    let mut alice = Person::connect(options).await.unwrap();
    assert!(!alice.client.is_online());
    assert_eq!(alice.messages(3).await, numbered("text", 2..5));
    let followed = alice.client.followed().await.unwrap();
    assert_eq!(followed, [(lobby, "lobby".to_owned())]);
    let queued = alice.client.queue(lobby, "when you are back").await.unwrap();

    let _world = World::start_at(home, address, |_| {}).await;
    queued.receipt().await.unwrap();
    assert_eq!(alice.messages(1).await, ["when you are back"]);
}

#[tokio::test]
async fn another_process_works_on_a_copy() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let lobby = alice.join("lobby").await;
    let mut options = world.options("alice", "alice", LogIn::Remembered);
    let in_use = Person::connect(options.clone()).await.map(|_| ()).unwrap_err();
    assert!(in_use.remedy().unwrap().contains("--data-dir"), "{in_use:?}");
    options.shared = true;
    let copy = Person::connect(options).await.unwrap();
    assert_eq!(copy.client.identity(), alice.client.identity());
    copy.client.send(lobby, "from the side").await.unwrap();
    let mut alice = alice;
    assert_eq!(alice.messages(1).await, ["from the side"]);
}

// cites: LIM-007
#[tokio::test]
async fn a_wait_the_server_asks_for_is_waited() {
    let world = World::with(|config| {
        config.rates.messages_per_user = aside_server::Rate { per_second: 50.0, burst: 2 };
    })
    .await;
    let mut alice = world.register("alice").await;
    let lobby = alice.join("lobby").await;
    let texts = numbered("text", 0..12);
    let mut queued = Vec::new();
    for text in &texts {
        queued.push(alice.client.queue(lobby, text).await.unwrap());
    }
    for queued in queued {
        queued.receipt().await.unwrap();
    }
    assert_eq!(alice.messages(texts.len()).await, texts, "in order, each once");
}
