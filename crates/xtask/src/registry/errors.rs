//! `spec/registry/errors.toml`.

use std::{collections::BTreeSet, fmt::Write, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::schema::{Schema, camel_case};
use crate::workspace::{Generated, read, rustfmt, with_table};

/// One error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorEntry {
    code: i32,
    name: String,
    scope: Scope,
    retryable: Retry,
    trigger: String,
    remedy: String,
    #[serde(default)]
    instead: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    Connection,
    Request,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Retry {
    No,
    Yes,
    After,
}

/// Reads the registry and holds it to its own rules.
///
/// # Errors
/// If it is not of its form, or a rule in its header is broken.
pub(super) fn parse(text: &str) -> Result<Vec<ErrorEntry>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        error: Vec<ErrorEntry>,
    }
    let errors = toml::from_str::<File>(text).context("spec/registry/errors.toml")?.error;
    let names: BTreeSet<_> = errors.iter().map(|e| e.name.as_str()).collect();
    ensure!(names.len() == errors.len(), "errors.toml has a name twice");
    ensure!(errors.is_sorted_by(|a, b| a.code < b.code), "errors.toml is not in order of code");
    for error in &errors {
        let ErrorEntry { name, code, .. } = error;
        let scope = if *code < 100 { Scope::Connection } else { Scope::Request };
        ensure!((1..1000).contains(code), "{name}: {code} is not among 1 to 999");
        ensure!(error.scope == scope, "{name}: {code} is of the other scope");
        ensure!(!error.trigger.contains(['|', '\n', '"']), "{name}: trigger breaks a table");
        ensure!(!error.remedy.contains(['|', '\n', '"']), "{name}: remedy breaks a table");
        for other in &error.instead {
            ensure!(
                names.contains(other.as_str()),
                "{name}: instead names {other}, which is no error"
            );
        }
    }
    Ok(errors)
}

/// The files written from it.
///
/// # Errors
/// If a file that is only written in part has lost its markers.
pub(super) fn files(root: &Path, errors: &[ErrorEntry]) -> Result<Vec<Generated>> {
    let (proto, page) = ("proto/aside/v1/error.proto", "spec/src/errors.md");
    Ok(vec![
        Generated::new(root, proto, proto_file(&read(&root.join(proto))?, errors)?),
        Generated::new(
            root,
            "crates/aside-proto/src/error_table.rs",
            rustfmt(root, &rust_table(errors))?,
        ),
        Generated::new(
            root,
            page,
            with_table(&read(&root.join(page))?, "errors", &spec_table(errors))?,
        ),
    ])
}

/// What the compiled schema has otherwise.
pub(super) fn compare(errors: &[ErrorEntry], schema: &Schema) -> Vec<String> {
    let registered: BTreeSet<_> = errors
        .iter()
        .map(|e| (e.code, format!("ERROR_CODE_{}", e.name)))
        .chain([(0, "ERROR_CODE_UNSPECIFIED".to_owned())])
        .collect();
    let compiled: BTreeSet<_> = schema.enum_values("ErrorCode").collect();
    registered
        .symmetric_difference(&compiled)
        .map(|(code, name)| format!("{name} = {code} is only in one of errors.toml and ErrorCode"))
        .collect()
}

fn proto_file(present: &str, errors: &[ErrorEntry]) -> Result<String> {
    let marker = "enum ErrorCode {\n";
    let (head, rest) = present.split_once(marker).context("error.proto has no ErrorCode")?;
    let (_, tail) = rest.split_once("\n}\n").context("ErrorCode has no end")?;
    let mut text = format!("{head}{marker}  // Never sent.\n  ERROR_CODE_UNSPECIFIED = 0;\n");
    for ErrorEntry { code, name, trigger, .. } in errors {
        writeln!(text, "  // {trigger}\n  ERROR_CODE_{name} = {code};")?;
    }
    Ok(format!("{text}}}\n{tail}"))
}

fn rust_table(errors: &[ErrorEntry]) -> String {
    let arms: String = errors
        .iter()
        .map(|e| {
            let name = camel_case(&e.name);
            let ErrorEntry { scope, retryable, trigger, remedy, .. } = e;
            format!("ErrorCode::{name} => (Scope::{scope:?}, Retry::{retryable:?}, {trigger:?}, {remedy:?}),\n")
        })
        .collect();
    format!(
        "//! Written by `cargo xtask registry` from spec/registry/errors.toml.

use crate::{{error::{{ErrorInfo, Retry, Scope}}, v1::ErrorCode}};

/// What the registry says of this code.
#[must_use]
pub fn info(code: ErrorCode) -> ErrorInfo {{
    let (scope, retry, trigger, remedy) = match code {{
        ErrorCode::Unspecified => (Scope::Request, Retry::No, \"Never sent.\", \"None.\"),
        {arms}
    }};
    ErrorInfo {{ scope, retry, trigger, remedy }}
}}
"
    )
}

fn spec_table(errors: &[ErrorEntry]) -> String {
    let mut table = String::from(
        "| code | name | scope | retry | sent for | what a client does |\n|---|---|---|---|---|---|\n",
    );
    for error in errors {
        let ErrorEntry { code, name, scope, retryable, trigger, remedy, instead } = error;
        let scope = format!("{scope:?}").to_lowercase();
        let retry = format!("{retryable:?}").to_lowercase();
        let or = if instead.is_empty() {
            String::new()
        } else {
            format!(" A server may send {} instead.", instead.join(" or "))
        };
        table += &format!("| {code} | {name} | {scope} | {retry} | {trigger}{or} | {remedy} |\n");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(code: i32, name: &str, scope: &str) -> String {
        format!(
            "[[error]]\ncode = {code}\nname = {name:?}\nscope = {scope:?}\nretryable = \"no\"\ntrigger = \"T.\"\nremedy = \"R.\"\n"
        )
    }

    #[test]
    fn the_registry_is_held_to_its_rules() {
        assert!(parse(&entry(1, "A", "connection")).is_ok());
        for (text, complaint) in [
            (entry(1, "A", "request"), "other scope"),
            (entry(0, "A", "connection"), "1 to 999"),
            (entry(1, "A", "connection") + &entry(2, "A", "connection"), "a name twice"),
            (entry(2, "A", "connection") + &entry(1, "B", "connection"), "order of code"),
            (entry(1, "A", "connection") + "instead = [\"B\"]\n", "no error"),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error:?} lacks {complaint:?}");
        }
    }

    #[test]
    fn only_the_enum_of_the_schema_is_rewritten() {
        let errors = parse(&entry(7, "A", "connection")).unwrap();
        let text = "head\nenum ErrorCode {\n  X = 0;\n}\ntail\n";
        let expected = "head\nenum ErrorCode {\n  // Never sent.\n  ERROR_CODE_UNSPECIFIED = 0;\n  // T.\n  \
                        ERROR_CODE_A = 7;\n}\ntail\n";
        assert_eq!(proto_file(text, &errors).unwrap(), expected);
    }
}
