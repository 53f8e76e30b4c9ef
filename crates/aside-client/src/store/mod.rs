//! What one device of one account remembers, in SQLite. The only module with SQL.
//!
//! One process writes at a time: a lock file says so. Another may work on a copy that is thrown away when it ends.

mod account;
mod approval;
mod conversations;
mod data_key;
mod devices;
mod entries;
mod identity;
mod key_file;
mod keyring;
mod members;
mod outbox;
mod private;
mod redactions;
mod references;
mod seal;
mod search;
mod watermarks;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::{Guard, Unlock};
use data_key::KeyHome;
use seal::Sealer;

pub(crate) use account::Account;
pub use account::Identity;
pub(crate) use conversations::Followed;
pub(crate) use entries::{Kept, NewEntry, StoredSignature};
pub(crate) use outbox::{Filed, Posting};
pub(crate) use private::Sought;
pub(crate) use search::{Hit, HitAt, Searchable, Unsearched};
pub(crate) use watermarks::{MAX_UNREAD, Progress};

const DATABASE: &str = "state.db";
const LOCK: &str = "state.lock";

/// The local state can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has it.
    #[error("another Aside client uses the state in {}", .0.display())]
    InUse(PathBuf),
    /// This is a copy of what another process uses, thrown away at the end: what must not be lost is not written into it.
    #[error(
        "another Aside client is open on this device, and what is private only one at a time can use"
    )]
    Copy,
    /// The client that used it was closed.
    #[error("the client is closed")]
    Closed,
    /// The directory or a file in it can't be made, read or written.
    #[error("the state in {} can't be used: {source}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// SQLite failed.
    #[error("the state can't be read or written: {0}")]
    Database(#[source] sqlx::Error),
    /// Another, newer version wrote it, or the migration failed.
    #[error("the state can't be brought to this version: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A value that no version of this program wrote, or that stands where another belongs.
    #[error("the state is damaged: {0}")]
    Damaged(&'static str),
    /// A passphrase guards it, and none was given.
    #[error("a passphrase guards the state in {}", .0.display())]
    PassphraseNeeded(PathBuf),
    /// Another passphrase guards it.
    #[error("this is not the passphrase of the state in {}", .0.display())]
    WrongPassphrase(PathBuf),
    /// Shorter than [`Guard::MIN_PASSPHRASE_CHARS`].
    #[error("a passphrase has at least {} characters", Guard::MIN_PASSPHRASE_CHARS)]
    PassphraseTooShort,
    /// The file with the key of the state is not beside it.
    #[error("the key of the state is not where it was: {}", .0.display())]
    KeyFileMissing(PathBuf),
    /// The file with the key of the state has another.
    #[error("the key in {} is not that of the state beside it", .0.display())]
    WrongKeyFile(PathBuf),
    /// The system's keyring does not give the key of the state.
    #[error("the system's keyring does not give the key of the state: {0}")]
    Keyring(String),
}

impl From<sqlx::Error> for StateError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolClosed => Self::Closed,
            error => Self::Database(error),
        }
    }
}

/// The open state.
#[derive(Debug)]
pub(crate) struct Store {
    pool: SqlitePool,
    /// What is committed by it is on the disk, and all that was committed before.
    durable: SqlitePool,
    sealer: Sealer,
    home: Home,
}

#[derive(Debug)]
enum Home {
    /// This process is the one writer, as long as it holds the lock.
    Own { dir: PathBuf, lock: File },
    /// Thrown away with the store.
    Copy { _dir: TempDir },
}

impl Store {
    /// Opens the state in `dir`, as its one writer; makes both if need be.
    pub(crate) async fn open(dir: &Path, unlock: &Unlock) -> Result<Self, StateError> {
        let failed = |source| StateError::Io { path: dir.to_owned(), source };
        create_private_dir(dir).map_err(failed)?;
        let lock = File::create(dir.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        create_private_file(&dir.join(DATABASE)).map_err(failed)?;
        let home = Home::Own { dir: dir.to_owned(), lock };
        let key_home = KeyHome { dir, copy: false };
        Self::open_file(&dir.join(DATABASE), home, key_home, unlock).await
    }

    /// Whether there is one to open.
    pub(crate) fn is_in(dir: &Path) -> bool {
        dir.join(DATABASE).is_file()
    }

    /// As [`open`](Self::open), but on a copy if another process is the writer. What the copy's outbox held is the writer's to
    /// send.
    pub(crate) async fn open_shared(dir: &Path, unlock: &Unlock) -> Result<Self, StateError> {
        match Self::open(dir, unlock).await {
            Err(StateError::InUse(_)) => {}
            other => return other,
        }
        let failed = |source| StateError::Io { path: dir.to_owned(), source };
        let copy = tempfile::tempdir().map_err(failed)?;
        let path = copy.path().join(DATABASE);
        let from = open_read_only(dir).await?;
        let target = path.to_str().ok_or(StateError::Damaged("the path of a temporary file"))?;
        sqlx::query("VACUUM INTO ?").bind(target).execute(&from).await?;
        from.close().await;
        let (home, key_home) = (Home::Copy { _dir: copy }, KeyHome { dir, copy: true });
        let store = Self::open_file(&path, home, key_home, unlock).await?;
        sqlx::query("DELETE FROM outbox").execute(&store.pool).await?;
        Ok(store)
    }

    async fn open_file(
        path: &Path,
        home: Home,
        key_home: KeyHome<'_>,
        unlock: &Unlock,
    ) -> Result<Self, StateError> {
        let pool = open_pool(path).await?;
        // One connection, opened when it is needed first: most commits need not wait for the disk.
        let durable = connections(1).connect_lazy_with(durable(path));
        let sealer = data_key::unlock(&pool, key_home, unlock).await?;
        let store = Self { pool, durable, sealer, home };
        store.hide_references().await?;
        Ok(store)
    }

    /// What guards the data key of the state in `dir`; none if it was not opened by a version that seals. Needs no key.
    pub(crate) async fn guard(dir: &Path) -> Result<Option<Guard>, StateError> {
        let pool = open_read_only(dir).await?;
        let guard = data_key::guard(&pool).await;
        pool.close().await;
        guard
    }

    /// Has this passphrase guard the data key from now on, or what the system has.
    pub(crate) async fn change_guard(
        &self,
        unlock: &Unlock,
        passphrase: Option<&Zeroizing<String>>,
    ) -> Result<Guard, StateError> {
        let dir = self.dir().ok_or(StateError::Copy)?;
        data_key::change_guard(&self.durable, dir, unlock, passphrase).await
    }

    /// Where the state lives, if it is not a copy.
    pub(crate) fn dir(&self) -> Option<&Path> {
        match &self.home {
            Home::Own { dir, .. } => Some(dir),
            Home::Copy { .. } => None,
        }
    }

    /// Writes out, and lets the next writer in. A store that is dropped loses nothing either.
    pub(crate) async fn close(&self) {
        self.durable.close().await;
        self.pool.close().await;
        if let Home::Own { lock, .. } = &self.home {
            // Dropping the file would do it too, but whoever holds the client may keep it open for long.
            let _ = lock.unlock();
        }
    }
}

async fn open_pool(path: &Path) -> Result<SqlitePool, StateError> {
    // NORMAL: power failure may take the last transactions, never the database. Entries are fetched again, and a message that
    // was acknowledged and is sent again is answered with its first seq (MSG-004).
    let options = options(path).synchronous(SqliteSynchronous::Normal);
    let pool = connections(2).connect_with(options).await?;
    sqlx::migrate!().run(&pool).await?;
    Ok(pool)
}

/// So many, which are never replaced: to look for old ones, sqlx counts those that are idle, and where one is taken as another is given
/// back it may count below zero, and so for ever.
fn connections(most: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(most).idle_timeout(None).max_lifetime(None)
}

/// FULL: what is committed is on the disk, whatever becomes of the power (STORE-002).
fn durable(path: &Path) -> SqliteConnectOptions {
    // On macOS, a disk's own cache is written out only if one asks for it so.
    options(path).synchronous(SqliteSynchronous::Full).pragma("fullfsync", "ON")
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What is deleted is overwritten: what was redacted is to be gone from the file (REDACT-016).
        .pragma("secure_delete", "ON")
        .foreign_keys(true)
}

async fn open_read_only(dir: &Path) -> Result<SqlitePool, StateError> {
    let options = SqliteConnectOptions::new().filename(dir.join(DATABASE)).read_only(true);
    Ok(connections(1).connect_with(options).await?)
}

#[cfg(unix)]
fn create_private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn create_private_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}

/// SQLite gives its other files the permissions of the database.
fn create_private_file(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// A column of exactly `N` bytes.
fn array<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], StateError> {
    bytes.try_into().map_err(|_| StateError::Damaged(what))
}

fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn unsigned(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}

#[cfg(test)]
mod tests;
