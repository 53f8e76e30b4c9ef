//! Coming into a group without being let in: an external commit.

use std::collections::BTreeSet;

use mls_rs::{MlsMessage, extension::built_in::RatchetTreeExt, group::Member};
use mls_rs_core::extension::ExtensionType;

use crate::{
    ClaimedChange, CredentialRefused, Crypto, DefaultCrypto, Device, Error, Group, GroupId,
    OutgoingCommit, Owner, Reason, Suite, group::header_hash, wire::check_tree,
};

/// An external commit that is about to be made: it is claimed in a header first.
pub struct Rejoin<'a, P: Crypto = DefaultCrypto> {
    device: &'a Device<P>,
    suite: Suite,
    id: GroupId,
    group_info: MlsMessage,
    claim: ClaimedChange,
    old_leaf: Option<u32>,
    leaves: BTreeSet<Owner>,
    signer: Owner,
}

impl<'a, P: Crypto> Rejoin<'a, P> {
    pub(crate) fn new(
        device: &'a Device<P>,
        suite: Suite,
        id: GroupId,
        own: Owner,
        group_info: MlsMessage,
    ) -> Result<Self, Error> {
        let info = group_info.as_group_info().ok_or(Reason::WrongKind)?;
        let tree = info.extensions().get(ExtensionType::RATCHET_TREE);
        check_tree(&tree.ok_or(Reason::WrongProfile)?.extension_data)?;
        let tree = info.extensions().get_as::<RatchetTreeExt>().map_err(|_| Reason::Malformed)?;
        let tree = tree.ok_or(Reason::WrongProfile)?.tree_data;
        let identities = device.identities(suite);
        let signer = tree.roster().member_with_index(info.sender()).map_err(|_| Reason::Invalid)?;
        let refused = |CredentialRefused| Reason::CredentialRefused;
        identities.admit(&signer.signing_identity).map_err(refused)?;
        let signer = identities.owner(&signer.signing_identity).map_err(refused)?;
        let is_own = |member: &Member| identities.owner(&member.signing_identity) == Ok(own);
        let old_leaf = tree.roster().members_iter().find(is_own).map(|member| member.index);
        let leaves: Result<BTreeSet<_>, _> = tree
            .roster()
            .members_iter()
            .map(|member| identities.owner(&member.signing_identity).map_err(refused))
            .collect();
        let leaves = leaves?;
        let claim = ClaimedChange {
            epoch: info.group_context().epoch,
            added: [own].into(),
            removed: old_leaf.map(|_| own).into_iter().collect(),
        };
        Ok(Self { device, suite, id, group_info, claim, old_leaf, leaves, signer })
    }

    /// What the commit does, for its header.
    #[must_use]
    pub const fn claim(&self) -> &ClaimedChange {
        &self.claim
    }

    /// The devices in the group's tree: to be held against what the server says of them (MLS-039).
    #[must_use]
    pub const fn leaves(&self) -> &BTreeSet<Owner> {
        &self.leaves
    }

    /// Whose GroupInfo it is, once the commit is made: its signature is verified then.
    #[must_use]
    pub const fn signer(&self) -> Owner {
        self.signer
    }

    /// Makes the commit. The group is the one after it: keep it only if the server accepts the commit. It takes no time:
    /// MLS would judge the lifetimes of all KeyPackages in the tree by it, which may be long over (MLS-016).
    ///
    /// # Errors
    /// [`Error::Refused`] if the GroupInfo or its tree does not hold, or no device of this user is in the group.
    pub fn commit(self, header: &[u8]) -> Result<(Group<P>, OutgoingCommit), Error> {
        let refused = |error| Reason::of(&error, Reason::Invalid);
        let mut builder = self
            .device
            .client(self.suite)?
            .external_commit_builder()
            .map_err(refused)?
            .with_authenticated_data(header_hash(header).to_vec());
        if let Some(leaf) = self.old_leaf {
            builder = builder.with_removal(leaf);
        }
        let (group, commit) = builder.build(self.group_info).map_err(refused)?;
        let group = self.device.group(group, self.suite, self.id);
        let commit = OutgoingCommit {
            commit: commit.to_bytes().map_err(refused)?,
            welcome: None,
            group_info: group.group_info()?,
        };
        Ok((group, commit))
    }
}
