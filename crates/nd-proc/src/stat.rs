//! One process, from `/proc/<pid>/stat`.

use std::fs;
use std::time::Duration;

/// One process at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its parent's number.
    pub parent: u32,
    /// Ended, and not yet waited for by its parent.
    pub zombie: bool,
    /// CPU time of the process and of the children it has waited for.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
    /// When it started, in clock ticks since boot: tells it from a later process of the same number.
    pub started: u64,
}

impl Process {
    /// The process `pid`, if there is one.
    #[must_use]
    pub fn read(pid: u32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        parse(pid, &text, rustix::param::clock_ticks_per_second(), rustix::param::page_size() as u64)
    }
}

/// The second field is the program's name in parentheses, which may itself hold spaces and parentheses; the third one
/// begins after the last closing one.
fn parse(pid: u32, text: &[u8], ticks_per_second: u64, page_bytes: u64) -> Option<Process> {
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(name_end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Numbered as in proc(5), where the state is field 3.
    let field = |number: usize| fields.get(number.checked_sub(3)?).copied();
    let number = |n: usize| field(n)?.parse::<u64>().ok();
    let ticks = (14..=17).filter_map(number).fold(0u64, u64::saturating_add);
    Some(Process {
        pid,
        parent: field(4)?.parse().ok()?,
        zombie: matches!(field(3)?, "Z" | "X"),
        cpu: Duration::from_millis(ticks.saturating_mul(1000) / ticks_per_second.max(1)),
        resident: number(24)?.saturating_mul(page_bytes),
        started: number(22)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = b"42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 12345 999 25 184467\n";
        let process = parse(42, text, 100, 4096).unwrap();
        let expected = Process {
            pid: 42,
            parent: 7,
            zombie: false,
            cpu: Duration::from_secs(1),
            resident: 25 * 4096,
            started: 12345,
        };
        assert_eq!(process, expected);
    }

    #[test]
    fn this_process_can_be_read() {
        let own = Process::read(std::process::id()).unwrap();
        assert!(own.resident > 0 && own.started > 0 && !own.zombie);
    }

    #[test]
    fn a_cut_line_is_no_process() {
        assert_eq!(parse(1, b"1 (init) S 0 1", 100, 4096), None);
        assert_eq!(parse(1, b"", 100, 4096), None);
    }
}
