//! What must hold once everything has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use aside_client::private::{Engine, Health, Reading};
use aside_mls::Owner;
use aside_proto::{
    id::{ConversationId, IdempotencyKey},
    v1::{self, ConversationKind, EntryKind},
};
use aside_session::client::log::Accepted;

use bytes::Bytes;
use prost::Message as _;

use super::{
    device::Device,
    people::User,
    witness::{Fate, Message, Witness, place_of},
};

/// All of it.
pub(crate) fn check(witness: &Witness, users: &[User], devices: &[Device]) -> Result<()> {
    let honest: Vec<&Device> = devices.iter().filter(|it| !users[it.user].is_evil).collect();
    let entries = entries(&honest)?;
    for device in &honest {
        check_readings(witness, &honest, device).context(device.name.clone())?;
        if let Some(engine) = device.seen().filter(|_| !device.is_revoked && device.is_approved()) {
            check_groups((&honest, &entries), device, engine).context(device.name.clone())?;
        }
    }
    let is_there = |payload: &Bytes| entries.values().any(|it| it.entry.payload == *payload);
    let twice = witness.doubtful.iter().any(|two| two.iter().all(is_there));
    ensure!(!twice, "two messages of the log were encrypted by one key");
    for (key, message) in &witness.messages {
        let device = &devices[message.device];
        check_message(device, *key, message, &entries)
            .with_context(|| format!("{key} of {}", device.name))?;
    }
    Ok(())
}

type Entries<'a> = BTreeMap<(ConversationId, u64), &'a Accepted>;

/// What everybody has, which is the same.
fn entries<'a>(devices: &[&'a Device]) -> Result<Entries<'a>> {
    let mut all = Entries::new();
    for device in devices {
        for (id, room) in &device.disk.rooms {
            for (seq, entry) in &room.entries {
                let known = *all.entry((*id, *seq)).or_insert(entry);
                ensure!(known.chain == entry.chain, "entry {seq} is two things");
            }
        }
    }
    Ok(all)
}

/// What was sent is in the log, where its device says; and nothing is left behind.
fn check_message(
    device: &Device,
    key: IdempotencyKey,
    message: &Message,
    entries: &Entries<'_>,
) -> Result<()> {
    match message.fate {
        Fate::Sent(seq) => {
            let entry = entries.get(&(message.conversation, seq));
            let sender = entry.and_then(|entry| entry.sender);
            let own = device.disk.owner.map(|owner| owner.device);
            let is_there = sender.is_some_and(|it| it.message_id == key && Some(it.device) == own);
            // Nobody may have it who is there still.
            ensure!(is_there || entry.is_none(), "it was sent as entry {seq}, which is another");
            Ok(())
        }
        Fate::Failed => Ok(()),
        Fate::Said | Fate::Kept if device.is_revoked || message.is_forgotten => Ok(()),
        Fate::Said | Fate::Kept => {
            let engine = device.seen().context("it runs")?;
            let Some(health) = engine.health(message.conversation) else {
                // The server may have it, for all that this device knows.
                let kept = device.disk.vault.conversations.get(&message.conversation);
                let waits = kept.is_some_and(|kept| kept.outgoing.contains_key(&key));
                ensure!(waits, "its conversation is lost, and it neither failed nor waits");
                return Ok(());
            };
            ensure!(may_wait(device, &health), "nothing became of it: {health:?}");
            Ok(())
        }
    }
}

/// Whether there is a reason why messages wait.
fn may_wait(device: &Device, health: &Health) -> bool {
    let own = device.disk.owner;
    let is_in = health.epoch.is_some() && health.at.map(|(_, epoch)| epoch) == health.epoch;
    let is_alone = health.leaves.iter().all(|leaf| Some(leaf.user) == own.map(|it| it.user));
    !device.is_approved() || !is_in || is_alone
}

/// A device is in the group of each of its conversations, at the epoch that the log is at, unless nobody can let it in.
fn check_groups(
    (devices, entries): (&[&Device], &Entries<'_>),
    device: &Device,
    engine: &Engine,
) -> Result<()> {
    let owner = device.disk.owner.context("it is somebody")?;
    for id in device.joined() {
        ensure!(engine.follows(id), "{id} is not followed");
        let health = engine.health(id).context("it is followed")?;
        let Some(at) = health.at else { continue };
        let is_at =
            engine.epoch_authenticator(id).map(|(generation, epoch, _)| (generation, epoch));
        if is_at == Some(at) {
            ensure!(health.leaves.contains(&owner), "it is not among the leaves");
            check_agreement(devices, &health, id, at)?;
            continue;
        }
        let insiders: Vec<(Owner, Health)> = devices
            .iter()
            .filter_map(|other| {
                let engine = other.seen().filter(|_| !other.is_revoked)?;
                let health = engine.health(id)?;
                let is_in = engine
                    .epoch_authenticator(id)
                    .is_some_and(|(generation, epoch, _)| (generation, epoch) == at);
                Some((other.disk.owner?, health)).filter(|_| is_in)
            })
            .collect();
        let is_direct = device.disk.rooms[&id].kind == ConversationKind::Direct;
        let has_leaf =
            insiders.iter().any(|(_, health)| health.leaves.iter().any(|it| it.user == owner.user));
        // Of a GROUP, who has no device left there is let in by somebody who says so, and not by itself.
        let may_come = has_leaf || is_direct;
        // If nobody is in it, there has to be nobody who could be.
        let could_be = |it: &&Device| !it.is_revoked && it.is_approved();
        let leaves = leaves(entries, id)?;
        let is_leaf = |it: &&&Device| it.disk.owner.is_some_and(|it| leaves.contains(&it));
        let is_over = insiders.is_empty() && !devices.iter().filter(is_leaf).any(could_be);
        ensure!(
            is_over || (!may_come && !insiders.is_empty()),
            "it is outside of {id}, with {} insiders: {health:?}",
            insiders.len()
        );
    }
    Ok(())
}

/// The leaves that were not cut off, as the headers in the log have it.
fn leaves(entries: &Entries<'_>, id: ConversationId) -> Result<BTreeSet<Owner>> {
    let owner = |leaf: &v1::Leaf| -> Result<Owner> {
        Ok(Owner { user: leaf.user_id[..].try_into()?, device: leaf.device_id[..].try_into()? })
    };
    let mut leaves = BTreeSet::new();
    for (_, entry) in entries.range((id, 0)..=(id, u64::MAX)) {
        let payload = &entry.entry.payload[..];
        match entry.kind() {
            EntryKind::GroupEstablished => {
                let header = v1::EstablishHeader::decode(payload)?;
                leaves = header.leaves.iter().map(owner).collect::<Result<_>>()?;
            }
            EntryKind::Commit => {
                let payload = v1::CommitPayload::decode(payload)?;
                let header = v1::CommitHeader::decode(&payload.header[..])?;
                for gone in header.removed.iter().map(owner) {
                    leaves.remove(&gone?);
                }
                for new in header.added.iter().map(owner) {
                    leaves.insert(new?);
                }
            }
            EntryKind::RemovalPending => {
                let pending = v1::RemovalPendingPayload::decode(payload)?;
                for device in &pending.device_ids {
                    let user_id = pending.user_id.clone();
                    leaves.remove(&owner(&v1::Leaf { user_id, device_id: device.clone() })?);
                }
            }
            _ => {}
        }
    }
    Ok(leaves)
}

/// Those in a group see the same leaves.
fn check_agreement(
    devices: &[&Device],
    health: &Health,
    id: ConversationId,
    at: (u32, u64),
) -> Result<()> {
    let leaves: BTreeSet<_> = health.leaves.iter().copied().collect();
    for other in devices.iter().filter(|it| !it.is_revoked) {
        let Some(engine) = other.seen() else { continue };
        let theirs = engine.epoch_authenticator(id);
        if theirs.is_some_and(|(generation, epoch, _)| (generation, epoch) == at) {
            let other = engine.health(id).context("it is followed")?;
            let other: BTreeSet<_> = other.leaves.into_iter().collect();
            ensure!(other == leaves, "leaves differ in {id}");
        }
    }
    Ok(())
}

/// A device has read what was said to it, and nothing else.
fn check_readings(witness: &Witness, devices: &[&Device], device: &Device) -> Result<()> {
    let Some(owner) = device.disk.owner else { return Ok(()) };
    for (id, room) in &device.disk.rooms {
        let kept = device.disk.vault.conversations.get(id);
        let messages = room.entries.values().filter(|it| it.kind() == EntryKind::PrivateMessage);
        for entry in messages {
            let Some(sender) = entry.sender else { bail!("a message of nobody") };
            let is_honest =
                devices.iter().any(|it| it.disk.owner.is_some_and(|it| it.device == sender.device));
            let reading = kept.and_then(|kept| kept.readings.get(&entry.seq));
            let message = witness.messages.get(&sender.message_id);
            let said = match reading {
                Some(Reading::Said(said)) => Some(said),
                _ => None,
            };
            let Some(message) = message else {
                ensure!(!is_honest, "entry {} was sent by a device that forgot it", entry.seq);
                continue;
            };
            if let Some(said) = said {
                ensure!(said.content == message.content, "entry {} is read wrongly", entry.seq);
                let is_meant = message.leaves.contains(&owner) || sender.device == owner.device;
                ensure!(is_meant, "entry {} is read, and was not for this device", entry.seq);
            }
            let header: v1::PrivateHeader = header_of(entry)?;
            let was_there = witness.was_at(device.index, place_of(&header)?);
            let is_lost = sender.device == owner.device && device.has_forgotten;
            let taken_in = reading.is_some() || (room.is_member && !device.is_revoked);
            ensure!(
                said.is_some() || !was_there || !taken_in || is_lost,
                "entry {} of {id} is not read: {reading:?}",
                entry.seq
            );
        }
    }
    Ok(())
}

/// The header of an entry's message.
fn header_of(entry: &Accepted) -> Result<v1::PrivateHeader> {
    let payload = v1::PrivatePayload::decode(&entry.entry.payload[..])?;
    Ok(v1::PrivateHeader::decode(&payload.header[..])?)
}
