//! Messages: whose they are, what they say, and why they can not be read.

use aside_crypto::{Envelope, Judgement, LogHead, StatedHeadError};
use aside_mls::{Owner, Reason};
use aside_proto::v1;
use prost::Message as _;

use super::{
    conversation::{Context, Conversation, Doubted, Entry, Opened, Outgoing, Stall, Step},
    event::Event,
    intake::{By, Hold, Taken},
    reading::{Reading, Said, Unreadable},
};

/// Messages that are kept in case their senders can be judged later; of more the oldest stay unreadable.
const MOST_DOUBTED: usize = 64;

impl Conversation {
    pub(super) fn message(&mut self, cx: &mut Context<'_>, entry: &Entry, by: By) -> Taken {
        let seq = entry.seq;
        if entry.payload.is_empty() {
            // Redacted: there is nothing to read. If it was this device's, it arrived.
            let known = self.arrived(cx, by)?;
            let is_ours = by.owner == cx.me && known.is_none();
            if is_ours && self.group.is_some() && seq > self.joined_at {
                // Sent in a state that is lost, as any other that is not known here.
                self.lost();
                self.drop_group(cx);
            }
            return Ok(());
        }
        const WRONG: Hold = Hold::Contradiction("the header of a message");
        let payload = v1::PrivatePayload::decode(&entry.payload[..]).map_err(|_| WRONG)?;
        let header = v1::PrivateHeader::decode(&payload.header[..]).map_err(|_| WRONG)?;
        let generation = u32::try_from(header.generation).map_err(|_| WRONG)?;
        let at = (generation, header.epoch);
        if !self.roster.goes_on(at) {
            return Err(Hold::Contradiction("the epoch of a message"));
        }
        let is_here = header.conversation_id[..] == self.id.as_bytes()[..];
        if header.message_id[..] != by.key.as_bytes()[..] || !is_here {
            return Err(Hold::Contradiction("the ids of a message"));
        }
        self.confirm_removal(cx, by.owner, header.epoch)?;
        let reading = if by.owner == cx.me {
            self.own_message(cx, entry, by, at)?
        } else if self.is_at(at) {
            self.others_message(cx, seq, by.owner, (&header, &payload))?
        } else if self.refused.is_some() {
            self.others_go_on(cx, by.owner);
            Reading::Unreadable(Unreadable::Refused(Reason::FutureEpoch))
        } else {
            Reading::Unreadable(Unreadable::NotHere)
        };
        self.read(cx, (seq, by.owner), &reading);
        Ok(())
    }

    /// Writes down what a message turned out to say, and takes in the name that it gives.
    fn read(&mut self, cx: &mut Context<'_>, (seq, by): (u64, Owner), reading: &Reading) {
        if let Reading::Said(said) = reading
            && said.approved
            && let Some(profile) = self.naming.said(self.roster.kind, (seq, by), said)
        {
            cx.tell(self.id, Event::Named { profile, by });
        }
        cx.read(self.id, seq, reading);
    }

    /// The message of this device's that an entry is; it waits no longer.
    pub(super) fn arrived(&mut self, cx: &mut Context<'_>, by: By) -> Taken<Option<Outgoing>> {
        let ours = |it: &Outgoing| it.message_id == by.key;
        let at = self.outgoing.iter().position(ours).filter(|_| by.owner == cx.me);
        let Some(mine) = at.and_then(|at| self.outgoing.remove(at)) else { return Ok(None) };
        cx.conversation(self.id).outgoing.insert(by.key, None);
        Ok(Some(mine))
    }

    pub(super) fn own_message(
        &mut self,
        cx: &mut Context<'_>,
        entry: &Entry,
        by: By,
        at: (u32, u64),
    ) -> Taken<Reading> {
        let is_other = |it: &Outgoing| {
            let is_sent = it.sent.is_some() || self.in_flight == Some(Step::Send(by.key));
            it.message_id == by.key && is_sent && it.payload.as_ref() != Some(&entry.payload)
        };
        if self.outgoing.iter().any(is_other) {
            // All that came before it was asked for was taken in by then.
            return Err(Hold::Contradiction("what a message says that it acknowledged"));
        }
        let Some(mine) = self.arrived(cx, by)? else {
            // Sent in a state that is lost: the keys that it used may be used no more (MLS table "own").
            if self.is_at(at) {
                self.lost();
            }
            return Ok(Reading::Unreadable(Unreadable::Lost));
        };
        if mine.sent.is_none() {
            let (message_id, time_ms) = (by.key, entry.header.time_ms);
            cx.tell(self.id, Event::Sent { message_id, seq: entry.seq, time_ms });
        }
        if mine.payload.as_ref() != Some(&entry.payload) {
            // Encrypted in a state that is lost, and said before the copy was made.
            if self.is_at(at) {
                self.lost();
            }
            return Ok(Reading::Unreadable(Unreadable::Lost));
        }
        let position = cx.logs.with(cx.me.user, |log| log.head().position).unwrap_or_default();
        Ok(Reading::Said(Said {
            content: mine.content,
            franking_key: mine.franking_key,
            position,
            approved: true,
            role: self.roster.role(cx.me.user),
        }))
    }

    pub(super) fn others_message(
        &mut self,
        cx: &mut Context<'_>,
        seq: u64,
        by: Owner,
        (header, payload): (&v1::PrivateHeader, &v1::PrivatePayload),
    ) -> Taken<Reading> {
        let opened = match self.opened.take_if(|opened| opened.seq == seq) {
            Some(opened) => opened,
            None => match self.open(seq, by, header, payload) {
                Ok(opened) => {
                    self.compare_history(cx, (seq, by), (header.head_seq, &header.chain));
                    opened
                }
                Err(unreadable) => return Ok(Reading::Unreadable(unreadable)),
            },
        };
        self.is_dirty = true;
        let judged = judge(cx, by, &opened);
        let is_refreshed = self.refreshed.contains(&by.user);
        let unreadable = match judged {
            Some(Ok(judged)) if judged.approved || is_refreshed => {
                return Ok(self.said(cx, (seq, by), opened, &judged));
            }
            Some(Err(StatedHeadError::Diverged(_))) => Unreadable::LogDiverges,
            Some(Err(StatedHeadError::Beyond(_))) | None if is_refreshed => Unreadable::LogHeldBack,
            _ => {
                // What was opened once can't be opened again: it is kept until its sender is known.
                self.opened = Some(opened);
                return Err(Hold::Stall(Stall::Logs([by.user].into())));
            }
        };
        cx.tell(self.id, Event::SenderDoubted { seq, sender: by });
        if unreadable == Unreadable::LogHeldBack {
            // Its key is used up: what it says is had here alone.
            let doubted = Doubted { by, opened };
            cx.conversation(self.id).doubted.insert(seq, Some(doubted.record()));
            self.doubted.insert(seq, doubted);
            if self.doubted.len() > MOST_DOUBTED
                && let Some((oldest, _)) = self.doubted.pop_first()
            {
                cx.conversation(self.id).doubted.insert(oldest, None);
            }
        }
        Ok(Reading::Unreadable(unreadable))
    }

    /// Shows what could not be shown since its sender's log was held back, if it is there by now.
    pub(super) fn judge_doubted(&mut self, cx: &mut Context<'_>) {
        let users = std::mem::take(&mut self.judge_again);
        let due = self.doubted.iter().filter(|(_, it)| users.contains(&it.by.user));
        let judged: Vec<_> = due
            .filter_map(|(seq, it)| Some((*seq, judge(cx, it.by, &it.opened)?)))
            .filter(|(_, judged)| !matches!(judged, Err(StatedHeadError::Beyond(_))))
            .collect();
        let any = !judged.is_empty();
        for (seq, judged) in judged {
            let Some(Doubted { by, opened }) = self.doubted.remove(&seq) else { continue };
            cx.conversation(self.id).doubted.insert(seq, None);
            let reading = match judged {
                Ok(judged) => self.said(cx, (seq, by), opened, &judged),
                Err(_) => Reading::Unreadable(Unreadable::LogDiverges),
            };
            self.read(cx, (seq, by), &reading);
        }
        if any {
            cx.tell(self.id, Event::Read);
        }
    }

    /// A message whose sender is judged.
    fn said(
        &self,
        cx: &mut Context<'_>,
        (seq, by): (u64, Owner),
        opened: Opened,
        judged: &Judged,
    ) -> Reading {
        let Judged { position, approved, is_former } = *judged;
        if is_former {
            // It may be the one of now who is not who it says.
            cx.tell(self.id, Event::SenderDoubted { seq, sender: by });
        }
        let Opened { content, franking_key, .. } = opened;
        let role = self.roster.role(by.user);
        Reading::Said(Said { content, franking_key, position, approved, role })
    }

    pub(super) fn open(
        &mut self,
        seq: u64,
        by: Owner,
        header: &v1::PrivateHeader,
        payload: &v1::PrivatePayload,
    ) -> Result<Opened, Unreadable> {
        let group = self.group.as_mut().ok_or(Unreadable::NotHere)?;
        let decrypted = group.decrypt(&payload.ciphertext, &payload.header, by);
        let message = decrypted.map_err(|reason| {
            if reason == Reason::Own {
                self.lost();
            }
            Unreadable::Refused(reason)
        })?;
        self.group_is_dirty = true;
        let envelope = Envelope::open(&message.content, &header.franking_tag);
        let envelope = envelope.map_err(|_| Unreadable::Damaged)?;
        Ok(Opened {
            seq,
            content: envelope.content,
            franking_key: *envelope.key.as_bytes(),
            position: envelope.head.position,
            hash: envelope.head.hash,
        })
    }
}

/// What is found of a message's sender (DLOG-016).
struct Judged {
    /// The position of the sender's device log.
    position: u32,
    /// Whether the device is one of its user's there.
    approved: bool,
    /// Whether it states the head of a log in whose place another came.
    is_former: bool,
}

/// None if the user's device log is not known at all.
fn judge(cx: &Context<'_>, by: Owner, opened: &Opened) -> Option<Result<Judged, StatedHeadError>> {
    let stated = LogHead { position: opened.position, hash: opened.hash };
    let (judged, position) = cx.logs.with(by.user, |log| {
        let judged = log.judge_new(by.device, &stated).map(|it| Judged {
            position: it.position,
            approved: matches!(it.judgement, Judgement::Active(_)),
            is_former: false,
        });
        (judged, log.head().position)
    })?;
    Some(judged.or_else(|error| match cx.logs.had(by.user, &stated) {
        // Said by a device of who the user was before: one that is approved no longer.
        true => Ok(Judged { position, approved: false, is_former: true }),
        false => Err(error),
    }))
}
