//! The events: which can happen now, and what each does.

use anyhow::Result;
use aside_mls::Owner;
use aside_proto::v1::{self, server_frame::Body};
use aside_session::server::{Command, Outcome};
use prost::Message as _;

use super::World;
use crate::{
    flow::{Flow, flows, forget},
    link::Link,
    private::{log::owners, operations::OPERATIONS},
    server::Executed,
};

/// Something that can happen.
#[derive(Debug, Clone, Copy)]
enum Step {
    Flow(Flow),
    Connect(usize),
    Save(usize),
    StartDevice(usize),
    StartServer,
    // Life, before the world heals.
    Operate(usize),
    DoEvil(usize),
    PassTime,
    // Trouble, in a storm.
    HangUp(usize),
    Cut(u64),
    Stall(u64),
    Partition(usize),
    CrashDevice(usize),
    CrashServer,
    StopServer,
    BackUp(usize),
    PutBack(usize),
    /// The server makes a commit up, of a device that made none.
    Forge,
}

/// What may happen at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// Nothing but what brings things forward.
    Rest,
    /// Users do something, besides.
    Calm,
    /// And there is trouble.
    Storm,
}

impl World {
    /// Lets one thing happen; false if nothing can.
    pub(super) fn step(&mut self, weather: Weather) -> Result<bool> {
        self.clock.pass(1);
        let mut steps = self.progress();
        if weather != Weather::Rest {
            steps.extend(self.life(weather));
        }
        if weather == Weather::Storm {
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
            steps.push((200, Step::StartServer));
        }
        for (index, device) in self.devices.iter().enumerate() {
            match &device.running {
                None if device.is_revoked => {}
                None => steps.push((80, Step::StartDevice(index))),
                Some(running) => {
                    if running.unsaved.is_some() {
                        steps.push((120, Step::Save(index)));
                    }
                    let may = running.online.is_none() && self.server.is_some();
                    if may && self.gets_through(index) && !device.is_revoked {
                        steps.push((60, Step::Connect(index)));
                    }
                }
            }
        }
        steps
    }

    /// What users do, and time.
    fn life(&self, weather: Weather) -> Vec<(u32, Step)> {
        let mut steps = Vec::new();
        // Evil is tried less often than anything else, except where there is a group to be broken.
        let evil = if self.grows && weather == Weather::Storm { 30 } else { 10 };
        for (index, device) in self.devices.iter().enumerate() {
            if device.seen().is_some() && !device.is_revoked {
                steps.push((60, Step::Operate(index)));
                if self.users[device.user].is_evil {
                    steps.push((evil, Step::DoEvil(index)));
                }
            }
        }
        steps.push((10, Step::PassTime));
        steps
    }

    fn trouble(&self) -> Vec<(u32, Step)> {
        let mut steps = Vec::new();
        for (id, link) in &self.links {
            steps.extend([
                (2, Step::Cut(*id)),
                (if link.stalled { 40 } else { 2 }, Step::Stall(*id)),
            ]);
        }
        for (index, device) in self.devices.iter().enumerate() {
            steps.push((1, Step::Partition(index)));
            if device.running.is_some() {
                steps.extend([(1, Step::HangUp(index)), (2, Step::CrashDevice(index))]);
            }
            if self.backups && device.seen().is_some() && !device.is_revoked {
                steps.push((2, Step::BackUp(index)));
                if device.backup.is_some() {
                    steps.push((1, Step::PutBack(index)));
                }
            }
        }
        if self.server.is_some() {
            steps.extend([(1, Step::CrashServer), (1, Step::StopServer)]);
            if self.lies {
                steps.push((3, Step::Forge));
            }
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
                let Self { server: Some(server), links, clock, rng, .. } = self else {
                    return Ok(());
                };
                let Some(link) = links.get_mut(&id) else { return Ok(()) };
                server.answer(id, link, clock, rng)
            }
            Step::Connect(index) => self.connect(index),
            Step::Save(index) => {
                self.note_of(index, "saves");
                self.with_device(index, |device, link, scene| {
                    device.save(scene)?;
                    device.turn(link, scene)
                })
            }
            Step::StartDevice(index) => {
                self.note_of(index, "starts");
                self.with_device(index, |device, link, scene| {
                    device.start(scene)?;
                    device.turn(link, scene)
                })
            }
            Step::StartServer => {
                self.note("the server starts");
                self.start_server()
            }
            Step::Operate(index) => self.operate(index),
            Step::DoEvil(index) => {
                let done = self.with_device(index, |device, link, scene| {
                    let done = device.do_evil(scene)?;
                    device.turn(link, scene)?;
                    Ok(done)
                })?;
                done.into_iter().for_each(|what| self.note_of(index, what));
                Ok(())
            }
            Step::PassTime => self.pass_time(),
            Step::HangUp(index) => {
                self.note_of(index, "hangs up");
                self.with_device(index, |device, link, scene| device.hang_up(link, scene))
            }
            _ => self.make_trouble(step),
        }
    }

    fn make_trouble(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Cut(id) => {
                self.note(format_args!("link {id} is cut"));
                let Self { links, rng, .. } = self;
                links.get_mut(&id).into_iter().for_each(|link| link.cut_frames(rng));
            }
            Step::Stall(id) => {
                let link = self.links.entry(id).or_default();
                link.stalled = !link.stalled;
                let reads = if link.stalled { "stops reading" } else { "reads again" };
                self.note(format_args!("link {id}: the client {reads}"));
            }
            Step::Partition(index) => {
                let ms = self.rng.between(10, 600);
                self.note_of(index, format_args!("is cut off for {ms} ms"));
                self.devices[index].partitioned_until_ms = self.clock.now().monotonic_ms + ms;
            }
            Step::CrashDevice(index) => {
                self.note_of(index, "crashes");
                self.crash_device(index);
            }
            Step::BackUp(index) => {
                self.note_of(index, "is copied");
                let device = &mut self.devices[index];
                device.backup = Some(device.disk.clone());
            }
            Step::Forge => self.forge()?,
            Step::PutBack(index) => {
                self.note_of(index, "is put back to what it was");
                self.end_link(index);
                let Self { devices, witness, .. } = self;
                devices[index].put_back(witness);
            }
            _ => {
                let in_order = matches!(step, Step::StopServer);
                let how = if in_order { "stops" } else { "crashes" };
                self.note(format_args!("the server {how}"));
                self.stop_server(in_order);
            }
        }
        Ok(())
    }

    /// How many of the frames on their way arrive.
    fn piece(&mut self, frames: usize) -> usize {
        if self.rng.one_in(3) { 1 + self.rng.below(frames) } else { frames }
    }

    fn reach_server(&mut self, id: u64) -> Result<()> {
        let frames = self.links.get(&id).map_or(0, |link| link.to_server.frames());
        let most = self.piece(frames);
        self.note(format_args!("link {id}: {} frames to the server", most.min(frames)));
        let Self { server: Some(server), links, clock, .. } = self else { return Ok(()) };
        let Some(link) = links.get_mut(&id) else { return Ok(()) };
        let bytes = link.to_server.read_frames(most);
        server.receive(id, link, &bytes, clock)
    }

    fn reach_client(&mut self, index: usize, id: u64) -> Result<()> {
        let frames = self.links.get(&id).map_or(0, |link| link.to_client.frames());
        let most = self.piece(frames);
        self.note_of(index, format_args!("gets {} frames of link {id}", most.min(frames)));
        let bytes = self.links.entry(id).or_default().to_client.read_frames(most);
        self.with_device(index, |device, link, scene| device.receive(link, &bytes, scene))?;
        self.turn_server(id)
    }

    fn turn_server(&mut self, id: u64) -> Result<()> {
        let Self { server: Some(server), links, clock, .. } = self else { return Ok(()) };
        let Some(link) = links.get_mut(&id) else { return Ok(()) };
        server.turn(id, link, clock)
    }

    fn work(&mut self) -> Result<()> {
        let Self { server: Some(server), rng, devices, .. } = self else { return Ok(()) };
        if let Some(liar) = server.liar.as_mut().filter(|liar| liar.lies) {
            let pinned = devices.iter().filter_map(|it| Some((it.disk.owner?.device, &it.disk)));
            let pinned =
                pinned.flat_map(|(device, disk)| disk.logs.keys().map(move |user| (device, *user)));
            liar.pinned = pinned.collect();
        }
        let executed = server.work(rng);
        let names: Vec<String> = executed.iter().map(|it| it.name()).collect();
        for it in &executed {
            if let (Command::SubmitCommit { .. }, Some((_, device))) = (&it.command, it.identity) {
                *self.commits.entry(device).or_default() += 1;
            }
        }
        for it in &executed {
            self.see_done(it)?;
        }
        self.note(format_args!("the server carries out {}", names.join(", ")));
        self.hear_lies();
        // Whatever was pushed.
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.turn_server(id)?;
        }
        Ok(())
    }

    /// Notes what the server has done that others may complain of.
    fn see_done(&mut self, done: &Executed) -> Result<()> {
        let (Some((user, device)), Outcome::Reply(reply)) = (done.identity, &done.outcome) else {
            return Ok(());
        };
        let by = Owner { user, device };
        let (place, added) = match (&done.command, reply) {
            (Command::PublishDeviceLog { key, .. }, Body::DeviceLogPublished(_)) => {
                self.witness.causes.published(*key);
                return Ok(());
            }
            (Command::SubmitCommit { payload, .. }, Body::Committed(done)) => {
                let payload = v1::CommitPayload::decode(&payload[..])?;
                let header = v1::CommitHeader::decode(&payload.header[..])?;
                ((header.conversation_id[..].try_into()?, done.seq), owners(&header.added)?)
            }
            (Command::EstablishGroup { header, .. }, Body::GroupEstablished(done)) => {
                let header = v1::EstablishHeader::decode(&header[..])?;
                let id = header.conversation_id[..].try_into()?;
                let maker = self.devices.iter().find(|it| it.disk.owner == Some(by));
                let knew = maker.and_then(|maker| maker.disk.knew.get(&id).cloned());
                self.witness.begun.insert((id, done.seq), knew);
                ((id, done.seq), owners(&header.leaves)?)
            }
            (Command::PublishKeyPackages { key_packages, last_resort, .. }, _) => {
                let package = last_resort.as_ref().or(key_packages.last());
                self.witness.packages.extend(package.map(|it| (by, it.clone())));
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.witness.causes.changed(place, by, added);
        Ok(())
    }

    fn connect(&mut self, index: usize) -> Result<()> {
        let id = self.next_link;
        self.next_link += 1;
        self.note_of(index, format_args!("connects: link {id}"));
        let binding = self.rng.bytes();
        self.links.insert(id, Link { device: index, ..Link::default() });
        let Self { server: Some(server), clock, rng, .. } = self else { return Ok(()) };
        server.accept(id, binding, clock, rng);
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

    fn pass_time(&mut self) -> Result<()> {
        let most = self.rng.pick(&[5, 20, 20, 20, 20, 200, 200, 2_000, 2_000, 60_000]).unwrap_or(1);
        let ms = self.rng.between(1, most);
        self.clock.pass(ms);
        self.note(format_args!("{ms} ms pass"));
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            let Self { server: Some(server), links, clock, .. } = self else { break };
            let Some(link) = links.get_mut(&id) else { continue };
            if server.time(id, link, clock)? {
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
