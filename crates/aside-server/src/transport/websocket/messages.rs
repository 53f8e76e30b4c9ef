//! From bytes to WebSocket messages (RFC 6455, section 5).

use std::io::Cursor;

use bytes::{Buf as _, Bytes, BytesMut};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// The longest payload of a control frame (RFC 6455, section 5.5).
const MAX_CONTROL_BYTES: usize = 125;

/// What a client sent, whole. Pong frames are passed over: none was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A binary message, of however many fragments (WS-008).
    Binary(Bytes),
    /// The beginning of a text message. Nothing comes after it.
    Text,
    /// The beginning of a binary message above the limit, with its length so far. Nothing comes after it.
    Oversized(usize),
    /// A Ping frame, with its data.
    Ping(Bytes),
    /// A Close frame. Nothing comes after it.
    Close,
}

/// The client broke RFC 6455.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a WebSocket: {0}")]
pub(super) struct Violation(&'static str);

/// Takes messages off a stream, however its bytes are cut. Between messages it holds no memory.
#[derive(Default)]
pub(super) struct Messages {
    /// Bytes not taken yet.
    buffer: BytesMut,
    /// The frame whose payload is awaited.
    frame: Option<Frame>,
    /// The fragments so far of a message that has begun.
    begun: Option<BytesMut>,
    ended: bool,
}

/// A frame, before its payload.
struct Frame {
    kind: OpCode,
    is_final: bool,
    mask: [u8; 4],
    length: usize,
}

impl Messages {
    /// Feeds bytes from the stream. Where nothing comes after, they are dropped.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        if !self.ended {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next message, or `None` until more bytes are fed. Binary messages are held to `limit` bytes as soon as a length
    /// says that they are longer (WS-006).
    pub(super) fn next(&mut self, limit: usize) -> Result<Option<Message>, Violation> {
        loop {
            let frame = match self.frame.take() {
                Some(frame) => frame,
                None => {
                    let Some(frame) = self.next_frame()? else { return Ok(None) };
                    if let Some(message) = self.refuse(&frame, limit) {
                        *self = Self { ended: true, ..Self::default() };
                        return Ok(Some(message));
                    }
                    frame
                }
            };
            if self.buffer.len() < frame.length {
                self.buffer.reserve(frame.length - self.buffer.len());
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(message) = self.take(&frame) {
                return Ok(Some(message));
            }
        }
    }

    /// Takes a header off the buffer, if it is there whole.
    fn next_frame(&mut self) -> Result<Option<Frame>, Violation> {
        let mut cursor = Cursor::new(&self.buffer);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Violation("a reserved opcode"))?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let header_bytes = cursor.position();
        // At most 14.
        self.buffer.advance(usize::try_from(header_bytes).unwrap_or(usize::MAX));
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation("a reserved bit is set"));
        }
        let mask = header.mask.ok_or(Violation("a frame is not masked"))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match (header.opcode, &self.begun) {
            (OpCode::Control(_), _) if !header.is_final => {
                return Err(Violation("a control frame is fragmented"));
            }
            (OpCode::Control(_), _) if length > MAX_CONTROL_BYTES => {
                return Err(Violation("a control frame is too long"));
            }
            (OpCode::Data(Data::Continue), None) => {
                return Err(Violation("a fragment continues no message"));
            }
            (OpCode::Data(Data::Binary | Data::Text), Some(_)) => {
                return Err(Violation("a message begins before the last has ended"));
            }
            _ => {}
        }
        Ok(Some(Frame { kind: header.opcode, is_final: header.is_final, mask, length }))
    }

    /// What ends the connection at once, whatever the payload will be.
    fn refuse(&self, frame: &Frame, limit: usize) -> Option<Message> {
        let OpCode::Data(data) = frame.kind else { return None };
        if data == Data::Text {
            return Some(Message::Text);
        }
        let length = self.begun.as_ref().map_or(0, BytesMut::len).saturating_add(frame.length);
        (length > limit).then_some(Message::Oversized(length))
    }

    /// Takes a payload that is there whole.
    fn take(&mut self, frame: &Frame) -> Option<Message> {
        let mut payload = self.buffer.split_to(frame.length);
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        unmask(&mut payload, frame.mask);
        match frame.kind {
            OpCode::Control(Control::Close) => {
                *self = Self { ended: true, ..Self::default() };
                Some(Message::Close)
            }
            // Copied, so that it does not hold on to the bytes that came with it.
            OpCode::Control(Control::Ping) => Some(Message::Ping(Bytes::copy_from_slice(&payload))),
            OpCode::Control(_) => None,
            OpCode::Data(_) => {
                match &mut self.begun {
                    Some(begun) => begun.extend_from_slice(&payload),
                    None => self.begun = Some(payload),
                }
                let whole = if frame.is_final { self.begun.take() } else { None };
                whole.map(|message| Message::Binary(message.freeze()))
            }
        }
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::client_frame, *};

    const LIMIT: usize = 300;

    fn all(bytes: &[u8], cut: usize) -> (Vec<Message>, Result<(), Violation>, Messages) {
        let mut messages = Messages::default();
        let mut taken = Vec::new();
        for part in bytes.chunks(cut) {
            messages.extend(part);
            loop {
                match messages.next(LIMIT) {
                    Ok(Some(message)) => taken.push(message),
                    Ok(None) => break,
                    Err(violation) => return (taken, Err(violation), messages),
                }
            }
        }
        (taken, Ok(()), messages)
    }

    fn binary(bytes: Vec<u8>) -> Message {
        Message::Binary(bytes.into())
    }

    // cites: WS-006, WS-008
    #[test]
    fn messages_are_the_same_however_the_bytes_are_cut() {
        let stream = [
            client_frame(0x82, b"one"),
            client_frame(0x02, b""),
            client_frame(0x00, b"tw"),
            client_frame(0x89, b"there?"),
            client_frame(0x80, b"o"),
            client_frame(0x8a, b"unasked"),
            client_frame(0x82, b""),
            client_frame(0x82, &[7; LIMIT]),
            client_frame(0x88, &[3, 232]),
            client_frame(0x82, b"too late"),
        ]
        .concat();
        for cut in 1..=stream.len() {
            let (taken, result, messages) = all(&stream, cut);
            let expected = [
                binary(b"one".into()),
                Message::Ping(Bytes::from_static(b"there?")),
                binary(b"two".into()),
                binary(vec![]),
                binary(vec![7; LIMIT]),
                Message::Close,
            ];
            assert_eq!((&taken[..], result), (&expected[..], Ok(())), "cut every {cut} bytes");
            assert_eq!(messages.buffer.capacity(), 0);
        }
    }

    // cites: WS-005, WS-006
    #[test]
    fn what_ends_the_connection_is_told_at_the_header_and_nothing_is_kept() {
        let huge = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &[1; 4]].concat();
        let cases = [
            (client_frame(0x82, &[0; LIMIT + 1]), Message::Oversized(LIMIT + 1)),
            (huge, Message::Oversized(usize::MAX)),
            (client_frame(0x81, &[0xff; 2 * LIMIT]), Message::Text),
            (
                [client_frame(0x02, &[0; LIMIT]), client_frame(0x80, &[0])].concat(),
                Message::Oversized(LIMIT + 1),
            ),
        ];
        for (mut stream, expected) in cases {
            stream.extend(client_frame(0x82, b"after"));
            for cut in [1, 3, stream.len()] {
                let (taken, result, messages) = all(&stream, cut);
                assert_eq!((&taken[..], result), (std::slice::from_ref(&expected), Ok(())));
                assert_eq!(messages.buffer.capacity(), 0);
                assert!(messages.begun.is_none());
            }
        }
    }

    // cites: WS-006
    #[test]
    fn between_messages_nothing_is_held() {
        let mut messages = Messages::default();
        for message in [&[7; 1 << 20][..], b"small"] {
            messages.extend(&client_frame(0x82, message));
            let taken = messages.next(1 << 20);
            assert_eq!(taken, Ok(Some(binary(message.to_vec()))));
            assert_eq!(messages.next(1 << 20), Ok(None));
            assert_eq!(messages.buffer.capacity(), 0);
        }
    }

    #[test]
    fn what_is_no_websocket_is_told_apart() {
        let unmasked = vec![0x82, 1, 0];
        let cases = [
            (unmasked, "a frame is not masked"),
            (client_frame(0xc2, b"x"), "a reserved bit is set"),
            (client_frame(0x83, b"x"), "a reserved opcode"),
            (client_frame(0x8b, b"x"), "a reserved opcode"),
            (client_frame(0x09, b"x"), "a control frame is fragmented"),
            (client_frame(0x89, &[0; 126]), "a control frame is too long"),
            (client_frame(0x80, b"x"), "a fragment continues no message"),
            (
                [client_frame(0x02, b"x"), client_frame(0x82, b"y")].concat(),
                "a message begins before the last has ended",
            ),
        ];
        for (stream, reason) in cases {
            let (taken, result, _) = all(&stream, 1);
            assert_eq!((taken, result), (vec![], Err(Violation(reason))));
        }
    }
}
