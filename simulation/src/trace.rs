//! What happened, for whoever reads it, and as one number, for whoever compares two runs.

use std::{
    collections::VecDeque,
    fmt::Display,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

/// Events that are shown of a run that broke an invariant.
const KEPT: usize = 60;

/// The events of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    hasher: DefaultHasher,
    events: VecDeque<String>,
    whole: bool,
    count: u64,
}

impl Trace {
    /// One that keeps all events, or the last ones.
    pub(crate) fn new(whole: bool) -> Self {
        Self { hasher: DefaultHasher::new(), events: VecDeque::new(), whole, count: 0 }
    }

    /// Notes an event.
    pub(crate) fn note(&mut self, now_ms: u64, event: impl Display) {
        let line = format!("{:>6} {:>9.3} s  {event}", self.count, now_ms as f64 / 1000.0);
        line.hash(&mut self.hasher);
        self.count += 1;
        self.events.push_back(line);
        if !self.whole && self.events.len() > KEPT {
            self.events.pop_front();
        }
    }

    /// Takes bytes into the hash that travelled with an event.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        bytes.hash(&mut self.hasher);
    }

    /// A hash of all events and bytes.
    pub(crate) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// How many events there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The events, or the last of them.
    pub(crate) fn into_events(self) -> Vec<String> {
        self.events.into()
    }
}
