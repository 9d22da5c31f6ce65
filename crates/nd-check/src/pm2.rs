//! Processes of PM2, through the `pm2` command.

use nd_types::Timestamp;
use serde::Deserialize;

use crate::command::{CommandError, LOOK, RESTART, ask};
use crate::finding::{Finding, Health, Kind, Usage, millis_since};

/// One process, as `pm2 jlist` writes it, as far as it is read.
#[derive(Clone, Debug, Deserialize)]
struct Process {
    name: String,
    pm_id: u64,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    monit: Monit,
    #[serde(default)]
    pm2_env: Env,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Monit {
    memory: u64,
    cpu: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Env {
    status: String,
    restart_time: u64,
    unstable_restarts: u64,
    pm_uptime: Option<i64>,
    exit_code: Option<i64>,
}

/// Looks at the processes of one name or number. `Ok(None)`: PM2 has none.
pub(crate) async fn look(name: &str) -> Result<Option<Finding>, CommandError> {
    let text = ask("pm2", &["jlist"], LOOK).await?;
    let processes = read(&text).map_err(|reason| CommandError::unexpected("pm2 jlist", &reason))?;
    Ok(finding(name, &processes))
}

/// Has PM2 restart the processes of one name or number.
pub(crate) async fn restart(name: &str) -> Result<(), CommandError> {
    ask("pm2", &["restart", name], RESTART).await.map(drop)
}

/// PM2 writes the list behind whatever else it has to say, each on lines of its own.
fn read(text: &str) -> Result<Vec<Process>, String> {
    let begins = |line: &&str| line.starts_with("[{") || line.trim_end() == "[]";
    let list = text.lines().rev().find(begins).ok_or("there is no list in it")?;
    serde_json::from_str(list).map_err(|error| error.to_string())
}

fn finding(name: &str, processes: &[Process]) -> Option<Finding> {
    let is_meant = |process: &Process| process.name == name || process.pm_id.to_string() == name;
    let mut parts: Vec<Finding> = processes.iter().filter(|process| is_meant(process)).map(one).collect();
    let title = format!("pm2:{name}");
    if parts.len() < 2 {
        return parts.pop().map(|only| Finding { name: title, ..only });
    }
    let worst = parts.iter().map(|part| part.health).max().unwrap_or(Health::Failed);
    let online = parts.iter().filter(|part| part.health == Health::Well).count();
    let state = format!("{online}/{} online", parts.len());
    let mut whole = Finding::new(Kind::Pm2, title, worst, state);
    whole.restarts = Some(parts.iter().filter_map(|part| part.restarts).sum());
    whole.cpu_percent = Some(parts.iter().filter_map(|part| part.cpu_percent).sum());
    let used_bytes = parts.iter().filter_map(|part| part.memory).map(|memory| memory.used_bytes).sum();
    whole.memory = Some(Usage { used_bytes, limit_bytes: None });
    whole.uptime_ms = parts.iter().filter_map(|part| part.uptime_ms).max();
    whole.parts = parts;
    Some(whole)
}

fn one(process: &Process) -> Finding {
    let env = &process.pm2_env;
    let (health, reason) = match env.status.as_str() {
        "online" => (Health::Well, None),
        "launching" | "waiting restart" | "stopping" => (Health::Busy, None),
        "errored" => {
            let exit = env.exit_code.map(|code| format!(", exit {code}")).unwrap_or_default();
            (Health::Failed, Some(format!("PM2 gave it up after {} restarts{exit}", env.unstable_restarts)))
        }
        _ => (Health::Failed, env.exit_code.map(|code| format!("exit {code}"))),
    };
    let runs = health == Health::Well;
    let name = format!("{}#{}", process.name, process.pm_id);
    let mut finding = Finding::new(Kind::Pm2, name, health, env.status.as_str());
    finding.reason = reason;
    finding.restarts = Some(env.restart_time);
    if runs {
        finding.pid = (process.pid > 0).then_some(process.pid);
        let started = env.pm_uptime.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        finding.uptime_ms = started.and_then(millis_since);
        finding.cpu_percent = Some(process.monit.cpu);
        finding.memory = Some(Usage { used_bytes: process.monit.memory, limit_bytes: None });
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As PM2 7.0.4 writes it, shortened; its daemon was not there yet.
    const LIST: &str = r#"
                        -------------
[PM2] Spawning PM2 daemon with pm2_home=/root/.pm2
[{"pid":6115,"name":"api","pm2_env":{"status":"online","restart_time":2,"pm_uptime":1795248338483,"unstable_restarts":0},"pm_id":0,"monit":{"memory":54878208,"cpu":14}},{"pid":0,"name":"api","pm2_env":{"status":"errored","restart_time":15,"unstable_restarts":15,"exit_code":1},"pm_id":1,"monit":{"memory":0,"cpu":0}},{"pid":7,"name":"web","pm2_env":{"status":"online"},"pm_id":2,"monit":{"memory":1,"cpu":0.5}}]
"#;

    #[test]
    fn a_name_stands_for_all_its_processes() {
        let found = finding("api", &read(LIST).unwrap()).unwrap();
        assert_eq!((found.health, found.state.as_str()), (Health::Failed, "1/2 online"));
        assert_eq!(found.parts.len(), 2);
        assert_eq!(found.parts[1].reason.as_deref(), Some("PM2 gave it up after 15 restarts, exit 1"));
        assert_eq!(found.restarts, Some(17));
    }

    #[test]
    fn a_process_is_found_by_its_number_too() {
        let found = finding("2", &read(LIST).unwrap()).unwrap();
        assert_eq!((found.name.as_str(), found.health, found.pid), ("pm2:2", Health::Well, Some(7)));
        assert!(finding("3", &read(LIST).unwrap()).is_none());
    }

    #[test]
    fn an_answer_without_a_list_is_no_empty_list() {
        assert!(read("[PM2][ERROR] something").is_err());
        assert!(read("[PM2] Spawning\n[]\n").unwrap().is_empty());
    }
}
