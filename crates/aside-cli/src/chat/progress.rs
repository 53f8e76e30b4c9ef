//! What is unread, what was found, and what became of messages.

use anyhow::{Result, bail};
use aside_client::{
    Client, ConversationId, IdempotencyKey, Outgoing, Queued, State, display::neutralise_line,
};

use super::REPLAY;
use crate::{
    failure,
    output::{self, Style},
    rooms, search,
};

/// So much of a message says which one it is.
const MAX_SHOWN: usize = 72;

/// The rooms in which something is unread.
pub(super) async fn unread(client: &Client, style: Style) -> Result<String> {
    let rooms: Vec<_> = match client.is_online() {
        true => client
            .rooms(true)
            .await?
            .into_iter()
            .map(|it| (output::title(it.kind, &it.name), it.unread))
            .collect(),
        false => client
            .overview()
            .await?
            .into_iter()
            .map(|it| (output::title(it.kind, &it.name), it.unread))
            .collect(),
    };
    let mut lines = Vec::new();
    for (name, unread) in rooms {
        if let Some(unread) = unread.filter(|unread| *unread > 0) {
            let name = style.bold(name);
            lines.push(format!("{name}  {}", rooms::unread_count(unread)));
        }
    }
    Ok(if lines.is_empty() { "nothing is unread".to_owned() } else { lines.join("\n") })
}

/// The rooms as they are kept, while the server is away.
pub(super) async fn rooms_kept(client: &Client, style: Style) -> Result<String> {
    let mut lines = vec![style.dim("the server is away; these are the rooms you are in")];
    for room in client.overview().await? {
        let unread = room.unread.filter(|unread| *unread > 0).map(rooms::unread_count);
        let unread = unread.map(|unread| format!("  {unread}")).unwrap_or_default();
        lines.push(format!("{}{unread}", style.bold(output::title(room.kind, &room.name))));
    }
    Ok(lines.join("\n"))
}

/// How to see what is unread, if it is more than is shown unasked.
pub(super) async fn unseen(client: &Client, conversation: ConversationId) -> Option<String> {
    let unread = client.unread(conversation).await.ok()??;
    (unread > REPLAY)
        .then(|| format!("{}: /history {unread} shows it", rooms::unread_count(unread)))
}

/// Marks everything that came from a room as read.
pub(super) async fn mark_read(client: &Client, conversation: ConversationId) -> Result<()> {
    if client.is_online() {
        client.catch_up(conversation).await?;
    }
    Ok(client.mark_read(conversation, u64::MAX).await?)
}

/// What there is of these words, in one conversation or in all.
pub(super) async fn find(
    client: &Client,
    style: Style,
    words: &str,
    of: Option<ConversationId>,
) -> Result<String> {
    let found = client.search_local(words, of, None).await?;
    let mut lines: Vec<_> =
        found.entries.iter().rev().filter_map(|entry| search::hit(style, entry)).collect();
    if found.next.is_some() {
        lines.insert(0, style.dim("there is more: `aside search --local` shows it"));
    }
    Ok(if lines.is_empty() {
        "nothing that is kept here has it".to_owned()
    } else {
        lines.join("\n")
    })
}

/// The outbox, numbered; the ids in the same order.
pub(super) async fn outbox(client: &Client, style: Style) -> Result<(String, Vec<IdempotencyKey>)> {
    let outbox = client.outbox().await?;
    let rooms = client.overview().await?;
    let left = client.kept().left().await?;
    let place = |id: ConversationId| {
        let room = rooms.iter().chain(&left).find(|room| room.conversation == id);
        room.map(|room| style.place(room.kind, &room.name)).unwrap_or_default()
    };
    let line = |(at, outgoing): (usize, &Outgoing)| {
        let to = style.dim(format!("to {}", place(outgoing.conversation)));
        format!("{:>2}  {}", at + 1, show(outgoing, &to, style))
    };
    let lines: Vec<_> = outbox.iter().enumerate().map(line).collect();
    let text = if lines.is_empty() { "everything was sent".to_owned() } else { lines.join("\n") };
    Ok((text, outbox.iter().map(|outgoing| outgoing.message_id).collect()))
}

fn show(outgoing: &Outgoing, to: &str, style: Style) -> String {
    let text = outgoing.text.as_deref().unwrap_or("(a reaction)");
    let mut shown: String = neutralise_line(text).chars().take(MAX_SHOWN).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('\u{2026}');
    }
    let state = match &outgoing.state {
        State::Failed { reason, remedy } => style.warning(failed(reason, remedy.as_deref())),
        state => style.dim(output::state_name(state)),
    };
    format!("{shown}  {to}  {state}")
}

fn failed(reason: &str, remedy: Option<&str>) -> String {
    let reason = reason.trim_end_matches('.');
    let remedy = remedy.map(|remedy| format!(". {remedy}")).unwrap_or_default();
    format!("NOT SENT: {}", neutralise_line(&format!("{reason}{remedy}")))
}

/// The one with this number, as the outbox was numbered last.
pub(super) fn numbered(ids: Option<&[IdempotencyKey]>, number: usize) -> Result<IdempotencyKey> {
    let Some(ids) = ids else { bail!("/outbox first: it gives the messages their numbers") };
    match number.checked_sub(1).and_then(|at| ids.get(at)) {
        Some(id) => Ok(*id),
        None => bail!("/outbox shows no message {number}"),
    }
}

/// What is wrong with a message that was waited for, with its exit code; none if it was sent, will be by the next run, or was taken back.
pub(super) async fn problem_of(queued: Queued) -> Option<(String, u8)> {
    match queued.receipt().await {
        Ok(_) | Err(aside_client::Error::Gone | aside_client::Error::Withdrawn) => None,
        Err(error) => Some((failure::line(&error), failure::code(&error))),
    }
}
