//! The hostile server: a log, a fork of it, both under heads that the log key signed, and ways to be wrong.

use std::{collections::VecDeque, sync::LazyLock};

use aside_crypto::{
    Binding, PublicKey, SigningKey, chain_next, chain_start, payload_hash, sign_head,
};
use aside_proto::{
    VERSION, frame,
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    limits,
    v1::{self, client_frame, content, server_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;

use super::encode;
use crate::{
    Now,
    client::{Config, DeviceKey, Draft, log::Place},
    fuzz::Reader,
};

/// The one conversation.
pub(super) const CONVERSATION: ConversationId = ConversationId::new([3; 16]);
/// When it begins.
pub(super) const NOW: Now = Now { monotonic_ms: 0, unix_ms: 1_700_000_000_000 };
/// Entries of each log.
const LENGTH: usize = 24;
/// Where the fork begins to differ.
const FORK: usize = 9;
/// Frames that wait for the client.
const MAX_WAITING: usize = 64;

const USER: UserId = UserId::new([1; 16]);
const DEVICE: DeviceId = DeviceId::new([2; 16]);

/// What a client brings: it knows the log key.
pub(super) fn config() -> Config {
    Config {
        server_name: "chat.example".to_owned(),
        user_agent: String::new(),
        capabilities: vec!["talk".to_owned(), "sync".to_owned()],
        binding: Binding::Exporter([9; 32]),
        log_key: Some(log_key()),
    }
}

/// The key that signs heads.
pub(super) fn log_key() -> PublicKey {
    MATERIAL.log_public
}

/// The key of the device that says everything, the client's own.
pub(super) fn device_key() -> DeviceKey {
    let public_key = MATERIAL.client_public;
    DeviceKey { device: DEVICE, user: USER, public_key, revoked_ms: 0 }
}

/// Its private half.
pub(super) fn client_key() -> &'static SigningKey {
    &MATERIAL.client
}

/// A message to send.
pub(super) fn draft(id: u8) -> Draft {
    let text = v1::Text { body: format!("message {}", id % 4), mentions: Vec::new() };
    let content = v1::Content { body: Some(content::Body::Text(text)), reply_to: None };
    let ids = (CONVERSATION, IdempotencyKey::new([id; 16]));
    let payload = content.encode_to_vec().into();
    Draft::sign((USER, DEVICE), client_key(), ids, [id; 32], payload)
}

/// What is the same in every run, and slow to make.
struct Material {
    log_public: PublicKey,
    client: SigningKey,
    client_public: PublicKey,
    logs: [Log; 2],
    /// A head of the true log under a key that is not the log key.
    forged: v1::SignedHead,
}

/// One history: entry, place after it, and the head there.
struct Log(Vec<(v1::Entry, Place, v1::SignedHead)>);

static MATERIAL: LazyLock<Material> = LazyLock::new(|| {
    let key = |byte| SigningKey::from_bytes(&[byte; 32]).expect("these bytes are a key");
    let (log_key, client) = (key(5), key(6));
    let (client_public, log_public) = (client.public_key(), log_key.public_key());
    let logs = [0, 1].map(|which| log(which, &log_key, &client));
    let last = logs[0].0[LENGTH - 1].1;
    Material { log_public, client_public, client, forged: head(&last, &key(8)), logs }
});

fn log(which: u8, log_key: &SigningKey, client: &SigningKey) -> Log {
    let mut place = Place { seq: 0, chain: chain_start(CONVERSATION) };
    let mut entries = Vec::new();
    for n in 0..LENGTH {
        let (id, seq) = (64 + n as u8, n as u64 + 1);
        let salt = [if n < FORK { 0 } else { which }; 32];
        let text = v1::Text { body: format!("entry {seq}"), mentions: Vec::new() };
        let body = Some(content::Body::Text(text));
        let payload = v1::Content { body, reply_to: None }.encode_to_vec().into();
        let message_id = IdempotencyKey::new([id; 16]);
        let draft = Draft::sign((USER, DEVICE), client, (CONVERSATION, message_id), salt, payload);
        let header = v1::EntryHeader {
            conversation_id: CONVERSATION.to_bytes(),
            seq,
            kind: v1::EntryKind::Message.into(),
            sender_user_id: USER.to_bytes(),
            sender_device_id: DEVICE.to_bytes(),
            message_id: message_id.to_bytes(),
            time_ms: NOW.unix_ms + seq,
            signature: draft.request().signature,
        };
        let entry = v1::Entry {
            header: header.encode_to_vec().into(),
            salt: salt.to_vec().into(),
            payload: draft.payload.clone(),
            payload_hash: Bytes::new(),
        };
        let hash = payload_hash(&salt, &entry.payload);
        place = Place { seq, chain: chain_next(&place.chain, &entry.header, &hash) };
        entries.push((entry, place, head(&place, log_key)));
    }
    Log(entries)
}

fn head(place: &Place, key: &SigningKey) -> v1::SignedHead {
    let statement = v1::HeadStatement {
        conversation_id: CONVERSATION.to_bytes(),
        first_seq: 1,
        anchor: chain_start(CONVERSATION).to_vec().into(),
        head_seq: place.seq,
        chain: place.chain.to_vec().into(),
        time_ms: NOW.unix_ms,
    };
    let statement = Bytes::from(statement.encode_to_vec());
    let signature = Bytes::copy_from_slice(sign_head(key, &statement).as_bytes());
    v1::SignedHead { statement, signature }
}

/// The server.
#[derive(Default)]
pub(super) struct Hostile {
    /// Requests that it did not answer.
    heard: VecDeque<v1::ClientFrame>,
    waiting: VecDeque<Bytes>,
}

impl Hostile {
    /// Whether the log key has signed a head there, in either history.
    pub(super) fn has_signed(&self, place: &Place) -> bool {
        let mut heads = MATERIAL.logs.iter().flat_map(|log| &log.0);
        heads.any(|(_, signed, _)| signed == place)
    }

    /// The next frame for the client.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.waiting.pop_front()
    }

    /// A frame of the client's.
    pub(super) fn hear(&mut self, frame: &Bytes) {
        let heard: v1::ClientFrame = frame::decode(frame::body(frame)).expect("clients encode");
        self.heard.push_back(heard);
    }

    /// The connection is another.
    pub(super) fn disconnected(&mut self) {
        (self.heard, self.waiting) = Default::default();
    }

    fn say(&mut self, frame: Bytes) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(frame);
        }
    }

    /// Any body, in a frame.
    pub(super) fn say_body(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len()).expect("bodies are small here").to_be_bytes();
        self.say([&length[..], body].concat().into());
    }

    /// Greeted, as it should be.
    pub(super) fn greet(&mut self) {
        if let Some(hello) = self.heard.pop_front() {
            self.say(encode(hello.request_id, greeted()));
        }
    }

    /// Authenticated, as it should be.
    pub(super) fn authenticate(&mut self) {
        if let Some(login) = self.heard.pop_front() {
            self.say(encode(login.request_id, authenticated()));
        }
    }

    /// Answers one of the requests: rightly, wrongly, or with another's answer.
    pub(super) fn reply(&mut self, input: &mut Reader<'_>) {
        let (which, how) = (usize::from(input.byte()), input.byte());
        let Some(request) = self.heard.remove(which % self.heard.len().max(1)) else { return };
        let id = request.request_id.wrapping_add(u64::from(how == 0xff));
        let body = match how % 8 {
            0 => refusal(input),
            1 => return self.answer_nothing(id),
            2 => other(input.byte()),
            _ => right(request.body, how, input),
        };
        self.say(encode(id, body));
        if how % 16 == 9 {
            self.heard.push_back(v1::ClientFrame { request_id: id, ..Default::default() });
        }
    }

    fn answer_nothing(&mut self, reply_to: u64) {
        self.say(frame::encode(&v1::ServerFrame { reply_to, body: None }));
    }

    /// Pushes an entry, of one history or the other.
    pub(super) fn push(&mut self, input: &mut Reader<'_>) {
        let [which, seq, how] = [input.byte(), input.byte(), input.byte()];
        let log = &MATERIAL.logs[usize::from(which % 2)].0;
        let mut entry = log[usize::from(seq) % LENGTH].0.clone();
        spoil(&mut entry, how, input);
        self.say(encode(0, Body::EntryAppended(v1::EntryAppended { entry: Some(entry) })));
    }

    /// Other events.
    pub(super) fn tell(&mut self, input: &mut Reader<'_>) {
        let [kind, seq] = [input.byte(), input.byte()];
        let conversation_id = if kind & 0x40 == 0 { CONVERSATION.to_bytes() } else { raw(input) };
        let head_seq = if kind & 0x80 == 0 { seq.into() } else { u64::MAX - u64::from(seq) };
        let watermark = v1::Watermark {
            user_id: USER.to_bytes(),
            delivered_seq: head_seq,
            read_seq: seq.into(),
        };
        self.say(match kind % 4 {
            0 => encode(0, Body::Gap(v1::Gap { conversation_id, head_seq })),
            1 => encode(
                0,
                Body::WatermarkMoved(v1::WatermarkMoved {
                    conversation_id,
                    watermark: Some(watermark),
                }),
            ),
            2 => encode(0, refusal(input)),
            _ => encode(0, other(seq)),
        });
    }
}

fn raw(input: &mut Reader<'_>) -> Bytes {
    let length = usize::from(input.byte() % 40);
    Bytes::copy_from_slice(input.bytes(length))
}

/// A reply that answers the request, more or less.
fn right(request: Option<client_frame::Body>, how: u8, input: &mut Reader<'_>) -> Body {
    match request {
        Some(client_frame::Body::Hello(_)) => match (how / 8, greeted()) {
            (1, Body::Greeted(mut greeted)) => {
                greeted.version = input.byte().into();
                greeted.server_nonce = raw(input);
                Body::Greeted(greeted)
            }
            (2, Body::Greeted(mut greeted)) => {
                let public_key = device_key().public_key.as_bytes().to_vec().into();
                greeted.log_key = Some(v1::LogKey { public_key, rotations: Vec::new() });
                Body::Greeted(greeted)
            }
            (3, Body::Greeted(mut greeted)) => {
                let max_in_flight = input.byte().into();
                greeted.limits = Some(v1::Limits { max_in_flight, ..limits::DEFAULT });
                Body::Greeted(greeted)
            }
            (_, greeted) => greeted,
        },
        Some(client_frame::Body::DeviceLogin(_)) => authenticated(),
        Some(client_frame::Body::Fetch(fetch)) => fetched(&fetch, how, input),
        Some(client_frame::Body::SendMessage(message)) => {
            let salt: [u8; 32] = message.salt[..].try_into().expect("a draft has a salt");
            let hash = payload_hash(&salt, &message.payload);
            let payload_hash = if how < 0x80 { Bytes::copy_from_slice(&hash) } else { raw(input) };
            let seq = input.byte().into();
            Body::Sent(v1::Sent { seq, time_ms: NOW.unix_ms, payload_hash })
        }
        Some(client_frame::Body::LookUpDevices(_)) => {
            let key = device_key();
            let public_key =
                if how < 0x80 { key.public_key.as_bytes().to_vec().into() } else { raw(input) };
            let (device_id, user_id) = (key.device.to_bytes(), key.user.to_bytes());
            let key = v1::DeviceKey { device_id, user_id, public_key, revoked_ms: 0 };
            Body::DeviceKeys(v1::DeviceKeys { keys: vec![key] })
        }
        Some(client_frame::Body::Ping(ping)) => Body::Pong(v1::Pong { data: ping.data }),
        _ => other(how),
    }
}

/// A page of a history, with what `how` says of the ways to be wrong.
fn fetched(fetch: &v1::Fetch, how: u8, input: &mut Reader<'_>) -> Body {
    let [which, count, head] = [input.byte(), input.byte(), input.byte()];
    let log = &MATERIAL.logs[usize::from(which % 2)].0;
    let from = usize::try_from(fetch.from_seq.saturating_sub(1)).unwrap_or(LENGTH).min(LENGTH);
    let to = (from + usize::from(count % 12)).min(LENGTH);
    let mut entries: Vec<_> = log[from..to].iter().map(|(entry, ..)| entry.clone()).collect();
    if how & 0x20 != 0
        && let Some(at) = usize::from(input.byte()).checked_rem(entries.len())
    {
        let how = input.byte();
        match how % 4 {
            0 => drop(entries.remove(at)),
            1 => entries.swap(at, 0),
            _ => spoil(&mut entries[at], how, input),
        }
    }
    let before = from.checked_sub(1).map_or(chain_start(CONVERSATION), |at| log[at].1.chain);
    let prev_chain = if how & 0x40 == 0 { before.to_vec().into() } else { raw(input) };
    let head_seq = usize::from(head % LENGTH as u8).max(to.saturating_sub(1));
    let signed = match how & 0x90 {
        0x80 => MATERIAL.forged.clone(),
        0x90 => MATERIAL.logs[usize::from(which / 2 % 2)].0[head_seq].2.clone(),
        _ => log[head_seq].2.clone(),
    };
    let signed_head = (fetch.signed_head != (how == 0x13)).then_some(signed);
    let head_seq = if which < 0xf0 { head_seq as u64 + 1 } else { u64::MAX - u64::from(head) };
    Body::Fetched(v1::Fetched { entries, prev_chain, first_seq: 1, head_seq, signed_head })
}

/// Changes an entry, unless `how` is small.
fn spoil(entry: &mut v1::Entry, how: u8, input: &mut Reader<'_>) {
    let mut flip = |bytes: &Bytes| {
        let mut bytes = bytes.to_vec();
        if let Some(at) = usize::from(input.byte()).checked_rem(bytes.len()) {
            bytes[at] ^= input.byte();
        }
        Bytes::from(bytes)
    };
    match how {
        0xc0..=0xcf => entry.header = flip(&entry.header),
        0xd0..=0xdf => entry.payload = flip(&entry.payload),
        0xe0..=0xe7 => entry.salt = flip(&entry.salt),
        0xe8..=0xef => {
            // As a redaction leaves it, and none of this version does.
            let salt: [u8; 32] = entry.salt[..].try_into().unwrap_or_default();
            let hash = payload_hash(&salt, &entry.payload);
            (entry.salt, entry.payload) = Default::default();
            entry.payload_hash = Bytes::copy_from_slice(&hash);
        }
        0xf0..=0xff => entry.header = raw(input),
        _ => {}
    }
}

fn refusal(input: &mut Reader<'_>) -> Body {
    let [code, seq] = [input.byte(), input.byte()];
    let codes = [
        v1::ErrorCode::Trimmed,
        v1::ErrorCode::SeqOutOfRange,
        v1::ErrorCode::NotAMember,
        v1::ErrorCode::RateLimited,
        v1::ErrorCode::ShuttingDown,
    ];
    let place = MATERIAL.logs[usize::from(code >> 7)].0[usize::from(seq) % LENGTH].1;
    let honest = code & 0x40 == 0;
    let anchor = if honest { Bytes::copy_from_slice(&place.chain) } else { raw(input) };
    let code = codes.get(usize::from(code % 8)).map_or(i32::from(code), |code| (*code).into());
    let first_seq = if seq < 0xf0 { place.seq + 1 } else { u64::MAX };
    Body::Error(v1::Error { code, anchor, first_seq, head_seq: seq.into(), ..Default::default() })
}

fn other(kind: u8) -> Body {
    match kind % 5 {
        0 => Body::Left(v1::Left {}),
        1 => Body::Rooms(v1::Rooms::default()),
        2 => Body::Pong(v1::Pong::default()),
        3 => Body::Sent(v1::Sent::default()),
        _ => Body::Fetched(v1::Fetched::default()),
    }
}

fn greeted() -> Body {
    let public_key = log_key().as_bytes().to_vec().into();
    Body::Greeted(v1::Greeted {
        version: VERSION,
        capabilities: vec!["sync".to_owned(), "talk".to_owned()],
        limits: Some(limits::DEFAULT),
        server_nonce: vec![4; 32].into(),
        log_key: Some(v1::LogKey { public_key, rotations: Vec::new() }),
        binding_types: vec![v1::BindingType::Exporter.into()],
        ..Default::default()
    })
}

fn authenticated() -> Body {
    Body::Authenticated(v1::Authenticated {
        user_id: USER.to_bytes(),
        device_id: DEVICE.to_bytes(),
        handle: "alice".to_owned(),
    })
}
