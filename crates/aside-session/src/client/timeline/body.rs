//! What one payload says, once it was held against the limits of a Content.

use std::ops::Range;

use aside_proto::{
    id::{IdempotencyKey, UserId},
    v1::{self, content},
};
use prost::Message as _;

use super::Profile;

/// More mentions than anybody has to look at: what a single message may call for (CONT-005).
pub const MAX_MENTIONS: usize = 64;
/// Room for the longest emoji sequences there are, families and flags among them, and for nothing that is read (CONT-008).
pub const MAX_EMOJI_BYTES: usize = 32;
/// Room for a few words in any script, on one line of a list (CONT-017).
pub const MAX_GROUP_NAME_BYTES: usize = 64;

/// What a payload says; `None` of it is what this version can't show (MSG-011, CONT-001).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A text, perhaps in answer to a message.
    Text {
        /// The text.
        text: Text,
        /// What it answers (CONT-006).
        reply_to: Option<Reference>,
    },
    /// A reaction, set or taken back (CONT-008).
    Reaction {
        /// To which message.
        to: Reference,
        /// An emoji. To be neutralised before it is displayed, as all that others wrote (MSG-010).
        emoji: String,
        /// Whether it is taken back.
        remove: bool,
    },
    /// Another text for an earlier message (CONT-011).
    Edit {
        /// Which message.
        to: Reference,
        /// Its text from now on.
        text: Text,
    },
    /// The name and the color of a GROUP; elsewhere it means nothing (CONT-019).
    Profile(Profile),
}

/// A text with those mentions that are well formed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The text. To be neutralised before it is displayed (MSG-010).
    pub body: String,
    /// Whose attention is asked for, in order, not overlapping.
    pub mentions: Vec<Mention>,
}

/// A part of a text that names a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Whose attention is asked for.
    pub user: UserId,
    /// Where in the text's UTF-8: always on boundaries of characters.
    pub range: Range<usize>,
}

/// Another message of the conversation; whether it leads anywhere, the log says (CONT-002).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Its place in the log.
    pub seq: u64,
    /// Its id; none if what was sent is no id.
    pub message_id: Option<IdempotencyKey>,
}

impl Body {
    /// Reads a payload; `None` if it does not decode, has no body that is known, or one beyond its limits (CONT-001).
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let content = v1::Content::decode(payload).ok()?;
        match content.body? {
            content::Body::Text(text) => Some(Self::Text {
                text: text.into(),
                reply_to: content.reply_to.as_ref().map(Reference::from),
            }),
            content::Body::Reaction(v1::Reaction { to, emoji, remove }) => {
                let to = to.unwrap_or_default();
                is_emoji(&emoji).then(|| Self::Reaction { to: (&to).into(), emoji, remove })
            }
            content::Body::Edit(v1::Edit { to, text }) => {
                let to = to.unwrap_or_default();
                Some(Self::Edit { to: (&to).into(), text: text?.into() })
            }
            content::Body::Profile(v1::GroupProfile { name, color }) => {
                Profile::read(name, color).map(Self::Profile)
            }
        }
    }

    /// The message it refers to, if any.
    #[must_use]
    pub fn target(&self) -> Option<Reference> {
        match self {
            Self::Text { reply_to, .. } => *reply_to,
            Self::Reaction { to, .. } | Self::Edit { to, .. } => Some(*to),
            Self::Profile(_) => None,
        }
    }

    /// About how much memory it takes beside its own size.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Reaction { emoji, .. } => emoji.len(),
            Self::Profile(profile) => profile.name().len(),
            Self::Text { text, .. } | Self::Edit { text, .. } => {
                text.body.len() + text.mentions.len() * size_of::<Mention>()
            }
        }
    }
}

/// Whether a reaction may say this: 1 to 32 bytes without control characters (CONT-008).
#[must_use]
pub fn is_emoji(emoji: &str) -> bool {
    (1..=MAX_EMOJI_BYTES).contains(&emoji.len()) && !emoji.contains(char::is_control)
}

impl From<&v1::MessageRef> for Reference {
    fn from(reference: &v1::MessageRef) -> Self {
        let message_id = reference.message_id[..].try_into().ok();
        Self { seq: reference.seq, message_id }
    }
}

impl From<v1::Text> for Text {
    /// Passes over the mentions that are not as CONT-005 wants them.
    fn from(text: v1::Text) -> Self {
        let (body, mut mentions) = (text.body, Vec::<Mention>::new());
        for mention in text.mentions.iter().take(MAX_MENTIONS) {
            let after = mentions.last().map_or(0, |last| last.range.end);
            mentions.extend(well_formed(mention, &body).filter(|it| it.range.start >= after));
        }
        Self { body, mentions }
    }
}

/// A mention of somebody, by at least one whole character.
fn well_formed(mention: &v1::Mention, body: &str) -> Option<Mention> {
    let start = usize::try_from(mention.start).ok()?;
    let end = start.checked_add(usize::try_from(mention.length).ok()?)?;
    let named = body.get(start..end).is_some_and(|name| !name.is_empty());
    let user = mention.user_id[..].try_into().ok()?;
    named.then_some(Mention { user, range: start..end })
}
