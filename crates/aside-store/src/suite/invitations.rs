//! Who may join, and who is asked to.

use aside_proto::{id::ConversationId, v1};
use prost::Message as _;

use super::{Actor, Lab, Must as _, any_rooms, assert_refused, list, name};
use crate::{Effect, Invite, ListRooms, Refused, UpdateRoom};

list![
    an_invite_only_room_is_joined_by_who_is_invited,
    a_room_that_closes_keeps_its_members,
    an_invitation_is_used_once,
    an_invitation_can_be_turned_down,
    an_invitation_can_be_withdrawn,
    members_invite_to_an_open_room_and_owners_to_a_closed_one,
    handles_are_those_of_now,
    who_is_in_or_invited_is_not_invited_again,
    nobody_is_flooded_with_invitations,
    a_room_has_so_many_invitations_open,
    invitations_are_listed_and_told,
    an_invitation_is_answered_the_same_way_again,
    invitations_outlive_the_process,
];

impl Lab {
    fn inviting(&self, who: Actor, conversation: ConversationId, handle: &str) -> Invite {
        let Actor { user, device } = who;
        let (key, handle) = (self.key(), name(handle));
        Invite { key, user, device, conversation, handle, withdraw: false }
    }

    async fn invite(&self, who: Actor, conversation: ConversationId, handle: &str) {
        self.store.invite(self.inviting(who, conversation, handle)).await.must();
    }

    /// A room that only who is invited may join.
    async fn closed(&self, owner: Actor, name: &str) -> ConversationId {
        let room = self.create(owner, name).await;
        self.update(UpdateRoom { invite_only: Some(true), ..self.updating(owner, room) }).await;
        room
    }

    async fn invitations(&self, who: Actor) -> Vec<v1::Room> {
        let list = ListRooms { invited_only: true, ..any_rooms() };
        self.store.list_rooms(who.user, &list).await.must().rooms
    }
}

// cites: INV-010
async fn an_invitation_can_be_withdrawn(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let (carol, eve) = (lab.register("carol").await, lab.register("eve").await);
    let room = lab.create(alice, "den").await;
    lab.join(bob, room).await;
    lab.join(carol, room).await;
    let withdrawing = |who| Invite { withdraw: true, ..lab.inviting(who, room, "eve") };
    assert_refused!(lab.store.invite(withdrawing(eve)).await, Refused::NotAMember);
    lab.store.invite(withdrawing(bob)).await.must();
    for who in [bob, alice] {
        lab.invite(bob, room, "eve").await;
        lab.effects();
        let length = lab.log(alice.user, room).await.len();
        assert_refused!(lab.store.invite(withdrawing(carol)).await, Refused::NotPermitted);
        assert_eq!(lab.invitations(eve).await.len(), 1);
        lab.store.invite(withdrawing(who)).await.must();
        assert_eq!(lab.invitations(eve).await, []);
        assert_eq!((lab.effects(), lab.log(alice.user, room).await.len()), (vec![], length));
    }
}

// cites: INV-001, INV-004
async fn an_invite_only_room_is_joined_by_who_is_invited(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.closed(alice, "den").await;
    let joined = lab.store.join(lab.joining(bob, room)).await;
    assert_refused!(joined, Refused::InviteRequired);
    assert!(lab.rooms(bob.user).await.iter().any(|room| room.name == "den" && room.invite_only));
    let invite = lab.inviting(alice, room, "bob");
    lab.store.invite(invite.clone()).await.must();
    assert_eq!(lab.join(bob, room).await.member_count, 2);
    let log = lab.log(alice.user, room).await;
    let invited = &log[3];
    assert_eq!(invited.header.kind(), v1::EntryKind::MemberInvited);
    assert_eq!(invited.header.sender_user_id, alice.user.to_bytes());
    assert_eq!(invited.header.message_id, invite.key.to_bytes());
    let payload = v1::MemberInvitedPayload::decode(&invited.entry.payload[..]).must();
    let expected = v1::MemberInvitedPayload { user_id: bob.user.to_bytes(), handle: "bob".into() };
    assert_eq!(payload, expected);
    assert_eq!(log[4].header.kind(), v1::EntryKind::MemberJoined);
}

// cites: INV-001
async fn a_room_that_closes_keeps_its_members(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.join(bob, room).await;
    let update = UpdateRoom { invite_only: Some(true), ..lab.updating(alice, room) };
    assert_eq!(lab.update(update).await.member_count, 2);
    // To join what one is in changes nothing, here too.
    assert_eq!(lab.join(bob, room).await.head_seq, 4);
    lab.send(bob, room, "still here").await;
}

// cites: INV-005
async fn an_invitation_is_used_once(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.closed(alice, "den").await;
    lab.invite(alice, room, "bob").await;
    lab.join(bob, room).await;
    lab.leave(bob, room).await;
    let again = lab.store.join(lab.joining(bob, room)).await;
    assert_refused!(again, Refused::InviteRequired);
    lab.invite(alice, room, "bob").await;
    lab.join(bob, room).await;
    // One that was not needed is used up as well.
    let open = lab.create(alice, "hall").await;
    lab.invite(alice, open, "bob").await;
    lab.join(bob, open).await;
    assert_eq!(lab.invitations(bob).await, []);
    lab.leave(bob, open).await;
    assert_eq!(lab.invitations(bob).await, []);
}

// cites: INV-006
async fn an_invitation_can_be_turned_down(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.closed(alice, "den").await;
    lab.invite(alice, room, "bob").await;
    lab.effects();
    lab.leave(bob, room).await;
    assert_eq!(lab.effects(), []);
    assert_eq!(lab.invitations(bob).await, []);
    assert_refused!(lab.store.join(lab.joining(bob, room)).await, Refused::InviteRequired);
}

// cites: INV-002, ROOM-012
async fn members_invite_to_an_open_room_and_owners_to_a_closed_one(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let eve = lab.register("eve").await;
    let room = lab.create(alice, "den").await;
    let invite = |who, room| lab.store.invite(lab.inviting(who, room, "eve"));
    assert_refused!(invite(bob, room).await, Refused::NotAMember);
    assert_refused!(invite(eve, room).await, Refused::NotAMember);
    assert_refused!(invite(bob, ConversationId::new([9; 16])).await, Refused::NoSuchConversation);
    lab.join(bob, room).await;
    lab.update(UpdateRoom { invite_only: Some(true), ..lab.updating(alice, room) }).await;
    assert_refused!(invite(bob, room).await, Refused::NotPermitted);
    lab.update(UpdateRoom { invite_only: Some(false), ..lab.updating(alice, room) }).await;
    invite(bob, room).await.must();
    lab.update(UpdateRoom { invite_only: Some(true), ..lab.updating(alice, room) }).await;
    lab.join(eve, room).await;
}

// cites: INV-003
async fn handles_are_those_of_now(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    let invite = |handle| lab.store.invite(lab.inviting(alice, room, handle));
    assert_refused!(invite("nobody").await, Refused::NoSuchUser);
    lab.store.rename(lab.renaming(bob, "robert")).await.must();
    assert_refused!(invite("bob").await, Refused::NoSuchUser);
    assert_eq!(lab.invitations(bob).await, []);
    invite("robert").await.must();
    assert_eq!(lab.invitations(bob).await.len(), 1);
}

// cites: INV-004
async fn who_is_in_or_invited_is_not_invited_again(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    lab.register("carol").await;
    let room = lab.create(alice, "den").await;
    lab.join(bob, room).await;
    lab.invite(alice, room, "carol").await;
    lab.effects();
    lab.invite(alice, room, "carol").await;
    lab.invite(bob, room, "carol").await;
    lab.invite(alice, room, "bob").await;
    lab.invite(alice, room, "alice").await;
    assert_eq!(lab.effects(), []);
    assert_eq!(lab.invitations(bob).await, []);
}

// cites: INV-007
async fn nobody_is_flooded_with_invitations(lab: Lab) {
    let lab = lab.limited(|limits| limits.max_invitations_per_user = 12).await;
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let (carol, dave) = (lab.register("carol").await, lab.register("dave").await);
    let mut rooms = Vec::new();
    for number in 0..11 {
        rooms.push(lab.create(alice, &format!("room{number}")).await);
    }
    for room in &rooms[..10] {
        lab.invite(alice, *room, "bob").await;
    }
    let eleventh = |who| lab.store.invite(lab.inviting(who, rooms[10], "bob"));
    assert_refused!(eleventh(alice).await, Refused::TooManyInvitations);
    assert_eq!(lab.invitations(bob).await.len(), 10);
    // Somebody else can still reach the user, and the inviter others.
    for number in 0..2 {
        let room = lab.create(carol, &format!("carols{number}")).await;
        lab.invite(carol, room, "bob").await;
    }
    lab.invite(alice, rooms[10], "dave").await;
    lab.join(carol, rooms[10]).await;
    assert_refused!(eleventh(carol).await, Refused::TooManyInvitations);
    // Invited already: no further one is made.
    lab.invite(alice, rooms[0], "bob").await;
    lab.leave(bob, rooms[0]).await;
    eleventh(carol).await.must();
    assert_eq!(lab.invitations(dave).await.len(), 1);
}

// cites: INV-007
async fn a_room_has_so_many_invitations_open(lab: Lab) {
    let lab = lab.limited(|limits| limits.max_invitations_per_room = 2).await;
    let alice = lab.register("alice").await;
    let (bob, ..) = (lab.register("bob").await, lab.register("carol").await);
    lab.register("dave").await;
    let room = lab.create(alice, "den").await;
    lab.invite(alice, room, "bob").await;
    lab.invite(alice, room, "carol").await;
    let third = || lab.store.invite(lab.inviting(alice, room, "dave"));
    assert_refused!(third().await, Refused::TooManyInvitations);
    lab.join(bob, room).await;
    third().await.must();
}

// cites: INV-008, ROOM-016, ROOM-018
async fn invitations_are_listed_and_told(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.closed(alice, "den").await;
    let other = lab.create(bob, "bobs").await;
    lab.effects();
    lab.invite(alice, room, "bob").await;
    let effects = lab.effects();
    let [Effect::Appended { seq: 4, .. }, Effect::Invited { user, invitation }] = &effects[..]
    else {
        unreachable!("the entry, then the invitation: {effects:?}")
    };
    assert_eq!(*user, bob.user);
    let listed = lab.invitations(bob).await;
    assert_eq!(invitation.room.as_slice(), &listed[..]);
    assert_eq!(
        (invitation.inviter_user_id.clone(), invitation.inviter_handle.as_str()),
        (alice.user.to_bytes(), "alice")
    );
    assert!(listed[0].invited && listed[0].invite_only && listed[0].head_seq == 4);
    assert_eq!(listed[0].conversation_id, room.to_bytes());
    assert!(lab.rooms(alice.user).await.iter().all(|room| !room.invited));
    let both = ListRooms { invited_only: true, joined_only: true, ..any_rooms() };
    assert_eq!(lab.store.list_rooms(bob.user, &both).await.must().rooms, []);
    let named = |text| ListRooms { invited_only: true, name: Some(name(text)), ..any_rooms() };
    assert_eq!(lab.store.list_rooms(bob.user, &named("den")).await.must().rooms, listed);
    assert_eq!(lab.store.list_rooms(bob.user, &named("bobs")).await.must().rooms, []);

    lab.create(alice, "hall").await;
    let hall = lab.rooms(bob.user).await;
    let hall = hall.iter().find(|room| room.name == "hall").expect("the room");
    let hall = super::id(&hall.conversation_id);
    lab.invite(alice, hall, "bob").await;
    assert!(
        !lab.rooms(bob.user)
            .await
            .iter()
            .any(|r| r.conversation_id == other.to_bytes() && r.invited)
    );
    let first = ListRooms { invited_only: true, page_size: 1, ..any_rooms() };
    let first = lab.store.list_rooms(bob.user, &first).await.must();
    let token = first.next_page_token;
    let second = ListRooms { invited_only: true, page_size: 1, page_token: token, ..any_rooms() };
    let second = lab.store.list_rooms(bob.user, &second).await.must();
    assert!(second.next_page_token.is_empty());
    assert_eq!([first.rooms, second.rooms].concat(), lab.invitations(bob).await);
}

// cites: IDEM-006
async fn an_invitation_is_answered_the_same_way_again(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    let invite = lab.inviting(alice, room, "bob");
    lab.store.invite(invite.clone()).await.must();
    lab.leave(bob, room).await;
    lab.effects();
    lab.store.invite(invite).await.must();
    assert_eq!((lab.effects(), lab.invitations(bob).await), (vec![], vec![]));
}

// cites: INV-004
async fn invitations_outlive_the_process(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.closed(alice, "den").await;
    lab.invite(alice, room, "bob").await;
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    assert_eq!(lab.invitations(bob).await.len(), 1);
    lab.join(bob, room).await;
}
