//! What writes do, inside the journal's transaction. Every rule that must hold between requests is judged here.

mod accounts;
mod append;
mod device_logs;
mod devices;
mod entries;
mod groups;
mod handles;
mod idempotency;
mod inbox;
mod invitations;
mod key_packages;
mod log_keys;
mod marks;
mod pins;
mod presence;
mod private;
mod redact;
mod rejections;
mod removals;
mod resets;
mod retention;
mod room_settings;
mod rooms;
mod search;
mod tokens;

use aside_proto::{
    id::{DeviceId, UserId, uuid_v7},
    name::Name,
};

use crate::{
    db::{Columns as _, Connection},
    effect::Effect,
    error::{Refused, Stop},
    journal::Surroundings,
};

#[cfg(test)]
pub(crate) use append::{ASK, ASK_PRIVATE};
#[cfg(test)]
pub(crate) use device_logs::DEVICES;
#[cfg(test)]
pub(crate) use devices::{MEMBERSHIPS, SEATS, TOUCH};
use entries::EntryRow;
#[cfg(test)]
pub(crate) use entries::HEADS;
pub(crate) use entries::Place;
#[cfg(test)]
pub(crate) use groups::APPROVED;
#[cfg(test)]
pub(crate) use handles::{OWN, UNUSED};
#[cfg(test)]
pub(crate) use inbox::{FORGET_WELCOME, SUPERSEDED, WAITING};
#[cfg(test)]
pub(crate) use invitations::{OF_ROOM, OF_USER};
#[cfg(test)]
pub(crate) use key_packages::{APPROVED_OF, AVAILABLE, LAST_RESORT, NEXT_PACKAGE, SUITES};
pub(crate) use marks::Moved;
#[cfg(test)]
pub(crate) use marks::{ASK_MARKS, MOVE};
#[cfg(test)]
pub(crate) use pins::{PINNABLE, PINNED};
#[cfg(test)]
pub(crate) use presence::SETTINGS;
#[cfg(test)]
pub(crate) use redact::{ASK_MESSAGES, FORGET};
#[cfg(test)]
pub(crate) use rejections::{COMMIT, OTHERS};
#[cfg(test)]
pub(crate) use removals::{LEAF_OF, LEAVES_OF_USER};
#[cfg(test)]
pub(crate) use resets::COMMITTERS;
#[cfg(test)]
pub(crate) use retention::{OLDEST, YOUNG};
pub(crate) use retention::{Trim, time_ms};
#[cfg(test)]
pub(crate) use rooms::COUNT_MEMBERSHIPS;
#[cfg(test)]
pub(crate) use search::{
    ENTRY, INDEXED, INDEXED_ENTRY, LAST_EDIT, LEFT, NEXT, REDACTED, SIZES, STALE,
};
pub(crate) use search::{Index, Of, Part};
#[cfg(test)]
pub(crate) use tokens::{COUNT_TOKENS, NAMED_TOKEN};

/// What an operation works with.
pub(crate) struct Context<'a> {
    surroundings: &'a Surroundings,
    /// The server's clock when the batch began, milliseconds since 1970.
    now: u64,
    connection: &'a mut Connection,
    /// What will be told to the observer if the batch becomes durable.
    effects: &'a mut Vec<Effect>,
    /// What the batch may still do about the index for search.
    part: &'a mut Part,
    /// Entries that are made but not inserted yet: see [`Context::flush`].
    entries: Vec<EntryRow>,
}

/// Who makes a request: an account, by one of its devices.
struct Who {
    user: UserId,
    device: DeviceId,
    /// The device's surrogate key.
    device_key: i64,
    handle: Name,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        surroundings: &'a Surroundings,
        now: u64,
        connection: &'a mut Connection,
        effects: &'a mut Vec<Effect>,
        part: &'a mut Part,
    ) -> Self {
        Self { surroundings, now, connection, effects, part, entries: Vec::new() }
    }

    /// Who asks, unless the device was revoked since it logged in.
    async fn who(&mut self, user: UserId, device: DeviceId) -> Result<Who, Stop> {
        let row = sqlx::query(
            "SELECT d.id, u.handle FROM devices d JOIN users u ON u.user_id = d.user_id
             WHERE d.device_id = ? AND d.user_id = ? AND d.revoked_ms IS NULL",
        )
        .bind(device.as_bytes().as_slice())
        .bind(user.as_bytes().as_slice())
        .fetch_optional(&mut *self.connection)
        .await?
        .ok_or(Refused::DeviceRevoked)?;
        let handle = Name::from_canonical(row.text(1)?);
        Ok(Who { user, device, device_key: row.key(0)?, handle })
    }

    /// A new UUIDv7.
    fn uuid(&self) -> [u8; 16] {
        uuid_v7(self.now, self.random())
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.surroundings.entropy)(&mut bytes);
        bytes
    }
}
