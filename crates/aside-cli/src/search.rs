//! `aside search`: messages by the words in them.

use anyhow::Result;
use aside_client::{
    ConversationId, Entry, Found, Kept,
    display::{neutralise, neutralise_line},
};
use serde_json::{Value, json};

use crate::{
    named::{find_room, parse_room},
    output::{self, Style},
    session::SessionArgs,
    tail::find_kept,
};

/// That there is nothing where the server looks.
const NOT_IN_PUBLIC: &str = "nothing was found in your public rooms; a private conversation is searched by --local, or by --room";

/// How many messages are shown unasked.
pub(crate) const FOUND: usize = 20;

/// Find messages in the public rooms the account is in, or in a private conversation
///
/// The server searches, since it can read public rooms anyway. What is private it can't read: with --room NAME of a private conversation this
/// device searches what it keeps of that. All words must occur; "several words" in quotation marks as they stand;
/// begin* stands for words that begin so. With --local it is this device that searches what it keeps, without connecting: there the
/// last word may be a beginning.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside search aside://alice@chat.example 'green te*'\n  \
    aside search aside://alice@chat.example '\"release notes\"' --room ops -n 5 --json\n  \
    aside search aside://alice@chat.example --local 'tea cake'")]
pub(crate) struct Args {
    #[command(flatten)]
    session: SessionArgs,
    /// What to look for
    query: String,
    /// Search what is kept on this device, without asking the server
    #[arg(long)]
    local: bool,
    /// Only in this room; @HANDLE is the private conversation with somebody
    #[arg(long, value_parser = parse_room)]
    room: Option<String>,
    /// Show so many messages at the most
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = FOUND)]
    count: usize,
    /// Print a line of JSON for each message
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: &Args) -> Result<()> {
    if args.local {
        return run_locally(args).await;
    }
    let (client, _) = args.session.connect(|options| options.shared = true).await?;
    let rooms = client.rooms(true).await?;
    let room = match &args.room {
        Some(name) => Some(find_room(&client, name).await?),
        None => None,
    };
    let style = Style::of_stdout();
    if let Some(room) = room.as_ref().filter(|room| room.kind.is_private()) {
        output::note(only_kept(&style.place(room.kind, &room.name)))?;
        show_kept(&find(&client.kept(), Some(room.conversation), args).await?, args)?;
        client.close().await;
        return Ok(());
    }
    let room = room.map(|room| room.conversation);
    let found = client.search(room, &args.query, args.count).await?;
    if found.is_empty() && room.is_none() && rooms.iter().any(|room| room.kind.is_private()) {
        note_for_people(NOT_IN_PUBLIC, args)?;
    } else {
        say_if_none(found.is_empty(), args)?;
    }
    for found in found {
        let name = |id: ConversationId| rooms.iter().find(|room| room.conversation == id);
        let name = name(found.conversation).map_or("", |room| room.name.as_str());
        match args.json {
            true => output::line(to_json(&found, name))?,
            false => output::line(show(&found, name, style))?,
        }
    }
    client.close().await;
    Ok(())
}

async fn run_locally(args: &Args) -> Result<()> {
    let kept = args.session.kept().await?;
    let conversation = match &args.room {
        Some(name) => Some(find_kept(&kept, name).await?.conversation),
        None => None,
    };
    show_kept(&find(&kept, conversation, args).await?, args)?;
    kept.close().await;
    Ok(())
}

/// Why the server is not asked.
pub(crate) fn only_kept(place: &str) -> String {
    format!("{place} is searched on this device, in what it keeps: the server can't read it")
}

fn show_kept(found: &[Entry], args: &Args) -> Result<()> {
    let style = Style::of_stdout();
    say_if_none(found.is_empty(), args)?;
    for entry in found {
        if args.json {
            output::line(output::entry_json(entry))?;
        } else if let Some(text) = hit(style, entry) {
            output::line(text)?;
        }
    }
    Ok(())
}

/// Says that there is nothing, to those who read.
fn say_if_none(is_none: bool, args: &Args) -> Result<()> {
    match is_none {
        true => note_for_people("nothing was found", args),
        false => Ok(()),
    }
}

fn note_for_people(text: &str, args: &Args) -> Result<()> {
    if !args.json {
        output::note(text)?;
    }
    Ok(())
}

async fn find(
    kept: &Kept,
    conversation: Option<ConversationId>,
    args: &Args,
) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    let mut page = None;
    loop {
        let more = kept.search(&args.query, conversation, page).await?;
        found.extend(more.entries);
        page = more.next;
        if page.is_none() || found.len() >= args.count {
            found.truncate(args.count);
            return Ok(found);
        }
    }
}

/// One that was found, with where and when it was said.
pub(crate) fn hit(style: Style, entry: &Entry) -> Option<String> {
    let place = format!("{} [{}]", style.place(entry.kind, &entry.room), entry.seq);
    let time = output::day_and_clock(entry.time_ms);
    let text = style.past_entry(entry)?;
    Some(format!("{} {} {text}", style.dim(time), style.dim(place)))
}

/// One message in a line or more.
pub(crate) fn show(found: &Found, room: &str, style: Style) -> String {
    let time = style.dim(output::day_and_clock(found.time_ms));
    let place = style.dim(format!("#{} [{}]", neutralise_line(room), found.seq));
    let doubt = if found.verified { String::new() } else { style.warning(" (not verified)") };
    let edited = if found.edited { style.dim(" (edited)") } else { String::new() };
    let text = output::indent(&neutralise(&found.text));
    format!("{time} {place} {}{doubt}: {text}{edited}", style.person(&found.by))
}

fn to_json(found: &Found, room: &str) -> Value {
    json!({
        "conversation_id": found.conversation.to_string(),
        "room": room,
        "seq": found.seq,
        "time_ms": found.time_ms,
        "user_id": found.by.user.to_string(),
        "handle": found.by.handle,
        "text": found.text,
        "edited": found.edited,
        "verified": found.verified,
    })
}

#[cfg(test)]
mod tests {
    use aside_client::{Person, UserId};

    use super::*;

    // cites: MSG-008, MSG-010
    #[test]
    fn what_does_not_verify_is_shown_as_such() {
        let by = Person { user: UserId::new([1; 16]), handle: Some("alice".into()) };
        let conversation = ConversationId::new([2; 16]);
        let text = "tea\u{202e}".to_owned();
        let (seq, time_ms, edited) = (7, 0, true);
        let found = Found { conversation, seq, time_ms, by, text, edited, verified: false };
        let shown = show(&found, "lobby", Style::plain());
        assert!(shown.contains("#lobby [7] alice (not verified): tea"), "{shown}");
        assert!(!shown.contains('\u{202e}') && shown.ends_with("(edited)"), "{shown}");
        assert_eq!(to_json(&found, "lobby")["verified"], false);
    }
}
