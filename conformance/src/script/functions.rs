//! The functions of expressions, and how expressions are computed.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    codec, proto, truth,
    value::{Val, record},
    view,
};

use super::{
    expr::{Args, Expr, follow},
    proofs,
};

/// How a function takes a mapping.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As named arguments.
    Named,
    /// As one argument.
    Value,
}

/// Name, shape, and how many positional arguments are taken.
const FUNCTIONS: &[(&str, Shape, std::ops::RangeInclusive<usize>)] = &[
    ("fresh", Shape::Value, 0..=1),
    ("uuid7", Shape::Value, 0..=1),
    ("now", Shape::Value, 0..=0),
    ("text", Shape::Value, 1..=1),
    ("content", Shape::Value, 1..=1),
    ("hex", Shape::Value, 1..=1),
    ("random", Shape::Value, 1..=1),
    ("zeros", Shape::Value, 1..=1),
    ("fill", Shape::Value, 2..=2),
    ("u32", Shape::Value, 1..=1),
    ("concat", Shape::Value, 1..=99),
    ("slice", Shape::Value, 2..=3),
    ("flip", Shape::Value, 2..=2),
    ("upper", Shape::Value, 1..=1),
    ("lower", Shape::Value, 1..=1),
    ("fullwidth", Shape::Value, 1..=1),
    ("len", Shape::Value, 1..=1),
    ("map", Shape::Value, 2..=2),
    ("min", Shape::Value, 2..=2),
    ("max", Shape::Value, 2..=2),
    ("mul", Shape::Value, 2..=2),
    ("div", Shape::Value, 2..=2),
    ("if_empty", Shape::Value, 2..=2),
    ("new_key", Shape::Value, 0..=0),
    ("device", Shape::Named, 0..=0),
    ("bind_proof", Shape::Named, 0..=0),
    ("login_proof", Shape::Named, 0..=0),
    ("other_s", Shape::Value, 1..=1),
    ("sha256", Shape::Value, 1..=1),
    ("token_hash", Shape::Value, 1..=1),
    ("payload_hash", Shape::Value, 2..=2),
    ("chain_start", Shape::Value, 1..=1),
    ("chain", Shape::Value, 2..=2),
    ("label_hash", Shape::Value, 2..=99),
    ("encode", Shape::Value, 2..=2),
    ("decode", Shape::Value, 2..=2),
    ("sign", Shape::Value, 2..=99),
    ("frame", Shape::Value, 1..=1),
    ("body", Shape::Value, 1..=1),
    ("for", Shape::Value, 2..=2),
];

/// How a function takes a mapping; none if there is no such function.
pub(crate) fn shape(name: &str) -> Option<Shape> {
    FUNCTIONS.iter().find(|(known, ..)| *known == name).map(|(_, shape, _)| *shape)
}

/// Whether a function takes these arguments.
pub(crate) fn check(name: &str, arguments: &Args) -> Result<(), String> {
    let Some((_, _, range)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
        return Err(format!("there is no function ${name}"));
    };
    match arguments {
        Args::Named(named) => proofs::check_names(name, named.iter().map(|(key, _)| key.as_str())),
        Args::Positional(given) if range.contains(&given.len()) => Ok(()),
        Args::Positional(given) => Err(format!(
            "${name} takes {} to {} arguments, not {}",
            range.start(),
            range.end(),
            given.len()
        )),
    }
}

/// A script that asks for what can't be done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ScriptError(pub(crate) String);

impl From<codec::EncodeError> for ScriptError {
    fn from(error: codec::EncodeError) -> Self {
        Self(error.to_string())
    }
}

/// Builds a ScriptError.
pub(crate) fn fault<T>(text: impl Into<String>) -> Result<T, ScriptError> {
    Err(ScriptError(text.into()))
}

/// Names that no other run and no other script has.
pub(crate) struct Names {
    prefix: String,
    next: AtomicU64,
}

impl Names {
    /// Takes a prefix at random.
    pub(crate) fn new() -> Self {
        let bytes = truth::random(8);
        let number = bytes.iter().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
        // A letter first, so that no name looks like a number to YAML or to people.
        let prefix = format!("r{}", base36(number, 6));
        Self { prefix, next: AtomicU64::new(0) }
    }

    /// What all names of this run begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// 12 characters.
    pub(crate) fn fresh(&self) -> String {
        format!("{}{}", self.prefix, base36(self.next.fetch_add(1, Ordering::Relaxed), 5))
    }
}

fn base36(mut number: u64, digits: usize) -> String {
    let mut out = vec![b'0'; digits];
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize];
        number /= 36;
    }
    String::from_utf8(out).expect("digits are ASCII")
}

/// The variables of one run of a script.
#[derive(Default)]
pub(crate) struct Variables(Mutex<BTreeMap<String, Val>>);

impl Variables {
    pub(crate) fn set(&self, name: &str, value: Val) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value);
    }

    /// The value of a variable at this moment.
    pub(crate) fn value(&self, name: &str) -> Option<Val> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// Numbers requests that are made inside expressions (`$frame`, `$body`).
pub(crate) trait Numbering: Sync {
    /// Fills in request_id and idempotency_key, expands `$message`, and notes the request as sent.
    fn request(&self, eval: &Eval<'_>, request: &Expr) -> Result<Vec<u8>, ScriptError>;
}

/// What expressions are computed with.
#[derive(Clone, Copy)]
pub(crate) struct Eval<'a> {
    pub(crate) variables: &'a Variables,
    pub(crate) names: &'a Names,
    /// Whose key and connection `$device` and the proofs use.
    pub(crate) actor: Option<&'a str>,
    pub(crate) numbering: Option<&'a dyn Numbering>,
}

impl Eval<'_> {
    /// Computes a value.
    pub(crate) fn value(&self, expr: &Expr) -> Result<Val, ScriptError> {
        match expr {
            Expr::Literal(value) => Ok(value.clone()),
            Expr::Variable(name, path) => {
                let Some(value) = self.variables.value(name) else {
                    return fault(format!("${name} has no value yet"));
                };
                match follow(&value, path) {
                    Some(found) => Ok(found.clone()),
                    None => fault(format!("${name} has no {path:?}: it is {value}")),
                }
            }
            Expr::Sum(parts) => parts.iter().try_fold(Val::Int(0), |sum, (added, part)| {
                let (sum, part) = (self.int_of(&sum)?, self.int(part)?);
                Ok(Val::Int(if *added { sum + part } else { sum - part }))
            }),
            Expr::List(items) => {
                Ok(Val::List(items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?))
            }
            Expr::Map(fields) => {
                let computed =
                    fields.iter().map(|(key, value)| Ok((key.clone(), self.value(value)?)));
                Ok(Val::Map(computed.collect::<Result<_, ScriptError>>()?))
            }
            Expr::Call(name, Args::Positional(arguments)) => self.call(name, arguments),
            Expr::Call(name, Args::Named(arguments)) => proofs::call(self, name, arguments),
        }
    }

    /// Computes a number.
    pub(crate) fn int(&self, expr: &Expr) -> Result<i128, ScriptError> {
        self.int_of(&self.value(expr)?)
    }

    fn int_of(&self, value: &Val) -> Result<i128, ScriptError> {
        value.as_int().ok_or_else(|| ScriptError(format!("{value} is not a number")))
    }

    /// Computes a number that counts something.
    pub(crate) fn count(&self, expr: &Expr) -> Result<usize, ScriptError> {
        let number = self.int(expr)?;
        usize::try_from(number).map_err(|_| ScriptError(format!("{number} is not a count")))
    }

    /// Computes bytes.
    pub(crate) fn bytes(&self, expr: &Expr) -> Result<Vec<u8>, ScriptError> {
        let value = self.value(expr)?;
        match value.as_bytes() {
            Some(bytes) => Ok(bytes.to_vec()),
            None => fault(format!("{value} is not bytes")),
        }
    }

    /// Computes a text.
    pub(crate) fn text(&self, expr: &Expr) -> Result<String, ScriptError> {
        let value = self.value(expr)?;
        match value.as_text() {
            Some(text) => Ok(text.to_owned()),
            None => fault(format!("{value} is not a text")),
        }
    }

    fn call(&self, name: &str, arguments: &[Expr]) -> Result<Val, ScriptError> {
        match name {
            "device" | "bind_proof" | "login_proof" => proofs::call(self, name, &[]),
            "frame" | "body" => self.request(name, &arguments[0]),
            "for" => {
                let actor = self.text(&arguments[0])?;
                Eval { actor: Some(&actor), ..*self }.value(&arguments[1])
            }
            "text" => {
                let text = record([("body", self.value(&arguments[0])?)]);
                let content = record([("text", text)]);
                Ok(Val::Bytes(codec::encode(&proto::message("Content"), &content)?))
            }
            "content" => {
                let content = self.value(&arguments[0])?;
                Ok(Val::Bytes(codec::encode(&proto::message("Content"), &content)?))
            }
            "encode" => {
                let message = self.text(&arguments[0])?;
                let Some(message) = proto::find_message(&message) else {
                    return fault(format!("the schema has no message {message}"));
                };
                Ok(Val::Bytes(codec::encode(&message, &self.value(&arguments[1])?)?))
            }
            "decode" => {
                let message = self.text(&arguments[0])?;
                let Some(message) = proto::find_message(&message) else {
                    return fault(format!("the schema has no message {message}"));
                };
                let bytes = self.bytes(&arguments[1])?;
                view::decode(&message, &bytes).map_err(|error| ScriptError(error.to_string()))
            }
            "label_hash" => {
                let label = self.text(&arguments[0])?;
                let fields: Vec<_> =
                    arguments[1..].iter().map(|e| self.bytes(e)).collect::<Result<_, _>>()?;
                let fields: Vec<_> = fields.iter().map(Vec::as_slice).collect();
                Ok(Val::Bytes(truth::hash(&label, &fields).to_vec()))
            }
            "new_key" => Ok(proofs::new_key()),
            "sign" => {
                let key = proofs::key(self, &arguments[0])?;
                let label = self.text(&arguments[1])?;
                let fields: Vec<_> =
                    arguments[2..].iter().map(|e| self.bytes(e)).collect::<Result<_, _>>()?;
                let fields: Vec<_> = fields.iter().map(Vec::as_slice).collect();
                Ok(Val::Bytes(key.sign(&label, &fields)))
            }
            "fresh" | "uuid7" | "now" | "random" => self.changing(name, arguments),
            "sha256" | "token_hash" | "payload_hash" | "chain_start" | "chain" | "other_s" => {
                self.hash(name, arguments)
            }
            "len" | "min" | "max" | "mul" | "div" => self.number(name, arguments),
            _ => self.shaped(name, arguments),
        }
    }

    fn request(&self, name: &str, request: &Expr) -> Result<Val, ScriptError> {
        let Some(numbering) = self.numbering else {
            return fault(format!("${name} stands only in what an actor sends"));
        };
        let body = numbering.request(self, request)?;
        Ok(Val::Bytes(if name == "frame" { codec::frame(&body) } else { body }))
    }

    /// Functions whose value is another each time.
    fn changing(&self, name: &str, arguments: &[Expr]) -> Result<Val, ScriptError> {
        let argument = arguments.first();
        Ok(match name {
            "fresh" => {
                let suffix = argument.map(|suffix| self.text(suffix)).transpose()?;
                Val::Text(self.names.fresh() + &suffix.unwrap_or_default())
            }
            "uuid7" => {
                let later = argument.map(|later| self.int(later)).transpose()?;
                Val::Bytes(uuid7(now_ms() + later.unwrap_or(0)))
            }
            "now" => Val::Int(now_ms()),
            _ => Val::Bytes(truth::random(self.count(&arguments[0])?)),
        })
    }

    fn hash(&self, name: &str, arguments: &[Expr]) -> Result<Val, ScriptError> {
        let first = self.bytes(&arguments[0])?;
        let hash = match name {
            "sha256" => truth::sha256(&first),
            "token_hash" => truth::hash("token", &[&first]),
            "payload_hash" => truth::payload_hash(&first, &self.bytes(&arguments[1])?),
            "chain_start" => truth::hash("chain-start", &[&first]),
            "chain" => {
                let entry = self.value(&arguments[1])?;
                return chain_next(&first, &entry).map(|hash| Val::Bytes(hash.to_vec()));
            }
            _ => {
                let Some(other) = truth::other_s(&first) else {
                    return fault("a signature is 64 bytes");
                };
                return Ok(Val::Bytes(other));
            }
        };
        Ok(Val::Bytes(hash.to_vec()))
    }

    fn number(&self, name: &str, arguments: &[Expr]) -> Result<Val, ScriptError> {
        if name == "len" {
            let value = self.value(&arguments[0])?;
            return match length(&value) {
                Some(length) => Ok(Val::Int(length as i128)),
                None => fault(format!("{} has no length", value.kind())),
            };
        }
        let (a, b) = (self.int(&arguments[0])?, self.int(&arguments[1])?);
        Ok(Val::Int(match name {
            "min" => a.min(b),
            "max" => a.max(b),
            "mul" => a * b,
            _ if b == 0 => return fault("division by zero"),
            _ => a / b,
        }))
    }

    /// Functions that shape texts, bytes and lists.
    fn shaped(&self, name: &str, arguments: &[Expr]) -> Result<Val, ScriptError> {
        let first = &arguments[0];
        Ok(match name {
            "hex" => Val::Bytes(
                hex::decode(self.text(first)?.replace(' ', ""))
                    .map_err(|error| ScriptError(format!("$hex: {error}")))?,
            ),
            "zeros" => Val::Bytes(vec![0; self.count(first)?]),
            "fill" => Val::Text(self.text(first)?.repeat(self.count(&arguments[1])?)),
            "u32" => {
                let number = self.int(first)?;
                let number = u32::try_from(number)
                    .map_err(|_| ScriptError(format!("{number} is no u32")))?;
                Val::Bytes(number.to_be_bytes().to_vec())
            }
            "concat" => {
                let parts: Vec<_> =
                    arguments.iter().map(|e| self.value(e)).collect::<Result<_, _>>()?;
                concat(&parts)?
            }
            "slice" => {
                let to = arguments.get(2).map(|to| self.int(to)).transpose()?;
                slice(&self.value(first)?, self.int(&arguments[1])?, to)?
            }
            "flip" => {
                let (mut bytes, at) = (self.bytes(first)?, self.count(&arguments[1])?);
                match bytes.get_mut(at) {
                    Some(byte) => *byte = !*byte,
                    None => return fault(format!("there is no byte {at} to flip")),
                }
                Val::Bytes(bytes)
            }
            "upper" => Val::Text(self.text(first)?.to_uppercase()),
            "lower" => Val::Text(self.text(first)?.to_lowercase()),
            "fullwidth" => Val::Text(self.text(first)?.chars().map(fullwidth).collect()),
            "map" => {
                let (list, field) = (self.value(first)?, self.text(&arguments[1])?);
                let path = super::expr::path(&field).map_err(ScriptError)?;
                let items = list.as_list().unwrap_or_default().iter();
                Val::List(
                    items.map(|item| follow(item, &path).cloned().unwrap_or(Val::Null)).collect(),
                )
            }
            "if_empty" => {
                let value = self.value(first)?;
                if value.is_default() { self.value(&arguments[1])? } else { value }
            }
            _ => return fault(format!("there is no function ${name}")),
        })
    }
}

/// The chain value after an entry (LOG-010).
pub(crate) fn chain_next(previous: &[u8], entry: &Val) -> Result<truth::Hash, ScriptError> {
    let bytes = |name| entry.field(name).and_then(Val::as_bytes);
    let (Some(header), Some(salt), Some(payload), Some(hash)) =
        (bytes("header"), bytes("salt"), bytes("payload"), bytes("payload_hash"))
    else {
        return fault(format!("{} is not an entry", entry.kind()));
    };
    let payload_hash =
        if hash.is_empty() { truth::payload_hash(salt, payload).to_vec() } else { hash.to_vec() };
    Ok(truth::hash("chain", &[previous, header, &payload_hash]))
}

/// Characters of a text, bytes, or items.
pub(crate) fn length(value: &Val) -> Option<usize> {
    match value {
        Val::Text(text) => Some(text.chars().count()),
        Val::Bytes(bytes) => Some(bytes.len()),
        Val::List(items) => Some(items.len()),
        Val::Null => Some(0),
        _ => None,
    }
}

fn concat(parts: &[Val]) -> Result<Val, ScriptError> {
    if parts.iter().all(|part| matches!(part, Val::Text(_))) {
        return Ok(Val::Text(parts.iter().filter_map(Val::as_text).collect()));
    }
    if parts.iter().all(|part| part.as_list().is_some()) {
        return Ok(Val::List(parts.iter().filter_map(Val::as_list).flatten().cloned().collect()));
    }
    if let Some(bytes) = parts.iter().map(Val::as_bytes).collect::<Option<Vec<_>>>() {
        return Ok(Val::Bytes(bytes.concat()));
    }
    fault("$concat joins texts, bytes or lists")
}

fn slice(value: &Val, from: i128, to: Option<i128>) -> Result<Val, ScriptError> {
    let Some(length) = length(value) else {
        return fault(format!("{} has no parts", value.kind()));
    };
    let place = |index: i128| {
        let index = if index < 0 { index + length as i128 } else { index };
        usize::try_from(index.max(0)).unwrap_or(length).min(length)
    };
    let from = place(from);
    let to = to.map_or(length, place).max(from);
    Ok(match value {
        Val::Text(text) => Val::Text(text.chars().skip(from).take(to - from).collect()),
        Val::List(items) => Val::List(items[from..to].to_vec()),
        _ => Val::Bytes(value.as_bytes().unwrap_or_default()[from..to].to_vec()),
    })
}

/// The full-width form of an ASCII character.
fn fullwidth(character: char) -> char {
    match character {
        '!'..='~' => char::from_u32(character as u32 + 0xfee0).unwrap_or(character),
        other => other,
    }
}

/// This machine's clock, milliseconds since 1970.
pub(crate) fn now_ms() -> i128 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(elapsed.as_millis()).unwrap_or(i128::MAX)
}

/// A UUIDv7 for a time, milliseconds since 1970 (RFC 9562).
pub(crate) fn uuid7(time_ms: i128) -> Vec<u8> {
    let mut bytes = truth::random(16);
    let time = u64::try_from(time_ms.max(0)).unwrap_or(u64::MAX);
    bytes[..6].copy_from_slice(&time.to_be_bytes()[2..]);
    bytes[6] = 0x70 | bytes[6] & 0x0f;
    bytes[8] = 0x80 | bytes[8] & 0x3f;
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(source: &serde_json::Value) -> Result<Val, ScriptError> {
        let (variables, names) = (Variables::default(), Names::new());
        let fields = [("seq", Val::Int(7)), ("list", Val::List(vec!["a".into(), "b".into()]))];
        variables.set("m", record(fields));
        let eval = Eval { variables: &variables, names: &names, actor: None, numbering: None };
        eval.value(&Expr::compile(source).map_err(ScriptError)?)
    }

    fn shown(source: &str) -> String {
        value(&json!(source)).map_or_else(|error| format!("! {error}"), |value| value.to_string())
    }

    #[test]
    fn expressions_are_computed() {
        for (source, expected) in [
            ("plain", "\"plain\""),
            ("$$5", "\"$5\""),
            ("$m.seq + 1", "8"),
            ("$m.seq - 2 + 10", "15"),
            ("$m.list[-1]", "\"b\""),
            ("$mul(3, 24h)", "259200000"),
            ("$hex(\"00 ff\")", "00ff"),
            ("$u32(258)", "00000102"),
            ("$concat(\"a\", $m.list[0])", "\"aa\""),
            ("$concat($m.list, $m.list)", "[\"a\", \"b\", \"a\", \"b\"]"),
            ("$concat($hex(\"01\"), $zeros(2))", "010000"),
            ("$slice(\"hello\", 1, -1)", "\"ell\""),
            ("$slice($hex(\"010203\"), -2)", "0203"),
            ("$flip($hex(\"0102\"), 1)", "01fd"),
            ("$fullwidth(\"aZ\")", "\"\u{ff41}\u{ff3a}\""),
            ("$text(\"hi\\n\")", "0a050a0368690a"),
            ("$decode(\"Text\", $hex(\"0a026869\"))", "{body: \"hi\"}"),
            ("$len($m.list)", "2"),
            ("$fill(\"ab\", 2)", "\"abab\""),
            ("$if_empty(\"\", 3)", "3"),
            (
                "$m.nothing",
                "! $m has no [Field(\"nothing\")]: it is {seq: 7, list: [\"a\", \"b\"]}",
            ),
            ("$none", "! $none has no value yet"),
            ("$hex(\"0\")", "! $hex: Odd number of digits"),
            ("$m.seq + ", "! \"$m.seq + \" is not understood from \"\" on"),
        ] {
            assert_eq!(shown(source), expected, "{source}");
        }
        let named =
            value(&json!({"$content": {"text": {"body": "x"}, "$unknown": "$hex(\"08\")"}}));
        assert_eq!(named.unwrap().to_string(), "0a030a017808");
    }

    #[test]
    fn names_and_keys_are_new_each_time() {
        let names = Names::new();
        let (a, b) = (names.fresh(), names.fresh());
        assert_eq!((a.len(), a == b, a.starts_with(names.prefix())), (12, false, true));
        assert_ne!(Names::new().prefix(), names.prefix());
        let key = uuid7(0x0123_4567_89ab);
        assert_eq!(
            (&key[..6], key[6] >> 4, key[8] >> 6),
            (&[1, 0x23, 0x45, 0x67, 0x89, 0xab][..], 7, 2)
        );
    }
}
