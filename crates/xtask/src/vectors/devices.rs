//! devices.json.

use aside_crypto::{
    Certificate, Change, DeviceLog, Judgement, LogHead, RecoveryPhrase, Signer, SigningKey,
    Standing, Strength, label,
};
use aside_proto::{
    id::{DeviceId, UserId},
    v1,
};
use prost::Message as _;
use serde_json::{Value, json};

use super::{
    certificates::{mls_keys, user},
    file::{File, Vector, hex},
    material::{counting, flipped, id, key, sign_labeled},
};

const DESCRIPTION: &str = "Device logs. log: the entries of user_id's log from the genesis on. Of a valid one hashes has the hash of each \
    entry, active the devices at the head, and judged what devices are at positions, with the position (by) of what ended them. Of an \
    invalid one the last entry is refused, and none before. Reasons: malformed, change, certificate, user, position, previous, genesis, \
    signer, signature, account (only the account key may), active, login-key, unknown, from, nothing (changes), not-its-own, devices. new: what the \
    sender of a new entry that states a head of the log is, and the position to be kept with the entry; reasons: beyond, diverged. \
    certificate: what a certificate that is said to be device_id's is at a position; reasons: other, unknown, beyond. pin: a log that is offered to a \
    client that has seen position and hash of one with this genesis; reasons: identity, shorter, diverged.";

/// The devices of the vectors, by letter.
const LETTERS: [char; 4] = ['A', 'B', 'C', 'D'];

pub(super) fn file() -> File {
    let vectors = valid().into_iter().chain(invalid()).chain(invalid_bytes());
    let vectors = vectors.chain(not_canonical()).chain(new_entries()).chain(leaves()).chain(pins());
    File::new("devices", DESCRIPTION, vectors.collect())
}

/// What Alice wrote down.
pub(super) fn phrase() -> RecoveryPhrase {
    RecoveryPhrase::generate(Strength::Bits128, &mut |out| out.copy_from_slice(&counting::<16>(0)))
}

fn account() -> SigningKey {
    phrase().account_key()
}

/// The log that the chapter shows: genesis, two devices, and a revocation with which one of them falls.
pub(super) fn example() -> Vec<Vec<u8>> {
    three().and('A', &revoke('B', 2)).entries
}

pub(super) fn login(letter: char) -> SigningKey {
    key(0x01 + 0x10 * (letter as u8 - b'A'))
}

pub(super) fn device(letter: char) -> DeviceId {
    DeviceId::new(id(1, 0xd0 + (letter as u8 - b'A')))
}

fn certificate(letter: char) -> Certificate {
    certificate_of(user(), letter, letter)
}

/// With the login key of another device.
fn certificate_of(user: UserId, letter: char, with_key: char) -> Certificate {
    let mls = mls_keys(0x61 + (letter as u8 - b'A'));
    Certificate::issue(user, device(letter), &login(with_key), &mls[..1]).expect("it is complete")
}

/// A log in the making; `'*'` signs as the account key.
#[derive(Clone)]
struct Log {
    log: DeviceLog,
    entries: Vec<Vec<u8>>,
}

impl Log {
    fn new() -> Self {
        Self::begun_by(&account())
    }

    fn begun_by(account: &SigningKey) -> Self {
        let genesis = DeviceLog::sign_genesis(account, &certificate('A'));
        let log = DeviceLog::begin(user(), &genesis).expect("it is a good genesis");
        Self { log, entries: vec![genesis] }
    }

    fn signed(&self, by: char, change: &Change) -> Vec<u8> {
        match by {
            '*' => self.log.sign_next(Signer::Account, &account(), change),
            letter => self.log.sign_next(Signer::Device(device(letter)), &login(letter), change),
        }
    }

    /// With one more entry, which is a good one.
    fn and(mut self, by: char, change: &Change) -> Self {
        let entry = self.signed(by, change);
        self.log.apply(&entry).expect("the entry is a good one");
        self.entries.push(entry);
        self
    }

    fn vector(&self, id: &str, requirements: &[&str]) -> Vector {
        Vector::new(id, requirements)
            .with("kind", "log")
            .bytes("user_id", user().as_bytes())
            .with("entries", self.entries.iter().map(hex).collect::<Vec<_>>())
    }

    fn valid(&self, id: &str, requirements: &[&str]) -> Value {
        let positions = 0..=self.log.head().position;
        let hashes: Vec<_> =
            positions.clone().filter_map(|p| self.log.hash_at(p)).map(hex).collect();
        let active: Vec<_> = self.log.active().map(|c| hex(c.device().as_bytes())).collect();
        let judged: Vec<_> = LETTERS
            .iter()
            .flat_map(|letter| positions.clone().map(move |position| (*letter, position)))
            .map(|(letter, position)| judged(&self.log, device(letter), position))
            .collect();
        self.vector(id, requirements)
            .with("hashes", hashes)
            .with("active", active)
            .with("judged", judged)
            .valid()
    }

    /// One more entry, which is refused.
    fn refuses(mut self, id: &str, requirement: &str, entry: Vec<u8>, reason: &str) -> Value {
        self.entries.push(entry);
        self.vector(id, &[requirement]).invalid(reason)
    }
}

fn judged(log: &DeviceLog, device: DeviceId, position: u32) -> Value {
    let (is, by) = told(log.judge(device, position));
    let mut value = json!({"device_id": hex(device.as_bytes()), "position": position, "is": is});
    if let Some(by) = by {
        value["by"] = by.into();
    }
    value
}

fn told(judgement: Judgement<'_>) -> (&'static str, Option<u32>) {
    match judgement {
        Judgement::Active(_) => ("active", None),
        Judgement::Unknown => ("unknown", None),
        Judgement::Revoked { by } => ("revoked", Some(by)),
        Judgement::Fallen { by } => ("fallen", Some(by)),
        Judgement::Replaced { by } => ("replaced", Some(by)),
        Judgement::BeyondHead => ("beyond", None),
    }
}

fn add(letter: char) -> Change {
    Change::Add(certificate(letter))
}

fn revoke(letter: char, from: u32) -> Change {
    Change::Revoke { device: device(letter), from }
}

fn renew(letter: char) -> Change {
    Change::Renew(renewed(letter))
}

/// With a key for the other suite, too.
fn renewed(letter: char) -> Certificate {
    let mls = mls_keys(0x61 + (letter as u8 - b'A'));
    Certificate::issue(user(), device(letter), &login(letter), &mls).expect("it is complete")
}

fn whole(letters: &str) -> Change {
    Change::Override(letters.chars().map(certificate).collect())
}

/// A adds B at 1, B adds C at 2.
fn three() -> Log {
    Log::new().and('A', &add('B')).and('B', &add('C'))
}

fn valid() -> Vec<Value> {
    let four = || three().and('C', &add('D'));
    vec![
        Log::new().valid("genesis", &["DLOG-001", "DLOG-002", "DLOG-003"]),
        three().valid("added", &["DLOG-002", "DLOG-005", "DLOG-006", "DLOG-014"]),
        Log::new().and('*', &add('B')).valid("added-by-the-account-key", &["DLOG-005"]),
        three()
            .and('A', &revoke('B', 3))
            .valid("revoked-and-nothing-falls", &["DLOG-007", "DLOG-008"]),
        three()
            .and('A', &revoke('B', 2))
            .valid("what-it-approved-falls", &["DLOG-008", "DLOG-014"]),
        four().and('A', &revoke('B', 2)).valid("what-that-approved-falls-too", &["DLOG-008"]),
        four().and('A', &revoke('B', 1)).valid("revoked-from-its-beginning", &["DLOG-008"]),
        three().and('B', &revoke('B', 3)).valid("revokes-itself", &["DLOG-007"]),
        three()
            .and('A', &revoke('B', 3))
            .and('A', &revoke('B', 2))
            .valid("revoked-again-from-earlier-on", &["DLOG-008"]),
        three().and('C', &revoke('A', 1)).valid("undoes-its-own-approval", &["DLOG-008"]),
        three()
            .and('C', &revoke('A', 1))
            .and('*', &whole("AD"))
            .valid("override-after-all-were-lost", &["DLOG-010", "DLOG-014"]),
        three()
            .and('*', &whole("AC"))
            .and('A', &revoke('B', 1))
            .valid("override-vouches-for-what-it-names", &["DLOG-008", "DLOG-010"]),
        three()
            .and('*', &whole("BC"))
            .and('C', &revoke('B', 2))
            .valid("revoked-from-before-the-override", &["DLOG-008", "DLOG-010"]),
        three()
            .and('A', &revoke('B', 3))
            .and('*', &add('B'))
            .and('B', &add('D'))
            .valid("brought-back", &["DLOG-006"]),
        three()
            .and('A', &revoke('C', 3))
            .and('*', &add('C'))
            .and('C', &add('D'))
            .and('A', &revoke('B', 2))
            .valid("brought-back-does-not-fall-with-its-first-tenure", &["DLOG-008"]),
        three()
            .and('A', &revoke('B', 3))
            .and('*', &add('B'))
            .and('B', &add('D'))
            .and('A', &revoke('B', 5))
            .valid("brought-back-and-revoked-again", &["DLOG-008"]),
        three().and('B', &renew('B')).valid("renewed", &["DLOG-020"]),
        three()
            .and('B', &renew('B'))
            .and('B', &Change::Renew(certificate('B')))
            .valid("renewed-back", &["DLOG-020"]),
        three()
            .and('B', &renew('B'))
            .and('A', &revoke('B', 3))
            .valid("renewed-and-revoked", &["DLOG-008", "DLOG-020"]),
    ]
}

fn invalid() -> Vec<Value> {
    let refuse =
        |id: &str, requirement: &str, log: Log, by: char, change: &Change, reason: &str| {
            let entry = log.signed(by, change);
            log.refuses(id, requirement, entry, reason)
        };
    let revoked = || three().and('A', &revoke('B', 2));
    let same = Change::Renew(certificate('B'));
    let of_bob = Change::Add(certificate_of(UserId::new(id(1, 0xa2)), 'D', 'D'));
    let with_key_of_b = Change::Add(certificate_of(user(), 'D', 'B'));
    let with_another_key = Change::Add(certificate_of(user(), 'B', 'D'));
    let genesis =
        Change::Genesis { account_key: account().public_key(), certificate: certificate('A') };
    let twins = Change::Override(vec![certificate('D'), certificate_of(user(), 'C', 'D')]);
    vec![
        refuse("by-a-stranger", "DLOG-005", three(), 'D', &add('D'), "signer"),
        refuse("by-a-revoked-device", "DLOG-005", revoked(), 'B', &add('D'), "signer"),
        refuse("by-a-fallen-device", "DLOG-008", revoked(), 'C', &add('D'), "signer"),
        refuse(
            "by-a-replaced-device",
            "DLOG-010",
            three().and('*', &whole("D")),
            'A',
            &add('B'),
            "signer",
        ),
        refuse("revoked-device-comes-back", "DLOG-006", revoked(), 'A', &add('B'), "account"),
        refuse("fallen-device-comes-back", "DLOG-006", revoked(), 'A', &add('C'), "account"),
        refuse("active-already", "DLOG-006", three(), 'A', &add('B'), "active"),
        refuse("certificate-of-another-user", "DLOG-003", three(), 'A', &of_bob, "user"),
        refuse(
            "login-key-of-another-device",
            "DLOG-009",
            three(),
            'A',
            &with_key_of_b,
            "login-key",
        ),
        refuse(
            "device-with-another-login-key",
            "DLOG-009",
            revoked(),
            '*',
            &with_another_key,
            "login-key",
        ),
        refuse("second-genesis", "DLOG-003", three(), '*', &genesis, "genesis"),
        refuse("unknown-device-revoked", "DLOG-007", three(), 'A', &revoke('D', 1), "unknown"),
        refuse("revoked-from-0", "DLOG-007", three(), 'A', &revoke('B', 0), "from"),
        refuse("revoked-from-the-future", "DLOG-007", three(), 'A', &revoke('B', 4), "from"),
        refuse(
            "revoked-again-from-later-on",
            "DLOG-018",
            revoked(),
            'A',
            &revoke('B', 4),
            "nothing",
        ),
        refuse("revoked-again", "DLOG-018", revoked(), 'A', &revoke('B', 2), "nothing"),
        refuse(
            "revoked-again-from-before-its-beginning",
            "DLOG-018",
            three().and('A', &revoke('C', 2)),
            'A',
            &revoke('C', 1),
            "nothing",
        ),
        refuse("renewed-with-the-same", "DLOG-020", three(), 'B', &same, "nothing"),
        refuse("renewed-by-another", "DLOG-020", three(), 'A', &renew('B'), "not-its-own"),
        refuse("renewed-by-the-account-key", "DLOG-020", three(), '*', &renew('B'), "not-its-own"),
        refuse("renewed-by-a-revoked-device", "DLOG-005", revoked(), 'B', &renew('B'), "signer"),
        refuse(
            "renewed-with-another-login-key",
            "DLOG-009",
            three(),
            'B',
            &Change::Renew(certificate_of(user(), 'B', 'D')),
            "login-key",
        ),
        refuse("override-by-a-device", "DLOG-010", three(), 'A', &whole("A"), "account"),
        refuse("override-without-devices", "DLOG-010", three(), '*', &whole(""), "devices"),
        refuse("override-with-a-device-twice", "DLOG-010", three(), '*', &whole("AA"), "devices"),
        refuse(
            "override-with-a-login-key-of-another",
            "DLOG-009",
            three(),
            '*',
            &twins,
            "login-key",
        ),
    ]
}

/// A statement that would come next, changed, and signed by A.
fn changed(log: &Log, change: impl FnOnce(&mut v1::DeviceLogStatement)) -> Vec<u8> {
    let parts = parts(&log.signed('A', &add('D')));
    let mut statement = v1::DeviceLogStatement::decode(parts.statement).expect("it was made here");
    change(&mut statement);
    signed_by(&login('A'), &statement.encode_to_vec())
}

fn parts(entry: &[u8]) -> v1::DeviceLogEntry {
    v1::DeviceLogEntry::decode(entry).expect("it was made here")
}

fn signed_by(key: &SigningKey, statement: &[u8]) -> Vec<u8> {
    let signature = sign_labeled(key, label::DEVICE_LOG_ENTRY, &[statement]).into();
    v1::DeviceLogEntry { statement: statement.to_vec().into(), signature }.encode_to_vec()
}

/// What no device that keeps to the specification makes.
fn invalid_bytes() -> Vec<Value> {
    use v1::device_log_statement::Change as Wire;

    let log = three();
    let refuse = |id: &str, requirement: &str, entry: Vec<u8>, reason: &str| {
        three().refuses(id, requirement, entry, reason)
    };
    let alter = |id: &str,
                 requirement: &str,
                 reason: &str,
                 change: &dyn Fn(&mut v1::DeviceLogStatement)| {
        refuse(id, requirement, changed(&log, change), reason)
    };
    let good = parts(&log.signed('A', &add('D')));
    let with_signature = |signature: Vec<u8>| {
        v1::DeviceLogEntry { signature: signature.into(), ..good.clone() }.encode_to_vec()
    };
    let as_certificate = sign_labeled(&login('A'), label::DEVICE_CERTIFICATE, &[&good.statement]);
    let by_account = sign_labeled(&account(), label::DEVICE_LOG_ENTRY, &[&good.statement]);
    let unsigned = |s: &mut v1::DeviceLogStatement| {
        let certificate = certificate('D');
        let mut parts = v1::DeviceCertificate::decode(certificate.as_bytes().clone())
            .expect("it was made here");
        parts.signature = flipped(&parts.signature, 40).into();
        s.change = Some(Wire::Add(v1::DeviceLogAdd { certificate: parts.encode_to_vec().into() }));
    };
    let forged_genesis = {
        let genesis = parts(&log.entries[0]);
        signed_by(&login('A'), &genesis.statement)
    };
    let no_log = |id: &str, requirement: &str, genesis: Vec<u8>, reason: &str| {
        Vector::new(id, &[requirement])
            .with("kind", "log")
            .bytes("user_id", user().as_bytes())
            .with("entries", vec![hex(genesis)])
            .invalid(reason)
    };
    let begins_elsewhere = changed(&log, |s| {
        s.position = 0;
        s.previous = Vec::new().into();
    });
    vec![
        refuse("no-protobuf", "DLOG-001", b"\xff\xff".to_vec(), "malformed"),
        refuse("empty", "DLOG-001", Vec::new(), "malformed"),
        alter("user-id-of-15-bytes", "DLOG-001", "malformed", &|s| s.user_id = vec![1; 15].into()),
        alter("previous-of-31-bytes", "DLOG-001", "malformed", &|s| {
            s.previous = vec![1; 31].into()
        }),
        alter("signer-of-15-bytes", "DLOG-001", "malformed", &|s| {
            s.signer_device_id = vec![1; 15].into()
        }),
        alter("no-change", "DLOG-004", "change", &|s| s.change = None),
        alter("of-another-user", "DLOG-003", "user", &|s| s.user_id = id(1, 0xa2).to_vec().into()),
        alter("position-again", "DLOG-003", "position", &|s| s.position -= 1),
        alter("position-left-out", "DLOG-003", "position", &|s| s.position += 1),
        alter("another-previous", "DLOG-003", "previous", &|s| {
            s.previous = flipped(&s.previous, 31).into()
        }),
        alter("certificate-not-signed", "CERT-003", "certificate", &unsigned),
        refuse(
            "bit-of-signature-flipped",
            "DLOG-005",
            with_signature(flipped(&good.signature, 40)),
            "signature",
        ),
        refuse(
            "signature-of-63-bytes",
            "DLOG-005",
            with_signature(good.signature[..63].to_vec()),
            "signature",
        ),
        refuse("signed-as-something-else", "DLOG-005", with_signature(as_certificate), "signature"),
        refuse(
            "account-key-signs-for-a-device",
            "DLOG-005",
            with_signature(by_account),
            "signature",
        ),
        refuse("an-entry-again", "DLOG-003", log.entries[2].clone(), "position"),
        no_log("genesis-signed-by-a-device", "DLOG-005", forged_genesis, "signature"),
        no_log("begins-with-something-else", "DLOG-003", begins_elsewhere, "genesis"),
    ]
}

/// What some decoders of Protobuf read, and read in different ways.
fn not_canonical() -> Vec<Value> {
    let log = three();
    let entry = log.signed('A', &add('D'));
    let statement = parts(&entry).statement;
    // user_id, position (`10 03`), previous, signer_device_id, then the change.
    let [user_id, position, previous, signer, change] =
        [0..18, 18..20, 20..54, 54..72, 72..statement.len()].map(|range| &statement[range]);
    let refuse = |id: &str, entry: Vec<u8>| three().refuses(id, "DLOG-015", entry, "malformed");
    let stated = |id: &str, parts: &[&[u8]]| refuse(id, signed_by(&login('A'), &parts.concat()));
    let at = |id: &str, position: &[u8]| stated(id, &[user_id, position, previous, signer, change]);
    let other = parts(&log.signed('A', &revoke('B', 2))).statement;
    let by_account = parts(&log.signed('*', &add('D'))).statement;
    vec![
        stated("an-add-twice", &[&statement, change]),
        stated("two-changes", &[&statement, &other[72..]]),
        stated("a-change-of-another-wire-type", &[&statement, &[0x60, 1]]),
        stated("a-field-twice", &[user_id, &statement]),
        stated("fields-out-of-order", &[position, user_id, previous, signer, change]),
        stated("a-field-of-later", &[&statement, b"\xa2\x01\x05later"]),
        at("position-of-another-wire-type", &[0x15, 3, 0, 0, 0]),
        at("position-beyond-32-bits", &[0x10, 0x83, 0x80, 0x80, 0x80, 0x10]),
        at("position-in-two-bytes", &[0x10, 0x83, 0x00]),
        refuse(
            "an-empty-field-written",
            signed_by(&account(), &[&by_account[..54], &[0x22, 0x00], &by_account[54..]].concat()),
        ),
        refuse("signature-twice", [&entry[..], &entry[entry.len() - 66..]].concat()),
        refuse("a-field-of-later-around-it", [&entry[..], b"\x1a\x05later"].concat()),
    ]
}

fn new_entries() -> Vec<Value> {
    let revoked = three().and('A', &revoke('B', 3));
    let vector = |id: &str, log: &Log, letter: char, stated: LogHead| {
        log.vector(id, &["DLOG-016", "TRUST-006"])
            .with("kind", "new")
            .bytes("device_id", device(letter).as_bytes())
            .with("stated_position", stated.position)
            .bytes("stated_hash", stated.hash)
    };
    let judged = |id: &str, log: &Log, letter: char, stated: u32| {
        let hash = *log.log.hash_at(stated).expect("it is a position of the log");
        let stated = LogHead { position: stated, hash };
        let new = log.log.judge_new(device(letter), &stated).expect("it is the head of that log");
        let (is, by) = told(new.judgement);
        let vector = vector(id, log, letter, stated).with("position", new.position).with("is", is);
        by.into_iter().fold(vector, |vector, by| vector.with("by", by)).valid()
    };
    let head = revoked.log.head();
    let refuse =
        |id: &str, stated: LogHead, reason: &str| vector(id, &revoked, 'A', stated).invalid(reason);
    vec![
        judged("new-by-an-active-device", &revoked, 'A', 3),
        judged("new-by-a-device-that-has-an-older-log", &revoked, 'A', 2),
        judged("new-by-a-revoked-device-that-states-an-old-position", &revoked, 'B', 2),
        judged("new-by-a-fallen-device", &three().and('A', &revoke('B', 2)), 'C', 2),
        judged("new-by-a-device-that-was-never-added", &revoked, 'D', 3),
        refuse("new-with-a-position-beyond", LogHead { position: 4, ..head }, "beyond"),
        refuse("new-with-another-hash", LogHead { position: 2, ..head }, "diverged"),
    ]
}

/// Certificates that stand in MLS leaves.
fn leaves() -> Vec<Value> {
    let log = three().and('B', &renew('B'));
    let vector = |id: &str, log: &Log, letter: char, certificate: &Certificate, position: u32| {
        log.vector(id, &["DLOG-017"])
            .with("kind", "certificate")
            .bytes("device_id", device(letter).as_bytes())
            .bytes("certificate", certificate.as_bytes())
            .with("position", position)
    };
    let stands = |id: &str, log: &Log, certificate: &Certificate, position: u32| {
        let found =
            log.log.judge_certificate(certificate.device(), certificate.as_bytes(), position);
        let (is, by) = match found {
            Standing::Active => ("active", None),
            Standing::Renewed { by } => ("renewed", Some(by)),
            Standing::Ended { by } => ("ended", Some(by)),
            other => unreachable!("{id}: {other:?}"),
        };
        let vector = vector(id, log, 'B', certificate, position).with("is", is);
        by.into_iter().fold(vector, |vector, by| vector.with("by", by)).valid()
    };
    let refuse =
        |id: &str, letter: char, certificate: &Certificate, position: u32, reason: &str| {
            vector(id, &log, letter, certificate, position).invalid(reason)
        };
    // What B's login key signs, and no entry holds.
    let mine = mls_keys(0x65);
    let made_up =
        Certificate::issue(user(), device('B'), &login('B'), &mine).expect("it is complete");
    // What nobody but its maker signs.
    let forged = certificate_of(user(), 'B', 'D');
    let revoked = log.clone().and('A', &revoke('B', 3));
    let back = revoked.clone().and('*', &add('B'));
    let replaced = three().and('*', &whole("BC"));
    vec![
        stands("leaf-active", &log, &certificate('B'), 2),
        stands("leaf-renewed", &log, &certificate('B'), 3),
        stands("leaf-with-the-new-certificate", &log, &renewed('B'), 3),
        stands("leaf-revoked", &revoked, &renewed('B'), 4),
        stands("leaf-revoked-and-renewed-before", &revoked, &certificate('B'), 4),
        stands("leaf-brought-back", &back, &certificate('B'), 5),
        stands("leaf-of-the-tenure-before", &back, &renewed('B'), 5),
        stands("leaf-the-override-has-too", &replaced, &certificate('B'), 3),
        refuse("leaf-before-it-was-added", 'B', &certificate('B'), 0, "unknown"),
        refuse("leaf-before-it-was-renewed", 'B', &renewed('B'), 2, "other"),
        refuse("leaf-of-no-device", 'D', &certificate('D'), 3, "unknown"),
        refuse("leaf-of-another-device", 'A', &certificate('B'), 3, "other"),
        refuse("leaf-self-signed", 'B', &forged, 3, "other"),
        refuse("leaf-signed-by-the-device-and-in-no-entry", 'B', &made_up, 3, "other"),
        refuse("leaf-beyond-the-head", 'B', &renewed('B'), 4, "beyond"),
    ]
}

fn pins() -> Vec<Value> {
    let pin = |id: &str, seen: &Log, offered: &Log| {
        let (genesis, head) = (seen.log.identity().genesis, seen.log.head());
        Vector::new(id, &["TRUST-002", "TRUST-003"])
            .with("kind", "pin")
            .bytes("user_id", user().as_bytes())
            .bytes("genesis", genesis)
            .with("position", head.position)
            .bytes("hash", head.hash)
            .with("entries", offered.entries.iter().map(hex).collect::<Vec<_>>())
    };
    // The head is the one that an approving device answered.
    let approved = |id: &str, answered: &Log, offered: &Log| {
        pin(id, answered, offered).with("requirements", ["APPROVE-008"].as_slice())
    };
    let fork = Log::new().and('A', &add('C'));
    let other = Log::begun_by(&key(0xb2));
    vec![
        pin("pin-same", &three(), &three()).valid(),
        pin("pin-longer", &Log::new(), &three()).valid(),
        pin("pin-shorter", &three(), &Log::new()).invalid("shorter"),
        pin("pin-shorter-fork", &three(), &fork).invalid("shorter"),
        pin("pin-diverged", &three(), &fork.clone().and('A', &add('B'))).invalid("diverged"),
        pin("pin-diverged-and-longer", &Log::new().and('A', &add('B')), &fork.and('A', &add('D')))
            .invalid("diverged"),
        approved("approved-log-goes-on", &Log::new(), &three()).valid(),
        approved("approved-log-is-another", &three(), &other).invalid("identity"),
        approved("approved-log-is-cut", &three(), &Log::new()).invalid("shorter"),
        pin("pin-another-identity", &Log::new(), &other)
            .with("requirements", ["TRUST-004"].as_slice())
            .invalid("identity"),
    ]
}
