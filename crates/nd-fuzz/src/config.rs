//! Files that people write.

use nd_config::{
    Colour, ReadOptions, Report, Workload, manifest_to_yaml, parse_dotenv, read_manifest, read_settings,
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
