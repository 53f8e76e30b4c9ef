//! The HTTP request that opens a WebSocket (RFC 6455, section 4.2), and its answer.

use std::{future::poll_fn, io};

use aside_proto::{WEBSOCKET_PATH, WEBSOCKET_PROTOCOL};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tungstenite::{
    Error,
    error::ProtocolError,
    handshake::{
        machine::TryParse as _,
        server::{Request, Response, create_response, write_response},
    },
    http::{HeaderValue, StatusCode, header},
};

use crate::transport::incoming;

/// What ends the head of a request.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The client was told.
    #[error("refused with HTTP status {status}: {sentence}")]
    Refused {
        /// What it was told.
        status: StatusCode,
        /// Why.
        sentence: &'static str,
    },
    /// The connection is lost.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the request and answers it. A refused client is read from until it closes, as CLOSE-001 has it.
pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    origins: &[String],
    limit: usize,
) -> Result<(), HandshakeError> {
    let answer = match read_head(stream, limit).await? {
        Some(head) => judge(&head, origins),
        None => Err(TOO_LONG),
    };
    match answer {
        Ok(response) => Ok(send(stream, &response, "").await?),
        Err(refusal) => {
            let (response, body) = refusal.response();
            send(stream, &response, &body).await?;
            stream.shutdown().await?;
            poll_fn(|cx| incoming::poll_drain(stream, cx)).await;
            Err(HandshakeError::Refused { status: refusal.status, sentence: refusal.sentence })
        }
    }
}

/// The head of a request, and whatever came with it; `None` if it has no end within `limit` bytes.
async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        poll_fn(|cx| incoming::poll_read(stream, cx, |bytes| head.extend_from_slice(bytes)))
            .await?;
        if head.len() == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // The end may have begun in what came before.
        let from = before.saturating_sub(END_OF_HEAD.len() - 1);
        let end = head[from..].windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD);
        match end {
            Some(end) if from + end + END_OF_HEAD.len() <= limit => return Ok(Some(head)),
            None if head.len() < limit => {}
            _ => return Ok(None),
        }
    }
}

/// WS-001 to WS-004: path, origin, whether it is a WebSocket at all, subprotocol.
fn judge(head: &[u8], origins: &[String]) -> Result<Response, Refusal> {
    let request = match Request::try_parse(head) {
        Ok(Some((length, request))) if length == head.len() => request,
        Ok(Some(_)) => return Err(TOO_EARLY),
        Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => return Err(NOT_GET),
        Ok(None) | Err(_) => return Err(NOT_HTTP),
    };
    if request.uri().path() != WEBSOCKET_PATH {
        return Err(ELSEWHERE);
    }
    let is_listed = |origin: &HeaderValue| origins.iter().any(|listed| origin == listed.as_str());
    if !request.headers().get_all(header::ORIGIN).iter().all(is_listed) {
        return Err(FOREIGN);
    }
    let mut response = create_response(&request).map_err(|error| match error {
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader
            | ProtocolError::MissingSecWebSocketVersionHeader,
        ) => NOT_AN_UPGRADE,
        _ => NO_KEY,
    })?;
    let is_offered = |value: &HeaderValue| {
        value
            .to_str()
            .is_ok_and(|list| list.split(',').any(|name| name.trim() == WEBSOCKET_PROTOCOL))
    };
    if !request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().any(is_offered) {
        return Err(NO_SUBPROTOCOL);
    }
    response
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(WEBSOCKET_PROTOCOL));
    Ok(response)
}

async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    response: &Response,
    body: &str,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    write_response(&mut bytes, response).map_err(io::Error::other)?;
    bytes.extend_from_slice(body.as_bytes());
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// An answer that opens no WebSocket.
struct Refusal {
    status: StatusCode,
    sentence: &'static str,
    /// Beside those that every refusal has.
    headers: &'static [(&'static str, &'static str)],
}

const TOO_LONG: Refusal = Refusal::new(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "The head of the request is too long.",
    &[],
);
const NOT_HTTP: Refusal =
    Refusal::new(StatusCode::BAD_REQUEST, "This is not an HTTP/1.1 request.", &[]);
const NOT_GET: Refusal = Refusal::new(
    StatusCode::METHOD_NOT_ALLOWED,
    "Use GET to open the WebSocket.",
    &[("Allow", "GET")],
);
const TOO_EARLY: Refusal =
    Refusal::new(StatusCode::BAD_REQUEST, "Send nothing before the WebSocket is open.", &[]);
const ELSEWHERE: Refusal =
    Refusal::new(StatusCode::NOT_FOUND, "The WebSocket is at /aside/v1.", &[]);
const FOREIGN: Refusal =
    Refusal::new(StatusCode::FORBIDDEN, "This origin is not allowed here.", &[]);
const NOT_AN_UPGRADE: Refusal = Refusal::new(
    StatusCode::UPGRADE_REQUIRED,
    "Here is a WebSocket, version 13, and nothing else.",
    &[("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
);
const NO_KEY: Refusal =
    Refusal::new(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in Base64.", &[]);
const NO_SUBPROTOCOL: Refusal =
    Refusal::new(StatusCode::BAD_REQUEST, "Offer the subprotocol aside.v1.", &[]);

impl Refusal {
    const fn new(
        status: StatusCode,
        sentence: &'static str,
        headers: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { status, sentence, headers }
    }

    /// With what tells a client where the body ends, and that no other request is taken here.
    fn response(&self) -> (Response, String) {
        let body = format!("{}\n", self.sentence);
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        for &(name, value) in self.headers {
            headers.append(name, HeaderValue::from_static(value));
        }
        (response, body)
    }
}
