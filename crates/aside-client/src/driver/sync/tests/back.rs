//! Reading back, where the log begins later.

use aside_session::client::log::Place;

use super::*;

type Waited = oneshot::Receiver<Result<(), Error>>;

/// Five entries.
fn log() -> Log {
    let mut log = Log::default();
    ["one", "two", "three", "four", "five"].iter().for_each(|text| log.say(text, &key(2)));
    log
}

/// A device that began with the last entry reads back, and is told that the log begins after the first `trimmed`.
async fn reads_back_to(log: &Log, trimmed: usize, anchor: [u8; 32]) -> (Client, Waited) {
    let mut client = Client::new().await;
    client.sync.history = 1;
    client.run(log).await;
    let (done, waited) = oneshot::channel();
    let until = Place { seq: log.head() - 1, chain: log.chain(log.entries.len() - 1) };
    client.sync.read_back(ROOM, until, 100, done);
    let (asked, body) = client.sync.poll(Instant::now()).unwrap();
    assert!(matches!(body, Body::Fetch(fetch) if fetch.from_seq == 1));
    let trimmed = v1::Error {
        code: v1::ErrorCode::Trimmed.into(),
        first_seq: trimmed as u64 + 1,
        anchor: anchor.to_vec().into(),
        ..Default::default()
    };
    client.sync.refused(asked, trimmed, Instant::now(), &mut client.out).await.unwrap();
    (client, waited)
}

/// Gives what is left to whoever reads back.
async fn read_the_rest(client: &mut Client, log: &Log) -> Vec<u64> {
    let mut asked_from = Vec::new();
    while let Some((asked, body)) = client.sync.poll(Instant::now()) {
        let (Asked::ReadBack(id), Body::Fetch(fetch)) = (asked, body) else { continue };
        asked_from.push(fetch.from_seq);
        client.sync.read_page(id, &log.fetch(&fetch), &mut client.out).await.unwrap();
    }
    client.told().await;
    asked_from
}

// cites: RET-012, FETCH-007
#[tokio::test]
async fn reading_back_goes_on_from_where_the_log_begins() {
    let log = log();
    let (mut client, mut waited) = reads_back_to(&log, 2, log.chain(2)).await;
    assert_eq!(read_the_rest(&mut client, &log).await, [3]);
    client.run(&log).await;
    assert!(waited.try_recv().unwrap().is_ok());
    let kept = client.sync.store.entries_before(ROOM, u64::MAX, 9).await.unwrap();
    assert_eq!(kept.iter().map(|kept| kept.seq).collect::<Vec<_>>(), [3, 4, 5]);
    let known = client.sync.store.conversation(ROOM).await.unwrap().unwrap();
    assert_eq!(known.cursor.unwrap().anchor.unwrap().seq, 2);

    // Nothing is left before what is there: that is no error either.
    let (_, mut waited) = reads_back_to(&log, 4, log.chain(4)).await;
    assert!(waited.try_recv().unwrap().is_ok());
}

// cites: FETCH-007, LOG-011
#[tokio::test]
async fn reading_back_from_a_false_anchor_is_tampering() {
    let log = log();
    let (mut client, mut waited) = reads_back_to(&log, 2, [7; 32]).await;
    read_the_rest(&mut client, &log).await;
    assert!(matches!(waited.try_recv(), Ok(Err(Error::Tampered))));
    assert!(client.sync.is_tampered(ROOM));
}
