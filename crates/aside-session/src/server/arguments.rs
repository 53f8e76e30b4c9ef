//! Arguments: the one place where the fields of requests are checked and become [`Command`]s.
//!
//! Field paths begin at ClientFrame (ERR-006). A message that is absent counts as one with no fields, as everywhere in
//! Protobuf.

mod private;
mod rooms;

use aside_crypto::PublicKey;
use aside_proto::{
    id::{IdLengthError, IdempotencyKey},
    limits::{
        MAX_DEVICE_NAME_BYTES, MAX_PAGE_TOKEN_BYTES, MAX_PING_BYTES, MAX_QUERY_BYTES,
        MAX_RELAY_BYTES, MAX_STATUS_BYTES, SIGNATURE_BYTES,
    },
    name::{Name, prepare_password},
    v1::{self, client_frame::Body, server_frame},
};
use bytes::Bytes;

use super::{Command, OnConflict, Refusal, Secret, admission::Admitted, phase::Verdict, tokens};

/// The paths of a NewDevice's fields.
pub(super) struct DevicePaths {
    pub(super) public_key: &'static str,
    pub(super) name: &'static str,
    pub(super) signature: &'static str,
}

pub(super) const REGISTER_DEVICE: DevicePaths = DevicePaths {
    public_key: "register.device.public_key",
    name: "register.device.name",
    signature: "register.device.proof.signature",
};
pub(super) const PASSWORD_LOGIN_DEVICE: DevicePaths = DevicePaths {
    public_key: "password_login.device.public_key",
    name: "password_login.device.name",
    signature: "password_login.device.proof.signature",
};

/// What a request in phase Authenticated comes to.
pub(super) fn judge(limits: &v1::Limits, request: &Admitted) -> Verdict {
    match &request.body {
        Body::Ping(r) => ping(r),
        Body::Rename(r) => rename(limits, request.key(), r).into(),
        Body::ChangePassword(r) => change_password(limits, request.key(), r).into(),
        Body::ListDevices(v1::ListDevices {}) => Verdict::Execute(Command::ListDevices),
        Body::RevokeDevice(r) => revoke_device(request.key(), r).into(),
        Body::LookUpDevices(r) => look_up_devices(limits, r).into(),
        Body::Relay(r) => relay(r).into(),
        Body::CreateRoom(r) => create_room(limits, request.key(), r).into(),
        Body::ListRooms(r) => list_rooms(limits, r).into(),
        Body::Join(r) => join(request.key(), r).into(),
        Body::Leave(r) => leave(request.key(), r).into(),
        Body::ListMembers(r) => list_members(limits, r).into(),
        Body::SendMessage(r) => send_message(limits, request.key(), r).into(),
        Body::Fetch(r) => fetch(limits, r).into(),
        Body::GetHead(r) => get_head(r).into(),
        Body::UpdateRoom(r) => rooms::update_room(limits, request.key(), r).into(),
        Body::Invite(r) => rooms::invite(limits, request.key(), r).into(),
        Body::SetPin(r) => rooms::set_pin(request.key(), r).into(),
        Body::ListPins(r) => rooms::list_pins(limits, r).into(),
        Body::Redact(r) => redact(limits, request.key(), r).into(),
        Body::ListSummaries(r) => list_summaries(limits, r).into(),
        Body::Mark(r) => mark(r).into(),
        Body::ListWatermarks(r) => list_watermarks(limits, r).into(),
        Body::SetPresence(r) => set_presence(r).into(),
        Body::GetPresence(r) => get_presence(limits, r).into(),
        Body::SetTyping(r) => set_typing(r).into(),
        Body::Search(r) => search(limits, r).into(),
        Body::IssueToken(r) => tokens::issue_token(request.key(), r).into(),
        Body::ListTokens(v1::ListTokens {}) => Verdict::Execute(Command::ListTokens),
        Body::RevokeToken(r) => tokens::revoke_token(request.key(), r).into(),
        Body::PublishDeviceLog(r) => private::publish_device_log(limits, request.key(), r).into(),
        Body::FetchDeviceLogs(r) => private::fetch_device_logs(limits, r).into(),
        Body::PublishKeyPackages(r) => {
            private::publish_key_packages(limits, request.key(), r).into()
        }
        Body::ClaimKeyPackages(r) => private::claim_key_packages(limits, request.key(), r).into(),
        Body::OpenDirect(r) => private::open_direct(limits, request.key(), r).into(),
        Body::CreateGroup(v1::CreateGroup {}) => {
            Verdict::Execute(Command::CreateGroup { key: request.key() })
        }
        Body::EstablishGroup(r) => private::establish_group(limits, request.key(), r).into(),
        Body::SubmitCommit(r) => private::submit_commit(limits, request.key(), r).into(),
        Body::SendPrivate(r) => private::send_private(limits, request.key(), r).into(),
        Body::SetRole(r) => private::set_role(request.key(), r).into(),
        Body::RejectCommit(r) => private::reject_commit(request.key(), r).into(),
        Body::GetGroupInfo(r) => private::get_group_info(r).into(),
        Body::FetchInbox(r) => Verdict::Execute(private::fetch_inbox(limits, r)),
        Body::AckInbox(r) => Verdict::Execute(Command::AckInbox { up_to: r.up_to }),
        Body::ReportForkCheck(r) => private::report_fork_check(r).into(),
        Body::Hello(_)
        | Body::Register(_)
        | Body::PasswordLogin(_)
        | Body::DeviceLogin(_)
        | Body::TokenLogin(_) => Verdict::Refuse(Refusal::of(v1::ErrorCode::WrongPhase)),
    }
}

/// PING-001, PING-003.
pub(super) fn ping(request: &v1::Ping) -> Verdict {
    if request.data.len() > MAX_PING_BYTES {
        let message = "A ping's data is at most 64 bytes.";
        return Verdict::Refuse(Refusal::invalid_argument("ping.data", message));
    }
    Verdict::Reply(server_frame::Body::Pong(v1::Pong { data: request.data.clone() }))
}

fn rename(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::Rename,
) -> Result<Command, Refusal> {
    Ok(Command::Rename {
        key,
        handle: handle(limits, &request.handle)?,
        on_conflict: on_conflict(request.on_conflict, "rename.on_conflict")?,
    })
}

fn change_password(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::ChangePassword,
) -> Result<Command, Refusal> {
    Ok(Command::ChangePassword {
        key,
        old: given_password(&request.old_password),
        new: new_password(limits, &request.new_password)?,
    })
}

fn revoke_device(key: IdempotencyKey, request: &v1::RevokeDevice) -> Result<Command, Refusal> {
    let device_id = id(&request.device_id, "revoke_device.device_id")?;
    Ok(Command::RevokeDevice { key, device_id })
}

/// DEV-009.
fn look_up_devices(limits: &v1::Limits, request: &v1::LookUpDevices) -> Result<Command, Refusal> {
    const FIELD: &str = "look_up_devices.device_ids";
    if request.device_ids.len() > limits.max_page_items as usize {
        let message = format!("At most {} devices are looked up at once.", limits.max_page_items);
        return Err(Refusal::invalid_argument(FIELD, message));
    }
    let device_ids =
        request.device_ids.iter().map(|bytes| id(bytes, FIELD)).collect::<Result<_, _>>()?;
    Ok(Command::LookUpDevices { device_ids })
}

/// RELAY-004.
fn relay(request: &v1::Relay) -> Result<Command, Refusal> {
    let device_id = match request.device_id.is_empty() {
        true => None,
        false => Some(id(&request.device_id, "relay.device_id")?),
    };
    if !(1..=MAX_RELAY_BYTES).contains(&request.payload.len()) {
        let message = "What is relayed is 1 to 8192 bytes.";
        return Err(Refusal::invalid_argument("relay.payload", message));
    }
    Ok(Command::Relay { device_id, payload: request.payload.clone() })
}

fn create_room(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::CreateRoom,
) -> Result<Command, Refusal> {
    Ok(Command::CreateRoom { key, name: room_name(limits, &request.name)? })
}

fn list_rooms(limits: &v1::Limits, request: &v1::ListRooms) -> Result<Command, Refusal> {
    let name = match &*request.name {
        "" => None,
        text => Some(room_name(limits, text)?),
    };
    Ok(Command::ListRooms {
        joined_only: request.joined_only,
        invited_only: request.invited_only,
        name,
        page_token: page_token(&request.page_token, "list_rooms.page_token")?,
        page_size: at_most(request.page_size, limits.max_page_items),
    })
}

fn join(key: IdempotencyKey, request: &v1::Join) -> Result<Command, Refusal> {
    Ok(Command::Join { key, conversation: id(&request.conversation_id, "join.conversation_id")? })
}

fn leave(key: IdempotencyKey, request: &v1::Leave) -> Result<Command, Refusal> {
    Ok(Command::Leave { key, conversation: id(&request.conversation_id, "leave.conversation_id")? })
}

fn list_members(limits: &v1::Limits, request: &v1::ListMembers) -> Result<Command, Refusal> {
    Ok(Command::ListMembers {
        conversation: id(&request.conversation_id, "list_members.conversation_id")?,
        online_only: request.online_only,
        page_token: page_token(&request.page_token, "list_members.page_token")?,
        page_size: at_most(request.page_size, limits.max_page_items),
    })
}

/// MSG-005. What is in the payload is nobody's business here (MSG-007).
fn send_message(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::SendMessage,
) -> Result<Command, Refusal> {
    let conversation = id(&request.conversation_id, "send_message.conversation_id")?;
    let salt = fixed(&request.salt, "send_message.salt")?;
    let _: [u8; SIGNATURE_BYTES] = fixed(&request.signature, "send_message.signature")?;
    if request.payload.is_empty() {
        let message = "A message has a payload.";
        return Err(Refusal::invalid_argument("send_message.payload", message));
    }
    if request.payload.len() > limits.max_payload_bytes as usize {
        return Err(Refusal::of(v1::ErrorCode::PayloadTooLarge));
    }
    let (payload, signature) = (request.payload.clone(), request.signature.clone());
    Ok(Command::SendMessage { key, conversation, payload, salt, signature })
}

fn fetch(limits: &v1::Limits, request: &v1::Fetch) -> Result<Command, Refusal> {
    Ok(Command::Fetch {
        conversation: id(&request.conversation_id, "fetch.conversation_id")?,
        from_seq: request.from_seq,
        max_entries: at_most(request.max_entries, limits.max_fetch_entries),
        signed_head: request.signed_head,
    })
}

fn get_head(request: &v1::GetHead) -> Result<Command, Refusal> {
    Ok(Command::GetHead { conversation: id(&request.conversation_id, "get_head.conversation_id")? })
}

/// REDACT-003.
fn redact(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::Redact,
) -> Result<Command, Refusal> {
    let conversation = id(&request.conversation_id, "redact.conversation_id")?;
    let most = limits.max_redactions as usize;
    if !(1..=most).contains(&request.seqs.len()) {
        let message = format!("A Redact names 1 to {most} messages.");
        return Err(Refusal::invalid_argument("redact.seqs", message));
    }
    Ok(Command::Redact { key, conversation, seqs: request.seqs.clone() })
}

fn list_summaries(limits: &v1::Limits, request: &v1::ListSummaries) -> Result<Command, Refusal> {
    Ok(Command::ListSummaries {
        page_token: page_token(&request.page_token, "list_summaries.page_token")?,
        page_size: at_most(request.page_size, limits.max_page_items),
    })
}

/// MARK-006.
fn mark(request: &v1::Mark) -> Result<Command, Refusal> {
    let conversation = id(&request.conversation_id, "mark.conversation_id")?;
    let (delivered_seq, read_seq) = (request.delivered_seq, request.read_seq);
    if delivered_seq == 0 && read_seq == 0 {
        let message = "A Mark says how far something was delivered, or read.";
        return Err(Refusal::invalid_argument("mark.read_seq", message));
    }
    Ok(Command::Mark { conversation, delivered_seq, read_seq })
}

fn list_watermarks(limits: &v1::Limits, request: &v1::ListWatermarks) -> Result<Command, Refusal> {
    Ok(Command::ListWatermarks {
        conversation: id(&request.conversation_id, "list_watermarks.conversation_id")?,
        page_token: page_token(&request.page_token, "list_watermarks.page_token")?,
        page_size: at_most(request.page_size, limits.max_page_items),
    })
}

/// PRES-002, PRES-003.
fn set_presence(request: &v1::SetPresence) -> Result<Command, Refusal> {
    let settings = request.settings.clone().unwrap_or_default();
    let hidden = match v1::Visibility::try_from(settings.visibility) {
        Ok(v1::Visibility::Shared) => false,
        Ok(v1::Visibility::Hidden) => true,
        Ok(v1::Visibility::Unspecified) | Err(_) => {
            let message = "The visibility is SHARED or HIDDEN.";
            return Err(Refusal::invalid_argument("set_presence.settings.visibility", message));
        }
    };
    let (status_text, private_receipts) = (settings.status_text, settings.private_receipts);
    if status_text.len() > MAX_STATUS_BYTES || status_text.contains(char::is_control) {
        let message = "A status is at most 128 bytes without control characters.";
        return Err(Refusal::invalid_argument("set_presence.settings.status_text", message));
    }
    Ok(Command::SetPresence { hidden, status_text, private_receipts })
}

/// PRES-006.
fn get_presence(limits: &v1::Limits, request: &v1::GetPresence) -> Result<Command, Refusal> {
    const FIELD: &str = "get_presence.user_ids";
    if request.user_ids.len() > limits.max_page_items as usize {
        let message = format!("At most {} users are asked about at once.", limits.max_page_items);
        return Err(Refusal::invalid_argument(FIELD, message));
    }
    let user_ids =
        request.user_ids.iter().map(|bytes| id(bytes, FIELD)).collect::<Result<_, _>>()?;
    Ok(Command::GetPresence { user_ids })
}

fn set_typing(request: &v1::SetTyping) -> Result<Command, Refusal> {
    let conversation = id(&request.conversation_id, "set_typing.conversation_id")?;
    Ok(Command::SetTyping { conversation, typing: request.typing })
}

/// SEARCH-002, but for whether there is a word in it.
fn search(limits: &v1::Limits, request: &v1::Search) -> Result<Command, Refusal> {
    let conversation = match request.conversation_id.is_empty() {
        true => None,
        false => Some(id(&request.conversation_id, "search.conversation_id")?),
    };
    if !(1..=MAX_QUERY_BYTES).contains(&request.query.len()) {
        let message = "A query is 1 to 256 bytes.";
        return Err(Refusal::invalid_argument("search.query", message));
    }
    Ok(Command::Search {
        conversation,
        query: request.query.clone(),
        page_token: page_token(&request.page_token, "search.page_token")?,
        page_size: at_most(request.page_size, limits.max_page_items),
    })
}

/// A handle in canonical form (NAME-001, NAME-002).
pub(super) fn handle(limits: &v1::Limits, text: &str) -> Result<Name, Refusal> {
    name(limits, text, v1::ErrorCode::HandleInvalid)
}

fn room_name(limits: &v1::Limits, text: &str) -> Result<Name, Refusal> {
    name(limits, text, v1::ErrorCode::RoomNameInvalid)
}

fn name(limits: &v1::Limits, text: &str, code: v1::ErrorCode) -> Result<Name, Refusal> {
    Name::new(text, limits.max_name_chars as usize)
        .map_err(|error| Refusal::new(code, format!("Not possible: {error}.")))
}

/// A password to be set (PASS-001, PASS-002).
pub(super) fn new_password(limits: &v1::Limits, text: &str) -> Result<Secret, Refusal> {
    let refused = |message: String| Refusal::new(v1::ErrorCode::PasswordInvalid, message);
    let Some(prepared) = prepare_password(text) else {
        return Err(refused("A password is text without control characters (RFC 8265).".into()));
    };
    let (fewest, most) = (limits.min_password_chars, limits.max_password_bytes);
    if prepared.chars().count() < fewest as usize {
        return Err(refused(format!("A password has at least {fewest} characters.")));
    }
    if prepared.len() > most as usize {
        return Err(refused(format!("A password has at most {most} bytes.")));
    }
    Ok(Secret::new(prepared.into_owned()))
}

/// A password to be compared. What can't be a password is compared as it is, and equals none.
pub(super) fn given_password(text: &str) -> Secret {
    Secret::new(prepare_password(text).map_or_else(|| text.to_owned(), Into::into))
}

pub(super) fn on_conflict(value: i32, field: &'static str) -> Result<OnConflict, Refusal> {
    match v1::OnConflict::try_from(value) {
        Ok(v1::OnConflict::Unspecified | v1::OnConflict::Reject) => Ok(OnConflict::Reject),
        Ok(v1::OnConflict::Suffix) => Ok(OnConflict::Suffix),
        Err(_) => Err(Refusal::invalid_argument(field, "This way out of a conflict is not known.")),
    }
}

/// CONV-001, CONV-002.
pub(super) fn public_key(bytes: &[u8], field: &'static str) -> Result<PublicKey, Refusal> {
    PublicKey::from_bytes(bytes)
        .map_err(|error| Refusal::invalid_argument(field, format!("Not possible: {error}.")))
}

/// DEV-002.
pub(super) fn device_name(name: String, field: &'static str) -> Result<String, Refusal> {
    if !(1..=MAX_DEVICE_NAME_BYTES).contains(&name.len()) || name.contains(char::is_control) {
        let message = "A device's name is 1 to 64 bytes without control characters.";
        return Err(Refusal::invalid_argument(field, message));
    }
    Ok(name)
}

/// CONV-001.
pub(super) fn id<T>(bytes: &[u8], field: &'static str) -> Result<T, Refusal>
where
    T: for<'a> TryFrom<&'a [u8], Error = IdLengthError>,
{
    T::try_from(bytes)
        .map_err(|error| Refusal::invalid_argument(field, format!("Not possible: {error}.")))
}

/// CONV-001, for nonces, salts and signatures.
pub(super) fn fixed<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], Refusal> {
    bytes.try_into().map_err(|_| {
        let message = format!("This field is {N} bytes, not {}.", bytes.len());
        Refusal::invalid_argument(field, message)
    })
}

/// ROOM-019: the length; whether the server made it is for whoever makes them.
fn page_token(bytes: &Bytes, field: &'static str) -> Result<Bytes, Refusal> {
    if bytes.len() > MAX_PAGE_TOKEN_BYTES {
        return Err(Refusal::invalid_argument(field, "A page token is at most 64 bytes."));
    }
    Ok(bytes.clone())
}

/// 0 means the most, and more than the most counts as the most.
fn at_most(asked: u32, most: u32) -> u32 {
    if asked == 0 { most } else { asked.min(most) }
}
