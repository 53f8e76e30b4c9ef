//! The world: a server, devices, the links between them, and one event at a time.

mod steps;

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};
use aside_proto::v1::{self, client_frame::Body};
use tempfile::TempDir;

use crate::{
    checks,
    clock::Clock,
    device::{Device, Scene},
    link::Link,
    rng::Rng,
    sabotage::Sabotage,
    server::Server,
    trace::Trace,
    truth::Truth,
};

/// Events after which a healed network must have come to rest.
const MOST_TO_REST: u32 = 50_000;

/// Everything there is.
pub(crate) struct World {
    rng: Rng,
    clock: Arc<Clock>,
    trace: Trace,
    truth: Truth,
    server: Option<Server>,
    devices: Vec<Device>,
    links: BTreeMap<u64, Link>,
    next_link: u64,
    sabotage: Option<Sabotage>,
    data: TempDir,
}

impl World {
    /// Two or three users, each with one or two devices, none of them started, and no server yet.
    pub(crate) fn new(seed: u64, sabotage: Option<Sabotage>, whole_trace: bool) -> Result<Self> {
        let mut rng = Rng::new(seed);
        let clock = Arc::new(Clock::default());
        let users = rng.between(2, 3) as usize;
        let mut devices = Vec::new();
        for user in &["alice", "bob", "carol"][..users] {
            for number in 1..=rng.between(1, 2) as usize {
                devices.push(Device::new(user, number, &clock, &mut rng));
            }
        }
        let shm = std::path::Path::new("/dev/shm");
        let data = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
        let (truth, trace) = (Truth::new(), Trace::new(whole_trace));
        let (links, data) = (BTreeMap::new(), data.context("making a directory for databases")?);
        let (server, next_link) = (None, 0);
        Ok(Self { rng, clock, trace, truth, server, devices, links, next_link, sabotage, data })
    }

    /// So many events with all that can go wrong; then the network heals, and everything that must hold is checked; then once more
    /// after everyone has started anew.
    pub(crate) fn run(&mut self, events: u32) -> Result<()> {
        self.start_server()?;
        for _ in 0..events {
            self.step(true)?;
        }
        self.heal();
        self.come_to_rest()?;
        checks::check(&self.truth, &self.devices)?;
        self.ask_about_everything()?;
        self.come_to_rest()?;
        self.restart_everything()?;
        self.come_to_rest()?;
        checks::check(&self.truth, &self.devices).context("after a new start")
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

    fn heal(&mut self) {
        self.note("the network heals");
        self.links.values_mut().for_each(|link| link.stalled = false);
        self.devices.iter_mut().for_each(|device| device.partitioned_until_ms = 0);
    }

    fn come_to_rest(&mut self) -> Result<()> {
        for _ in 0..MOST_TO_REST {
            if !self.step(false)? {
                for device in &self.devices {
                    ensure!(device.is_at_rest(), "{} is stuck", device.name);
                }
                return Ok(());
            }
        }
        bail!("it does not come to rest")
    }

    /// So that the truth judges what the server says of it.
    fn ask_about_everything(&mut self) -> Result<()> {
        for index in 0..self.devices.len() {
            self.with_device(index, |device, link, scene| {
                let (page_token, page_size) = (Default::default(), 100);
                let list = v1::ListSummaries { page_token, page_size };
                device.ask(Body::ListSummaries(list), scene)?;
                if let Some(room) = scene.rng.pick(&device.joined()) {
                    let (conversation_id, page_token) = (room.to_bytes(), Default::default());
                    let list = v1::ListWatermarks { conversation_id, page_token, page_size };
                    device.ask(Body::ListWatermarks(list), scene)?;
                    let conversation_id = room.to_bytes();
                    let list = v1::ListMembers { conversation_id, page_size, ..Default::default() };
                    device.ask(Body::ListMembers(list), scene)?;
                }
                device.turn(link, scene)
            })?;
        }
        Ok(())
    }

    fn restart_everything(&mut self) -> Result<()> {
        self.note("everyone starts anew");
        for index in 0..self.devices.len() {
            self.devices[index].save();
            self.crash_device(index);
        }
        self.stop_server(true);
        Ok(())
    }

    /// Does something with a device, its link and what surrounds it.
    fn with_device<T>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Device, &mut Link, &mut Scene<'_>) -> Result<T>,
    ) -> Result<T> {
        let user = self.devices[index].first_handle.clone();
        let first = self.devices.iter().find(|it| it.registers && it.first_handle == user);
        let handle = first.and_then(|first| first.kept.handle.clone());
        let Self { devices, links, rng, clock, truth, sabotage, .. } = self;
        let device = &mut devices[index];
        let mut offline = Link::default();
        let link = device.link().and_then(|link| links.get_mut(&link)).unwrap_or(&mut offline);
        let mut scene = Scene { clock, rng, truth, sabotage: *sabotage, handle };
        act(device, link, &mut scene).with_context(|| device.name.clone())
    }

    /// Does something with the server, a link and the clock.
    fn with_server<T>(
        &mut self,
        id: u64,
        act: impl FnOnce(&mut Server, &mut Link, &Clock, &mut Rng) -> Result<T>,
    ) -> Result<Option<T>> {
        let Self { server: Some(server), links, clock, rng, .. } = self else { return Ok(None) };
        let Some(link) = links.get_mut(&id) else { return Ok(None) };
        act(server, link, clock, rng).map(Some)
    }

    fn start_server(&mut self) -> Result<()> {
        let server = Server::start(self.data.path(), &self.clock, &mut self.rng, self.sabotage)?;
        self.truth.meet(&server, &self.clock, &mut self.rng)?;
        self.server = Some(server);
        self.trim()
    }

    /// In order, or without a word to anyone.
    fn stop_server(&mut self, in_order: bool) {
        self.truth.disconnect();
        match self.server.take() {
            Some(server) if in_order => server.stop(),
            server => drop(server),
        }
        let Self { links, rng, .. } = self;
        links.values_mut().for_each(|link| link.cut(rng));
    }

    fn crash_device(&mut self, index: usize) {
        let link = self.devices[index].link();
        if let Some(link) = link.and_then(|link| self.links.get_mut(&link)) {
            link.cut(&mut self.rng);
        }
        self.devices[index].crash(self.sabotage);
    }
}
