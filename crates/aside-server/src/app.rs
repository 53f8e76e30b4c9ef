//! What all connections share, and the way from a session's command to its outcome.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use aside_crypto::SigningKey;
use aside_proto::{
    PRIVATE, SYNC, TALK,
    id::{DeviceId, UserId},
    name::Name,
    v1::{self, ErrorCode},
};
use aside_session::{
    Now,
    server::{self as session, Command, Outcome, Refusal},
};
use aside_store::{Entropy, LogKey, LogKeys, Options, Reader, SetLogKey, Store};
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::{
    StartError, USER_AGENT,
    config::{Config, Registration},
    hub::Hub,
    notices,
    passwords::{Passwords, fill_random},
    rates::{ConnectionCount, RateLimits, RetryAfter},
    seen::Seen,
};

/// Device logs that are verified at once: each takes a core.
const MAX_VERIFYING: usize = 2;

/// What all connections share.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) session_config: Arc<session::Config>,
    pub(crate) store: Store,
    pub(crate) hub: Arc<Hub>,
    pub(crate) seen: Seen,
    pub(crate) passwords: Passwords,
    pub(crate) rates: Arc<RateLimits>,
    pub(crate) connections: Arc<ConnectionCount>,
    pub(crate) log_key: SigningKey,
    /// Device logs that may be verified at once.
    pub(crate) verifying: Semaphore,
    clock: Clock,
}

/// Tells the time, as sessions are told it.
pub(crate) type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// Where a command comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// The client's address.
    pub(crate) address: IpAddr,
    /// The connection's number in the hub.
    pub(crate) attachment: u64,
    /// Who is logged in.
    pub(crate) identity: Option<Identity>,
}

/// Who is logged in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
}

/// What a handler ends with: a reply, or why not.
pub(crate) type Answer = Result<v1::server_frame::Body, Refusal>;

impl App {
    /// Opens the database and makes ready all that connections need.
    pub(crate) async fn open(config: Config) -> Result<Arc<Self>, StartError> {
        Self::open_with(config, system_clock(), Arc::new(fill_random)).await
    }

    /// As [`open`](Self::open), with another clock and source of randomness than the system's.
    pub(crate) async fn open_with(
        config: Config,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Arc<Self>, StartError> {
        let greeting = notices::greeting(&config.server.notice)
            .map_err(|e| StartError::Config(format!("[server] notice: {e}")))?;
        let hub = Arc::new(Hub::new(&config.limits, greeting));
        let passwords = Passwords::new(&config.password).map_err(StartError::Config)?;
        let max_chars = config.limits.max_name_chars as usize;
        let default_room = Name::new(&config.server.default_room, max_chars)
            .map_err(|e| StartError::Config(format!("[server] default_room: {e}")))?;
        let store_clock = Arc::clone(&clock);
        let rates = Arc::new(RateLimits::new(&config.rates));
        let newcomers = Arc::clone(&rates);
        let options = Options {
            limits: config.limits,
            retention: config.retention,
            clock: Arc::new(move || store_clock().unix_ms),
            entropy: Arc::clone(&entropy),
            default_room,
            newcomers: Arc::new(move |user, count| {
                newcomers.newcomers(user, count).map_err(|RetryAfter(ms)| ms)
            }),
            observer: Arc::clone(&hub) as Arc<dyn aside_store::Observer>,
        };
        let store = Store::open(&config.database_url(), options).await?;
        let keys = log_keys(&store, &entropy).await?;
        let log_key = SigningKey::from_bytes(&keys.current.private_key)
            .map_err(|e| StartError::Config(format!("the database's log key is damaged: {e}")))?;
        Ok(Arc::new(Self {
            session_config: Arc::new(session_config(&config, &keys)),
            hub,
            seen: Seen::default(),
            passwords,
            rates,
            connections: Arc::new(ConnectionCount::new(config.connections.clone())),
            log_key,
            verifying: Semaphore::new(MAX_VERIFYING),
            store,
            clock,
            config,
        }))
    }

    /// The time, as sessions are told it.
    pub(crate) fn now(&self) -> Now {
        (self.clock)()
    }

    /// Begins a command. The future is polled at once: what it writes enters the journal in the order of these calls.
    pub(crate) fn execute(
        self: Arc<Self>,
        from: Origin,
        command: Command,
    ) -> BoxFuture<'static, Outcome> {
        if let Err(RetryAfter(ms)) = self.within_rates(from, &command) {
            metrics::counter!("aside_rate_limited_total").increment(1);
            let refusal = Refusal::after(ErrorCode::RateLimited, ms);
            return Box::pin(std::future::ready(Outcome::Refused(refusal)));
        }
        match from.identity {
            None => Box::pin(self.log_in(from, command)),
            Some(identity) => self.authenticated(identity, from.attachment, command),
        }
    }

    fn within_rates(&self, from: Origin, command: &Command) -> Result<(), RetryAfter> {
        match (command, from.identity) {
            (Command::Register { .. }, _) => self.rates.register(from.address),
            (Command::PasswordLogin { handle, .. }, _) => {
                self.rates.password_login(from.address, handle.as_ref())
            }
            (Command::FindDevice { .. } | Command::FindToken { .. }, _) => {
                self.rates.login(from.address)
            }
            (Command::Search { .. }, Some(identity)) => self.rates.search(identity.user),
            (Command::SetPresence { .. }, Some(identity)) => self.rates.presence(identity.user),
            (Command::SendMessage { .. } | Command::SendPrivate { .. }, Some(identity)) => {
                self.rates.message(identity.user)
            }
            (Command::SubmitCommit { .. } | Command::EstablishGroup { .. }, Some(identity)) => {
                self.rates.commit(identity.user)
            }
            (Command::PublishDeviceLog { .. }, Some(identity)) => {
                self.rates.device_log(identity.user)
            }
            (Command::Relay { .. }, Some(identity)) => self.rates.relay(identity.user),
            (Command::ClaimKeyPackages { .. }, Some(identity)) => self.rates.claim(identity.user),
            (Command::ChangePassword { .. }, Some(identity)) => {
                self.rates.password_change(identity.user)
            }
            (_, Some(identity)) => self.rates.request(identity.user),
            (_, None) => Ok(()),
        }
    }

    /// PRIV-002, for reads that are the same of rooms and of private conversations. Whatever else there is the store judges alone.
    fn reader(&self, who: Identity, attachment: u64) -> Reader {
        Reader { user: who.user, is_approved: self.hub.is_approved(attachment) }
    }

    fn authenticated(
        self: Arc<Self>,
        who: Identity,
        attachment: u64,
        command: Command,
    ) -> BoxFuture<'static, Outcome> {
        /// Each its own future, so that a message's is not as large as the largest of all.
        macro_rules! answer {
            ($answer:expr) => {
                Box::pin(async move {
                    match $answer.await {
                        Ok(reply) => Outcome::Reply(reply),
                        Err(refusal) => Outcome::Refused(refusal),
                    }
                })
            };
        }
        match command {
            Command::SendMessage { key, conversation, payload, salt, signature } => {
                let (user, device) = (who.user, who.device);
                let append = aside_store::Append {
                    user,
                    device,
                    conversation,
                    message_id: key,
                    payload,
                    salt,
                    signature,
                };
                answer!(self.send_message(append))
            }
            Command::Fetch { conversation, from_seq, max_entries, signed_head } => {
                let reader = self.reader(who, attachment);
                answer!(self.fetch(reader, conversation, from_seq, max_entries, signed_head))
            }
            Command::GetHead { conversation } => {
                let reader = self.reader(who, attachment);
                answer!(self.get_head(reader, conversation))
            }
            Command::Rename { key, handle, on_conflict } => {
                answer!(self.rename(who, key, handle, on_conflict))
            }
            Command::ChangePassword { key, old, new } => {
                answer!(self.change_password(who, key, old, new))
            }
            Command::ListDevices => answer!(self.list_devices(who)),
            Command::RevokeDevice { key, device_id } => {
                answer!(self.revoke_device(who, key, device_id))
            }
            Command::LookUpDevices { device_ids } => answer!(self.look_up_devices(device_ids)),
            Command::Relay { device_id, payload } => {
                answer!(std::future::ready(self.relay(who, device_id, payload)))
            }
            Command::CreateRoom { key, name } => answer!(self.create_room(who, key, name)),
            Command::ListRooms { joined_only, invited_only, name, page_token, page_size } => {
                let list = aside_store::ListRooms {
                    joined_only,
                    invited_only,
                    name,
                    page_token,
                    page_size,
                    max_bytes: self.max_reply_bytes(),
                };
                answer!(self.list_rooms(who, list))
            }
            Command::Join { key, conversation } => answer!(self.join(who, key, conversation)),
            Command::Leave { key, conversation } => answer!(self.leave(who, key, conversation)),
            Command::ListMembers { conversation, online_only, page_token, page_size } => {
                let reader = self.reader(who, attachment);
                answer!(self.list_members(reader, conversation, online_only, page_token, page_size))
            }
            Command::UpdateRoom {
                key,
                conversation,
                name,
                topic,
                description,
                invite_only,
                retention,
            } => {
                let (user, device) = (who.user, who.device);
                let update = aside_store::UpdateRoom {
                    key,
                    user,
                    device,
                    conversation,
                    name,
                    topic,
                    description,
                    invite_only,
                    retention,
                };
                answer!(self.update_room(update))
            }
            Command::Invite { key, conversation, handle, withdraw } => {
                let (user, device) = (who.user, who.device);
                let invite =
                    aside_store::Invite { key, user, device, conversation, handle, withdraw };
                answer!(self.invite(invite))
            }
            Command::SetPin { key, conversation, seq, pinned } => {
                let (user, device) = (who.user, who.device);
                let set = aside_store::SetPin { key, user, device, conversation, seq, pinned };
                answer!(self.set_pin(set))
            }
            Command::ListPins { conversation, page_token, page_size } => {
                let max_bytes = self.max_reply_bytes();
                let list = aside_store::ListPins { conversation, page_token, page_size, max_bytes };
                answer!(self.list_pins(who, list))
            }
            Command::ListSummaries { page_token, page_size } => {
                let reader = self.reader(who, attachment);
                answer!(self.list_summaries(reader, page_token, page_size))
            }
            Command::Mark { conversation, delivered_seq, read_seq } => {
                let (user, device) = (who.user, who.device);
                let mark = aside_store::Mark {
                    user,
                    device,
                    attachment,
                    conversation,
                    delivered_seq,
                    read_seq,
                };
                answer!(self.mark(mark))
            }
            Command::ListWatermarks { conversation, page_token, page_size } => {
                let list = aside_store::ListWatermarks { conversation, page_token, page_size };
                let reader = self.reader(who, attachment);
                answer!(self.list_watermarks(reader, list))
            }
            Command::Redact { key, conversation, seqs } => {
                let (user, device) = (who.user, who.device);
                let redact = aside_store::Redact { key, user, device, conversation, seqs };
                answer!(self.redact(redact))
            }
            Command::SetPresence { hidden, status_text, private_receipts } => {
                let (user, device) = (who.user, who.device);
                let settings =
                    aside_store::PresenceSettings { hidden, status_text, private_receipts };
                let set = aside_store::SetPresence { user, device, attachment, settings };
                answer!(self.set_presence(set))
            }
            Command::GetPresence { user_ids } => {
                let reader = self.reader(who, attachment);
                answer!(std::future::ready(self.get_presence(reader, user_ids)))
            }
            Command::SetTyping { conversation, typing } => {
                let reader = self.reader(who, attachment);
                answer!(self.set_typing(reader, attachment, conversation, typing))
            }
            Command::Search { conversation, query, page_token, page_size } => {
                answer!(self.search(who, conversation, query, page_token, page_size))
            }
            Command::IssueToken { key, name, scopes, expires_ms, token_hash, public_key } => {
                let issue = aside_store::IssueToken {
                    key,
                    user: who.user,
                    device: who.device,
                    name,
                    scopes,
                    expires_ms,
                    token_hash,
                    public_key: *public_key.as_bytes(),
                };
                answer!(self.issue_token(issue))
            }
            Command::ListTokens => answer!(self.list_tokens(who)),
            Command::RevokeToken { key, token_id } => {
                answer!(self.revoke_token(who, key, token_id))
            }
            Command::PublishDeviceLog { key, from_position, entries, replaces } => {
                let (user, device) = (who.user, who.device);
                let publish = aside_store::PublishDeviceLog {
                    key,
                    user,
                    device,
                    from_position,
                    entries,
                    replaces,
                    verified: None,
                };
                answer!(self.publish_device_log(publish))
            }
            Command::FetchDeviceLogs { user_ids, from_position } => {
                answer!(self.fetch_device_logs(user_ids, from_position))
            }
            Command::PublishKeyPackages { key, suite, key_packages, last_resort, replace } => {
                let (user, device) = (who.user, who.device);
                let publish = aside_store::PublishKeyPackages {
                    key,
                    user,
                    device,
                    suite,
                    key_packages,
                    last_resort,
                    replace,
                };
                answer!(self.publish_key_packages(publish))
            }
            Command::ClaimKeyPackages { key, suite, targets } => {
                let (user, device, max_bytes) = (who.user, who.device, self.max_reply_bytes());
                // Whoever may claim nothing takes nothing from what others may claim.
                let spared = match self.hub.is_approved(attachment) {
                    true => self.rates.spared(user, targets.iter().map(|(target, _)| *target)),
                    false => BTreeSet::new(),
                };
                let claim = aside_store::ClaimKeyPackages {
                    key,
                    user,
                    device,
                    suite,
                    targets,
                    spared,
                    max_bytes,
                };
                answer!(self.claim_key_packages(claim))
            }
            Command::OpenDirect { key, peer } => {
                let (user, device) = (who.user, who.device);
                answer!(self.open_direct(aside_store::OpenDirect { key, user, device, peer }))
            }
            Command::CreateGroup { key } => {
                let (user, device) = (who.user, who.device);
                answer!(self.create_group(aside_store::CreateGroup { key, user, device }))
            }
            Command::EstablishGroup { key, plan, header, salt, welcomes, group_info } => {
                let (user, device) = (who.user, who.device);
                let establish = aside_store::EstablishGroup {
                    key,
                    user,
                    device,
                    plan,
                    header,
                    salt,
                    welcomes,
                    group_info,
                };
                answer!(self.establish_group(establish))
            }
            Command::SubmitCommit { key, plan, payload, salt, welcomes, group_info } => {
                let (user, device) = (who.user, who.device);
                let submit = aside_store::SubmitCommit {
                    key,
                    user,
                    device,
                    plan,
                    payload,
                    salt,
                    welcomes,
                    group_info,
                };
                answer!(self.submit_commit(submit))
            }
            Command::SendPrivate { key, conversation, epoch, payload, salt } => {
                let (user, device) = (who.user, who.device);
                let send = aside_store::SendPrivate {
                    user,
                    device,
                    conversation,
                    message_id: key,
                    epoch,
                    payload,
                    salt,
                };
                answer!(self.send_private(send))
            }
            Command::SetRole { key, conversation, user_id, role } => {
                let (user, device) = (who.user, who.device);
                let member = user_id;
                let set = aside_store::SetRole { key, user, device, conversation, member, role };
                answer!(self.set_role(set))
            }
            Command::RejectCommit { key, conversation, seq, code } => {
                let (user, device) = (who.user, who.device);
                let reject =
                    aside_store::RejectCommit { key, user, device, conversation, seq, code };
                answer!(self.reject_commit(reject))
            }
            Command::GetGroupInfo { conversation } => {
                answer!(self.get_group_info(who, conversation))
            }
            Command::FetchInbox { after, max_items } => {
                answer!(self.fetch_inbox(who, after, max_items))
            }
            Command::AckInbox { up_to } => {
                let (user, device) = (who.user, who.device);
                answer!(self.ack_inbox(aside_store::AckInbox { user, device, up_to }))
            }
            Command::ReportForkCheck { conversation, epoch, value } => {
                let (user, device) = (who.user, who.device);
                let report =
                    aside_store::ReportForkCheck { user, device, conversation, epoch, value };
                answer!(self.report_fork_check(report))
            }
            Command::Register { .. }
            | Command::PasswordLogin { .. }
            | Command::FindDevice { .. }
            | Command::FindToken { .. }
            | Command::Attach { .. } => {
                // The session lets none of these through once it is authenticated.
                Box::pin(std::future::ready(Outcome::Refused(Refusal::of(ErrorCode::WrongPhase))))
            }
        }
    }
}

fn session_config(config: &Config, keys: &LogKeys) -> session::Config {
    session::Config {
        limits: config.limits,
        server_names: config.server.names.clone(),
        capabilities: vec![PRIVATE.to_owned(), SYNC.to_owned(), TALK.to_owned()],
        registration: match config.registration {
            Registration::Open => v1::RegistrationMode::Open,
            Registration::Closed => v1::RegistrationMode::Closed,
        },
        log_key: v1::LogKey {
            public_key: keys.current.public_key.to_vec().into(),
            rotations: keys.rotations.clone(),
        },
        user_agent: USER_AGENT.to_owned(),
    }
}

/// The log key of the database; made on the first run.
async fn log_keys(store: &Store, entropy: &Entropy) -> Result<LogKeys, StartError> {
    if let Some(keys) = store.log_keys().await? {
        return Ok(keys);
    }
    let key = SigningKey::generate(&mut |bytes| entropy(bytes));
    let current = LogKey { public_key: *key.public_key().as_bytes(), private_key: key.to_bytes() };
    store
        .set_log_key(SetLogKey { key: current.clone(), rotation_signature: None })
        .await
        .map_err(|e| StartError::Config(e.to_string()))?;
    Ok(LogKeys { current, rotations: Vec::new() })
}

fn system_clock() -> Clock {
    let started = Instant::now();
    Arc::new(move || {
        let elapsed = started.elapsed().as_millis();
        Now { monotonic_ms: u64::try_from(elapsed).unwrap_or(u64::MAX), unix_ms: unix_ms() }
    })
}

pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
