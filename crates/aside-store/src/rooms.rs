//! Rooms as they are read, in a transaction that writes as well as outside of one.

use aside_proto::{
    id::{ConversationId, UserId},
    retention, v1,
};
use prost::Message as _;
use sqlx::AssertSqlSafe;

use crate::{
    db::{Columns as _, Executor, Pool, Row, decode_error, signed},
    error::{Refused, Stop},
    page::{self, List},
    request::{ListRooms, MembersPage, Reader},
    sql::{Listing, MAX_LENGTH, placeholders},
};

/// Bytes of Rooms besides its items: a page token, its key and length.
const ROOMS_OVERHEAD_BYTES: usize = 64;
/// Bytes of a room in Rooms besides those of the room: a key and a length.
const ROOM_OVERHEAD_BYTES: usize = 1 + 5;

/// How a user stands to a conversation that exists.
pub(crate) struct Standing {
    /// The conversation's surrogate key.
    pub(crate) key: i64,
    pub(crate) is_member: bool,
    pub(crate) is_owner: bool,
    /// Whether only who is invited may join.
    pub(crate) invite_only: bool,
    pub(crate) kind: v1::ConversationKind,
}

impl Standing {
    /// Refuses what is for rooms alone (PRIV-005).
    pub(crate) fn of_room(self) -> Result<Self, Stop> {
        match self.kind {
            v1::ConversationKind::PublicRoom => Ok(self),
            _ => Err(Refused::WrongConversationKind.into()),
        }
    }
}

/// Columns of a room as the user of `m` and `i` sees it: see [`from_row`].
pub(crate) const COLUMNS: &str =
    "c.conversation_id, c.kind, CASE c.kind WHEN 1 THEN c.name ELSE '' END, c.member_count, m.role, c.is_default, c.first_seq,
    COALESCE((SELECT MAX(seq) FROM entries e WHERE e.conversation = c.id), c.first_seq - 1),
    c.topic, c.description, c.invite_only, i.conversation, c.max_age_s, c.max_entries";
/// How many they are.
pub(crate) const COLUMN_COUNT: usize = 14;
/// Takes the user twice.
const ALL: &str = "conversations c
     LEFT JOIN members m ON m.conversation = c.id AND m.user_id = ?
     LEFT JOIN invitations i ON i.conversation = c.id AND i.user_id = ?";
const JOINED: &str = "conversations c
     JOIN members m ON m.conversation = c.id AND m.user_id = ?
     LEFT JOIN invitations i ON i.conversation = c.id AND i.user_id = m.user_id";
/// No more than a user may have open are sorted.
const INVITED: &str = "invitations i
     CROSS JOIN conversations c ON c.id = i.conversation AND i.user_id = ?
     LEFT JOIN members m ON m.conversation = c.id AND m.user_id = i.user_id";

/// The members of a room: see [`member`].
const MEMBERS: &str =
    "SELECT m.user_id, u.handle, m.role FROM members m JOIN users u ON u.user_id = m.user_id
     WHERE m.conversation = ?";
pub(crate) static MEMBERS_AMONG: Listing =
    Listing::new(|count| format!("{MEMBERS} AND m.user_id IN ({})", placeholders(count)));

/// ROOM-012, PRIV-007: a private conversation is there for its members alone.
pub(crate) async fn standing(
    executor: impl Executor<'_>,
    conversation: ConversationId,
    user: UserId,
) -> Result<Standing, Stop> {
    let row = sqlx::query(
        "SELECT c.id, m.role, c.invite_only, c.kind FROM conversations c
         LEFT JOIN members m ON m.conversation = c.id AND m.user_id = ?
         WHERE c.conversation_id = ? AND (c.kind = 1 OR m.role IS NOT NULL)",
    )
    .bind(user.as_bytes().as_slice())
    .bind(conversation.as_bytes().as_slice())
    .fetch_optional(executor)
    .await?
    .ok_or(Refused::NoSuchConversation)?;
    let role = row.key_or_null(1)?;
    Ok(Standing {
        key: row.key(0)?,
        is_member: role.is_some(),
        is_owner: role == Some(v1::Role::Owner as i64),
        invite_only: row.number(2)? == 1,
        kind: kind(&row, 3)?,
    })
}

/// What a conversation is.
pub(crate) fn kind(row: &Row, column: usize) -> Result<v1::ConversationKind, sqlx::Error> {
    let number = row.number(column)? as i32;
    v1::ConversationKind::try_from(number).map_err(|error| decode_error(column, error))
}

/// One room, as a user sees it, on a server with these limits to what is kept.
pub(crate) async fn room(
    executor: impl Executor<'_>,
    server: v1::Retention,
    conversation: ConversationId,
    user: UserId,
) -> Result<v1::Room, Stop> {
    let row =
        sqlx::query(literal(format!("SELECT {COLUMNS} FROM {ALL} WHERE c.conversation_id = ?")))
            .bind(user.as_bytes().as_slice())
            .bind(user.as_bytes().as_slice())
            .bind(conversation.as_bytes().as_slice())
            .fetch_optional(executor)
            .await?
            .ok_or(Refused::NoSuchConversation)?;
    Ok(from_row(&row, server)?)
}

/// ROOM-016, ROOM-018, ROOM-019, ROOM-028.
pub(crate) async fn list(
    pool: &Pool,
    server: v1::Retention,
    user: UserId,
    list: &ListRooms,
) -> Result<v1::Rooms, Stop> {
    let after =
        page::after(List::Rooms, &list.page_token).map_err(|_| Refused::PageTokenInvalid)?;
    let mut query = sqlx::query(literal(listing(list))).bind(user.as_bytes().as_slice());
    if !list.joined_only && !list.invited_only {
        query = query.bind(user.as_bytes().as_slice());
    }
    query = query.bind(after.as_ref().map_or(&[][..], |id| &id[..]));
    if let Some(name) = &list.name {
        query = query.bind(name.as_str());
    }
    let size = list.page_size as usize;
    let rows = query.bind(signed(list.page_size.into()) + 1).fetch_all(pool).await?;
    let mut rooms: Vec<v1::Room> = Vec::new();
    let mut bytes = ROOMS_OVERHEAD_BYTES;
    for row in rows.iter().take(size) {
        let room = from_row(row, server)?;
        bytes += ROOM_OVERHEAD_BYTES + room.encoded_len();
        if bytes > list.max_bytes && !rooms.is_empty() {
            break;
        }
        rooms.push(room);
    }
    let next_page_token = match rows.get(rooms.len().wrapping_sub(1)) {
        Some(last) if rows.len() > rooms.len() => page::token(List::Rooms, &last.array(0)?),
        _ => bytes::Bytes::new(),
    };
    Ok(v1::Rooms { rooms, next_page_token })
}

/// The statement for a page of rooms; private conversations are none (PRIV-006). Nobody is a member of a room and invited to it (INV-005).
pub(crate) fn listing(list: &ListRooms) -> String {
    let (from, joined) = match (list.joined_only, list.invited_only) {
        (false, false) => (ALL, ""),
        (true, false) => (JOINED, ""),
        (false, true) => (INVITED, ""),
        (true, true) => (INVITED, "AND m.role IS NOT NULL"),
    };
    let named = if list.name.is_some() { "AND c.name = ?" } else { "" };
    format!(
        "SELECT {COLUMNS} FROM {from} WHERE c.kind = 1 AND c.conversation_id > ? {joined} {named}
         ORDER BY c.conversation_id LIMIT ?"
    )
}

/// ROOM-010, ROOM-017, ROOM-018: but for who is online.
pub(crate) async fn members(
    pool: &Pool,
    reader: Reader,
    conversation: ConversationId,
    after: Option<UserId>,
    limit: u32,
) -> Result<MembersPage, Stop> {
    let key = membership(pool, conversation, reader).await?;
    let sql = format!("{MEMBERS} AND m.user_id > ? ORDER BY m.user_id LIMIT ?");
    let mut rows = sqlx::query(literal(sql))
        .bind(key)
        .bind(after.as_ref().map_or(&[][..], |user| user.as_bytes()))
        .bind(signed(limit.into()) + 1)
        .fetch_all(pool)
        .await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let members = rows.iter().map(member).collect::<Result<_, _>>()?;
    Ok(MembersPage { members, more })
}

/// ROOM-010, ROOM-017: those of some users that are members.
pub(crate) async fn members_among(
    pool: &Pool,
    reader: Reader,
    conversation: ConversationId,
    users: &[UserId],
) -> Result<Vec<v1::Member>, Stop> {
    let key = membership(pool, conversation, reader).await?;
    let mut users = users.to_vec();
    users.sort_unstable();
    // Or one whose repetitions end up in two chunks would be found twice.
    users.dedup();
    let mut members: Vec<v1::Member> = Vec::new();
    for users in users.chunks(MAX_LENGTH) {
        let (sql, length) = MEMBERS_AMONG.at_least(users.len());
        let mut query = sqlx::query(sql).bind(key);
        for index in 0..length {
            query = query.bind(users.get(index).map(|user| user.as_bytes().as_slice()));
        }
        for row in query.fetch_all(pool).await? {
            members.push(member(&row)?);
        }
    }
    members.sort_unstable_by(|a, b| a.user_id.cmp(&b.user_id));
    Ok(members)
}

/// The surrogate key of a conversation that the reader is a member of, and may read.
pub(crate) async fn membership(
    pool: &Pool,
    conversation: ConversationId,
    reader: Reader,
) -> Result<i64, Stop> {
    let standing = standing(pool, conversation, reader.user).await?;
    if !standing.is_member {
        return Err(Refused::NotAMember.into());
    }
    reader.check(standing.kind)?;
    Ok(standing.key)
}

/// The same of what has to be a room (PRIV-005).
pub(crate) async fn room_membership(
    pool: &Pool,
    conversation: ConversationId,
    user: UserId,
) -> Result<i64, Stop> {
    let standing = standing(pool, conversation, user).await?.of_room()?;
    if standing.is_member { Ok(standing.key) } else { Err(Refused::NotAMember.into()) }
}

fn member(row: &Row) -> Result<v1::Member, sqlx::Error> {
    Ok(v1::Member {
        user_id: row.bytes(0)?,
        handle: row.text(1)?,
        role: row.number(2)? as i32,
        online: false,
    })
}

/// A room of a row that begins with [`COLUMNS`]. The stricter of its limits to what is kept and the server's are in force (RET-001).
pub(crate) fn from_row(row: &Row, server: v1::Retention) -> Result<v1::Room, sqlx::Error> {
    let owner = limits(row, 12)?;
    Ok(v1::Room {
        conversation_id: row.bytes(0)?,
        kind: row.number(1)? as i32,
        name: row.text(2)?,
        member_count: row.number(3)? as u32,
        role: row.number(4)? as i32,
        is_default: row.key_or_null(5)?.is_some(),
        first_seq: row.number(6)?,
        head_seq: row.number(7)?,
        topic: row.text(8)?,
        description: row.text(9)?,
        invite_only: row.number(10)? == 1,
        invited: row.key_or_null(11)?.is_some(),
        retention: retention::announced(retention::stricter(owner, server)),
    })
}

/// What an owner keeps of a log: `max_age_s` and `max_entries` are the columns from `first` on.
pub(crate) fn limits(row: &Row, first: usize) -> Result<v1::Retention, sqlx::Error> {
    Ok(v1::Retention { max_age_s: row.number(first)?, max_entries: row.number(first + 1)? })
}

/// SQL put together from literals of this crate.
fn literal(sql: String) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql)
}
