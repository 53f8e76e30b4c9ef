//! This device: its keys, its KeyPackages, and how it comes into groups.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc, time::Duration};

use mls_rs::{
    Client, ExtensionList, MlsMessage,
    client_builder::{
        BaseConfig, WithCryptoProvider, WithGroupStateStorage, WithIdentityProvider,
        WithKeyPackageRepo, WithMlsRules,
    },
    extension::{MlsExtension as _, recommended::LastResortKeyPackageExt},
    group::GroupInfo,
    identity::{SigningIdentity, basic::BasicCredential},
    time::MlsTime,
};
use mls_rs_core::extension::ExtensionType;

use crate::{
    Changes, ClaimedChange, CredentialRefused, Crypto, DefaultCrypto, Error, Group, GroupId, Judge,
    Owner, Reason, Secret, SigningKey, Suite,
    judge::Identities,
    rejoin::Rejoin,
    rules::Rules,
    storage::{Store, Stored, split_state},
    wire::{MAX_WELCOME_BYTES, check_tree},
};

/// How long a KeyPackage may be used from when it is made: 84 days (MLS-016).
pub const KEY_PACKAGE_LIFETIME: Duration = Duration::from_secs(84 * 24 * 60 * 60);
/// How far a KeyPackage's lifetime begins in the past, for clocks that are behind: an hour.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// How mls-rs is set up.
pub(crate) type Config<P> = WithMlsRules<
    Rules,
    WithCryptoProvider<
        P,
        WithIdentityProvider<
            Identities,
            WithGroupStateStorage<Store, WithKeyPackageRepo<Store, BaseConfig>>,
        >,
    >,
>;

/// A device: what all its groups have in common.
///
/// Times are seconds since 1970, and come in as arguments: nothing here reads a clock.
pub struct Device<P: Crypto = DefaultCrypto> {
    certificate: Vec<u8>,
    keys: Vec<SigningKey>,
    judge: Arc<dyn Judge>,
    provider: P,
    store: Store,
}

impl<P: Crypto> Device<P> {
    /// A device with its certificate, its signature key for each suite it has, and the KeyPackages that
    /// [`Changes::key_packages`] said to keep.
    ///
    /// # Errors
    /// [`Error::State`] if a KeyPackage is not what was stored.
    pub fn new(
        certificate: Vec<u8>,
        keys: Vec<SigningKey>,
        judge: Arc<dyn Judge>,
        key_packages: impl IntoIterator<Item = (Vec<u8>, Secret)>,
    ) -> Result<Self, Error> {
        let store = Store::new(key_packages)?;
        Ok(Self { certificate, keys, judge, provider: P::provider(), store })
    }

    /// A new KeyPackage, good for [`KEY_PACKAGE_LIFETIME`]: an MLSMessage to publish. Its secrets are in the changes, and
    /// must be stored before it is published. One that is a last resort may be used again and again (MLS-017); any other
    /// loses its secrets with the group that it was used for being saved.
    ///
    /// # Errors
    /// [`Error::NoKey`] if the device lacks the suite.
    pub fn key_package(&self, suite: Suite, last_resort: bool, now: u64) -> Result<Vec<u8>, Error> {
        let mut extensions = ExtensionList::new();
        if last_resort {
            let extension = LastResortKeyPackageExt.into_extension().map_err(|_| Error::NoKey)?;
            extensions.set(extension);
        }
        let begins = MlsTime::from(now.saturating_sub(CLOCK_SKEW.as_secs()));
        self.client(suite)?
            .generate_key_package_message(extensions, ExtensionList::new(), Some(begins))
            .and_then(|message| message.to_bytes())
            .map_err(|error| Reason::of(&error, Reason::Invalid).into())
    }

    /// Deletes the secrets of KeyPackages that expired before this time. Until the inbox is empty, a Welcome for one may
    /// still come.
    pub fn forget_expired_key_packages(&self, before: u64) {
        self.store.forget_expired(before);
    }

    /// A new group with this device as its only member, at epoch 0.
    ///
    /// # Errors
    /// [`Error::NoKey`] if the device lacks the suite; [`Reason::CredentialRefused`] if the judge does not admit it.
    pub fn create(&self, suite: Suite, id: GroupId, now: u64) -> Result<Group<P>, Error> {
        let (none, now) = (ExtensionList::new(), MlsTime::from(now));
        self.client(suite)?
            .create_group_with_id(id.to_bytes().to_vec(), none.clone(), none, Some(now))
            .map(|group| self.group(group, suite, id))
            .map_err(|error| Reason::of(&error, Reason::Invalid).into())
    }

    /// The group that a Welcome invites to, which came with a commit of `by` that its header says to be this. If the client holds
    /// the group already, it says at which epoch: a Welcome does not lead back (MLS-030). The lifetimes of KeyPackages in its
    /// tree are not looked at (MLS-016): those were good when their devices came in.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not a Welcome for this device to this group at the epoch after the commit, if the commit
    /// does not claim to add this device, if another than `by` made it, if its maker or a leaf is refused, or if a group that begins
    /// has other leaves than its maker's and those that are claimed (MLS-038); [`Error::NoKey`] if the device lacks the suite.
    pub fn join(
        &self,
        welcome: &[u8],
        id: GroupId,
        (by, commit): (Owner, &ClaimedChange),
        held: Option<u64>,
    ) -> Result<Group<P>, Error> {
        let welcome = parse_welcome(welcome)?;
        let suite = welcome.cipher_suite().ok_or(Reason::WrongKind)?;
        let suite = Suite::of(suite).ok_or(Reason::WrongSuite)?;
        let refused = |error| Reason::of(&error, Reason::Invalid);
        let client = self.client(suite)?;
        let info = client.examine_welcome_message(&welcome).map_err(refused)?;
        check_group_info(&info, id)?;
        // Only the epoch's own number may be the greatest: no commit leads on from there.
        let epoch = commit.epoch.checked_add(1).ok_or(Reason::Invalid)?;
        check_epoch(info.group_context().epoch, epoch, held)?;
        if held == Some(epoch) {
            return Err(Reason::StaleEpoch.into());
        }
        if !commit.added.contains(&self.owner(suite)?) {
            return Err(Reason::ClaimMismatch.into());
        }
        let tree = info.extensions().get(ExtensionType::RATCHET_TREE);
        check_tree(&tree.ok_or(Reason::WrongProfile)?.extension_data)?;
        let (group, _) = client.join_group(None, &welcome, None).map_err(refused)?;
        let signer = group.member_at_index(info.sender()).ok_or(Reason::Invalid)?;
        let refused = |CredentialRefused| Reason::CredentialRefused;
        let identities = self.identities(suite);
        identities.admit(&signer.signing_identity).map_err(refused)?;
        if identities.owner(&signer.signing_identity).map_err(refused)? != by {
            return Err(Reason::SenderMismatch.into());
        }
        let group = self.group(group, suite, id);
        if epoch == 1 {
            check_first_leaves(&group, info.sender(), commit)?;
        }
        Ok(group)
    }

    /// An external commit by which this device comes into the group anew, its old leaf removed (MLS-012), by the GroupInfo
    /// of the group's current epoch, which the log says. If the client holds the group still, it says at which epoch: a
    /// GroupInfo does not lead back (MLS-030).
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not a GroupInfo of this group at this epoch, or its maker or a leaf is refused;
    /// [`Error::NoKey`] if the device lacks the suite.
    pub fn rejoin(
        &self,
        group_info: &[u8],
        id: GroupId,
        epoch: u64,
        held: Option<u64>,
    ) -> Result<Rejoin<'_, P>, Error> {
        let message = parse_welcome(group_info)?;
        let info = message.as_group_info().ok_or(Reason::WrongKind)?;
        let suite = check_group_info(info, id)?;
        check_epoch(info.group_context().epoch, epoch, held)?;
        let own = self.owner(suite)?;
        Rejoin::new(self, suite, id, own, message)
    }

    /// The group with this stored state.
    ///
    /// # Errors
    /// [`Error::State`] if it can't be read; [`Error::NoKey`] if the device lacks the suite.
    pub fn load(&self, state: &[u8]) -> Result<Group<P>, Error> {
        let Stored { suite, id, notes, mls } = split_state(state).ok_or(Error::State)?;
        let client = self.client(suite)?;
        self.store
            .while_loading(id, mls, || client.load_group(&id.to_bytes()))
            .map(|group| self.group(group, suite, id).with_notes(notes))
            .map_err(|_| Error::State)
    }

    /// What is to be written since the last call.
    #[must_use]
    pub fn take_changes(&self) -> Changes {
        self.store.take_changes()
    }

    pub(crate) fn client(&self, suite: Suite) -> Result<Client<Config<P>>, Error> {
        let key = self.key(suite)?;
        let identities = self.identities(suite);
        Ok(Client::builder()
            .key_package_repo(self.store.of(suite))
            .group_state_storage(self.store.of(suite))
            .identity_provider(identities.clone())
            .crypto_provider(self.provider.clone())
            .mls_rules(Rules(identities))
            .extension_type(ExtensionType::LAST_RESORT_KEY_PACKAGE)
            .key_package_lifetime(KEY_PACKAGE_LIFETIME + CLOCK_SKEW)
            .signing_identity(self.identity(key), key.secret.clone(), suite.mls())
            .build())
    }

    pub(crate) fn group(
        &self,
        group: mls_rs::Group<Config<P>>,
        suite: Suite,
        id: GroupId,
    ) -> Group<P> {
        Group::new(group, self.identities(suite), self.store.of(suite), id)
    }

    pub(crate) fn identities(&self, suite: Suite) -> Identities {
        Identities { judge: Arc::clone(&self.judge), suite }
    }

    fn owner(&self, suite: Suite) -> Result<Owner, Error> {
        let identity = self.identity(self.key(suite)?);
        let refused = |CredentialRefused| Reason::CredentialRefused;
        Ok(self.identities(suite).owner(&identity).map_err(refused)?)
    }

    fn identity(&self, key: &SigningKey) -> SigningIdentity {
        let credential = BasicCredential::new(self.certificate.clone()).into_credential();
        SigningIdentity::new(credential, key.public().to_vec().into())
    }

    fn key(&self, suite: Suite) -> Result<&SigningKey, Error> {
        self.keys.iter().find(|key| key.suite() == suite).ok_or(Error::NoKey)
    }
}

/// An MLSMessage with nothing after it.
pub(crate) fn parse(bytes: &[u8]) -> Result<MlsMessage, Reason> {
    MlsMessage::from_bytes(bytes).map_err(|_| Reason::Malformed)
}

/// A Welcome or GroupInfo, which may be as long as those are (MLS-035).
fn parse_welcome(bytes: &[u8]) -> Result<MlsMessage, Reason> {
    check_length(bytes, MAX_WELCOME_BYTES)?;
    parse(bytes)
}

pub(crate) fn check_length(bytes: &[u8], most: usize) -> Result<(), Reason> {
    if bytes.len() > most { Err(Reason::TooLarge) } else { Ok(()) }
}

/// MLS-030: the epoch is the one that the log says, and none before the one that is held.
fn check_epoch(epoch: u64, said: u64, held: Option<u64>) -> Result<(), Reason> {
    match epoch.cmp(&said) {
        Ordering::Less => Err(Reason::StaleEpoch),
        Ordering::Greater => Err(Reason::FutureEpoch),
        Ordering::Equal if held.is_some_and(|held| held > epoch) => Err(Reason::StaleEpoch),
        Ordering::Equal => Ok(()),
    }
}

/// MLS-038: a group begins with its maker and whom its first commit is said to add. Nobody is shown that commit, so the tree
/// is all there is to hold against what is said.
fn check_first_leaves<P: Crypto>(
    group: &Group<P>,
    maker: u32,
    commit: &ClaimedChange,
) -> Result<(), Reason> {
    let members = group.members()?;
    let others = members.iter().filter(|member| member.leaf != maker).map(|member| member.owner);
    let others: BTreeSet<Owner> = others.collect();
    if others == commit.added { Ok(()) } else { Err(Reason::ClaimMismatch) }
}

/// The suite of a GroupInfo that is of this group and of the profile.
fn check_group_info(info: &GroupInfo, id: GroupId) -> Result<Suite, Reason> {
    let context = info.group_context();
    if context.group_id != id.to_bytes() {
        return Err(Reason::WrongGroup);
    }
    if !context.extensions.is_empty() {
        return Err(Reason::WrongProfile);
    }
    Suite::of(context.cipher_suite).ok_or(Reason::WrongSuite)
}
