//! Keys while something lies over the windows: help, the search for a room, the change of the password.

use aside_client::ConversationId;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Effect, Secrets, lines, rooms};
use crate::tui::{
    composer::To,
    help,
    state::{Overlay, Passwords, State},
};

/// Bytes of a password that can be typed; the server says what it takes.
const MAX_PASSWORD: usize = 1024;

pub(super) fn key(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    let interrupt = key.modifiers == KeyModifiers::CONTROL && key.code == KeyCode::Char('c');
    if key.code == KeyCode::Esc || interrupt {
        state.overlay = None;
        return Vec::new();
    }
    let height = usize::from(state.size.1);
    match state.overlay.take() {
        Some(Overlay::Help { from }) => state.overlay = help_key(from, height, key.code),
        Some(Overlay::Switcher { mut query, at }) => {
            let at = match key.code {
                KeyCode::Enter => {
                    let found = found(state, query.text()).get(at).copied();
                    return found.map_or(Vec::new(), |room| rooms::choose(state, room));
                }
                KeyCode::Up => at.saturating_sub(1),
                KeyCode::Down => (at + 1).min(found(state, query.text()).len().saturating_sub(1)),
                KeyCode::Backspace => {
                    query.delete(To::Left);
                    0
                }
                KeyCode::Char('k') if key.modifiers == KeyModifiers::CONTROL => return Vec::new(),
                KeyCode::Char(c) if (key.modifiers - KeyModifiers::SHIFT).is_empty() => {
                    query.insert(c.encode_utf8(&mut [0; 4]));
                    0
                }
                _ => at,
            };
            state.overlay = Some(Overlay::Switcher { query, at });
        }
        Some(Overlay::Pins { at }) => pins_key(state, at, key.code),
        Some(Overlay::Password(passwords)) => return password_key(state, passwords, key),
        None => {}
    }
    Vec::new()
}

/// Text that was pasted.
pub(super) fn paste(overlay: &mut Overlay, text: &str) {
    let line = text.lines().next().unwrap_or_default();
    match overlay {
        Overlay::Help { .. } | Overlay::Pins { .. } => {}
        Overlay::Switcher { query, at } => {
            query.insert(line);
            *at = 0;
        }
        Overlay::Password(passwords) => {
            for c in line.chars() {
                push(passwords, c);
            }
        }
    }
}

/// The rooms whose names have this in them; those that begin with it first.
pub(in crate::tui) fn found(state: &State, query: &str) -> Vec<ConversationId> {
    let query = query.to_lowercase();
    let query = query.trim_start_matches('#');
    let at = |name: &str| name.to_lowercase().find(query);
    let mut found: Vec<_> = state
        .listed()
        .into_iter()
        .filter_map(|room| Some((at(&room.name)? > 0, room.conversation)))
        .collect();
    found.sort_by_key(|(within, _)| *within);
    found.into_iter().map(|(_, room)| room).collect()
}

fn help_key(from: usize, height: usize, code: KeyCode) -> Option<Overlay> {
    let page = height.saturating_sub(4).max(1);
    let last = help::lines().len().saturating_sub(1);
    let from = match code {
        KeyCode::Up => from.saturating_sub(1),
        KeyCode::Down => from + 1,
        KeyCode::PageUp => from.saturating_sub(page),
        KeyCode::PageDown | KeyCode::Char(' ') => from + page,
        KeyCode::Home => 0,
        KeyCode::End => last.saturating_sub(page / 2),
        _ => return None,
    };
    Some(Overlay::Help { from: from.min(last) })
}

fn pins_key(state: &mut State, at: usize, code: KeyCode) {
    let Some(room) = state.room() else { return };
    let last = room.pins.len().saturating_sub(1);
    let at = match code {
        KeyCode::Enter => {
            let chosen = room.pins.get(at).map(|pin| pin.seq);
            return chosen.map_or((), |seq| lines::go_to(state, seq));
        }
        KeyCode::Up => at.saturating_sub(1),
        KeyCode::Down => at + 1,
        KeyCode::F(4) => return,
        _ => at,
    };
    state.overlay = Some(Overlay::Pins { at: at.min(last) });
}

fn password_key(state: &mut State, mut passwords: Passwords, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Enter | KeyCode::Tab | KeyCode::Down if passwords.at < 2 => passwords.at += 1,
        KeyCode::Enter => return finish(state, passwords),
        KeyCode::Up => passwords.at = passwords.at.saturating_sub(1),
        KeyCode::Backspace => drop(passwords.fields[passwords.at].pop()),
        KeyCode::Char(c) if (key.modifiers - KeyModifiers::SHIFT).is_empty() => {
            push(&mut passwords, c);
        }
        _ => {}
    }
    state.overlay = Some(Overlay::Password(passwords));
    Vec::new()
}

/// Room is made before anything is typed, so that no password is left behind when it grows.
fn push(passwords: &mut Passwords, c: char) {
    let field = &mut passwords.fields[passwords.at];
    if field.capacity() < MAX_PASSWORD {
        field.reserve_exact(MAX_PASSWORD);
    }
    if field.len() + c.len_utf8() <= MAX_PASSWORD && !c.is_control() {
        field.push(c);
    }
}

fn finish(state: &mut State, passwords: Passwords) -> Vec<Effect> {
    let [old, new, again] = passwords.fields;
    if *new != *again {
        state.alert = Some("the two new passwords differ; nothing was changed".to_owned());
        return Vec::new();
    }
    vec![Effect::ChangePassword(Secrets { old, new })]
}
