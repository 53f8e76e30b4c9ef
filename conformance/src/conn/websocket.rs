//! The upgrade to a WebSocket, done by hand, so that what a server answers can be looked at and what a client asks can
//! be wrong.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    codec::MAX_BODY,
    script::ActorSpec,
    truth,
    value::{Val, record},
};

use super::{ConnectError, Tls};

/// The most that the head of a server's answer may take.
const MAX_HEAD: usize = 16 * 1024;

/// Asks for a WebSocket. What the answer said goes with it.
pub(super) async fn upgrade(
    mut stream: Tls,
    host: &str,
    spec: &ActorSpec,
) -> Result<(WebSocketStream<Tls>, Val), ConnectError> {
    let key = key();
    stream.write_all(request(host, &key, spec).as_bytes()).await.map_err(ConnectError::Io)?;
    stream.flush().await.map_err(ConnectError::Io)?;
    let (head, rest) = head(&mut stream).await?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let status: u16 = status
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| ConnectError::Upgrade(format!("{status:?} is not a status line")))?;
    if status != 101 {
        return Err(ConnectError::Http(status));
    }
    let header = |wanted: &str| {
        let values = head.split("\r\n").filter_map(|line| line.split_once(':'));
        let found = values.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim().to_owned()).collect::<Vec<_>>().join(", ")
    };
    if header("sec-websocket-accept") != derive_accept_key(key.as_bytes()) {
        return Err(ConnectError::Upgrade("Sec-WebSocket-Accept is not that of the key".into()));
    }
    let facts = record([
        ("status", Val::Int(status.into())),
        ("subprotocol", Val::Text(header("sec-websocket-protocol"))),
        ("extensions", Val::Text(header("sec-websocket-extensions"))),
    ]);
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_BODY)).max_frame_size(Some(MAX_BODY));
    let socket =
        WebSocketStream::from_partially_read(stream, rest, Role::Client, Some(config)).await;
    Ok((socket, facts))
}

fn request(host: &str, key: &str, spec: &ActorSpec) -> String {
    let ws = spec.ws.clone().unwrap_or_default();
    let path = ws.path.unwrap_or_else(|| "/aside/v1".into());
    let mut request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    );
    let subprotocols = ws.subprotocols.unwrap_or_else(|| vec!["aside.v1".into()]);
    if !subprotocols.is_empty() {
        request += &format!("Sec-WebSocket-Protocol: {}\r\n", subprotocols.join(", "));
    }
    if let Some(origin) = ws.origin {
        request += &format!("Origin: {origin}\r\n");
    }
    for (name, value) in ws.headers {
        request += &format!("{name}: {value}\r\n");
    }
    request + "\r\n"
}

/// 16 random bytes in Base64, as RFC 6455 wants them.
fn key() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in truth::random(16).chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    out
}

/// The head of the answer, and what came behind it.
async fn head(stream: &mut Tls) -> Result<(String, Vec<u8>), ConnectError> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = received.split_off(end + 4);
            received.truncate(end);
            return Ok((String::from_utf8_lossy(&received).into_owned(), rest));
        }
        if received.len() > MAX_HEAD {
            return Err(ConnectError::Upgrade("an endless head".into()));
        }
        let count = stream.read(&mut buffer).await.map_err(ConnectError::Io)?;
        if count == 0 {
            let seen = String::from_utf8_lossy(&received).into_owned();
            return Err(ConnectError::Upgrade(format!("the connection ended after {seen:?}")));
        }
        received.extend_from_slice(&buffer[..count]);
    }
}

/// A Close frame.
pub(crate) fn close(status: u16) -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::from(status), reason: "".into() }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_are_sixteen_bytes_in_base64() {
        let key = super::key();
        assert_eq!(key.len(), 24);
        assert!(key.ends_with("==") && !key[..22].contains('='), "{key}");
    }
}
