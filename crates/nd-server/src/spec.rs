//! A manifest becomes the spec of a release, with the checks that only the daemon can make.
//!
//! One function fills a spec in, whether it starts from the defaults or, for `swap` and `start --name=app
//! --restart=always`, from what the app runs now: what the manifest says is set, what it leaves out stays.

mod changes;
mod policy;
mod tls;
mod traffic;
mod workload;

use std::path::{Path, PathBuf};

use nd_api::Manifest;
use nd_api::manifest::{Environment, Instances};
use nd_api::v1::FieldError;
use nd_core::spec::AppSpec;
use nd_types::{IngressKind, RuntimeKind};

use crate::identity::Caller;
use crate::refusal::Refusal;

pub(crate) use changes::changes;
pub(crate) use policy::written_policy;

/// What a conversion knows beside the manifest.
#[derive(Clone, Debug)]
pub(crate) struct Context<'c> {
    /// What the app runs now, where the manifest only changes it.
    pub(crate) base: Option<&'c AppSpec>,
    /// Where relative paths start.
    pub(crate) base_dir: Option<&'c Path>,
    /// The `PATH` that finds the command of a plain process.
    pub(crate) search_path: Option<&'c str>,
    /// Who asks.
    pub(crate) caller: &'c Caller,
    /// The user the daemon runs as.
    pub(crate) daemon_uid: u32,
}

/// A spec, and what belongs to the app rather than to one release.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) spec: AppSpec,
    pub(crate) replicas: Option<u16>,
    pub(crate) protected: Option<bool>,
    pub(crate) ingress: Option<IngressKind>,
    pub(crate) notes: Vec<String>,
}

/// Makes the spec that a manifest describes.
pub(crate) fn build(manifest: &Manifest, context: &Context<'_>) -> Result<Built, Refusal> {
    let workload = workload::workload(manifest, context)?;
    let mut spec = match context.base {
        // The port of an upstream is not that of what takes its place.
        Some(base) if base.runtime() == RuntimeKind::External => {
            AppSpec { workload, port: None, ..base.clone() }
        }
        Some(base) => AppSpec { workload, ..base.clone() },
        None => AppSpec::new(workload),
    };
    let mut notes = Vec::new();
    environment(manifest, &mut spec);
    workload::resources(manifest, &mut spec);
    workload::volumes(manifest, context, &mut spec)?;
    traffic::apply(manifest, &mut spec, &mut notes)?;
    tls::apply(manifest, context.base.is_none(), &mut spec)?;
    workload::mirror(manifest, &mut spec);
    policy::readiness(manifest, &mut spec);
    policy::restart(manifest, &mut spec, &mut notes)?;
    policy::rollout(manifest, &mut spec);
    let spec = if spec.runtime() == RuntimeKind::External { workload::elsewhere(spec) } else { spec };
    let one = (spec.runtime() == RuntimeKind::External).then_some(1);
    let replicas = one.or_else(|| manifest.scale.instances.map(instances));
    let ingress = manifest.app.proxy_type.map(IngressKind::from);
    Ok(Built { spec, replicas, protected: manifest.app.deletion_protection, ingress, notes })
}

/// How many instances a word or number means on this host.
pub(crate) fn instances(wanted: Instances) -> u16 {
    match wanted {
        Instances::Count(count) => count.get(),
        Instances::Max => std::thread::available_parallelism()
            .map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(Instances::LIMIT).min(Instances::LIMIT)),
    }
}

/// Variables of the manifest, and those that name the user's environment, which a written one outranks.
fn environment(manifest: &Manifest, spec: &mut AppSpec) {
    if let Some(environment) = manifest.app.environment {
        let long = match environment {
            Environment::Dev => "development",
            Environment::Staging => "staging",
            Environment::Prod => "production",
        };
        spec.env.insert(ENVIRONMENT.to_owned(), environment.as_str().to_owned());
        spec.env.insert("NODE_ENV".to_owned(), long.to_owned());
    }
    spec.env.extend(manifest.env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
}

/// The variable that tells an app which of the user's environments it belongs to.
pub(crate) const ENVIRONMENT: &str = "NEXTDEPLOY_ENV";

/// A mistake at one key of the manifest.
fn mistake(pointer: &str, message: impl Into<String>, help: impl Into<String>) -> Refusal {
    let (message, help) = (message.into(), help.into());
    let error = FieldError {
        pointer: Some(pointer.to_owned()),
        message: message.clone(),
        help: Some(help.clone()),
        ..FieldError::default()
    };
    Refusal::unprocessable(message).errors(vec![error]).fix(help)
}

/// A path of the manifest on the daemon's host.
fn absolute(path: &str, pointer: &str, context: &Context<'_>) -> Result<PathBuf, Refusal> {
    let path = Path::new(path);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    match context.base_dir {
        Some(base) => Ok(base.join(path).components().collect()),
        None => {
            let message = format!("`{}` is relative, and the daemon does not know to what", path.display());
            Err(mistake(pointer, message, "write an absolute path of the server"))
        }
    }
}

#[cfg(test)]
mod tests;
