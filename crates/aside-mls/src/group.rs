//! A group: what its members write to each other, and how they come and go.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use aside_crypto::{Hash, label};
use aside_proto::id::ConversationId;
use mls_rs::{
    MlsMessage,
    error::MlsError,
    group::{
        ApplicationMessageDescription, CommitBuilder, CommitEffect, CommitMessageDescription,
        ContentType, NewEpoch, ReceivedMessage, Sender as MlsSender, proposal::Proposal,
    },
    identity::SigningIdentity,
    time::MlsTime,
};
use zeroize::Zeroizing;

use crate::{
    Change, ClaimedChange, CredentialRefused, Crypto, DefaultCrypto, Effect, Error, KeyPackage,
    OutgoingCommit, Owner, Reason, Secret, Suite,
    device::{CLOCK_SKEW, Config, KEY_PACKAGE_LIFETIME, parse},
    judge::Identities,
    notes::Notes,
    padding::{pad, unpad},
    storage::Store,
    wire::{MAX_LEAVES, lifetime},
};

/// How many messages may be read in a row before what was read is final in memory.
const MAX_UNDO: usize = 64;

/// The exporter's label of the fork check (MLS-032).
const FORK_CHECK: &[u8] = b"aside/1 fork-check";

/// Which group: a conversation's, in one generation. `Reset` begins the next (MLS-002).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    /// The conversation.
    pub conversation: ConversationId,
    /// How often the conversation's group was begun anew.
    pub generation: u32,
}

impl GroupId {
    /// Length of the MLS group id.
    pub const BYTES: usize = 20;

    /// The MLS group id: the conversation's id, then the generation, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(self.conversation.as_bytes());
        bytes[16..].copy_from_slice(&self.generation.to_be_bytes());
        bytes
    }

    /// The group with this MLS group id; none if it is not 20 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (conversation, generation) = bytes.split_first_chunk::<16>()?;
        let generation = u32::from_be_bytes(generation.try_into().ok()?);
        Some(Self { conversation: ConversationId::new(*conversation), generation })
    }
}

/// An application message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Who wrote it, as its header says: a member, whose leaf the caller judges at the head of the device log.
    pub sender: Owner,
    /// The sender's leaf index.
    pub leaf: u32,
    /// What it says.
    pub content: Vec<u8>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("sender", &self.sender)
            .field("leaf", &self.leaf)
            .finish_non_exhaustive()
    }
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its leaf index, which stays as long as it is a member.
    pub leaf: u32,
    /// Whose leaf it is.
    pub owner: Owner,
    /// Its device certificate.
    pub certificate: Vec<u8>,
}

type Inner<P> = mls_rs::Group<Config<P>>;

/// A group that this device is a member of.
///
/// It is in memory only: [`Self::save`] puts its state into the device's changes, to be written together with what was
/// read or is about to be sent. An input that is refused leaves it as it was.
pub struct Group<P: Crypto = DefaultCrypto> {
    inner: Inner<P>,
    identities: Identities,
    store: Store,
    id: GroupId,
    notes: Notes,
    /// Whether the commit that removed this device was taken.
    over: bool,
    undo: Option<Undo<P>>,
    /// Owners of leaves at this epoch, as far as they were asked for.
    owners: HashMap<u32, Owner>,
}

/// An earlier state and the messages read since: the way back when a message uses up a key and then proves forged. A copy
/// for each message would cost more than reading it.
struct Undo<P: Crypto> {
    inner: Inner<P>,
    since: Vec<MlsMessage>,
}

impl<P: Crypto> Group<P> {
    pub(crate) fn new(inner: Inner<P>, identities: Identities, store: Store, id: GroupId) -> Self {
        let (notes, owners) = (Notes::default(), HashMap::new());
        Self { inner, identities, store, id, notes, over: false, undo: None, owners }
    }

    pub(crate) fn with_notes(self, notes: Notes) -> Self {
        Self { notes, ..self }
    }

    /// Which group.
    #[must_use]
    pub const fn id(&self) -> GroupId {
        self.id
    }

    /// Its suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.identities.suite
    }

    /// The epoch: the number of commits since the group's beginning.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.inner.current_epoch()
    }

    /// The members, by leaf index.
    ///
    /// # Errors
    /// [`Reason::CredentialRefused`] if the judge no longer knows one.
    pub fn members(&self) -> Result<Vec<Member>, Reason> {
        let member = |member: mls_rs::group::Member| {
            let owner = owner(&self.identities, &member.signing_identity)?;
            let credential = member.signing_identity.credential.as_basic();
            let certificate = credential.ok_or(Reason::CredentialRefused)?.identifier().to_vec();
            Ok(Member { leaf: member.index, owner, certificate })
        };
        self.inner.roster().members_iter().map(member).collect()
    }

    /// This device, as its leaf says.
    ///
    /// # Errors
    /// [`Reason::CredentialRefused`] if the judge no longer knows it.
    pub fn own(&self) -> Result<Owner, Reason> {
        owner_at(&self.inner, &self.identities, self.own_leaf())
    }

    /// This device's own leaf index.
    #[must_use]
    pub fn own_leaf(&self) -> u32 {
        self.inner.current_member_index()
    }

    /// A secret that all members of this epoch can compute, and no one else (RFC 9420, section 8.5).
    ///
    /// # Errors
    /// [`Reason::Invalid`] if it is asked for longer than 255 hashes.
    pub fn export(&self, label: &[u8], context: &[u8], bytes: usize) -> Result<Secret, Reason> {
        let secret = self.inner.export_secret(label, context, bytes);
        let secret = secret.map_err(|error| Reason::of(&error, Reason::Invalid))?;
        Ok(Zeroizing::new(secret.to_vec()))
    }

    /// What two members compare to know that they are in the same state (RFC 9420, section 8.7).
    ///
    /// # Errors
    /// [`Reason::Invalid`] in no group that was created, joined or loaded.
    pub fn epoch_authenticator(&self) -> Result<Secret, Reason> {
        let secret = self.inner.epoch_authenticator();
        let secret = secret.map_err(|error| Reason::of(&error, Reason::Invalid))?;
        Ok(Zeroizing::new(secret.to_vec()))
    }

    /// What a device reports after each commit, and compares with what others report of the epoch: members of one group have
    /// the same, and those of two that were made to differ have not. It is no secret (MLS-032).
    ///
    /// # Errors
    /// [`Reason::Invalid`] in no group that was created, joined or loaded.
    pub fn fork_check(&self) -> Result<[u8; 32], Reason> {
        self.export(FORK_CHECK, b"", 32)?.as_slice().try_into().map_err(|_| Reason::Invalid)
    }

    /// The GroupInfo of this epoch, by which a device joins again: with the tree and the external key (MLS-013).
    ///
    /// # Errors
    /// [`Reason::NotAMember`] if this device is out of the group.
    pub fn group_info(&self) -> Result<Vec<u8>, Reason> {
        self.check_member().map_err(|_| Reason::NotAMember)?;
        self.inner
            .group_info_message_allowing_ext_commit(true)
            .and_then(|message| message.to_bytes())
            .map_err(|error| Reason::of(&error, Reason::Invalid))
    }

    /// Encrypts a content, padded to its bucket, for this epoch (MLS-020, MLS-021). Save the group before the message is
    /// sent, so that its key is never used for another.
    ///
    /// # Errors
    /// [`Error::NotApproved`] while there is a leaf of a device that is not approved now: it would read this (MLS-027).
    /// [`Error::TooLong`] if no bucket holds it; [`Error::NotAMember`].
    pub fn encrypt(&mut self, content: &[u8], header: &[u8]) -> Result<Vec<u8>, Error> {
        self.check_member()?;
        self.check_approved(&BTreeSet::new())?;
        let padded = Zeroizing::new(pad(content).ok_or(Error::TooLong)?);
        self.undo = None;
        self.inner
            .encrypt_application_message(&padded, header_hash(header).to_vec())
            .and_then(|message| message.to_bytes())
            .map_err(|error| Reason::of(&error, Reason::Invalid).into())
    }

    /// Decrypts a message that stands in the log under this header, which names this sender. Messages of an epoch may come
    /// in any order; each is read once.
    ///
    /// # Errors
    /// The reason why it can't be read; the group is as before.
    pub fn decrypt(
        &mut self,
        message: &[u8],
        header: &[u8],
        sender: Owner,
    ) -> Result<Message, Reason> {
        let message = self.expect(message, ContentType::Application)?;
        if self.undo.as_ref().is_none_or(|undo| undo.since.len() >= MAX_UNDO) {
            self.undo = Some(Undo { inner: self.inner.clone(), since: Vec::new() });
        }
        let opened = self.open(message.clone(), header, sender);
        match (&opened, &mut self.undo) {
            (Ok(_), Some(undo)) => undo.since.push(message),
            _ => self.go_back(),
        }
        opened
    }

    /// A KeyPackage for this group's suite, and whose it is.
    ///
    /// # Errors
    /// If it is not one, its lifetime is longer than [`KEY_PACKAGE_LIFETIME`] and [`CLOCK_SKEW`] (MLS-037), or the judge does
    /// not know the leaf.
    pub fn key_package(&self, bytes: &[u8]) -> Result<KeyPackage, Reason> {
        let message = parse(bytes)?;
        let key_package = message.as_key_package().ok_or(Reason::WrongKind)?;
        if key_package.cipher_suite() != self.suite().mls() {
            return Err(Reason::WrongSuite);
        }
        let longest = (KEY_PACKAGE_LIFETIME + CLOCK_SKEW).as_secs();
        if lifetime(bytes).ok_or(Reason::Malformed)? > longest {
            return Err(Reason::Expired);
        }
        let owner = owner(&self.identities, key_package.signing_identity())?;
        Ok(KeyPackage { message, owner })
    }

    /// What a commit of this change does, for its header.
    #[must_use]
    pub fn claim(&self, change: &Change) -> ClaimedChange {
        ClaimedChange {
            epoch: self.epoch(),
            added: change.add.iter().map(|key_package| key_package.owner).collect(),
            removed: change.remove.clone(),
        }
    }

    /// Makes a commit, which changes nothing here yet: [`Self::apply_pending`] when the server has accepted it,
    /// [`Self::clear_pending`] when it has not. Save the group before the commit is sent.
    ///
    /// # Errors
    /// [`Error::KeyPackages`] names those that can't be added, so that the others can be without them; [`Error::NotApproved`]
    /// if a leaf would stay of a device that is not approved now (MLS-027); [`Reason::TooLarge`] if there would be more than
    /// [`MAX_LEAVES`] members; [`Error::NotInGroup`], [`Error::CommitPending`], [`Error::NotAMember`].
    pub fn commit(
        &mut self,
        change: &Change,
        header: &[u8],
        now: u64,
    ) -> Result<OutgoingCommit, Error> {
        self.check_member()?;
        if self.has_pending() {
            return Err(Error::CommitPending);
        }
        self.undo = None;
        let leaves = self.leaves(&change.remove)?;
        self.check_approved(&change.remove)?;
        let members = self.inner.roster().member_identities_iter().count();
        if members + change.add.len() > MAX_LEAVES as usize + leaves.len() {
            return Err(Reason::TooLarge.into());
        }
        self.build(change, &leaves, header, now).map_err(|error| {
            let refused = self.refused_key_packages(&change.add, &leaves, now);
            match refused.is_empty() {
                true => Reason::of(&error, Reason::Invalid).into(),
                false => Error::KeyPackages(refused),
            }
        })
    }

    /// Whether a commit of this device waits for the server's word.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.inner.has_pending_commit()
    }

    /// The server has accepted this device's commit: the group enters the epoch after it.
    ///
    /// # Errors
    /// [`Error::NoCommitPending`].
    pub fn apply_pending(&mut self) -> Result<Effect, Error> {
        if !self.has_pending() {
            return Err(Error::NoCommitPending);
        }
        let mut next = self.inner.clone();
        let applied = next.apply_pending_commit();
        let applied = applied.map_err(|error| Reason::of(&error, Reason::Invalid))?;
        let effect = self.effect(&next, &applied)?;
        self.advance(next, &effect);
        Ok(effect)
    }

    /// The server has refused this device's commit: it never was.
    pub fn clear_pending(&mut self) {
        self.undo = None;
        self.inner.clear_pending_commit();
    }

    /// Follows a commit that stands in the log under this header, which names this sender and claims this change: another's,
    /// or the pending one of this device. Another's ends what is pending.
    ///
    /// If it removes this device, the group stays at its epoch, and does nothing more: see [`Self::confirm_removal`].
    ///
    /// # Errors
    /// The reason why it is refused; the group is as before.
    pub fn receive_commit(
        &mut self,
        commit: &[u8],
        header: &[u8],
        sender: Owner,
        claim: &ClaimedChange,
    ) -> Result<Effect, Reason> {
        let message = self.expect(commit, ContentType::Commit)?;
        let mut next = self.inner.clone();
        let received = next.process_incoming_message(message);
        let received = received.map_err(|error| self.refusal(&error, Reason::Invalid, sender))?;
        let ReceivedMessage::Commit(description) = received else {
            return Err(Reason::WrongKind);
        };
        if description.authenticated_data != header_hash(header) {
            return Err(Reason::HeaderMismatch);
        }
        let effect = self.effect(&next, &description)?;
        if effect.committer != sender {
            return Err(Reason::SenderMismatch);
        }
        if effect.change != *claim {
            return Err(Reason::ClaimMismatch);
        }
        if !effect.removed_us {
            self.check_tree(&next, &description)?;
        }
        self.advance(next, &effect);
        Ok(effect)
    }

    /// The commit that removed this device was taken: in the log stands another device's entry at the epoch after it. The
    /// next [`Self::save`] deletes the group's state.
    ///
    /// Who is removed has no key of the epoch after, so it cannot tell a commit that the others accept from one that its
    /// maker spoiled, which they reject. So its state stays until it hears of them (MLS-036).
    ///
    /// # Errors
    /// [`Error::NotRemoved`].
    pub fn confirm_removal(&mut self) -> Result<(), Error> {
        self.check_removed()?;
        self.over = true;
        Ok(())
    }

    /// The others rejected the commit that removed this device: it never was.
    ///
    /// # Errors
    /// [`Error::NotRemoved`].
    pub fn reject_removal(&mut self) -> Result<(), Error> {
        self.check_removed()?;
        self.notes.removed = false;
        Ok(())
    }

    /// Puts the group's state into the device's changes. If this device was removed for good, the state is deleted. What is
    /// left in memory of epochs before this one is deleted with it (MLS-018).
    ///
    /// # Errors
    /// [`Error::State`] if it can't be encoded: never for a group of this crate.
    pub fn save(&mut self) -> Result<(), Error> {
        self.undo = None;
        let write = || self.inner.write_to_storage();
        self.store.while_saving(self.id, &self.notes, write).map_err(|_| Error::State)?;
        if self.over {
            self.store.delete_group(self.id);
        }
        Ok(())
    }

    fn check_member(&self) -> Result<(), Error> {
        if self.notes.removed { Err(Error::NotAMember) } else { Ok(()) }
    }

    fn check_removed(&self) -> Result<(), Error> {
        if self.notes.removed && !self.over { Ok(()) } else { Err(Error::NotRemoved) }
    }

    /// MLS-027: all members but these are approved now.
    fn check_approved(&self, leaving: &BTreeSet<Owner>) -> Result<(), Error> {
        let mut refused = BTreeSet::new();
        for identity in self.inner.roster().member_identities_iter() {
            if self.identities.admit(identity).is_err() {
                refused.insert(owner(&self.identities, identity)?);
            }
        }
        refused.retain(|owner| !leaving.contains(owner));
        if refused.is_empty() { Ok(()) } else { Err(Error::NotApproved(refused)) }
    }

    /// What a commit that was followed has to have done to the tree.
    fn check_tree(&self, next: &Inner<P>, commit: &CommitMessageDescription) -> Result<(), Reason> {
        let (before, after) = (self.inner.export_tree(), next.export_tree());
        // A path replaces its maker's leaf. MLS demands one of every commit but one that only adds (MLS-007).
        let leaf = 2 * commit.committer as usize;
        if before.nodes().get(leaf) == after.nodes().get(leaf) {
            return Err(Reason::NoPath);
        }
        if after.total_leaf_count() > MAX_LEAVES { Err(Reason::TooLarge) } else { Ok(()) }
    }

    /// Why MLS refuses what came under a header that names this sender. Anyone in the group can make what seems to come from
    /// this device's leaf (MLS-029).
    fn refusal(&self, error: &MlsError, otherwise: Reason, sender: Owner) -> Reason {
        match Reason::of(error, otherwise) {
            Reason::Own if self.own() != Ok(sender) => Reason::Unauthentic,
            reason => reason,
        }
    }

    /// The message, if it is of this kind and wire format (MLS-005), this group and this epoch.
    fn expect(&self, bytes: &[u8], wanted: ContentType) -> Result<MlsMessage, Reason> {
        use mls_rs::MlsMessageDescription::{PrivateProtocolMessage, PublicProtocolMessage};
        self.check_member().map_err(|_| Reason::NotAMember)?;
        let message = parse(bytes)?;
        let (group_id, epoch, kind) = match message.description() {
            PrivateProtocolMessage { group_id, epoch_id, content_type } => {
                (group_id, epoch_id, content_type)
            }
            PublicProtocolMessage {
                group_id,
                epoch_id,
                content_type,
                sender: MlsSender::NewMemberCommit,
                ..
            } => (group_id, epoch_id, content_type),
            _ => return Err(Reason::WrongKind),
        };
        if kind != wanted {
            return Err(Reason::WrongKind);
        }
        if group_id != self.id.to_bytes() {
            return Err(Reason::WrongGroup);
        }
        match epoch.cmp(&self.epoch()) {
            std::cmp::Ordering::Less => Err(Reason::StaleEpoch),
            std::cmp::Ordering::Greater => Err(Reason::FutureEpoch),
            std::cmp::Ordering::Equal => Ok(message),
        }
    }

    fn open(
        &mut self,
        message: MlsMessage,
        header: &[u8],
        sender: Owner,
    ) -> Result<Message, Reason> {
        let received = self.inner.process_incoming_message(message);
        let received = received.map_err(|error| self.refusal(&error, Reason::Tampered, sender))?;
        let ReceivedMessage::ApplicationMessage(received) = received else {
            return Err(Reason::WrongKind);
        };
        let ApplicationMessageDescription { sender_index: leaf, ref authenticated_data, .. } =
            received;
        if *authenticated_data != header_hash(header) {
            return Err(Reason::HeaderMismatch);
        }
        if self.owner(leaf)? != sender {
            return Err(Reason::SenderMismatch);
        }
        let generation = received.unauthenticated_key_generation.ok_or(Reason::Invalid)?;
        let content = unpad(received.data().to_vec()).ok_or(Reason::BadPadding)?;
        if !self.notes.count(leaf, generation) {
            return Err(Reason::TooFarAhead);
        }
        Ok(Message { sender, leaf, content })
    }

    /// To where the last message that was not refused left the group.
    fn go_back(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        let mut inner = undo.inner;
        let again = |message| inner.process_incoming_message(message).is_ok();
        // What was read once is read again by the state it was read in.
        if undo.since.into_iter().all(again) {
            self.inner = inner;
        }
    }

    fn owner(&mut self, leaf: u32) -> Result<Owner, Reason> {
        if let Some(owner) = self.owners.get(&leaf) {
            return Ok(*owner);
        }
        let owner = owner_at(&self.inner, &self.identities, leaf)?;
        self.owners.insert(leaf, owner);
        Ok(owner)
    }

    /// The leaves of these devices.
    fn leaves(&self, devices: &BTreeSet<Owner>) -> Result<Vec<u32>, Error> {
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        let by_owner: HashMap<_, _> = self
            .inner
            .roster()
            .members_iter()
            .filter_map(|member| {
                let owner = self.identities.owner(&member.signing_identity).ok()?;
                Some((owner, member.index))
            })
            .collect();
        let leaf = |device| by_owner.get(device).copied().ok_or(Error::NotInGroup(*device));
        devices.iter().map(leaf).collect()
    }

    fn build(
        &mut self,
        change: &Change,
        leaves: &[u32],
        header: &[u8],
        now: u64,
    ) -> Result<OutgoingCommit, MlsError> {
        let add = change.add.iter().map(|key_package| &key_package.message);
        let output = propose(&mut self.inner, add, leaves, now)?
            .authenticated_data(header_hash(header).to_vec())
            .build()?;
        let group_info = output.external_commit_group_info.ok_or(MlsError::InvalidGroupInfo)?;
        let welcome = output.welcome_messages.first().map(MlsMessage::to_bytes);
        Ok(OutgoingCommit {
            commit: output.commit_message.to_bytes()?,
            welcome: welcome.transpose()?,
            group_info: group_info.to_bytes()?,
        })
    }

    /// Which of these can't be added: in their order, each with those before it that can be, and with what is removed.
    fn refused_key_packages(
        &self,
        add: &[KeyPackage],
        leaves: &[u32],
        now: u64,
    ) -> Vec<(usize, Reason)> {
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        for (n, key_package) in add.iter().enumerate() {
            good.push(&key_package.message);
            let mut inner = self.inner.clone();
            let made = propose(&mut inner, good.iter().copied(), leaves, now)
                .and_then(|builder| builder.build());
            if let Err(error) = made {
                good.pop();
                refused.push((n, Reason::of(&error, Reason::Invalid)));
            }
        }
        refused
    }

    /// What a commit did to this group, which led to `next`.
    fn effect(&self, next: &Inner<P>, commit: &CommitMessageDescription) -> Result<Effect, Reason> {
        let (epoch, removed_us) = match &commit.effect {
            CommitEffect::NewEpoch(epoch) => (epoch, false),
            CommitEffect::Removed { new_epoch, .. } => (new_epoch, true),
            CommitEffect::ReInit(_) => return Err(Reason::ForbiddenProposal),
        };
        let committer = if commit.is_external { next } else { &self.inner };
        let committer = owner_at(committer, &self.identities, commit.committer)?;
        let mut change = self.change(epoch)?;
        if commit.is_external {
            change.added.insert(committer);
        }
        Ok(Effect { committer, external: commit.is_external, change, removed_us })
    }

    fn change(&self, epoch: &NewEpoch) -> Result<ClaimedChange, Reason> {
        let mut change = ClaimedChange { epoch: self.epoch(), ..ClaimedChange::default() };
        for proposal in epoch.applied_proposals() {
            match &proposal.proposal {
                Proposal::Add(add) => {
                    let owner = owner(&self.identities, add.signing_identity())?;
                    change.added.insert(owner);
                }
                Proposal::Remove(remove) => {
                    let owner = owner_at(&self.inner, &self.identities, remove.to_remove())?;
                    change.removed.insert(owner);
                }
                Proposal::ExternalInit(_) => {}
                _ => return Err(Reason::ForbiddenProposal),
            }
        }
        Ok(change)
    }

    fn advance(&mut self, next: Inner<P>, effect: &Effect) {
        self.undo = None;
        if effect.removed_us {
            self.inner.clear_pending_commit();
            self.notes.removed = true;
            return;
        }
        self.inner = next;
        self.notes.forget_read();
        self.owners.clear();
    }
}

impl<P: Crypto> fmt::Debug for Group<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("id", &self.id)
            .field("suite", &self.suite())
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}

/// A commit that adds by these KeyPackages and removes these leaves.
fn propose<'a, P: Crypto>(
    inner: &'a mut Inner<P>,
    add: impl Iterator<Item = &'a MlsMessage>,
    remove: &[u32],
    now: u64,
) -> Result<CommitBuilder<'a, Config<P>>, MlsError> {
    let mut builder = inner.commit_builder().commit_time(MlsTime::from(now));
    for key_package in add {
        builder = builder.add_member(key_package.clone())?;
    }
    for &leaf in remove {
        builder = builder.remove_member(leaf)?;
    }
    Ok(builder)
}

/// The authenticated data of every message and commit: its clear header, hashed (MLS-014).
pub(crate) fn header_hash(header: &[u8]) -> Hash {
    label::hash(label::MLS_HEADER, &[header])
}

fn owner(identities: &Identities, identity: &SigningIdentity) -> Result<Owner, Reason> {
    identities.owner(identity).map_err(|CredentialRefused| Reason::CredentialRefused)
}

fn owner_at<P: Crypto>(
    inner: &Inner<P>,
    identities: &Identities,
    leaf: u32,
) -> Result<Owner, Reason> {
    let member = inner.member_at_index(leaf).ok_or(Reason::Invalid)?;
    owner(identities, &member.signing_identity)
}
