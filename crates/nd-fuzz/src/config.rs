//! Files that people write.

use nd_config::import::{Imported, Surroundings, compose, pm2};
use nd_config::{
    Colour, ReadOptions, Report, Workload, manifest_to_yaml, parse_dotenv, read_manifest, read_manifests,
    read_settings,
};

/// `nextdeploy.yml`: every mistake has its place in the text, and a file without mistakes reads back as the same one
/// after it was written.
pub(crate) fn manifest(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let lookup = |name: &str| (name != "UNSET").then(|| "value".to_owned());
    let options = ReadOptions { environment: None, lookup: &lookup, workload: Workload::Optional };
    match read_manifest("nextdeploy.yml", text, &options) {
        Err(report) => shown(&report, text),
        Ok(checked) => {
            shown(&checked.notes, text);
            let written = manifest_to_yaml(&checked.manifest).unwrap_or_default();
            let again = read_manifest("nextdeploy.yml", &written, &options);
            let again = again.map(|again| again.manifest);
            assert_eq!(again.as_ref(), Ok(&checked.manifest), "as it was written:\n{written}");
        }
    }
}

/// A `nextdeploy.yml` of several apps: whoever stands before another one does not wait for it.
pub(crate) fn manifests(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match read_manifests("nextdeploy.yml", text, &set()) {
        Err(report) => shown(&report, text),
        Ok(read) => {
            shown(&read.notes, text);
            for (index, app) in read.manifests.iter().enumerate() {
                let later = read.manifests.iter().skip(index);
                let mut waits = later.filter(|later| app.depends_on.get(later.app.name.as_str()).is_some());
                assert!(waits.next().is_none(), "{} starts before what it waits for", app.app.name);
            }
        }
    }
}

/// PM2's ecosystem files.
pub(crate) fn import_pm2(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match pm2(text, "ecosystem.json") {
        Ok(imported) => valid(&imported),
        Err(report) => shown(&report, text),
    }
}

/// Compose files, one of which extends itself.
pub(crate) fn import_compose(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let lookup = |name: &str| (name != "UNSET").then(|| "value".to_owned());
    let read = |path: &str| (path != "missing.yml").then(|| text.to_owned());
    let around =
        Surroundings { project: "fuzz", lookup: &lookup, read: &read, profiles: &["dev".to_owned()] };
    match compose(text, "compose.yml", &around) {
        Ok(imported) => valid(&imported),
        Err(report) => shown(&report, text),
    }
}

/// What an import writes is taken by the strict reader.
fn valid(imported: &Imported) {
    let read = read_manifests("nextdeploy.yml", &imported.yaml, &set());
    let count = read.as_ref().map(|read| read.manifests.len());
    assert_eq!(count, Ok(imported.apps.len()), "as it was written:\n{}", imported.yaml);
}

/// Every variable is set.
fn set() -> ReadOptions<'static> {
    ReadOptions { environment: None, lookup: &|_| Some("1".to_owned()), workload: Workload::Required }
}

/// `nextdeployd.toml`.
pub(crate) fn settings(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Err(report) = read_settings("nextdeployd.toml", text) {
        shown(&report, text);
    }
}

/// Files of variables.
pub(crate) fn dotenv(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Err(report) = parse_dotenv(".env", text) {
        shown(&report, text);
    }
}

/// Shows a report in every way there is.
fn shown(report: &Report, text: &str) {
    for mistake in report.mistakes() {
        assert!(!mistake.message.is_empty(), "a mistake says nothing");
        if let Some(span) = &mistake.span {
            assert!(
                text.get(span.clone()).is_some(),
                "{span:?} is no place in the text: {}",
                mistake.message
            );
            let (line, column) = report.line_column(span.start);
            assert!(line > 0 && column > 0);
        }
    }
    assert!(report.is_empty() || !report.render(Colour::Never).is_empty());
    let said = report.to_field_errors().len() + report.to_notes().len();
    assert_eq!(said, report.mistakes().len(), "a mistake is lost on its way to the client");
}
