//! Written by `cargo xtask registry` from spec/registry/errors.toml.

use crate::{
    error::{ErrorInfo, Retry, Scope},
    v1::ErrorCode,
};

/// What the registry says of this code.
#[must_use]
pub fn info(code: ErrorCode) -> ErrorInfo {
    let (scope, retry, trigger, remedy) = match code {
        ErrorCode::Unspecified => (Scope::Request, Retry::No, "Never sent.", "None."),
        ErrorCode::FrameEmpty => (
            Scope::Connection,
            Retry::No,
            "A frame with length 0.",
            "Mend the encoder: every frame holds one message.",
        ),
        ErrorCode::FrameTooLarge => (
            Scope::Connection,
            Retry::No,
            "A frame whose length is above the limit of the phase.",
            "Keep to max_frame_bytes_unauthenticated and max_frame_bytes.",
        ),
        ErrorCode::FrameMalformed => (
            Scope::Connection,
            Retry::No,
            "A frame body that is not a valid Protobuf encoding of ClientFrame, invalid UTF-8 in a string included.",
            "Mend the encoder.",
        ),
        ErrorCode::RequestIdZero => (
            Scope::Connection,
            Retry::No,
            "A ClientFrame whose request_id is 0 or absent.",
            "Number requests from 1.",
        ),
        ErrorCode::NotBinary => (
            Scope::Connection,
            Retry::No,
            "A WebSocket message that is not binary.",
            "Send binary messages.",
        ),
        ErrorCode::AlpnRequired => (
            Scope::Connection,
            Retry::No,
            "A TLS connection that negotiated no application protocol.",
            "Offer aside/1 (or http/1.1 for WebSocket) by ALPN.",
        ),
        ErrorCode::VersionUnsupported => (
            Scope::Connection,
            Retry::No,
            "A Hello whose versions have none in common with the server's.",
            "Update the client, or the server.",
        ),
        ErrorCode::ServerNameWrong => (
            Scope::Connection,
            Retry::No,
            "A Hello whose server_name is not a name of this server.",
            "Dial the server by a name it has; its operator lists them in server.names.",
        ),
        ErrorCode::HandshakeTimeout => (
            Scope::Connection,
            Retry::Yes,
            "A connection that has not authenticated within handshake_timeout_ms.",
            "Connect again and log in at once.",
        ),
        ErrorCode::IdleTimeout => (
            Scope::Connection,
            Retry::Yes,
            "A connection from which no whole frame was received for idle_timeout_ms.",
            "Connect again. A client that pings at a third of idle_timeout_ms is not cut off.",
        ),
        ErrorCode::TooManyAttempts => (
            Scope::Connection,
            Retry::After,
            "A further log-in, registration or password change after several that failed on this connection.",
            "Wait for as long as the server says, and try again with the right password.",
        ),
        ErrorCode::TooManyConnections => (
            Scope::Connection,
            Retry::After,
            "A connection beyond those the server allows, in all or from one address.",
            "Wait for as long as the server says, or close other clients.",
        ),
        ErrorCode::DeviceIsRevoked => (
            Scope::Connection,
            Retry::No,
            "A device that is revoked while connected, or logs in with a key that was revoked; a token that is revoked, or expires while connected.",
            "Log in with the password and a new device key; for a bot, issue another token.",
        ),
        ErrorCode::ShuttingDown => (
            Scope::Connection,
            Retry::After,
            "The server is being stopped.",
            "Connect again when it is back.",
        ),
        ErrorCode::Unsupported => (
            Scope::Request,
            Retry::No,
            "A ClientFrame with no request in it that the server knows, or one of a capability not in force.",
            "Do without it, or ask for the server to be updated.",
        ),
        ErrorCode::WrongPhase => (
            Scope::Request,
            Retry::No,
            "A request that the connection's phase does not allow.",
            "Send Hello first, then log in, then the rest; each of the first two once.",
        ),
        ErrorCode::InvalidArgument => (
            Scope::Request,
            Retry::No,
            "A field that breaks a rule of its length, range or form and has no code of its own; `field` names it.",
            "Change it, and try again.",
        ),
        ErrorCode::RateLimited => (
            Scope::Request,
            Retry::After,
            "More requests than the server allows an address, an account or a target.",
            "Wait for as long as the server says, and try again.",
        ),
        ErrorCode::ServerBusy => (
            Scope::Request,
            Retry::After,
            "The server has more work queued than it allows itself.",
            "Wait for as long as the server says, and try again.",
        ),
        ErrorCode::Internal => (
            Scope::Request,
            Retry::Yes,
            "The server failed (its database, say). Nothing of the request took effect, or all of it did.",
            "Try again; a client keeps the idempotency key. Tell the operator if it stays.",
        ),
        ErrorCode::IdempotencyKeyInvalid => (
            Scope::Request,
            Retry::No,
            "A mutating request whose idempotency_key is not a UUIDv7, or is over 24 hours ahead of the server's clock; or another request that has one.",
            "Set this machine's clock right, and try again.",
        ),
        ErrorCode::IdempotencyKeyReused => (
            Scope::Request,
            Retry::No,
            "An idempotency key that this device used for a request of another kind, or, for SendMessage, for a message to another conversation.",
            "Make a new key for each intended effect.",
        ),
        ErrorCode::RequestIdExpired => (
            Scope::Request,
            Retry::No,
            "An idempotency key (not a request_id) older than idempotency_window_s.",
            "Look whether it is done already; if not, do it once more.",
        ),
        ErrorCode::AuthenticationFailed => (
            Scope::Request,
            Retry::No,
            "A log-in with an unknown handle, a wrong password, an unknown device or a signature that does not verify; or a wrong old password.",
            "Look at the handle and the password. The server says no more, so that nobody learns who exists.",
        ),
        ErrorCode::BindingNotAllowed => (
            Scope::Request,
            Retry::No,
            "A proof whose binding_type is not among Greeted.binding_types.",
            "Use one that is; never fall back to NONE unasked.",
        ),
        ErrorCode::ProofInvalid => (
            Scope::Request,
            Retry::No,
            "Register or PasswordLogin with a proof that does not verify under the public key in it.",
            "Mend the label, the order of fields or the binding.",
        ),
        ErrorCode::DeviceExpired => (
            Scope::Request,
            Retry::No,
            "A device that was not seen for device_expiry_s.",
            "Log in with the password; the device stays the same.",
        ),
        ErrorCode::RegistrationClosed => (
            Scope::Request,
            Retry::No,
            "Register where registration is closed.",
            "Ask the operator for an account.",
        ),
        ErrorCode::PasswordInvalid => (
            Scope::Request,
            Retry::No,
            "A new password that is too short, too long, or refused by RFC 8265 OpaqueString.",
            "Choose another: longer, or shorter if it is very long.",
        ),
        ErrorCode::HandleInvalid => (
            Scope::Request,
            Retry::No,
            "A handle that RFC 8265 UsernameCaseMapped or this specification refuses.",
            "Choose another, of letters and digits for instance.",
        ),
        ErrorCode::HandleTaken => (
            Scope::Request,
            Retry::No,
            "A handle that another account has or had.",
            "Choose another, or ask for a suffix.",
        ),
        ErrorCode::RenameTooSoon => (
            Scope::Request,
            Retry::After,
            "A rename within rename_cooldown_s of the one before.",
            "Wait for as long as the server says.",
        ),
        ErrorCode::TooManyDevices => (
            Scope::Request,
            Retry::No,
            "A log-in that would bind more than max_devices_per_user devices.",
            "Revoke a device from another one.",
        ),
        ErrorCode::NoSuchDevice => (
            Scope::Request,
            Retry::No,
            "RevokeDevice for an id that is not one of the account's active devices.",
            "Look at the list of devices again.",
        ),
        ErrorCode::NoSuchConversation => (
            Scope::Request,
            Retry::No,
            "A conversation_id that does not exist.",
            "Look at the list of rooms again.",
        ),
        ErrorCode::NotAMember => (
            Scope::Request,
            Retry::No,
            "A request that only members may make, by another.",
            "Join the room first.",
        ),
        ErrorCode::RoomNameInvalid => (
            Scope::Request,
            Retry::No,
            "A room name that RFC 8265 UsernameCaseMapped or this specification refuses.",
            "Choose another, of letters and digits for instance.",
        ),
        ErrorCode::RoomNameTaken => (
            Scope::Request,
            Retry::No,
            "A room name that another room has.",
            "Join that room, or choose another name.",
        ),
        ErrorCode::TooManyRooms => (
            Scope::Request,
            Retry::No,
            "Joining or making more than max_rooms_per_user rooms.",
            "Leave a room.",
        ),
        ErrorCode::InviteRequired => (
            Scope::Request,
            Retry::No,
            "Joining an invite-only room without an invitation.",
            "Ask an owner of the room for an invitation.",
        ),
        ErrorCode::NotPermitted => (
            Scope::Request,
            Retry::No,
            "A request that the member's role does not allow.",
            "Ask an owner of the room to do it.",
        ),
        ErrorCode::NoSuchUser => (
            Scope::Request,
            Retry::No,
            "A handle that no account has now.",
            "Ask for the handle: it may have been changed.",
        ),
        ErrorCode::TooManyInvitations => (
            Scope::Request,
            Retry::No,
            "An invitation beyond max_invitations_per_user or max_invitations_per_room, or an eleventh by one user to another.",
            "Wait until invitations are used or turned down.",
        ),
        ErrorCode::PayloadTooLarge => {
            (Scope::Request, Retry::No, "A payload above max_payload_bytes.", "Split the message.")
        }
        ErrorCode::SeqOutOfRange => (
            Scope::Request,
            Retry::No,
            "Fetch with from_seq 0 or above head_seq + 1; head_seq comes with it.",
            "Fetch from within the log. A log that got shorter is the server's fault: tell the user.",
        ),
        ErrorCode::Trimmed => (
            Scope::Request,
            Retry::No,
            "Fetch with a from_seq that is no longer kept; first_seq and anchor come with it.",
            "Fetch from first_seq, with anchor as the chain value before it.",
        ),
        ErrorCode::NoSuchEntry => (
            Scope::Request,
            Retry::No,
            "A seq at which there is no entry of the kind that the request is for.",
            "Look at the history again: the message is not there, or can not be meant.",
        ),
        ErrorCode::TooManyPins => (
            Scope::Request,
            Retry::No,
            "Pinning more than max_pins messages.",
            "Take a pin off another.",
        ),
        ErrorCode::ScopeMissing => (
            Scope::Request,
            Retry::No,
            "A request that none of the token's scopes allows, or that no token may make.",
            "Issue a token that may do it; what no token may do is for a device of the account.",
        ),
        ErrorCode::TokenExpired => (
            Scope::Request,
            Retry::No,
            "TokenLogin with the right secret of a token whose expires_ms has passed.",
            "Issue another token.",
        ),
        ErrorCode::TooManyTokens => (
            Scope::Request,
            Retry::No,
            "IssueToken for an account that has max_tokens_per_user tokens.",
            "Revoke one that is no longer used.",
        ),
        ErrorCode::NoSuchToken => (
            Scope::Request,
            Retry::No,
            "A token_id that is not of one of the account's tokens.",
            "Look at the list of the account's tokens again.",
        ),
        ErrorCode::TokenNameTaken => (
            Scope::Request,
            Retry::No,
            "IssueToken with the name of another token of the account that has neither ended nor been revoked.",
            "Choose another name, or revoke the token that has it.",
        ),
    };
    ErrorInfo { scope, retry, trigger, remedy }
}
