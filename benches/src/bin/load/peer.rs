//! A client as small as can be: one connection, one request at a time, events on the side.

use std::{
    collections::VecDeque,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use aside_crypto::{Binding, MessageContext, SigningKey, Transcript, payload_hash};
use aside_proto::{
    frame::{self, Decoder},
    id::{ConversationId, DeviceId, IdempotencyKey, UserId, uuid_v7},
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

use crate::target::Target;

const SERVER_NAME: &str = "localhost";

pub(crate) struct Peer {
    stream: TlsStream<TcpStream>,
    decoder: Decoder,
    next_id: u64,
    key: SigningKey,
    pub(crate) user: UserId,
    device: DeviceId,
    pub(crate) events: VecDeque<server_frame::Body>,
}

/// A TLS connection, and nothing more.
pub(crate) async fn dial(target: &Target) -> Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(target.address).await?;
    tcp.set_nodelay(true)?;
    let connector = TlsConnector::from(target.tls.clone());
    Ok(connector.connect(ServerName::try_from(SERVER_NAME)?, tcp).await?)
}

pub(crate) fn hello(client_nonce: [u8; 32]) -> Body {
    Body::Hello(v1::Hello {
        versions: vec![aside_proto::VERSION],
        capabilities: vec![aside_proto::TALK.to_owned()],
        client_nonce: client_nonce.to_vec().into(),
        server_name: SERVER_NAME.to_owned(),
        user_agent: "load".to_owned(),
    })
}

impl Peer {
    /// Registers under a handle and stays logged in.
    pub(crate) async fn register(target: &Target, handle: &str) -> Result<Self> {
        let mut peer = Self {
            stream: dial(target).await?,
            decoder: Decoder::new(limits::CLIENT_MAX_FRAME_BYTES),
            next_id: 1,
            key: SigningKey::generate(&mut fill),
            user: UserId::new([0; 16]),
            device: DeviceId::new([0; 16]),
            events: VecDeque::new(),
        };
        let client_nonce = random();
        let server_frame::Body::Greeted(greeted) = peer.request(hello(client_nonce)).await? else {
            bail!("no Greeted")
        };
        let exporter = peer.stream.get_ref().1.export_keying_material(
            [0; 32],
            b"EXPORTER-Channel-Binding",
            None,
        )?;
        let server_nonce = greeted.server_nonce[..].try_into().context("server nonce")?;
        let transcript = Transcript {
            binding: Binding::Exporter(exporter),
            server_name: SERVER_NAME,
            server_nonce: &server_nonce,
            client_nonce: &client_nonce,
        };
        let register = v1::Register {
            handle: handle.to_owned(),
            password: "load generator".to_owned(),
            on_conflict: v1::OnConflict::Suffix.into(),
            device: Some(v1::NewDevice {
                public_key: peer.key.public_key().as_bytes().to_vec().into(),
                name: "load".to_owned(),
                proof: Some(v1::DeviceProof {
                    binding_type: v1::BindingType::Exporter.into(),
                    signature: transcript.sign_bind(&peer.key).as_bytes().to_vec().into(),
                }),
            }),
        };
        match peer.request(Body::Register(register)).await? {
            server_frame::Body::Authenticated(who) => {
                peer.user = UserId::try_from(&who.user_id[..])?;
                peer.device = DeviceId::try_from(&who.device_id[..])?;
                Ok(peer)
            }
            other => bail!("register: {other:?}"),
        }
    }

    /// A fresh room with these members besides the peer.
    pub(crate) async fn room_with(
        &mut self,
        name: &str,
        others: &mut [&mut Self],
    ) -> Result<ConversationId> {
        let create = v1::CreateRoom { name: name.to_owned() };
        let server_frame::Body::RoomCreated(made) = self.request(Body::CreateRoom(create)).await?
        else {
            bail!("no room")
        };
        let id = made.room.context("a room")?.conversation_id;
        for other in others {
            let join = Body::Join(v1::Join { conversation_id: id.clone() });
            let server_frame::Body::Joined(_) = other.request(join).await? else {
                bail!("not joined")
            };
        }
        Ok(ConversationId::try_from(&id[..])?)
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

    /// Sends a signed message without waiting.
    pub(crate) async fn send_message(
        &mut self,
        conversation: ConversationId,
        payload: Bytes,
    ) -> Result<u64> {
        let message_id = new_key();
        let salt = random();
        let context = MessageContext {
            conversation,
            message_id,
            user: self.user,
            device: self.device,
            payload_hash: payload_hash(&salt, &payload),
        };
        let message = v1::SendMessage {
            conversation_id: conversation.to_bytes(),
            signature: context.sign(&self.key).as_bytes().to_vec().into(),
            salt: salt.to_vec().into(),
            payload,
        };
        let id = self.next_id;
        self.next_id += 1;
        let body = Some(Body::SendMessage(message));
        let idempotency_key = message_id.to_bytes();
        self.write(&frame::encode(&v1::ClientFrame { request_id: id, idempotency_key, body }))
            .await?;
        Ok(id)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next frame. Cancel-safe: what was read is kept.
    pub(crate) async fn receive(&mut self) -> Result<v1::ServerFrame> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(body) = self.decoder.next_body()? {
                return Ok(frame::decode(body)?);
            }
            match self.stream.read(&mut buffer).await? {
                0 => bail!("the server closed"),
                n => self.decoder.extend(&buffer[..n]),
            }
        }
    }
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system has randomness");
}

fn new_key() -> IdempotencyKey {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    IdempotencyKey::new(uuid_v7(u64::try_from(now.as_millis()).unwrap_or(0), random()))
}
