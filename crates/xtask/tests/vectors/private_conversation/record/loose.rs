//! A device that keeps to RFC 9420, and breaks the profile: mls-rs as it is.

use aside_mls::{AwsLc, KEY_PACKAGE_LIFETIME, Suite};
use mls_rs::{
    Client, ExtensionList, MlsMessage,
    client_builder::{
        BaseConfig, PaddingMode, WithCryptoProvider, WithGroupStateStorage, WithIdentityProvider,
        WithMlsRules,
    },
    extension::{ExtensionType, built_in::RequiredCapabilitiesExt},
    group::CommitBuilder,
    identity::{
        SigningIdentity,
        basic::{BasicCredential, BasicIdentityProvider},
    },
    mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions},
    storage_provider::in_memory::InMemoryGroupStateStorage,
};

use super::story::{NOW, Phone};

type Config = WithMlsRules<
    DefaultMlsRules,
    WithCryptoProvider<
        AwsLc,
        WithIdentityProvider<
            BasicIdentityProvider,
            WithGroupStateStorage<InMemoryGroupStateStorage, BaseConfig>,
        >,
    >,
>;

pub(super) type Commit<'a> = CommitBuilder<'a, Config>;

/// An extension for private use (RFC 9420, section 17.3).
const PRIVATE_USE: ExtensionType = ExtensionType::new(0xf0a0);

pub(super) struct Loose {
    pub(super) client: Client<Config>,
    /// Once it has joined.
    pub(super) group: Option<mls_rs::Group<Config>>,
    store: InMemoryGroupStateStorage,
}

impl Loose {
    pub(super) fn new(phone: &Phone, suite: Suite) -> Self {
        let store = InMemoryGroupStateStorage::default();
        Self { client: client(phone, suite, true, &store), group: None, store }
    }

    pub(super) fn key_package(&self) -> Vec<u8> {
        let none = ExtensionList::new;
        let made = self.client.generate_key_package_message(none(), none(), Some(NOW.into()));
        made.unwrap().to_bytes().unwrap()
    }

    pub(super) fn join(&mut self, welcome: &[u8]) {
        let welcome = MlsMessage::from_bytes(welcome).unwrap();
        self.group = Some(self.client.join_group(None, &welcome, None).unwrap().0);
    }

    pub(super) fn group(&mut self) -> &mut mls_rs::Group<Config> {
        self.group.as_mut().unwrap()
    }

    /// A commit, taken back.
    pub(super) fn commit(
        &mut self,
        authenticated_data: &[u8],
        propose: impl FnOnce(Commit<'_>) -> Commit<'_>,
    ) -> Vec<u8> {
        let group = self.group();
        let builder = propose(group.commit_builder()).commit_time(NOW.into());
        let made = builder.authenticated_data(authenticated_data.to_vec()).build().unwrap();
        group.clear_pending_commit();
        made.commit_message().to_bytes().unwrap()
    }

    /// The same member, whose commits are not encrypted.
    pub(super) fn unencrypted(&mut self, phone: &Phone, suite: Suite) -> Self {
        self.group().write_to_storage().unwrap();
        let client = client(phone, suite, false, &self.store);
        let group = client.load_group(self.group().group_id()).unwrap();
        Self { client, group: Some(group), store: self.store.clone() }
    }

    /// A Welcome for this KeyPackage to epoch 2 of a group with GroupContext extensions.
    pub(super) fn welcome_to_extensions(&self, group_id: &[u8], key_package: &[u8]) -> Vec<u8> {
        let none = ExtensionList::new();
        let (id, now) = (group_id.to_vec(), Some(NOW.into()));
        let mut group = self.client.create_group_with_id(id, required(), none, now).unwrap();
        group.commit(Vec::new()).unwrap();
        group.apply_pending_commit().unwrap();
        let key_package = MlsMessage::from_bytes(key_package).unwrap();
        let builder = group.commit_builder().commit_time(NOW.into());
        let made = builder.add_member(key_package).unwrap().build().unwrap();
        made.welcome_messages()[0].to_bytes().unwrap()
    }
}

/// GroupContext extensions that ask for nothing.
pub(super) fn required() -> ExtensionList {
    let mut extensions = ExtensionList::new();
    extensions.set_from(RequiredCapabilitiesExt::default()).unwrap();
    extensions
}

/// Extensions of a leaf.
pub(super) fn leaf_extensions() -> ExtensionList {
    let mut extensions = ExtensionList::new();
    extensions.set(mls_rs::Extension::new(PRIVATE_USE, vec![1]));
    extensions
}

pub(super) fn identity(phone: &Phone, suite: Suite) -> SigningIdentity {
    let certificate = phone.certificate.as_bytes().to_vec();
    let key = phone.key(suite).public().to_vec();
    SigningIdentity::new(BasicCredential::new(certificate).into_credential(), key.into())
}

fn client(
    phone: &Phone,
    suite: Suite,
    encrypted: bool,
    store: &InMemoryGroupStateStorage,
) -> Client<Config> {
    let rules = DefaultMlsRules::new()
        .with_commit_options(CommitOptions::new().with_ratchet_tree_extension(true))
        .with_encryption_options(EncryptionOptions::new(encrypted, PaddingMode::None));
    let key = phone.key(suite).to_bytes().to_vec();
    Client::builder()
        .group_state_storage(store.clone())
        .identity_provider(BasicIdentityProvider::new())
        .crypto_provider(AwsLc::new())
        .mls_rules(rules)
        .extension_type(PRIVATE_USE)
        .key_package_lifetime(KEY_PACKAGE_LIFETIME)
        .signing_identity(identity(phone, suite), key.into(), suite.number().into())
        .build()
}
