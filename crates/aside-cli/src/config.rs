//! `aside config`: prints the effective configuration of a server.

use std::io::Write as _;

use anyhow::Result;

use crate::serve::ConfigArgs;

/// Print the server's effective configuration as TOML
///
/// What it prints can be saved and given to `aside serve --config`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    write!(std::io::stdout(), "{}", args.config.load()?.to_toml())?;
    Ok(())
}
