//! `aside users`: the members of a room.

use anyhow::Result;
use aside_client::{Member, Person, Role};
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
        for member in &members {
            output::line(show(member, style))?;
        }
    }
    client.close().await;
    Ok(())
}

/// One member in a line.
pub(crate) fn show(member: &Member, style: Style) -> String {
    let person = Person { user: member.user, handle: Some(member.handle.clone()) };
    let state = if member.online { "online" } else { "offline" };
    let role = if member.role == Role::Owner { ", owner" } else { "" };
    format!("{}  {}", style.person(&person), style.dim(format!("{state}{role}")))
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
