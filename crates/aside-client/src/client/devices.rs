//! What the user's device log says of the user's devices, and what is done when one of them was stolen.

use std::collections::BTreeSet;

use aside_crypto::{Certificate, Change, DeviceLog, RecoveryPhrase, Signer};
use aside_proto::{
    id::DeviceId,
    v1::{DeviceLogEntry, DeviceLogStatement, device_log_statement as wire},
};
use bytes::Bytes;
use prost::Message as _;

use super::{Client, identity::is_active};
use crate::{Error, StateError};

/// An entry of a device log, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place: 0, 1, 2, …
    pub position: u32,
    /// The device that signed it; none: the account key did.
    pub by: Option<DeviceId>,
    /// What it changed.
    pub change: LogChange,
}

/// What an entry of a device log changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChange {
    /// The log began, with this device.
    Began(DeviceId),
    /// A device was added.
    Added(DeviceId),
    /// A device was revoked.
    Revoked {
        /// Which.
        device: DeviceId,
        /// What it approved from this position on fell with it.
        since: u32,
    },
    /// A device has another certificate.
    Renewed(DeviceId),
    /// These are the devices from here on.
    Overridden(Vec<DeviceId>),
}

impl Client {
    /// The user's own device log, entry by entry; empty if there is none.
    ///
    /// # Errors
    /// As [`device_log`](Self::device_log).
    pub async fn own_log_entries(&self) -> Result<Vec<LogEntry>, Error> {
        self.own_device_log().await?;
        let known = self.store.device_log(self.identity().user).await?;
        let entries = known.iter().flat_map(|known| &known.entries);
        Ok(entries.map(read).collect::<Option<_>>().ok_or(StateError::Damaged("a device log"))?)
    }

    /// Revokes a device that was stolen: what it approved at `since` or later, and what that approved, falls with it (DLOG-008).
    /// Gives the devices that fell.
    ///
    /// # Errors
    /// [`Error::NoIdentity`], [`Error::NotApproved`] if this device can't sign; [`Error::LogEntry`] if the device is not in the
    /// log, or the position is not, or nothing would change; as [`device_log`](Self::device_log).
    pub async fn revoke_device_since(
        &self,
        device: DeviceId,
        since: u32,
    ) -> Result<Vec<DeviceId>, Error> {
        let before = self.own_device_log().await?.ok_or(Error::NoIdentity)?;
        let me = self.identity().device;
        if !is_active(&before, me) {
            return Err(Error::NotApproved);
        }
        let login_key = self.store.account().await?.device_key;
        let revoke = Change::Revoke { device, from: since };
        let after = self
            .append(|log| Ok(Some(log.sign_next(Signer::Device(me), &login_key, &revoke))))
            .await?;
        let fell = active(&before).difference(&active(&after)).copied().collect::<Vec<_>>();
        Ok(fell.into_iter().filter(|fallen| *fallen != device).collect())
    }

    /// Says by the recovery phrase which devices there are from now on, whatever devices did (DLOG-010): these, and this one. Gives
    /// the log.
    ///
    /// # Errors
    /// [`Error::NoIdentity`], [`Error::WrongPhrase`], [`Error::UnknownDevice`] if one of them was never in the log;
    /// [`StateError::Copy`]; as [`device_log`](Self::device_log).
    pub async fn override_devices(
        &self,
        phrase: &RecoveryPhrase,
        keep: &[DeviceId],
    ) -> Result<DeviceLog, Error> {
        let own = self.certificate().await?;
        let log = self.own_device_log().await?.ok_or(Error::NoIdentity)?;
        let account_key = phrase.account_key();
        if *log.account_key() != account_key.public_key() {
            return Err(Error::WrongPhrase);
        }
        let known = self.store.device_log(log.user()).await?.ok_or(Error::NoIdentity)?;
        let others = keep.iter().filter(|device| **device != own.device());
        let others: BTreeSet<DeviceId> = others.copied().collect();
        let mut certificates = vec![own.clone()];
        for device in others {
            let last = known.certificates().filter(|it| it.device() == device).last();
            certificates.push(last.ok_or(Error::UnknownDevice(device))?);
        }
        let instead = Change::Override(certificates);
        self.append(|log| Ok(Some(log.sign_next(Signer::Account, &account_key, &instead)))).await
    }
}

fn active(log: &DeviceLog) -> BTreeSet<DeviceId> {
    log.active().map(Certificate::device).collect()
}

/// An entry that was judged.
fn read(entry: &Bytes) -> Option<LogEntry> {
    let entry = DeviceLogEntry::decode(entry.clone()).ok()?;
    let statement = DeviceLogStatement::decode(entry.statement).ok()?;
    let named = |certificate: &Bytes| Some(Certificate::decode(certificate).ok()?.device());
    let change = match statement.change? {
        wire::Change::Genesis(genesis) => LogChange::Began(named(&genesis.certificate)?),
        wire::Change::Add(add) => LogChange::Added(named(&add.certificate)?),
        wire::Change::Revoke(revoke) => LogChange::Revoked {
            device: revoke.device_id[..].try_into().ok()?,
            since: revoke.from_position,
        },
        wire::Change::Renew(renew) => LogChange::Renewed(named(&renew.certificate)?),
        wire::Change::Override(instead) => LogChange::Overridden(
            instead.certificates.iter().map(named).collect::<Option<Vec<_>>>()?,
        ),
    };
    let by = statement.signer_device_id;
    let by = (!by.is_empty()).then(|| by[..].try_into()).transpose().ok()?;
    Some(LogEntry { position: statement.position, by, change })
}
