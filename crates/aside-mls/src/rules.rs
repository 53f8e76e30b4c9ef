//! What a commit may propose, and how commits are made.

use mls_rs::{
    MlsRules,
    client_builder::PaddingMode,
    error::IntoAnyError,
    group::{GroupContext, Roster},
    mls_rules::{CommitDirection, CommitOptions, CommitSource, EncryptionOptions, ProposalBundle},
};

use crate::{CredentialRefused, judge::Identities};

/// Why a commit breaks the profile, though not RFC 9420.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("a commit may only add and remove, by value")]
    Proposal,
    #[error("an external commit is only for approved devices of users in the group")]
    External,
    #[error(transparent)]
    Credential(#[from] CredentialRefused),
}

impl IntoAnyError for Broken {
    fn into_dyn_error(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self> {
        Ok(self.into())
    }
}

/// The profile's rules, held by who commits as by who receives.
#[derive(Clone)]
pub(crate) struct Rules(pub(crate) Identities);

impl MlsRules for Rules {
    type Error = Broken;

    /// MLS-008: adds, removes, and the ExternalInit of an external commit. MLS-009: who may commit; MLS asks this by itself
    /// only of a commit with a path. MLS-012: who may commit externally.
    fn filter_proposals(
        &self,
        direction: CommitDirection,
        source: CommitSource,
        roster: &Roster<'_>,
        _: &GroupContext,
        proposals: ProposalBundle,
    ) -> Result<ProposalBundle, Broken> {
        let allowed = proposals.add_proposals().len()
            + proposals.remove_proposals().len()
            + proposals.external_init_proposals().len();
        let by_value = proposals.iter_proposals().all(|proposal| proposal.is_by_value());
        if allowed != proposals.length() || !by_value {
            return Err(Broken::Proposal);
        }
        match source {
            CommitSource::ExistingMember(member) => {
                // Its device may have been revoked since, and then let nobody else in.
                let adds = !proposals.add_proposals().is_empty();
                match adds || direction == CommitDirection::Send {
                    true => self.0.admit(&member.signing_identity)?,
                    false => self.0.owner(&member.signing_identity)?,
                };
            }
            CommitSource::NewMember(identity) => {
                let user = match direction {
                    CommitDirection::Send => self.0.admit(&identity)?,
                    CommitDirection::Receive => self.0.owner(&identity)?,
                }
                .user;
                let is_theirs = |member| self.0.owner(member).is_ok_and(|owner| owner.user == user);
                if !roster.member_identities_iter().any(is_theirs) {
                    return Err(Broken::External);
                }
            }
        }
        Ok(proposals)
    }

    /// MLS-007, MLS-013: every commit renews the committer's path, and comes with what is needed to join at the new epoch.
    fn commit_options(
        &self,
        _: &Roster<'_>,
        _: &GroupContext,
        _: &ProposalBundle,
    ) -> Result<CommitOptions, Broken> {
        Ok(CommitOptions::new()
            .with_path_required(true)
            .with_ratchet_tree_extension(true)
            .with_single_welcome_message(true)
            .with_allow_external_commit(true))
    }

    /// MLS-005: members' commits are PrivateMessages. The padding is ours, inside.
    fn encryption_options(
        &self,
        _: &Roster<'_>,
        _: &GroupContext,
    ) -> Result<EncryptionOptions, Broken> {
        Ok(EncryptionOptions::new(true, PaddingMode::None))
    }
}
