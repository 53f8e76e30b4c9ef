//! What is said: messages, answers, reactions and edits, and what becomes of them.

use anyhow::{Result, bail};
use aside_client::{Content, Entry, Error, Queued, What, display::neutralise_line};

use super::{
    command::About,
    progress::problem_of,
    worker::{Done, Worker},
};

impl Worker {
    /// Says something.
    pub(super) async fn talk(&self, text: &str) -> Result<()> {
        let here = self.here()?;
        self.check_is_in(here).await?;
        let to = here.conversation;
        let said = self.client.addressed(to, text).await?;
        let text = said.body.clone();
        let queued = self.client.queue(to, said).await?;
        self.tell(Done::Sends { id: queued.message_id(), to, text }).await;
        self.wait(queued);
        Ok(())
    }

    /// Says something about a message. It is shown when it comes back: what was typed does not look like it.
    pub(super) async fn about(&self, number: u64, about: About) -> Result<()> {
        let here = self.here()?;
        self.check_is_in(here).await?;
        let room = here.conversation;
        let message = self.client.message(room, number).await?;
        let to = message.as_message().ok_or(Error::NoSuchMessage(number))?;
        let queued = match about {
            About::Reply(text) => {
                let said = self.client.addressed(room, &text).await?;
                self.client.reply(room, to, said).await?
            }
            // Another entry would change nothing.
            About::React(emoji) if self.reacts(&message, &emoji) => {
                bail!("you have reacted to [{number}] with {} already", neutralise_line(&emoji))
            }
            About::Unreact(emoji) if !self.reacts(&message, &emoji) => {
                bail!("you have not reacted to [{number}] with {}", neutralise_line(&emoji))
            }
            About::React(emoji) => self.client.react(room, to, &emoji, false).await?,
            About::Unreact(emoji) => self.client.react(room, to, &emoji, true).await?,
            About::Edit(text) => {
                if message.by.is_none_or(|by| by.user != self.client.identity().user) {
                    return Err(Error::NotYours(number).into());
                }
                let said = self.client.addressed(room, &text).await?;
                self.client.edit(room, to, said).await?
            }
        };
        self.wait(queued);
        Ok(())
    }

    /// Whether the user has reacted to a message so.
    fn reacts(&self, message: &Entry, emoji: &str) -> bool {
        let me = self.client.identity().user;
        let What::Message { content: Content::Text { reactions, .. }, .. } = &message.what else {
            return false;
        };
        let mut same = reactions.iter().filter(|reaction| reaction.emoji == emoji);
        same.any(|reaction| reaction.by.iter().any(|by| by.user == me))
    }

    pub(super) async fn said(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.complain(&error).await;
            self.tell(Done::Unsent).await;
        }
    }

    /// Waits by a task of its own for what becomes of a message, so that the next line need not wait.
    pub(super) fn wait(&self, queued: Queued) {
        let (client, results) = (self.client.clone(), self.results.clone());
        tokio::spawn(async move {
            let id = queued.message_id();
            // When the chat has ended nobody wants to know.
            let Some((problem, code)) = problem_of(queued).await else {
                let _ = results.send(Done::Sent).await;
                return;
            };
            let outbox = client.outbox().await.unwrap_or_default();
            let kept = match outbox.iter().any(|it| it.message_id == id) {
                true => "\n/outbox keeps it",
                false => "",
            };
            let _ = results.send(Done::Warns(format!("NOT SENT: {problem}{kept}"), code)).await;
            let _ = results.send(Done::Unsent).await;
        });
    }
}
