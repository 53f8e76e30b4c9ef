//! What each device has read, against what was said: all that was said while it was a leaf, and nothing else.

use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use aside_client::private::{Reading, Said};
use aside_mls::Owner;
use aside_proto::{
    id::ConversationId,
    v1::{self, EntryKind},
};
use prost::Message as _;

use super::{
    device::{Device, Room},
    log::{Logs, Step},
    vault::Kept,
    witness::Witness,
};

/// A device has read what was said to it, and nothing else.
pub(super) fn check(
    witness: &Witness,
    (devices, logs): (&[&Device], &Logs<'_>),
    device: &Device,
) -> Result<()> {
    let Some(owner) = device.disk.owner else { return Ok(()) };
    for (id, room) in &device.disk.rooms {
        let kept = device.disk.vault.conversations.get(id);
        let reader = Reader { witness, devices, device, owner, id: *id, room, kept };
        let of = || format!("{}{}", witness.known_name(*id), logs.story(*id));
        reader.check(logs.steps(*id)).with_context(of)?;
    }
    Ok(())
}

/// Who is no leaf where something is said can't open it with the last that it kept of any group of the conversation's.
pub(super) fn check_secrecy(witness: &Witness, logs: &Logs<'_>, device: &Device) -> Result<()> {
    let Some(owner) = device.disk.owner else { return Ok(()) };
    for ((id, generation), state) in &device.states {
        let Ok(mut group) = device.mls(&witness.everyone)?.load(state) else { continue };
        // What it was told of its removal keeps nobody from trying.
        let _ = group.reject_removal();
        for step in logs.steps(*id).iter().filter(|step| !step.leaves.contains(&owner)) {
            let is_message = step.entry.kind() == EntryKind::PrivateMessage;
            let said = step.entry.sender.filter(|it| witness.messages.contains_key(&it.message_id));
            let (true, Some(_), Some(by)) = (is_message, said, step.by) else { continue };
            let payload = v1::PrivatePayload::decode(&step.entry.entry.payload[..])?;
            let header = v1::PrivateHeader::decode(&payload.header[..])?;
            if header.generation != u64::from(*generation) || by == owner {
                continue;
            }
            let opened = group.decrypt(&payload.ciphertext, &payload.header, by);
            let (seq, name) = (step.seq, witness.known_name(*id));
            ensure!(opened.is_err(), "entry {seq} of {name} is opened by who was removed");
        }
    }
    Ok(())
}

/// A device that reads a conversation.
struct Reader<'a> {
    witness: &'a Witness,
    devices: &'a [&'a Device],
    device: &'a Device,
    owner: Owner,
    id: ConversationId,
    room: &'a Room,
    kept: Option<&'a Kept>,
}

/// Where a device stands by the log.
#[derive(Default)]
struct Standing {
    /// It has lost its way into the group, as it may: until it comes in anew it reads nothing.
    is_astray: bool,
    /// What it has not read since.
    missed: Vec<u64>,
}

impl Reader<'_> {
    fn check(&self, steps: &[Step<'_>]) -> Result<()> {
        let mut standing = Standing::default();
        for (at, step) in steps.iter().enumerate() {
            match step.entry.kind() {
                EntryKind::PrivateMessage => self.message(step, &mut standing)?,
                EntryKind::Commit | EntryKind::GroupEstablished => {
                    let next = steps[at + 1..].iter().find(|later| self.is_welcomed(later));
                    self.change(step, next.map(|next| next.seq), &mut standing);
                }
                _ => {}
            }
        }
        // Who did not come in anew was never astray.
        let is_in = self.device.seen().is_some_and(|engine| {
            let at = engine.health(self.id).and_then(|health| health.at);
            let own = engine.epoch_authenticator(self.id);
            at.is_some() && at == own.map(|(generation, epoch, _)| (generation, epoch))
        });
        let Standing { missed, .. } = standing;
        ensure!(missed.is_empty() || !is_in, "it never came in anew, and did not read {missed:?}");
        Ok(())
    }

    /// Whether another brings this device in.
    fn is_welcomed(&self, step: &Step<'_>) -> bool {
        step.came.contains(&self.owner) && step.by != Some(self.owner)
    }

    /// A commit, or the beginning of a group: who comes in by it begins to read, and there are these honest reasons not to.
    fn change(&self, step: &Step<'_>, next_welcome: Option<u64>, standing: &mut Standing) {
        let place = (self.device.index, self.id, step.seq);
        if step.came.contains(&self.owner) {
            // The Welcome, or the secrets that it is for, may be gone with the disk, or be held back. Or it was not there yet when the
            // device was revoked, which has no inbox since, or when the next took its place (INBOX-008).
            let is_cut_off = self.device.is_revoked || !self.device.is_approved();
            let until = next_welcome.unwrap_or(u64::MAX);
            let is_over = is_cut_off || next_welcome.is_some();
            let may_lack = self.is_welcomed(step)
                && ((is_over && !self.has_read_in(step.seq..until))
                    || self.witness.causes.was_lied_to(self.owner.device, self.id)
                    || self.witness.was_put_back(place));
            *standing = Standing { is_astray: may_lack, missed: Vec::new() };
        }
        let forgot = step.by == Some(self.owner) && self.is_forgotten(step);
        standing.is_astray |= forgot || self.witness.causes.refused.contains(&place);
    }

    fn message(&self, step: &Step<'_>, standing: &mut Standing) -> Result<()> {
        let (seq, Some(sender)) = (step.seq, step.entry.sender) else {
            bail!("a message of nobody");
        };
        let is_own = sender.device == self.owner.device;
        let Some(message) = self.witness.messages.get(&sender.message_id) else {
            let is_sender =
                |it: &&Device| it.disk.owner.is_some_and(|it| it.device == sender.device);
            let is_honest = self.devices.iter().any(is_sender);
            ensure!(!is_honest, "entry {seq} was sent by a device that forgot it");
            return Ok(());
        };
        let reading = self.kept.and_then(|kept| kept.readings.get(&seq));
        if let Some(Reading::Said(Said { content, .. })) = reading {
            ensure!(*content == message.content, "entry {seq} is read wrongly");
            let is_meant = step.leaves.contains(&self.owner) || is_own;
            ensure!(is_meant, "entry {seq} is read, and was not for this device");
            return Ok(());
        }
        if is_own && self.is_forgotten(step) {
            standing.is_astray = true;
            return Ok(());
        }
        if !step.leaves.contains(&self.owner) || !self.has_to_read(seq, reading.is_some()) {
            return Ok(());
        }
        let is_doubted = self.witness.doubted.contains(&(self.device.index, self.id, seq));
        ensure!(standing.is_astray || is_doubted, "entry {seq} is not read: {reading:?}");
        if !is_doubted {
            standing.missed.push(seq);
        }
        Ok(())
    }

    /// Whether it could read any of these entries.
    fn has_read_in(&self, seqs: Range<u64>) -> bool {
        let readings = self.kept.into_iter().flat_map(|kept| kept.readings.range(seqs.clone()));
        readings.into_iter().any(|(_, reading)| matches!(reading, Reading::Said(_)))
    }

    /// Whether an entry is of those that this device has, or must.
    fn has_to_read(&self, seq: u64, took_in: bool) -> bool {
        let follows = self.room.is_member && !self.device.is_revoked && self.device.is_approved();
        took_in || (follows && seq >= self.room.from_seq)
    }

    /// Whether this device made an entry, and its disk was put back since to what it was before it.
    fn is_forgotten(&self, step: &Step<'_>) -> bool {
        let place = (self.device.index, self.id, step.seq);
        self.witness.is_forgotten(place, &step.entry.entry.payload)
    }
}
