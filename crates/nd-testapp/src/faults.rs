//! The faults that begin with the process, before it listens.

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{process, thread};

use crate::children;
use crate::settings::Settings;

/// Memory that is never given back.
static LEAKED: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

static SICK: AtomicBool = AtomicBool::new(false);

/// Starts every fault that `settings` asks for; does not return where the process is to exit at once.
///
/// # Errors
/// The system's error when a thread or a child cannot be started.
pub fn begin(settings: &Settings) -> io::Result<()> {
    for number in 0..settings.log_lines {
        log_line(number);
    }
    for number in 0..settings.binary_lines {
        binary_line(number);
    }
    if let Some(code) = settings.exit_code {
        die(code);
    }
    children::zombies(settings.zombies)?;
    children::sleepers(settings.children)?;
    if let Some(time) = settings.die_after {
        background("die", move || {
            thread::sleep(time);
            die(1);
        })?;
    }
    let leak = settings.leak_mb_per_s;
    if leak > 0 {
        background("leak", move || {
            loop {
                leak_mb(leak);
                thread::sleep(Duration::from_secs(1));
            }
        })?;
    }
    let lines = settings.flood_lines_per_s;
    if lines > 0 {
        let most = settings.flood_lines.unwrap_or(u64::MAX);
        background("flood", move || flood(lines, most))?;
    }
    Ok(())
}

/// From now on `/health` says so.
pub fn sicken() {
    SICK.store(true, Ordering::Relaxed);
}

/// Whether it was made sick.
#[must_use]
pub fn is_sick() -> bool {
    SICK.load(Ordering::Relaxed)
}

/// Keeps `count` MiB more, written to so that they are resident; gives the sum in MiB.
pub fn leak_mb(count: usize) -> usize {
    let mut leaked = LEAKED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    leaked.extend((0..count).map(|_| vec![0x5a; 1 << 20]));
    leaked.len()
}

/// Writes `line` to stdout. A reader that went away is no reason to stop.
pub fn say(line: &str) {
    io::stdout().lock().write_all(format!("{line}\n").as_bytes()).ok();
}

/// Ends the process with `code`, at once and from any thread.
#[allow(clippy::disallowed_methods, reason = "sudden ends are what this application is for")]
pub fn exit(code: u8) -> ! {
    process::exit(code.into())
}

/// Starts a thread that nobody joins: it ends with the process.
///
/// # Errors
/// The system's error when it has no more threads.
pub fn background(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // A connection needs little, and a thousand of them are to fit.
    thread::Builder::new().name(name.to_owned()).stack_size(256 * 1024).spawn(work).map(drop)
}

fn die(code: u8) -> ! {
    let message = format!(
        "Error: Cannot find module 'left-pad'\n    at Module._resolveFilename (testapp.js:{code}:15)\n    \
         at Function.start (testapp.js:42:7)\n    at main (testapp.js:1:1)\nexit code {code}\n"
    );
    io::stderr().lock().write_all(message.as_bytes()).ok();
    exit(code)
}

fn log_line(number: u64) {
    if number.is_multiple_of(2) {
        say(&format!("log line {number}"));
    } else {
        io::stderr().lock().write_all(format!("log line {number}\n").as_bytes()).ok();
    }
}

fn binary_line(number: u64) {
    let mut line = format!("binary line {number} ").into_bytes();
    line.extend_from_slice(b"\xff\xfe\x00\x1b[31m\x80\xc3\x28\n");
    io::stdout().lock().write_all(&line).ok();
}

/// Writes in ticks of 50 ms, so that a high rate does not need a wake-up for each line. A tick that was held up is made
/// up for: the rate holds.
fn flood(per_second: u64, most: u64) {
    const TICKS: u64 = 20;
    let begun = Instant::now();
    let mut number = 0_u64;
    for tick in 1_u64.. {
        let due = (tick * per_second / TICKS).min(most);
        let mut block = String::new();
        while number < due {
            block.push_str(&format!("flood line {number}\n"));
            number += 1;
        }
        io::stdout().lock().write_all(block.as_bytes()).ok();
        if number >= most {
            return;
        }
        let next = begun + Duration::from_millis(tick * 1000 / TICKS);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
