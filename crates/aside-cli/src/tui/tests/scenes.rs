//! A room in which everything has happened once.

use aside_client::{DeviceId, GroupProfile, private};

use super::*;
use crate::chat::{Current, worker::Done};

/// Alice's screen in the middle of a conversation.
pub(super) fn busy() -> State {
    let mut state = started();
    let now = said(
        LOBBY,
        4,
        BOB,
        "Good morning! The meeting moves to eleven, in the small room on the second floor.",
    );
    let reactions = vec![
        Reaction { emoji: "👍".to_owned(), by: vec![person(ALICE), person(CAROL)] },
        Reaction { emoji: "+1".to_owned(), by: vec![person(BOB)] },
    ];
    let edited = Content::Text { mentions: vec![], edited: Some(7), reply: None, reactions };
    let changed = entry(
        LOBBY,
        4,
        BOB,
        message(
            4,
            Some(
                "Good morning! The meeting moves to half past eleven, in the small room on the second floor.",
            ),
            edited,
        ),
    );
    let reply = Content::Text {
        mentions: vec![Mention { who: person(ALICE), range: 0..6 }],
        edited: None,
        reply: Some(Reply { to: 6, there: true, redacted: false }),
        reactions: vec![],
    };
    let of = Content::Edit { of: 4, message: Some(Arc::new(changed)) };
    let unverified = What::Message {
        message_id: message_id(12),
        text: Some("Send me your password.".to_owned()),
        verified: false,
        repeats: None,
        content: plain(),
    };
    come(
        &mut state,
        [
            entry(LOBBY, 1, BOB, What::RoomCreated),
            entry(LOBBY, 2, ALICE, What::Joined { who: person(ALICE) }),
            entry(LOBBY, 3, CAROL, What::Joined { who: person(CAROL) }),
            now,
            entry(
                LOBBY,
                5,
                CAROL,
                What::Renamed { from: "carola".to_owned(), to: "carol".to_owned() },
            ),
            said(LOBBY, 6, ALICE, "I'll be there.\nWho brings the 漢字 dictionary?"),
            entry(LOBBY, 7, BOB, message(7, Some("Good morning! …"), of)),
            entry(LOBBY, 900, CAROL, message(900, Some("@alice I do \u{1b}[2J, as always"), reply)),
            entry(LOBBY, 901, CAROL, message(901, None, Content::Redacted)),
            entry(LOBBY, 902, 99, unverified),
            entry(LOBBY, 903, 99, What::Left { who: person(99) }),
        ],
    );
    result(
        &mut state,
        Outcome::Members(
            conversation(LOBBY),
            Ok(vec![
                member(CAROL, Role::Member, false),
                member(ALICE, Role::Member, true),
                member(BOB, Role::Owner, true),
            ]),
        ),
    );
    come(
        &mut state,
        [said(GARDEN, 2, BOB, "The tulips are up."), said(GARDEN, 3, BOB, "All of them.")],
    );
    drawn(&mut state);
    result(&mut state, Outcome::Unread(conversation(GARDEN), Some(2)));
    event(&mut state, moved(LOBBY, BOB, 903, 6));
    type_in(&mut state, "See you there\n");
    event(&mut state, outgoing(904, "See you there", Progress::Queued, None));
    type_in(&mut state, "And bring");
    state
}

/// Alice's screen in a private group, of which much is to be told.
pub(super) fn private() -> State {
    let mut state = started();
    let group = Room {
        kind: Kind::Group,
        name: "tea & cake".to_owned(),
        server_readable: false,
        role: Some(Role::Owner),
        unread: Some(0),
        ..room(ATTIC, 1)
    };
    let direct = Room {
        conversation: conversation(4),
        kind: Kind::Direct,
        name: "bob".to_owned(),
        unread: Some(2),
        ..group.clone()
    };
    let rooms = vec![room(LOBBY, 1), room(GARDEN, 1), group.clone(), direct];
    result(&mut state, Outcome::Rooms(Ok(rooms)));
    let here = Current { conversation: group.conversation, name: group.name, kind: group.kind };
    update(&mut state, Input::Done(Done::Room(Some(here))));
    let profile = GroupProfile::new("tea & cake", 0).unwrap();
    let named = Content::Profile { profile, counts: true };
    let people = |numbers: &[u8]| numbers.iter().map(|it| person(*it)).collect::<Vec<_>>();
    let unreadable = What::Unreadable {
        message_id: message_id(7),
        why: private::Unreadable::Refused(private::Reason::Tampered),
    };
    let changed = |added: &[u8], removed: &[u8]| What::MembersChanged {
        added: people(added),
        removed: people(removed),
        cut_off: people(removed),
        external: false,
    };
    let entries = [
        entry(ATTIC, 1, ALICE, What::RoomCreated),
        entry(ATTIC, 2, ALICE, What::GroupBegun { leaves: people(&[ALICE]), culprit: None }),
        entry(ATTIC, 3, ALICE, message(3, None, named)),
        entry(ATTIC, 4, ALICE, changed(&[BOB, CAROL], &[])),
        entry(ATTIC, 5, ALICE, What::RoleChanged { who: person(BOB), role: Some(Role::Admin) }),
        said(ATTIC, 6, BOB, "Nobody else can read this."),
        entry(ATTIC, 7, CAROL, unreadable),
        entry(ATTIC, 8, CAROL, What::RemovalPending { who: person(CAROL), left: true }),
        entry(ATTIC, 9, BOB, changed(&[], &[CAROL])),
    ];
    let group = |entry| Entry { kind: Kind::Group, room: "tea & cake".to_owned(), ..entry };
    come(&mut state, entries.map(group));
    let mallory = private::Owner { user: person(99).user, device: DeviceId::new([9; 16]) };
    let what = private::Event::CommitRefused {
        seq: 10,
        by: mallory,
        reason: private::Reason::Invalid,
        suspects: vec![],
    };
    let (conversation, room) = (conversation(ATTIC), "tea & cake".to_owned());
    let (people, left_behind) = (vec![person(99)], None);
    let kind = Kind::Group;
    event(&mut state, Event::Private { conversation, room, kind, what, people, left_behind });
    state
}
