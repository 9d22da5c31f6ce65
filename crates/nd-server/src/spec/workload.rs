//! What runs, with how much of the machine, and what it keeps.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use nd_api::Manifest;
use nd_api::manifest::{CommandLine, VolumeSource as WrittenSource};
use nd_core::spec::{
    AppSpec, CommandSpec, ImageSpec, MirrorSpec, ProbeKind, ReadinessSpec, Resources, RestartSpec, StopSpec,
    VolumeSource, VolumeSpec, Workload,
};
use nd_types::RuntimeKind;

use super::{Context, absolute, mistake};
use crate::identity::Caller;
use crate::refusal::Refusal;

/// The longest wait until a server that does not answer is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What the manifest says to run; what it leaves out is taken from what runs now.
pub(super) fn workload(manifest: &Manifest, context: &Context<'_>) -> Result<Workload, Refusal> {
    let base = context.base.map(|base| &base.workload);
    if let Some(upstream) = &manifest.upstream {
        return Ok(Workload::External(upstream.clone()));
    }
    match (&manifest.image, &manifest.command, base) {
        (Some(image), command, _) => {
            let kept = match base {
                Some(Workload::Image(kept)) => Some(kept),
                Some(Workload::Command(_) | Workload::External(_)) | None => None,
            };
            Ok(Workload::Image(image_spec(image.as_str(), command.as_ref(), manifest, kept)))
        }
        (None, command, Some(Workload::Image(kept))) if manifest.runtime != Some(RuntimeKind::Process) => {
            Ok(Workload::Image(image_spec(&kept.reference, command.as_ref(), manifest, Some(kept))))
        }
        (None, None, Some(Workload::Command(kept))) => {
            let mut kept = kept.clone();
            if let Some(cwd) = &manifest.cwd {
                kept.cwd = absolute(cwd, "/cwd", context)?;
            }
            if manifest.user.is_some() {
                kept.user = user(manifest, context)?;
            }
            Ok(Workload::Command(kept))
        }
        (None, None, Some(Workload::External(kept))) => Ok(Workload::External(kept.clone())),
        (None, Some(_), _) if manifest.runtime == Some(RuntimeKind::Docker) => {
            Err(mistake("/image", "`runtime: docker` needs an `image`", "write `image: REF`"))
        }
        (None, Some(command), _) => Ok(Workload::Command(command_spec(command, manifest, context)?)),
        (None, None, _) => Err(mistake(
            "/image",
            "nothing says what runs: `image` or `command` is missing",
            "write `image: REF` for a container, `command: …` for a plain process, or `upstream: …` for a server that runs elsewhere",
        )),
    }
}

fn image_spec(
    reference: &str,
    command: Option<&CommandLine>,
    manifest: &Manifest,
    kept: Option<&ImageSpec>,
) -> ImageSpec {
    let command = command.map(CommandLine::argv).or_else(|| kept.map(|kept| kept.command.clone()));
    let user = manifest.user.clone().or_else(|| kept.and_then(|kept| kept.user.clone()));
    let entrypoint = manifest.entrypoint.clone().or_else(|| kept.and_then(|kept| kept.entrypoint.clone()));
    let working_dir = manifest.working_dir.clone().or_else(|| kept.and_then(|kept| kept.working_dir.clone()));
    let written = &manifest.deployment.container.aliases;
    let aliases = match kept {
        Some(kept) if written.is_empty() => kept.aliases.clone(),
        _ => written.iter().filter(|alias| **alias != manifest.app.name.as_str()).cloned().collect(),
    };
    ImageSpec {
        reference: reference.to_owned(),
        entrypoint,
        command: command.unwrap_or_default(),
        working_dir,
        user,
        aliases,
    }
}

fn command_spec(
    command: &CommandLine,
    manifest: &Manifest,
    context: &Context<'_>,
) -> Result<CommandSpec, Refusal> {
    let cwd = match (&manifest.cwd, context.base_dir) {
        (Some(cwd), _) => absolute(cwd, "/cwd", context)?,
        (None, Some(base)) => base.to_owned(),
        (None, None) => PathBuf::from("/"),
    };
    Ok(CommandSpec {
        argv: command.argv(),
        cwd,
        user: user(manifest, context)?,
        path: context.search_path.map(str::to_owned),
    })
}

/// The user a plain process runs as: a daemon of root runs it as whoever asks, and as root only where that is written.
/// Any other daemon can run it as itself alone.
fn user(manifest: &Manifest, context: &Context<'_>) -> Result<Option<String>, Refusal> {
    if context.daemon_uid != 0 {
        return Ok(manifest.user.clone());
    }
    let written = manifest.user.as_deref();
    match (written, context.caller) {
        (_, Caller::Dev) => Ok(manifest.user.clone()),
        (Some(written), Caller::Peer { uid, name, .. }) if *uid != 0 => {
            let own = name.as_deref() == Some(written) || uid.to_string() == written;
            if own {
                return Ok(Some(written.to_owned()));
            }
            let message = format!("only root may run a process as another user (`{written}`)");
            Err(mistake("/user", message, "leave `user` out to run it as yourself"))
        }
        (Some(written), _) => Ok(Some(written.to_owned())),
        (None, Caller::Peer { uid, gid, name }) if *uid != 0 => {
            Ok(Some(name.clone().unwrap_or_else(|| format!("{uid}:{gid}"))))
        }
        (None, _) => Err(mistake(
            "/user",
            "the process would run as root",
            "write `user: NAME` (--user NAME); `user: root` if it must be root",
        )),
    }
}

pub(super) fn resources(manifest: &Manifest, spec: &mut AppSpec) {
    let written = &manifest.app.resources;
    if let Some(quota) = written.cpu_quota {
        spec.resources.cpu_millis = NonZeroU32::new(quota.percent().saturating_mul(10));
    }
    if let Some(memory) = written.memory_max {
        spec.resources.memory = Some(memory);
    }
    if let Some(pids) = written.pids {
        spec.resources.pids = NonZeroU32::new(pids);
    }
}

/// The directories that main and mirror share: one volume each, mounted into all instances.
pub(super) fn mirror(manifest: &Manifest, spec: &mut AppSpec) {
    let Some(written) = &manifest.mirror else { return };
    let cooldown = written.cooldown.or(spec.mirror.map(|mirror| mirror.cooldown));
    spec.mirror = Some(cooldown.map_or_else(MirrorSpec::default, |cooldown| MirrorSpec { cooldown }));
    spec.limits.sticky |= written.sticky.is_some();
    if !matches!(spec.workload, Workload::Image(_)) {
        return;
    }
    for path in &written.sync {
        // What is mounted there already is shared as it is.
        if spec.volumes.iter().all(|volume| volume.target != *path) {
            let words: Vec<&str> =
                path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
            let source = VolumeSource::Named(format!("{}-sync-{}", manifest.app.name, words.join("-")));
            spec.volumes.push(VolumeSpec { source, target: path.clone(), read_only: false });
        }
    }
}

/// A server that something else runs has nothing of what says how an instance runs here. To start it again is to look for
/// it again, which neither ends nor waits long.
pub(super) fn elsewhere(spec: AppSpec) -> AppSpec {
    let ReadinessSpec { kind, .. } = &spec.readiness;
    let kind = match kind {
        ProbeKind::Command(_) => ProbeKind::Auto,
        ProbeKind::Auto | ProbeKind::Tcp | ProbeKind::Http(_) => kind.clone(),
    };
    AppSpec {
        env: BTreeMap::new(),
        volumes: Vec::new(),
        resources: Resources::default(),
        readiness: ReadinessSpec { kind, message: false, ..spec.readiness },
        restart: RestartSpec { crash_threshold: u32::MAX, max_delay: LOOK_AGAIN, ..RestartSpec::default() },
        stop: StopSpec::default(),
        mirror: None,
        sleep_after: None,
        direct: false,
        ..spec
    }
}

pub(super) fn volumes(manifest: &Manifest, context: &Context<'_>, spec: &mut AppSpec) -> Result<(), Refusal> {
    let written = &manifest.deployment.container.volumes;
    if written.is_empty() || !matches!(spec.workload, Workload::Image(_)) {
        return Ok(());
    }
    let mut volumes = Vec::with_capacity(written.len());
    for (index, volume) in written.iter().enumerate() {
        let pointer = format!("/deployment/container/volumes/{index}");
        let source = match &volume.source {
            WrittenSource::Named(name) => VolumeSource::Named(name.clone()),
            WrittenSource::Path(path) => VolumeSource::Path(absolute(path, &pointer, context)?),
        };
        volumes.push(VolumeSpec { source, target: volume.target.clone(), read_only: volume.read_only });
    }
    spec.volumes = volumes;
    Ok(())
}
