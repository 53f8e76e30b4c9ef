//! The transcript: what is done, what each saw, and whether it is as it was to be.

use std::{fmt::Display, io};

use crate::output::{self, Style};

/// Writes the transcript, and counts what went otherwise than stated.
pub(super) struct Stage {
    style: Style,
    scenes: u32,
    failures: u32,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self { style: Style::of_stdout(), scenes: 0, failures: 0 }
    }

    /// A new scene.
    pub(super) fn scene(&mut self, title: &str) -> io::Result<()> {
        self.scenes += 1;
        output::line(format!("\n{}", self.style.bold(format!("{}. {title}", self.scenes))))
    }

    /// What somebody does or sees.
    pub(super) fn note(&self, who: &str, what: impl Display) -> io::Result<()> {
        output::line(format!("   {who:<7} {what}"))
    }

    /// What must hold.
    pub(super) fn check(&mut self, holds: bool, what: impl Display) -> io::Result<()> {
        if holds {
            return output::line(self.style.dim(format!("   ok      {what}")));
        }
        self.failures += 1;
        output::line(self.style.warning(format!("   FAILED  {what}")))
    }

    /// How many things went otherwise than stated.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}
