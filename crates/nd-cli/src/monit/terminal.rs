//! The user's terminal: taken over while a [`Screen`] lives, and given back however the program ends.

use std::io::{self, Stdout, stdout};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::draw::draw;
use super::state::State;
use crate::failure::Failure;

/// Whether the terminal is ours. A panic hook has no other way to know.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, taken over.
pub(super) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes the terminal over.
    pub(super) fn open() -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::failed(format!("take the terminal over: {error}"));
        give_back_on_panic();
        take().map_err(failed)?;
        match Terminal::new(CrosstermBackend::new(stdout())) {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                give_back();
                Err(failed(error))
            }
        }
    }

    /// Draws what has changed since the last time. False: there is no terminal any more.
    pub(super) fn draw(&mut self, state: &State) -> bool {
        self.0.draw(|frame| draw(state, frame)).is_ok()
    }

    /// Gives the terminal to the shell until it has us go on.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        let own = rustix::process::getpid();
        // Not SIGTSTP, which is watched for.
        rustix::process::kill_process(own, rustix::process::Signal::STOP)?;
        take()?;
        // A new one knows that nothing is drawn; the old one would ask the terminal where its cursor is.
        self.0 = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(stdout(), EnterAlternateScreen, Clear(ClearType::All))
}

/// Once, and only what was taken: a second time would move the cursor over what was printed since.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // A terminal that went away needs nothing.
        disable_raw_mode().ok();
        execute!(stdout(), LeaveAlternateScreen, Show).ok();
    }
}

/// What a panic says has to be printed where it is read.
fn give_back_on_panic() {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
    });
}
