//! Flags over the file.

use std::path::Path;

use nd_api::Manifest;
use nd_api::manifest::{CommandLine, VolumeMount, VolumeSource};

use super::env_files;
use crate::args::{HealthFlags, WorkloadFlags};
use crate::failure::Failure;

/// Writes what the flags say over what the file says.
pub(super) fn apply(
    manifest: &mut Manifest,
    flags: &WorkloadFlags,
    health: &HealthFlags,
    command: &[String],
) -> Result<(), Failure> {
    workload(manifest, flags, command)?;
    env_files::lay_over(manifest, &flags.env_file, &flags.variables)?;
    let app = &mut manifest.app;
    app.port = flags.port.or(app.port);
    app.domain = flags.domain.clone().or(app.domain.take());
    app.resources.memory_max = flags.memory.or(app.resources.memory_max);
    let container = &mut manifest.deployment.container;
    if !flags.ports.is_empty() {
        container.ports.clone_from(&flags.ports);
    }
    if !flags.volume.is_empty() {
        container.volumes = flags.volume.iter().map(from_here).collect::<Result<_, _>>()?;
    }
    container.restart = flags.restart.or(container.restart);
    let check = &mut container.healthcheck;
    if let Some(path) = &health.health_check {
        (check.path, check.tcp, check.cmd) = (Some(rooted(path)), None, None);
    }
    check.port = health.health_port.or(check.port);
    check.timeout = health.health_timeout.or(check.timeout);
    check.interval = health.health_interval.or(check.interval);
    manifest.restart.max = flags.max_restarts.or(manifest.restart.max);
    manifest.restart.max_memory = flags.max_memory.or(manifest.restart.max_memory);
    manifest.scale.instances = flags.instances.or(manifest.scale.instances);
    Ok(())
}

fn workload(manifest: &mut Manifest, flags: &WorkloadFlags, command: &[String]) -> Result<(), Failure> {
    if let Some(image) = &flags.image {
        (manifest.image, manifest.command, manifest.runtime) = (Some(image.clone()), None, None);
        manifest.upstream = None;
    }
    if !command.is_empty() {
        manifest.command = Some(CommandLine::Exec(command.to_vec()));
        if flags.image.is_none() {
            (manifest.image, manifest.upstream, manifest.runtime) = (None, None, None);
        }
    }
    if let Some(cwd) = &flags.cwd {
        manifest.cwd = Some(absolute(cwd)?);
    }
    manifest.user = flags.user.clone().or(manifest.user.take());
    Ok(())
}

/// A path of a flag starts where the user stands, not where the file lies.
fn from_here(volume: &VolumeMount) -> Result<VolumeMount, Failure> {
    match &volume.source {
        VolumeSource::Path(path) => {
            let source = VolumeSource::Path(absolute(Path::new(path))?);
            Ok(VolumeMount { source, ..volume.clone() })
        }
        VolumeSource::Named(_) => Ok(volume.clone()),
    }
}

fn absolute(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let whole =
        std::path::absolute(path).map_err(|error| Failure::usage(format!("find {shown}: {error}")))?;
    let whole: std::path::PathBuf = whole.components().collect();
    whole.into_os_string().into_string().map_err(|_| Failure::usage(format!("path {shown} is not UTF-8")))
}

fn rooted(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}
