//! How private conversations stand.

use aside_client::{
    Client, Error, Kind, Role,
    display::neutralise_line,
    private::{Health, Reason, Repair},
};
use serde_json::{Value, json};

use super::{
    Style,
    private::{leaves_behind, stranger},
    role_name,
};

/// Hex digits of a fork check that are shown together.
const DIGITS: usize = 4;

/// How a private conversation stands, with the names of those it names.
pub(crate) async fn health(
    client: &Client,
    (kind, name): (Kind, &str),
    health: &Health,
    style: Style,
) -> Result<String, Error> {
    let mut lines = Vec::new();
    let (devices, members) = (health.leaves.len(), health.members.len());
    lines.push(format!(
        "{}  {}",
        style.bold(style.place(kind, name)),
        style.dim(format!("{}, {}", count(members, "member"), count(devices, "device")))
    ));
    let standing = match (health.at, health.epoch) {
        (None, _) => "the group has not begun: it does with the first message".to_owned(),
        (Some((generation, at)), Some(epoch)) if at == epoch => {
            format!("generation {generation}, epoch {epoch}: this device is up to date")
        }
        (Some((generation, at)), Some(epoch)) => format!(
            "generation {generation}, epoch {at}: this device is behind, at {epoch}, and catches up by itself"
        ),
        (Some((generation, at)), None) => {
            format!("generation {generation}, epoch {at}: this device is NOT in the group")
        }
    };
    lines.push(format!("  {standing}"));
    for (user, role) in &health.members {
        let person = client.person(*user).await?;
        let devices = health.leaves.iter().filter(|leaf| leaf.user == *user).count();
        let role = Role::of(*role).map_or("", role_name);
        lines.push(format!(
            "  {}  {}",
            style.person(&person),
            style.dim(format!("{role}, {}", count(devices, "device")))
        ));
    }
    for leaf in &health.cut_off {
        let person = client.person(leaf.user).await?;
        lines.push(format!("  a device of {} is about to be removed", style.person(&person)));
    }
    if let Some(check) = &health.fork_check {
        lines.push(format!("  {} {}", style.dim("fork check"), digits(check)));
        lines.push(style.dim("    the same on all devices of all members, if the server shows all the same: compare it by another way"));
    }
    if let Some(epoch) = health.forked_at {
        let text = format!("  members were in different states at epoch {epoch}: /rejoin");
        lines.push(style.warning(text));
    }
    for (seq, by) in &health.diverged {
        let by = client.person(by.user).await?.to_string();
        let by = neutralise_line(&by);
        lines.push(style.warning(format!(
            "  a device of {by} had seen another history at entry {seq}: ask {by} by another way what was said before it"
        )));
    }
    if let Some((why, seq)) = health.last_repair {
        lines.push(format!("  repaired by itself at entry {seq}: {why}"));
    }
    if let Some(user) = health.stranger {
        let who = client.person(user).await?.to_string();
        lines.push(style.warning(format!("  NOT SURE: {}", stranger(&neutralise_line(&who)))));
    } else if let Some((why, reason)) = health.broken {
        let is_there = health.at.is_some();
        lines.push(style.warning(broken(why, reason, is_there)));
    }
    if let Some((culprit, times)) = health.left_behind {
        let culprit = client.person(culprit.user).await?;
        lines.push(style.warning(format!("  {}", leaves_behind(&culprit, times))));
    }
    if health.waiting > 0 {
        lines.push(format!("  {} to be sent", count(health.waiting, "message waits")));
    }
    Ok(lines.join("\n"))
}

fn broken(why: Repair, reason: Reason, is_there: bool) -> String {
    if reason == Reason::NotAMember && !is_there {
        return "  NOT BEGUN: the server refuses it; it is tried again every minute".to_owned();
    }
    let helps = match reason {
        Reason::NotAMember => "somebody who is in it has to add you again",
        _ => "/rejoin tries again",
    };
    format!("  NOT REPAIRED: {why}; {reason}: {helps}")
}

/// How a private conversation stands, for programs.
pub(crate) fn health_json(health: &Health) -> Value {
    let leaf = |leaf: &aside_client::private::Owner| json!({"user_id": leaf.user.to_string(), "device_id": leaf.device.to_string()});
    json!({
        "generation": health.at.map(|(generation, _)| generation),
        "epoch": health.at.map(|(_, epoch)| epoch),
        "own_epoch": health.epoch,
        "suite": health.suite,
        "devices": health.leaves.iter().map(leaf).collect::<Vec<_>>(),
        "cut_off": health.cut_off.iter().map(leaf).collect::<Vec<_>>(),
        "members": health.members.iter().map(|(user, role)| json!({
            "user_id": user.to_string(),
            "role": Role::of(*role).map(role_name),
        })).collect::<Vec<_>>(),
        "fork_check": health.fork_check.map(|check| hex(&check)),
        "forked_at": health.forked_at,
        "diverged": health.diverged.iter().map(|(seq, by)| json!({"seq": seq, "by": leaf(by)})).collect::<Vec<_>>(),
        "last_repair": health.last_repair.map(|(why, seq)| json!({"why": why.to_string(), "seq": seq})),
        "broken": health.broken.map(|(why, reason)| json!({"why": why.to_string(), "reason": reason.to_string()})),
        "left_behind": health.left_behind.map(|(culprit, times)| json!({"by": leaf(&culprit), "times": times})),
        "stranger": health.stranger.map(|user| user.to_string()),
        "waiting": health.waiting,
    })
}

/// So many of what is called so, as one is.
pub(super) fn count(number: usize, what: &str) -> String {
    match (number, what) {
        (1, what) => format!("1 {what}"),
        (number, "message waits") => format!("{number} messages wait"),
        (number, what) => format!("{number} {what}s"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// In groups, so that they can be read aloud.
fn digits(bytes: &[u8]) -> String {
    let digits = hex(bytes);
    let groups: Vec<_> =
        (0..digits.len()).step_by(DIGITS).filter_map(|at| digits.get(at..at + DIGITS)).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use aside_client::{DeviceId, UserId, private::Owner};

    use super::*;

    fn owner(user: u8) -> Owner {
        Owner { user: UserId::new([user; 16]), device: DeviceId::new([user; 16]) }
    }

    fn healthy() -> Health {
        Health {
            at: Some((0, 3)),
            epoch: Some(3),
            suite: Some(2),
            leaves: vec![owner(1), owner(2)],
            is_tree_unproven: false,
            cut_off: [].into(),
            members: vec![],
            fork_check: None,
            forked_at: None,
            diverged: Vec::new(),
            last_repair: None,
            broken: None,
            left_behind: None,
            led_by: None,
            stranger: None,
            waiting: 0,
        }
    }

    // cites: MLS-044, MLS-049
    #[test]
    fn programs_are_told_who_leaves_this_device_behind_and_who_leads_it() {
        let (left_behind, stranger) = (Some((owner(2), 4)), Some(owner(3).user));
        let shown = health_json(&Health { left_behind, stranger, ..healthy() });
        assert_eq!(shown["left_behind"]["times"], 4);
        assert_eq!(shown["left_behind"]["by"]["user_id"], owner(2).user.to_string());
        assert_eq!(shown["stranger"], owner(3).user.to_string());
        let shown = health_json(&healthy());
        assert_eq!((&shown["left_behind"], &shown["stranger"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn what_is_not_begun_is_told_from_what_is_not_repaired() {
        let of = |is_there| broken(Repair::NewDevice, Reason::NotAMember, is_there);
        assert!(of(false).contains("NOT BEGUN: the server refuses it"));
        assert!(of(true).contains("NOT REPAIRED") && of(true).contains("has to add you again"));
    }

    #[test]
    fn a_number_to_compare_is_in_groups() {
        assert_eq!(digits(&[0x1f, 0x3a, 0, 0xff]), "1f3a 00ff");
    }
}
