//! Private conversations: made, seen, joined and left.

use std::collections::BTreeSet;

use aside_crypto::direct_id;
use aside_proto::{
    id::{ConversationId, DeviceId, UserId},
    private::{Change, Epoch, Establishment, Leaf, Peer, WelcomeFor},
    v1::{self, EntryKind, NoKeyPackage, Role},
};
use bytes::Bytes;

use super::{Actor, Lab, Must as _, assert_refused, id, list};
use crate::{
    BindDevice, ChangePassword, ClaimKeyPackages, CreateGroup, Effect, EstablishGroup,
    ListSummaries, OpenDirect, PublishDeviceLog, PublishKeyPackages, Refused, RejectCommit,
    RevokeDevice, SendPrivate, SetRole, SubmitCommit, UpdateRoom, VerifiedLog,
};

list![
    a_direct_is_one_whoever_opens_it,
    a_private_conversation_is_not_there_for_others,
    requests_for_rooms_are_refused,
    whose_leaves_come_and_go_by_whom,
    whoever_leaves_is_cut_off,
    a_revoked_device_is_cut_off_everywhere,
    ownership_is_passed_on,
    whoever_has_a_leaf_inherits_first,
];

/// The cipher suite of all tests.
pub(super) const SUITE: u16 = 2;

impl Lab {
    /// A device that is approved, by a log of which nothing but its length matters here.
    pub(super) async fn approved(&self, handle: &str) -> Actor {
        let actor = self.register(handle).await;
        self.approve(actor, &[actor]).await;
        actor
    }

    /// Another device of an account, approved beside it.
    pub(super) async fn second(&self, first: Actor) -> Actor {
        let second = self.unapproved(first).await;
        self.approve(first, &[first, second]).await;
        second
    }

    pub(super) async fn unapproved(&self, first: Actor) -> Actor {
        let binding = BindDevice {
            user: first.user,
            verified_hash: self
                .store
                .password_hash_of(first.user)
                .await
                .must()
                .expect("registered"),
            new_hash: None,
            public_key: self.bytes(),
            device_name: "another".to_owned(),
        };
        Actor { user: first.user, device: self.store.bind_device(binding).await.must() }
    }

    /// An entry after which exactly these devices are active.
    pub(super) async fn entry(
        &self,
        by: Actor,
        active: &[Actor],
        revoked: &[Actor],
    ) -> PublishDeviceLog {
        let log = self.store.device_log(by.user).await.must();
        let mut keys = Vec::new();
        for actor in active {
            let record = self.store.find_device(actor.device).await.must().expect("a device");
            keys.push((actor.device, record.public_key));
        }
        PublishDeviceLog {
            key: self.key(),
            user: by.user,
            device: by.device,
            from_position: log.len() as u32,
            entries: vec![Bytes::copy_from_slice(&self.bytes::<40>())],
            replaces: 0,
            verified: Some(VerifiedLog {
                after: log.last().cloned(),
                active: keys,
                revoked: revoked.iter().map(|actor| actor.device).collect(),
            }),
        }
    }

    pub(super) async fn approve(&self, by: Actor, active: &[Actor]) {
        let entry = self.entry(by, active, &[]).await;
        self.store.publish_device_log(entry).await.must();
    }

    pub(super) fn packages(&self, of: Actor, count: usize) -> PublishKeyPackages {
        let package = || Bytes::copy_from_slice(&self.bytes::<24>());
        PublishKeyPackages {
            key: self.key(),
            user: of.user,
            device: of.device,
            suite: SUITE,
            key_packages: (0..count).map(|_| package()).collect(),
            last_resort: None,
            replace: false,
        }
    }

    pub(super) fn claim(
        &self,
        by: Actor,
        targets: &[(UserId, Option<DeviceId>)],
    ) -> ClaimKeyPackages {
        ClaimKeyPackages {
            key: self.key(),
            user: by.user,
            device: by.device,
            suite: SUITE,
            targets: targets.to_vec(),
            spared: BTreeSet::new(),
            max_bytes: usize::MAX,
        }
    }

    pub(super) fn opening(&self, by: Actor, with: UserId) -> OpenDirect {
        let Actor { user, device } = by;
        OpenDirect { key: self.key(), user, device, peer: Peer::User(with) }
    }

    pub(super) async fn group(&self, by: Actor) -> ConversationId {
        let create = CreateGroup { key: self.key(), user: by.user, device: by.device };
        let created = self.store.create_group(create).await.must();
        id(&created.conversation.expect("a conversation").conversation_id)
    }

    pub(super) fn establishing(
        &self,
        by: Actor,
        conversation: ConversationId,
        (generation, head_seq): (u64, u64),
        leaves: &[Actor],
    ) -> EstablishGroup {
        let leaves: Vec<_> = leaves.iter().map(|actor| leaf(*actor)).collect();
        let devices: Vec<_> =
            leaves.iter().map(|leaf| leaf.device).filter(|device| *device != by.device).collect();
        EstablishGroup {
            key: self.key(),
            user: by.user,
            device: by.device,
            plan: Establishment {
                conversation,
                generation,
                head_seq,
                suite: SUITE,
                leaves,
                culprit: None,
            },
            header: Bytes::copy_from_slice(&self.bytes::<32>()),
            salt: self.bytes(),
            welcomes: self.welcomes(devices),
            group_info: "info at 1".into(),
        }
    }

    pub(super) fn welcomes(&self, devices: Vec<DeviceId>) -> Vec<WelcomeFor> {
        match devices.is_empty() {
            true => Vec::new(),
            false => vec![WelcomeFor { welcome: "welcome".into(), devices }],
        }
    }

    /// A GROUP at epoch 1, with these leaves after its maker's.
    pub(super) async fn established(&self, by: Actor, others: &[Actor]) -> ConversationId {
        let conversation = self.group(by).await;
        let leaves = [&[by], others].concat();
        let establish = self.establishing(by, conversation, (1, 1), &leaves);
        self.store.establish_group(establish).await.must();
        conversation
    }

    pub(super) fn commit(
        &self,
        by: Actor,
        conversation: ConversationId,
        epoch: u64,
        (added, removed): (&[Actor], &[Actor]),
    ) -> SubmitCommit {
        let leaves = |actors: &[Actor]| actors.iter().map(|actor| leaf(*actor)).collect();
        SubmitCommit {
            key: self.key(),
            user: by.user,
            device: by.device,
            plan: Change {
                conversation,
                base: Epoch { generation: 1, epoch },
                added: leaves(added),
                removed: leaves(removed),
                is_external: false,
            },
            payload: Bytes::copy_from_slice(&self.bytes::<32>()),
            salt: self.bytes(),
            welcomes: self.welcomes(added.iter().map(|actor| actor.device).collect()),
            group_info: format!("info at {}", epoch + 1).into(),
        }
    }

    pub(super) fn private(
        &self,
        by: Actor,
        conversation: ConversationId,
        epoch: u64,
    ) -> SendPrivate {
        SendPrivate {
            user: by.user,
            device: by.device,
            conversation,
            message_id: self.key(),
            epoch: Epoch { generation: 1, epoch },
            payload: Bytes::copy_from_slice(&self.bytes::<40>()),
            salt: self.bytes(),
        }
    }

    pub(super) async fn info(&self, of: Actor, conversation: ConversationId) -> v1::GroupInfo {
        self.store.group_info(of.user, of.device, conversation).await.must()
    }

    pub(super) async fn waiting(&self, of: Actor) -> Vec<v1::InboxWelcome> {
        self.store.inbox(of.device, 0, 100, usize::MAX).await.must().items
    }

    /// An external commit, by which a device comes in.
    pub(super) fn external(
        &self,
        by: Actor,
        conversation: ConversationId,
        (generation, epoch): (u64, u64),
        removed: &[Actor],
    ) -> SubmitCommit {
        let mut commit = self.commit(by, conversation, epoch, (&[by], removed));
        commit.plan.base.generation = generation;
        commit.plan.is_external = true;
        commit.welcomes.clear();
        commit
    }

    pub(super) fn rejecting(
        &self,
        by: Actor,
        conversation: ConversationId,
        seq: u64,
    ) -> RejectCommit {
        RejectCommit {
            key: self.key(),
            user: by.user,
            device: by.device,
            conversation,
            seq,
            code: v1::RejectCode::Invalid,
        }
    }

    pub(super) fn role(
        &self,
        by: Actor,
        at: ConversationId,
        member: UserId,
        role: Role,
    ) -> SetRole {
        let Actor { user, device } = by;
        SetRole { key: self.key(), user, device, conversation: at, member, role }
    }

    pub(super) async fn roles(&self, reader: UserId, at: ConversationId) -> Vec<(UserId, Role)> {
        let page = self.store.list_members(reader, at, None, 100).await.must();
        let member = |m: v1::Member| (UserId::try_from(&m.user_id[..]).must(), m.role());
        page.members.into_iter().map(member).collect()
    }
}

pub(super) fn leaf(actor: Actor) -> Leaf {
    Leaf { user: actor.user, device: actor.device }
}

pub(super) fn kinds(log: &[super::Read]) -> Vec<EntryKind> {
    log.iter().map(|read| read.header.kind()).collect()
}

/// The last entry of a log, as the payload of its kind.
pub(super) fn last<M: prost::Message + Default>(log: &[super::Read]) -> M {
    M::decode(&log.last().expect("an entry").entry.payload[..]).must()
}

// cites: PRIV-003, PRIV-004
async fn a_direct_is_one_whoever_opens_it(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let both = [lab.opening(alice, bob.user), lab.opening(bob, alice.user)]
        .map(|open| lab.store.open_direct(open));
    let expected = direct_id(alice.user, bob.user);
    for opened in both {
        let room = opened.await.must().conversation.expect("a conversation");
        assert_eq!(id(&room.conversation_id), expected);
        assert_eq!((room.kind(), &*room.name), (v1::ConversationKind::Direct, ""));
        assert_eq!((room.member_count, room.head_seq, room.role()), (2, 1, Role::Owner));
    }
    let log = lab.log(alice.user, expected).await;
    assert_eq!(kinds(&log), [EntryKind::ConversationCreated]);
    let mut user_ids = vec![alice.user.to_bytes(), bob.user.to_bytes()];
    user_ids.sort_unstable();
    let kind = v1::ConversationKind::Direct.into();
    assert_eq!(
        last::<v1::ConversationCreatedPayload>(&log),
        v1::ConversationCreatedPayload { kind, user_ids }
    );
    assert_refused!(lab.store.open_direct(lab.opening(alice, alice.user)).await, Refused::Oneself);
    let nobody = lab.opening(alice, UserId::new([9; 16]));
    assert_refused!(lab.store.open_direct(nobody).await, Refused::NoSuchUser);
    assert_refused!(lab.store.leave(lab.leaving(alice, expected)).await, Refused::NotPermitted);
    let role = lab.role(alice, expected, bob.user, Role::Member);
    assert_refused!(lab.store.set_role(role).await, Refused::NotPermitted);
}

// cites: PRIV-006, PRIV-007
async fn a_private_conversation_is_not_there_for_others(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let eve = lab.approved("eve").await;
    let direct = direct_id(alice.user, bob.user);
    lab.store.open_direct(lab.opening(alice, bob.user)).await.must();
    let missing =
        |answer: Result<(), Refused>| assert_refused!(answer, Refused::NoSuchConversation);
    let store = &lab.store;
    missing(store.fetch(eve.user, direct, 1, 9, usize::MAX).await.map(drop));
    missing(store.head(eve.user, direct).await.map(drop));
    missing(store.list_members(eve.user, direct, None, 9).await.map(drop));
    missing(store.group_info(eve.user, eve.device, direct).await.map(drop));
    missing(store.join(lab.joining(eve, direct)).await.map(drop));
    missing(store.leave(lab.leaving(eve, direct)).await.map(drop));
    missing(store.append(lab.message(eve, direct, "hi")).await.map(drop));
    missing(store.send_private(lab.private(eve, direct, 1)).await.map(drop));
    missing(store.redact(lab.redacting(eve, direct, &[1])).await.map(drop));
    let (user, device) = (eve.user, eve.device);
    let mark = crate::Mark {
        user,
        device,
        attachment: 1,
        conversation: direct,
        delivered_seq: 1,
        read_seq: 0,
    };
    missing(store.mark(mark).await.map(drop));
    assert!(lab.rooms(alice.user).await.iter().all(|room| room.is_default));
    let list = |private| ListSummaries {
        private,
        page_size: 9,
        max_bytes: usize::MAX,
        ..ListSummaries::default()
    };
    assert_eq!(store.list_summaries(alice.user, &list(false)).await.must().summaries, []);
    let listed = store.list_summaries(alice.user, &list(true)).await.must().summaries;
    let room = listed[0].room.clone().expect("a conversation");
    assert_eq!((&room.conversation_id, &*room.name), (&direct.to_bytes(), ""));
}

// cites: PRIV-005
async fn requests_for_rooms_are_refused(lab: Lab) {
    let alice = lab.approved("alice").await;
    let (group, room) = (lab.group(alice).await, lab.create(alice, "den").await);
    let wrong =
        |answer: Result<(), Refused>| assert_refused!(answer, Refused::WrongConversationKind);
    let (user, device) = (alice.user, alice.device);
    let update = UpdateRoom {
        key: lab.key(),
        user,
        device,
        conversation: group,
        name: None,
        topic: Some("secret".to_owned()),
        description: None,
        invite_only: None,
        retention: None,
    };
    wrong(lab.store.update_room(update).await.map(drop));
    wrong(lab.store.join(lab.joining(alice, group)).await.map(drop));
    wrong(lab.store.append(lab.message(alice, group, "hi")).await.map(drop));
    let pin =
        crate::SetPin { key: lab.key(), user, device, conversation: group, seq: 1, pinned: true };
    wrong(lab.store.set_pin(pin).await.map(drop));
    let handle = super::name("alice");
    let invite = crate::Invite {
        key: lab.key(),
        user,
        device,
        conversation: group,
        handle,
        withdraw: false,
    };
    wrong(lab.store.invite(invite).await.map(drop));
    wrong(lab.store.send_private(lab.private(alice, room, 1)).await.map(drop));
    let commit = lab.commit(alice, room, 1, (&[], &[]));
    wrong(lab.store.submit_commit(commit).await.map(drop));
    wrong(lab.store.group_info(user, device, room).await.map(drop));
}

// cites: PRIV-010, PRIV-015
async fn whose_leaves_come_and_go_by_whom(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let (carol, dave) = (lab.approved("carol").await, lab.approved("dave").await);
    let group = lab.established(alice, &[bob, carol]).await;
    let laptop = lab.second(bob).await;
    let forbidden = |answer| assert_refused!(answer, Refused::NotPermitted);
    let store = &lab.store;
    let commit = |by, epoch, added: &[Actor], removed: &[Actor]| {
        store.submit_commit(lab.commit(by, group, epoch, (added, removed)))
    };
    forbidden(commit(bob, 1, &[dave], &[]).await);
    forbidden(commit(bob, 1, &[], &[carol]).await);
    commit(bob, 1, &[laptop], &[]).await.must();
    commit(bob, 2, &[], &[laptop]).await.must();
    let by_bob = lab.role(bob, group, bob.user, Role::Admin);
    assert_refused!(store.set_role(by_bob).await, Refused::NotPermitted);
    store.set_role(lab.role(alice, group, bob.user, Role::Admin)).await.must();
    let log = lab.log(alice.user, group).await;
    let changed = last::<v1::RoleChangedPayload>(&log);
    assert_eq!((changed.user_id.clone(), changed.role()), (bob.user.to_bytes(), Role::Admin));
    forbidden(commit(bob, 3, &[], &[alice]).await);
    commit(bob, 3, &[dave], &[carol]).await.must();
    let role = |user| lab.role(alice, group, user, Role::Admin);
    assert_refused!(store.set_role(role(carol.user)).await, Refused::NoSuchUser);
    let demotion = lab.role(alice, group, alice.user, Role::Member);
    assert_refused!(store.set_role(demotion).await, Refused::NotPermitted);
    let length = lab.log(alice.user, group).await.len();
    store.set_role(role(bob.user)).await.must();
    assert_eq!(lab.log(alice.user, group).await.len(), length, "nothing has changed");
    commit(alice, 4, &[], &[bob]).await.must();

    let direct = direct_id(alice.user, bob.user);
    store.open_direct(lab.opening(alice, bob.user)).await.must();
    let establish = lab.establishing(alice, direct, (1, 1), &[alice, bob, dave]);
    assert_refused!(store.establish_group(establish).await, Refused::NotPermitted);
    let establish = lab.establishing(alice, direct, (1, 1), &[alice, bob]);
    store.establish_group(establish).await.must();
    let mut remove = lab.commit(alice, direct, 1, (&[], &[bob]));
    assert_refused!(store.submit_commit(remove.clone()).await, Refused::NotPermitted);
    (remove.plan.added, remove.plan.removed) = (vec![leaf(laptop)], vec![]);
    remove.welcomes = lab.welcomes(vec![laptop.device]);
    store.submit_commit(remove).await.must();
}

// cites: PRIV-013, DS-013, DS-033
async fn whoever_leaves_is_cut_off(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    let group = lab.established(alice, &[bob, carol]).await;
    lab.effects();
    lab.leave(bob, group).await;
    let log = lab.log(alice.user, group).await;
    let removal = v1::RemovalPendingPayload {
        user_id: bob.user.to_bytes(),
        device_ids: vec![bob.device.to_bytes()],
        left: true,
    };
    assert_eq!(last::<v1::RemovalPendingPayload>(&log), removal);
    let conversation = group;
    assert_eq!(
        lab.effects(),
        [
            Effect::Appended { conversation, seq: 3, entry: log[2].entry.clone() },
            Effect::LeafRemoved { device: bob.device, conversation },
            Effect::Left { user: bob.user, conversation, members: 2 },
        ]
    );
    let pending = |answer: Result<(), Refused>| {
        assert!(
            matches!(answer, Err(Refused::RemovalPending { devices }) if devices == [leaf(bob)])
        );
    };
    pending(lab.store.send_private(lab.private(alice, group, 1)).await.map(drop));
    pending(lab.store.submit_commit(lab.commit(carol, group, 1, (&[], &[]))).await.map(drop));
    let info = lab.info(carol, group).await;
    assert_eq!(info.pending_removals, [v1::Leaf::from(leaf(bob))]);
    assert_eq!(info.leaves.len(), 2);
    // Anybody may name what has to be removed.
    lab.store.submit_commit(lab.commit(carol, group, 1, (&[], &[bob]))).await.must();
    lab.store.send_private(lab.private(alice, group, 2)).await.must();
    lab.store.submit_commit(lab.commit(alice, group, 2, (&[bob], &[]))).await.must();
    lab.store.send_private(lab.private(bob, group, 3)).await.must();
}

// cites: PRIV-014, PRIV-016, KP-001, DS-013
async fn a_revoked_device_is_cut_off_everywhere(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let groups = [lab.established(alice, &[bob]).await, lab.established(bob, &[alice]).await];
    let phone = lab.second(bob).await;
    lab.store.publish_key_packages(lab.packages(bob, 1)).await.must();
    lab.effects();
    let (key, user, device) = (lab.key(), phone.user, phone.device);
    lab.store.revoke_device(RevokeDevice { key, user, device, target: bob.device }).await.must();
    let effects = lab.effects();
    assert_eq!(effects[0], Effect::DeviceRevoked { device: bob.device });
    for group in groups {
        let log = lab.log(alice.user, group).await;
        let removal = last::<v1::RemovalPendingPayload>(&log);
        assert_eq!((removal.device_ids, removal.left), (vec![bob.device.to_bytes()], false));
        assert_eq!(log[2].header.sender_device_id, phone.device.to_bytes());
        let cut = Effect::LeafRemoved { device: bob.device, conversation: group };
        let told = Effect::Appended { conversation: group, seq: 3, entry: log[2].entry.clone() };
        let place = |effect| effects.iter().position(|e| *e == effect).expect("there is one");
        assert!(place(cut) < place(told));
    }
    let claim = lab.claim(alice, &[(bob.user, Some(bob.device))]);
    let claimed = lab.store.claim_key_packages(claim).await.must().claimed;
    assert_eq!(claimed[0].reason(), NoKeyPackage::NotApproved);
    // Nobody can remove another from outside: whoever comes in does so afterwards (MLS-027).
    let mut external = lab.commit(phone, groups[1], 1, (&[phone], &[]));
    external.plan.is_external = true;
    external.welcomes.clear();
    lab.store.submit_commit(external).await.must();
    assert_eq!(lab.info(phone, groups[1]).await.pending_removals, [v1::Leaf::from(leaf(bob))]);
    // Bob stays a member: only the leaf is gone, and another device is let in.
    lab.store.submit_commit(lab.commit(alice, groups[0], 1, (&[], &[bob]))).await.must();
    lab.store.submit_commit(lab.commit(alice, groups[0], 2, (&[phone], &[]))).await.must();

    let change = ChangePassword {
        key: lab.key(),
        user: alice.user,
        device: lab.second(alice).await.device,
        verified_hash: lab.store.password_hash_of(alice.user).await.must().expect("registered"),
        new_hash: "$hash$new".to_owned(),
    };
    lab.store.change_password(change).await.must();
    assert_eq!(lab.info(phone, groups[0]).await.pending_removals, [v1::Leaf::from(leaf(alice))]);
}

// cites: PRIV-011
async fn ownership_is_passed_on(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let (carol, dave) = (lab.approved("carol").await, lab.approved("dave").await);
    let group = lab.established(alice, &[bob]).await;
    lab.store.submit_commit(lab.commit(alice, group, 1, (&[carol], &[]))).await.must();
    lab.store.submit_commit(lab.commit(alice, group, 2, (&[dave], &[]))).await.must();
    lab.store.set_role(lab.role(alice, group, carol.user, Role::Admin)).await.must();
    lab.leave(alice, group).await;
    let owner = async |reader: Actor| {
        let roles = lab.roles(reader.user, group).await;
        let owners: Vec<_> = roles.into_iter().filter(|(_, role)| *role == Role::Owner).collect();
        assert_eq!(owners.len(), 1);
        owners[0].0
    };
    assert_eq!(owner(bob).await, carol.user, "an admin before others");
    let log = lab.log(bob.user, group).await;
    assert_eq!(last::<v1::RoleChangedPayload>(&log).user_id, carol.user.to_bytes());
    lab.leave(carol, group).await;
    assert_eq!(owner(dave).await, bob.user, "who is there for longest");
    lab.leave(bob, group).await;
    lab.leave(dave, group).await;
    assert_refused!(lab.store.head(dave.user, group).await, Refused::NoSuchConversation);
}

// cites: PRIV-011
async fn whoever_has_a_leaf_inherits_first(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    let group = lab.established(alice, &[bob]).await;
    lab.store.submit_commit(lab.commit(alice, group, 1, (&[carol], &[]))).await.must();
    lab.store.set_role(lab.role(alice, group, bob.user, Role::Admin)).await.must();
    // Bob is an admin and a member for longer, but his device is no leaf any more.
    let phone = lab.second(bob).await;
    lab.approve(bob, &[phone]).await;
    lab.leave(alice, group).await;
    let roles = lab.roles(phone.user, group).await;
    assert!(roles.contains(&(carol.user, Role::Owner)), "{roles:?}");
    lab.leave(carol, group).await;
    assert_eq!(lab.roles(phone.user, group).await, [(bob.user, Role::Owner)], "where none has");
}
