//! While a connection stands.

use std::{collections::BTreeMap, time::Duration};

use aside_proto::{
    PRIVATE, SYNC,
    id::{IdempotencyKey, UserId},
    v1::{self, client_frame, server_frame::Body},
};
use aside_session::client::{self as session, CloseReason, RequestId};
use tokio::time::{Instant, sleep_until};

use super::{
    Call, Driver, End, Established, Heard, Link,
    outbox::Done,
    private,
    sync::{Asked, Departure},
    unix_ms,
};
use crate::{Connection, Error, Event, Outgoing, Person, Receipt, Room, State, paths};

/// A connection that stood for so long was a good one: the next attempt comes soon.
const STABLE: Duration = Duration::from_secs(10);

/// What a request in flight was for.
#[derive(Debug)]
enum Flight {
    Call(Call),
    Message(IdempotencyKey),
    Sync(Asked),
    People(Vec<UserId>),
    Private(private::Flight),
}

type Flights = BTreeMap<RequestId, Flight>;

impl Driver {
    /// Drives a connection to its end.
    pub(super) async fn online(&mut self, established: Established) -> Result<End, Error> {
        let began = Instant::now();
        self.store.note_carried().await?;
        let mut link = self.begin(established);
        self.private_online().await?;
        let mut flights = Flights::new();
        let outcome = self.exchange(&mut link, &mut flights).await;
        link.close().await;
        let calls = flights.into_values().filter_map(|flight| match flight {
            Flight::Call(call) => Some(call),
            Flight::Message(_) | Flight::Sync(_) | Flight::People(_) | Flight::Private(_) => None,
        });
        self.calls.requeue(calls.collect::<Vec<_>>().into_iter());
        // What came last is taken in.
        self.private_work().await?;
        self.outbox.disconnected();
        self.sync.disconnected();
        self.people.disconnected();
        self.private.disconnected();
        self.approving.tell(Heard::Offline);
        if began.elapsed() >= STABLE {
            self.backoff.reset();
        }
        self.sync.tell_all_moves(&mut self.out).await?;
        match outcome {
            // What the server broke, it may not break on the next connection.
            Err(error @ Error::Violation(_)) => Ok(End::Lost(error)),
            outcome => outcome,
        }
    }

    fn begin(&mut self, established: Established) -> Link {
        self.greeted(&established);
        self.approving.tell(Heard::Online);
        let handle = established.identity.handle;
        self.out.tell(Event::Connection(Connection::Online { handle }));
        established.link
    }

    /// A connection stands: what its server said holds from now on.
    pub(crate) fn greeted(&mut self, established: &Established) {
        let Established { greeting, identity, .. } = established;
        self.sync.online(greeting);
        self.people.online(greeting);
        self.status.send_modify(|status| {
            let server_ms = i64::try_from(greeting.server_time_ms).unwrap_or(i64::MAX);
            status.clock_offset_ms = server_ms.saturating_sub_unsigned(unix_ms());
            status.limits = greeting.limits;
            status.identity = identity.clone();
            status.online = true;
            let is_in_force = |name| greeting.capabilities.iter().any(|it| it == name);
            status.in_force = is_in_force(SYNC);
            status.private = is_in_force(PRIVATE);
        });
    }

    async fn exchange(&mut self, link: &mut Link, flights: &mut Flights) -> Result<End, Error> {
        loop {
            self.send_due(link, flights).await?;
            self.out.pump().await?;
            // With as much in flight as may be, the next reply wakes.
            let wake = self.wake_at().filter(|_| link.session.may_request());
            tokio::select! {
                event = link.next() => {
                    let mut batch = vec![event];
                    batch.extend(std::iter::from_fn(|| link.session.poll_event()));
                    if let Some(reason) = self.handle(batch, flights).await? {
                        return Ok(End::Lost(reason.into()));
                    }
                }
                input = self.input() => {
                    if self.take(input).await?.is_break() {
                        return Ok(End::Requested);
                    }
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let wakes = [
            self.calls.wake_at(),
            self.outbox.wake_at(),
            self.sync.wake_at(),
            self.people.wake_at(),
            self.private.wake_at(self.status.borrow().server_unix_ms()),
        ];
        wakes.into_iter().flatten().min()
    }

    /// Sends what is due, as far as the server works on so much at once.
    async fn send_due(&mut self, link: &mut Link, flights: &mut Flights) -> Result<(), Error> {
        let now = Instant::now();
        self.sync.tick(now);
        self.sync.tell_moves(now, &mut self.out).await?;
        self.private_work().await?;
        while link.session.may_request() {
            if let Some(call) = self.calls.poll(now) {
                match link.session.request(link.now(), call.effect, call.body.clone()) {
                    Ok(id) => drop(flights.insert(id, Flight::Call(call))),
                    Err(error) => self.calls.failed(call, error.into()),
                }
            } else if let Some(draft) = self.outbox.poll(now) {
                let message_id = draft.message_id;
                let body = client_frame::Body::SendMessage(draft.request());
                match link.session.request(link.now(), Some(message_id), body) {
                    Ok(id) => drop(flights.insert(id, Flight::Message(message_id))),
                    Err(error) => self.undeliverable(message_id, error.into()).await?,
                }
            } else if let Some((asked, body)) = self.sync.poll(now) {
                match link.session.request(link.now(), None, body) {
                    Ok(id) => drop(flights.insert(id, Flight::Sync(asked))),
                    Err(error) => return Err(error.into()),
                }
            } else if let Some((asked, key, body)) = self.private_poll() {
                match link.session.request(link.now(), key, body) {
                    Ok(id) => drop(flights.insert(id, Flight::Private(asked))),
                    Err(error) => return Err(error.into()),
                }
            } else if let Some((asked, body)) = self.people.poll(now) {
                match link.session.request(link.now(), None, body) {
                    Ok(id) => drop(flights.insert(id, Flight::People(asked))),
                    Err(error) => return Err(error.into()),
                }
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Handles what happened at once as one: its entries are kept in one transaction a conversation.
    async fn handle(
        &mut self,
        batch: Vec<session::Event>,
        flights: &mut Flights,
    ) -> Result<Option<CloseReason>, Error> {
        let mut end = None;
        for event in batch {
            match event {
                session::Event::Pushed(entry) => self.sync.pushed(&entry, &mut self.out).await?,
                session::Event::Gap { conversation, head_seq } => {
                    self.sync.gap(conversation, head_seq);
                    // Nothing else tells of what was left out with it (INBOX-007).
                    self.inbox_item(None);
                    self.people.missed();
                }
                session::Event::Live(live) => self.live(live).await?,
                session::Event::WatermarkMoved { conversation, watermark } => {
                    self.sync.moved(conversation, watermark, &mut self.out).await?;
                }
                session::Event::Invited { room, inviter, handle } => {
                    let by = Person { user: inviter, handle: Some(handle) };
                    self.out.tell(Event::Invited { room: Room::try_from(*room)?, by });
                }
                session::Event::Relayed { device, payload } => {
                    self.relayed(device, &payload).await?;
                }
                session::Event::DeviceLogChanged { user, .. } => {
                    self.device_log_changed(user);
                    if user == self.status.borrow().identity.user {
                        self.approving.tell(Heard::LogChanged);
                    }
                    let who = self.person(user).await?;
                    self.out.tell(Event::DeviceLogChanged { who });
                }
                session::Event::InboxItem { conversation } => self.inbox_item(Some(conversation)),
                session::Event::KeyPackagesLow { suite } => self.key_packages_low(suite),
                session::Event::ForkCheckMismatch { conversation, epoch, .. } => {
                    self.fork_found(conversation, epoch);
                }
                session::Event::Reply { id, result } => {
                    if let Some(flight) = flights.remove(&id) {
                        self.replied(flight, result).await?;
                    }
                }
                session::Event::Closed(reason) => end = Some(reason),
                session::Event::Greeted(_)
                | session::Event::Authenticated { .. }
                | session::Event::LoginRefused(_) => {}
            }
        }
        self.sync.flush(&mut self.out).await?;
        while let Some(conversation) = self.sync.poll_tampered() {
            for done in self.outbox.take_all(conversation) {
                self.message_failed(done, Error::Tampered).await?;
            }
        }
        if let Some(handle) = self.sync.poll_my_handle() {
            self.renamed(&handle).await?;
        }
        Ok(end)
    }

    async fn replied(
        &mut self,
        flight: Flight,
        result: Result<Body, v1::Error>,
    ) -> Result<(), Error> {
        let now = Instant::now();
        match (flight, result) {
            (Flight::Call(call), Ok(body)) => {
                self.note(&call.body, &body).await?;
                self.calls.answered(call, body);
            }
            (Flight::Call(call), Err(error)) => {
                self.note_refused(&call.body, &error).await?;
                if let Some(wait) = self.calls.refused(call, error, now) {
                    self.out.tell(Event::Throttled { wait });
                }
            }
            (Flight::Message(id), Ok(Body::Sent(sent))) => self.sent(id, &sent).await?,
            (Flight::Message(id), Ok(_)) => {
                unreachable!("the session lets only Sent answer SendMessage, here {id}")
            }
            (Flight::Message(id), Err(error)) => match self.outbox.put_off(id, &error, now) {
                Some(wait) => self.out.tell(Event::Throttled { wait }),
                None => self.undeliverable(id, error.into()).await?,
            },
            (Flight::Private(flight), result) => self.private_replied(flight, result).await?,
            (Flight::Sync(asked), Ok(body)) => self.synced(asked, body).await?,
            (Flight::People(asked), Ok(Body::Presences(presences))) => {
                self.found(&asked, &presences).await?;
            }
            (Flight::People(_), Ok(_)) => {}
            (Flight::People(asked), Err(error)) => self.people.refused(asked, &error, now),
            (Flight::Sync(asked), Err(error)) => {
                self.sync.refused(asked, error, now, &mut self.out).await?;
            }
        }
        Ok(())
    }

    async fn synced(&mut self, asked: Asked, body: Body) -> Result<(), Error> {
        let (sync, out) = (&mut self.sync, &mut self.out);
        match (asked, body) {
            (Asked::Rooms, Body::Rooms(rooms)) => sync.rooms(&rooms, out).await,
            (Asked::Summaries, Body::Summaries(summaries)) => sync.summaries(&summaries, out).await,
            (Asked::Mark(of), Body::Marked(marked)) => sync.marked(of, marked, out).await,
            (Asked::Watermarks(of), Body::Watermarks(page)) => {
                sync.watermarks(of, &page, out).await?;
                sync.watermarks_listed(of, Some(page.next_page_token));
                Ok(())
            }
            (Asked::Members(of), Body::Members(members)) => {
                self.private_members(of, &members)?;
                self.sync.members(of, members, &mut self.out).await
            }
            (Asked::Devices(asked), Body::DeviceKeys(keys)) => {
                sync.device_keys(&asked, &keys, out).await
            }
            (Asked::Fetch(of), Body::Fetched(fetched)) => sync.fetched(of, &fetched, out).await,
            (Asked::ReadBack(id), Body::Fetched(fetched)) => {
                sync.read_page(id, &fetched, out).await
            }
            (asked, _) => unreachable!("the session lets only its own reply answer {asked:?}"),
        }
    }

    /// What a refusal to the program means for what is kept: who wants to leave, and is out already, has left.
    async fn note_refused(
        &mut self,
        request: &client_frame::Body,
        error: &v1::Error,
    ) -> Result<(), Error> {
        let is_out =
            matches!(error.code(), v1::ErrorCode::NoSuchConversation | v1::ErrorCode::NotAMember);
        match request {
            client_frame::Body::Leave(leave) if is_out => {
                let conversation = leave.conversation_id[..].try_into()?;
                self.sync.unfollow(conversation, Departure::Left).await
            }
            _ => Ok(()),
        }
    }

    /// What a reply to the program means for what is kept.
    async fn note(&mut self, request: &client_frame::Body, reply: &Body) -> Result<(), Error> {
        match (request, reply) {
            (
                _,
                Body::Joined(v1::Joined { room: Some(room) })
                | Body::RoomCreated(v1::RoomCreated { room: Some(room) }),
            ) => self.sync.follow(room, None, &mut self.out).await,
            (
                _,
                Body::DirectOpened(v1::DirectOpened { conversation: Some(room) })
                | Body::GroupCreated(v1::GroupCreated { conversation: Some(room) }),
            ) => {
                self.private_opened(room);
                self.private_work().await
            }
            (client_frame::Body::Leave(leave), Body::Left(_)) => {
                let conversation = leave.conversation_id[..].try_into()?;
                self.sync.unfollow(conversation, Departure::Left).await
            }
            (client_frame::Body::ListWatermarks(list), Body::Watermarks(page)) => {
                let conversation = list.conversation_id[..].try_into()?;
                self.sync.watermarks(conversation, page, &mut self.out).await?;
                if page.next_page_token.is_empty() {
                    self.sync.watermarks_listed(conversation, None);
                }
                Ok(())
            }
            (_, Body::RoomUpdated(v1::RoomUpdated { room: Some(room) })) => {
                self.sync.settings(room, &mut self.out).await
            }
            (client_frame::Body::GetPresence(get), Body::Presences(presences)) => {
                let asked = get.user_ids.iter().map(|id| UserId::try_from(&id[..]));
                let asked = asked.collect::<Result<Vec<_>, _>>()?;
                // Its caller is told all of it.
                self.people.found(&asked, presences).map_err(session::Violation::from)?;
                Ok(())
            }
            (_, Body::Renamed(renamed)) => self.renamed(&renamed.handle).await,
            _ => Ok(()),
        }
    }

    async fn renamed(&mut self, handle: &str) -> Result<(), Error> {
        let mut identity = self.status.borrow().identity.clone();
        handle.clone_into(&mut identity.handle);
        self.store.set_identity(&identity).await?;
        if let Some(dir) = self.store.dir() {
            let noted = paths::note_handle(dir, handle);
            noted.map_err(|source| crate::StateError::Io { path: dir.to_owned(), source })?;
        }
        self.status.send_modify(|status| status.identity = identity);
        Ok(())
    }

    /// A message is durable.
    async fn sent(&mut self, message_id: IdempotencyKey, sent: &v1::Sent) -> Result<(), Error> {
        let Some(done) = self.outbox.take(message_id) else { return Ok(()) };
        if let Err(differs) = done.posting.draft.check(sent) {
            return self.message_failed(done, differs.into()).await;
        }
        if !self.sync.sent(&done.posting, sent.seq, &mut self.out).await? {
            return self.message_failed(done, Error::Tampered).await;
        }
        let receipt = Receipt { message_id, seq: sent.seq, time_ms: sent.time_ms };
        self.out.tell(Event::Outgoing(Outgoing::new(
            &done.posting.draft,
            State::Sent,
            Some(sent.seq),
        )));
        if let Some(waiter) = done.waiter {
            // The caller may have gone: the message is sent all the same.
            let _ = waiter.send(Ok(receipt));
        }
        Ok(())
    }

    async fn undeliverable(
        &mut self,
        message_id: IdempotencyKey,
        error: Error,
    ) -> Result<(), Error> {
        match self.outbox.take(message_id) {
            Some(done) => self.message_failed(done, error).await,
            None => Ok(()),
        }
    }

    /// A message will not be sent: whoever waits for it is told, or else the program.
    async fn message_failed(&mut self, done: Done, error: Error) -> Result<(), Error> {
        let draft = &done.posting.draft;
        let (message_id, conversation) = (draft.message_id, draft.conversation);
        let (reason, remedy) = (error.to_string(), error.remedy());
        self.store.fail_in_outbox(message_id, &reason, remedy.as_deref()).await?;
        self.out.tell(Event::Outgoing(Outgoing::new(draft, State::failed(&error), None)));
        let unheard = match done.waiter {
            Some(waiter) => waiter.send(Err(error)).err().and_then(Result::err),
            None => Some(error),
        };
        if let Some(error) = unheard {
            self.out.tell(Event::MessageFailed { message_id, conversation, error });
        }
        Ok(())
    }
}
