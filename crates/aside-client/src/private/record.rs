//! What is kept of a conversation between its entries, as bytes.

use std::collections::BTreeSet;

use aside_mls::{Device, Owner, Secret, Suite};
use aside_proto::{
    id::{IdempotencyKey, UserId},
    v1::{self, client_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;

use super::{
    conversation::{Conversation, Doubted, Opened, Outgoing, Refused, Removal, Submitted},
    event::{Goal, Repair},
    guests::Named,
    intake::reject_code,
    naming::{self, Naming},
    reading::{reason_code, reason_of},
    roster::Roster,
};
use crate::StateError;

const DAMAGED: StateError = StateError::Damaged("what is kept of a private conversation");

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Record {
    #[prost(uint64, tag = "1")]
    cursor: u64,
    #[prost(enumeration = "v1::ConversationKind", tag = "2")]
    kind: i32,
    #[prost(message, repeated, tag = "3")]
    members: Vec<MemberRecord>,
    #[prost(uint32, optional, tag = "4")]
    generation: Option<u32>,
    #[prost(uint64, tag = "5")]
    epoch: u64,
    #[prost(uint32, tag = "6")]
    suite: u32,
    #[prost(message, repeated, tag = "7")]
    cut_off: Vec<v1::Leaf>,
    #[prost(message, repeated, tag = "8")]
    makers: Vec<MakerRecord>,
    #[prost(uint64, repeated, tag = "9")]
    rejected: Vec<u64>,
    #[prost(uint64, tag = "10")]
    joined_at: u64,
    #[prost(message, optional, tag = "11")]
    submitted: Option<SubmittedRecord>,
    #[prost(message, optional, tag = "12")]
    opened: Option<OpenedRecord>,
    #[prost(uint32, tag = "13")]
    repair: u32,
    #[prost(message, optional, tag = "14")]
    refused: Option<RefusedRecord>,
    #[prost(message, optional, tag = "15")]
    removal: Option<MakerRecord>,
    #[prost(message, repeated, tag = "16")]
    goals: Vec<GoalRecord>,
    #[prost(uint32, tag = "17")]
    last_repair: u32,
    #[prost(uint64, tag = "18")]
    last_repair_at: u64,
    #[prost(uint64, optional, tag = "19")]
    forked_at: Option<u64>,
    #[prost(bool, tag = "20")]
    contradicted: bool,
    #[prost(message, optional, tag = "21")]
    naming: Option<naming::Record>,
    #[prost(bool, tag = "22")]
    at_is_vague: bool,
    #[prost(bool, tag = "23")]
    is_removed: bool,
    #[prost(uint32, optional, tag = "24")]
    floor_generation: Option<u32>,
    #[prost(uint64, tag = "25")]
    floor_epoch: u64,
    #[prost(bool, tag = "26")]
    is_unlisted: bool,
    #[prost(message, repeated, tag = "27")]
    left_behind: Vec<LeftBehindRecord>,
    /// At the cursor.
    #[prost(bytes = "bytes", tag = "28")]
    chain: Bytes,
    #[prost(message, repeated, tag = "29")]
    diverged: Vec<MakerRecord>,
    #[prost(bool, tag = "30")]
    is_tree_unproven: bool,
    #[prost(message, optional, tag = "32")]
    known_before: Option<UsersRecord>,
    #[prost(message, optional, tag = "33")]
    led_by: Option<v1::Leaf>,
    #[prost(bytes = "bytes", optional, tag = "34")]
    named: Option<Bytes>,
    #[prost(bool, tag = "35")]
    is_let_lead: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct UsersRecord {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    users: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LeftBehindRecord {
    #[prost(message, optional, tag = "1")]
    by: Option<v1::Leaf>,
    #[prost(uint32, tag = "2")]
    count: u32,
    #[prost(uint64, tag = "3")]
    at_ms: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MemberRecord {
    #[prost(bytes = "bytes", tag = "1")]
    user: Bytes,
    #[prost(enumeration = "v1::Role", tag = "2")]
    role: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MakerRecord {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(message, optional, tag = "2")]
    by: Option<v1::Leaf>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RefusedRecord {
    #[prost(message, optional, tag = "1")]
    what: Option<MakerRecord>,
    #[prost(uint32, tag = "2")]
    reason: u32,
    #[prost(bool, tag = "3")]
    removes_us: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GoalRecord {
    /// 1 begin, 2 add, 3 remove, 4 renew.
    #[prost(uint32, tag = "1")]
    what: u32,
    #[prost(bytes = "bytes", tag = "2")]
    user: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SubmittedRecord {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(message, optional, tag = "2")]
    commit: Option<v1::SubmitCommit>,
    #[prost(message, optional, tag = "3")]
    establish: Option<v1::EstablishGroup>,
    #[prost(bytes = "vec", tag = "4")]
    candidate: Vec<u8>,
    #[prost(uint32, tag = "5")]
    repair: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OpenedRecord {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(bytes = "bytes", tag = "2")]
    content: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    franking_key: Bytes,
    #[prost(uint32, tag = "4")]
    position: u32,
    #[prost(bytes = "bytes", tag = "5")]
    hash: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DoubtedRecord {
    #[prost(message, optional, tag = "1")]
    by: Option<v1::Leaf>,
    #[prost(message, optional, tag = "2")]
    opened: Option<OpenedRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OutgoingRecord {
    #[prost(bytes = "bytes", tag = "1")]
    content: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    salt: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    payload: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    franking_key: Bytes,
    #[prost(uint64, tag = "5")]
    sent: u64,
    #[prost(uint64, tag = "6")]
    order: u64,
    #[prost(message, optional, tag = "7")]
    failed: Option<v1::Error>,
}

/// A device, as a message names it.
pub(super) fn leaf(owner: Owner) -> v1::Leaf {
    v1::Leaf { user_id: owner.user.to_bytes(), device_id: owner.device.to_bytes() }
}

/// Which device a message names; none if it is not 16 bytes and 16.
pub(super) fn owner(leaf: &v1::Leaf) -> Option<Owner> {
    Some(Owner {
        user: leaf.user_id[..].try_into().ok()?,
        device: leaf.device_id[..].try_into().ok()?,
    })
}

/// Those devices, each once; none if one is no device, or twice there.
pub(super) fn owners(leaves: &[v1::Leaf]) -> Option<BTreeSet<Owner>> {
    let owners: Option<BTreeSet<_>> = leaves.iter().map(owner).collect();
    owners.filter(|owners| owners.len() == leaves.len())
}

fn maker(seq: u64, by: Owner) -> MakerRecord {
    MakerRecord { seq, by: Some(leaf(by)) }
}

impl MakerRecord {
    fn read(&self) -> Option<(u64, Owner)> {
        Some((self.seq, owner(self.by.as_ref()?)?))
    }
}

fn repair_code(repair: Option<Repair>) -> u32 {
    match repair {
        None => 0,
        Some(Repair::NewDevice) => 1,
        Some(Repair::StateLost) => 2,
        Some(Repair::Behind) => 3,
        Some(Repair::NoWelcome) => 4,
        Some(Repair::Asked) => 5,
    }
}

fn repair_of(code: u32) -> Option<Repair> {
    match code {
        1 => Some(Repair::NewDevice),
        2 => Some(Repair::StateLost),
        3 => Some(Repair::Behind),
        4 => Some(Repair::NoWelcome),
        5 => Some(Repair::Asked),
        _ => None,
    }
}

impl Goal {
    fn record(self) -> GoalRecord {
        let (what, user) = match self {
            Self::Begin => (1, Bytes::new()),
            Self::Add(user) => (2, user.to_bytes()),
            Self::Remove(user) => (3, user.to_bytes()),
            Self::Renew => (4, Bytes::new()),
        };
        GoalRecord { what, user }
    }

    fn of(record: &GoalRecord) -> Option<Self> {
        let user = UserId::try_from(&record.user[..]);
        match record.what {
            1 => Some(Self::Begin),
            2 => Some(Self::Add(user.ok()?)),
            3 => Some(Self::Remove(user.ok()?)),
            4 => Some(Self::Renew),
            _ => None,
        }
    }
}

impl Conversation {
    /// The bytes to keep.
    pub(super) fn record(&self) -> Secret {
        let Roster { kind, members, at, at_is_vague, floor, suite, cut_off, makers, rejected } =
            &self.roster;
        let record = Record {
            cursor: self.cursor,
            kind: (*kind).into(),
            members: members
                .iter()
                .map(|(user, role)| MemberRecord { user: user.to_bytes(), role: (*role).into() })
                .collect(),
            generation: at.map(|(generation, _)| generation),
            epoch: at.map_or(0, |(_, epoch)| epoch),
            suite: suite.map_or(0, |suite| suite.number().into()),
            cut_off: cut_off.iter().map(|it| leaf(*it)).collect(),
            makers: makers.iter().map(|(seq, by)| maker(*seq, *by)).collect(),
            rejected: rejected.iter().copied().collect(),
            joined_at: self.joined_at,
            submitted: self.submitted.as_ref().map(Submitted::record),
            opened: self.opened.as_ref().map(Opened::record),
            repair: repair_code(self.repair),
            refused: self.refused.map(|Refused { seq, by, reason, removes_us }| RefusedRecord {
                what: Some(maker(seq, by)),
                reason: reason_code(reason),
                removes_us,
            }),
            removal: self.removal.map(|Removal { seq, by }| maker(seq, by)),
            goals: self.goals.iter().map(|goal| goal.record()).collect(),
            last_repair: repair_code(self.last_repair.map(|(repair, _)| repair)),
            last_repair_at: self.last_repair.map_or(0, |(_, seq)| seq),
            forked_at: self.forked_at,
            contradicted: self.contradicted,
            naming: self.naming.record(),
            at_is_vague: *at_is_vague,
            is_removed: self.is_removed,
            floor_generation: floor.map(|(generation, _)| generation),
            floor_epoch: floor.map_or(0, |(_, epoch)| epoch),
            is_unlisted: self.is_unlisted,
            left_behind: self
                .left_behind
                .kept()
                .map(|(by, count, at_ms)| LeftBehindRecord { by: Some(leaf(by)), count, at_ms })
                .collect(),
            chain: self
                .history
                .at(self.cursor)
                .map_or_else(Bytes::new, |chain| Bytes::copy_from_slice(chain)),
            diverged: self.history.diverged.iter().map(|(by, seq)| maker(*seq, *by)).collect(),
            is_tree_unproven: self.is_tree_unproven,
            known_before: self.known_before.as_ref().map(|users| UsersRecord {
                users: users.iter().map(|user| user.to_bytes()).collect(),
            }),
            led_by: self.led_by.map(leaf),
            named: self.named.map(|named| named.user.to_bytes()),
            is_let_lead: self.named.is_some_and(|named| named.is_let_lead),
        };
        Secret::new(record.encode_to_vec())
    }

    /// Takes up what was kept.
    pub(super) fn restore(&mut self, device: &Device, bytes: &[u8]) -> Result<(), StateError> {
        let record = Record::decode(bytes).map_err(|_| DAMAGED)?;
        let (kind, repair) = (record.kind(), repair_of(record.repair));
        let makers = record.makers.iter().map(MakerRecord::read).collect::<Option<_>>();
        let members = record.members.iter().map(|member| {
            let user = UserId::try_from(&member.user[..]).map_err(|_| DAMAGED)?;
            Ok((user, member.role()))
        });
        self.roster = Roster {
            kind,
            members: members.collect::<Result<_, StateError>>()?,
            at: record.generation.map(|generation| (generation, record.epoch)),
            at_is_vague: record.at_is_vague,
            floor: record.floor_generation.map(|generation| (generation, record.floor_epoch)),
            suite: u16::try_from(record.suite).ok().and_then(Suite::from_number),
            cut_off: owners(&record.cut_off).ok_or(DAMAGED)?,
            makers: makers.ok_or(DAMAGED)?,
            rejected: record.rejected.into_iter().collect(),
        };
        self.is_removed = record.is_removed;
        self.cursor = record.cursor;
        self.head = record.cursor;
        self.joined_at = record.joined_at;
        self.submitted = record.submitted.map(|it| Submitted::read(device, it)).transpose()?;
        self.opened = record.opened.map(Opened::read).transpose()?;
        self.repair = repair;
        let refused = record.refused.map(|it| {
            let (seq, by) = it.what.as_ref().and_then(MakerRecord::read).ok_or(DAMAGED)?;
            let (reason, removes_us) = (reason_of(it.reason), it.removes_us);
            Ok::<_, StateError>(Refused { seq, by, reason, removes_us })
        });
        self.refused = refused.transpose()?;
        // Told once more, if it is not known that all were told.
        let untold = self.refused.filter(|it| !self.roster.rejected.contains(&it.seq));
        self.reject = untold.map(|it| (it.seq, reject_code(it.reason)));
        let removal = record.removal.map(|it| it.read().ok_or(DAMAGED)).transpose()?;
        self.removal = removal.map(|(seq, by)| Removal { seq, by });
        self.goals = record.goals.iter().filter_map(Goal::of).collect();
        self.last_repair = repair_of(record.last_repair).map(|it| (it, record.last_repair_at));
        self.forked_at = record.forked_at;
        self.contradicted = record.contradicted;
        self.naming = record.naming.and_then(Naming::read).unwrap_or_default();
        self.is_unlisted = record.is_unlisted;
        for LeftBehindRecord { by, count, at_ms } in record.left_behind {
            let by = by.as_ref().and_then(owner).ok_or(DAMAGED)?;
            self.left_behind.restore(by, count, at_ms);
        }
        if !record.chain.is_empty() {
            let chain = record.chain[..].try_into().map_err(|_| DAMAGED)?;
            self.history.took_in(record.cursor, chain);
        }
        for diverged in &record.diverged {
            let (seq, by) = diverged.read().ok_or(DAMAGED)?;
            self.history.diverged.insert(by, seq);
        }
        self.is_tree_unproven = record.is_tree_unproven;
        let known_before = record.known_before.map(|known| {
            known.users.iter().map(|user| UserId::try_from(&user[..])).collect::<Result<_, _>>()
        });
        self.known_before = known_before.transpose().map_err(|_| DAMAGED)?;
        self.led_by = record.led_by.as_ref().and_then(owner);
        let named = record.named.map(|user| UserId::try_from(&user[..])).transpose();
        let is_let_lead = record.is_let_lead;
        self.named = named.map_err(|_| DAMAGED)?.map(|user| Named { user, is_let_lead });
        Ok(())
    }
}

impl Submitted {
    fn record(&self) -> SubmittedRecord {
        let mut record = SubmittedRecord {
            key: self.key.to_bytes(),
            candidate: self.candidate.as_ref().map(|kept| kept.to_vec()).unwrap_or_default(),
            repair: repair_code(self.repair),
            ..SubmittedRecord::default()
        };
        match &self.body {
            Body::SubmitCommit(commit) => record.commit = Some(commit.clone()),
            Body::EstablishGroup(establish) => record.establish = Some(establish.clone()),
            _ => {}
        }
        record
    }

    fn read(device: &Device, record: SubmittedRecord) -> Result<Self, StateError> {
        let key = IdempotencyKey::try_from(&record.key[..]).map_err(|_| DAMAGED)?;
        let body = match (record.commit, record.establish) {
            (Some(commit), None) => Body::SubmitCommit(commit),
            (None, Some(establish)) => Body::EstablishGroup(establish),
            _ => return Err(DAMAGED),
        };
        let kept = (!record.candidate.is_empty()).then(|| Secret::new(record.candidate));
        // One that can't be loaded any more is of no use: the device finds out when its entry comes.
        let group = kept.as_ref().and_then(|kept| device.load(kept).ok());
        let repair = repair_of(record.repair);
        Ok(Self { key, body, group, candidate: kept, repair })
    }
}

impl Opened {
    fn record(&self) -> OpenedRecord {
        OpenedRecord {
            seq: self.seq,
            content: self.content.clone(),
            franking_key: Bytes::copy_from_slice(&self.franking_key),
            position: self.position,
            hash: Bytes::copy_from_slice(&self.hash),
        }
    }

    fn read(record: OpenedRecord) -> Result<Self, StateError> {
        Ok(Self {
            seq: record.seq,
            content: record.content,
            franking_key: record.franking_key[..].try_into().map_err(|_| DAMAGED)?,
            position: record.position,
            hash: record.hash[..].try_into().map_err(|_| DAMAGED)?,
        })
    }
}

impl Doubted {
    /// The bytes to keep.
    pub(super) fn record(&self) -> Secret {
        let (by, opened) = (Some(leaf(self.by)), Some(self.opened.record()));
        Secret::new(DoubtedRecord { by, opened }.encode_to_vec())
    }

    /// What was kept.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, StateError> {
        let DoubtedRecord { by, opened } = DoubtedRecord::decode(bytes).map_err(|_| DAMAGED)?;
        let by = by.as_ref().and_then(owner).ok_or(DAMAGED)?;
        Ok(Self { by, opened: Opened::read(opened.ok_or(DAMAGED)?)? })
    }
}

impl Outgoing {
    /// The bytes to keep.
    pub(super) fn record(&self) -> Secret {
        let record = OutgoingRecord {
            content: self.content.clone(),
            salt: Bytes::copy_from_slice(&self.salt),
            payload: self.payload.clone().unwrap_or_default(),
            franking_key: Bytes::copy_from_slice(&self.franking_key),
            sent: self.sent.unwrap_or_default(),
            order: self.order,
            failed: self.failed.clone(),
        };
        Secret::new(record.encode_to_vec())
    }

    /// What was kept.
    pub(super) fn read(message_id: IdempotencyKey, bytes: &[u8]) -> Result<Self, StateError> {
        let record = OutgoingRecord::decode(bytes).map_err(|_| DAMAGED)?;
        Ok(Self {
            message_id,
            content: record.content,
            salt: record.salt[..].try_into().map_err(|_| DAMAGED)?,
            payload: Some(record.payload).filter(|payload| !payload.is_empty()),
            franking_key: record.franking_key[..].try_into().map_err(|_| DAMAGED)?,
            sent: (record.sent > 0).then_some(record.sent),
            order: record.order,
            failed: record.failed,
        })
    }
}
