//! Tokens for bots.

use std::time::Duration;

use aside_proto::{
    id::{DeviceId, IdLengthError},
    v1::{self, client_frame, server_frame::Body},
};

use super::Client;
use crate::{BotToken, Error};

/// A token of the account, as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id, which is also that of its device.
    pub id: DeviceId,
    /// What it was called when it was issued.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<v1::TokenScope>,
    /// When it was issued, milliseconds since 1970.
    pub created_ms: u64,
    /// When it ends, milliseconds since 1970.
    pub expires_ms: u64,
    /// When it was last connected, milliseconds since 1970; none if it never was.
    pub last_used_ms: Option<u64>,
    /// Whether it is connected now.
    pub online: bool,
}

/// A token that was just issued.
#[derive(Debug)]
pub struct IssuedToken {
    /// What the program logs in with. Nobody else has it.
    pub token: BotToken,
    /// When it ends, milliseconds since 1970.
    pub expires_ms: u64,
    /// Whether that is before what was asked for: the server lets no token live so long (TOKEN-004).
    pub is_cut_short: bool,
}

impl Client {
    /// Makes a token, for a program to log in with: [`LogIn::Token`](crate::LogIn::Token). It ends after `lifetime`, or when the
    /// server lets it live no longer.
    ///
    /// # Errors
    /// TOO_MANY_TOKENS, TOKEN_NAME_TAKEN, and INVALID_ARGUMENT without a scope, among others.
    pub async fn issue_token(
        &self,
        name: &str,
        scopes: &[v1::TokenScope],
        lifetime: Option<Duration>,
    ) -> Result<IssuedToken, Error> {
        let token = BotToken::make();
        let ends = lifetime.map(|lifetime| {
            let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
            self.status.borrow().server_unix_ms().saturating_add(lifetime_ms)
        });
        let issue = v1::IssueToken {
            name: name.to_owned(),
            scopes: scopes.iter().map(|&scope| scope.into()).collect(),
            expires_ms: ends.unwrap_or(0),
            token_hash: token.hash().to_vec().into(),
            public_key: token.key.public_key().as_bytes().to_vec().into(),
        };
        match self.call(client_frame::Body::IssueToken(issue)).await? {
            Body::TokenIssued(issued) => {
                let (id, expires_ms) = (issued.token_id[..].try_into()?, issued.expires_ms);
                let is_cut_short = ends.is_some_and(|ends| expires_ms < ends);
                Ok(IssuedToken { token: BotToken { id, ..token }, expires_ms, is_cut_short })
            }
            _ => Err(Error::Gone),
        }
    }

    /// The account's tokens that are not revoked, in order of creation.
    ///
    /// # Errors
    /// As every request.
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        match self.call(client_frame::Body::ListTokens(v1::ListTokens {})).await? {
            Body::Tokens(listed) => {
                let tokens = listed.tokens.into_iter().map(Token::try_from);
                Ok(tokens.collect::<Result<_, _>>()?)
            }
            _ => Err(Error::Gone),
        }
    }

    /// Revokes a token: it can never log in again, and its connections are closed.
    ///
    /// # Errors
    /// NO_SUCH_TOKEN among others.
    pub async fn revoke_token(&self, token: DeviceId) -> Result<(), Error> {
        let revoke = v1::RevokeToken { token_id: token.to_bytes() };
        self.call(client_frame::Body::RevokeToken(revoke)).await.map(drop)
    }
}

impl TryFrom<v1::Token> for Token {
    type Error = IdLengthError;

    fn try_from(token: v1::Token) -> Result<Self, IdLengthError> {
        Ok(Self {
            id: token.token_id[..].try_into()?,
            scopes: token.scopes().collect(),
            name: token.name,
            created_ms: token.created_ms,
            expires_ms: token.expires_ms,
            last_used_ms: Some(token.last_used_ms).filter(|&ms| ms > 0),
            online: token.online,
        })
    }
}
