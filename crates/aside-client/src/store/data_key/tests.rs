use std::{borrow::Cow, fs};

use aside_crypto::SigningKey;
use sqlx::migrate::Migrator;
use tempfile::TempDir;

use super::*;
use crate::store::{Store, open_pool};

fn passphrase(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn with(text: &str) -> Unlock {
    Unlock::Passphrase(passphrase(text))
}

const RIGHT: &str = "eight days a week";

async fn new_store(unlock: &Unlock) -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), unlock).await.unwrap();
    (dir, store)
}

async fn device_key(dir: &Path, unlock: &Unlock) -> Result<Vec<u8>, StateError> {
    let store = Store::open(dir, unlock).await?;
    let key = store.account().await?.device_key.to_bytes().to_vec();
    store.close().await;
    Ok(key)
}

// cites: STORE-008
#[tokio::test]
async fn without_a_passphrase_the_key_lies_beside_the_database() {
    let (dir, store) = new_store(&Unlock::Unattended).await;
    let before = store.account().await.unwrap().device_key.to_bytes().to_vec();
    store.close().await;
    let file = key_file::path(dir.path());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(Store::guard(dir.path()).await.unwrap(), Some(Guard::KeyFile));
    assert_eq!(device_key(dir.path(), &Unlock::Unattended).await.unwrap(), before);
    // Whoever gives a passphrase to all states opens this one, too.
    assert_eq!(device_key(dir.path(), &with(RIGHT)).await.unwrap(), before);

    let right = fs::read(&file).unwrap();
    for wrong in [vec![7; 32], vec![7; 31], Vec::new()] {
        fs::write(&file, wrong).unwrap();
        let refused = device_key(dir.path(), &Unlock::Unattended).await.unwrap_err();
        assert!(matches!(&refused, StateError::WrongKeyFile(path) if *path == file), "{refused}");
    }
    fs::remove_file(&file).unwrap();
    let refused = device_key(dir.path(), &Unlock::Unattended).await.unwrap_err();
    assert!(matches!(&refused, StateError::KeyFileMissing(path) if *path == file), "{refused}");
    assert!(!file.exists(), "none is made in its place");
    fs::write(&file, right).unwrap();
    assert_eq!(device_key(dir.path(), &Unlock::Unattended).await.unwrap(), before);
}

// cites: STORE-008
#[tokio::test]
async fn a_passphrase_alone_opens_what_was_made_with_it() {
    let (dir, store) = new_store(&with(RIGHT)).await;
    let before = store.account().await.unwrap().device_key.to_bytes().to_vec();
    // A copy needs it as well, and has it from the same place.
    let copy = Store::open_shared(dir.path(), &with(RIGHT)).await.unwrap();
    assert_eq!(copy.account().await.unwrap().device_key.to_bytes()[..], before[..]);
    let shut = Store::open_shared(dir.path(), &Unlock::Unattended).await;
    assert!(matches!(shut, Err(StateError::PassphraseNeeded(_))));
    store.close().await;
    assert!(!key_file::path(dir.path()).exists());
    let refused = device_key(dir.path(), &Unlock::Unattended).await.unwrap_err();
    assert!(matches!(refused, StateError::PassphraseNeeded(_)));
    for wrong in ["", "eight days a weekend", "Eight days a week"] {
        let refused = device_key(dir.path(), &with(wrong)).await.unwrap_err();
        assert!(matches!(refused, StateError::WrongPassphrase(_)), "{wrong}: {refused}");
    }
    assert_eq!(device_key(dir.path(), &with(RIGHT)).await.unwrap(), before);
    let short = Store::open(&dir.path().join("another"), &with("seven c")).await;
    assert!(matches!(short, Err(StateError::PassphraseTooShort)));
}

/// What is kept of the keys, as it stands in the database.
async fn rows(dir: &Path) -> (Vec<u8>, Vec<u8>) {
    let pool = open_pool(&dir.join("state.db")).await.unwrap();
    let row = sqlx::query("SELECT device_key, sealed FROM account, data_key");
    let row = row.fetch_one(&pool).await.unwrap();
    pool.close().await;
    (row.get("device_key"), row.get("sealed"))
}

// cites: STORE-008, STORE-009
#[tokio::test]
async fn another_passphrase_seals_the_key_anew_and_nothing_else() {
    let (dir, store) = new_store(&Unlock::Unattended).await;
    let before = store.account().await.unwrap().device_key.to_bytes().to_vec();
    store.close().await;
    let by_file = rows(dir.path()).await;
    let guard_of = async |unlock: &Unlock, new: Option<&str>| {
        let store = Store::open(dir.path(), unlock).await?;
        let new = new.map(passphrase);
        let changed = store.change_guard(unlock, new.as_ref()).await;
        store.close().await;
        changed
    };
    let short = guard_of(&Unlock::Unattended, Some("seven c")).await;
    assert!(matches!(short, Err(StateError::PassphraseTooShort)));
    assert_eq!(guard_of(&Unlock::Unattended, Some(RIGHT)).await.unwrap(), Guard::Passphrase);
    let by_passphrase = rows(dir.path()).await;
    assert!(by_file.0 == by_passphrase.0 && by_file.1 != by_passphrase.1);
    let database = fs::read(dir.path().join("state.db")).unwrap();
    assert!(!database.windows(by_file.1.len()).any(|window| window == by_file.1));
    assert!(!key_file::path(dir.path()).exists());

    let shut = guard_of(&Unlock::Unattended, Some("by whoever has the file")).await;
    assert!(matches!(shut, Err(StateError::PassphraseNeeded(_))));
    assert_eq!(guard_of(&with(RIGHT), Some("another one")).await.unwrap(), Guard::Passphrase);
    let refused = device_key(dir.path(), &with(RIGHT)).await.unwrap_err();
    assert!(matches!(refused, StateError::WrongPassphrase(_)));
    assert_eq!(device_key(dir.path(), &with("another one")).await.unwrap(), before);

    let without = guard_of(&with("another one"), None).await.unwrap();
    assert_ne!(without, Guard::Passphrase);
    assert_eq!(guard_of(&Unlock::Unattended, None).await.unwrap(), without, "as it was");
    assert_eq!(device_key(dir.path(), &Unlock::Unattended).await.unwrap(), before);
    assert_eq!(rows(dir.path()).await.0, by_file.0);
}

// cites: STORE-008
#[tokio::test]
async fn the_cost_of_a_passphrase_is_kept_and_can_not_be_lowered() {
    let (dir, store) = new_store(&with(RIGHT)).await;
    store.close().await;
    let pool = open_pool(&dir.path().join("state.db")).await.unwrap();
    let kept = Wrapped::read(&pool).await.unwrap().unwrap();
    assert_eq!(kept.cost, Cost { memory_kib: 65_536, passes: 3, lanes: 1 });
    let opens = async |cost| {
        let change = "UPDATE data_key SET memory_kib = ?, passes = ?, lanes = ?";
        let Cost { memory_kib, passes, lanes } = cost;
        let change = sqlx::query(change).bind(memory_kib).bind(passes).bind(lanes);
        change.execute(&pool).await.unwrap();
        unlock(&pool, KeyHome { dir: dir.path(), copy: false }, &with(RIGHT)).await
    };
    assert!(matches!(opens(Cost { passes: 1, ..COST }).await, Err(StateError::WrongPassphrase(_))));
    for cost in [
        Cost { memory_kib: u32::MAX, ..COST },
        Cost { passes: u32::MAX, ..COST },
        Cost { lanes: 17, ..COST },
        Cost { passes: 0, ..COST },
    ] {
        assert!(matches!(opens(cost).await, Err(StateError::Damaged(_))), "{cost:?}");
    }
    assert!(opens(COST).await.is_ok());
    pool.close().await;
}

/// A state as the version before sealing left it: keys in plain sight.
async fn written_before(dir: &Path) -> (SigningKey, [aside_mls::SigningKey; 2]) {
    let (login, keys) = (SigningKey::from_bytes(&[9; 32]).unwrap(), random::mls_keys());
    let url = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(dir.join("state.db"))
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    let pool = SqlitePool::connect_with(url).await.unwrap();
    let all = sqlx::migrate!();
    let before = all.iter().filter(|migration| migration.version < 9).cloned().collect();
    let before = Migrator { migrations: Cow::Owned(before), ..Migrator::DEFAULT };
    before.run(&pool).await.unwrap();
    let sql = "INSERT INTO account (id, device_key) VALUES (1, ?)";
    sqlx::query(sql).bind(&login.to_bytes()[..]).execute(&pool).await.unwrap();
    for key in &keys {
        let sql = "INSERT INTO mls_keys (suite, private_key) VALUES (?, ?)";
        let query = sqlx::query(sql).bind(key.suite().number()).bind(&key.to_bytes()[..]);
        query.execute(&pool).await.unwrap();
    }
    pool.close().await;
    (login, keys)
}

fn found(dir: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|file| {
        let file = fs::read(file.unwrap().path()).unwrap();
        file.windows(bytes.len()).any(|window| window == bytes)
    })
}

// cites: STORE-006
#[tokio::test]
async fn what_was_kept_in_plain_sight_is_sealed_at_the_first_opening() {
    let dir = tempfile::tempdir().unwrap();
    let (login, keys) = written_before(dir.path()).await;
    assert!(found(dir.path(), &login.to_bytes()[..]));
    assert_eq!(Store::guard(dir.path()).await.unwrap(), None);

    let store = Store::open(dir.path(), &with(RIGHT)).await.unwrap();
    let check = || {
        assert!(!found(dir.path(), &login.to_bytes()[..]));
        keys.iter().for_each(|key| assert!(!found(dir.path(), &key.to_bytes())));
    };
    check();
    assert_eq!(store.account().await.unwrap().device_key.to_bytes(), login.to_bytes());
    let kept = store.mls_keys().await.unwrap();
    let bytes = |keys: &[aside_mls::SigningKey]| {
        keys.iter().map(|key| (key.suite(), key.to_bytes())).collect::<Vec<_>>()
    };
    assert_eq!(bytes(&kept), bytes(&keys));
    store.close().await;
    check();
    let again = device_key(dir.path(), &with(RIGHT)).await.unwrap();
    assert_eq!(again, login.to_bytes()[..]);
}

#[tokio::test]
async fn a_copy_of_what_is_not_sealed_yet_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (login, _) = written_before(dir.path()).await;
    let lock = fs::File::create(dir.path().join("state.lock")).unwrap();
    lock.lock().unwrap();
    let copy = Store::open_shared(dir.path(), &Unlock::Unattended).await.unwrap();
    assert_eq!(copy.account().await.unwrap().device_key.to_bytes(), login.to_bytes());
    copy.close().await;
    assert!(!key_file::path(dir.path()).exists());
    assert_eq!(Store::guard(dir.path()).await.unwrap(), None);
}
