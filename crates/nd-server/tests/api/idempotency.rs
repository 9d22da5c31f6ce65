//! `Idempotency-Key`: what is sent twice is done once.

use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::support::{Answer, At, PATIENCE, TOKEN, TestResult, World, image, with};

const KEY: &str = "idempotency-key: \"8e03978e-40d5-43dd-bc93-6894a57f9324\"\r\n";

const DEPLOY: &str = "/api/v1/apps/shop/deployments";

fn body(reference: &str) -> String {
    json!({"manifest": image("shop", reference)}).to_string()
}

fn count(world: &World) -> usize {
    world.engine.deployments(None).len()
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_and_is_not_done_again() -> TestResult {
    let world = World::start().await?;
    let first = world.ask_with("POST", DEPLOY, KEY, &body("i:1")).await?;
    let again = world.ask_with("POST", DEPLOY, KEY, &body("i:1")).await?;
    assert_eq!((first.status, again.status), (202, 202), "{}", again.body);
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_eq!((is_replayed(&first), is_replayed(&again), count(&world)), (false, true, 1));
    let bare = KEY.replace('"', "");
    assert!(
        is_replayed(&world.ask_with("POST", DEPLOY, &bare, &body("i:1")).await?),
        "quotes are no part of it"
    );
    Ok(())
}

#[tokio::test]
async fn a_key_is_for_one_request() -> TestResult {
    let world = World::start().await?;
    world.ask_with("POST", DEPLOY, KEY, &body("i:1")).await?;
    let other = world.ask_with("POST", DEPLOY, KEY, &body("i:2")).await?;
    assert_eq!((other.status, other.json()?.at("/code")), (422, &json!("ND1013")), "{}", other.body);
    let elsewhere = world.ask_with("POST", "/restart?app=shop", KEY, "").await?;
    assert_eq!((elsewhere.status, elsewhere.json()?.at("/success")), (422, &json!(false)));
    assert_eq!(count(&world), 1);
    Ok(())
}

#[tokio::test]
async fn a_key_belongs_to_who_sends_it() -> TestResult {
    let world = World::start().await?;
    let verb = "/stop?app=nobody";
    let refused = world.ask_with("POST", verb, KEY, "").await?;
    assert_eq!(refused.status, 404);
    assert!(is_replayed(&world.ask_with("POST", verb, KEY, "").await?), "a refusal for good is kept too");
    let headers = format!("authorization: Bearer {TOKEN}\r\n{KEY}");
    assert!(!is_replayed(&world.ask_tcp_with("POST", verb, &headers, "").await?));
    Ok(())
}

#[tokio::test]
async fn a_request_that_is_still_under_way_is_not_done_beside_itself() -> TestResult {
    let world = World::start().await?;
    let slow = r#"{"app_name":"shop","image":"i","port":80,"env":{"FAKE":"never-ready"}}"#;
    let mut events = world.engine.subscribe();
    let second = async {
        timeout(PATIENCE, events.recv()).await??;
        let second = world.ask_with("POST", "/deploy?wait=true", KEY, slow).await;
        world.ask("POST", "/stop?app=shop", "").await?;
        second
    };
    let (first, second) = tokio::join!(world.ask_with("POST", "/deploy?wait=true", KEY, slow), second);
    let second = second?;
    assert_eq!(second.status, 409, "{}", second.body);
    assert!(second.body.contains("still under way"), "{}", second.body);
    assert_eq!((first?.status, count(&world)), (422, 1));
    Ok(())
}

#[tokio::test]
async fn who_left_too_early_comes_back_for_the_answer() -> TestResult {
    let world = World::start().await?;
    let slow = r#"{"app_name":"shop","image":"i","port":80,"env":{"FAKE":"ready-after:300ms"}}"#;
    let mut events = world.engine.subscribe();
    world.ask_and_leave("POST", "/deploy?wait=true", KEY, slow).await?;
    timeout(PATIENCE, events.recv()).await??;
    let back = async {
        loop {
            let again = world.ask_with("POST", "/deploy?wait=true", KEY, slow).await?;
            if again.status != 409 {
                return TestResult::Ok(again);
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let back = timeout(PATIENCE, back).await??;
    assert_eq!((back.status, count(&world)), (200, 1), "{}", back.body);
    Ok(())
}

#[tokio::test]
async fn a_deployment_is_begun_once_also_when_the_daemon_ends_in_between() -> TestResult {
    let world = World::start().await?;
    let flat = r#"{"app_name":"blog","image":"i","port":80}"#;
    let other_key = KEY.replace("8e03978e", "00000000");
    let first = world.ask_with("POST", DEPLOY, KEY, &body("i:1")).await?;
    let second = world.ask_with("POST", "/deploy", &other_key, flat).await?;
    world.deployed("site", image("site", "i:1")).await?;
    world.deployed("site", image("site", "i:2")).await?;
    let (rollback, third_key) = ("/api/v1/apps/site/actions/rollback", KEY.replace("8e03978e", "11111111"));
    let back = world.ask_with("POST", rollback, &third_key, "").await?;
    let store = world.store.clone();
    world.stop().await;

    let world = World::start_on(store, false).await?;
    let again = world.ask_with("POST", DEPLOY, KEY, &body("i:1")).await?;
    assert_eq!((again.status, again.json()?.at("/id")), (202, first.json()?.at("/id")), "{}", again.body);
    assert!(is_replayed(&again));
    let id = "/payload/deployment_id";
    let again = world.ask_with("POST", "/deploy", &other_key, flat).await?;
    assert_eq!((again.status, again.json()?.at(id)), (202, second.json()?.at(id)), "{}", again.body);
    assert_eq!(again.json()?.at("/message"), "Deployment started");
    assert_eq!(world.ask_with("POST", DEPLOY, KEY, &body("i:2")).await?.status, 422);
    let again = world.ask_with("POST", rollback, &third_key, "").await?;
    assert_eq!(
        again.json()?.at("/id"),
        back.json()?.at("/id"),
        "a rollback that is done twice goes back and forth"
    );
    assert_eq!(count(&world), 5);
    Ok(())
}

#[tokio::test]
async fn a_refusal_that_says_not_now_is_not_kept() -> TestResult {
    let world = World::start().await?;
    world.deployed("blog", image("blog", "i")).await?;
    world.store.set_full(true);
    assert_eq!(world.ask_with("POST", DEPLOY, KEY, &body("i:1")).await?.status, 507);
    world.store.set_full(false);
    let again = world.ask_with("POST", DEPLOY, KEY, &body("i:1")).await?;
    assert_eq!((again.status, is_replayed(&again)), (202, false), "{}", again.body);
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() -> TestResult {
    let world = World::start().await?;
    for bad in [
        "idempotency-key: \r\n".to_owned(),
        format!("{KEY}{KEY}"),
        format!("idempotency-key: {}\r\n", "x".repeat(256)),
    ] {
        let answer = world.ask_with("POST", DEPLOY, &bad, &body("i:1")).await?;
        assert_eq!((answer.status, answer.json()?.at("/code")), (400, &json!("ND1001")), "{bad}");
    }
    assert_eq!(world.ask_with("GET", "/status", KEY, "").await?.status, 200, "reading needs no key");
    assert_eq!(count(&world), 0);
    Ok(())
}

#[tokio::test]
async fn a_release_that_serves_already_is_deployed_again_only_by_force() -> TestResult {
    let world = World::start().await?;
    let pinned = format!("shop@sha256:{}", "0".repeat(64));
    world.deployed("shop", image("shop", &pinned)).await?;
    let first = world.engine.deployments(None).first().map(|first| first.id.to_string()).ok_or("none")?;
    let same = world.ask("POST", DEPLOY, &body(&pinned)).await?;
    assert_eq!((same.status, same.json()?.at("/id")), (200, &json!(first)), "{}", same.body);
    assert!(same.body.contains("nothing changed"), "{}", same.body);
    assert_eq!(same.header("location"), Some(format!("/api/v1/deployments/{first}").as_str()));
    let more = json!({"manifest": with(image("shop", &pinned), "/env", json!({"A": "1"}))}).to_string();
    let forced = json!({"manifest": image("shop", &pinned), "force": true}).to_string();
    for changed in [more, forced] {
        let answer = world.ask("POST", DEPLOY, &changed).await?;
        assert_eq!(answer.status, 202, "{}", answer.body);
        let id = answer.json()?.at("/id").as_str().unwrap_or_default().to_owned();
        world.ask("GET", &format!("/api/v1/deployments/{id}/stream"), "").await?;
    }
    assert_eq!(count(&world), 3);
    Ok(())
}

#[tokio::test]
async fn what_a_tag_names_may_have_changed_and_is_deployed_again() -> TestResult {
    let world = World::start().await?;
    world.deployed("shop", image("shop", "i:1")).await?;
    world.deployed("shop", image("shop", "i:1")).await?;
    assert_eq!(count(&world), 2);
    Ok(())
}
