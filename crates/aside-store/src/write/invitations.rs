//! Invitations: state beside the log from when they are made until they are used, turned down or withdrawn.

use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    limits::MAX_INVITATIONS_BY_ONE,
    name::Name,
    v1,
};

use super::{Context, Who, entries::Place};
use crate::{
    db::Columns as _,
    effect::Effect,
    error::{Refused, Stop},
    recall::Kind,
    request::Invite,
};

/// How many invitations a user has open, and how many of them somebody made.
pub(crate) const OF_USER: &str = "SELECT COUNT(*), COUNT(CASE WHEN inviter_id = ? THEN 1 END)
     FROM invitations WHERE user_id = ?";
/// How many invitations to a room are open.
pub(crate) const OF_ROOM: &str = "SELECT COUNT(*) FROM invitations WHERE conversation = ?";

impl Context<'_> {
    /// INV-002 to INV-008, INV-010.
    pub(crate) async fn invite(&mut self, invite: &Invite) -> Result<v1::Invited, Stop> {
        let who = self.who(invite.user, invite.device).await?;
        if let Some(reply) = self.recall(&who, invite.key, Kind::Invite).await? {
            return Ok(reply);
        }
        if invite.withdraw {
            self.withdraw(invite, who.user).await?;
        } else {
            self.invite_anew(invite, &who).await?;
        }
        let reply = v1::Invited {};
        self.remember(&who, invite.key, Kind::Invite, &reply).await?;
        Ok(reply)
    }

    async fn invite_anew(&mut self, invite: &Invite, who: &Who) -> Result<(), Stop> {
        let place = self.open_to(invite.conversation, who.user).await?;
        let user = self.user_named(&invite.handle).await?;
        if !self.is_in_or_invited(place, user).await? {
            self.check_invitations(place, who.user, user).await?;
            self.add_invitation(who, invite.key, place, user, &invite.handle).await?;
        }
        Ok(())
    }

    /// INV-010.
    async fn withdraw(&mut self, invite: &Invite, asker: UserId) -> Result<(), Stop> {
        let standing = self.standing(invite.conversation, asker).await?;
        if !standing.is_member {
            return Err(Refused::NotAMember.into());
        }
        let user = self.user_named(&invite.handle).await?;
        let place = Place { key: standing.key, id: invite.conversation };
        let row = sqlx::query(
            "SELECT inviter_id FROM invitations WHERE user_id = ? AND conversation = ?",
        )
        .bind(user.as_bytes().as_slice())
        .bind(place.key)
        .fetch_optional(&mut *self.connection)
        .await?;
        let Some(row) = row else { return Ok(()) };
        if !standing.is_owner && row.bytes(0)? != asker.as_bytes()[..] {
            return Err(Refused::NotPermitted.into());
        }
        self.end_invitation(place, user).await?;
        Ok(())
    }

    /// Ends an invitation, if there is one (INV-005, INV-006, INV-010); returns whether there was.
    pub(super) async fn end_invitation(
        &mut self,
        place: Place,
        user: UserId,
    ) -> Result<bool, sqlx::Error> {
        let ended = sqlx::query("DELETE FROM invitations WHERE user_id = ? AND conversation = ?")
            .bind(user.as_bytes().as_slice())
            .bind(place.key)
            .execute(&mut *self.connection)
            .await?;
        Ok(ended.rows_affected() > 0)
    }

    /// A room, for a member who may invite to it (INV-002).
    async fn open_to(&mut self, conversation: ConversationId, user: UserId) -> Result<Place, Stop> {
        let standing = self.standing(conversation, user).await?.of_room()?;
        if !standing.is_member {
            return Err(Refused::NotAMember.into());
        }
        if standing.invite_only && !standing.is_owner {
            return Err(Refused::NotPermitted.into());
        }
        Ok(Place { key: standing.key, id: conversation })
    }

    /// The account that has a handle now (INV-003).
    pub(super) async fn user_named(&mut self, handle: &Name) -> Result<UserId, Stop> {
        let row = sqlx::query("SELECT user_id FROM users WHERE handle = ?")
            .bind(handle.as_str())
            .fetch_optional(&mut *self.connection)
            .await?
            .ok_or(Refused::NoSuchUser)?;
        Ok(UserId::new(row.array(0)?))
    }

    async fn is_in_or_invited(&mut self, place: Place, user: UserId) -> Result<bool, sqlx::Error> {
        let row = sqlx::query(
            "SELECT 1 FROM members WHERE conversation = ? AND user_id = ?
             UNION ALL SELECT 1 FROM invitations WHERE user_id = ? AND conversation = ?",
        )
        .bind(place.key)
        .bind(user.as_bytes().as_slice())
        .bind(user.as_bytes().as_slice())
        .bind(place.key)
        .fetch_optional(&mut *self.connection)
        .await?;
        Ok(row.is_some())
    }

    /// INV-007.
    async fn check_invitations(
        &mut self,
        place: Place,
        inviter: UserId,
        user: UserId,
    ) -> Result<(), Stop> {
        let of_user = sqlx::query(OF_USER)
            .bind(inviter.as_bytes().as_slice())
            .bind(user.as_bytes().as_slice())
            .fetch_one(&mut *self.connection)
            .await?;
        let of_room = sqlx::query(OF_ROOM).bind(place.key).fetch_one(&mut *self.connection).await?;
        let limits = &self.surroundings.limits;
        let is_full = of_user.number(0)? >= u64::from(limits.max_invitations_per_user)
            || of_user.number(1)? >= u64::from(MAX_INVITATIONS_BY_ONE)
            || of_room.number(0)? >= u64::from(limits.max_invitations_per_room);
        if is_full { Err(Refused::TooManyInvitations.into()) } else { Ok(()) }
    }

    async fn add_invitation(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        place: Place,
        user: UserId,
        handle: &Name,
    ) -> Result<(), Stop> {
        sqlx::query("INSERT INTO invitations (user_id, conversation, inviter_id) VALUES (?, ?, ?)")
            .bind(user.as_bytes().as_slice())
            .bind(place.key)
            .bind(who.user.as_bytes().as_slice())
            .execute(&mut *self.connection)
            .await?;
        let payload = v1::MemberInvitedPayload {
            user_id: user.to_bytes(),
            handle: handle.as_str().to_owned(),
        };
        let mut head = self.head(place).await?;
        let (kind, origin) = (v1::EntryKind::MemberInvited, Some(who.origin(key)));
        self.seal_record(place, &mut head, kind, origin, &payload);
        self.flush().await?;
        let invitation = v1::Invitation {
            room: Some(self.room(place, user).await?),
            inviter_user_id: who.user.to_bytes(),
            inviter_handle: who.handle.as_str().to_owned(),
        };
        self.effects.push(Effect::Invited { user, invitation: Box::new(invitation) });
        Ok(())
    }
}
