//! The servers that run: one for each set of settings, shared by the scripts that need it, and private ones for scripts
//! that stop theirs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{Endpoint, Launch, LaunchError, Server, Target};

type Settings = serde_json::Map<String, serde_json::Value>;

/// The servers of a run.
pub(crate) struct Pool {
    target: Target,
    shared: Mutex<HashMap<String, Arc<OnceCell<Lease>>>>,
}

/// A server, with its folder.
pub(crate) struct Lease {
    settings: Settings,
    /// None for a server that ran before us.
    folder: Option<TempDir>,
    state: Mutex<LeaseState>,
}

struct LeaseState {
    endpoint: Endpoint,
    server: Option<Box<dyn Server>>,
}

impl Pool {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, shared: Mutex::default() }
    }

    /// What scripts may do with servers of this target.
    pub(crate) fn abilities(&self) -> Vec<&'static str> {
        match &self.target {
            Target::Running(_) => Vec::new(),
            Target::Launched(launcher) if launcher.can_kill() => {
                vec!["control.settings", "control.restart", "control.notice", "control.kill"]
            }
            Target::Launched(_) => vec!["control.settings", "control.restart", "control.notice"],
        }
    }

    /// The server with these settings that scripts share.
    pub(crate) async fn shared(
        &self,
        settings: &Settings,
    ) -> Result<Arc<OnceCell<Lease>>, LaunchError> {
        let key = serde_json::Value::from(settings.clone()).to_string();
        let cell = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(shared.entry(key).or_default())
        };
        cell.get_or_try_init(|| self.private(settings)).await?;
        Ok(cell)
    }

    /// A server of one's own.
    pub(crate) async fn private(&self, settings: &Settings) -> Result<Lease, LaunchError> {
        let (folder, state) = match &self.target {
            Target::Running(endpoint) => {
                (None, LeaseState { endpoint: endpoint.clone(), server: None })
            }
            Target::Launched(_) => {
                let folder =
                    TempDir::new().map_err(|error| LaunchError::Failed(error.to_string()))?;
                let server = self.launch(&folder, settings).await?;
                (Some(folder), LeaseState { endpoint: server.endpoint(), server: Some(server) })
            }
        };
        Ok(Lease { settings: settings.clone(), folder, state: Mutex::new(state) })
    }

    async fn launch(
        &self,
        folder: &TempDir,
        settings: &Settings,
    ) -> Result<Box<dyn Server>, LaunchError> {
        let Target::Launched(launcher) = &self.target else {
            return Err(LaunchError::Failed("this target can't be started".into()));
        };
        launcher
            .launch(Launch { data_dir: folder.path().to_owned(), settings: settings.clone() })
            .await
    }

    /// Starts a leased server again, on the data it left.
    pub(crate) async fn start_again(&self, lease: &Lease) -> Result<(), LaunchError> {
        let Some(folder) = &lease.folder else {
            return Err(LaunchError::Failed("this target can't be started".into()));
        };
        let server = self.launch(folder, &lease.settings).await?;
        let mut state = lease.state();
        state.endpoint = server.endpoint();
        state.server = Some(server);
        Ok(())
    }

    /// Stops all servers that were started.
    pub(crate) async fn stop(&self) {
        let cells: Vec<_> = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.drain().map(|(_, cell)| cell).collect()
        };
        for cell in cells {
            if let Some(lease) = cell.get() {
                lease.stop().await;
            }
        }
    }
}

impl Lease {
    fn state(&self) -> std::sync::MutexGuard<'_, LeaseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.state().endpoint.clone()
    }

    /// Has the server say something to everyone who is connected.
    pub(crate) async fn notice(&self, text: &str) -> Result<(), LaunchError> {
        let server = self.state().server.take();
        let server =
            server.ok_or_else(|| LaunchError::Failed("there is no server to be told".into()))?;
        let server = server.notice(text.to_owned()).await?;
        self.state().server = Some(server);
        Ok(())
    }

    /// Stops the server in good order.
    pub(crate) async fn stop(&self) {
        let server = self.state().server.take();
        if let Some(server) = server {
            server.stop().await;
        }
    }

    /// Ends the server at once.
    pub(crate) async fn kill(&self) {
        let server = self.state().server.take();
        if let Some(server) = server {
            server.kill().await;
        }
    }
}
