//! What is true: the logs as they became durable, and what follows from them. Everything the server says is held against it.
//!
//! A witness, an account of its own, is a member of every room and is pushed every entry the moment it is durable. It follows the logs
//! as any client would, so their density, their chains and the signed heads are checked on the way.

mod judge;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use aside_crypto::SigningKey;
use aside_proto::{
    frame,
    id::{ConversationId, DeviceId, IdempotencyKey, UserId, uuid_v7},
    name::Name,
    v1::{self, server_frame::Body},
};
use aside_server::simulation::Connection;
use aside_session::{
    client::log::{Accepted, Follower, Membership, Start},
    server::{Command, DeviceBinding, OnConflict, Outcome, Secret},
};
use prost::Message as _;

use crate::{
    clock::Clock,
    rng::Rng,
    server::{Executed, Server},
};

/// What is durable, as far as anyone has been told.
pub(crate) struct Truth {
    witness: Option<(UserId, DeviceId)>,
    connection: Option<Connection>,
    pub(crate) logs: BTreeMap<ConversationId, Log>,
    watermarks: BTreeMap<(ConversationId, UserId), (u64, u64)>,
}

/// One conversation.
pub(crate) struct Log {
    follower: Follower,
    /// All of them, from seq 1 on.
    pub(crate) entries: Vec<Accepted>,
    /// How many of them `members` is made of.
    noted: usize,
    /// The members and their handles.
    pub(crate) members: BTreeMap<UserId, String>,
}

impl Truth {
    pub(crate) fn new() -> Self {
        let (logs, watermarks) = Default::default();
        Self { witness: None, connection: None, logs, watermarks }
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
            let mut now = Log::new(*conversation);
            now.catch_up(server, connection, (user_id, device_id))?;
            let entries =
                |log: &Log| log.entries.iter().map(|it| it.entry.clone()).collect::<Vec<_>>();
            ensure!(
                entries(log) == entries(&now),
                "the log of {conversation} is not what it was before the server stopped"
            );
            log.follower = now.follower;
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
        self.catch_up(server)
    }

    /// Something was carried out: takes in what became durable by it, then judges what is told of it.
    pub(crate) fn learn(
        &mut self,
        server: &Server,
        executed: &[Executed],
        clock: &Clock,
        rng: &mut Rng,
    ) -> Result<()> {
        self.catch_up(server)?;
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
    fn catch_up(&mut self, server: &Server) -> Result<()> {
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
            for (user, seq) in log.note_members() {
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
        Self { follower, entries: Vec::new(), noted: 0, members: BTreeMap::new() }
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
        let conversation = self.follower.conversation();
        while let Some(fetch) = self.follower.poll_fetch() {
            let command = Command::Fetch {
                conversation,
                from_seq: fetch.from_seq,
                max_entries: 16,
                signed_head: fetch.signed_head,
            };
            match server.execute(connection, Some(witness), command) {
                Outcome::Reply(Body::Fetched(fetched)) => {
                    let key = server.log_key()?;
                    self.entries.extend(self.follower.handle_fetched(&key, &fetched)?);
                }
                other => bail!("the witness fetches {conversation}: {other:?}"),
            }
        }
        let dense = self.entries.last().is_none_or(|last| last.seq == self.head());
        ensure!(dense, "the log of {conversation} has {} entries, and holes", self.head());
        Ok(())
    }

    /// Folds the entries that are new into the members: who joined, at which seq, and who left.
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
        self.noted = self.entries.len();
        changes
    }

    /// The entries of kind MESSAGE after a seq.
    fn messages_after(&self, seq: u64) -> impl DoubleEndedIterator<Item = &Accepted> {
        let from = usize::try_from(seq).unwrap_or(usize::MAX).min(self.entries.len());
        self.entries[from..].iter().filter(|entry| entry.kind() == v1::EntryKind::Message)
    }
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
