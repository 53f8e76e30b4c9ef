//! Loads a server on this machine and says what it costs and how others fare: see benches/README.md.

mod abuse;
mod account;
mod check;
mod crowd;
mod dm;
mod fanout;
mod fetch;
mod follow;
mod group;
mod idle;
mod login;
mod member;
mod peer;
mod rate;
mod report;
mod schedule;
mod storm;
mod target;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{report::Report, target::Target};

/// Load a server that this program starts on loopback
///
/// Each workload prints one line of JSON to stdout, and a table to stderr. Nothing but loopback is ever contacted.
#[derive(Parser)]
struct Args {
    /// The program to load; it is run with `serve --controlled`
    #[arg(long, default_value = "target/release/aside", value_name = "FILE")]
    server: PathBuf,
    /// Give up when the whole run has taken so many seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    limit: u64,
    #[command(subcommand)]
    workload: Workload,
}

#[derive(Subcommand)]
enum Workload {
    /// Log in so many clients, then be silent: memory a connection
    Idle(idle::Args),
    /// Send messages at a fixed rate in rooms of two: latency, and that each arrives once and in order
    Rate(rate::Args),
    /// Send messages in rooms of two as fast as they are acknowledged: messages a second
    Dm(dm::Args),
    /// Send messages in one room of many: latency until each member has each message, once and in order
    Fanout(fanout::Args),
    /// Make a private group of so many whole clients: time until all are in, have read, have followed a removal; memory of a client
    Group(group::Args),
    /// Page through a long log as fast as it comes: entries a second
    Fetch(fetch::Args),
    /// Log in over and over, with a device's key and then with a password: log-ins a second
    Login(login::Args),
    /// Cut off all members of a room and let them come back at once: time until all have caught up
    Storm(storm::Args),
    /// Send all kinds of bad input while two bystanders talk at 10 messages a second
    Abuse(abuse::Args),
}

/// What a workload plays on.
pub(crate) struct Stage {
    /// The server.
    pub(crate) target: Target,
    /// What is going on, for people: hidden unless stderr is a terminal.
    pub(crate) bar: ProgressBar,
}

impl Workload {
    /// How many connections there are at once, at most.
    fn clients(&self) -> usize {
        match self {
            Self::Idle(args) => args.clients,
            Self::Rate(args) => args.clients,
            Self::Dm(args) => args.pairs * 2,
            Self::Fanout(args) => args.members,
            Self::Group(args) => args.members,
            Self::Fetch(args) => args.clients + 1,
            Self::Login(args) => args.clients,
            Self::Storm(args) => args.connections(),
            Self::Abuse(_) => 200,
        }
    }

    /// Settings of the server, by their names in conformance/README.md.
    fn settings(&self) -> Value {
        match self {
            Self::Login(args) => args.settings(),
            // Half-open connections must be let go within the run.
            Self::Abuse(_) => json!({"handshake_timeout_ms": 2000}),
            _ => json!({}),
        }
    }

    async fn run(self, stage: &Stage) -> Result<Report> {
        match self {
            Self::Idle(args) => args.run(stage).await,
            Self::Rate(args) => args.run(stage).await,
            Self::Dm(args) => args.run(stage).await,
            Self::Fanout(args) => args.run(stage).await,
            Self::Group(args) => args.run(stage).await,
            Self::Fetch(args) => args.run(stage).await,
            Self::Login(args) => args.run(stage).await,
            Self::Storm(args) => args.run(stage).await,
            Self::Abuse(args) => args.run(stage).await,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let settings = args.workload.settings();
    let target = Target::start(&args.server, &settings, args.workload.clients()).await?;
    let style = ProgressStyle::with_template("{msg:<10} {wide_bar} {pos}/{len} {elapsed}")?;
    let stage = Stage { target, bar: ProgressBar::no_length().with_style(style) };
    stage.bar.enable_steady_tick(Duration::from_millis(250));
    let report = timeout(Duration::from_secs(args.limit), args.workload.run(&stage))
        .await
        .with_context(|| format!("the run took more than {} s", args.limit))??;
    stage.bar.finish_and_clear();
    report.print()?;
    stage.target.stop().await?;
    report.judge()
}
