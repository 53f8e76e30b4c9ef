//! What the server acknowledged must stand where it said (MSG-015), and that must be a place where it can (MSG-016).

use aside_proto::{id::ConversationId, v1::EntryHeader};
use aside_session::client::{
    Stamp,
    log::{Accepted, MAX_SEQ, Tampering},
};
use prost::Message as _;

use super::Sync;
use crate::{
    Error, Event,
    driver::outlet::Outlet,
    store::{Filed, Kept, Posting, StateError},
};

/// Messages whose entries are awaited; the oldest go unchecked beyond.
const MAX_AWAITED: usize = 4096;

/// A message that is durable, the server says, and was not seen in the log yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Awaited {
    stamp: Stamp,
    /// As [`Posting::after`].
    after: Option<u64>,
}

impl Sync {
    /// Takes up what an earlier run awaited.
    pub(super) async fn await_sent(&mut self) -> Result<(), StateError> {
        for Filed { posting: Posting { draft, after, .. }, seq, .. } in
            self.store.outgoing().await?
        {
            if let Some(seq) = seq {
                let awaited = Awaited { stamp: draft.stamp(), after };
                self.awaited.insert((draft.conversation, seq), awaited);
            }
        }
        Ok(())
    }

    /// A message is durable as this entry, the server says; `false` if that can't be, and the conversation is no longer trusted.
    /// It is off the outbox once it was seen there.
    pub(in crate::driver) async fn sent(
        &mut self,
        Posting { draft, after, .. }: &Posting,
        seq: u64,
        out: &mut Outlet,
    ) -> Result<bool, Error> {
        let conversation = draft.conversation;
        let awaited = Awaited { stamp: draft.stamp(), after: *after };
        let Some(room) = self.rooms.get(&conversation).filter(|room| !room.tampered) else {
            self.store.remove_from_outbox(draft.message_id).await?;
            return Ok(true);
        };
        let fresh = room.accepted.iter().find(|entry| entry.seq == seq);
        let kept = room.follower.place().is_some_and(|place| place.seq >= seq);
        // MSG-016
        let may_be = (after.unwrap_or(0) + 1..=MAX_SEQ).contains(&seq)
            && !self.awaited.contains_key(&(conversation, seq));
        let holds = match (fresh, kept) {
            _ if !may_be => false,
            (Some(entry), _) => awaited.stamp.is_on(&entry.header, Some(entry.payload_hash)),
            (None, true) => self.stands_in_store(conversation, seq, &awaited).await?,
            (None, false) => {
                self.store.set_sent(draft.message_id, seq).await?;
                self.awaited.insert((conversation, seq), awaited);
                if self.awaited.len() > MAX_AWAITED
                    && let Some((_, Awaited { stamp, .. })) = self.awaited.pop_first()
                {
                    self.store.remove_from_outbox(stamp.message_id).await?;
                }
                return Ok(true);
            }
        };
        self.seen(conversation, seq, &awaited.stamp, holds, out).await?;
        Ok(holds)
    }

    /// Holds entries that were kept against what was acknowledged.
    pub(super) async fn check_sent(
        &mut self,
        conversation: ConversationId,
        entries: &[Outcome],
        out: &mut Outlet,
    ) -> Result<(), Error> {
        for Outcome { seq, stamp, holds } in entries {
            self.came(conversation, *seq, stamp, *holds, out).await?;
        }
        // What lies before the cursor and did not come is gone by retention, or was never there.
        let kept = self.rooms.get(&conversation).and_then(|room| room.follower.place());
        let last = kept.map_or(0, |place| place.seq);
        let passed: Vec<_> = self
            .awaited
            .range((conversation, 0)..=(conversation, last))
            .map(|(at, _)| *at)
            .collect();
        for at in passed {
            if let Some(awaited) = self.awaited.remove(&at) {
                let holds = self.stands_in_store(conversation, at.1, &awaited).await?;
                self.came(conversation, at.1, &awaited.stamp, holds, out).await?;
            }
        }
        Ok(())
    }

    /// Those of these entries that were awaited.
    pub(super) fn awaited_among(&mut self, entries: &[Accepted]) -> Vec<Outcome> {
        let outcome = |entry: &Accepted| {
            let Awaited { stamp, .. } = self.awaited.remove(&(entry.conversation, entry.seq))?;
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
        let awaited: Vec<_> = self.awaited.range(all).map(|(at, it)| (*at, it.stamp)).collect();
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
        if holds {
            return Ok(self.store.remove_from_outbox(stamp.message_id).await?);
        }
        // What was said is not lost with the trust.
        let error = Error::Tampered;
        let (reason, remedy) = (error.to_string(), error.remedy());
        self.store.fail_in_outbox(stamp.message_id, &reason, remedy.as_deref()).await?;
        self.tamper(conversation, &Tampering::Acknowledged { seq }, out).await
    }

    /// As [`seen`](Self::seen), of a message whose sender was told that it is durable.
    async fn came(
        &mut self,
        conversation: ConversationId,
        seq: u64,
        stamp: &Stamp,
        holds: bool,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        self.seen(conversation, seq, stamp, holds, out).await?;
        if !holds {
            let (message_id, error) = (stamp.message_id, Error::Tampered);
            out.tell(Event::MessageFailed { message_id, conversation, error });
        }
        Ok(())
    }

    /// Whether what is kept at `seq` carries the stamp. Where nothing is kept retention has taken it; or the message was written
    /// before all that is known of the conversation, since it was forgotten meanwhile.
    async fn stands_in_store(
        &self,
        conversation: ConversationId,
        seq: u64,
        Awaited { stamp, after }: &Awaited,
    ) -> Result<bool, StateError> {
        let kept = self.store.entries_from(conversation, seq, 1).await?.into_iter().next();
        if let Some(kept) = kept.filter(|kept| kept.seq == seq) {
            return Ok(is_on(stamp, &kept));
        }
        let anchor = self.rooms.get(&conversation).map_or(0, |room| room.follower.anchor().seq);
        Ok(after.is_none() || seq <= anchor)
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
