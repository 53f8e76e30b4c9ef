//! `aside rooms`: the rooms of a server.

mod change;

use std::borrow::Cow;

use anyhow::{Result, bail};
use aside_client::{
    Client, ConversationId, Error, Kind, Person, Role, Room, display::neutralise_line,
};
use serde_json::{Value, json};

use crate::{
    devices,
    output::{self, Style},
    retention,
    session::SessionArgs,
};

/// This many stand for any number more (SUM-005).
const MAX_UNREAD: u32 = 1000;

/// List the rooms of a server, with how much is unread
///
/// Rooms marked "server-readable" are public: anyone with an account may join, and the server can read all that is said. Those marked
/// "private" are the user's own conversations: their members alone can read what is said, and the server does not know their names.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside rooms aside://alice@chat.example\n  \
    aside rooms aside://alice@chat.example --joined --json | jq -r '.[].name'\n  \
    aside rooms update aside://alice@chat.example ops --topic 'on call: bob'")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    change: Option<Box<change::Change>>,
    #[command(flatten)]
    session: Option<SessionArgs>,
    /// Only those the account is a member of
    #[arg(long)]
    joined: bool,
    /// Only those the account is invited to
    #[arg(long, conflicts_with = "joined")]
    invited: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: &Args) -> Result<()> {
    if let Some(change) = &args.change {
        return change::run(change).await;
    }
    let Some(session) = &args.session else { bail!("an address is needed") };
    let (client, _) = session.connect(|options| options.shared = true).await?;
    let rooms = match args.invited {
        true => client.invitations().await?,
        false => client.rooms(args.joined).await?,
    };
    if args.json {
        output::line(Value::from_iter(rooms.iter().map(to_json)))?;
    } else {
        let style = Style::of_stdout();
        for room in &rooms {
            output::line(show(room, style))?;
        }
        if !args.invited && devices::is_unapproved(&client).await {
            output::note(format!("private conversations are not shown: {}", devices::APPROVE_IT))?;
        }
    }
    client.close().await;
    Ok(())
}

/// One room in a line, with what is to be known before joining (ROOM-001).
pub(crate) fn show(room: &Room, style: Style) -> String {
    let mut marks: Vec<Cow<'_, str>> = Vec::new();
    match room.kind {
        Kind::Group => marks.push("private group".into()),
        Kind::Direct => marks.push("private, of two".into()),
        Kind::PublicRoom => {}
    }
    if room.server_readable {
        marks.push("server-readable".into());
    }
    if room.is_default {
        marks.push("default".into());
    }
    if room.invite_only {
        marks.push("invite-only".into());
    }
    // RET-011
    marks.extend(retention::words(&room.retention).map(Cow::Owned));
    if room.invited {
        marks.push("you are invited".into());
    }
    match room.role {
        // Both of two own what is between them.
        Some(_) if room.kind == Kind::Direct => {}
        Some(Role::Owner) => marks.push("joined, owner".into()),
        Some(Role::Admin) => marks.push("joined, admin".into()),
        Some(Role::Member) => marks.push("joined".into()),
        None => {}
    }
    let unread = match room.unread.filter(|unread| *unread > 0) {
        Some(unread) => format!("  {}", style.bold(unread_count(unread))),
        None => String::new(),
    };
    let members = match room.member_count {
        1 => "1 member".to_owned(),
        count => format!("{count} members"),
    };
    let name = style.bold(name(room, style));
    let topic = match neutralise_line(&room.topic) {
        topic if topic.is_empty() => String::new(),
        topic => format!("  {topic}"),
    };
    format!("{name}  {}{unread}{topic}", style.dim(format!("{members}, {}", marks.join(", "))))
}

/// Its name; of a private one behind a lock, where that is shown as such: what it is, is among the marks.
fn name(room: &Room, style: Style) -> String {
    match room.kind.is_private() && style.shows_signs() {
        true => style.place(room.kind, &room.name),
        false => output::title(room.kind, &room.name),
    }
}

/// That somebody has invited the user to a room, with what is to be known before joining (ROOM-001).
pub(crate) fn invitation(room: &Room, by: Option<&Person>, style: Style) -> String {
    let by = by.map(|by| format!(" by {}", style.person(by))).unwrap_or_default();
    let name = neutralise_line(&room.name);
    let hint = style.dim(format!("/join {name} to accept, /leave {name} to turn it down"));
    format!("you are invited{by}: {}\n{hint}", show(room, style))
}

/// Invites somebody, and says what came of it.
pub(crate) async fn invite(
    client: &Client,
    room: ConversationId,
    handle: &str,
) -> Result<String, Error> {
    let shown = neutralise_line(handle).into_owned();
    // Who is a member is told by the log. Who is none is refused below.
    let _ = client.catch_up(room).await;
    match client.member_called(room, handle).await? {
        Some(user) if user == client.identity().user => Ok("you are a member yourself".to_owned()),
        Some(_) => Ok(format!("{shown} is a member already")),
        None => {
            client.invite(room, handle).await?;
            Ok(format!("{shown} is invited"))
        }
    }
}

/// How many messages wait to be read.
pub(crate) fn unread_count(unread: u32) -> String {
    // SUM-005
    if unread >= MAX_UNREAD {
        format!("{MAX_UNREAD} or more unread")
    } else {
        format!("{unread} unread")
    }
}

fn to_json(room: &Room) -> Value {
    json!({
        "conversation_id": room.conversation.to_string(),
        "name": room.name,
        "kind": output::kind_name(room.kind),
        "server_readable": room.server_readable,
        "member_count": room.member_count,
        "role": room.role.map(output::role_name),
        "default": room.is_default,
        "first_seq": room.first_seq,
        "head_seq": room.head_seq,
        "topic": room.topic,
        "description": room.description,
        "invite_only": room.invite_only,
        "invited": room.invited,
        "retention": retention::to_json(&room.retention),
        "unread": room.unread,
    })
}

#[cfg(test)]
mod tests {
    use aside_client::Retention;

    use super::*;

    // cites: ROOM-001
    #[test]
    fn a_room_says_that_the_server_can_read_it() {
        let room = Room {
            conversation: ConversationId::new([1; 16]),
            kind: Kind::PublicRoom,
            name: "lobby".into(),
            server_readable: true,
            member_count: 1,
            role: None,
            is_default: true,
            first_seq: 1,
            head_seq: 9,
            topic: String::new(),
            description: String::new(),
            invite_only: false,
            invited: false,
            retention: Default::default(),
            unread: None,
        };
        let shown = show(&room, Style::plain());
        assert_eq!(shown, "lobby  1 member, server-readable, default");
        assert_eq!(to_json(&room)["server_readable"], true);
        let room = Room { role: Some(Role::Member), unread: Some(2), ..room };
        let shown = show(&room, Style::plain());
        assert_eq!(shown, "lobby  1 member, server-readable, default, joined  2 unread");
        assert_eq!(unread_count(1000), "1000 or more unread");
    }

    #[test]
    fn a_private_conversation_says_what_it_is() {
        let group = Room {
            conversation: ConversationId::new([1; 16]),
            kind: Kind::Group,
            name: "tea & cake".into(),
            server_readable: false,
            member_count: 3,
            role: Some(Role::Admin),
            is_default: false,
            first_seq: 1,
            head_seq: 9,
            topic: String::new(),
            description: String::new(),
            invite_only: false,
            invited: false,
            retention: Default::default(),
            unread: Some(0),
        };
        let shown = show(&group, Style::plain());
        assert_eq!(shown, "tea & cake  3 members, private group, joined, admin");
        assert_eq!(
            (&to_json(&group)["kind"], &to_json(&group)["role"]),
            (&json!("group"), &json!("admin"))
        );
        let direct =
            Room { kind: Kind::Direct, name: "bob".into(), role: Some(Role::Owner), ..group };
        assert_eq!(show(&direct, Style::plain()), "@bob  3 members, private, of two");
        assert_eq!(to_json(&direct)["server_readable"], false);
    }

    // cites: RET-011
    #[test]
    fn a_room_says_what_it_is_about_and_who_is_asked_in() {
        let room = Room {
            conversation: ConversationId::new([1; 16]),
            kind: Kind::PublicRoom,
            name: "den".into(),
            server_readable: true,
            member_count: 2,
            role: None,
            is_default: false,
            first_seq: 1,
            head_seq: 9,
            topic: "tea\u{202e}".into(),
            description: String::new(),
            invite_only: true,
            invited: true,
            retention: Retention { max_age_s: 30 * 86_400, max_entries: 0 },
            unread: None,
        };
        let shown = show(&room, Style::plain());
        let expected =
            "den  2 members, server-readable, invite-only, kept for 30 days, you are invited  tea";
        assert!(shown.starts_with(expected) && !shown.contains('\u{202e}'), "{shown}");
        let asked = invitation(&room, None, Style::plain());
        assert!(
            asked.contains("/join den to accept") && asked.contains("server-readable"),
            "{asked}"
        );
        assert_eq!(to_json(&room)["topic"], "tea\u{202e}");
        assert_eq!(to_json(&room)["retention"]["max_age_s"], 30 * 86_400);
    }
}
