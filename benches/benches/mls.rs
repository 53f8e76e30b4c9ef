//! What private conversations cost, beside the same calls to mls-rs alone: the distance is what the profile adds. Both by AWS-LC,
//! in suite 0x0002; what is sent and read also by RustCrypto, and in suite 0x0007.
//!
//! Groups are as they are right after all members were added at once, which is the worst: a commit encrypts to each.

use std::hint::black_box;

use aside_mls::{
    AwsLc, Change, Crypto, Device, Group, GroupId, RustCrypto, Suite,
    testing::{Cast, certificate, owner},
};
use aside_proto::id::ConversationId;
use benches::criterion;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use mls_rs::{
    Client, ExtensionList, MlsMessage,
    client_builder::{MlsConfig, PaddingMode},
    identity::{
        SigningIdentity,
        basic::{BasicCredential, BasicIdentityProvider},
    },
    mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions},
};
use mls_rs_crypto_awslc::AwsLcCryptoProvider;

const NOW: u64 = 1_800_000_000;
const CONTENT: [u8; 256] = [7; 256];
const HEADER: [u8; 160] = [3; 160];
/// Members of the groups that commits are made in.
const SIZES: [u16; 3] = [2, 100, 1000];

fn main() {
    let mut criterion = criterion();
    messages(&mut criterion);
    membership(&mut criterion);
    sizes(&mut criterion);
    criterion.final_summary();
}

fn messages(c: &mut Criterion) {
    for (name, suite) in [("awslc", Suite::P256Aes128), ("awslc 0x0007", Suite::P384Aes256)] {
        encrypt_and_decrypt::<AwsLc>(c, name, suite);
    }
    encrypt_and_decrypt::<RustCrypto>(c, "rustcrypto", Suite::P256Aes128);

    // Nobody reads what is only encrypted, so a group is not for both.
    let mut alice = bare_group(2).groups.swap_remove(0);
    let mut group = c.benchmark_group("MLS encrypt 256 B");
    group.throughput(Throughput::Elements(1));
    group.bench_function("bare mls-rs", |b| b.iter(|| bare_encrypt(&mut alice)));
    group.finish();
    let Bare { mut groups, .. } = bare_group(2);
    let mut bob = groups.pop().expect("a member");
    let mut alice = groups.pop().expect("its creator");
    let mut group = c.benchmark_group("MLS decrypt 256 B");
    group.throughput(Throughput::Elements(1));
    group.bench_function("bare mls-rs", |b| {
        let read = |message: Vec<u8>| {
            let message = MlsMessage::from_bytes(&message)?;
            bob.process_incoming_message(message)
        };
        b.iter_batched(|| bare_encrypt(&mut alice), read, BatchSize::SmallInput);
    });
    group.finish();
}

fn encrypt_and_decrypt<P: Crypto>(c: &mut Criterion, name: &str, suite: Suite) {
    let mut alice = Ours::<P>::new(2, suite).groups.swap_remove(0);
    let mut group = c.benchmark_group("MLS encrypt 256 B");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |b| b.iter(|| alice.encrypt(black_box(&CONTENT), &HEADER)));
    group.finish();
    let Ours { mut groups, .. } = Ours::<P>::new(2, suite);
    let mut bob = groups.pop().expect("a member");
    let mut alice = groups.pop().expect("its creator");
    let mut group = c.benchmark_group("MLS decrypt 256 B");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |b| {
        let write = || alice.encrypt(&CONTENT, &HEADER).expect("it encrypts");
        let read =
            |message: Vec<u8>| bob.decrypt(&message, &HEADER, owner(1, 1)).expect("it decrypts");
        b.iter_batched(write, read, BatchSize::SmallInput);
    });
    group.finish();
}

fn membership(c: &mut Criterion) {
    let mut ours = Ours::<AwsLc>::new(1, Suite::P256Aes128);
    let bare = bare_group(1);
    let mut alice = ours.groups.pop().expect("its creator");
    let mut bare_alice = bare.groups.into_iter().next().expect("its creator");
    let newcomers: Vec<_> = (1..=100).map(|n| ours.device(1000 + n)).collect();
    let key_packages: Vec<_> = newcomers
        .iter()
        .map(|device| device.key_package(Suite::P256Aes128, false, NOW).expect("it has the suite"))
        .collect();
    for count in [1, 100] {
        let mut group = c.benchmark_group(format!("MLS add {count}"));
        group.sample_size(20);
        let add = key_packages[..count].iter().map(|bytes| alice.key_package(bytes));
        let add: Vec<_> = add.collect::<Result<_, _>>().expect("they are genuine");
        let change = Change { add, ..Change::default() };
        group.bench_function("awslc", |b| b.iter(|| commit(&mut alice, &change)));
        let parse = |bytes: &Vec<u8>| MlsMessage::from_bytes(bytes).expect("a KeyPackage");
        let add: Vec<_> = key_packages[..count].iter().map(parse).collect();
        group.bench_function("bare mls-rs", |b| b.iter(|| bare_commit(&mut bare_alice, &add)));
        group.finish();
    }

    let add = vec![alice.key_package(&key_packages[0]).expect("it is genuine")];
    let change = Change { add, ..Change::default() };
    let claim = alice.claim(&change);
    let made = alice.commit(&change, &HEADER, NOW);
    let welcome = made.expect("it commits").welcome.expect("one was added");
    let mut group = c.benchmark_group("MLS join a group of 2");
    group.bench_function("awslc", |b| {
        b.iter(|| newcomers[0].join(&welcome, id(), (owner(1, 1), &claim), None))
    });
    let Bare { clients, welcome, .. } = bare_group(2);
    let welcome = welcome.expect("one was added").to_bytes().expect("it encodes");
    group.bench_function("bare mls-rs", |b| {
        b.iter(|| clients[1].join_group(None, &MlsMessage::from_bytes(&welcome)?, None));
    });
    group.finish();
}

fn sizes(c: &mut Criterion) {
    for size in SIZES {
        let mut ours = Ours::<AwsLc>::new(size, Suite::P256Aes128);
        let mut bob = ours.groups.pop().expect("a member");
        let mut alice = ours.groups.pop().expect("its creator");
        let Bare { mut groups, .. } = bare_group(size);
        let mut bare_alice = groups.swap_remove(0);

        let change = Change::default();
        let (claim, sender) = (alice.claim(&change), alice.own().expect("it is known"));
        let made = alice.commit(&change, &HEADER, NOW).expect("it commits").commit;
        alice.clear_pending();
        bob.save().expect("it encodes");
        let state = ours.last().take_changes().groups.remove(&id()).flatten().expect("a state");
        let mut group = c.benchmark_group("MLS follow a commit, members");
        group.sample_size(20);
        group.bench_function(BenchmarkId::new("awslc", size), |b| {
            let load = || ours.last().load(&state).expect("it decodes");
            let follow = |mut bob: Group| {
                bob.receive_commit(&made, &HEADER, sender, &claim).expect("it follows")
            };
            b.iter_batched(load, follow, BatchSize::LargeInput);
        });
        group.finish();

        let mut group = c.benchmark_group("MLS commit, members");
        group.sample_size(10);
        let name = BenchmarkId::new("awslc", size);
        group.bench_function(name, |b| b.iter(|| commit(&mut alice, &change)));
        let name = BenchmarkId::new("bare mls-rs", size);
        group.bench_function(name, |b| b.iter(|| bare_commit(&mut bare_alice, &[])));
        group.finish();

        let mut group = c.benchmark_group("MLS save, members");
        group.sample_size(20);
        group.bench_function(BenchmarkId::new("awslc", size), |b| {
            b.iter(|| {
                bob.save().expect("it encodes");
                ours.last().take_changes()
            });
        });
        let name = BenchmarkId::new("bare mls-rs", size);
        group.bench_function(name, |b| b.iter(|| bare_alice.write_to_storage()));
        group.finish();
    }
}

fn commit(group: &mut Group, change: &Change) {
    group.commit(change, &HEADER, NOW).expect("it commits");
    group.clear_pending();
}

fn bare_encrypt(group: &mut mls_rs::Group<impl MlsConfig>) -> Vec<u8> {
    let message = group.encrypt_application_message(black_box(&CONTENT), HEADER.to_vec());
    message.and_then(|message| message.to_bytes()).expect("it encrypts")
}

fn bare_commit(group: &mut mls_rs::Group<impl MlsConfig>, add: &[MlsMessage]) {
    let mut builder = group.commit_builder().commit_time(NOW.into());
    for key_package in add {
        builder = builder.add_member(key_package.clone()).expect("a KeyPackage");
    }
    let made = builder.build().expect("it commits");
    black_box(made.commit_message.to_bytes().expect("it encodes"));
    black_box(made.external_commit_group_info.map(|info| info.to_bytes()));
    group.clear_pending_commit();
}

fn id() -> GroupId {
    GroupId { conversation: ConversationId::new([9; 16]), generation: 0 }
}

/// A group of ours, as its creator and its last member have it.
struct Ours<P: Crypto> {
    cast: Cast,
    devices: Vec<Device<P>>,
    groups: Vec<Group<P>>,
}

impl<P: Crypto> Ours<P> {
    fn new(size: u16, suite: Suite) -> Self {
        let mut ours = Self { cast: Cast::default(), devices: Vec::new(), groups: Vec::new() };
        ours.devices = (1..=size).map(|n| ours.device(n)).collect();
        let mut alice = ours.devices[0].create(suite, id(), NOW).expect("it is admitted");
        let key_package = |device: &Device<P>| {
            let bytes = device.key_package(suite, false, NOW).expect("it has the suite");
            alice.key_package(&bytes).expect("it is genuine")
        };
        let add: Vec<_> = ours.devices[1..].iter().map(key_package).collect();
        let change = Change { add, ..Change::default() };
        let (claim, made) = (alice.claim(&change), alice.commit(&change, &HEADER, NOW));
        alice.apply_pending().expect("it is pending");
        ours.groups.push(alice);
        if let Some(welcome) = made.expect("it commits").welcome {
            let joined = ours.last().join(&welcome, id(), (owner(1, 1), &claim), None);
            ours.groups.push(joined.expect("it is invited"));
        }
        ours
    }

    fn device(&self, n: u16) -> Device<P> {
        self.cast.device(n, n).expect("there is randomness")
    }

    fn last(&self) -> &Device<P> {
        self.devices.last().expect("a group has a member")
    }
}

/// The same group, by mls-rs alone.
struct Bare<C: MlsConfig> {
    clients: Vec<Client<C>>,
    groups: Vec<mls_rs::Group<C>>,
    welcome: Option<MlsMessage>,
}

fn bare_group(size: u16) -> Bare<impl MlsConfig> {
    let none = ExtensionList::new;
    let clients: Vec<_> = (1..=size).map(bare_client).collect();
    let mut alice = clients[0]
        .create_group_with_id(id().to_bytes().to_vec(), none(), none(), Some(NOW.into()))
        .expect("it is admitted");
    let key_package = |client: &Client<_>| {
        let made = client.generate_key_package_message(none(), none(), Some(NOW.into()));
        made.expect("it has the suite")
    };
    let add: Vec<_> = clients[1..].iter().map(key_package).collect();
    let mut builder = alice.commit_builder().commit_time(NOW.into());
    for key_package in add {
        builder = builder.add_member(key_package).expect("a KeyPackage");
    }
    let welcome = builder.build().expect("it commits").welcome_messages.pop();
    alice.apply_pending_commit().expect("it is pending");
    let mut groups = vec![alice];
    if let (Some(welcome), Some(client)) = (&welcome, clients.last()) {
        groups.push(client.join_group(None, welcome, None).expect("it is invited").0);
    }
    Bare { clients, groups, welcome }
}

fn bare_client(n: u16) -> Client<impl MlsConfig> {
    let suite = Suite::P256Aes128;
    let key = aside_mls::SigningKey::generate::<AwsLc>(suite).expect("there is randomness");
    let other = aside_mls::SigningKey::generate::<AwsLc>(Suite::P384Aes256);
    let keys = [key, other.expect("there is randomness")];
    let credential = BasicCredential::new(certificate(owner(n, n), &keys)).into_credential();
    let identity = SigningIdentity::new(credential, keys[0].public().to_vec().into());
    let options = CommitOptions::new().with_path_required(true).with_allow_external_commit(true);
    let rules = DefaultMlsRules::new()
        .with_commit_options(options)
        .with_encryption_options(EncryptionOptions::new(true, PaddingMode::None));
    Client::builder()
        .crypto_provider(AwsLcCryptoProvider::new())
        .identity_provider(BasicIdentityProvider::new())
        .mls_rules(rules)
        .signing_identity(identity, keys[0].to_bytes().to_vec().into(), suite.number().into())
        .build()
}
