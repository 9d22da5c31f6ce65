//! Images from a registry.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bollard::query_parameters::RemoveImageOptions;
use futures_util::future::join_all;
use nd_core::ports::{PortErrorKind, PortResult, Prepared, Progress, RegistryAuth, Runtime};
use nd_core::spec::{AppSpec, ImageSpec, Workload};
use nd_docker::{DockerRuntime, Settings};
use tokio::sync::mpsc;

use super::bench::{Bench, with_engine};
use super::registry::{Mood, Registry};

async fn prepare(
    runtime: &DockerRuntime,
    reference: &str,
    auth: Option<&RegistryAuth>,
    progress: &Progress,
) -> PortResult<Prepared> {
    let image = ImageSpec::new(reference);
    runtime.prepare(&AppSpec::new(Workload::Image(image)), auth, progress).await
}

async fn remove(bench: &Bench, reference: &str) {
    bench.docker.remove_image(reference, None::<RemoveImageOptions>, None).await.unwrap();
}

#[tokio::test]
async fn a_missing_image_is_pulled_once_with_progress_however_many_need_it() {
    with_engine(async |bench| {
        let registry = Registry::new(Mood::Open).await;
        let reference = registry.reference("1");
        let (sender, mut said) = mpsc::channel(64);
        let progress = Progress::to(sender);
        let pulls = (0..4).map(|_| prepare(&bench.runtime, &reference, None, &progress));
        let prepared: Vec<_> =
            join_all(pulls).await.into_iter().map(|prepared| prepared.expect("it is pulled")).collect();
        prepare(&bench.runtime, &reference, None, &progress).await.expect("it is there");
        remove(&bench, &reference).await;
        assert_eq!(registry.fetched.load(Ordering::Relaxed), 1);
        let first = prepared.first().unwrap();
        assert!(prepared.iter().all(|other| other == first) && first.image_id.is_some());
        assert_eq!(first.exposed.iter().map(|port| port.get()).collect::<Vec<_>>(), [8080]);
        let text = said.recv().await.unwrap();
        assert!(text.contains("of 1 layers"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn a_registry_that_wants_a_login_gets_it_or_is_named() {
    with_engine(async |bench| {
        let registry = Registry::new(Mood::Private).await;
        let reference = registry.reference("1");
        let error = prepare(&bench.runtime, &reference, None, &Progress::default()).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Denied, "{error}");
        assert!(error.fix.unwrap().contains(&format!("docker login {}", registry.address)));
        let auth = RegistryAuth { username: "me".to_owned(), password: ">>>???~~~".to_owned() };
        let prepared = prepare(&bench.runtime, &reference, Some(&auth), &Progress::default()).await;
        prepared.expect("the login is accepted");
        remove(&bench, &reference).await;
    })
    .await;
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_told_from_a_registry_that_does_not() {
    with_engine(async |bench| {
        let registry = Registry::new(Mood::Open).await;
        let error = prepare(&bench.runtime, &registry.reference("nope"), None, &Progress::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind, PortErrorKind::NotFound, "{error}");
        assert!(error.context.contains("shop:nope"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_registry_that_refuses_connections_is_tried_again_and_given_up() {
    with_engine(async |bench| {
        let settings = Settings { pull_retry_timeout: Duration::from_secs(2), ..bench.settings.clone() };
        let runtime = DockerRuntime::new(settings, None);
        let (sender, mut said) = mpsc::channel(64);
        let progress = Progress::to(sender);
        let error = prepare(&runtime, "127.0.0.1:1/shop:1", None, &progress).await.unwrap_err();
        assert!(!error.kind.may_pass(), "{error:?}");
        assert!(error.context.contains("given up after"), "{error}");
        assert!(error.fix.unwrap().contains("127.0.0.1:1"));
        assert!(said.recv().await.unwrap().contains("trying again"));
    })
    .await;
}

#[tokio::test]
async fn an_identity_token_opens_a_registry_that_issues_tokens() {
    with_engine(async |bench| {
        let registry = Registry::new(Mood::Tokens).await;
        let reference = registry.reference("1");
        let auth = RegistryAuth { username: "<token>".to_owned(), password: "refresh-me".to_owned() };
        let prepared = prepare(&bench.runtime, &reference, Some(&auth), &Progress::default()).await;
        prepared.expect("the token is accepted");
        remove(&bench, &reference).await;
    })
    .await;
}

#[tokio::test]
async fn a_registry_that_never_answers_ends_at_the_deadline() {
    with_engine(async |bench| {
        let registry = Registry::new(Mood::Silent).await;
        let settings = Settings { pull_timeout: Duration::from_secs(2), ..bench.settings.clone() };
        let runtime = DockerRuntime::new(settings, None);
        let error =
            prepare(&runtime, &registry.reference("1"), None, &Progress::default()).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Timeout, "{error}");
    })
    .await;
}
