//! The full-screen client in a real terminal: tmux holds it, types and looks.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)] // Every function here is a test's.
#![allow(clippy::print_stderr)] // What is skipped is said.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a screen may take to show something: reached only by what would never be shown.
const DEADLINE: Duration = Duration::from_secs(120);

/// A server process, and a tmux of its own.
struct World {
    home: TempDir,
    server: Child,
    port: String,
    fingerprint: String,
    terminals: AtomicUsize,
}

impl World {
    /// `None`, with the reason printed, where there is no tmux.
    fn new() -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("skipped: there is no tmux on this machine");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_aside"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(home.path().join("server"));
        command.args(["--set", "password.memory_kib=64", "--set", "password.iterations=1"]);
        let mut server =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it was built");
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut after = |mark: &str| {
            let found = lines.find_map(|line| line.split_once(mark).map(|(_, it)| it.to_owned()));
            found.expect("the server says where it listens, and shows its fingerprint")
        };
        let port = after("127.0.0.1:").trim().to_owned();
        let fingerprint = after("SHA-256 ").trim().to_owned();
        // Read on, so that the server never writes to a closed pipe.
        thread::spawn(move || lines.for_each(drop));
        Some(Self { home, server, port, fingerprint, terminals: AtomicUsize::new(0) })
    }

    /// `aside COMMAND` as this user.
    fn aside(&self, command: &str, user: &str, arguments: &[&str]) -> Command {
        let mut aside = Command::new(env!("CARGO_BIN_EXE_aside"));
        aside
            .args([command, &format!("aside://{user}@localhost:{}", self.port)])
            .args(arguments)
            .args(["--fingerprint", &self.fingerprint])
            .env("ASIDE_DATA_DIR", self.home.path().join(user))
            .env("ASIDE_PASSWORD", "a pass phrase for tests")
            .env("TZ", "UTC");
        aside
    }

    fn say(&self, user: &str, text: &str) {
        let said = self.aside("send", user, &["lobby", text, "--register", "--join"]).output();
        assert!(said.unwrap().status.success());
    }

    /// A terminal with a shell in which the program runs; it says how that ended.
    fn terminal(&self, user: &str, arguments: &[&str], size: (u16, u16)) -> Terminal {
        self.terminal_with("tui", user, arguments, size)
    }

    fn terminal_with(
        &self,
        command: &str,
        user: &str,
        arguments: &[&str],
        size: (u16, u16),
    ) -> Terminal {
        let tui = self.aside(command, user, arguments);
        let mut line = String::from("env");
        for (name, value) in tui.get_envs() {
            let value = value.unwrap().to_str().unwrap();
            line = format!("{line} {}='{value}'", name.to_str().unwrap());
        }
        for word in std::iter::once(tui.get_program()).chain(tui.get_args()) {
            line = format!("{line} '{}'", word.to_str().unwrap());
        }
        let shell = format!("echo before; {line}; echo \"ended with $?\"; exec cat");
        // A socket of its own for each: a tmux that ends may still hold the one before.
        let number = self.terminals.fetch_add(1, Ordering::Relaxed);
        Terminal::start(self.home.path().join(format!("tmux-{number}")), &shell, size)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A terminal in a tmux server of its own.
struct Terminal {
    socket: PathBuf,
    /// A client of that server, which tells when something was written on the screen.
    watcher: Child,
    written: Receiver<()>,
}

impl Terminal {
    fn start(socket: PathBuf, shell: &str, (columns, rows): (u16, u16)) -> Self {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut begin = tmux(&socket);
        begin.args(["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, shell]);
        assert!(begin.status().unwrap().success());
        let mut watch = tmux(&socket);
        watch.args(["-C", "attach", "-f", "ignore-size"]);
        let mut watcher = watch.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // What was written may be cut within a character.
        let mut lines = BufReader::new(watcher.stdout.take().unwrap()).split(b'\n');
        let (sender, written) = sync_channel(1);
        // One that waits to be seen stands for all.
        thread::spawn(move || {
            for _ in lines.by_ref().map_while(Result::ok) {
                let _ = sender.try_send(());
            }
        });
        Self { socket, watcher, written }
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = tmux(&self.socket).args(arguments).output().unwrap();
        let problem = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "tmux {arguments:?}: {problem}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Looks until all of this is on the screen.
    fn shows(&self, expected: &[&str]) -> String {
        self.looks(|screen| expected.iter().all(|text| screen.contains(text)), expected)
    }

    fn looks(&self, good: impl Fn(&str) -> bool, expected: &[&str]) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let screen = self.screen();
            if good(&screen) {
                return screen;
            }
            let left = until.saturating_duration_since(Instant::now());
            let written = self.written.recv_timeout(left);
            assert!(written.is_ok(), "{expected:?} is not on the screen:\n{screen}");
        }
    }

    /// Types text as it is.
    fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Presses keys by tmux's names.
    fn presses(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// What the terminal is set to: cursor, mouse, alternate screen.
    fn modes(&self) -> String {
        let modes =
            "#{cursor_flag} #{mouse_any_flag}#{mouse_button_flag}#{mouse_all_flag} #{alternate_on}";
        self.tmux(&["display-message", "-p", modes]).trim().to_owned()
    }

    /// The program's process.
    fn process(&self) -> String {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]);
        let children = Command::new("pgrep").args(["-P", shell.trim()]).output().unwrap();
        String::from_utf8(children.stdout).unwrap().trim().to_owned()
    }

    /// Looks until the program has ended like this, and whether the terminal is as it was before.
    fn is_given_back(&self, code: &str) {
        let screen = self.shows(&["before", &format!("ended with {code}")]);
        assert!(!screen.contains("lobby"), "the screen is the shell's:\n{screen}");
        assert_eq!(self.modes(), "1 000 0");
        self.types("typed and echoed");
        self.shows(&["typed and echoed"]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tmux(&self.socket).arg("kill-server").output();
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}

fn tmux(socket: &Path) -> Command {
    let mut tmux = Command::new("tmux");
    tmux.arg("-S")
        .arg(socket)
        .env_remove("TMUX")
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm-256color");
    tmux
}

// cites: ROOM-001
#[test]
fn people_chat_on_the_whole_screen() {
    let Some(world) = World::new() else { return };
    world.say("bob", "Hello from before");
    let alice = world.terminal("alice", &["--register"], (80, 24));
    let screen = alice.shows(&["alice@localhost", "You are in no room yet", "/join lobby"]);
    assert!(screen.contains("F1 help"), "{screen}");

    alice.types("/join lobby");
    alice.presses(&["Enter"]);
    let screen = alice.shows(&["bob: Hello from before", "alice joined", "lobby>"]);
    assert!(screen.contains("server-readable"), "{screen}");
    alice.types("Good morning 漢字");
    alice.presses(&["M-Enter"]);
    alice.types("on two lines");
    alice.presses(&["Enter"]);
    alice.shows(&["alice: Good morning 漢字", "on two lines \u{2713}"]);

    let bob = world.terminal("bob", &[], (100, 30));
    bob.shows(&["alice: Good morning 漢字", "\u{25cf} alice", "\u{25cf} bob"]);
    bob.presses(&["C-Up", "r"]);
    bob.shows(&["> /reply "]);
    bob.types("And to you!");
    bob.presses(&["Enter"]);
    alice.shows(&["bob \u{21b3} alice: Good morning", "And to you!"]);

    // A paste is not sent by its line feeds.
    alice.tmux(&["set-buffer", "pasted\nlines"]);
    alice.tmux(&["paste-buffer", "-p"]);
    let screen = alice.shows(&["pasted", "lines"]);
    assert!(!screen.contains("alice: pasted"), "{screen}");
    alice.presses(&["C-c"]);

    alice.types("/create garden");
    alice.presses(&["Enter"]);
    alice.shows(&["garden>", "alice made the room"]);
    bob.types("Anyone in the lobby?");
    bob.presses(&["Enter"]);
    alice.shows(&["#lobby         1 "]);
    alice.presses(&["F1"]);
    alice.shows(&["Help", "Alt-Enter"]);
    alice.presses(&["PageDown", "PageDown"]);
    alice.shows(&["/unreact N EMOJI"]);
    alice.presses(&["Escape"]);
    alice.tmux(&["resize-window", "-x", "40", "-y", "10"]);
    alice.looks(|screen| !screen.contains("\u{2502}"), &["no panes"]);
    alice.presses(&["C-k"]);
    alice.types("lob");
    alice.presses(&["Enter"]);
    alice.shows(&["lobby>", "bob: Anyone in the lobby?"]);
    alice.presses(&["C-c"]);
    alice.is_given_back("0");
}

#[test]
fn people_see_each_other_write_pin_and_invite() {
    let Some(world) = World::new() else { return };
    world.say("bob", "Hello from before");
    let alice = world.terminal("alice", &["--register", "--join", "lobby"], (100, 30));
    alice.shows(&["bob: Hello from before", "lobby>"]);
    let bob = world.terminal("bob", &[], (80, 24));
    bob.shows(&["alice joined", "lobby>"]);

    bob.types("I think that");
    alice.shows(&["bob is writing\u{2026}"]);
    bob.presses(&["C-c"]);
    alice.looks(|screen| !screen.contains("is writing"), &["nobody writes"]);
    bob.types("/status at lunch");
    bob.presses(&["Enter"]);
    alice.shows(&["\u{25cf} bob", "   at lunch"]);
    bob.shows(&["and: at lunch"]);
    bob.presses(&["Escape"]);
    bob.shows(&["bob@localhost \u{201c}at lunch\u{201d}"]);

    alice.types("/create den");
    alice.presses(&["Enter"]);
    alice.shows(&["den>", "alice made the room"]);
    alice.types("The key is under the pot");
    alice.presses(&["Enter"]);
    alice.shows(&["under the pot \u{2713}"]);
    alice.presses(&["C-Up", "p"]);
    alice.shows(&["> /pin "]);
    alice.presses(&["Enter"]);
    alice.shows(&["under the pot (pinned)"]);
    alice.types("/invite-only on");
    alice.presses(&["Enter"]);
    alice.shows(&["only those join who are invited"]);
    alice.types("/invite bob");
    alice.presses(&["Enter"]);
    bob.shows(&["alice invites you to #den", "!den"]);
    bob.presses(&["C-d"]);
    bob.is_given_back("0");
    drop(bob);

    // Whoever was away sees it at the start.
    let bob = world.terminal("bob", &[], (80, 24));
    bob.shows(&["you are invited to #den", "!den"]);
    bob.presses(&["C-k"]);
    bob.types("den");
    bob.shows(&["#den  (you are invited)"]);
    bob.presses(&["Enter"]);
    bob.shows(&["> /join den", "the server can read it"]);
    bob.presses(&["Enter"]);
    bob.shows(&["den>", "under the pot (pinned)"]);
    bob.presses(&["F4"]);
    bob.shows(&["Pinned", "alice: The key is under the pot"]);
    bob.presses(&["Enter"]);
    bob.shows(&["d delete p pin"]);

    alice.presses(&["C-Up", "d"]);
    alice.shows(&["> /delete "]);
    alice.presses(&["Enter"]);
    bob.shows(&["alice sent a message that was removed"]);
}

#[test]
fn a_line_at_a_time_messages_get_their_numbers_and_are_read_by_turning_to_their_room() {
    let Some(world) = World::new() else { return };
    world.say("bob", "Hello from before");
    let alice = world.terminal_with("chat", "alice", &["--register", "--join", "lobby"], (80, 24));
    alice.shows(&["bob: Hello from before", "lobby>"]);
    alice.types("/create den");
    alice.presses(&["Enter"]);
    alice.shows(&["den>"]);
    world.say("bob", "Anyone?");
    alice.shows(&["#lobby", "bob: Anyone?"]);
    alice.types("/join lobby");
    alice.presses(&["Enter"]);
    alice.looks(|screen| screen.trim_end().ends_with("lobby>"), &["the prompt"]);
    alice.types("/unread");
    alice.presses(&["Enter"]);
    alice.shows(&["nothing is unread"]);
    alice.types("I am here");
    alice.presses(&["Enter"]);
    let screen = alice.shows(&["] sent"]);
    let number = screen.split('[').next_back().unwrap().split(']').next().unwrap();
    alice.types(&format!("/edit {number} I was here"));
    alice.presses(&["Enter"]);
    alice.shows(&["edits", "I was here"]);
    alice.presses(&["C-d"]);
    alice.shows(&["ended with 0"]);
}

#[test]
fn a_line_at_a_time_nothing_is_said_elsewhere_than_it_is_meant() {
    let Some(world) = World::new() else { return };
    let alice = world.terminal_with("chat", "alice", &["--register", "--join", "lobby"], (80, 24));
    alice.shows(&["alice joined", "lobby>"]);
    alice.types("/join nowhere");
    alice.presses(&["Enter"]);
    alice.shows(&["there is no room nowhere", "/join #lobby goes back to where you were", "\n>"]);
    alice.types("A secret");
    alice.presses(&["Enter"]);
    alice.shows(&["you are in no room"]);
    alice.types("/join #lobby");
    alice.presses(&["Enter"]);
    alice.looks(|screen| screen.trim_end().ends_with("lobby>"), &["the prompt"]);
    alice.types("Good morning");
    alice.presses(&["Enter"]);
    let screen = alice.shows(&["] sent"]);
    assert_eq!(screen.matches("] sent").count(), 1, "{screen}");
    alice.presses(&["C-d"]);
    alice.shows(&["ended with 0"]);
}

#[test]
fn what_is_said_offline_is_sent_later_and_signals_give_the_terminal_back() {
    let Some(mut world) = World::new() else { return };
    world.say("alice", "Hello");
    let alice = world.terminal("alice", &["--theme", "light"], (80, 24));
    alice.shows(&["alice: Hello \u{2713}", "\u{25cf} alice@localhost"]);
    assert_eq!(alice.modes().split(' ').next_back(), Some("1"), "it has a screen of its own");
    world.server.kill().unwrap();
    world.server.wait().unwrap();
    alice.shows(&["\u{25cb} alice@localhost", "offline"]);
    alice.types("Is anybody there?");
    alice.presses(&["Enter"]);
    alice.shows(&["you: Is anybody there? queued"]);
    let killed = Command::new("kill").args(["-TERM", &alice.process()]).status().unwrap();
    assert!(killed.success());
    alice.is_given_back("0");
    drop(alice);

    // The next run begins without a server, with what is kept.
    let again = world.terminal("alice", &[], (60, 12));
    again.shows(&["alice: Hello", "offline"]);
    again.presses(&["C-d"]);
    again.is_given_back("0");
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let Some(world) = World::new() else { return };
    world.say("alice", "Hello");
    let output = world.aside("tui", "alice", &[]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("aside chat"), "{said}");
}
