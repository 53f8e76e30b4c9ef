//! `aside verify`: whether two users see each other's true devices.

use anyhow::{Context as _, Result, bail};
use aside_client::{Client, Error, Safety, SafetyNumber, UserId, display::neutralise_line};
use serde_json::json;

use crate::{
    output::{self, Style},
    session::SessionArgs,
};

/// Groups in a row: three rows are easy to read out.
const ROW: usize = 4;

/// Show the safety number with another user, to be compared by another way
///
/// Both see the same number, on all their devices, unless somebody is shown a false list of devices. Read it to each other
/// where you know that it is the other who reads.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside verify aside://alice@chat.example bob\n  \
    aside verify aside://alice@chat.example bob --mark\n  \
    aside verify aside://alice@chat.example bob --json | jq .verified")]
pub(crate) struct Args {
    #[command(flatten)]
    session: SessionArgs,
    /// Who: somebody who is in a room with you
    handle: String,
    /// Remember that the number was compared, and is the same
    #[arg(long)]
    mark: bool,
    /// Go on after a warning that the other's identity has changed; it is not verified then
    #[arg(long, conflicts_with = "mark")]
    accept_change: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let (client, _) = args.session.connect(|options| options.shared = true).await?;
    let user = find(&client, &args.handle).await?;
    if args.accept_change {
        client.accept_identity(user).await?;
    }
    let mut safety = safety(&client, user, &args.handle).await?;
    if args.mark {
        client.mark_verified(user, &safety.number).await?;
        safety.verified = true;
    }
    match args.json {
        true => output::line(json!({
            "user_id": user.to_string(),
            "safety_number": safety.number.to_string(),
            "verified": safety.verified,
        }))?,
        false => output::line(show(&args.handle, &safety, Style::of_stdout()))?,
    }
    client.close().await;
    Ok(())
}

/// Who goes by a handle.
pub(crate) async fn find(client: &Client, handle: &str) -> Result<UserId> {
    let handle = handle.strip_prefix('@').unwrap_or(handle);
    let found = client.user_called(handle).await?;
    found.with_context(|| format!("nobody called {handle} is in a room with you"))
}

/// The safety number with somebody; or whose recovery phrase is missing for it.
pub(crate) async fn safety(client: &Client, user: UserId, handle: &str) -> Result<Safety> {
    match client.safety(user).await {
        Err(Error::NoIdentity) if client.own_device_log().await?.is_none() => {
            bail!(
                "you have no device log yet: aside recovery new makes your recovery phrase, and begins it"
            )
        }
        Err(Error::NoIdentity) => {
            let handle = neutralise_line(handle);
            bail!(
                "{handle} has no device log yet: it begins once {handle} makes a recovery phrase, by aside recovery new"
            )
        }
        safety => Ok(safety?),
    }
}

/// A safety number, and whether it was compared.
pub(crate) fn show(handle: &str, safety: &Safety, style: Style) -> String {
    let handle = neutralise_line(handle);
    let state = match safety.verified {
        true => format!("verified: you have compared it with {handle}"),
        false => format!("not verified: compare it with {handle}, by another way"),
    };
    format!("{}\n{}", style.bold(rows(&safety.number)), style.dim(state))
}

/// Twelve groups of five digits (SAFETY-002).
fn rows(number: &SafetyNumber) -> String {
    let rows = number.groups().chunks(ROW).map(|row| {
        let groups: Vec<_> = row.iter().map(|group| format!("{group:05}")).collect();
        groups.join(" ")
    });
    rows.collect::<Vec<_>>().join("\n")
}
