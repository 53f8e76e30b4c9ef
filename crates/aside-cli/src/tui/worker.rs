//! Does what the state asks for, each thing by a task of its own or in a queue, so that nothing holds up the screen.

use std::time::Duration;

use aside_client::{Client, ConversationId, Error};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::update::{Effect, Outcome, Secrets};
use crate::{
    chat::{
        Current,
        command::Command,
        worker::{Done, Worker},
    },
    failure,
    output::Style,
    users,
};

/// Things that may wait in each queue; more are refused.
const QUEUE: usize = 256;
/// What was typed before the end has so long to be kept.
const GRACE: Duration = Duration::from_secs(3);

/// Does effects.
pub(super) struct Hands {
    client: Client,
    outcomes: mpsc::Sender<Outcome>,
    says: mpsc::Sender<Saying>,
    /// What needs no server, such as what is said about messages, and must not wait behind what does.
    about: mpsc::Sender<Command>,
    /// All other commands.
    commands: mpsc::Sender<Command>,
    /// What hands messages to the client.
    sayers: [JoinHandle<()>; 2],
}

struct Saying {
    to: ConversationId,
    text: String,
}

/// What comes of it.
pub(super) struct Results {
    pub(super) outcomes: mpsc::Receiver<Outcome>,
    pub(super) done: mpsc::Receiver<Done>,
}

impl Hands {
    pub(super) fn new(client: &Client) -> (Self, Results) {
        let (outcomes, outcomes_out) = mpsc::channel(QUEUE);
        let (done, done_out) = mpsc::channel(QUEUE);
        let (says, says_out) = mpsc::channel(QUEUE);
        let queue = || {
            let (commands, commands_out) = mpsc::channel(QUEUE);
            let worker = Worker::new(client.clone(), Style::plain(), false, done.clone());
            (commands, tokio::spawn(worker.serve(commands_out)))
        };
        let ((about, abouts), (commands, _)) = (queue(), queue());
        let sayers = [tokio::spawn(say(client.clone(), says_out, outcomes.clone())), abouts];
        let hands = Self { client: client.clone(), outcomes, says, about, commands, sayers };
        (hands, Results { outcomes: outcomes_out, done: done_out })
    }

    /// Begins what was asked for; says what can't be.
    pub(super) fn act(&self, effect: Effect) -> Result<(), String> {
        let client = self.client.clone();
        match effect {
            // The loop's own.
            Effect::Quit | Effect::Redraw => {}
            Effect::ListRooms => self.begin(async move {
                Outcome::Rooms(client.rooms(false).await.map_err(|error| told(&error)))
            }),
            Effect::Page { of, before, count } => self.begin(async move {
                // Of what the user is out of the server gives nothing any more.
                let followed = client.followed().await.unwrap_or_default();
                let is_in = followed.iter().any(|(followed, _)| *followed == of);
                let entries = match is_in && client.is_online() {
                    true => client.history(of, Some(before), count).await,
                    false => client.kept().entries(of, Some(before), count).await,
                };
                let entries = entries.map_err(|error| told(&error));
                let first_kept = client.first_kept(of).await.unwrap_or(0);
                Outcome::Page { of, entries, first_kept }
            }),
            Effect::Members(of) => self.members(of),
            Effect::Pins(of) => self.begin(async move {
                Outcome::Pins(of, client.pins(of).await.map_err(|error| told(&error)))
            }),
            Effect::Settings => {
                let outcomes = self.outcomes.clone();
                tokio::spawn(async move {
                    // Where the server has no such settings there is nothing to show.
                    if let Ok(settings) = client.presence_settings().await {
                        let _ = outcomes.send(Outcome::Settings(settings)).await;
                    }
                });
            }
            Effect::Typing { of, typing } => {
                tokio::spawn(async move {
                    // It is said now or never.
                    let _ = client.typing(of, typing).await;
                });
            }
            Effect::ChangePassword(Secrets { old, new }) => self.begin(async move {
                let revoked = client.change_password(&old, &new).await;
                Outcome::PasswordChanged(revoked.map_err(|error| told(&error)))
            }),
            Effect::Count(of) => self.begin(async move {
                Outcome::Unread(of, client.unread(of).await.unwrap_or_default())
            }),
            Effect::MarkRead { of, seq } => {
                tokio::spawn(async move {
                    // It fails in a room that was left: then nothing is to be marked.
                    let _ = client.mark_read(of, seq).await;
                });
            }
            Effect::Say { to, text } => {
                let full = |_| "too much waits to be sent".to_owned();
                self.says.try_send(Saying { to, text }).map_err(full)?;
            }
            Effect::Do { here, command } => self.queue(here, command)?,
        }
        Ok(())
    }

    /// Asks who is in a room, then what they have to say.
    fn members(&self, of: ConversationId) {
        let (client, outcomes) = (self.client.clone(), self.outcomes.clone());
        tokio::spawn(async move {
            let mut members = client.members(of, false).await;
            let statuses = match &mut members {
                Ok(members) => users::look_at(&client, members).await.ok(),
                Err(_) => None,
            };
            let members = members.map_err(|error| told(&error));
            // The screen is gone: then nobody wants to know.
            let _ = outcomes.send(Outcome::Members(of, members)).await;
            if let Some(statuses) = statuses {
                let _ = outcomes.send(Outcome::Statuses(statuses)).await;
            }
        });
    }

    /// Tells what is known without the server.
    pub(super) fn recall(&self) {
        let client = self.client.clone();
        self.begin(async move {
            let overview = client.overview().await.unwrap_or_default();
            let outbox = client.outbox().await.unwrap_or_default();
            Outcome::Kept { overview, outbox }
        });
    }

    /// Lets what was said reach the client, which keeps it for the next run if need be.
    pub(super) async fn finish(self) {
        let Self { says, about, sayers, .. } = self;
        drop((says, about));
        for sayer in sayers {
            // What takes longer waits for a server that may never come back.
            let _ = timeout(GRACE, sayer).await;
        }
    }

    fn queue(&self, here: Option<Current>, command: Command) -> Result<(), String> {
        let queue = if command.is_local() { &self.about } else { &self.commands };
        let full = |_| "too many commands wait for the server".to_owned();
        if let Some(here) = here {
            queue.try_send(Command::Enter(here)).map_err(full)?;
        }
        queue.try_send(command).map_err(full)
    }

    fn begin(&self, outcome: impl Future<Output = Outcome> + Send + 'static) {
        let outcomes = self.outcomes.clone();
        tokio::spawn(async move {
            // The screen is gone: then nobody wants to know.
            let _ = outcomes.send(outcome.await).await;
        });
    }
}

/// Says things in the order in which they were typed. What becomes of them, events tell; but not of what was not even kept.
async fn say(client: Client, mut says: mpsc::Receiver<Saying>, outcomes: mpsc::Sender<Outcome>) {
    while let Some(Saying { to, text }) = says.recv().await {
        let queued = match client.addressed(to, &text).await {
            Ok(said) => client.queue(to, said).await,
            Err(error) => Err(error),
        };
        let outcomes = outcomes.clone();
        tokio::spawn(async move {
            let outcome = match queued {
                Ok(queued) => queued.receipt().await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(
                error @ (Error::MessageTooLong { .. } | Error::OutboxFull | Error::Tampered),
            ) = outcome
            {
                let problem = told(&error);
                // The screen is gone: then nobody wants to know.
                let _ = outcomes.send(Outcome::Unsaid { to, text, problem }).await;
            }
        });
    }
}

fn told(error: &Error) -> String {
    failure::line(error)
}
