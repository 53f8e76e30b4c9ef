//! What an evil member does: from its own state, as its disk has it, it makes what nobody should take.

use anyhow::{Context as _, Result};
use aside_mls::{Change, Group, Owner, Suite};
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
    /// A message of random bytes.
    Noise,
    /// Another's ciphertext under a header of its own.
    Borrowed,
    /// A message bound to another header.
    OtherMessage,
}

const DEEDS: [Deed; 8] = [
    Deed::Garbage,
    Deed::Lie,
    Deed::OtherHeader,
    Deed::Ghost,
    Deed::OtherHistory,
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
        let (Some((generation, epoch)), Some(state)) = (at, self.disk.vault.group(id)) else {
            return Ok(None);
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
        let key = scene.new_key();
        let body = match deed {
            Deed::Garbage | Deed::Lie | Deed::OtherHeader | Deed::Ghost | Deed::OtherHistory => {
                self.commit(deed, (id, key), &mut group, scene)?
            }
            Deed::Noise | Deed::Borrowed | Deed::OtherMessage => {
                self.message(deed, (id, key), &mut group, scene)?
            }
        };
        let now = scene.clock.now();
        let Some(online) = self.online().filter(|it| it.authenticated) else { return Ok(None) };
        let (true, Some(body)) = (online.session.may_request(), body) else { return Ok(None) };
        let request = online.session.request(now, Some(key), body)?;
        online.asked.insert(request, Asked::Evil);
        Ok(Some(format!("does evil: {deed:?} in {}", scene.witness.name(id))))
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
        let said = header.encode_to_vec();
        let own = self.disk.owner.context("it is somebody")?;
        let mut change = Change::default();
        match deed {
            Deed::Lie => {
                let others = group.members().unwrap_or_default();
                let others: Vec<_> =
                    others.into_iter().map(|it| it.owner).filter(|it| *it != own).collect();
                let Some(other) = scene.rng.pick(&others) else { return Ok(None) };
                change.remove.insert(other);
            }
            Deed::Ghost => {
                let package = self.ghost(own, now, scene)?;
                change.add.push(group.key_package(&package)?);
            }
            _ => {}
        }
        let bound = match deed {
            Deed::OtherHeader => b"another".to_vec(),
            _ => said.clone(),
        };
        let (commit, group_info) = match deed {
            Deed::Garbage => (noise(scene), noise(scene)),
            _ => {
                let Ok(made) = group.commit(&change, &bound, now) else { return Ok(None) };
                (made.commit, made.group_info)
            }
        };
        let payload = v1::CommitPayload { header: said.into(), commit: commit.into() };
        Ok(Some(Body::SubmitCommit(v1::SubmitCommit {
            payload: payload.encode_to_vec().into(),
            salt: Bytes::copy_from_slice(&scene.rng.bytes::<32>()),
            welcomes: Vec::new(),
            group_info: group_info.into(),
        })))
    }

    /// A KeyPackage of a device that is none of its user's.
    fn ghost(&self, own: Owner, now: u64, scene: &mut Scene<'_>) -> Result<Vec<u8>> {
        let name = (self.user, "ghost");
        let mut ghost = Self::new(usize::MAX, name, 1, scene.clock, scene.rng)?;
        let owner = Owner { device: DeviceId::new(scene.rng.bytes()), ..own };
        // It is nobody's to approve: no device of the user's is ever shown it.
        let everyone = super::people::Everyone::default();
        let certificate = ghost.certify(owner, &everyone)?;
        scene.witness.everyone.note_ghost(&certificate);
        let device = ghost.mls(&scene.witness.everyone)?;
        Ok(device.key_package(Suite::P256Aes128, false, now)?)
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

fn noise(scene: &mut Scene<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 1 + scene.rng.below(300)];
    scene.rng.fill(&mut bytes);
    bytes
}
