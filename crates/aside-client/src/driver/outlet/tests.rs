use std::time::Duration;

use aside_proto::id::{IdempotencyKey, UserId};

use super::*;
use crate::{Connection, Error, Kind, Person, Watermark};

const ROOM: ConversationId = ConversationId::new([9; 16]);

async fn outlet(room_for: usize) -> (tempfile::TempDir, Outlet, mpsc::Receiver<Event>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), &crate::Unlock::default()).await.unwrap());
    let (sender, receiver) = mpsc::channel(room_for);
    (dir, Outlet::new(sender, store), receiver)
}

fn repaired(seq: u64) -> Event {
    Event::GapRepaired { room: "garden".into(), kind: Kind::PublicRoom, from_seq: seq, to_seq: seq }
}

fn moved(user: u8, read: u64) -> Event {
    let who = Person { user: UserId::new([user; 16]), handle: None };
    let watermark = Watermark { who, delivered: read, read };
    Event::WatermarkMoved { conversation: ROOM, watermark }
}

/// Everything that is told to a program that begins to listen now.
async fn told(outlet: &mut Outlet, events: &mut mpsc::Receiver<Event>) -> Vec<Event> {
    let mut told = Vec::new();
    while outlet.is_waiting() {
        outlet.pump().await.unwrap();
        told.extend(std::iter::from_fn(|| events.try_recv().ok()));
    }
    told
}

#[tokio::test]
async fn warnings_outlast_any_number_of_notices() {
    let (_dir, mut outlet, mut events) = outlet(1).await;
    let what = "changed".to_owned();
    outlet.tell(Event::Tampering {
        conversation: ROOM,
        room: "garden".into(),
        kind: Kind::PublicRoom,
        what,
    });
    let message_id = IdempotencyKey::new([7; 16]);
    outlet.tell(Event::MessageFailed { message_id, conversation: ROOM, error: Error::Tampered });
    for seq in 0..2 * MAX_NOTICES as u64 {
        outlet.tell(repaired(seq));
    }
    let told = told(&mut outlet, &mut events).await;
    assert!(matches!(told[0], Event::Tampering { conversation: ROOM, .. }), "{:?}", told[0]);
    assert!(matches!(told[1], Event::MessageFailed { .. }), "{:?}", told[1]);
    assert_eq!(told.len(), 2 + MAX_NOTICES, "of the notices, the newest");
    assert!(matches!(told[2], Event::GapRepaired { from_seq: 256, .. }), "{:?}", told[2]);
}

#[tokio::test]
async fn warnings_are_told_at_the_end_too() {
    let (_dir, mut outlet, mut events) = outlet(1).await;
    for room in 0..3 {
        let (conversation, what) = (ConversationId::new([room; 16]), "changed".to_owned());
        outlet.tell(Event::Tampering {
            conversation,
            room: "garden".into(),
            kind: Kind::PublicRoom,
            what,
        });
    }
    let finish = tokio::spawn(outlet.finish(Some(Event::Ended(Error::Gone))));
    let mut told = Vec::new();
    while let Some(event) = events.recv().await {
        told.push(event);
    }
    finish.await.unwrap();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(matches!(told[3], Event::Ended(_)));
}

#[tokio::test]
async fn what_is_said_anew_is_told_once() {
    let (_dir, mut outlet, mut events) = outlet(1).await;
    for read in 1..=3 {
        outlet.tell(moved(1, read));
        outlet.tell(moved(2, 10 * read));
        let retry_in = Duration::from_secs(read);
        outlet.tell(Event::Connection(Connection::Offline { reason: "away".into(), retry_in }));
    }
    let told = told(&mut outlet, &mut events).await;
    let reads = told.iter().filter_map(|event| match event {
        Event::WatermarkMoved { watermark, .. } => Some(watermark.read),
        _ => None,
    });
    assert_eq!(reads.collect::<Vec<_>>(), [3, 30]);
    assert_eq!(told.len(), 3, "{told:?}");
}
