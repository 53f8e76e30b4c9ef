//! Logs of a server: to the console, and to a file a day where a folder is set. Never content, passwords, keys or tokens.

use std::{
    env,
    io::{self, IsTerminal as _},
};

use anyhow::{Context as _, Result};
use aside_server::LogConfig;
use tracing_appender::{
    non_blocking::WorkerGuard,
    rolling::{RollingFileAppender, Rotation},
};
use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Keeps the log file's writer; what is still queued is written when it is dropped.
pub(crate) struct Logs {
    _file: Option<WorkerGuard>,
}

/// Starts logging as configured.
pub(crate) fn start(config: &LogConfig) -> Result<Logs> {
    let filter = EnvFilter::try_new(&config.filter).context("[log] filter")?;
    let colour =
        io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let console = tracing_subscriber::fmt::layer().with_ansi(colour).with_writer(io::stderr);
    let console = if config.json { console.json().boxed() } else { console.boxed() };
    let (file, guard) = if config.directory.is_empty() {
        (None, None)
    } else {
        let appender = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix("aside")
            .filename_suffix("log")
            .max_log_files(config.keep_days.max(1))
            .build(&config.directory)
            .with_context(|| format!("can't write logs to {}", config.directory))?;
        let (writer, guard) = tracing_appender::non_blocking(appender);
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
        let layer = if config.json { layer.json().boxed() } else { layer.boxed() };
        (Some(layer), Some(guard))
    };
    tracing_subscriber::registry().with(filter).with(console).with(file).init();
    Ok(Logs { _file: guard })
}
