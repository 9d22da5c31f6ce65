//! Which crate may know which: an edge only points down. Edges of tests and examples are free.
//!
//! The tables are those of `docs/architecture.md`, Crates; they change together.

use super::Finding;
use crate::workspace::{Package, Workspace};

const MANIFEST_FIX: &str = "turn the edge around through a port, or move the code; \
                            a wall in the wrong place moves in docs/architecture.md and xtask/src/tidy/layers.rs";

/// The adapters: each stands on the core alone, and none sees another.
const ADAPTERS: [&str; 12] = [
    "nd-alerts",
    "nd-bluegreen",
    "nd-certs",
    "nd-docker",
    "nd-external",
    "nd-logs",
    "nd-metrics",
    "nd-probe",
    "nd-process",
    "nd-secrets",
    "nd-store",
    "nd-traffic",
];

/// What an adapter stands on.
const ADAPTER_GROUND: &[&str] = &["nd-core", "nd-proc", "nd-supervise", "nd-types"];

/// Each other crate, and what of the workspace it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("nd-types", &[]),
    ("nd-supervise", &[]),
    ("nd-proc", &[]),
    ("nd-eternal", &["nd-proc", "nd-types"]),
    ("nd-api", &["nd-types"]),
    ("nd-core", &["nd-supervise", "nd-types"]),
    ("nd-proxy", &["nd-supervise", "nd-types"]),
    ("nd-ingress", &["nd-core", "nd-proxy", "nd-supervise", "nd-types"]),
    ("nd-config", &["nd-api", "nd-types"]),
    ("nd-client", &["nd-api", "nd-types"]),
    ("nd-check", &["nd-api", "nd-client", "nd-types"]),
    ("nd-server", &["nd-api", "nd-config", "nd-core", "nd-supervise", "nd-types"]),
    ("nd-cli", &["nd-api", "nd-check", "nd-client", "nd-config", "nd-eternal", "nd-types"]),
    ("nextdeploy", &["nd-api", "nd-cli", "nd-client", "nd-config", "nd-types"]),
    ("nd-testapp", &[]),
    ("nd-e2e", &["nd-testapp"]),
    ("nd-testkit", &["nd-api", "nd-client", "nd-core", "nd-supervise", "nd-testapp", "nd-types"]),
    (
        "nd-fuzz",
        &["nd-api", "nd-certs", "nd-config", "nd-ingress", "nd-logs", "nd-process", "nd-proxy", "nd-types"],
    ),
    ("xtask", &["nd-e2e", "nd-testapp"]),
];

/// The one program that puts all together; only what serves tests is out of its reach.
const DAEMON: &str = "nextdeployd";
const FOR_TESTS: [&str; 5] = ["nd-e2e", "nd-fuzz", "nd-testapp", "nd-testkit", "xtask"];

/// Crates from outside that have one home: nobody else names them.
const HOMES: &[(&str, &[&str])] = &[
    ("axum", &["nd-server"]),
    ("bollard", &["nd-docker"]),
    ("instant-acme", &["nd-certs"]),
    ("rusqlite", &["nd-store"]),
    ("serde-saphyr", &["nd-config"]),
];

/// Crates from outside that must not even be linked in, by whatever way.
const NEVER_LINKED: &[(&str, &[&str])] = &[
    ("nd-types", &["tokio"]),
    ("nd-api", &["tokio"]),
    ("nd-core", &["axum", "bollard", "hyper", "rusqlite", "serde-saphyr"]),
    ("nd-proxy", &["axum", "bollard", "instant-acme", "rusqlite", "serde-saphyr", "toml"]),
    ("nd-server", &["bollard", "rusqlite"]),
];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let names: Vec<&str> = workspace.members().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in workspace.members() {
        let path = workspace.relative(&package.manifest_path);
        let mut wrong = wrong_edges(package, &names);
        wrong.extend(wrong_homes(package));
        let linked = workspace.linked_into(package);
        for (_, never) in NEVER_LINKED.iter().filter(|(name, _)| *name == package.name) {
            let reached = never.iter().filter(|other| linked.contains(*other));
            wrong.extend(
                reached.map(|other| format!("{} links {other}, if only through others", package.name)),
            );
        }
        findings.extend(wrong.into_iter().map(|what| Finding {
            rule: "layers",
            path: path.clone(),
            line: 1,
            item: Some(package.name.clone()),
            size: None,
            what,
            why: "an edge only points down, and each crate has what it must never know",
            fix: MANIFEST_FIX,
        }));
    }
    findings
}

fn wrong_edges(package: &Package, members: &[&str]) -> Vec<String> {
    let name = package.name.as_str();
    let edges: Vec<&str> = package.normal().filter(|edge| members.contains(edge)).collect();
    let wrong = match ground_of(name) {
        Ground::These(ground) => edges.into_iter().filter(|edge| !ground.contains(edge)).collect::<Vec<_>>(),
        Ground::AllButTests => edges.into_iter().filter(|edge| FOR_TESTS.contains(edge)).collect(),
        Ground::Unknown => return vec![format!("{name} has no place among the layers")],
    };
    wrong.into_iter().map(|edge| format!("{name} → {edge} is no edge of the architecture")).collect()
}

fn wrong_homes(package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    let strangers = HOMES
        .iter()
        .filter(|(other, homes)| !homes.contains(&name) && package.normal().any(|edge| edge == *other));
    strangers
        .map(|(other, homes)| format!("{name} names {other}, whose home is {}", homes.join(", ")))
        .collect()
}

enum Ground {
    These(&'static [&'static str]),
    AllButTests,
    Unknown,
}

fn ground_of(name: &str) -> Ground {
    if name == DAEMON {
        return Ground::AllButTests;
    }
    if ADAPTERS.contains(&name) {
        return Ground::These(ADAPTER_GROUND);
    }
    match LAYERS.iter().find(|(layer, _)| *layer == name) {
        Some((_, ground)) => Ground::These(ground),
        None => Ground::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, edges: &[(&str, Option<&str>)]) -> Package {
        let edges = edges.iter().map(|(name, kind)| serde_json::json!({"name": name, "kind": kind}));
        let json = serde_json::json!({
            "name": name, "id": name, "manifest_path": "Cargo.toml", "targets": [],
            "dependencies": edges.collect::<Vec<_>>(),
        });
        serde_json::from_value(json).unwrap()
    }

    fn wrong(name: &str, edges: &[(&str, Option<&str>)]) -> usize {
        let members = ["nd-core", "nd-docker", "nd-process", "nd-testkit", "nd-types"];
        wrong_edges(&package(name, edges), &members).len()
    }

    #[test]
    fn adapters_stand_on_the_core_and_never_see_each_other() {
        assert_eq!(wrong("nd-docker", &[("nd-core", None), ("nd-types", None), ("bollard", None)]), 0);
        assert_eq!(wrong("nd-docker", &[("nd-process", None)]), 1);
        assert_eq!(wrong("nd-core", &[("nd-docker", None)]), 1);
    }

    #[test]
    fn edges_of_tests_are_free() {
        assert_eq!(wrong("nd-docker", &[("nd-testkit", Some("dev"))]), 0);
        assert_eq!(wrong("nextdeployd", &[("nd-testkit", None)]), 1);
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        assert_eq!(wrong("nd-stray", &[]), 1);
    }

    #[test]
    fn sql_has_one_home() {
        assert_eq!(wrong_homes(&package("nd-core", &[("rusqlite", None)])).len(), 1);
        assert_eq!(wrong_homes(&package("nd-store", &[("rusqlite", None)])).len(), 0);
    }

    #[test]
    fn the_layers_have_no_circle() {
        // Each row names only crates that stand in rows above it, or adapters, which stand on rows alone.
        let mut known: Vec<&str> = vec![];
        for (name, ground) in LAYERS {
            for below in *ground {
                assert!(known.contains(below) || ADAPTERS.contains(below), "{name} → {below}");
            }
            known.push(name);
        }
    }
}
