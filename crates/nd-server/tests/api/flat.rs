//! The flat paths, in their envelope.

use serde_json::{Value, json};

use crate::support::{At, TestResult, World};

/// The body of the promised command line, byte for byte.
const DEPLOY: &str = r#"{"app_name":"myapp","image":"myimage","env":{"PORT":"3000"},"port":3000,"domain":"myapp.com","proxy_type":"caddy"}"#;

#[tokio::test]
async fn the_promised_deploy_is_taken_and_says_which_proxy_serves() -> TestResult {
    let world = World::start().await?;
    let answer = world.ask("POST", "/deploy", DEPLOY).await?;
    assert_eq!(answer.status, 202, "{}", answer.body);
    let body = answer.json()?;
    assert_eq!(body.at("/success"), true);
    let message = body.at("/message").as_str().unwrap_or_default();
    assert!(message.starts_with("Deployment started") && message.contains("embedded proxy"), "{message}");
    let payload = body.at("/payload");
    assert_eq!((payload.at("/app_name"), payload.at("/image")), (&json!("myapp"), &json!("myimage")));
    assert_eq!((payload.at("/port"), payload.at("/domain")), (&json!(3000), &json!("myapp.com")));
    assert!(payload.at("/updated_at").as_str().is_some_and(|at| at.contains('T')));
    assert!(payload.at("/notes/0").as_str().is_some_and(|note| note.contains("caddy")));
    let id = payload.at("/deployment_id").as_str().ok_or("no deployment")?;
    assert_eq!(answer.header("location"), Some(format!("/api/v1/deployments/{id}").as_str()));
    Ok(())
}

#[tokio::test]
async fn waiting_answers_when_the_app_serves_or_why_it_does_not() -> TestResult {
    let world = World::start().await?;
    let good = world.ask("POST", "/deploy?wait=true", r#"{"app_name":"a","image":"i","port":80}"#).await?;
    assert_eq!((good.status, good.json()?.at("/message")), (200, &json!("App deployed")), "{}", good.body);
    assert_eq!(good.json()?.at("/payload/status"), "running");
    let dies = r#"{"app_name":"b","image":"i","port":80,"env":{"FAKE":"exit:3"}}"#;
    let bad = world.ask("POST", "/deploy?wait=true", dies).await?;
    assert_eq!((bad.status, bad.json()?.at("/success")), (422, &json!(false)), "{}", bad.body);
    assert!(bad.body.contains("Deployment failed") && bad.body.contains('3'), "{}", bad.body);
    Ok(())
}

#[tokio::test]
async fn swap_keeps_what_is_left_out() -> TestResult {
    let world = World::start().await?;
    let full = r#"{"app_name":"a","image":"i:1","port":80,"domain":"a.example","env":{"K":"v"}}"#;
    assert_eq!(world.ask("POST", "/deploy?wait=true", full).await?.status, 200);
    let swapped = world.ask("POST", "/swap?wait=true", r#"{"app_name":"a","image":"i:2"}"#).await?;
    let payload = swapped.json()?.at("/payload").clone();
    assert_eq!(payload.at("/image"), "i:2", "{}", swapped.body);
    assert_eq!((payload.at("/port"), payload.at("/domain")), (&json!(80), &json!("a.example")));
    let spec = world.engine.status(&"a".parse()?).and_then(|status| status.spec.clone()).ok_or("no spec")?;
    assert_eq!(spec.env.get("K").map(String::as_str), Some("v"));
    let unknown = world.ask("POST", "/swap", r#"{"app_name":"nobody","image":"i:2"}"#).await?;
    assert_eq!((unknown.status, unknown.json()?.at("/message")), (404, &json!("App not found")));
    Ok(())
}

#[tokio::test]
async fn every_bad_body_is_told_its_reason() -> TestResult {
    let world = World::start().await?;
    // Far more than a socket takes in: whoever sends it must not be cut off before the answer.
    let large = format!(r#"{{"app_name":"a","image":"{}"}}"#, "x".repeat(8 << 20));
    for (body, status, reason) in [
        ("not json", 400, "Invalid request: the body must be a JSON object"),
        (r#"["a","i"]"#, 400, "Invalid request: the body must be a JSON object"),
        ("{\"app_name\"", 400, "Invalid request: EOF"),
        ("", 400, "Invalid request: the body is empty"),
        (r#"{"image":"i"}"#, 400, "missing field `app_name`"),
        (r#"{"app_name":"A b","image":"i"}"#, 400, "only a-z, 0-9 and - are allowed"),
        (r#"{"app_name":"a","image":""}"#, 400, "image must not be empty"),
        (r#"{"app_name":"a","image":"i","port":0}"#, 400, "port must be 1–65535"),
        (r#"{"app_name":"a","image":"i","port":70000}"#, 400, "port must be 1–65535"),
        (r#"{"app_name":"a","image":"i","imge":1}"#, 400, "unknown field `imge`"),
        (large.as_str(), 413, "larger than 1 MiB"),
    ] {
        let answer = world.ask("POST", "/deploy", body).await?;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.json()?.at("/success"), false);
        assert!(answer.body.contains(reason), "{reason}: {}", answer.body);
    }
    assert!(world.engine.list().is_empty(), "a refused deploy leaves no app");
    Ok(())
}

#[tokio::test]
async fn an_app_is_stopped_restarted_and_shown() -> TestResult {
    let world = World::start().await?;
    world.ask("POST", "/deploy?wait=true", r#"{"app_name":"a","image":"i","port":80}"#).await?;
    let stopped = world.ask("POST", "/stop?app=a", "").await?;
    assert_eq!((stopped.status, stopped.json()?.at("/payload/status")), (200, &json!("stopped")));
    let restarted = world.ask("POST", "/restart", r#"{"app_name":"a"}"#).await?;
    assert_eq!((restarted.status, restarted.json()?.at("/payload/status")), (200, &json!("running")));
    let one = world.ask("GET", "/status?app=a", "").await?.json()?;
    assert_eq!(
        (one.at("/message"), one.at("/payload/status")),
        (&json!("App status fetched"), &json!("running"))
    );
    let all = world.ask("GET", "/status", "").await?.json()?;
    assert_eq!(all.at("/payload").as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn an_unknown_app_is_not_found() -> TestResult {
    let world = World::start().await?;
    for (method, path, body) in [
        ("GET", "/status?app=nobody", ""),
        ("GET", "/status?app=No%20Body", ""),
        ("POST", "/stop?app=nobody", ""),
        ("POST", "/stop", r#"{"app":"nobody"}"#),
        ("POST", "/proxy/configure", r#"{"app_name":"nobody","proxy_type":"caddy"}"#),
        ("POST", "/restart", r#"{"app_name":"nobody"}"#),
    ] {
        let answer = world.ask(method, path, body).await?;
        assert_eq!((answer.status, answer.json()?.at("/message")), (404, &json!("App not found")), "{path}");
    }
    let nameless = world.ask("POST", "/stop", "").await?;
    assert_eq!((nameless.status, nameless.body.contains("app_name is missing")), (400, true));
    Ok(())
}

#[tokio::test]
async fn paths_that_are_not_there_say_so_in_the_envelope() -> TestResult {
    let world = World::start().await?;
    for (method, path, status) in [
        ("POST", "/secrets/sync", 501),
        ("GET", "/proxy/configure", 405),
        ("GET", "/certs/rotate", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/deploy", 405),
    ] {
        let answer = world.ask(method, path, "").await?;
        assert_eq!((answer.status, answer.json()?.at("/success")), (status, &Value::Bool(false)), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_path_that_takes_another_method_names_those_it_takes() -> TestResult {
    let world = World::start().await?;
    for (method, path, allowed) in [
        ("GET", "/deploy", "POST"),
        ("DELETE", "/status", "GET,HEAD"),
        ("OPTIONS", "/metrics", "GET,HEAD"),
        ("POST", "/api/v1/apps", "GET,HEAD"),
        ("PUT", "/api/v1/apps/shop", "GET,HEAD,DELETE"),
    ] {
        let answer = world.ask(method, path, "").await?;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{method} {path}");
        let form = if path.starts_with("/api/v1") { "application/problem+json" } else { "application/json" };
        assert_eq!(answer.header("content-type"), Some(form), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_of_another_kind_is_not_guessed_at() -> TestResult {
    let world = World::start().await?;
    let body = r#"{"app_name":"a","image":"i"}"#;
    for kind in ["text/plain", "application/xml", "multipart/form-data; boundary=x"] {
        let answer = world.ask_with("POST", "/deploy", &format!("content-type: {kind}\r\n"), body).await?;
        assert_eq!((answer.status, answer.json()?.at("/success")), (415, &json!(false)), "{kind}");
    }
    for kind in ["application/json", "Application/JSON; charset=utf-8", "application/x-www-form-urlencoded"] {
        let answer = world.ask_with("POST", "/deploy", &format!("content-type: {kind}\r\n"), "{}").await?;
        assert_eq!(answer.status, 400, "{kind}: {}", answer.body);
        assert!(answer.body.contains("missing field `app_name`"), "{kind}: {}", answer.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_websocket_path_asked_otherwise_says_so_in_the_envelope() -> TestResult {
    let world = World::start().await?;
    let answer = world.ask("GET", "/ws/logs", "").await?;
    assert_eq!((answer.status, answer.json()?.at("/success")), (400, &json!(false)), "{}", answer.body);
    assert!(answer.body.contains("/ws/logs is a WebSocket"), "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn metrics_come_in_the_form_that_was_asked_for() -> TestResult {
    let world = World::start().await?;
    let text = world.ask("GET", "/metrics", "").await?;
    assert!(text.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    assert_eq!(text.body, "nextdeploy_apps 0\n");
    let json = world.ask("GET", "/metrics?format=json", "").await?.json()?;
    assert_eq!(json.at("/message"), "System metrics");
    assert_eq!((json.at("/payload/cpu"), json.at("/payload/disk")), (&json!(12.5), &json!(60.0)));
    assert!(json.at("/payload/uptime").is_string());
    let asked = world
        .ask_tcp(
            "/metrics",
            &format!("authorization: Bearer {}\r\naccept: application/json\r\n", crate::support::TOKEN),
        )
        .await?;
    assert_eq!(asked.json()?.at("/payload/host/cpus"), 2);
    Ok(())
}
