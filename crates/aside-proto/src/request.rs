//! Requests as the registry has them: where each is allowed, and whether it is mutating.

use crate::{request_table, v1};

/// The phases of a connection in which requests come (HELLO-002).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before Hello.
    Connected,
    /// After Hello, before log-in.
    Greeted,
    /// After log-in.
    Authenticated,
}

/// What a token needs to make a request (TOKEN-008).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Any scope.
    Any,
    /// `TOKEN_SCOPE_READ`.
    Read,
    /// `TOKEN_SCOPE_SEND`.
    Send,
    /// `TOKEN_SCOPE_JOIN`.
    Join,
    /// `TOKEN_SCOPE_MANAGE`.
    Manage,
}

/// What the registry says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestInfo {
    /// Its name: the field of `ClientFrame.body`.
    pub name: &'static str,
    /// The field's number.
    pub number: u32,
    /// Where it is allowed.
    pub phases: &'static [Phase],
    /// Whether it carries an idempotency key.
    pub mutating: bool,
    /// The capability that brings it; "core" is always in force.
    pub capability: &'static str,
    /// What a token needs to make it; none if no token may.
    pub scope: Option<Scope>,
}

/// What the registry says of this request.
#[must_use]
pub fn info(body: &v1::client_frame::Body) -> &'static RequestInfo {
    request_table::info(body)
}

/// All requests, in order of number.
#[must_use]
pub fn all() -> &'static [RequestInfo] {
    request_table::ALL
}
