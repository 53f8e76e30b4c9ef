//! What guards the state: a key of its own, which a passphrase, the system's keyring or a file opens.

use std::{fmt, path::PathBuf};

use zeroize::Zeroizing;

use crate::{Error, Options, client, store::Store};

/// What opens the state.
#[derive(Clone, Default)]
pub enum Unlock {
    /// What this computer keeps: the system's keyring, or a file. A state that needs a passphrase stays shut.
    #[default]
    Unattended,
    /// A passphrase, where one is needed; a state that is made now needs it from the start.
    Passphrase(Zeroizing<String>),
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unattended => "Unattended",
            Self::Passphrase(_) => "Passphrase(..)",
        })
    }
}

/// What guards the key of the state, and so decides whom it protects from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// A passphrase: nobody reads what is secret in the state without it, wherever a copy comes from.
    Passphrase,
    /// The system's keyring: nobody does who can't open the user's keyring.
    Keyring,
    /// The file `state.key` in the directory of the state. It protects copies of the database alone, and nothing more: whoever
    /// can read the directory reads it all.
    KeyFile,
}

impl Guard {
    /// Characters that a passphrase has at least.
    pub const MIN_PASSPHRASE_CHARS: usize = 8;

    /// What guards the state of an account that is kept here; none if nothing is sealed there yet, since an earlier version
    /// kept it. It need not be opened for that.
    ///
    /// # Errors
    /// [`Error::NothingKept`], [`Error::State`].
    pub async fn of(options: &Options) -> Result<Option<Self>, Error> {
        Ok(Store::guard(&kept_in(options)?).await?)
    }

    /// Opens the state as `options` say, and puts it under this passphrase from now on; without one, under what the system
    /// has. Only the key of the state is sealed anew, not what it seals.
    ///
    /// # Errors
    /// [`Error::NothingKept`], and [`Error::State`]: among others if another process uses it.
    pub async fn change(
        options: &Options,
        passphrase: Option<Zeroizing<String>>,
    ) -> Result<Self, Error> {
        let dir = kept_in(options)?;
        let store = Store::open(&dir, &options.unlock).await?;
        let changed = store.change_guard(&options.unlock, passphrase.as_ref()).await;
        store.close().await;
        Ok(changed?)
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Passphrase => 1,
            Self::Keyring => 2,
            Self::KeyFile => 3,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::Passphrase, Self::Keyring, Self::KeyFile]
            .into_iter()
            .find(|guard| guard.number() == number)
    }
}

/// The directory of a state that is there.
fn kept_in(options: &Options) -> Result<PathBuf, Error> {
    let dir = client::state_dir(options)?;
    if Store::is_in(&dir) { Ok(dir) } else { Err(Error::NothingKept) }
}
