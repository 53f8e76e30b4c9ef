//! What servers and members do that is not as it should be, and what a device makes of it.

use std::sync::atomic::Ordering;

use aside_proto::v1::{
    ConversationKind::{Direct, Group},
    ErrorCode,
};
use prost::Message as _;

use super::{world::World, *};
use crate::private::record::leaf;

/// A device that is the last of three, and is told of nothing yet.
const LAST: usize = 2;

// cites: MLS-043
#[test]
fn a_conversation_that_is_not_listed_goes_on_from_where_it_was_once_it_is() {
    let mut world = World::new(Group, 3);
    world.told(LAST);
    let before = world.peers[LAST].engine.epoch_authenticator(ROOM).expect("it is in the group");
    world.say(LAST, "before");
    assert!(world.peers[LAST].engine.want(ROOM, Goal::Renew));
    world.peers[LAST].is_listed = false;
    world.peers[LAST].engine.unlisted(ROOM);
    world.say(0, "meanwhile");
    world.settle();

    let told = world.told(LAST);
    assert!(
        matches!(&told[..], [Event::Failed { .. }, Event::Done { outcome: Err(_), .. }]),
        "{told:?}"
    );
    let last = &mut world.peers[LAST];
    assert!(!last.engine.follows(ROOM) && last.engine.health(ROOM).is_none());
    let message_id = IdempotencyKey::new([9; 16]);
    let refused = last.engine.send(ROOM, message_id, Bytes::new());
    assert_eq!(refused, Err(SendError::Unknown));
    let now = last.engine.epoch_authenticator(ROOM);
    assert_eq!(now.map(|it| it.2[..].to_vec()), Some(before.2[..].to_vec()), "nothing is lost");
    let head = world.head();

    world.peers[LAST].is_listed = true;
    world.settle();
    let read = world.reading(LAST, head).expect("it was read");
    assert!(matches!(read, Reading::Said(said) if said.content[..] == b"meanwhile"[..]));
    world.say(LAST, "after");
    world.settle();
    assert_eq!(world.head(), head + 1, "it came in by no commit, and can send");
    assert!(!world.told(LAST).iter().any(|it| matches!(it, Event::Joined { .. })));
}

// cites: MLS-043
#[test]
fn what_the_server_may_have_is_not_told_to_have_failed() {
    let mut world = World::new(Group, 3);
    world.told(LAST);
    world.say(LAST, "it is there");
    (world.peers[LAST].is_cut_off, world.peers[LAST].is_listed) = (true, false);
    let seq = world.head() + 1;
    world.settle();
    assert_eq!(world.head(), seq);
    world.peers[LAST].engine.unlisted(ROOM);
    world.settle();
    assert_eq!(world.told(LAST), [], "what became of it is not known");

    world.peers[LAST].is_listed = true;
    world.settle();
    let told = world.told(LAST);
    let sent = |it: &Event| matches!(it, Event::Sent { seq: at, .. } if *at == seq);
    assert!(told.iter().any(sent), "{told:?}");
    assert!(!told.iter().any(|it| matches!(it, Event::Joined { .. } | Event::Failed { .. })));
    assert!(matches!(world.reading(LAST, seq), Some(Reading::Said(_))));
    assert_eq!(world.head(), seq, "and it is sent once");
}

#[test]
fn what_the_log_says_as_well_is_over() {
    let mut world = World::new(Group, 3);
    assert!(world.peers[0].engine.want(ROOM, Goal::Remove(user_of(3))));
    world.settle();
    let last = &mut world.peers[LAST];
    assert!(last.engine.epoch_authenticator(ROOM).is_some(), "it is not sure yet (MLS-036)");
    last.is_listed = false;
    last.engine.unlisted(ROOM);
    assert_eq!(last.engine.epoch_authenticator(ROOM), None);
}

#[test]
fn what_the_log_says_later_is_over_then() {
    let mut world = World::new(Group, 3);
    world.peers[LAST].sees_up_to = Some(world.head());
    assert!(world.peers[0].engine.want(ROOM, Goal::Remove(user_of(3))));
    world.settle();
    let last = &mut world.peers[LAST];
    // What came before the list is not taken in before it.
    last.engine.kept(ROOM, world.entries.len() as u64);
    last.is_listed = false;
    last.engine.unlisted(ROOM);
    assert!(last.engine.epoch_authenticator(ROOM).is_some());
    world.settle();
    assert_eq!(world.peers[LAST].engine.epoch_authenticator(ROOM), None);
}

#[test]
fn who_leaves_keeps_nothing() {
    let mut world = World::new(Group, 3);
    world.peers[LAST].is_listed = false;
    world.peers[LAST].engine.left(ROOM);
    assert_eq!(world.peers[LAST].engine.epoch_authenticator(ROOM), None);
    let writes = world.peers[LAST].engine.take_writes().expect("what is over");
    assert!(writes.conversations[&ROOM].groups.values().all(Option::is_none));
}

#[test]
fn where_the_server_knows_of_no_conversation_its_list_is_asked_for_and_nothing_else() {
    let mut world = World::new(Group, 3);
    world.told(LAST);
    let last = &mut world.peers[LAST];
    (last.is_out, last.is_listed) = (true, false);
    last.engine.take_listing_due();
    assert!(last.engine.want(ROOM, Goal::Renew));
    world.settle();
    let told = world.told(LAST);
    assert!(matches!(&told[..], [Event::Done { goal: Goal::Renew, outcome: Err(_) }]), "{told:?}");
    let last = &mut world.peers[LAST];
    assert!(last.engine.take_listing_due() && !last.engine.take_listing_due());
    assert!(!last.engine.follows(ROOM), "it waits for the list");

    (last.is_out, last.is_listed) = (false, true);
    world.say(0, "still there");
    world.settle();
    assert!(world.is_in(LAST), "which may have it");
    let head = world.head();
    assert!(world.peers[LAST].engine.want(ROOM, Goal::Renew));
    world.settle();
    assert_eq!(world.head(), head, "the server would not let it");
    world.pass(60_000);
    assert!(world.head() > head && world.is_in(0) && world.is_in(LAST), "or it would");
}

/// Nothing is pushed to a device outside of a group, so what it comes in by may be of a later moment than all that it has taken in.
// cites: MLS-012
#[test]
fn who_comes_in_before_the_log_is_read_to_there_comes_in_once() {
    let mut world = World::made(Group, 3);
    world.peers[LAST].sees_up_to = Some(world.head());
    for user in 2..=3 {
        assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(user))));
        world.settle();
    }
    let head = world.head();
    world.forget(LAST);
    world.settle();
    assert_eq!(world.head(), head + 1, "it commits, and has taken in nothing yet");
    world.peers[LAST].sees_up_to = None;
    world.settle();
    assert!(world.is_in(LAST) && world.is_in(0));
    let told = world.told(LAST);
    let joined: Vec<_> = told.iter().filter(|it| matches!(it, Event::Joined { .. })).collect();
    assert_eq!(joined, [&Event::Joined { how: How::Came(Repair::NewDevice) }]);
    assert_eq!(world.head(), head + 1);
}

// cites: MLS-036
#[test]
fn who_is_removed_by_a_commit_that_one_rejects_is_out_once_others_go_on_from_it() {
    let (mut world, gone) = (World::new(Group, 4), 3);
    // So that the second may not begin anew at once.
    let owner =
        v1::RoleChangedPayload { user_id: user_of(3).to_bytes(), role: v1::Role::Owner.into() };
    world.append(0, [1; 16], v1::EntryKind::RoleChanged, owner.encode_to_vec());
    world.settle();
    world.told(gone);
    // What removes the last one, the second can't follow, and says so.
    world.garble_next(1);
    let seq = world.head() + 1;
    assert!(world.peers[0].engine.want(ROOM, Goal::Remove(user_of(4))));
    world.settle();

    let by = world.peers[0].me();
    let told = world.told(gone);
    let removed = Event::Removed { by: Some(by) };
    let refused = Event::CommitRefused { seq, by, reason: Reason::Invalid, suspects: Vec::new() };
    let at = |wanted: &Event| {
        told.iter().position(|it| it == wanted).unwrap_or_else(|| panic!("{told:?}"))
    };
    assert!(at(&removed) < at(&refused));
    assert!(world.peers[gone].engine.health(ROOM).unwrap().epoch.is_some(), "as it was before");

    world.say(2, "the third has taken it");
    world.settle();
    let told = world.told(gone);
    assert!(told.contains(&removed), "{told:?}");
    assert!(world.peers[gone].engine.health(ROOM).unwrap().epoch.is_none());
    assert!(world.is_in(1), "who could not follow has come in anew");
}

// cites: MLS-044
#[test]
fn a_member_who_leaves_a_device_behind_on_purpose_does_not_keep_it_coming() {
    let mut world = World::new(Group, 3);
    let culprit = world.peers[1].me();
    for times in 1..=3 {
        leave_behind(&mut world);
        assert!(world.is_in(LAST), "it comes in at once, {times} times");
    }
    let health = world.peers[LAST].engine.health(ROOM).unwrap();
    assert_eq!(health.left_behind, Some((culprit, 3)));
    world.told(LAST);

    leave_behind(&mut world);
    world.say(0, "and on it goes");
    world.settle();
    assert!(!world.is_in(LAST), "it waits");
    let failed = |it: &&Event| matches!(it, Event::RepairFailed { why: Repair::Behind, .. });
    assert_eq!(world.told(LAST).iter().filter(failed).count(), 1, "which is told once");
    let last = &world.peers[LAST].engine;
    let wait = last.wake_at().expect("it wakes by itself") - world.now_ms;
    assert!((50_000..=60_000).contains(&wait), "{wait}");
    world.pass(wait - 1);
    assert!(!world.is_in(LAST));
    world.pass(1);
    assert!(world.is_in(LAST), "then it comes in");

    leave_behind(&mut world);
    assert!(!world.is_in(LAST));
    assert!(world.peers[LAST].engine.rejoin(ROOM));
    world.settle();
    assert!(world.is_in(LAST), "its user may say so");
}

// cites: MLS-044
#[test]
fn a_side_of_a_direct_does_not_keep_the_other_beginning_anew() {
    let mut world = World::new(Direct, 2);
    let spoil = |world: &mut World| {
        world.garble_next(0);
        assert!(world.peers[1].engine.want(world.id, Goal::Renew));
        world.settle();
    };
    for times in 1..=3 {
        spoil(&mut world);
        assert!(world.is_in(0) && world.is_in(1), "it begins anew at once, {times} times");
    }
    let culprit = world.peers[1].me();
    world.told(0);
    spoil(&mut world);
    let first = &world.peers[0].engine;
    assert!(!world.is_in(0), "it waits");
    assert_eq!(first.health(world.id).unwrap().left_behind, Some((culprit, 3)));
    let wait = first.wake_at().expect("it wakes by itself") - world.now_ms;
    let failed = |it: &&Event| matches!(it, Event::RepairFailed { why: Repair::Behind, .. });
    assert_eq!(world.told(0).iter().filter(failed).count(), 1, "which is told once");
    world.pass(wait);
    assert!(world.is_in(0) && world.is_in(1), "then it begins anew");
}

/// The server permits one who is no owner to leave nobody out (DS-023), and who came by a commit that can't be followed came by the
/// server's word alone: the device comes to those who are there.
// cites: DS-023, MLS-049
#[test]
fn who_may_leave_nobody_out_comes_in_where_somebody_came_whom_it_does_not_know() {
    let mut world = World::made(Group, 3);
    assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(2))));
    world.settle();
    for at in [1, LAST] {
        world.garble_next(at);
    }
    assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(3))));
    world.settle();
    let told = world.told(1);
    let refused = |it: &Event| matches!(it, Event::CommitRefused { .. });
    assert!(told.iter().any(refused), "{told:?}");
    assert_eq!(world.info.generation, 1, "nobody begins anew");
    assert!(world.is_in(0) && world.is_in(1) && world.is_in(LAST));
}

/// Entries are the server's word: what MLS does not cover leads nobody in.
// cites: MLS-049
#[test]
fn a_commit_that_the_server_made_up_brings_nobody_into_the_group_that_is_begun_anew() {
    let unknown = Owner { user: user_of(2), device: DeviceId::new([9; 16]) };
    for (by, is_lost) in [(None, false), (Some(1), false), (Some(0), true)] {
        let mut world = World::made(Group, 3);
        assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(2))));
        world.settle();
        let by = by.map_or(unknown, |at: usize| world.peers[at].me());
        let stranger = leaf(world.peers[LAST].me());
        world.forge_commit(by, stranger.clone());
        assert!(world.info.leaves.contains(&stranger), "the server says that it is in");
        world.settle();
        if is_lost {
            // Its own, as if of a state that is lost: there is no way in, and its user says to go on.
            assert_eq!(world.info.generation, 1);
            assert!(world.peers[0].engine.rejoin(ROOM));
            world.settle();
        }
        assert_eq!(world.info.generation, 2, "the owner has begun anew");
        assert!(!world.info.leaves.contains(&stranger));
        assert!(world.is_in(0) && !world.is_in(LAST));
        // Whom the entry names is left out, as the culprit; an owner lets it in again.
        assert_eq!(world.is_in(1), by != world.peers[1].me());
    }
}

// cites: MLS-050
#[test]
fn nobody_is_a_third_in_a_direct() {
    let mut world = World::new(Direct, 2);
    let (by, third) =
        (world.peers[1].me(), Owner { user: user_of(3), device: DeviceId::new([103; 16]) });
    world.told(0);
    world.forge_commit(by, leaf(third));
    world.settle();
    let told = world.told(0);
    let what = "the leaves of a group of two users";
    let is_it = |it: &Event| matches!(it, Event::Contradiction { what: told, .. } if *told == what);
    assert!(told.iter().any(is_it), "{told:?}");
    assert_eq!(world.info.generation, 1);
}

/// Whom the server says that a group was begun anew by, nobody says anything to who knew somebody there.
// cites: MLS-049
#[test]
fn nobody_says_anything_in_a_group_that_a_stranger_has_begun_anew() {
    let mut world = World::made(Group, 3);
    assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(2))));
    world.settle();
    world.told(1);
    world.take_over(LAST, 1);
    world.settle();
    says_nothing_where_a_stranger_leads(&mut world, 1, LAST);
}

/// The one reads what is said in the group that the other has led it into, and makes nothing there before its user says so.
fn says_nothing_where_a_stranger_leads(world: &mut World, at: usize, stranger: usize) {
    let failed = Event::RepairFailed {
        why: Repair::NoWelcome,
        reason: Reason::Stranger,
        suspects: vec![world.peers[stranger].me()],
    };
    let told = world.told(at);
    assert!(told.contains(&failed), "its user is told: {told:?}");
    let user = world.peers[stranger].me().user;
    for is_restarted in [false, true] {
        world.say(stranger, "who is there?");
        world.settle();
        let heard = world.head();
        assert!(matches!(world.reading(at, heard), Some(Reading::Said(_))), "nothing is lost");
        world.say(at, "somebody");
        assert!(world.peers[at].engine.want(ROOM, Goal::Renew));
        world.pass(60_000);
        assert_eq!(world.head(), heard, "nothing is said");
        let engine = &world.peers[at].engine;
        let health = engine.health(ROOM).unwrap();
        assert_eq!((health.stranger, health.led_by.is_some()), (Some(user), true));
        assert!(!engine.conversations[&ROOM].known_users().unwrap().contains(&user));
        let told = world.told(at);
        assert!(!told.contains(&failed), "nor told again");
        let (goal, outcome) = (Goal::Renew, Err(GoalError::Stranger));
        assert!(told.contains(&Event::Done { goal, outcome }), "which waits for nothing");
        if !is_restarted {
            world.restart(at, &[]);
        }
    }
    let head = world.head();
    assert!(world.peers[at].engine.rejoin(ROOM), "which says nothing of that");
    world.settle();
    let is_named = |it: &Event| matches!(it, Event::RepairFailed { reason: Reason::Stranger, .. });
    assert!(world.told(at).iter().any(is_named) && world.head() == head, "it is told once more");
    assert!(!world.peers[at].engine.let_lead(ROOM, user_of(77)), "nobody has named that one");
    assert!(world.peers[at].engine.let_lead(ROOM, user), "its user may say so");
    world.settle();
    assert!(world.is_in(at) && world.head() > head);
    let health = world.peers[at].engine.health(ROOM).unwrap();
    assert_eq!((health.broken, health.led_by, health.stranger), (None, None, None));
}

/// What a user asks for is what it was told of: another stranger is named again.
// cites: MLS-049
#[test]
fn whom_a_user_lets_lead_is_whom_it_was_told_of() {
    let mut world = World::made(Group, 4);
    assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(2))));
    world.settle();
    // As if its state were lost, and then the group went on by somebody else, while the first is away.
    world.peers[0].sees_up_to = Some(world.head());
    world.peers[1].is_kept_in_the_dark = true;
    let me = world.peers[1].me();
    world.forge_commit(me, leaf(me));
    world.settle();
    world.take_over(LAST, 1);
    world.peers[1].drop_welcomes();
    world.settle();
    world.told(1);
    let user = |world: &World, at: usize| world.peers[at].me().user;
    let let_lead = |world: &mut World, at: usize| {
        let user = user(world, at);
        world.peers[1].engine.let_lead(ROOM, user)
    };
    assert!(!let_lead(&mut world, LAST), "nobody was named");
    assert!(world.peers[1].engine.rejoin(ROOM), "which was said for another reason");
    world.peers[1].is_kept_in_the_dark = false;
    world.settle();
    let named = |world: &mut World, at: usize| {
        let told = world.told(1);
        let by = world.peers[at].me();
        told.iter().any(|it| {
            matches!(it, Event::RepairFailed { reason: Reason::Stranger, suspects, .. } if *suspects == [by])
        })
    };
    assert!(!world.is_in(1) && named(&mut world, LAST));

    world.take_over(3, 1);
    world.peers[1].drop_welcomes();
    assert!(let_lead(&mut world, LAST), "who was named");
    world.settle();
    assert!(!world.is_in(1) && named(&mut world, 3), "and does not lead any more");
    assert!(!let_lead(&mut world, LAST));
    assert!(let_lead(&mut world, 3));
    world.settle();
    assert!(world.is_in(1));
}

/// Whom this device knew is kept with the state that goes.
// cites: MLS-049
#[test]
fn whom_a_device_knew_it_knows_after_a_gap_and_a_new_start() {
    let mut world = World::made(Group, 3);
    assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(2))));
    world.settle();
    // Nothing of it is left, and nobody says how the group stands.
    world.peers[1].is_kept_in_the_dark = true;
    world.peers[1].engine.conversations.get_mut(&ROOM).unwrap().skipped = true;
    world.settle();
    assert_eq!(world.peers[1].engine.epoch_authenticator(ROOM), None);
    world.restart(1, &[]);
    let knew = world.peers[1].engine.conversations[&ROOM].known_users();
    assert_eq!(knew, Some([1, 2].map(user_of).into()));
}

/// Who was put out, and leaves, is invited as anybody is.
#[test]
fn who_leaves_after_being_put_out_knows_nobody() {
    let mut world = World::new(Group, 3);
    assert!(world.peers[0].engine.want(ROOM, Goal::Remove(user_of(3))));
    world.settle();
    let last = &mut world.peers[LAST];
    last.is_listed = false;
    last.engine.unlisted(ROOM);
    assert!(last.engine.former.contains_key(&ROOM));
    last.engine.left(ROOM);
    world.settle();
    assert!(world.peers[LAST].engine.former.is_empty());
    world.restart(LAST, &[]);
    assert_eq!(world.peers[LAST].engine.conversations[&ROOM].known_before, None);
}

/// Of a DIRECT there is nobody else to come, so the other one is never a stranger.
// cites: MLS-049, MLS-050
#[test]
fn the_other_side_of_a_direct_is_no_stranger() {
    let mut world = World::new(Direct, 2);
    // The other one has made all there is.
    let (id, alone) = (world.id, [user_of(2)].into());
    let conversation = world.peers[1].engine.conversations.get_mut(&id).unwrap();
    (conversation.known_before, conversation.group) = (Some(alone), None);
    conversation.repair = Some(Repair::StateLost);
    world.settle();
    assert!(world.is_in(1));
}

/// Nor whom the server says that it was let in again by, once it was put out.
// cites: MLS-049
#[test]
fn nobody_is_let_in_again_by_a_stranger_unless_its_user_says_so() {
    let mut world = World::made(Group, 4);
    for goal in [Goal::Add(user_of(2)), Goal::Add(user_of(3)), Goal::Remove(user_of(3))] {
        assert!(world.peers[0].engine.want(ROOM, goal));
        world.settle();
    }
    world.told(LAST);
    world.peers[LAST].is_listed = false;
    world.peers[LAST].engine.unlisted(ROOM);
    assert!(!world.peers[LAST].engine.follows(ROOM));
    // Who comes after that adds it again.
    assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(4))));
    world.settle();
    assert!(world.peers[3].engine.want(ROOM, Goal::Add(user_of(3))));
    world.settle();
    world.peers[LAST].is_listed = true;
    world.settle();
    says_nothing_where_a_stranger_leads(&mut world, LAST, 3);
}

/// What is not known of a group is no reason to throw anybody out.
// cites: MLS-025
#[test]
fn who_can_not_tell_who_is_there_begins_nothing_anew() {
    let mut world = World::new(Group, 4);
    world.begin_anew(3);
    world.peers[3].sees_up_to = Some(world.head());
    world.restart(0, &[]);
    for at in 0..3 {
        world.garble_next(at);
    }
    world.forge_commit(
        Owner { user: user_of(2), device: DeviceId::new([9; 16]) },
        leaf(world.peers[2].me()),
    );
    world.settle();
    world.pass(60_000);
    assert_eq!(world.info.generation, 1);
    let health = world.peers[0].engine.health(ROOM).unwrap();
    assert_eq!(health.broken, Some((Repair::Behind, Reason::CredentialRefused)));
}

// cites: HEAD-010, HEAD-011
#[test]
fn a_server_that_shows_two_histories_is_caught_by_what_the_members_state() {
    for is_commit in [false, true] {
        let mut world = World::new(Group, 3);
        world.say(0, "all see the same");
        world.settle();
        (0..3).for_each(|at| drop(world.told(at)));
        assert!((0..3).all(|at| world.peers[at].engine.health(ROOM).unwrap().diverged.is_empty()));

        world.peers[LAST].other_history_from = Some(world.head() + 1);
        world.say(0, "the first sees this where the last sees something else");
        world.settle();
        let diverges = |it: &&Event| matches!(it, Event::HistoryDiverges { .. });
        let told = |world: &mut World, at: usize| {
            let told = world.told(at);
            told.iter().filter(diverges).cloned().collect::<Vec<_>>()
        };
        assert_eq!(told(&mut world, LAST), [], "nobody has said anything that builds on it");
        let seq = world.head() + 1;
        if is_commit {
            assert!(world.peers[0].engine.want(ROOM, Goal::Renew));
        } else {
            world.say(0, "and builds on it");
        }
        world.settle();
        let by = world.peers[0].me();
        assert_eq!(told(&mut world, LAST), [Event::HistoryDiverges { seq, by }]);
        assert_eq!(told(&mut world, 1), [], "these two see the same");
        assert_eq!(world.peers[LAST].engine.health(ROOM).unwrap().diverged, [(seq, by)]);

        world.say(LAST, "it is seen from the other side too");
        world.settle();
        assert_eq!(told(&mut world, 0).len(), 1);
        world.say(0, "and is told once");
        world.settle();
        assert_eq!(told(&mut world, LAST), []);
    }
}

// cites: MSG-009, MSG-015, MSG-016
#[test]
fn a_message_that_is_acknowledged_and_not_kept_is_found_out() {
    let contradicts = |it: &Event| matches!(it, Event::Contradiction { .. });
    let mut world = World::new(Group, 3);
    world.peers[LAST].swallows = Some(false);
    world.say(LAST, "hello?");
    world.settle();
    assert!(world.told(LAST).iter().any(contradicts), "the hash is of something else");

    let mut world = World::new(Group, 3);
    world.peers[LAST].swallows = Some(true);
    world.say(LAST, "hello?");
    world.settle();
    assert!(!world.told(LAST).iter().any(contradicts), "it may come yet");
    world.say(0, "what comes in its place");
    world.settle();
    assert!(world.told(LAST).iter().any(contradicts));
    let refused = world.peers[LAST].engine.send(ROOM, IdempotencyKey::new([9; 16]), Bytes::new());
    assert_eq!(refused, Err(SendError::Contradicted));
}

/// What the inbox has says where a conversation begins, if it was read after that was listed.
// cites: INBOX-009
#[test]
fn where_a_new_conversation_begins_is_known_once_the_inbox_was_read_after_it_was_listed() {
    let mut world = World::new(Group, 2);
    let engine = &mut world.peers[1].engine;
    let new = ConversationId::new([77; 16]);
    assert!(engine.knows_beginnings([ROOM]), "it is followed");
    assert!(!engine.knows_beginnings([ROOM, new]) && !engine.is_inbox_known());
    world.settle();
    let engine = &mut world.peers[1].engine;
    assert!(engine.is_inbox_known() && engine.knows_beginnings([ROOM, new]));
    assert!(!engine.knows_beginnings([new]), "which was listed later, for all that is known");
}

/// A list may be older than a Welcome: it is let go of if the next has not the conversation either.
// cites: INBOX-009
#[test]
fn a_welcome_to_what_was_not_listed_waits_for_the_next_list() {
    let mut world = World::made(Group, 2);
    world.peers[1].is_listed = false;
    world.forget(1);
    assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(2))));
    world.settle();
    let engine = &mut world.peers[1].engine;
    engine.take_listing_due();
    assert!(engine.welcomed_at(ROOM).is_some());
    engine.left(ROOM);
    engine.inbox_item();
    world.settle();
    for is_kept in [true, false] {
        let engine = &mut world.peers[1].engine;
        engine.listed();
        assert_eq!(engine.welcomed_at(ROOM).is_some(), is_kept);
        assert_eq!(engine.take_listing_due(), is_kept, "the next is asked for");
    }
}

/// A reply to what was asked before a conversation is taken up anew is of the time before.
#[test]
fn what_was_asked_for_before_a_conversation_is_forgotten_is_forgotten_too() {
    let mut world = World::new(Group, 3);
    world.say(LAST, "hello?");
    let engine = &mut world.peers[LAST].engine;
    engine.work().unwrap();
    engine.take_writes();
    engine.written();
    let (asked, _, body) = engine.poll_request().unwrap();
    assert!(matches!(body, v1::client_frame::Body::SendPrivate(_)));
    engine.forget(ROOM);
    // It was sent as something else, say.
    let (seq, payload_hash) = (world.head() + 1, Bytes::from_static(&[7; 32]));
    let sent = v1::Sent { seq, payload_hash, ..v1::Sent::default() };
    let engine = &mut world.peers[LAST].engine;
    engine.replied(asked, Ok(v1::server_frame::Body::Sent(sent)));
    world.settle();
    let told = world.told(LAST);
    assert!(!told.iter().any(|it| matches!(it, Event::Contradiction { .. })), "{told:?}");
    assert!(world.is_in(LAST));
}

// cites: MLS-046
#[test]
fn nothing_is_said_in_a_tree_with_leaves_that_nobody_was_shown() {
    let mut world = World::made(Group, 3);
    for user in 2..=3 {
        assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(user))));
        world.settle();
    }
    world.told(LAST);
    let head = world.head();
    // As if the second had come in without a word of it.
    let shown = world.info.leaves.clone();
    let hidden = leaf(world.peers[1].me());
    world.info.leaves.retain(|it| *it != hidden);
    world.say(LAST, "to those whom I see");
    world.settle();
    assert_eq!(world.head(), head, "it is not said");
    let failed = |it: &Event| {
        let (why, reason) = (Repair::NoWelcome, Reason::ClaimMismatch);
        matches!(it, Event::RepairFailed { why: w, reason: r, .. } if (*w, *r) == (why, reason))
    };
    assert!(world.told(LAST).iter().any(failed), "and its user is told");

    world.info.leaves = shown;
    world.pass(60_000);
    assert!(world.is_in(LAST));
    let said = world.head();
    assert_eq!(said, head + 2, "it comes in anew, and says it");
    assert!(matches!(world.reading(0, said), Some(Reading::Said(_))));
}

/// A server that refuses to say is not asked again and again.
// cites: MLS-046
#[test]
fn nothing_is_said_in_a_tree_that_the_server_does_not_confirm() {
    let mut world = World::made(Group, 3);
    for user in 2..=3 {
        assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(user))));
        world.settle();
    }
    let head = world.head();
    world.peers[LAST].is_kept_in_the_dark = true;
    world.say(LAST, "is it as I see it?");
    world.settle();
    let last = &world.peers[LAST].engine;
    assert_eq!(world.head(), head, "it is not said");
    let why = (Repair::NoWelcome, Reason::NotAMember);
    assert_eq!(last.health(ROOM).unwrap().broken, Some(why));
    let failed = Event::RepairFailed { why: why.0, reason: why.1, suspects: Vec::new() };
    assert!(world.peers[LAST].told.contains(&failed), "and its user is told");
    let last = &world.peers[LAST].engine;
    let wait = last.wake_at().expect("it asks again") - world.now_ms;
    assert!((50_000..=60_000).contains(&wait), "{wait}");
    world.peers[LAST].is_kept_in_the_dark = false;
    world.pass(wait);
    assert_eq!(world.head(), head + 1, "it is");
    assert_eq!(world.peers[LAST].engine.health(ROOM).unwrap().broken, None);
}

// cites: MLS-045
#[test]
fn rejections_of_one_leaf_do_not_make_another_commit_for_ever() {
    let mut world = World::new(Group, 3);
    assert!(world.peers[0].engine.want(ROOM, Goal::Renew));
    world.settle();
    let mut reject = |by: usize| {
        let seq = world.entries.iter().rfind(|it| it.header.kind() == v1::EntryKind::Commit);
        let (seq, head) = (seq.unwrap().seq, world.head());
        let code = v1::RejectCode::WelcomeInvalid.into();
        let payload = v1::CommitRejectedPayload { seq, code }.encode_to_vec();
        world.append(by, [0; 16], v1::EntryKind::CommitRejected, payload);
        world.settle();
        world.head() - head - 1
    };
    let made: Vec<_> = (0..8).map(|_| reject(LAST)).collect();
    assert_eq!(made.iter().sum::<u64>(), 6, "three of each of the two others: {made:?}");
    assert_eq!(reject(1), 1, "another may have cause");
}

/// Whoever removed it adds it again, by a Welcome for keys that it has lost: what the others made of the removal does not matter any more.
// cites: MLS-036
#[test]
fn who_is_removed_and_added_again_comes_in_without_the_welcome() {
    let mut world = World::new(Group, 4);
    world.peers[LAST].sees_up_to = Some(world.head());
    assert!(world.peers[0].engine.want(ROOM, Goal::Remove(user_of(3))));
    world.settle();
    assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(3))));
    world.settle();
    world.restart(LAST, &[]);
    world.peers[LAST].sees_up_to = None;
    world.settle();
    assert!(world.is_in(LAST), "{:?}", world.told(LAST));
}

/// One of its user's devices is let in again, and this one is not named: it comes in by itself, and does not wait for what the others made
/// of its removal.
// cites: MLS-036
#[test]
fn whose_user_is_let_in_by_another_device_waits_for_nothing() {
    let mut world = World::new(Group, 3);
    assert!(world.peers[0].engine.want(ROOM, Goal::Remove(user_of(3))));
    world.settle();
    assert!(world.peers[LAST].engine.epoch_authenticator(ROOM).is_some(), "it may hold or not");
    let (by, user) = (world.peers[0].me(), user_of(3));
    world.told(LAST);
    world.forge_commit(by, leaf(Owner { user, device: DeviceId::new([9; 16]) }));
    world.settle();
    assert_eq!(world.peers[LAST].engine.epoch_authenticator(ROOM), None);
    let told = world.told(LAST);
    let tries = |it: &Event| matches!(it, Event::RepairFailed { why: Repair::NewDevice, .. });
    assert!(told.iter().any(tries), "it tries to come in: {told:?}");
}

/// A server that was caught stays caught, whatever it lists.
// cites: MSG-015
#[test]
fn what_is_contradicted_is_not_over() {
    let mut world = World::new(Group, 3);
    world.peers[LAST].swallows = Some(true);
    world.say(LAST, "hello?");
    world.settle();
    let me = world.peers[LAST].me();
    world.cut_off(0, me, false);
    world.settle();
    let contradicts = |it: &Event| matches!(it, Event::Contradiction { .. });
    assert!(world.told(LAST).iter().any(contradicts));
    (world.peers[LAST].swallows, world.peers[LAST].is_listed) = (None, false);
    world.peers[LAST].engine.unlisted(ROOM);
    world.settle();
    world.peers[LAST].is_listed = true;
    world.settle();
    let refused = world.peers[LAST].engine.send(ROOM, IdempotencyKey::new([9; 16]), Bytes::new());
    assert_eq!(refused, Err(SendError::Contradicted));
}

/// A Welcome that came before this device knew that it was removed is of the time after that.
#[test]
fn the_welcome_of_who_is_added_again_is_not_thrown_away_with_what_is_over() {
    let mut world = World::new(Group, 3);
    world.peers[LAST].sees_up_to = Some(world.head());
    assert!(world.peers[0].engine.want(ROOM, Goal::Remove(user_of(3))));
    world.settle();
    let removed = world.head();
    assert!(world.peers[0].engine.want(ROOM, Goal::Add(user_of(3))));
    world.settle();
    world.told(LAST);
    world.peers[LAST].engine.unlisted(ROOM);
    (world.peers[LAST].is_listed, world.peers[LAST].sees_up_to) = (false, Some(removed));
    world.peers[LAST].engine.kept(ROOM, removed);
    world.settle();
    assert!(!world.peers[LAST].engine.follows(ROOM), "it is over");
    (world.peers[LAST].is_listed, world.peers[LAST].sees_up_to) = (true, None);
    world.settle();
    let told = world.told(LAST);
    assert!(told.contains(&Event::Joined { how: How::Welcomed }), "{told:?}");
}

/// Each of these calls for something that is done at once, and is refused in turn.
// cites: MLS-051
#[test]
fn what_is_refused_again_and_again_is_tried_at_longer_and_longer_intervals() {
    for (commits, messages) in [
        (Some(ErrorCode::WrongEpoch), None),
        (Some(ErrorCode::RemovalPending), None),
        (None, Some(ErrorCode::NotInGroup)),
    ] {
        let mut world = World::new(Group, 3);
        world.peers[LAST].commits_refused = commits;
        world.peers[LAST].messages_refused = messages;
        match commits {
            Some(_) => assert!(world.peers[LAST].engine.want(ROOM, Goal::Renew)),
            None => world.say(LAST, "is anybody there?"),
        }
        world.settle();
        assert_eq!(world.peers[LAST].refusals, 5);
        let mut asked_at = world.now_ms;
        for (times, wait) in [(6, 1_000), (7, 2_000), (8, 4_000), (9, 8_000)] {
            // What it makes takes time in this world.
            let wakes = world.peers[LAST].engine.wake_at().expect("it tries again");
            assert_eq!(wakes - asked_at, wait);
            world.pass(wakes - world.now_ms - 1);
            assert_eq!(world.peers[LAST].refusals, times - 1);
            asked_at = wakes;
            world.pass(1);
            assert_eq!(world.peers[LAST].refusals, times);
        }
        world.say(0, "what the log says is new");
        world.pass(16_000);
        assert_eq!(world.peers[LAST].refusals, 14, "and all is tried at once");
        world.peers[LAST].commits_refused = None;
        world.peers[LAST].messages_refused = None;
        world.pass(1_000);
        assert!(world.is_in(LAST));
    }
}

/// A KeyPackage is judged by a log that was fetched after it was claimed: what was fetched for an earlier one says nothing of a device
/// that was approved since.
#[test]
fn a_device_that_was_approved_since_its_users_log_was_fetched_is_not_left_out() {
    let mut world = World::made(Direct, 2);
    world.peers[1].is_log_withheld = true;
    world.say(0, "are you there?");
    world.settle();
    let device = world.peers[1].me();
    assert!(world.told(0).contains(&Event::DeviceLeftOut { device }));
    assert!(!world.is_in(1));

    world.peers[1].is_log_withheld = false;
    world.pass(10_000);
    assert!(world.is_in(0) && world.is_in(1));
}

#[test]
fn a_removal_is_committed_by_the_next_if_the_first_is_away() {
    let mut world = World::new(Group, 4);
    world.peers[0].sees_up_to = Some(world.head());
    let gone = world.peers[3].me();
    world.cut_off(0, gone, false);
    world.settle();
    let head = world.head();
    let wakes = |world: &World, at: usize| {
        world.peers[at].engine.wake_at().expect("its turn comes") - world.now_ms
    };
    let (wait, later) = (wakes(&world, 1), wakes(&world, 2));
    assert_eq!(later, wait + 10_000, "each in its turn");
    world.pass(wait - 1);
    assert_eq!(world.head(), head, "the first may do it yet");
    world.pass(1);
    assert_eq!(world.head(), head + 1);
    assert!(world.is_in(1) && world.is_in(2) && !world.is_in(3));
    world.pass(60_000);
    assert_eq!(world.head(), head + 1, "and nobody does it again");
}

#[test]
fn what_was_refused_keeps_no_removal_from_being_committed() {
    let mut world = World::new(Group, 3);
    world.peers[0].is_forbidden = true;
    assert!(world.peers[0].engine.want(ROOM, Goal::Remove(user_of(2))));
    world.settle();
    let refused = |it: &Event| matches!(it, Event::Done { outcome: Err(_), .. });
    assert!(world.told(0).iter().any(refused));
    world.peers[0].is_forbidden = false;
    let head = world.head();
    let gone = world.peers[LAST].me();
    world.cut_off(LAST, gone, true);
    world.settle();
    assert_eq!(world.head(), head + 2, "the first does it at once");
    assert!(world.is_in(0) && world.is_in(1) && !world.is_in(LAST));
}

#[test]
fn who_wants_to_remove_themselves_is_told_at_once() {
    let mut world = World::new(Group, 2);
    world.told(0);
    let goal = Goal::Remove(user_of(1));
    assert!(world.peers[0].engine.want(ROOM, goal));
    world.settle();
    let refused = Event::Done { goal, outcome: Err(GoalError::Oneself) };
    assert_eq!(world.told(0), [refused]);
}

// cites: MLS-050
#[test]
fn nobody_is_added_to_a_direct_or_removed_from_it() {
    let mut world = World::new(Direct, 2);
    world.told(0);
    let id = world.id;
    for goal in [Goal::Add(user_of(3)), Goal::Remove(user_of(2))] {
        assert!(world.peers[0].engine.want(id, goal));
        world.settle();
        assert_eq!(world.told(0), [Event::Done { goal, outcome: Err(GoalError::Direct) }]);
    }
}

#[test]
fn leaves_of_a_direct_are_listed_once_an_epoch() {
    let mut world = World::new(Direct, 2);
    let listed = |world: &World| {
        world.peers[0].engine.conversations[&world.id].listings.load(Ordering::Relaxed)
    };
    let before = listed(&world);
    world.peers.iter_mut().for_each(|peer| (0..5).for_each(|_| peer.engine.work().unwrap()));
    assert_eq!(listed(&world), before);
    assert!(world.peers[1].engine.want(world.id, Goal::Renew));
    world.settle();
    assert!(listed(&world) > before, "at another epoch the other one may be gone");
    let before = listed(&world);
    (0..5).for_each(|_| world.peers[0].engine.work().unwrap());
    assert_eq!(listed(&world), before);
}

/// A commit of the second that the last can't follow, and one of the first that follows it.
fn leave_behind(world: &mut World) {
    for at in [1, 0] {
        if at == 1 {
            world.garble_next(LAST);
        }
        assert!(world.peers[at].engine.want(ROOM, Goal::Renew));
        world.settle();
    }
}
