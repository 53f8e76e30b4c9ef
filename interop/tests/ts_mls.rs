//! The MLS profile (spec/src/mls.md) against ts-mls in Node.js: `ts-mls/peer.mjs` and `replay.mjs` know the profile and RFC 9420, and
//! nothing of aside-mls. Suite 0x0002, and 0x0007 in what was recorded. What the published ts-mls can't do of the profile stands in README.md, and the tests hold it to that.
//!
//! Skipped without Node.js, and before `npm ci --prefix interop/ts-mls`, unless `INTEROP_REQUIRE_NODE` is set.

#![allow(clippy::unwrap_used)] // Every function here is a test's.
#![allow(clippy::print_stderr)] // What is skipped is said.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use aside_mls::{
    AwsLc, Change, ClaimedChange, Group, GroupId, Owner, Reason, Suite,
    testing::{Cast, owner},
};
use aside_proto::id::ConversationId;
use serde_json::{Map, Value, json};

/// A device on ts-mls: a process that answers each line of JSON by one.
struct Stranger {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Stranger {
    fn new(cast: &Cast, owner: Owner) -> Self {
        let mut process = Command::new("node")
            .arg(folder().join("peer.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (questions, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut stranger = Self { process, questions, answers: BufReader::new(answers) };
        let key = stranger.bytes("key", json!({}), "key");
        let no_key_for_the_other_suite = [0; 97];
        let certificate = [
            &owner.user.as_bytes()[..],
            owner.device.as_bytes(),
            &key,
            &no_key_for_the_other_suite,
        ]
        .concat();
        stranger.ask("certify", json!({ "certificate": hex::encode(&certificate) })).unwrap();
        cast.enrol(certificate);
        stranger
    }

    /// What it answers to this, or why it refuses.
    fn ask(&mut self, operation: &str, mut question: Value) -> Result<Map<String, Value>, String> {
        question["op"] = operation.into();
        writeln!(self.questions, "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Map<String, Value> = serde_json::from_str(&line).unwrap();
        match answer.get("refused") {
            Some(why) => Err(why.as_str().unwrap().into()),
            None => Ok(answer),
        }
    }

    fn bytes(&mut self, operation: &str, question: Value, field: &str) -> Vec<u8> {
        bytes(&self.ask(operation, question).unwrap(), field).unwrap()
    }

    fn key_package(&mut self, last_resort: bool) -> Vec<u8> {
        self.bytes("key_package", json!({ "last_resort": last_resort }), "key_package")
    }

    fn create(&mut self) {
        self.ask("create", json!({ "group_id": hex::encode(id().to_bytes()) })).unwrap();
    }

    fn join(&mut self, welcome: &[u8]) {
        self.ask("join", json!({ "welcome": hex::encode(welcome) })).unwrap();
    }

    fn write(&mut self, content: &[u8], header: &[u8]) -> Vec<u8> {
        let question = json!({ "content": hex::encode(content), "header": hex::encode(header) });
        self.bytes("write", question, "message")
    }

    fn read(&mut self, message: &[u8], header: &[u8]) -> Result<Vec<u8>, String> {
        let question = json!({ "message": hex::encode(message), "header": hex::encode(header) });
        Ok(bytes(&self.ask("read", question)?, "content").unwrap())
    }

    /// Follows a commit, which has to renew its maker's leaf (MLS-007).
    fn follow(&mut self, commit: &[u8], header: &[u8], external: bool) {
        let question = json!({
            "commit": hex::encode(commit),
            "header": hex::encode(header),
            "external": external,
        });
        assert_eq!(self.ask("follow", question).unwrap()["renewed"], true);
    }

    /// A commit, and a Welcome if any is added. It is in the epoch after it, if it does more than try.
    fn commit(
        &mut self,
        add: &[&[u8]],
        remove: &[u32],
        header: &[u8],
        only_try: bool,
    ) -> (Vec<u8>, Option<Vec<u8>>) {
        let question = json!({
            "add": add.iter().map(hex::encode).collect::<Vec<_>>(),
            "remove": remove,
            "header": hex::encode(header),
            "only_try": only_try,
        });
        let made = self.ask("commit", question).unwrap();
        (bytes(&made, "commit").unwrap(), bytes(&made, "welcome"))
    }

    fn group_info(&mut self, as_the_library_has_it: bool) -> Vec<u8> {
        let question = json!({ "as_the_library_has_it": as_the_library_has_it });
        self.bytes("group_info", question, "group_info")
    }

    fn state(&mut self) -> Map<String, Value> {
        self.ask("state", json!({})).unwrap()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

// cites: MLS-003, MLS-004, MLS-007, MLS-014, MLS-020, MLS-021, MLS-022, MLS-032
#[test]
fn a_stranger_is_added_talks_commits_and_is_removed() {
    let Some(cast) = with_node() else { return };
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let carol = cast.device::<AwsLc>(3, 3).unwrap();
    let mut bob = Stranger::new(&cast, him());
    let mut hers = alice.create(Suite::P256Aes128, id(), now()).unwrap();
    let (_, welcome) = add(&mut hers, &bob.key_package(false), b"add");
    bob.join(&welcome);
    talk(&mut hers, &mut bob);

    // Alice commits; then she adds Carol.
    let made = commit(&mut hers, Change::default(), b"update");
    bob.follow(&made, b"update", false);
    talk(&mut hers, &mut bob);
    let key_package = carol.key_package(Suite::P256Aes128, false, now()).unwrap();
    let claim = ClaimedChange { epoch: 2, added: [owner(3, 3)].into(), ..Default::default() };
    let (made, welcome) = add(&mut hers, &key_package, b"add Carol");
    bob.follow(&made, b"add Carol", false);
    let mut carols = carol.join(&welcome, id(), (owner(1, 1), &claim), None).unwrap();
    talk(&mut hers, &mut bob);
    let message = bob.write(b"to Carol", b"1");
    assert_eq!(carols.decrypt(&message, b"1", him()).unwrap().content, b"to Carol");

    // Bob commits: he renews his keys, then removes Carol.
    let (made, _) = bob.commit(&[], &[], b"his", false);
    let claim = ClaimedChange { epoch: 3, ..Default::default() };
    hers.receive_commit(&made, b"his", him(), &claim).unwrap();
    carols.receive_commit(&made, b"his", him(), &claim).unwrap();
    talk(&mut hers, &mut bob);
    let (made, _) = bob.commit(&[], &[2], b"remove", false);
    let claim = ClaimedChange { epoch: 4, removed: [owner(3, 3)].into(), ..Default::default() };
    hers.receive_commit(&made, b"remove", him(), &claim).unwrap();
    assert!(carols.receive_commit(&made, b"remove", him(), &claim).unwrap().removed_us);
    talk(&mut hers, &mut bob);

    // Alice removes Bob.
    let change = Change { remove: [him()].into(), ..Change::default() };
    let made = commit(&mut hers, change, b"out");
    let question = json!({ "commit": hex::encode(&made), "header": hex::encode(b"out") });
    bob.ask("follow", question).unwrap();
    assert_eq!(bob.state()["active"], false);
}

// cites: MLS-014, MLS-022
#[test]
fn a_stranger_refuses_what_the_profile_does() {
    let Some(cast) = with_node() else { return };
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let mut bob = Stranger::new(&cast, him());
    let mut hers = alice.create(Suite::P256Aes128, id(), now()).unwrap();
    let (_, welcome) = add(&mut hers, &bob.key_package(true), b"add");
    bob.join(&welcome);
    let message = hers.encrypt(b"hello", b"the header").unwrap();
    let refused = bob.read(&message, b"another header").unwrap_err();
    assert!(refused.contains("header mismatch"), "{refused}");
    assert_eq!(bob.read(&message, b"the header").unwrap(), b"hello");
    let message = bob.write(b"hello", b"the header");
    let refused = hers.decrypt(&message, b"another header", him());
    assert_eq!(refused, Err(Reason::HeaderMismatch));
    talk(&mut hers, &mut bob);
}

// cites: MLS-005, MLS-012, MLS-013
#[test]
fn a_stranger_is_joined_by_one_who_lost_her_state() {
    let Some(cast) = with_node() else { return };
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let mut bob = Stranger::new(&cast, him());
    let mut hers = alice.create(Suite::P256Aes128, id(), now()).unwrap();
    let (_, welcome) = add(&mut hers, &bob.key_package(true), b"add");
    bob.join(&welcome);

    let rejoin = alice.rejoin(&bob.group_info(false), id(), 1, None).unwrap();
    let (mut hers, made) = rejoin.commit(b"again").unwrap();
    bob.follow(&made.commit, b"again", true);
    talk(&mut hers, &mut bob);
}

/// ts-mls leaves out the length of the key in `external_pub`, whether it makes a GroupInfo or reads one.
#[test]
fn a_stranger_does_not_join_again() {
    let Some(cast) = with_node() else { return };
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let mut bob = Stranger::new(&cast, him());
    let mut hers = alice.create(Suite::P256Aes128, id(), now()).unwrap();
    let (_, welcome) = add(&mut hers, &bob.key_package(true), b"add");
    bob.join(&welcome);

    let group_info = hex::encode(hers.group_info().unwrap());
    let question = json!({ "group_info": group_info, "header": hex::encode(b"again") });
    let refused = bob.ask("rejoin", question).unwrap_err();
    assert!(refused.contains("Invalid public key"), "{refused}");
    let rejoin = alice.rejoin(&bob.group_info(true), id(), 1, None).unwrap();
    let refused = rejoin.commit(b"again").map(|_| ());
    assert_eq!(refused, Err(Reason::Tampered.into()));

    // So a member adds him anew: it takes no more of him than a KeyPackage.
    let key_package = hers.key_package(&bob.key_package(true)).unwrap();
    let change = Change { add: vec![key_package], remove: [him()].into() };
    let made = hers.commit(&change, b"anew", now()).unwrap();
    hers.apply_pending().unwrap();
    bob.join(&made.welcome.unwrap());
    talk(&mut hers, &mut bob);
}

// cites: MLS-007
#[test]
fn a_stranger_can_add_only_with_a_path() {
    let Some(cast) = with_node() else { return };
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let carol = cast.device::<AwsLc>(3, 3).unwrap();
    let dave = cast.device::<AwsLc>(4, 4).unwrap();
    let mut bob = Stranger::new(&cast, him());
    let mut hers = alice.create(Suite::P256Aes128, id(), now()).unwrap();
    let (_, welcome) = add(&mut hers, &bob.key_package(false), b"add");
    bob.join(&welcome);

    // ts-mls makes no path for a commit that only adds, as RFC 9420 lets it.
    let key_package = carol.key_package(Suite::P256Aes128, false, now()).unwrap();
    let (made, _) = bob.commit(&[&key_package], &[], b"add", true);
    let claim = ClaimedChange { epoch: 1, added: [owner(3, 3)].into(), ..Default::default() };
    assert_eq!(hers.receive_commit(&made, b"add", him(), &claim), Err(Reason::NoPath));

    // With a path it is taken: here Dave goes for Carol.
    let dave_comes = dave.key_package(Suite::P256Aes128, false, now()).unwrap();
    let (made, _) = add(&mut hers, &dave_comes, b"Dave");
    bob.follow(&made, b"Dave", false);
    let (made, welcome) = bob.commit(&[&key_package], &[2], b"Carol for Dave", false);
    let claim =
        ClaimedChange { epoch: 2, added: [owner(3, 3)].into(), removed: [owner(4, 4)].into() };
    hers.receive_commit(&made, b"Carol for Dave", him(), &claim).unwrap();
    let mut carols = carol.join(&welcome.unwrap(), id(), (him(), &claim), None).unwrap();
    talk(&mut hers, &mut bob);
    talk(&mut carols, &mut bob);
}

// cites: MLS-002
#[test]
fn a_strangers_group_is_joined() {
    let Some(cast) = with_node() else { return };
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let mut bob = Stranger::new(&cast, him());
    bob.create();
    let key_package = alice.key_package(Suite::P256Aes128, false, now()).unwrap();
    let (_, welcome) = bob.commit(&[&key_package], &[], b"add", false);
    let claim = ClaimedChange { added: [owner(1, 1)].into(), ..Default::default() };
    let mut hers: Group = alice.join(&welcome.unwrap(), id(), (him(), &claim), None).unwrap();
    talk(&mut hers, &mut bob);
    let made = commit(&mut hers, Change::default(), b"update");
    bob.follow(&made, b"update", false);
    talk(&mut hers, &mut bob);
}

// cites: FRANK-004, HEAD-011, MLS-002, MLS-014, MLS-015, MLS-016, MLS-025, MLS-028, MLS-031, MLS-032
#[test]
fn a_stranger_reads_what_was_recorded() {
    if with_node().is_none() {
        return;
    }
    let vectors = folder().join("../../spec/vectors/private_conversation.json");
    let replayed = Command::new("node").arg(folder().join("replay.mjs")).arg(vectors).output();
    let replayed = replayed.unwrap();
    let said = [replayed.stdout, replayed.stderr].map(|said| String::from_utf8(said).unwrap());
    assert!(replayed.status.success(), "{}", said.concat());
}

/// Both agree, and read each other.
fn talk(hers: &mut Group, bob: &mut Stranger) {
    let agreed = json!({
        "epoch": hers.epoch(),
        "authenticator": hex::encode(hers.epoch_authenticator().unwrap()),
        "exported": hex::encode(hers.export(b"label", b"context", 32).unwrap()),
        "fork_check": hex::encode(hers.fork_check().unwrap()),
        "active": true,
    });
    assert_eq!(Value::Object(bob.state()), agreed);
    let message = hers.encrypt(b"from aside-mls", b"1").unwrap();
    assert_eq!(bob.read(&message, b"1").unwrap(), b"from aside-mls");
    let message = bob.write(b"from ts-mls", b"2");
    assert_eq!(hers.decrypt(&message, b"2", him()).unwrap().content, b"from ts-mls");
}

/// Adds a device: the commit, and the Welcome.
fn add(group: &mut Group, key_package: &[u8], header: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let add = vec![group.key_package(key_package).unwrap()];
    let made = group.commit(&Change { add, ..Change::default() }, header, now()).unwrap();
    group.apply_pending().unwrap();
    (made.commit, made.welcome.unwrap())
}

fn commit(group: &mut Group, change: Change, header: &[u8]) -> Vec<u8> {
    let made = group.commit(&change, header, now()).unwrap();
    group.apply_pending().unwrap();
    made.commit
}

/// A cast to play with strangers; nothing, if there can be none here.
fn with_node() -> Option<Cast> {
    let installed = folder().join("node_modules/ts-mls").is_dir();
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    let missing = match node {
        Ok(status) if status.success() && installed => return Some(Cast::default()),
        Ok(status) if status.success() => "ts-mls: run npm ci --prefix interop/ts-mls",
        _ => "Node.js",
    };
    assert!(env::var_os("INTEROP_REQUIRE_NODE").is_none(), "without {missing}");
    eprintln!("skipped, without {missing}");
    None
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/ts-mls"))
}

fn bytes(answer: &Map<String, Value>, field: &str) -> Option<Vec<u8>> {
    answer.get(field).map(|value| hex::decode(value.as_str().unwrap()).unwrap())
}

/// Bob's device.
fn him() -> Owner {
    owner(2, 2)
}

fn id() -> GroupId {
    GroupId { conversation: ConversationId::new([7; 16]), generation: 1 }
}

/// ts-mls reads the clock when it makes a KeyPackage, and when it adds one.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
