//! Requests with MLS in them: what is made, and kept until the server has taken it.

use std::collections::BTreeSet;

use aside_crypto::Envelope;
use aside_mls::{Change, Error, Group, GroupId, OutgoingCommit, Owner, Reason, Suite};
use aside_proto::id::ConversationId;

use crate::{
    actor::{Actor, Stop, World, failed, literal, request},
    codec, proto,
    script::{
        expr::Expr,
        frames::Request,
        functions::{ScriptError, fault},
        private,
    },
    truth,
    value::{Val, record},
};

use super::{Mls, now};

/// Fields of a header that are given instead of those that are true.
type Replaced = Vec<(String, Val)>;

/// A group to be made.
pub(crate) struct EstablishPlan {
    pub(crate) conversation: ConversationId,
    pub(crate) suite: Suite,
    pub(crate) generation: i128,
    pub(crate) head_seq: i128,
    pub(crate) key_packages: Vec<Vec<u8>>,
    pub(crate) header: Replaced,
}

/// A commit to be made.
pub(crate) struct CommitPlan {
    pub(crate) conversation: ConversationId,
    pub(crate) key_packages: Vec<Vec<u8>>,
    pub(crate) remove: BTreeSet<Owner>,
    pub(crate) message_id: Vec<u8>,
    pub(crate) header: Replaced,
}

/// A message to be encrypted.
pub(crate) struct MessagePlan {
    pub(crate) conversation: ConversationId,
    pub(crate) text: String,
    pub(crate) message_id: Vec<u8>,
    pub(crate) header: Replaced,
}

/// A request that was made and not sent.
pub(crate) struct Made {
    kind: &'static str,
    message_id: Vec<u8>,
    fields: Vec<(&'static str, Val)>,
}

impl Made {
    /// The request, kept under this name.
    pub(crate) fn request(self, name: Option<String>) -> Request {
        let fields = self.fields.into_iter().map(|(name, value)| (name.to_owned(), literal(value)));
        let body = (self.kind.to_owned(), Expr::Map(fields.collect()));
        let key = ("idempotency_key".to_owned(), literal(&self.message_id[..]));
        Request { fields: vec![body, key], name }
    }

    /// What `$m` is of a request that is kept and not sent.
    pub(crate) fn shown(self) -> Val {
        let key = ("idempotency_key".to_owned(), Val::Bytes(self.message_id));
        let fields = self.fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Val::Map(std::iter::once(key).chain(fields).collect())
    }
}

/// Why nothing was made.
enum Failed {
    Script(ScriptError),
    Mls(Error),
}

impl From<ScriptError> for Failed {
    fn from(error: ScriptError) -> Self {
        Self::Script(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Mls(error)
    }
}

impl From<Reason> for Failed {
    fn from(reason: Reason) -> Self {
        Self::Mls(reason.into())
    }
}

impl Failed {
    /// What others made may be at fault, and so the server that gave it.
    fn stop<T>(self, what: &str) -> Result<T, Stop> {
        match self {
            Self::Script(error) => Err(error.into()),
            Self::Mls(error) => failed(what, error.to_string()),
        }
    }
}

impl Actor {
    /// A group, which it enters when the log has it.
    pub(crate) async fn make_group(
        &mut self,
        world: &World,
        plan: &EstablishPlan,
    ) -> Result<Made, Stop> {
        self.refresh_logs(world).await?;
        let message_id = Self::fresh_id();
        match self.judged(world, |mls| mls.establish(plan, &message_id)).await? {
            Ok(made) => Ok(made),
            Err(error) => error.stop("a group of these KeyPackages"),
        }
    }

    /// A commit, which is pending until the log has it, or another.
    pub(crate) async fn make_commit(
        &mut self,
        world: &World,
        plan: &CommitPlan,
    ) -> Result<Made, Stop> {
        self.refresh_logs(world).await?;
        match self.judged(world, |mls| mls.commit(plan)).await? {
            Ok(made) => Ok(made),
            Err(error) => error.stop("a commit of these changes"),
        }
    }

    /// An external commit, by what GetGroupInfo gives.
    pub(crate) async fn make_external(
        &mut self,
        world: &World,
        plan: &CommitPlan,
    ) -> Result<Made, Stop> {
        self.refresh_logs(world).await?;
        let id = literal(&plan.conversation.as_bytes()[..]);
        let info = self.call(world, &request("get_group_info", [("conversation_id", id)])).await?;
        match self.judged(world, |mls| mls.external(plan, &info)).await? {
            Ok(made) => Ok(made),
            Err(error) => error.stop("an external commit by what GetGroupInfo gives"),
        }
    }

    /// A message, encrypted for the epoch that the actor is at.
    pub(crate) async fn make_message(
        &mut self,
        world: &World,
        plan: &MessagePlan,
    ) -> Result<Made, Stop> {
        self.refresh_logs(world).await?;
        match self.judged(world, |mls| mls.message(plan)).await? {
            Ok(made) => Ok(made),
            Err(error) => error.stop("a message to the group"),
        }
    }

    /// The server has refused what was made last: it never was.
    pub(crate) fn discard(&mut self, id: ConversationId) -> Result<(), Stop> {
        let conversation = self.mls()?.conversation(id);
        conversation.entering = None;
        conversation.pending = None;
        if let Some(group) = &mut conversation.group {
            group.clear_pending();
        }
        Ok(())
    }
}

impl Mls {
    fn establish(&mut self, plan: &EstablishPlan, message_id: &[u8]) -> Result<Made, Failed> {
        let generation = plan.header.iter().find(|(name, _)| name == "generation");
        let generation = generation.and_then(|(_, value)| value.as_int());
        let generation = generation.unwrap_or(plan.generation);
        let id = GroupId {
            conversation: plan.conversation,
            generation: u32::try_from(generation).map_err(|_| Error::State)?,
        };
        let mut group = self.device.create(plan.suite, id, now())?;
        let change = Change { add: admit(&group, &plan.key_packages)?, ..Change::default() };
        let added = group.claim(&change).added;
        let leaves = std::iter::once(&self.own).chain(&added).map(leaf).collect();
        let truth = record([
            ("conversation_id", Val::from(&plan.conversation.as_bytes()[..])),
            ("generation", Val::Int(generation)),
            ("head_seq", Val::Int(plan.head_seq)),
            ("suite", Val::Int(plan.suite.number().into())),
            ("leaves", Val::List(leaves)),
        ]);
        let (shown, header) = header("EstablishHeader", truth, &plan.header)?;
        let commit = group.commit(&change, &header, now())?;
        group.apply_pending()?;
        let mut fields = self.around(&commit, &shown, "leaves");
        fields.push(("header", Val::Bytes(header)));
        let entering = (message_id.to_vec(), group);
        self.conversation(plan.conversation).entering = Some(entering);
        Ok(Made { kind: "establish_group", message_id: message_id.to_vec(), fields })
    }

    fn commit(&mut self, plan: &CommitPlan) -> Result<Made, Failed> {
        let group = self.group(plan.conversation)?;
        group.clear_pending();
        let add = admit(group, &plan.key_packages)?;
        let change = Change { add, remove: plan.remove.clone() };
        let claim = group.claim(&change);
        let (shown, header) = commit_header(plan, group.id(), &claim, false)?;
        let commit = group.commit(&change, &header, now())?;
        self.conversation(plan.conversation).pending = Some(plan.message_id.clone());
        self.committed(plan, commit, &shown, header)
    }

    fn external(&mut self, plan: &CommitPlan, given: &Val) -> Result<Made, Failed> {
        let int = |name| given.field(name).and_then(Val::as_int).unwrap_or(0);
        let id = GroupId {
            conversation: plan.conversation,
            generation: u32::try_from(int("generation")).unwrap_or(0),
        };
        let epoch = u64::try_from(int("epoch")).unwrap_or(0);
        let info = given.field("group_info").and_then(Val::as_bytes).unwrap_or_default();
        let group = self.conversation(plan.conversation).group.as_ref();
        let held = group.filter(|group| group.id() == id).map(Group::epoch);
        let rejoin = self.device.rejoin(info, id, epoch, held)?;
        let (shown, header) = commit_header(plan, id, rejoin.claim(), true)?;
        let (group, commit) = rejoin.commit(&header)?;
        let entering = (plan.message_id.clone(), group);
        self.conversation(plan.conversation).entering = Some(entering);
        self.committed(plan, commit, &shown, header)
    }

    fn committed(
        &self,
        plan: &CommitPlan,
        commit: OutgoingCommit,
        shown: &Val,
        header: Vec<u8>,
    ) -> Result<Made, Failed> {
        let mut fields = self.around(&commit, shown, "added");
        let payload =
            record([("header", Val::Bytes(header)), ("commit", Val::Bytes(commit.commit))]);
        fields.push(("payload", encode("CommitPayload", &payload)?));
        Ok(Made { kind: "submit_commit", message_id: plan.message_id.clone(), fields })
    }

    fn message(&mut self, plan: &MessagePlan) -> Result<Made, Failed> {
        let own = self.logs.head(self.own.user);
        let head = own.ok_or_else(|| ScriptError("there is no device log".into()))?;
        let content = record([("text", record([("body", Val::from(&*plan.text))]))]);
        let content = encode("Content", &content)?;
        let mut random = |bytes: &mut [u8]| bytes.copy_from_slice(&truth::random(bytes.len()));
        let content = content.as_bytes().unwrap_or_default();
        let (envelope, tag, _) = Envelope::seal(content, head, &mut random);
        let group = self.group(plan.conversation)?;
        let truth = record([
            ("conversation_id", Val::from(&plan.conversation.as_bytes()[..])),
            ("message_id", Val::from(&plan.message_id[..])),
            ("generation", Val::Int(group.id().generation.into())),
            ("epoch", Val::Int(group.epoch().into())),
            ("franking_tag", Val::from(&tag[..])),
        ]);
        let (_, header) = header("PrivateHeader", truth, &plan.header)?;
        let ciphertext = group.encrypt(&envelope, &header)?;
        let said = (plan.message_id.clone(), plan.text.clone());
        self.conversation(plan.conversation).said.extend([said]);
        let payload =
            record([("header", Val::Bytes(header)), ("ciphertext", Val::Bytes(ciphertext))]);
        let fields = vec![("payload", encode("PrivatePayload", &payload)?), ("salt", salt())];
        Ok(Made { kind: "send_private", message_id: plan.message_id.clone(), fields })
    }

    fn group(&mut self, id: ConversationId) -> Result<&mut Group, Failed> {
        match &mut self.conversation(id).group {
            Some(group) => Ok(group),
            None => Err(ScriptError("the actor is not in the group".into()).into()),
        }
    }

    /// Salt, GroupInfo, and the Welcome for those that the header says come in.
    fn around(&self, commit: &OutgoingCommit, header: &Val, who: &str) -> Vec<(&'static str, Val)> {
        let leaves = header.field(who).and_then(Val::as_list).unwrap_or_default();
        let own = &self.own.device.as_bytes()[..];
        let devices = leaves.iter().filter_map(|leaf| leaf.field("device_id"));
        let devices: Vec<_> = devices.filter(|id| id.as_bytes() != Some(own)).cloned().collect();
        let welcomes = match &commit.welcome {
            Some(welcome) if !devices.is_empty() => vec![record([
                ("welcome", Val::from(&welcome[..])),
                ("device_ids", Val::List(devices)),
            ])],
            _ => Vec::new(),
        };
        vec![
            ("salt", salt()),
            ("group_info", Val::from(&commit.group_info[..])),
            ("welcomes", Val::List(welcomes)),
        ]
    }
}

fn admit(group: &Group, key_packages: &[Vec<u8>]) -> Result<Vec<aside_mls::KeyPackage>, Reason> {
    key_packages.iter().map(|bytes| group.key_package(bytes)).collect()
}

fn commit_header(
    plan: &CommitPlan,
    id: GroupId,
    claim: &aside_mls::ClaimedChange,
    is_external: bool,
) -> Result<(Val, Vec<u8>), ScriptError> {
    let leaves = |owners: &BTreeSet<Owner>| Val::List(owners.iter().map(leaf).collect());
    let truth = record([
        ("conversation_id", Val::from(&id.conversation.as_bytes()[..])),
        ("message_id", Val::from(&plan.message_id[..])),
        ("generation", Val::Int(id.generation.into())),
        ("epoch", Val::Int(claim.epoch.into())),
        ("added", leaves(&claim.added)),
        ("removed", leaves(&claim.removed)),
        ("is_external", Val::Bool(is_external)),
    ]);
    header("CommitHeader", truth, &plan.header)
}

/// A header with some fields replaced, and its bytes.
fn header(
    message: &str,
    truth: Val,
    replaced: &[(String, Val)],
) -> Result<(Val, Vec<u8>), ScriptError> {
    let Val::Map(mut fields) = truth else { return fault("a header is made of fields") };
    fields.retain(|(name, _)| replaced.iter().all(|(other, _)| other != name));
    for (name, value) in replaced {
        let value = match (name.as_str(), value) {
            ("added" | "removed" | "leaves", Val::List(leaves)) => {
                Val::List(leaves.iter().map(private::leaf).collect::<Result<_, _>>()?)
            }
            ("culprit", leaf) => private::leaf(leaf)?,
            (_, value) => value.clone(),
        };
        fields.push((name.clone(), value));
    }
    let shown = Val::Map(fields);
    let bytes = codec::encode(&proto::message(message), &shown)?;
    Ok((shown, bytes))
}

fn leaf(owner: &Owner) -> Val {
    record([
        ("user_id", Val::from(&owner.user.as_bytes()[..])),
        ("device_id", Val::from(&owner.device.as_bytes()[..])),
    ])
}

fn salt() -> Val {
    Val::Bytes(truth::random(32))
}

fn encode(message: &str, value: &Val) -> Result<Val, ScriptError> {
    Ok(Val::Bytes(codec::encode(&proto::message(message), value)?))
}
