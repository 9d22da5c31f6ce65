//! Whole files and bodies: what is accepted, what comes out, and what goes round.

use std::time::Duration;

use nd_api::Manifest;
use nd_config::{
    Code, OnShutdown, ReadOptions, Severity, Workload, manifest_from_json, read_manifest, read_settings,
};
use serde_json::json;

const OPTIONS: ReadOptions<'static> =
    ReadOptions { environment: None, lookup: &|_| None, workload: Workload::Required };

#[test]
fn every_key_that_this_version_serves_is_read() -> Result<(), Box<dyn std::error::Error>> {
    let text = r#"
version: 1.0
target_type: vps
app:
  name: shop
  environment: production
  domain: App.Example.com
  port: "3000"
  resources: {cpu_quota: 80%, memory_max: 512M, pids: 256}
image: registry.example:5000/team/shop:1.4
command: [node, server.js]
user: "1000:1000"
runtime: docker
env: {NODE_ENV: production, PORT: 3000, DEBUG: false}
deployment:
  rollout: {strategy: bluegreen, keep: 5, drain: 30s}
  stop: {signal: SIGINT, grace: 1m}
  container:
    name: shop
    restart: no
    volumes: [./data:/app/data, uploads:/app/uploads:ro]
    ports: ["3000:3000", "0.0.0.0:5432:5432/tcp"]
    healthcheck: {path: /api/health, port: 3000, status: 200-299, interval: 30s, timeout: 5s, retries: 3, start_period: 40s}
restart: {max: 10, min_uptime: 10s, delay: 1s, backoff: 2x, max_delay: 60s, crash_threshold: 5, crash_window: 60s, stop_exit_codes: [78]}
scale: {instances: 2}
proxy: {enabled: true, routes: [{path: /api}, {host: www.example.com}], body_limit: 20M}
"#;
    let checked = read_manifest("nextdeploy.yml", text, &OPTIONS)?;
    assert!(checked.notes.is_empty(), "{}", checked.notes);
    let written = serde_json::to_value(&checked.manifest)?;
    assert_eq!(
        written,
        json!({
            "version": "1.0", "target_type": "vps",
            "app": {
                "name": "shop", "environment": "prod", "domain": "app.example.com", "port": 3000,
                "resources": {"cpu_quota": "80%", "memory_max": "512M", "pids": 256},
            },
            "image": "registry.example:5000/team/shop:1.4", "command": ["node", "server.js"],
            "user": "1000:1000", "runtime": "docker", "env": {"NODE_ENV": "production", "PORT": "3000", "DEBUG": "false"},
            "deployment": {
                "rollout": {"strategy": "bluegreen", "keep": 5, "drain": "30s"},
                "stop": {"signal": "SIGINT", "grace": "1m"},
                "container": {
                    "name": "shop", "restart": "never",
                    "volumes": ["./data:/app/data", "uploads:/app/uploads:ro"],
                    "ports": ["3000:3000", "0.0.0.0:5432:5432/tcp"],
                    "healthcheck": {
                        "path": "/api/health", "port": 3000, "status": "200-299", "interval": "30s", "timeout": "5s",
                        "retries": 3, "start_period": "40s",
                    },
                },
            },
            "restart": {
                "max": 10, "min_uptime": "10s", "delay": "1s", "backoff": "2x", "max_delay": "1m", "crash_threshold": 5,
                "crash_window": "1m", "stop_exit_codes": [78],
            },
            "scale": {"instances": 2},
            "proxy": {"enabled": true, "routes": [{"path": "/api"}, {"host": "www.example.com"}], "body_limit": "20M"},
        })
    );
    assert_eq!(manifest_from_json(&written, Workload::Required)?.manifest, checked.manifest);
    assert_eq!(serde_json::from_value::<Manifest>(written)?, checked.manifest);
    Ok(())
}

#[test]
fn a_file_of_the_original_tool_is_read_and_what_has_no_effect_is_named()
-> Result<(), Box<dyn std::error::Error>> {
    let text = r#"
version: "1.0"
target_type: vps
app: {name: example-app, environment: production, domain: {name: app.example.com, provider: cloudflare}, port: 3000, cdn_enabled: true}
image: example-app:latest
servers: [{name: web, host: 192.0.2.10}]
deployment:
  server: {host: 192.0.2.123, user: deploy, ssh_key: ~/.ssh/id_rsa, use_sudo: true}
  container:
    name: example-app
    restart: always
    env_file: .env
    volumes: ["./data:/app/data"]
    ports: ["80:3000"]
    healthcheck: {path: /api/health, interval: 30s, timeout: 5s, retries: 3}
database: {type: postgres, host: 192.0.2.124, port: 5432}
logging: {enabled: true, provider: nextdeploy}
monitoring: {enabled: true, cpu_threshold: 80}
backup: {enabled: true, frequency: daily}
ssl: {enabled: true, provider: letsencrypt}
webhook: {on_success: ["curl https://example.com"]}
serverless: {region: us-east-1}
CloudProvider: {name: aws}
"#;
    let checked = read_manifest("nextdeploy.yml", text, &OPTIONS)?;
    let named: Vec<_> = checked.notes.mistakes().iter().filter_map(|note| note.pointer.as_deref()).collect();
    assert_eq!(
        named,
        [
            "/app/domain/provider",
            "/app/cdn_enabled",
            "/servers",
            "/deployment/server",
            "/deployment/container/ports/0",
            "/database",
            "/logging",
            "/monitoring",
            "/backup",
            "/webhook",
            "/serverless",
            "/CloudProvider",
        ]
    );
    assert!(checked.notes.mistakes().iter().all(|note| note.severity != Severity::Error));
    Ok(())
}

#[test]
fn no_key_of_the_full_format_is_unknown() -> Result<(), Box<dyn std::error::Error>> {
    let text = include_str!("full.yml");
    let report = match read_manifest("full.yml", text, &OPTIONS) {
        Ok(checked) => checked.notes,
        Err(report) => report,
    };
    let unknown: Vec<_> = report
        .mistakes()
        .iter()
        .filter(|mistake| !matches!(mistake.code, Code::NotYet | Code::NoEffect | Code::PortIsRoute))
        .collect();
    assert!(unknown.is_empty(), "{report}");
    Ok(())
}

#[test]
fn a_body_is_checked_like_a_file_with_pointers_instead_of_lines() {
    let body = json!({
        "app": {"name": "shop", "port": 70000},
        "image": "node:22",
        "deployment": {"container": {"ports": ["3000"], "heathcheck": {}, "env_file": ".env"}},
        "environments": {"prod": {}},
        "env": {"A": "${HOME}", "B/C": "d"},
    });
    let report = manifest_from_json(&body, Workload::Required).unwrap_err();
    let errors: Vec<_> = report
        .to_field_errors()
        .into_iter()
        .map(|error| (error.pointer.unwrap_or_default(), error.message))
        .collect();
    let expected = [
        ("/app/port", "port must be 1–65535, found 70000"),
        (
            "/env/B~1C",
            "`B/C` is not a variable name; use letters, digits, `_`, `.` and `-`, and do not begin with a digit",
        ),
        ("/deployment/container/ports/0", "ports[0] must be \"HOST:CONTAINER\", found 3000"),
        ("/deployment/container/heathcheck", "unknown key `heathcheck` in deployment.container"),
        ("/environments", "`environments` is laid over the file by the client and is not part of a request"),
        ("/deployment/container/env_file", "`env_file` is read by the client and is not part of a request"),
    ];
    assert_eq!(errors, expected.map(|(pointer, message)| (pointer.to_owned(), message.to_owned())));
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    for body in [json!(null), json!([]), json!("app"), json!(1)] {
        assert!(manifest_from_json(&body, Workload::Optional).is_err(), "{body}");
    }
}

#[test]
fn what_runs_may_come_from_elsewhere_when_that_is_said() -> Result<(), Box<dyn std::error::Error>> {
    let options = ReadOptions { workload: Workload::Optional, ..OPTIONS };
    let checked = read_manifest("nextdeploy.yml", "app: {name: shop}\n", &options)?;
    assert_eq!(checked.manifest, Manifest::new("shop".parse()?));
    Ok(())
}

#[test]
fn the_daemons_file_is_read() -> Result<(), Box<dyn std::error::Error>> {
    let text = "data_dir = \"/srv/nd\"\nsocket = \"/run/nd.sock\"\nlisten = \"127.0.0.1:8371\"\nhttp = \"[::]:80\"\ndev = true\n\
                docker.socket = \"unix:///var/run/docker.sock\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\n\
                [shutdown]\napps = \"stop\"\n[proxy]\nworkers = 4\n";
    let settings = read_settings("nextdeployd.toml", text)?;
    assert_eq!(settings.data_dir.as_deref(), Some(std::path::Path::new("/srv/nd")));
    assert_eq!(settings.http, Some("[::]:80".parse()?));
    assert_eq!(settings.on_shutdown, Some(OnShutdown::Stop));
    let workers = settings.adapters.get("proxy").and_then(|table| table.get("workers"));
    assert_eq!(workers.and_then(toml::Value::as_integer), Some(4));
    assert_eq!(read_settings("nextdeployd.toml", "")?, nd_config::DaemonSettings::default());
    Ok(())
}

#[test]
fn what_is_written_about_the_docker_engine_is_read() -> Result<(), Box<dyn std::error::Error>> {
    let text = "[docker]\nnetwork = \"shop-net\"\nsubnet = \"10.9.0.0/16\"\npull_timeout = \"2m\"\n\
                pull_retry_timeout = \"0s\"\ncall_timeout = \"90s\"\n";
    let docker = read_settings("nextdeployd.toml", text)?.docker;
    assert_eq!(
        (docker.network.as_deref(), docker.subnet.as_deref()),
        (Some("shop-net"), Some("10.9.0.0/16"))
    );
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
    assert_eq!(
        [docker.pull_timeout, docker.pull_retry_timeout, docker.call_timeout].map(seconds),
        [Some(120), Some(0), Some(90)]
    );
    let text = "[docker]\nnetwork = \"a b\"\npull_timeout = 120\ncall_timeout = \"2h\"\n";
    assert_eq!(
        read_settings("nextdeployd.toml", text).unwrap_err().to_string(),
        "error[ND0121] nextdeployd.toml:2:11: `a b` is not the name of a Docker network; help: write letters, digits, `_`, `.` and `-`\n\
         error[ND0121] nextdeployd.toml:3:16: duration needs a unit (other tools read 120 as seconds or as milliseconds); help: write `120s`\n\
         error[ND0121] nextdeployd.toml:4:16: call_timeout must be 1s–1h, found 2h"
    );
    Ok(())
}

#[test]
fn every_mistake_in_the_daemons_file_has_its_place() {
    let text = "data_dir = \"here\"\nlisten = 8371\ndev = \"true\"\nlog = 1\n[docker]\nsokcet = \"x\"\n[shutdown]\napps = \"stpo\"\n";
    assert_eq!(
        read_settings("nextdeployd.toml", text).unwrap_err().to_string(),
        "error[ND0121] nextdeployd.toml:1:12: data_dir must be an absolute path, found \"here\"\n\
         error[ND0121] nextdeployd.toml:2:10: listen must be ADDRESS:PORT, found 8371; help: write \"127.0.0.1:8371\", or \"0.0.0.0:8371\" for every address\n\
         error[ND0120] nextdeployd.toml:3:7: dev must be true or false, found \"true\"; help: write `true`\n\
         error[ND0120] nextdeployd.toml:4:7: log must be a map, found 1\n\
         error[ND0110] nextdeployd.toml:6:1: unknown key `sokcet` in docker; help: a key with a similar name exists: `socket`\n\
         error[ND0121] nextdeployd.toml:8:8: `stpo` is not one of keep, stop; help: `stop`"
    );
    assert_eq!(
        read_settings("nextdeployd.toml", "[proxy]\nhttp = \"0.0.0.0:80\"\n").unwrap_err().to_string(),
        "error[ND0111] nextdeployd.toml:2:1: `http` is not a key of `proxy`; help: write it above all tables"
    );
    let broken = read_settings("nextdeployd.toml", "a = \nlisten = \"x\n").unwrap_err();
    assert!(broken.mistakes().iter().any(|mistake| mistake.code == Code::Syntax), "{broken}");
}

#[test]
fn what_the_original_tool_says_in_two_places_is_one() -> Result<(), Box<dyn std::error::Error>> {
    let text = "app: {name: shop}\nimage: node:22\nssl: {enabled: true, provider: letsencrypt, email: a@example.com, dns_provider: \"\", domains: []}\n\
                ssl_config:\n  domain: extra.example.com\n  email: a@example.com\n  staging: true\n  wildcard: true\n  dns_provider: lab\n  \
                ssl: {enabled: true, provider: letsencrypt, email: \"\", auto_renew: false}\n";
    let checked = read_manifest("nextdeploy.yml", text, &OPTIONS)?;
    assert!(checked.notes.is_empty(), "{}", checked.notes);
    let merged = "app: {name: shop}\nimage: node:22\nssl: {enabled: true, provider: letsencrypt, email: a@example.com, dns_provider: lab, \
                  domains: [extra.example.com], staging: true, wildcard: true, auto_renew: false}\n";
    assert_eq!(checked.manifest, read_manifest("nextdeploy.yml", merged, &OPTIONS)?.manifest);
    Ok(())
}
