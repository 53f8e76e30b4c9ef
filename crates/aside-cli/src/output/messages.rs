//! Messages, with what became of them: edits, reactions, answers.

use aside_client::{
    Content, Entry, GroupProfile, Kind, Mention, Reaction, Reply, What,
    display::{neutralise, neutralise_line},
};
use serde_json::{Value, json};

use super::{Style, entry_json, person, title};

/// So much of a message says which one is meant.
const MAX_QUOTE: usize = 40;

/// A message, after the name of who said it.
pub(super) fn show(
    style: Style,
    by: &str,
    entry: &Entry,
    (text, content): (Option<&str>, &Content),
) -> String {
    // Neutralised line by line, indented so that no text looks like somebody else's.
    let text = text.map(|text| indent(&neutralise(text))).unwrap_or_default();
    match content {
        Content::Text { edited, reply, reactions, .. } => {
            let reply = reply.map(|reply| answers(style, entry.kind, reply)).unwrap_or_default();
            let edited = edited.map(|_| style.dim(" (edited)")).unwrap_or_default();
            format!("{by}{reply}: {text}{edited}{}", reacted(style, reactions))
        }
        Content::Reaction { to, emoji, remove } => {
            let does = style.dim(if *remove { "takes back" } else { "reacts" });
            let to = to.as_ref().map_or("what is not shown".to_owned(), |entry| quote(entry));
            format!("{by} {does} {} {}", neutralise_line(emoji), style.dim(format!("to {to}")))
        }
        Content::Edit { of, message: Some(_) } => {
            format!("{by} {}: {text}", style.dim(format!("edits [{of}]")))
        }
        // CONT-013
        Content::Edit { of, message: None } => {
            let mark = format!("(an edit of [{of}], which is not shown)");
            format!("{by} {}: {text}", style.dim(mark))
        }
        Content::Profile { profile, counts } => {
            format!("{by} {}", style.dim(names(profile, *counts)))
        }
        Content::Redacted => format!("{by}: {}", style.dim(deleted(entry))),
        Content::Missing => {
            format!("{by} {}", style.warning("(MESSAGE REMOVED: nothing says yet by whom)"))
        }
        Content::Hidden => format!("{by} {}", style.dim("edits a message that was removed")),
        // MSG-011
        Content::Unknown => {
            format!("{by} {}", style.dim("sent a message that this version can't show"))
        }
    }
}

/// Why a message is not taken for its sender's, and what helps; nothing if it is.
pub(crate) fn doubt(entry: &Entry) -> Option<String> {
    let What::Message { verified: false, repeats, content, .. } = &entry.what else { return None };
    let is_read = !matches!(content, Content::Redacted | Content::Missing);
    Some(match repeats {
        // MSG-013
        Some(seq) => format!("(REPEATED by the server: said once, as entry {seq})"),
        None if entry.kind.is_private() && is_read => revoked(entry),
        // What was private is signed within what was deleted: see `deleted`.
        None if entry.kind.is_private() => return None,
        // MSG-008
        None => "(NOT VERIFIED: not signed by the sender's device)".to_owned(),
    })
}

/// That a message was deleted; and whether anything still shows that it was its sender's. A public one is signed without its text.
fn deleted(entry: &Entry) -> &'static str {
    match entry.what {
        What::Message { verified: false, .. } if entry.kind.is_private() => {
            "message deleted (nothing is left of it that shows who sent it but the server's word)"
        }
        _ => "message deleted",
    }
}

/// That the device that sent a private message was one of its user's no longer when it was read (DLOG-016).
fn revoked(entry: &Entry) -> String {
    let by = entry.by.as_ref().map_or("the sender".to_owned(), ToString::to_string);
    let by = neutralise_line(&by);
    format!(
        "(NOT VERIFIED: it came from a device that was revoked before this was read; ask {by} by another way whether {by} said it: /verify {by})"
    )
}

fn answers(style: Style, kind: Kind, reply: Reply) -> String {
    // CONT-007
    let missing = match (reply.there, reply.redacted) {
        (true, _) => "",
        (false, true) => ", which was deleted",
        (false, false) if kind.is_private() => ", which can't be read here",
        (false, false) => ", which is not there",
    };
    style.dim(format!(" (answers [{}]{missing})", reply.to))
}

/// What a group is called (PRIV-017).
pub(crate) fn names(profile: &GroupProfile, counts: bool) -> String {
    let name = title(Kind::Group, profile.name());
    let but = if counts { "" } else { ", which only an admin or owner may: it keeps its name" };
    format!("calls the group {name}{but}")
}

/// The reactions, on a line below.
fn reacted(style: Style, reactions: &[Reaction]) -> String {
    let shown: Vec<_> = reactions
        .iter()
        .map(|reaction| {
            let by: Vec<_> = reaction.by.iter().map(|person| style.person(person)).collect();
            format!("{} {}", neutralise_line(&reaction.emoji), by.join(", "))
        })
        .collect();
    if shown.is_empty() { String::new() } else { format!("\n    {}", shown.join("  ")) }
}

/// Which message is meant.
pub(super) fn quote(entry: &Entry) -> String {
    let text = match &entry.what {
        What::Message { text: Some(text), .. } => text.as_str(),
        _ => "",
    };
    let mut quoted: String = neutralise_line(text).chars().take(MAX_QUOTE).collect();
    if text.chars().nth(MAX_QUOTE).is_some() {
        quoted.push('\u{2026}');
    }
    format!("[{}] {quoted}", entry.seq)
}

/// Lines after the first stand under it, so that nobody can make a text look like somebody else's.
pub(crate) fn indent(text: &str) -> String {
    text.replace('\n', "\n    ")
}

/// What there is to a message beside its text, for programs.
pub(super) fn as_json(content: &Content) -> Value {
    match content {
        Content::Text { mentions, edited, reply, reactions } => json!({
            "kind": "text",
            "mentions": mentions.iter().map(mention).collect::<Vec<_>>(),
            "edited": edited,
            "reply": reply.map(|reply| {
                json!({"to": reply.to, "there": reply.there, "redacted": reply.redacted})
            }),
            "reactions": reactions.iter().map(reaction).collect::<Vec<_>>(),
        }),
        Content::Reaction { to, emoji, remove } => json!({
            "kind": "reaction",
            "emoji": emoji,
            "remove": remove,
            "message": to.as_deref().map(entry_json),
        }),
        Content::Edit { of, message } => {
            json!({"kind": "edit", "of": of, "message": message.as_deref().map(entry_json)})
        }
        Content::Profile { profile, counts } => json!({
            "kind": "profile",
            "name": profile.name(),
            "color": format!("#{:06x}", profile.color()),
            "counts": counts,
        }),
        Content::Redacted => json!({"kind": "redacted"}),
        Content::Missing => json!({"kind": "missing"}),
        Content::Hidden => json!({"kind": "hidden"}),
        Content::Unknown => json!({"kind": "unknown"}),
    }
}

fn reaction(reaction: &Reaction) -> Value {
    json!({"emoji": reaction.emoji, "by": reaction.by.iter().map(person).collect::<Vec<_>>()})
}

fn mention(mention: &Mention) -> Value {
    let range = &mention.range;
    json!({"who": person(&mention.who), "start": range.start, "length": range.len()})
}
