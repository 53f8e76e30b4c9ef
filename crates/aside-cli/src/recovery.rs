//! `aside recovery`: the phrase that stands for the account's identity.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use aside_client::{RecoveryPhrase, Strength, new_recovery_phrase};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{devices, output, session::SessionArgs};

/// More than any phrase, however it is written.
const MAX_PHRASE_BYTES: u64 = 4096;
/// What to do while another program has what is kept here.
const END_IT: &str = "end that first";
/// What to do with a phrase that is shown.
pub(crate) const WRITE_IT_DOWN: &str =
    "write it down on paper: it is not shown again, and nobody else has it";
/// Whoever can't be sure that a phrase counts keeps it.
pub(crate) const NOT_KNOWN: &str =
    "whether the phrase that was shown counts is not known: keep it, and see by `aside devices`";

/// Why what has a phrase in it is not said to anybody.
const STAYS_HERE: &str = "NOT SAID: there is a recovery phrase in it, and whoever reads that can take over the account. It belongs on \
                          paper, and not into a chat: aside recovery use asks for it, and /recovery written takes its last \
                          group alone";

/// Sees to it that no phrase is said to others.
///
/// # Errors
/// Why a text is not said, and what to do instead.
pub(crate) fn check_may_be_said(text: &str) -> Result<()> {
    if RecoveryPhrase::is_in(text) {
        bail!(STAYS_HERE);
    }
    Ok(())
}

/// Make a recovery phrase, approve this device by it, or say by it which devices there are
///
/// The phrase is the only thing that can approve a device when all others are lost. It belongs on paper, and not on a computer; the
/// server never sees it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside recovery new aside://alice@chat.example\n  \
    aside recovery use aside://alice@chat.example\n  \
    aside recovery override aside://alice@chat.example --keep phone --keep tablet")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    New(New),
    Use(Use),
    Override(Override),
}

/// Make the account's recovery phrase and approve this device, the account's first; the phrase is printed once, and never again
#[derive(Debug, clap::Args)]
struct New {
    #[command(flatten)]
    session: SessionArgs,
    /// 256 bits in 14 groups, not 128 in 8
    #[arg(long)]
    long: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Approve this device by the recovery phrase, which is asked for, or read from standard input
#[derive(Debug, clap::Args)]
struct Use {
    #[command(flatten)]
    session: SessionArgs,
    /// Read the phrase from this file instead
    #[arg(long, value_name = "FILE")]
    phrase_file: Option<PathBuf>,
}

/// Say by the recovery phrase which devices there are from now on: this one, and those to keep; all others end
///
/// For when a device was stolen and has revoked others, or filled the device log. The phrase is asked for, or read from standard input.
#[derive(Debug, clap::Args)]
struct Override {
    #[command(flatten)]
    session: SessionArgs,
    /// Keep this device, too: its id or name, as `aside devices` shows it; may be given several times
    #[arg(long, value_name = "DEVICE")]
    keep: Vec<String>,
    /// Read the phrase from this file instead
    #[arg(long, value_name = "FILE")]
    phrase_file: Option<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::New(args) => new(args).await,
        Command::Use(args) => approve(args).await,
        Command::Override(args) => override_devices(args).await,
    }
}

async fn new(args: &New) -> Result<()> {
    // Before anything is shown: a phrase that can't be begun with is none.
    let client = args.session.connect_alone("in a chat /recovery new does it").await?;
    if client.own_device_log().await?.is_some() {
        return Err(aside_client::Error::IdentityExists.into());
    }
    let strength = if args.long { Strength::Bits256 } else { Strength::Bits128 };
    let phrase = new_recovery_phrase(strength);
    let shown = phrase.reveal();
    // Before it is good for anything: what was not shown is not needed.
    match args.json {
        true => output::line(json!({"recovery_phrase": *shown}))?,
        false => output::line(&*shown)?,
    }
    confirm(&shown)?;
    let begun = client.begin_identity(&phrase).await;
    begun.context(NOT_KNOWN)?;
    client.close().await;
    Ok(())
}

/// Says what to do with the phrase; on a terminal, lets its user type a part of it.
fn confirm(phrase: &str) -> Result<()> {
    output::note(WRITE_IT_DOWN)?;
    if !io::stdin().is_terminal() {
        return Ok(());
    }
    write!(io::stderr(), "Its last group, once it is written down: ")?;
    let mut typed = Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut typed)?;
    if !is_last_group(phrase, &typed) {
        bail!("this is not its last group; the phrase is good for nothing, and no other was made");
    }
    Ok(())
}

/// Whether somebody who has the phrase before the eyes typed this.
pub(crate) fn is_last_group(phrase: &str, typed: &str) -> bool {
    let last = phrase.rsplit('-').next().unwrap_or_default();
    typed.trim().eq_ignore_ascii_case(last)
}

async fn approve(args: &Use) -> Result<()> {
    let client = args.session.connect_alone(END_IT).await?;
    let phrase = RecoveryPhrase::parse(&read(args.phrase_file.as_deref())?)?;
    client.approve_by_phrase(&phrase).await?;
    client.close().await;
    output::note("this device is approved")?;
    Ok(())
}

async fn override_devices(args: &Override) -> Result<()> {
    let client = args.session.connect_alone(END_IT).await?;
    let phrase = RecoveryPhrase::parse(&read(args.phrase_file.as_deref())?)?;
    let mut keep = Vec::new();
    for named in &args.keep {
        keep.push(devices::find(&client, named).await?);
    }
    let log = client.override_devices(&phrase, &keep).await?;
    client.close().await;
    output::note(format!("there are {} approved devices from now on", log.active().count()))?;
    Ok(())
}

/// The phrase as it was typed.
fn read(file: Option<&Path>) -> Result<Zeroizing<String>> {
    if let Some(path) = file {
        let text = fs::read_to_string(path)
            .with_context(|| format!("can't read the phrase in {}", path.display()))?;
        return Ok(Zeroizing::new(text));
    }
    if io::stdin().is_terminal() {
        return Ok(Zeroizing::new(rpassword::prompt_password("Recovery phrase: ")?));
    }
    let mut text = Zeroizing::new(String::new());
    io::stdin().lock().take(MAX_PHRASE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}
