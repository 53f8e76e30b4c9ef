//! What a session is told about its server and its transport.

use aside_crypto::Binding;
use aside_proto::v1;

/// What is the same for every connection of a server; shared by them all.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the server accepts; [`aside_proto::limits::check`] has passed it.
    pub limits: v1::Limits,
    /// The host names and address literals that clients dial (HELLO-009), ASCII case ignored.
    pub server_names: Vec<String>,
    /// The capabilities the server has, sorted by bytes, without repeats (HELLO-005).
    pub capabilities: Vec<String>,
    /// Whether Register is accepted (AUTH-010).
    pub registration: v1::RegistrationMode,
    /// The key that signs heads, and how it came to be that key (HELLO-014).
    pub log_key: v1::LogKey,
    /// Name and version of the server program, at most 64 bytes.
    pub user_agent: String,
}

/// What carries the connection, with what it can bind proofs to.
#[derive(Debug, Clone)]
pub enum Transport {
    /// Frames on a TLS stream: [`Session::handle_bytes`](super::Session::handle_bytes).
    Tls {
        /// RFC 9266 `tls-exporter` of this connection.
        exporter: [u8; 32],
        /// SHA-256 of the server's leaf certificate, DER.
        cert_sha256: [u8; 32],
    },
    /// WebSocket messages over TLS: [`Session::handle_message`](super::Session::handle_message).
    WebSocket {
        /// RFC 9266 `tls-exporter` of this connection.
        exporter: [u8; 32],
        /// SHA-256 of the server's leaf certificate, DER.
        cert_sha256: [u8; 32],
        /// Whether the operator lets proofs go without binding, for browsers (HELLO-015).
        allow_none: bool,
    },
}

impl Transport {
    /// The types offered in Greeted, in order of number (HELLO-015).
    pub(super) fn binding_types(&self) -> Vec<i32> {
        let mut types = vec![v1::BindingType::Exporter, v1::BindingType::CertSha256];
        if let Self::WebSocket { allow_none: true, .. } = self {
            types.push(v1::BindingType::None);
        }
        types.into_iter().map(i32::from).collect()
    }

    /// The binding of a type, if it is offered here (AUTH-003).
    pub(super) fn binding(&self, binding_type: i32) -> Option<Binding> {
        let (Self::Tls { exporter, cert_sha256 } | Self::WebSocket { exporter, cert_sha256, .. }) =
            self;
        match v1::BindingType::try_from(binding_type).ok()? {
            v1::BindingType::Exporter => Some(Binding::Exporter(*exporter)),
            v1::BindingType::CertSha256 => Some(Binding::CertSha256(*cert_sha256)),
            v1::BindingType::None => {
                matches!(self, Self::WebSocket { allow_none: true, .. }).then_some(Binding::None)
            }
            v1::BindingType::Unspecified => None,
        }
    }
}
