//! Queries: words, phrases and beginnings of words, all of which must occur (SEARCH-003 to SEARCH-005).

use aside_proto::limits::MAX_QUERY_WORDS;

use crate::error::Refused;

/// A query, without any database's syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query(Vec<Term>);

/// Words that follow each other. The last may be the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Term {
    /// Whatever else is between the words separates them, as it does in texts.
    pub(crate) words: String,
    /// Whether the last word stands for all that begin with it.
    pub(crate) is_prefix: bool,
}

impl Query {
    /// Reads what a user typed. There is no wrong syntax; but there must be a word, and no more than may be.
    pub(crate) fn parse(text: &str) -> Result<Self, Refused> {
        if count_words(text) > MAX_QUERY_WORDS {
            return Err(Refused::QueryTooLong);
        }
        let mut terms = Vec::new();
        let mut rest = text;
        while let Some((term, after)) = next_term(rest) {
            // A term without a word says nothing.
            if term.words.contains(char::is_alphanumeric) {
                terms.push(term);
            }
            rest = after;
        }
        if terms.is_empty() { Err(Refused::QueryEmpty) } else { Ok(Self(terms)) }
    }

    pub(crate) fn terms(&self) -> &[Term] {
        &self.0
    }
}

/// The term that a query begins with, and what follows it.
fn next_term(text: &str) -> Option<(Term, &str)> {
    let text = text.trim_start();
    let (words, after) = match text.strip_prefix('"') {
        // A quotation that is not ended goes to the end.
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => {
            let end = text.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(text.len());
            text.split_at(end)
        }
    };
    if text.is_empty() {
        return None;
    }
    let (words, is_prefix, after) = match (words.strip_suffix('*'), after.strip_prefix('*')) {
        // The star of a phrase stands behind it.
        (_, Some(after)) if text.starts_with('"') => (words, true, after),
        (Some(words), _) if !text.starts_with('"') => (words, true, after),
        _ => (words, false, after),
    };
    // A star means something at the end of a word alone, whose last letter may have marks.
    let is_prefix = is_prefix && words.trim_end_matches(is_mark).ends_with(char::is_alphanumeric);
    Some((Term { words: words.to_owned(), is_prefix }, after))
}

fn count_words(text: &str) -> usize {
    let belongs = |c: char| c.is_alphanumeric() || is_mark(c);
    text.split(|c| !belongs(c)).filter(|word| word.contains(char::is_alphanumeric)).count()
}

/// The marks that belong to the letter before them: those that the index, too, takes for no end of a word.
fn is_mark(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Vec<(String, bool)> {
        let terms = Query::parse(text).unwrap().0;
        terms.into_iter().map(|term| (term.words, term.is_prefix)).collect()
    }

    fn exact<const N: usize>(words: [&str; N]) -> Vec<(String, bool)> {
        words.into_iter().map(|words| (words.to_owned(), false)).collect()
    }

    // cites: SEARCH-003, SEARCH-004
    #[test]
    fn words_phrases_and_beginnings_are_told_apart() {
        assert_eq!(parsed("  green\ttea "), exact(["green", "tea"]));
        assert_eq!(parsed("\"green tea\" pot"), exact(["green tea", "pot"]));
        assert_eq!(parsed("a\"b c\"d"), exact(["a", "b c", "d"]));
        assert_eq!(parsed("\"not ended  "), exact(["not ended  "]));
        assert_eq!(parsed("te*"), [("te".to_owned(), true)]);
        assert_eq!(parsed("\"green te\"* x"), [("green te".to_owned(), true), ("x".into(), false)]);
        assert_eq!(parsed("\"te*\""), exact(["te*"]), "a star inside is no star");
        assert_eq!(parsed("te-* *te t*e"), exact(["te-", "*te", "t*e"]));
        let decomposed = "cafe\u{301}";
        assert_eq!(parsed("cafe\u{301}*"), [(decomposed.to_owned(), true)]);
        assert_eq!(parsed("\"the cafe\u{301}\"*"), [("the cafe\u{301}".to_owned(), true)]);
        assert_eq!(parsed("\u{301}* x"), exact(["x"]), "a mark is no word");
    }

    // cites: SEARCH-017
    #[test]
    fn words_are_counted_wherever_they_stand() {
        let sixteen = "a \"b c\" d-e f* \u{e9}\u{301} g\u{301}g h i j k l m n - o";
        assert_eq!(count_words(sixteen), MAX_QUERY_WORDS);
        assert!(Query::parse(sixteen).is_ok());
        let more = format!("{sixteen}-p");
        assert!(matches!(Query::parse(&more), Err(Refused::QueryTooLong)));
    }

    // cites: SEARCH-004
    #[test]
    fn nothing_else_means_anything() {
        assert_eq!(parsed("a AND b"), exact(["a", "AND", "b"]));
        assert_eq!(parsed("NOT (body:x^2) -y"), exact(["NOT", "(body:x^2)", "-y"]));
    }

    // cites: SEARCH-002
    #[test]
    fn a_query_has_a_word() {
        for text in ["", "  ", "*", "\"\"", "\"", "- + ()", "\u{1f375}"] {
            assert!(matches!(Query::parse(text), Err(Refused::QueryEmpty)), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_query_or_empty(text in "[ab\"* \u{e9}\u{1f375}\0-]{0,20}") {
            if let Ok(query) = Query::parse(&text) {
                prop_assert!(query.terms().iter().all(|term| !term.words.contains('"')));
            }
        }
    }
}
