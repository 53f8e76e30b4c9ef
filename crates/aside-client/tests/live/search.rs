//! Searching what is kept, and reading it without a server.

#![allow(clippy::panic)] // Every function here is a test's.

use aside_client::{Entry, Error, Kept, LogIn, What};

use crate::world::{World, numbered};

fn text(entry: &Entry) -> &str {
    match &entry.what {
        What::Message { text: Some(text), .. } => text,
        what => panic!("{what:?} has no text"),
    }
}

/// Seq and text of what was found.
fn found(entries: &[Entry]) -> Vec<(u64, &str)> {
    entries.iter().map(|entry| (entry.seq, text(entry))).collect()
}

// cites: CONT-011
#[tokio::test]
async fn what_is_shown_is_found_and_nothing_else() {
    let world = World::new().await;
    let (alice, bob) = (world.register("alice").await, world.register("bob").await);
    let lobby = alice.join("lobby").await;
    bob.join("lobby").await;
    let garden = alice.client.create_room("garden").await.unwrap().conversation;
    let tea = alice.client.send(lobby, "A cup of tea, \"Señor\"").await.unwrap().seq;
    let cake = bob.client.send(lobby, "tea and cake").await.unwrap().seq;
    let planted = alice.client.send(garden, "a tea bush").await.unwrap().seq;
    alice.client.catch_up(lobby).await.unwrap();
    alice.client.catch_up(garden).await.unwrap();
    let search = async |query: &str, room| {
        let found = alice.client.search_local(query, room, None).await.unwrap();
        assert_eq!(found.next, None);
        found.entries
    };
    let seqs = |entries: Vec<Entry>| entries.iter().map(|entry| entry.seq).collect::<Vec<_>>();
    assert_eq!(seqs(search("TEA", None).await), [planted, cake, tea], "the newest first");
    assert_eq!(seqs(search("tea", Some(lobby)).await), [cake, tea]);
    assert_eq!(seqs(search("senor cup", None).await), [tea]);
    assert_eq!(seqs(search("tea ca", None).await), [cake], "the last word may go on");
    assert_eq!(seqs(search("te cake", None).await), [0; 0]);
    assert_eq!(seqs(search("\"", None).await), [0; 0]);
    assert_eq!(seqs(search("tea\" OR \"cup", None).await), [0; 0], "words, nothing else");

    // An edit, after the first search went by.
    let to = alice.client.message(lobby, tea).await.unwrap().as_message().unwrap();
    let edited = alice.client.edit(lobby, to, "A mug of coffee").await.unwrap();
    edited.receipt().await.unwrap();
    alice.client.react(lobby, to, "tea", false).await.unwrap().receipt().await.unwrap();
    // Bob's edit of what alice said is not one, and is shown for itself.
    let stray = bob.client.edit(lobby, to, "poison").await.unwrap().receipt().await.unwrap();
    alice.client.catch_up(lobby).await.unwrap();
    assert_eq!(seqs(search("cup", None).await), [0; 0], "it says so no more");
    assert_eq!(found(&search("coffee", None).await), [(tea, "A mug of coffee")]);
    assert_eq!(seqs(search("poison", None).await), [stray.seq]);
    assert_eq!(seqs(search("tea", Some(lobby)).await), [cake]);

    alice.client.forget(garden).await.unwrap();
    alice.client.catch_up(garden).await.unwrap();
    assert_eq!(seqs(search("bush", None).await), [planted], "taken up anew");
    let long = alice.client.search_local(&"x".repeat(300), None, None).await;
    assert!(matches!(long, Err(Error::QueryTooLong)));
}

#[tokio::test]
async fn a_search_goes_on_page_by_page() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let lobby = alice.join("lobby").await;
    alice.say(lobby, &numbered("word", 0..120)).await;
    alice.client.catch_up(lobby).await.unwrap();
    let (mut page, mut sizes, mut seqs) = (None, Vec::new(), Vec::new());
    loop {
        let found = alice.client.search_local("word", None, page).await.unwrap();
        sizes.push(found.entries.len());
        seqs.extend(found.entries.iter().map(|entry| entry.seq));
        page = found.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [50, 50, 20]);
    assert!(seqs.is_sorted_by(|one, other| one > other), "{seqs:?}");
}

#[tokio::test]
async fn what_is_kept_is_read_without_a_server() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let lobby = alice.join("lobby").await;
    alice.say(lobby, &numbered("text", 0..5)).await;
    alice.client.catch_up(lobby).await.unwrap();
    let options = world.options("alice", "alice", LogIn::Remembered);
    let nobody = world.options("bob", "bob", LogIn::Remembered);
    world.server.stop().await;

    // While the client runs, and afterwards.
    let beside = Kept::open(&options).await.unwrap();
    assert_eq!(beside.entries(lobby, None, 2).await.unwrap().len(), 2);
    beside.close().await;
    alice.client.close().await;
    let kept = Kept::open(&options).await.unwrap();
    let overview = kept.overview().await.unwrap();
    assert_eq!((overview.len(), overview[0].name.as_str()), (1, "lobby"));
    let last = overview[0].last.clone().unwrap();
    assert_eq!(found(&[last]), [(overview[0].head, "text 4")]);
    let entries = kept.entries(lobby, Some(overview[0].head), 3).await.unwrap();
    let texts: Vec<_> = found(&entries).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["text 1", "text 2", "text 3"]);
    assert_eq!(kept.search("text 2", None, None).await.unwrap().entries.len(), 1);
    assert!(matches!(Kept::open(&nobody).await, Err(Error::NothingKept)));
}
