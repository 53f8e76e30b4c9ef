//! The rules, and nothing else.

use std::collections::{BTreeMap, HashMap};

use aside_crypto::payload_hash;
use aside_proto::{
    limits, v1,
    v1::{EntryKind, Role},
};

use super::{Answer, DEVICES, Lab, MAX_ROOMS, Request, USERS, What, World, retention};
use crate::suite::Must as _;

/// The rules, over plain collections.
#[derive(Default)]
pub(super) struct Model {
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
    /// All there ever were.
    entries: Vec<(EntryKind, u64)>,
    /// How many of them are removed.
    removed: usize,
    retention: v1::Retention,
    /// Who sent each message that is kept, by its seq, and whether it still has a payload.
    messages: BTreeMap<u64, (usize, bool)>,
}

struct Done {
    kind: std::mem::Discriminant<What>,
    message_to: Option<usize>,
    answer: Answer,
}

impl Model {
    pub(super) fn new(world: &World) -> Self {
        let mut model = Self::default();
        for user in 0..USERS {
            let handle = world.handle(user);
            model.handles.insert(handle.clone(), user);
            model.users.push(User { handle, renamed_ms: None });
        }
        model
    }

    /// Does what a request asks and says what it must be answered with.
    pub(super) fn answer(&mut self, now: u64, world: &World, request: Request) -> Answer {
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
            What::Retain { room, max_age_h, max_entries } => {
                let Some(room) = self.existing(world, room) else { return NO_ROOM };
                room.retain(user, retention(max_age_h, max_entries), now)
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

    pub(super) fn trim(&mut self, now: u64) {
        for room in self.rooms.values_mut() {
            room.trim(now);
        }
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
    pub(super) async fn compare(&self, lab: &Lab, world: &World) -> Result<(), String> {
        for (&index, room) in &self.rooms {
            let Some((&member, _)) = room.members.first_key_value() else { continue };
            let asker = world.user(member);
            let log = lab.kept(asker, world.rooms[index]).await;
            for (read, seq) in log.iter().zip(room.removed as u64 + 1..) {
                let is_whole = room.messages.get(&seq).is_none_or(|&(_, is_whole)| is_whole);
                if is_whole == read.entry.payload.is_empty() {
                    return Err(format!("room {index}: {read:?}, expected {is_whole}"));
                }
            }
            let entries: Vec<_> =
                log.iter().map(|read| (read.header.kind(), read.header.time_ms)).collect();
            let expected = &room.entries[room.removed..];
            if entries != expected {
                return Err(format!("room {index}: {entries:?}, expected {expected:?}"));
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

    fn retain(&mut self, user: usize, retention: v1::Retention, now: u64) -> Answer {
        match self.members.get(&user) {
            None => return Answer::Refused("not a member"),
            Some(Role::Owner) => {}
            Some(_) => return Answer::Refused("not permitted"),
        }
        if retention != self.retention {
            self.retention = retention;
            self.append(EntryKind::RoomUpdated, now);
            self.trim(now);
        }
        self.shown_to(user)
    }

    /// Removes the first entry for as long as it exceeds a limit and is not the last.
    fn trim(&mut self, now: u64) {
        let v1::Retention { max_age_s, max_entries } = self.retention;
        loop {
            let left = self.entries.len() - self.removed;
            let (_, time_ms) = self.entries[self.removed];
            let is_old = max_age_s > 0 && now.saturating_sub(time_ms) > max_age_s * 1000;
            let are_many = max_entries > 0 && left as u64 > max_entries;
            if left == 1 || !(is_old || are_many) {
                break;
            }
            self.removed += 1;
            self.messages.remove(&(self.removed as u64));
        }
    }

    fn shown_to(&self, user: usize) -> Answer {
        Answer::Room {
            role: self.members.get(&user).copied().unwrap_or(Role::Unspecified),
            members: self.members.len() as u32,
            first_seq: self.removed as u64 + 1,
            head_seq: self.entries.len() as u64,
        }
    }
}
