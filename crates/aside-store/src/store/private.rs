//! What can be asked about private conversations.

use aside_proto::{
    id::{ConversationId, DeviceId, UserId},
    v1,
};
use bytes::Bytes;

use super::{Store, judged, plain};
use crate::{
    error::{Refused, StoreError},
    journal::Reply,
    private,
    request::{
        AckInbox, ClaimKeyPackages, CreateGroup, EstablishGroup, OpenDirect, PublishDeviceLog,
        PublishKeyPackages, RejectCommit, ReportForkCheck, SendPrivate, SetRole, SubmitCommit,
    },
};

/// Writes.
impl Store {
    /// Appends to a device log (DEVLOG-001 to DEVLOG-006). Refuses with [`Refused::DeviceLogConflict`],
    /// [`Refused::KeyReused`].
    pub fn publish_device_log(&self, publish: PublishDeviceLog) -> Reply<v1::DeviceLogPublished> {
        self.journal.put(publish)
    }

    /// Keeps KeyPackages (KP-001 to KP-004). Refuses with [`Refused::TooManyKeyPackages`], [`Refused::KeyReused`].
    pub fn publish_key_packages(
        &self,
        publish: PublishKeyPackages,
    ) -> Reply<v1::KeyPackagesPublished> {
        self.journal.put(publish)
    }

    /// Takes KeyPackages (KP-005 to KP-009, KP-015). Refuses with [`Refused::DeviceNotApproved`], [`Refused::KeyReused`].
    pub fn claim_key_packages(&self, claim: ClaimKeyPackages) -> Reply<v1::KeyPackagesClaimed> {
        self.journal.put(claim)
    }

    /// Gives the DIRECT of two users (PRIV-003, PRIV-004). Refuses with [`Refused::DeviceNotApproved`],
    /// [`Refused::NoSuchUser`], [`Refused::Oneself`], [`Refused::TooManyNewcomers`], [`Refused::KeyReused`].
    pub fn open_direct(&self, open: OpenDirect) -> Reply<v1::DirectOpened> {
        self.journal.put(open)
    }

    /// Makes a GROUP (PRIV-009). Refuses with [`Refused::DeviceNotApproved`], [`Refused::TooManyRooms`],
    /// [`Refused::KeyReused`].
    pub fn create_group(&self, create: CreateGroup) -> Reply<v1::GroupCreated> {
        self.journal.put(create)
    }

    /// Begins the MLS group of a conversation, or another (DS-001 to DS-005, DS-021 to DS-024). Refuses, as the others about
    /// private conversations do, with [`Refused::DeviceNotApproved`], [`Refused::NoSuchConversation`],
    /// [`Refused::WrongConversationKind`], [`Refused::KeyReused`], and with [`Refused::WrongEpoch`],
    /// [`Refused::NotInGroup`], [`Refused::RosterMismatch`], [`Refused::NotPermitted`], [`Refused::TooManyLeaves`],
    /// [`Refused::TooManyRooms`], [`Refused::TooManyNewcomers`], [`Refused::ResetNotAllowed`].
    pub fn establish_group(&self, establish: EstablishGroup) -> Reply<v1::GroupEstablished> {
        self.journal.put(establish)
    }

    /// Takes a group to its next epoch (DS-010 to DS-019). Refuses as [`establish_group`](Self::establish_group), but for
    /// [`Refused::ResetNotAllowed`], and with [`Refused::RemovalPending`].
    pub fn submit_commit(&self, submit: SubmitCommit) -> Reply<v1::Committed> {
        self.journal.put(submit)
    }

    /// Appends an encrypted message (DS-030 to DS-033). Refuses with [`Refused::DeviceNotApproved`],
    /// [`Refused::NoSuchConversation`], [`Refused::WrongConversationKind`], [`Refused::NotInGroup`],
    /// [`Refused::StaleEpoch`], [`Refused::RemovalPending`], [`Refused::KeyReused`].
    pub fn send_private(&self, send: SendPrivate) -> Reply<v1::Sent> {
        self.journal.put(send)
    }

    /// Gives a member of a GROUP another role (PRIV-010). Refuses with [`Refused::NotPermitted`], [`Refused::NoSuchUser`],
    /// and as the others about private conversations.
    pub fn set_role(&self, set: SetRole) -> Reply<v1::RoleSet> {
        self.journal.put(set)
    }

    /// Notes that a leaf can't follow a commit (DS-020). Refuses with [`Refused::NotInGroup`], [`Refused::NoSuchEntry`],
    /// and as the others about private conversations.
    pub fn reject_commit(&self, reject: RejectCommit) -> Reply<v1::CommitRejected> {
        self.journal.put(reject)
    }

    /// Takes items out of an inbox (INBOX-004). Refuses with [`Refused::DeviceNotApproved`].
    pub fn ack_inbox(&self, ack: AckInbox) -> Reply<()> {
        self.journal.put(ack)
    }

    /// Notes what a leaf computed of an epoch (FORK-001 to FORK-004). Refuses with [`Refused::NotInGroup`],
    /// [`Refused::StaleEpoch`], and as the others about private conversations.
    pub fn report_fork_check(&self, report: ReportForkCheck) -> Reply<()> {
        self.journal.put(report)
    }
}

/// Reads.
impl Store {
    /// What an external commit is made from (DS-041).
    ///
    /// # Errors
    /// [`Refused::DeviceNotApproved`], [`Refused::NoSuchConversation`], [`Refused::WrongConversationKind`],
    /// [`Refused::Failed`].
    pub async fn group_info(
        &self,
        user: UserId,
        device: DeviceId,
        conversation: ConversationId,
    ) -> Result<v1::GroupInfo, Refused> {
        judged(private::group_info(&self.readers, (user, device), conversation)).await
    }

    /// What waits for a device above a position: at most `max_items`, and as many as keep the encoded Inbox within
    /// `max_bytes`, but one in any case (INBOX-003).
    ///
    /// # Errors
    /// [`Refused::DeviceNotApproved`], [`Refused::Failed`].
    pub async fn inbox(
        &self,
        device: DeviceId,
        after: u64,
        max_items: u32,
        max_bytes: usize,
    ) -> Result<v1::Inbox, Refused> {
        judged(private::inbox(&self.readers, device, after, max_items, max_bytes)).await
    }

    /// The entries of a user's device log, all of them.
    ///
    /// # Errors
    /// If the database failed.
    pub async fn device_log(&self, user: UserId) -> Result<Vec<Bytes>, StoreError> {
        plain(private::device_log(&self.readers, user, 0)).await
    }

    /// Device logs from a position on, as many entries as keep the encoded DeviceLogs within `max_bytes` (DEVLOG-007).
    ///
    /// # Errors
    /// If the database failed.
    pub async fn device_logs(
        &self,
        users: &[UserId],
        from_position: u32,
        max_bytes: usize,
    ) -> Result<v1::DeviceLogs, StoreError> {
        plain(private::device_logs(&self.readers, users, from_position, max_bytes)).await
    }
}
