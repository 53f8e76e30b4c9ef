//! Messages at a fixed rate in rooms of two: an open loop. Latency counts from when a message was due, so that a stall is not left out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    Stage, crowd,
    member::{Pace, Script, converse},
    report::{Latencies, Meter, Report},
    schedule::Schedule,
};

/// The choices.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 100)]
    pub(crate) clients: usize,
    /// Messages a second, in all
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Bytes of a message's payload
    #[arg(long, default_value_t = 256)]
    payload: usize,
}

impl Args {
    /// Plays it.
    pub(crate) async fn run(self, stage: &Stage) -> Result<Report> {
        let mut report = Report::new("rate");
        let pairs = crowd::pairs(stage, (self.clients / 2).max(1)).await?;
        let (arrivals, acks) = (Arc::new(Latencies::new()?), Arc::new(Latencies::new()?));
        let meter = Meter::start(&stage.target)?;
        let start = Instant::now() + Duration::from_millis(100);
        let speakers = u32::try_from(pairs.len())?;
        let talks = (0..speakers).zip(pairs).map(|(speaker, (alice, bob))| {
            let schedule = Schedule { start, rate: self.rate, speakers, speaker };
            let script = Script {
                speaker,
                pace: Pace::OnTime(schedule),
                count: schedule.count(self.seconds),
                until: None,
                payload_bytes: self.payload,
                arrivals: Arc::clone(&arrivals),
                acks: Arc::clone(&acks),
            };
            converse(alice, bob, script)
        });
        let tally = crowd::at_once(&stage.bar, "talks", talks).await?;
        report.set("clients", self.clients);
        let spent = meter.stop(&mut report)?;
        crowd::report_talks(&mut report, tally, spent, (&arrivals, &acks));
        Ok(report)
    }
}
