use super::*;
use crate::{MlsKey, SUITE_P256};

const USER: UserId = UserId::new([1; 16]);
const A: u8 = 0x10;
const B: u8 = 0x11;
const C: u8 = 0x12;

fn id(device: u8) -> DeviceId {
    DeviceId::new([device; 16])
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

fn account() -> SigningKey {
    key(0x70)
}

fn certificate_of(user: UserId, device: u8, login: u8) -> Certificate {
    let login = key(login);
    let mls = MlsKey { suite: SUITE_P256, public_key: login.public_key().as_bytes().to_vec() };
    Certificate::issue(user, id(device), &login, &[mls]).unwrap()
}

fn certificate(device: u8) -> Certificate {
    certificate_of(USER, device, device)
}

fn begun() -> DeviceLog {
    DeviceLog::begin(USER, &DeviceLog::sign_genesis(&account(), &certificate(A))).unwrap()
}

fn by_device(log: &mut DeviceLog, device: u8, change: &Change) -> Result<(), EntryError> {
    let entry = log.sign_next(Signer::Device(id(device)), &key(device), change);
    log.apply(&entry)
}

fn by_account(log: &mut DeviceLog, change: &Change) -> Result<(), EntryError> {
    let entry = log.sign_next(Signer::Account, &account(), change);
    log.apply(&entry)
}

fn add(device: u8) -> Change {
    Change::Add(certificate(device))
}

fn revoke(device: u8, from: u32) -> Change {
    Change::Revoke { device: id(device), from }
}

/// A adds B at 1, B adds C at 2.
fn three() -> DeviceLog {
    let mut log = begun();
    by_device(&mut log, A, &add(B)).unwrap();
    by_device(&mut log, B, &add(C)).unwrap();
    log
}

fn active(log: &DeviceLog) -> Vec<u8> {
    log.active().map(|certificate| certificate.device().as_bytes()[0]).collect()
}

// cites: DLOG-008, DLOG-014
#[test]
fn what_a_stolen_device_approved_falls_with_it() {
    let mut log = three();
    assert_eq!(active(&log), [A, B, C]);
    by_device(&mut log, A, &revoke(B, 2)).unwrap();
    assert_eq!(active(&log), [A]);
    assert_eq!(log.judge(id(B), 1), Judgement::Active(&certificate(B)), "it was good until then");
    assert_eq!(log.judge(id(B), 2), Judgement::Revoked { by: 3 });
    assert_eq!(log.judge(id(C), 1), Judgement::Unknown);
    assert_eq!(log.judge(id(C), 2), Judgement::Fallen { by: 3 });
    assert_eq!(log.judge(id(C), 4), Judgement::BeyondHead);
    assert_eq!(by_device(&mut log, C, &add(0x13)), Err(EntryError::SignerNotActive));
}

// cites: DLOG-008
#[test]
fn what_a_lost_device_approved_before_stays() {
    let mut log = three();
    by_device(&mut log, A, &revoke(B, 3)).unwrap();
    assert_eq!(active(&log), [A, C]);
    assert_eq!(log.judge(id(B), 2), Judgement::Active(&certificate(B)));
    // It turns out that it was lost earlier.
    by_device(&mut log, A, &revoke(B, 1)).unwrap();
    assert_eq!(active(&log), [A]);
    assert_eq!(log.judge(id(C), 3), Judgement::Fallen { by: 4 });
    assert_eq!(log.judge(id(B), 1), Judgement::Revoked { by: 4 });
    // A later revocation with a later position takes nothing back.
    assert_eq!(by_device(&mut log, A, &revoke(B, 5)), Err(EntryError::NothingChanges));
    assert_eq!(by_device(&mut log, A, &revoke(B, 1)), Err(EntryError::NothingChanges));
}

fn renewed(device: u8, with: u16) -> Certificate {
    let login = key(device);
    let of = |suite, public_key| MlsKey { suite, public_key };
    let keys =
        [of(SUITE_P256, login.public_key().as_bytes().to_vec()), of(0x00f0, vec![1; with.into()])];
    Certificate::issue(USER, id(device), &login, &keys).unwrap()
}

// cites: DLOG-020
#[test]
fn a_device_renews_its_own_certificate() {
    let mut log = three();
    let next = renewed(B, 5);
    let renew = Change::Renew(next.clone());
    assert_eq!(by_device(&mut log, A, &renew), Err(EntryError::NotItsOwn));
    assert_eq!(by_account(&mut log, &renew), Err(EntryError::NotItsOwn));
    by_device(&mut log, B, &renew).unwrap();
    assert_eq!(by_device(&mut log, B, &renew), Err(EntryError::NothingChanges));
    assert_eq!(log.judge(id(B), 2), Judgement::Active(&certificate(B)));
    assert_eq!(log.judge(id(B), 3), Judgement::Active(&next));
    assert!(log.active().any(|active| *active == next));
    let other_key = Change::Renew(certificate_of(USER, B, 0x13));
    assert_eq!(by_device(&mut log, B, &other_key), Err(EntryError::LoginKey));
    by_device(&mut log, A, &revoke(B, 3)).unwrap();
    assert_eq!(
        by_device(&mut log, B, &Change::Renew(renewed(B, 6))),
        Err(EntryError::SignerNotActive)
    );
    assert_eq!(log.judge(id(B), 3), Judgement::Revoked { by: 4 }, "what it renewed goes with it");
}

// cites: DLOG-017, DLOG-020
#[test]
fn a_certificate_is_good_byte_for_byte() {
    let mut log = three();
    let (first, second, third) = (certificate(B), renewed(B, 5), renewed(B, 6));
    by_device(&mut log, B, &Change::Renew(second.clone())).unwrap();
    by_device(&mut log, B, &Change::Renew(third.clone())).unwrap();
    let at = |log: &DeviceLog, c: &Certificate, position| {
        log.judge_certificate(id(B), c.as_bytes(), position)
    };
    assert_eq!(at(&log, &first, 0), Standing::Unknown);
    assert_eq!(at(&log, &first, 1), Standing::Active);
    assert_eq!(at(&log, &second, 2), Standing::OtherCertificate);
    let standings = [&first, &second, &third].map(|c| at(&log, c, 4));
    assert_eq!(
        standings,
        [Standing::Renewed { by: 3 }, Standing::Renewed { by: 4 }, Standing::Active]
    );
    assert_eq!(at(&log, &first, 5), Standing::BeyondHead);
    // Signed by the same key, for the same device, and in no log.
    assert_eq!(at(&log, &renewed(B, 7), 4), Standing::OtherCertificate);
    assert_eq!(log.judge_certificate(id(A), first.as_bytes(), 4), Standing::OtherCertificate);
    assert_eq!(log.judge_certificate(id(0x13), first.as_bytes(), 4), Standing::Unknown);

    by_device(&mut log, A, &revoke(B, 4)).unwrap();
    assert_eq!(at(&log, &third, 3), Standing::OtherCertificate);
    let standings = [&first, &second, &third].map(|c| at(&log, c, 5));
    assert_eq!(standings, [Standing::Ended { by: 5 }; 3]);
    by_account(&mut log, &Change::Add(first.clone())).unwrap();
    let standings = [&first, &second].map(|c| at(&log, c, 6));
    assert_eq!(standings, [Standing::Active, Standing::Ended { by: 5 }]);
}

// cites: DLOG-016, TRUST-006
#[test]
fn an_old_position_helps_no_revoked_device() {
    let mut log = three();
    let stated = log.head();
    by_device(&mut log, A, &revoke(B, 3)).unwrap();
    assert_eq!(log.judge(id(B), stated.position), Judgement::Active(&certificate(B)));
    let now = log.judge_new(id(B), &stated).unwrap();
    assert_eq!(now, JudgedNew { judgement: Judgement::Revoked { by: 3 }, position: 3 });
    // What came before the log had grown is what it was.
    let before = log.judge_new(id(C), &stated).unwrap().position;
    by_device(&mut log, A, &revoke(C, 4)).unwrap();
    assert_eq!(log.judge(id(C), before), Judgement::Active(&certificate(C)));

    let beyond = LogHead { position: 5, hash: [0; 32] };
    assert_eq!(log.judge_new(id(A), &beyond), Err(StatedHeadError::Beyond(5)));
    let other = LogHead { hash: [0; 32], ..stated };
    assert_eq!(log.judge_new(id(A), &other), Err(StatedHeadError::Diverged(2)));
}

// cites: DLOG-006
#[test]
fn a_device_that_ended_comes_back_by_the_account_key_alone() {
    let mut log = three();
    by_device(&mut log, B, &revoke(B, 3)).unwrap();
    assert_eq!(by_device(&mut log, A, &add(B)), Err(EntryError::NeedsAccountKey));
    by_account(&mut log, &add(B)).unwrap();
    assert_eq!(active(&log), [A, B, C]);
    assert_eq!(log.judge(id(B), 3), Judgement::Revoked { by: 3 });
    assert_eq!(log.judge(id(B), 4), Judgement::Active(&certificate(B)));
    assert_eq!(by_account(&mut log, &add(B)), Err(EntryError::AlreadyActive));
}

// cites: DLOG-010
#[test]
fn an_override_takes_the_place_of_all_devices() {
    let mut log = three();
    let whole =
        |devices: &[u8]| Change::Override(devices.iter().map(|d| certificate(*d)).collect());
    // A stolen device shuts the others out.
    by_device(&mut log, C, &revoke(A, 1)).unwrap();
    assert_eq!(active(&log), Vec::<u8>::new(), "it fell with what had led to it");
    assert_eq!(by_device(&mut log, A, &whole(&[A])), Err(EntryError::SignerNotActive));
    by_account(&mut log, &whole(&[A, 0x13])).unwrap();
    assert_eq!(active(&log), [A, 0x13]);
    assert_eq!(log.judge(id(A), 3), Judgement::Revoked { by: 3 });
    assert_eq!(log.judge(id(A), 4), Judgement::Active(&certificate(A)));

    by_account(&mut log, &whole(&[0x13])).unwrap();
    assert_eq!(log.judge(id(A), 4), Judgement::Active(&certificate(A)));
    assert_eq!(log.judge(id(A), 5), Judgement::Replaced { by: 5 });
    assert_eq!(by_device(&mut log, 0x13, &whole(&[0x13])), Err(EntryError::NeedsAccountKey));
    assert_eq!(by_account(&mut log, &whole(&[])), Err(EntryError::Devices));
    assert_eq!(by_account(&mut log, &whole(&[A, A])), Err(EntryError::Devices));
    let twins = Change::Override(vec![certificate_of(USER, 0x20, 0x21), certificate(0x21)]);
    assert_eq!(by_account(&mut log, &twins), Err(EntryError::LoginKey));
}

// cites: DLOG-003, DLOG-009
#[test]
fn a_certificate_belongs_to_its_user_and_its_key_to_one_device() {
    let mut log = three();
    let other = Change::Add(certificate_of(UserId::new([2; 16]), 0x13, 0x13));
    assert_eq!(by_device(&mut log, A, &other), Err(EntryError::OtherUser));
    let same_key = Change::Add(certificate_of(USER, 0x13, B));
    assert_eq!(by_device(&mut log, A, &same_key), Err(EntryError::LoginKey));
    by_device(&mut log, A, &revoke(B, 3)).unwrap();
    let other_key = Change::Add(certificate_of(USER, B, 0x13));
    assert_eq!(by_account(&mut log, &other_key), Err(EntryError::LoginKey));
}

// cites: DLOG-003, DLOG-005
#[test]
fn a_log_begins_with_a_genesis_that_the_account_key_signed() {
    let good = DeviceLog::sign_genesis(&account(), &certificate(A));
    let begin = |user, bytes: &[u8]| DeviceLog::begin(user, bytes).map(|_| ()).unwrap_err();
    assert_eq!(begin(UserId::new([2; 16]), &good), EntryError::OtherUser);
    let change =
        Change::Genesis { account_key: account().public_key(), certificate: certificate(A) };
    let forged = entry::sign(USER, (0, None), (Signer::Account, &key(A)), &change);
    assert_eq!(begin(USER, &forged), EntryError::SignatureInvalid);
    let by_device = entry::sign(USER, (0, None), (Signer::Device(id(A)), &key(A)), &change);
    assert_eq!(begin(USER, &by_device), EntryError::NeedsAccountKey);
    let later = entry::sign(USER, (1, Some(&[0; 32])), (Signer::Account, &account()), &change);
    assert_eq!(begin(USER, &later), EntryError::Position);
    let no_genesis = entry::sign(USER, (0, None), (Signer::Account, &account()), &add(A));
    assert_eq!(begin(USER, &no_genesis), EntryError::Genesis);
    assert_eq!(by_account(&mut begun(), &change), Err(EntryError::Genesis));
    assert_eq!(DeviceLog::replay(USER, []).map(|_| ()), Err((0, EntryError::Genesis)));
}

// cites: DLOG-011
#[test]
fn there_is_a_greatest_number_of_devices() {
    let mut log = begun();
    for device in (0x20..).take(MAX_DEVICES - 1) {
        by_device(&mut log, A, &add(device)).unwrap();
    }
    assert_eq!(by_device(&mut log, A, &add(B)), Err(EntryError::TooManyDevices));
    by_device(&mut log, A, &revoke(0x20, 1)).unwrap();
    by_device(&mut log, A, &add(B)).unwrap();
    let whole = (0x40..).take(MAX_DEVICES + 1).map(certificate).collect();
    assert_eq!(by_account(&mut log, &Change::Override(whole)), Err(EntryError::TooManyDevices));
}

/// A renews its certificate until that is refused: how often it was not, and why it is.
fn renew_on(log: &mut DeviceLog, length: u16) -> (u32, EntryError) {
    let turns = [renewed(A, length), renewed(A, length + 1)].map(Change::Renew);
    for (count, turn) in (0..).zip(turns.iter().cycle()) {
        if let Err(error) = by_device(log, A, turn) {
            return (count, error);
        }
    }
    unreachable!("a cycle has no end")
}

// cites: DLOG-012, DLOG-013, DLOG-019
#[test]
fn a_full_log_has_room_for_the_account_key() {
    let whole = Change::Override(vec![certificate(A)]);
    let mut log = begun();
    for _ in 0..3 {
        assert_eq!(renew_on(&mut log, 5), (MAX_DEVICE_ENTRIES, EntryError::Full));
        by_account(&mut log, &whole).unwrap();
    }
    let left = MAX_ENTRIES - RESERVED_ENTRIES - 3 * (MAX_DEVICE_ENTRIES + 1) - 1;
    assert_eq!(renew_on(&mut log, 5), (left, EntryError::Full));
    while log.head().position < MAX_ENTRIES - 1 {
        by_account(&mut log, &whole).unwrap();
    }
    assert_eq!(by_account(&mut log, &whole), Err(EntryError::Full));
}

// cites: DLOG-019
#[test]
fn devices_have_a_share_of_the_bytes_too() {
    let mut log = begun();
    let (count, refused) = renew_on(&mut log, 3600);
    assert_eq!(refused, EntryError::Full);
    assert!(count < MAX_DEVICE_ENTRIES / 2, "by bytes, not by number");
    assert!(log.by_devices.bytes > MAX_DEVICE_BYTES - 4096, "{} bytes", log.by_devices.bytes);
    by_account(&mut log, &Change::Override(vec![certificate(A)])).unwrap();
    assert_eq!(renew_on(&mut log, 3600).0, count);
}

// cites: DLOG-012, DLOG-013
#[test]
fn a_log_is_full_by_bytes_too() {
    let large = |number: u8| {
        let mut bytes = [1; 32];
        bytes[0] = number;
        let login = SigningKey::from_bytes(&bytes).unwrap();
        let keys = [(SUITE_P256, 65), (0x00f0, 3700)].map(|(suite, length)| MlsKey {
            suite,
            public_key: [&[4][..], &vec![number; length - 1]].concat(),
        });
        Certificate::issue(USER, DeviceId::new(bytes[..16].try_into().unwrap()), &login, &keys)
            .unwrap()
    };
    let full = MAX_LOG_BYTES - RESERVED_BYTES;
    let mut log = begun();
    let mut number = 0;
    let refused = loop {
        let certificate = large(number % 250);
        let device = certificate.device();
        // What ended comes back by the account key: its entries count like the others.
        let add = by_account(&mut log, &Change::Add(certificate.clone()));
        add.unwrap();
        let from = log.head().position + 1;
        if let Err(error) = by_device(&mut log, A, &Change::Revoke { device, from }) {
            break error;
        }
        number += 1;
    };
    assert_eq!(refused, EntryError::Full);
    assert!(log.statement_bytes > full - 200, "{} bytes", log.statement_bytes);
    assert!(log.head().position < MAX_ENTRIES / 2, "by bytes, not by number");
    by_account(&mut log, &Change::Override(vec![certificate(A)])).unwrap();
}

// cites: DLOG-004, DLOG-015
#[test]
fn a_change_that_is_not_known_is_refused() {
    use aside_proto::v1;
    use prost::Message as _;

    let mut log = begun();
    let statement = v1::DeviceLogStatement {
        user_id: USER.to_bytes(),
        position: 1,
        previous: log.head().hash.to_vec().into(),
        ..Default::default()
    };
    let mut apply = |statement: Vec<u8>| {
        let signature = account().sign(crate::label::DEVICE_LOG_ENTRY, &[&statement]);
        let entry = v1::DeviceLogEntry {
            statement: statement.into(),
            signature: signature.as_bytes().to_vec().into(),
        };
        log.apply(&entry.encode_to_vec())
    };
    let statement = statement.encode_to_vec();
    assert_eq!(apply(statement.clone()), Err(EntryError::UnknownChange));
    // Field 20, with the text "new".
    let of_later = [&statement[..], b"\xa2\x01\x03new"].concat();
    assert_eq!(apply(of_later), Err(EntryError::Malformed));
}

// cites: TRUST-001, TRUST-002, TRUST-003
#[test]
fn a_pinned_log_only_grows() {
    let mut log = three();
    let mut pin = Pin::first("chat.example", &log);
    pin.verified = true;
    let seen = pin.clone();

    let mut fork = begun();
    assert_eq!(pin.follow(&fork), Err(PinBreach::Shorter(2)));
    by_device(&mut fork, A, &add(C)).unwrap();
    by_device(&mut fork, A, &add(B)).unwrap();
    assert_eq!(pin.follow(&fork), Err(PinBreach::Diverged(2)));
    assert_eq!(pin.accept_change(&fork), Err(PinBreach::Diverged(2)));
    assert_eq!(pin, seen, "nothing has changed");

    by_device(&mut log, A, &revoke(B, 3)).unwrap();
    assert_eq!(pin.follow(&log), Ok(()));
    assert_eq!(pin, Pin { seen: log.head(), ..seen });
}

// cites: TRUST-004, TRUST-005
#[test]
fn another_identity_is_seen_and_not_verified() {
    let mut pin = Pin::first("chat.example", &three());
    pin.verified = true;
    let genesis = DeviceLog::sign_genesis(&key(0x71), &certificate(A));
    let replaced = DeviceLog::begin(USER, &genesis).unwrap();
    assert_eq!(pin.follow(&replaced), Err(PinBreach::IdentityChanged));
    assert!(pin.verified);
    pin.accept_change(&replaced).unwrap();
    assert_eq!(pin, Pin::first("chat.example", &replaced));
    assert!(!pin.verified);

    let other = UserId::new([2; 16]);
    let of_other = DeviceLog::sign_genesis(&account(), &certificate_of(other, A, A));
    let of_other = DeviceLog::begin(other, &of_other).unwrap();
    assert_eq!(pin.accept_change(&of_other), Err(PinBreach::OtherUser));
}
