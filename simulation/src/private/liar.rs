//! What the server says instead of the truth: old GroupInfos and device logs, logs with holes, lists without a conversation, devices
//! that are none, forks that are none, and nothing at all. And Gaps, which it may tell of whenever it likes.

use std::collections::{BTreeMap, BTreeSet};

use aside_crypto::{Certificate, DeviceLog, MlsKey, SUITE_P256, SigningKey};
use aside_proto::{
    frame,
    id::{ConversationId, DeviceId, UserId},
    private::Leaf,
    v1::{self, server_frame::Body},
};
use aside_session::server::{Command, Outcome, Refusal};
use bytes::Bytes;
use prost::Message as _;

use crate::rng::Rng;

/// One that lies once in so many times, if it lies.
const SELDOM: u64 = 12;

/// Says other things than are true.
pub(crate) struct Liar {
    rng: Rng,
    pub(crate) lies: bool,
    pub(crate) gaps: bool,
    /// As they were.
    infos: BTreeMap<ConversationId, Vec<Bytes>>,
    /// Who has pinned which user's device log: another is told from that.
    pub(crate) pinned: BTreeSet<(DeviceId, UserId)>,
    /// What was said.
    pub(crate) told: Vec<Lie>,
}

/// What is not so.
pub(crate) struct Lie {
    pub(crate) what: &'static str,
    pub(crate) to: DeviceId,
    /// The conversation that it is of, if it is of one.
    pub(crate) of: Option<ConversationId>,
}

impl Liar {
    pub(crate) fn new(rng: Rng, lies: bool) -> Self {
        let (infos, pinned, told) = Default::default();
        Self { rng, lies, gaps: true, infos, pinned, told }
    }

    /// From now on it tells the truth.
    pub(crate) fn heal(&mut self) {
        (self.lies, self.gaps) = (false, false);
    }

    fn lie(&mut self, to: DeviceId, of: Option<ConversationId>, what: &'static str) -> bool {
        let lies = self.lies && self.rng.one_in(SELDOM);
        if lies {
            self.told.push(Lie { what, to, of });
        }
        lies
    }

    /// What is pushed in the place of an event.
    pub(crate) fn push(&mut self, to: DeviceId, event: Bytes) -> Bytes {
        let Ok(told) = frame::decode::<v1::ServerFrame>(frame::body(&event)) else { return event };
        let Some(Body::EntryAppended(v1::EntryAppended { entry: Some(entry) })) = told.body else {
            return event;
        };
        let Ok(header) = v1::EntryHeader::decode(&entry.header[..]) else { return event };
        let conversation_id = header.conversation_id;
        let Ok(id) = ConversationId::try_from(&conversation_id[..]) else { return event };
        let body = if self.lie(to, Some(id), "a fork that is none, and no entry") {
            Body::ForkCheckMismatch(v1::ForkCheckMismatch {
                conversation_id,
                generation: 1,
                epoch: 1,
            })
        } else if self.gaps && self.rng.one_in(16) {
            Body::Gap(v1::Gap { conversation_id, head_seq: header.seq })
        } else {
            return event;
        };
        frame::encode(&v1::ServerFrame { reply_to: 0, body: Some(body) })
    }

    /// The outcome that is told instead.
    pub(crate) fn twist(
        &mut self,
        identity: Option<(UserId, DeviceId)>,
        command: &Command,
        mut outcome: Outcome,
    ) -> Outcome {
        let Some((_, device)) = identity else { return outcome };
        match (&mut outcome, command) {
            (Outcome::Reply(Body::GroupInfo(info)), Command::GetGroupInfo { conversation, .. }) => {
                self.group_info((device, *conversation), info);
            }
            (Outcome::Reply(Body::Fetched(fetched)), Command::Fetch { conversation, .. })
                if fetched.entries.len() > 2
                    && self.lie(device, Some(*conversation), "a log with a hole") =>
            {
                let at = self.rng.below(fetched.entries.len() - 1);
                fetched.entries.remove(at);
            }
            (Outcome::Reply(Body::Inbox(inbox)), _)
                if !inbox.items.is_empty() && self.lie(device, None, "an empty inbox") =>
            {
                inbox.items.clear();
            }
            (Outcome::Reply(Body::Summaries(list)), _)
                if !list.summaries.is_empty()
                    && self.lie(device, None, "a list without a conversation") =>
            {
                let at = self.rng.below(list.summaries.len());
                list.summaries.remove(at);
            }
            (Outcome::Reply(Body::DeviceLogs(logs)), _) => self.device_logs(device, logs),
            (Outcome::Reply(Body::Members(list)), Command::ListMembers { conversation, .. })
                if !list.members.is_empty()
                    && self.lie(device, Some(*conversation), "a role that is none") =>
            {
                let at = self.rng.below(list.members.len());
                let roles = [v1::Role::Owner, v1::Role::Admin, v1::Role::Member];
                list.members[at].role = self.rng.pick(&roles).unwrap_or_default().into();
            }
            _ => {}
        }
        outcome
    }

    /// Refuses what could be done: a leaf that is none is to be removed first.
    pub(crate) fn refuse(
        &mut self,
        identity: Option<(UserId, DeviceId)>,
        command: &Command,
    ) -> Option<Outcome> {
        let (user, device) = identity?;
        let at = match command {
            Command::SubmitCommit { plan, .. } => plan.conversation,
            Command::SendPrivate { conversation, .. } => *conversation,
            _ => return None,
        };
        if !self.lie(device, Some(at), "a removal that is none") {
            return None;
        }
        let leaf = Leaf { user, device: DeviceId::new(self.rng.bytes()) };
        Some(Outcome::Refused(Refusal::devices(v1::ErrorCode::RemovalPending, vec![leaf])))
    }

    fn group_info(
        &mut self,
        (device, conversation): (DeviceId, ConversationId),
        info: &mut v1::GroupInfo,
    ) {
        let known = self.infos.entry(conversation).or_default();
        if !info.group_info.is_empty() && !known.contains(&info.group_info) {
            known.push(info.group_info.clone());
        }
        let old = self.rng.pick(known);
        if let Some(old) = old.filter(|old| *old != info.group_info)
            && self.lie(device, Some(conversation), "a GroupInfo of another epoch")
        {
            info.group_info = old;
        } else if self.lie(device, Some(conversation), "a leaf that is none") {
            let user_id = info.leaves.first().map(|leaf| leaf.user_id.clone()).unwrap_or_default();
            let device_id = Bytes::copy_from_slice(&self.rng.bytes::<16>());
            info.leaves.push(v1::Leaf { user_id, device_id });
        }
    }

    fn device_logs(&mut self, device: DeviceId, logs: &mut v1::DeviceLogs) {
        for part in &mut logs.logs {
            let Ok(user) = UserId::try_from(&part.user_id[..]) else { continue };
            if !self.pinned.contains(&(device, user)) || part.entries.is_empty() {
                continue;
            }
            if part.entries.len() > 1 && self.lie(device, None, "an older device log") {
                part.entries.pop();
            } else if self.lie(device, None, "another device log")
                && let Some(entry) = self.forge(user)
            {
                part.entries = vec![entry];
            }
        }
    }

    /// A log of a user with a device of the server's.
    fn forge(&mut self, user: UserId) -> Option<Bytes> {
        let rng = &mut self.rng;
        let device = DeviceId::new(rng.bytes());
        let [account, login, mls] = [(); 3].map(|()| SigningKey::generate(&mut |b| rng.fill(b)));
        let public_key = mls.public_key().as_bytes().to_vec();
        let keys = [MlsKey { suite: SUITE_P256, public_key }];
        let certificate = Certificate::issue(user, device, &login, &keys).ok()?;
        Some(DeviceLog::sign_genesis(&account, &certificate).into())
    }
}
