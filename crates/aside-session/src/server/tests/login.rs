//! authentication.md.

use aside_crypto::{Binding, SigningKey, Transcript};
use aside_proto::{
    id::{DeviceId, IdempotencyKey, uuid_v7},
    limits::MAX_FAILED_ATTEMPTS,
    name::Name,
    v1::{self, BindingType, ErrorCode, client_frame, server_frame::Body},
};

use super::{Peer, samples};
use crate::server::{
    CloseReason, Command, DeviceBinding, DeviceState, OnConflict, Outcome, Refusal, Secret,
};

fn register(change: impl FnOnce(&mut v1::Register)) -> client_frame::Body {
    let mut register = samples::register();
    change(&mut register);
    client_frame::Body::Register(register)
}

fn password_login(change: impl FnOnce(&mut v1::PasswordLogin)) -> client_frame::Body {
    let mut login = samples::password_login();
    change(&mut login);
    client_frame::Body::PasswordLogin(login)
}

fn device_login(change: impl FnOnce(&mut v1::DeviceLogin)) -> client_frame::Body {
    let mut login = samples::device_login();
    change(&mut login);
    client_frame::Body::DeviceLogin(login)
}

fn device(change: impl FnOnce(&mut v1::NewDevice)) -> Option<v1::NewDevice> {
    let mut device = samples::new_device();
    change(&mut device);
    Some(device)
}

fn proof(change: impl FnOnce(&mut v1::DeviceProof)) -> Option<v1::DeviceProof> {
    let mut proof = samples::proof(&samples::transcript(), None);
    change(&mut proof);
    Some(proof)
}

fn authenticated() -> Body {
    Body::Authenticated(v1::Authenticated {
        user_id: samples::USER.to_bytes(),
        device_id: samples::DEVICE.to_bytes(),
        handle: "alice".into(),
    })
}

/// Transcripts that are not this connection's.
fn others() -> Vec<Transcript<'static>> {
    let transcript = samples::transcript();
    vec![
        Transcript { binding: Binding::Exporter([99; 32]), ..transcript },
        Transcript { server_name: "localhost", ..transcript },
        Transcript { server_nonce: &[99; 32], ..transcript },
        Transcript { client_nonce: &[99; 32], ..transcript },
    ]
}

// cites: AUTH-001, AUTH-011
#[test]
fn register_is_checked_handed_out_attached_and_then_answered() {
    let mut peer = Peer::greeted();
    peer.send_request(2, register(|_| {}));
    let (ticket, command) = peer.next_command().expect("the request is right");
    let expected = Command::Register {
        key: IdempotencyKey::new(uuid_v7(samples::NOW.unix_ms, [11; 10])),
        handle: Name::new("alice", 32).unwrap(),
        password: Secret::new("correct horse".into()),
        on_conflict: OnConflict::Suffix,
        device: DeviceBinding { public_key: samples::key().public_key(), name: "laptop".into() },
    };
    assert_eq!(command, expected);
    assert_eq!(peer.session.identity(), None);

    let (user_id, device_id) = (samples::USER, samples::DEVICE);
    peer.session.handle_outcome(peer.now, ticket, Outcome::LoggedIn { user_id, device_id });
    let (ticket, command) = peer.next_command().expect("the connection is attached next");
    let capabilities = ["private".to_owned(), "sync".to_owned(), "talk".to_owned()].into();
    assert_eq!(command, Command::Attach { user_id, device_id, capabilities, reads: true });
    assert_eq!((peer.replies(), peer.session.is_live()), (vec![], false));

    let handle = Name::from_canonical("alice".into());
    peer.session.handle_outcome(peer.now, ticket, Outcome::Attached { handle });
    assert_eq!(peer.session.identity(), Some((user_id, device_id)));
    assert!(peer.session.is_live());
    assert_eq!(peer.reply_to(2), authenticated());
}

// cites: AUTH-010
#[test]
fn closed_registration_is_said_before_anything_else() {
    let config =
        crate::server::Config { registration: v1::RegistrationMode::Closed, ..samples::config() };
    let mut peer = Peer::with(config, samples::tls());
    peer.greet();
    let nonsense = register(|r| *r = v1::Register::default());
    peer.send(&v1::ClientFrame { request_id: 2, body: Some(nonsense), ..Default::default() });
    assert_eq!(peer.refusal(2).0, ErrorCode::RegistrationClosed);
    assert_eq!(peer.ask(3, password_login(|_| {})), authenticated());
}

// cites: AUTH-020, AUTH-022, AUTH-026
#[test]
fn password_log_in_maps_the_handle_and_hides_what_cannot_be_one() {
    for (handle, expected) in [
        ("\u{ff21}LICE", Some(Name::from_canonical("alice".into()))),
        ("not a handle", None),
        ("", None),
    ] {
        let mut peer = Peer::greeted();
        peer.send_request(2, password_login(|l| l.handle = handle.into()));
        let Some((ticket, Command::PasswordLogin { handle, .. })) = peer.next_command() else {
            panic!("it is handed out whatever the handle")
        };
        assert_eq!(handle, expected);
        let failed = Outcome::Refused(Refusal::authentication_failed());
        peer.session.handle_outcome(peer.now, ticket, failed);
        assert_eq!(peer.refusal(2).0, ErrorCode::AuthenticationFailed);
    }
}

// cites: PASS-001, AUTH-026
#[test]
fn given_passwords_are_prepared_or_compared_as_they_are() {
    for (given, compared) in [("a\u{a0}b", "a b"), ("bell\u{7}", "bell\u{7}"), ("", "")] {
        let mut peer = Peer::greeted();
        peer.send_request(2, password_login(|l| l.password = given.into()));
        let Some((_, Command::PasswordLogin { password, .. })) = peer.next_command() else {
            panic!("it is handed out whatever the password")
        };
        assert_eq!(password.expose(), compared);
    }
}

// cites: AUTH-001, AUTH-006, AUTH-041
#[test]
fn proofs_of_other_connections_names_and_keys_are_refused() {
    let mut peer = Peer::greeted();
    let mut id = 2;
    let stranger = SigningKey::from_bytes(&[99; 32]).unwrap();
    let stranger_key = stranger.public_key().as_bytes().to_vec();
    let mut wrong: Vec<_> = others()
        .iter()
        .map(|other| device(|d| d.proof = Some(samples::proof(other, None))))
        .collect();
    wrong.push(device(|d| d.public_key = stranger_key.into()));
    wrong.push(device(|d| d.proof = proof(|p| p.signature = vec![0; 64].into())));
    wrong.push(device(|d| {
        d.proof = Some(samples::proof(&samples::transcript(), Some(samples::DEVICE)));
    }));
    for device in wrong {
        let other_device = device.clone();
        let bodies = [register(|r| r.device = device), password_login(|l| l.device = other_device)];
        for body in bodies {
            if id % 10 == 0 {
                peer = Peer::greeted();
            }
            id += 1;
            peer.send_request(id, body);
            assert_eq!(peer.refusal(id).0, ErrorCode::ProofInvalid);
            assert_eq!(peer.next_command(), None);
        }
    }
    assert_eq!(peer.ask(99, register(|_| {})), authenticated());
}

// cites: AUTH-003
#[test]
fn bindings_that_are_not_offered_are_refused() {
    let with_type =
        |t: i32| password_login(|l| l.device = device(|d| d.proof = proof(|p| p.binding_type = t)));
    for transport in [samples::tls(), samples::web_socket(false)] {
        let mut peer = Peer::with(samples::config(), transport);
        peer.greet();
        for (id, t) in (2..).zip([0, BindingType::None.into(), 4, -1]) {
            peer.send_request(id, with_type(t));
            assert_eq!(peer.refusal(id).0, ErrorCode::BindingNotAllowed, "{t}");
        }
        peer.send_request(9, device_login(|l| l.proof = None));
        assert_eq!(peer.refusal(9).0, ErrorCode::BindingNotAllowed);
    }
}

// cites: AUTH-001, AUTH-002, AUTH-003
#[test]
fn every_binding_that_is_offered_works() {
    for binding in [
        Binding::Exporter(samples::EXPORTER),
        Binding::CertSha256(samples::CERT_SHA256),
        Binding::None,
    ] {
        let transcript = Transcript { binding, ..samples::transcript() };
        let bodies = [
            register(|r| r.device = device(|d| d.proof = Some(samples::proof(&transcript, None)))),
            device_login(|l| l.proof = Some(samples::proof(&transcript, Some(samples::DEVICE)))),
        ];
        for body in bodies {
            let mut peer = Peer::with(samples::config(), samples::web_socket(true));
            peer.greet();
            assert_eq!(peer.ask(2, body), authenticated(), "{binding:?}");
        }
    }
}

// cites: AUTH-002, AUTH-006, AUTH-030
#[test]
fn device_log_in_fails_alike_for_unknown_devices_and_wrong_signatures() {
    let mut peer = Peer::greeted();
    let wrong_proof = |t: &Transcript<'_>| {
        device_login(|l| l.proof = Some(samples::proof(t, Some(samples::DEVICE))))
    };
    let other_device =
        proof(|p| *p = samples::proof(&samples::transcript(), Some(DeviceId::new([9; 16]))));
    let mut cases: Vec<_> = others()
        .iter()
        .map(|other| (wrong_proof(other), Some(samples::device(DeviceState::Active))))
        .collect();
    cases.push((device_login(|_| {}), None));
    cases.push((
        device_login(|l| l.proof = other_device),
        Some(samples::device(DeviceState::Active)),
    ));
    cases.push((wrong_proof(&others()[0]), Some(samples::device(DeviceState::Revoked))));
    cases.push((wrong_proof(&others()[0]), Some(samples::device(DeviceState::Expired))));
    let mut errors = Vec::new();
    for (id, (body, record)) in (2..).zip(cases) {
        peer.send_request(id, body);
        peer.answer(Outcome::Device(record));
        errors.push(peer.reply_to(id));
    }
    let Body::Error(first) = &errors[0] else { panic!("{errors:?}") };
    assert_eq!(first.code(), ErrorCode::AuthenticationFailed);
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
}

// cites: AUTH-031
#[test]
fn a_revoked_device_is_told_and_disconnected() {
    let mut peer = Peer::greeted();
    peer.send_request(2, device_login(|_| {}));
    peer.answer(Outcome::Device(Some(samples::device(DeviceState::Revoked))));
    assert_eq!(peer.refusal(2).0, ErrorCode::DeviceIsRevoked);
    assert_eq!(peer.session.closing(), Some(CloseReason::Error(ErrorCode::DeviceIsRevoked)));
    assert_eq!(peer.session.identity(), None);
}

// cites: AUTH-032, AUTH-033, AUTH-041
#[test]
fn an_expired_device_is_told_and_may_use_the_password() {
    let mut peer = Peer::greeted();
    peer.send_request(2, device_login(|_| {}));
    peer.answer(Outcome::Device(Some(samples::device(DeviceState::Expired))));
    assert_eq!(peer.refusal(2).0, ErrorCode::DeviceExpired);
    assert_eq!(peer.ask(3, password_login(|_| {})), authenticated());
}

// cites: AUTH-040
#[test]
fn the_log_in_after_the_tenth_failure_ends_the_connection() {
    let mut peer = Peer::greeted();
    for id in 0..u64::from(MAX_FAILED_ATTEMPTS) {
        let expected = if id % 2 == 0 {
            peer.send_request(10 + id, password_login(|_| {}));
            peer.answer(Outcome::Refused(Refusal::authentication_failed()));
            ErrorCode::AuthenticationFailed
        } else {
            peer.send_request(
                10 + id,
                register(|r| {
                    r.device = device(|d| d.proof = proof(|p| p.signature = vec![0; 64].into()))
                }),
            );
            ErrorCode::ProofInvalid
        };
        assert_eq!(peer.refusal(10 + id).0, expected);
    }
    assert!(matches!(peer.ask(30, samples::ping("")), Body::Pong(_)));
    peer.send_request(31, device_login(|_| {}));
    peer.send_request(32, samples::ping(""));
    assert!(matches!(peer.reply_to(31), Body::Error(e)
        if e.code() == ErrorCode::TooManyAttempts && e.retry_after_ms >= 1));
    assert_eq!(peer.next_command(), None);
    assert_eq!(peer.session.closing(), Some(CloseReason::Error(ErrorCode::TooManyAttempts)));
}

// cites: AUTH-040
#[test]
fn other_refusals_are_not_counted_as_attempts() {
    let mut peer = Peer::greeted();
    for id in 10..40 {
        peer.send_request(id, register(|_| {}));
        peer.answer(Outcome::Refused(Refusal::of(ErrorCode::HandleTaken)));
        assert_eq!(peer.refusal(id).0, ErrorCode::HandleTaken);
    }
    assert_eq!(peer.ask(40, register(|_| {})), authenticated());
}

// cites: AUTH-040, PASS-004
#[test]
fn wrong_old_passwords_count_even_when_pipelined() {
    let mut peer = Peer::authenticated();
    let change = || samples::requests().remove(1);
    let mut handed_out = 0;
    for id in 10..22 {
        peer.send_request(id, change());
    }
    while let Some((ticket, _)) = peer.next_command() {
        handed_out += 1;
        assert_eq!(peer.next_command(), None, "one at a time");
        let wrong = Outcome::Refused(Refusal::authentication_failed());
        peer.session.handle_outcome(peer.now, ticket, wrong);
    }
    assert_eq!(handed_out, MAX_FAILED_ATTEMPTS);
    assert_eq!(peer.session.closing(), Some(CloseReason::Error(ErrorCode::TooManyAttempts)));
    assert_eq!(peer.answered(), Vec::from_iter(10..21));
}

// cites: AUTH-041
#[test]
fn a_refusal_while_attaching_leaves_the_connection_greeted() {
    let mut peer = Peer::greeted();
    peer.send_request(2, device_login(|_| {}));
    peer.answer(Outcome::Device(Some(samples::device(DeviceState::Active))));
    peer.answer(Outcome::Refused(Refusal::after(ErrorCode::ServerBusy, 100)));
    assert_eq!(peer.refusal(2).0, ErrorCode::ServerBusy);
    assert_eq!(peer.session.identity(), None);
    assert_eq!(peer.ask(3, device_login(|_| {})), authenticated());
}

// cites: CONV-001, CONV-002, DEV-002, NAME-002, PASS-002, ERR-006, EXT-007
#[test]
fn arguments_of_log_ins_are_checked() {
    let point_off_curve = [&[4][..], &[1; 64]].concat();
    let compressed = [&[2][..], &samples::key().public_key().as_bytes()[1..33]].concat();
    let cases = [
        (register(|r| r.handle = "a b".into()), ErrorCode::HandleInvalid, ""),
        (register(|r| r.handle = "x".repeat(33)), ErrorCode::HandleInvalid, ""),
        (register(|r| r.password = "short".into()), ErrorCode::PasswordInvalid, ""),
        (register(|r| r.password = "\u{e9}".repeat(129)), ErrorCode::PasswordInvalid, ""),
        (register(|r| r.password = "with\u{7}bell".into()), ErrorCode::PasswordInvalid, ""),
        (register(|r| r.on_conflict = 9), ErrorCode::InvalidArgument, "register.on_conflict"),
        (register(|r| r.device = None), ErrorCode::InvalidArgument, "register.device.public_key"),
        (
            register(|r| r.device = device(|d| d.public_key = point_off_curve.into())),
            ErrorCode::InvalidArgument,
            "register.device.public_key",
        ),
        (
            password_login(|l| l.device = device(|d| d.public_key = compressed.into())),
            ErrorCode::InvalidArgument,
            "password_login.device.public_key",
        ),
        (
            register(|r| r.device = device(|d| d.name.clear())),
            ErrorCode::InvalidArgument,
            "register.device.name",
        ),
        (
            password_login(|l| l.device = device(|d| d.name = "n".repeat(65))),
            ErrorCode::InvalidArgument,
            "password_login.device.name",
        ),
        (
            password_login(|l| l.device = device(|d| d.name = "a\nb".into())),
            ErrorCode::InvalidArgument,
            "password_login.device.name",
        ),
        (
            device_login(|l| l.device_id.truncate(15)),
            ErrorCode::InvalidArgument,
            "device_login.device_id",
        ),
        (
            device_login(|l| l.proof.as_mut().unwrap().signature.truncate(63)),
            ErrorCode::InvalidArgument,
            "device_login.proof.signature",
        ),
        (
            register(|r| r.device = device(|d| d.proof = proof(|p| p.signature.clear()))),
            ErrorCode::InvalidArgument,
            "register.device.proof.signature",
        ),
        (
            password_login(|l| l.device = device(|d| d.proof = None)),
            ErrorCode::BindingNotAllowed,
            "",
        ),
    ];
    let mut peer = Peer::greeted();
    for (id, (body, code, field)) in (2..).zip(cases) {
        peer.send_request(id, body);
        assert_eq!(peer.refusal(id), (code, field.to_owned()));
        assert_eq!(peer.next_command(), None);
    }
    assert_eq!(peer.ask(99, register(|r| r.password = "\u{e9}".repeat(128))), authenticated());
}
