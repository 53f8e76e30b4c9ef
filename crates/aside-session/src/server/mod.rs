//! The server's side of a connection.
//!
//! A [`Session`] takes what the peer sends, checks all that can be checked without a database, and hands out [`Command`]s;
//! what came of each goes back in as an [`Outcome`], and replies come out in the order of the requests.
//!
//! ```text
//!              handle_bytes / _message / _text / _eof         poll_transmit: frames
//!   transport ──────────────────────────────────────> ┌─────────┐ ──────────────────> transport
//!                                                     │ Session │
//!      driver ──────────────────────────────────────> └─────────┘ ──────────────────> driver
//!              handle_outcome, handle_timeout, close          poll_action: commands; next_timeout; closing
//! ```
//!
//! After every input, and after every frame taken out, a driver drains in this order: [`Session::poll_transmit`] until
//! `None` or until the transport takes no more, [`Session::poll_action`] until `None`, then [`Session::closing`]. It reads
//! from the transport only while [`Session::wants_read`], and calls [`Session::handle_timeout`] at
//! [`Session::next_timeout`]. Frames it leaves in the session are what makes the session stop taking requests, so a
//! client that does not read can't make the server hold more than a bounded amount.
//!
//! ```
//! use std::sync::Arc;
//!
//! use aside_proto::{frame, limits, v1};
//! use aside_session::{
//!     Now,
//!     server::{Config, Session, Transport},
//! };
//!
//! let config = Arc::new(Config {
//!     limits: limits::DEFAULT,
//!     server_names: vec!["chat.example".into()],
//!     capabilities: vec!["talk".into()],
//!     registration: v1::RegistrationMode::Open,
//!     log_key: v1::LogKey::default(),
//!     user_agent: "example/1".into(),
//! });
//! let transport = Transport::Tls { exporter: [1; 32], cert_sha256: [2; 32] };
//! let now = Now { monotonic_ms: 0, unix_ms: 1_700_000_000_000 };
//! let mut session = Session::new(config, transport, [3; 32], now);
//!
//! let hello = v1::Hello {
//!     versions: vec![1],
//!     capabilities: vec!["talk".into()],
//!     client_nonce: vec![4; 32].into(),
//!     server_name: "chat.example".into(),
//!     user_agent: String::new(),
//! };
//! let body = Some(v1::client_frame::Body::Hello(hello));
//! let request = v1::ClientFrame { request_id: 1, body, ..Default::default() };
//! session.handle_bytes(now, &frame::encode(&request));
//!
//! let reply = session.poll_transmit().expect("Hello is answered at once");
//! let reply: v1::ServerFrame = frame::decode(frame::body(&reply))?;
//! assert_eq!(reply.reply_to, 1);
//! assert!(matches!(reply.body, Some(v1::server_frame::Body::Greeted(_))));
//! # Ok::<(), frame::FrameError>(())
//! ```

mod admission;
mod arguments;
mod command;
mod config;
mod hello;
mod input;
mod login;
mod outcome;
mod phase;
mod queues;
mod refusal;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod samples;
mod session;
mod slots;
mod timers;
mod tokens;

#[cfg(test)]
mod tests;

pub use command::{Action, Command, DeviceBinding, OnConflict, Secret, Ticket};
pub use config::{Config, Transport};
pub use outcome::{DeviceRecord, DeviceState, Outcome, TokenRecord};
pub use refusal::Refusal;
pub use session::{CloseReason, Session};
