//! A sender that is killed without warning, again and again, over a wire that is cut at any byte. What it was to say is said once.

#![allow(clippy::unwrap_used)] // Every function here is a test's.

use std::{
    collections::{BTreeSet, VecDeque},
    io::Write as _,
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use aside_client::{Client, ConversationId, Entry, LogIn, Options, State, What};
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
        BufReader,
    },
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::Notify,
    time::timeout,
};

use crate::world::{Person, World, registering, verified_text};

const MESSAGES: usize = 1000;
const KILLS: usize = 20;
/// Lines of progress between two kills, at most: two for each message.
const MOST_PROGRESS: u64 = 120;
/// Bytes of a connection, at most.
const MOST_BYTES: u64 = 120_000;
/// Messages that the sender has queued and not seen acknowledged.
const WINDOW: usize = 8;
/// A last resort: whoever makes no progress for so long makes none.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the sender's process is told: the port, the server's fingerprint, and where its state is.
const SENDER: &str = "ASIDE_TEST_SENDER";

/// SplitMix64: every run kills and cuts at the same places.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)) % bound
    }
}

// cites: IDEM-001, MSG-002, MSG-004
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_killed_again_and_again_says_everything_once_and_in_order() {
    let world = World::new().await;
    let port = lossy_wire(world.address).await;
    let mut chance = Chance(7);
    let mut kills = 0;
    loop {
        let mut sender = start_sender(&world, port);
        let progress = chance.below(MOST_PROGRESS);
        if !runs_beyond(&mut sender, progress).await {
            break;
        }
        // It may have given up by itself: then there is nothing to kill.
        drop(sender.start_kill());
        sender.wait().await.unwrap();
        kills += 1;
        assert!(kills < 50 * KILLS, "it gets nowhere");
    }
    assert!(kills >= KILLS, "{kills} kills");

    let witness = world.register("witness").await;
    let lobby = witness.join("lobby").await;
    let expected: Vec<String> = (1..=MESSAGES).map(line).collect();
    assert_eq!(texts(&witness, lobby).await, expected, "the log, as another client reads it");
    let mut options = world.options("sender", "sender", LogIn::Remembered);
    options.address.port = port;
    options.offline = true;
    let sender = Person::connect(options).await.unwrap();
    assert_eq!(texts(&sender, lobby).await, expected, "the sender's own store");
    assert_eq!(sender.client.outbox().await.unwrap(), []);
}

/// All that was said in a room, in order.
async fn texts(person: &Person, room: ConversationId) -> Vec<String> {
    person.client.catch_up(room).await.unwrap();
    entries(&person.client, room).await.iter().filter_map(verified_text).collect()
}

async fn entries(client: &Client, room: ConversationId) -> Vec<Entry> {
    let (mut entries, mut before) = (Vec::new(), None);
    loop {
        let page = client.history(room, before, 500).await.unwrap();
        before = page.first().map(|entry| entry.seq);
        entries.splice(0..0, page);
        if before.is_none_or(|seq| seq == 1) {
            return entries;
        }
    }
}

fn line(number: usize) -> String {
    format!("line {number}")
}

fn start_sender(world: &World, port: u16) -> Child {
    let fingerprint = world.server.fingerprint();
    let state = world.computer("sender");
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::the_process_of_a_sender", "--ignored", "--nocapture"])
        .env(SENDER, format!("{port} {fingerprint} {}", state.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("this binary runs once more")
}

/// Whether it is still at it after so many lines of progress; false once it has said everything.
async fn runs_beyond(sender: &mut Child, progress: u64) -> bool {
    let mut lines = BufReader::new(sender.stdout.take().expect("it is piped")).lines();
    let mut left = progress;
    while left > 0 {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("it makes progress");
        match line.unwrap() {
            Some(line) if line.ends_with("said everything") => return false,
            Some(line) if line.contains("progress") => left -= 1,
            Some(_) => {}
            // It gave up before it had an account: the wire was cut.
            None => return true,
        }
    }
    true
}

/// Says the lines that are not said yet. What is in its store tells which: a message is in the outbox from when it is queued
/// until its entry is among those that were taken in.
#[tokio::test]
#[ignore = "a process of the test above"]
async fn the_process_of_a_sender() {
    let Ok(told) = std::env::var(SENDER) else { return };
    let [port, fingerprint, state] = told.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
    let address = format!("aside://sender@127.0.0.1:{port}").parse().unwrap();
    let mut options = Options::new(address);
    options.trust = Some(aside_client::Trust::Fingerprint(fingerprint.parse().unwrap()));
    options.data_dir = Some(state.into());
    options.log_in = registering();
    options.offline = true;
    progress("starts");
    let (client, mut events) = Client::connect(options).await.unwrap();
    let happened = Arc::new(Notify::new());
    let happens = Arc::clone(&happened);
    tokio::spawn(async move {
        while events.next().await.is_some() {
            happens.notify_one();
        }
    });
    say_what_is_left(&client).await;
    while !client.outbox().await.unwrap().is_empty() {
        happened.notified().await;
    }
    progress("said everything");
    client.close().await;
}

async fn say_what_is_left(client: &Client) {
    let lobby = client.room("lobby").await.unwrap().unwrap().conversation;
    client.join(lobby).await.unwrap();
    // In this order: meanwhile messages go from the first to the second.
    let waiting = client.outbox().await.unwrap();
    assert!(waiting.iter().all(|message| matches!(message.state, State::Queued | State::Sent)));
    let taken_in = entries(client, lobby).await;
    let own = taken_in.into_iter().filter_map(|entry| match entry.what {
        What::Message { text, .. } => text,
        _ => None,
    });
    let said: BTreeSet<String> = waiting.into_iter().filter_map(|it| it.text).chain(own).collect();
    assert!((1..=said.len()).all(|number| said.contains(&line(number))), "{said:?}");
    let mut queued = VecDeque::new();
    for number in said.len() + 1..=MESSAGES {
        queued.push_back(client.queue(lobby, &line(number)).await.unwrap());
        progress("queued one");
        if queued.len() >= WINDOW
            && let Some(first) = queued.pop_front()
        {
            first.receipt().await.unwrap();
            progress("one is acknowledged");
        }
    }
    for message in queued {
        message.receipt().await.unwrap();
        progress("one is acknowledged");
    }
}

/// A line for the test that waits for it.
fn progress(what: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "progress: {what}").and_then(|()| stdout.flush()).unwrap();
}

/// Forwards TCP to the server, and cuts each connection after a number of bytes.
async fn lossy_wire(server: SocketAddr) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut chance = Chance(11);
        while let Ok((client, _)) = listener.accept().await {
            let bytes = Arc::new(Mutex::new(chance.below(MOST_BYTES)));
            let Ok(server) = TcpStream::connect(server).await else { continue };
            tokio::spawn(async move {
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                // Whichever ends first, both ends are dropped.
                tokio::select! {
                    () = forward(from_client, to_server, Arc::clone(&bytes)) => {}
                    () = forward(from_server, to_client, bytes) => {}
                }
            });
        }
    });
    port
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    left: Arc<Mutex<u64>>,
) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let most = {
            let mut left = left.lock().unwrap();
            let most = count.min(usize::try_from(*left).unwrap());
            *left -= most as u64;
            most
        };
        if to.write_all(&buffer[..most]).await.is_err() || most < count {
            return;
        }
    }
}
