//! The requirements of the specification, as its chapters state them.

use std::{collections::BTreeMap, sync::LazyLock};

use crate::embedded::CHAPTERS;

static SENTENCES: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
    CHAPTERS.iter().flat_map(|(_, text)| text.lines().filter_map(requirement)).collect()
});

/// A line such as `**[FRAME-002]** A server MUST …`.
fn requirement(line: &'static str) -> Option<(String, &'static str)> {
    let (id, sentence) = line.strip_prefix("**[")?.split_once("]**")?;
    Some((id.to_owned(), sentence.trim()))
}

/// The sentence of a requirement.
pub(crate) fn sentence(id: &str) -> Option<&'static str> {
    SENTENCES.get(id).copied()
}

#[cfg(test)]
mod tests {
    #[test]
    fn requirements_are_found_with_their_sentences() {
        let sentence = super::sentence("FRAME-002").unwrap();
        assert_eq!(sentence, "A server MUST refuse a frame of length 0 with FRAME_EMPTY.");
        assert!(super::SENTENCES.len() > 150);
    }
}
