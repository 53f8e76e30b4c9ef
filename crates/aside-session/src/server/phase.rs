//! The phases of a connection. Each is a type that its transitions consume, so a request can't meet a state that lacks
//! what it needs:
//!
//! ```text
//! Connected ── Hello ──> Greeted ── log-in ──> LoggingIn ── Attached ──> Authenticated
//!                           ^                      │
//!                           └────── refused ───────┘          any ── error or end ──> Closed
//! ```

use aside_proto::{
    id::{DeviceId, UserId},
    request, v1,
};

use super::{
    Command, Config, Outcome, Refusal, Transport,
    admission::Admitted,
    arguments,
    hello::{Connected, Greeted},
    login::LoggingIn,
    tokens::Grant,
};
use crate::Now;

/// Where the connection is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Before Hello.
    Connected(Connected),
    /// After Hello.
    Greeted(Greeted),
    /// A log-in is being worked on. For the peer it is still Greeted.
    LoggingIn(LoggingIn),
    /// After Authenticated.
    Authenticated(Authenticated),
    /// The session is over.
    Closed,
}

/// What a request comes to at once.
#[derive(Debug)]
pub(super) enum Verdict {
    /// A reply.
    Reply(v1::server_frame::Body),
    /// Work for the driver; the reply comes of its outcome.
    Execute(Command),
    /// A refusal.
    Refuse(Refusal),
}

impl From<Result<Command, Refusal>> for Verdict {
    fn from(result: Result<Command, Refusal>) -> Self {
        result.map_or_else(Self::Refuse, Self::Execute)
    }
}

/// What a phase judges a request by, besides what it holds itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) config: &'a Config,
    pub(super) transport: &'a Transport,
    pub(super) server_nonce: &'a [u8; 32],
    pub(super) now: Now,
}

impl Phase {
    /// The phase as the registry of requests has it; none if the session is over.
    pub(super) fn public(&self) -> Option<request::Phase> {
        match self {
            Self::Connected(_) => Some(request::Phase::Connected),
            Self::Greeted(_) | Self::LoggingIn(_) => Some(request::Phase::Greeted),
            Self::Authenticated(_) => Some(request::Phase::Authenticated),
            Self::Closed => None,
        }
    }

    /// The capabilities in force, sorted.
    pub(super) fn capabilities(&self) -> &[String] {
        match self {
            Self::Connected(_) | Self::Closed => &[],
            Self::Greeted(greeted) => greeted.capabilities(),
            Self::LoggingIn(logging_in) => logging_in.capabilities(),
            Self::Authenticated(authenticated) => &authenticated.capabilities,
        }
    }

    /// What the token may do that the connection is authenticated by; none if it is not by one.
    pub(super) fn grant(&self) -> Option<Grant> {
        match self {
            Self::Authenticated(authenticated) => authenticated.grant,
            Self::Connected(_) | Self::Greeted(_) | Self::LoggingIn(_) | Self::Closed => None,
        }
    }

    /// Takes the phase out for a transition; what a transition does not put back is closed.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Closed)
    }

    /// Judges a request.
    pub(super) fn handle(self, context: &Context<'_>, request: Admitted) -> (Self, Verdict) {
        match self {
            Self::Connected(connected) => connected.handle(context, request),
            Self::Greeted(greeted) => greeted.handle(context, request),
            Self::Authenticated(authenticated) => {
                let verdict = arguments::judge(&context.config.limits, &request);
                (Self::Authenticated(authenticated), verdict)
            }
            Self::LoggingIn(_) | Self::Closed => {
                (self, Verdict::Refuse(Refusal::of(v1::ErrorCode::WrongPhase)))
            }
        }
    }

    /// Takes the outcome of a command that was handed out.
    pub(super) fn handle_outcome(self, context: &Context<'_>, outcome: Outcome) -> (Self, Verdict) {
        match (self, outcome) {
            (Self::LoggingIn(logging_in), outcome) => logging_in.handle(context, outcome),
            (phase, Outcome::Reply(body)) => (phase, Verdict::Reply(body)),
            (phase, Outcome::Refused(refusal)) => (phase, Verdict::Refuse(refusal)),
            (
                phase,
                Outcome::LoggedIn { .. }
                | Outcome::Device(_)
                | Outcome::Token(_)
                | Outcome::Attached { .. },
            ) => (phase, Verdict::Refuse(out_of_place())),
        }
    }
}

/// After log-in.
#[derive(Debug)]
pub(super) struct Authenticated {
    pub(super) user_id: UserId,
    pub(super) device_id: DeviceId,
    pub(super) capabilities: Box<[String]>,
    /// If a token has logged in.
    pub(super) grant: Option<Grant>,
}

/// The driver gave an outcome that its command can't have. The client is told that the server failed.
pub(super) fn out_of_place() -> Refusal {
    debug_assert!(false, "an outcome that is not of the command it was given for");
    Refusal::of(v1::ErrorCode::Internal)
}
