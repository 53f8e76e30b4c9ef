//! Clients that log in over and over, each on a new connection with a full handshake: how many a second?

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    Stage,
    account::Account,
    crowd,
    report::{Latencies, Meter, Report},
    target::Door,
};

/// How a client shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Device,
    Password,
}

/// The choices.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Clients, each with an account, that log in at once
    #[arg(long, default_value_t = 16)]
    pub(crate) clients: usize,
    /// How long, for each of the two ways
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Memory of a password's hash: by default what `aside serve` has
    #[arg(long, default_value_t = 19 * 1024, value_name = "KIB")]
    memory: u32,
    /// Passes over it
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
}

impl Args {
    /// Passwords at their real cost; and each log-in by password makes a device.
    pub(crate) fn settings(&self) -> Value {
        json!({
            "password": {
                "memory_kib": self.memory,
                "iterations": self.iterations,
                "workers": 0,
                "queue": self.clients.max(64),
            },
            "max_devices_per_user": 1_000_000,
        })
    }

    /// Plays it.
    pub(crate) async fn run(self, stage: &Stage) -> Result<Report> {
        let mut report = Report::new("login");
        let door = &stage.target.door;
        let registering = (0..self.clients.max(1)).map(|n| async move {
            let (account, _) = Account::register(door, &format!("login{n}")).await?;
            Ok(account)
        });
        let accounts = crowd::each(&stage.bar, "accounts", registering).await?;
        report.set("clients", accounts.len());
        let meter = Meter::start(&stage.target)?;
        for (prefix, proof) in [("device", Proof::Device), ("password", Proof::Password)] {
            let part = Meter::start(&stage.target)?;
            let latencies = Arc::new(Latencies::new()?);
            let end = Instant::now() + Duration::from_secs(self.seconds.into());
            let clients = accounts.iter().map(|account| {
                over_and_over(door.clone(), account.clone(), proof, end, Arc::clone(&latencies))
            });
            crowd::at_once(&stage.bar, prefix, clients).await?;
            let spent = part.spent()?;
            let logins = latencies.len() as f64;
            report.ratio(&format!("{prefix}_logins_a_second"), logins, spent.seconds);
            report.ratio(&format!("{prefix}_cpu_us_a_login"), spent.cpu_seconds * 1e6, logins);
            report.latencies(&format!("{prefix}_"), &latencies);
        }
        meter.stop(&mut report)?;
        Ok(report)
    }
}

/// Logs in again and again. The latency has the connection's own handshakes in it.
async fn over_and_over(
    door: Door,
    account: Account,
    proof: Proof,
    end: Instant,
    latencies: Arc<Latencies>,
) -> Result<()> {
    while Instant::now() < end {
        let start = Instant::now();
        let _peer = match proof {
            Proof::Device => account.log_in(&door).await?,
            Proof::Password => account.log_in_by_password(&door).await?,
        };
        latencies.took(start.elapsed());
    }
    Ok(())
}
