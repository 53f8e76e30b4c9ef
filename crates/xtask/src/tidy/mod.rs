//! `cargo xtask tidy`: the rules of ARCHITECTURE.md that no other tool holds us to.

mod layers;
mod packages;
mod sources;

use anyhow::{Result, ensure};

use crate::workspace::root;

/// Checks layers, manifests, sources and licences.
///
/// # Errors
/// With every finding.
pub fn run() -> Result<()> {
    let root = root();
    let metadata = layers::Metadata::load(&root)?;
    let mut findings = layers::check(&metadata);
    findings.extend(packages::check(&root, &metadata)?);
    findings.extend(sources::check(&root)?);
    ensure!(findings.is_empty(), "{}\n{} findings", findings.join("\n"), findings.len());
    Ok(())
}
