//! The primitives, RustCrypto and aws-lc-rs side by side: how far the portable one is from the limit.

use std::hint::black_box;

use aws_lc_rs::{
    aead, agreement, hkdf as aws_hkdf,
    rand::SystemRandom,
    signature::{self, KeyPair},
};
use benches::{Sealer, criterion};
use criterion::{BenchmarkId, Criterion, Throughput};
use p256::{
    ecdh,
    ecdsa::{
        Signature, SigningKey, VerifyingKey,
        signature::{Signer, Verifier},
    },
    elliptic_curve::sec1::ToSec1Point,
};
use sha2::Sha256;

const KEY: [u8; 32] = [7; 32];
const PEER_KEY: [u8; 32] = [9; 32];
/// As long as what a device signs at log-in.
const MESSAGE: [u8; 190] = [5; 190];

fn main() {
    let mut criterion = criterion();
    ecdsa(&mut criterion);
    ecdh(&mut criterion);
    hkdf(&mut criterion);
    gcm(&mut criterion);
    criterion.final_summary();
}

fn ecdsa(criterion: &mut Criterion) {
    let key = SigningKey::from_slice(&KEY).expect("a scalar in range");
    let public = VerifyingKey::from(&key);
    let point = public.to_sec1_point(false);
    let signed: Signature = key.sign(&MESSAGE);
    let random = SystemRandom::new();
    let aws = signature::EcdsaKeyPair::from_private_key_and_public_key(
        &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &KEY,
        point.as_bytes(),
    )
    .expect("the public key is that of the private key");
    let aws_public = signature::UnparsedPublicKey::new(
        &signature::ECDSA_P256_SHA256_FIXED,
        aws.public_key().as_ref().to_vec(),
    );

    let mut group = criterion.benchmark_group("ECDSA P-256 sign");
    group.bench_function("RustCrypto", |b| {
        b.iter(|| -> Signature { key.sign(black_box(&MESSAGE)) })
    });
    group.bench_function("aws-lc-rs", |b| b.iter(|| aws.sign(&random, black_box(&MESSAGE))));
    group.finish();

    let mut group = criterion.benchmark_group("ECDSA P-256 verify");
    group.bench_function("RustCrypto", |b| b.iter(|| public.verify(black_box(&MESSAGE), &signed)));
    group.bench_function("aws-lc-rs", |b| {
        b.iter(|| aws_public.verify(black_box(&MESSAGE), &signed.to_bytes()));
    });
    group.finish();
}

fn ecdh(criterion: &mut Criterion) {
    let key = p256::SecretKey::from_slice(&KEY).expect("a scalar in range");
    let peer = p256::SecretKey::from_slice(&PEER_KEY).expect("a scalar in range").public_key();
    let aws = agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, &KEY)
        .expect("a scalar in range");
    let peer_point = peer.to_sec1_point(false);

    let mut group = criterion.benchmark_group("ECDH P-256");
    group.bench_function("RustCrypto", |b| {
        b.iter(|| ecdh::diffie_hellman(black_box(key.to_nonzero_scalar()), peer.as_affine()));
    });
    group.bench_function("aws-lc-rs", |b| {
        b.iter(|| {
            let peer =
                agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, peer_point.as_bytes());
            agreement::agree(black_box(&aws), peer, (), |secret| Ok(secret[0]))
        });
    });
    group.finish();
}

fn hkdf(criterion: &mut Criterion) {
    let (salt, info) = ([1; 32], b"aside/1 a label");
    let mut group = criterion.benchmark_group("HKDF-SHA-256 32 bytes");
    group.bench_function("RustCrypto", |b| {
        b.iter(|| {
            let mut out = [0; 32];
            let derived = hkdf::Hkdf::<Sha256>::new(Some(&salt), black_box(&KEY));
            derived.expand(info, &mut out).map(|()| out)
        });
    });
    group.bench_function("aws-lc-rs", |b| {
        b.iter(|| {
            let mut out = [0; 32];
            let salt = aws_hkdf::Salt::new(aws_hkdf::HKDF_SHA256, &salt);
            let derived = salt.extract(black_box(&KEY));
            derived
                .expand(&[info], aws_hkdf::HKDF_SHA256)
                .and_then(|okm| okm.fill(&mut out))
                .map(|()| out)
        });
    });
    group.finish();
}

fn gcm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("AES-256-GCM seal");
    let aws = aead::UnboundKey::new(&aead::AES_256_GCM, &KEY).expect("a key of 32 bytes");
    let aws = aead::LessSafeKey::new(aws);
    for length in [256, 1024, 64 * 1024] {
        group.throughput(Throughput::Bytes(length as u64));
        let mut buffer = vec![0; length];
        let mut sealer = Sealer::new(&KEY);
        group.bench_function(BenchmarkId::new("RustCrypto", length), |b| {
            b.iter(|| sealer.seal(black_box(&mut buffer)));
        });
        let mut counter = 0_u64;
        group.bench_function(BenchmarkId::new("aws-lc-rs", length), |b| {
            b.iter(|| {
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&counter.to_be_bytes());
                counter += 1;
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                aws.seal_in_place_separate_tag(nonce, aead::Aad::empty(), black_box(&mut buffer))
            });
        });
    }
    group.finish();
}
