//! `/api/v1`: deployments and verbs, and problems with their codes.

use serde_json::json;

use crate::support::{At, TestResult, World, image, with};

#[tokio::test]
async fn a_deployments_stream_tells_its_steps_and_can_be_read_again() -> TestResult {
    let world = World::start().await?;
    let id = world.begun("shop", image("shop", "i:1")).await?;
    let path = format!("/api/v1/deployments/{id}/stream");
    let live = world.ask("GET", &path, "").await?;
    assert_eq!(live.header("content-type"), Some("application/x-ndjson"));
    let records = live.ndjson()?;
    let last = records.last().ok_or("empty")?;
    assert_eq!((last.at("/step"), last.at("/state")), (&json!("done"), &json!("ok")), "{}", live.body);
    assert_eq!(last.at("/status"), "succeeded");
    assert!(last.at("/url").as_str().is_some_and(|url| url.starts_with("http://shop.localhost")), "{last}");
    let numbers: Vec<_> = records.iter().filter_map(|record| record.at("/seq").as_u64()).collect();
    assert!(numbers.len() == records.len() && numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert!(records.iter().any(|record| record.at("/step") == "health" && record.at("/state") == "ok"));
    let again = world.ask("GET", &path, "").await?.ndjson()?;
    assert_eq!(again.len(), records.len());
    Ok(())
}

#[tokio::test]
async fn a_failed_deployment_ends_with_its_reason_and_the_old_one_serves() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i:1")).await?;
    let broken = with(image("shop", "i:2"), "/env", json!({"FAKE": "says:no database;exit:3"}));
    let last = world.deployed("shop", broken).await?;
    assert_eq!((last.at("/state"), last.at("/status")), (&json!("fail"), &json!("failed")), "{last}");
    assert_eq!(last.at("/data/old_serves"), true);
    assert!(last.at("/error/what").as_str().is_some_and(|what| what.contains('3')), "{last}");
    let app = world.ask("GET", "/api/v1/apps/shop", "").await?.json()?;
    assert_eq!((app.at("/status"), app.at("/image")), (&json!("running"), &json!("i:1")));
    Ok(())
}

#[tokio::test]
async fn every_mistake_of_a_manifest_is_named_with_its_pointer() -> TestResult {
    let world = World::start().await?;
    let body =
        json!({"manifest": {"app": {"name": "shop", "prot": 3000}, "image": "i", "scale": {"instances": 0}}});
    let answer = world.ask("POST", "/api/v1/apps/shop/deployments", &body.to_string()).await?;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json()?;
    let pointers: Vec<_> =
        problem.at("/errors").as_array().into_iter().flatten().map(|error| error.at("/pointer")).collect();
    assert_eq!(pointers, [&json!("/app/prot"), &json!("/scale/instances")]);
    assert!(problem.at("/request_id").is_string() && problem.at("/code").is_string());
    let other = json!({"manifest": image("blog", "i")}).to_string();
    let answer = world.ask("POST", "/api/v1/apps/shop/deployments", &other).await?;
    assert_eq!(answer.status, 422, "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn a_second_deployment_is_refused_naming_who_is_at_it() -> TestResult {
    let world = World::start().await?;
    let slow = with(image("shop", "i:1"), "/env", json!({"FAKE": "never-ready"}));
    let first = world.begun("shop", slow).await?;
    let body = json!({"manifest": image("shop", "i:2"), "lock_wait_ms": 0}).to_string();
    let refused = world.ask("POST", "/api/v1/apps/shop/deployments", &body).await?;
    assert_eq!((refused.status, refused.json()?.at("/code")), (409, &json!("ND1101")), "{}", refused.body);
    assert!(refused.body.contains(&first), "{}", refused.body);
    let flat = world.ask("POST", "/deploy", r#"{"app_name":"shop","image":"i:2"}"#).await?;
    assert_eq!(flat.status, 409);
    Ok(())
}

#[tokio::test]
async fn a_deployment_that_the_user_ends_ends_its_stream() -> TestResult {
    let world = World::start().await?;
    let slow = with(image("shop", "i:1"), "/env", json!({"FAKE": "never-ready"}));
    let id = world.begun("shop", slow).await?;
    let path = format!("/api/v1/deployments/{id}/stream");
    let stopping = world.ask("POST", "/api/v1/apps/shop/actions/stop", "");
    let (stream, stopped) = tokio::join!(world.ask("GET", &path, ""), stopping);
    assert_eq!(stopped?.status, 200);
    let last = stream?.ndjson()?.pop().ok_or("empty")?;
    assert_eq!((last.at("/step"), last.at("/status")), (&json!("done"), &json!("cancelled")), "{last}");
    Ok(())
}

#[tokio::test]
async fn cancelling_is_for_deployments_under_way() -> TestResult {
    let world = World::start().await?;
    let done = world.begun("shop", image("shop", "i:1")).await?;
    world.ask("GET", &format!("/api/v1/deployments/{done}/stream"), "").await?;
    let late = world.ask("POST", &format!("/api/v1/deployments/{done}/cancel"), "").await?;
    assert_eq!((late.status, late.json()?.at("/code")), (409, &json!("ND1107")), "{}", late.body);
    let unknown = world.ask("POST", "/api/v1/deployments/dpl_nobody1/cancel", "").await?;
    assert_eq!((unknown.status, unknown.json()?.at("/code")), (404, &json!("ND1004")), "{}", unknown.body);
    Ok(())
}

#[tokio::test]
async fn a_domain_belongs_to_one_app() -> TestResult {
    let world = World::start().await?;
    let first = with(image("blog", "i"), "/app/domain", json!("a.example"));
    world.deployed("blog", first).await?;
    let second = with(image("shop", "i"), "/app/domain", json!("a.example"));
    let body = json!({"manifest": second}).to_string();
    for path in ["/api/v1/apps/shop/deployments", "/api/v1/plan"] {
        let answer = world.ask("POST", path, &body).await?;
        assert_eq!((answer.status, answer.json()?.at("/code")), (409, &json!("ND1102")), "{}", answer.body);
        assert!(answer.body.contains("already belongs to app `blog`"), "{}", answer.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_full_disk_refuses_the_wish_and_keeps_what_runs() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i:1")).await?;
    world.store.set_full(true);
    let body = json!({"manifest": image("shop", "i:2")}).to_string();
    let answer = world.ask("POST", "/api/v1/apps/shop/deployments", &body).await?;
    assert_eq!((answer.status, answer.json()?.at("/code")), (507, &json!("ND1112")), "{}", answer.body);
    let app = world.ask("GET", "/api/v1/apps/shop", "").await?.json()?;
    assert_eq!((app.at("/status"), app.at("/image")), (&json!("running"), &json!("i:1")));
    Ok(())
}

#[tokio::test]
async fn a_plan_shows_the_changes_and_does_nothing() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i:1")).await?;
    let next = with(image("shop", "i:2"), "/scale", json!({"instances": 2}));
    let plan = world.ask("POST", "/api/v1/plan", &json!({"manifest": next}).to_string()).await?.json()?;
    assert_eq!(plan.at("/changes"), &json!(["image i:1 → i:2", "instances 1 → 2"]), "{plan}");
    assert_eq!((plan.at("/strategy"), plan.at("/unchanged")), (&json!("bluegreen"), &json!(false)));
    assert!(plan.at("/steps").as_array().is_some_and(|steps| !steps.is_empty()));
    let same = json!({"manifest": image("shop", "i:1")}).to_string();
    assert_eq!(world.ask("POST", "/api/v1/plan", &same).await?.json()?.at("/unchanged"), true);
    let deployments = world.ask("GET", "/api/v1/apps/shop/deployments", "").await?.json()?;
    assert_eq!(deployments.at("/items").as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn verbs_wait_until_the_app_is_as_asked() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i:1")).await?;
    let act = |verb: &'static str, body: &'static str| {
        let path = format!("/api/v1/apps/shop/actions/{verb}?wait_ms=15000");
        let world = &world;
        async move { world.ask("POST", &path, body).await?.json() }
    };
    let scaled = act("scale", r#"{"instances":3}"#).await?;
    assert_eq!(
        (scaled.at("/settled"), scaled.at("/status/instances")),
        (&json!(true), &json!({"ready": 3, "desired": 3})),
        "{scaled}"
    );
    let stopped = act("stop", "").await?;
    assert_eq!(
        (stopped.at("/settled"), stopped.at("/status/phase")),
        (&json!(true), &json!("stopped")),
        "{stopped}"
    );
    let started = act("start", "").await?;
    assert_eq!(started.at("/status/desired_state"), "running");
    world.deployed("shop", image("shop", "i:2")).await?;
    let back = world.ask("POST", "/api/v1/apps/shop/actions/rollback", "").await?;
    assert_eq!(back.status, 202, "{}", back.body);
    let id = back.json()?.at("/id").as_str().unwrap_or_default().to_owned();
    world.ask("GET", &format!("/api/v1/deployments/{id}/stream"), "").await?;
    assert_eq!(world.ask("GET", "/api/v1/apps/shop", "").await?.json()?.at("/image"), "i:1");
    let gone = world.ask("DELETE", "/api/v1/apps/shop?wait_ms=15000", "").await?.json()?;
    assert_eq!((gone.at("/settled"), gone.at("/status")), (&json!(true), &json!(null)), "{gone}");
    let after = world.ask("GET", "/api/v1/apps/shop", "").await?;
    assert_eq!(
        (after.status, after.json()?.at("/detail")),
        (404, &json!("Application shop not found in monitoring"))
    );
    Ok(())
}

#[tokio::test]
async fn an_app_is_shown_with_what_list_and_status_promise() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i:1")).await?;
    let app = world.ask("GET", "/api/v1/apps/shop", "").await?.json()?;
    for field in ["name", "status", "restarts", "desired_state", "policy", "crashes", "last_checked", "units"]
    {
        assert!(!app[field].is_null(), "{field}: {app}");
    }
    let list = world.ask("GET", "/api/v1/apps", "").await?.json()?;
    assert_eq!(list.at("/items/0/name"), "shop");
    let daemon = world.ask("GET", "/api/v1/daemon", "").await?.json()?;
    assert_eq!(
        (daemon.at("/version"), daemon.at("/runtimes")),
        (&json!("1.2.3"), &json!(["docker", "process"]))
    );
    Ok(())
}
