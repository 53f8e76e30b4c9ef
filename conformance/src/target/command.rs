//! Servers started by a command: JSON on its stdin and stdout, as README.md says.

use std::{io, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command as Process},
    time::timeout,
};

use super::{Boxed, Endpoint, Launch, LaunchError, Launcher, Server};

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(20);
/// The line that answers a notice.
const SAID: &str = r#"{"said":true}"#;
/// The names that the certificate is made for.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// Starts servers by a shell command.
pub struct Command {
    command: String,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

/// What the command reads.
#[derive(Serialize)]
struct Request<'a> {
    cert: &'a str,
    key: &'a str,
    data_dir: &'a Path,
    settings: &'a serde_json::Map<String, serde_json::Value>,
}

/// What it answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Listening { host: String, port: u16 },
    Unsupported { unsupported: String },
}

impl Command {
    /// Makes a certificate for the servers that `command` will start.
    ///
    /// # Errors
    /// The certificate can't be made.
    pub fn new(command: String) -> Result<Self, rcgen::Error> {
        let names: Vec<_> = NAMES.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names)?;
        Ok(Self {
            command,
            certificate: made.cert.der().clone(),
            certificate_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
        })
    }
}

impl Launcher for Command {
    fn launch(&self, launch: Launch) -> Boxed<Result<Box<dyn Server>, LaunchError>> {
        let request = Request {
            cert: &self.certificate_pem,
            key: &self.key_pem,
            data_dir: &launch.data_dir,
            settings: &launch.settings,
        };
        let line = serde_json::to_string(&request).map(|line| line + "\n");
        let (command, certificate) = (self.command.clone(), self.certificate.clone());
        Box::pin(async move {
            let line = line.map_err(|error| LaunchError::Failed(error.to_string()))?;
            match timeout(PATIENCE, start(&command, &line, certificate)).await {
                Ok(started) => started,
                Err(_) => {
                    Err(LaunchError::Failed(format!("`{command}` wrote no line of JSON in time")))
                }
            }
        })
    }

    fn can_kill(&self) -> bool {
        true
    }
}

async fn start(
    command: &str,
    line: &str,
    certificate: CertificateDer<'static>,
) -> Result<Box<dyn Server>, LaunchError> {
    let failed = |why: String| LaunchError::Failed(format!("`{command}`: {why}"));
    let mut child = Process::new("sh")
        .args(["-c", &format!("exec {command}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let (Some(stdin), Some(stdout)) = (child.stdin.as_mut(), child.stdout.as_mut()) else {
        return Err(failed("no pipes".into()));
    };
    stdin.write_all(line.as_bytes()).await.map_err(|error| failed(error.to_string()))?;
    let mut answer = String::new();
    BufReader::new(stdout)
        .read_line(&mut answer)
        .await
        .map_err(|error| failed(error.to_string()))?;
    match serde_json::from_str(&answer) {
        Ok(Answer::Listening { host, port }) => {
            let mut addresses = tokio::net::lookup_host((host.as_str(), port))
                .await
                .map_err(|error| failed(format!("{host}: {error}")))?;
            let address =
                addresses.next().ok_or_else(|| failed(format!("{host} has no address")))?;
            Ok(Box::new(Running { child, address, certificate }))
        }
        Ok(Answer::Unsupported { unsupported }) => Err(LaunchError::Unsupported(unsupported)),
        Err(error) => Err(failed(format!("it wrote {answer:?}, not {{host, port}}: {error}"))),
    }
}

/// What it reads while it runs.
#[derive(Serialize)]
struct Say {
    notice: String,
}

struct Running {
    child: Child,
    address: SocketAddr,
    certificate: CertificateDer<'static>,
}

impl Server for Running {
    fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: self.address,
            server_name: NAMES[0].to_owned(),
            authorities: vec![self.certificate.clone()],
        }
    }

    fn notice(mut self: Box<Self>, text: String) -> Boxed<Result<Box<dyn Server>, LaunchError>> {
        Box::pin(async move {
            let failed = |why: String| LaunchError::Failed(format!("a notice: {why}"));
            let answer = timeout(PATIENCE, say(&mut self.child, Say { notice: text })).await;
            match answer {
                Ok(Ok(answer)) if answer.trim() == SAID => Ok(self as Box<dyn Server>),
                Ok(Ok(answer)) => Err(failed(format!("it wrote {answer:?}, not {SAID}"))),
                Ok(Err(error)) => Err(failed(error.to_string())),
                Err(_) => Err(failed(format!("it did not write {SAID} in time"))),
            }
        })
    }

    fn stop(mut self: Box<Self>) -> Boxed<()> {
        Box::pin(async move {
            drop(self.child.stdin.take());
            if timeout(PATIENCE, self.child.wait()).await.is_err() {
                let _ = self.child.kill().await;
            }
        })
    }

    fn kill(mut self: Box<Self>) -> Boxed<()> {
        Box::pin(async move {
            let _ = self.child.kill().await;
        })
    }
}

/// Tells a server what to say; gives the line that it answers.
async fn say(child: &mut Child, said: Say) -> io::Result<String> {
    let (Some(stdin), Some(stdout)) = (child.stdin.as_mut(), child.stdout.as_mut()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let line = serde_json::to_string(&said)? + "\n";
    stdin.write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(stdout).read_line(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn launch(command: &str) -> Result<Box<dyn Server>, LaunchError> {
        let settings = serde_json::Map::from_iter([("registration".to_owned(), "closed".into())]);
        let launch = Launch { data_dir: "/nowhere".into(), settings };
        Command::new(command.to_owned()).unwrap().launch(launch).await
    }

    #[tokio::test]
    async fn a_command_is_told_what_to_start_and_stops_with_its_stdin() {
        let folder = tempfile::tempdir().unwrap();
        let (asked, ended) = (folder.path().join("asked"), folder.path().join("ended"));
        let script = format!(
            "sh -c 'read -r line; printf %s \"$line\" > {}; echo \"{{\\\"host\\\":\\\"127.0.0.1\\\",\\\"port\\\":7}}\"; \
             cat; echo yes > {}'",
            asked.display(),
            ended.display()
        );
        let server = launch(&script).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(server.endpoint().address.to_string(), "127.0.0.1:7");
        assert!(!ended.exists());
        server.stop().await;
        assert_eq!(std::fs::read_to_string(ended).unwrap(), "yes\n");
        let asked = std::fs::read_to_string(asked).unwrap();
        let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
        assert_eq!(asked["settings"]["registration"], "closed");
        assert!(asked["cert"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE"));
    }

    #[tokio::test]
    async fn a_command_is_told_what_to_say() {
        let answers = |answer: &str| {
            let listening = r#"echo "{\"host\":\"127.0.0.1\",\"port\":7}""#;
            format!("sh -c 'read -r start; {listening}; read -r said; {answer}; cat'")
        };
        let server = launch(&answers(r#"echo "{\"said\":true}""#)).await.unwrap();
        let server = server.notice("hello".to_owned()).await.unwrap_or_else(|e| panic!("{e}"));
        server.stop().await;
        let server = launch(&answers("echo what")).await.unwrap();
        let refused = server.notice("hello".to_owned()).await;
        assert!(matches!(refused, Err(LaunchError::Failed(why)) if why.contains("what")));
    }

    #[tokio::test]
    async fn a_command_may_decline_or_fail() {
        let declined =
            launch("sh -c 'read -r line; echo \"{\\\"unsupported\\\":\\\"no\\\"}\"'").await;
        assert!(matches!(declined, Err(LaunchError::Unsupported(why)) if why == "no"));
        let failed = launch("sh -c 'read -r line; echo hello'").await;
        assert!(matches!(failed, Err(LaunchError::Failed(why)) if why.contains("hello")));
    }
}
