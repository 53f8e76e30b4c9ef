//! How a device that is approved shows that a new device's certificate is the one it has: both show six digits, and their user
//! compares (APPROVE-001 to APPROVE-010).
//!
//! ```text
//! new device                                   server                             approving device
//! NewDevice::begin ── Commitment ────────────────────────────────────────────────► Approver::answer
//! NewDevice::handle_answer ◄──────────────────────────────────── Answer (a nonce, the device log)
//!    │  └───────────── Reveal (the certificate, a nonce) ────────────────────────► Approver::handle_reveal
//!    ▼                                                                               ▼
//! ToConfirm ◄─────────────────────── the user compares ────────────────────────► ToCompare
//!    └── confirmed ──► Pin                                                           └── confirmed ──► Certificate
//! ```
//!
//! Each side has what it wanted only of the value whose `confirmed` is called when the user said, on that device, that the digits
//! are alike. How often that may go wrong is kept by [`ApprovalAttempts`].
//!
//! The new device says first, by a hash, what it will reveal. A server between the two has to choose what it shows to either before
//! it knows the nonces that decide the digits, so it cannot try certificates until the digits are alike: one attempt in a million
//! passes, and each costs the user a comparison that failed.

use std::fmt;

use aside_proto::id::{DeviceId, UserId};

use crate::{
    Certificate, CertificateError, DeviceLog, Hash, Identity, LogHead, Pin, PinBreach, label,
};

/// Bytes of the nonces that both sides draw.
pub const APPROVAL_NONCE_BYTES: usize = 32;

/// APPROVE-010: approvals in a row that may fail.
pub const MAX_FAILED_APPROVALS: u8 = 3;
/// APPROVE-010: how long there is none after so many, in milliseconds.
pub const APPROVAL_PAUSE_MS: u64 = 24 * 60 * 60 * 1000;

type Nonce = [u8; APPROVAL_NONCE_BYTES];

/// What an approving device answers a commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// A code that was read somewhere; none if it has more than six digits.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number < 1_000_000 { Some(Self(number)) } else { None }
    }

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
    /// Commits to a certificate and a nonce that it draws. The commitment is sent; nothing else is before the answer (APPROVE-001).
    /// `random` fills a slice from a cryptographic random source.
    #[must_use]
    pub fn begin(certificate: &Certificate, random: &mut dyn FnMut(&mut [u8])) -> (Self, Hash) {
        let user = certificate.user();
        let certificate = certificate.as_bytes().to_vec();
        let reveal = Reveal { certificate, nonce: draw(random) };
        let commitment = commitment(user, &reveal);
        (Self { user, reveal }, commitment)
    }

    /// Takes the first answer: what is now sent, and what the user has to confirm. A second one would let the server choose, so
    /// there is none: an approval that goes wrong is begun anew (APPROVE-002).
    #[must_use]
    pub fn handle_answer(self, answer: &Answer) -> (Reveal, ToConfirm) {
        let code = Code::of(self.user, &self.reveal, answer);
        let identity = Identity { user: self.user, genesis: answer.genesis };
        (self.reveal, ToConfirm { code, identity, head: answer.head })
    }
}

/// The device log that an approving device named, and that waits for the new device's user. Until then it may be the server's.
#[derive(Debug)]
pub struct ToConfirm {
    code: Code,
    identity: Identity,
    head: LogHead,
}

impl ToConfirm {
    /// The digits to show.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The pin of the user's own log, once the user said on this device that both show the same digits (APPROVE-008). It counts as
    /// verified: the digits are of the genesis, too.
    ///
    /// # Errors
    /// [`PinBreach`] if `log`, which the server handed out, is not the one that the approving device has, or ends before it did.
    pub fn confirmed(self, server: &str, log: &DeviceLog) -> Result<Pin, PinBreach> {
        let Identity { user, genesis } = self.identity;
        let mut pin =
            Pin { server: server.to_owned(), user, genesis, seen: self.head, verified: true };
        pin.follow(log)?;
        Ok(pin)
    }
}

impl fmt::Debug for NewDevice {
    /// What it will reveal is a secret until then.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewDevice(..)")
    }
}

/// The approving device's side, once it has answered: one answer, and one reveal (APPROVE-007).
pub struct Approver {
    user: UserId,
    commitment: Hash,
    answer: Answer,
}

impl Approver {
    /// Answers a commitment with the device log as it stands and a nonce that is drawn now, when it is too late to choose another
    /// certificate for it (APPROVE-006). `random` fills a slice from a cryptographic random source.
    #[must_use]
    pub fn answer(
        identity: &Identity,
        head: LogHead,
        commitment: Hash,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> (Self, Answer) {
        let answer = Answer { nonce: draw(random), genesis: identity.genesis, head };
        (Self { user: identity.user, commitment, answer: answer.clone() }, answer)
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

impl fmt::Debug for Approver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Approver(..)")
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

    /// The device that the certificate names.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.certificate.device()
    }

    /// The certificate, once the user said that both devices show the same digits (APPROVE-005): it may be added to the device log.
    #[must_use]
    pub fn confirmed(self) -> Certificate {
        self.certificate
    }
}

/// How many approvals failed in a row on this device, to be kept by it (APPROVE-010): what the user said was not the same, and what
/// ended by an [`ApprovalError`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApprovalAttempts {
    /// How many.
    pub failed: u8,
    /// When the last did, in milliseconds since 1970.
    pub last_ms: u64,
}

impl ApprovalAttempts {
    /// Whether another approval may begin. A clock that was set back makes the pause longer.
    #[must_use]
    pub const fn may_begin(&self, now_ms: u64) -> bool {
        self.failed < MAX_FAILED_APPROVALS
            || now_ms >= self.last_ms.saturating_add(APPROVAL_PAUSE_MS)
    }

    /// Takes note of one that failed.
    pub const fn failed(&mut self, now_ms: u64) {
        let after_pause = self.failed >= MAX_FAILED_APPROVALS && self.may_begin(now_ms);
        self.failed = if after_pause { 1 } else { self.failed.saturating_add(1) };
        self.last_ms = now_ms;
    }

    /// Takes note of one that was confirmed.
    pub fn confirmed(&mut self) {
        *self = Self::default();
    }
}

fn draw(random: &mut dyn FnMut(&mut [u8])) -> Nonce {
    let mut nonce = [0; APPROVAL_NONCE_BYTES];
    random(&mut nonce);
    nonce
}

/// APPROVE-001.
fn commitment(user: UserId, reveal: &Reveal) -> Hash {
    label::hash(label::APPROVAL_COMMITMENT, &[user.as_bytes(), &reveal.certificate, &reveal.nonce])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, MlsKey, SUITE_P256, Signer, SigningKey};

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

    fn approver(commitment: Hash, nonce: u8) -> Approver {
        let Answer { genesis, head, .. } = answer(nonce);
        let identity = Identity { user: USER, genesis };
        Approver::answer(&identity, head, commitment, &mut |out| out.fill(nonce)).0
    }

    #[test]
    fn debug_shows_no_secret() {
        let (new, commitment) = NewDevice::begin(&certificate(USER, 7), &mut |out| out.fill(9));
        insta::assert_snapshot!(format!("{new:?} {:?}", approver(commitment, 8)), @"NewDevice(..) Approver(..)");
    }

    // cites: APPROVE-006, APPROVE-007
    #[test]
    fn each_commitment_has_a_nonce_of_its_own() {
        let mut count = 0;
        let mut random = |out: &mut [u8]| {
            count += 1;
            out.fill(count);
        };
        let identity = Identity { user: USER, genesis: [4; 32] };
        let head = answer(0).head;
        let mut draw = |commitment| Approver::answer(&identity, head, commitment, &mut random).1;
        assert_eq!([draw([0; 32]), draw([0; 32])], [answer(1), answer(2)]);
    }

    // cites: APPROVE-008
    #[test]
    fn a_new_device_pins_what_its_user_confirmed() {
        let account = SigningKey::from_bytes(&[0x70; 32]).unwrap();
        let first = certificate(USER, 7);
        let log = DeviceLog::begin(USER, &DeviceLog::sign_genesis(&account, &first)).unwrap();
        let mine = {
            let key = SigningKey::from_bytes(&[6; 32]).unwrap();
            let mls =
                MlsKey { suite: SUITE_P256, public_key: key.public_key().as_bytes().to_vec() };
            Certificate::issue(USER, DeviceId::new([3; 16]), &key, &[mls]).unwrap()
        };
        let approve = |log: &DeviceLog| {
            let (new, commitment) = NewDevice::begin(&mine, &mut |out| out.fill(9));
            let (approver, answer) =
                Approver::answer(&log.identity(), log.head(), commitment, &mut |out| out.fill(8));
            let (reveal, to_confirm) = new.handle_answer(&answer);
            let to_compare = approver.handle_reveal(&reveal).unwrap();
            assert_eq!(to_confirm.code(), to_compare.code());
            (to_confirm, to_compare.confirmed())
        };
        let (to_confirm, approved) = approve(&log);
        let mut longer = log.clone();
        let account_adds = longer.sign_next(Signer::Account, &account, &Change::Add(approved));
        longer.apply(&account_adds).unwrap();
        let pin = to_confirm.confirmed("chat.example", &longer).unwrap();
        assert_eq!(pin, Pin { verified: true, ..Pin::first("chat.example", &longer) });

        let impostor = SigningKey::from_bytes(&[0x71; 32]).unwrap();
        let other = DeviceLog::begin(USER, &DeviceLog::sign_genesis(&impostor, &first)).unwrap();
        let refused =
            |log: &DeviceLog, given: &DeviceLog| approve(log).0.confirmed("chat.example", given);
        assert_eq!(refused(&log, &other), Err(PinBreach::IdentityChanged));
        assert_eq!(refused(&longer, &log), Err(PinBreach::Shorter(1)));
    }

    // cites: APPROVE-010
    #[test]
    fn approvals_that_fail_are_counted() {
        let mut attempts = ApprovalAttempts::default();
        for _ in 0..MAX_FAILED_APPROVALS {
            assert!(attempts.may_begin(1));
            attempts.failed(1);
        }
        assert!(!attempts.may_begin(APPROVAL_PAUSE_MS));
        let later = APPROVAL_PAUSE_MS + 1;
        assert!(attempts.may_begin(later));
        attempts.failed(later);
        assert_eq!(attempts, ApprovalAttempts { failed: 1, last_ms: later });
        attempts.confirmed();
        assert_eq!(attempts, ApprovalAttempts::default());
    }

    // cites: APPROVE-001, APPROVE-004, APPROVE-005
    #[test]
    fn both_devices_show_the_same_digits() {
        let mine = certificate(USER, 7);
        let (new, commitment) = NewDevice::begin(&mine, &mut |out| out.fill(9));
        let (reveal, to_confirm) = new.handle_answer(&answer(8));
        let shown = approver(commitment, 8).handle_reveal(&reveal).unwrap();
        assert_eq!(shown.code(), to_confirm.code());
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
        let (new, commitment) = NewDevice::begin(&certificate(USER, 7), &mut |out| out.fill(9));
        let (reveal, _) = new.handle_answer(&answer(8));
        let refused = |commitment, reveal: Reveal| {
            approver(commitment, 8).handle_reveal(&reveal).map(|_| ()).unwrap_err()
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
            let approver = approver(commitment(USER, &reveal), 8);
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
