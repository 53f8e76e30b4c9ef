//! Values as scripts write them: YAML, in which `$` begins an expression. Compiled when a script is loaded, so that
//! mistakes have a line.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value as Json;

use crate::value::Val;

use super::{
    functions::{self, Shape},
    private,
};

/// A value to be computed.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    Literal(Val),
    /// `$name.field[0]`
    Variable(String, Vec<Step>),
    /// A sum: each with whether it is added.
    Sum(Vec<(bool, Expr)>),
    Call(String, Args),
    List(Vec<Expr>),
    Map(Vec<(String, Expr)>),
}

/// What a function is given.
#[derive(Debug, Clone)]
pub(crate) enum Args {
    Positional(Vec<Expr>),
    Named(Vec<(String, Expr)>),
}

/// One step of a path into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Field(String),
    Item(i64),
}

/// Keys that stand inside messages and are no function.
pub(crate) const MESSAGE_KEYS: [&str; 5] =
    ["$unknown", "$message", private::KEYS[0], private::KEYS[1], private::KEYS[2]];

impl Expr {
    /// Compiles a YAML value.
    pub(crate) fn compile(source: &Json) -> Result<Self, String> {
        Ok(match source {
            Json::Null => Self::Literal(Val::Null),
            Json::Bool(value) => Self::Literal(Val::Bool(*value)),
            Json::Number(number) => Self::Literal(Val::Int(integer(number)?)),
            Json::String(text) => Self::compile_text(text)?,
            Json::Array(items) => {
                Self::List(items.iter().map(Self::compile).collect::<Result<_, _>>()?)
            }
            Json::Object(fields) => {
                if let Some(call) = Self::compile_call(fields)? {
                    return Ok(call);
                }
                let compiled =
                    fields.iter().map(|(key, value)| Ok((key.clone(), Self::compile(value)?)));
                Self::Map(compiled.collect::<Result<_, String>>()?)
            }
        })
    }

    fn compile_text(text: &str) -> Result<Self, String> {
        match text.strip_prefix('$') {
            None => Ok(Self::Literal(Val::Text(text.to_owned()))),
            Some(rest) if rest.starts_with('$') => Ok(Self::Literal(Val::Text(rest.to_owned()))),
            Some(_) => parse(text),
        }
    }

    /// `{$f: argument}`, or `{$for: actor, $do: value}`.
    fn compile_call(fields: &serde_json::Map<String, Json>) -> Result<Option<Self>, String> {
        let is_call = |key: &str| key.starts_with('$') && !MESSAGE_KEYS.contains(&key);
        if let (Some(actor), Some(value), 2) = (fields.get("$for"), fields.get("$do"), fields.len())
        {
            let arguments = vec![Self::compile(actor)?, Self::compile(value)?];
            return Ok(Some(Self::Call("for".to_owned(), Args::Positional(arguments))));
        }
        let Some(key) = fields.keys().find(|key| is_call(key)) else { return Ok(None) };
        if fields.len() != 1 {
            return Err(format!("{key} stands alone in its mapping"));
        }
        let name = &key[1..];
        let arguments = match (functions::shape(name), &fields[key]) {
            (None, _) => return Err(format!("there is no function {key}")),
            (Some(Shape::Named), Json::Object(named)) => {
                let compiled =
                    named.iter().map(|(key, value)| Ok((key.clone(), Self::compile(value)?)));
                Args::Named(compiled.collect::<Result<_, String>>()?)
            }
            (Some(_), Json::Array(items)) => {
                Args::Positional(items.iter().map(Self::compile).collect::<Result<_, _>>()?)
            }
            (Some(_), one) => Args::Positional(vec![Self::compile(one)?]),
        };
        functions::check(name, &arguments)?;
        Ok(Some(Self::Call(name.to_owned(), arguments)))
    }

    /// Calls `visit` with the name of every variable in it.
    pub(crate) fn variables<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        match self {
            Self::Literal(_) => {}
            Self::Variable(name, _) => visit(name),
            Self::Sum(parts) => parts.iter().for_each(|(_, part)| part.variables(visit)),
            Self::List(items) | Self::Call(_, Args::Positional(items)) => {
                items.iter().for_each(|item| item.variables(visit));
            }
            Self::Map(fields) | Self::Call(_, Args::Named(fields)) => {
                fields.iter().for_each(|(_, value)| value.variables(visit));
            }
        }
    }
}

impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::compile(&Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Expr {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A value: plain YAML, or an expression that begins with $." })
    }
}

fn integer(number: &serde_json::Number) -> Result<i128, String> {
    number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from))
        .ok_or_else(|| format!("{number} is not an integer of 64 bits"))
}

/// Parses a path such as `fetched.entries[-1].seq`.
pub(crate) fn path(text: &str) -> Result<Vec<Step>, String> {
    let dotted = if text.starts_with('[') { text.to_owned() } else { format!(".{text}") };
    let mut parser = Parser { text: &dotted, at: 0 };
    let steps = parser.path()?;
    if steps.is_empty() || parser.at != dotted.len() {
        return Err(format!("{text:?} is not a path such as fetched.entries[0].seq"));
    }
    Ok(steps)
}

/// Follows a path into a value.
pub(crate) fn follow<'a>(value: &'a Val, path: &[Step]) -> Option<&'a Val> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Field(name) => value.field(name),
        Step::Item(index) => value.item(*index),
    })
}

/// Parses an expression.
fn parse(text: &str) -> Result<Expr, String> {
    let mut parser = Parser { text, at: 0 };
    let expr = parser.sum()?;
    if parser.at == text.len() { Ok(expr) } else { Err(parser.unexpected()) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn unexpected(&self) -> String {
        format!("{:?} is not understood from {:?} on", self.text, self.rest())
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn sum(&mut self) -> Result<Expr, String> {
        self.skip_spaces();
        let negative = self.eat("-");
        let mut parts = vec![(!negative, self.atom()?)];
        loop {
            self.skip_spaces();
            let added = self.eat("+");
            if !added && !self.eat("-") {
                break;
            }
            self.skip_spaces();
            parts.push((added, self.atom()?));
        }
        match parts.pop() {
            Some((true, only)) if parts.is_empty() => Ok(only),
            last => Ok(Expr::Sum(parts.into_iter().chain(last).collect())),
        }
    }

    fn atom(&mut self) -> Result<Expr, String> {
        if self.eat("$") {
            return self.name();
        }
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let digits = self.take_while(|c| c.is_ascii_digit());
        let number: i128 = digits.parse().map_err(|_| self.unexpected())?;
        let unit = match self.take_while(|c| c.is_ascii_alphabetic()) {
            "" | "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            "d" => 24 * 3600 * 1000,
            unit => return Err(format!("{unit:?} is not a unit of time (ms s m h d)")),
        };
        Ok(Expr::Literal(Val::Int(number * unit)))
    }

    /// A variable with its path, or a call.
    fn name(&mut self) -> Result<Expr, String> {
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_owned();
        if name.is_empty() {
            return Err(self.unexpected());
        }
        if functions::shape(&name).is_none() {
            if self.rest().starts_with('(') {
                return Err(format!("there is no function ${name}"));
            }
            return Ok(Expr::Variable(name, self.path()?));
        }
        let mut arguments = Vec::new();
        if self.eat("(") {
            self.skip_spaces();
            while !self.eat(")") {
                arguments.push(self.sum()?);
                self.skip_spaces();
                if !self.eat(",") && !self.rest().starts_with(')') {
                    return Err(self.unexpected());
                }
                self.skip_spaces();
            }
        }
        let arguments = Args::Positional(arguments);
        functions::check(&name, &arguments)?;
        Ok(Expr::Call(name, arguments))
    }

    fn path(&mut self) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        loop {
            if self.eat(".") {
                let field = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
                if field.is_empty() {
                    return Err(self.unexpected());
                }
                steps.push(Step::Field(field.to_owned()));
            } else if self.eat("[") {
                let index = self.take_while(|c| c.is_ascii_digit() || c == '-').parse();
                steps.push(Step::Item(index.map_err(|_| self.unexpected())?));
                if !self.eat("]") {
                    return Err(self.unexpected());
                }
            } else {
                return Ok(steps);
            }
        }
    }

    /// A JSON string.
    fn quoted(&mut self) -> Result<Expr, String> {
        let mut escaped = false;
        let end = self.rest().char_indices().skip(1).find(|&(_, c)| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        let (end, _) = end.ok_or_else(|| self.unexpected())?;
        let text = serde_json::from_str(&self.rest()[..=end]).map_err(|error| error.to_string())?;
        self.at += end + 1;
        Ok(Expr::Literal(Val::Text(text)))
    }
}
