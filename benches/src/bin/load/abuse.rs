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
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{interval, timeout},
};

use crate::{
    Stage, crowd,
    member::{Pace, Script, converse},
    peer::{dial, hello, random},
    report::{Latencies, Meter, Report},
    schedule::Schedule,
    target::Door,
};

/// Messages of the bystanders a second.
const BYSTANDER_RATE: u32 = 10;

/// The choices.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
}

impl Args {
    /// Plays it.
    pub(crate) async fn run(self, stage: &Stage) -> Result<Report> {
        let mut report = Report::new("abuse");
        let door = &stage.target.door;
        let (alice, bob) = crowd::pair(door, "quiet".to_owned()).await?;
        let counts = Counts::default();
        stage.bar.set_message("abuse");
        // Once through everything, so that "before" has what the server allocates on first use.
        storm(door, &counts, Duration::from_secs(3)).await;
        let meter = Meter::start(&stage.target)?;
        let script = self.bystander()?;
        let (arrivals, acks) = (Arc::clone(&script.arrivals), Arc::clone(&script.acks));
        let talking = tokio::spawn(converse(alice, bob, script));
        storm(door, &counts, Duration::from_secs(self.seconds.into())).await;
        report.tally(talking.await??);
        report.set("bystander_messages", arrivals.len());
        report.latencies("bystander_", &arrivals);
        report.latencies("bystander_ack_", &acks);
        meter.stop(&mut report)?;
        counts.report(&mut report);
        Ok(report)
    }

    fn bystander(&self) -> Result<Script> {
        let schedule =
            Schedule { start: Instant::now(), rate: BYSTANDER_RATE, speakers: 1, speaker: 0 };
        Ok(Script {
            speaker: 0,
            pace: Pace::OnTime(schedule),
            count: schedule.count(self.seconds),
            until: None,
            payload_bytes: 256,
            arrivals: Arc::new(Latencies::new()?),
            acks: Arc::new(Latencies::new()?),
        })
    }
}

#[derive(Default)]
struct Counts {
    random: AtomicU64,
    oversized: AtomicU64,
    half_open: AtomicU64,
    slow: AtomicU64,
    wrong_phase: AtomicU64,
}

impl Counts {
    fn report(&self, report: &mut Report) {
        for (name, count) in [
            ("random_frames", &self.random),
            ("oversized", &self.oversized),
            ("half_open", &self.half_open),
            ("slow_drips", &self.slow),
            ("wrong_phase", &self.wrong_phase),
        ] {
            report.set(name, count.load(Ordering::Relaxed));
        }
    }
}

async fn storm(door: &Door, counts: &Counts, length: Duration) {
    let all = async {
        tokio::join!(
            over_and_over(|| random_frames(door, &counts.random)),
            over_and_over(|| oversized(door, &counts.oversized)),
            over_and_over(|| half_open(door, &counts.half_open)),
            over_and_over(|| slow_drip(door, &counts.slow)),
            over_and_over(|| wrong_phase(door, &counts.wrong_phase)),
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
async fn random_frames(door: &Door, count: &AtomicU64) -> Result<()> {
    let mut stream = dial(door).await?;
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

async fn oversized(door: &Door, count: &AtomicU64) -> Result<()> {
    let mut stream = dial(door).await?;
    stream.write_all(&u32::MAX.to_be_bytes()).await?;
    count.fetch_add(1, Ordering::Relaxed);
    until_closed(stream).await
}

/// 50 TCP connections that never speak, kept until the server lets go of them.
async fn half_open(door: &Door, count: &AtomicU64) -> Result<()> {
    let mut silent = JoinSet::new();
    for _ in 0..50 {
        let stream = TcpStream::connect(door.address).await?;
        count.fetch_add(1, Ordering::Relaxed);
        silent.spawn(until_closed(stream));
    }
    while silent.join_next().await.is_some() {}
    Ok(())
}

/// A Hello byte by byte, slower than the handshake deadline.
async fn slow_drip(door: &Door, count: &AtomicU64) -> Result<()> {
    let mut stream = dial(door).await?;
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
async fn wrong_phase(door: &Door, count: &AtomicU64) -> Result<()> {
    let mut stream = dial(door).await?;
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
