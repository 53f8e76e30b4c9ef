//! Private conversations: approved devices, KeyPackages, groups and their epochs, inboxes.

use aside_crypto::direct_id;
use aside_proto::{
    id::{ConversationId, DeviceId, UserId},
    private::{Change, Epoch, Establishment, Leaf, Peer, WelcomeFor},
    v1::{self, EntryKind, NoKeyPackage, Role},
};
use bytes::Bytes;
use prost::Message as _;

use super::{Actor, Lab, Must as _, assert_refused, id, list};
use crate::{
    AckInbox, BindDevice, ChangePassword, ClaimKeyPackages, CreateGroup, Effect, EstablishGroup,
    ListSummaries, OpenDirect, PublishDeviceLog, PublishKeyPackages, Refused, RejectCommit,
    ReportForkCheck, RevokeDevice, SendPrivate, SetRole, SubmitCommit, UpdateRoom, VerifiedLog,
};

list![
    a_log_approves_and_takes_approval_away,
    a_log_grows_where_it_ends,
    key_packages_are_given_once_each,
    claims_name_why_there_is_none,
    a_claim_fits_into_its_frame,
    a_direct_is_one_whoever_opens_it,
    a_private_conversation_is_not_there_for_others,
    requests_for_rooms_are_refused,
    a_commit_takes_a_group_on,
    of_two_commits_one_is_taken,
    what_a_commit_may_not_do,
    a_refused_commit_leaves_no_trace,
    whose_leaves_come_and_go_by_whom,
    messages_are_taken_at_the_present_epoch,
    messages_of_a_batch_are_judged_together,
    whoever_leaves_is_cut_off,
    a_revoked_device_is_cut_off_everywhere,
    ownership_is_passed_on,
    a_group_is_reset_after_a_rejection,
    a_group_without_leaves_is_begun_anew,
    an_external_commit_brings_its_own_device,
    welcomes_wait_until_they_are_acknowledged,
    forks_are_told,
    what_is_there_outlives_the_process,
];

/// The cipher suite of all tests.
const SUITE: u16 = 2;

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

    async fn unapproved(&self, first: Actor) -> Actor {
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
    async fn entry(&self, by: Actor, active: &[Actor], revoked: &[Actor]) -> PublishDeviceLog {
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

    async fn approve(&self, by: Actor, active: &[Actor]) {
        let entry = self.entry(by, active, &[]).await;
        self.store.publish_device_log(entry).await.must();
    }

    fn packages(&self, of: Actor, count: usize) -> PublishKeyPackages {
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

    fn claim(&self, by: Actor, targets: &[(UserId, Option<DeviceId>)]) -> ClaimKeyPackages {
        ClaimKeyPackages {
            key: self.key(),
            user: by.user,
            device: by.device,
            suite: SUITE,
            targets: targets.to_vec(),
            max_bytes: usize::MAX,
        }
    }

    fn opening(&self, by: Actor, with: UserId) -> OpenDirect {
        let Actor { user, device } = by;
        OpenDirect { key: self.key(), user, device, peer: Peer::User(with) }
    }

    async fn group(&self, by: Actor) -> ConversationId {
        let create = CreateGroup { key: self.key(), user: by.user, device: by.device };
        let created = self.store.create_group(create).await.must();
        id(&created.conversation.expect("a conversation").conversation_id)
    }

    fn establishing(
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

    fn welcomes(&self, devices: Vec<DeviceId>) -> Vec<WelcomeFor> {
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

    fn commit(
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

    fn private(&self, by: Actor, conversation: ConversationId, epoch: u64) -> SendPrivate {
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

    async fn waiting(&self, of: Actor) -> Vec<v1::InboxWelcome> {
        self.store.inbox(of.device, 0, 100, usize::MAX).await.must().items
    }

    fn rejecting(&self, by: Actor, conversation: ConversationId, seq: u64) -> RejectCommit {
        RejectCommit {
            key: self.key(),
            user: by.user,
            device: by.device,
            conversation,
            seq,
            code: v1::RejectCode::Invalid,
        }
    }

    fn role(&self, by: Actor, at: ConversationId, member: UserId, role: Role) -> SetRole {
        let Actor { user, device } = by;
        SetRole { key: self.key(), user, device, conversation: at, member, role }
    }

    pub(super) async fn roles(&self, reader: UserId, at: ConversationId) -> Vec<(UserId, Role)> {
        let page = self.store.list_members(reader, at, None, 100).await.must();
        let member = |m: v1::Member| (UserId::try_from(&m.user_id[..]).must(), m.role());
        page.members.into_iter().map(member).collect()
    }
}

fn leaf(actor: Actor) -> Leaf {
    Leaf { user: actor.user, device: actor.device }
}

fn kinds(log: &[super::Read]) -> Vec<EntryKind> {
    log.iter().map(|read| read.header.kind()).collect()
}

/// The last entry of a log, as the payload of its kind.
fn last<M: prost::Message + Default>(log: &[super::Read]) -> M {
    M::decode(&log.last().expect("an entry").entry.payload[..]).must()
}

// cites: DEVLOG-005, DEVLOG-006, DEVLOG-009, PRIV-002
async fn a_log_approves_and_takes_approval_away(lab: Lab) {
    let alice = lab.register("alice").await;
    let unapproved = Refused::DeviceNotApproved { devices: Vec::new() };
    let create = |of: Actor| CreateGroup { key: lab.key(), user: of.user, device: of.device };
    let refused = lab.store.create_group(create(alice)).await;
    assert_eq!(format!("{refused:?}"), format!("{:?}", Err::<(), _>(unapproved)));
    let phone = lab.unapproved(alice).await;
    lab.effects();
    lab.approve(alice, &[alice, phone]).await;
    let approved = vec![alice.device, phone.device];
    let changed = Effect::DeviceLogChanged { user: alice.user, length: 1, approved };
    assert_eq!(lab.effects(), [changed]);
    lab.store.create_group(create(phone)).await.must();

    // Left out: it stays a device, and is approved no longer.
    lab.approve(alice, &[alice]).await;
    let refused = lab.store.create_group(create(phone)).await;
    assert_refused!(refused, Refused::DeviceNotApproved { .. });
    // Another key than that in the log is another device.
    let mut forged = lab.entry(alice, &[alice, phone], &[]).await;
    forged.verified.as_mut().expect("made so").active[1].1 = [9; 65];
    lab.store.publish_device_log(forged).await.must();
    let refused = lab.store.create_group(create(phone)).await;
    assert_refused!(refused, Refused::DeviceNotApproved { .. });

    lab.effects();
    let revoking = lab.entry(alice, &[alice], &[phone]).await;
    lab.store.publish_device_log(revoking).await.must();
    assert!(lab.effects().contains(&Effect::DeviceRevoked { device: phone.device }));
    assert_refused!(lab.store.create_group(create(phone)).await, Refused::DeviceRevoked);
}

// cites: DEVLOG-001, DEVLOG-002, DEVLOG-003, DEVLOG-004, DEVLOG-007, DEVLOG-008
async fn a_log_grows_where_it_ends(lab: Lab) {
    let alice = lab.register("alice").await;
    let (first, second) =
        (lab.entry(alice, &[alice], &[]).await, lab.entry(alice, &[alice], &[]).await);
    assert_eq!(lab.store.publish_device_log(first.clone()).await.must().length, 1);
    // Verified on top of nothing, which is no longer what is there.
    let refused = lab.store.publish_device_log(second).await;
    assert_refused!(refused, Refused::DeviceLogConflict { length: 1 });
    let again = PublishDeviceLog { key: lab.key(), verified: None, ..first.clone() };
    assert_eq!(lab.store.publish_device_log(again).await.must().length, 1);
    let third = lab.entry(alice, &[alice], &[]).await;
    let unverified = PublishDeviceLog { verified: None, ..third.clone() };
    let refused = lab.store.publish_device_log(unverified).await;
    assert_refused!(refused, Refused::DeviceLogConflict { length: 1 });
    assert_eq!(lab.store.publish_device_log(third.clone()).await.must().length, 2);
    let entries = [first.entries, third.entries].concat();
    assert_eq!(lab.store.device_log(alice.user).await.must(), entries);

    let bob = lab.register("bob").await;
    let logs = lab.store.device_logs(&[bob.user, alice.user], 1, usize::MAX).await.must();
    let part = v1::DeviceLogPart {
        user_id: alice.user.to_bytes(),
        entries: entries[1..].to_vec(),
        length: 2,
    };
    assert_eq!(logs, v1::DeviceLogs { logs: vec![part], more: false });
    let cut = lab.store.device_logs(&[alice.user], 0, 64 + 64 + 40 + 64).await.must();
    assert_eq!((cut.logs[0].entries.len(), cut.more), (1, true));

    // Another log in its place.
    let mut anew = lab.entry(alice, &[alice], &[]).await;
    (anew.from_position, anew.replaces) = (0, 1);
    anew.verified.as_mut().expect("made so").after = None;
    let refused = lab.store.publish_device_log(anew.clone()).await;
    assert_refused!(refused, Refused::DeviceLogConflict { length: 2 });
    anew.replaces = 2;
    assert_eq!(lab.store.publish_device_log(anew.clone()).await.must().length, 1);
    assert_eq!(lab.store.device_log(alice.user).await.must(), anew.entries);
}

// cites: KP-001, KP-003, KP-004, KP-005, KP-007, KP-008, KP-011
async fn key_packages_are_given_once_each(lab: Lab) {
    let lab =
        lab.limited(|limits| (limits.max_key_packages, limits.key_packages_low) = (3, 2)).await;
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let mut published = lab.packages(bob, 3);
    published.last_resort = Some("last".into());
    assert_eq!(lab.store.publish_key_packages(published.clone()).await.must().available, 3);
    let more = lab.packages(bob, 1);
    assert_refused!(lab.store.publish_key_packages(more).await, Refused::TooManyKeyPackages);
    lab.effects();
    let first = lab.claim(alice, &[(bob.user, None)]);
    let claimed = lab.store.claim_key_packages(first.clone()).await.must();
    assert_eq!(claimed.claimed[0].key_package, published.key_packages[0]);
    assert_eq!(claimed.claimed[0].device_id, bob.device.to_bytes());
    assert_eq!(lab.store.claim_key_packages(first).await.must(), claimed, "a retry");
    assert_eq!(lab.effects(), []);

    let both = lab.claim(alice, &[(bob.user, Some(bob.device)), (bob.user, None)]);
    let claimed = lab.store.claim_key_packages(both).await.must().claimed;
    let given: Vec<_> = claimed.iter().map(|one| one.key_package.clone()).collect();
    assert_eq!(given, published.key_packages[1..]);
    let low = |available| Effect::KeyPackagesLow { device: bob.device, suite: SUITE, available };
    assert_eq!(lab.effects(), [low(1), low(0)]);
    for _ in 0..2 {
        let claim = lab.claim(alice, &[(bob.user, None)]);
        let claimed = &lab.store.claim_key_packages(claim).await.must().claimed[0];
        assert_eq!((&claimed.key_package[..], claimed.is_last_resort), (&b"last"[..], true));
    }
    lab.store.attach(bob.user, bob.device, 7).await.must();
    let effects = lab.effects();
    let [Effect::Attached { private, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((private.is_approved, &private.key_packages_low[..]), (true, &[(SUITE, 0)][..]));

    lab.store.publish_key_packages(lab.packages(bob, 2)).await.must();
    let replacing = PublishKeyPackages { replace: true, ..lab.packages(bob, 1) };
    assert_eq!(lab.store.publish_key_packages(replacing.clone()).await.must().available, 1);
    let claim = lab.claim(alice, &[(bob.user, None)]);
    let claimed = lab.store.claim_key_packages(claim).await.must();
    assert_eq!(claimed.claimed[0].key_package, replacing.key_packages[0]);
}

// cites: KP-005, KP-007, KP-008
async fn claims_name_why_there_is_none(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let phone = lab.unapproved(bob).await;
    let carol = lab.register("carol").await;
    lab.store.publish_key_packages(lab.packages(phone, 1)).await.must();
    lab.store.publish_key_packages(lab.packages(alice, 1)).await.must();
    let nobody = UserId::new([9; 16]);
    let targets = [
        (bob.user, None),
        (bob.user, Some(phone.device)),
        (bob.user, Some(alice.device)),
        (carol.user, None),
        (nobody, None),
        (alice.user, None),
    ];
    let claimed = lab.store.claim_key_packages(lab.claim(alice, &targets)).await.must().claimed;
    let reasons: Vec<_> = claimed.iter().map(v1::ClaimedKeyPackage::reason).collect();
    let expected = [
        NoKeyPackage::Exhausted,
        NoKeyPackage::NotApproved,
        NoKeyPackage::NotApproved,
        NoKeyPackage::NoApprovedDevice,
        NoKeyPackage::NoSuchUser,
        NoKeyPackage::NoApprovedDevice,
    ];
    assert_eq!(reasons, expected);
    let by_phone = lab.store.claim_key_packages(lab.claim(phone, &targets)).await;
    assert_refused!(by_phone, Refused::DeviceNotApproved { .. });
}

// cites: KP-009
async fn a_claim_fits_into_its_frame(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    for actor in [bob, carol] {
        let large = vec![vec![7; 4000].into()];
        let publish = PublishKeyPackages { key_packages: large, ..lab.packages(actor, 0) };
        lab.store.publish_key_packages(publish).await.must();
    }
    let targets = [(bob.user, None), (carol.user, None)];
    let claim = ClaimKeyPackages { max_bytes: 5000, ..lab.claim(alice, &targets) };
    let claimed = lab.store.claim_key_packages(claim).await.must();
    assert!(claimed.encoded_len() <= 5000);
    assert_eq!(claimed.claimed[0].key_package.len(), 4000);
    assert_eq!(claimed.claimed[1].reason(), NoKeyPackage::NoRoom);
    let alone = ClaimKeyPackages { max_bytes: 5000, ..lab.claim(alice, &targets[1..]) };
    let claimed = lab.store.claim_key_packages(alone).await.must();
    assert_eq!(claimed.claimed[0].key_package.len(), 4000, "it was not taken before");
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
    };
    wrong(lab.store.update_room(update).await.map(drop));
    wrong(lab.store.join(lab.joining(alice, group)).await.map(drop));
    wrong(lab.store.append(lab.message(alice, group, "hi")).await.map(drop));
    let pin =
        crate::SetPin { key: lab.key(), user, device, conversation: group, seq: 1, pinned: true };
    wrong(lab.store.set_pin(pin).await.map(drop));
    let handle = super::name("alice");
    let invite = crate::Invite { key: lab.key(), user, device, conversation: group, handle };
    wrong(lab.store.invite(invite).await.map(drop));
    wrong(lab.store.send_private(lab.private(alice, room, 1)).await.map(drop));
    let commit = lab.commit(alice, room, 1, (&[], &[]));
    wrong(lab.store.submit_commit(commit).await.map(drop));
    wrong(lab.store.group_info(user, device, room).await.map(drop));
}

// cites: DS-001, DS-003, DS-010, DS-011, DS-019, DS-041, INBOX-001, PRIV-008, PRIV-009
async fn a_commit_takes_a_group_on(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    let group = lab.group(alice).await;
    assert_eq!(lab.info(alice, group).await, v1::GroupInfo::default());
    lab.effects();
    let establish = lab.establishing(alice, group, (1, 1), &[alice, bob]);
    let established = lab.store.establish_group(establish.clone()).await.must();
    assert_eq!((established.seq, established.generation), (2, 1));
    assert_eq!(lab.store.establish_group(establish.clone()).await.must(), established, "a retry");
    let log = lab.log(bob.user, group).await;
    let conversation = group;
    let seated =
        |actor: Actor| Effect::LeafAdded { device: actor.device, conversation, members: 2 };
    assert_eq!(
        lab.effects(),
        [
            Effect::JoinedPrivate { user: bob.user, conversation, members: 2 },
            seated(alice),
            seated(bob),
            Effect::Appended { conversation, seq: 2, entry: log[1].entry.clone() },
            Effect::InboxItem { device: bob.device, position: 1, conversation },
        ]
    );
    assert_eq!(log[1].entry.payload, establish.header);

    let commit = lab.commit(alice, group, 1, (&[carol], &[bob]));
    let committed = lab.store.submit_commit(commit.clone()).await.must();
    assert_eq!((committed.seq, committed.generation, committed.epoch), (3, 1, 2));
    assert_eq!(lab.store.submit_commit(commit.clone()).await.must(), committed, "a retry");
    let effects = lab.effects();
    assert_eq!(effects[0], Effect::JoinedPrivate { user: carol.user, conversation, members: 3 });
    let at = |kind: fn(&Effect) -> bool| effects.iter().position(kind).expect("there is one");
    assert!(
        at(|e| matches!(e, Effect::LeafAdded { .. }))
            < at(|e| matches!(e, Effect::Appended { .. }))
            && at(|e| matches!(e, Effect::Appended { .. }))
                < at(|e| matches!(e, Effect::LeafRemoved { .. }))
    );
    assert!(effects.contains(&Effect::Left { user: bob.user, conversation, members: 2 }));
    assert_refused!(lab.store.head(bob.user, group).await, Refused::NoSuchConversation);

    let log = lab.log(carol.user, group).await;
    assert_eq!(log[2].entry.payload, commit.payload);
    assert_eq!(log[2].header.message_id, commit.key.to_bytes());
    let info = lab.info(carol, group).await;
    assert_eq!((info.generation, info.epoch, info.suite), (1, 2, 2));
    assert_eq!(info.group_info, "info at 2");
    let mut leaves = vec![v1::Leaf::from(leaf(alice)), v1::Leaf::from(leaf(carol))];
    leaves.sort_unstable_by(|a, b| a.device_id.cmp(&b.device_id));
    assert_eq!((info.leaves, info.pending_removals), (leaves, vec![]));
    let waiting = lab.waiting(carol).await;
    assert_eq!((waiting.len(), waiting[0].seq, waiting[0].epoch), (1, 3, 2));
}

// cites: DS-004, DS-011
async fn of_two_commits_one_is_taken(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let group = lab.group(alice).await;
    let two = [(); 2].map(|()| {
        let establish = lab.establishing(alice, group, (1, 1), &[alice, bob]);
        lab.store.establish_group(establish)
    });
    let [first, second] = two;
    first.await.must();
    let at = Epoch { generation: 1, epoch: 1 };
    assert!(matches!(second.await,
        Err(Refused::WrongEpoch { at: now, head_seq: 2 }) if now == at));
    let two = [alice, bob].map(|by| lab.store.submit_commit(lab.commit(by, group, 1, (&[], &[]))));
    let [first, second] = two;
    first.await.must();
    let at = Epoch { generation: 1, epoch: 2 };
    assert!(matches!(second.await,
        Err(Refused::WrongEpoch { at: now, head_seq: 3 }) if now == at));
    let mut other = lab.commit(alice, group, 2, (&[], &[]));
    other.plan.base.generation = 2;
    assert_refused!(lab.store.submit_commit(other).await, Refused::WrongEpoch { .. });
    let bare = lab.group(alice).await;
    let mut early = lab.commit(alice, bare, 0, (&[], &[]));
    early.plan.base.generation = 0;
    assert_refused!(lab.store.submit_commit(early).await, Refused::WrongEpoch { .. });
}

// cites: DS-005, DS-012, DS-014, DS-015, DS-016, DS-017
async fn what_a_commit_may_not_do(lab: Lab) {
    let lab = lab.limited(|limits| limits.max_leaves = 3).await;
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let (carol, dave) = (lab.approved("carol").await, lab.approved("dave").await);
    let eve = lab.register("eve").await;
    let group = lab.established(alice, &[bob]).await;
    let phone = lab.second(alice).await;
    let commit =
        |by, added: &[Actor], removed: &[Actor]| lab.commit(by, group, 1, (added, removed));
    let mismatch = |answer| assert_refused!(answer, Refused::RosterMismatch);
    let store = &lab.store;
    mismatch(store.submit_commit(commit(alice, &[bob], &[])).await);
    mismatch(store.submit_commit(commit(alice, &[], &[carol])).await);
    mismatch(store.submit_commit(commit(alice, &[], &[alice])).await);
    let mut unwelcome = commit(alice, &[carol], &[]);
    unwelcome.welcomes.clear();
    mismatch(store.submit_commit(unwelcome).await);
    let mut too_welcome = commit(alice, &[carol], &[]);
    too_welcome.welcomes[0].devices.push(dave.device);
    mismatch(store.submit_commit(too_welcome).await);
    let none = store.submit_commit(commit(phone, &[], &[])).await;
    assert_refused!(none, Refused::NotInGroup);
    let many = store.submit_commit(commit(alice, &[carol, dave], &[])).await;
    assert_refused!(many, Refused::TooManyLeaves);
    let unapproved = store.submit_commit(commit(alice, &[carol, eve], &[bob])).await;
    assert!(matches!(unapproved,
        Err(Refused::DeviceNotApproved { devices }) if devices == [leaf(eve)]));
    let of_another = Actor { user: bob.user, device: carol.device };
    let unapproved = store.submit_commit(commit(alice, &[of_another], &[])).await;
    assert_refused!(unapproved, Refused::DeviceNotApproved { .. });
    let other = lab.group(alice).await;
    let without = lab.establishing(alice, other, (1, 1), &[bob]);
    mismatch(store.establish_group(without).await.map(|_| v1::Committed::default()));
}

// cites: DS-019
async fn a_refused_commit_leaves_no_trace(lab: Lab) {
    let lab = lab.limited(|limits| limits.max_rooms_per_user = 1).await;
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    lab.group(carol).await;
    let group = lab.established(alice, &[]).await;
    let before = (lab.info(alice, group).await, lab.log(alice.user, group).await);
    lab.effects();
    // Bob could come, Carol is in as many conversations as may be.
    let commit = lab.commit(alice, group, 1, (&[bob, carol], &[]));
    assert_refused!(lab.store.submit_commit(commit).await, Refused::TooManyRooms);
    assert_eq!(lab.effects(), []);
    assert_eq!((lab.info(alice, group).await, lab.log(alice.user, group).await), before);
    assert_eq!(lab.waiting(bob).await, []);
    assert_refused!(lab.store.head(bob.user, group).await, Refused::NoSuchConversation);
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

// cites: DS-030, DS-032, IDEM-010, MSG-004
async fn messages_are_taken_at_the_present_epoch(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let group = lab.established(alice, &[bob]).await;
    let phone = lab.second(alice).await;
    let message = lab.private(alice, group, 1);
    let sent = lab.store.send_private(message.clone()).await.must();
    let log = lab.log(bob.user, group).await;
    assert_eq!((sent.seq, kinds(&log)[2]), (3, EntryKind::PrivateMessage));
    assert_eq!(
        (&log[2].entry.payload, &log[2].entry.salt[..]),
        (&message.payload, &message.salt[..])
    );
    assert!(log[2].header.signature.is_empty());
    lab.store.submit_commit(lab.commit(bob, group, 1, (&[], &[]))).await.must();
    assert_eq!(lab.store.send_private(message.clone()).await.must(), sent, "a retry");
    for epoch in [1, 3] {
        let answer = lab.store.send_private(lab.private(alice, group, epoch)).await;
        let at = Epoch { generation: 1, epoch: 2 };
        assert!(matches!(answer, Err(Refused::StaleEpoch { at: now, head_seq: 4 }) if now == at));
    }
    let answer = lab.store.send_private(lab.private(phone, group, 2)).await;
    assert_refused!(answer, Refused::NotInGroup);
    let other = lab.established(alice, &[]).await;
    let reused = SendPrivate { conversation: other, ..message.clone() };
    assert_refused!(lab.store.send_private(reused).await, Refused::KeyReused);

    let list =
        ListSummaries { private: true, page_size: 9, max_bytes: usize::MAX, ..Default::default() };
    let summaries = lab.store.list_summaries(bob.user, &list).await.must().summaries;
    assert_eq!((summaries[0].unread, summaries[0].last_message.as_ref()), (1, Some(&log[2].entry)));
    let by_bob = lab.store.redact(lab.redacting(bob, group, &[3])).await;
    assert_refused!(by_bob, Refused::NotPermitted);
    lab.store.redact(lab.redacting(phone, group, &[3])).await.must();
    let log = lab.log(bob.user, group).await;
    assert!(log[2].entry.payload.is_empty());
}

// cites: DS-030, DS-033
async fn messages_of_a_batch_are_judged_together(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let group = lab.established(alice, &[bob]).await;
    let one = lab.private(alice, group, 1);
    let run = [
        lab.store.send_private(one.clone()),
        lab.store.send_private(lab.private(bob, group, 1)),
        lab.store.send_private(one),
        lab.store.send_private(lab.private(bob, group, 7)),
    ];
    let mut answers = Vec::new();
    for reply in run {
        answers.push(reply.await);
    }
    let seqs: Vec<_> = answers.iter().flatten().map(|sent| sent.seq).collect();
    assert_eq!(seqs, [3, 4, 3]);
    assert_refused!(answers.remove(3), Refused::StaleEpoch { head_seq: 4, .. });
    assert_eq!(lab.log(alice.user, group).await.len(), 4);
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

// cites: PRIV-014, PRIV-016, KP-001
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
    // Bob stays a member: only the leaf is gone, and another device may come.
    lab.store.submit_commit(lab.commit(alice, groups[0], 1, (&[], &[bob]))).await.must();
    let mut external = lab.commit(phone, groups[0], 2, (&[phone], &[]));
    external.plan.is_external = true;
    external.welcomes.clear();
    lab.store.submit_commit(external).await.must();

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

// cites: DS-020, DS-021, DS-022, DS-023, DS-025
async fn a_group_is_reset_after_a_rejection(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    let group = lab.established(alice, &[bob, carol]).await;
    let everyone = [alice, bob, carol];
    let reset = |by, head_seq, leaves: &[Actor]| lab.establishing(by, group, (2, head_seq), leaves);
    let refused = lab.store.establish_group(reset(alice, 2, &everyone)).await;
    assert_refused!(refused, Refused::ResetNotAllowed);

    lab.store.submit_commit(lab.commit(bob, group, 1, (&[], &[]))).await.must();
    for seq in [1, 4, 9] {
        let refused = lab.store.reject_commit(lab.rejecting(carol, group, seq)).await;
        assert_refused!(refused, Refused::NoSuchEntry);
    }
    assert_eq!(lab.store.reject_commit(lab.rejecting(carol, group, 3)).await.must().seq, 4);
    assert_eq!(lab.store.reject_commit(lab.rejecting(carol, group, 3)).await.must().seq, 0);
    let log = lab.log(alice.user, group).await;
    assert_eq!(last::<v1::CommitRejectedPayload>(&log).seq, 3);
    // Nothing is blocked by it.
    lab.store.send_private(lab.private(carol, group, 2)).await.must();
    let refused = lab.store.establish_group(reset(carol, 5, &everyone)).await;
    assert_refused!(refused, Refused::ResetNotAllowed);
    let refused = lab.store.establish_group(reset(alice, 5, &[alice, bob])).await;
    assert_refused!(refused, Refused::RosterMismatch);
    let mut wrong = reset(alice, 5, &[alice, bob]);
    wrong.plan.culprit = Some(leaf(carol));
    assert_refused!(lab.store.establish_group(wrong).await, Refused::RosterMismatch);
    let mut without = reset(alice, 5, &[alice, carol]);
    without.plan.culprit = Some(leaf(bob));
    assert_eq!(lab.store.establish_group(without).await.must().generation, 2);
    let info = lab.info(carol, group).await;
    assert_eq!((info.generation, info.epoch, info.leaves.len()), (2, 1, 2));
    // What was rejected before permits nothing now.
    let again = lab.establishing(alice, group, (3, 6), &[alice, carol]);
    assert_refused!(lab.store.establish_group(again).await, Refused::ResetNotAllowed);
    // By the sole owner's own commit any member may.
    lab.store.reject_commit(lab.rejecting(carol, group, 6)).await.must();
    let by_carol = lab.establishing(carol, group, (3, 7), &[alice, carol]);
    assert_eq!(lab.store.establish_group(by_carol).await.must().generation, 3);
}

// cites: DS-024
async fn a_group_without_leaves_is_begun_anew(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let phone = lab.second(alice).await;
    lab.store.open_direct(lab.opening(alice, bob.user)).await.must();
    let direct = direct_id(alice.user, bob.user);
    let first = lab.establishing(alice, direct, (1, 1), &[alice]);
    lab.store.establish_group(first).await.must();
    let early = lab.establishing(phone, direct, (2, 2), &[phone, bob]);
    assert_refused!(lab.store.establish_group(early.clone()).await, Refused::NotInGroup);
    lab.approve(phone, &[phone]).await;
    let mut again = early;
    (again.key, again.plan.head_seq) = (lab.key(), 3);
    assert_eq!(lab.store.establish_group(again).await.must().generation, 2);
    assert_eq!(lab.info(bob, direct).await.leaves.len(), 2);
}

// cites: DS-018
async fn an_external_commit_brings_its_own_device(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let eve = lab.approved("eve").await;
    let group = lab.established(alice, &[bob]).await;
    let phone = lab.second(bob).await;
    let external = |by, epoch, added: &[Actor], removed: &[Actor]| {
        let mut commit = lab.commit(by, group, epoch, (added, removed));
        commit.plan.is_external = true;
        commit.welcomes.clear();
        commit
    };
    let submit = |commit| lab.store.submit_commit(commit);
    let refused = submit(external(eve, 1, &[eve], &[])).await;
    assert_refused!(refused, Refused::NoSuchConversation);
    for (added, removed) in
        [(&[bob][..], &[][..]), (&[phone, bob], &[]), (&[phone], &[alice]), (&[], &[])]
    {
        let refused = submit(external(phone, 1, added, removed)).await;
        assert_refused!(refused, Refused::RosterMismatch);
    }
    submit(external(phone, 1, &[phone], &[])).await.must();
    let refused = submit(external(phone, 2, &[phone], &[])).await;
    assert_refused!(refused, Refused::RosterMismatch);
    // It comes again, in the place of what it was.
    lab.effects();
    submit(external(phone, 2, &[phone], &[phone])).await.must();
    let gone = Effect::LeafRemoved { device: phone.device, conversation: group };
    assert!(!lab.effects().contains(&gone));
    assert_eq!(lab.info(phone, group).await.leaves.len(), 3);
}

// cites: INBOX-001, INBOX-002, INBOX-003, INBOX-004, INBOX-006
async fn welcomes_wait_until_they_are_acknowledged(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let carol = lab.approved("carol").await;
    let groups =
        [lab.established(alice, &[bob, carol]).await, lab.established(alice, &[bob]).await];
    let waiting = lab.waiting(bob).await;
    let seen: Vec<_> = waiting.iter().map(|i| (i.position, id(&i.conversation_id))).collect();
    assert_eq!(seen, [(1, groups[0]), (2, groups[1])]);
    assert_eq!(waiting[0].welcome, "welcome");
    let page = lab.store.inbox(bob.device, 0, 1, usize::MAX).await.must();
    assert_eq!((page.items.len(), page.more), (1, true));
    let page = lab.store.inbox(bob.device, 0, 9, 1).await.must();
    assert_eq!((page.items.len(), page.more), (1, true));
    let page = lab.store.inbox(bob.device, 1, 9, usize::MAX).await.must();
    assert_eq!((page.items[0].position, page.more), (2, false));
    let ack = |up_to| AckInbox { user: bob.user, device: bob.device, up_to };
    lab.store.ack_inbox(ack(1)).await.must();
    lab.store.ack_inbox(ack(1)).await.must();
    assert_eq!(lab.waiting(bob).await.len(), 1);
    assert_eq!(lab.waiting(carol).await.len(), 1, "the same Welcome, for another");
    lab.store.ack_inbox(ack(u64::MAX)).await.must();
    assert_eq!(lab.waiting(bob).await, []);
    lab.established(alice, &[bob]).await;
    assert_eq!(lab.waiting(bob).await[0].position, 3);
    lab.advance(90 * 24 * 3600 * 1000);
    lab.store.prune().await.must();
    assert_eq!(lab.waiting(bob).await.len(), 1);
    lab.advance(1);
    lab.store.prune().await.must();
    assert_eq!((lab.waiting(bob).await, lab.waiting(carol).await), (vec![], vec![]));
}

// cites: FORK-001, FORK-002, FORK-003, FORK-004
async fn forks_are_told(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let group = lab.established(alice, &[bob]).await;
    lab.store.submit_commit(lab.commit(alice, group, 1, (&[], &[]))).await.must();
    lab.effects();
    let report = |of: Actor, epoch, value| {
        lab.store.report_fork_check(ReportForkCheck {
            user: of.user,
            device: of.device,
            conversation: group,
            epoch: Epoch { generation: 1, epoch },
            value: [value; 32],
        })
    };
    report(alice, 2, 1).await.must();
    report(bob, 1, 9).await.must();
    report(bob, 2, 1).await.must();
    assert_eq!(lab.effects(), []);
    report(bob, 2, 7).await.must();
    let epoch = Epoch { generation: 1, epoch: 2 };
    assert_eq!(lab.effects(), [Effect::ForkCheckMismatch { conversation: group, epoch }]);
    // What is older than what was said before counts no more.
    report(alice, 1, 3).await.must();
    assert_eq!(lab.effects(), []);
    assert_refused!(report(bob, 3, 1).await, Refused::StaleEpoch { .. });
}

// cites: DS-019, INBOX-001, DEVLOG-001
async fn what_is_there_outlives_the_process(lab: Lab) {
    let (alice, bob) = (lab.approved("alice").await, lab.approved("bob").await);
    let group = lab.established(alice, &[bob]).await;
    lab.store.publish_key_packages(lab.packages(bob, 1)).await.must();
    let before = (lab.info(bob, group).await, lab.waiting(bob).await);
    let limits = lab.limits;
    let lab = lab.reopen(limits).await;
    assert_eq!((lab.info(bob, group).await, lab.waiting(bob).await), before);
    lab.store.send_private(lab.private(bob, group, 1)).await.must();
    let claim = lab.claim(alice, &[(bob.user, None)]);
    let claimed = lab.store.claim_key_packages(claim).await.must();
    assert_eq!(claimed.claimed[0].key_package.len(), 24);
}
