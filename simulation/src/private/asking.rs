//! What a device asks the server for, one request after another.

use anyhow::{Context as _, Result, ensure};
use aside_client::private::Received;
use aside_proto::{
    id::UserId,
    v1::{self, ErrorCode, client_frame, server_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;

use super::{
    device::{Asked, Device, Scene},
    sabotage::PrivateSabotage,
};

/// Entries that a fetch asks for, at most.
const MAX_FETCH: u64 = 8;

impl Device {
    /// Makes one request that is due; false if none is, or none can be made.
    pub(super) fn ask_for_what_is_due(&mut self, scene: &mut Scene<'_>) -> Result<bool> {
        let Some(running) = &mut self.running else { return Ok(false) };
        let Some(online) = &mut running.online else { return Ok(false) };
        if !online.session.may_request() || !online.authenticated {
            return Ok(false);
        }
        let now = scene.clock.now();
        let Some(engine) = &mut running.engine else { return Ok(false) };
        let mut ask = |asked, key, body| -> Result<bool> {
            let id = online.session.request(now, key, body)?;
            online.asked.insert(id, asked);
            Ok(true)
        };
        if online.listing.is_due && !online.listing.is_under_way && engine.is_inbox_known() {
            (online.listing.is_due, online.listing.is_under_way) = (false, true);
            let list = v1::ListSummaries { page_token: Bytes::new(), page_size: 100 };
            return ask(Asked::Summaries, None, client_frame::Body::ListSummaries(list));
        }
        if let Some(id) = online.members_due.pop_first() {
            let conversation_id = id.to_bytes();
            let list = v1::ListMembers { conversation_id, page_size: 100, ..Default::default() };
            return ask(Asked::Members(id), None, client_frame::Body::ListMembers(list));
        }
        let is_asked = |user: &UserId, asked: &Asked| matches!(asked, Asked::Log(it) if it == user);
        let rest = online
            .logs
            .iter()
            .find(|(user, _)| !online.asked.values().any(|asked| is_asked(user, asked)));
        let next = match rest {
            Some((user, received)) => Some((*user, received.request())),
            None => engine.poll_log().map(|user| {
                let received = Received::new(user);
                let request = received.request();
                online.logs.insert(user, received);
                (user, request)
            }),
        };
        if let Some((user, request)) = next {
            let id =
                online.session.request(now, None, client_frame::Body::FetchDeviceLogs(request))?;
            online.asked.insert(id, Asked::Log(user));
            return Ok(true);
        }
        for (id, head) in engine.heads() {
            running.followers.get_mut(&id).into_iter().for_each(|it| it.handle_seq(head));
        }
        let mut due = running.followers.iter_mut();
        if let Some((id, fetch)) =
            due.find_map(|(it, follower)| Some((*it, follower.poll_fetch()?)))
        {
            let fetch = v1::Fetch {
                conversation_id: id.to_bytes(),
                from_seq: fetch.from_seq,
                max_entries: scene.rng.between(1, MAX_FETCH) as u32,
                signed_head: fetch.signed_head,
            };
            let asked = online.session.request(now, None, client_frame::Body::Fetch(fetch))?;
            online.asked.insert(asked, Asked::Fetch(id));
            return Ok(true);
        }
        let is_busy = online.asked.values().any(|asked| matches!(asked, Asked::Effect(_)));
        if let Some((key, body)) = self.disk.outbox.front().filter(|_| !is_busy) {
            let asked = online.session.request(now, Some(*key), body.clone())?;
            online.asked.insert(asked, Asked::Effect(*key));
            return Ok(true);
        }
        self.ask_for_engine(scene)
    }

    /// Nothing is made where a stranger leads before the user lets that one lead (MLS-049).
    fn check_silence(&self, body: &client_frame::Body) -> Result<()> {
        let id = match body {
            client_frame::Body::SendPrivate(send) => {
                let payload = v1::PrivatePayload::decode(&send.payload[..])?;
                v1::PrivateHeader::decode(&payload.header[..])?.conversation_id
            }
            client_frame::Body::SubmitCommit(submit) => {
                let payload = v1::CommitPayload::decode(&submit.payload[..])?;
                let header = v1::CommitHeader::decode(&payload.header[..])?;
                if header.is_external {
                    // To come to another, whom its user has let lead.
                    return Ok(());
                }
                header.conversation_id
            }
            _ => return Ok(()),
        };
        let health = self.seen().and_then(|engine| engine.health(id[..].try_into().ok()?));
        let is_led = health.is_some_and(|it| it.led_by.is_some());
        ensure!(!is_led, "it speaks where a stranger leads, and its user has not said so");
        Ok(())
    }

    fn ask_for_engine(&mut self, scene: &mut Scene<'_>) -> Result<bool> {
        let now = scene.clock.now();
        let (owner, index) = (self.disk.owner.context("it is somebody")?, self.index);
        let engine = self.engine().context("it has an engine")?;
        let Some((asked, key, mut body)) = engine.poll_request() else { return Ok(false) };
        let is_evil = scene.users[self.user].is_evil;
        if !is_evil {
            self.check_silence(&body)?;
        }
        match &body {
            client_frame::Body::SendPrivate(it) => scene.witness.makes(index, &it.payload),
            client_frame::Body::SubmitCommit(it) => scene.witness.makes(index, &it.payload),
            client_frame::Body::RejectCommit(it) if !is_evil => {
                let id = it.conversation_id[..].try_into()?;
                let may = scene.witness.causes.rejects((index, owner), id, it.seq);
                ensure!(may, "it rejects entry {} of {id}, and nobody lies", it.seq);
            }
            client_frame::Body::EstablishGroup(it) => scene.witness.makes(index, &it.header),
            _ => {}
        }
        if let client_frame::Body::SendPrivate(send) = &body {
            if !is_evil {
                scene.witness.encrypted((index, owner), send)?;
            }
            if scene.is(PrivateSabotage::AckUnsent) && scene.rng.one_in(6) {
                let sent = v1::Sent { seq: 5, ..v1::Sent::default() };
                self.engine().into_iter().for_each(|engine| {
                    engine.replied(asked.clone(), Ok(Body::Sent(sent.clone())));
                });
                self.move_engine(scene)?;
                return Ok(true);
            }
        }
        if let client_frame::Body::SendPrivate(send) = &mut body
            && scene.is(PrivateSabotage::KeysOfBefore)
        {
            self.encrypt_by_former(send, &scene.witness.everyone)?;
        }
        if let client_frame::Body::SubmitCommit(_) = &body
            && scene.is(PrivateSabotage::MergeEarly)
        {
            self.merge_early(scene)?;
        }
        let online = self.online().context("it is online")?;
        let id = online.session.request(now, key, body)?;
        online.asked.insert(id, Asked::Engine(asked));
        Ok(true)
    }

    /// Applies what is pending on disk, and goes on from that.
    fn merge_early(&mut self, scene: &mut Scene<'_>) -> Result<()> {
        self.wants_crash = true;
        let device = self.mls(&scene.witness.everyone)?;
        for kept in self.disk.vault.conversations.values_mut() {
            for state in kept.groups.values_mut() {
                let Ok(mut group) = device.load(state) else { continue };
                if group.has_pending() && group.apply_pending().is_ok() {
                    group.save()?;
                    let mut changes = device.take_changes();
                    if let Some(Some(merged)) = changes.groups.remove(&group.id()) {
                        *state = merged;
                    }
                }
            }
        }
        Ok(())
    }

    /// Breaks what the engine is told.
    #[allow(clippy::result_large_err, reason = "the session gives it so")]
    pub(super) fn twist(
        &self,
        result: Result<Body, v1::Error>,
        scene: &Scene<'_>,
    ) -> Result<Body, v1::Error> {
        match result {
            Err(error)
                if error.code() == ErrorCode::StaleEpoch
                    && scene.is(PrivateSabotage::ResendStale) =>
            {
                let (code, retry_after_ms) = (ErrorCode::RateLimited.into(), 1);
                Err(v1::Error { code, retry_after_ms, ..v1::Error::default() })
            }
            Ok(Body::Sent(sent)) => {
                let payload_hash = self.former.acknowledged(&sent.payload_hash);
                Ok(Body::Sent(v1::Sent { payload_hash, ..sent }))
            }
            result => result,
        }
    }
}
