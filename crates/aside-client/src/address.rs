//! Where a server is, and who calls.

use std::{fmt, net::IpAddr, str::FromStr};

use aside_proto::{DEFAULT_PORT, WEBSOCKET_PATH};

/// The port that `wss://` means when none is given.
const HTTPS_PORT: u16 = 443;

/// `aside://alice@chat.example:7423`, or `wss://alice@chat.example` for a WebSocket.
///
/// The handle may be left out where an address means a server only. An IPv6 address stands in brackets.
///
/// ```
/// use aside_client::{Address, Transport};
///
/// let address: Address = "aside://alice@chat.example".parse()?;
/// assert_eq!(address.handle.as_deref(), Some("alice"));
/// assert_eq!((address.host.as_str(), address.port), ("chat.example", 7423));
/// assert_eq!(address.transport, Transport::Tls);
/// assert_eq!(address.to_string(), "aside://alice@chat.example:7423");
/// # Ok::<(), aside_client::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The account's handle.
    pub handle: Option<String>,
    /// Host name in lower case, without a dot at its end, or address literal without brackets (HELLO-010).
    pub host: String,
    /// TCP port; 7423 unless said otherwise, 443 with `wss://`.
    pub port: u16,
    /// How frames travel.
    pub transport: Transport,
}

/// How frames travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// On the TLS stream: `aside://`.
    Tls,
    /// In a WebSocket: `wss://`, for networks that let nothing else pass.
    WebSocket,
}

/// A text that is no address. The sentence is for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither `aside://` nor `wss://`.
    #[error("an address begins with aside:// or wss://, as in aside://alice@chat.example:7423")]
    Scheme,
    /// Nothing between `@` and `:`, or a name that is not in ASCII.
    #[error(
        "the address names no host, in ASCII (xn--…): it looks like aside://alice@chat.example:7423"
    )]
    Host,
    /// Nothing before `@`.
    #[error("the address has an empty handle before @")]
    Handle,
    /// Not a number from 1 to 65535.
    #[error("the port in the address is not a number from 1 to 65535")]
    Port,
    /// More than a host and a port.
    #[error("the address has a path; only {WEBSOCKET_PATH} may stand there, and only with wss://")]
    Path,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (transport, rest) = match text.split_once("://") {
            Some(("aside", rest)) => (Transport::Tls, rest),
            Some(("wss", rest)) => (Transport::WebSocket, rest),
            _ => return Err(AddressError::Scheme),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let allowed = matches!(path, "" | "/")
            || (transport == Transport::WebSocket && path == WEBSOCKET_PATH);
        if !allowed {
            return Err(AddressError::Path);
        }
        let (handle, server) = match authority.rsplit_once('@') {
            Some(("", _)) => return Err(AddressError::Handle),
            Some((handle, server)) => (Some(handle.to_owned()), server),
            None => (None, authority),
        };
        let (host, port) = split_port(server)?;
        let default_port = match transport {
            Transport::Tls => DEFAULT_PORT,
            Transport::WebSocket => HTTPS_PORT,
        };
        Ok(Self { handle, host: spell(host), port: port.unwrap_or(default_port), transport })
    }
}

/// A host as HELLO-010 spells it.
fn spell(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(literal) => literal.to_string(),
        Err(_) => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
    }
}

fn split_port(server: &str) -> Result<(&str, Option<u16>), AddressError> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(AddressError::Host)?;
            (
                host,
                if after.is_empty() { None } else { Some(after.strip_prefix(':').unwrap_or("")) },
            )
        }
        None => match server.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    // Names in other scripts are written as A-labels (HELLO-010).
    if matches!(host, "" | ".") || !host.is_ascii() {
        return Err(AddressError::Host);
    }
    let port = port.map(|port| port.parse().map_err(|_| AddressError::Port)).transpose()?;
    if port == Some(0) { Err(AddressError::Port) } else { Ok((host, port)) }
}

impl Address {
    /// Host and port, as a socket takes them and people write them: `chat.example:7423`, `[::1]:7423`.
    #[must_use]
    pub fn server(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.transport {
            Transport::Tls => "aside://",
            Transport::WebSocket => "wss://",
        })?;
        if let Some(handle) = &self.handle {
            write!(f, "{handle}@")?;
        }
        f.write_str(&self.server())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, AddressError> {
        text.parse::<Address>().map(|address| address.to_string())
    }

    // cites: HELLO-010
    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, expected) in [
            ("aside://Alice@Chat.Example", "aside://Alice@chat.example:7423"),
            ("aside://chat.example:99/", "aside://chat.example:99"),
            ("aside://b@[::1]", "aside://b@[::1]:7423"),
            ("aside://b@[::1]:8", "aside://b@[::1]:8"),
            ("aside://b@[2001:DB8:0:0::1]", "aside://b@[2001:db8::1]:7423"),
            ("aside://b@chat.example.:8", "aside://b@chat.example:8"),
            ("wss://b@chat.example/aside/v1", "wss://b@chat.example:443"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, expected) in [
            ("alice@chat.example", AddressError::Scheme),
            ("https://chat.example", AddressError::Scheme),
            ("aside://", AddressError::Host),
            ("aside://alice@:7423", AddressError::Host),
            ("aside://alice@.", AddressError::Host),
            ("aside://alice@b\u{fc}ro.example", AddressError::Host),
            ("aside://@host", AddressError::Handle),
            ("aside://host:", AddressError::Port),
            ("aside://host:0", AddressError::Port),
            ("aside://host:70000", AddressError::Port),
            ("aside://[::1]8", AddressError::Port),
            ("aside://[::1", AddressError::Host),
            ("aside://host/aside/v1", AddressError::Path),
            ("wss://host/chat", AddressError::Path),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }
}
