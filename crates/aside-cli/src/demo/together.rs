//! Being there, having read, and taking back what was said.

use anyhow::Result;
use aside_client::{
    Content, ConversationId, Event, PresenceSettings, State, What, display::neutralise_line,
};

use super::{Demo, People};

const STATUS: &str = "watering the beds";
const QUESTION: &str = "Who brings the mugs?";
/// What bob deletes. Nothing of it may be left in the server's database.
pub(super) const SECRET: &str = "The key lies under the third flower pot.";

impl Demo<'_> {
    /// Who is there and what they do.
    pub(super) async fn presence(&mut self, people: &mut People) -> Result<()> {
        self.stage.scene("Who is there")?;
        let mut settings = PresenceSettings { status: STATUS.to_owned(), ..Default::default() };
        people.bob.client.set_presence(&settings).await?;
        self.stage.note("bob", format!("says what he is up to: {STATUS}"))?;
        people.alice.notices("bob's status", |event| seen(event, true, STATUS)).await?;
        people.carol.notices("bob's status", |event| seen(event, true, STATUS)).await?;
        self.stage.check(true, "alice and carol see bob online, with his status")?;
        settings.hidden = true;
        people.bob.client.set_presence(&settings).await?;
        people.alice.notices("bob's going", |event| seen(event, false, "")).await?;
        let bob = people.bob.client.identity().user;
        let found = people.carol.client.presence(&[bob]).await?;
        self.stage.note(
            "bob",
            "hides: to the others he is offline, and they can't tell that he is not",
        )?;
        let hidden = found.iter().all(|theirs| !theirs.online && theirs.status.is_empty());
        self.stage.check(hidden, "asked for him, the server tells carol no more than that")?;
        settings.hidden = false;
        people.bob.client.set_presence(&settings).await?;
        Ok(())
    }

    /// How far the others have got.
    pub(super) async fn watermarks(
        &mut self,
        people: &mut People,
        room: ConversationId,
    ) -> Result<()> {
        self.stage.scene("What became of a message")?;
        let seq = people.alice.client.send(room, QUESTION).await?.seq;
        self.stage.note("alice", format!("says: {QUESTION}"))?;
        people.all_hear(QUESTION).await?;
        people.bob.client.mark_read(room, seq).await?;
        self.stage.note("bob", "has it on his screen")?;
        let bob_read = |event: &Event| match event {
            Event::WatermarkMoved { watermark, .. } => {
                watermark.who.to_string() == "bob" && watermark.read >= seq
            }
            _ => false,
        };
        people.alice.notices("that bob has read it", bob_read).await?;
        let state = people.alice.client.message(room, seq).await?.state;
        self.stage.note("alice", "sees beside her message: read")?;
        let read = state == Some(State::Read);
        self.stage
            .check(read, "what one has read is told to the others, and is never taken back")?;
        Ok(())
    }

    /// A message that is taken back for good.
    pub(super) async fn redaction(
        &mut self,
        people: &mut People,
        room: ConversationId,
    ) -> Result<()> {
        self.stage.scene("A message that is deleted")?;
        let seq = people.bob.client.send(room, SECRET).await?.seq;
        people.all_hear(SECRET).await?;
        self.stage.note("bob", format!("says: {SECRET}"))?;
        let message = people.bob.client.message(room, seq).await?;
        if let Some(message) = message.as_message() {
            people.bob.client.redact(room, message).await?;
        }
        self.stage.note("bob", "thinks better of it, and deletes it")?;
        let mut views = Vec::new();
        for person in people.each() {
            person.notices("the deletion", |event| deletes(event, seq)).await?;
            let shown = person.client.history(room, Some(seq + 1), 1).await?;
            views.extend(shown.into_iter().map(|entry| entry.what));
        }
        let tombstone = |what: &What| {
            let redacted = |content: &Content| matches!(content, Content::Redacted);
            matches!(what, What::Message { text: None, content, .. } if redacted(content))
        };
        self.stage.check(
            views.len() == 3 && views.iter().all(tombstone),
            "all three see that there was a message, and not what it said; the chain of hashes still holds",
        )?;
        Ok(())
    }
}

/// Whether it tells that bob is seen so.
fn seen(event: &Event, online: bool, status: &str) -> bool {
    let Event::Presence(theirs) = event else { return false };
    theirs.who.to_string() == "bob"
        && theirs.online == online
        && neutralise_line(&theirs.status) == status
}

fn deletes(event: &Event, seq: u64) -> bool {
    let Event::Entry(entry) = event else { return false };
    matches!(&entry.what, What::Redacted { seqs } if seqs.contains(&seq))
}
