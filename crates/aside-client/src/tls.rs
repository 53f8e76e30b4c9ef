//! TLS to a server whose certificate is verified or pinned: there is no third way (TLS-006).

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, OnceLock},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Address, Transport};

/// How a server shows that it is the one meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// By a certificate from an authority that this machine trusts.
    System,
    /// By a certificate from an authority in this PEM file, or by one of the certificates in it.
    CaFile(PathBuf),
    /// By the one certificate with this fingerprint, whatever name it is for.
    Fingerprint(Fingerprint),
}

/// SHA-256 of a certificate, DER.
///
/// ```
/// use aside_client::Fingerprint;
///
/// let colons = "AB:".repeat(31) + "AB";
/// let fingerprint: Fingerprint = colons.parse()?;
/// assert_eq!(fingerprint.to_string(), "ab".repeat(32));
/// # Ok::<(), aside_client::FingerprintError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits, with or without colons between the bytes")]
pub struct FingerprintError;

impl Fingerprint {
    /// The fingerprint of a certificate, DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits: String = text.trim().chars().filter(|c| *c != ':').collect();
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| FingerprintError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The server can't be reached.
    #[error("{server} can't be reached: {source}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate is not the one that was pinned.
    #[error(
        "the server's certificate is not the one that was pinned: its fingerprint is {found}, not {pinned}"
    )]
    FingerprintChanged {
        /// The one the user gave or confirmed.
        pinned: Fingerprint,
        /// The one that came.
        found: Fingerprint,
    },
    /// The certificate is from no authority that is trusted, or for another name, or out of date.
    #[error("the server's certificate can't be verified: {reason}; its fingerprint is {found}")]
    Untrusted {
        /// What is wrong with it.
        reason: String,
        /// Its fingerprint.
        found: Fingerprint,
    },
    /// The handshake failed otherwise: no TLS 1.3, or no Aside server.
    #[error("no Aside server answers at {server}: {source}")]
    Handshake {
        /// Host and port.
        server: String,
        /// What TLS says.
        source: io::Error,
    },
    /// The file of certificates can't be used.
    #[error("the certificates in {} can't be used: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// This machine trusts no authority at all.
    #[error("this machine has no certificates of authorities to verify a server by")]
    NoRoots,
}

/// A TLS connection to the server that was meant.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    /// RFC 9266.
    pub(crate) exporter: [u8; 32],
    /// SHA-256 of the certificate, which serves as a binding too.
    pub(crate) fingerprint: Fingerprint,
}

/// Connects and makes sure of the server.
pub(crate) async fn connect(address: &Address, trust: &Trust) -> Result<Secured, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Verifier::new(trust, provider)?);
    let config = client_config(Arc::clone(&verifier), address.transport);
    let server = address.server();
    let unreachable = |source| TlsError::Unreachable { server: server.clone(), source };
    let name = ServerName::try_from(address.host.clone())
        .map_err(|error| unreachable(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let stream =
        TcpStream::connect((address.host.as_str(), address.port)).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| verifier.explain(error, &server))?;
    let failed = |source| TlsError::Handshake { server: server.clone(), source };
    let session = stream.get_ref().1;
    if session.alpn_protocol() != Some(alpn(address.transport)) {
        let reason = "it does not speak the protocol";
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, reason)));
    }
    let exporter = session
        .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
        .map_err(|error| failed(io::Error::other(error)))?;
    let fingerprint = *verifier.seen.get().expect("a handshake that succeeded had a certificate");
    Ok(Secured { stream, exporter, fingerprint })
}

fn alpn(transport: Transport) -> &'static [u8] {
    match transport {
        Transport::Tls => aside_proto::ALPN,
        Transport::WebSocket => b"http/1.1",
    }
}

fn client_config(verifier: Arc<Verifier>, transport: Transport) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has cipher suites for TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn(transport).to_vec()];
    config
}

/// Verifies as [`Trust`] says, and remembers the fingerprint it saw: a refusal that names it can be acted upon.
#[derive(Debug)]
struct Verifier {
    policy: Policy,
    provider: Arc<CryptoProvider>,
    seen: OnceLock<Fingerprint>,
}

#[derive(Debug)]
enum Policy {
    Roots(Arc<WebPkiServerVerifier>),
    Pin(Fingerprint),
}

/// Carried through rustls, which knows no such error.
#[derive(Debug, thiserror::Error)]
#[error("another certificate was pinned")]
struct NotPinned;

impl Verifier {
    fn new(trust: &Trust, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let policy = match trust {
            Trust::Fingerprint(fingerprint) => Policy::Pin(*fingerprint),
            Trust::System => Policy::Roots(webpki(system_roots(), &provider)?),
            Trust::CaFile(path) => Policy::Roots(webpki(file_roots(path)?, &provider)?),
        };
        Ok(Self { policy, provider, seen: OnceLock::new() })
    }

    /// What a failed handshake means to the user.
    fn explain(&self, error: io::Error, server: &str) -> TlsError {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        let (Some(rustls::Error::InvalidCertificate(reason)), Some(&found)) =
            (cause, self.seen.get())
        else {
            return TlsError::Handshake { server: server.to_owned(), source: error };
        };
        match self.policy {
            Policy::Pin(pinned) if pinned != found => {
                TlsError::FingerprintChanged { pinned, found }
            }
            _ => TlsError::Untrusted { reason: explain_certificate(reason), found },
        }
    }
}

fn explain_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "it is from no authority that is trusted here".into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it expired".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name than the one that was dialled".into()
        }
        other => other.to_string(),
    }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // What can't be read is as good as not there: verification then fails and says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn file_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let wrong = |reason: String| TlsError::CaFile { path: path.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("there is none".into())) } else { Ok(roots) }
}

fn webpki(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| TlsError::NoRoots)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = *self.seen.get_or_init(|| Fingerprint::of(end_entity));
        match &self.policy {
            Policy::Roots(webpki) => webpki.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            Policy::Pin(pinned) if *pinned == found => Ok(ServerCertVerified::assertion()),
            Policy::Pin(_) => Err(CertificateError::Other(OtherError(Arc::new(NotPinned))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
