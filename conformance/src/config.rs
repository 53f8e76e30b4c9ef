//! Targets as flags and environment variables name them.

use std::{
    fs,
    net::{TcpStream, ToSocketAddrs as _},
    path::Path,
    time::Duration,
};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::target::{Command, Endpoint, Target};

/// How long a target may take to accept a connection before the run is called off.
const REACHABLE_WITHIN: Duration = Duration::from_secs(10);

/// A target that can't be made out. The text says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// A server that runs already, at `host:port`. `authorities` is a PEM file with what its certificate must be or be signed
/// by (the system's authorities if none), `server_name` what it is called if that is not the host.
///
/// # Errors
/// The address or the file is no good, or nothing accepts connections there.
pub fn running(
    address: &str,
    authorities: Option<&Path>,
    server_name: Option<&str>,
) -> Result<Target, ConfigError> {
    let error = |why: String| ConfigError(format!("target {address}: {why}"));
    let (host, _) = address.rsplit_once(':').ok_or_else(|| error("it is host:port".into()))?;
    let host = host.trim_matches(['[', ']']);
    let mut addresses = address.to_socket_addrs().map_err(|why| error(why.to_string()))?;
    let resolved = addresses.next().ok_or_else(|| error("the host has no address".into()))?;
    // A server that is not there breaks no requirement.
    TcpStream::connect_timeout(&resolved, REACHABLE_WITHIN)
        .map_err(|why| error(why.to_string()))?;
    Ok(Target::Running(Endpoint {
        address: resolved,
        server_name: server_name.unwrap_or(host).to_ascii_lowercase(),
        authorities: authorities.map(read_certificates).transpose()?.unwrap_or_default(),
    }))
}

/// Servers that a shell command starts.
///
/// # Errors
/// No certificate can be made for them.
pub fn command(command: &str) -> Result<Target, ConfigError> {
    let launcher = Command::new(command.to_owned())
        .map_err(|error| ConfigError(format!("the servers' certificate: {error}")))?;
    Ok(Target::Launched(Box::new(launcher)))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let error = |why: String| ConfigError(format!("{}: {why}", path.display()));
    let pem = fs::read(path).map_err(|why| error(why.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(error("there is no certificate in it".into())),
        Err(why) => Err(error(why.to_string())),
    }
}
