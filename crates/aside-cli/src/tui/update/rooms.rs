//! Turning to rooms, and what is read by that.

use aside_client::ConversationId;

use super::Effect;
use crate::tui::state::{Link, Room, State};

/// Turns to a room the user is in.
pub(super) fn open(state: &mut State, conversation: ConversationId) -> Vec<Effect> {
    if state.current == Some(conversation) {
        return Vec::new();
    }
    leave(state);
    state.current = Some(conversation);
    state.entering = None;
    state.nowhere = false;
    if let Some(room) = state.rooms.get_mut(&conversation) {
        state.composer = std::mem::take(&mut room.draft);
        room.timeline.anchor = None;
        // Where nobody knows how far was read, it is where the first came that was not looked at.
        if room.is_unread() && room.read_to > 0 {
            room.timeline.divider = Some(room.read_to);
        }
    }
    state.sent.leave();
    let mut effects = members(state, conversation);
    effects.extend(pins(state, conversation));
    effects
}

/// Turns to no room.
pub(super) fn leave(state: &mut State) {
    let draft = std::mem::take(&mut state.composer);
    if let Some(room) = state.room_mut() {
        room.draft = draft;
        room.timeline.divider = None;
        room.timeline.chosen = None;
    } else {
        // What was begun in no room goes along.
        state.composer = draft;
    }
    state.current = None;
}

/// Chooses a room of the list: turns to it, or says how to get into it.
pub(super) fn choose(state: &mut State, conversation: ConversationId) -> Vec<Effect> {
    let Some(room) = state.rooms.get(&conversation) else { return Vec::new() };
    if room.joined {
        return open(state, conversation);
    }
    let name = room.name.clone();
    // ROOM-001
    let readable =
        if room.server_readable { " is a public room: the server can read it" } else { "" };
    // RET-011
    let kept = room.kept.as_ref().map(|kept| format!("; {kept}")).unwrap_or_default();
    if state.composer.is_empty() {
        state.composer.set(format!("/join {name}"));
        state.hint = Some(format!("{name}{readable}{kept}. Enter joins"));
    } else {
        state.hint = Some(format!("{name}{readable}{kept}. /join {name} to get in"));
    }
    Vec::new()
}

/// Turns to the next or previous of the rooms the user is in.
pub(super) fn step(state: &mut State, forward: bool) -> Vec<Effect> {
    let joined: Vec<_> = state
        .listed()
        .into_iter()
        .filter(|room| room.joined)
        .map(|room| room.conversation)
        .collect();
    let at = joined.iter().position(|it| Some(*it) == state.current);
    let next = match (at, forward) {
        (None, _) => 0,
        (Some(at), true) => (at + 1) % joined.len(),
        (Some(at), false) => (at + joined.len() - 1) % joined.len(),
    };
    joined.get(next).map_or(Vec::new(), |next| open(state, *next))
}

/// Turns to the first room with something unread.
pub(super) fn next_unread(state: &mut State) -> Vec<Effect> {
    let next = state.listed().into_iter().find(|room| room.joined && room.is_unread());
    match next.map(|room| room.conversation) {
        Some(next) => open(state, next),
        None => {
            state.hint = Some("nothing is unread".to_owned());
            Vec::new()
        }
    }
}

/// The state was drawn: what is in the window has been read, if the user looks at its end.
pub(super) fn drawn(state: &mut State) -> Vec<Effect> {
    let Some(current) = state.current.filter(|current| state.is_reading(*current)) else {
        return Vec::new();
    };
    let Some(room) = state.room_mut().filter(|room| room.joined && !room.tampered) else {
        return Vec::new();
    };
    let last = room.timeline.last_seq();
    room.news = false;
    if last <= room.read_to {
        return Vec::new();
    }
    room.read_to = last;
    room.unread = room.unread.map(|_| 0);
    vec![Effect::MarkRead { of: current, seq: last }]
}

/// How much is unread has changed.
pub(super) fn count(state: &mut State, conversation: ConversationId) -> Vec<Effect> {
    let Some(room) = state.rooms.get_mut(&conversation) else { return Vec::new() };
    room.counted.change();
    if room.counted.ask() { vec![Effect::Count(conversation)] } else { Vec::new() }
}

/// Asks for a room's members, unless they are known or asked for.
pub(super) fn members(state: &mut State, conversation: ConversationId) -> Vec<Effect> {
    let online = state.link == Link::Online;
    let room = state.rooms.get_mut(&conversation).filter(|room| room.joined && online);
    let due = room.is_some_and(|room| room.asked.ask());
    if due { vec![Effect::Members(conversation)] } else { Vec::new() }
}

/// Asks for what is pinned in a room, unless that is known or asked for.
pub(super) fn pins(state: &mut State, conversation: ConversationId) -> Vec<Effect> {
    let room = state.rooms.get_mut(&conversation).filter(|room| room.joined && !room.tampered);
    let due = room.is_some_and(|room| room.pins_asked.ask());
    if due { vec![Effect::Pins(conversation)] } else { Vec::new() }
}

/// What is pinned has changed; it is asked for if the room is in the window.
pub(super) fn pins_changed(state: &mut State, conversation: ConversationId) -> Vec<Effect> {
    if let Some(room) = state.rooms.get_mut(&conversation) {
        room.pins_asked.change();
    }
    if state.current == Some(conversation) { pins(state, conversation) } else { Vec::new() }
}

/// A room's members have changed; they are asked for if the room is in the window.
pub(super) fn members_changed(state: &mut State, conversation: ConversationId) -> Vec<Effect> {
    if let Some(room) = state.rooms.get_mut(&conversation) {
        room.asked.change();
    }
    if state.current == Some(conversation) { members(state, conversation) } else { Vec::new() }
}

/// The room of this id; one that was not known is there from now on.
pub(super) fn room<'a>(
    state: &'a mut State,
    conversation: ConversationId,
    name: &str,
) -> &'a mut Room {
    let room =
        state.rooms.entry(conversation).or_insert_with(|| Room::new(conversation, name.to_owned()));
    if room.name != name {
        name.clone_into(&mut room.name);
    }
    room
}
