//! `aside demo`: a server and three people, and what happens when things go wrong. Everything is real: TLS 1.3 over TCP, SQLite
//! on disk, and the client that `aside chat` uses. Whatever goes otherwise than stated makes the command fail.

mod bent;
mod cast;
mod custody;
mod ghost;
mod mole;
mod private;
mod relay;
mod second_thoughts;
mod stage;
mod together;
mod trouble;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use aside_client::{BindingKind, ConversationId, Trust, v1::ErrorCode};
use aside_server::{Config, Rate, Running, Server};

use self::{
    cast::{Person, Way},
    relay::Relay,
    stage::Stage,
};
use crate::output;

const ROOM: &str = "garden";
/// What all three read there.
const PUBLIC: &str = "I am, and I have read what came before.";
/// Bob's second device.
const PHONE: &str = "phone";
/// What one account may say: a burst, then so much a second.
const MESSAGES: Rate = Rate { per_second: 2.0, burst: 12 };

/// Watch a server and three people on this machine, and what happens when things go wrong
///
/// Starts a server on loopback with a temporary database, and alice, bob and carol over TLS 1.3: a room with history, a
/// reaction and an edit, who is there and who has read what, a message that is deleted, a wrong password, a connection that is cut, a
/// flood, a private group with a device that is approved and one that is revoked, a member who lies, a device that the server made up, and
/// a history that is tampered with. Prints what each saw and what the server stored; fails if anything went otherwise than stated. Leaves nothing behind.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) async fn run(_: &Args) -> Result<()> {
    let began = Instant::now();
    let home = tempfile::tempdir().context("can't make a temporary folder")?;
    let mut demo = Demo::start(home.path()).await?;
    let (people, room) = demo.play().await?;
    let failures = demo.tampering(people, room).await?;
    if failures > 0 {
        bail!("{failures} of the things above went otherwise than stated");
    }
    let seconds = began.elapsed().as_secs_f32();
    output::line(format!("\nEverything went as stated, in {seconds:.1} s."))?;
    Ok(())
}

/// Those who chat.
struct People {
    alice: Person,
    bob: Person,
    carol: Person,
}

impl People {
    fn each(&mut self) -> [&mut Person; 3] {
        [&mut self.alice, &mut self.bob, &mut self.carol]
    }

    fn all(&self, holds: impl Fn(&Person) -> bool) -> bool {
        [&self.alice, &self.bob, &self.carol].into_iter().all(holds)
    }

    async fn all_hear(&mut self, text: &str) -> Result<()> {
        for person in self.each() {
            person.hears(text).await?;
        }
        Ok(())
    }
}

struct Demo<'a> {
    stage: Stage,
    home: &'a Path,
    server: Running,
    /// One for each client: the network between it and the server.
    wires: BTreeMap<&'static str, Relay>,
}

impl<'a> Demo<'a> {
    async fn start(home: &'a Path) -> Result<Self> {
        output::line("A server on loopback with a temporary database, and clients over TLS 1.3.")?;
        let server = Server::start(config(home)).await?;
        let mut wires = BTreeMap::new();
        for name in ["alice", "bob", "carol", "mallory", PHONE, ghost::GHOST] {
            wires.insert(name, Relay::start(server.local_addr()).await?);
        }
        Ok(Self { stage: Stage::new(), home, server, wires })
    }

    async fn play(&mut self) -> Result<(People, ConversationId)> {
        let (mut people, room) = self.room_with_history().await?;
        self.second_thoughts(&mut people, room).await?;
        self.presence(&mut people).await?;
        self.watermarks(&mut people, room).await?;
        self.redaction(&mut people, room).await?;
        self.wrong_password().await?;
        self.lost_connection(&mut people, room).await?;
        self.flood(&mut people, room).await?;
        self.private_group(&mut people).await?;
        Ok((people, room))
    }

    fn wire(&self, name: &str) -> &Relay {
        self.wires.get(name).expect("everybody was given a wire at the start")
    }

    /// From somebody's computer to the server.
    fn way(&self, name: &'static str) -> Result<Way> {
        Ok(Way {
            name,
            handle: if [PHONE, ghost::GHOST].contains(&name) { "bob" } else { name },
            port: self.wire(name).port(),
            trust: Trust::Fingerprint(self.server.fingerprint().parse()?),
            binding: BindingKind::default(),
            computer: self.home.join(format!("{name}'s computer")),
        })
    }

    async fn room_with_history(&mut self) -> Result<(People, ConversationId)> {
        self.stage.scene("A public room with history")?;
        let start = self.server.fingerprint()[..16].to_owned();
        self.stage.note("server", format!("has a certificate with SHA-256 {start}…"))?;
        let alice = self.way("alice")?.register(&password("alice")).await?;
        self.stage.note("alice", format!("pins it, registers, and makes the room {ROOM}"))?;
        let room = alice.client.create_room(ROOM).await?;
        self.stage.check(room.server_readable, "the room is marked: the server can read it")?;
        let room = room.conversation;
        for text in ["Hello?", "Is anybody here?"] {
            self.says(&alice, room, text).await?;
        }
        let bob = self.way("bob")?.register(&password("bob")).await?;
        let carol = self.way("carol")?.register(&password("carol")).await?;
        let mut people = People { alice, bob, carol };
        for person in [&mut people.bob, &mut people.carol] {
            person.client.join(room).await?;
            person.hears("Is anybody here?").await?;
            self.stage.note(person.name, "registers, joins, and sees:")?;
            self.tell_heard(person, 0)?;
        }
        self.says(&people.bob, room, PUBLIC).await?;
        people.all_hear(PUBLIC).await?;
        let heard = people.alice.heard.clone();
        self.stage.check(
            heard.len() == 3 && people.all(|person| person.heard == heard),
            "all three have the same three messages in the same order, signed by their senders' devices",
        )?;
        Ok((people, room))
    }

    async fn wrong_password(&mut self) -> Result<()> {
        self.stage.scene("A wrong password")?;
        let failed =
            |error: &aside_client::Error| error.is_refusal(ErrorCode::AuthenticationFailed);
        for (handle, what) in [
            ("alice", "AUTHENTICATION_FAILED, and no more"),
            ("nobody", "the very same for a handle that nobody has: who exists is not told"),
        ] {
            let outcome = self.way("mallory")?.try_password(handle, "let me in, please").await;
            let told = match &outcome {
                Ok(()) => "is let in".to_owned(),
                Err(error) => format!("is told: {error}"),
            };
            self.stage.note("mallory", format!("says that he is {handle}, guesses, and {told}"))?;
            self.stage.check(outcome.as_ref().is_err_and(failed), what)?;
        }
        Ok(())
    }

    async fn says(&self, person: &Person, room: ConversationId, text: &str) -> Result<()> {
        person.client.send(room, text).await?;
        self.stage.note(person.name, format!("says: {text}"))?;
        Ok(())
    }

    /// What somebody saw, from the given message on.
    fn tell_heard(&self, person: &Person, from: usize) -> Result<()> {
        for (seq, by, text) in person.heard.iter().skip(from) {
            self.stage.note("", format!("  {seq:>3}  {by}: {text}"))?;
        }
        Ok(())
    }
}

fn config(home: &Path) -> Config {
    let mut config = Config::for_tests(server_data(home));
    config.rates.messages_per_user = MESSAGES;
    config
}

fn server_data(home: &Path) -> PathBuf {
    home.join("server")
}

fn password(name: &str) -> String {
    format!("a pass phrase that only {name} knows")
}

/// Starts the server again on what it had.
async fn restart(home: &Path, wires: &BTreeMap<&'static str, Relay>) -> Result<Running> {
    let server = Server::start(config(home)).await?;
    let address: SocketAddr = server.local_addr();
    wires.values().for_each(|wire| wire.mend(address));
    Ok(server)
}
