//! What private conversations are made of: clear headers, and device logs. What would be MLS in them is random, since a server cannot
//! tell; the verbs of `mls:` make the same with what is.

use aside_mls::SigningKey;

use crate::{
    codec, proto,
    truth::{self, Key},
    value::{Val, record},
};

use super::{
    expr::Expr,
    functions::{Eval, ScriptError, fault},
};

/// The keys inside a request's body that stand for what is made here.
pub(crate) const KEYS: [&str; 3] = ["$private", "$commit", "$establish"];

const PRIVATE: &[&str] =
    &["conversation_id", "message_id", "generation", "epoch", "franking_tag", "ciphertext"];
const COMMIT: &[&str] = &[
    "conversation_id",
    "message_id",
    "generation",
    "epoch",
    "added",
    "removed",
    "is_external",
    "commit",
];
const ESTABLISH: &[&str] =
    &["conversation_id", "generation", "head_seq", "suite", "leaves", "culprit"];

/// Fills in the fields of SendPrivate, SubmitCommit or EstablishGroup that are not there, from what their headers are to say.
pub(crate) fn expand(
    eval: &Eval<'_>,
    key: &str,
    source: &Expr,
    fields: &mut Vec<(String, Val)>,
    idempotency_key: &[u8],
) -> Result<(), ScriptError> {
    let Expr::Map(named) = source else { return fault(format!("{key} takes named parts")) };
    let mut parts = Vec::with_capacity(named.len());
    for (name, expr) in named {
        parts.push((name.clone(), eval.value(expr)?));
    }
    let parts = Parts { parts, message_id: idempotency_key };
    let made = match key {
        "$private" => private(&parts)?,
        "$commit" => commit(&parts)?,
        _ => establish(eval, &parts)?,
    };
    for (name, value) in made {
        if fields.iter().all(|(given, _)| *given != name) {
            fields.push((name, value));
        }
    }
    Ok(())
}

/// Named parts of a header, over what most headers have.
struct Parts<'a> {
    parts: Vec<(String, Val)>,
    message_id: &'a [u8],
}

impl Parts<'_> {
    fn check(&self, known: &[&str]) -> Result<(), ScriptError> {
        match self.parts.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((unknown, _)) => {
                fault(format!("no part is {unknown:?}, but {}", known.join(", ")))
            }
            None => Ok(()),
        }
    }

    fn get(&self, name: &str) -> Option<Val> {
        self.parts.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    fn or(&self, name: &str, default: impl Into<Val>) -> Val {
        self.get(name).unwrap_or_else(|| default.into())
    }

    fn message_id(&self) -> Val {
        self.or("message_id", self.message_id)
    }

    /// Actors, or whatever has a user_id and a device_id.
    fn leaves(&self, name: &str) -> Result<Vec<Val>, ScriptError> {
        let given = self.or(name, Val::List(Vec::new()));
        let Some(given) = given.as_list() else { return fault(format!("{name} is a list")) };
        given.iter().map(leaf).collect()
    }
}

/// The leaf that an actor, or whatever has a user_id and a device_id, is.
pub(crate) fn leaf(of: &Val) -> Result<Val, ScriptError> {
    match (of.field("user_id"), of.field("device_id")) {
        (Some(user), Some(device)) => {
            Ok(record([("user_id", user.clone()), ("device_id", device.clone())]))
        }
        _ => fault(format!("{} is no leaf", of.kind())),
    }
}

fn private(parts: &Parts<'_>) -> Result<Vec<(String, Val)>, ScriptError> {
    parts.check(PRIVATE)?;
    let header = record([
        ("conversation_id", parts.or("conversation_id", Val::Null)),
        ("message_id", parts.message_id()),
        ("generation", parts.or("generation", Val::Int(1))),
        ("epoch", parts.or("epoch", Val::Int(1))),
        ("franking_tag", parts.or("franking_tag", random(32))),
    ]);
    let payload = record([
        ("header", encode("PrivateHeader", &header)?),
        ("ciphertext", parts.or("ciphertext", random(48))),
    ]);
    Ok(vec![("payload".into(), encode("PrivatePayload", &payload)?), ("salt".into(), random(32))])
}

fn commit(parts: &Parts<'_>) -> Result<Vec<(String, Val)>, ScriptError> {
    parts.check(COMMIT)?;
    let added = parts.leaves("added")?;
    let is_external = parts.or("is_external", Val::Bool(false));
    let header = record([
        ("conversation_id", parts.or("conversation_id", Val::Null)),
        ("message_id", parts.message_id()),
        ("generation", parts.or("generation", Val::Int(1))),
        ("epoch", parts.or("epoch", Val::Int(1))),
        ("added", Val::List(added.clone())),
        ("removed", Val::List(parts.leaves("removed")?)),
        ("is_external", is_external.clone()),
    ]);
    let payload = record([
        ("header", encode("CommitHeader", &header)?),
        ("commit", parts.or("commit", random(48))),
    ]);
    let welcomed = if is_external == Val::Bool(true) { &[][..] } else { &added };
    let mut fields = around(welcomed);
    fields.push(("payload".into(), encode("CommitPayload", &payload)?));
    Ok(fields)
}

fn establish(eval: &Eval<'_>, parts: &Parts<'_>) -> Result<Vec<(String, Val)>, ScriptError> {
    parts.check(ESTABLISH)?;
    let leaves = parts.leaves("leaves")?;
    let mut header = vec![
        ("conversation_id".to_owned(), parts.or("conversation_id", Val::Null)),
        ("generation".to_owned(), parts.or("generation", Val::Int(1))),
        ("head_seq".to_owned(), parts.or("head_seq", Val::Int(1))),
        ("suite".to_owned(), parts.or("suite", Val::Int(2))),
        ("leaves".to_owned(), Val::List(leaves.clone())),
    ];
    if let Some(culprit) = parts.get("culprit") {
        header.push(("culprit".to_owned(), leaf(&culprit)?));
    }
    let own = eval.actor.and_then(|actor| eval.variables.value(actor));
    let own = own.as_ref().and_then(|actor| actor.field("device_id")).cloned();
    let others: Vec<Val> =
        leaves.into_iter().filter(|leaf| leaf.field("device_id") != own.as_ref()).collect();
    let mut fields = around(&others);
    fields.push(("header".into(), encode("EstablishHeader", &Val::Map(header))?));
    Ok(fields)
}

/// Salt, GroupInfo, and one Welcome for these leaves.
fn around(welcomed: &[Val]) -> Vec<(String, Val)> {
    let devices: Vec<_> =
        welcomed.iter().filter_map(|leaf| leaf.field("device_id")).cloned().collect();
    let welcomes = match devices.is_empty() {
        true => Vec::new(),
        false => vec![record([("welcome", random(64)), ("device_ids", Val::List(devices))])],
    };
    vec![
        ("salt".into(), random(32)),
        ("group_info".into(), random(64)),
        ("welcomes".into(), Val::List(welcomes)),
    ]
}

/// The genesis of a user's device log (DLOG-001), and its hash.
pub(crate) fn genesis(
    account: &Key,
    user_id: &[u8],
    certificate: Val,
) -> Result<(Val, truth::Hash), ScriptError> {
    let genesis =
        record([("account_key", Val::from(account.public_key())), ("certificate", certificate)]);
    let statement = record([("user_id", Val::from(user_id)), ("genesis", genesis)]);
    sign(account, &statement)
}

/// An entry that adds a device, by another that is active, and its hash.
pub(crate) fn add(
    signer: (&Key, &[u8]),
    user_id: &[u8],
    (position, previous): (i128, Val),
    certificate: Val,
) -> Result<(Val, truth::Hash), ScriptError> {
    let statement = record([
        ("user_id", Val::from(user_id)),
        ("position", Val::Int(position)),
        ("previous", previous),
        ("signer_device_id", Val::from(signer.1)),
        ("add", record([("certificate", certificate)])),
    ]);
    sign(signer.0, &statement)
}

/// A DeviceCertificate (CERT-001).
pub(crate) fn certificate(
    key: &Key,
    user_id: &[u8],
    device_id: &[u8],
    mls_keys: &[SigningKey],
) -> Result<Val, ScriptError> {
    let mls_key = |key: &SigningKey| {
        let suite = Val::Int(key.suite().number().into());
        record([("suite", suite), ("public_key", Val::from(key.public()))])
    };
    let statement = record([
        ("user_id", Val::from(user_id)),
        ("device_id", Val::from(device_id)),
        ("login_key", Val::from(key.public_key())),
        ("mls_keys", Val::List(mls_keys.iter().map(mls_key).collect())),
    ]);
    let statement = bytes("DeviceStatement", &statement)?;
    let signature = key.sign("device-certificate", &[&statement]);
    let certificate =
        record([("statement", Val::Bytes(statement)), ("signature", Val::Bytes(signature))]);
    encode("DeviceCertificate", &certificate)
}

fn sign(key: &Key, statement: &Val) -> Result<(Val, truth::Hash), ScriptError> {
    let statement = bytes("DeviceLogStatement", statement)?;
    let signature = key.sign("device-log-entry", &[&statement]);
    let hash = truth::hash("device-log", &[&statement]);
    let entry =
        record([("statement", Val::Bytes(statement)), ("signature", Val::Bytes(signature))]);
    Ok((encode("DeviceLogEntry", &entry)?, hash))
}

fn bytes(message: &str, value: &Val) -> Result<Vec<u8>, ScriptError> {
    Ok(codec::encode(&proto::message(message), value)?)
}

fn encode(message: &str, value: &Val) -> Result<Val, ScriptError> {
    bytes(message, value).map(Val::Bytes)
}

fn random(length: usize) -> Val {
    Val::Bytes(truth::random(length))
}
