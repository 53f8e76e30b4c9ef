use std::{sync::Arc, task::Waker};

use aside_store::{Effect, Observer as _, PresenceSettings, Reader};

use super::*;
use crate::hub::Attachment;

const ALICE: UserId = UserId::new([1; 16]);
const BOB: UserId = UserId::new([2; 16]);
const PHONE: DeviceId = DeviceId::new([3; 16]);
const LAPTOP: DeviceId = DeviceId::new([4; 16]);
const TABLET: DeviceId = DeviceId::new([5; 16]);
const GROUP: ConversationId = ConversationId::new([6; 16]);

/// Logs in as a member of the group, by a device that is a leaf of it or not.
fn log_in(
    hub: &Arc<Hub>,
    user: UserId,
    device: DeviceId,
    capabilities: &[&str],
    is_leaf: bool,
) -> Attachment {
    let at = hub.connect(1 << 20);
    let capabilities: Vec<_> = capabilities.iter().map(|name| (*name).to_owned()).collect();
    hub.agree(at.id, &capabilities);
    hub.committed(&[Effect::Attached {
        user,
        device,
        attachment: at.id,
        conversations: Vec::new(),
        settings: PresenceSettings { hidden: true, ..PresenceSettings::default() },
        private: AttachedPrivate {
            is_approved: is_leaf,
            conversations: vec![Seat { conversation: GROUP, members: 2, is_leaf }],
            key_packages_low: if is_leaf { vec![(2, 1)] } else { Vec::new() },
        },
    }]);
    at
}

const ALL: &[&str] = &["private", "sync", "talk"];

fn pushed(at: &Attachment) -> usize {
    std::iter::from_fn(|| at.queue.pop(Waker::noop())).count()
}

fn appended(seq: u64) -> Effect {
    Effect::Appended { conversation: GROUP, seq, entry: v1::Entry::default() }
}

// cites: PRIV-001, PRIV-008, KP-011
#[test]
fn entries_are_for_the_connections_of_leaves() {
    let hub = Arc::new(Hub::default());
    let phone = log_in(&hub, ALICE, PHONE, ALL, true);
    let old = log_in(&hub, ALICE, PHONE, &["sync", "talk"], true);
    let laptop = log_in(&hub, ALICE, LAPTOP, ALL, false);
    assert_eq!([&phone, &old, &laptop].map(pushed), [1, 0, 0], "few KeyPackages");
    hub.committed(&[appended(1)]);
    assert_eq!([&phone, &old, &laptop].map(pushed), [1, 0, 0]);
    let added = Effect::LeafAdded { device: LAPTOP, conversation: GROUP, members: 2 };
    let removed = Effect::LeafRemoved { device: PHONE, conversation: GROUP };
    hub.committed(&[added, appended(2), removed, appended(3)]);
    assert_eq!([&phone, &old, &laptop].map(pushed), [1, 0, 2]);
    hub.committed(&[Effect::Left { user: ALICE, conversation: GROUP, members: 1 }, appended(4)]);
    assert_eq!([&phone, &old, &laptop].map(pushed), [0, 0, 0]);
}

// cites: PRIV-002, DEVLOG-006, DEVLOG-009
#[test]
fn approval_comes_and_goes_with_the_log() {
    let hub = Arc::new(Hub::default());
    let phone = log_in(&hub, ALICE, PHONE, ALL, true);
    let laptop = log_in(&hub, ALICE, LAPTOP, ALL, false);
    let tablet = log_in(&hub, BOB, TABLET, ALL, true);
    let stranger = hub.connect(1 << 20);
    hub.agree(stranger.id, &["private".to_owned()]);
    let everyone = [&phone, &laptop, &tablet, &stranger];
    assert_eq!(everyone.map(pushed), [1, 0, 1, 0], "few KeyPackages");
    assert!(hub.is_approved(phone.id) && !hub.is_approved(laptop.id));
    let approved = vec![LAPTOP];
    hub.committed(&[Effect::DeviceLogChanged { user: ALICE, length: 2, approved }]);
    assert_eq!(everyone.map(pushed), [1, 1, 1, 0]);
    assert!(hub.is_approved(laptop.id) && !hub.is_approved(phone.id));
}

// cites: INBOX-005, KP-011, FORK-003
#[test]
fn what_is_for_one_device_or_for_the_leaves_goes_there_alone() {
    let hub = Arc::new(Hub::default());
    let phone = log_in(&hub, ALICE, PHONE, ALL, true);
    let laptop = log_in(&hub, ALICE, LAPTOP, ALL, false);
    let tablet = log_in(&hub, BOB, TABLET, ALL, true);
    let everyone = [&phone, &laptop, &tablet];
    assert_eq!(everyone.map(pushed), [1, 0, 1], "few KeyPackages");
    hub.committed(&[
        Effect::InboxItem { device: LAPTOP, position: 1, conversation: GROUP },
        Effect::KeyPackagesLow { device: LAPTOP, suite: 2, available: 0 },
    ]);
    assert_eq!(everyone.map(pushed), [0, 2, 0]);
    let epoch = Epoch { generation: 1, epoch: 2 };
    hub.committed(&[Effect::ForkCheckMismatch { conversation: GROUP, epoch }]);
    assert_eq!(everyone.map(pushed), [1, 0, 1]);
}

// cites: PRES-007, PRES-019
#[test]
fn whoever_shares_a_private_conversation_may_see_the_other() {
    let hub = Arc::new(Hub::default());
    let laptop = log_in(&hub, ALICE, LAPTOP, ALL, false);
    let tablet = log_in(&hub, BOB, TABLET, ALL, true);
    let settings = PresenceSettings::default();
    hub.committed(&[Effect::PresenceSet { user: BOB, attachment: tablet.id, settings }]);
    assert!(hub.presence_of(ALICE, BOB).is_some());
    let by_laptop = Reader { user: ALICE, is_approved: false };
    assert!(hub.presence_of(by_laptop, BOB).is_none(), "a device that may not know of it");
    assert_eq!(hub.online_members(BOB, GROUP, None, 9), [BOB], "Alice hides");
    let settings = PresenceSettings::default();
    hub.committed(&[Effect::PresenceSet { user: ALICE, attachment: laptop.id, settings }]);
    assert_eq!(hub.online_members(BOB, GROUP, None, 9), [ALICE, BOB]);
    hub.committed(&[Effect::Left { user: ALICE, conversation: GROUP, members: 1 }]);
    assert!(hub.presence_of(ALICE, BOB).is_none());
    hub.committed(&[Effect::JoinedPrivate { user: ALICE, conversation: GROUP, members: 2 }]);
    assert!(hub.presence_of(ALICE, BOB).is_some());
    hub.committed(&[Effect::LeafRemoved { device: TABLET, conversation: GROUP }]);
    assert_eq!(hub.online_members(BOB, GROUP, None, 9), [ALICE, BOB]);
    drop((laptop, tablet));
    assert!(hub.lock().subscribers.is_empty());
}

// cites: RELAY-001, RELAY-002, RELAY-003, RELAY-005
#[test]
fn what_a_device_says_is_for_other_devices_of_its_user() {
    let hub = Arc::new(Hub::default());
    let phone = log_in(&hub, ALICE, PHONE, ALL, true);
    let old = log_in(&hub, ALICE, PHONE, &["sync", "talk"], true);
    let laptop = log_in(&hub, ALICE, LAPTOP, ALL, false);
    let tablet = log_in(&hub, BOB, TABLET, ALL, true);
    let everyone = [&phone, &old, &laptop, &tablet];
    assert_eq!(everyone.map(pushed), [1, 0, 0, 1], "few KeyPackages");
    let say = |from, to| hub.relay(ALICE, from, to, Bytes::from_static(b"said"));
    assert_eq!(say(LAPTOP, None), 1);
    assert_eq!(everyone.map(pushed), [1, 0, 0, 0], "to whom it is approved, and can hear");
    assert_eq!(say(PHONE, Some(LAPTOP)), 1);
    assert_eq!(everyone.map(pushed), [0, 0, 1, 0]);
    for (from, to) in [(PHONE, Some(PHONE)), (PHONE, None), (PHONE, Some(TABLET))] {
        assert_eq!(say(from, to), 0, "{to:?}");
    }
    let late = log_in(&hub, ALICE, PHONE, ALL, true);
    assert_eq!(everyone.map(pushed), [0, 0, 0, 0]);
    assert_eq!(pushed(&late), 1, "few KeyPackages, and nothing of what was said");
}

// cites: RELAY-003, RELAY-007
#[test]
fn a_connection_without_room_is_not_counted() {
    let hub = Arc::new(Hub::default());
    let phone = log_in(&hub, ALICE, PHONE, ALL, true);
    let payload = Bytes::from(vec![1; 8192]);
    let say = || hub.relay(ALICE, LAPTOP, None, payload.clone());
    let heard = std::iter::repeat_with(say).take(1000).filter(|heard| *heard == 1).count();
    assert!((127..130).contains(&heard), "{heard}");
    assert_eq!(pushed(&phone), heard + 1, "few KeyPackages");
    assert_eq!(say(), 1);
}
