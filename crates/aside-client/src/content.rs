//! What a message says, made into a payload.

use std::ops::Range;

use aside_proto::{
    id::UserId,
    name::Name,
    v1::{self, content::Body},
};
use aside_session::client::timeline::{MAX_MENTIONS, is_emoji};
use bytes::Bytes;
use prost::Message as _;

use crate::{Error, GroupProfile, MessageRef};

/// Characters of a handle, at most (NAME-003).
const MAX_HANDLE_CHARS: usize = 64;

/// A text to be said, and whose attention it asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// What is said.
    pub body: String,
    /// Who is named, and where in the text's UTF-8: in order, not overlapping, at most 64. Others are passed over by readers (CONT-005).
    pub mentions: Vec<(UserId, Range<usize>)>,
}

impl From<&str> for Text {
    fn from(body: &str) -> Self {
        body.to_owned().into()
    }
}

impl From<&String> for Text {
    fn from(body: &String) -> Self {
        body.clone().into()
    }
}

impl From<String> for Text {
    fn from(body: String) -> Self {
        Self { body, mentions: Vec::new() }
    }
}

impl Text {
    /// Makes a mention of each `@handle` that `who` knows, in canonical form: the longest that ends where a word does. `\@handle` is
    /// none, and loses the backslash.
    pub(crate) fn addressed(text: &str, who: impl Fn(&str) -> Option<UserId>) -> Self {
        let mut said = Self::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('@') {
            said.body.push_str(before);
            let within_a_word = said.body.ends_with(char::is_alphanumeric);
            let named = handles(after).find_map(|handle| {
                let name = Name::new(handle, MAX_HANDLE_CHARS).ok()?;
                Some((who(name.as_str())?, handle.len()))
            });
            rest = after;
            match named {
                Some(_) if said.body.ends_with('\\') => drop(said.body.pop()),
                Some((user, length)) if !within_a_word && said.mentions.len() < MAX_MENTIONS => {
                    let start = said.body.len();
                    said.mentions.push((user, start..start + 1 + length));
                }
                _ => {}
            }
            said.body.push('@');
        }
        said.body.push_str(rest);
        said
    }
}

/// What may be a handle at the beginning of a text, the longest first: up to where a word ends.
fn handles(text: &str) -> impl Iterator<Item = &str> {
    let kept = |c: char| c.is_whitespace() || matches!(c, '@' | ':' | '/' | '#' | '?');
    let run = text.split(kept).next().unwrap_or_default();
    let ends: Vec<_> = run
        .char_indices()
        .take(MAX_HANDLE_CHARS)
        .map(|(at, c)| at + c.len_utf8())
        .filter(|end| ends_word(&run[*end..]))
        .collect();
    ends.into_iter().rev().map(move |end| &run[..end])
}

/// Whether a word has ended before this. What joins two words, as in `anne-marie`, ends none.
fn ends_word(rest: &str) -> bool {
    let mut next = rest.chars();
    match next.next() {
        Some('-' | '_' | '.') => !next.next().is_some_and(char::is_alphanumeric),
        Some(c) => !c.is_alphanumeric(),
        None => true,
    }
}

/// The payload of a plain text, or of an answer.
pub(crate) fn text(said: impl Into<Text>, reply_to: Option<MessageRef>) -> Bytes {
    encode(Body::Text(said.into().into()), reply_to)
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
pub(crate) fn edit(to: MessageRef, said: Text) -> Bytes {
    encode(Body::Edit(v1::Edit { to: Some(to.into()), text: Some(said.into()) }), None)
}

/// The payload of the name and the color of a GROUP.
pub(crate) fn profile(profile: GroupProfile) -> Bytes {
    encode(Body::Profile(profile.into()), None)
}

impl From<Text> for v1::Text {
    fn from(Text { body, mentions }: Text) -> Self {
        let mention = |(user, range): (UserId, Range<usize>)| v1::Mention {
            user_id: user.to_bytes(),
            // A text is far shorter than what these hold.
            start: u32::try_from(range.start).unwrap_or(u32::MAX),
            length: u32::try_from(range.len()).unwrap_or(u32::MAX),
        };
        Self { body, mentions: mentions.into_iter().map(mention).collect() }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn addressed(text: &str) -> (String, Vec<(u8, String)>) {
        let who = |handle: &str| match handle {
            "bob" => Some(UserId::new([1; 16])),
            "bob-smith" => Some(UserId::new([2; 16])),
            "jos\u{e9}" => Some(UserId::new([3; 16])),
            _ => None,
        };
        let Text { body, mentions } = Text::addressed(text, who);
        let named =
            |(user, range): (UserId, Range<usize>)| (user.as_bytes()[0], body[range].to_owned());
        let mentions = mentions.into_iter().map(named).collect();
        (body, mentions)
    }

    // cites: CONT-005
    #[test]
    fn handles_of_members_are_mentions() {
        for (text, expected) in [
            ("@bob", vec![(1, "@bob")]),
            ("well, @Bob: @bob-smith's @bob.", vec![(1, "@Bob"), (2, "@bob-smith"), (1, "@bob")]),
            ("(@Jos\u{e9})", vec![(3, "@Jos\u{e9}")]),
            ("@bob@bob", vec![(1, "@bob")]),
            ("@bobby @bob-smithers @bob.smith me@bob @ @carol", vec![]),
        ] {
            let expected = expected.into_iter().map(|(user, name)| (user, name.to_owned()));
            assert_eq!(addressed(text), (text.to_owned(), expected.collect()));
        }
        // What was not meant so loses its backslash; other backslashes stay.
        let expected = vec![(1, "@bob".to_owned())];
        assert_eq!(addressed("\\@bob @bob \\@x"), ("@bob @bob \\@x".to_owned(), expected));
        assert_eq!(addressed(&"@bob ".repeat(100)).1.len(), MAX_MENTIONS);
    }
}
