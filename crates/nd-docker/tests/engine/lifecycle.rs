//! From an image to a running unit and back to nothing.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nd_core::ports::{Runtime, Scope, Signal, UnitIo, UnitStatus};
use nd_core::spec::{VolumeSource, VolumeSpec};
use nd_types::{ByteSize, ExitStatus};

use super::bench::{DEADLINE, get, until, with_engine};

#[tokio::test]
async fn a_unit_is_created_started_stopped_started_again_killed_and_removed() {
    with_engine(async |bench| {
        let runtime = &bench.runtime;
        let unit = bench.unit(1, bench.spec(&[("TESTAPP_RELEASE", "v1")])).await;
        assert_eq!(unit.prepared.exposed.iter().map(|port| port.get()).collect::<Vec<_>>(), [3000]);
        let created = runtime.create(&unit).await.unwrap();
        assert_eq!(
            (created.status.clone(), created.ip, created.runs.as_str()),
            (UnitStatus::Created, None, bench.image.as_str())
        );
        assert_eq!(runtime.create(&unit).await.unwrap(), created);
        assert_eq!(runtime.wait(&unit.id).await.unwrap(), ExitStatus::Unknown);

        let running = runtime.start(&unit.id).await.unwrap();
        assert!(running.status.is_running() && running.pid.is_some(), "{running:?}");
        let address = SocketAddr::new(running.ip.unwrap(), 3000);
        let answer = get(address, "/").await;
        assert!(
            answer.contains("x-release: v1") && answer.contains(&format!("x-instance: {}-", unit.id)),
            "{answer}"
        );
        assert_eq!(runtime.start(&unit.id).await.unwrap(), running);

        runtime.signal(&unit.id, Signal::Stop(None)).await.unwrap();
        assert_eq!(
            tokio::time::timeout(DEADLINE, runtime.wait(&unit.id)).await.unwrap().unwrap(),
            ExitStatus::Code(0)
        );
        let ended = bench.look(&unit.id).await.unwrap();
        assert!(
            matches!(ended.status, UnitStatus::Exited { exit: ExitStatus::Code(0), finished: Some(_), .. }),
            "{ended:?}"
        );
        runtime.signal(&unit.id, Signal::Stop(None)).await.unwrap();

        let again = runtime.start(&unit.id).await.unwrap();
        assert_eq!(again.ip, running.ip);
        runtime.signal(&unit.id, Signal::Kill).await.unwrap();
        assert_eq!(
            tokio::time::timeout(DEADLINE, runtime.wait(&unit.id)).await.unwrap().unwrap(),
            ExitStatus::Signal(9)
        );

        runtime.start(&unit.id).await.unwrap();
        runtime.remove(&unit.id).await.unwrap();
        assert_eq!(bench.look(&unit.id).await, None);
        runtime.remove(&unit.id).await.unwrap();
        runtime.signal(&unit.id, Signal::Kill).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_container_carries_our_labels_limits_and_settings() {
    with_engine(async |bench| {
        let mut spec = bench.spec(&[]);
        spec.resources.memory = Some(ByteSize(64 << 20));
        spec.resources.cpu_millis = 500.try_into().ok();
        spec.resources.pids = 50.try_into().ok();
        let directory = tempfile::tempdir().unwrap();
        let volume =
            |source, target: &str| VolumeSpec { source, target: target.to_owned(), read_only: false };
        spec.volumes = vec![
            volume(VolumeSource::Named(format!("nd-test-{}", bench.daemon)), "/data"),
            volume(VolumeSource::Path(directory.path().to_owned()), "/host"),
        ];
        let unit = bench.unit(1, spec).await;
        bench.runtime.create(&unit).await.unwrap();
        bench.runtime.start(&unit.id).await.unwrap();
        let container = bench.docker.inspect_container(unit.id.as_str(), None).await.unwrap();
        let labels = container.config.unwrap().labels.unwrap();
        assert_eq!(labels["nextdeploy.managed"], "true");
        assert_eq!(labels["nextdeploy.daemon"], bench.daemon.as_str());
        assert_eq!(
            (labels["nextdeploy.app"].as_str(), labels["nextdeploy.unit"].as_str()),
            ("shop", unit.id.as_str())
        );
        let host = container.host_config.unwrap();
        assert_eq!(
            (host.memory, host.nano_cpus, host.pids_limit),
            (Some(64 << 20), Some(500_000_000), Some(50))
        );
        assert_eq!(host.init, Some(true));
        assert_eq!(host.log_config.unwrap().typ.as_deref(), Some("json-file"));

        bench.runtime.remove(&unit.id).await.unwrap();
        let volume = bench.docker.inspect_volume(&format!("nd-test-{}", bench.daemon)).await;
        assert_eq!(volume.expect("a named volume stays").labels["nextdeploy.app"], "shop");
    })
    .await;
}

#[tokio::test]
async fn a_unit_says_what_it_uses_and_where_it_listens() {
    with_engine(async |bench| {
        let mut spec = bench.spec(&[("TESTAPP_BIND", "127.0.0.1"), ("TESTAPP_CHILDREN", "2")]);
        spec.resources.memory = Some(ByteSize(64 << 20));
        let unit = bench.unit(1, spec).await;
        bench.runtime.create(&unit).await.unwrap();
        assert_eq!(bench.runtime.stats(&unit.id).await.unwrap().processes, 0);
        assert!(bench.runtime.listening(&unit.id).await.unwrap().is_empty());
        bench.runtime.start(&unit.id).await.unwrap();
        until("the app listens", async || !bench.runtime.listening(&unit.id).await.unwrap().is_empty()).await;
        let sockets = bench.runtime.listening(&unit.id).await.unwrap();
        let found: Vec<_> = sockets.iter().map(|socket| (socket.ip, socket.port.get())).collect();
        assert_eq!(found, [(IpAddr::from([127, 0, 0, 1]), 3000)]);
        let stats = bench.runtime.stats(&unit.id).await.unwrap();
        // The init, the app and its children.
        assert_eq!((stats.processes, stats.memory_limit_bytes), (4, Some(64 << 20)));
        assert!(
            stats.memory_bytes > 0 && stats.cpu > Duration::ZERO && stats.received_bytes.is_some(),
            "{stats:?}"
        );
        let first = bench.runtime.stats(&unit.id).await.unwrap();
        bench.runtime.signal(&unit.id, Signal::Kill).await.unwrap();
        bench.runtime.wait(&unit.id).await.unwrap();
        bench.runtime.start(&unit.id).await.unwrap();
        assert!(bench.runtime.stats(&unit.id).await.unwrap().cpu < first.cpu + Duration::from_secs(1));
    })
    .await;
}

#[tokio::test]
async fn only_units_of_the_scope_are_observed() {
    with_engine(async |bench| {
        let unit = bench.started(1, &[]).await;
        let all = bench.runtime.observe(&Scope::All(bench.daemon.clone())).await.unwrap();
        assert_eq!(all.iter().filter(|seen| seen.daemon.as_ref() == Some(&bench.daemon)).count(), 1);
        let others = bench.runtime.observe(&Scope::All("somebodyelse".parse().unwrap())).await.unwrap();
        assert!(others.iter().all(|seen| seen.id.as_ref() != Some(&unit)), "{others:?}");
        let other_app = Scope::App(bench.daemon.clone(), "other".parse().unwrap());
        assert!(bench.runtime.observe(&other_app).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_command_runs_inside_a_unit_within_its_deadline() {
    with_engine(async |bench| {
        let unit = bench.started(1, &[]).await;
        let argv = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        // A second one cannot bind the port: it says so and fails.
        until("the app listens", async || !bench.runtime.listening(&unit).await.unwrap().is_empty()).await;
        let failed = bench.runtime.exec(&unit, &argv(&["/testapp"]), DEADLINE).await.unwrap();
        assert_eq!(failed.exit, ExitStatus::Code(1), "{}", String::from_utf8_lossy(&failed.output));
        assert!(String::from_utf8_lossy(&failed.output).starts_with("testapp: "));
        let fine =
            bench.runtime.exec(&unit, &argv(&["/testapp", "child-that-exits"]), DEADLINE).await.unwrap();
        assert_eq!((fine.exit, fine.output.len()), (ExitStatus::Code(0), 0));

        let patient = bench.started(2, &[("TESTAPP_NEVER_LISTEN", "1")]).await;
        let processes = async || bench.runtime.stats(&patient).await.unwrap().processes;
        until("the app runs", async || processes().await == 2).await;
        let slow = bench.runtime.exec(&patient, &argv(&["/testapp"]), Duration::from_millis(500)).await;
        assert_eq!(slow.unwrap_err().kind, nd_core::ports::PortErrorKind::Timeout);
        until("the command is ended", async || processes().await == 2).await;

        let missing = bench.runtime.exec(&unit, &argv(&["/nope"]), DEADLINE).await.unwrap_err();
        assert_eq!(missing.kind, nd_core::ports::PortErrorKind::NotFound, "{missing}");
        bench.runtime.signal(&unit, Signal::Kill).await.unwrap();
        bench.runtime.wait(&unit).await.unwrap();
        let stopped = bench.runtime.exec(&unit, &argv(&["/testapp"]), DEADLINE).await.unwrap_err();
        assert_eq!(stopped.kind, nd_core::ports::PortErrorKind::Conflict, "{stopped}");
    })
    .await;
}
