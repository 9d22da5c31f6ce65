//! The command lines of README and guide are ones that the programs take.

use std::fs;
use std::path::Path;
use std::process::Command;

use nd_e2e::{Programs, Result};

#[test]
fn every_command_line_of_the_guide_is_taken_by_the_program() -> Result {
    let programs = Programs::from_env()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("docs"))? {
        pages.push(entry?.path());
    }
    let mut checked = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(page)?;
        for line in commands(&text) {
            checked += 1;
            let (words, program) = match line.strip_prefix("nextdeployd ") {
                Some(words) => (words, &programs.daemon),
                None => (line.strip_prefix("nextdeploy ").unwrap_or_default(), &programs.cli),
            };
            // Asked for its help at the end, it checks the line and does nothing; a command of the user's own is cut off.
            let words = words.split(" -- ").next().unwrap_or_default();
            let output = Command::new(program).args(words.split_whitespace()).arg("--help").output()?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{}: `{line}` is not taken: {said}", page.display());
        }
    }
    assert!(checked > 20, "only {checked} lines were found");
    Ok(())
}

/// The lines of a page's shell blocks that call a program of ours, from its name on.
fn commands(page: &str) -> Vec<String> {
    let mut in_shell = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            in_shell = line == "```sh";
            continue;
        }
        let line = line.split(" #").next().unwrap_or_default().trim().trim_end_matches('&').trim();
        let line = line.strip_prefix("target/release/").unwrap_or(line);
        if in_shell && (line.starts_with("nextdeploy ") || line.starts_with("nextdeployd ")) {
            lines.push(line.replace('"', ""));
        }
    }
    lines
}
