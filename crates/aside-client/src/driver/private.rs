//! Private conversations: the [`Engine`], moved by what the connection brings, and written down before anything is sent.

mod logs;
mod outbox;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use aside_crypto::{chain_next, payload_hash};
use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    v1::{self, client_frame, server_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;
use tokio::{sync::oneshot, time::Instant};

use super::{Driver, outbox::Waiter, sync::Departure};
use crate::{
    Error, Event, Identity, Outgoing, Person, Receipt, State, certificate,
    model::is_private,
    private::{self, Asked, Engine, Entry, Goal, Health, Owner, Repair},
    random,
    store::{Kept, Store},
    trust::Received,
};

/// Entries read at once.
const CHUNK: u32 = 64;

type Done = oneshot::Sender<Result<(), Error>>;

/// What the driver has of private conversations.
#[derive(Debug, Default)]
pub(super) struct Private {
    /// None of a token, and on a copy of the state.
    engine: Option<Engine>,
    /// Whether the capability is in force.
    in_force: bool,
    waiters: Vec<(ConversationId, Goal, Done)>,
    receipts: HashMap<IdempotencyKey, (ConversationId, Waiter, Bytes)>,
    /// Device logs that are being fetched, and those of which the next page is due.
    logs: BTreeMap<UserId, Received>,
    pages: Vec<UserId>,
    /// Members of which a page was listed, and not the last.
    listed: BTreeMap<ConversationId, BTreeMap<UserId, v1::Role>>,
}

/// What a request of this module was for.
#[derive(Debug)]
pub(super) enum Flight {
    Engine(Asked),
    /// Device logs, each from its beginning.
    Logs(Vec<UserId>),
    /// The next page of one that had no room among others.
    Log(UserId),
}

impl Private {
    /// Takes up what is kept, where this device may have private conversations at all.
    pub(super) async fn restore(
        store: &Store,
        me: &Identity,
        is_token: bool,
    ) -> Result<Self, Error> {
        if is_token || store.check_own().is_err() {
            return Ok(Self::default());
        }
        let certificate = certificate::of_this_device(store, me).await?;
        let keys = store.mls_keys().await?;
        let logs = store.device_logs().await?;
        let identity = private::Identity { certificate, keys };
        let stored = store.private().await?;
        let engine = Engine::new(identity, stored, logs, Box::new(random::fill))?;
        Ok(Self { engine: Some(engine), ..Self::default() })
    }

    fn of(&mut self, conversation: ConversationId) -> Option<&mut Engine> {
        self.engine.as_mut().filter(|engine| engine.follows(conversation))
    }

    /// When something is due by time alone.
    pub(super) fn wake_at(&self, now_ms: u64) -> Option<Instant> {
        let at = self.engine.as_ref()?.wake_at()?;
        Some(Instant::now() + Duration::from_millis(at.saturating_sub(now_ms)))
    }

    /// Nothing goes on in a conversation: who waits for something there is told. Those who wait may have gone.
    fn stopped(&mut self, conversation: ConversationId) {
        for (_, (_, waiter, _)) in self.receipts.extract_if(|_, (of, ..)| *of == conversation) {
            let _ = waiter.send(Err(Error::Tampered));
        }
        for (.., waiter) in self.waiters.extract_if(.., |(of, ..)| *of == conversation) {
            let _ = waiter.send(Err(Error::Tampered));
        }
    }

    pub(super) fn disconnected(&mut self) {
        if let Some(engine) = &mut self.engine {
            engine.disconnected();
        }
        self.logs.clear();
        self.pages.clear();
        self.listed.clear();
    }
}

impl Driver {
    /// A connection stands, and the status says what is in force on it.
    pub(super) async fn private_online(&mut self) -> Result<(), Error> {
        let (in_force, limits, me) = {
            let status = self.status.borrow();
            (status.private, status.limits, status.identity.clone())
        };
        let is_other = |engine: &Engine| engine.me().device != me.device;
        if self.private.engine.as_ref().is_some_and(is_other) {
            // The device was replaced by another one, which was never in a group.
            self.private = Private::restore(&self.store, &me, false).await?;
        }
        self.private.in_force = in_force && self.private.engine.is_some();
        self.sync.take_private(self.private.in_force);
        let now_ms = self.status.borrow().server_unix_ms();
        if let Some(engine) = self.private.engine.as_mut().filter(|_| in_force) {
            engine.prefer(self.suite);
            engine.online(limits, now_ms);
        }
        self.private_work().await
    }

    /// Takes in what was kept, writes down what came of it, and tells it.
    pub(super) async fn private_work(&mut self) -> Result<(), Error> {
        loop {
            let now_ms = self.status.borrow().server_unix_ms();
            let Some(engine) = &mut self.private.engine else { return Ok(()) };
            engine.tick(now_ms);
            self.sync.take_approved(engine.is_approved());
            if engine.take_listing_due() {
                self.sync.list_anew();
            }
            for (conversation, departure) in self.sync.poll_left() {
                match departure {
                    Departure::Left => engine.left(conversation),
                    Departure::Unlisted => engine.unlisted(conversation),
                }
            }
            for (conversation, seq) in self.sync.private_heads() {
                engine.kept(conversation, seq);
            }
            while let Some((conversation, from)) = engine.wants_entries() {
                let kept = self.store.entries_from(conversation, from, CHUNK).await?;
                engine.entries(conversation, kept.into_iter().map(entry));
            }
            engine.work()?;
            for (conversation, head) in engine.heads() {
                self.sync.heard_of(conversation, head);
            }
            if let Some(writes) = engine.take_writes() {
                self.store.keep_private(&writes).await?;
                engine.written();
            } else if !self.private_follow().await? {
                break;
            }
        }
        if let Some(engine) = self.private.engine.as_mut().filter(|_| self.sync.is_listed()) {
            engine.listed();
            if engine.take_listing_due() {
                self.sync.list_anew();
            }
        }
        while let Some((conversation, event)) =
            self.private.engine.as_mut().and_then(Engine::poll_event)
        {
            self.private_told(conversation, event).await?;
        }
        if let Some(engine) = &self.private.engine {
            self.sync.taken_in(engine.taken_in());
        }
        Ok(())
    }

    /// Follows conversations that were listed, once it is known where they begin for this device; whether there were any, of which
    /// more may be due then.
    async fn private_follow(&mut self) -> Result<bool, Error> {
        let engine = self.private.engine.as_mut();
        if !engine.is_some_and(|engine| engine.knows_beginnings(self.sync.deferred())) {
            return Ok(false);
        }
        let deferred = self.sync.take_deferred();
        for summary in &deferred {
            let Some(room) = &summary.room else { continue };
            let conversation = ConversationId::try_from(&room.conversation_id[..])?;
            let Some(engine) = &mut self.private.engine else { return Ok(false) };
            let from = engine.welcomed_at(conversation);
            engine.follow(conversation, room.kind(), room.head_seq, 0);
            let profile = engine.profile(conversation).cloned();
            self.sync.follow_private(room, summary, from, &mut self.out).await?;
            if let Some(profile) = profile {
                self.sync.name_group(conversation, profile.name(), &mut self.out).await?;
            }
        }
        Ok(!deferred.is_empty())
    }

    async fn private_told(
        &mut self,
        conversation: ConversationId,
        event: private::Event,
    ) -> Result<(), Error> {
        match event {
            private::Event::Read => self.out.refresh(conversation),
            private::Event::Sent { message_id, seq, time_ms } => {
                if let Some((_, waiter, payload)) = self.private.receipts.remove(&message_id) {
                    let of = (message_id, conversation);
                    let sent = Outgoing::of(of, &payload, State::Sent, Some(seq));
                    self.out.tell(Event::Outgoing(sent));
                    // The caller may have gone: the message is sent all the same.
                    let _ = waiter.send(Ok(Receipt { message_id, seq, time_ms }));
                }
            }
            private::Event::Failed { message_id, error } => {
                self.private_failed(conversation, message_id, (*error).into());
            }
            private::Event::Done { goal, outcome } => {
                let waiters = std::mem::take(&mut self.private.waiters);
                let (done, others): (Vec<_>, _) =
                    waiters.into_iter().partition(|(of, it, _)| (*of, *it) == (conversation, goal));
                self.private.waiters = others;
                for (_, _, waiter) in done {
                    // The caller may have gone: it is done all the same.
                    let _ = waiter.send(outcome.clone().map_err(Error::Goal));
                }
            }
            event => {
                if matches!(event, private::Event::Contradiction { .. }) {
                    self.private.stopped(conversation);
                }
                if let private::Event::Named { profile, .. } = &event {
                    self.sync.name_group(conversation, profile.name(), &mut self.out).await?;
                }
                let (room, kind) =
                    (self.sync.name_of(conversation), self.sync.kind_of(conversation));
                let mut people = Vec::new();
                for user in event.users() {
                    people.push(self.person(user).await?);
                }
                if let Some(by) = removed_by(&event, &people) {
                    self.sync.removed(conversation, by);
                }
                if matches!(event, private::Event::Joined { .. }) {
                    self.sync.came_in(conversation);
                }
                if matches!(event, private::Event::Removed { .. }) {
                    // Whether its user is still a member, the server says.
                    self.sync.list_anew();
                }
                let health = self.private.engine.as_ref().and_then(|it| it.health(conversation));
                let left_behind = match health.and_then(|health| left_behind(&event, &health)) {
                    Some((culprit, times)) => Some((self.person(culprit.user).await?, times)),
                    None => None,
                };
                let is_removal = matches!(event, private::Event::Removed { .. });
                let what = event;
                let event = Event::Private { conversation, room, kind, what, people, left_behind };
                match is_removal {
                    true => self.sync.hold_removal(conversation, event),
                    false => self.out.tell(event),
                }
            }
        }
        Ok(())
    }

    fn private_failed(
        &mut self,
        conversation: ConversationId,
        message_id: IdempotencyKey,
        error: Error,
    ) {
        let Some((_, waiter, payload)) = self.private.receipts.remove(&message_id) else {
            self.out.tell(Event::MessageFailed { message_id, conversation, error });
            return;
        };
        let of = (message_id, conversation);
        let failed = Outgoing::of(of, &payload, State::failed(&error), None);
        self.out.tell(Event::Outgoing(failed));
        if let Err(Err(error)) = waiter.send(Err(error)) {
            self.out.tell(Event::MessageFailed { message_id, conversation, error });
        }
    }

    /// The next request.
    pub(super) fn private_poll(
        &mut self,
    ) -> Option<(Flight, Option<IdempotencyKey>, client_frame::Body)> {
        if !self.private.in_force {
            return None;
        }
        let Private { engine, logs, pages, .. } = &mut self.private;
        let engine = engine.as_mut()?;
        let most = self.status.borrow().limits.max_page_items.max(1) as usize;
        let users: Vec<_> = std::iter::from_fn(|| engine.poll_log()).take(most).collect();
        if !users.is_empty() {
            let user_ids = users.iter().map(|user| user.to_bytes()).collect();
            let fetch = v1::FetchDeviceLogs { user_ids, from_position: 0 };
            let body = client_frame::Body::FetchDeviceLogs(fetch);
            return Some((Flight::Logs(users), None, body));
        }
        if let Some(user) = pages.pop() {
            let received = logs.entry(user).or_insert_with(|| Received::new(user));
            let body = client_frame::Body::FetchDeviceLogs(received.request());
            return Some((Flight::Log(user), None, body));
        }
        let (asked, key, body) = engine.poll_request()?;
        Some((Flight::Engine(asked), key, body))
    }

    pub(super) async fn private_replied(
        &mut self,
        flight: Flight,
        result: Result<Body, v1::Error>,
    ) -> Result<(), Error> {
        match (flight, result) {
            (Flight::Engine(asked), result) => {
                if let Some(engine) = &mut self.private.engine {
                    engine.replied(asked, result);
                }
            }
            (Flight::Logs(users), Ok(Body::DeviceLogs(page))) => {
                self.logs_received(users, page).await?;
            }
            (Flight::Logs(users), Err(error)) => {
                for user in users {
                    self.log_missed(user, &error);
                }
            }
            (Flight::Log(user), Ok(Body::DeviceLogs(page))) => {
                let Some(received) = self.private.logs.remove(&user) else { return Ok(()) };
                self.page_received(user, received, page).await?;
            }
            (Flight::Log(user), Err(error)) => {
                self.private.logs.remove(&user);
                self.log_missed(user, &error);
            }
            (Flight::Log(_) | Flight::Logs(_), Ok(_)) => {}
        }
        Ok(())
    }

    /// Something came into the inbox, or may have.
    pub(super) fn inbox_item(&mut self, conversation: Option<ConversationId>) {
        let Some(engine) = &mut self.private.engine else { return };
        engine.inbox_item();
        if conversation.is_some_and(|conversation| !engine.follows(conversation)) {
            self.sync.list_anew();
        }
    }

    pub(super) fn key_packages_low(&mut self, suite: u32) {
        if let Some(engine) = &mut self.private.engine {
            engine.key_packages_low(suite);
        }
    }

    pub(super) fn fork_found(&mut self, conversation: ConversationId, epoch: u64) {
        if let Some(engine) = &mut self.private.engine {
            engine.fork_found(conversation, epoch);
        }
    }

    /// A private conversation was opened or made: it is followed as those that are listed are.
    pub(super) fn private_opened(&mut self, room: &v1::Room) {
        if is_private(room) {
            self.sync.defer(v1::Summary { room: Some(room.clone()), ..Default::default() });
        }
    }

    /// The members of a private conversation, as the server lists them.
    pub(super) fn private_members(
        &mut self,
        conversation: ConversationId,
        members: &v1::Members,
    ) -> Result<(), Error> {
        if self.private.of(conversation).is_none() {
            return Ok(());
        }
        let mut roles = self.private.listed.remove(&conversation).unwrap_or_default();
        for member in &members.members {
            roles.insert(UserId::try_from(&member.user_id[..])?, member.role());
        }
        if !members.next_page_token.is_empty() {
            self.private.listed.insert(conversation, roles);
        } else if let Some(engine) = self.private.of(conversation) {
            engine.members(conversation, roles);
        }
        Ok(())
    }

    /// A log is read anew.
    pub(super) fn private_forget(&mut self, conversation: ConversationId) {
        if let Some(engine) = &mut self.private.engine {
            engine.forget(conversation);
        }
    }

    /// Whether what is said there is encrypted. What was once known to be private stays so, whether or not it is followed: nothing
    /// is said there in plain sight.
    pub(super) async fn is_private(&self, conversation: ConversationId) -> Result<bool, Error> {
        if let Some(is_private) = self.sync.is_private(conversation) {
            return Ok(is_private);
        }
        let known = self.store.conversation(conversation).await?;
        Ok(known.is_some_and(|known| known.kind.is_private()))
    }

    /// What is to be done in a private conversation; `done` is told when it is.
    pub(super) async fn private_want(
        &mut self,
        conversation: ConversationId,
        goal: Goal,
        done: Done,
    ) -> Result<(), Error> {
        let wanted = self.private.of(conversation).is_some_and(|it| it.want(conversation, goal));
        if wanted {
            self.private.waiters.push((conversation, goal, done));
        } else {
            // The caller may have gone.
            let _ = done.send(Err(self.not_followed()));
        }
        self.private_work().await
    }

    /// Why a private conversation is none of this client's: those who share the state of another have none.
    pub(super) fn not_followed(&self) -> Error {
        self.store.check_own().err().map_or(Error::NotFollowed, Error::State)
    }

    /// Comes into a private conversation anew, or goes on where this user leads.
    pub(super) async fn private_rejoin(
        &mut self,
        conversation: ConversationId,
        led_by: Option<UserId>,
    ) -> Result<Result<(), Error>, Error> {
        let Some(engine) = self.private.of(conversation).filter(|it| it.follows(conversation))
        else {
            return Ok(Err(self.not_followed()));
        };
        let is_done = match led_by {
            Some(user) => engine.let_lead(conversation, user),
            None => engine.rejoin(conversation),
        };
        self.private_work().await?;
        Ok(if is_done { Ok(()) } else { Err(Error::NotTheLeader) })
    }

    pub(super) fn private_health(&self, conversation: ConversationId) -> Result<Health, Error> {
        let engine = self.private.engine.as_ref();
        engine.and_then(|engine| engine.health(conversation)).ok_or_else(|| self.not_followed())
    }
}

/// An entry as the engine takes it.
fn entry(kept: Kept) -> Entry {
    let header = v1::EntryHeader::decode(&kept.header[..]).unwrap_or_default();
    let payload_hash = kept.payload_hash.unwrap_or_else(|| {
        let salt = kept.salt[..].try_into().unwrap_or_default();
        payload_hash(&salt, &kept.payload)
    });
    let chain = chain_next(&kept.chain_before, &kept.header, &payload_hash);
    Entry { seq: kept.seq, header, payload: kept.payload.into(), chain }
}

/// Whose commit keeps this device out since this was told, if it says anything of that.
fn removed_by<'a>(event: &private::Event, people: &'a [Person]) -> Option<Option<&'a Person>> {
    match event {
        private::Event::Removed { .. } => Some(people.first()),
        // It is in anew; or the commit that removed it does not hold, and it has gone back to the state before.
        private::Event::Joined { .. } | private::Event::CommitRefused { .. } => Some(None),
        _ => None,
    }
}

/// MLS-044: whose commits it is to be told that a repair failed for.
fn left_behind(event: &private::Event, health: &Health) -> Option<(Owner, u32)> {
    match event {
        private::Event::RepairFailed { why: Repair::Behind, suspects, .. }
            if suspects.is_empty() =>
        {
            health.left_behind
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aside_proto::id::DeviceId;

    use super::*;
    use crate::private::{How, Reason};

    const BY: Owner = Owner { user: UserId::new([2; 16]), device: DeviceId::new([2; 16]) };

    // cites: MLS-036
    #[test]
    fn who_removed_this_device_by_what_does_not_hold_has_not_removed_it() {
        let by = Person { user: BY.user, handle: Some("bob".to_owned()) };
        let people = std::slice::from_ref(&by);
        let removed = private::Event::Removed { by: Some(BY) };
        assert_eq!(removed_by(&removed, people), Some(Some(&by)));
        let (reason, suspects) = (Reason::Invalid, Vec::new());
        let refused = private::Event::CommitRefused { seq: 7, by: BY, reason, suspects };
        assert_eq!(removed_by(&refused, people), Some(None));
        let joined = private::Event::Joined { how: How::Welcomed };
        assert_eq!(removed_by(&joined, people), Some(None));
        assert_eq!(removed_by(&private::Event::ForkFound { epoch: 3 }, people), None);
    }

    // cites: MLS-044
    #[test]
    fn who_leaves_this_device_behind_is_told_with_the_repair_that_failed() {
        let health = Health {
            at: None,
            epoch: None,
            suite: None,
            leaves: Vec::new(),
            is_tree_unproven: false,
            cut_off: BTreeSet::new(),
            members: Vec::new(),
            fork_check: None,
            forked_at: None,
            diverged: Vec::new(),
            last_repair: None,
            broken: None,
            left_behind: Some((BY, 3)),
            led_by: None,
            stranger: None,
            waiting: 0,
        };
        let failed = |why, suspects| {
            let reason = Reason::Invalid;
            left_behind(&private::Event::RepairFailed { why, reason, suspects }, &health)
        };
        assert_eq!(failed(Repair::Behind, Vec::new()), Some((BY, 3)));
        assert_eq!(failed(Repair::Behind, vec![BY]), None, "that is why");
        assert_eq!(failed(Repair::StateLost, Vec::new()), None);
        assert_eq!(left_behind(&private::Event::Read, &health), None);
    }
}
