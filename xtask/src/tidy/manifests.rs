//! Manifests follow the workspace: its lints, its versions, its one `clippy.toml`.

use std::fs;
use std::path::Path;

use toml::Table;

use super::Finding;
use crate::Result;
use crate::workspace::Workspace;

const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in workspace.members() {
        let path = workspace.relative(&package.manifest_path);
        let text =
            fs::read_to_string(&package.manifest_path).map_err(|error| format!("read {path}: {error}"))?;
        findings.extend(check_manifest(&path, &text)?);
        let folder = package.manifest_path.parent().unwrap_or(Path::new("."));
        for name in ["clippy.toml", ".clippy.toml"] {
            if folder.join(name).exists() {
                findings.push(finding(
                    &workspace.relative(&folder.join(name)),
                    1,
                    "a crate has a clippy.toml of its own".to_owned(),
                    "it replaces the workspace's, disallowed methods and all",
                    "move what it says into the root's",
                ));
            }
        }
    }
    Ok(findings)
}

fn check_manifest(path: &str, text: &str) -> Result<Vec<Finding>> {
    let manifest: Table = toml::from_str(text).map_err(|error| format!("{path}: {error}"))?;
    let mut findings = Vec::new();
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if lints.and_then(toml::Value::as_bool) != Some(true) {
        findings.push(finding(
            path,
            1,
            "the workspace's lints are not on".to_owned(),
            "every crate is held to the same walls",
            "add `[lints]` with `workspace = true`",
        ));
    }
    for dependencies in SECTIONS.iter().filter_map(|section| manifest.get(*section)?.as_table()) {
        for (name, value) in dependencies {
            let from_workspace = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            if !from_workspace {
                let line =
                    text.lines().position(|line| line.starts_with(name.as_str())).map_or(1, |at| at + 1);
                findings.push(finding(
                    path,
                    line,
                    format!("{name} has a version of its own"),
                    "one version of each, which earns its line in the root's Cargo.toml",
                    "write it into [workspace.dependencies] and use `.workspace = true`",
                ));
            }
        }
    }
    Ok(findings)
}

fn finding(path: &str, line: usize, what: String, why: &'static str, fix: &'static str) -> Finding {
    Finding { rule: "manifest", path: path.to_owned(), line, item: None, size: None, what, why, fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_gets_its_version_from_the_workspace() {
        let text = "[lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\ntoml = \"1\"\n";
        let lines: Vec<_> =
            check_manifest("Cargo.toml", text).unwrap().iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [5]);
    }

    #[test]
    fn the_workspace_lints_are_on() {
        assert_eq!(check_manifest("Cargo.toml", "[dependencies]\n").unwrap().len(), 1);
    }
}
