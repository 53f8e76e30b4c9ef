//! Clients that page through a long log, each as fast as the pages come.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    Stage,
    check::Tally,
    crowd,
    member::{Away, Member, Pace, Script},
    report::{Latencies, Meter, Report},
    target::Door,
};

/// Messages unacknowledged while the log is written: as many as a connection may have.
const WINDOW: usize = 64;

/// The choices.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 8)]
    pub(crate) clients: usize,
    /// Messages in the log
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    messages: u32,
    /// Read the log again and again for so many seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Bytes of a message's payload
    #[arg(long, default_value_t = 256)]
    payload: usize,
}

impl Args {
    /// Plays it.
    pub(crate) async fn run(self, stage: &Stage) -> Result<Report> {
        let mut report = Report::new("fetch");
        let (owner, readers) = crowd::gathering(stage, self.clients).await?;
        stage.bar.set_message("writing");
        let filling = self.fill(owner).await?;
        let pages = Arc::new(Latencies::new()?);
        let meter = Meter::start(&stage.target)?;
        let end = Instant::now() + Duration::from_secs(self.seconds.into());
        let reading = readers.into_iter().map(|reader| {
            read(stage.target.door.clone(), reader, self.messages, end, Arc::clone(&pages))
        });
        let mut tally = Tally::default();
        for seen in crowd::at_once(&stage.bar, "readers", reading).await? {
            tally.add(seen);
        }
        report.set("clients", self.clients);
        report.set("messages", self.messages);
        report.ratio("written_a_second", self.messages.into(), filling.as_secs_f64());
        let spent = meter.stop(&mut report)?;
        let received = tally.received as f64;
        report.ratio("entries_a_second", received, spent.seconds);
        report.ratio("pages_a_second", pages.len() as f64, spent.seconds);
        report.ratio("payload_mb_a_second", received * self.payload as f64 / 1e6, spent.seconds);
        report.ratio("server_cpu_us_an_entry", spent.cpu_seconds * 1e6, received);
        report.tally(tally);
        report.latencies("page_", &pages);
        Ok(report)
    }

    /// Writes the log; returns how long that took.
    async fn fill(&self, mut owner: Member) -> Result<Duration> {
        let latencies = Arc::new(Latencies::new()?);
        let start = Instant::now();
        let script = Script {
            speaker: 0,
            pace: Pace::Window(WINDOW),
            count: self.messages,
            until: None,
            payload_bytes: self.payload,
            arrivals: Arc::clone(&latencies),
            acks: latencies,
        };
        owner.speak(&script).await?;
        Ok(start.elapsed())
    }
}

/// Reads all of the log until the time is up, at least once, each time with a checker of its own.
async fn read(
    door: Door,
    reader: Away,
    messages: u32,
    end: Instant,
    pages: Arc<Latencies>,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut away = reader.clone();
    while tally.received == 0 || Instant::now() < end {
        let mut member = away.log_in(&door).await?;
        let mut asked = Instant::now();
        member
            .catch_up(|| {
                pages.took(asked.elapsed());
                asked = Instant::now();
            })
            .await?;
        let seen = member.tally();
        ensure!(seen.received + seen.lost == u64::from(messages), "a part of the log: {seen:?}");
        tally.add(seen);
        away = reader.clone();
    }
    Ok(tally)
}
