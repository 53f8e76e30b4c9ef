//! `/revoke`: what it comes to first, since nothing takes it back.

use anyhow::{Result, bail};
use aside_client::display::neutralise_line;

use super::worker::{Done, Worker};
use crate::devices::revoking::{BY_PASSWORD, Before, DONE_TO_ITSELF, UNAPPROVED};

impl Worker {
    /// Says what it comes to, and does it for who is sure.
    pub(super) async fn revoke(&mut self, number: usize, sure: bool) -> Result<()> {
        if self.devices.is_empty() {
            // A number that was seen elsewhere may be another device's by now.
            self.list_devices().await?;
            bail!("nothing was revoked: look for its number above, and say /revoke NUMBER again");
        }
        let Some((device, name)) = number.checked_sub(1).and_then(|at| self.devices.get(at)) else {
            bail!("/devices shows no device {number}");
        };
        let (device, named) = (*device, format!("device {number} ({})", neutralise_line(name)));
        let before = Before::of(&self.client, device).await?;
        if before.by_unapproved {
            bail!("{UNAPPROVED}; `aside devices revoke --unapproved` does it all the same");
        }
        if !sure {
            let mut told = vec![format!("{named} can never log in again after it")];
            told.extend(before.warnings().map(str::to_owned));
            let told = told.join("\n");
            self.say(format!("{told}\n/revoke {number} yes does it")).await;
            return Ok(());
        }
        if before.itself {
            // The server ends the chat.
            self.tell(Done::Leaves(DONE_TO_ITSELF)).await;
        }
        self.client.revoke_device(device).await?;
        match before.itself {
            true => self.tell(Done::Left).await,
            false => self.say(format!("{named} is revoked. But {BY_PASSWORD}")).await,
        }
        Ok(())
    }
}
