//! `aside devices log`: who added and revoked which device, in order.

use anyhow::Result;
use aside_client::{Device, DeviceId, LogChange, LogEntry, display::neutralise_line};
use serde_json::{Value, json};

use super::short;
use crate::{
    output::{self, Style},
    session::SessionArgs,
};

/// What is to be known of the times that are shown.
const NO_TIMES: &str = "the log itself has no times: those beside it are the server's, of when a device first logged in and \
     when it was revoked";

/// Show the device log: which device was added and revoked by which, with the position that `revoke --since` takes
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    session: SessionArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(args: &Args) -> Result<()> {
    let (client, _) = args.session.connect(|options| options.shared = true).await?;
    let entries = client.own_log_entries().await?;
    let devices = client.devices().await?;
    let revoked = client.revoked_devices().await?;
    match args.json {
        true => output::line(Value::from_iter(entries.iter().map(to_json)))?,
        false => {
            for entry in &entries {
                output::line(show(entry, (&devices, &revoked), Style::of_stdout()))?;
            }
            if !entries.is_empty() {
                output::note(NO_TIMES)?;
            }
        }
    }
    client.close().await;
    Ok(())
}

/// An entry, with what the server says of the device that it changes: the log has neither names nor times.
fn show(
    entry: &LogEntry,
    (devices, revoked): (&[Device], &[(DeviceId, u64)]),
    style: Style,
) -> String {
    let there = |id: &DeviceId| devices.iter().find(|device| device.id == *id);
    let name = |id: &DeviceId| match there(id) {
        Some(device) => {
            format!("{} {}", style.bold(neutralise_line(&device.name)), style.dim(short(*id)))
        }
        None => format!("a device {}", style.dim(short(*id))),
    };
    let since = |id: &DeviceId| {
        there(id).map(|device| format!("logged in {}", output::day_and_clock(device.created_ms)))
    };
    let gone = |id: &DeviceId| {
        let (_, at) = revoked.iter().find(|(device, _)| device == id)?;
        Some(format!("revoked {}", output::day_and_clock(*at)))
    };
    let when = match &entry.change {
        LogChange::Began(device) | LogChange::Added(device) => since(device),
        LogChange::Revoked { device, .. } => gone(device),
        LogChange::Renewed(_) | LogChange::Overridden(_) => None,
    };
    let when = when.map(|when| format!("  {}", style.dim(format!("({when})")))).unwrap_or_default();
    let what = match &entry.change {
        LogChange::Began(device) => format!("began with {}", name(device)),
        LogChange::Added(device) => format!("added {}", name(device)),
        LogChange::Revoked { device, since } if *since == entry.position => {
            format!("revoked {}", name(device))
        }
        LogChange::Revoked { device, since } => {
            format!("revoked {}, and what it approved since {since}", name(device))
        }
        LogChange::Renewed(device) => format!("renewed the keys of {}", name(device)),
        LogChange::Overridden(kept) => {
            let kept = kept.iter().map(name).collect::<Vec<_>>();
            format!("made these all the devices: {}", kept.join(", "))
        }
    };
    let by = match &entry.by {
        Some(device) => format!("by {}", name(device)),
        None => "by the recovery phrase".to_owned(),
    };
    format!("{:>4}  {what}  {}{when}", entry.position, style.dim(by))
}

fn to_json(entry: &LogEntry) -> Value {
    let (change, devices, since) = match &entry.change {
        LogChange::Began(device) => ("began", vec![*device], None),
        LogChange::Added(device) => ("added", vec![*device], None),
        LogChange::Revoked { device, since } => ("revoked", vec![*device], Some(*since)),
        LogChange::Renewed(device) => ("renewed", vec![*device], None),
        LogChange::Overridden(kept) => ("overridden", kept.clone(), None),
    };
    json!({
        "position": entry.position,
        "change": change,
        "device_ids": devices.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "since": since,
        "by": entry.by.map(|device| device.to_string()),
    })
}
