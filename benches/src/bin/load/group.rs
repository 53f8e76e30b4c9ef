//! One private group of many, each of them a whole client with its own state on disk: what it costs until all are in, until all have
//! read a message, and until all have followed a removal.

use std::{collections::HashSet, fs, path::Path, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aside_client::{
    Address, Client, ConversationId, Event, Events, Fingerprint, LogIn, Options, Strength,
    Transport, Trust, What, new_recovery_phrase, private, v1,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream::FuturesUnordered};
use indicatif::ProgressBar;

use crate::{
    Stage, crowd,
    report::{Meter, Report},
    target::{Door, Usage},
};

/// Whom the first client removes, so that a group has to have three.
const LEAST: usize = 3;
const WITHOUT: &str = "without the last";

/// The choices.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Members, each with one device
    #[arg(long, default_value_t = 200)]
    pub(crate) members: usize,
}

/// A client that runs, and what it tells.
struct Member {
    client: Client,
    events: Events,
}

impl Args {
    /// Plays it.
    pub(crate) async fn run(self, stage: &Stage) -> Result<Report> {
        ensure!(self.members >= LEAST, "a group of at least {LEAST}");
        let homes = tempfile::tempdir()?;
        let nobody = Usage::own()?;
        let joining = (0..self.members).map(|n| member(&stage.target.door, n, homes.path()));
        let mut members = crowd::each(&stage.bar, "clients", joining).await?;
        let mut report = Report::new("group");
        report.set("members", self.members);
        let outside = Usage::own()?;
        let meter = Meter::start(&stage.target)?;
        let id = members[0].client.create_group().await?.conversation;
        let mut group = Group { id, members: &mut members, report: &mut report, bar: &stage.bar };
        group.add_all().await?;
        // While those who came in still ask about each other, and later.
        group.say("message", "to all").await?;
        group.say("next_message", "to all, once more").await?;
        group.remove_last().await?;
        group.agree().await?;
        let inside = Usage::own()?;
        let grown = |from: Usage, to: Usage| to.pss_kib.saturating_sub(from.pss_kib) as f64;
        report.ratio("client_pss_kib", grown(nobody, outside), self.members as f64);
        report.ratio("client_pss_kib_of_group", grown(outside, inside), self.members as f64);
        meter.stop(&mut report)?;
        for member in members {
            member.client.close().await;
        }
        Ok(report)
    }
}

/// The group, and what there is to say of it. The first member made it.
struct Group<'a> {
    id: ConversationId,
    members: &'a mut [Member],
    report: &'a mut Report,
    bar: &'a ProgressBar,
}

impl Group<'_> {
    /// The first adds all others, as fast as that goes.
    async fn add_all(&mut self) -> Result<()> {
        let Self { id, bar, .. } = *self;
        let start = Moment::now()?;
        let (first, others) = self.members.split_first_mut().context("there are some")?;
        let users: Vec<_> = others.iter().map(|it| it.client.identity().user).collect();
        let adding = async {
            let adds = users.iter().map(|user| first.client.add_member(id, *user));
            adds.collect::<FuturesUnordered<_>>().try_collect::<()>().await?;
            anyhow::Ok(start.since.elapsed())
        };
        let comes = |event: &Event| {
            let Event::Private { conversation, what, .. } = event else { return false };
            *conversation == id && matches!(what, private::Event::Joined { .. })
        };
        let (accepted, ()) = tokio::try_join!(adding, all(bar, "members", others, comes))?;
        let epoch = first.client.health(id).await?.epoch.context("it is in the group")?;
        self.report.set("add_all_commits", epoch);
        self.report.ratio("add_all_accepted_ms", accepted.as_secs_f64(), 0.001);
        self.end("add_all", start)
    }

    /// The first says something, and all others read it.
    async fn say(&mut self, what: &str, text: &str) -> Result<()> {
        let start = Moment::now()?;
        let (first, others) = self.members.split_first_mut().context("there are some")?;
        first.client.send(self.id, text).await?;
        all(self.bar, "readers", others, |event| reads(event, text)).await?;
        self.end(what, start)
    }

    /// The first removes the last, and all others read what is said without it.
    async fn remove_last(&mut self) -> Result<()> {
        let start = Moment::now()?;
        let [first, stay @ .., last] = &mut *self.members else { bail!("too few") };
        first.client.remove_member(self.id, last.client.identity().user).await?;
        self.report.ratio("remove_accepted_ms", start.since.elapsed().as_secs_f64(), 0.001);
        first.client.send(self.id, WITHOUT).await?;
        all(self.bar, "followers", stay, |event| reads(event, WITHOUT)).await?;
        self.end("remove", start)
    }

    /// All but the last are in one state, or the run fails.
    async fn agree(&self) -> Result<()> {
        let [stay @ .., _] = &*self.members else { bail!("too few") };
        let mut states = HashSet::new();
        for member in stay {
            let state = member.client.health(self.id).await?;
            states.insert((state.epoch, state.fork_check.context("it is in the group")?));
        }
        ensure!(states.len() == 1, "they are in {} different states", states.len());
        Ok(())
    }

    /// How long it took all, and how much processor time each.
    fn end(&mut self, what: &str, start: Moment) -> Result<()> {
        let cpu_ms = Usage::own()?.cpu_ms - start.usage.cpu_ms;
        self.report.ratio(&format!("{what}_ms"), start.since.elapsed().as_secs_f64(), 0.001);
        let name = format!("{what}_cpu_ms_a_client");
        self.report.ratio(&name, cpu_ms as f64, self.members.len() as f64);
        Ok(())
    }
}

/// When something began, and what had been used by then.
struct Moment {
    since: Instant,
    usage: Usage,
}

impl Moment {
    fn now() -> Result<Self> {
        Ok(Self { since: Instant::now(), usage: Usage::own()? })
    }
}

async fn member(door: &Door, n: usize, homes: &Path) -> Result<Member> {
    let mut options = Options::new(Address {
        handle: Some(format!("member{n}")),
        host: "localhost".to_owned(),
        port: door.address.port(),
        transport: Transport::Tls,
    });
    let home = homes.join(n.to_string());
    fs::create_dir(&home)?;
    options.trust = Some(Trust::Fingerprint(Fingerprint::of(&door.certificate)));
    options.data_dir = Some(home);
    let password = "correct horse battery".to_owned().into();
    options.log_in = LogIn::Register { password, on_conflict: v1::OnConflict::Reject };
    let (client, events) = Client::connect(options).await?;
    client.begin_identity(&new_recovery_phrase(Strength::Bits128)).await?;
    // Its keys are with the server once what was asked after was answered.
    client.rooms(true).await?;
    Ok(Member { client, events })
}

/// Waits until each of them was told this.
async fn all(
    bar: &ProgressBar,
    what: &str,
    members: &mut [Member],
    wanted: impl Fn(&Event) -> bool,
) -> Result<()> {
    bar.reset();
    bar.set_length(members.len() as u64);
    bar.set_message(what.to_owned());
    let wanted = &wanted;
    let mut waiting: FuturesUnordered<_> = members
        .iter_mut()
        .map(|member| async move {
            loop {
                match member.events.next().await {
                    Some(event) if wanted(&event) => return Ok(()),
                    Some(_) => {}
                    None => bail!("a client ended"),
                }
            }
        })
        .collect();
    while waiting.next().await.transpose()?.is_some() {
        bar.inc(1);
    }
    Ok(())
}

fn reads(event: &Event, said: &str) -> bool {
    let Event::Entry(entry) = event else { return false };
    matches!(&entry.what, What::Message { text: Some(text), verified: true, .. } if text == said)
}
