//! Identity: the device log, the recovery phrase, safety numbers.

use aside_crypto::{
    Certificate, Change, DeviceLog, Judgement, PinBreach, RecoveryPhrase, SafetyNumber, Signer,
    Strength,
};
use aside_proto::{
    id::{DeviceId, UserId},
    name::Name,
    v1::{self, client_frame, server_frame::Body},
};
use bytes::Bytes;

use super::Client;
use crate::{
    Error, certificate,
    driver::Command,
    random,
    trust::{self, KnownLog, Received},
};

/// How often another device of the user's may get its entry in first before this one gives up.
const MAX_CONFLICTS: usize = 8;

/// What two users compare to find out whether each sees the other's true device log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Safety {
    /// The number, which is the same for both.
    pub number: SafetyNumber,
    /// Whether the user has said that it is: never of an identity that has changed since (TRUST-005).
    pub verified: bool,
}

/// A new recovery phrase: to be shown to the user, given to [`Client::begin_identity`], and dropped (PHRASE-005).
#[must_use]
pub fn new_recovery_phrase(strength: Strength) -> RecoveryPhrase {
    RecoveryPhrase::generate(strength, &mut random::fill)
}

impl Client {
    /// Begins the user's device log, with this device, signed by the account key that the phrase stands for.
    ///
    /// # Errors
    /// [`Error::IdentityExists`] if the user has a device log, [`StateError::Copy`](crate::StateError::Copy) where this client has but a copy of the state,
    /// and UNKNOWN_REQUEST of a server without `private`, among others.
    pub async fn begin_identity(&self, phrase: &RecoveryPhrase) -> Result<DeviceLog, Error> {
        let certificate = self.certificate().await?;
        if self.own_device_log().await?.is_some() {
            return Err(Error::IdentityExists);
        }
        let genesis = Bytes::from(DeviceLog::sign_genesis(&phrase.account_key(), &certificate));
        let log = DeviceLog::begin(certificate.user(), &genesis).map_err(Error::LogEntry)?;
        match self.publish(0, genesis.clone()).await {
            Err(error) if error.is_refusal(v1::ErrorCode::DeviceLogConflict) => {
                Err(Error::IdentityExists)
            }
            Err(error) => Err(error),
            Ok(()) => self.keep_own(None, vec![genesis], log).await,
        }
    }

    /// Makes this device one of the user's by an entry that the account key signs. One that is active already stays as it is.
    ///
    /// # Errors
    /// [`Error::NoIdentity`] if the user has no device log, [`Error::WrongPhrase`] if it is another's,
    /// [`Error::LogEntry`] if there are too many devices, and as [`device_log`](Self::device_log).
    pub async fn approve_by_phrase(&self, phrase: &RecoveryPhrase) -> Result<DeviceLog, Error> {
        let certificate = self.certificate().await?;
        let account_key = phrase.account_key();
        self.append(|log| {
            if *log.account_key() != account_key.public_key() {
                return Err(Error::WrongPhrase);
            }
            let add = Change::Add(certificate.clone());
            let sign = || log.sign_next(Signer::Account, &account_key, &add);
            Ok((!is_active(log, certificate.device())).then(sign))
        })
        .await
    }

    /// The user's own device log; none if the user has none. As [`device_log`](Self::device_log).
    ///
    /// # Errors
    /// As [`device_log`](Self::device_log).
    pub async fn own_device_log(&self) -> Result<Option<DeviceLog>, Error> {
        self.device_log(self.identity().user).await
    }

    /// A user's device log as the server has it now, if it goes on from what was seen of it before (TRUST-002); none if the user has
    /// none. What is refused is also told by [`Event::DeviceLogRefused`](crate::Event::DeviceLogRefused), and changes nothing.
    ///
    /// # Errors
    /// [`Error::DeviceLog`] if it ends earlier, or goes another way, than what was seen, or is another one altogether
    /// ([`PinBreach::IdentityChanged`]: see [`accept_identity`](Self::accept_identity)); [`Error::DeviceLogInvalid`] if it is none.
    pub async fn device_log(&self, user: UserId) -> Result<Option<DeviceLog>, Error> {
        self.take(self.fetch_log(user).await?, user, false).await
    }

    /// A user's device log as far as it was seen, without asking the server: what to go on with when it gives another (TRUST-003).
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn known_device_log(&self, user: UserId) -> Result<Option<DeviceLog>, Error> {
        let known = self.store.device_log(user).await?;
        Ok(known.map(|known| known.replay(user)).transpose()?)
    }

    /// As [`device_log`](Self::device_log), for a program that has shown its user that the identity has changed: the other one is
    /// used from now on, and is not verified (TRUST-004, TRUST-005).
    ///
    /// # Errors
    /// As [`device_log`](Self::device_log), but for [`PinBreach::IdentityChanged`].
    pub async fn accept_identity(&self, user: UserId) -> Result<Option<DeviceLog>, Error> {
        self.store.check_own()?;
        self.take(self.fetch_log(user).await?, user, true).await
    }

    /// The safety number of this client's user and another (SAFETY-001), of the device logs as they are pinned.
    ///
    /// # Errors
    /// [`Error::NoIdentity`] if one of the two has no device log, [`Error::SameUser`]; and as [`device_log`](Self::device_log).
    pub async fn safety(&self, user: UserId) -> Result<Safety, Error> {
        self.own_device_log().await?.ok_or(Error::NoIdentity)?;
        self.device_log(user).await?.ok_or(Error::NoIdentity)?;
        let (_, safety) = self.known_safety(user).await?;
        Ok(safety)
    }

    /// Remembers that the user has compared the safety number, and found that both see the same.
    ///
    /// # Errors
    /// [`PinBreach::IdentityChanged`] if this is not the number any more; as [`safety`](Self::safety).
    pub async fn mark_verified(&self, user: UserId, number: &SafetyNumber) -> Result<(), Error> {
        self.store.check_own()?;
        loop {
            let (known, safety) = self.known_safety(user).await?;
            if safety.number != *number {
                return Err(PinBreach::IdentityChanged.into());
            }
            let verified = KnownLog { verified: true, ..known.clone() };
            if self.store.keep_device_log(user, Some(&known), &verified).await? {
                return Ok(());
            }
        }
    }

    /// Whether the server keeps device logs: whether the capability `private` is in force. False until the first connection stands.
    #[must_use]
    pub fn has_device_logs(&self) -> bool {
        self.status.borrow().private
    }

    /// The devices of the user's device log that were revoked, in the order in which they came into it, each once; with the time
    /// at which the server revoked it, milliseconds since 1970.
    ///
    /// # Errors
    /// As [`device_log`](Self::device_log).
    pub async fn revoked_devices(&self) -> Result<Vec<(DeviceId, u64)>, Error> {
        self.own_device_log().await?;
        let me = self.identity().user;
        let Some(known) = self.store.device_log(me).await? else { return Ok(Vec::new()) };
        let device_ids: Vec<_> = known.devices().map(|device| device.to_bytes()).collect();
        let mut revoked = Vec::new();
        for page in device_ids.chunks(self.limits().max_page_items.max(1) as usize) {
            let look_up = v1::LookUpDevices { device_ids: page.to_vec() };
            let reply = self.call(client_frame::Body::LookUpDevices(look_up)).await?;
            let Body::DeviceKeys(found) = reply else { return Err(Error::Gone) };
            for key in found.keys.into_iter().filter(|key| key.revoked_ms > 0) {
                revoked.push((key.device_id[..].try_into()?, key.revoked_ms));
            }
        }
        Ok(revoked)
    }

    /// The user who goes by a handle, in any spelling that means the same, if a room that both are in says so.
    ///
    /// # Errors
    /// As every request.
    pub async fn user_called(&self, handle: &str) -> Result<Option<UserId>, Error> {
        let Ok(name) = Name::new(handle, usize::MAX) else { return Ok(None) };
        if let Some(user) = self.store.user_called(name.as_str()).await? {
            return Ok(Some(user));
        }
        for room in self.rooms(true).await? {
            let members = self.members(room.conversation, false).await?;
            if let Some(found) = members.into_iter().find(|it| it.handle == name.as_str()) {
                return Ok(Some(found.user));
            }
        }
        Ok(None)
    }

    /// Revokes a device of the device log, from now on: what it approved stays (DLOG-008).
    pub(super) async fn revoke_in_log(&self, device: DeviceId) -> Result<(), Error> {
        let me = self.identity().device;
        let login_key = self.store.account().await?.device_key;
        let signed = self.append(|log| {
            let from = log.head().position + 1;
            let revoke = Change::Revoke { device, from };
            let sign = || log.sign_next(Signer::Device(me), &login_key, &revoke);
            Ok(is_active(log, device).then(sign))
        });
        signed.await.map(drop)
    }

    /// Whether this device can revoke the other by an entry of the device log.
    pub(super) async fn signs_for(&self, device: DeviceId) -> Result<bool, Error> {
        if !self.has_device_logs() {
            return Ok(false);
        }
        let log = match self.own_device_log().await {
            // Whoever took the device may have spoilt the log, and the device is to go all the same (DEVLOG-006).
            Err(Error::DeviceLog(_) | Error::DeviceLogInvalid { .. }) => None,
            log => log?,
        };
        let me = self.identity().device;
        Ok(log.is_some_and(|log| is_active(&log, device) && is_active(&log, me)))
    }

    /// What is known of a user, and the safety number that comes of it.
    async fn known_safety(&self, user: UserId) -> Result<(KnownLog, Safety), Error> {
        let me = self.identity().user;
        let mine = self.store.device_log(me).await?.ok_or(Error::NoIdentity)?;
        let theirs = self.store.device_log(user).await?.ok_or(Error::NoIdentity)?;
        let (one, other) = (mine.replay(me)?.identity(), theirs.replay(user)?.identity());
        let number = SafetyNumber::of(&one, &other).map_err(|_| Error::SameUser)?;
        let safety = Safety { number, verified: theirs.verified };
        Ok((theirs, safety))
    }

    /// Appends to the user's own log what `sign` makes of it, unless that is nothing. If another device is first, `sign` is asked
    /// again (DEVLOG-002).
    pub(super) async fn append(
        &self,
        sign: impl Fn(&DeviceLog) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<DeviceLog, Error> {
        let me = self.identity().user;
        let mut conflicts = 0;
        loop {
            self.own_device_log().await?;
            let known = self.store.device_log(me).await?.ok_or(Error::NoIdentity)?;
            let mut log = known.replay(me)?;
            let Some(entry) = sign(&log)? else { return Ok(log) };
            let from = log.head().position + 1;
            // So that none is sent that others would refuse.
            log.apply(&entry).map_err(Error::LogEntry)?;
            let entry = Bytes::from(entry);
            match self.publish(from, entry.clone()).await {
                Err(error)
                    if error.is_refusal(v1::ErrorCode::DeviceLogConflict)
                        && conflicts < MAX_CONFLICTS =>
                {
                    conflicts += 1;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    let entries = [&known.entries[..], &[entry]].concat();
                    return self.keep_own(Some(&known), entries, log).await;
                }
            }
        }
    }

    /// Keeps the user's own log after an entry of this device's; if another call was first, the server is asked. A device that
    /// takes itself out is logged out by that, and has nothing more to keep.
    async fn keep_own(
        &self,
        was: Option<&KnownLog>,
        entries: Vec<Bytes>,
        log: DeviceLog,
    ) -> Result<DeviceLog, Error> {
        let now = KnownLog { entries, verified: was.is_some_and(|was| was.verified) };
        match self.note_own(was, &now, &log).await {
            Ok(true) => Ok(log),
            Ok(false) => self.own_device_log().await?.ok_or(Error::NoIdentity),
            Err(Error::Gone) if !is_active(&log, self.identity().device) => Ok(log),
            Err(error) => Err(error),
        }
    }

    /// Whether it was kept: not if another call was first.
    async fn note_own(
        &self,
        was: Option<&KnownLog>,
        now: &KnownLog,
        log: &DeviceLog,
    ) -> Result<bool, Error> {
        let kept = self.store.keep_device_log(log.user(), was, now).await?;
        if kept {
            self.command(Command::LogKnown { user: log.user() }).await?;
        }
        Ok(kept)
    }

    async fn publish(&self, from_position: u32, entry: Bytes) -> Result<(), Error> {
        let publish = v1::PublishDeviceLog { from_position, entries: vec![entry], replaces: 0 };
        self.call(client_frame::Body::PublishDeviceLog(publish)).await.map(drop)
    }

    pub(super) async fn fetch_log(&self, user: UserId) -> Result<Received, Error> {
        let mut received = Received::new(user);
        loop {
            let fetch = client_frame::Body::FetchDeviceLogs(received.request());
            let Body::DeviceLogs(page) = self.call(fetch).await? else { return Err(Error::Gone) };
            if !received.take(page)? {
                return Ok(received);
            }
        }
    }

    /// Holds what was received against what is known, and keeps it.
    async fn take(
        &self,
        received: Received,
        user: UserId,
        accept_change: bool,
    ) -> Result<Option<DeviceLog>, Error> {
        let held = trust::hold(&self.store, &self.server, &received, accept_change).await;
        match &held {
            Ok(Some(_)) => self.command(Command::LogKnown { user }).await?,
            Err(Error::DeviceLog(why)) => {
                self.command(Command::Refused { user, why: *why }).await?;
            }
            _ => {}
        }
        held
    }

    /// This device's certificate, made at the first call.
    pub(super) async fn certificate(&self) -> Result<Certificate, Error> {
        certificate::of_this_device(&self.store, &self.identity()).await
    }
}

/// Whether a device is one of its user's at the log's head.
pub(super) fn is_active(log: &DeviceLog, device: DeviceId) -> bool {
    matches!(log.judge(device, log.head().position), Judgement::Active(_))
}
