//! What happens to a room: its settings, invitations, pins.

use aside_client::{
    Entry, RoomSettings,
    display::{neutralise, neutralise_line},
};

use super::{Style, messages};
use crate::retention;

/// What an owner changed, in words.
pub(super) fn updated(style: Style, now: &RoomSettings, before: Option<&RoomSettings>) -> String {
    // What was said before is not at hand: then all there is to say is said.
    let unsaid = RoomSettings { name: now.name.clone(), ..RoomSettings::default() };
    let before = before.unwrap_or(&unsaid);
    let mut changes = Vec::new();
    if now.name != before.name {
        let name = style.bold(neutralise_line(&now.name));
        changes.push(format!("{} {name}", style.dim("renamed the room to")));
    }
    if now.topic != before.topic {
        changes.push(text(style, "topic", &neutralise_line(&now.topic)));
    }
    if now.description != before.description {
        let description = messages::indent(&neutralise(&now.description));
        changes.push(text(style, "description", &description));
    }
    if now.invite_only != before.invite_only {
        let said = if now.invite_only {
            "lets only those join who are invited (the server still reads it)"
        } else {
            "lets anyone join"
        };
        changes.push(style.dim(said));
    }
    if now.retention != before.retention {
        changes.push(style.dim(match retention::words(&now.retention) {
            Some(kept) => format!("limits what is kept: {kept}"),
            None => "lets all be kept from now on".to_owned(),
        }));
    }
    if changes.is_empty() {
        changes.push(style.dim("changed the room"));
    }
    changes.join("; ")
}

fn text(style: Style, what: &str, text: &str) -> String {
    if text.is_empty() {
        return style.dim(format!("took the {what} away"));
    }
    format!("{} {text}", style.dim(format!("set the {what}:")))
}

/// That a message was pinned, or its pin taken off.
pub(super) fn pinned(style: Style, seq: u64, pinned: bool, message: Option<&Entry>) -> String {
    let does = style.dim(if pinned { "pinned" } else { "unpinned" });
    let what = message.map_or_else(|| format!("[{seq}]"), messages::quote);
    format!("{does} {what}")
}

#[cfg(test)]
mod tests {
    use aside_client::Retention;

    use super::*;

    fn settings(name: &str, topic: &str, description: &str, invite_only: bool) -> RoomSettings {
        let [name, topic, description] = [name, topic, description].map(str::to_owned);
        RoomSettings { name, topic, description, invite_only, ..RoomSettings::default() }
    }

    #[test]
    fn what_was_changed_is_said_and_no_more() {
        let show = |now: &RoomSettings, before: Option<&RoomSettings>| {
            updated(Style::plain(), now, before)
        };
        let before = settings("den", "tea", "", false);
        let now = settings("den", "jam\nbob: hi", "", false);
        // One line, whatever the server lets through.
        assert_eq!(show(&now, Some(&before)), "set the topic: jam\u{fffd}bob: hi");
        let now = settings("cellar", "", "two\nlines", true);
        assert_eq!(
            show(&now, Some(&before)),
            "renamed the room to cellar; took the topic away; set the description: two\n    lines; \
             lets only those join who are invited (the server still reads it)"
        );
        // What was before is not kept: what holds is said.
        assert_eq!(show(&before, None), "set the topic: tea");
        assert_eq!(show(&settings("den", "", "", false), None), "changed the room");
        let retention = Retention { max_age_s: 0, max_entries: 1000 };
        let limited = RoomSettings { retention, ..before.clone() };
        let said = "limits what is kept: last 1000 entries kept";
        assert_eq!(show(&limited, Some(&before)), said);
        assert_eq!(show(&before, Some(&limited)), "lets all be kept from now on");
    }

    #[test]
    fn a_pin_names_its_message() {
        assert_eq!(pinned(Style::plain(), 7, true, None), "pinned [7]");
        assert_eq!(pinned(Style::plain(), 7, false, None), "unpinned [7]");
    }
}
