//! The program as people and scripts run it, against a server on loopback.

use std::process::{Command, Output};

use serde_json::Value;

use crate::world::{World, failed_chat, failure, output, stdout};

#[tokio::test(flavor = "multi_thread")]
async fn scripts_send_and_read() {
    let world = World::new().await;
    let sent = world.run("send", "alice", &["lobby", "hello", "--register", "--join", "--json"]);
    let sent: Value = serde_json::from_str(&stdout(&sent.await)).unwrap();
    let lines = output(world.aside("send", "alice", &["lobby"]), "one\n\ntwo\n").await;
    assert_eq!(stdout(&lines), "");

    let tail = world.run("tail", "alice", &["lobby", "-n", "3", "--json"]).await;
    let entries: Vec<Value> =
        stdout(&tail).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<_> = entries.iter().map(|entry| entry["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["hello", "one", "two"]);
    assert_eq!(entries[0]["seq"], sent["seq"]);
    assert_eq!(entries[0]["message_id"], sent["message_id"]);
    assert!(
        entries.iter().all(|entry| entry["verified"] == true && entry["by"]["handle"] == "alice")
    );
    let number = entries[0]["seq"].as_u64().unwrap();
    let typed = format!(
        "/react {number} +1\n/edit {number} hello again\n/edit 1 no\n/reply {number} yes\n"
    );
    let in_lobby = || world.aside("chat", "alice", &["--join", "lobby"]);
    let chat = output(in_lobby(), &typed).await;
    let (code, said) = failure(&chat);
    assert!(code == Some(1) && said.contains("a message was not sent"), "{said}");
    assert!(said.contains("[1] is no message, or none that can be meant"), "{said}");
    let again = format!("/react {number} +1\n/unreact {number} -1\n");
    let chat = output(in_lobby(), &again).await;
    let (_, said) = failure(&chat);
    assert!(said.contains("2 messages were not sent"), "{said}");
    assert!(said.contains("with +1 already") && said.contains("not reacted"), "{said}");
    let tail = stdout(&world.run("tail", "alice", &["lobby", "-n", "6"]).await);
    for shown in
        ["alice: hello again (edited)\n    +1 alice", &format!("alice (answers [{number}]): yes")]
    {
        assert!(tail.contains(shown), "{shown:?} in:\n{tail}");
    }
    assert!(!tail.contains("reacts") && !tail.contains("edits"), "not by themselves:\n{tail}");
    let tail = stdout(&world.run("tail", "alice", &["lobby", "-n", "3"]).await);
    assert!(tail.contains(": one\n") && tail.contains("yes\n"), "they do not count:\n{tail}");
    stdout(&output(world.aside("send", "alice", &["lobby"]), "two\n").await);

    let plain = stdout(&world.run("tail", "alice", &["lobby", "-n", "1"]).await);
    assert!(plain.ends_with("alice: two\n") && !plain.contains('\x1b'), "{plain:?}");

    let rooms = stdout(&world.run("rooms", "alice", &["--json"]).await);
    let rooms: Value = serde_json::from_str(&rooms).unwrap();
    assert_eq!((&rooms[0]["name"], &rooms[0]["server_readable"]), (&"lobby".into(), &true.into()));
    let users = stdout(&world.run("users", "alice", &["lobby", "--json"]).await);
    let users: Value = serde_json::from_str(&users).unwrap();
    assert_eq!((&users[0]["handle"], &users[0]["online"]), (&"alice".into(), &true.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_sent_is_a_failure() {
    let world = World::new().await;
    for blank in ["", "  \n"] {
        let sent = world.run("send", "alice", &["lobby", blank, "--register", "--join"]).await;
        let said = String::from_utf8(sent.stderr).unwrap();
        assert!(sent.status.code() == Some(2) && said.contains("nothing in it"), "{said}");
    }
    for nameless in ["", " ", "#", "@"] {
        let mut all = vec![
            world.run("send", "alice", &[nameless, "text"]).await,
            world.run("tail", "alice", &[nameless]).await,
            world.run("chat", "alice", &["--join", nameless]).await,
            world.run("search", "alice", &["text", "--room", nameless, "--local"]).await,
        ];
        all.push(world.run("dm", "alice", &[nameless.trim_start_matches('#'), "text"]).await);
        for wrong in all {
            let said = String::from_utf8(wrong.stderr).unwrap();
            assert!(wrong.status.code() == Some(2) && said.contains("name "), "{said}");
        }
    }
    let typed = "/join #\nnot for the lobby\n";
    let chat = output(world.aside("chat", "alice", &["--register"]), typed).await;
    let (code, said) = failure(&chat);
    assert!(code == Some(2) && said.contains("name a room"), "{said}");
    let chat = world.aside("chat", "alice", &["--register"]);
    let chat = output(chat, "is anybody there?\nhello?\n").await;
    let (code, said) = failure(&chat);
    assert!(code == Some(1) && said.contains("2 messages were not sent"), "{said}");
    assert!(said.contains("/join ROOM enters one"), "{said}");
    let chat = world.aside("chat", "alice", &["--join", "lobby"]);
    let chat = output(chat, "/join nowhere\nnot for the lobby\n").await;
    let (code, said) = failure(&chat);
    assert!(code == Some(1) && said.contains("a message was not sent"), "{said}");
    // Nor is what names no room said in the one that was used last.
    let chat = output(world.aside("chat", "alice", &[]), "not for the lobby either\n").await;
    let (code, said) = failure(&chat);
    assert!(code == Some(1) && said.contains("--join ROOM at the start"), "{said}");
    let lobby = stdout(&world.run("tail", "alice", &["lobby"]).await);
    assert!(!lobby.contains("not for the lobby"), "{lobby}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_server_is_taken_back_and_holds_up_nothing() {
    let world = World::new().await;
    stdout(&world.run("tail", "alice", &["lobby", "--register", "--join"]).await);
    let mut chat = world.aside("chat", "alice", &["--join", "lobby"]);
    chat.env_remove("ASIDE_PASSWORD");
    let World { home: _home, server } = world;
    server.stop().await;
    let typed = "/rooms\nnever mind\n/outbox\n/discard 1\n/outbox\n/retry 1\n";
    let (_, shown) = failed_chat(&output(chat, typed).await);
    for expected in [
        "the server is away; these are the rooms you are in\nlobby",
        " 1  never mind",
        "it is discarded, and will not be sent\neverything was sent",
        "/outbox shows no message 1",
    ] {
        assert!(shown.contains(expected), "{expected:?} in:\n{shown}");
    }
}

// cites: CONT-005
#[tokio::test(flavor = "multi_thread")]
async fn members_are_mentioned_and_known() {
    let world = World::new().await;
    stdout(&world.run("tail", "bob", &["lobby", "--register", "--join"]).await);
    let typed = "/join lobby\nlook, @bob\n/invite bob\n/invite alice\n/invite carol\n\
                 /status at lunch\n";
    let chat = world.aside("chat", "alice", &["--register"]);
    let (code, shown) = failed_chat(&output(chat, typed).await);
    assert_eq!(code, Some(4), "as of any command that is refused");
    for expected in
        ["bob is a member already", "you are a member yourself", "nobody has this handle"]
    {
        assert!(shown.contains(expected), "{expected:?} in:\n{shown}");
    }
    let plain = ["lobby", "and you, @bob"];
    stdout(&world.run("send", "alice", &plain).await);
    stdout(&world.run("send", "alice", &[&plain[..], &["--mention"]].concat()).await);
    let tail = stdout(&world.run("tail", "bob", &["lobby", "-n", "3", "--json"]).await);
    let mentions = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap();
        let mentions = entry["content"]["mentions"].as_array().unwrap().clone();
        mentions.iter().map(|it| it["who"]["handle"].as_str().unwrap().to_owned()).collect()
    };
    let mentions: Vec<Vec<String>> = tail.lines().map(mentions).collect();
    assert_eq!(mentions, [vec!["bob".to_owned()], vec![], vec!["bob".to_owned()]]);
    let users = stdout(&world.run("users", "alice", &["lobby", "--json"]).await);
    let users: Value = serde_json::from_str(&users).unwrap();
    let status = |handle: &str| {
        let mut users = users.as_array().unwrap().iter();
        users.find(|user| user["handle"] == handle).unwrap()["status"].clone()
    };
    assert_eq!((status("alice"), status("bob")), ("at lunch".into(), Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_found_again_by_what_it_was_called() {
    let world = World::new().await;
    stdout(&world.run("rooms", "bot", &["--register"]).await);
    let elsewhere = world.home.path().join("elsewhere");
    let elsewhere = elsewhere.to_str().unwrap();
    // One account, however often it is asked for.
    for text in ["one", "two"] {
        let flags = ["lobby", text, "--join", "--register", "--suffix", "--data-dir", elsewhere];
        stdout(&world.run("send", "bot", &flags).await);
    }
    // ASIDE_DATA_DIR and --data-dir are one.
    let mut tail = world.aside("tail", "bot-2", &["lobby", "-n", "2"]);
    tail.env("ASIDE_DATA_DIR", elsewhere).env_remove("ASIDE_PASSWORD");
    let tail = stdout(&output(tail, "").await);
    assert!(tail.contains("bot-2: one\n") && tail.contains("bot-2: two\n"), "{tail}");

    stdout(&output(world.aside("chat", "bot", &[]), "/nick robot\n").await);
    let port = world.server.local_addr().port();
    let mut old = Command::new(env!("CARGO_BIN_EXE_aside"));
    old.args(["rooms", &format!("aside://bot@localhost:{port}")])
        .env("ASIDE_DATA_DIR", world.home.path().join("clients"));
    let (code, said) = failure(&output(old, "").await);
    assert!(
        code == Some(1) && said.contains("the account that is kept here as bot is called robot")
    );
    assert!(said.contains("the address with robot before the @"), "{said}");
    stdout(&world.run("rooms", "robot", &[]).await);
}

// cites: ROOM-001
#[tokio::test(flavor = "multi_thread")]
async fn lines_are_chatted_plainly_without_a_terminal() {
    let world = World::new().await;
    let typed = "/rooms\n/join lobby\nhello from a pipe\n//slash\n/users\n/nick alicia\n/leap\n";
    let chat = world.aside("chat", "alice", &["--register"]);
    let (code, shown) = failed_chat(&output(chat, typed).await);
    assert_eq!(code, Some(1));
    for expected in [
        "lobby  0 members, server-readable, default",
        "lobby is a public room: the server can read it",
        "hello from a pipe",
        "alice: /slash",
        "alice  online",
        "you are alicia now",
        "there is no /leap",
    ] {
        assert!(shown.contains(expected), "{expected:?} in:\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "no colour where nobody sees it");
    let again = world.aside("chat", "alicia", &["--join", "lobby"]);
    let shown = stdout(&output(again, "/history\n").await);
    assert!(shown.contains("hello from a pipe"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_read_and_searched_without_a_server() {
    let world = World::new().await;
    let typed = "one cup\ntwo cups\nthree mugs\n";
    stdout(&output(world.aside("send", "bob", &["lobby", "--register", "--join"]), typed).await);
    stdout(&world.run("tail", "alice", &["lobby", "--register", "--join"]).await);
    stdout(&output(world.aside("send", "bob", &["lobby"]), "four mugs\n").await);
    stdout(&world.run("tail", "alice", &["lobby"]).await);
    let World { home, server } = world;
    let (port, fingerprint) = (server.local_addr().port(), server.fingerprint());
    server.stop().await;
    let aside = |command: &str, arguments: &[&str]| {
        let mut aside = Command::new(env!("CARGO_BIN_EXE_aside"));
        aside
            .args([command, &format!("aside://alice@localhost:{port}")])
            .args(arguments)
            .args(["--fingerprint", &fingerprint])
            .env("ASIDE_DATA_DIR", home.path().join("clients"));
        output(aside, "")
    };
    let texts = |output: &Output| {
        let lines = stdout(output);
        let text = |line: &str| serde_json::from_str::<Value>(line).unwrap()["text"].clone();
        let texts = lines.lines().map(text).filter(|text| !text.is_null());
        texts.map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (code, _) = failure(&aside("tail", &["lobby"]).await);
    assert_eq!(code, Some(3), "unasked, it is not read from here");
    let all = aside("tail", &["lobby", "--offline", "--json"]).await;
    assert_eq!(texts(&all), ["one cup", "two cups", "three mugs", "four mugs"]);
    let first: Value = serde_json::from_str(stdout(&all).lines().next().unwrap()).unwrap();
    assert!(first["seq"].is_u64() && first["state"].is_null(), "{first}");
    let since = |since: &'static str, lines: &'static str| {
        aside("tail", &["lobby", "--offline", "--json", "--since", since, "-n", lines])
    };
    // The third is that alice joined.
    assert_eq!(texts(&since("1h", "3").await), ["three mugs", "four mugs"]);
    assert_eq!(texts(&since("2000-01-01", "99").await).len(), 4);
    assert_eq!(texts(&since("2999-01-01", "99").await).len(), 0);

    let found = aside("search", &["--local", "cup", "--json"]).await;
    assert_eq!(texts(&found), ["two cups", "one cup"]);
    let found = stdout(&aside("search", &["--local", "mugs", "-n", "1"]).await);
    assert!(found.contains("#lobby") && found.ends_with("bob: four mugs\n"), "{found}");
    assert_eq!(texts(&aside("search", &["--local", "plate", "--json"]).await).len(), 0);
}

// cites: MARK-001
// cites: RET-005, RET-011, RET-012
#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_is_said_before_and_after() {
    let world = World::new().await;
    let chat = |typed: &'static str| output(world.aside("chat", "alice", &[]), typed);
    let register = ["lobby", "hello", "--register", "--join"];
    stdout(&world.run("send", "alice", &register).await);
    stdout(&chat("/create den\n").await);
    stdout(&output(world.aside("send", "alice", &["den"]), "one\ntwo\nthree\n").await);

    let warned = stdout(&chat("/join den\n/retention\n/retention 30d 2\n/retention\n").await);
    assert_eq!(warned.matches("all that is said here is kept").count(), 2, "{warned}");
    assert!(warned.contains(
        "last 2 entries kept for 30 days: what is beyond that is removed from the server for ever"
    ));
    let (code, said) =
        failure(&world.run("rooms update", "alice", &["den", "--retention", "2"]).await);
    assert!(code != Some(0) && said.contains("for ever") && said.contains("--yes"), "{said}");
    let tail = world.run("tail", "alice", &["den", "-n", "50"]).await;
    assert!(
        stdout(&tail).contains("one") && !String::from_utf8_lossy(&tail.stderr).contains("kept")
    );

    // Who is sure is told all the same, before it is done.
    let done = stdout(&chat("/join den\n/retention 30d 2 yes\n/retention\n").await);
    let told = done.find("removed from the server for ever, for everyone\n");
    assert!(told.is_some_and(|at| at < done.rfind("last 2 entries").unwrap_or(0)), "{done}");
    assert!(done.contains("last 2 entries kept for 30 days\n"), "{done}");
    let rooms = stdout(&world.run("rooms", "alice", &[]).await);
    assert!(
        rooms.contains("server-readable, last 2 entries kept for 30 days, joined, owner"),
        "{rooms}"
    );

    // Whoever comes now is told, and reads what is left.
    let joined = world.aside("chat", "bob", &["--register"]);
    let joined = stdout(&output(joined, "/join den\n").await);
    assert!(joined.contains("of what is said in den: last 2 entries kept for 30 days"), "{joined}");
    let tail = world.run("tail", "bob", &["den", "-n", "50"]).await;
    assert!(!stdout(&tail).contains("two"));
    let note = String::from_utf8_lossy(&tail.stderr);
    assert!(note.contains("older messages are no longer kept here"), "{note}");
    let read = stdout(&output(world.aside("chat", "bob", &[]), "/join den\n/history\n").await);
    assert!(read.contains("older messages are no longer kept here"), "{read}");
    let back = world.run("rooms update", "alice", &["den", "--retention", "none", "--json"]).await;
    let back: Value = serde_json::from_str(&stdout(&back)).unwrap();
    assert_eq!((&back["retention"], &back["first_seq"]), (&Value::Null, &5.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_say_what_is_unread_until_it_was_read() {
    let world = World::new().await;
    stdout(&world.run("tail", "alice", &["lobby", "--register", "--join"]).await);
    let typed = "one\ntwo\n";
    stdout(&output(world.aside("send", "bob", &["lobby", "--register", "--join"]), typed).await);
    let rooms = stdout(&world.run("rooms", "alice", &[]).await);
    assert!(rooms.contains("joined  2 unread"), "{rooms}");
    let chat = world.aside("chat", "alice", &["--join", "lobby"]);
    let chat = stdout(&output(chat, "/unread\n/read\n/unread\n").await);
    assert!(chat.contains("lobby  2 unread") && chat.contains("nothing is unread"), "{chat}");
    let rooms = stdout(&world.run("rooms", "alice", &["--json"]).await);
    let rooms: Value = serde_json::from_str(&rooms).unwrap();
    assert_eq!(rooms[0]["unread"], 0);
}

// cites: TLS-006
#[tokio::test(flavor = "multi_thread")]
async fn failures_say_what_to_do_and_have_a_code_of_their_own() {
    let world = World::new().await;
    stdout(&world.run("rooms", "alice", &["--register"]).await);
    let elsewhere = world.home.path().join("elsewhere");
    let elsewhere = ["--data-dir", elsewhere.to_str().unwrap()];

    let mut wrong_password = world.aside("rooms", "alice", &elsewhere);
    wrong_password.env("ASIDE_PASSWORD", "not the password");
    assert_eq!(failure(&output(wrong_password, "").await).0, Some(4));
    let mut no_password = world.aside("rooms", "alice", &elsewhere);
    no_password.env_remove("ASIDE_PASSWORD");
    let (_, said) = failure(&output(no_password, "").await);
    assert!(said.contains("--password-file"), "{said}");

    let not_joined = world.run("send", "alice", &["lobby", "hello"]).await;
    let (code, said) = failure(&not_joined);
    assert!(code == Some(1) && said.contains("Join it first"), "{said}");
    let (_, said) = failure(&world.run("send", "alice", &["attic", "hello"]).await);
    assert!(said.contains("there is no room attic"), "{said}");

    let mut other_pin = world.aside("rooms", "alice", &[]);
    other_pin.args(["--fingerprint", &"ab".repeat(32)]);
    assert_eq!(output(other_pin, "").await.status.code(), Some(2), "twice on the command line");
    let port = world.server.local_addr().port();
    let dial = |port: u16, arguments: &[&str]| {
        let mut aside = Command::new(env!("CARGO_BIN_EXE_aside"));
        aside
            .args(["rooms", &format!("aside://bob@localhost:{port}")])
            .args(arguments)
            .env("ASIDE_DATA_DIR", world.home.path().join("bob"))
            .env_remove("ASIDE_PASSWORD");
        aside
    };
    let (code, said) = failure(&output(dial(port, &["--fingerprint", &"ab".repeat(32)]), "").await);
    assert!(code == Some(5) && said.contains("operator"), "{said}");
    let (code, said) = failure(&output(dial(port, &[]), "").await);
    assert!(code == Some(5) && said.contains(&world.server.fingerprint()), "{said}");
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let (code, said) = failure(&output(dial(free.port(), &[]), "").await);
    assert!(code == Some(3) && said.contains("can't be reached"), "{said}");
}

#[tokio::test]
async fn the_demo_goes_as_it_says() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_aside"));
    demo.arg("demo");
    let shown = stdout(&output(demo, "").await);
    assert!(shown.contains("Everything went as stated"), "{shown}");
    assert!(!shown.contains("\n   FAILED"), "{shown}");
}

#[tokio::test]
async fn versions_and_completions_are_printed() {
    let run = |arguments: &[&str]| {
        let mut aside = Command::new(env!("CARGO_BIN_EXE_aside"));
        aside.args(arguments);
        aside
    };
    let version = stdout(&output(run(&["version", "--json"]), "").await);
    let version: Value = serde_json::from_str(&version).unwrap();
    assert_eq!(version["protocol"], 1);
    assert_eq!(version["capabilities"], serde_json::json!(["talk", "sync", "private"]));
    let script = stdout(&output(run(&["completions", "bash"]), "").await);
    assert!(script.contains("complete -F _aside") && script.contains("aside,tui)"), "{script}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_log_in_by_token_and_people_search() {
    let world = World::new().await;
    let sent = world.run("send", "alice", &["lobby", "green tea", "--register", "--join"]).await;
    assert_eq!(stdout(&sent), "");
    let file = world.home.path().join("bot.token");
    let out = ["--out", file.to_str().unwrap()];
    let bot = ["bot", "--scopes", "read,send", "--expires"];
    let issued = world.run("tokens issue", "alice", &[&bot[..], &["30d"], &out].concat()).await;
    assert!(stdout(&issued).is_empty());
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert!(token.starts_with("aside-token:"), "and nothing else in the file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Never over another, nor two of one name; what is not issued leaves no file.
    let (_, said) =
        failure(&world.run("tokens issue", "alice", &[&bot[..], &["30d"], &out].concat()).await);
    assert!(said.contains("no token was issued"), "{said}");
    let other = world.home.path().join("other.token");
    let out = ["--out", other.to_str().unwrap()];
    let again = world.run("tokens issue", "alice", &[&bot[..], &["30d"], &out].concat()).await;
    let (code, said) = failure(&again);
    assert!(code == Some(4) && said.contains("another name") && !other.exists(), "{said}");
    let long = ["long", "--scopes", "read", "--expires", "9999d"];
    let long = world.run("tokens issue", "alice", &long).await;
    assert!(stdout(&long).starts_with("aside-token:"));
    assert!(String::from_utf8_lossy(&long.stderr).contains("no token live longer"));
    let file = file.to_str().unwrap();
    let said = world.run("send", "alice", &["lobby", "black tea", "--token-file", file]).await;
    assert_eq!(stdout(&said), "");
    let mut by_variable = world.aside("search", "alice", &["te*", "--json"]);
    by_variable.env("ASIDE_TOKEN", &token);
    let found = stdout(&output(by_variable, "").await);
    let found: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<_> = found.iter().map(|found| found["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["black tea", "green tea"]);
    assert!(found.iter().all(|found| found["verified"] == true && found["room"] == "lobby"));

    let mut as_bob = world.aside("rooms", "bob", &[]);
    as_bob.env("ASIDE_TOKEN", &token);
    let (code, said) = failure(&output(as_bob, "").await);
    assert!(code == Some(4) && said.contains("of the account alice, not of bob"), "{said}");

    let listed = world.run("tokens list", "alice", &["--json"]).await;
    let listed: Value = serde_json::from_str(&stdout(&listed)).unwrap();
    assert_eq!((&listed[0]["name"], &listed[0]["scopes"][0]), (&"bot".into(), &"read".into()));
    assert_eq!(stdout(&world.run("tokens revoke", "alice", &["bot"]).await), "");
    let late = world.run("send", "alice", &["lobby", "too late", "--token-file", file]).await;
    let (code, said) = failure(&late);
    assert_eq!(code, Some(4), "{said}");
}

// cites: PHRASE-002, PHRASE-003, PHRASE-004, SAFETY-002, DEVLOG-005
#[tokio::test(flavor = "multi_thread")]
async fn a_phrase_approves_devices_and_two_users_compare_a_number() {
    let world = World::new().await;
    for handle in ["alice", "bob"] {
        let said = world.run("send", handle, &["lobby", "hello", "--register", "--join"]).await;
        assert_eq!(stdout(&said), "");
    }
    let laptop = |command: &str, arguments: &[&str]| {
        let mut aside = world.aside(command, "alice", arguments);
        aside.env("ASIDE_DATA_DIR", world.home.path().join("laptop"));
        aside
    };
    let standings = async || -> Vec<(String, String)> {
        let listed = output(laptop("devices", &["--json"]), "").await;
        let listed: Vec<Value> = serde_json::from_str(&stdout(&listed)).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        listed.iter().map(|it| (text(&it["device_id"]), text(&it["standing"]))).collect()
    };
    let made = stdout(&world.run("recovery new", "alice", &[]).await);
    let phrase = made.trim();
    assert_eq!((phrase.len(), phrase.split('-').count()), (39, 8), "{phrase}");
    let (code, said) = failure(&world.run("recovery new", "alice", &[]).await);
    assert!(code == Some(1) && said.contains("aside recovery use"), "{said}");

    let [(first, approved), (second, not)] = &standings().await[..] else { panic!("two devices") };
    assert_eq!((approved.as_str(), not.as_str()), ("approved", "not_approved"));
    let (_, said) = failure(&output(laptop("recovery use", &[]), &phrase[5..]).await);
    assert!(said.contains("8 or 14 groups"), "{said}");
    let typed = phrase.to_lowercase().replace('-', " ");
    assert_eq!(stdout(&output(laptop("recovery use", &[]), &typed).await), "");
    assert!(standings().await.iter().all(|(_, standing)| standing == "approved"));

    let (_, said) = failure(&world.run("verify", "alice", &["bob"]).await);
    assert!(said.contains("bob has no device log yet"), "{said}");
    let (_, said) = failure(&world.run("verify", "bob", &["alice"]).await);
    assert!(said.contains("you have no device log yet"), "{said}");
    let made = stdout(&world.run("recovery new", "bob", &["--long", "--json"]).await);
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(made["recovery_phrase"].as_str().unwrap().split('-').count(), 14);
    let hers = stdout(&world.run("verify", "alice", &["Bob", "--mark"]).await);
    let his = stdout(&world.run("verify", "bob", &["@alice"]).await);
    let number = |text: &str| text.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(number(&hers), number(&his));
    let groups = number(&hers).join(" ");
    assert!(groups.split(' ').all(|group| group.len() == 5 && group.parse::<u32>().is_ok()));
    assert_eq!(groups.split(' ').count(), 12);
    assert!(hers.contains("\nverified") && his.contains("\nnot verified"), "{hers}{his}");
    let seen = stdout(&world.run("verify", "alice", &["bob", "--json"]).await);
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert!(seen["verified"] == true && seen["safety_number"] == groups.as_str(), "{seen}");

    // The second device takes the first away.
    assert_eq!(stdout(&output(laptop("devices revoke", &[first]), "").await), "");
    let now: Vec<_> = standings().await;
    assert_eq!(
        now,
        [(second, "approved"), (first, "revoked")].map(|(id, it)| (id.clone(), it.into()))
    );
    let nobody = output(laptop("devices revoke", &["0190"]), "").await;
    assert!(failure(&nobody).1.contains("there is no device 0190"));
}

// cites: STORE-005, STORE-008
#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_guards_what_is_kept() {
    let world = World::new().await;
    stdout(&world.run("send", "alice", &["lobby", "hello", "--register", "--join"]).await);
    let status = async || {
        let status = world.run("passphrase status", "alice", &["--json"]).await;
        let status: Value = serde_json::from_str(&stdout(&status)).unwrap();
        status["guard"].as_str().unwrap().to_owned()
    };
    let unguarded = status().await;
    assert_ne!(unguarded, "passphrase");
    let told = stdout(&world.run("passphrase status", "alice", &[]).await);
    assert!(
        unguarded != "file" || told.contains("from nobody who can read the directory"),
        "{told}"
    );
    let nothing = world.run("passphrase status", "bob", &[]).await;
    assert!(failure(&nothing).1.contains("nothing of this account is kept here"));

    let file = |name: &str, passphrase: &str| {
        let path = world.home.path().join(name);
        std::fs::write(&path, format!("{passphrase}\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (short, old) = (file("short", "short"), file("old", "an old passphrase"));
    let new = file("new", "a new passphrase");
    let run = |command, arguments: &[&str]| output(world.aside(command, "alice", arguments), "");
    let (_, said) = failure(&run("passphrase set", &["--new-passphrase-file", &short]).await);
    assert!(said.contains("at least 8 characters"), "{said}");
    let (_, said) = failure(&run("passphrase set", &["--passphrase-file", &old]).await);
    assert!(said.contains("--new-passphrase-file"), "{said}");
    let (_, said) = failure(&run("passphrase change", &["--new-passphrase-file", &old]).await);
    assert!(said.contains("aside passphrase set"), "{said}");
    stdout(&run("passphrase set", &["--new-passphrase-file", &old]).await);
    assert_eq!(status().await, "passphrase");

    let (_, said) = failure(&run("search", &["--local", "hello"]).await);
    assert!(said.contains("a passphrase guards") && said.contains("--passphrase-file"), "{said}");
    let (_, said) = failure(&run("rooms", &["--passphrase-file", &new]).await);
    assert!(said.contains("this is not the passphrase") && said.contains("Try again"), "{said}");
    let with = ["--passphrase-file", &old, "--new-passphrase-file", &new];
    stdout(&run("passphrase change", &with).await);
    let (_, said) = failure(&run("rooms", &["--passphrase-file", &old]).await);
    assert!(said.contains("this is not the passphrase"), "{said}");
    let mut rooms = world.aside("rooms", "alice", &[]);
    rooms.env("ASIDE_PASSPHRASE_FILE", &new).env_remove("ASIDE_PASSWORD");
    assert!(stdout(&output(rooms, "").await).contains("lobby"), "the device logs in by its key");

    stdout(&run("passphrase remove", &["--passphrase-file", &new]).await);
    assert_eq!(status().await, unguarded);
    assert!(stdout(&run("rooms", &[]).await).contains("lobby"));
}

/// The lines that chat prints, as one text.
async fn chat(world: &World, who: &str, typed: &str) -> String {
    stdout(&output(world.aside("chat", who, &[]), typed).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn private_conversations_are_their_members_alone() {
    let world = World::new().await;
    for who in ["alice", "bob"] {
        stdout(&world.run("send", who, &["lobby", "hello", "--register", "--join"]).await);
    }
    let unapproved = world.run("dm", "alice", &["bob", "psst"]).await;
    let (_, said) = failure(&unapproved);
    assert!(said.contains("approved"), "{said}");
    for who in ["alice", "bob"] {
        stdout(&world.run("recovery new", who, &[]).await);
        // Its keys are with the server once what was asked after was answered.
        chat(&world, who, "/rooms\n").await;
    }
    let sent = stdout(&world.run("dm", "alice", &["bob", "psst", "--json"]).await);
    let sent: Value = serde_json::from_str(&sent).unwrap();
    let tail = stdout(&world.run("tail", "bob", &["@alice", "--json"]).await);
    let entries: Vec<Value> =
        tail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = entries.last().unwrap();
    assert_eq!((&last["text"], &last["seq"]), (&"psst".into(), &sent["seq"]));
    assert_eq!((&last["conversation_kind"], &last["verified"]), (&"direct".into(), &true.into()));
    stdout(&output(world.aside("send", "bob", &["@alice"]), "here\n").await);
    let rooms = stdout(&world.run("rooms", "alice", &["--json"]).await);
    let rooms: Vec<Value> = serde_json::from_str(&rooms).unwrap();
    let bob = rooms.iter().find(|room| room["name"] == "bob").unwrap();
    assert_eq!((&bob["kind"], &bob["server_readable"]), (&"direct".into(), &false.into()));
    let listed = stdout(&world.run("rooms", "alice", &[]).await);
    assert!(listed.contains("bob  2 members, private, of two"), "{listed}");

    let said = chat(
        &world,
        "alice",
        "/group new tea & cake\nbefore bob\n/group invite bob\n/group promote bob\nwelcome\n/users\n/health\n",
    )
    .await;
    for shown in [
        "private tea & cake is a private group",
        "bob is in it now",
        "bob is admin of this group now",
        "bob  online, admin",
        "this device is up to date",
        "fork check",
    ] {
        let offline = shown.replace("online", "offline");
        assert!(said.contains(shown) || said.contains(&offline), "{shown:?} in:\\n{said}");
    }
    let tail = stdout(&world.run("tail", "bob", &["Tea & Cake"]).await);
    assert!(
        tail.contains("alice: welcome") && tail.contains("alice calls the group tea & cake"),
        "{tail}"
    );
    assert!(!tail.contains("before bob"), "{tail}");
    let health = async |who: &str| -> Value {
        let health = stdout(&world.run("health", who, &["tea & cake", "--json"]).await);
        serde_json::from_str(&health).unwrap()
    };
    let (hers, his) = (health("alice").await, health("bob").await);
    assert_eq!((&hers["epoch"], &hers["own_epoch"]), (&his["epoch"], &his["own_epoch"]));
    assert!(hers["fork_check"].is_string() && hers["fork_check"] == his["fork_check"], "{hers}");
    let (_, said) = failure(&world.run("health", "bob", &["lobby"]).await);
    assert!(said.contains("the server can read"), "{said}");
    let typed = "/join tea & cake\n/group name Tee\nyes\n/group remove alice\n";
    let (code, said) = failed_chat(&output(world.aside("chat", "bob", &[]), typed).await);
    assert!(code == Some(1) && said.contains("only an owner of the group puts out"), "{said}");
    let tail = stdout(&world.run("tail", "alice", &["tee", "-n", "2"]).await);
    assert!(tail.contains("bob calls the group Tee") && tail.contains("bob: yes"), "{tail}");
}
