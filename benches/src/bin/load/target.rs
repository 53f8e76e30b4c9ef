//! The server under load: a process of its own, so that its memory and CPU time can be told from ours.

use std::{fs, net::SocketAddr, path::Path, process::Stdio, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};
use rustls::{
    ClientConfig, RootCertStore, client::Resumption, crypto::aws_lc_rs, pki_types::CertificateDer,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
};

/// Descriptors that are not clients.
const SPARE_DESCRIPTORS: u64 = 64;

/// A server of this machine, started for one run.
pub(crate) struct Target {
    /// How clients get in.
    pub(crate) door: Door,
    child: Child,
    stdin: ChildStdin,
    _data: TempDir,
}

/// Where clients connect to, and whom they trust.
#[derive(Clone)]
pub(crate) struct Door {
    /// On loopback.
    pub(crate) address: SocketAddr,
    /// The configuration of all clients.
    pub(crate) tls: Arc<ClientConfig>,
    /// What the server shows.
    pub(crate) certificate: CertificateDer<'static>,
}

/// What a process has used.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// Proportional set size, in KiB.
    pub(crate) pss_kib: u64,
    /// User and system time, in milliseconds.
    pub(crate) cpu_ms: u64,
}

impl Target {
    /// Starts a server with an empty database and these settings, for so many clients.
    pub(crate) async fn start(program: &Path, settings: &Value, clients: usize) -> Result<Self> {
        ensure_descriptors(clients)?;
        let data = tempfile::tempdir()?;
        let key = rcgen::KeyPair::generate()?;
        let params =
            rcgen::CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let certificate = params.self_signed(&key)?;
        let mut child = Command::new(program)
            .args(["serve", "--controlled"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!("can't run {}: build it with `cargo build --release`", program.display())
            })?;
        let mut stdin = child.stdin.take().context("stdin is piped")?;
        let control = json!({
            "cert": certificate.pem(), "key": key.serialize_pem(), "data_dir": data.path(), "settings": settings,
        });
        stdin.write_all(format!("{control}\n").as_bytes()).await?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("stdout is piped")?;
        BufReader::new(stdout).read_line(&mut line).await?;
        let answer: Value = serde_json::from_str(&line).context("the server did not start")?;
        let port =
            answer["port"].as_u64().and_then(|p| u16::try_from(p).ok()).context("no port")?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let certificate = certificate.der().clone();
        let door = Door { address, tls: trust(certificate.clone())?, certificate };
        Ok(Self { door, child, stdin, _data: data })
    }

    /// What the server has used until now.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(&self.child.id().context("the server has ended")?.to_string())
    }

    /// Stops it; fails if it did not end as it should.
    pub(crate) async fn stop(mut self) -> Result<()> {
        drop(self.stdin);
        let status = self.child.wait().await?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}

impl Usage {
    /// What this process has used until now.
    pub(crate) fn own() -> Result<Self> {
        Self::of("self")
    }

    fn of(process: &str) -> Result<Self> {
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        let pss = rollup.lines().find_map(|l| l.strip_prefix("Pss:")).context("no Pss")?;
        let pss_kib = pss.trim().trim_end_matches(" kB").parse()?;
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        let fields: Vec<&str> =
            stat.rsplit(')').next().context("stat")?.split_whitespace().collect();
        ensure!(fields.len() > 12, "stat is short");
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // The kernel counts in hundredths of a second on every Linux we run on.
        Ok(Self { pss_kib, cpu_ms: ticks * 10 })
    }
}

fn trust(certificate: CertificateDer<'static>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // One configuration stands for many clients: none may resume what another began.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![aside_proto::ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// Fails if the system does not give a descriptor for each of so many clients. The server inherits the limit.
fn ensure_descriptors(clients: usize) -> Result<()> {
    let limit = rlimit::increase_nofile_limit(u64::MAX)?;
    let wanted = u64::try_from(clients)?.saturating_add(SPARE_DESCRIPTORS);
    ensure!(limit >= wanted, "{clients} clients need a limit of {wanted} open files, not {limit}");
    Ok(())
}
