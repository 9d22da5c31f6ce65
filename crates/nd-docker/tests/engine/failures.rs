//! Bad input, and what the runtime says to it.

use nd_core::ports::{PortErrorKind, Progress, Runtime, UnitStatus};
use nd_core::spec::{AppSpec, CommandSpec, ImageSpec, VolumeSource, VolumeSpec, Workload};
use nd_types::{ByteSize, ExitStatus};

use super::bench::{Bench, DEADLINE, with_engine};

fn with_image(bench: &Bench, change: impl FnOnce(&mut ImageSpec)) -> AppSpec {
    let mut image = ImageSpec::new(bench.image.clone());
    change(&mut image);
    AppSpec::new(Workload::Image(image))
}

async fn exit(bench: &Bench, slot: u16, spec: AppSpec) -> ExitStatus {
    let unit = bench.unit(slot, spec).await;
    bench.runtime.create(&unit).await.unwrap();
    bench.runtime.start(&unit.id).await.unwrap();
    let ended =
        tokio::time::timeout(DEADLINE, bench.runtime.wait(&unit.id)).await.expect("the unit ends").unwrap();
    let seen = bench.look(&unit.id).await.unwrap();
    assert!(matches!(seen.status, UnitStatus::Exited { exit, .. } if exit == ended), "{seen:?}");
    ended
}

#[tokio::test]
async fn an_end_is_told_as_it_was() {
    with_engine(async |bench| {
        assert_eq!(exit(&bench, 1, bench.spec(&[("TESTAPP_EXIT_CODE", "7")])).await, ExitStatus::Code(7));
        assert_eq!(
            exit(&bench, 2, bench.spec(&[("TESTAPP_DIE_AFTER_MS", "100")])).await,
            ExitStatus::Code(1)
        );
        let missing = with_image(&bench, |image| image.command = vec!["/nope".to_owned()]);
        assert_eq!(exit(&bench, 3, missing).await, ExitStatus::Code(127));
        let mut greedy = bench.spec(&[("TESTAPP_LEAK_MB_PER_S", "64")]);
        greedy.resources.memory = Some(ByteSize(16 << 20));
        assert_eq!(exit(&bench, 4, greedy).await, ExitStatus::OutOfMemory);
    })
    .await;
}

#[tokio::test]
async fn apps_that_outgrow_their_memory_in_their_first_moment_are_all_told_so() {
    with_engine(async |bench| {
        let greedy = |slot| {
            let bench = &bench;
            async move {
                let mut greedy =
                    bench.spec(&[("TESTAPP_NEVER_LISTEN", "1"), ("TESTAPP_LEAK_MB_PER_S", "200")]);
                greedy.resources.memory = Some(ByteSize(16 << 20));
                exit(bench, slot, greedy).await
            }
        };
        // Side by side, so that the engine lags behind the kernel.
        let exits = futures_util::future::join_all((1..=6).map(greedy)).await;
        assert_eq!(exits, [ExitStatus::OutOfMemory; 6]);
    })
    .await;
}

#[tokio::test]
async fn a_kill_from_outside_is_not_taken_for_a_lack_of_memory() {
    with_engine(async |bench| {
        let unit = bench.started(1, &[]).await;
        bench.runtime.signal(&unit, nd_core::ports::Signal::Kill).await.unwrap();
        assert_eq!(bench.runtime.wait(&unit).await.unwrap(), ExitStatus::Signal(9));

        bench.runtime.start(&unit).await.unwrap();
        let pid = bench.look(&unit).await.unwrap().pid.unwrap();
        let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        assert_eq!(bench.runtime.wait(&unit).await.unwrap(), ExitStatus::Signal(9));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_prepared_is_said_before_anything_is_created() {
    with_engine(async |bench| {
        let kind = async |spec: &AppSpec| {
            bench
                .runtime
                .prepare(spec, None, &Progress::default())
                .await
                .map_err(|error| error.kind)
                .unwrap_err()
        };
        assert_eq!(
            kind(&with_image(&bench, |image| image.reference = "Not A Name".to_owned())).await,
            PortErrorKind::Invalid
        );
        assert_eq!(
            kind(&with_image(&bench, |image| image.reference = String::new())).await,
            PortErrorKind::Invalid
        );
        let unknown_id = format!("sha256:{}", "0".repeat(64));
        assert_eq!(
            kind(&with_image(&bench, |image| image.reference = unknown_id)).await,
            PortErrorKind::NotFound
        );
        let argv = vec!["/bin/true".to_owned()];
        let command = CommandSpec { argv, cwd: "/".into(), user: None, path: None };
        assert_eq!(kind(&AppSpec::new(Workload::Command(command))).await, PortErrorKind::Invalid);

        let silent = format!("nd-test-{}:silent", bench.daemon);
        bench.import(&silent, &[]).await;
        let without_command = with_image(&bench, |image| image.reference = silent.clone());
        let error = bench.runtime.prepare(&without_command, None, &Progress::default()).await.unwrap_err();
        bench
            .docker
            .remove_image(&silent, None::<bollard::query_parameters::RemoveImageOptions>, None)
            .await
            .unwrap();
        assert_eq!(error.kind, PortErrorKind::Invalid);
        assert!(error.fix.unwrap().contains("command:"));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_created_or_started_is_said_in_clear_words() {
    with_engine(async |bench| {
        let mut spec = bench.spec(&[]);
        spec.volumes = vec![VolumeSpec {
            source: VolumeSource::Path("/nonexistent/directory".into()),
            target: "/data".to_owned(),
            read_only: false,
        }];
        let unit = bench.unit(1, spec).await;
        let error = bench.runtime.create(&unit).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
        assert!(error.context.contains("/nonexistent/directory"), "{error}");

        let directory = tempfile::tempdir().unwrap();
        let mut spec = bench.spec(&[]);
        spec.volumes = vec![VolumeSpec {
            source: VolumeSource::Path(directory.path().to_owned()),
            target: "/data".to_owned(),
            read_only: false,
        }];
        let unit = bench.unit(2, spec).await;
        bench.runtime.create(&unit).await.unwrap();
        directory.close().unwrap();
        assert_eq!(bench.runtime.start(&unit.id).await.unwrap_err().kind, PortErrorKind::NotFound);
        assert_eq!(bench.look(&unit.id).await.unwrap().status, UnitStatus::Created);

        let unit =
            bench.unit(3, with_image(&bench, |image| image.user = Some("nobody-knows".to_owned()))).await;
        bench.runtime.create(&unit).await.unwrap();
        let error = bench.runtime.start(&unit.id).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Invalid, "{error}");
        assert!(error.fix.unwrap().contains("user:"));

        let mut spec = bench.spec(&[]);
        spec.resources.cpu_millis = 9_000_000.try_into().ok();
        let error = bench.runtime.create(&bench.unit(4, spec).await).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Invalid, "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_name_that_somebody_else_has_is_a_conflict() {
    with_engine(async |bench| {
        let unit = bench.unit(1, bench.spec(&[])).await;
        let body = bollard::models::ContainerCreateBody {
            image: Some(bench.image.clone()),
            labels: Some([("nd-test".to_owned(), bench.daemon.to_string())].into()),
            ..Default::default()
        };
        let options = bollard::query_parameters::CreateContainerOptions {
            name: Some(unit.id.to_string()),
            ..Default::default()
        };
        bench.docker.create_container(Some(options), body).await.unwrap();
        let error = bench.runtime.create(&unit).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Conflict, "{error}");
        bench.runtime.remove(&unit.id).await.unwrap();
        bench
            .docker
            .inspect_container(unit.id.as_str(), None)
            .await
            .expect("what is not ours is not removed");
        assert_eq!(bench.runtime.start(&unit.id).await.unwrap_err().kind, PortErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_unit_of_another_daemon_is_never_touched() {
    with_engine(async |bench| {
        let unit = bench.started(1, &[]).await;
        let other = nd_docker::DockerRuntime::new(bench.settings.clone(), None);
        let scope = nd_core::ports::Scope::All("somebodyelse".parse().unwrap());
        other.observe(&scope).await.unwrap();
        other.remove(&unit).await.unwrap();
        other.signal(&unit, nd_core::ports::Signal::Kill).await.unwrap();
        assert!(bench.look(&unit).await.unwrap().status.is_running());
    })
    .await;
}
