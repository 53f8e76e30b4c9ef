//! The screen, from the state alone.

mod overlays;
mod panes;

use aside_client::{Kind, display::neutralise_line};
use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
};

use super::{
    layout::{Areas, alert_lines, composed, prompt},
    state::{Link, Room, State},
    text::{fit, width},
    view::View,
};

pub(super) use panes::first_room;

/// Columns that the user's own status may take.
const MAX_STATUS: usize = 20;

/// Draws everything.
pub(super) fn draw(state: &State, frame: &mut Frame<'_>) {
    // The size drawn for is that of the state; what the terminal has by now may be less.
    let areas = Areas::of(state);
    title(state, frame, areas.title);
    panes::rooms(state, frame, areas.rooms);
    timeline(state, frame, areas.timeline);
    panes::members(state, frame, areas.members);
    lines(frame, areas.alert, alert_lines(state, areas.alert.width));
    status(state, frame, areas.status);
    composer(state, frame, areas.composer, areas.prompt);
    if let Some(overlay) = &state.overlay {
        overlays::draw(state, overlay, frame);
    }
}

/// Lines, one below the other, as many as fit.
fn lines(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'static>>) {
    for (line, row) in lines.into_iter().zip(area.rows()) {
        put(frame, row, line);
    }
}

/// A line, as far as it is on the screen.
fn put(frame: &mut Frame<'_>, area: Rect, line: Line<'_>) {
    frame.render_widget(line, area.intersection(frame.area()));
}

/// A bar across: something at its left, and at its right what there is room for.
fn bar(frame: &mut Frame<'_>, area: Rect, style: Style, left: Vec<Span<'_>>, right: &str) {
    let taken: usize = left.iter().map(Span::width).sum();
    let free = usize::from(area.width).saturating_sub(taken);
    let mut line = Line::from(left).style(style);
    if let (Some(last), over @ 1..) =
        (line.spans.last_mut(), taken.saturating_sub(usize::from(area.width)))
    {
        last.content = fit(&last.content, last.width().saturating_sub(over)).into_owned().into();
    }
    put(frame, area, line);
    let columns = width(right) + 1;
    if let Ok(columns) = u16::try_from(columns)
        && usize::from(columns) < free
    {
        let area = Rect { x: area.right() - columns, width: columns, ..area };
        put(frame, area, Line::from(right).style(style));
    }
}

/// The room, and what it is about.
fn title(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = &state.theme;
    let Some(room) = state.room() else {
        let words = vec![Span::styled(" Aside", theme.strong)];
        return bar(frame, area, theme.bar, words, "F1 help");
    };
    let mut left = vec![Span::styled(format!(" {}", room.place()), theme.strong)];
    if let Some(topic) = &room.topic {
        left.push(Span::raw(format!("  {}", neutralise_line(topic))));
    }
    let mut marks = Vec::new();
    if room.tampered {
        marks.push("TAMPERED WITH".to_owned());
    }
    match room.kind {
        Kind::Direct => marks.push("private, of two".to_owned()),
        Kind::Group => marks.push("private group".to_owned()),
        Kind::PublicRoom => {}
    }
    // ROOM-001
    if room.server_readable {
        marks.push("server-readable".to_owned());
    }
    // RET-011
    marks.extend(room.kept.clone());
    marks.push(match room.member_count {
        1 => "1 member".to_owned(),
        count => format!("{count} members"),
    });
    bar(frame, area, theme.bar, left, &marks.join(", "));
}

fn timeline(state: &State, frame: &mut Frame<'_>, area: Rect) {
    if area.is_empty() {
        return;
    }
    let visible = View::new(state, area.width).visible(usize::from(area.height));
    let rows = u16::try_from(visible.rows.len()).unwrap_or(area.height).min(area.height);
    if state.timeline().loading && visible.at_top && rows < area.height {
        let row = Rect { height: 1, ..area };
        put(frame, row, Line::styled("fetching what was said before\u{2026}", state.theme.dim));
    }
    // At the bottom of the area, where the newest are.
    let area = Rect { y: area.bottom() - rows, height: rows, ..area };
    lines(frame, area, visible.rows.into_iter().map(|(_, row)| row).collect());
}

/// Who is connected to what, who is writing, and what there is to know for the moment.
fn status(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let theme = &state.theme;
    let who = format!("{}@{}", neutralise_line(&state.handle), neutralise_line(&state.server));
    let mut left = match &state.link {
        Link::Online => vec![Span::styled(" \u{25cf} ", theme.online), Span::raw(who)],
        Link::Connecting => vec![Span::raw(format!(" \u{25cb} {who}  connecting\u{2026}"))],
        Link::Offline(reason) => {
            let words = format!(" \u{25cb} {who}  offline: {}", neutralise_line(reason));
            vec![Span::styled(words, theme.warning)]
        }
    };
    // What there is to know for the moment has the room first.
    if let Some(settings) = state.settings.as_ref().filter(|_| state.hint.is_none()) {
        let hidden = if settings.hidden { " (hidden)" } else { "" };
        let status = match neutralise_line(&settings.status) {
            status if status.is_empty() => status.into_owned(),
            status => format!(" \u{201c}{}\u{201d}", fit(&status, MAX_STATUS)),
        };
        left.push(Span::styled(format!("{hidden}{status}"), theme.dim));
    }
    for words in typing(state).into_iter().chain(state.hint.clone()) {
        left.push(Span::raw(format!("  {}", neutralise_line(&words))));
    }
    bar(frame, area, theme.bar, left, &below(state).unwrap_or_default());
}

/// What is out of sight.
fn below(state: &State) -> Option<String> {
    if state.timeline().chosen.is_some() {
        return Some("r answer e edit d delete p pin +/- react Esc".to_owned());
    }
    state.timeline().anchor?;
    Some(match state.room() {
        Some(Room { unread: Some(unread @ 1..), .. }) => format!("\u{2193} {unread} new below"),
        Some(Room { news: true, .. }) => "\u{2193} new below".to_owned(),
        _ => "\u{2193} more below".to_owned(),
    })
}

/// Who is writing in the room.
fn typing(state: &State) -> Option<String> {
    let typing = &state.room()?.typing;
    let names: Vec<_> = typing.iter().map(ToString::to_string).collect();
    match &names[..] {
        [] => None,
        [one] => Some(format!("{one} is writing\u{2026}")),
        [one, other] => Some(format!("{one} and {other} are writing\u{2026}")),
        several => Some(format!("{} are writing\u{2026}", several.len())),
    }
}

fn composer(state: &State, frame: &mut Frame<'_>, area: Rect, prompt_columns: u16) {
    if area.is_empty() {
        return;
    }
    let prompt_columns = prompt_columns.min(area.width);
    let shown = composed(state, area.width, prompt_columns);
    // The cursor's line is always in sight.
    let first = (shown.cursor.0 + 1).saturating_sub(usize::from(area.height));
    let text = Rect { x: area.x + prompt_columns, width: area.width - prompt_columns, ..area };
    if prompt_columns > 0 && first == 0 {
        let row = Rect { width: prompt_columns, height: 1, ..area };
        let words = fit(&prompt(state), usize::from(prompt_columns)).into_owned();
        put(frame, row, Line::styled(words, state.theme.strong));
    }
    let rows = shown.lines.into_iter().skip(first).map(Line::from).collect();
    lines(frame, text, rows);
    if state.overlay.is_none() {
        let row = u16::try_from(shown.cursor.0 - first).unwrap_or(0);
        let column = u16::try_from(shown.cursor.1).unwrap_or(0).min(text.width.saturating_sub(1));
        cursor(frame, Position::new(text.x + column, text.y + row));
    }
}

fn cursor(frame: &mut Frame<'_>, at: Position) {
    if frame.area().contains(at) {
        frame.set_cursor_position(at);
    }
}
