//! Random sequences of requests, in random batches, with restarts and a clock that jumps, against a model that has the
//! rules and nothing else.

use std::collections::{BTreeMap, HashMap};

use aside_crypto::payload_hash;
use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    limits, v1,
    v1::{EntryKind, OnConflict, Role},
};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};

use super::{Actor, Lab, Must as _, id, list, name};
use crate::{Append, BindDevice, CreateRoom, Join, Leave, Redact, Refused, Rename, Reply};

list![random_requests_do_what_the_model_says];

const SEQUENCES: u32 = 48;
/// Whose each device is: the first account has two.
const DEVICES: [usize; 4] = [0, 0, 1, 2];
const USERS: usize = 3;
const ROOMS: usize = 3;
const KEYS: usize = 8;
const HANDLES: usize = 4;
/// Entries that are tried to be redacted: most of them are there.
const MAX_SEQ: u8 = 12;
/// Few enough to be reached.
const MAX_ROOMS: u32 = 2;

/// What happens between two waits.
#[derive(Debug, Clone)]
enum Step {
    /// Requests made at once, which so come into one batch.
    Batch(Vec<Request>),
    /// The clock jumps, perhaps back.
    Clock(i64),
    Restart,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    device: usize,
    key: usize,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Send { room: usize, text: u8 },
    Create { room: usize },
    Join { room: usize },
    Leave { room: usize },
    Rename { handle: usize, suffix: bool },
    Redact { room: usize, seqs: [u8; 2] },
}

/// What a request is answered with, as far as the model goes.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Sent { seq: u64, time_ms: u64, payload_hash: Vec<u8> },
    Room { role: Role, members: u32, head_seq: u64 },
    Left,
    Renamed(String),
    Redacted { seq: u64 },
    Refused(&'static str),
}

// cites: LOG-001, LOG-004, LOG-010, IDEM-006, IDEM-007, IDEM-008, IDEM-010, MSG-004, ROOM-005, ROOM-006, ROOM-007
// cites: REDACT-001, REDACT-004, REDACT-005, REDACT-006, REDACT-007, REDACT-008, REDACT-019
// cites: ROOM-008, ROOM-010, ROOM-012, ROOM-013, ROOM-015, ROOM-021, ACCT-003, ACCT-004, ACCT-005, HEAD-002
async fn random_requests_do_what_the_model_says(lab: Lab) {
    let mut lab = lab.limited(|limits| limits.max_rooms_per_user = MAX_ROOMS).await;
    let mut runner = TestRunner::new(Config::default());
    let steps = vec(step(), 1..24);
    for _ in 0..SEQUENCES {
        let mut tree = steps.new_tree(&mut runner).expect("nothing is filtered");
        let failure;
        (lab, failure) = attempt(lab, tree.current()).await;
        let Err(mut failure) = failure else { continue };
        let mut smallest = tree.current();
        // Simplify while it still fails; when it no longer does, take the last simplification back.
        let mut going = tree.simplify();
        while going {
            let again;
            (lab, again) = attempt(lab, tree.current()).await;
            going = match again {
                Ok(()) => tree.complicate(),
                Err(again) => {
                    (failure, smallest) = (again, tree.current());
                    tree.simplify()
                }
            };
        }
        assert!(failure.is_empty(), "{failure}\nafter {smallest:#?}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    let hour: i64 = 3600 * 1000;
    prop_oneof![
        12 => vec(request(), 1..12).prop_map(Step::Batch),
        2 => (-hour..2 * hour).prop_map(Step::Clock),
        1 => Just(Step::Restart),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let room = 0..ROOMS;
    let what = prop_oneof![
        8 => (room.clone(), any::<u8>()).prop_map(|(room, text)| What::Send { room, text }),
        2 => room.clone().prop_map(|room| What::Create { room }),
        3 => room.clone().prop_map(|room| What::Join { room }),
        2 => room.clone().prop_map(|room| What::Leave { room }),
        3 => (room, [1..MAX_SEQ, 1..MAX_SEQ]).prop_map(|(room, seqs)| What::Redact { room, seqs }),
        1 => (0..HANDLES, any::<bool>()).prop_map(|(handle, suffix)| What::Rename { handle, suffix }),
    ];
    (0..DEVICES.len(), 0..KEYS, what).prop_map(|(device, key, what)| Request { device, key, what })
}

/// Runs a sequence with accounts, rooms and keys of its own.
async fn attempt(mut lab: Lab, steps: Vec<Step>) -> (Lab, Result<(), String>) {
    let mut world = World::new(&lab).await;
    let mut model = Model::new(&world);
    for step in steps {
        match step {
            Step::Clock(ms) => lab.set_clock(lab.now().saturating_add_signed(ms)),
            Step::Restart => {
                let limits = lab.limits;
                lab = lab.reopen(limits).await;
            }
            Step::Batch(requests) => {
                let expected: Vec<_> = requests
                    .iter()
                    .map(|&request| model.answer(lab.now(), &world, request))
                    .collect();
                let replies: Vec<_> =
                    requests.iter().map(|&request| world.ask(&lab, request)).collect();
                for (index, (reply, expected)) in replies.into_iter().zip(expected).enumerate() {
                    let answer = world.wait(requests[index], reply).await;
                    if answer != expected {
                        let request = requests[index];
                        let difference = format!("{request:?}: {answer:?}, expected {expected:?}");
                        return (lab, Err(difference));
                    }
                }
            }
        }
    }
    let same = model.compare(&lab, &world).await;
    (lab, same)
}

/// What the requests of one sequence name.
struct World {
    prefix: String,
    actors: Vec<Actor>,
    keys: Vec<IdempotencyKey>,
    salt: [u8; 32],
    /// The rooms' ids, as far as they are known; ids of nothing stand for the others.
    rooms: Vec<ConversationId>,
    is_known: [bool; ROOMS],
}

/// A reply of any kind.
enum Pending {
    Sent(Reply<v1::Sent>),
    Created(Reply<v1::RoomCreated>),
    Joined(Reply<v1::Joined>),
    Left(Reply<v1::Left>),
    Renamed(Reply<v1::Renamed>),
    Redacted(Reply<v1::Redacted>),
}

impl World {
    async fn new(lab: &Lab) -> Self {
        let prefix = format!("x{:x}", u64::from_be_bytes(lab.bytes()));
        let mut actors = Vec::new();
        for (device, &user) in DEVICES.iter().enumerate() {
            let first = DEVICES.iter().position(|&u| u == user).expect("itself at least");
            if first == device {
                actors.push(lab.register(&format!("{prefix}u{user}")).await);
                continue;
            }
            let user = actors[first].user;
            let binding = BindDevice {
                user,
                verified_hash: lab.store.password_hash_of(user).await.must().expect("registered"),
                new_hash: None,
                public_key: lab.bytes(),
                device_name: "another".to_owned(),
            };
            actors.push(Actor { user, device: lab.store.bind_device(binding).await.must() });
        }
        let keys = (0..KEYS).map(|_| lab.key()).collect();
        let rooms = (0..ROOMS).map(|_| ConversationId::new(lab.bytes())).collect();
        Self { prefix, actors, keys, salt: lab.bytes(), rooms, is_known: [false; ROOMS] }
    }

    fn ask(&self, lab: &Lab, request: Request) -> Pending {
        let Actor { user, device } = self.actors[request.device];
        let key = self.keys[request.key];
        match request.what {
            What::Send { room, text } => Pending::Sent(lab.store.append(Append {
                user,
                device,
                conversation: self.rooms[room],
                message_id: key,
                payload: vec![text].into(),
                salt: self.salt,
                signature: vec![text; 64].into(),
            })),
            What::Create { room } => {
                let name = name(&format!("{}r{room}", self.prefix));
                Pending::Created(lab.store.create_room(CreateRoom { key, user, device, name }))
            }
            What::Join { room } => {
                let conversation = self.rooms[room];
                Pending::Joined(lab.store.join(Join { key, user, device, conversation }))
            }
            What::Leave { room } => {
                let conversation = self.rooms[room];
                Pending::Left(lab.store.leave(Leave { key, user, device, conversation }))
            }
            What::Redact { room, seqs } => Pending::Redacted(lab.store.redact(Redact {
                key,
                user,
                device,
                conversation: self.rooms[room],
                seqs: seqs.map(u64::from).to_vec(),
            })),
            What::Rename { handle, suffix } => {
                let handle = name(&self.handle(handle));
                let on_conflict = if suffix { OnConflict::Suffix } else { OnConflict::Reject };
                Pending::Renamed(lab.store.rename(Rename {
                    key,
                    user,
                    device,
                    handle,
                    on_conflict,
                }))
            }
        }
    }

    async fn wait(&mut self, request: Request, pending: Pending) -> Answer {
        match pending {
            Pending::Sent(reply) => judge(reply.await, sent),
            Pending::Joined(reply) => judge(reply.await, |joined| shown(joined.room)),
            Pending::Left(reply) => judge(reply.await, |_| Answer::Left),
            Pending::Redacted(reply) => {
                judge(reply.await, |redacted| Answer::Redacted { seq: redacted.seq })
            }
            Pending::Renamed(reply) => {
                judge(reply.await, |renamed| Answer::Renamed(renamed.handle))
            }
            Pending::Created(reply) => {
                let answer = reply.await;
                if let (Ok(created), What::Create { room }) = (&answer, request.what) {
                    let made = created.room.as_ref().expect("a room");
                    // A retry with another room's name is answered with the room it made.
                    if made.name == format!("{}r{room}", self.prefix) {
                        self.rooms[room] = id(&made.conversation_id);
                        self.is_known[room] = true;
                    }
                }
                judge(answer, |created| shown(created.room))
            }
        }
    }

    fn user(&self, user: usize) -> UserId {
        let device = DEVICES.iter().position(|&u| u == user).expect("every account has a device");
        self.actors[device].user
    }

    /// The first handles are those the accounts have; the rest are free at first.
    fn handle(&self, handle: usize) -> String {
        format!("{}u{handle}", self.prefix)
    }
}

fn judge<T>(answer: Result<T, Refused>, show: impl FnOnce(T) -> Answer) -> Answer {
    match answer {
        Ok(reply) => show(reply),
        Err(Refused::HandleTaken) => Answer::Refused("handle taken"),
        Err(Refused::RenameTooSoon { .. }) => Answer::Refused("too soon"),
        Err(Refused::NoSuchConversation) => Answer::Refused("no such conversation"),
        Err(Refused::NotAMember) => Answer::Refused("not a member"),
        Err(Refused::RoomNameTaken) => Answer::Refused("name taken"),
        Err(Refused::TooManyRooms) => Answer::Refused("too many rooms"),
        Err(Refused::NoSuchEntry) => Answer::Refused("no such entry"),
        Err(Refused::NotPermitted) => Answer::Refused("not permitted"),
        Err(Refused::KeyReused) => Answer::Refused("key reused"),
        Err(_) => Answer::Refused("something the model does not know"),
    }
}

fn sent(sent: v1::Sent) -> Answer {
    let v1::Sent { seq, time_ms, payload_hash } = sent;
    Answer::Sent { seq, time_ms, payload_hash: payload_hash.to_vec() }
}

fn shown(room: Option<v1::Room>) -> Answer {
    let room = room.expect("a room");
    Answer::Room { role: room.role(), members: room.member_count, head_seq: room.head_seq }
}

/// The rules, over plain collections.
#[derive(Default)]
struct Model {
    users: Vec<User>,
    /// Every handle ever held, and by whom.
    handles: HashMap<String, usize>,
    rooms: BTreeMap<usize, Room>,
    /// What each device did with each key: the kind of request, the room it was for if it was a message, the answer.
    done: HashMap<(usize, usize), Done>,
}

struct User {
    handle: String,
    renamed_ms: Option<u64>,
}

#[derive(Default)]
struct Room {
    members: BTreeMap<usize, Role>,
    entries: Vec<(EntryKind, u64)>,
    /// Who sent each message, by its seq, and whether it still has a payload.
    messages: BTreeMap<u64, (usize, bool)>,
}

struct Done {
    kind: std::mem::Discriminant<What>,
    message_to: Option<usize>,
    answer: Answer,
}

impl Model {
    fn new(world: &World) -> Self {
        let mut model = Self::default();
        for user in 0..USERS {
            let handle = world.handle(user);
            model.handles.insert(handle.clone(), user);
            model.users.push(User { handle, renamed_ms: None });
        }
        model
    }

    /// Does what a request asks and says what it must be answered with.
    fn answer(&mut self, now: u64, world: &World, request: Request) -> Answer {
        let Request { device, key, what } = request;
        let message_to = match what {
            What::Send { room, .. } => Some(room),
            _ => None,
        };
        let kind = std::mem::discriminant(&what);
        if let Some(done) = self.done.get(&(device, key)) {
            return if done.kind == kind && done.message_to == message_to {
                done.answer.clone()
            } else {
                Answer::Refused("key reused")
            };
        }
        let answer = self.act(now, world, DEVICES[device], what);
        if !matches!(answer, Answer::Refused(_)) {
            self.done.insert((device, key), Done { kind, message_to, answer: answer.clone() });
        }
        answer
    }

    fn act(&mut self, now: u64, world: &World, user: usize, what: What) -> Answer {
        match what {
            What::Send { room, text } => {
                let Some(room) = self.existing(world, room) else { return NO_ROOM };
                if !room.members.contains_key(&user) {
                    return Answer::Refused("not a member");
                }
                let time_ms = room.append(EntryKind::Message, now);
                room.messages.insert(room.entries.len() as u64, (user, true));
                let payload_hash = payload_hash(&world.salt, &[text]).to_vec();
                Answer::Sent { seq: room.entries.len() as u64, time_ms, payload_hash }
            }
            What::Create { room } => self.create(user, room, now),
            What::Join { room } => {
                let is_full = self.is_full(user);
                let Some(room) = self.existing(world, room) else { return NO_ROOM };
                let is_new = !room.members.contains_key(&user);
                if is_new && is_full {
                    return Answer::Refused("too many rooms");
                }
                if is_new {
                    room.members.insert(user, Role::Member);
                    room.append(EntryKind::MemberJoined, now);
                }
                room.shown_to(user)
            }
            What::Leave { room } => {
                let Some(room) = self.existing(world, room) else { return NO_ROOM };
                if room.members.remove(&user).is_some() {
                    room.append(EntryKind::MemberLeft, now);
                }
                Answer::Left
            }
            What::Redact { room, seqs } => {
                let Some(room) = self.existing(world, room) else { return NO_ROOM };
                room.redact(user, seqs.map(u64::from), now)
            }
            What::Rename { handle, suffix } => self.rename(user, world.handle(handle), suffix, now),
        }
    }

    fn create(&mut self, user: usize, room: usize, now: u64) -> Answer {
        if self.is_full(user) {
            return Answer::Refused("too many rooms");
        }
        if self.rooms.contains_key(&room) {
            return Answer::Refused("name taken");
        }
        let made = self.rooms.entry(room).or_default();
        made.append(EntryKind::RoomCreated, now);
        made.members.insert(user, Role::Owner);
        made.append(EntryKind::MemberJoined, now);
        made.shown_to(user)
    }

    fn rename(&mut self, user: usize, wanted: String, suffix: bool, now: u64) -> Answer {
        let is_free = |handle: &String| self.handles.get(handle).is_none_or(|&held| held == user);
        let mut handle = wanted.clone();
        if !is_free(&handle) {
            if !suffix {
                return Answer::Refused("handle taken");
            }
            let mut suffixed = (2..).map(|number| format!("{wanted}-{number}"));
            handle = suffixed.find(is_free).expect("numbers do not end");
        }
        if handle == self.users[user].handle {
            return Answer::Renamed(handle);
        }
        let cooldown_ms = limits::DEFAULT.rename_cooldown_s * 1000;
        if self.users[user].renamed_ms.is_some_and(|last| now < last + cooldown_ms) {
            return Answer::Refused("too soon");
        }
        self.handles.insert(handle.clone(), user);
        self.users[user] = User { handle: handle.clone(), renamed_ms: Some(now) };
        for room in self.rooms.values_mut().filter(|room| room.members.contains_key(&user)) {
            room.append(EntryKind::MemberRenamed, now);
        }
        Answer::Renamed(handle)
    }

    fn is_full(&self, user: usize) -> bool {
        let rooms = self.rooms.values().filter(|room| room.members.contains_key(&user));
        rooms.count() >= MAX_ROOMS as usize
    }

    /// A room, if the request could name it: one that is made in the same batch has an id that nobody knows yet.
    fn existing(&mut self, world: &World, room: usize) -> Option<&mut Room> {
        self.rooms.get_mut(&room).filter(|_| world.is_known[room])
    }

    /// Compares every log and every list of members with the model's, as a member sees them.
    async fn compare(&self, lab: &Lab, world: &World) -> Result<(), String> {
        for (&index, room) in &self.rooms {
            let Some((&member, _)) = room.members.first_key_value() else { continue };
            let asker = world.user(member);
            let log = lab.log(asker, world.rooms[index]).await;
            for (read, seq) in log.iter().zip(1..) {
                let is_whole = room.messages.get(&seq).is_none_or(|&(_, is_whole)| is_whole);
                if is_whole == read.entry.payload.is_empty() {
                    return Err(format!("room {index}: {read:?}, expected {is_whole}"));
                }
            }
            let entries: Vec<_> =
                log.iter().map(|read| (read.header.kind(), read.header.time_ms)).collect();
            if entries != room.entries {
                return Err(format!("room {index}: {entries:?}, expected {:?}", room.entries));
            }
            let page = lab.store.list_members(asker, world.rooms[index], None, 100).await.must();
            let mut members: Vec<_> =
                page.members.iter().map(|member| (member.handle.clone(), member.role())).collect();
            let mut expected: Vec<_> = room
                .members
                .iter()
                .map(|(&user, &role)| (self.users[user].handle.clone(), role))
                .collect();
            members.sort_unstable();
            expected.sort_unstable();
            if members != expected {
                return Err(format!("room {index}: {members:?}, expected {expected:?}"));
            }
        }
        Ok(())
    }
}

const NO_ROOM: Answer = Answer::Refused("no such conversation");

impl Room {
    fn append(&mut self, kind: EntryKind, now: u64) -> u64 {
        let time_ms = now.max(self.entries.last().map_or(0, |&(_, time_ms)| time_ms));
        self.entries.push((kind, time_ms));
        time_ms
    }

    fn redact(&mut self, user: usize, seqs: [u64; 2], now: u64) -> Answer {
        let Some(role) = self.members.get(&user) else { return Answer::Refused("not a member") };
        if seqs.iter().any(|seq| !self.messages.contains_key(seq)) {
            return Answer::Refused("no such entry");
        }
        if *role != Role::Owner && seqs.iter().any(|seq| self.messages[seq].0 != user) {
            return Answer::Refused("not permitted");
        }
        let mut anew = false;
        for seq in seqs {
            let (_, is_whole) = self.messages.get_mut(&seq).expect("it is a message");
            anew |= std::mem::take(is_whole);
        }
        if !anew {
            return Answer::Redacted { seq: 0 };
        }
        self.append(EntryKind::Redacted, now);
        Answer::Redacted { seq: self.entries.len() as u64 }
    }

    fn shown_to(&self, user: usize) -> Answer {
        Answer::Room {
            role: self.members.get(&user).copied().unwrap_or(Role::Unspecified),
            members: self.members.len() as u32,
            head_seq: self.entries.len() as u64,
        }
    }
}
