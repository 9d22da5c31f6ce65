//! Where groups can be made on this host, by this process.

use std::fs;
use std::path::{Path, PathBuf};

use super::{make_dir, write};
use crate::limits::Limits;

/// The directory of all groups of all daemons.
const OURS: &str = "nextdeploy";

/// What a group can limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Pids,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }

    /// For people.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "processes",
        }
    }

    fn is_wanted(self, limits: &Limits) -> bool {
        match self {
            Self::Memory => limits.memory_bytes.is_some(),
            Self::Cpu => limits.cpu_millis.is_some(),
            Self::Pids => limits.pids.is_some(),
        }
    }
}

/// Where groups with one controller can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Groups are made in here.
    pub(crate) dir: PathBuf,
    /// The group of this process itself.
    pub(crate) home: PathBuf,
    /// Version 2.
    pub(crate) unified: bool,
}

/// Where groups can be made, for each controller.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    memory: Option<Place>,
    cpu: Option<Place>,
    pids: Option<Place>,
}

impl Places {
    /// Looks for places, and makes the directory of all groups in them.
    pub(crate) fn find() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let mounts = mounts(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        let find = |controller| mounts.iter().find_map(|mount| mount.place(controller));
        Self { memory: find(Controller::Memory), cpu: find(Controller::Cpu), pids: find(Controller::Pids) }
    }

    /// The place of a controller.
    fn of(&self, controller: Controller) -> Option<&Place> {
        match controller {
            Controller::Memory => self.memory.as_ref(),
            Controller::Cpu => self.cpu.as_ref(),
            Controller::Pids => self.pids.as_ref(),
        }
    }

    /// Every place.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Place> {
        Controller::ALL.into_iter().filter_map(|controller| self.of(controller))
    }

    /// The controllers that these limits need and that have a place.
    pub(crate) fn wanted<'a>(&'a self, limits: &'a Limits) -> impl Iterator<Item = (Controller, &'a Place)> {
        let wanted = Controller::ALL.into_iter().filter(|controller| controller.is_wanted(limits));
        wanted.filter_map(|controller| Some((controller, self.of(controller)?)))
    }

    /// The controllers that these limits need and that have none.
    pub(crate) fn lacking(&self, limits: &Limits) -> Vec<Controller> {
        let wanted = Controller::ALL.into_iter().filter(|controller| controller.is_wanted(limits));
        wanted.filter(|controller| self.of(*controller).is_none()).collect()
    }
}

/// A hierarchy that is mounted.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    home: PathBuf,
    /// Of version 1; those of version 2 stand in a file.
    controllers: Option<Vec<String>>,
}

impl Mount {
    fn place(&self, controller: Controller) -> Option<Place> {
        match &self.controllers {
            Some(controllers) => {
                // Below this process's own group, so that its limits hold for the unit too.
                let dir = self.home.join(OURS);
                let fits = controllers.iter().any(|name| name == controller.name()) && make_dir(&dir).is_ok();
                (fits && is_writable(&dir)).then(|| self.at(dir, false))
            }
            None => {
                // A group of version 2 holds processes or groups with controllers, never both (its only exception is the
                // root), so these are beside the own group: at the top, or next to it where that is delegated.
                let beside = self.home.parent().filter(|parent| parent.starts_with(&self.point));
                let parents = [Some(self.point.as_path()), beside];
                parents.into_iter().flatten().find_map(|parent| {
                    let dir = parent.join(OURS);
                    enable(parent, controller)?;
                    make_dir(&dir).ok()?;
                    enable(&dir, controller)?;
                    is_writable(&dir).then(|| self.at(dir, true))
                })
            }
        }
    }

    fn at(&self, dir: PathBuf, unified: bool) -> Place {
        Place { dir, home: self.home.clone(), unified }
    }
}

/// Lets groups in `dir` use the controller.
fn enable(dir: &Path, controller: Controller) -> Option<()> {
    let file = dir.join("cgroup.subtree_control");
    let is_on = |text: &str| text.split_ascii_whitespace().any(|name| name == controller.name());
    if is_on(&fs::read_to_string(&file).ok()?) {
        return Some(());
    }
    write(&file, &format!("+{}", controller.name())).ok()
}

fn is_writable(dir: &Path) -> bool {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}

/// The mounts of `/proc/self/mountinfo` (proc(5)) and the own group in each, from `/proc/self/cgroup` (cgroups(7)).
/// Version 2 first.
fn mounts(mountinfo: &str, own: &str) -> Vec<Mount> {
    let mut found: Vec<Mount> = mountinfo.lines().filter_map(|line| mount(line, own)).collect();
    found.sort_by_key(|mount| mount.controllers.is_some());
    found
}

/// `10 9 0:28 ROOT POINT rw,… [tags] - TYPE SOURCE rw,memory`.
fn mount(line: &str, own: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, point) = (left.next()?, PathBuf::from(left.next()?));
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1)?);
    let controllers = match kind {
        "cgroup2" => None,
        "cgroup" => Some(options.split(',').map(str::to_owned).collect::<Vec<_>>()),
        _ => return None,
    };
    // `4:memory:/path`, and `0::/path` of version 2.
    let path = own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        let same = match &controllers {
            None => names.is_empty(),
            Some(known) => !names.is_empty() && names.split(',').all(|name| known.iter().any(|k| k == name)),
        };
        same.then_some(path)
    })?;
    let below = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
    let home = if below.is_empty() { point.clone() } else { point.join(below) };
    Some(Mount { point, home, controllers })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    #[test]
    fn the_own_group_of_each_hierarchy_is_found() {
        let own = "4:memory:/outer/inner\n1:cpu,cpuacct:/\n0::/user.slice\n";
        let found = mounts(MIXED, own);
        let homes: Vec<_> = found.iter().map(|mount| mount.home.display().to_string()).collect();
        assert_eq!(
            homes,
            ["/sys/fs/cgroup/unified/user.slice", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory/outer/inner"]
        );
    }

    #[test]
    fn a_mount_shows_a_part_of_the_hierarchy_in_a_container() {
        let line = "5 4 0:3 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory";
        let found = mounts(line, "4:memory:/docker/1/app");
        assert_eq!(found[0].home, PathBuf::from("/sys/fs/cgroup/memory/app"));
    }

    #[test]
    fn lines_that_are_none_are_passed_over() {
        assert_eq!(mounts("", ""), []);
        assert_eq!(mounts("1 2 3\n - \nx - cgroup2", "0::/"), []);
    }

    #[test]
    fn what_has_no_place_is_named() {
        let limits = Limits { memory_bytes: Some(1), pids: Some(1), cpu_millis: None };
        assert_eq!(Places::default().lacking(&limits), [Controller::Memory, Controller::Pids]);
        assert_eq!(Places::default().wanted(&limits).count(), 0);
    }
}
