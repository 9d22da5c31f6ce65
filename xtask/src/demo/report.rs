//! What the demo has seen.

use std::time::Duration;

use serde_json::json;

/// What the demo has seen.
#[derive(Debug)]
pub(super) struct Report {
    /// `docker` or `process`.
    pub(super) runtime: &'static str,
    /// Requests of the load from v1 over v2 back to v1.
    pub(super) requests_sent: u64,
    /// Those of them without their whole and right answer.
    pub(super) requests_failed: u64,
    pub(super) failures: Vec<String>,
    /// From the command to the first answer of the new version.
    pub(super) swap: Duration,
    pub(super) rollback: Duration,
    /// Requests of the load that failed while app and daemon were killed.
    pub(super) failed_during_kills: u64,
    /// From the kill to the next good answer.
    pub(super) app_recovery: Duration,
    pub(super) daemon_recovery: Duration,
    /// What to type next.
    pub(super) play_on: Vec<String>,
}

impl Report {
    /// Prints it on stdout: one JSON object, or lines for people.
    pub(super) fn show(&self, as_json: bool) {
        if as_json {
            println!("{}", self.json());
        } else {
            print!("{}", self.lines());
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "v": 1,
            "runtime": self.runtime,
            "requests_sent": self.requests_sent,
            "requests_failed": self.requests_failed,
            "swap_ms": ms(self.swap),
            "rollback_ms": ms(self.rollback),
            "failed_during_kills": self.failed_during_kills,
            "app_recovery_ms": ms(self.app_recovery),
            "daemon_recovery_ms": ms(self.daemon_recovery),
        })
    }

    fn lines(&self) -> String {
        let mut lines = format!(
            "\n  requests in the swaps    {} sent, {} failed\n",
            self.requests_sent, self.requests_failed
        );
        for failure in self.failures.iter().take(5) {
            lines.push_str(&format!("                           {failure}\n"));
        }
        lines.push_str(&format!(
            "  swap v1 → v2             {} ms from the command to the first answer of v2\n\
             \x20 rollback                 {} ms\n\
             \x20 app killed               answered again after {} ms\n\
             \x20 daemon killed            the app answered again after {} ms\n\
             \x20 failed in the kills      {} requests\n\
             \x20 ran as                   {}\n\nplay on:\n",
            ms(self.swap),
            ms(self.rollback),
            ms(self.app_recovery),
            ms(self.daemon_recovery),
            self.failed_during_kills,
            self.runtime,
        ));
        for command in &self.play_on {
            lines.push_str(&format!("  {command}\n"));
        }
        lines
    }
}

/// Whole milliseconds.
pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_the_promised_keys() {
        let report = Report {
            runtime: "process",
            requests_sent: 10,
            requests_failed: 0,
            failures: vec![],
            swap: Duration::from_millis(40),
            rollback: Duration::from_millis(30),
            failed_during_kills: 2,
            app_recovery: Duration::from_millis(7),
            daemon_recovery: Duration::from_millis(90),
            play_on: vec![],
        };
        let json = report.json();
        for (key, value) in
            [("requests_sent", 10), ("requests_failed", 0), ("swap_ms", 40), ("app_recovery_ms", 7)]
        {
            assert_eq!(json.get(key).unwrap(), value);
        }
        assert_eq!(json.get("runtime").unwrap(), "process");
    }
}
