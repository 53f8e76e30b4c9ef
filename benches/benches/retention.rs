//! What it costs to remove the beginning of a long log, and how long messages wait meanwhile. No statistics: it is done once.

#![allow(clippy::print_stdout, reason = "what a command line program says")]

mod sender;

use std::time::{Duration, Instant};

use aside_proto::v1::{self, content::Body};
use bytes::Bytes;
use prost::Message as _;
use tokio::runtime::Builder;

use sender::Sender;

const ENTRIES: u64 = 100_000;
const KEPT: u64 = 1000;
/// A message of as many words as people say at once.
const WORDS: usize = 40;

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime is made");
    for is_indexed in [false, true] {
        runtime.block_on(measure(is_indexed));
    }
}

async fn measure(is_indexed: bool) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder is made");
    let url = format!("sqlite://{}/aside.db", folder.path().display());
    let text = v1::Text { body: "words ".repeat(WORDS), mentions: Vec::new() };
    let content = v1::Content { body: Some(Body::Text(text)), reply_to: None };
    let mut sender = Sender::new(&url, Bytes::from(content.encode_to_vec())).await;
    for _ in 0..ENTRIES / 1000 {
        sender.send(1000).await;
    }
    let store = sender.store.clone();
    while is_indexed && store.index().await.expect("the index follows") {}
    let alone = waits(&mut sender).await;

    let began = Instant::now();
    let first = sender.keep(KEPT).await;
    let at_once = (first - 1, began.elapsed());
    let rest = async {
        let began = Instant::now();
        while store.trim().await.expect("it is removed") {}
        began.elapsed()
    };
    let (meanwhile, rest) = waits_for(&mut sender, rest).await;
    let removed = ENTRIES - KEPT - at_once.0;
    println!("{ENTRIES} entries, {}:", if is_indexed { "indexed" } else { "not indexed" });
    println!("  UpdateRoom with {} entries: {:?}", at_once.0, at_once.1);
    println!("  the other {removed}: {rest:?}, {:?} each", rest / removed as u32);
    println!("  messages alone: {alone}; meanwhile: {meanwhile}");
    store.close().await;
}

/// How long messages wait, one after the other.
struct Waits(Vec<Duration>);

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut waits = self.0.clone();
        waits.sort_unstable();
        let median = waits.get(waits.len() / 2).copied().unwrap_or_default();
        let longest = waits.last().copied().unwrap_or_default();
        write!(f, "{} sent, median {median:?}, longest {longest:?}", waits.len())
    }
}

/// Sends some messages.
async fn waits(sender: &mut Sender) -> Waits {
    let mut waits = Vec::new();
    for _ in 0..500 {
        waits.push(wait(sender).await);
    }
    Waits(waits)
}

/// Sends messages for as long as something lasts.
async fn waits_for<T>(sender: &mut Sender, lasting: impl Future<Output = T>) -> (Waits, T) {
    let mut lasting = std::pin::pin!(lasting);
    let mut waits = Vec::new();
    loop {
        let began = Instant::now();
        let mut sending = std::pin::pin!(wait(sender));
        tokio::select! {
            biased;
            waited = &mut sending => waits.push(waited),
            done = &mut lasting => {
                // The last one still waits for its answer.
                sending.await;
                waits.push(began.elapsed());
                return (Waits(waits), done);
            }
        }
    }
}

async fn wait(sender: &mut Sender) -> Duration {
    let began = Instant::now();
    sender.send(1).await;
    began.elapsed()
}
