//! Messages made durable through the journal, on a real file: what a batch costs, and how that shrinks for each message.

use std::sync::Arc;

use aside_proto::{
    id::{ConversationId, IdempotencyKey, uuid_v7},
    limits,
    name::Name,
    v1,
};
use aside_store::{Append, CreateRoom, LoggedIn, Options, Register, Store};
use benches::criterion;
use bytes::Bytes;
use criterion::{BenchmarkId, Throughput};
use tokio::runtime::{Builder, Runtime};

const TIME_MS: u64 = 1_800_000_000_000;
const PAYLOAD_BYTES: usize = 256;

fn main() {
    let mut criterion = criterion();
    // On one thread the writer first runs when an answer is waited for: all that was put before is one batch.
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime is made");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder is made");
    let url = format!("sqlite://{}/aside.db", folder.path().display());
    let mut sender = Sender::new(&runtime, &url);

    let mut group = criterion.benchmark_group("journal append");
    for batch in [1, 16, 256] {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(BenchmarkId::from_parameter(batch), |b| {
            b.iter(|| runtime.block_on(sender.send(batch)));
        });
    }
    group.finish();
    runtime.block_on(sender.store.close());
    criterion.final_summary();
}

/// A device in a room, and how many keys it has used.
struct Sender {
    store: Store,
    who: LoggedIn,
    room: ConversationId,
    keys: u64,
}

impl Sender {
    fn new(runtime: &Runtime, url: &str) -> Self {
        let name = |text| Name::new(text, 32).expect("a name");
        let options = Options {
            limits: limits::DEFAULT,
            clock: Arc::new(|| TIME_MS),
            entropy: Arc::new(|bytes| getrandom::fill(bytes).expect("the system has randomness")),
            retention: aside_proto::retention::NONE,
            default_room: name("lobby"),
            observer: Arc::new(()),
        };
        runtime.block_on(async {
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
            Self { store, who, room, keys: 2 }
        })
    }

    /// Sends so many messages at once, and waits until all are durable.
    async fn send(&mut self, count: u64) {
        let first = self.keys;
        self.keys += count;
        let replies: Vec<_> =
            (first..self.keys).map(|n| self.store.append(self.message(n))).collect();
        for reply in replies {
            reply.await.expect("a member's message is taken");
        }
    }

    fn message(&self, n: u64) -> Append {
        Append {
            user: self.who.user,
            device: self.who.device,
            conversation: self.room,
            message_id: key(n),
            payload: Bytes::from_static(&[3; PAYLOAD_BYTES]),
            salt: [4; 32],
            signature: Bytes::from_static(&[5; 64]),
        }
    }
}

/// The nth key: in order of time, as clients make them.
fn key(n: u64) -> IdempotencyKey {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    IdempotencyKey::new(uuid_v7(TIME_MS + n / 1000, random))
}
