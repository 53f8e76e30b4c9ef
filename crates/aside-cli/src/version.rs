//! `aside version`: what this program is and speaks.

use anyhow::Result;
use serde_json::json;

use crate::output;

/// Print the version of the program and of the protocol it speaks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (version, protocol) = (env!("CARGO_PKG_VERSION"), aside_proto::VERSION);
    let capabilities = [aside_proto::TALK, aside_proto::SYNC, aside_proto::PRIVATE];
    if args.json {
        let version = json!({"aside": version, "protocol": protocol, "capabilities": capabilities});
        output::line(version)?;
    } else {
        output::line(format!(
            "aside {version}, protocol version {protocol}, capabilities: {}",
            capabilities.join(", ")
        ))?;
    }
    Ok(())
}
