//! session.json, played against the server's session and read by the client's follower.

use aside_crypto::{MessageContext, PublicKey, Signature};
use aside_proto::{
    frame,
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    name::Name,
    v1::{self, server_frame::Body as Reply},
};
use aside_session::server::{Command, Config, Outcome, Transport};
use prost::bytes::Bytes;
use serde_json::Value;

use super::{array, bytes, read, server::Server};

/// The frames of the session: from the client as they travel, from the server decoded.
struct Session {
    setup: Value,
    frames: Vec<(bool, Bytes)>,
}

impl Session {
    fn read() -> Self {
        let file = read("session");
        let frame = |v: &Value| (v["from"] == "client", Bytes::from(bytes(&v["bytes"])));
        let frames = file["vectors"].as_array().unwrap().iter().map(frame).collect();
        Self { setup: file["setup"].clone(), frames }
    }

    fn server_frames(&self) -> Vec<v1::ServerFrame> {
        let frames = self.frames.iter().filter(|(from_client, _)| !from_client);
        frames.map(|(_, bytes)| frame::decode(frame::body(bytes)).unwrap()).collect()
    }

    fn reply(&self, pick: impl Fn(&Reply) -> bool) -> Reply {
        self.server_frames().into_iter().filter_map(|f| f.body).find(|body| pick(body)).unwrap()
    }

    /// The server of the session, as Greeted describes it.
    fn server(&self) -> Server {
        let Reply::Greeted(greeted) = self.reply(|r| matches!(r, Reply::Greeted(_))) else {
            unreachable!("that was picked")
        };
        let config = Config {
            limits: greeted.limits.unwrap(),
            server_names: vec!["chat.example".into()],
            capabilities: greeted.capabilities,
            registration: v1::RegistrationMode::try_from(greeted.registration).unwrap(),
            log_key: greeted.log_key.unwrap(),
            user_agent: greeted.user_agent,
        };
        let cert_sha256 = array(&self.setup["SHA-256 of the certificate"]);
        let transport = Transport::Tls { exporter: [0; 32], cert_sha256 };
        let nonce = array(&self.setup["server nonce"]);
        Server::new(config, transport, nonce, greeted.server_time_ms)
    }

    /// What a store would answer: what the session says.
    fn outcome(&self, command: &Command) -> Outcome {
        let reply = |pick: fn(&Reply) -> bool| Outcome::Reply(self.reply(pick));
        match command {
            Command::Register { .. } => Outcome::LoggedIn {
                user_id: UserId::new(array(&self.setup["Alice's user_id"])),
                device_id: DeviceId::new(array(&self.setup["Alice's device_id"])),
            },
            Command::Attach { .. } => {
                Outcome::Attached { handle: Name::from_canonical("alice".into()) }
            }
            Command::ListRooms { .. } => reply(|r| matches!(r, Reply::Rooms(_))),
            Command::Join { .. } => reply(|r| matches!(r, Reply::Joined(_))),
            Command::SendMessage { .. } => reply(|r| matches!(r, Reply::Sent(_))),
            Command::Fetch { .. } => reply(|r| matches!(r, Reply::Fetched(_))),
            other => panic!("the session has no {other:?}"),
        }
    }
}

// cites: FRAME-001, HELLO-002, HELLO-005, AUTH-001, REQ-004, PING-001
#[test]
fn the_server_answers_as_in_the_session() {
    let session = Session::read();
    let mut server = session.server();
    let mut sent = Vec::new();
    for (_, frame) in session.frames.iter().filter(|(from_client, _)| *from_client) {
        let mut actions = server.feed(frame);
        while let Some((ticket, command)) = actions.pop() {
            actions = server.answer(ticket, session.outcome(&command));
        }
        sent.extend(server.sent());
    }
    // Events come from the log, not from the session; texts of errors are for people.
    let is_reply = |frame: &v1::ServerFrame| frame.reply_to != 0;
    let mut expected: Vec<_> = session.server_frames().into_iter().filter(is_reply).collect();
    for frame in sent.iter_mut().chain(&mut expected) {
        if let Some(Reply::Error(error)) = &mut frame.body {
            error.message.clear();
        }
    }
    assert_eq!(sent, expected);
}

// cites: LOG-011, HEAD-001, HEAD-003, MSG-008, PUSH-007
#[test]
fn a_client_trusts_the_log_of_the_session() {
    let session = Session::read();
    let Reply::Fetched(fetched) = session.reply(|r| matches!(r, Reply::Fetched(_))) else {
        unreachable!("that was picked")
    };
    let log_key = PublicKey::from_bytes(&bytes(&session.setup["public log key"])).unwrap();
    let conversation = ConversationId::new(array(&session.setup["the lobby's conversation_id"]));
    super::client::follow(&log_key, conversation, &fetched);

    let message = &fetched.entries[2];
    let header: v1::EntryHeader = frame::decode(message.header.clone()).unwrap();
    let salt = message.salt[..].try_into().unwrap();
    let context = MessageContext {
        conversation,
        message_id: IdempotencyKey::try_from(&header.message_id[..]).unwrap(),
        user: UserId::try_from(&header.sender_user_id[..]).unwrap(),
        device: DeviceId::try_from(&header.sender_device_id[..]).unwrap(),
        payload_hash: aside_crypto::payload_hash(&salt, &message.payload),
    };
    let alice = PublicKey::from_bytes(&bytes(&session.setup["Alice's public key"])).unwrap();
    let signature = Signature::try_from(&header.signature[..]).unwrap();
    assert_eq!(context.verify(&alice, &signature), Ok(()));

    let pushed = session.server_frames().into_iter().filter_map(|frame| match frame.body {
        Some(Reply::EntryAppended(event)) => event.entry,
        _ => None,
    });
    assert_eq!(pushed.collect::<Vec<_>>(), fetched.entries[1..]);
}
