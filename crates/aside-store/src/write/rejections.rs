//! What leaves find wrong with a group: commits that can't be followed, and epochs in which they do not agree.

use aside_crypto::Hash;
use aside_proto::{id::DeviceId, private::Epoch, v1};
use prost::Message as _;

use super::{Context, entries::Place};
use crate::{
    db::{Columns as _, decode_error, signed},
    effect::Effect,
    error::{Refused, Stop},
    private::Membership,
    recall::Kind,
    request::{RejectCommit, ReportForkCheck},
};

/// What a commit's entry says of it.
pub(crate) const COMMIT: &str = "SELECT header FROM entries WHERE conversation = ? AND seq = ?";
/// Whether another leaf computed something else of an epoch.
pub(crate) const OTHERS: &str = "SELECT 1 FROM fork_checks f
     WHERE f.conversation = ? AND f.generation = ? AND f.epoch = ? AND f.value <> ? LIMIT 1";

impl Context<'_> {
    /// DS-020, DS-025.
    pub(crate) async fn reject_commit(
        &mut self,
        reject: &RejectCommit,
    ) -> Result<v1::CommitRejected, Stop> {
        let who = self.who(reject.user, reject.device).await?;
        if let Some(reply) = self.recall(&who, reject.key, Kind::RejectCommit).await? {
            return Ok(reply);
        }
        let membership = self.private_membership(reject.conversation, &who).await?;
        let place = membership.place;
        if !membership.is_leaf {
            return Err(Refused::NotInGroup.into());
        }
        let committer = self.committer(&membership, reject.seq).await?;
        let noted = sqlx::query(
            "INSERT INTO rejections (conversation, seq, device, committer)
             SELECT ?, ?, ?, id FROM devices WHERE device_id = ? ON CONFLICT DO NOTHING",
        )
        .bind(place.key)
        .bind(signed(reject.seq))
        .bind(who.device_key)
        .bind(committer.as_bytes().as_slice())
        .execute(&mut *self.connection)
        .await?;
        let mut reply = v1::CommitRejected { seq: 0 };
        if noted.rows_affected() > 0 {
            let payload = v1::CommitRejectedPayload { seq: reject.seq, code: reject.code.into() };
            let mut head = self.head(place).await?;
            let (kind, origin) = (v1::EntryKind::CommitRejected, Some(who.origin(reject.key)));
            reply.seq = self.seal_record(place, &mut head, kind, origin, &payload).seq;
            self.flush().await?;
        }
        self.remember(&who, reject.key, Kind::RejectCommit, &reply).await?;
        Ok(reply)
    }

    /// FORK-001 to FORK-004.
    pub(crate) async fn report_fork_check(&mut self, report: &ReportForkCheck) -> Result<(), Stop> {
        let who = self.who(report.user, report.device).await?;
        let Membership { place, at, is_leaf, .. } =
            self.private_membership(report.conversation, &who).await?;
        if !is_leaf {
            return Err(Refused::NotInGroup.into());
        }
        if report.epoch > at || report.epoch.generation != at.generation {
            let head_seq = self.head(place).await?.seq;
            return Err(Refused::StaleEpoch { at, head_seq }.into());
        }
        let is_news =
            self.note_fork_check(place, who.device_key, report.epoch, &report.value).await?;
        if is_news && self.is_disputed(place, report.epoch, &report.value).await? {
            let (conversation, epoch) = (place.id, report.epoch);
            self.effects.push(Effect::ForkCheckMismatch { conversation, epoch });
        }
        Ok(())
    }

    /// Whose commit of the present generation is at a seq.
    async fn committer(&mut self, membership: &Membership, seq: u64) -> Result<DeviceId, Stop> {
        let row = sqlx::query(COMMIT)
            .bind(membership.place.key)
            .bind(signed(seq))
            .fetch_optional(&mut *self.connection)
            .await?
            .ok_or(Refused::NoSuchEntry)?;
        let header =
            v1::EntryHeader::decode(row.bytes(0)?).map_err(|error| decode_error(0, error))?;
        let is_commit =
            matches!(header.kind(), v1::EntryKind::Commit | v1::EntryKind::GroupEstablished);
        if !is_commit || seq < membership.since_seq {
            return Err(Refused::NoSuchEntry.into());
        }
        let device = DeviceId::try_from(&header.sender_device_id[..]);
        Ok(device.map_err(|error| decode_error(0, error))?)
    }

    /// Keeps the last that a leaf said; gives whether it is not older than what it said before.
    async fn note_fork_check(
        &mut self,
        place: Place,
        device: i64,
        epoch: Epoch,
        value: &Hash,
    ) -> Result<bool, sqlx::Error> {
        let noted = sqlx::query(
            "INSERT INTO fork_checks (conversation, device, generation, epoch, value) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (conversation, device) DO UPDATE SET epoch = excluded.epoch, value = excluded.value
             WHERE excluded.epoch >= fork_checks.epoch",
        )
        .bind(place.key)
        .bind(device)
        .bind(signed(epoch.generation))
        .bind(signed(epoch.epoch))
        .bind(value.as_slice())
        .execute(&mut *self.connection)
        .await?;
        Ok(noted.rows_affected() > 0)
    }

    async fn is_disputed(
        &mut self,
        place: Place,
        epoch: Epoch,
        value: &Hash,
    ) -> Result<bool, sqlx::Error> {
        let other = sqlx::query(OTHERS)
            .bind(place.key)
            .bind(signed(epoch.generation))
            .bind(signed(epoch.epoch))
            .bind(value.as_slice())
            .fetch_optional(&mut *self.connection)
            .await?;
        Ok(other.is_some())
    }
}
