//! Private conversations: who is in them, and the delivery service of their groups.

use std::sync::Arc;

use aside_proto::{
    id::ConversationId,
    v1::{self, server_frame::Body},
};
use aside_store::{
    AckInbox, ClaimKeyPackages, CreateGroup, EstablishGroup, OpenDirect, PublishKeyPackages,
    RejectCommit, ReportForkCheck, SendPrivate, SetRole, SubmitCommit,
};

use super::{PLAIN, refusal};
use crate::app::{Answer, App, Identity};

impl App {
    pub(crate) async fn publish_key_packages(
        self: Arc<Self>,
        publish: PublishKeyPackages,
    ) -> Answer {
        let published = self.store.publish_key_packages(publish).await;
        published.map(Body::KeyPackagesPublished).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn claim_key_packages(self: Arc<Self>, claim: ClaimKeyPackages) -> Answer {
        let claimed = self.store.claim_key_packages(claim).await.map_err(|r| refusal(r, PLAIN))?;
        let given = claimed.claimed.iter().filter(|one| !one.key_package.is_empty()).count();
        metrics::counter!("aside_key_packages_claimed_total").increment(given as u64);
        Ok(Body::KeyPackagesClaimed(claimed))
    }

    pub(crate) async fn open_direct(self: Arc<Self>, open: OpenDirect) -> Answer {
        let opened = self.store.open_direct(open).await;
        opened.map(Body::DirectOpened).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn create_group(self: Arc<Self>, create: CreateGroup) -> Answer {
        let created = self.store.create_group(create).await;
        created.map(Body::GroupCreated).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn establish_group(self: Arc<Self>, establish: EstablishGroup) -> Answer {
        let established = self.store.establish_group(establish).await;
        established.map(Body::GroupEstablished).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn submit_commit(self: Arc<Self>, submit: SubmitCommit) -> Answer {
        let committed = self.store.submit_commit(submit).await.map_err(|r| refusal(r, PLAIN))?;
        metrics::counter!("aside_commits_total").increment(1);
        Ok(Body::Committed(committed))
    }

    pub(crate) async fn send_private(self: Arc<Self>, send: SendPrivate) -> Answer {
        let sent = self.say(send.user, send.conversation, self.store.send_private(send)).await?;
        metrics::counter!("aside_private_messages_total").increment(1);
        Ok(Body::Sent(sent))
    }

    pub(crate) async fn set_role(self: Arc<Self>, set: SetRole) -> Answer {
        self.store.set_role(set).await.map(Body::RoleSet).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn reject_commit(self: Arc<Self>, reject: RejectCommit) -> Answer {
        let rejected = self.store.reject_commit(reject).await.map_err(|r| refusal(r, PLAIN))?;
        metrics::counter!("aside_commits_rejected_total").increment(1);
        Ok(Body::CommitRejected(rejected))
    }

    pub(crate) async fn get_group_info(
        self: Arc<Self>,
        who: Identity,
        conversation: ConversationId,
    ) -> Answer {
        let info = self.store.group_info(who.user, who.device, conversation).await;
        info.map(Body::GroupInfo).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn fetch_inbox(
        self: Arc<Self>,
        who: Identity,
        after: u64,
        max_items: u32,
    ) -> Answer {
        let inbox = self.store.inbox(who.device, after, max_items, self.max_reply_bytes()).await;
        inbox.map(Body::Inbox).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn ack_inbox(self: Arc<Self>, ack: AckInbox) -> Answer {
        self.store.ack_inbox(ack).await.map_err(|r| refusal(r, PLAIN))?;
        Ok(Body::InboxAcked(v1::InboxAcked {}))
    }

    pub(crate) async fn report_fork_check(self: Arc<Self>, report: ReportForkCheck) -> Answer {
        self.store.report_fork_check(report).await.map_err(|r| refusal(r, PLAIN))?;
        Ok(Body::ForkCheckReported(v1::ForkCheckReported {}))
    }
}
