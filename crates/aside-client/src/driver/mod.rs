//! The task behind a [`Client`](crate::Client): one connection after another, and what is carried between them.

mod approvals;
mod calls;
mod link;
mod login;
mod online;
mod outbox;
mod outlet;
mod people;
mod private;
mod sync;

use std::{ops::ControlFlow, sync::Arc};

use aside_crypto::{PinBreach, SigningKey};
use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    v1,
};
use aside_session::client::{DeviceKey, Draft, log::Place};
use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

pub(crate) use approvals::{Approvals, Heard};
pub(crate) use calls::Call;
pub(crate) use link::{Dialer, Link, unix_ms};
pub(crate) use login::{Authenticator, Established};

use self::{
    approvals::Approving, calls::Calls, outbox::Outbox, outlet::Outlet, people::People,
    private::Private, sync::Sync,
};
use crate::{
    Connection, Error, Event, LogIn, Outgoing, Receipt, State,
    backoff::Backoff,
    private::{Goal, Health, Suite},
    random,
    store::{Identity, Posting, Store},
};

/// A message to be sent.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) conversation: ConversationId,
    pub(crate) message_id: IdempotencyKey,
    pub(crate) payload: Bytes,
    pub(crate) receipt: oneshot::Sender<Result<Receipt, Error>>,
}

/// What a [`Client`](crate::Client) asks of its driver.
#[derive(Debug)]
pub(crate) enum Command {
    Call(Call),
    Send {
        message: Message,
        /// Told once it is kept, or will not be: its receipt says why.
        kept: oneshot::Sender<()>,
    },
    /// Says once more, as a new message, what will not be sent.
    Retry {
        failed: IdempotencyKey,
        message: Message,
        done: oneshot::Sender<Result<(), Error>>,
    },
    /// Takes a message out of the outbox.
    Discard {
        message_id: IdempotencyKey,
        done: oneshot::Sender<Result<(), Error>>,
    },
    ReadBack {
        conversation: ConversationId,
        until: Place,
        count: u32,
        done: oneshot::Sender<Result<(), Error>>,
    },
    /// Said on this connection, or not at all.
    Typing {
        conversation: ConversationId,
        typing: bool,
    },
    /// A device log was kept: it counts from now on.
    LogKnown {
        user: UserId,
    },
    /// Something is to be done in a private conversation.
    Want {
        conversation: ConversationId,
        goal: Goal,
        done: oneshot::Sender<Result<(), Error>>,
    },
    /// Comes into a private conversation anew, or goes on where this user leads.
    Rejoin {
        conversation: ConversationId,
        led_by: Option<UserId>,
        done: oneshot::Sender<Result<(), Error>>,
    },
    Health {
        conversation: ConversationId,
        done: oneshot::Sender<Result<Health, Error>>,
    },
    /// About devices that ask to be approved.
    Approvals(Approvals),
    /// The server gave a device log that is refused: the program is told.
    Refused {
        user: UserId,
        why: PinBreach,
    },
    MarkRead {
        conversation: ConversationId,
        seq: u64,
        done: oneshot::Sender<Result<(), Error>>,
    },
    CatchUp {
        conversation: ConversationId,
        done: oneshot::Sender<Result<(), Error>>,
    },
    Forget {
        conversation: ConversationId,
        done: oneshot::Sender<Result<(), Error>>,
    },
}

/// What there is to do for the program.
enum Input {
    Command(Command),
    /// It wants no more, and may want to know when all is done.
    Close(Option<oneshot::Sender<()>>),
    /// It has taken events: there is room for more.
    Room,
}

/// What a [`Client`](crate::Client) can see of its driver.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) identity: Identity,
    pub(crate) limits: v1::Limits,
    /// What is to be added to this machine's clock to get the server's.
    pub(crate) clock_offset_ms: i64,
    pub(crate) online: bool,
    /// Whether the capability `sync` is in force, or was on the last connection.
    pub(crate) in_force: bool,
    /// Whether the capability `private` is, or was.
    pub(crate) private: bool,
}

/// The state that outlives connections.
pub(crate) struct Driver {
    authenticator: Authenticator,
    store: Arc<Store>,
    device_key: SigningKey,
    status: watch::Sender<Status>,
    commands: mpsc::Receiver<Command>,
    /// Apart from the commands, so that it comes through however many of those wait.
    closes: mpsc::Receiver<oneshot::Sender<()>>,
    calls: Calls,
    outbox: Outbox,
    sync: Sync,
    people: People,
    private: Private,
    /// Of private conversations that this device begins.
    suite: Suite,
    approving: Approving,
    out: Outlet,
    backoff: Backoff,
    /// Whom to tell at the end.
    closing: Option<oneshot::Sender<()>>,
}

/// Why a connection is over, or an attempt to make one.
enum End {
    /// The program wants no more.
    Requested,
    /// To be tried again.
    Lost(Error),
}

/// What a driver is made from.
pub(crate) struct Parts {
    pub(crate) authenticator: Authenticator,
    pub(crate) identity: Identity,
    pub(crate) device_key: SigningKey,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) closes: mpsc::Receiver<oneshot::Sender<()>>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) suite: Suite,
    pub(crate) history: u32,
    pub(crate) replay: u32,
}

impl Driver {
    /// Takes up what is remembered.
    pub(crate) async fn new(parts: Parts) -> Result<(Self, watch::Receiver<Status>), Error> {
        let store = Arc::clone(&parts.authenticator.store);
        let mut out = Outlet::new(parts.events, Arc::clone(&store));
        let counts = (parts.history, parts.replay);
        let sync = Sync::restore(Arc::clone(&store), parts.identity.user, counts, &mut out).await?;
        let own = DeviceKey {
            device: parts.identity.device,
            user: parts.identity.user,
            public_key: parts.device_key.public_key(),
            revoked_ms: 0,
        };
        store.add_device_key(&own).await?;
        let outbox = restore_outbox(&store, &own, &mut out).await?;
        let is_token = matches!(parts.authenticator.log_in, LogIn::Token(_));
        let private = Private::restore(&store, &parts.identity, is_token).await?;
        let (status, receiver) = watch::channel(Status {
            identity: parts.identity,
            limits: aside_proto::limits::DEFAULT,
            clock_offset_ms: 0,
            online: false,
            in_force: false,
            private: false,
        });
        // Whoever knew the password need not be asked again; whoever registered has a device now.
        let log_in = match parts.authenticator.log_in {
            LogIn::Token(token) => LogIn::Token(token),
            _ => LogIn::Remembered,
        };
        let authenticator = Authenticator { log_in, ..parts.authenticator };
        let driver = Self {
            authenticator,
            store,
            device_key: parts.device_key,
            status,
            commands: parts.commands,
            closes: parts.closes,
            calls: Calls::default(),
            outbox,
            sync,
            people: People::default(),
            private,
            suite: parts.suite,
            approving: Approving::default(),
            out,
            backoff: Backoff::default(),
            closing: None,
        };
        Ok((driver, receiver))
    }

    /// Runs until the program wants no more, or there is no way on. `first`: a connection that stands already.
    pub(crate) async fn run(mut self, first: Option<Established>) {
        let outcome = self.connections(first).await;
        // Callers that still wait learn it by their channels' end.
        let Self { store, out, closing, calls, outbox, sync, status, .. } = self;
        drop((calls, outbox, sync, status));
        store.close().await;
        if let Some(done) = closing {
            // The caller of `close` may have given up.
            let _ = done.send(());
        }
        out.finish(outcome.err().map(Event::Ended)).await;
    }

    async fn connections(&mut self, mut next: Option<Established>) -> Result<(), Error> {
        loop {
            let end = match next.take() {
                Some(established) => self.online(established).await?,
                None => match self.authenticate().await? {
                    Ok(established) => self.online(*established).await?,
                    Err(end) => end,
                },
            };
            self.status.send_modify(|status| status.online = false);
            match end {
                End::Requested => return Ok(()),
                End::Lost(error) if !error.is_transient() => return Err(error),
                End::Lost(error) => {
                    if self.wait(&error).await?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Connects and logs in, and stays open to the program meanwhile.
    async fn authenticate(&mut self) -> Result<Result<Box<Established>, End>, Error> {
        let authenticator = self.authenticator.clone();
        let mut attempt = Box::pin(authenticator.establish());
        loop {
            self.out.pump().await?;
            tokio::select! {
                outcome = &mut attempt => {
                    return Ok(outcome.map(Box::new).map_err(End::Lost));
                }
                input = self.input() => {
                    if self.take(input).await?.is_break() {
                        return Ok(Err(End::Requested));
                    }
                }
            }
        }
    }

    /// Waits before the next attempt; `Break` if the program wants none.
    async fn wait(&mut self, error: &Error) -> Result<ControlFlow<()>, Error> {
        let random = u32::from_be_bytes(random::bytes());
        let wait = self.backoff.next(random, error.retry_after());
        tracing::info!(%error, ?wait, "offline");
        self.out.tell(Event::Connection(Connection::Offline {
            reason: error.to_string(),
            retry_in: wait,
        }));
        let until = Instant::now() + wait;
        loop {
            self.out.pump().await?;
            tokio::select! {
                () = sleep_until(until) => return Ok(ControlFlow::Continue(())),
                input = self.input() => {
                    if self.take(input).await?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
    }

    /// Waits for the program. May be dropped at any time: what it gives is handled by [`take`](Self::take), which may not.
    async fn input(&mut self) -> Input {
        tokio::select! {
            done = self.closes.recv() => Input::Close(done),
            command = self.commands.recv(), if self.calls.has_room() => {
                command.map_or(Input::Close(None), Input::Command)
            }
            () = self.out.ready(), if self.out.is_waiting() => Input::Room,
        }
    }

    /// Takes what the program wants; `Break` if it wants no more.
    async fn take(&mut self, input: Input) -> Result<ControlFlow<()>, Error> {
        match input {
            Input::Room => {}
            Input::Close(done) => {
                self.closing = done;
                // What was queued before is kept, to be sent by the next run.
                while let Ok(command) = self.commands.try_recv() {
                    match command {
                        Command::Send { message, kept } => self.queue(message, kept).await?,
                        Command::Retry { failed, message, done } => {
                            drop(done.send(self.retry(failed, message).await?));
                        }
                        Command::Discard { message_id, done } => {
                            drop(done.send(self.discard(message_id).await?));
                        }
                        _ => {}
                    }
                }
                return Ok(ControlFlow::Break(()));
            }
            Input::Command(Command::Call(call)) => self.calls.push(call),
            Input::Command(Command::Send { message, kept }) => self.queue(message, kept).await?,
            Input::Command(Command::Retry { failed, message, done }) => {
                // The caller may have gone: it is said once more all the same.
                drop(done.send(self.retry(failed, message).await?));
            }
            Input::Command(Command::Discard { message_id, done }) => {
                drop(done.send(self.discard(message_id).await?));
            }
            Input::Command(Command::ReadBack { conversation, until, count, done }) => {
                self.sync.read_back(conversation, until, count, done);
            }
            Input::Command(Command::Typing { conversation, typing }) => {
                self.people.say(conversation, typing);
            }
            Input::Command(Command::Approvals(command)) => self.approving.command(command),
            Input::Command(Command::Refused { user, why }) => {
                let who = self.person(user).await?;
                self.out.tell(Event::DeviceLogRefused { who, why });
            }
            Input::Command(Command::LogKnown { user }) => self.log_known(user).await?,
            Input::Command(Command::Want { conversation, goal, done }) => {
                self.private_want(conversation, goal, done).await?;
            }
            Input::Command(Command::Rejoin { conversation, led_by, done }) => {
                drop(done.send(self.private_rejoin(conversation, led_by).await?));
            }
            Input::Command(Command::Health { conversation, done }) => {
                drop(done.send(self.private_health(conversation)));
            }
            Input::Command(Command::MarkRead { conversation, seq, done }) => {
                let marked = self.sync.mark_read(conversation, seq).await;
                // The caller may have gone: the mark stands all the same.
                drop(done.send(marked));
            }
            Input::Command(Command::CatchUp { conversation, done }) => {
                // Of what is private a copy of the state takes nothing in.
                match self.store.check_own() {
                    Err(_) if self.is_private(conversation).await? => {
                        drop(done.send(Err(self.not_followed())));
                    }
                    _ => self.sync.wait_for(conversation, done),
                }
            }
            Input::Command(Command::Forget { conversation, done }) => {
                self.private_forget(conversation);
                self.sync.forget(conversation, &mut self.out).await?;
                self.outbox.forget(conversation);
                drop(done.send(Ok(())));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Keeps a message until it is acknowledged, or says why not.
    async fn queue(&mut self, message: Message, kept: oneshot::Sender<()>) -> Result<(), Error> {
        if self.is_private(message.conversation).await? {
            self.private_queue(message).await?;
            // The caller may have gone: the message is sent all the same.
            let _ = kept.send(());
            return Ok(());
        }
        let Message { conversation, message_id, payload, receipt } = message;
        match self.compose(conversation, message_id, payload) {
            Ok(posting) if self.store.add_to_outbox(&posting).await? => {
                self.queued(posting, receipt);
            }
            Ok(_) => drop(receipt.send(Err(Error::OutboxFull))),
            Err(error) => drop(receipt.send(Err(error))),
        }
        // The caller may have gone: the message is sent all the same.
        let _ = kept.send(());
        Ok(())
    }

    /// Keeps a message in place of one that will not be sent, or says why not: then that one stays.
    async fn retry(
        &mut self,
        failed: IdempotencyKey,
        message: Message,
    ) -> Result<Result<(), Error>, Error> {
        if self.is_private(message.conversation).await? {
            return self.private_retry(failed, message).await;
        }
        let Message { conversation, message_id, payload, receipt } = message;
        let posting = match self.compose(conversation, message_id, payload) {
            Ok(posting) => posting,
            Err(error) => return Ok(Err(error)),
        };
        if !self.store.replace_failed(failed, &posting).await? {
            return Ok(Err(Error::NotInOutbox));
        }
        self.out.tell(Event::Discarded { message_id: failed, conversation });
        self.queued(posting, receipt);
        Ok(Ok(()))
    }

    fn queued(&mut self, posting: Posting, receipt: oneshot::Sender<Result<Receipt, Error>>) {
        self.sync.watch(posting.draft.conversation);
        self.out.tell(Event::Outgoing(Outgoing::new(&posting.draft, State::Queued, None)));
        self.outbox.push(posting, receipt);
    }

    /// Takes a message out of the outbox that will not be sent, or was not sent yet.
    async fn discard(&mut self, message_id: IdempotencyKey) -> Result<Result<(), Error>, Error> {
        if let Some(outcome) = self.private_discard(message_id).await? {
            return Ok(outcome);
        }
        let conversation = match self.outbox.withdraw(message_id) {
            Ok(Some(done)) => {
                self.store.remove_from_outbox(message_id).await?;
                if let Some(waiter) = done.waiter {
                    // Whoever waited may have gone.
                    let _ = waiter.send(Err(Error::Withdrawn));
                }
                done.posting.draft.conversation
            }
            Ok(None) => {
                let failed = self.store.failed(message_id).await?;
                match failed {
                    Some(draft) if self.store.discard_failed(message_id).await? => {
                        draft.conversation
                    }
                    _ => return Ok(Err(Error::NotInOutbox)),
                }
            }
            Err(error) => return Ok(Err(error)),
        };
        self.out.tell(Event::Discarded { message_id, conversation });
        Ok(Ok(()))
    }

    /// A message, signed and ready to be sent.
    fn compose(
        &self,
        conversation: ConversationId,
        message_id: IdempotencyKey,
        payload: Bytes,
    ) -> Result<Posting, Error> {
        let status = self.status.borrow();
        let limit = status.limits.max_payload_bytes as usize;
        if payload.len() > limit {
            return Err(Error::MessageTooLong { bytes: payload.len(), limit });
        }
        if self.sync.is_tampered(conversation) {
            return Err(Error::Tampered);
        }
        if !self.outbox.has_room() {
            return Err(Error::OutboxFull);
        }
        let draft = Draft::sign(
            (status.identity.user, status.identity.device),
            &self.device_key,
            (conversation, message_id),
            random::bytes(),
            payload,
        );
        // The connection that stands may carry it before the next run knows.
        Ok(Posting { draft, after: self.sync.known_to(conversation), carried: status.online })
    }
}

/// What an earlier run left to be sent. Messages signed by the device that this one took the place of, which was revoked, are
/// not: the server would not know them as retries, so one that had arrived would be there twice. The program is told.
async fn restore_outbox(store: &Store, own: &DeviceKey, out: &mut Outlet) -> Result<Outbox, Error> {
    let (own, foreign) = store
        .outbox()
        .await?
        .into_iter()
        .partition::<Vec<_>, _>(|posting| posting.draft.is_signed_by(own));
    for Posting { draft, .. } in foreign {
        let error = Error::DeviceReplaced;
        let (reason, remedy) = (error.to_string(), error.remedy());
        store.fail_in_outbox(draft.message_id, &reason, remedy.as_deref()).await?;
        let (message_id, conversation) = (draft.message_id, draft.conversation);
        out.tell(Event::MessageFailed { message_id, conversation, error });
    }
    Ok(Outbox::restore(own))
}

impl Status {
    /// The server's clock, as well as it is known; keys are made by it, since this machine's may be far off (IDEM-003).
    pub(crate) fn server_unix_ms(&self) -> u64 {
        unix_ms().saturating_add_signed(self.clock_offset_ms)
    }
}
