//! TLS as a script asks for it.

use std::{collections::HashMap, io, sync::Arc, sync::LazyLock, sync::Mutex, sync::PoisonError};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    client::{Resumption as RustlsResumption, WebPkiServerVerifier},
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    script::{ActorSpec, TlsSpec, TlsVersion, Transport},
    value::{Val, record},
};

use super::{ConnectError, Endpoint};

/// Sessions that are kept to be resumed, with early data offered.
pub(crate) struct Resumption(RustlsResumption);

impl Resumption {
    pub(crate) fn new() -> Self {
        Self(RustlsResumption::in_memory_sessions(8))
    }
}

/// The verifier for a set of authorities, built once.
type Verifiers = HashMap<Vec<CertificateDer<'static>>, Arc<WebPkiServerVerifier>>;

static VERIFIERS: LazyLock<Mutex<Verifiers>> = LazyLock::new(Mutex::default);

fn verifier(
    authorities: &[CertificateDer<'static>],
) -> Result<Arc<WebPkiServerVerifier>, ConnectError> {
    let mut known = VERIFIERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(verifier) = known.get(authorities) {
        return Ok(Arc::clone(verifier));
    }
    let mut roots = RootCertStore::empty();
    if authorities.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| {
            ConnectError::Script(format!("the authority's certificate: {error}"))
        })?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), super::provider())
        .build()
        .map_err(|error| {
            ConnectError::Script(format!("no authority to verify the server by: {error}"))
        })?;
    known.insert(authorities.to_vec(), Arc::clone(&verifier));
    Ok(verifier)
}

fn config(
    endpoint: &Endpoint,
    spec: &ActorSpec,
    resumption: Option<&Resumption>,
) -> Result<ClientConfig, ConnectError> {
    let tls = spec.tls.clone().unwrap_or_default();
    let version = match tls.max_version {
        Some(TlsVersion::V12) => &rustls::version::TLS12,
        _ => &rustls::version::TLS13,
    };
    let mut config = ClientConfig::builder_with_provider(super::provider())
        .with_protocol_versions(&[version])
        .map_err(|error| ConnectError::Script(error.to_string()))?
        .with_webpki_verifier(verifier(&endpoint.authorities)?)
        .with_no_client_auth();
    config.alpn_protocols = alpn(&tls, spec.transport);
    match resumption {
        Some(Resumption(sessions)) => {
            config.resumption = sessions.clone();
            config.enable_early_data = true;
        }
        None => config.resumption = RustlsResumption::disabled(),
    }
    Ok(config)
}

fn alpn(tls: &TlsSpec, transport: Option<Transport>) -> Vec<Vec<u8>> {
    match (&tls.alpn, transport) {
        (Some(offered), _) => offered.iter().map(|name| name.as_bytes().to_vec()).collect(),
        (None, Some(Transport::Websocket)) => vec![b"http/1.1".to_vec()],
        (None, _) => vec![b"aside/1".to_vec()],
    }
}

/// Does the TLS handshake.
pub(super) async fn handshake(
    endpoint: &Endpoint,
    spec: &ActorSpec,
    tcp: TcpStream,
    resumption: Option<&Resumption>,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let sni = spec.tls.as_ref().and_then(|tls| tls.sni.clone());
    let name = ServerName::try_from(sni.unwrap_or_else(|| endpoint.server_name.clone()))
        .map_err(|error| ConnectError::Script(format!("the server's name: {error}")))?;
    let config = config(endpoint, spec, resumption)?;
    let connector = TlsConnector::from(Arc::new(config)).early_data(resumption.is_some());
    let mut stream = connector.connect(name, tcp).await.map_err(refused)?;
    if resumption.is_some() {
        // A handshake with early data is finished by the first write.
        use tokio::io::AsyncWriteExt as _;
        stream.flush().await.map_err(refused)?;
    }
    Ok(stream)
}

fn refused(error: io::Error) -> ConnectError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(error) => tls_error(error),
        None => ConnectError::Io(error),
    }
}

fn tls_error(error: &rustls::Error) -> ConnectError {
    match error {
        rustls::Error::AlertReceived(alert) => {
            ConnectError::Alert(snake_case(&format!("{alert:?}")))
        }
        other => ConnectError::Tls(other.to_string()),
    }
}

/// `NoApplicationProtocol` as RFC 8446 writes it.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(character.to_lowercase());
    }
    out
}

/// What was negotiated.
pub(super) fn facts(session: &ClientConnection) -> Val {
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        _ => "",
    };
    let alpn = String::from_utf8_lossy(session.alpn_protocol().unwrap_or_default()).into_owned();
    record([
        ("version", version.into()),
        ("alpn", Val::Text(alpn)),
        ("early_data_accepted", Val::Bool(session.is_early_data_accepted())),
        ("resumed", Val::Bool(session.handshake_kind() == Some(rustls::HandshakeKind::Resumed))),
    ])
}

#[cfg(test)]
mod tests {
    #[test]
    fn alerts_are_named_as_the_rfc_does() {
        let alert = format!("{:?}", rustls::AlertDescription::NoApplicationProtocol);
        assert_eq!(super::snake_case(&alert), "no_application_protocol");
    }
}
