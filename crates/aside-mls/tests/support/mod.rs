//! Steps that many tests take.

#![allow(clippy::unwrap_used)] // Every function here is a test's.
#![allow(dead_code, reason = "each test binary takes some of the steps")]

use std::sync::Arc;

use aside_mls::{
    AwsLc, Change, ClaimedChange, CredentialRefused, Crypto, Device, Error, Group, GroupId, Judge,
    Leaf, OutgoingCommit, Owner, Rejoin, Secret, SigningKey, Suite,
    testing::{Cast, certificate, owner},
};
use aside_proto::id::{ConversationId, UserId};

/// Seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn group_id() -> GroupId {
    GroupId { conversation: ConversationId::new(*b"a conversation!!"), generation: 3 }
}

/// Alice's device.
pub(crate) fn her() -> Owner {
    owner(1, 1)
}

/// Bob's device.
pub(crate) fn him() -> Owner {
    owner(2, 2)
}

/// A Welcome, and the commit that it came with, and who made them.
pub(crate) struct Invitation {
    pub(crate) by: Owner,
    pub(crate) welcome: Vec<u8>,
    pub(crate) commit: ClaimedChange,
}

/// The group of an invitation, if the device had none.
pub(crate) fn join<P: Crypto>(
    device: &Device<P>,
    invitation: &Invitation,
) -> Result<Group<P>, Error> {
    device.join(&invitation.welcome, group_id(), (invitation.by, &invitation.commit), None)
}

/// Comes in by the GroupInfo of this group as it is.
pub(crate) fn rejoin<'a, P: Crypto>(
    device: &'a Device<P>,
    group: &Group,
) -> Result<Rejoin<'a, P>, Error> {
    device.rejoin(&group.group_info().unwrap(), group_id(), group.epoch(), None)
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
    let joined = others.iter().map(|device| join(device, &welcome).unwrap());
    let joined: Vec<_> = joined.collect();
    std::iter::once(group).chain(joined).collect()
}

/// Adds the devices of these KeyPackages, as if the server accepted it.
pub(crate) fn add<P: Crypto>(group: &mut Group<P>, key_packages: &[&[u8]]) -> Invitation {
    let add = key_packages.iter().map(|bytes| group.key_package(bytes).unwrap()).collect();
    let (made, _, claim) = commit(group, &Change { add, ..Change::default() });
    group.apply_pending().unwrap();
    Invitation { by: group.own().unwrap(), welcome: made.welcome.unwrap(), commit: claim }
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
    assert_eq!(to.decrypt(&message, b"header", from.own().unwrap()).unwrap().content, b"hello");
}

/// All agree, and each reads what any writes.
pub(crate) fn talk<P: Crypto>(groups: &mut [Group<P>]) {
    for n in 0..groups.len() {
        let header = [n as u8];
        let message = groups[n].encrypt(b"hello, all", &header).unwrap();
        let sender = groups[n].own().unwrap();
        for m in (0..groups.len()).filter(|m| *m != n) {
            let read = groups[m].decrypt(&message, &header, sender).unwrap();
            assert_eq!((read.sender, read.content), (sender, b"hello, all".to_vec()));
        }
        let authenticator = groups[n].epoch_authenticator().unwrap();
        assert_eq!(authenticator, groups[0].epoch_authenticator().unwrap());
        assert_eq!(groups[n].fork_check().unwrap(), groups[0].fork_check().unwrap());
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
        let certificate = certificate(owner, &keys);
        cast.enrol(certificate.clone());
        Self { certificate, keys, judge: cast.judge() }
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
