//! Rust sources: how long they are, and what they must not call.

use std::path::Path;

use anyhow::Result;

use crate::workspace::{files_below, read, shown};

/// The most lines of a file, its tests not counted.
const MAX_LINES: usize = 600;

/// What reads a clock, forbidden where time is an input.
const CLOCKS: [&str; 2] = ["Instant::now", "SystemTime::now"];
/// Where time is an input, or has no place at all.
const CLOCKLESS: [&str; 3] =
    ["crates/aside-proto/src/", "crates/aside-crypto/src/", "crates/aside-session/src/"];

/// What is not finished. In two parts, so that this file is not found.
const UNFINISHED: [&str; 4] = [
    concat!("to", "do!"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("unimplemented", "!("),
];

/// Checks every Rust source of the repository.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for folder in ["crates", "conformance", "benches", "fuzz", "simulation"] {
        for path in files_below(&root.join(folder), "rs")? {
            check_file(&shown(root, &path), &read(&path)?, &mut findings);
        }
    }
    Ok(findings)
}

fn check_file(path: &str, text: &str, findings: &mut Vec<String>) {
    let body = without_tests(path, text);
    let lines = body.lines().count();
    if lines > MAX_LINES {
        findings.push(format!("{path}: {lines} lines without tests, at most {MAX_LINES}"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(word) = UNFINISHED.iter().find(|word| line.contains(**word)) {
            findings.push(format!("{path}:{number}: {word}"));
        }
    }
    if !CLOCKLESS.iter().any(|folder| path.starts_with(folder)) {
        return;
    }
    for (number, line) in (1..).zip(body.lines()) {
        let code = line.split("//").next().unwrap_or_default();
        if let Some(clock) = CLOCKS.iter().find(|clock| code.contains(**clock)) {
            findings.push(format!("{path}:{number}: {clock} where time is an input"));
        }
    }
}

/// The part of a file before its tests; nothing of a file that is all tests.
fn without_tests<'a>(path: &str, text: &'a str) -> &'a str {
    if path.contains("/tests/") || path.ends_with("/tests.rs") {
        return "";
    }
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check_file(path, text, &mut findings);
        findings
    }

    #[test]
    fn long_files_are_found_by_their_code_alone() {
        let code = "fn f() {}\n".repeat(600);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{code}}}\n");
        assert_eq!(findings("crates/a/src/a.rs", &(code.clone() + &tests)), Vec::<String>::new());
        assert_eq!(
            findings("crates/a/src/a.rs", &("\n".to_owned() + &code)),
            ["crates/a/src/a.rs: 601 lines without tests, at most 600"]
        );
    }

    #[test]
    fn clocks_and_unfinished_code_are_found() {
        let clock = "// Instant::now is not for us\nlet a = Instant::now();\n";
        assert_eq!(
            findings("crates/aside-session/src/a.rs", clock),
            ["crates/aside-session/src/a.rs:2: Instant::now where time is an input"]
        );
        assert_eq!(findings("crates/aside-server/src/a.rs", clock), Vec::<String>::new());
        let unfinished = format!("fn f() {{ {}() }}", UNFINISHED[0]);
        assert_eq!(findings("a.rs", &unfinished).len(), 1);
    }
}
