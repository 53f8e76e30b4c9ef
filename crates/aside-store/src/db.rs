//! The database in use, and all that is particular to it: everything else in this crate is SQL that PostgreSQL and
//! MySQL take as well, but for the form of placeholders.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    str::FromStr as _,
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions as _, Row as _,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::error::StoreError;

pub(crate) use sqlx::SqliteExecutor as Executor;

pub(crate) type Connection = sqlx::SqliteConnection;
pub(crate) type Pool = sqlx::SqlitePool;
pub(crate) type PoolConnection = sqlx::pool::PoolConnection<sqlx::Sqlite>;
pub(crate) type Row = sqlx::sqlite::SqliteRow;
pub(crate) type Transaction<'c> = sqlx::SqliteTransaction<'c>;

/// Takes the write lock at once: what is read in the transaction is still so when it writes.
pub(crate) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";
/// Makes SQLite walk a list of wanted values and look each up, whatever it guesses about sizes.
pub(crate) const LOOK_UP_EACH: &str = "CROSS JOIN";

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Reads wait for the processor or the disk, not for each other: a few suffice.
const READERS: u32 = 4;
/// Searches at once. Each may take long, so they have connections of their own, and others of the machine's cores.
const SEARCHERS: u32 = 2;
/// How long a search waits for one of these.
const SEARCH_TURN: Duration = Duration::from_secs(2);
/// Steps of the database between two looks at whether a search has taken too long. Few, since reading a page of its index
/// counts for one or two.
const SEARCH_STEPS: i32 = 8;
/// Someone's `sqlite3` shell or a backup may hold the file for a while.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages of the log that gather before they are moved into the database: 16 MiB, so that pages every batch writes
/// anew are moved once for many batches.
const CHECKPOINT_PAGES: &str = "4000";
/// What the writer keeps of the indexes: 16 MiB, in the unit of 1024 bytes that a negative number means.
const WRITER_CACHE: &str = "-16384";
/// What a statement fails with that was ended before it was done.
const SQLITE_INTERRUPT: &str = "9";
/// Rows that the writer may be ahead of us: a batch's answers come without a wait in between.
const ROW_BUFFER: usize = 1024;

/// A database file that this process alone has open.
pub(crate) struct Database {
    options: SqliteConnectOptions,
    /// Held for as long as anything may write.
    _lock: File,
}

impl Database {
    /// Locks the file that a URL names, making it if need be, and brings its schema up to date.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let options = parse(url)?;
        let path = options.get_filename().to_owned();
        let lock = lock(&path)?;
        open_private(&path)?;
        let database = Self { options, _lock: lock };
        database.migrate().await?;
        Ok(database)
    }

    /// The connection that writes. There is one.
    pub(crate) async fn writer(&self) -> Result<Connection, sqlx::Error> {
        self.options
            .clone()
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("cache_size", WRITER_CACHE)
            .row_buffer_size(ROW_BUFFER)
            .connect()
            .await
    }

    /// Connections that read, each transaction or statement from one state of the database.
    pub(crate) fn readers(&self) -> Pool {
        let options = reading().max_connections(READERS);
        options.connect_lazy_with(self.options.clone().read_only(true))
    }

    /// Connections that search: see [`searcher`].
    pub(crate) fn searchers(&self) -> Pool {
        let options = reading().max_connections(SEARCHERS).acquire_timeout(SEARCH_TURN);
        options.connect_lazy_with(self.options.clone().read_only(true))
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.options.connect().await.map_err(StoreError::database)?;
        MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(|error| match error {
            MigrateError::VersionMissing(found) => {
                StoreError::NewerSchema { found, known: schema() }
            }
            error => StoreError::database(error),
        })?;
        sqlx::Connection::close(connection).await.map_err(StoreError::database)
    }
}

fn reading() -> SqlitePoolOptions {
    SqlitePoolOptions::new().test_before_acquire(false).idle_timeout(None).max_lifetime(None)
}

/// A connection for one search. What is read on it fails with an error that [`is_too_long`] knows once this time has passed, and so
/// does this, if there is no connection free for long.
pub(crate) async fn searcher(
    searchers: &Pool,
    time: Duration,
) -> Result<PoolConnection, sqlx::Error> {
    let mut connection = searchers.acquire().await?;
    let end = Instant::now() + time;
    // Stays until the next search sets its own: nothing else uses the connection.
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(SEARCH_STEPS, move || Instant::now() < end);
    drop(handle);
    Ok(connection)
}

/// Whether a search was ended, or not begun, for the sake of others.
pub(crate) fn is_too_long(error: &sqlx::Error) -> bool {
    let interrupted = |error: &dyn sqlx::error::DatabaseError| {
        error.code().is_some_and(|code| code == SQLITE_INTERRUPT)
    };
    matches!(error, sqlx::Error::PoolTimedOut) || error.as_database_error().is_some_and(interrupted)
}

/// The greatest migration that this build knows.
fn schema() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn parse(url: &str) -> Result<SqliteConnectOptions, StoreError> {
    let refuse = || StoreError::Url(url.to_owned());
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    if !url.starts_with("sqlite:") || in_memory {
        return Err(refuse());
    }
    let options = SqliteConnectOptions::from_str(url).map_err(|_| refuse())?;
    if options.get_filename().as_os_str().is_empty() {
        return Err(refuse());
    }
    Ok(options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // What is deleted is overwritten: what was redacted is to be gone from the file (REDACT-001).
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging())
}

/// The database's own locks can't be used for this: readers and the writer are connections of their own.
fn lock(database: &Path) -> Result<File, StoreError> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let file = open_private(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(database.to_owned())),
        Err(TryLockError::Error(error)) => Err(StoreError::file(path, error)),
    }
}

/// Password hashes and the log key are in there: nobody else may read it. SQLite gives its other files the same mode.
fn open_private(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| StoreError::file(path, error))
}

/// Columns of a row by their place, as this crate's types.
pub(crate) trait Columns {
    /// A whole number that is never negative; 0 for NULL.
    fn number(&self, column: usize) -> Result<u64, sqlx::Error>;
    /// A surrogate key.
    fn key(&self, column: usize) -> Result<i64, sqlx::Error>;
    /// A surrogate key, or another number of which only matters whether it is there.
    fn key_or_null(&self, column: usize) -> Result<Option<i64>, sqlx::Error>;
    /// Exactly `N` bytes.
    fn array<const N: usize>(&self, column: usize) -> Result<[u8; N], sqlx::Error>;
    /// Any bytes; none for NULL.
    fn bytes(&self, column: usize) -> Result<bytes::Bytes, sqlx::Error>;
    /// Text.
    fn text(&self, column: usize) -> Result<String, sqlx::Error>;
}

impl Columns for Row {
    fn number(&self, column: usize) -> Result<u64, sqlx::Error> {
        let value: Option<i64> = self.try_get(column)?;
        u64::try_from(value.unwrap_or(0)).map_err(|error| decode_error(column, error))
    }

    fn key(&self, column: usize) -> Result<i64, sqlx::Error> {
        self.try_get(column)
    }

    fn key_or_null(&self, column: usize) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }

    fn array<const N: usize>(&self, column: usize) -> Result<[u8; N], sqlx::Error> {
        let value: &[u8] = self.try_get(column)?;
        value.try_into().map_err(|error| decode_error(column, error))
    }

    fn bytes(&self, column: usize) -> Result<bytes::Bytes, sqlx::Error> {
        let value: Option<Vec<u8>> = self.try_get(column)?;
        Ok(value.unwrap_or_default().into())
    }

    fn text(&self, column: usize) -> Result<String, sqlx::Error> {
        self.try_get(column)
    }
}

/// A value in the database that this crate can't have written.
pub(crate) fn decode_error(
    column: usize,
    source: impl std::error::Error + Send + Sync + 'static,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source: Box::new(source) }
}

/// A number as the database takes it. Greater ones stand for "beyond all there is".
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
