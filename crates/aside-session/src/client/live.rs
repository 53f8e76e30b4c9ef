//! What is told to whoever is connected, and to nobody later: presence, typing, notices.

use aside_proto::{
    id::{ConversationId, IdLengthError, UserId},
    v1::{self, server_frame::Body},
};

/// Something that is told once.
#[derive(Debug, Clone, PartialEq)]
pub enum Live {
    /// A user came, went, or has another status; or this user has set something on another connection (PRES-010, PRES-011).
    Presence {
        /// Who.
        user: UserId,
        /// Whether the user is online now.
        online: bool,
        /// What the user has to say; empty unless online. To be neutralised before it is displayed.
        status: String,
        /// Of this connection's own user: the settings as they are now.
        settings: Option<v1::PresenceSettings>,
    },
    /// A member writes, or no longer: for [`Typists`](super::Typists) (TYPE-003).
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Whether the member writes.
        typing: bool,
    },
    /// The operator has something to say. To be neutralised before it is displayed.
    Notice(v1::Notice),
}

impl Live {
    /// Reads an event; none if it is another.
    ///
    /// # Errors
    /// It names somebody by what is no id.
    pub(super) fn read(event: Body) -> Result<Option<Self>, IdLengthError> {
        Ok(Some(match event {
            Body::PresenceChanged(changed) => Self::Presence {
                user: changed.user_id[..].try_into()?,
                online: changed.online,
                status: changed.status_text,
                settings: changed.settings,
            },
            Body::TypingChanged(changed) => Self::Typing {
                conversation: changed.conversation_id[..].try_into()?,
                user: changed.user_id[..].try_into()?,
                typing: changed.typing,
            },
            Body::Notice(notice) => Self::Notice(notice),
            _ => return Ok(None),
        }))
    }
}
