//! A group: its members, and what they write to each other. How they come and go is in [`commit`].

mod commit;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use aside_crypto::{Hash, label};
use aside_proto::id::ConversationId;
use mls_rs::{
    MlsMessage,
    error::MlsError,
    group::{ApplicationMessageDescription, ContentType, ReceivedMessage, Sender as MlsSender},
    identity::SigningIdentity,
};
use zeroize::Zeroizing;

use crate::{
    CredentialRefused, Crypto, DefaultCrypto, Error, Owner, Reason, Secret, Suite,
    device::{Config, parse},
    judge::Identities,
    notes::Notes,
    padding::{pad, unpad},
    storage::Store,
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
    /// Which of its sender's keys of this epoch it was encrypted by: no two messages have the same.
    pub generation: u32,
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
        Ok(Message { sender, leaf, generation, content })
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
