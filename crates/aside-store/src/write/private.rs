//! Private conversations: made, their members and roles. What is said in them, and which devices can read it, is in `groups`.

use aside_crypto::{chain_start, direct_id};
use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    private::Peer,
    v1,
};

use super::{
    Context, Who,
    entries::{Head, Place},
};
use crate::{
    db::{Columns as _, signed},
    effect::Effect,
    error::{Refused, Stop},
    private::{self, Membership},
    recall::Kind,
    request::{CreateGroup, OpenDirect, SetRole},
};

/// Who is to own a GROUP that has lost its last owner (PRIV-011): none if it has one, or nobody is left.
const HEIR: &str = "SELECT m.user_id FROM members m
     WHERE m.conversation = ? AND NOT EXISTS (
         SELECT 1 FROM members o WHERE o.conversation = m.conversation AND o.role = ?)
     ORDER BY NOT EXISTS (
         SELECT 1 FROM devices d CROSS JOIN leaves l ON l.conversation = m.conversation AND l.device = d.id
         WHERE d.user_id = m.user_id AND l.pending = 0), m.role <> ?, m.joined_seq, m.user_id LIMIT 1";

/// Who is a member of a GROUP from its first entry on has made it.
const FIRST_SEQ: i64 = 1;

impl Context<'_> {
    /// PRIV-003, PRIV-004.
    pub(crate) async fn open_direct(
        &mut self,
        open: &OpenDirect,
    ) -> Result<v1::DirectOpened, Stop> {
        let who = self.who(open.user, open.device).await?;
        if let Some(reply) = self.recall(&who, open.key, Kind::OpenDirect).await? {
            return Ok(reply);
        }
        self.check_approved(&who).await?;
        let peer = self.peer(&open.peer).await?;
        if peer == who.user {
            return Err(Refused::Oneself.into());
        }
        let id = direct_id(who.user, peer);
        let place = match self.find_conversation(id).await? {
            Some(place) => place,
            None => {
                self.count_newcomers(&who, 1)?;
                let mut users = [who.user, peer];
                users.sort_unstable();
                self.make_private(&who, open.key, id, v1::ConversationKind::Direct, &users).await?
            }
        };
        let reply = v1::DirectOpened { conversation: Some(self.room(place, who.user).await?) };
        self.remember(&who, open.key, Kind::OpenDirect, &reply).await?;
        Ok(reply)
    }

    /// PRIV-009.
    pub(crate) async fn create_group(
        &mut self,
        create: &CreateGroup,
    ) -> Result<v1::GroupCreated, Stop> {
        let who = self.who(create.user, create.device).await?;
        if let Some(reply) = self.recall(&who, create.key, Kind::CreateGroup).await? {
            return Ok(reply);
        }
        self.check_approved(&who).await?;
        // Those that others made a member of do not count.
        self.check_group_count(who.user, FIRST_SEQ).await?;
        let id = ConversationId::new(self.uuid());
        let kind = v1::ConversationKind::Group;
        let place = self.make_private(&who, create.key, id, kind, &[who.user]).await?;
        let reply = v1::GroupCreated { conversation: Some(self.room(place, who.user).await?) };
        self.remember(&who, create.key, Kind::CreateGroup, &reply).await?;
        Ok(reply)
    }

    /// PRIV-010.
    pub(crate) async fn set_role(&mut self, set: &SetRole) -> Result<v1::RoleSet, Stop> {
        let who = self.who(set.user, set.device).await?;
        if let Some(reply) = self.recall(&who, set.key, Kind::SetRole).await? {
            return Ok(reply);
        }
        let Membership { place, kind, role, .. } =
            self.private_membership(set.conversation, &who).await?;
        if kind != v1::ConversationKind::Group || role != v1::Role::Owner {
            return Err(Refused::NotPermitted.into());
        }
        let before = self.role_of(place, set.member).await?.ok_or(Refused::NoSuchUser)?;
        if before != set.role {
            self.write_role(place, set.member, set.role).await?;
            let mut head = self.head(place).await?;
            self.record_role(&who, set.key, place, &mut head, (set.member, set.role));
            self.flush().await?;
            // Whoever gave the last ownership away would leave nobody to undo it.
            if self.heir(place).await?.is_some() {
                return Err(Refused::NotPermitted.into());
            }
        }
        let reply = v1::RoleSet {};
        self.remember(&who, set.key, Kind::SetRole, &reply).await?;
        Ok(reply)
    }

    /// A member leaves: its leaves are cut off at once, and wait for a commit to remove them (PRIV-013).
    pub(super) async fn leave_group(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        place: Place,
    ) -> Result<(), Stop> {
        let cut = self.cut_off_user(place, who.user).await?;
        let members = self.end_membership(place, who.user).await?;
        let mut head = self.head(place).await?;
        let payload = v1::RemovalPendingPayload {
            user_id: who.user.to_bytes(),
            device_ids: cut.iter().map(|device| device.to_bytes()).collect(),
            left: true,
        };
        let (kind, origin) = (v1::EntryKind::RemovalPending, Some(who.origin(key)));
        self.seal_record(place, &mut head, kind, origin, &payload);
        let conversation = place.id;
        for device in cut {
            self.effects.push(Effect::LeafRemoved { device, conversation });
        }
        self.effects.push(Effect::Left { user: who.user, conversation, members });
        self.pass_ownership(who, key, place, &mut head).await?;
        Ok(self.flush().await?)
    }

    /// Gives a GROUP without an owner another (PRIV-011).
    pub(super) async fn pass_ownership(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        place: Place,
        head: &mut Head,
    ) -> Result<(), sqlx::Error> {
        if let Some(heir) = self.heir(place).await? {
            self.write_role(place, heir, v1::Role::Owner).await?;
            self.record_role(who, key, place, head, (heir, v1::Role::Owner));
        }
        Ok(())
    }

    /// PRIV-019: whether the user may be a member of one GROUP more, those not counted that it is one of since an entry after
    /// `since_seq`.
    pub(super) async fn check_group_count(
        &mut self,
        user: UserId,
        since_seq: i64,
    ) -> Result<(), Stop> {
        let most = self.surroundings.limits.max_groups_per_user;
        self.check_count(user, v1::ConversationKind::Group, since_seq, most).await
    }

    /// PRIV-020: whether a user may make so many others members now.
    pub(super) fn count_newcomers(&self, who: &Who, count: usize) -> Result<(), Refused> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        (self.surroundings.newcomers)(who.user, count)
            .map_err(|retry_after_ms| Refused::TooManyNewcomers { retry_after_ms })
    }

    /// Makes a user a member from an entry on; it has to be none.
    pub(super) async fn begin_membership(
        &mut self,
        place: Place,
        user: UserId,
        role: v1::Role,
        seq: u64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO members (conversation, user_id, role, joined_seq) VALUES (?, ?, ?, ?)",
        )
        .bind(place.key)
        .bind(user.as_bytes().as_slice())
        .bind(role as i32)
        .bind(signed(seq))
        .execute(&mut *self.connection)
        .await?;
        // As MARK-002: what was said before is not unread.
        sqlx::query(
            "INSERT INTO watermarks (conversation, user_id, delivered_seq, read_seq) VALUES (?, ?, ?, ?)",
        )
        .bind(place.key)
        .bind(user.as_bytes().as_slice())
        .bind(signed(seq))
        .bind(signed(seq))
        .execute(&mut *self.connection)
        .await?;
        let members = self.count_members(place, 1).await?;
        self.effects.push(Effect::JoinedPrivate { user, conversation: place.id, members });
        Ok(())
    }

    /// Ends a user's membership, which there has to be; gives how many members are left.
    pub(super) async fn end_membership(
        &mut self,
        place: Place,
        user: UserId,
    ) -> Result<u64, sqlx::Error> {
        for sql in [
            "DELETE FROM members WHERE conversation = ? AND user_id = ?",
            "DELETE FROM watermarks WHERE conversation = ? AND user_id = ?",
        ] {
            sqlx::query(sql)
                .bind(place.key)
                .bind(user.as_bytes().as_slice())
                .execute(&mut *self.connection)
                .await?;
        }
        self.count_members(place, -1).await
    }

    /// A private conversation as one of its members stands to it, who asks by an approved device (PRIV-002, PRIV-005, PRIV-007).
    pub(super) async fn private_membership(
        &mut self,
        conversation: ConversationId,
        who: &Who,
    ) -> Result<Membership, Stop> {
        self.check_approved(who).await?;
        private::membership(&mut *self.connection, conversation, who.user, who.device_key).await
    }

    /// PRIV-002.
    pub(super) async fn check_approved(&mut self, who: &Who) -> Result<(), Stop> {
        private::check_approved(&mut *self.connection, who.device_key).await
    }

    /// The role of a member.
    pub(super) async fn role_of(
        &mut self,
        place: Place,
        user: UserId,
    ) -> Result<Option<v1::Role>, sqlx::Error> {
        let row = sqlx::query("SELECT role FROM members WHERE conversation = ? AND user_id = ?")
            .bind(place.key)
            .bind(user.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection)
            .await?;
        row.map(|row| private::role(&row, 0)).transpose()
    }

    async fn peer(&mut self, peer: &Peer) -> Result<UserId, Stop> {
        match peer {
            Peer::Handle(handle) => self.user_named(handle).await,
            Peer::User(user) => match self.is_user(*user).await? {
                true => Ok(*user),
                false => Err(Refused::NoSuchUser.into()),
            },
        }
    }

    /// Whether there is such an account.
    pub(super) async fn is_user(&mut self, user: UserId) -> Result<bool, sqlx::Error> {
        let row = sqlx::query("SELECT 1 FROM users WHERE user_id = ?")
            .bind(user.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection)
            .await?;
        Ok(row.is_some())
    }

    async fn find_conversation(
        &mut self,
        id: ConversationId,
    ) -> Result<Option<Place>, sqlx::Error> {
        let row = sqlx::query("SELECT id FROM conversations WHERE conversation_id = ?")
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection)
            .await?;
        row.map(|row| Ok(Place { key: row.key(0)?, id })).transpose()
    }

    /// Makes a conversation with its first entry; each of its first members owns it.
    async fn make_private(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        id: ConversationId,
        kind: v1::ConversationKind,
        users: &[UserId],
    ) -> Result<Place, Stop> {
        sqlx::query(
            "INSERT INTO conversations
             (conversation_id, kind, name, member_count, first_seq, anchor) VALUES (?, ?, ?, 0, 1, ?)",
        )
        .bind(id.as_bytes().as_slice())
        .bind(kind as i32)
        // Unique, and no room's name: see the migration that brought private conversations.
        .bind(format!("/{id}"))
        .bind(chain_start(id).as_slice())
        .execute(&mut *self.connection)
        .await?;
        let place = self.find_conversation(id).await?.ok_or(sqlx::Error::RowNotFound)?;
        let mut head = Head::start(id);
        for user in users {
            self.begin_membership(place, *user, v1::Role::Owner, head.seq + 1).await?;
        }
        let payload = v1::ConversationCreatedPayload {
            kind: kind.into(),
            user_ids: users.iter().map(|user| user.to_bytes()).collect(),
        };
        let origin = Some(who.origin(key));
        self.seal_record(place, &mut head, v1::EntryKind::ConversationCreated, origin, &payload);
        self.flush().await?;
        Ok(place)
    }

    async fn heir(&mut self, place: Place) -> Result<Option<UserId>, sqlx::Error> {
        let row = sqlx::query(HEIR)
            .bind(place.key)
            .bind(v1::Role::Owner as i32)
            .bind(v1::Role::Admin as i32)
            .fetch_optional(&mut *self.connection)
            .await?;
        row.map(|row| row.array(0).map(UserId::new)).transpose()
    }

    async fn write_role(
        &mut self,
        place: Place,
        user: UserId,
        role: v1::Role,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE members SET role = ? WHERE conversation = ? AND user_id = ?")
            .bind(role as i32)
            .bind(place.key)
            .bind(user.as_bytes().as_slice())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    fn record_role(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        place: Place,
        head: &mut Head,
        (user, role): (UserId, v1::Role),
    ) {
        let payload = v1::RoleChangedPayload { user_id: user.to_bytes(), role: role.into() };
        let (kind, origin) = (v1::EntryKind::RoleChanged, Some(who.origin(key)));
        self.seal_record(place, head, kind, origin, &payload);
    }
}
