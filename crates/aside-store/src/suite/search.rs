//! Search. What is found depends on the index, and what is in the index on the log alone.

use aside_proto::{
    id::{ConversationId, UserId},
    v1,
};
use bytes::Bytes;
use prost::Message as _;

use super::{Actor, Lab, Must as _, assert_refused, list};
use crate::{Append, Refused, Search};

list![
    messages_are_found_by_all_of_their_words,
    what_a_user_types_is_never_wrong_syntax,
    words_differ_neither_by_case_nor_by_marks,
    an_edited_message_is_found_by_its_new_text,
    edits_that_lead_nowhere_are_messages,
    payloads_may_be_anything,
    only_members_find_anything,
    results_come_in_pages_newest_first,
    pages_are_bounded_in_bytes,
    a_page_token_is_of_this_list,
    a_page_token_tells_nothing_of_rooms_that_are_not_the_askers,
    a_page_does_not_go_on_from_what_is_gone,
    the_index_follows_by_itself,
    a_long_log_is_indexed_in_parts,
    many_logs_are_indexed_together,
    edits_of_what_was_redacted_hide_nothing,
];

pub(crate) fn text(text: &str) -> v1::content::Body {
    v1::content::Body::Text(v1::Text { body: text.to_owned(), mentions: Vec::new() })
}

pub(crate) fn edit(of: (u64, &Append), body: &str) -> v1::content::Body {
    let to = v1::MessageRef { seq: of.0, message_id: of.1.message_id.to_bytes() };
    let text = Some(v1::Text { body: body.to_owned(), mentions: Vec::new() });
    v1::content::Body::Edit(v1::Edit { to: Some(to), text })
}

/// A room, and who talks in it.
pub(crate) struct Den<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) room: ConversationId,
}

impl<'a> Den<'a> {
    pub(crate) async fn new(lab: &'a Lab, owner: Actor) -> Self {
        Self { lab, room: lab.create(owner, "den").await }
    }

    pub(crate) async fn say(&self, actor: Actor, body: v1::content::Body) -> (u64, Append) {
        let payload = v1::Content { body: Some(body), reply_to: None }.encode_to_vec();
        self.put(actor, payload.into()).await
    }

    async fn put(&self, actor: Actor, payload: Bytes) -> (u64, Append) {
        let append = Append { payload, ..self.lab.message(actor, self.room, "") };
        (self.lab.store.append(append.clone()).await.must().seq, append)
    }

    /// The seqs of what is found, and of the edits with them; 0 for none.
    pub(crate) async fn find(&self, user: UserId, query: &str) -> Vec<(u64, u64)> {
        let search = searching(Some(self.room), query);
        let found = self.lab.store.search(user, &search).await.must();
        let seq = |entry: Option<&v1::Entry>| entry.map_or(0, seq);
        let results = found.results.iter();
        results.map(|result| (seq(result.message.as_ref()), seq(result.edit.as_ref()))).collect()
    }
}

fn seq(entry: &v1::Entry) -> u64 {
    v1::EntryHeader::decode(&entry.header[..]).must().seq
}

pub(crate) fn searching(conversation: Option<ConversationId>, query: &str) -> Search {
    let query = query.to_owned();
    Search { conversation, query, page_token: Bytes::new(), page_size: 50, max_bytes: usize::MAX }
}

// cites: SEARCH-001, SEARCH-003, SEARCH-009, SEARCH-014
async fn messages_are_found_by_all_of_their_words(lab: Lab) {
    let alice = lab.register("alice").await;
    let den = Den::new(&lab, alice).await;
    for said in ["green tea", "tea, and green beans", "e-mail about teapots"] {
        den.say(alice, text(said)).await;
    }
    for (query, expected) in [
        ("tea", vec![4, 3]),
        ("beans green", vec![4]),
        ("\"green tea\"", vec![3]),
        ("\"tea green\"", vec![]),
        ("te*", vec![5, 4, 3]),
        ("e-mail", vec![5]),
        ("mail e", vec![5]),
        ("\"mail e\"", vec![]),
        ("c1 tea", vec![]),
    ] {
        let found = den.find(alice.user, query).await;
        assert_eq!(found, Vec::from_iter(expected.iter().map(|&seq| (seq, 0))), "{query}");
    }
    let found = lab.store.search(alice.user, &searching(None, "beans")).await.must();
    let fetched = lab.store.fetch(alice.user, den.room, 4, 1, usize::MAX).await.must();
    assert_eq!(found.results[0].message, Some(fetched.entries[0].clone()));
}

// cites: SEARCH-004
async fn what_a_user_types_is_never_wrong_syntax(lab: Lab) {
    let alice = lab.register("alice").await;
    let den = Den::new(&lab, alice).await;
    den.say(alice, text("AND not {room body}: x NEAR(c1 y, 2)")).await;
    for query in
        ["and NOT", "{room body} : x", "NEAR(c1 y, 2)", "room:c1*NEAR x", "^x + -y", "x\0y NOT"]
    {
        let found = lab.store.search(alice.user, &searching(None, query)).await;
        assert!(found.is_ok(), "{query}: {found:?}");
    }
    assert_eq!(den.find(alice.user, "{room body} : x").await.len(), 1);
    assert_eq!(den.find(alice.user, "room:c1").await.len(), 0);
    let empty = lab.store.search(alice.user, &searching(None, "- \u{1f375} *")).await;
    assert_refused!(empty, Refused::QueryEmpty);
}

// cites: SEARCH-005
async fn words_differ_neither_by_case_nor_by_marks(lab: Lab) {
    let alice = lab.register("alice").await;
    let den = Den::new(&lab, alice).await;
    den.say(alice, text("Caf\u{e9} \u{1ead}n \u{41f}\u{420}\u{418}\u{412}\u{415}\u{422}")).await;
    for query in ["CAFE", "cafe\u{301}", "an", "\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}"] {
        assert_eq!(den.find(alice.user, query).await, [(3, 0)], "{query}");
    }
}

// cites: SEARCH-011, SEARCH-014
async fn an_edited_message_is_found_by_its_new_text(lab: Lab) {
    let alice = lab.register("alice").await;
    let den = Den::new(&lab, alice).await;
    let message = den.say(alice, text("old")).await;
    let of = (message.0, &message.1);
    assert_eq!(den.find(alice.user, "old").await, [(3, 0)]);
    den.say(alice, edit(of, "newer")).await;
    let last = den.say(alice, edit(of, "newest")).await;
    assert_eq!(den.find(alice.user, "old").await, []);
    assert_eq!(den.find(alice.user, "newer").await, []);
    assert_eq!(den.find(alice.user, "newest").await, [(3, last.0)]);
}

// cites: SEARCH-011, SEARCH-015
async fn edits_that_lead_nowhere_are_messages(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let den = Den::new(&lab, alice).await;
    lab.join(bob, den.room).await;
    let message = den.say(alice, text("word one")).await;
    let of = (message.0, &message.1);
    let other = lab.message(alice, den.room, "");
    let nowhere = [
        den.say(bob, edit(of, "word two")).await.0,
        den.say(alice, edit((message.0, &other), "word three")).await.0,
        den.say(alice, edit((1, &message.1), "word four")).await.0,
        den.say(alice, edit((u64::MAX, &message.1), "word five")).await.0,
        den.say(alice, edit((0, &message.1), "word six")).await.0,
    ];
    let edited = den.say(alice, edit(of, "word seven")).await;
    // An edit of an edit leads nowhere, either.
    let twice = den.say(alice, edit((edited.0, &edited.1), "word eight")).await.0;
    let own = nowhere.iter().rev().map(|&seq| (seq, 0));
    let expected: Vec<_> = [(twice, 0)].into_iter().chain(own).chain([(4, edited.0)]).collect();
    assert_eq!(den.find(bob.user, "word").await, expected);
    assert_eq!(den.find(bob.user, "one").await, []);
}

// cites: SEARCH-012, SEARCH-015
async fn payloads_may_be_anything(lab: Lab) {
    let alice = lab.register("alice").await;
    let den = Den::new(&lab, alice).await;
    let message = den.say(alice, text("word")).await;
    let to = Some(v1::MessageRef { seq: message.0, message_id: message.1.message_id.to_bytes() });
    let reaction = v1::Reaction { to: to.clone(), emoji: "word".to_owned(), remove: false };
    den.say(alice, v1::content::Body::Reaction(reaction)).await;
    den.say(alice, v1::content::Body::Edit(v1::Edit { to, text: None })).await;
    for payload in [&b"word"[..], b"\x1a\0", b"\xff\xff\xff", b"\x0a\x04word", b"\x82\x06\x04word"]
    {
        den.put(alice, Bytes::copy_from_slice(payload)).await;
    }
    den.say(alice, text("")).await;
    den.say(alice, text("\0word\0")).await;
    assert_eq!(den.find(alice.user, "word").await, [(12, 0), (3, 0)]);
}

// cites: SEARCH-006, SEARCH-007
async fn only_members_find_anything(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let den = Den::new(&lab, alice).await;
    let other = Den { lab: &lab, room: lab.create(bob, "other").await };
    den.say(alice, text("word")).await;
    other.say(bob, text("word")).await;
    let found = |user| {
        let lab = &lab;
        async move { lab.store.search(user, &searching(None, "word")).await.must().results.len() }
    };
    assert_eq!((found(alice.user).await, found(bob.user).await), (1, 1));
    let search = searching(Some(den.room), "word");
    assert_refused!(lab.store.search(bob.user, &search).await, Refused::NotAMember);
    let unknown = searching(Some(ConversationId::new(lab.bytes())), "word");
    assert_refused!(lab.store.search(bob.user, &unknown).await, Refused::NoSuchConversation);
    lab.join(bob, den.room).await;
    assert_eq!((den.find(bob.user, "word").await.len(), found(bob.user).await), (1, 2));
    lab.leave(bob, den.room).await;
    assert_refused!(lab.store.search(bob.user, &search).await, Refused::NotAMember);
    assert_eq!(found(bob.user).await, 1);
}

// cites: SEARCH-009, SEARCH-010
async fn results_come_in_pages_newest_first(lab: Lab) {
    let alice = lab.register("alice").await;
    let den = Den::new(&lab, alice).await;
    let other = Den { lab: &lab, room: lab.create(alice, "other").await };
    for number in 0..7 {
        let place = if number % 2 == 0 { &den } else { &other };
        place.say(alice, text(&format!("word {number}"))).await;
    }
    let mut search = Search { page_size: 3, ..searching(None, "word") };
    let mut numbers = Vec::new();
    loop {
        let page = lab.store.search(alice.user, &search).await.must();
        numbers.extend(page.results.iter().map(|result| {
            let payload = result.message.clone().unwrap_or_default().payload;
            payload.last().copied().unwrap_or_default() - b'0'
        }));
        // What comes meanwhile is on no later page.
        den.say(alice, text("word 9")).await;
        search.page_token = page.next_page_token;
        if search.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(numbers, [6, 5, 4, 3, 2, 1, 0]);
}

// cites: SEARCH-008
async fn pages_are_bounded_in_bytes(lab: Lab) {
    let alice = lab.register("alice").await;
    let den = Den::new(&lab, alice).await;
    let long = |word: &str| format!("{word} {}", "x".repeat(10_000));
    for _ in 0..4 {
        den.say(alice, text(&long("word"))).await;
    }
    let edited = den.say(alice, text(&long("edited"))).await;
    den.say(alice, edit((edited.0, &edited.1), &long("edited"))).await;

    let mut search = Search { max_bytes: 25_000, ..searching(None, "word") };
    let mut sizes = Vec::new();
    loop {
        let page = lab.store.search(alice.user, &search).await.must();
        assert!(page.encoded_len() <= search.max_bytes);
        sizes.push(page.results.len());
        search.page_token = page.next_page_token;
        if search.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(sizes, [2, 2]);
    let small = Search { max_bytes: 15_000, ..searching(None, "edited") };
    let page = lab.store.search(alice.user, &small).await.must();
    assert_eq!((page.results.len(), &page.results[0].edit), (1, &None));
}

// cites: SEARCH-010
async fn a_page_token_is_of_this_list(lab: Lab) {
    let alice = lab.register("alice").await;
    let den = Den::new(&lab, alice).await;
    for _ in 0..2 {
        den.say(alice, text("word")).await;
    }
    let search = Search { page_size: 1, ..searching(None, "word") };
    let token = lab.store.search(alice.user, &search).await.must().next_page_token;
    assert!(token.len() <= 64);
    let beyond = [&token[..17], &[0xff; 8]].concat();
    let unknown = [&token[..1], &[7; 24]].concat();
    let other = crate::page::token(crate::page::List::Rooms, &[7; 16]);
    for bad in [&token[..24], &token[..1], &[0; 25], &beyond, &unknown, &other[..]] {
        let search = Search { page_token: Bytes::copy_from_slice(bad), ..search.clone() };
        assert_refused!(lab.store.search(alice.user, &search).await, Refused::PageTokenInvalid);
    }
}

// cites: SEARCH-019
async fn a_page_token_tells_nothing_of_rooms_that_are_not_the_askers(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let den = Den::new(&lab, alice).await;
    let other = Den { lab: &lab, room: lab.create(bob, "other").await };
    for _ in 0..2 {
        den.say(alice, text("word")).await;
        other.say(bob, text("word")).await;
    }
    let search = Search { page_size: 1, ..searching(None, "word") };
    let page_token = lab.store.search(alice.user, &search).await.must().next_page_token;
    let search = Search { page_token, ..search };
    assert_refused!(lab.store.search(bob.user, &search).await, Refused::PageTokenInvalid);
    let elsewhere = Search { conversation: Some(other.room), ..search.clone() };
    lab.join(alice, other.room).await;
    assert_refused!(lab.store.search(alice.user, &elsewhere).await, Refused::PageTokenInvalid);
    assert!(lab.store.search(alice.user, &search).await.is_ok());
}

/// Or it would begin again with what the page before it had.
// cites: SEARCH-020
async fn a_page_does_not_go_on_from_what_is_gone(lab: Lab) {
    let alice = lab.register("alice").await;
    let den = Den::new(&lab, alice).await;
    let other = Den { lab: &lab, room: lab.create(alice, "other").await };
    den.say(alice, text("word")).await;
    other.say(alice, text("word")).await;
    let search = Search { page_size: 1, ..searching(None, "word") };
    let first = lab.store.search(alice.user, &search).await.must();
    let second = Search { page_token: first.next_page_token, ..search };
    assert_eq!(lab.store.search(alice.user, &second).await.must().results.len(), 1);
    lab.retain(alice, other.room, 0, 1).await;
    assert_refused!(lab.store.search(alice.user, &second).await, Refused::PageTokenInvalid);
}

// cites: SEARCH-001
async fn many_logs_are_indexed_together(lab: Lab) {
    let alice = lab.register("alice").await;
    for number in 0..100 {
        let room = Den { lab: &lab, room: lab.create(alice, &format!("room{number}")).await };
        room.say(alice, text("word")).await;
    }
    let search = Search { page_size: 100, ..searching(None, "word") };
    assert_eq!(lab.store.search(alice.user, &search).await.must().results.len(), 100);
}

// cites: SEARCH-012, SEARCH-010
async fn edits_of_what_was_redacted_hide_nothing(lab: Lab) {
    let (alice, bob) = (lab.register("alice").await, lab.register("bob").await);
    let den = Den::new(&lab, alice).await;
    lab.join(bob, den.room).await;
    let older = den.say(alice, text("word")).await.0;
    let message = den.say(alice, text("word")).await;
    for _ in 0..10 {
        den.say(bob, edit((message.0, &message.1), "word")).await;
    }
    assert_eq!(den.find(alice.user, "word").await.len(), 12);
    lab.store.redact(lab.redacting(alice, den.room, &[message.0])).await.must();
    let search = Search { page_size: 3, ..searching(Some(den.room), "word") };
    let page = lab.store.search(alice.user, &search).await.must();
    assert_eq!(
        page.results.iter().map(|r| r.message.as_ref().map_or(0, seq)).collect::<Vec<_>>(),
        [older]
    );
    assert!(page.next_page_token.is_empty());
}

// cites: SEARCH-001
async fn the_index_follows_by_itself(lab: Lab) {
    let alice = lab.register("alice").await;
    let den = Den::new(&lab, alice).await;
    den.say(alice, text("word")).await;
    assert!(!lab.store.index().await.must(), "no more to do");
    lab.effects();
    assert_eq!(den.find(alice.user, "word").await, [(3, 0)]);
    den.say(alice, text("word")).await;
    assert_eq!(den.find(alice.user, "word").await, [(4, 0), (3, 0)]);
    assert_eq!(lab.effects().len(), 1, "nobody is told of the index");
}

// cites: SEARCH-001
async fn a_long_log_is_indexed_in_parts(lab: Lab) {
    let alice = lab.register("alice").await;
    let den = Den::new(&lab, alice).await;
    let first = den.say(alice, text("old word")).await;
    for number in 0..600 {
        den.say(alice, text(&format!("number {number}"))).await;
    }
    den.say(alice, edit((first.0, &first.1), "new word")).await;
    assert_eq!(den.find(alice.user, "word").await, [(3, 604)]);
    assert_eq!(den.find(alice.user, "number 599").await, [(603, 0)]);
}
