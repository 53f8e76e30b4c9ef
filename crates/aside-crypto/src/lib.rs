//! The cryptography of the Aside protocol: labelled hashes and signatures, P-256 keys, log-in proofs, the log's chain and
//! signed heads; and what private conversations rest on: recovery phrases, device certificates, device logs, safety numbers,
//! the approval of new devices, and franking.
//!
//! Every hash and every signature is computed over a [`label`]led encoding (CONV-003), so that bytes made for one purpose
//! never pass for another; each purpose has a typed function here, and nothing else signs.
//!
//! ```
//! use aside_crypto::{Binding, SigningKey, Transcript};
//! use aside_proto::id::DeviceId;
//!
//! let key = SigningKey::from_bytes(&[7; 32])?;
//! let login = Transcript {
//!     binding: Binding::CertSha256([1; 32]),
//!     server_name: "chat.example",
//!     server_nonce: &[2; 32],
//!     client_nonce: &[3; 32],
//! };
//! let device = DeviceId::new([4; 16]);
//! let proof = login.sign_login(&key, device);
//! assert!(login.verify_login(&key.public_key(), device, &proof).is_ok());
//!
//! // A proof is good for one connection, one server name and one device.
//! let elsewhere = Transcript { server_name: "evil.example", ..login };
//! assert!(elsewhere.verify_login(&key.public_key(), device, &proof).is_err());
//! # Ok::<(), aside_crypto::KeyError>(())
//! ```
//!
//! # Whose device is this?
//!
//! ```text
//! RecoveryPhrase ──► account key ──signs──► DeviceLog: genesis, add, revoke, renew, override
//!   on paper           no device keeps it       ▲  holds Certificates    │ judge(device, position)
//!                                               │                        ▼
//! new device ── approval: a Code is compared ───┘                    Judgement
//!                                                        Pin ◄── genesis hash ──► SafetyNumber, QR code
//! ```
//!
//! The crate knows no clock, no socket and no source of randomness. What is hashed or signed comes in as the bytes that were
//! received or are sent (CONV-004); of Protobuf messages it reads those alone that stand inside such bytes and that it has to judge.

mod approval;
mod canonical;
mod certificate;
mod derive;
mod device_log;
mod direct;
mod franking;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod head;
mod key;
pub mod label;
mod log;
mod login;
mod recovery;
mod safety;
mod token;
#[cfg(test)]
mod wycheproof;

pub use approval::{
    APPROVAL_NONCE_BYTES, APPROVAL_PAUSE_MS, Answer, ApprovalAttempts, ApprovalError, Approver,
    Code, MAX_FAILED_APPROVALS, NewDevice, Reveal, ToCompare, ToConfirm,
};
pub use certificate::{
    Certificate, CertificateError, MAX_CERTIFICATE_BYTES, MAX_MLS_KEYS, MlsKey, SUITE_P256,
    SUITE_P384,
};
pub use device_log::{
    Change, DeviceLog, EntryError, JudgedNew, Judgement, LogHead, MAX_DEVICE_BYTES,
    MAX_DEVICE_ENTRIES, MAX_DEVICES, MAX_ENTRIES, MAX_LOG_BYTES, MAX_STATEMENT_BYTES, Pin,
    PinBreach, RESERVED_BYTES, RESERVED_ENTRIES, Signer, Standing, StatedHeadError,
};
pub use direct::direct_id;
pub use franking::{Envelope, EnvelopeError, FRANKING_KEY_BYTES, FrankingKey, TagInvalid};
pub use head::{Rotation, RotationError, follow_rotations, sign_head, sign_rotation, verify_head};
pub use key::{KeyError, PublicKey, Signature, SignatureInvalid, SignatureLengthError, SigningKey};
pub use log::{MessageContext, chain_next, chain_start, payload_hash};
pub use login::{Binding, Transcript};
pub use recovery::{PhraseError, RecoveryPhrase, Strength};
pub use safety::{Identity, SafetyNumber, SameUser, Scanned, compare_qr, qr_payload};
pub use token::{token_hash, verify_token};

/// Bytes of a hash or a chain value.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash, or a chain value.
pub type Hash = [u8; HASH_BYTES];
