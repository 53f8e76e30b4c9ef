//! A new device is let in by six digits that its user compares.

#![allow(clippy::unwrap_used, clippy::panic)] // Every function here is a test's.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use aside_client::{
    ApprovalEnd, ApprovalRequest, BindingKind, Comparison, Connection, DeviceId, DeviceLog,
    EntryError, Error, Event, Judgement, LogChange, LogEntry, LogIn, PinBreach, RecoveryPhrase,
    StateError, Strength, new_recovery_phrase,
    v1::{self, client_frame, server_frame},
};
use aside_crypto::{Answer, Certificate, MlsKey, SUITE_P256, SigningKey};
use aside_proto::id::UserId;
use aside_session::client::approval::{
    ApprovalId, ApprovalMessage, ApprovalStep, Asking, Said, Step,
};

use crate::{
    between::{Passing, stand_between},
    world::{PASSWORD, Person, World, with_password},
};

/// Alice on her phone, with a device log.
async fn a_phone(world: &World) -> (Person, RecoveryPhrase) {
    let phone = world.register("alice").await;
    let phrase = new_recovery_phrase(Strength::Bits128);
    phone.client.begin_identity(&phrase).await.expect("she has none");
    (phone, phrase)
}

/// And on a new laptop.
async fn two_devices(world: &World) -> (Person, Person, RecoveryPhrase) {
    let (phone, phrase) = a_phone(world).await;
    let laptop = world.options("alice", "laptop", with_password(PASSWORD));
    let laptop = Person::connect(laptop).await.expect("logs in");
    (phone, laptop, phrase)
}

async fn log_of(person: &Person) -> DeviceLog {
    person.client.own_device_log().await.expect("a reply").expect("there is a log")
}

fn is_active(log: &DeviceLog, device: DeviceId) -> bool {
    matches!(log.judge(device, log.head().position), Judgement::Active(_))
}

fn device_of(person: &Person) -> DeviceId {
    person.client.identity().device
}

async fn asking_device(person: &mut Person) -> DeviceId {
    person
        .until(|event| match event {
            Event::DeviceAsks { device } => Some(device),
            _ => None,
        })
        .await
}

/// Both devices as far as the digits.
async fn compare(phone: &mut Person, laptop: &Person) -> (Comparison, Comparison) {
    let asked = laptop.client.ask_for_approval().await.expect("it may ask");
    both_show(phone, asked).await
}

async fn both_show(phone: &mut Person, mut asked: ApprovalRequest) -> (Comparison, Comparison) {
    let device = asking_device(phone).await;
    let (on_phone, on_laptop) = tokio::join!(phone.client.approve(device), asked.answered());
    (on_phone.expect("it is let in"), on_laptop.expect("it is answered"))
}

fn ended(error: &Error) -> Option<ApprovalEnd> {
    match error {
        Error::ApprovalEnded(end) => Some(*end),
        _ => None,
    }
}

// cites: APPROVE-004, APPROVE-005, APPROVE-008, APPROVE-011, APPROVE-013, APPROVE-017, RELAY-002
#[tokio::test]
async fn a_device_is_let_in_when_its_user_says_on_both_that_the_digits_are_the_same() {
    let world = World::new().await;
    let (mut phone, mut laptop, _) = two_devices(&world).await;
    let new = device_of(&laptop);
    let (on_phone, on_laptop) = compare(&mut phone, &laptop).await;
    assert_eq!((on_phone.other(), on_laptop.other()), (new, device_of(&phone)));
    assert_eq!(on_phone.code(), on_laptop.code());
    assert!(!is_active(&log_of(&phone).await, new), "nobody has said anything");

    let (log, hers) = tokio::join!(on_phone.confirm(), on_laptop.confirm());
    let (log, hers) = (log.unwrap(), hers.unwrap());
    assert!(is_active(&hers, new));
    assert_eq!((log.head(), log.identity()), (hers.head(), hers.identity()));
    // The server takes it for approved, and it may approve in its turn.
    let group = client_frame::Body::CreateGroup(v1::CreateGroup {});
    laptop.client.call(group).await.unwrap();
    let again = laptop.client.ask_for_approval().await.unwrap_err();
    assert!(matches!(again, Error::AlreadyApproved), "{again}");
    let tablet = world.options("alice", "tablet", with_password(PASSWORD));
    let tablet = Person::connect(tablet).await.unwrap();
    let (on_laptop, on_tablet) = compare(&mut laptop, &tablet).await;
    // The new device's user may be first.
    let joins = tokio::spawn(on_tablet.confirm());
    on_laptop.confirm().await.unwrap();
    let log = joins.await.unwrap().unwrap();
    assert_eq!(log.active().count(), 3);
}

// cites: APPROVE-012, RELAY-003, RELAY-005
#[tokio::test]
async fn a_device_that_asks_waits_for_one_that_looks_for_it() {
    let world = World::new().await;
    let (phone, laptop, _) = two_devices(&world).await;
    phone.client.close().await;
    let mut asked = laptop.client.ask_for_approval().await.unwrap();
    assert_eq!(asked.reached(), 0);
    let mut phone = world.come_back("alice").await.unwrap();
    assert_eq!(phone.client.asking_devices().await.unwrap(), []);
    let answered = tokio::spawn(async move { asked.answered().await });
    phone.client.look_for_asking_devices().await.unwrap();
    let device = asking_device(&mut phone).await;
    assert_eq!(phone.client.asking_devices().await.unwrap(), [device]);
    let on_phone = phone.client.approve(device).await.unwrap();
    let on_laptop = answered.await.unwrap().unwrap();
    assert_eq!(on_phone.code(), on_laptop.code());
    assert_eq!(phone.client.asking_devices().await.unwrap(), [], "it was answered");
}

// cites: APPROVE-007, APPROVE-012
#[tokio::test]
async fn a_device_that_was_disconnected_asks_anew() {
    let world = World::new().await;
    let (mut phone, laptop, _) = two_devices(&world).await;
    let mut asked = laptop.client.ask_for_approval().await.unwrap();
    let device = asking_device(&mut phone).await;
    let world = world.restart_with(|_| {}).await;
    let answered = tokio::spawn(async move { asked.answered().await });
    // Whichever of the two is back first.
    let is_back = |event| matches!(event, Event::Connection(Connection::Online { .. }));
    phone.until(|event| is_back(event).then_some(())).await;
    phone.client.look_for_asking_devices().await.unwrap();
    assert_eq!(asking_device(&mut phone).await, device);
    let on_phone = phone.client.approve(device).await.unwrap();
    assert_eq!(on_phone.code(), answered.await.unwrap().unwrap().code());
    drop(world);
}

// cites: APPROVE-005, APPROVE-009, APPROVE-016
#[tokio::test]
async fn whoever_says_that_the_digits_differ_ends_it_on_both() {
    let world = World::new().await;
    let (mut phone, laptop, _) = two_devices(&world).await;
    let before = log_of(&phone).await.head();
    let (mut on_phone, on_laptop) = compare(&mut phone, &laptop).await;
    on_laptop.reject().await.unwrap();
    let told = on_phone.ended().await;
    assert_eq!(ended(&told), Some(ApprovalEnd::Different), "{told}");

    let (on_phone, on_laptop) = compare(&mut phone, &laptop).await;
    // The new device's user has said yes already.
    let joins = tokio::spawn(on_laptop.confirm());
    on_phone.reject().await.unwrap();
    let told = joins.await.unwrap().unwrap_err();
    assert_eq!(ended(&told), Some(ApprovalEnd::Different), "{told}");
    assert_eq!(log_of(&phone).await.head(), before);
    assert!(!is_active(&log_of(&laptop).await, device_of(&laptop)));
}

// cites: APPROVE-009, APPROVE-016
#[tokio::test]
async fn an_approval_that_is_left_ends_on_both() {
    let world = World::new().await;
    let (mut phone, laptop, _) = two_devices(&world).await;
    let (mut on_phone, on_laptop) = compare(&mut phone, &laptop).await;
    drop(on_laptop);
    let told = on_phone.ended().await;
    assert_eq!(ended(&told), Some(ApprovalEnd::Left), "{told}");
    // Whose yes comes too late, too.
    let (on_phone, mut on_laptop) = compare(&mut phone, &laptop).await;
    drop(on_phone);
    let told = on_laptop.ended().await;
    assert_eq!(ended(&told), Some(ApprovalEnd::Left), "{told}");
    // And before there was an answer: it asks no longer, and of that the phone is told.
    let asked = laptop.client.ask_for_approval().await.unwrap();
    let device = asking_device(&mut phone).await;
    asked.leave().await.unwrap();
    let asked = laptop.client.ask_for_approval().await.unwrap();
    assert_eq!(asking_device(&mut phone).await, device);
    drop(asked);
    // What is said after it is heard after it.
    let asked = laptop.client.ask_for_approval().await.unwrap();
    assert_eq!(asking_device(&mut phone).await, device);
    asked.leave().await.unwrap();
    let asked = laptop.client.ask_for_approval().await.unwrap();
    let device = asking_device(&mut phone).await;
    laptop.client.close().await;
    let gone = phone.client.approve(device).await.unwrap_err();
    assert!(matches!(gone, Error::ApprovalLost), "{gone}");
    drop(asked);
}

// cites: APPROVE-010
#[tokio::test]
async fn after_three_that_failed_there_is_a_pause_that_outlives_the_program() {
    let world = World::new().await;
    let (mut phone, laptop, phrase) = two_devices(&world).await;
    let reject = async |phone: &mut Person, other: &Person| {
        let (on_phone, on_laptop) = compare(phone, other).await;
        on_phone.reject().await.unwrap();
        drop(on_laptop);
    };
    let log_in = async |computer| {
        let options = world.options("alice", computer, with_password(PASSWORD));
        Person::connect(options).await.unwrap()
    };
    reject(&mut phone, &laptop).await;
    reject(&mut phone, &laptop).await;
    // One that is confirmed begins the count anew, on the devices that it was confirmed on.
    let tablet = log_in("tablet").await;
    let (on_phone, on_tablet) = compare(&mut phone, &tablet).await;
    on_phone.confirm().await.unwrap();
    on_tablet.confirm().await.unwrap();
    reject(&mut phone, &laptop).await;
    let paused = |error: &Error| matches!(error, Error::ApprovalPaused { wait } if !wait.is_zero());
    let refused = laptop.client.ask_for_approval().await.unwrap_err();
    assert!(paused(&refused), "{refused}");
    laptop.client.close().await;
    let laptop =
        Person::connect(world.options("alice", "laptop", LogIn::Remembered)).await.unwrap();
    let refused = laptop.client.ask_for_approval().await.unwrap_err();
    assert!(paused(&refused), "{refused}");
    // The phrase works at once.
    laptop.client.approve_by_phrase(&phrase).await.unwrap();

    let desk = log_in("desk").await;
    reject(&mut phone, &desk).await;
    reject(&mut phone, &desk).await;
    let _asked = desk.client.ask_for_approval().await.unwrap();
    let device = asking_device(&mut phone).await;
    let refused = phone.client.approve(device).await.unwrap_err();
    assert!(paused(&refused), "{refused}");
}

// cites: APPROVE-005, APPROVE-013
#[tokio::test]
async fn only_a_device_that_is_approved_lets_another_in_and_only_one_that_asks() {
    let world = World::new().await;
    let alone = world.register("bob").await;
    let none = alone.client.ask_for_approval().await.unwrap_err();
    assert!(matches!(none, Error::NoIdentity), "{none}");
    let (phone, laptop, _) = two_devices(&world).await;
    let nobody = phone.client.approve(device_of(&laptop)).await.unwrap_err();
    assert!(matches!(nobody, Error::NobodyAsks), "{nobody}");
    let itself = laptop.client.approve(device_of(&phone)).await.unwrap_err();
    assert!(matches!(itself, Error::NotApproved), "{itself}");
    let approved = phone.client.ask_for_approval().await.unwrap_err();
    assert!(matches!(approved, Error::AlreadyApproved), "{approved}");

    let mut beside = world.options("alice", "laptop", LogIn::Remembered);
    beside.shared = true;
    let beside = Person::connect(beside).await.unwrap();
    let copy = beside.client.ask_for_approval().await.unwrap_err();
    assert!(matches!(copy, Error::State(StateError::Copy)), "{copy}");
}

/// A laptop that reaches the server through somebody who changes what passes.
async fn laptop_behind(world: &World, meddle: impl FnMut(Passing<'_>) + Send + 'static) -> Person {
    let mut options = world.options("alice", "laptop", with_password(PASSWORD));
    options.address.port = stand_between(world, meddle).await;
    options.binding = BindingKind::CertSha256;
    Person::connect(options).await.expect("the server's operator is not noticed so")
}

/// A certificate of somebody else's making that names this device.
fn forged(user: UserId, device: DeviceId) -> Certificate {
    let key = SigningKey::from_bytes(&[7; 32]).expect("it is a key");
    let public_key = key.public_key().as_bytes().to_vec();
    let keys = [MlsKey { suite: SUITE_P256, public_key }];
    Certificate::issue(user, device, &key, &keys).expect("it is one")
}

/// Puts a certificate of its own in the place of the laptop's: to the phone it is the laptop, to the laptop the phone.
#[derive(Default)]
struct Impostor {
    /// Who the laptop is.
    laptop: Option<(UserId, DeviceId)>,
    /// The laptop's approval.
    hers: Option<ApprovalId>,
    /// Its own, with the phone.
    own: Option<Asking>,
    /// What it has to reveal there.
    reveal: Option<Said>,
}

impl Impostor {
    const ID: ApprovalId = ApprovalId([5; 16]);

    fn meddle(&mut self, passing: Passing<'_>) {
        use server_frame::Body;
        match passing {
            Passing::ToServer(frame) => {
                let Some(client_frame::Body::Relay(relay)) = &mut frame.body else { return };
                let message = ApprovalMessage::decode(&relay.payload).expect("it is one");
                relay.payload = self.for_phone(message).request().payload;
            }
            Passing::ToClient(frame) => match &mut frame.body {
                Some(Body::Authenticated(who)) => {
                    let user = who.user_id[..].try_into().expect("it is an id");
                    let device = who.device_id[..].try_into().expect("it is an id");
                    self.laptop = Some((user, device));
                }
                Some(Body::RelayReceived(said)) => {
                    let from = said.device_id[..].try_into().expect("it is an id");
                    let message = ApprovalMessage::decode(&said.payload).expect("it is one");
                    said.payload = self.for_laptop(from, message).request().payload;
                }
                _ => {}
            },
        }
    }

    fn for_phone(&mut self, message: ApprovalMessage) -> Said {
        match message {
            ApprovalMessage::Of(id, ApprovalStep::Commitment(_)) => {
                self.hers = Some(id);
                let (user, device) = self.laptop.expect("it has logged in");
                let mut random = |out: &mut [u8]| out.fill(5);
                let own = self.own.insert(Asking::begin(&forged(user, device), &mut random));
                own.commitment()
            }
            ApprovalMessage::Of(_, ApprovalStep::Reveal(_)) => {
                self.reveal.take().expect("the phone has answered")
            }
            ApprovalMessage::Of(_, step) => of(Self::ID, step),
            ApprovalMessage::Looking => panic!("only who is approved looks"),
        }
    }

    fn for_laptop(&mut self, phone: DeviceId, message: ApprovalMessage) -> Said {
        let ApprovalMessage::Of(_, step) = &message else { panic!("nobody looks") };
        if let Some(own) = self.own.take_if(|_| matches!(step, ApprovalStep::Answer(_))) {
            let Step::Goes(_, reveal) = own.handle(phone, &message) else { panic!("an answer") };
            self.reveal = reveal;
        }
        of(self.hers.expect("it has asked"), step.clone())
    }
}

fn of(id: ApprovalId, step: ApprovalStep) -> Said {
    Said { to: None, message: ApprovalMessage::Of(id, step) }
}

/// What a server can't do unseen: each of the two then shows other digits.
// cites: APPROVE-004, APPROVE-005, APPROVE-009
#[tokio::test]
async fn a_server_that_gives_itself_out_for_the_laptop_is_seen_in_the_digits() {
    let world = World::new().await;
    let (mut phone, _) = a_phone(&world).await;
    let mut impostor = Impostor::default();
    let laptop = laptop_behind(&world, move |passing| impostor.meddle(passing)).await;

    let before = log_of(&phone).await.head();
    let (mut on_phone, on_laptop) = compare(&mut phone, &laptop).await;
    assert_eq!(on_phone.other(), device_of(&laptop), "it looks right");
    assert_ne!(on_phone.code(), on_laptop.code());
    on_laptop.reject().await.unwrap();
    let told = on_phone.ended().await;
    assert_eq!(ended(&told), Some(ApprovalEnd::Different), "{told}");
    assert_eq!(log_of(&phone).await.head(), before);
}

// cites: APPROVE-004, APPROVE-008
#[tokio::test]
async fn a_server_that_names_another_log_is_seen_in_the_digits() {
    let world = World::new().await;
    let (mut phone, _) = a_phone(&world).await;
    let laptop = laptop_behind(&world, |passing| {
        let Passing::ToClient(frame) = passing else { return };
        let Some(server_frame::Body::RelayReceived(said)) = &mut frame.body else { return };
        let message = ApprovalMessage::decode(&said.payload).expect("it is one");
        if let ApprovalMessage::Of(id, ApprovalStep::Answer(answer)) = message {
            let answer = Answer { genesis: [6; 32], ..answer };
            said.payload = of(id, ApprovalStep::Answer(answer)).request().payload;
        }
    })
    .await;
    let (on_phone, on_laptop) = compare(&mut phone, &laptop).await;
    assert_ne!(on_phone.code(), on_laptop.code());
}

/// A log that a server makes up for Alice.
fn made_up(user: UserId) -> bytes::Bytes {
    let phrase = new_recovery_phrase(Strength::Bits128);
    let certificate = forged(user, DeviceId::new([9; 16]));
    DeviceLog::sign_genesis(&phrase.account_key(), &certificate).into()
}

// cites: APPROVE-008
#[tokio::test]
async fn a_new_device_takes_the_log_that_the_digits_vouch_for_and_no_other() {
    let world = World::new().await;
    let (mut phone, _) = a_phone(&world).await;
    let lies = Arc::new(AtomicBool::new(true));
    let (lying, made_up) = (Arc::clone(&lies), made_up(phone.client.identity().user));
    let laptop = laptop_behind(&world, move |passing| {
        let Passing::ToClient(frame) = passing else { return };
        let Some(server_frame::Body::DeviceLogs(logs)) = &mut frame.body else { return };
        if lying.load(Ordering::SeqCst) {
            logs.logs[0].entries = vec![made_up.clone()];
        }
    })
    .await;
    let false_log = log_of(&laptop).await;
    assert_ne!(false_log.identity(), log_of(&phone).await.identity());

    let (mut on_phone, on_laptop) = compare(&mut phone, &laptop).await;
    assert_eq!(on_phone.code(), on_laptop.code(), "the devices are true");
    let refused = on_laptop.confirm().await.unwrap_err();
    assert!(matches!(refused, Error::DeviceLog(PinBreach::IdentityChanged)), "{refused}");
    let told = on_phone.ended().await;
    assert_eq!(ended(&told), Some(ApprovalEnd::Invalid), "{told}");

    // What it was told at first contact gives way to what its user has compared.
    lies.store(false, Ordering::SeqCst);
    let (on_phone, on_laptop) = compare(&mut phone, &laptop).await;
    let log = on_phone.confirm().await.unwrap();
    assert_eq!(on_laptop.confirm().await.unwrap().identity(), log.identity());
    assert_eq!(log_of(&laptop).await.head(), log.head());
}

// cites: DLOG-008, DLOG-018, DEVLOG-005
#[tokio::test]
async fn what_a_stolen_device_approved_since_falls_with_it() {
    let world = World::new().await;
    let (mut phone, mut laptop, _) = two_devices(&world).await;
    let add = async |by: &mut Person, new: &Person| {
        let (there, here) = compare(by, new).await;
        let (added, joined) = tokio::join!(there.confirm(), here.confirm());
        added.unwrap();
        joined.unwrap();
        device_of(new)
    };
    let log_in = async |computer| {
        let options = world.options("alice", computer, with_password(PASSWORD));
        Person::connect(options).await.unwrap()
    };
    let (tablet, thief) = (log_in("tablet").await, log_in("thief").await);
    let stolen = add(&mut phone, &laptop).await;
    let before = add(&mut laptop, &tablet).await;
    let since = add(&mut laptop, &thief).await;

    let no_place = phone.client.revoke_device_since(stolen, 9).await.unwrap_err();
    assert!(matches!(no_place, Error::LogEntry(EntryError::FromPosition)), "{no_place}");
    // First put away, then known to be stolen.
    phone.client.revoke_device(stolen).await.unwrap();
    assert!(is_active(&log_of(&phone).await, since), "what it approved stays");
    assert_eq!(phone.client.revoke_device_since(stolen, 3).await.unwrap(), [since]);
    let log = log_of(&phone).await;
    assert_eq!(log.judge(since, log.head().position), Judgement::Fallen { by: 5 });
    assert!(is_active(&log, before));
    let again = phone.client.revoke_device_since(stolen, 3).await.unwrap_err();
    assert!(matches!(again, Error::LogEntry(EntryError::NothingChanges)), "{again}");

    let me = device_of(&phone);
    let entry = |position, by, change| LogEntry { position, by, change };
    let expected = [
        entry(0, None, LogChange::Began(me)),
        entry(1, Some(me), LogChange::Added(stolen)),
        entry(2, Some(stolen), LogChange::Added(before)),
        entry(3, Some(stolen), LogChange::Added(since)),
        entry(4, Some(me), LogChange::Revoked { device: stolen, since: 4 }),
        entry(5, Some(me), LogChange::Revoked { device: stolen, since: 3 }),
    ];
    assert_eq!(phone.client.own_log_entries().await.unwrap(), expected);
}

// cites: DLOG-010, DLOG-014, DEVLOG-006
#[tokio::test]
async fn the_phrase_overrides_what_a_thief_did() {
    let world = World::new().await;
    let (mut phone, thief, phrase) = two_devices(&world).await;
    let (there, here) = compare(&mut phone, &thief).await;
    let (added, joined) = tokio::join!(there.confirm(), here.confirm());
    added.unwrap();
    joined.unwrap();
    let (lost, bad) = (device_of(&phone), device_of(&thief));
    // Quicker than Alice, who has a new computer and the phrase.
    thief.client.revoke_device(lost).await.unwrap();
    let tablet = world.options("alice", "tablet", with_password(PASSWORD));
    let tablet = Person::connect(tablet).await.unwrap();
    let mine = device_of(&tablet);
    let other = new_recovery_phrase(Strength::Bits128);
    let wrong = tablet.client.override_devices(&other, &[]).await.unwrap_err();
    assert!(matches!(wrong, Error::WrongPhrase), "{wrong}");
    let unknown = tablet.client.override_devices(&phrase, &[DeviceId::new([9; 16])]).await;
    assert!(matches!(unknown, Err(Error::UnknownDevice(_))), "{unknown:?}");

    let log = tablet.client.override_devices(&phrase, &[lost, mine]).await.unwrap();
    assert!(is_active(&log, mine) && is_active(&log, lost));
    assert_eq!(log.judge(bad, log.head().position), Judgement::Replaced { by: 3 });
    let refused = thief.client.revoke_device_since(mine, 3).await.unwrap_err();
    assert!(matches!(refused, Error::NotApproved), "{refused}");
    let entries = tablet.client.own_log_entries().await.unwrap();
    let LogEntry { by, change, .. } = &entries[3];
    assert_eq!((*by, change), (None, &LogChange::Overridden(vec![mine, lost])));
}
