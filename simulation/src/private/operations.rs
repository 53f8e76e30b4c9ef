//! What users do: a function and a row in the table for each, as for rooms.

use anyhow::{Context as _, Result};
use aside_client::private::Goal;
use aside_crypto::{Certificate, Change, Signer};
use aside_mls::Owner;
use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    v1::{self, client_frame::Body},
};
use bytes::Bytes;

use super::{
    device::{Device, Scene},
    witness::{Fate, Message},
};

/// Something that users do.
pub(crate) struct Operation {
    /// How often, against the others.
    pub(crate) weight: u32,
    /// Does it, on a device with an engine. It may be offline.
    pub(crate) act: fn(&mut Device, &mut Scene<'_>) -> Result<Option<String>>,
}

/// All of them.
pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { weight: 60, act: text },
    Operation { weight: 8, act: open_direct },
    Operation { weight: 5, act: create_group },
    Operation { weight: 14, act: add },
    Operation { weight: 4, act: remove },
    Operation { weight: 4, act: renew },
    Operation { weight: 1, act: leave },
    Operation { weight: 4, act: promote },
    Operation { weight: 20, act: approve },
    Operation { weight: 1, act: revoke },
    Operation { weight: 2, act: withdraw },
    Operation { weight: 1, act: rejoin },
];

/// How many groups a device makes, at most.
const MOST_ROOMS: usize = 3;

fn text(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(id) = a_conversation(device, scene) else { return Ok(None) };
    say(device, id, scene)
}

/// Says something there.
pub(crate) fn say(
    device: &mut Device,
    id: ConversationId,
    scene: &mut Scene<'_>,
) -> Result<Option<String>> {
    let key = scene.new_key();
    let padding = if scene.rng.one_in(8) { 300 } else { scene.rng.below(40) };
    let count = scene.witness.messages.len();
    let content = Bytes::from(format!("{} {count} {}", device.name, ".".repeat(padding)));
    let engine = device.engine().context("it has an engine")?;
    engine.send(id, key, content.clone())?;
    if !scene.users[device.user].is_evil {
        let (index, conversation, fate) = (device.index, id, Fate::Said);
        let is_forgotten = false;
        let message = Message { device: index, conversation, content, fate, is_forgotten };
        scene.witness.messages.insert(key, message);
    }
    Ok(Some(format!("says {key} in {}", scene.witness.name(id))))
}

fn open_direct(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(user) = another_user(device, scene) else { return Ok(None) };
    let key = scene.new_key();
    let open = v1::OpenDirect { user_id: user.to_bytes(), handle: String::new() };
    device.intend(key, Body::OpenDirect(open));
    Ok(Some("opens a DIRECT".to_owned()))
}

fn create_group(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    if device.disk.rooms.len() >= MOST_ROOMS {
        return Ok(None);
    }
    let key = scene.new_key();
    device.intend(key, Body::CreateGroup(v1::CreateGroup {}));
    Ok(Some("makes a GROUP".to_owned()))
}

fn add(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(id) = a_group(device, scene) else { return Ok(None) };
    let Some(user) = another_user(device, scene) else { return Ok(None) };
    want(device, id, Goal::Add(user), scene)
}

fn remove(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(id) = a_group(device, scene) else { return Ok(None) };
    let Some(user) = another_user(device, scene) else { return Ok(None) };
    want(device, id, Goal::Remove(user), scene)
}

fn renew(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(id) = a_conversation(device, scene) else { return Ok(None) };
    want(device, id, Goal::Renew, scene)
}

fn want(
    device: &mut Device,
    id: ConversationId,
    goal: Goal,
    scene: &mut Scene<'_>,
) -> Result<Option<String>> {
    let engine = device.engine().context("it has an engine")?;
    if !engine.want(id, goal) {
        return Ok(None);
    }
    Ok(Some(format!("wants {goal:?} in {}", scene.witness.name(id))))
}

fn leave(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(id) = a_group(device, scene) else { return Ok(None) };
    let key = scene.new_key();
    device.intend(key, Body::Leave(v1::Leave { conversation_id: id.to_bytes() }));
    Ok(Some(format!("leaves {}", scene.witness.name(id))))
}

fn promote(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(id) = a_group(device, scene) else { return Ok(None) };
    let Some(user) = another_user(device, scene) else { return Ok(None) };
    let role = scene.rng.pick(&[v1::Role::Owner, v1::Role::Admin]).unwrap_or(v1::Role::Owner);
    let key = scene.new_key();
    let (conversation_id, user_id) = (id.to_bytes(), user.to_bytes());
    device.intend(key, Body::SetRole(v1::SetRole { conversation_id, user_id, role: role.into() }));
    Ok(Some(format!("makes somebody {role:?} in {}", scene.witness.name(id))))
}

/// A device of the user's shows its certificate.
fn approve(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let (Some(owner), Some(log)) = (device.disk.owner, device.own_log().cloned()) else {
        return Ok(None);
    };
    if !device.is_approved() {
        return Ok(None);
    }
    let known = device.disk.logs.get(&owner.user).context("it is pinned")?;
    let known: Vec<_> = known.known.devices().collect();
    let shown = scene.witness.everyone.of(owner.user);
    let new: Vec<Certificate> =
        shown.into_iter().filter(|it| !known.contains(&it.device())).collect();
    let Some(certificate) = scene.rng.pick(&new) else { return Ok(None) };
    sign(device, &log, &Change::Add(certificate), scene)?;
    Ok(Some("approves a device".to_owned()))
}

fn revoke(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let (Some(owner), Some(log)) = (device.disk.owner, device.own_log().cloned()) else {
        return Ok(None);
    };
    let others: Vec<_> =
        log.active().map(Certificate::device).filter(|it| *it != owner.device).collect();
    let Some(other) = scene.rng.pick(&others).filter(|_| device.is_approved()) else {
        return Ok(None);
    };
    let from = log.head().position + 1;
    let key = sign(device, &log, &Change::Revoke { device: other, from }, scene)?;
    scene.witness.causes.revokes(key, Owner { device: other, ..owner });
    Ok(Some("revokes a device".to_owned()))
}

fn sign(
    device: &mut Device,
    log: &aside_crypto::DeviceLog,
    change: &Change,
    scene: &mut Scene<'_>,
) -> Result<IdempotencyKey> {
    let owner = device.disk.owner.context("it is somebody")?;
    let entry = log.sign_next(Signer::Device(owner.device), &device.login_key, change);
    let from_position = log.head().position + 1;
    let publish = v1::PublishDeviceLog { from_position, entries: vec![entry.into()], replaces: 0 };
    let key = scene.new_key();
    device.intend(key, Body::PublishDeviceLog(publish));
    Ok(key)
}

fn withdraw(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let theirs = scene.witness.messages.iter().filter(|(_, it)| it.device == device.index);
    let theirs: Vec<_> = theirs.map(|(key, it)| (*key, it.conversation)).collect();
    let Some((key, id)) = scene.rng.pick(&theirs) else { return Ok(None) };
    if !device.engine().is_some_and(|engine| engine.withdraw(id, key)) {
        return Ok(None);
    }
    scene.witness.withdrawn(key);
    Ok(Some(format!("takes {key} back")))
}

fn rejoin(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(id) = a_conversation(device, scene) else { return Ok(None) };
    let Some(engine) = device.engine() else { return Ok(None) };
    if engine.health(id).and_then(|health| health.epoch).is_none() {
        return Ok(None);
    }
    engine.rejoin(id);
    Ok(Some(format!("comes anew into {}", scene.witness.name(id))))
}

fn a_conversation(device: &Device, scene: &mut Scene<'_>) -> Option<ConversationId> {
    let all: Vec<_> = device.seen()?.conversations().collect();
    scene.rng.pick(&all)
}

fn a_group(device: &Device, scene: &mut Scene<'_>) -> Option<ConversationId> {
    let is_group = |id: &ConversationId| {
        device.disk.rooms.get(id).is_some_and(|it| it.kind == v1::ConversationKind::Group)
    };
    let all: Vec<_> = device.seen()?.conversations().filter(is_group).collect();
    scene.rng.pick(&all)
}

fn another_user(device: &Device, scene: &mut Scene<'_>) -> Option<UserId> {
    let own = device.disk.owner?.user;
    let others: Vec<_> =
        scene.users.iter().filter_map(|user| user.id).filter(|id| *id != own).collect();
    scene.rng.pick(&others)
}
