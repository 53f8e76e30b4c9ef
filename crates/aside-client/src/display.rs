//! Showing what others wrote without letting it act: names and texts may carry characters that move the cursor, clear the
//! screen or turn the reading direction around (MSG-010).

use std::borrow::Cow;

/// What stands for a character that is not shown.
const REPLACEMENT: char = '\u{fffd}';

/// Text as it may be displayed over several lines: control characters but line feed and tab, and bidirectional formatting
/// characters, are replaced by U+FFFD.
///
/// ```
/// use aside_client::display::neutralise;
///
/// assert_eq!(neutralise("plain\ttext\n"), "plain\ttext\n");
/// assert_eq!(neutralise("\x1b[2Jboo"), "\u{fffd}[2Jboo");
/// ```
#[must_use]
pub fn neutralise(text: &str) -> Cow<'_, str> {
    replace(text, |c| is_active(c) && !matches!(c, '\n' | '\t'))
}

/// As [`neutralise`], for what must stay on one line, such as a name: line feed and tab are replaced too.
#[must_use]
pub fn neutralise_line(text: &str) -> Cow<'_, str> {
    replace(text, is_active)
}

fn replace(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.contains(&hidden) {
        text.chars().map(|c| if hidden(c) { REPLACEMENT } else { c }).collect()
    } else {
        Cow::Borrowed(text)
    }
}

/// Cc, and the bidirectional formatting characters.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // cites: MSG-010
    #[test]
    fn what_acts_is_replaced_and_what_is_read_stays() {
        let active = (0..=0x1f_u32)
            .chain(0x7f..=0x9f)
            .chain([0x061c, 0x200e, 0x200f])
            .chain(0x202a..=0x202e)
            .chain(0x2066..=0x2069)
            .filter_map(char::from_u32);
        for c in active.filter(|c| !matches!(c, '\n' | '\t')) {
            assert_eq!(neutralise(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        for text in
            ["line\none\ttab", "Grüße, \u{5e9}\u{5dc}\u{5d5}\u{5dd} 👩\u{200d}👧", "e\u{301}"]
        {
            assert_eq!(neutralise(text), text);
        }
        assert_eq!(neutralise_line("two\nlines\t"), "two\u{fffd}lines\u{fffd}");
    }

    proptest! {
        // cites: MSG-010
        #[test]
        fn nothing_active_is_left(text in any::<String>()) {
            prop_assert!(!neutralise(&text).chars().any(|c| is_active(c) && c != '\n' && c != '\t'));
            prop_assert!(!neutralise_line(&text).chars().any(is_active));
            prop_assert_eq!(neutralise(&text).chars().count(), text.chars().count());
        }
    }
}
