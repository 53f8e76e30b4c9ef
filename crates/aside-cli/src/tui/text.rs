//! Text as a terminal shows it: graphemes, the columns they take, and lines of at most so many columns.

use std::borrow::Cow;

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// What a tab is shown as.
const TAB: &str = "    ";

/// The columns that a text without line feeds takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// What is shown for a grapheme.
pub(super) fn shown(grapheme: &str) -> &str {
    if grapheme == "\t" { TAB } else { grapheme }
}

/// As much of a text's beginning as fits; an ellipsis says that there is more.
pub(super) fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut fitted = String::new();
    let mut taken = 0;
    for grapheme in text.graphemes(true) {
        taken += width(grapheme);
        if taken >= columns {
            break;
        }
        fitted.push_str(grapheme);
    }
    if columns > 0 {
        fitted.push('\u{2026}');
    }
    Cow::Owned(fitted)
}

/// A run of text in one style, which may hold line feeds.
pub(super) type Run = (String, Style);

/// Breaks runs into lines of at most `columns`, between words where that is possible. Lines after the first begin with
/// `indent` columns of nothing, so that no text looks like the beginning of another.
pub(super) fn wrap(runs: &[Run], columns: usize, indent: usize) -> Vec<Line<'static>> {
    // Where there is no room for an indent and a little text, the text has it all.
    let indent = if indent + 8 <= columns { indent } else { 0 };
    let mut wrapper = Wrapper::new(columns.max(1), indent);
    for (text, style) in runs {
        for grapheme in text.graphemes(true) {
            match grapheme {
                "\n" | "\r\n" => wrapper.end_line(),
                _ => wrapper.push(shown(grapheme), *style),
            }
        }
    }
    wrapper.end_line();
    wrapper.lines
}

struct Cell<'a> {
    text: &'a str,
    style: Style,
    columns: usize,
}

struct Wrapper<'a> {
    columns: usize,
    indent: usize,
    lines: Vec<Line<'static>>,
    line: Vec<Cell<'a>>,
    /// The columns taken by the line so far, its indent with it.
    taken: usize,
    /// The cell after the last space: where the line may be broken.
    after_space: Option<usize>,
}

impl<'a> Wrapper<'a> {
    fn new(columns: usize, indent: usize) -> Self {
        Self { columns, indent, lines: vec![], line: vec![], taken: 0, after_space: None }
    }

    fn push(&mut self, text: &'a str, style: Style) {
        self.push_cell(Cell { text, style, columns: width(text) });
    }

    fn push_cell(&mut self, cell: Cell<'a>) {
        let (text, columns) = (cell.text, cell.columns);
        if self.taken + columns > self.columns && !self.line.is_empty() {
            if text == " " {
                // The space at a line's end is not carried over.
                self.end_line();
                return;
            }
            self.break_line();
            // What was carried over may leave no room either.
            if self.taken + columns > self.columns && !self.line.is_empty() {
                self.end_line();
            }
        }
        self.line.push(cell);
        self.taken += columns;
        if text == " " {
            self.after_space = Some(self.line.len());
        }
    }

    /// Ends the line at its last space, and takes what comes after that to the next.
    fn break_line(&mut self) {
        let rest = match self.after_space {
            Some(at) => self.line.split_off(at),
            None => Vec::new(),
        };
        self.end_line();
        // There is less room behind the indent: a long word may have to be broken all the same.
        rest.into_iter().for_each(|cell| self.push_cell(cell));
    }

    fn end_line(&mut self) {
        let mut spans: Vec<Span<'static>> = Vec::new();
        if self.indent > 0 && !self.lines.is_empty() {
            spans.push(Span::raw(" ".repeat(self.indent)));
        }
        let (mut run, mut style) = (String::new(), Style::default());
        for cell in self.line.drain(..) {
            if cell.style != style && !run.is_empty() {
                spans.push(Span::styled(std::mem::take(&mut run), style));
            }
            style = cell.style;
            run.push_str(cell.text);
        }
        if !run.is_empty() {
            spans.push(Span::styled(run, style));
        }
        self.lines.push(Line::from(spans));
        self.taken = self.indent;
        self.after_space = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrapped(text: &str, columns: usize, indent: usize) -> Vec<String> {
        let lines = wrap(&[(text.to_owned(), Style::default())], columns, indent);
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lines_break_between_words_and_long_words_within() {
        assert_eq!(wrapped("one two three", 9, 0), ["one two ", "three"]);
        assert_eq!(wrapped("one two three", 7, 0), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij", 4, 0), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("a\nb\n", 4, 0), ["a", "b", ""]);
        assert_eq!(wrapped("12345678 90 12", 12, 3), ["12345678 90 ", "   12"]);
        assert_eq!(wrapped("1 2345678901", 12, 4), ["1 2345678901"]);
        assert_eq!(wrapped("1 23456789012", 12, 4), ["1 ", "    23456789", "    012"]);
        assert_eq!(wrapped("1234 5678", 4, 3), ["1234", "5678"], "no room for an indent");
    }

    #[test]
    fn what_is_wide_takes_two_columns() {
        assert_eq!(wrapped("漢字漢字", 5, 0), ["漢字", "漢字"]);
        assert_eq!(wrapped(" abc字", 4, 0), [" ", "abc", "字"]);
        assert_eq!(width("👩\u{200d}👧"), 2);
        assert_eq!(fit("漢字漢字", 5), "漢字…");
        assert_eq!(fit("漢字漢字", 8), "漢字漢字");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(wrapped("e\u{301}e\u{301}e\u{301}", 2, 0), ["e\u{301}e\u{301}", "e\u{301}"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_line_is_too_long(text in "\\PC*", columns in 2_usize..30, indent in 0_usize..6) {
            let lines = wrapped(&text, columns, indent);
            for line in &lines {
                prop_assert!(width(line) <= columns || line.graphemes(true).count() == 1, "{line:?}");
            }
            let all = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(all(&lines.concat()), all(&text));
        }
    }
}
