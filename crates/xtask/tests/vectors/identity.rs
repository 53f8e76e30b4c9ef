//! What private conversations rest on: phrases, certificates, device logs, safety numbers, approval, franking.

use aside_crypto::{
    ApprovalError, Approver, Certificate, CertificateError, Change, DeviceLog, EntryError,
    Envelope, EnvelopeError, FrankingKey, Identity, Judgement, LogHead, NewDevice, PhraseError,
    Pin, PinBreach, RecoveryPhrase, Reveal, SafetyNumber, Scanned, Signer, SigningKey, Standing,
    StatedHeadError, compare_qr, qr_payload,
};
use aside_proto::id::{DeviceId, UserId};
use serde_json::{Value, json};

use super::{array, bytes, check, ensure, number, read, text};

fn user(vector: &Value) -> UserId {
    UserId::new(array(&vector["user_id"]))
}

fn identity(value: &Value) -> Identity {
    Identity { user: user(value), genesis: array(&value["genesis"]) }
}

// cites: PHRASE-001, PHRASE-002, PHRASE-003, PHRASE-004
#[test]
fn recovery() {
    check("recovery", None, |vector| {
        let phrase = RecoveryPhrase::parse(text(&vector["typed"])).map_err(|error| {
            let reason = match error {
                PhraseError::Character { .. } => "character",
                PhraseError::Length(_) | PhraseError::TooLong => "length",
                PhraseError::Check { .. } => "check",
            };
            reason.to_owned()
        })?;
        ensure(*phrase.reveal() == text(&vector["phrase"]), "phrase")?;
        let entropy = bytes(&vector["entropy"]);
        let made =
            RecoveryPhrase::generate(phrase.strength(), &mut |out| out.copy_from_slice(&entropy));
        ensure(made == phrase, "entropy")?;
        let key = phrase.account_key();
        ensure(*key.to_bytes() == array(&vector["private_key"]), "private_key")?;
        ensure(key.public_key().as_bytes()[..] == bytes(&vector["public_key"]), "public_key")
    });
}

fn of_certificate(error: CertificateError) -> String {
    let reason = match error {
        CertificateError::TooLong(_) => "long",
        CertificateError::Malformed => "malformed",
        CertificateError::Id => "id",
        CertificateError::LoginKey(_) => "key",
        CertificateError::MlsKeys(_) => "mls-keys",
        CertificateError::Signature => "signature",
    };
    reason.into()
}

// cites: CERT-001, CERT-002, CERT-003, CERT-004, CERT-005, CERT-006, CONV-008
#[test]
fn certificates() {
    check("certificates", None, |vector| {
        let given = bytes(&vector["certificate"]);
        let read = Certificate::decode(&given).map_err(of_certificate)?;
        ensure(read.user() == user(vector), "user_id")?;
        ensure(read.device() == DeviceId::new(array(&vector["device_id"])), "device_id")?;
        ensure(read.login_key().as_bytes()[..] == bytes(&vector["login_key"]), "login_key")?;
        let suites: Vec<_> = read.mls_keys().iter().map(|key| key.suite).collect();
        ensure(json!(suites) == vector["suites"], "suites")?;
        let Some(private) = vector.get("private_key") else { return Ok(()) };
        let key = SigningKey::from_bytes(&array(private)).unwrap();
        let issued = Certificate::issue(read.user(), read.device(), &key, read.mls_keys());
        ensure(issued == Ok(read), "RFC 6979")
    });
}

fn of_entry(error: EntryError) -> String {
    let reason = match error {
        EntryError::Malformed => "malformed",
        EntryError::UnknownChange => "change",
        EntryError::Certificate(_) => "certificate",
        EntryError::OtherUser => "user",
        EntryError::Position => "position",
        EntryError::Previous => "previous",
        EntryError::Genesis => "genesis",
        EntryError::SignerNotActive => "signer",
        EntryError::SignatureInvalid => "signature",
        EntryError::NeedsAccountKey => "account",
        EntryError::AlreadyActive => "active",
        EntryError::LoginKey => "login-key",
        EntryError::UnknownDevice => "unknown",
        EntryError::FromPosition => "from",
        EntryError::NothingChanges => "nothing",
        EntryError::NotItsOwn => "not-its-own",
        EntryError::Devices => "devices",
        EntryError::TooLong | EntryError::TooManyDevices | EntryError::Full => "limits",
    };
    reason.into()
}

fn log(vector: &Value) -> Result<DeviceLog, String> {
    let entries: Vec<_> = vector["entries"].as_array().unwrap().iter().map(bytes).collect();
    let replayed = DeviceLog::replay(user(vector), entries.iter().map(Vec::as_slice));
    replayed.map_err(|(index, error)| {
        assert_eq!(index + 1, entries.len(), "{}: {error}", vector["id"]);
        of_entry(error)
    })
}

/// Takes what a step of a recipe makes.
fn make(log: &mut DeviceLog, file: &Value, made: &Value, turn: usize) -> Result<(), EntryError> {
    let named = |name: &Value| {
        let named = &file["certificates"][text(name)];
        let certificate = Certificate::decode(&bytes(&named["certificate"])).unwrap();
        (certificate, SigningKey::from_bytes(&array(&named["private_key"])).unwrap())
    };
    let names = made["certificates"].as_array().unwrap();
    let one = || named(&names[turn % names.len()]).0;
    let change = match text(&made["kind"]) {
        "override" => Change::Override(names.iter().map(|name| named(name).0).collect()),
        "add" => Change::Add(one()),
        _ => Change::Renew(one()),
    };
    let (signer, key) = match text(&made["by"]) {
        "account" => {
            let key = SigningKey::from_bytes(&array(&file["account_private_key"])).unwrap();
            (Signer::Account, key)
        }
        _ => {
            let (certificate, key) = named(&made["by"]);
            (Signer::Device(certificate.device()), key)
        }
    };
    log.apply(&log.sign_next(signer, &key, &change))
}

// cites: DLOG-011, DLOG-012, DLOG-013, DLOG-019
#[test]
fn device_logs_at_their_limits() {
    let file = read("device_limits");
    let account = SigningKey::from_bytes(&array(&file["account_private_key"])).unwrap();
    check("device_limits", None, |vector| {
        let first = &file["certificates"][text(&vector["genesis"])]["certificate"];
        let first = Certificate::decode(&bytes(first)).unwrap();
        let genesis = DeviceLog::sign_genesis(&account, &first);
        let mut log = DeviceLog::begin(user(&file), &genesis).unwrap();
        for made in vector["made"].as_array().unwrap() {
            for turn in 0..number(&made["times"]) {
                make(&mut log, &file, made, turn as usize).unwrap();
            }
        }
        let last = make(&mut log, &file, &vector["last"], 0);
        ensure(log.head().position == small(&vector["position"]), "position")?;
        ensure(log.head().hash == array(&vector["hash"]), "hash")?;
        last.map_err(of_entry)
    });
}

fn judged(judgement: Judgement<'_>) -> (&'static str, Option<u32>) {
    match judgement {
        Judgement::Active(_) => ("active", None),
        Judgement::Unknown => ("unknown", None),
        Judgement::Revoked { by } => ("revoked", Some(by)),
        Judgement::Fallen { by } => ("fallen", Some(by)),
        Judgement::Replaced { by } => ("replaced", Some(by)),
        Judgement::BeyondHead => ("beyond", None),
    }
}

fn small(value: &Value) -> u32 {
    number(value).try_into().unwrap()
}

// cites: DLOG-001, DLOG-002, DLOG-003, DLOG-004, DLOG-005, DLOG-006, DLOG-007, DLOG-008, DLOG-009, DLOG-010, DLOG-014, DLOG-015, DLOG-018, DLOG-020, CONV-008
#[test]
fn device_logs() {
    check("devices", Some("log"), |vector| {
        let log = log(vector)?;
        let hashes = vector["hashes"].as_array().unwrap();
        ensure(small(&json!(hashes.len())) == log.head().position + 1, "head")?;
        for (position, hash) in (0..).zip(hashes) {
            ensure(log.hash_at(position) == Some(&array(hash)), "hashes")?;
        }
        let active: Vec<_> = log.active().map(|c| hex::encode(c.device().as_bytes())).collect();
        ensure(json!(active) == vector["active"], "active")?;
        for stated in vector["judged"].as_array().unwrap() {
            let device = DeviceId::new(array(&stated["device_id"]));
            let found = judged(log.judge(device, small(&stated["position"])));
            let expected = (text(&stated["is"]), stated.get("by").map(small));
            ensure(found == expected, "judged")?;
        }
        Ok(())
    });
}

// cites: DLOG-016, TRUST-006
#[test]
fn senders_of_new_entries() {
    check("devices", Some("new"), |vector| {
        let (log, device) = (log(vector)?, DeviceId::new(array(&vector["device_id"])));
        let stated = LogHead {
            position: small(&vector["stated_position"]),
            hash: array(&vector["stated_hash"]),
        };
        let new = log.judge_new(device, &stated).map_err(|error| {
            let reason = match error {
                StatedHeadError::Beyond(_) => "beyond",
                StatedHeadError::Diverged(_) => "diverged",
            };
            reason.to_owned()
        })?;
        ensure(new.position == small(&vector["position"]), "position")?;
        let expected = (text(&vector["is"]), vector.get("by").map(small));
        ensure(judged(new.judgement) == expected, "judged")
    });
}

// cites: DLOG-017
#[test]
fn certificates_in_leaves() {
    check("devices", Some("certificate"), |vector| {
        let (log, device) = (log(vector)?, DeviceId::new(array(&vector["device_id"])));
        let certificate = bytes(&vector["certificate"]);
        let found = match log.judge_certificate(device, &certificate, small(&vector["position"])) {
            Standing::Active => ("active", None),
            Standing::Renewed { by } => ("renewed", Some(by)),
            Standing::Ended { by } => ("ended", Some(by)),
            Standing::OtherCertificate => return Err("other".into()),
            Standing::Unknown => return Err("unknown".into()),
            Standing::BeyondHead => return Err("beyond".into()),
        };
        ensure(found == (text(&vector["is"]), vector.get("by").map(small)), "standing")
    });
}

// cites: TRUST-002, TRUST-003, TRUST-004, APPROVE-008
#[test]
fn pinned_device_logs() {
    check("devices", Some("pin"), |vector| {
        let log = log(vector)?;
        let seen = LogHead { position: small(&vector["position"]), hash: array(&vector["hash"]) };
        let mut pin = Pin::first("chat.example", &log);
        pin = Pin { genesis: array(&vector["genesis"]), seen, ..pin };
        pin.follow(&log).map_err(|breach| {
            let reason = match breach {
                PinBreach::OtherUser => "user",
                PinBreach::IdentityChanged => "identity",
                PinBreach::Shorter(_) => "shorter",
                PinBreach::Diverged(_) => "diverged",
            };
            reason.to_owned()
        })
    });
}

// cites: SAFETY-001
#[test]
fn safety_numbers() {
    check("safety", Some("number"), |vector| {
        let found = SafetyNumber::of(&identity(&vector["one"]), &identity(&vector["other"]));
        let found = found.map_err(|_| "user".to_owned())?;
        ensure(found.to_string() == text(&vector["number"]), "number")
    });
}

// cites: SAFETY-003, SAFETY-004
#[test]
fn qr_codes() {
    check("safety", Some("qr"), |vector| {
        let (scanner, shower) = (identity(&vector["scanner"]), identity(&vector["shower"]));
        let payload = bytes(&vector["payload"]);
        match compare_qr(&payload, &scanner, &shower) {
            Scanned::Match => ensure(qr_payload(&shower, &scanner) == payload, "payload"),
            Scanned::Mismatch => Err("mismatch".into()),
            Scanned::WrongUser => Err("user".into()),
            Scanned::OtherVersion(_) => Err("version".into()),
            Scanned::NotOurs => Err("form".into()),
        }
    });
}

// cites: APPROVE-001, APPROVE-003, APPROVE-004
#[test]
fn approval() {
    check("approval", None, |vector| {
        let head =
            LogHead { position: small(&vector["position"]), hash: array(&vector["head_hash"]) };
        let identity = identity(vector);
        let nonce: [u8; 32] = array(&vector["new_nonce"]);
        let certificate = bytes(&vector["certificate"]);
        let commitment = array(&vector["commitment"]);
        let (approver, answer) = Approver::answer(&identity, head, commitment, &mut |out| {
            out.copy_from_slice(&bytes(&vector["approver_nonce"]));
        });
        let compared = approver.handle_reveal(&Reveal { certificate, nonce }).map_err(|error| {
            let reason = match error {
                ApprovalError::Commitment => "commitment",
                ApprovalError::Certificate(_) => "certificate",
                ApprovalError::OtherUser => "user",
            };
            reason.to_owned()
        })?;
        let code = compared.code();
        ensure(code.to_string() == text(&vector["code"]), "code")?;
        let (new, commitment) =
            NewDevice::begin(&compared.confirmed(), &mut |out| out.copy_from_slice(&nonce));
        ensure(commitment == array::<32>(&vector["commitment"]), "commitment")?;
        ensure(new.handle_answer(&answer).1.code() == code, "the new device's code")
    });
}

// cites: FRANK-001, FRANK-002, CONV-007
#[test]
fn franking() {
    check("franking", Some("tag"), |vector| {
        let key = FrankingKey::from_bytes(array(&vector["key"]));
        let (content, tag) = (bytes(&vector["content"]), bytes(&vector["tag"]));
        key.verify(&content, &tag).map_err(|_| "tag".to_owned())?;
        ensure(key.tag(&content)[..] == tag, "tag")
    });
}

// cites: FRANK-003, FRANK-004
#[test]
fn envelopes() {
    check("franking", Some("envelope"), |vector| {
        let (envelope, tag) = (bytes(&vector["envelope"]), bytes(&vector["tag"]));
        let read = Envelope::open(&envelope, &tag).map_err(|error| {
            let reason = match error {
                EnvelopeError::Malformed => "malformed",
                EnvelopeError::Tag(_) => "tag",
            };
            reason.to_owned()
        })?;
        let head = LogHead { position: small(&vector["position"]), hash: array(&vector["hash"]) };
        ensure(read.head == head, "head")?;
        ensure(read.content[..] == bytes(&vector["content"]), "content")?;
        ensure(read.key.as_bytes()[..] == bytes(&vector["key"]), "key")?;
        let (sealed, tagged, _) = Envelope::seal(&read.content, head, &mut |out| {
            out.copy_from_slice(read.key.as_bytes());
        });
        ensure((sealed, &tagged[..]) == (envelope, &tag[..]), "sealed")
    });
}
