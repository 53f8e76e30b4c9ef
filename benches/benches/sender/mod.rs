//! Somebody who sends messages to a store.

use std::sync::Arc;

use aside_proto::{
    id::{ConversationId, IdempotencyKey, uuid_v7},
    limits,
    name::Name,
    private::{Epoch, Establishment, Leaf},
    retention, v1,
};
use aside_store::{
    Append, CreateGroup, CreateRoom, EstablishGroup, LoggedIn, Options, PublishDeviceLog, Register,
    SendPrivate, Store, UpdateRoom, VerifiedLog,
};
use bytes::Bytes;

const TIME_MS: u64 = 1_800_000_000_000;

/// A device in a room, and how many keys it has used.
pub(crate) struct Sender {
    pub(crate) store: Store,
    who: LoggedIn,
    room: ConversationId,
    group: ConversationId,
    payload: Bytes,
    keys: u64,
}

impl Sender {
    /// Makes an account, and a room and a GROUP in which it says `payload` again and again.
    pub(crate) async fn new(url: &str, payload: Bytes) -> Self {
        let name = |text| Name::new(text, 32).expect("a name");
        let options = Options {
            limits: limits::DEFAULT,
            clock: Arc::new(|| TIME_MS),
            entropy: Arc::new(|bytes| getrandom::fill(bytes).expect("the system has randomness")),
            retention: retention::NONE,
            default_room: name("lobby"),
            newcomers: Arc::new(|_, _| Ok(())),
            observer: Arc::new(()),
        };
        let store = Store::open(url, options).await.expect("a new database opens");
        let register = Register {
            key: key(0),
            handle: name("alice"),
            on_conflict: v1::OnConflict::Reject,
            password_hash: "$argon2id$".into(),
            public_key: [4; 65],
            device_name: "bench".into(),
        };
        let who = store.register(register).await.expect("the handle is free");
        let LoggedIn { user, device } = who;
        let create = CreateRoom { key: key(1), user, device, name: name("bench") };
        let made = store.create_room(create).await.expect("the name is free");
        let id = made.room.expect("a new room is described").conversation_id;
        let room = ConversationId::try_from(&id[..]).expect("an id");
        let group = begin_group(&store, who).await;
        Self { store, who, room, group, payload, keys: 5 }
    }

    /// Keeps no more than the last `max_entries` entries; gives the first that is left.
    #[allow(dead_code)] // One of the benches that share this has no use for it.
    pub(crate) async fn keep(&mut self, max_entries: u64) -> u64 {
        self.keys += 1;
        let LoggedIn { user, device } = self.who;
        let update = UpdateRoom {
            key: key(self.keys - 1),
            user,
            device,
            conversation: self.room,
            name: None,
            topic: None,
            description: None,
            invite_only: None,
            retention: Some(v1::Retention { max_age_s: 0, max_entries }),
        };
        let updated = self.store.update_room(update).await.expect("the owner may");
        updated.room.expect("the room is described").first_seq
    }

    /// Sends so many messages at once, and waits until all are durable.
    pub(crate) async fn send(&mut self, count: u64) {
        let first = self.keys;
        self.keys += count;
        let replies: Vec<_> =
            (first..self.keys).map(|n| self.store.append(self.message(n))).collect();
        for reply in replies {
            reply.await.expect("a member's message is taken");
        }
    }

    /// The same of private messages, to the GROUP.
    #[allow(dead_code)] // One of the benches that share this has no use for it.
    pub(crate) async fn send_private(&mut self, count: u64) {
        let first = self.keys;
        self.keys += count;
        let replies: Vec<_> =
            (first..self.keys).map(|n| self.store.send_private(self.private(n))).collect();
        for reply in replies {
            reply.await.expect("a leaf's message is taken");
        }
    }

    fn private(&self, n: u64) -> SendPrivate {
        SendPrivate {
            user: self.who.user,
            device: self.who.device,
            conversation: self.group,
            message_id: key(n),
            epoch: Epoch { generation: 1, epoch: 1 },
            payload: self.payload.clone(),
            salt: [4; 32],
        }
    }

    fn message(&self, n: u64) -> Append {
        Append {
            user: self.who.user,
            device: self.who.device,
            conversation: self.room,
            message_id: key(n),
            payload: self.payload.clone(),
            salt: [4; 32],
            signature: Bytes::from_static(&[5; 64]),
        }
    }
}

/// Approves a device, and makes it the only leaf of a group.
async fn begin_group(store: &Store, who: LoggedIn) -> ConversationId {
    let LoggedIn { user, device } = who;
    let log = PublishDeviceLog {
        key: key(2),
        user,
        device,
        from_position: 0,
        entries: vec![Bytes::from_static(b"genesis")],
        replaces: 0,
        verified: Some(VerifiedLog {
            after: None,
            active: vec![(device, [4; 65])],
            revoked: Vec::new(),
        }),
    };
    store.publish_device_log(log).await.expect("the log is empty");
    let create = CreateGroup { key: key(3), user, device };
    let made = store.create_group(create).await.expect("the device is approved");
    let id = made.conversation.expect("a new group is described").conversation_id;
    let conversation = ConversationId::try_from(&id[..]).expect("an id");
    let plan = Establishment {
        conversation,
        generation: 1,
        head_seq: 1,
        suite: 2,
        leaves: vec![Leaf { user, device }],
        culprit: None,
    };
    let establish = EstablishGroup {
        key: key(4),
        user,
        device,
        plan,
        header: Bytes::from_static(b"header"),
        salt: [4; 32],
        welcomes: Vec::new(),
        group_info: Bytes::from_static(b"info"),
    };
    store.establish_group(establish).await.expect("there is no group yet");
    conversation
}

/// The nth key: in order of time, as clients make them.
fn key(n: u64) -> IdempotencyKey {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    IdempotencyKey::new(uuid_v7(TIME_MS + n / 1000, random))
}
