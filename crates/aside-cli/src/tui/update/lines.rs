//! What is written: sent, done, or begun for a message that was chosen.

use aside_client::{Content, RecoveryPhrase, What};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use zeroize::Zeroizing;

use super::{Effect, PAGE, keys, rooms};
use crate::{
    chat::{command::Command, rooming::Rooming},
    tui::{
        layout::Areas,
        state::{Asked, Link, Overlay, Passwords, State},
        timeline::{Anchor, Key, Timeline},
        view::View,
    },
};

/// Enter: sends what is written, or does it.
pub(super) fn submit(state: &mut State) -> Vec<Effect> {
    let text = Zeroizing::new(state.composer.take());
    let line = text.trim_end();
    match Command::parse(line) {
        Ok(None) => Vec::new(),
        Ok(Some(command)) => {
            state.sent.push(line.to_owned());
            state.alert = None;
            act(state, command, &text)
        }
        // Not to be brought back.
        Err(problem) if RecoveryPhrase::is_in(line) => {
            state.alert = Some(problem);
            Vec::new()
        }
        Err(problem) => {
            state.alert = Some(problem);
            state.hint = Some("Up brings back what was written".to_owned());
            state.sent.push(line.to_owned());
            Vec::new()
        }
    }
}

fn act(state: &mut State, command: Command, text: &str) -> Vec<Effect> {
    let here = state.here();
    match command {
        Command::Say(said) => {
            let Some(here) = here else {
                state.alert =
                    Some("you are in no room; /join ROOM enters one, F1 helps".to_owned());
                state.composer.set(text.to_owned());
                return Vec::new();
            };
            if let Some(room) = state.room().filter(|room| !room.joined) {
                let place = room.place();
                state.alert =
                    Some(format!("you are in {place} no longer, and nothing can be said in it"));
                state.composer.set(text.to_owned());
                return Vec::new();
            }
            // Whoever speaks has read, and wants to see it.
            state.timeline_mut().divider = None;
            keys::set_anchor(state, None);
            return vec![Effect::Say { to: here.conversation, text: said }];
        }
        Command::Quit => return vec![Effect::Quit],
        Command::Help => state.overlay = Some(Overlay::Help { from: 0 }),
        Command::Passwd if state.link != Link::Online => {
            state.alert = Some("/passwd needs the server, which is away".to_owned());
        }
        Command::Rooming(Rooming::Pins) => return show_pins(state),
        Command::Passwd => state.overlay = Some(Overlay::Password(Passwords::default())),
        Command::History(count) => return history(state, count),
        Command::Join(name) => match state.called(&name) {
            Some(known) => return rooms::open(state, known),
            None => return run(state, Command::Join(name)),
        },
        Command::Forget(sure) => {
            // Of what is private it is asked first.
            if let Some(room) = state.room_mut().filter(|room| sure || !room.kind.is_private()) {
                room.timeline = Timeline::default();
                room.tampered = false;
            }
            return run(state, Command::Forget(sure));
        }
        command => return run(state, command),
    }
    Vec::new()
}

/// Lists what is pinned in the room.
pub(super) fn show_pins(state: &mut State) -> Vec<Effect> {
    match state.room() {
        Some(room) if room.pins.is_empty() && room.pins_asked == Asked::Known => {
            state.hint = Some("nothing is pinned here".to_owned());
        }
        Some(_) => state.overlay = Some(Overlay::Pins { at: 0 }),
        None => state.hint = Some("you are in no room".to_owned()),
    }
    state.current.map_or(Vec::new(), |current| rooms::pins(state, current))
}

/// Goes to a message, if it is here.
pub(super) fn go_to(state: &mut State, seq: u64) {
    let key = Key::entry(seq);
    match state.timeline().entry(key).is_some() {
        true => mark(state, key),
        false => {
            state.hint = Some(format!("[{seq}] is further up than what is here; PageUp goes back"));
        }
    }
}

/// Has a command done.
fn run(state: &mut State, command: Command) -> Vec<Effect> {
    if state.link != Link::Online && !matches!(command, Command::About(..)) {
        state.hint = Some("that waits for the server".to_owned());
    }
    vec![Effect::Do { here: state.here(), command }]
}

/// Goes back, and asks for what is not here.
fn history(state: &mut State, count: u32) -> Vec<Effect> {
    keys::scroll(state, true, usize::from(Areas::of(state).timeline.height).max(1));
    match (state.current, state.timeline().wants_page()) {
        (Some(of), Some(before)) => {
            state.timeline_mut().loading = true;
            vec![Effect::Page { of, before, count: count.max(PAGE) }]
        }
        _ => Vec::new(),
    }
}

/// Chooses the message before or after the one that is chosen, or the last one.
pub(super) fn choose(state: &mut State, down: bool) {
    let timeline = state.timeline();
    let is_message = |key: &Key| timeline.entry(*key).is_some_and(|it| it.as_message().is_some());
    let next = match (timeline.chosen, down) {
        (None, _) => last_visible(state),
        (Some(chosen), false) => timeline.before(chosen).map(|(key, _)| key).find(is_message),
        (Some(chosen), true) => timeline.after(chosen).map(|(key, _)| key).find(is_message),
    };
    match next {
        Some(next) => mark(state, next),
        // Beyond the last one nothing is chosen.
        None if down => state.timeline_mut().chosen = None,
        None => {}
    }
}

/// Chooses a message, and brings it into sight.
pub(super) fn mark(state: &mut State, key: Key) {
    state.timeline_mut().chosen = Some(key);
    let area = Areas::of(state).timeline;
    let height = usize::from(area.height);
    let view = View::new(state, area.width);
    let visible = view.visible(height).rows;
    let (Some((first, _)), Some((last, _))) = (visible.first(), visible.last()) else { return };
    let anchor = if key <= *first {
        view.with_top(key, height)
    } else if key >= *last && view.timeline.after(key).next().is_some() {
        Some(Anchor { key, hidden: 0 })
    } else if key >= *last {
        None
    } else {
        return;
    };
    keys::set_anchor(state, anchor);
}

fn last_visible(state: &State) -> Option<Key> {
    let area = Areas::of(state).timeline;
    let view = View::new(state, area.width);
    let rows = view.visible(usize::from(area.height)).rows;
    let is_message =
        |key: &Key| view.timeline.entry(*key).is_some_and(|it| it.as_message().is_some());
    rows.into_iter().rev().map(|(key, _)| key).find(is_message)
}

/// What a key does for the message that is chosen; `false` if it is not about that.
pub(super) fn chosen_key(state: &mut State, key: KeyEvent) -> bool {
    let bare = (key.modifiers - KeyModifiers::SHIFT).is_empty();
    match key.code {
        KeyCode::Up => choose(state, false),
        KeyCode::Down => choose(state, true),
        KeyCode::Esc => state.timeline_mut().chosen = None,
        KeyCode::Enter | KeyCode::Char('r') if bare => begin(state, "/reply"),
        KeyCode::Char('+') if bare => begin(state, "/react"),
        KeyCode::Char('-') if bare => begin(state, "/unreact"),
        KeyCode::Char('e') if bare => begin_edit(state),
        KeyCode::Char('d') if bare => begin(state, "/delete"),
        KeyCode::Char('p') if bare => {
            let command = if is_pinned(state) { "/unpin" } else { "/pin" };
            begin(state, command);
        }
        KeyCode::PageUp | KeyCode::PageDown | KeyCode::F(_) => return false,
        _ => {
            state.timeline_mut().chosen = None;
            return false;
        }
    }
    true
}

/// Begins a command about the message that is chosen. What is written already becomes the answer.
fn begin(state: &mut State, command: &str) {
    let Some(chosen) = state.timeline_mut().chosen.take() else { return };
    let mut written = state.composer.take();
    if command != "/reply" || written.starts_with('/') {
        state.sent.push(std::mem::take(&mut written));
    }
    let text = format!("{command} {} {written}", chosen.seq);
    // What takes no text is complete.
    let does = match command {
        "/delete" => "Enter deletes it, for everyone",
        "/pin" => "Enter pins it",
        "/unpin" => "Enter takes the pin off",
        _ => "write it, then Enter; Ctrl-C takes it back",
    };
    state.hint = Some(does.to_owned());
    state.composer.set(if takes_text(command) { text } else { text.trim_end().to_owned() });
}

fn takes_text(command: &str) -> bool {
    !matches!(command, "/delete" | "/pin" | "/unpin")
}

fn is_pinned(state: &State) -> bool {
    let Some(chosen) = state.timeline().chosen else { return false };
    state.room().is_some_and(|room| room.pins.iter().any(|pin| pin.seq == chosen.seq))
}

fn begin_edit(state: &mut State) {
    let me = state.me;
    let Some(chosen) = state.timeline_mut().chosen.take() else { return };
    let Some(entry) = state.timeline().entry(chosen) else { return };
    let mine = entry.by.as_ref().is_some_and(|by| by.user == me);
    match &entry.what {
        What::Message { text: Some(text), content: Content::Text { .. }, .. } if mine => {
            let text = format!("/edit {} {text}", chosen.seq);
            state.composer.set(text);
        }
        _ => state.hint = Some("only your own messages can be edited".to_owned()),
    }
}
