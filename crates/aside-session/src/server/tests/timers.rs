//! The timers of limits.md.

use aside_proto::{
    frame,
    v1::{ErrorCode, client_frame, server_frame::Body},
};

use super::{Peer, samples};
use crate::server::CloseReason;

fn start_ms() -> u64 {
    samples::NOW.monotonic_ms
}

fn handshake_ms() -> u64 {
    samples::config().limits.handshake_timeout_ms.into()
}

fn idle_ms() -> u64 {
    samples::config().limits.idle_timeout_ms.into()
}

fn timed_out(peer: &mut Peer, code: ErrorCode) {
    peer.session.handle_timeout(peer.now);
    assert_eq!(peer.refusal(0).0, code);
    assert_eq!(peer.session.closing(), Some(CloseReason::Error(code)));
    assert_eq!(peer.session.next_timeout(), None);
}

// cites: LIM-001
#[test]
fn the_time_to_authenticate_runs_from_the_start_whatever_comes() {
    let deadline = start_ms() + handshake_ms();
    let mut peer = Peer::new();
    assert_eq!(peer.session.next_timeout(), Some(deadline));
    peer.at(deadline - 10).greet();
    peer.ask(2, samples::ping(""));
    peer.session.handle_bytes(peer.now, &[0, 0]);
    assert_eq!(peer.session.next_timeout(), Some(deadline));
    peer.time_out_at(deadline - 1);
    assert_eq!((peer.replies(), peer.session.closing()), (vec![], None));
    timed_out(peer.at(deadline), ErrorCode::HandshakeTimeout);
}

// cites: LIM-001, CLOSE-005
#[test]
fn a_log_in_that_takes_too_long_is_given_up() {
    let mut peer = Peer::greeted();
    peer.send_request(2, client_frame::Body::Register(samples::register()));
    let (ticket, command) = peer.next_command().expect("the request is right");
    timed_out(peer.at(start_ms() + handshake_ms()), ErrorCode::HandshakeTimeout);
    peer.session.handle_outcome(peer.now, ticket, samples::outcome(&command));
    assert_eq!((peer.replies(), peer.next_command()), (vec![], None));
    assert_eq!(peer.session.identity(), None);
}

// cites: LIM-001
#[test]
fn whoever_authenticates_in_time_stays() {
    let mut peer = Peer::authenticated();
    assert_eq!(peer.session.next_timeout(), Some(start_ms() + idle_ms()));
    peer.time_out_at(start_ms() + handshake_ms());
    assert!(peer.session.is_live());
}

// cites: LIM-002
#[test]
fn only_whole_frames_keep_a_connection_from_being_idle() {
    let mut peer = Peer::authenticated();
    let wire = frame::encode(&samples::frame(9, samples::ping("whole")));
    let (last, rest) = wire.split_last().expect("a frame is not empty");
    let half = start_ms() + idle_ms() / 2;
    peer.at(half);
    peer.session.handle_bytes(peer.now, rest);
    assert_eq!(peer.session.next_timeout(), Some(start_ms() + idle_ms()));
    peer.session.handle_bytes(peer.now, &[*last]);
    assert_eq!(peer.session.next_timeout(), Some(half + idle_ms()));
    assert!(matches!(peer.reply_to(9), Body::Pong(_)));
    timed_out(peer.at(half + idle_ms()), ErrorCode::IdleTimeout);
}

// cites: LIM-002
#[test]
fn refused_requests_are_whole_frames_too() {
    let mut peer = Peer::authenticated();
    peer.at(start_ms() + 1).send_request(9, client_frame::Body::Hello(samples::hello()));
    assert_eq!(peer.refusal(9).0, ErrorCode::WrongPhase);
    assert_eq!(peer.session.next_timeout(), Some(start_ms() + 1 + idle_ms()));
}

// cites: LIM-002, ERR-003
#[test]
fn a_timeout_gives_up_what_an_ending_session_waits_for() {
    let mut peer = Peer::authenticated();
    peer.send_request(10, samples::fetch());
    peer.send_request(0, samples::fetch());
    assert_eq!((peer.replies(), peer.session.closing()), (vec![], None));
    peer.time_out_at(start_ms() + idle_ms());
    assert_eq!(peer.refusal(0).0, ErrorCode::RequestIdZero);
    assert_eq!(peer.session.closing(), Some(CloseReason::Error(ErrorCode::RequestIdZero)));
}
