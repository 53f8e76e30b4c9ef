//! The bodies of the fuzz targets: each takes any bytes and panics if an invariant does not hold.
//!
//! They are here, and not with the targets, so that corpora are replayed and random inputs tried by `cargo test`.

mod client;
mod decoding;
mod operations;
mod timeline;

pub use client::client_session;
pub use decoding::{frame_decoding, request_decoding};
pub use operations::session_operations;
pub use timeline::timeline;

use aside_proto::{private::WelcomeFor, v1};
use bytes::Bytes;

use crate::server::Command;

/// Takes bytes off the input; 0 once there are none.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// As many bytes as are asked for, or as there are.
    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// What a driver may rely on of a command's fields.
fn check_command(command: &Command, limits: &v1::Limits) {
    match command {
        Command::ListRooms { page_token, page_size, .. }
        | Command::ListMembers { page_token, page_size, .. }
        | Command::ListPins { page_token, page_size, .. }
        | Command::ListSummaries { page_token, page_size }
        | Command::ListWatermarks { page_token, page_size, .. } => {
            assert!((1..=limits.max_page_items).contains(page_size));
            assert!(page_token.len() <= 64);
        }
        Command::Search { query, page_token, page_size, .. } => {
            assert!((1..=256).contains(&query.len()));
            assert!((1..=limits.max_page_items).contains(page_size));
            assert!(page_token.len() <= 64);
        }
        Command::IssueToken { name, .. } => assert!((1..=64).contains(&name.len())),
        Command::Fetch { max_entries, .. } => {
            assert!((1..=limits.max_fetch_entries).contains(max_entries));
        }
        Command::UpdateRoom { name, topic, description, invite_only, retention, .. } => {
            assert!(topic.as_ref().is_none_or(|topic| topic.len() <= 256));
            assert!(description.as_ref().is_none_or(|description| description.len() <= 2048));
            let texts = name.is_some() || topic.is_some() || description.is_some();
            assert!(texts || invite_only.is_some() || retention.is_some());
            assert!(retention.as_ref().is_none_or(aside_proto::retention::is_valid));
        }
        Command::Redact { seqs, .. } => {
            assert!((1..=limits.max_redactions as usize).contains(&seqs.len()));
        }
        Command::LookUpDevices { device_ids } => {
            assert!(device_ids.len() <= limits.max_page_items as usize);
        }
        Command::SendMessage { payload, signature, .. } => {
            assert!((1..=limits.max_payload_bytes as usize).contains(&payload.len()));
            assert_eq!(signature.len(), 64);
        }
        Command::Register { handle, password: new, device, .. } => {
            assert!(handle.as_str().chars().count() <= limits.max_name_chars as usize);
            assert!(new.expose().chars().count() >= limits.min_password_chars as usize);
            assert!((1..=64).contains(&device.name.len()));
        }
        Command::PasswordLogin { device, .. } => assert!((1..=64).contains(&device.name.len())),
        Command::ChangePassword { new, .. } => {
            assert!(new.expose().len() <= limits.max_password_bytes as usize);
        }
        Command::Rename { handle: name, .. }
        | Command::CreateRoom { name, .. }
        | Command::Invite { handle: name, .. } => {
            assert!(name.as_str().chars().count() <= limits.max_name_chars as usize);
        }
        Command::Mark { delivered_seq, read_seq, .. } => {
            assert!(*delivered_seq != 0 || *read_seq != 0);
        }
        Command::Relay { payload, .. } => assert!((1..=8192).contains(&payload.len())),
        Command::SetPresence { status_text, .. } => assert!(status_text.len() <= 128),
        Command::GetPresence { user_ids } => {
            assert!(user_ids.len() <= limits.max_page_items as usize);
        }
        Command::PublishDeviceLog { entries, .. } => assert!(!entries.is_empty()),
        Command::FetchDeviceLogs { user_ids, .. } => {
            assert!((1..=limits.max_page_items as usize).contains(&user_ids.len()));
        }
        Command::PublishKeyPackages { suite, key_packages, last_resort, .. } => {
            assert!(*suite > 0 && key_packages.len() <= limits.max_key_packages as usize);
            let most = limits.max_key_package_bytes as usize;
            let mut all = key_packages.iter().chain(last_resort);
            assert!(all.all(|package| (1..=most).contains(&package.len())));
        }
        Command::ClaimKeyPackages { suite, targets, .. } => {
            assert!(*suite > 0);
            assert!((1..=limits.max_page_items as usize).contains(&targets.len()));
        }
        Command::EstablishGroup { header, welcomes, group_info, .. } => {
            check_commit(limits, header, welcomes, group_info);
        }
        Command::SubmitCommit { payload, welcomes, group_info, .. } => {
            check_commit(limits, payload, welcomes, group_info);
        }
        Command::SendPrivate { payload, .. } => {
            assert!((1..=limits.max_payload_bytes as usize).contains(&payload.len()));
        }
        Command::FetchInbox { max_items, .. } => {
            assert!((1..=limits.max_page_items).contains(max_items));
        }
        Command::FindDevice { .. }
        | Command::OpenDirect { .. }
        | Command::CreateGroup { .. }
        | Command::SetRole { .. }
        | Command::RejectCommit { .. }
        | Command::GetGroupInfo { .. }
        | Command::AckInbox { .. }
        | Command::ReportForkCheck { .. }
        | Command::SetTyping { .. }
        | Command::FindToken { .. }
        | Command::Attach { .. }
        | Command::ListDevices
        | Command::ListTokens
        | Command::RevokeToken { .. }
        | Command::RevokeDevice { .. }
        | Command::Join { .. }
        | Command::Leave { .. }
        | Command::SetPin { .. }
        | Command::GetHead { .. } => {}
    }
}

fn check_commit(limits: &v1::Limits, payload: &Bytes, welcomes: &[WelcomeFor], group_info: &Bytes) {
    assert!((1..=limits.max_commit_bytes as usize).contains(&payload.len()));
    assert!((1..=limits.max_group_info_bytes as usize).contains(&group_info.len()));
    let bytes: usize = welcomes.iter().map(|welcome| welcome.welcome.len()).sum();
    assert!(bytes <= limits.max_welcome_bytes as usize);
    assert!(welcomes.iter().all(|w| !w.welcome.is_empty() && !w.devices.is_empty()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// An operation that a session survives, as bytes: a request, a flood of pings, an outcome, time, frames taken.
    fn harmless() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            8 => (0..26_u8).prop_map(|which| vec![6, which]),
            1 => (0..20_u8).prop_map(|count| vec![10, count]),
            8 => (any::<u8>(), 0..0x80_u8).prop_map(|(which, kind)| vec![11, which, kind]),
            1 => (0..16_u8).prop_map(|time| vec![14, time]),
            2 => (0..8_u8).prop_map(|count| vec![15, count]),
            1 => Just(vec![16]),
        ]
    }

    /// What a server does that is hostile now and then: it answers, pushes and tells; and what its client asks for.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let few = || prop_oneof![4 => 0..24_u8, 1 => any::<u8>()];
        prop_oneof![
            6 => (few(), few(), few()).prop_map(|(which, count, head)| vec![9, 2, 0, 3, which, count, head]),
            2 => prop::collection::vec(any::<u8>(), 8).prop_map(|bytes| [vec![9, 2, 0], bytes].concat()),
            6 => (0..2_u8, few(), few()).prop_map(|(which, seq, how)| vec![5, which, seq, how]),
            2 => (any::<u8>(), few()).prop_map(|(kind, seq)| vec![8, kind, seq]),
            2 => (any::<u8>(), any::<u8>()).prop_map(|(id, how)| vec![10, id, 2, 0, how, 1]),
            1 => any::<u8>().prop_map(|kind| vec![15, kind, 13, 2, 0, 3]),
            1 => Just(vec![14]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        // cites: REQ-003, REQ-004, REQ-005, CLOSE-002, CLOSE-005, ERR-003, PUSH-005
        #[test]
        fn session_operations(data in prop::collection::vec(any::<u8>(), 0..600)) {
            super::session_operations(&data);
        }

        // cites: REQ-003, REQ-004, REQ-005, REQ-006, CLOSE-002, PUSH-005
        #[test]
        fn long_lives(
            flags in (0..8_u8).prop_map(|in_flight| in_flight << 5 | 8 | 16),
            operations in prop::collection::vec(harmless(), 0..300),
        ) {
            super::session_operations(&[vec![flags], operations.concat()].concat());
        }

        // cites: FRAME-006, REQ-003
        #[test]
        fn request_decoding(data in prop::collection::vec(any::<u8>(), 0..200)) {
            super::request_decoding(&data);
        }

        // cites: LOG-011, LOG-012, HEAD-003, HEAD-005, PUSH-009, MSG-009, REQ-003, REQ-010
        #[test]
        fn client_session(data in prop::collection::vec(any::<u8>(), 0..300)) {
            super::client_session(&data);
        }

        // cites: LOG-011, LOG-012, HEAD-003, HEAD-005, PUSH-009, MSG-009
        #[test]
        fn long_conversations(operations in prop::collection::vec(hostile(), 0..60)) {
            super::client_session(&[vec![4], operations.concat()].concat());
        }

        // cites: CONT-015
        #[test]
        fn timeline(data in prop::collection::vec(any::<u8>(), 0..350)) {
            super::timeline(&data);
        }

        // cites: FRAME-005, FRAME-007
        #[test]
        fn frame_decoding(data in prop::collection::vec(any::<u8>(), 0..400)) {
            super::frame_decoding(&data);
        }
    }

    #[test]
    fn nothing_is_an_input_too() {
        super::session_operations(&[]);
        super::request_decoding(&[]);
        super::frame_decoding(&[]);
        super::timeline(&[]);
        super::client_session(&[]);
    }
}
