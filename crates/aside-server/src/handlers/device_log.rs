//! Device logs. An entry is verified here, before it gets into the journal: replaying a long log takes longer than others should wait
//! for the writer. The store takes what was verified only if the log is still the one that it was verified on.

use std::sync::Arc;

use aside_crypto::{DeviceLog, Judgement};
use aside_proto::{
    id::{DeviceId, UserId},
    v1::{ErrorCode, server_frame::Body},
};
use aside_session::server::Refusal;
use aside_store::{PublishDeviceLog, VerifiedLog};
use bytes::Bytes;

use super::{PLAIN, failed, refusal};
use crate::app::{Answer, App};

impl App {
    /// DEVLOG-001 to DEVLOG-006.
    pub(crate) async fn publish_device_log(
        self: Arc<Self>,
        mut publish: PublishDeviceLog,
    ) -> Answer {
        let log = self.store.device_log(publish.user).await.map_err(|e| failed(&e))?;
        let length = log.len() as u32;
        let follows = match publish.replaces {
            0 => publish.from_position == length,
            replaced => replaced == length,
        };
        // Otherwise it is a retry, or a conflict: the store says which.
        if follows {
            let (user, entries, replaces) =
                (publish.user, publish.entries.clone(), publish.replaces > 0);
            // Closed by nobody.
            let _permit = self.verifying.acquire().await;
            let verifying = tokio::task::spawn_blocking(move || {
                verify(user, if replaces { &[] } else { &log }, &entries)
            });
            let verified = verifying.await.map_err(|error| {
                tracing::error!(%error, "a device log was not verified");
                Refusal::of(ErrorCode::Internal)
            })?;
            publish.verified = Some(verified?);
        }
        let published = self.store.publish_device_log(publish).await;
        published.map(Body::DeviceLogPublished).map_err(|r| refusal(r, PLAIN))
    }

    /// DEVLOG-007, DEVLOG-008.
    pub(crate) async fn fetch_device_logs(
        self: Arc<Self>,
        users: Vec<UserId>,
        from_position: u32,
    ) -> Answer {
        let logs = self.store.device_logs(&users, from_position, self.max_reply_bytes()).await;
        logs.map(Body::DeviceLogs).map_err(|e| failed(&e))
    }
}

/// What a log says with further entries; the first that is refused is the reason why not.
fn verify(user: UserId, log: &[Bytes], entries: &[Bytes]) -> Result<VerifiedLog, Refusal> {
    let all = || log.iter().chain(entries);
    let replayed =
        DeviceLog::replay(user, all().map(|entry| &entry[..])).map_err(|(position, error)| {
            let message = format!("Entry {position} is refused: {error}.");
            Refusal::new(ErrorCode::DeviceLogInvalid, message)
        })?;
    let head = replayed.head().position;
    let active: Vec<_> = replayed
        .active()
        .map(|certificate| (certificate.device(), *certificate.login_key().as_bytes()))
        .collect();
    let named = all().filter_map(|entry| revoked_by(entry));
    let is_revoked =
        |device: &DeviceId| !matches!(replayed.judge(*device, head), Judgement::Active { .. });
    let revoked = named.filter(is_revoked).collect();
    Ok(VerifiedLog { after: log.last().cloned(), active, revoked })
}

/// The device that an entry revokes, if it is a revocation.
fn revoked_by(entry: &[u8]) -> Option<DeviceId> {
    use aside_proto::v1::{DeviceLogEntry, DeviceLogStatement, device_log_statement::Change};
    use prost::Message as _;

    let entry = DeviceLogEntry::decode(entry).ok()?;
    match DeviceLogStatement::decode(entry.statement).ok()?.change? {
        Change::Revoke(revoke) => DeviceId::try_from(&revoke.device_id[..]).ok(),
        _ => None,
    }
}
