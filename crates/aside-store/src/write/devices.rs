//! Devices: bound, attached, seen, revoked.

use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    name::Name,
    v1,
};

use super::{Context, Who, entries::Place, removals::Ended};
use crate::{
    db::{Columns as _, signed},
    effect::{AttachedPrivate, Effect, Seat},
    error::{Refused, Stop},
    journal::{Attach, Touch},
    recall::Kind,
    request::{BindDevice, PublicKeyBytes, RevokeDevice},
    rooms,
    sql::{Listing, placeholders},
};

/// A device that a public key is bound to.
pub(super) struct Bound {
    pub(super) who: Who,
    is_revoked: bool,
    is_token: bool,
}

/// Where an account is a member.
pub(crate) const MEMBERSHIPS: &str = "SELECT c.id, c.conversation_id, c.member_count
     FROM members m JOIN conversations c ON c.id = m.conversation
     WHERE m.user_id = ? ORDER BY m.conversation";

/// Where an account is a member of what kind of conversation, and whether one of its devices is a leaf there.
pub(crate) const SEATS: &str = "SELECT c.conversation_id, c.member_count, c.kind, l.pending
     FROM members m JOIN conversations c ON c.id = m.conversation
     LEFT JOIN leaves l ON l.conversation = c.id AND l.device = ?
     WHERE m.user_id = ? ORDER BY m.conversation";

pub(crate) static TOUCH: Listing = Listing::new(|count| {
    format!("UPDATE devices SET last_seen_ms = ? WHERE device_id IN ({})", placeholders(count))
});

impl Context<'_> {
    /// AUTH-015, AUTH-023, AUTH-024, AUTH-033.
    pub(crate) async fn bind_device(&mut self, bind: &BindDevice) -> Result<DeviceId, Stop> {
        self.check_password(bind.user, &bind.verified_hash).await?;
        if let Some(hash) = &bind.new_hash {
            self.set_password_hash(bind.user, hash).await?;
        }
        if let Some(bound) = self.device_of_key(&bind.public_key).await? {
            if bound.is_revoked || bound.is_token || bound.who.user != bind.user {
                return Err(Refused::PublicKeyBound.into());
            }
            let device = bound.who.device;
            self.touch(&Touch::one(device)).await?;
            return Ok(device);
        }
        // Tokens have a limit of their own (TOKEN-011).
        let row = sqlx::query(
            "SELECT COUNT(*) FROM devices d WHERE d.user_id = ? AND d.revoked_ms IS NULL
             AND NOT EXISTS (SELECT 1 FROM tokens t WHERE t.device = d.id)",
        )
        .bind(bind.user.as_bytes().as_slice())
        .fetch_one(&mut *self.connection)
        .await?;
        if row.number(0)? >= u64::from(self.surroundings.limits.max_devices_per_user) {
            return Err(Refused::TooManyDevices.into());
        }
        let device = DeviceId::new(self.uuid());
        self.insert_device(device, bind.user, &bind.public_key, &bind.device_name).await?;
        Ok(device)
    }

    /// Logs a device in: from here on, in commit order, its connection is to be told of what is appended.
    pub(crate) async fn attach(&mut self, attach: &Attach) -> Result<Name, Stop> {
        let Attach { user, device, attachment } = *attach;
        let who = self.who(user, device).await?;
        self.touch(&Touch::one(device)).await?;
        let (conversations, private) = self.seats(&who).await?;
        let settings = self.presence(user).await?;
        self.effects.push(Effect::Attached {
            user,
            device,
            attachment,
            conversations,
            settings,
            private,
        });
        Ok(who.handle)
    }

    /// Where an account is a member: rooms, and private conversations as one of its devices has to do with them.
    async fn seats(
        &mut self,
        who: &Who,
    ) -> Result<(Vec<(ConversationId, u64)>, AttachedPrivate), Stop> {
        let rows = sqlx::query(SEATS)
            .bind(who.device_key)
            .bind(who.user.as_bytes().as_slice())
            .fetch_all(&mut *self.connection)
            .await?;
        let is_approved = sqlx::query("SELECT 1 FROM approvals WHERE device = ?")
            .bind(who.device_key)
            .fetch_optional(&mut *self.connection)
            .await?
            .is_some();
        let key_packages_low = self.low_suites(who.device_key).await?;
        let (mut rooms, mut conversations) = (Vec::new(), Vec::new());
        for row in rows {
            let (conversation, members) = (ConversationId::new(row.array(0)?), row.number(1)?);
            match rooms::kind(&row, 2)? {
                v1::ConversationKind::PublicRoom => rooms.push((conversation, members)),
                _ => {
                    let is_leaf = row.key_or_null(3)? == Some(0);
                    conversations.push(Seat { conversation, members, is_leaf });
                }
            }
        }
        Ok((rooms, AttachedPrivate { is_approved, conversations, key_packages_low }))
    }

    /// Notes that devices were seen now.
    pub(crate) async fn touch(&mut self, touch: &Touch) -> Result<(), Stop> {
        let (sql, length) = TOUCH.at_least(touch.devices().len());
        let mut query = sqlx::query(sql).bind(signed(self.now));
        for index in 0..length {
            let device = touch.devices().get(index);
            query = query.bind(device.map(|device| device.as_bytes().as_slice()));
        }
        query.execute(&mut *self.connection).await?;
        Ok(())
    }

    /// DEV-003 to DEV-006.
    pub(crate) async fn revoke_device(
        &mut self,
        revoke: &RevokeDevice,
    ) -> Result<v1::DeviceRevoked, Stop> {
        let who = self.who(revoke.user, revoke.device).await?;
        if let Some(reply) = self.recall(&who, revoke.key, Kind::RevokeDevice).await? {
            return Ok(reply);
        }
        let revoked = sqlx::query(
            "UPDATE devices SET revoked_ms = ? WHERE device_id = ? AND user_id = ? AND revoked_ms IS NULL",
        )
        .bind(signed(self.now))
        .bind(revoke.target.as_bytes().as_slice())
        .bind(who.user.as_bytes().as_slice())
        .execute(&mut *self.connection)
        .await?;
        if revoked.rows_affected() == 0 {
            return Err(Refused::NoSuchDevice.into());
        }
        self.effects.push(Effect::DeviceRevoked { device: revoke.target });
        self.end_revoked(&who, revoke.key, revoke.target).await?;
        let reply = v1::DeviceRevoked {};
        self.remember(&who, revoke.key, Kind::RevokeDevice, &reply).await?;
        Ok(reply)
    }

    /// What follows for private conversations when a device of the one who asks was revoked (PRIV-014).
    pub(super) async fn end_revoked(
        &mut self,
        who: &Who,
        key: IdempotencyKey,
        device: DeviceId,
    ) -> Result<(), Stop> {
        let row = sqlx::query("SELECT id FROM devices WHERE device_id = ?")
            .bind(device.as_bytes().as_slice())
            .fetch_one(&mut *self.connection)
            .await?;
        let ended = Ended { key: row.key(0)?, device, user: who.user };
        self.end_approval(who, key, &ended).await
    }

    /// The device that a public key is bound to, active or not.
    pub(super) async fn device_of_key(
        &mut self,
        key: &PublicKeyBytes,
    ) -> Result<Option<Bound>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT d.id, d.device_id, d.user_id, d.revoked_ms, u.handle, t.device
             FROM devices d JOIN users u ON u.user_id = d.user_id
             LEFT JOIN tokens t ON t.device = d.id WHERE d.public_key = ?",
        )
        .bind(key.as_slice())
        .fetch_optional(&mut *self.connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let who = Who {
            user: UserId::new(row.array(2)?),
            device: DeviceId::new(row.array(1)?),
            device_key: row.key(0)?,
            handle: Name::from_canonical(row.text(4)?),
        };
        let (is_revoked, is_token) = (row.key_or_null(3)?.is_some(), row.key_or_null(5)?.is_some());
        Ok(Some(Bound { who, is_revoked, is_token }))
    }

    /// Binds a new device; returns its surrogate key.
    pub(super) async fn insert_device(
        &mut self,
        device: DeviceId,
        user: UserId,
        public_key: &PublicKeyBytes,
        name: &str,
    ) -> Result<i64, sqlx::Error> {
        sqlx::query(
            "INSERT INTO devices (device_id, user_id, public_key, name, created_ms, last_seen_ms)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(device.as_bytes().as_slice())
        .bind(user.as_bytes().as_slice())
        .bind(public_key.as_slice())
        .bind(name)
        .bind(signed(self.now))
        .bind(signed(self.now))
        .execute(&mut *self.connection)
        .await?;
        let row = sqlx::query("SELECT id FROM devices WHERE device_id = ?")
            .bind(device.as_bytes().as_slice())
            .fetch_one(&mut *self.connection)
            .await?;
        row.key(0)
    }

    /// Where an account is a member, oldest conversation first, and how many members each has.
    pub(super) async fn memberships(
        &mut self,
        user: UserId,
    ) -> Result<Vec<(Place, u64)>, sqlx::Error> {
        let rows = sqlx::query(MEMBERSHIPS)
            .bind(user.as_bytes().as_slice())
            .fetch_all(&mut *self.connection)
            .await?;
        rows.iter()
            .map(|row| {
                let place = Place { key: row.key(0)?, id: ConversationId::new(row.array(1)?) };
                Ok((place, row.number(2)?))
            })
            .collect()
    }
}
