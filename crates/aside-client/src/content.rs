//! What a message says.

use aside_proto::v1::{self, content};
use bytes::Bytes;
use prost::Message as _;

/// The payload of a plain text.
pub(crate) fn encode_text(text: &str) -> Bytes {
    let body = content::Body::Text(v1::Text { body: text.to_owned(), mentions: Vec::new() });
    v1::Content { body: Some(body), reply_to: None }.encode_to_vec().into()
}

/// The text in a payload; `None` for what this version can't show (MSG-011).
pub(crate) fn decode_text(payload: &[u8]) -> Option<String> {
    match v1::Content::decode(payload).ok()?.body? {
        content::Body::Text(text) => Some(text.body),
        content::Body::Reaction(_) | content::Body::Edit(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: MSG-011
    #[test]
    fn texts_are_read_and_the_rest_is_left_unread() {
        assert_eq!(decode_text(&encode_text("hi\n\u{1f600}")).as_deref(), Some("hi\n\u{1f600}"));
        assert_eq!(decode_text(&encode_text("")).as_deref(), Some(""));
        let unknown_shape = [0x9a, 0x01, 0x02, b'h', b'i'];
        for payload in [&b""[..], &unknown_shape, b"\xff\xff"] {
            assert_eq!(decode_text(payload), None);
        }
    }
}
