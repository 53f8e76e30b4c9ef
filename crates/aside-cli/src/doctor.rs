//! `aside doctor`: looks at a server's configuration, data and surroundings, and says what to mend.

use std::{
    fmt, fs,
    io::{self, Write as _},
    net::TcpListener,
    path::Path,
};

use anyhow::{Result, bail};
use aside_server::Config;

use crate::serve::{ConfigArgs, SPARE_DESCRIPTORS};

/// Check a server's configuration, certificate and surroundings
///
/// Changes nothing. Exits with 1 if something would keep the server from running.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// What one check found.
enum Finding {
    Fine(String),
    /// It will run, but look at this.
    Note(String),
    /// It will not run, or not for everyone.
    Wrong(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, text) = match self {
            Self::Fine(text) => ("ok  ", text),
            Self::Note(text) => ("note", text),
            Self::Wrong(text) => ("FAIL", text),
        };
        write!(f, "{mark}  {text}")
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let config = args.config.load()?;
    let mut findings = vec![Finding::Fine("the configuration is valid".to_owned())];
    findings.push(data_folder(&config.data));
    findings.push(certificate(&config));
    findings.push(address(&config));
    findings.extend(descriptors(&config));
    let mut out = io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    if findings.iter().any(|finding| matches!(finding, Finding::Wrong(_))) {
        bail!("the server would not run, or not for everyone; mend what is marked FAIL");
    }
    Ok(())
}

fn data_folder(path: &Path) -> Finding {
    let shown = path.display();
    if !path.exists() {
        return Finding::Note(format!(
            "there is no data folder {shown} yet; the first run makes it"
        ));
    }
    match tempfile::tempfile_in(path) {
        Ok(_) => Finding::Fine(format!("the data folder {shown} can be written")),
        Err(error) => Finding::Wrong(format!("the data folder {shown} can't be written: {error}")),
    }
}

fn certificate(config: &Config) -> Finding {
    match aside_server::inspect_certificate(config) {
        Ok(None) => Finding::Note(
            "there is no certificate yet; the first run makes one for development".to_owned(),
        ),
        Ok(Some(report)) if report.names_not_covered.is_empty() => Finding::Fine(format!(
            "the certificate is for all names; SHA-256 {}",
            report.fingerprint
        )),
        Ok(Some(report)) => Finding::Wrong(format!(
            "the certificate is not for {}: clients that dial it refuse it; mend [server] names or the certificate",
            report.names_not_covered.join(", ")
        )),
        Err(error) => Finding::Wrong(format!("the certificate can't be used: {error}")),
    }
}

fn address(config: &Config) -> Finding {
    match TcpListener::bind(config.listen) {
        Ok(_) => Finding::Fine(format!("{} can be listened on", config.listen)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Finding::Note(format!("{} is in use: by this server, if it runs", config.listen))
        }
        Err(error) => Finding::Wrong(format!("{} can't be listened on: {error}", config.listen)),
    }
}

/// Whether the system lets the process have a descriptor for each connection; Linux only.
fn descriptors(config: &Config) -> Option<Finding> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    // The hard limit: `aside serve` raises the soft one to it.
    let allowed: u64 = line.split_whitespace().nth(4)?.parse().ok()?;
    let total = config.connections.total;
    let wanted = u64::try_from(total).unwrap_or(u64::MAX).saturating_add(SPARE_DESCRIPTORS);
    Some(if allowed >= wanted {
        Finding::Fine(format!("{allowed} files may be open: enough for {total} connections"))
    } else {
        Finding::Note(format!(
            "{allowed} files may be open, {total} connections need {wanted}: raise ulimit -Hn, or lower [connections] total"
        ))
    })
}
