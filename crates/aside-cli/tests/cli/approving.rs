//! Two devices of one account, as people and scripts run them: one lets the other in.

use std::process::{Command, Output};

use serde_json::Value;

use crate::world::{Dialogue, World, output, stdout};

/// Alice's computers.
struct Computers(World);

impl Computers {
    /// `aside <command>` as Alice on this computer.
    fn aside(&self, computer: &str, command: &str, arguments: &[&str]) -> Command {
        self.0.aside_on(computer, command, "alice", arguments)
    }

    async fn run(&self, computer: &str, command: &str, arguments: &[&str]) -> Output {
        output(self.aside(computer, command, arguments), "").await
    }

    async fn json(&self, computer: &str, command: &str, arguments: &[&str]) -> Value {
        let output = self.run(computer, command, arguments).await;
        serde_json::from_str(&stdout(&output)).expect("it is JSON")
    }
}

async fn two_computers() -> Computers {
    let world = Computers(World::new().await);
    stdout(&world.run("phone", "rooms", &["--register"]).await);
    stdout(&world.run("phone", "recovery new", &[]).await);
    world
}

/// Both as far as the digits: the laptop's, the phone's.
fn both_show(world: &Computers) -> (Dialogue, Dialogue) {
    let mut laptop = Dialogue::start(world.aside("laptop", "devices ask", &["--json"]));
    assert_eq!(laptop.event("asked")["reached"], 0);
    let mut phone = Dialogue::start(world.aside("phone", "devices approve", &["--json"]));
    assert_eq!(phone.event("asks")["name"], "laptop");
    (laptop, phone)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_let_in_by_the_digits_that_it_shows() {
    let world = two_computers().await;
    let world = tokio::task::spawn_blocking(move || {
        let (mut laptop, mut phone) = both_show(&world);
        let (there, here) = (laptop.event("code"), phone.event("code"));
        assert_eq!(there["code"], here["code"]);
        phone.say(there["code"].as_str().unwrap());
        laptop.say("yes");
        assert_eq!(phone.event("approved")["position"], 1);
        assert_eq!(laptop.event("approved")["position"], 1);
        assert_eq!((laptop.end().0, phone.end().0), (Some(0), Some(0)));
        world
    })
    .await
    .unwrap();
    let devices = world.json("laptop", "devices", &["--json"]).await;
    let standing = |device: &Value| device["standing"].as_str().map(str::to_owned);
    let standings: Vec<_> = devices.as_array().unwrap().iter().filter_map(standing).collect();
    assert_eq!(standings, ["approved", "approved"]);
    let again = world.run("laptop", "devices ask", &[]).await;
    assert!(String::from_utf8_lossy(&again.stderr).contains("approved already"));

    let log = world.json("phone", "devices log", &["--json"]).await;
    let changes = log.as_array().unwrap().iter().map(|entry| entry["change"].as_str().unwrap());
    assert_eq!(changes.collect::<Vec<_>>(), ["began", "added"]);
    let shown = stdout(&world.run("phone", "devices log", &[]).await);
    assert!(
        shown.contains("1  added laptop \u{2026}") && shown.contains("(logged in 20"),
        "{shown}"
    );
    let revoked = world.run("phone", "devices revoke", &["laptop", "--since", "1"]).await;
    assert_eq!(stdout(&revoked), "");
    let said = String::from_utf8_lossy(&revoked.stderr);
    assert!(said.contains("whoever has the password can log in again"), "{said}");
    let shown = stdout(&world.run("phone", "devices log", &[]).await);
    assert!(shown.contains("and what it approved since 1  by phone \u{2026}"), "{shown}");
    assert!(shown.contains("(revoked 20"), "{shown}");
}

/// The one asks, the other approves it.
fn approve(world: &Computers, (new, by): (&str, &str)) {
    let mut new = Dialogue::start(world.aside(new, "devices ask", &["--json"]));
    new.event("asked");
    let mut by = Dialogue::start(world.aside(by, "devices approve", &["--json"]));
    by.event("asks");
    let code = new.event("code")["code"].as_str().expect("digits").to_owned();
    by.event("code");
    by.say(&code);
    new.say("yes");
    assert_eq!((new.end().0, by.end().0), (Some(0), Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stolen_device_approved_falls_with_it_and_the_last_one_goes_only_if_its_user_is_sure()
 {
    let world = two_computers().await;
    let world = tokio::task::spawn_blocking(move || {
        approve(&world, ("laptop", "phone"));
        approve(&world, ("tablet", "laptop"));
        world
    })
    .await
    .unwrap();
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    // The tablet's entry is 2: from then on the laptop was somebody else's.
    let revoked = world.run("phone", "devices revoke", &["laptop", "--since", "2"]).await;
    let told = said(&revoked);
    assert!(revoked.status.success() && told.contains("tablet ("), "{told}");
    assert!(
        told.contains("fell with it: it is approved no longer, but can still log in"),
        "{told}"
    );

    let asked = world.run("phone", "devices revoke", &["phone"]).await;
    let told = said(&asked);
    assert_eq!(asked.status.code(), Some(1));
    for part in [
        "nothing was revoked: it is this very device",
        "no device is approved after it",
        "--yes does it",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let devices = world.json("phone", "devices", &["--json"]).await;
    let standing = |name: &str| {
        let device = devices.as_array().unwrap().iter().find(|device| device["name"] == name);
        device.and_then(|device| device["standing"].as_str())
    };
    assert_eq!(standing("phone"), Some("approved"));
    assert_ne!(standing("tablet"), Some("approved"), "{devices}");

    let gone = world.run("phone", "devices revoke", &["phone", "--yes"]).await;
    let told = said(&gone);
    assert!(gone.status.success() && told.contains("only the recovery phrase approves"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_types_other_digits_than_are_shown_is_warned_on_both() {
    let world = two_computers().await;
    tokio::task::spawn_blocking(move || {
        let (mut laptop, mut phone) = both_show(&world);
        let code = laptop.event("code")["code"].as_str().unwrap().parse::<u32>().unwrap();
        phone.event("code");
        phone.say(&format!("{:06}", (code + 1) % 1_000_000));
        let (there, here) = (laptop.end(), phone.end());
        assert_eq!((there.0, here.0), (Some(5), Some(5)), "not to be trusted");
        assert!(
            there.1.contains("on the other device, the digits were said to differ"),
            "{there:?}"
        );
        assert!(here.1.contains("the digits differ: nothing was approved"), "{here:?}");
        assert!(here.1.contains("Somebody may stand between your devices"), "{here:?}");

        // Nobody says anything: the other device is told.
        let (mut laptop, mut phone) = both_show(&world);
        laptop.event("code");
        phone.event("code");
        phone.input = None;
        let (there, here) = (laptop.end(), phone.end());
        assert_eq!((there.0, here.0), (Some(1), Some(1)));
        assert!(there.1.contains("the other device gave the approval up"), "{there:?}");
        assert!(here.1.contains("nobody said whether"), "{here:?}");
    })
    .await
    .unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_interrupted_tells_the_other() {
    let world = two_computers().await;
    tokio::task::spawn_blocking(move || {
        let (mut laptop, mut phone) = both_show(&world);
        laptop.event("code");
        phone.event("code");
        laptop.interrupt();
        let (there, here) = (laptop.end(), phone.end());
        assert_eq!((there.0, here.0), (Some(1), Some(1)));
        assert!(there.1.contains("the approval was given up"), "{there:?}");
        assert!(here.1.contains("the other device gave the approval up"), "{here:?}");

        let mut laptop = Dialogue::start(world.aside("laptop", "devices ask", &["--json"]));
        laptop.event("asked");
        laptop.interrupt();
        let (status, told) = laptop.end();
        assert!(status == Some(1) && told.contains("the approval was given up"), "{told}");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_let_a_device_in_too() {
    let world = two_computers().await;
    tokio::task::spawn_blocking(move || {
        let mut phone = Dialogue::start(world.aside("phone", "chat", &["--join", "lobby"]));
        phone.line("connected as alice");
        phone.say("/devices approve");
        phone.line("no device asks yet");
        let mut laptop = Dialogue::start(world.aside("laptop", "devices ask", &["--json"]));
        assert_eq!(laptop.event("asked")["reached"], 1);
        phone.line("asks to be approved: /devices approve");
        phone.say("/devices approve");
        phone.line("laptop asks to be approved");
        let code = laptop.event("code")["code"].as_str().unwrap().to_owned();
        phone.line(&format!("{} {}", &code[..3], &code[3..]));
        laptop.say(&code);
        phone.say("/devices same");
        phone.line("laptop is approved");
        laptop.event("approved");
        phone.say("/devices differ");
        phone.say("/rooms");
        phone.line("lobby  ");
        phone.say("/quit");
        assert_eq!(laptop.end().0, Some(0));
        let (code, said) = phone.end();
        assert!(code == Some(1) && said.contains("no digits are shown"), "{said}");
    })
    .await
    .unwrap();
}
