//! One device: the real session, followers and engine, and around them what the client keeps.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context as _, Result};
use aside_client::private::{self, Engine, Identity, KnownLog, Received, Writes};
use aside_crypto::{Certificate, DeviceLog, MlsKey, PublicKey, SigningKey};
use aside_mls::{AwsLc, Owner, Secret, Suite};
use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId, uuid_v7},
    v1::{self, client_frame::Body},
};
use aside_session::client::{
    RequestId, Session,
    log::{Accepted, Follower, Remembered, Start},
};

use super::{
    people::{Everyone, User},
    sabotage::{Former, PrivateSabotage},
    vault::Vault,
    witness::{Fate, Place, Witness},
};
use crate::{clock::Clock, rng::Rng, talk};

/// One device.
pub(crate) struct Device {
    /// Such as `alice-2`.
    pub(crate) name: String,
    pub(crate) index: usize,
    /// Its user, by number.
    pub(crate) user: usize,
    /// Whether it makes the account; the others log in by password.
    pub(crate) registers: bool,
    pub(crate) login_key: SigningKey,
    mls_key: aside_mls::SigningKey,
    pub(crate) disk: Disk,
    /// A copy of the disk.
    pub(crate) backup: Option<Disk>,
    /// None after a crash.
    pub(crate) running: Option<Running>,
    /// Nothing gets through until then.
    pub(crate) partitioned_until_ms: u64,
    /// The server said so: it never comes back.
    pub(crate) is_revoked: bool,
    /// It was broken, which shows when it starts anew.
    pub(crate) wants_crash: bool,
    /// The last state of each group that was ever on its disk.
    pub(crate) states: BTreeMap<(ConversationId, u32), Secret>,
    /// Of a sabotage.
    pub(crate) former: Former,
    /// Its disk was ever put back.
    pub(crate) has_forgotten: bool,
}

/// What survives a crash.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) register_key: IdempotencyKey,
    pub(crate) owner: Option<Owner>,
    pub(crate) log_key: Option<PublicKey>,
    pub(crate) certificate: Option<Certificate>,
    /// Device logs as they are pinned.
    pub(crate) logs: BTreeMap<UserId, Pinned>,
    pub(crate) rooms: BTreeMap<ConversationId, Room>,
    pub(crate) outbox: VecDeque<(IdempotencyKey, Body)>,
    pub(crate) vault: Vault,
    /// What was taken in of each conversation by then.
    pub(crate) taken_in: BTreeMap<ConversationId, u64>,
    /// Whom it knew in the group of each conversation that it was in last.
    pub(crate) knew: BTreeMap<ConversationId, BTreeSet<UserId>>,
}

/// A device log, and what it comes to.
#[derive(Clone)]
pub(crate) struct Pinned {
    pub(crate) known: KnownLog,
    pub(crate) log: DeviceLog,
}

/// A conversation that is, or was, followed.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) is_member: bool,
    pub(crate) kind: v1::ConversationKind,
    /// The first entry wanted.
    pub(crate) from_seq: u64,
    pub(crate) remembered: Option<Remembered>,
    pub(crate) entries: BTreeMap<u64, Accepted>,
}

/// What a crash takes.
#[derive(Default)]
pub(crate) struct Running {
    pub(crate) engine: Option<Engine>,
    pub(crate) followers: BTreeMap<ConversationId, Follower>,
    /// What the engine wants to be kept, and is not on disk.
    pub(crate) unsaved: Option<Writes>,
    /// What it had taken in of each conversation then.
    pub(crate) taken_in: BTreeMap<ConversationId, u64>,
    pub(crate) online: Option<Online>,
}

/// A connection.
pub(crate) struct Online {
    pub(crate) link: u64,
    pub(crate) session: Session,
    pub(crate) authenticated: bool,
    pub(crate) limits: v1::Limits,
    pub(crate) asked: BTreeMap<RequestId, Asked>,
    pub(crate) listing: Listing,
    pub(crate) members_due: BTreeSet<ConversationId>,
    /// Whose members were asked for on this connection.
    pub(crate) members_known: BTreeSet<ConversationId>,
    /// Device logs that are being fetched.
    pub(crate) logs: BTreeMap<UserId, Received>,
}

/// The list of the conversations that the user is a member of.
#[derive(Default)]
pub(crate) struct Listing {
    pub(crate) is_due: bool,
    pub(crate) is_under_way: bool,
}

/// What a reply is to.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Summaries,
    Members(ConversationId),
    Fetch(ConversationId),
    Log(UserId),
    Effect(IdempotencyKey),
    Engine(private::Asked),
    /// Something evil: whatever comes of it.
    Evil,
}

/// What a device is surrounded by.
pub(crate) struct Scene<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) rng: &'a mut Rng,
    pub(crate) witness: &'a mut Witness,
    pub(crate) users: &'a mut Vec<User>,
    pub(crate) sabotage: Option<PrivateSabotage>,
    /// What happened besides, for the trace.
    pub(crate) notes: Vec<String>,
}

impl Scene<'_> {
    /// A key for an effect.
    pub(crate) fn new_key(&mut self) -> IdempotencyKey {
        IdempotencyKey::new(uuid_v7(self.clock.now().unix_ms, self.rng.bytes()))
    }

    pub(crate) fn is(&self, sabotage: PrivateSabotage) -> bool {
        self.sabotage == Some(sabotage)
    }
}

impl Device {
    pub(crate) fn new(
        index: usize,
        (user, handle): (usize, &str),
        number: usize,
        clock: &Clock,
        rng: &mut Rng,
    ) -> Result<Self> {
        let disk = Disk {
            register_key: IdempotencyKey::new(uuid_v7(clock.now().unix_ms, rng.bytes())),
            owner: None,
            log_key: None,
            certificate: None,
            logs: BTreeMap::new(),
            rooms: BTreeMap::new(),
            outbox: VecDeque::new(),
            vault: Vault::default(),
            taken_in: BTreeMap::new(),
            knew: BTreeMap::new(),
        };
        Ok(Self {
            name: format!("{handle}-{number}"),
            index,
            user,
            registers: number == 1,
            login_key: SigningKey::generate(&mut |bytes| rng.fill(bytes)),
            mls_key: aside_mls::SigningKey::generate::<AwsLc>(Suite::P256Aes128)?,
            disk,
            backup: None,
            running: None,
            partitioned_until_ms: 0,
            is_revoked: false,
            wants_crash: false,
            has_forgotten: false,
            states: BTreeMap::new(),
            former: Former::default(),
        })
    }

    /// Starts the program, from what is on disk.
    pub(crate) fn start(&mut self, scene: &mut Scene<'_>) -> Result<()> {
        let mut running = Running::default();
        for (id, room) in &self.disk.rooms {
            running.followers.insert(*id, room.follower(*id));
        }
        self.running = Some(running);
        self.start_engine(scene)
    }

    /// Once the device has a certificate.
    pub(crate) fn start_engine(&mut self, scene: &mut Scene<'_>) -> Result<()> {
        let Some(certificate) = self.disk.certificate.clone() else { return Ok(()) };
        let identity = Identity { certificate, keys: vec![self.mls_key.clone()] };
        let logs: Vec<DeviceLog> = self.disk.logs.values().map(|it| it.log.clone()).collect();
        let mut rng = scene.rng.fork();
        let random: private::Random = Box::new(move |bytes: &mut [u8]| rng.fill(bytes));
        let mut engine = Engine::new(identity, self.disk.vault.stored(), logs, random)?;
        for (id, room) in &self.disk.rooms {
            if let Some((last, _)) = room.entries.last_key_value() {
                engine.kept(*id, *last);
            }
        }
        let running = self.running.as_mut().context("it runs")?;
        running.engine = Some(engine);
        Ok(())
    }

    /// This device as MLS has it, with what is on its disk, and a judge that refuses nobody.
    pub(crate) fn mls(&self, everyone: &std::sync::Arc<Everyone>) -> Result<aside_mls::Device> {
        let certificate = self.disk.certificate.as_ref().context("it has a certificate")?;
        let packages = self.disk.vault.key_packages.clone();
        let keys = vec![self.mls_key.clone()];
        let certificate = certificate.as_bytes().to_vec();
        Ok(aside_mls::Device::new(certificate, keys, Everyone::judge(everyone), packages)?)
    }

    /// Makes its certificate, now that it knows who it is.
    pub(crate) fn certify(&mut self, owner: Owner, everyone: &Everyone) -> Result<Certificate> {
        let public_key = self.mls_key.public().to_vec();
        let keys = [MlsKey { suite: Suite::P256Aes128.number(), public_key }];
        let certificate = Certificate::issue(owner.user, owner.device, &self.login_key, &keys)?;
        everyone.note(&certificate);
        self.disk.certificate = Some(certificate.clone());
        Ok(certificate)
    }

    /// Loses everything that is not on disk.
    pub(crate) fn crash(&mut self, witness: &mut Witness) {
        self.running = None;
        witness.crashed(self.index);
    }

    /// Puts what the engine wants to be kept on disk, at once or not at all.
    pub(crate) fn save(&mut self, scene: &mut Scene<'_>) -> Result<()> {
        let running = self.running.as_mut().context("it runs")?;
        let Some(mut writes) = running.unsaved.take() else { return Ok(()) };
        let taken_in = std::mem::take(&mut running.taken_in);
        for writes in writes.conversations.values() {
            for (key, value) in &writes.outgoing {
                if value.is_some() {
                    scene.witness.told(*key, Fate::Kept)?;
                }
            }
        }
        let forgets = scene.is(PrivateSabotage::ForgetToSave) && scene.rng.one_in(4);
        if forgets {
            writes.conversations.values_mut().for_each(|writes| writes.groups.clear());
            self.wants_crash = true;
        }
        if scene.is(PrivateSabotage::ReadTwice) {
            for (id, kept) in &self.disk.vault.conversations {
                if let (Some(writes), Some((seq, reading))) =
                    (writes.conversations.get_mut(id), kept.readings.last_key_value())
                {
                    writes.readings.entry(*seq).or_insert_with(|| reading.encode());
                }
            }
        }
        if scene.is(PrivateSabotage::KeysOfBefore) {
            self.keep_former(&writes, &scene.witness.everyone)?;
        }
        for (id, writes) in &writes.conversations {
            let states = writes.groups.iter().filter_map(|(it, state)| Some((it, state.as_ref()?)));
            self.states.extend(states.map(|(it, state)| ((*id, *it), state.clone())));
        }
        self.disk.vault.write(writes)?;
        self.disk.taken_in = taken_in;
        let knows = self.seen().into_iter().flat_map(known_by).collect::<Vec<_>>();
        self.disk.knew.extend(knows);
        if let Some(engine) = self.engine() {
            engine.written();
        }
        self.audit(scene)
    }

    /// Looks into what others have sent at the epochs that this device's disk is at.
    pub(crate) fn audit(&self, scene: &mut Scene<'_>) -> Result<()> {
        let Some(owner) = self.disk.owner else { return Ok(()) };
        if scene.users[self.user].is_evil {
            return Ok(());
        }
        let Some(engine) = self.running.as_ref().and_then(|it| it.engine.as_ref()) else {
            return Ok(());
        };
        for id in engine.conversations() {
            let Some((generation, epoch, _)) = engine.epoch_authenticator(id) else { continue };
            let place: Place = (id, generation, epoch);
            let sealed = scene.witness.sealed_at(owner, place);
            let Some(state) = self.disk.vault.group(id).filter(|_| !sealed.is_empty()) else {
                continue;
            };
            let device = self.mls(&scene.witness.everyone)?;
            let Ok(mut group) = device.load(state) else { continue };
            if group.epoch() != epoch || group.id().generation != generation {
                continue;
            }
            for sealed in sealed {
                let payload: v1::PrivatePayload = prost::Message::decode(&sealed.payload[..])?;
                let opened = group.decrypt(&payload.ciphertext, &payload.header, sealed.by);
                let opened = opened.map(|message| message.generation);
                if opened != Err(aside_mls::Reason::NotAMember) {
                    scene.witness.opened(&sealed, opened)?;
                }
            }
        }
        Ok(())
    }

    /// Puts the disk back to what it was when it was copied. Only what the user sees elsewhere stays: who it is, its pins.
    pub(crate) fn put_back(&mut self, witness: &mut Witness) {
        let Some(backup) = self.backup.clone() else { return };
        self.crash(witness);
        witness.causes.put_back(self.index, self.disk.rooms.keys().copied());
        self.disk = backup;
        self.has_forgotten = true;
        let rooms = self.disk.vault.conversations.values();
        let kept: BTreeSet<_> = rooms.flat_map(|kept| kept.outgoing.keys().copied()).collect();
        witness.forget(self.index, self.disk.taken_in.clone(), &kept);
    }

    /// Opens a connection: its TLS handshake is done.
    pub(crate) fn connect(&mut self, link: u64, binding: [u8; 32], scene: &mut Scene<'_>) {
        let of = (scene.clock, &mut *scene.rng);
        let capabilities = ["talk", "sync", "private"];
        let session = talk::open(&capabilities, self.disk.log_key, binding, of);
        if let Some(running) = &mut self.running {
            running.online = Some(Online {
                link,
                session,
                authenticated: false,
                limits: v1::Limits::default(),
                asked: BTreeMap::new(),
                listing: Listing::default(),
                members_due: BTreeSet::new(),
                members_known: BTreeSet::new(),
                logs: BTreeMap::new(),
            });
        }
    }

    /// The connection, if there is one.
    pub(crate) fn online(&mut self) -> Option<&mut Online> {
        self.running.as_mut()?.online.as_mut()
    }

    pub(crate) fn engine(&mut self) -> Option<&mut Engine> {
        self.running.as_mut()?.engine.as_mut()
    }

    /// The engine, to be looked at.
    pub(crate) fn seen(&self) -> Option<&Engine> {
        self.running.as_ref()?.engine.as_ref()
    }

    /// The connection's link.
    pub(crate) fn link(&self) -> Option<u64> {
        Some(self.running.as_ref()?.online.as_ref()?.link)
    }

    /// Whether it waits for nothing, and has nothing to do.
    pub(crate) fn is_at_rest(&self) -> bool {
        let Some(running) = &self.running else { return false };
        let waits = running.online.as_ref().is_none_or(|online| {
            !online.authenticated || !online.asked.is_empty() || online.listing.is_due
        });
        !waits && running.unsaved.is_none() && self.disk.outbox.is_empty()
    }

    /// Whether it is one of its user's devices, as it knows its user's log itself.
    pub(crate) fn is_approved(&self) -> bool {
        let Some(owner) = self.disk.owner else { return false };
        self.own_log().is_some_and(|log| log.active().any(|it| it.device() == owner.device))
    }

    /// Its user's device log, as it is pinned.
    pub(crate) fn own_log(&self) -> Option<&DeviceLog> {
        Some(&self.disk.logs.get(&self.disk.owner?.user)?.log)
    }

    /// Intends an effect: it is asked for until it is answered, over as many connections and runs as that takes.
    pub(crate) fn intend(&mut self, key: IdempotencyKey, body: Body) {
        self.disk.outbox.push_back((key, body));
    }

    /// Those it takes its user to be in.
    pub(crate) fn joined(&self) -> Vec<ConversationId> {
        let rooms = self.disk.rooms.iter().filter(|(_, room)| room.is_member);
        rooms.map(|(id, _)| *id).collect()
    }
}

/// The users in each group that an engine is in.
fn known_by(engine: &Engine) -> impl Iterator<Item = (ConversationId, BTreeSet<UserId>)> {
    let users = |id| {
        engine.epoch_authenticator(id)?;
        let health = engine.health(id).filter(|it| it.led_by.is_none())?;
        Some((id, health.leaves.iter().map(|leaf| leaf.user).collect()))
    };
    engine.conversations().filter_map(users)
}

impl Room {
    pub(crate) fn follower(&self, id: ConversationId) -> Follower {
        match self.remembered.clone() {
            Some(remembered) => Follower::resume(id, remembered),
            None if self.from_seq > 1 => Follower::new(id, Start::At(self.from_seq)),
            None => Follower::new(id, Start::Beginning),
        }
    }

    /// The last entry that is kept, or the one before the first wanted.
    pub(crate) fn last(&self) -> u64 {
        self.entries.last_key_value().map_or(self.from_seq - 1, |(seq, _)| *seq)
    }
}
