//! `cargo xtask units`: what systemd itself says of the units in `deploy/systemd`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::workspace::Workspace;
use crate::{Result, process};

/// The most that `systemd-analyze security` may count for the daemon, in tenths: 0 is sealed, 100 is open.
const EXPOSURE: &str = "30";

/// The unit that the limit holds for; the others run what their owner says.
const DAEMON: &str = "nextdeployd.service";

/// `cargo xtask units`.
pub(crate) fn run() -> Result {
    println!("{}", check(&Workspace::load()?)?);
    Ok(())
}

/// Verifies every unit and the daemon's sandbox. Where systemd's tool is not there, it says so and checks nothing.
pub(crate) fn check(workspace: &Workspace) -> Result<String> {
    if !process::in_path("systemd-analyze") {
        return Ok("systemd-analyze is not on this machine (Debian: apt-get install systemd); the units were not checked".into());
    }
    let copies = workspace.target.join("xtask").join("units");
    fs::create_dir_all(&copies)?;
    let units = copy(&workspace.root.join("deploy/systemd"), &copies)?;
    let paths = units.iter().map(|unit| copies.join(unit));
    process::run(Command::new("systemd-analyze").args(["verify", "--man=no"]).args(paths))?;
    let threshold = format!("--threshold={EXPOSURE}");
    let asked = ["security", "--offline=yes", "--no-pager", threshold.as_str()];
    let out = Command::new("systemd-analyze").args(asked).arg(copies.join(DAEMON)).output()?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let summary = said.lines().last().unwrap_or_default().trim_start_matches("→ ").to_owned();
    if !out.status.success() {
        return Err(format!("{summary}; at most {EXPOSURE} tenths are allowed\n{said}").into());
    }
    Ok(format!("{} units verified; {summary}", units.len()))
}

/// Copies the units with a program that is there: `verify` looks for what they start.
fn copy(from: &Path, to: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = fs::read_to_string(entry.path())?.replace("/usr/local/bin/nextdeployd", "/bin/true");
        // A template is checked as one of its instances.
        let name = name.replace("@.", "@example.");
        fs::write(to.join(&name), text)?;
        names.push(name);
    }
    names.sort();
    Ok(names)
}
