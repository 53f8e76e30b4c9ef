//! Device logs as far as they were seen: what the server gives is held against them (TRUST-001 to TRUST-005).

use std::collections::BTreeSet;

use aside_crypto::{
    Certificate, DeviceLog, EntryError, MAX_ENTRIES, MAX_LOG_BYTES, Pin, PinBreach,
};
use aside_proto::{
    id::{DeviceId, UserId},
    v1::{
        DeviceLogEntry, DeviceLogStatement, DeviceLogs, FetchDeviceLogs,
        device_log_statement::Change,
    },
};
use bytes::Bytes;
use prost::Message as _;

use crate::{Error, StateError, store::Store};

/// Entries are a little longer than their statements, which [`MAX_LOG_BYTES`] is about.
const MAX_RECEIVED_BYTES: usize = 2 * MAX_LOG_BYTES;

/// Logs of a user that are remembered after others came in their place: each change was accepted by hand (TRUST-004), and what the
/// ones before approved is removed from groups soon.
pub(crate) const MAX_FORMER: usize = 8;

/// A log that was judged, and is kept. Its first entry and its last are what is pinned (TRUST-001).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLog {
    /// All of it.
    pub entries: Vec<Bytes>,
    /// Whether the user compared the safety number.
    pub verified: bool,
}

impl KnownLog {
    /// What the entries come to.
    ///
    /// # Errors
    /// [`StateError::Damaged`].
    pub fn replay(&self, user: UserId) -> Result<DeviceLog, StateError> {
        DeviceLog::replay(user, self.entries.iter().map(|entry| &entry[..]))
            .map_err(|_| StateError::Damaged("a device log"))
    }

    /// The devices that were ever added, in order, each once.
    pub fn devices(&self) -> impl Iterator<Item = DeviceId> {
        let mut seen = BTreeSet::new();
        let devices = self.certificates().map(|certificate| certificate.device());
        devices.filter(move |device| seen.insert(*device))
    }

    /// Those that devices were ever given, in order.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = Certificate> {
        let certificates = self.entries.iter().flat_map(certificates);
        certificates.filter_map(|certificate| Certificate::decode(&certificate).ok())
    }
}

/// A log as the server gives it, page by page, from its beginning: it is short, and so another that was put in its place shows,
/// however long that is.
#[derive(Debug)]
pub struct Received {
    user: UserId,
    entries: Vec<Bytes>,
    bytes: usize,
}

impl Received {
    /// Of a user.
    #[must_use]
    pub fn new(user: UserId) -> Self {
        Self { user, entries: Vec::new(), bytes: 0 }
    }

    /// What to ask for next.
    pub fn request(&self) -> FetchDeviceLogs {
        let from_position = u32::try_from(self.entries.len()).unwrap_or(MAX_ENTRIES);
        FetchDeviceLogs { user_ids: vec![self.user.to_bytes()], from_position }
    }

    /// Takes a page; whether there is another (DEVLOG-008).
    ///
    /// # Errors
    /// [`Error::DeviceLogInvalid`] if it is more than a log has (DLOG-012).
    pub fn take(&mut self, page: DeviceLogs) -> Result<bool, Error> {
        let theirs = |id: &Bytes| id[..] == self.user.as_bytes()[..];
        let Some(part) = page.logs.into_iter().find(|part| theirs(&part.user_id)) else {
            return Ok(false);
        };
        let has_more = page.more && !part.entries.is_empty();
        self.bytes += part.entries.iter().map(Bytes::len).sum::<usize>();
        self.entries.extend(part.entries);
        if self.entries.len() > MAX_ENTRIES as usize || self.bytes > MAX_RECEIVED_BYTES {
            return Err(Error::DeviceLogInvalid { position: MAX_ENTRIES, error: EntryError::Full });
        }
        Ok(has_more)
    }

    /// What it comes to by itself, held against nothing.
    ///
    /// # Errors
    /// [`Error::DeviceLogInvalid`].
    pub(crate) fn replay(&self) -> Result<Option<DeviceLog>, Error> {
        if self.entries.is_empty() {
            return Ok(None);
        }
        DeviceLog::replay(self.user, self.entries.iter().map(|entry| &entry[..])).map(Some).map_err(
            |(at, error)| Error::DeviceLogInvalid {
                position: u32::try_from(at).unwrap_or(MAX_ENTRIES),
                error,
            },
        )
    }

    /// Judges it, and holds it against what is known of the user; gives what is to be kept from now on, and what it comes to. No
    /// log at all is none only where none was seen before. With `accept_change` the user has seen that the identity has
    /// changed (TRUST-004).
    ///
    /// # Errors
    /// [`Error::DeviceLogInvalid`], [`Error::DeviceLog`]: what is known stays.
    pub fn judge(
        &self,
        server: &str,
        known: Option<&KnownLog>,
        accept_change: bool,
    ) -> Result<Option<(KnownLog, DeviceLog)>, Error> {
        if let Some(known) = known.filter(|known| known.entries == self.entries) {
            return Ok(Some((known.clone(), known.replay(self.user)?)));
        }
        let pin = known.map(|known| pin(server, known, self.user)).transpose()?;
        let log = match (self.replay()?, &pin) {
            (None, None) => return Ok(None),
            (None, Some(pin)) => {
                return Err(PinBreach::Shorter(pin.seen.position).into());
            }
            (Some(log), _) => log,
        };
        let mut pin = pin.unwrap_or_else(|| Pin::first(server, &log));
        match accept_change {
            true => pin.accept_change(&log)?,
            false => pin.follow(&log)?,
        }
        Ok(Some((KnownLog { entries: self.entries.clone(), verified: pin.verified }, log)))
    }
}

/// Holds a log that was received against what is known of its user, and keeps it; gives what it comes to, or none if there is none.
///
/// # Errors
/// As [`Received::judge`].
pub(crate) async fn hold(
    store: &Store,
    server: &str,
    received: &Received,
    accept_change: bool,
) -> Result<Option<DeviceLog>, Error> {
    let user = received.user;
    loop {
        let known = store.device_log(user).await?;
        let Some((now, log)) = received.judge(server, known.as_ref(), accept_change)? else {
            return Ok(None);
        };
        let is_kept = known.as_ref() == Some(&now)
            || store.keep_device_log(user, known.as_ref(), &now).await?;
        if is_kept {
            return Ok(Some(log));
        }
    }
}

/// Those in an entry that was judged.
fn certificates(entry: &Bytes) -> Vec<Bytes> {
    let statement = DeviceLogEntry::decode(entry.clone())
        .and_then(|entry| DeviceLogStatement::decode(entry.statement));
    match statement.ok().and_then(|statement| statement.change) {
        Some(Change::Genesis(genesis)) => vec![genesis.certificate],
        Some(Change::Add(add)) => vec![add.certificate],
        Some(Change::Renew(renew)) => vec![renew.certificate],
        Some(Change::Override(instead)) => instead.certificates,
        Some(Change::Revoke(_)) | None => Vec::new(),
    }
}

fn pin(server: &str, known: &KnownLog, user: UserId) -> Result<Pin, StateError> {
    let log = known.replay(user)?;
    Ok(Pin { verified: known.verified, ..Pin::first(server, &log) })
}

#[cfg(test)]
mod tests {
    use aside_crypto::{Change, MlsKey, RecoveryPhrase, SUITE_P256, Signer, SigningKey, Strength};
    use aside_proto::v1::DeviceLogPart;

    use super::*;

    const ALICE: UserId = UserId::new([1; 16]);
    const SERVER: &str = "chat.example";

    fn key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32]).unwrap()
    }

    fn certificate(n: u8) -> Certificate {
        let public_key = key(n).public_key().as_bytes().to_vec();
        let mls = [MlsKey { suite: SUITE_P256, public_key }];
        Certificate::issue(ALICE, DeviceId::new([n; 16]), &key(n), &mls).unwrap()
    }

    fn phrase(n: u8) -> RecoveryPhrase {
        RecoveryPhrase::generate(Strength::Bits128, &mut |bytes| bytes.fill(n))
    }

    /// A log of device 1 and those that it adds.
    fn log(phrase: &RecoveryPhrase, added: &[u8]) -> Vec<Bytes> {
        let genesis = DeviceLog::sign_genesis(&phrase.account_key(), &certificate(1));
        let mut log = DeviceLog::begin(ALICE, &genesis).unwrap();
        let mut entries = vec![Bytes::from(genesis)];
        for device in added {
            let signer = Signer::Device(DeviceId::new([1; 16]));
            let entry = log.sign_next(signer, &key(1), &Change::Add(certificate(*device)));
            log.apply(&entry).unwrap();
            entries.push(entry.into());
        }
        entries
    }

    /// What a client makes of a server's reply.
    fn receive(
        known: Option<&KnownLog>,
        entries: &[Bytes],
        accept_change: bool,
    ) -> Result<Option<KnownLog>, Error> {
        let mut received = Received::new(ALICE);
        let (user_id, length) = (ALICE.to_bytes(), entries.len() as u32);
        let part = DeviceLogPart { user_id, entries: entries.to_vec(), length };
        assert!(!received.take(DeviceLogs { logs: vec![part], more: false })?);
        let judged = received.judge(SERVER, known, accept_change)?;
        Ok(judged.map(|(known, _)| known))
    }

    fn breach(outcome: Result<Option<KnownLog>, Error>) -> PinBreach {
        match outcome {
            Err(Error::DeviceLog(breach)) => breach,
            other => panic!("{other:?}"),
        }
    }

    // cites: TRUST-001, TRUST-002, TRUST-003
    #[test]
    fn a_log_that_ends_earlier_or_goes_another_way_is_refused() {
        let whole = log(&phrase(7), &[2, 3]);
        assert_eq!(receive(None, &[], false).unwrap(), None);
        let first = receive(None, &whole[..2], false).unwrap().unwrap();
        assert_eq!(first, KnownLog { entries: whole[..2].to_vec(), verified: false });
        let verified = KnownLog { verified: true, ..first };
        let longer = receive(Some(&verified), &whole, false).unwrap().unwrap();
        assert_eq!(longer, KnownLog { entries: whole.clone(), verified: true }, "it goes on");
        let devices: Vec<_> = longer.devices().collect();
        assert_eq!(devices, [1, 2, 3].map(|n| DeviceId::new([n; 16])));

        for shorter in [&whole[..2], &whole[..1], &[]] {
            let refused = breach(receive(Some(&longer), shorter, false));
            assert_eq!(refused, PinBreach::Shorter(2));
            assert_eq!(breach(receive(Some(&longer), shorter, true)), refused, "for good");
        }
        let other = log(&phrase(7), &[2, 4, 5]);
        assert_eq!(breach(receive(Some(&longer), &other, false)), PinBreach::Diverged(2));
    }

    // cites: TRUST-004, TRUST-005
    #[test]
    fn another_identity_is_taken_once_the_user_has_seen_it_and_is_not_verified() {
        let known = KnownLog { entries: log(&phrase(7), &[2]), verified: true };
        let other = log(&phrase(8), &[2, 3]);
        assert_eq!(breach(receive(Some(&known), &other, false)), PinBreach::IdentityChanged);
        let accepted = receive(Some(&known), &other, true).unwrap().unwrap();
        assert_eq!(accepted, KnownLog { entries: other, verified: false });
    }

    // cites: DLOG-003, DLOG-005
    #[test]
    fn what_is_no_log_is_refused() {
        let whole = log(&phrase(7), &[2, 3]);
        let holed = [whole[0].clone(), whole[2].clone()];
        for (entries, at) in [(&holed[..], 1), (&whole[1..], 0)] {
            let refused = receive(None, entries, false);
            assert!(
                matches!(refused, Err(Error::DeviceLogInvalid { position, .. }) if position == at),
                "{refused:?}"
            );
        }
    }

    // cites: DEVLOG-008, DLOG-012
    #[test]
    fn a_log_comes_in_pages_and_never_without_end() {
        let whole = log(&phrase(7), &[2, 3]);
        let page = |entries: &[Bytes]| {
            let part = DeviceLogPart {
                user_id: ALICE.to_bytes(),
                entries: entries.to_vec(),
                ..Default::default()
            };
            DeviceLogs { logs: vec![part], more: true }
        };
        let mut received = Received::new(ALICE);
        assert!(received.take(page(&whole[..2])).unwrap());
        assert_eq!(received.request().from_position, 2);
        assert!(received.take(page(&whole[2..])).unwrap());
        assert!(!received.take(page(&[])).unwrap(), "more of nothing is no more");
        let judged = received.judge(SERVER, None, false).unwrap().unwrap();
        assert_eq!(judged.0.entries, whole);
        let endless = vec![Bytes::from_static(b"x"); MAX_ENTRIES as usize];
        assert!(received.take(page(&endless)).is_err());
    }
}
