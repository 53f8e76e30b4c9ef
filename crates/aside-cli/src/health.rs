//! `aside health`: how a private conversation stands.

use anyhow::{Result, bail};
use aside_client::display::neutralise_line;

use crate::{
    named::{find_room, parse_room},
    output::{self, Style, standing},
    session::SessionArgs,
};

/// Show how a private conversation stands on this device
///
/// Says whether this device is up to date in it, who is in it with how many devices, what was repaired, and the number that is the same on
/// all of their devices if the server shows all of them the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside health aside://alice@chat.example @bob\n  \
    aside health aside://alice@chat.example 'tea & cake' --json | jq -r .fork_check")]
pub(crate) struct Args {
    #[command(flatten)]
    session: SessionArgs,
    /// The conversation's name; @HANDLE is the one with somebody
    #[arg(value_parser = parse_room)]
    conversation: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let (client, _) = args.session.connect(|_| {}).await?;
    let room = find_room(&client, &args.conversation).await?;
    if !room.kind.is_private() {
        bail!("{} is a public room, which the server can read", neutralise_line(&room.name));
    }
    client.catch_up(room.conversation).await?;
    let health = client.health(room.conversation).await?;
    match args.json {
        true => output::line(standing::health_json(&health))?,
        false => {
            let place = (room.kind, room.name.as_str());
            output::line(standing::health(&client, place, &health, Style::of_stdout()).await?)?;
        }
    }
    client.close().await;
    Ok(())
}
