//! tokens.md.

use aside_proto::{
    request::{self, Scope},
    token::TokenScopes,
    v1::{self, ErrorCode, client_frame, server_frame::Body},
};

use super::{Peer, samples};
use crate::server::{CloseReason, Command, Outcome, TokenRecord};

fn login(change: impl FnOnce(&mut v1::TokenLogin)) -> client_frame::Body {
    let mut login = samples::token_login();
    change(&mut login);
    client_frame::Body::TokenLogin(login)
}

fn token(change: impl FnOnce(&mut TokenRecord)) -> Option<TokenRecord> {
    let mut token = samples::token();
    change(&mut token);
    Some(token)
}

/// A connection on which a token with these scopes has logged in.
fn logged_in(scopes: &[i32]) -> Peer {
    let mut peer = Peer::greeted();
    peer.send_request(5, login(|_| {}));
    let scopes = TokenScopes::from_numbers(scopes).unwrap();
    peer.answer(Outcome::Token(token(|t| t.scopes = scopes)));
    peer.run();
    assert!(matches!(peer.reply_to(5), Body::Authenticated(_)));
    peer
}

// cites: TOKEN-005
#[test]
fn a_token_logs_in_by_its_secret_as_the_device_that_it_is() {
    for (scopes, reads) in [(vec![2, 3, 4], false), (vec![1], true)] {
        let mut peer = Peer::greeted();
        peer.send_request(5, login(|_| {}));
        let (ticket, command) = peer.next_command().unwrap();
        assert_eq!(command, Command::FindToken { token_id: samples::DEVICE });
        let scopes = TokenScopes::from_numbers(&scopes).unwrap();
        let found = Outcome::Token(token(|t| t.scopes = scopes));
        peer.session.handle_outcome(peer.now, ticket, found);
        let (ticket, command) = peer.next_command().unwrap();
        assert!(matches!(command, Command::Attach { reads: told, device_id, .. }
                if told == reads && device_id == samples::DEVICE));
        peer.session.handle_outcome(peer.now, ticket, samples::outcome(&command));
        assert!(matches!(peer.reply_to(5), Body::Authenticated(_)));
        assert_eq!(peer.session.identity(), Some((samples::USER, samples::DEVICE)));
    }
}

// cites: TOKEN-006, TOKEN-007, AUTH-041
#[test]
fn only_the_right_secret_is_told_what_is_wrong_with_its_token() {
    let wrong = || login(|l| l.secret = vec![99; 32].into());
    let ends = |t: &mut TokenRecord| t.expires_ms = samples::NOW.unix_ms;
    let revoked = |t: &mut TokenRecord| t.is_revoked = true;
    let failed = ErrorCode::AuthenticationFailed;
    let mut messages = Vec::new();
    for (body, record, code) in [
        (wrong(), token(|_| {}), failed),
        (wrong(), None, failed),
        (login(|_| {}), None, failed),
        (wrong(), token(ends), failed),
        (wrong(), token(revoked), failed),
        (login(|_| {}), token(ends), ErrorCode::TokenExpired),
    ] {
        let mut peer = Peer::greeted();
        peer.send_request(5, body);
        peer.answer(Outcome::Token(record));
        let Body::Error(error) = peer.reply_to(5) else { panic!("it was refused") };
        assert_eq!(error.code(), code);
        if code == failed {
            messages.push(error.message);
        }
        assert!(matches!(peer.ask(6, samples::ping("still greeted")), Body::Pong(_)));
    }
    messages.dedup();
    assert_eq!(messages.len(), 1);

    let mut peer = Peer::greeted();
    peer.send_request(5, login(|_| {}));
    peer.answer(Outcome::Token(token(revoked)));
    assert_eq!(peer.refusal(5).0, ErrorCode::DeviceIsRevoked);
    assert_eq!(peer.session.closing(), Some(CloseReason::Error(ErrorCode::DeviceIsRevoked)));
}

// cites: AUTH-040
#[test]
fn wrong_secrets_count_as_attempts() {
    let mut peer = Peer::greeted();
    for id in 5..15 {
        peer.send_request(id, login(|_| {}));
        peer.answer(Outcome::Token(None));
        assert_eq!(peer.refusal(id).0, ErrorCode::AuthenticationFailed);
    }
    peer.send_request(15, login(|_| {}));
    assert_eq!(peer.refusal(15).0, ErrorCode::TooManyAttempts);
}

/// Whatever the registry says, and for every request there is.
// cites: TOKEN-008, REQ-011
#[test]
fn a_scope_lets_through_what_the_registry_says_and_nothing_else() {
    let scopes = [Scope::Read, Scope::Send, Scope::Join, Scope::Manage];
    for (number, scope) in (1..).zip(scopes) {
        let mut peer = logged_in(&[number]);
        for (id, body) in (10..).zip(samples::requests()) {
            peer.send_request(id, body.clone());
            match request::info(&body).scope {
                Some(needed) if needed == scope => {
                    assert!(peer.next_command().is_some(), "{body:?}");
                    // Not answered: what follows must not wait for it.
                    peer = logged_in(&[number]);
                }
                _ => {
                    assert_eq!(peer.refusal(id).0, ErrorCode::ScopeMissing, "{body:?}");
                    assert_eq!(peer.next_command(), None);
                }
            }
        }
        assert!(matches!(peer.ask(90, samples::ping("any")), Body::Pong(_)));
    }
}

// cites: TOKEN-008
#[test]
fn what_belongs_to_people_is_for_no_token() {
    let with_scope: Vec<_> = request::all().iter().filter(|info| info.scope.is_some()).collect();
    for name in ["issue_token", "list_tokens", "revoke_token", "change_password", "rename"] {
        assert!(with_scope.iter().all(|info| info.name != name), "{name}");
    }
    assert!(with_scope.iter().all(|info| info.phases.contains(&request::Phase::Authenticated)));
}

// cites: TOKEN-009
#[test]
fn a_token_that_ends_ends_its_connections() {
    let mut peer = logged_in(&[2]);
    let ends = samples::NOW.monotonic_ms + 60_000;
    assert_eq!(peer.session.next_timeout(), Some(ends));
    peer.time_out_at(ends);
    assert_eq!(peer.session.closing(), Some(CloseReason::Error(ErrorCode::DeviceIsRevoked)));
    assert_eq!(Peer::authenticated().session.next_timeout().map(|at| at > ends), Some(true));
}

// cites: CONV-001
#[test]
fn arguments_of_a_token_log_in_are_checked() {
    for (field, body) in [
        ("token_login.token_id", login(|l| l.token_id.truncate(15))),
        ("token_login.secret", login(|l| l.secret.truncate(31))),
    ] {
        let mut peer = Peer::greeted();
        peer.send_request(5, body);
        assert_eq!(peer.refusal(5), (ErrorCode::InvalidArgument, field.to_owned()));
    }
}
