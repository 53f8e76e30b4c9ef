//! What a driver answers: what came of a command.

use aside_crypto::PublicKey;
use aside_proto::{
    id::{DeviceId, UserId},
    name::Name,
    token::TokenScopes,
    v1,
};

use super::Refusal;

/// What came of a command.
#[allow(clippy::large_enum_variant, reason = "most are replies, and a box for each costs more")]
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was done, and what it changed is durable: the reply to send.
    Reply(v1::server_frame::Body),
    /// It was not done. A refusal of scope connection closes the connection.
    Refused(Refusal),
    /// Of Register and PasswordLogin: the account and the device are durable (AUTH-011).
    LoggedIn {
        /// The account.
        user_id: UserId,
        /// The device, new or known (AUTH-023).
        device_id: DeviceId,
    },
    /// Of FindDevice: the device, if there is one.
    Device(Option<DeviceRecord>),
    /// Of FindToken: the token, if there is one.
    Token(Option<TokenRecord>),
    /// Of Attach.
    Attached {
        /// The account's handle as it is now.
        handle: Name,
    },
}

/// What the store knows of a device that wants to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Its account.
    pub user_id: UserId,
    /// Its login key.
    pub public_key: PublicKey,
    /// Whether it may log in.
    pub state: DeviceState,
}

/// What the store knows of a token that wants to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its account.
    pub user_id: UserId,
    /// Of its secret.
    pub token_hash: [u8; 32],
    /// What it may do.
    pub scopes: TokenScopes,
    /// When it ends, milliseconds since 1970.
    pub expires_ms: u64,
    /// Whether it may never log in again.
    pub is_revoked: bool,
}

/// Whether a device may log in, once it has proved that it is that device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    /// It may.
    Active,
    /// Not seen for `device_expiry_s`: by password only (AUTH-032).
    Expired,
    /// Never again (AUTH-031).
    Revoked,
}
