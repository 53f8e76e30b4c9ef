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

/// Who was never shown the identity of before can't tell its devices from somebody who reads along, and says nothing to them.
// cites: MLS-025, MLS-027
#[test]
fn nothing_is_said_to_whom_no_known_identity_approved() {
    let mut world = World::new(Group, 3);
    world.begin_anew(LAST);
    world.peers[LAST].sees_up_to = Some(world.head());
    world.restart(0, &[]);
    let head = world.head();
    world.say(0, "to whom?");
    world.settle();
    assert_eq!(world.head(), head, "nothing is sent");
    assert_eq!(world.peers[0].engine.health(ROOM).unwrap().waiting, 1);
}
