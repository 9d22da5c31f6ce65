//! What is shown again and again, until somebody has seen enough.
//!
//! On a terminal a text is drawn anew in the same place, and `q` ends it as Ctrl-C does; elsewhere it is printed anew.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::commands::Outcome;
use crate::failure::{Exit, Failure};
use crate::interrupt::{Ends, Interrupts};
use crate::output::Output;
use crate::render::table;

/// The pause between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// Prints every 2 s; `print` says whether somebody still reads.
pub(crate) async fn stream(mut print: impl AsyncFnMut() -> Result<bool, Failure>) -> Outcome {
    let mut interrupts = Interrupts::new()?;
    let mut tick = ticks();
    loop {
        let printed = async {
            tick.tick().await;
            print().await
        };
        tokio::select! {
            reads = printed => if !reads? {
                return Ok(Exit::Ok);
            },
            () = interrupts.pressed() => return Ok(Exit::Interrupted),
        }
    }
}

/// Shows a text that is made anew every 2 s.
pub(crate) async fn screen(
    mut text: impl AsyncFnMut() -> Result<String, Failure>,
    output: &Output,
) -> Outcome {
    if !output.redraws {
        return stream(async || Ok(output.stream(&text().await?))).await;
    }
    let mut interrupts = Interrupts::new()?;
    let mut ends = Ends::new()?;
    let mut last = text().await?;
    let mut lost = None;
    let mut terminal = Terminal::new();
    let mut tick = ticks();
    tick.reset();
    loop {
        let foot = lost.as_deref().unwrap_or("every 2s, q ends");
        if !terminal.draw(&format!("{last}\n{}", output.dim(foot))) {
            return Ok(Exit::Ok);
        }
        let next = async {
            tick.tick().await;
            text().await
        };
        tokio::select! {
            next = next => match next {
                Ok(text) => (last, lost) = (text, None),
                // It may come back; what it said last is better than nothing.
                Err(failure) => lost = Some(format!("{}; this is what was seen last", failure.title)),
            },
            () = interrupts.pressed() => return Ok(Exit::Interrupted),
            () = ends.asked() => return Ok(Exit::Interrupted),
            () = terminal.quit() => return Ok(Exit::Ok),
        }
    }
}

fn ticks() -> Interval {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// The user's terminal, which gives each key at once and hides its cursor for as long as this lives.
struct Terminal {
    keys: Option<Keys>,
    /// Lines that were drawn.
    drawn: usize,
}

/// Where keys come from, and how that was read before.
struct Keys {
    from: Receiver,
    before: Termios,
}

impl Terminal {
    fn new() -> Self {
        print_raw("\x1b[?25l");
        // Without keys Ctrl-C is enough.
        Self { keys: Keys::new().ok(), drawn: 0 }
    }

    /// Draws a text over the one before. False: there is no terminal any more.
    fn draw(&mut self, text: &str) -> bool {
        let (frame, drawn) = frame(text, self.drawn, table::height());
        self.drawn = drawn;
        print_raw(&frame)
    }

    /// Waits for `q`. Cancellation safe: a key that nobody waits for is read by the next call.
    async fn quit(&mut self) {
        if let Some(keys) = &mut self.keys {
            let mut typed = [0; 16];
            while let Ok(count @ 1..) = keys.from.read(&mut typed).await {
                if typed.iter().take(count).any(|key| matches!(key, b'q' | b'Q')) {
                    return;
                }
            }
        }
        std::future::pending::<()>().await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        print_raw("\x1b[?25h");
    }
}

impl Keys {
    /// Opens the terminal a second time, so that whoever shares standard input never sees it changed.
    fn new() -> std::io::Result<Self> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).map_err(std::io::Error::other)?;
        let open = |path: &str| File::options().read(true).custom_flags(flags).open(path);
        // A terminal that controls no session, as some tools give to what they run, has no other name.
        let terminal = open("/dev/tty").or_else(|_| open("/dev/stdin"))?;
        let keys = Self { before: tcgetattr(&terminal)?, from: Receiver::from_file_unchecked(terminal)? };
        let mut each = keys.before.clone();
        each.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&keys.from, OptionalActions::Now, &each)?;
        Ok(keys)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that went away needs nothing.
        tcsetattr(&self.from, OptionalActions::Now, &self.before).ok();
    }
}

/// A text over one of `above` lines, cut to a terminal of `height` rows; and how many lines it has.
fn frame(text: &str, above: usize, height: usize) -> (String, usize) {
    let lines: Vec<&str> = text.lines().collect();
    let room = height.saturating_sub(1).max(2);
    let cut = lines.len().saturating_sub(room);
    let shown: Vec<&str> = match lines.split_last() {
        // The last line says how to end it.
        Some((last, rest)) if cut > 0 => rest.iter().take(room - 1).chain([last]).copied().collect(),
        _ => lines,
    };
    // Without wrapping, so that a line stays one row.
    let mut frame = String::from("\x1b[?7l");
    if above > 0 {
        frame.push_str(&format!("\x1b[{above}A"));
    }
    for line in &shown {
        frame.push_str(&format!("\r{line}\x1b[K\n"));
    }
    frame.push_str("\x1b[J\x1b[?7h");
    (frame, shown.len())
}

/// Writes what moves the cursor as it is, whatever is thought of colours.
fn print_raw(text: &str) -> bool {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_drawn_over_the_one_before() {
        let (first, lines) = frame("a\nb", 0, 24);
        assert_eq!((first.as_str(), lines), ("\x1b[?7l\ra\x1b[K\n\rb\x1b[K\n\x1b[J\x1b[?7h", 2));
        let (second, _) = frame("c", lines, 24);
        assert_eq!(second, "\x1b[?7l\x1b[2A\rc\x1b[K\n\x1b[J\x1b[?7h");
    }

    #[test]
    fn a_text_that_is_too_long_keeps_its_last_line() {
        let (frame, lines) = frame("1\n2\n3\n4\nend", 0, 4);
        assert_eq!(lines, 3);
        assert!(frame.contains("\r2") && !frame.contains("\r3") && frame.contains("\rend"), "{frame:?}");
    }
}
