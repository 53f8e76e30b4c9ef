//! Sequences of operations on a session, with a model of what it owes.

use std::{collections::VecDeque, sync::Arc};

use aside_proto::{
    error::{Scope, scope_of},
    frame::{self, Decoder},
    limits::MIN_FRAME_BYTES,
    v1::{self, ErrorCode, client_frame, server_frame},
};
use bytes::Bytes;

use super::{Reader, check_command};
use crate::{
    Now,
    server::{
        Action, CloseReason, Command, DeviceState, Outcome, Refusal, Session, Ticket,
        samples::{self, NOW},
    },
};

/// Most bytes fed at once.
const MAX_CHUNK_BYTES: usize = 32 * 1024;
/// What a session may hold: part of a frame and a chunk not taken, requests and replies that wait, a reply too many, and
/// the replies of four fetches and of the others in flight.
const MAX_HELD_BYTES: usize = {
    let frame = MIN_FRAME_BYTES as usize;
    (frame + MAX_CHUNK_BYTES) + (64 * 1024 + frame) + (256 * 1024 + frame) + 4 * frame + 8 * 1024
};

/// Fuzzes a session: decodes operations of the peer and the driver from the bytes, carries them out, and checks after each
/// that replies come in order, that no more is worked on and held than may be, and that the last frame is the last; at
/// the end, that everything owed was answered.
pub fn session_operations(data: &[u8]) {
    let mut input = Reader(data);
    let mut world = World::new(&mut input);
    while !input.is_empty() {
        world.step(&mut input);
        world.check();
    }
    world.finish();
}

struct World {
    session: Session,
    limits: v1::Limits,
    now: Now,
    web_socket: bool,
    next_id: u64,
    /// Splits the stream as the session should; none once the stream is broken.
    reference: Option<Decoder>,
    /// Requests that came whole, and are not answered, in order.
    owed: VecDeque<Owed>,
    commands: Vec<(Ticket, Command)>,
    /// A deadline came: the last frame waits for no command any more.
    timed_out: bool,
    /// The last frame has been sent.
    ended: bool,
}

struct Owed {
    request_id: u64,
    is_ping: bool,
}

impl World {
    fn new(input: &mut Reader<'_>) -> Self {
        let flags = input.byte();
        let web_socket = flags & 1 != 0;
        let mut config = samples::config();
        if flags & 2 != 0 {
            config.registration = v1::RegistrationMode::Closed;
        }
        config.limits.max_in_flight = 1 + u32::from(flags >> 5);
        let limits = config.limits;
        let transport =
            if web_socket { samples::web_socket(flags & 4 != 0) } else { samples::tls() };
        let mut world = Self {
            session: Session::new(Arc::new(config), transport, samples::SERVER_NONCE, NOW),
            limits,
            now: NOW,
            web_socket,
            next_id: 1,
            reference: Some(Decoder::new(usize::MAX)),
            owed: VecDeque::new(),
            commands: Vec::new(),
            timed_out: false,
            ended: false,
        };
        if flags & 8 != 0 {
            world.request(client_frame::Body::Hello(samples::hello()));
        }
        if flags & 16 != 0 {
            world.request(client_frame::Body::DeviceLogin(samples::device_login()));
            world.answer_all();
        }
        world
    }

    fn step(&mut self, input: &mut Reader<'_>) {
        match input.byte() % 20 {
            0 => {
                let length = usize::from(input.byte());
                self.feed(input.bytes(length));
            }
            1 => {
                let length = usize::from(input.byte());
                let body = input.bytes(length);
                self.feed_body(body);
            }
            2 => self.request(client_frame::Body::Hello(samples::hello())),
            3 => self.request(client_frame::Body::Register(samples::register())),
            4 => self.request(client_frame::Body::PasswordLogin(samples::password_login())),
            5 => self.request(client_frame::Body::DeviceLogin(samples::device_login())),
            6..=8 => self.known_request(input),
            9 => self.request(samples::ping(input.bytes(65).to_vec())),
            10 => self.flood(input.byte()),
            11..=13 => self.answer(input),
            14 => self.pass_time(input),
            15 => self.drain(usize::from(input.byte())),
            16 => self.drain(usize::MAX),
            17 => self.session.handle_eof(self.now),
            18 => self.close(input.byte()),
            _ => self.websocket_oddity(input.byte()),
        }
        self.poll();
    }

    fn check(&self) {
        let session = &self.session;
        assert!(self.commands.len() <= self.limits.max_in_flight as usize);
        assert!(session.held_bytes() <= MAX_HELD_BYTES, "{} bytes", session.held_bytes());
        assert_eq!(session.closing().is_some(), session.next_timeout().is_none());
        assert!(!session.is_live() || session.identity().is_some());
        if session.closing().is_some() {
            assert!(!session.wants_read() && !session.is_live());
        }
        if let Some(identity) = session.identity() {
            assert_eq!(identity, (samples::USER, samples::DEVICE));
        }
    }

    /// Whatever happened, a session whose commands have their outcomes and whose frames are taken ends with its peer.
    fn finish(mut self) {
        self.session.handle_eof(self.now);
        while self.session.closing().is_none() {
            let before = (self.owed.len(), self.commands.len());
            self.drain(usize::MAX);
            self.answer_all();
            self.check();
            let idle = before == (self.owed.len(), self.commands.len());
            assert!(!idle || self.session.closing().is_some(), "the session is stuck");
        }
        self.drain(usize::MAX);
        match self.session.closing() {
            Some(CloseReason::Peer) => {
                assert!(!self.ended && self.owed.is_empty(), "everything owed was answered");
            }
            Some(CloseReason::Error(_)) => assert!(self.ended, "the error was sent"),
            None => unreachable!("the loop ends with the session"),
        }
        assert_eq!(self.session.held_bytes(), 0);
    }
}

// The peer.
impl World {
    fn request(&mut self, body: client_frame::Body) {
        let request = samples::frame(self.next_id, body);
        self.next_id += 1;
        self.feed_body(&frame::body(&frame::encode(&request)));
    }

    fn known_request(&mut self, input: &mut Reader<'_>) {
        let mut requests = samples::requests();
        let index = usize::from(input.byte()) % requests.len();
        self.request(requests.swap_remove(index));
    }

    /// Pings, as many as are taken.
    fn flood(&mut self, count: u8) {
        for _ in 0..count {
            self.request(samples::ping(vec![0; 64]));
        }
    }

    /// A whole body, or on a stream perhaps the middle of one.
    fn feed_body(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len()).expect("bodies are small here");
        let wire = [&length.to_be_bytes()[..], body].concat();
        match self.web_socket {
            true => self.feed_message(body),
            false => self.feed(&wire),
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        if self.web_socket {
            return self.feed_message(bytes);
        }
        if !self.session.wants_read() {
            return;
        }
        assert!(bytes.len() <= MAX_CHUNK_BYTES);
        self.session.handle_bytes(self.now, bytes);
        let Some(mut reference) = self.reference.take() else { return };
        reference.extend(bytes);
        self.reference = loop {
            match reference.next_body() {
                Ok(Some(body)) if self.owe(&body) => {}
                Ok(None) => break Some(reference),
                Ok(Some(_)) | Err(_) => break None,
            }
        };
    }

    fn feed_message(&mut self, body: &[u8]) {
        if !self.session.wants_read() {
            return;
        }
        let body = Bytes::copy_from_slice(body);
        self.session.handle_message(self.now, body.clone());
        if self.reference.is_some() && !self.owe(&body) {
            self.reference = None;
        }
    }

    /// Notes a request, unless it breaks the connection.
    fn owe(&mut self, body: &Bytes) -> bool {
        let request = match frame::decode::<v1::ClientFrame>(body.clone()) {
            Ok(request) if request.request_id != 0 && !body.is_empty() => request,
            _ => return false,
        };
        let is_ping = matches!(request.body, Some(client_frame::Body::Ping(_)));
        self.owed.push_back(Owed { request_id: request.request_id, is_ping });
        true
    }

    fn websocket_oddity(&mut self, kind: u8) {
        if !self.web_socket || !self.session.wants_read() {
            return;
        }
        self.reference = None;
        match kind % 2 {
            0 => self.session.handle_text(self.now),
            _ => self.session.handle_oversized(self.now, usize::MAX),
        }
    }
}

// The driver.
impl World {
    fn poll(&mut self) {
        while let Some(Action::Execute { ticket, command }) = self.session.poll_action() {
            check_command(&command, &self.limits);
            assert!(self.commands.iter().all(|(other, _)| *other < ticket), "in order");
            self.commands.push((ticket, command));
        }
    }

    fn answer(&mut self, input: &mut Reader<'_>) {
        let (which, kind) = (input.byte(), input.byte());
        if self.commands.is_empty() {
            return;
        }
        let (ticket, command) = self.commands.remove(usize::from(which) % self.commands.len());
        let outcome = match (kind % 8, &command) {
            (0, _) => Outcome::Refused(Refusal::after(ErrorCode::RateLimited, 0)),
            (1, _) => Outcome::Refused(Refusal::authentication_failed()),
            (2, _) if kind > 0x80 => Outcome::Refused(Refusal::of(ErrorCode::DeviceIsRevoked)),
            (3, Command::FindDevice { .. }) => Outcome::Device(None),
            (4, Command::FindDevice { .. }) => {
                Outcome::Device(Some(samples::device(DeviceState::Expired)))
            }
            (_, Command::Fetch { .. }) => long_reply(),
            _ => samples::outcome(&command),
        };
        self.session.handle_outcome(self.now, ticket, outcome);
        // Given twice, it counts once.
        self.poll();
        if self.commands.iter().all(|(other, _)| *other != ticket) {
            self.session.handle_outcome(self.now, ticket, samples::outcome(&command));
        }
    }

    fn answer_all(&mut self) {
        self.poll();
        while let Some((ticket, command)) = self.commands.pop() {
            self.session.handle_outcome(self.now, ticket, samples::outcome(&command));
            self.poll();
        }
    }

    fn pass_time(&mut self, input: &mut Reader<'_>) {
        let step_ms = u64::from(input.byte()).pow(2) * 10;
        self.now.monotonic_ms += step_ms;
        self.now.unix_ms += step_ms;
        let due = self.session.next_timeout().is_some_and(|at| at <= self.now.monotonic_ms);
        let before = self.session.closing();
        self.session.handle_timeout(self.now);
        if due {
            self.timed_out = true;
            assert!(self.session.closing().is_some());
        } else {
            assert_eq!(self.session.closing(), before);
        }
    }

    fn close(&mut self, kind: u8) {
        let codes = [ErrorCode::ShuttingDown, ErrorCode::DeviceIsRevoked];
        self.session.close(codes[usize::from(kind) % codes.len()], "The end.", 1);
    }

    /// Takes frames, and checks each against what is owed.
    fn drain(&mut self, most: usize) {
        for _ in 0..most {
            let Some(wire) = self.session.poll_transmit() else { break };
            assert!(!self.ended, "a frame after the last");
            let reply: v1::ServerFrame =
                frame::decode(frame::body(&wire)).expect("the session encodes frames");
            let body = reply.body.expect("every frame has a body");
            self.settle(reply.reply_to, &body);
        }
    }

    fn settle(&mut self, reply_to: u64, body: &server_frame::Body) {
        if let server_frame::Body::Pong(_) = body {
            let ping = self.owed.iter().position(|o| o.is_ping && o.request_id == reply_to);
            self.owed.remove(ping.expect("a pong has its ping"));
            return;
        }
        self.ended = match body {
            server_frame::Body::Error(error) => scope_of(error.code) == Scope::Connection,
            _ => false,
        };
        if self.ended && self.timed_out {
            // The error of a request leaves ahead of replies that then never come.
            self.owed.clear();
        } else if reply_to != 0 {
            let next = self.owed.pop_front().expect("a reply has its request");
            assert_eq!(next.request_id, reply_to, "replies come in the order of requests");
        }
        assert!(reply_to != 0 || self.ended, "a session sends no events");
    }
}

/// A reply of nearly the greatest size.
fn long_reply() -> Outcome {
    let payload = Bytes::from(vec![0; MIN_FRAME_BYTES as usize - 64]);
    let entries = vec![v1::Entry { payload, ..Default::default() }];
    let fetched = v1::Fetched { entries, ..Default::default() };
    Outcome::Reply(server_frame::Body::Fetched(fetched))
}
