//! What a Rust implementer of the Aside protocol depends on: the messages of `proto/aside/v1`, the frame
//! codec, validated ids and names, limits, and error codes.
//!
//! ```
//! use aside_proto::{frame, v1};
//!
//! // A client's Ping, as it travels on a TLS stream …
//! let ping = v1::ClientFrame {
//!     request_id: 1,
//!     body: Some(v1::client_frame::Body::Ping(v1::Ping { data: "hi".into() })),
//!     ..Default::default()
//! };
//! let wire = frame::encode(&ping);
//! assert_eq!(&wire[..4], [0, 0, 0, 8]);
//!
//! // … and taken off it again, however the bytes are cut.
//! let mut decoder = frame::Decoder::new(16 * 1024);
//! decoder.extend(&wire[..5]);
//! assert!(decoder.next_body()?.is_none());
//! decoder.extend(&wire[5..]);
//! let body = decoder.next_body()?.expect("a whole frame was fed");
//! assert_eq!(frame::decode::<v1::ClientFrame>(body)?, ping);
//! # Ok::<(), frame::FrameError>(())
//! ```
//!
//! The crate knows no clock, no socket, no database and no cryptography.

pub mod error;
pub mod frame;
pub mod id;
pub mod limits;
pub mod name;
pub mod private;
pub mod request;
pub mod retention;
pub mod token;

mod error_table;
mod request_table;

/// The messages of package `aside.v1`, generated from `proto/aside/v1`. `bytes` fields are [`bytes::Bytes`]: decoding
/// a frame copies no payload.
#[allow(missing_docs, unreachable_pub, clippy::doc_markdown, clippy::doc_lazy_continuation)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/aside.v1.rs"));
}

/// The compiled schema (a `google.protobuf.FileDescriptorSet`), for tools that work by reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The ALPN protocol id of frames on a TLS stream.
pub const ALPN: &[u8] = b"aside/1";
/// The default TCP port.
pub const DEFAULT_PORT: u16 = 7423;
/// The path of the WebSocket.
pub const WEBSOCKET_PATH: &str = "/aside/v1";
/// The WebSocket subprotocol.
pub const WEBSOCKET_PROTOCOL: &str = "aside.v1";
/// The version of the protocol that this crate describes.
pub const VERSION: u32 = 1;
/// The capability of accounts, rooms and messages.
pub const TALK: &str = "talk";
/// The capability of summaries, watermarks, and what members do with a room (SUM-001, MARK-001, ROOM-022).
/// The capability of summaries, watermarks and presence (SUM-001, MARK-001, PRES-001).
pub const SYNC: &str = "sync";
/// The capability of private conversations (PRIV-001).
pub const PRIVATE: &str = "private";
