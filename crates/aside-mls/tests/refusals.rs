//! What a member that keeps to RFC 9420, but not to the profile, is refused.

#![allow(clippy::unwrap_used)] // Every function here is a test's.

mod support;

use aside_mls::{
    AwsLc, Change, ClaimedChange, Device, Error, Group, Reason, Secret, SigningKey, Suite,
    testing::{Cast, certificate, owner},
};
use mls_rs::{
    Client, ExtensionList, MlsMessage,
    client_builder::{MlsConfig, PaddingMode},
    crypto::SignatureSecretKey,
    extension::built_in::{ExternalSendersExt, RequiredCapabilitiesExt},
    group::ReceivedMessage,
    identity::{
        SigningIdentity,
        basic::{BasicCredential, BasicIdentityProvider},
    },
    mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions},
};
use support::{NOW, group_id};

const SUITE: Suite = Suite::P256Aes128;

// cites: MLS-008, MLS-023
#[test]
fn a_commit_proposes_nothing_but_adds_and_removes() {
    let (_cast, mut hers, mut his) = with_stranger(true);
    let mut required = ExtensionList::new();
    required.set_from(RequiredCapabilitiesExt::default()).unwrap();
    let made = his.commit_builder().set_group_context_ext(required).unwrap();
    let made = made.authenticated_data(header_hash(b"")).build().unwrap().commit_message;
    assert_eq!(receive(&mut hers, &made), Err(Reason::ForbiddenProposal));
    his.clear_pending_commit();

    let suite = SUITE.number().into();
    let made = his.commit_builder().reinit(None, 1.into(), suite, ExtensionList::new()).unwrap();
    let made = made.authenticated_data(header_hash(b"")).build().unwrap().commit_message;
    assert_eq!(receive(&mut hers, &made), Err(Reason::ForbiddenProposal));
    his.clear_pending_commit();

    // By reference: the proposal is refused, and so is the commit to it.
    let proposal = his.propose_remove(0, header_hash(b"")).unwrap().to_bytes().unwrap();
    assert_eq!(hers.decrypt(&proposal, b""), Err(Reason::WrongKind));
    let claim = ClaimedChange { epoch: 1, ..ClaimedChange::default() };
    assert_eq!(hers.receive_commit(&proposal, b"", &claim), Err(Reason::WrongKind));
    let made = his.commit(header_hash(b"")).unwrap().commit_message;
    assert_eq!(receive(&mut hers, &made), Err(Reason::ForbiddenProposal));
    his.clear_pending_commit();
    his.clear_proposal_cache();

    // What is allowed is followed after all that.
    let made = his.commit(header_hash(b"")).unwrap().commit_message;
    receive(&mut hers, &made).unwrap();
    his.apply_pending_commit().unwrap();
    let message = hers.encrypt(b"still here", b"").unwrap();
    let message = his.process_incoming_message(MlsMessage::from_bytes(&message).unwrap());
    assert!(matches!(message, Ok(ReceivedMessage::ApplicationMessage(_))));
}

// cites: MLS-005
#[test]
fn a_members_commit_is_encrypted() {
    let (_cast, mut hers, mut his) = with_stranger(false);
    let made = his.commit(header_hash(b"")).unwrap().commit_message;
    assert_eq!(receive(&mut hers, &made), Err(Reason::WrongKind));
}

// cites: MLS-011
#[test]
fn a_leaf_does_not_change_hands() {
    for (device, expected) in [(3, Err(Reason::CredentialRefused)), (2, Ok(()))] {
        let (_cast, mut hers, mut his) = with_stranger(true);
        let (identity, secret) = identity(2, device);
        let builder = his.commit_builder().set_new_signing_identity(secret, identity);
        let made = builder.authenticated_data(header_hash(b"")).build().unwrap().commit_message;
        assert_eq!(receive(&mut hers, &made), expected, "device {device}");
    }
}

// cites: MLS-014
#[test]
fn a_commit_without_its_header_is_refused() {
    let (_cast, mut hers, mut his) = with_stranger(true);
    let made = his.commit(Vec::new()).unwrap().commit_message;
    assert_eq!(receive(&mut hers, &made), Err(Reason::HeaderMismatch));
}

// cites: MLS-020, MLS-022
#[test]
fn content_that_is_not_padded_is_refused() {
    let (_cast, mut hers, mut his) = with_stranger(true);
    let padded = |length| {
        let mut content = b"hello\x80".to_vec();
        content.resize(length, 0);
        content
    };
    for (content, expected) in [
        (b"hello".to_vec(), Err(Reason::BadPadding)),
        (padded(127), Err(Reason::BadPadding)),
        (padded(256), Err(Reason::BadPadding)),
        (padded(128), Ok(b"hello".to_vec())),
    ] {
        let message = his.encrypt_application_message(&content, header_hash(b"")).unwrap();
        let read = hers.decrypt(&message.to_bytes().unwrap(), b"");
        assert_eq!(read.map(|message| message.content), expected);
    }
}

// cites: MLS-006
#[test]
fn a_group_with_extensions_is_not_joined() {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let bob = stranger(2, 2, true);
    let mut extensions = ExtensionList::new();
    extensions.set_from(ExternalSendersExt::new(vec![])).unwrap();
    let id = group_id().to_bytes().to_vec();
    let none = ExtensionList::new;
    let mut his = bob.create_group_with_id(id, extensions, none(), Some(NOW.into())).unwrap();
    let info = his.group_info_message_allowing_ext_commit(true).unwrap().to_bytes().unwrap();
    assert_eq!(alice.rejoin(&info, group_id()).err(), Some(Reason::WrongProfile.into()));
    let key_package = alice.key_package(SUITE, false, NOW).unwrap();
    let made = his
        .commit_builder()
        .commit_time(NOW.into())
        .add_member(MlsMessage::from_bytes(&key_package).unwrap())
        .unwrap()
        .build()
        .unwrap();
    let welcome = made.welcome_messages[0].to_bytes().unwrap();
    assert_eq!(alice.join(&welcome, group_id()).err(), Some(Reason::WrongProfile.into()));
}

// cites: MLS-013
#[test]
fn a_group_info_without_the_tree_is_refused() {
    let (cast, _, his) = with_stranger(true);
    let info = his.group_info_message_allowing_ext_commit(false).unwrap().to_bytes().unwrap();
    let other = cast.device::<AwsLc>(2, 22).unwrap();
    assert_eq!(other.rejoin(&info, group_id()).err(), Some(Reason::WrongProfile.into()));
    let info = his.group_info_message(true).unwrap().to_bytes().unwrap();
    let rejoin = other.rejoin(&info, group_id()).unwrap();
    assert_eq!(rejoin.commit(b"", NOW).err(), Some(Reason::Invalid.into()), "no external key");
}

// cites: MLS-003
#[test]
fn a_certificate_for_another_key_is_refused() {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let hers = alice.create(SUITE, group_id(), NOW).unwrap();
    let keys = || Suite::ALL.map(|suite| SigningKey::generate::<AwsLc>(suite).unwrap()).to_vec();
    let certificates = [certificate(owner(2, 2), &keys()), b"Bob".to_vec(), Vec::new()].into_iter();
    for certificate in certificates {
        let no_secrets = Vec::<(Vec<u8>, Secret)>::new();
        let bob: Device = Device::new(certificate, keys(), cast.judge(), no_secrets).unwrap();
        let key_package = bob.key_package(SUITE, false, NOW).unwrap();
        assert_eq!(hers.key_package(&key_package).err(), Some(Reason::CredentialRefused));
        assert_eq!(
            bob.create(SUITE, group_id(), NOW).err(),
            Some(Error::Refused(Reason::CredentialRefused))
        );
    }
}

// cites: MLS-001
#[test]
fn other_suites_and_kinds_are_refused() {
    let cast = Cast::default();
    let (alice, bob) = (cast.device::<AwsLc>(1, 1).unwrap(), cast.device::<AwsLc>(2, 2).unwrap());
    let mut hers = alice.create(SUITE, group_id(), NOW).unwrap();
    let other_suite = bob.key_package(Suite::P384Aes256, false, NOW).unwrap();
    assert_eq!(hers.key_package(&other_suite).err(), Some(Reason::WrongSuite));
    assert_eq!(bob.join(&other_suite, group_id()).err(), Some(Reason::WrongKind.into()));
    assert_eq!(hers.key_package(b"").err(), Some(Reason::Malformed));
    let info = hers.group_info().unwrap();
    assert_eq!(hers.decrypt(&info, b""), Err(Reason::WrongKind));
    assert_eq!(hers.decrypt(&[&info[..], &[0]].concat(), b""), Err(Reason::Malformed));
    assert_eq!(Suite::from_number(0x0001), None);
}

// cites: MLS-024
#[test]
fn a_leaf_says_what_the_profile_has() {
    let (_cast, hers, his) = with_stranger(true);
    let member = his.member_at_index(0).unwrap();
    let capabilities = member.capabilities();
    assert_eq!(capabilities.protocol_versions, [1.into()]);
    let suites: Vec<u16> = capabilities.cipher_suites.iter().map(|&suite| suite.into()).collect();
    assert_eq!(suites, Suite::ALL.map(Suite::number));
    let extensions: Vec<u16> =
        capabilities.extensions.iter().map(|kind| kind.raw_value()).collect();
    assert_eq!(extensions, [0x000a]);
    assert!(capabilities.proposals.is_empty());
    let credentials: Vec<u16> =
        capabilities.credentials.iter().map(|kind| kind.raw_value()).collect();
    assert_eq!(credentials, [1]);
    assert_eq!(hers.members().unwrap()[1].owner, owner(2, 2));
}

/// Alice's group, with a stranger as its second member, who may do what they like.
fn with_stranger(encrypted: bool) -> (Cast, Group, mls_rs::Group<impl MlsConfig>) {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let bob = stranger(2, 2, encrypted);
    let mut hers = alice.create(SUITE, group_id(), NOW).unwrap();
    let none = ExtensionList::new;
    let key_package = bob.generate_key_package_message(none(), none(), Some(NOW.into())).unwrap();
    let welcome = support::add(&mut hers, &[&key_package.to_bytes().unwrap()]);
    let welcome = MlsMessage::from_bytes(&welcome).unwrap();
    let (his, _) = bob.join_group(None, &welcome, None).unwrap();
    (cast, hers, his)
}

fn stranger(user: u16, device: u16, encrypted: bool) -> Client<impl MlsConfig> {
    let (identity, secret) = identity(user, device);
    let rules = DefaultMlsRules::new()
        .with_commit_options(CommitOptions::new().with_path_required(true))
        .with_encryption_options(EncryptionOptions::new(encrypted, PaddingMode::None));
    Client::builder()
        .crypto_provider(AwsLc::new())
        .identity_provider(BasicIdentityProvider::new())
        .mls_rules(rules)
        .signing_identity(identity, secret, SUITE.number().into())
        .build()
}

/// A new certificate of the device, and the secret for it.
fn identity(user: u16, device: u16) -> (SigningIdentity, SignatureSecretKey) {
    let keys = Suite::ALL.map(|suite| SigningKey::generate::<AwsLc>(suite).unwrap());
    let credential = BasicCredential::new(certificate(owner(user, device), &keys));
    let public = keys[0].public().to_vec().into();
    let identity = SigningIdentity::new(credential.into_credential(), public);
    (identity, keys[0].to_bytes().to_vec().into())
}

fn receive(hers: &mut Group, made: &MlsMessage) -> Result<(), Reason> {
    let claim = hers.claim(&Change::default());
    hers.receive_commit(&made.to_bytes().unwrap(), b"", &claim).map(|_| ())
}

fn header_hash(header: &[u8]) -> Vec<u8> {
    aside_crypto::label::hash(aside_crypto::label::MLS_HEADER, &[header]).to_vec()
}
