//! Rooms: made, joined, left.

use aside_crypto::chain_start;
use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    name::Name,
    v1,
};
use bytes::Bytes;

use super::{
    Context, Who,
    entries::{Head, Place},
};
use crate::{
    db::{Columns as _, signed},
    effect::Effect,
    error::{Refused, Stop},
    recall::Kind,
    request::{CreateRoom, Join, Leave},
    rooms::{self, Standing},
};

/// How many conversations of a kind a user is a member of since one of their first entries.
pub(crate) const COUNT_MEMBERSHIPS: &str =
    "SELECT COUNT(*) FROM members m CROSS JOIN conversations c ON c.id = m.conversation
     WHERE m.user_id = ? AND c.kind = ? AND m.joined_seq <= ?";

impl Context<'_> {
    /// ROOM-002, ROOM-003, ROOM-013.
    pub(crate) async fn create_room(
        &mut self,
        create: &CreateRoom,
    ) -> Result<v1::RoomCreated, Stop> {
        let who = self.who(create.user, create.device).await?;
        if let Some(reply) = self.recall(&who, create.key, Kind::CreateRoom).await? {
            return Ok(reply);
        }
        self.check_room_count(who.user).await?;
        self.check_room_name(create.name.as_str()).await?;
        let (place, mut head) = self.make_room(&create.name, Some((&who, create.key))).await?;
        self.add_member(&who, create.key, place, &mut head, v1::Role::Owner).await?;
        let reply = v1::RoomCreated { room: Some(self.room(place, who.user).await?) };
        self.remember(&who, create.key, Kind::CreateRoom, &reply).await?;
        Ok(reply)
    }

    /// ROOM-005, ROOM-006, ROOM-012, ROOM-013, ROOM-015, INV-001, INV-005.
    pub(crate) async fn join(&mut self, join: &Join) -> Result<v1::Joined, Stop> {
        let who = self.who(join.user, join.device).await?;
        if let Some(reply) = self.recall(&who, join.key, Kind::Join).await? {
            return Ok(reply);
        }
        let standing = self.standing(join.conversation, who.user).await?.of_room()?;
        let place = Place { key: standing.key, id: join.conversation };
        if !standing.is_member {
            let was_invited = self.end_invitation(place, who.user).await?;
            if standing.invite_only && !was_invited {
                return Err(Refused::InviteRequired.into());
            }
            self.check_room_count(who.user).await?;
            let mut head = self.head(place).await?;
            self.add_member(&who, join.key, place, &mut head, v1::Role::Member).await?;
        }
        let reply = v1::Joined { room: Some(self.room(place, who.user).await?) };
        self.remember(&who, join.key, Kind::Join, &reply).await?;
        Ok(reply)
    }

    /// ROOM-007 to ROOM-009, ROOM-012, INV-006.
    pub(crate) async fn leave(&mut self, leave: &Leave) -> Result<v1::Left, Stop> {
        let who = self.who(leave.user, leave.device).await?;
        if let Some(reply) = self.recall(&who, leave.key, Kind::Leave).await? {
            return Ok(reply);
        }
        let Standing { key, is_member, kind, .. } =
            self.standing(leave.conversation, who.user).await?;
        let place = Place { key, id: leave.conversation };
        if kind != v1::ConversationKind::PublicRoom {
            self.check_approved(&who).await?;
        }
        match (kind, is_member) {
            (v1::ConversationKind::Direct, _) => return Err(Refused::NotPermitted.into()),
            (v1::ConversationKind::Group, _) => {
                self.leave_group(&who, leave.key, place).await?;
            }
            (_, true) => self.remove_member(&who, leave.key, place).await?,
            (_, false) => {
                self.end_invitation(place, who.user).await?;
            }
        }
        let reply = v1::Left {};
        self.remember(&who, leave.key, Kind::Leave, &reply).await?;
        Ok(reply)
    }

    /// ROOM-004: makes the room that newcomers are shown first, unless it is there.
    pub(crate) async fn ensure_default_room(&mut self, name: &Name) -> Result<(), sqlx::Error> {
        let default = sqlx::query("SELECT 1 FROM conversations WHERE is_default = 1")
            .fetch_optional(&mut *self.connection)
            .await?;
        if default.is_none() {
            self.make_room(name, None).await?;
        }
        self.flush().await
    }

    /// Makes a room with its first entry. One that nobody makes is the server's own: the default room.
    async fn make_room(
        &mut self,
        name: &Name,
        owner: Option<(&Who, IdempotencyKey)>,
    ) -> Result<(Place, Head), sqlx::Error> {
        let id = ConversationId::new(self.uuid());
        sqlx::query(
            "INSERT INTO conversations
             (conversation_id, kind, name, is_default, member_count, first_seq, anchor) VALUES (?, ?, ?, ?, 0, 1, ?)",
        )
        .bind(id.as_bytes().as_slice())
        .bind(v1::ConversationKind::PublicRoom as i32)
        .bind(name.as_str())
        .bind(owner.is_none().then_some(1))
        .bind(chain_start(id).as_slice())
        .execute(&mut *self.connection)
        .await?;
        let row = sqlx::query("SELECT id FROM conversations WHERE conversation_id = ?")
            .bind(id.as_bytes().as_slice())
            .fetch_one(&mut *self.connection)
            .await?;
        let place = Place { key: row.key(0)?, id };
        let mut head = Head::start(id);
        let payload = v1::RoomCreatedPayload {
            name: name.as_str().to_owned(),
            owner_user_id: owner.map_or_else(Bytes::new, |(who, _)| who.user.to_bytes()),
        };
        let origin = owner.map(|(who, key)| who.origin(key));
        self.seal_record(place, &mut head, v1::EntryKind::RoomCreated, origin, &payload);
        Ok((place, head))
    }

    async fn add_member(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        place: Place,
        head: &mut Head,
        role: v1::Role,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("INSERT INTO members (conversation, user_id, role) VALUES (?, ?, ?)")
            .bind(place.key)
            .bind(who.user.as_bytes().as_slice())
            .bind(role as i32)
            .execute(&mut *self.connection)
            .await?;
        let members = self.count_members(place, 1).await?;
        let payload = v1::MemberJoinedPayload {
            user_id: who.user.to_bytes(),
            handle: who.handle.as_str().to_owned(),
            role: role.into(),
        };
        self.effects.push(Effect::Joined { user: who.user, conversation: place.id, members });
        let origin = Some(who.origin(key));
        let sealed = self.seal_record(place, head, v1::EntryKind::MemberJoined, origin, &payload);
        // MARK-002: what was said before is not unread.
        sqlx::query(
            "INSERT INTO watermarks (conversation, user_id, delivered_seq, read_seq) VALUES (?, ?, ?, ?)",
        )
        .bind(place.key)
        .bind(who.user.as_bytes().as_slice())
        .bind(signed(sealed.seq))
        .bind(signed(sealed.seq))
        .execute(&mut *self.connection)
        .await?;
        self.flush().await
    }

    async fn remove_member(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        place: Place,
    ) -> Result<(), Stop> {
        sqlx::query("DELETE FROM members WHERE conversation = ? AND user_id = ?")
            .bind(place.key)
            .bind(who.user.as_bytes().as_slice())
            .execute(&mut *self.connection)
            .await?;
        // MARK-011.
        sqlx::query("DELETE FROM watermarks WHERE conversation = ? AND user_id = ?")
            .bind(place.key)
            .bind(who.user.as_bytes().as_slice())
            .execute(&mut *self.connection)
            .await?;
        let members = self.count_members(place, -1).await?;
        let payload = v1::MemberLeftPayload { user_id: who.user.to_bytes() };
        let mut head = self.head(place).await?;
        self.seal_record(
            place,
            &mut head,
            v1::EntryKind::MemberLeft,
            Some(who.origin(key)),
            &payload,
        );
        self.effects.push(Effect::Left { user: who.user, conversation: place.id, members });
        Ok(self.flush().await?)
    }

    /// Counts one more or less; gives how many there are then.
    pub(super) async fn count_members(
        &mut self,
        place: Place,
        change: i64,
    ) -> Result<u64, sqlx::Error> {
        sqlx::query("UPDATE conversations SET member_count = member_count + ? WHERE id = ?")
            .bind(change)
            .bind(place.key)
            .execute(&mut *self.connection)
            .await?;
        let row = sqlx::query("SELECT member_count FROM conversations WHERE id = ?")
            .bind(place.key)
            .fetch_one(&mut *self.connection)
            .await?;
        row.number(0)
    }

    /// ROOM-003: whether no room has the name.
    pub(super) async fn check_room_name(&mut self, name: &str) -> Result<(), Stop> {
        let taken = sqlx::query("SELECT 1 FROM conversations WHERE name = ?")
            .bind(name)
            .fetch_optional(&mut *self.connection)
            .await?;
        if taken.is_some() { Err(Refused::RoomNameTaken.into()) } else { Ok(()) }
    }

    /// ROOM-013: whether the user may be a member of one room more.
    async fn check_room_count(&mut self, user: UserId) -> Result<(), Stop> {
        let (kind, most) =
            (v1::ConversationKind::PublicRoom, self.surroundings.limits.max_rooms_per_user);
        self.check_count(user, kind, i64::MAX, most).await
    }

    /// Whether the user is a member of less than `most` conversations of a kind, those not counted that it is one of since an entry
    /// after `since_seq`.
    pub(super) async fn check_count(
        &mut self,
        user: UserId,
        kind: v1::ConversationKind,
        since_seq: i64,
        most: u32,
    ) -> Result<(), Stop> {
        let row = sqlx::query(COUNT_MEMBERSHIPS)
            .bind(user.as_bytes().as_slice())
            .bind(kind as i32)
            .bind(since_seq)
            .fetch_one(&mut *self.connection)
            .await?;
        if row.number(0)? < u64::from(most) { Ok(()) } else { Err(Refused::TooManyRooms.into()) }
    }

    pub(super) async fn standing(
        &mut self,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<Standing, Stop> {
        rooms::standing(&mut *self.connection, conversation, user).await
    }

    pub(super) async fn room(&mut self, place: Place, user: UserId) -> Result<v1::Room, Stop> {
        rooms::room(&mut *self.connection, self.surroundings.retention, place.id, user).await
    }

    pub(super) async fn head(&mut self, place: Place) -> Result<Head, Stop> {
        let mut heads = self.heads(&[place]).await?;
        Ok(*heads.of(place)?)
    }
}
