//! approval.json.

use aside_crypto::{Answer, Approver, Certificate, Identity, LogHead, NewDevice, Reveal, label};
use aside_proto::id::{DeviceId, UserId};
use serde_json::Value;

use super::{
    certificates::{mls_keys, user},
    file::{File, Vector},
    material::{bob_key, counting, id, key},
};

const DESCRIPTION: &str = "Approvals as the approving device of user_id sees them: the commitment, then its own answer \
    (approver_nonce, and genesis, position and head_hash of the device log), then what the new device reveals (certificate, new_nonce). \
    code is what both show. Reasons: commitment, certificate, user.";

pub(super) fn file() -> File {
    File::new("approval", DESCRIPTION, valid().into_iter().chain(invalid()).collect())
}

/// Of Alice's second device.
pub(super) fn certificate(user: UserId) -> Certificate {
    let device = DeviceId::new(id(2, 0xd2));
    Certificate::issue(user, device, &key(0x11), &mls_keys(0x71)).expect("it is complete")
}

pub(super) fn answer(nonce: u8) -> Answer {
    let head = LogHead { position: 2, hash: counting(0xe0) };
    Answer { nonce: counting(nonce), genesis: counting(0x10), head }
}

/// With the nonce of most vectors.
pub(super) fn new_device(certificate: &Certificate) -> (NewDevice, [u8; 32]) {
    NewDevice::begin(certificate, &mut |out| out.copy_from_slice(&counting::<32>(0x50)))
}

fn vector(
    id: &str,
    requirements: &[&str],
    commitment: &[u8; 32],
    answer: &Answer,
    reveal: &Reveal,
) -> Vector {
    Vector::new(id, requirements)
        .bytes("user_id", user().as_bytes())
        .bytes("commitment", commitment)
        .bytes("approver_nonce", answer.nonce)
        .bytes("genesis", answer.genesis)
        .with("position", answer.head.position)
        .bytes("head_hash", answer.head.hash)
        .bytes("certificate", &reveal.certificate)
        .bytes("new_nonce", reveal.nonce)
}

fn valid() -> Vec<Value> {
    let mine = certificate(user());
    let shown = |id: &str, new_nonce: [u8; 32], answer: &Answer| {
        let (new, commitment) = NewDevice::begin(&mine, &mut |out| out.copy_from_slice(&new_nonce));
        let identity = Identity { user: user(), genesis: answer.genesis };
        let (approver, answered) =
            Approver::answer(&identity, answer.head, commitment, &mut |out| {
                out.copy_from_slice(&answer.nonce);
            });
        assert_eq!(answered, *answer);
        let (reveal, to_confirm) = new.handle_answer(answer);
        let compared = approver.handle_reveal(&reveal).expect("the vector is valid");
        let code = compared.code();
        assert_eq!(to_confirm.code(), code, "both show the same");
        vector(id, &["APPROVE-001", "APPROVE-004"], &commitment, answer, &reveal)
            .with("code", code.to_string())
            .valid()
    };
    let first = Answer { head: LogHead { position: 0, hash: counting(0x10) }, ..answer(0x20) };
    // The first nonce for which the code begins with a zero: it is shown.
    let zero = (0..=u8::MAX).find(|nonce| {
        let (new, _) = new_device(&mine);
        new.handle_answer(&answer(*nonce)).1.code().number() < 100_000
    });
    vec![
        shown("usual", counting(0x50), &answer(0x20)),
        shown("another-new-nonce", counting(0x51), &answer(0x20)),
        shown("another-answer", counting(0x50), &answer(0x21)),
        shown("second-device", counting(0x50), &first),
        shown("leading-zero", counting(0x50), &answer(zero.expect("a tenth of all have one"))),
    ]
}

fn invalid() -> Vec<Value> {
    let mine = certificate(user());
    let (new, commitment) = new_device(&mine);
    let (reveal, _) = new.handle_answer(&answer(0x20));
    let refuse = |id: &str, requirement: &str, commitment: &[u8; 32], reveal: &Reveal, reason| {
        vector(id, &[requirement], commitment, &answer(0x20), reveal).invalid(reason)
    };
    let to = |certificate: &[u8]| {
        let nonce: [u8; 32] = counting(0x50);
        let commitment =
            label::hash(label::APPROVAL_COMMITMENT, &[user().as_bytes(), certificate, &nonce]);
        (commitment, Reveal { certificate: certificate.to_vec(), nonce })
    };
    let other_key = Certificate::issue(user(), mine.device(), &bob_key(), &mls_keys(0x71))
        .expect("it is complete");
    let imposter = Reveal { certificate: other_key.as_bytes().to_vec(), nonce: reveal.nonce };
    let (of_bytes, bytes) = to(b"\xff\xff");
    let (of_another, another) = to(certificate(UserId::new(id(1, 0xa2))).as_bytes());
    let other_nonce = Reveal { nonce: counting(0x51), ..reveal.clone() };
    vec![
        refuse(
            "another-nonce-than-committed-to",
            "APPROVE-003",
            &commitment,
            &other_nonce,
            "commitment",
        ),
        refuse(
            "another-certificate-than-committed-to",
            "APPROVE-003",
            &commitment,
            &imposter,
            "commitment",
        ),
        refuse("no-certificate", "APPROVE-003", &of_bytes, &bytes, "certificate"),
        refuse("certificate-of-another-user", "APPROVE-003", &of_another, &another, "user"),
    ]
}
