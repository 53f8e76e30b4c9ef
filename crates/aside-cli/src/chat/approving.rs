//! `/devices approve`, `ask`, `same` and `differ`: letting a device in by six digits, while the chat goes on.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use aside_client::{Comparison, DeviceLog, Error, display::neutralise_line};

use super::worker::{Done, Worker};
use crate::{
    devices::approving::{asks, named_device, waits},
    failure,
};

/// What /devices is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Devices {
    List,
    /// Let the device in that asks.
    Approve,
    /// Ask to be let in.
    Ask,
    /// The digits are the same on both.
    Same,
    /// They are not.
    Differ,
}

impl Devices {
    /// Reads what follows /devices.
    pub(super) fn parse(argument: Option<&str>) -> Result<Self, String> {
        Ok(match argument {
            None => Self::List,
            Some("approve") => Self::Approve,
            Some("ask") => Self::Ask,
            Some("same") => Self::Same,
            Some("differ" | "different") => Self::Differ,
            Some(_) => {
                return Err("/devices takes approve, ask, same or differ: see /help".to_owned());
            }
        })
    }
}

/// The digits that are shown, with which device is let in by them, until its user has compared them.
pub(super) type Shown = Arc<Mutex<Option<(Comparison, String)>>>;

impl Worker {
    pub(super) async fn approving(&mut self, what: Devices) -> Result<()> {
        match what {
            Devices::List => self.list_devices().await,
            Devices::Approve => self.approve().await,
            Devices::Ask => self.ask_for_approval().await,
            Devices::Same => self.same().await,
            Devices::Differ => self.differ().await,
        }
    }

    /// Lets the first device in that asks; if none does, has those ask again that asked before.
    async fn approve(&self) -> Result<()> {
        let Some(device) = self.client.asking_devices().await?.into_iter().next() else {
            self.client.look_for_asking_devices().await?;
            self.say("no device asks yet; on the new one: aside devices ask".to_owned()).await;
            return Ok(());
        };
        let device = named_device(&self.client, device).await?;
        self.say(asks(&device)).await;
        let comparison = self.client.approve(device.id).await?;
        let text = digits(&comparison);
        show(&self.shown, comparison, neutralise_line(&device.name).into_owned());
        self.say(text).await;
        Ok(())
    }

    /// Asks, and goes on with the chat until a device has answered.
    async fn ask_for_approval(&self) -> Result<()> {
        let mut asked = self.client.ask_for_approval().await?;
        self.say(waits(asked.reached()).to_owned()).await;
        let (shown, results) = (Arc::clone(&self.shown), self.results.clone());
        tokio::spawn(async move {
            let said = match asked.answered().await {
                Ok(comparison) => {
                    let text = digits(&comparison);
                    show(&shown, comparison, "this device".to_owned());
                    Done::Says(text)
                }
                Err(error) => Done::Warns(failure::line(&error), failure::code(&error)),
            };
            // The chat has ended: then nobody wants to know.
            let _ = results.send(said).await;
        });
        Ok(())
    }

    /// Goes on with the chat until the other device's user has said so, too.
    async fn same(&self) -> Result<()> {
        let Some((comparison, who)) = take(&self.shown) else { bail!("{NOTHING_SHOWN}") };
        let results = self.results.clone();
        tokio::spawn(async move {
            let _ = results.send(said(comparison.confirm().await, &who)).await;
        });
        Ok(())
    }

    async fn differ(&self) -> Result<()> {
        let Some((comparison, _)) = take(&self.shown) else { bail!("{NOTHING_SHOWN}") };
        comparison.reject().await?;
        Err(Error::DigitsDiffer.into())
    }
}

const NOTHING_SHOWN: &str = "no digits are shown; /devices approve or /devices ask begins";

fn digits(comparison: &Comparison) -> String {
    let code = comparison.code();
    format!("{code}\nis it the same on the other device? /devices same, or /devices differ")
}

fn said(confirmed: Result<DeviceLog, Error>, who: &str) -> Done {
    match confirmed {
        Ok(_) => Done::Says(format!("{who} is approved")),
        Err(error) => Done::Warns(failure::line(&error), failure::code(&error)),
    }
}

/// What was shown before ends by this.
fn show(shown: &Shown, comparison: Comparison, who: String) {
    *shown.lock().unwrap_or_else(PoisonError::into_inner) = Some((comparison, who));
}

fn take(shown: &Shown) -> Option<(Comparison, String)> {
    shown.lock().unwrap_or_else(PoisonError::into_inner).take()
}
