//! Where lines come from: a terminal, with editing and a prompt that what is printed does not run through; or a pipe, plainly.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    sync::mpsc as blocking,
    thread,
};

use anyhow::Result;
use aside_client::RecoveryPhrase;
use rustyline::{DefaultEditor, ExternalPrinter, error::ReadlineError};
use tokio::sync::mpsc;

/// Lines read ahead from a pipe.
const READ_AHEAD: usize = 16;

/// What came from standard input.
pub(super) enum Typed {
    Line(String),
    /// Ctrl-D, Ctrl-C, or the end of a pipe.
    End,
}

/// Standard input.
pub(super) struct Input {
    lines: mpsc::Receiver<String>,
    /// To a terminal's thread: show this prompt and read.
    prompts: Option<blocking::Sender<String>>,
}

/// Where lines are printed.
pub(super) enum Printer {
    /// Above the line that is being typed.
    Terminal(Box<dyn ExternalPrinter + Send>),
    Plain,
}

impl Printer {
    /// Prints lines; `text` does not end with a line feed.
    pub(super) fn print(&mut self, text: &str) -> Result<()> {
        match self {
            Self::Terminal(printer) => printer.print(format!("{text}\n"))?,
            Self::Plain => writeln!(io::stdout().lock(), "{text}")?,
        }
        Ok(())
    }
}

impl Input {
    /// Begins to read.
    pub(super) fn start() -> Result<(Self, Printer)> {
        let (sender, lines) = mpsc::channel(READ_AHEAD);
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            thread::spawn(move || read_plainly(&sender));
            return Ok((Self { lines, prompts: None }, Printer::Plain));
        }
        let mut editor = DefaultEditor::new()?;
        let printer = editor.create_external_printer()?;
        let (prompts, prompted) = blocking::channel();
        thread::spawn(move || read_from_terminal(&mut editor, &prompted, &sender));
        let input = Self { lines, prompts: Some(prompts) };
        Ok((input, Printer::Terminal(Box::new(printer))))
    }

    /// Whether somebody sits there.
    pub(super) fn is_interactive(&self) -> bool {
        self.prompts.is_some()
    }

    /// Lets the next line be typed, behind this prompt.
    pub(super) fn ready(&self, prompt: String) {
        if let Some(prompts) = &self.prompts {
            // The thread has ended if the user has: nothing more is read.
            let _ = prompts.send(prompt);
        }
    }

    /// The next line. May be dropped at any time.
    pub(super) async fn next(&mut self) -> Typed {
        self.lines.recv().await.map_or(Typed::End, Typed::Line)
    }
}

fn read_plainly(lines: &mpsc::Sender<String>) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        if lines.blocking_send(line).is_err() {
            return;
        }
    }
}

fn read_from_terminal(
    editor: &mut DefaultEditor,
    prompts: &blocking::Receiver<String>,
    lines: &mpsc::Sender<String>,
) {
    while let Ok(first) = prompts.recv() {
        // Only the newest prompt counts.
        let prompt = prompts.try_iter().last().unwrap_or(first);
        match editor.readline(&prompt) {
            Ok(line) => {
                // What is refused for a phrase in it is not brought back either.
                if !RecoveryPhrase::is_in(&line) {
                    // At worst it is not brought back.
                    let _ = editor.add_history_entry(&line);
                }
                if lines.blocking_send(line).is_err() {
                    return;
                }
            }
            Err(ReadlineError::Signal(_)) => {}
            Err(_) => return,
        }
    }
}
