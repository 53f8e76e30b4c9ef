//! Engines that talk through a delivery service in memory: one device a user, and one conversation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aside_crypto::{Change, Signer, chain_next, chain_start, payload_hash};
use aside_proto::v1::{EntryKind, ErrorCode, client_frame, server_frame::Body as Reply};
use prost::Message as _;

use super::*;
use crate::private::record::{leaf, owner, owners};

/// One device, and what it was told.
pub(super) struct Peer {
    pub(super) engine: Engine,
    pub(super) told: Vec<Event>,
    /// Entries whose MLS message comes to it changed.
    pub(super) garbled: BTreeSet<u64>,
    /// Whether its connection is lost with the next reply.
    pub(super) is_cut_off: bool,
    /// Whether the server permits it no commit.
    pub(super) is_forbidden: bool,
    /// Whether the server does not say how the group stands.
    pub(super) is_kept_in_the_dark: bool,
    /// What the server answers to its commits, whatever they are.
    pub(super) commits_refused: Option<ErrorCode>,
    /// And to its messages.
    pub(super) messages_refused: Option<ErrorCode>,
    /// How often it has answered so.
    pub(super) refusals: u32,
    /// Whether the server says that there is no such conversation for it.
    pub(super) is_out: bool,
    /// Whether the server lists the conversation to it.
    pub(super) is_listed: bool,
    /// The last entry that it is given, if not the last there is.
    pub(super) sees_up_to: Option<u64>,
    /// Whether the server acknowledges its messages and keeps none: with the right hash, or not.
    pub(super) swallows: Option<bool>,
    /// From which entry on the server shows it another history.
    pub(super) other_history_from: Option<u64>,
    /// Whether the server gives its user's device log to nobody else.
    pub(super) is_log_withheld: bool,
    log: DeviceLog,
    identity: (Certificate, SigningKey),
    /// What it would find if it started again.
    kept: StoredConversation,
    readings: BTreeMap<u64, aside_mls::Secret>,
    packages: VecDeque<Bytes>,
    welcomes: Vec<v1::InboxWelcome>,
}

/// Devices, and what the server has.
pub(super) struct World {
    pub(super) peers: Vec<Peer>,
    pub(super) entries: Vec<Entry>,
    pub(super) id: ConversationId,
    kind: v1::ConversationKind,
    pub(super) now_ms: u64,
    pub(super) info: v1::GroupInfo,
}

impl World {
    /// So many devices, of which the first makes the conversation. It has begun when all others are in.
    pub(super) fn new(kind: v1::ConversationKind, count: u8) -> Self {
        let mut world = Self::made(kind, count);
        for user in 2..=count {
            match kind {
                v1::ConversationKind::Direct => world.say(0, "hello"),
                _ => assert!(world.peers[0].engine.want(world.id, Goal::Add(user_of(user)))),
            }
        }
        world.settle();
        assert!((0..count.into()).all(|it| world.is_in(it)), "all are in");
        world
    }

    /// The same, before anybody has said or done something there.
    pub(super) fn made(kind: v1::ConversationKind, count: u8) -> Self {
        let peers = (1..=count).map(Peer::new).collect();
        let now_ms = 1_750_000_000_000;
        let id = match kind {
            v1::ConversationKind::Direct => aside_crypto::direct_id(user_of(1), user_of(2)),
            _ => ROOM,
        };
        let (entries, info) = Default::default();
        let mut world = Self { peers, entries, id, kind, now_ms, info };
        let owners = if kind == v1::ConversationKind::Direct { count } else { 1 };
        let created = v1::ConversationCreatedPayload {
            kind: kind.into(),
            user_ids: (1..=owners).map(|user| user_of(user).to_bytes()).collect(),
        };
        world.append(0, [0; 16], EntryKind::ConversationCreated, created.encode_to_vec());
        world.settle();
        world
    }

    /// The user of a device begins anew with another one, and the server hands out no other log from now on; gives the one before.
    pub(super) fn begin_anew(&mut self, at: usize) -> DeviceLog {
        let (user, device) = (self.peers[at].me().user, DeviceId::new([200; 16]));
        let login_key = aside_crypto::SigningKey::from_bytes(&[200; 32]).unwrap();
        let keys = self.peers[at].identity.0.mls_keys().to_vec();
        let certificate = Certificate::issue(user, device, &login_key, &keys).unwrap();
        let phrase = RecoveryPhrase::generate(Strength::Bits128, &mut |bytes| bytes.fill(200));
        let genesis = DeviceLog::sign_genesis(&phrase.account_key(), &certificate);
        let log = DeviceLog::begin(user, &genesis).unwrap();
        std::mem::replace(&mut self.peers[at].log, log)
    }

    /// The user of a device approves another one, of which only this one knows while its log is withheld.
    pub(super) fn approve_another(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        let Owner { user, device } = peer.me();
        let another = aside_crypto::SigningKey::from_bytes(&[201; 32]).unwrap();
        let keys = peer.identity.0.mls_keys();
        let certificate = Certificate::issue(user, DeviceId::new([201; 16]), &another, keys);
        let change = Change::Add(certificate.unwrap());
        let entry = peer.log.sign_next(Signer::Device(device), &login_key(user), &change);
        peer.log.apply(&entry).unwrap();
        peer.engine.learn(peer.log.clone());
    }

    /// A device starts again, with what it kept of the conversation, these logs that were replaced, and everybody's as it is now.
    pub(super) fn restart(&mut self, at: usize, former: &[DeviceLog]) {
        let now = self.peers.iter().map(|peer| peer.log.clone());
        let logs = former.iter().cloned().chain(now).collect();
        let peer = &mut self.peers[at];
        let conversations = [(self.id, std::mem::take(&mut peer.kept))].into();
        let stored = Stored { conversations, ..Stored::default() };
        peer.engine = start(peer.identity.clone(), stored, logs);
    }

    /// A device has heard of the conversation, and begins with nothing of it.
    pub(super) fn forget(&mut self, at: usize) {
        self.peers[at].kept = StoredConversation::default();
        self.peers[at].sees_up_to = Some(0);
        self.restart(at, &[]);
    }

    /// How many devices are in the group, as the server has it.
    pub(super) fn leaves(&self) -> usize {
        self.info.leaves.len()
    }

    /// Lets everything happen that can.
    pub(super) fn settle(&mut self) {
        let mut still = 0;
        for _ in 0..200 {
            let moves: Vec<_> = (0..self.peers.len()).map(|at| self.turn(at)).collect();
            still = if moves.contains(&true) { 0 } else { still + 1 };
            // What is wanted after all else was done is asked for in the next turn.
            if still == 2 {
                return;
            }
        }
        panic!("it goes in circles");
    }

    /// Time passes, and everything happens that can.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.settle();
    }

    pub(super) fn say(&mut self, at: usize, text: &'static str) {
        let key = IdempotencyKey::new(self.key());
        self.peers[at].engine.send(self.id, key, Bytes::from_static(text.as_bytes())).unwrap();
    }

    /// Whether a device is in the group, at the epoch that the server has.
    pub(super) fn is_in(&self, at: usize) -> bool {
        let place = self.peers[at].engine.epoch_authenticator(self.id);
        let place = place.map(|(generation, epoch, _)| (u64::from(generation), epoch));
        place == Some((self.info.generation, self.info.epoch))
    }

    pub(super) fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The next commit's entry will not be readable for a device.
    pub(super) fn garble_next(&mut self, at: usize) {
        let next = self.head() + 1;
        self.peers[at].garbled.insert(next);
    }

    /// What a device was told since the last call.
    pub(super) fn told(&mut self, at: usize) -> Vec<Event> {
        std::mem::take(&mut self.peers[at].told)
    }

    /// What an entry turned out to say to a device.
    pub(super) fn reading(&self, at: usize, seq: u64) -> Option<Reading> {
        self.peers[at].readings.get(&seq).map(|kept| Reading::decode(kept).unwrap())
    }

    /// Whether a message is kept until its sender can be judged.
    pub(super) fn has_doubts(&self, at: usize) -> bool {
        !self.peers[at].kept.doubted.is_empty()
    }

    /// A device that is in no group begins one with another, in the place of the one that is.
    pub(super) fn take_over(&mut self, at: usize, with: usize) {
        let package = self.peers[with].packages.pop_front().unwrap();
        let log = self.peers[with].log.clone();
        self.peers[at].engine.learn(log);
        let (by, with) = (self.peers[at].me(), self.peers[with].me());
        let generation = self.info.generation + 1;
        let id = aside_mls::GroupId {
            conversation: self.id,
            generation: u32::try_from(generation).unwrap(),
        };
        let now = self.now_ms / 1000;
        let mut group = self.peers[at].engine.device.create(Suite::P256Aes128, id, now).unwrap();
        let add = vec![group.key_package(&package).unwrap()];
        let header = v1::EstablishHeader {
            conversation_id: self.id.to_bytes(),
            generation,
            head_seq: self.head(),
            suite: 2,
            leaves: vec![leaf(by), leaf(with)],
            culprit: None,
        };
        let header = header.encode_to_vec();
        let change = aside_mls::Change { add, ..Default::default() };
        let made = group.commit(&change, &header, now).unwrap();
        let (welcome, device_ids) = (made.welcome.unwrap().into(), vec![with.device.to_bytes()]);
        let establish = v1::EstablishGroup {
            header: header.into(),
            welcomes: vec![v1::Welcome { welcome, device_ids }],
            group_info: made.group_info.into(),
            ..v1::EstablishGroup::default()
        };
        let key = self.key();
        self.establish(at, key, establish);
    }

    /// The server makes up a commit of somebody's, which adds a leaf.
    pub(super) fn forge_commit(&mut self, by: Owner, added: v1::Leaf) {
        let key = self.key();
        let header = v1::CommitHeader {
            conversation_id: self.id.to_bytes(),
            message_id: Bytes::copy_from_slice(&key),
            generation: self.info.generation,
            epoch: self.info.epoch,
            added: vec![added.clone()],
            ..v1::CommitHeader::default()
        };
        let (header, commit) = (header.encode_to_vec().into(), Bytes::from_static(b"garbage"));
        let payload = v1::CommitPayload { header, commit };
        self.append_by(by, key, EntryKind::Commit, payload.encode_to_vec());
        self.info.epoch += 1;
        self.info.leaves.push(added);
    }

    /// The server says that a device is to be removed, since its user left or revoked it.
    pub(super) fn cut_off(&mut self, by: usize, gone: Owner, left: bool) {
        let pending = v1::RemovalPendingPayload {
            user_id: gone.user.to_bytes(),
            device_ids: vec![gone.device.to_bytes()],
            left,
        };
        self.append(by, [0; 16], EntryKind::RemovalPending, pending.encode_to_vec());
    }

    fn key(&mut self) -> [u8; 16] {
        let mut random = [0; 10];
        self.now_ms += 1;
        random[2..].copy_from_slice(&self.now_ms.to_be_bytes());
        aside_proto::id::uuid_v7(self.now_ms, random)
    }

    fn turn(&mut self, at: usize) -> bool {
        let (head, kind, now_ms, id) = (self.head(), self.kind, self.now_ms, self.id);
        let mut moved = false;
        let is_shown = |(of, peer): &(usize, &Peer)| *of == at || !peer.is_log_withheld;
        let shown = self.peers.iter().enumerate().filter(is_shown);
        let logs: BTreeMap<_, _> = shown.map(|(_, it)| (it.log.user(), it.log.clone())).collect();
        let peer = &mut self.peers[at];
        let head = peer.sees_up_to.unwrap_or(head).min(head);
        let engine = &mut peer.engine;
        engine.tick(now_ms);
        if peer.is_listed {
            engine.follow(id, kind, head, 0);
            engine.kept(id, head);
        }
        while let Some(user) = engine.poll_log() {
            moved = true;
            match logs.get(&user).cloned() {
                Some(log) => engine.learn(log),
                None => engine.no_log(user),
            }
        }
        while let Some((id, from)) = engine.wants_entries() {
            moved = true;
            let shown = &self.entries[from as usize - 1..head as usize];
            let shown = shown.iter().take(READ_AHEAD);
            let (garbled, other) = (&peer.garbled, peer.other_history_from);
            engine.entries(
                id,
                shown.map(|it| {
                    let mut entry = shown_as(it, garbled.contains(&it.seq));
                    entry.chain[0] ^= u8::from(other.is_some_and(|from| it.seq >= from));
                    entry
                }),
            );
        }
        engine.work().unwrap();
        if let Some(mut writes) = engine.take_writes() {
            let writes = writes.conversations.remove(&id).unwrap_or_default();
            peer.kept.record = writes.record.or_else(|| peer.kept.record.take());
            for (generation, state) in writes.groups {
                peer.kept.groups.remove(&generation);
                peer.kept.groups.extend(state.map(|state| (generation, state)));
            }
            peer.readings.extend(writes.readings);
            for (seq, doubted) in writes.doubted {
                peer.kept.doubted.retain(|(of, _)| *of != seq);
                peer.kept.doubted.extend(doubted.map(|doubted| (seq, doubted)));
            }
            engine.written();
        }
        while let Some((_, event)) = engine.poll_event() {
            moved = true;
            peer.told.push(event);
        }
        if let Some((asked, key, body)) = engine.poll_request() {
            moved = true;
            let key = key.map_or([0; 16], |key| *key.as_bytes());
            let reply = self.reply(at, key, body);
            let peer = &mut self.peers[at];
            if std::mem::take(&mut peer.is_cut_off) {
                peer.engine.disconnected();
                peer.engine.online(limits::DEFAULT, now_ms);
            } else {
                peer.engine.replied(asked, reply.map_err(|error| *error));
            }
        }
        moved
    }

    fn reply(
        &mut self,
        at: usize,
        key: [u8; 16],
        body: client_frame::Body,
    ) -> Result<Reply, Box<v1::Error>> {
        use client_frame::Body;
        let is_of_it = matches!(body, Body::SubmitCommit(_) | Body::SendPrivate(_));
        if self.peers[at].is_out && is_of_it {
            let code = ErrorCode::NoSuchConversation.into();
            return Err(Box::new(v1::Error { code, ..v1::Error::default() }));
        }
        let refused = match body {
            Body::SubmitCommit(_) => self.peers[at].commits_refused,
            Body::SendPrivate(_) => self.peers[at].messages_refused,
            _ => None,
        };
        if let Some(code) = refused {
            self.peers[at].refusals += 1;
            return Err(Box::new(v1::Error { code: code.into(), ..v1::Error::default() }));
        }
        if self.peers[at].is_forbidden && matches!(body, Body::SubmitCommit(_)) {
            let code = ErrorCode::NotPermitted.into();
            return Err(Box::new(v1::Error { code, ..v1::Error::default() }));
        }
        Ok(match body {
            Body::PublishKeyPackages(publish) => {
                let packages = publish.key_packages.into_iter().chain([publish.last_resort]);
                self.peers[at].packages.extend(packages.filter(|it| !it.is_empty()));
                Reply::KeyPackagesPublished(v1::KeyPackagesPublished { available: 50 })
            }
            Body::FetchInbox(fetch) => {
                let items = self.peers[at].welcomes.iter().filter(|it| it.position > fetch.after);
                Reply::Inbox(v1::Inbox { items: items.cloned().collect(), more: false })
            }
            Body::AckInbox(_) => Reply::InboxAcked(v1::InboxAcked {}),
            Body::ClaimKeyPackages(claim) => {
                let claimed = claim.targets.iter().map(|target| self.claim(target)).collect();
                Reply::KeyPackagesClaimed(v1::KeyPackagesClaimed { claimed })
            }
            Body::EstablishGroup(establish) => self.establish(at, key, establish),
            Body::SubmitCommit(submit) => self.commit(at, key, submit)?,
            Body::SendPrivate(send) => {
                let payload = v1::PrivatePayload::decode(&send.payload[..]).unwrap();
                let header = v1::PrivateHeader::decode(&payload.header[..]).unwrap();
                if (header.generation, header.epoch) != (self.info.generation, self.info.epoch) {
                    let (code, head_seq) = (ErrorCode::StaleEpoch.into(), self.head());
                    return Err(Box::new(v1::Error { code, head_seq, ..v1::Error::default() }));
                }
                let mut hash = payload_hash(&send.salt[..].try_into().unwrap(), &send.payload);
                let swallows = self.peers[at].swallows;
                hash[0] ^= u8::from(swallows == Some(false));
                let seq = match swallows {
                    Some(_) => self.head() + 1,
                    None => self.append(at, key, EntryKind::PrivateMessage, send.payload.to_vec()),
                };
                let payload_hash = Bytes::copy_from_slice(&hash);
                Reply::Sent(v1::Sent { seq, payload_hash, ..v1::Sent::default() })
            }
            Body::RejectCommit(reject) => {
                let payload = v1::CommitRejectedPayload { seq: reject.seq, code: reject.code };
                let kind = EntryKind::CommitRejected;
                let seq = self.append(at, key, kind, payload.encode_to_vec());
                Reply::CommitRejected(v1::CommitRejected { seq })
            }
            Body::ReportForkCheck(_) => Reply::ForkCheckReported(v1::ForkCheckReported {}),
            Body::GetGroupInfo(_) if self.peers[at].is_kept_in_the_dark => {
                let code = ErrorCode::NotPermitted.into();
                return Err(Box::new(v1::Error { code, ..v1::Error::default() }));
            }
            Body::GetGroupInfo(_) => Reply::GroupInfo(self.info.clone()),
            body => panic!("the engine asks {body:?}"),
        })
    }

    fn claim(&mut self, target: &v1::ClaimTarget) -> v1::ClaimedKeyPackage {
        let is_theirs = |it: &&mut Peer| it.me().user.as_bytes()[..] == target.user_id[..];
        let peer = self.peers.iter_mut().find(is_theirs).unwrap();
        v1::ClaimedKeyPackage {
            user_id: target.user_id.clone(),
            device_id: peer.me().device.to_bytes(),
            key_package: peer.packages.pop_front().unwrap(),
            ..v1::ClaimedKeyPackage::default()
        }
    }

    fn establish(&mut self, at: usize, key: [u8; 16], establish: v1::EstablishGroup) -> Reply {
        let header = v1::EstablishHeader::decode(&establish.header[..]).unwrap();
        let seq = self.append(at, key, EntryKind::GroupEstablished, establish.header.to_vec());
        self.info = v1::GroupInfo {
            generation: header.generation,
            epoch: 1,
            suite: header.suite,
            group_info: establish.group_info,
            leaves: header.leaves,
            pending_removals: Vec::new(),
        };
        self.welcome(seq, &establish.welcomes);
        let generation = header.generation;
        Reply::GroupEstablished(v1::GroupEstablished { seq, generation, ..Default::default() })
    }

    fn commit(
        &mut self,
        at: usize,
        key: [u8; 16],
        submit: v1::SubmitCommit,
    ) -> Result<Reply, Box<v1::Error>> {
        let payload = v1::CommitPayload::decode(&submit.payload[..]).unwrap();
        let header = v1::CommitHeader::decode(&payload.header[..]).unwrap();
        if (header.generation, header.epoch) != (self.info.generation, self.info.epoch) {
            let (code, head_seq) = (ErrorCode::WrongEpoch.into(), self.head());
            return Err(Box::new(v1::Error { code, head_seq, ..v1::Error::default() }));
        }
        let seq = self.append(at, key, EntryKind::Commit, submit.payload.to_vec());
        let mut leaves = owners(&self.info.leaves).unwrap();
        for gone in header.removed.iter().filter_map(owner) {
            leaves.remove(&gone);
        }
        leaves.extend(header.added.iter().filter_map(owner));
        self.info.leaves = leaves.into_iter().map(leaf).collect();
        (self.info.epoch, self.info.group_info) = (header.epoch + 1, submit.group_info);
        self.welcome(seq, &submit.welcomes);
        let (generation, epoch) = (self.info.generation, self.info.epoch);
        Ok(Reply::Committed(v1::Committed { seq, generation, epoch, ..Default::default() }))
    }

    fn welcome(&mut self, seq: u64, welcomes: &[v1::Welcome]) {
        for peer in &mut self.peers {
            let device = peer.me().device.to_bytes();
            for welcome in welcomes.iter().filter(|it| it.device_ids.contains(&device)) {
                peer.welcomes.push(v1::InboxWelcome {
                    position: peer.welcomes.len() as u64 + 1,
                    conversation_id: self.id.to_bytes(),
                    seq,
                    welcome: welcome.welcome.clone(),
                    ..v1::InboxWelcome::default()
                });
                peer.engine.inbox_item();
            }
        }
    }

    pub(super) fn append(
        &mut self,
        at: usize,
        key: [u8; 16],
        kind: EntryKind,
        payload: Vec<u8>,
    ) -> u64 {
        self.append_by(self.peers[at].me(), key, kind, payload)
    }

    fn append_by(&mut self, by: Owner, key: [u8; 16], kind: EntryKind, payload: Vec<u8>) -> u64 {
        let seq = self.head() + 1;
        let header = v1::EntryHeader {
            conversation_id: self.id.to_bytes(),
            seq,
            kind: kind.into(),
            sender_user_id: by.user.to_bytes(),
            sender_device_id: by.device.to_bytes(),
            message_id: Bytes::copy_from_slice(&key),
            time_ms: self.now_ms,
            signature: Bytes::new(),
        };
        let before = self.entries.last().map_or_else(|| chain_start(self.id), |it| it.chain);
        let chain = chain_next(&before, &header.encode_to_vec(), &payload_hash(&[7; 32], &payload));
        self.entries.push(Entry { seq, header, payload: payload.into(), chain });
        seq
    }
}

impl Peer {
    /// The server has them no more, or says so.
    pub(super) fn drop_welcomes(&mut self) {
        self.welcomes.clear();
    }

    fn new(number: u8) -> Self {
        let (certificate, key, log) = identity(number);
        let identity = (certificate, key);
        Self {
            engine: start(identity.clone(), Stored::default(), Vec::new()),
            told: Vec::new(),
            garbled: BTreeSet::new(),
            is_cut_off: false,
            is_forbidden: false,
            is_kept_in_the_dark: false,
            commits_refused: None,
            messages_refused: None,
            refusals: 0,
            is_out: false,
            is_listed: true,
            sees_up_to: None,
            other_history_from: None,
            swallows: None,
            is_log_withheld: false,
            log,
            identity,
            kept: StoredConversation::default(),
            readings: BTreeMap::new(),
            packages: VecDeque::new(),
            welcomes: Vec::new(),
        }
    }

    pub(super) fn me(&self) -> Owner {
        self.engine.me()
    }
}

/// An entry as it is shown, its commit changed in the last byte or not.
fn shown_as(entry: &Entry, is_garbled: bool) -> Entry {
    let mut entry = entry.clone();
    if is_garbled && entry.header.kind() == EntryKind::Commit {
        let mut payload = v1::CommitPayload::decode(&entry.payload[..]).unwrap();
        let mut commit = payload.commit.to_vec();
        *commit.last_mut().unwrap() ^= 1;
        payload.commit = commit.into();
        entry.payload = payload.encode_to_vec().into();
    }
    entry
}
