//! `aside chat`: talking, a line at a time.

mod approving;
pub(crate) mod command;
mod input;
mod joining;
pub(crate) mod private;
mod progress;
pub(crate) mod recovery;
mod revoking;
pub(crate) mod rooming;
mod saying;
pub(crate) mod screen;
pub(crate) mod worker;

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
};

use anyhow::Result;
use aside_client::{
    Client, Connection, ConversationId, Error, Event, Events, Kind, Room, State,
    private::Event as Told, v1,
};
use tokio::sync::{mpsc, watch};

use self::{
    command::Command,
    input::{Input, Typed},
    screen::Screen,
    worker::{Done, Worker},
};
use crate::{
    failure::{self, Said},
    named::parse_room,
    output::{self, Style},
    session::SessionArgs,
};

/// Entries of each room told at the start.
const REPLAY: u32 = 20;
/// Commands that may wait for the one before.
const COMMANDS: usize = 64;

/// Chat
///
/// Type a line to say it, /help for the commands. The client keeps connected by itself: what is typed while the server is away
/// is sent when it is back, once, and what was missed is shown. When standard input is not a terminal, its lines are read plainly,
/// and the command ends when all of them were sent, or can't be by now: then it says so, and the exit status is 1. What they say is
/// said in the room that --join names, or that a line /join, /dm or /create before them does, and in no other.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside chat aside://alice@chat.example --register\n  \
    aside chat aside://alice@chat.example --join lobby\n  \
    aside chat aside://alice@localhost --fingerprint 3f1a…   (a development server prints it)")]
pub(crate) struct Args {
    #[command(flatten)]
    session: SessionArgs,
    /// Join this room at the start, and talk in it
    #[arg(long, value_name = "ROOM", value_parser = parse_room)]
    join: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Result<()> {
    let (client, events) = args
        .session
        .connect(|options| {
            options.offline = true;
            options.replay = REPLAY;
            options.history = REPLAY;
        })
        .await?;
    let (input, printer) = Input::start()?;
    let screen = Screen::new(Style::of_stdout(), printer, client.identity().user);
    let chat = Chat::new(client, screen, input, args.join);
    chat.run(events).await
}

/// The room that is talked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) conversation: ConversationId,
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

impl Current {
    /// What it is called, in a line.
    pub(crate) fn title(&self) -> String {
        output::title(self.kind, &self.name)
    }
}

impl From<&Room> for Current {
    fn from(room: &Room) -> Self {
        Self { conversation: room.conversation, name: room.name.clone(), kind: room.kind }
    }
}

/// What holds the next prompt back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// A command, until it has ended or the connection is lost.
    Command,
    /// A command that asks for something itself, until it has ended.
    Question,
}

/// That messages wait for what the screen has said.
fn kept_waiting(count: usize) -> String {
    let (messages, are) =
        if count == 1 { ("message waits", "it is") } else { ("messages wait", "they are") };
    format!(
        "{count} {messages} for what is said above: {are} kept here, and sent by the next command that stays connected until that \
         has changed; /outbox lists them, /discard takes them back"
    )
}

/// The conversation between a user and a client.
struct Chat {
    client: Client,
    screen: Screen,
    input: Input,
    commands: mpsc::Sender<Command>,
    results: mpsc::Receiver<Done>,
    /// Commands and messages that have not ended.
    busy: usize,
    /// Of rooms talked in, the last entry that was shown, and is not marked as read.
    shown: HashMap<ConversationId, u64>,
    /// The last entry of each room that was shown at all, so that it is marked once the room is turned to.
    printed: HashMap<ConversationId, u64>,
    /// Whether the server is away.
    away: watch::Sender<bool>,
    /// Messages that were not sent.
    lost: usize,
    /// The exit code of the first thing that failed.
    failed: Option<u8>,
    /// A command holds the next prompt back: it may change what the prompt says, or ask for something itself.
    holds: Option<Hold>,
    /// Standard input has ended: no more comes.
    ended: bool,
    /// And all commands that came have ended.
    drained: bool,
    /// Private conversations in which messages wait for a device to encrypt to.
    waiting: HashSet<ConversationId>,
    /// What to say when the server logs this device out, as it was asked for.
    leaving: Option<&'static str>,
    /// That was said.
    left: bool,
}

impl Chat {
    fn new(client: Client, screen: Screen, input: Input, join: Option<String>) -> Self {
        let (commands, queue) = mpsc::channel(COMMANDS);
        let (results_in, results) = mpsc::channel(COMMANDS);
        let interactive = input.is_interactive();
        let worker = Worker::new(client.clone(), screen.style(), interactive, results_in);
        let (away, is_away) = watch::channel(!client.is_online());
        // Whoever does not sit there can't try again later.
        let worker = if interactive { worker.giving_up(is_away) } else { worker };
        tokio::spawn(worker.run(queue, join));
        Self {
            client,
            screen,
            input,
            commands,
            results,
            // The worker begins with a look at the rooms.
            busy: 1,
            shown: HashMap::new(),
            printed: HashMap::new(),
            away,
            lost: 0,
            failed: None,
            holds: Some(Hold::Command),
            ended: false,
            drained: false,
            waiting: HashSet::new(),
            leaving: None,
            left: false,
        }
    }

    async fn run(mut self, mut events: Events) -> Result<()> {
        let outcome = self.exchange(&mut events).await;
        let shown = self.screen.end();
        self.client.close().await;
        let kept = outcome?;
        shown?;
        // Whoever sits there has seen it.
        let Some(code) = self.failed.filter(|_| !self.input.is_interactive()) else {
            return Ok(());
        };
        let sentence = match self.lost {
            _ if kept > 0 => kept_waiting(kept),
            0 => "not all was done; the reason is said above".to_owned(),
            1 => "a message was not sent; the reason is said above".to_owned(),
            lost => format!("{lost} messages were not sent; the reasons are said above"),
        };
        Err(Said { sentence, code }.into())
    }

    /// Goes on until it is over; gives how many messages wait for something that may never come.
    async fn exchange(&mut self, events: &mut Events) -> Result<usize> {
        while !(self.left || self.ended && self.busy == 0) {
            let waiting = self.wait_in_vain().await?;
            if waiting > 0 {
                self.failed.get_or_insert(failure::FAILED);
                return Ok(waiting);
            }
            tokio::select! {
                // In this order, so that what was shown is marked when nothing else is to be done.
                biased;
                Some(done) = self.results.recv() => self.done(done)?,
                typed = self.input.next(), if !self.ended => match typed {
                    Typed::Line(line) => {
                        if self.typed(&line).await?.is_break() {
                            return Ok(0);
                        }
                    }
                    Typed::End if self.input.is_interactive() => return Ok(0),
                    Typed::End => {
                        self.ended = true;
                        // The worker is gone only if the chat is.
                        let _ = self.commands.send(Command::Quit).await;
                    }
                },
                event = events.next() => match event {
                    Some(Event::Ended(error)) => return self.cut_off(error),
                    Some(event) => self.heard(&event)?,
                    None => return Ok(0),
                },
                // MARK-014: all that came at once is one mark.
                () = std::future::ready(()), if !self.shown.is_empty() => self.mark_shown().await,
            }
        }
        Ok(0)
    }

    /// How many messages are under way, if none of them can be sent by now, and nobody sits there who could wait.
    async fn wait_in_vain(&self) -> Result<usize> {
        if !self.drained || self.waiting.is_empty() {
            return Ok(0);
        }
        let outbox = self.client.outbox().await?;
        let queued = || outbox.iter().filter(|outgoing| outgoing.state == State::Queued);
        let is_in_vain = queued().all(|outgoing| self.waiting.contains(&outgoing.conversation));
        Ok(if is_in_vain { queued().count() } else { 0 })
    }

    /// The client has ended by itself.
    fn cut_off(&mut self, error: Error) -> Result<usize> {
        if self.leaving.is_none() || !error.is_refusal(v1::ErrorCode::DeviceIsRevoked) {
            return Err(error.into());
        }
        self.say_left()?;
        Ok(0)
    }

    /// This device was logged out for good, as it was asked for.
    fn say_left(&mut self) -> Result<()> {
        self.left = true;
        match self.leaving.take() {
            Some(said) => self.screen.say(said),
            None => Ok(()),
        }
    }

    /// Shows what the client tells, and notes what of it counts here.
    fn heard(&mut self, event: &Event) -> Result<()> {
        self.screen.event(event)?;
        self.note_shown(event);
        match event {
            Event::Connection(connection) => {
                let away = matches!(connection, Connection::Offline { .. });
                self.away.send_replace(away);
                if away {
                    self.release(Hold::Command);
                }
            }
            Event::Private { conversation, what: Told::Waiting { .. }, .. } => {
                self.waiting.insert(*conversation);
            }
            Event::Outgoing(outgoing) if outgoing.state == State::Sent => {
                self.waiting.remove(&outgoing.conversation);
            }
            _ => {}
        }
        Ok(())
    }

    async fn mark_shown(&mut self) {
        for (conversation, seq) in std::mem::take(&mut self.shown) {
            // A room that was left meanwhile needs no mark.
            let _ = self.client.mark_read(conversation, seq).await;
        }
    }

    /// Remembers what was shown to somebody who sits there.
    fn note_shown(&mut self, event: &Event) {
        if let Event::Entry(entry) = event
            && self.input.is_interactive()
        {
            self.printed.insert(entry.conversation, entry.seq);
            if self.screen.is_here(entry) {
                self.shown.insert(entry.conversation, entry.seq);
            }
        }
    }

    async fn typed(&mut self, line: &str) -> Result<ControlFlow<()>> {
        self.holds = None;
        match Command::parse(line) {
            Ok(None) => {}
            Ok(Some(Command::Quit)) => return Ok(ControlFlow::Break(())),
            Ok(Some(command)) => {
                self.holds = match &command {
                    Command::Say(_) | Command::About(..) => None,
                    Command::Passwd => Some(Hold::Question),
                    _ => self.client.is_online().then_some(Hold::Command),
                };
                self.busy += 1;
                if self.commands.send(command).await.is_err() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Err(problem) => self.fails(&problem, failure::FAILED)?,
        }
        if self.holds.is_none() {
            self.input.ready(self.screen.prompt());
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Says that something failed: to whoever sits there, or where failures of scripts are looked for.
    fn fails(&mut self, text: &str, code: u8) -> Result<()> {
        self.failed.get_or_insert(code);
        match self.input.is_interactive() {
            true => self.screen.say(&self.screen.style().warning(text)),
            false => Ok(output::note(format!("aside: {text}"))?),
        }
    }

    fn done(&mut self, done: Done) -> Result<()> {
        match done {
            Done::Says(text) => self.screen.say(&text)?,
            Done::Phrase(text) => self.screen.say(&text)?,
            // What a terminal has shown is its user's to clear.
            Done::Written => {}
            Done::Warns(text, code) => self.fails(&text, code)?,
            Done::Sends { id, to, text } => {
                if self.input.is_interactive() {
                    self.screen.typed_here(id, to, text);
                }
            }
            Done::Room(room) => {
                // What of it was shown before it was turned to is read now.
                let printed = room.as_ref().and_then(|room| {
                    Some((room.conversation, self.printed.get(&room.conversation).copied()?))
                });
                self.shown.extend(printed);
                self.screen.set_room(room)?;
            }
            Done::Kept(room) => self.screen.set_room(Some(room))?,
            Done::Waits => self.busy += 1,
            Done::Sent => self.busy -= 1,
            Done::Unsent => {
                self.busy -= 1;
                self.lost += 1;
            }
            Done::Presence(_) => {}
            Done::Leaves(said) => self.leaving = Some(said),
            Done::Left => self.say_left()?,
            Done::Drained => self.drained = true,
            Done::Ready => {
                self.busy -= 1;
                self.release(Hold::Command);
                self.release(Hold::Question);
            }
        }
        Ok(())
    }

    /// Shows the prompt that was held back for this.
    fn release(&mut self, hold: Hold) {
        if self.holds.take_if(|holds| *holds == hold).is_some() {
            self.input.ready(self.screen.prompt());
        }
    }
}
