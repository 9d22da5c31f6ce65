//! The adapters an engine works with, by the names that users write.

use std::collections::BTreeMap;
use std::sync::Arc;

use nd_types::{IngressKind, RuntimeKind, StrategyName};

use crate::model::Strategies;
use crate::ports::{
    CertIssuer, CertStore, ChallengeSolver, DeployStrategy, HealthProbe, Ingress, IssuerName, NameProbe,
    PortError, PortErrorKind, PortResult, Runtime, SolverName,
};

/// Every adapter of an engine. Immutable once built.
#[derive(Clone)]
pub struct Registry {
    runtimes: BTreeMap<RuntimeKind, Arc<dyn Runtime>>,
    ingresses: BTreeMap<IngressKind, Arc<dyn Ingress>>,
    default_ingress: IngressKind,
    probe: Arc<dyn HealthProbe>,
    strategies: Strategies,
    issuers: BTreeMap<IssuerName, Arc<dyn CertIssuer>>,
    certs: Option<Arc<dyn CertStore>>,
    solvers: BTreeMap<SolverName, Arc<dyn ChallengeSolver>>,
    default_solver: Option<SolverName>,
    names: Option<Arc<dyn NameProbe>>,
}

/// Collects adapters; [`build`](RegistryBuilder::build) checks them.
#[derive(Default)]
pub struct RegistryBuilder {
    runtimes: Vec<Arc<dyn Runtime>>,
    ingresses: Vec<Arc<dyn Ingress>>,
    default_ingress: Option<IngressKind>,
    probe: Vec<Arc<dyn HealthProbe>>,
    strategies: Vec<Arc<dyn DeployStrategy>>,
    issuers: Vec<Arc<dyn CertIssuer>>,
    certs: Vec<Arc<dyn CertStore>>,
    solvers: Vec<(SolverName, Arc<dyn ChallengeSolver>)>,
    default_solver: Option<SolverName>,
    names: Vec<Arc<dyn NameProbe>>,
}

/// Why a set of adapters is no registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two adapters answer to one name.
    #[error("two adapters are registered as {0}")]
    Duplicate(String),
    /// A port has no adapter.
    #[error("no {0} is registered")]
    Missing(&'static str),
}

impl Registry {
    /// An empty builder.
    #[must_use]
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// The runtime of that name, if there is one.
    #[must_use]
    pub fn runtime(&self, kind: RuntimeKind) -> Option<&Arc<dyn Runtime>> {
        self.runtimes.get(&kind)
    }

    /// Every runtime.
    pub fn runtimes(&self) -> impl Iterator<Item = (RuntimeKind, &Arc<dyn Runtime>)> {
        self.runtimes.iter().map(|(kind, runtime)| (*kind, runtime))
    }

    /// What brings requests to units under that name; the default one where none is named.
    ///
    /// # Errors
    /// `Invalid` when there is none of that name.
    pub fn ingress(&self, kind: Option<IngressKind>) -> PortResult<&Arc<dyn Ingress>> {
        let kind = kind.unwrap_or(self.default_ingress);
        self.ingresses.get(&kind).ok_or_else(|| Self::no_ingress(kind))
    }

    /// Everything that brings requests to units.
    pub fn ingresses(&self) -> impl Iterator<Item = (IngressKind, &Arc<dyn Ingress>)> {
        self.ingresses.iter().map(|(kind, ingress)| (*kind, ingress))
    }

    /// What brings requests to apps that name nothing else.
    #[must_use]
    pub fn default_ingress(&self) -> IngressKind {
        self.default_ingress
    }

    pub(crate) fn no_ingress(kind: IngressKind) -> PortError {
        PortError::new(PortErrorKind::Invalid, format!("proxy_type {kind} is not part of this daemon"))
    }

    /// What asks units whether they are well.
    #[must_use]
    pub fn probe(&self) -> &Arc<dyn HealthProbe> {
        &self.probe
    }

    /// Every strategy.
    #[must_use]
    pub fn strategies(&self) -> &Strategies {
        &self.strategies
    }

    /// Who issues certificates under that name.
    ///
    /// # Errors
    /// `Invalid` when nobody does.
    pub fn issuer(&self, name: &IssuerName) -> PortResult<&Arc<dyn CertIssuer>> {
        self.issuers.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.issuers.keys().map(IssuerName::as_str).collect();
            PortError::new(PortErrorKind::Invalid, format!("no issuer is called {name}"))
                .with_fix(format!("write one of {} into `ssl.provider`", known.join(", ")))
        })
    }

    /// Who writes proofs into the DNS under that name; where none is named the usual one, if there is one.
    ///
    /// # Errors
    /// `Invalid` when nobody has that name.
    pub fn solver(&self, name: Option<&SolverName>) -> PortResult<Option<&Arc<dyn ChallengeSolver>>> {
        let Some(name) = name.or(self.default_solver.as_ref()) else { return Ok(None) };
        self.solvers.get(name).map(Some).ok_or_else(|| {
            let known: Vec<&str> = self.solvers.keys().map(SolverName::as_str).collect();
            let fix = if known.is_empty() {
                format!("set it up: `[certs.dns_provider.{name}]` (docs/guide/certificates.md)")
            } else {
                format!("write one of {} into `ssl.dns_provider`", known.join(", "))
            };
            PortError::new(PortErrorKind::Invalid, format!("no DNS provider is called {name}")).with_fix(fix)
        })
    }

    /// What looks at names as their visitors do, if anything does.
    #[must_use]
    pub fn names(&self) -> Option<&Arc<dyn NameProbe>> {
        self.names.as_ref()
    }

    /// Where certificates are kept; without one none are ordered.
    #[must_use]
    pub fn certs(&self) -> Option<&Arc<dyn CertStore>> {
        self.certs.as_ref()
    }
}

impl RegistryBuilder {
    /// Sets what looks at names as their visitors do; without it nobody does.
    #[must_use]
    pub fn names(mut self, names: Arc<dyn NameProbe>) -> Self {
        self.names.push(names);
        self
    }

    /// Adds a runtime.
    #[must_use]
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtimes.push(runtime);
        self
    }

    /// Adds what brings requests to units.
    #[must_use]
    pub fn ingress(mut self, ingress: Arc<dyn Ingress>) -> Self {
        self.ingresses.push(ingress);
        self
    }

    /// Says which of them counts for apps that name none; the only one where there is only one.
    #[must_use]
    pub fn default_ingress(mut self, kind: IngressKind) -> Self {
        self.default_ingress = Some(kind);
        self
    }

    /// Sets what asks units whether they are well.
    #[must_use]
    pub fn probe(mut self, probe: Arc<dyn HealthProbe>) -> Self {
        self.probe.push(probe);
        self
    }

    /// Adds a strategy.
    #[must_use]
    pub fn strategy(mut self, strategy: Arc<dyn DeployStrategy>) -> Self {
        self.strategies.push(strategy);
        self
    }

    /// Adds somebody who issues certificates.
    #[must_use]
    pub fn issuer(mut self, issuer: Arc<dyn CertIssuer>) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Adds somebody who shows names to authorities by writing into the DNS.
    #[must_use]
    pub fn solver(mut self, name: SolverName, solver: Arc<dyn ChallengeSolver>) -> Self {
        self.solvers.push((name, solver));
        self
    }

    /// Says which of them counts for apps that name none; the only one where there is only one.
    #[must_use]
    pub fn default_solver(mut self, name: SolverName) -> Self {
        self.default_solver = Some(name);
        self
    }

    /// Sets where certificates are kept. Needed only where there is an issuer.
    #[must_use]
    pub fn certs(mut self, certs: Arc<dyn CertStore>) -> Self {
        self.certs.push(certs);
        self
    }

    /// Checks that every port has an adapter and no name has two.
    ///
    /// # Errors
    /// [`RegistryError`] names the port or the name.
    pub fn build(self) -> Result<Registry, RegistryError> {
        let of_kind = self.runtimes.into_iter().map(|runtime| (runtime.caps().kind, runtime));
        let runtimes = unique(of_kind, "runtime")?;
        let mut strategies = Strategies::new();
        for strategy in self.strategies {
            let name: StrategyName = strategy.name();
            if strategies.insert(name, strategy).is_some() {
                return Err(RegistryError::Duplicate(format!("strategy {name}")));
            }
        }
        let named = self.issuers.into_iter().map(|issuer| (issuer.name().clone(), issuer));
        let issuers = unique(named, "certificate issuer")?;
        let solvers = unique(self.solvers, "DNS provider")?;
        let only_solver = solvers.keys().next().cloned().filter(|_| solvers.len() == 1);
        let default_solver = self.default_solver.or(only_solver);
        if default_solver.as_ref().is_some_and(|name| !solvers.contains_key(name)) {
            return Err(RegistryError::Missing("DNS provider of the name that is the usual one"));
        }
        if runtimes.is_empty() {
            return Err(RegistryError::Missing("runtime"));
        }
        for name in [StrategyName::BlueGreen, StrategyName::Recreate] {
            if !strategies.contains_key(&name) {
                return Err(RegistryError::Missing("strategy bluegreen and recreate"));
            }
        }
        let of_kind = self.ingresses.into_iter().map(|ingress| (ingress.caps().kind, ingress));
        let ingresses = unique(of_kind, "ingress")?;
        let only_one = ingresses.keys().next().copied().filter(|_| ingresses.len() == 1);
        let default_ingress = self.default_ingress.or(only_one);
        let default_ingress = default_ingress.filter(|kind| ingresses.contains_key(kind));
        let default_ingress = default_ingress.ok_or(RegistryError::Missing("ingress"))?;
        let probe = only(self.probe, "health probe")?;
        let certs = match (self.certs.is_empty(), issuers.is_empty()) {
            (true, true) => None,
            _ => Some(only(self.certs, "certificate store")?),
        };
        let names = if self.names.is_empty() { None } else { Some(only(self.names, "name probe")?) };
        Ok(Registry {
            runtimes,
            ingresses,
            default_ingress,
            probe,
            strategies,
            issuers,
            certs,
            solvers,
            default_solver,
            names,
        })
    }
}

/// Adapters by their names, each of which stands once.
fn unique<N: Ord + Clone + std::fmt::Display, A>(
    adapters: impl IntoIterator<Item = (N, A)>,
    port: &str,
) -> Result<BTreeMap<N, A>, RegistryError> {
    let mut unique = BTreeMap::new();
    for (name, adapter) in adapters {
        if unique.insert(name.clone(), adapter).is_some() {
            return Err(RegistryError::Duplicate(format!("{port} {name}")));
        }
    }
    Ok(unique)
}

fn only<T>(mut adapters: Vec<T>, port: &'static str) -> Result<T, RegistryError> {
    match (adapters.pop(), adapters.is_empty()) {
        (Some(adapter), true) => Ok(adapter),
        (Some(_), false) => Err(RegistryError::Duplicate(port.to_owned())),
        (None, _) => Err(RegistryError::Missing(port)),
    }
}
