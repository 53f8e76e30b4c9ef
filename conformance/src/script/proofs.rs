//! Devices, proofs and signed messages, each part of which a script may replace.

use std::sync::Arc;

use crate::{
    truth::{self, Key},
    value::{Val, record},
};

use super::{
    expr::Expr,
    functions::{Eval, ScriptError, fault},
};

const DEVICE: &[&str] = &["key", "name", "proof", "public_key"];
const PROOF: &[&str] = &[
    "binding",
    "binding_type",
    "binding_bytes",
    "server_name",
    "server_nonce",
    "client_nonce",
    "key",
    "public_key",
    "device_id",
    "label",
    "signature",
];
const MESSAGE: &[&str] = &[
    "text",
    "payload",
    "salt",
    "signature",
    "key",
    "user_id",
    "device_id",
    "message_id",
    "conversation_id",
];

/// Whether a function takes arguments of these names.
pub(crate) fn check_names<'a>(
    function: &str,
    mut names: impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    let known = match function {
        "device" => DEVICE,
        "message" => MESSAGE,
        _ => PROOF,
    };
    match names.find(|name| !known.contains(name)) {
        Some(unknown) => Err(format!("${function} takes no {unknown:?}, but {}", known.join(", "))),
        None => Ok(()),
    }
}

/// Named arguments, over what the actor itself has.
struct Parts<'a> {
    eval: &'a Eval<'a>,
    arguments: &'a [(String, Expr)],
    actor: Val,
}

impl<'a> Parts<'a> {
    fn new(eval: &'a Eval<'a>, arguments: &'a [(String, Expr)]) -> Result<Self, ScriptError> {
        let Some(name) = eval.actor else { return fault("this stands only in an actor's step") };
        let Some(actor) = eval.variables.value(name) else {
            return fault(format!("there is no actor {name}"));
        };
        Ok(Self { eval, arguments, actor })
    }

    fn given(&self, name: &str) -> Option<&'a Expr> {
        self.arguments.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// An argument, or the actor's own value of that name.
    fn value(&self, name: &str) -> Result<Val, ScriptError> {
        match self.given(name) {
            Some(expr) => self.eval.value(expr),
            None => match self.actor.field(name) {
                Some(value) => Ok(value.clone()),
                None => fault(format!("the actor has no {name} yet")),
            },
        }
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, ScriptError> {
        let value = self.value(name)?;
        match value.as_bytes() {
            Some(bytes) => Ok(bytes.to_vec()),
            None => fault(format!("{name} is not bytes, but {value}")),
        }
    }

    fn key(&self) -> Result<Arc<Key>, ScriptError> {
        match self.given("key") {
            Some(expr) => key(self.eval, expr),
            None => key_of(&self.actor),
        }
    }
}

/// A key pair as a value.
pub(crate) fn new_key() -> Val {
    let key = Key::generate();
    let public_key = Val::from(key.public_key());
    record([("public_key", public_key), ("key", Val::Key(Arc::new(key)))])
}

/// The key of an actor (by name) or of a `$new_key`.
pub(crate) fn key(eval: &Eval<'_>, expr: &Expr) -> Result<Arc<Key>, ScriptError> {
    match eval.value(expr)? {
        Val::Text(actor) => match eval.variables.value(&actor) {
            Some(actor) => key_of(&actor),
            None => fault(format!("there is no actor {actor}")),
        },
        value => key_of(&value),
    }
}

fn key_of(value: &Val) -> Result<Arc<Key>, ScriptError> {
    match value.field("key") {
        Some(Val::Key(key)) => Ok(Arc::clone(key)),
        _ => fault(format!("{} has no key", value.kind())),
    }
}

/// `$device`, `$bind_proof` and `$login_proof`.
pub(crate) fn call(
    eval: &Eval<'_>,
    name: &str,
    arguments: &[(String, Expr)],
) -> Result<Val, ScriptError> {
    let parts = Parts::new(eval, arguments)?;
    match name {
        "device" => device(&parts),
        "bind_proof" | "login_proof" => proof(&parts, name == "bind_proof"),
        _ => fault(format!("${name} takes no named arguments")),
    }
}

fn device(parts: &Parts<'_>) -> Result<Val, ScriptError> {
    let key = parts.key()?;
    let public_key = match parts.given("public_key") {
        Some(expr) => parts.eval.value(expr)?,
        None => Val::from(key.public_key()),
    };
    let name = match parts.given("name") {
        Some(expr) => parts.eval.value(expr)?,
        None => parts.value("device_name")?,
    };
    let proof = match parts.given("proof") {
        Some(expr) => parts.eval.value(expr)?,
        None => {
            let own = [
                ("key".to_owned(), Expr::Literal(record([("key", Val::Key(Arc::clone(&key)))]))),
                ("public_key".to_owned(), Expr::Literal(Val::from(key.public_key()))),
            ];
            proof(&Parts { eval: parts.eval, arguments: &own, actor: parts.actor.clone() }, true)?
        }
    };
    Ok(record([("public_key", public_key), ("name", name), ("proof", proof)]))
}

/// A DeviceProof: over `device-bind` with the public key, or over `device-login` with the device's id.
fn proof(parts: &Parts<'_>, binds: bool) -> Result<Val, ScriptError> {
    let binding = parts.value("binding")?;
    let (number, own_bytes) = match binding.as_text() {
        Some("exporter") => (1, "exporter"),
        Some("cert_sha256") => (2, "cert_sha256"),
        Some("none") => (3, ""),
        _ => return fault(format!("binding is exporter, cert_sha256 or none, not {binding}")),
    };
    let binding_type = match parts.given("binding_type") {
        Some(expr) => parts.eval.value(expr)?,
        None => Val::Int(number.into()),
    };
    let signature = match parts.given("signature") {
        Some(expr) => parts.eval.value(expr)?,
        None => {
            let bytes = match (parts.given("binding_bytes"), own_bytes) {
                (Some(expr), _) => parts.eval.bytes(expr)?,
                (None, "") => Vec::new(),
                (None, name) => parts.bytes(name)?,
            };
            sign(parts, binds, number, &bytes)?
        }
    };
    Ok(record([("binding_type", binding_type), ("signature", signature)]))
}

fn sign(
    parts: &Parts<'_>,
    binds: bool,
    binding_type: u8,
    binding: &[u8],
) -> Result<Val, ScriptError> {
    let key = parts.key()?;
    let label = match parts.given("label") {
        Some(expr) => parts.eval.text(expr)?,
        None => if binds { "device-bind" } else { "device-login" }.to_owned(),
    };
    let subject = match (binds, parts.given("public_key")) {
        (true, None) => key.public_key().to_vec(),
        (true, Some(expr)) => parts.eval.bytes(expr)?,
        (false, _) => parts.bytes("device_id")?,
    };
    let signature = key.sign(
        &label,
        &[
            &[binding_type],
            binding,
            &parts.bytes("server_name")?,
            &parts.bytes("server_nonce")?,
            &parts.bytes("client_nonce")?,
            &subject,
        ],
    );
    Ok(Val::Bytes(signature))
}

/// Replaces `$message` among the fields of a SendMessage by payload, salt and signature.
pub(crate) fn expand_message(
    eval: &Eval<'_>,
    source: &Expr,
    fields: &mut Vec<(String, Val)>,
    idempotency_key: &[u8],
) -> Result<(), ScriptError> {
    let text_only = [("text".to_owned(), source.clone())];
    let arguments = match source {
        Expr::Map(named) => named,
        _ => &text_only[..],
    };
    check_names("message", arguments.iter().map(|(key, _)| key.as_str())).map_err(ScriptError)?;
    let parts = Parts::new(eval, arguments)?;
    let payload = match (parts.given("payload"), parts.given("text")) {
        (Some(payload), None) => eval.bytes(payload)?,
        (None, Some(text)) => {
            let content = record([("text", record([("body", eval.value(text)?)]))]);
            crate::codec::encode(&crate::proto::message("Content"), &content)?
        }
        _ => return fault("$message takes either text or payload"),
    };
    let salt = match parts.given("salt") {
        Some(salt) => eval.bytes(salt)?,
        None => truth::random(32),
    };
    let signature = match parts.given("signature") {
        Some(signature) => eval.bytes(signature)?,
        None => {
            let sibling = fields.iter().find(|(key, _)| key == "conversation_id");
            let conversation = match (parts.given("conversation_id"), sibling) {
                (Some(expr), _) => eval.bytes(expr)?,
                (None, Some((_, value))) => value.as_bytes().unwrap_or_default().to_vec(),
                (None, None) => Vec::new(),
            };
            let message_id = match parts.given("message_id") {
                Some(expr) => eval.bytes(expr)?,
                None => idempotency_key.to_vec(),
            };
            let hash = truth::payload_hash(&salt, &payload);
            let (user, device) = (parts.bytes("user_id")?, parts.bytes("device_id")?);
            parts.key()?.sign("message", &[&conversation, &message_id, &user, &device, &hash])
        }
    };
    for (name, value) in [("payload", payload), ("salt", salt), ("signature", signature)] {
        fields.push((name.to_owned(), Val::Bytes(value)));
    }
    Ok(())
}
