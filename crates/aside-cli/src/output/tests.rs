use std::sync::Arc;

use aside_client::{ConversationId, IdempotencyKey, Reaction, Reply};

use super::*;

fn entry(what: What) -> Entry {
    let handle = Some("al\u{202e}ice".to_owned());
    Entry {
        conversation: ConversationId::new([1; 16]),
        kind: Kind::PublicRoom,
        room: "lobby".into(),
        seq: 5,
        time_ms: 0,
        by: Some(Person { user: UserId::new([2; 16]), handle }),
        what,
        state: None,
    }
}

fn plain() -> Content {
    Content::Text { mentions: Vec::new(), edited: None, reply: None, reactions: Vec::new() }
}

fn says(text: &str, content: Content) -> Entry {
    let message_id = IdempotencyKey::new([3; 16]);
    let text = Some(text.to_owned()).filter(|text| !text.is_empty());
    entry(What::Message { message_id, text, verified: true, repeats: None, content })
}

fn message(text: Option<&str>, verified: bool) -> Entry {
    let message_id = IdempotencyKey::new([3; 16]);
    let content = if text.is_some() { plain() } else { Content::Unknown };
    let text = text.map(str::to_owned);
    entry(What::Message { message_id, text, verified, repeats: None, content })
}

#[test]
fn who_was_put_out_is_told_from_a_device_that_was_lost() {
    let person = |number, handle: &str| Person {
        user: UserId::new([number; 16]),
        handle: Some(handle.to_owned()),
    };
    let (bob, carol) = (person(4, "bob"), person(5, "carol"));
    let change = |cut_off: &[Person]| {
        let removed = vec![bob.clone(), carol.clone()];
        let cut_off = cut_off.to_vec();
        entry(What::MembersChanged { added: vec![], removed, cut_off, external: false })
    };
    let show = |cut_off: &[Person]| Style::plain().entry(&change(cut_off)).unwrap();
    assert_eq!(show(&[]), "al\u{fffd}ice removed bob, carol");
    assert_eq!(
        show(std::slice::from_ref(&carol)),
        "al\u{fffd}ice removed bob; renewed keys without devices that are gone, of carol"
    );
}

#[test]
fn a_group_passes_for_nothing_else() {
    let named = |kind, name| title(kind, name);
    assert_eq!(
        (named(Kind::Direct, "bob"), named(Kind::Group, "bob")),
        ("@bob".into(), "bob".into())
    );
    assert_eq!(named(Kind::PublicRoom, "bob"), "bob");
    for name in ["@bob", "#lobby", " @bob", "\u{200b}@bob", "\u{ff20}bob", "\u{1f512}@bob"] {
        assert_eq!(named(Kind::Group, name), format!("\\{name}"));
    }
    assert_eq!(Style::plain().place(Kind::Group, "\u{202e}@bob"), "private \\\u{fffd}@bob");
    assert_eq!(Style::plain().place(Kind::Direct, "bob"), "private @bob");
    assert_eq!(
        Style { colour: false, signs: true }.place(Kind::Direct, "bob"),
        format!("{LOCK}@bob")
    );
}

// cites: MSG-008, MSG-010, MSG-011, MSG-013
#[test]
fn messages_are_shown_for_what_they_are() {
    let show = |entry: &Entry| Style::plain().entry(entry).unwrap();
    assert_eq!(show(&message(Some("hi\x1b[2J"), true)), "al\u{fffd}ice: hi\u{fffd}[2J");
    assert_eq!(
        show(&message(Some("one\nbob: two"), true)),
        "al\u{fffd}ice: one\n    bob: two",
        "a line of a text does not look like a message"
    );
    assert!(show(&message(Some("hi"), false)).contains("NOT VERIFIED"));
    let mut repeated = message(Some("hi"), false);
    if let What::Message { repeats, .. } = &mut repeated.what {
        *repeats = Some(3);
    }
    assert!(show(&repeated).contains("REPEATED by the server: said once, as entry 3"));
    assert!(show(&message(None, true)).contains("can't show"));
}

#[test]
fn what_came_from_a_device_that_was_revoked_says_so_and_what_to_do() {
    let late = Entry { kind: Kind::Direct, ..message(Some("hi"), false) };
    let shown = Style::plain().entry(&late).unwrap();
    assert_eq!(
        shown,
        "al\u{fffd}ice (NOT VERIFIED: it came from a device that was revoked before this was read; ask al\u{fffd}ice by another way \
         whether al\u{fffd}ice said it: /verify al\u{fffd}ice): hi"
    );
    let public = Style::plain().entry(&message(Some("hi"), false)).unwrap();
    assert!(public.contains("(NOT VERIFIED: not signed by the sender's device)"), "{public}");
}

#[test]
fn colour_is_only_for_those_who_want_it() {
    let person = Person { user: UserId::new([2; 16]), handle: Some("bob".into()) };
    assert_eq!(Style::plain().person(&person), "bob");
    assert!(Style { colour: true, signs: true }.person(&person).starts_with("\x1b["));
    let renamed = Person { handle: Some("bobby".into()), ..person.clone() };
    let colour = |person| Style { colour: true, signs: true }.person(person)[..5].to_owned();
    assert_eq!(colour(&renamed), colour(&person));
}

#[test]
fn programs_get_the_whole_entry() {
    let value = entry_json(&message(Some("hi"), true));
    assert_eq!(value["kind"], "message");
    assert_eq!(value["text"], "hi");
    assert_eq!(value["time"], "1970-01-01T00:00:00Z");
    assert_eq!(value["seq"], 5);
}

// cites: CONT-006, CONT-007, CONT-011, MSG-010
#[test]
fn a_message_shows_what_became_of_it() {
    let bob = Person { user: UserId::new([4; 16]), handle: Some("bob".into()) };
    let content = |there| Content::Text {
        mentions: Vec::new(),
        edited: Some(9),
        reply: Some(Reply { to: 3, there, redacted: false }),
        reactions: vec![Reaction { emoji: "+\u{202e}1".into(), by: vec![bob.clone()] }],
    };
    let show = |there| Style::plain().entry(&says("hi", content(there))).unwrap();
    assert_eq!(show(true), "al\u{fffd}ice (answers [3]): hi (edited)\n    +\u{fffd}1 bob");
    assert!(show(false).contains("(answers [3], which is not there): hi"));
    let private = Entry { kind: Kind::Group, ..says("hi", content(false)) };
    let shown = Style::plain().entry(&private).unwrap();
    assert!(shown.contains("(answers [3], which can't be read here): hi"), "{shown}");
    let value = entry_json(&says("hi", content(true)));
    assert_eq!(value["content"]["reply"]["there"], true);
    assert_eq!(value["content"]["reactions"][0]["by"][0]["handle"], "bob");
}

// cites: CONT-009, CONT-013, CONT-014
#[test]
fn reactions_and_edits_are_news_and_no_history() {
    let style = Style::plain();
    let tea = || Some(Arc::new(says("Tea?\nNow", plain())));
    let reacts = |to, remove| says("", Content::Reaction { to, emoji: "+1".into(), remove });
    let news = |entry: &Entry| style.entry(entry);
    assert_eq!(
        news(&reacts(tea(), false)).unwrap(),
        "al\u{fffd}ice reacts +1 to [5] Tea?\u{fffd}Now"
    );
    assert!(news(&reacts(tea(), true)).unwrap().contains("takes back +1 to [5]"));
    assert_eq!(news(&reacts(None, false)), None);
    assert_eq!(style.past_entry(&reacts(tea(), false)), None);

    let edits = |message| says("Coffee?", Content::Edit { of: 5, message });
    assert_eq!(news(&edits(tea())).unwrap(), "al\u{fffd}ice edits [5]: Coffee?");
    assert_eq!(style.past_entry(&edits(tea())), None);
    let stray = style.past_entry(&edits(None)).unwrap();
    assert_eq!(stray, "al\u{fffd}ice (an edit of [5], which is not shown): Coffee?");
    assert_eq!(news(&says("", Content::Hidden)), None);
    assert_eq!(news(&says("", Content::Redacted)).unwrap(), "al\u{fffd}ice: message deleted");
    assert_eq!(entry_json(&edits(tea()))["content"]["message"]["text"], "Tea?\nNow");
}

// cites: REDACT-015, REDACT-017
#[test]
fn what_was_deleted_is_said() {
    let style = Style::plain();
    assert!(style.entry(&says("", Content::Missing)).unwrap().contains("nothing says yet"));
    let public = says("", Content::Redacted);
    let mut came_so = Entry { kind: Kind::Direct, ..public.clone() };
    assert_eq!(style.entry(&came_so), style.entry(&public));
    if let What::Message { verified, .. } = &mut came_so.what {
        *verified = false;
    }
    let shown = style.entry(&came_so).unwrap();
    assert!(shown.contains("ice: message deleted (nothing is left of it"), "{shown}");
    let deletion = entry(What::Redacted { seqs: (3..13).collect() });
    let shown = style.entry(&deletion).unwrap();
    assert_eq!(shown, "al\u{fffd}ice deletes [3] [4] [5] [6] [7] [8] [9] [10] and 2 more");
    assert_eq!(style.past_entry(&deletion), None, "its messages say so themselves");
    assert_eq!(entry_json(&deletion)["seqs"][9], 12);
    let answer = Content::Text {
        mentions: Vec::new(),
        edited: None,
        reply: Some(Reply { to: 3, there: false, redacted: true }),
        reactions: Vec::new(),
    };
    assert!(style.entry(&says("hi", answer)).unwrap().contains("(answers [3], which was deleted)"));
}
