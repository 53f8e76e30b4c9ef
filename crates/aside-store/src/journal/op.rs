//! The operations that the journal takes, each with whoever waits for its answer.

use aside_proto::{
    id::{DeviceId, UserId},
    name::Name,
    private::WelcomeFor,
    v1,
};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::queue::Reply;
use crate::{
    error::{Refused, Stop, StoreError},
    request::{
        AckInbox, Append, BindDevice, ChangePassword, ClaimKeyPackages, CreateGroup, CreateRoom,
        EstablishGroup, Invite, IssueToken, Join, Leave, LoggedIn, Mark, OpenDirect,
        PublishDeviceLog, PublishKeyPackages, Redact, Register, RejectCommit, Rename,
        ReportForkCheck, RevokeDevice, RevokeToken, SendPrivate, SetLogKey, SetPin, SetPresence,
        SetRole, SubmitCommit, UpdateRoom,
    },
    search::Behind,
    sql::MAX_LENGTH,
    write::{Context, Index, Trim},
};

/// What an operation without much content costs in the queue: about what it takes in memory.
const OP_BYTES: usize = 1024;

/// A request, whoever waits for its answer, and the answer from when it is known until it may be given.
pub(crate) struct Job<I, T> {
    pub(crate) input: I,
    pub(crate) answer: Option<Result<T, Refused>>,
    waiting: oneshot::Sender<Result<T, Refused>>,
}

impl<I, T> Job<I, T> {
    pub(super) fn new(input: I) -> (Self, Reply<T>) {
        let (waiting, reply) = Reply::new();
        (Self { input, answer: None, waiting }, reply)
    }

    /// Keeps the answer; returns whether it is a success.
    fn settle(&mut self, result: Result<T, Stop>) -> bool {
        let succeeded = result.is_ok();
        self.answer = Some(result.map_err(Refused::from));
        succeeded
    }

    /// Gives the answer; whoever no longer waits for it does not mind.
    fn acknowledge(self) {
        let answer = self.answer.unwrap_or(Err(Refused::Failed(StoreError::Closed)));
        let _ = self.waiting.send(answer);
    }

    fn refuse(self, refusal: Refused) {
        let _ = self.waiting.send(Err(refusal));
    }
}

/// A connection to attach.
pub(crate) struct Attach {
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) attachment: u64,
}

/// Devices that were seen: as many as one statement takes.
pub(crate) struct Touch(Vec<DeviceId>);

impl Touch {
    pub(crate) fn one(device: DeviceId) -> Self {
        Self(vec![device])
    }

    /// All of them, in as few parts as there can be.
    pub(crate) fn parts(devices: &[DeviceId]) -> impl Iterator<Item = Self> {
        devices.chunks(MAX_LENGTH).map(|part| Self(part.to_vec()))
    }

    /// At most [`MAX_LENGTH`].
    pub(crate) fn devices(&self) -> &[DeviceId] {
        &self.0
    }
}

/// Expired idempotency keys are to go.
pub(crate) struct Prune;

/// What the journal takes.
pub(crate) enum Op {
    /// A message: neighbours are appended together.
    Append(Job<Append, v1::Sent>),
    /// A message to a private conversation: neighbours are appended together.
    SendPrivate(Job<SendPrivate, v1::Sent>),
    /// Watermarks to move: neighbours are judged together, and those of a batch are written together.
    Mark(Job<Mark, v1::Watermark>),
    /// Done by itself.
    Single(Single),
}

impl Op {
    /// What it costs in the queue, in bytes.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Append(job) => OP_BYTES + job.input.payload.len(),
            Self::SendPrivate(job) => OP_BYTES + job.input.payload.len(),
            Self::Mark(_) => OP_BYTES,
            Self::Single(single) => OP_BYTES + single.bytes(),
        }
    }

    /// The job of a message to append.
    pub(super) fn as_append(&mut self) -> Option<&mut Job<Append, v1::Sent>> {
        match self {
            Self::Append(job) => Some(job),
            Self::SendPrivate(_) | Self::Mark(_) | Self::Single(_) => None,
        }
    }

    /// The job of a message to append to a private conversation.
    pub(super) fn as_send_private(&mut self) -> Option<&mut Job<SendPrivate, v1::Sent>> {
        match self {
            Self::SendPrivate(job) => Some(job),
            Self::Append(_) | Self::Mark(_) | Self::Single(_) => None,
        }
    }

    /// The job of watermarks to move.
    pub(super) fn as_mark(&mut self) -> Option<&mut Job<Mark, v1::Watermark>> {
        match self {
            Self::Mark(job) => Some(job),
            Self::Append(_) | Self::SendPrivate(_) | Self::Single(_) => None,
        }
    }

    /// Whether it is done together with another that follows it.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Append(_), Self::Append(_))
                | (Self::SendPrivate(_), Self::SendPrivate(_))
                | (Self::Mark(_), Self::Mark(_))
        )
    }

    /// Gives the answer that was kept: its effects are durable, or it has none.
    pub(super) fn acknowledge(self) {
        match self {
            Self::Append(job) => job.acknowledge(),
            Self::SendPrivate(job) => job.acknowledge(),
            Self::Mark(job) => job.acknowledge(),
            Self::Single(single) => single.acknowledge(),
        }
    }

    /// Gives another answer.
    pub(super) fn refuse(self, refusal: Refused) {
        match self {
            Self::Append(job) => job.refuse(refusal),
            Self::SendPrivate(job) => job.refuse(refusal),
            Self::Mark(job) => job.refuse(refusal),
            Self::Single(single) => single.refuse(refusal),
        }
    }
}

impl From<Job<Append, v1::Sent>> for Op {
    fn from(job: Job<Append, v1::Sent>) -> Self {
        Self::Append(job)
    }
}

impl From<Job<SendPrivate, v1::Sent>> for Op {
    fn from(job: Job<SendPrivate, v1::Sent>) -> Self {
        Self::SendPrivate(job)
    }
}

impl From<Job<Mark, v1::Watermark>> for Op {
    fn from(job: Job<Mark, v1::Watermark>) -> Self {
        Self::Mark(job)
    }
}

/// Defines [`Single`], and what goes the same way for each of its variants.
macro_rules! singles {
    ($($name:ident($input:ty) -> $output:ty, $run:ident;)*) => {
        /// An operation that is done by itself.
        pub(crate) enum Single {
            $($name(Job<$input, $output>),)*
        }

        impl Single {
            /// Does what is asked, and keeps the answer; returns whether it succeeded.
            pub(super) async fn run(&mut self, context: &mut Context<'_>) -> bool {
                match self {
                    $(Self::$name(job) => {
                        let result = context.$run(&job.input).await;
                        job.settle(result)
                    })*
                }
            }

            fn acknowledge(self) {
                match self {
                    $(Self::$name(job) => job.acknowledge(),)*
                }
            }

            fn refuse(self, refusal: Refused) {
                match self {
                    $(Self::$name(job) => job.refuse(refusal),)*
                }
            }
        }

        $(impl From<Job<$input, $output>> for Op {
            fn from(job: Job<$input, $output>) -> Self {
                Self::Single(Single::$name(job))
            }
        })*
    };
}

singles! {
    Register(Register) -> LoggedIn, register;
    BindDevice(BindDevice) -> DeviceId, bind_device;
    Attach(Attach) -> Name, attach;
    Rename(Rename) -> v1::Renamed, rename;
    ChangePassword(ChangePassword) -> v1::PasswordChanged, change_password;
    RevokeDevice(RevokeDevice) -> v1::DeviceRevoked, revoke_device;
    CreateRoom(CreateRoom) -> v1::RoomCreated, create_room;
    Join(Join) -> v1::Joined, join;
    Leave(Leave) -> v1::Left, leave;
    UpdateRoom(UpdateRoom) -> v1::RoomUpdated, update_room;
    Invite(Invite) -> v1::Invited, invite;
    SetPin(SetPin) -> v1::PinSet, set_pin;
    Redact(Redact) -> v1::Redacted, redact;
    Touch(Touch) -> (), touch;
    Prune(Prune) -> u64, prune;
    SetLogKey(SetLogKey) -> (), set_log_key;
    SetPresence(SetPresence) -> (), set_presence;
    IssueToken(IssueToken) -> v1::TokenIssued, issue_token;
    RevokeToken(RevokeToken) -> v1::TokenRevoked, revoke_token;
    Index(Index) -> Vec<Behind>, index;
    Trim(Trim) -> bool, trim;
    PublishDeviceLog(PublishDeviceLog) -> v1::DeviceLogPublished, publish_device_log;
    PublishKeyPackages(PublishKeyPackages) -> v1::KeyPackagesPublished, publish_key_packages;
    ClaimKeyPackages(ClaimKeyPackages) -> v1::KeyPackagesClaimed, claim_key_packages;
    OpenDirect(OpenDirect) -> v1::DirectOpened, open_direct;
    CreateGroup(CreateGroup) -> v1::GroupCreated, create_group;
    EstablishGroup(EstablishGroup) -> v1::GroupEstablished, establish_group;
    SubmitCommit(SubmitCommit) -> v1::Committed, submit_commit;
    SetRole(SetRole) -> v1::RoleSet, set_role;
    RejectCommit(RejectCommit) -> v1::CommitRejected, reject_commit;
    AckInbox(AckInbox) -> (), ack_inbox;
    ReportForkCheck(ReportForkCheck) -> (), report_fork_check;
}

impl Single {
    /// What it holds besides what any operation does, in bytes.
    fn bytes(&self) -> usize {
        let all = |parts: &[Bytes]| parts.iter().map(Bytes::len).sum();
        let welcomes = |welcomes: &[WelcomeFor]| -> usize {
            let one = |w: &WelcomeFor| w.welcome.len() + size_of_val(&w.devices[..]);
            welcomes.iter().map(one).sum()
        };
        match self {
            Self::PublishDeviceLog(job) => all(&job.input.entries),
            Self::PublishKeyPackages(job) => all(&job.input.key_packages),
            Self::EstablishGroup(job) => {
                let EstablishGroup { header, welcomes: given, group_info, .. } = &job.input;
                2 * header.len() + welcomes(given) + group_info.len()
            }
            Self::SubmitCommit(job) => {
                let SubmitCommit { payload, welcomes: given, group_info, .. } = &job.input;
                2 * payload.len() + welcomes(given) + group_info.len()
            }
            _ => 0,
        }
    }
}
