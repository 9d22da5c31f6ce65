//! What users ask of domains.

use std::sync::Arc;
use std::time::Duration;

use nd_types::{AppName, Availability, HostPattern, PathPrefix, RouteOptions, Timestamp};

use super::EngineHandle;
use super::error::EngineError;
use crate::certs::{CertWish, covers, wishes};
use crate::model::AppStatus;
use crate::model::edit::{DomainChange, Edit};
use crate::ports::{ChallengeKind, IssuerName};
use crate::routes::AppRoutes;
use crate::spec::{AppSpec, RouteSpec};

impl EngineHandle {
    /// Lets domains lead to an app or to it no more, while its instances run on. Those that are added stay whatever is
    /// deployed. Answers the number of the wish, for [`routed`](Self::routed).
    ///
    /// # Errors
    /// When the app is unknown, another app has one of them, the app's ingress cannot serve one, nobody could prove a
    /// wildcard to its issuer, or one that is to go is not there. Nothing has changed then.
    pub async fn change_domains(
        &self,
        app: &AppName,
        change: DomainChange,
        actor: &str,
    ) -> Result<u64, EngineError> {
        let status = self.status(app).ok_or_else(|| EngineError::UnknownApp(app.clone()))?;
        if let Some(spec) = status.spec.as_deref().filter(|_| !change.add.is_empty()) {
            let with = with_hosts(spec, &change);
            self.shared.check_features(None, Some(&status), &with)?;
            self.check_provable(&status, &with, &change)?;
        }
        self.edit(app, Edit::Domains(change), actor).await
    }

    /// Waits until what the app was wished in `revision` or later is served: every host and path of it, and no other. That
    /// does not wait for its instances.
    ///
    /// # Errors
    /// [`EngineError::Timeout`]; the work goes on.
    pub async fn routed(
        &self,
        app: &AppName,
        revision: u64,
        within: Duration,
    ) -> Result<Option<Arc<AppStatus>>, EngineError> {
        self.reached(app, within, |status| status.revision >= revision && status.routed).await
    }

    /// Who is to issue the certificate of a host of an app; nobody where none is wanted for it.
    #[must_use]
    pub fn issuer_of(&self, status: &AppStatus, host: &HostPattern) -> Option<IssuerName> {
        let spec = status.spec.as_deref()?;
        let spec = AppSpec { routes: status.routes(), ..spec.clone() };
        let mut wishes = self.wishes(status, &spec).into_iter();
        wishes.find(|wish| wish.names.contains(host)).map(|wish| wish.issuer)
    }

    /// The certificates that an app would want with that spec.
    fn wishes(&self, status: &AppStatus, spec: &AppSpec) -> Vec<CertWish> {
        let kind = self.ingress_of(status);
        let ingress = self.shared.registry.ingress(Some(kind));
        let shows_ours = ingress.is_ok_and(|ingress| ingress.caps().tls.shows_ours());
        let Some(release) = status.release.as_ref().filter(|_| shows_ours) else { return Vec::new() };
        let routes = AppRoutes::new(&status.app, release, spec, Availability::Serving);
        wishes(&routes, self.shared.certs.settings.issuer.as_ref(), kind)
    }

    /// Refuses a wildcard whose certificate nobody could get: that takes a record in the DNS, unless somebody brought one.
    fn check_provable(
        &self,
        status: &AppStatus,
        with: &AppSpec,
        change: &DomainChange,
    ) -> Result<(), EngineError> {
        let registry = &self.shared.registry;
        let dns = ChallengeKind::Dns01;
        let now: Timestamp = self.shared.clock.wall();
        let statuses = self.certs();
        for wish in self.wishes(status, with) {
            let host = wish.names.iter().find(|name| change.add.contains(*name));
            let wildcard = wish.names.iter().find(|name| name.parent().is_some());
            let (Some(_), Some(wildcard)) = (host, wildcard) else { continue };
            let challenges = registry.issuer(&wish.issuer).map(|issuer| issuer.challenges());
            let needs_proof = challenges.as_ref().is_ok_and(|kinds| !kinds.is_empty());
            let writes = registry.solver(wish.dns_provider.as_ref()).ok().flatten();
            let can_prove = writes.is_some_and(|solver| solver.kinds().contains(&dns))
                && challenges.is_ok_and(|kinds| kinds.contains(&dns));
            let mut kept = statuses.iter().filter_map(|status| status.cert.as_ref());
            let is_kept = kept.any(|cert| cert.not_after > now && covers(cert, &wish.names));
            if needs_proof && !can_prove && !is_kept {
                return Err(EngineError::Unprovable { host: wildcard.clone(), issuer: wish.issuer });
            }
        }
        Ok(())
    }
}

/// The spec with everything that is to be added; what it has already counts as it is.
fn with_hosts(spec: &AppSpec, change: &DomainChange) -> AppSpec {
    let mut with = spec.clone();
    let route = |host: &HostPattern| RouteSpec {
        host: host.clone(),
        path: PathPrefix::root(),
        options: RouteOptions::default(),
    };
    with.routes.extend(change.add.iter().map(route));
    with
}
