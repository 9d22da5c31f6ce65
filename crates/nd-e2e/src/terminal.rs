//! A terminal of one's own: a program runs in it, keys are typed, and its screen is read.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::wait::{until, until_some};
use crate::{Result, WAIT};

/// A program in a terminal.
pub struct Terminal {
    child: Child,
    /// Our end of the pseudo-terminal.
    end: File,
    /// Held open, so that the last words of the program are not lost with it.
    _slave: File,
    parser: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// Starts `program` in a terminal of so many rows and columns.
    ///
    /// # Errors
    /// When there is no pseudo-terminal, or the program cannot be started.
    pub fn start(
        program: &Path,
        words: &[&str],
        variables: &[(&str, &str)],
        size: (u16, u16),
    ) -> Result<Self> {
        let end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&end)?;
        unlockpt(&end)?;
        let path = ptsname(&end, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = File::from(rustix::fs::open(path.as_c_str(), flags, rustix::fs::Mode::empty())?);
        let (rows, columns) = size;
        tcsetwinsize(&end, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?;
        let mut command = Command::new(program);
        command.args(words).env("TERM", "xterm-256color").envs(variables.iter().copied());
        command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave.try_clone()?);
        let child = command.spawn().map_err(|error| format!("start {}: {error}", program.display()))?;
        let parser = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 1_000)));
        let end = File::from(end);
        let (mut from, into) = (end.try_clone()?, Arc::clone(&parser));
        let read = move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                locked(&into).process(bytes.get(..count).unwrap_or_default());
            }
        };
        thread::Builder::new().name("terminal".to_owned()).spawn(read)?;
        Ok(Self { child, end, _slave: slave, parser })
    }

    /// Types keys.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &str) -> Result {
        Ok(self.end.write_all(keys.as_bytes())?)
    }

    /// What stands on the screen, a line each row.
    #[must_use]
    pub fn screen(&self) -> String {
        locked(&self.parser).screen().contents()
    }

    /// Waits until this stands on the screen.
    ///
    /// # Errors
    /// When it does not within [`WAIT`], with what does.
    pub fn wait_for(&self, text: &str) -> Result {
        let seen = until(&format!("`{text}` on the screen"), WAIT, || self.screen().contains(text));
        seen.map(drop).map_err(|error| format!("{error}; there is\n{}", self.screen()).into())
    }

    /// Whether the program has the screen to itself.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        locked(&self.parser).screen().alternate_screen()
    }

    /// Whether the terminal is as a shell wants it: its own screen, a cursor, and lines that are edited and echoed.
    #[must_use]
    pub fn is_given_back(&self) -> bool {
        let parser = locked(&self.parser);
        let screen = parser.screen();
        let modes = tcgetattr(&self.end).map(|termios| termios.local_modes);
        let lines =
            modes.is_ok_and(|modes| modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        lines && !screen.alternate_screen() && !screen.hide_cursor()
    }

    /// The id of the program's process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }

    /// Waits for the end of the program.
    ///
    /// # Errors
    /// When it goes on longer than `within`, with what stands on the screen.
    pub fn wait_end(&mut self, within: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        let ended = until_some("the end of the program", within, || child.try_wait().ok().flatten());
        ended.map_err(|error| format!("{error}; there is\n{}", self.screen()).into())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

fn locked(parser: &Mutex<vt100::Parser>) -> MutexGuard<'_, vt100::Parser> {
    parser.lock().unwrap_or_else(PoisonError::into_inner)
}
