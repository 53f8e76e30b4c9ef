//! What the client tells.

use aside_client::{
    Connection, ConversationId, Entry, Event, Kind, Outgoing, Person, Room, Typists, Watermark,
    What, private,
};

use super::{Effect, rooms, typing};
use crate::{
    chat::screen::unfollowed,
    devices,
    output::{
        self,
        earlier::lets_in,
        private::{Told, told},
    },
    presence,
    tui::{
        state::{Asked, Link, State},
        timeline::is_said,
    },
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
        Event::Tampering { conversation, room, kind, what } => {
            tampered(state, conversation, (kind, &room), &what);
        }
        Event::DeviceKeyChanged { user, .. } => {
            let text = format!(
                "WARNING: the server names another key for a device of {user} than before; the first is kept"
            );
            state.say(text.clone(), true);
            state.alert = Some(text);
        }
        Event::DeviceLogRefused { who, why } => {
            let text = format!("WARNING: {who}: {why}");
            state.say(text.clone(), true);
            state.alert = Some(text);
        }
        Event::DeviceAsks { .. } => state.say(devices::approving::ASKS.to_owned(), false),
        Event::Throttled { wait } => {
            let wait = wait.as_millis();
            state.hint =
                Some(format!("the server asks to slow down: sending goes on in {wait} ms"));
        }
        Event::Outgoing(outgoing) => outgoing_moved(state, outgoing),
        Event::Discarded { message_id, conversation } => {
            if let Some(room) = state.rooms.get_mut(&conversation) {
                room.timeline.discard(message_id);
            }
        }
        Event::Unfollowed { conversation, room, kind, by, reason } => {
            let text = unfollowed((&room, kind), by.as_ref(), reason.as_ref());
            let room = rooms::room(state, conversation, &room);
            room.joined = false;
            room.timeline.say(text.clone(), true);
            state.alert = Some(text);
            return vec![Effect::ListRooms];
        }
        Event::WatermarkMoved { conversation, watermark } => {
            return moved(state, conversation, watermark);
        }
        Event::Private { conversation, room, kind, what, people, left_behind } => {
            let told = told((kind, &room), &what, &people, left_behind.as_ref());
            return private(state, conversation, (&room, &what), told);
        }
        Event::Notice(notice) => {
            let text = format!("the server's operator: {}", notice.text);
            state.say(text.clone(), notice.warning);
            if notice.warning {
                state.alert = Some(text);
            }
        }
        Event::Invited { room, by } => {
            invited(state, &room, Some(&by));
            let known = rooms::room(state, room.conversation, &room.name);
            known.joined = false;
            known.invited = true;
            return vec![Effect::ListRooms];
        }
        Event::Presence(theirs) => {
            let members = state.rooms.values_mut().flat_map(|room| &mut room.members);
            for member in members.filter(|member| member.user == theirs.who.user) {
                member.online = theirs.online;
            }
            if !theirs.online {
                state.typists.gone(theirs.who.user);
                typing::refresh(state);
            }
            state.statuses.insert(theirs.who.user, theirs.status);
        }
        Event::PresenceSettings(settings) => {
            state.say(format!("on another device: {}", presence::settings(&settings)), false);
            state.settings = Some(settings);
        }
        Event::Typing { conversation, who, typing } => {
            typing::told(state, conversation, who, typing);
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
                for asked in [&mut room.asked, &mut room.pins_asked] {
                    if *asked == Asked::Known {
                        *asked = Asked::No;
                    }
                }
            }
            let mut effects = vec![Effect::ListRooms, Effect::Settings];
            if let Some(current) = state.current {
                effects.extend(rooms::members(state, current));
                effects.extend(rooms::pins(state, current));
            }
            effects
        }
        Connection::Offline { reason, .. } => {
            state.link = Link::Offline(reason.trim_end_matches('.').to_owned());
            // Nobody is known to be online any more.
            for member in state.rooms.values_mut().flat_map(|room| &mut room.members) {
                member.online = false;
            }
            state.statuses.clear();
            state.typists = Typists::default();
            typing::refresh(state);
            Vec::new()
        }
    }
}

/// What happened in a private conversation, beside what its entries say.
fn private(
    state: &mut State,
    conversation: ConversationId,
    (name, what): (&str, &private::Event),
    told: Option<Told>,
) -> Vec<Effect> {
    use private::Event::{Joined, Named, Removed};
    let room = rooms::room(state, conversation, name);
    if let Some(Told { text, warning }) = told {
        room.timeline.say(text.clone(), warning);
        match warning {
            true => state.alert = Some(text),
            false => state.hint = Some(text),
        }
    }
    match what {
        Joined { .. } | Removed { .. } | Named { .. } => vec![Effect::ListRooms],
        _ => Vec::new(),
    }
}

fn tampered(
    state: &mut State,
    conversation: ConversationId,
    (kind, name): (Kind, &str),
    what: &str,
) {
    let title = output::title(kind, name);
    let text = format!(
        "WARNING: the history of {title} was tampered with: {what}. Nothing more of it is shown or sent. Ask the others by \
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

/// Says that the user is asked to join a room; what is to be known before (ROOM-001), the list of rooms says when it is chosen.
pub(super) fn invited(state: &mut State, room: &Room, by: Option<&Person>) {
    let name = &room.name;
    let asked = by.map_or_else(|| "you are invited".to_owned(), |by| format!("{by} invites you"));
    let text = format!("{asked} to #{name}: /join {name} goes there, /leave {name} turns it down");
    state.say(text, false);
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
        What::RoomCreated
            | What::Joined { .. }
            | What::Left { .. }
            | What::Renamed { .. }
            | What::GroupBegun { .. }
            | What::MembersChanged { .. }
            | What::RemovalPending { .. }
            | What::RoleChanged { .. }
    );
    let left = matches!(entry.what, What::Left { .. });
    // TYPE-006
    let silent = match &entry.what {
        What::RemovalPending { who, left: true } => Some(who),
        What::Left { .. } => entry.by.as_ref(),
        _ => entry.by.as_ref().filter(|_| is_said(&entry)),
    };
    if let Some(silent) = silent {
        state.typists.ended(conversation, silent.user);
        typing::refresh(state);
    }
    let pins = matches!(entry.what, What::Pinned { .. });
    let unread = is_said(&entry) && !mine && !state.is_reading(conversation);
    let room = rooms::room(state, conversation, &entry.room);
    room.is(entry.kind);
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
    let lets_in = lets_in(&entry, me).then_some(entry.seq);
    room.timeline.take(entry);
    if let Some(seq) = lets_in {
        room.timeline.join(seq);
    }
    if members && news {
        effects.extend(rooms::members_changed(state, conversation));
    }
    if pins && news {
        effects.extend(rooms::pins_changed(state, conversation));
    }
    if unread {
        effects.extend(rooms::count(state, conversation));
    }
    effects
}
