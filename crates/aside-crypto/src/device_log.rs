//! The device log: which devices are a user's, as those devices and the account key say (DLOG-001 to DLOG-020).
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
pub use tenures::{Judgement, Standing};

use aside_proto::id::{DeviceId, UserId};
use entry::Entry;
use tenures::Tenures;

use crate::{
    Certificate, CertificateError, Hash, Identity, MAX_CERTIFICATE_BYTES, PublicKey, SigningKey,
};

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
/// DLOG-019: entries that devices sign from the genesis or an override to the next override, so that a stolen device uses up a part
/// of the log and not all of it.
pub const MAX_DEVICE_ENTRIES: u32 = 256;
/// DLOG-019: and bytes of their statements: each of [`MAX_DEVICES`] can be added with the longest certificate, and renewed.
pub const MAX_DEVICE_BYTES: usize = 256 * 1024;

// An override has to fit into what is reserved.
const _: () = assert!(RESERVED_BYTES >= MAX_STATEMENT_BYTES && RESERVED_ENTRIES < MAX_ENTRIES);
const _: () = assert!(3 * MAX_DEVICE_ENTRIES < MAX_ENTRIES && 3 * MAX_DEVICE_BYTES < MAX_LOG_BYTES);
const _: () = assert!(MAX_DEVICE_BYTES > MAX_DEVICES * MAX_CERTIFICATE_BYTES);

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
    /// DLOG-018, DLOG-020: the device had ended as early, or has that certificate already.
    #[error("the entry changes nothing")]
    NothingChanges,
    /// DLOG-020.
    #[error("a certificate is renewed by its own device")]
    NotItsOwn,
    /// DLOG-010.
    #[error("an override names at least one device, and none twice")]
    Devices,
    /// DLOG-011.
    #[error("more than {MAX_DEVICES} devices would be active")]
    TooManyDevices,
    /// DLOG-012, DLOG-013, DLOG-019: for a device it may be full, and not for the account key.
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

/// Who sent a new entry of a conversation (DLOG-016).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JudgedNew<'a> {
    /// What the device is now.
    pub judgement: Judgement<'a>,
    /// To be kept with the entry: what the device is at this position is what it is for the entry, also when the log has grown.
    pub position: u32,
}

/// Why the sender of an entry is not judged yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatedHeadError {
    /// The log is fetched at least as far first.
    #[error("the sender's device log goes on to position {0} at least")]
    Beyond(u32),
    /// TRUST-003: the sender and this client are shown different logs.
    #[error("the sender's device log has another entry at position {0}")]
    Diverged(u32),
}

/// A log in which every entry was judged.
#[derive(Debug, Clone)]
pub struct DeviceLog {
    user: UserId,
    account_key: PublicKey,
    /// Of each entry; the first is the genesis hash.
    hashes: Vec<Hash>,
    statement_bytes: usize,
    by_devices: ByDevices,
    tenures: Tenures,
}

/// What devices signed since the genesis or the last override (DLOG-019).
#[derive(Debug, Clone, Copy, Default)]
struct ByDevices {
    entries: u32,
    bytes: usize,
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
            by_devices: ByDevices::default(),
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
        if let Signer::Device(_) = entry.signer {
            self.by_devices.entries += 1;
            self.by_devices.bytes += entry.statement_bytes();
        }
        match entry.change {
            // Refused by check_change.
            Change::Genesis { .. } => {}
            Change::Add(certificate) => self.tenures.add(certificate, entry.position, entry.signer),
            Change::Revoke { device, from } => self.tenures.revoke(device, from, entry.position),
            Change::Renew(certificate) => self.tenures.renew(certificate, entry.position),
            Change::Override(certificates) => {
                self.tenures.replace(certificates, entry.position);
                self.by_devices = ByDevices::default();
            }
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

    /// What the sender of a new entry of a conversation, which states this head of the log, is now; and the position at which it is
    /// judged from then on (DLOG-016). It is this log's head, and not what was stated: a device that was revoked could state an
    /// earlier one.
    ///
    /// # Errors
    /// [`StatedHeadError`]: the log is to be fetched, or is another than the sender's.
    pub fn judge_new(
        &self,
        device: DeviceId,
        stated: &LogHead,
    ) -> Result<JudgedNew<'_>, StatedHeadError> {
        let hash = self.hash_at(stated.position).ok_or(StatedHeadError::Beyond(stated.position))?;
        if *hash != stated.hash {
            return Err(StatedHeadError::Diverged(stated.position));
        }
        let position = self.head().position;
        Ok(JudgedNew { judgement: self.judge(device, position), position })
    }

    /// What a certificate is that is said to be this device's: whether the log has the very same bytes (DLOG-017).
    #[must_use]
    pub fn judge_certificate(
        &self,
        device: DeviceId,
        certificate: &[u8],
        position: u32,
    ) -> Standing {
        if position >= self.next_position() {
            return Standing::BeyondHead;
        }
        self.tenures.standing(device, certificate, position)
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

    /// DLOG-003, DLOG-012, DLOG-013, DLOG-019.
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
        let by_devices = self.by_devices;
        let device_may = by_devices.entries < MAX_DEVICE_ENTRIES
            && by_devices.bytes + entry.statement_bytes() <= MAX_DEVICE_BYTES;
        if entry.signer == Signer::Account || device_may { Ok(()) } else { Err(EntryError::Full) }
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
            Change::Revoke { device, from } => self.check_revoke(entry.position, *device, *from),
            Change::Renew(certificate) => self.check_renew(entry.signer, certificate),
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

    /// DLOG-007, DLOG-018.
    fn check_revoke(&self, position: u32, device: DeviceId, from: u32) -> Result<(), EntryError> {
        if !self.tenures.knows(device) {
            return Err(EntryError::UnknownDevice);
        }
        if !(1..=position).contains(&from) {
            return Err(EntryError::FromPosition);
        }
        if self.tenures.would_end(device, from) { Ok(()) } else { Err(EntryError::NothingChanges) }
    }

    /// DLOG-020.
    fn check_renew(&self, signer: Signer, certificate: &Certificate) -> Result<(), EntryError> {
        self.check_certificate(certificate)?;
        if signer != Signer::Device(certificate.device()) {
            return Err(EntryError::NotItsOwn);
        }
        if self.tenures.active_device(certificate.device()) == Some(certificate) {
            return Err(EntryError::NothingChanges);
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
