//! What keys, events and results make of the state.

use aside_client::{Overview, Retention};
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use zeroize::Zeroizing;

use super::*;
use crate::{
    chat::{
        Current,
        command::{About, Command},
        worker::Done,
    },
    retention::NO_OLDER,
    tui::{state::Overlay, update::PAGE},
};

fn click(state: &mut State, column: u16, row: u16) -> Vec<Effect> {
    let kind = MouseEventKind::Down(MouseButton::Left);
    update(state, Input::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
}

fn current(state: &State) -> &str {
    &state.room().unwrap().name
}

fn room_of(state: &State, number: u8) -> &crate::tui::state::Room {
    &state.rooms[&conversation(number)]
}

#[test]
fn it_begins_in_the_default_room_and_asks_for_what_it_shows() {
    let mut state = blank();
    let online = Connection::Online { handle: "alicia".to_owned() };
    assert_eq!(event(&mut state, Event::Connection(online)), [Effect::ListRooms]);
    assert_eq!(state.handle, "alicia");
    let rooms = vec![room(GARDEN, 1), room(LOBBY, 1)];
    let effects = result(&mut state, Outcome::Rooms(Ok(rooms)));
    assert_eq!(effects, [Effect::Members(conversation(LOBBY))]);
    assert_eq!(current(&state), "lobby");
    assert_eq!(result(&mut state, Outcome::Rooms(Ok(vec![room(LOBBY, 1)]))), []);
}

#[test]
fn without_a_server_it_begins_with_what_is_kept() {
    let mut state = blank();
    let garden = Overview {
        conversation: conversation(GARDEN),
        name: "garden".to_owned(),
        kind: Kind::PublicRoom,
        unread: Some(1),
        read: 1,
        head: 2,
        last: None,
        tampering: None,
    };
    let Event::Outgoing(mut waiting) = outgoing(9, "to be sent", Progress::Queued, None) else {
        unreachable!()
    };
    waiting.conversation = garden.conversation;
    result(&mut state, Outcome::Kept { overview: vec![garden], outbox: vec![waiting] });
    come(&mut state, [said(GARDEN, 1, BOB, "kept here"), said(GARDEN, 2, BOB, "unread")]);
    let shown = screen(&mut state, 80, 24);
    for text in ["bob: kept here", "\u{2500} new \u{2500}", "you: to be sent queued"] {
        assert!(shown.contains(text), "{shown}");
    }
    assert_eq!(drawn(&mut state).0, [Effect::MarkRead { of: conversation(GARDEN), seq: 2 }]);
}

#[test]
fn a_line_is_said_once_and_marked_by_what_became_of_it() {
    let mut state = started();
    let say = |text: &str| [Effect::Say { to: conversation(LOBBY), text: text.to_owned() }];
    assert_eq!(type_in(&mut state, "hello\n"), say("hello"));
    event(&mut state, outgoing(2, "hello", Progress::Queued, None));
    assert!(screen(&mut state, 80, 24).contains("you: hello queued"));
    event(&mut state, outgoing(2, "hello", Progress::Sent, Some(2)));
    assert!(screen(&mut state, 80, 24).contains("you: hello \u{2713}"));
    come(&mut state, [said(LOBBY, 2, ALICE, "hello")]);
    for (watermark, mark) in [
        (None, "\u{2713}\n"),
        (Some(moved(LOBBY, BOB, 2, 1)), "\u{2713}\u{2713}\n"),
        (Some(moved(LOBBY, CAROL, 2, 2)), "\u{2713}\u{2713} read\n"),
    ] {
        watermark.map(|watermark| event(&mut state, watermark));
        let shown = screen(&mut state, 80, 24);
        assert!(shown.contains(&format!("alice: hello {mark}")), "{mark:?} in:\n{shown}");
        assert!(!shown.contains("you:"), "{shown}");
    }

    // The log may be faster than the acknowledgement.
    come(&mut state, [said(LOBBY, 3, ALICE, "again")]);
    event(&mut state, outgoing(3, "again", Progress::Sent, Some(3)));
    let shown = screen(&mut state, 80, 24);
    assert!(!shown.contains("you:") && shown.contains("alice: again \u{2713}"), "{shown}");
}

#[test]
fn what_is_not_sent_says_why_and_is_not_lost() {
    let mut state = started();
    let (reason, remedy) = ("you are banned.".to_owned(), Some("Ask an owner.".to_owned()));
    event(&mut state, outgoing(2, "hello", Progress::Queued, None));
    event(&mut state, outgoing(2, "hello", Progress::Failed { reason, remedy }, None));
    let shown = screen(&mut state, 80, 24);
    assert!(shown.contains("not sent: you are banned. Ask an owner."), "{shown}");
    let (message_id, conversation) = (message_id(2), conversation(LOBBY));
    event(&mut state, Event::Discarded { message_id, conversation });
    assert!(!screen(&mut state, 80, 24).contains("not sent"), "it was discarded");

    type_in(&mut state, "too long\n");
    let (to, text, problem) = (conversation, "too long".to_owned(), "Cut it".to_owned());
    result(&mut state, Outcome::Unsaid { to, text, problem });
    assert_eq!(state.composer.text(), "too long");
    assert!(screen(&mut state, 80, 24).contains("Cut it"));
}

#[test]
fn commands_are_those_of_chat() {
    let mut state = started();
    let run = |state: &mut State, line: &str| {
        let here = state.here();
        match &mut type_in(state, line)[..] {
            [Effect::Do { here: typed_in, command }] => {
                assert_eq!(*typed_in, here);
                command.clone()
            }
            other => unreachable!("{line:?} has {other:?} done"),
        }
    };
    assert_eq!(run(&mut state, "/users\n"), Command::Users(None));
    assert_eq!(run(&mut state, "/reply 3 yes\n"), Command::About(3, About::Reply("yes".into())));
    assert_eq!(run(&mut state, "/join attic\n"), Command::Join("attic".into()));
    // A sign that says what is meant is believed: there is nobody called so.
    assert_eq!(run(&mut state, "/join @garden\n"), Command::Join("@garden".into()));
    assert_eq!(type_in(&mut state, "/join garden\n"), [Effect::Members(conversation(GARDEN))]);
    assert_eq!(current(&state), "garden", "known already");
    assert_eq!(type_in(&mut state, "/jump\n"), []);
    assert_eq!((state.alert.is_some(), state.composer.text()), (true, ""));
    press(&mut state, KeyCode::Up, KeyModifiers::NONE);
    assert_eq!(state.composer.text(), "/jump", "it is not lost");
    press(&mut state, KeyCode::Char('u'), KeyModifiers::CONTROL);
    assert_eq!(type_in(&mut state, "/quit\n"), [Effect::Quit]);
    type_in(&mut state, "/help\n");
    assert!(matches!(state.overlay, Some(Overlay::Help { .. })));
}

#[test]
fn what_a_command_says_stands_in_the_window_and_what_fails_is_not_overlooked() {
    let mut state = started();
    update(&mut state, Input::Done(Done::Says("lobby  3 members".to_owned())));
    update(&mut state, Input::Done(Done::Warns("there is no room cellar".to_owned(), 1)));
    let shown = screen(&mut state, 80, 24);
    assert!(shown.contains("-- lobby  3 members") && shown.contains("there is no room cellar"));
    press(&mut state, KeyCode::Esc, KeyModifiers::NONE);
    assert!(!screen(&mut state, 80, 24).contains("cellar"));
}

#[test]
fn what_comes_elsewhere_is_counted_by_the_client_and_marked_when_it_was_shown() {
    let mut state = started();
    let (garden, lobby) = (conversation(GARDEN), conversation(LOBBY));
    let news =
        [said(GARDEN, 2, BOB, "one"), said(GARDEN, 3, BOB, "two"), said(LOBBY, 2, BOB, "here")];
    assert_eq!(come(&mut state, news), [Effect::Count(garden)], "once for both");
    assert_eq!(drawn(&mut state).0, [Effect::MarkRead { of: lobby, seq: 2 }]);
    assert_eq!(drawn(&mut state).0, [], "once");
    let counted = result(&mut state, Outcome::Unread(garden, Some(1)));
    assert_eq!(counted, [Effect::Count(garden)], "there were more meanwhile");
    assert_eq!(result(&mut state, Outcome::Unread(garden, Some(2))), []);
    assert!(screen(&mut state, 80, 24).contains("#garden        2"));

    let read_elsewhere = event(&mut state, moved(GARDEN, ALICE, 3, 2));
    assert_eq!(read_elsewhere, [Effect::Count(garden)]);
    result(&mut state, Outcome::Unread(garden, Some(1)));
    press(&mut state, KeyCode::Char('a'), KeyModifiers::ALT);
    assert_eq!(current(&state), "garden");
    let shown = screen(&mut state, 80, 24);
    assert!(shown.find("one") < shown.find("\u{2500} new") && shown.contains("two"), "{shown}");
    assert_eq!(drawn(&mut state).0, [Effect::MarkRead { of: garden, seq: 3 }]);
    assert_eq!(room_of(&state, GARDEN).unread, Some(0));
}

#[test]
fn a_server_that_does_not_count_has_news_all_the_same() {
    let mut state = started();
    come(&mut state, [said(GARDEN, 2, BOB, "one")]);
    result(&mut state, Outcome::Unread(conversation(GARDEN), None));
    assert!(screen(&mut state, 80, 24).contains("#garden      new"));
}

#[test]
fn a_window_nobody_looks_at_is_not_read() {
    let mut state = started();
    update(&mut state, Input::Focus(false));
    come(&mut state, [said(LOBBY, 2, BOB, "are you there?")]);
    assert_eq!(drawn(&mut state).0, []);
    update(&mut state, Input::Focus(true));
    assert_eq!(drawn(&mut state).0, [Effect::MarkRead { of: conversation(LOBBY), seq: 2 }]);
    assert!(
        screen(&mut state, 80, 24).contains("\u{2500} new \u{2500}"),
        "it is seen where it began"
    );
}

#[test]
fn drafts_stay_with_their_rooms() {
    let mut state = started();
    type_in(&mut state, "for the lobby");
    press(&mut state, KeyCode::Char('n'), KeyModifiers::CONTROL);
    assert_eq!((current(&state), state.composer.text()), ("garden", ""));
    press(&mut state, KeyCode::Char('p'), KeyModifiers::CONTROL);
    assert_eq!((current(&state), state.composer.text()), ("lobby", "for the lobby"));
}

// cites: ROOM-001
#[test]
fn a_click_on_a_room_turns_to_it_or_says_what_it_is() {
    let mut state = started();
    screen(&mut state, 80, 24);
    click(&mut state, 3, 1);
    assert_eq!(current(&state), "garden");
    click(&mut state, 3, 3);
    assert_eq!((current(&state), state.composer.text()), ("garden", "/join attic"));
    assert!(screen(&mut state, 80, 24).contains("attic is a public room: the server can read it"));
}

#[test]
fn paging_asks_for_what_is_not_here_once() {
    let mut state = started();
    let page = |before| Effect::Page { of: conversation(LOBBY), before, count: PAGE };
    let line = |seq| said(LOBBY, seq, BOB, &format!("line {seq}"));
    let pages = |state: &mut State| drawn(state).1;
    come(&mut state, (500..510).map(line));
    assert_eq!((pages(&mut state), pages(&mut state)), (vec![page(500)], vec![]));
    come(&mut state, (510..600).map(line));
    result(&mut state, page_of((400..500).map(line).collect(), 1));
    assert!(screen(&mut state, 80, 24).contains("line 599"));
    let mut asked = Vec::new();
    for _ in 0..40 {
        press(&mut state, KeyCode::PageUp, KeyModifiers::NONE);
        asked.append(&mut pages(&mut state));
    }
    assert_eq!(asked, [page(400)]);
    let before = screen(&mut state, 80, 24);
    assert!(before.contains("line 400"), "{before}");
    result(&mut state, page_of((1..400).map(line).collect(), 1));
    assert!(screen(&mut state, 80, 24).contains("line 400"), "what is read stays where it is");
    press(&mut state, KeyCode::Home, KeyModifiers::CONTROL);
    assert!(screen(&mut state, 80, 24).contains("line 1\n"), "and that is the beginning");
    assert_eq!(pages(&mut state), []);
    for _ in 0..40 {
        press(&mut state, KeyCode::PageDown, KeyModifiers::NONE);
    }
    press(&mut state, KeyCode::End, KeyModifiers::CONTROL);
    assert!(screen(&mut state, 80, 24).contains("line 599"));
}

// cites: RET-012
#[test]
fn where_older_messages_are_no_longer_kept_the_window_says_so() {
    let mut state = started();
    let line = |seq: u64| said(LOBBY, seq, BOB, &format!("line {seq}"));
    come(&mut state, (41..45).map(line));
    assert!(!screen(&mut state, 80, 24).contains(NO_OLDER), "not before it is known");
    result(&mut state, page_of((31..41).map(line).collect(), 31));
    let asked = drawn(&mut state).1;
    let page = Effect::Page { of: conversation(LOBBY), before: 31, count: PAGE };
    assert_eq!(asked, [page]);
    result(&mut state, page_of(Vec::new(), 31));
    let shown = screen(&mut state, 80, 24);
    let (above, below) = shown.split_once(NO_OLDER).expect("it is said");
    assert!(!above.contains("line") && below.contains("line 31"), "{shown}");
    assert_eq!(drawn(&mut state).1, []);

    // What was kept here is shown, and where it ends for the server.
    let mut state = started();
    come(&mut state, (41..45).map(line));
    result(&mut state, page_of((1..5).chain(40..41).map(line).collect(), 40));
    let shown = screen(&mut state, 80, 24);
    let (above, below) = shown.split_once("the server no longer keeps what is above").unwrap();
    assert!(above.contains("line 4") && below.contains("line 40"), "{shown}");
    assert!(!shown.contains(NO_OLDER), "{shown}");

    // Without a connection nobody knows.
    let mut state = started();
    come(&mut state, (41..45).map(line));
    result(&mut state, page_of(Vec::new(), 1));
    assert!(!screen(&mut state, 80, 24).contains(NO_OLDER));
}

// cites: RET-011
#[test]
fn the_title_says_how_much_is_kept() {
    let mut state = started();
    let retention = Retention { max_age_s: 30 * 86_400, max_entries: 0 };
    let limited = Room { retention, ..room(LOBBY, 1) };
    let attic = Room { retention, ..room(ATTIC, 9) };
    result(&mut state, Outcome::Rooms(Ok(vec![limited, room(GARDEN, 1), attic])));
    let shown = screen(&mut state, 90, 24);
    let title = shown.lines().next().unwrap();
    assert!(title.contains("server-readable, kept for 30 days, 3 members"), "{title}");
}

#[test]
fn scrolling_up_and_down_again_shows_the_same_rows() {
    let mut state = started();
    let text = |seq: u64| "word ".repeat(usize::try_from(seq % 40).unwrap());
    come(&mut state, (1..200).map(|seq| said(LOBBY, seq, BOB, &text(seq))));
    screen(&mut state, 80, 24);
    let mut seen = Vec::new();
    for _ in 0..30 {
        seen.push(screen(&mut state, 80, 24));
        press(&mut state, KeyCode::Up, KeyModifiers::SHIFT);
    }
    for expected in seen.iter().rev() {
        press(&mut state, KeyCode::Down, KeyModifiers::SHIFT);
        assert_eq!(&screen(&mut state, 80, 24), expected);
    }
}

#[test]
fn a_burst_is_taken_in_and_a_key_after_it_is_answered() {
    let mut state = started();
    screen(&mut state, 80, 24);
    come(&mut state, (2..10_002).map(|seq| said(LOBBY, seq, BOB, &format!("line {seq}"))));
    type_in(&mut state, "x");
    let shown = screen(&mut state, 80, 24);
    assert!(shown.contains("line 10001") && shown.contains("lobby> x"), "{shown}");
    assert!(state.timeline().len() <= 2_000, "what is far back is fetched when it is wanted");
}

#[test]
fn a_chosen_message_is_answered_edited_and_reacted_to() {
    let mut state = started();
    come(&mut state, [said(LOBBY, 2, ALICE, "mine"), said(LOBBY, 3, BOB, "his")]);
    let choose = |state: &mut State, key: char| {
        press(state, KeyCode::Char('u'), KeyModifiers::CONTROL);
        press(state, KeyCode::Up, KeyModifiers::CONTROL);
        press(state, KeyCode::Char(key), KeyModifiers::NONE);
        state.composer.text().to_owned()
    };
    assert_eq!(choose(&mut state, 'r'), "/reply 3 ");
    assert_eq!(choose(&mut state, '+'), "/react 3 ");
    assert_eq!(choose(&mut state, 'd'), "/delete 3");
    assert_eq!(choose(&mut state, 'p'), "/pin 3");
    assert_eq!(choose(&mut state, 'e'), "", "it is not hers to edit");
    press(&mut state, KeyCode::Up, KeyModifiers::CONTROL);
    press(&mut state, KeyCode::Up, KeyModifiers::NONE);
    press(&mut state, KeyCode::Char('e'), KeyModifiers::NONE);
    assert_eq!(state.composer.text(), "/edit 2 mine");
}

#[test]
fn members_are_asked_for_again_when_they_change() {
    let mut state = started();
    let ask = [Effect::Members(conversation(LOBBY))];
    let joined = |seq| entry(LOBBY, seq, CAROL, What::Joined { who: person(CAROL) });
    assert_eq!(come(&mut state, [joined(2), joined(3)]), [], "they are being asked for");
    let members = |state: &mut State| {
        let members = vec![member(BOB, Role::Owner, true)];
        result(state, Outcome::Members(conversation(LOBBY), Ok(members)))
    };
    assert_eq!(members(&mut state), ask, "and have changed since");
    assert_eq!(members(&mut state), []);
    assert_eq!(come(&mut state, [joined(4)]), ask);
}

#[test]
fn tab_completes_commands_rooms_and_handles() {
    let mut state = started();
    let members = vec![member(BOB, Role::Owner, true), member(CAROL, Role::Member, true)];
    result(&mut state, Outcome::Members(conversation(LOBBY), Ok(members)));
    let complete = |state: &mut State, text: &str| {
        press(state, KeyCode::Char('u'), KeyModifiers::CONTROL);
        type_in(state, text);
        press(state, KeyCode::Tab, KeyModifiers::NONE);
        state.composer.text().to_owned()
    };
    assert_eq!(complete(&mut state, "/passw"), "/passwd ");
    assert_eq!(complete(&mut state, "/re"), "/re", "reply, react, recovery, revoke");
    assert!(state.hint.as_deref().is_some_and(|hint| hint.contains("/reply")));
    assert_eq!(complete(&mut state, "/join ga"), "/join garden ");
    assert_eq!(complete(&mut state, "CA"), "carol: ");
    assert_eq!(complete(&mut state, "hello @bo"), "hello @bob ");
}

#[test]
fn ctrl_c_takes_back_what_is_written_and_then_ends() {
    let mut state = started();
    type_in(&mut state, "a thought");
    let interrupt = |state: &mut State| press(state, KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(interrupt(&mut state), []);
    press(&mut state, KeyCode::Up, KeyModifiers::NONE);
    assert_eq!(state.composer.text(), "a thought");
    interrupt(&mut state);
    assert_eq!(interrupt(&mut state), [Effect::Quit]);
    assert_eq!(press(&mut state, KeyCode::Char('d'), KeyModifiers::CONTROL), [Effect::Quit]);
}

#[test]
fn passwords_are_asked_for_and_compared() {
    let mut state = started();
    type_in(&mut state, "/passwd\nold one\nnew one\nnew two\n");
    assert!(
        state.overlay.is_none() && state.alert.as_deref().is_some_and(|it| it.contains("differ"))
    );
    let effects = type_in(&mut state, "/passwd\nold one\nnew one\nnew one\n");
    let [Effect::ChangePassword(secrets)] = &effects[..] else { unreachable!("{effects:?}") };
    assert_eq!((secrets.old.as_str(), secrets.new.as_str()), ("old one", "new one"));
    assert_eq!(format!("{effects:?}"), "[ChangePassword(Secrets(..))]");
}

#[test]
fn what_is_pasted_is_not_sent_by_itself() {
    let mut state = started();
    let pasted = Input::Paste("one\r\ntwo\n".to_owned());
    assert_eq!(without_asides(update(&mut state, pasted)), []);
    assert_eq!(state.composer.text(), "one\ntwo\n");
    let effects = press(&mut state, KeyCode::Enter, KeyModifiers::NONE);
    let text = "one\ntwo".to_owned();
    assert_eq!(effects, [Effect::Say { to: conversation(LOBBY), text }]);
}

#[test]
fn a_phrase_is_neither_said_nor_brought_back() {
    let mut state = started();
    let phrase = aside_client::new_recovery_phrase(aside_client::Strength::Bits128).reveal();
    for line in [format!(" {}", *phrase), format!("/dm bob {}", *phrase)] {
        type_in(&mut state, &line);
        assert_eq!(press(&mut state, KeyCode::Enter, KeyModifiers::NONE), []);
        assert!(state.alert.take().unwrap().contains("NOT SAID"));
        press(&mut state, KeyCode::Up, KeyModifiers::NONE);
        assert!(!state.composer.text().contains(&*phrase));
    }
}

#[test]
fn a_phrase_is_shown_until_it_is_written_down() {
    let mut state = started();
    let phrase = |text: &str| Input::Done(Done::Phrase(Zeroizing::new(text.to_owned())));
    update(&mut state, phrase("K7QF-FIRST\nwrite it down"));
    update(&mut state, Input::Done(Done::Room(Some(here(GARDEN)))));
    update(&mut state, phrase("2M9X-SECOND\nwrite it down"));
    assert!(screen(&mut state, 80, 24).contains("2M9X-SECOND"));
    update(&mut state, Input::Done(Done::Written));
    update(&mut state, Input::Done(Done::Says("the phrase counts".to_owned())));
    let shown = screen(&mut state, 80, 24);
    assert!(shown.contains("the phrase counts") && !shown.contains("2M9X"), "{shown}");
    update(&mut state, Input::Done(Done::Room(Some(here(LOBBY)))));
    let shown = screen(&mut state, 80, 24);
    assert!(!shown.contains("K7QF"), "the one before is gone, too: {shown}");
}

#[test]
fn what_is_left_of_a_room_is_read_and_nothing_is_said_in_it() {
    let mut state = started();
    let effects = without_asides(update(&mut state, Input::Done(Done::Kept(here(ATTIC)))));
    let of = conversation(ATTIC);
    assert_eq!(effects, [Effect::Page { of, before: u64::MAX, count: PAGE }]);
    let entries = Ok(vec![said(ATTIC, 7, BOB, "hello")]);
    assert_eq!(result(&mut state, Outcome::Page { of, entries, first_kept: 0 }), []);
    assert_eq!((current(&state), state.timeline().last_seq()), ("attic", 7));
    assert_eq!(type_in(&mut state, "still here?\n"), []);
    assert!(state.alert.as_ref().unwrap().contains("you are in #attic no longer"));
    assert_eq!(state.composer.text(), "still here?", "it is not lost");
}

fn here(number: u8) -> Current {
    let name = name(number).to_owned();
    Current { conversation: conversation(number), name, kind: Kind::PublicRoom }
}
