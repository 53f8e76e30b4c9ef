//! The terminal: taken over at the start, and given back whatever happens.

use std::{
    io::{self, IsTerminal as _, Stdout, Write as _},
    panic,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, bail};
use crossterm::{
    cursor,
    event::{
        self, DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
        EnableFocusChange, EnableMouseCapture, Event, MouseEventKind,
    },
    execute,
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};
use ratatui::backend::CrosstermBackend;
use tokio::sync::{Notify, mpsc};

use super::update::Input;

/// Keys read ahead.
const READ_AHEAD: usize = 256;

/// Whether there is a terminal to take.
pub(super) fn check() -> Result<()> {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        bail!("aside tui needs a terminal; `aside chat` reads lines from anywhere");
    }
    Ok(())
}

/// Whether the terminal is to be given back.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A terminal that is given back when this is dropped.
pub(super) struct Screen {
    terminal: ratatui::Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal over. A panic, wherever it happens, gives it back first, and then tells `failed`.
    pub(super) fn take(failed: Arc<Notify>) -> Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
            failed.notify_one();
        }));
        TAKEN.store(true, Ordering::Relaxed);
        let screen = Self::open();
        if screen.is_err() {
            give_back();
        }
        screen
    }

    fn open() -> Result<Self> {
        terminal::enable_raw_mode().context("the terminal does not give its keys")?;
        execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableMouseCapture,
            EnableBracketedPaste,
            EnableFocusChange
        )?;
        Ok(Self { terminal: ratatui::Terminal::new(CrosstermBackend::new(io::stdout()))? })
    }

    /// Its columns and rows.
    pub(super) fn size(&self) -> Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Draws, unless a panic has given the terminal back meanwhile.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> Result<()> {
        if TAKEN.load(Ordering::Relaxed) {
            self.terminal.draw(draw)?;
        }
        Ok(())
    }

    /// Forgets what was drawn: all of it is drawn again.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.terminal.clear()?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Undoes all that was done to the terminal, once: a second time would move the cursor over what was written since.
fn give_back() {
    if !TAKEN.swap(false, Ordering::Relaxed) {
        return;
    }
    let mut stdout = io::stdout();
    // Where this fails there is no terminal any more.
    let _ = execute!(
        stdout,
        DisableFocusChange,
        DisableBracketedPaste,
        DisableMouseCapture,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = stdout.flush();
    let _ = terminal::disable_raw_mode();
}

/// Reads the terminal, by a thread that ends with the program.
pub(super) fn inputs() -> mpsc::Receiver<Input> {
    let (sender, inputs) = mpsc::channel(READ_AHEAD);
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            let input = match event {
                Event::Key(key) => Input::Key(key),
                Event::Paste(text) => Input::Paste(text),
                Event::Resize(columns, rows) => Input::Resize(columns, rows),
                Event::FocusGained => Input::Focus(true),
                Event::FocusLost => Input::Focus(false),
                // The mouse tells of each step it takes.
                Event::Mouse(mouse) if is_moving(mouse.kind) => continue,
                Event::Mouse(mouse) => Input::Mouse(mouse),
            };
            if sender.blocking_send(input).is_err() {
                return;
            }
        }
    });
    inputs
}

fn is_moving(kind: MouseEventKind) -> bool {
    matches!(kind, MouseEventKind::Moved | MouseEventKind::Drag(_) | MouseEventKind::Up(_))
}
