//! The system's keyring, with feature `keyring`: the Secret Service on Linux, Keychain on macOS, the credential store on Windows.

#[cfg(feature = "keyring")]
pub(super) use system::{read, remove, store};
#[cfg(not(feature = "keyring"))]
pub(super) use without::{read, remove, store};

#[cfg(feature = "keyring")]
mod system {
    use keyring::Entry;
    use tokio::task::spawn_blocking;
    use zeroize::Zeroizing;

    use crate::store::{StateError, array, data_key::Salt, seal::Key};

    const SERVICE: &str = "aside";

    /// Hands a key over; `false` if there is no keyring that takes it and gives it back.
    pub(in crate::store) async fn store(salt: Salt, key: &Key) -> bool {
        let key = key.clone();
        let stored = in_entry(salt, move |entry| {
            entry.set_secret(&key[..])?;
            Ok(Zeroizing::new(entry.get_secret()?)[..] == key[..])
        });
        stored.await.unwrap_or(false)
    }

    pub(in crate::store) async fn read(salt: Salt) -> Result<Key, StateError> {
        let secret = in_entry(salt, |entry| entry.get_secret().map(Zeroizing::new)).await;
        let secret = secret.map_err(StateError::Keyring)?;
        Ok(Key::new(array(&secret, "the key in the system's keyring")?))
    }

    pub(in crate::store) async fn remove(salt: Salt) {
        let _ = in_entry(salt, |entry| entry.delete_credential()).await;
    }

    /// Asking the keyring may wait for its user.
    async fn in_entry<T: Send + 'static>(
        salt: Salt,
        ask: impl FnOnce(&Entry) -> keyring::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let asked = spawn_blocking(move || ask(&Entry::new(SERVICE, &hex::encode(salt))?)).await;
        asked.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

#[cfg(not(feature = "keyring"))]
mod without {
    use crate::store::{StateError, data_key::Salt, seal::Key};

    pub(in crate::store) async fn store(_: Salt, _: &Key) -> bool {
        false
    }

    pub(in crate::store) async fn read(_: Salt) -> Result<Key, StateError> {
        Err(StateError::Keyring("this program was built without it".to_owned()))
    }

    pub(in crate::store) async fn remove(_: Salt) {}
}
