use std::path::Path;
use std::time::Duration;

use nd_core::spec::{ProbeKind, RestartPolicy, VolumeSource, Workload};
use serde_json::json;

use super::*;

const ROOT: u32 = 0;

fn manifest(value: &serde_json::Value) -> Manifest {
    nd_config::manifest_from_json(value, nd_config::Workload::Optional).unwrap().manifest
}

fn ana() -> Caller {
    Caller::Peer { uid: 1000, gid: 1000, name: Some("ana".to_owned()) }
}

fn context(caller: &Caller) -> Context<'_> {
    Context {
        base: None,
        base_dir: Some(Path::new("/srv/shop")),
        search_path: Some("/bin"),
        caller,
        daemon_uid: ROOT,
    }
}

#[test]
fn an_image_with_everything_becomes_a_spec() {
    let manifest = manifest(&json!({
        "app": {"name": "shop", "port": 3000, "domain": "shop.example", "resources": {"cpu_quota": "80%"}},
        "image": "node:22",
        "env": {"A": "1"},
        "deployment": {"container": {
            "volumes": ["./data:/data", "up:/up:ro"],
            "ports": ["80:3000", "8080:3000"],
            "healthcheck": {"path": "/health", "timeout": "30s"},
            "restart": "on-failure",
        }},
        "scale": {"instances": 3},
    }));
    let built = build(&manifest, &context(&ana())).unwrap();
    let spec = built.spec;
    assert_eq!(built.replicas, Some(3));
    assert_eq!(spec.resources.cpu_millis.map(std::num::NonZeroU32::get), Some(800));
    assert_eq!(spec.routes.len(), 1);
    assert_eq!(spec.host_ports.len(), 1, "port 80 is the proxy's");
    assert_eq!(
        spec.volumes.first().map(|volume| &volume.source),
        Some(&VolumeSource::Path("/srv/shop/data".into()))
    );
    assert!(matches!(&spec.readiness.kind, ProbeKind::Http(http) if http.path == "/health"));
    assert_eq!(spec.readiness.interval, Duration::from_secs(30), "a timeout given alone raises the interval");
    assert_eq!(spec.restart.policy, RestartPolicy::OnFailure);
}

#[test]
fn a_check_over_http_keeps_what_is_left_out_of_it() {
    let check = |check: serde_json::Value| {
        manifest(
            &json!({"app": {"name": "shop"}, "image": "node:22", "deployment": {"container": {"healthcheck": check}}}),
        )
    };
    let caller = ana();
    let full = check(json!({"path": "/up", "headers": {"Host": "shop.example"}, "status": [204, "300-302"]}));
    let base = build(&full, &context(&caller)).unwrap().spec;
    let ProbeKind::Http(probe) = &base.readiness.kind else { panic!("no check over HTTP") };
    assert_eq!((probe.path.as_str(), probe.accept.to_string().as_str()), ("/up", "204, 300-302"));
    assert_eq!(probe.headers.get("Host").map(String::as_str), Some("shop.example"));
    let other = check(json!({"path": "/ready"}));
    let spec = build(&other, &Context { base: Some(&base), ..context(&caller) }).unwrap().spec;
    let expected = nd_core::spec::HttpProbe { path: "/ready".to_owned(), ..probe.clone() };
    assert_eq!(spec.readiness.kind, ProbeKind::Http(expected));
    let alone = build(&check(json!({"status": "200"})), &context(&caller)).unwrap().spec;
    assert!(matches!(&alone.readiness.kind, ProbeKind::Http(http) if http.path == "/"));
}

#[test]
fn what_is_left_out_stays_as_the_app_has_it() {
    let full = json!({"app": {"name": "shop", "port": 3000, "domain": "a.example"}, "image": "node:20", "env": {"A": "1"}});
    let caller = ana();
    let base = build(&manifest(&full), &context(&caller)).unwrap().spec;
    let swap = manifest(&json!({"app": {"name": "shop"}, "image": "node:22"}));
    let spec = build(&swap, &Context { base: Some(&base), ..context(&caller) }).unwrap().spec;
    assert_eq!(changes(&base, &spec), ["image node:20 → node:22"]);
    let policy = json!({"app": {"name": "shop"}, "deployment": {"container": {"restart": "never"}}});
    let spec = build(&manifest(&policy), &Context { base: Some(&base), ..context(&caller) }).unwrap().spec;
    assert_eq!(changes(&base, &spec), ["restart always → never"]);
}

#[test]
fn a_process_runs_as_whoever_asks_and_never_as_root_by_accident() {
    let plain = manifest(&json!({"app": {"name": "shop"}, "command": ["./serve"]}));
    let as_root = manifest(&json!({"app": {"name": "shop"}, "command": ["./serve"], "user": "root"}));
    let root = Caller::Peer { uid: 0, gid: 0, name: Some("root".to_owned()) };
    let user = |manifest: &Manifest, caller: &Caller| match build(manifest, &context(caller)) {
        Ok(Built { spec: AppSpec { workload: Workload::Command(command), .. }, .. }) => Ok(command.user),
        Ok(_) => panic!("not a process"),
        Err(refusal) => Err(refusal.title),
    };
    assert_eq!(user(&plain, &ana()), Ok(Some("ana".to_owned())));
    assert_eq!(user(&plain, &root), Err("the process would run as root".to_owned()));
    assert_eq!(user(&as_root, &root), Ok(Some("root".to_owned())));
    assert!(user(&as_root, &ana()).is_err());
    assert_eq!(user(&plain, &Caller::Dev), Ok(None));
}

#[test]
fn a_relative_path_needs_a_place_to_start_from() {
    let manifest = manifest(&json!({"app": {"name": "shop"}, "command": ["./serve"], "cwd": "sub"}));
    let caller = ana();
    let here = build(&manifest, &context(&caller)).unwrap().spec.workload;
    assert!(matches!(here, Workload::Command(command) if command.cwd == Path::new("/srv/shop/sub")));
    let refusal = build(&manifest, &Context { base_dir: None, ..context(&caller) }).unwrap_err();
    assert!(refusal.title.contains("is relative"), "{}", refusal.title);
}

#[test]
fn nothing_to_run_is_refused() {
    let empty = manifest(&json!({"app": {"name": "shop"}}));
    assert!(build(&empty, &context(&ana())).unwrap_err().title.contains("nothing says what runs"));
}

#[test]
fn every_rule_of_restarting_reaches_the_spec() {
    let manifest = manifest(&json!({
        "app": {"name": "shop", "resources": {"memory_max": "400M"}},
        "image": "node:22",
        "restart": {"max": 10, "min_uptime": "20s", "delay": "1s", "backoff": "3x", "max_delay": "60s", "crash_threshold": 7,
            "crash_window": "2m", "max_memory": "480M", "stop_exit_codes": [78], "cron": "0 3 * * *"},
        "stop_signal": "SIGINT",
        "kill_timeout": "5s",
        "scale": {"instances": "max"},
    }));
    let built = build(&manifest, &context(&ana())).unwrap();
    let (restart, stop) = (&built.spec.restart, &built.spec.stop);
    assert_eq!((restart.max_restarts, restart.backoff_factor, restart.crash_threshold), (Some(10), 3, 7));
    assert_eq!((restart.delay, restart.delay_declared), (Duration::from_secs(1), true));
    assert_eq!(restart.crash_window, Duration::from_secs(120));
    assert_eq!(restart.max_memory.map(|size| size.to_string()).as_deref(), Some("480M"));
    assert_eq!(restart.cron.as_ref().map(ToString::to_string).as_deref(), Some("0 3 * * *"));
    assert_eq!(restart.stop_exit_codes, [78]);
    assert_eq!((stop.signal, stop.grace), (Some(2), Duration::from_secs(5)));
    assert!(built.replicas.is_some_and(|replicas| replicas >= 1));
    assert!(
        built.notes.iter().any(|note| note.contains("max_memory 480M is not below the limit of 400M")),
        "{:?}",
        built.notes
    );
}

#[test]
fn an_upstream_keeps_nothing_of_what_ran_here_before() {
    let here = manifest(&json!({
        "app": {"name": "shop", "port": 3000, "domain": "shop.example"},
        "image": "node:22",
        "env": {"A": "1"},
        "restart": {"max": 3},
        "deployment": {"container": {"volumes": ["data:/data"], "healthcheck": {"cmd": "true"}}},
    }));
    let caller = ana();
    let Ok(before) = build(&here, &context(&caller)) else { panic!("the image is refused") };
    let elsewhere =
        manifest(&json!({"app": {"name": "shop"}, "upstream": "127.0.0.1:4000", "restart": {"max": 0}}));
    let inherits = Context { base: Some(&before.spec), ..context(&caller) };
    let Ok(Built { spec, replicas, .. }) = build(&elsewhere, &inherits) else {
        panic!("the upstream is refused")
    };
    assert_eq!((spec.port.map(std::num::NonZeroU16::get), replicas), (Some(4000), Some(1)));
    assert_eq!((spec.readiness.kind, spec.restart.max_restarts), (ProbeKind::Auto, None));
    assert!(spec.env.is_empty() && spec.volumes.is_empty());
    assert_eq!(spec.routes.len(), 1, "its domain leads to the other place now");
    let back =
        Context { base: Some(&AppSpec { port: spec.port, ..before.spec.clone() }), ..context(&caller) };
    assert!(
        build(&here, &back).is_ok_and(|built| built.spec.port.map(std::num::NonZeroU16::get) == Some(3000))
    );
}
