//! How requests flow from the peer to slots, and replies back.
//!
//! ```text
//! bytes ─> input ─> waiting ─> slot ─> command ─> outcome ─> slot's turn ─> outbox
//!            │                   └──────── refusal, reply at once ──┘          ^
//!            └── Ping ────────────────────────── Pong ─────────────────────────┘
//! ```
//!
//! Requests wait only while a log-in or a password change is under way, behind too many bulky ones, or, for those that
//! write, behind those that read, and the other way about (REQ-012). They are taken off the input while they wait, up to bounds, so that a Ping behind them is found (PING-002).

use std::mem;

use aside_proto::{
    error::{self, Scope},
    frame, request,
    v1::{self, client_frame::Body, server_frame},
};
use bytes::Bytes;

use super::{CloseReason, Intake, Session};
use crate::server::{
    Action, Command, Refusal, Ticket, admission, arguments, input,
    phase::{Context, Phase, Verdict},
    queues::Waiting,
    timers::Timer,
};

/// Bytes of replies that may wait for the transport before the session stops taking requests.
pub(super) const MAX_UNSENT_BYTES: usize = 256 * 1024;
/// Bytes of requests taken off the input that may wait; a request is taken while they are below it.
const MAX_WAITING_BYTES: usize = 64 * 1024;
/// Fetches worked on at once: each may hold a reply of the greatest size until its turn.
const MAX_BULKY: usize = 4;

impl Session {
    /// Moves everything as far as it goes: replies whose turn it is, requests that may begin, requests that have come.
    pub(super) fn advance(&mut self) {
        while self.closed.is_none() {
            while let Some(frame) = self.slots.pop() {
                self.outbox.push(frame);
            }
            if let Some(frame) = self.next_to_begin() {
                self.begin(frame);
            } else if matches!(self.intake, Intake::Ended(..)) {
                return self.finish_if_idle();
            } else if self.has_room() {
                match self.input.next_body() {
                    Ok(Some(body)) => self.take(body),
                    Ok(None) => return self.finish_if_idle(),
                    Err(refusal) => self.end(refusal, 0),
                }
            } else {
                return;
            }
        }
    }

    /// Takes a request off the input. A Ping is answered at once; the others get in line.
    fn take(&mut self, body: Bytes) {
        let idle_ms = self.config.limits.idle_timeout_ms.into();
        self.timers.arm(Timer::Idle, self.now.monotonic_ms, idle_ms);
        let bytes = body.len();
        let frame = match frame::decode::<v1::ClientFrame>(body) {
            Ok(frame) => frame,
            Err(error) => return self.end(input::frame_refusal(error), 0),
        };
        if frame.request_id == 0 {
            return self.end(Refusal::of(v1::ErrorCode::RequestIdZero), 0);
        }
        match self.pong(&frame) {
            Some(pong) => self.outbox.push(pong),
            None => self.waiting.push(frame, bytes),
        }
    }

    /// PING-001, PING-002. A Ping that is refused gets in line instead.
    fn pong(&self, frame: &v1::ClientFrame) -> Option<Bytes> {
        let Some(Body::Ping(_)) = frame.body else { return None };
        let admitted =
            admission::admit(&self.context(), &self.phase, &self.attempts, frame.clone()).ok()?;
        match arguments::judge(&self.config.limits, &admitted) {
            Verdict::Reply(pong) => Some(reply(frame.request_id, pong)),
            Verdict::Execute(_) | Verdict::Refuse(_) => None,
        }
    }

    fn begin(&mut self, frame: v1::ClientFrame) {
        let ticket = self.slots.open(frame.request_id, is_bulky(&frame), writes(&frame));
        let phase = self.phase.take();
        let context = self.context();
        let (phase, verdict) = match admission::admit(&context, &phase, &self.attempts, frame) {
            Ok(request) => phase.handle(&context, request),
            Err(refusal) => (phase, Verdict::Refuse(refusal)),
        };
        self.phase = phase;
        self.settle(ticket, verdict);
    }

    /// Brings about what was decided of a request.
    pub(super) fn settle(&mut self, ticket: Ticket, verdict: Verdict) {
        let Some(request_id) = self.slots.request_id(ticket) else { return };
        match verdict {
            Verdict::Execute(command) => {
                if decides(&command) {
                    self.alone = Some(ticket);
                }
                self.actions.push_back(Action::Execute { ticket, command });
            }
            Verdict::Reply(body) => self.slots.fill(ticket, reply(request_id, body)),
            Verdict::Refuse(refusal) => {
                self.attempts.note(&refusal);
                if is_fatal(&refusal) {
                    self.drop_from(ticket);
                    self.end(refusal, request_id);
                } else {
                    self.slots.fill(ticket, refusal.into_frame(request_id));
                }
            }
        }
    }

    /// Takes nothing more; the refusal becomes the last frame once the replies owed have left (ERR-003).
    pub(super) fn end(&mut self, refusal: Refusal, reply_to: u64) {
        self.input.clear();
        self.intake = Intake::Ended(refusal.code, refusal.into_frame(reply_to));
    }

    /// Forgets a request and all that came after it (CLOSE-005).
    fn drop_from(&mut self, ticket: Ticket) {
        self.waiting = Waiting::default();
        self.slots.truncate(ticket);
        self.actions.retain(|Action::Execute { ticket: other, .. }| *other < ticket);
    }

    fn finish_if_idle(&mut self) {
        if self.slots.len() > 0 || self.waiting.len() > 0 {
            return;
        }
        match mem::replace(&mut self.intake, Intake::Finishing) {
            Intake::Open => self.intake = Intake::Open,
            Intake::Finishing => self.finish(CloseReason::Peer),
            Intake::Ended(code, frame) => self.finish_with(code, frame),
        }
    }

    pub(super) fn finish_with(&mut self, code: v1::ErrorCode, last: Bytes) {
        self.outbox.push(last);
        self.finish(CloseReason::Error(code));
    }

    /// Lets go of everything but what is to be sent.
    fn finish(&mut self, reason: CloseReason) {
        self.closed = Some(reason);
        self.phase = Phase::Closed;
        self.input.clear();
        self.waiting = Waiting::default();
        self.slots.clear();
        self.actions.clear();
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            config: &self.config,
            transport: &self.transport,
            server_nonce: &self.server_nonce,
            now: self.now,
        }
    }

    /// The request in front of those that wait, if it may begin.
    fn next_to_begin(&mut self) -> Option<v1::ClientFrame> {
        let frame = self.waiting.front()?;
        let may_begin = self.alone.is_none()
            && !self.slots.has_unanswered(!writes(frame))
            && self.outbox.bytes() < MAX_UNSENT_BYTES
            && (!is_bulky(frame) || self.slots.bulky() < MAX_BULKY);
        if may_begin { self.waiting.pop() } else { None }
    }

    /// Whether one more request may be taken off the input.
    pub(super) fn has_room(&self) -> bool {
        let in_flight = self.slots.len() + self.waiting.len();
        in_flight < self.config.limits.max_in_flight as usize
            && self.waiting.bytes() < MAX_WAITING_BYTES
            && self.outbox.bytes() < MAX_UNSENT_BYTES
    }
}

fn reply(reply_to: u64, body: server_frame::Body) -> Bytes {
    frame::encode(&v1::ServerFrame { reply_to, body: Some(body) })
}

/// Whether the reply may be of the greatest size.
fn is_bulky(frame: &v1::ClientFrame) -> bool {
    matches!(
        frame.body,
        Some(
            Body::Fetch(_)
                | Body::ListRooms(_)
                | Body::ListPins(_)
                | Body::ListSummaries(_)
                | Body::Search(_)
                | Body::FetchDeviceLogs(_)
                | Body::ClaimKeyPackages(_)
                | Body::GetGroupInfo(_)
                | Body::FetchInbox(_)
        )
    )
}

/// Whether it has an effect: it waits for those before it that have none, and the other way about (REQ-012).
fn writes(frame: &v1::ClientFrame) -> bool {
    let writes = |body: &Body| {
        let is_lasting = matches!(
            body,
            Body::Mark(_)
                | Body::SetPresence(_)
                | Body::SetTyping(_)
                | Body::AckInbox(_)
                | Body::ReportForkCheck(_)
        );
        request::info(body).mutating || is_lasting
    };
    frame.body.as_ref().is_some_and(writes)
}

/// Whether the outcome decides how the next requests are judged: it changes the phase, or counts as an attempt.
fn decides(command: &Command) -> bool {
    matches!(
        command,
        Command::Register { .. }
            | Command::PasswordLogin { .. }
            | Command::FindDevice { .. }
            | Command::FindToken { .. }
            | Command::Attach { .. }
            | Command::ChangePassword { .. }
    )
}

fn is_fatal(refusal: &Refusal) -> bool {
    error::info(refusal.code).scope == Scope::Connection
}
