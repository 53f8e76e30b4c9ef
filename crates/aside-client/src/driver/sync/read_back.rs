//! Entries from before those that are kept: each page must lead, by the chain, to what is known.

use aside_proto::{
    id::ConversationId,
    v1::{self, client_frame::Body},
};
use aside_session::client::log::{Accepted, Follower, Place, Refusal, Start, Tampering};

use super::{Asked, Sync, Waiter};
use crate::{Error, driver::outlet::Outlet};

/// A reading back that is under way.
#[derive(Debug)]
pub(super) struct ReadBack {
    id: u64,
    follower: Follower,
    /// The last entry wanted, with the chain value that must stand there.
    until: Place,
    /// The entry before the first that was still there, as it was known when the last page was asked for.
    anchor_seq: u64,
    taken: Vec<Accepted>,
    waiter: Waiter,
}

impl ReadBack {
    pub(super) fn disconnected(&mut self) {
        self.follower.handle_disconnected();
        // The chain value at the end is worth more than another signed head.
        let missing = self.follower.remembered().map_or_else(Vec::new, |past| past.missing);
        self.follower = Follower::until(
            self.follower.conversation(),
            self.follower.place().map_or(Start::At(self.first()), Start::After),
            self.until,
        );
        // None is overdue: the follower that noted it would have said so.
        let _ = self.follower.handle_missing(&missing);
    }

    /// Whether there is nothing more to read.
    fn is_done(&self) -> bool {
        self.follower.place().is_some_and(|place| place.seq >= self.until.seq)
    }

    fn first(&self) -> u64 {
        self.taken.first().map_or(1, |entry| entry.seq)
    }
}

impl Sync {
    /// Reads the `count` entries that end with the one at `until`.
    pub(in crate::driver) fn read_back(
        &mut self,
        conversation: ConversationId,
        until: Place,
        count: u32,
        waiter: Waiter,
    ) {
        if self.is_tampered(conversation) {
            drop(waiter.send(Err(Error::Tampered)));
            return;
        }
        let from = (until.seq + 1).saturating_sub(count.into()).max(1);
        self.last_read_back += 1;
        self.read_backs.push(ReadBack {
            id: self.last_read_back,
            follower: Follower::until(conversation, Start::At(from), until),
            until,
            anchor_seq: 0,
            taken: Vec::new(),
            waiter,
        });
    }

    pub(super) fn poll_read_back(&mut self) -> Option<(Asked, Body)> {
        self.read_backs.retain(|read_back| !read_back.waiter.is_closed());
        self.read_backs.iter_mut().find_map(|read_back| {
            let fetch = read_back.follower.poll_fetch()?;
            let room = self.rooms.get(&read_back.follower.conversation());
            read_back.anchor_seq = room.map_or(0, |room| room.follower.anchor().seq);
            let wanted = (read_back.until.seq + 1).saturating_sub(fetch.from_seq).max(1);
            let fetch = v1::Fetch {
                conversation_id: read_back.follower.conversation().to_bytes(),
                from_seq: fetch.from_seq,
                max_entries: u32::try_from(wanted).unwrap_or(0),
                signed_head: fetch.signed_head,
            };
            Some((Asked::ReadBack(read_back.id), Body::Fetch(fetch)))
        })
    }

    /// A page was fetched.
    pub(in crate::driver) async fn read_page(
        &mut self,
        id: u64,
        fetched: &v1::Fetched,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let Some(at) = self.read_backs.iter().position(|read_back| read_back.id == id) else {
            return Ok(());
        };
        let Some(log_key) = &self.log_key else { return Ok(()) };
        let read_back = &mut self.read_backs[at];
        match read_back.follower.handle_fetched(log_key, fetched) {
            Ok(accepted) => read_back.taken.extend(accepted),
            Err(what) => {
                let read_back = self.read_backs.remove(at);
                self.tamper(read_back.follower.conversation(), &what, out).await?;
                drop(read_back.waiter.send(Err(Error::Tampered)));
                return Ok(());
            }
        }
        match read_back.is_done() {
            true => self.finish(at, out).await,
            false => Ok(()),
        }
    }

    /// Keeps what was read.
    async fn finish(&mut self, at: usize, out: &mut Outlet) -> Result<(), Error> {
        let mut read_back = self.read_backs.remove(at);
        read_back.taken.retain(|entry| entry.seq <= read_back.until.seq);
        let conversation = read_back.follower.conversation();
        // What was taken in by now may say what was redacted.
        self.flush(out).await?;
        if let Err(what) = self.explain(&read_back.follower).await? {
            self.tamper(conversation, &what, out).await?;
            drop(read_back.waiter.send(Err(Error::Tampered)));
            return Ok(());
        }
        let entries = self.judged(read_back.taken).await?;
        // With what is still to be explained of them, so that a run that ends here leaves nothing unexplained for ever.
        let cursor = self.rooms.get(&conversation).and_then(|room| room.follower.remembered());
        self.store.keep(conversation, &entries, cursor.as_ref(), &[]).await?;
        out.refresh(conversation);
        self.settling.push(read_back.waiter);
        self.wake_waiters();
        Ok(())
    }

    /// LOG-013: what was read back without payload is redacted by an entry that was taken in, or by one to come.
    async fn explain(&mut self, past: &Follower) -> Result<Result<(), Tampering>, Error> {
        let mut open = Vec::new();
        for missing in past.remembered().map_or_else(Vec::new, |past| past.missing) {
            let by = self.store.redaction_of(past.conversation(), missing.seq).await?;
            if by.is_none_or(|by| by > missing.head_seq) {
                open.push(missing);
            }
        }
        Ok(match self.rooms.get_mut(&past.conversation()) {
            Some(room) => room.follower.handle_missing(&open),
            None => Ok(()),
        })
    }

    pub(super) async fn read_back_refused(
        &mut self,
        id: u64,
        error: v1::Error,
        again: bool,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let Some(at) = self.read_backs.iter().position(|read_back| read_back.id == id) else {
            return Ok(());
        };
        let read_back = &mut self.read_backs[at];
        if again {
            read_back.disconnected();
            return Ok(());
        }
        match self.judge_refusal(at, &error) {
            // What is left of it is read on.
            Ok(Refusal::Trimmed { first_seq, .. }) => {
                let read_back = &mut self.read_backs[at];
                read_back.taken.retain(|entry| entry.seq >= first_seq);
                if read_back.is_done() {
                    self.finish(at, out).await?;
                }
            }
            Ok(Refusal::Other) => {
                drop(self.read_backs.remove(at).waiter.send(Err(error.into())));
            }
            Err(what) => {
                let read_back = self.read_backs.remove(at);
                self.tamper(read_back.follower.conversation(), &what, out).await?;
                drop(read_back.waiter.send(Err(Error::Tampered)));
            }
        }
        Ok(())
    }

    /// FETCH-007: what is said to be trimmed is held against all that is known of the conversation, and against what was known of
    /// its beginning when it was asked for.
    fn judge_refusal(&mut self, at: usize, error: &v1::Error) -> Result<Refusal, Tampering> {
        let read_back = &mut self.read_backs[at];
        let refusal = read_back.follower.handle_refused(error)?;
        if let Refusal::Trimmed { first_seq, .. } = refusal
            && let Some(room) = self.rooms.get_mut(&read_back.follower.conversation())
        {
            if first_seq <= read_back.anchor_seq {
                return Err(Tampering::Trimmed { first_seq });
            }
            room.follower.handle_anchor(read_back.follower.anchor())?;
            // It is remembered, though no entry came with it.
            room.advanced = true;
        }
        Ok(refusal)
    }
}
