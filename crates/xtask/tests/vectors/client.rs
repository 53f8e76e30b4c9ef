//! The client's session, and its follower of logs.

use std::collections::BTreeSet;

use aside_crypto::{
    Binding, Hash, PublicKey, SigningKey, chain_next, chain_start, payload_hash, sign_head,
};
use aside_proto::{frame, id::ConversationId, v1};
use aside_session::{
    Now,
    client::{
        self, Framing, Session,
        log::{Follower, Place, Remembered, Start, Tampering, redacted_by},
    },
};
use prost::Message as _;
use serde_json::{Value, json};

use super::{array, bytes, check, ensure, number, server::stream};

const NOW: Now = Now { monotonic_ms: 0, unix_ms: 0 };

fn log_key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32]).unwrap()
}

/// A vector of frames.json whose stream comes from the server.
pub(crate) fn frames(vector: &Value) -> Result<(), String> {
    let mut decoder = frame::Decoder::new(number(&vector["max_frame_bytes"]) as usize);
    decoder.extend(&stream(vector));
    let mut taken = Vec::new();
    while let Some(body) = decoder.next_body().map_err(|_| "close")? {
        taken.push(frame::decode::<v1::ServerFrame>(body).map_err(|_| "close")?);
    }
    let expected = vector["messages"].as_array().unwrap();
    ensure(taken.len() == expected.len(), "messages")?;
    for (frame, expected) in taken.iter().zip(expected) {
        ensure(frame.reply_to == number(&expected["reply_to"]), "reply_to")?;
        ensure(frame.body.is_none() == expected["body"].is_null(), "body")?;
    }
    ensure(decoder.buffered() == 0, "incomplete")
}

// cites: FRAME-010
#[test]
fn a_session_closes_on_what_the_vectors_refuse() {
    for vector in super::read("frames")["vectors"].as_array().unwrap() {
        if vector["from"] != "server" || vector["error"] != "close" {
            continue;
        }
        let config = client::Config {
            server_name: "chat.example".into(),
            user_agent: String::new(),
            capabilities: vec!["talk".into()],
            binding: Binding::Exporter([1; 32]),
            log_key: None,
        };
        let mut session = Session::new(config, Framing::Stream, [1; 32], NOW);
        session.handle_bytes(NOW, &stream(vector));
        assert!(session.is_closed(), "{}", vector["id"]);
    }
}

fn fetched(vector: &Value, head_seq: u64) -> v1::Fetched {
    let entry = |e: &Value| v1::Entry {
        header: bytes(&e["header"]).into(),
        salt: bytes(&e["salt"]).into(),
        payload: bytes(&e["payload"]).into(),
        payload_hash: bytes(&e["payload_hash"]).into(),
    };
    v1::Fetched {
        entries: vector["entries"].as_array().unwrap().iter().map(entry).collect(),
        prev_chain: bytes(&vector["prev_chain"]).into(),
        first_seq: 1,
        head_seq,
        signed_head: None,
    }
}

fn conversation(vector: &Value) -> ConversationId {
    ConversationId::new(array(&vector["conversation_id"]))
}

// cites: LOG-010, LOG-011, LOG-012, LOG-004, CONV-006
#[test]
fn chain() {
    check("chain", None, |vector| {
        let fetched = fetched(vector, number(&vector["head"]["seq"]));
        let redacted =
            fetched.entries.iter().any(|e| e.salt.is_empty() && !e.payload_hash.is_empty());
        if redacted || fetched.entries.is_empty() {
            // Nothing redacts these entries (LOG-013), and a follower asks for nothing when it has all.
            return chain_alone(vector, &fetched);
        }
        let from_seq = number(&vector["from_seq"]);
        let start = if from_seq == 1 { Start::Beginning } else { Start::At(from_seq) };
        let head = Place { seq: fetched.head_seq, chain: array(&vector["head"]["chain"]) };
        let mut follower = Follower::until(conversation(vector), start, head);
        assert_eq!(follower.poll_fetch().unwrap().from_seq, from_seq);
        let accepted = follower
            .handle_fetched(&log_key().public_key(), &fetched)
            .map_err(|tampering| reason(&tampering))?;
        let chains: Vec<Hash> = accepted.iter().map(|entry| entry.chain).collect();
        ensure(chains == expected_chains(vector), "chains")
    });
}

// cites: LOG-013, REDACT-011, REDACT-012, REDACT-013, REDACT-020
#[test]
fn redaction() {
    check("redaction", None, |vector| {
        let conversation = conversation(vector);
        let log_key = log_key().public_key();
        let mut follower = Follower::new(conversation, Start::Beginning);
        let (mut redacted, mut missing) = (BTreeSet::new(), Vec::new());
        let pages = vector["pages"].as_array().unwrap();
        let chains = chains(conversation, pages);
        for page in pages {
            // As after a restart in between: only what is remembered is left, signed heads apart.
            if let Some(remembered) = follower.remembered() {
                let remembered = Remembered { head: None, ..remembered };
                follower = Follower::resume(conversation, remembered);
            }
            let mut fetched = fetched(page, number(&page["head_seq"]));
            follower.handle_head_seq(fetched.head_seq);
            let fetch = follower.poll_fetch().unwrap();
            ensure(fetch.from_seq == number(&page["from_seq"]), "from_seq")?;
            // Of what is on no page nothing is checked.
            let chain = chains.get(fetched.head_seq as usize).copied().unwrap_or_default();
            fetched.signed_head = Some(stated(conversation, fetched.head_seq, chain));
            let accepted = follower.handle_fetched(&log_key, &fetched);
            for entry in accepted.map_err(|tampering| explained(&tampering))? {
                redacted.extend(redacted_by(&entry.header, &entry.entry.payload));
            }
            let remembered = follower.remembered().unwrap();
            missing.push(remembered.missing.iter().map(|it| it.seq).collect::<Vec<_>>());
        }
        ensure(json!(missing) == vector["missing"], "missing entries")?;
        ensure(json!(redacted) == vector["redacted"], "redacted entries")
    });
}

/// chain(0), chain(1), … of a log in pages.
fn chains(conversation: ConversationId, pages: &[Value]) -> Vec<Hash> {
    let mut chains = vec![chain_start(conversation)];
    for entry in pages.iter().flat_map(|page| fetched(page, 0).entries) {
        let hash = match <[u8; 32]>::try_from(&entry.salt[..]) {
            Ok(salt) => payload_hash(&salt, &entry.payload),
            Err(_) => entry.payload_hash[..].try_into().unwrap(),
        };
        chains.push(chain_next(chains.last().unwrap(), &entry.header, &hash));
    }
    chains
}

/// A signed head, as an honest server states it.
fn stated(conversation: ConversationId, head_seq: u64, chain: Hash) -> v1::SignedHead {
    let statement = v1::HeadStatement {
        conversation_id: conversation.to_bytes(),
        first_seq: 1,
        anchor: chain_start(conversation).to_vec().into(),
        head_seq,
        chain: chain.to_vec().into(),
        time_ms: 1,
    };
    let statement = statement.encode_to_vec();
    let signature = sign_head(&log_key(), &statement).as_bytes().to_vec().into();
    v1::SignedHead { statement: statement.into(), signature }
}

fn explained(tampering: &Tampering) -> String {
    match tampering {
        Tampering::Entry { what: "its missing payload", .. } => "kind".into(),
        Tampering::PayloadMissing { .. } => "missing".into(),
        Tampering::Shorter { .. } => "shorter".into(),
        other => reason(other),
    }
}

fn expected_chains(vector: &Value) -> Vec<Hash> {
    vector["chains"].as_array().unwrap().iter().map(array).collect()
}

fn reason(tampering: &Tampering) -> String {
    match tampering {
        Tampering::Chain { .. } => "chain",
        Tampering::Entry { what: "its number", .. } => "seq",
        Tampering::Entry { what: "its conversation", .. } => "conversation",
        Tampering::Entry { what: "its time", .. } => "time",
        Tampering::Entry { what: "its payload" | "its sender" | "its signature", .. }
        | Tampering::PayloadMissing { .. } => "form",
        Tampering::Shorter { .. } => "shorter",
        other => return format!("{other:?}"),
    }
    .into()
}

/// The chain of a run, by its functions alone.
fn chain_alone(vector: &Value, fetched: &v1::Fetched) -> Result<(), String> {
    let mut chain: Hash = array(&vector["prev_chain"]);
    let start = chain_start(conversation(vector));
    ensure(number(&vector["from_seq"]) > 1 || chain == start, "chain")?;
    let mut chains = Vec::new();
    for entry in &fetched.entries {
        let form = entry.salt.is_empty() == entry.payload.is_empty()
            && entry.salt.is_empty() != entry.payload_hash.is_empty();
        ensure(form, "form")?;
        let hash = match <[u8; 32]>::try_from(&entry.salt[..]) {
            Ok(salt) => payload_hash(&salt, &entry.payload),
            Err(_) => entry.payload_hash[..].try_into().map_err(|_| "form")?,
        };
        chain = chain_next(&chain, &entry.header, &hash);
        chains.push(chain);
    }
    ensure(chain == array(&vector["head"]["chain"]), "chain")?;
    ensure(chains == expected_chains(vector), "chains")
}

// cites: HEAD-005, HEAD-008
#[test]
fn pairs_of_heads() {
    check("heads", Some("pair"), |vector| {
        let [seen, now] = ["seen", "now"].map(|name| bytes(&vector[name]));
        let signed = |statement: &[u8]| v1::SignedHead {
            signature: sign_head(&log_key(), statement).as_bytes().to_vec().into(),
            statement: statement.to_vec().into(),
        };
        let before = v1::HeadStatement::decode(&seen[..]).unwrap();
        let after = v1::HeadStatement::decode(&now[..]).unwrap();
        if before.conversation_id != after.conversation_id {
            return Ok(());
        }
        let conversation = ConversationId::try_from(&before.conversation_id[..]).unwrap();
        let chain = before.chain[..].try_into().unwrap();
        let place = Place { seq: before.head_seq, chain };
        let (head, missing, anchor) = (Some(signed(&seen)), Vec::new(), None);
        let remembered = Remembered { place, time_ms: 0, head, missing, anchor };
        let mut follower = Follower::resume(conversation, remembered);
        assert!(follower.poll_fetch().unwrap().signed_head);
        let fetched = v1::Fetched {
            entries: Vec::new(),
            prev_chain: before.chain,
            first_seq: 1,
            head_seq: before.head_seq,
            signed_head: Some(signed(&now)),
        };
        let taken = follower.handle_fetched(&log_key().public_key(), &fetched);
        taken.map(drop).map_err(|tampering| match tampering {
            Tampering::Chain { seq } if seq == before.head_seq => "fork".into(),
            Tampering::Chain { .. } => "anchor".into(),
            Tampering::Trimmed { .. } => "back".into(),
            Tampering::Head("its head is malformed") => "form".into(),
            other => reason(&other),
        })
    });
}

/// What a follower makes of the Fetched of session.json.
pub(crate) fn follow(log_key: &PublicKey, conversation: ConversationId, fetched: &v1::Fetched) {
    let mut follower = Follower::new(conversation, Start::Beginning);
    assert!(follower.poll_fetch().unwrap().signed_head);
    let accepted = follower.handle_fetched(log_key, fetched).unwrap();
    assert_eq!(accepted.len(), fetched.entries.len());
    assert!(follower.is_vouched_for() && follower.is_caught_up());
}
