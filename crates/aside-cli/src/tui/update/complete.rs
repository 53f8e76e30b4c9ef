//! Tab: the rest of a command, of a room's name or of a handle.

use aside_client::Kind;

use crate::{
    chat::command::HELP,
    tui::{composer::Composer, state::State},
};

/// What is done with a group.
const GROUP: [&str; 7] = ["demote", "invite", "leave", "name", "new", "promote", "remove"];

/// Completes the word before the cursor as far as it is certain, and names what it may become.
pub(super) fn complete(state: &mut State) {
    let (start, word) = state.composer.word();
    if word.is_empty() {
        return;
    }
    let candidates = candidates(state, start, word);
    let Some(common) = common(&candidates) else {
        state.hint = Some(format!("nothing begins with {word}"));
        return;
    };
    let longer = common.len() > word.len();
    match &candidates[..] {
        [only] => {
            let text = if start == 0 && !only.starts_with('/') { ": " } else { " " };
            state.composer.replace_from(start, &format!("{only}{text}"));
        }
        _ => {
            if longer {
                state.composer.replace_from(start, &common);
            }
            state.hint = Some(candidates.join("  "));
        }
    }
}

fn candidates(state: &State, start: usize, word: &str) -> Vec<String> {
    let composer: &Composer = &state.composer;
    if start == 0 && word.starts_with('/') {
        let commands = HELP.lines().filter_map(|line| line.split_whitespace().next());
        return matching(commands.filter(|it| !it.starts_with("//")), word, "");
    }
    let command = composer.text().split_whitespace().next().unwrap_or_default();
    let before = composer.text().get(..start).unwrap_or_default();
    if before.trim() == "/group" {
        return matching(GROUP.into_iter(), word, "");
    }
    if matches!(command, "/join" | "/leave" | "/users") {
        let names = state.rooms.values().map(|room| room.name.as_str());
        let handles = state.rooms.values().filter(|room| room.kind == Kind::Direct);
        let handles = handles.map(|room| room.name.as_str());
        return match word.strip_prefix('@') {
            Some(word) => matching(handles, word, "@"),
            None => matching(names, word, ""),
        };
    }
    let (at, word) = word.strip_prefix('@').map_or(("", word), |word| ("@", word));
    // Who may be meant need not be in this room.
    let anybody = command == "/dm" || before.trim() == "/group invite";
    let all = state.rooms.values().filter(|_| anybody);
    let handles = state.room().into_iter().chain(all).flat_map(|room| &room.members);
    matching(handles.map(|member| member.handle.as_str()), word, at)
}

/// Those that begin with the word, whatever the case.
fn matching<'a>(names: impl Iterator<Item = &'a str>, word: &str, before: &str) -> Vec<String> {
    let word = word.to_lowercase();
    let mut found: Vec<_> = names
        .filter(|name| name.to_lowercase().starts_with(&word))
        .map(|name| format!("{before}{name}"))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// What all begin with.
fn common(names: &[String]) -> Option<String> {
    let mut common = names.first()?.clone();
    for name in names {
        let same = common.char_indices().zip(name.chars()).take_while(|((_, a), b)| a == b);
        let end = same.last().map_or(0, |((at, c), _)| at + c.len_utf8());
        common.truncate(end);
    }
    Some(common)
}
