//! The events: which can happen now, and what each does.

use anyhow::{Result, ensure};

use super::World;
use crate::{
    flow::{Flow, flows, forget},
    link::Link,
    operations::OPERATIONS,
};

/// Something that can happen.
#[derive(Debug, Clone, Copy)]
enum Step {
    Flow(Flow),
    Connect(usize),
    Save(usize),
    StartDevice(usize),
    StartServer,
    // From here on, only until the network heals.
    Operate(usize),
    PassTime,
    /// The server removes what is no longer to be kept.
    Trim,
    HangUp(usize),
    Cut(u64),
    Stall(u64),
    Partition(usize),
    CrashDevice(usize),
    CrashServer,
    StopServer,
}

impl World {
    /// Lets one thing happen; false if nothing can.
    pub(super) fn step(&mut self, with_trouble: bool) -> Result<bool> {
        self.clock.pass(1);
        let mut steps = self.progress();
        if with_trouble {
            steps.extend(self.life());
            steps.extend(self.trouble());
        }
        let Some(step) = self.rng.weighted(&steps) else { return Ok(false) };
        self.take(step)?;
        self.forget_links();
        Ok(true)
    }

    fn gets_through(&self, index: usize) -> bool {
        self.devices[index].partitioned_until_ms <= self.clock.now().monotonic_ms
    }

    /// What brings things forward.
    fn progress(&self) -> Vec<(u32, Step)> {
        let uses = |index: usize, id| self.devices[index].link() == Some(id);
        let through = |index| self.gets_through(index);
        let flows = flows(&self.links, self.server.as_ref(), through, uses);
        let mut steps: Vec<_> = flows.into_iter().map(|flow| (200, Step::Flow(flow))).collect();
        if self.server.is_none() {
            steps.push((40, Step::StartServer));
        }
        for (index, device) in self.devices.iter().enumerate() {
            match &device.running {
                None => steps.push((30, Step::StartDevice(index))),
                Some(running) => {
                    if device.dirty {
                        steps.push((60, Step::Save(index)));
                    }
                    let may = running.online.is_none() && self.server.is_some();
                    if may && self.gets_through(index) {
                        steps.push((60, Step::Connect(index)));
                    }
                }
            }
        }
        steps
    }

    /// What users do, and time.
    fn life(&self) -> Vec<(u32, Step)> {
        let running = self.devices.iter().enumerate().filter(|(_, it)| it.running.is_some());
        let mut steps: Vec<_> = running.map(|(index, _)| (60, Step::Operate(index))).collect();
        steps.push((30, Step::PassTime));
        steps.push((20, Step::Trim));
        steps
    }

    fn trouble(&self) -> Vec<(u32, Step)> {
        let mut steps = Vec::new();
        for id in self.links.keys() {
            steps.extend([(3, Step::Cut(*id)), (4, Step::Stall(*id))]);
        }
        for index in 0..self.devices.len() {
            steps.push((1, Step::Partition(index)));
            if self.devices[index].running.is_some() {
                steps.extend([(1, Step::HangUp(index)), (2, Step::CrashDevice(index))]);
            }
        }
        if self.server.is_some() {
            steps.extend([(3, Step::CrashServer), (2, Step::StopServer)]);
        }
        steps
    }

    fn take(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Flow(Flow::ToServer(id)) => self.reach_server(id),
            Step::Flow(Flow::ToClient(index, id)) => self.reach_client(index, id),
            Step::Flow(Flow::Work) => self.work(),
            Step::Flow(Flow::Answer(id)) => {
                self.note(format_args!("link {id}: the session gets an outcome"));
                self.with_server(id, |server, link, clock, rng| server.answer(id, link, clock, rng))
                    .map(drop)
            }
            Step::Connect(index) => self.connect(index),
            Step::Save(index) => {
                self.note_of(index, "saves");
                self.devices[index].save();
                self.with_device(index, |device, link, scene| device.turn(link, scene))
            }
            Step::StartDevice(index) => {
                self.note_of(index, "starts");
                self.with_device(index, |device, _, scene| device.start(scene.rng))
            }
            Step::StartServer => {
                self.note("the server starts");
                self.start_server()
            }
            Step::Operate(index) => self.operate(index),
            Step::PassTime => self.pass_time(),
            Step::Trim => self.trim(),
            Step::HangUp(index) => {
                self.note_of(index, "hangs up");
                self.with_device(index, |device, link, scene| device.hang_up(link, scene))
            }
            Step::Cut(id) => {
                self.note(format_args!("link {id} is cut"));
                let Self { links, rng, .. } = self;
                links.get_mut(&id).into_iter().for_each(|link| link.cut(rng));
                Ok(())
            }
            Step::Stall(id) => {
                let link = self.links.entry(id).or_default();
                link.stalled = !link.stalled;
                let reads = if link.stalled { "stops reading" } else { "reads again" };
                self.note(format_args!("link {id}: the client {reads}"));
                Ok(())
            }
            Step::Partition(index) => {
                let ms = self.rng.between(10, 2000);
                self.note_of(index, format_args!("is cut off for {ms} ms"));
                self.devices[index].partitioned_until_ms = self.clock.now().monotonic_ms + ms;
                Ok(())
            }
            Step::CrashDevice(index) => {
                self.note_of(index, "crashes");
                self.crash_device(index);
                Ok(())
            }
            Step::CrashServer | Step::StopServer => {
                let in_order = matches!(step, Step::StopServer);
                let how = if in_order { "stops" } else { "crashes" };
                self.note(format_args!("the server {how}"));
                self.stop_server(in_order);
                Ok(())
            }
        }
    }

    /// How much of what is on its way arrives: often a piece cut anywhere.
    fn piece(&mut self, length: usize) -> usize {
        if self.rng.one_in(3) { 1 + self.rng.below(length) } else { length.min(4096) }
    }

    fn reach_server(&mut self, id: u64) -> Result<()> {
        let length = self.links.get(&id).map_or(0, |link| link.to_server.len());
        let most = self.piece(length);
        let link = self.links.entry(id).or_default();
        let bytes = link.to_server.read(most);
        self.trace.bytes(&bytes);
        self.note(format_args!("link {id}: {} bytes to the server", bytes.len()));
        self.with_server(id, |server, link, clock, _| server.receive(id, link, &bytes, clock))
            .map(drop)
    }

    fn reach_client(&mut self, index: usize, id: u64) -> Result<()> {
        let length = self.links.get(&id).map_or(0, |link| link.to_client.len());
        let most = self.piece(length);
        let link = self.links.entry(id).or_default();
        let bytes = link.to_client.read(most);
        self.trace.bytes(&bytes);
        self.note_of(index, format_args!("gets {} bytes of link {id}", bytes.len()));
        self.with_device(index, |device, link, scene| device.receive(link, &bytes, scene))?;
        // There is room for more.
        self.with_server(id, |server, link, clock, _| server.turn(id, link, clock)).map(drop)
    }

    fn work(&mut self) -> Result<()> {
        let Self { server: Some(server), truth, clock, rng, .. } = self else { return Ok(()) };
        let executed = server.work(rng);
        truth.learn(server, &executed, clock, rng)?;
        let names: Vec<String> = executed.iter().map(|it| it.name()).collect();
        self.note(format_args!("the server carries out {}", names.join(", ")));
        // Whatever was pushed.
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.with_server(id, |server, link, clock, _| server.turn(id, link, clock))?;
        }
        Ok(())
    }

    fn connect(&mut self, index: usize) -> Result<()> {
        let id = self.next_link;
        self.next_link += 1;
        self.note_of(index, format_args!("connects: link {id}"));
        let binding = self.rng.bytes();
        self.links.insert(id, Link { device: index, ..Link::default() });
        self.with_server(id, |server, _, clock, rng| {
            server.accept(id, binding, clock, rng);
            Ok(())
        })?;
        self.with_device(index, |device, _, scene| {
            device.connect(id, binding, scene);
            Ok(())
        })?;
        self.with_device(index, |device, link, scene| device.turn(link, scene))
    }

    fn operate(&mut self, index: usize) -> Result<()> {
        let operations: Vec<_> = OPERATIONS.iter().map(|it| (it.weight, it.act)).collect();
        let Some(act) = self.rng.weighted(&operations) else { return Ok(()) };
        let done = self.with_device(index, |device, link, scene| {
            let done = act(device, scene)?;
            device.turn(link, scene)?;
            Ok(done)
        })?;
        if let Some(what) = done {
            self.note_of(index, what);
        }
        Ok(())
    }

    /// What a job does at the start, and now and then.
    pub(super) fn trim(&mut self) -> Result<()> {
        let Self { server: Some(server), truth, clock, .. } = self else { return Ok(()) };
        ensure!(server.trim(), "what is no longer to be kept is not removed");
        let gone = truth.trim(clock);
        self.note(format_args!("the server removes {gone} entries that are no longer to be kept"));
        Ok(())
    }

    fn pass_time(&mut self) -> Result<()> {
        let most = self.rng.pick(&[20, 20, 20, 500, 5_000, 60_000, 400_000]).unwrap_or(1);
        let ms = self.rng.between(1, most);
        self.clock.pass(ms);
        self.note(format_args!("{ms} ms pass"));
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            if self.with_server(id, |server, link, clock, _| server.time(id, link, clock))?
                == Some(true)
            {
                self.note(format_args!("link {id}: a deadline of the server's"));
            }
        }
        for index in 0..self.devices.len() {
            if self.with_device(index, |device, link, scene| device.time(link, scene))? {
                self.note_of(index, "meets a deadline");
            }
        }
        Ok(())
    }

    /// Links that neither side has any more.
    fn forget_links(&mut self) {
        let Self { links, devices, server, .. } = self;
        forget(links, server.as_ref(), |index, id| devices[index].link() == Some(id));
    }
}
