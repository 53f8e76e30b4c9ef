//! `aside tail`: what was said in a room, and what is being said.

use anyhow::{Result, bail};
use aside_client::{
    Client, Connection, ConversationId, Entry, Error, Event, Events, Kept, Overview, Room,
    StateError, UserId, display::neutralise_line,
};
use jiff::Timestamp;

use crate::{
    named::{Named, find_room, parse_room},
    output::{
        self, Style,
        earlier::{self, Passed},
    },
    retention::NO_OLDER,
    send::enter,
    session::SessionArgs,
    since::Since,
};

/// How many entries to begin with, unasked.
const LINES: u32 = 20;
/// Entries read at once, where it is not known how many are wanted.
const PAGE: u32 = 500;

/// Show the last messages of a room, and with --follow those that come
///
/// Every entry is held against the room's hash chain and the server's signed head; if history was changed, the command ends
/// with exit code 5. With --offline it shows what earlier runs kept, without asking the server for anything: of private conversations
/// that you are out of, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside tail aside://alice@chat.example lobby -n 50\n  \
    aside tail aside://alice@chat.example lobby --since 2h\n  \
    aside tail aside://alice@chat.example lobby --offline --since 2026-11-25\n  \
    aside tail aside://alice@chat.example @bob\n  \
    aside tail aside://bot@chat.example ops --follow --json | jq -r 'select(.text).text'")]
pub(crate) struct Args {
    #[command(flatten)]
    session: SessionArgs,
    /// The room's name; @HANDLE is the private conversation with somebody
    #[arg(value_parser = parse_room)]
    room: String,
    /// How many of them to begin with at most [default: 20, or all with --since]; reactions and edits stand at their messages
    /// and do not count, but for --json
    #[arg(short = 'n', long, value_name = "COUNT")]
    lines: Option<u32>,
    /// Begin so long ago (30s, 90m, 2h, 1d, 2w), at a time (2026-11-25, 2026-11-25T14:00), or at an entry (its number)
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// Go on with those that come, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Show what is kept here, without connecting
    #[arg(long, conflicts_with_all = ["follow", "join"])]
    offline: bool,
    /// Join the room first if need be
    #[arg(long)]
    join: bool,
    /// Print a line of JSON for each entry
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Result<()> {
    let printer = Printer { style: Style::of_stdout(), json: args.json };
    if args.offline {
        return kept(&args, printer).await;
    }
    let (client, events) = args.session.connect(|options| options.shared = true).await?;
    let room = find_room(&client, &args.room).await?;
    enter(&client, &room, args.join).await?;
    match client.catch_up(room.conversation).await {
        Err(error @ Error::State(StateError::Copy)) => {
            return Err(anyhow::Error::new(error).context(
                "a chat, or another command, is open on this device; --offline shows what it has read so far",
            ));
        }
        caught_up => caught_up?,
    }
    // What stands at the messages that are read is no news either, shown by itself or not.
    let last = client.history(room.conversation, None, 1).await?;
    let shown = last.last().map_or(0, |last| last.seq);
    let entries = read(Source::Client(&client), room.conversation, &args).await?;
    let first_kept = client.first_kept(room.conversation).await?;
    if lacks_older(&entries, first_kept, &args) {
        output::note(NO_OLDER)?;
    }
    let mut entries = entries;
    entries.retain(|entry| entry.seq <= shown || !args.follow);
    printer.past(entries, Some(client.identity().user))?;
    if args.follow {
        follow(events, &room, shown, printer).await?;
    }
    client.close().await;
    Ok(())
}

/// RET-012: whether more was asked for than the server still keeps.
fn lacks_older(entries: &[Entry], first_kept: u64, args: &Args) -> bool {
    let unasked = if args.since.is_some() { u32::MAX } else { LINES };
    let are_fewer = entries.len() < args.lines.unwrap_or(unasked) as usize;
    let reach_back = entries.first().is_none_or(|first| first.seq <= first_kept);
    first_kept > 1 && are_fewer && reach_back
}

async fn kept(args: &Args, printer: Printer) -> Result<()> {
    let kept = args.session.kept().await?;
    let room = find_kept(&kept, &args.room).await?;
    if let Some(what) = room.tampering {
        output::note(format!("the history was tampered with: {}", neutralise_line(&what)))?;
    }
    let entries = read(Source::Kept(&kept), room.conversation, args).await?;
    printer.past(entries, kept.user().await?)?;
    kept.close().await;
    Ok(())
}

/// Finds a room or a private conversation that is kept by its name, as [`find_room`] does; one that the user is out of if no other is
/// called so.
pub(crate) async fn find_kept(kept: &Kept, name: &str) -> Result<Overview> {
    let named = Named::read(name)?;
    for list in [kept.overview().await?, kept.left().await?] {
        if let Some(room) = named.one_of(list)? {
            return Ok(room);
        }
    }
    bail!("no room {name} is kept here; without --offline the server is asked")
}

/// Where entries are read.
#[derive(Clone, Copy)]
enum Source<'a> {
    Client(&'a Client),
    Kept(&'a Kept),
}

impl Source<'_> {
    async fn before(
        self,
        conversation: ConversationId,
        before: Option<u64>,
        count: u32,
    ) -> Result<Vec<Entry>, Error> {
        match self {
            Self::Client(client) => client.history(conversation, before, count).await,
            Self::Kept(kept) => kept.entries(conversation, before, count).await,
        }
    }
}

/// The last entries, as many as are wanted.
async fn read(source: Source<'_>, conversation: ConversationId, args: &Args) -> Result<Vec<Entry>> {
    let unasked = if args.since.is_some() { usize::MAX } else { LINES as usize };
    let wanted = args.lines.map_or(unasked, |lines| lines as usize);
    let now = Timestamp::now().as_millisecond().try_into().unwrap_or_default();
    let since = args.since.unwrap_or(Since::Seq(0)).fixed(now);
    let page_size = u32::try_from(wanted).unwrap_or(PAGE).clamp(1, PAGE);
    // What is shown at another entry is not one of those wanted.
    let counts = |entry: &Entry| args.json || Style::plain().past_entry(entry).is_some();
    let mut pages = Vec::new();
    let (mut before, mut count) = (None, 0);
    while count < wanted {
        let mut page = source.before(conversation, before, page_size).await?;
        let whole =
            page.len() == page_size as usize && page.iter().all(|entry| since.includes(entry));
        before = page.first().map(|entry| entry.seq);
        page.retain(|entry| since.includes(entry) && counts(entry));
        count += page.len();
        pages.push(page);
        if !whole {
            break;
        }
    }
    let entries: Vec<_> = pages.into_iter().rev().flatten().collect();
    let excess = entries.len().saturating_sub(wanted);
    Ok(entries.into_iter().skip(excess).collect())
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
    /// Prints the last entries; programs get each.
    fn past(self, entries: Vec<Entry>, me: Option<UserId>) -> Result<()> {
        let shown = match me.filter(|_| !self.json) {
            Some(me) => earlier::fold(entries, me),
            None => entries.into_iter().map(|entry| Passed::Entry(Box::new(entry))).collect(),
        };
        for shown in shown {
            match shown {
                Passed::Entry(entry) => self.print(&entry, self.style.past_entry(&entry))?,
                Passed::Earlier(count) => output::line(self.style.dim(earlier::words(count)))?,
                Passed::Missed(count, _) => {
                    output::line(self.style.dim(earlier::missed_words(count)))?;
                }
            }
        }
        Ok(())
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
            let number = self.style.dim(format!("[{}]", entry.seq));
            output::line(format!("{time} {number} {text}"))?;
        }
        Ok(())
    }
}
