//! A server that makes entries up: what MLS does not cover is its word alone, and brings nobody into a group.

use std::collections::BTreeSet;

use anyhow::Result;
use aside_mls::Owner;
use aside_proto::{
    id::{ConversationId, IdempotencyKey, uuid_v7},
    private::{Change, Epoch, Leaf, WelcomeFor},
    v1::{self, server_frame::Body},
};
use aside_session::server::{Command, Outcome};
use bytes::Bytes;
use prost::Message as _;

use super::World;
use crate::private::device::Device;

/// What is made up: who is said to have brought whom into a group.
struct Forgery {
    id: ConversationId,
    at: (u32, u64),
    /// The number of the device, and who it is.
    by: (usize, Owner),
    added: Owner,
}

impl World {
    /// Appends a commit that nobody made, where the rules permit one that somebody makes so.
    pub(super) fn forge(&mut self) -> Result<()> {
        let Some(Forgery { id, at: (generation, epoch), by, added }) = self.think_up() else {
            return Ok(());
        };
        let (index, maker) = by;
        let key = IdempotencyKey::new(uuid_v7(self.clock.now().unix_ms, self.rng.bytes()));
        let leaf = v1::Leaf { user_id: added.user.to_bytes(), device_id: added.device.to_bytes() };
        let header = v1::CommitHeader {
            conversation_id: id.to_bytes(),
            message_id: key.to_bytes(),
            generation: generation.into(),
            epoch,
            added: vec![leaf],
            ..v1::CommitHeader::default()
        };
        let noise = Bytes::copy_from_slice(&self.rng.bytes::<64>());
        let payload =
            v1::CommitPayload { header: header.encode_to_vec().into(), commit: noise.clone() };
        let command = Command::SubmitCommit {
            key,
            plan: Change {
                conversation: id,
                base: Epoch { generation: generation.into(), epoch },
                added: vec![Leaf { user: added.user, device: added.device }],
                removed: Vec::new(),
                is_external: false,
            },
            payload: payload.encode_to_vec().into(),
            salt: self.rng.bytes(),
            welcomes: vec![WelcomeFor { welcome: noise.clone(), devices: vec![added.device] }],
            group_info: noise,
        };
        let Some(server) = &self.server else { return Ok(()) };
        let identity = Some((maker.user, maker.device));
        let outcome = server.execute(&server.core.connect(), identity, command);
        let Outcome::Reply(Body::Committed(done)) = outcome else { return Ok(()) };
        let name = self.witness.name(id);
        self.note(format_args!("the server makes a commit up, entry {} of {name}", done.seq));
        let causes = &mut self.witness.causes;
        let told = self.devices.iter().filter_map(|device| device.disk.owner);
        told.for_each(|owner| causes.lied(owner.device, Some(id)));
        // It looks like one of a state that its maker has lost.
        causes.put_back(index, [id].into_iter());
        causes.changed((id, done.seq), maker, [added]);
        self.witness.forged.insert((id, done.seq));
        Ok(())
    }

    fn think_up(&mut self) -> Option<Forgery> {
        let makers: Vec<_> = (0..self.devices.len())
            .flat_map(|index| Self::groups(index, &self.devices[index]))
            .collect();
        let (index, by, id, at) = self.rng.pick(&makers)?;
        let health = self.devices[index].seen()?.health(id)?;
        let members: BTreeSet<_> = health.members.iter().map(|(user, _)| *user).collect();
        let strangers = self.witness.packages.keys().filter(|it| !members.contains(&it.user));
        let strangers: Vec<_> = strangers.copied().collect();
        let added = self.rng.pick(&strangers)?;
        Some(Forgery { id, at, by: (index, by), added })
    }

    /// The groups that a device is in.
    fn groups(index: usize, device: &Device) -> Vec<(usize, Owner, ConversationId, (u32, u64))> {
        let (Some(engine), Some(owner)) = (device.seen(), device.disk.owner) else {
            return Vec::new();
        };
        let at = |id| {
            let (generation, epoch, _) = engine.epoch_authenticator(id)?;
            Some((index, owner, id, (generation, epoch)))
        };
        engine.conversations().filter_map(at).collect()
    }
}
