//! Identity: recovery phrases, device logs, safety numbers.

use aside_client::{
    DeviceId, DeviceLog, Error, Event, Judgement, Kind, LogIn, PinBreach, Strength,
    new_recovery_phrase,
    v1::{self, ErrorCode, client_frame::Body},
};
use aside_crypto::{Certificate, MlsKey, SUITE_P256, SigningKey};

use crate::world::{PASSWORD, Person, World, with_password};

/// What a device is at the head of a log.
fn judge(log: &DeviceLog, device: DeviceId) -> Judgement<'_> {
    log.judge(device, log.head().position)
}

fn is_active(log: &DeviceLog, device: DeviceId) -> bool {
    matches!(judge(log, device), Judgement::Active(_))
}

async fn own_log(person: &Person) -> DeviceLog {
    person.client.own_device_log().await.expect("a reply").expect("there is a log")
}

/// Alice on a second computer.
async fn second(world: &World) -> Person {
    let options = world.options("alice", "laptop", with_password(PASSWORD));
    Person::connect(options).await.expect("logs in")
}

// cites: PHRASE-001, DEVLOG-001, DEVLOG-002, DEVLOG-006, DEVLOG-009, DLOG-005
#[tokio::test]
async fn a_recovery_phrase_approves_a_second_device() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let phrase = new_recovery_phrase(Strength::Bits128);
    assert!(alice.client.own_device_log().await.unwrap().is_none());
    let none = alice.client.approve_by_phrase(&phrase).await.unwrap_err();
    assert!(matches!(none, Error::NoIdentity), "{none}");
    let log = alice.client.begin_identity(&phrase).await.unwrap();
    assert!(is_active(&log, alice.client.identity().device));

    let mut laptop = second(&world).await;
    let device = laptop.client.identity().device;
    assert_eq!(judge(&own_log(&laptop).await, device), Judgement::Unknown);
    let mallory = new_recovery_phrase(Strength::Bits128);
    let again = laptop.client.begin_identity(&mallory).await.unwrap_err();
    assert!(matches!(again, Error::IdentityExists), "{again}");
    let wrong = laptop.client.approve_by_phrase(&mallory).await.unwrap_err();
    assert!(matches!(wrong, Error::WrongPhrase), "{wrong}");

    let log = laptop.client.approve_by_phrase(&phrase).await.unwrap();
    assert!(is_active(&log, device));
    let me = alice.client.identity().user;
    let told =
        |event| matches!(event, Event::DeviceLogChanged { who } if who.user == me).then_some(());
    laptop.until(told).await;
    let hers = own_log(&alice).await;
    assert_eq!((hers.head(), hers.identity()), (log.head(), log.identity()));
    // To say so once more changes nothing.
    assert_eq!(laptop.client.approve_by_phrase(&phrase).await.unwrap().head(), log.head());
    // The server takes the device for approved: it may ask for what only such a one may.
    let group = || Body::CreateGroup(v1::CreateGroup {});
    laptop.client.call(group()).await.unwrap();
    let rooms = laptop.client.rooms(true).await.unwrap();
    assert!(rooms.iter().all(|room| room.kind == Kind::Group), "which no other can join");
    let tablet = world.options("alice", "tablet", with_password(PASSWORD));
    let tablet = Person::connect(tablet).await.unwrap();
    let refused = tablet.client.call(group()).await.unwrap_err();
    assert!(refused.is_refusal(ErrorCode::DeviceNotApproved), "{refused}");
}

// cites: DLOG-008, DLOG-014, DEVLOG-005
#[tokio::test]
async fn a_device_that_is_revoked_is_so_in_the_log_and_at_the_server() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let phrase = new_recovery_phrase(Strength::Bits256);
    alice.client.begin_identity(&phrase).await.unwrap();
    let mut laptop = second(&world).await;
    laptop.client.approve_by_phrase(&phrase).await.unwrap();
    let device = laptop.client.identity().device;

    alice.client.revoke_device(device).await.unwrap();
    assert_eq!(judge(&own_log(&alice).await, device), Judgement::Revoked { by: 2 });
    let ended = laptop.until(|event| match event {
        Event::Ended(error) => Some(error),
        _ => None,
    });
    assert!(ended.await.is_refusal(ErrorCode::DeviceIsRevoked));
    assert_eq!(alice.client.devices().await.unwrap().len(), 1);
    let revoked = alice.client.revoked_devices().await.unwrap();
    assert!(matches!(revoked[..], [(it, at_ms)] if it == device && at_ms > 0), "{revoked:?}");

    // One that is not in the log is revoked by the server alone.
    let tablet = world.options("alice", "tablet", with_password(PASSWORD));
    let tablet = Person::connect(tablet).await.unwrap().client.identity().device;
    alice.client.revoke_device(tablet).await.unwrap();
    let log = own_log(&alice).await;
    assert_eq!((judge(&log, tablet), log.head().position), (Judgement::Unknown, 2));
}

// cites: SAFETY-001, TRUST-001, TRUST-004, TRUST-005
#[tokio::test]
async fn two_users_see_one_number_until_one_of_them_begins_anew() {
    let world = World::new().await;
    let (alice, mut bob) = (world.register("alice").await, world.register("bob").await);
    let (her, him) = (alice.client.identity().user, bob.client.identity().user);
    alice.client.begin_identity(&new_recovery_phrase(Strength::Bits128)).await.unwrap();
    let none = bob.client.safety(her).await.unwrap_err();
    assert!(matches!(none, Error::NoIdentity), "{none}");
    bob.client.begin_identity(&new_recovery_phrase(Strength::Bits128)).await.unwrap();
    assert!(matches!(bob.client.safety(him).await, Err(Error::SameUser)));

    let seen = bob.client.safety(her).await.unwrap();
    assert_eq!(seen, alice.client.safety(him).await.unwrap());
    assert!(!seen.verified);
    bob.client.mark_verified(her, &seen.number).await.unwrap();
    bob.client.close().await;
    bob = world.come_back("bob").await.unwrap();
    assert!(bob.client.safety(her).await.unwrap().verified, "it is remembered");
    assert!(!alice.client.safety(him).await.unwrap().verified, "for the one who compared alone");

    begin_anew(&world).await;
    let changed = bob.client.safety(her).await.unwrap_err();
    assert!(matches!(changed, Error::DeviceLog(PinBreach::IdentityChanged)), "{changed}");
    let why = bob.until(|event| match event {
        Event::DeviceLogRefused { who, why } if who.user == her => Some(why),
        _ => None,
    });
    assert_eq!(why.await, PinBreach::IdentityChanged);
    let known = bob.client.known_device_log(her).await.unwrap().unwrap();
    assert!(is_active(&known, alice.client.identity().device), "the one before is kept");

    bob.client.accept_identity(her).await.unwrap();
    let now = bob.client.safety(her).await.unwrap();
    assert!(!now.verified);
    assert_ne!(now.number, seen.number);
    let stale = bob.client.mark_verified(her, &seen.number).await.unwrap_err();
    assert!(matches!(stale, Error::DeviceLog(PinBreach::IdentityChanged)), "{stale}");
}

/// The log that a thief has put in the place of the own one is no reason why its device can't be put away.
// cites: DEVLOG-006
#[tokio::test]
async fn a_thief_that_spoilt_the_log_is_revoked_all_the_same() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    alice.client.begin_identity(&new_recovery_phrase(Strength::Bits128)).await.unwrap();
    begin_anew(&world).await;
    let changed = alice.client.own_device_log().await.unwrap_err();
    assert!(matches!(changed, Error::DeviceLog(PinBreach::IdentityChanged)), "{changed}");
    let me = alice.client.identity().device;
    let others = || async {
        let devices = alice.client.devices().await.unwrap().into_iter();
        devices.map(|device| device.id).filter(|device| *device != me).collect::<Vec<_>>()
    };
    let thieves = others().await;
    assert_eq!(thieves.len(), 1);
    alice.client.revoke_device(thieves[0]).await.unwrap();
    assert_eq!(others().await, []);
}

/// Somebody who has Alice's password puts another log in the place of hers.
async fn begin_anew(world: &World) {
    let thief = second(world).await;
    let replaces = own_log(&thief).await.head().position + 1;
    let login_key = SigningKey::from_bytes(&[9; 32]).expect("it is a key");
    let public_key = login_key.public_key().as_bytes().to_vec();
    let keys = [MlsKey { suite: SUITE_P256, public_key }];
    let (user, device) = (thief.client.identity().user, DeviceId::new([9; 16]));
    let certificate = Certificate::issue(user, device, &login_key, &keys).expect("it is one");
    let phrase = new_recovery_phrase(Strength::Bits128);
    let genesis = DeviceLog::sign_genesis(&phrase.account_key(), &certificate);
    let entries = vec![genesis.into()];
    let publish = v1::PublishDeviceLog { from_position: 0, entries, replaces };
    thief.client.call(Body::PublishDeviceLog(publish)).await.expect("the server lets her");
}

// cites: TRUST-001
#[tokio::test]
async fn what_must_not_be_lost_is_not_kept_in_a_copy() {
    let world = World::new().await;
    let alice = world.register("alice").await;
    let mut options = world.options("alice", "alice", LogIn::Remembered);
    options.shared = true;
    let beside = Person::connect(options).await.unwrap();
    let phrase = new_recovery_phrase(Strength::Bits128);
    let refused = beside.client.begin_identity(&phrase).await.unwrap_err();
    assert!(matches!(refused, Error::State(aside_client::StateError::Copy)), "{refused}");
    alice.client.begin_identity(&phrase).await.unwrap();
}
