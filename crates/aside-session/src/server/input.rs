//! What has come from the peer and was not taken yet: a stream of frames, or WebSocket messages.

use std::collections::VecDeque;

use aside_proto::{
    frame::{self, Decoder, FrameError},
    v1,
};
use bytes::Bytes;

use super::{Refusal, Transport};

/// What the peer sent. Not `Debug`: there may be passwords in it.
pub(super) enum Input {
    /// Frames on a TLS stream.
    Stream(Decoder),
    /// WebSocket messages: one body each.
    Messages(Messages),
}

/// What came on a WebSocket.
pub(super) struct Messages {
    limit: usize,
    queue: VecDeque<Message>,
}

/// One WebSocket message.
pub(super) enum Message {
    /// A body.
    Binary(Bytes),
    /// One that the transport did not gather, since it is above the limit: its length so far.
    Oversized(usize),
    /// Text, which is not taken (WS-005).
    Text,
}

impl Input {
    /// Nothing has come; bodies are held to `limit` bytes.
    pub(super) fn new(transport: &Transport, limit: usize) -> Self {
        match transport {
            Transport::Tls { .. } => Self::Stream(Decoder::new(limit)),
            Transport::WebSocket { .. } => {
                Self::Messages(Messages { limit, queue: VecDeque::new() })
            }
        }
    }

    /// Bytes of the stream. On a WebSocket there is none, and they are dropped.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        match self {
            Self::Stream(decoder) => decoder.extend(bytes),
            Self::Messages(_) => debug_assert!(false, "bytes of a stream given to a WebSocket"),
        }
    }

    /// A message of the WebSocket. On a stream there is none, and it is dropped.
    pub(super) fn push(&mut self, message: Message) {
        match self {
            Self::Messages(messages) => messages.queue.push_back(message),
            Self::Stream(_) => debug_assert!(false, "a WebSocket message given to a stream"),
        }
    }

    /// Holds the next bodies to another limit (FRAME-003, FRAME-004).
    pub(super) fn set_limit(&mut self, limit: usize) {
        match self {
            Self::Stream(decoder) => decoder.set_limit(limit),
            Self::Messages(messages) => messages.limit = limit,
        }
    }

    /// The next whole body, if there is one, or why the connection is lost.
    pub(super) fn next_body(&mut self) -> Result<Option<Bytes>, Refusal> {
        match self {
            Self::Stream(decoder) => decoder.next_body().map_err(frame_refusal),
            Self::Messages(messages) => messages.next_body(),
        }
    }

    /// Drops what was not taken.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Stream(decoder) => *decoder = Decoder::new(0),
            Self::Messages(messages) => messages.queue = VecDeque::new(),
        }
    }

    /// Bytes held.
    #[cfg(any(test, feature = "fuzz"))]
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Stream(decoder) => decoder.buffered(),
            Self::Messages(messages) => messages
                .queue
                .iter()
                .map(|message| match message {
                    Message::Binary(body) => body.len(),
                    Message::Oversized(_) | Message::Text => 0,
                })
                .sum(),
        }
    }
}

impl Messages {
    fn next_body(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Some(message) = self.queue.pop_front() else { return Ok(None) };
        match message {
            Message::Binary(body) => {
                frame::check_body_length(body.len(), self.limit).map_err(frame_refusal)?;
                Ok(Some(body))
            }
            Message::Oversized(length) => {
                Err(frame_refusal(FrameError::TooLarge { length, limit: self.limit }))
            }
            Message::Text => Err(Refusal::of(v1::ErrorCode::NotBinary)),
        }
    }
}

/// The error that a server sends for a frame that is wrong.
#[allow(clippy::needless_pass_by_value)] // Fits map_err.
pub(super) fn frame_refusal(error: FrameError) -> Refusal {
    Refusal::new(error.code(), format!("The server received {error}."))
}
