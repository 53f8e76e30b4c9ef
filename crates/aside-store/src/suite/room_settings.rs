//! What an owner says of a room.

use aside_proto::{id::ConversationId, v1};
use bytes::Bytes;
use prost::Message as _;

use super::{Actor, Lab, Must as _, any_rooms, assert_refused, id, list, name};
use crate::{ListRooms, Refused, UpdateRoom};

list![
    an_update_changes_what_it_says_and_no_more,
    an_update_that_changes_nothing_appends_nothing,
    only_owners_update_a_room,
    a_room_is_renamed_to_a_free_name_and_lets_its_own_go,
    updates_of_a_batch_each_tell_the_state_after_them,
    an_update_is_answered_the_same_way_again,
    settings_outlive_the_process,
    pages_of_rooms_end_before_they_are_too_large,
];

impl Lab {
    pub(crate) fn updating(&self, who: Actor, conversation: ConversationId) -> UpdateRoom {
        UpdateRoom {
            key: self.key(),
            user: who.user,
            device: who.device,
            conversation,
            name: None,
            topic: None,
            description: None,
            invite_only: None,
            retention: None,
        }
    }

    pub(super) async fn update(&self, update: UpdateRoom) -> v1::Room {
        self.store.update_room(update).await.must().room.expect("a room")
    }

    /// What the ROOM_UPDATED entries of a log say, in order.
    pub(super) async fn updates(
        &self,
        who: Actor,
        room: ConversationId,
    ) -> Vec<v1::RoomUpdatedPayload> {
        let log = self.log(who.user, room).await;
        let updates = log.iter().filter(|read| read.header.kind() == v1::EntryKind::RoomUpdated);
        updates.map(|read| v1::RoomUpdatedPayload::decode(&read.entry.payload[..]).must()).collect()
    }
}

// cites: ROOM-025
async fn an_update_changes_what_it_says_and_no_more(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let first = UpdateRoom { topic: Some("tea".into()), ..lab.updating(alice, room) };
    let second = UpdateRoom {
        description: Some("a\nb".into()),
        invite_only: Some(true),
        ..lab.updating(alice, room)
    };
    let third = UpdateRoom { topic: Some(String::new()), ..lab.updating(alice, room) };
    let origin = second.key;
    for update in [first, second, third] {
        lab.update(update).await;
    }
    let payload = |topic: &str, description: &str, invite_only| v1::RoomUpdatedPayload {
        name: "den".into(),
        topic: topic.into(),
        description: description.into(),
        invite_only,
        retention: None,
    };
    let expected =
        [payload("tea", "", false), payload("tea", "a\nb", true), payload("", "a\nb", true)];
    assert_eq!(lab.updates(alice, room).await, expected);
    let log = lab.log(alice.user, room).await;
    assert_eq!(log[3].header.sender_device_id, alice.device.to_bytes());
    assert_eq!(log[3].header.message_id, origin.to_bytes());
    let listed = lab.rooms(alice.user).await;
    let listed = listed.iter().find(|listed| listed.name == "den").expect("the room");
    assert_eq!((listed.topic.as_str(), listed.description.as_str()), ("", "a\nb"));
    assert!(listed.invite_only);
}

// cites: ROOM-026
async fn an_update_that_changes_nothing_appends_nothing(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    lab.effects();
    let update = UpdateRoom {
        name: Some(name("den")),
        topic: Some(String::new()),
        invite_only: Some(false),
        ..lab.updating(alice, room)
    };
    assert_eq!(lab.update(update).await.head_seq, 2);
    assert_eq!(lab.effects(), []);
}

// cites: ROOM-022, ROOM-012
async fn only_owners_update_a_room(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    let update = |who, room| {
        let update = UpdateRoom { invite_only: Some(true), ..lab.updating(who, room) };
        lab.store.update_room(update)
    };
    assert_refused!(update(bob, room).await, Refused::NotAMember);
    lab.join(bob, room).await;
    assert_refused!(update(bob, room).await, Refused::NotPermitted);
    assert_refused!(update(bob, ConversationId::new([9; 16])).await, Refused::NoSuchConversation);
    let lobby = lab.lobby().await;
    lab.join(alice, lobby).await;
    assert_refused!(update(alice, lobby).await, Refused::NotPermitted);
    // An owner who comes back is a member.
    lab.leave(alice, room).await;
    lab.join(alice, room).await;
    assert_refused!(update(alice, room).await, Refused::NotPermitted);
    assert_eq!(lab.updates(alice, room).await, []);
}

// cites: ROOM-027
async fn a_room_is_renamed_to_a_free_name_and_lets_its_own_go(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let room = lab.create(alice, "den").await;
    lab.create(bob, "hall").await;
    let rename = |to| UpdateRoom {
        name: Some(name(to)),
        topic: Some(format!("of {to}")),
        ..lab.updating(alice, room)
    };
    assert_refused!(lab.store.update_room(rename("hall")).await, Refused::RoomNameTaken);
    assert_refused!(lab.store.update_room(rename("lobby")).await, Refused::RoomNameTaken);
    assert_eq!(lab.updates(alice, room).await, [], "the topic neither");
    assert_eq!(lab.update(rename("cellar")).await.name, "cellar");
    let again = lab.store.create_room(lab.creation(bob, "cellar")).await;
    assert_refused!(again, Refused::RoomNameTaken);
    assert_ne!(lab.create(bob, "den").await, room);
    assert_refused!(lab.store.update_room(rename("den")).await, Refused::RoomNameTaken);
}

// cites: ROOM-025
async fn updates_of_a_batch_each_tell_the_state_after_them(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let topic = UpdateRoom { topic: Some("tea".into()), ..lab.updating(alice, room) };
    let closed = UpdateRoom { invite_only: Some(true), ..lab.updating(alice, room) };
    let last = UpdateRoom { topic: Some("jam".into()), ..lab.updating(alice, room) };
    let replies = [topic, closed, last].map(|update| lab.store.update_room(update));
    for reply in replies {
        reply.await.must();
    }
    let told: Vec<_> = lab.updates(alice, room).await;
    let told: Vec<_> = told.iter().map(|told| (told.topic.as_str(), told.invite_only)).collect();
    assert_eq!(told, [("tea", false), ("tea", true), ("jam", true)]);
}

// cites: IDEM-006, IDEM-007
async fn an_update_is_answered_the_same_way_again(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let update = UpdateRoom { topic: Some("tea".into()), ..lab.updating(alice, room) };
    let first = lab.update(update.clone()).await;
    let other = UpdateRoom { topic: Some("jam".into()), ..lab.updating(alice, room) };
    lab.update(other).await;
    assert_eq!(lab.update(update.clone()).await, first);
    assert_eq!(lab.updates(alice, room).await.len(), 2);
    let leave = crate::Leave { key: update.key, ..lab.leaving(alice, room) };
    assert_refused!(lab.store.leave(leave).await, Refused::KeyReused);
}

// cites: ROOM-025
async fn settings_outlive_the_process(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    let update = UpdateRoom {
        name: Some(name("cellar")),
        topic: Some("tea".into()),
        ..lab.updating(alice, room)
    };
    let updated = lab.update(update).await;
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    let list = ListRooms { name: Some(name("cellar")), ..any_rooms() };
    assert_eq!(lab.store.list_rooms(alice.user, &list).await.must().rooms, [updated]);
}

// cites: ROOM-028, ROOM-018
async fn pages_of_rooms_end_before_they_are_too_large(lab: Lab) {
    let alice = lab.register("alice").await;
    for number in 0..6 {
        let room = lab.create(alice, &format!("room{number}")).await;
        let description = Some("d".repeat(2048));
        lab.update(UpdateRoom { description, ..lab.updating(alice, room) }).await;
    }
    for max_bytes in [1, 5000, 9000, 100_000] {
        let mut listed = Vec::new();
        let mut page_token = Bytes::new();
        loop {
            let list = ListRooms { page_token, joined_only: true, max_bytes, ..any_rooms() };
            let page = lab.store.list_rooms(alice.user, &list).await.must();
            assert!(page.encoded_len() <= max_bytes || page.rooms.len() == 1);
            listed.extend(page.rooms.iter().map(|room| id(&room.conversation_id)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert!(listed.is_sorted() && listed.len() == 6, "within {max_bytes}: {listed:?}");
    }
}
