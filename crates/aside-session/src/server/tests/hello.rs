//! hello.md.

use aside_proto::{
    request::{self, Phase},
    v1::{self, ErrorCode, client_frame, server_frame::Body},
};

use super::{Peer, samples};
use crate::server::CloseReason;

fn hello(change: impl FnOnce(&mut v1::Hello)) -> client_frame::Body {
    let mut hello = samples::hello();
    change(&mut hello);
    client_frame::Body::Hello(hello)
}

fn refused(body: client_frame::Body) -> (Peer, (ErrorCode, String)) {
    let mut peer = Peer::new();
    peer.send_request(1, body);
    let refusal = peer.refusal(1);
    (peer, refusal)
}

// cites: HELLO-003, HELLO-004, HELLO-005, HELLO-008, HELLO-014
#[test]
fn greeted_says_what_was_agreed() {
    let config = samples::config();
    let greeted = Peer::new().greet();
    assert_eq!(
        greeted,
        v1::Greeted {
            version: 1,
            capabilities: vec!["private".into(), "sync".into(), "talk".into()],
            server_nonce: samples::SERVER_NONCE.to_vec().into(),
            server_time_ms: samples::NOW.unix_ms,
            limits: Some(config.limits),
            log_key: Some(config.log_key),
            binding_types: vec![1, 2],
            registration: v1::RegistrationMode::Open.into(),
            user_agent: "aside-test/1".into(),
        }
    );
}

// cites: HELLO-004, HELLO-005
#[test]
fn capabilities_are_the_intersection_sorted_without_repeats() {
    let mut peer = Peer::new();
    let offered = ["talk", "x-unknown", "sync", "talk", "grease-7"];
    let reply = peer.ask(1, hello(|h| h.capabilities = offered.map(String::from).into()));
    assert!(matches!(reply, Body::Greeted(greeted) if greeted.capabilities == ["sync", "talk"]));
}

// cites: HELLO-015, AUTH-003
#[test]
fn binding_none_is_offered_on_web_sockets_by_policy_alone() {
    for (transport, types) in [
        (samples::tls(), vec![1, 2]),
        (samples::web_socket(false), vec![1, 2]),
        (samples::web_socket(true), vec![1, 2, 3]),
    ] {
        let greeted = Peer::with(samples::config(), transport).greet();
        assert_eq!(greeted.binding_types, types);
    }
}

// cites: HELLO-003, ERR-003
#[test]
fn no_version_in_common_ends_the_connection() {
    for versions in [vec![], vec![2, 0x1a1a]] {
        let (peer, refusal) = refused(hello(|h| h.versions = versions));
        assert_eq!(refusal.0, ErrorCode::VersionUnsupported);
        let reason = CloseReason::Error(ErrorCode::VersionUnsupported);
        assert_eq!(peer.session.closing(), Some(reason));
    }
}

// cites: HELLO-009
#[test]
fn another_server_name_ends_the_connection_and_case_is_ignored() {
    let (peer, refusal) = refused(hello(|h| h.server_name = "chat.example.evil".into()));
    assert_eq!(refusal.0, ErrorCode::ServerNameWrong);
    assert!(peer.session.closing().is_some());
    for name in ["CHAT.example", "LOCALHOST"] {
        let reply = Peer::new().ask(1, hello(|h| h.server_name = name.into()));
        assert!(matches!(reply, Body::Greeted(_)), "{name}");
    }
}

// cites: HELLO-007, HELLO-012, ERR-002, ERR-006
#[test]
fn a_hello_that_breaks_a_rule_is_refused_and_may_be_mended() {
    let broken = [
        ("hello.client_nonce", hello(|h| h.client_nonce.truncate(31))),
        ("hello.client_nonce", hello(|h| h.client_nonce = vec![0; 33].into())),
        ("hello.versions", hello(|h| h.versions = vec![1; 17])),
        ("hello.capabilities", hello(|h| h.capabilities = vec!["talk".into(); 65])),
        ("hello.capabilities", hello(|h| h.capabilities.push("c".repeat(65)))),
        ("hello.server_name", hello(|h| h.server_name.clear())),
        ("hello.server_name", hello(|h| h.server_name = "n".repeat(254))),
        ("hello.user_agent", hello(|h| h.user_agent = "u".repeat(65))),
    ];
    for (field, body) in broken {
        let (mut peer, refusal) = refused(body);
        assert_eq!(refusal, (ErrorCode::InvalidArgument, field.to_owned()));
        peer.greet();
    }
    let full = hello(|h| {
        h.versions = vec![1; 16];
        h.capabilities = vec!["c".repeat(64); 64];
        h.user_agent = "u".repeat(64);
    });
    assert!(matches!(Peer::new().ask(1, full), Body::Greeted(_)));
}

// cites: HELLO-001, HELLO-002, REQ-011
#[test]
fn requests_out_of_phase_are_refused_without_effect() {
    let all: Vec<_> = [
        client_frame::Body::Hello(samples::hello()),
        client_frame::Body::Register(samples::register()),
        client_frame::Body::PasswordLogin(samples::password_login()),
        client_frame::Body::DeviceLogin(samples::device_login()),
        client_frame::Body::TokenLogin(samples::token_login()),
        samples::ping("data"),
    ]
    .into_iter()
    .chain(samples::requests())
    .collect();
    assert_eq!(all.len(), request::all().len(), "a sample of every request");
    for (phase, start) in [
        (Phase::Connected, Peer::new as fn() -> Peer),
        (Phase::Greeted, Peer::greeted),
        (Phase::Authenticated, Peer::authenticated),
    ] {
        let mut peer = start();
        for body in &all {
            if !request::info(body).phases.contains(&phase) {
                peer.send_request(9, body.clone());
                assert_eq!(peer.refusal(9).0, ErrorCode::WrongPhase, "{phase:?} {body:?}");
                assert_eq!(peer.next_command(), None);
            }
        }
        let (allowed, reply) = match phase {
            Phase::Connected => (client_frame::Body::Hello(samples::hello()), 10),
            Phase::Greeted | Phase::Authenticated => (samples::ping(""), 10),
        };
        peer.ask(reply, allowed);
    }
}

// cites: HELLO-006
#[test]
fn capabilities_not_in_force_are_unsupported_and_the_phase_comes_first() {
    let mut peer = Peer::new();
    peer.ask(1, hello(|h| h.capabilities.clear()));
    peer.send_request(2, client_frame::Body::Register(samples::register()));
    assert_eq!(peer.refusal(2).0, ErrorCode::Unsupported);
    peer.send_request(3, samples::fetch());
    assert_eq!(peer.refusal(3).0, ErrorCode::WrongPhase);
    assert!(matches!(peer.ask(4, samples::ping("core")), Body::Pong(_)));
}

// cites: PING-001
#[test]
fn pongs_carry_the_data_of_their_pings() {
    for start in [Peer::greeted, Peer::authenticated] {
        for data in [vec![], vec![7; 64]] {
            let reply = start().ask(9, samples::ping(data.clone()));
            assert_eq!(reply, Body::Pong(v1::Pong { data: data.into() }));
        }
    }
}

// cites: PING-002, REQ-004
#[test]
fn a_ping_overtakes_requests_that_are_worked_on() {
    let mut peer = Peer::authenticated();
    peer.send_request(10, samples::fetch());
    peer.send_request(11, samples::ping("now"));
    assert_eq!(peer.answered(), [11]);
    peer.run();
    assert_eq!(peer.answered(), [10]);
}

// cites: PING-002
#[test]
fn a_ping_overtakes_requests_that_wait_for_a_log_in() {
    let mut peer = Peer::greeted();
    peer.send_request(2, client_frame::Body::DeviceLogin(samples::device_login()));
    peer.send_request(3, samples::fetch());
    peer.send_request(4, samples::ping("now"));
    assert_eq!(peer.answered(), [4]);
    peer.run();
    assert_eq!(peer.answered(), [2, 3]);
}

// cites: PING-003, REQ-004
#[test]
fn a_ping_with_too_much_data_is_refused_in_its_turn() {
    let mut peer = Peer::authenticated();
    peer.send_request(10, samples::fetch());
    peer.send_request(11, samples::ping(vec![0; 65]));
    assert_eq!(peer.answered(), []);
    peer.answer(samples::outcome(&crate::server::Command::ListDevices));
    let replies = peer.replies();
    assert_eq!(replies.len(), 2);
    assert!(matches!(&replies[1], (11, Body::Error(e))
        if e.code() == ErrorCode::InvalidArgument && e.field == "ping.data"));
}

// cites: HELLO-016
#[test]
fn requests_behind_a_log_in_are_judged_by_its_outcome() {
    let mut peer = Peer::greeted();
    let wrong = v1::DeviceLogin { device_id: vec![0; 16].into(), ..samples::device_login() };
    peer.send_request(2, client_frame::Body::DeviceLogin(wrong));
    peer.send_request(3, client_frame::Body::ListDevices(v1::ListDevices {}));
    peer.send_request(4, client_frame::Body::DeviceLogin(samples::device_login()));
    peer.send_request(5, client_frame::Body::ListDevices(v1::ListDevices {}));
    peer.run();
    let replies = peer.replies();
    let codes: Vec<_> = replies
        .iter()
        .map(|(id, body)| match body {
            Body::Error(error) => (*id, Some(error.code())),
            _ => (*id, None),
        })
        .collect();
    assert_eq!(
        codes,
        [
            (2, Some(ErrorCode::AuthenticationFailed)),
            (3, Some(ErrorCode::WrongPhase)),
            (4, None),
            (5, None)
        ]
    );
}
