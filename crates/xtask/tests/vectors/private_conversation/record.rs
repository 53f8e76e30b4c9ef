//! How private_conversation.json comes about. MLS draws randomness from the system, so no two recordings are the same.

mod loose;
mod story;

use std::collections::HashMap;

use aside_crypto::LogHead;
use aside_mls::{
    Change, ClaimedChange, GroupId, Owner, Suite,
    testing::{KeyPackageKeys, authenticated_data, pad},
};
use aside_proto::{
    id::{ConversationId, uuid_v7},
    v1,
};
use mls_rs::MlsMessage;
use prost::Message as _;
use serde_json::{Value, json};

use super::{Logs, bytes, reader::state};
use loose::Loose;
use story::{Made, NOW, Phone, Story, TIME_MS, User};

const DESCRIPTION: &str = "Private conversations as recorded, with the private keys of one member, who reads. conversation: all \
    entries, and what the reader comes to. users are all who come in, each with its device log, known from the start; reader is a \
    device, with its KeyPackage as it was published (an MLSMessage), and the private keys (scalars, big-endian) of its signature key \
    for the suite, and of init key and encryption key of the KeyPackage. Of an entry, header, salt and payload are as Fetched has \
    them, welcome is what came into the reader's inbox with it, chain is the chain value after it, and then is what the reader comes \
    to. before: it is in no group yet. joined, followed: it is at this epoch, with these leaves; leaf is a place in the tree. read: \
    by the member at this leaf; application_data is what was decrypted, and the rest is from the Envelope in it. removed: the commit \
    removes it; out: another member goes on at the epoch after that. Lifetimes of KeyPackages are long over. entry: another entry, \
    offered before the one at the seq in_place_of of the conversation that 'of' names, and refused; after it that conversation's \
    own, from in_place_of on, come to what they should. If it can be decrypted, application_data is what that gives. Reasons are \
    those of the table in mls.md, What is refused; and tag (FRANK-004), diverged (the device log that is stated, TRUST-006), and \
    history: it is read, and the user is warned (HEAD-011). What is replayed, tampered or too-far-ahead a library may call something \
    else.";

/// What a reader would notice that comes to what is stated.
const REQUIREMENTS: [&str; 10] = [
    "MLS-002",
    "MLS-014",
    "MLS-016",
    "MLS-020",
    "MLS-021",
    "MLS-022",
    "MLS-032",
    "FRANK-001",
    "FRANK-003",
    "LOG-011",
];

/// Writes a recording, which `cargo xtask vectors` brings into form.
pub(super) fn file() -> Value {
    let p256 = Recording::new(Suite::P256Aes128, "p256").record();
    let p384 = Recording::new(Suite::P384Aes256, "p384").record();
    // What is refused is refused in whatever suite.
    let vectors = [&p256[..], &p384[..1]].concat();
    json!({ "description": DESCRIPTION, "vectors": vectors })
}

/// A conversation in the making, and entries that are refused in it.
struct Recording {
    name: &'static str,
    suite: Suite,
    group: GroupId,
    users: [User; 5],
    alice: Phone,
    laptop: Phone,
    bob: Phone,
    tablet: Phone,
    carol: Phone,
    dave: Phone,
    /// Knows no profile.
    mallory: Phone,
    loose: Loose,
    /// Carol alone takes it for a device of Dave's.
    stranger: Phone,
    logs: Logs,
    story: Story,
    refused: Vec<Value>,
}

impl Recording {
    fn new(suite: Suite, name: &'static str) -> Self {
        let [alice, laptop] = [0xd1, 0xd2].map(|device| Phone::new(0xa1, device));
        let [bob, carol] = [(0xb1, 0xd3), (0xc1, 0xd4)].map(|(user, it)| Phone::new(user, it));
        let [dave, stranger] = [0xd5, 0xd6].map(|device| Phone::new(0xe1, device));
        let [mallory, tablet] = [(0xe2, 0xd7), (0xb1, 0xd8)].map(|(user, it)| Phone::new(user, it));
        let users = [
            User::new("alice", 0x11, &[&alice, &laptop]),
            User::new("bob", 0x12, &[&bob, &tablet]),
            User::new("carol", 0x13, &[&carol]),
            User::new("dave", 0x14, &[&dave]),
            User::new("mallory", 0x16, &[&mallory]),
        ];
        let logs = Logs(users.iter().map(|it| (it.log.user(), it.log.clone())).collect());
        let mut heads: HashMap<_, _> = logs.0.iter().map(|(id, log)| (*id, log.head())).collect();
        // Her laptop comes later.
        let genesis = users[0].log.identity().genesis;
        heads.insert(alice.owner.user, LogHead { position: 0, hash: genesis });
        let number = suite.number().to_be_bytes()[1];
        let conversation = ConversationId::new(uuid_v7(TIME_MS, [number; 10]));
        let group = GroupId { conversation, generation: 1 };
        let story = Story::new(conversation, heads);
        let refused = Vec::new();
        Self {
            name,
            suite,
            group,
            users,
            alice,
            laptop,
            bob,
            tablet,
            carol,
            dave,
            loose: Loose::new(&mallory, suite),
            mallory,
            stranger,
            logs,
            story,
            refused,
        }
    }

    /// The conversation, and what is refused in it.
    fn record(mut self) -> Vec<Value> {
        self.begin();
        let reader = self.add_the_reader();
        self.talk();
        self.break_the_profile();
        self.renew();
        self.talk_at_the_next_epoch();
        self.come_in_from_outside();
        self.remove();
        let user = |user: &User| {
            json!({
                "name": user.name,
                "user_id": hex::encode(user.log.user().as_bytes()),
                "device_log": user.entries.iter().map(hex::encode).collect::<Vec<_>>(),
            })
        };
        let conversation = json!({
            "id": self.name,
            "requirements": REQUIREMENTS,
            "kind": "conversation",
            "suite": self.suite.number(),
            "conversation_id": hex::encode(self.group.conversation.as_bytes()),
            "users": self.users.iter().map(user).collect::<Vec<_>>(),
            "reader": reader,
            "entries": self.story.entries,
            "result": "valid",
        });
        [vec![conversation], self.refused].concat()
    }

    /// Alice begins a GROUP with Carol and Mallory, and gives it a name.
    fn begin(&mut self) {
        let [alice, carol, mallory] = [&self.alice, &self.carol, &self.mallory].map(|it| it.owner);
        let created = v1::ConversationCreatedPayload {
            kind: v1::ConversationKind::Group.into(),
            user_ids: vec![alice.user.to_bytes()],
        };
        self.story.server_entry(
            v1::EntryKind::ConversationCreated,
            alice,
            &created.encode_to_vec(),
        );

        let carols = self.carol.device(&self.believed());
        let mut hers = self.alice.device(&self.logs).create(self.suite, self.group, NOW).unwrap();
        let key_package = carols.key_package(self.suite, false, NOW).unwrap();
        let add = [key_package, self.loose.key_package()];
        let add = add.iter().map(|it| hers.key_package(it).unwrap()).collect();
        let change = Change { add, ..Change::default() };
        let claim = hers.claim(&change);
        let made = hers.commit(&change, b"", NOW).unwrap();
        hers.apply_pending().unwrap();
        let welcome = made.welcome.unwrap();
        let joined = carols.join(&welcome, self.group, (alice, &claim), None);
        self.loose.join(&welcome);
        self.story.groups = vec![(alice, hers), (carol, joined.unwrap())];
        let established = v1::EstablishHeader {
            conversation_id: self.group.conversation.to_bytes(),
            generation: self.group.generation.into(),
            head_seq: 1,
            suite: self.suite.number().into(),
            leaves: story::leaves(&[alice, carol, mallory]),
            culprit: None,
        };
        let established = established.encode_to_vec();
        self.story.server_entry(v1::EntryKind::GroupEstablished, alice, &established);
        self.story.say_unread(alice, &profile(), "before");
    }

    /// Alice adds Bob, who has a tablet too, and says the name once more (PRIV-018).
    fn add_the_reader(&mut self) -> Value {
        let (alice, carol) = (self.alice.owner, self.carol.owner);
        let device = self.bob.device(&self.logs);
        let key_package = device.key_package(self.suite, false, NOW).unwrap();
        let stored = device.take_changes().key_packages.into_values().next().unwrap().unwrap();
        let keys = KeyPackageKeys::from_stored(&stored).unwrap();

        let tablets = self.tablet.device(&self.logs).key_package(self.suite, false, NOW).unwrap();
        let change = self.story.change(alice, &[&key_package, &tablets], &[]);
        let reader = self.bob.owner.device.to_bytes();
        let made = self.story.lie(alice, &change, |clear| {
            clear.added.retain(|leaf| leaf.device_id != reader);
        });
        let unclaimed = story::with_welcome(&made.entry, &made.welcome.unwrap());
        self.refuse("welcome-that-no-header-tells-of", "MLS-031", unclaimed, "claim-mismatch");
        let elsewhere = GroupId { generation: 2, ..self.group };
        let [before, elsewhere] =
            [self.group, elsewhere].map(|group| self.first_welcome(group, &key_package));
        let made = self.story.commit(alice, &change, "joined");
        let before = story::with_welcome(&made.entry, &before);
        self.refuse("welcome-to-the-epoch-before", "MLS-030", before, "stale-epoch");
        let elsewhere = story::with_welcome(&made.entry, &elsewhere);
        self.refuse("welcome-to-another-group", "MLS-002", elsewhere, "wrong-group");
        let id = self.group.to_bytes();
        let extended = Loose::new(&self.alice, self.suite).welcome_to_extensions(&id, &key_package);
        let extended = story::with_welcome(&made.entry, &extended);
        self.refuse("welcome-to-a-group-with-extensions", "MLS-006", extended, "wrong-profile");
        let by_carol = story::with_sender(&made.entry, carol);
        self.refuse("welcome-by-another-than-the-sender", "MLS-031", by_carol, "sender-mismatch");

        let payload = v1::CommitPayload::decode(&bytes(&made.entry["payload"])[..]).unwrap();
        let commit = MlsMessage::from_bytes(&payload.commit).unwrap();
        self.loose.group().process_incoming_message(commit).unwrap();

        self.story.say(alice, &profile());
        json!({
            "user_id": hex::encode(self.bob.owner.user.as_bytes()),
            "device_id": hex::encode(self.bob.owner.device.as_bytes()),
            "signature_private_key": hex::encode(self.bob.key(self.suite).to_bytes()),
            "key_package": hex::encode(key_package),
            "init_private_key": hex::encode(keys.init),
            "encryption_private_key": hex::encode(keys.encryption),
        })
    }

    /// A Welcome to epoch 1 of another group of Alice's with this id.
    fn first_welcome(&self, id: GroupId, key_package: &[u8]) -> Vec<u8> {
        let mut group = self.alice.device(&self.logs).create(self.suite, id, NOW).unwrap();
        let add = vec![group.key_package(key_package).unwrap()];
        let made = group.commit(&Change { add, ..Change::default() }, b"", NOW).unwrap();
        made.welcome.unwrap()
    }

    /// Alice says something, and before Carol has taken that in, she does.
    fn talk(&mut self) {
        let (alice, carol) = (self.alice.owner, self.carol.owner);
        let seen = self.story.head();
        self.story.say(alice, &text("Welcome, Bob!"));
        let real = self.story.entries.last().unwrap().clone();
        let retagged =
            story::with_message(&real, |clear, _| clear.franking_tag = [7; 32].to_vec().into());
        self.refuse("message-whose-header-was-changed", "MLS-014", retagged, "header-mismatch");
        let by_carol = story::with_sender(&real, carol);
        self.refuse("message-under-another-sender", "MLS-028", by_carol, "sender-mismatch");
        let damaged =
            story::with_message(&real, |_, ciphertext| *ciphertext.last_mut().unwrap() ^= 1);
        self.refuse("message-damaged", "MLS-023", damaged, "tampered");

        let long = text(&"Bring boots. ".repeat(20));
        let (entry, then) = self.story.message(carol, &long, |clear, _| {
            (clear.head_seq, clear.chain) = (seen.0, seen.1.into());
        });
        self.story.append(entry, then);
    }

    /// Mallory makes what RFC 9420 permits, and the profile does not.
    fn break_the_profile(&mut self) {
        let (mallory, dave) = (self.mallory.owner, self.dave.owner);
        let own = ClaimedChange { epoch: 2, ..ClaimedChange::default() };
        let comes = ClaimedChange { added: [dave].into(), ..own.clone() };
        let daves = self.dave.device(&self.logs).key_package(self.suite, false, NOW).unwrap();
        let daves = MlsMessage::from_bytes(&daves).unwrap();
        let made = self.break_by(&comes, |commit| commit.add_member(daves).unwrap());
        self.refuse("commit-without-a-path", "MLS-007", made, "no-path");
        let made =
            self.break_by(&own, |commit| commit.set_group_context_ext(loose::required()).unwrap());
        self.refuse("commit-of-another-proposal", "MLS-008", made, "forbidden-proposal");
        let made =
            self.break_by(&own, |commit| commit.set_leaf_node_extensions(loose::leaf_extensions()));
        self.refuse("commit-that-gives-its-leaf-extensions", "MLS-047", made, "invalid");
        let identity = loose::identity(&self.dave, self.suite);
        let key = self.dave.key(self.suite).to_bytes().to_vec().into();
        let made = self.break_by(&own, |commit| commit.set_new_signing_identity(key, identity));
        self.refuse("commit-that-gives-its-leaf-away", "MLS-011", made, "credential-refused");

        let clear = self.story.clear(&own, false);
        let data = authenticated_data(&clear.encode_to_vec());
        let mut unencrypted = self.loose.unencrypted(&self.mallory, self.suite);
        let made = unencrypted.commit(&data, |commit| commit);
        let entry = self.story.commit_entry(mallory, &clear, &made);
        self.refuse("commit-not-encrypted", "MLS-005", entry, "wrong-kind");

        let clear = self.story.clear(&comes, true);
        let data = authenticated_data(&clear.encode_to_vec());
        let info = self.story.group(self.alice.owner).group_info().unwrap();
        let builder = Loose::new(&self.dave, self.suite).client.external_commit_builder().unwrap();
        let builder = builder.with_authenticated_data(data.to_vec());
        let (_, made) = builder.build(MlsMessage::from_bytes(&info).unwrap()).unwrap();
        let entry = self.story.commit_entry(dave, &clear, &made.to_bytes().unwrap());
        let reason = "external-commit-refused";
        self.refuse("external-commit-of-who-has-no-leaf", "MLS-012", entry, reason);

        let unpadded = |envelope: &[u8]| envelope.to_vec();
        let entry = self.say_by(mallory, unpadded);
        self.refuse("message-not-padded", "MLS-022", entry, "bad-padding");
        for _ in 0..1024 {
            self.loose.group().encrypt_application_message(b"", Vec::new()).unwrap();
        }
        let mut entry = self.say_by(mallory, |envelope| pad(envelope).unwrap());
        entry.as_object_mut().unwrap().remove("application_data");
        self.refuse("message-after-1025-that-are-missing", "MLS-033", entry, "too-far-ahead");
    }

    /// A commit of Mallory's, under a header that claims what it does.
    fn break_by(
        &mut self,
        claim: &ClaimedChange,
        propose: impl FnOnce(loose::Commit<'_>) -> loose::Commit<'_>,
    ) -> Value {
        let clear = self.story.clear(claim, false);
        let data = authenticated_data(&clear.encode_to_vec());
        let made = self.loose.commit(&data, propose);
        self.story.commit_entry(self.mallory.owner, &clear, &made)
    }

    /// A message of Mallory's, whose Envelope is padded so.
    fn say_by(&mut self, sender: Owner, pad: impl Fn(&[u8]) -> Vec<u8>) -> Value {
        let sealed = self.story.seal(sender, &text("Unheard of."), |_, _| ());
        let (padded, data) = (pad(&sealed.envelope), authenticated_data(&sealed.header));
        let made = self.loose.group().encrypt_application_message(&padded, data.to_vec()).unwrap();
        let mut entry = self.story.message_entry(&sealed, &made.to_bytes().unwrap());
        entry["application_data"] = hex::encode(padded).into();
        entry
    }

    /// Carol renews her keys, after she has tried other things.
    fn renew(&mut self) {
        let carol = self.carol.owner;
        let [dave, stranger] = [&self.dave, &self.stranger].map(|phone| {
            phone.device(&self.believed()).key_package(self.suite, false, NOW).unwrap()
        });
        let change = self.story.change(carol, &[&dave], &[]);
        let lie = self.story.lie(carol, &change, |clear| clear.added.clear()).entry;
        self.refuse("commit-that-adds-whom-no-header-names", "MLS-015", lie, "claim-mismatch");
        let change = self.story.change(carol, &[&stranger], &[]);
        let lie = self.story.lie(carol, &change, |_| ()).entry;
        self.refuse("commit-that-adds-a-device-of-no-log", "MLS-025", lie, "credential-refused");
        let (early, _) = self.story.message(carol, &text("Too late."), |clear, _| clear.epoch += 1);

        let made = self.commit_of(carol, &[], &[], "followed");
        let forged = story::with_commit(&made.entry, |clear| clear.chain = [7; 32].to_vec().into());
        self.refuse("commit-whose-header-was-changed", "MLS-014", forged, "header-mismatch");
        let by_alice = story::with_sender(&made.entry, self.alice.owner);
        self.refuse("commit-under-another-sender", "MLS-028", by_alice, "sender-mismatch");
        let late = story::moved(&early, self.story.seq());
        self.refuse("message-of-the-epoch-before", "MLS-018", late, "stale-epoch");
    }

    /// Carol answers; others of her messages state what is not so.
    fn talk_at_the_next_epoch(&mut self) {
        let carol = self.carol.owner;
        let said =
            v1::EntryHeader::decode(&bytes(&self.story.entries[6 - 1]["header"])[..]).unwrap();
        let answer = v1::Content {
            reply_to: Some(v1::MessageRef { seq: said.seq, message_id: said.message_id }),
            ..text("And a map.")
        };
        let (entry, then) = self.story.message(carol, &answer, |_, _| ());
        let mut lying = |change: fn(&mut v1::PrivateHeader, &mut LogHead)| {
            let (mut entry, then) = self.story.message(carol, &text("Not so."), change);
            entry["application_data"] = then["application_data"].clone();
            entry
        };
        let tag = lying(|clear, _| clear.franking_tag = [7; 32].to_vec().into());
        let log = lying(|_, log| log.hash = [7; 32]);
        let history = lying(|clear, _| clear.chain = [7; 32].to_vec().into());
        let future = lying(|clear, _| clear.head_seq += 1);
        self.story.append(entry, then);
        self.refuse("message-with-another-tag", "FRANK-004", tag, "tag");
        self.refuse("message-that-states-another-device-log", "TRUST-006", log, "diverged");
        self.refuse("message-that-states-another-history", "HEAD-011", history, "history");
        self.refuse("message-that-states-the-future", "HEAD-011", future, "history");
        let again = story::moved(self.story.entries.last().unwrap(), self.story.seq());
        self.refuse("message-again", "MLS-023", again, "replayed");
    }

    /// Alice's laptop comes in by an external commit, and says so; her phone says the name for it.
    fn come_in_from_outside(&mut self) {
        let (alice, laptop) = (self.alice.owner, self.laptop.owner);
        let head = self.logs.0[&alice.user].head();
        self.story.heads.insert(alice.user, head);
        let info = self.story.group(alice).group_info().unwrap();
        let device = self.laptop.device(&self.logs);
        let epoch = self.story.group(alice).epoch();
        let rejoin = device.rejoin(&info, self.group, epoch, None).unwrap();
        let clear = self.story.clear(rejoin.claim(), true);
        let (group, made) = rejoin.commit(&clear.encode_to_vec()).unwrap();
        let entry = self.story.commit_entry(laptop, &clear, &made.commit);
        self.story.follow(laptop, &entry, &clear);
        self.story.groups.push((laptop, group));
        let then = state("followed", self.story.group(laptop));
        self.story.append(entry, then);
        self.story.say(laptop, &text("From my laptop."));
        self.story.say(alice, &profile());
    }

    /// Alice removes Carol and Mallory, and then her laptop the reader, whose user's tablet stays.
    fn remove(&mut self) {
        let (alice, laptop) = (self.alice.owner, self.laptop.owner);
        self.commit_of(alice, &[], &[self.carol.owner, self.mallory.owner], "followed");
        self.story.say(alice, &text("They have gone ahead."));
        self.commit_of(laptop, &[], &[self.bob.owner], "removed");
        self.story.say_unread(alice, &text("His phone was lost."), "out");
    }

    /// The device logs as Carol has them.
    fn believed(&self) -> Logs {
        let mut logs = self.logs.clone();
        let daves = User::new("dave", 0x15, &[&self.dave, &self.stranger]);
        logs.0.insert(daves.log.user(), daves.log);
        logs
    }

    fn commit_of(&mut self, by: Owner, add: &[&[u8]], remove: &[Owner], is: &str) -> Made {
        let change = self.story.change(by, add, remove);
        self.story.commit(by, &change, is)
    }

    fn refuse(&mut self, id: &str, requirement: &str, entry: Value, error: &str) {
        let header = v1::EntryHeader::decode(&bytes(&entry["header"])[..]).unwrap();
        self.refused.push(json!({
            "id": format!("{}-{id}", self.name),
            "requirements": [requirement],
            "kind": "entry",
            "of": self.name,
            "in_place_of": header.seq,
            "entry": entry,
            "result": "invalid",
            "error": error,
        }));
    }
}

fn profile() -> v1::Content {
    let profile = v1::GroupProfile { name: "Hikers".into(), color: 0x2e_8b57 };
    v1::Content { body: Some(v1::content::Body::Profile(profile)), reply_to: None }
}

fn text(body: &str) -> v1::Content {
    let text = v1::Text { body: body.into(), mentions: Vec::new() };
    v1::Content { body: Some(v1::content::Body::Text(text)), reply_to: None }
}
