//! The device that approves another.

use aside_crypto::{Approver, Certificate, Code, DeviceLog, Hash, Judgement, ToCompare};
use aside_proto::{id::DeviceId, v1::ApprovalEndReason};

use super::{ApprovalEnd, ApprovalId, ApprovalMessage, ApprovalStep, Ended, Said, Step};

/// Has answered, and waits for the reveal.
#[derive(Debug)]
pub struct Answering {
    id: ApprovalId,
    device: DeviceId,
    approver: Approver,
}

impl Answering {
    /// Answers the commitment of a device, once its user wants to let it in (APPROVE-013); gives the answer too. `random` fills
    /// a slice from a cryptographic random source.
    #[must_use]
    pub fn begin(
        device: DeviceId,
        (id, commitment): (ApprovalId, Hash),
        log: &DeviceLog,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> (Self, Said) {
        let (approver, answer) = Approver::answer(&log.identity(), log.head(), commitment, random);
        let said = Said::new(Some(device), id, ApprovalStep::Answer(answer));
        (Self { id, device, approver }, said)
    }

    /// What another device says; `log` is the user's device log.
    #[must_use]
    pub fn handle(
        self,
        from: DeviceId,
        message: &ApprovalMessage,
        log: &DeviceLog,
    ) -> Step<Self, Deciding> {
        if begins_anew(from, message, (self.id, self.device)) {
            return Step::Ends(ApprovalEnd::Left, None);
        }
        let ApprovalMessage::Of(id, step) = message else { return Step::Stays(self, None) };
        if (*id, from) != (self.id, self.device) {
            return Step::Stays(self, None);
        }
        match step {
            ApprovalStep::Ended(reason) => Step::Ends((*reason).into(), None),
            ApprovalStep::Commitment(_) | ApprovalStep::Answer(_) => Step::Stays(self, None),
            ApprovalStep::Reveal(reveal) => {
                let ended = self.end(ApprovalEndReason::Invalid);
                let judged = self.approver.handle_reveal(reveal);
                let decided = judged.map_err(ApprovalEnd::from).and_then(|to_compare| {
                    check(&to_compare, from, log)?;
                    Ok(Deciding { id: self.id, device: from, to_compare })
                });
                match decided {
                    Ok(deciding) => Step::Goes(deciding, None),
                    Err(why) => Step::Ends(why, Some(ended)),
                }
            }
        }
    }

    /// What is said when it ends here (APPROVE-016).
    #[must_use]
    pub fn end(&self, reason: ApprovalEndReason) -> Said {
        Said::new(Some(self.device), self.id, ApprovalStep::Ended(reason))
    }
}

/// Whether the device asks anew, and so has left the approval that it was in.
fn begins_anew(
    from: DeviceId,
    message: &ApprovalMessage,
    (id, device): (ApprovalId, DeviceId),
) -> bool {
    let asks = |other: &ApprovalId| *other != id && from == device;
    matches!(message, ApprovalMessage::Of(other, ApprovalStep::Commitment(_)) if asks(other))
}

/// APPROVE-015.
fn check(to_compare: &ToCompare, from: DeviceId, log: &DeviceLog) -> Result<(), ApprovalEnd> {
    if to_compare.device() != from {
        return Err(ApprovalEnd::OtherDevice);
    }
    match log.judge(from, log.head().position) {
        Judgement::Active(_) => Err(ApprovalEnd::Active),
        _ => Ok(()),
    }
}

/// Shows the digits, and waits for its user.
#[derive(Debug)]
pub struct Deciding {
    id: ApprovalId,
    device: DeviceId,
    to_compare: ToCompare,
}

impl Deciding {
    /// The digits to show.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.to_compare.code()
    }

    /// The device that asks.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// What another device says; gives why it is over, if it is.
    #[must_use]
    pub fn handle(&self, from: DeviceId, message: &ApprovalMessage) -> Option<Ended> {
        match message {
            ApprovalMessage::Of(id, ApprovalStep::Ended(reason))
                if (*id, from) == (self.id, self.device) =>
            {
                Some(((*reason).into(), None))
            }
            _ => begins_anew(from, message, (self.id, self.device))
                .then_some((ApprovalEnd::Left, None)),
        }
    }

    /// What is said when it ends otherwise than by the user's yes (APPROVE-016).
    #[must_use]
    pub fn end(&self, reason: ApprovalEndReason) -> Said {
        Said::new(Some(self.device), self.id, ApprovalStep::Ended(reason))
    }

    /// The certificate, once the user said on this device that both show the same digits (APPROVE-005).
    #[must_use]
    pub fn confirmed(self) -> Certificate {
        self.to_compare.confirmed()
    }
}
