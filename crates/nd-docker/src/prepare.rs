//! Images: is it here, can it be fetched, can it run.

mod progress;
mod pull;
mod reference;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bollard::models::ImageInspect;
use nd_core::ports::{PortError, PortErrorKind, PortResult, Prepared, Progress, RegistryAuth};
use nd_core::spec::{AppSpec, ImageSpec, Workload};
use parking_lot::Mutex;

use crate::adopt;
use crate::engine::{EngineError, EngineInfo};
use crate::failure::port_error;
use crate::observed;
use crate::runtime::Shared;
use reference::Reference;

/// Pulls under way, by reference: whoever needs the same image waits for it instead of asking for it again.
#[derive(Debug, Default)]
pub(crate) struct Pulls(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Pulls {
    fn of(&self, reference: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut pulls = self.0.lock();
        pulls.retain(|_, pull| pull.strong_count() > 0);
        if let Some(pull) = pulls.get(reference).and_then(Weak::upgrade) {
            return pull;
        }
        let pull = Arc::default();
        pulls.insert(reference.to_owned(), Arc::downgrade(&pull));
        pull
    }
}

/// Makes sure that the image is on the engine, and says what is known about it.
pub(crate) async fn prepare(
    shared: &Arc<Shared>,
    spec: &AppSpec,
    auth: Option<&RegistryAuth>,
    progress: &Progress,
) -> PortResult<Prepared> {
    let Workload::Image(image) = &spec.workload else {
        return Err(PortError::new(PortErrorKind::Invalid, "a command of the host is no image"));
    };
    let reference = Reference::parse(&image.reference).map_err(|why| {
        PortError::new(PortErrorKind::Invalid, format!("image `{}`: {why}", image.reference))
    })?;
    let inspected = match local(shared, &reference).await? {
        Some(inspected) => inspected,
        None => fetch(shared, &reference, auth, progress).await?,
    };
    let session =
        shared.engine.session().await.map_err(|error| port_error("ask the docker engine", error))?;
    prepared(image, &inspected, &session.info)
}

async fn fetch(
    shared: &Arc<Shared>,
    reference: &Reference,
    auth: Option<&RegistryAuth>,
    progress: &Progress,
) -> PortResult<ImageInspect> {
    let pull = shared.pulls.of(reference.as_str());
    let _pulling = pull.lock().await;
    // Another deployment may have fetched it while this one waited.
    if let Some(inspected) = local(shared, reference).await? {
        return Ok(inspected);
    }
    pull::pull(shared, reference, auth, progress).await?;
    local(shared, reference).await?.ok_or_else(|| {
        let context = format!("pull image {reference}: the engine says it is there, but cannot find it");
        PortError::new(PortErrorKind::Internal, context)
    })
}

/// The image, when the engine has it. What is there is used: an image is only fetched when it is missing.
async fn local(shared: &Arc<Shared>, reference: &Reference) -> PortResult<Option<ImageInspect>> {
    let name = reference.as_str();
    match shared.engine.call(async |docker| docker.inspect_image(name).await).await {
        Ok(image) => Ok(Some(image)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error @ EngineError::Refused { .. }) if error.says("no such image") => Ok(None),
        Err(error) => Err(port_error(&format!("look for image {reference}"), error)),
    }
}

fn prepared(image: &ImageSpec, inspected: &ImageInspect, engine: &EngineInfo) -> PortResult<Prepared> {
    let config = inspected.config.clone().unwrap_or_default();
    let empty = |argv: &Option<Vec<String>>| argv.as_ref().is_none_or(Vec::is_empty);
    let entrypoint = image.entrypoint.as_ref().or(config.entrypoint.as_ref());
    // An entrypoint that is said takes the image's command away.
    let own_command = empty(&image.entrypoint) && !empty(&config.cmd);
    if image.command.is_empty() && !own_command && entrypoint.is_none_or(Vec::is_empty) {
        let context = format!("image {} has no command of its own", image.reference);
        return Err(
            PortError::new(PortErrorKind::Invalid, context).with_fix("say what to run with `command:`")
        );
    }
    let built_for =
        inspected.architecture.as_deref().filter(|arch| !arch.is_empty() && !engine.arch.is_empty());
    let foreign = built_for.filter(|arch| *arch != engine.arch);
    let note =
        |arch| format!("image {} is built for {arch}, this engine runs on {}", image.reference, engine.arch);
    Ok(Prepared {
        image_id: inspected.id.clone().filter(|id| !id.is_empty()),
        exposed: adopt::tcp_ports(config.exposed_ports.as_ref()),
        healthcheck: observed::declares(config.healthcheck.as_ref()),
        notes: foreign.map(note).into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use bollard::models::{HealthConfig, ImageConfig};

    use super::*;

    fn engine() -> EngineInfo {
        EngineInfo { version: "28.0".into(), api: "1.48".into(), os: "linux".into(), arch: "amd64".into() }
    }

    fn image(command: &[&str]) -> ImageSpec {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        ImageSpec { command, ..ImageSpec::new("shop:2") }
    }

    fn inspected(config: ImageConfig) -> ImageInspect {
        ImageInspect {
            id: Some("sha256:abc".to_owned()),
            architecture: Some("arm64".to_owned()),
            config: Some(config),
            ..Default::default()
        }
    }

    #[test]
    fn an_image_says_its_ports_its_health_check_and_its_architecture() {
        let test = Some(vec!["CMD".to_owned(), "/check".to_owned()]);
        let config = ImageConfig {
            cmd: Some(vec!["/app".to_owned()]),
            exposed_ports: Some(vec!["80/tcp".to_owned()]),
            healthcheck: Some(HealthConfig { test, ..Default::default() }),
            ..Default::default()
        };
        let prepared = prepared(&image(&[]), &inspected(config), &engine()).unwrap();
        assert_eq!(prepared.image_id.as_deref(), Some("sha256:abc"));
        assert_eq!((prepared.exposed.len(), prepared.healthcheck), (1, true));
        assert_eq!(prepared.notes, ["image shop:2 is built for arm64, this engine runs on amd64"]);
    }

    #[test]
    fn an_image_without_a_command_needs_one() {
        let nothing = || inspected(ImageConfig::default());
        let error = prepared(&image(&[]), &nothing(), &engine()).unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Invalid);
        assert!(prepared(&image(&["/app"]), &nothing(), &engine()).is_ok());
    }

    #[test]
    fn whoever_needs_the_same_image_waits_for_the_same_pull() {
        let pulls = Pulls::default();
        let first = pulls.of("a:1");
        assert!(Arc::ptr_eq(&first, &pulls.of("a:1")));
        assert!(!Arc::ptr_eq(&first, &pulls.of("b:1")));
        drop(first);
        pulls.of("c:1");
        assert_eq!(pulls.0.lock().len(), 1);
    }
}
