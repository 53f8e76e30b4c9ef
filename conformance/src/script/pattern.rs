//! Patterns: what a frame, or a value, must be like.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value as Json;

use crate::value::Val;

use super::{
    expr::{Expr, Step, follow, path},
    functions::{Eval, ScriptError, length},
};

/// What a value must be like.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    Any,
    Set,
    Absent,
    Uuid7,
    Bytes(Option<Expr>),
    /// Equal to a value.
    Equals(Expr),
    Compare(Comparison, Expr),
    StartsWith(Expr),
    EndsWith(Expr),
    Not(Box<Pattern>),
    OneOf(Vec<Pattern>),
    AllOf(Vec<Pattern>),
    Length(Box<Pattern>),
    Contains(Box<Pattern>),
    Excludes(Box<Pattern>),
    Each(Box<Pattern>),
    SortedBy(Vec<Step>),
    UniqueBy(Vec<Step>),
    Save(String),
    /// These fields, and perhaps others.
    Fields(Vec<(String, Pattern)>),
    /// Exactly these items.
    Items(Vec<Pattern>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Greater,
    AtLeast,
    Less,
    AtMost,
}

impl Pattern {
    /// Compiles a YAML value.
    pub(crate) fn compile(source: &Json) -> Result<Self, String> {
        match source {
            Json::String(text) => Self::compile_text(text),
            Json::Array(items) => {
                Ok(Self::Items(items.iter().map(Self::compile).collect::<Result<_, _>>()?))
            }
            Json::Object(fields) if fields.keys().any(|key| key.starts_with('$')) => {
                Self::compile_matchers(fields, source)
            }
            Json::Object(fields) => {
                let compiled =
                    fields.iter().map(|(key, value)| Ok((key.clone(), Self::compile(value)?)));
                Ok(Self::Fields(compiled.collect::<Result<_, String>>()?))
            }
            _ => Ok(Self::Equals(Expr::compile(source)?)),
        }
    }

    fn compile_text(text: &str) -> Result<Self, String> {
        Ok(match text {
            "$any" => Self::Any,
            "$set" => Self::Set,
            "$absent" => Self::Absent,
            "$a_uuid7" => Self::Uuid7,
            "$bytes" => Self::Bytes(None),
            _ => match text.strip_prefix("$bytes(").and_then(|rest| rest.strip_suffix(')')) {
                Some(length) => {
                    let length = if length.starts_with('$') {
                        Expr::compile(&Json::String(length.to_owned()))?
                    } else {
                        let number: u32 =
                            length.parse().map_err(|_| format!("{text}: not a length"))?;
                        Expr::Literal(Val::Int(number.into()))
                    };
                    Self::Bytes(Some(length))
                }
                None => Self::Equals(Expr::compile(&Json::String(text.to_owned()))?),
            },
        })
    }

    /// A mapping of matchers, all of which must match; or a call of a function.
    fn compile_matchers(
        fields: &serde_json::Map<String, Json>,
        source: &Json,
    ) -> Result<Self, String> {
        let mut all = Vec::new();
        for (key, value) in fields {
            match Self::matcher(key, value)? {
                Some(matcher) => all.push(matcher),
                None if fields.len() <= 2 => return Ok(Self::Equals(Expr::compile(source)?)),
                None => return Err(format!("there is no matcher {key}")),
            }
        }
        match all.pop() {
            Some(only) if all.is_empty() => Ok(only),
            last => Ok(Self::AllOf(all.into_iter().chain(last).collect())),
        }
    }

    fn matcher(key: &str, value: &Json) -> Result<Option<Self>, String> {
        let inner = || Self::compile(value).map(Box::new);
        let expr = || Expr::compile(value);
        let list = || match value {
            Json::Array(items) => items.iter().map(Self::compile).collect::<Result<Vec<_>, _>>(),
            _ => Err(format!("{key} takes a list")),
        };
        let text = || value.as_str().ok_or_else(|| format!("{key} takes a name"));
        let by = || match text()? {
            "" => Ok(Vec::new()),
            name => path(name),
        };
        Ok(Some(match key {
            "$gt" => Self::Compare(Comparison::Greater, expr()?),
            "$ge" => Self::Compare(Comparison::AtLeast, expr()?),
            "$lt" => Self::Compare(Comparison::Less, expr()?),
            "$le" => Self::Compare(Comparison::AtMost, expr()?),
            "$ne" => Self::Not(Box::new(Self::Equals(expr()?))),
            "$not" => Self::Not(inner()?),
            "$one_of" => Self::OneOf(list()?),
            "$all_of" => Self::AllOf(list()?),
            "$len" => Self::Length(inner()?),
            "$starts_with" => Self::StartsWith(expr()?),
            "$ends_with" => Self::EndsWith(expr()?),
            "$contains" => Self::Contains(inner()?),
            "$excludes" => Self::Excludes(inner()?),
            "$each" => Self::Each(inner()?),
            "$sorted_by" => Self::SortedBy(by()?),
            "$unique_by" => Self::UniqueBy(by()?),
            "$save" => Self::Save(text()?.to_owned()),
            _ => return Ok(None),
        }))
    }

    /// Matches. `Ok(Some(why))` says where and why not. What `$save` caught is kept only if the whole matches.
    pub(crate) fn mismatch(
        &self,
        value: &Val,
        eval: &Eval<'_>,
    ) -> Result<Option<String>, ScriptError> {
        let mut saved = Vec::new();
        match self.test(value, eval, &mut saved)? {
            Some(why) => Ok(Some(why.to_string())),
            None => {
                for (name, value) in saved {
                    eval.variables.set(&name, value);
                }
                Ok(None)
            }
        }
    }

    fn test(
        &self,
        value: &Val,
        eval: &Eval<'_>,
        saved: &mut Vec<(String, Val)>,
    ) -> Result<Option<Mismatch>, ScriptError> {
        let fail_unless = |holds: bool, wanted: &dyn Fn() -> String| {
            (!holds).then(|| Mismatch::here(format!("{value} is not {}", wanted())))
        };
        Ok(match self {
            Self::Any => None,
            Self::Set => fail_unless(!value.is_default(), &|| "set".into()),
            Self::Absent => fail_unless(value.is_default(), &|| "absent".into()),
            Self::Uuid7 => fail_unless(is_uuid7(value), &|| "a UUIDv7".into()),
            Self::Bytes(wanted) => test_bytes(value, wanted.as_ref(), eval)?,
            Self::Equals(expr) => {
                let wanted = eval.value(expr)?;
                fail_unless(*value == wanted, &|| wanted.to_string())
            }
            Self::Compare(comparison, expr) => compare(value, *comparison, &eval.value(expr)?)?,
            Self::StartsWith(expr) | Self::EndsWith(expr) => {
                let part = eval.bytes(expr)?;
                let starts = matches!(self, Self::StartsWith(_));
                let holds = value.as_bytes().is_some_and(|all| {
                    if starts { all.starts_with(&part) } else { all.ends_with(&part) }
                });
                fail_unless(holds, &|| format!("something with {} there", Val::Bytes(part.clone())))
            }
            Self::Not(inner) => {
                let matches = inner.test(value, eval, &mut Vec::new())?.is_none();
                fail_unless(!matches, &|| "permitted".into())
            }
            Self::OneOf(patterns) => test_one_of(patterns, value, eval, saved)?,
            Self::AllOf(patterns) => {
                for pattern in patterns {
                    if let Some(why) = pattern.test(value, eval, saved)? {
                        return Ok(Some(why));
                    }
                }
                None
            }
            Self::Length(inner) => match length(value) {
                Some(length) => inner
                    .test(&Val::Int(length as i128), eval, saved)?
                    .map(|why| why.below("(length)")),
                None => Some(Mismatch::here(format!("{} has no length", value.kind()))),
            },
            Self::Contains(_)
            | Self::Excludes(_)
            | Self::Each(_)
            | Self::SortedBy(_)
            | Self::UniqueBy(_) => self.test_list(value, eval, saved)?,
            Self::Save(name) => {
                saved.push((name.clone(), value.clone()));
                None
            }
            Self::Fields(fields) => test_fields(fields, value, eval, saved)?,
            Self::Items(patterns) => test_items(patterns, value, eval, saved)?,
        })
    }

    /// Matchers of lists.
    fn test_list(
        &self,
        value: &Val,
        eval: &Eval<'_>,
        saved: &mut Vec<(String, Val)>,
    ) -> Result<Option<Mismatch>, ScriptError> {
        let Some(list) = value.as_list() else {
            return Ok(Some(Mismatch::here(format!("{value} is not a list"))));
        };
        match self {
            Self::Contains(inner) => {
                for item in list {
                    let mut caught = Vec::new();
                    if inner.test(item, eval, &mut caught)?.is_none() {
                        saved.extend(caught);
                        return Ok(None);
                    }
                }
                return Ok(Some(Mismatch::here(format!("no item matches, among {value}"))));
            }
            Self::Excludes(inner) => {
                for (index, item) in list.iter().enumerate() {
                    if inner.test(item, eval, &mut Vec::new())?.is_none() {
                        return Ok(Some(Mismatch::here(format!(
                            "[{index}] {item} must not be there"
                        ))));
                    }
                }
            }
            Self::Each(inner) => {
                for (index, item) in list.iter().enumerate() {
                    if let Some(why) = inner.test(item, eval, saved)? {
                        return Ok(Some(why.below(&format!("[{index}]"))));
                    }
                }
            }
            Self::SortedBy(path) => {
                for pair in list.windows(2) {
                    let (a, b) = (follow(&pair[0], path), follow(&pair[1], path));
                    let rising = |(a, b)| order(a, b) == Some(std::cmp::Ordering::Less);
                    if !a.zip(b).is_some_and(rising) {
                        return Ok(Some(Mismatch::here(format!(
                            "not in rising order: {a:?}, {b:?}"
                        ))));
                    }
                }
            }
            Self::UniqueBy(path) => {
                for (index, item) in list.iter().enumerate() {
                    let key = follow(item, path);
                    if list[..index].iter().any(|earlier| follow(earlier, path) == key) {
                        return Ok(Some(Mismatch::here(format!("twice in the list: {key:?}"))));
                    }
                }
            }
            _ => {}
        }
        Ok(None)
    }
}

/// Where in a value, and why, a pattern does not match.
struct Mismatch {
    path: String,
    why: String,
}

impl Mismatch {
    fn here(why: String) -> Self {
        Self { path: String::new(), why }
    }

    fn below(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.why)
        } else {
            write!(f, "{}: {}", self.path, self.why)
        }
    }
}

fn test_fields(
    patterns: &[(String, Pattern)],
    value: &Val,
    eval: &Eval<'_>,
    saved: &mut Vec<(String, Val)>,
) -> Result<Option<Mismatch>, ScriptError> {
    if !matches!(value, Val::Map(_)) {
        return Ok(Some(Mismatch::here(format!("{value} is not a message"))));
    }
    for (name, pattern) in patterns {
        let found = value.field(name).unwrap_or(&Val::Null);
        if let (Pattern::Fields(_), Val::Null) = (pattern, found) {
            return Ok(Some(Mismatch::here("not there".into()).below(name)));
        }
        if let Some(why) = pattern.test(found, eval, saved)? {
            return Ok(Some(why.below(name)));
        }
    }
    Ok(None)
}

fn test_items(
    patterns: &[Pattern],
    value: &Val,
    eval: &Eval<'_>,
    saved: &mut Vec<(String, Val)>,
) -> Result<Option<Mismatch>, ScriptError> {
    let Some(list) = value.as_list() else {
        return Ok(Some(Mismatch::here(format!("{value} is not a list"))));
    };
    if list.len() != patterns.len() {
        let why = format!("{} items instead of {}: {value}", list.len(), patterns.len());
        return Ok(Some(Mismatch::here(why)));
    }
    for (index, (pattern, item)) in patterns.iter().zip(list).enumerate() {
        if let Some(why) = pattern.test(item, eval, saved)? {
            return Ok(Some(why.below(&format!("[{index}]"))));
        }
    }
    Ok(None)
}

fn test_one_of(
    patterns: &[Pattern],
    value: &Val,
    eval: &Eval<'_>,
    saved: &mut Vec<(String, Val)>,
) -> Result<Option<Mismatch>, ScriptError> {
    let mut whys = Vec::new();
    for pattern in patterns {
        let mut caught = Vec::new();
        match pattern.test(value, eval, &mut caught)? {
            None => {
                saved.extend(caught);
                return Ok(None);
            }
            Some(why) => whys.push(why.to_string()),
        }
    }
    Ok(Some(Mismatch::here(format!("none of the choices: {}", whys.join("; ")))))
}

fn test_bytes(
    value: &Val,
    wanted: Option<&Expr>,
    eval: &Eval<'_>,
) -> Result<Option<Mismatch>, ScriptError> {
    let length = match value {
        Val::Bytes(bytes) => bytes.len(),
        _ => return Ok(Some(Mismatch::here(format!("{value} is not bytes")))),
    };
    let (holds, wanted) = match wanted {
        Some(expr) => {
            let wanted = eval.count(expr)?;
            (length == wanted, wanted.to_string())
        }
        None => (length > 0, "some".to_owned()),
    };
    Ok((!holds).then(|| Mismatch::here(format!("{length} bytes, not {wanted}"))))
}

fn is_uuid7(value: &Val) -> bool {
    matches!(value, Val::Bytes(bytes) if bytes.len() == 16 && bytes[6] >> 4 == 7 && bytes[8] >> 6 == 0b10)
}

/// Numbers by value, texts and bytes by their bytes.
fn order(a: &Val, b: &Val) -> Option<std::cmp::Ordering> {
    match (a.as_int(), b.as_int()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => Some(a.as_bytes()?.cmp(b.as_bytes()?)),
    }
}

fn compare(
    value: &Val,
    comparison: Comparison,
    wanted: &Val,
) -> Result<Option<Mismatch>, ScriptError> {
    let Some(order) = order(value, wanted) else {
        return Ok(Some(Mismatch::here(format!("{value} can't be compared with {wanted}"))));
    };
    let (holds, name) = match comparison {
        Comparison::Greater => (order.is_gt(), "greater than"),
        Comparison::AtLeast => (order.is_ge(), "at least"),
        Comparison::Less => (order.is_lt(), "less than"),
        Comparison::AtMost => (order.is_le(), "at most"),
    };
    Ok((!holds).then(|| Mismatch::here(format!("{value} is not {name} {wanted}"))))
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::compile(&Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "What a value must be like: a value, fields, items, or a matcher that begins with $." })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        proto,
        script::functions::{Names, Variables},
        value::record,
    };

    /// Why a value does not match, or an empty text.
    fn why(value: &Val, pattern: &Json) -> String {
        let (variables, names) = (Variables::default(), Names::new());
        variables.set("seq", Val::Int(3));
        let eval = Eval { variables: &variables, names: &names, actor: None, numbering: None };
        let pattern = Pattern::compile(pattern).unwrap();
        pattern.mismatch(value, &eval).unwrap().unwrap_or_default()
    }

    fn sample() -> Val {
        let member = |id: u8, role| {
            record([
                ("user_id", Val::Bytes(vec![id; 16])),
                ("role", Val::Enum(role, proto::enumeration("Role"))),
                ("online", Val::Bool(false)),
            ])
        };
        record([
            ("members", Val::List(vec![member(1, 2), member(2, 1)])),
            ("next_page_token", Val::Bytes(Vec::new())),
            ("seq", Val::Int(4)),
            ("key", Val::Bytes(crate::script::functions::uuid7(0))),
            ("name", "lobby".into()),
            ("signed_head", Val::Null),
        ])
    }

    #[test]
    fn patterns_match_what_they_should() {
        for pattern in [
            json!({}),
            json!({"seq": 4}),
            json!({"seq": "$seq + 1"}),
            json!({"seq": {"$gt": "$seq", "$le": 4, "$ne": 5}}),
            json!({"seq": {"$one_of": [3, 4]}}),
            json!({"members": [{"role": "OWNER"}, {"role": "ROLE_MEMBER", "online": false}]}),
            json!({"members": {"$len": 2, "$sorted_by": "user_id", "$unique_by": "user_id"}}),
            json!({"members": {"$contains": {"role": 1}, "$excludes": {"role": 0}}}),
            json!({"members": {"$each": {"user_id": "$bytes(16)"}}}),
            json!({"next_page_token": ""}),
            json!({"next_page_token": "$absent", "signed_head": "$absent", "nothing": "$absent"}),
            json!({"key": "$a_uuid7", "name": {"$starts_with": "lob", "$ends_with": "y"}}),
            json!({"name": {"$not": {"$len": {"$gt": 5}}}}),
            json!({"key": "$set", "signed_head": "$any"}),
        ] {
            assert_eq!(why(&sample(), &pattern), "", "{pattern}");
        }
    }

    #[test]
    fn mismatches_say_where_and_why() {
        for (pattern, expected) in [
            (json!({"seq": 3}), "seq: 4 is not 3"),
            (json!({"members": [{}]}), "members: 2 items instead of 1"),
            (
                json!({"members": [{"role": "MEMBER"}, {}]}),
                "members[0].role: OWNER is not \"MEMBER\"",
            ),
            (
                json!({"members": {"$each": {"role": "OWNER"}}}),
                "members[1].role: MEMBER is not \"OWNER\"",
            ),
            (json!({"members": {"$excludes": {"role": "OWNER"}}}), "members: [0] {user_id:"),
            (json!({"members": {"$sorted_by": "role"}}), "members: not in rising order"),
            (json!({"members": {"$unique_by": "online"}}), "members: twice in the list"),
            (json!({"signed_head": {"statement": "$any"}}), "signed_head: not there"),
            (json!({"key": "$bytes(15)"}), "key: 16 bytes, not 15"),
            (json!({"name": "$bytes"}), "name: \"lobby\" is not bytes"),
            (json!({"nothing": "$set"}), "nothing: (not set) is not set"),
            (json!({"seq": {"$ge": 5}}), "seq: 4 is not at least 5"),
            (json!({"seq": {"$one_of": [1, 2]}}), "seq: none of the choices"),
        ] {
            let why = why(&sample(), &pattern);
            assert!(why.starts_with(expected), "{pattern}: {why:?}, not {expected:?}");
        }
    }

    #[test]
    fn only_a_match_saves() {
        let (variables, names) = (Variables::default(), Names::new());
        let eval = Eval { variables: &variables, names: &names, actor: None, numbering: None };
        let pattern = Pattern::compile(
            &json!({"seq": {"$save": "kept"}, "name": {"$one_of": ["x", "lobby"]}}),
        )
        .unwrap();
        let other = record([("seq", Val::Int(9)), ("name", "y".into())]);
        assert!(pattern.mismatch(&other, &eval).unwrap().is_some());
        assert_eq!(variables.value("kept"), None);
        assert_eq!(pattern.mismatch(&sample(), &eval).unwrap(), None);
        assert_eq!(variables.value("kept"), Some(Val::Int(4)));
    }
}
