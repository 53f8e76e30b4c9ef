//! Private messages from plaintext to what may be sent: encrypted, and kept with the group's state in one transaction that is on the
//! disk, on a real file; beside that, the transaction alone, with as much to seal.

use aside_client::{
    private::{ConversationWrites, Writes},
    testing::PrivateStore,
};
use aside_mls::{Change, DefaultCrypto, Device, Group, GroupId, Secret, Suite, testing::Cast};
use aside_proto::id::{ConversationId, IdempotencyKey};
use benches::criterion;
use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::runtime::{Builder, Runtime};

const NOW: u64 = 1_800_000_000;
const CONVERSATION: ConversationId = ConversationId::new([7; 16]);
const CONTENT: [u8; 256] = [7; 256];
const HEADER: [u8; 160] = [3; 160];
const BATCHES: [u64; 2] = [1, 64];
/// Members of the group: its state is written with each batch, and grows with them.
const MEMBERS: [u16; 2] = [2, 100];

fn main() {
    let mut criterion = criterion();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime is made");
    for members in MEMBERS {
        let mut sender = Sender::new(members);
        let encrypted = |sender: &mut Sender, count| sender.encrypt(count);
        measure(
            &mut criterion,
            &runtime,
            &format!("private encrypt and keep, {members} members"),
            &mut sender,
            encrypted,
        );
        let state = sender.state();
        let kept = |sender: &mut Sender, count| sender.waiting(count, &state, |_| vec![7; 400]);
        measure(
            &mut criterion,
            &runtime,
            &format!("private keep, {members} members"),
            &mut sender,
            kept,
        );
    }
    criterion.final_summary();
}

fn measure(
    criterion: &mut Criterion,
    runtime: &Runtime,
    name: &str,
    sender: &mut Sender,
    write: impl Fn(&mut Sender, u64) -> Writes,
) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder is made");
    let store = runtime.block_on(PrivateStore::open(folder.path())).expect("a state is made");
    let mut group = criterion.benchmark_group(name);
    for batch in BATCHES {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(BenchmarkId::from_parameter(batch), |b| {
            b.iter(|| {
                let writes = write(sender, batch);
                runtime.block_on(store.keep(&writes)).expect("it is kept");
            });
        });
    }
    group.finish();
    runtime.block_on(store.close());
}

/// One who writes to a group.
struct Sender {
    device: Device,
    group: Group<DefaultCrypto>,
    said: u64,
}

impl Sender {
    fn new(members: u16) -> Self {
        let cast = Cast::default();
        let device = |n| cast.device::<DefaultCrypto>(n, n).expect("there is randomness");
        let alice = device(1);
        let id = GroupId { conversation: CONVERSATION, generation: 0 };
        let mut group = alice.create(Suite::P256Aes128, id, NOW).expect("it is admitted");
        let add = (2..=members).map(|n| {
            let key_package = device(n).key_package(Suite::P256Aes128, false, NOW);
            group.key_package(&key_package.expect("it has the suite")).expect("it is genuine")
        });
        let change = Change { add: add.collect(), ..Change::default() };
        group.commit(&change, &HEADER, NOW).expect("it commits");
        group.apply_pending().expect("it is pending");
        Self { device: alice, group, said: 0 }
    }

    /// What has to be kept before so many messages are sent.
    fn encrypt(&mut self, count: u64) -> Writes {
        let encrypt = |group: &mut Group<DefaultCrypto>| group.encrypt(&CONTENT, &HEADER);
        let messages: Vec<_> = (0..count).map(|_| encrypt(&mut self.group)).collect();
        let mut messages = messages.into_iter().map(|message| message.expect("it encrypts"));
        let state = self.state();
        self.waiting(count, &state, |_| messages.next().expect("as many"))
    }

    fn state(&mut self) -> Secret {
        self.group.save().expect("it is whole");
        let states = self.device.take_changes().groups.into_values();
        states.flatten().next().expect("it was saved")
    }

    fn waiting(
        &mut self,
        count: u64,
        state: &Secret,
        mut message: impl FnMut(u64) -> Vec<u8>,
    ) -> Writes {
        let outgoing = (0..count).map(|number| {
            self.said += 1;
            let mut id = [0; 16];
            // A few thousand wait at the most.
            id[8..].copy_from_slice(&(self.said % 4096).to_be_bytes());
            (IdempotencyKey::new(id), Some(Secret::new(message(number))))
        });
        let writes = ConversationWrites {
            record: Some(Secret::new(vec![5; 500])),
            outgoing: outgoing.collect(),
            groups: [(0, Some(state.clone()))].into(),
            ..ConversationWrites::default()
        };
        Writes { conversations: [(CONVERSATION, writes)].into(), ..Writes::default() }
    }
}
