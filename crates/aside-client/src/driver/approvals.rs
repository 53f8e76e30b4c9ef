//! What other devices of the user say about approvals, passed on to whoever takes part in one; and the devices that ask.

use std::collections::{BTreeMap, VecDeque};

use aside_crypto::Hash;
use aside_proto::id::DeviceId;
use aside_session::client::approval::{ApprovalId, ApprovalMessage, ApprovalStep};
use tokio::sync::{broadcast, oneshot};

use super::Driver;
use crate::{Error, Event};

/// What may wait for a listener: more than any approval says.
const HEARD: usize = 64;
/// Devices that may ask at once: as many as a user has.
const MAX_ASKING: usize = 32;
/// Commitments that were answered and are remembered: each by an act of the user.
const MAX_ANSWERED: usize = 64;

/// What somebody who takes part in an approval has to know.
#[derive(Debug, Clone)]
pub(crate) enum Heard {
    /// A device says something.
    Said(DeviceId, ApprovalMessage),
    /// The user's device log has changed.
    LogChanged,
    /// A connection stands.
    Online,
    /// It was lost: something that was said may have been missed.
    Offline,
}

/// What a device that asks has said.
pub(crate) type Asked = (ApprovalId, Hash);

/// What the program asks of this.
#[derive(Debug)]
pub(crate) enum Approvals {
    Listen(oneshot::Sender<broadcast::Receiver<Heard>>),
    /// Which devices ask.
    Asking(oneshot::Sender<Vec<DeviceId>>),
    /// What a device asks; it asks no longer.
    Take(DeviceId, oneshot::Sender<Option<Asked>>),
}

/// Who listens, and who asks.
#[derive(Debug)]
pub(super) struct Approving {
    heard: broadcast::Sender<Heard>,
    asking: BTreeMap<DeviceId, Asked>,
    /// Commitments that were answered, and are not again (APPROVE-007).
    answered: VecDeque<Hash>,
}

impl Default for Approving {
    fn default() -> Self {
        let (asking, answered) = Default::default();
        Self { heard: broadcast::channel(HEARD).0, asking, answered }
    }
}

impl Approving {
    /// The program may have gone: then nobody wants to know.
    pub(super) fn command(&mut self, command: Approvals) {
        match command {
            Approvals::Listen(done) => drop(done.send(self.heard.subscribe())),
            Approvals::Asking(done) => drop(done.send(self.asking.keys().copied().collect())),
            Approvals::Take(device, done) => drop(done.send(self.take(device))),
        }
    }

    /// What a device asks, to be answered: it asks no longer.
    fn take(&mut self, device: DeviceId) -> Option<Asked> {
        let asked = self.asking.remove(&device)?;
        self.answered.truncate(MAX_ANSWERED - 1);
        self.answered.push_front(asked.1);
        Some(asked)
    }

    /// Tells those who listen.
    pub(super) fn tell(&self, heard: Heard) {
        // An error says that nobody listens.
        let _ = self.heard.send(heard);
    }

    /// Takes what a device says; whether it is one that asks, and did not before.
    fn said(&mut self, from: DeviceId, message: ApprovalMessage) -> bool {
        let is_news = match &message {
            ApprovalMessage::Of(_, ApprovalStep::Commitment(commitment))
                if self.answered.contains(commitment) =>
            {
                false
            }
            ApprovalMessage::Of(id, ApprovalStep::Commitment(commitment)) => {
                let has_room = self.asking.len() < MAX_ASKING || self.asking.contains_key(&from);
                let asked = (*id, *commitment);
                has_room && self.asking.insert(from, asked) != Some(asked)
            }
            ApprovalMessage::Of(id, ApprovalStep::Ended(_)) => {
                if self.asking.get(&from).is_some_and(|(asked, _)| asked == id) {
                    self.asking.remove(&from);
                }
                false
            }
            ApprovalMessage::Of(..) | ApprovalMessage::Looking => false,
        };
        self.tell(Heard::Said(from, message));
        is_news
    }
}

impl Driver {
    /// Another device of the user says something; what can't be read is ignored (APPROVE-014).
    pub(super) async fn relayed(&mut self, from: DeviceId, payload: &[u8]) -> Result<(), Error> {
        let Some(message) = ApprovalMessage::decode(payload) else { return Ok(()) };
        if self.approving.said(from, message) {
            self.out.tell(Event::DeviceAsks { device: from });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aside_proto::v1::ApprovalEndReason;

    use super::*;

    const LAPTOP: DeviceId = DeviceId::new([3; 16]);

    fn commitment(id: u8) -> ApprovalMessage {
        ApprovalMessage::Of(ApprovalId([id; 16]), ApprovalStep::Commitment([id; 32]))
    }

    fn ended(id: u8) -> ApprovalMessage {
        let step = ApprovalStep::Ended(ApprovalEndReason::Left);
        ApprovalMessage::Of(ApprovalId([id; 16]), step)
    }

    // cites: APPROVE-007
    #[test]
    fn a_device_asks_until_it_gives_up_or_is_answered() {
        let mut approving = Approving::default();
        let take = |approving: &mut Approving| approving.take(LAPTOP);
        assert!(approving.said(LAPTOP, commitment(1)));
        assert!(!approving.said(LAPTOP, commitment(1)), "it is no news");
        assert!(!approving.said(LAPTOP, ended(2)), "of another approval");
        assert_eq!(take(&mut approving), Some((ApprovalId([1; 16]), [1; 32])));
        assert_eq!(take(&mut approving), None);
        assert!(!approving.said(LAPTOP, commitment(1)), "it was answered");
        assert!(approving.said(LAPTOP, commitment(2)) && approving.said(LAPTOP, commitment(3)));
        approving.said(LAPTOP, ended(3));
        assert_eq!(take(&mut approving), None, "another had taken its place");
    }

    #[test]
    fn no_more_ask_than_a_user_has_devices() {
        let mut approving = Approving::default();
        let device = |n| DeviceId::new([n; 16]);
        for n in 0..100 {
            assert_eq!(approving.said(device(n), commitment(n)), usize::from(n) < MAX_ASKING);
        }
        assert!(approving.said(device(0), commitment(101)), "one that asks may ask anew");
    }
}
