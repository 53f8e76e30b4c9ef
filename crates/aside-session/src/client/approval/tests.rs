use aside_crypto::{
    Certificate, Change, DeviceLog, MAX_CERTIFICATE_BYTES, MlsKey, SUITE_P256, Signer, SigningKey,
};
use aside_proto::{
    id::{DeviceId, UserId},
    v1::{self, ApprovalEndReason},
};
use prost::Message as _;

use super::*;

const USER: UserId = UserId::new([1; 16]);
const PHONE: DeviceId = DeviceId::new([2; 16]);
const LAPTOP: DeviceId = DeviceId::new([3; 16]);
const TABLET: DeviceId = DeviceId::new([4; 16]);

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32]).unwrap()
}

fn certificate(device: DeviceId, n: u8) -> Certificate {
    let mls = MlsKey { suite: SUITE_P256, public_key: key(n).public_key().as_bytes().to_vec() };
    Certificate::issue(USER, device, &key(n), &[mls]).unwrap()
}

/// A log with the phone in it.
fn log() -> DeviceLog {
    let genesis = DeviceLog::sign_genesis(&key(0x70), &certificate(PHONE, 2));
    DeviceLog::begin(USER, &genesis).unwrap()
}

fn random(n: u8) -> impl FnMut(&mut [u8]) {
    move |out| out.fill(n)
}

/// What arrives of what was said: its recipient, and what it reads.
fn relayed(said: &Said) -> (Option<DeviceId>, ApprovalMessage) {
    let request = said.request();
    let read = ApprovalMessage::decode(&request.payload).expect("what is sent can be read");
    assert_eq!(read, said.message);
    ((!request.device_id.is_empty()).then(|| request.device_id[..].try_into().unwrap()), read)
}

fn asking() -> Asking {
    Asking::begin(&certificate(LAPTOP, 3), &mut random(9))
}

fn asked(asking: &Asking) -> (ApprovalId, aside_crypto::Hash) {
    match relayed(&asking.commitment()) {
        (None, ApprovalMessage::Of(id, ApprovalStep::Commitment(commitment))) => (id, commitment),
        other => panic!("{other:?}"),
    }
}

fn answering(asking: &Asking, n: u8) -> (Answering, ApprovalMessage) {
    let (answering, said) = Answering::begin(LAPTOP, asked(asking), &log(), &mut random(n));
    let (to, answer) = relayed(&said);
    assert_eq!(to, Some(LAPTOP));
    (answering, answer)
}

/// What a device reveals after an answer.
fn reveal(asking: Asking, answer: &ApprovalMessage) -> ApprovalMessage {
    relayed(&goes(asking.handle(PHONE, answer)).1.unwrap()).1
}

fn goes<S: std::fmt::Debug, T: std::fmt::Debug>(step: Step<S, T>) -> (T, Option<Said>) {
    match step {
        Step::Goes(next, said) => (next, said),
        other => panic!("{other:?}"),
    }
}

fn stays<S: std::fmt::Debug, T: std::fmt::Debug>(step: Step<S, T>) -> (S, Option<Said>) {
    match step {
        Step::Stays(same, said) => (same, said),
        other => panic!("{other:?}"),
    }
}

fn ends<S: std::fmt::Debug, T: std::fmt::Debug>(step: Step<S, T>) -> (ApprovalEnd, Option<Said>) {
    match step {
        Step::Ends(why, said) => (why, said),
        other => panic!("{other:?}"),
    }
}

// cites: APPROVE-001, APPROVE-004, APPROVE-005, APPROVE-008, APPROVE-011
#[test]
fn two_devices_come_to_the_same_digits() {
    let laptop = asking();
    let (phone, answer) = answering(&laptop, 8);
    let (laptop, reveal) = goes(laptop.handle(PHONE, &answer));
    let (to, reveal) = relayed(&reveal.unwrap());
    assert_eq!(to, Some(PHONE));
    let (phone, said) = goes(phone.handle(LAPTOP, &reveal, &log()));
    assert!(said.is_none());
    assert_eq!((phone.code(), laptop.by()), (laptop.code(), PHONE));

    let mut log = log();
    let add = Change::Add(phone.confirmed());
    let entry = log.sign_next(Signer::Device(PHONE), &key(2), &add);
    log.apply(&entry).unwrap();
    let (pin, joining) = laptop.confirmed("chat.example", &log).unwrap();
    assert!(pin.verified);
    assert_eq!(joining.handle(PHONE, &answer), None);
}

// cites: APPROVE-012
#[test]
fn who_looks_is_told_the_commitment_again_until_there_is_an_answer() {
    let laptop = asking();
    let first = laptop.commitment();
    let (laptop, said) = stays(laptop.handle(TABLET, &ApprovalMessage::Looking));
    assert_eq!(said, Some(Said { to: Some(TABLET), ..first }));
    let (_, answer) = answering(&laptop, 8);
    let (laptop, _) = goes(laptop.handle(PHONE, &answer));
    assert_eq!(laptop.handle(TABLET, &ApprovalMessage::Looking), None);
}

// cites: APPROVE-002, APPROVE-014
#[test]
fn a_second_answer_ends_it_and_the_same_once_more_does_not() {
    let laptop = asking();
    let (_, answer) = answering(&laptop, 8);
    let (_, other) = answering(&laptop, 7);
    for (from, second) in [(PHONE, &other), (TABLET, &answer)] {
        let (laptop, _) = goes(asking().handle(PHONE, &answer));
        assert_eq!(laptop.handle(PHONE, &answer), None);
        let (why, said) = laptop.handle(from, second).unwrap();
        assert_eq!(why, ApprovalEnd::TwoAnswers);
        let (to, told) = relayed(&said.unwrap());
        assert_eq!(to, Some(PHONE));
        let ended = ApprovalStep::Ended(ApprovalEndReason::Invalid);
        assert!(matches!(told, ApprovalMessage::Of(_, step) if step == ended));
    }
}

// cites: APPROVE-003, APPROVE-015, APPROVE-016
#[test]
fn what_was_not_committed_to_and_another_devices_certificate_end_it() {
    let laptop = asking();
    let (phone, answer) = answering(&laptop, 8);
    let other = Asking::begin(&certificate(LAPTOP, 5), &mut random(9));
    let (why, said) = ends(phone.handle(LAPTOP, &reveal(other, &answer), &log()));
    assert_eq!(why, ApprovalEnd::Reveal(ApprovalError::Commitment));
    assert_eq!(relayed(&said.unwrap()).0, Some(LAPTOP));

    for (device, n, expected) in
        [(TABLET, 4, ApprovalEnd::OtherDevice), (PHONE, 2, ApprovalEnd::Active)]
    {
        let begin = || Asking::begin(&certificate(device, n), &mut random(9));
        // The server says that it is from the laptop, or from the phone itself.
        let from = if expected == ApprovalEnd::Active { PHONE } else { LAPTOP };
        let (phone, said) = Answering::begin(from, asked(&begin()), &log(), &mut random(8));
        let reveal = reveal(begin(), &said.message);
        let (why, said) = ends(phone.handle(from, &reveal, &log()));
        assert_eq!(why, expected);
        assert!(said.is_some());
    }
}

// cites: APPROVE-007, APPROVE-014
#[test]
fn what_belongs_to_another_approval_or_device_is_ignored() {
    let laptop = asking();
    let (phone, answer) = answering(&laptop, 8);
    let ApprovalMessage::Of(_, step) = answer.clone() else { panic!("an answer") };
    let strange = ApprovalMessage::Of(ApprovalId([0; 16]), step);
    let (laptop, _) = stays(laptop.handle(PHONE, &strange));
    let (laptop, reveal) = goes(laptop.handle(PHONE, &answer));
    let reveal = relayed(&reveal.unwrap()).1;

    let end = |from, device: &Comparing| ApprovalMessage::clone(&device.end(from).message);
    let left = end(ApprovalEndReason::Left, &laptop);
    let (phone, _) = stays(phone.handle(TABLET, &reveal, &log()));
    let (phone, _) = stays(phone.handle(TABLET, &left, &log()));
    let (phone, _) = stays(phone.handle(LAPTOP, &strange, &log()));
    assert_eq!(laptop.handle(TABLET, &left), None);
    let (phone, _) = goes(phone.handle(LAPTOP, &reveal, &log()));
    assert_eq!(phone.handle(LAPTOP, &reveal), None);
    assert_eq!(phone.handle(TABLET, &left), None);
    // From the device that it is about, it counts.
    assert_eq!(phone.handle(LAPTOP, &left), Some((ApprovalEnd::Left, None)));
    let different = end(ApprovalEndReason::Different, &laptop);
    assert_eq!(laptop.handle(PHONE, &different), Some((ApprovalEnd::Different, None)));
}

#[test]
fn who_asks_anew_has_left_what_was_before() {
    let laptop = asking();
    let (phone, answer) = answering(&laptop, 8);
    let anew = Asking::begin(&certificate(LAPTOP, 3), &mut random(10)).commitment().message;
    let (phone, _) = stays(phone.handle(TABLET, &anew, &log()));
    assert_eq!(ends(phone.handle(LAPTOP, &anew, &log())).0, ApprovalEnd::Left);
    let (phone, _) = answering(&laptop, 8);
    let (phone, _) = stays(phone.handle(LAPTOP, &laptop.commitment().message, &log()));
    let (phone, _) = goes(phone.handle(LAPTOP, &reveal(laptop, &answer), &log()));
    assert_eq!(phone.handle(TABLET, &anew), None);
    assert_eq!(phone.handle(LAPTOP, &anew), Some((ApprovalEnd::Left, None)));
}

// cites: APPROVE-016
#[test]
fn either_side_tells_the_other_when_it_ends() {
    let laptop = asking();
    let (to, left) = relayed(&laptop.leave());
    assert_eq!(to, None, "to all that were asked");
    let (phone, answer) = answering(&laptop, 8);
    assert_eq!(ends(phone.handle(LAPTOP, &left, &log())).0, ApprovalEnd::Left);
    let (phone, _) = answering(&laptop, 8);
    let (to, left) = relayed(&phone.end(ApprovalEndReason::Left));
    assert_eq!(to, Some(LAPTOP));
    assert_eq!(ends(laptop.handle(PHONE, &left)).0, ApprovalEnd::Left);
    let (laptop, reveal) = goes(asking().handle(PHONE, &answer));
    let (phone, _) = goes(phone.handle(LAPTOP, &relayed(&reveal.unwrap()).1, &log()));
    let (to, different) = relayed(&phone.end(ApprovalEndReason::Different));
    assert_eq!(to, Some(LAPTOP));
    assert_eq!(laptop.handle(PHONE, &different), Some((ApprovalEnd::Different, None)));
}

// cites: APPROVE-014
#[test]
fn what_is_no_approval_message_is_ignored() {
    use v1::approval_message::Step;
    let wire = |id: usize, step: Option<Step>| {
        let approval_id = vec![7; id].into();
        ApprovalMessage::decode(&v1::ApprovalMessage { approval_id, step }.encode_to_vec())
    };
    let bytes = |length: usize| bytes::Bytes::from(vec![5; length]);
    let commitment = |length| v1::ApprovalCommitment { commitment: bytes(length) };
    let answer = |nonce, genesis, head| v1::ApprovalAnswer {
        nonce: bytes(nonce),
        genesis: bytes(genesis),
        position: 1,
        head: bytes(head),
    };
    let reveal = |certificate, nonce| v1::ApprovalReveal {
        certificate: bytes(certificate),
        nonce: bytes(nonce),
    };
    for (id, step) in [
        (16, None),
        (15, Some(Step::Commitment(commitment(32)))),
        (0, Some(Step::Commitment(commitment(32)))),
        (16, Some(Step::Commitment(commitment(31)))),
        (16, Some(Step::Answer(answer(31, 32, 32)))),
        (16, Some(Step::Answer(answer(32, 33, 32)))),
        (16, Some(Step::Answer(answer(32, 32, 0)))),
        (16, Some(Step::Reveal(reveal(0, 32)))),
        (16, Some(Step::Reveal(reveal(MAX_CERTIFICATE_BYTES + 1, 32)))),
        (16, Some(Step::Reveal(reveal(1, 0)))),
        (16, Some(Step::Looking(v1::ApprovalLooking {}))),
    ] {
        assert_eq!(wire(id, step.clone()), None, "{step:?}");
    }
    assert_eq!(ApprovalMessage::decode(b"\xff"), None);
    assert_eq!(
        wire(0, Some(Step::Looking(v1::ApprovalLooking {}))),
        Some(ApprovalMessage::Looking)
    );
    assert!(wire(16, Some(Step::Answer(answer(32, 32, 32)))).is_some());
    assert!(wire(16, Some(Step::Reveal(reveal(MAX_CERTIFICATE_BYTES, 32)))).is_some());
    // A reason of a later version ends it all the same.
    let ended = wire(16, Some(Step::Ended(v1::ApprovalEnded { reason: 99 })));
    assert!(matches!(
        ended,
        Some(ApprovalMessage::Of(_, ApprovalStep::Ended(ApprovalEndReason::Unspecified)))
    ));
}
