//! How a device that is approved shows that a new device's certificate is the one it has: both show six digits, and their user
//! compares (APPROVE-001 to APPROVE-005).
//!
//! ```text
//! new device                                   server                             approving device
//! NewDevice::begin ── Commitment ────────────────────────────────────────────────► Approver::answer
//! NewDevice::handle_answer ◄──────────────────────────────────── Answer (a nonce, the device log)
//!    │  └───────────── Reveal (the certificate, a nonce) ────────────────────────► Approver::handle_reveal
//!    ▼                                                                               ▼
//! Code ◄──────────────────────────── the user compares ────────────────────────► Code ── confirmed ──► Certificate
//! ```
//!
//! The new device says first, by a hash, what it will reveal. A server between the two has to choose what it shows to either before
//! it knows the nonces that decide the digits, so it cannot try certificates until the digits are alike: one attempt in a million
//! passes, and each costs the user a comparison that failed.

use std::fmt;

use aside_proto::id::UserId;

use crate::{Certificate, CertificateError, Hash, LogHead, label};

/// Bytes of the nonces that both sides draw.
pub const APPROVAL_NONCE_BYTES: usize = 32;

type Nonce = [u8; APPROVAL_NONCE_BYTES];

/// What an approving device answers a commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// From a cryptographic random source, for this approval alone.
    pub nonce: Nonce,
    /// The hash of the first entry of the user's device log.
    pub genesis: Hash,
    /// Where that log ends.
    pub head: LogHead,
}

/// What a new device had committed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reveal {
    /// A DeviceCertificate.
    pub certificate: Vec<u8>,
    /// The nonce it drew before.
    pub nonce: Nonce,
}

/// Why an approval ends before anything was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// APPROVE-003.
    #[error("what the new device reveals is not what it had committed to")]
    Commitment,
    /// What was revealed is no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The certificate is for a device of another user.
    #[error("the new device's certificate names another user")]
    OtherUser,
}

/// Six digits, to be compared by the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(u32);

impl Code {
    /// The number, below 1,000,000.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// APPROVE-004.
    fn of(user: UserId, reveal: &Reveal, answer: &Answer) -> Self {
        let hash = label::hash(
            label::APPROVAL_CODE,
            &[
                user.as_bytes(),
                &reveal.certificate,
                &reveal.nonce,
                &answer.nonce,
                &answer.genesis,
                &answer.head.position.to_be_bytes(),
                &answer.head.hash,
            ],
        );
        let number = hash[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        Self((number % 1_000_000) as u32)
    }
}

impl fmt::Display for Code {
    /// Two groups of three digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// The new device's side, once it has committed itself.
pub struct NewDevice {
    user: UserId,
    reveal: Reveal,
}

impl NewDevice {
    /// Commits to a certificate and a nonce, 32 bytes from a cryptographic random source and for this approval alone. The
    /// commitment is sent; nothing else is before the answer (APPROVE-001).
    #[must_use]
    pub fn begin(certificate: &Certificate, nonce: Nonce) -> (Self, Hash) {
        let user = certificate.user();
        let reveal = Reveal { certificate: certificate.as_bytes().to_vec(), nonce };
        let commitment = commitment(user, &reveal);
        (Self { user, reveal }, commitment)
    }

    /// Takes the first answer: what is now sent, and the code to show. A second one would let the server choose, so there is none:
    /// an approval that goes wrong is begun anew (APPROVE-002).
    #[must_use]
    pub fn handle_answer(self, answer: &Answer) -> (Reveal, Code) {
        let code = Code::of(self.user, &self.reveal, answer);
        (self.reveal, code)
    }
}

impl fmt::Debug for NewDevice {
    /// What it will reveal is a secret until then.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewDevice(..)")
    }
}

/// The approving device's side, once it has answered.
#[derive(Debug)]
pub struct Approver {
    user: UserId,
    commitment: Hash,
    answer: Answer,
}

impl Approver {
    /// Answers a commitment. `answer.nonce` is drawn after the commitment was received.
    #[must_use]
    pub const fn answer(user: UserId, commitment: Hash, answer: Answer) -> Self {
        Self { user, commitment, answer }
    }

    /// Checks what the new device reveals.
    ///
    /// # Errors
    /// [`ApprovalError`]: nothing is shown then, and nothing approved.
    pub fn handle_reveal(self, reveal: &Reveal) -> Result<ToCompare, ApprovalError> {
        if commitment(self.user, reveal) != self.commitment {
            return Err(ApprovalError::Commitment);
        }
        let certificate = Certificate::decode(&reveal.certificate)?;
        if certificate.user() != self.user {
            return Err(ApprovalError::OtherUser);
        }
        Ok(ToCompare { code: Code::of(self.user, reveal, &self.answer), certificate })
    }
}

/// A certificate that waits for its user.
#[derive(Debug)]
pub struct ToCompare {
    code: Code,
    certificate: Certificate,
}

impl ToCompare {
    /// The digits to show.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The certificate, once the user said that both devices show the same digits (APPROVE-005): it may be added to the device log.
    #[must_use]
    pub fn confirmed(self) -> Certificate {
        self.certificate
    }
}

/// APPROVE-001.
fn commitment(user: UserId, reveal: &Reveal) -> Hash {
    label::hash(label::APPROVAL_COMMITMENT, &[user.as_bytes(), &reveal.certificate, &reveal.nonce])
}

#[cfg(test)]
mod tests {
    use aside_proto::id::DeviceId;

    use super::*;
    use crate::{MlsKey, SUITE_P256, SigningKey};

    const USER: UserId = UserId::new([1; 16]);

    fn certificate(user: UserId, key: u8) -> Certificate {
        let key = SigningKey::from_bytes(&[key; 32]).unwrap();
        let mls = MlsKey { suite: SUITE_P256, public_key: key.public_key().as_bytes().to_vec() };
        Certificate::issue(user, DeviceId::new([2; 16]), &key, &[mls]).unwrap()
    }

    fn answer(nonce: u8) -> Answer {
        let head = LogHead { position: 3, hash: [5; 32] };
        Answer { nonce: [nonce; 32], genesis: [4; 32], head }
    }

    #[test]
    fn debug_shows_no_secret() {
        let (new, _) = NewDevice::begin(&certificate(USER, 7), [9; 32]);
        insta::assert_snapshot!(format!("{new:?}"), @"NewDevice(..)");
    }

    // cites: APPROVE-001, APPROVE-004, APPROVE-005
    #[test]
    fn both_devices_show_the_same_digits() {
        let mine = certificate(USER, 7);
        let (new, commitment) = NewDevice::begin(&mine, [9; 32]);
        let approver = Approver::answer(USER, commitment, answer(8));
        let (reveal, code) = new.handle_answer(&answer(8));
        let shown = approver.handle_reveal(&reveal).unwrap();
        assert_eq!(shown.code(), code);
        assert_eq!(shown.confirmed(), mine);
    }

    #[test]
    fn small_codes_have_six_digits_too() {
        assert_eq!(Code(42).to_string(), "000 042");
        assert_eq!(Code(999_999).to_string(), "999 999");
    }

    // cites: APPROVE-003
    #[test]
    fn only_what_was_committed_to_is_taken() {
        let (new, commitment) = NewDevice::begin(&certificate(USER, 7), [9; 32]);
        let (reveal, _) = new.handle_answer(&answer(8));
        let refused = |commitment, reveal: Reveal| {
            let approver = Approver::answer(USER, commitment, answer(8));
            approver.handle_reveal(&reveal).map(|_| ()).unwrap_err()
        };
        let other = Reveal { nonce: [0; 32], ..reveal.clone() };
        assert_eq!(refused(commitment, other), ApprovalError::Commitment);
        let other =
            Reveal { certificate: certificate(USER, 6).as_bytes().to_vec(), ..reveal.clone() };
        assert_eq!(refused(commitment, other), ApprovalError::Commitment);
        assert_eq!(refused([0; 32], reveal), ApprovalError::Commitment);
    }

    #[test]
    fn what_is_no_certificate_of_the_user_is_refused() {
        let refused = |certificate: Vec<u8>| {
            let reveal = Reveal { certificate, nonce: [9; 32] };
            let approver = Approver::answer(USER, commitment(USER, &reveal), answer(8));
            approver.handle_reveal(&reveal).map(|_| ()).unwrap_err()
        };
        let broken = refused(b"\xff".to_vec());
        assert_eq!(broken, ApprovalError::Certificate(CertificateError::Malformed));
        let other = certificate(UserId::new([3; 16]), 7).as_bytes().to_vec();
        assert_eq!(refused(other), ApprovalError::OtherUser);
    }

    // cites: APPROVE-004
    #[test]
    fn every_part_of_what_was_said_decides_the_digits() {
        let usual = Reveal { certificate: b"certificate".to_vec(), nonce: [9; 32] };
        let code = |reveal: &Reveal, answer: &Answer| Code::of(USER, reveal, answer);
        let head = |position, hash| LogHead { position, hash: [hash; 32] };
        let others = [
            Code::of(UserId::new([2; 16]), &usual, &answer(8)),
            code(&Reveal { nonce: [8; 32], ..usual.clone() }, &answer(8)),
            code(&Reveal { certificate: b"Certificate".to_vec(), ..usual.clone() }, &answer(8)),
            code(&usual, &answer(9)),
            code(&usual, &Answer { genesis: [5; 32], ..answer(8) }),
            code(&usual, &Answer { head: head(4, 5), ..answer(8) }),
            code(&usual, &Answer { head: head(3, 6), ..answer(8) }),
        ];
        assert!(!others.contains(&code(&usual, &answer(8))), "{others:?}");
    }
}
