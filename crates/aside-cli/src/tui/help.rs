//! What F1 shows: every key and every command.

use crate::chat::command::HELP;

/// The keys and what they do.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("Enter", "send, or do a /command"),
    ("Alt-Enter, Ctrl-J", "a new line"),
    ("Tab", "complete a command, a room or a handle"),
    ("Up, Down", "another line; what was sent before"),
    ("Left, Right, Home, End", "move; Ctrl-Left and Ctrl-Right by words"),
    ("Ctrl-W, Ctrl-U", "cut the word, the line before the cursor"),
    ("Alt-D, Ctrl-Y", "cut the word after it; put back what was cut"),
    ("PageUp, PageDown", "scroll; Shift-Up and Shift-Down by a line"),
    ("Ctrl-Home, Ctrl-End", "to the oldest that is here, to the newest"),
    ("Ctrl-Up, or a click", "choose a message; then Up and Down others, and"),
    ("  r  e  d  p", "answer, edit, delete, pin it or take the pin off"),
    ("  +  -  Esc", "react, take that back; let it be"),
    ("F4", "what is pinned here; Enter goes to it"),
    ("Ctrl-K", "go to a room by a part of its name"),
    ("Ctrl-P, Ctrl-N", "the room before, after (Alt-Up, Alt-Down too)"),
    ("Alt-1 to Alt-9", "a room by its place in the list"),
    ("Alt-A", "the next room with something unread"),
    ("F2, F3", "show or hide the rooms, the members"),
    ("Esc", "put a warning away; to the newest"),
    ("Ctrl-L", "draw the screen anew"),
    ("F1, or ? at the start", "show this"),
    ("Ctrl-C, Ctrl-D", "end (Ctrl-C first takes back what is written)"),
];

/// What a line of help is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Heading(&'static str),
    /// What is typed, and what it does.
    Item(&'static str, &'static str),
    Empty,
}

/// The whole text.
pub(super) fn lines() -> Vec<Line> {
    let commands = HELP.lines().map(|line| match line.split_once("  ") {
        Some((command, does)) => Line::Item(command, does.trim_start()),
        None => Line::Item(line, ""),
    });
    let keys = KEYS.iter().map(|(keys, does)| Line::Item(keys, does));
    let marks = [
        Line::Item("queued", "kept here, to be sent when the server is back"),
        Line::Item("\u{2713}", "durable at the server"),
        Line::Item("\u{2713}\u{2713}", "it has reached a device of somebody else"),
        Line::Item("\u{2713}\u{2713} read", "it was shown to somebody else"),
        Line::Item("(pinned)", "of any message: the room's owner has pinned it"),
        Line::Item(
            "\u{1f512}name",
            "a private conversation: its members alone can read it, not the server",
        ),
        Line::Item("!room", "in the list of rooms: you are invited; a click, or /join, goes there"),
    ];
    let mut lines = vec![Line::Heading("Keys")];
    lines.extend(keys);
    lines.extend([Line::Empty, Line::Heading("Commands")]);
    lines.extend(commands);
    lines.extend([Line::Empty, Line::Heading("Marks of your own messages, and others")]);
    lines.extend(marks);
    lines
}
