//! `aside users`: the members of a room.

use std::collections::HashMap;

use anyhow::Result;
use aside_client::{Client, Member, Person, Role, UserId, display::neutralise_line};
use serde_json::{Value, json};

use crate::{
    output::{self, Style},
    session::{SessionArgs, find_room},
};

/// List the members of a room the account is in
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside users aside://alice@chat.example lobby --online\n  \
    aside users aside://alice@chat.example lobby --json | jq -r '.[].handle'")]
pub(crate) struct Args {
    #[command(flatten)]
    session: SessionArgs,
    /// The room's name
    room: String,
    /// Only those who are online
    #[arg(long)]
    online: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let (client, _) = args.session.connect(|options| options.shared = true).await?;
    let room = find_room(&client, &args.room).await?;
    let members = client.members(room.conversation, args.online).await?;
    if args.json {
        output::line(Value::from_iter(members.iter().map(to_json)))?;
    } else {
        let style = Style::of_stdout();
        let statuses = statuses(&client, &members).await?;
        for member in &members {
            output::line(show(member, &statuses, style))?;
        }
    }
    client.close().await;
    Ok(())
}

/// What those who are online have to say.
pub(crate) type Statuses = HashMap<UserId, String>;

/// Asks for the status of those who are online, where the server has such.
pub(crate) async fn statuses(client: &Client, members: &[Member]) -> Result<Statuses> {
    if !client.has_watermarks() {
        return Ok(Statuses::new());
    }
    let online = members.iter().filter(|member| member.online).map(|member| member.user);
    let presence = client.presence(&online.collect::<Vec<_>>()).await?;
    Ok(presence.into_iter().map(|presence| (presence.who.user, presence.status)).collect())
}

/// One member in a line.
pub(crate) fn show(member: &Member, statuses: &Statuses, style: Style) -> String {
    let person = Person { user: member.user, handle: Some(member.handle.clone()) };
    let state = if member.online { "online" } else { "offline" };
    let role = if member.role == Role::Owner { ", owner" } else { "" };
    let status = statuses.get(&member.user).filter(|status| !status.is_empty());
    let status = status.map(|status| format!("  {}", neutralise_line(status)));
    let said = status.unwrap_or_default();
    format!("{}  {}{said}", style.person(&person), style.dim(format!("{state}{role}")))
}

fn to_json(member: &Member) -> Value {
    json!({
        "user_id": member.user.to_string(),
        "handle": member.handle,
        "role": match member.role {
            Role::Owner => "owner",
            Role::Member => "member",
        },
        "online": member.online,
    })
}
