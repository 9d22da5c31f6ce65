//! What the tests need besides Rust, and how this machine gets it.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::engine::{self, Engine};
use crate::workspace::Workspace;
use crate::{Result, process};

/// Something the tests need: how to see it, what brings it on Debian, and what for.
struct Need {
    what: &'static str,
    there: fn() -> bool,
    packages: &'static [&'static str],
    why: &'static str,
}

const NEEDS: [Need; 2] = [
    Need {
        what: "a C compiler with its static C library",
        there: || process::in_path("cc"),
        packages: &["gcc", "libc6-dev"],
        why: "SQLite and zstd are built from source, and the test application is linked statically",
    },
    Need {
        what: "a Docker engine",
        there: || engine::answers() || process::in_path("dockerd"),
        packages: &["docker.io", "iptables"],
        why: "contract and end-to-end tests run real containers",
    },
];

/// Provides all that is missing; gives the engine that the tests use.
pub(super) fn provide(workspace: &Workspace) -> Result<Engine> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.there)()).collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    Engine::provide(&workspace.target.join("xtask").join("engine"))
}

fn install(missing: &[&Need]) -> Result {
    for need in missing {
        println!("   missing: {} ({})", need.what, need.why);
    }
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages).copied().collect();
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !(is_debian(&os_release) && is_root() && process::in_path("apt-get")) {
        return Err(advice(&packages).into());
    }
    apt_get(&["update"], &[])?;
    apt_get(&["install", "-y", "--no-install-recommends"], &packages)?;
    match missing.iter().find(|need| !(need.there)()) {
        Some(need) => Err(format!("{} is still missing after its installation", need.what).into()),
        None => Ok(()),
    }
}

fn apt_get(arguments: &[&str], packages: &[&str]) -> Result {
    let mut command = Command::new("apt-get");
    command.args(arguments).args(packages).env("DEBIAN_FRONTEND", "noninteractive");
    println!("   {}", process::line(&command));
    // Its hundreds of lines are of interest only where it fails.
    process::output(&mut command).map(drop)
}

/// What to type where this program may not install by itself.
fn advice(packages: &[&str]) -> String {
    format!(
        "only root on Debian or Ubuntu gets it installed from here. By hand:\n  \
         Debian, Ubuntu:  sudo apt-get update && sudo apt-get install -y --no-install-recommends {}\n  \
         elsewhere:       a C compiler as `cc`, and an engine: https://docs.docker.com/engine/install/\n  \
         then:            sudo systemctl start docker && sudo usermod -aG docker $USER, and log in again\n  \
         without it:      cargo xtask test --fast",
        packages.join(" ")
    )
}

/// Whether these are the words of Debian or of one of its children (os-release(5)).
fn is_debian(os_release: &str) -> bool {
    os_release.lines().filter_map(|line| line.split_once('=')).any(|(key, value)| {
        matches!(key, "ID" | "ID_LIKE")
            && value.trim_matches('"').split(' ').any(|id| matches!(id, "debian" | "ubuntu"))
    })
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether systemd runs this machine (sd_booted(3)).
pub(super) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_children_are_known() {
        assert!(is_debian("NAME=\"Debian\"\nID=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nVERSION_ID=43\n"));
    }

    #[test]
    fn the_advice_is_a_line_to_type() {
        assert!(advice(&["docker.io", "iptables"]).contains("--no-install-recommends docker.io iptables\n"));
    }
}
