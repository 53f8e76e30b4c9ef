//! `aside send`: says something from a script.

use std::io::{self, BufRead as _};

use anyhow::{Result, bail};
use aside_client::{
    Client, ConversationId, Error, Event, Events, IdempotencyKey, Receipt, Room, Text,
    display::neutralise_line, private,
};
use serde_json::json;

use crate::{
    named::{check_is_other, find_room, parse_room},
    output,
    recovery::check_may_be_said,
    session::SessionArgs,
};

/// Send a message to a room, or each line of standard input as one
///
/// Ends when the server has made every message durable. A message that the connection was lost over is sent again, and
/// appears once. What is private waits for a device of the other's to encrypt to, as that of `aside dm` does.
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
    let (client, events) = args.session.connect(|_| {}).await?;
    check_is_other(&client, &args.handle)?;
    let to = client.open_direct(&args.handle).await?.conversation;
    let mut saying = Saying::new(&client, events, to, args.json);
    for line in lines(args.text) {
        let line = line?;
        check_may_be_said(&line)?;
        saying.say(line.into()).await?;
    }
    let ended = saying.end();
    client.close().await;
    ended
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Result<()> {
    let (client, events) = args.session.connect(|options| options.shared = true).await?;
    let room = find_room(&client, &args.room).await?;
    enter(&client, &room, args.join).await?;
    let to = room.conversation;
    if args.mention {
        // Who is a member is told by the log.
        client.catch_up(to).await?;
    }
    let mut saying = Saying::new(&client, events, to, args.json);
    for line in lines(args.text) {
        let line = line?;
        check_may_be_said(&line)?;
        let text = match args.mention {
            true => client.addressed(to, &line).await?,
            false => line.into(),
        };
        saying.say(text).await?;
    }
    let ended = saying.end();
    client.close().await;
    ended
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

/// What is to be said: the text, or else each line of standard input that is not blank.
fn lines(text: Option<String>) -> Box<dyn Iterator<Item = io::Result<String>>> {
    let is_blank = |line: &io::Result<String>| line.as_ref().is_ok_and(|it| it.trim().is_empty());
    match text {
        Some(text) => Box::new(std::iter::once(Ok(text))),
        None => Box::new(io::stdin().lock().lines().filter(move |line| !is_blank(line))),
    }
}

/// Messages to one conversation, one after another.
struct Saying<'a> {
    client: &'a Client,
    events: Events,
    to: ConversationId,
    json: bool,
    /// Why nobody can be encrypted to there.
    why: Option<String>,
    /// Messages that are kept until that is so no more.
    kept: usize,
}

impl<'a> Saying<'a> {
    fn new(client: &'a Client, events: Events, to: ConversationId, json: bool) -> Self {
        Self { client, events, to, json, why: None, kept: 0 }
    }

    /// Says something, and waits until the server has made it durable, or nobody can be encrypted to.
    async fn say(&mut self, text: Text) -> Result<()> {
        let queued = self.client.queue(self.to, text).await?;
        let message_id = queued.message_id();
        let receipt = queued.receipt();
        tokio::pin!(receipt);
        loop {
            tokio::select! {
                // What is refused is so at once, whatever waits.
                biased;
                receipt = &mut receipt => return match receipt {
                    Ok(receipt) => tell(receipt, self.json),
                    Err(error) => self.refused(message_id, error).await,
                },
                () = std::future::ready(()), if self.why.is_some() => {
                    self.kept += 1;
                    return Ok(());
                }
                event = self.events.next() => match event {
                    Some(event) => self.heard(event)?,
                    None => return Err(Error::Gone.into()),
                },
            }
        }
    }

    fn heard(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Private {
                conversation,
                what: private::Event::Waiting { why, .. },
                people,
                ..
            } if conversation == self.to => {
                let who = people.first().map_or("somebody".to_owned(), ToString::to_string);
                self.why = Some(output::private::no_device(&neutralise_line(&who), why));
                Ok(())
            }
            Event::Ended(error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A message is not sent, nor kept to be.
    async fn refused(&self, message_id: IdempotencyKey, error: Error) -> Result<()> {
        // Once the client is closed the message is the next run's to send.
        if !matches!(error, Error::Gone) {
            // It may be that it was not even kept.
            let _ = self.client.discard(message_id).await;
        }
        if let Some(waiting) = self.waiting() {
            output::note(format!("aside: {waiting}"))?;
        }
        Err(error.into())
    }

    /// Says that messages wait, if any do.
    fn end(self) -> Result<()> {
        match self.waiting() {
            Some(waiting) => bail!("{waiting}"),
            None => Ok(()),
        }
    }

    fn waiting(&self) -> Option<String> {
        let why = self.why.as_ref().filter(|_| self.kept > 0)?;
        Some(match self.kept {
            1 => {
                format!("not sent yet: {why}. It is kept here, to be sent when that is so no more")
            }
            kept => format!(
                "{kept} messages are not sent yet: {why}. They are kept here, to be sent when that is so no more"
            ),
        })
    }
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
