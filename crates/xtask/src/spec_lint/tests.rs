use super::*;

fn text(path: &str, content: &str) -> Text {
    Text { path: path.into(), content: content.into() }
}

/// One chapter with one requirement, cited by one test.
fn small() -> Sources {
    Sources {
        chapters: vec![text("spec/src/a.md", "# A\n\nText.\n\n**[AA-001]** A server\nMUST be.\n")],
        rust: vec![text("crates/a/src/b.rs", "// cites: AA-001\n#[test]\nfn is() {}\n")],
        ..Sources::default()
    }
}

#[test]
fn a_covered_requirement_is_read_whole() {
    let lint = lint(&small());
    assert_eq!(lint.findings, Vec::<String>::new());
    assert_eq!(
        lint.requirements,
        [Requirement {
            id: "AA-001".into(),
            chapter: "spec/src/a.md".into(),
            line: 5,
            sentence: "A server MUST be.".into(),
            untestable: None,
        }]
    );
    assert_eq!(
        lint.citations,
        [Citation {
            id: "AA-001".into(),
            source: Source::Test,
            name: "a::b::is".into(),
            path: "crates/a/src/b.rs".into(),
        }]
    );
}

#[test]
fn broken_rules_of_chapters_are_found() {
    for (addition, finding) in [
        ("A server MUST.", "spec/src/a.md:8: a capital keyword of BCP 14 outside a requirement"),
        (
            "See **[AA-002]** x.",
            "spec/src/a.md:8: an id that does not begin its paragraph, or has no sentence",
        ),
        ("**[AA-001]** Again.", "spec/src/a.md:8: AA-001 is there twice"),
        ("See AA-009.", "spec/src/a.md:8: refers to AA-009, which is no requirement"),
        ("**[AA-002]** X.", "spec/src/a.md:8: AA-002 is covered by no script, vector or test"),
        (
            "**[AA-002]** X. *(Untestable: )*",
            "spec/src/a.md:8: not of the form *(Untestable: reason)*",
        ),
    ] {
        let mut sources = small();
        sources.chapters[0].content += &format!("\n{addition}\n");
        let findings = lint(&sources).findings;
        assert!(findings.iter().any(|f| f == finding), "{addition:?}: {findings:#?}");
    }
}

#[test]
fn what_explains_is_left_alone() {
    for addition in [
        "The words MUST and MAY are those of BCP 14.",
        "```\nMUST\n```",
        "    code that MUST",
        "<!-- table: x -->\n| MUST |\n<!-- end table -->",
        "SHA-256, ALPN_REQUIRED, and what a server must do.",
        "**[AA-002]** X MUST. *(Untestable by a script: reason.)*",
        "**[AA-002]** X MUST. *(Untestable: reason.)*",
    ] {
        let mut sources = small();
        sources.chapters[0].content += &format!("\n{addition}\n");
        assert_eq!(lint(&sources).findings, Vec::<String>::new(), "{addition:?}");
    }
}

#[test]
fn broken_citations_are_found() {
    for (path, content, finding) in [
        (
            "a/src/c.rs",
            "// cites: AA-002\n#[test]\nfn x() {}",
            "a/src/c.rs: cites AA-002, which is no requirement",
        ),
        (
            "a/src/c.rs",
            "// cites: AA-001 too\n#[test]\nfn x() {}",
            "a/src/c.rs:1: \"AA-001 too\" is no id",
        ),
        (
            "a/src/c.rs",
            "// cites: AA-001\nfn x() {}",
            "a/src/c.rs:1: a citation that stands right above no test",
        ),
        (
            "a/src/c.rs",
            "// cites: AA-001\n\n#[test]\nfn x() {}",
            "a/src/c.rs:1: a citation that stands right above no test",
        ),
        (
            "a/src/c.rs",
            "/// As AA-003 says.",
            "a/src/c.rs:1: refers to AA-003, which is no requirement",
        ),
    ] {
        let mut sources = small();
        sources.rust.push(text(path, content));
        assert_eq!(lint(&sources).findings, [finding]);
    }
    let mut sources = small();
    sources.scripts.push(text("s.yaml", "id: s\nsteps: [{a: {cites: [AA-004]}}]\n"));
    sources.vectors.push(text("v.json", r#"{"cases": [{"requirements": ["AA-005"]}]}"#));
    assert_eq!(
        lint(&sources).findings,
        [
            "s.yaml: cites AA-004, which is no requirement",
            "v.json: cites AA-005, which is no requirement",
        ]
    );
}

#[test]
fn the_schema_makes_no_requirements_of_its_own() {
    let mut sources = small();
    sources.schema.push(text("a.proto", "// A client\n// MUST: AA-001.\nx\n\n// It MUST.\ny\n"));
    assert_eq!(
        lint(&sources).findings,
        ["a.proto:5: a capital keyword of BCP 14 without the requirement's id"]
    );
}

/// The real tree: whichever requirement loses its last citation is reported, and nothing else changes.
#[test]
fn the_last_citation_of_any_requirement_is_missed() {
    let lint = lint(&Sources::load(&root()).unwrap());
    assert!(lint.requirements.len() > 150, "only {}", lint.requirements.len());
    let before: BTreeSet<_> = uncovered(&lint.requirements, &lint.citations).collect();
    for requirement in &lint.requirements {
        let mut citations = lint.citations.clone();
        citations.retain(|citation| citation.id != requirement.id);
        if requirement.untestable.is_some() || citations.len() == lint.citations.len() {
            continue;
        }
        let after: BTreeSet<_> = uncovered(&lint.requirements, &citations).collect();
        let new: Vec<_> = after.difference(&before).collect();
        assert_eq!(new.len(), 1, "{}", requirement.id);
        assert!(new[0].contains(&requirement.id), "{new:?}");
    }
}

/// As above for a sample, but with the citations taken out of the files themselves.
#[test]
fn a_citation_taken_out_of_a_file_is_missed() {
    let sources = Sources::load(&root()).unwrap();
    let whole = lint(&sources);
    let cited = by_id(&whole.citations);
    let candidates: Vec<_> = whole
        .requirements
        .iter()
        .filter(|r| r.untestable.is_none() && cited.contains_key(r.id.as_str()))
        .collect();
    assert!(!candidates.is_empty());
    for requirement in candidates.iter().step_by(candidates.len().div_ceil(6)) {
        let id = &requirement.id;
        // Another requirement of the same form, so that every citation stays well-formed.
        let other = if id == "CONV-001" { "CONV-003" } else { "CONV-001" };
        let mut edited = sources.clone();
        for text in edited.scripts.iter_mut().chain(&mut edited.vectors).chain(&mut edited.rust) {
            text.content = text.content.replace(id, other);
        }
        let before: BTreeSet<_> = whole.findings.iter().cloned().collect();
        let after: BTreeSet<_> = lint(&edited).findings.into_iter().collect();
        let new: Vec<_> = after.difference(&before).collect();
        assert_eq!(
            new,
            [&format!(
                "{}:{}: {id} is covered by no script, vector or test",
                requirement.chapter, requirement.line
            )]
        );
    }
}
