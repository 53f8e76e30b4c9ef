//! A race of commits. Nothing goes wrong here; it is counted and timed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aside_client::private::Goal;
use aside_mls::Owner;
use aside_proto::{
    id::ConversationId,
    v1::{self, client_frame::Body},
};

use super::world::World;

/// What came of a race.
#[derive(Debug)]
pub struct Race {
    /// Commits that each device made, until it had made one that was accepted.
    pub attempts: Vec<u32>,
    /// Devices that had to come in anew.
    pub rejoins: u32,
    /// How long it took.
    pub time: Duration,
}

/// All devices of a group, each of another user, renew their keys at once.
///
/// # Errors
/// If it does not converge.
pub fn race(devices: usize) -> Result<Race> {
    let (mut world, id) = World::with_group(devices)?;
    let (before, from, came) = (world.commits(), world.epoch(id)?, world.rejoins());
    let began = Instant::now();
    world.want_of_all(id, Goal::Renew)?;
    world.rest()?;
    let time = began.elapsed();
    let attempts = world.commits().iter().zip(&before).map(|(now, before)| now - before).collect();
    let (epoch, rejoins) = (world.epoch(id)?, world.rejoins() - came);
    ensure!(epoch == from + devices as u64, "epoch {epoch}, and not {devices} after {from}");
    Ok(Race { attempts, rejoins, time })
}

impl World {
    fn with_group(devices: usize) -> Result<(Self, ConversationId)> {
        let mut world = Self::calm(devices)?;
        world.rest()?;
        let id = world.make_group()?;
        world.add_all(id)?;
        Ok((world, id))
    }

    /// The first device makes one.
    fn make_group(&mut self) -> Result<ConversationId> {
        self.with_device(0, |device, link, scene| {
            let key = scene.new_key();
            device.intend(key, Body::CreateGroup(v1::CreateGroup {}));
            device.turn(link, scene)
        })?;
        self.rest()?;
        self.devices[0].joined().first().copied().context("it was made")
    }

    /// The first device adds all others.
    fn add_all(&mut self, id: ConversationId) -> Result<()> {
        let others: Vec<_> = self.users.iter().skip(1).filter_map(|user| user.id).collect();
        self.with_device(0, |device, link, scene| {
            let engine = device.engine().context("it has an engine")?;
            ensure!(
                others.into_iter().all(|user| engine.want(id, Goal::Add(user))),
                "it is unknown"
            );
            device.turn(link, scene)
        })?;
        self.rest()?;
        self.check_members(id, self.devices.len())
    }

    fn want_of_all(&mut self, id: ConversationId, goal: Goal) -> Result<()> {
        for index in 0..self.devices.len() {
            self.with_device(index, |device, link, scene| {
                let engine = device.engine().context("it has an engine")?;
                ensure!(engine.want(id, goal), "it is unknown");
                device.turn(link, scene)
            })?;
        }
        Ok(())
    }

    /// So many devices are in the group, all in one state.
    fn check_members(&self, id: ConversationId, count: usize) -> Result<()> {
        let mut states = self.devices.iter().filter_map(|it| it.seen()?.epoch_authenticator(id));
        let first = states.next().context("the first is in it")?;
        let same = 1 + states.filter(|state| *state == first).count();
        ensure!(same == count, "{same} of {count} are in it");
        Ok(())
    }

    fn epoch(&self, id: ConversationId) -> Result<u64> {
        self.check_members(id, self.devices.len())?;
        let state = self.devices[0].seen().and_then(|engine| engine.epoch_authenticator(id));
        Ok(state.context("it is in it")?.1)
    }

    /// Commits that each device submitted.
    fn commits(&self) -> Vec<u32> {
        let of = |owner: Option<Owner>| {
            owner.and_then(|owner| self.commits.get(&owner.device)).copied().unwrap_or_default()
        };
        self.devices.iter().map(|device| of(device.disk.owner)).collect()
    }
}
