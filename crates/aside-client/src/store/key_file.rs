//! `state.key`, beside the database: 32 bytes, for the owner alone. It protects copies of the database that were made without it, and
//! nothing else.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{StateError, seal::Key};

const FILE: &str = "state.key";

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Writes it, in place of one that is there; on the disk when this returns, or as it was.
pub(super) fn write(dir: &Path, key: &Key) -> Result<(), StateError> {
    let write = || {
        // Made for its owner alone.
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(&key[..])?;
        file.as_file().sync_all()?;
        file.persist(path(dir)).map_err(|error| error.error)?;
        sync_dir(dir)
    };
    write().map_err(|source| StateError::Io { path: dir.to_owned(), source })
}

pub(super) fn read(dir: &Path) -> Result<Key, StateError> {
    let path = path(dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StateError::KeyFileMissing(path));
        }
        Err(source) => return Err(StateError::Io { path: dir.to_owned(), source }),
    };
    let key = <[u8; 32]>::try_from(&bytes[..]);
    key.map(Key::new).map_err(|_| StateError::WrongKeyFile(path))
}

pub(super) fn remove(dir: &Path) {
    let _ = fs::remove_file(path(dir)).and_then(|()| sync_dir(dir));
}

/// The name of a new file is on the disk once its directory is. Not every system lets one ask for that.
fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
