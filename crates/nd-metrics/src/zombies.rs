//! Processes that have ended and whose parents have not asked how (`Z` in `/proc/PID/stat`, proc(5)).

use std::fs;

/// How many there are on this host; 0 where it cannot be asked.
pub(crate) fn count() -> u32 {
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let stats = pids
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|pid| fs::read(format!("/proc/{pid}/stat")).ok());
    u32::try_from(stats.filter(|stat| is_zombie(stat)).count()).unwrap_or(u32::MAX)
}

/// The state stands behind the program's name, which stands in parentheses and may hold some itself.
fn is_zombie(stat: &[u8]) -> bool {
    let name_end = stat.iter().rposition(|byte| *byte == b')');
    name_end.and_then(|end| stat.get(end + 2)) == Some(&b'Z')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_found_behind_any_name() {
        assert!(is_zombie(b"812 (node) Z 1 812"));
        assert!(is_zombie(b"812 (a) S (b) Z 1 812"));
        assert!(!is_zombie(b"812 (Z) S 1 812"));
        assert!(!is_zombie(b""));
    }
}
