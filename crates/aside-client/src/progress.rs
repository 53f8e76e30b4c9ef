//! How far things have got: what a member has read, what is unread, and what became of a message.

use aside_proto::id::{ConversationId, IdempotencyKey};

use aside_session::client::{
    Draft,
    timeline::{Body, Reference, Reply},
};

use crate::{Content, Entry, Error, Kind, Person};

/// How far a member has got in a conversation (MARK-001).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    /// The member.
    pub who: Person,
    /// Every entry up to this one has reached one of the member's devices.
    pub delivered: u64,
    /// Every entry up to this one was shown to the member. At most `delivered`.
    pub read: u64,
}

/// A conversation as a list of them shows it, made from what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its name. To be neutralised before it is displayed.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How many messages of others the user has not read, as [`Room::unread`](crate::Room::unread) counts them.
    pub unread: Option<u32>,
    /// How far the user has read, on any device.
    pub read: u64,
    /// The last entry that was taken in.
    pub head: u64,
    /// The last message, as it is now.
    pub last: Option<Entry>,
    /// What was found wrong with its log; it is not trusted any more (LOG-011).
    pub tampering: Option<String>,
}

/// A message of the user's that is not in the log yet, or will never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its id: that of its entry, once it is one.
    pub message_id: IdempotencyKey,
    /// Where it goes.
    pub conversation: ConversationId,
    /// The text; none of a reaction.
    pub text: Option<String>,
    /// What else there is to it. Messages that it refers to are left out.
    pub content: Content,
    /// [`State::Queued`], [`State::Sent`] or [`State::Failed`].
    pub state: State,
    /// Its place in the conversation, once the server has made it durable.
    pub seq: Option<u64>,
}

/// What became of a message of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is kept here, and sent until the server has made it durable.
    Queued,
    /// The server has made it durable. In conversations with more than `max_live_members` members nothing more is known of it
    /// (MARK-010).
    Sent,
    /// It has reached a device of another member.
    Delivered,
    /// It was shown to another member.
    Read,
    /// It will not be sent. It stays in [`Client::outbox`](crate::Client::outbox) until it is discarded, or sent anew.
    Failed {
        /// Why, as a sentence. To be neutralised before it is displayed.
        reason: String,
        /// What the user can do about it.
        remedy: Option<String>,
    },
}

impl Outgoing {
    pub(crate) fn new(draft: &Draft, state: State, seq: Option<u64>) -> Self {
        Self::of((draft.message_id, draft.conversation), &draft.payload, state, seq)
    }

    /// A message with this content.
    pub(crate) fn of(
        (message_id, conversation): (IdempotencyKey, ConversationId),
        content: &[u8],
        state: State,
        seq: Option<u64>,
    ) -> Self {
        let reply = |to: Reference| Reply { to: to.seq, there: true, redacted: false };
        let (text, content) = match Body::read(content) {
            Some(Body::Text { text, reply_to }) => {
                let (mentions, reactions) = Default::default();
                let reply = reply_to.map(reply);
                (Some(text.body), Content::Text { mentions, edited: None, reply, reactions })
            }
            Some(Body::Reaction { emoji, remove, .. }) => {
                (None, Content::Reaction { to: None, emoji, remove })
            }
            Some(Body::Edit { to, text }) => {
                (Some(text.body), Content::Edit { of: to.seq, message: None })
            }
            Some(Body::Profile(profile)) => (None, Content::Profile { profile, counts: true }),
            None => (None, Content::Unknown),
        };
        Self { message_id, conversation, text, content, state, seq }
    }
}

impl Entry {
    /// Takes in how far another member has got: what [`Entry::state`] says of a message of the user's, from then on.
    pub fn advance(&mut self, watermark: &Watermark) {
        let own = self.by.as_ref().is_none_or(|by| by.user == watermark.who.user);
        if let Some(state) = self.state.as_mut().filter(|_| !own) {
            let heard = State::at(self.seq, watermark.delivered, watermark.read);
            if heard.rank() > state.rank() {
                *state = heard;
            }
        }
    }
}

impl State {
    fn rank(&self) -> u8 {
        match self {
            Self::Failed { .. } | Self::Queued => 0,
            Self::Sent => 1,
            Self::Delivered => 2,
            Self::Read => 3,
        }
    }

    pub(crate) fn failed(error: &Error) -> Self {
        Self::Failed { reason: error.to_string(), remedy: error.remedy() }
    }

    /// What became of an entry at `seq`, by how far the other members have got.
    pub(crate) fn at(seq: u64, delivered: u64, read: u64) -> Self {
        match (read >= seq, delivered >= seq) {
            (true, _) => Self::Read,
            (false, true) => Self::Delivered,
            (false, false) => Self::Sent,
        }
    }
}
