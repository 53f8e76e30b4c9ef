//! What an evil member does: from its own state, as its disk has it, it makes what nobody should take.

use anyhow::{Context as _, Result};
use aside_mls::{Change, Group, GroupId, Owner, Suite};
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey},
    v1::{self, client_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;

use super::device::{Asked, Device, Scene};

/// Something evil.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// A commit of random bytes.
    Garbage,
    /// A commit under a header that says something else, to which it is bound.
    Lie,
    /// A commit under another header than it is bound to.
    OtherHeader,
    /// A commit that adds a device which nobody approved, and does not say so.
    Ghost,
    /// A commit that is sound, and states that its maker has seen another history.
    OtherHistory,
    /// A commit of random bytes, under a header that says that it removes somebody.
    GarbageRemoval,
    /// A commit that adds a device, and beside it one that nobody is told of.
    Hidden,
    /// A sound commit of another's is rejected.
    Rejection,
    /// A message of random bytes.
    Noise,
    /// Another's ciphertext under a header of its own.
    Borrowed,
    /// A message bound to another header.
    OtherMessage,
}

const DEEDS: [Deed; 11] = [
    Deed::Garbage,
    Deed::Lie,
    Deed::OtherHeader,
    Deed::Ghost,
    Deed::OtherHistory,
    Deed::GarbageRemoval,
    Deed::Hidden,
    Deed::Rejection,
    Deed::Noise,
    Deed::Borrowed,
    Deed::OtherMessage,
];

impl Device {
    /// Does something evil; what, if anything.
    pub(crate) fn do_evil(&mut self, scene: &mut Scene<'_>) -> Result<Option<String>> {
        let Some(engine) = self.seen() else { return Ok(None) };
        let all: Vec<_> = engine.conversations().collect();
        let Some(id) = scene.rng.pick(&all) else { return Ok(None) };
        let at = engine.epoch_authenticator(id).map(|(generation, epoch, _)| (generation, epoch));
        let key = scene.new_key();
        let (Some((generation, epoch)), Some(state)) = (at, self.disk.vault.group(id)) else {
            let body = self.begin_evil(id, scene)?;
            let name = scene.witness.name(id);
            return Ok(self.ask_evil((key, body), scene)?.then(|| format!("begins {name} evilly")));
        };
        let device = self.mls(&scene.witness.everyone)?;
        let Ok(mut group) = device.load(state) else { return Ok(None) };
        if (group.id().generation, group.epoch()) != (generation, epoch) {
            return Ok(None);
        }
        if group.has_pending() {
            group.clear_pending();
        }
        let deed = scene.rng.pick(&DEEDS).context("there are some")?;
        let body = match deed {
            Deed::Garbage
            | Deed::Lie
            | Deed::OtherHeader
            | Deed::Ghost
            | Deed::OtherHistory
            | Deed::GarbageRemoval
            | Deed::Hidden => self.commit(deed, (id, key), &mut group, scene)?,
            Deed::Rejection => self.reject(id, scene),
            Deed::Noise | Deed::Borrowed | Deed::OtherMessage => {
                self.message(deed, (id, key), &mut group, scene)?
            }
        };
        let name = scene.witness.name(id);
        Ok(self.ask_evil((key, body), scene)?.then(|| format!("does evil: {deed:?} in {name}")))
    }

    fn ask_evil(
        &mut self,
        (key, body): (IdempotencyKey, Option<Body>),
        scene: &Scene<'_>,
    ) -> Result<bool> {
        let now = scene.clock.now();
        let Some(online) = self.online().filter(|it| it.authenticated) else { return Ok(false) };
        let (true, Some(body)) = (online.session.may_request(), body) else { return Ok(false) };
        let request = online.session.request(now, Some(key), body)?;
        online.asked.insert(request, Asked::Evil);
        Ok(true)
    }

    /// Says of the last commit, if it is another's, that it can't be followed.
    fn reject(&self, id: ConversationId, scene: &mut Scene<'_>) -> Option<Body> {
        let own = self.disk.owner?.device;
        let mut entries = self.disk.rooms.get(&id)?.entries.values().rev();
        let is_change =
            |kind| matches!(kind, v1::EntryKind::Commit | v1::EntryKind::GroupEstablished);
        let last = entries.find(|it| is_change(it.kind()))?;
        last.sender.filter(|it| it.device != own)?;
        let codes = [v1::RejectCode::Invalid, v1::RejectCode::WelcomeInvalid];
        let code = scene.rng.pick(&codes)?;
        scene.witness.causes.rejects_evilly(id, last.seq);
        let (conversation_id, seq) = (id.to_bytes(), last.seq);
        Some(Body::RejectCommit(v1::RejectCommit { conversation_id, seq, code: code.into() }))
    }

    /// Begins a group where there is none: as somebody whom nobody knows, or with such a one beside it.
    fn begin_evil(&self, id: ConversationId, scene: &mut Scene<'_>) -> Result<Option<Body>> {
        let health = self.seen().and_then(|engine| engine.health(id));
        let Some(health) = health.filter(|health| health.at.is_none()) else { return Ok(None) };
        let now = scene.clock.now().unix_ms / 1000;
        let own = self.disk.owner.context("it is somebody")?;
        let others = health.members.iter().map(|(user, _)| *user).filter(|it| *it != own.user);
        let others: Vec<_> = others.collect();
        let packages = scene.witness.packages.iter().filter(|(it, _)| others.contains(&it.user));
        let packages: Vec<_> = packages.map(|(it, bytes)| (*it, bytes.clone())).collect();
        let Some((other, package)) = scene.rng.pick(&packages) else { return Ok(None) };
        let (ghost, ghosts) = self.ghost(own, now, scene)?;
        let group_id = GroupId { conversation: id, generation: 1 };
        let is_hidden = scene.rng.one_in(2);
        let maker = if is_hidden { self } else { &ghost };
        let device = maker.mls(&scene.witness.everyone)?;
        let mut group = device.create(Suite::P256Aes128, group_id, now)?;
        let mut change = Change { add: vec![group.key_package(&package)?], ..Change::default() };
        if is_hidden {
            change.add.push(group.key_package(&ghosts)?);
        }
        let room = self.disk.rooms.get(&id);
        let head_seq = room.and_then(|it| it.entries.last_key_value()).map_or(0, |(seq, _)| *seq);
        let header = v1::EstablishHeader {
            conversation_id: id.to_bytes(),
            generation: 1,
            head_seq,
            suite: Suite::P256Aes128.number().into(),
            leaves: [own, other].map(leaf).to_vec(),
            culprit: None,
        };
        let header = header.encode_to_vec();
        let Ok(made) = group.commit(&change, &header, now) else { return Ok(None) };
        Ok(Some(Body::EstablishGroup(v1::EstablishGroup {
            header: header.into(),
            salt: Bytes::copy_from_slice(&scene.rng.bytes::<32>()),
            welcomes: welcome(made.welcome, other),
            group_info: made.group_info.into(),
        })))
    }

    fn commit(
        &self,
        deed: Deed,
        (id, key): (ConversationId, IdempotencyKey),
        group: &mut Group,
        scene: &mut Scene<'_>,
    ) -> Result<Option<Body>> {
        let now = scene.clock.now().unix_ms / 1000;
        let mut header = v1::CommitHeader {
            conversation_id: id.to_bytes(),
            message_id: key.to_bytes(),
            generation: group.id().generation.into(),
            epoch: group.epoch(),
            added: Vec::new(),
            removed: Vec::new(),
            is_external: false,
            head_seq: 0,
            chain: Bytes::new(),
        };
        if deed == Deed::OtherHistory {
            let room = self.disk.rooms.get(&id);
            header.head_seq =
                room.and_then(|it| it.entries.last_key_value()).map_or(1, |(seq, _)| *seq);
            header.chain = Bytes::copy_from_slice(&scene.rng.bytes::<32>());
        }
        let own = self.disk.owner.context("it is somebody")?;
        let mut change = Change::default();
        let mut guest = None;
        match deed {
            Deed::GarbageRemoval => {
                let Some(other) = another(group, own, scene) else { return Ok(None) };
                header.removed.push(leaf(other));
            }
            Deed::Hidden => {
                let members = group.members().unwrap_or_default();
                let is_in = |it: &Owner| members.iter().any(|member| member.owner == *it);
                let packages = scene.witness.packages.iter().filter(|(it, _)| !is_in(it));
                let packages: Vec<_> = packages.map(|(it, bytes)| (*it, bytes.clone())).collect();
                let Some((new, package)) = scene.rng.pick(&packages) else { return Ok(None) };
                let other = packages.iter().find(|(it, _)| *it != new && it.user != new.user);
                let hidden = match other.filter(|_| scene.rng.one_in(2)) {
                    Some((_, package)) => package.to_vec(),
                    None => self.ghost(own, now, scene)?.1,
                };
                for package in [&package[..], &hidden[..]] {
                    change.add.push(group.key_package(package)?);
                }
                header.added.push(leaf(new));
                guest = Some(new);
            }
            _ => {}
        }
        let said = header.encode_to_vec();
        match deed {
            Deed::Lie => {
                let Some(other) = another(group, own, scene) else { return Ok(None) };
                change.remove.insert(other);
            }
            Deed::Ghost => {
                let (_, package) = self.ghost(own, now, scene)?;
                change.add.push(group.key_package(&package)?);
            }
            _ => {}
        }
        let bound = match deed {
            Deed::OtherHeader => b"another".to_vec(),
            _ => said.clone(),
        };
        let (commit, welcomes, group_info) = match deed {
            Deed::Garbage | Deed::GarbageRemoval => (noise(scene), Vec::new(), noise(scene)),
            _ => {
                let Ok(made) = group.commit(&change, &bound, now) else { return Ok(None) };
                let welcomes = guest.map(|guest| welcome(made.welcome, guest)).unwrap_or_default();
                (made.commit, welcomes, made.group_info)
            }
        };
        let payload = v1::CommitPayload { header: said.into(), commit: commit.into() };
        Ok(Some(Body::SubmitCommit(v1::SubmitCommit {
            payload: payload.encode_to_vec().into(),
            salt: Bytes::copy_from_slice(&scene.rng.bytes::<32>()),
            welcomes,
            group_info: group_info.into(),
        })))
    }

    /// A device that is none of its user's, and a KeyPackage of it.
    fn ghost(&self, own: Owner, now: u64, scene: &mut Scene<'_>) -> Result<(Self, Vec<u8>)> {
        let name = (self.user, "ghost");
        let mut ghost = Self::new(usize::MAX, name, 1, scene.clock, scene.rng)?;
        let owner = Owner { device: DeviceId::new(scene.rng.bytes()), ..own };
        // It is nobody's to approve: no device of the user's is ever shown it.
        let everyone = super::people::Everyone::default();
        let certificate = ghost.certify(owner, &everyone)?;
        scene.witness.everyone.note_ghost(&certificate);
        let device = ghost.mls(&scene.witness.everyone)?;
        let package = device.key_package(Suite::P256Aes128, false, now)?;
        Ok((ghost, package))
    }

    fn message(
        &self,
        deed: Deed,
        (id, key): (ConversationId, IdempotencyKey),
        group: &mut Group,
        scene: &mut Scene<'_>,
    ) -> Result<Option<Body>> {
        let header = v1::PrivateHeader {
            conversation_id: id.to_bytes(),
            message_id: key.to_bytes(),
            generation: group.id().generation.into(),
            epoch: group.epoch(),
            franking_tag: Bytes::copy_from_slice(&scene.rng.bytes::<32>()),
            head_seq: 0,
            chain: Bytes::new(),
        };
        let ciphertext = match deed {
            Deed::OtherMessage => {
                let Ok(made) = group.encrypt(b"something", b"another header") else {
                    return Ok(None);
                };
                made
            }
            Deed::Borrowed => {
                let entries = self.disk.rooms.get(&id).map(|room| room.entries.values());
                let theirs = entries.into_iter().flatten().rev();
                let mut payloads = theirs.filter(|it| it.kind() == v1::EntryKind::PrivateMessage);
                let Some(last) = payloads.next() else { return Ok(None) };
                v1::PrivatePayload::decode(&last.entry.payload[..])?.ciphertext.to_vec()
            }
            _ => noise(scene),
        };
        let payload = v1::PrivatePayload {
            header: header.encode_to_vec().into(),
            ciphertext: ciphertext.into(),
        };
        Ok(Some(Body::SendPrivate(v1::SendPrivate {
            payload: payload.encode_to_vec().into(),
            salt: Bytes::copy_from_slice(&scene.rng.bytes::<32>()),
        })))
    }
}

/// Another member of the group.
fn another(group: &Group, own: Owner, scene: &mut Scene<'_>) -> Option<Owner> {
    let others = group.members().unwrap_or_default().into_iter().map(|it| it.owner);
    let others: Vec<_> = others.filter(|it| *it != own).collect();
    scene.rng.pick(&others)
}

fn leaf(owner: Owner) -> v1::Leaf {
    v1::Leaf { user_id: owner.user.to_bytes(), device_id: owner.device.to_bytes() }
}

fn welcome(welcome: Option<Vec<u8>>, to: Owner) -> Vec<v1::Welcome> {
    let device_ids = vec![to.device.to_bytes()];
    welcome.map(|it| v1::Welcome { welcome: it.into(), device_ids }).into_iter().collect()
}

fn noise(scene: &mut Scene<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 1 + scene.rng.below(300)];
    scene.rng.fill(&mut bytes);
    bytes
}
