//! What was said in a private conversation before its user came into it: one line tells of all that, rather than a warning for each.

use std::collections::HashMap;

use aside_client::{ConversationId, Entry, UserId, What, private::Unreadable};

/// Something to be shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Entry(Box<Entry>),
    /// So many messages that came before the user did.
    Earlier(usize),
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

/// What is said of so many messages.
pub(crate) fn words(count: usize) -> String {
    match count {
        1 => "1 earlier message came before you joined".to_owned(),
        count => format!("{count} earlier messages came before you joined"),
    }
}

/// Entries of one conversation, oldest first, as they are shown.
pub(crate) fn fold(entries: Vec<Entry>, me: UserId) -> Vec<Passed> {
    let joined = entries.iter().rev().find(|entry| lets_in(entry, me)).map_or(0, |it| it.seq);
    let is_earlier = |entry: &Entry| is_missed(entry) && entry.seq < joined;
    let count = entries.iter().filter(|entry| is_earlier(entry)).count();
    let mut first = (count > 0).then_some(Passed::Earlier(count));
    let show = |entry: Entry| match is_earlier(&entry) {
        true => first.take(),
        false => Some(Passed::Entry(Box::new(entry))),
    };
    entries.into_iter().filter_map(show).collect()
}

/// Messages that come one by one, and are held back until it is known whether the user came after them.
#[derive(Debug, Default)]
pub(crate) struct Held(HashMap<ConversationId, Vec<Entry>>);

impl Held {
    /// What is to be shown now that an entry has come.
    pub(crate) fn pass(&mut self, entry: &Entry, me: UserId) -> Vec<Passed> {
        if is_missed(entry) {
            self.0.entry(entry.conversation).or_default().push(entry.clone());
            return Vec::new();
        }
        let mut shown = Vec::new();
        if lets_in(entry, me) {
            let held = self.0.remove(&entry.conversation);
            shown.extend(held.map(|held| Passed::Earlier(held.len())));
        } else if !is_of_others(entry, me) {
            let held = self.0.remove(&entry.conversation).unwrap_or_default();
            shown.extend(held.into_iter().map(|entry| Passed::Entry(Box::new(entry))));
        }
        shown.push(Passed::Entry(Box::new(entry.clone())));
        shown
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
        entry(seq, by, What::MembersChanged { added, removed: Vec::new(), external: false })
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
            Passed::Earlier(count) => Err(*count),
        };
        shown.iter().map(seq).collect()
    }

    #[test]
    fn what_came_before_the_user_is_one_line() {
        let carol = UserId::new([3; 16]);
        let mine =
            [missed(2), adds(3, BOB, carol), missed(4), adds(5, BOB, ME), says(6), missed(7)];
        let folded = fold(mine.to_vec(), ME);
        assert_eq!(seqs(&folded), [Err(2), Ok(3), Ok(5), Ok(6), Ok(7)]);
        let mut held = Held::default();
        let came: Vec<_> = mine.iter().flat_map(|entry| held.pass(entry, ME)).collect();
        assert_eq!(seqs(&came), [Ok(3), Err(2), Ok(5), Ok(6)]);
        assert_eq!(seqs(&held.pass(&says(8), ME)), [Ok(7), Ok(8)], "nothing is lost");
        assert_eq!(
            (words(1), words(2)),
            (
                "1 earlier message came before you joined".to_owned(),
                "2 earlier messages came before you joined".to_owned(),
            )
        );
    }

    #[test]
    fn what_another_device_may_have_is_told_as_such() {
        let mine = [missed(2), missed(3), adds(4, ME, ME), says(5)];
        let all = [Ok(2), Ok(3), Ok(4), Ok(5)];
        assert_eq!(seqs(&fold(mine.to_vec(), ME)), all);
        let mut held = Held::default();
        let came: Vec<_> = mine.iter().flat_map(|entry| held.pass(entry, ME)).collect();
        assert_eq!(seqs(&came), all);
    }
}
