//! Figures from the kernel's control groups, in both layouts: one tree of all controllers (v2), or a tree each (v1).

use std::path::{Path, PathBuf};
use std::time::Duration;

use nd_core::ports::UnitStats;

use super::MainProcess;

const ROOT: &str = "/sys/fs/cgroup";

/// Reads what the container of `process` uses; `None` when its groups cannot be found or read. Blocks.
pub(super) fn read(process: &MainProcess) -> Option<UnitStats> {
    let proc = PathBuf::from(format!("/proc/{}", process.pid));
    let groups = std::fs::read_to_string(proc.join("cgroup")).ok()?;
    let network = std::fs::read_to_string(proc.join("net/dev")).ok();
    read_from(Path::new(ROOT), &groups, network.as_deref(), &process.container)
}

fn read_from(root: &Path, groups: &str, network: Option<&str>, container: &str) -> Option<UnitStats> {
    let group = |controller: &str| group(root, groups, controller, container);
    // The first layout wins where both are there: then the second holds no controller.
    let mut stats = match (group("memory"), group("cpuacct")) {
        (Some(memory), Some(cpu)) => v1(&memory, &cpu)?,
        _ => v2(&group("")?)?,
    };
    if let Some((received, sent)) = network.map(traffic) {
        stats.received_bytes = Some(received);
        stats.sent_bytes = Some(sent);
    }
    Some(stats)
}

/// The folder of one controller; the empty name is the tree of v2. A line reads `5:cpu,cpuacct:/docker/<id>`.
fn group(root: &Path, groups: &str, controller: &str, container: &str) -> Option<PathBuf> {
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next()?, parts.next()?);
        // In a control group namespace of our own, paths are relative to it and lead nowhere.
        let found = names.split(',').any(|name| name == controller)
            && path.contains(container)
            && !path.contains("..");
        found.then(|| root.join(names).join(path.trim_start_matches('/')))
    })
}

fn v1(memory: &Path, cpu: &Path) -> Option<UnitStats> {
    let used = number(&memory.join("memory.usage_in_bytes"))?;
    let cache = field(&memory.join("memory.stat"), "total_inactive_file").unwrap_or(0);
    // No limit is written as the largest number of pages.
    let limit = number(&memory.join("memory.limit_in_bytes")).filter(|limit| *limit < 1 << 62);
    Some(UnitStats {
        cpu: Duration::from_nanos(number(&cpu.join("cpuacct.usage"))?),
        memory_bytes: used.saturating_sub(cache),
        memory_limit_bytes: limit,
        processes: processes(memory),
        ..UnitStats::default()
    })
}

fn v2(group: &Path) -> Option<UnitStats> {
    let used = number(&group.join("memory.current"))?;
    let cache = field(&group.join("memory.stat"), "inactive_file").unwrap_or(0);
    Some(UnitStats {
        cpu: Duration::from_micros(field(&group.join("cpu.stat"), "usage_usec")?),
        memory_bytes: used.saturating_sub(cache),
        // No limit is written `max`.
        memory_limit_bytes: number(&group.join("memory.max")),
        processes: processes(group),
        ..UnitStats::default()
    })
}

fn processes(group: &Path) -> u32 {
    let list = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    u32::try_from(list.lines().count()).unwrap_or(u32::MAX)
}

fn number(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn field(file: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Bytes received and sent over all devices but the loopback, from the kernel's table.
fn traffic(table: &str) -> (u64, u64) {
    let device = |line: &str| {
        let (name, figures) = line.split_once(':')?;
        let mut figures = figures.split_whitespace().map(|figure| figure.parse::<u64>().unwrap_or(0));
        (name.trim() != "lo").then(|| (figures.next().unwrap_or(0), figures.nth(7).unwrap_or(0)))
    };
    let devices = table.lines().filter_map(device);
    devices.fold((0, 0), |(received, sent), (more_in, more_out)| {
        (received.saturating_add(more_in), sent.saturating_add(more_out))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "8103627fb32330cfcde48db257e5944ebf243a80cc3fa675ba4bda0f7aab8aca";

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let file = root.join(name.replace("ID", ID));
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
    }

    #[test]
    fn the_first_layout_is_read_from_a_tree_for_each_controller() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &[
                ("memory/docker/ID/memory.usage_in_bytes", "5000000\n"),
                ("memory/docker/ID/memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory/docker/ID/memory.stat", "cache 7\ntotal_inactive_file 1000000\n"),
                ("memory/docker/ID/cgroup.procs", "1\n2\n"),
                ("cpu,cpuacct/docker/ID/cpuacct.usage", "1500000000\n"),
            ],
        );
        let groups = format!("9:memory:/docker/{ID}\n5:cpu,cpuacct:/docker/{ID}\n0::/docker/{ID}\n");
        let stats = read_from(root.path(), &groups, None, ID).unwrap();
        assert_eq!(
            stats,
            UnitStats {
                cpu: Duration::from_millis(1500),
                memory_bytes: 4_000_000,
                memory_limit_bytes: None,
                processes: 2,
                received_bytes: None,
                sent_bytes: None,
            }
        );
    }

    #[test]
    fn the_second_layout_is_read_from_one_tree() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &[
                ("system.slice/docker-ID.scope/memory.current", "5000000\n"),
                ("system.slice/docker-ID.scope/memory.max", "67108864\n"),
                ("system.slice/docker-ID.scope/memory.stat", "anon 1\ninactive_file 1000000\n"),
                ("system.slice/docker-ID.scope/cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
                ("system.slice/docker-ID.scope/cgroup.procs", "7\n"),
            ],
        );
        let groups = format!("0::/system.slice/docker-{ID}.scope\n");
        let network =
            "Inter-| Receive\n face |bytes\n lo: 5 0 0 0 0 0 0 0 5 0\n eth0: 100 1 0 0 0 0 0 0 200 2 0\n";
        let stats = read_from(root.path(), &groups, Some(network), ID).unwrap();
        assert_eq!((stats.cpu, stats.memory_bytes), (Duration::from_millis(2500), 4_000_000));
        assert_eq!((stats.memory_limit_bytes, stats.processes), (Some(64 << 20), 1));
        assert_eq!((stats.received_bytes, stats.sent_bytes), (Some(100), Some(200)));
    }

    #[test]
    fn the_groups_of_another_container_are_not_read() {
        let root = tempfile::tempdir().unwrap();
        let groups = "0::/docker/somebody-else\n";
        assert_eq!(read_from(root.path(), groups, None, ID), None);
        assert_eq!(read_from(root.path(), &format!("0::/../docker/{ID}\n"), None, ID), None);
    }
}
