//! Registering and logging in: from a command without identity to an attached connection.

use std::{sync::Arc, time::Duration};

use aside_crypto::PublicKey;
use aside_proto::{
    id::{DeviceId, UserId},
    name::Name,
    v1::ErrorCode,
};
use aside_session::server::{
    Command, DeviceBinding, DeviceRecord, DeviceState, Outcome, Refusal, Secret,
};
use aside_store::{BindDevice, LoggedIn, Refused, Register};

use super::{BUSY_RETRY_MS, PLAIN, Request, failed, on_conflict, refusal};
use crate::{
    app::{App, Origin},
    passwords::HashError,
};

const REGISTER: Request = Request { public_key: "register.device.public_key", ..PLAIN };
const PASSWORD_LOGIN: Request = Request { public_key: "password_login.device.public_key", ..PLAIN };

impl App {
    /// Commands of a connection that is not authenticated.
    pub(crate) async fn log_in(self: Arc<Self>, from: Origin, command: Command) -> Outcome {
        let result = match command {
            Command::Register { key, handle, password, on_conflict: choice, device } => {
                let public_key = *device.public_key.as_bytes();
                match self.store.registered_before(&public_key, key).await {
                    Ok(None) => {}
                    Ok(Some(before)) => return logged_in(before),
                    Err(refused) => return Outcome::Refused(refusal(refused, REGISTER)),
                }
                let password_hash = self.passwords.hash(password).await;
                let register = |password_hash| Register {
                    key,
                    handle,
                    on_conflict: on_conflict(choice),
                    password_hash,
                    public_key,
                    device_name: device.name,
                };
                match password_hash {
                    Ok(hash) => self.register(register(hash)).await,
                    Err(error) => Err(hash_refusal(error)),
                }
            }
            Command::PasswordLogin { handle, password, device } => {
                self.password_login(handle, password, device).await
            }
            Command::FindDevice { device_id } => self.find_device(device_id).await,
            Command::FindToken { token_id } => self.find_token(token_id).await,
            Command::Attach { user_id, device_id, capabilities, reads } => {
                self.hub.agree(from.attachment, &capabilities);
                if !reads {
                    self.hub.deafen(from.attachment);
                }
                let attached = self.store.attach(user_id, device_id, from.attachment).await;
                attached
                    .map(|handle| Outcome::Attached { handle })
                    .map_err(|refused| refusal(refused, PLAIN))
            }
            // The session lets nothing else through before it is authenticated.
            _ => Err(Refusal::of(ErrorCode::WrongPhase)),
        };
        result.unwrap_or_else(Outcome::Refused)
    }

    async fn register(&self, register: Register) -> Result<Outcome, Refusal> {
        let made = self.store.register(register).await.map_err(|r| refusal(r, REGISTER))?;
        metrics::counter!("aside_registrations_total").increment(1);
        Ok(logged_in(made))
    }

    async fn password_login(
        &self,
        handle: Option<Name>,
        password: Secret,
        device: DeviceBinding,
    ) -> Result<Outcome, Refusal> {
        let bind = async || self.check_and_bind(handle.as_ref(), &password, &device).await;
        match bind().await? {
            // Another log-in renewed the hash meanwhile, or the password was changed: then it is wrong now.
            Err(Refused::PasswordChanged) => bind().await?,
            bound => bound,
        }
        .map(logged_in)
        .map_err(|refused| refusal(refused, PASSWORD_LOGIN))
    }

    /// AUTH-020, AUTH-021: an unknown handle costs what a wrong password costs, and ends alike.
    async fn check_and_bind(
        &self,
        handle: Option<&Name>,
        password: &Secret,
        device: &DeviceBinding,
    ) -> Result<Result<LoggedIn, Refused>, Refusal> {
        let account = match handle {
            Some(handle) => self.store.password_hash(handle).await.map_err(|e| failed(&e))?,
            None => None,
        };
        let (user, hash) = account.unzip();
        let verified =
            self.passwords.verify(password.clone(), hash.clone()).await.map_err(hash_refusal)?;
        let (true, Some(user), Some(verified_hash)) = (verified, user, hash) else {
            metrics::counter!("aside_logins_failed_total").increment(1);
            return Err(Refusal::authentication_failed());
        };
        // A hash that costs less, or more, than that of the decoy would tell an account from none (AUTH-021).
        let new_hash = match self.passwords.is_dated(&verified_hash) {
            true => self.passwords.hash(password.clone()).await.ok(),
            false => None,
        };
        let bind = BindDevice {
            user,
            verified_hash,
            new_hash,
            public_key: *device.public_key.as_bytes(),
            device_name: device.name.clone(),
        };
        Ok(self.store.bind_device(bind).await.map(|device| LoggedIn { user, device }))
    }

    async fn find_device(&self, device_id: DeviceId) -> Result<Outcome, Refusal> {
        let found = self.store.find_device(device_id).await.map_err(|e| failed(&e))?;
        // A token is a device, but not to a log-in without its secret (TOKEN-015).
        let Some(found) = found.filter(|found| !found.is_token) else {
            return Ok(Outcome::Device(None));
        };
        let expiry = Duration::from_secs(self.config.limits.device_expiry_s).as_millis();
        let unseen = self.now().unix_ms.saturating_sub(found.last_seen_ms);
        let state = match found.revoked_ms {
            Some(_) => DeviceState::Revoked,
            None if u128::from(unseen) > expiry && !self.is_connected(found.user, device_id) => {
                DeviceState::Expired
            }
            None => DeviceState::Active,
        };
        let public_key = PublicKey::from_bytes(&found.public_key).map_err(|error| {
            tracing::error!(device = %device_id, %error, "a stored public key is damaged");
            Refusal::of(ErrorCode::Internal)
        })?;
        Ok(Outcome::Device(Some(DeviceRecord { user_id: found.user, public_key, state })))
    }

    /// Whether another connection of the device stands, or has just ended: it is seen now, whatever was noted (AUTH-032).
    fn is_connected(&self, user: UserId, device: DeviceId) -> bool {
        self.seen.is_pending(device) || self.hub.online_devices(user).contains(&device)
    }
}

fn logged_in(who: LoggedIn) -> Outcome {
    Outcome::LoggedIn { user_id: who.user, device_id: who.device }
}

/// Why a password could not be looked at (LIM-009).
pub(super) fn hash_refusal(error: HashError) -> Refusal {
    match error {
        HashError::Busy => Refusal::after(ErrorCode::ServerBusy, BUSY_RETRY_MS),
        HashError::Failed => Refusal::of(ErrorCode::Internal),
    }
}
