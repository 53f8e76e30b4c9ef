//! The mouse: rooms and messages are chosen by clicking, windows scroll by the wheel.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::{Effect, keys, lines, rooms};
use crate::tui::{
    draw,
    layout::Areas,
    state::{Overlay, Row, State},
    view::View,
};

/// Rows by which the wheel scrolls.
const WHEEL: usize = 3;

pub(super) fn mouse(state: &mut State, mouse: MouseEvent) -> Vec<Effect> {
    let at = Position::new(mouse.column, mouse.row);
    let areas = Areas::of(state);
    match mouse.kind {
        MouseEventKind::ScrollUp | MouseEventKind::ScrollDown => {
            wheel(state, mouse.kind == MouseEventKind::ScrollUp);
        }
        MouseEventKind::Down(MouseButton::Left) if state.overlay.is_some() => state.overlay = None,
        MouseEventKind::Down(MouseButton::Left) if areas.rooms.contains(at) => {
            return room(state, areas.rooms, at.y);
        }
        MouseEventKind::Down(MouseButton::Left) if areas.timeline.contains(at) => {
            message(state, areas.timeline, at.y);
        }
        MouseEventKind::Down(MouseButton::Left) if areas.alert.contains(at) => state.alert = None,
        _ => {}
    }
    Vec::new()
}

fn wheel(state: &mut State, up: bool) {
    match &mut state.overlay {
        None => keys::scroll(state, up, WHEEL),
        Some(Overlay::Help { from }) => {
            let last = crate::tui::help::lines().len().saturating_sub(1);
            *from = if up { from.saturating_sub(WHEEL) } else { (*from + WHEEL).min(last) };
        }
        Some(_) => {}
    }
}

fn room(state: &mut State, area: Rect, row: u16) -> Vec<Effect> {
    let at = draw::first_room(state, area.height) + usize::from(row - area.y);
    let room = match state.list_rows().get(at) {
        Some(Row::Room(room)) => Some(room.conversation),
        Some(Row::Heading(_)) | None => None,
    };
    room.map_or(Vec::new(), |room| rooms::choose(state, room))
}

/// Chooses the message that was clicked on; a second click lets it be.
fn message(state: &mut State, area: Rect, row: u16) {
    let height = usize::from(area.height);
    let view = View::new(state, area.width);
    let rows = view.visible(height).rows;
    // The rows stand at the bottom of the area.
    let above = height - rows.len();
    let clicked = usize::from(row - area.y).checked_sub(above).and_then(|at| rows.get(at));
    let key = clicked.map(|(key, _)| *key);
    let key =
        key.filter(|key| view.timeline.entry(*key).is_some_and(|it| it.as_message().is_some()));
    match key {
        Some(key) if state.timeline().chosen != Some(key) => lines::mark(state, key),
        _ => state.timeline_mut().chosen = None,
    }
}
