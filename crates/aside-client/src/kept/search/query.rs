//! What is looked for: as the index takes it, and as texts are held against it that are in no index.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use crate::Error;

/// Longest query, in bytes.
const MAX_QUERY_BYTES: usize = 256;
/// Most words in one.
const MAX_WORDS: usize = 16;

/// A query with something to look for.
#[derive(Debug)]
pub(super) struct Query {
    /// As FTS5 takes it: each word for itself, the last as the beginning of one.
    pub(super) fts: String,
    /// What has to be in a text, each one word after the other.
    phrases: Vec<Vec<String>>,
    /// Whether the last word of the last may go on.
    is_begun: bool,
}

impl Query {
    /// None if there is nothing to look for.
    ///
    /// # Errors
    /// [`Error::QueryTooLong`].
    pub(super) fn read(query: &str) -> Result<Option<Self>, Error> {
        let words: Vec<_> = query.split_whitespace().collect();
        if query.len() > MAX_QUERY_BYTES || words.len() > MAX_WORDS {
            return Err(Error::QueryTooLong);
        }
        if !query.contains(char::is_alphanumeric) {
            return Ok(None);
        }
        let quoted: Vec<_> =
            words.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
        let mut phrases: Vec<_> = words.into_iter().map(folded).collect();
        let is_begun = phrases.last().is_some_and(|last| !last.is_empty());
        phrases.retain(|phrase| !phrase.is_empty());
        Ok(Some(Self { fts: format!("{} *", quoted.join(" ")), phrases, is_begun }))
    }

    /// Whether a text has all that is looked for: what FTS5 with `unicode61` says, but for scripts whose marks it leaves.
    pub(super) fn is_met_by(&self, text: &str) -> bool {
        let text = folded(text);
        let last = self.phrases.len() - 1;
        self.phrases.iter().enumerate().all(|(at, phrase)| {
            let may_go_on = self.is_begun && at == last;
            text.windows(phrase.len()).any(|words| is_in(phrase, words, may_go_on))
        })
    }
}

fn is_in(phrase: &[String], words: &[String], may_go_on: bool) -> bool {
    match (phrase.split_last(), words.split_last()) {
        (Some((last, before)), Some((word, others))) if may_go_on => {
            before == others && word.starts_with(last.as_str())
        }
        _ => phrase == words,
    }
}

/// The words of a text without case and marks.
fn folded(text: &str) -> Vec<String> {
    let plain: String =
        text.nfd().filter(|it| !is_combining_mark(*it)).flat_map(char::to_lowercase).collect();
    let words = plain.split(|it: char| !it.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fts(query: &str) -> Option<String> {
        Query::read(query).unwrap().map(|query| query.fts)
    }

    #[test]
    fn a_query_is_words_and_nothing_else() {
        assert_eq!(fts("tea AND text:x").as_deref(), Some("\"tea\" \"AND\" \"text:x\" *"));
        assert_eq!(fts("say \"tea\"").as_deref(), Some("\"say\" \"\"\"tea\"\"\" *"));
        assert_eq!(fts("  "), None);
        assert_eq!(fts("*"), None);
        assert!(Query::read(&"x".repeat(257)).is_err());
        assert!(Query::read(&"x ".repeat(17)).is_err());
    }

    const TEXTS: [&str; 6] = [
        "A cup of tea, \"Señor\"",
        "tea and cake",
        "an E-Mail: text:x",
        "SEN\u{303}OR e mail-order",
        "ΣΟΦΟΣ, Привет 42",
        "",
    ];

    const QUERIES: [&str; 18] = [
        "TEA",
        "senor cup",
        "tea ca",
        "te cake",
        "tea\" OR \"cup",
        "e-mail",
        "mail e",
        "e-ma",
        "mail-e",
        "text:x",
        "señor",
        "tea -",
        "- tea",
        "te -",
        "4",
        "привет",
        "cake tea",
        "tea, and",
    ];

    /// Both ways say the same of each text.
    #[tokio::test]
    async fn words_mean_what_they_mean_to_the_index() {
        let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
        let pool = options.connect("sqlite::memory:").await.unwrap();
        let sql = "CREATE VIRTUAL TABLE search USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2')";
        sqlx::raw_sql(sql).execute(&pool).await.unwrap();
        for text in TEXTS {
            let sql = "INSERT INTO search (text) VALUES (?)";
            sqlx::query(sql).bind(text).execute(&pool).await.unwrap();
        }
        let mut met = 0;
        for query in QUERIES {
            let read = Query::read(query).unwrap().unwrap();
            let sql = "SELECT text FROM search WHERE search MATCH ? ORDER BY rowid";
            let indexed: Vec<String> =
                sqlx::query_scalar(sql).bind(&read.fts).fetch_all(&pool).await.unwrap();
            let scanned: Vec<_> = TEXTS.into_iter().filter(|text| read.is_met_by(text)).collect();
            assert_eq!(scanned, indexed, "{query}");
            met += usize::from(!scanned.is_empty());
        }
        assert!(met >= 12, "{met} queries found something");
    }
}
