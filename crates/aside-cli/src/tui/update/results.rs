//! What came of effects and commands.

use aside_client::{ConversationId, Member, Overview, Pin, Role, Room};

use super::{
    Effect, Outcome, PAGE,
    events::{self, outgoing_moved},
    rooms,
};
use crate::{
    chat::worker::Done,
    output::earlier::lets_in,
    retention,
    tui::state::{Asked, State},
};

pub(super) fn outcome(state: &mut State, outcome: Outcome) -> Vec<Effect> {
    match outcome {
        Outcome::Kept { overview, outbox } => {
            for it in overview {
                kept(state, it);
            }
            for outgoing in outbox {
                outgoing_moved(state, outgoing);
            }
            return begin(state);
        }
        Outcome::Rooms(Ok(listed)) => return self::listed(state, listed),
        Outcome::Page { of, entries, first_kept } => {
            let me = state.me;
            let Some(room) = state.rooms.get_mut(&of) else { return Vec::new() };
            room.timeline.begins(first_kept);
            match entries {
                Ok(entries) => {
                    let joined = entries.iter().filter(|it| lets_in(it, me)).map(|it| it.seq).max();
                    room.timeline.take_page(entries);
                    if let Some(seq) = joined {
                        room.timeline.join(seq);
                    }
                }
                Err(problem) => {
                    room.timeline.give_up();
                    state.alert = Some(problem);
                }
            }
        }
        Outcome::Members(of, members) => return self::members(state, of, members),
        Outcome::Statuses(statuses) => state.statuses.extend(statuses),
        Outcome::Pins(of, pins) => return self::pins(state, of, pins),
        Outcome::Settings(settings) => state.settings = Some(settings),
        Outcome::Unread(of, unread) => return counted(state, of, unread),
        Outcome::Unsaid { to, text, problem } => {
            state.alert = Some(problem);
            // What was written is not lost.
            if state.current == Some(to) && state.composer.is_empty() {
                state.composer.set(text);
            }
        }
        Outcome::PasswordChanged(Ok(revoked)) => {
            state.say(format!("the password is changed; other devices revoked: {revoked}"), false);
        }
        Outcome::Rooms(Err(problem)) | Outcome::PasswordChanged(Err(problem)) => {
            state.alert = Some(problem);
        }
    }
    Vec::new()
}

pub(super) fn done(state: &mut State, done: Done) -> Vec<Effect> {
    match done {
        Done::Says(text) => {
            // The window may be left by what comes next.
            if !text.contains('\n') {
                state.hint = Some(text.clone());
            }
            state.say(text, false);
        }
        Done::Phrase(mut text) => {
            // One that was made before is good for nothing.
            state.unsay_secrets();
            state.timeline_mut().say_secret(std::mem::take(&mut *text));
        }
        Done::Written => state.unsay_secrets(),
        Done::Warns(text, _) => {
            // The room that was to be entered at the start may not be there: then any will do.
            let entering = state.entering.take();
            state.alert = Some(text);
            if entering.is_some() {
                return begin(state);
            }
        }
        Done::Room(Some(room)) => {
            let here = rooms::room(state, room.conversation, &room.name);
            here.joined = true;
            here.is(room.kind);
            let mut effects = rooms::open(state, room.conversation);
            effects.push(Effect::ListRooms);
            return effects;
        }
        Done::Kept(room) => {
            let here = rooms::room(state, room.conversation, &room.name);
            here.joined = false;
            here.is(room.kind);
            let is_empty = here.timeline.len() == 0;
            let mut effects = rooms::open(state, room.conversation);
            if is_empty {
                state.timeline_mut().loading = true;
                effects.push(Effect::Page { of: room.conversation, before: u64::MAX, count: PAGE });
            }
            return effects;
        }
        Done::Room(None) => {
            rooms::leave(state);
            state.nowhere = true;
            return vec![Effect::ListRooms];
        }
        Done::Presence(settings) => state.settings = Some(settings),
        Done::Sends { .. }
        | Done::Waits
        | Done::Sent
        | Done::Unsent
        | Done::Leaves(_)
        | Done::Left
        | Done::Drained
        | Done::Ready => {}
    }
    Vec::new()
}

/// Turns to a room if none is, and none was left: the one that was asked for, or else the default one, or else the first.
fn begin(state: &mut State) -> Vec<Effect> {
    if state.current.is_some() || state.nowhere {
        return Vec::new();
    }
    let joined = state.listed().into_iter().filter(|room| room.joined);
    let first = match &state.entering {
        Some(name) => state.called(name),
        None => joined.min_by_key(|room| !room.is_default).map(|room| room.conversation),
    };
    first.map_or(Vec::new(), |first| rooms::open(state, first))
}

fn listed(state: &mut State, listed: Vec<Room>) -> Vec<Effect> {
    let mut gone = Vec::new();
    for (conversation, room) in &mut state.rooms {
        if !listed.iter().any(|it| it.conversation == *conversation) {
            room.joined = false;
            gone.push(*conversation);
        }
    }
    // What the server has no more is listed no more, unless something of it is shown.
    let current = state.current;
    state
        .rooms
        .retain(|it, room| !gone.contains(it) || current == Some(*it) || room.timeline.len() > 0);
    let mut invited = Vec::new();
    for it in listed {
        let room = rooms::room(state, it.conversation, &it.name);
        if it.invited && !std::mem::replace(&mut room.invited, it.invited) {
            invited.push(it.clone());
        }
        room.invited = it.invited;
        room.joined = it.role.is_some();
        room.is(it.kind);
        room.is_default = it.is_default;
        room.topic = events::topic(&it.topic);
        room.member_count = it.member_count;
        room.kept = retention::words(&it.retention);
        room.timeline.begins(it.first_seq);
        room.head.get_or_insert(it.head_seq);
        if it.unread.is_some() {
            room.unread = it.unread;
        }
    }
    let effects = begin(state);
    // Where the user is by now.
    for room in invited {
        events::invited(state, &room, None);
    }
    if state.current.is_none() && state.entering.is_none() && state.console.len() == 0 {
        welcome(state);
    }
    effects
}

/// A room as it is kept here.
fn kept(state: &mut State, it: Overview) {
    let room = rooms::room(state, it.conversation, &it.name);
    room.is(it.kind);
    room.unread = it.unread;
    room.read_to = room.read_to.max(it.read);
    room.tampered = it.tampering.is_some();
}

fn counted(state: &mut State, of: ConversationId, unread: Option<u32>) -> Vec<Effect> {
    let Some(room) = state.rooms.get_mut(&of) else { return Vec::new() };
    room.unread = unread;
    room.counted.answered();
    if room.counted == Asked::No { rooms::count(state, of) } else { Vec::new() }
}

/// How to get into a room, for those who are in none.
fn welcome(state: &mut State) {
    let rooms = state.listed();
    let default = rooms.iter().find(|room| room.is_default).map(|room| room.name.clone());
    let hint = match default {
        Some(name) => format!("/join {name} to begin, F1 for help"),
        None => "/create ROOM to begin, F1 for help".to_owned(),
    };
    state.say(format!("You are in no room yet. {hint}."), false);
}

fn pins(state: &mut State, of: ConversationId, pins: Result<Vec<Pin>, String>) -> Vec<Effect> {
    let Some(room) = state.rooms.get_mut(&of) else { return Vec::new() };
    room.pins_asked.answered();
    // A refusal means that the user has left, or that the server has no pins.
    room.pins = pins.unwrap_or_default();
    let stale = room.pins_asked == Asked::No;
    if stale && state.current == Some(of) { rooms::pins(state, of) } else { Vec::new() }
}

fn members(
    state: &mut State,
    of: ConversationId,
    members: Result<Vec<Member>, String>,
) -> Vec<Effect> {
    let Some(room) = state.rooms.get_mut(&of) else { return Vec::new() };
    room.asked.answered();
    let stale = room.asked == Asked::No;
    // A refusal means that the user has left: the next listing of rooms says so.
    let Ok(mut members) = members else { return Vec::new() };
    members.sort_by_cached_key(|member| {
        (!member.online, member.role != Role::Owner, member.handle.to_lowercase())
    });
    room.member_count = u32::try_from(members.len()).unwrap_or(u32::MAX);
    room.members = members;
    if stale && state.current == Some(of) { rooms::members(state, of) } else { Vec::new() }
}
