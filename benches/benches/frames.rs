//! Frames: what each message costs on its way in and out.

use std::hint::black_box;

use aside_proto::{frame, limits, v1};
use benches::criterion;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};

fn main() {
    let mut criterion = criterion();
    messages(&mut criterion);
    stream(&mut criterion);
    criterion.final_summary();
}

/// One SendMessage in, one EntryAppended out.
fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    for payload in [256, 16 * 1024] {
        let (request, event) = (send_message(payload), entry_appended(payload));
        let body = frame::body(&frame::encode(&request));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::new("decode SendMessage", payload), |b| {
            b.iter(|| frame::decode::<v1::ClientFrame>(black_box(&body).clone()));
        });
        group.bench_function(BenchmarkId::new("encode EntryAppended", payload), |b| {
            b.iter(|| frame::encode(black_box(&event)));
        });
    }
    group.finish();
}

/// Bodies off a stream that carries 100 small frames, in TLS records.
fn stream(criterion: &mut Criterion) {
    let frames = vec![frame::encode(&send_message(256)); 100].concat();
    let mut group = criterion.benchmark_group("decoder");
    group.throughput(Throughput::Elements(100));
    group.bench_function("100 frames in records of 16 KiB", |b| {
        b.iter(|| {
            let mut decoder = frame::Decoder::new(limits::DEFAULT.max_frame_bytes as usize);
            for record in frames.chunks(16 * 1024) {
                decoder.extend(record);
                while let Ok(Some(body)) = decoder.next_body() {
                    black_box(body);
                }
            }
        });
    });
    group.finish();
}

fn send_message(payload: usize) -> v1::ClientFrame {
    v1::ClientFrame {
        request_id: 1000,
        idempotency_key: Bytes::from_static(&[1; 16]),
        body: Some(v1::client_frame::Body::SendMessage(v1::SendMessage {
            conversation_id: Bytes::from_static(&[2; 16]),
            payload: vec![3; payload].into(),
            salt: Bytes::from_static(&[4; 32]),
            signature: Bytes::from_static(&[5; 64]),
        })),
    }
}

fn entry_appended(payload: usize) -> v1::ServerFrame {
    let entry = v1::Entry {
        header: Bytes::from_static(&[1; 150]),
        salt: Bytes::from_static(&[4; 32]),
        payload: vec![3; payload].into(),
        payload_hash: Bytes::new(),
    };
    v1::ServerFrame {
        reply_to: 0,
        body: Some(v1::server_frame::Body::EntryAppended(v1::EntryAppended { entry: Some(entry) })),
    }
}
