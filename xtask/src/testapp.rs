//! Builds the test application without shared libraries, so that it can be the only file of a container.

use std::path::PathBuf;

use crate::workspace::Workspace;
use crate::{Result, process};

/// `cargo xtask testapp`.
pub(crate) fn run() -> Result {
    println!("{}", build(&Workspace::load()?)?.display());
    Ok(())
}

/// Builds it and gives its path. Optimised, because it stands under load in the benches; in a target folder of its own,
/// because the same program built for the workspace's tests is a dynamic one.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let target = workspace.target.join("static");
    // As an argument of this one crate: in RUSTFLAGS it would break procedural macros.
    process::run(
        process::cargo()
            .args([
                "rustc",
                "--quiet",
                "--release",
                "--package",
                "nd-testapp",
                "--bin",
                "testapp",
                "--target-dir",
            ])
            .arg(&target)
            .args(["--", "-C", "target-feature=+crt-static"]),
    )?;
    Ok(target.join("release").join("testapp"))
}
