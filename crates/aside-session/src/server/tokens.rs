//! Tokens: how they log in, what they may do, and the requests about them.

use aside_crypto::verify_token;
use aside_proto::{
    id::{DeviceId, IdempotencyKey},
    request::RequestInfo,
    token::TokenScopes,
    v1,
};
use zeroize::Zeroizing;

use super::{Command, Refusal, TokenRecord, arguments, phase::Context};

/// A token that wants to log in, and the secret by which it does.
pub(super) struct TokenClaim {
    pub(super) token_id: DeviceId,
    secret: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for TokenClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenClaim").field("token_id", &self.token_id).finish_non_exhaustive()
    }
}

/// What a connection may do that a token has authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) scopes: TokenScopes,
    pub(super) expires_ms: u64,
}

impl TokenClaim {
    pub(super) fn new(request: &v1::TokenLogin) -> Result<Self, Refusal> {
        let token_id = arguments::id(&request.token_id, "token_login.token_id")?;
        let secret = Zeroizing::new(arguments::fixed(&request.secret, "token_login.secret")?);
        Ok(Self { token_id, secret })
    }

    /// Whether the claim is true, and the token may log in (TOKEN-005 to TOKEN-007).
    pub(super) fn verify(
        &self,
        context: &Context<'_>,
        record: Option<TokenRecord>,
    ) -> Result<TokenRecord, Refusal> {
        // An unknown token costs a hash and a comparison too.
        let hash = record.as_ref().map_or([0; 32], |record| record.token_hash);
        match (record, verify_token(&self.secret, &hash)) {
            (Some(record), true) if record.is_revoked => {
                Err(Refusal::new(v1::ErrorCode::DeviceIsRevoked, "This token was revoked."))
            }
            (Some(record), true) if record.expires_ms <= context.now.unix_ms => {
                Err(Refusal::of(v1::ErrorCode::TokenExpired))
            }
            (Some(record), true) => Ok(record),
            (None, _) | (_, false) => Err(Refusal::authentication_failed()),
        }
    }
}

/// The one place where scopes are judged (TOKEN-008).
pub(super) fn within_scopes(grant: Option<Grant>, info: &RequestInfo) -> Result<(), Refusal> {
    let Some(grant) = grant else { return Ok(()) };
    match info.scope {
        Some(needed) if grant.scopes.allow(needed) => Ok(()),
        Some(needed) => {
            let needed = format!("{needed:?}").to_uppercase();
            let message = format!("This token lacks the scope {needed}, which the request needs.");
            Err(Refusal::new(v1::ErrorCode::ScopeMissing, message))
        }
        None => Err(Refusal::new(v1::ErrorCode::ScopeMissing, "No token may make this request.")),
    }
}

/// TOKEN-003.
pub(super) fn issue_token(
    key: IdempotencyKey,
    request: &v1::IssueToken,
) -> Result<Command, Refusal> {
    let name = arguments::device_name(request.name.clone(), "issue_token.name")?;
    let Some(scopes) = TokenScopes::from_numbers(&request.scopes) else {
        let message = "A token has at least one scope, and only scopes that there are.";
        return Err(Refusal::invalid_argument("issue_token.scopes", message));
    };
    Ok(Command::IssueToken {
        key,
        name,
        scopes,
        expires_ms: request.expires_ms,
        token_hash: arguments::fixed(&request.token_hash, "issue_token.token_hash")?,
        public_key: arguments::public_key(&request.public_key, "issue_token.public_key")?,
    })
}

pub(super) fn revoke_token(
    key: IdempotencyKey,
    request: &v1::RevokeToken,
) -> Result<Command, Refusal> {
    let token_id = arguments::id(&request.token_id, "revoke_token.token_id")?;
    Ok(Command::RevokeToken { key, token_id })
}
