//! The conformance suite as a program. Exit codes: 0 conforms, 1 does not, 2 harness error, 3 bad configuration.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use conformance::{Options, Outcome, Profile, Record, Suite, config, harness};

const CONFORMS: u8 = 0;
const DOES_NOT_CONFORM: u8 = 1;
const HARNESS_ERROR: u8 = 2;
const BAD_CONFIGURATION: u8 = 3;

/// Checks whether a server keeps the Aside protocol's specification.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 conforms, 1 does not, 2 harness error, 3 bad configuration."
)]
struct Cli {
    /// A server that runs: host:port.
    #[arg(long, env = "ASIDE_TARGET", value_name = "HOST:PORT", conflicts_with = "target_cmd")]
    target: Option<String>,
    /// PEM file with what its certificate must be or be signed by; default the system's authorities.
    #[arg(long, env = "ASIDE_TARGET_CA", value_name = "FILE", requires = "target")]
    ca: Option<PathBuf>,
    /// What the server is called, if not as its host.
    #[arg(long, env = "ASIDE_TARGET_SNI", value_name = "NAME", requires = "target")]
    sni: Option<String>,
    /// A shell command that starts a server: JSON on its stdin and stdout, see conformance/README.md.
    #[arg(long, env = "ASIDE_TARGET_CMD", value_name = "COMMAND")]
    target_cmd: Option<String>,
    /// TOML file with what the server claims to be.
    #[arg(long, env = "ASIDE_PROFILE", value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Folder for report.json and junit.xml.
    #[arg(long, env = "ASIDE_REPORT", value_name = "DIR")]
    report: Option<PathBuf>,
    /// Folder of scripts; default those built in.
    #[arg(long, value_name = "DIR")]
    scripts: Option<PathBuf>,
    /// How long to wait for what should come at once, in milliseconds.
    #[arg(long, env = "ASIDE_DEADLINE_MS", value_name = "MS", default_value_t = 5000)]
    deadline: u64,
    /// Scripts that run at the same time.
    #[arg(long, value_name = "COUNT")]
    jobs: Option<usize>,
    /// Only tells the names of the scripts.
    #[arg(long)]
    list: bool,
    /// Only scripts whose name (area/id) contains one of these.
    filter: Vec<String>,
}

fn main() -> ExitCode {
    // A wrong flag is bad configuration, too; --help and --version are not.
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { BAD_CONFIGURATION } else { CONFORMS });
        }
    };
    let suite = match suite(&cli) {
        Ok(suite) => suite,
        Err(error) => {
            let _ = writeln!(io::stderr(), "aside-conformance: {error:#}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match run(&cli, suite) {
        Ok(records) => ExitCode::from(judge(&records, cli.list)),
        Err(error) => {
            let _ = writeln!(io::stderr(), "aside-conformance: {error:#}");
            ExitCode::from(HARNESS_ERROR)
        }
    }
}

fn suite(cli: &Cli) -> anyhow::Result<Suite> {
    let (target, again) = match (&cli.target, &cli.target_cmd) {
        (Some(address), _) => {
            let target = config::running(address, cli.ca.as_deref(), cli.sni.as_deref())?;
            let mut again = format!("--target {address}");
            if let Some(ca) = &cli.ca {
                again += &format!(" --ca {}", ca.display());
            }
            if let Some(sni) = &cli.sni {
                again += &format!(" --sni {sni}");
            }
            (target, again)
        }
        (None, Some(command)) => (config::command(command)?, format!("--target-cmd '{command}'")),
        (None, None) if cli.list => (config::command("true")?, String::new()),
        (None, None) => anyhow::bail!("name a server: --target HOST:PORT, or --target-cmd COMMAND"),
    };
    let profile =
        cli.profile.as_deref().map(Profile::read).transpose().map_err(anyhow::Error::msg)?;
    let options = Options {
        target,
        profile: profile.unwrap_or_default(),
        scripts: cli.scripts.clone(),
        deadline: Duration::from_millis(cli.deadline),
        replay: format!("aside-conformance {again} {{}}"),
    };
    let suite = Suite::new(options)?;
    let chosen =
        |name: &str| cli.filter.is_empty() || cli.filter.iter().any(|filter| name.contains(filter));
    anyhow::ensure!(
        suite.names().any(chosen),
        "no script has a name that contains {}",
        cli.filter.join(" or ")
    );
    Ok(suite)
}

fn run(cli: &Cli, suite: Suite) -> anyhow::Result<Vec<Record>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let arguments =
        libtest_mimic::Arguments { test_threads: cli.jobs, list: cli.list, ..Default::default() };
    Ok(harness::run(suite, &runtime, arguments, &cli.filter, cli.report.clone())?)
}

fn judge(records: &[Record], list: bool) -> u8 {
    let any = |outcome| records.iter().any(|record| record.outcome == outcome);
    if any(Outcome::Fail) || any(Outcome::UnexpectedPass) {
        DOES_NOT_CONFORM
    } else if any(Outcome::Error) || (records.is_empty() && !list) {
        HARNESS_ERROR
    } else {
        CONFORMS
    }
}
