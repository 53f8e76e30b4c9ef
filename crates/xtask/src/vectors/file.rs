//! The form of a vector file: `{"description", "vectors": [{"id", "requirements", …, "result", "error"}]}`.

use std::{collections::HashSet, fmt::Write as _};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

/// A line is broken above this width.
const WIDTH: usize = 120;

/// One file below `spec/vectors`.
pub(super) struct File {
    name: &'static str,
    members: Map<String, Value>,
}

impl File {
    /// A file of vectors.
    ///
    /// # Panics
    /// If two vectors have one id.
    pub(super) fn new(name: &'static str, description: &str, vectors: Vec<Value>) -> Self {
        let mut ids = HashSet::new();
        for vector in &vectors {
            assert!(ids.insert(&vector["id"]), "{name}: id {} is used twice", vector["id"]);
        }
        let mut members = Map::new();
        members.insert("description".into(), description.into());
        members.insert("vectors".into(), vectors.into());
        Self { name, members }
    }

    /// A file of vectors that were made elsewhere.
    ///
    /// # Errors
    /// If it is no JSON of this form.
    ///
    /// # Panics
    /// If two vectors have one id.
    pub(super) fn parse(name: &'static str, text: &str) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Parts {
            description: String,
            vectors: Vec<Value>,
        }
        let Parts { description, vectors } =
            serde_json::from_str(text).with_context(|| format!("{name}.json"))?;
        Ok(Self::new(name, &description, vectors))
    }

    /// Adds a member before the vectors: what all of them share.
    pub(super) fn shared(mut self, name: &str, value: Value) -> Self {
        self.members.shift_insert(1, name.into(), value);
        self
    }

    /// Its path below the root.
    pub(super) fn path(&self) -> String {
        format!("spec/vectors/{}.json", self.name)
    }

    /// Its content: JSON in ASCII, what fits on a line on one line.
    pub(super) fn render(&self) -> String {
        let mut out = String::new();
        render(&Value::Object(self.members.clone()), 0, 0, &mut out);
        out.push('\n');
        out
    }
}

/// A vector in the making.
pub(super) struct Vector(Map<String, Value>);

impl Vector {
    /// A vector with its id and what it is evidence for.
    pub(super) fn new(id: &str, requirements: &[&str]) -> Self {
        Self(Map::new()).with("id", id).with("requirements", json!(requirements))
    }

    /// Adds a member.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// Adds bytes, in hex.
    pub(super) fn bytes(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.with(name, hex(bytes))
    }

    /// Whether a member has this value.
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_some_and(|member| member == value)
    }

    /// To be accepted.
    pub(super) fn valid(self) -> Value {
        self.with("result", "valid").0.into()
    }

    /// To be refused, with this code or for this reason.
    pub(super) fn invalid(self, error: &str) -> Value {
        self.with("result", "invalid").with("error", error).0.into()
    }
}

/// Bytes as a JSON string of hex.
pub(super) fn hex(bytes: impl AsRef<[u8]>) -> Value {
    hex::encode(bytes).into()
}

/// Renders a value that begins at column `column` of a line indented by `indent`.
fn render(value: &Value, indent: usize, column: usize, out: &mut String) {
    let line = compact(value);
    if column + line.len() <= WIDTH {
        return out.push_str(&line);
    }
    match value {
        Value::Array(items) => {
            let items = items.iter().map(|item| (String::new(), item));
            render_members(('[', ']'), items, indent, out);
        }
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (format!("{}: ", text(name)), value));
            render_members(('{', '}'), members, indent, out);
        }
        _ => out.push_str(&line),
    }
}

fn render_members<'a>(
    (open, close): (char, char),
    members: impl Iterator<Item = (String, &'a Value)>,
    indent: usize,
    out: &mut String,
) {
    let inner = indent + 1;
    out.push(open);
    for (i, (name, value)) in members.enumerate() {
        out.push_str(if i == 0 { "\n" } else { ",\n" });
        out.push_str(&" ".repeat(inner));
        out.push_str(&name);
        render(value, inner, inner + name.len(), out);
    }
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out.push(close);
}

fn compact(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(compact).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => {
            let members = members.iter().map(|(name, v)| format!("{}: {}", text(name), compact(v)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Value::String(string) => text(string),
        other => other.to_string(),
    }
}

/// A JSON string in ASCII, so that no editor or mailer normalises what is in it.
fn text(string: &str) -> String {
    let mut ascii = String::new();
    for c in Value::from(string).to_string().chars() {
        if c.is_ascii() && !c.is_ascii_control() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(ascii, "\\u{unit:04x}").expect("a String takes everything");
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendering_is_json_that_says_the_same() {
        let long = "x".repeat(WIDTH);
        let vector = Vector::new("a", &["X-001"])
            .with("text", "q\"\u{7f}\u{1f600}\u{e9}\n")
            .with("long", json!([{"a": long, "b": []}, {}]))
            .valid();
        let file = File::new("x", "About.", vec![vector]).shared("more", json!({"k": 1}));
        let parsed: Value = serde_json::from_str(&file.render()).unwrap();
        assert_eq!(parsed, Value::Object(file.members));
        assert_eq!(
            parsed.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["description", "more", "vectors"]
        );
    }
}
