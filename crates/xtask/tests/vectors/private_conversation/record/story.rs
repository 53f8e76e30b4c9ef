//! Who is in a recorded conversation, and how its entries are made.

use std::{collections::HashMap, sync::Arc};

use aside_crypto::{
    Certificate, Change as LogChange, DeviceLog, Envelope, Hash, LogHead, MlsKey, Signer,
    SigningKey as LoginKey, chain_next, chain_start, payload_hash,
};
use aside_mls::{
    AwsLc, Change, ClaimedChange, Device, Group, Owner, SigningKey, Suite, testing::pad,
};
use aside_proto::{
    id::{ConversationId, DeviceId, UserId, uuid_v7},
    v1,
};
use prost::Message as _;
use serde_json::{Value, json};

use super::super::{Logs, array, bytes, owners, reader::state};

/// 2026-01-01T00:00:00Z.
pub(super) const TIME_MS: u64 = 1_767_225_600_000;
/// The same in seconds.
pub(super) const NOW: u64 = TIME_MS / 1000;

/// A device, and all of its keys.
pub(super) struct Phone {
    pub(super) owner: Owner,
    login: LoginKey,
    keys: Vec<SigningKey>,
    pub(super) certificate: Certificate,
}

impl Phone {
    pub(super) fn new(user: u8, device: u8) -> Self {
        let owner = Owner {
            user: UserId::new(uuid_v7(TIME_MS, [user; 10])),
            device: DeviceId::new(uuid_v7(TIME_MS, [device; 10])),
        };
        let login = LoginKey::from_bytes(&[device; 32]).unwrap();
        let keys = Suite::ALL.map(|suite| SigningKey::generate::<AwsLc>(suite).unwrap());
        let named = keys
            .each_ref()
            .map(|key| MlsKey { suite: key.suite().number(), public_key: key.public().to_vec() });
        let certificate =
            Certificate::issue(owner.user, owner.device, &login, &named).expect("it is complete");
        Self { owner, login, keys: keys.to_vec(), certificate }
    }

    /// This device, as it judges others by these logs.
    pub(super) fn device(&self, logs: &Logs) -> Device<AwsLc> {
        let certificate = self.certificate.as_bytes().to_vec();
        Device::new(certificate, self.keys.clone(), Arc::new(logs.clone()), []).unwrap()
    }

    pub(super) fn key(&self, suite: Suite) -> &SigningKey {
        self.keys.iter().find(|key| key.suite() == suite).unwrap()
    }
}

/// A user's device log, and its entries.
pub(super) struct User {
    pub(super) name: &'static str,
    pub(super) log: DeviceLog,
    pub(super) entries: Vec<Vec<u8>>,
}

impl User {
    /// With these devices, each let in by the first.
    pub(super) fn new(name: &'static str, account: u8, phones: &[&Phone]) -> Self {
        let account = LoginKey::from_bytes(&[account; 32]).unwrap();
        let first = phones[0];
        let genesis = DeviceLog::sign_genesis(&account, &first.certificate);
        let mut log = DeviceLog::begin(first.owner.user, &genesis).unwrap();
        let mut entries = vec![genesis];
        for phone in &phones[1..] {
            let change = LogChange::Add(phone.certificate.clone());
            let entry = log.sign_next(Signer::Device(first.owner.device), &first.login, &change);
            log.apply(&entry).unwrap();
            entries.push(entry);
        }
        Self { name, log, entries }
    }
}

/// The conversation so far.
pub(super) struct Story {
    conversation: ConversationId,
    /// The groups of those who are in it, but for the reader's.
    pub(super) groups: Vec<(Owner, Group<AwsLc>)>,
    /// The heads of the device logs that messages state.
    pub(super) heads: HashMap<UserId, LogHead>,
    pub(super) entries: Vec<Value>,
    /// chain(0), chain(1), …
    chains: Vec<Hash>,
    /// How often something was drawn that need not be secret.
    drawn: u8,
}

/// A commit that nobody has followed yet.
pub(super) struct Made {
    pub(super) entry: Value,
    clear: v1::CommitHeader,
    pub(super) welcome: Option<Vec<u8>>,
}

/// A message before MLS encrypts it.
pub(super) struct Sealed {
    sender: Owner,
    message_id: [u8; 16],
    pub(super) header: Vec<u8>,
    pub(super) envelope: Vec<u8>,
    content: Vec<u8>,
    key: [u8; 32],
    log: LogHead,
}

impl Story {
    pub(super) fn new(conversation: ConversationId, heads: HashMap<UserId, LogHead>) -> Self {
        let chains = vec![chain_start(conversation)];
        Self { conversation, groups: Vec::new(), heads, entries: Vec::new(), chains, drawn: 0 }
    }

    /// The next entry's.
    pub(super) fn seq(&self) -> u64 {
        self.chains.len() as u64
    }

    fn message_id(&mut self) -> [u8; 16] {
        self.drawn += 1;
        uuid_v7(TIME_MS + 1000 * self.seq(), [self.drawn; 10])
    }

    pub(super) fn group(&mut self, of: Owner) -> &mut Group<AwsLc> {
        &mut self.groups.iter_mut().find(|(owner, _)| *owner == of).unwrap().1
    }

    /// The entry that would come next.
    fn entry(
        &self,
        kind: v1::EntryKind,
        sender: Owner,
        message_id: &[u8],
        payload: &[u8],
    ) -> Value {
        let header = v1::EntryHeader {
            conversation_id: self.conversation.to_bytes(),
            seq: self.seq(),
            kind: kind.into(),
            sender_user_id: sender.user.to_bytes(),
            sender_device_id: sender.device.to_bytes(),
            message_id: message_id.to_vec().into(),
            time_ms: TIME_MS + 1000 * self.seq(),
            signature: Vec::new().into(),
        };
        json!({
            "header": hex::encode(header.encode_to_vec()),
            "salt": hex::encode([self.drawn; 32]),
            "payload": hex::encode(payload),
        })
    }

    /// An entry without an MLS message, before the reader comes in.
    pub(super) fn server_entry(&mut self, kind: v1::EntryKind, sender: Owner, payload: &[u8]) {
        let message_id = self.message_id();
        let entry = self.entry(kind, sender, &message_id, payload);
        self.append(entry, json!({ "is": "before" }));
    }

    pub(super) fn append(&mut self, mut entry: Value, then: Value) {
        let hash = payload_hash(&array(&entry["salt"]), &bytes(&entry["payload"]));
        let last = self.chains.last().unwrap();
        let chain = chain_next(last, &bytes(&entry["header"]), &hash);
        entry["chain"] = hex::encode(chain).into();
        entry["then"] = then;
        self.chains.push(chain);
        self.entries.push(entry);
    }

    /// The last seq, and the chain value there (HEAD-010).
    pub(super) fn head(&self) -> (u64, Vec<u8>) {
        (self.seq() - 1, self.chains.last().unwrap().to_vec())
    }

    /// A message before it is encrypted; its header and the log that it states may be changed before that.
    pub(super) fn seal(
        &mut self,
        sender: Owner,
        content: &v1::Content,
        change: impl FnOnce(&mut v1::PrivateHeader, &mut LogHead),
    ) -> Sealed {
        let message_id = self.message_id();
        let (head_seq, chain) = self.head();
        let (content, mut log) = (content.encode_to_vec(), self.heads[&sender.user]);
        let key = [self.drawn + 0x80; 32];
        let mut draw = |out: &mut [u8]| out.copy_from_slice(&key);
        let tag = Envelope::seal(&content, log, &mut draw).1;
        let mut clear = v1::PrivateHeader {
            conversation_id: self.conversation.to_bytes(),
            message_id: message_id.to_vec().into(),
            generation: 1,
            epoch: self.groups[0].1.epoch(),
            franking_tag: tag.to_vec().into(),
            head_seq,
            chain: chain.into(),
        };
        change(&mut clear, &mut log);
        let envelope = Envelope::seal(&content, log, &mut draw).0;
        Sealed { sender, message_id, header: clear.encode_to_vec(), envelope, content, key, log }
    }

    pub(super) fn message_entry(&self, sealed: &Sealed, ciphertext: &[u8]) -> Value {
        let payload = v1::PrivatePayload {
            header: sealed.header.clone().into(),
            ciphertext: ciphertext.to_vec().into(),
        };
        let kind = v1::EntryKind::PrivateMessage;
        self.entry(kind, sealed.sender, &sealed.message_id, &payload.encode_to_vec())
    }

    /// The entry of a message, and what its reader reads.
    pub(super) fn message(
        &mut self,
        sender: Owner,
        content: &v1::Content,
        change: impl FnOnce(&mut v1::PrivateHeader, &mut LogHead),
    ) -> (Value, Value) {
        let sealed = self.seal(sender, content, change);
        let group = self.group(sender);
        let ciphertext = group.encrypt(&sealed.envelope, &sealed.header).unwrap();
        let then = json!({
            "is": "read",
            "leaf": group.own_leaf(),
            "user_id": hex::encode(sender.user.as_bytes()),
            "device_id": hex::encode(sender.device.as_bytes()),
            "application_data": hex::encode(pad(&sealed.envelope).unwrap()),
            "content": hex::encode(&sealed.content),
            "franking_key": hex::encode(sealed.key),
            "log_position": sealed.log.position,
            "log_hash": hex::encode(sealed.log.hash),
        });
        (self.message_entry(&sealed, &ciphertext), then)
    }

    pub(super) fn say(&mut self, sender: Owner, content: &v1::Content) {
        let (entry, then) = self.message(sender, content, |_, _| ());
        self.append(entry, then);
    }

    /// What the reader is not there for.
    pub(super) fn say_unread(&mut self, sender: Owner, content: &v1::Content, is: &str) {
        let (entry, _) = self.message(sender, content, |_, _| ());
        self.append(entry, json!({ "is": is }));
    }

    pub(super) fn clear(&mut self, claim: &ClaimedChange, is_external: bool) -> v1::CommitHeader {
        let (head_seq, chain) = self.head();
        v1::CommitHeader {
            conversation_id: self.conversation.to_bytes(),
            message_id: self.message_id().to_vec().into(),
            generation: 1,
            epoch: claim.epoch,
            added: leaves(&claim.added),
            removed: leaves(&claim.removed),
            is_external,
            head_seq,
            chain: chain.into(),
        }
    }

    pub(super) fn commit_entry(&self, by: Owner, clear: &v1::CommitHeader, commit: &[u8]) -> Value {
        let payload = v1::CommitPayload {
            header: clear.encode_to_vec().into(),
            commit: commit.to_vec().into(),
        };
        self.entry(v1::EntryKind::Commit, by, &clear.message_id, &payload.encode_to_vec())
    }

    pub(super) fn change(&mut self, by: Owner, add: &[&[u8]], remove: &[Owner]) -> Change {
        let group = self.group(by);
        let add = add.iter().map(|key_package| group.key_package(key_package).unwrap()).collect();
        Change { add, remove: remove.iter().copied().collect() }
    }

    /// A commit of this change, pending, whose header may be changed before it is made.
    fn make(
        &mut self,
        by: Owner,
        change: &Change,
        lie: impl FnOnce(&mut v1::CommitHeader),
    ) -> Made {
        let claim = self.group(by).claim(change);
        let mut clear = self.clear(&claim, false);
        lie(&mut clear);
        let made = self.group(by).commit(change, &clear.encode_to_vec(), NOW).unwrap();
        let entry = self.commit_entry(by, &clear, &made.commit);
        Made { entry, clear, welcome: made.welcome }
    }

    /// A commit that the reader should refuse: its maker takes it back.
    pub(super) fn lie(
        &mut self,
        by: Owner,
        change: &Change,
        lie: impl FnOnce(&mut v1::CommitHeader),
    ) -> Made {
        let made = self.make(by, change, lie);
        self.group(by).clear_pending();
        made
    }

    /// All in the group follow a commit, and the log has it.
    pub(super) fn commit(&mut self, by: Owner, change: &Change, is: &str) -> Made {
        let Made { mut entry, clear, welcome } = self.make(by, change, |_| ());
        self.group(by).apply_pending().unwrap();
        if let Some(welcome) = &welcome {
            entry["welcome"] = hex::encode(welcome).into();
        }
        self.follow(by, &entry, &clear);
        let then = match is {
            "removed" => json!({ "is": is }),
            _ => state(is, self.group(by)),
        };
        self.append(entry.clone(), then);
        Made { entry, clear, welcome }
    }

    pub(super) fn follow(&mut self, by: Owner, entry: &Value, clear: &v1::CommitHeader) {
        let payload = v1::CommitPayload::decode(&bytes(&entry["payload"])[..]).unwrap();
        let (added, removed) = (owners(&clear.added), owners(&clear.removed));
        let claim = ClaimedChange { epoch: clear.epoch, added, removed };
        for (owner, group) in &mut self.groups {
            if *owner != by {
                group.receive_commit(&payload.commit, &payload.header, by, &claim).unwrap();
            }
        }
        self.groups.retain(|(owner, _)| !claim.removed.contains(owner));
    }
}

pub(super) fn leaves<'a>(owners: impl IntoIterator<Item = &'a Owner>) -> Vec<v1::Leaf> {
    let leaf = |owner: &Owner| v1::Leaf {
        user_id: owner.user.to_bytes(),
        device_id: owner.device.to_bytes(),
    };
    owners.into_iter().map(leaf).collect()
}

/// The entry as another's.
pub(super) fn with_sender(entry: &Value, sender: Owner) -> Value {
    with_header(entry, |header| {
        header.sender_user_id = sender.user.to_bytes();
        header.sender_device_id = sender.device.to_bytes();
    })
}

/// The entry at another place.
pub(super) fn moved(entry: &Value, seq: u64) -> Value {
    with_header(entry, |header| {
        header.seq = seq;
        header.time_ms = TIME_MS + 1000 * seq;
    })
}

fn with_header(entry: &Value, change: impl FnOnce(&mut v1::EntryHeader)) -> Value {
    let mut header = v1::EntryHeader::decode(&bytes(&entry["header"])[..]).unwrap();
    change(&mut header);
    with(entry, "header", &header.encode_to_vec())
}

/// The entry of a message whose clear header or ciphertext was changed.
pub(super) fn with_message(
    entry: &Value,
    change: impl FnOnce(&mut v1::PrivateHeader, &mut Vec<u8>),
) -> Value {
    let payload = v1::PrivatePayload::decode(&bytes(&entry["payload"])[..]).unwrap();
    let mut clear = v1::PrivateHeader::decode(payload.header).unwrap();
    let mut ciphertext = payload.ciphertext.to_vec();
    change(&mut clear, &mut ciphertext);
    let header = clear.encode_to_vec().into();
    let payload = v1::PrivatePayload { header, ciphertext: ciphertext.into() };
    with(entry, "payload", &payload.encode_to_vec())
}

/// The entry of a commit whose clear header was changed.
pub(super) fn with_commit(entry: &Value, change: impl FnOnce(&mut v1::CommitHeader)) -> Value {
    let payload = v1::CommitPayload::decode(&bytes(&entry["payload"])[..]).unwrap();
    let mut clear = v1::CommitHeader::decode(payload.header).unwrap();
    change(&mut clear);
    let payload = v1::CommitPayload { header: clear.encode_to_vec().into(), ..payload };
    with(entry, "payload", &payload.encode_to_vec())
}

/// The entry with this Welcome.
pub(super) fn with_welcome(entry: &Value, welcome: &[u8]) -> Value {
    with(entry, "welcome", welcome)
}

/// The entry with another member, and without what comes of it.
fn with(entry: &Value, member: &str, bytes: &[u8]) -> Value {
    let mut entry = entry.clone();
    let members = entry.as_object_mut().unwrap();
    members.retain(|name, _| !["chain", "then"].contains(&name.as_str()));
    entry[member] = hex::encode(bytes).into();
    entry
}
