//! Requests: what scripts leave out is filled in, and what was sent is remembered.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    codec, proto,
    script::{
        expr::Expr,
        frames::Request,
        functions::{Eval, Numbering, ScriptError, fault, now_ms, uuid7},
        private, proofs,
    },
    value::Val,
};

/// A request that was made.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) id: u64,
    /// The field of `ClientFrame.body`; empty if there is none.
    pub(crate) kind: String,
    /// The variable that keeps it.
    pub(crate) name: Option<String>,
    /// The frame as a record.
    pub(crate) shown: Val,
}

impl Issued {
    /// What `$m` is: request_id, idempotency_key and the fields of the body, side by side.
    pub(crate) fn shown_flat(&self) -> Val {
        let Val::Map(fields) = &self.shown else { return Val::Null };
        let mut flat: Vec<_> =
            fields.iter().filter(|(name, _)| *name != self.kind).cloned().collect();
        if let Some(Val::Map(body)) = self.shown.field(&self.kind) {
            flat.extend(body.iter().cloned());
        }
        Val::Map(flat)
    }
}

/// The request ids of a connection.
pub(crate) struct Numbers {
    next: AtomicU64,
    /// Made inside expressions, not yet known to the watch.
    issued: Mutex<Vec<Issued>>,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { next: AtomicU64::new(1), issued: Mutex::default() }
    }
}

impl Numbers {
    /// What was made since the last call.
    pub(crate) fn take_issued(&self) -> Vec<Issued> {
        std::mem::take(&mut self.issued.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The encoded body of a frame with this request.
    pub(crate) fn make(&self, eval: &Eval<'_>, request: &Request) -> Result<Vec<u8>, ScriptError> {
        let envelope = ["request_id", "idempotency_key", "$unknown"];
        let body = request.fields.iter().find(|(name, _)| !envelope.contains(&name.as_str()));
        let given =
            |name: &str| request.fields.iter().find(|(key, _)| key == name).map(|(_, expr)| expr);
        let id = match given("request_id") {
            Some(expr) => eval.int(expr)?,
            None => self.next.fetch_add(1, Ordering::Relaxed).into(),
        };
        let kind = body.map(|(name, _)| name.clone()).unwrap_or_default();
        let mutating = proto::request(&kind).is_some_and(|rule| rule.mutating);
        let key = match given("idempotency_key") {
            Some(expr) => eval.bytes(expr)?,
            None if mutating => uuid7(now_ms()),
            None => Vec::new(),
        };
        let mut frame = vec![
            ("request_id".to_owned(), Val::Int(id)),
            ("idempotency_key".to_owned(), Val::Bytes(key.clone())),
        ];
        for (name, expr) in &request.fields {
            match name.as_str() {
                "request_id" | "idempotency_key" => {}
                "$unknown" => frame.push((name.clone(), eval.value(expr)?)),
                _ => frame.push((name.clone(), body_of(eval, expr, &key)?)),
            }
        }
        let frame = Val::Map(frame);
        let encoded = codec::encode(&proto::message("ClientFrame"), &frame)?;
        let issued = Issued {
            id: u64::try_from(id).unwrap_or(0),
            kind,
            name: request.name.clone(),
            shown: frame,
        };
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).push(issued);
        Ok(encoded)
    }
}

/// The fields of a request's body, `$message` and the like expanded.
fn body_of(eval: &Eval<'_>, expr: &Expr, key: &[u8]) -> Result<Val, ScriptError> {
    let Expr::Map(fields) = expr else { return eval.value(expr) };
    let mut values = Vec::new();
    let is_made = |name: &str| name == "$message" || private::KEYS.contains(&name);
    for (name, expr) in fields.iter().filter(|(name, _)| !is_made(name)) {
        values.push((name.clone(), eval.value(expr)?));
    }
    for (name, source) in fields.iter().filter(|(name, _)| private::KEYS.contains(&&**name)) {
        private::expand(eval, name, source, &mut values, key)?;
    }
    if let Some((_, message)) = fields.iter().find(|(name, _)| name == "$message") {
        proofs::expand_message(eval, message, &mut values, key)?;
    }
    Ok(Val::Map(values))
}

impl Numbering for Numbers {
    fn request(&self, eval: &Eval<'_>, request: &Expr) -> Result<Vec<u8>, ScriptError> {
        let Expr::Map(fields) = request else { return fault("$frame and $body take a request") };
        let mut fields = fields.clone();
        let name = match fields.iter().position(|(key, _)| key == "as") {
            Some(place) => Some(eval.text(&fields.remove(place).1)?),
            None => None,
        };
        self.make(eval, &Request { fields, name })
    }
}
