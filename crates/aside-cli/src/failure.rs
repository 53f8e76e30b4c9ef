//! How a failure is told: one sentence, what to do about it, and an exit code.

use std::{
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

use aside_client::{
    ApprovalEnd, Error, StateError, TlsError, display::neutralise_line, private::GoalError,
};

pub(crate) const FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const REFUSED: u8 = 4;
const UNTRUSTED: u8 = 5;

/// Something failed that was said already; with the exit code that it alone would have had.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) sentence: String,
    pub(crate) code: u8,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Said {}

/// The user has said what can't be meant.
pub(crate) fn usage(sentence: &str) -> anyhow::Error {
    Said { sentence: sentence.to_owned(), code: USAGE }.into()
}

/// The exit code of a failure.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    match (error.downcast_ref::<Said>(), error.downcast_ref::<Error>()) {
        (Some(said), _) => said.code,
        (None, Some(error)) => code(error),
        (None, None) => FAILED,
    }
}

/// Writes what went wrong to stderr, and gives the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        // Whoever read has read enough.
        return ExitCode::SUCCESS;
    }
    let mut stderr = io::stderr().lock();
    // Nobody is left to be told if this fails.
    for (number, line) in sentence(error).lines().enumerate() {
        let begin = if number == 0 { "aside: " } else { "       " };
        let _ = writeln!(stderr, "{begin}{}", neutralise_line(line));
    }
    if let Some(remedy) = error.downcast_ref::<Error>().and_then(Error::remedy) {
        let _ = writeln!(stderr, "       {}", neutralise_line(&remedy));
    }
    ExitCode::from(code_of(error))
}

/// The error and its causes, each once: many an error says its cause in its own text already.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if sentence.is_empty() {
            sentence = cause;
        } else if !sentence.contains(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    sentence
}

/// A failure in one line, for those who go on after it.
pub(crate) fn line(error: &Error) -> String {
    let sentence = match error.remedy() {
        Some(remedy) => format!("{}. {remedy}", error.to_string().trim_end_matches('.')),
        None => error.to_string(),
    };
    neutralise_line(&sentence).into_owned()
}

pub(crate) fn code(error: &Error) -> u8 {
    match error {
        Error::Tls(TlsError::FingerprintChanged { .. } | TlsError::Untrusted { .. })
        | Error::Violation(_)
        | Error::PayloadDiffers(_)
        | Error::DeviceLog(_)
        | Error::DeviceLogInvalid { .. }
        | Error::DigitsDiffer
        | Error::ApprovalEnded(
            ApprovalEnd::Different
            | ApprovalEnd::Invalid
            | ApprovalEnd::TwoAnswers
            | ApprovalEnd::Reveal(_)
            | ApprovalEnd::OtherDevice,
        )
        | Error::Tampered => UNTRUSTED,
        Error::Tls(TlsError::Unreachable { .. } | TlsError::Handshake { .. })
        | Error::WebSocket(_)
        | Error::Unanswered
        | Error::Closed(_) => UNREACHABLE,
        Error::PasswordNeeded(_)
        | Error::Login(_)
        | Error::Refused(_)
        | Error::Goal(GoalError::Refused(_))
        | Error::OtherAccount { .. } => REFUSED,
        _ => FAILED,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    match error.downcast_ref::<Error>() {
        Some(Error::State(StateError::Io { .. }) | Error::Tls(_)) => false,
        _ => error.downcast_ref::<io::Error>().is_some_and(broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let refused = || io::Error::other("connection refused");
        let whole = anyhow::Error::new(refused()).context("can't reach x: connection refused");
        assert_eq!(sentence(&whole), "can't reach x: connection refused");
        let short = anyhow::Error::new(refused()).context("can't reach x");
        assert_eq!(sentence(&short), "can't reach x: connection refused");
    }
}
