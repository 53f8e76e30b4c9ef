//! All kinds of bad input at once, while two bystanders talk: they must not notice, and the server must not grow.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use aside_proto::{frame, v1};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{interval, timeout},
};

use crate::{
    peer::{Peer, dial, hello, random},
    rate::{percentile, talk},
    target::Target,
};

const BYSTANDER_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) async fn run(target: &Target, seconds: u32) -> Result<Value> {
    let mut alice = Peer::register(target, "alice").await?;
    let mut bob = Peer::register(target, "bob").await?;
    let room = alice.room_with("quiet", &mut [&mut bob]).await?;
    let counts = Arc::new(Counts::default());
    // Once through everything, so that "before" has what the server allocates on first use.
    storm(target, &counts, Duration::from_secs(3)).await;
    let before = target.usage()?;
    let talking =
        tokio::spawn(talk(alice, bob, room, Instant::now(), BYSTANDER_INTERVAL, seconds * 10));
    storm(target, &counts, Duration::from_secs(seconds.into())).await;
    let mut latencies = talking.await??;
    latencies.sort_unstable();
    let after = target.usage()?;
    Ok(json!({
        "workload": "abuse",
        "bystander_messages": latencies.len(),
        "bystander_p50_ms": percentile(&latencies, 0.5),
        "bystander_p99_ms": percentile(&latencies, 0.99),
        "bystander_max_ms": percentile(&latencies, 1.0),
        "server_pss_before_kib": before.pss_kib,
        "server_pss_after_kib": after.pss_kib,
        "server_cpu_ms": after.cpu_ms - before.cpu_ms,
        "random_frames": counts.random.load(Ordering::Relaxed),
        "oversized": counts.oversized.load(Ordering::Relaxed),
        "half_open": counts.half_open.load(Ordering::Relaxed),
        "slow_drips": counts.slow.load(Ordering::Relaxed),
        "wrong_phase": counts.wrong_phase.load(Ordering::Relaxed),
    }))
}

#[derive(Default)]
struct Counts {
    random: AtomicU64,
    oversized: AtomicU64,
    half_open: AtomicU64,
    slow: AtomicU64,
    wrong_phase: AtomicU64,
}

async fn storm(target: &Target, counts: &Counts, length: Duration) {
    let all = async {
        tokio::join!(
            over_and_over(|| random_frames(target, &counts.random)),
            over_and_over(|| oversized(target, &counts.oversized)),
            over_and_over(|| half_open(target, &counts.half_open)),
            over_and_over(|| slow_drip(target, &counts.slow)),
            over_and_over(|| wrong_phase(target, &counts.wrong_phase)),
        )
    };
    // Ends by the clock: a storm has no other end.
    let _ = timeout(length, all).await;
}

/// Again and again, at most 200 times a second: each attempt is meant to fail.
async fn over_and_over<F: Future<Output = Result<()>>>(mut attempt: impl FnMut() -> F) {
    let mut ticks = interval(Duration::from_millis(5));
    loop {
        ticks.tick().await;
        let _ = attempt().await;
    }
}

/// After Hello, a frame of random bytes.
async fn random_frames(target: &Target, count: &AtomicU64) -> Result<()> {
    let mut stream = dial(target).await?;
    let request =
        v1::ClientFrame { request_id: 1, body: Some(hello(random())), ..Default::default() };
    let mut bytes = frame::encode(&request).to_vec();
    let [length, noise @ ..] = random::<64>();
    let length = usize::from(length % 63) + 1;
    bytes.extend(u32::try_from(length)?.to_be_bytes());
    bytes.extend(&noise[..length]);
    stream.write_all(&bytes).await?;
    stream.shutdown().await?;
    count.fetch_add(1, Ordering::Relaxed);
    until_closed(stream).await
}

async fn oversized(target: &Target, count: &AtomicU64) -> Result<()> {
    let mut stream = dial(target).await?;
    stream.write_all(&u32::MAX.to_be_bytes()).await?;
    count.fetch_add(1, Ordering::Relaxed);
    until_closed(stream).await
}

/// 50 TCP connections that never speak, kept until the server lets go of them.
async fn half_open(target: &Target, count: &AtomicU64) -> Result<()> {
    let mut silent = JoinSet::new();
    for _ in 0..50 {
        let stream = TcpStream::connect(target.address).await?;
        count.fetch_add(1, Ordering::Relaxed);
        silent.spawn(until_closed(stream));
    }
    while silent.join_next().await.is_some() {}
    Ok(())
}

/// A Hello byte by byte, slower than the handshake deadline.
async fn slow_drip(target: &Target, count: &AtomicU64) -> Result<()> {
    let mut stream = dial(target).await?;
    count.fetch_add(1, Ordering::Relaxed);
    let request =
        v1::ClientFrame { request_id: 1, body: Some(hello(random())), ..Default::default() };
    let mut ticks = interval(Duration::from_millis(100));
    for byte in frame::encode(&request) {
        ticks.tick().await;
        stream.write_all(&[byte]).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// Messages before any log-in.
async fn wrong_phase(target: &Target, count: &AtomicU64) -> Result<()> {
    let mut stream = dial(target).await?;
    for request_id in 1..=20 {
        let body = Some(v1::client_frame::Body::SendMessage(v1::SendMessage::default()));
        let request = v1::ClientFrame { request_id, body, ..Default::default() };
        stream.write_all(&frame::encode(&request)).await?;
        count.fetch_add(1, Ordering::Relaxed);
    }
    stream.shutdown().await?;
    until_closed(stream).await
}

async fn until_closed(mut stream: impl AsyncRead + Unpin) -> Result<()> {
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}
