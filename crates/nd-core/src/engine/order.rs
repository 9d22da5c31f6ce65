//! The order in which apps come up and go down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nd_types::{AppName, ExitStatus};

use super::shared::Shared;
use crate::model::{AppPhase, AppStatus, UnitView};
use crate::spec::{Condition, Dependency};

/// The first of these that has not come far enough yet, in words.
pub(super) fn awaited(shared: &Shared, dependencies: &[Dependency]) -> Option<String> {
    let missing = dependencies.iter().find(|dependency| {
        let status = shared.entry(&dependency.app).map(|entry| Arc::clone(&entry.status.borrow()));
        !status.is_some_and(|status| has_come(&status, dependency.condition))
    })?;
    let unknown = shared.entry(&missing.app).is_none();
    Some(format!("waits for {missing}{}", if unknown { ", which is not deployed" } else { "" }))
}

fn has_come(status: &AppStatus, condition: Condition) -> bool {
    if status.phase == AppPhase::Sleeping && condition != Condition::Completed {
        return true; // it comes as soon as it is asked
    }
    let succeeded = |unit: &UnitView| unit.exit.is_some_and(ExitStatus::is_success);
    match condition {
        Condition::Started => status.units.iter().any(|unit| unit.started.is_some()),
        Condition::Healthy => status.ready > 0,
        Condition::Completed => !status.units.is_empty() && status.units.iter().all(succeeded),
    }
}

/// The apps in groups that may stop at once: an app stops before those it depends on. Whoever waits for himself in the
/// end stops with the last.
pub(super) fn stop_order(apps: &BTreeMap<AppName, Vec<AppName>>) -> Vec<Vec<AppName>> {
    let mut left: BTreeSet<&AppName> = apps.keys().collect();
    let mut groups = Vec::new();
    while !left.is_empty() {
        let needed: BTreeSet<&AppName> =
            left.iter().filter_map(|app| apps.get(*app)).flatten().filter(|app| left.contains(app)).collect();
        let mut group: Vec<&AppName> = left.difference(&needed).copied().collect();
        if group.is_empty() {
            group = left.iter().copied().collect();
        }
        left.retain(|app| !group.contains(app));
        groups.push(group.into_iter().cloned().collect());
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(of: &[(&str, &[&str])]) -> BTreeMap<AppName, Vec<AppName>> {
        let name = |text: &&str| text.parse::<AppName>().unwrap();
        of.iter().map(|(app, needs)| (name(app), needs.iter().map(name).collect())).collect()
    }

    #[test]
    fn an_app_stops_before_what_it_depends_on() {
        let order =
            stop_order(&apps(&[("db", &[]), ("cache", &[]), ("api", &["db", "cache"]), ("web", &["api"])]));
        let names: Vec<Vec<String>> =
            order.iter().map(|group| group.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(names, [vec!["web"], vec!["api"], vec!["cache", "db"]]);
    }

    #[test]
    fn a_circle_and_an_unknown_app_hold_up_nobody() {
        let order = stop_order(&apps(&[("a", &["b"]), ("b", &["a"]), ("c", &["gone"])]));
        assert_eq!(order.iter().map(Vec::len).sum::<usize>(), 3);
    }
}
