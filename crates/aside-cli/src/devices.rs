//! `aside devices`: the account's devices, and what its device log says of them.

pub(crate) mod approving;
mod history;
pub(crate) mod revoking;

use anyhow::{Context as _, Result, bail};
use aside_client::{
    Client, Device, DeviceId, DeviceLog, Error, Judgement, display::neutralise_line,
};
use serde_json::{Value, json};

use self::revoking::Before;
use crate::{
    output::{self, Style},
    session::SessionArgs,
};

/// Digits of an id that are shown.
const SHORT: usize = 6;

/// List the account's devices: which are approved for private conversations, and which were revoked
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside devices aside://alice@chat.example\n  \
    aside devices aside://alice@chat.example --json | jq -r '.[] | select(.standing == \"approved\").device_id'\n  \
    aside devices ask aside://alice@chat.example       on a new device, and on one that is approved:\n  \
    aside devices approve aside://alice@chat.example\n  \
    aside devices revoke aside://alice@chat.example laptop\n  \
    aside devices log aside://alice@chat.example       when it was stolen, to find the position since which\n  \
    aside devices revoke aside://alice@chat.example laptop --since 4")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    change: Option<Box<Change>>,
    #[command(flatten)]
    session: Option<SessionArgs>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Change {
    Ask(approving::Ask),
    Approve(approving::Approve),
    Revoke(Revoke),
    Log(history::Args),
}

/// Revoke a device: it can never log in again, and is approved no longer. What it approved stays, unless --since says otherwise
#[derive(Debug, clap::Args)]
struct Revoke {
    #[command(flatten)]
    session: SessionArgs,
    /// The device's id or name, as `aside devices` shows it
    device: String,
    /// It was stolen: what it approved at this position of the device log or later falls, too; `aside devices log` shows the log
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(u32).range(1..))]
    since: Option<u32>,
    /// Revoke one that is approved by this one, which is not: the password alone is enough for that
    #[arg(long)]
    unapproved: bool,
    /// Revoke this very device, or the last one that is approved, without being asked
    #[arg(long)]
    yes: bool,
}

/// What a device is to its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The device log says that it is one of the user's.
    Approved,
    /// It has the password, and nothing else.
    NotApproved,
    /// The server keeps no device logs, or there is none.
    Unjudged,
}

impl Standing {
    /// By the user's device log, if there is one (DLOG-014).
    pub(crate) fn of(device: &Device, log: Option<&DeviceLog>) -> Self {
        match log.map(|log| log.judge(device.id, log.head().position)) {
            Some(Judgement::Active(_)) => Self::Approved,
            Some(_) => Self::NotApproved,
            None => Self::Unjudged,
        }
    }

    /// In words, for what follows it; nothing if there is nothing to say.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Approved => "approved, ",
            Self::NotApproved => "NOT APPROVED, ",
            Self::Unjudged => "",
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Self::Approved => Some("approved"),
            Self::NotApproved => Some("not_approved"),
            Self::Unjudged => None,
        }
    }
}

/// What to do about a device that is not approved.
pub(crate) const APPROVE_IT: &str =
    "this device is not approved: `aside devices ask`, or `aside recovery use`";

/// Whether this device is known to be none of its user's: private conversations are not for it.
pub(crate) async fn is_unapproved(client: &Client) -> bool {
    if !client.is_online() {
        return false;
    }
    // What can't be told now is not said.
    let (me, log) = (client.identity().device, device_log(client).await.ok().flatten());
    log.is_some_and(|log| log.active().all(|certificate| certificate.device() != me))
}

/// The user's device log, where the server has one.
pub(crate) async fn device_log(client: &Client) -> Result<Option<DeviceLog>, Error> {
    match client.has_device_logs() {
        true => client.own_device_log().await,
        false => Ok(None),
    }
}

/// Runs the command.
pub(crate) async fn run(args: &Args) -> Result<()> {
    match (&args.change, &args.session) {
        (Some(change), _) => match &**change {
            Change::Ask(args) => approving::ask(args).await,
            Change::Approve(args) => approving::approve(args).await,
            Change::Revoke(args) => revoke(args).await,
            Change::Log(args) => history::run(args).await,
        },
        (None, Some(session)) => list(session, args.json).await,
        (None, None) => bail!("an address is needed"),
    }
}

async fn list(session: &SessionArgs, json: bool) -> Result<()> {
    let (client, _) = session.connect(|options| options.shared = true).await?;
    let devices = client.devices().await?;
    let log = device_log(&client).await?;
    let revoked = match log {
        Some(_) => client.revoked_devices().await?,
        None => Vec::new(),
    };
    if json {
        let there =
            devices.iter().map(|device| to_json(device, Standing::of(device, log.as_ref())));
        let gone = revoked.iter().map(|(device, revoked_ms)| {
            json!({
                "device_id": device.to_string(),
                "standing": "revoked",
                "revoked_ms": revoked_ms,
            })
        });
        output::line(Value::from_iter(there.chain(gone)))?;
    } else {
        let style = Style::of_stdout();
        for device in &devices {
            output::line(show(device, Standing::of(device, log.as_ref()), style))?;
        }
        for (device, revoked_ms) in &revoked {
            let at = output::day_and_clock(*revoked_ms);
            output::line(style.dim(format!("(revoked {at}, {device})")))?;
        }
        let is_unapproved = |device: &Device| {
            device.current && Standing::of(device, log.as_ref()) == Standing::NotApproved
        };
        if devices.iter().any(is_unapproved) {
            output::note(APPROVE_IT)?;
        }
        if log.is_none() && client.has_device_logs() {
            output::note(
                "no device is approved yet: `aside recovery new` makes a recovery phrase",
            )?;
        }
    }
    client.close().await;
    Ok(())
}

async fn revoke(args: &Revoke) -> Result<()> {
    let (client, _) = args.session.connect(|options| options.shared = true).await?;
    let device = find(&client, &args.device).await?;
    let before = Before::of(&client, device).await?;
    let devices = client.devices().await?;
    if before.by_unapproved && !args.unapproved {
        bail!("{}; --unapproved does it all the same", revoking::UNAPPROVED);
    }
    if !args.yes {
        before.confirm()?;
    }
    match args.since {
        Some(position) => {
            for fallen in client.revoke_device_since(device, position).await? {
                output::note(fell(fallen, &devices))?;
            }
        }
        None => client.revoke_device(device).await?,
    }
    client.close().await;
    let named = devices.iter().find(|it| it.id == device);
    let name = named.map_or_else(|| short(device), |it| neutralise_line(&it.name).into_owned());
    match before.itself {
        true => output::note(revoking::DONE_TO_ITSELF)?,
        false => output::note(format!("{name} is revoked. But {}", revoking::BY_PASSWORD))?,
    }
    if before.last && args.yes {
        output::note(revoking::NONE_LEFT)?;
    }
    Ok(())
}

/// That a device is approved no longer, since the one is that approved it.
fn fell(device: DeviceId, devices: &[Device]) -> String {
    let named = devices.iter().find(|it| it.id == device);
    let name = named.map_or("a device", |device| device.name.as_str());
    format!(
        "{} ({device}) fell with it: it is approved no longer, but can still log in until it is revoked, too",
        neutralise_line(name)
    )
}

/// A device's id, so far as it is shown to be told from others.
pub(crate) fn short(device: DeviceId) -> String {
    let id = device.to_string();
    let end = id.len().saturating_sub(SHORT);
    format!("\u{2026}{}", &id[end..])
}

/// The device with this id, what is shown of it, or this name.
pub(crate) async fn find(client: &Client, named: &str) -> Result<DeviceId> {
    let devices = client.devices().await?;
    let is_called = |id: DeviceId| id.to_string() == named || short(id) == named;
    let is_named = |device: &&Device| is_called(device.id) || device.name == named;
    let mut found = devices.iter().filter(is_named);
    match (found.next(), found.next()) {
        (Some(device), None) => Ok(device.id),
        (Some(_), Some(_)) => bail!("several devices are called {named}; name one by its id"),
        (None, _) => {
            // One that was revoked already may have to fall from earlier on.
            let revoked = client.revoked_devices().await?;
            let device = revoked.into_iter().find(|(device, _)| is_called(*device));
            device.map(|(device, _)| device).with_context(|| {
                format!("there is no device {named}; `aside devices` lists those there are")
            })
        }
    }
}

/// When a device was there last.
pub(crate) fn seen(device: &Device) -> String {
    match (device.current, device.online) {
        (true, _) => "this one".to_owned(),
        (false, true) => "online".to_owned(),
        (false, false) => format!("last seen {}", output::day_and_clock(device.last_seen_ms)),
    }
}

/// One device in a line.
fn show(device: &Device, standing: Standing, style: Style) -> String {
    let details = format!(
        "{}since {}, {}, {}",
        standing.words(),
        output::day_and_clock(device.created_ms),
        seen(device),
        device.id
    );
    format!("{}  {}", style.bold(neutralise_line(&device.name)), style.dim(details))
}

fn to_json(device: &Device, standing: Standing) -> Value {
    json!({
        "device_id": device.id.to_string(),
        "name": device.name,
        "standing": standing.name(),
        "created_ms": device.created_ms,
        "last_seen_ms": device.last_seen_ms,
        "current": device.current,
        "online": device.online,
    })
}
