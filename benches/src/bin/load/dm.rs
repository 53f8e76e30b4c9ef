//! Messages in rooms of two, each pair as fast as its window of unacknowledged messages allows: a closed loop. What is its throughput?

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    Stage, crowd,
    member::{Pace, Script, converse},
    report::{Latencies, Meter, Report},
};

/// The choices.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rooms of two
    #[arg(long, default_value_t = 100)]
    pub(crate) pairs: usize,
    /// Messages of a pair that may wait for their acknowledgement
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    window: u32,
    /// Stop after so many seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Messages of a pair, at most
    #[arg(long, default_value_t = 100_000)]
    messages: u32,
    /// Bytes of a message's payload
    #[arg(long, default_value_t = 256)]
    payload: usize,
}

impl Args {
    /// Plays it.
    pub(crate) async fn run(self, stage: &Stage) -> Result<Report> {
        let mut report = Report::new("dm");
        let pairs = crowd::pairs(stage, self.pairs.max(1)).await?;
        let script = Script {
            speaker: 0,
            pace: Pace::Window(usize::try_from(self.window)?),
            count: self.messages,
            until: Some(Instant::now() + Duration::from_secs(self.seconds.into())),
            payload_bytes: self.payload,
            arrivals: Arc::new(Latencies::new()?),
            acks: Arc::new(Latencies::new()?),
        };
        let (arrivals, acks) = (Arc::clone(&script.arrivals), Arc::clone(&script.acks));
        let meter = Meter::start(&stage.target)?;
        let talks = pairs.into_iter().map(|(alice, bob)| converse(alice, bob, script.clone()));
        let tally = crowd::at_once(&stage.bar, "talks", talks).await?;
        report.set("pairs", self.pairs);
        report.set("window", self.window);
        let spent = meter.stop(&mut report)?;
        crowd::report_talks(&mut report, tally, spent, (&arrivals, &acks));
        Ok(report)
    }
}
