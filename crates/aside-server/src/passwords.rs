//! Argon2id on a bounded pool: so many hashes at once, so many waiting, the rest refused (LIM-009).

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use aside_session::server::Secret;
use tokio::{sync::Semaphore, task};

use crate::config::PasswordConfig;

/// Why a password was not hashed or compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HashError {
    /// As many wait as may.
    #[error("too many passwords are waiting to be hashed")]
    Busy,
    /// Argon2 itself failed, or a stored hash can't be read.
    #[error("a password could not be hashed")]
    Failed,
}

/// Makes and compares password hashes.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    workers: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    most_waiting: usize,
    /// The hash of a password no one knows, compared for handles no one has (AUTH-021).
    decoy: Arc<str>,
}

impl Passwords {
    pub(crate) fn new(config: &PasswordConfig) -> Result<Self, String> {
        let params =
            Params::new(config.memory_kib, config.iterations, Params::DEFAULT_P_COST, None)
                .map_err(|e| format!("[password] {e}"))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let workers = match config.workers {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            workers => workers,
        };
        let decoy = hash_now(&argon2, &random::<32>()).map_err(|e| e.to_string())?;
        Ok(Self {
            argon2,
            workers: Arc::new(Semaphore::new(workers)),
            waiting: Arc::default(),
            most_waiting: config.queue + workers,
            decoy: decoy.into(),
        })
    }

    /// A PHC string for this password.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, HashError> {
        let argon2 = self.argon2.clone();
        self.run(move || hash_now(&argon2, password.expose().as_bytes())).await
    }

    /// Whether this is the password of that PHC string. With no string it does the same work and says no.
    pub(crate) async fn verify(
        &self,
        password: Secret,
        stored: Option<String>,
    ) -> Result<bool, HashError> {
        let argon2 = self.argon2.clone();
        let decoy = Arc::clone(&self.decoy);
        self.run(move || {
            let hash = stored.as_deref().unwrap_or(&decoy);
            let matches = argon2.verify_password(password.expose().as_bytes(), hash).is_ok();
            Ok(matches && stored.is_some())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let _place = Place::take(&self.waiting, self.most_waiting).ok_or(HashError::Busy)?;
        let permit =
            Arc::clone(&self.workers).acquire_owned().await.map_err(|_| HashError::Failed)?;
        task::spawn_blocking(move || {
            // Kept until the work ends even if the connection that asked is gone.
            let _permit = permit;
            work()
        })
        .await
        .map_err(|_| HashError::Failed)?
    }
}

/// A place in the queue, given back on drop.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let place = Self(Arc::clone(waiting));
        (waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hash_now(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, HashError> {
    argon2
        .hash_password_with_salt(password, &random::<16>())
        .map(|hash| hash.to_string())
        .map_err(|_| HashError::Failed)
}

/// Bytes from the system's random source.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

/// Fills a buffer from the system's random source.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("a system without randomness can't run a server");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(queue: usize) -> Passwords {
        Passwords::new(&PasswordConfig { memory_kib: 64, iterations: 1, workers: 1, queue })
            .unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    // cites: AUTH-021, AUTH-025
    #[tokio::test]
    async fn only_the_password_itself_verifies() {
        let passwords = passwords(8);
        let stored = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
        assert_eq!(passwords.verify(secret("correct horse"), Some(stored.clone())).await, Ok(true));
        assert_eq!(passwords.verify(secret("battery staple"), Some(stored)).await, Ok(false));
        assert_eq!(passwords.verify(secret("correct horse"), None).await, Ok(false));
    }

    // cites: AUTH-021
    #[test]
    fn a_decoy_costs_what_a_stored_password_costs() {
        assert!(passwords(8).decoy.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
    }

    // cites: LIM-009
    #[tokio::test]
    async fn beyond_the_queue_work_is_refused_and_later_taken_again() {
        let passwords = passwords(1);
        let worker = Arc::clone(&passwords.workers).acquire_owned().await.unwrap();
        let jobs: Vec<_> = (0..2)
            .map(|_| {
                tokio::spawn({
                    let p = passwords.clone();
                    async move { p.hash(secret("x")).await }
                })
            })
            .collect();
        while passwords.waiting.load(Ordering::Relaxed) < 2 {
            task::yield_now().await;
        }
        assert_eq!(passwords.hash(secret("x")).await, Err(HashError::Busy));
        drop(worker);
        for job in jobs {
            assert!(job.await.unwrap().is_ok());
        }
        assert!(passwords.hash(secret("x")).await.is_ok());
    }
}
