//! The lobby of the session: its entries and their chain, and the ids and times in them.

use aside_crypto::{Hash, MessageContext, chain_next, chain_start, label, payload_hash};
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    v1,
};
use prost::{Message as _, bytes::Bytes};

use super::Computed;
use crate::vectors::material::{TIME_MS, alice_key, counting, id};

/// Salts of the three entries: the server's, the server's, Alice's.
pub(super) const SALTS: [[u8; 32]; 3] = [counting(0x10), counting(0x30), counting(0xa0)];

/// What happens when, in milliseconds after [`TIME_MS`].
pub(super) mod at {
    pub(crate) const HELLO: u64 = 60_000;
    pub(crate) const REGISTER: u64 = 60_250;
    pub(crate) const JOIN: u64 = 61_000;
    pub(crate) const MESSAGE: u64 = 62_500;
    pub(crate) const FETCH: u64 = 63_000;
}

pub(super) fn conversation() -> ConversationId {
    ConversationId::new(id(0, 0xc1))
}

pub(super) fn user() -> UserId {
    UserId::new(id(at::REGISTER, 0xa1))
}

pub(super) fn device() -> DeviceId {
    DeviceId::new(id(at::REGISTER, 0xd1))
}

/// Alice's idempotency keys, made a little before the server sees them.
pub(super) fn register_key() -> IdempotencyKey {
    IdempotencyKey::new(id(at::REGISTER - 40, 0xe1))
}

pub(super) fn join_key() -> IdempotencyKey {
    IdempotencyKey::new(id(at::JOIN - 20, 0xe2))
}

pub(super) fn message_id() -> IdempotencyKey {
    IdempotencyKey::new(id(at::MESSAGE - 20, 0xe3))
}

/// The lobby's three entries.
pub(super) fn log() -> Vec<v1::Entry> {
    let created = v1::RoomCreatedPayload { name: "lobby".into(), owner_user_id: Bytes::new() };
    let joined = v1::MemberJoinedPayload {
        user_id: user().to_bytes(),
        handle: "alice".into(),
        role: v1::Role::Member.into(),
    };
    let by_alice = |key: IdempotencyKey| v1::EntryHeader {
        sender_user_id: user().to_bytes(),
        sender_device_id: device().to_bytes(),
        message_id: key.to_bytes(),
        ..Default::default()
    };
    let signature = message().sign(&alice_key()).as_bytes().to_vec().into();
    let by_server = v1::EntryHeader::default();
    let sent = v1::EntryHeader { signature, ..by_alice(message_id()) };
    vec![
        entry(1, 0, v1::EntryKind::RoomCreated, by_server, created.encode_to_vec()),
        entry(
            2,
            at::JOIN,
            v1::EntryKind::MemberJoined,
            by_alice(join_key()),
            joined.encode_to_vec(),
        ),
        entry(3, at::MESSAGE, v1::EntryKind::Message, sent, content()),
    ]
}

fn entry(
    seq: usize,
    after_ms: u64,
    kind: v1::EntryKind,
    sender: v1::EntryHeader,
    payload: Vec<u8>,
) -> v1::Entry {
    let header = v1::EntryHeader {
        conversation_id: conversation().to_bytes(),
        seq: seq as u64,
        kind: kind.into(),
        time_ms: TIME_MS + after_ms,
        ..sender
    };
    v1::Entry {
        header: header.encode_to_vec().into(),
        salt: Bytes::copy_from_slice(&SALTS[seq - 1]),
        payload: payload.into(),
        payload_hash: Bytes::new(),
    }
}

pub(super) fn content() -> Vec<u8> {
    let text = v1::Text { body: "Hello!".into(), mentions: Vec::new() };
    v1::Content { body: Some(v1::content::Body::Text(text)), reply_to: None }.encode_to_vec()
}

pub(super) fn message() -> MessageContext {
    MessageContext {
        conversation: conversation(),
        message_id: message_id(),
        user: user(),
        device: device(),
        payload_hash: payload_hash(&SALTS[2], &content()),
    }
}

/// How the chain comes about, and its values from chain(0) on.
pub(super) fn chain(log: &[v1::Entry]) -> (Vec<Computed>, Vec<Hash>) {
    let start = chain_start(conversation());
    let id = vec![("the lobby's conversation_id", conversation().as_bytes().to_vec())];
    let mut computed = vec![Computed::hash("chain(0)", label::CHAIN_START, id, &start)];
    let mut chains = vec![start];
    for (i, entry) in log.iter().enumerate() {
        let (seq, before) = (i + 1, chains[i]);
        let hash = payload_hash(&SALTS[i], &entry.payload);
        let next = chain_next(&before, &entry.header, &hash);
        let hashed = vec![("salt", SALTS[i].to_vec()), ("payload", entry.payload.to_vec())];
        let chained = vec![
            ("chain before", before.to_vec()),
            ("header", entry.header.to_vec()),
            ("payload hash", hash.to_vec()),
        ];
        computed.push(Computed::hash(
            format!("payload_hash({seq})"),
            label::PAYLOAD,
            hashed,
            &hash,
        ));
        computed.push(Computed::hash(format!("chain({seq})"), label::CHAIN, chained, &next));
        chains.push(next);
    }
    (computed, chains)
}
