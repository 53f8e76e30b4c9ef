//! SQL of varying length, from few texts: a list of values is cut or padded to one of a few lengths, so that every
//! statement is prepared once.

use std::sync::{Arc, OnceLock};

use sqlx::AssertSqlSafe;

/// The lengths that lists come in. The cost of a statement is that of about three rows: hence steps of four.
const LENGTHS: [usize; 5] = [1, 4, 16, 64, 256];
/// The greatest of them.
pub(crate) const MAX_LENGTH: usize = LENGTHS[LENGTHS.len() - 1];

/// A statement with a list in it.
pub(crate) struct Listing {
    text: fn(usize) -> String,
    texts: [OnceLock<Arc<str>>; LENGTHS.len()],
}

impl Listing {
    /// `text` makes the statement for a list of so many values.
    pub(crate) const fn new(text: fn(usize) -> String) -> Self {
        Self { text, texts: [const { OnceLock::new() }; LENGTHS.len()] }
    }

    /// The statement for at least `count` values (at most [`MAX_LENGTH`]), and how many it takes: pad with NULL.
    pub(crate) fn at_least(&self, count: usize) -> (AssertSqlSafe<Arc<str>>, usize) {
        let step = LENGTHS.iter().position(|&length| length >= count).unwrap_or(LENGTHS.len() - 1);
        self.step(step)
    }

    /// The statement for at most `count` values (at least 1), and how many it takes: ask again for the rest.
    pub(crate) fn at_most(&self, count: usize) -> (AssertSqlSafe<Arc<str>>, usize) {
        let step = LENGTHS.iter().rposition(|&length| length <= count).unwrap_or(0);
        self.step(step)
    }

    fn step(&self, step: usize) -> (AssertSqlSafe<Arc<str>>, usize) {
        let text = self.texts[step].get_or_init(|| (self.text)(LENGTHS[step]).into());
        // Made of literals of this crate and of numbers, never of values.
        (AssertSqlSafe(Arc::clone(text)), LENGTHS[step])
    }
}

/// `?, ?, …`
pub(crate) fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// `(?, ?), (?, ?), …`: rows of placeholders.
pub(crate) fn rows(count: usize, width: usize) -> String {
    let row = format!("({})", placeholders(width));
    vec![row; count].join(", ")
}

/// `(0, ?, ?), (1, ?, ?), …`: rows of placeholders, numbered from 0.
pub(crate) fn numbered_rows(count: usize, width: usize) -> String {
    let row = placeholders(width);
    let rows: Vec<_> = (0..count).map(|number| format!("({number}, {row})")).collect();
    rows.join(", ")
}
