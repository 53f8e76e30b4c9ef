//! What passes in the session.

use aside_crypto::{Binding, Transcript, label, sign_head};
use aside_proto::{
    id::IdempotencyKey,
    v1::{self, client_frame::Body as Request, server_frame::Body as Reply},
};
use prost::{Message as _, bytes::Bytes};

use super::{
    Computed, Named, Session,
    lobby::{
        SALTS, at, chain, content, conversation, device, join_key, log, message, message_id,
        register_key, user,
    },
};
use crate::vectors::material::{SERVER_NAME, TIME_MS, alice_key, counting, log_key};

const ALICE_KEY: &str = "Alice's private key";
const LOG_KEY: &str = "private log key";

const CLIENT_NONCE: [u8; 32] = counting(0xc0);
const SERVER_NONCE: [u8; 32] = counting(0x50);
const CERT_SHA256: [u8; 32] = counting(0x90);

/// What both sides start from, or make by chance.
pub(super) fn setup() -> Vec<Named> {
    let named = |name, value: &[u8]| Named { name, value: value.to_vec() };
    vec![
        named("client nonce", &CLIENT_NONCE),
        named("server nonce", &SERVER_NONCE),
        named("SHA-256 of the certificate", &CERT_SHA256),
        named(ALICE_KEY, &*alice_key().to_bytes()),
        named("Alice's public key", alice_key().public_key().as_bytes()),
        named(LOG_KEY, &*log_key().to_bytes()),
        named("public log key", log_key().public_key().as_bytes()),
        named("Alice's user_id", user().as_bytes()),
        named("Alice's device_id", device().as_bytes()),
        named("the lobby's conversation_id", conversation().as_bytes()),
        named("key of Register", register_key().as_bytes()),
        named("key of Join", join_key().as_bytes()),
        named("message_id", message_id().as_bytes()),
        named("salt of entry 1", &SALTS[0]),
        named("salt of entry 2", &SALTS[1]),
        named("salt of the message", &SALTS[2]),
    ]
}

/// Plays all of it.
pub(super) fn play(session: &mut Session) {
    greet(session);
    wrong_phase(session);
    register(session);
    find_the_lobby(session);
    join(session);
    send(session);
    fetch(session);
    ping(session);
}

fn request(request_id: u64, key: Option<IdempotencyKey>, body: Request) -> v1::ClientFrame {
    let idempotency_key = key.map(IdempotencyKey::to_bytes).unwrap_or_default();
    v1::ClientFrame { request_id, idempotency_key, body: Some(body) }
}

fn reply(reply_to: u64, body: Reply) -> v1::ServerFrame {
    v1::ServerFrame { reply_to, body: Some(body) }
}

fn event(entry: v1::Entry) -> v1::ServerFrame {
    reply(0, Reply::EntryAppended(v1::EntryAppended { entry: Some(entry) }))
}

fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn greet(session: &mut Session) {
    let hello = v1::Hello {
        versions: vec![1],
        capabilities: vec!["talk".into()],
        client_nonce: bytes(&CLIENT_NONCE),
        server_name: SERVER_NAME.into(),
        user_agent: "example 1.0".into(),
    };
    let greeted = v1::Greeted {
        version: 1,
        capabilities: vec!["talk".into()],
        server_nonce: bytes(&SERVER_NONCE),
        server_time_ms: TIME_MS + at::HELLO,
        limits: Some(limits()),
        log_key: Some(v1::LogKey {
            public_key: bytes(log_key().public_key().as_bytes()),
            rotations: Vec::new(),
        }),
        binding_types: vec![v1::BindingType::Exporter.into(), v1::BindingType::CertSha256.into()],
        registration: v1::RegistrationMode::Open.into(),
        user_agent: "aside 0.1.0".into(),
    };
    session.client(
        "hello",
        &["HELLO-001", "HELLO-007", "HELLO-010", "FRAME-001"],
        "The client has dialled chat.example, checked the certificate for that name, and negotiated aside/1.",
        &request(1, None, Request::Hello(hello)),
        Vec::new(),
    );
    session.server(
        "greeted",
        &["HELLO-003", "HELLO-005", "HELLO-011", "HELLO-014", "HELLO-015"],
        "The client keeps the limits, and remembers the log key of this server: it is the first contact.",
        &reply(1, Reply::Greeted(greeted)),
        Vec::new(),
    );
}

fn limits() -> v1::Limits {
    v1::Limits {
        max_frame_bytes_unauthenticated: 16_384,
        max_frame_bytes: 1_048_576,
        max_in_flight: 64,
        max_payload_bytes: 65_536,
        max_fetch_entries: 512,
        max_page_items: 100,
        push_queue_bytes: 1_048_576,
        idle_timeout_ms: 300_000,
        handshake_timeout_ms: 20_000,
        device_expiry_s: 15_552_000,
        idempotency_window_s: 3_888_000,
        rename_cooldown_s: 3600,
        max_name_chars: 32,
        min_password_chars: 8,
        max_password_bytes: 256,
        max_rooms_per_user: 1000,
        max_devices_per_user: 32,
        max_live_members: 256,
        max_pins: 50,
        max_invitations_per_user: 100,
        max_invitations_per_room: 1000,
        max_redactions: 64,
        presence_grace_ms: 10_000,
        max_token_lifetime_s: 31_536_000,
        max_tokens_per_user: 16,
        max_leaves: 1000,
        max_commit_bytes: 196_608,
        max_welcome_bytes: 393_216,
        max_group_info_bytes: 393_216,
        max_key_packages: 100,
        max_key_package_bytes: 8192,
        key_packages_low: 20,
        max_groups_per_user: 4000,
    }
}

fn wrong_phase(session: &mut Session) {
    session.client(
        "list-rooms-too-early",
        &["HELLO-002"],
        "A mistake: rooms are for those who are logged in.",
        &request(2, None, Request::ListRooms(v1::ListRooms::default())),
        Vec::new(),
    );
    let error = v1::Error {
        code: v1::ErrorCode::WrongPhase.into(),
        message: "Log in first.".into(),
        ..Default::default()
    };
    session.server(
        "error-wrong-phase",
        &["HELLO-002", "ERR-002", "ERR-005"],
        "Code 101, of scope request: the connection goes on as if nothing had been sent.",
        &reply(2, Reply::Error(error)),
        Vec::new(),
    );
}

fn register(session: &mut Session) {
    let key = alice_key();
    let transcript = Transcript {
        binding: Binding::CertSha256(CERT_SHA256),
        server_name: SERVER_NAME,
        server_nonce: &SERVER_NONCE,
        client_nonce: &CLIENT_NONCE,
    };
    let signature = transcript.sign_bind(&key);
    let fields = vec![
        ("binding type", vec![2]),
        ("SHA-256 of the certificate", CERT_SHA256.to_vec()),
        ("server name", SERVER_NAME.into()),
        ("server nonce", SERVER_NONCE.to_vec()),
        ("client nonce", CLIENT_NONCE.to_vec()),
        ("Alice's public key", key.public_key().as_bytes().to_vec()),
    ];
    let register = v1::Register {
        handle: "Alice".into(),
        password: "correct horse battery".into(),
        on_conflict: v1::OnConflict::Reject.into(),
        device: Some(v1::NewDevice {
            public_key: bytes(key.public_key().as_bytes()),
            name: "laptop".into(),
            proof: Some(v1::DeviceProof {
                binding_type: v1::BindingType::CertSha256.into(),
                signature: bytes(signature.as_bytes()),
            }),
        }),
    };
    session.client(
        "register",
        &["AUTH-001", "IDEM-001", "CONV-003"],
        "Mutating, so it carries an idempotency key. The proof ties the device's key to this connection.",
        &request(3, Some(register_key()), Request::Register(register)),
        vec![Computed::signature("proof", ALICE_KEY, label::DEVICE_BIND, fields, &signature)],
    );
    let authenticated = v1::Authenticated {
        user_id: user().to_bytes(),
        device_id: device().to_bytes(),
        handle: "alice".into(),
    };
    session.server(
        "authenticated",
        &["AUTH-011", "NAME-001"],
        "The handle comes back in canonical form. From here on the greater frame limit is in force.",
        &reply(3, Reply::Authenticated(authenticated)),
        Vec::new(),
    );
}

fn room(member_count: u32, role: v1::Role, head_seq: u64) -> v1::Room {
    v1::Room {
        conversation_id: conversation().to_bytes(),
        kind: v1::ConversationKind::PublicRoom.into(),
        name: "lobby".into(),
        member_count,
        role: role.into(),
        is_default: true,
        first_seq: 1,
        head_seq,
        ..v1::Room::default()
    }
}

fn find_the_lobby(session: &mut Session) {
    let list = v1::ListRooms { name: "lobby".into(), ..Default::default() };
    session.client(
        "list-rooms",
        &["ROOM-016"],
        "Where newcomers go. Fields that are 0, false or empty are not encoded.",
        &request(4, None, Request::ListRooms(list)),
        Vec::new(),
    );
    let rooms =
        v1::Rooms { rooms: vec![room(0, v1::Role::Unspecified, 1)], next_page_token: Bytes::new() };
    session.server(
        "rooms",
        &["ROOM-004", "ROOM-016"],
        "No next_page_token: that is all. The log has one entry, made with the room; Alice has no role.",
        &reply(4, Reply::Rooms(rooms)),
        Vec::new(),
    );
}

fn join(session: &mut Session) {
    let conversation_id = conversation().to_bytes();
    session.client(
        "join",
        &["ROOM-005", "IDEM-001"],
        "Mutating again; before it, the client showed that the server can read the room.",
        &request(5, Some(join_key()), Request::Join(v1::Join { conversation_id })),
        Vec::new(),
    );
    session.server(
        "entry-appended-joined",
        &["PUSH-002", "LOG-004", "LOG-005", "LOG-008"],
        "An event, since reply_to is absent: the entry that Alice's joining made. It may come before its reply or after.",
        &event(log().swap_remove(1)),
        Vec::new(),
    );
    session.server(
        "joined",
        &["ROOM-005", "ROOM-021"],
        "The room as it is now.",
        &reply(5, Reply::Joined(v1::Joined { room: Some(room(1, v1::Role::Member, 2)) })),
        Vec::new(),
    );
}

fn send(session: &mut Session) {
    let context = message();
    let signature = context.sign(&alice_key());
    let hashed = vec![("salt of the message", SALTS[2].to_vec()), ("payload", content())];
    let signed = vec![
        ("the lobby's conversation_id", conversation().as_bytes().to_vec()),
        ("message_id", message_id().as_bytes().to_vec()),
        ("Alice's user_id", user().as_bytes().to_vec()),
        ("Alice's device_id", device().as_bytes().to_vec()),
        ("payload hash", context.payload_hash.to_vec()),
    ];
    let send = v1::SendMessage {
        conversation_id: conversation().to_bytes(),
        payload: content().into(),
        salt: bytes(&SALTS[2]),
        signature: bytes(signature.as_bytes()),
    };
    session.client(
        "send-message",
        &["MSG-001", "MSG-008", "IDEM-001", "CONV-003"],
        "The idempotency key is the message's id. The payload is a Content, as its sender encoded it.",
        &request(6, Some(message_id()), Request::SendMessage(send)),
        vec![
            Computed::hash("payload hash", label::PAYLOAD, hashed, &context.payload_hash),
            Computed::signature("signature of the message", ALICE_KEY, label::MESSAGE, signed, &signature),
        ],
    );
    let sent = v1::Sent {
        seq: 3,
        time_ms: TIME_MS + at::MESSAGE,
        payload_hash: bytes(&context.payload_hash),
    };
    session.server(
        "sent",
        &["MSG-002", "MSG-003", "MSG-009"],
        "The message is durable. The client compares the payload hash with its own.",
        &reply(6, Reply::Sent(sent)),
        Vec::new(),
    );
    session.server(
        "entry-appended-message",
        &["PUSH-001", "LOG-005", "MSG-001", "MSG-008"],
        "The same entry as every member gets it, its sender included: here behind the reply.",
        &event(log().swap_remove(2)),
        Vec::new(),
    );
}

fn fetch(session: &mut Session) {
    let fetch = v1::Fetch {
        conversation_id: conversation().to_bytes(),
        from_seq: 1,
        max_entries: 0,
        signed_head: true,
    };
    session.client(
        "fetch",
        &["FETCH-001", "HEAD-003"],
        "The whole log, from before Alice joined, and a signed head with it.",
        &request(7, None, Request::Fetch(fetch)),
        Vec::new(),
    );
    let (mut computed, chains) = chain(&log());
    let statement = v1::HeadStatement {
        conversation_id: conversation().to_bytes(),
        first_seq: 1,
        anchor: bytes(&chains[0]),
        head_seq: 3,
        chain: bytes(&chains[3]),
        time_ms: TIME_MS + at::FETCH,
    }
    .encode_to_vec();
    let signature = sign_head(&log_key(), &statement);
    computed.push(Computed::signature(
        "signature of the head",
        LOG_KEY,
        label::HEAD,
        vec![("statement", statement.clone())],
        &signature,
    ));
    let fetched = v1::Fetched {
        entries: log(),
        prev_chain: bytes(&chains[0]),
        first_seq: 1,
        head_seq: 3,
        signed_head: Some(v1::SignedHead {
            statement: statement.into(),
            signature: bytes(signature.as_bytes()),
        }),
    };
    session.server(
        "fetched",
        &["FETCH-001", "LOG-010", "LOG-011", "HEAD-001", "HEAD-002", "ROOM-011"],
        "The client computes the chain over all entries, and compares it with what the head states, which it verifies under \
         the log key it remembers.",
        &reply(7, Reply::Fetched(fetched)),
        computed,
    );
}

fn ping(session: &mut Session) {
    let data = Bytes::from_static(b"still there?");
    session.client(
        "ping",
        &["LIM-003"],
        "Nothing was sent for a while.",
        &request(8, None, Request::Ping(v1::Ping { data: data.clone() })),
        Vec::new(),
    );
    session.server(
        "pong",
        &["PING-001"],
        "Then the client ends the session: close_notify, and the server answers with its own.",
        &reply(8, Reply::Pong(v1::Pong { data })),
        Vec::new(),
    );
}
