//! The stored form does not change by accident: every record of version 1 reads back as what it meant when it was
//! written, and is still written so.
//!
//! The files in `v1` are what earlier versions wrote. They are never generated again: a new form is a new
//! version with files of its own beside them.

mod certificates;
mod trial;

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nd_core::diagnosis::Diagnosis;
use nd_core::events::{Event, RestartReason, StepEvent, StepState, StoredEvent};
use nd_core::ports::{AppTraffic, Prepared, ReleaseTraffic};
use nd_core::records::{
    AppRecord, BakeRecord, BakeReference, DaemonRecord, DeploymentRecord, DeploymentStatus, DomainsRecord,
    Receipt, Record, RecordError, ReleaseRecord, RemovedDomain, RolloutRecord, RolloutStage, RunIntent,
};
use nd_core::spec::{
    AppSpec, CommandSpec, HostPortSpec, HttpProbe, ImageSpec, ProbeKind, ReadinessSpec, Resources,
    RestartPolicy, RestartSpec, RouteSpec, StatusRange, Statuses, StopSpec, VolumeSource, VolumeSpec,
    Workload,
};
use nd_types::{
    AppName, ByteSize, ExitStatus, Generation, HostPattern, HostPortProtocol, PathPrefix, ReleaseId,
    RouteOptions, ServiceLimits, StrategyName, Timestamp, UnitId,
};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Reads the file, compares what it means with `record`, and what is written today with the file.
fn keeps(file: &str, record: &Record) -> Outcome {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/records/v1").join(file);
    let kept = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let stored = record.encode()?;
    let written: serde_json::Value = serde_json::from_str(&stored.body.unwrap_or_default())?;
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(&kept)?, "{file}: it is written otherwise");
    assert_eq!(Record::decode(stored.kind, &stored.key, &kept)?, *record, "{file}: it means something else");
    Ok(())
}

fn at(second: i64) -> Outcome<Timestamp> {
    Ok(Timestamp::from_second(1_800_000_000 + second)?)
}

fn diagnosis() -> Diagnosis {
    Diagnosis {
        what: "shop-8f3k2a-1 ended with exit code 127 after 2 s, before it was ready".to_owned(),
        why: Some("the command does not exist (exit code 127)".to_owned()),
        exit: Some(ExitStatus::Code(127)),
        probe: Some("GET /health: connection refused".to_owned()),
        logs: vec!["sh: node: not found".to_owned()],
        fix: vec!["check `command` and what is installed in the image".to_owned()],
    }
}

#[test]
fn the_record_of_a_daemon_is_kept() -> Outcome {
    keeps("daemon.json", &Record::Daemon(DaemonRecord { id: "0123456789ab".parse()?, told: 0 }))
}

#[test]
fn the_record_of_an_app_is_kept() -> Outcome {
    let app: AppName = "shop".parse()?;
    keeps("app-new.json", &Record::App(Box::new(AppRecord::new(app.clone(), at(0)?))))?;
    let asleep = AppRecord { asleep: true, ..AppRecord::new(app.clone(), at(0)?) };
    keeps("app-asleep.json", &Record::App(Box::new(asleep)))?;
    let mut moved = AppRecord::new(app.clone(), at(0)?);
    moved.domains = DomainsRecord {
        added: [HostPattern::new("www.example.com")?, HostPattern::pattern("*.example.org")?].into(),
        removed: [RemovedDomain { release: "8f3k2a".parse()?, host: HostPattern::new("old.example.com")? }]
            .into(),
    };
    keeps("app-domains.json", &Record::App(Box::new(moved)))?;
    let full = AppRecord {
        app,
        revision: 17,
        run: RunIntent::Running,
        asleep: false,
        replicas: 3,
        active: Some("8f3k2a".parse()?),
        rollout: Some(RolloutRecord {
            deployment: "dpl_8f3k2a1".parse()?,
            release: "9g4m3b".parse()?,
            strategy: StrategyName::BlueGreen,
            replicas: 3,
            old_replicas: 2,
            from_stopped: false,
            from_idle: false,
            deadline: at(60)?,
            mixed: 0,
            canary: nd_core::records::CanaryRecord::default(),
            before: None,
            stage: RolloutStage::Undoing(diagnosis()),
        }),
        kept: vec!["7e2j1z".parse()?, "6d1h0y".parse()?],
        run_asked_at: at(1)?,
        restart_before: Some(at(2)?),
        restart_gently: false,
        fixed_port: NonZeroU16::new(3000),
        protected: false,
        ingress: None,
        domains: DomainsRecord::default(),
        bake: Some(BakeRecord {
            deployment: "dpl_7e2j1z9".parse()?,
            previous: "7e2j1z".parse()?,
            until: at(120)?,
            reference: None,
        }),
        gate: nd_types::Gate::Open,
        failover: None,
        updated_at: at(3)?,
    };
    let answered = ReleaseTraffic { answers: 12, failed: 1, latency_us: [(1000, 11), (u64::MAX, 1)].into() };
    let traffic = AppTraffic {
        requests: 0,
        in_flight: 0,
        answers: 12,
        failed: 1,
        held: 2,
        retried: 3,
        releases: [("8f3k2a".parse()?, answered.clone())].into(),
    };
    let measured = AppRecord {
        rollout: full.rollout.clone().map(|rollout| RolloutRecord {
            strategy: StrategyName::Rolling,
            mixed: 2,
            before: Some(Box::new(traffic)),
            ..rollout
        }),
        bake: full.bake.clone().map(|bake| BakeRecord {
            reference: Some(BakeReference {
                previous: answered.clone(),
                began_at: ReleaseTraffic::default(),
            }),
            ..bake
        }),
        ..full.clone()
    };
    keeps("app-measured.json", &Record::App(Box::new(measured)))?;
    keeps("app-full.json", &Record::App(Box::new(full.clone())))?;
    let rollout = full.rollout.map(|rollout| RolloutRecord {
        strategy: StrategyName::Recreate,
        stage: RolloutStage::Advancing,
        ..rollout
    });
    keeps("app-removed.json", &Record::App(Box::new(AppRecord { run: RunIntent::Removed, rollout, ..full })))
}

#[test]
fn the_record_of_a_container_release_is_kept() -> Outcome {
    let image = ImageSpec {
        reference: "registry.example.com/shop:2".to_owned(),
        command: vec!["node".to_owned(), "server.js".to_owned()],
        user: Some("1000:1000".to_owned()),
        ..ImageSpec::default()
    };
    let spec = AppSpec {
        env: BTreeMap::from([("NODE_ENV".to_owned(), "production".to_owned())]),
        port: NonZeroU16::new(3000),
        routes: vec![RouteSpec {
            host: HostPattern::new("shop.example.com")?,
            path: PathPrefix::new("/api"),
            options: RouteOptions::default(),
        }],
        host_ports: vec![HostPortSpec {
            bind: "127.0.0.1:3000".parse()?,
            port: NonZeroU16::new(3000).ok_or("zero")?,
            protocol: HostPortProtocol::Http,
        }],
        volumes: vec![
            VolumeSpec {
                source: VolumeSource::Named("data".to_owned()),
                target: "/data".to_owned(),
                read_only: false,
            },
            VolumeSpec {
                source: VolumeSource::Path("/srv".into()),
                target: "/srv".to_owned(),
                read_only: true,
            },
        ],
        resources: Resources {
            cpu_millis: NonZeroU32::new(1500),
            memory: Some(ByteSize(256 << 20)),
            pids: NonZeroU32::new(100),
        },
        readiness: ReadinessSpec {
            message: false,
            kind: ProbeKind::Http(HttpProbe::new("/health")),
            port: NonZeroU16::new(3001),
            timeout: Duration::from_secs(5),
            interval: Duration::from_secs(10),
            retries: 3,
            start_period: Duration::from_millis(1500),
            deadline: Duration::from_secs(60),
        },
        restart: RestartSpec {
            policy: RestartPolicy::OnFailure,
            max_restarts: Some(10),
            stop_exit_codes: vec![3],
            ..RestartSpec::default()
        },
        stop: StopSpec { signal: Some(2), grace: Duration::from_secs(30) },
        strategy: Some(StrategyName::Recreate),
        drain: Duration::from_secs(30),
        limits: ServiceLimits::default(),
        rules: Arc::default(),
        keep_releases: 5,
        ..AppSpec::new(Workload::Image(image))
    };
    let prepared = Prepared {
        image_id: Some("sha256:0123".to_owned()),
        exposed: NonZeroU16::new(3000).into_iter().collect(),
        healthcheck: true,
        notes: Vec::new(),
    };
    let release = ReleaseRecord {
        id: "8f3k2a".parse()?,
        app: "shop".parse()?,
        deployment: Some("dpl_8f3k2a1".parse()?),
        created_at: at(0)?,
        adopted: Some("old-shop".to_owned()),
        prepared: Some((&prepared).into()),
        spec: (&spec).into(),
    };
    assert_eq!(AppSpec::from(&release.spec), spec, "something of the spec is not stored");
    keeps("release-image.json", &Record::Release(Box::new(release)))
}

/// The record of a release with this spec, of which nothing is lost.
fn release(spec: &AppSpec) -> Outcome<Record> {
    let record = ReleaseRecord {
        id: "8f3k2a".parse()?,
        app: "shop".parse()?,
        deployment: None,
        created_at: at(0)?,
        adopted: None,
        prepared: None,
        spec: spec.into(),
    };
    assert_eq!(AppSpec::from(&record.spec), *spec, "something of the spec is not stored");
    Ok(Record::Release(Box::new(record)))
}

#[test]
fn the_record_of_a_release_with_keys_of_later_versions_is_kept() -> Outcome {
    let image = ImageSpec {
        entrypoint: Some(vec!["/entry.sh".to_owned()]),
        working_dir: Some("/srv".to_owned()),
        aliases: vec!["my_shop".to_owned()],
        ..ImageSpec::new("shop:2")
    };
    let mut spec = AppSpec { direct: true, ..AppSpec::new(Workload::Image(image)) };
    spec.readiness.kind = ProbeKind::Http(HttpProbe {
        path: "/health".to_owned(),
        headers: BTreeMap::from([("Host".to_owned(), "shop.example.com".to_owned())]),
        accept: Statuses::new(vec![
            StatusRange { first: 200, last: 204 },
            StatusRange { first: 401, last: 401 },
        ]),
    });
    keeps("release-image-2.json", &release(&spec)?)
}

#[test]
fn the_record_of_a_process_release_is_kept() -> Outcome {
    let command = CommandSpec {
        argv: vec!["./shop".to_owned(), "--port".to_owned()],
        cwd: "/srv/shop".into(),
        user: Some("www".to_owned()),
        path: Some("/usr/bin".to_owned()),
    };
    let mut spec = AppSpec::new(Workload::Command(command));
    let mut records = Vec::new();
    let kinds = [ProbeKind::Auto, ProbeKind::Tcp, ProbeKind::Command(vec!["true".to_owned()])];
    let policies = [RestartPolicy::Always, RestartPolicy::UnlessStopped, RestartPolicy::Never];
    for (kind, policy) in kinds.into_iter().zip(policies) {
        spec.readiness.kind = kind;
        spec.restart.policy = policy;
        records.push(release(&spec)?);
    }
    for (index, record) in records.into_iter().enumerate() {
        keeps(&format!("release-command-{}.json", index + 1), &record)?;
    }
    Ok(())
}

#[test]
fn the_record_of_a_deployment_is_kept() -> Outcome {
    let deployment = DeploymentRecord {
        id: "dpl_8f3k2a1".parse()?,
        app: "shop".parse()?,
        revision: 0,
        release: "8f3k2a".parse()?,
        previous: Some("7e2j1z".parse()?),
        status: DeploymentStatus::Failed,
        created_at: at(0)?,
        finished_at: Some(at(9)?),
        strategy: StrategyName::Recreate,
        strategy_reason: Some("volume /data is writable, and two versions must never share it".to_owned()),
        actor: "root".to_owned(),
        message: Some("try node 22".to_owned()),
        request: None,
        error: Some(diagnosis()),
        notes: vec!["image is for arm64, this host is amd64".to_owned()],
        receipt: None,
    };
    keeps("deployment-failed.json", &Record::Deployment(Box::new(deployment.clone())))?;
    let receipt = Some(Receipt { served: 1204, held: 3, retried: 2, failed: 1, cut: 0 });
    let measured = DeploymentRecord { receipt, ..deployment.clone() };
    keeps("deployment-receipt.json", &Record::Deployment(Box::new(measured)))?;
    let statuses = [
        ("running", DeploymentStatus::Running),
        ("succeeded", DeploymentStatus::Succeeded),
        ("rolled-back", DeploymentStatus::RolledBack),
        ("rollback-failed", DeploymentStatus::RollbackFailed),
        ("cancelled", DeploymentStatus::Cancelled),
    ];
    for (name, status) in statuses {
        let bare = DeploymentRecord {
            status,
            previous: None,
            finished_at: None,
            strategy: StrategyName::BlueGreen,
            strategy_reason: None,
            message: None,
            error: None,
            notes: Vec::new(),
            ..deployment.clone()
        };
        keeps(&format!("deployment-{name}.json"), &Record::Deployment(Box::new(bare)))?;
    }
    Ok(())
}

#[test]
fn the_record_of_every_event_is_kept() -> Outcome {
    let app: AppName = "shop".parse()?;
    let release: ReleaseId = "8f3k2a".parse()?;
    for (index, what) in events(&release).into_iter().enumerate() {
        let number = index + 1;
        let event = StoredEvent {
            id: u64::try_from(number)?,
            at: at(0)?,
            app: Some(app.clone()),
            unit: Some(UnitId::new(&app, &release, 1)),
            deployment: Some("dpl_8f3k2a1".parse()?),
            actor: Some("root".to_owned()),
            what,
        };
        let name = event.what.type_name().replace('.', "-");
        keeps(&format!("event-{number:02}-{name}.json"), &Record::Event(Box::new(event)))?;
    }
    Ok(())
}

fn events(release: &ReleaseId) -> Vec<Event> {
    let (exit, message) = (ExitStatus::Signal(9), "text".to_owned());
    let step =
        StepEvent { step: "health".to_owned(), state: StepState::Ok, message: message.clone(), ms: 41 };
    let silent =
        StepEvent { step: "swap".to_owned(), state: StepState::Start, message: String::new(), ms: 0 };
    vec![
        Event::DeployStarted { release: release.clone(), strategy: StrategyName::BlueGreen },
        Event::DeployStep(step),
        Event::DeployStep(silent),
        Event::DeploySucceeded { release: release.clone(), took_ms: 1200 },
        Event::DeployFailed { diagnosis: diagnosis(), old_serves: true, lost: false },
        Event::DeployRolledBack { to: release.clone(), reason: message.clone() },
        Event::UnitStarted { restart: None },
        Event::UnitStarted { restart: Some(RestartReason::Exited) },
        Event::UnitStarted { restart: Some(RestartReason::OutOfMemory) },
        Event::UnitStarted { restart: Some(RestartReason::Manual) },
        Event::UnitStarted { restart: Some(RestartReason::FoundStopped) },
        Event::UnitReady { evidence: "GET /health 200 (41 ms)".to_owned(), took_ms: 41 },
        Event::UnitExited { exit, uptime_ms: 5 },
        Event::UnitExited { exit: ExitStatus::OutOfMemory, uptime_ms: 5 },
        Event::UnitExited { exit: ExitStatus::Unknown, uptime_ms: 5 },
        Event::UnitStopped { exit: ExitStatus::Code(143), killed: false },
        Event::UnitRemoved,
        Event::UnitVanished,
        Event::UnitAdopted { runs: "node:22".to_owned() },
        Event::CrashLoop { crashes: 5, exit },
        Event::RoutesServing { generation: Generation(7), units: 2 },
        Event::Drained { finished: 3, cut: 1, websockets_closed: 2 },
        Event::AppChanged { change: "scale to 3".to_owned() },
        Event::PhaseChanged { phase: "running".to_owned(), reason: Some(message.clone()) },
        Event::Trouble { message: message.clone() },
        Event::Note { message: message.clone() },
        Event::UnitUnhealthy { reason: message },
        Event::UnitRecovered,
        Event::UnitStarted { restart: Some(RestartReason::Health) },
        Event::UnitStarted { restart: Some(RestartReason::MemoryLimit) },
        Event::UnitStarted { restart: Some(RestartReason::Cron) },
    ]
}

#[test]
fn a_record_of_a_later_version_says_what_to_do() {
    let error = Record::decode("daemon", "self", r#"{"v":2,"id":"0123456789ab"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "daemon record has version 2, this nextdeployd reads up to 1; upgrade nextdeployd"
    );
    let error = Record::decode("certificate", "x", r#"{"v":1}"#).unwrap_err();
    assert!(error.to_string().contains("`certificate` is not known"), "{error}");
}

#[test]
fn a_damaged_record_is_named() {
    for damaged in ["", "{", "[]", r#"{"v":1}"#, r#"{"v":1,"id":"UPPER"}"#, r#"{"id":"0123456789ab"}"#] {
        let error = Record::decode("daemon", "self", damaged).unwrap_err();
        let named =
            matches!(&error, RecordError::Damaged { kind, key, .. } if kind == "daemon" && key == "self");
        assert!(named, "{damaged}: {error}");
    }
}
