//! Messages made durable through the journal, on a real file: what a batch costs, and how that shrinks for each message.

mod sender;

use benches::criterion;
use bytes::Bytes;
use criterion::{BenchmarkId, Throughput};
use tokio::runtime::Builder;

use sender::Sender;

const PAYLOAD_BYTES: usize = 256;

fn main() {
    let mut criterion = criterion();
    // On one thread the writer first runs when an answer is waited for: all that was put before is one batch.
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime is made");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder is made");
    let url = format!("sqlite://{}/aside.db", folder.path().display());
    let payload = Bytes::from_static(&[3; PAYLOAD_BYTES]);
    let mut sender = runtime.block_on(Sender::new(&url, payload));

    let mut group = criterion.benchmark_group("journal append");
    for batch in [1, 16, 256] {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(BenchmarkId::from_parameter(batch), |b| {
            b.iter(|| runtime.block_on(sender.send(batch)));
        });
    }
    group.finish();

    // By the same sender, in turn: what the look at group, leaf and approval adds.
    let mut group = criterion.benchmark_group("journal append private");
    for batch in [1, 16, 256] {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(BenchmarkId::from_parameter(batch), |b| {
            b.iter(|| runtime.block_on(sender.send_private(batch)));
        });
    }
    group.finish();
    runtime.block_on(sender.store.close());
    criterion.final_summary();
}
