//! Drafts against the strict reader: what it refuses is taken out, with its reason.

use nd_types::AppName;

use super::draft::{AppDraft, Draft, Dropped, Out, Twig};
use super::{Became, Imported, Lost, write};
use crate::report::{Code, Mistake, Report, Severity};
use crate::{ReadOptions, Workload, read_manifests};

/// The source text, for places in it.
pub(super) struct Source<'t> {
    pub(super) name: &'t str,
    pub(super) text: &'t str,
}

impl Source<'_> {
    pub(super) fn refuse(&self, mistakes: Vec<Mistake>) -> Report {
        Report::new(self.name, self.text, mistakes)
    }
}

/// Writes a draft so that the reader takes it.
///
/// # Errors
/// Where an app is left without what it cannot be without.
pub(super) fn settle(mut draft: Draft, source: &Source<'_>) -> Result<Imported, Report> {
    one_name_one_app(&draft, source)?;
    let places = Report::new(source.name, source.text, Vec::new());
    let line_of = |at: usize| places.line_column(at).0;
    loop {
        let yaml = write::file(&draft, &line_of);
        // What a variable will be is known when the app is deployed: each value is tried with its default, and with
        // something in place of every variable.
        let (bare, report) = read(&yaml, &|_| None);
        let (filled, other) = read(&yaml, &|_| Some("1".to_owned()));
        let against = |report: &Report| report.mistakes().iter().find(|mistake| counts(mistake)).cloned();
        let Some((first, report)) = against(&report)
            .map(|first| (first, report))
            .or_else(|| against(&other).map(|first| (first, other)))
        else {
            return Ok(finish(yaml, bare.or(filled), &draft, &places));
        };
        if !take_out(&mut draft, &first) {
            return Err(source.refuse(vec![blame(&draft, &first, &yaml, &report)]));
        }
    }
}

/// The apps of a text, where the reader takes it, and what it says.
fn read(yaml: &str, lookup: &dyn Fn(&str) -> Option<String>) -> (Option<Vec<AppName>>, Report) {
    let options = ReadOptions { environment: None, lookup, workload: Workload::Required };
    match read_manifests("nextdeploy.yml", yaml, &options) {
        Ok(read) => (Some(read.manifests.into_iter().map(|app| app.app.name).collect()), read.notes),
        Err(report) => (None, report),
    }
}

/// Whether what the reader says speaks against a key: that it is refused, or that it has no effect.
fn counts(mistake: &Mistake) -> bool {
    match mistake.severity {
        Severity::Error => mistake.code != Code::UnsetVariable,
        Severity::Warning => matches!(mistake.code, Code::NotYet | Code::NoEffect),
        Severity::Note => false,
    }
}

/// Takes the key out that a mistake points to, or the one around it.
fn take_out(draft: &mut Draft, mistake: &Mistake) -> bool {
    let Some(pointer) = &mistake.pointer else { return false };
    let mut parts = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
    let app = if draft.apps.len() == 1 {
        draft.apps.first_mut()
    } else {
        parts.next();
        let name = parts.next();
        draft.apps.iter_mut().find(|app| name.as_ref() == Some(&app.name))
    };
    let Some(app) = app else { return false };
    let way: Vec<String> = parts.collect();
    let Some(twig) = remove(&mut app.keys, &way) else { return false };
    let reason = match &mistake.help {
        Some(help) => format!("{}; {help}", mistake.message),
        None => mistake.message.clone(),
    };
    app.dropped.push(Dropped { origin: twig.origin, reason });
    true
}

fn remove(keys: &mut Vec<Twig>, way: &[String]) -> Option<Twig> {
    let (step, rest) = way.split_first()?;
    let index = match keys.iter().position(|twig| twig.key == *step && !step.is_empty()) {
        Some(index) => index,
        None => step
            .parse::<usize>()
            .ok()
            .filter(|index| keys.get(*index).is_some_and(|twig| twig.key.is_empty()))?,
    };
    let below = match &mut keys.get_mut(index)?.value {
        Out::List(below) | Out::Map(below) => remove(below, rest),
        Out::Text(_) | Out::Flag(_) | Out::Words(_) => None,
    };
    below.or_else(|| (index < keys.len()).then(|| keys.remove(index)))
}

/// A mistake that no key can be blamed for, at the app it is about.
fn blame(draft: &Draft, mistake: &Mistake, yaml: &str, written: &Report) -> Mistake {
    let named = |app: &&AppDraft| {
        let pointer = format!("/apps/{}", app.name);
        mistake
            .pointer
            .as_ref()
            .is_some_and(|found| *found == pointer || found.starts_with(&format!("{pointer}/")))
    };
    // A mistake without a pointer stands below the last app that begins before it.
    let line = mistake.span.as_ref().map_or(0, |span| written.line_column(span.start).0);
    let above = |app: &&AppDraft| {
        let key = format!("  {}:", app.name);
        let begins = yaml.lines().position(|text| text == key);
        begins.and_then(|begins| u32::try_from(begins).ok()).is_some_and(|begins| begins < line)
    };
    let app = draft.apps.iter().find(named).or_else(|| draft.apps.iter().rfind(above)).or(draft.apps.first());
    let origin = app.map(|app| app.origin.clone()).unwrap_or_default();
    let message = format!("{}: {}", origin.key, mistake.message);
    let blamed = Mistake::error(mistake.code, message).at(origin.span);
    match &mistake.help {
        Some(help) => blamed.help(help.clone()),
        None => blamed,
    }
}

/// Two apps that would have one name.
fn one_name_one_app(draft: &Draft, source: &Source<'_>) -> Result<(), Report> {
    let mut mistakes = Vec::new();
    for (index, app) in draft.apps.iter().enumerate() {
        if let Err(error) = app.name.parse::<AppName>() {
            let message = format!("{} gives no name of an app: {error}", app.origin.key);
            mistakes.push(Mistake::error(Code::BadValue, message).at(app.origin.span.clone()));
        } else if let Some(first) = draft.apps.iter().take(index).find(|other| other.name == app.name) {
            let message =
                format!("{} and {} would both be the app `{}`", first.origin.key, app.origin.key, app.name);
            let mistake = Mistake::error(Code::Conflict, message).at(app.origin.span.clone());
            mistakes
                .push(mistake.also(first.origin.span.clone(), "the first one").help("rename one of them"));
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(source.refuse(mistakes)) }
}

fn finish(yaml: String, read: Option<Vec<AppName>>, draft: &Draft, places: &Report) -> Imported {
    let alone = draft.apps.len() == 1;
    let mut became = Vec::new();
    for app in &draft.apps {
        let root = if alone { String::new() } else { format!("apps.{}", app.name) };
        app.keys.iter().for_each(|twig| leaves(twig, &root, places, &mut became));
    }
    let dropped = draft.dropped.iter().chain(draft.apps.iter().flat_map(|app| &app.dropped));
    let mut lost: Vec<Lost> = dropped.map(|dropped| told(dropped, places)).collect();
    // Stable, so that what stands in no line stays where it was said.
    became.sort_by_key(|one| one.line);
    lost.sort_by_key(|one| (one.line, one.column));
    let written = || draft.apps.iter().filter_map(|app| app.name.parse().ok()).collect();
    Imported { yaml, apps: read.unwrap_or_else(written), became, lost }
}

fn told(dropped: &Dropped, places: &Report) -> Lost {
    let place = dropped.origin.span.as_ref().map(|span| places.line_column(span.start));
    Lost {
        line: place.map(|(line, _)| line),
        column: place.map(|(_, column)| column),
        key: dropped.origin.key.clone(),
        reason: dropped.reason.clone(),
    }
}

fn leaves(twig: &Twig, above: &str, places: &Report, became: &mut Vec<Became>) {
    let to = match (above, twig.key.as_str()) {
        ("", key) => key.to_owned(),
        (above, "") => above.to_owned(),
        (above, key) => format!("{above}.{key}"),
    };
    match &twig.value {
        Out::List(below) | Out::Map(below) => below.iter().for_each(|twig| leaves(twig, &to, places, became)),
        value => became.push(Became {
            line: twig.origin.span.as_ref().map(|span| places.line_column(span.start).0),
            from: twig.origin.key.clone(),
            to,
            value: write::shown(value),
        }),
    }
}
