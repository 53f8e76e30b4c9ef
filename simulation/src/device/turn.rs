//! A device's turn: bytes or time in, events handled, requests and bytes out.

use std::collections::{BTreeSet, VecDeque};

use anyhow::{Context as _, Result};
use aside_proto::v1::{self, ErrorCode, client_frame::Body};
use aside_session::client::{CloseReason, Event};

use super::{Asked, Device, Effect, Listing, Online, Scene};
use crate::{link::Link, sabotage::Sabotage, talk};

/// Entries that a fetch asks for, at most.
const MAX_FETCH: u64 = 16;

impl Device {
    /// Bytes have come, or the end.
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
        for follower in self.running.iter_mut().flat_map(|it| it.followers.values_mut()) {
            follower.handle_time(now);
        }
        let Some(online) = self.online() else { return Ok(false) };
        if online.session.next_timeout().is_none_or(|due| due > now.monotonic_ms) {
            return Ok(false);
        }
        online.session.handle_timeout(now);
        self.turn(link, scene)?;
        Ok(true)
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
                self.kept.log_key = Some(greeting.log_key);
                self.save();
                self.log_in(scene)
            }
            Event::Authenticated { user_id, device_id, handle } => {
                self.kept.identity = Some((user_id, device_id));
                self.kept.handle = Some(handle);
                self.save();
                let online = self.online().context("an event without connection")?;
                online.authenticated = true;
                online.listing = Listing { due: Some(Default::default()), ..Default::default() };
                Ok(())
            }
            Event::LoginRefused(error) => {
                // The handle may have been changed, or the account is not there yet.
                let known = error.code() == ErrorCode::AuthenticationFailed && !self.registers;
                anyhow::ensure!(known, "a log-in is refused: {error:?}");
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
                self.look_for(conversation);
                self.note_head(conversation, head_seq);
                Ok(())
            }
            Event::WatermarkMoved { conversation, watermark } => {
                let online = self.online().context("an event without connection")?;
                let told = online.told.entry((conversation, watermark.user)).or_default();
                let falls = told.max(watermark.at) != watermark.at;
                anyhow::ensure!(!falls, "watermarks fall from {told:?} to {:?}", watermark.at);
                *told = watermark.at;
                Ok(())
            }
            // Nobody is invited or has an identity here, and what is not kept need not converge.
            Event::Invited { .. }
            | Event::DeviceLogChanged { .. }
            | Event::Relayed { .. }
            | Event::InboxItem { .. }
            | Event::KeyPackagesLow { .. }
            | Event::ForkCheckMismatch { .. }
            | Event::Live(_) => Ok(()),
            Event::Closed(reason) => self.handle_closed(&reason, link, scene),
        }
    }

    fn log_in(&mut self, scene: &mut Scene<'_>) -> Result<()> {
        let known = scene.handle.as_ref().filter(|_| !self.registers);
        let account = talk::Account {
            device: self.kept.identity.map(|(_, device)| device),
            register_key: self.registers.then_some(self.kept.register_key),
            handle: known.unwrap_or(&self.first_handle),
            device_name: &self.name,
        };
        let online = self.running.as_mut().and_then(|it| it.online.as_mut());
        let online = online.context("an event without connection")?;
        account.log_in(&mut online.session, &self.key, scene.clock.now())
    }

    fn handle_closed(
        &mut self,
        reason: &CloseReason,
        link: &mut Link,
        scene: &mut Scene<'_>,
    ) -> Result<()> {
        talk::check_closed(reason)?;
        link.to_server.close();
        link.to_client.cut(scene.rng);
        self.disconnected(scene)
    }

    /// The connection is lost, and with it what was under way.
    fn disconnected(&mut self, scene: &mut Scene<'_>) -> Result<()> {
        if let Some(running) = &mut self.running {
            running.online = None;
            running.followers.values_mut().for_each(|follower| follower.handle_disconnected());
        }
        if scene.sabotage == Some(Sabotage::ResendAnew) {
            self.resend_anew(scene)?;
        }
        Ok(())
    }

    fn resend_anew(&mut self, scene: &mut Scene<'_>) -> Result<()> {
        for effect in std::mem::take(&mut self.kept.outbox) {
            match effect.body {
                Body::SendMessage(message) => {
                    self.kept.said.retain(|(_, key)| *key != effect.key);
                    let conversation = message.conversation_id[..].try_into()?;
                    self.say(conversation, message.payload, scene);
                }
                _ => self.kept.outbox.push_back(effect),
            }
        }
        Ok(())
    }

    /// Makes one request that is due; false if none is, or none can be made.
    fn ask_for_what_is_due(&mut self, scene: &mut Scene<'_>) -> Result<bool> {
        let Some(running) = &mut self.running else { return Ok(false) };
        let Some(online) = &mut running.online else { return Ok(false) };
        if !online.session.may_request() {
            return Ok(false);
        }
        if let Some(page_token) = online.listing.due.take() {
            online.listing.under_way = true;
            if page_token.is_empty() {
                online.listing.seen.clear();
            }
            let list = v1::ListRooms {
                joined_only: true,
                invited_only: false,
                name: String::new(),
                page_token,
                page_size: scene.rng.between(1, 3) as u32,
            };
            return self.request(Asked::Rooms, None, Body::ListRooms(list), scene.clock);
        }
        let looking = online.asked.values().any(|asked| matches!(asked, Asked::Keys));
        if !looking && !running.unjudged.is_empty() {
            let device_ids = running.unjudged.keys().map(|device| device.to_bytes()).collect();
            let body = Body::LookUpDevices(v1::LookUpDevices { device_ids });
            return self.request(Asked::Keys, None, body, scene.clock);
        }
        let rooms = &self.kept.rooms;
        let joined = |conversation| rooms.get(conversation).is_some_and(|room| room.is_member);
        let due = running.followers.iter_mut().filter(|(conversation, _)| joined(conversation));
        let mut due = due.filter_map(|(it, follower)| Some((*it, follower.poll_fetch()?)));
        if let Some((conversation, fetch)) = due.next() {
            let fetch = v1::Fetch {
                conversation_id: conversation.to_bytes(),
                from_seq: fetch.from_seq,
                max_entries: scene.rng.between(1, MAX_FETCH) as u32,
                signed_head: fetch.signed_head,
            };
            return self.request(Asked::Fetch(conversation), None, Body::Fetch(fetch), scene.clock);
        }
        let Some(effect) = next_effect(&self.kept.outbox, online).cloned() else {
            return Ok(false);
        };
        self.request(Asked::Effect(effect.key), Some(effect.key), effect.body, scene.clock)
    }
}

/// The next effect to ask for. In each conversation one message is in flight at a time, as in the real client: the server does not
/// remember what it refused, so one that was refused, and is sent again after its sender has joined, may be accepted behind those
/// that were sent after it.
fn next_effect<'a>(outbox: &'a VecDeque<Effect>, online: &Online) -> Option<&'a Effect> {
    let mut busy = BTreeSet::new();
    let asked = |key| online.asked.values().any(|it| matches!(it, Asked::Effect(k) if *k == key));
    outbox.iter().find(|effect| {
        let first = match &effect.body {
            Body::SendMessage(message) => busy.insert(&message.conversation_id),
            _ => true,
        };
        first && effect.saved && !asked(effect.key)
    })
}
