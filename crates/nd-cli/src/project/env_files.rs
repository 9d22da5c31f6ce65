//! Variables: those of files and of `-e`, weakest first.

use std::path::Path;

use nd_api::Manifest;
use nd_api::manifest::Env;

use crate::failure::Failure;

/// Puts the variables of the manifest's own files under those that are written in it; the files then need not travel.
pub(super) fn fold_in(manifest: &mut Manifest, dir: &Path) -> Result<(), Failure> {
    let files = std::mem::take(&mut manifest.deployment.container.env_file);
    let mut env = Env::default();
    for file in files {
        env.extend(read(&dir.join(file))?);
    }
    env.extend(std::mem::take(&mut manifest.env));
    manifest.env = env;
    Ok(())
}

/// Puts the variables of `--env-file` and `-e` over those of the manifest.
pub(super) fn lay_over(
    manifest: &mut Manifest,
    files: &[std::path::PathBuf],
    variables: &[String],
) -> Result<(), Failure> {
    for file in files {
        manifest.env.extend(read(file)?);
    }
    for variable in variables {
        let (name, value) = match variable.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            // As docker does: a bare name takes the value it has here.
            None => match std::env::var(variable) {
                Ok(value) => (variable.as_str(), value),
                Err(_) => {
                    let title = format!("variable `{variable}` is not set here; write -e {variable}=VALUE");
                    return Err(Failure::usage(title));
                }
            },
        };
        manifest.env.insert(name, value).map_err(|error| Failure::usage(format!("-e {name}: {error}")))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Env, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("read the variables of {}: {error}", path.display())))?;
    Ok(nd_config::parse_dotenv(&path.display().to_string(), &text)?)
}
