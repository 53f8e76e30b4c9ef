//! The server is killed without warning, again and again, under load. What it acknowledged must be there: once, where it said.

#![allow(clippy::unwrap_used)] // Every function here is a test's.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use aside_client::{Client, Events, Fingerprint, LogIn, Options, Receipt, Trust, What, v1};
use tokio::{sync::Notify, task::JoinSet};

const KILLS: u64 = 20;
const CLIENTS: usize = 20;
/// Messages of one client that may be unacknowledged at once.
const WINDOW: usize = 4;
/// Acknowledgements between two kills.
const ACKS_A_ROUND: u64 = 100;

/// A server process on a port that stays the same, so that clients find it again.
struct Server {
    process: Child,
    port: u16,
    fingerprint: Fingerprint,
}

impl Server {
    /// Port 0: one that is free.
    fn start(port: u16, data: &Path) -> Self {
        let endless = "{ per_second = 1000000.0, burst = 1000000 }";
        let mut command = Command::new(env!("CARGO_BIN_EXE_aside"));
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(data);
        command.args(["--set", "password.memory_kib=64", "--set", "password.iterations=1"]);
        command.args(["--set", "log.filter=error"]);
        for bucket in
            ["register_per_address", "login_per_address", "messages_per_user", "requests_per_user"]
        {
            command.args(["--set", &format!("rates.{bucket}={endless}")]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the binary was built");
        let stdout = process.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let port = lines
            .find_map(|line| line.rsplit_once("listening on ")?.1.rsplit_once(':')?.1.parse().ok())
            .expect("the server says where it listens");
        let fingerprint = lines
            .find_map(|line| line.split_once("SHA-256 ").map(|(_, hex)| hex.trim().parse()))
            .expect("the server prints its certificate's fingerprint")
            .expect("a fingerprint is hex");
        // Read on, so that the server never writes to a closed pipe.
        thread::spawn(move || lines.for_each(drop));
        Self { process, port, fingerprint }
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it was killed");
    }
}

async fn connect(port: u16, fingerprint: Fingerprint, name: &str, data: &Path) -> (Client, Events) {
    let address = format!("aside://{name}@localhost:{port}");
    let mut options = Options::new(address.parse().unwrap());
    options.trust = Some(Trust::Fingerprint(fingerprint));
    options.data_dir = Some(data.join(name));
    options.log_in = LogIn::Register {
        password: "correct horse battery".to_owned().into(),
        on_conflict: v1::OnConflict::Reject,
    };
    Client::connect(options).await.unwrap()
}

/// Says things until told to stop, a few at a time; returns what was acknowledged.
async fn talk(
    client: Client,
    stop: Arc<AtomicBool>,
    acks: Arc<AtomicU64>,
    acked: Arc<Notify>,
) -> Vec<Receipt> {
    let lobby = client.room("lobby").await.unwrap().unwrap().conversation;
    let mut receipts = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut queued = Vec::new();
        for _ in 0..WINDOW {
            number += 1;
            queued.push(client.queue(lobby, &format!("message {number}")).await.unwrap());
        }
        for message in queued {
            receipts.push(message.receipt().await.unwrap());
            acks.fetch_add(1, Ordering::Relaxed);
            acked.notify_one();
        }
    }
    client.close().await;
    receipts
}

// cites: MSG-002, MSG-004, IDEM-006, LOG-001, LOG-002, AUTH-011
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_twenty_kills_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(0, &dir.path().join("server"));
    let port = server.port;
    let (stop, acks, acked) =
        (Arc::default(), Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let mut talking = JoinSet::new();
    for n in 0..CLIENTS {
        let (client, events) =
            connect(port, server.fingerprint, &format!("talker{n}"), dir.path()).await;
        drop(events);
        let lobby = client.room("lobby").await.unwrap().unwrap().conversation;
        client.join(lobby).await.unwrap();
        talking.spawn(talk(client, Arc::clone(&stop), Arc::clone(&acks), Arc::clone(&acked)));
    }
    for _ in 0..KILLS {
        let enough = acks.load(Ordering::Relaxed) + ACKS_A_ROUND;
        while acks.load(Ordering::Relaxed) < enough {
            acked.notified().await;
        }
        server.kill();
        server = Server::start(port, &dir.path().join("server"));
    }
    stop.store(true, Ordering::Relaxed);
    let receipts: Vec<Receipt> = talking.join_all().await.into_iter().flatten().collect();
    assert!(receipts.len() as u64 >= KILLS * ACKS_A_ROUND);
    check(port, server.fingerprint, dir.path(), &receipts).await;
    server.kill();
}

/// A stranger reads the whole log: its client lets nothing through that the chain or the signed head does not allow.
async fn check(port: u16, fingerprint: Fingerprint, data: &Path, receipts: &[Receipt]) {
    let (client, _events) = connect(port, fingerprint, "witness", data).await;
    let lobby = client.room("lobby").await.unwrap().unwrap().conversation;
    client.join(lobby).await.unwrap();
    client.catch_up(lobby).await.unwrap();
    let (mut entries, mut before) = (Vec::new(), None);
    loop {
        let page = client.history(lobby, before, 2_000).await.unwrap();
        before = page.first().map(|entry| entry.seq);
        entries.splice(0..0, page);
        if before.is_none_or(|seq| seq == 1) {
            break;
        }
    }
    let seqs: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=entries.len() as u64).collect::<Vec<_>>(), "the log is dense");
    let mut places = HashMap::new();
    for entry in &entries {
        if let What::Message { message_id, verified, .. } = &entry.what {
            assert!(verified, "entry {} is not its sender's", entry.seq);
            let twice = places.insert(*message_id, entry.seq);
            assert_eq!(twice, None, "message {message_id} is there twice");
        }
    }
    for receipt in receipts {
        assert_eq!(places.get(&receipt.message_id), Some(&receipt.seq), "an acknowledged message");
    }
    // What was never acknowledged was sent again until it was: nothing else is there.
    assert_eq!(places.len(), receipts.len());
    client.close().await;
}
