//! What a private conversation is not to be told of at length: of what was said before its user came into it one line tells, rather
//! than a warning for each; and that it is called as it was, which is said again to those who come (PRIV-018), nobody needs to see.

use std::collections::BTreeMap;

use aside_client::{
    Content, ConversationId, Entry, GroupProfile, UserId, What, private::Unreadable,
};

/// Something to be shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Entry(Box<Entry>),
    /// So many messages that came before the user did.
    Earlier(usize),
    /// So many messages in a row from when this device was not there, up to this one.
    Missed(usize, Box<Entry>),
}

/// Whether by this entry somebody else lets the user in. A further device, which the user lets in, may miss what another one has.
pub(crate) fn lets_in(entry: &Entry, me: UserId) -> bool {
    let is_other = entry.by.as_ref().is_some_and(|by| by.user != me);
    match &entry.what {
        What::MembersChanged { added, external: false, .. } => {
            is_other && added.iter().any(|who| who.user == me)
        }
        _ => false,
    }
}

/// Whether it is a message from when this device was not there.
pub(crate) fn is_missed(entry: &Entry) -> bool {
    matches!(entry.what, What::Unreadable { why: Unreadable::NotHere, .. })
}

/// What a group is called since this entry, if it says so and might.
pub(crate) fn profile(entry: &Entry) -> Option<&GroupProfile> {
    match &entry.what {
        What::Message {
            verified: true,
            content: Content::Profile { profile, counts: true },
            ..
        } => Some(profile),
        _ => None,
    }
}

/// Whether an entry says what a group is called already; it is called so from then on.
fn says_again(called: &mut Option<GroupProfile>, entry: &Entry) -> bool {
    let Some(profile) = profile(entry) else { return false };
    called.replace(profile.clone()).as_ref() == Some(profile)
}

/// What is said of so many messages.
pub(crate) fn words(count: usize) -> String {
    match count {
        1 => "1 earlier message came before you joined".to_owned(),
        count => format!("{count} earlier messages came before you joined"),
    }
}

/// What is said of so many messages that this device was not there for, whether its user was or not.
pub(crate) fn missed_words(count: usize) -> String {
    match count {
        1 => "1 message can't be read: this device was not in the conversation when it was sent; another device of yours may \
              have it"
            .to_owned(),
        count => format!(
            "{count} messages can't be read: this device was not in the conversation when they were sent; another device of \
             yours may have them"
        ),
    }
}

/// Entries of one conversation, oldest first, as they are shown.
pub(crate) fn fold(entries: Vec<Entry>, me: UserId) -> Vec<Passed> {
    let joined = entries.iter().rev().find(|entry| lets_in(entry, me)).map_or(0, |it| it.seq);
    let is_earlier = |entry: &Entry| is_missed(entry) && entry.seq < joined;
    let count = entries.iter().filter(|entry| is_earlier(entry)).count();
    let mut first = (count > 0).then_some(Passed::Earlier(count));
    let mut called = None;
    let mut shown = Vec::with_capacity(entries.len());
    for entry in entries {
        if is_earlier(&entry) {
            shown.extend(first.take());
        } else if is_missed(&entry) {
            let count = match shown.pop_if(|last| matches!(last, Passed::Missed(..))) {
                Some(Passed::Missed(count, _)) => count + 1,
                _ => 1,
            };
            shown.push(Passed::Missed(count, Box::new(entry)));
        } else if !says_again(&mut called, &entry) {
            shown.push(Passed::Entry(Box::new(entry)));
        }
    }
    shown
}

/// Messages that come one by one, and are held back until it is known whether the user came after them.
#[derive(Debug, Default)]
pub(crate) struct Held {
    holding: BTreeMap<ConversationId, Holding>,
    /// What each group is called, as was shown last.
    called: BTreeMap<ConversationId, Option<GroupProfile>>,
}

/// What is known of a conversation.
#[derive(Debug)]
enum Holding {
    /// Nothing came yet that could be read: the last of what is held, and how many they are.
    Held { last: Option<Box<Entry>>, count: usize },
    /// Nothing is held any more: this device was in it, or all was shown.
    Over,
}

impl Holding {
    fn hold(&mut self, entry: Entry) {
        let Self::Held { last, count } = self else { return };
        (*last, *count) = (Some(Box::new(entry)), *count + 1);
    }

    /// Gives what was held, as what this device has missed.
    fn end(&mut self) -> Option<Passed> {
        match std::mem::replace(self, Self::Over) {
            Self::Held { last: Some(last), count } => Some(Passed::Missed(count, last)),
            _ => None,
        }
    }

    /// Gives what was held as what came before the user did.
    fn join(&mut self) -> Option<Passed> {
        match std::mem::replace(self, Self::Over) {
            Self::Held { count: count @ 1.., .. } => Some(Passed::Earlier(count)),
            _ => None,
        }
    }
}

impl Default for Holding {
    fn default() -> Self {
        Self::Held { last: None, count: 0 }
    }
}

impl Held {
    /// What is to be shown now that an entry has come.
    pub(crate) fn pass(&mut self, entry: &Entry, me: UserId) -> Vec<Passed> {
        // In a public room nothing is missed so.
        if !entry.kind.is_private() {
            return vec![Passed::Entry(Box::new(entry.clone()))];
        }
        let holding = self.holding.entry(entry.conversation).or_default();
        let mut shown = Vec::new();
        if is_missed(entry) {
            if let Holding::Held { .. } = holding {
                holding.hold(entry.clone());
                return shown;
            }
        } else if lets_in(entry, me) {
            shown.extend(holding.join());
        } else if !is_of_others(entry, me) {
            shown.extend(holding.end());
        }
        if !says_again(self.called.entry(entry.conversation).or_default(), entry) {
            shown.push(Passed::Entry(Box::new(entry.clone())));
        }
        shown
    }

    /// What is held of a conversation, to be shown since its user turns to it, or away from it.
    pub(crate) fn release(&mut self, conversation: ConversationId) -> Option<Passed> {
        self.holding.get_mut(&conversation).and_then(Holding::end)
    }

    /// What is held of each conversation, to be shown since no more comes.
    pub(crate) fn release_all(&mut self) -> Vec<Passed> {
        self.holding.values_mut().filter_map(Holding::end).collect()
    }
}

/// Whether it tells of others only, so that the user may still come.
fn is_of_others(entry: &Entry, me: UserId) -> bool {
    let is_change = matches!(
        entry.what,
        What::RoomCreated
            | What::GroupBegun { .. }
            | What::MembersChanged { .. }
            | What::RemovalPending { .. }
            | What::RoleChanged { .. }
            | What::CommitRejected { .. }
    );
    is_change && entry.by.as_ref().is_none_or(|by| by.user != me)
}

#[cfg(test)]
mod tests {
    use aside_client::{Content, IdempotencyKey, Kind, Person};

    use super::*;

    const ME: UserId = UserId::new([1; 16]);
    const BOB: UserId = UserId::new([2; 16]);

    fn entry(seq: u64, by: UserId, what: What) -> Entry {
        let by = Some(Person { user: by, handle: None });
        let conversation = ConversationId::new([7; 16]);
        let (kind, room) = (Kind::Group, "tea".to_owned());
        Entry { conversation, kind, room, seq, time_ms: 0, by, what, state: None }
    }

    fn missed(seq: u64) -> Entry {
        let message_id = IdempotencyKey::new([0; 16]);
        entry(seq, BOB, What::Unreadable { message_id, why: Unreadable::NotHere })
    }

    fn adds(seq: u64, by: UserId, who: UserId) -> Entry {
        let added = vec![Person { user: who, handle: None }];
        entry(
            seq,
            by,
            What::MembersChanged { added, removed: vec![], cut_off: vec![], external: false },
        )
    }

    fn says(seq: u64) -> Entry {
        let content = Content::Unknown;
        let message_id = IdempotencyKey::new([0; 16]);
        let (text, verified, repeats) = (None, true, None);
        entry(seq, BOB, What::Message { message_id, text, verified, repeats, content })
    }

    fn seqs(shown: &[Passed]) -> Vec<Result<u64, usize>> {
        let seq = |shown: &Passed| match shown {
            Passed::Entry(entry) => Ok(entry.seq),
            Passed::Earlier(count) | Passed::Missed(count, _) => Err(*count),
        };
        shown.iter().map(seq).collect()
    }

    #[test]
    fn what_came_before_the_user_is_one_line() {
        let carol = UserId::new([3; 16]);
        let mine =
            [missed(2), adds(3, BOB, carol), missed(4), adds(5, BOB, ME), says(6), missed(7)];
        let folded = fold(mine.to_vec(), ME);
        assert_eq!(seqs(&folded), [Err(2), Ok(3), Ok(5), Ok(6), Err(1)]);
        let mut held = Held::default();
        let came: Vec<_> = mine.iter().flat_map(|entry| held.pass(entry, ME)).collect();
        assert_eq!(seqs(&came), [Ok(3), Err(2), Ok(5), Ok(6), Ok(7)]);
        assert_eq!(seqs(&held.pass(&says(8), ME)), [Ok(8)]);
        assert_eq!(
            (words(1), words(2)),
            (
                "1 earlier message came before you joined".to_owned(),
                "2 earlier messages came before you joined".to_owned(),
            )
        );
    }

    #[test]
    fn a_name_that_is_said_again_is_not_shown_again() {
        let named = |seq, name: &str, counts| {
            let profile = GroupProfile::new(name, 0).unwrap();
            let (message_id, content) =
                (IdempotencyKey::new([0; 16]), Content::Profile { profile, counts });
            let (text, verified, repeats) = (None, true, None);
            entry(seq, BOB, What::Message { message_id, text, verified, repeats, content })
        };
        let carol = UserId::new([3; 16]);
        let all = [
            named(1, "tea", true),
            adds(2, BOB, carol),
            named(3, "tea", true),
            named(4, "jam", false),
            named(5, "tea", true),
            named(6, "jam", true),
            named(7, "tea", true),
        ];
        let shown = [1, 2, 4, 6, 7].map(Ok);
        assert_eq!(seqs(&fold(all.to_vec(), ME)), shown);
        let mut held = Held::default();
        let came: Vec<_> = all.iter().flat_map(|entry| held.pass(entry, ME)).collect();
        assert_eq!(seqs(&came), shown);
    }

    #[test]
    fn what_another_device_may_have_is_told_as_such() {
        let mine = [missed(2), missed(3), adds(4, ME, ME), says(5)];
        let all = [Err(2), Ok(4), Ok(5)];
        assert_eq!(seqs(&fold(mine.to_vec(), ME)), all);
        let mut held = Held::default();
        let came: Vec<_> = mine.iter().flat_map(|entry| held.pass(entry, ME)).collect();
        assert_eq!(seqs(&came), all);
    }

    #[test]
    fn each_run_of_what_was_missed_is_one_line() {
        let mine = [says(1), missed(2), missed(3), says(4), missed(5), missed(6), missed(7)];
        assert_eq!(seqs(&fold(mine.to_vec(), ME)), [Ok(1), Err(2), Ok(4), Err(3)]);
        assert!(missed_words(3).starts_with("3 messages can't be read: this device was not"));
        assert!(missed_words(1).starts_with("1 message can't be read: this device was not"));
    }

    #[test]
    fn what_is_missed_after_something_could_be_read_is_told_at_once() {
        let mut held = Held::default();
        held.pass(&says(1), ME);
        assert_eq!(seqs(&held.pass(&missed(2), ME)), [Ok(2)], "it was in, and dropped out");
        assert_eq!(seqs(&held.pass(&adds(3, BOB, ME), ME)), [Ok(3)]);
    }

    #[test]
    fn what_is_held_is_one_line_when_no_more_comes() {
        let mut held = Held::default();
        let room = ConversationId::new([7; 16]);
        assert!(held.pass(&missed(1), ME).is_empty() && held.pass(&missed(2), ME).is_empty());
        assert_eq!(held.release(room), Some(Passed::Missed(2, Box::new(missed(2)))));
        assert_eq!(held.release(room), None, "once");
        assert_eq!(seqs(&held.pass(&missed(3), ME)), [Ok(3)], "nor is it held again");

        let hold = || {
            let mut held = Held::default();
            assert!((1..=90).all(|seq| held.pass(&missed(seq), ME).is_empty()));
            held
        };
        assert_eq!(seqs(&hold().release_all()), [Err(90)]);
        assert_eq!(seqs(&hold().pass(&adds(91, BOB, ME), ME)), [Err(90), Ok(91)]);
        assert_eq!(seqs(&hold().pass(&says(91), ME)), [Err(90), Ok(91)]);
    }
}
