//! Which steps an installation has.

use std::fs;

use super::Site;
use super::step::{Source, Step};

/// Where units of this system's administrator stand.
const UNITS: &str = "etc/systemd/system";

/// The units, as they are in `deploy/systemd`.
const FILES: [(&str, &str); 4] = [
    ("nextdeployd.service", include_str!("../../../../deploy/systemd/nextdeployd.service")),
    ("nextdeployd.socket", include_str!("../../../../deploy/systemd/nextdeployd.socket")),
    ("nextdeploy.slice", include_str!("../../../../deploy/systemd/nextdeploy.slice")),
    ("nextdeploy-eternal@.service", include_str!("../../../../deploy/systemd/nextdeploy-eternal@.service")),
];

/// What is kept of the apps and their daemon.
const DATA: [&str; 3] = ["var/lib/nextdeploy", "etc/nextdeploy", "run/nextdeploy"];

/// What is added to the units where the daemon runs as another user than root.
const USER_FILES: [&str; 2] = ["nextdeployd.service.d/user.conf", "nextdeployd.socket.d/user.conf"];

/// The content of [`USER_FILES`]: the user may use the socket too, and its group may go on using it.
fn user_files(user: &str) -> [String; 2] {
    let socket = format!("# Written by `nextdeployd install --user {user}`.\n[Socket]\nSocketUser={user}\n");
    [service_as_user(user), socket]
}

/// Only root may ask systemd for units of their own, so that plain processes are children of the daemon here, and what
/// would bind them is taken back.
fn service_as_user(user: &str) -> String {
    format!(
        "# Written by `nextdeployd install --user {user}`.\n\
         [Service]\n\
         User={user}\n\
         SupplementaryGroups=-docker\n\
         Environment=NEXTDEPLOY_DATA_DIR=/var/lib/nextdeploy\n\
         # Its sockets are with its data; the directory of the control socket stays root's, and the socket its group's.\n\
         RuntimeDirectory=\n\
         # Its certificates are with its data as well, and its settings in the home of its user.\n\
         ConfigurationDirectory=\n\
         AmbientCapabilities=CAP_NET_BIND_SERVICE\n\
         CapabilityBoundingSet=\n\
         CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n\
         # Plain processes are children of the daemon and of its sandbox.\n\
         ProtectSystem=full\n\
         ProtectHome=no\n\
         PrivateTmp=no\n\
         MemoryDenyWriteExecute=no\n\
         RestrictNamespaces=no\n\
         SystemCallFilter=\n"
    )
    .replace("SupplementaryGroups=-docker\n", &docker_group())
}

/// The engine's socket belongs to a group; a unit that names one that does not exist would not start.
fn docker_group() -> String {
    let there = std::fs::read_to_string("/etc/group")
        .is_ok_and(|groups| groups.lines().any(|line| line.starts_with("docker:")));
    if there { "SupplementaryGroups=docker\n".to_owned() } else { String::new() }
}

/// The steps that place the service, enable it and start it.
pub(super) fn install(site: &Site, user: Option<&str>, start: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    for (name, program) in &site.programs {
        let path = site.root.join("usr/local/bin").join(name);
        if *program != path {
            steps.push(Step::Place { path, source: Source::Program(program.clone()) });
        }
    }
    for (name, text) in FILES {
        let path = site.root.join(UNITS).join(name);
        steps.push(Step::Place { path, source: Source::Text(text.to_owned()) });
    }
    let mut wanted = user.map(user_files).map_or([None, None], |texts| texts.map(Some)).into_iter();
    let mut other_user = false;
    for name in USER_FILES {
        let path = site.root.join(UNITS).join(name);
        let (is, wanted) = (fs::read_to_string(&path).ok(), wanted.next().flatten());
        other_user |= is != wanted;
        match wanted {
            Some(text) => steps.push(Step::Place { path, source: Source::Text(text) }),
            None if is.is_some() => steps.push(Step::Remove(path)),
            None => {}
        }
    }
    if site.live {
        steps.push(Step::Group("nextdeploy"));
    }
    if site.systemd {
        steps.push(Step::run(&["systemctl", "daemon-reload"]));
    }
    if site.live {
        steps.push(Step::run(&["systemctl", "enable", "nextdeployd.socket", "nextdeployd.service"]));
    }
    if site.systemd && start {
        // Apps run on meanwhile; a daemon that runs already becomes the one that was installed.
        if other_user {
            steps.push(Step::run(&["systemctl", "restart", "nextdeployd.socket", "nextdeployd.service"]));
        } else {
            // The socket stays, so that who asks meanwhile waits.
            steps.push(Step::run(&["systemctl", "start", "nextdeployd.socket"]));
            steps.push(Step::run(&["systemctl", "restart", "nextdeployd.service"]));
        }
    }
    steps
}

/// The steps that take the service away.
pub(super) fn uninstall(site: &Site, purge: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    if site.systemd {
        steps.push(Step::try_run(&[
            "systemctl",
            "disable",
            "--now",
            "nextdeployd.socket",
            "nextdeployd.service",
        ]));
        if purge {
            steps.push(Step::try_run(&["systemctl", "stop", "nextdeploy.slice"]));
        }
    } else if site.live {
        steps.push(Step::try_run(&["systemctl", "disable", "nextdeployd.socket", "nextdeployd.service"]));
    }
    let unit = |name: &str| Step::Remove(site.root.join(UNITS).join(name));
    steps.extend(USER_FILES.map(unit));
    steps.extend(FILES.iter().map(|(name, _)| unit(name)));
    if site.systemd {
        steps.push(Step::run(&["systemctl", "daemon-reload"]));
    }
    let program = |name: &str| Step::Remove(site.root.join("usr/local/bin").join(name));
    steps.extend(["nextdeploy", "nextdeployd"].map(program));
    if purge {
        steps.extend(DATA.map(|dir| Step::RemoveTree(site.root.join(dir))));
    }
    steps
}
