//! Users who begin anew: what stands in groups by the identity that they had.

use aside_proto::v1::ConversationKind::Group;

use super::{world::World, *};

/// The device of the user who begins anew.
const LAST: usize = 2;

// cites: MLS-025, MLS-027
#[test]
fn what_a_replaced_identity_approved_is_removed_by_whoever_starts_again() {
    let mut world = World::new(Group, 3);
    let former = world.begin_anew(LAST);
    // Nothing is heard of that device any more.
    world.peers[LAST].sees_up_to = Some(world.head());
    for at in [0, 1] {
        world.restart(at, std::slice::from_ref(&former));
        assert!(world.is_in(at), "the group is loaded");
    }
    world.say(0, "without the device of before");
    world.settle();
    assert_eq!(world.leaves(), 2);
    assert!(world.is_in(0) && world.is_in(1));
    let read = world.reading(1, world.head());
    assert!(matches!(read, Some(Reading::Said(_))), "{read:?}");
    for at in [0, 1] {
        let health = world.peers[at].engine.health(ROOM).unwrap();
        assert_eq!((health.last_repair, health.broken), (None, None));
    }
}

// cites: MLS-001
#[test]
fn a_suite_for_which_somebody_has_no_key_is_not_taken() {
    let mut world = World::made(Group, 2);
    world.peers[0].engine.prefer(Suite::P384Aes256);
    assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(2))));
    world.settle();
    assert!(world.is_in(0) && world.is_in(1));
    assert_eq!(world.peers[0].engine.health(ROOM).unwrap().suite, Some(2));
}

/// It is shown, with a warning: it may be the identity of now that is not whose it says.
// cites: DLOG-016, TRUST-006
#[test]
fn what_a_replaced_identity_said_is_shown_as_of_a_device_that_is_approved_no_longer() {
    let mut world = World::new(Group, 3);
    // The log that was goes further than the one that takes its place.
    world.approve_another(LAST);
    world.peers[0].sees_up_to = Some(world.head());
    world.say(LAST, "before I began anew");
    world.settle();
    let (seq, former) = (world.head(), world.begin_anew(LAST));
    world.peers[0].sees_up_to = None;
    world.restart(0, &[former]);
    world.settle();
    let Some(Reading::Said(said)) = world.reading(0, seq) else { panic!("it is read") };
    assert_eq!((&said.content[..], said.approved), (&b"before I began anew"[..], false));
    let doubts = |it: &Event| matches!(it, Event::SenderDoubted { .. });
    assert!(world.told(0).iter().any(doubts));
}

/// Who was never shown the identity of before can't tell its devices from somebody who reads along, and says nothing to them.
// cites: MLS-025, MLS-027
#[test]
fn nothing_is_said_to_whom_no_known_identity_approved() {
    let mut world = World::new(Group, 3);
    world.begin_anew(LAST);
    world.peers[LAST].sees_up_to = Some(world.head());
    world.restart(0, &[]);
    world.told(0);
    let head = world.head();
    world.say(0, "to whom?");
    assert!(world.peers[0].engine.want(ROOM, Goal::Remove(user_of(3))));
    world.settle();
    world.pass(60_000);
    assert_eq!(world.head(), head, "nothing is sent");
    let health = world.peers[0].engine.health(ROOM).unwrap();
    let why = (Repair::Behind, Reason::CredentialRefused);
    assert_eq!((health.waiting, health.broken), (1, Some(why)));
    let told = world.told(0);
    let failed = |it: &&Event| matches!(it, Event::RepairFailed { .. });
    assert_eq!(told.iter().filter(failed).count(), 1, "which is told once: {told:?}");
    let is_done = told.iter().any(|it| matches!(it, Event::Done { .. }));
    assert!(!is_done, "nobody is removed: {told:?}");
}

/// What was opened can't be opened again: it waits for the log by which its sender is judged, and survives a new start.
// cites: TRUST-006, DLOG-016
#[test]
fn what_was_said_by_whose_log_was_held_back_is_shown_once_the_log_is_there() {
    for is_restarted in [false, true] {
        let mut world = World::new(Group, 2);
        world.peers[1].is_log_withheld = true;
        world.approve_another(1);
        world.told(0);
        world.say(1, "there is more to my log");
        world.settle();
        let (seq, sender) = (world.head(), world.peers[1].me());
        let doubted = Some(Reading::Unreadable(Unreadable::LogHeldBack));
        assert_eq!(world.reading(0, seq), doubted);
        assert!(world.has_doubts(0));
        assert!(world.told(0).contains(&Event::SenderDoubted { seq, sender }));
        if is_restarted {
            // By the log as it is by then.
            world.restart(0, &[]);
        } else {
            world.peers[1].is_log_withheld = false;
            world.peers[0].engine.log_changed(sender.user);
        }
        world.settle();
        let Some(Reading::Said(said)) = world.reading(0, seq) else { panic!("it is shown now") };
        assert_eq!((&said.content[..], said.approved), (&b"there is more to my log"[..], true));
        assert!(world.told(0).contains(&Event::Read));
        assert!(!world.has_doubts(0), "nothing more is to be judged");
    }
}
