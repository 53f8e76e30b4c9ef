//! A reaction and an edit: what was said stays in the log, and everybody sees what became of it.

use anyhow::{Context as _, Result};
use aside_client::{Content, ConversationId, Entry, Event, What};

use super::{Demo, People};

const THUMB: &str = "\u{1f44d}";
const FIRST: &str = "Hello?";
const SECOND: &str = "Hello, garden!";

impl Demo<'_> {
    pub(super) async fn second_thoughts(
        &mut self,
        people: &mut People,
        room: ConversationId,
    ) -> Result<()> {
        self.stage.scene("A reaction and an edit")?;
        let heard = people.alice.heard.iter().find(|(.., text)| text == FIRST);
        let seq = heard.map(|(seq, ..)| *seq).context("alice said hello")?;
        let said = people.bob.client.message(room, seq).await?;
        let to = said.as_message().context("a text can be reacted to")?;
        people.bob.client.react(room, to, THUMB, false).await?.receipt().await?;
        self.stage.note("bob", format!("reacts {THUMB} to alice's \"{FIRST}\""))?;
        people.alice.client.edit(room, to, SECOND).await?.receipt().await?;
        self.stage.note("alice", format!("makes it \"{SECOND}\""))?;
        let mut views = Vec::new();
        for person in people.each() {
            person.notices("the edit", is_edit).await?;
            let shown = person.client.message(room, seq).await?;
            self.stage.note(person.name, format!("sees: {seq:>3}  alice: {}", line(&shown)))?;
            views.push(shown.what);
        }
        self.stage
            .check(
                views.iter().all(|view| is_as_it_became(view) && Some(view) == views.first()),
                "all three see the new text, marked as edited, and who reacted",
            )
            .map_err(Into::into)
    }
}

fn is_edit(event: &Event) -> bool {
    let Event::Entry(entry) = event else { return false };
    matches!(&entry.what, What::Message { content: Content::Edit { message: Some(_), .. }, .. })
}

fn is_as_it_became(what: &What) -> bool {
    let What::Message { text, verified: true, content, .. } = what else { return false };
    let Content::Text { edited: Some(_), reactions, .. } = content else { return false };
    let [reaction] = reactions.as_slice() else { return false };
    let [by] = reaction.by.as_slice() else { return false };
    text.as_deref() == Some(SECOND) && reaction.emoji == THUMB && by.to_string() == "bob"
}

/// A message in one line.
fn line(entry: &Entry) -> String {
    let What::Message { text: Some(text), content, .. } = &entry.what else { return String::new() };
    let Content::Text { edited, reactions, .. } = content else { return text.clone() };
    let mut line = text.clone();
    if edited.is_some() {
        line.push_str(" (edited)");
    }
    for reaction in reactions {
        let by: Vec<_> = reaction.by.iter().map(ToString::to_string).collect();
        line.push_str(&format!("  {} {}", reaction.emoji, by.join(", ")));
    }
    line
}
