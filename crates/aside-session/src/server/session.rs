//! The session itself: what goes in and what comes out. How it gets there is in `flow`.

mod flow;

use std::{borrow::Cow, collections::VecDeque, fmt, mem, sync::Arc};

use aside_proto::{
    id::{DeviceId, UserId},
    v1,
};
use bytes::Bytes;

use super::{
    Action, Config, Outcome, Refusal, Ticket, Transport,
    admission::Attempts,
    hello::Connected,
    input::{Input, Message},
    phase::Phase,
    queues::{Outbox, Waiting},
    slots::Slots,
    timers::{Timer, Timers},
};
use crate::Now;

/// The server's side of one connection. See the [module](super) for how to drive it.
pub struct Session {
    config: Arc<Config>,
    transport: Transport,
    server_nonce: [u8; 32],
    /// When the last input came.
    now: Now,
    phase: Phase,
    intake: Intake,
    input: Input,
    waiting: Waiting,
    slots: Slots,
    /// The request whose outcome decides how those behind it are judged.
    alone: Option<Ticket>,
    attempts: Attempts,
    timers: Timers,
    actions: VecDeque<Action>,
    outbox: Outbox,
    identity: Option<(UserId, DeviceId)>,
    closed: Option<CloseReason>,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer ended the connection, and everything it had sent whole was answered (CLOSE-002).
    Peer,
    /// An error of scope connection, which was the last frame (ERR-003).
    Error(v1::ErrorCode),
}

impl CloseReason {
    /// The status of the WebSocket Close frame that follows (WS-009).
    #[must_use]
    pub const fn websocket_status(self) -> u16 {
        match self {
            Self::Peer => 1000,
            Self::Error(v1::ErrorCode::ShuttingDown) => 1001,
            Self::Error(v1::ErrorCode::NotBinary) => 1003,
            Self::Error(v1::ErrorCode::FrameTooLarge) => 1009,
            Self::Error(_) => 1008,
        }
    }
}

/// Whether requests are taken off the input.
enum Intake {
    /// As they come.
    Open,
    /// Those that had come whole when the peer ended its side; then the session ends.
    Finishing,
    /// None. Once the replies owed have left, this error is the last frame.
    Ended(v1::ErrorCode, Bytes),
}

// Inputs.
impl Session {
    /// A session over a transport that stands. `now` is when the connection was accepted: the time to authenticate runs
    /// from it (LIM-001). `server_nonce` is fresh from a cryptographic random source (HELLO-008).
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        transport: Transport,
        server_nonce: [u8; 32],
        now: Now,
    ) -> Self {
        let limits = &config.limits;
        let mut timers = Timers::default();
        timers.arm(Timer::Handshake, now.monotonic_ms, limits.handshake_timeout_ms.into());
        timers.arm(Timer::Idle, now.monotonic_ms, limits.idle_timeout_ms.into());
        let input = Input::new(&transport, limits.max_frame_bytes_unauthenticated as usize);
        Self {
            config,
            transport,
            server_nonce,
            now,
            phase: Phase::Connected(Connected),
            intake: Intake::Open,
            input,
            waiting: Waiting::default(),
            slots: Slots::default(),
            alone: None,
            attempts: Attempts::default(),
            timers,
            actions: VecDeque::new(),
            outbox: Outbox::default(),
            identity: None,
            closed: None,
        }
    }

    /// Takes bytes of the TLS stream, however they are cut (FRAME-007). Once the session has ended its intake they have
    /// no effect (CLOSE-005).
    pub fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        self.now = now;
        if matches!(self.intake, Intake::Open) {
            self.input.extend(bytes);
            self.advance();
        }
    }

    /// Takes a binary WebSocket message, whole (WS-008).
    pub fn handle_message(&mut self, now: Now, message: Bytes) {
        self.handle_websocket(now, Message::Binary(message));
    }

    /// Learns of a WebSocket message longer than [`frame_limit`](Self::frame_limit), which the transport did not gather:
    /// FRAME_TOO_LARGE (WS-006). `length` is as much of it as was announced or came.
    pub fn handle_oversized(&mut self, now: Now, length: usize) {
        self.handle_websocket(now, Message::Oversized(length));
    }

    /// Learns of a text message: NOT_BINARY (WS-005).
    pub fn handle_text(&mut self, now: Now) {
        self.handle_websocket(now, Message::Text);
    }

    /// Learns that the peer ended its side in order: a close_notify, or a WebSocket Close frame. What it sent whole
    /// before is answered; then the session is over (CLOSE-002). A connection that broke instead is dropped with its
    /// session (CLOSE-003).
    pub fn handle_eof(&mut self, now: Now) {
        self.now = now;
        if matches!(self.intake, Intake::Open) {
            self.intake = Intake::Finishing;
            self.advance();
        }
    }

    /// Takes the outcome of a command. It has no effect if its request is no longer of interest.
    pub fn handle_outcome(&mut self, now: Now, ticket: Ticket, outcome: Outcome) {
        self.now = now;
        if self.slots.request_id(ticket).is_none() {
            return;
        }
        if self.alone == Some(ticket) {
            self.alone = None;
        }
        let phase = self.phase.take();
        let (phase, verdict) = phase.handle_outcome(&self.context(), outcome);
        self.phase = phase;
        if let (Phase::Authenticated(authenticated), None) = (&self.phase, self.identity) {
            self.identity = Some((authenticated.user_id, authenticated.device_id));
            self.timers.disarm(Timer::Handshake);
            if let Some(grant) = authenticated.grant {
                let left_ms = grant.expires_ms.saturating_sub(now.unix_ms);
                self.timers.arm(Timer::Token, now.monotonic_ms, left_ms);
            }
            self.input.set_limit(self.config.limits.max_frame_bytes as usize);
        }
        self.settle(ticket, verdict);
        self.advance();
    }

    /// Acts on the deadline that has come, if one has. The error of a timeout does not wait for outcomes.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        if self.closed.is_some() {
            return;
        }
        let code = match self.timers.expired(now.monotonic_ms) {
            Some(Timer::Handshake) => v1::ErrorCode::HandshakeTimeout,
            Some(Timer::Idle) => v1::ErrorCode::IdleTimeout,
            Some(Timer::Token) => {
                self.timers.disarm(Timer::Token);
                return self.close(v1::ErrorCode::DeviceIsRevoked, "The token has expired.", 0);
            }
            None => return,
        };
        match mem::replace(&mut self.intake, Intake::Finishing) {
            // It was ending with an error, and a command kept it waiting.
            Intake::Ended(code, frame) => self.finish_with(code, frame),
            Intake::Open | Intake::Finishing => {
                self.finish_with(code, Refusal::of(code).into_frame(0));
            }
        }
    }

    fn handle_websocket(&mut self, now: Now, message: Message) {
        self.now = now;
        if matches!(self.intake, Intake::Open) {
            self.input.push(message);
            self.advance();
        }
    }
}

// Commands.
impl Session {
    /// Ends the session with an error of scope connection, once the commands handed out have their outcomes and the
    /// replies have left (CLOSE-004, DEV-005). Requests not begun have no effect. If the session is ending already, that
    /// stands.
    pub fn close(
        &mut self,
        code: v1::ErrorCode,
        message: impl Into<Cow<'static, str>>,
        retry_after_ms: u64,
    ) {
        if self.closed.is_some() || matches!(self.intake, Intake::Ended(..)) {
            return;
        }
        let refusal = Refusal { retry_after_ms, ..Refusal::new(code, message) };
        self.waiting = Waiting::default();
        self.end(refusal, 0);
        self.advance();
    }
}

// Outputs.
impl Session {
    /// The next frame to send, length included; a WebSocket carries its [`frame::body`](aside_proto::frame::body).
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        let was_full = self.outbox.bytes() >= flow::MAX_UNSENT_BYTES;
        let frame = self.outbox.pop()?;
        if was_full && self.outbox.bytes() < flow::MAX_UNSENT_BYTES {
            self.advance();
        }
        Some(frame)
    }

    /// The next thing for the driver to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), in milliseconds of [`Now::monotonic_ms`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<u64> {
        if self.closed.is_some() { None } else { self.timers.next() }
    }
}

// Getters.
impl Session {
    /// Whether the driver is to read from the transport. False while as many requests are unanswered as may be, and once
    /// the session is ending.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        matches!(self.intake, Intake::Open) && self.has_room()
    }

    /// Why the session is over, once everything it has to send is in [`poll_transmit`](Self::poll_transmit). The driver
    /// then sends that, ends its side, and reads and discards for a bounded time (CLOSE-001).
    #[must_use]
    pub fn closing(&self) -> Option<CloseReason> {
        self.closed
    }

    /// Who is logged in: from when Authenticated is in `poll_transmit` on, also while closing.
    #[must_use]
    pub fn identity(&self) -> Option<(UserId, DeviceId)> {
        self.identity
    }

    /// Whether events may be sent now, behind what is in `poll_transmit`: authenticated, and not ending.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.identity.is_some()
            && self.closed.is_none()
            && !matches!(self.intake, Intake::Ended(..))
    }

    /// The greatest body taken now, in bytes, for WebSocket libraries that check it themselves.
    #[must_use]
    pub fn frame_limit(&self) -> usize {
        let limits = &self.config.limits;
        let limit = match self.identity {
            Some(_) => limits.max_frame_bytes,
            None => limits.max_frame_bytes_unauthenticated,
        };
        limit as usize
    }

    /// Bytes held of requests and replies.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn held_bytes(&self) -> usize {
        self.input.held_bytes()
            + self.waiting.bytes()
            + self.slots.held_bytes()
            + self.outbox.bytes()
    }
}

impl fmt::Debug for Session {
    /// Where the session is; not what it holds, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("phase", &self.phase.public())
            .field("identity", &self.identity)
            .field("unanswered", &(self.slots.len() + self.waiting.len()))
            .field("closing", &self.closed)
            .finish_non_exhaustive()
    }
}
