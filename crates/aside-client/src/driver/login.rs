//! From nothing to Authenticated: with the device's key where it is enough, else by password or by registering.

use std::{sync::Arc, time::Duration};

use aside_crypto::SigningKey;
use aside_proto::{id::IdempotencyKey, v1};
use aside_session::client::{Event, Greeting, Login};

use super::{Dialer, Link};
use crate::{
    Error, LogIn, Refusal,
    error::PasswordReason,
    paths, random,
    store::{Account, Identity, Store},
};

/// A log-in that the server puts off for no longer than this is tried again; the user waits rather than reads an error.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Connections tried when each is lost before it is authenticated.
const ATTEMPTS: u32 = 3;

/// A connection, authenticated.
pub(crate) struct Established {
    pub(crate) link: Link,
    pub(crate) greeting: Greeting,
    pub(crate) identity: Identity,
    pub(crate) device_key: SigningKey,
}

/// Logs in to one account from one device.
#[derive(Debug, Clone)]
pub(crate) struct Authenticator {
    pub(crate) dialer: Dialer,
    pub(crate) store: Arc<Store>,
    pub(crate) handle: String,
    pub(crate) device_name: String,
    pub(crate) log_in: LogIn,
}

/// A log-in that did not succeed.
enum Setback {
    /// For good, or for longer than a user waits.
    Failed(Error),
    /// The device key is of no use any more; a new one was made.
    KeyReplaced,
}

impl From<Error> for Setback {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Authenticator {
    /// Connects and logs in. A connection that is lost on the way is tried again: what was sent has its idempotency key.
    pub(crate) async fn establish(&self) -> Result<Established, Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.attempt().await {
                Ok(established) => return Ok(established),
                Err(Setback::KeyReplaced) if attempts < ATTEMPTS => {}
                Err(Setback::Failed(Error::Closed(_))) if attempts < ATTEMPTS => {}
                Err(Setback::Failed(error)) => return Err(error),
                Err(Setback::KeyReplaced) => {
                    return Err(Error::PasswordNeeded(PasswordReason::Revoked));
                }
            }
        }
    }

    async fn attempt(&self) -> Result<Established, Setback> {
        let account = self.store.account().await.map_err(Error::from)?;
        let (mut link, greeting) = self.dialer.dial(account.log_key).await?;
        if account.log_key != Some(greeting.log_key) {
            self.store.set_log_key(&greeting.log_key).await.map_err(Error::from)?;
        }
        let identity = self.log_in(&mut link, &greeting, &account).await?;
        self.remember(&identity).await?;
        Ok(Established { link, greeting, identity, device_key: account.device_key })
    }

    async fn log_in(
        &self,
        link: &mut Link,
        greeting: &Greeting,
        account: &Account,
    ) -> Result<Identity, Setback> {
        if let LogIn::Token(token) = &self.log_in {
            let login = Login::Token { token_id: token.id(), secret: &token.secret };
            return Ok(self.try_login(link, &login, account).await?);
        }
        let reason = match &account.identity {
            Some(identity) => {
                let login = Login::Device { device_id: identity.device };
                match self.try_login(link, &login, account).await {
                    Ok(identity) => return Ok(identity),
                    Err(Error::Refused(refusal)) => self.why_not(refusal).await?,
                    Err(other) => return Err(other.into()),
                }
            }
            None => PasswordReason::NewDevice,
        };
        let device_name = &self.device_name;
        let outcome = match &self.log_in {
            LogIn::Remembered | LogIn::Token(_) => {
                return Err(Error::PasswordNeeded(reason).into());
            }
            LogIn::Register { password, on_conflict } if reason == PasswordReason::NewDevice => {
                let key = self.register_key(greeting, account).await?;
                let (handle, on_conflict) = (&self.handle, *on_conflict);
                let login = Login::Register { key, handle, password, on_conflict, device_name };
                self.try_login(link, &login, account).await
            }
            LogIn::Password(password) | LogIn::Register { password, .. } => {
                let login = Login::Password { handle: &self.handle, password, device_name };
                self.try_login(link, &login, account).await
            }
        };
        match outcome {
            // AUTH-015: the key is a revoked device's, or another account's.
            Err(Error::Refused(refusal)) if refusal.field.ends_with("device.public_key") => {
                self.store.new_device_key().await.map_err(Error::from)?;
                Err(Setback::KeyReplaced)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Why the device's key was not enough, if a password would help.
    async fn why_not(&self, refusal: Refusal) -> Result<PasswordReason, Setback> {
        match v1::ErrorCode::try_from(refusal.code) {
            Ok(v1::ErrorCode::DeviceExpired) => Ok(PasswordReason::Expired),
            Ok(v1::ErrorCode::AuthenticationFailed) => Ok(PasswordReason::Unknown),
            Ok(v1::ErrorCode::DeviceIsRevoked) => {
                self.store.new_device_key().await.map_err(Error::from)?;
                Err(match self.log_in {
                    LogIn::Remembered => Error::PasswordNeeded(PasswordReason::Revoked).into(),
                    _ => Setback::KeyReplaced,
                })
            }
            _ => Err(Error::Refused(refusal).into()),
        }
    }

    /// Sends one log-in, again if the server asks for a short wait only.
    async fn try_login(
        &self,
        link: &mut Link,
        login: &Login<'_>,
        account: &Account,
    ) -> Result<Identity, Error> {
        loop {
            link.session.log_in(link.now(), login, &account.device_key)?;
            let error = loop {
                match link.next().await {
                    Event::Authenticated { user_id, device_id, handle } => {
                        return Ok(Identity { user: user_id, device: device_id, handle });
                    }
                    Event::LoginRefused(error) => break error,
                    Event::Closed(reason) => return Err(reason.into()),
                    _ => {}
                }
            };
            let refusal = Refusal::from(error);
            match refusal.retry_after {
                Some(wait) if wait <= LONGEST_WAIT => tokio::time::sleep(wait).await,
                _ => return Err(Error::Refused(refusal)),
            }
        }
    }

    /// The key of this Register, the same until it has a reply (IDEM-001).
    async fn register_key(
        &self,
        greeting: &Greeting,
        account: &Account,
    ) -> Result<IdempotencyKey, Error> {
        if let Some(key) = account.register_key {
            return Ok(key);
        }
        // By the server's clock: this machine's may be far off (IDEM-003).
        let key = random::idempotency_key(greeting.server_time_ms);
        self.store.set_register_key(key).await?;
        Ok(key)
    }

    async fn remember(&self, identity: &Identity) -> Result<(), Error> {
        self.store.set_identity(identity).await?;
        if let Some(dir) = self.store.dir() {
            let noted = paths::note_handle(dir, &identity.handle).and_then(|()| {
                // Registered with a suffix, or renamed by another device. A token names no handle.
                match self.handle.is_empty() || paths::is_same(&self.handle, &identity.handle) {
                    true => Ok(()),
                    false => paths::note_former(dir, &self.handle),
                }
            });
            noted.map_err(|source| crate::StateError::Io { path: dir.to_owned(), source })?;
        }
        Ok(())
    }
}
