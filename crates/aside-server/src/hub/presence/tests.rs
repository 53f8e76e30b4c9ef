use std::{sync::Arc, task::Waker};

use aside_proto::{id::DeviceId, limits};
use aside_store::{Effect, Observer as _};
use prost::Message as _;

use super::*;
use crate::hub::Attachment;

const ALICE: UserId = UserId::new([1; 16]);
const BOB: UserId = UserId::new([2; 16]);
const ROOM: ConversationId = ConversationId::new([3; 16]);
const HALL: ConversationId = ConversationId::new([4; 16]);
const GRACE: Duration = Duration::from_secs(10);

fn hub() -> Arc<Hub> {
    let limits = v1::Limits { max_live_members: 3, presence_grace_ms: 10_000, ..limits::DEFAULT };
    Arc::new(Hub::new(&limits, None))
}

fn settings(hidden: bool, status_text: &str) -> PresenceSettings {
    PresenceSettings { hidden, status_text: status_text.to_owned(), private_receipts: false }
}

/// Logs in with `sync`, as a member of rooms with so many members.
fn log_in(hub: &Arc<Hub>, user: UserId, rooms: &[(ConversationId, u64)]) -> Attachment {
    let at = hub.connect(1 << 20);
    hub.agree(at.id, &["sync".to_owned(), "talk".to_owned()]);
    attach(hub, user, &at, rooms, settings(false, ""));
    at
}

fn attach(
    hub: &Hub,
    user: UserId,
    at: &Attachment,
    rooms: &[(ConversationId, u64)],
    settings: PresenceSettings,
) {
    let (device, attachment) = (DeviceId::new([9; 16]), at.id);
    let conversations = rooms.to_vec();
    let private = aside_store::AttachedPrivate::default();
    let attached = Effect::Attached { user, device, attachment, conversations, settings, private };
    hub.committed(&[attached]);
}

fn set(hub: &Hub, user: UserId, attachment: u64, settings: PresenceSettings) {
    hub.committed(&[Effect::PresenceSet { user, attachment, settings }]);
}

/// Tells of all whose grace has ended, one after the other, and of nobody else.
fn tell_all_gone(hub: &Hub, now: Instant) {
    while hub.lock().tell_gone(now) == Next::Now {}
    assert_eq!(hub.lock().tell_gone(now), Next::Never);
}

/// What was told: of whom, whether online, the status, and whether with settings.
fn told(at: &Attachment) -> Vec<(UserId, bool, String, bool)> {
    let frames = std::iter::from_fn(|| at.queue.pop(Waker::noop()));
    let told = frames.map(|frame| {
        let event = v1::ServerFrame::decode(&frame[4..]).unwrap().body;
        let Some(Body::PresenceChanged(changed)) = event else {
            unreachable!("presence, not {event:?}")
        };
        let user = UserId::try_from(&changed.user_id[..]).unwrap();
        (user, changed.online, changed.status_text, changed.settings.is_some())
    });
    told.collect()
}

fn online(user: UserId, status: &str) -> Vec<(UserId, bool, String, bool)> {
    vec![(user, true, status.to_owned(), false)]
}

fn offline(user: UserId) -> Vec<(UserId, bool, String, bool)> {
    vec![(user, false, String::new(), false)]
}

// cites: PRES-010, PRES-012
#[test]
fn who_comes_and_goes_is_told_once_to_those_who_share_a_conversation() {
    let hub = hub();
    let rooms = [(ROOM, 2), (HALL, 2)];
    let alice = log_in(&hub, ALICE, &rooms);
    let stranger = log_in(&hub, UserId::new([5; 16]), &[]);
    let [phone, laptop] = [log_in(&hub, BOB, &rooms), log_in(&hub, BOB, &rooms)];
    assert_eq!(told(&alice), online(BOB, ""));
    let now = Instant::now();
    assert!(!hub.lock().disconnect(phone.id, now));
    assert!(hub.lock().disconnect(laptop.id, now));
    assert_eq!(hub.lock().tell_gone(now + GRACE / 2), Next::At(now + GRACE));
    assert_eq!(told(&alice), []);
    assert!(hub.presence_of(ALICE, BOB).is_some() && !hub.appears_online(ALICE, BOB));
    tell_all_gone(&hub, now + GRACE);
    assert_eq!(told(&alice), offline(BOB));
    assert_eq!(hub.presence_of(ALICE, BOB), None);
    assert_eq!((told(&stranger), told(&laptop)), (Vec::new(), Vec::new()));
    let state = hub.lock();
    assert!(state.people.leaving.is_empty() && !state.people.present.contains_key(&BOB));
}

// cites: PRES-012
#[test]
fn who_comes_back_within_the_grace_was_not_away() {
    let hub = hub();
    let alice = log_in(&hub, ALICE, &[(ROOM, 2)]);
    let now = Instant::now();
    for round in 0..3 {
        let bob = log_in(&hub, BOB, &[(ROOM, 2)]);
        assert_eq!(told(&alice), if round == 0 { online(BOB, "") } else { Vec::new() });
        assert!(hub.lock().disconnect(bob.id, now + GRACE * round));
    }
    assert_eq!(hub.lock().people.leaving.len(), 1);
    // Who leaves the room while it is away is not told of there.
    let left = Effect::Left { user: BOB, conversation: ROOM, members: 1 };
    hub.committed(&[left]);
    tell_all_gone(&hub, now + GRACE * 3);
    assert_eq!(told(&alice), []);
}

// cites: PRES-008, PRES-009, PRES-010, PRES-011, TYPE-005
#[test]
fn hiding_is_going_and_showing_is_coming() {
    let hub = hub();
    let alice = log_in(&hub, ALICE, &[(ROOM, 2)]);
    let [phone, laptop] = [log_in(&hub, BOB, &[(ROOM, 2)]), log_in(&hub, BOB, &[(ROOM, 2)])];
    assert_eq!(told(&alice), online(BOB, ""));
    set(&hub, BOB, phone.id, settings(true, "busy"));
    assert!(hub.set_typing(BOB, phone.id, ROOM, true, 0));
    assert_eq!(told(&alice), offline(BOB));
    assert_eq!(told(&laptop), [(BOB, true, "busy".to_owned(), true)]);
    assert_eq!(told(&phone), [], "its reply says so");
    // Nobody but bob knows.
    let truth = [(ALICE, false), (BOB, true)];
    for (asker, seen) in truth {
        assert_eq!(hub.appears_online(asker, BOB), seen);
        assert_eq!(hub.presence_of(asker, BOB).is_some(), seen);
        assert_eq!(hub.online_members(asker, ROOM, None, 10).contains(&BOB), seen);
    }
    // Whatever a hidden user changes, and when it goes, is nobody's business.
    set(&hub, BOB, phone.id, settings(true, "still busy"));
    let now = Instant::now();
    for at in [&phone, &laptop] {
        hub.lock().disconnect(at.id, now);
    }
    tell_all_gone(&hub, now + GRACE);
    let back = hub.connect(1 << 20);
    attach(&hub, BOB, &back, &[(ROOM, 2)], settings(true, "still busy"));
    assert_eq!(told(&alice), []);
    set(&hub, BOB, back.id, settings(false, "back"));
    assert_eq!(told(&alice), online(BOB, "back"));
    set(&hub, BOB, back.id, PresenceSettings { private_receipts: true, ..settings(false, "back") });
    assert_eq!(told(&alice), [], "nothing that others see");
}

// cites: PRES-013, PRES-007, TYPE-004
#[test]
fn a_large_conversation_is_told_nothing_and_may_ask() {
    let hub = hub();
    let alice = log_in(&hub, ALICE, &[(ROOM, 4)]);
    let bob = log_in(&hub, BOB, &[(ROOM, 4)]);
    assert!(hub.set_typing(BOB, bob.id, ROOM, true, 0));
    assert!(!hub.set_typing(BOB, bob.id, HALL, true, 0), "not a member");
    assert_eq!(told(&alice), []);
    assert!(hub.presence_of(ALICE, BOB).is_some());
    hub.committed(&[Effect::Left { user: UserId::new([6; 16]), conversation: ROOM, members: 3 }]);
    set(&hub, BOB, bob.id, settings(false, "cosy"));
    assert_eq!(told(&alice), online(BOB, "cosy"));
    assert!(hub.set_typing(BOB, bob.id, ROOM, true, 0));
    assert!(alice.queue.pop(Waker::noop()).is_some() && bob.queue.pop(Waker::noop()).is_none());
    hub.committed(&[Effect::Joined { user: UserId::new([6; 16]), conversation: ROOM, members: 4 }]);
    set(&hub, BOB, bob.id, settings(false, "crowded"));
    assert_eq!(told(&alice), []);
}

// cites: EXT-006, NOTE-002, NOTE-003
#[test]
fn only_connections_with_sync_hear_of_anything() {
    let greeting = v1::Notice { text: "welcome".to_owned(), ..v1::Notice::default() };
    let hub = Arc::new(Hub::new(&limits::DEFAULT, Some(greeting)));
    let plain = hub.connect(1 << 20);
    attach(&hub, ALICE, &plain, &[(ROOM, 2)], settings(false, ""));
    let waiting = hub.connect(1 << 20);
    hub.agree(waiting.id, &["sync".to_owned(), "talk".to_owned()]);
    let bob = log_in(&hub, BOB, &[(ROOM, 2)]);
    assert!(hub.set_typing(BOB, bob.id, ROOM, true, 0));
    assert_eq!(hub.notify(v1::Notice::default()), 1);
    let pushed = |at: &Attachment| std::iter::from_fn(|| at.queue.pop(Waker::noop())).count();
    assert_eq!((pushed(&plain), pushed(&waiting), pushed(&bob)), (0, 0, 2));
}

// cites: TYPE-002
#[test]
fn writing_ends_with_a_message_that_is_not_refused() {
    let hub = hub();
    let (alice, bob) = (log_in(&hub, ALICE, &[(ROOM, 2)]), log_in(&hub, BOB, &[(ROOM, 2)]));
    assert_eq!(told(&alice), online(BOB, ""));
    let pushed = || std::iter::from_fn(|| alice.queue.pop(Waker::noop())).count();
    assert!(hub.set_typing(BOB, bob.id, ROOM, true, 0) && pushed() == 1);
    assert!(hub.set_typing(BOB, bob.id, ROOM, true, 1) && pushed() == 0, "no news");
    let told_ms = hub.end_typing(BOB, ROOM).unwrap();
    hub.go_on_typing(BOB, ROOM, told_ms);
    assert!(hub.set_typing(BOB, bob.id, ROOM, true, 1) && pushed() == 0, "the message was refused");
    assert!(hub.end_typing(BOB, ROOM).is_some());
    assert!(hub.set_typing(BOB, bob.id, ROOM, true, 2) && pushed() == 1);
}
