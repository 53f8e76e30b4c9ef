//! What a member that keeps to RFC 9420, but not to the profile, is refused.

#![allow(clippy::unwrap_used)] // Every function here is a test's.

mod support;

use std::time::Duration;

use aside_mls::{
    AwsLc, Change, ClaimedChange, Device, Error, Group, KEY_PACKAGE_LIFETIME, MAX_COMMIT_BYTES,
    MAX_KEY_PACKAGE_BYTES, MAX_LEAVES, MAX_WELCOME_BYTES, Owner, Reason, Secret, SigningKey, Suite,
    testing::{Cast, certificate, owner},
};
use mls_rs::{
    Client, Extension, ExtensionList, MlsMessage,
    client_builder::{MlsConfig, PaddingMode},
    crypto::SignatureSecretKey,
    extension::{
        ExtensionType,
        built_in::{ExternalSendersExt, RequiredCapabilitiesExt},
    },
    group::ReceivedMessage,
    identity::{
        SigningIdentity,
        basic::{BasicCredential, BasicIdentityProvider},
    },
    mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions},
};
use support::{NOW, group_id, her, him};

const SUITE: Suite = Suite::P256Aes128;
/// An extension for private use (RFC 9420, section 17.3).
const PRIVATE_USE: u16 = 0xf0a0;

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
    assert_eq!(hers.decrypt(&proposal, b"", him()), Err(Reason::WrongKind));
    let claim = ClaimedChange { epoch: 1, ..ClaimedChange::default() };
    assert_eq!(hers.receive_commit(&proposal, b"", him(), &claim), Err(Reason::WrongKind));
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
        let (cast, mut hers, mut his) = with_stranger(true);
        let (identity, secret) = identity(2, device);
        cast.enrol(identity.credential.as_basic().unwrap().identifier().to_vec());
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
        let read = hers.decrypt(&message.to_bytes().unwrap(), b"", him());
        assert_eq!(read.map(|message| message.content), expected);
    }
}

// cites: MLS-006
#[test]
fn a_group_with_extensions_is_not_joined() {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let bob = stranger(&cast, true);
    let mut extensions = ExtensionList::new();
    extensions.set_from(ExternalSendersExt::new(vec![])).unwrap();
    let id = group_id().to_bytes().to_vec();
    let none = ExtensionList::new;
    let mut his = bob.create_group_with_id(id, extensions, none(), Some(NOW.into())).unwrap();
    let info = his.group_info_message_allowing_ext_commit(true).unwrap().to_bytes().unwrap();
    let refused = alice.rejoin(&info, group_id(), 0, None);
    assert_eq!(refused.err(), Some(Reason::WrongProfile.into()));
    let key_package = alice.key_package(SUITE, false, NOW).unwrap();
    let made = his
        .commit_builder()
        .commit_time(NOW.into())
        .add_member(MlsMessage::from_bytes(&key_package).unwrap())
        .unwrap()
        .build()
        .unwrap();
    let welcome = made.welcome_messages[0].to_bytes().unwrap();
    let refused = alice.join(&welcome, group_id(), (him(), &adds(0, her())), None);
    assert_eq!(refused.err(), Some(Reason::WrongProfile.into()));
}

// cites: MLS-013
#[test]
fn a_group_info_without_the_tree_is_refused() {
    let (cast, _, his) = with_stranger(true);
    let info = his.group_info_message_allowing_ext_commit(false).unwrap().to_bytes().unwrap();
    let other = cast.device::<AwsLc>(2, 22).unwrap();
    let refused = other.rejoin(&info, group_id(), 1, None);
    assert_eq!(refused.err(), Some(Reason::WrongProfile.into()));
    let info = his.group_info_message(true).unwrap().to_bytes().unwrap();
    let rejoin = other.rejoin(&info, group_id(), 1, None).unwrap();
    assert_eq!(rejoin.commit(b"").err(), Some(Reason::Invalid.into()), "no external key");
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
        cast.enrol(certificate.clone());
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
    let refused = bob.join(&other_suite, group_id(), (her(), &adds(0, him())), None);
    assert_eq!(refused.err(), Some(Reason::WrongKind.into()));
    assert_eq!(hers.key_package(b"").err(), Some(Reason::Malformed));
    let info = hers.group_info().unwrap();
    assert_eq!(hers.decrypt(&info, b"", him()), Err(Reason::WrongKind));
    assert_eq!(hers.decrypt(&[&info[..], &[0]].concat(), b"", him()), Err(Reason::Malformed));
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

// cites: MLS-047, MLS-048, MLS-023
#[test]
fn a_leaf_has_no_extensions_whatever_its_capabilities_list() {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let (bob, carol) = (listing(&cast, 2), listing(&cast, 3));
    let (mut hers, mut his) = with(&alice, &bob);
    let mut extended = ExtensionList::new();
    extended.set(Extension::new(PRIVATE_USE.into(), vec![1]));

    let none = ExtensionList::new;
    let made = carol.generate_key_package_message(none(), extended.clone(), Some(NOW.into()));
    let made = made.unwrap();
    let refused = hers.key_package(&made.to_bytes().unwrap()).err();
    assert_eq!(refused, Some(Reason::Invalid));
    hers.key_package(&key_package(&carol).to_bytes().unwrap()).unwrap();

    let builder = his.commit_builder().set_leaf_node_extensions(extended.clone());
    let renewed = builder.authenticated_data(header_hash(b"")).build().unwrap().commit_message;
    assert_eq!(receive(&mut hers, &renewed), Err(Reason::Invalid));
    his.clear_pending_commit();
    let builder = his.commit_builder().commit_time(NOW.into()).add_member(made).unwrap();
    let added = builder.authenticated_data(header_hash(b"")).build().unwrap().commit_message;
    let claim = adds(1, owner(3, 3));
    let refused = hers.receive_commit(&added.to_bytes().unwrap(), b"", him(), &claim);
    assert_eq!(refused, Err(Reason::Invalid));

    // Who comes in later would find it in the tree.
    his.apply_pending_commit().unwrap();
    let info = his.group_info_message_allowing_ext_commit(true).unwrap().to_bytes().unwrap();
    let other = cast.device::<AwsLc>(2, 22).unwrap();
    assert_eq!(other.rejoin(&info, group_id(), 2, None).err(), Some(Reason::Invalid.into()));

    // The group goes on with those whose capabilities list what the profile has not.
    let (mut hers, mut his) = with(&alice, &bob);
    let made = his.commit(header_hash(b"")).unwrap().commit_message;
    receive(&mut hers, &made).unwrap();
}

// cites: MLS-003, MLS-025
#[test]
fn a_certificate_that_is_in_no_device_log_is_refused_wherever_it_comes() {
    let (cast, mut hers, mut his) = with_stranger(true);
    let ghost = ghost();
    let forged = key_package(&ghost);
    let refused = hers.key_package(&forged.to_bytes().unwrap()).err();
    assert_eq!(refused, Some(Reason::CredentialRefused));

    // Bob takes himself for another, and lets his ghost in.
    let made = his.commit_builder().commit_time(NOW.into()).add_member(forged).unwrap();
    let made = made.authenticated_data(header_hash(b"")).build().unwrap();
    let commit = made.commit_message.to_bytes().unwrap();
    let refused = hers.receive_commit(&commit, b"", him(), &adds(1, him()));
    assert_eq!(refused, Err(Reason::CredentialRefused));

    // Who joins later would not know of it.
    his.apply_pending_commit().unwrap();
    let info = his.group_info_message_allowing_ext_commit(true).unwrap().to_bytes().unwrap();
    let other = cast.device::<AwsLc>(2, 22).unwrap();
    let refused = other.rejoin(&info, group_id(), 2, None).err();
    assert_eq!(refused, Some(Reason::CredentialRefused.into()));
    let carol = cast.device::<AwsLc>(3, 3).unwrap();
    let invited = MlsMessage::from_bytes(&carol.key_package(SUITE, false, NOW).unwrap()).unwrap();
    let made =
        his.commit_builder().commit_time(NOW.into()).add_member(invited).unwrap().build().unwrap();
    let welcome = made.welcome_messages[0].to_bytes().unwrap();
    let refused = carol.join(&welcome, group_id(), (him(), &adds(2, owner(3, 3))), None);
    assert_eq!(refused.err(), Some(Reason::CredentialRefused.into()));
}

// cites: MLS-007, MLS-009, MLS-023
#[test]
fn a_commit_that_only_adds_has_a_path_and_an_approved_maker() {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let pathless = CommitOptions::new().with_path_required(false);
    let bob = stranger_with(&cast, true, pathless, KEY_PACKAGE_LIFETIME);
    let (mut hers, mut his) = with(&alice, &bob);
    let carol = cast.device::<AwsLc>(3, 3).unwrap();
    let invited = MlsMessage::from_bytes(&carol.key_package(SUITE, false, NOW).unwrap()).unwrap();
    let made = his.commit_builder().commit_time(NOW.into()).add_member(invited).unwrap();
    let made = made.authenticated_data(header_hash(b"")).build().unwrap();
    assert!(!made.contains_update_path);
    let commit = made.commit_message.to_bytes().unwrap();
    let receive = |hers: &mut Group| {
        hers.receive_commit(&commit, b"", him(), &adds(1, owner(3, 3))).map(|_| ())
    };
    assert_eq!(receive(&mut hers), Err(Reason::NoPath));
    cast.revoke(him());
    assert_eq!(receive(&mut hers), Err(Reason::CredentialRefused));
    assert_eq!(support::members(&hers), [her(), him()]);
}

// cites: MLS-037
#[test]
fn a_key_package_is_not_good_for_longer_than_the_profile_says() {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let hers = alice.create(SUITE, group_id(), NOW).unwrap();
    let longest = KEY_PACKAGE_LIFETIME + aside_mls::CLOCK_SKEW;
    let second = Duration::from_secs(1);
    for (lifetime, refused) in [(longest, None), (longest + second, Some(Reason::Expired))] {
        let bob = stranger_with(&cast, true, CommitOptions::new(), lifetime);
        let key_package = key_package(&bob).to_bytes().unwrap();
        assert_eq!(hers.key_package(&key_package).err(), refused, "{lifetime:?}");
    }
}

// cites: MLS-034, MLS-035
#[test]
fn a_tree_of_blanks_is_not_decoded() {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let most = 2 * MAX_LEAVES as usize - 1;
    for (nodes, in_group_info, in_welcome) in [
        (most, Reason::Invalid, Reason::Unauthentic),
        (most + 1, Reason::TooLarge, Reason::TooLarge),
        (1 << 20, Reason::TooLarge, Reason::TooLarge),
    ] {
        let tree = vector(&vec![0; nodes]);
        let info = group_info(&tree);
        let refused = alice.rejoin(&info, group_id(), 1, None).err();
        assert_eq!(refused, Some(in_group_info.into()), "{nodes} nodes");

        let options = CommitOptions::new().with_ratchet_tree_extension(false);
        let bob = stranger_with(&cast, true, options, KEY_PACKAGE_LIFETIME);
        let (_, mut his) = with(&alice, &bob);
        let carol = cast.device::<AwsLc>(3, 3).unwrap();
        let invited = carol.key_package(SUITE, false, NOW).unwrap();
        let mut extensions = ExtensionList::new();
        extensions.set(Extension::new(ExtensionType::RATCHET_TREE, tree));
        let made = his
            .commit_builder()
            .commit_time(NOW.into())
            .add_member(MlsMessage::from_bytes(&invited).unwrap())
            .unwrap()
            .set_group_info_ext(extensions)
            .build()
            .unwrap();
        let welcome = made.welcome_messages[0].to_bytes().unwrap();
        let refused = carol.join(&welcome, group_id(), (him(), &adds(1, owner(3, 3))), None).err();
        assert_eq!(refused, Some(in_welcome.into()), "{nodes} nodes");
    }
    let longer = vec![0; MAX_WELCOME_BYTES + 1];
    let too_large = || Some(Error::Refused(Reason::TooLarge));
    assert_eq!(alice.rejoin(&longer, group_id(), 1, None).err(), too_large());
    assert_eq!(alice.join(&longer, group_id(), (him(), &adds(0, her())), None).err(), too_large());
    let malformed = alice.rejoin(&group_info(&vector(&[1, 1])), group_id(), 1, None).err();
    assert_eq!(malformed, Some(Reason::Malformed.into()));
}

// cites: MLS-041, MLS-042, MLS-023
#[test]
fn what_is_longer_than_any_that_is_sound_is_not_decoded() {
    let (cast, mut hers, mut his) = with_stranger(true);
    let made = his.commit_builder().authenticated_data(header_hash(b"")).build().unwrap();
    let commit = made.commit_message.to_bytes().unwrap();
    let claim = ClaimedChange { epoch: 1, ..ClaimedChange::default() };
    // Of the greatest length it is decoded, and what stands after it found.
    for (bytes, refused) in
        [(MAX_COMMIT_BYTES, Reason::Malformed), (MAX_COMMIT_BYTES + 1, Reason::TooLarge)]
    {
        let padded = padded(&commit, bytes);
        assert_eq!(hers.receive_commit(&padded, b"", him(), &claim), Err(refused), "{bytes}");
    }
    let carol = cast.device::<AwsLc>(3, 3).unwrap();
    let key_package = carol.key_package(SUITE, false, NOW).unwrap();
    for (bytes, refused) in
        [(MAX_KEY_PACKAGE_BYTES, Reason::Malformed), (MAX_KEY_PACKAGE_BYTES + 1, Reason::TooLarge)]
    {
        assert_eq!(hers.key_package(&padded(&key_package, bytes)).err(), Some(refused), "{bytes}");
    }
    // By themselves both are sound.
    assert!(hers.key_package(&key_package).is_ok());
    assert!(hers.receive_commit(&commit, b"", him(), &claim).is_ok());
}

fn padded(message: &[u8], bytes: usize) -> Vec<u8> {
    let mut padded = message.to_vec();
    padded.resize(bytes, 0);
    padded
}

// cites: MLS-034
#[test]
fn a_commit_that_makes_the_tree_too_large_is_refused() {
    let (cast, mut hers, mut his) = with_stranger(true);
    let mut builder = his.commit_builder().commit_time(NOW.into());
    let mut claim = ClaimedChange { epoch: 1, ..ClaimedChange::default() };
    for n in 3..=MAX_LEAVES as u16 + 1 {
        let invited = cast.device::<AwsLc>(n, n).unwrap().key_package(SUITE, false, NOW).unwrap();
        builder = builder.add_member(MlsMessage::from_bytes(&invited).unwrap()).unwrap();
        claim.added.insert(owner(n, n));
    }
    let made = builder.authenticated_data(header_hash(b"")).build().unwrap();
    let commit = made.commit_message.to_bytes().unwrap();
    assert_eq!(hers.receive_commit(&commit, b"", him(), &claim), Err(Reason::TooLarge));
    assert_eq!(support::members(&hers), [her(), him()]);
}

/// A GroupInfo of epoch 1 that nobody signed, with this `ratchet_tree`.
fn group_info(tree: &[u8]) -> Vec<u8> {
    let hash = vector(&[0; 32]);
    let extension = [&[0, 2][..], &vector(tree)].concat();
    let epoch = 1u64.to_be_bytes();
    let context = [&[0, 1, 0, 2][..], &vector(&group_id().to_bytes()), &epoch, &hash, &hash, &[0]];
    let signer = 0u32.to_be_bytes();
    let info = [&context.concat(), &vector(&extension), &hash, &signer[..], &vector(b"")].concat();
    [&[0, 1, 0, 4][..], &info].concat()
}

/// A vector of MLS, its length in four bytes if it is long.
fn vector(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    let prefix = match length {
        0..64 => vec![length as u8],
        64..16384 => (0x4000 | length as u16).to_be_bytes().to_vec(),
        _ => (0x8000_0000 | length).to_be_bytes().to_vec(),
    };
    [prefix, bytes.to_vec()].concat()
}

/// Alice's group, with a stranger as its second member, who may do what they like.
fn with_stranger(encrypted: bool) -> (Cast, Group, mls_rs::Group<impl MlsConfig>) {
    let cast = Cast::default();
    let alice = cast.device::<AwsLc>(1, 1).unwrap();
    let bob = stranger(&cast, encrypted);
    let (hers, his) = with(&alice, &bob);
    (cast, hers, his)
}

/// Alice's group, with Bob added.
fn with<C: MlsConfig>(alice: &Device, bob: &Client<C>) -> (Group, mls_rs::Group<C>) {
    let mut hers = alice.create(SUITE, group_id(), NOW).unwrap();
    let invitation = support::add(&mut hers, &[&key_package(bob).to_bytes().unwrap()]);
    let welcome = MlsMessage::from_bytes(&invitation.welcome).unwrap();
    let (his, _) = bob.join_group(None, &welcome, None).unwrap();
    (hers, his)
}

/// Bob, in whose user's device log his certificate is.
fn stranger(cast: &Cast, encrypted: bool) -> Client<impl MlsConfig + use<>> {
    let options = CommitOptions::new().with_path_required(true);
    stranger_with(cast, encrypted, options, KEY_PACKAGE_LIFETIME)
}

fn stranger_with(
    cast: &Cast,
    encrypted: bool,
    options: CommitOptions,
    lifetime: Duration,
) -> Client<impl MlsConfig + use<>> {
    let (identity, secret) = identity(2, 2);
    cast.enrol(identity.credential.as_basic().unwrap().identifier().to_vec());
    bare(identity, secret, encrypted, options, lifetime)
}

/// Who says that it is Bob, by a certificate that is in no device log.
fn ghost() -> Client<impl MlsConfig> {
    let (identity, secret) = identity(2, 2);
    bare(identity, secret, true, CommitOptions::new(), KEY_PACKAGE_LIFETIME)
}

fn bare(
    identity: SigningIdentity,
    secret: SignatureSecretKey,
    encrypted: bool,
    options: CommitOptions,
    lifetime: Duration,
) -> Client<impl MlsConfig> {
    let rules = DefaultMlsRules::new()
        .with_commit_options(options)
        .with_encryption_options(EncryptionOptions::new(encrypted, PaddingMode::None));
    Client::builder()
        .crypto_provider(AwsLc::new())
        .identity_provider(BasicIdentityProvider::new())
        .mls_rules(rules)
        .key_package_lifetime(lifetime)
        .signing_identity(identity, secret, SUITE.number().into())
        .build()
}

/// A user's device, whose leaf lists what the profile does not have: an extension for private use, and GREASE.
fn listing(cast: &Cast, user: u16) -> Client<impl MlsConfig + use<>> {
    const GREASE: u16 = 0x0a0a;
    let (identity, secret) = identity(user, user);
    cast.enrol(identity.credential.as_basic().unwrap().identifier().to_vec());
    let options = CommitOptions::new().with_path_required(true);
    let encryption = EncryptionOptions::new(true, PaddingMode::None);
    let rules =
        DefaultMlsRules::new().with_commit_options(options).with_encryption_options(encryption);
    Client::builder()
        .crypto_provider(AwsLc::new())
        .identity_provider(BasicIdentityProvider::new())
        .mls_rules(rules)
        .extension_types([PRIVATE_USE.into(), GREASE.into()])
        .custom_proposal_type(GREASE.into())
        .key_package_lifetime(KEY_PACKAGE_LIFETIME)
        .signing_identity(identity, secret, SUITE.number().into())
        .build()
}

fn key_package(client: &Client<impl MlsConfig>) -> MlsMessage {
    let none = ExtensionList::new;
    client.generate_key_package_message(none(), none(), Some(NOW.into())).unwrap()
}

/// A claim to add this device only.
fn adds(epoch: u64, device: Owner) -> ClaimedChange {
    ClaimedChange { epoch, added: [device].into(), ..ClaimedChange::default() }
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
    hers.receive_commit(&made.to_bytes().unwrap(), b"", him(), &claim).map(|_| ())
}

fn header_hash(header: &[u8]) -> Vec<u8> {
    aside_crypto::label::hash(aside_crypto::label::MLS_HEADER, &[header]).to_vec()
}
