//! Tokens.

use std::sync::Arc;

use aside_proto::{
    id::{DeviceId, IdempotencyKey},
    v1::server_frame::Body,
};
use aside_session::server::{Outcome, Refusal, TokenRecord};
use aside_store::{IssueToken, RevokeToken};

use super::{PLAIN, Request, failed, refusal};
use crate::app::{Answer, App, Identity};

const ISSUE_TOKEN: Request = Request { public_key: "issue_token.public_key", ..PLAIN };

impl App {
    pub(crate) async fn issue_token(self: Arc<Self>, issue: IssueToken) -> Answer {
        let issued = self.store.issue_token(issue).await;
        issued.map(Body::TokenIssued).map_err(|r| refusal(r, ISSUE_TOKEN))
    }

    pub(crate) async fn list_tokens(self: Arc<Self>, who: Identity) -> Answer {
        let mut tokens = self.store.list_tokens(who.user).await.map_err(|e| failed(&e))?;
        let online = self.hub.online_devices(who.user);
        for token in &mut tokens.tokens {
            let id = DeviceId::try_from(&token.token_id[..]);
            token.online = id.is_ok_and(|id| online.contains(&id));
        }
        Ok(Body::Tokens(tokens))
    }

    pub(crate) async fn revoke_token(
        self: Arc<Self>,
        who: Identity,
        key: IdempotencyKey,
        token: DeviceId,
    ) -> Answer {
        let Identity { user, device } = who;
        let revoked = self.store.revoke_token(RevokeToken { key, user, device, token }).await;
        revoked.map(Body::TokenRevoked).map_err(|r| refusal(r, PLAIN))
    }

    pub(super) async fn find_token(&self, token: DeviceId) -> Result<Outcome, Refusal> {
        let found = self.store.find_token(token).await.map_err(|e| failed(&e))?;
        Ok(Outcome::Token(found.map(|found| TokenRecord {
            user_id: found.user,
            token_hash: found.token_hash,
            scopes: found.scopes,
            expires_ms: found.expires_ms,
            is_revoked: found.is_revoked,
        })))
    }
}
