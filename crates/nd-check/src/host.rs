//! The machine: memory, disks, zombies and open ports, as Linux shows them under `/proc`. Elsewhere nothing is known.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Serialize;

use crate::finding::Usage;
use crate::ports::{self, OpenPort};

/// Figures of the machine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HostFigures {
    /// Memory in use, without what the system would give back at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Usage>,
    /// Every local disk.
    pub disks: Vec<Disk>,
    /// Processes that have ended and that their parents have not asked after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zombies: Option<Zombies>,
    /// TCP ports that somebody listens on.
    pub ports: Vec<OpenPort>,
}

/// One disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    /// Room in use, of what users other than root may take.
    #[serde(flatten)]
    pub usage: Usage,
}

/// Zombies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Zombies {
    /// How many.
    pub count: usize,
    /// Whose they are, as in `nginx (812): 3`, most first.
    pub parents: Vec<String>,
}

/// File systems without a disk of their own, or whose server may not answer.
const NO_DISK: &[&str] = &[
    "autofs",
    "bpf",
    "cgroup",
    "cgroup2",
    "cifs",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fuse.sshfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfs",
    "nfs4",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "securityfs",
    "smb3",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];

/// More of them are not named.
const PARENTS: usize = 5;

impl HostFigures {
    /// Reads them. Takes a few milliseconds, most of them for who holds which port.
    #[must_use]
    pub fn read() -> Self {
        let processes = processes();
        Self {
            memory: fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory(&text)),
            disks: fs::read_to_string("/proc/self/mounts").map(|text| disks(&text)).unwrap_or_default(),
            zombies: (!processes.is_empty()).then(|| zombies(&processes)),
            ports: ports::open(),
        }
    }
}

fn memory(text: &str) -> Option<Usage> {
    let kilobytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let (total, available) = (kilobytes("MemTotal")?, kilobytes("MemAvailable")?);
    Some(Usage { used_bytes: total.saturating_sub(available) * 1024, limit_bytes: Some(total * 1024) })
}

/// Of `/proc/self/mounts`. A disk that is mounted at several places counts at the shortest.
fn disks(mounts: &str) -> Vec<Disk> {
    let mut places: BTreeMap<u64, String> = BTreeMap::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(mount), Some(kind)) = (fields.next(), fields.next()) else { continue };
        // An overlay over `/` is where this runs; any other one is a container's, on a disk that is there already.
        if NO_DISK.contains(&kind) || (kind == "overlay" && mount != "/") {
            continue;
        }
        // Blanks in a path are written in octal (getmntent(3)).
        let mount = mount.replace("\\040", " ");
        let Ok(device) = fs::metadata(&mount).map(|metadata| metadata.dev()) else { continue };
        let known = places.entry(device).or_insert_with(|| mount.clone());
        if mount.len() < known.len() {
            *known = mount;
        }
    }
    let mut disks: Vec<Disk> = places.into_values().filter_map(disk).collect();
    disks.sort_by(|a, b| a.mount.cmp(&b.mount));
    disks
}

fn disk(mount: String) -> Option<Disk> {
    let room = rustix::fs::statvfs(Path::new(&mount)).ok()?;
    let used = room.f_blocks.saturating_sub(room.f_bfree);
    let total = used + room.f_bavail;
    let bytes = |blocks: u64| blocks * room.f_frsize;
    (total > 0)
        .then(|| Disk { usage: Usage { used_bytes: bytes(used), limit_bytes: Some(bytes(total)) }, mount })
}

/// A process, as `/proc/PID/stat` has it (proc_pid_stat(5)).
struct Process {
    id: u32,
    name: String,
    state: char,
    parent: u32,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let id = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<u32>().ok();
    let stat = |id: u32| fs::read_to_string(format!("/proc/{id}/stat")).ok();
    entries.filter_map(id).filter_map(|id| process(id, &stat(id)?)).collect()
}

/// The name stands in brackets and may hold brackets and blanks itself.
fn process(id: u32, stat: &str) -> Option<Process> {
    let (head, rest) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once('(')?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some(Process { id, name: name.to_owned(), state, parent: fields.next()?.parse().ok()? })
}

fn zombies(processes: &[Process]) -> Zombies {
    let mut parents: BTreeMap<u32, usize> = BTreeMap::new();
    for zombie in processes.iter().filter(|process| process.state == 'Z') {
        *parents.entry(zombie.parent).or_default() += 1;
    }
    let count = parents.values().sum();
    let mut parents: Vec<(u32, usize)> = parents.into_iter().collect();
    parents.sort_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
    let named = parents.into_iter().take(PARENTS).map(|(id, count)| {
        let parent = processes.iter().find(|process| process.id == id);
        format!("{} ({id}): {count}", parent.map_or("?", |parent| parent.name.as_str()))
    });
    Zombies { count, parents: named.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_in_use_leaves_out_what_can_be_given_back() {
        let text = "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     600 kB\n";
        assert_eq!(memory(text), Some(Usage { used_bytes: 409_600, limit_bytes: Some(1_024_000) }));
        assert_eq!(memory("nonsense"), None);
    }

    #[test]
    fn a_disk_counts_once_however_often_it_is_mounted() {
        let found = disks("/dev/x /etc/hosts ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/x / ext4 rw 0 0\n");
        assert!(found.iter().filter(|disk| disk.mount == "/").count() == 1, "{found:?}");
        assert!(!found.iter().any(|disk| disk.mount == "/proc"), "{found:?}");
    }

    #[test]
    fn a_name_may_hold_brackets_and_blanks() {
        let found = process(7, "7 (a) (b c) Z 3 7 7 0").unwrap();
        assert_eq!((found.name.as_str(), found.state, found.parent), ("a) (b c", 'Z', 3));
    }

    #[test]
    fn zombies_are_laid_at_the_door_of_their_parents() {
        let row = |id, name: &str, state, parent| Process { id, name: name.to_owned(), state, parent };
        let all = [
            row(1, "init", 'S', 0),
            row(2, "nginx", 'S', 1),
            row(3, "x", 'Z', 2),
            row(4, "x", 'Z', 2),
            row(5, "y", 'Z', 1),
        ];
        let found = zombies(&all);
        assert_eq!(found.count, 3);
        assert_eq!(found.parents, ["nginx (2): 2", "init (1): 1"]);
    }

    #[test]
    fn this_machine_has_figures() {
        let figures = HostFigures::read();
        assert!(figures.memory.is_some_and(|memory| memory.used_bytes > 0));
        assert!(!figures.disks.is_empty() && figures.zombies.is_some());
    }
}
