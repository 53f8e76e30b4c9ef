//! The session against a client and a store that the test plays, with simulated time.

mod arguments;
mod closing;
mod hello;
mod login;
mod private;
mod requests;
mod timers;
mod tokens;

use std::{collections::VecDeque, sync::Arc};

use aside_proto::{
    frame,
    v1::{self, client_frame, server_frame::Body},
};
use bytes::Bytes;

use super::{
    Action, Command, Config, Outcome, Session, Ticket, Transport,
    samples::{self, NOW},
};
use crate::Now;

/// Both ends of a session: the client's bytes and the driver's commands.
struct Peer {
    session: Session,
    now: Now,
    web_socket: bool,
    /// Handed out and without an outcome.
    commands: VecDeque<(Ticket, Command)>,
}

impl Peer {
    fn new() -> Self {
        Self::with(samples::config(), samples::tls())
    }

    fn with(config: Config, transport: Transport) -> Self {
        let web_socket = matches!(transport, Transport::WebSocket { .. });
        let session = Session::new(Arc::new(config), transport, samples::SERVER_NONCE, NOW);
        Self { session, now: NOW, web_socket, commands: VecDeque::new() }
    }

    fn greeted() -> Self {
        let mut peer = Self::new();
        peer.greet();
        peer
    }

    fn authenticated() -> Self {
        let mut peer = Self::greeted();
        let reply = peer.ask(2, client_frame::Body::DeviceLogin(samples::device_login()));
        assert!(matches!(reply, Body::Authenticated(_)), "{reply:?}");
        peer
    }

    fn greet(&mut self) -> v1::Greeted {
        match self.ask(1, client_frame::Body::Hello(samples::hello())) {
            Body::Greeted(greeted) => greeted,
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, frame: &v1::ClientFrame) {
        let bytes = frame::encode(frame);
        if self.web_socket {
            self.session.handle_message(self.now, frame::body(&bytes));
        } else {
            self.session.handle_bytes(self.now, &bytes);
        }
    }

    fn send_request(&mut self, request_id: u64, body: client_frame::Body) {
        self.send(&samples::frame(request_id, body));
    }

    /// Sends a request, lets its commands go well, and takes the one reply.
    fn ask(&mut self, request_id: u64, body: client_frame::Body) -> Body {
        self.send_request(request_id, body);
        self.run();
        self.reply_to(request_id)
    }

    /// Lets all commands go well.
    fn run(&mut self) {
        while let Some((ticket, command)) = self.next_command() {
            self.session.handle_outcome(self.now, ticket, samples::outcome(&command));
        }
    }

    fn poll(&mut self) {
        while let Some(Action::Execute { ticket, command }) = self.session.poll_action() {
            self.commands.push_back((ticket, command));
        }
    }

    fn next_command(&mut self) -> Option<(Ticket, Command)> {
        self.poll();
        self.commands.pop_front()
    }

    /// Answers the oldest command.
    fn answer(&mut self, outcome: Outcome) {
        let (ticket, _) = self.next_command().expect("a command was handed out");
        self.session.handle_outcome(self.now, ticket, outcome);
    }

    /// Everything sent since the last call.
    fn replies(&mut self) -> Vec<(u64, Body)> {
        std::iter::from_fn(|| self.session.poll_transmit()).map(decode).collect()
    }

    /// The ids of the requests answered since the last call.
    fn answered(&mut self) -> Vec<u64> {
        self.replies().into_iter().map(|(reply_to, _)| reply_to).collect()
    }

    /// The one frame sent since the last call: a reply to this request.
    fn reply_to(&mut self, request_id: u64) -> Body {
        let mut replies = self.replies();
        assert_eq!(replies.len(), 1, "{replies:?}");
        let (reply_to, body) = replies.remove(0);
        assert_eq!(reply_to, request_id);
        body
    }

    /// The one frame sent since the last call: an error, by its code and field.
    fn refusal(&mut self, request_id: u64) -> (v1::ErrorCode, String) {
        match self.reply_to(request_id) {
            Body::Error(error) => (error.code(), error.field),
            other => panic!("{other:?}"),
        }
    }

    fn at(&mut self, monotonic_ms: u64) -> &mut Self {
        self.now.monotonic_ms = monotonic_ms;
        self
    }

    fn time_out_at(&mut self, monotonic_ms: u64) {
        self.at(monotonic_ms);
        self.session.handle_timeout(self.now);
    }
}

fn decode(wire: Bytes) -> (u64, Body) {
    let frame: v1::ServerFrame = frame::decode(frame::body(&wire)).expect("the session encodes");
    assert_eq!(wire[..4], u32::to_be_bytes((wire.len() - 4) as u32));
    (frame.reply_to, frame.body.expect("every frame has a body"))
}
