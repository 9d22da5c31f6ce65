//! What holds for every manifest and for every text.

use std::time::Duration;

use nd_api::Manifest;
use nd_api::manifest::{
    CommandLine, Env, Environment, Healthcheck, Instances, Port, Protocol, ProxyRoute, ProxyType, RestartMax,
    RestartPolicy, StopSignal, TargetType, TcpProbe,
};
use nd_config::{
    Colour, ReadOptions, Workload, manifest_from_json, manifest_to_yaml, parse_dotenv, read_manifest,
    read_settings,
};
use nd_types::{ByteSize, StrategyName};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

fn options() -> ReadOptions<'static> {
    ReadOptions { environment: None, lookup: &|_| None, workload: Workload::Optional }
}

/// A time from the range that every setting takes, as it can be written.
fn time() -> impl Strategy<Value = Duration> {
    (1u64..=60).prop_map(Duration::from_secs)
}

fn memory() -> impl Strategy<Value = ByteSize> {
    (6u64..=4096).prop_map(|mega| ByteSize(mega << 20))
}

/// Texts as they stand in commands and variables: quotes, colons, line ends, other alphabets.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,8}",
        "(true|null|~|1\\.10|0x1f|yes|- a|\\$\\{A\\}|\\$\\$\\{|a: b|# c|\\n|\\t|'|\")"
    ]
    .prop_filter("secrets come later", |text| !text.starts_with("secret:"))
}

fn word() -> impl Strategy<Value = String> {
    text().prop_filter("something to run", |text| !text.trim().is_empty())
}

fn command() -> impl Strategy<Value = CommandLine> {
    prop_oneof![
        word().prop_map(CommandLine::Shell),
        (word(), vec(text(), 0..3))
            .prop_map(|(program, rest)| CommandLine::Exec(std::iter::once(program).chain(rest).collect())),
    ]
}

fn port() -> impl Strategy<Value = Port> {
    (1u16..).prop_filter_map("never 0", Port::new)
}

fn env() -> impl Strategy<Value = Env> {
    btree_map("[A-Za-z_][A-Za-z0-9_.-]{0,6}", text(), 0..4).prop_map(|variables| {
        let mut env = Env::default();
        for (name, value) in variables {
            if env.insert(&name, value).is_err() {
                continue; // a NUL byte, which no process can be given
            }
        }
        env
    })
}

fn healthcheck() -> impl Strategy<Value = Healthcheck> {
    let kind = prop_oneof![
        Just((None, None, None)),
        "/[a-z/]{0,8}".prop_map(|path| (Some(path), None, None)),
        of(port()).prop_map(|port| (None, Some(port.map_or(TcpProbe::AppPort, TcpProbe::Port)), None)),
        command().prop_map(|command| (None, None, Some(command))),
    ];
    let statuses = prop_oneof![Just("204"), Just("200-299"), Just("200, 301-302")];
    let http = (of(statuses), btree_map("X-[a-z]{1,6}", "[!-~]{0,8}", 0..3));
    (kind, of(port()), of(1u32..=100), of(time()), of(time()), http).prop_map(
        |((path, tcp, cmd), port, retries, timeout, start_period, (status, headers))| Healthcheck {
            status: status.filter(|_| path.is_some()).and_then(|status| status.parse().ok()),
            headers: if path.is_some() { headers } else { std::collections::BTreeMap::new() },
            path,
            tcp,
            cmd,
            port,
            retries,
            interval: timeout.map(|timeout| timeout * 2),
            timeout,
            start_period,
        },
    )
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let app = (of(port()), of("[a-z]{1,8}\\.example"), of(any::<bool>()), of(memory()), of(1u32..=999));
    let run = (of("[a-z]{1,8}(:[a-z0-9]{1,4})?"), of(command()), of(word()), env());
    let policy = prop_oneof![
        Just(RestartPolicy::Always),
        Just(RestartPolicy::OnFailure),
        Just(RestartPolicy::UnlessStopped),
        Just(RestartPolicy::Never)
    ];
    let cron = prop_oneof![Just("0 3 * * *"), Just("*/5 9-17 * * MON-FRI"), Just("@hourly")];
    let restart = (of(policy), of(-1i64..9999), of(time()), of(memory()), vec(0i32..=255, 0..3), of(cron));
    let rest = (
        healthcheck(),
        of(prop_oneof![
            Just(StrategyName::BlueGreen),
            Just(StrategyName::Recreate),
            Just(StrategyName::Rolling),
            Just(StrategyName::Canary)
        ]),
        of(prop_oneof![Just(Instances::Max), (1u16..=1000).prop_filter_map("in range", Instances::count)]),
        vec("/[a-z]{1,6}", 0..3),
        vec("[a-z]{1,5}:/[a-z]{1,5}(:ro)?", 0..2),
        of(any::<bool>()),
    );
    (app, run, restart, rest).prop_filter_map("every part is valid by itself", |(app, run, restart, rest)| {
        let mut m = Manifest::new("shop".parse().ok()?);
        m.target_type = Some(TargetType::Vps);
        m.app.port = app.0;
        m.app.protocol = app.2.map(|_| Protocol::H2c);
        m.app.domain = app.1.map(String::try_into).transpose().ok()?;
        m.app.proxy_type = app.2.map(|_| ProxyType::Nginx);
        m.app.environment = Some(Environment::Staging);
        m.app.deletion_protection = app.2;
        m.app.resources.memory_max = app.3;
        m.app.resources.cpu_quota = app.4.map(|percent| format!("{percent}%").parse()).transpose().ok()?;
        m.image = run.0.map(String::try_into).transpose().ok()?;
        (m.command, m.cwd, m.env) = (run.1, run.2, run.3);
        m.deployment.container.restart = restart.0;
        m.restart.max = restart.1.map(RestartMax::try_from).transpose().ok()?;
        (m.restart.delay, m.restart.max_memory, m.restart.stop_exit_codes) =
            (restart.2, restart.3, restart.4);
        m.restart.cron = restart.5.map(str::parse).transpose().ok()?;
        m.deployment.container.healthcheck = rest.0;
        m.deployment.rollout.strategy = rest.1;
        m.deployment.rollout.canary.steps = vec![5, 100];
        m.deployment.rollout.canary.abort_if.error_rate = "0.5%".parse().ok();
        m.deployment.stop.signal = Some(StopSignal::Int);
        m.scale.instances = rest.2;
        let mut paths = rest.3;
        paths.dedup();
        paths.sort();
        paths.dedup();
        m.proxy.routes = paths
            .iter()
            .map(|path| ProxyRoute { path: Some(path.clone().into()), ..ProxyRoute::default() })
            .collect();
        let volumes: Result<Vec<_>, _> = rest.4.into_iter().take(1).map(String::try_into).collect();
        m.deployment.container.volumes = volumes.ok()?;
        m.proxy.enabled = rest.5;
        if m.proxy.enabled == Some(false) {
            m.app.domain = None;
            m.proxy.routes.clear();
        }
        let runs_here = m.image.is_some() || m.command.is_some() || m.app.port.is_some();
        let has_probe_inside = m.deployment.container.healthcheck.cmd.is_some();
        if !runs_here && !has_probe_inside && m.proxy.enabled != Some(false) {
            m.upstream = "db.internal:4000".parse().ok();
        }
        Some(m)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_manifest_that_is_written_as_yaml_reads_back_as_the_same_one(manifest in manifest()) {
        let text = manifest_to_yaml(&manifest).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let read = read_manifest("nextdeploy.yml", &text, &options());
        let read = read.map_err(|report| TestCaseError::fail(format!("{text}\n{report}")))?;
        prop_assert_eq!(read.manifest, manifest, "{}", text);
    }

    #[test]
    fn a_manifest_that_is_sent_as_json_reads_back_as_the_same_one(manifest in manifest()) {
        let body = serde_json::to_value(&manifest).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let read = manifest_from_json(&body, Workload::Optional);
        let read = read.map_err(|report| TestCaseError::fail(format!("{body}\n{report}")))?;
        prop_assert_eq!(&read.manifest, &manifest);
        let derived: Manifest = serde_json::from_value(body).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(derived, manifest);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "(\\PC|\n|\t|\r){0,200}") {
        look_at(&text);
    }

    #[test]
    fn no_text_that_looks_like_a_file_makes_a_reader_panic(
        pieces in vec(
            prop_oneof![
                Just("app:"), Just("  name: shop"), Just("image"), Just(": "), Just("\n"), Just("  "), Just("\t"), Just("- "),
                Just("["), Just("]"), Just("{"), Just("}"), Just("&a "), Just("*a"), Just("<<: "), Just("!!str "), Just("|\n"),
                Just("? "), Just("'"), Just("\""), Just("${"), Just("}"), Just("---\n"), Just("env: "), Just("ä"), Just("\u{feff}"),
                Just("environments:\n  prod: "), Just("proxy: {routes: ["), Just("#"), Just("null"), Just("="), Just("\\"),
            ],
            0..40,
        )
    ) {
        look_at(&pieces.concat());
    }
}

/// Reads a text as everything it could be, and renders what is said about it.
fn look_at(text: &str) {
    match read_manifest("f", text, &options()) {
        Ok(checked) => drop(checked.notes.render(Colour::Always)),
        Err(report) => drop((report.render(Colour::Never), report.to_string(), report.to_field_errors())),
    }
    if let Err(report) = read_settings("f", text) {
        drop(report.render(Colour::Never));
    }
    if let Err(report) = parse_dotenv("f", text) {
        drop(report.render(Colour::Never));
    }
}
