//! A script that is named in the place of an app: `start server.js`, as PM2 takes it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Which program runs a script of this ending.
const INTERPRETERS: [(&str, &str); 8] = [
    ("js", "node"),
    ("cjs", "node"),
    ("mjs", "node"),
    ("py", "python3"),
    ("rb", "ruby"),
    ("php", "php"),
    ("pl", "perl"),
    ("sh", "bash"),
];

/// The command that runs a file: its interpreter, or the file itself where it can be executed. Nothing for what is no
/// file, or one that nobody knows how to run.
pub(crate) fn command(target: &str) -> Option<Vec<String>> {
    let path = Path::new(target);
    let meta = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if let Some((_, program)) = INTERPRETERS.iter().find(|(known, _)| *known == ending) {
        return Some(vec![(*program).to_owned(), target.to_owned()]);
    }
    // Without a slash a shell, and the daemon, would look for it in PATH.
    let itself = if target.contains('/') { target.to_owned() } else { format!("./{target}") };
    (meta.permissions().mode() & 0o111 != 0).then(|| vec![itself])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_run_by_its_interpreter_or_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (script, tool, text) = (make("server.js", 0o644), make("tool", 0o755), make("notes.txt", 0o644));
        assert_eq!(command(&script), Some(vec!["node".to_owned(), script.clone()]));
        assert_eq!(command(&tool), Some(vec![tool.clone()]));
        assert_eq!(command(&text), None);
        assert_eq!(command(dir.path().to_str().unwrap()), None);
        assert_eq!(command("shop"), None);
    }
}
