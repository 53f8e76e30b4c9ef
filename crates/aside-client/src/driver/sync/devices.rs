//! Whose signature is it? What is first seen of a device is remembered for good, and looked up again on each connection
//! (MSG-008, DEV-010 to DEV-012).

use aside_proto::{
    id::DeviceId,
    v1::{self, client_frame::Body},
};
use aside_session::client::{
    DeviceKey, Pinning, SignatureStatus, Violation,
    log::{Accepted, Sender},
};
use prost::Message as _;

use super::{Asked, Sync};
use crate::{
    Error, Event, Person,
    driver::outlet::Outlet,
    store::{Kept, StateError, StoredSignature},
};

impl Sync {
    /// What the signature of an entry is worth. The sender's device is looked up if it is not known, and otherwise once a
    /// connection, and once more when a signature does not verify: the server may name another key, or say that it was revoked.
    pub(super) async fn judge(&mut self, entry: &Accepted) -> Result<StoredSignature, StateError> {
        if entry.kind() == v1::EntryKind::PrivateMessage && !entry.is_redacted() {
            return Ok(StoredSignature::Unread);
        }
        let key = match entry.sender {
            Some(sender) => self.device_key(sender.device).await?,
            None => None,
        };
        let status = SignatureStatus::of(entry, key.as_ref());
        if let Some(Sender { device, .. }) = entry.sender {
            let ask = match status {
                SignatureStatus::KeyUnknown => true,
                SignatureStatus::Verified => self.rechecked.insert((device, false)),
                SignatureStatus::Invalid => self.rechecked.insert((device, true)),
                SignatureStatus::Unsigned => false,
            };
            if ask {
                self.look_ups.insert(device);
            }
        }
        Ok(status.into())
    }

    async fn device_key(&mut self, device: DeviceId) -> Result<Option<DeviceKey>, StateError> {
        if let Some(key) = self.devices.get(&device) {
            return Ok(Some(*key));
        }
        let key = self.store.device_key(device).await?;
        self.devices.extend(key.map(|key| (device, key)));
        Ok(key)
    }

    pub(super) fn poll_devices(&mut self) -> Option<(Asked, Body)> {
        if !self.looking_up.is_empty() || self.look_ups.is_empty() {
            return None;
        }
        let count = self.limits.max_page_items as usize;
        let devices: Vec<_> = self.look_ups.iter().copied().take(count).collect();
        self.look_ups.retain(|device| !devices.contains(device));
        self.looking_up.clone_from(&devices);
        let device_ids = devices.iter().map(|device| device.to_bytes()).collect();
        let look_up = v1::LookUpDevices { device_ids };
        Some((Asked::Devices(devices), Body::LookUpDevices(look_up)))
    }

    /// The keys of devices that were asked for.
    pub(in crate::driver) async fn device_keys(
        &mut self,
        asked: &[DeviceId],
        keys: &v1::DeviceKeys,
        out: &mut Outlet,
    ) -> Result<(), Error> {
        self.looking_up.clear();
        self.rechecked.extend(asked.iter().map(|device| (*device, false)));
        for key in &keys.keys {
            let key = DeviceKey::try_from(key).map_err(Violation::from)?;
            if !asked.contains(&key.device) {
                continue;
            }
            let remembered = self.device_key(key.device).await?;
            match (key.judge(remembered.as_ref()), remembered) {
                (Pinning::New, _) => {
                    self.store.add_device_key(&key).await?;
                    self.devices.insert(key.device, key);
                }
                (Pinning::Changed, Some(remembered)) => {
                    let handle = self.store.handle_of(remembered.user).await?;
                    let user = Person { user: remembered.user, handle };
                    out.tell(Event::DeviceKeyChanged { device: key.device, user });
                }
                (Pinning::Same, Some(remembered)) if remembered.revoked_ms < key.revoked_ms => {
                    self.store.set_revoked(key.device, key.revoked_ms).await?;
                    self.devices.remove(&key.device);
                }
                (Pinning::Same | Pinning::Changed, _) => {}
            }
        }
        self.settle(asked, out).await?;
        self.wake_waiters();
        Ok(())
    }

    /// Settles the signatures that waited for these devices. A device that is still not known can't have signed anything.
    pub(super) async fn settle(
        &mut self,
        devices: &[DeviceId],
        out: &mut Outlet,
    ) -> Result<(), Error> {
        let mut settled = Vec::new();
        for kept in self.store.entries_pending().await? {
            let Some(device) = sender_device(&kept).filter(|device| devices.contains(device))
            else {
                continue;
            };
            let key = self.device_key(device).await?;
            settled.push((kept.conversation, kept.seq, judge_kept(&kept, key.as_ref())));
            out.refresh(kept.conversation);
        }
        Ok(self.store.settle(&settled).await?)
    }
}

fn judge_kept(kept: &Kept, key: Option<&DeviceKey>) -> StoredSignature {
    let header = v1::EntryHeader::decode(&kept.header[..]).unwrap_or_default();
    let payload_hash = match (kept.payload_hash, kept.salt[..].try_into()) {
        (Some(hash), _) => hash,
        (None, Ok(salt)) => aside_crypto::payload_hash(&salt, &kept.payload),
        (None, Err(_)) => return StoredSignature::Invalid,
    };
    match SignatureStatus::check(kept.conversation, &header, payload_hash, key) {
        SignatureStatus::KeyUnknown => StoredSignature::Invalid,
        status => status.into(),
    }
}

/// The device that an entry says it is from.
pub(super) fn sender_device(kept: &Kept) -> Option<DeviceId> {
    let header = v1::EntryHeader::decode(&kept.header[..]).ok()?;
    Some(Sender::of(&header)??.device)
}
