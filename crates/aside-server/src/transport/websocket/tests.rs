//! The transport over TLS, with a client that writes bytes.

use std::{future::poll_fn, sync::Arc};

use aside_proto::{
    limits,
    v1::{self, client_frame::Body, server_frame},
};
use aside_session::server::{Config, Transport as Binding};
use prost::Message as _;
use rustls::{ClientConfig, RootCertStore, ServerConfig, pki_types::ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::*;

const NOW: Now = Now { monotonic_ms: 5_000, unix_ms: 1_800_000_000_000 };
/// Bytes on their way, in each direction, at most: few, so that writers have to wait.
const PIPE_BYTES: usize = 4 * 1024;
const ORIGIN: &str = "https://chat.example";
/// A request that opens a WebSocket.
const REQUEST: &str = "GET /aside/v1 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Protocol: aside.v1\r\n\r\n";

type Server = server::TlsStream<DuplexStream>;
type Client = client::TlsStream<DuplexStream>;

/// A frame as a client sends it: masked.
pub(super) fn client_frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
    let mut frame = header(first_byte, payload.len());
    let mut bytes = frame.copy_to_bytes(frame.remaining()).to_vec();
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A frame as a server sends it, written down in another way than the code does.
fn server_frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => bytes.push(length.to_be_bytes()[1]),
        Ok(length) => {
            bytes.push(126);
            bytes.extend(length.to_be_bytes());
        }
        Err(_) => {
            bytes.push(127);
            bytes.extend(u64::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

async fn tls(pipe_bytes: usize) -> (Server, Client) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let private = key.serialize_der().try_into().unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let (near, far) = tokio::io::duplex(pipe_bytes);
    let accept = TlsAcceptor::from(Arc::new(server)).accept(near);
    let name = ServerName::try_from("localhost").unwrap();
    let connect = TlsConnector::from(Arc::new(client)).connect(name, far);
    let (server, client) = tokio::join!(accept, connect);
    (server.unwrap(), client.unwrap())
}

async fn accept(stream: Server) -> Result<WebSocket<Server>, HandshakeError> {
    WebSocket::accept(stream, &[ORIGIN.to_owned()], limits::DEFAULT).await
}

/// A WebSocket that stands.
async fn opened(pipe_bytes: usize) -> (WebSocket<Server>, Client) {
    let (server, mut client) = tls(pipe_bytes).await;
    client.write_all(REQUEST.as_bytes()).await.unwrap();
    let socket = accept(server).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains("sec-websocket-protocol: aside.v1\r\n"), "{answer}");
    (socket, client)
}

/// What a client gets in answer to a request that is refused. The end of what is read is a close_notify.
async fn refused(request: &str) -> (u16, String) {
    let (server, mut client) = tls(PIPE_BYTES).await;
    let serve = accept(server);
    let ask = async {
        for part in request.as_bytes().chunks(1_000) {
            client.write_all(part).await.unwrap();
        }
        client.flush().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        client.shutdown().await.unwrap();
        answer
    };
    let (result, answer) = tokio::join!(serve, ask);
    let Err(HandshakeError::Refused { status, .. }) = result else { unreachable!("{request}") };
    (status.as_u16(), answer)
}

fn session() -> Session {
    let config = Config {
        limits: limits::DEFAULT,
        server_names: vec!["localhost".into()],
        capabilities: vec!["talk".into()],
        registration: v1::RegistrationMode::Open,
        log_key: v1::LogKey::default(),
        user_agent: "test".into(),
    };
    let binding = Binding::WebSocket { exporter: [1; 32], cert_sha256: [2; 32], allow_none: false };
    Session::new(Arc::new(config), binding, [3; 32], NOW)
}

/// A connection's task, where no request needs a database.
async fn serve(mut socket: WebSocket<Server>) {
    let mut session = session();
    let reason = loop {
        while let Some(frame) = session.poll_transmit() {
            socket.queue(frame);
        }
        if let Some(reason) = session.closing() {
            break reason;
        }
        poll_fn(|cx| socket.poll_flush(cx)).await.unwrap();
        match poll_fn(|cx| socket.poll_receive(cx, &mut session, NOW)).await.unwrap() {
            Received::Input => {}
            Received::End => session.handle_eof(NOW),
        }
    };
    poll_fn(|cx| socket.poll_finish(cx, reason.websocket_status())).await.unwrap();
    poll_fn(|cx| socket.poll_drain(cx)).await;
}

fn request(request_id: u64, body: Body) -> Vec<u8> {
    let frame = v1::ClientFrame { request_id, body: Some(body), ..Default::default() };
    client_frame(0x82, &frame.encode_to_vec())
}

fn hello() -> Body {
    Body::Hello(v1::Hello {
        versions: vec![1],
        capabilities: vec!["talk".into()],
        client_nonce: vec![4; 32].into(),
        server_name: "localhost".into(),
        user_agent: String::new(),
    })
}

fn ping(data: &'static str) -> Body {
    Body::Ping(v1::Ping { data: data.into() })
}

/// What the client reads up to the close_notify: first bytes and payloads.
async fn read_to_close_notify(client: &mut Client) -> Vec<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    // An end without close_notify is an error.
    client.read_to_end(&mut bytes).await.unwrap();
    let mut rest = &bytes[..];
    let mut frames = Vec::new();
    while rest.has_remaining() {
        let first_byte = rest.get_u8();
        let length = match rest.get_u8() {
            126 => rest.get_u16().into(),
            127 => rest.get_u64(),
            length => length.into(),
        };
        let payload = rest.copy_to_bytes(usize::try_from(length).unwrap());
        frames.push((first_byte, payload.to_vec()));
    }
    frames
}

fn reply(frame: &(u8, Vec<u8>)) -> (u64, server_frame::Body) {
    assert_eq!(frame.0, 0x82);
    let frame = v1::ServerFrame::decode(&frame.1[..]).unwrap();
    (frame.reply_to, frame.body.unwrap())
}

fn close(status: u16) -> (u8, Vec<u8>) {
    (0x88, status.to_be_bytes().to_vec())
}

// cites: CLOSE-002, WS-009
#[tokio::test]
async fn replies_owed_come_before_the_close_frame_and_close_notify() {
    // Status 4000 is the client's own, and says nothing of the server's.
    let closings = [client_frame(0x88, &4_000_u16.to_be_bytes()), client_frame(0x88, &[])];
    for closing in closings {
        let (socket, mut client) = opened(PIPE_BYTES).await;
        let talk = async {
            let all = [request(1, hello()), request(2, ping("x")), closing].concat();
            client.write_all(&all).await.unwrap();
            let frames = read_to_close_notify(&mut client).await;
            client.shutdown().await.unwrap();
            frames
        };
        let ((), frames) = tokio::join!(serve(socket), talk);
        assert_eq!(frames.len(), 3);
        assert!(matches!(reply(&frames[0]), (1, server_frame::Body::Greeted(_))));
        assert!(matches!(reply(&frames[1]), (2, server_frame::Body::Pong(_))));
        assert_eq!(frames[2], close(1000));
    }
}

// cites: CLOSE-002
#[tokio::test]
async fn a_close_notify_alone_ends_the_connection_in_order_too() {
    let (socket, mut client) = opened(PIPE_BYTES).await;
    let talk = async {
        let cut = &request(2, ping("x"))[..9];
        client.write_all(&[&request(1, hello()), cut].concat()).await.unwrap();
        client.shutdown().await.unwrap();
        read_to_close_notify(&mut client).await
    };
    let ((), frames) = tokio::join!(serve(socket), talk);
    assert_eq!(frames.len(), 2);
    assert!(matches!(reply(&frames[0]), (1, server_frame::Body::Greeted(_))));
    assert_eq!(frames[1], close(1000));
}

// cites: WS-005, WS-009
#[tokio::test]
async fn an_error_is_sent_behind_the_replies_and_before_the_close_frame() {
    let (socket, mut client) = opened(PIPE_BYTES).await;
    let talk = async {
        let all = [request(1, hello()), client_frame(0x81, b"text")].concat();
        client.write_all(&all).await.unwrap();
        let frames = read_to_close_notify(&mut client).await;
        client.shutdown().await.unwrap();
        frames
    };
    let ((), frames) = tokio::join!(serve(socket), talk);
    assert_eq!(frames.len(), 3);
    let (0, server_frame::Body::Error(error)) = reply(&frames[1]) else { unreachable!() };
    assert_eq!(error.code(), v1::ErrorCode::NotBinary);
    assert_eq!(frames[2], close(1003));
}

/// Whether everything queued has left.
async fn is_flushed(socket: &mut WebSocket<Server>) -> bool {
    poll_fn(|cx| Poll::Ready(socket.poll_flush(cx).map(Result::unwrap).is_ready())).await
}

fn queued(length: usize) -> Bytes {
    let body: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
    [&u32::try_from(length).unwrap().to_be_bytes()[..], &body].concat().into()
}

// cites: CLOSE-001, WS-009
#[tokio::test]
async fn many_large_replies_read_late_all_come_before_the_last_error_and_the_close_frame() {
    let (mut socket, mut client) = opened(1 << 21).await;
    let lengths = [1, 125, 126, 0xffff, 0x1_0000, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 300];
    for length in lengths {
        socket.queue(queued(length));
    }
    assert!(!is_flushed(&mut socket).await);
    let mut bytes = vec![0; 1 << 20];
    client.read_exact(&mut bytes).await.unwrap();
    // There is room in the pipe again, but not for all.
    let flushed = is_flushed(&mut socket).await;
    assert_eq!((flushed, socket.queued_bytes() > 1 << 20), (false, true));
    let error = v1::Error { code: v1::ErrorCode::FrameMalformed.into(), ..Default::default() };
    let body = Some(server_frame::Body::Error(error));
    let last = v1::ServerFrame { reply_to: 0, body }.encode_to_vec();
    socket.queue(frame::encode(&v1::ServerFrame::decode(&last[..]).unwrap()));
    let finish = async {
        poll_fn(|cx| socket.poll_finish(cx, 1008)).await.unwrap();
        poll_fn(|cx| socket.poll_drain(cx)).await;
    };
    let read = async {
        client.read_to_end(&mut bytes).await.unwrap();
        client.shutdown().await.unwrap();
        bytes
    };
    let ((), bytes) = tokio::join!(finish, read);
    let mut expected: Vec<u8> =
        lengths.iter().flat_map(|&length| server_frame(0x82, &queued(length)[4..])).collect();
    expected.extend(server_frame(0x82, &last));
    expected.extend(server_frame(0x88, &[0x03, 0xf0]));
    assert!(bytes == expected, "{} bytes, not {}", bytes.len(), expected.len());
}

#[tokio::test]
async fn a_ping_is_answered_and_a_client_that_does_not_read_has_one_pong_waiting() {
    let (mut socket, mut client) = opened(PIPE_BYTES).await;
    let mut session = session();
    client.write_all(&client_frame(0x89, b"at once")).await.unwrap();
    poll_fn(|cx| socket.poll_receive(cx, &mut session, NOW)).await.unwrap();
    assert!(is_flushed(&mut socket).await);
    let mut pong = [0; 9];
    client.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\x8a\x07at once");

    socket.queue(queued(MAX_BYTES_BEFORE_PONG * 3));
    assert!(!is_flushed(&mut socket).await);
    let before = socket.queued_bytes();
    for data in [&b"forgotten"[..], b"last", b""] {
        client.write_all(&client_frame(0x89, data)).await.unwrap();
        poll_fn(|cx| socket.poll_receive(cx, &mut session, NOW)).await.unwrap();
        assert!(!is_flushed(&mut socket).await);
    }
    assert_eq!(socket.queued_bytes(), before);
    let mut bytes = vec![0; 10 + MAX_BYTES_BEFORE_PONG * 3 + 2];
    let flush = poll_fn(|cx| socket.poll_flush(cx));
    let (flushed, read) = tokio::join!(flush, client.read_exact(&mut bytes));
    flushed.unwrap();
    read.unwrap();
    assert!(bytes.ends_with(b"\x8a\x00"));
}

// cites: WS-002, WS-003, WS-004
#[tokio::test]
async fn a_refusal_is_a_whole_http_answer_and_then_a_close_notify() {
    let foreign = "Upgrade: websocket\r\nOrigin: https://elsewhere.example";
    let two = format!("Upgrade: websocket\r\nOrigin: {ORIGIN}\r\nOrigin: https://x.example");
    let long = format!("Upgrade: websocket\r\nX: {}", "x".repeat(16 * 1024));
    let cases = [
        (REQUEST.replace("/aside/v1 ", "/aside/v2 "), 404),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 404),
        (REQUEST.replace("Upgrade: websocket", foreign), 403),
        (REQUEST.replace("Upgrade: websocket", &two), 403),
        ("GET /aside/v1 HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 426),
        (REQUEST.replace("Version: 13", "Version: 12"), 426),
        (REQUEST.replace("AAEC", ""), 400),
        (REQUEST.replace("aside.v1\r\n", "aside.v2, aside.v10\r\n"), 400),
        (REQUEST.replace("GET", "POST"), 405),
        (REQUEST.replace("HTTP/1.1", "HTTP/1.0"), 400),
        ("\r\n\r\n".to_owned(), 400),
        (format!("{REQUEST}x"), 400),
        (REQUEST.replace("Upgrade: websocket", &long), 431),
    ];
    for (request, expected) in cases {
        let (status, answer) = refused(&request).await;
        assert_eq!(status, expected, "{request}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{head}");
        assert!(head.contains("\r\nconnection: close"), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        assert!(body.ends_with(".\n"), "{body}");
        assert_eq!(head.contains("\r\nupgrade: websocket"), expected == 426, "{head}");
    }
}

// cites: WS-001, WS-004
#[tokio::test]
async fn a_listed_origin_and_other_subprotocols_are_no_obstacle() {
    let headers = format!("Upgrade: websocket\r\nOrigin: {ORIGIN}");
    let request = REQUEST.replace("Upgrade: websocket", &headers).replace(
        "Protocol: aside.v1",
        "Protocol: chat\r\nSec-WebSocket-Protocol: aside.v2, aside.v1",
    );
    let (server, mut client) = tls(PIPE_BYTES).await;
    let talk = async {
        // However the request is cut.
        for byte in request.as_bytes() {
            client.write_u8(*byte).await.unwrap();
        }
        client.flush().await.unwrap();
    };
    let (socket, ()) = tokio::join!(accept(server), talk);
    assert!(socket.is_ok());
}
