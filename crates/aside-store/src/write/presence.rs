//! What accounts let others see of them.

use aside_proto::id::UserId;

use super::Context;
use crate::{
    db::Columns as _,
    effect::Effect,
    error::Stop,
    request::{PresenceSettings, SetPresence},
};

/// What an account has set.
pub(crate) const SETTINGS: &str =
    "SELECT hidden, status_text, private_receipts FROM presence WHERE user_id = ?";
const CHANGE: &str =
    "UPDATE presence SET hidden = ?, status_text = ?, private_receipts = ? WHERE user_id = ?";
const BEGIN: &str =
    "INSERT INTO presence (hidden, status_text, private_receipts, user_id) VALUES (?, ?, ?, ?)";

impl Context<'_> {
    /// PRES-001, PRES-004: what changes nothing is told to nobody.
    pub(crate) async fn set_presence(&mut self, set: &SetPresence) -> Result<(), Stop> {
        let SetPresence { user, device, attachment, ref settings } = *set;
        self.who(user, device).await?;
        if self.presence(user).await? == *settings {
            return Ok(());
        }
        for statement in [CHANGE, BEGIN] {
            let written = sqlx::query(statement)
                .bind(i64::from(settings.hidden))
                .bind(settings.status_text.as_str())
                .bind(i64::from(settings.private_receipts))
                .bind(user.as_bytes().as_slice())
                .execute(&mut *self.connection)
                .await?;
            if written.rows_affected() > 0 {
                break;
            }
        }
        let settings = settings.clone();
        self.effects.push(Effect::PresenceSet { user, attachment, settings });
        Ok(())
    }

    /// What an account lets others see.
    pub(super) async fn presence(&mut self, user: UserId) -> Result<PresenceSettings, sqlx::Error> {
        let row = sqlx::query(SETTINGS)
            .bind(user.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection)
            .await?;
        let Some(row) = row else { return Ok(PresenceSettings::default()) };
        Ok(PresenceSettings {
            hidden: row.number(0)? != 0,
            status_text: row.text(1)?,
            private_receipts: row.number(2)? != 0,
        })
    }
}
