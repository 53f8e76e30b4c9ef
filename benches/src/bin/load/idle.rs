//! So many clients logged in and silent: what does one cost the server?

use anyhow::Result;

use crate::{
    Stage,
    account::Account,
    crowd,
    report::{Meter, Report},
};

/// The choices.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 1000)]
    pub(crate) clients: usize,
}

impl Args {
    /// Plays it.
    pub(crate) async fn run(self, stage: &Stage) -> Result<Report> {
        let mut report = Report::new("idle");
        let door = &stage.target.door;
        let before = stage.target.usage()?;
        let meter = Meter::start(&stage.target)?;
        let logins = (0..self.clients)
            .map(|n| async move { Account::register(door, &format!("idle{n}")).await });
        let peers = crowd::each(&stage.bar, "clients", logins).await?;
        // The last of them has been served when it gets a reply: nothing is left to settle.
        let clients = peers.len() as f64;
        report.set("clients", peers.len());
        let spent = meter.stop(&mut report)?;
        report.ratio("kib_a_client", spent.pss_kib.saturating_sub(before.pss_kib) as f64, clients);
        report.ratio("login_cpu_us", spent.cpu_seconds * 1e6, clients);
        Ok(report)
    }
}
