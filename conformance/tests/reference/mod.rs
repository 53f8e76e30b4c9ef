//! The reference server, in this process. The only place where the suite's tests know it.

use aside_proto::v1::NoticeLevel;
use aside_server::{Config, Running, Server};
use conformance::target::{Boxed, Endpoint, Launch, LaunchError, Launcher, Server as Started};
use rustls::pki_types::CertificateDer;

/// Starts reference servers.
pub(crate) struct Reference;

struct Instance(Endpoint, Running);

impl Launcher for Reference {
    fn launch(&self, launch: Launch) -> Boxed<Result<Box<dyn Started>, LaunchError>> {
        Box::pin(async move {
            let mut config = Config::for_tests(&launch.data_dir);
            config
                .apply_settings(&launch.settings)
                .map_err(|error| LaunchError::Failed(error.to_string()))?;
            let running = Server::start(config)
                .await
                .map_err(|error| LaunchError::Failed(error.to_string()))?;
            let endpoint = Endpoint {
                address: running.local_addr(),
                server_name: "localhost".to_owned(),
                authorities: vec![CertificateDer::from(running.certificate_der().to_vec())],
            };
            Ok(Box::new(Instance(endpoint, running)) as Box<dyn Started>)
        })
    }

    fn can_kill(&self) -> bool {
        // A server in this process can't be killed without it.
        false
    }
}

impl Started for Instance {
    fn endpoint(&self) -> Endpoint {
        self.0.clone()
    }

    fn notice(self: Box<Self>, text: String) -> Boxed<Result<Box<dyn Started>, LaunchError>> {
        let said = self.1.notify(&text, NoticeLevel::Info);
        let said = said.map_err(|error| LaunchError::Failed(error.to_string()));
        Box::pin(async move { said.map(|()| self as Box<dyn Started>) })
    }

    fn stop(self: Box<Self>) -> Boxed<()> {
        Box::pin(self.1.stop())
    }

    fn kill(self: Box<Self>) -> Boxed<()> {
        self.stop()
    }
}
