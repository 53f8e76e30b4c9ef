//! The device log: which devices are a user's, as those devices and the account key say (DLOG-001 to DLOG-014).
//!
//! ```text
//! position     0                1               2                  3                    4
//!           ┌─────────┐     ┌────────┐     ┌────────┐     ┌──────────────────┐     ┌──────────┐
//!           │ genesis │ ◄── │ add B  │ ◄── │ add C  │ ◄── │ revoke B, from 2 │ ◄── │ override │     ◄── the hash of the one before
//!           │ A       │     │        │     │        │     │                  │     │ A, D     │
//!           └─────────┘     └────────┘     └────────┘     └──────────────────┘     └──────────┘
//! signed by  account key     A              B              A                        account key
//! active     A               A B            A B C          A (C fell with B)        A D
//! ```
//!
//! The server keeps and hands out the entries, and cannot make one. Clients replay the log, pin where it began and how far they saw
//! it, and ask [`DeviceLog::judge`] about each device they meet.

mod entry;
mod pin;
mod tenures;

pub use entry::{Change, MAX_STATEMENT_BYTES, Signer};
pub use pin::{Pin, PinBreach};
pub use tenures::Judgement;

use aside_proto::id::{DeviceId, UserId};
use entry::Entry;
use tenures::Tenures;

use crate::{Certificate, CertificateError, Hash, Identity, PublicKey, SigningKey};

/// DLOG-011: devices that are active at a time.
pub const MAX_DEVICES: usize = 32;
/// DLOG-012: entries of a log.
pub const MAX_ENTRIES: u32 = 1024;
/// DLOG-012: bytes of all its statements.
pub const MAX_LOG_BYTES: usize = 1024 * 1024;
/// DLOG-013: entries that are kept for the account key, so that a stolen device can't fill the log and shut its user out.
pub const RESERVED_ENTRIES: u32 = 64;
/// DLOG-013: and bytes.
pub const RESERVED_BYTES: usize = 128 * 1024;

// An override has to fit into what is reserved.
const _: () = assert!(RESERVED_BYTES >= MAX_STATEMENT_BYTES && RESERVED_ENTRIES < MAX_ENTRIES);

/// Why an entry is refused. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// DLOG-001, DLOG-015.
    #[error(
        "the entry is no canonical DeviceLogEntry, or a field of its statement is not of its form"
    )]
    Malformed,
    /// DLOG-012.
    #[error("the statement is longer than {MAX_STATEMENT_BYTES} bytes")]
    TooLong,
    /// DLOG-004.
    #[error("the entry makes none of the known changes")]
    UnknownChange,
    /// A certificate in it is none.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// DLOG-003: it, or a certificate in it, is of another user.
    #[error("the entry, or a certificate in it, is of another user")]
    OtherUser,
    /// DLOG-003.
    #[error("the entry's position is not the next one")]
    Position,
    /// DLOG-003.
    #[error("the entry does not follow the one before it")]
    Previous,
    /// DLOG-003: a genesis further on, or something else at position 0.
    #[error("a log begins with its genesis, and has no other")]
    Genesis,
    /// DLOG-005.
    #[error("the device that signed the entry was not active")]
    SignerNotActive,
    /// DLOG-005.
    #[error("the entry is not signed by the key it names")]
    SignatureInvalid,
    /// DLOG-006, DLOG-010: an override, or a device that ended coming back, without the account key.
    #[error("only the account key can do that")]
    NeedsAccountKey,
    /// DLOG-006.
    #[error("the device is active already")]
    AlreadyActive,
    /// DLOG-009.
    #[error("a login key belongs to one device, and a device to one login key")]
    LoginKey,
    /// DLOG-007: what is revoked was never added.
    #[error("the device to revoke is not in the log")]
    UnknownDevice,
    /// DLOG-007.
    #[error("a revocation counts from position 1 at the earliest, and from its own at the latest")]
    FromPosition,
    /// DLOG-010.
    #[error("an override names at least one device, and none twice")]
    Devices,
    /// DLOG-011.
    #[error("more than {MAX_DEVICES} devices would be active")]
    TooManyDevices,
    /// DLOG-012, DLOG-013.
    #[error("the log is full")]
    Full,
}

/// Where a log ends, or ended when somebody saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHead {
    /// The position of the last entry.
    pub position: u32,
    /// Its hash.
    pub hash: Hash,
}

/// A log in which every entry was judged.
#[derive(Debug, Clone)]
pub struct DeviceLog {
    user: UserId,
    account_key: PublicKey,
    /// Of each entry; the first is the genesis hash.
    hashes: Vec<Hash>,
    statement_bytes: usize,
    tenures: Tenures,
}

impl DeviceLog {
    /// A log of its first entry.
    ///
    /// # Errors
    /// [`EntryError`] if that is no genesis of this user, signed by the account key that it names.
    pub fn begin(user: UserId, genesis: &[u8]) -> Result<Self, EntryError> {
        let entry = Entry::decode(genesis)?;
        let Change::Genesis { account_key, certificate } = &entry.change else {
            return Err(EntryError::Genesis);
        };
        if entry.position != 0 {
            return Err(EntryError::Position);
        }
        if entry.user != user || certificate.user() != user {
            return Err(EntryError::OtherUser);
        }
        if entry.signer != Signer::Account {
            return Err(EntryError::NeedsAccountKey);
        }
        entry.verify(account_key)?;
        let mut tenures = Tenures::default();
        tenures.add(certificate.clone(), 0, Signer::Account);
        Ok(Self {
            user,
            account_key: *account_key,
            hashes: vec![entry.hash()],
            statement_bytes: entry.statement_bytes(),
            tenures,
        })
    }

    /// A log of all its entries.
    ///
    /// # Errors
    /// [`EntryError`] of the first entry that is refused, with its index. No entries at all are no genesis.
    pub fn replay<'a>(
        user: UserId,
        entries: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, (usize, EntryError)> {
        let mut entries = entries.into_iter();
        let genesis = entries.next().ok_or((0, EntryError::Genesis))?;
        let mut log = Self::begin(user, genesis).map_err(|error| (0, error))?;
        for (index, entry) in (1..).zip(entries) {
            log.apply(entry).map_err(|error| (index, error))?;
        }
        Ok(log)
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// [`EntryError`]: the log is as it was.
    pub fn apply(&mut self, entry: &[u8]) -> Result<(), EntryError> {
        let entry = Entry::decode(entry)?;
        self.check_place(&entry)?;
        self.check_signature(&entry)?;
        self.check_change(&entry)?;
        self.hashes.push(entry.hash());
        self.statement_bytes += entry.statement_bytes();
        match entry.change {
            // Refused by check_change.
            Change::Genesis { .. } => {}
            Change::Add(certificate) => self.tenures.add(certificate, entry.position, entry.signer),
            Change::Revoke { device, from } => self.tenures.revoke(device, from, entry.position),
            Change::Override(certificates) => self.tenures.replace(certificates, entry.position),
        }
        Ok(())
    }

    /// Whose log it is.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The key that signed the genesis.
    #[must_use]
    pub const fn account_key(&self) -> &PublicKey {
        &self.account_key
    }

    /// What a safety number is made of.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { user: self.user, genesis: self.hashes[0] }
    }

    /// Where it ends.
    #[must_use]
    pub fn head(&self) -> LogHead {
        let position = self.next_position() - 1;
        LogHead { position, hash: self.hashes[self.hashes.len() - 1] }
    }

    /// The hash of an entry; none beyond the head.
    #[must_use]
    pub fn hash_at(&self, position: u32) -> Option<&Hash> {
        self.hashes.get(usize::try_from(position).ok()?)
    }

    /// The certificates of the devices that are active at the head, by device id.
    pub fn active(&self) -> impl Iterator<Item = &Certificate> {
        self.tenures.active()
    }

    /// What a device is at a position, as is known at the head (DLOG-014).
    #[must_use]
    pub fn judge(&self, device: DeviceId, position: u32) -> Judgement<'_> {
        if position >= self.next_position() {
            return Judgement::BeyondHead;
        }
        self.tenures.judge(device, position)
    }

    /// The bytes of a genesis.
    #[must_use]
    pub fn sign_genesis(account_key: &SigningKey, certificate: &Certificate) -> Vec<u8> {
        let change = Change::Genesis {
            account_key: account_key.public_key(),
            certificate: certificate.clone(),
        };
        entry::sign(certificate.user(), (0, None), (Signer::Account, account_key), &change)
    }

    /// The bytes of an entry that would come next. Whoever signs applies it to its own log before it sends it: that says whether
    /// anybody would take it.
    #[must_use]
    pub fn sign_next(&self, signer: Signer, key: &SigningKey, change: &Change) -> Vec<u8> {
        let next = (self.next_position(), Some(&self.head().hash));
        entry::sign(self.user, next, (signer, key), change)
    }

    fn next_position(&self) -> u32 {
        u32::try_from(self.hashes.len()).expect("a log has at most MAX_ENTRIES")
    }

    /// DLOG-003, DLOG-012, DLOG-013.
    fn check_place(&self, entry: &Entry) -> Result<(), EntryError> {
        if entry.user != self.user {
            return Err(EntryError::OtherUser);
        }
        if entry.position != self.next_position() {
            return Err(EntryError::Position);
        }
        if entry.previous != Some(self.head().hash) {
            return Err(EntryError::Previous);
        }
        let (entries, bytes) = match entry.signer {
            Signer::Account => (MAX_ENTRIES, MAX_LOG_BYTES),
            Signer::Device(_) => (MAX_ENTRIES - RESERVED_ENTRIES, MAX_LOG_BYTES - RESERVED_BYTES),
        };
        if entry.position >= entries || self.statement_bytes + entry.statement_bytes() > bytes {
            return Err(EntryError::Full);
        }
        Ok(())
    }

    /// DLOG-005.
    fn check_signature(&self, entry: &Entry) -> Result<(), EntryError> {
        let key = match entry.signer {
            Signer::Account => &self.account_key,
            Signer::Device(device) => {
                self.tenures.active_device(device).ok_or(EntryError::SignerNotActive)?.login_key()
            }
        };
        entry.verify(key)
    }

    fn check_change(&self, entry: &Entry) -> Result<(), EntryError> {
        match &entry.change {
            Change::Genesis { .. } => Err(EntryError::Genesis),
            Change::Add(certificate) => self.check_add(entry.signer, certificate),
            Change::Revoke { device, from } => {
                if !self.tenures.knows(*device) {
                    return Err(EntryError::UnknownDevice);
                }
                let in_range = (1..=entry.position).contains(from);
                if in_range { Ok(()) } else { Err(EntryError::FromPosition) }
            }
            Change::Override(certificates) => self.check_override(entry.signer, certificates),
        }
    }

    /// DLOG-006, DLOG-009, DLOG-011.
    fn check_add(&self, signer: Signer, certificate: &Certificate) -> Result<(), EntryError> {
        self.check_certificate(certificate)?;
        let device = certificate.device();
        if self.tenures.active_device(device).is_some() {
            return Err(EntryError::AlreadyActive);
        }
        if self.tenures.knows(device) && signer != Signer::Account {
            return Err(EntryError::NeedsAccountKey);
        }
        if self.tenures.active().count() >= MAX_DEVICES {
            return Err(EntryError::TooManyDevices);
        }
        Ok(())
    }

    /// DLOG-010.
    fn check_override(
        &self,
        signer: Signer,
        certificates: &[Certificate],
    ) -> Result<(), EntryError> {
        if signer != Signer::Account {
            return Err(EntryError::NeedsAccountKey);
        }
        if certificates.is_empty() {
            return Err(EntryError::Devices);
        }
        for (n, certificate) in certificates.iter().enumerate() {
            self.check_certificate(certificate)?;
            for other in &certificates[..n] {
                if other.device() == certificate.device() {
                    return Err(EntryError::Devices);
                }
                if other.login_key() == certificate.login_key() {
                    return Err(EntryError::LoginKey);
                }
            }
        }
        Ok(())
    }

    /// DLOG-003, DLOG-009.
    fn check_certificate(&self, certificate: &Certificate) -> Result<(), EntryError> {
        if certificate.user() != self.user {
            return Err(EntryError::OtherUser);
        }
        if !self.tenures.fits(certificate) {
            return Err(EntryError::LoginKey);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
