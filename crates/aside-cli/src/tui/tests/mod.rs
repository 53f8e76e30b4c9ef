//! The windows, as they are updated and drawn: no server, no clock, no terminal.

mod keys;
mod live;
mod scenes;
mod screens;

use std::sync::Arc;

use aside_client::{
    Connection, Content, ConversationId, Entry, Event, IdempotencyKey, Kind, Member, Mention,
    Outgoing, Person, Reaction, Reply, Role, Room, State as Progress, UserId, Watermark, What,
};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

use super::{
    draw::draw,
    state::State,
    text::width,
    theme::ThemeName,
    update::{Effect, Input, Outcome, update},
};

const LOBBY: u8 = 1;
const GARDEN: u8 = 2;
const ATTIC: u8 = 3;
const ALICE: u8 = 11;
const BOB: u8 = 12;
const CAROL: u8 = 13;
/// 24 November 2026, 09:58 UTC; each entry is a minute after the one before.
const BEGIN_MS: u64 = 1_795_514_280_000;

fn person(number: u8) -> Person {
    let handle = match number {
        ALICE => "alice",
        BOB => "bob",
        CAROL => "carol",
        _ => "mallory",
    };
    Person { user: UserId::new([number; 16]), handle: Some(handle.to_owned()) }
}

fn conversation(room: u8) -> ConversationId {
    ConversationId::new([room; 16])
}

fn name(room: u8) -> &'static str {
    match room {
        LOBBY => "lobby",
        GARDEN => "garden",
        _ => "attic",
    }
}

fn entry(room: u8, seq: u64, by: u8, what: What) -> Entry {
    let (conversation, room) = (conversation(room), name(room).to_owned());
    let time_ms = BEGIN_MS + seq * 60_000;
    let mine = by == ALICE && matches!(what, What::Message { .. });
    let state = mine.then_some(Progress::Sent);
    let kind = Kind::PublicRoom;
    Entry { conversation, kind, room, seq, time_ms, by: Some(person(by)), what, state }
}

fn message_id(seq: u64) -> IdempotencyKey {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&seq.to_be_bytes());
    IdempotencyKey::new(bytes)
}

fn message(seq: u64, text: Option<&str>, content: Content) -> What {
    let (message_id, text) = (message_id(seq), text.map(str::to_owned));
    What::Message { message_id, text, verified: true, repeats: None, content }
}

fn plain() -> Content {
    Content::Text { mentions: vec![], edited: None, reply: None, reactions: vec![] }
}

fn said(room: u8, seq: u64, by: u8, text: &str) -> Entry {
    entry(room, seq, by, message(seq, Some(text), plain()))
}

fn room(number: u8, head_seq: u64) -> Room {
    Room {
        conversation: conversation(number),
        kind: Kind::PublicRoom,
        name: name(number).to_owned(),
        server_readable: true,
        member_count: 3,
        role: (number != ATTIC).then_some(Role::Member),
        is_default: number == LOBBY,
        first_seq: 1,
        head_seq,
        unread: (number != ATTIC).then_some(0),
        topic: String::new(),
        description: String::new(),
        invite_only: false,
        invited: false,
        retention: Default::default(),
    }
}

fn member(number: u8, role: Role, online: bool) -> Member {
    let Person { user, handle } = person(number);
    Member { user, handle: handle.unwrap(), role, online }
}

/// Alice says something in the lobby, and it stands like this.
fn outgoing(id: u64, text: &str, state: Progress, seq: Option<u64>) -> Event {
    let (message_id, conversation) = (message_id(id), conversation(LOBBY));
    let text = Some(text.to_owned());
    Event::Outgoing(Outgoing { message_id, conversation, text, content: plain(), state, seq })
}

fn moved(room: u8, who: u8, delivered: u64, read: u64) -> Event {
    let watermark = Watermark { who: person(who), delivered, read };
    Event::WatermarkMoved { conversation: conversation(room), watermark }
}

/// Entries of the lobby that were asked for, on a server that keeps none before `first_kept`.
fn page_of(entries: Vec<Entry>, first_kept: u64) -> Outcome {
    Outcome::Page { of: conversation(LOBBY), entries: Ok(entries), first_kept }
}

/// Alice's screen, without colours, before anything has happened.
fn blank() -> State {
    let theme = ThemeName::None.theme();
    let mut state =
        State::new(person(ALICE).user, "alice".to_owned(), "chat.example".to_owned(), theme);
    state.zone = TimeZone::UTC;
    state
}

/// Alice's screen: connected, in the lobby and the garden.
fn started() -> State {
    let mut state = blank();
    event(&mut state, Event::Connection(Connection::Online { handle: "alice".to_owned() }));
    let rooms = vec![room(LOBBY, 1), room(GARDEN, 1), room(ATTIC, 9)];
    result(&mut state, Outcome::Rooms(Ok(rooms)));
    state
}

fn event(state: &mut State, event: Event) -> Vec<Effect> {
    without_asides(update(state, Input::Event(Box::new(event))))
}

fn result(state: &mut State, outcome: Outcome) -> Vec<Effect> {
    without_asides(update(state, Input::Result(outcome)))
}

/// Those that most tests are not about: `live` is.
fn without_asides(mut effects: Vec<Effect>) -> Vec<Effect> {
    effects.retain(|effect| {
        !matches!(effect, Effect::Typing { .. } | Effect::Pins(_) | Effect::Settings)
    });
    effects
}

/// Each in turn.
fn come(state: &mut State, entries: impl IntoIterator<Item = Entry>) -> Vec<Effect> {
    entries.into_iter().flat_map(|entry| event(state, Event::Entry(entry))).collect()
}

fn press(state: &mut State, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
    without_asides(update(state, Input::Key(KeyEvent::new(code, modifiers))))
}

/// Types text, and Enter if it ends with a line feed.
fn type_in(state: &mut State, text: &str) -> Vec<Effect> {
    let key = |c| if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) };
    text.chars().flat_map(|c| press(state, key(c), KeyModifiers::NONE)).collect()
}

/// What is asked for once the state was drawn: marks, and earlier entries.
fn drawn(state: &mut State) -> (Vec<Effect>, Vec<Effect>) {
    let is_mark = |effect: &Effect| matches!(effect, Effect::MarkRead { .. });
    update(state, Input::Drawn).into_iter().partition(is_mark)
}

/// What is seen on so many columns and rows.
fn screen(state: &mut State, columns: u16, rows: u16) -> String {
    update(state, Input::Resize(columns, rows));
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(state, frame)).unwrap();
    text_of(terminal.backend().buffer())
}

/// The rows of a screen, without what is empty at their ends.
fn text_of(buffer: &Buffer) -> String {
    let mut text = String::new();
    for row in buffer.content().chunks(usize::from(buffer.area.width)) {
        let (mut line, mut hidden) = (String::new(), 0);
        for cell in row {
            if hidden == 0 {
                line.push_str(cell.symbol());
                hidden = width(cell.symbol());
            }
            hidden = hidden.saturating_sub(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
