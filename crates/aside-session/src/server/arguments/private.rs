//! Requests about private conversations. Of what they carry the clear headers alone are read: the MLS messages are nobody's business
//! here.

use std::collections::HashSet;

use aside_proto::{
    id::{DeviceId, IdempotencyKey},
    limits::{DEVICE_LOGS_OVERHEAD_BYTES, TAG_BYTES},
    private::{Change, Epoch, Establishment, Leaf, Peer, WelcomeFor},
    v1::{self, ErrorCode},
};
use bytes::Bytes;
use prost::Message;

use super::{at_most, fixed, handle, id};
use crate::server::{Command, Refusal};

/// DEVLOG-004, DEVLOG-010, DEVLOG-012: what is in the entries is for whoever replays the log.
pub(super) fn publish_device_log(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::PublishDeviceLog,
) -> Result<Command, Refusal> {
    if request.entries.is_empty() || request.entries.iter().any(Bytes::is_empty) {
        let message = "At least one entry is published, and none is empty.";
        return Err(Refusal::invalid_argument("publish_device_log.entries", message));
    }
    if request.replaces > 0 && request.from_position > 0 {
        let message = "A log that takes another's place begins at position 0.";
        return Err(Refusal::invalid_argument("publish_device_log.from_position", message));
    }
    let most = limits.max_frame_bytes.saturating_sub(DEVICE_LOGS_OVERHEAD_BYTES) as usize;
    if request.entries.iter().any(|entry| entry.len() > most) {
        return Err(Refusal::of(ErrorCode::PayloadTooLarge));
    }
    Ok(Command::PublishDeviceLog {
        key,
        from_position: request.from_position,
        entries: request.entries.clone(),
        replaces: request.replaces,
    })
}

/// DEVLOG-007.
pub(super) fn fetch_device_logs(
    limits: &v1::Limits,
    request: &v1::FetchDeviceLogs,
) -> Result<Command, Refusal> {
    const FIELD: &str = "fetch_device_logs.user_ids";
    let most = limits.max_page_items as usize;
    if !(1..=most).contains(&request.user_ids.len()) {
        let message = format!("The logs of 1 to {most} users are fetched at once.");
        return Err(Refusal::invalid_argument(FIELD, message));
    }
    let user_ids =
        request.user_ids.iter().map(|bytes| id(bytes, FIELD)).collect::<Result<_, _>>()?;
    Ok(Command::FetchDeviceLogs { user_ids, from_position: request.from_position })
}

/// KP-002.
pub(super) fn publish_key_packages(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::PublishKeyPackages,
) -> Result<Command, Refusal> {
    const FIELD: &str = "publish_key_packages.key_packages";
    let (most, most_bytes) = (limits.max_key_packages, limits.max_key_package_bytes as usize);
    if request.key_packages.len() > most as usize {
        let message = format!("At most {most} KeyPackages are kept.");
        return Err(Refusal::invalid_argument(FIELD, message));
    }
    if request.key_packages.iter().any(|package| !(1..=most_bytes).contains(&package.len())) {
        let message = format!("A KeyPackage is 1 to {most_bytes} bytes.");
        return Err(Refusal::invalid_argument(FIELD, message));
    }
    if request.last_resort.len() > most_bytes {
        let message = format!("A KeyPackage is at most {most_bytes} bytes.");
        return Err(Refusal::invalid_argument("publish_key_packages.last_resort", message));
    }
    Ok(Command::PublishKeyPackages {
        key,
        suite: suite(request.suite, "publish_key_packages.suite")?,
        key_packages: request.key_packages.clone(),
        last_resort: Some(request.last_resort.clone()).filter(|package| !package.is_empty()),
        replace: request.replace,
    })
}

/// KP-006, KP-014.
pub(super) fn claim_key_packages(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::ClaimKeyPackages,
) -> Result<Command, Refusal> {
    let most = limits.max_page_items as usize;
    if !(1..=most).contains(&request.targets.len()) {
        let message = format!("1 to {most} targets are claimed at once.");
        return Err(Refusal::invalid_argument("claim_key_packages.targets", message));
    }
    let target = |target: &v1::ClaimTarget| {
        let user = id(&target.user_id, "claim_key_packages.targets.user_id")?;
        let device = match target.device_id.is_empty() {
            true => None,
            false => Some(id(&target.device_id, "claim_key_packages.targets.device_id")?),
        };
        Ok((user, device))
    };
    let targets = request.targets.iter().map(target).collect::<Result<Vec<_>, Refusal>>()?;
    if targets.iter().collect::<HashSet<_>>().len() < targets.len() {
        let message = "No target is named twice in one claim.";
        return Err(Refusal::invalid_argument("claim_key_packages.targets", message));
    }
    let suite = suite(request.suite, "claim_key_packages.suite")?;
    Ok(Command::ClaimKeyPackages { key, suite, targets })
}

/// PRIV-004.
pub(super) fn open_direct(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::OpenDirect,
) -> Result<Command, Refusal> {
    let peer = match (request.user_id.is_empty(), request.handle.is_empty()) {
        (false, true) => Peer::User(id(&request.user_id, "open_direct.user_id")?),
        (true, false) => Peer::Handle(handle(limits, &request.handle)?),
        _ => {
            let message = "The other user is named by user_id or by handle.";
            return Err(Refusal::invalid_argument("open_direct.user_id", message));
        }
    };
    Ok(Command::OpenDirect { key, peer })
}

/// DS-002.
pub(super) fn establish_group(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::EstablishGroup,
) -> Result<Command, Refusal> {
    const HEADER: &str = "establish_group.header";
    within(&request.header, limits.max_commit_bytes, HEADER)?;
    let header: v1::EstablishHeader = decode(&request.header, HEADER)?;
    let culprit = header.culprit.as_ref().map(|leaf| self::leaf(leaf, HEADER)).transpose()?;
    let plan = Establishment {
        conversation: id(&header.conversation_id, HEADER)?,
        generation: header.generation,
        head_seq: header.head_seq,
        suite: suite(header.suite, HEADER)?,
        leaves: leaves(&header.leaves, HEADER)?,
        culprit,
    };
    Ok(Command::EstablishGroup {
        key,
        plan,
        header: request.header.clone(),
        salt: fixed(&request.salt, "establish_group.salt")?,
        welcomes: welcomes(limits, &request.welcomes, "establish_group.welcomes")?,
        group_info: group_info(limits, &request.group_info, "establish_group.group_info")?,
    })
}

/// DS-010.
pub(super) fn submit_commit(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::SubmitCommit,
) -> Result<Command, Refusal> {
    const PAYLOAD: &str = "submit_commit.payload";
    within(&request.payload, limits.max_commit_bytes, PAYLOAD)?;
    let v1::CommitPayload { header, commit } = decode(&request.payload, PAYLOAD)?;
    not_empty(&commit, PAYLOAD)?;
    let header: v1::CommitHeader = decode(&header, PAYLOAD)?;
    same_id(key, &header.message_id, PAYLOAD)?;
    let plan = Change {
        conversation: id(&header.conversation_id, PAYLOAD)?,
        base: Epoch { generation: header.generation, epoch: header.epoch },
        added: leaves(&header.added, PAYLOAD)?,
        removed: leaves(&header.removed, PAYLOAD)?,
        is_external: header.is_external,
    };
    Ok(Command::SubmitCommit {
        key,
        plan,
        payload: request.payload.clone(),
        salt: fixed(&request.salt, "submit_commit.salt")?,
        welcomes: welcomes(limits, &request.welcomes, "submit_commit.welcomes")?,
        group_info: group_info(limits, &request.group_info, "submit_commit.group_info")?,
    })
}

/// DS-031.
pub(super) fn send_private(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::SendPrivate,
) -> Result<Command, Refusal> {
    const PAYLOAD: &str = "send_private.payload";
    within(&request.payload, limits.max_payload_bytes, PAYLOAD)?;
    let v1::PrivatePayload { header, ciphertext } = decode(&request.payload, PAYLOAD)?;
    not_empty(&ciphertext, PAYLOAD)?;
    let header: v1::PrivateHeader = decode(&header, PAYLOAD)?;
    same_id(key, &header.message_id, PAYLOAD)?;
    let _: [u8; TAG_BYTES] = fixed(&header.franking_tag, PAYLOAD)?;
    Ok(Command::SendPrivate {
        key,
        conversation: id(&header.conversation_id, PAYLOAD)?,
        epoch: Epoch { generation: header.generation, epoch: header.epoch },
        payload: request.payload.clone(),
        salt: fixed(&request.salt, "send_private.salt")?,
    })
}

pub(super) fn set_role(key: IdempotencyKey, request: &v1::SetRole) -> Result<Command, Refusal> {
    let conversation = id(&request.conversation_id, "set_role.conversation_id")?;
    let user_id = id(&request.user_id, "set_role.user_id")?;
    match v1::Role::try_from(request.role) {
        Ok(role @ (v1::Role::Member | v1::Role::Admin | v1::Role::Owner)) => {
            Ok(Command::SetRole { key, conversation, user_id, role })
        }
        Ok(v1::Role::Unspecified) | Err(_) => {
            Err(Refusal::invalid_argument("set_role.role", "A role is MEMBER, ADMIN or OWNER."))
        }
    }
}

pub(super) fn reject_commit(
    key: IdempotencyKey,
    request: &v1::RejectCommit,
) -> Result<Command, Refusal> {
    let conversation = id(&request.conversation_id, "reject_commit.conversation_id")?;
    match v1::RejectCode::try_from(request.code) {
        Ok(v1::RejectCode::Unspecified) | Err(_) => {
            let message = "A rejection says what is wrong.";
            Err(Refusal::invalid_argument("reject_commit.code", message))
        }
        Ok(code) => Ok(Command::RejectCommit { key, conversation, seq: request.seq, code }),
    }
}

pub(super) fn get_group_info(request: &v1::GetGroupInfo) -> Result<Command, Refusal> {
    let conversation = id(&request.conversation_id, "get_group_info.conversation_id")?;
    Ok(Command::GetGroupInfo { conversation })
}

pub(super) fn fetch_inbox(limits: &v1::Limits, request: &v1::FetchInbox) -> Command {
    let max_items = at_most(request.max_items, limits.max_page_items);
    Command::FetchInbox { after: request.after, max_items }
}

pub(super) fn report_fork_check(request: &v1::ReportForkCheck) -> Result<Command, Refusal> {
    Ok(Command::ReportForkCheck {
        conversation: id(&request.conversation_id, "report_fork_check.conversation_id")?,
        epoch: Epoch { generation: request.generation, epoch: request.epoch },
        value: fixed(&request.value, "report_fork_check.value")?,
    })
}

fn suite(number: u32, field: &'static str) -> Result<u16, Refusal> {
    u16::try_from(number).ok().filter(|suite| *suite > 0).ok_or_else(|| {
        Refusal::invalid_argument(field, "A cipher suite is a number from 1 to 65535.")
    })
}

fn decode<M: Message + Default>(bytes: &Bytes, field: &'static str) -> Result<M, Refusal> {
    M::decode(bytes.clone())
        .map_err(|_| Refusal::invalid_argument(field, "A message in this field does not decode."))
}

/// MSG-005, DS-010.
fn within(bytes: &Bytes, most: u32, field: &'static str) -> Result<(), Refusal> {
    not_empty(bytes, field)?;
    if bytes.len() > most as usize {
        return Err(Refusal::of(ErrorCode::PayloadTooLarge));
    }
    Ok(())
}

fn not_empty(bytes: &Bytes, field: &'static str) -> Result<(), Refusal> {
    match bytes.is_empty() {
        true => Err(Refusal::invalid_argument(field, "A part of this field is empty.")),
        false => Ok(()),
    }
}

/// DS-010, DS-031.
fn same_id(key: IdempotencyKey, message_id: &[u8], field: &'static str) -> Result<(), Refusal> {
    if key.as_bytes()[..] != *message_id {
        let message = "The message_id in the header is the idempotency key.";
        return Err(Refusal::invalid_argument(field, message));
    }
    Ok(())
}

fn leaf(leaf: &v1::Leaf, field: &'static str) -> Result<Leaf, Refusal> {
    Leaf::try_from(leaf)
        .map_err(|error| Refusal::invalid_argument(field, format!("Not possible: {error}.")))
}

/// Each device once.
fn leaves(given: &[v1::Leaf], field: &'static str) -> Result<Vec<Leaf>, Refusal> {
    let leaves = given.iter().map(|one| leaf(one, field)).collect::<Result<Vec<_>, Refusal>>()?;
    let mut seen = HashSet::with_capacity(leaves.len());
    if !leaves.iter().all(|leaf| seen.insert(leaf.device)) {
        return Err(Refusal::invalid_argument(field, "A leaf is named twice."));
    }
    Ok(leaves)
}

fn group_info(limits: &v1::Limits, bytes: &Bytes, field: &'static str) -> Result<Bytes, Refusal> {
    within(bytes, limits.max_group_info_bytes, field)?;
    Ok(bytes.clone())
}

/// DS-010, DS-016: none is empty, and no device is welcomed twice.
fn welcomes(
    limits: &v1::Limits,
    given: &[v1::Welcome],
    field: &'static str,
) -> Result<Vec<WelcomeFor>, Refusal> {
    let bytes: usize = given.iter().map(|welcome| welcome.welcome.len()).sum();
    if bytes > limits.max_welcome_bytes as usize {
        return Err(Refusal::of(ErrorCode::PayloadTooLarge));
    }
    let mut seen: HashSet<DeviceId> = HashSet::new();
    let mut welcomes = Vec::with_capacity(given.len());
    for v1::Welcome { welcome, device_ids } in given {
        not_empty(welcome, field)?;
        let devices: Vec<DeviceId> =
            device_ids.iter().map(|bytes| id(bytes, field)).collect::<Result<_, _>>()?;
        if devices.is_empty() || !devices.iter().all(|device| seen.insert(*device)) {
            let message = "A Welcome is for at least one device, and for each there is one.";
            return Err(Refusal::invalid_argument(field, message));
        }
        welcomes.push(WelcomeFor { welcome: welcome.clone(), devices });
    }
    Ok(welcomes)
}
