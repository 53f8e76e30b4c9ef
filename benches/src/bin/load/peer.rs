//! A connection as small as can be: requests one at a time or without waiting, events on the side.

use std::{
    collections::VecDeque,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use aside_proto::{
    frame::{self, Decoder},
    id::{ConversationId, IdempotencyKey, uuid_v7},
    limits,
    v1::{self, client_frame::Body, server_frame},
};
use bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::target::Door;

/// What clients dial.
pub(crate) const SERVER_NAME: &str = "localhost";
/// As much as TLS has in a record.
const READ_BYTES: usize = 16 * 1024;

/// One connection.
pub(crate) struct Peer {
    stream: TlsStream<TcpStream>,
    decoder: Decoder,
    next_id: u64,
    events: VecDeque<server_frame::Body>,
    signature: Bytes,
}

/// A room as a member first sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Its id.
    pub(crate) id: ConversationId,
    /// The last entry of its log.
    pub(crate) head: u64,
}

/// A TLS connection, and nothing more.
pub(crate) async fn dial(door: &Door) -> Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(door.address).await?;
    tcp.set_nodelay(true)?;
    let connector = TlsConnector::from(door.tls.clone());
    Ok(connector.connect(ServerName::try_from(SERVER_NAME)?, tcp).await?)
}

/// The first request.
pub(crate) fn hello(client_nonce: [u8; 32]) -> Body {
    Body::Hello(v1::Hello {
        versions: vec![aside_proto::VERSION],
        capabilities: vec![aside_proto::SYNC.to_owned(), aside_proto::TALK.to_owned()],
        client_nonce: client_nonce.to_vec().into(),
        server_name: SERVER_NAME.to_owned(),
        user_agent: "load".to_owned(),
    })
}

impl Peer {
    /// A connection that has said nothing yet.
    pub(crate) async fn dial(door: &Door) -> Result<Self> {
        Ok(Self {
            stream: dial(door).await?,
            decoder: Decoder::new(limits::CLIENT_MAX_FRAME_BYTES),
            next_id: 1,
            events: VecDeque::new(),
            signature: random::<64>().to_vec().into(),
        })
    }

    /// What binds a log-in to this connection (RFC 9266).
    pub(crate) fn exporter(&self) -> Result<[u8; 32]> {
        let (_, tls) = self.stream.get_ref();
        Ok(tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None)?)
    }

    /// A fresh room; this account is its first member.
    pub(crate) async fn create_room(&mut self, name: &str) -> Result<Room> {
        let create = v1::CreateRoom { name: name.to_owned() };
        match self.request(Body::CreateRoom(create)).await? {
            server_frame::Body::RoomCreated(made) => Room::of(made.room),
            other => bail!("instead of RoomCreated came {other:?}"),
        }
    }

    /// Becomes a member.
    pub(crate) async fn join(&mut self, room: ConversationId) -> Result<Room> {
        let join = v1::Join { conversation_id: room.to_bytes() };
        match self.request(Body::Join(join)).await? {
            server_frame::Body::Joined(joined) => Room::of(joined.room),
            other => bail!("instead of Joined came {other:?}"),
        }
    }

    /// Sends a request and returns its reply; events that come first are kept.
    pub(crate) async fn request(&mut self, body: Body) -> Result<server_frame::Body> {
        let id = self.send(body).await?;
        loop {
            let frame = self.receive().await?;
            match (frame.reply_to, frame.body) {
                (0, Some(event)) => self.events.push_back(event),
                (reply_to, Some(reply)) if reply_to == id => return Ok(reply),
                (reply_to, body) => bail!("unexpected frame for {reply_to}: {body:?}"),
            }
        }
    }

    /// Sends a request without waiting.
    pub(crate) async fn send(&mut self, body: Body) -> Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        let idempotency_key = match aside_proto::request::info(&body).mutating {
            true => new_key().to_bytes(),
            false => Bytes::new(),
        };
        let request = v1::ClientFrame { request_id: id, idempotency_key, body: Some(body) };
        self.write(&frame::encode(&request)).await?;
        Ok(id)
    }

    /// Sends a message without waiting.
    ///
    /// Its signature is noise, the same for all of a connection: the server does not verify it, and making one would cost this
    /// program more than all else it does, on processors that it shares with the server.
    pub(crate) async fn send_message(
        &mut self,
        room: ConversationId,
        payload: Bytes,
    ) -> Result<()> {
        let message = v1::SendMessage {
            conversation_id: room.to_bytes(),
            signature: self.signature.clone(),
            salt: random::<32>().to_vec().into(),
            payload,
        };
        self.send(Body::SendMessage(message)).await.map(drop)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next event or reply, those kept first. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<server_frame::Body> {
        match self.events.pop_front() {
            Some(event) => Ok(event),
            None => self.receive().await?.body.context("a frame of a kind unknown"),
        }
    }

    /// The next frame. Cancel-safe: what was read is kept.
    async fn receive(&mut self) -> Result<v1::ServerFrame> {
        loop {
            if let Some(body) = self.decoder.next_body()? {
                return Ok(frame::decode(body)?);
            }
            let mut buffer = [0; READ_BYTES];
            match self.stream.read(&mut buffer).await? {
                0 => bail!("the server closed"),
                n => self.decoder.extend(&buffer[..n]),
            }
        }
    }
}

impl Room {
    fn of(room: Option<v1::Room>) -> Result<Self> {
        let room = room.context("a reply without its room")?;
        let id = ConversationId::try_from(&room.conversation_id[..])?;
        Ok(Self { id, head: room.head_seq })
    }
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Fills a buffer with random bytes.
pub(crate) fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system has randomness");
}

fn new_key() -> IdempotencyKey {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    IdempotencyKey::new(uuid_v7(u64::try_from(now.as_millis()).unwrap_or(0), random()))
}
