//! Messages at a fixed rate in rooms of two. Latency counts from when a message was due, so that a stall is not left out.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use aside_proto::{id::ConversationId, v1::server_frame::Body};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep_until};

use crate::{peer::Peer, target::Target};

/// Bytes of a message's payload.
const PAYLOAD_BYTES: usize = 256;

pub(crate) async fn run(target: &Target, clients: usize, rate: u32, seconds: u32) -> Result<Value> {
    let mut pairs = Vec::new();
    for n in 0..(clients / 2).max(1) {
        let mut sender = Peer::register(target, &format!("sender{n}")).await?;
        let mut receiver = Peer::register(target, &format!("receiver{n}")).await?;
        let room = sender.room_with(&format!("pair{n}"), &mut [&mut receiver]).await?;
        pairs.push((sender, receiver, room));
    }
    let before = target.usage()?;
    let interval = Duration::from_secs(1) * u32::try_from(pairs.len())? / rate;
    let each = rate * seconds / u32::try_from(pairs.len())?;
    let start = Instant::now() + Duration::from_millis(100);
    let mut tasks = JoinSet::new();
    for (n, pair) in (0_u32..).zip(pairs) {
        // The pairs take turns within an interval.
        let first = start + interval * n / rate.max(1);
        tasks.spawn(talk(pair.0, pair.1, pair.2, first, interval, each));
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let elapsed = start.elapsed();
    let after = target.usage()?;
    let messages = latencies.len();
    latencies.sort_unstable();
    Ok(json!({
        "workload": "rate",
        "clients": clients,
        "messages": messages,
        "messages_a_second": messages as f64 / elapsed.as_secs_f64(),
        "p50_ms": percentile(&latencies, 0.50),
        "p99_ms": percentile(&latencies, 0.99),
        "max_ms": percentile(&latencies, 1.0),
        "server_cpu_us_a_message": (after.cpu_ms - before.cpu_ms) as f64 * 1000.0 / messages as f64,
        "server_pss_kib": after.pss_kib,
    }))
}

/// One pair: every message must arrive, once and in order. Returns each one's latency.
pub(crate) async fn talk(
    mut sender: Peer,
    mut receiver: Peer,
    room: ConversationId,
    first: Instant,
    interval: Duration,
    count: u32,
) -> Result<Vec<Duration>> {
    let sending = async {
        let mut unanswered = 0;
        for n in 0..count {
            let due = first + interval * n;
            loop {
                tokio::select! {
                    biased;
                    () = sleep_until(due.into()) => break,
                    frame = sender.receive() => unanswered -= acknowledged(frame?.body)?,
                }
            }
            let mut payload = vec![0; PAYLOAD_BYTES];
            payload[..4].copy_from_slice(&n.to_be_bytes());
            sender.send_message(room, payload.into()).await?;
            unanswered += 1;
        }
        while unanswered > 0 {
            unanswered -= acknowledged(sender.receive().await?.body)?;
        }
        anyhow::Ok(())
    };
    let receiving = async {
        let mut latencies = Vec::with_capacity(count as usize);
        while latencies.len() < count as usize {
            let event = match receiver.events.pop_front() {
                Some(event) => Some(event),
                None => receiver.receive().await?.body,
            };
            let Some(number) = message_number(event)? else { continue };
            ensure!(number as usize == latencies.len(), "message {number} out of order");
            latencies.push((first + interval * number).elapsed());
        }
        anyhow::Ok(latencies)
    };
    let ((), latencies) = tokio::try_join!(sending, receiving)?;
    Ok(latencies)
}

fn acknowledged(body: Option<Body>) -> Result<i64> {
    match body {
        Some(Body::Sent(_)) => Ok(1),
        Some(Body::EntryAppended(_)) => Ok(0),
        other => bail!("instead of Sent came {other:?}"),
    }
}

fn message_number(event: Option<Body>) -> Result<Option<u32>> {
    let Some(Body::EntryAppended(event)) = event else {
        bail!("instead of an entry came {event:?}")
    };
    let payload: Bytes = event.entry.map(|entry| entry.payload).unwrap_or_default();
    // Entries of the room's making are shorter.
    Ok((payload.len() == PAYLOAD_BYTES)
        .then(|| payload.first_chunk().map_or(0, |number| u32::from_be_bytes(*number))))
}

/// In milliseconds.
pub(crate) fn percentile(sorted: &[Duration], fraction: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * fraction).round() as usize;
    sorted.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
}
