//! What a message says, made into a payload.

use aside_proto::v1::{self, content::Body};
use aside_session::client::timeline::is_emoji;
use bytes::Bytes;
use prost::Message as _;

use crate::{Error, MessageRef};

/// The payload of a plain text, or of an answer.
pub(crate) fn text(body: &str, reply_to: Option<MessageRef>) -> Bytes {
    encode(Body::Text(plain(body)), reply_to)
}

/// The payload of a reaction.
///
/// # Errors
/// [`Error::NotAnEmoji`] (CONT-008).
pub(crate) fn reaction(to: MessageRef, emoji: &str, remove: bool) -> Result<Bytes, Error> {
    if !is_emoji(emoji) {
        return Err(Error::NotAnEmoji);
    }
    let reaction = v1::Reaction { to: Some(to.into()), emoji: emoji.to_owned(), remove };
    Ok(encode(Body::Reaction(reaction), None))
}

/// The payload of an edit.
pub(crate) fn edit(to: MessageRef, body: &str) -> Bytes {
    encode(Body::Edit(v1::Edit { to: Some(to.into()), text: Some(plain(body)) }), None)
}

fn plain(body: &str) -> v1::Text {
    v1::Text { body: body.to_owned(), mentions: Vec::new() }
}

fn encode(body: Body, reply_to: Option<MessageRef>) -> Bytes {
    let content = v1::Content { body: Some(body), reply_to: reply_to.map(Into::into) };
    content.encode_to_vec().into()
}

impl From<MessageRef> for v1::MessageRef {
    fn from(to: MessageRef) -> Self {
        Self { seq: to.seq, message_id: to.message_id.to_bytes() }
    }
}
