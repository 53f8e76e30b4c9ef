//! The store's handle: opening, and everything that can be asked of it; of private conversations in `private`.

mod private;

use std::{future::Future, sync::Arc, time::Duration};

use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    name::Name,
    v1,
};
use sqlx::Connection as _;
use tokio::{sync::Mutex, task::JoinHandle};

use crate::{
    accounts,
    db::{BEGIN_WRITE, Connection, Database, Pool},
    effect::Observer,
    error::{Refused, Stop, StoreError},
    journal::{Attach, Journal, Prune, Reply, Surroundings, Touch},
    logs, pins,
    request::{
        Append, BindDevice, ChangePassword, CreateRoom, DeviceRecord, HeadState, Invite,
        IssueToken, Join, Leave, ListPins, ListRooms, ListSummaries, ListWatermarks, LogKeys,
        LoggedIn, Mark, MembersPage, PublicKeyBytes, Reader, Redact, Register, Rename,
        RevokeDevice, RevokeToken, Search, SetLogKey, SetPin, SetPresence, TokenRecord, UpdateRoom,
    },
    retention, rooms, search, summaries, tokens,
    write::{Context, Index, Of, Part, Trim},
};

/// Tells the time, milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;
/// Fills a slice with random bytes.
pub type Entropy = Arc<dyn Fn(&mut [u8]) + Send + Sync>;
/// Told that a user is about to make so many others members of a private conversation; says no by how long to wait, in
/// milliseconds, at least 1 (PRIV-020).
pub type Newcomers = Arc<dyn Fn(UserId, u32) -> Result<(), u64> + Send + Sync>;

/// Parts that one search, or one call of [`Store::index`], takes into the index at the most (with the entries of a part, some
/// sixteen thousand, of however many logs), and that one call of [`Store::trim`] takes away.
const MAX_PARTS: usize = 64;
/// How long a search may take, once all is indexed (SEARCH-018). Most take a thousandth of it.
const SEARCH_TIME: Duration = Duration::from_millis(500);

/// What a store needs to know and to be given.
#[derive(Clone)]
pub struct Options {
    /// Those that the store enforces: devices and rooms for each user, the rename cool-down, the characters of a name
    /// and the idempotency window.
    pub limits: v1::Limits,
    /// The server's clock. It may be set back: no log's times do (LOG-004).
    pub clock: Clock,
    /// A cryptographic random source (LOG-007).
    pub entropy: Entropy,
    /// The server's own limits to what is kept of each log (RET-001).
    pub retention: v1::Retention,
    /// The name of the room that is made when the database is (ROOM-004). A later change of it changes nothing.
    pub default_room: Name,
    /// Asked before somebody is made a member by another.
    pub newcomers: Newcomers,
    /// Told of every change.
    pub observer: Arc<dyn Observer>,
}

/// The server's database. Clones are the same store.
///
/// Methods that write put the request into the journal at once, when they are called: requests take effect in the
/// order of the calls (REQ-007), whether, when and in what order the answers are waited for.
/// Dropping the last clone closes the store: what it accepted is still written while the runtime lives; call
/// [`Store::close`] to wait for that.
#[derive(Clone)]
pub struct Store {
    journal: Arc<Journal>,
    readers: Pool,
    searchers: Pool,
    surroundings: Arc<Surroundings>,
    writer: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Store {
    /// Opens the database that a URL names, such as `sqlite:///var/lib/aside/aside.db`: makes the file if it is not
    /// there (its folder must be), brings its schema up to date, makes the default room, and starts the journal on
    /// the current tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another server has it open, [`StoreError::NewerSchema`] if a newer release has
    /// migrated it, or what the system or the database said.
    pub async fn open(url: &str, options: Options) -> Result<Self, StoreError> {
        let database = Database::open(url).await?;
        let (readers, searchers) = (database.readers(), database.searchers());
        let mut connection = database.writer().await.map_err(StoreError::database)?;
        let Options { limits, retention, clock, entropy, default_room, newcomers, observer } =
            options;
        let surroundings = Arc::new(Surroundings { limits, retention, clock, entropy, newcomers });
        prepare(&mut connection, &surroundings, &default_room)
            .await
            .map_err(StoreError::database)?;
        let (journal, writer) =
            Journal::start(database, connection, Arc::clone(&surroundings), observer);
        let (journal, writer) = (Arc::new(journal), Arc::new(Mutex::new(Some(writer))));
        Ok(Self { journal, readers, searchers, surroundings, writer })
    }

    /// Writes what was accepted, then closes the database and gives its lock back. Later requests are refused with
    /// [`StoreError::Closed`].
    pub async fn close(&self) {
        // The writer goes last: only it can bring the write-ahead log into the database file, which is then all there is.
        self.readers.close().await;
        self.searchers.close().await;
        self.journal.close();
        if let Some(writer) = self.writer.lock().await.take()
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the journal ended early");
        }
    }

    /// Resolves when the writer has ended, by a panic, before [`close`](Self::close) was called: nothing can be written
    /// any more, and only a new start helps. Never resolves otherwise. Does not keep the store open.
    pub fn failed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.journal.failed()
    }

    /// Whether [`ready`](Self::ready) would return at once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.journal.is_ready()
    }

    /// Waits until less than a batch is waiting to be written. Who waits for this before each write never makes the
    /// journal grow beyond its bound, and never gets [`Refused::Busy`].
    pub async fn ready(&self) {
        self.journal.ready().await;
    }
}

/// Writes. Each answers [`Refused::Failed`] if the database failed, and [`Refused::DeviceRevoked`] if the device that asks
/// is not, or no longer, an active one of its account.
impl Store {
    /// Appends a message (MSG-001 to MSG-004). Refuses with [`Refused::KeyReused`], [`Refused::NoSuchConversation`],
    /// [`Refused::NotAMember`].
    pub fn append(&self, append: Append) -> Reply<v1::Sent> {
        self.journal.put(append)
    }

    /// Makes an account with its first device (AUTH-011 to AUTH-015). Refuses with [`Refused::HandleTaken`],
    /// [`Refused::PublicKeyBound`], [`Refused::KeyReused`].
    pub fn register(&self, register: Register) -> Reply<LoggedIn> {
        self.journal.put(register)
    }

    /// Finds or binds the device of a public key, for a user whose password was verified (AUTH-015, AUTH-023,
    /// AUTH-024, AUTH-033). Refuses with [`Refused::PasswordChanged`], [`Refused::PublicKeyBound`],
    /// [`Refused::TooManyDevices`].
    pub fn bind_device(&self, bind: BindDevice) -> Reply<DeviceId> {
        self.journal.put(bind)
    }

    /// Begins a connection of a device that has logged in; answers the account's handle. The observer gets
    /// [`Effect::Attached`](crate::Effect::Attached) with this attachment number, in order with all that is appended.
    pub fn attach(&self, user: UserId, device: DeviceId, attachment: u64) -> Reply<Name> {
        self.journal.put(Attach { user, device, attachment })
    }

    /// Changes a handle (ACCT-001 to ACCT-007). Refuses with [`Refused::HandleTaken`], [`Refused::RenameTooSoon`],
    /// [`Refused::KeyReused`].
    pub fn rename(&self, rename: Rename) -> Reply<v1::Renamed> {
        self.journal.put(rename)
    }

    /// Changes a password and revokes the account's other devices (PASS-005, PASS-006). Refuses with
    /// [`Refused::PasswordChanged`], [`Refused::KeyReused`].
    pub fn change_password(&self, change: ChangePassword) -> Reply<v1::PasswordChanged> {
        self.journal.put(change)
    }

    /// Revokes a device (DEV-003, DEV-006). Refuses with [`Refused::NoSuchDevice`], [`Refused::KeyReused`].
    pub fn revoke_device(&self, revoke: RevokeDevice) -> Reply<v1::DeviceRevoked> {
        self.journal.put(revoke)
    }

    /// Makes a token (TOKEN-001 to TOKEN-004, TOKEN-011, TOKEN-020). Refuses with [`Refused::PublicKeyBound`],
    /// [`Refused::TooManyTokens`], [`Refused::TokenNameTaken`], [`Refused::KeyReused`].
    pub fn issue_token(&self, issue: IssueToken) -> Reply<v1::TokenIssued> {
        self.journal.put(issue)
    }

    /// Revokes a token (TOKEN-012, TOKEN-013). Refuses with [`Refused::NoSuchToken`], [`Refused::KeyReused`].
    pub fn revoke_token(&self, revoke: RevokeToken) -> Reply<v1::TokenRevoked> {
        self.journal.put(revoke)
    }

    /// Makes a room (ROOM-002, ROOM-003, ROOM-013). Refuses with [`Refused::RoomNameTaken`],
    /// [`Refused::TooManyRooms`], [`Refused::KeyReused`].
    pub fn create_room(&self, create: CreateRoom) -> Reply<v1::RoomCreated> {
        self.journal.put(create)
    }

    /// Joins a room (ROOM-005, ROOM-006, ROOM-013, ROOM-015, INV-001, INV-005). Refuses with
    /// [`Refused::NoSuchConversation`], [`Refused::InviteRequired`], [`Refused::TooManyRooms`], [`Refused::KeyReused`].
    pub fn join(&self, join: Join) -> Reply<v1::Joined> {
        self.journal.put(join)
    }

    /// Leaves a room, or turns an invitation down (ROOM-007, ROOM-008, INV-006). Refuses with [`Refused::NoSuchConversation`], [`Refused::KeyReused`].
    pub fn leave(&self, leave: Leave) -> Reply<v1::Left> {
        self.journal.put(leave)
    }

    /// Changes a room (ROOM-022, ROOM-025 to ROOM-027, RET-006). Refuses with [`Refused::NoSuchConversation`],
    /// [`Refused::NotAMember`], [`Refused::NotPermitted`], [`Refused::RoomNameTaken`], [`Refused::KeyReused`].
    pub fn update_room(&self, update: UpdateRoom) -> Reply<v1::RoomUpdated> {
        self.journal.put(update)
    }

    /// Invites a user to a room (INV-002 to INV-008), or withdraws an invitation (INV-010). Refuses with [`Refused::NoSuchConversation`],
    /// [`Refused::NotAMember`], [`Refused::NotPermitted`], [`Refused::NoSuchUser`], [`Refused::TooManyInvitations`],
    /// [`Refused::KeyReused`].
    pub fn invite(&self, invite: Invite) -> Reply<v1::Invited> {
        self.journal.put(invite)
    }

    /// Pins a message, or takes the pin off (PIN-001 to PIN-005). Refuses with [`Refused::NoSuchConversation`],
    /// [`Refused::NotAMember`], [`Refused::NotPermitted`], [`Refused::NoSuchEntry`], [`Refused::TooManyPins`],
    /// [`Refused::KeyReused`].
    pub fn set_pin(&self, set: SetPin) -> Reply<v1::PinSet> {
        self.journal.put(set)
    }

    /// Deletes the payloads of messages (REDACT-001 to REDACT-009). Refuses with [`Refused::NoSuchConversation`],
    /// [`Refused::NotAMember`], [`Refused::NoSuchEntry`], [`Refused::NotPermitted`], [`Refused::KeyReused`].
    pub fn redact(&self, redact: Redact) -> Reply<v1::Redacted> {
        self.journal.put(redact)
    }

    /// Moves a user's watermarks forward (MARK-001 to MARK-005). Refuses with [`Refused::NoSuchConversation`],
    /// [`Refused::NotAMember`], [`Refused::SeqOutOfRange`].
    pub fn mark(&self, mark: Mark) -> Reply<v1::Watermark> {
        self.journal.put(mark)
    }

    /// Sets what a user lets others see (PRES-001). If that changes anything, the observer gets
    /// [`Effect::PresenceSet`](crate::Effect::PresenceSet).
    pub fn set_presence(&self, set: SetPresence) -> Reply<()> {
        self.journal.put(set)
    }

    /// Notes that devices were seen now. Unknown ones are ignored. Unlike other writes it needs someone to wait for it:
    /// many devices are noted in parts, each put into the journal when the one before is durable, so that messages get
    /// in between.
    ///
    /// # Errors
    /// [`Refused::Busy`], [`Refused::Failed`]: the rest was not noted.
    pub async fn touch(&self, devices: Vec<DeviceId>) -> Result<(), Refused> {
        for part in Touch::parts(&devices) {
            self.journal.put(part).await?;
        }
        Ok(())
    }

    /// Takes away what retention no longer keeps (RET-003 to RET-007); answers whether there is more to do. To be called now
    /// and then. Unlike other writes it needs someone to wait for it, and puts itself behind what is waiting, a part at a time.
    ///
    /// # Errors
    /// [`Refused::Busy`], [`Refused::Failed`]: the rest was not taken away.
    pub async fn trim(&self) -> Result<bool, Refused> {
        let mut parts = MAX_PARTS;
        let mut after = None;
        loop {
            let page = plain(retention::due(&self.readers, &self.surroundings, after)).await?;
            for conversation in page.due {
                loop {
                    if parts == 0 {
                        return Ok(true);
                    }
                    parts -= 1;
                    match self.journal.put(Trim { conversation }).await {
                        Ok(true) => {}
                        Ok(false) => break,
                        // A log that can't be read keeps no other from its turn.
                        Err(Refused::Failed(StoreError::Database(error))) => {
                            tracing::warn!(%error, "a log was not trimmed");
                            break;
                        }
                        Err(refused) => return Err(refused),
                    }
                }
            }
            after = page.last;
            if after.is_none() {
                return Ok(false);
            }
        }
    }

    /// Forgets what was remembered for idempotency keys that are older than `idempotency_window_s` (IDEM-004);
    /// answers how many. To be called now and then.
    pub fn prune(&self) -> Reply<u64> {
        self.journal.put(Prune)
    }

    /// Brings the index for search further towards the ends of the logs; answers whether there is more to do. To be called
    /// now and then, so that searches find little left to do. Unlike other writes it needs someone to wait for it, and puts
    /// itself behind what is waiting, a part at a time.
    ///
    /// # Errors
    /// [`Refused::Busy`], [`Refused::Failed`]: the rest was not indexed.
    pub async fn index(&self) -> Result<bool, Refused> {
        let behind = plain(search::behind(&self.readers)).await?;
        Ok(!self.catch_up(behind, Of::All).await?)
    }

    /// Whether these logs are indexed up to where they ended; false if that takes more than one call.
    async fn catch_up(&self, mut behind: Vec<search::Behind>, of: Of) -> Result<bool, Refused> {
        for _ in 0..MAX_PARTS {
            if behind.is_empty() {
                break;
            }
            behind = self.journal.put(Index { behind, of }).await?;
        }
        Ok(behind.is_empty())
    }

    /// Makes a log key the one in use (HEAD-007). Refuses with [`Refused::LogKeyUnexpected`] a first key when there is
    /// one already, and a later one when there is none.
    pub fn set_log_key(&self, set: SetLogKey) -> Reply<()> {
        self.journal.put(set)
    }
}

/// Reads. Each reflects every write that was answered before it was called (REQ-009). Where a [`Reader`] is asked for, a
/// [`UserId`] stands for one whose device is approved.
impl Store {
    /// The account that has a handle now, and its PHC string (ACCT-002).
    ///
    /// # Errors
    /// If the database failed.
    pub async fn password_hash(
        &self,
        handle: &Name,
    ) -> Result<Option<(UserId, String)>, StoreError> {
        plain(accounts::password_hash(&self.readers, handle)).await
    }

    /// The PHC string of an account.
    ///
    /// # Errors
    /// If the database failed.
    pub async fn password_hash_of(&self, user: UserId) -> Result<Option<String>, StoreError> {
        plain(accounts::password_hash_of(&self.readers, user)).await
    }

    /// Whether a Register is a retry of one that succeeded, so that its password need not be hashed again (IDEM-006).
    ///
    /// # Errors
    /// [`Refused::KeyReused`], [`Refused::Failed`].
    pub async fn registered_before(
        &self,
        public_key: &PublicKeyBytes,
        key: IdempotencyKey,
    ) -> Result<Option<LoggedIn>, Refused> {
        judged(accounts::registered_before(&self.readers, public_key, key)).await
    }

    /// Whether a ChangePassword is a retry of one that succeeded: its old password is then no longer the account's
    /// (IDEM-006).
    ///
    /// # Errors
    /// [`Refused::KeyReused`], [`Refused::Failed`].
    pub async fn password_changed_before(
        &self,
        device: DeviceId,
        key: IdempotencyKey,
    ) -> Result<Option<v1::PasswordChanged>, Refused> {
        judged(accounts::password_changed_before(&self.readers, device, key)).await
    }

    /// What is known of a device, revoked ones included.
    ///
    /// # Errors
    /// If the database failed.
    pub async fn find_device(&self, device: DeviceId) -> Result<Option<DeviceRecord>, StoreError> {
        plain(accounts::device(&self.readers, device)).await
    }

    /// An account's active devices in order of creation (DEV-001); `online` is false in all.
    ///
    /// # Errors
    /// If the database failed.
    pub async fn list_devices(
        &self,
        user: UserId,
        current: DeviceId,
    ) -> Result<v1::Devices, StoreError> {
        plain(accounts::devices(&self.readers, user, current)).await
    }

    /// The keys of devices, in the order asked, unknown ones left out (DEV-008).
    ///
    /// # Errors
    /// If the database failed.
    pub async fn look_up_devices(
        &self,
        devices: &[DeviceId],
    ) -> Result<v1::DeviceKeys, StoreError> {
        plain(accounts::device_keys(&self.readers, devices)).await
    }

    /// A page of rooms as a user sees them (ROOM-016, ROOM-018, ROOM-019, ROOM-028).
    ///
    /// # Errors
    /// [`Refused::PageTokenInvalid`], [`Refused::Failed`].
    pub async fn list_rooms(&self, user: UserId, list: &ListRooms) -> Result<v1::Rooms, Refused> {
        judged(rooms::list(&self.readers, self.surroundings.retention, user, list)).await
    }

    /// At most `limit` members of a room after one of them, for a member (ROOM-010, ROOM-017). Tokens for pages are
    /// made by [`page`](crate::page).
    ///
    /// # Errors
    /// [`Refused::NoSuchConversation`], [`Refused::NotAMember`], [`Refused::DeviceNotApproved`], [`Refused::Failed`].
    pub async fn list_members(
        &self,
        reader: impl Into<Reader>,
        conversation: ConversationId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<MembersPage, Refused> {
        judged(rooms::members(&self.readers, reader.into(), conversation, after, limit)).await
    }

    /// Those of some users that are members of a room, each once, for a member (ROOM-010, ROOM-017): in order of
    /// `user_id`; `online` is false in all.
    ///
    /// # Errors
    /// [`Refused::NoSuchConversation`], [`Refused::NotAMember`], [`Refused::DeviceNotApproved`], [`Refused::Failed`].
    pub async fn members_among(
        &self,
        reader: impl Into<Reader>,
        conversation: ConversationId,
        users: &[UserId],
    ) -> Result<Vec<v1::Member>, Refused> {
        judged(rooms::members_among(&self.readers, reader.into(), conversation, users)).await
    }

    /// Entries of a log for a member (FETCH-001 to FETCH-006, ROOM-011, LOG-010): at most `max_entries`, and as many
    /// as keep the encoded Fetched within `max_bytes`, but one in any case. Leave room in `max_bytes` for the frame
    /// around it and for a signed head, if there will be one.
    ///
    /// # Errors
    /// [`Refused::NoSuchConversation`], [`Refused::NotAMember`], [`Refused::DeviceNotApproved`], [`Refused::SeqOutOfRange`], [`Refused::Trimmed`],
    /// [`Refused::Failed`].
    pub async fn fetch(
        &self,
        reader: impl Into<Reader>,
        conversation: ConversationId,
        from_seq: u64,
        max_entries: u32,
        max_bytes: usize,
    ) -> Result<v1::Fetched, Refused> {
        judged(logs::fetch(
            &self.readers,
            reader.into(),
            conversation,
            from_seq,
            max_entries,
            max_bytes,
        ))
        .await
    }

    /// Where a log begins and ends, for a member (HEAD-001, HEAD-002).
    ///
    /// # Errors
    /// [`Refused::NoSuchConversation`], [`Refused::NotAMember`], [`Refused::DeviceNotApproved`], [`Refused::Failed`].
    pub async fn head(
        &self,
        reader: impl Into<Reader>,
        conversation: ConversationId,
    ) -> Result<HeadState, Refused> {
        judged(logs::head(&self.readers, reader.into(), conversation)).await
    }

    /// A page of a conversation's pinned messages, for a member (PIN-006).
    ///
    /// # Errors
    /// [`Refused::PageTokenInvalid`], [`Refused::NoSuchConversation`], [`Refused::NotAMember`], [`Refused::Failed`].
    pub async fn list_pins(&self, user: UserId, list: &ListPins) -> Result<v1::Pins, Refused> {
        judged(pins::list(&self.readers, user, list)).await
    }

    /// A page of what there is to show of a user's conversations (SUM-001 to SUM-006).
    ///
    /// # Errors
    /// [`Refused::PageTokenInvalid`], [`Refused::Failed`].
    pub async fn list_summaries(
        &self,
        user: UserId,
        list: &ListSummaries,
    ) -> Result<v1::Summaries, Refused> {
        judged(summaries::list(&self.readers, self.surroundings.retention, user, list)).await
    }

    /// A page of the watermarks of a conversation's members, for a member, but for those who keep theirs private (MARK-012,
    /// PRES-017).
    ///
    /// # Errors
    /// [`Refused::PageTokenInvalid`], [`Refused::NoSuchConversation`], [`Refused::NotAMember`], [`Refused::DeviceNotApproved`], [`Refused::Failed`].
    pub async fn list_watermarks(
        &self,
        reader: impl Into<Reader>,
        list: &ListWatermarks,
    ) -> Result<v1::Watermarks, Refused> {
        judged(summaries::watermarks(&self.readers, reader.into(), list)).await
    }

    /// What is known of a token, revoked ones included.
    ///
    /// # Errors
    /// If the database failed.
    pub async fn find_token(&self, token: DeviceId) -> Result<Option<TokenRecord>, StoreError> {
        plain(tokens::find(&self.readers, token)).await
    }

    /// An account's tokens that are not revoked, in order of creation (TOKEN-014); `online` is false in all.
    ///
    /// # Errors
    /// If the database failed.
    pub async fn list_tokens(&self, user: UserId) -> Result<v1::Tokens, StoreError> {
        plain(tokens::list(&self.readers, user)).await
    }

    /// A page of the messages that a query finds (SEARCH-001 to SEARCH-010). What is not indexed yet is indexed first.
    ///
    /// # Errors
    /// [`Refused::QueryEmpty`], [`Refused::QueryTooLong`], [`Refused::PageTokenInvalid`], [`Refused::NoSuchConversation`],
    /// [`Refused::NotAMember`], [`Refused::Busy`] if much is not indexed, or if it takes too long, [`Refused::Failed`].
    pub async fn search(
        &self,
        user: UserId,
        search: &Search,
    ) -> Result<v1::SearchResults, Refused> {
        self.search_within(user, search, SEARCH_TIME).await
    }

    pub(crate) async fn search_within(
        &self,
        user: UserId,
        search: &Search,
        time: Duration,
    ) -> Result<v1::SearchResults, Refused> {
        let mut ready = judged(search::judge(&self.readers, user, search)).await?;
        if !self.catch_up(std::mem::take(&mut ready.behind), Of::Found).await? {
            return Err(Refused::Busy);
        }
        judged(search::find(&self.searchers, &ready, search, time)).await
    }

    /// The server's log key; none before [`Store::set_log_key`] has set one.
    ///
    /// # Errors
    /// If the database failed.
    pub async fn log_keys(&self) -> Result<Option<LogKeys>, StoreError> {
        plain(accounts::log_keys(&self.readers)).await
    }
}

async fn prepare(
    connection: &mut Connection,
    surroundings: &Surroundings,
    default_room: &Name,
) -> Result<(), sqlx::Error> {
    // Nobody is connected yet who could be told of effects.
    let mut effects = Vec::new();
    let now = (surroundings.clock)();
    let mut transaction = connection.begin_with(BEGIN_WRITE).await?;
    Context::new(surroundings, now, &mut transaction, &mut effects, &mut Part::default())
        .ensure_default_room(default_room)
        .await?;
    transaction.commit().await
}

async fn plain<T>(read: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    read.await.map_err(StoreError::read)
}

async fn judged<T>(read: impl Future<Output = Result<T, Stop>>) -> Result<T, Refused> {
    read.await.map_err(Refused::from)
}
