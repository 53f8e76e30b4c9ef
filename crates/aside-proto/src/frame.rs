//! Frames: a 4-byte big-endian length, then that many bytes of one Protobuf message (FRAME-001).
//!
//! On a WebSocket a message is a body without the length: [`check_body_length`] and [`decode`] serve there.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use crate::v1;

/// Bytes of a frame's length.
pub const HEADER_BYTES: usize = 4;

/// A frame, or a stream of them, is wrong. The peer is at fault, and the connection is lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// FRAME-002.
    #[error("a frame of length 0")]
    Empty,
    /// FRAME-003, FRAME-004.
    #[error("a frame of {length} bytes where at most {limit} are allowed")]
    TooLarge {
        /// The length announced.
        length: usize,
        /// The limit in force.
        limit: usize,
    },
    /// FRAME-006.
    #[error("a frame whose body is not the message expected: {0}")]
    Malformed(String),
}

impl FrameError {
    /// The code that a server sends for it.
    #[must_use]
    pub fn code(&self) -> v1::ErrorCode {
        match self {
            Self::Empty => v1::ErrorCode::FrameEmpty,
            Self::TooLarge { .. } => v1::ErrorCode::FrameTooLarge,
            Self::Malformed(_) => v1::ErrorCode::FrameMalformed,
        }
    }
}

/// Takes frame bodies off a stream, however its bytes are cut (FRAME-007).
///
/// The length is checked before a byte of the body is kept or room is made for it (FRAME-005), so the decoder never holds
/// more than the bytes fed to it. Between frames it holds no memory.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    buffer: BytesMut,
    failed: Option<FrameError>,
}

impl Decoder {
    /// A decoder for bodies of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: BytesMut::new(), failed: None }
    }

    /// Changes the limit, from the next length on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Bytes fed and not yet taken as part of a body.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Feeds bytes from the stream. After an error they are dropped.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole body, or `None` until more bytes are fed.
    ///
    /// # Errors
    /// [`FrameError::Empty`] or [`FrameError::TooLarge`] as soon as the length is there, and again on each further call: where
    /// the next frame would begin can't be known.
    pub fn next_body(&mut self) -> Result<Option<Bytes>, FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*header) as usize;
        if let Err(error) = check_body_length(length, self.limit) {
            self.buffer = BytesMut::new();
            self.failed = Some(error.clone());
            return Err(error);
        }
        if self.buffer.len() < HEADER_BYTES + length {
            self.buffer.reserve(HEADER_BYTES + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        let body = self.buffer.split_to(length).freeze();
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Ok(Some(body))
    }
}

/// Checks the length of a body against the limit of the phase.
///
/// # Errors
/// [`FrameError::Empty`] or [`FrameError::TooLarge`].
pub fn check_body_length(length: usize, limit: usize) -> Result<(), FrameError> {
    match length {
        0 => Err(FrameError::Empty),
        _ if length > limit => Err(FrameError::TooLarge { length, limit }),
        _ => Ok(()),
    }
}

/// Decodes a body. `bytes` fields of the message share the body's memory.
///
/// # Errors
/// [`FrameError::Malformed`] if the body is not an encoding of `M`.
pub fn decode<M: Message + Default>(body: Bytes) -> Result<M, FrameError> {
    M::decode(body).map_err(|error| FrameError::Malformed(error.to_string()))
}

/// Encodes a message as one frame, length included, in one allocation.
///
/// # Panics
/// If the message is longer than 4 GiB; whoever builds it keeps to the limits.
#[must_use]
pub fn encode<M: Message>(message: &M) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(HEADER_BYTES + length);
    frame.put_u32(u32::try_from(length).expect("messages are bounded far below 4 GiB"));
    message.encode(&mut frame).expect("the buffer was made for the message");
    frame.freeze()
}

/// The body of a frame that [`encode`] made, for transports that carry bodies alone.
#[must_use]
pub fn body(frame: &Bytes) -> Bytes {
    frame.slice(HEADER_BYTES..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bodies(decoder: &mut Decoder) -> Result<Vec<Bytes>, FrameError> {
        std::iter::from_fn(|| decoder.next_body().transpose()).collect()
    }

    // cites: FRAME-002, FRAME-003
    #[test]
    fn lengths_are_refused_before_any_body_arrives() {
        for (length, expected) in
            [(0, FrameError::Empty), (17, FrameError::TooLarge { length: 17, limit: 16 })]
        {
            let mut decoder = Decoder::new(16);
            decoder.extend(&u32::to_be_bytes(length));
            assert_eq!(decoder.next_body(), Err(expected.clone()));
            decoder.extend(&[0; 1 << 16]);
            assert_eq!(decoder.next_body(), Err(expected));
            assert_eq!(decoder.buffered(), 0);
        }
    }

    // cites: FRAME-005
    #[test]
    fn the_greatest_length_makes_no_room() {
        let mut decoder = Decoder::new(1 << 20);
        decoder.extend(&[0xff; 4]);
        assert!(decoder.next_body().is_err());
        assert_eq!(decoder.buffer.capacity(), 0);
    }

    // cites: FRAME-006
    #[test]
    fn a_body_that_is_not_the_message_is_malformed() {
        let invalid_utf8 = [0x5a, 0x03, 0x0a, 0x01, 0xff]; // register.handle
        for body in [&[0xff][..], &[0x08], &invalid_utf8] {
            let result = decode::<v1::ClientFrame>(Bytes::copy_from_slice(body));
            assert!(matches!(result, Err(FrameError::Malformed(_))), "{body:02x?}: {result:?}");
        }
    }

    proptest! {
        // cites: FRAME-001, FRAME-007, FRAME-009
        #[test]
        fn frames_survive_any_cutting(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..8),
            cuts in prop::collection::vec(1_usize..64, 1..64),
        ) {
            let mut wire = Vec::new();
            for payload in &payloads {
                wire.extend((payload.len() as u32).to_be_bytes());
                wire.extend(payload);
            }
            let mut decoder = Decoder::new(300);
            let mut taken = Vec::new();
            let mut rest = &wire[..];
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                decoder.extend(now);
                taken.extend(bodies(&mut decoder).expect("every length is within the limit"));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(taken, payloads);
            prop_assert_eq!(decoder.buffered(), 0);
        }
    }
}
