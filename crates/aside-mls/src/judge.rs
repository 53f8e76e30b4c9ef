//! Whose leaf is this, and may it be here? The caller knows; MLS asks.

use std::sync::Arc;

use aside_proto::id::{DeviceId, UserId};
use mls_rs::{
    ExtensionList, IdentityProvider,
    error::IntoAnyError,
    identity::{CredentialType, SigningIdentity, basic::BasicCredential},
    time::MlsTime,
};
use mls_rs_core::identity::MemberValidationContext;

use crate::Suite;

/// Who a leaf belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The user.
    pub user: UserId,
    /// The user's device: at most one leaf of a group is any one device's (MLS-010).
    pub device: DeviceId,
}

/// What a leaf says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf<'a> {
    /// The identity of its BasicCredential: a device certificate (MLS-003).
    pub certificate: &'a [u8],
    /// Its signature key, as long as the suite's are.
    pub signature_key: &'a [u8],
    /// The suite of its group.
    pub suite: Suite,
}

/// The leaf is no one's, or may not be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the leaf's credential is refused")]
pub struct CredentialRefused;

/// Tells leaves apart by the device certificates and device logs that a client holds.
///
/// It is asked often, for a whole tree when a group is loaded or joined: an implementation remembers what it has verified.
pub trait Judge: Send + Sync {
    /// Whose leaf it is: the certificate is genuine and names this signature key for this suite. The answer does not change
    /// over time, so that a member that was revoked since can still be told apart.
    ///
    /// # Errors
    /// If the certificate is not genuine, or names another key.
    fn owner(&self, leaf: Leaf<'_>) -> Result<Owner, CredentialRefused>;

    /// Whether the device may now come in, or commit: it is approved by its user's device log, and not revoked.
    ///
    /// # Errors
    /// If it may not.
    fn admit(&self, leaf: Leaf<'_>, owner: Owner) -> Result<(), CredentialRefused>;
}

/// A [`Judge`] as MLS asks it.
#[derive(Clone)]
pub(crate) struct Identities {
    pub(crate) judge: Arc<dyn Judge>,
    pub(crate) suite: Suite,
}

impl Identities {
    /// Whose leaf this is (MLS-003, MLS-004).
    pub(crate) fn owner(&self, identity: &SigningIdentity) -> Result<Owner, CredentialRefused> {
        self.judge.owner(self.leaf(identity)?)
    }

    /// Whose leaf this is, if it may come in (MLS-009).
    pub(crate) fn admit(&self, identity: &SigningIdentity) -> Result<Owner, CredentialRefused> {
        let leaf = self.leaf(identity)?;
        let owner = self.judge.owner(leaf)?;
        self.judge.admit(leaf, owner)?;
        Ok(owner)
    }

    fn leaf<'a>(&self, identity: &'a SigningIdentity) -> Result<Leaf<'a>, CredentialRefused> {
        let credential = identity.credential.as_basic().ok_or(CredentialRefused)?;
        let key: &[u8] = &identity.signature_key;
        let uncompressed = key.first() == Some(&4) && key.len() == self.suite.signature_key_bytes();
        uncompressed.then_some(()).ok_or(CredentialRefused)?;
        Ok(Leaf { certificate: credential.identifier(), signature_key: key, suite: self.suite })
    }
}

impl IntoAnyError for CredentialRefused {
    fn into_dyn_error(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self> {
        Ok(self.into())
    }
}

impl IdentityProvider for Identities {
    type Error = CredentialRefused;

    /// Those who are in a tree that is joined were admitted by its members; whoever comes in or commits is judged now.
    fn validate_member(
        &self,
        identity: &SigningIdentity,
        _: Option<MlsTime>,
        context: MemberValidationContext<'_>,
    ) -> Result<(), CredentialRefused> {
        match context {
            MemberValidationContext::ForNewGroup { .. } => self.owner(identity),
            _ => self.admit(identity),
        }
        .map(|_| ())
    }

    fn validate_external_sender(
        &self,
        _: &SigningIdentity,
        _: Option<MlsTime>,
        _: Option<&ExtensionList>,
    ) -> Result<(), CredentialRefused> {
        Err(CredentialRefused)
    }

    fn identity(
        &self,
        identity: &SigningIdentity,
        _: &ExtensionList,
    ) -> Result<Vec<u8>, CredentialRefused> {
        self.owner(identity).map(|owner| owner.device.as_bytes().to_vec())
    }

    /// A leaf may be replaced only by another of its device: in a commit's path, or when the device joins again.
    fn valid_successor(
        &self,
        predecessor: &SigningIdentity,
        successor: &SigningIdentity,
        _: &ExtensionList,
    ) -> Result<bool, CredentialRefused> {
        Ok(self.owner(predecessor)? == self.owner(successor)?)
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        vec![BasicCredential::credential_type()]
    }
}
