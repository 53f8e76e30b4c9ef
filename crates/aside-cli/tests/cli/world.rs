//! A server, the program beside it, and how to talk with that.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
};

use aside_server::{Config, Running, Server};
use serde_json::Value;
use tempfile::TempDir;

/// A server, and a place for the state of clients.
pub(crate) struct World {
    pub(crate) home: TempDir,
    pub(crate) server: Running,
}

impl World {
    pub(crate) async fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let config = Config::for_tests(home.path().join("server"));
        let server = Server::start(config).await.expect("the server starts");
        Self { home, server }
    }

    /// `aside <command> <address of the handle> <arguments>`, trusting the server.
    pub(crate) fn aside(&self, command: &str, handle: &str, arguments: &[&str]) -> Command {
        let port = self.server.local_addr().port();
        let mut aside = Command::new(env!("CARGO_BIN_EXE_aside"));
        aside
            .args(command.split(' '))
            .arg(format!("aside://{handle}@localhost:{port}"))
            .args(arguments)
            .args(["--fingerprint", &self.server.fingerprint()])
            .env("ASIDE_DATA_DIR", self.home.path().join("clients"))
            .env("ASIDE_PASSWORD", "a pass phrase for tests");
        aside
    }

    /// The same on a computer of its own.
    pub(crate) fn aside_on(
        &self,
        computer: &str,
        command: &str,
        handle: &str,
        arguments: &[&str],
    ) -> Command {
        let mut aside = self.aside(command, handle, arguments);
        aside
            .args(["--device-name", computer])
            .env("ASIDE_DATA_DIR", self.home.path().join(computer));
        aside
    }

    pub(crate) async fn run(&self, command: &str, handle: &str, arguments: &[&str]) -> Output {
        output(self.aside(command, handle, arguments), "").await
    }
}

/// Runs it with this on its standard input, while the server in this process goes on.
pub(crate) async fn output(mut command: Command, input: &str) -> Output {
    let input = input.to_owned();
    tokio::task::spawn_blocking(move || {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("it was piped");
        stdin.write_all(input.as_bytes()).expect("the program reads");
        drop(stdin);
        child.wait_with_output().expect("the program ends")
    })
    .await
    .expect("the task does not panic")
}

pub(crate) fn stdout(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    String::from_utf8(output.stdout.clone()).expect("it is UTF-8")
}

pub(crate) fn failure(output: &Output) -> (Option<i32>, String) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.starts_with("aside: "), "{stderr}");
    (output.status.code(), stderr)
}

/// What a chat printed in which something failed, and its exit code: failures stand where those of other commands do.
pub(crate) fn failed_chat(output: &Output) -> (Option<i32>, String) {
    let (code, said) = failure(output);
    (code, String::from_utf8_lossy(&output.stdout).into_owned() + &said)
}

/// A program that runs while others do.
pub(crate) struct Dialogue {
    child: Child,
    lines: BufReader<ChildStdout>,
    pub(crate) input: Option<ChildStdin>,
}

impl Dialogue {
    pub(crate) fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let input = child.stdin.take();
        Self { child, lines, input }
    }

    /// The next line, which is JSON.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it is UTF-8");
        let event: Value = serde_json::from_str(&line).expect("a line of JSON");
        assert_eq!(event["event"], name, "{event}");
        event
    }

    /// Reads up to a line that has this in it.
    pub(crate) fn line(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).expect("it is UTF-8");
            assert!(read > 0, "it ends before it says {part}");
            if line.contains(part) {
                return line;
            }
        }
    }

    pub(crate) fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it was not closed");
        writeln!(input, "{line}").expect("the program reads");
    }

    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let kill = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(kill.expect("there is a kill").success());
    }

    /// The exit code, and what it wrote to stderr.
    pub(crate) fn end(self) -> (Option<i32>, String) {
        let Self { child, input, .. } = self;
        let output = child.wait_with_output().expect("the program ends");
        drop(input);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
