//! The server below TLS: the real sessions, handlers, hub and store, and between them, in place of the connection driver, steps that
//! the simulation takes one at a time.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use aside_crypto::PublicKey;
use aside_proto::{
    frame,
    id::{ConversationId, DeviceId, UserId},
    limits,
    v1::{self, ErrorCode, server_frame::Body},
};
use aside_server::{
    Config,
    simulation::{Connection, Core},
};
use aside_session::server::{Action, Command, Outcome, Session, Ticket, Transport};
use bytes::Bytes;
use prost::Message as _;
use tokio::runtime::Runtime;

use crate::{
    clock::Clock,
    link::{Ending, Link},
    private::Liar,
    rng::Rng,
    sabotage::{Sabotage, Saboteur},
};

/// The name that clients dial.
pub(crate) const SERVER_NAME: &str = "chat.example";
/// Bytes on the way to a client above which no event is taken off its queue: little, so that slow readers get a Gap.
const HIGH_WATER_BYTES: usize = 2048;
/// What the server keeps of each log, whatever its owner says: little enough that logs are trimmed.
pub(crate) const RETENTION: v1::Retention = v1::Retention { max_age_s: 0, max_entries: 6 };
/// Operations of one batch.
const MAX_BATCH: usize = 12;

/// One run of the server program.
pub(crate) struct Server {
    // Dropped first: what still runs is never finished.
    runtime: Runtime,
    pub(crate) core: Core,
    served: BTreeMap<u64, Served>,
    saboteur: Saboteur,
    /// What it says instead of the truth, in a world of private conversations.
    pub(crate) liar: Option<Liar>,
    /// Bytes on the way to a client above which no event is taken off its queue.
    high_water: usize,
}

/// One connection.
struct Served {
    session: Session,
    connection: Connection,
    /// Handed out and not begun.
    pending: VecDeque<(Ticket, Command)>,
    /// Carried out, and not given to the session.
    answers: Vec<(Ticket, Outcome)>,
    /// The last entry pushed of each conversation, or left out with a Gap.
    pushed: BTreeMap<ConversationId, u64>,
}

/// A command that was carried out.
pub(crate) struct Executed {
    pub(crate) identity: Option<(UserId, DeviceId)>,
    pub(crate) command: Command,
    pub(crate) outcome: Outcome,
}

impl Executed {
    /// The name of the command.
    pub(crate) fn name(&self) -> String {
        let command = format!("{:?}", self.command);
        command.split([' ', '{']).next().unwrap_or_default().to_owned()
    }
}

/// The limits are small, so that lists have pages, queues overflow and renames are frequent.
fn config(data: &Path, sabotage: Option<Sabotage>) -> Config {
    let mut config = Config::for_tests(data);
    config.server.names = vec![SERVER_NAME.to_owned()];
    config.password.memory_kib = 8;
    config.password.workers = 1;
    config.retention = RETENTION;
    if sabotage == Some(Sabotage::TrimMore) {
        config.retention.max_entries -= 1;
    }
    config.limits = v1::Limits {
        max_in_flight: 8,
        max_fetch_entries: 16,
        push_queue_bytes: 1500,
        rename_cooldown_s: 1,
        ..limits::DEFAULT
    };
    config
}

impl Server {
    /// Starts on the database in `data`, as the last run left it.
    pub(crate) fn start(
        data: &Path,
        clock: &Arc<Clock>,
        rng: &mut Rng,
        sabotage: Option<Sabotage>,
    ) -> Result<Self> {
        Self::open(config(data, sabotage), clock, rng, sabotage)
    }

    /// Starts with a configuration of its own, and has no bound to what is on the way to a client.
    pub(crate) fn start_private(
        config: Config,
        clock: &Arc<Clock>,
        rng: &mut Rng,
        liar: Liar,
    ) -> Result<Self> {
        let server = Self::open(config, clock, rng, None)?;
        Ok(Self { liar: Some(liar), high_water: usize::MAX, ..server })
    }

    fn open(
        config: Config,
        clock: &Arc<Clock>,
        rng: &mut Rng,
        sabotage: Option<Sabotage>,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entropy = std::sync::Mutex::new(rng.fork());
        let entropy = move |bytes: &mut [u8]| {
            entropy.lock().unwrap_or_else(std::sync::PoisonError::into_inner).fill(bytes);
        };
        let clock = Arc::clone(clock);
        let now = Arc::new(move || clock.now());
        let core = runtime
            .block_on(Core::open(config, now, Arc::new(entropy)))
            .context("the server does not start")?;
        let saboteur = Saboteur::new(sabotage, rng.fork());
        let (liar, high_water) = (None, HIGH_WATER_BYTES);
        Ok(Self { runtime, core, served: BTreeMap::new(), saboteur, liar, high_water })
    }

    /// Stops in order: what was accepted is written.
    pub(crate) fn stop(self) {
        let Self { runtime, core, served, .. } = self;
        drop(served);
        runtime.block_on(core.close());
    }

    /// Does without a connection what a connection would ask for: for the one who watches.
    pub(crate) fn execute(
        &self,
        connection: &Connection,
        identity: Option<(UserId, DeviceId)>,
        command: Command,
    ) -> Outcome {
        self.runtime.block_on(self.core.execute(connection, identity, command))
    }

    /// Removes what is no longer to be kept; false if that failed.
    pub(crate) fn trim(&self) -> bool {
        self.runtime.block_on(self.core.trim())
    }

    /// The key that signs heads.
    pub(crate) fn log_key(&self) -> Result<PublicKey> {
        Ok(PublicKey::from_bytes(&self.core.session_config().log_key.public_key)?)
    }

    /// A connection's TLS handshake is done.
    pub(crate) fn accept(&mut self, link: u64, binding: [u8; 32], clock: &Clock, rng: &mut Rng) {
        let transport = Transport::Tls { exporter: binding, cert_sha256: [0; 32] };
        let config = self.core.session_config();
        let served = Served {
            session: Session::new(config, transport, rng.bytes(), clock.now()),
            connection: self.core.connect(),
            pending: VecDeque::new(),
            answers: Vec::new(),
            pushed: BTreeMap::new(),
        };
        self.served.insert(link, served);
    }

    /// Whether it has a connection.
    pub(crate) fn has(&self, link: u64) -> bool {
        self.served.contains_key(&link)
    }

    /// Whether it has a connection, and reads from it.
    pub(crate) fn reads(&self, link: u64) -> bool {
        self.served.get(&link).is_some_and(|served| served.session.wants_read())
    }

    /// Connections with commands to begin.
    pub(crate) fn pending(&self) -> Vec<u64> {
        self.links(|served| !served.pending.is_empty())
    }

    /// Connections whose sessions wait for an outcome that is there.
    pub(crate) fn answerable(&self) -> Vec<u64> {
        self.links(|served| !served.answers.is_empty())
    }

    fn links(&self, which: impl Fn(&Served) -> bool) -> Vec<u64> {
        self.served.iter().filter(|(_, served)| which(served)).map(|(link, _)| *link).collect()
    }

    /// Bytes have come, or the end.
    pub(crate) fn receive(
        &mut self,
        id: u64,
        link: &mut Link,
        bytes: &[u8],
        clock: &Clock,
    ) -> Result<()> {
        let Some(served) = self.served.get_mut(&id) else { return Ok(()) };
        if !bytes.is_empty() {
            served.session.handle_bytes(clock.now(), bytes);
        }
        match link.to_server.over() {
            // CLOSE-003: dropped with its session, and with what was not begun.
            Some(Ending::Cut) => self.drop_connection(id),
            Some(Ending::Clean) => served.session.handle_eof(clock.now()),
            None => {}
        }
        self.turn(id, link, clock)
    }

    /// Ends a connection without a word.
    fn drop_connection(&mut self, id: u64) {
        let device = self.served.remove(&id).and_then(|served| served.session.identity());
        if let Some((_, device)) = device {
            self.core.ended(device);
        }
    }

    /// What a driver does after each input: takes commands and frames out, and ends the connection with its session.
    pub(crate) fn turn(&mut self, id: u64, link: &mut Link, clock: &Clock) -> Result<()> {
        let Some(served) = self.served.get_mut(&id) else { return Ok(()) };
        loop {
            if !served.gather(link, &mut self.saboteur, self.liar.as_mut(), self.high_water)? {
                self.drop_connection(id);
                return Ok(());
            }
            let Some(Action::Execute { ticket, command }) = served.session.poll_action() else {
                break;
            };
            if let Some(outcome) = self.saboteur.early(&command, clock) {
                served.answers.push((ticket, outcome));
            }
            served.pending.push_back((ticket, command));
        }
        if served.session.closing().is_some() {
            while let Some(frame) = served.session.poll_transmit() {
                link.to_client.write(&frame);
            }
            link.to_client.close();
            self.drop_connection(id);
        }
        Ok(())
    }

    /// Deadlines that have come.
    pub(crate) fn time(&mut self, id: u64, link: &mut Link, clock: &Clock) -> Result<bool> {
        let Some(served) = self.served.get_mut(&id) else { return Ok(false) };
        let now = clock.now();
        if served.session.next_timeout().is_none_or(|due| due > now.monotonic_ms) {
            return Ok(false);
        }
        served.session.handle_timeout(now);
        self.turn(id, link, clock)?;
        Ok(true)
    }

    /// Gives one outcome to its session.
    pub(crate) fn answer(
        &mut self,
        id: u64,
        link: &mut Link,
        clock: &Clock,
        rng: &mut Rng,
    ) -> Result<()> {
        let Some(served) = self.served.get_mut(&id) else { return Ok(()) };
        let (ticket, outcome) = served.answers.swap_remove(rng.below(served.answers.len()));
        served.session.handle_outcome(clock.now(), ticket, outcome);
        self.turn(id, link, clock)
    }

    /// Carries commands out: one read, or a batch of writes of some connections, durable together when this returns. One
    /// connection's are begun in their order (REQ-007).
    pub(crate) fn work(&mut self, rng: &mut Rng) -> Vec<Executed> {
        let batch = self.take_batch(rng);
        let mut begun = Vec::new();
        let mut outcomes = Vec::new();
        let mut refused = Vec::new();
        for (link, ticket, command) in batch {
            let Some(served) = self.served.get(&link) else { continue };
            let identity = served.session.identity();
            let refusal = self.liar.as_mut().and_then(|liar| liar.refuse(identity, &command));
            if let Some(outcome) = refusal {
                refused.push((link, ticket, outcome));
                continue;
            }
            let again = self.saboteur.again(&command);
            outcomes.push(self.core.execute(&served.connection, identity, command.clone()));
            begun.push((link, Some(ticket), identity, command));
            if let Some(command) = again {
                outcomes.push(self.core.execute(&served.connection, identity, command.clone()));
                begun.push((link, None, identity, command));
            }
        }
        let outcomes = self.runtime.block_on(futures_util::future::join_all(outcomes));
        for (link, ticket, outcome) in refused {
            if let Some(served) = self.served.get_mut(&link) {
                served.answers.push((ticket, outcome));
            }
        }
        let mut executed = Vec::new();
        for ((link, ticket, identity, command), outcome) in begun.into_iter().zip(outcomes) {
            let outcome = self.saboteur.twist(outcome);
            let outcome = match &mut self.liar {
                Some(liar) => liar.twist(identity, &command, outcome),
                None => outcome,
            };
            let Some(ticket) = ticket else { continue };
            if let Some(served) = self.served.get_mut(&link) {
                served.answers.push((ticket, outcome.clone()));
            }
            executed.push(Executed { identity, command, outcome });
        }
        executed
    }

    fn take_batch(&mut self, rng: &mut Rng) -> Vec<(u64, Ticket, Command)> {
        let mut batch: Vec<(u64, Ticket, Command)> = Vec::new();
        let mut links = self.pending();
        while let Some(link) = rng.pick(&links) {
            let Some(served) = self.served.get_mut(&link) else { break };
            let first = batch.is_empty();
            let goes = |(_, next): &(Ticket, Command)| {
                first || batch.iter().all(|(.., command)| go_together(command, next))
            };
            match served.pending.pop_front_if(|next| goes(next)) {
                Some((ticket, command)) => batch.push((link, ticket, command)),
                None => links.retain(|other| *other != link),
            }
            let full = batch.len() >= MAX_BATCH || rng.one_in(8);
            if full || batch.iter().any(|(.., command)| !is_batched(command)) {
                break;
            }
        }
        batch
    }
}

/// Whether a command is one write to the journal, so that what comes of it depends on the order of such calls alone.
fn is_batched(command: &Command) -> bool {
    matches!(
        command,
        Command::SendMessage { .. }
            | Command::Mark { .. }
            | Command::Join { .. }
            | Command::Leave { .. }
            | Command::CreateRoom { .. }
            | Command::Rename { .. }
            | Command::Attach { .. }
    )
}

/// Whether two may share a batch. Those that move watermarks do not go with those that end or begin them, only so that the truth,
/// which sees a batch as a whole, knows their order.
fn go_together(one: &Command, other: &Command) -> bool {
    let marks = |command: &Command| matches!(command, Command::Mark { .. });
    let members = |command: &Command| {
        matches!(command, Command::Join { .. } | Command::Leave { .. } | Command::CreateRoom { .. })
    };
    let apart = (marks(one) && members(other)) || (members(one) && marks(other));
    is_batched(one) && is_batched(other) && !apart
}

impl Served {
    /// Takes frames out while the client takes them; false if the connection is lost.
    fn gather(
        &mut self,
        link: &mut Link,
        saboteur: &mut Saboteur,
        mut liar: Option<&mut Liar>,
        high_water: usize,
    ) -> Result<bool> {
        while link.to_client.len() < high_water {
            if let Some(frame) = self.session.poll_transmit() {
                if link.to_client.is_cut() {
                    return Ok(false);
                }
                link.to_client.write(&frame);
                continue;
            }
            if !self.session.is_live() {
                break;
            }
            let Some(event) = self.connection.pop() else { break };
            if saboteur.skips(&event) {
                continue;
            }
            self.check_pushed(&event)?;
            if link.to_client.is_cut() {
                return Ok(false);
            }
            match (&mut liar, self.session.identity()) {
                (Some(liar), Some((_, device))) => {
                    link.to_client.write(&liar.push(device, event));
                }
                _ => link.to_client.write(&event),
            }
        }
        Ok(true)
    }

    /// PUSH-003: each entry after the one before, or a Gap between.
    fn check_pushed(&mut self, event: &Bytes) -> Result<()> {
        let frame: v1::ServerFrame = frame::decode(frame::body(event))?;
        match frame.body {
            Some(Body::EntryAppended(v1::EntryAppended { entry: Some(entry) })) => {
                let header = v1::EntryHeader::decode(&entry.header[..])?;
                let conversation = header.conversation_id[..].try_into()?;
                let last = self.pushed.insert(conversation, header.seq);
                let own = self
                    .session
                    .identity()
                    .is_some_and(|(user, _)| header.sender_user_id[..] == user.as_bytes()[..]);
                // What was said between leaving and joining again is not pushed.
                let joins = match header.kind() {
                    v1::EntryKind::MemberJoined => own,
                    // Nor what was said before a device became a leaf.
                    v1::EntryKind::GroupEstablished | v1::EntryKind::Commit => true,
                    _ => false,
                };
                anyhow::ensure!(
                    joins || last.is_none_or(|last| header.seq == last + 1),
                    "entry {} of {conversation} is pushed after {last:?}",
                    header.seq,
                );
            }
            Some(Body::Gap(gap)) => {
                self.pushed.insert(gap.conversation_id[..].try_into()?, gap.head_seq);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Errors that a request of the simulation may get in the ordinary course of things.
pub(crate) fn is_ordinary(code: ErrorCode, of_login: bool) -> bool {
    match code {
        // The handle was changed meanwhile.
        ErrorCode::AuthenticationFailed => of_login,
        ErrorCode::NotAMember
        | ErrorCode::HandleTaken
        | ErrorCode::RoomNameTaken
        | ErrorCode::RenameTooSoon
        | ErrorCode::NotPermitted
        | ErrorCode::NoSuchEntry
        | ErrorCode::TooManyPins
        | ErrorCode::Trimmed => true,
        _ => false,
    }
}
