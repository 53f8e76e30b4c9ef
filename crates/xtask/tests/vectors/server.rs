//! The server's session.

use std::sync::Arc;

use aside_crypto::{Binding, PublicKey, SigningKey, Transcript};
use aside_proto::{
    frame,
    id::{DeviceId, UserId, uuid_v7},
    limits,
    name::Name,
    request,
    v1::{self, client_frame::Body as Request, server_frame::Body as Reply},
};
use aside_session::{
    Now,
    server::{
        Action, Command, Config, DeviceRecord, DeviceState, Outcome, Session, Ticket, Transport,
    },
};
use prost::Message as _;
use serde_json::{Value, json};

use super::{array, bytes, check, ensure, number, text};

const TIME_MS: u64 = 1_767_225_600_000;
const KEY_CODES: [&str; 2] = ["IDEMPOTENCY_KEY_INVALID", "REQUEST_ID_EXPIRED"];

/// A connection, and the time that stands still on it.
pub(crate) struct Server {
    session: Session,
    now: Now,
}

impl Server {
    pub(crate) fn new(config: Config, transport: Transport, nonce: [u8; 32], unix_ms: u64) -> Self {
        let now = Now { monotonic_ms: 0, unix_ms };
        Self { session: Session::new(Arc::new(config), transport, nonce, now), now }
    }

    /// What the session wants done after these bytes.
    pub(crate) fn feed(&mut self, stream: &[u8]) -> Vec<(Ticket, Command)> {
        self.session.handle_bytes(self.now, stream);
        self.actions()
    }

    pub(crate) fn answer(&mut self, ticket: Ticket, outcome: Outcome) -> Vec<(Ticket, Command)> {
        self.session.handle_outcome(self.now, ticket, outcome);
        self.actions()
    }

    /// The frames it sends.
    pub(crate) fn sent(&mut self) -> Vec<v1::ServerFrame> {
        let frames = std::iter::from_fn(|| self.session.poll_transmit());
        frames.map(|bytes| frame::decode(frame::body(&bytes)).unwrap()).collect()
    }

    fn actions(&mut self) -> Vec<(Ticket, Command)> {
        let actions = std::iter::from_fn(|| self.session.poll_action());
        actions.map(|Action::Execute { ticket, command }| (ticket, command)).collect()
    }

    /// A server of the vectors, in a phase.
    fn in_phase(phase: &str, limits: v1::Limits, unix_ms: u64) -> Self {
        let mut server = Self::new(config(limits), tls(), [7; 32], unix_ms);
        if phase == "connected" {
            return server;
        }
        server.feed(&request(Request::Hello(hello("chat.example", &[8; 32])), false));
        if phase == "authenticated" {
            let register = register("alice", "correct horse", usual_device());
            let mut actions = server.feed(&request_at(unix_ms, Request::Register(register), true));
            let (ticket, _) = actions.remove(0);
            server.attach(ticket);
        }
        server.sent();
        server
    }

    /// Lets a log-in succeed.
    fn attach(&mut self, ticket: Ticket) {
        let outcome =
            Outcome::LoggedIn { user_id: UserId::new([1; 16]), device_id: DeviceId::new([2; 16]) };
        let (ticket, _) = self.answer(ticket, outcome).remove(0);
        let handle = Name::from_canonical("alice".into());
        self.answer(ticket, Outcome::Attached { handle });
    }
}

fn config(limits: v1::Limits) -> Config {
    Config {
        limits,
        server_names: vec!["chat.example".into()],
        capabilities: vec!["talk".into()],
        registration: v1::RegistrationMode::Open,
        log_key: v1::LogKey::default(),
        user_agent: String::new(),
    }
}

fn tls() -> Transport {
    Transport::Tls { exporter: [1; 32], cert_sha256: [2; 32] }
}

/// A frame with request_id 1, and with a fresh key if the request is mutating.
fn request(body: Request, mutating: bool) -> Vec<u8> {
    request_at(TIME_MS, body, mutating)
}

fn request_at(time_ms: u64, body: Request, mutating: bool) -> Vec<u8> {
    let key = if mutating { uuid_v7(time_ms, [3; 10]).to_vec() } else { Vec::new() };
    let frame = v1::ClientFrame { request_id: 1, idempotency_key: key.into(), body: Some(body) };
    frame::encode(&frame).to_vec()
}

fn hello(server_name: &str, client_nonce: &[u8; 32]) -> v1::Hello {
    v1::Hello {
        versions: vec![1],
        capabilities: vec!["talk".into()],
        client_nonce: client_nonce.to_vec().into(),
        server_name: server_name.into(),
        user_agent: String::new(),
    }
}

/// A device with its proof for the connection of [`Server::in_phase`].
fn usual_device() -> v1::NewDevice {
    let transcript = Transcript {
        binding: Binding::Exporter([1; 32]),
        server_name: "chat.example",
        server_nonce: &[7; 32],
        client_nonce: &[8; 32],
    };
    let key = SigningKey::from_bytes(&[9; 32]).unwrap();
    device(&key.public_key(), 1, transcript.sign_bind(&key).as_bytes())
}

fn device(public_key: &PublicKey, binding_type: i32, signature: &[u8]) -> v1::NewDevice {
    v1::NewDevice {
        public_key: public_key.as_bytes().to_vec().into(),
        name: "laptop".into(),
        proof: Some(v1::DeviceProof { binding_type, signature: signature.to_vec().into() }),
    }
}

fn register(handle: &str, password: &str, device: v1::NewDevice) -> v1::Register {
    v1::Register {
        handle: handle.into(),
        password: password.into(),
        on_conflict: 0,
        device: Some(device),
    }
}

/// The error among these frames, if there is one, by the name of its code.
fn refusal(frames: &[v1::ServerFrame]) -> Option<(String, String)> {
    let errors = frames.iter().filter_map(|frame| match &frame.body {
        Some(Reply::Error(error)) => {
            let code = error.code().as_str_name().trim_start_matches("ERROR_CODE_");
            Some((code.to_owned(), error.field.clone()))
        }
        _ => None,
    });
    errors.last()
}

// cites: FRAME-002, FRAME-003, FRAME-004, FRAME-006, FRAME-008, FRAME-009, HELLO-002, HELLO-012, REQ-002, REQ-008
#[test]
fn frames() {
    check("frames", None, |vector| {
        if vector["from"] == "server" {
            return super::client::frames(vector);
        }
        let limits = v1::Limits {
            max_frame_bytes_unauthenticated: limits::MIN_FRAME_BYTES_UNAUTHENTICATED,
            max_frame_bytes: limits::MIN_FRAME_BYTES,
            max_payload_bytes: limits::MIN_PAYLOAD_BYTES,
            ..limits::DEFAULT
        };
        let mut server = Server::in_phase(text(&vector["phase"]), limits, TIME_MS);
        server.feed(&stream(vector));
        let sent = server.sent();
        let replies = sent.iter().filter_map(|frame| match frame.body.as_ref()? {
            Reply::Greeted(_) => Some(json!({"request_id": frame.reply_to, "body": "hello"})),
            Reply::Pong(_) => Some(json!({"request_id": frame.reply_to, "body": "ping"})),
            _ => None,
        });
        let replies: Vec<Value> = replies.collect();
        let expected = vector["messages"].as_array().unwrap();
        if let Some((code, field)) = refusal(&sent) {
            ensure(replies[..] == expected[..replies.len()], "messages")?;
            if let Some(named) = vector.get("field") {
                ensure(code != "INVALID_ARGUMENT" || *named == field, "field")?;
            }
            return Err(code);
        }
        ensure(replies == *expected, "messages")?;
        ensure(vector["error"] != "incomplete", "incomplete")
    });
}

/// The vector's stream, repetition included.
pub(crate) fn stream(vector: &Value) -> Vec<u8> {
    let mut stream = bytes(&vector["bytes"]);
    if let Some(repeat) = vector.get("repeat") {
        stream.extend(bytes(&repeat["bytes"]).repeat(number(&repeat["count"]) as usize));
    }
    stream
}

// cites: IDEM-002, IDEM-003, IDEM-004, IDEM-009
#[test]
fn idempotency() {
    check("idempotency", None, |vector| {
        let name = text(&vector["request"]);
        let info = request::all().iter().find(|info| info.name == name).unwrap();
        let phase = match info.phases[0] {
            request::Phase::Connected => "connected",
            request::Phase::Greeted => "greeted",
            request::Phase::Authenticated => "authenticated",
        };
        let window = number(&vector["idempotency_window_s"]);
        let limits = v1::Limits { idempotency_window_s: window, ..limits::DEFAULT };
        let mut server = Server::in_phase(phase, limits, number(&vector["server_time_ms"]));
        let key = bytes(&vector["idempotency_key"]);
        let head = v1::ClientFrame { request_id: 1, idempotency_key: key.into(), body: None };
        // The request without arguments: what the key is judged before.
        let mut body = head.encode_to_vec();
        prost::encoding::encode_key(
            info.number,
            prost::encoding::WireType::LengthDelimited,
            &mut body,
        );
        body.push(0);
        server.feed(&[&(body.len() as u32).to_be_bytes()[..], &body].concat());
        match refusal(&server.sent()) {
            Some((code, _)) if KEY_CODES.contains(&code.as_str()) => Err(code),
            // The arguments were looked at: the key has passed.
            _ => Ok(()),
        }
    });
}

// cites: AUTH-001, AUTH-002, AUTH-003, AUTH-006
#[test]
fn login() {
    check("login", None, |vector| {
        let connection = &vector["connection"];
        let (exporter, cert_sha256) =
            (array(&connection["exporter"]), array(&connection["cert_sha256"]));
        let none = connection["binding_types"].as_array().unwrap().contains(&json!(3));
        let transport = if none {
            Transport::WebSocket { exporter, cert_sha256, allow_none: true }
        } else {
            Transport::Tls { exporter, cert_sha256 }
        };
        let server_nonce = array(&connection["server_nonce"]);
        let mut server = Server::new(config(limits::DEFAULT), transport, server_nonce, TIME_MS);
        let hello = hello(text(&connection["server_name"]), &array(&connection["client_nonce"]));
        let now = server.now;
        let mut feed = |bytes: &[u8]| {
            if none {
                server.session.handle_message(now, bytes[frame::HEADER_BYTES..].to_vec().into());
            } else {
                server.session.handle_bytes(now, bytes);
            }
            server.actions()
        };
        feed(&request(Request::Hello(hello), false));
        let public_key = PublicKey::from_bytes(&bytes(&vector["public_key"])).unwrap();
        let (type_, signature) =
            (number(&vector["binding_type"]) as i32, bytes(&vector["signature"]));
        let device = device(&public_key, type_, &signature);
        let body = match vector.get("device_id") {
            None => Request::Register(register("alice", "correct horse", device)),
            Some(id) => Request::DeviceLogin(v1::DeviceLogin {
                device_id: bytes(id).into(),
                proof: device.proof,
            }),
        };
        let mutating = vector.get("device_id").is_none();
        let mut actions = feed(&request(body, mutating));
        if let Some((ticket, Command::FindDevice { .. })) = actions.first() {
            let record = DeviceRecord {
                user_id: UserId::new([1; 16]),
                public_key,
                state: DeviceState::Active,
            };
            actions = server.answer(*ticket, Outcome::Device(Some(record)));
        }
        match (refusal(&server.sent()), actions.first()) {
            (Some((code, _)), _) => Err(code),
            (None, Some((_, Command::Register { .. } | Command::Attach { .. }))) => Ok(()),
            (None, other) => Err(format!("{other:?}")),
        }
    });
}

// cites: NAME-001, NAME-002, PASS-001, PASS-002
#[test]
fn names() {
    check("names", None, |vector| {
        let (kind, input) = (text(&vector["kind"]), text(&vector["input"]));
        let taken = if kind == "room" { room(input) } else { account(kind, input) }?;
        ensure(taken.as_bytes() == bytes(&vector["output_utf8"]), "output")?;
        ensure(taken == text(&vector["output"]), "output")
    });
}

/// The name of a room as it is handed on.
fn room(name: &str) -> Result<String, String> {
    let mut server = Server::in_phase("authenticated", limits::DEFAULT, TIME_MS);
    let create = v1::CreateRoom { name: name.into() };
    match server.feed(&request(Request::CreateRoom(create), true)).first() {
        Some((_, Command::CreateRoom { name, .. })) => Ok(name.as_str().to_owned()),
        _ => Err(refusal(&server.sent()).unwrap().0),
    }
}

/// The handle or the password as it is handed on by Register.
fn account(kind: &str, input: &str) -> Result<String, String> {
    let mut server = Server::in_phase("greeted", limits::DEFAULT, TIME_MS);
    let register = match kind {
        "handle" => register(input, "correct horse", usual_device()),
        _ => register("alice", input, usual_device()),
    };
    match server.feed(&request(Request::Register(register), true)).first() {
        Some((_, Command::Register { handle, .. })) if kind == "handle" => {
            Ok(handle.as_str().to_owned())
        }
        Some((_, Command::Register { password, .. })) => Ok(password.expose().to_owned()),
        _ => Err(refusal(&server.sent()).unwrap().0),
    }
}
