//! Units of systemd, through `systemctl`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::command::{CommandError, LOOK, RESTART, ask};
use crate::finding::{Finding, Health, Kind, Usage};

/// What is asked of a unit (org.freedesktop.systemd1(5)).
const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,Result,Type,MainPID,NRestarts,MemoryCurrent,\
                          MemoryMax,ActiveEnterTimestampMonotonic,ExecMainStatus,ExecMainCode";

/// Looks at one unit. `Ok(None)`: systemd knows none of this name.
pub(crate) async fn look(unit: &str) -> Result<Option<Finding>, CommandError> {
    let text = ask("systemctl", &["show", PROPERTIES, "--", unit], LOOK).await?;
    Ok(finding(unit, &text))
}

/// Has systemd restart a unit. One that failed too often is forgiven first: it would refuse otherwise.
pub(crate) async fn restart(unit: &str, found: &Finding) -> Result<(), CommandError> {
    if found.state == "failed" {
        ask("systemctl", &["--no-ask-password", "reset-failed", "--", unit], LOOK).await?;
    }
    ask("systemctl", &["--no-ask-password", "restart", "--", unit], RESTART).await.map(drop)
}

fn finding(unit: &str, text: &str) -> Option<Finding> {
    let properties: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let get = |name: &str| properties.get(name).copied().unwrap_or_default();
    // The greatest number stands for no limit and for nothing known.
    let number = |name: &str| get(name).parse::<u64>().ok().filter(|number| *number < u64::MAX);
    let load = get("LoadState");
    if load == "not-found" || load.is_empty() {
        return None;
    }
    let active = get("ActiveState");
    let done = get("Type") == "oneshot" && get("Result") == "success" && active == "inactive";
    let health = match active {
        "active" | "reloading" => Health::Well,
        "activating" | "deactivating" => Health::Busy,
        _ if done => Health::Idle,
        _ => Health::Failed,
    };
    let runs = matches!(active, "active" | "reloading");
    let mut finding = Finding::new(Kind::Systemd, format!("systemd:{unit}"), health, active);
    if health == Health::Failed {
        finding.reason = Some(reason(load, get("SubState"), get("Result"), get("ExecMainStatus")));
    }
    finding.restarts = number("NRestarts");
    finding.pid = number("MainPID").and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
    finding.uptime_ms = number("ActiveEnterTimestampMonotonic").filter(|_| runs).and_then(uptime);
    finding.memory = number("MemoryCurrent")
        .map(|used_bytes| Usage { used_bytes, limit_bytes: number("MemoryMax") })
        .filter(|_| runs);
    Some(finding)
}

fn reason(load: &str, sub: &str, result: &str, status: &str) -> String {
    match (load, result) {
        ("masked", _) => "it is masked".to_owned(),
        ("loaded", "success") => format!("it is {sub}"),
        ("loaded", "exit-code") => format!("exit {status}"),
        ("loaded", "signal" | "core-dump") => format!("signal {status}"),
        ("loaded", result) => format!("{result}, exit {status}"),
        (load, _) => format!("its file is {load}"),
    }
}

/// Milliseconds since a time of the monotonic clock, in microseconds.
fn uptime(entered: u64) -> Option<u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?);
    let up = now.checked_sub(Duration::from_micros(entered))?;
    u64::try_from(up.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<Finding> {
        finding("nginx", &text.replace(' ', "\n"))
    }

    #[test]
    fn a_unit_is_well_while_it_is_active() {
        let found = shown("LoadState=loaded ActiveState=active SubState=running Result=success MainPID=812 NRestarts=3 MemoryCurrent=4096 MemoryMax=infinity")
            .unwrap();
        assert_eq!((found.health, found.state.as_str(), found.pid), (Health::Well, "active", Some(812)));
        assert_eq!(found.memory, Some(Usage { used_bytes: 4096, limit_bytes: None }));
        assert_eq!(found.restarts, Some(3));
    }

    #[test]
    fn a_unit_that_failed_says_how() {
        let failed = shown(
            "LoadState=loaded ActiveState=failed SubState=failed Result=exit-code ExecMainStatus=203 MainPID=0",
        )
        .unwrap();
        assert_eq!((failed.health, failed.reason.as_deref()), (Health::Failed, Some("exit 203")));
        let killed = shown("LoadState=loaded ActiveState=failed Result=oom-kill ExecMainStatus=9").unwrap();
        assert_eq!(killed.reason.as_deref(), Some("oom-kill, exit 9"));
        let signal = shown("LoadState=loaded ActiveState=failed Result=signal ExecMainStatus=9").unwrap();
        assert_eq!(signal.reason.as_deref(), Some("signal 9"));
        let stopped = shown("LoadState=loaded ActiveState=inactive SubState=dead Result=success").unwrap();
        assert_eq!((stopped.health, stopped.reason.as_deref()), (Health::Failed, Some("it is dead")));
    }

    #[test]
    fn a_unit_that_works_once_may_be_inactive() {
        let found = shown("LoadState=loaded ActiveState=inactive Result=success Type=oneshot").unwrap();
        assert_eq!(found.health, Health::Idle);
    }

    #[test]
    fn a_unit_that_systemd_has_no_file_of_is_unknown() {
        assert!(shown("LoadState=not-found ActiveState=inactive").is_none());
    }

    #[test]
    fn what_is_not_accounted_is_left_out() {
        let found = shown("LoadState=loaded ActiveState=active MemoryCurrent=18446744073709551615").unwrap();
        assert_eq!(found.memory, None);
    }
}
