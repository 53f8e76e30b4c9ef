//! Reading back from what was taken in.

use aside_crypto::chain_next;
use aside_proto::v1::{self, client_frame};

use super::{
    Asked, Client,
    server::{self, CONVERSATION},
};
use crate::client::log::{Accepted, Follower, Place, Refusal, Start};

/// A reading back, as a client does it whose user scrolls up.
pub(super) struct Past {
    follower: Follower,
    /// Where it has to arrive.
    until: Place,
    /// The last entry it let through, by what this target computes itself.
    place: Option<Place>,
}

impl Client {
    /// Begins so many entries before the last one taken in.
    pub(super) fn read_back(&mut self, count: u8) {
        let Some(until) = self.place.filter(|place| place.seq > 0 && !self.tampered) else {
            return;
        };
        let from = until.seq.saturating_sub(count.into()).max(1);
        let follower = Follower::until(CONVERSATION, Start::At(from), until);
        let place = follower.place();
        self.past.get_or_insert(Past { follower, until, place });
    }

    pub(super) fn poll_past(&mut self) {
        if !self.session.may_request() {
            return;
        }
        let Some(fetch) = self.past.as_mut().and_then(|past| past.follower.poll_fetch()) else {
            return;
        };
        assert!(!fetch.signed_head, "the chain at the end is worth more");
        let body = v1::Fetch {
            conversation_id: CONVERSATION.to_bytes(),
            from_seq: fetch.from_seq,
            max_entries: 0,
            signed_head: false,
        };
        self.request(Asked::Past, None, client_frame::Body::Fetch(body));
    }

    pub(super) fn read_page(&mut self, fetched: &v1::Fetched) {
        let Some(past) = &mut self.past else { return };
        match past.follower.handle_fetched(&server::log_key(), fetched) {
            Ok(accepted) => accepted.iter().for_each(|entry| past.accept(entry)),
            Err(_) => self.past = None,
        }
        self.end_past();
    }

    pub(super) fn read_nothing(&mut self, error: &v1::Error) {
        let Some(past) = &mut self.past else { return };
        match past.follower.handle_refused(error) {
            Ok(Refusal::Trimmed { .. }) => {
                past.place = past.follower.place();
                self.tampered |= self.follower.handle_anchor(past.follower.anchor()).is_err();
            }
            Ok(Refusal::Other) => self.past = None,
            Err(_) => self.past = None,
        }
        self.end_past();
    }

    /// At its end, what came without payload is to be explained by what comes.
    fn end_past(&mut self) {
        let done = |past: &mut Past| past.place.is_some_and(|place| place.seq >= past.until.seq);
        if let Some(past) = self.past.take_if(done) {
            let missing = past.follower.remembered().map_or_else(Vec::new, |past| past.missing);
            self.tampered |= self.follower.handle_missing(&missing).is_err();
        }
    }
}

impl Past {
    fn accept(&mut self, entry: &Accepted) {
        if let Some(before) = self.place {
            assert_eq!((entry.seq, entry.chain_before), (before.seq + 1, before.chain));
        }
        let chain = chain_next(&entry.chain_before, &entry.entry.header, &entry.payload_hash);
        assert_eq!(entry.chain, chain);
        let place = Place { seq: entry.seq, chain };
        if place.seq == self.until.seq {
            assert_eq!(place, self.until, "another past than the one known");
        }
        self.place = Some(place);
    }
}
