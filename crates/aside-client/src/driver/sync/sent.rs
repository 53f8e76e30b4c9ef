//! What the server acknowledged must stand where it said (MSG-015).

use aside_proto::{
    id::ConversationId,
    v1::{self, EntryHeader},
};
use aside_session::client::{
    Draft, Stamp,
    log::{Accepted, Tampering},
};
use prost::Message as _;

use super::Sync;
use crate::{
    Error,
    driver::outlet::Outlet,
    store::{Kept, StateError},
};

/// Messages whose entries are awaited; the oldest go unchecked beyond.
const MAX_AWAITED: usize = 4096;

impl Sync {
    /// Takes up what an earlier run awaited.
    pub(super) async fn await_sent(&mut self) -> Result<(), StateError> {
        for (draft, _, seq) in self.store.outgoing().await? {
            if let Some(seq) = seq {
                self.awaited.insert((draft.conversation, seq), draft.stamp());
            }
        }
        Ok(())
    }

    /// A message is durable as this entry. It is off the outbox once it was seen there.
    pub(in crate::driver) async fn sent(
        &mut self,
        draft: &Draft,
        sent: &v1::Sent,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let (conversation, stamp) = (draft.conversation, draft.stamp());
        let Some(room) = self.rooms.get(&conversation).filter(|room| !room.tampered) else {
            return Ok(self.store.remove_from_outbox(draft.message_id).await?);
        };
        let fresh = room.accepted.iter().find(|entry| entry.seq == sent.seq);
        let kept = room.follower.place().is_some_and(|place| place.seq >= sent.seq);
        let holds = match (fresh, kept) {
            (Some(entry), _) => stamp.is_on(&entry.header, Some(entry.payload_hash)),
            (None, true) => self.stands_in_store(conversation, sent.seq, &stamp).await?,
            (None, false) => {
                self.store.set_sent(draft.message_id, sent.seq).await?;
                self.awaited.insert((conversation, sent.seq), stamp);
                if self.awaited.len() > MAX_AWAITED
                    && let Some((_, stamp)) = self.awaited.pop_first()
                {
                    self.store.remove_from_outbox(stamp.message_id).await?;
                }
                return Ok(());
            }
        };
        self.seen(conversation, sent.seq, &stamp, holds, out).await
    }

    /// Holds entries that were kept against what was acknowledged.
    pub(super) async fn check_sent(
        &mut self,
        conversation: ConversationId,
        entries: &[Outcome],
        out: &mut Outlet,
    ) -> Result<(), Error> {
        for Outcome { seq, stamp, holds } in entries {
            self.seen(conversation, *seq, stamp, *holds, out).await?;
        }
        // What lies before the cursor and did not come is gone by retention.
        let kept = self.rooms.get(&conversation).and_then(|room| room.follower.place());
        let last = kept.map_or(0, |place| place.seq);
        let passed: Vec<_> = self
            .awaited
            .range((conversation, 0)..=(conversation, last))
            .map(|(at, _)| *at)
            .collect();
        for at in passed {
            if let Some(stamp) = self.awaited.remove(&at) {
                let holds = self.stands_in_store(conversation, at.1, &stamp).await?;
                self.seen(conversation, at.1, &stamp, holds, out).await?;
            }
        }
        Ok(())
    }

    /// Those of these entries that were awaited.
    pub(super) fn awaited_among(&mut self, entries: &[Accepted]) -> Vec<Outcome> {
        let outcome = |entry: &Accepted| {
            let stamp = self.awaited.remove(&(entry.conversation, entry.seq))?;
            let holds = stamp.is_on(&entry.header, Some(entry.payload_hash));
            Some(Outcome { seq: entry.seq, stamp, holds })
        };
        entries.iter().filter_map(outcome).collect()
    }

    /// Nothing more is awaited of a conversation that is not followed any more, or not trusted.
    pub(super) async fn await_nothing(
        &mut self,
        conversation: ConversationId,
    ) -> Result<(), StateError> {
        let all = (conversation, 0)..=(conversation, u64::MAX);
        let awaited: Vec<_> = self.awaited.range(all).map(|(at, stamp)| (*at, *stamp)).collect();
        for (at, stamp) in awaited {
            self.awaited.remove(&at);
            self.store.remove_from_outbox(stamp.message_id).await?;
        }
        Ok(())
    }

    /// What was acknowledged and did not come for long is fetched.
    pub(super) fn ask_for_awaited(&mut self) {
        for (conversation, seq) in self.awaited.keys() {
            if let Some(room) = self.rooms.get_mut(conversation) {
                room.follower.handle_head_seq(*seq);
            }
        }
    }

    async fn seen(
        &mut self,
        conversation: ConversationId,
        seq: u64,
        stamp: &Stamp,
        holds: bool,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        self.store.remove_from_outbox(stamp.message_id).await?;
        match holds {
            true => Ok(()),
            false => self.tamper(conversation, &Tampering::Acknowledged { seq }, out).await,
        }
    }

    /// Whether what is kept at `seq`, if anything is, carries the stamp.
    async fn stands_in_store(
        &self,
        conversation: ConversationId,
        seq: u64,
        stamp: &Stamp,
    ) -> Result<bool, StateError> {
        let kept = self.store.entries_from(conversation, seq, 1).await?.into_iter().next();
        Ok(kept.filter(|kept| kept.seq == seq).is_none_or(|kept| is_on(stamp, &kept)))
    }
}

/// What became of an entry that was awaited.
pub(super) struct Outcome {
    seq: u64,
    stamp: Stamp,
    holds: bool,
}

fn is_on(stamp: &Stamp, kept: &Kept) -> bool {
    let header = EntryHeader::decode(&kept.header[..]).unwrap_or_default();
    // What was redacted has neither salt nor payload.
    let salt = <[u8; 32]>::try_from(&kept.salt[..]).ok();
    let payload_hash = salt.map(|salt| aside_crypto::payload_hash(&salt, &kept.payload));
    stamp.is_on(&header, payload_hash)
}
