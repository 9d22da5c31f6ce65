//! The supervisor as the daemon uses it, in paused time.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nd_supervise::{
    Backoff, CancellationToken, FailureKind, RestartWhen, Supervisor, SupervisorError, SystemClock,
    WorkerContext, WorkerError, WorkerSpec, WorkerState, WorkerView,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

type TestResult = Result<(), Box<dyn Error>>;

const SPEC: WorkerSpec = WorkerSpec::new("worker");

fn supervisor() -> Supervisor {
    Supervisor::new(Arc::new(SystemClock))
}

fn view(supervisor: &Supervisor, name: &str) -> Result<WorkerView, String> {
    supervisor.workers().into_iter().find(|view| view.name == name).ok_or_else(|| format!("no worker {name}"))
}

/// Waits until the worker looks as wanted, at most a day of paused time.
async fn wait_for(
    supervisor: &Supervisor,
    name: &str,
    wanted: impl Fn(&WorkerView) -> bool,
) -> Result<WorkerView, Box<dyn Error>> {
    let seen = timeout(Duration::from_secs(86_400), async {
        loop {
            let view = view(supervisor, name)?;
            if wanted(&view) {
                return Ok::<_, String>(view);
            }
            sleep(Duration::from_millis(10)).await;
        }
    });
    Ok(seen.await.map_err(|_| format!("worker {name} never looked as wanted: {supervisor:?}"))??)
}

async fn until_shutdown(context: WorkerContext) -> Result<(), WorkerError> {
    context.shutdown.cancelled().await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_panicking_worker_is_restarted() -> TestResult {
    let supervisor = supervisor();
    let runs = AtomicU32::new(0);
    supervisor.add(SPEC, move |context| {
        let run = runs.fetch_add(1, Ordering::Relaxed);
        async move {
            assert!(run > 1, "not yet {run}");
            until_shutdown(context).await
        }
    })?;
    let view =
        wait_for(&supervisor, "worker", |view| view.restarts == 2 && view.state == WorkerState::Running)
            .await?;
    let failure = view.last_failure.ok_or("no failure")?;
    assert_eq!((view.panics, failure.kind), (2, FailureKind::Panicked));
    assert_eq!(failure.message, "not yet 1");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_factory_itself_is_one_of_the_worker() -> TestResult {
    let supervisor = supervisor();
    let runs = AtomicU32::new(0);
    supervisor.add(SPEC, move |context| {
        assert!(runs.fetch_add(1, Ordering::Relaxed) > 0, "no setup");
        until_shutdown(context)
    })?;
    let view =
        wait_for(&supervisor, "worker", |view| view.restarts == 1 && view.state == WorkerState::Running)
            .await?;
    assert_eq!(view.panics, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_error_is_shown_with_its_sources() -> TestResult {
    #[derive(Debug, thiserror::Error)]
    #[error("open the store")]
    struct Outer(#[source] std::io::Error);

    let supervisor = supervisor();
    supervisor.add(SPEC.restart(RestartWhen::Never), |_| async {
        Err(Outer(std::io::Error::other("disk on fire")).into())
    })?;
    let view = wait_for(&supervisor, "worker", |view| view.state == WorkerState::Stopped).await?;
    let failure = view.last_failure.ok_or("no failure")?;
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Failed, "open the store: disk on fire")
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_start_over_after_a_minute_of_health() -> TestResult {
    let supervisor = supervisor();
    let (starts, mut started) = mpsc::unbounded_channel();
    let runs = AtomicU32::new(0);
    supervisor.add(SPEC, move |_| {
        let run = runs.fetch_add(1, Ordering::Relaxed);
        let starts = starts.clone();
        async move {
            starts.send(Instant::now())?;
            if run == 3 {
                sleep(Duration::from_secs(61)).await;
            }
            Err("broken".into())
        }
    })?;
    let mut last = started.recv().await.ok_or("the worker is gone")?;
    for (run, nominal) in [100, 200, 400, 100, 200].into_iter().enumerate() {
        let start = started.recv().await.ok_or("the worker is gone")?;
        let at_work = Duration::from_secs(if run == 3 { 61 } else { 0 });
        let pause = (start - last - at_work).as_millis();
        assert!(
            (nominal / 2..=nominal + 5).contains(&pause),
            "pause {run} took {pause} ms instead of {nominal}"
        );
        last = start;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_always_fails_is_quarantined_and_tried_every_five_minutes() -> TestResult {
    let supervisor = supervisor();
    let healed = CancellationToken::new();
    let healthy = healed.clone();
    supervisor.add(SPEC.critical(), move |context| {
        let healthy = healthy.clone();
        async move {
            if healthy.is_cancelled() { until_shutdown(context).await } else { Err("broken".into()) }
        }
    })?;
    let view = wait_for(&supervisor, "worker", |view| view.state == WorkerState::Quarantined).await?;
    assert_eq!(view.restarts, 10);
    assert!(!supervisor.is_healthy());

    let begin = Instant::now();
    wait_for(&supervisor, "worker", |view| view.restarts == 12).await?;
    assert!((595..605).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());

    healed.cancel();
    wait_for(&supervisor, "worker", |view| view.state == WorkerState::Running).await?;
    assert!(!supervisor.is_healthy(), "one start is no proof");
    sleep(Duration::from_secs(61)).await;
    assert!(supervisor.is_healthy());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_heartbeats_is_stalled_and_restarted() -> TestResult {
    let supervisor = supervisor();
    let runs = AtomicU32::new(0);
    supervisor.add(SPEC.stall_after(Duration::from_secs(10)), move |context| {
        let run = runs.fetch_add(1, Ordering::Relaxed);
        async move {
            for _ in 0..5 {
                context.heartbeat();
                sleep(Duration::from_secs(8)).await;
            }
            if run == 0 {
                std::future::pending::<()>().await;
            }
            loop {
                context.heartbeat();
                sleep(Duration::from_secs(1)).await;
            }
        }
    })?;
    let begin = Instant::now();
    let view = wait_for(&supervisor, "worker", |view| view.restarts == 1).await?;
    let failure = view.last_failure.ok_or("no failure")?;
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Stalled, "no heartbeat for 10.0s"));
    assert_eq!(begin.elapsed().as_secs(), 42);
    sleep(Duration::from_secs(3600)).await;
    let view = wait_for(&supervisor, "worker", |view| view.state == WorkerState::Running).await?;
    assert_eq!(view.restarts, 1);
    assert!(view.heartbeat_age.is_some_and(|age| age <= Duration::from_secs(1)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_worker_is_never_run_twice_at_once() -> TestResult {
    let supervisor = supervisor();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    supervisor.add(SPEC.critical().stall_after(Duration::from_millis(50)), move |context| {
        let (released, counted) = (Arc::clone(&released), Arc::clone(&counted));
        async move {
            if counted.fetch_add(1, Ordering::Relaxed) == 0 {
                released.lock().recv()?;
            }
            loop {
                context.heartbeat();
                sleep(Duration::from_millis(5)).await;
            }
        }
    })?;
    wait_for(&supervisor, "worker", |view| view.state == WorkerState::Stopping).await?;
    assert!(!supervisor.is_healthy());
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    release.send(())?;
    let view =
        wait_for(&supervisor, "worker", |view| view.restarts > 0 && view.heartbeat_age.is_some()).await?;
    assert_eq!(view.last_failure.ok_or("no failure")?.kind, FailureKind::Stalled);
    assert!(supervisor.is_healthy());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_starting_until_its_first_heartbeat() -> TestResult {
    let supervisor = supervisor();
    supervisor.add(SPEC.stall_after(Duration::from_secs(60)), |context| async move {
        sleep(Duration::from_secs(5)).await;
        context.heartbeat();
        until_shutdown(context).await
    })?;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(view(&supervisor, "worker")?.state, WorkerState::Starting);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(view(&supervisor, "worker")?.state, WorkerState::Running);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_work_is_done_rests_until_it_is_asked_again() -> TestResult {
    let supervisor = supervisor();
    supervisor.add(SPEC.critical(), |_| async { Ok(()) })?;
    wait_for(&supervisor, "worker", |view| view.state == WorkerState::Stopped).await?;
    assert!(supervisor.is_healthy());
    assert!(supervisor.restart("worker"));
    wait_for(&supervisor, "worker", |view| view.restarts == 1).await?;
    assert!(!supervisor.restart("nobody"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_restart_ends_the_run_before_the_next_one_begins() -> TestResult {
    let supervisor = supervisor();
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    supervisor.add(SPEC, move |context| {
        let lines = Arc::clone(&lines);
        async move {
            lines.lock().push("begin");
            context.shutdown.cancelled().await;
            sleep(Duration::from_secs(1)).await;
            lines.lock().push("end");
            Ok(())
        }
    })?;
    sleep(Duration::from_millis(1)).await;
    assert!(supervisor.restart("worker"));
    let view = wait_for(&supervisor, "worker", |view| view.restarts == 1).await?;
    assert!(view.last_failure.is_none());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(*log.lock(), ["begin", "end", "begin"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_restart_releases_a_worker_from_quarantine() -> TestResult {
    let supervisor = supervisor();
    supervisor.add(SPEC.critical(), |_| async { Err("broken".into()) })?;
    wait_for(&supervisor, "worker", |view| view.state == WorkerState::Quarantined).await?;
    assert!(supervisor.restart("worker"));
    wait_for(&supervisor, "worker", |view| view.state == WorkerState::BackingOff).await?;
    assert!(supervisor.is_healthy());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn workers_stop_before_those_they_need() -> TestResult {
    let supervisor = supervisor();
    let log = Arc::new(Mutex::new(Vec::new()));
    let names: [(&'static str, &'static [&'static str]); 3] =
        [("store", &[]), ("engine", &["store"]), ("api", &["engine"])];
    for (name, after) in names {
        let ends = Arc::clone(&log);
        supervisor.add(WorkerSpec::new(name).after(after), move |context| {
            let ends = Arc::clone(&ends);
            async move {
                context.shutdown.cancelled().await;
                sleep(Duration::from_millis(100)).await;
                ends.lock().push(name);
                Ok(())
            }
        })?;
    }
    let report = supervisor.shutdown(Duration::from_secs(10)).await;
    assert!(report.is_clean());
    assert_eq!(report.stopped, ["api", "engine", "store"]);
    assert_eq!(*log.lock(), ["api", "engine", "store"]);
    assert!(supervisor.workers().iter().all(|view| view.state == WorkerState::Stopped));
    assert!(!supervisor.restart("api"));
    assert_eq!(supervisor.add(SPEC, until_shutdown), Err(SupervisorError::ShuttingDown("worker")));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_end_is_aborted_after_its_grace() -> TestResult {
    let supervisor = supervisor();
    supervisor.add(WorkerSpec::new("store"), until_shutdown)?;
    supervisor.add(WorkerSpec::new("deaf").grace(Duration::from_secs(2)), |_| std::future::pending())?;
    sleep(Duration::from_millis(1)).await;
    let report = supervisor.shutdown(Duration::from_secs(20)).await;
    assert_eq!((report.stopped, report.aborted), (vec!["store"], vec!["deaf"]));
    assert!((2000..2500).contains(&report.took.as_millis()), "{:?}", report.took);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_hanging_worker_leaves_the_ones_behind_it_their_share() -> TestResult {
    let supervisor = supervisor();
    supervisor.add(WorkerSpec::new("store"), |context| async move {
        context.shutdown.cancelled().await;
        sleep(Duration::from_secs(1)).await;
        Ok(())
    })?;
    supervisor.add(WorkerSpec::new("deaf").grace(Duration::from_secs(60)), |_| std::future::pending())?;
    sleep(Duration::from_millis(1)).await;
    let report = supervisor.shutdown(Duration::from_secs(8)).await;
    assert_eq!((report.stopped, report.aborted), (vec!["store"], vec!["deaf"]));
    assert!(report.took <= Duration::from_secs(8), "{:?}", report.took);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_waiting_worker_stops_at_once() -> TestResult {
    let supervisor = supervisor();
    let hour = Duration::from_secs(3600);
    supervisor.add(SPEC.backoff(Backoff { first: hour, factor: 1, cap: hour }), |_| async {
        Err("broken".into())
    })?;
    wait_for(&supervisor, "worker", |view| view.state == WorkerState::BackingOff).await?;
    let report = supervisor.shutdown(Duration::from_secs(5)).await;
    assert_eq!((report.stopped, report.took), (vec!["worker"], Duration::ZERO));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_blocks_its_thread_cannot_hold_up_shutdown() -> TestResult {
    let supervisor = supervisor();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (entered, mut inside) = mpsc::channel(1);
    let released = Arc::new(Mutex::new(released));
    supervisor.add(SPEC.grace(Duration::from_millis(50)), move |_| {
        let (released, entered) = (Arc::clone(&released), entered.clone());
        async move {
            entered.send(()).await?;
            released.lock().recv()?;
            Ok(())
        }
    })?;
    inside.recv().await.ok_or("the worker never began")?;
    let report = timeout(Duration::from_secs(10), supervisor.shutdown(Duration::from_secs(1))).await?;
    assert_eq!(report.aborted, ["worker"]);
    release.send(())?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn workers_end_with_the_last_clone_of_their_supervisor() -> TestResult {
    let supervisor = supervisor();
    let (alive, mut gone) = mpsc::channel::<()>(1);
    supervisor.add(SPEC, move |_| {
        let alive = alive.clone();
        async move {
            std::future::pending::<()>().await;
            drop(alive);
            Ok(())
        }
    })?;
    sleep(Duration::from_millis(1)).await;
    drop(supervisor);
    assert_eq!(timeout(Duration::from_secs(5), gone.recv()).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_worker_is_refused_when_its_name_is_taken_or_its_need_is_missing() -> TestResult {
    let supervisor = supervisor();
    supervisor.add(SPEC, until_shutdown)?;
    assert_eq!(supervisor.add(SPEC, until_shutdown), Err(SupervisorError::Duplicate("worker")));
    assert_eq!(
        supervisor.add(WorkerSpec::new("api").after(&["engine"]), until_shutdown),
        Err(SupervisorError::Missing { name: "api", after: "engine" })
    );
    assert_eq!(supervisor.workers().len(), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_panic_that_is_asked_for_is_one_of_the_worker_and_ends_what_its_run_left_behind() -> TestResult {
    let supervisor = supervisor();
    let (left, mut ended) = mpsc::unbounded_channel();
    supervisor.add(SPEC, move |context| {
        left.send(context.shutdown.clone()).ok();
        until_shutdown(context)
    })?;
    let first = ended.recv().await.ok_or("the worker is gone")?;
    assert!(!supervisor.inject_panic("nobody"));
    assert!(supervisor.inject_panic("worker"));
    let view = wait_for(&supervisor, "worker", |view| view.restarts == 1).await?;
    let failure = view.last_failure.ok_or("no failure")?;
    assert_eq!((failure.kind, view.panics), (FailureKind::Panicked, 1));
    assert!(first.is_cancelled());
    let second = ended.recv().await.ok_or("the worker is gone")?;
    assert!(!second.is_cancelled());
    Ok(())
}
