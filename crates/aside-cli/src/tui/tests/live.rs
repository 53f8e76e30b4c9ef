//! Who writes, what others have to say, what is pinned, and who is asked in.

use aside_client::{Pin, Presence, PresenceSettings, private};

use super::*;
use crate::chat::{command::Command, rooming::Rooming, worker::Done};

fn typing(who: u8, typing: bool) -> Event {
    Event::Typing { conversation: conversation(LOBBY), who: person(who), typing }
}

/// The line above the one that is written in.
fn status(state: &mut State) -> String {
    let shown = screen(state, 80, 24);
    shown.lines().nth(22).unwrap().to_owned()
}

// cites: TYPE-006
#[test]
fn those_who_write_are_shown_until_they_have_said_it_or_time_has_passed() {
    let mut state = started();
    update(&mut state, Input::Time(1_000));
    event(&mut state, typing(BOB, true));
    assert!(status(&mut state).contains("bob is writing\u{2026}"));
    event(&mut state, typing(CAROL, true));
    assert!(status(&mut state).contains("bob and carol are writing"));
    come(&mut state, [said(LOBBY, 2, BOB, "there")]);
    assert!(status(&mut state).contains("  carol is writing"), "bob has said it");
    event(&mut state, typing(ALICE, true));
    update(&mut state, Input::Time(6_999));
    assert!(status(&mut state).contains("  carol is writing"), "alice knows what she does");
    update(&mut state, Input::Time(7_000));
    assert!(!status(&mut state).contains("writing"));

    event(&mut state, typing(BOB, true));
    let (online, text) = (false, String::new());
    event(&mut state, Event::Presence(Presence { who: person(BOB), online, status: text }));
    assert!(!status(&mut state).contains("writing"), "who is gone writes nothing");
    event(&mut state, typing(BOB, true));
    event(&mut state, typing(BOB, false));
    assert!(!status(&mut state).contains("writing"));
}

// cites: TYPE-007
#[test]
fn what_is_being_written_is_told_and_commands_are_not() {
    let mut state = started();
    let mut key = |code| update(&mut state, Input::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    let told = |typing| [Effect::Typing { of: conversation(LOBBY), typing }];
    assert_eq!(key(KeyCode::Char('h')), told(true));
    assert_eq!(key(KeyCode::Char('i')), told(true));
    assert_eq!(key(KeyCode::Left), [], "nothing was written");
    assert_eq!(key(KeyCode::Right), []);
    key(KeyCode::Backspace);
    assert_eq!(key(KeyCode::Backspace), told(false));
    key(KeyCode::Char('x'));
    let text = "x".to_owned();
    assert_eq!(key(KeyCode::Enter), [Effect::Say { to: conversation(LOBBY), text }]);
    for c in "/nick al".chars() {
        assert_eq!(key(KeyCode::Char(c)), []);
    }
}

#[test]
fn what_others_and_the_user_have_to_say_is_shown() {
    let mut state = started();
    let members = vec![member(BOB, Role::Owner, true), member(CAROL, Role::Member, true)];
    result(&mut state, Outcome::Members(conversation(LOBBY), Ok(members)));
    let statuses = [(person(BOB).user, "at lunch\u{1b}".to_owned())];
    result(&mut state, Outcome::Statuses(statuses.into()));
    let shown = screen(&mut state, 100, 24);
    assert!(
        shown.contains("\u{25cf} bob owner") && shown.contains("   at lunch\u{fffd}"),
        "{shown}"
    );
    let presence = |online, text: &str| {
        let status = text.to_owned();
        Event::Presence(Presence { who: person(BOB), online, status })
    };
    event(&mut state, presence(true, "back"));
    let shown = screen(&mut state, 100, 24);
    assert!(shown.contains("   back") && !shown.contains("lunch"), "{shown}");
    event(&mut state, presence(false, ""));
    assert!(!screen(&mut state, 100, 24).contains("   back"));
    // What has no room is counted.
    result(&mut state, Outcome::Statuses([(person(CAROL).user, "here".to_owned())].into()));
    assert!(screen(&mut state, 100, 4).contains("and 1 more"));

    let settings = |hidden| {
        let status = "writing a book".to_owned();
        PresenceSettings { hidden, status, private_receipts: false }
    };
    result(&mut state, Outcome::Settings(settings(false)));
    assert!(status(&mut state).contains("chat.example \u{201c}writing a book\u{201d}"));
    update(&mut state, Input::Done(Done::Presence(settings(true))));
    assert!(status(&mut state).contains("chat.example (hidden) \u{201c}writing a book\u{201d}"));
    event(&mut state, Event::PresenceSettings(settings(false)));
    let shown = screen(&mut state, 80, 24);
    assert!(shown.contains("on another device: others see") && !shown.contains("(hidden)"));
}

#[test]
fn pins_are_marks_and_a_list_from_which_one_goes_to_them() {
    let mut state = blank();
    let online = Event::Connection(Connection::Online { handle: "alice".to_owned() });
    let effects = update(&mut state, Input::Event(Box::new(online)));
    assert_eq!(effects, [Effect::ListRooms, Effect::Settings]);
    let effects = update(&mut state, Input::Result(Outcome::Rooms(Ok(vec![room(LOBBY, 1)]))));
    let ask = Effect::Pins(conversation(LOBBY));
    assert!(effects.contains(&ask), "{effects:?}");
    let lines = (2..60).map(|seq| said(LOBBY, seq, BOB, &format!("line {seq}")));
    come(&mut state, lines);
    let pin = |seq, message| Pin { seq, pin_seq: 60, message };
    let pins = vec![pin(3, Some(said(LOBBY, 3, BOB, "line 3"))), pin(1, None)];
    let pinned = |state: &mut State, pins: Vec<Pin>| {
        update(state, Input::Result(Outcome::Pins(conversation(LOBBY), Ok(pins))))
    };
    assert_eq!(pinned(&mut state, pins.clone()), []);

    press(&mut state, KeyCode::F(4), KeyModifiers::NONE);
    let listed = screen(&mut state, 80, 24);
    press(&mut state, KeyCode::Enter, KeyModifiers::NONE);
    let there = screen(&mut state, 80, 24);
    insta::assert_snapshot!(format!("{listed}\n{there}"));
    press(&mut state, KeyCode::Char('p'), KeyModifiers::NONE);
    assert_eq!(state.composer.text(), "/unpin 3");
    assert!(screen(&mut state, 80, 24).contains("[4] bob: line 4"), "numbers are of use now");
    let effects = press(&mut state, KeyCode::Enter, KeyModifiers::NONE);
    let command = Command::Rooming(Rooming::SetPin(3, false));
    assert_eq!(effects, [Effect::Do { here: state.here(), command }]);

    // What changes is asked for again.
    let message = None;
    let what = What::Pinned { seq: 3, pinned: false, message };
    let change = |seq| Input::Event(Box::new(Event::Entry(entry(LOBBY, seq, BOB, what.clone()))));
    assert_eq!(update(&mut state, change(60)), [ask]);
    assert_eq!(update(&mut state, change(61)), [], "it is being asked for");
    let ask = Effect::Pins(conversation(LOBBY));
    assert_eq!(pinned(&mut state, pins), [ask], "and has changed since");
    assert_eq!(pinned(&mut state, vec![]), []);
    assert!(!screen(&mut state, 80, 24).contains("(pinned)"));
    type_in(&mut state, "/pins\n");
    assert!(state.overlay.is_none() && status(&mut state).contains("nothing is pinned here"));
}

// cites: ROOM-001
#[test]
fn who_is_invited_sees_it_at_the_start_and_gets_in() {
    let mut state = blank();
    event(&mut state, Event::Connection(Connection::Online { handle: "alice".to_owned() }));
    let attic = Room { invited: true, ..room(ATTIC, 9) };
    result(&mut state, Outcome::Rooms(Ok(vec![room(LOBBY, 1), attic.clone()])));
    let shown = screen(&mut state, 80, 24);
    for text in [" !attic", "you are invited to #attic: /join attic goes there"] {
        assert!(shown.contains(text), "{text} in:\n{shown}");
    }
    // Once is enough.
    let before = shown.matches("you are invited").count();
    result(&mut state, Outcome::Rooms(Ok(vec![room(LOBBY, 1), attic.clone()])));
    assert_eq!(screen(&mut state, 80, 24).matches("you are invited").count(), before);
    press(&mut state, KeyCode::Char('2'), KeyModifiers::ALT);
    let shown = screen(&mut state, 80, 24);
    assert!(shown.contains("attic is a public room: the server can read it"), "{shown}");
    let join = Command::Join("attic".to_owned());
    let effects = press(&mut state, KeyCode::Enter, KeyModifiers::NONE);
    assert_eq!(effects, [Effect::Do { here: state.here(), command: join }]);

    // While the user sits there, it comes by itself.
    let mut state = started();
    let effects = event(&mut state, Event::Invited { room: attic, by: person(BOB) });
    assert_eq!(effects, [Effect::ListRooms]);
    assert!(screen(&mut state, 80, 24).contains("bob invites you to #attic"));
}

#[test]
fn a_room_that_is_lost_is_warned_of() {
    let mut state = started();
    let (conversation, room) = (conversation(LOBBY), "lobby".to_owned());
    let kind = Kind::PublicRoom;
    let lost = Event::Unfollowed { conversation, room: room.clone(), kind, by: None, reason: None };
    assert_eq!(event(&mut state, lost), [Effect::ListRooms]);
    let shown = screen(&mut state, 80, 24);
    assert!(shown.contains("lobby is no longer followed") && shown.contains("operator"), "{shown}");

    let (kind, by) = (Kind::Group, Some(person(BOB)));
    let lost = Event::Unfollowed { conversation, room, kind, by, reason: None };
    assert_eq!(event(&mut state, lost), [Effect::ListRooms]);
    let shown = screen(&mut state, 80, 24);
    assert!(shown.contains("bob has removed you") && !shown.contains("lobby. ask"), "{shown}");
}

#[test]
fn what_came_before_the_user_is_one_line() {
    let mut state = scenes::private();
    let missed = |seq| {
        let why = private::Unreadable::NotHere;
        entry(ATTIC, seq, BOB, What::Unreadable { message_id: message_id(seq), why })
    };
    let added = vec![person(ALICE)];
    let added = What::MembersChanged { added, removed: vec![], cut_off: vec![], external: false };
    let entries = [missed(11), missed(12), entry(ATTIC, 13, BOB, added)];
    come(
        &mut state,
        entries.map(|entry| Entry { kind: Kind::Group, room: "tea & cake".to_owned(), ..entry }),
    );
    let shown = screen(&mut state, 80, 40);
    assert!(shown.contains("2 earlier messages came before you joined"), "{shown}");
    assert!(!shown.contains("CAN'T BE READ: it was sent when"), "{shown}");
    assert_eq!(shown.matches("bob added alice").count(), 1, "{shown}");
}
