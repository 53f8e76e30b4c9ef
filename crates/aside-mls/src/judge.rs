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
    /// The user's device: at most one leaf of a group is any one device's (MLS-010). Another user's may have the same id.
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

/// Tells leaves apart by the device logs that a client holds.
///
/// A certificate proves nothing by itself: anyone may sign one that names any user and device. What counts is that the
/// device log of that user holds it, these very bytes, for that device. A judge that cannot say so, because it does not hold
/// the log yet, fetches it before it lets the question come: it refuses what it does not know.
///
/// It is asked often, for all leaves when a group is loaded or joined and before anything is encrypted: an implementation
/// remembers what it has verified.
pub trait Judge: Send + Sync {
    /// Whose leaf it is: the certificate is, byte for byte, one that its user's device log gave the device, in a tenure that
    /// goes on or has ended, and names this signature key for this suite (MLS-003, MLS-025). A device that was revoked since
    /// is still told, so that it can be removed; one that never was in the log is refused. The answer never changes from a
    /// device to none, as device logs only grow.
    ///
    /// # Errors
    /// If the user's log does not hold the certificate, or the certificate names another key.
    fn owner(&self, leaf: Leaf<'_>) -> Result<Owner, CredentialRefused>;

    /// Whether the device may now come in, commit, invite, and be encrypted to: the tenure whose certificate this is goes on
    /// at the head of its user's device log that the client knows, even if the device has renewed the certificate since
    /// (MLS-009).
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

    /// A tree that is joined may hold devices that were revoked since, and none that never were in a device log (MLS-025); so may a
    /// commit that is read later than it was made. Whom this device lets in is judged when it commits (MLS-009).
    fn validate_member(
        &self,
        identity: &SigningIdentity,
        _: Option<MlsTime>,
        context: MemberValidationContext<'_>,
    ) -> Result<(), CredentialRefused> {
        let MemberValidationContext::None = context else {
            return self.owner(identity).map(|_| ());
        };
        self.admit(identity).map(|_| ())
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
        let Owner { user, device } = self.owner(identity)?;
        Ok([*user.as_bytes(), *device.as_bytes()].concat())
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
