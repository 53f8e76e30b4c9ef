//! How a client is to connect.

use std::path::PathBuf;

use aside_proto::v1;
use zeroize::Zeroizing;

use crate::{Address, BotToken, Trust, Unlock, private::Suite};

/// How a client is to connect. Made by [`Options::new`]; the fields may be changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The server and the account.
    pub address: Address,
    /// How the server shows that it is the one meant. `None`: as it was pinned before, else [`Trust::System`].
    pub trust: Option<Trust>,
    /// How to log in when the device's key is not enough.
    pub log_in: LogIn,
    /// Where the state lives. `None`: [`default_data_dir`](crate::default_data_dir).
    pub data_dir: Option<PathBuf>,
    /// What opens the state.
    pub unlock: Unlock,
    /// What the device is called in the account's list: 1 to 64 bytes without control characters.
    pub device_name: String,
    /// Name and version of the program: at most 64 bytes.
    pub user_agent: String,
    /// What ties log-ins to the TLS connection.
    pub binding: BindingKind,
    /// Whether to work on a copy of the state while another process is using it, instead of failing.
    pub shared: bool,
    /// Whether to start without a connection when the server can't be reached and this device has logged in before.
    pub offline: bool,
    /// The MLS suite of private conversations that this device begins, where all devices that are to come have a key for it (MLS-001).
    pub suite: Suite,
    /// How many entries that are kept already are told as events first, for each conversation.
    pub replay: u32,
    /// How many entries from before joining are fetched when a conversation is followed for the first time.
    pub history: u32,
}

/// How to log in when the device's key is not enough.
#[derive(Clone, Default)]
pub enum LogIn {
    /// Not at all: [`Error::PasswordNeeded`](crate::Error::PasswordNeeded) then says why it would be needed.
    #[default]
    Remembered,
    /// As a bot, by its token alone; the address needs no handle, and the state is the token's own.
    Token(Box<BotToken>),
    /// With the password.
    Password(Zeroizing<String>),
    /// By making the account, unless this device has logged in to it before.
    Register {
        /// The account's password from now on.
        password: Zeroizing<String>,
        /// What to do when the handle is in use.
        on_conflict: v1::OnConflict,
    },
}

impl std::fmt::Debug for LogIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Remembered => "Remembered",
            Self::Token(_) => "Token(..)",
            Self::Password(_) => "Password(..)",
            Self::Register { .. } => "Register(..)",
        })
    }
}

/// What ties log-ins to the TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BindingKind {
    /// The TLS exporter (RFC 9266).
    #[default]
    Exporter,
    /// The server's certificate.
    CertSha256,
    /// Nothing; only where a proxy ends TLS, and only if the server offers it (AUTH-004).
    None,
}

impl Options {
    /// Connects as this library would by itself: state in the user's data directory, 200 entries of history.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            address,
            trust: None,
            log_in: LogIn::default(),
            data_dir: None,
            unlock: Unlock::default(),
            device_name: "aside".into(),
            user_agent: concat!("aside-client/", env!("CARGO_PKG_VERSION")).into(),
            binding: BindingKind::default(),
            shared: false,
            offline: false,
            suite: Suite::P256Aes128,
            replay: 0,
            history: 200,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_printed() {
        let password = Zeroizing::new("correct horse".to_owned());
        let on_conflict = v1::OnConflict::Reject;
        for log_in in [LogIn::Password(password.clone()), LogIn::Register { password, on_conflict }]
        {
            let mut options = Options::new("aside://alice@host".parse().unwrap());
            options.log_in = log_in;
            options.unlock = Unlock::Passphrase("battery horse".to_owned().into());
            assert!(!format!("{options:?}").contains("horse"));
        }
    }
}
