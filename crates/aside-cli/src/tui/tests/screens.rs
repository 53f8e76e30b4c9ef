//! Screens as they are drawn.

use aside_client::{GroupProfile, Kind, Notice, RoomSettings};
use crossterm::event::MouseEventKind;
use proptest::prelude::*;
use ratatui::style::{Color, Modifier};

use super::{
    scenes::{busy, private},
    *,
};
use crate::chat::worker::Done;

#[test]
fn a_conversation_on_eighty_columns() {
    insta::assert_snapshot!(screen(&mut busy(), 80, 24));
}

#[test]
fn a_conversation_on_a_hundred_and_twenty_columns_with_its_members() {
    insta::assert_snapshot!(screen(&mut busy(), 120, 40));
}

#[test]
fn a_conversation_on_forty_columns_has_no_panes() {
    insta::assert_snapshot!(screen(&mut busy(), 40, 12));
}

#[test]
fn help_names_every_key_and_command() {
    let mut state = busy();
    press(&mut state, KeyCode::F(1), KeyModifiers::NONE);
    insta::assert_snapshot!(screen(&mut state, 80, 144));
    let small = screen(&mut state, 40, 12);
    press(&mut state, KeyCode::PageDown, KeyModifiers::NONE);
    assert_ne!(screen(&mut state, 40, 12), small, "it scrolls");
}

#[test]
fn what_is_wrong_is_seen_with_its_remedy() {
    let mut state = busy();
    event(
        &mut state,
        Event::Tampering {
            conversation: conversation(LOBBY),
            room: "lobby".to_owned(),
            kind: Kind::PublicRoom,
            what: "history up to entry 4 was changed".to_owned(),
        },
    );
    event(
        &mut state,
        Event::Connection(Connection::Offline {
            reason: "can't reach chat.example:7423: connection refused".to_owned(),
            retry_in: std::time::Duration::from_secs(4),
        }),
    );
    insta::assert_snapshot!(screen(&mut state, 80, 24));
}

#[test]
fn a_chosen_message_and_the_search_for_a_room() {
    let mut state = busy();
    press(&mut state, KeyCode::Up, KeyModifiers::CONTROL);
    let chosen = screen(&mut state, 80, 24);
    press(&mut state, KeyCode::Char('k'), KeyModifiers::CONTROL);
    type_in(&mut state, "a");
    insta::assert_snapshot!(format!("{chosen}\n{}", screen(&mut state, 80, 24)));
}

#[test]
fn the_new_are_divided_from_what_was_read() {
    let mut state = busy();
    press(&mut state, KeyCode::Char('a'), KeyModifiers::ALT);
    insta::assert_snapshot!(screen(&mut state, 60, 8));
}

#[test]
fn private_conversations_stand_apart_and_say_what_they_are() {
    let mut state = private();
    insta::assert_snapshot!(screen(&mut state, 80, 24));
}

#[test]
fn a_name_that_is_said_again_is_not_shown_again() {
    let mut state = private();
    let shown = |state: &mut State| screen(state, 120, 40).matches("calls the group").count();
    let before = shown(&mut state);
    for (seq, name) in [(11, "tea & cake"), (12, "coffee")] {
        let profile = GroupProfile::new(name, 0).unwrap();
        let named = message(seq, None, Content::Profile { profile, counts: true });
        come(&mut state, [Entry { kind: Kind::Group, ..entry(ATTIC, seq, ALICE, named) }]);
        assert_eq!(shown(&mut state), before + usize::from(name == "coffee"));
    }
}

#[test]
fn what_came_from_a_device_that_was_revoked_says_so_and_what_to_do() {
    let mut state = private();
    let mut what = message(11, Some("It is me, from the old phone."), plain());
    if let What::Message { verified, .. } = &mut what {
        *verified = false;
    }
    let late = Entry { kind: Kind::Group, ..entry(ATTIC, 11, BOB, what) };
    come(&mut state, [late]);
    let shown = screen(&mut state, 120, 40);
    let words: Vec<_> = shown.split_whitespace().filter(|it| !it.contains('\u{2502}')).collect();
    let words = words.join(" ");
    assert!(
        words.contains("it came from a device that was revoked before this was read"),
        "{shown}"
    );
    assert!(words.contains("/verify bob"), "{shown}");
}

#[test]
fn before_any_room_it_says_how_to_get_into_one() {
    let mut state = blank();
    event(&mut state, Event::Connection(Connection::Online { handle: "alice".to_owned() }));
    let lobby = Room { role: None, ..room(LOBBY, 1) };
    result(&mut state, Outcome::Rooms(Ok(vec![lobby])));
    insta::assert_snapshot!(screen(&mut state, 80, 8));
}

#[test]
fn passwords_are_not_shown() {
    let mut state = busy();
    update(&mut state, Input::Paste(String::new()));
    press(&mut state, KeyCode::Char('c'), KeyModifiers::CONTROL);
    type_in(&mut state, "/passwd\nold secret\tnew secret");
    let shown = screen(&mut state, 80, 24);
    assert!(shown.contains("**********") && !shown.contains("secret"), "{shown}");
}

// cites: MSG-010
#[test]
fn nothing_that_others_made_can_act() {
    let mut state = started();
    let name = "m\u{1b}]0;x\u{7}\u{202e}y";
    let by = Person { user: person(99).user, handle: Some(name.to_owned()) };
    let content = Content::Text {
        mentions: vec![Mention { who: by.clone(), range: 2..5 }],
        edited: None,
        reply: Some(Reply { to: 2, there: true, redacted: false }),
        reactions: vec![Reaction { emoji: "\u{1b}c\u{202e}".to_owned(), by: vec![by.clone()] }],
    };
    let text = "a\u{1b}[2J\u{202e}b\u{9b}31m\r\n\u{8}c";
    for (seq, what) in [
        (2, message(2, Some(text), plain())),
        (3, message(3, Some(text), content)),
        (4, What::Joined { who: by.clone() }),
        (5, What::Renamed { from: name.to_owned(), to: name.to_owned() }),
    ] {
        let entry = Entry { by: Some(by.clone()), ..entry(LOBBY, seq, BOB, what) };
        event(&mut state, Event::Entry(entry));
    }
    let evil = Room { name: "r\u{1b}[2J\u{202e}".to_owned(), ..room(GARDEN, 1) };
    result(&mut state, Outcome::Rooms(Ok(vec![room(LOBBY, 1), evil])));
    let members = vec![Member { handle: name.to_owned(), ..member(BOB, Role::Member, true) }];
    result(&mut state, Outcome::Members(conversation(LOBBY), Ok(members)));
    update(&mut state, Input::Done(Done::Says(text.to_owned())));
    update(&mut state, Input::Done(Done::Warns(text.to_owned(), 1)));
    update(&mut state, Input::Paste(text.to_owned()));
    for size in [(120, 40), (20, 40)] {
        let shown = screen(&mut state, size.0, size.1);
        let acts = |c: char| {
            c != '\n'
                && (c.is_control()
                    || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        };
        assert!(!shown.chars().any(acts), "{shown:?}");
        assert!(shown.contains('\u{fffd}'));
    }
}

#[test]
fn colours_are_those_of_the_theme_and_stay_with_the_account() {
    let styles = |theme: ThemeName, handle: &str| {
        let mut state = started();
        state.theme = theme.theme();
        let by = Person { user: person(BOB).user, handle: Some(handle.to_owned()) };
        let said = Entry { by: Some(by), ..said(LOBBY, 2, BOB, "hello") };
        event(&mut state, Event::Entry(said));
        update(&mut state, Input::Resize(50, 8));
        let mut terminal = Terminal::new(TestBackend::new(50, 8)).unwrap();
        terminal.draw(|frame| draw(&state, frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let colours: Vec<_> = buffer.content().iter().map(|cell| (cell.fg, cell.bg)).collect();
        let name =
            buffer.content().iter().find(|cell| cell.symbol() == &handle[..1]).unwrap().clone();
        (colours, name)
    };
    let (colours, name) = styles(ThemeName::None, "xob");
    assert!(colours.iter().all(|colour| *colour == (Color::Reset, Color::Reset)));
    assert!(name.modifier.contains(Modifier::BOLD));
    for theme in [ThemeName::Dark, ThemeName::Light] {
        let (_, name) = styles(theme, "xob");
        assert_ne!(name.fg, Color::Reset);
        assert_eq!(name.fg, styles(theme, "zob").1.fg, "whatever it calls itself");
    }
    assert_ne!(styles(ThemeName::Dark, "xob").0, styles(ThemeName::Light, "xob").0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_size_and_no_sequence_of_keys_breaks_it(
        sizes in proptest::collection::vec((0_u16..130, 0_u16..45), 1..4),
        keys in proptest::collection::vec((0_usize..33, 0_u8..3), 0..40),
    ) {
        let mut state = busy();
        for (columns, rows) in sizes {
            update(&mut state, Input::Resize(columns, rows));
            for (key, modifier) in &keys {
                let modifier = [KeyModifiers::NONE, KeyModifiers::CONTROL, KeyModifiers::ALT][usize::from(*modifier)];
                let codes = [
                    KeyCode::Enter, KeyCode::Tab, KeyCode::Esc, KeyCode::Up, KeyCode::Down, KeyCode::Left, KeyCode::Right,
                    KeyCode::Home, KeyCode::End, KeyCode::PageUp, KeyCode::PageDown, KeyCode::Backspace, KeyCode::Delete,
                    KeyCode::F(1), KeyCode::F(2), KeyCode::F(3),
                ];
                let code = codes.get(*key).copied().unwrap_or_else(|| {
                    KeyCode::Char("?/kaweru+-漢jpny12".chars().nth(*key - codes.len()).unwrap())
                });
                press(&mut state, code, modifier);
                let mouse = crossterm::event::MouseEvent {
                    kind: if *key % 2 == 0 { MouseEventKind::ScrollUp } else { MouseEventKind::Down(crossterm::event::MouseButton::Left) },
                    column: columns / 2,
                    row: u16::try_from(*key).unwrap() % rows.max(1),
                    modifiers: KeyModifiers::NONE,
                };
                update(&mut state, Input::Mouse(mouse));
            }
            screen(&mut state, columns.max(1), rows.max(1));
        }
    }
}

#[test]
fn what_is_deleted_is_gone_and_what_the_operator_says_is_seen() {
    let mut state = started();
    come(
        &mut state,
        [said(LOBBY, 2, BOB, "the key lies under the pot"), said(LOBBY, 3, BOB, "hi")],
    );
    assert!(screen(&mut state, 80, 24).contains("under the pot"));
    let settings = |topic: &str| RoomSettings { topic: topic.to_owned(), ..Default::default() };
    let told = What::RoomUpdated { now: settings("pots and pans"), before: None };
    let deleted = What::Redacted { seqs: vec![2] };
    come(&mut state, [entry(LOBBY, 4, BOB, deleted), entry(LOBBY, 5, BOB, told)]);
    let (text, warning, time_ms) = ("The server stops at ten.".to_owned(), true, 0);
    event(&mut state, Event::Notice(Notice { text, warning, time_ms }));
    let by = person(CAROL);
    event(&mut state, Event::Invited { room: room(ATTIC, 3), by });
    let shown = screen(&mut state, 100, 24);
    for (text, times) in [
        ("under the pot", 0),
        ("bob sent a message that was removed", 1),
        ("#lobby  pots and pans", 1),
        ("invites you to #attic", 1),
    ] {
        assert_eq!(shown.matches(text).count(), times, "{text}:\n{shown}");
    }
    assert!(shown.contains("The server stops at ten."), "{shown}");
}
