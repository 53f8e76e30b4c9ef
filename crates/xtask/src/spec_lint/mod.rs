//! `cargo xtask spec-lint`: every requirement has an id, and something that would notice if it were broken.
//!
//! - A capital MUST, SHOULD or MAY (or a synonym of BCP 14) stands only in a requirement: a paragraph of `spec/src` that begins
//!   with `**[AREA-000]**`. One paragraph is one requirement; an id is there once.
//! - A requirement is cited by a script (`requirements`, `cites`), a vector (`requirements`) or a test (a comment `// cites:`
//!   right above it), or says why it can't be: `*(Untestable: reason)*`.
//! - What is cited exists.
//!
//! `spec/src/coverage.md` is written from the same reading.

mod chapters;
mod citations;
mod coverage;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Result, ensure};

pub use chapters::Requirement;
pub use citations::{Citation, Source};

use crate::workspace::{self, Generated, files_below, read, root, shown};

/// The page this program writes, which is no source.
const COVERAGE: &str = "spec/src/coverage.md";

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Text {
    /// Its path below the root, with `/`.
    pub path: String,
    /// All of it.
    pub content: String,
}

/// Everything that makes requirements or cites them.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `spec/src/**.md` in the order of the book, the coverage page excepted.
    pub chapters: Vec<Text>,
    /// `proto/**.proto` and `spec/registry/*.toml`: they explain, and refer to requirements.
    pub schema: Vec<Text>,
    /// `conformance/scripts/**.yaml`.
    pub scripts: Vec<Text>,
    /// `spec/vectors/*.json`.
    pub vectors: Vec<Text>,
    /// `**.rs` of all crates.
    pub rust: Vec<Text>,
}

impl Sources {
    /// Reads the workspace.
    ///
    /// # Errors
    /// If a file can't be read.
    pub fn load(root: &Path) -> Result<Self> {
        let texts = |folders: &[&str], extension: &str| -> Result<Vec<Text>> {
            let mut texts = Vec::new();
            for folder in folders {
                for path in files_below(&root.join(folder), extension)? {
                    texts.push(Text { path: shown(root, &path), content: read(&path)? });
                }
            }
            Ok(texts)
        };
        let mut chapters = texts(&["spec/src"], "md")?;
        chapters.retain(|text| text.path != COVERAGE);
        // In the order in which the book has them; what it lacks comes first.
        let summary = read(&root.join("spec/src/SUMMARY.md"))?;
        chapters.sort_by_key(|text| {
            text.path.rsplit('/').next().and_then(|name| summary.find(&format!("({name})")))
        });
        let mut schema = texts(&["proto"], "proto")?;
        schema.extend(texts(&["spec/registry"], "toml")?);
        schema.retain(|text| !text.path.ends_with("published.toml"));
        Ok(Self {
            chapters,
            schema,
            scripts: texts(&["conformance/scripts"], "yaml")?,
            vectors: texts(&["spec/vectors"], "json")?,
            rust: texts(
                &["crates", "conformance", "benches", "fuzz", "interop", "simulation"],
                "rs",
            )?,
        })
    }
}

/// What the linter has read and found.
#[derive(Debug, Clone, Default)]
pub struct Lint {
    /// In order of chapter and place.
    pub requirements: Vec<Requirement>,
    /// In order of path and place.
    pub citations: Vec<Citation>,
    /// What is wrong, each with its place. Empty is what `cargo xtask spec-lint` wants.
    pub findings: Vec<String>,
}

/// Reads all sources and holds them to the rules above.
#[must_use]
pub fn lint(sources: &Sources) -> Lint {
    let mut findings = Vec::new();
    let requirements = chapters::requirements(&sources.chapters, &mut findings);
    let ids: BTreeSet<&str> = requirements.iter().map(|r| r.id.as_str()).collect();
    let citations = citations::all(sources, &mut findings);

    chapters::check_references(sources, &ids, &mut findings);
    for citation in &citations {
        if !ids.contains(citation.id.as_str()) {
            findings
                .push(format!("{}: cites {}, which is no requirement", citation.path, citation.id));
        }
    }
    findings.extend(uncovered(&requirements, &citations));
    Lint { requirements, citations, findings }
}

/// A finding for each requirement that is neither cited nor marked untestable.
pub fn uncovered(
    requirements: &[Requirement],
    citations: &[Citation],
) -> impl Iterator<Item = String> {
    let cited: BTreeSet<&str> = citations.iter().map(|c| c.id.as_str()).collect();
    requirements
        .iter()
        .filter(move |r| r.untestable.is_none() && !cited.contains(r.id.as_str()))
        .map(|r| {
            format!("{}:{}: {} is covered by no script, vector or test", r.chapter, r.line, r.id)
        })
}

/// Lints, and writes the coverage page or with `check` compares it.
///
/// # Errors
/// With every finding, a stale page among them.
pub fn run(check: bool) -> Result<()> {
    let root = root();
    let sources = Sources::load(&root)?;
    let mut lint = lint(&sources);
    let page = Generated::new(&root, COVERAGE, coverage::page(&lint, &sources.chapters));
    if let Err(error) = workspace::write_or_check(&[page], check, "cargo xtask spec-lint") {
        lint.findings.push(error.to_string());
    }
    let count = lint.findings.len();
    ensure!(count == 0, "{}\n{count} findings", lint.findings.join("\n"));
    Ok(())
}

/// The ids of all requirements.
///
/// # Errors
/// If a chapter can't be read.
pub fn requirement_ids(root: &Path) -> Result<BTreeSet<String>> {
    let sources = Sources::load(root)?;
    let requirements = chapters::requirements(&sources.chapters, &mut Vec::new());
    Ok(requirements.into_iter().map(|r| r.id).collect())
}

/// The citations of each id.
fn by_id(citations: &[Citation]) -> BTreeMap<&str, Vec<&Citation>> {
    let mut map: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for citation in citations {
        map.entry(citation.id.as_str()).or_default().push(citation);
    }
    map
}

/// Whether a word has the form of an id: `AREA-000`.
fn is_id(word: &str) -> bool {
    word.rsplit_once('-').is_some_and(|(area, number)| {
        !area.is_empty()
            && area.bytes().all(|b| b.is_ascii_uppercase())
            && number.len() == 3
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

/// The words of a text: runs of letters, digits, `-` and `_`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').filter(|w| !w.is_empty())
}

#[cfg(test)]
mod tests;
