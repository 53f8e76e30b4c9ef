//! What must hold once everything has come to rest.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use aside_client::private::{Engine, Health};
use aside_mls::Owner;
use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    v1::{ConversationKind, EntryKind, Role},
};
use bytes::Bytes;

use super::{
    device::{Device, Room},
    log::Logs,
    people::User,
    readings,
    witness::{Fate, Message, Witness},
};

/// All of it.
pub(crate) fn check(witness: &Witness, users: &[User], devices: &[Device]) -> Result<()> {
    let honest: Vec<&Device> = devices.iter().filter(|it| !users[it.user].is_evil).collect();
    let logs = Logs::of(devices)?;
    for device in devices {
        readings::check_secrecy(witness, &logs, device).context(device.name.clone())?;
    }
    for device in &honest {
        readings::check(witness, (&honest, &logs), device).context(device.name.clone())?;
        if let Some(engine) = device.seen().filter(|_| !device.is_revoked && device.is_approved()) {
            let groups = Groups { witness, devices: &honest, logs: &logs };
            groups.check(device, engine).context(device.name.clone())?;
        }
    }
    for id in logs.conversations() {
        check_guests(witness, &logs, id).with_context(|| witness.known_name(id))?;
    }
    let is_there = |payload: &Bytes| logs.entries().any(|it| it.entry.payload == *payload);
    let twice = witness.doubtful.iter().any(|two| two.iter().all(is_there));
    ensure!(!twice, "two messages of the log were encrypted by one key");
    for (key, message) in &witness.messages {
        let device = &devices[message.device];
        check_message(witness, device, *key, message, &logs)
            .with_context(|| format!("{key} of {}", device.name))?;
    }
    Ok(())
}

/// What was sent is in the log, where its device says; and nothing is left behind.
fn check_message(
    witness: &Witness,
    device: &Device,
    key: IdempotencyKey,
    message: &Message,
    logs: &Logs<'_>,
) -> Result<()> {
    match message.fate {
        Fate::Sent(seq) => {
            let entry = logs.entry(message.conversation, seq);
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
            ensure!(
                may_wait(witness, (device, message.conversation), &health),
                "nothing became of it: {health:?}"
            );
            Ok(())
        }
    }
}

/// Whether there is a reason why messages wait.
fn may_wait(witness: &Witness, (device, id): (&Device, ConversationId), health: &Health) -> bool {
    let own = device.disk.owner;
    let is_in = health.epoch.is_some() && health.at.map(|(_, epoch)| epoch) == health.epoch;
    let is_alone = health.leaves.iter().all(|leaf| Some(leaf.user) == own.map(|it| it.user));
    let is_told =
        health.broken.is_some() && own.is_some_and(|own| witness.causes.may_fork(own.device, id));
    !device.is_approved() || !is_in || is_alone || is_told || health.stranger.is_some()
}

/// What the groups of devices are held against.
struct Groups<'a> {
    witness: &'a Witness,
    devices: &'a [&'a Device],
    logs: &'a Logs<'a>,
}

impl Groups<'_> {
    /// A device is in the group of each of its conversations, at the epoch that the log is at, unless nobody can let it in.
    fn check(&self, device: &Device, engine: &Engine) -> Result<()> {
        let Self { witness, devices, logs } = self;
        let owner = device.disk.owner.context("it is somebody")?;
        for id in device.joined() {
            let name = witness.known_name(id);
            ensure!(engine.follows(id), "{name} is not followed");
            let health = engine.health(id).context("it is followed")?;
            let Some(at) = health.at else { continue };
            let is_at =
                engine.epoch_authenticator(id).map(|(generation, epoch, _)| (generation, epoch));
            if is_at == Some(at) {
                ensure!(health.leaves.contains(&owner), "it is not among the leaves");
                let cut_off = |leaf: &&Owner| health.cut_off.contains(leaf);
                let stay: BTreeSet<_> =
                    health.leaves.iter().filter(|it| !cut_off(it)).copied().collect();
                let is_told = health.broken.is_some() && witness.causes.may_fork(owner.device, id);
                // A Welcome may lead to others, until something is said there; then it is found out, and the user is told (MLS-046).
                ensure!(
                    health.is_tree_unproven || is_told || stay == *logs.leaves(id),
                    "the group of {name} has other leaves than its log says: {:?}{}",
                    health.leaves,
                    logs.story(id)
                );
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
            let has_leaf = insiders
                .iter()
                .any(|(_, health)| health.leaves.iter().any(|it| it.user == owner.user));
            // Of a GROUP, who has no device left there is let in by somebody who says so, and not by itself.
            let may_come = has_leaf || is_direct;
            // If nobody is in it, there has to be nobody who could be.
            let could_be = |it: &&Device| !it.is_revoked && it.is_approved();
            let leaves = logs.leaves(id);
            let is_leaf = |it: &&&Device| it.disk.owner.is_some_and(|it| leaves.contains(&it));
            let is_over = insiders.is_empty() && !devices.iter().filter(is_leaf).any(could_be);
            let is_ruined =
                self.is_ruined(id, (owner, &device.disk.rooms[&id], &health), &insiders);
            ensure!(
                is_over
                    || is_ruined
                    || health.stranger.is_some()
                    || (!may_come && !insiders.is_empty()),
                "it is outside of {name}, with {} insiders: {health:?}{}",
                insiders.len(),
                logs.story(id)
            );
        }
        Ok(())
    }

    /// The only owner is evil, and the last change its own, the server's or of a device that was revoked: nobody can be where that has
    /// led, as they are told, or others are only until they say something (MLS-046). Who was kept from what led there can't reject it,
    /// whoever the owners are.
    fn is_ruined(
        &self,
        id: ConversationId,
        (who, room, health): (Owner, &Room, &Health),
        insiders: &[(Owner, Health)],
    ) -> bool {
        let Self { witness, logs, .. } = self;
        let is_evil = |user: &UserId| witness.causes.evil.contains(user);
        let owners = health.members.iter().filter(|(_, role)| *role == Role::Owner);
        let owners: Vec<_> = owners.map(|(user, _)| user).collect();
        let Some((seq, by)) = logs.last_change(id) else { return false };
        let is_blind = room.from_seq > seq && witness.causes.was_lied_to(who.device, id);
        let is_theirs = !owners.is_empty() && (is_blind || owners.iter().all(|it| is_evil(it)));
        let is_bad = witness.causes.is_doubtful(&by) || witness.forged.contains(&(id, seq));
        let leaves = logs.leaves(id);
        let is_put_out = health.epoch.is_some() && !leaves.contains(&who);
        let is_told = health.broken.is_some() || is_put_out;
        let is_in_another_tree = |it: &Health| {
            it.leaves.iter().filter(|leaf| !it.cut_off.contains(leaf)).ne(leaves.iter())
        };
        let is_lost = |(_, it): &(Owner, Health)| it.broken.is_some() || is_in_another_tree(it);
        // Who is there finds out once there is something to say (MLS-046), and may do what this one may not.
        let is_unfound = |(_, it): &(Owner, Health)| it.is_tree_unproven && is_in_another_tree(it);
        let will_be_found = !insiders.is_empty() && insiders.iter().all(is_unfound);
        is_told && (will_be_found || (is_theirs && is_bad && insiders.iter().all(is_lost)))
    }
}

/// Nobody who is not evil begins a group anew with users who came by the server's word alone; but who never was in one knows nobody, and
/// does so if its user asks (MLS-049).
fn check_guests(witness: &Witness, logs: &Logs<'_>, id: ConversationId) -> Result<()> {
    let mut guests: BTreeSet<UserId> = BTreeSet::new();
    for step in logs.steps(id) {
        let came = || step.came.iter().map(|leaf| leaf.user);
        match step.entry.kind() {
            EntryKind::GroupEstablished => {
                let maker = step.by.map(|by| by.user);
                let is_evil = maker.is_some_and(|user| witness.causes.evil.contains(&user));
                // Its disk may be of an earlier day than the log.
                let knew = witness.begun.get(&(id, step.seq)).map(Option::as_ref);
                let is_new = matches!(knew, Some(None));
                let is_known = |user: &UserId| knew.flatten().is_some_and(|it| it.contains(user));
                let is_guest = |user: &UserId| Some(*user) == maker || guests.contains(user);
                let stranger = came().find(|user| !is_guest(user) && !is_known(user));
                ensure!(
                    guests.is_empty() || is_evil || is_new || stranger.is_none(),
                    "entry {} brings in somebody whom nobody has brought{}",
                    step.seq,
                    logs.story(id)
                );
                guests = came().collect();
            }
            EntryKind::Commit if !witness.forged.contains(&(id, step.seq)) => guests.extend(came()),
            _ => {}
        }
        guests.retain(|user| step.leaves.iter().any(|leaf| leaf.user == *user));
    }
    Ok(())
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
            ensure!(other == leaves, "leaves differ");
        }
    }
    Ok(())
}
