mod identities;
mod troubles;
mod world;

use aside_crypto::{MlsKey, RecoveryPhrase, Strength};
use aside_mls::{AwsLc, Suite};
use aside_proto::id::DeviceId;

use super::*;

const ALICE: UserId = user_of(1);
const ROOM: ConversationId = ConversationId::new([3; 16]);

const fn user_of(number: u8) -> UserId {
    UserId::new([number; 16])
}

/// Of a user's first device.
fn login_key(user: UserId) -> aside_crypto::SigningKey {
    let [number, ..] = *user.as_bytes();
    aside_crypto::SigningKey::from_bytes(&[number; 32]).unwrap()
}

/// A user's only device, and its user's device log.
fn identity(number: u8) -> (Certificate, SigningKey, DeviceLog) {
    let (user, device) = (user_of(number), DeviceId::new([100 + number; 16]));
    let login_key = login_key(user);
    let key = SigningKey::generate::<AwsLc>(Suite::P256Aes128).unwrap();
    let (suite, public_key) = (key.suite().number(), key.public().to_vec());
    let keys = [MlsKey { suite, public_key }];
    let certificate = Certificate::issue(user, device, &login_key, &keys).unwrap();
    let phrase = RecoveryPhrase::generate(Strength::Bits128, &mut |bytes| bytes.fill(number));
    let genesis = DeviceLog::sign_genesis(&phrase.account_key(), &certificate);
    let log = DeviceLog::begin(user, &genesis).unwrap();
    (certificate, key, log)
}

/// The engine of a device, which is online.
fn start(
    (certificate, key): (Certificate, SigningKey),
    stored: Stored,
    logs: Vec<DeviceLog>,
) -> Engine {
    let identity = Identity { certificate, keys: vec![key] };
    let mut drawn = 0_u8;
    let random = Box::new(move |bytes: &mut [u8]| {
        // No two keys are one.
        drawn = drawn.wrapping_add(1);
        bytes.fill(drawn);
    });
    let mut engine = Engine::new(identity, stored, logs, random).unwrap();
    engine.online(limits::DEFAULT, 1_750_000_000_000);
    engine
}

fn engine() -> (Engine, DeviceLog) {
    let (certificate, key, log) = identity(1);
    (start((certificate, key), Stored::default(), Vec::new()), log)
}

#[test]
fn a_device_log_is_fetched_once_at_a_time_and_again_if_it_has_changed_meanwhile() {
    let (mut engine, log) = engine();
    assert_eq!(engine.poll_log(), Some(ALICE), "first of all the user's own");
    engine.log_changed(ALICE);
    assert_eq!(engine.poll_log(), None, "it is being fetched");
    engine.learn(log.clone());
    assert_eq!(engine.poll_log(), Some(ALICE), "that may have been as it was before");
    engine.learn(log);
    assert_eq!(engine.poll_log(), None);
}

#[test]
fn nothing_is_given_to_be_sent_before_it_is_written() {
    let (mut engine, log) = engine();
    engine.learn(log);
    engine.work().unwrap();
    let writes = engine.take_writes().expect("the secrets of KeyPackages");
    assert!(!writes.key_packages.is_empty());
    assert!(engine.poll_request().is_none());
    engine.written();
    assert!(engine.poll_request().is_some());
}

#[test]
fn a_log_that_goes_further_than_what_is_kept_is_told_of() {
    let (mut engine, ..) = engine();
    engine.follow(ROOM, v1::ConversationKind::Group, 9, 4);
    assert_eq!(engine.heads().collect::<Vec<_>>(), [(ROOM, 9)]);
    engine.kept(ROOM, 9);
    assert_eq!(engine.heads().count(), 0);
}
