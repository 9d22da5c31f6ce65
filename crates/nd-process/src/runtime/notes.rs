//! What the user should know of a release before it runs.

use nd_core::spec::AppSpec;

use crate::cgroup::{Controller, Places};
use crate::limits::Limits;

/// What the user wrote that a plain process does not get.
pub(super) fn notes(spec: &AppSpec, places: &Places) -> Vec<String> {
    let mut notes = notes_on_limits(&Limits::from(&spec.resources), places);
    if !spec.volumes.is_empty() {
        notes.push("volumes have no effect on a plain process: it sees the files of the host".to_owned());
    }
    if spec.env.contains_key("PORT") {
        notes.push(
            "PORT in the environment is replaced by the port that is leased for each instance".to_owned(),
        );
    }
    notes
}

/// What keeps each limit, and which is not kept.
fn notes_on_limits(limits: &Limits, places: &Places) -> Vec<String> {
    let list = |names: Vec<&str>| names.join(" and ");
    let mut notes = Vec::new();
    for (unified, version) in [(true, 2), (false, 1)] {
        let kept = places.wanted(limits).filter(|(_, place)| place.unified == unified);
        let kept: Vec<_> = kept.map(|(controller, _)| controller.what()).collect();
        if !kept.is_empty() {
            notes.push(format!("the limit of {} is kept by cgroup v{version}", list(kept)));
        }
    }
    let lacking = places.lacking(limits);
    if lacking.contains(&Controller::Memory) {
        notes.push(
            "memory is limited for each process alone (RLIMIT_DATA): no cgroup can be made here".to_owned(),
        );
    }
    let not: Vec<_> =
        lacking.into_iter().filter(|one| *one != Controller::Memory).map(Controller::what).collect();
    if !not.is_empty() {
        notes.push(format!("the limit of {} is not enforced: no cgroup can be made here", list(not)));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_control_groups_it_says_what_is_not_kept() {
        let limits = Limits { memory_bytes: Some(1), cpu_millis: Some(1), pids: Some(1) };
        let notes = notes_on_limits(&limits, &Places::default());
        assert_eq!(
            notes,
            [
                "memory is limited for each process alone (RLIMIT_DATA): no cgroup can be made here",
                "the limit of cpu and processes is not enforced: no cgroup can be made here",
            ]
        );
        assert_eq!(notes_on_limits(&Limits::default(), &Places::default()), Vec::<String>::new());
    }
}
