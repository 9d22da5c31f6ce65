//! Files as people have them, through the importers: what is written, what each key became, and what is lost.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use nd_config::import::{Imported, Surroundings, compose, pm2};
use nd_config::{ReadOptions, Report, Workload, read_manifests};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn file(name: &str) -> Outcome<String> {
    Ok(fs::read_to_string(Path::new("tests/import").join(name))?)
}

fn import_pm2(name: &str) -> Outcome<Imported> {
    Ok(pm2(&file(name)?, name)?)
}

fn import_compose(name: &str, profiles: &[&str]) -> Outcome<Imported> {
    let profiles: Vec<String> = profiles.iter().map(ToString::to_string).collect();
    let around = Surroundings {
        project: "My.Project",
        lookup: &|_| None,
        read: &|path| file(path).ok(),
        profiles: &profiles,
    };
    Ok(compose(&file(name)?, name, &around)?)
}

fn refused_compose(text: &str) -> String {
    let around = Surroundings { project: "p", lookup: &|_| None, read: &|_| None, profiles: &[] };
    compose(text, "compose.yml", &around).map_or_else(|report| report.to_string(), |imported| imported.yaml)
}

/// Everything that an import says, after what it wrote was read by the strict reader.
fn shown(imported: &Imported) -> Outcome<String> {
    let lookup = |name: &str| Some(format!("{name}-value"));
    let options = ReadOptions { environment: None, lookup: &lookup, workload: Workload::Required };
    let read = read_manifests("nextdeploy.yml", &imported.yaml, &options)
        .map_err(|report: Report| format!("{report}\n{}", imported.yaml))?;
    let names: Vec<String> = read.manifests.iter().map(|app| app.app.name.to_string()).collect();
    assert_eq!(names.len(), imported.apps.len());
    let mut out = imported.yaml.clone();
    out.push_str("---- became\n");
    for one in &imported.became {
        let line = one.line.map_or_else(|| "-".to_owned(), |line| line.to_string());
        writeln!(out, "{line:>3} {} -> {}: {}", one.from, one.to, one.value)?;
    }
    out.push_str("---- lost\n");
    for one in &imported.lost {
        let line = one.line.map_or_else(|| "-".to_owned(), |line| line.to_string());
        writeln!(out, "{line:>3} {}: {}", one.key, one.reason)?;
    }
    Ok(out)
}

macro_rules! golden {
    ($($name:ident: $imported:expr;)+) => {$(
        #[test]
        fn $name() -> Outcome {
            insta::assert_snapshot!(stringify!($name), shown(&$imported?)?);
            Ok(())
        }
    )+};
}

golden! {
    an_api_with_workers_comes_over_from_pm2: import_pm2("pm2-api-and-workers.json");
    a_next_app_comes_over_from_pm2: import_pm2("pm2-next.json");
    scripts_of_other_languages_come_over_from_pm2: import_pm2("pm2-python.yml");
    a_blog_with_its_database_comes_over_from_compose: import_compose("compose-wordpress.yml", &[]);
    a_stack_with_jobs_and_replicas_comes_over_from_compose: import_compose("compose-node-stack.yml", &[]);
    services_that_extend_others_come_over_from_compose: import_compose("compose-extends.yml", &[]);
    a_stack_that_watches_comes_over_from_compose: import_compose("compose-monitoring.yml", &[]);
    a_file_of_the_second_format_comes_over_from_compose: import_compose("compose-legacy.yml", &[]);
}

#[test]
fn services_of_a_profile_come_when_it_is_on() -> Outcome {
    let with = import_compose("compose-node-stack.yml", &["dev"])?;
    assert!(with.apps.iter().any(|app| app.as_str() == "mailhog"));
    Ok(())
}

#[test]
fn a_job_that_others_wait_for_is_awaited_to_its_end() -> Outcome {
    let yaml = import_compose("compose-node-stack.yml", &[])?.yaml;
    assert!(yaml.contains("migrate:\n        condition: completed"), "{yaml}");
    Ok(())
}

#[test]
fn what_another_service_brought_is_switched_off_and_a_name_leads_to_one_app() -> Outcome {
    let text = "services:\n  \
                web: {image: a, networks: {default: {aliases: [site]}}, healthcheck: {test: [CMD, up], interval: 9s}}\n  \
                job: {extends: web, healthcheck: {disable: true}}\n  \
                db: {image: postgres, ports: [\"5432:5432\"], env_file: [{path: none.env, required: false}, {path: a.env}]}\n";
    let around = Surroundings { project: "p", lookup: &|_| None, read: &|_| None, profiles: &[] };
    let imported = compose(text, "compose.yml", &around)?;
    let job = imported.yaml.split("\n  job:").nth(1).ok_or("no job")?;
    let job = job.split("\n  db:").next().ok_or("no job")?;
    assert!(!job.contains("healthcheck:") && !job.contains("- site"), "{job}");
    assert!(imported.yaml.contains("- 0.0.0.0:5432:5432/tcp"), "{}", imported.yaml);
    assert!(imported.yaml.contains("- a.env") && !imported.yaml.contains("- none.env"), "{}", imported.yaml);
    let lost: Vec<String> =
        imported.lost.iter().map(|lost| format!("{} {}", lost.key, lost.reason)).collect();
    for expected in ["aliases[0] the name `site` leads to another app already", "none.env is not there"] {
        assert!(lost.iter().any(|lost| lost.contains(expected)), "{expected}: {lost:?}");
    }
    Ok(())
}

#[test]
fn what_is_no_ecosystem_file_is_refused_at_its_place() {
    for (text, expected) in [
        ("", "error[ND0120] e.json:1:1: an ecosystem file lists apps, found nothing"),
        (
            "{\"apps\": [{\"name\": \"a\"}]}",
            "error[ND0112] e.json:1:11: apps[0] has no `script`; help: PM2 starts what stands in `script`",
        ),
        ("{\"apps\": []}", "error[ND0120] e.json:1:10: an ecosystem file lists apps, found a list"),
        ("{\"apps\": [\n  3\n]}", "error[ND0120] e.json:2:3: apps[0] must be a map, found 3"),
    ] {
        let report = pm2(text, "e.json").map_err(|report| report.to_string()).unwrap_err();
        assert_eq!(report, expected);
    }
    let open = pm2("{\n  \"apps\": [\n    {\"script\": \"a.js\"\n", "e.json").unwrap_err().to_string();
    assert!(open.starts_with("error[ND0101] e.json:"), "{open}");
    let same = "{\"apps\": [{\"script\": \"a.js\"},\n {\"script\": \"b/a.js\"}]}";
    let same = pm2(same, "e.json").unwrap_err().to_string();
    assert!(same.starts_with("error[ND0123] e.json:2:3: "), "{same}");
}

#[test]
fn what_is_no_compose_file_is_refused_at_its_place() {
    for (text, expected) in [
        (
            "web: {image: a}\n",
            "error[ND0112] compose.yml:1:1: the file has no `services`; help: a Compose file is `services: {web: {image: …}}`",
        ),
        (
            "services: {}\n",
            "error[ND0120] compose.yml:1:1: services must be a map of at least one service, found a map",
        ),
        (
            "services:\n  web: [a]\n",
            "error[ND0120] compose.yml:2:3: service `web` must be a map, found a list",
        ),
        (
            "services:\n  web: {ports: [\"80:80\"]}\n",
            "error[ND0112] compose.yml:2:3: service `web` has neither `image` nor `build`",
        ),
        (
            "services:\n  a: {extends: b}\n  b: {extends: a}\n",
            "error[ND0121] compose.yml:2:7: the services extend each other without an end\nerror[ND0121] compose.yml:3:7: the services extend each other without an end",
        ),
        (
            "services:\n  a: {extends: {file: x.yml, service: b}}\n",
            "error[ND0121] compose.yml:2:7: x.yml cannot be read",
        ),
        (
            "services:\n  a: {image: a}\n  A: {image: b}\n",
            "error[ND0123] compose.yml:3:3: services.a and services.A would both be the app `a`; help: rename one of them",
        ),
        (
            "services:\n  a: {image: a, profiles: [x]}\n",
            "error[ND0112] compose.yml:1:1: every service of the file belongs to a profile that is off; help: --profile NAME",
        ),
    ] {
        assert_eq!(refused_compose(text), expected);
    }
}

#[test]
fn services_that_wait_for_each_other_are_refused() {
    let report =
        refused_compose("services:\n  a: {image: a, depends_on: [b]}\n  b: {image: b, depends_on: [a]}\n");
    assert!(
        report.starts_with("error[ND0123] compose.yml:2:3: services.a: the apps wait for each other"),
        "{report}"
    );
}
