//! The cryptography of the Aside protocol: labelled hashes and signatures, P-256 keys, log-in proofs, the log's chain and
//! signed heads.
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
//! The crate knows no clock, no socket, no source of randomness and no Protobuf message: what is hashed or signed comes in as
//! the bytes that were received or are sent (CONV-004).

mod head;
mod key;
pub mod label;
mod log;
mod login;
mod token;

pub use head::{Rotation, RotationError, follow_rotations, sign_head, sign_rotation, verify_head};
pub use key::{KeyError, PublicKey, Signature, SignatureInvalid, SignatureLengthError, SigningKey};
pub use log::{MessageContext, chain_next, chain_start, payload_hash};
pub use login::{Binding, Transcript};
pub use token::{token_hash, verify_token};

/// Bytes of a hash or a chain value.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash, or a chain value.
pub type Hash = [u8; HASH_BYTES];
