//! Loads a server on this machine and says what it costs and how others fare: see benches/README.md.

#![allow(clippy::print_stdout)] // Its results go there.

mod abuse;
mod idle;
mod peer;
mod rate;
mod target;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::target::Target;

/// Load a server that this program starts on loopback
///
/// Each workload prints one line of JSON. Nothing but loopback is ever contacted.
#[derive(Parser)]
struct Args {
    /// The program to load; it is run with `serve --controlled`
    #[arg(long, default_value = "target/release/aside", value_name = "FILE")]
    server: PathBuf,
    #[command(subcommand)]
    workload: Workload,
}

#[derive(Subcommand)]
enum Workload {
    /// Log in so many clients, then be silent: memory a connection
    Idle {
        #[arg(long, default_value_t = 1000)]
        clients: usize,
    },
    /// Send messages at a fixed rate in rooms of two: latency, and that each arrives once and in order
    Rate {
        #[arg(long, default_value_t = 100)]
        clients: usize,
        /// Messages a second, in all
        #[arg(long, default_value_t = 1000)]
        rate: u32,
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    /// Send all kinds of bad input while two bystanders talk at 10 messages a second
    Abuse {
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let settings = match args.workload {
        // Half-open connections must be let go within the run.
        Workload::Abuse { .. } => serde_json::json!({"handshake_timeout_ms": 2000}),
        _ => serde_json::json!({}),
    };
    let target = Target::start(&args.server, settings).await?;
    let result = match args.workload {
        Workload::Idle { clients } => idle::run(&target, clients).await?,
        Workload::Rate { clients, rate, seconds } => {
            rate::run(&target, clients, rate, seconds).await?
        }
        Workload::Abuse { seconds } => abuse::run(&target, seconds).await?,
    };
    println!("{result}");
    target.stop().await
}
