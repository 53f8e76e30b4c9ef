//! Ways to break a device of private conversations, each of which an invariant must notice.

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PrivateSabotage {
    /// Now and then what has to be durable before something is sent is not written.
    ForgetToSave,
    /// A commit is merged when it is sent, and not when the server has accepted it.
    MergeEarly,
    /// A device whose disk was put back is not shown what it sent since.
    HideOwn,
    /// Now and then a message is said to be sent that was not.
    AckUnsent,
    /// Now and then a commit is not shown to the engine.
    SkipCommit,
    /// What was encrypted for an epoch that is over is sent again instead of being encrypted anew.
    ResendStale,
    /// A device log is believed without being held against what was pinned, and so a device that the server put into it.
    BelieveAnyLog,
    /// What was read is read again.
    ReadTwice,
}

impl PrivateSabotage {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ForgetToSave,
        Self::MergeEarly,
        Self::HideOwn,
        Self::AckUnsent,
        Self::SkipCommit,
        Self::ResendStale,
        Self::BelieveAnyLog,
        Self::ReadTwice,
    ];
}
