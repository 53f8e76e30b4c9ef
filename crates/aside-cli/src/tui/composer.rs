//! Where a message is written: several lines, with the editing keys of a shell, and what was sent before.

use std::collections::VecDeque;

use aside_client::display::neutralise_line;
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation as _};

use super::text::{shown, width};

/// Bytes that may be written or pasted: more than any server takes.
pub(super) const MAX_TEXT: usize = 256 * 1024;
/// Texts that are remembered.
const MAX_HISTORY: usize = 200;

/// A text that is being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Composer {
    text: String,
    /// Where the cursor stands, in bytes: always between graphemes.
    cursor: usize,
    /// What was cut last.
    cut: String,
}

/// Where to move, and up to where to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Left,
    Right,
    WordLeft,
    WordRight,
    LineStart,
    LineEnd,
}

/// A text on the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) lines: Vec<String>,
    /// The cursor's line and column.
    pub(super) cursor: (usize, usize),
}

impl Composer {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Puts another text there, the cursor at its end.
    pub(super) fn set(&mut self, text: String) {
        self.text = harmless(&text);
        self.cursor = self.text.len();
    }

    /// Takes the text away.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Puts text before the cursor; `false` if there is no room for it.
    pub(super) fn insert(&mut self, text: &str) -> bool {
        let text = harmless(text);
        if self.text.len() + text.len() > MAX_TEXT {
            return false;
        }
        self.text.insert_str(self.cursor, &text);
        // What was put in may have become one grapheme with what stood around it.
        self.cursor = self.boundary(self.cursor + text.len());
        true
    }

    pub(super) fn go(&mut self, to: To) {
        self.cursor = self.place(to);
    }

    /// Deletes from the cursor to there.
    pub(super) fn delete(&mut self, to: To) {
        let place = self.place(to);
        let (from, until) = (self.cursor.min(place), self.cursor.max(place));
        let gone: String = self.text.drain(from..until).collect();
        if !matches!(to, To::Left | To::Right) && !gone.is_empty() {
            self.cut = gone;
        }
        self.cursor = self.boundary(from);
    }

    /// Puts back what was cut last.
    pub(super) fn put_back(&mut self) {
        let cut = self.cut.clone();
        self.insert(&cut);
    }

    /// Moves a line up or down; `false` if there is none.
    pub(super) fn go_line(&mut self, down: bool) -> bool {
        let start = self.place(To::LineStart);
        let column = self.text[start..self.cursor].graphemes(true).count();
        let target = if down {
            let end = self.place(To::LineEnd);
            if end == self.text.len() {
                return false;
            }
            end + 1
        } else {
            if start == 0 {
                return false;
            }
            self.text[..start - 1].rfind('\n').map_or(0, |at| at + 1)
        };
        let line = self.text[target..].split('\n').next().unwrap_or_default();
        let along: usize = line.graphemes(true).take(column).map(str::len).sum();
        self.cursor = target + along;
        true
    }

    /// The word before the cursor, for completion, and where it starts.
    pub(super) fn word(&self) -> (usize, &str) {
        let before = &self.text[..self.cursor];
        let start = before
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        (start, &before[start..])
    }

    /// Puts something else in the place of what stands between `start` and the cursor.
    pub(super) fn replace_from(&mut self, start: usize, text: &str) {
        self.text.replace_range(start..self.cursor, text);
        self.cursor = self.boundary(start + text.len());
    }

    /// The text in lines of at most `columns`, and where the cursor is in it.
    pub(super) fn shown(&self, columns: usize) -> Shown {
        // A column is left for the cursor.
        let columns = columns.saturating_sub(1).max(1);
        let mut lines = vec![String::new()];
        let (mut taken, mut cursor, mut at) = (0, (0, 0), 0);
        for grapheme in self.text.graphemes(true) {
            let piece = if grapheme == "\n" { "" } else { shown(grapheme) };
            let piece = neutralise_line(piece);
            if taken + width(&piece) > columns && taken > 0 {
                lines.push(String::new());
                taken = 0;
            }
            if at == self.cursor {
                cursor = (lines.len() - 1, taken);
            }
            if grapheme == "\n" {
                lines.push(String::new());
                taken = 0;
            } else if let Some(line) = lines.last_mut() {
                line.push_str(&piece);
                taken += width(&piece);
            }
            at += grapheme.len();
        }
        if at == self.cursor {
            cursor = (lines.len() - 1, taken);
        }
        Shown { lines, cursor }
    }

    fn place(&self, to: To) -> usize {
        let (before, after) = self.text.split_at(self.cursor);
        match to {
            To::Left => before.grapheme_indices(true).next_back().map_or(0, |(at, _)| at),
            To::Right => self.cursor + after.graphemes(true).next().map_or(0, str::len),
            To::WordLeft => {
                let word = before.trim_end();
                word.rfind(char::is_whitespace)
                    .map_or(0, |at| at + word[at..].chars().next().map_or(1, char::len_utf8))
            }
            To::WordRight => {
                let word = after.trim_start();
                let end = word.find(char::is_whitespace).unwrap_or(word.len());
                self.cursor + (after.len() - word.len()) + end
            }
            To::LineStart => before.rfind('\n').map_or(0, |at| at + 1),
            To::LineEnd => self.cursor + after.find('\n').unwrap_or(after.len()),
        }
    }

    /// The first place between graphemes that is not before `at`.
    fn boundary(&self, at: usize) -> usize {
        let mut cursor = GraphemeCursor::new(at, self.text.len(), true);
        match cursor.is_boundary(&self.text, 0) {
            Ok(false) => cursor.next_boundary(&self.text, 0).ok().flatten().unwrap_or(at),
            _ => at,
        }
    }
}

/// Line ends of other systems become line feeds; other control characters, which a terminal would act on, are left out.
fn harmless(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

/// What was sent, oldest first.
#[derive(Debug, Default)]
pub(super) struct Sent {
    texts: VecDeque<String>,
    /// Which one is in the composer, and what was written there before.
    at: Option<(usize, String)>,
}

impl Sent {
    pub(super) fn push(&mut self, text: String) {
        self.at = None;
        if text.is_empty() || self.texts.back() == Some(&text) {
            return;
        }
        if self.texts.len() == MAX_HISTORY {
            self.texts.pop_front();
        }
        self.texts.push_back(text);
    }

    /// Puts the one before into the composer.
    pub(super) fn earlier(&mut self, composer: &mut Composer) {
        let (at, draft) = match self.at.take() {
            Some((at, draft)) => (at, draft),
            None => (self.texts.len(), composer.text().to_owned()),
        };
        let at = at.saturating_sub(1);
        if let Some(text) = self.texts.get(at) {
            composer.set(text.clone());
            self.at = Some((at, draft));
        }
    }

    /// Puts the one after into the composer, or what was written there before.
    pub(super) fn later(&mut self, composer: &mut Composer) {
        let Some((at, draft)) = self.at.take() else { return };
        match self.texts.get(at + 1) {
            Some(text) => {
                composer.set(text.clone());
                self.at = Some((at + 1, draft));
            }
            None => composer.set(draft),
        }
    }

    /// The composer holds something else now.
    pub(super) fn leave(&mut self) {
        self.at = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn composer(text: &str) -> Composer {
        let mut composer = Composer::default();
        composer.set(text.to_owned());
        composer
    }

    #[test]
    fn keys_edit_graphemes_words_and_lines() {
        let mut it = composer("one two\nthree e\u{301}");
        it.delete(To::Left);
        assert_eq!(it.text(), "one two\nthree ", "an accent goes with its letter");
        it.delete(To::WordLeft);
        assert_eq!(it.text(), "one two\n");
        assert!(it.go_line(false) && !it.go_line(false));
        it.go(To::LineEnd);
        it.go(To::WordLeft);
        it.delete(To::LineStart);
        assert_eq!(it.text(), "two\n");
        it.go(To::WordRight);
        it.put_back();
        assert_eq!(it.text(), "twoone \n");
        it.go(To::Right);
        it.delete(To::Right);
        assert_eq!(it.text(), "twoone \n", "nothing after the end");
    }

    #[test]
    fn what_is_pasted_can_not_act() {
        let mut it = composer("");
        assert!(it.insert("a\r\nb\rc\x1b[2J\td"));
        assert_eq!(it.text(), "a\nb\nc[2J\td");
        assert!(!it.insert(&"x".repeat(MAX_TEXT)));
        assert_eq!(it.text(), "a\nb\nc[2J\td");
    }

    #[test]
    fn the_cursor_is_shown_where_it_is() {
        let mut it = composer("漢字漢字");
        let lines = vec!["漢字".to_owned(), "漢字".to_owned()];
        assert_eq!(it.shown(6), Shown { lines, cursor: (1, 4) });
        it.go(To::Left);
        it.go(To::Left);
        assert_eq!(it.shown(6).cursor, (1, 0));
        assert_eq!(composer("a\n").shown(6).cursor, (1, 0));
        assert_eq!(composer("").shown(0), Shown { lines: vec![String::new()], cursor: (0, 0) });
    }

    #[test]
    fn what_was_sent_comes_back_and_so_does_the_draft() {
        let (mut sent, mut it) = (Sent::default(), composer("draft"));
        sent.earlier(&mut it);
        assert_eq!(it.text(), "draft", "nothing was sent");
        for text in ["one", "two", "two"] {
            sent.push(text.to_owned());
        }
        for expected in ["two", "one", "one"] {
            sent.earlier(&mut it);
            assert_eq!(it.text(), expected);
        }
        for expected in ["two", "draft", "draft"] {
            sent.later(&mut it);
            assert_eq!(it.text(), expected);
        }
    }

    proptest! {
        #[test]
        fn no_sequence_of_keys_breaks_it(text in any::<String>(), keys in proptest::collection::vec(0..12_u8, 0..60), columns in 0_usize..20) {
            let mut it = Composer::default();
            it.insert(&text);
            for key in keys {
                let to = [To::Left, To::Right, To::WordLeft, To::WordRight, To::LineStart, To::LineEnd][usize::from(key % 6)];
                match key {
                    0..6 => it.go(to),
                    6..9 => it.delete(to),
                    9 => drop(it.go_line(true)),
                    10 => drop(it.go_line(false)),
                    _ => it.put_back(),
                }
                let shown = it.shown(columns);
                prop_assert!(shown.cursor.0 < shown.lines.len());
                prop_assert!(it.text.is_char_boundary(it.cursor));
            }
        }
    }
}
