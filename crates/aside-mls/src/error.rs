//! Why what came from others is refused, and what goes wrong at home.

use std::collections::BTreeSet;

use mls_rs::error::MlsError;

use crate::{Owner, rules::Broken};

/// Why a message, commit, Welcome, GroupInfo or KeyPackage is refused. The list is closed, and each reason has its repair.
///
/// A refused input changes nothing: the group is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Reason {
    /// Not an MLSMessage of this profile, or with something after it. *Repair:* none; the message is shown as damaged, a
    /// commit is rejected (`CommitRejected`).
    #[error("not an MLS message")]
    Malformed,
    /// An MLS message of another kind than the place it stands in, or in another wire format than the profile's (MLS-005).
    /// *Repair:* as [`Self::Malformed`].
    #[error("an MLS message of another kind")]
    WrongKind,
    /// Of another group, or another generation of this one. *Repair:* as [`Self::Malformed`].
    #[error("of another group")]
    WrongGroup,
    /// Of another suite than the group's, or one that the profile or this device does not have. *Repair:* none here; the
    /// device's owner is told that it lacks the suite.
    #[error("of another cipher suite")]
    WrongSuite,
    /// Of an epoch that is over; no past epoch is kept (MLS-018). *Repair:* none; the server accepts messages at the
    /// current epoch only, so the log is out of order. A Welcome or GroupInfo of an epoch that is over, or that this device
    /// is past, is ignored: it leads back (MLS-030).
    #[error("of an epoch that is over")]
    StaleEpoch,
    /// Of an epoch that this device has not reached. *Repair:* fetch and process the log up to it; if it is processed,
    /// join again.
    #[error("of a later epoch")]
    FutureEpoch,
    /// This device was removed from the group. *Repair:* wait to be added, or join again if its user is still in it.
    #[error("this device is not in the group")]
    NotAMember,
    /// The message's key was used before. *Repair:* ignore it; what it says is already in the store.
    #[error("a repetition")]
    Replayed,
    /// More than [`MAX_MISSING`](crate::MAX_MISSING) messages of its sender are missing (MLS-033). *Repair:* fetch what is
    /// missing and process it first; if there is nothing, its sender skipped keys, and it is shown as damaged.
    #[error("too far ahead of what came from its sender")]
    TooFarAhead,
    /// Made by this device, as its header says too, in a state that it no longer has. *Repair:* join again before sending,
    /// as a restored backup must.
    #[error("made by this device")]
    Own,
    /// It does not decrypt: the ciphertext or what is authenticated with it was changed, or it was made for others.
    /// *Repair:* none for a message; after a commit that others accept, join again.
    #[error("does not decrypt")]
    Tampered,
    /// A signature, MAC or hash does not hold. *Repair:* as [`Self::Tampered`].
    #[error("a signature or authenticator does not hold")]
    Unauthentic,
    /// Its header names another sender than it has (MLS-028). *Repair:* none for a message, which is not shown; a commit is
    /// rejected.
    #[error("of another sender than its header says")]
    SenderMismatch,
    /// It was made for another clear header (MLS-014). *Repair:* none for a message; a commit is rejected.
    #[error("made for another header")]
    HeaderMismatch,
    /// The commit does something else than its header claims (MLS-015), or a group begins with other leaves (MLS-038).
    /// *Repair:* the commit is rejected (`CommitRejected`), and so is one whose Welcome does not fit its header. That a GroupInfo has
    /// other leaves than the server lists (MLS-039) is no evidence against who made it.
    #[error("the commit does something else than its header claims")]
    ClaimMismatch,
    /// A leaf's certificate is not the one in its user's device log, its device may not be here, or who made the commit,
    /// Welcome or GroupInfo is not approved (MLS-003, MLS-009, MLS-025, MLS-026). *Repair:* the commit is rejected; a
    /// KeyPackage is left out, and the others are added; a Welcome or GroupInfo is shown as an attack on the conversation.
    #[error("a credential is refused")]
    CredentialRefused,
    /// An external commit by a device whose user is not in the group, or that removes another's leaf (MLS-012). *Repair:*
    /// the commit is rejected.
    #[error("an external commit that is not allowed")]
    ExternalCommitRefused,
    /// The commit proposes something that the profile has not, or by reference (MLS-008). *Repair:* the commit is rejected.
    #[error("a proposal that is not allowed")]
    ForbiddenProposal,
    /// The commit does not renew its maker's keys (MLS-007). *Repair:* the commit is rejected.
    #[error("a commit without a path")]
    NoPath,
    /// The group would have more leaves, or a Welcome, GroupInfo, commit or KeyPackage is longer, than the profile allows (MLS-034,
    /// MLS-035, MLS-041, MLS-042). *Repair:* the commit is rejected; anything else is ignored.
    #[error("too large")]
    TooLarge,
    /// The commit, tree or GroupInfo breaks a rule of RFC 9420, or a leaf has extensions (MLS-047). *Repair:* the commit is rejected;
    /// after one that others accept, join again.
    #[error("breaks a rule of MLS")]
    Invalid,
    /// A KeyPackage outside of its lifetime (MLS-016), or of a longer one than the profile has (MLS-037). *Repair:* it is left out;
    /// its device publishes new ones when it is next online.
    #[error("outside of its lifetime")]
    Expired,
    /// A Welcome for a KeyPackage whose secrets this device does not have. *Repair:* join again.
    #[error("for an unknown key package")]
    UnknownKeyPackage,
    /// The group has extensions, required capabilities or external senders among them (MLS-006). *Repair:* none; it is not
    /// a group of this profile.
    #[error("not a group of this profile")]
    WrongProfile,
    /// The content is not padded as the profile says (MLS-022). *Repair:* none; the message is shown as damaged.
    #[error("padded otherwise than the profile says")]
    BadPadding,
    /// A client that was in a group knows the users who were there; this Welcome or GroupInfo is of somebody else (MLS-049). *Repair:*
    /// its user says whether to come in.
    #[error("made by somebody whom this device does not know to be in the group")]
    Stranger,
}

impl Reason {
    /// What MLS found, or `otherwise` where it says no more than that a rule is broken.
    pub(crate) fn of(error: &MlsError, otherwise: Self) -> Self {
        match error {
            MlsError::SerializationError(_) | MlsError::ExtensionError(_) => Self::Malformed,
            MlsError::UnexpectedMessageType | MlsError::UnencryptedApplicationMessage => {
                Self::WrongKind
            }
            MlsError::GroupIdMismatch => Self::WrongGroup,
            MlsError::CipherSuiteMismatch | MlsError::UnsupportedCipherSuite(_) => Self::WrongSuite,
            MlsError::KeyMissing(_) => Self::Replayed,
            MlsError::InvalidFutureGeneration(_) => Self::TooFarAhead,
            MlsError::CantProcessMessageFromSelf => Self::Own,
            MlsError::CommitMissingPath => Self::NoPath,
            MlsError::CryptoProviderError(_) => Self::Tampered,
            MlsError::InvalidSignature
            | MlsError::InvalidConfirmationTag
            | MlsError::InvalidMembershipTag
            | MlsError::TreeHashMismatch => Self::Unauthentic,
            MlsError::IdentityProviderError(_) | MlsError::InvalidSuccessor => {
                Self::CredentialRefused
            }
            MlsError::MlsRulesError(broken) => {
                match broken.inner_dyn_error().downcast_ref::<Broken>() {
                    Some(Broken::Proposal) => Self::ForbiddenProposal,
                    Some(Broken::External) => Self::ExternalCommitRefused,
                    Some(Broken::Credential(_)) => Self::CredentialRefused,
                    None => otherwise,
                }
            }
            MlsError::ExternalCommitRemovesOtherIdentity
            | MlsError::ExternalCommitWithMoreThanOneRemove => Self::ExternalCommitRefused,
            MlsError::ProposalNotFound
            | MlsError::InvalidCommitSelfUpdate
            | MlsError::InvalidProposalTypeForSender
            | MlsError::InvalidProposalTypeInExternalCommit(_) => Self::ForbiddenProposal,
            MlsError::InvalidLifetime { .. } => Self::Expired,
            MlsError::WelcomeKeyPackageNotFound => Self::UnknownKeyPackage,
            _ => otherwise,
        }
    }
}

/// Why this device can't do what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A commit of this device is not decided: apply it when the server has accepted it, clear it when it has not.
    #[error("a commit of this device is pending")]
    CommitPending,
    /// There is no commit to apply.
    #[error("no commit of this device is pending")]
    NoCommitPending,
    /// This device was removed from the group.
    #[error("this device is not in the group")]
    NotAMember,
    /// A device to remove is not in the group.
    #[error("not in the group: device {} of {}", .0.device, .0.user)]
    NotInGroup(Owner),
    /// These members are not approved at the head of their users' device logs, as far as the judge knows them: nothing is
    /// encrypted to them, and only a commit that removes all of them is made (MLS-027).
    #[error("{} members are not approved", .0.len())]
    NotApproved(BTreeSet<Owner>),
    /// No commit removed this device, or the removal stands already.
    #[error("this device was not removed")]
    NotRemoved,
    /// These KeyPackages, by their places in the list, can't be added, and why; the others can.
    #[error("{} key packages can't be added", .0.len())]
    KeyPackages(Vec<(usize, Reason)>),
    /// The content is longer than the largest bucket holds.
    #[error("the content is too long")]
    TooLong,
    /// This device has no signature key for the suite.
    #[error("no signature key for the suite")]
    NoKey,
    /// Stored bytes are not what this version wrote, or hold a leaf that the judge does not know.
    #[error("the stored state can't be read")]
    State,
    /// What was asked for can't be done, because of what others made.
    #[error(transparent)]
    Refused(#[from] Reason),
}
