//! Decoding: frames off a stream, and requests in each phase.

use std::sync::Arc;

use aside_proto::{
    error::{Scope, scope_of},
    frame::{self, Decoder, FrameError, HEADER_BYTES},
    v1::{self, ErrorCode, client_frame, server_frame},
};
use bytes::Bytes;

use super::{Reader, check_command};
use crate::server::{
    Action, CloseReason, Session,
    samples::{self, NOW},
};

/// Fuzzes the frame decoder: the same bytes give the same bodies and the same error however they are cut.
///
/// Two bytes of limit, one of how many cuts, the cuts, and the stream.
pub fn frame_decoding(data: &[u8]) {
    let mut input = Reader(data);
    let limit = usize::from(u16::from_be_bytes([input.byte(), input.byte()]));
    let count = usize::from(input.byte());
    let cuts = input.bytes(count);
    let wire = input.0;

    let whole = decode_in_pieces(limit, wire, &[]);
    assert_eq!(whole, decode_in_pieces(limit, wire, cuts));
    let (bodies, error, left) = whole;
    assert!(bodies.iter().all(|body| (1..=limit).contains(&body.len())));
    let taken: usize = bodies.iter().map(|body| HEADER_BYTES + body.len()).sum();
    match error {
        None => assert_eq!(taken + left, wire.len()),
        Some(FrameError::Malformed(_)) => unreachable!("the decoder does not look into bodies"),
        Some(FrameError::Empty | FrameError::TooLarge { .. }) => assert_eq!(left, 0),
    }
    for body in bodies {
        if let Ok(request) = frame::decode::<v1::ClientFrame>(body) {
            let again = frame::decode(frame::body(&frame::encode(&request)));
            assert_eq!(again, Ok(request));
        }
    }
}

/// The bodies, the error, and how many bytes are left.
fn decode_in_pieces(
    limit: usize,
    wire: &[u8],
    cuts: &[u8],
) -> (Vec<Bytes>, Option<FrameError>, usize) {
    let mut decoder = Decoder::new(limit);
    let mut bodies = Vec::new();
    let mut error = None;
    let mut rest = wire;
    let mut cuts = cuts.iter().map(|cut| usize::from(*cut));
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(cuts.next().unwrap_or(rest.len()).min(rest.len()));
        rest = later;
        decoder.extend(piece);
        loop {
            match decoder.next_body() {
                Ok(Some(body)) => bodies.push(body),
                Ok(None) => break,
                Err(reason) => {
                    error = Some(reason);
                    break;
                }
            }
        }
        assert!(decoder.buffered() <= wire.len());
    }
    (bodies, error, decoder.buffered())
}

/// Fuzzes one request: whatever it is, it comes to one reply or one command, in every phase.
///
/// One byte of phase, and the body of a frame.
pub fn request_decoding(data: &[u8]) {
    let mut input = Reader(data);
    let mut session = session_in_phase(input.byte() % 3);
    let body = input.0;
    if body.is_empty() || body.len() > session.frame_limit() {
        return;
    }
    session.handle_message(NOW, Bytes::copy_from_slice(body));
    let reply = session.poll_transmit();
    let action = session.poll_action();
    assert!(session.poll_transmit().is_none() && session.poll_action().is_none());
    match frame::decode::<v1::ClientFrame>(Bytes::copy_from_slice(body)) {
        Err(_) => {
            assert_ended(&session, ErrorCode::FrameMalformed);
            assert!(reply.is_some() && action.is_none());
        }
        Ok(request) if request.request_id == 0 => {
            assert_ended(&session, ErrorCode::RequestIdZero);
            assert!(reply.is_some() && action.is_none());
        }
        Ok(request) => match (reply, action) {
            (Some(reply), None) => check_reply(&session, request.request_id, &reply),
            (None, Some(Action::Execute { ticket, command })) => {
                check_command(&command, &samples::config().limits);
                session.handle_outcome(NOW, ticket, samples::outcome(&command));
                let goes_on = session.poll_transmit().is_some() || session.poll_action().is_some();
                assert!(goes_on, "an outcome brings a reply or the next step of a log-in");
            }
            (reply, action) => unreachable!("one of both: {reply:?}, {action:?}"),
        },
    }
}

fn assert_ended(session: &Session, code: ErrorCode) {
    assert_eq!(session.closing(), Some(CloseReason::Error(code)));
}

fn check_reply(session: &Session, request_id: u64, reply: &Bytes) {
    let reply: v1::ServerFrame =
        frame::decode(frame::body(reply)).expect("the session encodes frames");
    assert_eq!(reply.reply_to, request_id);
    let is_last = match reply.body {
        Some(server_frame::Body::Error(error)) => scope_of(error.code) == Scope::Connection,
        Some(_) => false,
        None => unreachable!("every frame has a body"),
    };
    assert_eq!(session.closing().is_some(), is_last);
}

/// A WebSocket's session in phase Connected, Greeted or Authenticated.
fn session_in_phase(phase: u8) -> Session {
    let config = Arc::new(samples::config());
    let mut session = Session::new(config, samples::web_socket(false), samples::SERVER_NONCE, NOW);
    let requests = [
        client_frame::Body::Hello(samples::hello()),
        client_frame::Body::DeviceLogin(samples::device_login()),
    ];
    for body in requests.into_iter().take(usize::from(phase)) {
        let wire = frame::encode(&samples::frame(1, body));
        session.handle_message(NOW, frame::body(&wire));
        while let Some(Action::Execute { ticket, command }) = session.poll_action() {
            session.handle_outcome(NOW, ticket, samples::outcome(&command));
        }
        assert!(session.poll_transmit().is_some());
    }
    session
}
