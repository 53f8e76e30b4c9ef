//! Servers under test: one that runs already, or as many as the scripts ask for.

mod command;
mod pool;

use std::{future::Future, path::PathBuf, pin::Pin};

pub use crate::conn::Endpoint;
pub use command::Command;
pub(crate) use pool::{Lease, Pool};

/// What a launcher's functions give.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Where the servers come from.
pub enum Target {
    /// One that runs already; it can be neither set up nor stopped.
    Running(Endpoint),
    /// They are started as scripts need them.
    Launched(Box<dyn Launcher>),
}

/// Starts servers.
pub trait Launcher: Send + Sync {
    /// Starts one.
    fn launch(&self, launch: Launch) -> Boxed<Result<Box<dyn Server>, LaunchError>>;

    /// Whether its servers can be killed without a chance to tidy up.
    fn can_kill(&self) -> bool;
}

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Launch {
    /// A folder of its own. A server that is started again finds what the one before left there.
    pub data_dir: PathBuf,
    /// The script's settings: see README.md. Empty for the defaults.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// A server that was started.
pub trait Server: Send {
    /// Where it listens.
    fn endpoint(&self) -> Endpoint;

    /// Has it say something to everyone who is connected, and gives it back.
    fn notice(self: Box<Self>, text: String) -> Boxed<Result<Box<dyn Server>, LaunchError>>;

    /// Stops it in good order.
    fn stop(self: Box<Self>) -> Boxed<()>;

    /// Ends it at once.
    fn kill(self: Box<Self>) -> Boxed<()>;
}

/// Why a server was not started.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LaunchError {
    /// It does not know how to do what the settings ask for: the script is UNTESTABLE.
    #[error("{0}")]
    Unsupported(String),
    /// It did not start, or did not do what it was told then.
    #[error("the server did not start, or did not do as told: {0}")]
    Failed(String),
}
