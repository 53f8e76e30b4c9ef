//! KeyPackages: kept for a device, and given out once each.

use aside_proto::{
    id::{DeviceId, UserId},
    limits::MAX_SUITES,
    v1,
};
use bytes::Bytes;
use prost::Message as _;

use super::{Context, Who};
use crate::{
    db::{Columns as _, Row},
    effect::Effect,
    error::{Refused, Stop},
    recall::Kind,
    request::{ClaimKeyPackages, PublishKeyPackages},
};

/// The one to give: the oldest, and the last resort when no other is there.
pub(crate) const NEXT_PACKAGE: &str = "SELECT id, package, last_resort FROM key_packages
     WHERE device = ? AND suite = ? ORDER BY last_resort, id LIMIT 1";
/// The same when none that is given once may be taken.
pub(crate) const LAST_RESORT: &str = "SELECT id, package, last_resort FROM key_packages
     WHERE device = ? AND suite = ? ORDER BY last_resort DESC, id DESC LIMIT 1";
/// How many a device has, without the last resort.
pub(crate) const AVAILABLE: &str =
    "SELECT COUNT(*) FROM key_packages WHERE device = ? AND suite = ? AND last_resort = 0";
/// The approved devices of a user.
pub(crate) const APPROVED_OF: &str = "SELECT d.device_id, d.id FROM devices d
     JOIN approvals a ON a.device = d.id WHERE d.user_id = ? AND d.revoked_ms IS NULL ORDER BY d.id";
/// The cipher suites of a device, and how many KeyPackages it has of each.
pub(crate) const SUITES: &str = "SELECT s.suite, (SELECT COUNT(*) FROM key_packages k
         WHERE k.device = s.device AND k.suite = s.suite AND k.last_resort = 0)
     FROM key_package_suites s WHERE s.device = ? ORDER BY s.suite";

/// Bytes of KeyPackagesClaimed besides its items: keys and lengths.
const CLAIMED_OVERHEAD_BYTES: usize = 16;
/// Bytes of an item besides those of its KeyPackage: ids, a flag or a reason, keys and lengths.
const ITEM_OVERHEAD_BYTES: usize = 64;

/// A KeyPackage that is there.
struct Found {
    id: i64,
    package: Bytes,
    is_last_resort: bool,
}

impl Context<'_> {
    /// KP-001 to KP-004, KP-013.
    pub(crate) async fn publish_key_packages(
        &mut self,
        publish: &PublishKeyPackages,
    ) -> Result<v1::KeyPackagesPublished, Stop> {
        let who = self.who(publish.user, publish.device).await?;
        if let Some(reply) = self.recall(&who, publish.key, Kind::PublishKeyPackages).await? {
            return Ok(reply);
        }
        let PublishKeyPackages { suite, key_packages, last_resort, replace, .. } = publish;
        if *replace {
            self.delete_packages(who.device_key, *suite, false).await?;
        }
        for package in key_packages {
            self.insert_package(who.device_key, *suite, package, false).await?;
        }
        if let Some(last_resort) = last_resort {
            self.delete_packages(who.device_key, *suite, true).await?;
            self.insert_package(who.device_key, *suite, last_resort, true).await?;
        }
        let available = self.available(who.device_key, *suite).await?;
        if available > self.surroundings.limits.max_key_packages {
            return Err(Refused::TooManyKeyPackages.into());
        }
        sqlx::query(
            "INSERT INTO key_package_suites (device, suite) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(who.device_key)
        .bind(i64::from(*suite))
        .execute(&mut *self.connection)
        .await?;
        let row = sqlx::query("SELECT COUNT(*) FROM key_package_suites WHERE device = ?")
            .bind(who.device_key)
            .fetch_one(&mut *self.connection)
            .await?;
        if row.number(0)? > u64::from(MAX_SUITES) {
            return Err(Refused::TooManyKeyPackages.into());
        }
        let reply = v1::KeyPackagesPublished { available };
        self.remember(&who, publish.key, Kind::PublishKeyPackages, &reply).await?;
        Ok(reply)
    }

    /// KP-005 to KP-009, KP-011, KP-015.
    pub(crate) async fn claim_key_packages(
        &mut self,
        claim: &ClaimKeyPackages,
    ) -> Result<v1::KeyPackagesClaimed, Stop> {
        let who = self.who(claim.user, claim.device).await?;
        if let Some(reply) = self.recall(&who, claim.key, Kind::ClaimKeyPackages).await? {
            return Ok(reply);
        }
        self.check_approved(&who).await?;
        // Each target left has room to say that there is none.
        let reserved = |left: usize| left * ITEM_OVERHEAD_BYTES;
        let mut room =
            claim.max_bytes.saturating_sub(CLAIMED_OVERHEAD_BYTES + reserved(claim.targets.len()));
        let mut claimed = Vec::new();
        for (user, device) in &claim.targets {
            let items = self.claim_target(&who, claim, (*user, *device), room).await?;
            let bytes: usize = items.iter().map(size).sum();
            room = (room + ITEM_OVERHEAD_BYTES).saturating_sub(bytes);
            claimed.extend(items);
        }
        let reply = v1::KeyPackagesClaimed { claimed };
        self.remember(&who, claim.key, Kind::ClaimKeyPackages, &reply).await?;
        Ok(reply)
    }

    /// What there is of one target; nothing is taken if it is more than `room` bytes and those reserved for one item.
    async fn claim_target(
        &mut self,
        who: &Who,
        claim: &ClaimKeyPackages,
        (user, device): (UserId, Option<DeviceId>),
        room: usize,
    ) -> Result<Vec<v1::ClaimedKeyPackage>, Stop> {
        let none = |reason: v1::NoKeyPackage| v1::ClaimedKeyPackage {
            user_id: user.to_bytes(),
            device_id: device.map(DeviceId::to_bytes).unwrap_or_default(),
            reason: reason.into(),
            ..v1::ClaimedKeyPackage::default()
        };
        let suite = claim.suite;
        let is_spared = claim.spared.contains(&user);
        let devices = self.approved_of(user, device).await?;
        let devices: Vec<_> =
            devices.into_iter().filter(|(id, _)| *id != who.device || device.is_some()).collect();
        if devices.is_empty() {
            let reason = match device {
                _ if !self.is_user(user).await? => v1::NoKeyPackage::NoSuchUser,
                Some(_) => v1::NoKeyPackage::NotApproved,
                None => v1::NoKeyPackage::NoApprovedDevice,
            };
            return Ok(vec![none(reason)]);
        }
        let mut found = Vec::with_capacity(devices.len());
        for (id, key) in &devices {
            found.push((*id, *key, self.next_package(*key, suite, is_spared).await?));
        }
        let items: Vec<_> = found.iter().map(|(id, _, found)| item(user, *id, found)).collect();
        if items.iter().map(size).sum::<usize>() > room + ITEM_OVERHEAD_BYTES {
            return Ok(vec![none(v1::NoKeyPackage::NoRoom)]);
        }
        for (id, key, found) in found {
            if let Ok(Found { id: package, is_last_resort: false, .. }) = found {
                self.take_package(package).await?;
                self.tell_if_low(id, key, suite).await?;
            }
        }
        Ok(items)
    }

    /// The suites of a device with few KeyPackages, and how many these are (KP-011).
    pub(super) async fn low_suites(&mut self, device: i64) -> Result<Vec<(u16, u32)>, sqlx::Error> {
        let rows = sqlx::query(SUITES).bind(device).fetch_all(&mut *self.connection).await?;
        let mut low = Vec::new();
        for row in rows {
            let available = row.number(1)? as u32;
            if available < self.surroundings.limits.key_packages_low {
                low.push((row.number(0)? as u16, available));
            }
        }
        Ok(low)
    }

    async fn tell_if_low(&mut self, device: DeviceId, key: i64, suite: u16) -> Result<(), Stop> {
        let available = self.available(key, suite).await?;
        if available < self.surroundings.limits.key_packages_low {
            self.effects.push(Effect::KeyPackagesLow { device, suite, available });
        }
        Ok(())
    }

    /// The approved devices of a user, or one of them.
    async fn approved_of(
        &mut self,
        user: UserId,
        only: Option<DeviceId>,
    ) -> Result<Vec<(DeviceId, i64)>, sqlx::Error> {
        let rows = sqlx::query(APPROVED_OF)
            .bind(user.as_bytes().as_slice())
            .fetch_all(&mut *self.connection)
            .await?;
        let device = |row: &Row| Ok((DeviceId::new(row.array(0)?), row.key(1)?));
        let devices = rows.iter().map(device).collect::<Result<Vec<_>, sqlx::Error>>()?;
        Ok(devices.into_iter().filter(|(id, _)| only.is_none_or(|only| only == *id)).collect())
    }

    /// What there is of a device to be given, or why there is nothing.
    async fn next_package(
        &mut self,
        device: i64,
        suite: u16,
        is_spared: bool,
    ) -> Result<Result<Found, v1::NoKeyPackage>, sqlx::Error> {
        let row = sqlx::query(if is_spared { LAST_RESORT } else { NEXT_PACKAGE })
            .bind(device)
            .bind(i64::from(suite))
            .fetch_optional(&mut *self.connection)
            .await?;
        let Some(row) = row else { return Ok(Err(v1::NoKeyPackage::Exhausted)) };
        let is_last_resort = row.number(2)? == 1;
        if is_spared && !is_last_resort {
            return Ok(Err(v1::NoKeyPackage::TooManyClaims));
        }
        Ok(Ok(Found { id: row.key(0)?, package: row.bytes(1)?, is_last_resort }))
    }

    async fn take_package(&mut self, id: i64) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM key_packages WHERE id = ?")
            .bind(id)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn available(&mut self, device: i64, suite: u16) -> Result<u32, sqlx::Error> {
        let row = sqlx::query(AVAILABLE)
            .bind(device)
            .bind(i64::from(suite))
            .fetch_one(&mut *self.connection)
            .await?;
        Ok(row.number(0)? as u32)
    }

    async fn insert_package(
        &mut self,
        device: i64,
        suite: u16,
        package: &Bytes,
        last_resort: bool,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO key_packages (device, suite, last_resort, package) VALUES (?, ?, ?, ?)",
        )
        .bind(device)
        .bind(i64::from(suite))
        .bind(i64::from(last_resort))
        .bind(&package[..])
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn delete_packages(
        &mut self,
        device: i64,
        suite: u16,
        last_resort: bool,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM key_packages WHERE device = ? AND suite = ? AND last_resort = ?")
            .bind(device)
            .bind(i64::from(suite))
            .bind(i64::from(last_resort))
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }
}

fn item(
    user: UserId,
    device: DeviceId,
    found: &Result<Found, v1::NoKeyPackage>,
) -> v1::ClaimedKeyPackage {
    let mut item = v1::ClaimedKeyPackage {
        user_id: user.to_bytes(),
        device_id: device.to_bytes(),
        ..v1::ClaimedKeyPackage::default()
    };
    match found {
        Ok(found) => {
            item.key_package = found.package.clone();
            item.is_last_resort = found.is_last_resort;
        }
        Err(reason) => item.reason = (*reason).into(),
    }
    item
}

fn size(item: &v1::ClaimedKeyPackage) -> usize {
    item.encoded_len() + 6
}
