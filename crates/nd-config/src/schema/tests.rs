//! The tables against the pages and examples that people read, so that none of them rots.

use super::*;
use crate::node::{Node, Value};
use crate::report::Code;
use crate::{Checked, ReadOptions, Report, Severity, Workload, read_manifest, read_settings};

const PAGE: &str = include_str!("../../../../docs/configuration.md");
const DAEMON: &str = include_str!("../../../../deploy/nextdeployd.toml");
const EXAMPLES: [(&str, &str); 3] = [
    ("minimal.yml", include_str!("../../../../deploy/examples/minimal.yml")),
    ("process.yml", include_str!("../../../../deploy/examples/process.yml")),
    ("full.yml", include_str!("../../../../deploy/examples/full.yml")),
];

#[test]
fn every_key_stands_once_and_in_a_section_that_exists() {
    for Schema(keys) in [MANIFEST, SETTINGS] {
        for (index, (path, _)) in keys.iter().enumerate() {
            assert!(!keys.iter().skip(index + 1).any(|(other, _)| other == path), "{path} stands twice");
            if let Some((section, _)) = path.rsplit_once('.') {
                assert!(keys.iter().any(|(other, _)| *other == section), "{path} has no section");
            }
        }
    }
}

#[test]
fn every_key_of_the_reference_takes_effect_as_its_example_says() {
    let base = read(&file("x-nothing", "1")).unwrap().manifest;
    for (key, example) in rows(PAGE) {
        match MANIFEST.find(&key) {
            Some(Served::Now) => {}
            served => panic!("{key} is in the reference of what is served, but is {served:?}"),
        }
        let checked = read(&file(&key, &example)).unwrap_or_else(|report| panic!("{key}: {report}"));
        assert!(checked.notes.is_empty(), "{key}: {}", checked.notes);
        // The format's version is the one that a file without it has, and an environment counts when it is asked for.
        let silent = key == "version" || key.starts_with("environments.");
        assert!(silent || checked.manifest != base, "{key}: {example} changes nothing");
    }
}

#[test]
fn every_key_that_is_served_is_in_the_reference() {
    let described: Vec<String> = rows(PAGE).into_iter().map(|(key, _)| key).collect();
    let missing: Vec<&str> =
        leaves(Served::Now).filter(|key| !described.iter().any(|row| row == key)).collect();
    assert!(missing.is_empty(), "docs/configuration.md says nothing of {missing:?}");
}

#[test]
fn every_key_that_is_not_served_says_so_at_its_line() {
    let expected = [
        (Served::NotYet, Severity::Error, Code::NotYet),
        (Served::NoEffectYet, Severity::Warning, Code::NotYet),
        (Served::Never, Severity::Note, Code::NoEffect),
    ];
    for (served, severity, code) in expected {
        for key in leaves(served) {
            let report = match read(&file(key, example_of(key))) {
                Ok(checked) => checked.notes,
                Err(report) => report,
            };
            let said: Vec<_> = report.mistakes().iter().map(|said| (said.severity, said.code)).collect();
            assert_eq!(said, [(severity, code)], "{key}: {report}");
            let line = report.mistakes().iter().filter_map(|said| said.span.as_ref()).next();
            assert_eq!(line.map(|span| report.line_column(span.start).0), Some(1), "{key}: {report}");
            let named = format!("`{key}`");
            assert!(
                PAGE.contains(&named),
                "docs/configuration.md does not name {key} among what is not served"
            );
        }
    }
}

#[test]
fn every_example_is_taken_without_a_word() {
    for (name, text) in EXAMPLES {
        for environment in ["dev", "staging", "prod"] {
            let environment = environment.parse().ok();
            let options = ReadOptions { environment, lookup: &|_| None, workload: Workload::Required };
            match read_manifest(name, text, &options) {
                Ok(checked) => assert!(checked.notes.is_empty(), "{}", checked.notes),
                Err(report) => panic!("{report}"),
            }
        }
    }
}

#[test]
fn the_full_example_has_every_key_that_is_served() {
    // Another way to say what the example says already, or what only a plain process has.
    let other = [
        "app.domain.name",
        "cwd",
        "deployment.container.healthcheck.cmd",
        "deployment.container.healthcheck.tcp",
        "deployment.stop.kill_timeout",
        "deployment.stop.stop_signal",
        "kill_timeout",
        "restart.cron_restart",
        "restart.exp_backoff_restart_delay",
        "restart.exponential_backoff_restart_delay",
        "restart.max_memory_restart",
        "restart.max_restarts",
        "restart.restart_delay",
        "ssl.dns_provider", // nobody on the net is asked for a certificate of one's own
        "ssl.email",
        "ssl_config.dns_provider",
        "ssl_config.domain",
        "ssl_config.email",
        "ssl_config.ssl.auto_renew",
        "ssl_config.ssl.email",
        "ssl_config.ssl.enabled",
        "ssl_config.ssl.provider",
        "ssl_config.staging",
        "ssl_config.wildcard",
        "sleep_after", // nothing wakes an app with the raw port of this example
        "stop.grace",
        "stop.kill_timeout",
        "stop.signal",
        "stop.stop_signal",
        "stop_signal",
        "upstream",
        "wait_ready",
    ];
    let (_, full) = EXAMPLES[2];
    let root = crate::yaml::read(full, &mut Vec::new()).unwrap();
    let missing: Vec<_> =
        leaves(Served::Now).filter(|key| !has(&root, key) && !other.contains(key)).collect();
    assert!(missing.is_empty(), "deploy/examples/full.yml does not have {missing:?}");
}

#[test]
fn the_daemons_example_has_every_key_and_is_taken_with_each_of_them_written_out() {
    assert_eq!(read_settings("nextdeployd.toml", DAEMON).unwrap().data_dir, None);
    let written = written_out(DAEMON);
    let settings = read_settings("nextdeployd.toml", &written).unwrap_or_else(|report| panic!("{report}"));
    assert!(settings.data_dir.is_some() && settings.docker.socket.is_some());
    let table: toml::Table = written.parse().unwrap();
    for (path, _) in SETTINGS.0 {
        let found =
            path.split('.').try_fold(toml::Value::Table(table.clone()), |value, key| value.get(key).cloned());
        assert!(found.is_some(), "deploy/nextdeployd.toml does not have {path}");
    }
}

/// The example with every setting that stands in it as a comment: `#key = value`.
fn written_out(example: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{setting}\n"),
        _ => format!("{line}\n"),
    };
    example.lines().map(line).collect()
}

/// Whether a file has the key, in any item of the lists on the way.
fn has(node: &Node, path: &str) -> bool {
    if let Value::List(items) = &node.value {
        return items.iter().any(|item| has(item, path));
    }
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    node.get(first).is_some_and(|entry| rest.is_empty() || has(&entry.value, rest))
}

/// The keys of one kind that are no sections.
fn leaves(served: Served) -> impl Iterator<Item = &'static str> {
    let section = |path: &str| {
        MANIFEST.0.iter().any(|(other, _)| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
    };
    MANIFEST.0.iter().filter(move |(path, kind)| *kind == served && !section(path)).map(|(path, _)| *path)
}

/// Key and example of each row `| `key` | `example` | …` of the reference.
fn rows(page: &str) -> Vec<(String, String)> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split("` | `");
        let key = cells.next()?.replace("[]", "");
        let example = cells.next()?.split("` |").next()?;
        Some((key, example.to_owned()))
    };
    page.lines().filter_map(row).collect()
}

/// A value that the key would take.
fn example_of(key: &str) -> &'static str {
    match key {
        "app.resources.memory_high" => "64M",
        "wait_ready" => "true",
        _ => "1",
    }
}

/// A small file with one more key; all of it stands in the first line.
fn file(key: &str, value: &str) -> String {
    let mut steps = key.split('.').rev();
    let last = steps.next().unwrap_or(key);
    let mut text = format!("{last}: {value}");
    let mut above = key.rsplit_once('.').map(|(section, _)| section);
    for step in steps {
        text = match above {
            Some("proxy.routes") if text.starts_with("path") || text.starts_with("host") => {
                format!("{step}: [{{{text}}}]")
            }
            Some("proxy.routes") if text.starts_with("redirect") => {
                format!("{step}: [{{host: www.example.com, {text}}}]")
            }
            Some("proxy.routes") => format!("{step}: [{{path: /x, {text}}}]"),
            Some("proxy.redirects") if text.starts_with("from") => {
                format!("{step}: [{{{text}, to: /new/$1}}]")
            }
            Some("proxy.redirects") if text.starts_with("to") => {
                format!("{step}: [{{from: /old/*, {text}}}]")
            }
            Some("proxy.redirects") => format!("{step}: [{{from: /a, to: /b, {text}}}]"),
            Some("proxy.rate_limit") if text.starts_with("limit") => format!("{step}: [{{{text}}}]"),
            Some("proxy.rate_limit") => format!("{step}: [{{limit: 10/m, {text}}}]"),
            Some("ssl") if text.starts_with("certificate:") => format!("{step}: {{key: /a, {text}}}"),
            Some("ssl") if text.starts_with("key:") => format!("{step}: {{certificate: /a, {text}}}"),
            Some("ssl.hsts") if text.starts_with("preload") => {
                format!("{step}: {{max_age: 365d, include_subdomains: true, {text}}}")
            }
            Some("proxy") if text.starts_with("queue") => format!("{step}: {{max_requests: 9, {text}}}"),
            Some("proxy.basic_auth") if text.starts_with("paths") => {
                format!("{step}: {{users: {{ana: x}}, {text}}}")
            }
            Some("proxy.access") if text.starts_with("paths") => {
                format!("{step}: {{deny: [192.0.2.1], {text}}}")
            }
            Some("app.domain") if !text.starts_with("name:") => {
                format!("{step}: {{name: a.example, {text}}}")
            }
            Some("app") if !text.starts_with("name:") => format!("{step}: {{name: shop, {text}}}"),
            _ => format!("{step}: {{{text}}}"),
        };
        above = above.and_then(|section| section.rsplit_once('.')).map(|(section, _)| section);
    }
    let image =
        if matches!(key, "image" | "upstream" | "cwd" | "wait_ready") { "" } else { "image: node:22\n" };
    let command = if matches!(key, "cwd" | "wait_ready") { "command: node server.js\n" } else { "" };
    let app = if key.starts_with("app.") { "" } else { "app: {name: shop}\n" };
    format!("{text}\n{image}{command}{app}")
}

fn read(text: &str) -> Result<Checked, Report> {
    let options = ReadOptions { environment: None, lookup: &|_| None, workload: Workload::Required };
    read_manifest("nextdeploy.yml", text, &options)
}
