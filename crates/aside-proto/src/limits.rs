//! Bounds that the specification sets on the limits a server advertises, and the reference server's defaults.
//!
//! A server's own choice is [`v1::Limits`]; [`DEFAULT`] is the reference server's, and [`check`] holds any to the bounds.

use crate::v1;

/// FRAME-011: the least `max_frame_bytes_unauthenticated`.
pub const MIN_FRAME_BYTES_UNAUTHENTICATED: u32 = 16 * 1024;
/// FRAME-011: the least `max_frame_bytes`.
pub const MIN_FRAME_BYTES: u32 = 64 * 1024;
/// FRAME-010: the greatest frame a client takes.
pub const CLIENT_MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;
/// MSG-006: the least `max_payload_bytes`.
pub const MIN_PAYLOAD_BYTES: u32 = 16 * 1024;
/// MSG-006: what SendMessage adds to its payload in a frame, at most: ids, salt, signature, field keys and lengths.
pub const MESSAGE_OVERHEAD_BYTES: u32 = 512;
/// DEVLOG-012: what a DeviceLogs frame has room for besides an entry.
pub const DEVICE_LOGS_OVERHEAD_BYTES: u32 = 1024;
/// IDEM-005: the least `idempotency_window_s`, 30 days.
pub const MIN_IDEMPOTENCY_WINDOW_S: u64 = 30 * 24 * 3600;
/// IDEM-003: how far a key's time may be ahead of the server's clock.
pub const MAX_CLOCK_SKEW_MS: u64 = 24 * 3600 * 1000;
/// HELLO-012.
pub const MAX_VERSIONS: usize = 16;
/// HELLO-012.
pub const MAX_CAPABILITIES: usize = 64;
/// HELLO-012.
pub const MAX_CAPABILITY_BYTES: usize = 64;
/// HELLO-012: the length of a domain name.
pub const MAX_SERVER_NAME_BYTES: usize = 253;
/// HELLO-012.
pub const MAX_USER_AGENT_BYTES: usize = 64;
/// PING-003.
pub const MAX_PING_BYTES: usize = 64;
/// DEV-002.
pub const MAX_DEVICE_NAME_BYTES: usize = 64;
/// SUM-005: entries of kind MESSAGE that are looked at to count the unread ones.
pub const MAX_UNREAD: u32 = 1000;
/// ROOM-024.
pub const MAX_TOPIC_BYTES: usize = 256;
/// ROOM-024.
pub const MAX_DESCRIPTION_BYTES: usize = 2048;
/// INV-007: invitations by one user to another that may be open.
pub const MAX_INVITATIONS_BY_ONE: u32 = 10;
/// REDACT-018: the greatest `max_redactions`.
pub const MAX_REDACTIONS: u32 = 256;
/// PRES-002.
pub const MAX_STATUS_BYTES: usize = 128;
/// NOTE-001.
pub const MAX_NOTICE_BYTES: usize = 1024;
/// ROOM-019.
pub const MAX_PAGE_TOKEN_BYTES: usize = 64;
/// SEARCH-002.
pub const MAX_QUERY_BYTES: usize = 256;
/// SEARCH-017.
pub const MAX_QUERY_WORDS: usize = 16;
/// LIM-011: what a leaf adds to a frame that names it, at most: in a header, and where a Welcome is for it.
pub const LEAF_OVERHEAD_BYTES: u32 = 64;
/// LIM-011: what else is in such a frame, at most.
pub const COMMIT_OVERHEAD_BYTES: u32 = 1024;
/// RELAY-004: a certificate fits in (CERT-005), and what an approval says beside it.
pub const MAX_RELAY_BYTES: usize = 8 * 1024;
/// Bytes of a franking tag (DS-031), and of what is reported of an epoch (FORK-001).
pub const TAG_BYTES: usize = 32;
/// KP-013: cipher suites that a device has KeyPackages of: as many as a certificate has keys for.
pub const MAX_SUITES: u32 = 8;
/// INBOX-006: how long a Welcome waits.
pub const INBOX_DAYS: u64 = 90;
/// Bytes of a token's secret, and of its hash (TOKEN-002).
pub const TOKEN_BYTES: usize = 32;
/// ERR-005.
pub const MAX_ERROR_MESSAGE_BYTES: usize = 256;
/// AUTH-040: failed attempts a connection is allowed.
pub const MAX_FAILED_ATTEMPTS: u32 = 10;
/// Bytes of a nonce or a salt.
pub const NONCE_BYTES: usize = 32;
/// Bytes of a public key: a P-256 point, uncompressed.
pub const PUBLIC_KEY_BYTES: usize = 65;
/// Bytes of a signature: r, then s.
pub const SIGNATURE_BYTES: usize = 64;

/// What the reference server advertises unless it is told otherwise.
pub const DEFAULT: v1::Limits = v1::Limits {
    max_frame_bytes_unauthenticated: MIN_FRAME_BYTES_UNAUTHENTICATED,
    max_frame_bytes: 1024 * 1024,
    // Enough to fill a group commit from one connection, few enough to bound its memory.
    max_in_flight: 64,
    max_payload_bytes: 64 * 1024,
    max_fetch_entries: 512,
    max_page_items: 100,
    push_queue_bytes: 1024 * 1024,
    idle_timeout_ms: 5 * 60 * 1000,
    handshake_timeout_ms: 20 * 1000,
    device_expiry_s: 180 * 24 * 3600,
    idempotency_window_s: 45 * 24 * 3600,
    rename_cooldown_s: 3600,
    max_name_chars: 32,
    min_password_chars: 8,
    max_password_bytes: 256,
    max_rooms_per_user: 1000,
    max_devices_per_user: 32,
    // One mark costs as many pushes.
    max_live_members: 256,
    max_pins: 50,
    max_invitations_per_user: 100,
    max_invitations_per_room: 1000,
    // A message with its edits, or an evening of spam in a few requests.
    max_redactions: 64,
    // Longer than a client takes to come back by itself.
    presence_grace_ms: 10 * 1000,
    max_token_lifetime_s: 365 * 24 * 3600,
    max_tokens_per_user: 16,
    // A tree of so many leaves still fits into a frame.
    max_leaves: 1000,
    max_commit_bytes: 192 * 1024,
    max_welcome_bytes: 384 * 1024,
    max_group_info_bytes: 384 * 1024,
    max_key_packages: 100,
    max_key_package_bytes: 8 * 1024,
    key_packages_low: 20,
    // More than anybody is in; each costs little.
    max_groups_per_user: 4000,
};

const _: () = {
    assert!(DEFAULT.max_payload_bytes + MESSAGE_OVERHEAD_BYTES <= DEFAULT.max_frame_bytes);
    assert!(greatest_commit(&DEFAULT) <= DEFAULT.max_frame_bytes as u64);
    assert!(DEFAULT.key_packages_low <= DEFAULT.max_key_packages);
    assert!(DEFAULT.idempotency_window_s >= MIN_IDEMPOTENCY_WINDOW_S);
    assert!(DEFAULT.max_frame_bytes as usize <= CLIENT_MAX_FRAME_BYTES);
    assert!(DEFAULT.handshake_timeout_ms < DEFAULT.idle_timeout_ms);
    // A retry of the oldest key a client may hold still finds its reply: see IDEM-003 and IDEM-004.
    assert!(MAX_CLOCK_SKEW_MS / 1000 < MIN_IDEMPOTENCY_WINDOW_S);
};

/// A limit that the specification does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limit {name} must be {rule} ({requirement})")]
pub struct LimitError {
    /// The field of [`v1::Limits`].
    pub name: &'static str,
    /// What it must be.
    pub rule: &'static str,
    /// The requirement that says so.
    pub requirement: &'static str,
}

/// Checks limits against the bounds of the specification.
///
/// # Errors
/// The first limit that breaks one.
pub fn check(limits: &v1::Limits) -> Result<(), LimitError> {
    let l = limits;
    let rules = [
        (
            l.max_frame_bytes_unauthenticated >= MIN_FRAME_BYTES_UNAUTHENTICATED,
            "max_frame_bytes_unauthenticated",
            "at least 16384",
            "FRAME-011",
        ),
        (l.max_frame_bytes >= MIN_FRAME_BYTES, "max_frame_bytes", "at least 65536", "FRAME-011"),
        (
            l.max_frame_bytes as usize <= CLIENT_MAX_FRAME_BYTES,
            "max_frame_bytes",
            "at most 16777216",
            "FRAME-010",
        ),
        (
            l.max_payload_bytes >= MIN_PAYLOAD_BYTES,
            "max_payload_bytes",
            "at least 16384",
            "MSG-006",
        ),
        (
            l.max_payload_bytes.saturating_add(MESSAGE_OVERHEAD_BYTES) <= l.max_frame_bytes,
            "max_payload_bytes",
            "at least 512 below max_frame_bytes",
            "MSG-006",
        ),
        (
            l.idempotency_window_s >= MIN_IDEMPOTENCY_WINDOW_S,
            "idempotency_window_s",
            "at least 2592000",
            "IDEM-005",
        ),
        ((16..=64).contains(&l.max_name_chars), "max_name_chars", "16 to 64", "NAME-003"),
        (l.max_password_bytes >= 128, "max_password_bytes", "at least 128", "PASS-003"),
        (l.max_in_flight >= 1, "max_in_flight", "at least 1", "HELLO-011"),
        (l.max_fetch_entries >= 1, "max_fetch_entries", "at least 1", "HELLO-011"),
        (l.max_page_items >= 1, "max_page_items", "at least 1", "HELLO-011"),
        (l.push_queue_bytes >= 1, "push_queue_bytes", "at least 1", "HELLO-011"),
        (l.idle_timeout_ms >= 1, "idle_timeout_ms", "at least 1", "HELLO-011"),
        (l.handshake_timeout_ms >= 1, "handshake_timeout_ms", "at least 1", "HELLO-011"),
        (l.device_expiry_s >= 1, "device_expiry_s", "at least 1", "HELLO-011"),
        (l.rename_cooldown_s >= 1, "rename_cooldown_s", "at least 1", "HELLO-011"),
        (l.min_password_chars >= 1, "min_password_chars", "at least 1", "HELLO-011"),
        (l.max_rooms_per_user >= 1, "max_rooms_per_user", "at least 1", "HELLO-011"),
        (l.max_groups_per_user >= 1, "max_groups_per_user", "at least 1", "HELLO-011"),
        (l.max_devices_per_user >= 1, "max_devices_per_user", "at least 1", "HELLO-011"),
        (l.max_live_members >= 1, "max_live_members", "at least 1", "HELLO-011"),
        (l.max_pins >= 1, "max_pins", "at least 1", "HELLO-011"),
        (l.max_invitations_per_user >= 1, "max_invitations_per_user", "at least 1", "HELLO-011"),
        (l.max_invitations_per_room >= 1, "max_invitations_per_room", "at least 1", "HELLO-011"),
        (
            (1..=MAX_REDACTIONS).contains(&l.max_redactions),
            "max_redactions",
            "1 to 256",
            "REDACT-018",
        ),
        (l.max_leaves >= 2, "max_leaves", "at least 2", "LIM-011"),
        (l.max_commit_bytes >= 1, "max_commit_bytes", "at least 1", "HELLO-011"),
        (l.max_welcome_bytes >= 1, "max_welcome_bytes", "at least 1", "HELLO-011"),
        (
            greatest_commit(l) <= u64::from(l.max_frame_bytes),
            "max_group_info_bytes",
            "with max_commit_bytes, max_welcome_bytes, 64 for each of max_leaves and 1024 at most max_frame_bytes",
            "LIM-011",
        ),
        (l.max_group_info_bytes >= 1, "max_group_info_bytes", "at least 1", "HELLO-011"),
        (l.max_key_packages >= 1, "max_key_packages", "at least 1", "HELLO-011"),
        (l.max_key_package_bytes >= 1, "max_key_package_bytes", "at least 1", "HELLO-011"),
        (
            (1..=l.max_key_packages).contains(&l.key_packages_low),
            "key_packages_low",
            "1 to max_key_packages",
            "KP-012",
        ),
        (l.presence_grace_ms >= 1, "presence_grace_ms", "at least 1", "HELLO-011"),
        (l.max_token_lifetime_s >= 1, "max_token_lifetime_s", "at least 1", "HELLO-011"),
        (l.max_tokens_per_user >= 1, "max_tokens_per_user", "at least 1", "HELLO-011"),
    ];
    match rules.into_iter().find(|(holds, ..)| !holds) {
        None => Ok(()),
        Some((_, name, rule, requirement)) => Err(LimitError { name, rule, requirement }),
    }
}

/// The frame of the greatest SubmitCommit, at most.
const fn greatest_commit(l: &v1::Limits) -> u64 {
    l.max_commit_bytes as u64
        + l.max_welcome_bytes as u64
        + l.max_group_info_bytes as u64
        + l.max_leaves as u64 * LEAF_OVERHEAD_BYTES as u64
        + COMMIT_OVERHEAD_BYTES as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: HELLO-011, MSG-006, LIM-011
    #[test]
    fn the_defaults_hold_and_breaches_are_named() {
        assert_eq!(check(&DEFAULT), Ok(()));
        let broken = check(&v1::Limits { max_payload_bytes: 1024 * 1024, ..DEFAULT });
        assert_eq!(broken.map_err(|e| e.requirement), Err("MSG-006"));
        let broken = check(&v1::Limits { max_leaves: 1_100, ..DEFAULT });
        assert_eq!(broken.map_err(|e| e.requirement), Err("LIM-011"));
        let broken = check(&v1::Limits { max_in_flight: 0, ..DEFAULT });
        assert_eq!(broken.map_err(|e| e.name), Err("max_in_flight"));
    }
}
