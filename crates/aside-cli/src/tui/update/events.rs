//! What the client tells.

use aside_client::{Connection, ConversationId, Entry, Event, Outgoing, Watermark, What};

use super::{Effect, rooms};
use crate::tui::{
    state::{Asked, Link, State},
    timeline::is_said,
};

pub(super) fn event(state: &mut State, event: Event) -> Vec<Effect> {
    match event {
        Event::Entry(entry) => return self::entry(state, entry),
        Event::Connection(connection) => return self::connection(state, connection),
        Event::Trimmed { room, from_seq, first_seq } => {
            let last = first_seq.saturating_sub(1);
            let text = format!("the server no longer keeps entries {from_seq} to {last}");
            if let Some(room) = state.rooms.values_mut().find(|it| it.name == room) {
                room.timeline.begins(first_seq);
                room.timeline.say(text, false);
            }
        }
        Event::Tampering { conversation, room, what } => {
            tampered(state, conversation, &room, &what);
        }
        Event::DeviceKeyChanged { user, .. } => {
            let text = format!(
                "WARNING: the server names another key for a device of {user} than before; the first is kept"
            );
            state.say(text.clone(), true);
            state.alert = Some(text);
        }
        Event::Throttled { wait } => {
            let wait = wait.as_millis();
            state.hint =
                Some(format!("the server asks to slow down: sending goes on in {wait} ms"));
        }
        Event::Outgoing(outgoing) => outgoing_moved(state, outgoing),
        Event::WatermarkMoved { conversation, watermark } => {
            return moved(state, conversation, watermark);
        }
        Event::Notice(notice) => {
            let text = format!("the server's operator: {}", notice.text);
            state.say(text.clone(), notice.warning);
            if notice.warning {
                state.alert = Some(text);
            }
        }
        Event::Invited { room, by } => {
            let text =
                format!("{by} invites you to #{}: /join {} goes there", room.name, room.name);
            state.say(text, false);
            return vec![Effect::ListRooms];
        }
        Event::Presence(theirs) => {
            let members = state.rooms.values_mut().flat_map(|room| &mut room.members);
            for member in members.filter(|member| member.user == theirs.who.user) {
                member.online = theirs.online;
            }
        }
        // What was missed stands in the window like what was pushed, and what failed as such; the end is not this function's.
        _ => {}
    }
    Vec::new()
}

fn connection(state: &mut State, connection: Connection) -> Vec<Effect> {
    match connection {
        Connection::Online { handle } => {
            state.link = Link::Online;
            state.handle = handle;
            for room in state.rooms.values_mut() {
                // What could not be fetched may be had now.
                room.timeline.retry();
                if room.asked == Asked::Known {
                    room.asked = Asked::No;
                }
            }
            let mut effects = vec![Effect::ListRooms];
            if let Some(current) = state.current {
                effects.extend(rooms::members(state, current));
            }
            effects
        }
        Connection::Offline { reason, .. } => {
            state.link = Link::Offline(reason.trim_end_matches('.').to_owned());
            // Nobody is known to be online any more.
            for member in state.rooms.values_mut().flat_map(|room| &mut room.members) {
                member.online = false;
            }
            Vec::new()
        }
    }
}

fn tampered(state: &mut State, conversation: ConversationId, name: &str, what: &str) {
    let text = format!(
        "WARNING: the history of {name} was tampered with: {what}. Nothing more of it is shown or sent. Ask the others by \
         another way what was said, and the server's operator what happened; /forget takes the room up anew."
    );
    let room = rooms::room(state, conversation, name);
    room.tampered = true;
    room.timeline.say(text.clone(), true);
    state.alert = Some(text);
}

pub(super) fn outgoing_moved(state: &mut State, outgoing: Outgoing) {
    if let Some(room) = state.rooms.get_mut(&outgoing.conversation) {
        room.timeline.outgoing(outgoing);
    }
}

fn moved(state: &mut State, conversation: ConversationId, watermark: Watermark) -> Vec<Effect> {
    let me = state.me;
    let Some(room) = state.rooms.get_mut(&conversation) else { return Vec::new() };
    if watermark.who.user != me {
        room.timeline.moved(watermark);
        return Vec::new();
    }
    room.read_to = room.read_to.max(watermark.read);
    rooms::count(state, conversation)
}

/// A topic, if there is one.
pub(super) fn topic(topic: &str) -> Option<String> {
    (!topic.is_empty()).then(|| topic.to_owned())
}

fn entry(state: &mut State, entry: Entry) -> Vec<Effect> {
    let (me, conversation) = (state.me, entry.conversation);
    let mine = entry.by.as_ref().is_some_and(|by| by.user == me);
    let about_me = match &entry.what {
        What::Joined { who } | What::Left { who } => who.user == me,
        What::RoomCreated => mine,
        _ => false,
    };
    let members = matches!(
        entry.what,
        What::RoomCreated | What::Joined { .. } | What::Left { .. } | What::Renamed { .. }
    );
    let left = matches!(entry.what, What::Left { .. });
    let unread = is_said(&entry) && !mine && !state.is_reading(conversation);
    let room = rooms::room(state, conversation, &entry.room);
    let news = room.head.is_some_and(|head| entry.seq > head);
    let mut effects = Vec::new();
    if about_me && news {
        room.joined = !left;
        effects.push(Effect::ListRooms);
    }
    if unread && news {
        // In a window that is not looked at, the new begin here.
        if !room.is_unread() && entry.seq > 1 {
            room.timeline.divider = Some(entry.seq - 1);
        }
        room.news = true;
    }
    if let What::RoomUpdated { now, .. } = &entry.what {
        room.topic = topic(&now.topic);
    }
    room.timeline.take(entry);
    if members && news {
        effects.extend(rooms::members_changed(state, conversation));
    }
    if unread {
        effects.extend(rooms::count(state, conversation));
    }
    effects
}
