//! Argon2id on a bounded pool: so many hashes at once, so many waiting, the rest refused (LIM-009).

use std::{
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use aside_session::server::Secret;
use subtle::ConstantTimeEq as _;
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
    memory: Arc<Memory>,
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
        let memory = Arc::new(Memory::default());
        let decoy = memory.hash(&argon2, &random::<32>()).map_err(|e| e.to_string())?;
        Ok(Self {
            argon2,
            workers: Arc::new(Semaphore::new(workers)),
            memory,
            waiting: Arc::default(),
            most_waiting: config.queue + workers,
            decoy: decoy.into(),
        })
    }

    /// A PHC string for this password.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, HashError> {
        let argon2 = self.argon2.clone();
        let memory = Arc::clone(&self.memory);
        self.run(move || memory.hash(&argon2, password.expose().as_bytes())).await
    }

    /// Whether this is the password of that PHC string. With no string it does the same work and says no.
    pub(crate) async fn verify(
        &self,
        password: Secret,
        stored: Option<String>,
    ) -> Result<bool, HashError> {
        let memory = Arc::clone(&self.memory);
        let decoy = Arc::clone(&self.decoy);
        self.run(move || {
            let hash = stored.as_deref().unwrap_or(&decoy);
            let matches = memory.verify(password.expose().as_bytes(), hash)?;
            Ok(matches && stored.is_some())
        })
        .await
    }

    /// Whether the PHC string was made at another cost than today's.
    pub(crate) fn is_dated(&self, stored: &str) -> bool {
        let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        let params = PasswordHash::new(stored).ok().and_then(|hash| Params::try_from(&hash).ok());
        params.as_ref().map(cost) != Some(cost(self.argon2.params()))
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

/// The memory in which hashes are computed, kept from one to the next: as many pieces as were ever computed at once. Freed and
/// allocated anew, aligned as they are, pieces of 19 MiB do not fit into the holes that they leave in some allocators.
#[derive(Debug, Default)]
struct Memory(Mutex<Vec<Vec<Block>>>);

impl Memory {
    /// A PHC string for this password, with a salt of its own.
    fn hash(&self, argon2: &Argon2<'_>, password: &[u8]) -> Result<String, HashError> {
        let salt = Salt::new(&random::<{ Salt::RECOMMENDED_LENGTH }>());
        let salt = salt.map_err(|_| HashError::Failed)?;
        let output = self.compute(argon2, password, &salt, Params::DEFAULT_OUTPUT_LEN)?;
        let params = ParamsString::try_from(argon2.params()).map_err(|_| HashError::Failed)?;
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params,
            salt: Some(salt),
            hash: Some(output),
        };
        Ok(hash.to_string())
    }

    /// Whether this is the password of that PHC string.
    fn verify(&self, password: &[u8], stored: &str) -> Result<bool, HashError> {
        let stored = PasswordHash::new(stored).map_err(|_| HashError::Failed)?;
        let algorithm =
            Algorithm::try_from(stored.algorithm.as_str()).map_err(|_| HashError::Failed)?;
        let version = stored.version.map_or(Ok(Version::default()), Version::try_from);
        let params = Params::try_from(&stored).map_err(|_| HashError::Failed)?;
        let argon2 = Argon2::new(algorithm, version.map_err(|_| HashError::Failed)?, params);
        let (Some(salt), Some(expected)) = (stored.salt, stored.hash) else {
            return Err(HashError::Failed);
        };
        let computed = self.compute(&argon2, password, &salt, expected.len())?;
        Ok(computed.as_bytes().ct_eq(expected.as_bytes()).into())
    }

    fn compute(
        &self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        length: usize,
    ) -> Result<Output, HashError> {
        let mut output = [0; Output::MAX_LENGTH];
        let output = output.get_mut(..length).ok_or(HashError::Failed)?;
        let mut blocks = self.pieces().pop().unwrap_or_default();
        blocks.resize(argon2.params().block_count(), Block::default());
        let computed = argon2.hash_password_into_with_memory(password, salt, output, &mut blocks);
        self.pieces().push(blocks);
        computed.map_err(|_| HashError::Failed)?;
        Output::new(output).map_err(|_| HashError::Failed)
    }

    fn pieces(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    use argon2::PasswordVerifier as _;

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

    // A string made elsewhere, with other parameters than the server's: those of the string count.
    #[tokio::test]
    async fn a_stored_hash_keeps_the_cost_it_was_made_with() {
        let stored = Memory::default()
            .hash(&Argon2::from(Params::new(32, 2, 1, None).unwrap()), b"correct horse")
            .unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=32,t=2,p=1$"), "{stored}");
        let passwords = passwords(8);
        assert_eq!(passwords.verify(secret("correct horse"), Some(stored.clone())).await, Ok(true));
        assert_eq!(
            passwords.verify(secret("Correct horse"), Some(stored.clone())).await,
            Ok(false)
        );
        assert!(passwords.is_dated(&stored));
        let renewed = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(!passwords.is_dated(&renewed), "{renewed}");
        assert!(Argon2::default().verify_password(b"correct horse", stored.as_str()).is_ok());
        let damaged = stored.replace("argon2id", "argon3");
        assert_eq!(passwords.verify(secret("x"), Some(damaged)).await, Err(HashError::Failed));
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
