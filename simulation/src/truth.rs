//! What is true: the logs as they became durable, and what follows from them. Everything the server says is held against it.
//!
//! A witness, an account of its own, is a member of every room and is pushed every entry the moment it is durable. It follows the logs
//! as any client would, so their density, their chains and the signed heads are checked on the way.

mod judge;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use aside_crypto::SigningKey;
use aside_proto::{
    frame,
    id::{ConversationId, DeviceId, IdempotencyKey, UserId, uuid_v7},
    name::Name,
    v1::{self, ErrorCode, server_frame::Body},
};
use aside_server::simulation::Connection;
use aside_session::{
    client::{
        log::{Accepted, Follower, Membership, Start, redacted_by},
        room::{PinChange, Settings},
    },
    server::{Command, DeviceBinding, OnConflict, Outcome, Refusal, Secret},
};
use prost::Message as _;

use crate::{
    clock::Clock,
    rng::Rng,
    server::{Executed, RETENTION, Server},
};

/// What is durable, as far as anyone has been told.
pub(crate) struct Truth {
    witness: Option<(UserId, DeviceId)>,
    connection: Option<Connection>,
    pub(crate) logs: BTreeMap<ConversationId, Log>,
    watermarks: BTreeMap<(ConversationId, UserId), (u64, u64)>,
    /// Messages that were refused, and may have been sent again when they were not refused any more: nobody heard of it.
    pub(crate) refused: BTreeSet<IdempotencyKey>,
}

/// One conversation.
pub(crate) struct Log {
    follower: Follower,
    /// All there ever were, from seq 1 on; those that were redacted as tombstones.
    pub(crate) entries: Vec<Accepted>,
    /// The first that is still kept.
    pub(crate) first_seq: u64,
    /// What the owner keeps.
    retention: v1::Retention,
    /// The seqs of the entries that pinned messages, by those of the messages.
    pins: BTreeMap<u64, u64>,
    /// How many of them `members` is made of.
    noted: usize,
    /// The members and their handles.
    pub(crate) members: BTreeMap<UserId, String>,
}

impl Truth {
    pub(crate) fn new() -> Self {
        let (logs, watermarks, refused) = Default::default();
        Self { witness: None, connection: None, logs, watermarks, refused }
    }

    /// The server is gone, and the witness's connection with it.
    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// The server has started: everything it was ever seen to have must be there, the same to the bit.
    pub(crate) fn meet(&mut self, server: &Server, clock: &Clock, rng: &mut Rng) -> Result<()> {
        let connection = server.core.connect();
        let (user_id, device_id) = match self.witness {
            Some(witness) => witness,
            None => register(server, &connection, clock, rng)?,
        };
        let capabilities = Box::from(["sync".to_owned(), "talk".to_owned()]);
        let attach = Command::Attach { user_id, device_id, capabilities, reads: true };
        let attached = server.execute(&connection, None, attach);
        ensure!(matches!(attached, Outcome::Attached { .. }), "the witness: {attached:?}");
        self.witness = Some((user_id, device_id));
        self.connection = Some(connection);
        for (conversation, log) in &mut self.logs {
            let connection = self.connection.as_ref().context("the witness is connected")?;
            let mut now = Follower::new(*conversation, Start::Beginning);
            let kept = read(&mut now, server, connection, (user_id, device_id))?;
            let entries =
                |kept: &[Accepted]| kept.iter().map(|it| it.entry.clone()).collect::<Vec<_>>();
            ensure!(
                entries(log.kept()) == entries(&kept),
                "the log of {conversation} is not what it was before the server stopped"
            );
            log.follower = now;
        }
        if self.logs.is_empty() {
            let list = Command::ListRooms {
                joined_only: false,
                invited_only: false,
                name: None,
                page_token: Default::default(),
                page_size: 10,
            };
            if let Outcome::Reply(Body::Rooms(rooms)) = self.ask(server, list)? {
                for room in rooms.rooms {
                    self.follow(server, room.conversation_id[..].try_into()?, clock, rng)?;
                }
            }
        }
        Ok(())
    }

    fn ask(&self, server: &Server, command: Command) -> Result<Outcome> {
        let connection = self.connection.as_ref().context("the witness is connected")?;
        Ok(server.execute(connection, self.witness, command))
    }

    /// The witness joins.
    fn follow(
        &mut self,
        server: &Server,
        conversation: ConversationId,
        clock: &Clock,
        rng: &mut Rng,
    ) -> Result<()> {
        if self.logs.contains_key(&conversation) {
            return Ok(());
        }
        let key = IdempotencyKey::new(uuid_v7(clock.now().unix_ms, rng.bytes()));
        let joined = self.ask(server, Command::Join { key, conversation })?;
        ensure!(matches!(joined, Outcome::Reply(Body::Joined(_))), "the witness: {joined:?}");
        self.logs.insert(conversation, Log::new(conversation));
        self.catch_up(server, clock)
    }

    /// The server has removed what was no longer to be kept; gives how many entries that must be.
    pub(crate) fn trim(&mut self, clock: &Clock) -> u64 {
        let now = clock.now().unix_ms;
        let trim = |log: &mut Log| {
            let before = log.first_seq;
            log.trim(now);
            log.first_seq - before
        };
        self.logs.values_mut().map(trim).sum()
    }

    /// Something was carried out: takes in what became durable by it, then judges what is told of it.
    pub(crate) fn learn(
        &mut self,
        server: &Server,
        executed: &[Executed],
        clock: &Clock,
        rng: &mut Rng,
    ) -> Result<()> {
        self.catch_up(server, clock)?;
        for it in executed {
            if let Outcome::Reply(Body::RoomCreated(created)) = &it.outcome {
                let room = created.room.as_ref().context("a room was created, without a room")?;
                self.follow(server, room.conversation_id[..].try_into()?, clock, rng)?;
            }
        }
        executed.iter().try_for_each(|it| {
            self.judge(it).with_context(|| {
                format!("{:?} of {:?} got {:?}", it.command, it.identity, it.outcome)
            })
        })
    }

    /// Reads what was pushed to the witness, and fetches what was not.
    fn catch_up(&mut self, server: &Server, clock: &Clock) -> Result<()> {
        let connection = self.connection.as_ref().context("the witness is connected")?;
        let witness = self.witness.context("the witness has an account")?;
        while let Some(event) = connection.pop() {
            let event: v1::ServerFrame = frame::decode(frame::body(&event))?;
            match event.body {
                Some(Body::EntryAppended(v1::EntryAppended { entry: Some(entry) })) => {
                    let header = v1::EntryHeader::decode(&entry.header[..])?;
                    if let Some(log) = self.logs.get_mut(&header.conversation_id[..].try_into()?) {
                        log.entries.extend(log.follower.handle_pushed(&entry)?);
                    }
                }
                Some(Body::Gap(gap)) => {
                    if let Some(log) = self.logs.get_mut(&gap.conversation_id[..].try_into()?) {
                        log.follower.handle_head_seq(gap.head_seq);
                    }
                }
                _ => {}
            }
        }
        for (conversation, log) in &mut self.logs {
            log.catch_up(server, connection, witness)?;
            for (user, seq) in log.note(clock.now().unix_ms) {
                match seq {
                    Some(seq) => self.watermarks.insert((*conversation, user), (seq, seq)),
                    None => self.watermarks.remove(&(*conversation, user)),
                };
            }
        }
        Ok(())
    }
}

impl Log {
    fn new(conversation: ConversationId) -> Self {
        let follower = Follower::new(conversation, Start::Beginning);
        let (entries, members, pins) = Default::default();
        let retention = v1::Retention::default();
        Self { follower, entries, first_seq: 1, retention, pins, noted: 0, members }
    }

    /// The entries that are kept.
    pub(crate) fn kept(&self) -> &[Accepted] {
        &self.entries[self.first_seq as usize - 1..]
    }

    /// The seq of the last entry.
    pub(crate) fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    fn catch_up(
        &mut self,
        server: &Server,
        connection: &Connection,
        witness: (UserId, DeviceId),
    ) -> Result<()> {
        let entries = read(&mut self.follower, server, connection, witness)?;
        self.entries.extend(entries);
        let dense = self.entries.last().is_none_or(|last| last.seq == self.head());
        ensure!(dense, "the log has {} entries, and holes", self.head());
        Ok(())
    }

    /// Folds the entries that are new into what is made of them; gives who joined, at which seq, and who left.
    fn note(&mut self, now: u64) -> Vec<(UserId, Option<u64>)> {
        let changes = self.note_members();
        for at in self.noted..self.entries.len() {
            let Accepted { seq, header, entry, .. } = self.entries[at].clone();
            for redacted in redacted_by(&header, &entry.payload) {
                self.redact(redacted);
            }
            if let Some(pin) = PinChange::of(&header, &entry.payload) {
                match pin.pinned {
                    true => self.pins.insert(pin.message, seq),
                    false => self.pins.remove(&pin.message),
                };
            }
            let told = Settings::of(&header, &entry.payload);
            if let Some(Settings { retention, .. }) =
                told.filter(|it| it.retention != self.retention)
            {
                self.retention = retention;
                self.trim(now);
            }
        }
        self.noted = self.entries.len();
        changes
    }

    fn redact(&mut self, seq: u64) {
        let index = usize::try_from(seq).unwrap_or(usize::MAX).wrapping_sub(1);
        if let Some(entry) = self.entries.get_mut(index) {
            bury(entry);
            self.pins.remove(&seq);
        }
    }

    /// RET-003: the first goes for as long as it exceeds a limit and is not the last.
    fn trim(&mut self, now: u64) {
        let limit = |one: u64, other: u64| [one, other].into_iter().filter(|it| *it > 0).min();
        let max_age_s = limit(self.retention.max_age_s, RETENTION.max_age_s);
        let max_entries = limit(self.retention.max_entries, RETENTION.max_entries);
        while let [first, _, ..] = self.kept() {
            let age_ms = now.saturating_sub(first.header.time_ms);
            let is_old = max_age_s.is_some_and(|most| age_ms > most * 1000);
            let are_many = max_entries.is_some_and(|most| self.kept().len() as u64 > most);
            if !(is_old || are_many) {
                break;
            }
            self.pins.remove(&self.first_seq);
            self.first_seq += 1;
        }
    }

    /// Who joined, at which seq, and who left, in the entries that are new.
    fn note_members(&mut self) -> Vec<(UserId, Option<u64>)> {
        let mut changes = Vec::new();
        for entry in &self.entries[self.noted..] {
            match Membership::of(&entry.header, &entry.entry.payload) {
                Some(Membership::Joined { user, handle }) => {
                    self.members.insert(user, handle);
                    changes.push((user, Some(entry.seq)));
                }
                Some(Membership::Left { user }) => {
                    self.members.remove(&user);
                    changes.push((user, None));
                }
                Some(Membership::Renamed { user, new, .. }) => {
                    self.members.insert(user, new);
                }
                None => {}
            }
        }
        changes
    }

    /// The entries of kind MESSAGE after a seq that are kept.
    fn messages_after(&self, seq: u64) -> impl DoubleEndedIterator<Item = &Accepted> {
        let from = usize::try_from(seq.max(self.first_seq - 1)).unwrap_or(usize::MAX);
        let from = from.min(self.entries.len());
        self.entries[from..].iter().filter(|entry| entry.kind() == v1::EntryKind::Message)
    }
}

/// What is left of a redacted entry.
pub(crate) fn bury(entry: &mut Accepted) {
    entry.entry = v1::Entry {
        header: entry.entry.header.clone(),
        payload_hash: entry.payload_hash.to_vec().into(),
        ..Default::default()
    };
}

/// Fetches what a follower of the witness's wants.
fn read(
    follower: &mut Follower,
    server: &Server,
    connection: &Connection,
    witness: (UserId, DeviceId),
) -> Result<Vec<Accepted>> {
    let conversation = follower.conversation();
    let mut entries = Vec::new();
    while let Some(fetch) = follower.poll_fetch() {
        let command = Command::Fetch {
            conversation,
            from_seq: fetch.from_seq,
            max_entries: 16,
            signed_head: fetch.signed_head,
        };
        match server.execute(connection, Some(witness), command) {
            Outcome::Reply(Body::Fetched(fetched)) => {
                entries.extend(follower.handle_fetched(&server.log_key()?, &fetched)?);
            }
            Outcome::Refused(Refusal { code: ErrorCode::Trimmed, first_seq, anchor, .. }) => {
                let code = ErrorCode::Trimmed.into();
                let error = v1::Error { code, first_seq, anchor, ..Default::default() };
                follower.handle_refused(&error)?;
            }
            other => bail!("the witness fetches {conversation}: {other:?}"),
        }
    }
    Ok(entries)
}

/// Makes the witness's account.
fn register(
    server: &Server,
    connection: &Connection,
    clock: &Clock,
    rng: &mut Rng,
) -> Result<(UserId, DeviceId)> {
    let key = SigningKey::generate(&mut |bytes| rng.fill(bytes));
    let register = Command::Register {
        key: IdempotencyKey::new(uuid_v7(clock.now().unix_ms, rng.bytes())),
        handle: Name::new("witness", 32)?,
        password: Secret::new("correct horse battery".to_owned()),
        on_conflict: OnConflict::Reject,
        device: DeviceBinding { public_key: key.public_key(), name: "witness".to_owned() },
    };
    match server.execute(connection, None, register) {
        Outcome::LoggedIn { user_id, device_id } => Ok((user_id, device_id)),
        other => bail!("the witness registers: {other:?}"),
    }
}
