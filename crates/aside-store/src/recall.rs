//! Finding the reply that a mutating request was given before, for writes and for reads.

use aside_proto::id::IdempotencyKey;
use prost::Message;

use crate::{
    db::{Columns as _, Executor, decode_error},
    error::{Refused, Stop},
};

/// The mutating requests whose replies are kept, by their numbers in `ClientFrame.body`. A message is not among them:
/// its entry is what is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Register = 11,
    Rename = 20,
    ChangePassword = 21,
    RevokeDevice = 23,
    CreateRoom = 30,
    Join = 32,
    Leave = 33,
    UpdateRoom = 50,
    Invite = 51,
    Redact = 52,
    SetPin = 53,
    IssueToken = 70,
    RevokeToken = 72,
    PublishDeviceLog = 80,
    PublishKeyPackages = 82,
    ClaimKeyPackages = 83,
    OpenDirect = 84,
    CreateGroup = 85,
    EstablishGroup = 86,
    SubmitCommit = 87,
    SetRole = 89,
    RejectCommit = 90,
}

/// What a device used a key for: a request, or a message.
pub(crate) const USE: &str = "SELECT kind, reply FROM requests WHERE key = ? AND device = ?
     UNION ALL SELECT 0, NULL FROM entries WHERE message_id = ? AND device = ?
     UNION ALL SELECT 0, NULL FROM trimmed WHERE message_id = ? AND device = ?";

/// The reply that a device was given to a request of this kind and key, if it succeeded (IDEM-006). Refuses a key that
/// the device used for something else, a message included (IDEM-007).
pub(crate) async fn reply<M: Message + Default>(
    executor: impl Executor<'_>,
    key: IdempotencyKey,
    device_key: i64,
    kind: Kind,
) -> Result<Option<M>, Stop> {
    let mut query = sqlx::query(USE);
    for _ in 0..3 {
        query = query.bind(key.as_bytes().as_slice()).bind(device_key);
    }
    let row = query.fetch_optional(executor).await?;
    let Some(row) = row else { return Ok(None) };
    if row.number(0)? != kind as u64 {
        return Err(Refused::KeyReused.into());
    }
    M::decode(row.bytes(1)?).map(Some).map_err(|error| decode_error(1, error).into())
}
