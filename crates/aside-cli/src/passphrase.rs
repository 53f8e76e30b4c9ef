//! `aside passphrase`: what guards the keys and the private messages that are kept on this device.

use std::path::PathBuf;

use anyhow::{Result, bail};
use aside_client::{Guard, Options, Unlock};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    output,
    session::{SessionArgs, ask_new_password, first_line},
};

/// Say, or change, what guards the keys and the private messages that are kept on this device
///
/// They are sealed under a key of their own. A passphrase keeps it from whoever has the files. Without one it is in the system's
/// keyring, or in a file beside the database, which protects copies of the database alone. The server never sees the passphrase: it is
/// not the account's password. Who forgets it loses what is kept here, and logs in as a new device.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside passphrase status aside://alice@chat.example\n  \
    aside passphrase set aside://alice@chat.example")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Status(Status),
    Set(Change),
    Change(Change),
    Remove(Remove),
}

/// Say what guards them, and whom that protects from
#[derive(Debug, clap::Args)]
struct Status {
    #[command(flatten)]
    session: SessionArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Have a passphrase guard them, or another one
#[derive(Debug, clap::Args)]
struct Change {
    #[command(flatten)]
    session: SessionArgs,
    /// Read the new passphrase from the first line of this file; else it is asked for
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
}

/// Take the passphrase off: then the system's keyring guards them, or a file beside the database
#[derive(Debug, clap::Args)]
struct Remove {
    #[command(flatten)]
    session: SessionArgs,
}

/// Runs the command.
pub(crate) async fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Status(args) => status(args).await,
        Command::Set(args) => change(args, false).await,
        Command::Change(args) => change(args, true).await,
        Command::Remove(args) => remove(&args.session).await,
    }
}

async fn status(args: &Status) -> Result<()> {
    let guard = Guard::of(&args.session.options()?).await?;
    match args.json {
        true => output::line(json!({"guard": guard.map(name)}))?,
        false => output::line(explained(guard))?,
    }
    Ok(())
}

async fn change(args: &Change, is_change: bool) -> Result<()> {
    let mut options = args.session.options()?;
    match (Guard::of(&options).await?, is_change) {
        (Some(Guard::Passphrase), false) => {
            bail!("a passphrase guards it already; `aside passphrase change` takes another")
        }
        (Some(Guard::Keyring | Guard::KeyFile) | None, true) => {
            bail!("no passphrase guards it; `aside passphrase set` takes one")
        }
        (_, false) => options.unlock = Unlock::Unattended,
        (_, true) => args.session.unlock(&mut options).await?,
    }
    let new = match &args.new_passphrase_file {
        Some(file) => first_line(file, "passphrase")?,
        None => ask_new_password("New passphrase: ")?,
    };
    put_under(&options, Some(new)).await
}

async fn remove(session: &SessionArgs) -> Result<()> {
    let mut options = session.options()?;
    if Guard::of(&options).await? != Some(Guard::Passphrase) {
        bail!("no passphrase guards it");
    }
    session.unlock(&mut options).await?;
    put_under(&options, None).await
}

async fn put_under(options: &Options, passphrase: Option<Zeroizing<String>>) -> Result<()> {
    let guard = Guard::change(options, passphrase).await?;
    Ok(output::note(explained(Some(guard)))?)
}

fn name(guard: Guard) -> &'static str {
    match guard {
        Guard::Passphrase => "passphrase",
        Guard::Keyring => "keyring",
        Guard::KeyFile => "file",
    }
}

/// What guards it, and whom it protects from (STORE-005).
fn explained(guard: Option<Guard>) -> &'static str {
    match guard {
        Some(Guard::Passphrase) => {
            "passphrase: keys and private messages on this device are sealed, and open by the passphrase alone"
        }
        Some(Guard::Keyring) => {
            "keyring: keys and private messages on this device are sealed, and open by what the system's keyring holds"
        }
        Some(Guard::KeyFile) => {
            "no passphrase: keys and private messages on this device are sealed, but the key is in the file state.key beside \
             them. That protects copies of the database without that file, and from nobody who can read the directory; \
             `aside passphrase set` does"
        }
        None => {
            "no passphrase: an earlier version has kept the keys of this device without sealing them; the next connection does"
        }
    }
}
