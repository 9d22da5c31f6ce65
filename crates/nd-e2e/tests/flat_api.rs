//! The flat paths, asked as curl asks them: codes, messages and envelopes exactly as promised.

use nd_e2e::{Daemon, Docker, Options, Programs, Result, Site, WAIT, until_some};
use serde_json::{Value, json};

struct Stage {
    daemon: Daemon,
    docker: Docker,
    image: String,
}

impl Stage {
    fn new(test: &str) -> Result<Self> {
        let programs = Programs::from_env()?;
        let docker =
            Docker::find().ok_or("no Docker engine answers: run `cargo xtask test`, which brings one")?;
        let image = format!("nd-e2e-flat-{test}-{}", std::process::id());
        for release in ["v1", "v2"] {
            docker.import(&image, release, &programs.testapp, &[("TESTAPP_RELEASE", release)])?;
        }
        // Whatever this machine has, here there is no Caddy, and the daemon's own proxy serves.
        let site = Site::with_settings("[caddy]\nadmin = \"unix//nowhere/caddy.sock\"\n")?;
        Ok(Self { daemon: Daemon::start_at(site, &programs, Options::default())?, docker, image })
    }

    fn body(&self, release: &str) -> String {
        json!({"app_name": "myapp", "image": format!("{}:{release}", self.image), "env": {"PORT": "3000"},
               "port": 3000, "domain": "myapp.com", "proxy_type": "caddy"})
        .to_string()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for release in ["v1", "v2"] {
            self.docker.remove_image(&format!("{}:{release}", self.image));
        }
    }
}

fn release(daemon: &Daemon) -> Option<String> {
    let answer = nd_e2e::get(&nd_e2e::Target::Tcp(daemon.site().http), "myapp.com", "/").ok()?;
    answer.header("x-release").map(str::to_owned)
}

#[test]
fn deploy_status_swap_restart_and_stop_of_an_image() -> Result {
    let stage = Stage::new("life")?;
    let daemon = &stage.daemon;
    let started = daemon.api_post("/deploy", &stage.body("v1"))?;
    assert!(matches!(started.status, 200 | 202), "{} {}", started.status, started.text());
    let json = started.json()?;
    assert_eq!(json.get("success"), Some(&Value::Bool(true)));
    assert!(
        json.get("message")
            .and_then(Value::as_str)
            .is_some_and(|text| text.starts_with("Deployment started"))
    );
    for key in ["app_name", "image", "status", "port", "domain", "updated_at", "deployment_id"] {
        assert!(json.pointer(&format!("/payload/{key}")).is_some(), "{key}: {json}");
    }
    assert!(json.to_string().contains("caddy"), "{json}");
    assert!(started.header("location").is_some());
    until_some("v1", WAIT, || release(daemon).filter(|release| release == "v1"))?;
    let status = daemon.wait_phase("myapp", "running").and_then(|_| daemon.api_get("/status?app=myapp"))?;
    assert_eq!(status.get("message"), Some(&json!("App status fetched")));
    for (key, value) in [("app_name", json!("myapp")), ("status", json!("running")), ("port", json!(3000))] {
        assert_eq!(status.pointer(&format!("/payload/{key}")), Some(&value), "{status}");
    }
    let swap = json!({"app_name": "myapp", "image": format!("{}:v2", stage.image)}).to_string();
    let swapped = daemon.api_post("/swap?wait=true", &swap)?;
    assert_eq!(swapped.status, 200, "{}", swapped.text());
    assert_eq!(release(daemon).as_deref(), Some("v2"));
    assert_eq!(daemon.api_post("/restart?app=myapp", "")?.status, 200);
    let stopped = daemon.api_post("/stop", r#"{"app_name":"myapp"}"#)?;
    assert_eq!(stopped.status, 200, "{}", stopped.text());
    let status = daemon.api_get("/status?app=myapp")?;
    assert_eq!(status.pointer("/payload/status"), Some(&json!("stopped")));
    Ok(())
}

#[test]
fn an_unknown_app_is_404_app_not_found() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let answers = [
        daemon.control()?.request("GET", "/status?app=ghost", &[], b"")?,
        daemon.api_post("/stop?app=ghost", "")?,
        daemon.api_post("/restart", r#"{"app_name":"ghost"}"#)?,
        daemon.api_post("/swap", r#"{"app_name":"ghost","image":"x:1"}"#)?,
    ];
    for answer in answers {
        assert_eq!(answer.status, 404, "{}", answer.text());
        assert_eq!(answer.json()?, json!({"success": false, "message": "App not found"}));
    }
    Ok(())
}

#[test]
fn status_without_an_app_lists_all() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    assert_eq!(daemon.api_get("/status")?.get("payload"), Some(&json!([])));
    daemon.deploy("shop", "v1", &[])?;
    let all = daemon.api_get("/status")?;
    assert_eq!(all.pointer("/payload/0/app_name"), Some(&json!("shop")), "{all}");
    Ok(())
}

#[test]
fn a_body_that_is_not_json_is_400_and_one_over_1_mib_is_413() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let wrong = daemon.api_post("/deploy", "{not json")?;
    assert_eq!(wrong.status, 400);
    let message = wrong.json()?.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    assert!(message.starts_with("Invalid request: "), "{message}");
    let large = format!(r#"{{"app_name":"{}"}}"#, "x".repeat(1 << 20));
    let answer = daemon.api_post("/deploy", &large)?;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(answer.json()?.get("success"), Some(&Value::Bool(false)));
    Ok(())
}

#[test]
fn metrics_are_prometheus_text_or_the_envelope() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let text = daemon.control()?.request("GET", "/metrics", &[("accept", "*/*")], b"")?;
    assert!(text.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    assert!(text.text().contains("# TYPE "), "{}", text.text());
    let json =
        daemon.control()?.request("GET", "/metrics", &[("accept", "application/json")], b"")?.json()?;
    assert_eq!(json.get("message"), Some(&json!("System metrics")));
    for key in ["cpu", "memory", "disk"] {
        let share = json.pointer(&format!("/payload/{key}")).and_then(Value::as_f64);
        assert!(share.is_some_and(|share| (0.0..=100.0).contains(&share)), "{key}: {json}");
    }
    assert!(json.pointer("/payload/uptime").is_some_and(Value::is_string), "{json}");
    Ok(())
}

#[test]
fn health_has_no_envelope_and_what_is_not_built_is_501() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    let health = daemon.api_get("/health")?;
    for key in ["status", "timestamp", "service", "uptime", "memory", "requests"] {
        assert!(health.get(key).is_some(), "{key}: {health}");
    }
    for key in ["total", "lastHour", "lastMinute"] {
        assert!(health.pointer(&format!("/errors/{key}")).is_some(), "{key}: {health}");
    }
    let ok = daemon.control()?.request("GET", "/healthz", &[], b"")?;
    assert_eq!((ok.status, ok.text().trim()), (200, "ok"));
    for path in ["/secrets/sync", "/ws/metrics"] {
        let answer = daemon.api_post(path, "{}")?;
        assert_eq!(answer.status, 501, "{path}");
        assert_eq!(answer.json()?.get("success"), Some(&Value::Bool(false)));
    }
    Ok(())
}

#[test]
fn logs_come_over_a_websocket() -> Result {
    let daemon = Daemon::start(&Programs::from_env()?, Options::default())?;
    daemon.deploy("chatty", "v1", &["-e", "TESTAPP_LOG_LINES=10"])?;
    let target = nd_e2e::Target::Unix(daemon.site().socket());
    let mut socket =
        nd_e2e::Socket::open(&target, "localhost", "/ws/logs?app=chatty&stream=stderr&tail=50", WAIT)?;
    for _ in 0..3 {
        let frame: Value = serde_json::from_str(&socket.read()?.text())?;
        assert_eq!(frame.get("type"), Some(&json!("log")), "{frame}");
        assert_eq!(frame.get("stream"), Some(&json!("stderr")), "{frame}");
        assert_eq!(frame.get("app"), Some(&json!("chatty")), "{frame}");
    }
    Ok(())
}
