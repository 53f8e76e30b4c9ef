//! Whose leaf is this, by the device logs that are known.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aside_crypto::{Certificate, DeviceLog, LogHead, Standing};
use aside_mls::{CredentialRefused, Judge, Leaf, Owner};
use aside_proto::id::UserId;

use crate::trust::MAX_FORMER;

/// Users who are remembered for no log of theirs being known.
const MOST_UNKNOWN: usize = 256;

/// The device logs of all whom this device talks with, as they are pinned.
#[derive(Default)]
pub(super) struct Logs(Mutex<Known>);

#[derive(Default)]
struct Known {
    logs: HashMap<UserId, DeviceLog>,
    /// Those in whose place another identity came, the last few: their devices are still told, so that they can be removed.
    former: HashMap<UserId, Vec<DeviceLog>>,
    /// What certificates were found to be: MLS asks about all of a group's again and again.
    judged: HashMap<Vec<u8>, Judged>,
    /// Whose certificates could not be judged, for no log of theirs is known.
    unknown: BTreeSet<UserId>,
}

#[derive(Clone)]
struct Judged {
    owner: Owner,
    standing: Standing,
    /// Suite and public key of each MLS key.
    keys: Vec<(u16, Vec<u8>)>,
}

impl Judged {
    fn new(certificate: &Certificate, standing: Standing) -> Self {
        let keys = certificate.mls_keys().iter().map(|key| (key.suite, key.public_key.clone()));
        let owner = Owner { user: certificate.user(), device: certificate.device() };
        Self { owner, standing, keys: keys.collect() }
    }
}

impl Logs {
    /// From now on this is the user's.
    pub(super) fn learn(&self, log: DeviceLog) {
        let mut known = self.lock();
        let user = log.user();
        known.judged.retain(|_, judged| judged.owner.user != user);
        let identity = log.identity();
        // They were verified with the log: once a group is of many, their signatures are most of what joining costs.
        for certificate in log.active() {
            let (device, bytes) = (certificate.device(), certificate.as_bytes());
            let standing = log.judge_certificate(device, bytes, log.head().position);
            known.judged.insert(bytes.to_vec(), Judged::new(certificate, standing));
        }
        if let Some(before) = known.logs.insert(user, log)
            && before.identity() != identity
        {
            let former = known.former.entry(user).or_default();
            former.push(before);
            former.drain(..former.len().saturating_sub(MAX_FORMER));
        }
    }

    pub(super) fn has(&self, user: UserId) -> bool {
        self.lock().logs.contains_key(&user)
    }

    /// Of whom no log was known when it was wanted, since the last call.
    pub(super) fn take_unknown(&self) -> BTreeSet<UserId> {
        std::mem::take(&mut self.lock().unknown)
    }

    /// What `ask` makes of a user's log; none if it is not known.
    pub(super) fn with<T>(&self, user: UserId, ask: impl FnOnce(&DeviceLog) -> T) -> Option<T> {
        self.lock().logs.get(&user).map(ask)
    }

    /// Whether a user had a log with this head, in whose place another identity's came.
    pub(super) fn had(&self, user: UserId, head: &LogHead) -> bool {
        let known = self.lock();
        let mut former = known.former.get(&user).into_iter().flatten();
        former.any(|log| log.hash_at(head.position) == Some(&head.hash))
    }

    /// Whether a device is active in its user's log, as far as that is known.
    pub(super) fn approves(&self, owner: Owner) -> bool {
        let is_active = |log: &DeviceLog| log.active().any(|it| it.device() == owner.device);
        self.with(owner.user, is_active) == Some(true)
    }

    /// Nothing is left half-changed by a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("known", &self.lock().logs.len()).finish_non_exhaustive()
    }
}

impl Known {
    fn judged(&mut self, certificate: &[u8]) -> Option<&Judged> {
        if !self.judged.contains_key(certificate) {
            let decoded = Certificate::decode(certificate).ok()?;
            let (user, device) = (decoded.user(), decoded.device());
            let Some(log) = self.logs.get(&user) else {
                if self.unknown.len() < MOST_UNKNOWN {
                    self.unknown.insert(user);
                }
                return None;
            };
            let judge =
                |log: &DeviceLog| log.judge_certificate(device, certificate, log.head().position);
            let mut standing = judge(log);
            let former = self.former.get(&user).into_iter().flatten();
            if !is_known(standing) && former.map(judge).any(is_known) {
                standing = Standing::Ended { by: log.head().position };
            }
            self.judged.insert(certificate.to_vec(), Judged::new(&decoded, standing));
        }
        self.judged.get(certificate)
    }
}

impl Judge for Logs {
    /// MLS-003, MLS-025, DLOG-017.
    fn owner(&self, leaf: Leaf<'_>) -> Result<Owner, CredentialRefused> {
        let mut known = self.lock();
        let judged = known.judged(leaf.certificate).ok_or(CredentialRefused)?;
        let theirs = |key: &&(u16, Vec<u8>)| key.0 == leaf.suite.number();
        let key = judged.keys.iter().find(theirs).ok_or(CredentialRefused)?;
        if is_known(judged.standing) && key.1 == leaf.signature_key {
            Ok(judged.owner)
        } else {
            Err(CredentialRefused)
        }
    }

    /// MLS-009.
    fn admit(&self, leaf: Leaf<'_>, _: Owner) -> Result<(), CredentialRefused> {
        let mut known = self.lock();
        match known.judged(leaf.certificate).ok_or(CredentialRefused)?.standing {
            Standing::Active | Standing::Renewed { .. } => Ok(()),
            _ => Err(CredentialRefused),
        }
    }
}

/// Whether the log has the certificate.
const fn is_known(standing: Standing) -> bool {
    matches!(standing, Standing::Active | Standing::Renewed { .. } | Standing::Ended { .. })
}
