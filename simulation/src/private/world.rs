//! The world: a server, devices, the links between them, and one event at a time.

mod forging;
mod steps;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};
use aside_crypto::SigningKey;
use aside_proto::{id::DeviceId, limits, v1};
use aside_server::Config;
use tempfile::TempDir;

use self::steps::Weather;
use super::{
    checks,
    device::{Device, Scene},
    liar::{Liar, Lie},
    operations,
    people::User,
    sabotage::PrivateSabotage,
    witness::Witness,
};
use crate::{
    clock::Clock,
    link::Link,
    rng::Rng,
    server::{SERVER_NAME, Server},
    trace::Trace,
};

/// Events before trouble begins, in a world that grows first.
const CALM_EVENTS: u32 = 300;
/// Events after which a healed network must have come to rest.
const MOST_TO_REST: u32 = 20_000;
/// How often what waits for a time alone is waited for before that.
const MOST_WAKES: u32 = 6;
const NAMES: [&str; 5] = ["alice", "bob", "carol", "dave", "eve"];

/// Everything there is.
pub(crate) struct World {
    rng: Rng,
    clock: Arc<Clock>,
    trace: Trace,
    witness: Witness,
    server: Option<Server>,
    pub(super) users: Vec<User>,
    pub(super) devices: Vec<Device>,
    links: BTreeMap<u64, Link>,
    next_link: u64,
    sabotage: Option<PrivateSabotage>,
    /// Whether the server lies, until the world heals.
    lies: bool,
    /// Whether disks are put back.
    backups: bool,
    /// Whether trouble begins when there are groups, and something was said in them; else it begins at once, and meets their beginnings.
    grows: bool,
    /// How many commits each device has submitted.
    pub(super) commits: BTreeMap<DeviceId, u32>,
    data: TempDir,
}

impl World {
    /// Two to four users, each with one or two devices, none of them started, and no server yet.
    pub(crate) fn new(
        seed: u64,
        sabotage: Option<PrivateSabotage>,
        whole_trace: bool,
    ) -> Result<Self> {
        let mut rng = Rng::new(seed);
        let clock = Arc::new(Clock::default());
        let count = rng.between(2, 4) as usize;
        let lies = rng.one_in(3) || sabotage == Some(PrivateSabotage::BelieveAnyLog);
        let backups = rng.one_in(3) || sabotage == Some(PrivateSabotage::HideOwn);
        let has_evil = rng.one_in(3) && sabotage.is_none();
        let (mut users, mut devices) = (Vec::new(), Vec::new());
        for (user, handle) in NAMES.into_iter().take(count).enumerate() {
            let is_evil = has_evil && user == count - 1;
            let account_key = SigningKey::generate(&mut |bytes| rng.fill(bytes));
            users.push(User { handle: handle.to_owned(), account_key, id: None, is_evil });
            let most = if is_evil { 1 } else { 2 };
            for number in 1..=rng.between(1, most) as usize {
                let name = (user, handle);
                devices.push(Device::new(devices.len(), name, number, &clock, &mut rng)?);
            }
        }
        let world = Self::of(rng, clock, (users, devices), whole_trace)?;
        let grows = seed % 2 == 1;
        Ok(Self { sabotage, lies, backups, grows, ..world })
    }

    /// So many users, each with one device that has logged in, and nothing that goes wrong.
    pub(super) fn calm(users: usize) -> Result<Self> {
        let (mut rng, clock) = (Rng::new(1), Arc::new(Clock::default()));
        let (mut all, mut devices) = (Vec::new(), Vec::new());
        for user in 0..users {
            let handle = format!("user{user}");
            let account_key = SigningKey::generate(&mut |bytes| rng.fill(bytes));
            devices.push(Device::new(user, (user, &handle), 1, &clock, &mut rng)?);
            all.push(User { handle, account_key, id: None, is_evil: false });
        }
        let mut world = Self::of(rng, clock, (all, devices), false)?;
        world.start_server()?;
        Ok(world)
    }

    fn of(
        rng: Rng,
        clock: Arc<Clock>,
        (users, devices): (Vec<User>, Vec<Device>),
        whole_trace: bool,
    ) -> Result<Self> {
        let shm = Path::new("/dev/shm");
        let data = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
        Ok(Self {
            rng,
            clock,
            trace: Trace::new(whole_trace),
            witness: Witness::new(),
            server: None,
            users,
            devices,
            links: BTreeMap::new(),
            next_link: 0,
            sabotage: None,
            lies: false,
            backups: false,
            grows: false,
            commits: BTreeMap::new(),
            data: data.context("making a directory for databases")?,
        })
    }

    /// All log in for the first time, and perhaps begin to talk; then so many events with all that can go wrong, or twice as many where
    /// there is more to be broken; then the world heals, and everything that must hold is checked; then everyone says something in each
    /// conversation, which all hear; then once more after everyone has started anew.
    pub(crate) fn run(&mut self, events: u32) -> Result<()> {
        let lies = std::mem::take(&mut self.lies);
        self.start_server()?;
        self.come_to_rest()?;
        if self.grows {
            for _ in 0..CALM_EVENTS {
                self.step(Weather::Calm)?;
            }
            self.come_to_rest()?;
        }
        self.note("the storm begins");
        self.lies = lies;
        self.server.iter_mut().flat_map(|it| &mut it.liar).for_each(|liar| liar.lies = lies);
        let events = if self.grows { 2 * events } else { events };
        for _ in 0..events {
            self.step(Weather::Storm)?;
        }
        self.heal()?;
        self.come_to_rest()?;
        self.check("at rest")?;
        self.say_everywhere()?;
        self.come_to_rest()?;
        self.check("after the last word")?;
        self.restart_everything();
        self.come_to_rest()?;
        self.check("after a new start")
    }

    fn check(&mut self, when: &'static str) -> Result<()> {
        self.note(when);
        checks::check(&self.witness, &self.users, &self.devices).context(when)
    }

    /// What happened.
    pub(crate) fn into_trace(self) -> Trace {
        self.trace
    }

    fn note(&mut self, event: impl std::fmt::Display) {
        self.trace.note(self.clock.now().monotonic_ms, event);
    }

    /// What a device does.
    fn note_of(&mut self, index: usize, what: impl std::fmt::Display) {
        let Self { trace, clock, devices, .. } = self;
        let name = &devices[index].name;
        trace.note(clock.now().monotonic_ms, format_args!("{name} {what}"));
    }

    fn heal(&mut self) -> Result<()> {
        self.note("the world heals");
        self.links.values_mut().for_each(|link| link.stalled = false);
        self.devices.iter_mut().for_each(|device| device.partitioned_until_ms = 0);
        self.server.iter_mut().flat_map(|it| &mut it.liar).for_each(Liar::heal);
        if self.lies {
            self.lies = false;
            // What was withheld is asked for again.
            for index in 0..self.devices.len() {
                self.with_device(index, |device, link, scene| device.hang_up(link, scene))?;
            }
        }
        Ok(())
    }

    fn come_to_rest(&mut self) -> Result<()> {
        self.rest_within(MOST_TO_REST)
    }

    /// However many there are.
    pub(super) fn rest(&mut self) -> Result<()> {
        self.rest_within(u32::MAX)
    }

    /// How often devices came in anew, from outside.
    pub(super) fn rejoins(&self) -> u32 {
        self.witness.rejoins
    }

    fn rest_within(&mut self, events: u32) -> Result<()> {
        let mut wakes_left = MOST_WAKES;
        for _ in 0..events {
            if self.step(Weather::Rest)? {
                continue;
            }
            let wakes = self.devices.iter().filter_map(|it| it.seen()?.wake_at()).min();
            if let Some(at) = wakes.filter(|_| wakes_left > 0) {
                wakes_left -= 1;
                self.clock.pass(at.saturating_sub(self.clock.now().unix_ms).max(1));
                for index in 0..self.devices.len() {
                    self.with_device(index, |device, link, scene| device.turn(link, scene))?;
                }
                continue;
            }
            for device in self.devices.iter().filter(|device| !device.is_revoked) {
                ensure!(device.is_at_rest(), "{} is stuck", device.name);
            }
            return Ok(());
        }
        bail!("it does not come to rest")
    }

    fn say_everywhere(&mut self) -> Result<()> {
        self.note("everyone says something");
        for index in 0..self.devices.len() {
            if self.users[self.devices[index].user].is_evil {
                continue;
            }
            self.with_device(index, |device, link, scene| {
                let all: Vec<_> =
                    device.seen().into_iter().flat_map(|it| it.conversations()).collect();
                for id in all {
                    operations::say(device, id, scene)?;
                }
                device.turn(link, scene)
            })?;
        }
        Ok(())
    }

    fn restart_everything(&mut self) {
        self.note("everyone starts anew");
        for index in 0..self.devices.len() {
            self.crash_device(index);
        }
        self.stop_server(true);
    }

    /// Does something with a device, its link and what surrounds it.
    pub(super) fn with_device<T>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Device, &mut Link, &mut Scene<'_>) -> Result<T>,
    ) -> Result<T> {
        self.hear_lies();
        let Self { devices, links, rng, clock, witness, users, sabotage, trace, .. } = self;
        let device = &mut devices[index];
        let mut offline = Link::default();
        let link = device.link().and_then(|link| links.get_mut(&link)).unwrap_or(&mut offline);
        let mut scene =
            Scene { clock, rng, witness, users, sabotage: *sabotage, notes: Vec::new() };
        let done = act(device, link, &mut scene).with_context(|| device.name.clone());
        for note in scene.notes {
            trace.note(clock.now().monotonic_ms, note);
        }
        if std::mem::take(&mut self.devices[index].wants_crash) {
            self.note_of(index, "is broken, and crashes");
            self.crash_device(index);
        }
        done
    }

    /// What the server has said that is not so.
    pub(super) fn hear_lies(&mut self) {
        let liar = self.server.as_mut().and_then(|server| server.liar.as_mut());
        for Lie { what, to, of } in liar.map(|it| std::mem::take(&mut it.told)).unwrap_or_default()
        {
            self.witness.causes.lied(to, of);
            self.note(format_args!("the server tells {what}"));
        }
    }

    fn start_server(&mut self) -> Result<()> {
        let mut liar = Liar::new(self.rng.fork(), self.lies);
        liar.gaps = true;
        let config = config(self.data.path());
        let server = Server::start_private(config, &self.clock, &mut self.rng, liar)?;
        self.server = Some(server);
        Ok(())
    }

    /// In order, or without a word to anyone.
    fn stop_server(&mut self, in_order: bool) {
        self.hear_lies();
        match self.server.take() {
            Some(server) if in_order => server.stop(),
            server => drop(server),
        }
        let Self { links, rng, .. } = self;
        links.values_mut().for_each(|link| link.cut_frames(rng));
    }

    fn crash_device(&mut self, index: usize) {
        self.end_link(index);
        let Self { devices, witness, .. } = self;
        devices[index].crash(witness);
    }

    fn end_link(&mut self, index: usize) {
        let Self { devices, links, rng, .. } = self;
        if let Some(link) = devices[index].link().and_then(|link| links.get_mut(&link)) {
            link.cut_frames(rng);
        }
    }
}

/// Few KeyPackages, so that they run low, and short fetches.
fn config(data: &Path) -> Config {
    let mut config = Config::for_tests(data);
    config.server.names = vec![SERVER_NAME.to_owned()];
    config.password.memory_kib = 8;
    config.password.workers = 1;
    config.limits = v1::Limits {
        max_in_flight: 8,
        max_fetch_entries: 16,
        max_key_packages: 5,
        key_packages_low: 2,
        ..limits::DEFAULT
    };
    config
}
