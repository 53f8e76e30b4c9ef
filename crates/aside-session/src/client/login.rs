//! Logging in: the request, and the proof in it.

use std::fmt;

use aside_crypto::{Signature, SigningKey, Transcript};
use aside_proto::{
    id::{DeviceId, IdempotencyKey},
    v1::{self, client_frame::Body},
};

use super::{event::RequestError, greeting::Greeted};

/// A way to become Authenticated.
#[derive(Clone, Copy)]
pub enum Login<'a> {
    /// Makes an account with this device as its first.
    Register {
        /// Made once and kept across retries (IDEM-001).
        key: IdempotencyKey,
        /// The handle wanted.
        handle: &'a str,
        /// The account's password from now on.
        password: &'a str,
        /// What to do when the handle is in use.
        on_conflict: v1::OnConflict,
        /// The device's name: 1 to 64 bytes.
        device_name: &'a str,
    },
    /// Logs in with the password and binds this device, or finds it bound.
    Password {
        /// The account's handle.
        handle: &'a str,
        /// Its password.
        password: &'a str,
        /// The device's name: 1 to 64 bytes.
        device_name: &'a str,
    },
    /// Logs in with the key of a device bound earlier.
    Device {
        /// The device's id.
        device_id: DeviceId,
    },
    /// Logs in as a token. Nothing is signed for it.
    Token {
        /// The token's id.
        token_id: DeviceId,
        /// Its secret.
        secret: &'a [u8; 32],
    },
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { handle, .. } => write!(f, "Register({handle:?}, ..)"),
            Self::Password { handle, .. } => write!(f, "Password({handle:?}, ..)"),
            Self::Device { device_id } => write!(f, "Device({device_id})"),
            Self::Token { token_id, .. } => write!(f, "Token({token_id}, ..)"),
        }
    }
}

/// A log-in can't be sent. The caller, or the server's policy, is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The server does not accept the binding of this connection; there is no silent fallback (AUTH-004).
    #[error("the server does not accept this connection's channel binding")]
    BindingNotOffered,
    /// The request can't be sent now, or not at all.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Greeted {
    /// The request of a log-in, with its idempotency key if it has one.
    pub(super) fn log_in(
        &self,
        login: &Login<'_>,
        key: &SigningKey,
    ) -> Result<(Option<IdempotencyKey>, Body), LoginError> {
        let is_bound = !matches!(login, Login::Token { .. });
        if is_bound && !self.greeting.binding_types.contains(&self.binding.type_()) {
            return Err(LoginError::BindingNotOffered);
        }
        Ok(match *login {
            Login::Register { key: effect, handle, password, on_conflict, device_name } => {
                let register = v1::Register {
                    handle: handle.into(),
                    password: password.into(),
                    on_conflict: on_conflict.into(),
                    device: Some(self.new_device(key, device_name)),
                };
                (Some(effect), Body::Register(register))
            }
            Login::Password { handle, password, device_name } => {
                let login = v1::PasswordLogin {
                    handle: handle.into(),
                    password: password.into(),
                    device: Some(self.new_device(key, device_name)),
                };
                (None, Body::PasswordLogin(login))
            }
            Login::Device { device_id } => {
                let proof = self.proof(self.transcript().sign_login(key, device_id));
                let device_id = device_id.to_bytes();
                (None, Body::DeviceLogin(v1::DeviceLogin { device_id, proof: Some(proof) }))
            }
            Login::Token { token_id, secret } => {
                let (token_id, secret) = (token_id.to_bytes(), secret.to_vec().into());
                (None, Body::TokenLogin(v1::TokenLogin { token_id, secret }))
            }
        })
    }

    fn new_device(&self, key: &SigningKey, name: &str) -> v1::NewDevice {
        v1::NewDevice {
            public_key: key.public_key().as_bytes().to_vec().into(),
            name: name.into(),
            proof: Some(self.proof(self.transcript().sign_bind(key))),
        }
    }

    fn transcript(&self) -> Transcript<'_> {
        Transcript {
            binding: self.binding,
            server_name: &self.server_name,
            server_nonce: &self.server_nonce,
            client_nonce: &self.client_nonce,
        }
    }

    fn proof(&self, signature: Signature) -> v1::DeviceProof {
        v1::DeviceProof {
            binding_type: self.binding.type_().into(),
            signature: signature.as_bytes().to_vec().into(),
        }
    }
}
