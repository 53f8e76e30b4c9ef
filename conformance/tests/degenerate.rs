//! Servers that do nothing right but TLS. No script may pass against any of them.

mod fixture;

use std::{path::PathBuf, time::Duration};

use conformance::{Options, Outcome, Profile, Suite, target::Target};
use fixture::Fixture;
use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// Scripts that run at the same time: they do nothing but wait.
const AT_ONCE: usize = 48;
/// Long enough for an answer on this machine, short enough to wait for it a hundred times.
const DEADLINE: Duration = Duration::from_millis(150);

#[derive(Clone, Copy, PartialEq)]
enum Habit {
    Silent,
    Closing,
    Random,
    Echo,
    AlwaysError,
}

async fn serve(habit: Habit, mut stream: TlsStream<TcpStream>) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    match habit {
        Habit::Silent => while stream.read(&mut buffer).await? > 0 {},
        Habit::Closing => stream.shutdown().await?,
        Habit::Random => {
            while stream.read(&mut buffer).await? > 0 {
                // Not random enough to be a frame by chance, but to be none.
                stream.write_all(&[0x00, 0x00, 0x00, 0x05, 0xde, 0xad, 0xbe, 0xef, 0x99]).await?;
                stream.flush().await?;
            }
        }
        Habit::Echo => loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                break;
            }
            stream.write_all(&buffer[..count]).await?;
            stream.flush().await?;
        },
        Habit::AlwaysError => loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length).await?;
            let mut body = vec![0; u32::from_be_bytes(length).min(1 << 20) as usize];
            stream.read_exact(&mut body).await?;
            // The request's id is its first field: ServerFrame{reply_to, error{code INTERNAL, "no"}}.
            let id = if body.first() == Some(&8) { body.get(1).copied().unwrap_or(1) } else { 1 };
            stream.write_all(&[0, 0, 0, 10, 8, id, 0x12, 6, 8, 105, 0x12, 2, b'n', b'o']).await?;
            stream.flush().await?;
        },
    }
    Ok(())
}

async fn nothing_passes(habit: Habit) {
    let suite = Suite::new(Options {
        target: Target::Launched(Box::new(Fixture::new(move |stream| serve(habit, stream)))),
        profile: Profile::default(),
        scripts: Some(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts"))),
        deadline: DEADLINE,
        replay: String::new(),
    })
    .expect("there are scripts");
    let names: Vec<_> = suite.names().map(str::to_owned).collect();
    let records: Vec<_> = futures_util::stream::iter(&names)
        .map(|name| suite.run(name))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let passed: Vec<_> = records
        .iter()
        .filter(|record| matches!(record.outcome, Outcome::Pass | Outcome::UnexpectedPass))
        .map(|record| &*record.name)
        .collect();
    assert!(passed.is_empty(), "these passed: {passed:?}");
    let failed = records.iter().filter(|record| record.outcome == Outcome::Fail).count();
    assert!(failed * 10 > records.len() * 9, "only {failed} of {} failed", records.len());
    suite.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_against_silence() {
    nothing_passes(Habit::Silent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_against_a_server_that_closes() {
    nothing_passes(Habit::Closing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_against_noise() {
    nothing_passes(Habit::Random).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_against_an_echo() {
    nothing_passes(Habit::Echo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_against_a_server_that_refuses_everything() {
    nothing_passes(Habit::AlwaysError).await;
}
