//! The one way from a deploy request to the engine, whatever path it came on.

use std::path::Path;
use std::time::Duration;

use nd_api::Manifest;
use nd_api::v1::{DeployBody, RegistryAuth as WrittenAuth};
use nd_config::Workload as Wanted;
use nd_core::engine::{Accepted, DeployRequest};
use nd_core::model::AppPhase;
use nd_core::ports::RegistryAuth;
use nd_core::records::DeploymentStatus;
use nd_core::spec::{AppSpec, Workload};
use nd_types::DeploymentId;

use crate::idempotency::Keyed;
use crate::identity::Caller;
use crate::passwords;
use crate::refusal::Refusal;
use crate::server::Api;
use crate::spec::{self, Built, Context};
use crate::views::domain;

/// How long a deployment without a wish of its own waits for the one before it.
const QUEUE: Duration = Duration::from_secs(600);

/// Reads the manifest of a body, with all its mistakes at once.
pub(super) fn checked(
    body: DeployBody<serde_json::Value>,
) -> Result<(DeployBody<Manifest>, Vec<String>), Refusal> {
    let wanted = if body.inherit { Wanted::Optional } else { Wanted::Required };
    match nd_config::manifest_from_json(&body.manifest, wanted) {
        Ok(checked) => Ok((body.with_manifest(checked.manifest), checked.notes.to_notes())),
        Err(report) => {
            let errors = report.to_field_errors();
            let title = match errors.as_slice() {
                [one] => one.message.clone(),
                all => format!("the manifest has {} mistakes", all.len()),
            };
            let fix = errors.iter().filter_map(|error| error.help.clone()).collect();
            Err(Refusal { fix, ..Refusal::unprocessable(title).errors(errors) })
        }
    }
}

/// The same body without a password that could be read; what the app has now is kept where it fits.
pub(super) async fn sealed(
    api: &Api,
    mut body: DeployBody<Manifest>,
) -> Result<DeployBody<Manifest>, Refusal> {
    let status = api.engine().status(&body.manifest.app.name);
    body.manifest = passwords::hash(body.manifest, status.and_then(|status| status.spec.clone())).await?;
    Ok(body)
}

/// Makes the spec that a body describes.
pub(super) fn built(api: &Api, caller: &Caller, body: &DeployBody<Manifest>) -> Result<Built, Refusal> {
    let app = &body.manifest.app.name;
    let status = api.engine().status(app);
    let base = if body.inherit {
        let status = status.as_ref().ok_or_else(|| Refusal::unknown_app(app))?;
        Some(status.declared().ok_or_else(|| Refusal::unknown_app(app))?)
    } else {
        None
    };
    let context = Context {
        base: base.as_deref(),
        base_dir: body.base_dir.as_deref().map(Path::new),
        search_path: body.search_path.as_deref(),
        caller,
        daemon_uid: api.facts.uid,
    };
    let mut built = spec::build(&body.manifest, &context)?;
    if let Some(status) = &status {
        built.notes.extend(domain::drift(status, &built.spec.routes));
    }
    if let Some(strategy) = body.strategy {
        built.spec.strategy = Some(strategy);
    }
    if let Some(steps) = &body.canary_steps {
        let rise = steps.is_sorted_by(|one, next| one < next);
        if steps.is_empty() || !rise || !steps.iter().all(|percent| (1..=100).contains(percent)) {
            return Err(Refusal::unprocessable("canary_steps must rise from 1 to 100"));
        }
        built.spec.rollout.canary.steps.clone_from(steps);
    }
    Ok(built)
}

/// The deployment that has already made serve what is asked for, as long as it runs as it should.
///
/// Only an image that is named by its digest is known to be the same: behind a tag or a command there may be other code
/// than the last time, and so those are deployed again.
pub(super) fn unchanged(api: &Api, body: &DeployBody<Manifest>, built: &Built) -> Option<DeploymentId> {
    let status = api.engine().status(&body.manifest.app.name)?;
    let spec = status.spec.as_deref()?;
    let pinned = matches!(&spec.workload, Workload::Image(image) if image.reference.contains("@sha256:"));
    let whole = status.declared().is_some_and(|declared| declared.routes == spec.routes);
    let runs = whole && status.settled && status.phase == AppPhase::Running && status.rollout.is_none();
    // How a release takes over is not part of what it is.
    let asked = AppSpec { strategy: spec.strategy, rollout: spec.rollout.clone(), ..built.spec.clone() };
    let same_ingress = built.ingress.is_none_or(|kind| kind == api.engine().ingress_of(&status));
    let same =
        same_ingress && asked == *spec && built.replicas.is_none_or(|replicas| replicas == status.replicas);
    if !(pinned && runs && same) {
        return None;
    }
    let deployments = api.engine().deployments(Some(&status.app)).into_iter();
    let mut brought = deployments.filter(|deployment| {
        Some(&deployment.release) == status.release.as_ref()
            && deployment.status == DeploymentStatus::Succeeded
    });
    brought.next().map(|deployment| deployment.id)
}

/// Begins a deployment.
pub(super) async fn begin(
    api: &Api,
    caller: &Caller,
    body: DeployBody<Manifest>,
    built: Built,
    notes: Vec<String>,
    keyed: Option<Keyed>,
) -> Result<Accepted, Refusal> {
    let lock_wait = body.lock_wait_ms.map_or(QUEUE, Duration::from_millis);
    let request = DeployRequest {
        app: body.manifest.app.name,
        spec: built.spec,
        replicas: built.replicas,
        protected: built.protected,
        ingress: built.ingress,
        auth: body.registry_auth.map(login).transpose()?,
        actor: caller.actor(),
        message: body.message,
        request: keyed.map(|keyed| keyed.to_string()),
        lock_wait,
        deadline: None,
        notes: notes.into_iter().chain(built.notes).collect(),
    };
    Ok(api.engine().deploy(request).await?)
}

fn login(auth: WrittenAuth) -> Result<RegistryAuth, Refusal> {
    match auth.identity_token {
        // A token that stands for both travels as the password of the user that registries reserve for it.
        Some(token) => Ok(RegistryAuth { username: "<token>".to_owned(), password: token }),
        None if auth.username.is_empty() => Err(Refusal::invalid("registry_auth has no username")),
        None => Ok(RegistryAuth { username: auth.username, password: auth.password }),
    }
}
