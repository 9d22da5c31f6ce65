//! A deploy request: file, flags and surroundings in one body.

use std::path::{Path, PathBuf};

use nd_api::Manifest;
use nd_api::manifest::{Environment, ImageRef};
use nd_api::v1::DeployBody;
use nd_client::Host;
use nd_config::Workload;
use nd_types::RuntimeKind;

use super::{client_ca, ecosystem, env_files, error_pages, file, flags, name, registry};
use crate::args::{DeployArgs, Global, HealthFlags, StartArgs, WorkloadFlags};
use crate::failure::Failure;
use crate::output::Output;
use crate::targets;

/// What the user asks for, whichever command it was typed with.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) source: Option<&'a str>,
    pub(crate) workload: &'a WorkloadFlags,
    pub(crate) health: &'a HealthFlags,
    pub(crate) command: &'a [String],
    pub(crate) environment: Option<Environment>,
    /// Whether a file in this directory counts although nobody named it.
    pub(crate) looks_for_file: bool,
    /// Whether what is not said stays as the app has it.
    pub(crate) inherit: bool,
}

impl<'a> Asked<'a> {
    pub(crate) fn of_deploy(args: &'a DeployArgs, global: &Global) -> Self {
        let environment = global.env.or(args.prod.then_some(Environment::Prod));
        Self {
            source: args.source.as_deref(),
            workload: &args.workload,
            health: &args.health,
            command: &args.command,
            environment,
            looks_for_file: true,
            inherit: false,
        }
    }

    pub(crate) fn of_start(args: &'a StartArgs, global: &Global, source: Option<&'a str>) -> Self {
        Self {
            source,
            workload: &args.workload,
            health: &args.health,
            command: &args.command,
            environment: global.env,
            looks_for_file: false,
            inherit: false,
        }
    }
}

/// Makes the body of a deploy request for each app that is meant, in the order in which they are to be deployed, and
/// prints what there is to say about the file.
pub(crate) async fn requests(
    asked: &Asked<'_>,
    global: &Global,
    host: &Host,
    output: &Output,
) -> Result<Vec<DeployBody>, Failure> {
    let source = Source::of(asked, global)?;
    let here =
        std::env::current_dir().map_err(|error| Failure::usage(format!("find this directory: {error}")))?;
    let read = match &source.file {
        Some(path) => from_file(path, asked, output).await?,
        None => None,
    };
    let (manifests, dir) = match read {
        Some(read) => read,
        None => (vec![Manifest::new(named(asked, &source, &here)?)], here),
    };
    let image = source.image.or_else(|| asked.workload.image.clone());
    let workload = WorkloadFlags { image, ..asked.workload.clone() };
    let describes = workload.says_something() || asked.health.says_something() || !asked.command.is_empty();
    if manifests.len() > 1 && describes {
        let names: Vec<_> = manifests.into_iter().map(|manifest| manifest.app.name).collect();
        return Err(targets::which(&names).fix("--name APP"));
    }
    let mut bodies = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        bodies.push(body(manifest, &dir, &workload, asked, host, output).await?);
    }
    Ok(bodies)
}

async fn body(
    mut manifest: Manifest,
    dir: &Path,
    workload: &WorkloadFlags,
    asked: &Asked<'_>,
    host: &Host,
    output: &Output,
) -> Result<DeployBody, Failure> {
    manifest.app.environment = asked.environment.or(manifest.app.environment);
    env_files::fold_in(&mut manifest, dir)?;
    error_pages::fold_in(&mut manifest, dir)?;
    client_ca::fold_in(&mut manifest, dir)?;
    flags::apply(&mut manifest, workload, asked.health, asked.command)?;
    let is_process = manifest.runtime() == RuntimeKind::Process && manifest.command.is_some();
    if is_process && manifest.user.is_none() {
        manifest.user = caller_behind_sudo();
    }
    let mut notes = Vec::new();
    let auth = match &manifest.image {
        Some(image) => registry::login(image.as_str(), &mut notes).await,
        None => None,
    };
    notes.iter().for_each(|note| output.warning(note));
    let local = host.is_local();
    Ok(DeployBody {
        inherit: asked.inherit,
        registry_auth: auth,
        base_dir: local.then(|| dir.to_string_lossy().into_owned()),
        search_path: std::env::var("PATH").ok().filter(|_| local),
        ..DeployBody::new(manifest)
    })
}

/// Where the app is described.
struct Source {
    file: Option<PathBuf>,
    image: Option<ImageRef>,
}

impl Source {
    /// `deploy DIR`, `deploy IMAGE`, or this directory.
    fn of(asked: &Asked<'_>, global: &Global) -> Result<Self, Failure> {
        let config = global.config.as_deref();
        let Some(text) = asked.source else {
            let here = config.is_some() || asked.looks_for_file;
            let file = if here { file::find(config, Path::new("")) } else { None };
            return Ok(Self { file, image: None });
        };
        let path = Path::new(text);
        if path.is_dir() {
            let file = file::find(config, path);
            let says = asked.workload.image.is_some() || !asked.command.is_empty();
            if file.is_none() && !says {
                return Err(Failure::usage(format!("there is no nextdeploy.yml in {}", path.display())));
            }
            return Ok(Self { file, image: None });
        }
        if path.is_file() {
            return Ok(Self { file: Some(path.to_owned()), image: None });
        }
        let image = text.parse().map_err(|error| {
            Failure::usage(format!("`{text}` is neither a directory nor an image: {error}"))
        })?;
        Ok(Self { file: config.map(Path::to_owned), image: Some(image) })
    }
}

/// What the file says of its apps, or of the one that is named; nothing where it is the file of another app than the
/// one that the flags describe.
async fn from_file(
    path: &Path,
    asked: &Asked<'_>,
    output: &Output,
) -> Result<Option<(Vec<Manifest>, PathBuf)>, Failure> {
    let says = asked.workload.image.is_some() || !asked.command.is_empty() || asked.source.is_some();
    let workload = if says || asked.inherit { Workload::Optional } else { Workload::Required };
    let read = if ecosystem::is_ecosystem(path) {
        let text = ecosystem::imported(path, output).await?.yaml;
        file::parse(path, &text, asked.environment, workload)?
    } else {
        file::read(path, asked.environment, workload)?
    };
    let mut manifests = read.manifests;
    if let Some(name) = &asked.workload.name {
        let apps: Vec<_> = manifests.iter().map(|manifest| manifest.app.name.to_string()).collect();
        manifests.retain(|manifest| manifest.app.name == *name);
        if manifests.is_empty() {
            let title = format!("{} is app `{}`", path.display(), apps.join("`, `"));
            if !says {
                return Err(Failure::usage(format!("{title}, not `{name}`"))
                    .fix("leave out --name, or change app.name in the file"));
            }
            output.warning(&format!("{title} and is not used"));
            return Ok(None);
        }
    }
    if !read.notes.is_empty() && output.talks() {
        output.report(&read.notes);
    }
    Ok(Some((manifests, read.dir)))
}

/// The name that was given, else the image's or this directory's.
fn named(asked: &Asked<'_>, source: &Source, here: &Path) -> Result<nd_types::AppName, Failure> {
    if let Some(name) = &asked.workload.name {
        return Ok(name.clone());
    }
    let image = source.image.as_ref().or(asked.workload.image.as_ref());
    let name = match image {
        Some(image) => name::of_image(image.as_str()),
        None if !asked.command.is_empty() => name::of_directory(here),
        None => {
            return Err(Failure::usage(
                "there is no nextdeploy.yml here, and nothing else says what to deploy",
            )
            .fix("nextdeploy deploy --image REF --name APP --port PORT")
            .fix("nextdeploy deploy --name APP -- CMD"));
        }
    };
    name.ok_or_else(|| Failure::usage("the app needs a name").fix("--name APP"))
}

/// Who typed `sudo`, so that the app does not run as root for it.
fn caller_behind_sudo() -> Option<String> {
    let behind = rustix::process::geteuid().is_root().then(|| std::env::var("SUDO_USER").ok())?;
    behind.filter(|user| !user.is_empty() && user != "root")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    async fn requested(line: &[&str], config: &Path) -> Result<DeployBody, Failure> {
        let words = ["nextdeploy", "deploy", "--config"].map(Into::into).into_iter();
        let words = words.chain([config.into()]).chain(line.iter().map(|word| (*word).into()));
        let cli = Cli::parse_from(words.collect::<Vec<std::ffi::OsString>>());
        let Some(Command::Deploy(args)) = cli.command else { panic!("not a deploy") };
        let asked = Asked::of_deploy(&args, &cli.global);
        let host = Host::Unix("/nowhere".into());
        let bodies = requests(&asked, &cli.global, &host, &Output::new(&cli.global)).await?;
        Ok(bodies.into_iter().next().unwrap())
    }

    #[tokio::test]
    async fn the_file_of_another_app_says_nothing_about_this_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("nextdeploy.yml");
        let text = "version: \"1.0\"\napp: {name: shop, domain: shop.example}\ncommand: ./run\n";
        std::fs::write(&file, text).unwrap();
        let own = requested(&["-q", "-e", "A=b"], &file).await.unwrap().manifest;
        assert_eq!((own.app.name.as_str(), own.app.domain.is_some()), ("shop", true));
        let other = requested(&["-q", "--name=cache", "--", "./cache"], &file).await.unwrap().manifest;
        assert_eq!((other.app.name.as_str(), other.app.domain), ("cache", None));
        let several = "apps: {web: {command: ./web, depends_on: [db]}, db: {command: ./db}}\n";
        std::fs::write(dir.path().join("several.yml"), several).unwrap();
        let named = |line: &'static [&'static str]| {
            let file = dir.path().join("several.yml");
            async move { requested(line, &file).await.map(|body| body.manifest.app.name.to_string()) }
        };
        assert_eq!(named(&["-q"]).await.ok().as_deref(), Some("db"));
        assert_eq!(named(&["-q", "--name=web"]).await.ok().as_deref(), Some("web"));
        assert_eq!(named(&["-q", "-e", "A=b"]).await.map_err(|failure| failure.exit.code()), Err(2));
        let renamed = requested(&["-q", "--name=cache"], &file).await;
        assert_eq!(renamed.map(|body| body.manifest.app.name).map_err(|failure| failure.exit.code()), Err(2));
    }
}
