//! Private conversations as they are read, in a transaction that writes as well as outside of one.

use aside_proto::{
    id::{ConversationId, DeviceId, UserId},
    private::{Epoch, Leaf},
    v1,
};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use prost::Message as _;

use crate::{
    db::{Columns as _, Executor, Pool, Row, decode_error, signed},
    error::{Refused, Stop},
    rooms,
    write::Place,
};

/// Bytes of Inbox or DeviceLogs besides its items: flags, keys and lengths.
const LIST_OVERHEAD_BYTES: usize = 64;
/// Bytes of an item besides its own, or of a log besides its entries: ids, numbers, keys and lengths.
const ITEM_OVERHEAD_BYTES: usize = 64;

/// How a member and its device stand to a conversation.
pub(crate) const MEMBERSHIP: &str =
    "SELECT c.id, c.kind, m.role, g.generation, g.epoch, g.since_seq, l.pending
     FROM conversations c
     LEFT JOIN members m ON m.conversation = c.id AND m.user_id = ?
     LEFT JOIN groups g ON g.conversation = c.id
     LEFT JOIN leaves l ON l.conversation = c.id AND l.device = ?
     WHERE c.conversation_id = ?";
/// The leaves of a conversation, with the role of the member whose each is.
pub(crate) const LEAVES: &str =
    "SELECT d.user_id, d.device_id, l.device, l.pending, m.role FROM leaves l
     JOIN devices d ON d.id = l.device
     LEFT JOIN members m ON m.conversation = l.conversation AND m.user_id = d.user_id
     WHERE l.conversation = ? ORDER BY l.device";
/// What waits for a device.
pub(crate) const INBOX: &str =
    "SELECT i.position, c.conversation_id, w.generation, w.epoch, w.seq, w.welcome
     FROM inbox i JOIN welcomes w ON w.id = i.welcome JOIN conversations c ON c.id = w.conversation
     WHERE i.device = ? AND i.position > ? ORDER BY i.position LIMIT ?";
/// A user's device log from a position on.
pub(crate) const DEVICE_LOG: &str =
    "SELECT entry FROM device_log WHERE user_id = ? AND position >= ? ORDER BY position";
/// How many entries a device log has.
pub(crate) const DEVICE_LOG_LENGTH: &str =
    "SELECT MAX(position) + 1 FROM device_log WHERE user_id = ?";

/// How a member, by one of its devices, stands to a private conversation.
#[derive(Clone, Copy)]
pub(crate) struct Membership {
    pub(crate) place: Place,
    pub(crate) kind: v1::ConversationKind,
    pub(crate) role: v1::Role,
    /// Where the group is.
    pub(crate) at: Epoch,
    /// That of the entry that established the group; 0 if there is none.
    pub(crate) since_seq: u64,
    /// Whether the device is a leaf that is not to be removed.
    pub(crate) is_leaf: bool,
}

/// A leaf of a group.
#[derive(Clone, Copy)]
pub(crate) struct Seated {
    pub(crate) leaf: Leaf,
    /// The device's surrogate key.
    pub(crate) key: i64,
    /// Whether the next commit has to remove it.
    pub(crate) is_pending: bool,
    /// Its user's; none if the user is no member.
    pub(crate) role: Option<v1::Role>,
}

/// PRIV-002.
pub(crate) async fn check_approved(executor: impl Executor<'_>, device: i64) -> Result<(), Stop> {
    let row = sqlx::query("SELECT 1 FROM approvals WHERE device = ?")
        .bind(device)
        .fetch_optional(executor)
        .await?;
    match row {
        Some(_) => Ok(()),
        None => Err(Refused::DeviceNotApproved { devices: Vec::new() }.into()),
    }
}

/// PRIV-005, PRIV-007: a private conversation is there for its members alone.
pub(crate) async fn membership(
    executor: impl Executor<'_>,
    conversation: ConversationId,
    user: UserId,
    device: i64,
) -> Result<Membership, Stop> {
    let row = sqlx::query(MEMBERSHIP)
        .bind(user.as_bytes().as_slice())
        .bind(device)
        .bind(conversation.as_bytes().as_slice())
        .fetch_optional(executor)
        .await?
        .ok_or(Refused::NoSuchConversation)?;
    let kind = rooms::kind(&row, 1)?;
    if kind == v1::ConversationKind::PublicRoom {
        return Err(Refused::WrongConversationKind.into());
    }
    if row.key_or_null(2)?.is_none() {
        return Err(Refused::NoSuchConversation.into());
    }
    Ok(Membership {
        place: Place { key: row.key(0)?, id: conversation },
        kind,
        role: role(&row, 2)?,
        at: Epoch { generation: row.number(3)?, epoch: row.number(4)? },
        since_seq: row.number(5)?,
        is_leaf: row.key_or_null(6)? == Some(0),
    })
}

/// The leaves of a conversation, those that are to be removed among them.
pub(crate) async fn leaves(
    executor: impl Executor<'_>,
    place: Place,
) -> Result<Vec<Seated>, sqlx::Error> {
    let rows = sqlx::query(LEAVES).bind(place.key).fetch_all(executor).await?;
    rows.iter().map(seated).collect()
}

/// A member's role.
pub(crate) fn role(row: &Row, column: usize) -> Result<v1::Role, sqlx::Error> {
    let number = row.number(column)? as i32;
    v1::Role::try_from(number).map_err(|error| decode_error(column, error))
}

/// DS-041. One transaction, so that all of it is of one moment.
pub(crate) async fn group_info(
    pool: &Pool,
    (user, device): (UserId, DeviceId),
    conversation: ConversationId,
) -> Result<v1::GroupInfo, Stop> {
    let mut transaction = pool.begin().await?;
    let device = device_key(&mut *transaction, device).await?;
    check_approved(&mut *transaction, device).await?;
    let Membership { place, at, .. } =
        membership(&mut *transaction, conversation, user, device).await?;
    let row = sqlx::query("SELECT suite, group_info FROM groups WHERE conversation = ?")
        .bind(place.key)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(row) = row else { return Ok(v1::GroupInfo::default()) };
    let mut seated = leaves(&mut *transaction, place).await?;
    seated.sort_unstable_by_key(|seated| seated.leaf.device);
    let of = |pending| {
        let those = seated.iter().filter(move |seated| seated.is_pending == pending);
        those.map(|seated| seated.leaf.into()).collect()
    };
    Ok(v1::GroupInfo {
        generation: at.generation,
        epoch: at.epoch,
        suite: row.number(0)? as u32,
        group_info: row.bytes(1)?,
        leaves: of(false),
        pending_removals: of(true),
    })
}

/// INBOX-003.
pub(crate) async fn inbox(
    pool: &Pool,
    device: DeviceId,
    after: u64,
    max_items: u32,
    max_bytes: usize,
) -> Result<v1::Inbox, Stop> {
    let device = device_key(pool, device).await?;
    check_approved(pool, device).await?;
    let mut rows = sqlx::query(INBOX)
        .bind(device)
        .bind(signed(after))
        .bind(signed(max_items.into()) + 1)
        .fetch(pool);
    let mut inbox = v1::Inbox::default();
    let mut bytes = LIST_OVERHEAD_BYTES;
    while let Some(row) = rows.try_next().await? {
        let item = v1::InboxWelcome {
            position: row.number(0)?,
            conversation_id: row.bytes(1)?,
            generation: row.number(2)?,
            epoch: row.number(3)?,
            seq: row.number(4)?,
            welcome: row.bytes(5)?,
        };
        bytes += item.encoded_len() + ITEM_OVERHEAD_BYTES;
        let is_full = inbox.items.len() == max_items as usize || bytes > max_bytes;
        if is_full && !inbox.items.is_empty() {
            inbox.more = true;
            break;
        }
        inbox.items.push(item);
    }
    Ok(inbox)
}

/// The entries of a user's device log from a position on.
pub(crate) async fn device_log(
    executor: impl Executor<'_>,
    user: UserId,
    from_position: u32,
) -> Result<Vec<Bytes>, sqlx::Error> {
    let rows = sqlx::query(DEVICE_LOG)
        .bind(user.as_bytes().as_slice())
        .bind(from_position)
        .fetch_all(executor)
        .await?;
    rows.iter().map(|row| row.bytes(0)).collect()
}

/// How many entries a user's device log has.
pub(crate) async fn device_log_length(
    executor: impl Executor<'_>,
    user: UserId,
) -> Result<u32, sqlx::Error> {
    let row =
        sqlx::query(DEVICE_LOG_LENGTH).bind(user.as_bytes().as_slice()).fetch_one(executor).await?;
    Ok(row.number(0)? as u32)
}

/// DEVLOG-007, DEVLOG-008. One transaction, so that a log and its length are of one moment.
pub(crate) async fn device_logs(
    pool: &Pool,
    users: &[UserId],
    from_position: u32,
    max_bytes: usize,
) -> Result<v1::DeviceLogs, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let mut logs = v1::DeviceLogs::default();
    let mut bytes = LIST_OVERHEAD_BYTES;
    for user in users {
        let length = device_log_length(&mut *transaction, *user).await?;
        if length == 0 {
            continue;
        }
        bytes += ITEM_OVERHEAD_BYTES;
        if bytes > max_bytes {
            logs.more = true;
            break;
        }
        let mut part = v1::DeviceLogPart { user_id: user.to_bytes(), entries: Vec::new(), length };
        for entry in device_log(&mut *transaction, *user, from_position).await? {
            bytes += entry.len() + ITEM_OVERHEAD_BYTES;
            if bytes > max_bytes {
                logs.more = true;
                break;
            }
            part.entries.push(entry);
        }
        logs.logs.push(part);
        if logs.more {
            break;
        }
    }
    Ok(logs)
}

async fn device_key(executor: impl Executor<'_>, device: DeviceId) -> Result<i64, Stop> {
    let row = sqlx::query("SELECT id FROM devices WHERE device_id = ?")
        .bind(device.as_bytes().as_slice())
        .fetch_optional(executor)
        .await?
        .ok_or(Refused::DeviceRevoked)?;
    Ok(row.key(0)?)
}

fn seated(row: &Row) -> Result<Seated, sqlx::Error> {
    let role = row.key_or_null(4)?.map(|_| role(row, 4)).transpose()?;
    Ok(Seated {
        leaf: Leaf { user: UserId::new(row.array(0)?), device: DeviceId::new(row.array(1)?) },
        key: row.key(2)?,
        is_pending: row.number(3)? == 1,
        role,
    })
}
