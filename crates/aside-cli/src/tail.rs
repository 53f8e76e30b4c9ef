//! `aside tail`: what was said in a room, and what is being said.

use anyhow::Result;
use aside_client::{Connection, Entry, Error, Event, Events, Room, display::neutralise_line};

use crate::{
    output::{self, Style},
    send::enter,
    session::{SessionArgs, find_room},
};

/// Show the last messages of a room, and with --follow those that come
///
/// Every entry is held against the room's hash chain and the server's signed head; if history was changed, the command ends
/// with exit code 5.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside tail aside://alice@chat.example lobby -n 50\n  \
    aside tail aside://bot@chat.example ops --follow --json | jq -r 'select(.kind==\"message\").text'")]
pub(crate) struct Args {
    #[command(flatten)]
    session: SessionArgs,
    /// The room's name
    room: String,
    /// How many entries to begin with
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    lines: u32,
    /// Go on with those that come, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Join the room first if need be
    #[arg(long)]
    join: bool,
    /// Print a line of JSON for each entry
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Result<()> {
    let (client, events) = args.session.connect(|options| options.shared = true).await?;
    let room = find_room(&client, &args.room).await?;
    enter(&client, &room, args.join).await?;
    client.catch_up(room.conversation).await?;
    let printer = Printer { style: Style::of_stdout(), json: args.json };
    let mut shown = 0;
    for entry in client.history(room.conversation, None, args.lines).await? {
        printer.past(&entry)?;
        shown = entry.seq;
    }
    if args.follow {
        follow(events, &room, shown, printer).await?;
    }
    client.close().await;
    Ok(())
}

async fn follow(mut events: Events, room: &Room, mut shown: u64, printer: Printer) -> Result<()> {
    while let Some(event) = events.next().await {
        match event {
            Event::Entry(entry) if entry.conversation == room.conversation && entry.seq > shown => {
                shown = entry.seq;
                printer.news(&entry)?;
            }
            Event::Tampering { conversation, .. } if conversation == room.conversation => {
                return Err(Error::Tampered.into());
            }
            Event::Connection(Connection::Offline { reason, retry_in }) => {
                output::note(format!(
                    "offline: {}; trying again in {} s",
                    neutralise_line(reason.trim_end_matches('.')),
                    retry_in.as_secs()
                ))?;
            }
            Event::Ended(error) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Printer {
    style: Style,
    json: bool,
}

impl Printer {
    /// Prints one of the last entries.
    fn past(self, entry: &Entry) -> Result<()> {
        self.print(entry, self.style.past_entry(entry))
    }

    /// Prints one that came.
    fn news(self, entry: &Entry) -> Result<()> {
        self.print(entry, self.style.entry(entry))
    }

    fn print(self, entry: &Entry, text: Option<String>) -> Result<()> {
        if self.json {
            output::line(output::entry_json(entry))?;
        } else if let Some(text) = text {
            let time = self.style.dim(output::day_and_clock(entry.time_ms));
            output::line(format!("{time}  {text}"))?;
        }
        Ok(())
    }
}
