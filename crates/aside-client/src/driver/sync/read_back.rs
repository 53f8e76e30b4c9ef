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
            taken: Vec::new(),
            waiter,
        });
    }

    pub(super) fn poll_read_back(&mut self) -> Option<(Asked, Body)> {
        self.read_backs.retain(|read_back| !read_back.waiter.is_closed());
        self.read_backs.iter_mut().find_map(|read_back| {
            let fetch = read_back.follower.poll_fetch()?;
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
            Err(what) => return self.read_back_tampered(at, &what, out).await,
        }
        if read_back.follower.place().is_none_or(|place| place.seq < read_back.until.seq) {
            return Ok(());
        }
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
        self.store.keep(conversation, &entries, None, &[]).await?;
        if let Some(room) = self.rooms.get_mut(&conversation) {
            room.advanced = true;
        }
        self.flush(out).await?;
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
        let (until, conversation) = (read_back.until, read_back.follower.conversation());
        let begins = match read_back.follower.handle_refused(&error) {
            Ok(Refusal::Trimmed { .. }) => read_back.follower.place(),
            Ok(Refusal::Other) => {
                let read_back = self.read_backs.remove(at);
                drop(read_back.waiter.send(Err(error.into())));
                return Ok(());
            }
            Err(what) => return self.read_back_tampered(at, &what, out).await,
        };
        // RET-012: what is left is read from where the log begins; the chain to what is known shows that it does.
        if let Some(anchor) = begins.filter(|anchor| anchor.seq < until.seq) {
            read_back.taken.clear();
            read_back.follower = Follower::until(conversation, Start::After(anchor), until);
        }
        if let (Some(room), Some(anchor)) = (self.rooms.get_mut(&conversation), begins) {
            if let Err(what) = room.follower.handle_anchor(anchor) {
                return self.read_back_tampered(at, &what, out).await;
            }
            room.advanced = true;
            self.flush(out).await?;
        }
        if begins.is_none_or(|anchor| anchor.seq >= until.seq) {
            // There is no more of it; what is kept here is all there is.
            let at = self.read_backs.iter().position(|read_back| read_back.id == id);
            if let Some(read_back) = at.map(|at| self.read_backs.remove(at)) {
                drop(read_back.waiter.send(Ok(())));
            }
        }
        Ok(())
    }

    /// Nothing more of the conversation is trusted.
    async fn read_back_tampered(
        &mut self,
        at: usize,
        what: &Tampering,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let read_back = self.read_backs.remove(at);
        self.tamper(read_back.follower.conversation(), what, out).await?;
        drop(read_back.waiter.send(Err(Error::Tampered)));
        Ok(())
    }
}
