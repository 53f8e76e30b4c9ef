//! Does what was typed, one thing after another, while the screen goes on.

use anyhow::Result;
use aside_client::{
    Client, ConversationId, DeviceId, Entry, Error, IdempotencyKey, Queued, Role, Room,
    display::neutralise_line, v1,
};
use tokio::sync::mpsc;

use super::{
    command::{About, Command, HELP},
    screen::Current,
};
use crate::{
    failure,
    output::{self, Style},
    rooms, session, users,
};

/// What came of it.
pub(super) enum Done {
    /// To be shown.
    Says(String),
    /// A message is on its way.
    Sends {
        /// Its id.
        id: IdempotencyKey,
        /// Where to.
        to: ConversationId,
        /// What it says.
        text: String,
    },
    /// The room that is talked in from now on.
    Room(Option<Current>),
    /// A message has arrived, or will not.
    Sent,
    /// A command has ended.
    Ready,
}

/// Does what was typed.
pub(super) struct Worker {
    client: Client,
    style: Style,
    interactive: bool,
    results: mpsc::Sender<Done>,
    current: Option<Current>,
    /// As /devices numbered them last.
    devices: Vec<DeviceId>,
}

impl Worker {
    pub(super) fn new(
        client: Client,
        style: Style,
        interactive: bool,
        results: mpsc::Sender<Done>,
    ) -> Self {
        Self { client, style, interactive, results, current: None, devices: Vec::new() }
    }

    /// Enters `join` or the first room there is, then does commands until there are no more.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, join: Option<String>) {
        let began = match join {
            Some(room) => self.join(&room).await,
            None => self.begin().await,
        };
        self.finish(began).await;
        while let Some(command) = commands.recv().await {
            match command {
                Command::Say(text) => {
                    let said = self.talk(&text).await;
                    self.said(said).await;
                }
                Command::About(number, about) => {
                    let said = self.about(number, about).await;
                    self.said(said).await;
                }
                other => {
                    let done = self.execute(other).await;
                    self.finish(done).await;
                }
            }
        }
    }

    async fn finish(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.complain(&error).await;
        }
        self.tell(Done::Ready).await;
    }

    async fn complain(&self, error: &anyhow::Error) {
        let text = match error.downcast_ref::<Error>() {
            Some(error) => failure::line(error),
            None => neutralise_line(&format!("{error:#}")).into_owned(),
        };
        self.say(self.style.warning(text)).await;
    }

    async fn execute(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Help => self.say(HELP.to_owned()).await,
            Command::Rooms => {
                let rooms = self.client.rooms(false).await?;
                let lines = rooms.iter().map(|room| rooms::show(room, self.style));
                self.say(lines.collect::<Vec<_>>().join("\n")).await;
            }
            Command::Users(room) => self.users(room).await?,
            Command::Create(name) => {
                let room = self.client.create_room(&name).await?;
                self.say(format!("{} is a public room: the server can read it", self.name(&room)))
                    .await;
                self.enter(&room).await;
            }
            Command::Join(name) => self.join(&name).await?,
            Command::Leave(name) => self.leave(name).await?,
            Command::Nick(handle) => {
                let handle = self.client.rename(&handle, v1::OnConflict::Reject).await?;
                self.say(format!("you are {} now", neutralise_line(&handle))).await;
            }
            Command::History(count) => self.history(count).await?,
            Command::Devices => self.list_devices().await?,
            Command::Revoke(number) => self.revoke(number).await?,
            Command::Passwd => self.change_password().await?,
            Command::Forget => {
                let room = self.here()?;
                self.client.forget(room.conversation).await?;
                self.say(format!("{} is taken up anew", neutralise_line(&room.name))).await;
            }
            Command::Say(_) | Command::About(..) | Command::Quit => {}
        }
        Ok(())
    }

    /// Says something.
    async fn talk(&self, text: &str) -> Result<()> {
        let to = self.here()?.conversation;
        let queued = self.client.queue(to, text).await?;
        self.tell(Done::Sends { id: queued.message_id(), to, text: text.to_owned() }).await;
        self.wait(queued);
        Ok(())
    }

    /// Says something about a message. It is shown when it comes back: what was typed does not look like it.
    async fn about(&self, number: u64, about: About) -> Result<()> {
        let room = self.here()?.conversation;
        let message = self.client.message(room, number).await?;
        let to = message.as_message().ok_or(Error::NoSuchMessage(number))?;
        let queued = match about {
            About::Reply(text) => self.client.reply(room, to, &text).await?,
            About::React(emoji) => self.client.react(room, to, &emoji, false).await?,
            About::Unreact(emoji) => self.client.react(room, to, &emoji, true).await?,
            About::Edit(text) => {
                if message.by.is_none_or(|by| by.user != self.client.identity().user) {
                    return Err(Error::NotYours(number).into());
                }
                self.client.edit(room, to, &text).await?
            }
        };
        self.wait(queued);
        Ok(())
    }

    async fn said(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.complain(&error).await;
            self.tell(Done::Sent).await;
        }
    }

    /// Waits by a task of its own for what becomes of a message, so that the next line need not wait.
    fn wait(&self, queued: Queued) {
        let (results, style) = (self.results.clone(), self.style);
        tokio::spawn(async move {
            if let Some(problem) = problem_of(queued).await {
                let text = style.warning(format!("not sent: {problem}"));
                // The chat has ended: then nobody wants to know.
                let _ = results.send(Done::Says(text)).await;
            }
            let _ = results.send(Done::Sent).await;
        });
    }

    /// Talks in the first room that is followed, or says how to get into one.
    async fn begin(&mut self) -> Result<()> {
        if let Some((conversation, name)) = self.client.followed().await?.into_iter().next() {
            self.set_current(Some(Current { conversation, name })).await;
            return Ok(());
        }
        let rooms = self.client.rooms(false).await?;
        if let Some(room) = rooms.iter().find(|room| room.role.is_some()) {
            self.enter(room).await;
            return Ok(());
        }
        let lines: Vec<_> = rooms.iter().map(|room| rooms::show(room, self.style)).collect();
        let default = rooms.iter().find(|room| room.is_default).map(|room| self.name(room));
        let hint = format!("/join {} to begin, /help for more", default.unwrap_or("ROOM".into()));
        self.say(format!("{}\n{hint}", lines.join("\n"))).await;
        Ok(())
    }

    /// ROOM-001: says what kind of room it is before it joins.
    async fn join(&mut self, name: &str) -> Result<()> {
        let room = session::find_room(&self.client, name).await?;
        if room.role.is_some() {
            self.enter(&room).await;
            return Ok(());
        }
        if room.server_readable {
            self.say(format!("{} is a public room: the server can read it", self.name(&room)))
                .await;
        }
        let room = self.client.join(room.conversation).await?;
        self.enter(&room).await;
        Ok(())
    }

    async fn leave(&mut self, name: Option<String>) -> Result<()> {
        let left = match name {
            Some(name) => {
                let room = session::find_room(&self.client, &name).await?;
                Current { conversation: room.conversation, name: room.name }
            }
            None => self.here()?.clone(),
        };
        self.client.leave(left.conversation).await?;
        self.say(format!("you left {}", neutralise_line(&left.name))).await;
        if self.current.as_ref() == Some(&left) {
            let next = self.client.followed().await?;
            let next = next.into_iter().find(|(other, _)| *other != left.conversation);
            self.set_current(next.map(|(conversation, name)| Current { conversation, name })).await;
        }
        Ok(())
    }

    async fn users(&self, name: Option<String>) -> Result<()> {
        let conversation = match name {
            Some(name) => session::find_room(&self.client, &name).await?.conversation,
            None => self.here()?.conversation,
        };
        let mut members = self.client.members(conversation, false).await?;
        members.sort_by_key(|member| (!member.online, member.role != Role::Owner));
        let lines = members.iter().map(|member| users::show(member, self.style));
        self.say(lines.collect::<Vec<_>>().join("\n")).await;
        Ok(())
    }

    async fn history(&self, count: u32) -> Result<()> {
        let entries = self.client.history(self.here()?.conversation, None, count).await?;
        let show = |entry: &Entry| {
            let time = self.style.dim(output::day_and_clock(entry.time_ms));
            let number = self.style.dim(format!("[{}]", entry.seq));
            self.style.past_entry(entry).map(|text| format!("{time} {number} {text}"))
        };
        self.say(entries.iter().filter_map(show).collect::<Vec<_>>().join("\n")).await;
        Ok(())
    }

    async fn list_devices(&mut self) -> Result<()> {
        let devices = self.client.devices().await?;
        let lines = devices.iter().enumerate().map(|(index, device)| {
            let state = match (device.current, device.online) {
                (true, _) => "this one".to_owned(),
                (false, true) => "online".to_owned(),
                (false, false) => {
                    format!("last seen {}", output::day_and_clock(device.last_seen_ms))
                }
            };
            format!(
                "{:>2}  {}  {}",
                index + 1,
                self.style.bold(neutralise_line(&device.name)),
                self.style
                    .dim(format!("since {}, {state}", output::day_and_clock(device.created_ms)))
            )
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        self.devices = devices.iter().map(|device| device.id).collect();
        self.say(text).await;
        Ok(())
    }

    async fn revoke(&mut self, number: usize) -> Result<()> {
        let Some(device) = number.checked_sub(1).and_then(|at| self.devices.get(at)) else {
            anyhow::bail!("/devices shows no device {number}");
        };
        self.client.revoke_device(*device).await?;
        self.say(format!("device {number} is revoked")).await;
        Ok(())
    }

    async fn change_password(&self) -> Result<()> {
        if !self.interactive {
            anyhow::bail!("/passwd needs a terminal, to ask for the passwords");
        }
        if !self.client.is_online() {
            anyhow::bail!("/passwd needs the server, which is away");
        }
        let asked = tokio::task::spawn_blocking(|| -> Result<_> {
            let old = session::ask_password("Password so far: ")?;
            Ok((old, session::ask_new_password("New password: ")?))
        });
        let (old, new) = asked.await??;
        let revoked = self.client.change_password(&old, &new).await?;
        self.say(format!("the password is changed; other devices revoked: {revoked}")).await;
        Ok(())
    }

    async fn enter(&mut self, room: &Room) {
        let current = Current { conversation: room.conversation, name: room.name.clone() };
        self.set_current(Some(current)).await;
    }

    async fn set_current(&mut self, current: Option<Current>) {
        self.current.clone_from(&current);
        self.tell(Done::Room(current)).await;
    }

    fn here(&self) -> Result<&Current> {
        match &self.current {
            Some(current) => Ok(current),
            None => anyhow::bail!("you are in no room; /rooms lists them, /join ROOM enters one"),
        }
    }

    fn name(&self, room: &Room) -> String {
        self.style.bold(neutralise_line(&room.name))
    }

    async fn say(&self, text: String) {
        self.tell(Done::Says(text)).await;
    }

    async fn tell(&self, done: Done) {
        // The chat has ended: then nobody wants to know.
        let _ = self.results.send(done).await;
    }
}

async fn problem_of(queued: Queued) -> Option<String> {
    match queued.receipt().await {
        // Closed with the message still in the outbox: the next run sends it.
        Ok(_) | Err(Error::Gone) => None,
        Err(error) => Some(failure::line(&error)),
    }
}
