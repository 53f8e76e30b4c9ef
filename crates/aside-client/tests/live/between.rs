//! A server that stands between two devices: it has the true server's certificate and key, as that server's operator has, and reads
//! and changes what passes.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use aside_client::v1::{ClientFrame, ServerFrame};
use aside_proto::frame::{self, Decoder};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    version::TLS13,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::world::World;

/// More than any frame of a test.
const LIMIT: usize = 1 << 20;

/// What passes.
pub(crate) enum Passing<'a> {
    ToServer(&'a mut ClientFrame),
    ToClient(&'a mut ServerFrame),
}

/// Stands between the world's server and whoever connects to the port that this gives; `meddle` changes what passes.
pub(crate) async fn stand_between(
    world: &World,
    meddle: impl FnMut(Passing<'_>) + Send + 'static,
) -> u16 {
    let (acceptor, connector) = both_sides(world);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let (server, meddle) = (world.address, Arc::new(Mutex::new(meddle)));
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.expect("a connection");
            let client = acceptor.accept(client).await.expect("it speaks TLS");
            let server = TcpStream::connect(server).await.expect("the server listens");
            let name = ServerName::try_from("127.0.0.1").expect("it is a name");
            let server = connector.connect(name, server).await.expect("it speaks TLS");
            let (from_client, to_client) = tokio::io::split(client);
            let (from_server, to_server) = tokio::io::split(server);
            let (up, down) = (Arc::clone(&meddle), Arc::clone(&meddle));
            tokio::spawn(pass(from_client, to_server, move |frame: &mut ClientFrame| {
                up.lock().expect("nobody panics")(Passing::ToServer(frame));
            }));
            tokio::spawn(pass(from_server, to_client, move |frame: &mut ServerFrame| {
                down.lock().expect("nobody panics")(Passing::ToClient(frame));
            }));
        }
    });
    port
}

fn both_sides(world: &World) -> (TlsAcceptor, TlsConnector) {
    let file = |name| fs::read(world.computer("server").join(name)).expect("the server made it");
    let certificate = CertificateDer::from_pem_slice(&file("dev-certificate.pem"));
    let certificate = certificate.expect("it is a certificate");
    let key = PrivateKeyDer::from_pem_slice(&file("dev-key.pem")).expect("it is a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut accepts = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .expect("there is TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("they go together");
    accepts.alpn_protocols = vec![aside_proto::ALPN.to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("it can be trusted");
    let mut connects = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("there is TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    connects.alpn_protocols = vec![aside_proto::ALPN.to_vec()];
    (Arc::new(accepts).into(), Arc::new(connects).into())
}

/// Passes frames on, each as `change` leaves it, until the stream ends.
async fn pass<M: prost::Message + Default>(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    change: impl Fn(&mut M),
) {
    let mut decoder = Decoder::new(LIMIT);
    let mut bytes = [0; 4096];
    // Whatever ends the one side ends the other.
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        decoder.extend(&bytes[..read]);
        while let Ok(Some(body)) = decoder.next_body() {
            let mut message: M = frame::decode(body).expect("both sides keep to the protocol");
            change(&mut message);
            if to.write_all(&frame::encode(&message)).await.is_err() {
                return;
            }
        }
        if to.flush().await.is_err() {
            return;
        }
    }
    // It may be gone already.
    drop(to.shutdown().await);
}
