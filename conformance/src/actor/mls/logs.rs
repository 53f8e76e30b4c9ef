//! The device logs that an actor has fetched, by which it judges leaves.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aside_crypto::{Certificate, DeviceLog, LogHead, Standing};
use aside_mls::{CredentialRefused, Judge, Leaf, Owner};
use aside_proto::id::UserId;

/// What an actor knows of whose devices are whose.
#[derive(Default)]
pub(crate) struct Logs(Mutex<Known>);

#[derive(Default)]
struct Known {
    logs: BTreeMap<UserId, Log>,
    /// Certificates that were read before, or can't be: reading one verifies a signature, and MLS asks of all leaves again and again.
    certificates: HashMap<Vec<u8>, Option<Certificate>>,
    /// Certificates that are believed whatever the logs say.
    believed: BTreeSet<Vec<u8>>,
    /// Users who were asked of and are not known.
    missing: BTreeSet<UserId>,
}

/// A user's log; none if the user has none.
#[derive(Default)]
struct Log {
    entries: Vec<Vec<u8>>,
    judged: Option<DeviceLog>,
}

impl Logs {
    /// The users whose logs were fetched.
    pub(crate) fn users(&self) -> BTreeSet<UserId> {
        self.lock().logs.keys().copied().collect()
    }

    /// The users who were asked of since the last call, and whose logs were never fetched.
    pub(crate) fn take_missing(&self) -> BTreeSet<UserId> {
        mem::take(&mut self.lock().missing)
    }

    /// All entries of a user's log, none if there is no log.
    ///
    /// # Errors
    /// Why it is no device log.
    pub(crate) fn take(&self, user: UserId, entries: Vec<Vec<u8>>) -> Result<(), String> {
        let mut known = self.lock();
        let log = known.logs.entry(user).or_default();
        match &mut log.judged {
            Some(judged) if entries.starts_with(&log.entries) => {
                for entry in &entries[log.entries.len()..] {
                    judged.apply(entry).map_err(|error| error.to_string())?;
                }
            }
            judged => {
                *judged = match entries.is_empty() {
                    true => None,
                    false => Some(replay(user, &entries)?),
                };
            }
        }
        log.entries = entries;
        Ok(())
    }

    /// Where a user's log ends.
    pub(crate) fn head(&self, user: UserId) -> Option<LogHead> {
        self.lock().logs.get(&user)?.judged.as_ref().map(DeviceLog::head)
    }

    /// From now on this certificate is one of its device's, whatever the logs say.
    pub(crate) fn believe(&self, certificate: Vec<u8>) {
        self.lock().believed.insert(certificate);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn replay(user: UserId, entries: &[Vec<u8>]) -> Result<DeviceLog, String> {
    DeviceLog::replay(user, entries.iter().map(Vec::as_slice))
        .map_err(|(index, error)| format!("entry {index}: {error}"))
}

impl Known {
    fn certificate(&mut self, bytes: &[u8]) -> Option<&Certificate> {
        let read = || Certificate::decode(bytes).ok();
        self.certificates.entry(bytes.to_vec()).or_insert_with(read).as_ref()
    }

    /// What a certificate is at the head of its user's log.
    fn standing(&mut self, leaf: Leaf<'_>, owner: Owner) -> Option<Standing> {
        let Some(log) = self.logs.get(&owner.user) else {
            self.missing.insert(owner.user);
            return None;
        };
        let judged = log.judged.as_ref()?;
        let position = judged.head().position;
        Some(judged.judge_certificate(owner.device, leaf.certificate, position))
    }
}

impl Judge for Logs {
    fn owner(&self, leaf: Leaf<'_>) -> Result<Owner, CredentialRefused> {
        let mut known = self.lock();
        let certificate = known.certificate(leaf.certificate).ok_or(CredentialRefused)?;
        if certificate.mls_key(leaf.suite.number()) != Some(leaf.signature_key) {
            return Err(CredentialRefused);
        }
        let owner = Owner { user: certificate.user(), device: certificate.device() };
        if known.believed.contains(leaf.certificate) {
            return Ok(owner);
        }
        match known.standing(leaf, owner) {
            Some(Standing::Active | Standing::Renewed { .. } | Standing::Ended { .. }) => Ok(owner),
            _ => Err(CredentialRefused),
        }
    }

    fn admit(&self, leaf: Leaf<'_>, owner: Owner) -> Result<(), CredentialRefused> {
        let mut known = self.lock();
        if known.believed.contains(leaf.certificate) {
            return Ok(());
        }
        match known.standing(leaf, owner) {
            Some(Standing::Active | Standing::Renewed { .. }) => Ok(()),
            _ => Err(CredentialRefused),
        }
    }
}

#[cfg(test)]
mod tests {
    use aside_crypto::{Change, MlsKey, Signer, SigningKey};
    use aside_mls::Suite;
    use aside_proto::id::DeviceId;

    use super::*;

    const USER: UserId = UserId::new([1; 16]);
    const MLS_KEY: [u8; 65] = [4; 65];

    fn key() -> SigningKey {
        SigningKey::generate(&mut |bytes| bytes.copy_from_slice(&crate::truth::random(bytes.len())))
    }

    fn certificate(device: u8) -> Certificate {
        let mls = MlsKey { suite: 2, public_key: MLS_KEY.to_vec() };
        Certificate::issue(USER, DeviceId::new([device; 16]), &key(), &[mls]).unwrap()
    }

    fn leaf(certificate: &Certificate) -> Leaf<'_> {
        let certificate = certificate.as_bytes();
        Leaf { certificate, signature_key: &MLS_KEY, suite: Suite::P256Aes128 }
    }

    #[test]
    fn leaves_are_judged_by_the_logs_that_were_fetched() {
        let (logs, account) = (Logs::default(), key());
        let (own, other) = (certificate(1), certificate(2));
        let owner = Owner { user: USER, device: DeviceId::new([1; 16]) };
        assert!(logs.owner(leaf(&own)).is_err());
        assert_eq!(logs.take_missing(), [USER].into());

        let genesis = DeviceLog::sign_genesis(&account, &own);
        logs.take(USER, vec![genesis.clone()]).unwrap();
        assert_eq!(logs.owner(leaf(&own)), Ok(owner));
        assert!(logs.admit(leaf(&own), owner).is_ok());
        assert!(logs.owner(leaf(&other)).is_err());
        assert!(logs.take_missing().is_empty());
        assert!(logs.owner(Leaf { signature_key: &[4; 64], ..leaf(&own) }).is_err());

        // Replaced by the account key, and still told whose it was.
        let log = DeviceLog::begin(USER, &genesis).unwrap();
        let only = Change::Override(vec![other.clone()]);
        let next = log.sign_next(Signer::Account, &account, &only);
        logs.take(USER, vec![genesis.clone(), next.clone()]).unwrap();
        assert_eq!(logs.owner(leaf(&own)), Ok(owner));
        assert!(logs.admit(leaf(&own), owner).is_err());
        assert!(logs.admit(leaf(&other), logs.owner(leaf(&other)).unwrap()).is_ok());
        assert!(logs.take(USER, vec![genesis, next.clone(), next]).is_err());
    }

    #[test]
    fn what_comes_from_hand_to_hand_is_believed() {
        let (logs, own) = (Logs::default(), certificate(1));
        logs.believe(own.as_bytes().to_vec());
        let owner = logs.owner(leaf(&own)).unwrap();
        assert!(logs.admit(leaf(&own), owner).is_ok());
        assert!(logs.owner(leaf(&certificate(1))).is_err());
    }
}
