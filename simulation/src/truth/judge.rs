//! What the server tells in a reply, held against what is true at that moment.
//!
//! As the server's work is done in steps, with nothing else under way, all of it is known exactly.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    limits::MAX_UNREAD,
    v1::{self, ErrorCode, server_frame::Body},
};
use aside_session::{
    client::log::Accepted,
    server::{Command, Outcome, Refusal},
};
use bytes::Bytes;

use super::{Log, Truth};
use crate::server::{Executed, is_ordinary};

impl Truth {
    /// A new operation whose reply can be told right from wrong has an arm here; the others need none.
    pub(super) fn judge(&mut self, executed: &Executed) -> Result<()> {
        let Executed { identity, command, outcome } = executed;
        let reply = match outcome {
            Outcome::Reply(reply) => reply,
            Outcome::Refused(refusal) => {
                let login = matches!(command, Command::PasswordLogin { .. });
                ensure!(is_ordinary(refusal.code, login), "that is out of the ordinary");
                return self.judge_refusal(command, refusal);
            }
            Outcome::LoggedIn { .. }
            | Outcome::Device(_)
            | Outcome::Token(_)
            | Outcome::Attached { .. } => return Ok(()),
        };
        let (user, device) = identity.context("a reply to nobody")?;
        match (command, reply) {
            (Command::SendMessage { key, conversation, .. }, Body::Sent(sent)) => {
                let place = self.place(*conversation, sent, *key)?;
                ensure!(place == Some(device), "an acknowledged message is not where it is said");
            }
            (Command::Mark { conversation, delivered_seq, read_seq }, Body::Marked(marked)) => {
                let at = self.mark((*conversation, user), *delivered_seq, *read_seq)?;
                ensure!(marked.watermark == Some(watermark(user, at)), "the watermarks are {at:?}");
            }
            (Command::Fetch { conversation, from_seq, .. }, Body::Fetched(fetched)) => {
                self.judge_fetched(*conversation, *from_seq, fetched)?;
            }
            (Command::Redact { conversation, .. }, Body::Redacted(redacted))
                if redacted.seq > 0 =>
            {
                let entry = self.recorded(*conversation, redacted.seq);
                let kind = entry.map(|entry| entry.kind());
                ensure!(kind == Some(v1::EntryKind::Redacted), "there is no such entry");
            }
            (Command::ListPins { conversation, .. }, Body::Pins(page)) => {
                self.judge_pins(*conversation, page)?;
            }
            (Command::ListSummaries { .. }, Body::Summaries(page)) => {
                page.summaries.iter().try_for_each(|summary| self.judge_summary(user, summary))?;
            }
            (Command::ListWatermarks { conversation, .. }, Body::Watermarks(page)) => {
                self.judge_watermarks(*conversation, page)?;
            }
            (Command::ListMembers { conversation, .. }, Body::Members(page)) => {
                self.judge_members(*conversation, page)?;
            }
            (Command::ListRooms { joined_only: true, .. }, Body::Rooms(page)) => {
                for room in &page.rooms {
                    let log = self.log(&room.conversation_id)?;
                    ensure!(log.members.contains_key(&user), "no member of {}", room.name);
                    ensure!(room.head_seq == log.head(), "{} ends at {}", room.name, log.head());
                    ensure!(room.first_seq == log.first_seq, "it begins at {}", log.first_seq);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// FETCH-005, REDACT-004, PIN-002: what is refused with these can't be had.
    fn judge_refusal(&mut self, command: &Command, refusal: &Refusal) -> Result<()> {
        if let Command::SendMessage { key, .. } = command {
            self.refused.insert(*key);
        }
        let is_there = |conversation: &ConversationId, seq: u64, with_payload: bool| {
            let is_kept = self.logs.get(conversation).is_some_and(|log| log.first_seq <= seq);
            let entry = self.recorded(*conversation, seq).filter(|_| is_kept);
            entry.is_some_and(|entry| {
                let is_whole = !entry.entry.salt.is_empty();
                entry.kind() == v1::EntryKind::Message && (is_whole || !with_payload)
            })
        };
        match (command, refusal.code) {
            (Command::Fetch { conversation, from_seq, .. }, ErrorCode::Trimmed) => {
                let log = self.log(conversation.as_bytes())?;
                let first = &log.kept().first().context("a log is never empty")?;
                ensure!(*from_seq < log.first_seq, "it begins at {}", log.first_seq);
                ensure!(refusal.first_seq == log.first_seq, "it begins at {}", log.first_seq);
                ensure!(refusal.anchor[..] == first.chain_before, "that is not the anchor");
            }
            (Command::Redact { conversation, seqs, .. }, ErrorCode::NoSuchEntry) => {
                let are_all = seqs.iter().all(|seq| is_there(conversation, *seq, false));
                ensure!(!are_all, "they are all there");
            }
            (Command::SetPin { conversation, seq, .. }, ErrorCode::NoSuchEntry) => {
                ensure!(!is_there(conversation, *seq, true), "it is there");
            }
            (_, ErrorCode::Trimmed | ErrorCode::NoSuchEntry) => bail!("nothing of that was asked"),
            _ => {}
        }
        Ok(())
    }

    /// PIN-006, PIN-007. A page is long enough for all.
    fn judge_pins(&self, conversation: ConversationId, page: &v1::Pins) -> Result<()> {
        let log = self.log(conversation.as_bytes())?;
        let mut expected: Vec<(u64, u64)> =
            log.pins.iter().map(|(seq, pin_seq)| (*pin_seq, *seq)).collect();
        expected.sort_unstable_by(|one, other| other.cmp(one));
        let pins = expected.iter().map(|(pin_seq, seq)| v1::Pin {
            entry: self.entry(conversation, *seq).cloned(),
            pin_seq: *pin_seq,
        });
        ensure!(page.pins.iter().cloned().eq(pins), "the pins are {expected:?}");
        Ok(())
    }

    fn log(&self, conversation: &[u8]) -> Result<&Log> {
        let conversation: ConversationId = conversation.try_into()?;
        self.logs.get(&conversation).with_context(|| format!("there is no {conversation}"))
    }

    /// Whose device's message of this id the log has where an acknowledgement says (MSG-004).
    pub(crate) fn place(
        &self,
        conversation: ConversationId,
        sent: &v1::Sent,
        id: IdempotencyKey,
    ) -> Result<Option<aside_proto::id::DeviceId>> {
        let log = self.log(conversation.as_bytes())?;
        let index = usize::try_from(sent.seq).unwrap_or(usize::MAX).wrapping_sub(1);
        let entry = log.entries.get(index);
        let entry = entry.filter(|entry| entry.payload_hash[..] == sent.payload_hash[..]);
        let sender = entry.and_then(|entry| entry.sender).filter(|it| it.message_id == id);
        Ok(sender.map(|sender| sender.device))
    }

    /// MARK-001, MARK-003.
    fn mark(
        &mut self,
        whose: (ConversationId, UserId),
        delivered: u64,
        read: u64,
    ) -> Result<(u64, u64)> {
        let at = self.watermarks.get_mut(&whose).context("it is no member")?;
        *at = (at.0.max(delivered).max(read), at.1.max(read));
        Ok(*at)
    }

    /// An entry of a log, kept or not.
    fn entry(&self, conversation: ConversationId, seq: u64) -> Option<&v1::Entry> {
        Some(&self.recorded(conversation, seq)?.entry)
    }

    fn recorded(&self, conversation: ConversationId, seq: u64) -> Option<&Accepted> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.logs.get(&conversation)?.entries.get(index)
    }

    /// Whether an entry is what the log has at its place, or had until it was redacted.
    pub(crate) fn has(&self, accepted: &Accepted) -> bool {
        let known = self.recorded(accepted.conversation, accepted.seq);
        known.is_some_and(|known| {
            let is_redacted_since = known.entry.salt.is_empty()
                && known.entry.header == accepted.entry.header
                && known.payload_hash == accepted.payload_hash;
            known.entry == accepted.entry || is_redacted_since
        })
    }

    fn judge_fetched(
        &self,
        conversation: ConversationId,
        from_seq: u64,
        fetched: &v1::Fetched,
    ) -> Result<()> {
        let log = self.log(conversation.as_bytes())?;
        let from = usize::try_from(from_seq)?.saturating_sub(1).min(log.entries.len());
        let true_ones = log.entries[from..].iter().map(|entry| &entry.entry);
        let same = fetched.entries.iter().eq(true_ones.take(fetched.entries.len()));
        ensure!(same, "these are not the entries from {from_seq} on");
        ensure!(fetched.head_seq == log.head(), "the log ends at {}", log.head());
        ensure!(fetched.first_seq == log.first_seq, "the log begins at {}", log.first_seq);
        ensure!(from_seq >= log.first_seq, "what is before {} is gone", log.first_seq);
        Ok(())
    }

    /// SUM-002, SUM-005, SUM-006.
    fn judge_summary(&self, user: UserId, summary: &v1::Summary) -> Result<()> {
        let room = summary.room.as_ref().context("a summary without room")?;
        let log = self.log(&room.conversation_id)?;
        let whose = (room.conversation_id[..].try_into()?, user);
        let at = *self.watermarks.get(&whose).context("a summary for one who is no member")?;
        let own = |sender: Option<UserId>| sender == Some(user);
        let messages = log.messages_after(at.1).take(MAX_UNREAD as usize);
        let unread = messages.filter(|it| !own(it.sender.map(|sender| sender.user))).count();
        ensure!(room.head_seq == log.head(), "{} ends at {}", room.name, log.head());
        ensure!(room.first_seq == log.first_seq, "{} begins at {}", room.name, log.first_seq);
        ensure!(summary.watermark == Some(watermark(user, at)), "the watermarks are {at:?}");
        ensure!(summary.unread as usize == unread, "{unread} are unread in {}", room.name);
        let last = log.messages_after(0).next_back().map(|entry| &entry.entry);
        ensure!(summary.last_message.as_ref() == last, "that is not the last message");
        Ok(())
    }

    /// MARK-012. A page is long enough for all.
    fn judge_watermarks(&self, conversation: ConversationId, page: &v1::Watermarks) -> Result<()> {
        let of_it = self.watermarks.iter().filter(|((other, _), _)| *other == conversation);
        let expected: Vec<_> = of_it.map(|((_, user), at)| watermark(*user, *at)).collect();
        ensure!(page.watermarks == expected, "they are {expected:?}");
        Ok(())
    }

    fn judge_members(&self, conversation: ConversationId, page: &v1::Members) -> Result<()> {
        let log = self.log(conversation.as_bytes())?;
        let expected: BTreeMap<Bytes, &str> =
            log.members.iter().map(|(user, handle)| (user.to_bytes(), handle.as_str())).collect();
        let listed: BTreeMap<Bytes, &str> =
            page.members.iter().map(|it| (it.user_id.clone(), it.handle.as_str())).collect();
        if listed != expected {
            bail!("the members are {expected:?}");
        }
        Ok(())
    }
}

fn watermark(user: UserId, (delivered_seq, read_seq): (u64, u64)) -> v1::Watermark {
    v1::Watermark { user_id: user.to_bytes(), delivered_seq, read_seq }
}
