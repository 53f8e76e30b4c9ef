//! The device that asks to be approved.

use aside_crypto::{
    Answer, Certificate, Code, DeviceLog, Hash, NewDevice, Pin, PinBreach, ToConfirm,
};
use aside_proto::{id::DeviceId, v1::ApprovalEndReason};

use super::{ApprovalEnd, ApprovalId, ApprovalMessage, ApprovalStep, Ended, Said, Step};

/// Has asked, and waits for an answer.
#[derive(Debug)]
pub struct Asking {
    id: ApprovalId,
    commitment: Hash,
    device: NewDevice,
}

impl Asking {
    /// Begins an approval. `random` fills a slice from a cryptographic random source.
    #[must_use]
    pub fn begin(certificate: &Certificate, random: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut id = [0; 16];
        random(&mut id);
        let (device, commitment) = NewDevice::begin(certificate, random);
        Self { id: ApprovalId(id), commitment, device }
    }

    /// What is said first, and again after a connection was lost (APPROVE-012).
    #[must_use]
    pub fn commitment(&self) -> Said {
        self.commitment_to(None)
    }

    /// What another device says. The first answer goes (APPROVE-002).
    #[must_use]
    pub fn handle(self, from: DeviceId, message: &ApprovalMessage) -> Step<Self, Comparing> {
        match message {
            ApprovalMessage::Looking => {
                let said = self.commitment_to(Some(from));
                Step::Stays(self, Some(said))
            }
            ApprovalMessage::Of(id, ApprovalStep::Answer(answer)) if *id == self.id => {
                let (reveal, to_confirm) = self.device.handle_answer(answer);
                let said = Said::new(Some(from), self.id, ApprovalStep::Reveal(reveal));
                let comparing =
                    Comparing { id: self.id, by: from, answer: answer.clone(), to_confirm };
                Step::Goes(comparing, Some(said))
            }
            ApprovalMessage::Of(id, ApprovalStep::Ended(reason)) if *id == self.id => {
                Step::Ends((*reason).into(), None)
            }
            ApprovalMessage::Of(..) => Step::Stays(self, None),
        }
    }

    /// What is said when the user gives up: to all that were asked.
    #[must_use]
    pub fn leave(&self) -> Said {
        Said::new(None, self.id, ApprovalStep::Ended(ApprovalEndReason::Left))
    }

    fn commitment_to(&self, to: Option<DeviceId>) -> Said {
        Said::new(to, self.id, ApprovalStep::Commitment(self.commitment))
    }
}

/// Shows the digits, and waits for its user.
#[derive(Debug)]
pub struct Comparing {
    id: ApprovalId,
    by: DeviceId,
    answer: Answer,
    to_confirm: ToConfirm,
}

impl Comparing {
    /// The digits to show.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.to_confirm.code()
    }

    /// The device that answered, as the server says.
    #[must_use]
    pub const fn by(&self) -> DeviceId {
        self.by
    }

    /// What another device says; gives why it is over, and what is to be said, if it is. An answer that is not the one that was taken
    /// ends it (APPROVE-002).
    #[must_use]
    pub fn handle(&self, from: DeviceId, message: &ApprovalMessage) -> Option<Ended> {
        let ApprovalMessage::Of(id, step) = message else { return None };
        match step {
            _ if *id != self.id => None,
            ApprovalStep::Answer(answer) if (from, answer) != (self.by, &self.answer) => {
                let said = self.end(ApprovalEndReason::Invalid);
                Some((ApprovalEnd::TwoAnswers, Some(said)))
            }
            ApprovalStep::Ended(reason) if from == self.by => Some(((*reason).into(), None)),
            _ => None,
        }
    }

    /// What is said when it ends otherwise than by the user's yes (APPROVE-016).
    #[must_use]
    pub fn end(&self, reason: ApprovalEndReason) -> Said {
        Said::new(Some(self.by), self.id, ApprovalStep::Ended(reason))
    }

    /// The pin of the user's device log, once the user said on this device that both show the same digits (APPROVE-008).
    ///
    /// # Errors
    /// [`PinBreach`] if `log` is not the one that the approving device has.
    pub fn confirmed(self, server: &str, log: &DeviceLog) -> Result<(Pin, Joining), PinBreach> {
        let pin = self.to_confirm.confirmed(server, log)?;
        Ok((pin, Joining { id: self.id, by: self.by }))
    }
}

/// Its user has said yes; it waits until the log has its certificate (APPROVE-017).
#[derive(Debug)]
pub struct Joining {
    id: ApprovalId,
    by: DeviceId,
}

impl Joining {
    /// What another device says; gives why it is over, if it is.
    #[must_use]
    pub fn handle(&self, from: DeviceId, message: &ApprovalMessage) -> Option<Ended> {
        match message {
            ApprovalMessage::Of(id, ApprovalStep::Ended(reason))
                if (*id, from) == (self.id, self.by) =>
            {
                Some(((*reason).into(), None))
            }
            _ => None,
        }
    }
}
