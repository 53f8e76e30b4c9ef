//! One private group of many, each of them a whole client with its own state on disk: what it costs until all are in, until all have
//! read a message, and until all have followed a removal.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aside_client::{
    Address, Client, ConversationId, Event, Events, Fingerprint, LogIn, Options, Strength,
    Transport, Trust, What, new_recovery_phrase, private, v1,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream::FuturesUnordered};

use crate::{
    Stage, crowd,
    report::{Meter, Report},
    target::{Door, Usage},
};

/// Whom the first client removes, so that a group has to have three.
const LEAST: usize = 3;

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

        let mut phase = Phase { report: &mut report, members: self.members };
        let group = members[0].client.create_group().await?.conversation;
        let (first, others) = members.split_first_mut().context("there are some")?;
        let users: Vec<_> = others.iter().map(|it| it.client.identity().user).collect();
        let start = Moment::now()?;
        let adds: FuturesUnordered<_> =
            users.iter().map(|user| first.client.add_member(group, *user)).collect();
        let comes = |event: &Event| {
            let Event::Private { conversation, what, .. } = event else { return false };
            *conversation == group && matches!(what, private::Event::Joined { .. })
        };
        let adding = async {
            adds.try_collect::<()>().await?;
            anyhow::Ok(start.since.elapsed())
        };
        let (accepted, _) = tokio::try_join!(adding, all(&stage.bar, "members", others, comes))?;
        phase.report.ratio("add_all_accepted_ms", accepted.as_secs_f64(), 0.001);
        phase.end("add_all", start)?;
        let commits = first.client.health(group).await?.epoch.unwrap_or_default();
        phase.report.set("epochs", commits);

        for text in ["to all", "to all, once more"] {
            let start = Moment::now()?;
            first.client.send(group, text).await?;
            all(&stage.bar, "readers", others, |event| reads(event, text)).await?;
            phase.end(&format!("message_{}", text.replace([',', ' '], "")), start)?;
        }

        let (last, stay) = others.split_last_mut().context("there are some")?;
        let start = Moment::now()?;
        first.client.remove_member(group, last.client.identity().user).await?;
        phase.report.ratio("remove_accepted_ms", start.since.elapsed().as_secs_f64(), 0.001);
        first.client.send(group, "without the last").await?;
        all(&stage.bar, "followers", stay, |event| reads(event, "without the last")).await?;
        phase.end("remove", start)?;
        let inside = Usage::own()?;
        let each = |from: Usage, to: Usage| (to.pss_kib - from.pss_kib.min(to.pss_kib)) as f64;
        report.ratio("client_pss_kib", each(nobody, outside), self.members as f64);
        report.ratio("client_pss_kib_of_group", each(outside, inside), self.members as f64);
        meter.stop(&mut report)?;
        report.set("epoch_authenticators_agree", agree(&members, group).await?);
        for member in members {
            member.client.close().await;
        }
        Ok(report)
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

struct Phase<'a> {
    report: &'a mut Report,
    members: usize,
}

impl Phase<'_> {
    /// How long it took all, and how much processor time each.
    fn end(&mut self, what: &str, start: Moment) -> Result<()> {
        self.report.ratio(&format!("{what}_ms"), start.since.elapsed().as_secs_f64(), 0.001);
        let cpu_ms = (Usage::own()?.cpu_ms - start.usage.cpu_ms) as f64;
        self.report.ratio(&format!("{what}_cpu_ms_a_client"), cpu_ms, self.members as f64);
        Ok(())
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
    bar: &indicatif::ProgressBar,
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

/// Whether all but the last are in one state.
async fn agree(members: &[Member], group: ConversationId) -> Result<bool> {
    let (_, stay) = members.split_last().context("there are some")?;
    let mut checks = Vec::with_capacity(stay.len());
    for member in stay {
        checks.push(member.client.health(group).await?.fork_check.context("it is in the group")?);
    }
    Ok(checks.windows(2).all(|pair| pair[0] == pair[1]))
}
