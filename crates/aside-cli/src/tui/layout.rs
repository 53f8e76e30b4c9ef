//! Where things are on a screen of a given size. What does not fit is left out, the least needed first.

use aside_client::display::neutralise;
use ratatui::{layout::Rect, text::Line};

use super::{
    composer::Shown,
    state::State,
    text::{fit, width, wrap},
};

/// Columns of a side pane, without the line beside it.
const SIDE: u16 = 18;
/// Rows that the composer and the alert may take.
const MAX_COMPOSER: u16 = 6;
const MAX_ALERT: u16 = 4;

/// The parts of the screen; those that are left out are empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) title: Rect,
    pub(super) rooms: Rect,
    pub(super) timeline: Rect,
    pub(super) members: Rect,
    pub(super) alert: Rect,
    pub(super) status: Rect,
    pub(super) composer: Rect,
    /// Columns of the composer that its prompt takes.
    pub(super) prompt: u16,
}

impl Areas {
    pub(super) fn of(state: &State) -> Self {
        let (columns, rows) = state.size;
        let mut areas = Self { prompt: prompt_width(state, columns), ..Self::default() };
        let mut rest = Rect::new(0, 0, columns, rows);
        let lines = composed(state, columns, areas.prompt).lines.len();
        let most = MAX_COMPOSER.min((rows / 3).max(1));
        areas.composer = bottom(&mut rest, u16::try_from(lines).unwrap_or(most).min(most));
        if rest.height >= 3 {
            areas.status = bottom(&mut rest, 1);
        }
        if rest.height >= 4 {
            areas.title = Rect { height: 1, ..rest };
            rest = Rect { y: rest.y + 1, height: rest.height - 1, ..rest };
        }
        if state.alert.is_some() {
            let lines = u16::try_from(alert_lines(state, columns).len()).unwrap_or(MAX_ALERT);
            let most = MAX_ALERT.min(rest.height / 2);
            areas.alert = bottom(&mut rest, lines.min(most));
        }
        if columns >= 40 && state.panes.rooms.unwrap_or(columns >= 60) {
            areas.rooms = Rect { width: SIDE, ..rest };
            rest = Rect { x: rest.x + SIDE + 1, width: rest.width - SIDE - 1, ..rest };
        }
        if rest.width >= 40 && state.panes.members.unwrap_or(columns >= 100) {
            rest.width -= SIDE + 1;
            areas.members = Rect { x: rest.right() + 1, width: SIDE, ..rest };
        }
        areas.timeline = rest;
        areas
    }
}

/// The composer's text as it is shown on so many columns, behind the prompt.
pub(super) fn composed(state: &State, columns: u16, prompt: u16) -> Shown {
    state.composer.shown(usize::from(columns - prompt.min(columns)))
}

/// The room's name before what is written.
pub(super) fn prompt(state: &State) -> String {
    let most = usize::from(state.size.0 / 4);
    let name = state.room().map(|room| match room.kind.is_private() {
        true => room.place(),
        false => room.title(),
    });
    format!("{}> ", fit(&name.unwrap_or_default(), most))
}

/// The alert, broken into lines.
pub(super) fn alert_lines(state: &State, columns: u16) -> Vec<Line<'static>> {
    let Some(alert) = &state.alert else { return Vec::new() };
    let text = neutralise(alert).into_owned();
    wrap(&[(text, state.theme.warning)], usize::from(columns), 0)
}

fn prompt_width(state: &State, columns: u16) -> u16 {
    if columns < 20 { 0 } else { u16::try_from(width(&prompt(state))).unwrap_or(0) }
}

/// Cuts rows off the bottom.
fn bottom(rest: &mut Rect, rows: u16) -> Rect {
    let rows = rows.min(rest.height);
    rest.height -= rows;
    Rect { y: rest.bottom(), height: rows, ..*rest }
}
