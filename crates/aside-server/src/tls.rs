//! TLS 1.3: the operator's certificate, or a development certificate made on first run.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::digest;
use rustls::{
    ServerConfig,
    client::verify_server_name,
    crypto::aws_lc_rs as provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::ParsedCertificate,
    version::TLS13,
};

use crate::config::Config;

/// ALPN of the WebSocket transport.
pub(crate) const HTTP_ALPN: &[u8] = b"http/1.1";

/// Name of the development certificate in the data folder.
const DEV_CERTIFICATE: &str = "dev-certificate.pem";
/// Name of its private key.
const DEV_KEY: &str = "dev-key.pem";

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {reason}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate and the key don't go together, or a name can't be in a certificate.
    #[error("certificate: {0}")]
    Certificate(String),
}

/// What a listener needs, and what clients pin.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    /// The leaf certificate, DER.
    pub(crate) leaf: CertificateDer<'static>,
    /// Its SHA-256: the `cert-sha256` binding, and the fingerprint that is printed.
    pub(crate) fingerprint: [u8; 32],
    /// Whether the certificate is one that was made here.
    pub(crate) is_development: bool,
}

impl Tls {
    /// Loads the configured certificate, or loads or makes the development one.
    pub(crate) fn load(config: &Config) -> Result<Self, TlsError> {
        let is_development = config.server.certificate.is_empty();
        let (certificate, key) = paths(config);
        if is_development && !certificate.exists() {
            make_certificate(&config.server.names, &certificate, &key)?;
        }
        let chain = CertificateDer::pem_slice_iter(&read(&certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| content(&certificate, &e))?;
        let key = PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|e| content(&key, &e))?;
        Self::new(chain, key, is_development)
            .map_err(|reason| TlsError::Content { path: certificate.display().to_string(), reason })
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        is_development: bool,
    ) -> Result<Self, String> {
        let leaf = chain.first().ok_or("holds no certificate")?.clone();
        let fingerprint = digest::digest(&digest::SHA256, &leaf)
            .as_ref()
            .try_into()
            .expect("SHA-256 is 32 bytes");
        // TLS-001: no version but 1.3. TLS-002: max_early_data_size stays 0.
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
                .with_protocol_versions(&[&TLS13])
                .map_err(|e| e.to_string())?
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .map_err(|e| e.to_string())?;
        config.alpn_protocols = vec![aside_proto::ALPN.to_vec(), HTTP_ALPN.to_vec()];
        // A resumed session would save one signature and cost each connection two tickets.
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), leaf, fingerprint, is_development })
    }
}

/// What a configuration's certificate is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateReport {
    /// SHA-256 of the leaf certificate, in lower-case hex.
    pub fingerprint: String,
    /// Names of the server that the certificate is not for: clients that dial them will refuse it.
    pub names_not_covered: Vec<String>,
}

/// Looks at the certificate without making one; `None` if the first run is going to make it.
///
/// # Errors
/// Why it can't be used.
pub fn inspect_certificate(config: &Config) -> Result<Option<CertificateReport>, TlsError> {
    if config.server.certificate.is_empty() && !paths(config).0.exists() {
        return Ok(None);
    }
    let tls = Tls::load(config)?;
    let parsed =
        ParsedCertificate::try_from(&tls.leaf).map_err(|e| TlsError::Certificate(e.to_string()))?;
    let covered = |name: &&String| {
        ServerName::try_from(name.as_str())
            .is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
    };
    let names_not_covered = config.server.names.iter().filter(|n| !covered(n)).cloned().collect();
    Ok(Some(CertificateReport { fingerprint: hex::encode(tls.fingerprint), names_not_covered }))
}

fn paths(config: &Config) -> (PathBuf, PathBuf) {
    if config.server.certificate.is_empty() {
        (config.data.join(DEV_CERTIFICATE), config.data.join(DEV_KEY))
    } else {
        (config.server.certificate.clone().into(), config.server.key.clone().into())
    }
}

fn make_certificate(names: &[String], certificate: &Path, key: &Path) -> Result<(), TlsError> {
    let failed = |e: rcgen::Error| TlsError::Certificate(e.to_string());
    let pair = rcgen::KeyPair::generate().map_err(failed)?;
    let mut params = rcgen::CertificateParams::new(names.to_vec()).map_err(failed)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "Aside development certificate");
    let made = params.self_signed(&pair).map_err(failed)?;
    write_private(key, pair.serialize_pem().as_bytes()).map_err(|e| file(key, e))?;
    // The certificate comes last: where it is, the key is.
    write_private(certificate, made.pem().as_bytes()).map_err(|e| file(certificate, e))
}

/// Writes a file, whole or not at all, that no one but its owner may read.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|e| file(path, e))
}

fn file(path: &Path, source: io::Error) -> TlsError {
    TlsError::File { path: path.display().to_string(), source }
}

fn content(path: &Path, reason: &impl ToString) -> TlsError {
    TlsError::Content { path: path.display().to_string(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_development_certificate_is_made_once_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::for_tests(dir.path());
        let first = Tls::load(&config).unwrap();
        assert!(first.is_development);
        assert_eq!(Tls::load(&config).unwrap().fingerprint, first.fingerprint);
        let report = inspect_certificate(&config).unwrap().unwrap();
        assert_eq!(report.names_not_covered, Vec::<String>::new());
        let mut renamed = config;
        renamed.server.names.push("chat.example".to_owned());
        let report = inspect_certificate(&renamed).unwrap().unwrap();
        assert_eq!(report.names_not_covered, ["chat.example"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(dir.path().join(DEV_KEY)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests(dir.path());
        let path = dir.path().join("c.pem");
        fs::write(&path, "nonsense").unwrap();
        config.server.certificate = path.display().to_string();
        config.server.key = path.display().to_string();
        assert!(Tls::load(&config).unwrap_err().to_string().contains("c.pem"));
    }
}
