//! `cargo xtask registry`: what is written from `spec/registry/*.toml`, and whether it agrees with the schema.
//!
//! The tables are written before the schema is compared with them: a new request is first put into `requests.toml`, then
//! `cargo xtask registry` is run, then `proto/` is edited. The other way round, aside-proto would not build, and this
//! program with it.

mod errors;
mod published;
mod requests;
mod schema;

use anyhow::{Result, ensure};

use crate::workspace::{self, Generated, read, root};

const COMMAND: &str = "cargo xtask registry";

/// Writes what comes from the registry, or with `check` compares it byte for byte and holds the schema to the registry and
/// both to what was published (EXT-004).
///
/// Returns what in the schema does not agree yet; never with `check`.
///
/// # Errors
/// If the registry breaks its own rules, or a published number or id changed its meaning; with `check` also if a file is
/// not up to date or the schema does not agree.
pub fn run(check: bool) -> Result<Vec<String>> {
    let root = root();
    let errors = errors::parse(&read(&root.join("spec/registry/errors.toml"))?)?;
    let requests = requests::parse(&read(&root.join("spec/registry/requests.toml"))?)?;
    let schema = schema::Schema::compiled()?;

    let mut files = errors::files(&root, &errors)?;
    files.extend(requests::files(&root, &requests)?);
    workspace::write_or_check(&files, check, COMMAND)?;

    let mut findings = errors::compare(&errors, &schema);
    findings.extend(requests::compare(&requests, &schema));
    ensure!(!check || findings.is_empty(), "proto/ does not agree:\n{}", findings.join("\n"));

    let path = "spec/registry/published.toml";
    let ids = crate::spec_lint::requirement_ids(&root)?;
    let frozen = published::Published::parse(&read(&root.join(path))?)?;
    let broken = frozen.broken_by(&schema, &ids);
    ensure!(broken.is_empty(), "published, and changed (EXT-004):\n{}", broken.join("\n"));
    let content = frozen.extended_by(&schema, &ids).to_string();
    workspace::write_or_check(&[Generated::new(&root, path, content)], check, COMMAND)?;
    Ok(findings)
}
