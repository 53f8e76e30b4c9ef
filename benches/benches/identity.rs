//! What a client pays to read a contact's device log, to judge the leaves of a group by such logs, and to show a safety number.

use std::hint::black_box;

use aside_crypto::{
    Certificate, Change, DeviceLog, Identity, MlsKey, RecoveryPhrase, SUITE_P256, SafetyNumber,
    Signer, SigningKey, Standing, Strength,
};
use aside_proto::id::{DeviceId, UserId};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use benches::criterion;
use criterion::{BenchmarkId, Criterion, Throughput};
use p256::ecdsa::{
    Signature, VerifyingKey,
    signature::{Signer as _, Verifier as _},
};

const USER: UserId = UserId::new([1; 16]);
/// Leaves of a group, each of another user's.
const LEAVES: [u16; 3] = [2, 100, 1000];
/// About what a leaf signs.
const SIGNED: [u8; 400] = [7; 400];

fn main() {
    let mut criterion = criterion();
    device_logs(&mut criterion);
    leaves(&mut criterion);
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

/// Whose each leaf is, as a client finds out when it meets the leaves for the first time: the certificate is decoded, its signature
/// verified, and it is held against its user's device log (DLOG-017). Beside that, a signature for each leaf, which MLS verifies
/// whatever is judged.
fn leaves(criterion: &mut Criterion) {
    let logs: Vec<_> = (0..*LEAVES.last().expect("there are some")).map(Known::new).collect();
    for count in LEAVES {
        let logs = &logs[..usize::from(count)];
        let mut group = criterion.benchmark_group("judge leaves");
        group.throughput(Throughput::Elements(count.into()));
        let by = |name| BenchmarkId::new(name, count);
        group.bench_function(by("certificate and device log"), |b| {
            b.iter(|| black_box(logs).iter().all(Known::is_active));
        });
        group.bench_function(by("device log alone"), |b| {
            b.iter(|| black_box(logs).iter().all(Known::is_in_log));
        });
        group.bench_function(by("signature, RustCrypto"), |b| {
            b.iter(|| black_box(logs).iter().all(Known::is_signed));
        });
        group.bench_function(by("signature, aws-lc-rs"), |b| {
            b.iter(|| black_box(logs).iter().all(Known::is_signed_aws));
        });
        group.finish();
    }
}

/// A user with three devices, of which one is the leaf.
struct Known {
    log: DeviceLog,
    device: DeviceId,
    certificate: Vec<u8>,
    key: VerifyingKey,
    aws_key: UnparsedPublicKey<Vec<u8>>,
    signature: Signature,
}

impl Known {
    fn new(n: u16) -> Self {
        let (account, first) = (key(255, 1), device(3 * n));
        let genesis = DeviceLog::sign_genesis(&account, &first.1);
        let mut log = DeviceLog::begin(USER, &genesis).expect("it is a good genesis");
        let [leaf, other] = [device(3 * n + 1), device(3 * n + 2)];
        for added in [&leaf.1, &other.1] {
            let signer = Signer::Device(first.1.device());
            let entry = log.sign_next(signer, &first.0, &Change::Add(added.clone()));
            log.apply(&entry).expect("the entry is a good one");
        }
        let signing = p256::ecdsa::SigningKey::from_slice(&*leaf.0.to_bytes());
        let signing = signing.expect("it is a key already");
        let point = leaf.0.public_key().as_bytes().to_vec();
        Self {
            log,
            device: leaf.1.device(),
            certificate: leaf.1.as_bytes().to_vec(),
            key: VerifyingKey::from(&signing),
            aws_key: UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
            signature: signing.sign(&SIGNED),
        }
    }

    fn is_active(&self) -> bool {
        Certificate::decode(&self.certificate).is_ok_and(|it| it.user() == USER) && self.is_in_log()
    }

    fn is_in_log(&self) -> bool {
        let head = self.log.head().position;
        let standing = self.log.judge_certificate(self.device, &self.certificate, head);
        standing == Standing::Active
    }

    fn is_signed(&self) -> bool {
        self.key.verify(&SIGNED, &self.signature).is_ok()
    }

    fn is_signed_aws(&self) -> bool {
        self.aws_key.verify(&SIGNED, &self.signature.to_bytes()).is_ok()
    }
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
