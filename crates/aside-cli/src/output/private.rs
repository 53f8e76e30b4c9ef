//! Private conversations: what happens in them, what can't be read, and what must be seen.

use aside_client::{
    Kind, Person, What,
    display::neutralise_line,
    private::{Event, How, Reason, Unreadable},
    v1,
};
use serde_json::{Value, json};

use super::{Style, person, role_name, standing::count, title};

/// What happened to a private conversation by an entry, after the name of who did it; nothing for what is no such thing.
pub(super) fn change(style: Style, what: &What) -> String {
    match what {
        What::GroupBegun { leaves, culprit: None } => {
            format!("{} {}", style.dim("began the encrypted group with"), names(style, leaves))
        }
        What::GroupBegun { leaves, culprit: Some(culprit) } => format!(
            "{} {}{}",
            style.dim("began the encrypted group anew with"),
            names(style, leaves),
            style.dim(format!(
                ", without the device of {} whose change could not be followed",
                neutralise_line(&culprit.to_string())
            ))
        ),
        What::MembersChanged { external: true, removed, .. } if !removed.is_empty() => {
            style.dim("came in anew with a device that was in the group")
        }
        What::MembersChanged { external: true, .. } => {
            style.dim("came in with a device that was not in the group")
        }
        What::MembersChanged { added, removed, cut_off, external: false } => {
            let mut changes = Vec::new();
            if !added.is_empty() {
                changes.push(format!("{} {}", style.dim("added"), names(style, added)));
            }
            let put_out: Vec<_> =
                removed.iter().filter(|who| !cut_off.contains(who)).cloned().collect();
            if !put_out.is_empty() {
                changes.push(format!("{} {}", style.dim("removed"), names(style, &put_out)));
            }
            if !cut_off.is_empty() {
                let words = style.dim("renewed keys without devices that are gone, of");
                changes.push(format!("{words} {}", names(style, cut_off)));
            }
            if changes.is_empty() {
                changes.push(style.dim("renewed keys"));
            }
            changes.join("; ")
        }
        What::RemovalPending { left: true, .. } => style.dim("left; keys are renewed without that"),
        What::RemovalPending { who, left: false } => format!(
            "{} {}{}",
            style.dim("has revoked a device:"),
            style.person(who),
            style.dim(" gets nothing more on it")
        ),
        What::RoleChanged { who, role } => {
            let role = role.map_or("something that this version does not know", role_name);
            format!("{} {} {}", style.dim("made"), style.person(who), style.dim(role))
        }
        What::CommitRejected { seq } => {
            style.warning(format!("(a device can't follow the change in entry {seq})"))
        }
        _ => String::new(),
    }
}

fn names(style: Style, people: &[Person]) -> String {
    people.iter().map(|person| style.person(person)).collect::<Vec<_>>().join(", ")
}

/// That a message can't be read, why, and what helps.
pub(crate) fn unreadable(why: Unreadable, by: &str) -> String {
    let helps = match why {
        Unreadable::NotHere => "another device of yours may have it".to_owned(),
        Unreadable::Lost => "this device joins anew by itself before it says anything".to_owned(),
        Unreadable::Refused(Reason::HeaderMismatch | Reason::SenderMismatch) => {
            format!(
                "a device of {by}, or the server, says of it what is not so: ask {by} by another way"
            )
        }
        Unreadable::Refused(_) => "/health says how it stands; if it stays so, /rejoin".to_owned(),
        Unreadable::Damaged => format!("ask {by} to say it again"),
        Unreadable::LogDiverges | Unreadable::LogHeldBack => {
            format!("compare the safety number by another way: /verify {by}")
        }
    };
    format!("(CAN'T BE READ: {why}; {helps})")
}

/// For programs: why a message can't be read.
fn unreadable_code(why: Unreadable) -> &'static str {
    match why {
        Unreadable::NotHere => "not_here",
        Unreadable::Lost => "lost",
        Unreadable::Refused(_) => "refused",
        Unreadable::Damaged => "damaged",
        Unreadable::LogDiverges => "log_diverges",
        Unreadable::LogHeldBack => "log_held_back",
    }
}

/// What an entry of a private conversation records, for programs.
pub(super) fn as_json(what: &What) -> Value {
    let people = |people: &[Person]| people.iter().map(person).collect::<Vec<_>>();
    match what {
        What::Unreadable { message_id, why } => json!({
            "kind": "unreadable",
            "message_id": message_id.to_string(),
            "why": unreadable_code(*why),
            "reason": why.to_string(),
        }),
        What::GroupBegun { leaves, culprit } => json!({
            "kind": "group_begun",
            "members": people(leaves),
            "culprit": culprit.as_ref().map(person),
        }),
        What::MembersChanged { added, removed, cut_off, external } => json!({
            "kind": "members_changed",
            "added": people(added),
            "removed": people(removed),
            "cut_off": people(cut_off),
            "external": external,
        }),
        What::RemovalPending { who, left } => {
            json!({"kind": "removal_pending", "who": person(who), "left": left})
        }
        What::RoleChanged { who, role } => {
            json!({"kind": "role_changed", "who": person(who), "role": role.map(role_name)})
        }
        What::CommitRejected { seq } => json!({"kind": "commit_rejected", "of": seq}),
        _ => json!({"kind": "unknown"}),
    }
}

/// What there is to tell of a private conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// A sentence or more, neutralised.
    pub(crate) text: String,
    /// Whether it must be seen.
    pub(crate) warning: bool,
}

/// What happened in a private conversation, beside what its entries say: whom it is about, and what the user can do. None of what
/// is shown otherwise. `left_behind` is who keeps leaving this device behind, and how often that was.
pub(crate) fn told(
    (kind, room): (Kind, &str),
    event: &Event,
    people: &[Person],
    left_behind: Option<&(Person, u32)>,
) -> Option<Told> {
    let room = title(kind, room);
    let name = |at: usize| {
        let name = people.get(at).map_or("somebody".to_owned(), ToString::to_string);
        neutralise_line(&name).into_owned()
    };
    let notice = |text: String| Some(Told { text, warning: false });
    let warning =
        |text: String| Some(Told { text: format!("WARNING: {room}: {text}"), warning: true });
    match event {
        Event::Waiting { why, .. } => {
            let text = no_device(&name(0), *why);
            notice(format!("{room}: {text}; what you say is sent when that is so no more"))
        }
        Event::Joined { how: How::Began } => None,
        Event::Joined { how: How::Welcomed } => notice(format!(
            "you are in {room}, which is private: what is said there its members alone can read"
        )),
        Event::Joined { how: How::Came(why) } => notice(format!(
            "this device has come into {room} ({why}): what was said there before can't be read on it unless it was read already"
        )),
        Event::CommitRefused { seq, reason, .. } => {
            let by = name(0);
            warning(format!(
                "{} The change is entry {seq}, made by a device of {by}. All are told, nothing more is sent, and an owner's device begins the group anew without that device, by itself. Ask {by} by another way what happened.",
                refused(&by, *reason, &suspects(people.get(1..)))
            ))
        }
        Event::CommitRejected { seq, maker, code, .. } => {
            let (maker, by) = match maker {
                Some(_) => (name(0), name(1)),
                None => ("somebody".to_owned(), name(0)),
            };
            warning(format!(
                "a device of {by} can't follow the change that a device of {maker} made in entry {seq}: {}. If an owner's device finds the same, it begins the group anew without the device of {maker}, by itself.",
                rejected(*code)
            ))
        }
        Event::Reset { culprit, .. } => {
            let without = match culprit {
                Some(_) => format!(" without a device of {}", name(1)),
                None => String::new(),
            };
            notice(format!(
                "{room}: {} has begun the group anew{without}; what was said stays readable, and there is nothing to do",
                name(0)
            ))
        }
        Event::Removed { by: Some(_) } => warning(format!(
            "{} has removed this device: what is said there from now on it can't read. If that is a mistake, ask {} to add you again.",
            name(0),
            name(0)
        )),
        Event::Removed { by: None } => notice(format!("this device is in {room} no longer")),
        Event::RepairFailed { why, reason, .. } => {
            if let Some((culprit, times)) = left_behind {
                return warning(leaves_behind(culprit, *times));
            }
            if *reason == Reason::Stranger {
                return warning(stranger(&name(0)));
            }
            let because = match people {
                [] => reason.to_string(),
                people => suspects(Some(people)),
            };
            warning(format!(
                "{why}; it was tried to repair that, and it did not work: {} /rejoin tries again; if that fails too, have somebody \
                 remove you and add you again.",
                ended(&because)
            ))
        }
        Event::ForkFound { epoch } => warning(format!(
            "members see different states of the group at epoch {epoch}: the server may show each another history. /health shows the number to compare with the others by another way; /rejoin takes this device to what the server shows now."
        )),
        Event::HistoryDiverges { seq, .. } => {
            let by = name(0);
            warning(format!(
                "the device of {by} that made entry {seq} has seen another history of {room} than this device: the server shows you and {by} different things, or that device does not say the truth. Ask {by} by another way what was said last before it, and the server's operator what happened."
            ))
        }
        Event::DeviceLeftOut { .. } => {
            let of = name(0);
            warning(format!(
                "the server says that {of} has another device, and {of} has not approved it: the server may have made it up. It is left out, and reads nothing; what you say goes to {of}'s own devices. Ask the server's operator what happened."
            ))
        }
        Event::SenderDoubted { seq, .. } => warning(format!(
            "message [{seq}] is not shown: the device log that {} goes by is not the one that the server shows you. One of you is shown a false one. Compare the safety number by another way: /verify {}.",
            name(0),
            name(0)
        )),
        Event::Contradiction { seq, what } => warning(format!(
            "the server contradicts itself in entry {seq} ({what}). Nothing more of it is taken in or sent. Ask the others by another way, and the server's operator what happened; /forget takes it up anew."
        )),
        // Shown as entries, or by the state of a message.
        Event::Read
        | Event::Sent { .. }
        | Event::Failed { .. }
        | Event::Done { .. }
        | Event::Named { .. } => None,
    }
}

/// That the group goes on by somebody whom this device does not know there (MLS-049).
pub(super) fn stranger(who: &str) -> String {
    format!(
        "the group goes on by a device of {who}, and when this device was in it {who} was not: the server may have put {who} there. Nothing \
         is sent before you have asked those whom you know there, by another way, who is in it; if {who} belongs there, and the safety number is right (/verify {who}), /rejoin {who} goes on with them."
    )
}

/// That a member's changes leave this device behind again and again (MLS-044).
pub(super) fn leaves_behind(culprit: &Person, times: u32) -> String {
    let by = culprit.to_string();
    let by = neutralise_line(&by);
    format!(
        "changes by a device of {by}, which this device can't follow, have left it behind {}. It comes in, or begins the group anew, by \
         itself, but only after a while: a minute at first, an hour at most; /rejoin does it at once. Ask {by} by another way what \
         happened; if it goes on, an admin can remove {by}.",
        count(times as usize, "time")
    )
}

/// Why this device refuses a change.
fn refused(by: &str, reason: Reason, suspects: &str) -> String {
    match reason {
        Reason::CredentialRefused => {
            format!("{suspects} The change was not followed, so that it reads nothing.")
        }
        Reason::ClaimMismatch | Reason::HeaderMismatch | Reason::SenderMismatch => {
            format!(
                "a device of {by} said that it changes one thing, and changed another; it was not followed."
            )
        }
        reason => format!("a device of {by} made a change that can't be followed ({reason})."),
    }
}

/// That devices are none of those that the users they are said to be of have approved.
fn suspects(people: Option<&[Person]>) -> String {
    let mut names = people.unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>();
    names.dedup();
    match &names[..] {
        [] => {
            "a device was to be let in, or to be kept, that its user has never approved.".to_owned()
        }
        names => {
            let names = neutralise_line(&names.join(" and ")).into_owned();
            format!(
                "a device is said to be of {names}, who has never approved it: the server may have made it up."
            )
        }
    }
}

fn rejected(code: v1::RejectCode) -> &'static str {
    match code {
        v1::RejectCode::HeaderMismatch => "it does something else than it says",
        v1::RejectCode::CredentialRefused => "it adds a device that its user has not approved",
        v1::RejectCode::WelcomeInvalid => "the invitation that came with it leads nowhere",
        v1::RejectCode::Invalid | v1::RejectCode::Unspecified => "it is no change that can be made",
    }
}

/// With a full stop.
fn ended(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

/// Why there is nobody to encrypt to.
pub(crate) fn no_device(handle: &str, why: v1::NoKeyPackage) -> String {
    match why {
        v1::NoKeyPackage::NoSuchUser => format!("there is no {handle} any more"),
        v1::NoKeyPackage::NoApprovedDevice | v1::NoKeyPackage::NotApproved => {
            format!("{handle} has no approved device yet: `aside recovery new` makes the first one")
        }
        v1::NoKeyPackage::Exhausted => {
            format!("the devices of {handle} have left no keys; they do when they are online")
        }
        v1::NoKeyPackage::TooManyClaims => {
            format!("so many keys of {handle} were asked for that it has to wait a little")
        }
        v1::NoKeyPackage::NoRoom | v1::NoKeyPackage::Unspecified => {
            format!("no device of {handle} can be added now")
        }
    }
}

#[cfg(test)]
mod tests {
    use aside_client::{
        DeviceId, UserId,
        private::{Owner, Repair},
    };

    use super::*;

    fn owner(user: u8) -> Owner {
        Owner { user: UserId::new([user; 16]), device: DeviceId::new([user; 16]) }
    }

    fn person(user: u8, handle: &str) -> Person {
        Person { user: UserId::new([user; 16]), handle: Some(handle.to_owned()) }
    }

    fn said(event: &Event, people: &[Person]) -> String {
        let told = told((Kind::Group, "tea"), event, people, None).unwrap();
        assert_eq!(told.warning, told.text.starts_with("WARNING: tea: "), "{}", told.text);
        told.text
    }

    #[test]
    fn a_warning_names_who_it_is_about_and_what_to_do() {
        let (alice, mallory) = (person(1, "alice"), person(2, "mallory\u{202e}"));
        let refused =
            |reason| Event::CommitRefused { seq: 7, by: owner(2), reason, suspects: vec![] };
        let people = [mallory.clone(), alice.clone()];
        let text = said(&refused(Reason::CredentialRefused), &people);
        assert!(text.contains("said to be of alice, who has never approved it"), "{text}");
        assert!(text.contains("entry 7"), "{text}");
        assert!(text.contains("Ask mallory") && !text.contains('\u{202e}'), "{text}");
        let text = said(&refused(Reason::ClaimMismatch), std::slice::from_ref(&mallory));
        assert!(text.contains("said that it changes one thing, and changed another"), "{text}");
        let rejected = Event::CommitRejected {
            seq: 7,
            maker: Some(owner(2)),
            by: owner(1),
            code: v1::RejectCode::Invalid,
        };
        let text = said(&rejected, &[mallory.clone(), alice.clone()]);
        assert!(text.contains("device of alice can't follow"), "{text}");
        let reset = Event::Reset { by: owner(1), culprit: Some(owner(2)) };
        let text = said(&reset, &[alice, mallory.clone()]);
        assert!(
            text.contains("alice has begun the group anew without a device of mallory"),
            "{text}"
        );
        assert!(said(&Event::ForkFound { epoch: 9 }, &[]).contains("/rejoin"));
        let failed = Event::RepairFailed {
            why: Repair::StateLost,
            reason: Reason::Invalid,
            suspects: vec![],
        };
        assert!(said(&failed, &[]).contains("/rejoin tries again"));
        let (why, reason, suspects) = (Repair::NoWelcome, Reason::Stranger, vec![owner(2)]);
        let led = Event::RepairFailed { why, reason, suspects };
        let text = said(&led, std::slice::from_ref(&mallory));
        assert!(text.contains("a device of mallory") && text.contains("by another way"), "{text}");
        let doubted = Event::SenderDoubted { seq: 4, sender: owner(2) };
        assert!(said(&doubted, std::slice::from_ref(&mallory)).contains("/verify mallory"));
        let text = said(&Event::DeviceLeftOut { device: owner(2) }, &[mallory]);
        assert!(
            text.contains("has another device, and mallory") && text.contains("left out"),
            "{text}"
        );
    }

    // cites: MLS-044
    #[test]
    fn who_leaves_this_device_behind_is_named() {
        let (why, reason, suspects) = (Repair::Behind, Reason::Invalid, vec![]);
        let failed = Event::RepairFailed { why, reason, suspects };
        let culprit = (person(2, "mallory\u{202e}"), 4);
        let text = told((Kind::Group, "tea"), &failed, &[], Some(&culprit)).unwrap().text;
        assert!(text.starts_with("WARNING: tea: changes by a device of mallory"), "{text}");
        assert!(text.contains("left it behind 4 times") && !text.contains('\u{202e}'), "{text}");
        assert!(!text.contains("remove you"), "{text}");
    }

    #[test]
    fn what_is_shown_otherwise_is_not_told() {
        assert_eq!(told((Kind::Group, "tea"), &Event::Read, &[], None), None);
        assert_eq!(told((Kind::Group, "tea"), &Event::Joined { how: How::Began }, &[], None), None);
    }

    #[test]
    fn what_cant_be_read_says_why_and_what_helps() {
        let text = unreadable(Unreadable::NotHere, "bob");
        assert_eq!(
            text,
            "(CAN'T BE READ: it was sent when this device was not in the conversation; another device of yours may have it)"
        );
        assert!(unreadable(Unreadable::Damaged, "bob").contains("ask bob"));
        assert!(unreadable(Unreadable::LogDiverges, "bob").contains("/verify bob"));
        let lie = unreadable(Unreadable::Refused(Reason::HeaderMismatch), "bob");
        assert!(lie.contains("a device of bob, or the server, says of it what is not so"), "{lie}");
        let refused = Unreadable::Refused(Reason::Tampered);
        assert!(unreadable(refused, "bob").contains("does not decrypt; /health"));
    }
}
