//! From Connected to Greeted: what a client says of itself, and what it accepts of a server.

use aside_crypto::{Binding, KeyError, PublicKey, Rotation, RotationError, SignatureLengthError};
use aside_proto::{
    VERSION,
    frame::FrameError,
    id::IdLengthError,
    limits::{self, LimitError, NONCE_BYTES},
    v1,
};

use super::message::DeviceKeyError;

/// What a client brings to a connection.
#[derive(Debug, Clone)]
pub struct Config {
    /// The host name or address that was dialled and that the certificate was verified for (HELLO-010). Lower case is made of it.
    pub server_name: String,
    /// Name and version of the program, at most 64 bytes.
    pub user_agent: String,
    /// The capabilities wanted, by name.
    pub capabilities: Vec<String>,
    /// What ties proofs to this connection. [`Binding::None`] only if the user chose so (AUTH-004).
    pub binding: Binding,
    /// The server's log key as it is remembered; `None` at first contact (HEAD-004).
    pub log_key: Option<PublicKey>,
}

/// What a server said of itself, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Greeting {
    /// The capabilities in force.
    pub capabilities: Vec<String>,
    /// What the server accepts; within the bounds of the specification.
    pub limits: v1::Limits,
    /// The key that signs heads: the one remembered, or reached from it (HEAD-004). To be remembered from now on.
    pub log_key: PublicKey,
    /// The bindings the server accepts on this connection.
    pub binding_types: Vec<v1::BindingType>,
    /// Whether anyone may register.
    pub registration: v1::RegistrationMode,
    /// The server's clock, milliseconds since 1970.
    pub server_time_ms: u64,
    /// Name and version of the server program.
    pub user_agent: String,
}

/// The server breaks the protocol, or is not the one it was: the connection can't go on. The server is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// FRAME-010.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Greeted names a version that was not offered.
    #[error("the server chose version {0}, which was not offered")]
    Version(u32),
    /// HELLO-008.
    #[error("the server's nonce is {0} bytes, not 32")]
    Nonce(usize),
    /// HELLO-011 and the bounds of other limits.
    #[error(transparent)]
    Limits(#[from] LimitError),
    /// HELLO-014.
    #[error("the server's log key is no key: {0}")]
    LogKey(#[from] KeyError),
    /// HEAD-004, HEAD-007.
    #[error("the server's log key can't be accepted: {0}")]
    Rotation(#[from] RotationError),
    /// CONV-001.
    #[error(transparent)]
    Signature(#[from] SignatureLengthError),
    /// CONV-001.
    #[error(transparent)]
    Id(#[from] IdLengthError),
    /// CONV-001, CONV-002.
    #[error("the server names a device's key that is none: {0}")]
    DeviceKey(#[from] DeviceKeyError),
    /// REQ-003: a reply to a request that is not in flight.
    #[error("the server replied to request {0}, which is not in flight")]
    UnknownReply(u64),
    /// REQ-003: a reply of another kind.
    #[error("the server's reply does not answer {0}")]
    WrongReply(&'static str),
}

impl Violation {
    /// Whether it lies in Greeted: the next would be the same, so the user is told instead of trying again.
    #[must_use]
    pub fn is_of_greeted(&self) -> bool {
        match self {
            Self::Version(_)
            | Self::Nonce(_)
            | Self::Limits(_)
            | Self::LogKey(_)
            | Self::Rotation(_)
            | Self::Signature(_) => true,
            Self::Frame(_)
            | Self::Id(_)
            | Self::DeviceKey(_)
            | Self::UnknownReply(_)
            | Self::WrongReply(_) => false,
        }
    }
}

/// Judges the log key of Greeted against the one remembered, if any; the result is to be remembered (HEAD-004, HEAD-007).
///
/// # Errors
/// [`Violation::LogKey`], [`Violation::Signature`] or [`Violation::Rotation`].
pub fn accept_log_key(
    remembered: Option<&PublicKey>,
    log_key: &v1::LogKey,
) -> Result<PublicKey, Violation> {
    let current = PublicKey::from_bytes(&log_key.public_key)?;
    let rotations =
        log_key.rotations.iter().map(rotation).collect::<Result<Vec<_>, Violation>>()?;
    aside_crypto::follow_rotations(remembered.unwrap_or(&current), &current, &rotations)?;
    Ok(current)
}

fn rotation(rotation: &v1::LogKeyRotation) -> Result<Rotation, Violation> {
    Ok(Rotation {
        old: PublicKey::from_bytes(&rotation.old_key)?,
        new: PublicKey::from_bytes(&rotation.new_key)?,
        signature: rotation.signature[..].try_into()?,
    })
}

/// The phase before Greeted.
#[derive(Debug)]
pub(super) struct Connected {
    config: Config,
    client_nonce: [u8; NONCE_BYTES],
}

/// The phase between Greeted and Authenticated: all that a log-in is signed over.
#[derive(Debug)]
pub(super) struct Greeted {
    pub(super) greeting: Greeting,
    pub(super) binding: Binding,
    pub(super) server_name: String,
    pub(super) server_nonce: [u8; NONCE_BYTES],
    pub(super) client_nonce: [u8; NONCE_BYTES],
}

impl Connected {
    pub(super) fn new(mut config: Config, client_nonce: [u8; NONCE_BYTES]) -> Self {
        config.server_name.make_ascii_lowercase();
        Self { config, client_nonce }
    }

    pub(super) fn hello(&self) -> v1::Hello {
        let mut hello = v1::Hello {
            versions: vec![VERSION],
            capabilities: self.config.capabilities.clone(),
            client_nonce: self.client_nonce.to_vec().into(),
            server_name: self.config.server_name.clone(),
            user_agent: self.config.user_agent.clone(),
        };
        self.grease(&mut hello);
        hello
    }

    /// EXT-003: one Hello in four carries values that mean nothing, so that servers stay able to ignore them. The nonce is
    /// random enough to choose by.
    fn grease(&self, hello: &mut v1::Hello) {
        let [choice, value, ..] = self.client_nonce;
        if choice % 4 == 0 {
            let nibble = u32::from(value >> 4);
            hello.versions.push(nibble << 12 | nibble << 4 | 0x0a0a);
            hello.capabilities.push(format!("grease-{value:02x}"));
        }
    }

    pub(super) fn handle(self, greeted: v1::Greeted) -> Result<Greeted, Violation> {
        if greeted.version != VERSION {
            return Err(Violation::Version(greeted.version));
        }
        let server_nonce = greeted.server_nonce[..]
            .try_into()
            .map_err(|_| Violation::Nonce(greeted.server_nonce.len()))?;
        let limits = greeted.limits.unwrap_or_default();
        limits::check(&limits)?;
        let log_key = greeted.log_key.clone().unwrap_or_default();
        let log_key = accept_log_key(self.config.log_key.as_ref(), &log_key)?;
        let greeting = Greeting {
            limits,
            log_key,
            binding_types: greeted.binding_types().collect(),
            registration: greeted.registration(),
            server_time_ms: greeted.server_time_ms,
            capabilities: greeted.capabilities,
            user_agent: greeted.user_agent,
        };
        Ok(Greeted {
            greeting,
            binding: self.config.binding,
            server_name: self.config.server_name,
            server_nonce,
            client_nonce: self.client_nonce,
        })
    }
}
