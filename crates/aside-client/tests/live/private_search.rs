//! Searching what was said in private: in what is kept here, which holds no word of it in plain sight.

use aside_client::{
    ConversationId, Entry, Kept, LogIn, MessageRef, SearchPage, Strength, new_recovery_phrase,
};

use crate::world::{Person, World, numbered, verified_text};

async fn user(world: &World, handle: &str) -> Person {
    let person = world.register(handle).await;
    person.client.begin_identity(&new_recovery_phrase(Strength::Bits128)).await.expect("begins");
    person
}

/// Two users, and the conversation of theirs.
async fn two(world: &World) -> (Person, Person, ConversationId) {
    let (alice, bob) = (user(world, "alice").await, user(world, "bob").await);
    let direct = alice.client.open_direct("bob").await.expect("is opened").conversation;
    (alice, bob, direct)
}

impl Person {
    async fn finds(&self, query: &str, conversation: Option<ConversationId>) -> Vec<String> {
        let found = self.client.search_local(query, conversation, None).await.expect("is kept");
        assert_eq!(found.next, None);
        found.entries.iter().filter_map(verified_text).collect()
    }

    /// Says something that is taken in when this returns.
    async fn says(&self, conversation: ConversationId, text: &str) -> MessageRef {
        let seq = self.client.send(conversation, text).await.expect("is said").seq;
        let entry = self.client.message(conversation, seq).await.expect("is kept");
        entry.as_message().expect("is a message")
    }

    async fn edits(&self, conversation: ConversationId, of: MessageRef, text: &str) {
        let queued = self.client.edit(conversation, of, text).await.expect("is queued");
        let seq = queued.receipt().await.expect("is sent").seq;
        self.client.catch_up(conversation).await.expect("is followed");
        assert!(seq > of.seq);
    }
}

fn holds(world: &World, computer: &str, word: &str) -> bool {
    let mut dirs = vec![world.computer(computer)];
    while let Some(dir) = dirs.pop() {
        for item in std::fs::read_dir(dir).expect("it is there") {
            let path = item.expect("it is there").path();
            if path.is_dir() {
                dirs.push(path);
            } else if std::fs::read(&path)
                .is_ok_and(|bytes| bytes.windows(word.len()).any(|it| it == word.as_bytes()))
            {
                return true;
            }
        }
    }
    false
}

// cites: STORE-006, STORE-011, CONT-011
#[tokio::test]
async fn private_messages_are_found_among_the_others_and_no_file_has_a_word() {
    let world = World::new().await;
    let (alice, mut bob, direct) = two(&world).await;
    let lobby = alice.join("lobby").await;
    alice.says(lobby, "zinnias in public").await;
    let changed = alice.says(direct, "zinnias and quinces, Señor").await;
    alice.says(lobby, "more zinnias in public").await;
    alice.says(direct, "a zinnia alone").await;
    alice.client.react(direct, changed, "🎺", false).await.unwrap().receipt().await.unwrap();
    let all = [
        "a zinnia alone",
        "more zinnias in public",
        "zinnias and quinces, Señor",
        "zinnias in public",
    ];
    assert_eq!(alice.finds("ZINNI", None).await, all, "the newest first");
    assert_eq!(alice.finds("zinni", Some(direct)).await, [all[0], all[2]]);
    assert_eq!(alice.finds("zinni", Some(lobby)).await, [all[1], all[3]]);
    assert_eq!(alice.finds("senor quin", None).await, [all[2]]);
    assert_eq!(alice.finds("zinni quinces", None).await, [""; 0], "only the last may go on");
    assert_eq!(bob.messages(2).await, [all[2], all[0]]);
    assert_eq!(bob.finds("zinnias", None).await, [all[2]]);

    // As it is shown now, and no more as it was.
    alice.edits(direct, changed, "only kumquats").await;
    assert_eq!(alice.finds("quinces", None).await, [""; 0]);
    assert_eq!(alice.finds("kumquats", None).await, ["only kumquats"]);
    alice.client.close().await;
    bob.client.close().await;
    for computer in ["alice", "bob"] {
        for word in ["quinces", "umquats", "alone"] {
            assert!(!holds(&world, computer, word), "{computer} has {word} in plain sight");
        }
    }
    assert!(holds(&world, "alice", "public"), "this is how it would be found");

    // Without a server, too.
    let options = world.options("alice", "alice", LogIn::Remembered);
    world.server.stop().await;
    let kept = Kept::open(&options).await.unwrap();
    let found = kept.search("kumquats", None, None).await.unwrap().entries;
    assert_eq!(found.iter().filter_map(verified_text).collect::<Vec<_>>(), ["only kumquats"]);
}

// cites: REDACT-016, CONT-014, CONT-016
#[tokio::test]
async fn what_was_redacted_in_private_is_not_found() {
    let world = World::new().await;
    let (alice, mut bob, direct) = two(&world).await;
    let message = alice.says(direct, "quinces at first").await;
    alice.edits(direct, message, "kumquats then").await;
    alice.says(direct, "kumquats stay").await;
    assert_eq!(alice.finds("kumquats", None).await, ["kumquats stay", "kumquats then"]);
    alice.client.redact(direct, message).await.unwrap();
    alice.client.catch_up(direct).await.unwrap();
    bob.until(|event| match event {
        aside_client::Event::Entry(Entry { what: aside_client::What::Redacted { .. }, .. }) => {
            Some(())
        }
        _ => None,
    })
    .await;
    for person in [&alice, &bob] {
        assert_eq!(person.finds("kumquats", None).await, ["kumquats stay"]);
        assert_eq!(person.finds("quinces", None).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_search_goes_on_through_rooms_and_private_conversations() {
    let world = World::new().await;
    let (alice, _bob, direct) = two(&world).await;
    let lobby = alice.join("lobby").await;
    for of_both in numbered("word", 0..120).chunks(12) {
        alice.say(direct, &of_both[..6]).await;
        alice.say(lobby, &of_both[6..]).await;
    }
    alice.client.catch_up(direct).await.unwrap();
    alice.client.catch_up(lobby).await.unwrap();
    let (mut page, mut sizes, mut texts): (Option<SearchPage>, _, _) =
        (None, Vec::new(), Vec::new());
    loop {
        let found = alice.client.search_local("word", None, page).await.unwrap();
        sizes.push(found.entries.len());
        texts.extend(found.entries.iter().filter_map(verified_text));
        page = found.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [50, 50, 20]);
    let mut expected = numbered("word", 0..120);
    expected.reverse();
    assert_eq!(texts, expected);
}
