//! Private conversations, as people meet them who have read no more than the README.

use crate::world::{Dialogue, World, failed_chat, failure, output, stdout};

/// A server with these users, each with a recovery phrase and keys for others to write to.
async fn world_of(handles: &[&str]) -> World {
    let world = World::new().await;
    for handle in handles {
        stdout(&world.run("rooms", handle, &["--register"]).await);
        stdout(&world.run("recovery new", handle, &[]).await);
        // Its keys are with the server once what was asked after was answered.
        chat(&world, handle, "/rooms\n").await;
    }
    world
}

/// What a chat prints in which nothing fails.
async fn chat(world: &World, who: &str, typed: &str) -> String {
    stdout(&output(world.aside("chat", who, &[]), typed).await)
}

/// Runs what blocks, while the server in this process goes on.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the task does not panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phrase_is_made_in_a_chat_and_counts_once_it_is_written_down() {
    let world = World::new().await;
    stdout(&world.run("rooms", "alice", &["--register"]).await);
    let mut open = Dialogue::start(world.aside("chat", "alice", &[]));
    let (mut open, phrase) = aside(move || {
        open.line("connected as alice");
        open.say("/recovery");
        open.line("you have no recovery phrase yet");
        open.say("/recovery new");
        let groups = |line: &str| line.trim().split('-').count() == 8;
        let phrase = loop {
            let line = open.line("");
            if groups(&line) {
                break line.trim().to_owned();
            }
        };
        open.line("write it down on paper");
        (open, phrase)
    })
    .await;

    // Beside the chat nothing is printed that does not count.
    let beside = world.run("recovery new", "alice", &[]).await;
    let (code, said) = failure(&beside);
    assert!(code == Some(1) && beside.stdout.is_empty(), "{said}");
    assert!(said.contains("nothing was done") && said.contains("/recovery new does it"), "{said}");
    let not_yet = output(world.aside_on("laptop", "recovery use", "alice", &[]), &phrase).await;
    assert!(failure(&not_yet).1.contains("no recovery phrase was made"), "it was not written down");

    let (_, last) = phrase.rsplit_once('-').unwrap();
    let typed = format!("/recovery written {}", last.to_lowercase());
    let pasted = phrase.clone();
    let said = aside(move || {
        open.say("/recovery new");
        open.say("/recovery written zzzz");
        open.say(&format!(" {pasted}"));
        open.say(&typed);
        open.line("the phrase counts");
        open.say("/recovery");
        open.line("which is not shown again; this device is approved");
        open.say("/recovery new");
        open.say("/recovery use");
        open.line("aside recovery use aside://alice@");
        open.say("/passphrase");
        open.line("aside passphrase set aside://alice@");
        open.say("/quit");
        open.end().1
    })
    .await;
    assert!(said.contains("waits for its last group"), "the first one is not void unsaid: {said}");
    assert!(said.contains("this is not its last group"), "{said}");
    assert!(said.contains("NOT SAID") && !said.contains(&phrase), "{said}");
    assert!(said.contains("you have a recovery phrase, which is not shown again"), "{said}");
    let used = output(world.aside_on("laptop", "recovery use", "alice", &[]), &phrase).await;
    assert_eq!(stdout(&used), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phrase_that_another_one_makes_void_is_said_to_be() {
    let world = World::new().await;
    let typed = "/recovery new\n/recovery new yes\n";
    let told = stdout(&output(world.aside("chat", "alice", &["--register"]), typed).await);
    let (first, then) = told.split_once("the phrase that was shown before is void").unwrap();
    assert!(first.contains("write it down on paper") && then.contains("write it down on paper"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_phrase_is_said_by_a_script() {
    let world = world_of(&["alice", "bob"]).await;
    let phrase = aside_client::new_recovery_phrase(aside_client::Strength::Bits128).reveal();
    let text = format!("it is {}", *phrase);
    stdout(&world.run("send", "alice", &["lobby", "hello", "--join"]).await);
    for (command, to) in [("send", "lobby"), ("dm", "bob")] {
        let given = world.run(command, "alice", &[to, &text]).await;
        let piped = output(world.aside(command, "alice", &[to]), &text).await;
        for refused in [given, piped] {
            let (_, said) = failure(&refused);
            assert!(said.contains("NOT SAID") && !said.contains(&*phrase), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_revoked_by_whoever_may_and_is_sure() {
    let world = world_of(&["alice"]).await;
    let laptop = async |command: &str, arguments: &[&str], typed: &str| {
        output(world.aside_on("laptop", command, "alice", arguments), typed).await
    };
    let devices = stdout(&laptop("devices", &["--json"], "").await);
    let devices: serde_json::Value = serde_json::from_str(&devices).unwrap();
    let phone = devices[0]["device_id"].as_str().unwrap();
    let (_, said) = failure(&laptop("devices revoke", &[phone], "").await);
    assert!(said.contains("by the password alone") && said.contains("--unapproved"), "{said}");
    let (_, said) = failed_chat(&laptop("chat", &[], "/devices\n/revoke 1\n/revoke 1 yes\n").await);
    assert_eq!(said.matches("by the password alone").count(), 2, "{said}");

    // What is private is not for it, which it is told.
    for (command, arguments) in
        [("tail", &["@bob"][..]), ("tail", &["bob"]), ("send", &["@bob", "x"])]
    {
        let (_, said) = failure(&laptop(command, arguments, "").await);
        assert!(said.contains("this device is not approved: `aside devices ask`"), "{said}");
    }
    let rooms = String::from_utf8_lossy(&laptop("rooms", &[], "").await.stderr).into_owned();
    assert!(rooms.contains("private conversations are not shown: this device"), "{rooms}");
    let told = stdout(&laptop("chat", &[], "").await);
    assert!(told.contains("private conversations are not shown: this device"), "{told}");

    // Without a list there is no number to go by.
    let typed = "/revoke 2 yes\n/revoke 2\n";
    let (_, told) = failed_chat(&output(world.aside("chat", "alice", &[]), typed).await);
    assert_eq!(told.matches(" laptop  ").count(), 1, "{told}");
    assert!(
        told.contains("nothing was revoked") && told.contains("/revoke 2 yes does it"),
        "{told}"
    );

    // The phone asks first, and takes the laptop away then.
    let told = chat(&world, "alice", "/devices\n/revoke 2\n/devices\n").await;
    assert!(
        told.contains("device 2 (laptop) can never log in again after it\n/revoke 2 yes does it")
    );
    assert_eq!(told.matches(" laptop  ").count(), 2, "{told}");
    let told = chat(&world, "alice", "/devices\n/revoke 2 yes\n/devices\n").await;
    assert!(told.contains("device 2 (laptop) is revoked. But whoever has the password"), "{told}");
    assert!(told.contains("/passwd in a chat changes it"), "{told}");
    assert_eq!(told.matches(" laptop  ").count(), 1, "{told}");

    // And itself, the last that is approved.
    let told = chat(&world, "alice", "/devices\n/revoke 1\n").await;
    assert!(told.contains("it is this very device") && told.contains("only the recovery phrase"));
    let told = chat(&world, "alice", "/devices\n/revoke 1 yes\n").await;
    assert!(told.ends_with("that of a new device\n"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_revokes_itself_is_told_what_that_means() {
    let world = world_of(&["alice"]).await;
    let devices = stdout(&world.run("devices", "alice", &["--json"]).await);
    let devices: serde_json::Value = serde_json::from_str(&devices).unwrap();
    let itself = devices[0]["device_id"].as_str().unwrap();
    let asked = world.run("devices revoke", "alice", &[itself]).await;
    let (code, said) = failure(&asked);
    assert!(code == Some(1) && said.contains("nothing was revoked"), "{said}");
    assert!(said.contains("this very device") && said.contains("--yes does it"), "{said}");
    let revoked = world.run("devices revoke", "alice", &[itself, "--yes"]).await;
    assert_eq!(stdout(&revoked), "");
    let said = String::from_utf8_lossy(&revoked.stderr);
    assert!(said.contains("logged out for good") && said.contains("recovery phrase"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_put_out_of_a_group_is_told_and_keeps_what_was_read() {
    let world = world_of(&["alice", "bob"]).await;
    let typed = "/group new Tea\n/group invite bob\ngreen tea or black?\n";
    let said = chat(&world, "alice", typed).await;
    // They were nowhere together before.
    assert!(said.contains("to find bob a private conversation was begun"), "{said}");
    assert!(said.contains("bob is in it now"), "{said}");
    let mut bob = Dialogue::start(world.aside("chat", "bob", &["--join", "Tea"]));
    let bob = aside(move || {
        bob.line("green tea or black?");
        bob
    })
    .await;
    chat(&world, "alice", "/join Tea\n/group remove bob\n").await;
    let (shown, said) = aside(move || {
        let mut bob = bob;
        let shown = bob.line("you are in Tea no longer");
        bob.say("/history");
        bob.line("green tea or black?");
        bob.say("/quit");
        (shown, bob.end())
    })
    .await;
    assert!(shown.contains("alice has removed you") && !shown.contains("operator"), "{shown}");
    assert_eq!(said, (Some(0), String::new()));
    // As who comes back later, and is told by the list of conversations alone.
    let again = world.run("tail", "bob", &["tea"]).await;
    let out = "you are in Tea no longer; `aside tail --offline` shows";
    assert!(failure(&again).1.contains(out));
    for again in [
        world.run("send", "bob", &["tea", "anybody?"]).await,
        world.run("health", "bob", &["tea"]).await,
    ] {
        assert!(failure(&again).1.contains(out));
    }
    let kept = stdout(&world.run("tail", "bob", &["tea", "--offline"]).await);
    assert!(kept.contains("alice: green tea or black?"), "{kept}");
    let typed = "/join tea\n/history\nanybody?\n/health\n";
    let (_, read) = failed_chat(&output(world.aside("chat", "bob", &[]), typed).await);
    assert!(read.contains("you are in private Tea no longer: alice has removed you"), "{read}");
    assert!(read.contains("alice: green tea or black?"), "{read}");
    assert_eq!(read.matches("nothing can be said or changed in it").count(), 2, "{read}");
    // A public room of that name is another.
    chat(&world, "alice", "/create tea\n").await;
    let (_, said) = failed_chat(&output(world.aside("chat", "bob", &[]), "/join tea\n").await);
    assert!(said.contains("/join #tea joins the public room of that name"), "{said}");
    let found = stdout(&world.run("search", "bob", &["green", "--local", "--room", "tea"]).await);
    assert!(found.contains("private Tea") && found.contains("green tea or black?"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_private_is_searched_on_this_device() {
    let world = world_of(&["alice", "bob"]).await;
    stdout(&world.run("send", "alice", &["lobby", "public tea", "--join"]).await);
    stdout(&world.run("dm", "alice", &["bob", "secret tea"]).await);
    let said =
        chat(&world, "alice", "/join @bob\n/search tea\n/join lobby\n/search secret\n").await;
    assert!(
        said.contains(
            "private @bob is searched on this device, in what it keeps: the server can't read it"
        ),
        "{said}"
    );
    let (_, found) = said.split_once("the server can't read it").unwrap();
    assert!(found.contains("alice: secret tea") && !found.contains("public tea"), "{found}");
    assert!(said.contains("nothing was found in your public rooms"), "{said}");
    let found = world.run("search", "alice", &["tea", "--room", "@bob"]).await;
    let found_text = stdout(&found);
    assert!(found_text.contains("secret tea") && !found_text.contains("public"), "{found_text}");
    assert!(String::from_utf8_lossy(&found.stderr).contains("the server can't read it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_read_beside_a_chat() {
    let world = world_of(&["alice", "bob"]).await;
    stdout(&world.run("dm", "alice", &["bob", "psst"]).await);
    let mut open = Dialogue::start(world.aside("chat", "alice", &[]));
    let open = aside(move || {
        open.line("connected as alice");
        open
    })
    .await;
    let (code, said) = failure(&world.run("tail", "alice", &["@bob"]).await);
    assert_eq!(code, Some(1));
    assert!(said.contains("is open on this device") && said.contains("--offline"), "{said}");
    assert!(!said.contains("member"), "{said}");
    for name in ["@bob", "bob", "@Bob"] {
        let kept = stdout(&world.run("tail", "alice", &[name, "--offline"]).await);
        assert!(kept.contains("alice: psst"), "{name}: {kept}");
    }
    let none = world.run("tail", "alice", &["#bob", "--offline"]).await;
    assert!(failure(&none).1.contains("no room #bob is kept here"));
    aside(move || {
        let mut open = open;
        open.say("/quit");
        assert_eq!(open.end().0, Some(0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_is_never_shown_as_unverified() {
    let world = world_of(&["alice"]).await;
    stdout(&world.run("rooms", "bob", &["--register"]).await);
    let (code, said) = failure(&world.run("dm", "alice", &["bob", "one for later"]).await);
    assert!(code == Some(1) && said.contains("not sent yet"), "{said}");
    // Several lines that nobody can read yet end the chat all the same.
    let typed = "/join @bob\ntwo for later\nthree for later\n";
    let (code, said) = failed_chat(&output(world.aside("chat", "alice", &[]), typed).await);
    assert!(code == Some(1) && said.contains("3 messages wait for what is said above"), "{said}");
    assert!(said.contains("bob has no approved device yet"), "{said}");

    stdout(&world.run("recovery new", "bob", &[]).await);
    chat(&world, "bob", "/rooms\n").await;
    // The first sends it, and may or may not show it.
    for _ in 0..2 {
        let tail = stdout(&world.run("tail", "alice", &["@bob"]).await);
        assert!(!tail.contains("NOT VERIFIED"), "{tail}");
    }
    // Behind all that waited.
    stdout(&world.run("dm", "alice", &["bob", "no more"]).await);
    let tail = stdout(&world.run("tail", "bob", &["@alice"]).await);
    for text in ["one", "two", "three"] {
        assert!(tail.contains(&format!("alice: {text} for later")), "{tail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_and_a_person_of_one_name_are_told_apart() {
    let world = world_of(&["alice", "bob"]).await;
    chat(&world, "alice", "/create bob\nto the room\n").await;
    chat(&world, "alice", "/dm bob to the person\n").await;
    let (_, said) = failed_chat(&output(world.aside("chat", "alice", &[]), "/join bob\n").await);
    assert!(said.contains("say which: @bob (private, of two), #bob (a public room)"), "{said}");
    chat(&world, "alice", "/join #bob\nmore to the room\n/join @bob\nmore to the person\n").await;
    let room = stdout(&world.run("tail", "alice", &["#bob"]).await);
    assert!(room.contains("more to the room") && !room.contains("person"), "{room}");
    let direct = stdout(&world.run("tail", "alice", &["@bob"]).await);
    assert!(direct.contains("more to the person") && !direct.contains("room"), "{direct}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_private_conversations_do_not_have_is_said_in_plain_words() {
    let world = world_of(&["alice", "bob"]).await;
    stdout(&world.run("send", "alice", &["lobby", "hello", "--join"]).await);
    let typed = "/dm bob psst\n/pin 3\n/pins\n/topic tea\n/invite bob\n/leave\n";
    let (code, said) = failed_chat(&output(world.aside("chat", "alice", &[]), typed).await);
    assert_eq!(code, Some(1));
    for expected in [
        "messages are pinned in public rooms only",
        "neither topic nor description",
        "/group new begins a group",
        "it is between you two for ever",
    ] {
        assert!(said.contains(expected), "{expected:?} in:\n{said}");
    }
    let typed = "/group new tea\n/group leave\nfor those who drink tea\n";
    let (_, said) = failed_chat(&output(world.aside("chat", "alice", &[]), typed).await);
    let (_, after) = said.split_once("you left tea").unwrap();
    assert!(after.contains("you are in no room now: /join ROOM goes elsewhere"), "{said}");
    assert!(after.contains("a message was not sent"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_with_members_says_what_is_true() {
    let world = world_of(&["alice", "bob"]).await;
    chat(&world, "alice", "/group new Tea\n/group invite bob\nhello\n").await;
    let read = stdout(&world.run("tail", "bob", &["Tea"]).await);
    assert!(read.contains("alice: hello"), "{read}");
    let typed = "/join Tea\n/group invite bob\n/group invite alice\n/group demote alice\n/group promote alice owner\n\
                 /group promote bob\n/group promote bob\n/group remove carol\n/group leave\n";
    let (code, said) = failed_chat(&output(world.aside("chat", "alice", &[]), typed).await);
    assert_eq!(code, Some(1), "{said}");
    for expected in [
        "bob is in this group already",
        "you are in this group yourself",
        "you are the only owner of this group",
        "you are owner of this group already",
        "bob is admin of this group now",
        "bob is admin of this group already",
        "carol is not in this group",
        "the server makes another member the owner then",
        "/leave Tea yes leaves it",
    ] {
        assert!(said.contains(expected), "{expected:?} in:\n{said}");
    }
    let (_, said) = failed_chat(
        &output(
            world.aside("chat", "bob", &[]),
            "/join Tea\n/group remove alice\n/group demote bob\n/group leave\n",
        )
        .await,
    );
    assert!(said.contains("only an owner of this group gives roles"), "{said}");
    assert!(said.contains("only an owner of the group puts out an owner or an admin"), "{said}");
    assert!(said.contains("you left Tea"), "he is asked nothing: {said}");
    let typed = "/join Tea\n/group promote bob\n/group remove bob\n/leave Tea\n";
    let (_, said) = failed_chat(&output(world.aside("chat", "alice", &[]), typed).await);
    assert_eq!(said.matches("bob is not in this group").count(), 2, "{said}");
    assert!(said.contains("you left Tea"), "nobody else is in it: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_owner_of_a_room_is_asked_before_it_has_none() {
    let world = World::new().await;
    stdout(&world.run("rooms", "alice", &["--register"]).await);
    let said = chat(&world, "alice", "/create den\n/leave\n/create attic\n").await;
    assert!(said.contains("you left den"), "nobody else was in it: {said}");
    stdout(&world.run("send", "bob", &["attic", "hello", "--register", "--join"]).await);
    let said = chat(&world, "alice", "/join attic\n/leave\n/leave #attic yes\n").await;
    let asked = said.find("you are the only owner of attic: nobody owns it after that");
    assert!(asked.is_some() && asked < said.find("you left attic"), "{said}");
    assert!(said.contains("/leave #attic yes leaves it"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_revoked_comes_back_as_a_new_one_and_is_told_so() {
    let world = world_of(&["alice", "bob"]).await;
    stdout(&world.run("dm", "alice", &["bob", "psst"]).await);
    let devices = stdout(&world.run("devices", "alice", &["--json"]).await);
    let devices: serde_json::Value = serde_json::from_str(&devices).unwrap();
    let itself = devices[0]["device_id"].as_str().unwrap();
    stdout(&world.run("devices revoke", "alice", &[itself, "--yes"]).await);
    let back = output(world.aside("chat", "alice", &[]), "/rooms\n/dm bob\n").await;
    let said = String::from_utf8_lossy(&[back.stdout, back.stderr].concat()).into_owned();
    assert!(
        said.contains("bob is here again once this device is approved: /devices ask"),
        "{said}"
    );
    assert!(said.contains("this device was revoked, and is a new one"), "{said}");
    assert!(!said.contains("operator"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_put_out_while_away_is_told_too() {
    let world = world_of(&["alice", "bob"]).await;
    chat(&world, "alice", "/group new Tea\n/group invite bob\nblack tea\n").await;
    let read = stdout(&world.run("tail", "bob", &["Tea"]).await);
    assert!(read.contains("black tea"), "{read}");
    chat(&world, "alice", "/join Tea\n/group remove bob\n").await;
    let told = chat(&world, "bob", "/rooms\n").await;
    assert!(told.contains("you are in Tea no longer") && !told.contains("operator"), "{told}");
    assert!(told.contains("what this device has of its log does not tell who"), "{told}");
    let told = chat(&world, "bob", "/join Tea\n/history\n").await;
    assert!(
        told.contains("does not tell which, nor by whom") && told.contains("black tea"),
        "{told}"
    );
    let kept = stdout(&world.run("tail", "bob", &["Tea", "--offline"]).await);
    assert!(kept.contains("alice: black tea"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_turned_to_while_the_server_is_away() {
    let world = world_of(&["alice", "bob"]).await;
    stdout(&world.run("dm", "alice", &["bob", "psst"]).await);
    let mut away = world.aside("chat", "alice", &[]);
    away.env_remove("ASIDE_PASSWORD");
    let World { home: _home, server } = world;
    server.stop().await;
    let mut away = Dialogue::start(away);
    aside(move || {
        away.line("offline");
        away.say("/join @bob\n/history");
        away.line("alice: psst");
        away.say("/quit");
        assert_eq!(away.end().0, Some(0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_before_one_came_is_one_quiet_line() {
    let world = world_of(&["alice", "bob"]).await;
    chat(&world, "alice", "/group new Tea\none\ntwo\n/group invite bob\nwelcome\n").await;
    let shown = chat(&world, "bob", "/join Tea\n/history\n").await;
    let tail = stdout(&world.run("tail", "bob", &["Tea"]).await);
    for shown in [&shown, &tail] {
        assert!(shown.contains(" earlier messages came before you joined"), "{shown}");
        assert!(shown.contains("alice: welcome") && !shown.contains("CAN'T BE READ"), "{shown}");
    }
    let json = stdout(&world.run("tail", "bob", &["Tea", "--json"]).await);
    assert!(json.contains("\"why\":\"not_here\""), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_one_name_are_told_apart() {
    let world = world_of(&["alice"]).await;
    chat(&world, "alice", "/group new Tea\ngreen\n/group new Tea\nblack\n").await;
    let rooms = stdout(&world.run("rooms", "alice", &["--joined", "--json"]).await);
    let rooms: serde_json::Value = serde_json::from_str(&rooms).unwrap();
    let ids: Vec<_> = rooms
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["conversation_id"].as_str().unwrap())
        .collect();
    let (_, said) = failure(&world.run("tail", "alice", &["tea"]).await);
    assert!(said.contains("say which") && !said.contains("public room"), "{said}");
    let mut read = Vec::new();
    for id in &ids {
        let short = format!("group-{}", &id[id.len() - 6..]);
        assert!(said.contains(&format!("{short} (a private group)")), "{said}");
        let by_id = stdout(&world.run("tail", "alice", &[id]).await);
        assert_eq!(stdout(&world.run("tail", "alice", &[&short]).await), by_id);
        assert_eq!(stdout(&world.run("tail", "alice", &[&short, "--offline"]).await), by_id);
        let typed = format!("/join {short}\n/history\n/join tea\n");
        let (_, shown) = failed_chat(&output(world.aside("chat", "alice", &[]), &typed).await);
        assert!(shown.contains("say which"), "{shown}");
        read.push(by_id);
    }
    read.sort_by_key(|shown| shown.contains("alice: green"));
    assert!(read[0].contains("alice: black") && read[1].contains("alice: green"), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_holds_up_no_other_conversation_and_loses_no_line() {
    let world = world_of(&["alice", "carol"]).await;
    stdout(&world.run("rooms", "bob", &["--register"]).await);
    let (code, said) = failure(&world.run("send", "alice", &["@bob", "zero"]).await);
    assert!(code == Some(1) && said.contains("there is no private conversation"), "{said}");
    let lines = output(world.aside("dm", "alice", &["bob"]), "first\n\nsecond\n").await;
    let (code, said) = failure(&lines);
    assert!(code == Some(1) && said.contains("2 messages are not sent yet: bob has"), "{said}");
    let (code, said) = failure(&world.run("send", "alice", &["@bob", "third"]).await);
    assert!(code == Some(1) && said.contains("not sent yet: bob has no approved device"), "{said}");
    stdout(&world.run("dm", "alice", &["carol", "can you read this?"]).await);
    let long = "x".repeat(100_000);
    for to in ["bob", "carol"] {
        let (_, said) = failure(&world.run("dm", "alice", &[to, &long]).await);
        assert!(said.contains("bytes") && !said.contains("device"), "{said}");
    }
    // Whether it has heard that they wait when it ends, is all the same here.
    let outbox = output(world.aside("chat", "alice", &[]), "/outbox\n").await;
    let outbox = String::from_utf8_lossy(&outbox.stdout);
    for (number, text) in [(1, "first"), (2, "second"), (3, "third")] {
        let line = format!(" {number}  {text}  to private @bob  queued");
        assert!(outbox.contains(&line), "{outbox}");
    }
    let (_, said) = failed_chat(&output(world.aside("chat", "alice", &[]), "/discard 1\n").await);
    assert!(said.contains("/outbox first"), "{said}");
    for wrong in [
        failure(&world.run("dm", "alice", &["Alice", "psst"]).await),
        failed_chat(&output(world.aside("chat", "alice", &[]), "/dm alice\n").await),
    ] {
        assert!(wrong.1.contains("that is you"), "{wrong:?}");
    }
    assert!(!outbox.contains(" 4  "), "{outbox}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_does_not_pass_for_the_conversation_with_somebody() {
    let world = world_of(&["alice", "bob"]).await;
    for looks_so in ["@bob", "#lobby"] {
        let typed = format!("/group new {looks_so}\n/group new tea\n/group name {looks_so}\n");
        let (_, said) = failed_chat(&output(world.aside("chat", "alice", &[]), &typed).await);
        assert_eq!(said.matches("a group's name does not begin with").count(), 2, "{said}");
    }
    let typed = "/dm bob psst\n/group new bob\nhello, group\n/rooms\n/join bob\n";
    let (_, said) = failed_chat(&output(world.aside("chat", "alice", &[]), typed).await);
    for expected in [
        "private @bob is private: the two of you",
        "private bob is a private group",
        "@bob  2 members, private, of two",
        "bob  1 member, private group",
        "bob is the name of several; say which: ",
        "@bob (private, of two)",
    ] {
        assert!(said.contains(expected), "{expected:?} in:\n{said}");
    }
    let found = stdout(&world.run("search", "alice", &["psst", "--local"]).await);
    assert!(found.contains("private @bob ["), "{found}");
    let none = world.run("search", "alice", &["psst"]).await;
    assert_eq!(stdout(&none), "");
    let said = String::from_utf8_lossy(&none.stderr);
    assert!(said.contains("in your public rooms") && said.contains("--local"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_conversation_is_taken_up_anew_by_who_is_sure() {
    let world = world_of(&["alice", "bob"]).await;
    stdout(&world.run("dm", "alice", &["bob", "what is kept"]).await);
    let sent = stdout(&world.run("dm", "alice", &["bob", "what is not", "--json"]).await);
    let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
    let typed = format!("/join @bob\n/delete {}\n/forget\n/history\n", sent["seq"]);
    let said = chat(&world, "alice", &typed).await;
    let (_, after) = said.split_once("comes in anew, which the others are shown").unwrap();
    assert!(after.contains("/forget yes does it, for @bob"), "{said}");
    let said = chat(&world, "alice", "/join @bob\n/forget yes\n/history\n").await;
    let (_, after) = said.split_once("@bob is taken up anew").unwrap();
    assert!(after.contains("alice: what is kept"), "{said}");
    assert!(after.contains("alice: message deleted (nothing is left of it"), "{said}");
    assert!(!said.contains("NOT VERIFIED"), "{said}");
}
