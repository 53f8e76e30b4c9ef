//! `aside rooms update` and `aside rooms invite`.

use anyhow::{Result, bail};
use aside_client::{RoomChange, display::neutralise_line};
use clap::{ArgGroup, ValueEnum};

use super::{show, to_json};
use crate::{
    named::{find_room, parse_room},
    output::{self, Style},
    retention::{self, Limits},
    session::SessionArgs,
};

/// What is to be done with a room.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Change {
    Update(UpdateArgs),
    Invite(InviteArgs),
}

/// Change what a room is called, what it is about and who may join; for its owner
#[derive(Debug, clap::Args)]
#[command(
    group(ArgGroup::new("setting").required(true).multiple(true)
        .args(["rename", "topic", "description", "invite_only", "retention"])),
    after_help = "Examples:\n  \
    aside rooms update aside://alice@chat.example ops --topic 'on call: bob'\n  \
    aside rooms update aside://alice@chat.example ops --invite-only on --description ''\n  \
    aside rooms update aside://alice@chat.example ops --retention '30d 1000' --yes"
)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    session: SessionArgs,
    /// The room's name
    #[arg(value_parser = parse_room)]
    room: String,
    /// Give it another name
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// What is talked about; an empty text takes it away
    #[arg(long, value_name = "TEXT")]
    topic: Option<String>,
    /// What the room is for; an empty text takes it away
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whether only those may join who are invited; the server reads such a room too
    #[arg(long, value_enum)]
    invite_only: Option<Switch>,
    /// How much is kept: an age (30d), a number of entries (1000), both, or none; what is beyond that is removed from the server for ever, for everyone
    #[arg(long, value_name = "LIMITS")]
    retention: Option<Limits>,
    /// Let --retention remove what is beyond it
    #[arg(long, requires = "retention")]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Invite somebody to a room, or withdraw an invitation
#[derive(Debug, clap::Args)]
pub(crate) struct InviteArgs {
    #[command(flatten)]
    session: SessionArgs,
    /// The room's name
    #[arg(value_parser = parse_room)]
    room: String,
    /// Whom
    handle: String,
    /// Withdraw the invitation instead
    #[arg(long)]
    withdraw: bool,
}

/// Something that is so or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// It is
    On,
    /// It is not
    Off,
}

/// Runs the command.
pub(super) async fn run(change: &Change) -> Result<()> {
    match change {
        Change::Update(args) => update(args).await,
        Change::Invite(args) => invite(args).await,
    }
}

async fn update(args: &UpdateArgs) -> Result<()> {
    let retention = args.retention.map(|Limits(limits)| limits);
    // RET-005
    if let Some(kept) = retention.as_ref().and_then(retention::words)
        && !args.yes
    {
        bail!("{kept}: {}; --yes does it", retention::FOR_EVER);
    }
    let (client, _) = args.session.connect(|options| options.shared = true).await?;
    let room = find_room(&client, &args.room).await?;
    let change = RoomChange {
        name: args.rename.clone(),
        topic: args.topic.clone(),
        description: args.description.clone(),
        invite_only: args.invite_only.map(|switch| switch == Switch::On),
        retention,
    };
    let room = client.update_room(room.conversation, change).await?;
    if args.json {
        output::line(to_json(&room))?;
    } else {
        output::line(show(&room, Style::of_stdout()))?;
    }
    client.close().await;
    Ok(())
}

async fn invite(args: &InviteArgs) -> Result<()> {
    let (client, _) = args.session.connect(|options| options.shared = true).await?;
    let room = find_room(&client, &args.room).await?;
    if args.withdraw {
        client.uninvite(room.conversation, &args.handle).await?;
        output::note(format!("{} is not invited", neutralise_line(&args.handle)))?;
    } else {
        output::note(super::invite(&client, room.conversation, &args.handle).await?)?;
    }
    client.close().await;
    Ok(())
}
