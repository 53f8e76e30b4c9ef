//! One entry: its bytes, what it states, and who signed it.

use aside_proto::{
    id::{DeviceId, UserId},
    v1::{self, device_log_statement as wire},
};
use prost::{Message as _, bytes::Bytes};

use super::EntryError;
use crate::{Certificate, HASH_BYTES, Hash, PublicKey, Signature, SigningKey, canonical, label};

/// DLOG-012: bytes of a statement.
pub const MAX_STATEMENT_BYTES: usize = 64 * 1024;
/// An entry around a statement: two field keys, two lengths and a signature are less.
const MAX_ENTRY_BYTES: usize = MAX_STATEMENT_BYTES + 128;

/// Who signed an entry, or is to sign one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The account key.
    Account,
    /// A device, by its login key.
    Device(DeviceId),
}

/// What an entry changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Begins the log.
    Genesis {
        /// The account key.
        account_key: PublicKey,
        /// Of the first device.
        certificate: Certificate,
    },
    /// Adds a device.
    Add(Certificate),
    /// Revokes a device.
    Revoke {
        /// Which.
        device: DeviceId,
        /// What it did from here on does not count.
        from: u32,
    },
    /// Puts another certificate of a device in the place of the one it has.
    Renew(Certificate),
    /// Puts these devices in the place of all.
    Override(Vec<Certificate>),
}

/// A decoded entry, whose place, signer and signature are still to be judged.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) user: UserId,
    pub(super) position: u32,
    /// None at position 0.
    pub(super) previous: Option<Hash>,
    pub(super) signer: Signer,
    pub(super) change: Change,
    statement: Bytes,
    signature: Signature,
}

impl Entry {
    /// Reads an entry (DLOG-001, DLOG-004, DLOG-015).
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLong);
        }
        let entry: v1::DeviceLogEntry =
            canonical::decode(&Bytes::copy_from_slice(bytes)).ok_or(EntryError::Malformed)?;
        if entry.statement.len() > MAX_STATEMENT_BYTES {
            return Err(EntryError::TooLong);
        }
        let stated: v1::DeviceLogStatement =
            canonical::decode(&entry.statement).ok_or(EntryError::Malformed)?;
        let previous = match (stated.position, &stated.previous[..]) {
            (0, []) => None,
            (1.., hash) if hash.len() == HASH_BYTES => hash.try_into().ok(),
            _ => return Err(EntryError::Malformed),
        };
        let signer = match &stated.signer_device_id[..] {
            [] => Signer::Account,
            id => Signer::Device(DeviceId::try_from(id).map_err(|_| EntryError::Malformed)?),
        };
        Ok(Self {
            user: UserId::try_from(&stated.user_id[..]).map_err(|_| EntryError::Malformed)?,
            position: stated.position,
            previous,
            signer,
            change: Change::try_from(stated.change.ok_or(EntryError::UnknownChange)?)?,
            statement: entry.statement,
            signature: Signature::try_from(&entry.signature[..])
                .map_err(|_| EntryError::SignatureInvalid)?,
        })
    }

    /// What stands for this entry, and for all before it (DLOG-002).
    pub(super) fn hash(&self) -> Hash {
        label::hash(label::DEVICE_LOG, &[&self.statement])
    }

    pub(super) fn statement_bytes(&self) -> usize {
        self.statement.len()
    }

    /// DLOG-005.
    pub(super) fn verify(&self, key: &PublicKey) -> Result<(), EntryError> {
        key.verify(label::DEVICE_LOG_ENTRY, &[&self.statement], &self.signature)
            .map_err(|_| EntryError::SignatureInvalid)
    }
}

impl TryFrom<wire::Change> for Change {
    type Error = EntryError;

    fn try_from(change: wire::Change) -> Result<Self, EntryError> {
        Ok(match change {
            wire::Change::Genesis(genesis) => Self::Genesis {
                account_key: PublicKey::from_bytes(&genesis.account_key)
                    .map_err(|_| EntryError::Malformed)?,
                certificate: Certificate::decode(&genesis.certificate)?,
            },
            wire::Change::Add(add) => Self::Add(Certificate::decode(&add.certificate)?),
            wire::Change::Revoke(revoke) => Self::Revoke {
                device: DeviceId::try_from(&revoke.device_id[..])
                    .map_err(|_| EntryError::Malformed)?,
                from: revoke.from_position,
            },
            wire::Change::Renew(renew) => Self::Renew(Certificate::decode(&renew.certificate)?),
            wire::Change::Override(whole) if whole.certificates.len() > super::MAX_DEVICES => {
                return Err(EntryError::TooManyDevices);
            }
            wire::Change::Override(whole) => {
                let certificates =
                    whole.certificates.iter().map(|bytes| Certificate::decode(bytes));
                Self::Override(certificates.collect::<Result<_, _>>()?)
            }
        })
    }
}

/// The bytes of a signed entry.
pub(super) fn sign(
    user: UserId,
    (position, previous): (u32, Option<&Hash>),
    (signer, key): (Signer, &SigningKey),
    change: &Change,
) -> Vec<u8> {
    let statement = v1::DeviceLogStatement {
        user_id: user.to_bytes(),
        position,
        previous: previous.map_or_else(Bytes::new, |hash| Bytes::copy_from_slice(hash)),
        signer_device_id: match signer {
            Signer::Account => Bytes::new(),
            Signer::Device(device) => device.to_bytes(),
        },
        change: Some(change.to_wire()),
    };
    let statement = statement.encode_to_vec();
    let signature = key.sign(label::DEVICE_LOG_ENTRY, &[&statement]);
    let signature = Bytes::copy_from_slice(signature.as_bytes());
    v1::DeviceLogEntry { statement: statement.into(), signature }.encode_to_vec()
}

impl Change {
    fn to_wire(&self) -> wire::Change {
        let bytes = |certificate: &Certificate| certificate.as_bytes().clone();
        match self {
            Self::Genesis { account_key, certificate } => {
                wire::Change::Genesis(v1::DeviceLogGenesis {
                    account_key: Bytes::copy_from_slice(account_key.as_bytes()),
                    certificate: bytes(certificate),
                })
            }
            Self::Add(certificate) => {
                wire::Change::Add(v1::DeviceLogAdd { certificate: bytes(certificate) })
            }
            Self::Revoke { device, from } => wire::Change::Revoke(v1::DeviceLogRevoke {
                device_id: device.to_bytes(),
                from_position: *from,
            }),
            Self::Renew(certificate) => {
                wire::Change::Renew(v1::DeviceLogRenew { certificate: bytes(certificate) })
            }
            Self::Override(certificates) => wire::Change::Override(v1::DeviceLogOverride {
                certificates: certificates.iter().map(bytes).collect(),
            }),
        }
    }
}
