//! The labels that say whose a container is.

use std::collections::HashMap;

use nd_core::ports::UnitSpec;
use nd_types::{DaemonId, ReleaseId, UnitId};

/// `true` on everything that is ours.
pub(crate) const MANAGED: &str = "nextdeploy.managed";
/// The daemon it belongs to.
pub(crate) const DAEMON: &str = "nextdeploy.daemon";
/// The app's name.
pub(crate) const APP: &str = "nextdeploy.app";
/// The unit's id.
pub(crate) const UNIT: &str = "nextdeploy.unit";
/// The release's id.
pub(crate) const RELEASE: &str = "nextdeploy.release";
/// The image as the user wrote it: the container itself is made from the id that it resolved to.
pub(crate) const IMAGE: &str = "nextdeploy.image";

/// The filter that finds everything of ours.
pub(crate) fn managed_filter() -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{MANAGED}=true")])])
}

/// The labels of a new unit of the image that its user calls `image`.
pub(crate) fn for_unit(unit: &UnitSpec, image: &str) -> HashMap<String, String> {
    let pairs = [
        (MANAGED, "true"),
        (DAEMON, unit.daemon.as_str()),
        (APP, unit.id.app().as_str()),
        (UNIT, unit.id.as_str()),
        (RELEASE, unit.id.release().as_str()),
        (IMAGE, image),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// What the labels of a container say. A label that cannot be read counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) managed: bool,
    pub(crate) daemon: Option<DaemonId>,
    pub(crate) app: Option<String>,
    pub(crate) unit: Option<UnitId>,
    pub(crate) release: Option<ReleaseId>,
    pub(crate) image: Option<String>,
}

impl Labels {
    /// Reads the labels of a container.
    pub(crate) fn read(labels: &HashMap<String, String>) -> Self {
        let text = |key: &str| labels.get(key).filter(|value| !value.is_empty());
        Self {
            managed: text(MANAGED).is_some_and(|value| value == "true"),
            daemon: text(DAEMON).and_then(|value| value.parse().ok()),
            app: text(APP).cloned(),
            unit: text(UNIT).and_then(|value| value.parse().ok()),
            release: text(RELEASE).and_then(|value| value.parse().ok()),
            image: text(IMAGE).cloned(),
        }
    }

    /// Whether it is ours, and no daemon claims it: such a container gets adopted.
    pub(crate) fn unclaimed(&self) -> bool {
        self.managed && self.daemon.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::read(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_container_with_our_label_and_without_a_daemon_is_unclaimed() {
        assert!(labels(&[(MANAGED, "true")]).unclaimed());
        assert!(!labels(&[(MANAGED, "true"), (DAEMON, "d1")]).unclaimed());
        assert!(!labels(&[(MANAGED, "false")]).unclaimed());
        assert!(!labels(&[]).unclaimed());
    }

    #[test]
    fn a_damaged_label_counts_as_absent() {
        let read = labels(&[(MANAGED, "true"), (UNIT, "../etc"), (RELEASE, "8f3k2a"), (APP, "")]);
        assert_eq!((read.unit, read.app), (None, None));
        assert_eq!(read.release.map(|release| release.to_string()).as_deref(), Some("8f3k2a"));
    }
}
