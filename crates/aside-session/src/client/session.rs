//! One connection, from Hello to its end.

use std::collections::VecDeque;

use aside_crypto::SigningKey;
use aside_proto::{
    error::{Scope, scope_of},
    frame::{self, Decoder},
    id::IdempotencyKey,
    limits::{CLIENT_MAX_FRAME_BYTES, MIN_FRAME_BYTES_UNAUTHENTICATED, NONCE_BYTES},
    request::{self, RequestInfo},
    v1::{self, client_frame, server_frame},
};
use bytes::Bytes;

use super::{
    event::{CloseReason, Event, RequestError, RequestId},
    greeting::{Config, Connected, Greeted, Violation},
    live::Live,
    login::{Login, LoginError},
};
use crate::Now;

/// How long a request may go unanswered, with nothing else coming either, before the connection is given up.
const ANSWER_TIMEOUT_MS: u64 = 30_000;
/// Requests in flight, whatever more a server allows: each costs memory here too.
const MAX_IN_FLIGHT: usize = 256;

/// How frames travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// With their length, on a TLS stream: [`Session::handle_bytes`].
    Stream,
    /// As messages of a WebSocket: [`Session::handle_message`]. The driver strips the length of what it sends with
    /// [`frame::body`].
    Messages,
}

/// One connection, without its I/O. See [the module](super) for how to drive it.
#[derive(Debug)]
pub struct Session {
    input: Input,
    phase: Phase,
    last_id: u64,
    in_flight: VecDeque<(RequestId, Asked)>,
    transmit: VecDeque<Bytes>,
    events: VecDeque<Event>,
    sent_ms: u64,
    answer_by_ms: Option<u64>,
    ended: bool,
}

#[derive(Debug)]
enum Input {
    Stream(Decoder),
    Messages,
}

/// ```text
/// Connected ──Greeted──► Greeted ──Authenticated──► Authenticated
///     └──────────────────────┴────────────────────────────┴──► Closed
/// ```
#[derive(Debug)]
enum Phase {
    Connected(Box<Connected>),
    Greeted(Box<Greeted>),
    Authenticated(v1::Limits),
    Closed,
}

#[derive(Debug, Clone, Copy)]
enum Asked {
    Hello,
    LogIn,
    Ping,
    Request(&'static RequestInfo),
}

impl Session {
    /// A connection whose TLS (and WebSocket) handshake is done. `client_nonce` is fresh from a cryptographic random source.
    #[must_use]
    pub fn new(
        config: Config,
        framing: Framing,
        client_nonce: [u8; NONCE_BYTES],
        now: Now,
    ) -> Self {
        let connected = Connected::new(config, client_nonce);
        let hello = connected.hello();
        let mut session = Self {
            input: match framing {
                Framing::Stream => Input::Stream(Decoder::new(CLIENT_MAX_FRAME_BYTES)),
                Framing::Messages => Input::Messages,
            },
            phase: Phase::Connected(Box::new(connected)),
            last_id: 0,
            in_flight: VecDeque::new(),
            transmit: VecDeque::new(),
            events: VecDeque::new(),
            sent_ms: now.monotonic_ms,
            answer_by_ms: None,
            ended: false,
        };
        session.send(now, Asked::Hello, frame_of(None, client_frame::Body::Hello(hello)));
        session
    }

    /// Whether [`request`](Self::request) is possible now (HELLO-013).
    #[must_use]
    pub fn may_request(&self) -> bool {
        let Phase::Authenticated(limits) = &self.phase else { return false };
        self.in_flight.len() < MAX_IN_FLIGHT.min(limits.max_in_flight as usize)
    }

    /// Whether the connection is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ended
    }

    /// Takes bytes off a TLS stream, cut in any way (FRAME-007).
    pub fn handle_bytes(&mut self, now: Now, bytes: &[u8]) {
        if let Input::Stream(decoder) = &mut self.input {
            decoder.extend(bytes);
        }
        while !self.is_closed() {
            let Input::Stream(decoder) = &mut self.input else { return };
            match decoder.next_body() {
                Ok(Some(body)) => self.handle_body(now, body),
                Ok(None) => return,
                Err(error) => self.end(CloseReason::Violation(error.into())),
            }
        }
    }

    /// Takes one binary message of a WebSocket.
    pub fn handle_message(&mut self, now: Now, body: Bytes) {
        if self.is_closed() {
            return;
        }
        match frame::check_body_length(body.len(), CLIENT_MAX_FRAME_BYTES) {
            Ok(()) => self.handle_body(now, body),
            Err(error) => self.end(CloseReason::Violation(error.into())),
        }
    }

    /// The stream ended; `clean` if with close_notify or a Close frame.
    pub fn handle_eof(&mut self, clean: bool) {
        self.end(CloseReason::Ended { clean });
    }

    /// A time that [`next_timeout`](Self::next_timeout) gave has come, or any other.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.answer_by_ms.is_some_and(|by| by <= now.monotonic_ms) {
            self.end(CloseReason::Unresponsive);
        } else if self.ping_at_ms().is_some_and(|at| at <= now.monotonic_ms) {
            let ping = client_frame::Body::Ping(v1::Ping::default());
            self.send(now, Asked::Ping, frame_of(None, ping));
        }
    }

    /// Logs in; the outcome is [`Event::Authenticated`] or [`Event::LoginRefused`].
    ///
    /// # Errors
    /// If the phase is not Greeted, a log-in is under way, or the server does not accept this connection's binding.
    pub fn log_in(
        &mut self,
        now: Now,
        login: &Login<'_>,
        key: &SigningKey,
    ) -> Result<(), LoginError> {
        let Phase::Greeted(greeted) = &self.phase else { return Err(RequestError::Phase.into()) };
        if self.in_flight.iter().any(|(_, asked)| matches!(asked, Asked::LogIn)) {
            return Err(RequestError::InFlight.into());
        }
        let (effect, body) = greeted.log_in(login, key)?;
        let frame = frame_of(effect, body);
        self.check_size(&frame)?;
        self.send(now, Asked::LogIn, frame);
        Ok(())
    }

    /// Sends a request; [`Event::Reply`] answers it, unless the connection ends first. A mutating request has the key of the
    /// effect that is meant, the same for every retry (IDEM-001).
    ///
    /// # Errors
    /// [`RequestError`]; nothing was sent.
    pub fn request(
        &mut self,
        now: Now,
        effect: Option<IdempotencyKey>,
        body: client_frame::Body,
    ) -> Result<RequestId, RequestError> {
        let info = request::info(&body);
        if !matches!(self.phase, Phase::Authenticated(_))
            || !info.phases.contains(&request::Phase::Authenticated)
        {
            return Err(RequestError::Phase);
        }
        if !self.may_request() {
            return Err(RequestError::InFlight);
        }
        if info.mutating != effect.is_some() {
            return Err(RequestError::Key(info.name));
        }
        let frame = frame_of(effect, body);
        self.check_size(&frame)?;
        Ok(self.send(now, Asked::Request(info), frame))
    }

    /// Ends the connection from this side.
    pub fn close(&mut self) {
        self.end(CloseReason::Requested);
    }

    /// The next frame to send, its length included.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmit.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, in monotonic milliseconds.
    #[must_use]
    pub fn next_timeout(&self) -> Option<u64> {
        [self.answer_by_ms, self.ping_at_ms()].into_iter().flatten().min()
    }

    /// Requests in flight, and bytes that were taken and are no whole frame.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn held(&self) -> (usize, usize) {
        let bytes = match &self.input {
            Input::Stream(decoder) => decoder.buffered(),
            Input::Messages => 0,
        };
        (self.in_flight.len(), bytes)
    }

    /// LIM-003: when nothing was sent for a third of the idle timeout. A ping in flight is enough.
    fn ping_at_ms(&self) -> Option<u64> {
        let limits = match &self.phase {
            Phase::Greeted(greeted) => &greeted.greeting.limits,
            Phase::Authenticated(limits) => limits,
            Phase::Connected(_) | Phase::Closed => return None,
        };
        let pinging = self.in_flight.iter().any(|(_, asked)| matches!(asked, Asked::Ping));
        (!pinging).then(|| self.sent_ms + u64::from(limits.idle_timeout_ms / 3).max(1))
    }

    fn check_size(&self, frame: &v1::ClientFrame) -> Result<(), RequestError> {
        let limit = match &self.phase {
            Phase::Greeted(greeted) => greeted.greeting.limits.max_frame_bytes_unauthenticated,
            Phase::Authenticated(limits) => limits.max_frame_bytes,
            Phase::Connected(_) | Phase::Closed => MIN_FRAME_BYTES_UNAUTHENTICATED,
        };
        // The request id is added later, and takes at most 11 bytes.
        let (bytes, limit) = (prost::Message::encoded_len(frame) + 11, limit as usize);
        if bytes > limit { Err(RequestError::TooLarge { bytes, limit }) } else { Ok(()) }
    }

    fn send(&mut self, now: Now, asked: Asked, mut frame: v1::ClientFrame) -> RequestId {
        self.last_id += 1;
        frame.request_id = self.last_id;
        let id = RequestId(self.last_id);
        self.in_flight.push_back((id, asked));
        self.transmit.push_back(frame::encode(&frame));
        self.sent_ms = now.monotonic_ms;
        self.answer_by_ms.get_or_insert(now.monotonic_ms + ANSWER_TIMEOUT_MS);
        id
    }

    fn handle_body(&mut self, now: Now, body: Bytes) {
        let handled = frame::decode::<v1::ServerFrame>(body)
            .map_err(|error| CloseReason::Violation(error.into()))
            .and_then(|frame| match frame.reply_to {
                0 => self.handle_event(frame.body),
                id => self.handle_reply(RequestId(id), frame.body),
            });
        if let Err(reason) = handled {
            return self.end(reason);
        }
        let waiting = !self.in_flight.is_empty();
        self.answer_by_ms = waiting.then_some(now.monotonic_ms + ANSWER_TIMEOUT_MS);
    }

    /// REQ-010: what is not known is ignored.
    fn handle_event(&mut self, body: Option<server_frame::Body>) -> Result<(), CloseReason> {
        match body {
            Some(server_frame::Body::Error(error)) if scope_of(error.code) == Scope::Connection => {
                return Err(CloseReason::Refused(Box::new(error)));
            }
            Some(server_frame::Body::EntryAppended(v1::EntryAppended { entry: Some(entry) })) => {
                self.events.push_back(Event::Pushed(entry));
            }
            Some(server_frame::Body::Gap(gap)) => {
                let conversation = gap.conversation_id[..].try_into().map_err(Violation::from)?;
                self.events.push_back(Event::Gap { conversation, head_seq: gap.head_seq });
            }
            Some(server_frame::Body::Invitation(invitation)) => {
                let v1::Invitation { room, inviter_user_id, inviter_handle } = invitation;
                let inviter = inviter_user_id[..].try_into().map_err(Violation::from)?;
                let (room, handle) = (Box::new(room.unwrap_or_default()), inviter_handle);
                self.events.push_back(Event::Invited { room, inviter, handle });
            }
            Some(server_frame::Body::WatermarkMoved(moved)) => {
                let conversation = moved.conversation_id[..].try_into().map_err(Violation::from)?;
                let watermark = moved.watermark.unwrap_or_default().try_into();
                let watermark = watermark.map_err(Violation::from)?;
                self.events.push_back(Event::WatermarkMoved { conversation, watermark });
            }
            Some(server_frame::Body::DeviceLogChanged(changed)) => {
                let user = changed.user_id[..].try_into().map_err(Violation::from)?;
                self.events.push_back(Event::DeviceLogChanged { user, length: changed.length });
            }
            Some(server_frame::Body::InboxItem(item)) => {
                let conversation = item.conversation_id[..].try_into().map_err(Violation::from)?;
                self.events.push_back(Event::InboxItem { conversation });
            }
            Some(server_frame::Body::KeyPackagesLow(low)) => {
                self.events.push_back(Event::KeyPackagesLow { suite: low.suite });
            }
            Some(server_frame::Body::ForkCheckMismatch(fork)) => {
                let conversation = fork.conversation_id[..].try_into().map_err(Violation::from)?;
                let (generation, epoch) = (fork.generation, fork.epoch);
                self.events.push_back(Event::ForkCheckMismatch { conversation, generation, epoch });
            }
            Some(event) => {
                let live = Live::read(event).map_err(Violation::from)?;
                self.events.extend(live.map(Event::Live));
            }
            None => {}
        }
        Ok(())
    }

    fn handle_reply(
        &mut self,
        id: RequestId,
        body: Option<server_frame::Body>,
    ) -> Result<(), CloseReason> {
        let position = self.in_flight.iter().position(|(other, _)| *other == id);
        let Some((_, asked)) = position.and_then(|at| self.in_flight.remove(at)) else {
            return Err(Violation::UnknownReply(id.0).into());
        };
        let Some(body) = body else { return Err(Violation::WrongReply(asked.name()).into()) };
        match body {
            // ERR-007: the range says how far an unknown code reaches.
            server_frame::Body::Error(error) if scope_of(error.code) == Scope::Connection => {
                Err(CloseReason::Refused(Box::new(error)))
            }
            server_frame::Body::Error(error) => self.handle_refusal(id, asked, error),
            body if !asked.is_answered_by(&body) => Err(Violation::WrongReply(asked.name()).into()),
            server_frame::Body::Greeted(greeted) => self.handle_greeted(greeted),
            server_frame::Body::Authenticated(authenticated) => {
                self.handle_authenticated(authenticated)
            }
            server_frame::Body::Pong(_) => Ok(()),
            body => {
                self.events.push_back(Event::Reply { id, result: Ok(body) });
                Ok(())
            }
        }
    }

    fn handle_refusal(
        &mut self,
        id: RequestId,
        asked: Asked,
        error: v1::Error,
    ) -> Result<(), CloseReason> {
        match asked {
            Asked::Hello => return Err(CloseReason::Refused(Box::new(error))),
            Asked::LogIn => self.events.push_back(Event::LoginRefused(error)),
            Asked::Ping => {}
            Asked::Request(_) => self.events.push_back(Event::Reply { id, result: Err(error) }),
        }
        Ok(())
    }

    fn handle_greeted(&mut self, greeted: v1::Greeted) -> Result<(), CloseReason> {
        let Phase::Connected(connected) = std::mem::replace(&mut self.phase, Phase::Closed) else {
            unreachable!("only Hello is answered by Greeted, and it is sent once, in Connected");
        };
        let greeted = connected.handle(greeted)?;
        self.events.push_back(Event::Greeted(Box::new(greeted.greeting.clone())));
        self.phase = Phase::Greeted(Box::new(greeted));
        Ok(())
    }

    fn handle_authenticated(
        &mut self,
        authenticated: v1::Authenticated,
    ) -> Result<(), CloseReason> {
        let Phase::Greeted(greeted) = &self.phase else {
            unreachable!("a log-in is sent in Greeted, one at a time, and nothing else leaves it");
        };
        let limits = greeted.greeting.limits;
        self.events.push_back(Event::Authenticated {
            user_id: authenticated.user_id[..].try_into().map_err(Violation::from)?,
            device_id: authenticated.device_id[..].try_into().map_err(Violation::from)?,
            handle: authenticated.handle,
        });
        self.phase = Phase::Authenticated(limits);
        Ok(())
    }

    fn end(&mut self, reason: CloseReason) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.phase = Phase::Closed;
        self.answer_by_ms = None;
        self.in_flight.clear();
        self.events.push_back(Event::Closed(reason));
    }
}

impl Asked {
    fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::LogIn => "a log-in",
            Self::Ping => "ping",
            Self::Request(info) => info.name,
        }
    }

    fn is_answered_by(self, body: &server_frame::Body) -> bool {
        use server_frame::Body;
        match (self, body) {
            (Self::Hello, Body::Greeted(_))
            | (Self::LogIn, Body::Authenticated(_))
            | (Self::Ping, Body::Pong(_)) => true,
            (Self::Request(info), body) => matches!(
                (info.name, body),
                ("rename", Body::Renamed(_))
                    | ("change_password", Body::PasswordChanged(_))
                    | ("list_devices", Body::Devices(_))
                    | ("revoke_device", Body::DeviceRevoked(_))
                    | ("look_up_devices", Body::DeviceKeys(_))
                    | ("create_room", Body::RoomCreated(_))
                    | ("list_rooms", Body::Rooms(_))
                    | ("join", Body::Joined(_))
                    | ("leave", Body::Left(_))
                    | ("list_members", Body::Members(_))
                    | ("send_message", Body::Sent(_))
                    | ("fetch", Body::Fetched(_))
                    | ("get_head", Body::Head(_))
                    | ("update_room", Body::RoomUpdated(_))
                    | ("invite", Body::Invited(_))
                    | ("set_pin", Body::PinSet(_))
                    | ("list_pins", Body::Pins(_))
                    | ("list_summaries", Body::Summaries(_))
                    | ("mark", Body::Marked(_))
                    | ("list_watermarks", Body::Watermarks(_))
                    | ("set_presence", Body::PresenceSet(_))
                    | ("get_presence", Body::Presences(_))
                    | ("set_typing", Body::TypingSet(_))
                    | ("redact", Body::Redacted(_))
                    | ("search", Body::SearchResults(_))
                    | ("issue_token", Body::TokenIssued(_))
                    | ("list_tokens", Body::Tokens(_))
                    | ("revoke_token", Body::TokenRevoked(_))
                    | ("publish_device_log", Body::DeviceLogPublished(_))
                    | ("fetch_device_logs", Body::DeviceLogs(_))
                    | ("publish_key_packages", Body::KeyPackagesPublished(_))
                    | ("claim_key_packages", Body::KeyPackagesClaimed(_))
                    | ("open_direct", Body::DirectOpened(_))
                    | ("create_group", Body::GroupCreated(_))
                    | ("establish_group", Body::GroupEstablished(_))
                    | ("submit_commit", Body::Committed(_))
                    | ("send_private", Body::Sent(_))
                    | ("set_role", Body::RoleSet(_))
                    | ("reject_commit", Body::CommitRejected(_))
                    | ("get_group_info", Body::GroupInfo(_))
                    | ("fetch_inbox", Body::Inbox(_))
                    | ("ack_inbox", Body::InboxAcked(_))
                    | ("report_fork_check", Body::ForkCheckReported(_))
            ),
            _ => false,
        }
    }
}

/// A frame that has no request id yet.
fn frame_of(effect: Option<IdempotencyKey>, body: client_frame::Body) -> v1::ClientFrame {
    v1::ClientFrame {
        request_id: 0,
        idempotency_key: effect.map(IdempotencyKey::to_bytes).unwrap_or_default(),
        body: Some(body),
    }
}

#[cfg(test)]
mod tests;
