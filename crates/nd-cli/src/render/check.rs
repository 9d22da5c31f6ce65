//! What a look at everything found, as one table.

use nd_check::{Finding, Health, HostFigures, Kind, Report, Usage};

use super::table::{Column, Layouts, Text, Tone, cut, size};
use super::time;
use crate::output::Output;

/// One row of the table.
struct Row {
    name: String,
    state: Text,
    up: Option<String>,
    restarts: Option<u64>,
    pid: Option<u32>,
    cpu: Option<f64>,
    memory: Option<Usage>,
    ports: String,
    note: Text,
}

type Of = Column<Row>;

const NAME: Of = Column { name: "what", cell: |row| Text::plain(cut(&row.name, 34)) };
const SHORT_NAME: Of = Column { name: "what", cell: |row| Text::plain(cut(&row.name, 24)) };
const STATE: Of = Column { name: "state", cell: |row| row.state.clone() };
const UP: Of = Column { name: "up", cell: |row| Text::plain(row.up.clone().unwrap_or_default()) };
const RESTARTS: Of = Column {
    name: "↺",
    cell: |row| Text::plain(row.restarts.map(|count| count.to_string()).unwrap_or_default()),
};
const PID: Of =
    Column { name: "pid", cell: |row| Text::plain(row.pid.map(|pid| pid.to_string()).unwrap_or_default()) };
const CPU: Of = Column {
    name: "cpu",
    cell: |row| Text::plain(row.cpu.map(|cpu| format!("{cpu:.0}%")).unwrap_or_default()),
};
const MEMORY: Of =
    Column { name: "mem/disk", cell: |row| Text::plain(row.memory.map(usage).unwrap_or_default()) };
const PORTS: Of = Column { name: "port", cell: |row| Text::plain(cut(&row.ports, 40)) };
const NOTE: Of = Column { name: "note", cell: |row| row.note.clone() };

const LAYOUTS: Layouts<Row> = Layouts {
    columns: &[
        &[NAME, STATE, UP, RESTARTS, PID, CPU, MEMORY, PORTS],
        &[SHORT_NAME, STATE, UP, RESTARTS, CPU, MEMORY],
        &[SHORT_NAME, STATE],
    ],
    last: NOTE,
};

/// From this much in use on, a disk or the memory is worth a look.
const FULL: u64 = 90;

/// Open ports are named in rows of this many columns.
const LIST: usize = 60;

/// The table, and a last line that counts.
pub(crate) fn table(report: &Report, width: usize, output: &Output) -> String {
    let mut rows = Vec::new();
    report.targets.iter().for_each(|finding| add(finding, 0, &mut rows));
    for worker in &report.workers {
        add(worker, usize::from(worker.name != "nextdeployd"), &mut rows);
    }
    host(&report.host, &mut rows);
    format!("{}\n{}", LAYOUTS.table(&rows, width, output), count(report, output))
}

/// `15:04:05  4 checked, 1 problem`
fn count(report: &Report, output: &Output) -> String {
    let checked = report.targets.len() + report.workers.len();
    let problems = match report.problems {
        0 => output.good("all well"),
        1 => output.bad("1 problem"),
        more => output.bad(&format!("{more} problems")),
    };
    format!("{}  {checked} checked, {problems}", output.dim(&time::clock(report.at)))
}

fn add(finding: &Finding, depth: usize, rows: &mut Vec<Row>) {
    let name = match finding.kind {
        Kind::Url => format!("url:{}", finding.name),
        _ => finding.name.clone(),
    };
    rows.push(Row {
        name: format!("{}{name}", "  ".repeat(depth)),
        state: state(finding),
        up: finding.uptime_ms.map(time::uptime),
        restarts: finding.restarts,
        pid: finding.pid,
        cpu: finding.cpu_percent,
        memory: finding.memory,
        ports: finding.ports.join(" "),
        note: note(finding),
    });
    finding.parts.iter().for_each(|part| add(part, depth + 1, rows));
}

fn state(finding: &Finding) -> Text {
    let (sign, tone) = match finding.health {
        Health::Well => ("●", Tone::Good),
        Health::Idle => ("○", Tone::Dim),
        Health::Busy => ("◌", Tone::Odd),
        Health::Degraded => ("◐", Tone::Odd),
        Health::Unasked | Health::Unknown => ("?", Tone::Bad),
        Health::Failed => ("✕", Tone::Bad),
    };
    Text(format!("{sign} {}", finding.state), tone)
}

/// What came of a restart, else what there is to know.
fn note(finding: &Finding) -> Text {
    let reason = finding.reason.clone().unwrap_or_default();
    match &finding.restarted {
        Some(restarted) if restarted.ok => Text(format!("was {}; restarted", restarted.before), Tone::Odd),
        Some(restarted) => match &restarted.error {
            Some(error) => {
                let reason = if reason.is_empty() { reason } else { format!("{reason}; ") };
                Text(format!("{reason}restart failed: {error}"), Tone::Bad)
            }
            None => Text(format!("restarted, and still not up: {reason}"), Tone::Bad),
        },
        None if finding.health.is_problem() => Text(reason, Tone::Bad),
        None => Text(reason, Tone::Dim),
    }
}

fn host(host: &HostFigures, rows: &mut Vec<Row>) {
    let used = host.memory.iter().map(|usage| ("memory".to_owned(), *usage));
    let disks = host.disks.iter().map(|disk| (format!("disk {}", disk.mount), disk.usage));
    for (name, usage) in used.chain(disks) {
        let percent = usage.limit_bytes.map_or(0, |limit| usage.used_bytes * 100 / limit.max(1));
        let tone = if percent >= FULL { Tone::Odd } else { Tone::Good };
        rows.push(Row {
            memory: Some(usage),
            ..figure(name, Text(format!("● {percent}%"), tone), String::new())
        });
    }
    if let Some(zombies) = &host.zombies {
        let tone = if zombies.count > 0 { Tone::Odd } else { Tone::Good };
        let state = Text(format!("● {}", zombies.count), tone);
        rows.push(figure("zombies".to_owned(), state, zombies.parents.join(", ")));
    }
    if host.ports.is_empty() {
        return;
    }
    let named = host.ports.iter().map(|open| match &open.process {
        Some(process) => format!("{} {process}", open.port),
        None => open.port.to_string(),
    });
    for (index, line) in listed(named).into_iter().enumerate() {
        let (name, state) = match index {
            0 => ("ports".to_owned(), Text(format!("● {} open", host.ports.len()), Tone::Good)),
            _ => (String::new(), Text::plain("")),
        };
        rows.push(figure(name, state, line));
    }
}

/// A list in lines of [`LIST`] columns.
fn listed(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if line.chars().count() + item.chars().count() + 2 <= LIST => {
                line.push_str(", ");
                line.push_str(&item);
            }
            _ => lines.push(item),
        }
    }
    lines
}

fn figure(name: String, state: Text, note: String) -> Row {
    let note = Text(note, Tone::Dim);
    Row {
        name,
        state,
        up: None,
        restarts: None,
        pid: None,
        cpu: None,
        memory: None,
        ports: String::new(),
        note,
    }
}

fn usage(usage: Usage) -> String {
    match usage.limit_bytes {
        Some(limit) => format!("{}/{}", size(usage.used_bytes), size(limit)),
        None => size(usage.used_bytes),
    }
}

#[cfg(test)]
mod tests {
    use nd_check::{Disk, OpenPort, Restarted, Zombies};
    use nd_types::Timestamp;

    use super::*;

    fn targets() -> Vec<Finding> {
        let instance = Finding {
            uptime_ms: Some(3_600_000),
            restarts: Some(0),
            pid: Some(812),
            ports: vec!["127.0.0.1:20001".to_owned()],
            ..Finding::new(Kind::Instance, "shop-8f3k2a-1", Health::Well, "ready")
        };
        let shop = Finding {
            reason: Some("https://app.example.com".to_owned()),
            cpu_percent: Some(12.4),
            memory: Some(Usage { used_bytes: 310 << 20, limit_bytes: Some(512 << 20) }),
            ports: vec!["3000".to_owned()],
            restarts: Some(3),
            parts: vec![instance],
            ..Finding::new(Kind::App, "shop", Health::Well, "running 1/1")
        };
        let was = |ok, error: Option<&str>| {
            let error = error.map(ToOwned::to_owned);
            Some(Restarted { ok, before: "exited (exit 137)".to_owned(), error })
        };
        vec![
            shop,
            Finding {
                restarted: was(true, None),
                ..Finding::new(Kind::Docker, "docker:db", Health::Well, "running")
            },
            Finding {
                restarted: was(false, Some("it is masked")),
                ..Finding::new(Kind::Systemd, "systemd:x", Health::Failed, "failed")
            },
            Finding {
                reason: Some("`pm2` is not installed here".to_owned()),
                ..Finding::new(Kind::Pm2, "pm2:api", Health::Unasked, "not asked")
            },
        ]
    }

    #[test]
    fn one_table_has_everything_that_was_found() {
        let usage = |used: u64, limit: u64| Usage { used_bytes: used << 30, limit_bytes: Some(limit << 30) };
        let open = |port, process: &str| OpenPort {
            port,
            addresses: Vec::new(),
            process: Some(process.to_owned()),
            pid: Some(1),
        };
        let host = HostFigures {
            memory: Some(usage(5, 8)),
            disks: vec![Disk { mount: "/".to_owned(), usage: usage(95, 100) }],
            zombies: Some(Zombies { count: 2, parents: vec!["nginx (812): 2".to_owned()] }),
            ports: (8_000..8_008).map(|port| open(port, "nextdeployd")).collect(),
        };
        let workers = vec![
            Finding::new(Kind::Worker, "nextdeployd", Health::Well, "ok"),
            Finding::new(Kind::Worker, "logs", Health::Well, "running"),
        ];
        let report = Report { at: Timestamp::UNIX_EPOCH, problems: 3, targets: targets(), workers, host };
        let shown = table(&report, 160, &Output::default());
        // The last line begins with the time in the zone of whoever looks.
        let (rows, last) = shown.rsplit_once('\n').unwrap();
        assert!(last.ends_with("  6 checked, 3 problems"), "{last}");
        insta::assert_snapshot!(rows);
    }
}
