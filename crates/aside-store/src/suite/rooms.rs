//! Rooms and who is in them.

use aside_crypto::chain_start;
use aside_proto::{
    id::{ConversationId, UserId},
    v1,
};
use bytes::Bytes;
use prost::Message as _;

use super::{Lab, Must as _, any_rooms, assert_refused, id, list, name};
use crate::{
    Effect, HeadState, ListRooms, Refused,
    page::{self, List},
};

list![
    there_is_one_default_room_made_by_the_server,
    a_room_begins_with_its_making_and_its_owner,
    a_rooms_name_is_its_own,
    joining_appends_and_shows_the_room,
    joining_again_changes_nothing,
    leaving_appends_once,
    an_owner_who_comes_back_is_a_member,
    outsiders_are_told_so,
    what_does_not_exist_is_said_not_to,
    a_member_reads_the_whole_log,
    every_device_of_a_member_may_write,
    an_account_is_in_so_many_rooms_at_most,
    rooms_are_listed_in_order_and_filtered,
    pages_of_rooms_show_each_once,
    pages_of_members_show_each_once,
    members_are_found_among_many_users,
    tokens_of_no_page_are_refused,
    effects_frame_membership,
];

// cites: ROOM-004, LOG-006, LOG-007, LOG-008
async fn there_is_one_default_room_made_by_the_server(lab: Lab) {
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    let alice = lab.register("alice").await;
    lab.create(alice, "other").await;
    let rooms = lab.rooms(alice.user).await;
    let default: Vec<_> = rooms.iter().filter(|room| room.is_default).collect();
    assert_eq!(default.len(), 1);
    let lobby = id(&default[0].conversation_id);
    let expected = v1::Room {
        conversation_id: lobby.to_bytes(),
        kind: v1::ConversationKind::PublicRoom.into(),
        name: "lobby".to_owned(),
        member_count: 0,
        role: v1::Role::Unspecified.into(),
        is_default: true,
        first_seq: 1,
        head_seq: 1,
        ..v1::Room::default()
    };
    assert_eq!(*default[0], expected);
    lab.join(alice, lobby).await;
    let log = lab.log(alice.user, lobby).await;
    assert_eq!(log[0].header.sender_user_id, Bytes::new());
    assert_eq!(log[0].header.kind(), v1::EntryKind::RoomCreated);
    let payload = v1::RoomCreatedPayload::decode(&log[0].entry.payload[..]).must();
    let expected = v1::RoomCreatedPayload { name: "lobby".to_owned(), owner_user_id: Bytes::new() };
    assert_eq!(payload, expected);
}

// cites: ROOM-002, LOG-001, LOG-004, LOG-005, LOG-008
async fn a_room_begins_with_its_making_and_its_owner(lab: Lab) {
    let alice = lab.register("alice").await;
    let creation = lab.creation(alice, "den");
    let created = lab.store.create_room(creation.clone()).await.must().room.expect("a room");
    let room = id(&created.conversation_id);
    let expected = v1::Room {
        conversation_id: room.to_bytes(),
        kind: v1::ConversationKind::PublicRoom.into(),
        name: "den".to_owned(),
        member_count: 1,
        role: v1::Role::Owner.into(),
        is_default: false,
        first_seq: 1,
        head_seq: 2,
        ..v1::Room::default()
    };
    assert_eq!(created, expected);

    let log = lab.log(alice.user, room).await;
    let kinds: Vec<_> = log.iter().map(|read| read.header.kind()).collect();
    assert_eq!(kinds, [v1::EntryKind::RoomCreated, v1::EntryKind::MemberJoined]);
    for read in &log {
        assert_eq!(read.header.sender_user_id, alice.user.to_bytes());
        assert_eq!(read.header.sender_device_id, alice.device.to_bytes());
        assert_eq!(read.header.message_id, creation.key.to_bytes());
        assert_eq!(read.header.time_ms, lab.now());
        assert_eq!(read.header.signature, Bytes::new());
    }
    let made = v1::RoomCreatedPayload::decode(&log[0].entry.payload[..]).must();
    let expected =
        v1::RoomCreatedPayload { name: "den".to_owned(), owner_user_id: alice.user.to_bytes() };
    assert_eq!(made, expected);
    let joined = v1::MemberJoinedPayload::decode(&log[1].entry.payload[..]).must();
    let expected = v1::MemberJoinedPayload {
        user_id: alice.user.to_bytes(),
        handle: "alice".to_owned(),
        role: v1::Role::Owner.into(),
    };
    assert_eq!(joined, expected);
}

// cites: ROOM-003
async fn a_rooms_name_is_its_own(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    lab.create(alice, "den").await;
    for taken in ["den", "lobby"] {
        for actor in [alice, bob] {
            let again = lab.store.create_room(lab.creation(actor, taken)).await;
            assert_refused!(again, Refused::RoomNameTaken);
        }
    }
    // A space of its own: a handle may be a room's name.
    lab.create(bob, "alice").await;
}

// cites: ROOM-005, ROOM-021, LOG-008
async fn joining_appends_and_shows_the_room(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    let joined = lab.join(bob, room).await;
    let expected = v1::Room {
        conversation_id: room.to_bytes(),
        kind: v1::ConversationKind::PublicRoom.into(),
        name: "den".to_owned(),
        member_count: 2,
        role: v1::Role::Member.into(),
        is_default: false,
        first_seq: 1,
        head_seq: 3,
        ..v1::Room::default()
    };
    assert_eq!(joined, expected);
    let log = lab.log(alice.user, room).await;
    let payload = v1::MemberJoinedPayload::decode(&log[2].entry.payload[..]).must();
    assert_eq!(payload.user_id, bob.user.to_bytes());
    assert_eq!((payload.handle.as_str(), payload.role()), ("bob", v1::Role::Member));
    let members = lab.store.list_members(alice.user, room, None, 10).await.must();
    assert!(!members.more);
    assert_eq!(members.members.len(), 2);
}

// cites: ROOM-006
async fn joining_again_changes_nothing(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.effects();
    let joined = lab.join(alice, room).await;
    assert_eq!((joined.role(), joined.member_count, joined.head_seq), (v1::Role::Owner, 1, 2));
    assert_eq!(lab.effects(), []);
}

// cites: ROOM-007, ROOM-008, ROOM-021, LOG-008
async fn leaving_appends_once(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.leave(bob, room).await;
    lab.join(bob, room).await;
    for _ in 0..2 {
        lab.leave(bob, room).await;
    }
    let log = lab.log(alice.user, room).await;
    assert_eq!(log.len(), 4);
    assert_eq!(log[3].header.kind(), v1::EntryKind::MemberLeft);
    assert_eq!(log[3].header.sender_user_id, bob.user.to_bytes());
    let payload = v1::MemberLeftPayload::decode(&log[3].entry.payload[..]).must();
    assert_eq!(payload, v1::MemberLeftPayload { user_id: bob.user.to_bytes() });
    let room = &lab.rooms(bob.user).await[1];
    assert_eq!((room.role(), room.member_count), (v1::Role::Unspecified, 1));
}

// cites: ROOM-015
async fn an_owner_who_comes_back_is_a_member(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.leave(alice, room).await;
    let joined = lab.join(alice, room).await;
    assert_eq!((joined.role(), joined.member_count), (v1::Role::Member, 1));
    let log = lab.log(alice.user, room).await;
    let payload = v1::MemberJoinedPayload::decode(&log[3].entry.payload[..]).must();
    assert_eq!(payload.role(), v1::Role::Member);
}

// cites: ROOM-010
async fn outsiders_are_told_so(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    let store = &lab.store;
    for _ in 0..2 {
        let message = lab.message(bob, room, "let me in");
        assert_refused!(store.append(message).await, Refused::NotAMember);
        // Before the range is judged: an outsider learns nothing of the log.
        assert_refused!(store.fetch(bob.user, room, 0, 1, 1).await, Refused::NotAMember);
        assert_refused!(store.head(bob.user, room).await, Refused::NotAMember);
        assert_refused!(store.list_members(bob.user, room, None, 1).await, Refused::NotAMember);
        lab.join(bob, room).await;
        store.append(lab.message(bob, room, "hi")).await.must();
        store.fetch(bob.user, room, 1, 1, 1).await.must();
        lab.leave(bob, room).await;
    }
}

// cites: ROOM-012
async fn what_does_not_exist_is_said_not_to(lab: Lab) {
    let alice = lab.register("alice").await;
    let nowhere = ConversationId::new(lab.bytes());
    let store = &lab.store;
    let message = lab.message(alice, nowhere, "hello?");
    assert_refused!(store.append(message).await, Refused::NoSuchConversation);
    assert_refused!(store.join(lab.joining(alice, nowhere)).await, Refused::NoSuchConversation);
    assert_refused!(store.leave(lab.leaving(alice, nowhere)).await, Refused::NoSuchConversation);
    let fetched = store.fetch(alice.user, nowhere, 1, 1, 1).await;
    assert_refused!(fetched, Refused::NoSuchConversation);
    assert_refused!(store.head(alice.user, nowhere).await, Refused::NoSuchConversation);
    let members = store.list_members(alice.user, nowhere, None, 1).await;
    assert_refused!(members, Refused::NoSuchConversation);
}

// cites: ROOM-011
async fn a_member_reads_the_whole_log(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.send(alice, room, "before bob came").await;
    lab.join(bob, room).await;
    lab.leave(bob, room).await;
    lab.send(alice, room, "while bob was away").await;
    lab.join(bob, room).await;
    assert_eq!(lab.log(bob.user, room).await, lab.log(alice.user, room).await);
    assert_eq!(lab.log(bob.user, room).await.len(), 7);
}

// cites: ROOM-014
async fn every_device_of_a_member_may_write(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let binding = crate::BindDevice {
        user: alice.user,
        verified_hash: "$hash$alice".to_owned(),
        new_hash: None,
        public_key: lab.bytes(),
        device_name: "phone".to_owned(),
    };
    let device = lab.store.bind_device(binding).await.must();
    let phone = super::Actor { user: alice.user, device };
    assert_eq!(lab.send(phone, room, "from the phone").await.seq, 3);
    let log = lab.log(alice.user, room).await;
    assert_eq!(log[2].header.sender_device_id, device.to_bytes());
    lab.leave(phone, room).await;
    let message = lab.message(alice, room, "from the laptop");
    assert_refused!(lab.store.append(message).await, Refused::NotAMember);
}

// cites: ROOM-013
async fn an_account_is_in_so_many_rooms_at_most(lab: Lab) {
    let lab = lab.limited(|limits| limits.max_rooms_per_user = 2).await;
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let lobby = lab.lobby().await;
    let bobs = lab.create(bob, "bobs").await;
    lab.create(alice, "one").await;
    lab.join(alice, lobby).await;
    let third = lab.store.create_room(lab.creation(alice, "two")).await;
    assert_refused!(third, Refused::TooManyRooms);
    assert_refused!(lab.store.join(lab.joining(alice, bobs)).await, Refused::TooManyRooms);
    // One that it is in already is not one more.
    lab.join(alice, lobby).await;
    lab.leave(alice, lobby).await;
    lab.join(alice, bobs).await;
    // The name that was refused is still free.
    lab.create(bob, "two").await;
}

// cites: ROOM-016
async fn rooms_are_listed_in_order_and_filtered(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let mut joined = Vec::new();
    let mut all = vec![lab.lobby().await];
    for number in 0..6 {
        // Set back, so that ids are not in order of creation.
        lab.set_clock(lab.now() - 1000);
        let room = lab.create(bob, &format!("room{number}")).await;
        all.push(room);
        if number % 2 == 0 {
            lab.join(alice, room).await;
            joined.push(room);
        }
    }
    all.sort_unstable();
    joined.sort_unstable();
    let list = async |list: ListRooms| {
        let rooms =
            lab.store.list_rooms(alice.user, &ListRooms { page_size: 50, ..list }).await.must();
        assert_eq!(rooms.next_page_token, Bytes::new());
        rooms.rooms.iter().map(|room| id(&room.conversation_id)).collect::<Vec<_>>()
    };
    assert_eq!(list(any_rooms()).await, all);
    assert_eq!(list(ListRooms { joined_only: true, ..any_rooms() }).await, joined);
    for (room, is_joined) in [("room1", false), ("room2", true), ("nowhere", false)] {
        let named = ListRooms { name: Some(name(room)), ..any_rooms() };
        let expected = if room == "nowhere" { 0 } else { 1 };
        assert_eq!(list(named.clone()).await.len(), expected);
        let both = ListRooms { joined_only: true, ..named };
        assert_eq!(list(both).await.len(), usize::from(is_joined));
    }
}

// cites: ROOM-018
async fn pages_of_rooms_show_each_once(lab: Lab) {
    let alice = lab.register("alice").await;
    let mut all = vec![lab.lobby().await];
    for number in 0..6 {
        all.push(lab.create(alice, &format!("room{number}")).await);
        lab.advance(1);
    }
    all.sort_unstable();
    for page_size in [1, 2, 3, 7, 100] {
        let mut listed = Vec::new();
        let mut page_token = Bytes::new();
        loop {
            let list = ListRooms { page_token, page_size, ..any_rooms() };
            let page = lab.store.list_rooms(alice.user, &list).await.must();
            assert!(page.rooms.len() <= page_size as usize && !page.rooms.is_empty());
            listed.extend(page.rooms.iter().map(|room| id(&room.conversation_id)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(listed, all, "in pages of {page_size}");
    }
}

// cites: ROOM-017, ROOM-018
async fn pages_of_members_show_each_once(lab: Lab) {
    let lobby = lab.lobby().await;
    let mut all = Vec::new();
    for number in 0..7 {
        lab.set_clock(lab.now() - 1000);
        let actor = lab.register(&format!("user{number}")).await;
        lab.join(actor, lobby).await;
        all.push((actor.user, format!("user{number}")));
    }
    let asker = all[0].0;
    all.sort_unstable();
    for limit in [1, 2, 3, 7, 100] {
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = lab.store.list_members(asker, lobby, after, limit).await.must();
            assert!(page.members.len() <= limit as usize && !page.members.is_empty());
            for member in page.members {
                assert_eq!((member.role(), member.online), (v1::Role::Member, false));
                listed.push((UserId::try_from(&member.user_id[..]).must(), member.handle));
            }
            after = listed.last().map(|(user, _)| *user);
            if !page.more {
                break;
            }
        }
        assert_eq!(listed, all, "in pages of {limit}");
    }
}

// cites: ROOM-010, ROOM-017
async fn members_are_found_among_many_users(lab: Lab) {
    let lobby = lab.lobby().await;
    let mut asked: Vec<_> = (0..600).map(|_| UserId::new(lab.bytes())).collect();
    let mut expected = Vec::new();
    for number in 0..4 {
        lab.set_clock(lab.now() - 1000);
        let handle = format!("user{number}");
        let actor = lab.register(&handle).await;
        lab.join(actor, lobby).await;
        let role = v1::Role::Member.into();
        let member = v1::Member { user_id: actor.user.to_bytes(), handle, role, online: false };
        asked.insert(number * 200, actor.user);
        expected.push((actor.user, member));
    }
    let (alice, outsider) = (expected[0].0, lab.register("outsider").await);
    asked.extend([alice, outsider.user, alice]);
    expected.sort_unstable_by_key(|(user, _)| *user);
    let expected: Vec<_> = expected.into_iter().map(|(_, member)| member).collect();
    assert_eq!(lab.store.members_among(alice, lobby, &asked).await.must(), expected);
    let one = lab.store.members_among(alice, lobby, &[alice, outsider.user]).await.must();
    assert_eq!(one.len(), 1);
    assert_eq!(lab.store.members_among(alice, lobby, &[]).await.must(), []);
    let refused = lab.store.members_among(outsider.user, lobby, &asked).await;
    assert_refused!(refused, Refused::NotAMember);
    let nowhere = ConversationId::new(lab.bytes());
    let refused = lab.store.members_among(alice, nowhere, &asked).await;
    assert_refused!(refused, Refused::NoSuchConversation);
}

// cites: ROOM-019
async fn tokens_of_no_page_are_refused(lab: Lab) {
    let alice = lab.register("alice").await;
    let list = |page_token| ListRooms { page_token, page_size: 1, ..any_rooms() };
    for token in [
        Bytes::from_static(b"?"),
        Bytes::from_static(&[0xff; 17]),
        Bytes::from_static(&[1; 64]),
        page::token(List::Members, alice.user.as_bytes()),
    ] {
        let page = lab.store.list_rooms(alice.user, &list(token)).await;
        assert_refused!(page, Refused::PageTokenInvalid);
    }
}

// cites: PUSH-002, ROOM-009, PUSH-007
async fn effects_frame_membership(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    lab.effects();
    let conversation = lab.create(alice, "den").await;
    lab.join(bob, conversation).await;
    lab.leave(bob, conversation).await;
    let effects = lab.effects();
    let log = lab.log(alice.user, conversation).await;
    let appended = |seq: u64| Effect::Appended {
        conversation,
        seq,
        entry: log[seq as usize - 1].entry.clone(),
    };
    let expected = [
        appended(1),
        Effect::Joined { user: alice.user, conversation, members: 1 },
        appended(2),
        Effect::Joined { user: bob.user, conversation, members: 2 },
        appended(3),
        appended(4),
        Effect::Left { user: bob.user, conversation, members: 1 },
    ];
    assert_eq!(effects, expected);
    let head = lab.store.head(alice.user, conversation).await.must();
    let expected = HeadState {
        first_seq: 1,
        anchor: chain_start(conversation),
        head_seq: 4,
        chain: log[3].chain,
    };
    assert_eq!(head, expected);
}
