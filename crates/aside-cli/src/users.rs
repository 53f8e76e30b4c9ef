//! `aside users`: the members of a room.

use std::collections::HashMap;

use anyhow::Result;
use aside_client::{Client, Error, Member, Person, Role, UserId, display::neutralise_line};
use serde_json::{Value, json};

use crate::{
    named::{find_room, parse_room},
    output::{self, Style},
    session::SessionArgs,
};

/// Members whose presence is asked for by a screen: more than any shows.
const MAX_LOOKED_AT: usize = 256;

/// List the members of a room the account is in
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside users aside://alice@chat.example lobby --online\n  \
    aside users aside://alice@chat.example lobby --json | jq -r '.[].handle'")]
pub(crate) struct Args {
    #[command(flatten)]
    session: SessionArgs,
    /// The room's name
    #[arg(value_parser = parse_room)]
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
    let statuses = statuses(&client, &members).await?;
    if args.json {
        output::line(Value::from_iter(members.iter().map(|member| to_json(member, &statuses))))?;
    } else {
        let style = Style::of_stdout();
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

/// Sets whether members are online by what is told of their presence, changes of which are told from then on; and asks what they
/// have to say. More than [`MAX_LOOKED_AT`] stay as they are.
pub(crate) async fn look_at(client: &Client, members: &mut [Member]) -> Result<Statuses, Error> {
    if !client.has_watermarks() {
        return Ok(Statuses::new());
    }
    let looked_at = members.iter().take(MAX_LOOKED_AT).map(|member| member.user);
    let presence = client.presence(&looked_at.collect::<Vec<_>>()).await?;
    // In the order in which they were asked about.
    for (member, presence) in members.iter_mut().zip(&presence) {
        member.online = presence.online;
    }
    Ok(presence.into_iter().map(|presence| (presence.who.user, presence.status)).collect())
}

/// One member in a line.
pub(crate) fn show(member: &Member, statuses: &Statuses, style: Style) -> String {
    let person = Person { user: member.user, handle: Some(member.handle.clone()) };
    let state = if member.online { "online" } else { "offline" };
    let role = match member.role {
        Role::Member => "",
        Role::Admin => ", admin",
        Role::Owner => ", owner",
    };
    let status = statuses.get(&member.user).filter(|status| !status.is_empty());
    let status = status.map(|status| format!("  {}", neutralise_line(status)));
    let said = status.unwrap_or_default();
    format!("{}  {}{said}", style.person(&person), style.dim(format!("{state}{role}")))
}

fn to_json(member: &Member, statuses: &Statuses) -> Value {
    json!({
        "user_id": member.user.to_string(),
        "handle": member.handle,
        "role": output::role_name(member.role),
        "online": member.online,
        "status": statuses.get(&member.user).filter(|status| !status.is_empty()),
    })
}
