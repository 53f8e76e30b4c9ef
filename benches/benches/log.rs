//! The log's chain: what tamper evidence costs for each entry, at the server and at every client.

use std::hint::black_box;

use aside_crypto::{chain_next, chain_start, payload_hash};
use aside_proto::id::ConversationId;
use benches::criterion;
use criterion::{BenchmarkId, Criterion, Throughput};

fn main() {
    let mut criterion = criterion();
    append(&mut criterion);
    criterion.final_summary();
}

fn append(criterion: &mut Criterion) {
    let header = [1; 150];
    let start = chain_start(ConversationId::new([2; 16]));
    let mut group = criterion.benchmark_group("chain append");
    for length in [256, 1024, 64 * 1024] {
        let payload = vec![3; length];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(BenchmarkId::from_parameter(length), |b| {
            b.iter(|| {
                let hash = payload_hash(&[4; 32], black_box(&payload));
                chain_next(black_box(&start), black_box(&header), &hash)
            });
        });
    }
    group.finish();
}
