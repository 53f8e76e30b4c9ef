//! `spec/registry/requests.toml`.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::schema::{Schema, camel_case};
use crate::workspace::{Generated, read, rustfmt, with_table};

/// The least field number of an event in `ServerFrame.body`.
const FIRST_EVENT: i32 = 100;

/// One request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestEntry {
    name: String,
    number: i32,
    reply: String,
    phases: Vec<Phase>,
    mutating: bool,
    capability: String,
    /// Absent: no token may make it.
    scope: Option<Scope>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    Any,
    Read,
    Send,
    Join,
    Manage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    Connected,
    Greeted,
    Authenticated,
}

/// Reads the registry and holds it to its own rules.
///
/// # Errors
/// If it is not of its form, a name is there twice, or the order is not that of the numbers.
pub(super) fn parse(text: &str) -> Result<Vec<RequestEntry>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        request: Vec<RequestEntry>,
    }
    let requests = toml::from_str::<File>(text).context("spec/registry/requests.toml")?.request;
    let names: BTreeSet<_> = requests.iter().map(|r| r.name.as_str()).collect();
    ensure!(names.len() == requests.len(), "requests.toml has a name twice");
    ensure!(
        requests.is_sorted_by(|a, b| a.number < b.number),
        "requests.toml is not in order of number"
    );
    for request in &requests {
        ensure!(!request.phases.is_empty(), "{} is allowed in no phase", request.name);
    }
    Ok(requests)
}

/// The files written from it.
///
/// # Errors
/// If the page of the spec has lost its markers.
pub(super) fn files(root: &Path, requests: &[RequestEntry]) -> Result<Vec<Generated>> {
    let page = "spec/src/requests.md";
    Ok(vec![
        Generated::new(
            root,
            "crates/aside-proto/src/request_table.rs",
            rustfmt(root, &rust_table(requests))?,
        ),
        Generated::new(
            root,
            page,
            with_table(&read(&root.join(page))?, "requests", &spec_table(requests))?,
        ),
    ])
}

/// What the compiled schema has otherwise: a request or reply with another name or number, or a body of `ServerFrame` that is
/// neither a reply, nor `error`, nor an event.
pub(super) fn compare(requests: &[RequestEntry], schema: &Schema) -> Vec<String> {
    let registered: BTreeSet<_> = requests.iter().map(|r| (r.number, r.name.clone())).collect();
    let compiled: BTreeSet<_> = schema.oneof_fields("ClientFrame", "body").collect();
    let mut findings: Vec<_> = registered
        .symmetric_difference(&compiled)
        .map(|(number, name)| {
            format!("{name} = {number} is only in one of requests.toml and ClientFrame.body")
        })
        .collect();

    let mut replies: BTreeSet<_> = requests.iter().map(|r| r.reply.clone()).collect();
    for (number, name) in schema.oneof_fields("ServerFrame", "body") {
        let is_reply = replies.remove(&name);
        if !is_reply && name != "error" && number < FIRST_EVENT {
            findings.push(format!(
                "ServerFrame.body.{name} = {number} is the reply to no request; events begin at {FIRST_EVENT}"
            ));
        }
    }
    findings
        .extend(replies.iter().map(|name| format!("the reply {name} is not in ServerFrame.body")));
    findings
}

fn rust_table(requests: &[RequestEntry]) -> String {
    let entries: String = requests
        .iter()
        .map(|r| {
            let RequestEntry { name, number, phases, mutating, capability, scope, .. } = r;
            let phases: String = phases.iter().map(|p| format!("Phase::{p:?},")).collect();
            let scope = scope.map_or("None".to_owned(), |scope| format!("Some(Scope::{scope:?})"));
            format!(
                "RequestInfo {{ name: {name:?}, number: {number}, phases: &[{phases}], mutating: {mutating}, capability: {capability:?}, scope: {scope} }},\n"
            )
        })
        .collect();
    let arms: String = requests
        .iter()
        .enumerate()
        .map(|(index, r)| format!("Body::{}(_) => {index},\n", camel_case(&r.name)))
        .collect();
    format!(
        "//! Written by `cargo xtask registry` from spec/registry/requests.toml.

use crate::{{request::{{Phase, RequestInfo, Scope}}, v1::client_frame::Body}};

pub(crate) const ALL: &[RequestInfo] = &[{entries}];

pub(crate) fn info(body: &Body) -> &'static RequestInfo {{
    &ALL[match body {{ {arms} }}]
}}
"
    )
}

fn spec_table(requests: &[RequestEntry]) -> String {
    let mut table = String::from(
        "| request | number | reply | phases | mutating | capability | scope |\n|---|---|---|---|---|---|---|\n",
    );
    for request in requests {
        let RequestEntry { name, number, reply, phases, mutating, capability, scope } = request;
        let phases: Vec<_> = phases.iter().map(|phase| format!("{phase:?}")).collect();
        let phases = phases.join(", ");
        let mutating = if *mutating { "yes" } else { "no" };
        let scope = scope.map_or("–".to_owned(), |scope| format!("{scope:?}").to_uppercase());
        table += &format!(
            "| `{name}` | {number} | `{reply}` | {phases} | {mutating} | {capability} | {scope} |\n"
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::root;

    #[test]
    fn a_request_that_differs_from_the_schema_is_found() {
        let text = read(&root().join("spec/registry/requests.toml")).unwrap();
        let schema = Schema::compiled().unwrap();
        assert_eq!(compare(&parse(&text).unwrap(), &schema), Vec::<String>::new());

        let renumbered = text.replacen("number = 42", "number = 43", 1);
        assert_eq!(
            compare(&parse(&renumbered).unwrap(), &schema),
            [
                "get_head = 42 is only in one of requests.toml and ClientFrame.body",
                "get_head = 43 is only in one of requests.toml and ClientFrame.body",
            ]
        );
        let other_reply = text.replacen("reply = \"pong\"", "reply = \"ponged\"", 1);
        assert_eq!(
            compare(&parse(&other_reply).unwrap(), &schema),
            [
                "ServerFrame.body.pong = 14 is the reply to no request; events begin at 100",
                "the reply ponged is not in ServerFrame.body",
            ]
        );
    }
}
