//! Who cites which requirement.

use serde_json::Value;

use super::{Sources, Text, is_id};

/// What kind of check cites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A conformance script.
    Script,
    /// A test vector.
    Vector,
    /// A test in Rust.
    Test,
}

/// One check that cites one requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Citation {
    /// The requirement.
    pub id: String,
    /// What cites it.
    pub source: Source,
    /// The name of the script, vector or test.
    pub name: String,
    /// Its file.
    pub path: String,
}

/// Every citation; what can't be read goes to `findings`.
pub(super) fn all(sources: &Sources, findings: &mut Vec<String>) -> Vec<Citation> {
    let mut found = Vec::new();
    for script in &sources.scripts {
        match serde_saphyr::from_str::<Value>(&script.content) {
            Ok(value) => {
                let name = value["id"].as_str().unwrap_or(&script.path);
                let mut data =
                    Data { source: Source::Script, path: &script.path, found: &mut found };
                data.walk(&value, name, &["requirements", "cites"]);
            }
            Err(error) => findings.push(format!("{}: {error}", script.path)),
        }
    }
    for vector in &sources.vectors {
        match serde_json::from_str::<Value>(&vector.content) {
            Ok(value) => {
                let file = vector.path.rsplit('/').next().unwrap_or(&vector.path);
                let stem = file.trim_end_matches(".json");
                let mut data =
                    Data { source: Source::Vector, path: &vector.path, found: &mut found };
                data.walk(&value, stem, &["requirements"]);
            }
            Err(error) => findings.push(format!("{}: {error}", vector.path)),
        }
    }
    for text in &sources.rust {
        tests(text, &mut found, findings);
    }
    found
}

/// A walk through YAML or JSON for citations.
struct Data<'a> {
    source: Source,
    path: &'a str,
    found: &'a mut Vec<Citation>,
}

impl Data<'_> {
    /// Takes what stands under one of `keys`, a string or a list of strings, at any depth.
    fn walk(&mut self, value: &Value, name: &str, keys: &[&str]) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    if keys.contains(&key.as_str()) {
                        self.take(inner, name);
                    } else {
                        self.walk(inner, name, keys);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, name, keys)),
            _ => {}
        }
    }

    fn take(&mut self, value: &Value, name: &str) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.take(item, name)),
            _ => self.found.push(Citation {
                id: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
                source: self.source,
                name: name.to_owned(),
                path: self.path.to_owned(),
            }),
        }
    }
}

/// Takes the comments `// cites: A-001, B-002` above tests.
fn tests(text: &Text, found: &mut Vec<Citation>, findings: &mut Vec<String>) {
    let lines: Vec<&str> = text.content.lines().map(str::trim).collect();
    for (index, line) in lines.iter().enumerate() {
        let Some(list) = line.strip_prefix("// cites:") else { continue };
        let place = format!("{}:{}", text.path, index + 1);
        let Some(function) = test_below(&lines[index + 1..], &text.path) else {
            findings.push(format!("{place}: a citation that stands right above no test"));
            continue;
        };
        for id in list.split(',').map(str::trim) {
            if is_id(id) {
                found.push(Citation {
                    id: id.to_owned(),
                    source: Source::Test,
                    name: format!("{}::{function}", module(&text.path)),
                    path: text.path.clone(),
                });
            } else {
                findings.push(format!("{place}: {id:?} is no id"));
            }
        }
    }
}

/// The name of the function that comes next, if it is a test: marked as one, or in a file of tests or of a suite, whose
/// functions are called by macros and runners.
fn test_below<'a>(lines: &[&'a str], path: &str) -> Option<&'a str> {
    let above = |line: &&&str| line.starts_with("//") || line.starts_with("#[");
    let attributes: Vec<_> = lines.iter().take_while(above).collect();
    let marked = attributes.iter().any(|line| line.starts_with("#[") && line.contains("test"));
    let among_tests = ["/tests/", "/tests.rs", "suite"].iter().any(|part| path.contains(part));
    let (_, rest) = lines.get(attributes.len())?.split_once("fn ")?;
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    (marked || among_tests).then_some(name)
}

/// `crates/aside-proto/src/frame.rs` is `aside-proto::frame`.
fn module(path: &str) -> String {
    let parts = path.trim_start_matches("crates/").trim_end_matches(".rs").split('/');
    let named: Vec<_> = parts.filter(|part| !["src", "lib", "mod"].contains(part)).collect();
    named.join("::")
}
