//! How far a member has got.

use aside_proto::{
    id::{IdLengthError, UserId},
    v1,
};

/// A user's two watermarks in a conversation (MARK-001). They never fall while the user stays a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watermarks {
    /// Every entry up to it has reached one of the user's devices.
    pub delivered_seq: u64,
    /// Every entry up to it was shown to the user.
    pub read_seq: u64,
}

/// Whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// The member.
    pub user: UserId,
    /// How far that member has got.
    pub at: Watermarks,
}

impl Watermarks {
    /// The greater of each: what was told later never takes anything back.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            delivered_seq: self.delivered_seq.max(other.delivered_seq),
            read_seq: self.read_seq.max(other.read_seq),
        }
    }
}

impl TryFrom<v1::Watermark> for Watermark {
    type Error = IdLengthError;

    fn try_from(watermark: v1::Watermark) -> Result<Self, IdLengthError> {
        let v1::Watermark { user_id, delivered_seq, read_seq } = watermark;
        Ok(Self { user: user_id[..].try_into()?, at: Watermarks { delivered_seq, read_seq } })
    }
}
