//! The page `spec/src/coverage.md`.

use super::{Citation, Lint, Requirement, Source, Text, by_id};

/// The page: for each chapter a table of its requirements and what cites them.
pub(super) fn page(lint: &Lint, chapters: &[Text]) -> String {
    let citations = by_id(&lint.citations);
    let of = |r: &Requirement| citations.get(r.id.as_str()).map_or(&[][..], Vec::as_slice);
    let count = |test: &dyn Fn(&Requirement) -> bool| {
        lint.requirements.iter().filter(|requirement| test(requirement)).count()
    };
    let by = |source| count(&|r| of(r).iter().any(|citation| citation.source == source));

    let mut page = format!(
        "# Coverage\n\n\
         Written by `cargo xtask spec-lint` from the requirements, and from the scripts, vectors and tests that cite them.\n\n\
         Of {} requirements, {} are cited by conformance scripts, {} by test vectors and {} by tests of the reference \
         implementation; {} say why nothing outside can show them.\n",
        lint.requirements.len(),
        by(Source::Script),
        by(Source::Vector),
        by(Source::Test),
        count(&|r| r.untestable.is_some()),
    );
    for chapter in chapters {
        let requirements: Vec<_> =
            lint.requirements.iter().filter(|r| r.chapter == chapter.path).collect();
        if requirements.is_empty() {
            continue;
        }
        let title = chapter.content.lines().find_map(|line| line.strip_prefix("# "));
        let file = chapter.path.rsplit('/').next().unwrap_or_default();
        page += &format!("\n## [{}]({file})\n\n", title.unwrap_or(file));
        page += "| requirement | scripts | vectors | tests |\n|---|---|---|---|\n";
        for requirement in requirements {
            page += &row(requirement, of(requirement));
        }
    }
    page
}

fn row(requirement: &Requirement, citations: &[&Citation]) -> String {
    let cell = |source| {
        let mut names: Vec<_> = citations
            .iter()
            .filter(|c| c.source == source)
            .map(|c| format!("`{}`", c.name))
            .collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    };
    let id = &requirement.id;
    let tests = cell(Source::Test);
    let tests = match &requirement.untestable {
        Some(reason) if tests.is_empty() => format!("*{reason}*"),
        _ => tests,
    };
    format!("| {id} | {} | {} | {tests} |\n", cell(Source::Script), cell(Source::Vector))
}
