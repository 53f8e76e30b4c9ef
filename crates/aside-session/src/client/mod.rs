//! The client's side of a connection, and what a client checks in what it is told.
//!
//! [`Session`] is one connection: Hello, log-in, pipelined requests, events, ping and the exact end. [`log::Follower`] is one
//! conversation: its cursor, its chain, and when to fetch; [`timeline::Timeline`] is what was said in it, as it is to be shown. They
//! don't know each other; a driver carries replies, events and entries from the one to the other, and a follower outlives the
//! connections.
//!
//! ```text
//!   bytes ──► Session ──Pushed, Gap, Reply(Fetched)──► Follower ──Accepted──► signature ──► the user
//!   bytes ◄── Session ◄──────────request(Fetch)──────── Follower
//! ```
//!
//! # A driver's turn
//! Call one `handle_*` or one command, then drain in this order: [`Session::poll_transmit`] until `None` and write what it gave,
//! [`Session::poll_event`] until `None`, and ask [`Session::next_timeout`] when to call [`Session::handle_timeout`]. After
//! [`Event::Closed`] nothing more comes: send close_notify and drop the connection.
//!
//! ```
//! use aside_crypto::Binding;
//! use aside_proto::{frame, v1};
//! use aside_session::{Now, client::{Config, Framing, Session}};
//!
//! let now = Now { monotonic_ms: 0, unix_ms: 1_700_000_000_000 };
//! let config = Config {
//!     server_name: "chat.example".into(),
//!     user_agent: "example/1".into(),
//!     capabilities: vec!["talk".into()],
//!     binding: Binding::Exporter([1; 32]),
//!     log_key: None,
//! };
//! let mut session = Session::new(config, Framing::Stream, [2; 32], now);
//!
//! // Hello goes first (HELLO-001).
//! let hello = session.poll_transmit().expect("a new session says Hello");
//! let hello: v1::ClientFrame = frame::decode(frame::body(&hello))?;
//! assert_eq!(hello.request_id, 1);
//! assert!(session.poll_transmit().is_none() && session.poll_event().is_none());
//! # Ok::<(), frame::FrameError>(())
//! ```

pub mod approval;
pub mod log;
pub mod timeline;

mod event;
mod greeting;
mod live;
mod login;
mod message;
pub mod room;
mod session;
mod typing;
mod watermark;

pub use event::{CloseReason, Event, RequestError, RequestId};
pub use greeting::{Config, Greeting, Violation, accept_log_key};
pub use live::Live;
pub use login::{Login, LoginError};
pub use message::{
    DeviceKey, DeviceKeyError, Draft, PayloadDiffers, Pinning, SignatureStatus, Stamp,
};
pub use session::{Framing, Session};
pub use typing::{Typists, Writing};
pub use watermark::{Watermark, Watermarks};
