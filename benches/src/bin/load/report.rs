//! What a run has to say: one line of JSON for programs, a table for people.

use std::{
    io::{self, Write as _},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use serde_json::{Map, Value};

use crate::{
    check::Tally,
    target::{Target, Usage},
};

/// The greatest latency told apart from greater ones.
const MAX_US: u64 = 600_000_000;

/// Latencies of all of a run's tasks, and the clock they are taken by.
#[derive(Debug)]
pub(crate) struct Latencies {
    epoch: Instant,
    histogram: Mutex<Histogram<u64>>,
}

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1, MAX_US, 3)?;
        Ok(Self { epoch: Instant::now(), histogram: Mutex::new(histogram) })
    }

    /// A moment on this clock, in microseconds.
    pub(crate) fn on_clock(&self, moment: Instant) -> u64 {
        micros(moment.saturating_duration_since(self.epoch))
    }

    /// What was due at that moment of the clock has happened now.
    pub(crate) fn happened(&self, due_us: u64) {
        self.record(micros(self.epoch.elapsed()).saturating_sub(due_us));
    }

    /// Takes a latency that was measured elsewhere.
    pub(crate) fn took(&self, latency: Duration) {
        self.record(micros(latency));
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.histogram.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn record(&self, us: u64) {
        self.histogram.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(us);
    }

    /// The latency that so many in a hundred do not exceed, in milliseconds.
    fn percentile(&self, percent: f64) -> f64 {
        let histogram = self.histogram.lock().unwrap_or_else(PoisonError::into_inner);
        histogram.value_at_percentile(percent) as f64 / 1000.0
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A run's figures, in the order they were set.
#[derive(Debug)]
pub(crate) struct Report(Map<String, Value>);

impl Report {
    /// Nothing but the workload's name.
    pub(crate) fn new(workload: &str) -> Self {
        Self(Map::from_iter([("workload".to_owned(), workload.into())]))
    }

    /// A figure; its name ends in its unit.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// A quotient to three places.
    pub(crate) fn ratio(&mut self, name: &str, dividend: f64, divisor: f64) {
        let quotient = if divisor > 0.0 { dividend / divisor } else { 0.0 };
        self.set(name, (quotient * 1000.0).round() / 1000.0);
    }

    /// Percentiles, their names after this prefix.
    pub(crate) fn latencies(&mut self, prefix: &str, latencies: &Latencies) {
        for (name, percent) in [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p999", 99.9)] {
            self.set(&format!("{prefix}{name}_ms"), latencies.percentile(percent));
        }
        self.set(&format!("{prefix}max_ms"), latencies.percentile(100.0));
    }

    /// What became of messages. [`Self::judge`] holds it to be clean.
    pub(crate) fn tally(&mut self, tally: Tally) {
        self.set("received", tally.received);
        self.set("lost", tally.lost);
        self.set("duplicates", tally.duplicates);
        self.set("reordered", tally.reordered);
        self.set("clean", tally.is_clean());
    }

    /// Prints the line to stdout and the table to stderr.
    pub(crate) fn print(&self) -> Result<()> {
        let mut table = io::stderr().lock();
        let width = self.0.keys().map(String::len).max().unwrap_or(0);
        for (name, value) in &self.0 {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            writeln!(table, "{:<width$}  {value:>14}", name.replace('_', " "))?;
        }
        Ok(writeln!(io::stdout().lock(), "{}", Value::Object(self.0.clone()))?)
    }

    /// Fails if a message was lost, came twice or out of order.
    pub(crate) fn judge(&self) -> Result<()> {
        if self.0.get("clean") == Some(&Value::Bool(false)) {
            bail!("not every message came once and in order");
        }
        Ok(())
    }
}

/// Time and the server's resources between two moments.
pub(crate) struct Meter<'a> {
    target: &'a Target,
    before: Usage,
    start: Instant,
}

/// What passed between them.
pub(crate) struct Spent {
    /// Time.
    pub(crate) seconds: f64,
    /// The server's processor time.
    pub(crate) cpu_seconds: f64,
    /// The server's memory at the end.
    pub(crate) pss_kib: u64,
}

impl<'a> Meter<'a> {
    /// Starts.
    pub(crate) fn start(target: &'a Target) -> Result<Self> {
        Ok(Self { target, before: target.usage()?, start: Instant::now() })
    }

    /// What passed until now.
    pub(crate) fn spent(&self) -> Result<Spent> {
        let seconds = self.start.elapsed().as_secs_f64();
        let after = self.target.usage()?;
        let cpu_seconds = (after.cpu_ms - self.before.cpu_ms) as f64 / 1000.0;
        Ok(Spent { seconds, cpu_seconds, pss_kib: after.pss_kib })
    }

    /// What passed until now, and reports it.
    pub(crate) fn stop(self, report: &mut Report) -> Result<Spent> {
        let spent = self.spent()?;
        report.ratio("seconds", spent.seconds, 1.0);
        report.set("server_cpu_s", spent.cpu_seconds);
        report.set("server_pss_before_kib", self.before.pss_kib);
        report.set("server_pss_kib", spent.pss_kib);
        report.set("server_pss_grown_kib", spent.pss_kib.saturating_sub(self.before.pss_kib));
        Ok(spent)
    }
}
