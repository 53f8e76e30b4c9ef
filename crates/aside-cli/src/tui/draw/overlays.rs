//! What lies over the rest: help, the search for a room, the change of the password.

use aside_client::{Entry, Pin, What, display::neutralise_line};
use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Clear},
};

use super::{cursor, lines, put};
use crate::tui::{
    composer::Composer,
    help,
    state::{Overlay, Passwords, State},
    text::{fit, width, wrap},
    update::found,
};

/// Columns of the help's text, and of what is typed in it.
const HELP: u16 = 74;
const TYPED: usize = 24;
/// Rooms that the search shows.
const FOUND: u16 = 10;

pub(super) fn draw(state: &State, overlay: &Overlay, frame: &mut Frame<'_>) {
    match overlay {
        Overlay::Help { from } => help(state, *from, frame),
        Overlay::Switcher { query, at } => switcher(state, query, *at, frame),
        Overlay::Pins { at } => pins(state, *at, frame),
        Overlay::Password(passwords) => password(state, passwords, frame),
    }
}

/// An empty box in the middle; gives what is inside.
fn window(state: &State, frame: &mut Frame<'_>, columns: u16, rows: u16, title: &str) -> Rect {
    let whole = frame.area();
    let (width, height) = ((columns + 4).min(whole.width), (rows + 2).min(whole.height));
    let area = Rect { x: (whole.width - width) / 2, y: (whole.height - height) / 2, width, height };
    frame.render_widget(Clear, area);
    if width < 8 || height < 3 {
        return area;
    }
    let block = Block::bordered().title(format!(" {title} ")).border_style(state.theme.dim);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    Rect { x: inner.x + 1, width: inner.width - 2, ..inner }
}

fn help(state: &State, from: usize, frame: &mut Frame<'_>) {
    let text = help::lines();
    let rows = u16::try_from(text.len()).unwrap_or(u16::MAX - 2);
    let area = window(state, frame, HELP, rows, "Help: Up and Down scroll, any other key closes");
    let theme = &state.theme;
    // Where there is no room for two columns, the text stands below what is typed.
    let narrow = usize::from(area.width) < TYPED * 2;
    let mut shown = Vec::new();
    for line in text.into_iter().skip(from).take(usize::from(area.height)) {
        let (typed, does) = match line {
            help::Line::Heading(heading) => {
                shown.push(Line::styled(heading, theme.news));
                continue;
            }
            help::Line::Empty => {
                shown.push(Line::default());
                continue;
            }
            help::Line::Item(typed, does) => (typed, does),
        };
        let (typed, indent) = match narrow {
            true => (format!("{typed}\n  "), 2),
            false => (format!("{typed:<TYPED$} "), TYPED + 1),
        };
        let runs = [(typed, theme.strong), (does.to_owned(), Style::default())];
        shown.extend(wrap(&runs, usize::from(area.width), indent));
    }
    lines(frame, area, shown);
}

fn switcher(state: &State, query: &Composer, at: usize, frame: &mut Frame<'_>) {
    let area = window(state, frame, 40, FOUND + 1, "Go to room");
    let columns = usize::from(area.width);
    let words = format!("> {}", query.text());
    let column = u16::try_from(width(&words)).unwrap_or(0);
    put(frame, Rect { height: area.height.min(1), ..area }, Line::from(words));
    cursor(frame, Position::new(area.x + column.min(area.width.saturating_sub(1)), area.y));
    let rows = usize::from(area.height.saturating_sub(1));
    let first = (at + 1).saturating_sub(rows);
    let room = |(number, conversation)| {
        let room = state.rooms.get(&conversation)?;
        let unread = match room.unread.filter(|unread| *unread > 0) {
            Some(unread) => format!("  {unread}"),
            None => String::new(),
        };
        let joined = match (room.joined, room.invited) {
            (true, _) => "",
            (false, true) => "  (you are invited)",
            (false, false) => "  (not joined)",
        };
        let name = format!("{}{unread}{joined}", room.place());
        let line = Line::from(fit(&name, columns).into_owned());
        Some(if number == at { line.style(state.theme.chosen) } else { line })
    };
    let found = found(state, query.text()).into_iter().enumerate().skip(first).take(rows);
    let below =
        Rect { y: area.y + area.height.min(1), height: area.height.saturating_sub(1), ..area };
    lines(frame, below, found.filter_map(room).collect());
}

/// What is pinned: each in a line, with its number.
fn pins(state: &State, at: usize, frame: &mut Frame<'_>) {
    let pins = state.room().map_or(&[][..], |room| &room.pins);
    let rows = u16::try_from(pins.len()).unwrap_or(FOUND).clamp(1, FOUND);
    let area = window(state, frame, HELP, rows, "Pinned: Enter goes to it, Esc closes");
    let (columns, rows) = (usize::from(area.width), usize::from(area.height));
    if pins.is_empty() {
        let words = Line::styled("looking for what is pinned\u{2026}", state.theme.dim);
        return lines(frame, area, vec![words]);
    }
    let first = (at + 1).saturating_sub(rows);
    let line = |(number, pin): (usize, &Pin)| {
        let text = match &pin.message {
            Some(Entry { by, what: What::Message { text: Some(text), .. }, .. }) => {
                let by = by.as_ref().map_or(String::new(), ToString::to_string);
                format!("[{}] {by}: {text}", pin.seq)
            }
            _ => format!("[{}] a message that is not at hand", pin.seq),
        };
        let line = Line::from(fit(&neutralise_line(&text), columns).into_owned());
        if number == at { line.style(state.theme.chosen) } else { line }
    };
    let shown = pins.iter().enumerate().skip(first).take(rows);
    lines(frame, area, shown.map(line).collect());
}

fn password(state: &State, passwords: &Passwords, frame: &mut Frame<'_>) {
    const LABELS: [&str; 3] = ["Password so far", "New password", "The same again"];
    let area = window(state, frame, 46, 5, "Change the password");
    let mut shown = Vec::new();
    for (at, label) in LABELS.into_iter().enumerate() {
        let stars = "*".repeat(passwords.fields[at].chars().count().min(24));
        if at == passwords.at {
            let column = u16::try_from(17 + stars.len()).unwrap_or(0);
            let row = area.y + u16::try_from(at).unwrap_or(0);
            cursor(frame, Position::new(area.x + column.min(area.width.saturating_sub(1)), row));
        }
        shown.push(Line::from(vec![
            Span::styled(format!("{label:<16} "), state.theme.strong),
            Span::raw(stars),
        ]));
    }
    shown.push(Line::default());
    shown.push(Line::styled("Your other devices are revoked. Esc cancels.", state.theme.dim));
    lines(frame, area, shown);
}
