//! closing.md.

use aside_proto::{
    frame,
    v1::{self, ErrorCode, client_frame, server_frame::Body},
};

use super::{Peer, samples};
use crate::server::{CloseReason, Outcome, Refusal};

fn list_devices() -> client_frame::Body {
    client_frame::Body::ListDevices(v1::ListDevices {})
}

fn codes(replies: &[(u64, Body)]) -> Vec<(u64, Option<ErrorCode>)> {
    replies
        .iter()
        .map(|(id, body)| match body {
            Body::Error(error) => (*id, Some(error.code())),
            _ => (*id, None),
        })
        .collect()
}

// cites: CLOSE-002
#[test]
fn what_came_whole_before_the_clients_end_is_answered() {
    let mut peer = Peer::authenticated();
    // More than are worked on at once, and the beginning of one more.
    for id in 10..25 {
        peer.send_request(id, list_devices());
    }
    peer.session.handle_bytes(peer.now, &frame::encode(&samples::frame(25, list_devices()))[..5]);
    peer.session.handle_eof(peer.now);
    assert_eq!((peer.session.wants_read(), peer.session.closing()), (false, None));
    peer.run();
    assert_eq!(peer.answered(), Vec::from_iter(10..25));
    assert_eq!(peer.session.closing(), Some(CloseReason::Peer));
    assert!(!peer.session.is_live());
    assert_eq!(peer.session.identity(), Some((samples::USER, samples::DEVICE)));
}

// cites: CLOSE-002
#[test]
fn a_client_that_is_owed_nothing_is_let_go_at_once() {
    for start in [Peer::new, Peer::greeted, Peer::authenticated] {
        let mut peer = start();
        peer.session.handle_eof(peer.now);
        assert_eq!(peer.session.closing(), Some(CloseReason::Peer));
        assert_eq!((peer.replies(), peer.session.next_timeout()), (vec![], None));
    }
}

// cites: CLOSE-002, HELLO-016
#[test]
fn a_log_in_and_what_follows_it_are_answered_after_the_clients_end() {
    let mut peer = Peer::greeted();
    peer.send_request(2, client_frame::Body::DeviceLogin(samples::device_login()));
    peer.send_request(3, list_devices());
    peer.session.handle_eof(peer.now);
    peer.run();
    assert_eq!(codes(&peer.replies()), [(2, None), (3, None)]);
    assert_eq!(peer.session.closing(), Some(CloseReason::Peer));
}

// cites: CLOSE-002, PUSH-005
#[test]
fn after_the_clients_end_all_is_answered_however_slowly_it_reads() {
    let mut peer = Peer::authenticated();
    let pings = 6_000;
    let mut wire = Vec::new();
    for id in 0..pings {
        wire.extend(frame::encode(&samples::frame(10 + id, samples::ping(vec![0; 64]))));
    }
    peer.session.handle_bytes(peer.now, &wire);
    peer.session.handle_eof(peer.now);
    assert_eq!(peer.session.closing(), None, "there is more than the outbox takes");
    assert_eq!(peer.answered(), Vec::from_iter(10..10 + pings));
    assert_eq!(peer.session.closing(), Some(CloseReason::Peer));
}

// cites: CLOSE-005, ERR-003
#[test]
fn an_error_comes_after_the_replies_owed_and_nothing_behind_it_counts() {
    let mut peer = Peer::authenticated();
    peer.send_request(10, list_devices());
    let mut wire = frame::encode(&samples::frame(0, list_devices())).to_vec();
    wire.extend(frame::encode(&samples::frame(11, list_devices())));
    peer.session.handle_bytes(peer.now, &wire);
    assert_eq!((peer.session.wants_read(), peer.session.is_live()), (false, false));
    peer.send_request(12, list_devices());
    peer.session.handle_eof(peer.now);
    assert_eq!((peer.replies(), peer.session.closing()), (vec![], None));
    peer.run();
    let expected = [(10, None), (0, Some(ErrorCode::RequestIdZero))];
    assert_eq!(codes(&peer.replies()), expected);
    assert_eq!(peer.session.closing(), Some(CloseReason::Error(ErrorCode::RequestIdZero)));
}

// cites: CLOSE-005, ERR-003
#[test]
fn a_request_that_ends_the_connection_takes_those_behind_it_along() {
    let mut peer = Peer::authenticated();
    for id in 10..13 {
        peer.send_request(id, list_devices());
    }
    let (first, command) = peer.next_command().expect("three were sent");
    let (second, _) = peer.next_command().expect("three were sent");
    peer.send_request(13, list_devices());
    let fatal = Outcome::Refused(Refusal::of(ErrorCode::DeviceIsRevoked));
    peer.session.handle_outcome(peer.now, second, fatal);
    assert_eq!(peer.replies(), [], "the first is still worked on");
    let left: Vec<_> = std::iter::from_fn(|| peer.next_command()).collect();
    assert_eq!(left.len(), 1, "polled before; the one behind it was not handed out: {left:?}");
    peer.session.handle_outcome(peer.now, left[0].0, samples::outcome(&left[0].1));
    peer.session.handle_outcome(peer.now, first, samples::outcome(&command));
    let expected = [(10, None), (11, Some(ErrorCode::DeviceIsRevoked))];
    assert_eq!(codes(&peer.replies()), expected);
    assert!(peer.session.closing().is_some());
}

// cites: CLOSE-001, CLOSE-005
#[test]
fn once_closed_no_input_has_an_effect() {
    let mut peer = Peer::authenticated();
    peer.session.close(ErrorCode::ShuttingDown, "The server is being stopped.", 1000);
    assert_eq!(peer.refusal(0).0, ErrorCode::ShuttingDown);
    let reason = peer.session.closing();
    peer.send_request(10, list_devices());
    peer.session.handle_eof(peer.now);
    peer.time_out_at(u64::MAX);
    peer.session.close(ErrorCode::DeviceIsRevoked, "", 0);
    assert_eq!((peer.replies(), peer.next_command()), (vec![], None));
    assert_eq!(peer.session.closing(), reason);
    assert_eq!(peer.session.held_bytes(), 0);
}

// cites: CLOSE-004
#[test]
fn a_stop_comes_after_the_replies_to_what_is_worked_on() {
    let mut peer = Peer::authenticated();
    for id in 10..22 {
        peer.send_request(id, list_devices());
    }
    peer.session.close(ErrorCode::ShuttingDown, "The server is being stopped.", 1500);
    assert_eq!((peer.replies(), peer.session.is_live()), (vec![], false));
    peer.run();
    let replies = peer.replies();
    let ids: Vec<_> = replies.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [10, 11, 12, 13, 14, 15, 16, 17, 0], "those begun, then the error");
    assert!(matches!(&replies[8].1, Body::Error(e)
        if e.code() == ErrorCode::ShuttingDown && e.retry_after_ms == 1500));
    assert_eq!(peer.session.closing(), Some(CloseReason::Error(ErrorCode::ShuttingDown)));
}

// cites: DEV-004, DEV-005
#[test]
fn a_device_that_revokes_itself_has_its_reply_first() {
    let mut peer = Peer::authenticated();
    let revoke = v1::RevokeDevice { device_id: samples::DEVICE.to_bytes() };
    peer.send_request(10, client_frame::Body::RevokeDevice(revoke));
    peer.poll();
    peer.session.close(ErrorCode::DeviceIsRevoked, "This device was revoked.", 0);
    peer.run();
    let expected = [(10, None), (0, Some(ErrorCode::DeviceIsRevoked))];
    assert_eq!(codes(&peer.replies()), expected);
}

// cites: TLS-004, LIM-008, ERR-004
#[test]
fn connections_are_refused_before_hello_with_one_frame() {
    for code in [ErrorCode::AlpnRequired, ErrorCode::TooManyConnections] {
        let mut peer = Peer::new();
        peer.session.close(code, "No.", 0);
        match peer.reply_to(0) {
            Body::Error(error) => {
                assert_eq!(error.code(), code);
                assert_eq!(error.retry_after_ms, u64::from(code == ErrorCode::TooManyConnections));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(peer.session.closing(), Some(CloseReason::Error(code)));
    }
}

#[test]
fn a_session_shows_where_it_is_and_nothing_it_holds() {
    let mut peer = Peer::greeted();
    peer.send_request(2, client_frame::Body::Register(samples::register()));
    peer.send_request(3, client_frame::Body::Register(samples::register()));
    assert_eq!(
        format!("{:?}", peer.session),
        "Session { phase: Some(Greeted), identity: None, unanswered: 2, closing: None, .. }"
    );
}
