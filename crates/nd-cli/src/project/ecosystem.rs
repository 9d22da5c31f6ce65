//! PM2's ecosystem files. JavaScript is a program: the user's own `node` runs it here, and what it makes comes as JSON.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nd_config::import::{self, Imported};
use tokio::process::Command;
use tokio::time::timeout;

use super::file;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// How long such a program may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Prints what a module exports, whichever kind of module it is; what it prints itself is not mixed into it.
const PRINT: &str = "const print = process.stdout.write.bind(process.stdout); console.log = console.error; \
    import(require('node:url').pathToFileURL(process.argv[1])) \
    .then((module) => module.default ?? module) \
    .then((found) => (typeof found === 'function' ? found() : found)) \
    .then((found) => print(JSON.stringify(found, null, 2)))";

/// Whether a file is PM2's, by its name: `ecosystem.config.js`, `ecosystem.yml`, `process.json`, any other JSON.
pub(crate) fn is_ecosystem(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let named = ["ecosystem", "process", "pm2"]
        .iter()
        .any(|word| stem == *word || stem.starts_with(&format!("{word}.")));
    match ending {
        "json" => true,
        "yml" | "yaml" => named || stem.ends_with(".config"),
        "js" | "cjs" | "mjs" => stem == "ecosystem" || stem.ends_with(".config"),
        _ => false,
    }
}

/// The text of an ecosystem file, as JSON or YAML.
pub(crate) async fn text(path: &Path, output: &Output) -> Result<String, Failure> {
    let script =
        path.extension().is_some_and(|ending| ["js", "cjs", "mjs"].iter().any(|known| ending == *known));
    if !script {
        return file::text_of(path);
    }
    // Said before it happens: the file may do anything its user may.
    output.note(&format!("{} is a program: node runs it here, as you", path.display()));
    evaluated(path).await
}

/// Reads an ecosystem file, and says what of it is not kept.
pub(super) async fn imported(path: &Path, output: &Output) -> Result<Imported, Failure> {
    let name = path.display().to_string();
    let imported = import::pm2(&text(path, output).await?, name.trim_start_matches("./"))?;
    for lost in &imported.lost {
        let line = lost.line.map(|line| format!(":{line}")).unwrap_or_default();
        output.warning(&format!("{name}{line}: `{}` is not kept: {}", lost.key, lost.reason));
    }
    Ok(imported)
}

async fn evaluated(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let whole =
        std::path::absolute(path).map_err(|error| Failure::usage(format!("find {shown}: {error}")))?;
    if !whole.is_file() {
        return Err(Failure::usage(format!("read {shown}: there is no such file")));
    }
    let mut node = Command::new("node");
    node.arg("--eval").arg(PRINT).arg("--").arg(&whole).kill_on_drop(true);
    node.current_dir(file::directory(path)?).stdin(Stdio::null()).stderr(Stdio::inherit());
    let late = |_| {
        Failure::failed(format!("node did not finish {shown} within {}", nd_types::format_duration(PATIENCE)))
    };
    let done = timeout(PATIENCE, node.output()).await.map_err(late)?.map_err(|error| {
        Failure::new(Exit::Usage, format!("run node for {shown}: {error}"))
            .fix("install node, or write the file as JSON: node -p \"JSON.stringify(require('./FILE'))\" > ecosystem.json")
    })?;
    if !done.status.success() {
        return Err(Failure::usage(format!("node could not run {shown} ({})", done.status)));
    }
    let text = String::from_utf8(done.stdout)
        .map_err(|_| Failure::usage(format!("what node made of {shown} is not UTF-8")))?;
    match text.trim() {
        "" | "undefined" => {
            Err(Failure::usage(format!("{shown} exports nothing")).fix("module.exports = { apps: […] }"))
        }
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_pm2_is_known_by_its_name() {
        for name in [
            "ecosystem.json",
            "ecosystem.config.js",
            "a/ecosystem.config.cjs",
            "my.config.mjs",
            "process.yml",
            "pm2.yaml",
            "ecosystem.prod.yml",
            "apps.json",
            "ecosystem.js",
        ] {
            assert!(is_ecosystem(Path::new(name)), "{name}");
        }
        for name in ["nextdeploy.yml", "server.js", "shop", "compose.yaml", "processing.yml", "config.js"] {
            assert!(!is_ecosystem(Path::new(name)), "{name}");
        }
    }
}
