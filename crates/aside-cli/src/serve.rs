//! `aside serve`: runs a server until it is told to stop.

use std::{
    fs,
    io::{self, BufRead as _, Write as _},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    thread,
};

use anyhow::{Context as _, Result, bail};
use aside_client::v1::NoticeLevel;
use aside_server::{Config, Running, Server};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde::Deserialize;
use tokio::{signal, sync::mpsc};

use crate::logging;

/// Where settings come from; shared by the commands that work on a server's configuration.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ConfigArgs {
    /// TOML file; `aside config` prints one with every setting
    #[arg(long, value_name = "FILE", env = "ASIDE_CONFIG")]
    config: Option<PathBuf>,
    /// Address and port to listen on [default: 0.0.0.0:7423]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Folder for the database and the development certificate [default: aside-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Database URL [default: a SQLite file in the data folder]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Something to say to everyone who logs in
    #[arg(long, value_name = "TEXT")]
    notice: Option<String>,
    /// Any other setting, by its name in the file: --set registration=closed
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, String)>,
}

/// Run a server
///
/// Settings come from defaults, then the --config file, then ASIDE_* variables (ASIDE_LIMITS__MAX_IN_FLIGHT=32), then flags. Without a
/// certificate of your own a development certificate is made on the first run; give its fingerprint to your users.
///
/// Stops in good order on Ctrl-C and SIGTERM.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aside serve\n  aside serve --listen 127.0.0.1:7423 --data /var/lib/aside\n  aside serve --set registration=closed --set 'server.names=[\"chat.example\"]'"
)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Be started and stopped by a conformance suite: JSON on stdin and stdout
    #[arg(long, hide = true, conflicts_with_all = ["config", "listen", "data", "database", "notice", "settings"])]
    controlled: bool,
}

impl ConfigArgs {
    /// The effective configuration.
    pub(crate) fn load(&self) -> Result<Config> {
        let file = match &self.config {
            Some(path) => Some(
                fs::read_to_string(path)
                    .with_context(|| format!("can't read {}", path.display()))?,
            ),
            None => None,
        };
        let mut settings = self.settings.clone();
        let flags = [
            ("listen", self.listen.map(|address| format!("{address}"))),
            ("data", self.data.as_ref().map(|path| path.display().to_string())),
            ("database", self.database.clone()),
            ("server.notice", self.notice.clone()),
        ];
        settings.extend(flags.into_iter().filter_map(|(name, v)| Some((name.to_owned(), v?))));
        Config::layered(file.as_deref(), std::env::vars(), &settings).context("configuration")
    }
}

/// Runs the command.
pub(crate) async fn run(args: ServeArgs) -> Result<()> {
    if args.controlled {
        return run_controlled().await;
    }
    let config = args.config.load()?;
    let _logs = logging::start(&config.log)?;
    if !config.metrics.is_empty() {
        let address: SocketAddr =
            config.metrics.parse().context("metrics must be an address and port")?;
        PrometheusBuilder::new()
            .with_http_listener(address)
            .install()
            .with_context(|| format!("can't serve metrics on {address}"))?;
    }
    raise_descriptor_limit(config.connections.total);
    let data = config.data.clone();
    let running = Server::start(config).await?;
    announce(&running, &data)?;
    tokio::select! {
        signal = stop_signal() => {
            writeln!(io::stdout(), "{}: stopping", signal?)?;
            running.stop().await;
            Ok(())
        }
        () = running.failed() => {
            running.stop().await;
            bail!("the database's writer ended; look into the log, then start again")
        }
    }
}

/// Asks the system for a descriptor for each connection; `aside doctor` says if it does not give as many.
fn raise_descriptor_limit(connections: usize) {
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(SPARE_DESCRIPTORS);
    if let Err(error) = rlimit::increase_nofile_limit(wanted) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn announce(running: &Running, data: &std::path::Path) -> Result<()> {
    let address = running.local_addr();
    let mut out = io::stdout().lock();
    writeln!(out, "Aside {} is listening on {address}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  data         {}", data.display())?;
    writeln!(out, "  certificate  SHA-256 {}", running.fingerprint())?;
    if running.has_development_certificate() {
        let host = dialled(address.ip());
        writeln!(out, "               a development certificate: clients must pin it")?;
        writeln!(out, "\nTo chat from this machine:")?;
        writeln!(
            out,
            "  aside chat aside://YOUR-NAME@{host}:{} --register --fingerprint {}",
            address.port(),
            running.fingerprint()
        )?;
    }
    out.flush()?;
    Ok(())
}

fn dialled(address: IpAddr) -> String {
    match address {
        address if address.is_unspecified() || address.is_loopback() => "localhost".to_owned(),
        IpAddr::V6(v6) => format!("[{v6}]"),
        IpAddr::V4(v4) => v4.to_string(),
    }
}

async fn stop_signal() -> Result<&'static str> {
    #[cfg(unix)]
    {
        let mut term = signal::unix::signal(signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = signal::ctrl_c() => result.map(|()| "interrupted").map_err(Into::into),
            _ = term.recv() => Ok("terminated"),
        }
    }
    #[cfg(not(unix))]
    {
        signal::ctrl_c().await.map(|()| "interrupted").map_err(Into::into)
    }
}

/// Descriptors for the database, logs, the listener, and a margin.
pub(crate) const SPARE_DESCRIPTORS: u64 = 64;

/// What a conformance suite writes to stdin: see conformance/README.md.
#[derive(Deserialize)]
struct Control {
    cert: String,
    key: String,
    data_dir: PathBuf,
    #[serde(default)]
    settings: serde_json::Map<String, serde_json::Value>,
}

/// What it writes later: something to be said to everyone who is connected.
#[derive(Deserialize)]
struct Said {
    notice: String,
}

async fn run_controlled() -> Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let control: Control =
        serde_json::from_str(&line).context("stdin must begin with a line of JSON")?;
    let running = Server::start(control.config()?).await?;
    let address = running.local_addr();
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{}",
        serde_json::json!({"host": address.ip().to_string(), "port": address.port()})
    )?;
    out.flush()?;
    drop(out);
    let mut said = lines_of_stdin();
    while let Some(line) = said.recv().await {
        let Said { notice } = serde_json::from_str(&line).context("a line is {\"notice\": …}")?;
        running.notify(&notice, NoticeLevel::Info)?;
        writeln!(io::stdout(), "{}", serde_json::json!({"said": true}))?;
    }
    running.stop().await;
    Ok(())
}

impl Control {
    fn config(self) -> Result<Config> {
        fs::create_dir_all(&self.data_dir)?;
        let mut config = Config::for_tests(&self.data_dir);
        config.apply_settings(&self.settings)?;
        for (name, text, setting) in [
            ("certificate.pem", &self.cert, &mut config.server.certificate),
            ("key.pem", &self.key, &mut config.server.key),
        ] {
            let path = self.data_dir.join(name);
            fs::write(&path, text)?;
            *setting = path.display().to_string();
        }
        Ok(config)
    }
}

/// Reads on a thread of its own: a read of stdin can't be cancelled, and must not hold up the runtime's end.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (lines, read) = mpsc::channel(1);
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    read
}

fn parse_setting(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => bail!("write NAME=VALUE, such as registration=closed"),
    }
}
