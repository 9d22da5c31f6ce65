//! What an app's supervision shows: instances, ends and restarts with reasons, the timeline, workers, monitoring.

use nd_core::ports::{LogEntry, LogLevel, LogStore, OutputStream};
use nd_types::Timestamp;
use serde_json::{Value, json};

use crate::support::{At, PATIENCE, TestResult, World, image, with};

/// Asks until the answer passes.
async fn until(world: &World, path: &str, passes: impl Fn(&Value) -> bool) -> TestResult<Value> {
    let asked = async {
        loop {
            let answer = world.ask("GET", path, "").await?.json()?;
            if passes(&answer) {
                return Ok(answer);
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await?
}

#[tokio::test]
async fn a_crash_is_shown_with_its_reason_and_what_followed() -> TestResult {
    let world = World::start().await?;
    let crashing = with(image("shop", "i:1"), "/env", json!({"FAKE": "dies-after:2s"}));
    world.deployed("shop", crashing).await?;
    let app = until(&world, "/api/v1/apps/shop", |app| app.at("/restarts").as_u64() >= Some(1)).await?;
    assert!(app.at("/last_exit/reason").as_str().is_some_and(|reason| reason.contains(" after ")), "{app}");
    assert_eq!(
        (app.at("/last_restart/cause"), app.at("/restarts_24h").is_u64()),
        (&json!("exited"), true),
        "{app}"
    );
    let unit = app.at("/units/0");
    assert_eq!(unit.at("/last_exit/instance"), unit.at("/id"), "{unit}");
    assert!(unit.at("/last_restart/reason").is_string(), "{unit}");
    Ok(())
}

#[tokio::test]
async fn an_app_is_described_by_what_its_release_says_without_the_values_of_variables() -> TestResult {
    let world = World::start().await?;
    let manifest = with(image("shop", "i:1"), "/env", json!({"TOKEN": "hunter2"}));
    let manifest = with(manifest, "/restart", json!({"max": 7, "max_memory": "480M", "cron": "0 3 * * *"}));
    world.deployed("shop", manifest).await?;
    let answer = world.ask("GET", "/api/v1/apps/shop", "").await?;
    assert!(!answer.body.contains("hunter2"), "{}", answer.body);
    let config = answer.json()?.at("/config").clone();
    assert_eq!(config.at("/variables"), &json!(["TOKEN"]), "{config}");
    assert_eq!((config.at("/restart/max"), config.at("/restart/cron")), (&json!(7), &json!("0 3 * * *")));
    assert_eq!(config.at("/restart/max_memory_bytes"), &json!(480 << 20));
    assert_eq!((config.at("/health/probe"), config.at("/stop/grace_ms")), (&json!("auto"), &json!(30_000)));
    let list = world.ask("GET", "/api/v1/apps", "").await?.json()?;
    assert!(list.at("/items/0/config").is_null() && list.at("/items/0/units").is_null(), "{list}");
    Ok(())
}

#[tokio::test]
async fn reload_is_a_verb_that_waits_like_the_others() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i:1")).await?;
    let done = world.ask("POST", "/api/v1/apps/shop/actions/reload?wait_ms=15000", "").await?.json()?;
    assert_eq!((done.at("/operation"), done.at("/settled")), (&json!("reload"), &json!(true)), "{done}");
    assert_eq!(done.at("/status/instances"), &json!({"ready": 1, "desired": 1}), "{done}");
    assert_eq!(world.ask("POST", "/api/v1/apps/blog/actions/reload", "").await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn kept_lines_are_dropped_and_new_ones_are_kept() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i:1")).await?;
    let unit =
        world.engine.status(&"shop".parse()?).ok_or("no app")?.units.first().ok_or("no unit")?.id.clone();
    let line = |text: &str| LogEntry {
        seq: 0,
        at: Timestamp::now(),
        app: unit.app().clone(),
        unit: unit.clone(),
        stream: OutputStream::Stdout,
        level: LogLevel::Info,
        line: text.to_owned(),
    };
    world.logs.append(vec![line("old")]).await?;
    let read_to = world.logs.newest(&unit).await?;
    let dropped = world.ask("DELETE", "/api/v1/apps/shop/logs", "").await?;
    assert_eq!((dropped.status, dropped.json()?.at("/settled")), (200, &json!(true)), "{}", dropped.body);
    assert_eq!(world.ask("GET", "/api/v1/logs?app=shop", "").await?.ndjson()?.len(), 0);
    assert_eq!(world.logs.newest(&unit).await?, read_to, "old output would be read again");
    world.logs.append(vec![line("new")]).await?;
    let left = world.ask("GET", "/api/v1/logs?app=shop", "").await?.ndjson()?;
    assert_eq!(left.iter().map(|frame| frame.at("/line")).collect::<Vec<_>>(), [&json!("new")]);
    assert_eq!(world.ask("DELETE", "/api/v1/apps/blog/logs", "").await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn the_timeline_tells_what_led_to_what_with_the_lines_before_an_end() -> TestResult {
    let world = World::start().await?;
    let crashing = with(image("shop", "i:1"), "/env", json!({"FAKE": "dies-after:2s"}));
    world.deployed("shop", crashing).await?;
    let unit =
        world.engine.status(&"shop".parse()?).ok_or("no app")?.units.first().ok_or("no unit")?.id.clone();
    let (app, at) = (unit.app().clone(), Timestamp::now());
    let (stream, level) = (OutputStream::Stderr, LogLevel::Error);
    let entry = LogEntry { seq: 0, at, app, unit, stream, level, line: "out of luck".to_owned() };
    world.logs.append(vec![entry]).await?;
    let has_end = |answer: &Value| {
        let items = answer.at("/items").as_array();
        items.is_some_and(|items| items.iter().any(|item| item.at("/type") == "instance.exited"))
    };
    let told = until(&world, "/api/v1/apps/shop/timeline", has_end).await?;
    let items = told.at("/items").as_array().ok_or("no items")?;
    let place = |kind: &str| items.iter().position(|item| item.at("/type") == kind);
    assert!(place("deploy.started") < place("deploy.succeeded"), "{told}");
    assert!(place("deploy.succeeded") < place("instance.exited"), "{told}");
    assert_eq!(place("deploy.step"), None, "{told}");
    let end = items.iter().find(|item| item.at("/type") == "instance.exited").ok_or("no end")?;
    assert_eq!(end.at("/logs"), &json!(["out of luck"]), "{end}");
    let one = world.ask("GET", "/api/v1/apps/shop/timeline?limit=1", "").await?.json()?;
    assert_eq!((one.at("/items").as_array().map(Vec::len), one.at("/more")), (Some(1), &json!(true)));
    Ok(())
}

#[tokio::test]
async fn a_worker_is_shown_and_started_anew_on_request() -> TestResult {
    let world = World::start().await?;
    world.supervisor.add(nd_supervise::WorkerSpec::new("idler"), |context| async move {
        context.shutdown.cancelled().await;
        Ok(())
    })?;
    let restarted = world.ask("POST", "/api/v1/workers/idler/restart", "").await?;
    assert_eq!(
        (restarted.status, restarted.json()?.at("/name")),
        (200, &json!("idler")),
        "{}",
        restarted.body
    );
    let is_back = |answer: &Value| {
        answer.at("/items/0/restarts") == &json!(1) && answer.at("/items/0/state") == "running"
    };
    until(&world, "/api/v1/workers", is_back).await?;
    let unknown = world.ask("POST", "/api/v1/workers/nobody/restart", "").await?;
    assert_eq!((unknown.status, unknown.json()?.at("/code")), (404, &json!("ND1013")), "{}", unknown.body);
    Ok(())
}

#[tokio::test]
async fn monitoring_tells_the_daemon_the_host_and_every_service() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i:1")).await?;
    let health = world.ask("GET", "/api/monitoring/health", "").await?.json()?;
    assert_eq!(
        (health.at("/success"), health.at("/payload/status")),
        (&json!(true), &json!("ok")),
        "{health}"
    );
    assert!(
        health.at("/payload/errors/lastHour").is_u64() && health.at("/payload/checks/0/ok").is_boolean(),
        "{health}"
    );
    let metrics = world.ask("GET", "/api/monitoring/metrics", "").await?.json()?;
    assert_eq!(
        (metrics.at("/payload/now/cpu"), metrics.at("/payload/now/disk")),
        (&json!(12.5), &json!(60.0)),
        "{metrics}"
    );
    assert!(
        metrics.at("/payload/samples").is_array() && metrics.at("/payload/interval_ms") == &json!(10_000),
        "{metrics}"
    );
    let services = world.ask("GET", "/api/monitoring/services", "").await?.json()?;
    assert_eq!(
        (services.at("/payload/apps/0/name"), services.at("/payload/apps/0/status")),
        (&json!("shop"), &json!("running"))
    );
    assert!(services.at("/payload/workers").is_array(), "{services}");
    let closed = world.ask_tcp("/api/monitoring/services", "host: localhost\r\n").await?;
    assert_eq!(closed.status, 401);
    Ok(())
}
