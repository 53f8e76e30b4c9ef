//! What a client pays to read a contact's device log, and to show a safety number.

use std::hint::black_box;

use aside_crypto::{
    Certificate, Change, DeviceLog, Identity, MlsKey, RecoveryPhrase, SUITE_P256, SafetyNumber,
    Signer, SigningKey, Strength,
};
use aside_proto::id::{DeviceId, UserId};
use benches::criterion;
use criterion::{BenchmarkId, Criterion, Throughput};

const USER: UserId = UserId::new([1; 16]);

fn main() {
    let mut criterion = criterion();
    device_logs(&mut criterion);
    safety_number(&mut criterion);
    account_key(&mut criterion);
    criterion.final_summary();
}

/// Two signatures are verified for each device that is added, one for each that is revoked.
fn device_logs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replay a device log");
    for length in [10, 100] {
        let entries = entries(length);
        group.throughput(Throughput::Elements(length as u64));
        group.bench_function(BenchmarkId::from_parameter(length), |b| {
            b.iter(|| DeviceLog::replay(USER, black_box(&entries).iter().map(Vec::as_slice)));
        });
    }
    group.finish();
}

fn safety_number(criterion: &mut Criterion) {
    let identity = |n| Identity { user: UserId::new([n; 16]), genesis: [n; 32] };
    let (alice, bob) = (identity(1), identity(2));
    criterion.bench_function("safety number", |b| {
        b.iter(|| SafetyNumber::of(black_box(&alice), &bob));
    });
}

fn account_key(criterion: &mut Criterion) {
    let phrase = RecoveryPhrase::generate(Strength::Bits128, &mut |out| out.fill(7));
    let phrase = phrase.reveal();
    criterion.bench_function("account key of a phrase", |b| {
        b.iter(|| RecoveryPhrase::parse(black_box(&phrase)).map(|phrase| phrase.account_key()));
    });
}

/// A genesis, then devices that are added and revoked in turns.
fn entries(length: usize) -> Vec<Vec<u8>> {
    let (account, first) = (key(255, 1), device(0));
    let genesis = DeviceLog::sign_genesis(&account, &first.1);
    let mut log = DeviceLog::begin(USER, &genesis).expect("it is a good genesis");
    let mut entries = vec![genesis];
    for n in 1..length as u16 {
        let other = device(n.div_ceil(2)).1;
        let change = match n % 2 {
            1 => Change::Add(other),
            _ => Change::Revoke { device: other.device(), from: n.into() },
        };
        let entry = log.sign_next(Signer::Device(first.1.device()), &first.0, &change);
        log.apply(&entry).expect("the entry is a good one");
        entries.push(entry);
    }
    entries
}

fn device(n: u16) -> (SigningKey, Certificate) {
    let [high, low] = n.to_be_bytes();
    let login = key(high, low);
    let mls = MlsKey { suite: SUITE_P256, public_key: login.public_key().as_bytes().to_vec() };
    let mut id = [9; 16];
    id[..2].copy_from_slice(&[high, low]);
    let certificate = Certificate::issue(USER, DeviceId::new(id), &login, &[mls]);
    (login, certificate.expect("it has all that a certificate needs"))
}

fn key(high: u8, low: u8) -> SigningKey {
    let mut bytes = [5; 32];
    bytes[..2].copy_from_slice(&[high.min(0x7f), low]);
    bytes[2] = high;
    SigningKey::from_bytes(&bytes).expect("the number is below the order")
}
