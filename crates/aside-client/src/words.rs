//! What the refusals of a server are in a user's words. A server says what its registry says, which is for those who write clients.

use aside_proto::v1::ErrorCode;

/// A sentence without its full stop; none where the registry's does, or no user meets the code.
pub(crate) fn refused(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::TooManyAttempts => "too many log-ins have failed",
        ErrorCode::TooManyConnections => "the server has as many connections as it takes",
        ErrorCode::DeviceIsRevoked => "this device, or this token, was revoked",
        ErrorCode::IdleTimeout | ErrorCode::HandshakeTimeout => {
            "the server has waited for too long for this client"
        }
        ErrorCode::ShuttingDown => "the server is being stopped",
        ErrorCode::Unsupported => "this server can't do that",
        ErrorCode::RateLimited => "that is more than the server allows in so short a time",
        ErrorCode::ServerBusy => "the server is busy",
        ErrorCode::Internal => "the server has failed",
        ErrorCode::IdempotencyKeyInvalid => "the server does not take this client's clock",
        ErrorCode::RequestIdExpired => "this waited for too long to be sent",
        ErrorCode::AuthenticationFailed => "the handle, the password or the key is wrong",
        ErrorCode::DeviceExpired => "this device was not used for long",
        ErrorCode::RegistrationClosed => "this server makes no new accounts",
        ErrorCode::PasswordInvalid => "this password is too short, too long, or has odd characters",
        ErrorCode::HandleInvalid => "this can't be a handle",
        ErrorCode::HandleTaken => "somebody has this handle, or had it",
        ErrorCode::RenameTooSoon => "the handle was changed not long ago",
        ErrorCode::TooManyDevices => "the account has as many devices as it may have",
        ErrorCode::NoSuchDevice => "the account has no such device",
        ErrorCode::NoSuchConversation => "there is no such room",
        ErrorCode::NotAMember => "you are not a member of this room",
        ErrorCode::RoomNameInvalid => "this can't be the name of a room",
        ErrorCode::RoomNameTaken => "there is a room of this name",
        ErrorCode::TooManyRooms => "you are in as many rooms as you may be",
        ErrorCode::InviteRequired => "only those may join this room who are invited",
        ErrorCode::NotPermitted => "only an owner of the room may do that, or who said it",
        ErrorCode::NoSuchUser => "nobody has this handle",
        ErrorCode::TooManyInvitations => "there are as many invitations as there may be",
        ErrorCode::PayloadTooLarge => "the message is longer than the server takes",
        ErrorCode::NoSuchEntry => "there is no such message",
        ErrorCode::TooManyPins => "the room has as many pins as it may have",
        ErrorCode::ScopeMissing => "this token may not do that",
        ErrorCode::TokenExpired => "this token has expired",
        ErrorCode::TooManyTokens => "the account has as many tokens as it may have",
        ErrorCode::NoSuchToken => "the account has no such token",
        ErrorCode::DeviceNotApproved => {
            "this device is not approved, and private conversations are for those that are"
        }
        ErrorCode::WrongConversationKind => "that is not for a conversation of this kind",
        _ => return None,
    })
}
