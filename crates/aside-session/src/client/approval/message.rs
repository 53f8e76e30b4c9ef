//! What is said of an approval, and to whom.

use aside_crypto::{APPROVAL_NONCE_BYTES, Answer, Hash, LogHead, MAX_CERTIFICATE_BYTES, Reveal};
use aside_proto::{
    id::DeviceId,
    v1::{self, ApprovalEndReason, approval_message},
};
use bytes::Bytes;
use prost::Message as _;

/// Tells one approval from others: drawn by the new device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApprovalId(pub [u8; 16]);

/// One step of an approval, as it is relayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalMessage {
    /// Of one approval.
    Of(ApprovalId, ApprovalStep),
    /// A device that is approved looks for devices that ask.
    Looking,
}

/// What is said of one approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalStep {
    /// By the new device, first.
    Commitment(Hash),
    /// By the approving device.
    Answer(Answer),
    /// By the new device, then.
    Reveal(Reveal),
    /// By either: nothing came of it.
    Ended(ApprovalEndReason),
}

/// Something to be relayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// To which device; none: to all that are approved.
    pub to: Option<DeviceId>,
    /// What.
    pub message: ApprovalMessage,
}

impl Said {
    pub(super) fn new(to: Option<DeviceId>, id: ApprovalId, step: ApprovalStep) -> Self {
        Self { to, message: ApprovalMessage::Of(id, step) }
    }

    /// What a device that is approved says to one that may ask (APPROVE-012).
    #[must_use]
    pub const fn looking(device: DeviceId) -> Self {
        Self { to: Some(device), message: ApprovalMessage::Looking }
    }

    /// The request that relays it.
    #[must_use]
    pub fn request(&self) -> v1::Relay {
        let device_id = self.to.map(DeviceId::to_bytes).unwrap_or_default();
        v1::Relay { device_id, payload: self.message.encode() }
    }
}

impl ApprovalMessage {
    /// Reads what was relayed; none is to be ignored (APPROVE-014).
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        use approval_message::Step;
        let message = v1::ApprovalMessage::decode(payload).ok()?;
        if let Some(Step::Looking(_)) = &message.step {
            return message.approval_id.is_empty().then_some(Self::Looking);
        }
        let id = ApprovalId(message.approval_id[..].try_into().ok()?);
        let step = match message.step? {
            Step::Commitment(it) => ApprovalStep::Commitment(it.commitment[..].try_into().ok()?),
            Step::Answer(it) => ApprovalStep::Answer(answer(&it)?),
            Step::Reveal(it) => ApprovalStep::Reveal(reveal(&it)?),
            Step::Ended(it) => ApprovalStep::Ended(it.reason()),
            Step::Looking(_) => return None,
        };
        Some(Self::Of(id, step))
    }

    fn encode(&self) -> Bytes {
        use approval_message::Step;
        let (approval_id, step) = match self {
            Self::Looking => (Bytes::new(), Step::Looking(v1::ApprovalLooking {})),
            Self::Of(ApprovalId(id), step) => (Bytes::copy_from_slice(id), step.to_wire()),
        };
        v1::ApprovalMessage { approval_id, step: Some(step) }.encode_to_vec().into()
    }
}

impl ApprovalStep {
    fn to_wire(&self) -> approval_message::Step {
        use approval_message::Step;
        let bytes = Bytes::copy_from_slice;
        match self {
            Self::Commitment(commitment) => {
                Step::Commitment(v1::ApprovalCommitment { commitment: bytes(commitment) })
            }
            Self::Answer(Answer { nonce, genesis, head }) => Step::Answer(v1::ApprovalAnswer {
                nonce: bytes(nonce),
                genesis: bytes(genesis),
                position: head.position,
                head: bytes(&head.hash),
            }),
            Self::Reveal(Reveal { certificate, nonce }) => Step::Reveal(v1::ApprovalReveal {
                certificate: bytes(certificate),
                nonce: bytes(nonce),
            }),
            Self::Ended(reason) => Step::Ended(v1::ApprovalEnded { reason: (*reason).into() }),
        }
    }
}

fn answer(answer: &v1::ApprovalAnswer) -> Option<Answer> {
    Some(Answer {
        nonce: nonce(&answer.nonce)?,
        genesis: answer.genesis[..].try_into().ok()?,
        head: LogHead { position: answer.position, hash: answer.head[..].try_into().ok()? },
    })
}

fn reveal(reveal: &v1::ApprovalReveal) -> Option<Reveal> {
    let is_fit = (1..=MAX_CERTIFICATE_BYTES).contains(&reveal.certificate.len());
    let nonce = nonce(&reveal.nonce)?;
    is_fit.then(|| Reveal { certificate: reveal.certificate.to_vec(), nonce })
}

fn nonce(bytes: &[u8]) -> Option<[u8; APPROVAL_NONCE_BYTES]> {
    bytes.try_into().ok()
}
