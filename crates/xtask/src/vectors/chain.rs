//! chain.json.

use aside_crypto::{Hash, chain_next, chain_start, payload_hash};
use aside_proto::{id::ConversationId, v1};
use prost::Message as _;
use serde_json::{Map, Value};

use super::{
    file::{File, Vector, hex},
    material::{TIME_MS, counting, id},
};

const DESCRIPTION: &str = "Runs of entries as Fetched has them, and how a client judges them: prev_chain is that of Fetched, and head is \
    a seq and its chain value that the client trusts (from a signed head, or computed earlier). chains are the values \
    after each entry. Checked in this order, entry by entry: form (LOG-012, LOG-007), conversation, seq, time (LOG-004, LOG-001; the \
    time before the first is 0), form (CONV-006); chain (LOG-010, LOG-011; with from_seq 1, prev_chain has to be chain(0)) at the ends. \
    Whether a later entry redacts one without payload (LOG-013) is the matter of redaction.json, and whether signatures verify is not judged here.";

/// An entry, before it is encoded.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) header: v1::EntryHeader,
    salt: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    payload_hash: Option<Hash>,
    /// Bytes appended to the header: a field of a later version, say.
    more_header: &'static [u8],
}

impl Entry {
    pub(super) fn new(seq: u64, kind: v1::EntryKind, payload: &[u8]) -> Self {
        let sender =
            |bytes: [u8; 16]| if seq == 1 { Vec::new().into() } else { bytes.to_vec().into() };
        let header = v1::EntryHeader {
            conversation_id: conversation().to_bytes(),
            seq,
            kind: kind.into(),
            sender_user_id: sender(id(1, 0xa1)),
            sender_device_id: sender(id(1, 0xd1)),
            message_id: sender(id(1000 * seq, 0xe1)),
            time_ms: TIME_MS + 1000 * seq,
            signature: match kind {
                v1::EntryKind::Message => counting::<64>(0x20 * seq as u8).to_vec().into(),
                _ => Vec::new().into(),
            },
        };
        let salt = counting::<32>(0x20 * seq as u8).to_vec();
        Self {
            header,
            salt: Some(salt),
            payload: Some(payload.to_vec()),
            payload_hash: None,
            more_header: b"",
        }
    }

    pub(super) fn redacted(mut self) -> Self {
        self.payload_hash = Some(self.hash());
        (self.salt, self.payload) = (None, None);
        self
    }

    fn hash(&self) -> Hash {
        self.payload_hash.unwrap_or_else(|| {
            let salt = self.salt.as_deref().and_then(|s| s.try_into().ok()).unwrap_or([0; 32]);
            payload_hash(&salt, self.payload.as_deref().unwrap_or_default())
        })
    }

    fn header_bytes(&self) -> Vec<u8> {
        [&self.header.encode_to_vec(), self.more_header].concat()
    }

    pub(super) fn json(&self) -> Value {
        let mut members = Map::new();
        members.insert("header".into(), hex(self.header_bytes()));
        let parts = [
            ("salt", &self.salt),
            ("payload", &self.payload),
            ("payload_hash", &self.payload_hash.map(Into::into)),
        ];
        for (name, bytes) in parts {
            if let Some(bytes) = bytes {
                members.insert(name.into(), hex(bytes));
            }
        }
        members.into()
    }
}

pub(super) fn conversation() -> ConversationId {
    ConversationId::new(id(0, 0xc1))
}

/// A room's first four entries.
fn log() -> Vec<Entry> {
    let created = v1::RoomCreatedPayload { name: "lobby".into(), owner_user_id: Vec::new().into() };
    let joined = v1::MemberJoinedPayload {
        user_id: id(1, 0xa1).to_vec().into(),
        handle: "alice".into(),
        role: v1::Role::Member.into(),
    };
    let text = |body: &str| v1::Content {
        body: Some(v1::content::Body::Text(v1::Text { body: body.into(), mentions: Vec::new() })),
        reply_to: None,
    };
    vec![
        Entry::new(1, v1::EntryKind::RoomCreated, &created.encode_to_vec()),
        Entry::new(2, v1::EntryKind::MemberJoined, &joined.encode_to_vec()),
        Entry::new(3, v1::EntryKind::Message, &text("one").encode_to_vec()),
        Entry::new(4, v1::EntryKind::Message, &text("two").encode_to_vec()),
    ]
}

/// chain(0), chain(1), …
pub(super) fn chains(log: &[Entry]) -> Vec<Hash> {
    let mut chains = vec![chain_start(conversation())];
    for (i, entry) in log.iter().enumerate() {
        chains.push(chain_next(&chains[i], &entry.header_bytes(), &entry.hash()));
    }
    chains
}

pub(super) fn file() -> File {
    let vectors = valid().into_iter().chain(tampered()).chain(out_of_place()).chain(out_of_form());
    File::new("chain", DESCRIPTION, vectors.collect())
}

/// A run that begins at `from_seq` of a log whose last chain value the client trusts.
fn run(id: &str, requirements: &[&str], log: &[Entry], from_seq: usize) -> Vector {
    let chains = chains(log);
    let run: Vec<_> = log[from_seq - 1..].iter().map(Entry::json).collect();
    shown(id, requirements, from_seq, &chains[from_seq - 1], run, &chains)
}

fn shown(
    id: &str,
    requirements: &[&str],
    from_seq: usize,
    prev: &Hash,
    run: Vec<Value>,
    trusted: &[Hash],
) -> Vector {
    let head =
        serde_json::json!({"seq": trusted.len() - 1, "chain": hex(trusted[trusted.len() - 1])});
    Vector::new(id, requirements)
        .bytes("conversation_id", conversation().as_bytes())
        .with("from_seq", from_seq)
        .bytes("prev_chain", prev)
        .with("entries", run)
        .with("head", head)
}

fn valid() -> Vec<Value> {
    let accept = |vector: Vector, log: &[Entry], from_seq: usize| {
        vector.with("chains", chains(log)[from_seq..].iter().map(hex).collect::<Vec<_>>()).valid()
    };
    let mut redacted = log();
    redacted[2] = redacted[2].clone().redacted();
    let mut extended = log();
    extended[3].header.kind = 99;
    extended[3].more_header = b"\xfa\x01\x05later";
    let mut same_time = log();
    same_time[3].header.time_ms = same_time[2].header.time_ms;
    let cases: [(&str, &[&str], &[Entry], usize); 7] = [
        ("whole-log", &["LOG-010", "LOG-011", "CONV-003"], &log(), 1),
        ("one-entry", &["LOG-010", "LOG-011"], &log()[..1], 1),
        ("nothing-new", &["LOG-010"], &log(), 5),
        ("from-the-middle", &["LOG-010", "LOG-011"], &log(), 3),
        ("redacted-entry", &["LOG-011", "LOG-012"], &redacted, 1),
        ("unknown-kind-and-field", &["LOG-009", "CONV-004"], &extended, 1),
        ("same-time", &["LOG-004"], &same_time, 1),
    ];
    cases
        .map(|(id, requirements, log, from)| accept(run(id, requirements, log, from), log, from))
        .into()
}

/// The true chain is trusted, and something else is shown.
fn tampered() -> Vec<Value> {
    let trusted = chains(&log());
    let refuse = |id: &str, from_seq: usize, prev: &Hash, change: &dyn Fn(&mut Vec<Entry>)| {
        let mut log = log();
        change(&mut log);
        let run = log[from_seq - 1..].iter().map(Entry::json).collect();
        shown(id, &["LOG-011", "LOG-002"], from_seq, prev, run, &trusted).invalid("chain")
    };
    let start = trusted[0];
    vec![
        refuse("payload-changed", 1, &start, &|log| {
            log[2].payload.as_mut().expect("not redacted")[4] ^= 1
        }),
        refuse("salt-changed", 1, &start, &|log| {
            log[2].salt.as_mut().expect("not redacted")[0] ^= 1
        }),
        refuse("sender-changed", 1, &start, &|log| {
            log[2].header.sender_user_id = id(1, 0xa2).to_vec().into()
        }),
        refuse("time-changed", 1, &start, &|log| log[2].header.time_ms += 1),
        refuse("header-encoded-again", 1, &start, &|log| log[2].more_header = b"\x18\x01"),
        refuse("wrong-hash-of-redacted", 1, &start, &|log| {
            log[2] = log[2].clone().redacted();
            log[2].payload_hash = Some(counting(0));
        }),
        refuse("wrong-prev-chain", 3, &counting(0), &|_| ()),
        refuse("wrong-start", 1, &counting(0), &|_| ()),
    ]
}

/// Runs whose chain holds, of a log that is none.
fn out_of_place() -> Vec<Value> {
    let refuse = |id: &str, requirement: &str, error: &str, change: &dyn Fn(&mut Vec<Entry>)| {
        let mut log = log();
        change(&mut log);
        run(id, &[requirement], &log, 1).invalid(error)
    };
    vec![
        refuse("entry-left-out", "LOG-001", "seq", &|log| drop(log.remove(2))),
        refuse("entry-twice", "LOG-001", "seq", &|log| log.insert(2, log[2].clone())),
        refuse("entries-swapped", "LOG-001", "seq", &|log| log.swap(2, 3)),
        refuse("another-conversation", "LOG-004", "conversation", &|log| {
            log[3].header.conversation_id = id(0, 0xc2).to_vec().into();
        }),
        refuse("time-goes-back", "LOG-004", "time", &|log| log[3].header.time_ms = TIME_MS),
    ]
}

fn out_of_form() -> Vec<Value> {
    let refuse = |id: &str, requirement: &str, change: &dyn Fn(&mut Entry)| {
        let mut log = log();
        change(&mut log[2]);
        run(id, &[requirement], &log, 1).invalid("form")
    };
    vec![
        refuse("payload-and-hash", "LOG-012", &|entry| entry.payload_hash = Some(entry.hash())),
        refuse("salt-and-hash", "LOG-012", &|entry| {
            entry.payload_hash = Some(entry.hash());
            entry.payload = None;
        }),
        refuse("salt-without-payload", "LOG-012", &|entry| entry.payload = None),
        refuse("nothing-at-all", "LOG-012", &|entry| (entry.salt, entry.payload) = (None, None)),
        refuse("short-salt", "LOG-007", &|entry| entry.salt = Some(vec![0; 31])),
        refuse("message-without-signature", "CONV-006", &|entry| {
            entry.header.signature = Vec::new().into();
        }),
        refuse("short-signature", "CONV-006", &|entry| entry.header.signature.truncate(63)),
        refuse("short-device-id", "CONV-006", &|entry| {
            entry.header.sender_device_id.truncate(15);
        }),
        refuse("no-message-id", "CONV-006", &|entry| entry.header.message_id.clear()),
        refuse("message-without-sender", "CONV-006", &|entry| {
            entry.header.sender_user_id.clear();
            entry.header.sender_device_id.clear();
            entry.header.message_id.clear();
        }),
        refuse("signature-of-a-membership", "CONV-006", &|entry| {
            entry.header.kind = v1::EntryKind::MemberLeft.into();
        }),
    ]
}
