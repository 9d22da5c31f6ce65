//! Domains given to an app and taken from it, while the same instances run on.

use std::collections::BTreeSet;

use nd_types::{HostPattern, ReleaseId};

use super::{EditError, Edited};
use crate::model::AppModel;
use crate::records::{DomainsRecord, RemovedDomain, domains};
use crate::routes::local_host;
use crate::spec::AppSpec;

/// Which domains an app gets and loses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainChange {
    /// Are to lead to it. One that does already may stand here.
    pub add: BTreeSet<HostPattern>,
    /// Are to lead to it no more.
    pub remove: BTreeSet<HostPattern>,
}

impl AppModel {
    pub(super) fn edit_domains(&self, change: &DomainChange, edited: &mut Edited) -> Result<(), EditError> {
        let releases: Vec<(&ReleaseId, &AppSpec)> = self.declaring().collect();
        if releases.iter().any(|(_, spec)| spec.direct) {
            return Err(EditError::NoRoutes);
        }
        let mut domains = self.record.domains.clone();
        domains.removed.retain(|gone| self.releases.contains_key(&gone.release));
        let leads = |domains: &DomainsRecord, host: &HostPattern| {
            let mut all = releases.iter().flat_map(|(release, spec)| domains.routes(Some(release), spec));
            domains.added.contains(host) || all.any(|route| route.host == *host)
        };
        for host in &change.remove {
            if local_host(self.app()).as_ref() == Some(host) {
                return Err(EditError::OwnName(host.clone()));
            }
            if !leads(&domains, host) {
                return Err(EditError::NoSuchDomain(host.clone()));
            }
            domains.added.remove(host);
            let declaring = releases.iter().filter(|(_, spec)| declares_any(spec, host));
            let gone = declaring
                .map(|(release, _)| RemovedDomain { release: (*release).clone(), host: host.clone() });
            domains.removed.extend(gone);
        }
        for host in &change.add {
            domains.removed.retain(|gone| gone.host != *host);
            let mut specs = releases.iter().map(|(_, spec)| spec);
            let declared = !releases.is_empty() && specs.all(|spec| domains::declares(&spec.routes, host));
            if !declared {
                domains.added.insert(host.clone());
            }
        }
        edited.change = told(change, |host| leads(&self.record.domains, host), |host| leads(&domains, host));
        edited.record.domains = domains;
        Ok(())
    }

    /// The release that serves and the one that is about to.
    fn declaring(&self) -> impl Iterator<Item = (&ReleaseId, &AppSpec)> {
        let rollout = self.record.rollout.as_ref().map(|rollout| &rollout.release);
        let both = [self.record.active.as_ref(), rollout];
        both.into_iter().flatten().filter_map(|id| Some((id, self.spec_of(id)?.as_ref())))
    }
}

fn declares_any(spec: &AppSpec, host: &HostPattern) -> bool {
    spec.routes.iter().any(|route| route.host == *host)
}

/// What is different now, as in `domains +www.example.com -old.example.com`; nothing where nothing is.
fn told(
    change: &DomainChange,
    before: impl Fn(&HostPattern) -> bool,
    now: impl Fn(&HostPattern) -> bool,
) -> Option<String> {
    let added = change.add.iter().filter(|host| now(host) && !before(host)).map(|host| format!(" +{host}"));
    let removed =
        change.remove.iter().filter(|host| before(host) && !now(host)).map(|host| format!(" -{host}"));
    let all: String = added.chain(removed).collect();
    (!all.is_empty()).then(|| format!("domains{all}"))
}
