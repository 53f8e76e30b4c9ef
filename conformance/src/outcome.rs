//! What became of a script, and how it is told.

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;

use crate::spec;

/// What became of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// Every check passed, and there was at least one.
    #[serde(rename = "PASS")]
    Pass,
    /// The server broke a requirement.
    #[serde(rename = "FAIL")]
    Fail,
    /// It is known to fail, and did.
    #[serde(rename = "XFAIL")]
    KnownFailure,
    /// It is known to fail, and passed: the knowledge is out of date.
    #[serde(rename = "XPASS")]
    UnexpectedPass,
    /// It needs what the target does not claim.
    #[serde(rename = "N/A")]
    NotApplicable,
    /// The target can't be brought into the state.
    #[serde(rename = "UNTESTABLE")]
    Untestable,
    /// The script or the harness is at fault.
    #[serde(rename = "ERROR")]
    Error,
}

impl Outcome {
    /// As reports write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::KnownFailure => "XFAIL",
            Self::UnexpectedPass => "XPASS",
            Self::NotApplicable => "N/A",
            Self::Untestable => "UNTESTABLE",
            Self::Error => "ERROR",
        }
    }

    /// Whether a run in which it occurs has not gone well.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Fail | Self::UnexpectedPass | Self::Error)
    }
}

/// What is reported of one script.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// `area/id`.
    pub name: String,
    /// What the script shows.
    pub title: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, if it did not simply pass.
    pub reason: String,
    /// Requirements that it cites.
    pub cites: Vec<String>,
    /// Requirements cited by checks that passed.
    pub passed: Vec<String>,
    /// Requirements that were broken.
    pub broken: Vec<String>,
    /// How many checks passed.
    pub checks: usize,
    /// Whether it failed since nothing came before the deadline.
    pub by_deadline: bool,
    /// How long it took, in milliseconds.
    #[serde(rename = "milliseconds", serialize_with = "milliseconds")]
    pub took: Duration,
    /// The last frames of each actor, if it failed.
    pub transcripts: Vec<(String, Vec<String>)>,
}

fn milliseconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

impl Record {
    /// The whole story, for people.
    #[must_use]
    pub fn story(&self, replay: &str) -> String {
        let mut story = format!("{} {}: {}\n", self.outcome.name(), self.name, self.title);
        for id in &self.broken {
            let _ = writeln!(
                story,
                "  [{id}] {}",
                spec::sentence(id).unwrap_or("(no such requirement)")
            );
        }
        let _ = writeln!(story, "  {}", self.reason.replace('\n', "\n  "));
        for (actor, frames) in &self.transcripts {
            let _ = writeln!(story, "  last frames of {actor}:");
            for frame in frames {
                let _ = writeln!(story, "    {frame}");
            }
        }
        let _ = write!(story, "  again: {replay}");
        story
    }
}
