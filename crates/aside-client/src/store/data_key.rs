//! The key under which a store's secrets are sealed: random, one for each store, and sealed itself under the key that its guard
//! gives. So another guard, or another passphrase, costs one row (STORE-008).
//!
//! ```text
//! passphrase ── Argon2id(salt, cost) ──┐
//! the system's keyring ── 32 bytes ────┼──► guard's key ──opens──► data key ──opens──► values
//! state.key ── 32 bytes ───────────────┘        associated data: Label("store-key", guard, salt, cost)
//! ```

use std::path::Path;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aside_crypto::label::{self, labeled};
use sqlx::{Row as _, Sqlite, SqlitePool, Transaction};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    StateError, account, array, key_file, keyring,
    seal::{Key, Sealer},
};
use crate::{Guard, Unlock, random};

/// Which of a guard's keys it is, and the salt of a passphrase.
pub(super) type Salt = [u8; 16];

/// What a passphrase costs whoever tries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Of a passphrase that is set now: a quarter of a second, and three times what RFC 9106 asks for where memory is scarce but for
/// the lanes, of which this implementation computes one at a time.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
/// More than any version has set: what says so was not written by one.
const MAX_COST: Cost = Cost { memory_kib: 1024 * 1024, passes: 64, lanes: 16 };

/// The data key as it is kept.
#[derive(Debug)]
struct Wrapped {
    guard: Guard,
    salt: Salt,
    cost: Cost,
    sealed: Vec<u8>,
}

/// Where a store's key is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyHome<'a> {
    /// The directory of the store, or of the one that it is a copy of.
    pub(super) dir: &'a Path,
    /// Whether it is thrown away in the end: then nothing outside is changed for it.
    pub(super) copy: bool,
}

/// Opens the data key; a store that has none is given one, and what is secret in it is sealed.
pub(super) async fn unlock(
    pool: &SqlitePool,
    home: KeyHome<'_>,
    unlock: &Unlock,
) -> Result<Sealer, StateError> {
    match Wrapped::read(pool).await? {
        Some(wrapped) => Ok(Sealer::new(&wrapped.open(home.dir, unlock).await?)),
        None => begin(pool, home, unlock).await,
    }
}

/// What guards a store's data key; none if it has none yet.
pub(super) async fn guard(pool: &SqlitePool) -> Result<Option<Guard>, StateError> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'data_key'";
    let tables: i64 = sqlx::query_scalar(sql).fetch_one(pool).await?;
    if tables == 0 {
        return Ok(None);
    }
    Ok(Wrapped::read(pool).await?.map(|wrapped| wrapped.guard))
}

/// Puts the data key under another guard: this passphrase, or without one what the system has. Durable when it returns.
pub(super) async fn change_guard(
    pool: &SqlitePool,
    dir: &Path,
    unlock: &Unlock,
    passphrase: Option<&Zeroizing<String>>,
) -> Result<Guard, StateError> {
    let before = Wrapped::read(pool).await?.ok_or(StateError::Damaged("the data key"))?;
    if passphrase.is_none() && before.guard != Guard::Passphrase {
        return Ok(before.guard);
    }
    let key = before.open(dir, unlock).await?;
    let after = match passphrase {
        Some(passphrase) => Wrapped::by_passphrase(&key, passphrase).await?,
        None => Wrapped::by_system(&key, dir).await?,
    };
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    after.write(&mut transaction).await?;
    transaction.commit().await?;
    wipe_log(pool).await?;
    // The old guard's key opens nothing that is left. If this fails, it is only in the way.
    match before.guard {
        Guard::KeyFile if after.guard != Guard::KeyFile => key_file::remove(dir),
        Guard::Keyring => keyring::remove(before.salt).await,
        Guard::KeyFile | Guard::Passphrase => {}
    }
    Ok(after.guard)
}

async fn begin(
    pool: &SqlitePool,
    home: KeyHome<'_>,
    unlock: &Unlock,
) -> Result<Sealer, StateError> {
    let key = Key::new(random::bytes());
    let wrapped = match unlock {
        // Its guard's key is forgotten, as the copy will be.
        _ if home.copy => {
            Wrapped::new(Guard::KeyFile, random::bytes(), &key, &Key::new(random::bytes()))
        }
        Unlock::Passphrase(passphrase) => Wrapped::by_passphrase(&key, passphrase).await?,
        Unlock::Unattended => Wrapped::by_system(&key, home.dir).await?,
    };
    let sealer = Sealer::new(&key);
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    account::seal_keys(&mut transaction, &sealer).await?;
    wrapped.write(&mut transaction).await?;
    transaction.commit().await?;
    wipe_log(pool).await?;
    Ok(sealer)
}

/// Moves what the write-ahead log has into the database and empties it: what it had before is not to be found in it any more.
pub(super) async fn wipe_log(pool: &SqlitePool) -> Result<(), StateError> {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(pool).await?;
    Ok(())
}

impl Wrapped {
    fn new(guard: Guard, salt: Salt, key: &Key, guards: &Key) -> Self {
        let cost = Cost::default();
        Self { guard, salt, cost, sealed: Vec::new() }.sealing(key, guards)
    }

    async fn by_passphrase(key: &Key, passphrase: &Zeroizing<String>) -> Result<Self, StateError> {
        if passphrase.chars().count() < Guard::MIN_PASSPHRASE_CHARS {
            return Err(StateError::PassphraseTooShort);
        }
        let salt = random::bytes();
        let guards = stretch(passphrase.clone(), salt, COST).await?;
        let (guard, cost) = (Guard::Passphrase, COST);
        Ok(Self { guard, salt, cost, sealed: Vec::new() }.sealing(key, &guards))
    }

    /// By the system's keyring if there is one, else by a file.
    async fn by_system(key: &Key, dir: &Path) -> Result<Self, StateError> {
        let (salt, guards) = (random::bytes(), Key::new(random::bytes()));
        if keyring::store(salt, &guards).await {
            return Ok(Self::new(Guard::Keyring, salt, key, &guards));
        }
        key_file::write(dir, &guards)?;
        Ok(Self::new(Guard::KeyFile, salt, key, &guards))
    }

    fn sealing(mut self, key: &Key, guards: &Key) -> Self {
        self.sealed = Sealer::new(guards).seal_for(&self.associated_data(), &key[..]);
        self
    }

    async fn open(&self, dir: &Path, unlock: &Unlock) -> Result<Key, StateError> {
        let guards = match (self.guard, unlock) {
            (Guard::Passphrase, Unlock::Passphrase(passphrase)) => {
                stretch(passphrase.clone(), self.salt, self.cost).await?
            }
            (Guard::Passphrase, Unlock::Unattended) => {
                return Err(StateError::PassphraseNeeded(dir.to_owned()));
            }
            (Guard::Keyring, _) => keyring::read(self.salt).await?,
            (Guard::KeyFile, _) => key_file::read(dir)?,
        };
        let opened = Sealer::new(&guards).open_for(&self.associated_data(), &self.sealed);
        let key = opened.ok_or_else(|| self.does_not_open(dir))?;
        Ok(Key::new(array(&key, "the data key")?))
    }

    fn does_not_open(&self, dir: &Path) -> StateError {
        match self.guard {
            Guard::Passphrase => StateError::WrongPassphrase(dir.to_owned()),
            Guard::Keyring => StateError::Keyring("its key is of another state".to_owned()),
            Guard::KeyFile => StateError::WrongKeyFile(key_file::path(dir)),
        }
    }

    fn associated_data(&self) -> Vec<u8> {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let cost = [memory_kib, passes, lanes].map(u32::to_be_bytes).concat();
        labeled(label::STORE_KEY, &[&[self.guard.number()], &self.salt, &cost])
    }

    async fn read(pool: &SqlitePool) -> Result<Option<Self>, StateError> {
        let sql = "SELECT guard, salt, memory_kib, passes, lanes, sealed FROM data_key";
        let Some(row) = sqlx::query(sql).fetch_optional(pool).await? else { return Ok(None) };
        let cost = Cost {
            memory_kib: row.try_get("memory_kib")?,
            passes: row.try_get("passes")?,
            lanes: row.try_get("lanes")?,
        };
        let guard = Guard::from_number(row.try_get("guard")?);
        Ok(Some(Self {
            guard: guard.ok_or(StateError::Damaged("what guards the data key"))?,
            salt: array(row.try_get("salt")?, "the salt of the data key")?,
            cost,
            sealed: row.try_get("sealed")?,
        }))
    }

    async fn write(&self, transaction: &mut Transaction<'_, Sqlite>) -> Result<(), StateError> {
        let sql = "INSERT INTO data_key (id, guard, salt, memory_kib, passes, lanes, sealed) VALUES (1, ?, ?, ?, ?, ?, ?) \
                   ON CONFLICT (id) DO UPDATE SET guard = excluded.guard, salt = excluded.salt, \
                   memory_kib = excluded.memory_kib, passes = excluded.passes, lanes = excluded.lanes, sealed = excluded.sealed";
        sqlx::query(sql)
            .bind(self.guard.number())
            .bind(&self.salt[..])
            .bind(self.cost.memory_kib)
            .bind(self.cost.passes)
            .bind(self.cost.lanes)
            .bind(&self.sealed[..])
            .execute(&mut **transaction)
            .await?;
        Ok(())
    }
}

/// The key that a passphrase gives, computed where it keeps nobody waiting.
async fn stretch(passphrase: Zeroizing<String>, salt: Salt, cost: Cost) -> Result<Key, StateError> {
    let damaged = || StateError::Damaged("the cost of the passphrase");
    let Cost { memory_kib, passes, lanes } = cost;
    if memory_kib > MAX_COST.memory_kib || passes > MAX_COST.passes || lanes > MAX_COST.lanes {
        return Err(damaged());
    }
    let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| damaged())?;
    let compute = move || {
        let mut memory = vec![Block::default(); params.block_count()];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut key = Key::new([0; 32]);
        let done = argon2.hash_password_into_with_memory(
            passphrase.as_bytes(),
            &salt,
            &mut key[..],
            &mut memory[..],
        );
        memory.iter_mut().for_each(|block| block.as_mut().zeroize());
        done.map(|()| key)
    };
    let computed = tokio::task::spawn_blocking(compute).await;
    computed.ok().and_then(Result::ok).ok_or_else(damaged)
}

#[cfg(test)]
mod tests;
