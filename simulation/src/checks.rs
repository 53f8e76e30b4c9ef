//! What must hold once everything has come to rest.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use aside_proto::id::{ConversationId, DeviceId, IdempotencyKey};
use aside_session::client::{log::redacted_by, timeline::Timeline};

use crate::{
    device::{Device, said},
    truth::{Log, Truth},
};

/// All of it.
pub(crate) fn check(truth: &Truth, devices: &[Device]) -> Result<()> {
    let mut places = places(truth)?;
    for device in devices {
        check_messages(device, truth, &mut places).context(device.name.clone())?;
        check_rooms(device, truth).context(device.name.clone())?;
    }
    match places.first_key_value() {
        Some(((device, key), at)) => {
            anyhow::bail!("nobody said {key} of {device}, which is {at:?}")
        }
        None => Ok(()),
    }
}

type Places = BTreeMap<(DeviceId, IdempotencyKey), (ConversationId, u64)>;

/// Where each message is. No effect is in a log twice.
fn places(truth: &Truth) -> Result<Places> {
    let mut places = Places::new();
    for (conversation, log) in &truth.logs {
        let mut effects = BTreeMap::new();
        for entry in &log.entries {
            let Some(sender) = entry.sender else { continue };
            let effect = (sender.device, sender.message_id);
            // Making a room is two entries.
            let twice = effects.insert((effect, entry.header.kind), entry.seq);
            ensure!(twice.is_none(), "entries {twice:?} and {} are one effect", entry.seq);
            if said(entry).is_some() {
                places.insert(effect, (*conversation, entry.seq));
            }
        }
    }
    Ok(places)
}

/// Each of its messages is there once, where it was acknowledged, in the order in which it was said; or was refused. One that was
/// refused when nobody heard of it, and not when it was sent again, has lost its turn.
fn check_messages(device: &Device, truth: &Truth, places: &mut Places) -> Result<()> {
    let Some((_, id)) = device.kept.identity else { return Ok(()) };
    let mut last = BTreeMap::new();
    for (conversation, key) in &device.kept.said {
        let place = places.remove(&(id, *key));
        if device.kept.refused.contains(key) {
            ensure!(place.is_none(), "{key} was refused and is {place:?}");
            continue;
        }
        let seq = device.kept.acknowledged.get(key).context("a message was never answered")?;
        ensure!(place == Some((*conversation, *seq)), "{key} is {place:?}, not entry {seq}");
        if truth.refused.contains(key) {
            continue;
        }
        let before = last.insert(*conversation, *seq);
        ensure!(before.is_none_or(|before| before < *seq), "{key} is out of order at {seq}");
    }
    Ok(())
}

/// It follows what its user is a member of, and shows the same as everybody.
fn check_rooms(device: &Device, truth: &Truth) -> Result<()> {
    let Some((user, _)) = device.kept.identity else { return Ok(()) };
    let is_member = |log: &Log| log.members.contains_key(&user);
    let member_of: Vec<ConversationId> =
        truth.logs.iter().filter(|(_, log)| is_member(log)).map(|(it, _)| *it).collect();
    ensure!(device.joined() == member_of, "{:?} is not {member_of:?}", device.joined());
    let running = device.running.as_ref().context("it runs")?;
    for conversation in member_of {
        let (log, room) = (&truth.logs[&conversation], &device.kept.rooms[&conversation]);
        let follower = &running.followers[&conversation];
        let place = follower.place().map(|place| (place.seq, place.chain));
        let head = log.entries.last().map(|entry| (entry.seq, entry.chain));
        ensure!(place == head, "it is at {:?} of {conversation}", place.map(|it| it.0));
        let from = room.entries.keys().next().copied().unwrap_or(1);
        ensure!(from == room.from_seq, "it begins at {from}, not {}", room.from_seq);
        let wanted = &log.entries[from as usize - 1..];
        let same = room.entries.values().map(|it| &it.entry).eq(wanted.iter().map(|it| &it.entry));
        ensure!(same, "its entries of {conversation} are not those of the log");
        let mut expected = Timeline::new();
        wanted.iter().filter_map(said).for_each(|said| drop(expected.insert(said)));
        for entry in wanted {
            for seq in redacted_by(&entry.header, &entry.entry.payload) {
                expected.redact(seq);
            }
        }
        let shown = &running.timelines[&conversation];
        for seq in from..=log.head() {
            let (one, other) = (shown.shown(seq), expected.shown(seq));
            ensure!(one == other, "{seq} of {conversation} is shown as {one:?}, not {other:?}");
        }
    }
    Ok(())
}
