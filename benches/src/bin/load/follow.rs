//! How a member keeps up with its room: pushed entries in turn, and pages of the log for what was not pushed.

use anyhow::{Context as _, Result, bail, ensure};
use aside_proto::{
    id::ConversationId,
    v1::{self, client_frame, server_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;

use crate::check::{Checker, Stamp};

/// One member's place in one room's log (PUSH-009), without I/O: frames in, requests out.
#[derive(Debug)]
pub(crate) struct Follower {
    room: ConversationId,
    cursor: u64,
    /// The last entry that came by Fetch: a push of it or of one before is no duplicate.
    fetched_to: u64,
    /// While a Fetch is out: the last entry known of.
    fetching: Option<u64>,
    gaps: u64,
    checker: Checker,
}

impl Follower {
    /// A member that has had all entries up to this one.
    pub(crate) fn new(room: ConversationId, cursor: u64) -> Self {
        let checker = Checker::default();
        Self { room, cursor, fetched_to: cursor, fetching: None, gaps: 0, checker }
    }

    /// The room.
    pub(crate) fn room(&self) -> ConversationId {
        self.room
    }

    /// The last entry it has had.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether no Fetch is out.
    pub(crate) fn is_level(&self) -> bool {
        self.fetching.is_none()
    }

    /// How often the server told that it had left entries out.
    pub(crate) fn gaps(&self) -> u64 {
        self.gaps
    }

    /// What it has seen.
    pub(crate) fn checker(&self) -> &Checker {
        &self.checker
    }

    /// Asks for what there is past the cursor.
    pub(crate) fn catch_up(&mut self) -> client_frame::Body {
        self.fetching.get_or_insert(self.cursor);
        client_frame::Body::Fetch(v1::Fetch {
            conversation_id: self.room.to_bytes(),
            from_seq: self.cursor + 1,
            ..v1::Fetch::default()
        })
    }

    /// Takes an event or a page; hands new messages to `seen` and returns the request that is due, if one is.
    pub(crate) fn take(
        &mut self,
        body: Body,
        seen: &mut impl FnMut(&Stamp),
    ) -> Result<Option<client_frame::Body>> {
        match body {
            Body::EntryAppended(event) => {
                let entry = event.entry.context("an event without entry")?;
                let header = v1::EntryHeader::decode(entry.header)?;
                self.pushed(&header, &entry.payload, seen).map(|()| None)
            }
            Body::Gap(gap) => Ok(self.left_out(gap.head_seq)),
            Body::Fetched(page) => self.page(page, seen),
            // What `sync` tells beside the log.
            Body::PresenceChanged(_) | Body::WatermarkMoved(_) => Ok(None),
            other => bail!("instead of an entry came {other:?}"),
        }
    }

    fn pushed(
        &mut self,
        header: &v1::EntryHeader,
        payload: &Bytes,
        seen: &mut impl FnMut(&Stamp),
    ) -> Result<()> {
        let seq = header.seq;
        if let Some(head) = &mut self.fetching {
            *head = seq.max(*head);
            return Ok(());
        }
        ensure!(seq <= self.cursor + 1, "entry {seq} after {} without a Gap", self.cursor);
        if seq > self.fetched_to {
            self.cursor = seq.max(self.cursor);
            self.deliver(header, payload, seen)?;
        }
        Ok(())
    }

    fn left_out(&mut self, head_seq: u64) -> Option<client_frame::Body> {
        self.gaps += 1;
        if let Some(head) = &mut self.fetching {
            *head = head_seq.max(*head);
            return None;
        }
        (head_seq > self.cursor).then(|| {
            self.fetching = Some(head_seq);
            self.catch_up()
        })
    }

    fn page(
        &mut self,
        page: v1::Fetched,
        seen: &mut impl FnMut(&Stamp),
    ) -> Result<Option<client_frame::Body>> {
        let head = self.fetching.take().context("a page that was not asked for")?;
        let empty = page.entries.is_empty();
        for entry in page.entries {
            let header = v1::EntryHeader::decode(entry.header)?;
            let due = self.cursor + 1;
            ensure!(header.seq == due, "a page has entry {} in place of {due}", header.seq);
            self.cursor = due;
            self.deliver(&header, &entry.payload, seen)?;
        }
        self.fetched_to = self.cursor;
        let head = head.max(page.head_seq);
        if self.cursor >= head {
            return Ok(None);
        }
        ensure!(!empty, "an empty page at entry {} of {head}", self.cursor);
        self.fetching = Some(head);
        Ok(Some(self.catch_up()))
    }

    fn deliver(
        &mut self,
        header: &v1::EntryHeader,
        payload: &Bytes,
        seen: &mut impl FnMut(&Stamp),
    ) -> Result<()> {
        ensure!(header.conversation_id == self.room.as_bytes()[..], "an entry of another room");
        if header.kind() == v1::EntryKind::Message {
            let stamp = Stamp::read(payload).context("a message that no one here sent")?;
            self.checker.take(&stamp);
            seen(&stamp);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Tally;

    const ROOM: ConversationId = ConversationId::new([5; 16]);

    /// Entry `seq` is message `seq - 1`.
    fn entry(seq: u64) -> v1::Entry {
        let number = u32::try_from(seq).unwrap() - 1;
        let header = v1::EntryHeader {
            conversation_id: ROOM.to_bytes(),
            seq,
            kind: v1::EntryKind::Message.into(),
            ..v1::EntryHeader::default()
        };
        let payload = Stamp { speaker: 0, number, last: false, due_us: 0 }.payload(0);
        v1::Entry { header: header.encode_to_vec().into(), payload, ..v1::Entry::default() }
    }

    fn push(seq: u64) -> Body {
        Body::EntryAppended(v1::EntryAppended { entry: Some(entry(seq)) })
    }

    fn gap(head_seq: u64) -> Body {
        Body::Gap(v1::Gap { conversation_id: ROOM.to_bytes(), head_seq })
    }

    fn page(seqs: std::ops::RangeInclusive<u64>, head_seq: u64) -> Body {
        let entries = seqs.map(entry).collect();
        Body::Fetched(v1::Fetched { entries, head_seq, ..v1::Fetched::default() })
    }

    /// The `from_seq` of each Fetch that followed.
    fn fetches(follower: &mut Follower, bodies: Vec<Body>) -> Result<Vec<u64>> {
        let mut fetches = Vec::new();
        for body in bodies {
            if let Some(client_frame::Body::Fetch(fetch)) = follower.take(body, &mut |_| {})? {
                fetches.push(fetch.from_seq);
            }
        }
        Ok(fetches)
    }

    #[test]
    fn what_a_gap_left_out_is_fetched_page_by_page_and_pushes_meanwhile_are_no_duplicates() {
        let mut follower = Follower::new(ROOM, 0);
        let bodies =
            vec![push(1), gap(4), push(5), page(2..=3, 4), page(4..=5, 5), push(5), push(6)];
        assert_eq!(fetches(&mut follower, bodies).unwrap(), [2, 4]);
        assert!(follower.is_level());
        assert_eq!((follower.cursor(), follower.gaps()), (6, 1));
        let clean = Tally { received: 6, ..Tally::default() };
        assert_eq!(follower.checker().tally(), clean);
    }

    #[test]
    fn a_push_that_comes_again_is_a_duplicate_and_a_hole_is_an_error() {
        let mut follower = Follower::new(ROOM, 0);
        fetches(&mut follower, vec![push(1), push(2), push(1)]).unwrap();
        assert_eq!(follower.checker().tally().duplicates, 1);
        assert!(fetches(&mut follower, vec![push(4)]).is_err());
        follower.catch_up();
        assert!(fetches(&mut follower, vec![page(4..=5, 5)]).is_err());
    }
}
