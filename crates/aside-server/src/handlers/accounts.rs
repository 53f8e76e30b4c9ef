//! Handle, password and devices.

use std::sync::Arc;

use aside_proto::{
    id::{DeviceId, IdempotencyKey},
    name::Name,
    v1::server_frame::Body,
};
use aside_session::server::{OnConflict, Refusal, Secret};
use aside_store::{ChangePassword, Rename, RevokeDevice};

use super::{PLAIN, failed, login::hash_refusal, on_conflict, refusal};
use crate::app::{Answer, App, Identity};

impl App {
    pub(crate) async fn rename(
        self: Arc<Self>,
        who: Identity,
        key: IdempotencyKey,
        handle: Name,
        choice: OnConflict,
    ) -> Answer {
        let Identity { user, device } = who;
        let rename = Rename { key, user, device, handle, on_conflict: on_conflict(choice) };
        self.store.rename(rename).await.map(Body::Renamed).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn change_password(
        self: Arc<Self>,
        who: Identity,
        key: IdempotencyKey,
        old: Secret,
        new: Secret,
    ) -> Answer {
        let Identity { user, device } = who;
        // A retry is known by its key: the old password is no longer the account's (IDEM-006).
        let replay = self.store.password_changed_before(device, key).await;
        if let Some(reply) = replay.map_err(|r| refusal(r, PLAIN))? {
            return Ok(Body::PasswordChanged(reply));
        }
        let hash = self.store.password_hash_of(user).await.map_err(|e| failed(&e))?;
        let verified = self.passwords.verify(old, hash.clone()).await.map_err(hash_refusal)?;
        let (true, Some(verified_hash)) = (verified, hash) else {
            // The first try may have become durable since it was looked for.
            let replay = self.store.password_changed_before(device, key).await;
            let replay = replay.map_err(|r| refusal(r, PLAIN))?;
            return replay.map(Body::PasswordChanged).ok_or_else(Refusal::authentication_failed);
        };
        let new_hash = self.passwords.hash(new).await.map_err(hash_refusal)?;
        let change = ChangePassword { key, user, device, verified_hash, new_hash };
        let changed = self.store.change_password(change).await;
        changed.map(Body::PasswordChanged).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn list_devices(self: Arc<Self>, who: Identity) -> Answer {
        let listed = self.store.list_devices(who.user, who.device).await;
        let mut devices = listed.map_err(|e| failed(&e))?;
        let online = self.hub.online_devices(who.user);
        for device in &mut devices.devices {
            let id = DeviceId::try_from(&device.device_id[..]);
            device.online = id.is_ok_and(|id| online.contains(&id));
        }
        Ok(Body::Devices(devices))
    }

    pub(crate) async fn revoke_device(
        self: Arc<Self>,
        who: Identity,
        key: IdempotencyKey,
        target: DeviceId,
    ) -> Answer {
        let Identity { user, device } = who;
        let revoke = RevokeDevice { key, user, device, target };
        let revoked = self.store.revoke_device(revoke).await;
        revoked.map(Body::DeviceRevoked).map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn look_up_devices(self: Arc<Self>, ids: Vec<DeviceId>) -> Answer {
        self.store.look_up_devices(&ids).await.map(Body::DeviceKeys).map_err(|e| failed(&e))
    }
}
