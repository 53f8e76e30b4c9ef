//! Random sequences of requests, in random batches, with restarts and a clock that jumps, against a model that has the
//! rules and nothing else.

mod rules;

use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    v1,
    v1::{OnConflict, Role},
};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};

use self::rules::Model;
use super::{Actor, Lab, Must as _, id, list, name};
use crate::{
    Append, BindDevice, CreateRoom, Join, Leave, Redact, Refused, Rename, Reply, UpdateRoom,
};

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
    /// What is no longer to be kept is removed.
    Trim,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    device: usize,
    key: usize,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Send {
        room: usize,
        text: u8,
    },
    Create {
        room: usize,
    },
    Join {
        room: usize,
    },
    Leave {
        room: usize,
    },
    Rename {
        handle: usize,
        suffix: bool,
    },
    Redact {
        room: usize,
        seqs: [u8; 2],
    },
    /// Limits to what is kept: hours, and entries.
    Retain {
        room: usize,
        max_age_h: u8,
        max_entries: u8,
    },
}

/// What a request is answered with, as far as the model goes.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Sent { seq: u64, time_ms: u64, payload_hash: Vec<u8> },
    Room { role: Role, members: u32, first_seq: u64, head_seq: u64 },
    Left,
    Renamed(String),
    Redacted { seq: u64 },
    Refused(&'static str),
}

// cites: LOG-001, LOG-004, LOG-010, IDEM-006, IDEM-007, IDEM-008, IDEM-010, MSG-004, ROOM-005, ROOM-006, ROOM-007
// cites: REDACT-001, REDACT-004, REDACT-005, REDACT-006, REDACT-007, REDACT-008, REDACT-019
// cites: RET-003, RET-004, RET-006, RET-008, RET-010, ROOM-022, ROOM-026
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
        2 => Just(Step::Trim),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let room = 0..ROOMS;
    let what = prop_oneof![
        8 => (room.clone(), any::<u8>()).prop_map(|(room, text)| What::Send { room, text }),
        2 => room.clone().prop_map(|room| What::Create { room }),
        3 => room.clone().prop_map(|room| What::Join { room }),
        2 => room.clone().prop_map(|room| What::Leave { room }),
        3 => (room.clone(), [1..MAX_SEQ, 1..MAX_SEQ])
            .prop_map(|(room, seqs)| What::Redact { room, seqs }),
        2 => (room, 0..3u8, 0..6u8).prop_map(|(room, max_age_h, max_entries)| {
            What::Retain { room, max_age_h, max_entries }
        }),
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
            Step::Trim => {
                model.trim(lab.now());
                assert!(!lab.store.trim().await.must(), "there is little to do");
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
    Updated(Reply<v1::RoomUpdated>),
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
            What::Retain { room, max_age_h, max_entries } => {
                Pending::Updated(lab.store.update_room(UpdateRoom {
                    key,
                    user,
                    device,
                    conversation: self.rooms[room],
                    name: None,
                    topic: None,
                    description: None,
                    invite_only: None,
                    retention: Some(retention(max_age_h, max_entries)),
                }))
            }
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
            Pending::Updated(reply) => judge(reply.await, |updated| shown(updated.room)),
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
    let (first_seq, head_seq) = (room.first_seq, room.head_seq);
    Answer::Room { role: room.role(), members: room.member_count, first_seq, head_seq }
}

fn retention(max_age_h: u8, max_entries: u8) -> v1::Retention {
    v1::Retention { max_age_s: u64::from(max_age_h) * 3600, max_entries: max_entries.into() }
}
