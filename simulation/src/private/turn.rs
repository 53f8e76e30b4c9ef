//! A device's turn: frames or time in, events and replies handled, the engine moved, requests and frames out.

use anyhow::{Context as _, Result, bail, ensure};
use aside_client::private::{Event as Told, How, Repair};
use aside_crypto::DeviceLog;
use aside_mls::{Owner, Reason};
use aside_proto::{
    id::{ConversationId, UserId},
    v1::{self, ErrorCode, client_frame, server_frame::Body},
};
use aside_session::client::{
    CloseReason, Event,
    log::{Accepted, Follower},
};
use prost::Message as _;

use super::{
    device::{Asked, Device, Pinned, Scene},
    sabotage::PrivateSabotage,
    witness::Fate,
};
use crate::{link::Link, server::SERVER_NAME, talk};

/// Rounds of the engine in one turn, after which it goes in circles.
const MOST_ROUNDS: u32 = 10_000;

impl Device {
    /// Frames have come, or the end.
    pub(crate) fn receive(
        &mut self,
        link: &mut Link,
        bytes: &[u8],
        scene: &mut Scene<'_>,
    ) -> Result<()> {
        if let Some(online) = self.online() {
            talk::receive(&mut online.session, link, bytes, scene.clock.now());
        }
        self.turn(link, scene)
    }

    /// Deadlines that have come.
    pub(crate) fn time(&mut self, link: &mut Link, scene: &mut Scene<'_>) -> Result<bool> {
        let now = scene.clock.now();
        if let Some(engine) = self.engine() {
            engine.tick(now.unix_ms);
        }
        let Some(online) = self.online() else { return Ok(false) };
        let is_due = online.session.next_timeout().is_some_and(|due| due <= now.monotonic_ms);
        if is_due {
            online.session.handle_timeout(now);
        }
        self.turn(link, scene)?;
        Ok(is_due)
    }

    /// Closes the connection in order.
    pub(crate) fn hang_up(&mut self, link: &mut Link, scene: &mut Scene<'_>) -> Result<()> {
        if let Some(online) = self.online() {
            online.session.close();
        }
        self.turn(link, scene)
    }

    /// Handles what happened, asks for what is due, and writes.
    pub(crate) fn turn(&mut self, link: &mut Link, scene: &mut Scene<'_>) -> Result<()> {
        loop {
            self.transmit(link);
            let Some(event) = self.online().and_then(|online| online.session.poll_event()) else {
                break;
            };
            self.handle(event, link, scene)?;
        }
        self.move_engine(scene)?;
        while self.ask_for_what_is_due(scene)? {}
        self.transmit(link);
        Ok(())
    }

    fn transmit(&mut self, link: &mut Link) {
        if let Some(online) = self.online() {
            talk::transmit(&mut online.session, link);
        }
    }

    fn handle(&mut self, event: Event, link: &mut Link, scene: &mut Scene<'_>) -> Result<()> {
        match event {
            Event::Greeted(greeting) => {
                self.disk.log_key = Some(greeting.log_key);
                let online = self.online().context("an event without connection")?;
                online.limits = greeting.limits;
                self.log_in(scene)
            }
            Event::Authenticated { user_id, device_id, .. } => {
                self.authenticated(Owner { user: user_id, device: device_id }, scene)
            }
            Event::LoginRefused(error) => {
                if error.code() == ErrorCode::DeviceIsRevoked {
                    self.is_revoked = true;
                } else {
                    // The account is not there yet.
                    let known = error.code() == ErrorCode::AuthenticationFailed && !self.registers;
                    ensure!(known, "a log-in is refused: {error:?}");
                }
                self.online().into_iter().for_each(|online| online.session.close());
                Ok(())
            }
            Event::Reply { id, result } => {
                let online = self.online().context("an event without connection")?;
                let asked = online.asked.remove(&id).context("a reply to nothing")?;
                self.handle_reply(asked, result, scene)
            }
            Event::Pushed(entry) => self.handle_pushed(&entry, scene),
            Event::Gap { conversation, head_seq } => {
                self.heard_of(conversation);
                self.note_head(conversation, head_seq);
                // INBOX-007: nothing else tells of what was left out with it.
                self.engine().into_iter().for_each(|engine| engine.inbox_item());
                Ok(())
            }
            Event::DeviceLogChanged { user, .. } => {
                self.engine().into_iter().for_each(|engine| engine.log_changed(user));
                if self.disk.owner.is_some_and(|owner| owner.user == user) {
                    self.list();
                }
                Ok(())
            }
            Event::InboxItem { conversation } => {
                self.engine().into_iter().for_each(|engine| engine.inbox_item());
                self.heard_of(conversation);
                Ok(())
            }
            Event::KeyPackagesLow { suite } => {
                self.engine().into_iter().for_each(|engine| engine.key_packages_low(suite));
                Ok(())
            }
            Event::ForkCheckMismatch { conversation, epoch, .. } => {
                let device = self.disk.owner.context("it is somebody")?.device;
                let may_fork = scene.witness.causes.may_fork(device, conversation);
                ensure!(may_fork, "the server heard of a fork at epoch {epoch}");
                let engine = self.engine().into_iter();
                engine.for_each(|engine| engine.fork_found(conversation, epoch));
                Ok(())
            }
            Event::WatermarkMoved { .. }
            | Event::Invited { .. }
            | Event::Live(_)
            | Event::Relayed { .. } => Ok(()),
            Event::Closed(reason) => self.handle_closed(&reason, link, scene),
        }
    }

    fn log_in(&mut self, scene: &mut Scene<'_>) -> Result<()> {
        let account = talk::Account {
            device: self.disk.owner.map(|owner| owner.device),
            register_key: self.registers.then_some(self.disk.register_key),
            handle: &scene.users[self.user].handle,
            device_name: &self.name,
        };
        let online = self.running.as_mut().and_then(|it| it.online.as_mut());
        let online = online.context("an event without connection")?;
        account.log_in(&mut online.session, &self.login_key, scene.clock.now())
    }

    fn authenticated(&mut self, owner: Owner, scene: &mut Scene<'_>) -> Result<()> {
        self.disk.owner = Some(owner);
        if scene.users[self.user].is_evil {
            scene.witness.causes.evil.insert(owner.user);
        }
        scene.users[self.user].id = Some(owner.user);
        if self.disk.certificate.is_none() {
            let certificate = self.certify(owner, &scene.witness.everyone)?;
            self.start_engine(scene)?;
            if self.registers {
                let account_key = &scene.users[self.user].account_key;
                let genesis = DeviceLog::sign_genesis(account_key, &certificate);
                let entries = vec![genesis.into()];
                let publish = v1::PublishDeviceLog { from_position: 0, entries, replaces: 0 };
                let key = scene.new_key();
                self.intend(key, client_frame::Body::PublishDeviceLog(publish));
            }
        }
        let now = scene.clock.now().unix_ms;
        let running = self.running.as_mut().context("it runs")?;
        let online = running.online.as_mut().context("an event without connection")?;
        online.authenticated = true;
        online.listing.is_due = true;
        if let Some(engine) = &mut running.engine {
            engine.online(online.limits, now);
        }
        Ok(())
    }

    fn handle_closed(
        &mut self,
        reason: &CloseReason,
        link: &mut Link,
        scene: &mut Scene<'_>,
    ) -> Result<()> {
        match reason {
            CloseReason::Refused(error) if error.code() == ErrorCode::DeviceIsRevoked => {
                self.is_revoked = true;
            }
            reason => talk::check_closed(reason)?,
        }
        link.to_server.close();
        link.to_client.cut_frames(scene.rng);
        self.disconnected();
        Ok(())
    }

    /// The connection is lost, and with it what was under way.
    pub(crate) fn disconnected(&mut self) {
        if let Some(running) = &mut self.running {
            running.online = None;
            running.followers.values_mut().for_each(Follower::handle_disconnected);
            running.engine.iter_mut().for_each(|engine| engine.disconnected());
        }
    }

    /// The list of conversations may be another by now.
    pub(crate) fn list(&mut self) {
        if let Some(online) = self.online().filter(|online| online.authenticated) {
            online.listing.is_due = true;
        }
    }

    fn heard_of(&mut self, id: ConversationId) {
        if !self.disk.rooms.get(&id).is_some_and(|room| room.is_member) {
            self.list();
        }
    }

    fn note_head(&mut self, id: ConversationId, head_seq: u64) {
        let Some(running) = &mut self.running else { return };
        if let Some(follower) = running.followers.get_mut(&id) {
            follower.handle_head_seq(head_seq);
        }
        if let (Some(engine), Some(room)) = (&mut running.engine, self.disk.rooms.get(&id))
            && engine.follows(id)
        {
            engine.follow(id, room.kind, head_seq, 0);
        }
    }

    fn handle_pushed(&mut self, entry: &v1::Entry, scene: &mut Scene<'_>) -> Result<()> {
        let header = v1::EntryHeader::decode(&entry.header[..])?;
        let id = header.conversation_id[..].try_into()?;
        self.heard_of(id);
        let Some(running) = &mut self.running else { return Ok(()) };
        let Some(follower) = running.followers.get_mut(&id) else { return Ok(()) };
        match follower.handle_pushed(entry) {
            Ok(accepted) => self.keep(id, accepted.into_iter().collect()),
            Err(tampering) => self.tampered(id, &tampering.into(), scene),
        }
    }

    /// The server has lied of a log: it is followed anew from what is kept, over another connection.
    fn tampered(
        &mut self,
        id: ConversationId,
        error: &anyhow::Error,
        scene: &mut Scene<'_>,
    ) -> Result<()> {
        let device = self.disk.owner.context("it is somebody")?.device;
        ensure!(scene.witness.causes.was_lied_to(device, id), "the server lies: {error}");
        scene.notes.push(format!("{} is lied to: {error}", self.name));
        let (Some(running), Some(room)) = (&mut self.running, self.disk.rooms.get(&id)) else {
            return Ok(());
        };
        running.followers.insert(id, room.follower(id));
        self.online().into_iter().for_each(|online| online.session.close());
        Ok(())
    }

    /// Keeps entries that were accepted, together with the cursor.
    fn keep(&mut self, id: ConversationId, accepted: Vec<Accepted>) -> Result<()> {
        let running = self.running.as_mut().context("it runs")?;
        let follower = running.followers.get(&id).context("it is followed")?;
        let room = self.disk.rooms.get_mut(&id).context("the room is kept")?;
        room.remembered = follower.remembered();
        let (mut goes, mut last) = (false, None);
        for entry in accepted {
            let seq = entry.seq;
            goes |= entry.kind() == v1::EntryKind::RemovalPending
                || entry.kind() == v1::EntryKind::Commit
                || entry.kind() == v1::EntryKind::GroupEstablished;
            let known = room.entries.insert(seq, entry);
            ensure!(known.is_none(), "entry {seq} is let through twice");
            last = Some(seq);
        }
        if let (Some(engine), Some(last)) = (&mut running.engine, last) {
            engine.kept(id, last);
        }
        if goes {
            // The user may be in it no longer.
            self.list();
        }
        Ok(())
    }

    fn handle_reply(
        &mut self,
        asked: Asked,
        result: Result<Body, v1::Error>,
        scene: &mut Scene<'_>,
    ) -> Result<()> {
        match (asked, result) {
            (Asked::Engine(asked), result) => {
                if let Err(error) = &result {
                    scene.notes.push(format!("{} is refused: {:?}", self.name, error.code()));
                }
                let result = self.twist(result, scene);
                self.engine().context("it has an engine")?.replied(asked, result);
                Ok(())
            }
            (Asked::Summaries, Ok(Body::Summaries(summaries))) => self.listed(&summaries, scene),
            // Not approved.
            (Asked::Summaries, Err(_)) => Ok(()),
            (Asked::Members(id), Ok(Body::Members(members))) => {
                let members = members
                    .members
                    .iter()
                    .map(|member| Ok((UserId::try_from(&member.user_id[..])?, member.role())));
                let members: Vec<_> = members.collect::<Result<_>>()?;
                self.engine().into_iter().for_each(|engine| engine.members(id, members.clone()));
                Ok(())
            }
            (Asked::Fetch(id), Ok(Body::Fetched(fetched))) => {
                let log_key = self.disk.log_key.context("a log key is known")?;
                let running = self.running.as_mut().context("it runs")?;
                let Some(follower) = running.followers.get_mut(&id) else { return Ok(()) };
                match follower.handle_fetched(&log_key, &fetched) {
                    Ok(accepted) => self.keep(id, accepted),
                    Err(tampering) => self.tampered(id, &tampering.into(), scene),
                }
            }
            (Asked::Fetch(id), Err(error)) => {
                let running = self.running.as_mut().context("it runs")?;
                if let Some(follower) = running.followers.get_mut(&id) {
                    follower.handle_refused(&error)?;
                }
                self.lose(id, scene)?;
                self.list();
                Ok(())
            }
            (Asked::Log(user), Ok(Body::DeviceLogs(logs))) => self.log_came(user, logs, scene),
            (Asked::Log(user), Err(_)) => {
                self.online().into_iter().for_each(|online| drop(online.logs.remove(&user)));
                self.engine().into_iter().for_each(|engine| engine.no_log(user));
                Ok(())
            }
            (Asked::Effect(key), result) => {
                self.disk.outbox.retain(|(it, _)| *it != key);
                if let Err(error) = &result {
                    scene.notes.push(format!("{} is refused: {:?}", self.name, error.code()));
                }
                let user = self.disk.owner.map(|owner| owner.user);
                if let (Ok(Body::DeviceLogPublished(_)), Some(user)) = (&result, user) {
                    self.engine().into_iter().for_each(|engine| engine.log_changed(user));
                }
                self.list();
                Ok(())
            }
            (asked, Ok(_) | Err(_)) => {
                ensure!(!matches!(asked, Asked::Summaries), "summaries come as something else");
                Ok(())
            }
        }
    }

    fn log_came(
        &mut self,
        user: UserId,
        logs: v1::DeviceLogs,
        scene: &mut Scene<'_>,
    ) -> Result<()> {
        let online = self.online().context("a reply without connection")?;
        let mut received = online.logs.remove(&user).context("a log that nobody asked for")?;
        if received.take(logs)? {
            online.logs.insert(user, received);
            return Ok(());
        }
        let believes = scene.is(PrivateSabotage::BelieveAnyLog);
        let known = self.disk.logs.get(&user).map(|it| &it.known).filter(|_| !believes);
        let judged = received.judge(SERVER_NAME, known, false);
        let theirs = scene.users.iter().find(|it| it.id == Some(user));
        let account_key = theirs.map(|it| it.account_key.public_key());
        let engine = self.running.as_mut().and_then(|it| it.engine.as_mut());
        let engine = engine.context("it has an engine")?;
        match judged {
            Ok(Some((known, log))) => {
                let is_theirs = account_key.is_some_and(|key| key == *log.account_key());
                ensure!(is_theirs, "a device log is believed that another key began");
                engine.learn(log.clone());
                self.disk.logs.insert(user, Pinned { known, log });
            }
            Ok(None) => engine.no_log(user),
            Err(error) => {
                let device = engine.me().device;
                let is_lie = scene.witness.causes.was_lied_to_of_logs(device);
                ensure!(is_lie, "the server lies of a device log: {error}");
                scene.notes.push(format!("{} is lied to: {error}", self.name));
                engine.no_log(user);
            }
        }
        Ok(())
    }

    /// Gives the engine what is kept, lets it work, and hears what it has to say, until it waits.
    pub(super) fn move_engine(&mut self, scene: &mut Scene<'_>) -> Result<()> {
        let now = scene.clock.now().unix_ms;
        for _ in 0..MOST_ROUNDS {
            let Some(running) = &mut self.running else { return Ok(()) };
            let Some(engine) = &mut running.engine else { return Ok(()) };
            engine.tick(now);
            let mut moved = false;
            if let Some((id, from)) = engine.wants_entries() {
                let entries = self.disk.rooms.get(&id).context("what is wanted is kept")?;
                let skips = scene.is(PrivateSabotage::SkipCommit);
                // One by one, each epoch that is passed through is seen.
                let most = if scene.sabotage.is_none() && scene.rng.one_in(2) { 1 } else { 64 };
                let shown: Vec<_> = entries
                    .entries
                    .range(from..)
                    .take(most)
                    .map(|(_, entry)| entry)
                    .filter(|it| !(skips && it.kind() == v1::EntryKind::Commit && it.seq % 5 == 0))
                    .map(|it| aside_client::private::Entry {
                        seq: it.seq,
                        header: it.header.clone(),
                        payload: self.former.shown(&it.entry.payload),
                        chain: it.chain,
                    })
                    .collect();
                let hides = scene.is(PrivateSabotage::HideOwn) && self.has_forgotten;
                let own = self.disk.owner.map(|owner| owner.device.to_bytes());
                let is_hidden = |it: &aside_client::private::Entry| {
                    hides && Some(&it.header.sender_device_id) == own.as_ref()
                };
                engine.entries(id, shown.into_iter().filter(|it| !is_hidden(it)));
                moved = true;
            }
            engine.work()?;
            let lists = engine.take_listing_due();
            scene.witness.look_at(engine)?;
            if running.unsaved.is_none() {
                running.unsaved = engine.take_writes();
                if running.unsaved.is_some() {
                    running.taken_in = engine.taken_in().collect();
                }
            }
            if lists {
                self.list();
            }
            while let Some((id, told)) = self.engine().and_then(|engine| engine.poll_event()) {
                moved = true;
                self.hear(id, told, scene)?;
            }
            if !moved {
                return Ok(());
            }
        }
        bail!("the engine goes in circles")
    }

    fn hear(&mut self, id: ConversationId, told: Told, scene: &mut Scene<'_>) -> Result<()> {
        if !matches!(told, Told::Read) {
            let name = scene.witness.name(id);
            scene.notes.push(format!("{} in {name}: {told:?}", self.name));
        }
        scene.witness.rejoins += u32::from(matches!(told, Told::Joined { how: How::Came(_) }));
        if scene.users[self.user].is_evil {
            return Ok(());
        }
        if let Told::SenderDoubted { seq, .. } = &told {
            scene.witness.doubted.insert((self.index, id, *seq));
        }
        let engine = self.seen().context("it has an engine")?;
        let joined_at = engine.health(id).and_then(|health| health.last_repair);
        let place = (id, joined_at.map_or(0, |(_, seq)| seq));
        let is_known = |user: UserId| self.disk.knew.get(&id).is_some_and(|it| it.contains(&user));
        let who = (self.index, engine.me());
        let is_explained = match &told {
            // Whom it knew when it was there may have gone since, and others come whom it does not know (MLS-049).
            Told::RepairFailed { reason: Reason::Stranger, suspects, .. } => {
                suspects.iter().all(|it| !is_known(it.user))
            }
            told => scene.witness.causes.explain(who, place, told),
        };
        ensure!(is_explained, "nothing was done, and {told:?}");
        match told {
            Told::Sent { message_id, seq, .. } => {
                scene.witness.told(message_id, Fate::Sent(seq))?;
            }
            Told::Failed { message_id, .. } => scene.witness.told(message_id, Fate::Failed)?,
            Told::Contradiction { seq, what } => bail!("entry {seq} is a contradiction: {what}"),
            // Its user does what is offered then, once; whom it is told of, it knows, or may.
            Told::RepairFailed { reason: Reason::Stranger, suspects, .. } => {
                let is_sure = !scene.rng.one_in(4);
                if let (Some(engine), [by], true) = (self.engine(), &suspects[..], is_sure) {
                    engine.let_lead(id, by.user);
                }
            }
            Told::RepairFailed { why, .. } if why != Repair::Asked => {
                if let Some(engine) = self.engine() {
                    engine.rejoin(id);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
