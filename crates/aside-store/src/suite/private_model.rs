//! Random commits, messages, leaving and revoking in one GROUP, in random batches and with restarts, against a model that has the
//! rules of epochs, leaves and roles and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use aside_proto::{
    id::{ConversationId, UserId},
    private::{Change, Epoch, Leaf, WelcomeFor},
    v1::Role,
};
use bytes::Bytes;
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};

use super::{Actor, Lab, list};
use crate::{Refused, Reply, SendPrivate, SubmitCommit};

list![random_commits_do_what_the_model_says];

const SEQUENCES: u32 = 24;
/// Whose each device is.
const USERS: [usize; 5] = [0, 0, 1, 1, 2];

#[derive(Debug, Clone)]
enum Step {
    /// Requests made at once, which so come into one batch.
    Batch(Vec<Request>),
    Restart,
}

#[derive(Debug, Clone)]
struct Request {
    device: usize,
    /// Behind the present epoch by so much.
    behind: u64,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Commit { added: BTreeSet<usize>, removed: BTreeSet<usize> },
    External { again: bool },
    Send,
    Leave,
}

/// What a request is answered with, as far as the model goes.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Committed { seq: u64, epoch: u64 },
    Sent { seq: u64 },
    Left,
    Refused(&'static str),
}

// cites: DS-011, DS-012, DS-013, DS-015, DS-018, DS-019, DS-032, DS-033, DS-034, PRIV-007, PRIV-011, PRIV-013, PRIV-015, PRIV-016
async fn random_commits_do_what_the_model_says(mut lab: Lab) {
    let mut runner = TestRunner::new(Config::default());
    let steps = vec(step(), 1..30);
    for round in 0..SEQUENCES {
        let steps = steps.new_tree(&mut runner).expect("nothing is filtered").current();
        let result;
        (lab, result) = attempt(lab, round, &steps).await;
        assert_eq!(result, Ok(()), "in {steps:#?}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => vec(request(), 1..8).prop_map(Step::Batch),
        1 => Just(Step::Restart),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let devices = || proptest::collection::btree_set(0..USERS.len(), 0..3);
    let what = prop_oneof![
        6 => (devices(), devices()).prop_map(|(added, removed)| What::Commit { added, removed }),
        2 => any::<bool>().prop_map(|again| What::External { again }),
        5 => Just(What::Send),
        1 => Just(What::Leave),
    ];
    (0..USERS.len(), prop_oneof![6 => Just(0_u64), 1 => Just(1)], what)
        .prop_map(|(device, behind, what)| Request { device, behind, what })
}

async fn attempt(mut lab: Lab, round: u32, steps: &[Step]) -> (Lab, Result<(), String>) {
    let mut actors: Vec<Actor> = Vec::new();
    for (device, user) in USERS.iter().enumerate() {
        let actor = match USERS[..device].iter().position(|other| other == user) {
            None => lab.approved(&format!("m{round}u{user}")).await,
            Some(first) => lab.second(actors[first]).await,
        };
        actors.push(actor);
    }
    let group = lab.established(actors[0], &[actors[2], actors[4]]).await;
    let mut model = Model::new(&actors);
    for step in steps {
        let Step::Batch(requests) = step else {
            let limits = lab.limits;
            lab = lab.reopen(limits).await;
            continue;
        };
        let at: Vec<u64> =
            requests.iter().map(|request| model.epoch - request.behind.min(model.epoch)).collect();
        let expected: Vec<_> =
            requests.iter().zip(&at).map(|(request, at)| model.answer(request, *at)).collect();
        let pending: Vec<_> = requests
            .iter()
            .zip(&at)
            .map(|(request, at)| ask(&lab, &actors, group, request, *at))
            .collect();
        for ((request, reply), expected) in requests.iter().zip(pending).zip(expected) {
            let answer = wait(reply).await;
            if answer != expected {
                return (lab, Err(format!("{request:?}: {answer:?}, expected {expected:?}")));
            }
        }
    }
    let result = model.compare(&lab, &actors, group).await;
    (lab, result)
}

/// A reply of any kind.
enum Pending {
    Committed(Reply<aside_proto::v1::Committed>),
    Sent(Reply<aside_proto::v1::Sent>),
    Left(Reply<aside_proto::v1::Left>),
}

fn ask(lab: &Lab, actors: &[Actor], group: ConversationId, request: &Request, at: u64) -> Pending {
    let by = actors[request.device];
    let leaf = |device: &usize| Leaf { user: actors[*device].user, device: actors[*device].device };
    let (added, removed, is_external) = match &request.what {
        What::Commit { added, removed } => (added.clone(), removed.clone(), false),
        What::External { again } => {
            let own = BTreeSet::from([request.device]);
            (own.clone(), if *again { own } else { BTreeSet::new() }, true)
        }
        What::Send => {
            return Pending::Sent(lab.store.send_private(SendPrivate {
                user: by.user,
                device: by.device,
                conversation: group,
                message_id: lab.key(),
                epoch: Epoch { generation: 1, epoch: at },
                payload: Bytes::copy_from_slice(&lab.bytes::<24>()),
                salt: lab.bytes(),
            }));
        }
        What::Leave => return Pending::Left(lab.store.leave(lab.leaving(by, group))),
    };
    let devices: Vec<_> = added.iter().map(|device| actors[*device].device).collect();
    let welcomes = match devices.is_empty() || is_external {
        true => Vec::new(),
        false => vec![WelcomeFor { welcome: "welcome".into(), devices }],
    };
    Pending::Committed(lab.store.submit_commit(SubmitCommit {
        key: lab.key(),
        user: by.user,
        device: by.device,
        plan: Change {
            conversation: group,
            base: Epoch { generation: 1, epoch: at },
            added: added.iter().map(leaf).collect(),
            removed: removed.iter().map(leaf).collect(),
            is_external,
        },
        payload: Bytes::copy_from_slice(&lab.bytes::<24>()),
        salt: lab.bytes(),
        welcomes,
        group_info: "info".into(),
    }))
}

async fn wait(pending: Pending) -> Answer {
    let refused = |refused| match refused {
        Refused::NoSuchConversation => Answer::Refused("no such conversation"),
        Refused::WrongEpoch { .. } => Answer::Refused("wrong epoch"),
        Refused::StaleEpoch { .. } => Answer::Refused("stale epoch"),
        Refused::NotInGroup => Answer::Refused("not in group"),
        Refused::RemovalPending { .. } => Answer::Refused("removal pending"),
        Refused::RosterMismatch => Answer::Refused("roster"),
        Refused::NotPermitted => Answer::Refused("not permitted"),
        other => unreachable!("the model knows no {other:?}"),
    };
    match pending {
        Pending::Committed(reply) => reply.await.map_or_else(refused, |committed| {
            Answer::Committed { seq: committed.seq, epoch: committed.epoch }
        }),
        Pending::Sent(reply) => {
            reply.await.map_or_else(refused, |sent| Answer::Sent { seq: sent.seq })
        }
        Pending::Left(reply) => reply.await.map_or_else(refused, |_| Answer::Left),
    }
}

/// The rules, over devices and users by their numbers.
struct Model {
    /// Which id each user has: of members of equal standing the lowest inherits.
    ids: BTreeMap<usize, UserId>,
    epoch: u64,
    head: u64,
    /// Whether each leaf is cut off.
    leaves: BTreeMap<usize, bool>,
    /// Each member's role, and the entry that made it a member.
    members: BTreeMap<usize, (Role, u64)>,
}

impl Model {
    fn new(actors: &[Actor]) -> Self {
        Self {
            ids: USERS.iter().copied().zip(actors.iter().map(|actor| actor.user)).collect(),
            epoch: 1,
            head: 2,
            leaves: [0, 2, 4].map(|device| (device, false)).into(),
            members: [(0, (Role::Owner, 1)), (1, (Role::Member, 2)), (2, (Role::Member, 2))].into(),
        }
    }

    fn answer(&mut self, request: &Request, at: u64) -> Answer {
        let (device, user) = (request.device, USERS[request.device]);
        let Some((role, _)) = self.members.get(&user).copied() else {
            return Answer::Refused("no such conversation");
        };
        match &request.what {
            What::Send => self.send(device, at),
            What::Leave => self.leave(user),
            What::Commit { added, removed } => {
                if at != self.epoch {
                    return Answer::Refused("wrong epoch");
                }
                if self.leaves.get(&device) != Some(&false) {
                    return Answer::Refused("not in group");
                }
                self.commit(device, role, (added, removed), false)
            }
            What::External { again } => {
                let own = BTreeSet::from([device]);
                let removed = if *again { own.clone() } else { BTreeSet::new() };
                if at != self.epoch {
                    return Answer::Refused("wrong epoch");
                }
                let has_leaf = self.leaves.keys().any(|leaf| USERS[*leaf] == user);
                if !has_leaf || *again != self.leaves.contains_key(&device) {
                    return Answer::Refused("roster");
                }
                self.commit(device, role, (&own, &removed), true)
            }
        }
    }

    fn send(&mut self, device: usize, at: u64) -> Answer {
        if self.leaves.get(&device) != Some(&false) {
            return Answer::Refused("not in group");
        }
        if at != self.epoch {
            return Answer::Refused("stale epoch");
        }
        if self.leaves.values().any(|cut_off| *cut_off) {
            return Answer::Refused("removal pending");
        }
        self.head += 1;
        Answer::Sent { seq: self.head }
    }

    fn leave(&mut self, user: usize) -> Answer {
        self.members.remove(&user);
        for (_, cut_off) in self.leaves.iter_mut().filter(|(device, _)| USERS[**device] == user) {
            *cut_off = true;
        }
        self.head += 1;
        self.pass_on();
        Answer::Left
    }

    fn commit(
        &mut self,
        device: usize,
        role: Role,
        (added, removed): (&BTreeSet<usize>, &BTreeSet<usize>),
        is_external: bool,
    ) -> Answer {
        let user = USERS[device];
        let removes_itself = !is_external && removed.contains(&device);
        let stays = |(leaf, cut_off): (&usize, &bool)| *cut_off && !removed.contains(leaf);
        if !is_external && self.leaves.iter().any(stays) {
            return Answer::Refused("removal pending");
        }
        let is_there = |leaf: &usize| self.leaves.contains_key(leaf);
        let adds_twice = added.iter().any(|leaf| {
            is_there(leaf) && !(is_external && *leaf == device && removed.contains(leaf))
        });
        if removes_itself || !removed.iter().all(is_there) || adds_twice {
            return Answer::Refused("roster");
        }
        let may_remove =
            |leaf: &usize| self.leaves[leaf] || USERS[*leaf] == user || role == Role::Owner;
        let may_add = |leaf: &usize| USERS[*leaf] == user || role == Role::Owner;
        if !removed.iter().all(may_remove) || !added.iter().all(may_add) {
            return Answer::Refused("not permitted");
        }
        self.apply(added, removed)
    }

    fn apply(&mut self, added: &BTreeSet<usize>, removed: &BTreeSet<usize>) -> Answer {
        self.head += 1;
        self.epoch += 1;
        let answer = Answer::Committed { seq: self.head, epoch: self.epoch };
        let put_out: BTreeSet<usize> = removed
            .iter()
            .filter(|leaf| !self.leaves[*leaf])
            .map(|leaf| USERS[*leaf])
            .filter(|user| self.members.contains_key(user))
            .collect();
        self.leaves.retain(|leaf, _| !removed.contains(leaf));
        for leaf in added {
            self.leaves.insert(*leaf, false);
            self.members.entry(USERS[*leaf]).or_insert((Role::Member, self.head));
        }
        let is_seated = |user| self.leaves.keys().any(|leaf| USERS[*leaf] == user);
        for user in put_out {
            if !is_seated(user) {
                self.members.remove(&user);
            }
        }
        self.pass_on();
        answer
    }

    /// Roles are given by this alone here: there are no admins.
    fn pass_on(&mut self) {
        if self.members.values().any(|(role, _)| *role == Role::Owner) {
            return;
        }
        let has_leaf = |user: &usize| {
            self.leaves.iter().any(|(device, cut_off)| USERS[*device] == *user && !cut_off)
        };
        let order = |user: &usize, since: u64| (!has_leaf(user), since, self.ids[user]);
        let heir = self.members.iter().min_by_key(|(user, (_, since))| order(user, *since));
        if let Some((&heir, &(_, since))) = heir {
            self.members.insert(heir, (Role::Owner, since));
            self.head += 1;
        }
    }

    async fn compare(
        &self,
        lab: &Lab,
        actors: &[Actor],
        group: ConversationId,
    ) -> Result<(), String> {
        let Some(user) = self.members.keys().next() else { return Ok(()) };
        let device = USERS.iter().position(|other| other == user).expect("each has one");
        let info = lab.info(actors[device], group).await;
        let of = |cut_off| {
            let leaves = self.leaves.iter().filter(move |(_, is)| **is == cut_off);
            leaves.map(|(device, _)| actors[*device].device.to_bytes()).collect::<BTreeSet<_>>()
        };
        let found = |leaves: Vec<aside_proto::v1::Leaf>| {
            leaves.into_iter().map(|leaf| leaf.device_id).collect::<BTreeSet<_>>()
        };
        let roles: BTreeMap<_, _> =
            lab.roles(actors[device].user, group).await.into_iter().collect();
        let expected: BTreeMap<_, _> = self
            .members
            .iter()
            .map(|(user, (role, _))| {
                let device = USERS.iter().position(|other| other == user).expect("each has one");
                (actors[device].user, *role)
            })
            .collect();
        let log = lab.log(actors[device].user, group).await;
        let same = (info.epoch, found(info.leaves), found(info.pending_removals))
            == (self.epoch, of(false), of(true))
            && roles == expected
            && log.len() as u64 == self.head;
        if same {
            Ok(())
        } else {
            Err(format!("{roles:?} {}, expected {expected:?} {}", log.len(), self.head))
        }
    }
}
