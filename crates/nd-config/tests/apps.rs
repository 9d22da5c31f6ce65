//! Several apps in one file, and the order in which they start.

use nd_api::manifest::{Condition, Environment};
use nd_config::{CheckedApps, ReadOptions, Report, Workload, read_manifest, read_manifests};

fn read_for(environment: Option<Environment>, text: &str) -> Result<CheckedApps, Report> {
    let options = ReadOptions { environment, lookup: &|_| None, workload: Workload::Required };
    read_manifests("nextdeploy.yml", text, &options)
}

fn read(text: &str) -> Result<CheckedApps, Report> {
    read_for(None, text)
}

fn names(read: &CheckedApps) -> Vec<&str> {
    read.manifests.iter().map(|manifest| manifest.app.name.as_str()).collect()
}

const SHOP: &str = r#"version: "1.0"
x-node: &node
  image: node:22
apps:
  web:
    <<: *node
    app: {port: 3000, domain: shop.example}
    depends_on: {db: {condition: healthy}, migrate: {condition: completed}}
    environments:
      staging: {app: {domain: staging.shop.example}}
  migrate:
    <<: *node
    command: [npm, run, migrate]
    depends_on: [db]
  db:
    image: postgres:17
"#;

#[test]
fn each_app_stands_behind_those_it_depends_on() {
    let read = read(SHOP).unwrap();
    assert_eq!(names(&read), ["db", "migrate", "web"]);
    let web = &read.manifests[2];
    assert_eq!(web.depends_on.get("db"), Some(Condition::Healthy));
    assert_eq!(web.depends_on.get("migrate"), Some(Condition::Completed));
    assert_eq!(web.app.domain.as_ref().map(ToString::to_string).as_deref(), Some("shop.example"));
}

#[test]
fn an_environment_is_laid_over_the_app_it_stands_in() {
    let read = read_for(Some(Environment::Staging), SHOP).unwrap();
    let domains: Vec<_> = read.manifests.iter().filter_map(|app| app.app.domain.as_ref()).collect();
    assert_eq!(domains.iter().map(ToString::to_string).collect::<Vec<_>>(), ["staging.shop.example"]);
}

#[test]
fn a_file_of_one_app_is_read_as_it_always_was() {
    let read = read("app: {name: shop}\nimage: shop:1\n").unwrap();
    assert_eq!(names(&read), ["shop"]);
}

#[test]
fn who_reads_one_app_is_told_that_there_are_several() {
    let options = ReadOptions { environment: None, lookup: &|_| None, workload: Workload::Required };
    let report = read_manifest("nextdeploy.yml", SHOP, &options).unwrap_err();
    assert_eq!(
        report.to_string(),
        "error[ND0123] nextdeploy.yml:5:3: the file has several apps: web, migrate, db; help: name one of them"
    );
}

#[test]
fn mistakes_are_told_at_their_line_and_with_the_app_in_their_pointer() {
    let report = read("apps:\n  web: {image: a, heathcheck: 1}\n  db: {app: {name: d2, port: 70000}, image: b}\nenv: {A: b}\n").unwrap_err();
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let beginnings = [
        "error[ND0110] nextdeploy.yml:2:19: unknown key `heathcheck`",
        "error[ND0123] nextdeploy.yml:3:20: app.name is d2, but the app stands under `db`; help: leave it out",
        "error[ND0121] nextdeploy.yml:3:30: port must be 1–65535, found 70000",
        "error[ND0111] nextdeploy.yml:4:1: `env` belongs to one app, not beside `apps`; help: move it to `apps.NAME.env`",
    ];
    assert_eq!(lines.len(), beginnings.len(), "{text}");
    for (line, beginning) in lines.iter().zip(beginnings) {
        assert!(line.starts_with(beginning), "{line}");
    }
    let pointers: Vec<_> =
        report.mistakes().iter().filter_map(|mistake| mistake.pointer.as_deref()).collect();
    assert_eq!(pointers, ["/apps/web/heathcheck", "/apps/db/app/name", "/apps/db/app/port", "/env"]);
}

#[test]
fn apps_that_wait_for_each_other_are_named_in_their_circle() {
    let report = read(
        "apps:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [b]}\n",
    )
    .unwrap_err();
    assert_eq!(
        report.to_string(),
        "error[ND0123] nextdeploy.yml:3:3: the apps wait for each other: `b` → `c` → `b`; help: one of them must start first"
    );
    let report = read("apps:\n  a: {image: x, depends_on: [a]}\n").unwrap_err();
    assert!(report.to_string().contains("`a` depends on itself"), "{report}");
}

#[test]
fn a_condition_that_does_not_exist_is_told_the_known_ones() {
    let report =
        read("apps:\n  a: {image: x, depends_on: {b: {condition: helthy, restart: true}}}\n").unwrap_err();
    let text = report.to_string();
    assert!(text.contains("`helthy` is not one of started, healthy, completed; help: `healthy`"), "{text}");
    assert!(text.contains("unknown key `restart` in depends_on"), "{text}");
}

#[test]
fn apps_that_are_no_map_say_so() {
    for text in ["apps: [a]\n", "apps: {}\n", "apps:\n"] {
        let report = read(text).unwrap_err().to_string();
        assert!(report.contains("apps must be a map of at least one app"), "{report}");
    }
}
