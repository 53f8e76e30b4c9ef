//! Does what was typed, one thing after another, while the screen goes on.

use anyhow::{Result, bail};
use aside_client::{
    Client, ConversationId, DeviceId, Error, IdempotencyKey, PresenceSettings, RecoveryPhrase,
    Role, SafetyNumber, UserId, display::neutralise_line, v1,
};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

use super::{
    Current,
    approving::Shown,
    command::{Command, HELP},
    progress,
};
use crate::{
    devices::{self, Standing},
    failure, named,
    output::{
        self, Style,
        earlier::{self, Passed},
    },
    presence,
    retention::NO_OLDER,
    rooms, search, session, users, verify,
};

/// That something can't be done now.
pub(super) const GIVEN_UP: &str = "that needs the server, which is away; it was given up";

/// What it is to take up a private conversation anew.
const FORGETS: &str = "this device gives up its keys of this private conversation, reads its log again, and comes in anew, \
     which the others are shown. What it has read stays readable on it; what was said since it read last can't be read on it any more";

/// What came of it.
pub(crate) enum Done {
    /// To be shown.
    Says(String),
    /// To be shown until it is written down: a recovery phrase.
    Phrase(Zeroizing<String>),
    /// And it is: it is to be shown no longer.
    Written,
    /// To be shown: something failed, which has this exit code by itself.
    Warns(String, u8),
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
    /// The same, of one that the user is out of: what is kept of it is to be read, and nothing said.
    Kept(Current),
    /// Another message is on its way, which is shown when it comes back.
    Waits,
    /// A message has arrived.
    Sent,
    /// A message will not arrive, which was said.
    Unsent,
    /// What others may see of the user from now on.
    Presence(PresenceSettings),
    /// The device is about to be logged out for good, as it was asked for: what is to be said then.
    Leaves(&'static str),
    /// And was.
    Left,
    /// All commands before [`Command::Quit`] have ended: what is said is with the client.
    Drained,
    /// A command has ended.
    Ready,
}

/// Does what was typed.
pub(crate) struct Worker {
    pub(super) client: Client,
    pub(super) style: Style,
    interactive: bool,
    /// Whether the server is away, for somebody who can go on without it; else commands wait for it.
    pub(super) away: Option<watch::Receiver<bool>>,
    pub(super) results: mpsc::Sender<Done>,
    pub(super) current: Option<Current>,
    /// As /devices numbered them last.
    pub(super) devices: Vec<(DeviceId, String)>,
    /// A recovery phrase that was shown, and counts once it is written down.
    pub(super) unwritten: Option<RecoveryPhrase>,
    /// The digits that are shown, to be compared with another device's.
    pub(super) shown: Shown,
    /// Whose safety number /verify showed last.
    compared: Option<(UserId, SafetyNumber)>,
    /// As /outbox numbered them last.
    outbox: Option<Vec<IdempotencyKey>>,
}

impl Worker {
    pub(crate) fn new(
        client: Client,
        style: Style,
        interactive: bool,
        results: mpsc::Sender<Done>,
    ) -> Self {
        let (devices, shown, compared, outbox) = Default::default();
        let (away, current, unwritten) = Default::default();
        Self {
            client,
            style,
            interactive,
            away,
            results,
            current,
            devices,
            unwritten,
            shown,
            compared,
            outbox,
        }
    }

    /// Gives commands up that need the server while it is away, rather than let those that follow wait behind them.
    pub(super) fn giving_up(self, away: watch::Receiver<bool>) -> Self {
        Self { away: Some(away), ..self }
    }

    /// Enters `join`, or for who sits there the first room there is, then does commands until there are no more.
    pub(super) async fn run(mut self, commands: mpsc::Receiver<Command>, join: Option<String>) {
        let began = match join {
            Some(room) => self.join(&room).await,
            None if self.interactive => self.begin().await,
            // What a script says is not for whichever room was the first.
            None => Ok(()),
        };
        let began = match began {
            Ok(()) if self.client.is_online() => {
                self.say_if_unapproved().await;
                self.list_invitations().await
            }
            began => began,
        };
        self.finish(began).await;
        self.serve(commands).await;
    }

    /// Does commands until there are no more.
    pub(crate) async fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
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
                Command::Quit => self.tell(Done::Drained).await,
                other => {
                    let goes_elsewhere = other.goes_elsewhere();
                    let done = self.attempt(other).await;
                    // What is said next, or was written already, is meant for that room: it is not for this one.
                    let stays_out = done.is_err() && goes_elsewhere;
                    let left = self.current.take_if(|_| stays_out);
                    if let Err(error) = &done {
                        self.complain(error).await;
                    }
                    if let Some(left) = left {
                        self.turn_away(&left).await;
                    }
                    self.tell(Done::Ready).await;
                }
            }
        }
    }

    /// Does a command, unless it needs the server and that is away or goes.
    async fn attempt(&mut self, command: Command) -> Result<()> {
        // It may be called otherwise by now.
        if let Some(current) = &mut self.current
            && let Ok(name) = self.client.name(current.conversation).await
        {
            current.name = name;
        }
        // A room that is kept is turned to without the server.
        let is_local = command.is_local() || matches!(command, Command::Join(_));
        let may_wait = is_local && !self.client.is_online();
        let Some(mut away) = self.away.clone().filter(|_| !may_wait) else {
            return self.execute(command).await;
        };
        tokio::select! {
            biased;
            done = self.execute(command) => done,
            Ok(_) = away.wait_for(|away| *away) => {
                bail!("{GIVEN_UP}")
            }
        }
    }

    async fn finish(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.complain(&error).await;
        }
        self.tell(Done::Ready).await;
    }

    pub(super) async fn complain(&self, error: &anyhow::Error) {
        let text = match error.downcast_ref::<Error>() {
            Some(error) => failure::line(error),
            None => neutralise_line(&format!("{error:#}")).into_owned(),
        };
        self.tell(Done::Warns(text, failure::code_of(error))).await;
    }

    async fn execute(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Help => self.say(HELP.to_owned()).await,
            Command::Rooms if !self.client.is_online() => {
                self.say(progress::rooms_kept(&self.client, self.style).await?).await;
            }
            Command::Rooms => {
                let rooms = self.client.rooms(false).await?;
                let lines = rooms.iter().map(|room| rooms::show(room, self.style));
                self.say(lines.collect::<Vec<_>>().join("\n")).await;
                self.say_if_unapproved().await;
            }
            Command::Users(room) => self.users(room).await?,
            Command::Create(name) => {
                let room = self.client.create_room(&name).await?;
                self.say(format!("{} is a public room: the server can read it", self.name(&room)))
                    .await;
                self.enter(&room).await;
            }
            Command::Join(name) => self.join(&name).await?,
            Command::Leave(name, sure) => self.leave(name, sure).await?,
            Command::Nick(handle) => {
                let handle = self.client.rename(&handle, v1::OnConflict::Reject).await?;
                self.say(format!("you are {} now", neutralise_line(&handle))).await;
            }
            Command::Status(status) => {
                self.set_presence(|settings| settings.status = status).await?
            }
            Command::Hide(hidden) => self.set_presence(|settings| settings.hidden = hidden).await?,
            Command::Receipts(shown) => {
                self.set_presence(|settings| settings.private_receipts = !shown).await?;
            }
            Command::History(count) => self.history(count).await?,
            Command::Delete(number) => self.delete(number).await?,
            Command::Search(query) => self.search(&query).await?,
            Command::Unread => self.say(progress::unread(&self.client, self.style).await?).await,
            Command::Read(room) => self.mark_read(room).await?,
            Command::Outbox => {
                let (text, ids) = progress::outbox(&self.client, self.style).await?;
                self.outbox = Some(ids);
                self.say(text).await;
            }
            Command::Retry(number) => {
                let id = progress::numbered(self.outbox.as_deref(), number)?;
                let queued = self.client.retry(id).await?;
                self.say("it is said once more".to_owned()).await;
                self.tell(Done::Waits).await;
                self.wait(queued);
            }
            Command::Discard(number) => {
                self.client.discard(progress::numbered(self.outbox.as_deref(), number)?).await?;
                self.say("it is discarded, and will not be sent".to_owned()).await;
            }
            Command::Devices(what) => self.approving(what).await?,
            Command::Verify(handle) => self.verify(&handle).await?,
            Command::Verified => self.verified().await?,
            Command::Revoke(number, sure) => self.revoke(number, sure).await?,
            Command::Recovery(asked) => self.recovery(asked).await?,
            Command::Passphrase => self.passphrase().await,
            Command::Passwd => self.change_password().await?,
            Command::Forget(sure) => self.forget(sure).await?,
            Command::Rooming(asked) => self.rooming(asked).await?,
            Command::Private(asked) => self.private(asked).await?,
            Command::Enter(room) => self.current = Some(room),
            Command::Say(_) | Command::About(..) | Command::Quit => {}
        }
        Ok(())
    }

    async fn users(&self, name: Option<String>) -> Result<()> {
        let conversation = match name {
            Some(name) => named::find_room(&self.client, &name).await?.conversation,
            None => self.here()?.conversation,
        };
        let mut members = self.client.members(conversation, false).await?;
        members.sort_by_key(|member| (!member.online, member.role != Role::Owner));
        let statuses = users::statuses(&self.client, &members).await?;
        let lines = members.iter().map(|member| users::show(member, &statuses, self.style));
        self.say(lines.collect::<Vec<_>>().join("\n")).await;
        Ok(())
    }

    /// Changes something of what others may see, and says what they see now.
    async fn set_presence(&self, change: impl FnOnce(&mut PresenceSettings)) -> Result<()> {
        let mut settings = self.client.presence_settings().await?;
        change(&mut settings);
        self.client.set_presence(&settings).await?;
        self.say(presence::settings(&settings)).await;
        self.tell(Done::Presence(settings)).await;
        Ok(())
    }

    async fn history(&self, count: u32) -> Result<()> {
        let here = self.here()?.conversation;
        // Of what the user is out of the server gives nothing any more.
        let is_in = self.is_in(here).await?;
        let entries = match is_in && self.client.is_online() {
            true => self.client.history(here, None, count).await?,
            false => self.client.kept().entries(here, None, count).await?,
        };
        let first_kept = self.client.first_kept(here).await?;
        // RET-012
        let older = (entries.len() < count as usize && first_kept > 1).then(|| NO_OLDER.to_owned());
        let show = |shown: &Passed| {
            let entry = match shown {
                Passed::Earlier(count) => return Some(self.style.dim(earlier::words(*count))),
                Passed::Missed(count, _) => {
                    return Some(self.style.dim(earlier::missed_words(*count)));
                }
                Passed::Entry(entry) => entry,
            };
            let time = self.style.dim(output::day_and_clock(entry.time_ms));
            let state = entry.state.as_ref().map(|state| format!(" {}", output::state_name(state)));
            let number = self.style.dim(format!("[{}{}]", entry.seq, state.unwrap_or_default()));
            self.style.past_entry(entry).map(|text| format!("{time} {number} {text}"))
        };
        let entries = earlier::fold(entries, self.client.identity().user);
        let lines = older.into_iter().chain(entries.iter().filter_map(show));
        self.say(lines.collect::<Vec<_>>().join("\n")).await;
        Ok(())
    }

    /// Deletes a message. That it is gone is shown when its entry comes.
    async fn delete(&self, number: Option<u64>) -> Result<()> {
        let room = self.here()?.conversation;
        let message = match number {
            Some(number) => self.client.message(room, number).await?,
            // The last would not be the one that is meant while another is on its way.
            None => anyhow::bail!("say which: /delete N; /history shows the numbers"),
        };
        let Some(message) = message.as_message() else {
            anyhow::bail!("that is no message to delete");
        };
        self.client.redact(room, message).await?;
        Ok(())
    }

    /// Asks the server, or without one looks through what is kept. What is private it can't read.
    async fn search(&self, query: &str) -> Result<()> {
        let here = self.current.as_ref().filter(|here| here.kind.is_private());
        if let Some(Current { conversation, name, kind }) = here {
            let place = self.style.place(*kind, name);
            let note = self.style.dim(search::only_kept(&place));
            let found =
                progress::find(&self.client, self.style, query, Some(*conversation)).await?;
            self.say(format!("{note}\n{found}")).await;
            return Ok(());
        }
        if !self.client.is_online() {
            self.say(progress::find(&self.client, self.style, query, None).await?).await;
            return Ok(());
        }
        let rooms = self.client.followed().await?;
        let found = self.client.search(None, query, search::FOUND).await?;
        if found.is_empty() {
            let elsewhere = "a private conversation is searched where you talk in it";
            self.say(format!("nothing was found in your public rooms; {elsewhere}")).await;
            return Ok(());
        }
        let lines = found.iter().rev().map(|found| {
            let room = rooms.iter().find(|(id, _)| *id == found.conversation);
            search::show(found, room.map_or("", |(_, name)| name.as_str()), self.style)
        });
        self.say(lines.collect::<Vec<_>>().join("\n")).await;
        Ok(())
    }

    /// Takes up anew what is talked in. Where that is private this device comes in anew, which its user is told first.
    async fn forget(&self, sure: bool) -> Result<()> {
        let here = self.here()?;
        let title = here.title();
        if here.kind.is_private() && !sure {
            self.say(format!("{FORGETS}\n/forget yes does it, for {title}")).await;
            return Ok(());
        }
        self.client.forget(here.conversation).await?;
        self.say(format!("{title} is taken up anew")).await;
        if self.client.is_online() {
            // What is asked next is about what comes by this. What is wrong with it an event says.
            let _ = self.client.catch_up(here.conversation).await;
        }
        Ok(())
    }

    async fn mark_read(&self, name: Option<String>) -> Result<()> {
        let conversation = match name {
            Some(name) => named::find_room(&self.client, &name).await?.conversation,
            None => self.here()?.conversation,
        };
        progress::mark_read(&self.client, conversation).await?;
        self.say("it is marked as read".to_owned()).await;
        Ok(())
    }

    pub(super) async fn list_devices(&mut self) -> Result<()> {
        let devices = self.client.devices().await?;
        let log = devices::device_log(&self.client).await?;
        let lines = devices.iter().enumerate().map(|(index, device)| {
            let standing = Standing::of(device, log.as_ref()).words();
            format!(
                "{:>2}  {}  {}",
                index + 1,
                self.style.bold(neutralise_line(&device.name)),
                self.style.dim(format!(
                    "{standing}since {}, {}",
                    output::day_and_clock(device.created_ms),
                    devices::seen(device)
                ))
            )
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        self.devices = devices.into_iter().map(|device| (device.id, device.name)).collect();
        self.say(text).await;
        Ok(())
    }

    async fn verify(&mut self, handle: &str) -> Result<()> {
        let user = verify::find(&self.client, handle).await?;
        let safety = verify::safety(&self.client, user, handle).await?;
        self.compared = Some((user, safety.number));
        self.say(verify::show(handle, &safety, self.style)).await;
        Ok(())
    }

    async fn verified(&self) -> Result<()> {
        let Some((user, number)) = &self.compared else {
            anyhow::bail!("/verify HANDLE shows the number to compare first");
        };
        self.client.mark_verified(*user, number).await?;
        self.say("it is remembered as verified".to_owned()).await;
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

    pub(super) async fn say(&self, text: String) {
        self.tell(Done::Says(text)).await;
    }

    pub(super) async fn tell(&self, done: Done) {
        // The chat has ended: then nobody wants to know.
        let _ = self.results.send(done).await;
    }
}
