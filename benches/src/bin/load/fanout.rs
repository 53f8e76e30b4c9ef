//! One room of many, of whom one or a few speak: when has each member each message?

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    Stage,
    check::Tally,
    crowd,
    member::{Member, Pace, Script},
    report::{Latencies, Meter, Report, Spent},
    schedule::Schedule,
};

/// The choices.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Members, speakers included
    #[arg(long, default_value_t = 1000)]
    pub(crate) members: usize,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    speakers: u32,
    /// Messages a second, of all speakers together
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Let each speaker have so many messages unacknowledged, in place of a rate
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    window: Option<u32>,
    /// How long they speak
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Bytes of a message's payload
    #[arg(long, default_value_t = 256)]
    payload: usize,
}

impl Args {
    /// Plays it.
    pub(crate) async fn run(self, stage: &Stage) -> Result<Report> {
        let speakers = usize::try_from(self.speakers)?;
        ensure!(speakers <= self.members, "{speakers} speakers are not among the members");
        let (owner, away) = crowd::gathering(stage, self.members.saturating_sub(1)).await?;
        let mut members = crowd::back(stage, away).await?;
        members.push(owner);
        let latencies = (Arc::new(Latencies::new()?), Arc::new(Latencies::new()?));
        let meter = Meter::start(&stage.target)?;
        let start = Instant::now() + Duration::from_millis(100);
        // The last to come speak: of them the owner is one.
        let first = members.len() - speakers;
        let turns = members.into_iter().enumerate().map(|(n, member)| {
            let speaker = n.checked_sub(first).and_then(|n| u32::try_from(n).ok());
            let script = speaker.map(|speaker| self.script(speaker, start, &latencies));
            take_part(member, script, speakers, Arc::clone(&latencies.0))
        });
        let outcomes = crowd::at_once(&stage.bar, "members", turns).await?;
        let mut report = Report::new("fanout");
        let spent = meter.stop(&mut report)?;
        self.report(&mut report, outcomes, &spent);
        report.latencies("", &latencies.0);
        report.latencies("ack_", &latencies.1);
        Ok(report)
    }

    fn script(
        &self,
        speaker: u32,
        start: Instant,
        (arrivals, acks): &(Arc<Latencies>, Arc<Latencies>),
    ) -> Script {
        let schedule = Schedule { start, rate: self.rate, speakers: self.speakers, speaker };
        let end = start + Duration::from_secs(self.seconds.into());
        let (pace, count, until) = match self.window {
            Some(window) => (Pace::Window(window as usize), u32::MAX, Some(end)),
            None => (Pace::OnTime(schedule), schedule.count(self.seconds), None),
        };
        Script {
            speaker,
            pace,
            count,
            until,
            payload_bytes: self.payload,
            arrivals: Arc::clone(arrivals),
            acks: Arc::clone(acks),
        }
    }

    fn report(&self, report: &mut Report, outcomes: Vec<(Tally, u64)>, spent: &Spent) {
        let mut all = Tally::default();
        outcomes.iter().for_each(|(tally, _)| all.add(*tally));
        report.set("members", self.members);
        report.set("speakers", self.speakers);
        report.set("messages", outcomes.first().map(|(tally, _)| tally.received + tally.lost));
        report.ratio("deliveries_a_second", all.received as f64, spent.seconds);
        report.ratio("server_cpu_us_a_delivery", spent.cpu_seconds * 1e6, all.received as f64);
        report.set("gaps", outcomes.iter().map(|(_, gaps)| gaps).sum::<u64>());
        // Loss of a speaker's every message, or of its last, ends the run instead.
        report.tally(all);
    }
}

/// One member's part. Returns what it saw, and how many gaps.
async fn take_part(
    mut member: Member,
    script: Option<Script>,
    speakers: usize,
    arrivals: Arc<Latencies>,
) -> Result<(Tally, u64)> {
    if let Some(script) = script {
        member.speak(&script).await?;
    }
    member.listen(speakers, |stamp| arrivals.happened(stamp.due_us)).await?;
    Ok((member.tally(), member.gaps()))
}
