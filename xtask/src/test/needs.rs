//! What the tests need besides Rust, and how this machine gets it.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use super::engine::{self, Engine};
use crate::workspace::Workspace;
use crate::{Result, pm2, process};

/// Something the tests use: how to see it, what brings it on Debian, and what for.
struct Need {
    what: &'static str,
    there: fn() -> bool,
    /// Packages; of `a|b` the first that this Debian has.
    packages: &'static [&'static str],
    why: &'static str,
}

const ENGINE: &str = "a Docker engine";

/// Nothing goes without these.
const NEEDS: [Need; 7] = [
    Need {
        what: "a C compiler with its static C library",
        there: || process::in_path("cc"),
        packages: &["gcc", "libc6-dev"],
        why: "SQLite and zstd are built from source, and the test application is linked statically",
    },
    Need {
        what: ENGINE,
        there: || engine::answers() || process::in_path("dockerd"),
        packages: &["docker.io", "iptables"],
        why: "contract and end-to-end tests run real containers",
    },
    Need {
        what: "Caddy",
        there: || process::in_path("caddy"),
        packages: &["caddy"],
        why: "it is one of the servers that bring requests to apps; tests start it on ports of their own",
    },
    Need {
        what: "nginx",
        there: || process::in_path("nginx"),
        packages: &["nginx"],
        why: "it is one of the servers that bring requests to apps; tests start it on ports of their own",
    },
    Need {
        what: "Pebble, a certificate authority, with its name server",
        there: || {
            process::in_path("pebble") && process::in_path("pebble-challtestsrv") && process::in_path("curl")
        },
        packages: &["pebble", "curl"],
        why: "certificates are ordered by ACME",
    },
    Need {
        what: "the system's store of certificate authorities",
        there: || Path::new("/usr/sbin/update-ca-certificates").exists(),
        packages: &["ca-certificates"],
        why: "`certs trust` puts a root into it; tests do so in folders of their own",
    },
    Need {
        what: "Knot DNS",
        there: || process::in_path("knotd") && process::in_path("knotc"),
        packages: &["knot"],
        why: "wildcards are proven by records that are written into its zone",
    },
];

/// Without these some tests try less, and say so at the end.
const WANTS: [Need; 5] = [
    Need {
        what: "the docker command",
        there: || process::in_path("docker"),
        packages: &["docker-cli|docker.io"],
        why: "`check docker:…` restarts through it",
    },
    Need {
        what: "Docker Compose",
        there: || process::in_path("docker-compose"),
        packages: &["docker-compose"],
        why: "`check compose:…` restarts through it",
    },
    Need {
        what: "Node.js with npm",
        there: || process::in_path("node") && (process::in_path("npm") || process::in_path("pm2")),
        packages: &["nodejs", "npm"],
        why: "PM2 runs on it, and it evaluates an ecosystem.config.js",
    },
    Need {
        what: "Chromium, with a tool for the roots it trusts",
        there: || process::in_path("chromium") && process::in_path("certutil"),
        packages: &["chromium", "libnss3-tools"],
        why: "a browser shows what is served over TLS",
    },
    Need {
        what: "systemd in a container",
        there: || process::in_path("systemd-nspawn"),
        packages: &["systemd-container"],
        why: "the daemon is installed as a service of a real systemd",
    },
];

/// What was provided; an engine of our own ends when this is dropped.
#[derive(Debug)]
pub(super) struct Provided {
    _engine: Engine,
    /// `PATH` of the tests.
    pub(super) path: OsString,
    /// What was not to be had, and why.
    pub(super) missing: Vec<String>,
}

/// Provides all that is missing, as far as it is to be had.
pub(super) fn provide(workspace: &Workspace) -> Result<Provided> {
    let (needs, wants) = (absent(&NEEDS), absent(&WANTS));
    for need in needs.iter().chain(&wants) {
        println!("   missing: {} ({})", need.what, need.why);
    }
    match (may_install(), needs.is_empty(), wants.is_empty()) {
        (_, true, true) => {}
        (true, ..) => apt_get(&["update"], &[])?,
        (false, true, _) => {}
        (false, false, _) => return Err(advice(&packages(&needs)).into()),
    }
    for need in needs {
        install(need)?;
    }
    let mut missing = Vec::new();
    for want in wants {
        if let Err(error) = install(want) {
            println!("   not to be had: {}: {error}", want.what);
            missing.push(format!("{}, which is not here: {}", want.what, want.why));
        }
    }
    let mut folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    match pm2::provide(workspace) {
        Ok(folder) if folders.contains(&folder) => {}
        Ok(folder) => folders.push(folder),
        Err(error) => {
            println!("   not to be had: PM2: {error}");
            missing.push("PM2, which is not here: `check pm2:…` restarts through it".to_owned());
        }
    }
    let engine = Engine::provide(&workspace.target.join("xtask").join("engine"))?;
    Ok(Provided { _engine: engine, path: env::join_paths(folders)?, missing })
}

fn absent(needs: &'static [Need]) -> Vec<&'static Need> {
    needs.iter().filter(|need| !(need.there)()).collect()
}

/// Whether this may install packages here.
fn may_install() -> bool {
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    is_debian(&os_release) && is_root() && process::in_path("apt-get")
}

/// The packages that bring them, to be typed.
fn packages(needs: &[&Need]) -> Vec<&'static str> {
    let packages = needs.iter().flat_map(|need| need.packages);
    packages.map(|package| package.split('|').next().unwrap_or(package)).collect()
}

fn install(need: &Need) -> Result {
    if !may_install() {
        let by_hand = packages(&[need]).join(" ");
        return Err(format!("only root on Debian or Ubuntu gets it installed from here: {by_hand}").into());
    }
    let packages: Vec<&str> = need.packages.iter().map(|packages| choose(packages)).collect();
    // An engine may be started as its package likes.
    let _asleep = (need.what != ENGINE).then(ServicesAsleep::while_installing).transpose()?;
    apt_get(&["install", "-y", "--no-install-recommends"], &packages)?;
    if (need.there)() {
        return Ok(());
    }
    Err(format!("{} is still missing after its installation", need.what).into())
}

/// Keeps packages from starting their services, as a web server on port 80, which tests have no use for.
struct ServicesAsleep(Option<&'static Path>);

impl ServicesAsleep {
    /// Until it is dropped; where the machine has a policy of its own, that counts (invoke-rc.d(8)).
    fn while_installing() -> Result<Self> {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() || !has_systemd() {
            return Ok(Self(None));
        }
        fs::write(
            policy,
            "#!/bin/sh\n# Put here by `cargo xtask test` while it installs packages.\nexit 101\n",
        )?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
        Ok(Self(Some(policy)))
    }
}

impl Drop for ServicesAsleep {
    fn drop(&mut self) {
        if let Some(policy) = self.0 {
            fs::remove_file(policy).ok();
        }
    }
}

/// The first of these packages that is to be had.
fn choose(packages: &'static str) -> &'static str {
    let is_there = |package: &&str| {
        let mut command = Command::new("apt-cache");
        command.args(["show", package]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let mut names = packages.split('|');
    match names.clone().count() {
        1 => packages,
        _ => names.find(is_there).unwrap_or(packages),
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
