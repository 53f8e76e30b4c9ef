//! What keys do when nothing lies over the windows. `help::KEYS` tells the user of them.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{Effect, complete, dialogs, lines, rooms};
use crate::tui::{
    composer::{Composer, To},
    layout::Areas,
    state::{Overlay, State},
    timeline::Anchor,
    view::View,
};

/// Rows that stay in sight when a page is turned.
const OVERLAP: usize = 2;

pub(super) fn key(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    state.hint = None;
    if state.overlay.is_some() {
        return dialogs::key(state, key);
    }
    if state.timeline().chosen.is_some() && lines::chosen_key(state, key) {
        return Vec::new();
    }
    let modifiers = key.modifiers - KeyModifiers::SHIFT;
    if modifiers == KeyModifiers::CONTROL {
        return control(state, key.code);
    }
    if modifiers == KeyModifiers::ALT {
        return alt(state, key.code);
    }
    plain(state, key)
}

/// Text that was pasted.
pub(super) fn paste(state: &mut State, text: &str) -> Vec<Effect> {
    match &mut state.overlay {
        None => {
            state.timeline_mut().chosen = None;
            state.sent.leave();
            type_in(state, text);
        }
        Some(overlay) => dialogs::paste(overlay, text),
    }
    Vec::new()
}

fn control(state: &mut State, code: KeyCode) -> Vec<Effect> {
    match code {
        KeyCode::Char('c') => return interrupt(state),
        KeyCode::Char('d') if state.composer.is_empty() => return vec![Effect::Quit],
        KeyCode::Char('d') => state.composer.delete(To::Right),
        KeyCode::Char('k') => {
            state.overlay = Some(Overlay::Switcher { query: Composer::default(), at: 0 });
        }
        KeyCode::Char('l') => return vec![Effect::Redraw],
        KeyCode::Char('n') => return rooms::step(state, true),
        KeyCode::Char('p') => return rooms::step(state, false),
        KeyCode::Char('j') => type_in(state, "\n"),
        KeyCode::Char('a') => state.composer.go(To::LineStart),
        KeyCode::Char('e') => state.composer.go(To::LineEnd),
        KeyCode::Char('b') => state.composer.go(To::Left),
        KeyCode::Char('f') => state.composer.go(To::Right),
        KeyCode::Char('h') => state.composer.delete(To::Left),
        KeyCode::Char('w') | KeyCode::Backspace => state.composer.delete(To::WordLeft),
        KeyCode::Char('u') => state.composer.delete(To::LineStart),
        KeyCode::Char('y') => state.composer.put_back(),
        KeyCode::Delete => state.composer.delete(To::WordRight),
        KeyCode::Left => state.composer.go(To::WordLeft),
        KeyCode::Right => state.composer.go(To::WordRight),
        KeyCode::Up => lines::choose(state, false),
        KeyCode::Down => lines::choose(state, true),
        KeyCode::Home => go_to_top(state),
        KeyCode::End => go_to_end(state),
        _ => {}
    }
    Vec::new()
}

fn alt(state: &mut State, code: KeyCode) -> Vec<Effect> {
    match code {
        KeyCode::Enter => type_in(state, "\n"),
        KeyCode::Up => return rooms::step(state, false),
        KeyCode::Down => return rooms::step(state, true),
        KeyCode::Char('a') => return rooms::next_unread(state),
        KeyCode::Char(digit @ '1'..='9') => {
            let at = digit.to_digit(10).map_or(0, |digit| digit as usize - 1);
            let room = state.listed().get(at).map(|room| room.conversation);
            return room.map_or(Vec::new(), |room| rooms::choose(state, room));
        }
        KeyCode::Char('b') => state.composer.go(To::WordLeft),
        KeyCode::Char('f') => state.composer.go(To::WordRight),
        KeyCode::Char('d') => state.composer.delete(To::WordRight),
        KeyCode::Backspace => state.composer.delete(To::WordLeft),
        _ => {}
    }
    Vec::new()
}

fn plain(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Enter => return lines::submit(state),
        KeyCode::F(1) => state.overlay = Some(Overlay::Help { from: 0 }),
        KeyCode::Char('?') if state.composer.is_empty() => {
            state.overlay = Some(Overlay::Help { from: 0 });
        }
        KeyCode::F(2) => {
            let shown = Areas::of(state).rooms.width > 0;
            state.panes.rooms = Some(!shown);
        }
        KeyCode::F(3) => {
            let shown = Areas::of(state).members.width > 0;
            state.panes.members = Some(!shown);
        }
        KeyCode::F(4) => return lines::show_pins(state),
        KeyCode::Tab => complete::complete(state),
        KeyCode::Esc => escape(state),
        KeyCode::Char(c) => type_in(state, c.encode_utf8(&mut [0; 4])),
        KeyCode::Backspace => state.composer.delete(To::Left),
        KeyCode::Delete => state.composer.delete(To::Right),
        KeyCode::Left => state.composer.go(To::Left),
        KeyCode::Right => state.composer.go(To::Right),
        KeyCode::Home => state.composer.go(To::LineStart),
        KeyCode::End => state.composer.go(To::LineEnd),
        KeyCode::Up if key.modifiers == KeyModifiers::SHIFT => scroll(state, true, 1),
        KeyCode::Down if key.modifiers == KeyModifiers::SHIFT => scroll(state, false, 1),
        KeyCode::Up if !state.composer.go_line(false) => state.sent.earlier(&mut state.composer),
        KeyCode::Down if !state.composer.go_line(true) => state.sent.later(&mut state.composer),
        KeyCode::PageUp => scroll(state, true, page(state)),
        KeyCode::PageDown => scroll(state, false, page(state)),
        _ => {}
    }
    Vec::new()
}

/// Ctrl-C: takes back what is being written; with nothing there, ends.
fn interrupt(state: &mut State) -> Vec<Effect> {
    if state.composer.is_empty() {
        return vec![Effect::Quit];
    }
    state.sent.push(state.composer.take());
    state.hint = Some("Up brings back what was written; Ctrl-C again ends".to_owned());
    Vec::new()
}

fn escape(state: &mut State) {
    if state.alert.take().is_none() {
        go_to_end(state);
    }
}

fn type_in(state: &mut State, text: &str) {
    if !state.composer.insert(text) {
        state.alert = Some("that is too long to be sent as one message".to_owned());
    }
}

fn page(state: &State) -> usize {
    usize::from(Areas::of(state).timeline.height).saturating_sub(OVERLAP).max(1)
}

/// Scrolls the window.
pub(super) fn scroll(state: &mut State, up: bool, by: usize) {
    let area = Areas::of(state).timeline;
    let view = View::new(state, area.width);
    let anchor = if up { view.up(usize::from(area.height), by) } else { view.down(by) };
    set_anchor(state, anchor);
}

fn go_to_top(state: &mut State) {
    let area = Areas::of(state).timeline;
    let anchor = View::new(state, area.width).top(usize::from(area.height));
    set_anchor(state, anchor);
}

fn go_to_end(state: &mut State) {
    set_anchor(state, None);
}

/// Puts the window there; `None`: to its end.
pub(super) fn set_anchor(state: &mut State, anchor: Option<Anchor>) {
    state.timeline_mut().anchor = anchor;
}
