//! `aside send`: says something from a script.

use std::io::{self, BufRead as _};

use anyhow::{Result, bail};
use aside_client::{Client, Error, Event, Receipt, Room, display::neutralise_line, private};
use serde_json::json;

use crate::{
    named::{find_room, parse_room},
    output,
    recovery::check_may_be_said,
    session::SessionArgs,
};

/// Send a message to a room, or each line of standard input as one
///
/// Ends when the server has made every message durable. A message that the connection was lost over is sent again, and
/// appears once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside send aside://bot@chat.example ops 'backup done'\n  \
    aside send aside://bot@chat.example ops '@alice: the disk is full' --mention\n  \
    make 2>&1 | tail -1 | aside send aside://bot@chat.example builds --join")]
pub(crate) struct Args {
    #[command(flatten)]
    session: SessionArgs,
    /// The room's name; @HANDLE is the private conversation with somebody
    #[arg(value_parser = parse_room)]
    room: String,
    /// What to say; without it, each line of standard input that is not blank is a message
    #[arg(value_parser = parse_text)]
    text: Option<String>,
    /// Ask for the attention of members whose @handle is in the text; \@handle does not
    #[arg(long)]
    mention: bool,
    /// Join the room first if need be; the server can read what is said in a public room
    #[arg(long)]
    join: bool,
    /// Print a line of JSON for each message
    #[arg(long)]
    json: bool,
}

/// Send a private message to somebody, or each line of standard input as one
///
/// Only the devices of the two of you can read it. Ends when the server has made every message durable. If the other has no device to
/// encrypt to, the message is kept here, and sent by the next command that stays connected until there is one; the exit status is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside dm aside://alice@chat.example bob 'are you there?'\n  \
    aside tail aside://alice@chat.example @bob")]
pub(crate) struct DmArgs {
    #[command(flatten)]
    session: SessionArgs,
    /// The handle of whom to write to
    #[arg(value_parser = parse_handle)]
    handle: String,
    /// What to say; without it, each line of standard input that is not blank is a message
    #[arg(value_parser = parse_text)]
    text: Option<String>,
    /// Print a line of JSON for each message
    #[arg(long)]
    json: bool,
}

/// Runs `aside dm`.
pub(crate) async fn dm(args: DmArgs) -> Result<()> {
    let (client, mut events) = args.session.connect(|_| {}).await?;
    let handle = args.handle.as_str();
    let to = client.open_direct(handle).await?.conversation;
    let lines: Box<dyn Iterator<Item = io::Result<String>>> = match args.text {
        Some(text) => Box::new(std::iter::once(Ok(text))),
        None => Box::new(io::stdin().lock().lines()),
    };
    for line in lines {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        check_may_be_said(&line)?;
        let receipt = client.queue(to, line).await?.receipt();
        tokio::pin!(receipt);
        let receipt = loop {
            tokio::select! {
                biased;
                receipt = &mut receipt => break receipt?,
                event = events.next() => match event {
                    Some(Event::Private { what: private::Event::Waiting { why, .. }, .. }) => {
                        let why = output::private::no_device(&neutralise_line(handle), why);
                        client.close().await;
                        bail!("not sent yet: {why}. It is kept here, to be sent when that is so no more");
                    }
                    Some(Event::Ended(error)) => return Err(error.into()),
                    Some(_) => {}
                    None => return Err(Error::Gone.into()),
                },
            }
        };
        tell(receipt, args.json)?;
    }
    client.close().await;
    Ok(())
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Result<()> {
    let (client, _) = args.session.connect(|options| options.shared = true).await?;
    let room = find_room(&client, &args.room).await?;
    enter(&client, &room, args.join).await?;
    if args.mention {
        // Who is a member is told by the log.
        client.catch_up(room.conversation).await?;
    }
    match &args.text {
        Some(text) => say(&client, &room, text, &args).await?,
        None => {
            for line in io::stdin().lock().lines() {
                let line = line?;
                if !line.trim().is_empty() {
                    say(&client, &room, &line, &args).await?;
                }
            }
        }
    }
    client.close().await;
    Ok(())
}

/// A handle, which may stand behind an @.
fn parse_handle(text: &str) -> Result<String, &'static str> {
    match text.trim().trim_start_matches('@') {
        "" => Err("name somebody"),
        handle => Ok(handle.to_owned()),
    }
}

fn parse_text(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("there is nothing in it to say") } else { Ok(text.to_owned()) }
}

async fn say(client: &Client, room: &Room, text: &str, args: &Args) -> Result<()> {
    check_may_be_said(text)?;
    let text = match args.mention {
        true => client.addressed(room.conversation, text).await?,
        false => text.into(),
    };
    tell(client.send(room.conversation, text).await?, args.json)
}

/// Joins if that was asked for, and says what it means (ROOM-001).
pub(crate) async fn enter(client: &Client, room: &Room, join: bool) -> Result<()> {
    if room.role.is_some() {
        return Ok(());
    }
    if !join {
        return Err(Error::NotFollowed.into());
    }
    if room.server_readable {
        let name = neutralise_line(&room.name);
        output::note(format!("joining {name}: a public room, which the server can read"))?;
    }
    client.join(room.conversation).await?;
    Ok(())
}

fn tell(receipt: Receipt, as_json: bool) -> Result<()> {
    if as_json {
        output::line(json!({
            "message_id": receipt.message_id.to_string(),
            "seq": receipt.seq,
            "time_ms": receipt.time_ms,
        }))?;
    }
    Ok(())
}
