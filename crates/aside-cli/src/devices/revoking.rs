//! What is to be known before a device is revoked, which nothing takes back.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Result, bail};
use aside_client::{Client, DeviceId, DeviceLog, Error, Judgement};

use super::device_log;
use crate::output;

/// Why a device that is not approved revokes none that is, unless its user insists.
pub(crate) const UNAPPROVED: &str = "this device is not approved, and that one is: by the password alone somebody else could take your devices \
     away so. Approve this one first: `aside devices ask`, or `aside recovery use`";
/// What it is to revoke this very device.
pub(crate) const ITSELF: &str =
    "it is this very device, which is logged out for good; what it keeps stays readable on it";
/// That it was done.
pub(crate) const DONE_TO_ITSELF: &str = "this device is revoked, and logged out for good. What it keeps stays readable: `aside tail --offline`; the next log-in, by \
     the password, is that of a new device";
/// What remains when the last approved device is gone.
pub(crate) const NONE_LEFT: &str =
    "no device is approved after it: only the recovery phrase approves one then";

/// What remains to whoever has taken a device, and knows the password.
pub(crate) const BY_PASSWORD: &str = "whoever has the password can log in again, as a new device that is not approved: /passwd in a chat \
     changes it, and revokes all your other devices";

/// What there is to know before a device is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before {
    /// It is this very device.
    pub(crate) itself: bool,
    /// It is approved, and this one is not.
    pub(crate) by_unapproved: bool,
    /// It is the only one that is approved.
    pub(crate) last: bool,
}

impl Before {
    pub(crate) async fn of(client: &Client, device: DeviceId) -> Result<Self, Error> {
        let log = match device_log(client).await {
            // Whoever took a device may have spoilt the log, and it is to go all the same (DEVLOG-006).
            Err(Error::DeviceLog(_) | Error::DeviceLogInvalid { .. }) => None,
            log => log?,
        };
        Ok(Self::judge(client.identity().device, device, log.as_ref()))
    }

    fn judge(me: DeviceId, device: DeviceId, log: Option<&DeviceLog>) -> Self {
        let is_approved = |device| {
            log.is_some_and(|log| {
                matches!(log.judge(device, log.head().position), Judgement::Active(_))
            })
        };
        let approved = log.map_or(0, |log| log.active().count());
        Self {
            itself: device == me,
            by_unapproved: is_approved(device) && !is_approved(me),
            last: is_approved(device) && approved == 1,
        }
    }

    /// What is to be said before, in sentences.
    pub(crate) fn warnings(self) -> impl Iterator<Item = &'static str> {
        let itself = self.itself.then_some(ITSELF);
        itself.into_iter().chain(self.last.then_some(NONE_LEFT))
    }

    /// Says what there is to say before, and asks whoever sits there.
    ///
    /// # Errors
    /// Something is to be said, and nobody who sits there is sure.
    pub(super) fn confirm(self) -> Result<()> {
        let warnings: Vec<_> = self.warnings().collect();
        if warnings.is_empty() {
            return Ok(());
        }
        let warnings = warnings.join(". And ");
        if !io::stdin().is_terminal() {
            bail!("nothing was revoked: {warnings}; --yes does it");
        }
        output::note(warnings)?;
        write!(io::stderr(), "Nothing takes that back. Revoke it? yes, or anything else for no: ")?;
        let mut typed = String::new();
        io::stdin().lock().read_line(&mut typed)?;
        if typed.trim() != "yes" {
            bail!("nothing was revoked");
        }
        Ok(())
    }
}
