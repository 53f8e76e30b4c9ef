//! The order of memberships and entries, and who is told what.

use std::task::Waker;

use super::*;

const ALICE: UserId = UserId::new([1; 16]);
const PHONE: DeviceId = DeviceId::new([2; 16]);
const ROOM: ConversationId = ConversationId::new([3; 16]);

fn appended(seq: u64) -> Effect {
    let entry = v1::Entry { payload: seq.to_be_bytes().to_vec().into(), ..Default::default() };
    Effect::Appended { conversation: ROOM, seq, entry }
}

fn attached(attachment: &Attachment, conversations: &[ConversationId]) -> Effect {
    attached_of(ALICE, attachment, conversations)
}

fn attached_of(user: UserId, at: &Attachment, conversations: &[ConversationId]) -> Effect {
    let conversations = conversations.iter().map(|id| (*id, 2)).collect();
    let (device, attachment, settings) = (PHONE, at.id, PresenceSettings::default());
    let private = AttachedPrivate::default();
    Effect::Attached { user, device, attachment, conversations, settings, private }
}

fn pushed(attachment: &Attachment) -> usize {
    std::iter::from_fn(|| attachment.queue.pop(Waker::noop())).count()
}

// cites: PUSH-001, PUSH-002, ROOM-009, ROOM-014
#[test]
fn membership_and_entries_follow_one_order() {
    let hub = Arc::new(Hub::default());
    let (one, two) = (hub.connect(1 << 20), hub.connect(1 << 20));
    hub.committed(&[appended(1), attached(&one, &[]), attached(&two, &[]), appended(2)]);
    assert_eq!((pushed(&one), pushed(&two)), (0, 0));
    let joined = Effect::Joined { user: ALICE, conversation: ROOM, members: 1 };
    let left = Effect::Left { user: ALICE, conversation: ROOM, members: 0 };
    hub.committed(&[joined, appended(3), appended(4), left, appended(5)]);
    assert_eq!((pushed(&one), pushed(&two)), (2, 2));
}

// cites: EXT-006, MARK-009, MARK-010
#[test]
fn watermarks_are_told_to_those_who_understand_and_do_not_know() {
    let hub = Arc::new(Hub::default());
    let own = [hub.connect(1 << 20), hub.connect(1 << 20), hub.connect(1 << 20)];
    let other = hub.connect(1 << 20);
    for connection in [&own[0], &own[1], &other] {
        hub.agree(connection.id, &["sync".to_owned(), "talk".to_owned()]);
    }
    hub.agree(own[2].id, &["talk".to_owned()]);
    hub.committed(&own.each_ref().map(|connection| attached(connection, &[ROOM])));
    let bob = UserId::new([4; 16]);
    hub.committed(&[attached_of(bob, &other, &[ROOM])]);
    assert_eq!(own.each_ref().map(pushed), [1, 1, 0], "bob has come");
    for to_members in [true, false] {
        let moved = Effect::WatermarkMoved {
            conversation: ROOM,
            user: ALICE,
            delivered_seq: 3,
            read_seq: 2,
            attachment: own[0].id,
            to_members,
        };
        hub.committed(&[moved]);
        assert_eq!(own.each_ref().map(pushed), [0, 1, 0]);
        assert_eq!(pushed(&other), usize::from(to_members));
    }
}

// cites: EXT-006, INV-008
#[test]
fn an_invitation_is_told_to_the_connections_of_who_is_invited() {
    let hub = Arc::new(Hub::default());
    let [own, old, other] = [(); 3].map(|()| hub.connect(1 << 20));
    for connection in [&own, &other] {
        hub.agree(connection.id, &["sync".to_owned(), "talk".to_owned()]);
    }
    hub.agree(old.id, &["talk".to_owned()]);
    hub.committed(&[&own, &old].map(|connection| attached(connection, &[])));
    let bob = UserId::new([4; 16]);
    hub.committed(&[attached_of(bob, &other, &[ROOM])]);
    let invitation = Box::default();
    hub.committed(&[Effect::Invited { user: ALICE, invitation }]);
    assert_eq!([&own, &old, &other].map(pushed), [1, 0, 0]);
}

// cites: TOKEN-010
#[test]
fn who_may_not_read_is_pushed_nothing() {
    let hub = Arc::new(Hub::default());
    let (deaf, other) = (hub.connect(1), hub.connect(1 << 20));
    for connection in [&deaf, &other] {
        hub.agree(connection.id, &["sync".to_owned()]);
    }
    hub.deafen(deaf.id);
    hub.committed(&[attached(&deaf, &[ROOM]), attached(&other, &[ROOM])]);
    let moved = Effect::WatermarkMoved {
        conversation: ROOM,
        user: ALICE,
        delivered_seq: 2,
        read_seq: 1,
        attachment: 99,
        to_members: true,
    };
    hub.committed(&[appended(1), appended(2), appended(3), moved]);
    assert_eq!((pushed(&deaf), pushed(&other)), (0, 4), "no Gap either");
    assert!(hub.online_devices(ALICE).contains(&PHONE), "it is there all the same");
}

// cites: ROOM-020
#[test]
fn the_last_connection_to_end_takes_everything_with_it() {
    let hub = Arc::new(Hub::default());
    let (one, two) = (hub.connect(1), hub.connect(1));
    hub.committed(&[attached(&one, &[ROOM]), attached(&two, &[ROOM])]);
    drop(one);
    assert!(hub.appears_online(ALICE, ALICE));
    assert_eq!(hub.online_devices(ALICE), HashSet::from([PHONE]));
    drop(two);
    assert!(!hub.appears_online(ALICE, ALICE));
    let state = hub.lock();
    assert!(state.connections.is_empty() && state.subscribers.is_empty());
}

// cites: CLOSE-004
#[test]
fn a_stopping_server_tells_those_that_come_late_too() {
    let hub = Arc::new(Hub::default());
    let early = hub.connect(1);
    hub.shut_down();
    let late = hub.connect(1);
    for attachment in [early, late] {
        let signal = attachment.queue.signalled(Waker::noop());
        assert_eq!(signal, Some(CloseSignal::ShuttingDown));
    }
}

// cites: DEV-004
#[test]
fn only_the_revoked_devices_connections_are_told() {
    let hub = Arc::new(Hub::default());
    let (phone, laptop) = (hub.connect(1), hub.connect(1));
    let laptop_attached = Effect::Attached {
        user: ALICE,
        device: DeviceId::new([9; 16]),
        attachment: laptop.id,
        conversations: Vec::new(),
        settings: PresenceSettings::default(),
        private: AttachedPrivate::default(),
    };
    let revoked = Effect::DeviceRevoked { device: PHONE };
    hub.committed(&[attached(&phone, &[]), laptop_attached, revoked]);
    assert_eq!(phone.queue.signalled(Waker::noop()), Some(CloseSignal::DeviceRevoked));
    assert_eq!(laptop.queue.signalled(Waker::noop()), None);
}
