//! `aside tui`: talking, on the whole screen.
//!
//! ```text
//!  keys, mouse ───┐
//!  client events ─┼─► update(State, Input) ─► Effects ─► Hands ─► Client
//!  results ───────┘            │                           │
//!      ▲                       └─► State ─► draw           │
//!      └───────────────────────────────────────────────────┘
//! ```
//!
//! `update` and `draw` read no clock, wait for nothing and touch no terminal: they are tested as they are. The loop below
//! draws when something has changed, at most so often, and lets keys come first.

mod composer;
mod draw;
mod help;
mod layout;
mod scroll;
mod state;
mod terminal;
mod text;
mod theme;
mod timeline;
mod update;
mod view;
mod worker;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use aside_client::{Event, Events};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};

use self::{
    state::State,
    terminal::Screen,
    theme::ThemeName,
    update::{Effect, Input, PAGE, update},
    worker::{Hands, Results},
};
use crate::{chat::command::Command, named::parse_room, session::SessionArgs};

/// The least time between two drawings.
const FRAME: Duration = Duration::from_millis(25);
/// Events taken in before the keys are looked at again.
const AT_ONCE: usize = 64;

/// Chat on the whole screen: rooms, messages and members side by side
///
/// The rooms with what is unread stand at the left, who is in the room at the right where there is space, and what is written
/// at the bottom. F1 lists all keys; the commands are those of `aside chat`. The client keeps connected by itself: what is said
/// while the server is away is sent when it is back, once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside tui aside://alice@chat.example --register\n  \
    aside tui aside://alice@chat.example --join lobby --theme light\n\n\
    Keys:\n  \
    F1 help   Ctrl-K go to a room   Ctrl-Up choose a message   PageUp scroll   Ctrl-C end")]
pub(crate) struct Args {
    #[command(flatten)]
    session: SessionArgs,
    /// Join this room at the start, and talk in it
    #[arg(long, value_name = "ROOM", value_parser = parse_room)]
    join: Option<String>,
    /// The colours [default: dark, or none if NO_COLOR is set]
    #[arg(long, value_enum)]
    theme: Option<ThemeName>,
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Result<()> {
    terminal::check()?;
    let (client, events) = args
        .session
        .connect(|options| {
            options.offline = true;
            options.replay = PAGE;
            options.history = PAGE;
        })
        .await?;
    let identity = client.identity();
    let theme = args.theme.unwrap_or_else(ThemeName::default_here).theme();
    let server = args.session.address.host.clone();
    let mut state = State::new(identity.user, identity.handle, server, theme);
    let failed = Arc::new(Notify::new());
    let screen = Screen::take(Arc::clone(&failed))?;
    let (hands, results) = Hands::new(&client);
    hands.recall();
    if let Some(room) = args.join {
        state.entering = Some(room.clone());
        if let Err(problem) = hands.act(Effect::Do { here: None, command: Command::Join(room) }) {
            state.alert = Some(problem);
        }
    }
    let inputs = terminal::inputs();
    let began = Instant::now();
    let mut app = App { state, screen, hands, inputs, results, events, began };
    let outcome = tokio::select! {
        outcome = app.run() => outcome,
        () = terminated() => Ok(()),
        () = failed.notified() => Err(anyhow!("a part of the program failed, as said above")),
    };
    // The terminal is the user's again before anything else is waited for.
    let App { screen, hands, results, .. } = app;
    drop((screen, results));
    hands.finish().await;
    client.close().await;
    outcome
}

/// The program while it has the terminal.
struct App {
    state: State,
    screen: Screen,
    hands: Hands,
    inputs: mpsc::Receiver<Input>,
    results: Results,
    events: Events,
    /// What the times told count from.
    began: Instant,
}

impl App {
    async fn run(&mut self) -> Result<()> {
        let (columns, rows) = self.screen.size()?;
        let mut over = self.take(Input::Resize(columns, rows))?;
        let mut drawn = None;
        let mut changed = true;
        while !over {
            let typing_ends = self.state.typists.next_end(self.now_ms());
            let typing_ends = typing_ends.map(|at_ms| self.began + Duration::from_millis(at_ms));
            let due = drawn.map_or_else(Instant::now, |drawn: Instant| drawn + FRAME);
            if changed && due <= Instant::now() {
                self.screen.draw(|frame| draw::draw(&self.state, frame))?;
                (drawn, changed) = (Some(Instant::now()), false);
                over = self.take(Input::Drawn)?;
                continue;
            }
            // Keys first, then the screen, then what others say, however much that is.
            over = tokio::select! {
                biased;
                input = self.inputs.recv() => self.take(input.context("the terminal is gone")?)?,
                () = sleep_until(due), if changed => continue,
                Some(outcome) = self.results.outcomes.recv() => self.take(Input::Result(outcome))?,
                Some(done) = self.results.done.recv() => self.take(Input::Done(done))?,
                event = self.events.next() => {
                    self.take(Input::Time(self.now_ms()))?;
                    self.events(event)?
                }
                () = sleep_until(typing_ends.unwrap_or(due)), if typing_ends.is_some() => {
                    self.take(Input::Time(self.now_ms()))?
                }
            };
            changed = true;
        }
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes something in, and begins what is to be done about it; `true` if that is to end.
    fn take(&mut self, input: Input) -> Result<bool> {
        let mut over = false;
        for effect in update(&mut self.state, input) {
            match effect {
                Effect::Quit => over = true,
                Effect::Redraw => self.screen.clear()?,
                effect => {
                    if let Err(problem) = self.hands.act(effect) {
                        self.state.alert = Some(problem);
                    }
                }
            }
        }
        Ok(over)
    }

    /// Takes in an event, and those that wait behind it, up to a bound.
    fn events(&mut self, first: Option<Event>) -> Result<bool> {
        let mut next = first;
        for _ in 0..AT_ONCE {
            match next {
                Some(Event::Ended(error)) => return Err(error.into()),
                Some(event) => drop(self.take(Input::Event(Box::new(event)))?),
                None => return Ok(false),
            }
            next = self.events.try_next();
        }
        if let Some(event) = next {
            return self.take(Input::Event(Box::new(event)));
        }
        Ok(false)
    }
}

/// Waits until the system asks the program to end. Ctrl-C is a key like others here.
async fn terminated() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut term), Ok(mut hup), Ok(mut int)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::hangup()),
            signal(SignalKind::interrupt()),
        ) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = hup.recv() => {}
            _ = int.recv() => {}
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
