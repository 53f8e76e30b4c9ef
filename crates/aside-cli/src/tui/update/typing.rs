//! Who is writing: the user, as others are told, and others, as they are shown.

use aside_client::{ConversationId, Person};

use super::Effect;
use crate::tui::state::State;

/// Does something that may change what is being written; the others are told if it did.
pub(super) fn noticed(
    state: &mut State,
    change: impl FnOnce(&mut State) -> Vec<Effect>,
) -> Vec<Effect> {
    let before = (state.current, state.composer.text().to_owned());
    let mut effects = change(state);
    let (room, was) = before;
    let is = state.composer.text();
    if let Some(of) = room.filter(|room| state.current == Some(*room) && is != was) {
        let sends = effects.iter().any(|it| matches!(it, Effect::Say { .. } | Effect::Do { .. }));
        match (is_said(&was), is_said(is)) {
            (_, true) => effects.push(Effect::Typing { of, typing: true }),
            // A message that comes says so itself (TYPE-006).
            (true, false) if !sends => effects.push(Effect::Typing { of, typing: false }),
            (_, false) => {}
        }
    }
    effects
}

/// Whether a text becomes a message: not while it is a command that says nothing to the others.
fn is_said(text: &str) -> bool {
    let says = |command: &str| ["/reply ", "/edit ", "//"].iter().any(|it| command.starts_with(it));
    !text.trim().is_empty() && (!text.starts_with('/') || says(text))
}

/// It was told that somebody writes, or no longer.
pub(super) fn told(state: &mut State, of: ConversationId, who: Person, typing: bool) {
    if who.user == state.me {
        return;
    }
    state.typists.told(of, who.user, typing, state.now_ms);
    if let Some(room) = state.rooms.get_mut(&of) {
        room.typing.retain(|known| known.user != who.user);
        room.typing.push(who);
    }
    refresh(state);
}

/// Time has passed: who has not been heard of for long is not held to be writing any more.
pub(super) fn passed(state: &mut State, now_ms: u64) {
    state.now_ms = now_ms;
    refresh(state);
}

/// Shows those who write now, and no others.
pub(super) fn refresh(state: &mut State) {
    for (of, room) in &mut state.rooms {
        let (typists, now_ms) = (&state.typists, state.now_ms);
        room.typing.retain(|known| typists.of(*of, now_ms).any(|user| user == known.user));
    }
}
