//! Where the state of an account lives: `<data dir>/<server>/<handle>/state.db`.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use aside_proto::{id::DeviceId, name::Name};

use crate::Address;

/// The file in an account's directory that holds its present handle: a rename moves no directory.
const HANDLE_FILE: &str = "handle";
/// Handles that the account had, or asked for, one a line.
const FORMER_FILE: &str = "former-handles";
/// Names are bounded far below: this only prepares them.
const MAX_NAME_CHARS: usize = 64;

/// The directory for the data of this user's clients: `$ASIDE_DATA_DIR/client`, or `aside/client` where the system keeps such
/// data. None if it says no such place.
#[must_use]
pub fn default_data_dir() -> Option<PathBuf> {
    let dir = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = dir("ASIDE_DATA_DIR") {
        return Some(client_data_dir(&dir));
    }
    let home = env::home_dir();
    let base = if cfg!(windows) {
        dir("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home.map(|home| home.join("Library/Application Support"))
    } else {
        dir("XDG_DATA_HOME").or_else(|| home.map(|home| home.join(".local/share")))
    };
    base.map(|base| base.join("aside/client"))
}

/// The state of clients below a directory that a user has named for programs of Aside, by ASIDE_DATA_DIR or otherwise.
#[must_use]
pub fn client_data_dir(dir: &Path) -> PathBuf {
    dir.join("client")
}

/// The directory of an account: the one that says it has this handle, or a new name for one. It need not exist.
pub(crate) fn account_dir(data_dir: &Path, address: &Address, handle: &str) -> io::Result<PathBuf> {
    let server = data_dir.join(file_name(&address.server()));
    let handle = canonical(handle);
    let mut taken = Vec::new();
    match fs::read_dir(&server) {
        Ok(entries) => {
            for entry in entries {
                let dir = entry?.path();
                if fs::read_to_string(dir.join(HANDLE_FILE)).is_ok_and(|text| text == handle) {
                    return Ok(dir);
                }
                taken.push(dir);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut dir = server.join(file_name(&handle));
    let mut number = 1;
    // A directory without a handle file is one whose first log-in never succeeded.
    while taken.contains(&dir) && dir.join(HANDLE_FILE).exists() {
        number += 1;
        dir = server.join(format!("{}~{number}", file_name(&handle)));
    }
    Ok(dir)
}

/// The directory of a token: apart from those of accounts, since the same account may well be used on the same machine.
pub(crate) fn token_dir(data_dir: &Path, address: &Address, token: DeviceId) -> PathBuf {
    // No server's handle has a file name like this one.
    data_dir.join(file_name(&address.server())).join("%tokens").join(token.to_string())
}

/// Writes down which handle the account in `dir` has now.
pub(crate) fn note_handle(dir: &Path, handle: &str) -> io::Result<()> {
    let now = canonical(handle);
    match fs::read_to_string(dir.join(HANDLE_FILE)) {
        Ok(before) if before != now => note_former(dir, &before)?,
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::write(dir.join(HANDLE_FILE), now)
}

/// Notes a handle that the account had, or asked for, and has no more.
pub(crate) fn note_former(dir: &Path, handle: &str) -> io::Result<()> {
    let handle = canonical(handle);
    let mut former = fs::read_to_string(dir.join(FORMER_FILE)).unwrap_or_default();
    if !former.lines().any(|line| line == handle) {
        former.push_str(&handle);
        former.push('\n');
        fs::write(dir.join(FORMER_FILE), former)?;
    }
    Ok(())
}

/// The present handle of an account that is kept here and had this one, or asked for it.
pub(crate) fn now_called(data_dir: &Path, address: &Address, handle: &str) -> Option<String> {
    let handle = canonical(handle);
    let entries = fs::read_dir(data_dir.join(file_name(&address.server()))).ok()?;
    entries.flatten().find_map(|entry| {
        let dir = entry.path();
        let former = fs::read_to_string(dir.join(FORMER_FILE)).ok()?;
        let had = former.lines().any(|line| line == handle);
        had.then(|| fs::read_to_string(dir.join(HANDLE_FILE)).ok())?
    })
}

/// Whether two spellings mean one handle.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    canonical(one) == canonical(other)
}

/// One spelling for all that mean the same handle; the server judges whether it is one.
fn canonical(handle: &str) -> String {
    Name::new(handle, MAX_NAME_CHARS)
        .map_or_else(|_| handle.to_owned(), |name| name.as_str().to_owned())
}

/// A text as a file name on any system: all but letters, digits, `-`, `_` and `.` as `%XX`.
fn file_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') && !name.is_empty() {
            name.push(c);
        } else {
            let mut bytes = [0; 4];
            name.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        "aside://alice@[::1]:7423".parse().unwrap()
    }

    #[test]
    fn names_can_not_leave_their_directory() {
        assert_eq!(file_name("alice"), "alice");
        assert_eq!(file_name(".."), "%2E.");
        assert_eq!(file_name("a/b\\c"), "a%2Fb%5Cc");
        assert_eq!(file_name("[::1]:7423"), "%5B%3A%3A1%5D%3A7423");
    }

    #[test]
    fn an_account_is_found_by_its_present_handle_in_any_spelling() {
        let data = tempfile::tempdir().unwrap();
        let find = |handle: &str| account_dir(data.path(), &address(), handle).unwrap();
        let alice = find("Alice");
        assert_eq!(alice, find("alice"));
        fs::create_dir_all(&alice).unwrap();
        assert_eq!(find("alice"), alice, "no log-in succeeded yet");
        note_handle(&alice, "Alice").unwrap();
        assert_eq!(find("alice"), alice);

        note_handle(&alice, "carol").unwrap();
        assert_eq!(find("carol"), alice, "after a rename");
        assert_ne!(find("alice"), alice, "another account");
        let called = |handle: &str| now_called(data.path(), &address(), handle);
        assert_eq!(called("Alice").as_deref(), Some("carol"));
        assert_eq!(called("carol"), None, "it is called so now");
        note_former(&alice, "bob").unwrap();
        assert_eq!(called("bob").as_deref(), Some("carol"), "it asked for that");
    }
}
