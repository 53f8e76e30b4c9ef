//! The MLS profile (spec/src/mls.md) against openmls: a stranger that knows the profile and RFC 9420, and nothing of aside-mls.
//! Suite 0x0002, as openmls has not the other.

#![allow(clippy::unwrap_used)] // Every function here is a test's.

use std::time::{SystemTime, UNIX_EPOCH};

use aside_mls::{
    AwsLc, Change, ClaimedChange, Group, GroupId, Owner, Reason, Suite,
    testing::{Cast, owner},
};
use aside_proto::id::ConversationId;
use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialType, CredentialWithKey, ExtensionType,
    GroupId as MlsGroupId, KeyPackage, LeafNodeParameters, MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY,
    MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn,
    MlsMessageOut, OpenMlsCrypto as _, OpenMlsProvider as _, ProcessedMessageContent,
    ProtocolVersion, StagedWelcome,
    tls_codec::{Deserialize as _, Serialize as _},
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMP256_AES128GCM_SHA256_P256;

/// A device on openmls.
struct Stranger {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    credential: CredentialWithKey,
}

impl Stranger {
    fn new(cast: &Cast, user: u16, device: u16) -> Self {
        let provider = OpenMlsRustCrypto::default();
        let signer = SignatureKeyPair::new(SUITE.signature_algorithm()).unwrap();
        signer.store(provider.storage()).unwrap();
        let owner = owner(user, device);
        let no_key_for_the_other_suite = [0; 97];
        let certificate = [
            &owner.user.as_bytes()[..],
            owner.device.as_bytes(),
            signer.public(),
            &no_key_for_the_other_suite,
        ]
        .concat();
        cast.enrol(certificate.clone());
        let credential = CredentialWithKey {
            credential: BasicCredential::new(certificate).into(),
            signature_key: signer.public().into(),
        };
        Self { provider, signer, credential }
    }

    fn capabilities() -> Capabilities {
        Capabilities::builder()
            .versions(vec![ProtocolVersion::Mls10])
            .ciphersuites(vec![SUITE])
            .extensions(vec![ExtensionType::LastResort])
            .proposals(vec![])
            .credentials(vec![CredentialType::Basic])
            .build()
    }

    fn key_package(&self, last_resort: bool) -> Vec<u8> {
        let builder = KeyPackage::builder().leaf_node_capabilities(Self::capabilities());
        let builder = if last_resort { builder.mark_as_last_resort() } else { builder };
        let bundle =
            builder.build(SUITE, &self.provider, &self.signer, self.credential.clone()).unwrap();
        MlsMessageOut::from(bundle.into_key_package()).to_bytes().unwrap()
    }

    fn create(&self) -> MlsGroup {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .use_ratchet_tree_extension(true)
            .wire_format_policy(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .capabilities(Self::capabilities())
            .build();
        let id = MlsGroupId::from_slice(&id().to_bytes());
        let credential = self.credential.clone();
        MlsGroup::new_with_group_id(&self.provider, &self.signer, &config, id, credential).unwrap()
    }

    fn join(&self, welcome: &[u8]) -> MlsGroup {
        let MlsMessageBodyIn::Welcome(welcome) = parse(welcome).extract() else {
            unreachable!("a Welcome")
        };
        StagedWelcome::new_from_welcome(&self.provider, &Self::joining(), welcome, None)
            .unwrap()
            .into_group(&self.provider)
            .unwrap()
    }

    fn joining() -> MlsGroupJoinConfig {
        MlsGroupJoinConfig::builder()
            .use_ratchet_tree_extension(true)
            .wire_format_policy(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .build()
    }

    /// MLS-014, by the words of the specification.
    fn authenticated_data(&self, header: &[u8]) -> Vec<u8> {
        let label = b"aside/1 mls-header";
        let length = u32::try_from(header.len()).unwrap().to_be_bytes();
        let labelled = [&[label.len() as u8][..], label, &length, header].concat();
        self.provider.crypto().hash(SUITE.hash_algorithm(), &labelled).unwrap()
    }

    /// MLS-021, by the words of the specification.
    fn write(&self, group: &mut MlsGroup, content: &[u8], header: &[u8]) -> Vec<u8> {
        let mut padded = [content, &[0x80]].concat();
        padded.resize(128, 0);
        group.set_aad(self.authenticated_data(header));
        group.create_message(&self.provider, &self.signer, &padded).unwrap().to_bytes().unwrap()
    }

    fn read(&self, group: &mut MlsGroup, message: &[u8], header: &[u8]) -> Vec<u8> {
        let ProcessedMessageContent::ApplicationMessage(padded) =
            self.process(group, message, header)
        else {
            unreachable!("an application message")
        };
        let mut padded = padded.into_bytes();
        assert_eq!(padded.len(), 128);
        padded.truncate(padded.iter().rposition(|&byte| byte == 0x80).unwrap());
        padded
    }

    /// Follows a commit, which has to renew the committer's path (MLS-007).
    fn follow(&self, group: &mut MlsGroup, commit: &[u8], header: &[u8]) {
        let ProcessedMessageContent::StagedCommitMessage(staged) =
            self.process(group, commit, header)
        else {
            unreachable!("a commit")
        };
        assert!(staged.update_path_leaf_node().is_some());
        group.merge_staged_commit(&self.provider, *staged).unwrap();
    }

    fn process(
        &self,
        group: &mut MlsGroup,
        bytes: &[u8],
        header: &[u8],
    ) -> ProcessedMessageContent {
        let message = parse(bytes).try_into_protocol_message().unwrap();
        let processed = group.process_message(&self.provider, message).unwrap();
        assert_eq!(processed.aad(), self.authenticated_data(header));
        processed.into_content()
    }

    /// A commit of what `propose` says: the commit, and a Welcome if any is added.
    fn commit(
        &self,
        group: &mut MlsGroup,
        add: Vec<KeyPackage>,
        remove: Vec<u32>,
        header: &[u8],
    ) -> (Vec<u8>, Option<Vec<u8>>) {
        group.set_aad(self.authenticated_data(header));
        let bundle = group
            .commit_builder()
            .force_self_update(true)
            .propose_adds(add)
            .propose_removals(remove.into_iter().map(openmls::prelude::LeafNodeIndex::new))
            .load_psks(self.provider.storage())
            .unwrap()
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .stage_commit(&self.provider)
            .unwrap();
        let (commit, welcome, _) = bundle.into_messages();
        let made = (commit.to_bytes().unwrap(), welcome.map(|welcome| welcome.to_bytes().unwrap()));
        group.merge_pending_commit(&self.provider).unwrap();
        made
    }

    fn foreign_key_package(&self, bytes: &[u8]) -> KeyPackage {
        let MlsMessageBodyIn::KeyPackage(key_package) = parse(bytes).extract() else {
            unreachable!("a key package")
        };
        key_package.validate(self.provider.crypto(), ProtocolVersion::Mls10).unwrap()
    }

    fn rejoin(&self, group_info: &[u8], header: &[u8]) -> (MlsGroup, Vec<u8>) {
        let MlsMessageBodyIn::GroupInfo(group_info) = parse(group_info).extract() else {
            unreachable!("a GroupInfo")
        };
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_config(Self::joining())
            .with_aad(self.authenticated_data(header))
            .build_group(&self.provider, group_info, self.credential.clone())
            .unwrap()
            .leaf_node_parameters(
                LeafNodeParameters::builder().with_capabilities(Self::capabilities()).build(),
            )
            .load_psks(self.provider.storage())
            .unwrap()
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .finalize(&self.provider)
            .unwrap();
        (group, bundle.into_commit().to_bytes().unwrap())
    }

    fn group_info(&self, group: &MlsGroup) -> Vec<u8> {
        let info = group.export_group_info(self.provider.crypto(), &self.signer, true).unwrap();
        info.tls_serialize_detached().unwrap()
    }
}

// cites: MLS-003, MLS-004, MLS-007, MLS-014, MLS-020, MLS-021, MLS-032
#[test]
fn a_stranger_is_added_talks_commits_and_is_removed() {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let carol = cast.device::<AwsLc>(3, 3).unwrap();
    let bob = Stranger::new(&cast, 2, 2);
    let mut hers = alice.create(Suite::P256Aes128, id(), now()).unwrap();
    let welcome = add(&mut hers, &bob.key_package(false));
    let mut his = bob.join(&welcome);
    talk(&mut hers, &bob, &mut his);

    // Alice commits; the committer's leaf is renewed.
    let (commit, claim) = commit(&mut hers, &Change::default(), b"update");
    hers.apply_pending().unwrap();
    bob.follow(&mut his, &commit, b"update");
    assert_eq!(claim, ClaimedChange { epoch: 1, ..ClaimedChange::default() });
    talk(&mut hers, &bob, &mut his);

    // Bob commits: renews, adds Carol, removes her.
    let (made, _) = bob.commit(&mut his, vec![], vec![], b"his");
    let claim = ClaimedChange { epoch: 2, ..ClaimedChange::default() };
    hers.receive_commit(&made, b"his", him(), &claim).unwrap();
    talk(&mut hers, &bob, &mut his);
    let key_package = carol.key_package(Suite::P256Aes128, true, now()).unwrap();
    let key_package = bob.foreign_key_package(&key_package);
    assert!(key_package.last_resort());
    let (made, welcome) = bob.commit(&mut his, vec![key_package], vec![], b"add");
    let added = [owner(3, 3)].into();
    let claim = ClaimedChange { epoch: 3, added, ..ClaimedChange::default() };
    hers.receive_commit(&made, b"add", him(), &claim).unwrap();
    let mut carols = carol.join(&welcome.unwrap(), id(), (him(), &claim), None).unwrap();
    talk(&mut hers, &bob, &mut his);
    let message = bob.write(&mut his, b"to Carol", b"1");
    assert_eq!(carols.decrypt(&message, b"1", him()).unwrap().content, b"to Carol");
    let (made, _) = bob.commit(&mut his, vec![], vec![2], b"remove");
    let removed = [owner(3, 3)].into();
    let claim = ClaimedChange { epoch: 4, removed, ..ClaimedChange::default() };
    hers.receive_commit(&made, b"remove", him(), &claim).unwrap();
    assert!(carols.receive_commit(&made, b"remove", him(), &claim).unwrap().removed_us);
    talk(&mut hers, &bob, &mut his);

    // Alice removes Bob.
    let change = Change { remove: [owner(2, 2)].into(), ..Change::default() };
    let (made, _) = self::commit(&mut hers, &change, b"out");
    bob.follow(&mut his, &made, b"out");
    assert!(!his.is_active());
}

// cites: MLS-005, MLS-012, MLS-013
#[test]
fn a_stranger_joins_again_and_is_joined_by_one() {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let bob = Stranger::new(&cast, 2, 2);
    let mut hers = alice.create(Suite::P256Aes128, id(), now()).unwrap();
    let welcome = add(&mut hers, &bob.key_package(true));
    bob.join(&welcome);

    // Bob has lost his state.
    let bob_again = Stranger { provider: OpenMlsRustCrypto::default(), ..bob };
    let (mut his, made) = bob_again.rejoin(&hers.group_info().unwrap(), b"again");
    let device = || [owner(2, 2)].into();
    let claim = ClaimedChange { epoch: 1, added: device(), removed: device() };
    assert!(hers.receive_commit(&made, b"again", him(), &claim).unwrap().external);
    talk(&mut hers, &bob_again, &mut his);

    // Alice has lost hers.
    let rejoin = alice.rejoin(&bob_again.group_info(&his), id(), 2, Some(2)).unwrap();
    let (mut hers, made) = rejoin.commit(b"hers").unwrap();
    bob_again.follow(&mut his, &made.commit, b"hers");
    talk(&mut hers, &bob_again, &mut his);

    // A stranger's stranger.
    let mallory = Stranger::new(&cast, 9, 9);
    let (_, made) = mallory.rejoin(&hers.group_info().unwrap(), b"let me in");
    let added = [owner(9, 9)].into();
    let claim = ClaimedChange { epoch: hers.epoch(), added, ..ClaimedChange::default() };
    let refused = hers.receive_commit(&made, b"let me in", owner(9, 9), &claim);
    assert_eq!(refused, Err(Reason::ExternalCommitRefused));
    talk(&mut hers, &bob_again, &mut his);
}

// cites: MLS-002
#[test]
fn a_strangers_group_is_joined() {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let bob = Stranger::new(&cast, 2, 2);
    let mut his = bob.create();
    let key_package = alice.key_package(Suite::P256Aes128, false, now()).unwrap();
    let key_package = bob.foreign_key_package(&key_package);
    let (_, welcome) = bob.commit(&mut his, vec![key_package], vec![], b"add");
    let added = [owner(1, 1)].into();
    let claim = ClaimedChange { epoch: 0, added, ..ClaimedChange::default() };
    let mut hers: Group = alice.join(&welcome.unwrap(), id(), (him(), &claim), None).unwrap();
    talk(&mut hers, &bob, &mut his);
    let (made, _) = commit(&mut hers, &Change::default(), b"update");
    hers.apply_pending().unwrap();
    bob.follow(&mut his, &made, b"update");
    talk(&mut hers, &bob, &mut his);
}

/// Both agree, and read each other.
fn talk(hers: &mut Group, bob: &Stranger, his: &mut MlsGroup) {
    assert_eq!(hers.epoch_authenticator().unwrap()[..], *his.epoch_authenticator().as_slice());
    let exported = his.export_secret(bob.provider.crypto(), "label", b"context", 32).unwrap();
    assert_eq!(hers.export(b"label", b"context", 32).unwrap()[..], exported);
    // MLS-032, by the words of the specification.
    let check = his.export_secret(bob.provider.crypto(), "aside/1 fork-check", b"", 32).unwrap();
    assert_eq!(hers.fork_check().unwrap()[..], check);
    let message = hers.encrypt(b"from aside-mls", b"1").unwrap();
    assert_eq!(bob.read(his, &message, b"1"), b"from aside-mls");
    let message = bob.write(his, b"from openmls", b"2");
    assert_eq!(hers.decrypt(&message, b"2", him()).unwrap().content, b"from openmls");
}

fn add(group: &mut Group, key_package: &[u8]) -> Vec<u8> {
    let add = vec![group.key_package(key_package).unwrap()];
    let made = group.commit(&Change { add, ..Change::default() }, b"add", now()).unwrap();
    group.apply_pending().unwrap();
    made.welcome.unwrap()
}

fn commit(group: &mut Group, change: &Change, header: &[u8]) -> (Vec<u8>, ClaimedChange) {
    let claim = group.claim(change);
    (group.commit(change, header, now()).unwrap().commit, claim)
}

fn parse(bytes: &[u8]) -> MlsMessageIn {
    MlsMessageIn::tls_deserialize_exact(bytes).unwrap()
}

/// Bob's device.
fn him() -> Owner {
    owner(2, 2)
}

fn id() -> GroupId {
    GroupId { conversation: ConversationId::new([7; 16]), generation: 1 }
}

/// openmls reads the clock, so lifetimes have to be real.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
