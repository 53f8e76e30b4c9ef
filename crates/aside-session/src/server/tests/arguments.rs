//! Arguments of the requests of phase Authenticated: what they become, and how they are refused.

use aside_proto::{
    id::{DeviceId, IdempotencyKey, uuid_v7},
    name::Name,
    token::TokenScopes,
    v1::{self, ErrorCode, client_frame::Body},
};
use bytes::Bytes;

use super::{Peer, samples};
use crate::server::{Command, OnConflict, Secret};

fn key() -> IdempotencyKey {
    IdempotencyKey::new(uuid_v7(samples::NOW.unix_ms, [11; 10]))
}

fn command(body: Body) -> Command {
    let mut peer = Peer::authenticated();
    peer.send_request(9, body);
    peer.next_command().expect("the request is right").1
}

fn name(text: &str) -> Name {
    Name::from_canonical(text.into())
}

// cites: NAME-001, ACCT-007, CONV-001
#[test]
fn requests_become_commands() {
    let (key, conversation, device_id) = (key(), samples::ROOM, samples::DEVICE);
    let none = Bytes::new();
    let expected = [
        Command::Rename { key, handle: name("bob"), on_conflict: OnConflict::Reject },
        Command::ChangePassword {
            key,
            old: Secret::new("correct horse".into()),
            new: Secret::new("battery staple".into()),
        },
        Command::ListDevices,
        Command::RevokeDevice { key, device_id },
        Command::LookUpDevices { device_ids: vec![device_id] },
        Command::CreateRoom { key, name: name("kitchen") },
        Command::ListRooms {
            joined_only: false,
            invited_only: false,
            name: None,
            page_token: none.clone(),
            page_size: 10,
        },
        Command::Join { key, conversation },
        Command::Leave { key, conversation },
        Command::ListMembers { conversation, online_only: false, page_token: none, page_size: 10 },
        Command::SendMessage {
            key,
            conversation,
            payload: "payload".into(),
            salt: [9; 32],
            signature: vec![10; 64].into(),
        },
        Command::Fetch { conversation, from_seq: 1, max_entries: 20, signed_head: false },
        Command::GetHead { conversation },
        Command::UpdateRoom {
            key,
            conversation,
            name: Some(name("cellar")),
            topic: Some("Wine".into()),
            description: Some("Two\nlines".into()),
            invite_only: Some(true),
            retention: Some(v1::Retention { max_age_s: 86_400, max_entries: 1000 }),
        },
        Command::Invite { key, conversation, handle: name("bob"), withdraw: true },
        Command::SetPin { key, conversation, seq: 3, pinned: true },
        Command::ListPins { conversation, page_token: Bytes::new(), page_size: 10 },
        Command::ListSummaries { page_token: Bytes::new(), page_size: 10 },
        Command::Mark { conversation, delivered_seq: 2, read_seq: 1 },
        Command::ListWatermarks { conversation, page_token: Bytes::new(), page_size: 10 },
        Command::Redact { key, conversation, seqs: vec![4, 2, 4] },
        Command::SetPresence { hidden: true, status_text: "away".into(), private_receipts: true },
        Command::GetPresence { user_ids: vec![samples::USER] },
        Command::SetTyping { conversation, typing: true },
        Command::Search {
            conversation: None,
            query: "tea".into(),
            page_token: Bytes::new(),
            page_size: 10,
        },
        Command::IssueToken {
            key,
            name: "bot".into(),
            scopes: TokenScopes::from_numbers(&[1, 2]).unwrap(),
            expires_ms: 7,
            token_hash: [13; 32],
            public_key: samples::key().public_key(),
        },
        Command::ListTokens,
        Command::RevokeToken { key, token_id: device_id },
    ];
    let expected: Vec<_> = expected.into_iter().chain(super::private::commands()).collect();
    let commands: Vec<_> = samples::requests().into_iter().map(command).collect();
    assert_eq!(commands, expected);
}

// cites: ROOM-016, ROOM-018, FETCH-001
#[test]
fn sizes_are_clamped_and_options_carried() {
    let token = Bytes::from(vec![1; 64]);
    let rooms = |page_size| {
        Body::ListRooms(v1::ListRooms {
            joined_only: true,
            invited_only: true,
            name: "LOBBY".into(),
            page_token: token.clone(),
            page_size,
        })
    };
    for (asked, clamped) in [(0, 10), (1, 1), (10, 10), (11, 10), (u32::MAX, 10)] {
        let expected = Command::ListRooms {
            joined_only: true,
            invited_only: true,
            name: Some(name("lobby")),
            page_token: token.clone(),
            page_size: clamped,
        };
        assert_eq!(command(rooms(asked)), expected);
    }
    let fetch = v1::Fetch {
        conversation_id: samples::ROOM.to_bytes(),
        from_seq: u64::MAX,
        max_entries: 21,
        signed_head: true,
    };
    let expected = Command::Fetch {
        conversation: samples::ROOM,
        from_seq: u64::MAX,
        max_entries: 20,
        signed_head: true,
    };
    assert_eq!(command(Body::Fetch(fetch)), expected);
}

// cites: DEV-009, MSG-005, MSG-007, ROOM-024
#[test]
fn what_is_at_the_limit_is_taken() {
    let ids = vec![samples::DEVICE.to_bytes(); 10];
    let expected = vec![DeviceId::new([6; 16]); 10];
    let looked_up = command(Body::LookUpDevices(v1::LookUpDevices { device_ids: ids }));
    assert_eq!(looked_up, Command::LookUpDevices { device_ids: expected });

    let most = samples::config().limits.max_payload_bytes as usize;
    let sent = Body::SendMessage(v1::SendMessage {
        payload: vec![0xff; most].into(),
        ..samples::send_message()
    });
    assert!(matches!(command(sent), Command::SendMessage { payload, .. } if payload.len() == most));

    let (topic, description) = ("t".repeat(256), "d\n".repeat(1024));
    let updated = command(update_room(|u| {
        u.topic = Some(topic.clone());
        u.description = Some(description.clone());
    }));
    assert!(matches!(updated, Command::UpdateRoom { topic: Some(t), description: Some(d), .. }
        if t == topic && d == description));
}

fn send_message(change: impl FnOnce(&mut v1::SendMessage)) -> Body {
    let mut message = samples::send_message();
    change(&mut message);
    Body::SendMessage(message)
}

fn rename(handle: &str, on_conflict: i32) -> Body {
    Body::Rename(v1::Rename { handle: handle.into(), on_conflict })
}

fn new_password(text: &str) -> Body {
    Body::ChangePassword(v1::ChangePassword {
        old_password: "correct horse".into(),
        new_password: text.into(),
    })
}

fn broken() -> Vec<(Body, ErrorCode, &'static str)> {
    use ErrorCode::{
        HandleInvalid, InvalidArgument, PasswordInvalid, PayloadTooLarge, RoomNameInvalid,
    };
    let short = Bytes::from(vec![1; 15]);
    let long = Bytes::from(vec![1; 65]);
    let most = samples::config().limits.max_payload_bytes as usize;
    let room = |name: &str| Body::CreateRoom(v1::CreateRoom { name: name.into() });
    let rooms = |name: &str, page_token: &Bytes| {
        let (name, page_token) = (name.into(), page_token.clone());
        Body::ListRooms(v1::ListRooms { name, page_token, ..Default::default() })
    };
    let members = |conversation_id: &Bytes, page_token: &Bytes| {
        let (conversation_id, page_token) = (conversation_id.clone(), page_token.clone());
        Body::ListMembers(v1::ListMembers { conversation_id, page_token, ..Default::default() })
    };
    let look_up = |device_ids| Body::LookUpDevices(v1::LookUpDevices { device_ids });
    let id = samples::ROOM.to_bytes();
    let bad = InvalidArgument;
    vec![
        (rename("#x", 0), HandleInvalid, ""),
        (rename("bob", 3), bad, "rename.on_conflict"),
        (new_password("short"), PasswordInvalid, ""),
        (new_password(""), PasswordInvalid, ""),
        (
            Body::RevokeDevice(v1::RevokeDevice { device_id: short.clone() }),
            bad,
            "revoke_device.device_id",
        ),
        (look_up(vec![id.clone(); 11]), bad, "look_up_devices.device_ids"),
        (look_up(vec![id.clone(), short.clone()]), bad, "look_up_devices.device_ids"),
        (room(""), RoomNameInvalid, ""),
        (room(&"r".repeat(33)), RoomNameInvalid, ""),
        (rooms("a b", &Bytes::new()), RoomNameInvalid, ""),
        (rooms("", &long), bad, "list_rooms.page_token"),
        (Body::Join(v1::Join { conversation_id: short.clone() }), bad, "join.conversation_id"),
        (Body::Leave(v1::Leave { conversation_id: long.clone() }), bad, "leave.conversation_id"),
        (members(&short, &Bytes::new()), bad, "list_members.conversation_id"),
        (members(&id, &long), bad, "list_members.page_token"),
        (send_message(|m| m.conversation_id.clear()), bad, "send_message.conversation_id"),
        (send_message(|m| m.payload.clear()), bad, "send_message.payload"),
        (send_message(|m| m.payload = vec![0; most + 1].into()), PayloadTooLarge, ""),
        (send_message(|m| m.salt.truncate(31)), bad, "send_message.salt"),
        (send_message(|m| m.signature.truncate(63)), bad, "send_message.signature"),
        (
            Body::Fetch(v1::Fetch { conversation_id: short.clone(), ..Default::default() }),
            bad,
            "fetch.conversation_id",
        ),
        (
            Body::GetHead(v1::GetHead { conversation_id: short.clone() }),
            bad,
            "get_head.conversation_id",
        ),
        (update_room(|u| u.conversation_id.truncate(15)), bad, "update_room.conversation_id"),
        (update_room(|u| u.name = Some("a b".into())), RoomNameInvalid, ""),
        (update_room(|u| u.topic = Some("t".repeat(257))), bad, "update_room.topic"),
        (update_room(|u| u.topic = Some("two\nlines".into())), bad, "update_room.topic"),
        (update_room(|u| u.description = Some("d".repeat(2049))), bad, "update_room.description"),
        (update_room(|u| u.description = Some("a\tb".into())), bad, "update_room.description"),
        (update_room(|u| u.retention = retention(1 << 32, 0)), bad, "update_room.retention"),
        (update_room(|u| u.retention = retention(0, u64::MAX)), bad, "update_room.retention"),
        (
            update_room(|u| {
                let conversation_id = samples::ROOM.to_bytes();
                *u = v1::UpdateRoom { conversation_id, ..Default::default() };
            }),
            bad,
            "update_room",
        ),
        (invite(&short, "bob"), bad, "invite.conversation_id"),
        (invite(&id, "a b"), HandleInvalid, ""),
        (
            Body::SetPin(v1::SetPin { conversation_id: short.clone(), seq: 1, pinned: true }),
            bad,
            "set_pin.conversation_id",
        ),
        (pins(&short, &Bytes::new()), bad, "list_pins.conversation_id"),
        (pins(&id, &long), bad, "list_pins.page_token"),
        (
            Body::ListSummaries(v1::ListSummaries { page_token: long.clone(), page_size: 1 }),
            bad,
            "list_summaries.page_token",
        ),
        (mark(&short, 1), bad, "mark.conversation_id"),
        (mark(&id, 0), bad, "mark.read_seq"),
        (watermarks(&short, &Bytes::new()), bad, "list_watermarks.conversation_id"),
        (watermarks(&id, &long), bad, "list_watermarks.page_token"),
        (redact(&short, 1), bad, "redact.conversation_id"),
        (redact(&id, 0), bad, "redact.seqs"),
        (redact(&id, 4), bad, "redact.seqs"),
        (samples::set_presence(0, ""), bad, "set_presence.settings.visibility"),
        (samples::set_presence(3, ""), bad, "set_presence.settings.visibility"),
        (samples::set_presence(1, &"s".repeat(129)), bad, "set_presence.settings.status_text"),
        (samples::set_presence(1, "a\nb"), bad, "set_presence.settings.status_text"),
        (
            Body::SetPresence(v1::SetPresence { settings: None }),
            bad,
            "set_presence.settings.visibility",
        ),
        (presence(vec![id.clone(); 11]), bad, "get_presence.user_ids"),
        (presence(vec![id.clone(), short.clone()]), bad, "get_presence.user_ids"),
        (typing(&short), bad, "set_typing.conversation_id"),
        (search(|s| s.conversation_id = short.clone()), bad, "search.conversation_id"),
        (search(|s| s.query.clear()), bad, "search.query"),
        (search(|s| s.query = "q".repeat(257)), bad, "search.query"),
        (search(|s| s.page_token = long.clone()), bad, "search.page_token"),
        (issue_token(|t| t.name.clear()), bad, "issue_token.name"),
        (issue_token(|t| t.name = "n".repeat(65)), bad, "issue_token.name"),
        (issue_token(|t| t.scopes.clear()), bad, "issue_token.scopes"),
        (issue_token(|t| t.scopes.push(5)), bad, "issue_token.scopes"),
        (issue_token(|t| t.token_hash.truncate(31)), bad, "issue_token.token_hash"),
        (issue_token(|t| t.public_key = long.clone()), bad, "issue_token.public_key"),
        (
            Body::RevokeToken(v1::RevokeToken { token_id: short.clone() }),
            bad,
            "revoke_token.token_id",
        ),
    ]
}

fn retention(max_age_s: u64, max_entries: u64) -> Option<v1::Retention> {
    Some(v1::Retention { max_age_s, max_entries })
}

fn update_room(change: impl FnOnce(&mut v1::UpdateRoom)) -> Body {
    let mut update = samples::update_room();
    change(&mut update);
    Body::UpdateRoom(update)
}

fn invite(conversation: &Bytes, handle: &str) -> Body {
    let (conversation_id, handle) = (conversation.clone(), handle.into());
    Body::Invite(v1::Invite { conversation_id, handle, withdraw: false })
}

fn pins(conversation: &Bytes, page_token: &Bytes) -> Body {
    Body::ListPins(v1::ListPins {
        conversation_id: conversation.clone(),
        page_token: page_token.clone(),
        page_size: 0,
    })
}

fn mark(conversation: &Bytes, delivered_seq: u64) -> Body {
    Body::Mark(v1::Mark { conversation_id: conversation.clone(), delivered_seq, read_seq: 0 })
}

fn presence(user_ids: Vec<Bytes>) -> Body {
    Body::GetPresence(v1::GetPresence { user_ids })
}

fn typing(conversation: &Bytes) -> Body {
    Body::SetTyping(v1::SetTyping { conversation_id: conversation.clone(), typing: true })
}

fn watermarks(conversation: &Bytes, page_token: &Bytes) -> Body {
    Body::ListWatermarks(v1::ListWatermarks {
        conversation_id: conversation.clone(),
        page_token: page_token.clone(),
        page_size: 0,
    })
}

fn redact(conversation: &Bytes, count: u64) -> Body {
    let seqs = (1..=count).collect();
    Body::Redact(v1::Redact { conversation_id: conversation.clone(), seqs })
}

fn search(change: impl FnOnce(&mut v1::Search)) -> Body {
    let mut search = samples::search();
    change(&mut search);
    Body::Search(search)
}

fn issue_token(change: impl FnOnce(&mut v1::IssueToken)) -> Body {
    let mut issue = samples::issue_token();
    change(&mut issue);
    Body::IssueToken(issue)
}

// cites: REDACT-003, CONV-001, NAME-002, PASS-002, ACCT-007, DEV-009, ROOM-019, ROOM-023, ROOM-024, MSG-005, MARK-006, ERR-002, ERR-006, EXT-007
// cites: PRES-002, PRES-003, PRES-006
// cites: SEARCH-002, TOKEN-003
#[test]
fn what_breaks_a_rule_is_refused_by_its_field() {
    let mut peer = Peer::authenticated();
    for (id, (body, code, field)) in (10..).zip(broken()) {
        peer.send_request(id, body.clone());
        assert_eq!(peer.refusal(id), (code, field.to_owned()), "{body:?}");
        assert_eq!(peer.next_command(), None);
    }
    assert!(peer.session.is_live());
}
