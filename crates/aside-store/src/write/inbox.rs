//! Inboxes: Welcomes that wait for devices, each stored once.

use aside_proto::{
    id::DeviceId,
    limits::INBOX_DAYS,
    private::{Epoch, Leaf, WelcomeFor},
};

use super::{Context, entries::Place};
use crate::{
    db::{Columns as _, signed},
    effect::Effect,
    error::{Refused, Stop},
    request::AckInbox,
};

/// What waits for a device up to a position.
pub(crate) const WAITING: &str =
    "SELECT welcome FROM inbox WHERE device = ? AND position <= ? ORDER BY position";
/// What waits for a device and leads into a conversation.
pub(crate) const SUPERSEDED: &str = "SELECT i.position, i.welcome FROM inbox i
     JOIN welcomes w ON w.id = i.welcome WHERE i.device = ? AND w.conversation = ?";
/// A Welcome that waits for nobody goes.
pub(crate) const FORGET_WELCOME: &str =
    "DELETE FROM welcomes WHERE id = ? AND NOT EXISTS (SELECT 1 FROM inbox WHERE welcome = ?)";

/// Where Welcomes lead.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) place: Place,
    pub(super) epoch: Epoch,
    /// Of the entry that they came with.
    pub(super) seq: u64,
}

/// DS-016: whether Welcomes are for exactly these leaves, each once.
pub(super) fn covers<'a>(
    welcomes: &[WelcomeFor],
    leaves: impl Iterator<Item = &'a Leaf>,
) -> Result<(), Refused> {
    let mut welcomed: Vec<DeviceId> =
        welcomes.iter().flat_map(|welcome| welcome.devices.iter().copied()).collect();
    let mut new: Vec<DeviceId> = leaves.map(|leaf| leaf.device).collect();
    welcomed.sort_unstable();
    new.sort_unstable();
    if welcomed == new { Ok(()) } else { Err(Refused::RosterMismatch) }
}

impl Context<'_> {
    /// Puts Welcomes into the inboxes of whom they are for (INBOX-001, INBOX-002). The devices have to be there.
    pub(super) async fn welcome(
        &mut self,
        arrival: Arrival,
        welcomes: &[WelcomeFor],
    ) -> Result<(), sqlx::Error> {
        for WelcomeFor { welcome, devices } in welcomes {
            let stored = sqlx::query(
                "INSERT INTO welcomes (conversation, generation, epoch, seq, created_ms, welcome)
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(arrival.place.key)
            .bind(signed(arrival.epoch.generation))
            .bind(signed(arrival.epoch.epoch))
            .bind(signed(arrival.seq))
            .bind(signed(self.now))
            .bind(&welcome[..])
            .execute(&mut *self.connection)
            .await?
            .last_insert_rowid();
            for device in devices {
                self.put_into_inbox(*device, stored, arrival.place).await?;
            }
        }
        Ok(())
    }

    async fn put_into_inbox(
        &mut self,
        device: DeviceId,
        welcome: i64,
        place: Place,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE devices SET inbox_position = inbox_position + 1 WHERE device_id = ?")
            .bind(device.as_bytes().as_slice())
            .execute(&mut *self.connection)
            .await?;
        let row = sqlx::query("SELECT id, inbox_position FROM devices WHERE device_id = ?")
            .bind(device.as_bytes().as_slice())
            .fetch_one(&mut *self.connection)
            .await?;
        let position = row.number(1)?;
        self.supersede(row.key(0)?, place).await?;
        sqlx::query("INSERT INTO inbox (device, position, welcome) VALUES (?, ?, ?)")
            .bind(row.key(0)?)
            .bind(signed(position))
            .bind(welcome)
            .execute(&mut *self.connection)
            .await?;
        self.effects.push(Effect::InboxItem { device, position, conversation: place.id });
        Ok(())
    }

    /// Whoever is welcomed anew was removed since, or the group is another: what waited leads nowhere (INBOX-008).
    async fn supersede(&mut self, device: i64, place: Place) -> Result<(), sqlx::Error> {
        let rows = sqlx::query(SUPERSEDED)
            .bind(device)
            .bind(place.key)
            .fetch_all(&mut *self.connection)
            .await?;
        for row in rows {
            sqlx::query("DELETE FROM inbox WHERE device = ? AND position = ?")
                .bind(device)
                .bind(row.key(0)?)
                .execute(&mut *self.connection)
                .await?;
            self.forget_welcome(row.key(1)?).await?;
        }
        Ok(())
    }

    /// Deletes a Welcome that waits for nobody.
    async fn forget_welcome(&mut self, welcome: i64) -> Result<(), sqlx::Error> {
        sqlx::query(FORGET_WELCOME)
            .bind(welcome)
            .bind(welcome)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// INBOX-004.
    pub(crate) async fn ack_inbox(&mut self, ack: &AckInbox) -> Result<(), Stop> {
        let who = self.who(ack.user, ack.device).await?;
        self.check_approved(&who).await?;
        Ok(self.empty_inbox(who.device_key, ack.up_to).await?)
    }

    /// Takes what waits for a device, up to a position, out of its inbox.
    pub(super) async fn empty_inbox(&mut self, device: i64, up_to: u64) -> Result<(), sqlx::Error> {
        let rows = sqlx::query(WAITING)
            .bind(device)
            .bind(signed(up_to))
            .fetch_all(&mut *self.connection)
            .await?;
        sqlx::query("DELETE FROM inbox WHERE device = ? AND position <= ?")
            .bind(device)
            .bind(signed(up_to))
            .execute(&mut *self.connection)
            .await?;
        for row in rows {
            self.forget_welcome(row.key(0)?).await?;
        }
        Ok(())
    }

    /// INBOX-006: what nobody has come for.
    pub(super) async fn prune_inboxes(&mut self) -> Result<(), sqlx::Error> {
        let oldest = self.now.saturating_sub(INBOX_DAYS * 24 * 3600 * 1000);
        for sql in [
            "DELETE FROM inbox WHERE welcome IN (SELECT id FROM welcomes WHERE created_ms < ?)",
            "DELETE FROM welcomes WHERE created_ms < ?",
        ] {
            sqlx::query(sql).bind(signed(oldest)).execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}
