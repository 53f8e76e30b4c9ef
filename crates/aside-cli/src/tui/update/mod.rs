//! What becomes of the state by what happens, and what is to be done about it. Nothing here waits, reads a clock or draws.

mod complete;
mod dialogs;
mod events;
mod keys;
mod lines;
mod mouse;
mod results;
mod rooms;
mod typing;

use aside_client::{
    ConversationId, Entry, Event, Member, Outgoing, Overview, Pin, PresenceSettings, Room,
};
use crossterm::event::{KeyEvent, MouseEvent};
use zeroize::Zeroizing;

pub(super) use dialogs::found;

use super::{layout::Areas, state::State, view::View};
use crate::{
    chat::{Current, command::Command, worker},
    users::Statuses,
};

/// Entries asked for at once.
pub(super) const PAGE: u32 = 100;

/// What happens.
pub(super) enum Input {
    Key(KeyEvent),
    Paste(String),
    Mouse(MouseEvent),
    Resize(u16, u16),
    /// Whether the user looks.
    Focus(bool),
    /// The monotonic time, in milliseconds.
    Time(u64),
    /// The state was drawn as it is.
    Drawn,
    /// From the client.
    Event(Box<Event>),
    /// What came of an effect.
    Result(Outcome),
    /// What came of a command.
    Done(worker::Done),
}

/// What came of an effect. Problems are sentences for the user.
pub(super) enum Outcome {
    /// What is known without asking the server: the rooms, and what is to be sent.
    Kept {
        overview: Vec<Overview>,
        outbox: Vec<Outgoing>,
    },
    Rooms(Result<Vec<Room>, String>),
    Page {
        of: ConversationId,
        entries: Result<Vec<Entry>, String>,
        /// The first entry that the server still keeps, as far as is known.
        first_kept: u64,
    },
    Members(ConversationId, Result<Vec<Member>, String>),
    /// What members who are online have to say.
    Statuses(Statuses),
    /// What is pinned in a room.
    Pins(ConversationId, Result<Vec<Pin>, String>),
    /// What others may see of the user.
    Settings(PresenceSettings),
    /// How many messages of a room are unread; none if the server does not count.
    Unread(ConversationId, Option<u32>),
    /// A message was not even kept to be sent.
    Unsaid {
        to: ConversationId,
        text: String,
        problem: String,
    },
    /// So many other devices were revoked with the old password.
    PasswordChanged(Result<u32, String>),
}

/// What is to be done.
#[derive(PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Effect {
    Quit,
    /// Draw the whole screen anew: something else wrote on it.
    Redraw,
    ListRooms,
    /// Entries before one.
    Page {
        of: ConversationId,
        before: u64,
        count: u32,
    },
    /// Who is in a room, and what they have to say.
    Members(ConversationId),
    /// What is pinned in a room.
    Pins(ConversationId),
    /// Ask what others may see of the user.
    Settings,
    /// The user writes in a room, or no longer.
    Typing {
        of: ConversationId,
        typing: bool,
    },
    /// How many messages are unread.
    Count(ConversationId),
    /// The user has been shown all up to this entry.
    MarkRead {
        of: ConversationId,
        seq: u64,
    },
    Say {
        to: ConversationId,
        text: String,
    },
    /// A command, and the room it was typed in.
    Do {
        here: Option<Current>,
        command: Command,
    },
    ChangePassword(Secrets),
}

/// The password so far, and the new one.
#[derive(PartialEq, Eq)]
pub(super) struct Secrets {
    pub(super) old: Zeroizing<String>,
    pub(super) new: Zeroizing<String>,
}

#[cfg(test)]
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// The one way from state to state.
pub(super) fn update(state: &mut State, input: Input) -> Vec<Effect> {
    match input {
        Input::Key(key) => typing::noticed(state, |state| keys::key(state, key)),
        Input::Paste(text) => typing::noticed(state, |state| keys::paste(state, &text)),
        Input::Mouse(mouse) => mouse::mouse(state, mouse),
        Input::Resize(columns, rows) => {
            state.size = (columns, rows);
            Vec::new()
        }
        Input::Focus(focused) => {
            state.focused = focused;
            Vec::new()
        }
        Input::Time(now_ms) => {
            typing::passed(state, now_ms);
            Vec::new()
        }
        Input::Drawn => {
            let mut effects = rooms::drawn(state);
            effects.extend(fill(state));
            effects
        }
        Input::Event(event) => events::event(state, *event),
        Input::Result(outcome) => results::outcome(state, outcome),
        Input::Done(done) => results::done(state, done),
    }
}

/// Asks for earlier entries if the window shows where those that are here begin.
fn fill(state: &mut State) -> Option<Effect> {
    let of = state.current?;
    let before = state.timeline().wants_page()?;
    let area = Areas::of(state).timeline;
    if !View::new(state, area.width).visible(usize::from(area.height)).at_top {
        return None;
    }
    state.timeline_mut().loading = true;
    Some(Effect::Page { of, before, count: PAGE })
}
