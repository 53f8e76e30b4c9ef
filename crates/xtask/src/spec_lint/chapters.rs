//! The requirements in `spec/src`.

use std::collections::BTreeSet;

use super::{Sources, Text, is_id, words};

/// The words of BCP 14, in capitals.
const KEYWORDS: [&str; 7] =
    ["MUST", "SHOULD", "MAY", "SHALL", "REQUIRED", "RECOMMENDED", "OPTIONAL"];

/// One requirement of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Such as `FRAME-001`.
    pub id: String,
    /// The path of its chapter.
    pub chapter: String,
    /// Where its paragraph begins, from 1.
    pub line: usize,
    /// Its sentence, without id and mark, on one line.
    pub sentence: String,
    /// Why nothing can cover it, if it says so.
    pub untestable: Option<String>,
}

/// All requirements, in order; what breaks their form goes to `findings`.
pub(super) fn requirements(chapters: &[Text], findings: &mut Vec<String>) -> Vec<Requirement> {
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for chapter in chapters {
        for (line, paragraph) in paragraphs(&chapter.content) {
            let place = format!("{}:{line}", chapter.path);
            let Some(found) = requirement(chapter, line, &paragraph) else {
                check_explanation(&place, &paragraph, findings);
                continue;
            };
            if paragraph.matches("**[").count() > 1 {
                findings.push(format!("{place}: an id that does not begin its paragraph"));
            }
            if paragraph.contains("*(Untestable") && found.untestable.is_none() {
                findings.push(format!("{place}: not of the form *(Untestable: reason)*"));
            }
            if !seen.insert(found.id.clone()) {
                findings.push(format!("{place}: {} is there twice", found.id));
            }
            all.push(found);
        }
    }
    all
}

/// References in text and comments to requirements that do not exist, and requirements made by the schema's comments.
pub(super) fn check_references(
    sources: &Sources,
    ids: &BTreeSet<&str>,
    findings: &mut Vec<String>,
) {
    let areas: BTreeSet<&str> = ids.iter().filter_map(|id| id.split('-').next()).collect();
    let dangling = |text: &str| -> Option<String> {
        let of_ours = |word: &&str| is_id(word) && areas.contains(&word[..word.len() - 4]);
        words(text).filter(of_ours).find(|word| !ids.contains(word)).map(str::to_owned)
    };
    for text in sources.chapters.iter().chain(&sources.schema).chain(&sources.rust) {
        let is_rust = text.path.ends_with(".rs");
        for (line, content) in (1..).zip(text.content.lines()) {
            // In Rust only comments refer; `// cites:` is judged as a citation.
            let comment = content.split_once("//").map(|(_, comment)| comment);
            let read = if is_rust { comment.unwrap_or_default() } else { content };
            if read.trim_start().starts_with("cites:") {
                continue;
            }
            if let Some(id) = dangling(read) {
                findings
                    .push(format!("{}:{line}: refers to {id}, which is no requirement", text.path));
            }
        }
    }
    for text in sources.schema.iter().filter(|text| text.path.ends_with(".proto")) {
        for (line, comment) in comments(&text.content) {
            if has_keyword(&comment) && !words(&comment).any(|word| ids.contains(word)) {
                let place = format!("{}:{line}", text.path);
                findings.push(format!(
                    "{place}: a capital keyword of BCP 14 without the requirement's id"
                ));
            }
        }
    }
}

/// Paragraphs with the number of their first line. Fenced and indented blocks, headings and generated tables are left out.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut open, mut fenced, mut generated) = (false, false, false);
    for (number, line) in (1..).zip(text.lines()) {
        let is_fence = line.starts_with("```");
        fenced ^= is_fence;
        generated = (generated || line.starts_with("<!-- table:")) && !line.starts_with("<!-- end");
        let is_text = !line.trim().is_empty() && !line.starts_with(['#', '<']);
        if fenced || is_fence || generated || !is_text || (!open && line.starts_with("    ")) {
            open = false;
        } else if open {
            if let Some((_, paragraph)) = found.last_mut() {
                paragraph.push(' ');
                paragraph.push_str(line.trim());
            }
        } else {
            found.push((number, line.trim().to_owned()));
            open = true;
        }
    }
    found
}

/// Blocks of `//` comments, with the number of their first line.
fn comments(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        match (line.trim().strip_prefix("//"), found.last_mut()) {
            (Some(comment), Some((_, block))) if open => block.push_str(comment),
            (Some(comment), _) => found.push((number, comment.to_owned())),
            (None, _) => {}
        }
        open = line.trim().starts_with("//");
    }
    found
}

fn requirement(chapter: &Text, line: usize, paragraph: &str) -> Option<Requirement> {
    let (id, text) = paragraph.strip_prefix("**[")?.split_once("]** ")?;
    if !is_id(id) {
        return None;
    }
    let (sentence, untestable) = match text.split_once("*(Untestable") {
        None => (text, None),
        Some((sentence, mark)) => (sentence, reason(mark)),
    };
    Some(Requirement {
        id: id.to_owned(),
        chapter: chapter.path.clone(),
        line,
        sentence: sentence.trim().to_owned(),
        untestable,
    })
}

/// The reason in what follows `*(Untestable`: `: reason)*`, or ` by a script: reason)*`.
fn reason(mark: &str) -> Option<String> {
    let reason = mark.strip_suffix(")*")?.trim_start_matches(':').trim();
    (!reason.is_empty()).then(|| reason.to_owned())
}

fn check_explanation(place: &str, paragraph: &str, findings: &mut Vec<String>) {
    if paragraph.contains("**[") {
        findings
            .push(format!("{place}: an id that does not begin its paragraph, or has no sentence"));
    // The paragraph that says what the words mean has to name them.
    } else if has_keyword(paragraph) && !paragraph.contains("BCP 14") {
        findings.push(format!("{place}: a capital keyword of BCP 14 outside a requirement"));
    }
}

fn has_keyword(text: &str) -> bool {
    words(text).any(|word| KEYWORDS.contains(&word))
}
