//! What brings requests to apps: the daemon's own proxy, and servers beside it that a user may have.

use std::sync::Arc;

use nd_core::RegistryBuilder;
use nd_core::ports::Ingress;
use nd_ingress::{CaddySettings, NginxSettings, caddy_ingress, nginx_ingress};
use nd_types::IngressKind;
use serde::Deserialize;

use crate::options::Chosen;
use crate::paths::Paths;
use crate::proxy::is_service_of_systemd;
use crate::run::RunError;
use crate::wiring::adapter;

/// The table `[ingress]` of `nextdeployd.toml`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// What serves apps that name nothing else.
    pub(crate) kind: IngressKind,
}

/// Registers all of them. Those beside us are reached for the first time when an app wants them.
pub(crate) fn register(
    builder: RegistryBuilder,
    own: Arc<dyn Ingress>,
    chosen: &Chosen,
    paths: &Paths,
) -> Result<RegistryBuilder, RunError> {
    let kept = paths.data.join("ingress");
    let caddy = caddy_ingress(&adapter::<CaddySettings>(chosen, "caddy")?, kept.join("caddy"));
    let settings = adapter::<NginxSettings>(chosen, "nginx")?;
    let nginx = nginx_ingress(settings, kept.join("nginx"), is_service_of_systemd());
    let caddy = caddy.map_err(|error| {
        let fix = error.fix.as_deref().map_or_else(String::new, |fix| format!("; {fix}"));
        RunError::Config(format!("{error}{fix}"))
    })?;
    let kind = adapter::<Settings>(chosen, "ingress")?.kind;
    Ok(builder.ingress(own).ingress(caddy).ingress(nginx).default_ingress(kind))
}
