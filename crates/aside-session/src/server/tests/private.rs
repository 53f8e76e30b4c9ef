//! Arguments of the requests about private conversations: what they become, and how they are refused.

use aside_proto::{
    private::{Change, Epoch, Establishment, Leaf, Peer, WelcomeFor},
    v1::{self, ErrorCode, client_frame::Body},
};
use bytes::Bytes;
use prost::Message as _;

use super::{Peer as Client, samples};
use crate::server::Command;

/// The commands of [`samples::requests`] that these requests become, in order.
pub(super) fn commands() -> Vec<Command> {
    let (key, conversation) = (samples::idempotency_key(), samples::ROOM);
    let (user_id, leaf) = (samples::USER, samples::LEAF);
    let epoch = Epoch { generation: 1, epoch: 2 };
    let welcomes =
        || vec![WelcomeFor { welcome: "welcome".into(), devices: vec![samples::DEVICE] }];
    vec![
        Command::PublishDeviceLog {
            key,
            from_position: 1,
            entries: vec!["entry".into()],
            replaces: 0,
        },
        Command::FetchDeviceLogs { user_ids: vec![user_id], from_position: 2 },
        Command::PublishKeyPackages {
            key,
            suite: 2,
            key_packages: vec!["one".into(), "two".into()],
            last_resort: Some("last".into()),
            replace: true,
        },
        Command::ClaimKeyPackages {
            key,
            suite: 2,
            targets: vec![(user_id, None), (user_id, Some(samples::DEVICE))],
        },
        Command::OpenDirect { key, peer: Peer::User(user_id) },
        Command::CreateGroup { key },
        Command::EstablishGroup {
            key,
            plan: Establishment {
                conversation,
                generation: 1,
                head_seq: 5,
                suite: 2,
                leaves: vec![leaf],
                culprit: Some(leaf),
            },
            header: samples::establish_group(|_| {}).header,
            salt: [9; 32],
            welcomes: welcomes(),
            group_info: "info".into(),
        },
        Command::SubmitCommit {
            key,
            plan: Change {
                conversation,
                base: epoch,
                added: vec![leaf],
                removed: vec![leaf],
                is_external: true,
            },
            payload: samples::submit_commit(|_| {}).payload,
            salt: [9; 32],
            welcomes: welcomes(),
            group_info: "info".into(),
        },
        Command::SendPrivate {
            key,
            conversation,
            epoch,
            payload: samples::send_private(|_| {}).payload,
            salt: [9; 32],
        },
        Command::SetRole { key, conversation, user_id, role: v1::Role::Admin },
        Command::RejectCommit { key, conversation, seq: 6, code: v1::RejectCode::HeaderMismatch },
        Command::GetGroupInfo { conversation },
        Command::FetchInbox { after: 3, max_items: 10 },
        Command::AckInbox { up_to: 4 },
        Command::ReportForkCheck { conversation, epoch, value: [4; 32] },
        Command::Relay { device_id: Some(samples::DEVICE), payload: "said".into() },
    ]
}

fn changed<T>(mut message: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut message);
    message
}

fn packages(change: impl FnOnce(&mut v1::PublishKeyPackages)) -> Body {
    Body::PublishKeyPackages(changed(samples::publish_key_packages(), change))
}

fn claim(change: impl FnOnce(&mut v1::ClaimKeyPackages)) -> Body {
    Body::ClaimKeyPackages(changed(samples::claim_key_packages(), change))
}

fn header(change: impl FnOnce(&mut v1::EstablishHeader)) -> Body {
    Body::EstablishGroup(samples::establish_group(change))
}

fn establish(change: impl FnOnce(&mut v1::EstablishGroup)) -> Body {
    Body::EstablishGroup(changed(samples::establish_group(|_| {}), change))
}

fn commit_header(change: impl FnOnce(&mut v1::CommitHeader)) -> Body {
    Body::SubmitCommit(samples::submit_commit(change))
}

fn commit(change: impl FnOnce(&mut v1::SubmitCommit)) -> Body {
    Body::SubmitCommit(changed(samples::submit_commit(|_| {}), change))
}

fn private_header(change: impl FnOnce(&mut v1::PrivateHeader)) -> Body {
    Body::SendPrivate(samples::send_private(change))
}

fn send(change: impl FnOnce(&mut v1::SendPrivate)) -> Body {
    Body::SendPrivate(changed(samples::send_private(|_| {}), change))
}

fn log(change: impl FnOnce(&mut v1::PublishDeviceLog)) -> Body {
    let log = v1::PublishDeviceLog { from_position: 1, entries: vec!["e".into()], replaces: 0 };
    Body::PublishDeviceLog(changed(log, change))
}

fn logs(user_ids: Vec<Bytes>) -> Body {
    Body::FetchDeviceLogs(v1::FetchDeviceLogs { user_ids, from_position: 0 })
}

fn direct(user_id: &[u8], handle: &str) -> Body {
    let (user_id, handle) = (Bytes::copy_from_slice(user_id), handle.into());
    Body::OpenDirect(v1::OpenDirect { user_id, handle })
}

/// A Welcome for one more device than there is another for.
fn twice(welcomes: &mut Vec<v1::Welcome>) {
    welcomes.push(welcomes[0].clone());
}

fn two_leaves(leaves: &mut Vec<v1::Leaf>) {
    leaves.push(v1::Leaf::from(Leaf { user: samples::USER, device: samples::DEVICE }));
}

fn broken() -> Vec<(Body, ErrorCode, &'static str)> {
    use ErrorCode::{HandleInvalid, InvalidArgument as Bad, PayloadTooLarge as Large};
    let id = samples::ROOM.to_bytes();
    let short = Bytes::from(vec![1; 15]);
    let long = |bytes: usize| Bytes::from(vec![1; bytes]);
    let limits = samples::config().limits;
    let (most, frame) = (limits.max_payload_bytes as usize, limits.max_frame_bytes as usize);
    let (entries, position) = ("publish_device_log.entries", "publish_device_log.from_position");
    let (kp, users) = ("publish_key_packages.key_packages", "fetch_device_logs.user_ids");
    let targets = "claim_key_packages.targets";
    let (eh, ew) = ("establish_group.header", "establish_group.welcomes");
    let (cp, cw, sp) = ("submit_commit.payload", "submit_commit.welcomes", "send_private.payload");
    vec![
        (log(|l| l.entries.clear()), Bad, entries),
        (log(|l| l.entries.push(Bytes::new())), Bad, entries),
        (log(|l| l.replaces = 1), Bad, position),
        (log(|l| l.entries = vec![long(frame - 1023)]), Large, ""),
        (logs(vec![]), Bad, users),
        (logs(vec![id.clone(); 11]), Bad, users),
        (logs(vec![short.clone()]), Bad, users),
        (packages(|p| p.suite = 0), Bad, "publish_key_packages.suite"),
        (packages(|p| p.suite = 65_536), Bad, "publish_key_packages.suite"),
        (packages(|p| p.key_packages = vec!["x".into(); 4]), Bad, kp),
        (packages(|p| p.key_packages[0].clear()), Bad, kp),
        (packages(|p| p.key_packages[0] = long(17)), Bad, kp),
        (packages(|p| p.last_resort = long(17)), Bad, "publish_key_packages.last_resort"),
        (claim(|c| c.suite = 0), Bad, "claim_key_packages.suite"),
        (claim(|c| c.targets.clear()), Bad, targets),
        (claim(|c| c.targets = vec![c.targets[0].clone(); 11]), Bad, targets),
        (claim(|c| c.targets.push(c.targets[0].clone())), Bad, targets),
        (claim(|c| c.targets[0].user_id.clear()), Bad, "claim_key_packages.targets.user_id"),
        (
            claim(|c| c.targets[1].device_id = short.clone()),
            Bad,
            "claim_key_packages.targets.device_id",
        ),
        (direct(&[], ""), Bad, "open_direct.user_id"),
        (direct(&[1; 16], "bob"), Bad, "open_direct.user_id"),
        (direct(&[1; 15], ""), Bad, "open_direct.user_id"),
        (direct(&[], "a b"), HandleInvalid, ""),
        (header(|h| h.conversation_id.clear()), Bad, eh),
        (header(|h| h.suite = 0), Bad, eh),
        (header(|h| h.leaves[0].device_id.clear()), Bad, eh),
        (header(|h| two_leaves(&mut h.leaves)), Bad, eh),
        (header(|h| h.culprit = Some(v1::Leaf::default())), Bad, eh),
        (establish(|e| e.header.clear()), Bad, eh),
        (establish(|e| e.header = long(512)), Bad, eh),
        (establish(|e| e.header = long(513)), Large, ""),
        (establish(|e| e.salt.clear()), Bad, "establish_group.salt"),
        (establish(|e| e.group_info.clear()), Bad, "establish_group.group_info"),
        (establish(|e| e.group_info = long(65)), Large, ""),
        (establish(|e| e.welcomes[0].welcome.clear()), Bad, ew),
        (establish(|e| e.welcomes[0].welcome = long(65)), Large, ""),
        (establish(|e| e.welcomes[0].device_ids.clear()), Bad, ew),
        (establish(|e| e.welcomes[0].device_ids.push(short.clone())), Bad, ew),
        (establish(|e| twice(&mut e.welcomes)), Bad, ew),
        (commit_header(|h| h.conversation_id = short.clone()), Bad, cp),
        (commit_header(|h| h.message_id = long(16)), Bad, cp),
        (commit_header(|h| two_leaves(&mut h.added)), Bad, cp),
        (commit_header(|h| two_leaves(&mut h.removed)), Bad, cp),
        (commit(|c| c.payload = v1::CommitPayload::default().encode_to_vec().into()), Bad, cp),
        (commit(|c| c.payload = long(513)), Large, ""),
        (commit(|c| c.salt.clear()), Bad, "submit_commit.salt"),
        (commit(|c| c.group_info.clear()), Bad, "submit_commit.group_info"),
        (commit(|c| twice(&mut c.welcomes)), Bad, cw),
        (private_header(|h| h.conversation_id.clear()), Bad, sp),
        (private_header(|h| h.message_id.clear()), Bad, sp),
        (private_header(|h| h.franking_tag.truncate(31)), Bad, sp),
        (send(|s| s.payload.clear()), Bad, sp),
        (send(|s| s.payload = long(most)), Bad, sp),
        (send(|s| s.payload = long(most + 1)), Large, ""),
        (send(|s| s.salt.clear()), Bad, "send_private.salt"),
        (Body::SetRole(samples::set_role(0)), Bad, "set_role.role"),
        (Body::SetRole(samples::set_role(4)), Bad, "set_role.role"),
        (Body::RejectCommit(samples::reject_commit(0)), Bad, "reject_commit.code"),
        (Body::RejectCommit(samples::reject_commit(9)), Bad, "reject_commit.code"),
        (
            Body::GetGroupInfo(v1::GetGroupInfo { conversation_id: short.clone() }),
            Bad,
            "get_group_info.conversation_id",
        ),
        (
            Body::ReportForkCheck(changed(samples::report_fork_check(), |r| r.value.clear())),
            Bad,
            "report_fork_check.value",
        ),
    ]
}

// cites: KP-002, KP-006, PRIV-004, DS-002, DS-010, DS-031, DEVLOG-004, DEVLOG-007, CONV-001, ERR-006, EXT-007
#[test]
fn what_breaks_a_rule_is_refused_by_its_field() {
    let mut client = Client::authenticated();
    for (id, (body, code, field)) in (10..).zip(broken()) {
        client.send_request(id, body.clone());
        assert_eq!(client.refusal(id), (code, field.to_owned()), "{body:?}");
        assert_eq!(client.next_command(), None);
    }
    assert!(client.session.is_live());
}

// cites: RELAY-004
#[test]
fn what_is_relayed_is_not_empty_and_not_long() {
    let relay = |device: usize, payload: usize| {
        let (device_id, payload) = (vec![6; device].into(), vec![1; payload].into());
        Body::Relay(v1::Relay { device_id, payload })
    };
    for (body, field) in [
        (relay(16, 0), "relay.payload"),
        (relay(0, 8193), "relay.payload"),
        (relay(15, 1), "relay.device_id"),
    ] {
        let mut peer = Client::authenticated();
        peer.send_request(9, body);
        let (code, refused) = peer.refusal(9);
        assert_eq!((code, &*refused), (ErrorCode::InvalidArgument, field));
    }
    let mut peer = Client::authenticated();
    peer.send_request(9, relay(0, 8192));
    let all = peer.next_command();
    assert!(
        matches!(all, Some((_, Command::Relay { device_id: None, payload })) if payload.len() == 8192)
    );
}
