//! A server, and requests as a well-behaved client sends them to it, for tests and fuzzing.

use aside_crypto::{Binding, SigningKey, Transcript, token_hash};
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId, uuid_v7},
    limits,
    name::Name,
    private::Leaf,
    request,
    token::TokenScopes,
    v1::{self, client_frame::Body, server_frame},
};
use bytes::Bytes;
use prost::Message as _;

use super::{Command, Config, DeviceRecord, DeviceState, Outcome, TokenRecord, Transport};
use crate::Now;

pub(crate) const NOW: Now = Now { monotonic_ms: 5_000, unix_ms: 1_800_000_000_000 };
pub(crate) const SERVER_NAME: &str = "chat.example";
pub(crate) const SERVER_NONCE: [u8; 32] = [1; 32];
pub(crate) const CLIENT_NONCE: [u8; 32] = [2; 32];
pub(crate) const EXPORTER: [u8; 32] = [3; 32];
pub(crate) const CERT_SHA256: [u8; 32] = [4; 32];
pub(crate) const USER: UserId = UserId::new([5; 16]);
pub(crate) const DEVICE: DeviceId = DeviceId::new([6; 16]);
pub(crate) const ROOM: ConversationId = ConversationId::new([7; 16]);

/// A server with small limits, so that they are reached.
pub(crate) fn config() -> Config {
    Config {
        limits: v1::Limits {
            max_frame_bytes: limits::MIN_FRAME_BYTES,
            max_payload_bytes: limits::MIN_PAYLOAD_BYTES,
            max_in_flight: 8,
            max_page_items: 10,
            max_fetch_entries: 20,
            max_redactions: 3,
            max_leaves: 4,
            max_commit_bytes: 512,
            max_welcome_bytes: 64,
            max_group_info_bytes: 64,
            max_key_packages: 3,
            max_key_package_bytes: 16,
            ..limits::DEFAULT
        },
        server_names: vec!["localhost".into(), "Chat.Example".into()],
        capabilities: vec!["private".into(), "sync".into(), "talk".into()],
        registration: v1::RegistrationMode::Open,
        log_key: v1::LogKey {
            public_key: Bytes::copy_from_slice(key().public_key().as_bytes()),
            rotations: Vec::new(),
        },
        user_agent: "aside-test/1".into(),
    }
}

pub(crate) fn tls() -> Transport {
    Transport::Tls { exporter: EXPORTER, cert_sha256: CERT_SHA256 }
}

pub(crate) fn web_socket(allow_none: bool) -> Transport {
    Transport::WebSocket { exporter: EXPORTER, cert_sha256: CERT_SHA256, allow_none }
}

/// The device's key.
pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[8; 32]).expect("the number is in range")
}

/// What the device's proofs are made over.
pub(crate) fn transcript() -> Transcript<'static> {
    Transcript {
        binding: Binding::Exporter(EXPORTER),
        server_name: SERVER_NAME,
        server_nonce: &SERVER_NONCE,
        client_nonce: &CLIENT_NONCE,
    }
}

pub(crate) fn hello() -> v1::Hello {
    v1::Hello {
        versions: vec![0x0a0a, 1],
        capabilities: vec!["talk".into(), "grease-1".into(), "sync".into(), "private".into()],
        client_nonce: Bytes::copy_from_slice(&CLIENT_NONCE),
        server_name: SERVER_NAME.into(),
        user_agent: "test".into(),
    }
}

/// A proof over the transcript: that the key is to be bound, or that the device logs in.
pub(crate) fn proof(transcript: &Transcript<'_>, device: Option<DeviceId>) -> v1::DeviceProof {
    let signature = match device {
        None => transcript.sign_bind(&key()),
        Some(device) => transcript.sign_login(&key(), device),
    };
    v1::DeviceProof {
        binding_type: transcript.binding.type_().into(),
        signature: Bytes::copy_from_slice(signature.as_bytes()),
    }
}

pub(crate) fn new_device() -> v1::NewDevice {
    v1::NewDevice {
        public_key: Bytes::copy_from_slice(key().public_key().as_bytes()),
        name: "laptop".into(),
        proof: Some(proof(&transcript(), None)),
    }
}

pub(crate) fn register() -> v1::Register {
    v1::Register {
        handle: "Alice".into(),
        password: "correct horse".into(),
        on_conflict: v1::OnConflict::Suffix.into(),
        device: Some(new_device()),
    }
}

pub(crate) fn password_login() -> v1::PasswordLogin {
    v1::PasswordLogin {
        handle: "Alice".into(),
        password: "correct horse".into(),
        device: Some(new_device()),
    }
}

pub(crate) fn device_login() -> v1::DeviceLogin {
    v1::DeviceLogin {
        device_id: DEVICE.to_bytes(),
        proof: Some(proof(&transcript(), Some(DEVICE))),
    }
}

pub(crate) const SECRET: [u8; 32] = [12; 32];

#[cfg(test)]
pub(crate) fn token_login() -> v1::TokenLogin {
    let (token_id, secret) = (DEVICE.to_bytes(), Bytes::copy_from_slice(&SECRET));
    v1::TokenLogin { token_id, secret }
}

pub(crate) fn issue_token() -> v1::IssueToken {
    v1::IssueToken {
        name: "bot".into(),
        scopes: vec![v1::TokenScope::Send.into(), v1::TokenScope::Read.into()],
        expires_ms: 7,
        token_hash: vec![13; 32].into(),
        public_key: Bytes::copy_from_slice(key().public_key().as_bytes()),
    }
}

pub(crate) fn search() -> v1::Search {
    v1::Search { query: "tea".into(), ..Default::default() }
}

pub(crate) fn ping(data: impl Into<Bytes>) -> Body {
    Body::Ping(v1::Ping { data: data.into() })
}

pub(crate) fn send_message() -> v1::SendMessage {
    v1::SendMessage {
        conversation_id: ROOM.to_bytes(),
        payload: "payload".into(),
        salt: vec![9; 32].into(),
        signature: vec![10; 64].into(),
    }
}

pub(crate) fn fetch() -> Body {
    let conversation_id = ROOM.to_bytes();
    Body::Fetch(v1::Fetch { conversation_id, from_seq: 1, max_entries: 0, signed_head: false })
}

pub(crate) fn mark() -> Body {
    Body::Mark(v1::Mark { conversation_id: ROOM.to_bytes(), delivered_seq: 2, read_seq: 1 })
}

pub(crate) fn update_room() -> v1::UpdateRoom {
    v1::UpdateRoom {
        conversation_id: ROOM.to_bytes(),
        name: Some("Cellar".into()),
        topic: Some("Wine".into()),
        description: Some("Two\nlines".into()),
        invite_only: Some(true),
        retention: Some(v1::Retention { max_age_s: 86_400, max_entries: 1000 }),
    }
}

pub(crate) fn set_presence(visibility: i32, status_text: &str) -> Body {
    let status_text = status_text.to_owned();
    let settings = v1::PresenceSettings { visibility, status_text, private_receipts: true };
    Body::SetPresence(v1::SetPresence { settings: Some(settings) })
}

/// One of each request of phase Authenticated but Ping, as it should be.
pub(crate) fn requests() -> Vec<Body> {
    let conversation_id = ROOM.to_bytes();
    vec![
        Body::Rename(v1::Rename { handle: "Bob".into(), on_conflict: 0 }),
        Body::ChangePassword(v1::ChangePassword {
            old_password: "correct horse".into(),
            new_password: "battery staple".into(),
        }),
        Body::ListDevices(v1::ListDevices {}),
        Body::RevokeDevice(v1::RevokeDevice { device_id: DEVICE.to_bytes() }),
        Body::LookUpDevices(v1::LookUpDevices { device_ids: vec![DEVICE.to_bytes()] }),
        Body::CreateRoom(v1::CreateRoom { name: "Kitchen".into() }),
        Body::ListRooms(v1::ListRooms::default()),
        Body::Join(v1::Join { conversation_id: conversation_id.clone() }),
        Body::Leave(v1::Leave { conversation_id: conversation_id.clone() }),
        Body::ListMembers(v1::ListMembers {
            conversation_id: conversation_id.clone(),
            ..Default::default()
        }),
        Body::SendMessage(send_message()),
        fetch(),
        Body::GetHead(v1::GetHead { conversation_id: conversation_id.clone() }),
        Body::UpdateRoom(update_room()),
        Body::Invite(v1::Invite {
            conversation_id: conversation_id.clone(),
            handle: "Bob".into(),
            withdraw: true,
        }),
        Body::SetPin(v1::SetPin { conversation_id: conversation_id.clone(), seq: 3, pinned: true }),
        Body::ListPins(v1::ListPins {
            conversation_id: conversation_id.clone(),
            ..Default::default()
        }),
        Body::ListSummaries(v1::ListSummaries::default()),
        mark(),
        Body::ListWatermarks(v1::ListWatermarks {
            conversation_id: conversation_id.clone(),
            ..Default::default()
        }),
        Body::Redact(v1::Redact { conversation_id: conversation_id.clone(), seqs: vec![4, 2, 4] }),
        set_presence(v1::Visibility::Hidden.into(), "away"),
        Body::GetPresence(v1::GetPresence { user_ids: vec![USER.to_bytes()] }),
        Body::SetTyping(v1::SetTyping { conversation_id, typing: true }),
        Body::Search(search()),
        Body::IssueToken(issue_token()),
        Body::ListTokens(v1::ListTokens {}),
        Body::RevokeToken(v1::RevokeToken { token_id: DEVICE.to_bytes() }),
        Body::PublishDeviceLog(v1::PublishDeviceLog {
            from_position: 1,
            entries: vec!["entry".into()],
            replaces: 0,
        }),
        Body::FetchDeviceLogs(v1::FetchDeviceLogs {
            user_ids: vec![USER.to_bytes()],
            from_position: 2,
        }),
        Body::PublishKeyPackages(publish_key_packages()),
        Body::ClaimKeyPackages(claim_key_packages()),
        Body::OpenDirect(v1::OpenDirect { user_id: USER.to_bytes(), handle: String::new() }),
        Body::CreateGroup(v1::CreateGroup {}),
        Body::EstablishGroup(establish_group(|_| {})),
        Body::SubmitCommit(submit_commit(|_| {})),
        Body::SendPrivate(send_private(|_| {})),
        Body::SetRole(set_role(v1::Role::Admin.into())),
        Body::RejectCommit(reject_commit(v1::RejectCode::HeaderMismatch.into())),
        Body::GetGroupInfo(v1::GetGroupInfo { conversation_id: ROOM.to_bytes() }),
        Body::FetchInbox(v1::FetchInbox { after: 3, max_items: 0 }),
        Body::AckInbox(v1::AckInbox { up_to: 4 }),
        Body::ReportForkCheck(report_fork_check()),
        Body::Relay(v1::Relay { device_id: DEVICE.to_bytes(), payload: "said".into() }),
    ]
}

/// The key of a mutating [`frame`].
pub(crate) fn idempotency_key() -> IdempotencyKey {
    IdempotencyKey::new(uuid_v7(NOW.unix_ms, [11; 10]))
}

pub(crate) const LEAF: Leaf = Leaf { user: USER, device: DEVICE };

pub(crate) fn publish_key_packages() -> v1::PublishKeyPackages {
    v1::PublishKeyPackages {
        suite: 2,
        key_packages: vec!["one".into(), "two".into()],
        last_resort: "last".into(),
        replace: true,
    }
}

pub(crate) fn claim_key_packages() -> v1::ClaimKeyPackages {
    let target = |device_id| v1::ClaimTarget { user_id: USER.to_bytes(), device_id };
    v1::ClaimKeyPackages {
        suite: 2,
        targets: vec![target(Bytes::new()), target(DEVICE.to_bytes())],
    }
}

fn welcome() -> v1::Welcome {
    v1::Welcome { welcome: "welcome".into(), device_ids: vec![DEVICE.to_bytes()] }
}

pub(crate) fn establish_group(change: impl FnOnce(&mut v1::EstablishHeader)) -> v1::EstablishGroup {
    let mut header = v1::EstablishHeader {
        conversation_id: ROOM.to_bytes(),
        generation: 1,
        head_seq: 5,
        suite: 2,
        leaves: vec![LEAF.into()],
        culprit: Some(LEAF.into()),
    };
    change(&mut header);
    v1::EstablishGroup {
        header: header.encode_to_vec().into(),
        salt: vec![9; 32].into(),
        welcomes: vec![welcome()],
        group_info: "info".into(),
    }
}

pub(crate) fn submit_commit(change: impl FnOnce(&mut v1::CommitHeader)) -> v1::SubmitCommit {
    let mut header = v1::CommitHeader {
        conversation_id: ROOM.to_bytes(),
        message_id: idempotency_key().to_bytes(),
        generation: 1,
        epoch: 2,
        added: vec![LEAF.into()],
        removed: vec![LEAF.into()],
        is_external: true,
        head_seq: 1,
        chain: vec![4; 32].into(),
    };
    change(&mut header);
    let header = header.encode_to_vec().into();
    let payload = v1::CommitPayload { header, commit: "commit".into() };
    v1::SubmitCommit {
        payload: payload.encode_to_vec().into(),
        salt: vec![9; 32].into(),
        welcomes: vec![welcome()],
        group_info: "info".into(),
    }
}

pub(crate) fn send_private(change: impl FnOnce(&mut v1::PrivateHeader)) -> v1::SendPrivate {
    let mut header = v1::PrivateHeader {
        conversation_id: ROOM.to_bytes(),
        message_id: idempotency_key().to_bytes(),
        generation: 1,
        epoch: 2,
        franking_tag: vec![3; 32].into(),
        head_seq: 1,
        chain: vec![4; 32].into(),
    };
    change(&mut header);
    let header = header.encode_to_vec().into();
    let payload = v1::PrivatePayload { header, ciphertext: "ciphertext".into() };
    v1::SendPrivate { payload: payload.encode_to_vec().into(), salt: vec![9; 32].into() }
}

pub(crate) fn set_role(role: i32) -> v1::SetRole {
    v1::SetRole { conversation_id: ROOM.to_bytes(), user_id: USER.to_bytes(), role }
}

pub(crate) fn reject_commit(code: i32) -> v1::RejectCommit {
    v1::RejectCommit { conversation_id: ROOM.to_bytes(), seq: 6, code }
}

pub(crate) fn report_fork_check() -> v1::ReportForkCheck {
    v1::ReportForkCheck {
        conversation_id: ROOM.to_bytes(),
        generation: 1,
        epoch: 2,
        value: vec![4; 32].into(),
    }
}

/// A request in a frame, with an idempotency key if it is mutating.
pub(crate) fn frame(request_id: u64, body: Body) -> v1::ClientFrame {
    let idempotency_key = match request::info(&body).mutating {
        true => idempotency_key().to_bytes(),
        false => Bytes::new(),
    };
    v1::ClientFrame { request_id, idempotency_key, body: Some(body) }
}

/// What comes of a command when all goes well.
pub(crate) fn outcome(command: &Command) -> Outcome {
    use server_frame::Body;
    Outcome::Reply(match command {
        Command::Register { .. } | Command::PasswordLogin { .. } => {
            return Outcome::LoggedIn { user_id: USER, device_id: DEVICE };
        }
        Command::FindDevice { .. } => return Outcome::Device(Some(device(DeviceState::Active))),
        Command::FindToken { .. } => return Outcome::Token(Some(token())),
        Command::Attach { .. } => {
            return Outcome::Attached { handle: Name::from_canonical("alice".into()) };
        }
        Command::Rename { handle, .. } => Body::Renamed(v1::Renamed { handle: handle.to_string() }),
        Command::ChangePassword { .. } => Body::PasswordChanged(v1::PasswordChanged::default()),
        Command::ListDevices => Body::Devices(v1::Devices::default()),
        Command::RevokeDevice { .. } => Body::DeviceRevoked(v1::DeviceRevoked {}),
        Command::LookUpDevices { .. } => Body::DeviceKeys(v1::DeviceKeys::default()),
        Command::Relay { .. } => Body::Relayed(v1::Relayed::default()),
        Command::CreateRoom { .. } => Body::RoomCreated(v1::RoomCreated::default()),
        Command::ListRooms { .. } => Body::Rooms(v1::Rooms::default()),
        Command::Join { .. } => Body::Joined(v1::Joined::default()),
        Command::Leave { .. } => Body::Left(v1::Left {}),
        Command::ListMembers { .. } => Body::Members(v1::Members::default()),
        Command::SendMessage { .. } => Body::Sent(v1::Sent::default()),
        Command::Fetch { .. } => Body::Fetched(v1::Fetched::default()),
        Command::GetHead { .. } => Body::Head(v1::Head::default()),
        Command::UpdateRoom { .. } => Body::RoomUpdated(v1::RoomUpdated::default()),
        Command::Invite { .. } => Body::Invited(v1::Invited {}),
        Command::SetPin { .. } => Body::PinSet(v1::PinSet {}),
        Command::ListPins { .. } => Body::Pins(v1::Pins::default()),
        Command::ListSummaries { .. } => Body::Summaries(v1::Summaries::default()),
        Command::Mark { .. } => Body::Marked(v1::Marked::default()),
        Command::ListWatermarks { .. } => Body::Watermarks(v1::Watermarks::default()),
        Command::Redact { .. } => Body::Redacted(v1::Redacted::default()),
        Command::SetPresence { .. } => Body::PresenceSet(v1::PresenceSet {}),
        Command::GetPresence { .. } => Body::Presences(v1::Presences::default()),
        Command::SetTyping { .. } => Body::TypingSet(v1::TypingSet {}),
        Command::Search { .. } => Body::SearchResults(v1::SearchResults::default()),
        Command::IssueToken { .. } => Body::TokenIssued(v1::TokenIssued::default()),
        Command::ListTokens => Body::Tokens(v1::Tokens::default()),
        Command::RevokeToken { .. } => Body::TokenRevoked(v1::TokenRevoked {}),
        Command::PublishDeviceLog { .. } => {
            Body::DeviceLogPublished(v1::DeviceLogPublished::default())
        }
        Command::FetchDeviceLogs { .. } => Body::DeviceLogs(v1::DeviceLogs::default()),
        Command::PublishKeyPackages { .. } => {
            Body::KeyPackagesPublished(v1::KeyPackagesPublished::default())
        }
        Command::ClaimKeyPackages { .. } => {
            Body::KeyPackagesClaimed(v1::KeyPackagesClaimed::default())
        }
        Command::OpenDirect { .. } => Body::DirectOpened(v1::DirectOpened::default()),
        Command::CreateGroup { .. } => Body::GroupCreated(v1::GroupCreated::default()),
        Command::EstablishGroup { .. } => Body::GroupEstablished(v1::GroupEstablished::default()),
        Command::SubmitCommit { .. } => Body::Committed(v1::Committed::default()),
        Command::SendPrivate { .. } => Body::Sent(v1::Sent::default()),
        Command::SetRole { .. } => Body::RoleSet(v1::RoleSet {}),
        Command::RejectCommit { .. } => Body::CommitRejected(v1::CommitRejected::default()),
        Command::GetGroupInfo { .. } => Body::GroupInfo(v1::GroupInfo::default()),
        Command::FetchInbox { .. } => Body::Inbox(v1::Inbox::default()),
        Command::AckInbox { .. } => Body::InboxAcked(v1::InboxAcked {}),
        Command::ReportForkCheck { .. } => Body::ForkCheckReported(v1::ForkCheckReported {}),
    })
}

/// What the store knows of the device.
pub(crate) fn device(state: DeviceState) -> DeviceRecord {
    DeviceRecord { user_id: USER, public_key: key().public_key(), state }
}

/// What the store knows of the token whose secret is [`SECRET`]: it may send, for a minute.
pub(crate) fn token() -> TokenRecord {
    TokenRecord {
        user_id: USER,
        token_hash: token_hash(&SECRET),
        scopes: TokenScopes::from_numbers(&[2]).expect("there is this scope"),
        expires_ms: NOW.unix_ms + 60_000,
        is_revoked: false,
    }
}
