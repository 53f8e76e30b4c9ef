//! requests.md, and the frames of transport.md as a session sees them.

use aside_proto::{
    frame,
    id::uuid_v7,
    limits::{self, MAX_CLOCK_SKEW_MS},
    v1::{self, ErrorCode, client_frame, server_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;

use super::{Peer, samples};
use crate::server::{Action, CloseReason, Command, Outcome, Refusal};

fn list_devices() -> client_frame::Body {
    client_frame::Body::ListDevices(v1::ListDevices {})
}

// cites: REQ-002, ERR-003
#[test]
fn request_id_0_ends_the_connection() {
    let mut peer = Peer::authenticated();
    peer.send_request(0, list_devices());
    assert_eq!(peer.refusal(0).0, ErrorCode::RequestIdZero);
    assert_eq!(peer.session.closing(), Some(CloseReason::Error(ErrorCode::RequestIdZero)));
}

// cites: REQ-003, REQ-004
#[test]
fn replies_come_in_the_order_of_their_requests() {
    let mut peer = Peer::authenticated();
    for id in 10..14 {
        peer.send_request(id, list_devices());
    }
    let commands: Vec<_> = std::iter::from_fn(|| peer.next_command()).collect();
    assert_eq!(commands.len(), 4);
    for (index, expected) in [(2, vec![]), (0, vec![10]), (3, vec![]), (1, vec![11, 12, 13])] {
        let (ticket, command) = &commands[index];
        let outcome = samples::outcome(command);
        peer.session.handle_outcome(peer.now, *ticket, outcome.clone());
        assert_eq!(peer.answered(), expected, "after {index}");
        peer.session.handle_outcome(peer.now, *ticket, outcome);
        assert_eq!(peer.answered(), [], "an outcome counts once");
    }
}

// cites: REQ-007
#[test]
fn commands_are_handed_out_in_the_order_of_their_requests() {
    let mut peer = Peer::authenticated();
    for (id, name) in (10..).zip(["one", "two", "three"]) {
        peer.send_request(id, client_frame::Body::CreateRoom(v1::CreateRoom { name: name.into() }));
    }
    let names: Vec<_> = std::iter::from_fn(|| peer.next_command())
        .map(|(_, command)| match command {
            Command::CreateRoom { name, .. } => name.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["one", "two", "three"]);
}

// cites: REQ-012
#[test]
fn reads_and_writes_wait_for_each_other_and_not_for_their_like() {
    let mut peer = Peer::authenticated();
    let create = |name: &str| client_frame::Body::CreateRoom(v1::CreateRoom { name: name.into() });
    for (id, body) in (10..).zip([create("one"), create("two"), list_devices(), create("three")]) {
        peer.send_request(id, body);
    }
    let first = peer.next_command().unwrap();
    let second = peer.next_command().unwrap();
    for (ticket, command) in [second, first] {
        assert_eq!(peer.next_command(), None);
        peer.session.handle_outcome(peer.now, ticket, samples::outcome(&command));
    }
    let (read, command) = peer.next_command().unwrap();
    assert_eq!((&command, peer.next_command()), (&Command::ListDevices, None));
    peer.session.handle_outcome(peer.now, read, samples::outcome(&command));
    let (third, command) = peer.next_command().unwrap();
    assert!(matches!(command, Command::CreateRoom { .. }));

    // A Mark is not mutating, and has an effect all the same.
    peer.send_request(20, samples::mark());
    let (mark, command) = peer.next_command().unwrap();
    assert!(matches!(command, Command::Mark { .. }), "beside what writes: {command:?}");
    peer.send_request(21, list_devices());
    assert_eq!(peer.next_command(), None);
    let create = samples::outcome(&Command::ListDevices);
    peer.session.handle_outcome(peer.now, third, create);
    peer.session.handle_outcome(peer.now, mark, samples::outcome(&command));
    assert!(matches!(peer.next_command(), Some((_, Command::ListDevices))));
}

// cites: REQ-005, REQ-006
#[test]
fn as_many_requests_as_advertised_are_worked_on_and_none_is_refused_beyond() {
    let mut peer = Peer::authenticated();
    for id in 10..30 {
        peer.send_request(id, list_devices());
    }
    peer.poll();
    assert_eq!((peer.commands.len(), peer.session.wants_read()), (8, false));
    let Some((ticket, command)) = peer.next_command() else { panic!("there were 8") };
    peer.session.handle_outcome(peer.now, ticket, samples::outcome(&command));
    peer.poll();
    assert_eq!(peer.commands.len(), 8, "one answered, one begun");
    peer.run();
    assert_eq!(peer.answered(), Vec::from_iter(10..30));
    assert!(peer.session.wants_read());
}

// cites: REQ-005
#[test]
fn few_fetches_are_worked_on_at_once_so_that_replies_stay_bounded() {
    let mut peer = Peer::authenticated();
    for id in 10..16 {
        peer.send_request(id, samples::fetch());
    }
    peer.poll();
    assert_eq!(peer.commands.len(), 4);
    peer.run();
    assert_eq!(peer.answered(), Vec::from_iter(10..16));
}

// cites: PUSH-005
#[test]
fn great_replies_that_are_not_read_hold_back_the_requests_behind_them() {
    let mut peer = Peer::authenticated();
    for id in 10..18 {
        peer.send_request(id, samples::fetch());
    }
    let entry = v1::Entry { payload: vec![0; 300 * 1024].into(), ..Default::default() };
    let great = Body::Fetched(v1::Fetched { entries: vec![entry], ..Default::default() });
    while let Some(Action::Execute { ticket, .. }) = peer.session.poll_action() {
        peer.session.handle_outcome(peer.now, ticket, Outcome::Reply(great.clone()));
    }
    let held = peer.session.held_bytes();
    assert!(held < 5 * 301 * 1024, "{held} bytes are held");
    while peer.session.poll_transmit().is_some() {
        while let Some(Action::Execute { ticket, .. }) = peer.session.poll_action() {
            peer.session.handle_outcome(peer.now, ticket, Outcome::Reply(great.clone()));
        }
    }
    assert_eq!((peer.session.held_bytes(), peer.session.wants_read()), (0, true));
}

// cites: REQ-005, PUSH-005
#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let mut peer = Peer::authenticated();
    let mut sent = 0_u64;
    while peer.session.wants_read() {
        sent += 1;
        peer.send_request(9 + sent, samples::ping(vec![0; 64]));
        assert!(sent < 10_000, "the session must stop reading");
    }
    assert!(peer.session.held_bytes() < 257 * 1024);
    peer.send_request(10 + sent, samples::ping("last"));
    let first = peer.session.poll_transmit();
    assert!(first.is_some());
    let answered = peer.answered();
    assert_eq!(answered.len() as u64, sent);
    assert_eq!(answered.last(), Some(&(10 + sent)), "what had come is taken once there is room");
    assert!(peer.session.wants_read());
}

// cites: REQ-008
#[test]
fn unknown_requests_are_unsupported_in_every_phase() {
    let unknown = [&[0x08, 0x07][..], &[0x08, 0x07, 0xfa, 0xff, 0x3f, 0x01, 0x00]];
    for start in [Peer::new, Peer::greeted, Peer::authenticated] {
        let mut peer = start();
        for body in unknown {
            let mut wire = (body.len() as u32).to_be_bytes().to_vec();
            wire.extend_from_slice(body);
            peer.session.handle_bytes(peer.now, &wire);
            assert_eq!(peer.refusal(7).0, ErrorCode::Unsupported);
        }
        assert_eq!(peer.session.closing(), None);
    }
}

// cites: FRAME-008, EXT-002
#[test]
fn unknown_fields_change_nothing() {
    let mut body = samples::frame(9, samples::ping("x")).encode_to_vec();
    // Field 50001, varint 1.
    body.extend([0x88, 0xb5, 0x18, 0x01]);
    let mut peer = Peer::greeted();
    peer.session.handle_bytes(peer.now, &(body.len() as u32).to_be_bytes());
    peer.session.handle_bytes(peer.now, &body);
    assert!(matches!(peer.reply_to(9), Body::Pong(_)));
}

// cites: REQ-011, ERR-002
#[test]
fn a_refused_request_leaves_the_connection_as_it_was() {
    let mut peer = Peer::authenticated();
    peer.send_request(10, list_devices());
    peer.answer(Outcome::Refused(Refusal::after(ErrorCode::RateLimited, 40)));
    assert!(matches!(peer.reply_to(10), Body::Error(e)
        if e.code() == ErrorCode::RateLimited && e.retry_after_ms == 40));
    assert!(peer.session.is_live());
    assert!(matches!(peer.ask(11, list_devices()), Body::Devices(_)));
}

// cites: IDEM-002, IDEM-003, IDEM-004, IDEM-009
#[test]
fn idempotency_keys_are_checked_by_form_and_time() {
    let now_ms = samples::NOW.unix_ms;
    let window_ms = limits::DEFAULT.idempotency_window_s * 1000;
    let key = |time_ms| uuid_v7(time_ms, [1; 10]).to_vec();
    let mut version_4 = key(now_ms);
    version_4[6] = 0x40;
    let join = || samples::requests().remove(7);
    let invalid = Some(ErrorCode::IdempotencyKeyInvalid);
    let cases = [
        (join(), key(now_ms), None),
        (join(), vec![], invalid),
        (join(), key(now_ms)[..15].to_vec(), invalid),
        (join(), version_4, invalid),
        (join(), key(now_ms + MAX_CLOCK_SKEW_MS), None),
        (join(), key(now_ms + MAX_CLOCK_SKEW_MS + 1), invalid),
        (join(), key(now_ms - window_ms), None),
        (join(), key(now_ms - window_ms - 1), Some(ErrorCode::RequestIdExpired)),
        (list_devices(), key(now_ms), invalid),
        (samples::ping(""), key(now_ms), invalid),
    ];
    let mut peer = Peer::authenticated();
    for (id, (body, key, expected)) in (10..).zip(cases) {
        let idempotency_key = Bytes::from(key);
        let frame = v1::ClientFrame { request_id: id, idempotency_key, body: Some(body) };
        peer.send(&frame);
        let handed_out = peer.next_command();
        match expected {
            Some(code) => assert_eq!((peer.refusal(id).0, handed_out), (code, None), "{frame:?}"),
            None => {
                let (ticket, command) = handed_out.expect("the key is good");
                peer.session.handle_outcome(peer.now, ticket, samples::outcome(&command));
                assert!(matches!(peer.reply_to(id), Body::Joined(_)), "{frame:?}");
            }
        }
    }
}

// cites: FRAME-002, FRAME-003, FRAME-004, FRAME-006, ERR-003
#[test]
fn frames_that_are_wrong_end_the_connection() {
    let limits = samples::config().limits;
    let (before, after) = (limits.max_frame_bytes_unauthenticated, limits.max_frame_bytes);
    let header = |length: u32| length.to_be_bytes().to_vec();
    let cases = [
        (Peer::new as fn() -> Peer, header(0), ErrorCode::FrameEmpty),
        (Peer::greeted, header(before + 1), ErrorCode::FrameTooLarge),
        (Peer::authenticated, header(after + 1), ErrorCode::FrameTooLarge),
        (Peer::authenticated, header(u32::MAX), ErrorCode::FrameTooLarge),
        (Peer::authenticated, [header(1), vec![0xff]].concat(), ErrorCode::FrameMalformed),
        // register.handle is not UTF-8.
        (
            Peer::greeted,
            [header(5), vec![0x5a, 0x03, 0x0a, 0x01, 0xff]].concat(),
            ErrorCode::FrameMalformed,
        ),
    ];
    for (start, wire, code) in cases {
        let mut peer = start();
        peer.session.handle_bytes(peer.now, &wire);
        assert_eq!(peer.refusal(0).0, code);
        assert_eq!(peer.session.closing(), Some(CloseReason::Error(code)));
    }
}

// cites: FRAME-004, FRAME-009
#[test]
fn frames_up_to_the_limit_of_the_phase_are_taken() {
    let limits = samples::config().limits;
    for (start, limit) in [
        (Peer::greeted as fn() -> Peer, limits.max_frame_bytes_unauthenticated as usize),
        (Peer::authenticated, limits.max_frame_bytes as usize),
    ] {
        let mut peer = start();
        let near = samples::frame(9, samples::ping(vec![0; limit - 20]));
        let missing = limit - near.encoded_len();
        let frame = samples::frame(9, samples::ping(vec![0; limit - 20 + missing]));
        assert_eq!((frame.encoded_len(), peer.session.frame_limit()), (limit, limit));
        peer.send(&frame);
        assert_eq!(peer.refusal(9), (ErrorCode::InvalidArgument, "ping.data".to_owned()));
    }
}

// cites: FRAME-003
#[test]
fn the_smaller_limit_holds_until_authenticated_is_sent() {
    let mut peer = Peer::greeted();
    peer.send_request(2, client_frame::Body::DeviceLogin(samples::device_login()));
    let length = samples::config().limits.max_frame_bytes_unauthenticated + 1;
    peer.session.handle_bytes(peer.now, &length.to_be_bytes());
    peer.run();
    let replies = peer.replies();
    assert!(matches!(
        &replies[..],
        [(2, Body::Authenticated(_)), (0, Body::Error(e))] if e.code() == ErrorCode::FrameTooLarge
    ));
}

// cites: FRAME-007
#[test]
fn frames_are_taken_a_byte_at_a_time() {
    let mut peer = Peer::greeted();
    for byte in frame::encode(&samples::frame(9, samples::ping("x"))) {
        assert_eq!(peer.replies(), []);
        peer.session.handle_bytes(peer.now, &[byte]);
    }
    assert!(matches!(peer.reply_to(9), Body::Pong(_)));
}

// cites: WS-005, WS-006, WS-008, WS-009
#[test]
fn web_socket_messages_are_held_to_the_same_limits() {
    let limit = samples::config().limits.max_frame_bytes_unauthenticated as usize;
    type Input = fn(&mut Peer, usize);
    let cases: [(Input, ErrorCode, u16); 5] = [
        (|p, _| p.session.handle_text(p.now), ErrorCode::NotBinary, 1003),
        (|p, _| p.session.handle_message(p.now, Bytes::new()), ErrorCode::FrameEmpty, 1008),
        (
            |p, limit| p.session.handle_message(p.now, vec![0; limit + 1].into()),
            ErrorCode::FrameTooLarge,
            1009,
        ),
        (|p, limit| p.session.handle_oversized(p.now, limit + 1), ErrorCode::FrameTooLarge, 1009),
        (
            |p, _| p.session.handle_message(p.now, vec![0xff].into()),
            ErrorCode::FrameMalformed,
            1008,
        ),
    ];
    for (input, code, status) in cases {
        let mut peer = Peer::with(samples::config(), samples::web_socket(false));
        peer.greet();
        input(&mut peer, limit);
        assert_eq!(peer.refusal(0).0, code);
        let reason = peer.session.closing().expect("the error ends the connection");
        assert_eq!(reason.websocket_status(), status);
    }
    let statuses = [CloseReason::Peer, CloseReason::Error(ErrorCode::ShuttingDown)];
    assert_eq!(statuses.map(CloseReason::websocket_status), [1000, 1001]);
}
