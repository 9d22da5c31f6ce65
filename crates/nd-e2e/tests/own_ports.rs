//! Apps that have their ports of the host themselves (`proxy.enabled: false`), names between containers, checks with
//! headers, and apps that are protected from removal.

use std::net::TcpListener;

use nd_e2e::{Daemon, Docker, Options, Programs, Result, runs_as_root};
use nd_testkit::free_address;
use serde_json::Value;

fn daemon() -> Result<Daemon> {
    Daemon::start(&Programs::from_env()?, Options::default())
}

fn engine() -> Result<Docker> {
    Docker::find().ok_or_else(|| "no Docker engine answers: run `cargo xtask test`, which brings one".into())
}

fn write(daemon: &Daemon, text: &str) -> Result {
    Ok(std::fs::write(daemon.site().folder().join("nextdeploy.yml"), text)?)
}

/// A plain process on `port`; `more` is put below `proxy:`.
fn process(daemon: &Daemon, port: u16, release: &str, direct: bool) -> Result {
    let program = daemon.programs().testapp.display();
    let user = if runs_as_root() { "user: root\n" } else { "" };
    let proxy = if direct { "proxy: {enabled: false}\n" } else { "" };
    write(
        daemon,
        &format!(
            "app: {{name: shop, deletion_protection: true}}\ncommand: [{program}]\n{user}{proxy}\
             env: {{TESTAPP_RELEASE: {release}}}\n\
             deployment: {{container: {{ports: [\"{port}:{port}\"], healthcheck: {{path: /health, status: [200, 204]}}}}}}\n"
        ),
    )
}

#[test]
fn a_process_has_its_port_itself_and_hands_it_on() -> Result {
    let (daemon, port) = (daemon()?, free_address()?.port());
    let url = format!("http://127.0.0.1:{port}/");
    for (release, direct) in [("v1", true), ("v2", true), ("v3", false), ("v4", true)] {
        process(&daemon, port, release, direct)?;
        daemon.cli("deploy")?.ok()?;
        assert_eq!(daemon.get(&url)?.header("x-release"), Some(release));
        let by_name = daemon.get("http://shop.localhost/")?.status;
        assert_eq!(by_name == 404, direct, "{by_name} by name, {release}");
    }
    let described = daemon.cli("describe shop")?.ok()?.stdout;
    assert!(described.contains("its ports are its own"), "{described}");
    let plan = daemon.cli("deploy --dry-run")?.ok()?.stdout;
    assert!(plan.contains("itself"), "{plan}");
    daemon.cli("scale shop 2")?.expect_code(5)?;

    let refused = daemon.cli("destroy shop --yes")?.expect_code(5)?;
    assert!(refused.stderr.contains("nextdeploy destroy shop --force"), "{}", refused.stderr);
    daemon.cli("destroy shop --yes --force")?.ok()?;
    assert!(daemon.get(&url).is_err(), "something still listens on {port}");
    Ok(())
}

#[test]
fn a_container_publishes_its_port_and_has_its_names_and_its_directory() -> Result {
    let (daemon, docker, port) = (daemon()?, engine()?, free_address()?.port());
    let (name, tag) = (format!("nd-own-ports-{}", std::process::id()), "1");
    docker.import(&name, tag, &daemon.programs().testapp, &[])?;
    let file = |direct: bool, release: &str| {
        let proxy = if direct { "proxy: {enabled: false}\n" } else { "" };
        format!(
            "app: {{name: db, port: 3000}}\nimage: {name}:{tag}\n{proxy}working_dir: /tmp\n\
             entrypoint: [/app]\nenv: {{TESTAPP_RELEASE: {release}}}\ndeployment:\n  container:\n    \
             aliases: [database]\n    ports: [\"127.0.0.1:{port}:3000\"]\n    \
             healthcheck: {{path: /headers, headers: {{Host: db.example, X-Probe: nextdeploy}}, status: 200}}\n"
        )
    };
    let url = format!("http://127.0.0.1:{port}/");
    let outcome = (|| {
        for (release, direct) in [("v1", true), ("v2", true), ("v3", false), ("v4", true)] {
            write(&daemon, &file(direct, release))?;
            daemon.cli("deploy")?.ok()?;
            assert_eq!(daemon.get(&url)?.header("x-release"), Some(release));
        }
        let containers = daemon.containers(&docker)?;
        let running = |container: &&Value| container.get("State").and_then(Value::as_str) == Some("running");
        let serving = containers.iter().find(running).ok_or("no container runs")?;
        let id = serving.get("Id").and_then(Value::as_str).ok_or("no id")?;
        let inspected = docker.inspect(id)?;
        let aliases =
            inspected.pointer("/NetworkSettings/Networks").map(ToString::to_string).unwrap_or_default();
        assert!(aliases.contains("\"db\"") && aliases.contains("\"database\""), "{aliases}");
        assert_eq!(inspected.pointer("/Config/WorkingDir"), Some(&"/tmp".into()));
        let described = daemon.cli("describe db")?.ok()?.stdout;
        for said in ["db, database", "with Host, X-Probe", "/app", "/tmp"] {
            assert!(described.contains(said), "{said} in {described}");
        }
        daemon.cli("destroy db --yes")?.ok()?;
        Ok(())
    })();
    docker.remove_image(&format!("{name}:{tag}"));
    outcome
}

#[test]
fn a_port_that_somebody_else_has_is_named_with_what_to_do() -> Result {
    let (daemon, docker, port) = (daemon()?, engine()?, free_address()?.port());
    let _somebody = TcpListener::bind(("0.0.0.0", port))?;
    process(&daemon, port, "v1", true)?;
    let refused = daemon.cli("deploy")?;
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(refused.ok().is_err() && said.contains("ss -ltnp") && said.contains(&port.to_string()), "{said}");

    let name = format!("nd-taken-port-{}", std::process::id());
    docker.import(&name, "1", &daemon.programs().testapp, &[])?;
    let ports = format!("deployment: {{container: {{ports: [\"0.0.0.0:{port}:3000\"]}}}}\n");
    let text = format!("app: {{name: db, port: 3000}}\nimage: {name}:1\nproxy: {{enabled: false}}\n{ports}");
    let refused = write(&daemon, &text).and_then(|()| daemon.cli("deploy"));
    docker.remove_image(&format!("{name}:1"));
    let refused = refused?;
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(refused.ok().is_err() && said.contains("ss -ltnp"), "{said}");
    Ok(())
}
