//! What holds on every connection, whatever the script: order and number of replies, pushes without holes, the form
//! of errors.

use std::collections::{BTreeMap, VecDeque};

use crate::{proto, value::Val, view};

/// A requirement that a server broke, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) requirement: &'static str,
    pub(crate) what: String,
}

fn violation(requirement: &'static str, what: impl Into<String>) -> Violation {
    Violation { requirement, what: what.into() }
}

/// Events that may be left out, and that nothing hangs on.
const HINTS: [&str; 10] = [
    "watermark_moved",
    "invitation",
    "presence_changed",
    "typing_changed",
    "notice",
    "device_log_changed",
    "key_packages_low",
    "inbox_item",
    "fork_check_mismatch",
    "relay_received",
];

/// What is known of one connection.
#[derive(Default)]
pub(crate) struct Watch {
    /// Requests without a reply, and whether each is a Ping.
    pending: VecDeque<(u64, bool)>,
    /// Bytes were sent that may hold requests unknown to us.
    pub(crate) raw_sent: bool,
    /// Of each conversation, the seq pushed last and the head_seq of a Gap since.
    pushed: BTreeMap<Vec<u8>, (i128, Option<i128>)>,
    /// An error of scope connection came.
    closing: bool,
}

impl Watch {
    /// A request was sent.
    pub(crate) fn sent(&mut self, id: u64, is_ping: bool) {
        if id != 0 {
            self.pending.push_back((id, is_ping));
        }
    }

    /// A frame came, to a connection of this user and device.
    pub(crate) fn came(
        &mut self,
        frame: &Val,
        user_id: Option<&[u8]>,
        device_id: Option<&[u8]>,
    ) -> Option<Violation> {
        if self.closing {
            return Some(violation("ERR-003", "a frame came after an error of scope connection"));
        }
        let Val::Map(fields) = frame else { return None };
        let reply_to = frame.field("reply_to").and_then(Val::as_int).unwrap_or(0);
        let Some((kind, body)) = fields.iter().find(|(name, _)| name != "reply_to") else {
            // Unknown events are allowed (REQ-010); unknown replies are looked at as replies.
            return (reply_to != 0).then(|| self.reply(reply_to, "nothing")).flatten();
        };
        let error = if kind == "error" { self.error(body, reply_to) } else { None };
        let order = match (reply_to, kind.as_str()) {
            (0, "entry_appended") => self.push(body, user_id, device_id),
            (0, "gap") => self.gap(body),
            (0, "error") => None,
            (0, hint) if HINTS.contains(&hint) => None,
            (0, other) => {
                Some(violation("REQ-003", format!("{other} came as an event (reply_to 0)")))
            }
            (_, kind) if kind == "entry_appended" || kind == "gap" || HINTS.contains(&kind) => {
                Some(violation("REQ-003", format!("{kind} came as a reply to request {reply_to}")))
            }
            (_, kind) => self.reply(reply_to, kind),
        };
        error.or(order)
    }

    fn reply(&mut self, reply_to: i128, kind: &str) -> Option<Violation> {
        let is_it = |&(id, _): &(u64, bool)| i128::from(id) == reply_to;
        let Some(place) = self.pending.iter().position(is_it) else {
            return (!self.raw_sent).then(|| {
                violation(
                    "REQ-003",
                    format!("a reply came to request {reply_to}, which waits for none"),
                )
            });
        };
        let (_, is_ping) = self.pending[place];
        let overtaken = self.pending.iter().take(place).find(|(_, is_ping)| !is_ping).copied();
        self.pending.remove(place);
        match overtaken {
            Some((earlier, _)) if !is_ping && !self.raw_sent => Some(violation(
                "REQ-004",
                format!(
                    "the reply ({kind}) to request {reply_to} came before that to request {earlier}"
                ),
            )),
            _ => None,
        }
    }

    fn push(
        &mut self,
        body: &Val,
        user_id: Option<&[u8]>,
        device_id: Option<&[u8]>,
    ) -> Option<Violation> {
        let entry = body.field("entry")?;
        let bytes = |name| entry.field(name).and_then(Val::as_bytes);
        let seq = entry.field("seq").and_then(Val::as_int).unwrap_or(0);
        let Some(conversation) = bytes("conversation_id").filter(|id| id.len() == 16) else {
            return Some(violation(
                "LOG-004",
                "an entry was pushed whose header does not name its conversation",
            ));
        };
        let before = self.pushed.insert(conversation.to_vec(), (seq, None));
        let joins = entry.field("kind").and_then(Val::as_int) == Some(3)
            && user_id.is_some()
            && bytes("sender_user_id") == user_id
            || device_id.is_some_and(|device| lets_in(entry, device));
        match before {
            Some((last, _)) if seq <= last => Some(violation(
                "PUSH-001",
                format!("the entry with seq {seq} was pushed after that with seq {last}"),
            )),
            // Whoever left and joined again has a hole in between, and so has a leaf that was removed and comes again (PRIV-008).
            Some((last, None)) if seq > last + 1 && !joins => Some(violation(
                "PUSH-003",
                format!(
                    "the entry with seq {seq} was pushed after that with seq {last}, without a Gap"
                ),
            )),
            Some((last, Some(gap))) if seq > last + 1 && seq - 1 > gap && !joins => {
                Some(violation(
                    "PUSH-004",
                    format!("after a Gap up to {gap}, the entry with seq {seq} was pushed"),
                ))
            }
            _ => None,
        }
    }

    fn gap(&mut self, body: &Val) -> Option<Violation> {
        let conversation = body.field("conversation_id").and_then(Val::as_bytes)?.to_vec();
        let head = body.field("head_seq").and_then(Val::as_int).unwrap_or(0);
        let state = self.pushed.entry(conversation).or_insert((0, None));
        state.1 = Some(head.max(state.1.unwrap_or(0)));
        None
    }

    fn error(&mut self, error: &Val, reply_to: i128) -> Option<Violation> {
        let number = |name| error.field(name).and_then(Val::as_int).unwrap_or(0);
        let code = i32::try_from(number("code")).unwrap_or(0);
        self.closing = (1..100).contains(&code);
        let name = proto::error_name(code);
        let rule = proto::error(code);
        if rule.is_none() {
            return Some(violation("EXT-001", format!("an error came with {name}")));
        }
        if !self.closing && reply_to == 0 {
            return Some(violation("ERR-002", format!("{name} came with reply_to 0")));
        }
        if rule.is_some_and(|rule| rule.retryable == "after") && number("retry_after_ms") < 1 {
            return Some(violation("ERR-004", format!("{name} came without retry_after_ms")));
        }
        let message = error.field("message").and_then(Val::as_text).unwrap_or_default();
        if message.len() > 256 {
            return Some(violation(
                "ERR-005",
                format!("{name} came with a message of {} bytes", message.len()),
            ));
        }
        let field = error.field("field").and_then(Val::as_text).unwrap_or_default();
        if proto::error_code("INVALID_ARGUMENT") == Some(code) && field.is_empty() {
            return Some(violation("ERR-006", format!("{name} came without field")));
        }
        None
    }
}

/// Whether an entry makes a device a leaf.
fn lets_in(entry: &Val, device_id: &[u8]) -> bool {
    let body = entry.field("body").cloned().unwrap_or(Val::Null);
    let header = body.field("header").and_then(Val::as_bytes).unwrap_or_default();
    let is = |kind: &str| entry.field("kind") == Some(&Val::from(kind));
    let (of, leaves) = match () {
        () if is("COMMIT") => {
            (view::decode(&proto::message("CommitHeader"), header).unwrap_or(Val::Null), "added")
        }
        () if is("GROUP_ESTABLISHED") => (body, "leaves"),
        () => return false,
    };
    let leaves = of.field(leaves).and_then(Val::as_list).unwrap_or_default();
    leaves.iter().any(|leaf| leaf.field("device_id").and_then(Val::as_bytes) == Some(device_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::record;

    fn reply(id: i128, kind: &str) -> Val {
        record([("reply_to", Val::Int(id)), (kind, record([]))])
    }

    fn entry(seq: i128) -> Val {
        let entry = record([
            ("conversation_id", Val::Bytes(vec![1; 16])),
            ("seq", Val::Int(seq)),
            ("kind", Val::Int(1)),
        ]);
        record([("reply_to", Val::Int(0)), ("entry_appended", record([("entry", entry)]))])
    }

    /// A group begun with this device.
    fn begun_with(device_id: &[u8], seq: i128) -> Val {
        let leaf =
            record([("user_id", Val::Bytes(vec![2; 16])), ("device_id", Val::from(device_id))]);
        let entry = record([
            ("conversation_id", Val::Bytes(vec![1; 16])),
            ("seq", Val::Int(seq)),
            ("kind", Val::Enum(12, proto::enumeration("EntryKind"))),
            ("body", record([("leaves", Val::List(vec![leaf]))])),
        ]);
        record([("reply_to", Val::Int(0)), ("entry_appended", record([("entry", entry)]))])
    }

    fn requirement(found: Option<Violation>) -> &'static str {
        found.map_or("", |found| found.requirement)
    }

    // cites: REQ-003, REQ-004
    #[test]
    fn replies_come_once_and_in_order() {
        let mut watch = Watch::default();
        for (id, is_ping) in [(1, false), (2, true), (3, false)] {
            watch.sent(id, is_ping);
        }
        assert_eq!(watch.came(&reply(2, "pong"), None, None), None);
        assert_eq!(watch.came(&reply(1, "left"), None, None), None);
        assert_eq!(requirement(watch.came(&reply(1, "left"), None, None)), "REQ-003");
        watch.sent(4, false);
        assert_eq!(requirement(watch.came(&reply(4, "left"), None, None)), "REQ-004");
        assert_eq!(requirement(watch.came(&reply(0, "left"), None, None)), "REQ-003");
    }

    // cites: PUSH-001, PUSH-003, PUSH-004
    #[test]
    fn pushes_have_no_holes_but_for_gaps() {
        let gap = |head| {
            let body = record([
                ("conversation_id", Val::Bytes(vec![1; 16])),
                ("head_seq", Val::Int(head)),
            ]);
            record([("reply_to", Val::Int(0)), ("gap", body)])
        };
        let mut watch = Watch::default();
        assert_eq!(watch.came(&entry(5), None, None), None);
        assert_eq!(watch.came(&entry(6), None, None), None);
        assert_eq!(requirement(watch.came(&entry(6), None, None)), "PUSH-001");
        assert_eq!(requirement(watch.came(&entry(8), None, None)), "PUSH-003");
        assert_eq!(watch.came(&gap(10), None, None), None);
        assert_eq!(watch.came(&entry(11), None, None), None);
        assert_eq!(watch.came(&gap(12), None, None), None);
        assert_eq!(requirement(watch.came(&entry(14), None, None)), "PUSH-004");
    }

    // cites: ERR-002, ERR-003, ERR-004, ERR-005, ERR-006
    #[test]
    fn errors_have_their_form() {
        let error = |code: i128, reply_to: i128, fields: [(&str, Val); 1]| {
            let [extra] = fields;
            let body = record([("code", Val::Int(code)), extra]);
            record([("reply_to", Val::Int(reply_to)), ("error", body)])
        };
        let judge = |frame: &Val| {
            let mut watch = Watch { raw_sent: true, ..Watch::default() };
            requirement(watch.came(frame, None, None))
        };
        assert_eq!(judge(&error(100, 1, [("message", "x".into())])), "");
        assert_eq!(judge(&error(100, 0, [("message", "x".into())])), "ERR-002");
        assert_eq!(judge(&error(100, 1, [("message", Val::Text("x".repeat(257)))])), "ERR-005");
        assert_eq!(judge(&error(103, 1, [("message", "x".into())])), "ERR-004");
        assert_eq!(judge(&error(103, 1, [("retry_after_ms", Val::Int(1))])), "");
        assert_eq!(judge(&error(102, 1, [("message", "x".into())])), "ERR-006");
        assert_eq!(judge(&error(799, 1, [("message", "x".into())])), "EXT-001");
        let mut watch = Watch::default();
        assert_eq!(watch.came(&error(1, 0, [("message", "x".into())]), None, None), None);
        assert_eq!(requirement(watch.came(&entry(1), None, None)), "ERR-003");
    }

    // cites: PRIV-008
    #[test]
    fn a_leaf_that_comes_again_has_a_hole_before_it() {
        let mut watch = Watch::default();
        let came =
            |watch: &mut Watch, frame: &Val| watch.came(frame, Some(&[2; 16]), Some(&[3; 16]));
        assert_eq!(came(&mut watch, &entry(3)), None);
        assert_eq!(came(&mut watch, &begun_with(&[3; 16], 7)), None);
        assert_eq!(requirement(came(&mut watch, &begun_with(&[4; 16], 9))), "PUSH-003");
    }
}
