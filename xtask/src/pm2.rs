//! PM2, the peer of plain processes: the one in PATH, or one that npm brings into the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nd_e2e::Typed;

use crate::workspace::Workspace;
use crate::{Result, process};

/// What npm is asked for.
const PACKAGE: &str = "pm2@7.0.4";

/// npm asks the registry again and again for minutes; this is enough where it answers.
const LIMIT: Duration = Duration::from_secs(120);

/// The folder of a `pm2` command.
pub(crate) fn provide(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(folder) = process::folder_of("pm2") {
        return Ok(folder);
    }
    let home = workspace.target.join("xtask").join("pm2");
    let commands = home.join("node_modules").join(".bin");
    // Written last.
    let complete = home.join(PACKAGE);
    if !complete.is_file() {
        install(&home)?;
        fs::write(complete, "")?;
    }
    Ok(commands)
}

fn install(home: &Path) -> Result {
    for program in ["node", "npm"] {
        if !process::in_path(program) {
            return Err(format!("{program} is not in PATH (Debian: apt-get install nodejs npm)").into());
        }
    }
    fs::create_dir_all(home)?;
    let folder = home.to_string_lossy();
    let quiet = ["--no-save", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-timeout=30000"];
    let words = [&["install", "--prefix", &folder, PACKAGE], quiet.as_slice()].concat();
    println!("   npm install {PACKAGE}");
    Typed::start(Path::new("npm"), &words, home, &[])?.wait(LIMIT)?.ok()?;
    Ok(())
}
