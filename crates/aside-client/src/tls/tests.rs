use std::fs;

use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A server that says nothing, with a certificate for `localhost`.
struct Quiet {
    address: Address,
    certificate: rcgen::Certificate,
    task: JoinHandle<()>,
}

impl Quiet {
    async fn start(alpn: &[u8]) -> Self {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .unwrap();
        config.alpn_protocols = vec![alpn.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.shutdown().await;
                }
            }
        });
        let address = format!("aside://localhost:{port}").parse().unwrap();
        Self { address, certificate: cert, task }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.certificate.der())
    }

    async fn dial(&self, trust: &Trust) -> Result<Fingerprint, TlsError> {
        connect(&self.address, trust).await.map(|secured| secured.fingerprint)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// cites: TLS-006
#[tokio::test]
async fn a_pinned_certificate_is_accepted_and_no_other() {
    let server = Quiet::start(b"aside/1").await;
    let found = server.fingerprint();
    assert_eq!(server.dial(&Trust::Fingerprint(found)).await.unwrap(), found);
    let pinned = Fingerprint([7; 32]);
    match server.dial(&Trust::Fingerprint(pinned)).await {
        Err(TlsError::FingerprintChanged { pinned: was, found: is }) => {
            assert_eq!((was, is), (pinned, found));
        }
        other => panic!("{other:?}"),
    }
}

// cites: TLS-006
#[tokio::test]
async fn a_certificate_from_nowhere_is_refused_and_named() {
    let server = Quiet::start(b"aside/1").await;
    match server.dial(&Trust::System).await {
        Err(TlsError::Untrusted { found, .. }) => assert_eq!(found, server.fingerprint()),
        Err(TlsError::NoRoots) => {}
        other => panic!("{other:?}"),
    }
}

// cites: TLS-006
#[tokio::test]
async fn a_ca_file_is_trusted_for_the_names_in_it() {
    let server = Quiet::start(b"aside/1").await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    fs::write(&path, server.certificate.pem()).unwrap();
    let trust = Trust::CaFile(path.clone());
    assert_eq!(server.dial(&trust).await.unwrap(), server.fingerprint());

    let by_number = Address { host: "127.0.0.1".into(), ..server.address.clone() };
    match connect(&by_number, &trust).await.map(|_| ()) {
        Err(TlsError::Untrusted { reason, .. }) => assert!(reason.contains("another name")),
        other => panic!("{other:?}"),
    }
    fs::write(&path, "nothing").unwrap();
    assert!(matches!(server.dial(&trust).await, Err(TlsError::CaFile { .. })));
}

// cites: TLS-003
#[tokio::test]
async fn a_server_of_another_protocol_is_told_apart() {
    let server = Quiet::start(b"imap").await;
    let outcome = server.dial(&Trust::Fingerprint(server.fingerprint())).await;
    assert!(matches!(outcome, Err(TlsError::Handshake { .. })), "{outcome:?}");
}

#[test]
fn fingerprints_are_read_with_and_without_colons() {
    let expected = Fingerprint([0xab; 32]);
    assert_eq!("ab".repeat(32).parse(), Ok(expected));
    assert_eq!(format!(" {}AB", "AB:".repeat(31)).parse(), Ok(expected));
    for wrong in ["", "ab", &"ag".repeat(32), &"ab".repeat(33)] {
        assert_eq!(wrong.parse::<Fingerprint>(), Err(FingerprintError), "{wrong}");
    }
}
