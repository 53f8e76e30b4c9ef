//! Steps that many tests take.

#![allow(clippy::unwrap_used)] // Every function here is a test's.
#![allow(dead_code, reason = "each test binary takes some of the steps")]

use std::sync::Arc;

use aside_mls::{
    AwsLc, Change, ClaimedChange, CredentialRefused, Crypto, Device, Error, Group, GroupId, Judge,
    Leaf, OutgoingCommit, Owner, Secret, SigningKey, Suite,
    testing::{Cast, certificate},
};
use aside_proto::id::{ConversationId, UserId};

/// Seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn group_id() -> GroupId {
    GroupId { conversation: ConversationId::new(*b"a conversation!!"), generation: 3 }
}

/// A group of these devices, as each has it.
pub(crate) fn group_of<P: Crypto>(
    first: &Device<P>,
    others: &[&Device<P>],
    suite: Suite,
) -> Vec<Group<P>> {
    let mut group = first.create(suite, group_id(), NOW).unwrap();
    let key_packages: Vec<_> =
        others.iter().map(|device| device.key_package(suite, false, NOW).unwrap()).collect();
    let welcome = add(&mut group, &key_packages.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let joined = others.iter().map(|device| device.join(&welcome, group_id()).unwrap());
    let joined: Vec<_> = joined.collect();
    std::iter::once(group).chain(joined).collect()
}

/// Adds the devices of these KeyPackages, as if the server accepted it; the Welcome.
pub(crate) fn add<P: Crypto>(group: &mut Group<P>, key_packages: &[&[u8]]) -> Vec<u8> {
    let add = key_packages.iter().map(|bytes| group.key_package(bytes).unwrap()).collect();
    let (made, ..) = commit(group, &Change { add, ..Change::default() });
    group.apply_pending().unwrap();
    made.welcome.unwrap()
}

/// A commit, its header and what that claims.
pub(crate) fn commit<P: Crypto>(
    group: &mut Group<P>,
    change: &Change,
) -> (OutgoingCommit, Vec<u8>, ClaimedChange) {
    let claim = group.claim(change);
    let header = format!("{claim:?}").into_bytes();
    (group.commit(change, &header, NOW).unwrap(), header, claim)
}

/// One writes, the other reads.
pub(crate) fn say<P: Crypto>(from: &mut Group<P>, to: &mut Group<P>) {
    let message = from.encrypt(b"hello", b"header").unwrap();
    assert_eq!(to.decrypt(&message, b"header").unwrap().content, b"hello");
}

/// All agree, and each reads what any writes.
pub(crate) fn talk<P: Crypto>(groups: &mut [Group<P>]) {
    for n in 0..groups.len() {
        let header = [n as u8];
        let message = groups[n].encrypt(b"hello, all", &header).unwrap();
        let sender = members(&groups[n])
            .into_iter()
            .zip(groups[n].members().unwrap())
            .find(|(_, member)| member.leaf == groups[n].own_leaf())
            .map(|(owner, _)| owner);
        for m in (0..groups.len()).filter(|m| *m != n) {
            let read = groups[m].decrypt(&message, &header).unwrap();
            assert_eq!((Some(read.sender), read.content), (sender, b"hello, all".to_vec()));
        }
        let authenticator = groups[n].epoch_authenticator().unwrap();
        assert_eq!(authenticator, groups[0].epoch_authenticator().unwrap());
    }
}

pub(crate) fn members<P: Crypto>(group: &Group<P>) -> Vec<Owner> {
    group.members().unwrap().into_iter().map(|member| member.owner).collect()
}

/// Through the client's store and back.
pub(crate) fn reload<P: Crypto>(device: &Device<P>, group: &mut Group<P>) {
    group.save().unwrap();
    let state = device.take_changes().groups.remove(&group.id()).flatten().unwrap();
    let loaded = device.load(&state).unwrap();
    assert_eq!(
        (loaded.id(), loaded.suite(), loaded.epoch(), loaded.has_pending()),
        (group.id(), group.suite(), group.epoch(), group.has_pending())
    );
    assert_eq!(loaded.members().unwrap(), group.members().unwrap());
    assert_eq!(loaded.epoch_authenticator().unwrap(), group.epoch_authenticator().unwrap());
    *group = loaded;
}

/// A device whose keys outlive its memory.
pub(crate) struct Known {
    keys: Vec<SigningKey>,
    certificate: Vec<u8>,
    judge: Arc<dyn Judge>,
}

impl Known {
    pub(crate) fn new(cast: &Cast, owner: Owner) -> Self {
        let keys = Suite::ALL.map(|suite| SigningKey::generate::<AwsLc>(suite).unwrap()).to_vec();
        Self { certificate: certificate(owner, &keys), keys, judge: cast.judge() }
    }

    pub(crate) fn device(
        &self,
        key_packages: impl IntoIterator<Item = (Vec<u8>, Secret)>,
    ) -> Device {
        self.try_device(key_packages).unwrap()
    }

    pub(crate) fn try_device(
        &self,
        key_packages: impl IntoIterator<Item = (Vec<u8>, Secret)>,
    ) -> Result<Device, Error> {
        let judge = Arc::clone(&self.judge);
        Device::new(self.certificate.clone(), self.keys.clone(), judge, key_packages)
    }
}

/// A judge that admits all, and takes one device for another user's.
pub(crate) struct Liar {
    honest: Arc<dyn Judge>,
    device: Owner,
    claimed: UserId,
}

impl Liar {
    pub(crate) fn device(cast: &Cast, device: Owner, claimed: UserId) -> Device {
        let Known { keys, certificate, .. } = Known::new(cast, device);
        let judge = Arc::new(Self { honest: cast.judge(), device, claimed });
        Device::new(certificate, keys, judge, []).unwrap()
    }
}

impl Judge for Liar {
    fn owner(&self, leaf: Leaf<'_>) -> Result<Owner, CredentialRefused> {
        let owner = self.honest.owner(leaf)?;
        let user = if owner == self.device { self.claimed } else { owner.user };
        Ok(Owner { user, ..owner })
    }

    fn admit(&self, _: Leaf<'_>, _: Owner) -> Result<(), CredentialRefused> {
        Ok(())
    }
}
