//! Containers that no daemon claims.

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::CreateContainerOptions;
use futures_util::StreamExt;
use nd_core::ports::{LogCursor, Runtime, Scope, Signal, UnitIo, UnitStatus};
use nd_core::spec::{ImageSpec, Workload};
use nd_docker::DockerRuntime;

use super::bench::{DEADLINE, with_engine};

#[tokio::test]
async fn a_container_with_our_label_alone_is_a_unit_that_can_be_adopted() {
    with_engine(async |bench| {
        let name = format!("Legacy_{}", bench.daemon);
        let labels = [("nextdeploy.managed", "true"), ("nd-test", bench.daemon.as_str())];
        let body = ContainerCreateBody {
            image: Some(bench.image.clone()),
            env: Some(vec!["PORT=4000".to_owned(), "TESTAPP_LOG_LINES=3".to_owned()]),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            host_config: Some(HostConfig { memory: Some(64 << 20), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let options =
            CreateContainerOptions { name: Some(name.clone()), ..CreateContainerOptions::default() };
        bench.docker.create_container(Some(options), body).await.unwrap();

        let all = bench.runtime.observe(&Scope::All(bench.daemon.clone())).await.unwrap();
        let seen = all.into_iter().find(|seen| seen.name == name).expect("it is observed");
        let spec = seen.adoptable.clone().expect("it can be adopted");
        let image = ImageSpec::new(bench.image.clone());
        assert_eq!(spec.workload, Workload::Image(image));
        assert_eq!((spec.port.map(std::num::NonZero::get), spec.env.len()), (Some(4000), 2));
        let unit = seen.id.clone().expect("it has an id");
        assert_eq!(unit.app().as_str(), format!("legacy-{}", bench.daemon));
        assert_eq!((seen.daemon, seen.release, seen.status), (None, None, UnitStatus::Created));

        // A daemon that has just started knows nothing but the id.
        let runtime = DockerRuntime::new(bench.settings.clone(), None);
        let running = runtime.start(&unit).await.unwrap();
        assert!(running.status.is_running() && running.ip.is_some(), "{running:?}");
        let lines = runtime.logs(&unit, LogCursor::Start).await.unwrap().take(3);
        let lines = tokio::time::timeout(DEADLINE, lines.collect::<Vec<_>>()).await.unwrap();
        assert_eq!(lines.len(), 3);
        let scope = Scope::App(bench.daemon.clone(), unit.app().clone());
        assert_eq!(runtime.observe(&scope).await.unwrap().len(), 1);
        runtime.signal(&unit, Signal::Kill).await.unwrap();
        runtime.wait(&unit).await.unwrap();
        runtime.remove(&unit).await.unwrap();
        assert!(runtime.observe(&scope).await.unwrap().is_empty());
    })
    .await;
}
