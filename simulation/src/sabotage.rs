//! Ways to break the server or a client, each of which an invariant must notice: the simulation's own test.

use aside_proto::{
    frame,
    id::IdempotencyKey,
    v1::{self, server_frame::Body},
};
use aside_session::server::{Command, Outcome};
use bytes::Bytes;

use crate::{clock::Clock, rng::Rng};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sabotage {
    /// Messages are acknowledged before they are written.
    AckEarly,
    /// Now and then an entry is not pushed.
    SkipPush,
    /// Now and then a message is appended twice.
    AppendTwice,
    /// Unread counts are one too many.
    MiscountUnread,
    /// Fetched entries come without the last but one.
    SkipFetched,
    /// Marked tells of less than was marked.
    LowerMark,
    /// The server keeps one entry less than it says.
    TrimMore,
    /// TRIMMED tells another chain value.
    FalseAnchor,
    /// Redacted entries are fetched with another hash.
    MixHashes,
    /// A client that crashes forgets what it had not sent.
    ForgetOutbox,
    /// A client sends its messages anew after a lost connection, as new ones.
    ResendAnew,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::AckEarly,
        Self::SkipPush,
        Self::AppendTwice,
        Self::MiscountUnread,
        Self::SkipFetched,
        Self::LowerMark,
        Self::TrimMore,
        Self::FalseAnchor,
        Self::MixHashes,
        Self::ForgetOutbox,
        Self::ResendAnew,
    ];
}

/// Does it at the server.
pub(crate) struct Saboteur {
    what: Option<Sabotage>,
    rng: Rng,
}

impl Saboteur {
    pub(crate) fn new(what: Option<Sabotage>, rng: Rng) -> Self {
        Self { what, rng }
    }

    fn is(&self, what: Sabotage) -> bool {
        self.what == Some(what)
    }

    /// An acknowledgement for what is not written yet.
    pub(crate) fn early(&self, command: &Command, clock: &Clock) -> Option<Outcome> {
        let Command::SendMessage { payload, salt, .. } = command else { return None };
        let payload_hash = aside_crypto::payload_hash(salt, payload).to_vec().into();
        let sent = v1::Sent { seq: 2, time_ms: clock.now().unix_ms, payload_hash };
        self.is(Sabotage::AckEarly).then_some(Outcome::Reply(Body::Sent(sent)))
    }

    /// The command to carry out besides.
    pub(crate) fn again(&mut self, command: &Command) -> Option<Command> {
        let Command::SendMessage { .. } = command else { return None };
        if !self.is(Sabotage::AppendTwice) || !self.rng.one_in(8) {
            return None;
        }
        let mut again = command.clone();
        if let Command::SendMessage { key, .. } = &mut again {
            let mut bytes = *key.as_bytes();
            bytes[15] ^= 1;
            *key = IdempotencyKey::new(bytes);
        }
        Some(again)
    }

    /// Whether an event is left out.
    pub(crate) fn skips(&mut self, event: &Bytes) -> bool {
        let is_entry = frame::decode::<v1::ServerFrame>(frame::body(event))
            .is_ok_and(|frame| matches!(frame.body, Some(Body::EntryAppended(_))));
        self.is(Sabotage::SkipPush) && is_entry && self.rng.one_in(8)
    }

    /// The outcome that is told instead.
    pub(crate) fn twist(&self, mut outcome: Outcome) -> Outcome {
        match &mut outcome {
            Outcome::Reply(Body::Summaries(summaries)) if self.is(Sabotage::MiscountUnread) => {
                summaries.summaries.iter_mut().for_each(|summary| summary.unread += 1);
            }
            Outcome::Reply(Body::Fetched(fetched))
                if self.is(Sabotage::SkipFetched) && fetched.entries.len() > 2 =>
            {
                fetched.entries.remove(fetched.entries.len() - 2);
            }
            Outcome::Refused(refusal)
                if self.is(Sabotage::FalseAnchor) && !refusal.anchor.is_empty() =>
            {
                refusal.anchor = vec![7; 32].into();
            }
            Outcome::Reply(Body::Fetched(fetched)) if self.is(Sabotage::MixHashes) => {
                let hashes = fetched.entries.iter_mut().map(|entry| &mut entry.payload_hash);
                let redacted = hashes.filter(|hash| !hash.is_empty());
                redacted.for_each(|hash| *hash = vec![7; 32].into());
            }
            Outcome::Reply(Body::Marked(marked)) if self.is(Sabotage::LowerMark) => {
                if let Some(watermark) = &mut marked.watermark {
                    watermark.read_seq = watermark.read_seq.saturating_sub(1);
                }
            }
            _ => {}
        }
        outcome
    }
}
