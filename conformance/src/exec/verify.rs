//! Computed truth: what must hold of logs, heads and signatures, recomputed.

use std::collections::BTreeMap;

use crate::{
    actor::{Actor, Failure, Stop, literal, request},
    conn::Resumption,
    script::{
        ActorSpec, State, Verify, VerifyChain, VerifyEarlyData, VerifyHead, VerifyLog,
        VerifyMessage,
        functions::{ScriptError, chain_next},
    },
    truth::{self, Hash},
    value::Val,
};

use super::Run;

/// MESSAGE of EntryKind.
const MESSAGE: i128 = 1;
/// PRIVATE_MESSAGE of EntryKind.
const PRIVATE_MESSAGE: i128 = 11;
/// REDACTED of EntryKind.
const REDACTED: i128 = 8;
/// The most pages of a log that are read.
const MAX_PAGES: usize = 10_000;

/// A requirement that does not hold.
fn broken<T>(
    requirement: &str,
    permitted: impl Into<String>,
    came: impl Into<String>,
) -> Result<T, Stop> {
    Err(Stop::Fail(Box::new(Failure {
        requirements: vec![requirement.to_owned()],
        permitted: permitted.into(),
        came: came.into(),
        by_deadline: false,
    })))
}

fn bytes<'a>(value: &'a Val, name: &str) -> &'a [u8] {
    value.field(name).and_then(Val::as_bytes).unwrap_or_default()
}

fn int(value: &Val, name: &str) -> i128 {
    value.field(name).and_then(Val::as_int).unwrap_or(0)
}

impl Run<'_> {
    pub(super) async fn verify(&self, verify: &Verify) -> Result<(), Stop> {
        let eval = self.eval();
        if let Some(log) = &verify.log {
            self.verify_log(log).await?;
        }
        if let Some(chain) = &verify.chain {
            self.verify_chain(chain)?;
        }
        if let Some(VerifyHead { signed, conversation, key, chain }) = &verify.head {
            let chain = chain.as_ref().map(|chain| eval.bytes(chain)).transpose()?;
            check_head(
                &eval.value(signed)?,
                &eval.bytes(conversation)?,
                &eval.bytes(key)?,
                chain.as_deref(),
            )?;
        }
        if let Some(VerifyMessage { entry, key }) = &verify.message {
            check_message(&eval.value(entry)?, &eval.bytes(key)?)?;
        }
        if let Some(rotations) = &verify.rotations {
            check_rotations(&eval.value(&rotations.log_key)?)?;
        }
        if let Some(early) = &verify.no_early_data {
            self.verify_early_data(early).await?;
        }
        self.passed(&verify.cites);
        Ok(())
    }

    fn verify_chain(&self, verify: &VerifyChain) -> Result<(), Stop> {
        let eval = self.eval();
        let mut chain = match (&verify.previous, &verify.conversation) {
            (Some(previous), _) => eval.bytes(previous)?,
            (None, Some(conversation)) => {
                truth::hash("chain-start", &[&eval.bytes(conversation)?]).to_vec()
            }
            (None, None) => {
                return Err(
                    ScriptError("verify chain: needs previous or conversation".into()).into()
                );
            }
        };
        let entries = eval.value(&verify.entries)?;
        let Some(entries) = entries.as_list() else {
            return Err(ScriptError("verify chain: entries is not a list".into()).into());
        };
        for entry in entries {
            chain = chain_next(&chain, entry)?.to_vec();
        }
        if let Some(name) = &verify.save {
            self.world.variables.set(name, Val::from(&chain[..]));
        }
        match verify.equals.as_ref().map(|expr| eval.bytes(expr)).transpose()? {
            Some(stated) if stated != chain => broken(
                "LOG-010",
                format!("the chain value {}", Val::from(&chain[..])),
                Val::from(&stated[..]).to_string(),
            ),
            _ => Ok(()),
        }
    }

    async fn verify_log(&self, verify: &VerifyLog) -> Result<(), Stop> {
        let mut actor = self.actor(&verify.actor).await?;
        let conversation = self.eval().bytes(&verify.conversation)?;
        let page = verify.page.as_ref().map(|page| self.eval().int(page)).transpose()?.unwrap_or(0);
        let head = request("get_head", [("conversation_id", literal(&conversation[..]))]);
        let begins = actor.call(&self.world, &head).await?;
        let begins = begins.field("signed_head").cloned().unwrap_or(Val::Null);
        let log = Log::new(&conversation, &begins)?;
        let (entries, mut log) = self.read_log(&mut actor, log, page).await?;
        self.check_messages(&mut actor, &entries).await?;
        let head = actor.call(&self.world, &head).await?;
        let signed = head.field("signed_head").cloned().unwrap_or(Val::Null);
        // Entries may have come meanwhile: they are read too.
        let mut entries = entries;
        while log.next_seq <= int(&signed, "head_seq") {
            let fetched = self.fetch(&mut actor, &conversation, log.next_seq, page).await?;
            entries.extend(log.take(&fetched)?);
        }
        let Some(chain) = log.chains.get(&int(&signed, "head_seq")) else {
            return broken(
                "HEAD-001",
                "a head at least as new as the log that was read",
                signed.to_string(),
            );
        };
        let Some(Val::Bytes(key)) = self
            .world
            .variables
            .value(&actor.name)
            .and_then(|actor| actor.field("log_key").cloned())
        else {
            return broken("HELLO-014", "a log key in Greeted", "none");
        };
        check_head(&signed, &conversation, &key, Some(chain))?;
        log.check_anchor(&signed)?;
        if let Some(name) = &verify.save {
            self.world.variables.set(name, Val::List(entries));
        }
        Ok(())
    }

    async fn fetch(
        &self,
        actor: &mut Actor,
        conversation: &[u8],
        from_seq: i128,
        page: i128,
    ) -> Result<Val, Stop> {
        let fetch = request(
            "fetch",
            [
                ("conversation_id", literal(conversation)),
                ("from_seq", literal(Val::Int(from_seq))),
                ("max_entries", literal(Val::Int(page))),
            ],
        );
        actor.call(&self.world, &fetch).await
    }

    async fn read_log(
        &self,
        actor: &mut Actor,
        mut log: Log,
        page: i128,
    ) -> Result<(Vec<Val>, Log), Stop> {
        let conversation = log.conversation.clone();
        let mut entries = Vec::new();
        for _ in 0..MAX_PAGES {
            let fetched = self.fetch(actor, &conversation, log.next_seq, page).await?;
            entries.extend(log.take(&fetched)?);
            if log.next_seq > int(&fetched, "head_seq") {
                return Ok((entries, log));
            }
        }
        broken("FETCH-001", "an end of the log", format!("none after {MAX_PAGES} pages"))
    }

    /// The signature of every message, under the key of the device that the server names.
    async fn check_messages(&self, actor: &mut Actor, entries: &[Val]) -> Result<(), Stop> {
        let mut keys: BTreeMap<Vec<u8>, Val> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| int(entry, "kind") == MESSAGE) {
            let device = bytes(entry, "sender_device_id");
            if !keys.contains_key(device) {
                let ids = literal(Val::List(vec![Val::from(device)]));
                let found = actor
                    .call(&self.world, &request("look_up_devices", [("device_ids", ids)]))
                    .await?;
                let key = found.field("keys").and_then(|keys| keys.item(0)).cloned();
                let Some(key) = key else {
                    return broken(
                        "DEV-008",
                        "the key of a device that sent a message",
                        found.to_string(),
                    );
                };
                keys.insert(device.to_vec(), key);
            }
            let key = keys.get(device).unwrap_or(&Val::Null);
            if bytes(key, "user_id") != bytes(entry, "sender_user_id") {
                return broken(
                    "LOG-005",
                    format!("a device of the sender: {key}"),
                    entry.to_string(),
                );
            }
            check_message(entry, bytes(key, "public_key"))?;
        }
        Ok(())
    }

    async fn verify_early_data(&self, verify: &VerifyEarlyData) -> Result<(), Stop> {
        let mut actor = self.actor(&verify.actor).await?;
        let sessions = Resumption::new();
        let spec =
            actor.spec.with(&ActorSpec { state: Some(State::Connected), ..ActorSpec::default() });
        let endpoint = self.endpoint()?;
        for round in 0..2 {
            if let Err(error) = actor.open(&self.world, &endpoint, &spec, Some(&sessions)).await {
                return broken("TLS-002", "a connection, without early data", error.to_string());
            }
            let tls =
                self.world.variables.value(&actor.name).and_then(|view| view.field("tls").cloned());
            let accepted = tls.as_ref().and_then(|tls| tls.field("early_data_accepted"));
            if round == 1 && accepted == Some(&Val::Bool(true)) {
                return broken("TLS-002", "no early data taken", "the server took early data");
            }
            // A reply shows that the tickets that follow the handshake have come.
            actor.hello(&self.world, &spec).await?;
            actor.leave(&self.world).await?;
        }
        Ok(())
    }
}

/// The log as far as it was read.
struct Log {
    conversation: Vec<u8>,
    next_seq: i128,
    chain: Hash,
    time_ms: i128,
    /// Entries without payload that nothing redacts so far, and the head that was told with each.
    missing: BTreeMap<i128, i128>,
    /// The chain value of each entry, and that before the first.
    chains: BTreeMap<i128, Hash>,
}

impl Log {
    /// A log to be read from where a signed head says that it begins.
    fn new(conversation: &[u8], begins: &Val) -> Result<Self, Stop> {
        let start = truth::hash("chain-start", &[conversation]);
        let (next_seq, anchor) = (int(begins, "first_seq"), bytes(begins, "anchor"));
        let chain = match anchor.try_into() {
            Ok(anchor) if next_seq > 1 || (next_seq == 1 && anchor == start) => anchor,
            _ => return broken("HEAD-002", "where the log begins", begins.to_string()),
        };
        Ok(Self {
            conversation: conversation.to_vec(),
            next_seq,
            chain,
            time_ms: 0,
            missing: BTreeMap::new(),
            chains: BTreeMap::from([(next_seq - 1, chain)]),
        })
    }

    /// A head that was signed since: where it says that the log begins, it did not before.
    fn check_anchor(&self, signed: &Val) -> Result<(), Stop> {
        match self.chains.get(&(int(signed, "first_seq") - 1)) {
            Some(chain) if chain[..] == *bytes(signed, "anchor") => Ok(()),
            Some(chain) => {
                broken("HEAD-002", format!("anchor {}", Val::from(&chain[..])), signed.to_string())
            }
            None => broken("RET-004", "a first_seq that does not fall", signed.to_string()),
        }
    }

    /// Checks a Fetched from next_seq on, and takes in its entries.
    fn take(&mut self, fetched: &Val) -> Result<Vec<Val>, Stop> {
        if bytes(fetched, "prev_chain") != self.chain {
            let seq = self.next_seq - 1;
            let came = bytes(fetched, "prev_chain");
            return broken(
                "LOG-010",
                format!("prev_chain = chain({seq}) = {}", Val::from(&self.chain[..])),
                Val::from(came).to_string(),
            );
        }
        let entries = fetched.field("entries").and_then(Val::as_list).unwrap_or_default();
        if entries.is_empty() && self.next_seq <= int(fetched, "head_seq") {
            return broken("FETCH-001", "at least one entry", fetched.to_string());
        }
        for entry in entries {
            self.check_entry(entry)?;
            self.chain = chain_next(&self.chain, entry)?;
            self.chains.insert(self.next_seq, self.chain);
            self.time_ms = int(entry, "time_ms");
            self.note_redaction(entry, int(fetched, "head_seq"));
            self.next_seq += 1;
        }
        match self.missing.iter().find(|(_, head_seq)| **head_seq < self.next_seq) {
            Some((seq, head_seq)) => broken(
                "REDACT-001",
                format!("an entry up to {head_seq} that redacts the one at {seq}"),
                "none",
            ),
            None => Ok(entries.to_vec()),
        }
    }

    fn note_redaction(&mut self, entry: &Val, head_seq: i128) {
        if bytes(entry, "salt").is_empty() {
            self.missing.insert(self.next_seq, head_seq);
        }
        let redacts = int(entry, "kind") == REDACTED;
        let named = entry.field("body").filter(|_| redacts).and_then(|body| body.field("seqs"));
        for seq in named.and_then(Val::as_list).unwrap_or_default() {
            self.missing.retain(|missing, _| Some(*missing) != seq.as_int());
        }
    }

    fn check_entry(&self, entry: &Val) -> Result<(), Stop> {
        let seq = self.next_seq;
        if int(entry, "seq") != seq {
            return broken("LOG-001", format!("the entry with seq {seq}"), entry.to_string());
        }
        if bytes(entry, "conversation_id") != self.conversation || int(entry, "kind") == 0 {
            return broken(
                "LOG-004",
                "a header with the conversation's id and a kind",
                entry.to_string(),
            );
        }
        if int(entry, "time_ms") < self.time_ms {
            return broken(
                "LOG-004",
                format!("time_ms at least {}", self.time_ms),
                entry.to_string(),
            );
        }
        let whole = bytes(entry, "salt").len() == 32 && bytes(entry, "payload_hash").is_empty();
        let redacted = bytes(entry, "salt").is_empty() && bytes(entry, "payload_hash").len() == 32;
        if !whole && !redacted {
            return broken("LOG-012", "salt and payload, or payload_hash alone", entry.to_string());
        }
        let kind = int(entry, "kind");
        if redacted && ![MESSAGE, PRIVATE_MESSAGE].contains(&kind) {
            return broken("REDACT-004", "a payload in all but messages", entry.to_string());
        }
        let has_payload = (2..=16).contains(&kind) && whole;
        if has_payload && entry.field("body").is_none() {
            return broken("LOG-008", "a payload of the entry's kind", entry.to_string());
        }
        let lengths = ["sender_user_id", "sender_device_id", "message_id"]
            .map(|name| bytes(entry, name).len());
        if lengths != [16; 3] && lengths != [0; 3] {
            return broken(
                "LOG-005",
                "sender, device and message_id, or none of them",
                entry.to_string(),
            );
        }
        Ok(())
    }
}

fn check_head(
    signed: &Val,
    conversation: &[u8],
    key: &[u8],
    chain: Option<&[u8]>,
) -> Result<(), Stop> {
    if !truth::verifies(key, "head", &[bytes(signed, "statement")], bytes(signed, "signature")) {
        return broken(
            "HEAD-001",
            "a signature that verifies under the log key",
            signed.to_string(),
        );
    }
    if bytes(signed, "conversation_id") != conversation {
        return broken(
            "HEAD-001",
            "a statement about the conversation asked for",
            signed.to_string(),
        );
    }
    if let Some(chain) = chain.filter(|chain| *chain != bytes(signed, "chain")) {
        return broken("HEAD-002", format!("chain {}", Val::from(chain)), signed.to_string());
    }
    let start = truth::hash("chain-start", &[conversation]);
    if int(signed, "first_seq") == 1 && bytes(signed, "anchor") != start {
        return broken("HEAD-002", format!("anchor {}", Val::from(&start[..])), signed.to_string());
    }
    Ok(())
}

fn check_message(entry: &Val, key: &[u8]) -> Result<(), Stop> {
    let hash = match bytes(entry, "payload_hash") {
        [] => truth::payload_hash(bytes(entry, "salt"), bytes(entry, "payload")).to_vec(),
        hash => hash.to_vec(),
    };
    let fields = [
        bytes(entry, "conversation_id"),
        bytes(entry, "message_id"),
        bytes(entry, "sender_user_id"),
        bytes(entry, "sender_device_id"),
        &hash,
    ];
    // The header's signature; SignedHead and Entry have no field of that name that could be meant instead.
    if truth::verifies(key, "message", &fields, bytes(entry, "signature")) {
        Ok(())
    } else {
        broken("MSG-001", "the signature that the sender made", entry.to_string())
    }
}

fn check_rotations(log_key: &Val) -> Result<(), Stop> {
    let mut current: Option<&[u8]> = None;
    let rotations = log_key.field("rotations").and_then(Val::as_list).unwrap_or_default();
    for rotation in rotations {
        let (old, new) = (bytes(rotation, "old_key"), bytes(rotation, "new_key"));
        let follows = current.is_none_or(|current| current == old);
        if !follows
            || !truth::verifies(old, "log-key-rotation", &[old, new], bytes(rotation, "signature"))
        {
            return broken(
                "HEAD-007",
                "rotations that follow on each other, signed by the old key",
                rotation.to_string(),
            );
        }
        current = Some(new);
    }
    if current.is_some_and(|current| current != bytes(log_key, "public_key")) {
        return broken("HEAD-007", "rotations that lead to public_key", log_key.to_string());
    }
    Ok(())
}
