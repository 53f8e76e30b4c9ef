//! Manifests and licences.

use std::path::Path;

use anyhow::{Context, Result};

use super::layers::Metadata;
use crate::workspace::{read, shown};

const LICENCE: &str = "MIT OR Apache-2.0";

/// Each licence's file, and a sentence that its text must have.
const LICENCE_FILES: [(&str, &str); 2] = [
    ("LICENSE-MIT", "Permission is hereby granted, free of charge"),
    ("LICENSE-APACHE", "Apache License"),
];

/// Every crate obeys the workspace's lints and has its licence; the licences are there.
pub(super) fn check(root: &Path, metadata: &Metadata) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for package in metadata.members() {
        if package.license.as_deref() != Some(LICENCE) {
            findings.push(format!("{}: the licence is not {LICENCE}", package.name));
        }
        let manifest: toml::Table = read(&package.manifest_path)?
            .parse()
            .with_context(|| shown(root, &package.manifest_path))?;
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if lints.and_then(toml::Value::as_bool) != Some(true) {
            findings.push(format!("{}: no `lints.workspace = true`", package.name));
        }
    }
    for (file, sentence) in LICENCE_FILES {
        if !read(&root.join(file)).is_ok_and(|text| text.contains(sentence)) {
            findings.push(format!("{file} is not there, or is not that licence"));
        }
    }
    Ok(findings)
}
