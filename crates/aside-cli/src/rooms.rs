//! `aside rooms`: the rooms of a server.

use anyhow::Result;
use aside_client::{Role, Room, display::neutralise_line};
use serde_json::{Value, json};

use crate::{
    output::{self, Style},
    session::SessionArgs,
};

/// List the rooms of a server
///
/// Rooms marked "server-readable" are public: anyone with an account may join, and the server can read all that is said.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside rooms aside://alice@chat.example\n  \
    aside rooms aside://alice@chat.example --joined --json | jq -r '.[].name'")]
pub(crate) struct Args {
    #[command(flatten)]
    session: SessionArgs,
    /// Only those the account is a member of
    #[arg(long)]
    joined: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let (client, _) = args.session.connect(|options| options.shared = true).await?;
    let rooms = client.rooms(args.joined).await?;
    if args.json {
        output::line(Value::from_iter(rooms.iter().map(to_json)))?;
    } else {
        let style = Style::of_stdout();
        for room in &rooms {
            output::line(show(room, style))?;
        }
    }
    client.close().await;
    Ok(())
}

/// One room in a line, with what is to be known before joining (ROOM-001).
pub(crate) fn show(room: &Room, style: Style) -> String {
    let mut marks = Vec::new();
    if room.server_readable {
        marks.push("server-readable");
    }
    if room.is_default {
        marks.push("default");
    }
    match room.role {
        Some(Role::Owner) => marks.push("joined, owner"),
        Some(Role::Member) => marks.push("joined"),
        None => {}
    }
    let members = match room.member_count {
        1 => "1 member".to_owned(),
        count => format!("{count} members"),
    };
    let name = style.bold(neutralise_line(&room.name));
    format!("{name}  {}", style.dim(format!("{members}, {}", marks.join(", "))))
}

fn to_json(room: &Room) -> Value {
    json!({
        "conversation_id": room.conversation.to_string(),
        "name": room.name,
        "server_readable": room.server_readable,
        "member_count": room.member_count,
        "role": room.role.map(|role| match role {
            Role::Owner => "owner",
            Role::Member => "member",
        }),
        "default": room.is_default,
        "first_seq": room.first_seq,
        "head_seq": room.head_seq,
    })
}

#[cfg(test)]
mod tests {
    use aside_client::ConversationId;

    use super::*;

    // cites: ROOM-001
    #[test]
    fn a_room_says_that_the_server_can_read_it() {
        let room = Room {
            conversation: ConversationId::new([1; 16]),
            name: "lobby".into(),
            server_readable: true,
            member_count: 1,
            role: None,
            is_default: true,
            first_seq: 1,
            head_seq: 9,
        };
        let shown = show(&room, Style::plain());
        assert_eq!(shown, "lobby  1 member, server-readable, default");
        assert_eq!(to_json(&room)["server_readable"], true);
    }
}
