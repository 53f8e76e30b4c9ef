//! The handle that programs hold.

mod approval;
mod devices;
mod identity;
mod presence;
mod private;
mod reading;
mod redaction;
mod rooms;
mod saying;
mod search;
mod tokens;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use aside_crypto::Hash;
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey},
    name::Name,
    request,
    v1::{self, client_frame, server_frame::Body},
};
use aside_session::client::{RequestError, Writing, log::Place};
use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use zeroize::Zeroizing;

use crate::{
    Device, Entry, Error, Event, Identity, LogIn, Member, Options, Receipt, Room, StateError,
    Trust, default_data_dir,
    driver::{Authenticator, Call, Command, Dialer, Driver, Parts, Status},
    kept::MAX_HISTORY,
    paths, random,
    store::{Account, Store},
    view,
};

pub use approval::{ApprovalRequest, Comparison};
pub use devices::{LogChange, LogEntry};
pub use identity::{Safety, new_recovery_phrase};
pub use search::Found;
pub use tokens::{IssuedToken, Token};

/// Commands that may be on their way to the driver.
const COMMANDS: usize = 64;
/// Events that may wait in the channel; more wait in the store.
const EVENTS: usize = 256;

/// A client of one account, on one device. Cheap to clone; when the last clone is dropped the connection is closed.
///
/// Requests that are made while the connection is down wait for the next one. A request that was sent and lost its reply is sent
/// again, with the same idempotency key, so that it takes effect once. Whoever does not want to wait any more drops the future.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    closes: mpsc::Sender<oneshot::Sender<()>>,
    status: watch::Receiver<Status>,
    store: Arc<Store>,
    /// The server's name, as it was dialled and verified.
    server: Arc<str>,
    /// Where the user writes, as others were told.
    writing: Arc<Mutex<Writing>>,
    /// What its times count from.
    began: Instant,
}

/// What happens, in order. Reading it slowly, or not at all, loses no entry and holds up no request.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

/// A message on its way. Dropping it does not recall the message.
#[derive(Debug)]
pub struct Queued {
    message_id: IdempotencyKey,
    outcome: oneshot::Receiver<Result<Receipt, Error>>,
}

impl Queued {
    /// The message's id: that of its entry, once it is one.
    #[must_use]
    pub fn message_id(&self) -> IdempotencyKey {
        self.message_id
    }

    /// Waits until the server has made the message durable.
    ///
    /// # Errors
    /// [`Error::MessageTooLong`], [`Error::OutboxFull`], [`Error::Tampered`]: it was not kept. [`Error::Refused`]: it will not
    /// be sent. [`Error::PayloadDiffers`]: the server has another text (MSG-009).
    pub async fn receipt(self) -> Result<Receipt, Error> {
        self.outcome.await.map_err(|_| Error::Gone)?
    }
}

impl Events {
    /// The next event; `None` once the client has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// The next event, if there is one already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}

impl Client {
    /// Connects, logs in, and keeps connected from then on.
    ///
    /// # Errors
    /// [`Error::HandleChanged`] if the account that is kept here has another handle by now, and nothing says that another is
    /// meant; [`Error::PasswordNeeded`] if the device's key is not enough and `options.log_in` gives no password;
    /// [`Error::Tls`] if the server can't be reached or is not the one meant (TLS-006); [`Error::Refused`] if it refuses the
    /// log-in; [`Error::OtherAccount`] if a token is not of the account that the address names; [`Error::State`] if the local state can't be used.
    pub async fn connect(options: Options) -> Result<(Self, Events), Error> {
        let store = Arc::new(open_store(&options).await?);
        if let LogIn::Token(token) = &options.log_in {
            store.adopt_device_key(&token.key).await?;
        }
        let account = store.account().await?;
        let authenticator = authenticator(&options, &account, &store)?;
        let first = match authenticator.establish().await {
            Ok(established) => {
                check_account(&options, &established.identity.handle)?;
                Ok(established)
            }
            Err(error) => match account.identity {
                Some(identity) if options.offline && error.is_transient() => {
                    Err((identity, account.device_key))
                }
                _ => return Err(error),
            },
        };
        if first.is_ok() && options.trust.is_some() {
            store.set_certificate(pin(&authenticator.dialer.trust)).await?;
        }
        let (identity, device_key) = match &first {
            Ok(established) => (established.identity.clone(), established.device_key.clone()),
            Err(known) => known.clone(),
        };
        let (commands, commands_out) = mpsc::channel(COMMANDS);
        let (closes, closes_out) = mpsc::channel(1);
        let (events, events_out) = mpsc::channel(EVENTS);
        let parts = Parts {
            authenticator,
            identity,
            device_key,
            commands: commands_out,
            closes: closes_out,
            events,
            suite: options.suite,
            history: options.history,
            replay: options.replay,
        };
        let (mut driver, status) = Driver::new(parts).await?;
        if let Ok(established) = &first {
            driver.greeted(established);
        }
        tokio::spawn(driver.run(first.ok()));
        let (server, writing, began) =
            (options.address.host.into(), Arc::default(), Instant::now());
        Ok((Self { commands, closes, status, store, server, writing, began }, Events(events_out)))
    }

    /// Who this is, as last heard.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.status.borrow().identity.clone()
    }

    /// What the server accepts.
    #[must_use]
    pub fn limits(&self) -> v1::Limits {
        self.status.borrow().limits
    }

    /// Whether a connection stands.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.status.borrow().online
    }

    /// Closes the connection and the state. Messages that were not acknowledged are sent by the next run.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.closes.send(done).await.is_ok() {
            // An error means that it was closed already.
            let _ = closed.await;
        }
    }

    /// The rooms of the server, or only those the user is a member of, in order of id; with what is unread, where the server
    /// counts that.
    ///
    /// # Errors
    /// As every request: [`Error::Refused`], [`Error::Gone`].
    pub async fn rooms(&self, joined_only: bool) -> Result<Vec<Room>, Error> {
        let mine = match self.has_watermarks() {
            true => self.summed_up().await?,
            false => Vec::new(),
        };
        if joined_only && self.has_watermarks() {
            return Ok(mine);
        }
        let unread = |mine: &[Room], room| {
            mine.iter().find(|it| it.conversation == room).and_then(|it| it.unread)
        };
        let mut rooms = Vec::new();
        let mut page_token = Bytes::new();
        loop {
            let list = v1::ListRooms { joined_only, page_token, ..Default::default() };
            let Body::Rooms(page) = self.call(client_frame::Body::ListRooms(list)).await? else {
                return Err(Error::Gone);
            };
            for room in page.rooms {
                let mut room = Room::try_from(room)?;
                room.unread = unread(&mine, room.conversation);
                rooms.push(room);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        // PRIV-006: those the server lists here are public.
        rooms.extend(mine.into_iter().filter(|room| room.kind.is_private()));
        Ok(rooms)
    }

    /// The public room of this name, in any spelling that means the same; none of no name.
    ///
    /// # Errors
    /// As [`rooms`](Self::rooms).
    pub async fn room(&self, name: &str) -> Result<Option<Room>, Error> {
        // To the server no name stands for all rooms.
        if name.is_empty() {
            return Ok(None);
        }
        let list = v1::ListRooms { name: name.to_owned(), ..Default::default() };
        match self.call(client_frame::Body::ListRooms(list)).await? {
            Body::Rooms(mut page) if !page.rooms.is_empty() => {
                Ok(Some(page.rooms.swap_remove(0).try_into()?))
            }
            _ => Ok(None),
        }
    }

    /// The rooms that are followed, without asking the server.
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn followed(&self) -> Result<Vec<(ConversationId, String)>, Error> {
        let known = self.store.conversations().await?;
        let joined = known.into_iter().filter(|known| known.joined);
        Ok(joined.map(|known| (known.conversation, known.name)).collect())
    }

    /// Makes a public room and joins it as its owner.
    ///
    /// # Errors
    /// ROOM_NAME_TAKEN and ROOM_NAME_INVALID among others.
    pub async fn create_room(&self, name: &str) -> Result<Room, Error> {
        let create = v1::CreateRoom { name: name.to_owned() };
        match self.call(client_frame::Body::CreateRoom(create)).await? {
            Body::RoomCreated(v1::RoomCreated { room: Some(room) }) => Ok(room.try_into()?),
            _ => Err(Error::Gone),
        }
    }

    /// Joins a room. Whether the server can read it is in [`Room::server_readable`]: to be shown before (ROOM-001).
    ///
    /// # Errors
    /// NO_SUCH_CONVERSATION and TOO_MANY_ROOMS among others.
    pub async fn join(&self, conversation: ConversationId) -> Result<Room, Error> {
        let join = v1::Join { conversation_id: conversation.to_bytes() };
        match self.call(client_frame::Body::Join(join)).await? {
            Body::Joined(v1::Joined { room: Some(room) }) => Ok(room.try_into()?),
            _ => Err(Error::Gone),
        }
    }

    /// Leaves a room. What was kept of it stays readable.
    ///
    /// # Errors
    /// NO_SUCH_CONVERSATION among others.
    pub async fn leave(&self, conversation: ConversationId) -> Result<(), Error> {
        let leave = v1::Leave { conversation_id: conversation.to_bytes() };
        self.call(client_frame::Body::Leave(leave)).await.map(drop)
    }

    /// The members of a room, or only those who are online, in order of id.
    ///
    /// # Errors
    /// NOT_A_MEMBER among others.
    pub async fn members(
        &self,
        conversation: ConversationId,
        online_only: bool,
    ) -> Result<Vec<Member>, Error> {
        let mut members = Vec::new();
        let mut page_token = Bytes::new();
        loop {
            let list = v1::ListMembers {
                conversation_id: conversation.to_bytes(),
                online_only,
                page_token,
                page_size: 0,
            };
            let Body::Members(page) = self.call(client_frame::Body::ListMembers(list)).await?
            else {
                return Err(Error::Gone);
            };
            for member in page.members {
                members.push(member.try_into()?);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(members);
            }
        }
    }

    /// Entries before `before_seq`, or the last ones, oldest first, at most `count`: from what is kept, and from the server
    /// where that is not enough. Those at the end that are still to be judged are left out: events tell them once they were. What
    /// comes from the server must lead, by the chain, to what is kept (LOG-011).
    ///
    /// # Errors
    /// [`Error::NotFollowed`], [`Error::Tampered`], [`Error::Refused`].
    pub async fn history(
        &self,
        conversation: ConversationId,
        before_seq: Option<u64>,
        count: u32,
    ) -> Result<Vec<Entry>, Error> {
        let wanted = count.min(MAX_HISTORY);
        let known = self.store.conversation(conversation).await?.ok_or(Error::NotFollowed)?;
        let before = before_seq.unwrap_or(u64::MAX);
        let mut kept = self.store.settled_before(conversation, before, wanted).await?;
        let missing = wanted - u32::try_from(kept.len()).unwrap_or(wanted);
        let first = self.store.entries_from(conversation, 0, 1).await?.into_iter().next();
        let oldest = first.map(|first| (first.seq, first.chain_before));
        let cursor = known.cursor.map(|cursor| (cursor.place.seq + 1, cursor.place.chain));
        if let Some(until) = oldest.or(cursor).and_then(place_before).filter(|_| missing > 0) {
            // As far back as what was asked for lies before what is kept.
            let gap = (until.seq + 1).saturating_sub(before.min(until.seq + 1));
            let count = missing.saturating_add(u32::try_from(gap).unwrap_or(MAX_HISTORY));
            let (done, read) = oneshot::channel();
            self.command(Command::ReadBack { conversation, until, count, done }).await?;
            read.await.map_err(|_| Error::Gone)??;
            kept = self.store.settled_before(conversation, before, wanted).await?;
        }
        Ok(view::entries(&self.store, &known.name, kept).await?)
    }

    /// The first entry that the server still keeps, as far as its signed heads and refusals have told: 1 if nothing was removed.
    /// There is no history before it but what this client has kept itself (RET-012).
    ///
    /// # Errors
    /// [`Error::NotFollowed`], [`Error::State`].
    pub async fn first_kept(&self, conversation: ConversationId) -> Result<u64, Error> {
        let known = self.store.conversation(conversation).await?.ok_or(Error::NotFollowed)?;
        let anchor = known.cursor.and_then(|cursor| cursor.anchor);
        Ok(anchor.map_or(1, |anchor| anchor.seq + 1))
    }

    /// Waits until all that the server has of a conversation by now was taken in, and a signed head vouches for it.
    ///
    /// # Errors
    /// [`Error::NotFollowed`], [`Error::Tampered`].
    pub async fn catch_up(&self, conversation: ConversationId) -> Result<(), Error> {
        let (done, caught_up) = oneshot::channel();
        self.command(Command::CatchUp { conversation, done }).await?;
        caught_up.await.map_err(|_| Error::Gone)?
    }

    /// Forgets what is kept of a conversation, what was found wrong with it included, and takes it up anew. For a user who knows
    /// why the log changed: a server restored from a backup, say.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub async fn forget(&self, conversation: ConversationId) -> Result<(), Error> {
        let (done, forgotten) = oneshot::channel();
        self.command(Command::Forget { conversation, done }).await?;
        forgotten.await.map_err(|_| Error::Gone)?
    }

    /// Changes the handle; gives the one the server made of it.
    ///
    /// # Errors
    /// HANDLE_TAKEN, HANDLE_INVALID and RENAME_TOO_SOON among others.
    pub async fn rename(&self, handle: &str, on_conflict: v1::OnConflict) -> Result<String, Error> {
        let rename = v1::Rename { handle: handle.to_owned(), on_conflict: on_conflict.into() };
        match self.call(client_frame::Body::Rename(rename)).await? {
            Body::Renamed(renamed) => Ok(renamed.handle),
            _ => Err(Error::Gone),
        }
    }

    /// Changes the password, and revokes every other device; gives their number.
    ///
    /// # Errors
    /// AUTHENTICATION_FAILED for a wrong old password, PASSWORD_INVALID for the new one, among others.
    pub async fn change_password(
        &self,
        old: &Zeroizing<String>,
        new: &Zeroizing<String>,
    ) -> Result<u32, Error> {
        let change = v1::ChangePassword {
            old_password: old.as_str().to_owned(),
            new_password: new.as_str().to_owned(),
        };
        match self.call(client_frame::Body::ChangePassword(change)).await? {
            Body::PasswordChanged(changed) => Ok(changed.revoked_devices),
            _ => Err(Error::Gone),
        }
    }

    /// The account's devices, in order of creation; tokens are not among them ([`tokens`](Self::tokens)).
    ///
    /// # Errors
    /// As every request.
    pub async fn devices(&self) -> Result<Vec<Device>, Error> {
        match self.call(client_frame::Body::ListDevices(v1::ListDevices {})).await? {
            Body::Devices(devices) => devices
                .devices
                .into_iter()
                .filter(|device| !device.token)
                .map(|device| device.try_into().map_err(Error::from))
                .collect(),
            _ => Err(Error::Gone),
        }
    }

    /// Revokes a device: it can never log in again. Revoking this one ends the client. If both this device and the other are in the
    /// user's device log, an entry there says so to everybody; what the other has approved so far stays (DLOG-008, DEVLOG-005).
    ///
    /// # Errors
    /// NO_SUCH_DEVICE among others.
    pub async fn revoke_device(&self, device: DeviceId) -> Result<(), Error> {
        if self.signs_for(device).await? {
            match self.revoke_in_log(device).await {
                // The log takes no more of devices (DLOG-019).
                Err(Error::LogEntry(_)) => {}
                done => return done,
            }
        }
        let revoke = v1::RevokeDevice { device_id: device.to_bytes() };
        self.call(client_frame::Body::RevokeDevice(revoke)).await.map(drop)
    }

    /// Makes any request, as the library's own methods do: with a fresh idempotency key if it is mutating, and sent until it
    /// has a reply. For what has no method of its own.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Gone`], and [`Error::Request`] for one that is not allowed after log-in.
    pub async fn call(&self, body: client_frame::Body) -> Result<Body, Error> {
        let info = request::info(&body);
        if !info.phases.contains(&request::Phase::Authenticated) {
            return Err(RequestError::Phase.into());
        }
        let effect = info.mutating.then(|| self.idempotency_key());
        self.call_under(effect, body).await
    }

    /// As [`call`](Self::call), of a mutating request, under a key of the caller's: for what names its own (DS-010).
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn call_keyed(
        &self,
        key: IdempotencyKey,
        body: client_frame::Body,
    ) -> Result<Body, Error> {
        let info = request::info(&body);
        if !(info.mutating && info.phases.contains(&request::Phase::Authenticated)) {
            return Err(RequestError::Phase.into());
        }
        self.call_under(Some(key), body).await
    }

    /// A fresh one, of the server's time.
    #[must_use]
    pub fn idempotency_key(&self) -> IdempotencyKey {
        random::idempotency_key(self.status.borrow().server_unix_ms())
    }

    async fn call_under(
        &self,
        effect: Option<IdempotencyKey>,
        body: client_frame::Body,
    ) -> Result<Body, Error> {
        let (reply, replied) = oneshot::channel();
        self.command(Command::Call(Call::new(effect, body, reply))).await?;
        replied.await.map_err(|_| Error::Gone)?
    }

    async fn command(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| Error::Gone)
    }
}

/// A token says whose it is: whoever names an account beside it means that one.
fn check_account(options: &Options, of: &str) -> Result<(), Error> {
    let (LogIn::Token(_), Some(named)) = (&options.log_in, &options.address.handle) else {
        return Ok(());
    };
    match Name::new(named, usize::MAX) {
        Ok(name) if name.as_str() == of => Ok(()),
        _ => Err(Error::OtherAccount { named: named.clone(), of: of.to_owned() }),
    }
}

/// The place before an entry, unless it is the first.
fn place_before((seq, chain_before): (u64, Hash)) -> Option<Place> {
    (seq > 1).then(|| Place { seq: seq - 1, chain: chain_before })
}

/// Where the state of the account is kept, or would be.
pub(crate) fn state_dir(options: &Options) -> Result<PathBuf, Error> {
    let data_dir = options.data_dir.clone().or_else(default_data_dir).ok_or(Error::NoDataDir)?;
    let dir = match (&options.log_in, options.address.handle.as_deref()) {
        (LogIn::Token(token), _) => paths::token_dir(&data_dir, &options.address, token.id()),
        (_, None) => return Err(Error::HandleMissing),
        (log_in, Some(handle)) => {
            let dir = paths::account_dir(&data_dir, &options.address, handle);
            let dir = dir.map_err(|source| StateError::Io { path: data_dir.clone(), source })?;
            if matches!(log_in, LogIn::Remembered)
                && !Store::is_in(&dir)
                && let Some(now) = paths::now_called(&data_dir, &options.address, handle)
            {
                return Err(Error::HandleChanged { from: handle.to_owned(), now });
            }
            dir
        }
    };
    Ok(dir)
}

async fn open_store(options: &Options) -> Result<Store, Error> {
    let dir = state_dir(options)?;
    let store = match options.shared {
        true => Store::open_shared(&dir, &options.unlock).await?,
        false => Store::open(&dir, &options.unlock).await?,
    };
    Ok(store)
}

fn authenticator(
    options: &Options,
    account: &Account,
    store: &Arc<Store>,
) -> Result<Authenticator, Error> {
    let pinned = account.certificate.map(Trust::Fingerprint);
    let trust = options.trust.clone().or(pinned).unwrap_or(Trust::System);
    Ok(Authenticator {
        dialer: Dialer {
            address: options.address.clone(),
            trust,
            binding: options.binding,
            user_agent: options.user_agent.clone(),
        },
        store: Arc::clone(store),
        // A token needs none: it says whose it is.
        handle: options.address.handle.clone().unwrap_or_default(),
        device_name: options.device_name.clone(),
        log_in: options.log_in.clone(),
    })
}

/// What is to be remembered as the user's pin.
fn pin(trust: &Trust) -> Option<crate::Fingerprint> {
    match trust {
        Trust::Fingerprint(fingerprint) => Some(*fingerprint),
        Trust::System | Trust::CaFile(_) => None,
    }
}
