//! Who reads.

use aside_proto::{id::UserId, v1};

use crate::error::Refused;

/// Who reads. A `UserId` stands for one whose device is approved.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// Whose account.
    pub user: UserId,
    /// Whether the device is one of the user's device log: no other may read in private conversations (PRIV-002).
    pub is_approved: bool,
}

impl From<UserId> for Reader {
    fn from(user: UserId) -> Self {
        Self { user, is_approved: true }
    }
}

impl Reader {
    /// Whether a member may read in a conversation of this kind.
    pub(crate) fn check(self, kind: v1::ConversationKind) -> Result<(), Refused> {
        match kind {
            v1::ConversationKind::PublicRoom => Ok(()),
            _ if self.is_approved => Ok(()),
            _ => Err(Refused::DeviceNotApproved { devices: Vec::new() }),
        }
    }
}
