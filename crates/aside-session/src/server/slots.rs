//! Reply slots: one a request, in the order of the requests, so that replies leave in that order (REQ-004) whatever the
//! order in which their commands finish.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Ticket;

/// The requests begun whose replies have not left.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// The ticket of the slot in front.
    first: u64,
    slots: VecDeque<Slot>,
    bulky: usize,
}

#[derive(Debug)]
struct Slot {
    request_id: u64,
    bulky: bool,
    writes: bool,
    reply: Option<Bytes>,
}

impl Slots {
    /// A slot behind all others. A bulky one may get a reply of the greatest size; those that write and those that don't wait for each other.
    pub(super) fn open(&mut self, request_id: u64, bulky: bool, writes: bool) -> Ticket {
        let ticket = Ticket(self.first + self.slots.len() as u64);
        self.slots.push_back(Slot { request_id, bulky, writes, reply: None });
        self.bulky += usize::from(bulky);
        ticket
    }

    /// The id of a request that has no reply yet.
    pub(super) fn request_id(&self, ticket: Ticket) -> Option<u64> {
        let slot = self.slots.get(self.index(ticket)?)?;
        slot.reply.is_none().then_some(slot.request_id)
    }

    /// Fills the slot of a request.
    pub(super) fn fill(&mut self, ticket: Ticket, frame: Bytes) {
        if let Some(slot) = self.index(ticket).and_then(|index| self.slots.get_mut(index)) {
            slot.reply = Some(frame);
        }
    }

    /// The next reply whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let reply = self.slots.front_mut()?.reply.take()?;
        let slot = self.slots.pop_front()?;
        self.first += 1;
        self.bulky -= usize::from(slot.bulky);
        Some(reply)
    }

    /// Drops the slot of a request and all behind it: no tickets of theirs count any more, and none are given again.
    pub(super) fn truncate(&mut self, ticket: Ticket) {
        let Some(index) = self.index(ticket) else { return };
        for slot in self.slots.drain(index.min(self.slots.len())..) {
            self.bulky -= usize::from(slot.bulky);
        }
    }

    /// Drops all.
    pub(super) fn clear(&mut self) {
        *self = Self { first: self.first + self.slots.len() as u64, ..Self::default() };
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether a request that writes (or, else, one that does not) has no reply yet.
    pub(super) fn has_unanswered(&self, writes: bool) -> bool {
        self.slots.iter().any(|slot| slot.writes == writes && slot.reply.is_none())
    }

    /// How many are bulky.
    pub(super) fn bulky(&self) -> usize {
        self.bulky
    }

    /// Bytes of replies whose turn has not come.
    #[cfg(any(test, feature = "fuzz"))]
    pub(super) fn held_bytes(&self) -> usize {
        self.slots.iter().flat_map(|slot| &slot.reply).map(Bytes::len).sum()
    }

    fn index(&self, ticket: Ticket) -> Option<usize> {
        usize::try_from(ticket.0.checked_sub(self.first)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: REQ-004
    #[test]
    fn replies_leave_in_the_order_of_the_slots() {
        let mut slots = Slots::default();
        let [a, b, c] = [1, 2, 3].map(|id| slots.open(id, id == 2, id == 1));
        slots.fill(c, "c".into());
        slots.fill(b, "b".into());
        assert_eq!((slots.pop(), slots.len(), slots.bulky()), (None, 3, 1));
        assert!(slots.has_unanswered(true));
        assert_eq!((slots.request_id(a), slots.request_id(b)), (Some(1), None));
        slots.fill(a, "a".into());
        assert!(!slots.has_unanswered(true));
        let left: Vec<_> = std::iter::from_fn(|| slots.pop()).collect();
        assert_eq!(left, ["a", "b", "c"]);
        assert_eq!((slots.len(), slots.bulky(), slots.request_id(a)), (0, 0, None));
    }

    #[test]
    fn dropped_slots_take_no_reply() {
        let mut slots = Slots::default();
        let [a, b, c] = [1, 2, 3].map(|id| slots.open(id, true, false));
        slots.truncate(b);
        slots.fill(c, "c".into());
        assert_eq!((slots.len(), slots.bulky(), slots.request_id(c)), (1, 1, None));
        slots.clear();
        slots.fill(a, "a".into());
        assert_eq!((slots.pop(), slots.bulky()), (None, 0));
    }
}
